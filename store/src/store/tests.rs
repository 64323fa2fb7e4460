#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::memory::MemoryStore;
use crate::writer::Writer;

mod damage;
mod failure;

type All = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

fn network() -> NetworkId {
    NetworkId::of_passphrase("store tests")
}

/// A directory for a store, removed at the end.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("store")
    }

    fn journal(&self) -> PathBuf {
        self.dir().join("journal")
    }

    fn sled(&self) -> PathBuf {
        self.dir().join("sled")
    }

    /// Loses the database, also one that a refused start has opened just now.
    fn lose_database(&self) {
        drop(LetGo::of(&self.sled()));
        fs::remove_dir_all(self.sled()).unwrap();
    }

    fn open(&self) -> Store {
        Store::open(self.dir(), &network()).unwrap()
    }

    fn refusal(&self) -> StoreError {
        Store::open(self.dir(), &network()).unwrap_err()
    }

    /// What a kill -9 at this moment leaves to the next process.
    fn copy(&self) -> Home {
        let copy = Home::new();
        copy_dir(&self.dir(), &copy.dir());
        copy
    }
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to)
        } else {
            drop(fs::copy(entry.path(), to))
        }
    }
}

fn put(space: Space, key: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(space, key, value);
    batch
}

fn value(store: &impl Contents, space: Space, key: &str) -> Option<String> {
    store.get(space, key.as_bytes()).unwrap().map(|value| String::from_utf8(value).unwrap())
}

fn all(store: &impl Contents) -> All {
    let mut all = All::new();
    for space in Space::ALL.iter().copied() {
        let before = all.len();
        all.extend(store.scan(space, b"").map(|entry| entry.unwrap()).map(|(key, value)| ((space, key), value)));
        assert_eq!(store.count(space), (all.len() - before) as u64, "the counter of {space:?}");
    }
    all
}

fn money(all: &All) -> All {
    all.iter().filter(|((space, _), _)| space.holds_money()).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let write = (prop::sample::select(Space::ALL), 0u8..6, prop::option::of(any::<u8>()));
    let batch = prop::collection::vec(write, 0..5).prop_map(|writes| {
        let mut batch = Batch::new();
        for (space, key, value) in writes {
            match value {
                Some(value) => batch.put(space, [key], [value]),
                None => batch.delete(space, [key]),
            }
        }
        batch
    });
    prop::collection::vec(batch, 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_batches_give_the_same_contents_on_disk_in_memory_and_from_the_journal_alone(
        batches in batches(), reopen_after in 0usize..24, compact_bytes in prop::sample::select(vec![100, u64::MAX]),
    ) {
        let (home, mut memory) = (Home::new(), MemoryStore::default());
        let open = || Store::open_compacting(&home.dir(), network(), compact_bytes).unwrap();
        let mut store = open();
        for (i, batch) in batches.into_iter().enumerate() {
            store.commit(batch.clone()).unwrap();
            memory.commit(batch).unwrap();
            if i == reopen_after {
                drop(store);
                store = open();
            }
        }
        let expected = all(&memory);
        prop_assert_eq!(&all(&store), &expected);
        prop_assert_eq!(&all(&memory.crash()), &expected);
        let killed = home.copy().open();
        prop_assert_eq!(&all(&killed), &expected, "after kill -9");
        drop(store);
        prop_assert_eq!(&all(&open()), &expected, "after a restart");
        home.lose_database();
        prop_assert_eq!(money(&all(&open())), money(&expected), "from the journal alone");
    }
}

#[test]
fn a_store_that_is_closed_has_let_go_of_its_files() {
    let home = Home::new();
    let store = home.open();
    // As sled's own threads do now and then.
    let (held, ended) = (Arc::clone(&store.shared.view), Arc::new(AtomicBool::new(false)));
    let late = thread::spawn({
        let ended = Arc::clone(&ended);
        move || {
            thread::sleep(Duration::from_millis(100));
            ended.store(true, Ordering::SeqCst);
            drop(held);
        }
    });
    drop(store);
    assert!(ended.load(Ordering::SeqCst));
    late.join().unwrap();
    fs::File::open(home.sled().join("db")).unwrap().try_lock().unwrap();
}

#[test]
fn what_eight_threads_commit_shares_syncs_and_is_all_there() {
    let home = Home::new();
    let store = home.open();
    thread::scope(|scope| {
        for t in 0..8 {
            let store = store.clone();
            scope.spawn(move || {
                for i in 0..40 {
                    let space = if i % 2 == 0 { Space::Binding } else { Space::Message };
                    let key = format!("{t}/{i}");
                    store.commit(put(space, &key, "v")).unwrap();
                    assert_eq!(value(&store, space, &key).as_deref(), Some("v"), "one's own write is seen");
                }
            });
        }
    });
    let activity = store.activity();
    assert_eq!(activity.batches, 320);
    assert!(activity.journal_syncs < 160, "{activity:?}");
    assert!(activity.database_syncs < 160, "{activity:?}");
    assert_eq!((store.count(Space::Binding), store.count(Space::Message)), (160, 160));
    assert_eq!(all(&store), all(&home.copy().open()));
}

#[test]
fn batches_that_wait_together_take_one_sync_and_apply_in_their_order() {
    let home = Home::new();
    let (writer, _lock) = recovery::open(&home.dir(), network(), COMPACT_BYTES).unwrap();
    let (view, counters) = (Arc::clone(&writer.view), Arc::clone(&writer.counters));
    let (inbox, waiting) = sync_channel(QUEUE_BATCHES);
    let answers: Vec<_> = (0..100)
        .map(|i| {
            let space = if i % 3 == 0 { Space::Meta } else { Space::Intent };
            let mut batch = put(Space::Head, "last", &i.to_string());
            batch.put(space, i.to_string(), "v");
            let (done, answer) = sync_channel(1);
            inbox.send(Waiting { batch, done }).unwrap();
            answer
        })
        .collect();
    drop(inbox);
    writer.run(&waiting);
    assert!(answers.iter().all(|answer| answer.recv().unwrap().is_ok()));
    assert_eq!(view.get(Space::Head, b"last").unwrap(), Some(b"99".to_vec()));
    assert_eq!(counters.read(), Activity { batches: 100, journal_syncs: 1, database_syncs: 1, compactions: 0 });
}

#[test]
fn a_batch_of_money_alone_takes_no_sync_of_sled() {
    let home = Home::new();
    let store = home.open();
    store.commit(put(Space::Intent, "k", "v")).unwrap();
    assert_eq!(store.activity(), Activity { batches: 1, journal_syncs: 1, ..Activity::default() });
    store.commit(put(Space::Message, "k", "v")).unwrap();
    assert_eq!(store.activity(), Activity { batches: 2, journal_syncs: 1, database_syncs: 1, compactions: 0 });
}

#[test]
fn an_export_is_one_moment_of_all_that_is_backed_up_while_others_write() {
    let home = Home::new();
    let store = home.open();
    let export = store.export();
    let writer = {
        let store = store.clone();
        std::thread::spawn(move || {
            for n in 0..300u32 {
                let mut batch = Batch::new();
                for space in [Space::Offer, Space::Binding, Space::Message, Space::Found] {
                    batch.put(space, n.to_be_bytes(), [7; 10]);
                }
                store.commit(batch).unwrap();
            }
        })
    };
    let count =
        |rows: &[tradepost_protocol::market::StoredRow], space| rows.iter().filter(|row| row.0 == space).count();
    while !writer.is_finished() {
        let rows = export.rows().unwrap();
        let offers = count(&rows, Space::Offer);
        assert_eq!((count(&rows, Space::Binding), count(&rows, Space::Found)), (offers, offers));
        assert_eq!(count(&rows, Space::Message), 0);
    }
    writer.join().unwrap();
    assert_eq!(count(&export.rows().unwrap(), Space::Found), 300);
    drop(store);
    assert!(matches!(export.rows(), Err(StoreError::WriterGone)), "it doesn't keep the store open");
}

#[test]
fn what_is_too_large_is_refused_and_the_store_goes_on() {
    let home = Home::new();
    let store = home.open();
    let mut large = Batch::new();
    large.put(Space::Binding, "k", vec![0; crate::MAX_VALUE_BYTES + 1]);
    assert!(matches!(store.commit(large), Err(StoreError::TooLarge { what: "value", .. })));
    store.commit(put(Space::Binding, "k", "v")).unwrap();
    assert_eq!(store.count(Space::Binding), 1);
}

#[test]
fn values_as_large_as_allowed_survive_being_replaced_and_killed() {
    let home = Home::new();
    let store = home.open();
    for round in 0..3u8 {
        for key in 0..60u8 {
            let mut batch = Batch::new();
            for space in [Space::Message, Space::Binding] {
                batch.put(space, [key], vec![round ^ key; crate::MAX_VALUE_BYTES]);
            }
            store.commit(batch).unwrap();
        }
        store.commit(put(Space::Meta, "round", &round.to_string())).unwrap();
        assert_eq!(all(&home.copy().open()), all(&store));
    }
    assert!(fs::read_dir(home.sled().join("blobs")).unwrap().count() > 0, "sled keeps some in files of their own");
}

#[test]
fn a_store_that_is_open_refuses_a_second_opening_until_it_is_closed() {
    let home = Home::new();
    let store = home.open();
    let clone = store.clone();
    drop(store);
    let refusal = home.refusal();
    assert!(matches!(refusal, StoreError::Locked { .. }), "{refusal}");
    assert!(refusal.to_string().contains("another tradepost node is running in this home"));
    drop(clone);
    home.open();
}
