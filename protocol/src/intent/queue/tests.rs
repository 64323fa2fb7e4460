#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::convert::Infallible;

use stellar_xdr::{TransactionResult, TransactionResultExt, TransactionResultResult};

use super::*;
use crate::message::BindingId;
use crate::stellar::entry::Thresholds;
use crate::stellar::transaction::Bounds;
use crate::stellar::{Memo, operation, xdr};
use crate::step::{Batch, Commit, Write};
use crate::time::Timestamp;

pub(in crate::intent) const POLL: Duration = Duration::from_secs(1);
/// Ledgers close every five seconds; ledger n closes at second 5 n.
pub(in crate::intent) const CLOSE: u64 = 5;

pub(in crate::intent) fn key() -> SigningKey {
    SigningKey::from_bytes(&[21; 32])
}

pub(in crate::intent) fn me() -> AccountId {
    AccountId::of(&key())
}

pub(in crate::intent) fn network() -> NetworkId {
    NetworkId::of_passphrase("a test")
}

pub(in crate::intent) fn purpose(n: u8) -> Purpose {
    Purpose::Collect { binding: BindingId::from_bytes([n; 32]) }
}

pub(in crate::intent) fn account(sequence: i64) -> AccountState {
    AccountState {
        id: me(),
        balance: Stroops::whole(100),
        sequence,
        sub_entries: 0,
        sponsoring: 0,
        sponsored: 0,
        thresholds: Thresholds { master: 1, low: 0, medium: 0, high: 0 },
        signers: Vec::new(),
        flags: 0,
        selling: Stroops::ZERO,
        buying: Stroops::ZERO,
        sequence_at: None,
    }
}

pub(in crate::intent) fn ledger(sequence: u32) -> LedgerPoint {
    LedgerPoint::new(sequence, Timestamp::from_secs(u64::from(sequence) * CLOSE))
}

pub(in crate::intent) fn now(secs: u64) -> Now {
    Now::from(Timestamp::from_secs(secs))
}

pub(in crate::intent) fn result(result: TransactionResultResult) -> Vec<u8> {
    xdr::write(&TransactionResult { fee_charged: 100, result, ext: TransactionResultExt::V0 }).unwrap()
}

fn pay() -> Operation {
    operation::pay(AccountId::from_bytes([5; 32]), &Asset::Native, Stroops::whole(3))
}

pub(in crate::intent) fn plan(purpose: Purpose, until: u64, hold: bool) -> Plan {
    let bounds = Bounds::until(Timestamp::from_secs(until));
    Plan { purpose, operations: vec![pay()], bounds, memo: Memo::None, fee: 100, hold, controller: None }
}

/// A store that keeps what was committed.
#[derive(Debug, Default, Clone)]
pub(in crate::intent) struct Disk {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(in crate::intent) commits: usize,
}

impl Commit for Disk {
    type Error = Infallible;
    fn commit(&mut self, batch: Batch) -> Result<(), Infallible> {
        self.commits += 1;
        for write in batch.writes() {
            assert_eq!(write.space(), Space::Intent);
            match write {
                Write::Put { key, value, .. } => drop(self.values.insert(key.clone(), value.clone())),
                Write::Delete { key, .. } => drop(self.values.remove(key)),
            }
        }
        Ok(())
    }
}

impl Disk {
    pub(in crate::intent) fn intents(&self) -> Vec<Intent> {
        self.values.values().map(|bytes| Intent::from_bytes(bytes).unwrap()).collect()
    }
}

fn effects(step: Step<QueueEffect>) -> Vec<QueueEffect> {
    step.commit_to(&mut Disk::default()).unwrap()
}

/// A queue that has read its account in ledger 10 with sequence number 7, and wants the first purpose.
fn ready() -> AccountQueue {
    let mut queue = AccountQueue::new(me(), network(), POLL);
    queue.want(purpose(1), Priority::Ordinary);
    assert!(effects(queue.account_seen(account(7), ledger(10))).is_empty());
    queue
}

/// The ready queue with its transaction signed and submitted, to be included until second 100, ledger 20.
fn submitted() -> (AccountQueue, TxHash) {
    let mut queue = ready();
    let signed = effects(queue.sign(plan(purpose(1), 100, false), &key(), now(50)).unwrap());
    let [QueueEffect::Submit { hash, .. }] = signed[..] else { panic!("{signed:?}") };
    let answer = effects(queue.submitted(hash, &SubmitAnswer::Pending, now(50)));
    assert!(answer.is_empty(), "taken by a server is not included: {answer:?}");
    (queue, hash)
}

fn finished(effects: &[QueueEffect]) -> Option<IntentOutcome> {
    effects.iter().find_map(|effect| match effect {
        QueueEffect::Finished { outcome, .. } => Some(outcome.clone()),
        _ => None,
    })
}

pub(in crate::intent) fn not_found(latest: u32, oldest: u32) -> TxStatus {
    TxStatus::NotFound { latest: ledger(latest), oldest }
}

#[test]
fn wanting_twice_is_wanting_once_and_deadlines_go_first() {
    let mut queue = ready();
    queue.want(purpose(1), Priority::Ordinary);
    queue.want(purpose(2), Priority::Ordinary);
    queue.want(purpose(3), Priority::Deadline);
    assert_eq!(queue.turn(), Some((purpose(3), 8)));
    queue.want(purpose(2), Priority::Deadline);
    assert!(queue.cancel(purpose(3)));
    assert_eq!(queue.turn(), Some((purpose(2), 8)));
    assert!(queue.cancel(purpose(2)));
    assert_eq!(queue.turn(), Some((purpose(1), 8)));
    assert!(queue.cancel(purpose(1)));
    assert_eq!(queue.turn(), None);
}

#[test]
fn nothing_is_signed_out_of_turn_with_another_key_or_too_late() {
    let mut queue = ready();
    let sign = |queue: &mut AccountQueue, plan: Plan, key: &SigningKey| queue.sign(plan, key, now(50)).unwrap_err();
    assert_eq!(sign(&mut queue, plan(purpose(2), 100, false), &key()), SignError::NotItsTurn(purpose(2)));
    let stranger = SigningKey::from_bytes(&[22; 32]);
    let wrong = SignError::WrongKey { expected: me(), found: AccountId::of(&stranger) };
    assert_eq!(sign(&mut queue, plan(purpose(1), 100, false), &stranger), wrong);
    assert_eq!(sign(&mut queue, plan(purpose(1), 50, false), &key()), SignError::TooLate);
    let empty = Plan { operations: Vec::new(), ..plan(purpose(1), 100, false) };
    assert!(matches!(sign(&mut queue, empty, &key()), SignError::Xdr(_)));
    let large = Plan { operations: vec![pay(); 100], ..plan(purpose(1), 100, false) };
    assert!(matches!(sign(&mut queue, large, &key()), SignError::TooLarge(_)));
    assert_eq!(queue.open().count(), 0);
    assert_eq!(queue.turn(), Some((purpose(1), 8)), "a refusal changes nothing");
}

#[test]
fn an_intent_is_stored_before_its_envelope_comes_out() {
    let mut queue = ready();
    let mut disk = Disk::default();
    let step = queue.sign(plan(purpose(1), 100, false), &key(), now(50)).unwrap();
    let shown = step.commit_to(&mut disk).unwrap();
    let [stored] = &disk.intents()[..] else { panic!("one intent") };
    assert_eq!(shown, [QueueEffect::Submit { hash: stored.hash, envelope: stored.envelope.clone() }]);
    assert_eq!((stored.sequence, stored.since, stored.max_time), (8, 10, Timestamp::from_secs(100)));
    let read = SignedTransaction::read(&stored.envelope, &network()).unwrap();
    assert_eq!((read.hash(), read.sequence(), read.source()), (stored.hash, 8, me()));
    assert!(read.is_signed_by(me()));
}

#[test]
fn one_transaction_an_account_is_open_and_it_cannot_be_cancelled() {
    let (mut queue, _) = submitted();
    queue.want(purpose(1), Priority::Deadline);
    queue.want(purpose(2), Priority::Deadline);
    assert_eq!(queue.turn(), None);
    assert!(!queue.cancel(purpose(1)));
    let out_of_turn = queue.sign(plan(purpose(2), 100, false), &key(), now(50)).unwrap_err();
    assert_eq!(out_of_turn, SignError::NotItsTurn(purpose(2)));
}

#[test]
fn after_an_inclusion_nothing_is_signed_before_the_account_is_read_again() {
    for success in [true, false] {
        let (mut queue, hash) = submitted();
        queue.want(purpose(2), Priority::Ordinary);
        let (at, bytes) = (ledger(12), result(TransactionResultResult::TxBadAuth));
        let status = match success {
            true => TxStatus::Success { at, result: bytes.clone() },
            false => TxStatus::Failed { at, result: bytes.clone() },
        };
        let told = effects(queue.status(hash, status));
        assert_eq!(finished(&told), Some(IntentOutcome::Included { at, success, result: bytes }));
        assert!(told.contains(&QueueEffect::ReadAccount));
        assert_eq!(queue.turn(), None);
        assert!(effects(queue.account_seen(account(7), ledger(11))).is_empty());
        assert_eq!(queue.turn(), None, "that ledger is older than the inclusion");
        assert!(effects(queue.account_seen(account(8), ledger(12))).is_empty());
        assert_eq!(queue.turn(), Some((purpose(2), 9)), "a failed transaction uses its number too");
    }
}

#[test]
fn not_found_is_death_only_past_the_latest_time_and_with_the_whole_history() {
    // Included until second 100: ledger 20 closes at 100, ledger 21 at 105. Signed on ledger 10.
    for (latest, oldest, dead) in [(19, 1, false), (20, 1, false), (21, 12, false), (21, 11, true), (500, 1, true)] {
        let (mut queue, hash) = submitted();
        let told = effects(queue.status(hash, not_found(latest, oldest)));
        let expected = dead.then_some(IntentOutcome::Dead);
        assert_eq!(finished(&told), expected, "latest {latest}, oldest {oldest}");
    }
}

#[test]
fn a_number_still_unused_past_the_latest_time_is_death_whatever_history_says() {
    for (sequence, at, dead) in [(7, 20, false), (7, 21, true), (8, 21, false)] {
        let (mut queue, _) = submitted();
        let told = effects(queue.account_seen(account(sequence), ledger(at)));
        assert_eq!(finished(&told), dead.then_some(IntentOutcome::Dead), "{sequence} at {at}");
        assert_eq!(queue.turn(), None);
        queue.want(purpose(1), Priority::Ordinary);
        assert_eq!(queue.turn(), None, "its end wasn't forgotten yet");
        effects(queue.forget(purpose(1)));
        queue.want(purpose(1), Priority::Ordinary);
        assert_eq!(queue.turn(), dead.then_some((purpose(1), 8)), "the number is used again only then");
    }
}

#[test]
fn a_number_used_by_another_transaction_is_death_where_history_can_tell() {
    let (mut queue, hash) = submitted();
    let told = effects(queue.account_seen(account(8), ledger(13)));
    assert_eq!(told, [QueueEffect::Ask { hash }]);
    assert_eq!(finished(&effects(queue.status(hash, not_found(12, 1)))), None, "that server is behind");
    assert_eq!(finished(&effects(queue.status(hash, not_found(13, 1)))), Some(IntentOutcome::Dead));
}

#[test]
fn a_number_used_where_history_cannot_tell_is_unknown_and_never_guessed() {
    let (mut queue, hash) = submitted();
    effects(queue.account_seen(account(9), ledger(400)));
    let told = effects(queue.status(hash, not_found(401, 300)));
    assert_eq!(finished(&told), Some(IntentOutcome::Unknown));
    let stored = queue.intent(purpose(1)).unwrap();
    assert_eq!(stored.state, IntentState::Unknown);
}

#[test]
fn too_short_a_history_asks_for_the_account_instead() {
    let (mut queue, hash) = submitted();
    assert_eq!(effects(queue.status(hash, not_found(400, 300))), [QueueEffect::ReadAccount]);
    assert_eq!(finished(&effects(queue.account_seen(account(7), ledger(400)))), Some(IntentOutcome::Dead));
}

#[test]
fn a_wrong_sequence_number_reads_the_account_and_a_refusal_is_said_but_not_final() {
    let (mut queue, hash) = submitted();
    let bad_sequence = result(TransactionResultResult::TxBadSeq);
    let told = effects(queue.submitted(hash, &SubmitAnswer::Refused { result: bad_sequence.clone() }, now(51)));
    let refused = QueueEffect::Refused { purpose: purpose(1), result: bad_sequence };
    assert_eq!(told, [QueueEffect::ReadAccount, QueueEffect::Ask { hash }, refused]);
    assert_eq!(queue.open().count(), 1);
    let status = TxStatus::Success { at: ledger(12), result: Vec::new() };
    assert!(finished(&effects(queue.status(hash, status))).is_some(), "it was included all the same");
}

#[test]
fn a_busy_server_and_a_time_not_yet_come_are_tried_again_and_a_bad_signature_is_not() {
    let submits = |answer: SubmitAnswer| {
        let (mut queue, hash) = submitted();
        effects(queue.submitted(hash, &answer, now(50)));
        let mut at = Vec::new();
        for secs in 51..=110 {
            let told = effects(queue.tick(now(secs)));
            if told.iter().any(|e| matches!(e, QueueEffect::Submit { .. })) {
                at.push(secs);
            }
        }
        at
    };
    assert_eq!(submits(SubmitAnswer::TryAgainLater), [53, 63, 73, 83, 93]);
    assert_eq!(submits(SubmitAnswer::Pending), [60, 70, 80, 90, 100], "and never past its latest time");
    let early = SubmitAnswer::Refused { result: result(TransactionResultResult::TxTooEarly) };
    assert_eq!(submits(early).first(), Some(&53));
    let unsigned = SubmitAnswer::Refused { result: result(TransactionResultResult::TxBadAuth) };
    assert!(submits(unsigned).is_empty());
}

#[test]
fn an_open_transaction_is_asked_for_at_every_poll_and_past_its_time_the_account_too() {
    let (mut queue, hash) = submitted();
    assert_eq!(effects(queue.tick(now(50))), []);
    assert_eq!(effects(queue.tick(now(51))), [QueueEffect::Ask { hash }]);
    assert_eq!(effects(queue.tick(now(51))), []);
    let told = effects(queue.tick(now(101)));
    assert_eq!(told, [QueueEffect::Ask { hash }, QueueEffect::ReadAccount]);
}

#[test]
fn a_wanted_transaction_makes_an_unread_account_be_read() {
    let mut queue = AccountQueue::new(me(), network(), POLL);
    assert_eq!(effects(queue.tick(now(50))), []);
    queue.want(purpose(1), Priority::Ordinary);
    assert_eq!(effects(queue.tick(now(50))), [QueueEffect::ReadAccount]);
    assert_eq!(effects(queue.tick(now(50))), []);
    assert_eq!(effects(queue.tick(now(51))), [QueueEffect::ReadAccount]);
}

#[test]
fn a_held_transaction_is_handed_over_and_submitted_only_on_release() {
    let mut queue = ready();
    let told = effects(queue.sign(plan(purpose(1), 100, true), &key(), now(50)).unwrap());
    let [QueueEffect::HandOver { hash, .. }] = told[..] else { panic!("{told:?}") };
    for secs in 51..=110 {
        let told = effects(queue.tick(now(secs)));
        assert!(!told.iter().any(|e| matches!(e, QueueEffect::Submit { .. })), "{told:?}");
    }
    let mut disk = Disk::default();
    let told = queue.release(purpose(1), now(60)).commit_to(&mut disk).unwrap();
    assert!(matches!(&told[..], [QueueEffect::Submit { hash: released, .. }] if *released == hash));
    assert_eq!(disk.intents()[0].state, IntentState::Signed { held: false });
    assert!(effects(queue.release(purpose(1), now(61))).is_empty(), "once");
}

#[test]
fn a_held_transaction_that_the_counterparty_submits_is_found() {
    let mut queue = ready();
    let told = effects(queue.sign(plan(purpose(1), 100, true), &key(), now(50)).unwrap());
    let [QueueEffect::HandOver { hash, .. }] = told[..] else { panic!("{told:?}") };
    assert!(effects(queue.tick(now(51))).contains(&QueueEffect::Ask { hash }));
    let status = TxStatus::Success { at: ledger(12), result: Vec::new() };
    assert!(finished(&effects(queue.status(hash, status))).is_some());
}

#[test]
fn open_transactions_commit_their_amount_and_fee_until_they_have_ended() {
    let (mut queue, hash) = submitted();
    let params = LedgerParams::USUAL;
    assert_eq!(queue.committed(me(), &Asset::Native, &params), Stroops::new(30_000_100).unwrap());
    let hexa = Asset::issued("HEXA", me()).unwrap();
    assert_eq!(queue.committed(me(), &hexa, &params), Stroops::ZERO);
    effects(queue.status(hash, not_found(21, 1)));
    assert_eq!(queue.committed(me(), &Asset::Native, &params), Stroops::ZERO);
}

#[test]
fn an_end_is_told_again_after_every_restart_until_it_is_forgotten() {
    let (mut queue, hash) = submitted();
    let mut disk = Disk::default();
    queue.status(hash, not_found(21, 1)).commit_to(&mut disk).unwrap();
    for _ in 0..2 {
        let mut restarted = AccountQueue::new(me(), network(), POLL);
        let told = effects(restarted.restore(disk.intents(), now(200)));
        assert_eq!(finished(&told), Some(IntentOutcome::Dead));
    }
    queue.forget(purpose(1)).commit_to(&mut disk).unwrap();
    assert!(disk.intents().is_empty());
    assert_eq!(effects(AccountQueue::new(me(), network(), POLL).restore(disk.intents(), now(200))).len(), 1);
}

#[test]
fn forgetting_a_dead_transaction_leaves_the_one_that_took_its_number() {
    let (mut queue, hash) = submitted();
    let mut disk = Disk::default();
    queue.status(hash, not_found(21, 1)).commit_to(&mut disk).unwrap();
    queue.want(purpose(2), Priority::Ordinary);
    queue.sign(plan(purpose(2), 300, false), &key(), now(200)).unwrap().commit_to(&mut disk).unwrap();
    queue.forget(purpose(1)).commit_to(&mut disk).unwrap();
    let [left] = &disk.intents()[..] else { panic!("{:?}", disk.intents()) };
    assert_eq!((left.purpose, left.sequence), (purpose(2), 8));
}

fn raise(queue: &mut AccountQueue, fee: i64, at: u32) -> (TxHash, Vec<u8>, Disk) {
    let fee = Stroops::new(fee).unwrap();
    let mut disk = Disk::default();
    let step = queue.bump(purpose(1), fee, &key(), ledger(at), now(u64::from(at) * CLOSE)).unwrap();
    let mut done = step.commit_to(&mut disk).unwrap();
    let Some(QueueEffect::Submit { hash, envelope }) = done.pop() else { panic!("nothing is sent") };
    assert!(done.is_empty());
    (hash, envelope, disk)
}

#[test]
fn what_waits_for_five_ledgers_is_due_to_offer_more_and_the_offer_is_durable_before_it_is_sent() {
    let (mut queue, inner) = submitted();
    assert!(queue.due(ledger(14)).is_empty());
    let due = queue.due(ledger(15));
    let [due] = due[..] else { panic!("{due:?}") };
    assert_eq!((due.purpose, due.payer, due.inner, due.last), (purpose(1), me(), due.inner, due.inner));
    assert_eq!(due.inner, Offered { fee: Stroops::new(100).unwrap(), operations: 1 });
    let (hash, envelope, disk) = raise(&mut queue, 2_000, 15);
    assert_ne!(hash, inner);
    let stored = disk.intents();
    let IntentState::Bumped(bump) = &stored[0].state else { panic!("{stored:?}") };
    assert_eq!((bump.hash, &bump.envelope, bump.fee.get()), (hash, &envelope, 2_000));
    assert!(queue.due(ledger(19)).is_empty());
    assert_eq!(queue.due(ledger(20))[0].last, Offered { fee: Stroops::new(2_000).unwrap(), operations: 2 });
    assert!(queue.due(ledger(21)).is_empty(), "its time is over with ledger 20");
    assert_eq!(queue.committed(me(), &Asset::Native, &LedgerParams::USUAL), Stroops::new(30_002_000).unwrap());
}

#[test]
fn after_a_crash_the_highest_offer_is_known_and_sent_again() {
    let (mut queue, inner) = submitted();
    raise(&mut queue, 2_000, 15);
    let (hash, envelope, disk) = raise(&mut queue, 20_000, 20);
    let mut again = AccountQueue::new(me(), network(), POLL);
    let resumed = effects(again.restore(disk.intents(), now(101)));
    assert_eq!(resumed[..2], [QueueEffect::Submit { hash, envelope }, QueueEffect::Ask { hash: inner }]);
    let late = effects(again.submitted(inner, &SubmitAnswer::TryAgainLater, now(101)));
    assert!(late.is_empty(), "an answer about an earlier envelope says nothing: {late:?}");
    let at = ledger(20);
    let ended = effects(again.status(inner, TxStatus::Success { at, result: Vec::new() }));
    assert!(matches!(finished(&ended), Some(IntentOutcome::Included { success: true, .. })));
}

#[test]
fn what_has_no_deadline_is_held_or_isnt_valid_yet_offers_no_more() {
    for (what, hold, from) in [(Purpose::Pay { id: [1; 16] }, false, 0), (purpose(1), true, 0), (purpose(1), false, 90)]
    {
        let mut queue = AccountQueue::new(me(), network(), POLL);
        queue.want(what, Priority::Deadline);
        drop(queue.account_seen(account(7), ledger(10)));
        let mut plan = plan(what, 100, hold);
        plan.bounds.from = Timestamp::from_secs(from);
        drop(queue.sign(plan, &key(), now(50)).unwrap());
        assert!(queue.due(ledger(16)).is_empty(), "{what} {hold} {from}");
    }
}
