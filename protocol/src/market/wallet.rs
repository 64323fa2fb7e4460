//! Money out: what is wanted of this node's account, signed in turn, followed to its end.

use core::time::Duration;

use rand_core::CryptoRng;

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::frames::Note;
use crate::binding::precheck::PrecheckFailure;
use crate::binding::trade::Controlled;
use crate::escrow::outcome::Observation;
use crate::intent::precheck::{Needs, affordable, affordable_in};
use crate::intent::queue::{Plan, QueueEffect, SubmitAnswer, TxStatus};
use crate::intent::{Course, IntentOutcome, Purpose, fees, submitter};
use crate::market::command::{Answer, CommandError, CommandId, Cost};
use crate::market::event::{Ask, Effect, News};
use crate::market::moves::Move;
use crate::market::trust::trust_result;
use crate::market::{Market, Offer};
use crate::message::TxHash;
use crate::stellar::entry::Entry;
use crate::stellar::entry::{AccountState, TrustlineState};
use crate::stellar::ledger_key::Key;
use crate::stellar::memo::{self, PaymentMemo};
use crate::stellar::reserve::LedgerParams;
use crate::stellar::transaction::Bounds;
use crate::stellar::{LedgerPoint, Memo, Operation, balance_id, operation, result};
use crate::step::Step;
use crate::time::{Now, Timestamp};
use crate::timestamp::Batch;

/// Transactions that are signed in one look-over at the most: one is open at a time, the rest are no longer wanted.
const MAX_TURNS: usize = 64;
/// How long a payment's pre-checks may take.
const PAYMENT_LIFE: Duration = Duration::from_secs(30);

/// What a transaction takes besides its amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lock {
    /// Its operations, each of which has a fee.
    pub(super) operations: u32,
    /// Base reserves that it locks.
    pub(super) reserves: u32,
}

/// A payment that a user wants.
#[derive(Debug)]
pub struct PendingPayment {
    to: AccountId,
    pub(super) asset: Asset,
    pub(super) amount: Stroops,
    memo: Memo,
    dry_run: bool,
    pub(super) id: [u8; 16],
    pub(super) wanted: bool,
    until: Now,
}

impl Market {
    /// The most that a transaction of so many operations is bid for.
    pub(super) fn fee(&self, operations: u32) -> Stroops {
        self.offer(operations, self.setup.policy.max_fee_per_operation)
    }

    /// What a transaction of so many operations offers: what most paid of late, at most `cap` an operation.
    fn offer(&self, operations: u32, cap: Stroops) -> Stroops {
        let params = self.params.unwrap_or(LedgerParams::USUAL);
        let each = fees::per_operation(self.paid_of_late, &params, cap);
        each.times(u64::from(operations)).unwrap_or(Stroops::MAX)
    }

    /// What the transaction for a purpose offers at first: one with a deadline more than an ordinary one where most pay
    /// more, and never more than it is worth.
    fn first_offer(&self, purpose: Purpose, operations: u32) -> Stroops {
        let ordinary = self.setup.policy.max_fee_per_operation;
        if purpose.course() != Course::Deadline || self.paid_of_late.is_none() {
            return self.fee(operations);
        }
        let worth = self.worth(purpose).get() / i64::from(operations.max(1));
        self.offer(operations, Stroops::new(worth).unwrap_or_default().max(ordinary))
    }

    /// What paying or locking `amount` costs, where the account can afford it.
    pub(super) fn cost_of(
        &self,
        account: &AccountState,
        line: Option<&TrustlineState>,
        asset: &Asset,
        amount: Stroops,
        lock: Lock,
        returns_at: Option<Timestamp>,
    ) -> Result<Cost, PrecheckFailure> {
        let params = self.params.unwrap_or(LedgerParams::USUAL);
        let fee = if lock.operations == 0 { Stroops::ZERO } else { self.fee(lock.operations) };
        let native = if asset.is_native() { amount } else { Stroops::ZERO };
        let needs = Needs { amount: native, reserves: lock.reserves, fees: fee };
        let taken = self.committed(&Asset::Native);
        affordable(account, &params, taken, &needs)?;
        // An issuer makes what it pays, and has no trustline for it.
        if !asset.is_native() && asset.issuer() != Some(account.id) {
            affordable_in(line, self.committed(asset), amount)?;
        }
        Ok(Cost {
            amount,
            asset: asset.clone(),
            fee,
            reserve: params.reserves(lock.reserves),
            returns_at,
            free_before: params.available(account).minus(taken).unwrap_or_default(),
        })
    }

    /// Wants a transaction; again and again does no harm.
    pub(super) fn want(&mut self, purpose: Purpose) {
        if let Some(queue) = &mut self.queue {
            queue.want(purpose);
        }
    }

    /// No longer wants a transaction; one that is signed already goes its way.
    pub(super) fn no_longer_want(&mut self, purpose: Purpose) {
        if let Some(queue) = &mut self.queue {
            queue.cancel(purpose);
        }
    }

    /// The signed envelope of a purpose, where there is one.
    pub(super) fn envelope_of(&self, purpose: &Purpose) -> Option<Vec<u8>> {
        self.queue.as_ref()?.intent(*purpose).map(|intent| intent.envelope.clone())
    }

    /// Submits what was held until the other side had it.
    pub(super) fn release(&mut self, purpose: Purpose, now: Now, step: &mut Step<Effect>) {
        if let Some(queue) = &mut self.queue {
            let released = queue.release(purpose, now);
            self.absorb_outward(released, step);
        }
    }

    /// Passes on what a queue's step wants done, where nothing of it ends.
    pub(super) fn absorb_outward(&mut self, inner: Step<QueueEffect>, step: &mut Step<Effect>) -> Vec<QueueEffect> {
        let (batch, effects) = inner.into_parts();
        step.batch().append(batch);
        let mut inward = Vec::new();
        for effect in effects {
            match effect {
                QueueEffect::Submit { hash, envelope } => step.then(Effect::Submit { hash, envelope }),
                QueueEffect::Ask { hash } => step.then(Effect::AskStatus { hash }),
                QueueEffect::ReadAccount => self.read_accounts(step),
                // Handing over is driven by the binding, which knows whether the provider has it.
                QueueEffect::HandOver { .. } => {}
                ended @ (QueueEffect::Refused { .. } | QueueEffect::Finished { .. }) => inward.push(ended),
            }
        }
        inward
    }

    /// Passes on what a queue's step wants done and takes in what ended.
    pub(super) fn absorb(
        &mut self,
        inner: Step<QueueEffect>,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        for effect in self.absorb_outward(inner, step) {
            match effect {
                QueueEffect::Refused { purpose, result } => self.refused_by_ledger(purpose, &result, step),
                QueueEffect::Finished { purpose, outcome, .. } => {
                    step.then(Effect::News(News::Wallet));
                    self.transaction_ended(purpose, &outcome, now, rng, step);
                    if let Some(queue) = &mut self.queue {
                        let (batch, _) = queue.forget(purpose).into_parts();
                        step.batch().append(batch);
                    }
                }
                _ => {}
            }
        }
    }

    /// Asks for this node's account and its submitters.
    pub(super) fn read_accounts(&self, step: &mut Step<Effect>) {
        if let Some(queue) = &self.queue {
            let keys = queue.accounts().into_iter().map(Key::Account).collect();
            step.then(Effect::Read { ask: Ask::Account, keys });
        }
    }

    /// This node's account and its submitters were read.
    pub(super) fn accounts_read(
        &mut self,
        at: LedgerPoint,
        asked: &[Key],
        entries: &[Entry],
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let asked: Vec<AccountId> =
            asked.iter().filter_map(|key| if let Key::Account(id) = key { Some(*id) } else { None }).collect();
        let accounts = entries.iter().filter_map(|e| if let Entry::Account(state) = e { Some(state) } else { None });
        let seen: Vec<AccountState> = accounts.cloned().collect();
        let own = self.setup.keys.account_id();
        let found = seen.iter().find(|state| Some(state.id) == own).cloned();
        if own.is_some_and(|own| asked.contains(&own)) {
            if self.account != found {
                step.then(Effect::News(News::Wallet));
            }
            self.account = found;
            self.account_read = true;
        }
        if let Some(queue) = &mut self.queue {
            let seen = queue.accounts_seen(&asked, &seen, at);
            self.absorb(seen, now, rng, step);
            self.tend_queue(now, rng, step);
        }
    }

    pub(super) fn submitted(
        &mut self,
        hash: TxHash,
        answer: SubmitAnswer,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(queue) = &mut self.queue else { return };
        let inner = queue.submitted(hash, &answer, now);
        self.absorb(inner, now, rng, step);
    }

    pub(super) fn status_read(
        &mut self,
        hash: TxHash,
        status: TxStatus,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(queue) = &mut self.queue else { return };
        let inner = queue.status(hash, &status);
        self.absorb(inner, now, rng, step);
        self.tend_queue(now, rng, step);
    }

    /// Signs whatever has its turn.
    pub(super) fn tend_queue(&mut self, now: Now, rng: &mut dyn CryptoRng, step: &mut Step<Effect>) {
        let Some(queue) = &mut self.queue else { return };
        let due = queue.tick(now);
        self.absorb(due, now, rng, step);
        for _ in 0..MAX_TURNS {
            let Some((account, purpose, sequence)) = self.queue.as_ref().and_then(|q| q.turn()) else { break };
            let plan = self.plan((account, sequence), purpose, now);
            let beside = self.cosigners_of_help(purpose);
            let Some(queue) = &mut self.queue else { return };
            match plan.and_then(|plan| queue.sign(account, plan, &beside, now).ok()) {
                Some(signed) => {
                    self.signed(purpose, now, step);
                    self.absorb(signed, now, rng, step);
                }
                None => {
                    queue.cancel(purpose);
                    self.help_dropped(purpose, step);
                    if let Some(id) = self.command_of(purpose) {
                        let why = "its time was over before it could be signed; nothing was paid: try again";
                        step.then(Effect::Answer { id, result: Err(CommandError::NotNow(why.into())) });
                    }
                }
            }
        }
        self.bond_next_draft(now, rng, step);
    }

    /// The transaction for a purpose, as things stand; `None` where it is no longer wanted.
    fn plan(&self, from: (AccountId, i64), purpose: Purpose, now: Now) -> Option<Plan> {
        let Move { operations, bounds, hold, controller } = self.planned(from, purpose, now)?;
        let fee = self.first_offer(purpose, operations.len() as u32);
        let fee = u32::try_from(fee.get()).unwrap_or(u32::MAX);
        Some(Plan { purpose, operations, bounds, memo: self.memo_of(purpose), fee, hold, controller })
    }

    fn planned(&self, (account, sequence): (AccountId, i64), purpose: Purpose, now: Now) -> Option<Move> {
        let soon = now.timestamp().plus(self.setup.margins.transaction_life);
        let (operations, bounds): (Vec<Operation>, Bounds) = match purpose {
            Purpose::Bond { series } => {
                // The offering names the balance that this sequence number makes; with another one it would lie.
                let here = |o: &&Offer| o.body().bond == balance_id::of_operation(o.body().account, sequence, 0);
                let offer = self.offers.get(&series).filter(here)?;
                (vec![offer.bond_terms().operation().ok()?], Bounds::until(soon))
            }
            Purpose::ReclaimBond { series } => {
                let offer = self.offers.get(&series).filter(|o| o.is_reclaimable(self.close_time()))?;
                let release = offer.body().bond_release();
                (vec![operation::claim(offer.body().bond)], Bounds { from: release, ..Bounds::until(soon) })
            }
            Purpose::Reclaim { balance } => {
                let from = self.reclaimable(&balance)?.due;
                (vec![operation::claim(balance)], Bounds { from, ..Bounds::until(soon) })
            }
            Purpose::Pay { id } => {
                let payment = self.payments.values().find(|p| p.id == id)?;
                (vec![operation::pay(payment.to, &payment.asset, payment.amount)], Bounds::until(soon))
            }
            // What submitters lack is judged by the read after whatever was done about it last, so that nothing is done twice.
            Purpose::OpenSubmitter { index } => {
                let account = self.submitter(index).filter(|submitter| submitter.absent)?.account;
                let balance = self.submitter_cost();
                (vec![operation::create_account(account, balance)], Bounds::until(soon))
            }
            Purpose::FeedSubmitter { index } => {
                let account = self.submitter(index).filter(|submitter| self.is_low(submitter))?.account;
                (vec![operation::pay(account, &Asset::Native, submitter::FLOAT)], Bounds::until(soon))
            }
            Purpose::MergeSubmitter { index } => {
                self.submitter(index)?.state?;
                (vec![operation::merge(self.setup.keys.account_id()?)], Bounds::until(soon))
            }
            Purpose::Trust { id } => (vec![self.plan_trust(id)?], Bounds::until(soon)),
            Purpose::Stamp { root } => (self.stamp_to_sign(&root)?.operations(), Bounds::until(soon)),
            Purpose::Help { id } => {
                let (operations, hold) = self.plan_help(id)?;
                return Some(Move { hold, ..Move::of(operations, Bounds::until(soon)) });
            }
            Purpose::Fund { binding }
            | Purpose::Collect { binding }
            | Purpose::GiveBack { binding }
            | Purpose::Refund { binding }
            | Purpose::Receive { binding } => return self.move_of((account, sequence), purpose, binding, now),
            Purpose::MergeController { sequence } => return self.merge_of(sequence, Bounds::until(soon)),
            // Signed by others, too, and never planned here.
            Purpose::Settle { .. } => return None,
        };
        Some(Move::of(operations, bounds))
    }

    fn memo_of(&self, purpose: Purpose) -> Memo {
        if let Purpose::Stamp { root } = purpose {
            return self.stamp_to_sign(&root).map_or(Memo::None, Batch::memo);
        }
        if let Purpose::Help { id } = purpose {
            return self.memo_of_help(id);
        }
        let payment = self.payments.values().find(|payment| purpose == Purpose::Pay { id: payment.id });
        payment.map_or(Memo::None, |payment| payment.memo.clone())
    }

    /// A transaction was signed: a funding's balance is known from here on, and it goes to the provider first.
    fn signed(&mut self, purpose: Purpose, now: Now, step: &mut Step<Effect>) {
        if let Purpose::Help { id } = purpose {
            return self.help_signed(id, now, step);
        }
        let Purpose::Fund { binding } = purpose else { return };
        let Some(request) = self.by_binding.get(&binding).copied() else { return };
        let intent = self.queue.as_ref().and_then(|q| q.intent(purpose)).map(|i| (i.sequence, i.hash));
        self.with_trade(request, step, |market, trade, step| {
            if let (Some((sequence, hash)), Some(terms)) = (intent, trade.escrow_terms()) {
                let made = market.controller_at(sequence).filter(|_| terms.arbitrated().is_some());
                trade.state.controller = made.map(|account| Controlled { account, sequence, gone: false });
                trade.state.balance = Some(terms.balance_at(sequence));
                trade.state.funding = Some(hash);
                trade.observe(Observation::FundingSigned);
                market.hand_over(trade, now, step);
            }
        });
    }

    fn refused_by_ledger(&mut self, purpose: Purpose, answer: &[u8], step: &mut Step<Effect>) {
        let why = result::explain(answer);
        if let Some(id) = self.command_of(purpose) {
            return step.then(Effect::Answer { id, result: Err(CommandError::Ledger(why)) });
        }
        let (Purpose::Fund { binding }
        | Purpose::Collect { binding }
        | Purpose::GiveBack { binding }
        | Purpose::Refund { binding }
        | Purpose::Settle { binding }
        | Purpose::Receive { binding }) = purpose
        else {
            return;
        };
        if let Some(request) = self.by_binding.get(&binding).copied() {
            self.with_trade(request, step, |_, trade, _| trade.state.note = Some(Note::new(why)));
        }
    }

    /// The command that waits for a transaction, which it no longer does then.
    fn command_of(&mut self, purpose: Purpose) -> Option<CommandId> {
        match purpose {
            Purpose::Bond { series } => self.offers.get_mut(&series)?.command.take(),
            Purpose::Pay { id } => {
                let command = self.payments.iter().find(|(_, p)| p.id == id).map(|(c, _)| *c)?;
                self.payments.remove(&command);
                Some(command)
            }
            Purpose::Trust { id } => self.command_of_trust(id),
            Purpose::Stamp { root } => self.command_of_stamp(&root),
            Purpose::Help { id } => self.command_of_help(id),
            _ => None,
        }
    }

    fn transaction_ended(
        &mut self,
        purpose: Purpose,
        outcome: &IntentOutcome,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        match purpose {
            Purpose::Bond { series } => self.bond_ended(series, outcome, now, rng, step),
            Purpose::ReclaimBond { series } => self.reclaim_ended(series, outcome, step),
            Purpose::Reclaim { balance } => self.reclaim_of_found_ended(balance, outcome, now, step),
            Purpose::Fund { binding }
            | Purpose::Collect { binding }
            | Purpose::GiveBack { binding }
            | Purpose::Refund { binding }
            | Purpose::Settle { binding } => {
                self.binding_transaction_ended(binding, purpose, outcome, now, rng, step);
            }
            Purpose::Receive { binding } => self.received(binding, outcome, now, step),
            Purpose::MergeController { sequence } => self.controller_merged(sequence, now),
            // What became of them is seen in the accounts, which are read after each transaction.
            Purpose::OpenSubmitter { .. } | Purpose::FeedSubmitter { .. } | Purpose::MergeSubmitter { .. } => {}
            Purpose::Stamp { root } => self.stamp_ended(root, outcome, step),
            Purpose::Help { id } => self.help_ended(id, outcome, now, step),
            Purpose::Pay { .. } | Purpose::Trust { .. } => {
                let hash = self.queue.as_ref().and_then(|q| q.intent(purpose)).map(|i| i.hash);
                if let (Some(id), Some(hash)) = (self.command_of(purpose), hash) {
                    let result = match purpose {
                        Purpose::Trust { .. } => trust_result(outcome, hash),
                        _ => included(outcome).map(|()| Answer::Paid(hash)),
                    };
                    step.then(Effect::Answer { id, result });
                }
            }
        }
    }

    /// A user wants to pay.
    pub(super) fn pay(
        &mut self,
        id: CommandId,
        (to, asset, amount, memo): (AccountId, Asset, Stroops, Option<PaymentMemo>),
        dry_run: bool,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(own) = self.setup.keys.account_id() else {
            return Self::answer(step, id, Err(PrecheckFailure::NoAccountKey));
        };
        if amount.is_zero() {
            let error = CommandError::NotNow("a payment of nothing isn't one: give an amount above 0".into());
            return Self::answer(step, id, Err(error));
        }
        let memo = match memo.as_ref().map(PaymentMemo::to_xdr).transpose() {
            Ok(memo) => memo.unwrap_or(Memo::None),
            Err(error) => return Self::answer(step, id, Err(error)),
        };
        let mut keys = vec![Key::Account(own), Key::Account(to), memo::requirement_of(to)];
        if !asset.is_native() {
            keys.extend([own, to].map(|a| Key::Trustline(a, asset.clone())));
        }
        let mut purpose = [0; 16];
        rng.fill_bytes(&mut purpose);
        let until = now.plus(PAYMENT_LIFE);
        self.payments
            .insert(id, PendingPayment { to, asset, amount, memo, dry_run, id: purpose, wanted: false, until });
        self.ask_once(self.gated(Ask::Payment(id), amount), keys, step);
    }

    /// What a payment's pre-checks look at was read.
    pub(super) fn payment_read(&mut self, id: CommandId, entries: &[Entry], step: &mut Step<Effect>) {
        let Some(payment) = self.payments.get(&id) else { return };
        match self.payment_cost(payment, entries) {
            Err(failure) => {
                self.payments.remove(&id);
                Self::answer(step, id, Err(failure));
            }
            Ok(cost) if payment.dry_run => {
                self.payments.remove(&id);
                Self::answer(step, id, Ok::<_, CommandError>(Answer::Cost(cost)));
            }
            Ok(_) => {
                let purpose = Purpose::Pay { id: payment.id };
                if let Some(payment) = self.payments.get_mut(&id) {
                    payment.wanted = true;
                }
                self.want(purpose);
            }
        }
    }

    fn payment_cost(&self, payment: &PendingPayment, entries: &[Entry]) -> Result<Cost, CommandError> {
        let own = self.setup.keys.account_id().ok_or(PrecheckFailure::NoAccountKey)?;
        let account = |id| {
            entries.iter().find_map(|e| match e {
                Entry::Account(a) if a.id == id => Some(a),
                _ => None,
            })
        };
        let line = |id| {
            entries.iter().find_map(|e| match e {
                Entry::Trustline(t) if t.account == id && t.asset == payment.asset => Some(t),
                _ => None,
            })
        };
        account(payment.to).ok_or(PrecheckFailure::NoSuchAccount(payment.to))?;
        // What comes back to its issuer is burnt, and needs no trustline.
        let needs_line = matches!(&payment.asset, Asset::Issued { issuer, .. } if *issuer != payment.to);
        if needs_line && line(payment.to).is_none() {
            let (account, asset) = (payment.to, payment.asset.clone());
            return Err(PrecheckFailure::TrustlineMissing { account, asset }.into());
        }
        if payment.to != own && payment.memo == Memo::None && memo::is_required(payment.to, entries) {
            return Err(CommandError::MemoRequired(payment.to));
        }
        let state = account(own).ok_or(PrecheckFailure::NoOwnAccount(own))?;
        let lock = Lock { operations: 1, reserves: 0 };
        Ok(self.cost_of(state, line(own), &payment.asset, payment.amount, lock, None)?)
    }

    /// Reading what a payment's pre-checks look at failed.
    pub(super) fn payment_unreadable(&mut self, id: CommandId, why: String, step: &mut Step<Effect>) {
        if self.payments.remove(&id).is_some() {
            Self::answer(step, id, Err(PrecheckFailure::LedgerUnavailable(why)));
        }
    }

    /// Payments whose pre-checks were never answered.
    pub(super) fn expire_payments(&mut self, now: Now, step: &mut Step<Effect>) {
        let late = |p: &PendingPayment| !p.wanted && now > p.until;
        let ids: Vec<CommandId> = self.payments.iter().filter(|(_, p)| late(p)).map(|(id, _)| *id).collect();
        for id in ids {
            self.payment_unreadable(id, "the ledger didn't answer in time".into(), step);
        }
    }
}

/// Whether a transaction took effect, else why not, for whoever gave the command.
pub(super) fn included(outcome: &IntentOutcome) -> Result<(), CommandError> {
    match outcome {
        IntentOutcome::Included { success: true, .. } => Ok(()),
        IntentOutcome::Included { result, .. } => Err(CommandError::Ledger(result::explain(result))),
        IntentOutcome::Dead => Err(CommandError::Ledger("it wasn't included in time and never will be".into())),
        IntentOutcome::Unknown => Err(CommandError::Ledger(
            "its sequence number is used and the ledger's history no longer tells by what: compare the balances".into(),
        )),
    }
}
