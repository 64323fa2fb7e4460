//! The one writer: takes all batches that wait, makes them durable with one sync, and acknowledges them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

use tradepost_protocol::step::{Batch, Space};

use crate::database::Database;
use crate::error::StoreError;
use crate::group::{Stage, position_bytes};
use crate::journal::Journal;
use crate::keyspace::{POSITION_KEY, batch_bytes, disk_key};
use crate::view::View;

/// Batches that may wait for the writer; whoever brings more waits at the door.
pub(crate) const QUEUE_BATCHES: usize = 1_024;
/// The most batches of one group.
const MAX_GROUP_BATCHES: usize = 512;
/// Bytes after which a group takes no further batch.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// The journal is rewritten when it is longer than this, in bytes, and four times as long as after its last rewriting.
pub(crate) const COMPACT_BYTES: u64 = 16 * 1024 * 1024;
/// How many times longer than after its last rewriting a journal must be.
const COMPACT_GROWTH: u64 = 4;
/// Bytes of live values in one record of a rewritten journal.
const COMPACT_RECORD_BYTES: usize = 1024 * 1024;

/// What the writer has done since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Batches acknowledged.
    pub batches: u64,
    /// Syncs of the journal for batches that money depends on.
    pub journal_syncs: u64,
    /// Syncs of the database.
    pub database_syncs: u64,
    /// How often the journal was rewritten.
    pub compactions: u64,
}

/// The same, counted while others read.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    batches: AtomicU64,
    journal_syncs: AtomicU64,
    database_syncs: AtomicU64,
    compactions: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> Activity {
        Activity {
            batches: self.batches.load(Ordering::Relaxed),
            journal_syncs: self.journal_syncs.load(Ordering::Relaxed),
            database_syncs: self.database_syncs.load(Ordering::Relaxed),
            compactions: self.compactions.load(Ordering::Relaxed),
        }
    }
}

/// A batch, and who waits for its becoming durable.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) batch: Batch,
    pub(crate) done: SyncSender<Result<(), StoreError>>,
}

impl Waiting {
    fn answer(self, result: Result<(), StoreError>) {
        // Whoever waited may have gone; what was stored stays stored.
        let _ = self.done.send(result);
    }
}

/// A group's way through the writer.
#[derive(Debug)]
struct Stages {
    /// What readers may see once the journal is synced: the durable values, and those that it holds.
    shown: Stage,
    after: Stage,
}

/// All that the writer owns.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) journal: Journal,
    pub(crate) database: Database,
    pub(crate) view: Arc<View>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) compact_bytes: u64,
    /// Length of the journal after its last rewriting, in bytes.
    pub(crate) compacted_length: u64,
    failed: Option<Arc<StoreError>>,
}

impl Writer {
    pub(crate) fn new(journal: Journal, database: Database, view: Arc<View>, compact_bytes: u64) -> Self {
        let counters = Arc::default();
        Self { journal, database, view, counters, compact_bytes, compacted_length: 0, failed: None }
    }

    /// Writes until nobody can bring batches any more.
    pub(crate) fn run(mut self, inbox: &Receiver<Waiting>) {
        while let Ok(first) = inbox.recv() {
            self.commit_group(gather(first, inbox));
            self.compact_if_grown();
        }
        if self.failed.is_none()
            && let Err(error) = self.database.sync()
        {
            tracing::warn!(%error, "the database could not be synced at the end; the journal makes up for it");
        }
    }

    /// Makes a group durable and answers everyone in it.
    pub(crate) fn commit_group(&mut self, group: Vec<Waiting>) {
        if let Some(cause) = &self.failed {
            for waiting in group {
                waiting.answer(Err(StoreError::Stopped { cause: Arc::clone(cause) }));
            }
            return;
        }
        let stages = match self.journal_group(&group) {
            Ok(stages) => stages,
            Err(error) => return self.fail(error, group),
        };
        self.view.cover(stages.shown.clone());
        let (money, plain): (Vec<_>, Vec<_>) = group.into_iter().partition(|waiting| waiting.batch.holds_money());
        let journalled = !money.is_empty();
        self.acknowledge(money);
        match self.apply_group(&stages, journalled, !plain.is_empty()) {
            Ok(()) => {
                self.view.uncover(stages.after.counts);
                self.acknowledge(plain);
            }
            Err(error) => self.fail(error, plain),
        }
    }

    /// Journals what money depends on.
    fn journal_group(&mut self, group: &[Waiting]) -> Result<Stages, StoreError> {
        let batches = || group.iter().map(|waiting| &waiting.batch);
        let before = Stage::before(batches(), &self.database, self.view.counts())?;
        let money: Vec<_> = batches().filter(|batch| batch.holds_money()).collect();
        if !money.is_empty() {
            self.counters.journal_syncs.fetch_add(1, Ordering::Relaxed);
            self.journal.append_durably(money.iter().copied())?;
        }
        let (shown, after) = (before.after(money), before.after(batches()));
        Ok(Stages { shown, after })
    }

    /// Brings sled to the group's end. A group that is journalled in whole needs no sync of sled.
    fn apply_group(&mut self, stages: &Stages, journalled: bool, durably: bool) -> Result<(), StoreError> {
        let position = journalled.then(|| self.journal.place());
        self.database.apply(stages.after.writes(position))?;
        if durably { self.sync_database() } else { Ok(()) }
    }

    fn sync_database(&mut self) -> Result<(), StoreError> {
        self.counters.database_syncs.fetch_add(1, Ordering::Relaxed);
        self.database.sync()
    }

    fn acknowledge(&self, stored: Vec<Waiting>) {
        self.counters.batches.fetch_add(stored.len() as u64, Ordering::Relaxed);
        for waiting in stored {
            waiting.answer(Ok(()));
        }
    }

    /// Remembers the first failure, after which nothing is written any more.
    fn fail(&mut self, error: StoreError, group: Vec<Waiting>) {
        tracing::error!(%error, "the store stopped writing");
        let cause = Arc::new(error);
        self.failed = Some(Arc::clone(&cause));
        for waiting in group {
            waiting.answer(Err(StoreError::NotDurable { cause: Arc::clone(&cause) }));
        }
    }

    pub(crate) fn compact_if_grown(&mut self) {
        let length = self.journal.place().offset;
        let bound = self.compact_bytes.max(self.compacted_length.saturating_mul(COMPACT_GROWTH));
        if self.failed.is_some() || length <= bound {
            return;
        }
        // Replaying the old journal restored more than its money: that has to be durable in sled before it goes.
        if let Err(error) = self.sync_database() {
            return self.fail(error, Vec::new());
        }
        match self.write_compacted() {
            Ok(journal) => {
                if let Err(error) = self.switch_to(journal) {
                    self.fail(error, Vec::new());
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the journal could not be rewritten; it keeps growing until the next try");
                self.compacted_length = length;
            }
        }
    }

    /// Writes the live values of the money spaces as a new journal, beside the old one; leaves nothing if it can't.
    pub(crate) fn write_compacted(&self) -> Result<Journal, StoreError> {
        let path = new_journal_path(self.journal.path());
        let written = Journal::create(&path, self.journal.network(), self.journal.place().generation + 1)
            .and_then(|journal| self.write_live(journal));
        if written.is_err() {
            // A full disk needs the room back; a leftover is removed at the next start anyway.
            let _ = fs::remove_file(&path);
        }
        written
    }

    fn write_live(&self, mut journal: Journal) -> Result<Journal, StoreError> {
        let mut live = Batch::new();
        let mut bytes = 0;
        for space in Space::ALL.iter().copied().filter(|space| space.holds_money()) {
            for entry in self.database.tree.scan_prefix(disk_key(space, &[])) {
                let (key, value) = entry.map_err(StoreError::database("reading"))?;
                bytes += key.len() + value.len();
                live.put(space, &key[1..], value.as_ref());
                if bytes >= COMPACT_RECORD_BYTES {
                    journal.append(std::iter::once(&live))?;
                    (live, bytes) = (Batch::new(), 0);
                }
            }
        }
        if !live.is_empty() {
            journal.append(std::iter::once(&live))?;
        }
        journal.sync()?;
        Ok(journal)
    }

    /// Puts a rewritten journal in the old one's place.
    pub(crate) fn switch_to(&mut self, mut journal: Journal) -> Result<(), StoreError> {
        journal.install(self.journal.path())?;
        self.compacted_length = journal.place().offset;
        self.journal = journal;
        self.counters.compactions.fetch_add(1, Ordering::Relaxed);
        // Until this is in sled, a start rebuilds the money spaces from the new journal.
        let mut writes = sled::Batch::default();
        writes.insert(&POSITION_KEY, &position_bytes(self.journal.place()));
        self.database.apply(writes)
    }
}

/// Where a journal is written before it takes its name.
pub(crate) fn new_journal_path(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// The first batch and all others that already wait, within the bounds of a group.
fn gather(first: Waiting, inbox: &Receiver<Waiting>) -> Vec<Waiting> {
    let mut bytes = batch_bytes(&first.batch);
    let mut group = vec![first];
    while group.len() < MAX_GROUP_BATCHES && bytes < GROUP_BYTES {
        let Ok(next) = inbox.try_recv() else { break };
        bytes += batch_bytes(&next.batch);
        group.push(next);
    }
    group
}
