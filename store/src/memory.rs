//! The back end for simulation: everything in memory, and a crash loses what wasn't synced.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tradepost_protocol::step::{Batch, Commit, Space};

use crate::contents::{Contents, Entry, MAX_PAGE_ENTRIES};
use crate::error::StoreError;
use crate::keyspace::{check_bounds, parts};

/// When a batch becomes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncing {
    /// With its commit, as on disk.
    EveryCommit,
    /// With the next [`MemoryStore::sync`]: a disk that acknowledges too early.
    ByHand,
}

/// A store in memory; clones share one state.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    syncing: Syncing,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    current: Table,
    durable: Table,
    unsynced: Vec<Batch>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(Syncing::EveryCommit)
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new(syncing: Syncing) -> Self {
        Self { syncing, state: Arc::default() }
    }

    /// Makes all that was committed durable.
    pub fn sync(&self) {
        self.state().sync();
    }

    /// What is found after a crash: what was durable at the last sync. The crashed store and its clones have no part
    /// in it.
    #[must_use]
    pub fn crash(&self) -> Self {
        let durable = self.state().durable.clone();
        let state = State { current: durable.clone(), durable, unsynced: Vec::new() };
        Self { syncing: self.syncing, state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn sync(&mut self) {
        for batch in self.unsynced.drain(..) {
            self.durable.apply(&batch);
        }
    }
}

impl Contents for MemoryStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state().current.entries.get(&(space, key.to_vec())).cloned())
    }

    fn page(&self, space: Space, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded((space, after.to_vec())),
            _ => Bound::Included((space, prefix.to_vec())),
        };
        Ok(self
            .state()
            .current
            .entries
            .range((from, Bound::Unbounded))
            .take_while(|((of, key), _)| *of == space && key.starts_with(prefix))
            .take(limit.min(MAX_PAGE_ENTRIES))
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect())
    }

    fn count(&self, space: Space) -> u64 {
        self.state().current.counts.get(&space).copied().unwrap_or(0)
    }
}

impl Commit for MemoryStore {
    type Error = StoreError;

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        (&*self).commit(batch)
    }
}

impl Commit for &MemoryStore {
    type Error = StoreError;

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        check_bounds(&batch)?;
        let mut state = self.state();
        state.current.apply(&batch);
        state.unsynced.push(batch);
        if self.syncing == Syncing::EveryCommit {
            state.sync();
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Default)]
struct Table {
    entries: BTreeMap<(Space, Vec<u8>), Vec<u8>>,
    counts: BTreeMap<Space, u64>,
}

impl Table {
    fn apply(&mut self, batch: &Batch) {
        for (space, key, value) in batch.writes().iter().map(parts) {
            let key = (space, key.to_vec());
            let (had, has) = match value {
                Some(value) => (self.entries.insert(key, value.to_vec()).is_some(), true),
                None => (self.entries.remove(&key).is_some(), false),
            };
            let count = self.counts.entry(space).or_default();
            *count = *count + u64::from(has) - u64::from(had);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn put(store: &MemoryStore, key: &str, value: &str) {
        let mut batch = Batch::new();
        batch.put(Space::Binding, key, value);
        (&*store).commit(batch).unwrap();
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_loses_the_rest_whole() {
        let store = MemoryStore::new(Syncing::ByHand);
        put(&store, "a", "1");
        store.sync();
        put(&store, "a", "2");
        put(&store, "b", "1");
        assert_eq!(store.get(Space::Binding, b"a").unwrap(), Some(b"2".to_vec()));
        let after = store.crash();
        assert_eq!(after.get(Space::Binding, b"a").unwrap(), Some(b"1".to_vec()));
        assert_eq!(after.get(Space::Binding, b"b").unwrap(), None);
        assert_eq!((store.count(Space::Binding), after.count(Space::Binding)), (2, 1));
    }

    #[test]
    fn a_correct_store_loses_nothing_in_a_crash() {
        let store = MemoryStore::default();
        put(&store, "a", "1");
        let after = store.crash();
        put(&store, "b", "1");
        assert_eq!(
            after.scan(Space::Binding, b"").map(Result::unwrap).collect::<Vec<_>>(),
            [(b"a".to_vec(), b"1".to_vec())]
        );
    }

    #[test]
    fn a_scan_gives_every_key_of_the_prefix_once_and_in_order_over_many_pages() {
        let store = MemoryStore::default();
        let mut batch = Batch::new();
        for i in 0..1_500u32 {
            batch.put(Space::Message, [b"p".as_slice(), &i.to_be_bytes()].concat(), "v");
        }
        batch.put(Space::Message, "o", "before");
        batch.put(Space::Message, "q", "after");
        batch.put(Space::Head, "p", "another space");
        (&store).commit(batch).unwrap();
        let keys: Vec<_> = store.scan(Space::Message, b"p").map(|entry| entry.unwrap().0).collect();
        assert_eq!(keys.len(), 1_500);
        assert!(keys.is_sorted());
    }
}
