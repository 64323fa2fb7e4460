//! Timestamps that were made from this home: one file a batch, with all that proves it.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use tradepost_ledger::LedgerRecord;
use tradepost_protocol::market::event::KeptStamp;
use tradepost_protocol::message::Sha256Hash;
use tradepost_protocol::timestamp::BatchFile;

use crate::home::Home;
use crate::private_file;

/// Largest of these files, bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Where they lie.
#[derive(Debug, Clone)]
pub struct Timestamps {
    dir: PathBuf,
    passphrase: String,
}

impl Timestamps {
    /// Those of a home, made on the network with this passphrase from now on.
    pub fn of(home: &Home, passphrase: &str) -> Self {
        Self { dir: home.timestamps_dir(), passphrase: passphrase.to_owned() }
    }

    /// Checks that a ledger proves a batch, and writes its file, whole or not at all; again does no harm.
    ///
    /// # Errors
    /// What it doesn't prove, or what the file system says.
    pub(crate) fn keep(&self, stamp: &KeptStamp, record: &LedgerRecord) -> Result<(), String> {
        let included = &stamp.included;
        let file = BatchFile::new(&stamp.batch, &self.passphrase, &included.envelope, &record.header, &record.results);
        let proved = file.check().map_err(|e| e.to_string())?;
        if proved.transaction != included.transaction || proved.ledger != included.at {
            return Err(format!("it proves ledger {}, not {}", proved.ledger.sequence, included.at.sequence));
        }
        let bytes = serde_json::to_vec_pretty(&file).map_err(|e| e.to_string())?;
        let path = self.path_of(&file.root());
        let written = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        let written = written.and_then(|()| private_file::write(&path, &bytes));
        written.map_err(|e| format!("can't write {}: {e}", path.display()))
    }

    /// The file of a root.
    pub fn path_of(&self, root: &Sha256Hash) -> PathBuf {
        self.dir.join(format!("{root}.json"))
    }

    /// The batch with this root, where its file is there.
    ///
    /// # Errors
    /// Whatever the file system answers, and `InvalidData` for a file that isn't one.
    pub fn read(&self, root: &Sha256Hash) -> io::Result<Option<BatchFile>> {
        match private_file::read(&self.path_of(root), MAX_FILE) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map(Some).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Every batch, oldest first.
    ///
    /// # Errors
    /// As for [`Timestamps::read`].
    pub fn all(&self) -> io::Result<Vec<BatchFile>> {
        let dir = match std::fs::read_dir(&self.dir) {
            Ok(dir) => dir,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let mut all = Vec::new();
        for entry in dir {
            let name = entry?.file_name();
            let root = name.to_str().and_then(|name| name.strip_suffix(".json")).and_then(|root| root.parse().ok());
            if let Some(root) = root {
                all.extend(self.read(&root)?);
            }
        }
        all.sort_by_key(|batch| batch.counter);
        Ok(all)
    }
}
