//! A backup: one moment of a node's state with its key file and configuration, in one file.
//!
//! ```text
//! magic      16 bytes, "tradepost-backup"
//! format     u32
//! header     JSON: version, network, account, when
//! config     config.toml, as it is
//! keys       keys.json, encrypted as it is      (empty where there is none)
//! node key   the identity of a node without keys (empty where there is none)
//! rows       u64, then for each: space u8, key, value
//! checksum   SHA-256 of all before
//! ```
//! Integers are little endian; every part and every key and value has its length, u32, before it. Messages from peers
//! aren't in it: they come back from peers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::market::{RESTORED_KEY, StoredRow};
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::step::{Batch, Space};
use tradepost_store::{Store, StoreError};

use crate::api::view::Moment;
use crate::home::{Home, HomeError};
use crate::private_file;

const MAGIC: &[u8; 16] = b"tradepost-backup";
/// The file's format that this version writes, and the only one that it reads.
const FORMAT: u32 = 1;
const CHECKSUM_BYTES: usize = 32;
/// Bytes of the length before each part.
const LENGTH_BYTES: u64 = 4;
/// Largest backup that is written or read, bytes.
const MAX_FILE: u64 = 1024 * 1024 * 1024;
/// Largest configuration or key file that goes into a backup, bytes.
const MAX_PART: u64 = 1024 * 1024;
/// Rows that are restored with one commit.
const ROWS_PER_COMMIT: usize = 256;

/// Why there is no backup, or none that can be restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file system failed.
    #[error("can't use {path}: {source}")]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It isn't a backup, or not a whole one.
    #[error("{path} is no backup that can be restored: {why}; nothing was changed: use another copy of it")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A later version's.
    #[error("{path} is a backup of format {found}, this version knows {FORMAT}: restore it with the newer version")]
    NewerFormat {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// There is something in the home already.
    #[error("{home} isn't empty, and nothing in it was changed: restore into another --home, or move that one away")]
    NotEmpty {
        /// The directory.
        home: PathBuf,
    },
    /// It would be larger than any that can be restored.
    #[error(
        "the backup would have {bytes} bytes and {most} is the most that can be restored; nothing was written: stop the node \
         and keep a copy of its whole home instead"
    )]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The most bytes that it may have.
        most: u64,
    },
    /// The home can't be made.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The store can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the program that made it.
    pub version: String,
    /// The ledger's passphrase, which its network follows from.
    pub passphrase: String,
    /// Whose node it is of.
    pub account: Option<AccountId>,
    /// When it was made, by the ledger.
    pub made_at: Moment,
}

/// A backup in memory.
#[derive(Debug, PartialEq, Eq)]
pub struct Backup {
    /// What it says of itself.
    pub header: Header,
    config: Vec<u8>,
    keys: Vec<u8>,
    node_key: Vec<u8>,
    rows: Vec<StoredRow>,
}

impl Backup {
    /// A backup of these rows, with the home's files.
    ///
    /// # Errors
    /// [`BackupError::Io`] where a file can't be read.
    pub fn of(home: &Home, header: Header, rows: Vec<StoredRow>) -> Result<Self, BackupError> {
        let (config, keys) = (optional(&home.config_file())?, optional(&home.key_file())?);
        Ok(Self { header, config, keys, node_key: optional(&home.node_key_file())?, rows })
    }

    /// How many rows of the store it has.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Writes it to a new file that only its owner may read, whole or not at all.
    ///
    /// # Errors
    /// [`BackupError::Io`], also where there is a file of that name already, and [`BackupError::TooLarge`].
    pub fn write_new(&self, path: &Path) -> Result<(), BackupError> {
        private_file::write_new(path, &self.to_bytes(MAX_FILE)?).map_err(BackupError::io(path))
    }

    /// Reads one and checks all of it.
    ///
    /// # Errors
    /// A [`BackupError`] that says why it can't be restored.
    pub fn read(path: &Path) -> Result<Self, BackupError> {
        let bytes = private_file::read(path, MAX_FILE).map_err(BackupError::io(path))?;
        let damaged = |why| BackupError::Damaged { path: path.to_owned(), why };
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(damaged("it is too short"))?;
        let mut rest = content.strip_prefix(MAGIC).ok_or(damaged("it doesn't begin like one"))?;
        let format = number(&mut rest).ok_or(damaged("it is cut off"))?;
        if format > FORMAT {
            return Err(BackupError::NewerFormat { path: path.to_owned(), found: format });
        }
        if Sha256::digest(content).as_slice() != checksum {
            return Err(damaged("its checksum is wrong"));
        }
        Self::parse(rest).ok_or(damaged("its parts don't fit together"))
    }

    fn parse(mut rest: &[u8]) -> Option<Self> {
        let rest = &mut rest;
        let header = serde_json::from_slice(part(rest)?).ok()?;
        let (config, keys, node_key) = (part(rest)?.to_vec(), part(rest)?.to_vec(), part(rest)?.to_vec());
        let (count, after) = rest.split_first_chunk::<8>()?;
        *rest = after;
        let mut rows = Vec::new();
        for _ in 0..u64::from_le_bytes(*count) {
            let (space, after) = rest.split_first()?;
            *rest = after;
            let space = Space::ALL.iter().copied().find(|known| *known as u8 == *space && known.is_backed_up())?;
            rows.push((space, part(rest)?.to_vec(), part(rest)?.to_vec()));
        }
        rest.is_empty().then_some(Self { header, config, keys, node_key, rows })
    }

    fn to_bytes(&self, most: u64) -> Result<Vec<u8>, BackupError> {
        let header = serde_json::to_vec(&self.header).expect("plain fields are JSON");
        let parts = [&header, &self.config, &self.keys, &self.node_key];
        let in_part = |part: &Vec<u8>| LENGTH_BYTES + part.len() as u64;
        let in_row = |(_, key, value): &StoredRow| 1 + in_part(key) + in_part(value);
        let fixed = (MAGIC.len() + size_of::<u32>() + size_of::<u64>() + CHECKSUM_BYTES) as u64;
        let size = fixed + parts.into_iter().map(in_part).sum::<u64>() + self.rows.iter().map(in_row).sum::<u64>();
        if size > most {
            return Err(BackupError::TooLarge { bytes: size, most });
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        for part in parts {
            put(&mut bytes, part);
        }
        bytes.extend((self.rows.len() as u64).to_le_bytes());
        for (space, key, value) in &self.rows {
            bytes.push(*space as u8);
            put(&mut bytes, key);
            put(&mut bytes, value);
        }
        let checksum = Sha256::digest(&bytes);
        bytes.extend(checksum);
        Ok(bytes)
    }

    /// Makes it a home that a node can be started from, whole or not at all. The node then compares what it knows with
    /// the ledger before anything new begins. An empty directory may stand there already, also a mount point.
    ///
    /// # Errors
    /// [`BackupError::NotEmpty`] where there is something already, and what the file system or the store says.
    pub fn restore(&self, home: &Home) -> Result<(), BackupError> {
        let dir = home.dir();
        match what_stands(dir)? {
            Standing::Nothing => {}
            Standing::Empty => return self.restore_into(dir),
            Standing::Something => return Err(BackupError::NotEmpty { home: dir.to_owned() }),
        }
        let parent = dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(BackupError::io(parent))?;
        // In a place of its own first, so that no crash leaves half a home behind.
        let unfinished = unfinished_in(parent)?;
        let done = self.fill(&Home::at(&unfinished)).and_then(|()| {
            fs::rename(&unfinished, dir).map_err(BackupError::io(dir))?;
            sync(parent)
        });
        if done.is_err() {
            // The first error is the one to tell.
            let _ = fs::remove_dir_all(&unfinished);
        }
        done
    }

    /// Fills a directory that can't be replaced: its parent may be another's, or another file system. The keys come last,
    /// for without them nothing is signed.
    fn restore_into(&self, dir: &Path) -> Result<(), BackupError> {
        let unfinished = unfinished_in(dir)?;
        let (from, to) = (Home::at(&unfinished), Home::at(dir));
        let mut placed = Vec::new();
        let done = self.fill(&from).and_then(|()| {
            let keys = [(from.node_key_file(), to.node_key_file()), (from.key_file(), to.key_file())];
            let rest = [(from.config_file(), to.config_file()), (from.services_dir(), to.services_dir())];
            for (source, target) in [(from.data_dir(), to.data_dir())].into_iter().chain(rest).chain(keys) {
                if source.exists() {
                    fs::rename(&source, &target).map_err(BackupError::io(&target))?;
                    placed.push(target);
                }
            }
            fs::remove_dir(&unfinished).map_err(BackupError::io(&unfinished))?;
            sync(dir)
        });
        if done.is_err() {
            // The keys first; the first error is the one to tell.
            for path in placed.iter().rev() {
                let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            }
            let _ = fs::remove_dir_all(&unfinished);
        }
        done
    }

    fn fill(&self, home: &Home) -> Result<(), BackupError> {
        home.create()?;
        let files =
            [(home.config_file(), &self.config), (home.key_file(), &self.keys), (home.node_key_file(), &self.node_key)];
        for (path, content) in files.into_iter().filter(|(_, content)| !content.is_empty()) {
            private_file::write_new(&path, content).map_err(BackupError::io(&path))?;
        }
        let store = Store::open(home.data_dir(), &NetworkId::of_passphrase(&self.header.passphrase))?;
        for rows in self.rows.chunks(ROWS_PER_COMMIT) {
            let mut batch = Batch::new();
            for (space, key, value) in rows {
                batch.put(*space, key.clone(), value.clone());
            }
            store.commit(batch)?;
        }
        let mut batch = Batch::new();
        batch.put(Space::Mark, RESTORED_KEY, self.header.made_at.secs.to_be_bytes());
        Ok(store.commit(batch)?)
    }
}

fn sync(dir: &Path) -> Result<(), BackupError> {
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(BackupError::io(dir))
}

fn unfinished_in(parent: &Path) -> Result<PathBuf, BackupError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|e| BackupError::io(parent)(io::Error::other(e)))?;
    Ok(parent.join(format!(".tradepost-restoring-{}", hex::encode(random))))
}

/// What stands where a home is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Nothing,
    Empty,
    Something,
}

fn what_stands(dir: &Path) -> Result<Standing, BackupError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Standing::Nothing),
        Err(e) => return Err(BackupError::io(dir)(e)),
    };
    for entry in entries {
        // A new file system begins with that.
        if entry.map_err(BackupError::io(dir))?.file_name() != "lost+found" {
            return Ok(Standing::Something);
        }
    }
    Ok(Standing::Empty)
}

fn optional(path: &Path) -> Result<Vec<u8>, BackupError> {
    match private_file::read(path, MAX_PART) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(BackupError::io(path)),
    }
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).expect("the whole is smaller than that");
    bytes.extend(length.to_le_bytes());
    bytes.extend(part);
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_le_bytes(*number))
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (part, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(part)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tradepost_protocol::time::Timestamp;
    use tradepost_store::Contents;

    use super::*;

    fn sample(home: &Home) -> Backup {
        home.create().unwrap();
        fs::write(home.config_file(), "network = \"devnet\"\n").unwrap();
        fs::write(home.key_file(), "{}").unwrap();
        let header = Header {
            version: "0.1.0".into(),
            passphrase: "A network of backups".into(),
            account: Some(AccountId::from_bytes([1; 32])),
            made_at: Timestamp::from_secs(1_800_000_000).into(),
        };
        let rows = (0..600u32).map(|n| (Space::Intent, n.to_be_bytes().to_vec(), vec![7; 100]));
        Backup::of(home, header, rows.chain([(Space::Head, b"h".to_vec(), vec![])]).collect()).unwrap()
    }

    #[test]
    fn g52_what_was_backed_up_stands_in_another_home_again_and_says_that_it_was_restored() {
        let dir = tempfile::tempdir().unwrap();
        let made = sample(&Home::at(dir.path().join("old")));
        let file = dir.path().join("backup");
        made.write_new(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(made.write_new(&file), Err(BackupError::Io { .. })), "never over another file");
        let read = Backup::read(&file).unwrap();
        assert_eq!(read, made);

        let new = Home::at(dir.path().join("new"));
        read.restore(&new).unwrap();
        assert_eq!(fs::read(new.key_file()).unwrap(), b"{}");
        assert_eq!(fs::metadata(new.key_file()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(new.dir()).unwrap().permissions().mode() & 0o777, 0o700);
        let store = Store::open(new.data_dir(), &NetworkId::of_passphrase("A network of backups")).unwrap();
        assert_eq!((store.count(Space::Intent), store.count(Space::Head)), (600, 1));
        assert!(store.get(Space::Mark, RESTORED_KEY).unwrap().is_some());
        drop(store);
        fs::remove_dir_all(new.data_dir().join("sled")).unwrap();
        let store = Store::open(new.data_dir(), &NetworkId::of_passphrase("A network of backups")).unwrap();
        assert!(store.get(Space::Mark, RESTORED_KEY).unwrap().is_some(), "a lost database doesn't make it forget");
        drop(store);

        assert!(matches!(read.restore(&new), Err(BackupError::NotEmpty { .. })), "nothing is overwritten");
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }

    #[test]
    fn a_backup_goes_into_an_empty_directory_that_cannot_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let made = sample(&Home::at(dir.path().join("old")));
        // A directory behind a link can't be renamed onto, as a mount point can't; this one is a new file system's.
        let (mount, link) = (dir.path().join("mount"), dir.path().join("link"));
        fs::create_dir_all(mount.join("lost+found")).unwrap();
        std::os::unix::fs::symlink(&mount, &link).unwrap();
        let new = Home::at(&link);
        made.restore(&new).unwrap();
        assert_eq!(fs::read(new.key_file()).unwrap(), b"{}");
        let store = Store::open(new.data_dir(), &NetworkId::of_passphrase("A network of backups")).unwrap();
        assert!(store.get(Space::Mark, RESTORED_KEY).unwrap().is_some());
        let mut names: Vec<_> = fs::read_dir(&mount).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["config.toml", "data", "keys.json", "lost+found", "services"]);
        assert!(matches!(made.restore(&new), Err(BackupError::NotEmpty { .. })));
    }

    #[test]
    fn a_restore_that_fails_half_way_leaves_the_empty_directory_empty() {
        let dir = tempfile::tempdir().unwrap();
        let mut made = sample(&Home::at(dir.path().join("old")));
        made.rows.push((Space::Intent, b"too large".to_vec(), vec![0; 64 * 1024 * 1024]));
        let new = Home::at(dir.path().join("new"));
        fs::create_dir(new.dir()).unwrap();
        assert!(matches!(made.restore(&new), Err(BackupError::Store(StoreError::TooLarge { .. }))));
        assert_eq!(fs::read_dir(new.dir()).unwrap().count(), 0);
    }

    #[test]
    fn no_backup_is_written_that_could_not_be_restored() {
        let dir = tempfile::tempdir().unwrap();
        let made = sample(&Home::at(dir.path().join("old")));
        let size = made.to_bytes(MAX_FILE).unwrap().len() as u64;
        assert!(made.to_bytes(size).is_ok());
        let refused = made.to_bytes(size - 1).unwrap_err();
        assert!(matches!(refused, BackupError::TooLarge { bytes, most } if (bytes, most) == (size, size - 1)));
    }

    #[test]
    fn a_backup_that_was_changed_anywhere_or_cut_anywhere_is_refused_before_anything_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let mut made = sample(&Home::at(dir.path().join("old")));
        made.rows.truncate(2);
        let bytes = made.to_bytes(MAX_FILE).unwrap();
        let file = dir.path().join("backup");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            fs::write(&file, &changed).unwrap();
            assert!(Backup::read(&file).is_err(), "byte {at}");
            fs::write(&file, &bytes[..at]).unwrap();
            assert!(matches!(Backup::read(&file), Err(BackupError::Damaged { .. })), "cut at {at}");
        }
        let mut newer = bytes;
        newer[16] = 2;
        fs::write(&file, &newer).unwrap();
        assert!(matches!(Backup::read(&file), Err(BackupError::NewerFormat { found: 2, .. })));
    }
}
