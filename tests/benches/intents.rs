//! Intents journalled and submitted, by the account alone and by submitter accounts beside it.
//!
//! Ours: a queue an account, as a node has it; each intent is journalled in the store before it is sent, followed to its
//! inclusion and forgotten. The limit: the same payments of the same number of accounts signed, appended to a file with
//! one fdatasync each, submitted and looked up, and the same ledgers closed.
#![expect(clippy::unwrap_used, reason = "a bench stops at what it doesn't expect")]

use core::time::Duration;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use ed25519_dalek::SigningKey;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::intent::queue::{AccountQueue, Plan, Priority, QueueEffect, SubmitAnswer, TxStatus};
use tradepost_protocol::intent::{IntentOutcome, Purpose};
use tradepost_protocol::stellar::entry::Entry;
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::transaction::{Bounds, Unsigned};
use tradepost_protocol::stellar::{Memo, Operation, operation};
use tradepost_protocol::step::Step;
use tradepost_protocol::time::{Now, Timestamp};
use tradepost_store::Store;
use tradepost_tests::measure::{Compared, ROUNDS, load, took};
use tradepost_tests::world::WorldLedger;

/// Accounts that send: the main one alone, or with submitters.
const LANES: [usize; 3] = [1, 4, 8];
const LEDGERS: usize = 100;
const START: u64 = 1_800_000_000;
/// A ledger's time, and a queue's.
const SECOND: Duration = Duration::from_secs(1);

fn key(lane: usize) -> SigningKey {
    SigningKey::from_bytes(&[u8::try_from(lane).unwrap() + 1; 32])
}

fn payment() -> Operation {
    operation::pay(AccountId::of(&key(0)), &Asset::Native, Stroops::new(1).unwrap())
}

/// A ledger with so many accounts, and its time.
fn ledger(lanes: usize) -> (WorldLedger, u64) {
    let mut ledger = WorldLedger::new(START);
    let made = (0..lanes).map(|lane| operation::create_account(AccountId::of(&key(lane)), Stroops::whole(100)));
    ledger.submit_from_root(made.collect());
    ledger.close(START + 1);
    (ledger, START + 1)
}

/// A queue with what it still has to hear of.
struct Lane {
    key: SigningKey,
    queue: AccountQueue,
    todo: Vec<QueueEffect>,
    done: usize,
}

impl Lane {
    fn new(lane: usize, ledger: &WorldLedger) -> Self {
        let key = key(lane);
        let mut queue = AccountQueue::new(AccountId::of(&key), ledger.network(), SECOND);
        for n in 0..LEDGERS * 2 {
            queue.want(Purpose::Pay { id: (n as u128).to_be_bytes() }, Priority::Ordinary);
        }
        Self { key, queue, todo: vec![QueueEffect::ReadAccount], done: 0 }
    }

    fn take(&mut self, step: Step<QueueEffect>, store: &Store) {
        let mut store = store;
        self.todo.extend(step.commit_to(&mut store).unwrap());
    }

    /// All that is due in one ledger's time.
    fn round(&mut self, now: Now, ledger: &mut WorldLedger, store: &Store) {
        let step = self.queue.tick(now);
        self.take(step, store);
        loop {
            while let Some(effect) = self.todo.pop() {
                self.perform(effect, now, ledger, store);
            }
            let Some((purpose, _)) = self.queue.turn() else { return };
            let plan = Plan {
                purpose,
                operations: vec![payment()],
                bounds: Bounds::until(now.timestamp().plus(15 * SECOND)),
                memo: Memo::None,
                fee: 100,
                hold: false,
                controller: None,
            };
            let step = self.queue.sign(plan, &self.key, now).unwrap();
            self.take(step, store);
        }
    }

    fn perform(&mut self, effect: QueueEffect, now: Now, ledger: &mut WorldLedger, store: &Store) {
        let step = match effect {
            QueueEffect::Submit { hash, envelope } => self.queue.submitted(hash, &ledger.submit(&envelope), now),
            QueueEffect::Ask { hash } => self.queue.status(hash, ledger.status(hash).0),
            QueueEffect::ReadAccount => {
                let (at, entries) = ledger.read(&[Key::Account(self.queue.account())]);
                let [Entry::Account(account)] = entries.as_slice() else { panic!("{entries:?}") };
                self.queue.account_seen(account.clone(), at)
            }
            QueueEffect::Finished { purpose, outcome, .. } => {
                assert!(matches!(outcome, IntentOutcome::Included { success: true, .. }), "{outcome:?}");
                self.done += 1;
                self.queue.forget(purpose)
            }
            other => panic!("{other:?}"),
        };
        self.take(step, store);
    }
}

/// Runs the queues for so many ledgers; how many intents were included and heard of.
fn ours(lanes: usize, dir: &Path) -> usize {
    let (mut ledger, mut time) = ledger(lanes);
    let store = Store::open(dir, &ledger.network()).unwrap();
    let mut queues: Vec<Lane> = (0..lanes).map(|lane| Lane::new(lane, &ledger)).collect();
    for _ in 0..LEDGERS {
        let now = Now::from(Timestamp::from_secs(time));
        queues.iter_mut().for_each(|lane| lane.round(now, &mut ledger, &store));
        time += 1;
        ledger.close(time);
    }
    let now = Now::from(Timestamp::from_secs(time));
    queues.iter_mut().for_each(|lane| lane.round(now, &mut ledger, &store));
    queues.iter().map(|lane| lane.done).sum()
}

fn limit(lanes: usize, dir: &Path) -> usize {
    let (mut ledger, mut time) = ledger(lanes);
    let mut file = File::create(dir.join("appended")).unwrap();
    let keys: Vec<SigningKey> = (0..lanes).map(key).collect();
    let first: Vec<i64> = keys.iter().map(|key| ledger.account(AccountId::of(key)).unwrap().sequence + 1).collect();
    let mut included = 0;
    for n in 0..LEDGERS {
        let mut sent = Vec::new();
        for (key, first) in keys.iter().zip(&first) {
            let unsigned = Unsigned {
                source: AccountId::of(key),
                sequence: first + i64::try_from(n).unwrap(),
                fee: 100,
                bounds: Bounds::until(Timestamp::from_secs(time + 15)),
                memo: Memo::None,
                operations: vec![payment()],
            };
            let envelope = unsigned.sign(&[key], &ledger.network()).unwrap();
            file.write_all(envelope.bytes()).unwrap();
            file.sync_data().unwrap();
            assert_eq!(ledger.submit(envelope.bytes()), SubmitAnswer::Pending);
            sent.push(envelope.hash());
        }
        time += 1;
        ledger.close(time);
        included += sent.into_iter().filter(|hash| matches!(ledger.status(*hash).0, TxStatus::Success { .. })).count();
    }
    included
}

fn main() {
    println!("{LEDGERS} ledgers, {ROUNDS} rounds, {}", load());
    println!("accounts  intents  of closes x accounts  ours/s  limit/s  ratio (clock)      ratio (processor)");
    for lanes in LANES {
        let mut compared = Compared::default();
        let mut intents = 0;
        for _ in 0..ROUNDS {
            let dir = tempfile::tempdir().unwrap();
            let (bound, most) = took(|| limit(lanes, dir.path()));
            let (took, done) = took(|| ours(lanes, dir.path()));
            assert_eq!(most, LEDGERS * lanes);
            intents = done;
            compared.add(took, bound);
        }
        let share = intents as f64 / (LEDGERS * lanes) as f64;
        let (ours, limit) = compared.medians(|took| took.wall);
        let rate = |time: Duration, count: usize| count as f64 / time.as_secs_f64();
        let [least, median, most] = compared.ratios(|took| took.wall);
        let [low, middle, high] = compared.ratios(|took| took.cpu);
        println!(
            "{lanes:>8}  {intents:>7}  {share:>20.2}  {:>6.0}  {:>7.0}  {median:.2} ({least:.2} to {most:.2})  {middle:.2} ({low:.2} to {high:.2})",
            rate(ours, intents),
            rate(limit, LEDGERS * lanes),
        );
    }
}
