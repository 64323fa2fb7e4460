//! Files that a crash, a disk or a person left in another state than the store would.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write as _};

use super::*;
use crate::database::Database;
use crate::journal::record::{HEADER_BYTES, Header};
use crate::keyspace::{FORMAT_KEY, NETWORK_KEY, disk_key};

/// A store with three bindings in three records, and sled as it was after the first.
struct ThreeRecords {
    home: Home,
    early: Home,
    journal: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
}

impl ThreeRecords {
    fn new() -> Self {
        let home = Home::new();
        let mut ends = Vec::new();
        let mut early = None;
        for key in ["a", "b", "c"] {
            home.open().commit(put(Space::Binding, key, "state")).unwrap();
            ends.push(fs::read(home.journal()).unwrap().len());
            early.get_or_insert_with(|| home.copy());
        }
        let journal = fs::read(home.journal()).unwrap();
        Self { home, early: early.unwrap(), journal, ends }
    }

    /// The early sled, or none, beside this journal.
    fn with_journal(&self, journal: &[u8], keep_sled: bool) -> Home {
        let home = self.early.copy();
        if !keep_sled {
            home.lose_database();
        }
        fs::write(home.journal(), journal).unwrap();
        home
    }
}

fn bindings(store: &Store) -> Vec<String> {
    store.scan(Space::Binding, b"").map(|entry| String::from_utf8(entry.unwrap().0).unwrap()).collect()
}

#[test]
fn a_journal_cut_at_any_byte_of_its_last_record_keeps_all_before_it() {
    let three = ThreeRecords::new();
    for cut in three.ends[1]..=three.ends[2] {
        let home = three.with_journal(&three.journal[..cut], cut % 2 == 0);
        let store = home.open();
        let expected: &[&str] = if cut == three.ends[2] { &["a", "b", "c"] } else { &["a", "b"] };
        assert_eq!(bindings(&store), expected, "cut at {cut}");
        store.commit(put(Space::Binding, "d", "after")).unwrap();
        drop(store);
        home.lose_database();
        let store = home.open();
        assert_eq!(bindings(&store), [expected, &["d"]].concat(), "what was appended after a cut at {cut} is whole");
    }
}

#[test]
fn a_last_record_of_zeros_or_noise_is_cut_off() {
    let three = ThreeRecords::new();
    for noise in [0u8, 0xff, b'T'] {
        let mut journal = three.journal.clone();
        journal[three.ends[1]..].fill(noise);
        journal.resize(journal.len() + 5_000, noise);
        assert_eq!(bindings(&three.with_journal(&journal, true).open()), ["a", "b"]);
    }
}

#[test]
fn damage_in_the_middle_is_an_error_and_nothing_is_changed() {
    let three = ThreeRecords::new();
    for at in three.ends[0]..three.ends[1] {
        let mut journal = three.journal.clone();
        journal[at] ^= 1;
        let home = three.with_journal(&journal, false);
        match home.refusal() {
            StoreError::JournalDamaged { offset, .. } => assert_eq!(offset, three.ends[0] as u64),
            other => panic!("byte {at}: {other}"),
        }
        assert_eq!(fs::read(home.journal()).unwrap(), journal, "byte {at}");
    }
    let mut journal = three.journal.clone();
    journal[20] ^= 1;
    let home = three.with_journal(&journal, true);
    assert!(matches!(home.refusal(), StoreError::JournalDamaged { offset: 0, .. }));
    assert_eq!(fs::read(home.journal()).unwrap(), journal);
}

#[test]
fn a_journal_that_ends_before_what_sled_applied_is_an_error_and_nothing_is_changed() {
    let three = ThreeRecords::new();
    let copy = three.home.copy();
    let cut = &three.journal[..three.ends[2] - 1];
    fs::write(copy.journal(), cut).unwrap();
    assert!(matches!(copy.refusal(), StoreError::JournalBehind { .. }));
    assert_eq!(fs::read(copy.journal()).unwrap(), cut);
}

#[test]
fn a_missing_journal_beside_a_database_is_an_error_and_no_new_one_is_made() {
    let three = ThreeRecords::new();
    fs::remove_file(three.home.journal()).unwrap();
    assert!(matches!(three.home.refusal(), StoreError::JournalMissing { .. }));
    assert!(!three.home.journal().exists());
}

#[test]
fn another_networks_store_is_refused_with_both_named() {
    let other = NetworkId::of_passphrase("another ledger");
    let three = ThreeRecords::new();
    for lost in [false, true] {
        if lost {
            three.home.lose_database();
        }
        let refusal = Store::open(three.home.dir(), &other).unwrap_err().to_string();
        assert!(refusal.contains(&other.to_string()) && refusal.contains(&network().to_string()), "{refusal}");
    }
    let home = Home::new();
    home.open();
    mark(&home, &NETWORK_KEY, other.as_bytes());
    assert!(matches!(home.refusal(), StoreError::OtherNetwork { found, .. } if found == other));
}

#[test]
fn a_later_versions_journal_or_database_is_refused() {
    let home = Home::new();
    home.open();
    mark(&home, &FORMAT_KEY, &2u32.to_le_bytes());
    assert!(matches!(home.refusal(), StoreError::NewerFormat { found: 2, known: 1, .. }));
    let home = Home::new();
    home.open();
    let header: [u8; HEADER_BYTES] = fs::read(home.journal()).unwrap()[..HEADER_BYTES].try_into().unwrap();
    let later = Header { format: 2, ..Header::from_bytes(&header).unwrap() };
    let mut file = OpenOptions::new().write(true).open(home.journal()).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&later.to_bytes()).unwrap();
    assert!(matches!(home.refusal(), StoreError::NewerFormat { found: 2, known: 1, .. }));
}

fn mark(home: &Home, key: &[u8], value: &[u8]) {
    let mut database = Database::open(&home.sled()).unwrap();
    let mut writes = sled::Batch::default();
    writes.insert(key, value);
    database.apply(writes).unwrap();
    database.sync().unwrap();
}

#[test]
fn a_database_cut_short_loses_no_money() {
    let home = Home::new();
    let store = home.open();
    let large = "v".repeat(10_000);
    for i in 0..150 {
        store.commit(put(if i % 2 == 0 { Space::Message } else { Space::Binding }, &i.to_string(), &large)).unwrap();
    }
    let expected = money(&all(&store));
    drop(store);
    let db = home.sled().join("db");
    for part in 1..8 {
        let cut = home.copy();
        let length = fs::metadata(&db).unwrap().len() * part / 8;
        OpenOptions::new().write(true).open(cut.sled().join("db")).unwrap().set_len(length).unwrap();
        if let Err(error) = Store::open(cut.dir(), &network()) {
            assert!(matches!(error, StoreError::DatabaseDamaged { .. }), "{error}");
            cut.lose_database();
        }
        assert_eq!(money(&all(&cut.open())), expected, "cut to {part}/8");
    }
}

#[test]
fn a_database_that_lost_a_row_it_had_applied_or_has_an_older_one_is_filled_again_from_the_journal() {
    let home = Home::new();
    let store = home.open();
    for value in ["old", "new"] {
        store.commit(put(Space::Binding, "a", value)).unwrap();
    }
    store.commit(put(Space::Binding, "b", "kept")).unwrap();
    let mut deleted = put(Space::Intent, "done", "v");
    deleted.delete(Space::Intent, "done");
    store.commit(deleted).unwrap();
    let expected = all(&store);
    drop(store);
    let rows = [(Space::Binding, "a", None), (Space::Binding, "a", Some("old")), (Space::Intent, "done", Some("v"))];
    for (space, key, value) in rows {
        let home = home.copy();
        let database = Database::open(&home.sled()).unwrap();
        match value {
            Some(value) => drop(database.tree.insert(disk_key(space, key.as_bytes()), value).unwrap()),
            None => drop(database.tree.remove(disk_key(space, key.as_bytes())).unwrap()),
        }
        drop(database);
        let store = home.open();
        assert_eq!(all(&store), expected, "{space:?} {key} {value:?}");
        assert_eq!(store.count(Space::Binding), 2);
        drop(store);
        assert_eq!(all(&home.open()), expected);
    }
}

#[test]
fn a_crash_at_any_step_of_rewriting_the_journal_loses_nothing() {
    let home = Home::new();
    let store = home.open();
    for i in 0..50 {
        store.commit(put(Space::Binding, "often", &i.to_string())).unwrap();
    }
    let mut batch = put(Space::Intent, "k", "v");
    batch.put(Space::Head, "beside money", "kept");
    store.commit(batch).unwrap();
    store.commit(put(Space::Offer, "gone", "soon")).unwrap();
    let with_gone = home.copy();
    drop(with_gone.open());
    let mut batch = Batch::new();
    batch.delete(Space::Offer, "gone");
    store.commit(batch).unwrap();
    let expected = all(&store);
    drop(store);
    let old = home.copy();

    let (mut writer, lock) = recovery::open(&home.dir(), network(), COMPACT_BYTES).unwrap();
    let written = writer.write_compacted().unwrap();
    let before_rename = home.copy();
    writer.switch_to(written).unwrap();
    drop((writer, lock));

    let partial = before_rename.copy();
    let unfinished = partial.dir().join("journal.new");
    let half = fs::metadata(&unfinished).unwrap().len() / 2;
    OpenOptions::new().write(true).open(&unfinished).unwrap().set_len(half).unwrap();
    let renamed = old.copy();
    fs::copy(home.journal(), renamed.journal()).unwrap();
    let cleared = renamed.copy();
    let database = Database::open(&cleared.sled()).unwrap();
    recovery::clear_money(&database, recovery::count_keys(&database).unwrap()).unwrap();
    drop(database);
    let steps =
        [("written", &before_rename), ("half written", &partial), ("renamed", &renamed), ("rebuilding", &cleared)];
    for (step, crashed) in steps {
        assert_eq!(all(&crashed.open()), expected, "{step}");
        assert!(!crashed.dir().join("journal.new").exists(), "{step}");
    }

    let shorter = fs::metadata(home.journal()).unwrap().len();
    assert!(shorter < fs::metadata(old.journal()).unwrap().len() / 4, "{shorter}");
    fs::copy(home.journal(), with_gone.journal()).unwrap();
    assert_eq!(all(&with_gone.open()), expected, "a deleted key stays deleted");
    fs::copy(old.journal(), home.journal()).unwrap();
    assert!(matches!(home.refusal(), StoreError::JournalBehind { .. }), "the old journal doesn't fit any more");
}

#[test]
fn a_journal_is_rewritten_once_it_has_grown() {
    let home = Home::new();
    let store = Store::open_compacting(&home.dir(), network(), 4_096).unwrap();
    let value = "v".repeat(500);
    for i in 0..100 {
        store.commit(put(Space::Binding, &(i % 3).to_string(), &value)).unwrap();
    }
    let expected = all(&store);
    assert!(store.activity().compactions > 2, "{:?}", store.activity());
    drop(store);
    assert!(fs::metadata(home.journal()).unwrap().len() < 20_000);
    home.lose_database();
    assert_eq!(all(&home.open()), expected);
}
