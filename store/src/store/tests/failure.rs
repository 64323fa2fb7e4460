//! A disk that refuses while the store runs.

use super::*;

struct Running {
    home: Home,
    writer: Writer,
    lock: File,
}

impl Running {
    fn new() -> Self {
        let home = Home::new();
        home.open().commit(put(Space::Binding, "before", "v")).unwrap();
        let (writer, lock) = recovery::open(&home.dir(), network(), COMPACT_BYTES).unwrap();
        Self { home, writer, lock }
    }

    /// Writes batches as one group; gives their answers.
    fn commit(&mut self, batches: Vec<Batch>) -> Vec<Result<(), StoreError>> {
        let (group, answers): (Vec<_>, Vec<Receiver<_>>) = batches
            .into_iter()
            .map(|batch| {
                let (done, answer) = sync_channel(1);
                (Waiting { batch, done }, answer)
            })
            .unzip();
        self.writer.commit_group(group);
        answers.into_iter().map(|answer| answer.recv().unwrap()).collect()
    }

    fn value(&self, space: Space, key: &str) -> Option<Vec<u8>> {
        self.writer.view.get(space, key.as_bytes()).unwrap()
    }

    fn restart(self) -> (Home, Store) {
        let Self { home, writer, lock } = self;
        drop((writer, lock));
        let store = home.open();
        (home, store)
    }
}

/// A file that takes what is written but can't be synced: a pipe, and the end that keeps it open.
#[cfg(unix)]
fn unsyncable() -> (File, std::io::PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    (File::from(std::os::fd::OwnedFd::from(writer)), reader)
}

#[test]
fn a_journal_that_cannot_be_written_fails_the_group_and_all_that_follow_until_reopened() {
    let mut running = Running::new();
    running.writer.journal.file = File::open(running.home.journal()).unwrap();
    let answers = running.commit(vec![put(Space::Message, "plain", "v"), put(Space::Binding, "money", "v")]);
    assert!(answers.iter().all(|answer| matches!(answer, Err(StoreError::NotDurable { .. }))), "{answers:?}");
    for (space, key) in [(Space::Message, "plain"), (Space::Binding, "money")] {
        assert_eq!(running.value(space, key), None);
    }
    let later = running.commit(vec![put(Space::Message, "plain", "v")]);
    assert!(matches!(&later[0], Err(StoreError::Stopped { .. })));
    assert!(later[0].as_ref().unwrap_err().to_string().contains("appending to"), "the first cause is named");
    assert!(running.value(Space::Binding, "before").is_some(), "what was durable stays readable");
    let (_home, store) = running.restart();
    assert_eq!(store.count(Space::Binding), 1);
    store.commit(put(Space::Binding, "money", "v")).unwrap();
}

#[test]
#[cfg(unix)]
fn a_database_that_cannot_be_synced_fails_what_it_alone_holds_and_keeps_what_the_journal_holds() {
    let mut running = Running::new();
    let (file, _reader) = unsyncable();
    running.writer.database.file = file;
    let mut money = put(Space::Binding, "money", "v");
    money.put(Space::Head, "both", "money");
    let mut plain = put(Space::Message, "plain", "v");
    plain.put(Space::Head, "both", "plain");
    let answers = running.commit(vec![money, plain]);
    assert!(answers[0].is_ok(), "the journal holds it");
    assert!(matches!(answers[1], Err(StoreError::NotDurable { .. })));
    assert_eq!(running.value(Space::Binding, "money"), Some(b"v".to_vec()));
    assert_eq!(running.value(Space::Head, "both"), Some(b"money".to_vec()), "readers see durable state only");
    assert_eq!(running.value(Space::Message, "plain"), None);
    assert_eq!((running.writer.view.count(Space::Message), running.writer.view.count(Space::Binding)), (0, 2));
    assert!(matches!(running.commit(vec![put(Space::Binding, "k", "v")])[0], Err(StoreError::Stopped { .. })));
    let (_home, store) = running.restart();
    assert_eq!(value(&store, Space::Binding, "money").as_deref(), Some("v"));
}

#[test]
#[cfg(unix)]
fn a_journal_that_cannot_be_synced_acknowledges_nothing() {
    let mut running = Running::new();
    let (file, _reader) = unsyncable();
    running.writer.journal.file = file;
    let answers = running.commit(vec![put(Space::Intent, "k", "v")]);
    assert!(matches!(answers[0], Err(StoreError::NotDurable { .. })));
    assert!(answers[0].as_ref().unwrap_err().to_string().contains("syncing"), "{answers:?}");
    assert_eq!(running.value(Space::Intent, "k"), None);
    let (_home, store) = running.restart();
    assert_eq!(store.count(Space::Intent), 0);
}

#[test]
fn a_journal_that_cannot_be_rewritten_goes_on_growing_until_it_can() {
    let mut running = Running::new();
    running.writer.compact_bytes = 1;
    let obstacle = running.home.dir().join("journal.new");
    fs::create_dir(&obstacle).unwrap();
    running.writer.compact_if_grown();
    assert!(running.commit(vec![put(Space::Intent, "k", "v")])[0].is_ok());
    assert_eq!(running.writer.counters.read().compactions, 0);
    fs::remove_dir(&obstacle).unwrap();
    running.writer.compacted_length = 0;
    running.writer.compact_if_grown();
    assert_eq!(running.writer.counters.read().compactions, 1);
    let (_home, store) = running.restart();
    assert_eq!((store.count(Space::Intent), store.count(Space::Binding)), (1, 1));
}
