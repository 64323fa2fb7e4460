//! One queue an account: what is wanted, what is open, and what the ledger says about it.

use std::collections::BTreeMap;
use std::time::Duration;

use ed25519_dalek::SigningKey;

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::intent::fees::{Offered, RAISED_EVERY};
use crate::intent::queues::Due;
use crate::intent::{Bump, Course, Intent, IntentOutcome, IntentState, MAX_RESULT_BYTES, Purpose};
use crate::message::TxHash;
use crate::network_id::NetworkId;
use crate::stellar::entry::AccountState;
use crate::stellar::envelope::{MAX_ENVELOPE_BYTES, SignedTransaction};
use crate::stellar::reserve::LedgerParams;
use crate::stellar::result::ResultView;
use crate::stellar::transaction::{Envelope, Unsigned};
use crate::stellar::{LedgerPoint, Operation};
use crate::step::{Space, Step};
use crate::time::Now;

mod asked;
mod plan;

pub use asked::{QueueEffect, SubmitAnswer, TxStatus};
pub use plan::{Plan, SignError, Signed};

/// After a server took a transaction, polls until it is sent again: servers drop what no ledger includes.
const POLLS_UNTIL_RESUBMIT: u32 = 10;
/// After a server was busy, or the transaction came too early, polls until it is sent again.
const POLLS_UNTIL_RETRY: u32 = 3;

/// How urgent a transaction is. Within one urgency the first wanted is the first served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// It has a deadline that costs money.
    Deadline,
    /// Everything else.
    Ordinary,
}

#[derive(Debug)]
struct Open {
    intent: Intent,
    ask_at: Now,
    submit_at: Option<Now>,
    /// The ledger that showed its sequence number as used.
    passed: Option<LedgerPoint>,
    /// Since which ledger this process has had it on its way; unknown after a start until a ledger is seen.
    on_its_way: Option<u32>,
}

/// The transactions of one account, one open at a time.
#[derive(Debug)]
pub struct AccountQueue {
    account: AccountId,
    network: NetworkId,
    poll_every: Duration,
    waiting: Vec<(Priority, Purpose)>,
    /// What the next sequence number is kept for while others are asked to sign.
    kept_for: Option<Purpose>,
    open: BTreeMap<i64, Open>,
    finished: BTreeMap<i64, Intent>,
    seen: Option<(AccountState, LedgerPoint)>,
    /// Reads of older ledgers than this don't show the last inclusion yet.
    fresh_from: u32,
    read_at: Now,
}

impl AccountQueue {
    /// An empty queue. `poll_every` is the network's margin of that name.
    pub fn new(account: AccountId, network: NetworkId, poll_every: Duration) -> Self {
        Self {
            account,
            network,
            poll_every,
            waiting: Vec::new(),
            kept_for: None,
            open: BTreeMap::new(),
            finished: BTreeMap::new(),
            seen: None,
            fresh_from: 0,
            read_at: Now::default(),
        }
    }

    /// Takes over the account's stored intents at start, and resumes each where it stood: the ended ones are told
    /// again, a held one is handed over again, the others are sent or asked for.
    pub fn restore(&mut self, intents: Vec<Intent>, now: Now) -> Step<QueueEffect> {
        let mut step = Step::none();
        for intent in intents.into_iter().filter(|i| i.account == self.account) {
            if let Some(outcome) = intent.outcome() {
                let (purpose, sequence) = (intent.purpose, intent.sequence);
                if let IntentOutcome::Included { at, .. } = &outcome {
                    self.fresh_from = self.fresh_from.max(at.sequence);
                }
                self.finished.insert(sequence, intent);
                step.then(QueueEffect::Finished { purpose, sequence, outcome });
                continue;
            }
            let held = intent.state == (IntentState::Signed { held: true });
            let submit_at = (!held).then(|| self.after(now, POLLS_UNTIL_RESUBMIT));
            step.then(reveal(&intent));
            step.then(QueueEffect::Ask { hash: intent.hash });
            let ask_at = now.plus(self.poll_every);
            self.open.insert(intent.sequence, Open { intent, ask_at, submit_at, passed: None, on_its_way: None });
        }
        step.then(QueueEffect::ReadAccount);
        self.read_at = now.plus(self.poll_every);
        step
    }

    /// Wants a transaction; once is enough. A repeat can only raise its priority.
    ///
    /// A purpose whose transaction has ended is done: [`AccountQueue::forget`] it before wanting it anew. So a caller
    /// that wants it again after a restart, before it was told of the end, doesn't pay twice.
    pub fn want(&mut self, purpose: Purpose, priority: Priority) {
        if self.intent(purpose).is_some() {
            return;
        }
        match self.waiting.iter_mut().find(|(_, waiting)| *waiting == purpose) {
            Some((known, _)) => *known = priority.min(*known),
            None => self.waiting.push((priority, purpose)),
        }
    }

    /// No longer wants a transaction. `false` where it was signed already: that can't be taken back, for whoever saw it
    /// may submit it.
    pub fn cancel(&mut self, purpose: Purpose) -> bool {
        self.waiting.retain(|(_, waiting)| *waiting != purpose);
        !self.open.values().any(|open| open.intent.purpose == purpose)
    }

    /// Signs the transaction whose turn it is and journals it.
    ///
    /// # Errors
    /// [`SignError`]; then nothing has changed.
    pub fn sign(&mut self, plan: Plan, key: &SigningKey, now: Now) -> Result<Step<QueueEffect>, SignError> {
        self.sign_with(plan, key, &[], now)
    }

    /// As [`AccountQueue::sign`], with the keys of the operations' sources where those are other accounts: exactly the
    /// signatures that are needed, for the ledger refuses a transaction with one more.
    ///
    /// # Errors
    /// [`SignError`]; then nothing has changed.
    pub fn sign_with(
        &mut self,
        plan: Plan,
        key: &SigningKey,
        others: &[&SigningKey],
        now: Now,
    ) -> Result<Step<QueueEffect>, SignError> {
        let Plan { purpose, operations, bounds, memo, fee, hold, .. } = plan;
        let Some((_, sequence)) = self.turn().filter(|(next, _)| *next == purpose) else {
            return Err(SignError::NotItsTurn(purpose));
        };
        if AccountId::of(key) != self.account {
            return Err(SignError::WrongKey { expected: self.account, found: AccountId::of(key) });
        }
        let unsigned = Unsigned { source: self.account, sequence, fee, bounds, memo, operations };
        let keys: Vec<&SigningKey> = core::iter::once(key).chain(others.iter().copied()).collect();
        let envelope = unsigned.sign(&keys, &self.network)?;
        self.journal(Signed { purpose, sequence, envelope, max_time: bounds.until }, hold, now)
    }

    /// Takes over a transaction of this account's that was signed elsewhere, where its sequence number is the next one, and
    /// journals it.
    ///
    /// # Errors
    /// [`SignError`]; then nothing has changed.
    pub fn adopt(&mut self, signed: Signed, now: Now) -> Result<Step<QueueEffect>, SignError> {
        if self.next() != Some(signed.sequence) || self.intent(signed.purpose).is_some() {
            return Err(SignError::NotItsTurn(signed.purpose));
        }
        self.journal(signed, false, now)
    }

    fn journal(&mut self, signed: Signed, hold: bool, now: Now) -> Result<Step<QueueEffect>, SignError> {
        let Signed { purpose, sequence, envelope, max_time } = signed;
        let since = self.seen.as_ref().map_or(0, |(_, at)| at.sequence);
        let latest = self.seen.as_ref().map_or(now.timestamp(), |(_, at)| at.close_time.max(now.timestamp()));
        if max_time <= latest {
            return Err(SignError::TooLate);
        }
        if envelope.bytes().len() > MAX_ENVELOPE_BYTES {
            return Err(SignError::TooLarge(envelope.bytes().len()));
        }
        let intent = Intent {
            account: self.account,
            sequence,
            purpose,
            hash: envelope.hash(),
            envelope: envelope.into_bytes(),
            max_time,
            since,
            state: IntentState::Signed { held: hold },
        };
        let mut step = Step::none();
        step.batch().put(Space::Intent, intent.key(), intent.to_bytes()?);
        step.then(reveal(&intent));
        let submit_at = (!hold).then(|| self.after(now, POLLS_UNTIL_RESUBMIT));
        let ask_at = now.plus(self.poll_every);
        self.waiting.retain(|(_, waiting)| *waiting != purpose);
        self.kept_for = self.kept_for.filter(|kept| *kept != purpose);
        // A dead intent of the same number gives way to this one, in the store too.
        self.finished.remove(&sequence);
        self.open.insert(sequence, Open { intent, ask_at, submit_at, passed: None, on_its_way: Some(since) });
        Ok(step)
    }

    /// Keeps the next sequence number from what can wait, while others are asked to sign for this purpose; which one it is.
    /// `None` where a transaction is open or it is kept for another purpose.
    pub fn keep(&mut self, purpose: Purpose) -> Option<i64> {
        let next = self.next().filter(|_| self.kept_for.is_none_or(|kept| kept == purpose))?;
        self.kept_for = Some(purpose);
        Some(next)
    }

    /// No longer keeps it.
    pub fn let_go(&mut self, purpose: Purpose) {
        self.kept_for = self.kept_for.filter(|kept| *kept != purpose);
    }

    /// Submits what was held, now that the counterparty has it.
    pub fn release(&mut self, purpose: Purpose, now: Now) -> Step<QueueEffect> {
        let again = self.after(now, POLLS_UNTIL_RESUBMIT);
        let mut step = Step::none();
        for open in self.open.values_mut().filter(|open| open.intent.purpose == purpose) {
            if open.intent.state == (IntentState::Signed { held: true }) {
                open.intent.state = IntentState::Signed { held: false };
                open.submit_at = Some(again);
                store(&open.intent, &mut step);
                step.then(reveal(&open.intent));
            }
        }
        step
    }

    /// Raises the fee of an open transaction: signs the same transaction in an envelope that offers more, paid by `payer`'s
    /// account, and journals it before it is sent. From then on the earlier envelopes are sent no more.
    ///
    /// # Errors
    /// [`SignError`]; then nothing has changed.
    pub fn bump(
        &mut self,
        purpose: Purpose,
        fee: Stroops,
        payer: &SigningKey,
        newest: LedgerPoint,
        now: Now,
    ) -> Result<Step<QueueEffect>, SignError> {
        let later = self.after(now, POLLS_UNTIL_RESUBMIT);
        let open = self.open.values_mut().find(|open| open.intent.purpose == purpose);
        let Some(open) = open.filter(|open| open.intent.state != (IntentState::Signed { held: true })) else {
            return Err(SignError::NotItsTurn(purpose));
        };
        let bumped = Envelope::read(&open.intent.envelope, &self.network)?.bump_fee(fee.get(), payer, &self.network)?;
        let hash = bumped.hash();
        let envelope = bumped.into_bytes();
        let payer = AccountId::of(payer);
        open.intent.state = IntentState::Bumped(Bump { envelope, hash, payer, fee, at: newest.sequence });
        open.submit_at = Some(later);
        let mut step = Step::none();
        store(&open.intent, &mut step);
        step.then(reveal(&open.intent));
        Ok(step)
    }

    /// Takes a server's answer to a submission in.
    pub fn submitted(&mut self, hash: TxHash, answer: &SubmitAnswer, now: Now) -> Step<QueueEffect> {
        let (later, soon) = (self.after(now, POLLS_UNTIL_RESUBMIT), self.after(now, POLLS_UNTIL_RETRY));
        let mut step = Step::none();
        let Some(open) = self.open.values_mut().find(|open| open.intent.newest().1 == hash) else { return step };
        match answer {
            SubmitAnswer::Pending | SubmitAnswer::Duplicate => {
                open.submit_at = Some(later);
                if open.intent.state == (IntentState::Signed { held: false }) {
                    open.intent.state = IntentState::Submitted;
                    store(&open.intent, &mut step);
                }
            }
            SubmitAnswer::TryAgainLater => open.submit_at = Some(soon),
            SubmitAnswer::Refused { result } => {
                let view = ResultView::read(result).ok();
                open.submit_at = view.as_ref().is_some_and(ResultView::is_passing).then_some(soon);
                if view.is_some_and(|v| v.is_bad_sequence()) {
                    step.then(QueueEffect::ReadAccount);
                }
                step.then(QueueEffect::Ask { hash: open.intent.hash });
                let purpose = open.intent.purpose;
                step.then(QueueEffect::Refused { purpose, result: kept(result) });
            }
        }
        step
    }

    /// Takes a server's word on a transaction in.
    pub fn status(&mut self, hash: TxHash, status: TxStatus) -> Step<QueueEffect> {
        let Some(open) = self.open.values().find(|open| open.intent.hash == hash) else { return Step::none() };
        let sequence = open.intent.sequence;
        match status {
            TxStatus::Success { at, result } => self.included(sequence, at, true, &result),
            TxStatus::Failed { at, result } => self.included(sequence, at, false, &result),
            TxStatus::NotFound { latest, oldest } => {
                let covers = oldest <= open.intent.since.saturating_add(1);
                let expired = latest.close_time > open.intent.max_time;
                let passed = open.passed.is_some_and(|passed| latest.sequence >= passed.sequence);
                if covers && (expired || passed) {
                    self.finish(sequence, IntentState::Dead)
                } else if passed {
                    self.finish(sequence, IntentState::Unknown)
                } else {
                    let mut step = Step::none();
                    if expired {
                        // The history is too short to tell; the account's sequence number may.
                        step.then(QueueEffect::ReadAccount);
                    }
                    step
                }
            }
        }
    }

    /// Whether a transaction's end would follow from what a ledger shows of the account, or that it doesn't show it.
    pub fn would_decide(&self, state: Option<&AccountState>, at: LedgerPoint) -> bool {
        let Some(state) = state else { return self.seen.is_some() };
        self.is_shown_by(at)
            && self.open.iter().any(|(&sequence, open)| match state.sequence >= sequence {
                true => open.passed.is_none(),
                false => at.close_time > open.intent.max_time,
            })
    }

    /// Takes the account's entry in, as a ledger showed it.
    pub fn account_seen(&mut self, state: AccountState, at: LedgerPoint) -> Step<QueueEffect> {
        if state.id != self.account || !self.is_shown_by(at) {
            return Step::none();
        }
        let mut step = Step::none();
        let mut dead = Vec::new();
        for (&sequence, open) in &mut self.open {
            if state.sequence >= sequence {
                if open.passed.is_none() {
                    open.passed = Some(at);
                    step.then(QueueEffect::Ask { hash: open.intent.hash });
                }
            } else if at.close_time > open.intent.max_time {
                dead.push(sequence);
            }
        }
        self.seen = Some((state, at));
        for sequence in dead {
            step.append(self.finish(sequence, IntentState::Dead));
        }
        step
    }

    /// Whether a ledger shows all that is known to have happened by this account's transactions.
    pub fn is_shown_by(&self, at: LedgerPoint) -> bool {
        at.sequence >= self.seen.as_ref().map_or(0, |(_, seen)| seen.sequence).max(self.fresh_from)
    }

    /// Takes in that a ledger doesn't show the account: it has been merged, or never was. Nothing is signed for it, and
    /// what waited for its turn no longer waits here.
    pub fn account_absent(&mut self, at: LedgerPoint) -> Step<QueueEffect> {
        let mut step = Step::none();
        if at.sequence < self.fresh_from {
            return step;
        }
        self.seen = None;
        self.waiting.clear();
        let over = |open: &&Open| at.close_time > open.intent.max_time;
        for open in self.open.values().filter(over) {
            step.then(QueueEffect::Ask { hash: open.intent.hash });
        }
        step
    }

    /// Says what is due: questions, submissions, reads.
    pub fn tick(&mut self, now: Now) -> Step<QueueEffect> {
        let (ask_at, submit_at) = (now.plus(self.poll_every), self.after(now, POLLS_UNTIL_RESUBMIT));
        let mut step = Step::none();
        let mut expired = false;
        for open in self.open.values_mut() {
            let over = now.timestamp() > open.intent.max_time;
            expired |= over;
            if open.submit_at.is_some_and(|due| due <= now) {
                open.submit_at = (!over).then_some(submit_at);
                if !over {
                    step.then(reveal(&open.intent));
                }
            }
            if open.ask_at <= now {
                open.ask_at = ask_at;
                step.then(QueueEffect::Ask { hash: open.intent.hash });
            }
        }
        let wanted = self.open.is_empty() && self.seen.is_none() && !self.waiting.is_empty();
        if (wanted || expired) && self.read_at <= now {
            self.read_at = ask_at;
            step.then(QueueEffect::ReadAccount);
        }
        step
    }

    /// Deletes what is kept of a purpose's ended transactions. To be committed together with their consequence.
    pub fn forget(&mut self, purpose: Purpose) -> Step<QueueEffect> {
        let mut step = Step::none();
        self.finished.retain(|_, intent| {
            let forgotten = intent.purpose == purpose;
            if forgotten {
                step.batch().delete(Space::Intent, intent.key());
            }
            !forgotten
        });
        step
    }

    fn included(&mut self, sequence: i64, at: LedgerPoint, success: bool, result: &[u8]) -> Step<QueueEffect> {
        self.fresh_from = self.fresh_from.max(at.sequence);
        if self.seen.as_ref().is_some_and(|(_, seen)| seen.sequence < at.sequence) {
            // Balance and sequence number have moved; what comes next is built on what the ledger shows then.
            self.seen = None;
        }
        self.finish(sequence, IntentState::Included { at, success, result: kept(result) })
    }

    fn finish(&mut self, sequence: i64, state: IntentState) -> Step<QueueEffect> {
        let mut step = Step::none();
        let Some(Open { mut intent, .. }) = self.open.remove(&sequence) else { return step };
        intent.state = state;
        store(&intent, &mut step);
        if let Some(outcome) = intent.outcome() {
            step.then(QueueEffect::Finished { purpose: intent.purpose, sequence, outcome });
        }
        step.then(QueueEffect::ReadAccount);
        self.finished.insert(sequence, intent);
        step
    }

    fn after(&self, now: Now, polls: u32) -> Now {
        now.plus(self.poll_every.saturating_mul(polls))
    }

    /// Whose queue it is.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// Whose turn it is, and with which sequence number. `None` while a transaction is open, nothing is wanted, or the
    /// account hasn't been read since the last one.
    pub fn turn(&self) -> Option<(Purpose, i64)> {
        let sequence = self.next()?;
        let (priority, next) = self.waiting.iter().min_by_key(|(priority, _)| *priority)?;
        let waits = self.kept_for.is_some() && *priority != Priority::Deadline;
        (!waits).then_some((*next, sequence))
    }

    /// The sequence number that the next transaction uses; `None` while one is open, or the account hasn't been read since
    /// the last one.
    fn next(&self) -> Option<i64> {
        let (state, _) = self.seen.as_ref().filter(|_| self.open.is_empty())?;
        state.sequence.checked_add(1)
    }

    /// The account as it was last read.
    pub fn seen(&self) -> Option<(&AccountState, LedgerPoint)> {
        self.seen.as_ref().map(|(state, at)| (state, *at))
    }

    /// The open or ended transaction of a purpose, the newest first.
    pub fn intent(&self, purpose: Purpose) -> Option<&Intent> {
        let open = self.open.values().map(|open| &open.intent).rev();
        open.chain(self.finished.values().rev()).find(|intent| intent.purpose == purpose)
    }

    /// Whether a transaction is wanted and waits for its turn.
    pub fn is_waiting(&self, purpose: Purpose) -> bool {
        self.waiting.iter().any(|(_, waiting)| *waiting == purpose)
    }

    /// What is wanted and waits, and what is open.
    pub fn wanted(&self) -> impl Iterator<Item = Purpose> {
        self.waiting.iter().map(|(_, purpose)| *purpose).chain(self.open().map(|intent| intent.purpose))
    }

    /// How many transactions wait or are open.
    pub fn load(&self) -> usize {
        self.waiting.len() + self.open.len()
    }

    /// The open deadline transactions that may be included, were not for a while, and whose offers are to be raised.
    pub fn due(&mut self, newest: LedgerPoint) -> Vec<Due> {
        for open in self.open.values_mut() {
            open.on_its_way.get_or_insert(newest.sequence);
        }
        self.open.values().filter_map(|open| self.due_of(open, newest)).collect()
    }

    fn due_of(&self, Open { intent, on_its_way, .. }: &Open, newest: LedgerPoint) -> Option<Due> {
        let transaction = SignedTransaction::read(&intent.envelope, &self.network).ok()?;
        let operations = u32::try_from(transaction.operations().len()).ok()?;
        let inner = Offered { fee: Stroops::new(i64::from(transaction.fee()))?, operations };
        let (last, since, payer) = match &intent.state {
            IntentState::Bumped(bump) => (Offered { fee: bump.fee, operations: operations + 1 }, bump.at, bump.payer),
            IntentState::Signed { held: true } => return None,
            _ => (inner, intent.since, self.account),
        };
        // What isn't valid yet waits for its time, not for a better offer.
        let from = transaction.bounds()?.from;
        let waits = newest.close_time >= from && newest.close_time <= intent.max_time;
        let since = since.max(on_its_way.unwrap_or_default());
        let long = newest.sequence >= since.saturating_add(RAISED_EVERY);
        let due = intent.purpose.course() == Course::Deadline && waits && long;
        due.then_some(Due { purpose: intent.purpose, account: self.account, payer, inner, last })
    }

    /// The transactions that the ledger hasn't decided yet.
    pub fn open(&self) -> impl Iterator<Item = &Intent> {
        self.open.values().map(|open| &open.intent)
    }

    /// What the open transactions may still take out of an account in `asset`, fees and reserves included: this queue's
    /// own, or another one whose operations they carry.
    pub fn committed(&self, account: AccountId, asset: &Asset, params: &LedgerParams) -> Stroops {
        self.open().fold(Stroops::ZERO, |sum, intent| {
            let taken = self.taken(intent, account, asset, params);
            taken.and_then(|taken| sum.plus(taken)).unwrap_or(Stroops::MAX)
        })
    }

    fn taken(&self, intent: &Intent, account: AccountId, asset: &Asset, params: &LedgerParams) -> Option<Stroops> {
        let Ok(transaction) = SignedTransaction::read(&intent.envelope, &self.network) else {
            // Unreadable, so nobody can say: nothing more is spent until it has ended.
            return None;
        };
        let (payer, fee) = match &intent.state {
            IntentState::Bumped(bump) => (bump.payer, bump.fee),
            _ => (self.account, Stroops::new(i64::from(transaction.fee()))?),
        };
        // An operation without a source of its own is this queue's account's.
        let concerns = |operation: &&Operation| operation.source_account.is_some() || self.account == account;
        let operations: Vec<Operation> = transaction.operations().iter().filter(concerns).cloned().collect();
        let fee = if asset.is_native() && payer == account { fee } else { Stroops::ZERO };
        params.outflow(account, &operations, asset).plus(fee)
    }
}

fn reveal(intent: &Intent) -> QueueEffect {
    let (envelope, hash) = intent.newest();
    let (purpose, envelope) = (intent.purpose, envelope.to_vec());
    match intent.state {
        IntentState::Signed { held: true } => QueueEffect::HandOver { purpose, hash, envelope },
        _ => QueueEffect::Submit { hash, envelope },
    }
}

fn store(intent: &Intent, step: &mut Step<QueueEffect>) {
    let bytes = intent.to_bytes().expect("envelope and result are bounded far below a stored value's limit");
    step.batch().put(Space::Intent, intent.key(), bytes);
}

fn kept(result: &[u8]) -> Vec<u8> {
    if result.len() <= MAX_RESULT_BYTES { result.to_vec() } else { Vec::new() }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
pub(in crate::intent) mod tests;
