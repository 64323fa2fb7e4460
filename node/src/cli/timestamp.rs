//! `tradepost timestamp`: proves that something existed when a ledger closed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};
use tradepost_protocol::message::Sha256Hash;
use tradepost_protocol::timestamp::{Proof, Proved};

use super::client::Client;
use super::failure::{Exit, Failure};
use super::wallet::{costs, go_on};
use super::{Consent, Global, show};
use crate::api::request::NewTimestamps;
use crate::api::view::{CostView, Moment, Stamped, TimestampList};
use crate::private_file;
use crate::terminal::Table;
use crate::timestamps::Timestamps;

/// What a file of a proof is called beside what it is of.
const ENDING: &str = "timestamp.json";
/// Largest file of a proof, bytes.
const MAX_PROOF: u64 = 4 * 1024 * 1024;
/// How long the proof of a batch that is in the ledger is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// What to do with timestamps.
#[derive(Debug, Subcommand)]
pub enum TimestampCommand {
    /// Puts the hashes of files into the ledger, all under one transaction, and writes a proof beside each file.
    Batch(Batch),
    /// Lists this node's batches.
    List,
    /// Writes the proof of a file, or of a hash, of an earlier batch. Needs no running node.
    Proof(Extract),
    /// Checks a proof. Needs neither node nor network.
    Verify(Verify),
}

/// Puts the hashes of files into the ledger.
#[derive(Debug, Args)]
pub struct Batch {
    /// The files; only their hashes leave this machine.
    #[arg(required_unless_present = "hash")]
    files: Vec<PathBuf>,
    /// A SHA-256 hash of something else, 64 hex digits; may be repeated.
    #[arg(long, value_name = "HEX")]
    hash: Vec<Sha256Hash>,
    #[command(flatten)]
    consent: Consent,
}

/// Writes the proof of a file, or of a hash, of an earlier batch.
#[derive(Debug, Args)]
pub struct Extract {
    /// The file, or its SHA-256 hash.
    what: String,
    /// Where to write it; standard output unless told.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Checks a proof.
#[derive(Debug, Args)]
pub struct Verify {
    /// The proof.
    proof: PathBuf,
    /// What it should be the proof of; the file whose name it carries, unless told.
    file: Option<PathBuf>,
}

/// What `timestamp batch` prints.
#[derive(Serialize)]
struct BatchMade {
    #[serde(flatten)]
    stamped: Stamped,
    /// The proofs written.
    proofs: Vec<PathBuf>,
}

/// What `timestamp verify` prints.
#[derive(Serialize)]
struct Verified {
    hash: Sha256Hash,
    /// The file that was compared with the hash.
    file: Option<PathBuf>,
    account: String,
    network: String,
    transaction: String,
    ledger: u32,
    at: Moment,
    ledger_hash: String,
}

impl TimestampCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Batch(batch) => batch.run(global).await,
            Self::List => {
                let terminal = global.terminal();
                let client = Client::of(&global.home()?)?;
                let list: TimestampList = client.get("/v1/timestamps").await?;
                if list.items.is_empty() && !terminal.json {
                    terminal.say("no timestamps yet: `tradepost timestamp batch FILE` makes one");
                }
                Ok(terminal.print(&list, |list| table(list, client.now()))?)
            }
            Self::Proof(extract) => extract.run(global),
            Self::Verify(verify) => verify.run(global),
        }
    }
}

impl Batch {
    async fn run(self, global: &Global) -> Result<(), Failure> {
        let terminal = global.terminal_with(self.consent);
        let home = global.home()?;
        let client = Client::of(&home)?;
        let mut hashes: Vec<Sha256Hash> = self.files.iter().map(|file| hash_of(file)).collect::<Result<_, _>>()?;
        for proof in self.files.iter().map(|file| beside(file)) {
            if proof.exists() {
                let what = format!("{} is there already", proof.display());
                return Err(Failure::new(Exit::Refused, what).hint("a proof is never replaced: move it away first"));
            }
        }
        hashes.extend(&self.hash);
        let mut new = NewTimestamps { hashes, dry_run: true };
        let cost: CostView = client.post("/v1/timestamps", &new).await?;
        let act = format!("Put {} into the ledger, for good:\n{}", count(new.hashes.len()), costs(&cost, client.now()));
        if !go_on(terminal.confirm(&act)?)? {
            return Ok(terminal.print(&cost, |_| String::new())?);
        }
        new.dry_run = false;
        let stamped: Stamped = client.post("/v1/timestamps", &new).await?;
        let kept = Timestamps::of(&home, "");
        let until = Instant::now() + PATIENCE;
        let batch = loop {
            match kept.read(&stamped.root).map_err(|e| Failure::of(Exit::Failed, &e))? {
                Some(batch) => break batch,
                None if Instant::now() < until => sleep(LOOK).await,
                None => {
                    let what =
                        format!("the batch is in the ledger ({}), and its proof isn't kept yet", stamped.transaction);
                    let hint =
                        "the node goes on trying: `tradepost timestamp list`, then `tradepost timestamp proof FILE`";
                    return Err(Failure::new(Exit::Failed, what).hint(hint));
                }
            }
        };
        let mut proofs = Vec::new();
        for (file, hash) in self.files.iter().zip(&new.hashes) {
            let proof =
                batch.proof_of(hash).ok_or_else(|| Failure::new(Exit::Failed, "the kept batch is another one"))?;
            let path = beside(file);
            write(&path, &proof)?;
            proofs.push(path);
        }
        Ok(terminal.print(&BatchMade { stamped, proofs }, |made| {
            let mut lines =
                vec![("root", made.stamped.root.to_string()), ("transaction", made.stamped.transaction.to_string())];
            lines.extend(made.proofs.iter().map(|path| ("proof", path.display().to_string())));
            show::fields(lines)
        })?)
    }
}

impl Extract {
    fn run(self, global: &Global) -> Result<(), Failure> {
        let hash = match self.what.parse::<Sha256Hash>() {
            Ok(hash) if !Path::new(&self.what).exists() => hash,
            _ => hash_of(Path::new(&self.what))?,
        };
        let all = Timestamps::of(&global.home()?, "").all().map_err(|e| Failure::of(Exit::Failed, &e))?;
        let proof = all.iter().find_map(|batch| batch.proof_of(&hash)).ok_or_else(|| {
            let what = format!("no batch of this home has the hash {hash}");
            Failure::new(Exit::NotFound, what)
                .hint("`tradepost timestamp batch` makes one; every byte of a file counts")
        })?;
        match &self.to {
            Some(path) => {
                write(path, &proof)?;
                global.terminal().say(&format!("written to {}", path.display()));
                Ok(())
            }
            None => Ok(global.terminal().line(&json_of(&proof)?)?),
        }
    }
}

impl Verify {
    fn run(self, global: &Global) -> Result<(), Failure> {
        let unreadable = |why: String| {
            let what = format!("{} is no proof: {why}", self.proof.display());
            Failure::new(Exit::Refused, what)
        };
        let bytes = private_file::read(&self.proof, MAX_PROOF).map_err(|e| unreadable(e.to_string()))?;
        let proof: Proof = serde_json::from_slice(&bytes).map_err(|e| unreadable(e.to_string()))?;
        let Proved { account, transaction, ledger, ledger_hash, .. } =
            proof.check().map_err(|e| Failure::new(Exit::Refused, format!("it proves nothing: {e}")))?;
        let named = self.proof.to_str().and_then(|path| path.strip_suffix(&format!(".{ENDING}"))).map(PathBuf::from);
        let file = self.file.or_else(|| named.filter(|path| path.exists()));
        if let Some(file) = &file
            && hash_of(file)? != proof.hash
        {
            let what = format!("the proof is good, and not of {}", file.display());
            return Err(Failure::new(Exit::Refused, what).hint(format!("it is of the SHA-256 hash {}", proof.hash)));
        }
        let view = Verified {
            hash: proof.hash,
            file,
            account: account.to_string(),
            network: proof.network,
            transaction: transaction.to_string(),
            ledger: ledger.sequence,
            at: ledger.close_time.into(),
            ledger_hash: hex::encode(ledger_hash),
        };
        global.terminal().print(&view, |view| {
            let of = view.file.as_ref().map_or("(no file was compared)".to_owned(), |file| file.display().to_string());
            show::fields([
                ("valid", format!("it existed at {}", view.at.text)),
                ("file", of),
                ("hash", view.hash.to_string()),
                ("by", view.account.clone()),
                ("network", view.network.clone()),
                ("ledger", view.ledger.to_string()),
                ("ledger hash", view.ledger_hash.clone()),
                ("transaction", view.transaction.clone()),
            ])
        })?;
        global.terminal().say(
            "What is left to believe is that this ledger hash is the network's: compare it with any explorer or archive.",
        );
        Ok(())
    }
}

fn count(hashes: usize) -> String {
    if hashes == 1 { "1 hash".to_owned() } else { format!("{hashes} hashes under one root") }
}

fn hash_of(path: &Path) -> Result<Sha256Hash, Failure> {
    let unreadable = |e: io::Error| Failure::new(Exit::Failed, format!("can't read {}", path.display())).because(&e);
    let mut hasher = Sha256::new();
    let mut file = File::open(path).map_err(unreadable)?;
    io::copy(&mut file, &mut Hashing(&mut hasher)).map_err(unreadable)?;
    Ok(Sha256Hash::from_bytes(hasher.finalize().into()))
}

/// Where bytes go that are only hashed.
struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where the proof of a file goes.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{ENDING}"));
    PathBuf::from(name)
}

fn json_of(proof: &Proof) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(proof).map_err(|e| Failure::of(Exit::Failed, &e))? + "\n")
}

/// A proof is no secret, and is never replaced.
fn write(path: &Path, proof: &Proof) -> Result<(), Failure> {
    let text = json_of(proof)?;
    private_file::write_new(path, text.as_bytes())
        .map_err(|e| Failure::new(Exit::Failed, format!("can't write {}", path.display())).because(&e))
}

fn table(list: &TimestampList, now: tradepost_protocol::time::Timestamp) -> String {
    let mut table = Table::new(&["BATCH", "ROOT", "HASHES", "STATE", "LEDGER", "CLOSED"]);
    for view in &list.items {
        table.row([
            view.counter.to_string(),
            show::id(view.root),
            view.count.to_string(),
            view.state.clone(),
            view.ledger.map_or("-".to_owned(), |ledger| ledger.to_string()),
            view.at.as_ref().map_or("-".to_owned(), |at| show::from_now(at.timestamp(), now)),
        ]);
    }
    table.render()
}
