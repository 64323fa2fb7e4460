//! The queues of one owner: its account's, and one for each of its submitter accounts.
//!
//! A purpose is in one queue at a time. Deadline transactions go to the submitter that has least to do, where one stands
//! on the ledger, else to the account's own queue, in front of what can wait.

use std::time::Duration;

use ed25519_dalek::SigningKey;

use crate::account::{AccountId, ServingKey};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::escrow::controller;
use crate::escrow::settlement::{Settlement, SettlementError};
use crate::intent::fees::Offered;
use crate::intent::queue::{AccountQueue, Plan, Priority, QueueEffect, SignError, Signed, SubmitAnswer, TxStatus};
use crate::intent::submitter::{self, MAX_SUBMITTERS};
use crate::intent::{Course, Intent, Purpose};
use crate::message::TxHash;
use crate::network_id::NetworkId;
use crate::stellar::entry::AccountState;
use crate::stellar::reserve::LedgerParams;
use crate::stellar::{LedgerPoint, Operation, operation};
use crate::step::Step;
use crate::time::Now;

/// The queues of one owner.
#[derive(Debug)]
pub struct Queues {
    network: NetworkId,
    owner: Line,
    submitters: Vec<Line>,
}

/// A queue with the key that signs for its account.
#[derive(Debug)]
struct Line {
    key: SigningKey,
    queue: AccountQueue,
    /// Whether it stood on the ledger when it was last read.
    stands: Option<bool>,
}

/// A submitter account, as it stands.
#[derive(Debug, Clone, Copy)]
pub struct Submitter<'a> {
    /// Its number.
    pub index: u8,
    /// The account.
    pub account: AccountId,
    /// Its entry as last read; `None` where it wasn't read yet, or isn't on the ledger.
    pub state: Option<&'a AccountState>,
    /// Whether it was read and isn't on the ledger.
    pub absent: bool,
    /// Transactions that it carries or will carry.
    pub busy: usize,
}

/// A deadline transaction whose offer is to be raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// What it is for.
    pub purpose: Purpose,
    /// The account whose sequence number it uses.
    pub account: AccountId,
    /// Who pays what it last offered.
    pub payer: AccountId,
    /// What it was signed with.
    pub inner: Offered,
    /// What it last offered.
    pub last: Offered,
}

/// Why a settlement isn't on its way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// Its signatures aren't enough, or not right.
    #[error(transparent)]
    Settlement(#[from] SettlementError),
    /// Its sequence number has gone to another transaction.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl Queues {
    /// The empty queues of the account with this key. `poll_every` is the network's margin of that name.
    pub fn new(key: &SigningKey, network: NetworkId, poll_every: Duration) -> Self {
        let line = |key: SigningKey| {
            let queue = AccountQueue::new(AccountId::of(&key), network, poll_every);
            Line { key, queue, stands: None }
        };
        let submitters = (0..MAX_SUBMITTERS).map(|index| line(submitter::key(key, index))).collect();
        Self { network, owner: line(key.clone()), submitters }
    }

    /// Takes over the stored intents at start; see [`AccountQueue::restore`].
    pub fn restore(&mut self, intents: &[Intent], now: Now) -> Step<QueueEffect> {
        let mut step = self.owner.queue.restore(intents.to_vec(), now);
        for line in &mut self.submitters {
            // One that never did anything has nothing to say; it is read with the others.
            if intents.iter().any(|intent| intent.account == line.queue.account()) {
                step.append(line.queue.restore(intents.to_vec(), now));
            }
        }
        step
    }

    /// Wants a transaction; once is enough, again does no harm. See [`AccountQueue::want`].
    pub fn want(&mut self, purpose: Purpose) {
        if self.intent(purpose).is_some() {
            return;
        }
        match purpose.course() {
            Course::Submitter(index) => {
                if let Some(line) = self.submitters.get_mut(usize::from(index)) {
                    line.queue.want(purpose, Priority::Ordinary);
                }
            }
            Course::Funding => self.owner.queue.want(purpose, Priority::Deadline),
            Course::Ordinary => self.owner.queue.want(purpose, Priority::Ordinary),
            Course::Deadline => self.want_in_time(purpose),
        }
    }

    /// A deadline transaction stays with the submitter that has it; from the account's own queue, where it waits behind
    /// others, it goes to a submitter once there is one.
    fn want_in_time(&mut self, purpose: Purpose) {
        if self.submitters.iter().any(|line| line.is_usable() && line.queue.is_waiting(purpose)) {
            return;
        }
        for line in &mut self.submitters {
            line.queue.cancel(purpose);
        }
        let idlest = self.submitters.iter_mut().filter(|line| line.is_usable()).min_by_key(|line| line.queue.load());
        match idlest {
            Some(line) => {
                self.owner.queue.cancel(purpose);
                line.queue.want(purpose, Priority::Deadline);
            }
            None => self.owner.queue.want(purpose, Priority::Deadline),
        }
    }

    /// No longer wants a transaction; see [`AccountQueue::cancel`].
    pub fn cancel(&mut self, purpose: Purpose) -> bool {
        let mut cancelled = true;
        for line in self.lines_mut() {
            cancelled &= line.queue.cancel(purpose);
        }
        cancelled
    }

    /// Signs the transaction whose turn it is in this account's queue; see [`AccountQueue::sign`]. A submitter's
    /// operations are its owner's, and signed by both. `beside` are further keys of the owner's whose accounts are sources
    /// of operations.
    ///
    /// # Errors
    /// [`SignError`]; then nothing has changed.
    pub fn sign(
        &mut self,
        account: AccountId,
        mut plan: Plan,
        beside: &[SigningKey],
        now: Now,
    ) -> Result<Step<QueueEffect>, SignError> {
        let (owner, network) = (self.owner.key.clone(), self.network);
        let not_its_turn = SignError::NotItsTurn(plan.purpose);
        let line = self.lines_mut().find(|line| line.queue.account() == account).ok_or(not_its_turn)?;
        let lends = account != AccountId::of(&owner) && plan.purpose.course() == Course::Deadline;
        if lends {
            let of_owner = |operation: Operation| match operation.source_account {
                Some(_) => operation,
                None => operation::by(AccountId::of(&owner), operation),
            };
            plan.operations = plan.operations.into_iter().map(of_owner).collect();
        }
        let controller = plan.controller.map(|sequence| controller::key(&owner, &network, sequence));
        let others: Vec<&SigningKey> = lends.then_some(&owner).into_iter().chain(&controller).chain(beside).collect();
        line.queue.sign_with(plan, &line.key, &others, now)
    }

    /// Whether one of the accounts by which a settlement can go has the means, busy or not.
    pub fn has(&self, means: impl Fn(&AccountState) -> bool) -> bool {
        let submitters = self.submitters.iter().filter(|line| line.is_usable());
        let seen = submitters.chain([&self.owner]).map(|line| line.queue.seen());
        // What wasn't read yet may have them.
        seen.into_iter().any(|seen| seen.is_none_or(|(state, _)| means(state)))
    }

    /// An account by which a settlement can go, and the sequence number that is kept for it there: a submitter that has the
    /// means, else the owner's own where that has them. `None` where all are busy.
    pub fn keep(&mut self, purpose: Purpose, means: impl Fn(&AccountState) -> bool) -> Option<(AccountId, i64)> {
        let able = |line: &&mut Line| line.queue.seen().is_some_and(|(state, _)| means(state));
        let submitters = self.submitters.iter_mut().filter(|line| line.is_usable());
        let mut lines = submitters.chain([&mut self.owner]).filter(able);
        lines.find_map(|line| line.queue.keep(purpose).map(|sequence| (line.queue.account(), sequence)))
    }

    /// No longer keeps a sequence number for this purpose.
    pub fn let_go(&mut self, purpose: Purpose) {
        self.lines_mut().for_each(|line| line.queue.let_go(purpose));
    }

    /// Signs a settlement as its submitter and journals it, where the sequence number that was kept for it is still the next
    /// one.
    ///
    /// # Errors
    /// [`SettleError`]; then nothing has changed.
    pub fn settle(
        &mut self,
        purpose: Purpose,
        settlement: &Settlement,
        signed: &[(ServingKey, [u8; 64])],
        now: Now,
    ) -> Result<Step<QueueEffect>, SettleError> {
        let network = self.network;
        let (account, sequence) = (settlement.transaction().source, settlement.transaction().sequence);
        let line = self.lines_mut().find(|line| line.queue.account() == account);
        let line = line.ok_or(SignError::NotItsTurn(purpose))?;
        let envelope = settlement.assemble(&line.key, signed, &network)?;
        let max_time = settlement.transaction().bounds.until;
        Ok(line.queue.adopt(Signed { purpose, sequence, envelope, max_time }, now)?)
    }

    /// Submits what was held, now that the counterparty has it.
    pub fn release(&mut self, purpose: Purpose, now: Now) -> Step<QueueEffect> {
        self.each(|queue| queue.release(purpose, now))
    }

    /// Takes a server's answer to a submission in.
    pub fn submitted(&mut self, hash: TxHash, answer: &SubmitAnswer, now: Now) -> Step<QueueEffect> {
        self.each(|queue| queue.submitted(hash, answer, now))
    }

    /// Takes a server's word on a transaction in.
    pub fn status(&mut self, hash: TxHash, status: &TxStatus) -> Step<QueueEffect> {
        self.each(|queue| queue.status(hash, status.clone()))
    }

    /// Whether a transaction's end would follow from what a ledger shows of one of the accounts.
    pub fn would_decide(&self, account: AccountId, state: Option<&AccountState>, at: LedgerPoint) -> bool {
        let its = self.submitters.iter().chain([&self.owner]).find(|line| line.queue.account() == account);
        its.is_some_and(|line| line.queue.would_decide(state, at))
    }

    /// Takes in which of the accounts that were asked for a ledger showed.
    pub fn accounts_seen(&mut self, asked: &[AccountId], seen: &[AccountState], at: LedgerPoint) -> Step<QueueEffect> {
        let mut step = Step::none();
        let state = |id: AccountId| seen.iter().find(|state| state.id == id);
        let owner = self.owner.queue.account();
        if let Some(state) = state(owner).filter(|_| asked.contains(&owner)) {
            step.append(self.owner.queue.account_seen(state.clone(), at));
        }
        for line in self.submitters.iter_mut().filter(|line| asked.contains(&line.queue.account())) {
            let state = state(line.queue.account());
            line.stands = Some(state.is_some());
            step.append(match state {
                Some(state) => line.queue.account_seen(state.clone(), at),
                None => line.queue.account_absent(at),
            });
        }
        step
    }

    /// Whether a ledger shows all that is known to have happened by transactions of the account's and its submitters'.
    pub fn is_shown_by(&self, at: LedgerPoint) -> bool {
        self.submitters.iter().chain([&self.owner]).all(|line| line.queue.is_shown_by(at))
    }

    /// Says what is due: questions, submissions, reads.
    pub fn tick(&mut self, now: Now) -> Step<QueueEffect> {
        self.each(|queue| queue.tick(now))
    }

    /// Deletes what is kept of a purpose's ended transactions.
    pub fn forget(&mut self, purpose: Purpose) -> Step<QueueEffect> {
        self.each(|queue| queue.forget(purpose))
    }

    /// Raises the fee of an open transaction, paid by the owner or by the account whose number it uses; see
    /// [`AccountQueue::bump`].
    ///
    /// # Errors
    /// [`SignError`]; then nothing has changed.
    pub fn bump(
        &mut self,
        purpose: Purpose,
        fee: Stroops,
        by_owner: bool,
        newest: LedgerPoint,
        now: Now,
    ) -> Result<Step<QueueEffect>, SignError> {
        let owner = self.owner.key.clone();
        let line = self.lines_mut().find(|line| line.queue.open().any(|intent| intent.purpose == purpose));
        let line = line.ok_or(SignError::NotItsTurn(purpose))?;
        let payer = if by_owner { &owner } else { &line.key };
        line.queue.bump(purpose, fee, payer, newest, now)
    }

    fn each(&mut self, mut act: impl FnMut(&mut AccountQueue) -> Step<QueueEffect>) -> Step<QueueEffect> {
        let mut step = Step::none();
        for line in self.lines_mut() {
            step.append(act(&mut line.queue));
        }
        step
    }

    fn lines_mut(&mut self) -> impl Iterator<Item = &mut Line> {
        core::iter::once(&mut self.owner).chain(&mut self.submitters)
    }

    fn queues(&self) -> impl Iterator<Item = &AccountQueue> {
        core::iter::once(&self.owner).chain(&self.submitters).map(|line| &line.queue)
    }

    /// The account's own queue.
    pub const fn own(&self) -> &AccountQueue {
        &self.owner.queue
    }

    /// The accounts of all queues, the owner's first.
    pub fn accounts(&self) -> Vec<AccountId> {
        self.queues().map(AccountQueue::account).collect()
    }

    /// Whose turn it is in which account's queue, and with which sequence number.
    pub fn turn(&self) -> Option<(AccountId, Purpose, i64)> {
        self.queues().find_map(|queue| queue.turn().map(|(purpose, number)| (queue.account(), purpose, number)))
    }

    /// The open or ended transaction of a purpose.
    pub fn intent(&self, purpose: Purpose) -> Option<&Intent> {
        self.queues().find_map(|queue| queue.intent(purpose))
    }

    /// The transactions that the ledger hasn't decided yet.
    pub fn open(&self) -> impl Iterator<Item = &Intent> {
        self.queues().flat_map(AccountQueue::open)
    }

    /// What the open transactions may still take out of an account in `asset`, fees and reserves included.
    pub fn committed(&self, account: AccountId, asset: &Asset, params: &LedgerParams) -> Stroops {
        self.queues()
            .fold(Stroops::ZERO, |sum, queue| sum.plus(queue.committed(account, asset, params)).unwrap_or(Stroops::MAX))
    }

    /// The deadline transactions that weren't included for a while, and whose offers are to be raised.
    pub fn due(&mut self, newest: LedgerPoint) -> Vec<Due> {
        self.lines_mut().flat_map(|line| line.queue.due(newest)).collect()
    }

    /// All submitter accounts, whether they stand or not.
    pub fn submitters(&self) -> impl Iterator<Item = Submitter<'_>> {
        (0..MAX_SUBMITTERS).zip(&self.submitters).map(|(index, line)| Submitter {
            index,
            account: line.queue.account(),
            state: line.queue.seen().map(|(state, _)| state),
            absent: line.stands == Some(false),
            busy: line.queue.load(),
        })
    }
}

impl Line {
    /// Whether deadline transactions can be given to this submitter: it stands, and isn't on its way home.
    fn is_usable(&self) -> bool {
        let leaves = self.queue.wanted().any(|purpose| matches!(purpose, Purpose::MergeSubmitter { .. }));
        self.stands == Some(true) && !leaves
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::intent::IntentState;
    use crate::intent::queue::tests::{POLL, account, key, ledger, me, network, now, plan, purpose};
    use crate::message::BindingId;
    use crate::stellar::envelope::SignedTransaction;
    use crate::stellar::xdr;

    fn submitter() -> AccountId {
        AccountId::of(&submitter::key(&key(), 0))
    }

    fn funding() -> Purpose {
        Purpose::Fund { binding: BindingId::from_bytes([9; 32]) }
    }

    /// Queues whose account and first submitter stand on the ledger.
    fn standing() -> Queues {
        let mut queues = Queues::new(&key(), network(), POLL);
        let states = [account(7), AccountState { id: submitter(), ..account(70) }];
        drop(queues.accounts_seen(&queues.accounts(), &states, ledger(10)));
        queues
    }

    fn sign(queues: &mut Queues, account: AccountId, purpose: Purpose, hold: bool) {
        drop(queues.sign(account, plan(purpose, 500, hold), &[], now(50)).unwrap());
    }

    #[test]
    fn a_held_funding_is_in_no_deadlines_way() {
        let mut queues = standing();
        queues.want(funding());
        assert_eq!(queues.turn(), Some((me(), funding(), 8)));
        sign(&mut queues, me(), funding(), true);
        queues.want(purpose(1));
        queues.want(purpose(1));
        assert_eq!(queues.turn(), Some((submitter(), purpose(1), 71)));
        sign(&mut queues, submitter(), purpose(1), false);
        assert_eq!(queues.open().count(), 2);
        let carried = queues.intent(purpose(1)).unwrap();
        let transaction = SignedTransaction::read(&carried.envelope, &network()).unwrap();
        assert_eq!((transaction.source(), transaction.sequence()), (submitter(), 71));
        assert!(transaction.operations().iter().all(|op| op.source_account == Some(xdr::muxed(me()))));
        assert_eq!(transaction.signature_count(), 2, "the submitter's and the owner's, and none that isn't needed");
        assert!(transaction.is_signed_by(me()) && transaction.is_signed_by(submitter()));
        let params = LedgerParams::USUAL;
        assert_eq!(queues.committed(submitter(), &Asset::Native, &params).get(), 100, "it lends its fee alone");
        // Both payments are the owner's, and the held one's fee.
        assert_eq!(queues.committed(me(), &Asset::Native, &params).get(), 60_000_100);
    }

    #[test]
    fn without_a_submitter_deadlines_go_first_in_the_accounts_own_queue_until_there_is_one() {
        let mut queues = Queues::new(&key(), network(), POLL);
        drop(queues.accounts_seen(&queues.accounts(), &[account(7)], ledger(10)));
        queues.want(Purpose::Pay { id: [1; 16] });
        queues.want(purpose(1));
        assert_eq!(queues.turn(), Some((me(), purpose(1), 8)));
        let states = [account(7), AccountState { id: submitter(), ..account(70) }];
        drop(queues.accounts_seen(&queues.accounts(), &states, ledger(11)));
        queues.want(purpose(1));
        assert_eq!(queues.turn(), Some((me(), Purpose::Pay { id: [1; 16] }, 8)));
        assert!(queues.submitters().next().unwrap().busy == 1);
        // Merged elsewhere: what waited there is wanted of the account again.
        drop(queues.accounts_seen(&queues.accounts(), &[account(7)], ledger(12)));
        queues.want(purpose(1));
        assert_eq!(queues.turn(), Some((me(), purpose(1), 8)));
    }

    #[test]
    fn one_that_is_on_its_way_home_gets_nothing_more_to_carry() {
        let mut queues = standing();
        queues.want(Purpose::MergeSubmitter { index: 0 });
        queues.want(purpose(1));
        assert_eq!(queues.turn(), Some((me(), purpose(1), 8)));
        sign(&mut queues, me(), purpose(1), false);
        assert_eq!(queues.turn(), Some((submitter(), Purpose::MergeSubmitter { index: 0 }, 71)));
        sign(&mut queues, submitter(), Purpose::MergeSubmitter { index: 0 }, false);
        let merge = queues.intent(Purpose::MergeSubmitter { index: 0 }).unwrap();
        let transaction = SignedTransaction::read(&merge.envelope, &network()).unwrap();
        assert_eq!(transaction.signature_count(), 1);
        assert!(transaction.operations().iter().all(|op| op.source_account.is_none()));
    }

    #[test]
    fn a_raised_fee_is_paid_by_the_owner_or_by_the_submitter_and_both_come_back_after_a_crash() {
        let mut queues = standing();
        queues.want(purpose(1));
        sign(&mut queues, submitter(), purpose(1), false);
        let due = queues.due(ledger(15));
        assert_eq!((due[0].account, due[0].payer), (submitter(), submitter()));
        for (by_owner, payer, at) in [(true, me(), 15), (false, submitter(), 20)] {
            let fee = Stroops::new(2_000).unwrap();
            drop(queues.bump(purpose(1), fee, by_owner, ledger(at), now(80)).unwrap());
            let intents: Vec<Intent> = queues.open().cloned().collect();
            let IntentState::Bumped(bump) = &intents[0].state else { panic!("{intents:?}") };
            assert_eq!((bump.payer, bump.at), (payer, at));
            let mut again = Queues::new(&key(), network(), POLL);
            drop(again.restore(&intents, now(90)));
            assert_eq!(again.intent(purpose(1)), Some(&intents[0]));
        }
    }
}
