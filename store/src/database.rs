//! sled by our rules: one tree, synced by our own hand, a torn snapshot set aside.

use core::fmt;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::StoreError;
use crate::journal::sync_parent;

/// Bytes that sled's cache may take. It doesn't bound sled's memory strictly; a small one keeps it low.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// What a disk must take for an error to be the database's: more than sled adds to its file at a time, bytes.
const ROOM_BYTES: usize = 1024 * 1024;

/// How long a sled that was just closed in this process may keep its file: its own threads let go of it late.
const CLOSING_TIME: Duration = Duration::from_secs(5);
/// How often that is looked at.
const CLOSING_POLL: Duration = Duration::from_millis(5);

/// sled's one tree, and the handles by which it is made durable.
pub(crate) struct Database {
    dir: PathBuf,
    pub(crate) tree: sled::Db,
    /// Our own handle of sled's file: its flush doesn't sync on Linux.
    pub(crate) file: File,
    /// Values too large for sled's file stand in files of their own, which sled never syncs; these ones we did.
    synced_blobs: BTreeSet<OsString>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // sled's own would print every value that it holds.
        f.debug_struct("Database").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Database {
    /// Opens sled in a directory, and makes the directory's names durable.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        let tree = open_when_free(dir).or_else(|error| {
            if !matches!(error, StoreError::DatabaseDamaged { .. }) || set_snapshots_aside(dir)? == 0 {
                return Err(error);
            }
            tracing::warn!(dir = %dir.display(), %error, "sled did not open; its snapshot is set aside, trying again");
            open_when_free(dir)
        })?;
        let path = dir.join("db");
        let file = File::open(&path).map_err(StoreError::io("opening", &path))?;
        let mut database = Self { dir: dir.to_owned(), tree, file, synced_blobs: BTreeSet::new() };
        database.sync()?;
        sync_parent(&path)?;
        sync_parent(dir)?;
        Ok(database)
    }

    /// The value of a key of the tree.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.tree.get(key).map_err(StoreError::database("reading"))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Applies writes together or not at all. Not durable before [`Database::sync`].
    pub(crate) fn apply(&self, writes: sled::Batch) -> Result<(), StoreError> {
        self.tree.apply_batch(writes).map_err(StoreError::database("applying a batch"))
    }

    /// Returns once all that was applied is durable.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        self.sync_blobs()?;
        self.tree.flush().map_err(StoreError::database("flushing"))?;
        self.file.sync_data().map_err(StoreError::io("syncing", &self.dir.join("db")))
    }

    fn sync_blobs(&mut self) -> Result<(), StoreError> {
        let dir = self.dir.join("blobs");
        let failed = || StoreError::io("syncing", &dir);
        let mut present = BTreeSet::new();
        let mut new = false;
        for entry in fs::read_dir(&dir).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            if !self.synced_blobs.contains(&name) {
                match File::open(dir.join(&name)).and_then(|blob| blob.sync_all()) {
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    done => done.map_err(failed())?,
                }
                new = true;
            }
            present.insert(name);
        }
        self.synced_blobs = present;
        if new { sync_parent(&dir.join("blob")) } else { Ok(()) }
    }
}

/// Waits, when it is dropped, until a sled that was closed before has let go of its file: its own threads do so late, and write
/// into its directory until then.
#[derive(Debug)]
pub(crate) struct LetGo(File);

impl LetGo {
    /// Of the sled in a directory.
    pub(crate) fn of(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("db");
        File::open(&path).map(Self).map_err(StoreError::io("opening", &path))
    }
}

impl Drop for LetGo {
    fn drop(&mut self) {
        let began = Instant::now();
        while matches!(self.0.try_lock(), Err(TryLockError::WouldBlock)) && began.elapsed() < CLOSING_TIME {
            thread::sleep(CLOSING_POLL);
        }
    }
}

/// Opens sled once an earlier one of this process has let go of its file: the store's own lock already keeps other
/// processes out.
fn open_when_free(dir: &Path) -> Result<sled::Db, StoreError> {
    let began = Instant::now();
    loop {
        match open_sled(dir) {
            Err(StoreError::Locked { .. }) if began.elapsed() < CLOSING_TIME => thread::sleep(CLOSING_POLL),
            opened => return opened,
        }
    }
}

/// Opens sled; a panic of its recovery is an error, too.
fn open_sled(dir: &Path) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    let damaged = |cause: String| StoreError::DatabaseDamaged { dir: dir.to_owned(), cause };
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(tree)) => Ok(tree),
        Ok(Err(sled::Error::Io(error))) if error.kind() == ErrorKind::WouldBlock || is_lock(&error) => {
            Err(StoreError::Locked { dir: dir.to_owned() })
        }
        Ok(Err(error)) => Err(refusal_of_the_disk(dir).unwrap_or_else(|| damaged(error.to_string()))),
        Err(_) => Err(refusal_of_the_disk(dir).unwrap_or_else(|| damaged("its recovery panicked".to_owned()))),
    }
}

/// Why sound files don't open: the disk is full, or takes nothing for another reason. sled says that in as many ways as
/// that its files are damaged, or panics, so it is tried.
fn refusal_of_the_disk(dir: &Path) -> Option<StoreError> {
    let path = dir.join("room");
    let write = |mut file: File| file.write_all(&[0; ROOM_BYTES]).and_then(|()| file.sync_all());
    let tried = fs::create_dir_all(dir).and_then(|()| File::create(&path)).and_then(write);
    // Where it can't be made it needn't be removed.
    let _ = fs::remove_file(&path);
    tried.err().map(StoreError::io("writing", &path))
}

/// Whether sled means its lock: it wraps the reason in text.
fn is_lock(error: &std::io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

/// Renames sled's snapshots, which it can do without; gives how many there were.
fn set_snapshots_aside(dir: &Path) -> Result<usize, StoreError> {
    let failed = || StoreError::io("setting a snapshot aside in", dir);
    let mut moved = 0;
    for entry in fs::read_dir(dir).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with("snap.")) else { continue };
        fs::rename(dir.join(name), dir.join(format!("torn-{name}"))).map_err(failed())?;
        moved += 1;
    }
    Ok(moved)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn insert(database: &Database, key: &[u8], value: &[u8]) {
        let mut batch = sled::Batch::default();
        batch.insert(key, value);
        database.apply(batch).unwrap();
    }

    #[test]
    fn a_torn_snapshot_is_set_aside_and_nothing_is_missing() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("sled");
        let mut database = Database::open(&dir).unwrap();
        insert(&database, b"k", b"v");
        database.sync().unwrap();
        drop(database);
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("snap.") {
                fs::write(path, b"").unwrap();
            }
        }
        fs::write(dir.join("snap.00000000000FFFFF"), b"torn").unwrap();
        let database = Database::open(&dir).unwrap();
        assert_eq!(database.get(b"k").unwrap(), Some(b"v".to_vec()));
        assert!(dir.join("torn-snap.00000000000FFFFF").exists());
    }

    #[test]
    fn a_database_that_sled_cannot_open_is_an_error_that_says_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("sled");
        Database::open(&dir).unwrap();
        fs::write(dir.join("conf"), "no configuration of sled's").unwrap();
        let error = Database::open(&dir).unwrap_err();
        assert!(matches!(error, StoreError::DatabaseDamaged { .. }), "{error}");
        assert!(error.to_string().contains("tradepost store rebuild"), "{error}");
    }

    #[test]
    fn values_that_sled_keeps_in_files_of_their_own_are_synced_too() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("sled");
        let mut database = Database::open(&dir).unwrap();
        insert(&database, b"large", &vec![7; 600_000]);
        let blobs = fs::read_dir(dir.join("blobs")).unwrap().count();
        assert!(blobs > 0, "sled wrote no blob: choose a larger value");
        database.sync().unwrap();
        assert_eq!(database.synced_blobs.len(), blobs);
        database.sync().unwrap();
        assert_eq!(database.synced_blobs.len(), fs::read_dir(dir.join("blobs")).unwrap().count());
    }
}
