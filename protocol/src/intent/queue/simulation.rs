//! One queue against a small ledger: killed after every commit, and under random losses, delays and rivals.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use stellar_xdr::TransactionResultResult;

use super::tests::{CLOSE, Disk, POLL, account, key, ledger, me, network, not_found, now, plan, purpose, result};
use super::*;
use crate::time::Timestamp;

/// A ledger with one account that includes what is submitted in the next close, unless it is told to lose it.
#[derive(Debug)]
struct Ledger {
    newest: u32,
    sequence: i64,
    pending: Vec<(TxHash, i64, Timestamp)>,
    included: BTreeMap<TxHash, (LedgerPoint, i64)>,
    lossy: bool,
}

impl Ledger {
    fn submit(&mut self, hash: TxHash, envelope: &[u8]) -> SubmitAnswer {
        if self.pending.iter().any(|(known, ..)| *known == hash) {
            return SubmitAnswer::Duplicate;
        }
        let transaction = SignedTransaction::read(envelope, &network()).unwrap();
        assert_eq!(transaction.hash(), hash);
        if transaction.sequence() != self.sequence + 1 {
            return SubmitAnswer::Refused { result: result(TransactionResultResult::TxBadSeq) };
        }
        let Some((None, Some(until))) = transaction.time_bounds() else { panic!("unbounded") };
        if !self.lossy {
            self.pending.push((hash, transaction.sequence(), until));
        }
        SubmitAnswer::Pending
    }

    fn close(&mut self) {
        self.newest += 1;
        let at = ledger(self.newest);
        for (hash, sequence, until) in std::mem::take(&mut self.pending) {
            if at.close_time <= until && sequence == self.sequence + 1 {
                self.sequence = sequence;
                assert!(self.included.insert(hash, (at, sequence)).is_none());
            }
        }
    }

    fn status(&self, hash: TxHash) -> TxStatus {
        match self.included.get(&hash) {
            Some((at, _)) => TxStatus::Success { at: *at, result: Vec::new() },
            None => not_found(self.newest, 1),
        }
    }
}

/// A node with one queue that is killed after a given number of commits, its effects lost with it, and starts again.
struct Run {
    queue: AccountQueue,
    disk: Disk,
    ledger: Ledger,
    kill_after: usize,
    killed: bool,
    todo: VecDeque<QueueEffect>,
    ends: BTreeMap<Purpose, BTreeSet<&'static str>>,
    handed_over: Vec<Vec<u8>>,
}

impl Run {
    fn new(kill_after: usize, lossy: bool) -> Self {
        let ledger = Ledger { newest: 10, sequence: 7, pending: Vec::new(), included: BTreeMap::new(), lossy };
        let mut run = Self {
            queue: AccountQueue::new(me(), network(), POLL),
            disk: Disk::default(),
            ledger,
            kill_after,
            killed: false,
            todo: VecDeque::new(),
            ends: BTreeMap::new(),
            handed_over: Vec::new(),
        };
        run.start();
        run
    }

    fn now(&self) -> Now {
        now(u64::from(self.ledger.newest) * CLOSE)
    }

    fn start(&mut self) {
        self.queue = AccountQueue::new(me(), network(), POLL);
        self.todo.clear();
        let step = self.queue.restore(self.disk.intents(), self.now());
        self.take(step);
        // What is wanted follows from other state; it is wanted again until it has ended.
        for n in 1..=2 {
            if !self.ends.contains_key(&purpose(n)) {
                self.queue.want(purpose(n), Priority::Ordinary);
            }
        }
    }

    fn take(&mut self, step: Step<QueueEffect>) {
        let effects = step.commit_to(&mut self.disk).unwrap();
        if !self.killed && self.disk.commits >= self.kill_after {
            self.killed = true;
            self.start();
        } else {
            self.todo.extend(effects);
        }
    }

    fn perform(&mut self, effect: QueueEffect) {
        let now = self.now();
        match effect {
            QueueEffect::Submit { hash, envelope } => {
                let answer = self.ledger.submit(hash, &envelope);
                let step = self.queue.submitted(hash, &answer, now);
                self.take(step);
            }
            QueueEffect::HandOver { purpose, envelope, .. } => {
                self.handed_over.push(envelope);
                let step = self.queue.release(purpose, now);
                self.take(step);
            }
            QueueEffect::Ask { hash } => {
                let status = self.ledger.status(hash);
                let step = self.queue.status(hash, status);
                self.take(step);
            }
            QueueEffect::ReadAccount => {
                let step = self.queue.account_seen(account(self.ledger.sequence), ledger(self.ledger.newest));
                self.take(step);
            }
            QueueEffect::Refused { .. } => {}
            QueueEffect::Finished { purpose, outcome, .. } => {
                let end = match outcome {
                    IntentOutcome::Included { .. } => "included",
                    IntentOutcome::Dead => "dead",
                    IntentOutcome::Unknown => "unknown",
                };
                self.ends.entry(purpose).or_default().insert(end);
                let step = self.queue.forget(purpose);
                self.take(step);
            }
        }
    }

    fn sign_if_due(&mut self) {
        let Some((due, _)) = self.queue.turn() else { return };
        let until = self.now().timestamp().secs() + 4 * CLOSE;
        let step = self.queue.sign(plan(due, until, due == purpose(1)), &key(), self.now()).unwrap();
        self.take(step);
    }

    fn run(mut self) -> Self {
        for _ in 0..60 {
            let tick = self.queue.tick(self.now());
            self.take(tick);
            while let Some(effect) = self.todo.pop_front() {
                self.perform(effect);
                self.sign_if_due();
            }
            self.ledger.close();
        }
        self
    }
}

#[test]
fn killed_after_any_commit_each_purpose_is_included_exactly_once() {
    let undisturbed = Run::new(usize::MAX, false).run().disk.commits;
    assert!(undisturbed >= 6, "{undisturbed} commits");
    for kill_after in 1..=undisturbed {
        let run = Run::new(kill_after, false).run();
        assert!(run.killed, "{kill_after}");
        assert_eq!(run.ends.len(), 2, "killed after {kill_after}: {:?}", run.ends);
        for (purpose, ends) in &run.ends {
            assert_eq!(*ends, BTreeSet::from(["included"]), "{purpose} killed after {kill_after}");
        }
        assert_eq!(run.ledger.included.len(), 2, "killed after {kill_after}");
        assert_eq!(run.ledger.sequence, 9);
        assert!(!run.handed_over.is_empty());
        assert!(run.disk.intents().is_empty(), "forgotten after their end");
    }
}

#[test]
fn killed_after_any_commit_a_lost_transaction_is_found_dead_and_nothing_is_used() {
    let undisturbed = Run::new(usize::MAX, true).run().disk.commits;
    for kill_after in 1..=undisturbed {
        let run = Run::new(kill_after, true).run();
        assert_eq!(run.ends.len(), 2, "killed after {kill_after}: {:?}", run.ends);
        assert!(run.ends.values().all(|ends| *ends == BTreeSet::from(["dead"])), "{:?}", run.ends);
        assert_eq!((run.ledger.included.len(), run.ledger.sequence), (0, 7));
    }
}

/// A queue in bad weather: servers that lose, lag and forget, a rival that uses the same account, kills at any commit,
/// and a ledger that may include whatever was ever shown to anyone, as long as it is valid.
struct Storm {
    rng: ChaCha20Rng,
    queue: AccountQueue,
    disk: Disk,
    todo: VecDeque<QueueEffect>,
    /// The account's sequence number after each ledger.
    sequences: Vec<i64>,
    shown: BTreeMap<TxHash, (i64, Timestamp)>,
    included: BTreeMap<TxHash, (u32, Purpose)>,
    purposes: BTreeMap<TxHash, Purpose>,
    declared_dead: BTreeSet<TxHash>,
    unknown: BTreeSet<TxHash>,
    done: BTreeSet<Purpose>,
    kills: usize,
}

impl Storm {
    const PURPOSES: u8 = 4;

    fn new(seed: u64) -> Self {
        let mut storm = Self {
            rng: ChaCha20Rng::seed_from_u64(seed),
            queue: AccountQueue::new(me(), network(), POLL),
            disk: Disk::default(),
            todo: VecDeque::new(),
            sequences: vec![7; 11],
            shown: BTreeMap::new(),
            included: BTreeMap::new(),
            purposes: BTreeMap::new(),
            declared_dead: BTreeSet::new(),
            unknown: BTreeSet::new(),
            done: BTreeSet::new(),
            kills: 0,
        };
        storm.start();
        storm
    }

    /// Whether something of this chance, in a hundred, happens now.
    fn happens(&mut self, chance: u32) -> bool {
        self.rng.next_u32() % 100 < chance
    }

    fn newest(&self) -> u32 {
        self.sequences.len() as u32 - 1
    }

    fn now(&self) -> Now {
        now(u64::from(self.newest()) * CLOSE)
    }

    fn start(&mut self) {
        self.queue = AccountQueue::new(me(), network(), POLL);
        self.todo.clear();
        let step = self.queue.restore(self.disk.intents(), self.now());
        self.take(step);
        self.want_all();
    }

    fn want_all(&mut self) {
        for n in 1..=Self::PURPOSES {
            if !self.done.contains(&purpose(n)) {
                self.queue.want(purpose(n), Priority::Ordinary);
            }
        }
    }

    fn take(&mut self, step: Step<QueueEffect>) {
        let before = self.disk.commits;
        let effects = step.commit_to(&mut self.disk).unwrap();
        if self.disk.commits > before && self.happens(5) {
            self.kills += 1;
            self.start();
        } else {
            self.todo.extend(effects);
        }
    }

    fn show(&mut self, hash: TxHash, envelope: &[u8]) {
        let transaction = SignedTransaction::read(envelope, &network()).unwrap();
        let Some((None, Some(until))) = transaction.time_bounds() else { panic!("unbounded") };
        self.shown.insert(hash, (transaction.sequence(), until));
        let intent = self.queue.open().find(|intent| intent.hash == hash).unwrap();
        self.purposes.insert(hash, intent.purpose);
    }

    fn submit(&mut self, hash: TxHash, envelope: &[u8]) {
        self.show(hash, envelope);
        let answer = match self.rng.next_u32() % 4 {
            0 => SubmitAnswer::TryAgainLater,
            1 => SubmitAnswer::Refused { result: result(TransactionResultResult::TxBadSeq) },
            2 => SubmitAnswer::Duplicate,
            _ => SubmitAnswer::Pending,
        };
        let step = self.queue.submitted(hash, &answer, self.now());
        self.take(step);
    }

    fn ask(&mut self, hash: TxHash) {
        let latest = self.newest() - self.rng.next_u32() % 3;
        let oldest = if self.happens(20) { latest.saturating_sub(4) } else { 1 };
        let status = match self.included.get(&hash) {
            Some((at, _)) if (oldest..=latest).contains(at) => {
                TxStatus::Success { at: ledger(*at), result: Vec::new() }
            }
            _ => not_found(latest, oldest),
        };
        let step = self.queue.status(hash, status);
        self.take(step);
    }

    fn finished(&mut self, purpose: Purpose, sequence: i64, outcome: &IntentOutcome) {
        let intent = self.queue.intent(purpose).filter(|intent| intent.sequence == sequence);
        // A dead one told late may have given way already.
        let Some(hash) = intent.map(|intent| intent.hash) else { return };
        match outcome {
            IntentOutcome::Included { .. } => {
                assert!(self.included.contains_key(&hash), "told as included and isn't");
                self.done.insert(purpose);
            }
            IntentOutcome::Dead => drop(self.declared_dead.insert(hash)),
            IntentOutcome::Unknown => {
                self.unknown.insert(hash);
                self.done.insert(purpose);
            }
        }
        let step = self.queue.forget(purpose);
        self.take(step);
        self.want_all();
    }

    fn perform(&mut self, effect: QueueEffect) {
        let lost = self.happens(20);
        match effect {
            QueueEffect::Finished { purpose, sequence, outcome } => self.finished(purpose, sequence, &outcome),
            QueueEffect::Refused { .. } => {}
            _ if lost => {}
            QueueEffect::Submit { hash, envelope } => self.submit(hash, &envelope),
            QueueEffect::HandOver { purpose, hash, envelope } => {
                self.show(hash, &envelope);
                let step = self.queue.release(purpose, self.now());
                self.take(step);
            }
            QueueEffect::Ask { hash } => self.ask(hash),
            QueueEffect::ReadAccount => {
                let at = self.newest() - self.rng.next_u32() % 3;
                let state = account(self.sequences[at as usize]);
                let step = self.queue.account_seen(state, ledger(at));
                self.take(step);
            }
        }
    }

    fn sign_if_due(&mut self) {
        let Some((due, _)) = self.queue.turn() else { return };
        let until = (u64::from(self.newest()) + 1 + u64::from(self.rng.next_u32() % 5)) * CLOSE;
        let hold = self.happens(30);
        let step = self.queue.sign(plan(due, until, hold), &key(), self.now()).unwrap();
        self.take(step);
    }

    fn close(&mut self) {
        let (at, mut sequence) = (self.newest() + 1, self.sequences[self.newest() as usize]);
        let valid = |(number, until): &(i64, Timestamp), next| *number == next && ledger(at).close_time <= *until;
        let shown: Vec<TxHash> = self.shown.keys().copied().collect();
        for hash in shown {
            if valid(&self.shown[&hash], sequence + 1) && self.happens(30) {
                sequence += 1;
                self.included.insert(hash, (at, self.purposes[&hash]));
            }
        }
        if self.happens(4) {
            sequence += 1;
        }
        self.sequences.push(sequence);
    }

    fn run(mut self) -> Self {
        for _ in 0..400 {
            let tick = self.queue.tick(self.now());
            self.take(tick);
            while let Some(effect) = self.todo.pop_front() {
                self.perform(effect);
            }
            self.sign_if_due();
            self.close();
        }
        self
    }
}

#[test]
fn in_any_weather_nothing_is_done_twice_no_death_is_wrong_and_everything_ends() {
    let (mut kills, mut dead, mut unknown) = (0, 0, 0);
    for seed in 0..300 {
        let storm = Storm::new(seed).run();
        let mut times = BTreeMap::<Purpose, usize>::new();
        for (_, purpose) in storm.included.values() {
            *times.entry(*purpose).or_default() += 1;
        }
        assert!(times.values().all(|n| *n == 1), "seed {seed}: done twice: {times:?}");
        let wrong = storm.declared_dead.iter().find(|hash| storm.included.contains_key(hash));
        assert_eq!(wrong, None, "seed {seed}: declared dead and included");
        assert_eq!(storm.done.len(), usize::from(Storm::PURPOSES), "seed {seed}: not everything ended");
        kills += storm.kills;
        dead += storm.declared_dead.len();
        unknown += storm.unknown.len();
    }
    println!("300 seeds: {kills} kills, {dead} transactions rightly declared dead, {unknown} unknown");
    assert!(kills > 100 && dead > 100 && unknown > 0, "the weather was too fine: {kills}, {dead}, {unknown}");
}
