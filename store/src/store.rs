//! The store on disk.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use tradepost_protocol::market::StoredRow;
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::step::{Batch, Commit, Space};

use crate::contents::{Contents, Entry};
use crate::database::LetGo;
use crate::error::StoreError;
use crate::keyspace::check_bounds;
use crate::recovery;
use crate::view::View;
use crate::writer::{Activity, COMPACT_BYTES, Counters, QUEUE_BATCHES, Waiting};

/// A node's durable state in a directory: sled and the journal. Clones share one store; with the last one it is closed.
///
/// All of it blocks, for as long as the disk takes: asynchronous callers use a thread where blocking is allowed.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    view: Arc<View>,
    counters: Arc<Counters>,
    /// `None` once the store closes, which ends the writer.
    inbox: Option<SyncSender<Waiting>>,
    writer: Option<JoinHandle<()>>,
    /// Whoever closes the last clone may move or remove its files.
    _database: LetGo,
    /// Held until the writer has ended.
    _lock: File,
}

impl Store {
    /// Opens the store in a directory, which is made where it doesn't exist, and replays the journal.
    ///
    /// # Errors
    /// Where another process has it open, it belongs to another network or a newer version, or is damaged; then nothing
    /// of it was changed.
    pub fn open(dir: impl AsRef<Path>, network: &NetworkId) -> Result<Self, StoreError> {
        Self::open_compacting(dir.as_ref(), *network, COMPACT_BYTES)
    }

    fn open_compacting(dir: &Path, network: NetworkId, compact_bytes: u64) -> Result<Self, StoreError> {
        let (writer, lock) = recovery::open(dir, network, compact_bytes)?;
        let database = LetGo::of(&dir.join("sled"))?;
        let (view, counters) = (Arc::clone(&writer.view), Arc::clone(&writer.counters));
        let (inbox, waiting) = sync_channel(QUEUE_BATCHES);
        let writer = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&waiting))
            .map_err(StoreError::io("starting the writer for", dir))?;
        let (inbox, writer) = (Some(inbox), Some(writer));
        let shared = Shared { view, counters, inbox, writer, _database: database, _lock: lock };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Makes a batch durable; returns once it is and readers see it.
    ///
    /// # Errors
    /// Where it is larger than the store takes, or could not be made durable; readers see nothing of it then.
    pub fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        check_bounds(&batch)?;
        if batch.is_empty() {
            return Ok(());
        }
        let (done, answer) = sync_channel(1);
        let inbox = self.shared.inbox.as_ref().ok_or(StoreError::WriterGone)?;
        inbox.send(Waiting { batch, done }).map_err(|_| StoreError::WriterGone)?;
        answer.recv().map_err(|_| StoreError::WriterGone)?
    }

    /// The way to a consistent copy of what a backup needs, which doesn't keep the store open.
    pub fn export(&self) -> Export {
        Export { shared: Arc::downgrade(&self.shared) }
    }

    /// What the writer has done since the store was opened.
    pub fn activity(&self) -> Activity {
        self.shared.counters.read()
    }
}

/// Reads what a backup needs, as long as the store is open elsewhere.
#[derive(Debug, Clone)]
pub struct Export {
    shared: Weak<Shared>,
}

impl Export {
    /// All rows of all spaces that are backed up, as they stood at one moment.
    ///
    /// # Errors
    /// Where the store can't be read, or is closed.
    pub fn rows(&self) -> Result<Vec<StoredRow>, StoreError> {
        let shared = self.shared.upgrade().ok_or(StoreError::WriterGone)?;
        let spaces = Space::ALL.iter().copied().filter(|space| space.is_backed_up());
        let rows = shared.view.rows(spaces)?;
        Ok(rows.into_iter().map(|(space, (key, value))| (space, key, value)).collect())
    }
}

impl Contents for Store {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.shared.view.get(space, key)
    }

    fn page(&self, space: Space, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.shared.view.page(space, prefix, after, limit)
    }

    fn count(&self, space: Space) -> u64 {
        self.shared.view.count(space)
    }
}

impl Commit for Store {
    type Error = StoreError;

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        Store::commit(self, batch)
    }
}

impl Commit for &Store {
    type Error = StoreError;

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        Store::commit(self, batch)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.inbox = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}

#[cfg(test)]
mod tests;
