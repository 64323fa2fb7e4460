//! A trade by hand, with the program as people run it: two nodes, each a process, and the commands that talk to them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stellar_xdr::TransactionEnvelope;
use tradepost_ledger::{Ledger as _, RpcConfig, RpcLedger};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::stellar::entry::Entry;
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::transaction::{Bounds, Unsigned};
use tradepost_protocol::stellar::{Memo, operation, xdr};
use tradepost_protocol::time::Timestamp;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(60);

fn tradepost(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tradepost"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TRADEPOST_") {
            command.env_remove(name);
        }
    }
    command.arg("--home").arg(home).args(args).stdin(Stdio::null());
    command
}

/// A process that is killed when the test ends, however that is, with the first line that it printed.
struct Running {
    child: Child,
    line: Value,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, line: serde_json::from_str(&line).unwrap() }
    }

    /// Asks it to end, as the first signal does, and returns its exit code.
    fn drain(&mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that goes on printing lines of JSON, killed when the test ends.
struct Lines {
    child: Child,
    lines: mpsc::Receiver<Value>,
}

impl Lines {
    fn of(owner: &Owner, args: &[&str]) -> Self {
        let mut command = tradepost(&owner.home, args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).try_for_each(|line| tell.send(serde_json::from_str(&line).unwrap()))
        });
        Self { child, lines }
    }

    /// Waits for a line like this.
    fn until(&mut self, is: impl Fn(&Value) -> bool) {
        let until = Instant::now() + DEADLINE;
        while !is(&self.lines.recv_timeout(until.saturating_duration_since(Instant::now())).unwrap()) {}
    }

    /// Ends it as Ctrl-C does.
    fn interrupt(&mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A home and the commands that are given to its node.
struct Owner {
    home: PathBuf,
}

impl Owner {
    /// A home with keys, and money where the devnet's friendbot is asked.
    fn init(dir: &Path, name: &str, rpc_url: &str) -> Self {
        let home = dir.join(name);
        let empty = dir.join("empty");
        std::fs::write(&empty, "").unwrap();
        let owner = Self { home };
        owner.done(&["init", "--rpc-url", rpc_url, "--passphrase-file", empty.to_str().unwrap()]);
        owner
    }

    fn run(&self, first_peer: Option<&str>) -> Running {
        let mut args = vec!["run", "--json", "--set", "listen=/ip4/127.0.0.1/tcp/0"];
        args.extend(first_peer.into_iter().flat_map(|peer| ["--bootstrap", peer]));
        Running::start(tradepost(&self.home, &args))
    }

    fn output(&self, args: &[&str]) -> Output {
        tradepost(&self.home, args).output().unwrap()
    }

    /// What a command that succeeds prints.
    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let done = self.output(args);
        assert!(done.status.success(), "{args:?}: {:?} {}", done.status, String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// The same with `--json`.
    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[args, &["--json"]].concat())).unwrap()
    }

    /// The exit code and the complaint of a command that fails.
    #[track_caller]
    fn fails(&self, args: &[&str]) -> (i32, String) {
        let done = self.output(args);
        let complaint = String::from_utf8(done.stderr).unwrap();
        assert!(!done.status.success() && !complaint.contains("panicked"), "{args:?}: {complaint}");
        (done.status.code().unwrap(), complaint)
    }

    /// Asks again and again until the answer is as it should be.
    fn until(&self, args: &[&str], is: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + DEADLINE;
        loop {
            let value = self.json(args);
            if is(&value) {
                return value;
            }
            assert!(Instant::now() < until, "in vain: {args:?}: {value:#}");
        }
    }
}

/// A service in this process: answers every request with the same text.
fn service() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while head.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nsunny";
            let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
        }
    });
    url
}

#[test]
fn a_trade_by_hand_from_init_to_settlement() {
    let dir = tempfile::tempdir().unwrap();
    let devnet = Running::start(tradepost(&dir.path().join("devnet"), &["devnet", "--port", "0", "--json"]));
    let rpc_url = devnet.line["rpc_url"].as_str().unwrap();
    let provider = Owner::init(dir.path(), "provider", rpc_url);
    let consumer = Owner::init(dir.path(), "consumer", rpc_url);
    let (code, complaint) = provider.fails(&["status"]);
    assert_eq!(code, 5);
    assert!(complaint.contains("tradepost run"), "{complaint}");

    let mut selling = provider.run(None);
    let mut buying = consumer.run(Some(selling.line["p2p"][0].as_str().unwrap()));
    let file = dir.path().join("weather.toml");
    let file = file.to_str().unwrap();
    let described = ["offering", "new", file, "--title", "Weather", "--price", "0.5 XLM per call"];
    assert_eq!(provider.fails(&described).0, 2, "nobody says what serves");
    provider.done(&[&described[..], &["--url", &service()]].concat());
    assert_eq!(provider.fails(&described).0, 2);
    let (code, complaint) = provider.fails(&["offering", "publish", file]);
    assert_eq!(code, 3, "nobody agreed");
    assert!(
        complaint.contains("amount") && complaint.contains("reserve") && complaint.contains("returns"),
        "{complaint}"
    );
    assert_eq!(provider.json(&["offering", "publish", file, "--dry-run"])["amount"], "20000000");
    let published = provider.json(&["offering", "publish", file, "--yes"]);

    consumer.until(&["offering", "list", "weather"], |list| list["total"] == 1);
    let offering = &published["offering"].as_str().unwrap()[..12];
    assert!(consumer.done(&["offering", "list"]).contains(offering));
    assert_eq!(consumer.fails(&["offering", "list", "--from", "2", "--to", "1"]).0, 3);
    assert_eq!(consumer.fails(&["offering", "search", "weather", "--from", "2", "--to", "1"]).0, 3);
    assert_eq!(consumer.json(&["offering", "search", "WEATHER", "--unit", "call", "--limit", "1"])["total"], 1);
    assert_eq!(consumer.json(&["offering", "search", "weather", "tomorrow"])["total"], 0);
    assert_eq!(consumer.fails(&["offering", "search"]).0, 2);
    let mut watch = Lines::of(&consumer, &["offering", "watch", offering, "--json"]);
    watch.until(|line| line["kind"] == "watching");
    assert_eq!(consumer.fails(&["bind", "abcdef", "--yes"]).0, 4);
    assert_eq!(consumer.fails(&["bind", offering, "--units", "9999", "--yes"]).0, 3);
    let (code, question) = consumer.fails(&["bind", offering, "--units", "2"]);
    assert_eq!(code, 3);
    assert!(question.contains("1 XLM") && question.contains("not against one that"), "{question}");
    let bound = consumer.json(&["bind", offering, "--units", "2", "--yes"]);
    assert_eq!(bound["phase"], "active");
    let binding = &bound["binding"].as_str().unwrap()[..12];
    assert_eq!(consumer.done(&["call", binding, "/today"]), "sunny");
    assert_eq!(consumer.json(&["call", binding, "/"])["body"], "sunny");
    consumer.until(&["binding", "show", binding], |view| view["escrow"]["state"] == "paid");
    assert_eq!(consumer.fails(&["call", binding, "/"]).0, 3, "its units are used");
    assert_eq!(consumer.fails(&["binding", "unbind", binding, "--yes"]).0, 3, "it is over");
    provider.until(&["status"], |status| status["bindings"] == serde_json::json!([]));
    assert!(provider.done(&["status"]).starts_with("status      all is well"));
    let status = provider.json(&["offering", "status", offering]);
    assert_eq!((&status["own"]["state"], &status["book"]["live"]), (&"open".into(), &true.into()));
    assert!(provider.done(&["offering", "status", offering]).contains("4 of 4 free"));
    assert_eq!(consumer.json(&["offering", "status", offering])["own"], Value::Null);
    assert_eq!(consumer.fails(&["offering", "status", "abcdef"]).0, 4);
    provider.done(&["offering", "withdraw", offering, "--yes"]);
    watch.until(|line| line["kind"] == "offering" && line["offering"]["withdrawn"] == true);
    assert_eq!(watch.interrupt(), Some(0));
    assert_eq!(provider.fails(&["offering", "withdraw", offering, "--yes"]).0, 3);

    assert_eq!((selling.drain(), buying.drain()), (Some(0), Some(0)));
    assert_eq!(provider.fails(&["status"]).0, 5);
}

#[test]
fn money_is_shown_paid_and_missed_to_the_stroop() {
    let dir = tempfile::tempdir().unwrap();
    let devnet = Running::start(tradepost(&dir.path().join("devnet"), &["devnet", "--port", "0", "--json"]));
    let owner = Owner::init(dir.path(), "owner", devnet.line["rpc_url"].as_str().unwrap());
    let _node = owner.run(None);
    let friendbot = devnet.line["friendbot_account"].as_str().unwrap();
    let before = owner.until(&["wallet", "show"], |wallet| wallet["exists"] == true);
    let (code, complaint) = owner.fails(&["wallet", "pay", friendbot, "99999999", "--yes"]);
    assert_eq!(code, 3);
    assert!(complaint.contains("XLM short"), "{complaint}");
    assert_eq!(owner.fails(&["wallet", "pay", friendbot, "1"]).0, 3, "nobody agreed");
    assert_eq!(owner.fails(&["wallet", "pay", "G", "1"]).0, 2);
    assert_eq!(owner.json(&["wallet", "pay", friendbot, "1.5", "--dry-run"])["amount"], "15000000");
    assert!(owner.json(&["wallet", "pay", friendbot, "1.5", "--yes"])["transaction"].is_string());
    let balance = |wallet: &Value| wallet["balance"].as_str().unwrap().parse::<i64>().unwrap();
    let paid = 15_000_000 + 100;
    owner.until(&["wallet", "show"], |after| balance(after) == balance(&before) - paid);
    // A reader that has gone is no failure.
    let mut child = tradepost(&owner.home, &["status"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!((child.wait().unwrap().code(), complaint.as_str()), (Some(0), ""));
}

#[test]
fn the_access_key_in_a_servers_address_is_shown_to_nobody_and_every_line_of_the_log_is_json() {
    let dir = tempfile::tempdir().unwrap();
    let devnet = Running::start(tradepost(&dir.path().join("devnet"), &["devnet", "--port", "0", "--json"]));
    let rpc_url = devnet.line["rpc_url"].as_str().unwrap();
    let owner = Owner::init(dir.path(), "owner", &format!("{rpc_url}/?apikey=sesame"));
    let log = dir.path().join("log");
    for json in [true, false] {
        let flags = ["run", "--log", "debug", "--log-format", "json", "--set", "listen=/ip4/127.0.0.1/tcp/0"];
        let mut command = tradepost(&owner.home, &[flags.as_slice(), if json { &["--json"] } else { &[] }].concat());
        command.stdout(Stdio::piped()).stderr(std::fs::File::create(&log).unwrap());
        let mut child = command.spawn().unwrap();
        let (mut out, mut shown) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        out.read_line(&mut shown).unwrap();
        owner.until(&["wallet", "show"], |wallet| wallet["exists"] == true);
        let run = std::fs::read_to_string(owner.home.join("run.json")).unwrap();
        kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
        child.wait().unwrap();
        out.read_to_string(&mut shown).unwrap();
        let logged = std::fs::read_to_string(&log).unwrap();
        assert!(shown.contains(rpc_url), "{shown}");
        for text in [&shown, &run, &logged] {
            assert!(!text.contains("sesame"), "{text}");
        }
        if json {
            let lines: Vec<Value> = logged.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
            assert!(!lines.is_empty());
            for line in lines {
                assert!(line["timestamp"].is_string() && line["level"].is_string() && line["target"].is_string());
            }
        }
    }
}

#[test]
fn a_search_for_what_is_locked_that_stands_still_says_so_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let devnet = Running::start(tradepost(&dir.path().join("devnet"), &["devnet", "--port", "0", "--json"]));
    let owner = Owner::init(dir.path(), "owner", devnet.line["rpc_url"].as_str().unwrap());
    let _node = owner.run(None);
    let friendbot = devnet.line["friendbot_account"].as_str().unwrap();
    owner.until(&["wallet", "show"], |wallet| wallet["exists"] == true);
    owner.json(&["wallet", "pay", friendbot, "1", "--yes"]);
    drop(devnet);
    let (code, complaint) = owner.fails(&["wallet", "recover", "--yes", "--patience", "2"]);
    assert_eq!(code, 5, "{complaint}");
    assert!(complaint.contains("the search stands still: 0 of"), "{complaint}");
    assert!(complaint.contains("it goes on while the node runs"), "{complaint}");
}

/// Another wallet, as far as it opens links: it reads one, puts its own account where it is asked to, signs and submits.
struct Wallet {
    key: SigningKey,
    ledger: RpcLedger,
    passphrase: String,
}

impl Wallet {
    async fn new(devnet: &Value) -> Self {
        let passphrase = devnet["passphrase"].as_str().unwrap().to_owned();
        let rpc = RpcConfig::new(devnet["rpc_url"].as_str().unwrap());
        let ledger = RpcLedger::connect(rpc, &passphrase).await.unwrap();
        let key = SigningKey::from_bytes(&[0x57; 32]);
        ledger.fund_by_friendbot(AccountId::of(&key)).await.unwrap();
        Self { key, ledger, passphrase }
    }

    async fn open(&self, link: &str) {
        let link = url::Url::parse(link).unwrap();
        let fields: BTreeMap<String, String> = link.query_pairs().into_owned().collect();
        assert_eq!(fields["network_passphrase"], self.passphrase);
        let operations = match link.path() {
            "pay" => {
                let amount = Stroops::from_coins(&fields["amount"]).unwrap();
                vec![operation::pay(fields["destination"].parse().unwrap(), &Asset::Native, amount)]
            }
            "tx" => {
                assert!(fields["replace"].starts_with("sourceAccount:X;X:"));
                let envelope = xdr::from_base64(&fields["xdr"]).unwrap();
                match xdr::read("envelope", &envelope).unwrap() {
                    TransactionEnvelope::Tx(v1) => v1.tx.operations.into(),
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other}"),
        };
        let own = AccountId::of(&self.key);
        let read = self.ledger.read(&[Key::Account(own)]).await.unwrap();
        let Ok(Entry::Account(account)) = &read.entries[0].entry else { panic!("{read:?}") };
        let bounds = Bounds::from_on(Timestamp::from_secs(0));
        let (source, sequence) = (own, account.sequence + 1);
        let unsigned = Unsigned { source, sequence, fee: 1_000, bounds, memo: Memo::None, operations };
        let envelope = unsigned.sign(&[&self.key], &NetworkId::of_passphrase(&self.passphrase)).unwrap();
        self.ledger.submit(envelope.bytes()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_wallet_makes_the_account_by_a_link_and_pays_in_to_the_stroop_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let devnet = Running::start(tradepost(&dir.path().join("devnet"), &["devnet", "--port", "0", "--json"]));
    let wallet = Wallet::new(&devnet.line).await;
    let empty = dir.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let owner = Owner { home: dir.path().join("owner") };
    let rpc_url = devnet.line["rpc_url"].as_str().unwrap();
    let keys = ["--no-fund", "--passphrase-file", empty.to_str().unwrap()];
    owner.done(&[["init", "--rpc-url", rpc_url].as_slice(), &keys].concat());
    let _node = owner.run(None);

    assert_eq!(owner.fails(&["wallet", "link"]).0, 2, "an account begins with something");
    let made = owner.json(&["wallet", "link", "3", "--message", "for my node"]);
    assert_eq!(made["makes_account"], true);
    wallet.open(made["link"].as_str().unwrap()).await;
    owner.until(&["wallet", "show"], |wallet| wallet["balance"] == "30000000");

    let pay = ["wallet", "pay", devnet.line["friendbot_account"].as_str().unwrap(), "5", "--dry-run"];
    let (code, complaint) = owner.fails(&pay);
    assert_eq!(code, 3);
    let missing = complaint.split(" XLM short").next().unwrap().rsplit(' ').next().unwrap();
    let link = owner.done(&["wallet", "link", missing]);
    assert!(link.starts_with("web+stellar:pay?destination=G"), "{link}");
    wallet.open(link.trim()).await;
    owner.until(&["wallet", "show"], |wallet| wallet["balance"] != "30000000");
    assert_eq!(owner.json(&pay)["amount"], "50000000", "it is just enough");
}

#[test]
fn an_asset_is_trusted_and_no_longer_and_what_is_stamped_is_proved_without_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let devnet = Running::start(tradepost(&dir.path().join("devnet"), &["devnet", "--port", "0", "--json"]));
    let owner = Owner::init(dir.path(), "owner", devnet.line["rpc_url"].as_str().unwrap());
    let mut node = owner.run(None);
    let asset = format!("HEXA:{}", devnet.line["friendbot_account"].as_str().unwrap());
    owner.until(&["wallet", "show"], |wallet| wallet["exists"] == true);

    let (code, question) = owner.fails(&["wallet", "trust", &asset, "--limit", "500"]);
    assert_eq!(code, 3, "nobody agreed");
    assert!(question.contains("0.5 XLM, locked until") && question.contains("up to 500"), "{question}");
    let cost = owner.json(&["wallet", "trust", &asset, "--dry-run"]);
    assert_eq!((&cost["reserve"], &cost["before"]), (&"5000000".into(), &Value::Null));
    assert!(owner.json(&["wallet", "trust", &asset, "--limit", "500", "--yes"])["transaction"].is_string());
    assert_eq!(owner.json(&["wallet", "trust", &asset, "--dry-run"])["before"], "5000000000");
    assert!(owner.done(&["wallet", "trust", &asset, "--limit", "0", "--yes"]).starts_with("removed"));
    assert_eq!(owner.fails(&["wallet", "trust", &asset, "--limit", "0", "--yes"]).0, 3, "there is none");
    assert_eq!(owner.fails(&["wallet", "trust", "HEXA", "--yes"]).0, 2);

    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (one, two) = (file("one.txt", "one"), file("two.txt", "two"));
    assert_eq!(owner.fails(&["timestamp", "batch", &one]).0, 3, "nobody agreed");
    let made = owner.json(&["timestamp", "batch", &one, &two, "--yes"]);
    assert_eq!(made["proofs"].as_array().unwrap().len(), 2);
    let list = owner.until(&["timestamp", "list"], |list| list["items"][0]["state"] == "kept");
    assert_eq!((&list["items"][0]["root"], &list["items"][0]["count"]), (&made["root"], &2.into()));
    assert_eq!(owner.fails(&["timestamp", "batch", &one, "--yes"]).0, 3, "a proof is never replaced");
    assert_eq!(node.drain(), Some(0));
    drop((node, devnet));

    // From here on there is neither node nor ledger.
    let nobody = Owner { home: dir.path().join("nowhere") };
    let proof = format!("{one}.timestamp.json");
    let verified = nobody.json(&["timestamp", "verify", &proof]);
    assert_eq!((&verified["file"], &verified["transaction"]), (&one.as_str().into(), &made["transaction"]));
    assert!(nobody.done(&["timestamp", "verify", &proof, &one]).contains("it existed at"));
    assert_eq!(nobody.fails(&["timestamp", "verify", &proof, &two]).0, 3, "another file");
    let again = owner.done(&["timestamp", "proof", &two]);
    assert_eq!(again, std::fs::read_to_string(format!("{two}.timestamp.json")).unwrap());
    assert_eq!(owner.fails(&["timestamp", "proof", &"ab".repeat(32)]).0, 4);
    let bent = file("bent.json", &std::fs::read_to_string(&proof).unwrap().replace("\"index\": 1", "\"index\": 2"));
    let (code, complaint) = nobody.fails(&["timestamp", "verify", &bent]);
    assert!(code == 3 && complaint.contains("proves nothing"), "{complaint}");
    std::fs::write(&one, "one more").unwrap();
    assert_eq!(nobody.fails(&["timestamp", "verify", &proof]).0, 3, "the file has changed since");
}
