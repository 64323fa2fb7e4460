//! Opening a store: locks, checks, and the replay of the journal.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;
use std::sync::Arc;

use tradepost_protocol::frame;
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::step::{Batch, Space};

use crate::database::Database;
use crate::error::StoreError;
use crate::group::{Counts, Stage, position_bytes, position_of};
use crate::journal::record::Place;
use crate::journal::{Journal, sync_parent};
use crate::keyspace::{FORMAT_KEY, NETWORK_KEY, POSITION_KEY, disk_key, parts, space_of};
use crate::view::View;
use crate::writer::{Writer, new_journal_path};

/// The store's format that this version writes and the latest that it knows.
const STORE_FORMAT: u32 = 1;
/// Keys of a money space that are removed at a time before it is rebuilt.
const CLEAR_KEYS: usize = 1_000;

/// Opens the store in a directory, with the lock that keeps others out of it.
pub(crate) fn open(dir: &Path, network: NetworkId, compact_bytes: u64) -> Result<(Writer, File), StoreError> {
    fs::create_dir_all(dir).map_err(StoreError::io("creating", dir))?;
    let lock = lock(dir)?;
    let sled_dir = dir.join("sled");
    let path = dir.join("journal");
    let unfinished = new_journal_path(&path);
    if unfinished.exists() {
        fs::remove_file(&unfinished).map_err(StoreError::io("removing", &unfinished))?;
    }
    let found = Journal::open(&path, network)?;
    if found.is_none() && sled_dir.exists() {
        return Err(StoreError::JournalMissing { path });
    }
    let mut journal = match found {
        Some(journal) => journal,
        None => {
            let mut journal = Journal::create(&unfinished, network, 1)?;
            journal.install(&path)?;
            sync_parent(dir)?;
            journal
        }
    };
    let mut database = Database::open(&sled_dir)?;
    check_identity(&database, &sled_dir, network)?;
    let counts = replay(&mut journal, &mut database)?;
    let view = Arc::new(View::new((*database.tree).clone(), counts));
    Ok((Writer::new(journal, database, view, compact_bytes), lock))
}

/// Keeps other processes out. The operating system lets go of it when the process ends, however it ends.
pub(crate) fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let file = File::create(&path).map_err(StoreError::io("creating", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io("locking", &path)(error)),
    }
}

/// Refuses another network's or a later version's database, and marks a new one.
fn check_identity(database: &Database, dir: &Path, network: NetworkId) -> Result<(), StoreError> {
    let damaged = |what: &str| StoreError::DatabaseDamaged { dir: dir.to_owned(), cause: format!("{what} unreadable") };
    let Some(format) = database.get(&FORMAT_KEY)? else {
        let mut marks = sled::Batch::default();
        marks.insert(&FORMAT_KEY, &STORE_FORMAT.to_le_bytes());
        marks.insert(&NETWORK_KEY, network.as_bytes());
        return database.apply(marks);
    };
    let format = u32::from_le_bytes(format.as_slice().try_into().map_err(|_| damaged("its format is"))?);
    if format > STORE_FORMAT {
        return Err(StoreError::NewerFormat { path: dir.to_owned(), found: format, known: STORE_FORMAT });
    }
    let found = database.get(&NETWORK_KEY)?.and_then(|bytes| frame::decode::<NetworkId>(&bytes).ok());
    match found.ok_or_else(|| damaged("its network is"))? {
        found if found == network => Ok(()),
        found => Err(StoreError::OtherNetwork { path: dir.to_owned(), found, wanted: network }),
    }
}

/// Brings sled to where the journal ends; gives how many keys each space has then.
///
/// Nothing is changed before the whole journal was read and fits to what sled says that it applied.
fn replay(journal: &mut Journal, database: &mut Database) -> Result<Counts, StoreError> {
    let applied = database.get(&POSITION_KEY)?.and_then(|bytes| position_of(&bytes));
    let start = journal.place();
    let mut rebuild = applied.is_none_or(|at| at.generation < start.generation);
    let mut from = if rebuild { start } else { applied.unwrap_or(start) };
    let mut reached = from == start;
    let mut money = Digests::default();
    journal.read(|end, batches| {
        reached |= end == from;
        if end <= from {
            money.take_in(&batches);
        }
        Ok(())
    })?;
    if !reached {
        let Place { generation, offset } = from;
        return Err(StoreError::JournalBehind { path: journal.path().to_owned(), generation, offset });
    }
    journal.settle()?;
    if !rebuild && !money.are_of(database)? {
        tracing::warn!("the database has lost something that it said it had applied");
        (rebuild, from) = (true, start);
    }

    let mut counts = count_keys(database)?;
    if rebuild {
        // Until the first record is applied, sled has no position in this journal, and a crash begins anew.
        counts = clear_money(database, counts)?;
    }
    let mut replayed = 0usize;
    journal.read(|end, batches| {
        if end > from {
            let after = Stage::before(&batches, database, counts.clone())?.after(&batches);
            database.apply(after.writes(Some(end)))?;
            counts = after.counts;
            replayed += batches.len();
        }
        Ok(())
    })?;
    let mut position = sled::Batch::default();
    position.insert(&POSITION_KEY, &position_bytes(journal.place()));
    database.apply(position)?;
    database.sync()?;
    match (replayed, rebuild) {
        (0, _) => {}
        (_, false) => tracing::info!(batches = replayed, "replayed the journal"),
        (_, true) => tracing::warn!(
            batches = replayed,
            "rebuilt what money depends on from the journal; where the database was lost, offerings come back from peers"
        ),
    }
    Ok(counts)
}

/// What the money spaces hold by the journal, value by value a digest, for comparison within this process.
#[derive(Debug, Default)]
struct Digests(BTreeMap<Vec<u8>, u64>);

impl Digests {
    fn of(value: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write(value);
        hasher.finish()
    }

    fn take_in(&mut self, batches: &[Batch]) {
        let writes = batches.iter().flat_map(Batch::writes).map(parts);
        for (space, key, value) in writes.filter(|(space, ..)| space.holds_money()) {
            match value {
                Some(value) => self.0.insert(disk_key(space, key), Self::of(value)),
                None => self.0.remove(&disk_key(space, key)),
            };
        }
    }

    /// Whether sled holds just that. Of a file that was cut short it may bring back one page older than another, and so the
    /// position without what was applied before it.
    fn are_of(&self, database: &Database) -> Result<bool, StoreError> {
        let mut rows = 0;
        for space in Space::ALL.iter().copied().filter(|space| space.holds_money()) {
            for row in database.tree.scan_prefix(disk_key(space, &[])) {
                let (key, value) = row.map_err(StoreError::database("reading"))?;
                if self.0.get(&key[..]) != Some(&Self::of(&value)) {
                    return Ok(false);
                }
                rows += 1;
            }
        }
        Ok(rows == self.0.len())
    }
}

/// How many keys each space has. They are counted whenever the store is opened, and not kept beside the rows: of a file that
/// was cut short sled may bring back either without the other.
pub(crate) fn count_keys(database: &Database) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    for key in database.tree.iter().keys() {
        let key = key.map_err(StoreError::database("reading"))?;
        if let Some(space) = key.first().and_then(|number| space_of(*number)) {
            counts.change(space, false, true);
        }
    }
    Ok(counts)
}

/// Empties the money spaces, which the journal is about to fill again.
pub(crate) fn clear_money(database: &Database, mut counts: Counts) -> Result<Counts, StoreError> {
    for space in Space::ALL.iter().copied().filter(|space| space.holds_money()) {
        loop {
            let mut gone = Batch::new();
            for key in database.tree.scan_prefix(disk_key(space, &[])).keys().take(CLEAR_KEYS) {
                gone.delete(space, &key.map_err(StoreError::database("reading"))?[1..]);
            }
            if gone.is_empty() {
                break;
            }
            let after = Stage::before([&gone], database, counts.clone())?.after([&gone]);
            database.apply(after.writes(None))?;
            counts = after.counts;
        }
    }
    Ok(counts)
}
