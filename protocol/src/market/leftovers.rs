//! What a binding leaves on the ledger when its money is where it belongs: the controller's reserve, which comes back to its
//! funder from T on, and balances by which somebody else's settlement pays this account.

use core::time::Duration;

use rand_core::CryptoRng;

use crate::amount::Stroops;
use crate::binding::frames::Note;
use crate::binding::phase::Side;
use crate::binding::trade::Trade;
use crate::escrow::controller::Unlock;
use crate::escrow::outcome::{EscrowState, EscrowWatch};
use crate::escrow::{taking, timed};
use crate::intent::{Intent, IntentOutcome, Purpose};
use crate::limits::MAX_KEYS_PER_READ;
use crate::market::consumer;
use crate::market::event::{Ask, Effect};
use crate::market::moves::Move;
use crate::market::{Market, payees};
use crate::message::BindingId;
use crate::stellar::entry::{AccountState, Entry, TrustlineState};
use crate::stellar::ledger_key::Key;
use crate::stellar::transaction::Bounds;
use crate::stellar::{LedgerPoint, operation};
use crate::step::Step;
use crate::time::{Now, Timestamp};

/// Looks after which the pause between them begins to double.
const QUICK_LOOKS: u32 = 8;
/// Doublings at the most.
const MAX_PAUSE_DOUBLINGS: u32 = 8;

/// Balances that one read looks for, beside what else it asks.
const KEYS_PER_LOOK: usize = MAX_KEYS_PER_READ - 3;

/// Whoever holds its threshold together can spoil what gives a controller back, and gains nothing by it.
pub(super) const SPOILT: &str =
    "the signers of the escrow's controller spoiled what gives its reserve back: the reserve is lost, and nothing else";

/// Base reserves that a binding has locked beside its money, of the account that funded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LockedReserves {
    /// For the escrow's balance, until that is gone.
    pub balance: u32,
    /// In its controller, until that is merged after T.
    pub controller: u32,
}

impl LockedReserves {
    /// All of them.
    pub const fn all(self) -> u32 {
        self.balance + self.controller
    }
}

/// A controller as the ledger showed it last.
#[derive(Debug)]
pub struct ControllerSeen {
    state: AccountState,
    lines: Vec<TrustlineState>,
}

/// The pause after so many looks at something that comes in its own time: the heartbeat's, doubled from some looks on.
pub(super) fn pause_after(heartbeat_every: Duration, looks: u32) -> Duration {
    heartbeat_every * (1 << looks.saturating_sub(QUICK_LOOKS).min(MAX_PAUSE_DOUBLINGS))
}

impl Market {
    /// Looks at what a binding has left, now and then until nothing is.
    pub(super) fn drive_leftovers(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        let (Some(binding), Some(terms)) = (trade.binding(), trade.escrow_terms()) else { return };
        if now < trade.volatile.controller_at {
            return;
        }
        let owed = trade.state.owed.filter(|_| trade.has_left());
        let mut keys: Vec<Key> = owed.map(Key::Balance).into_iter().collect();
        let offered = self.offered_keys(trade);
        keys.extend(offered.into_iter().filter(|key| owed.map(Key::Balance).as_ref() != Some(key)));
        let payable = || payees::key_of(self.setup.keys.account_id()?, terms.asset());
        let (payable, mut reads) = (payable(), Vec::new());
        for page in keys.chunks(KEYS_PER_LOOK) {
            reads.push(page.iter().cloned().chain(payable.clone()).collect::<Vec<Key>>());
        }
        if let Some(controller) = trade.state.controller.filter(|c| self.has_back(trade) && !c.gone) {
            let line = || Key::Trustline(controller.account, terms.asset().clone());
            let keys = [Key::Account(controller.account)].into_iter().chain((!terms.asset().is_native()).then(line));
            match reads.first_mut() {
                Some(read) => read.extend(keys),
                None => reads.push(keys.collect()),
            }
        }
        if reads.is_empty() {
            return;
        }
        let pause = pause_after(self.setup.margins.heartbeat_every, trade.volatile.controller_looks);
        trade.volatile.controller_at = now.plus(pause);
        trade.volatile.controller_looks = trade.volatile.controller_looks.saturating_add(1);
        reads.into_iter().for_each(|keys| step.then(Effect::Read { ask: Ask::Leftovers(binding), keys }));
    }

    /// Whether a ledger shows what the taking of an escrow left: it is no older than the first one without the escrow, or T has
    /// passed in it, from which on nothing can be settled.
    fn is_after_the_taking(trade: &Trade, at: LedgerPoint) -> bool {
        let gone = trade.state.escrow.as_ref().and_then(EscrowWatch::taken_between);
        gone.is_some_and(|(_, gone)| at.sequence >= gone.sequence)
            || trade.escrow_terms().is_some_and(|terms| at.close_time >= terms.deadline())
    }

    /// Whether this side's account funded the escrow and its controller.
    fn is_funder(&self, trade: &Trade) -> bool {
        let funder = trade.terms().map(|agreed| agreed.consumer);
        trade.state.side == Side::Consumer && self.setup.keys.account_id() == funder
    }

    /// Whether this side's account funded the controller, and has it back by now.
    fn has_back(&self, trade: &Trade) -> bool {
        self.is_funder(trade) && self.past_refund(trade)
    }

    /// What this node's account has locked for a binding beside its money: while the escrow stands all that `bind` showed, after
    /// that what its controller holds until it is merged.
    pub fn reserves_locked(&self, trade: &Trade) -> LockedReserves {
        let Some(agreed) = trade.terms().filter(|_| self.is_funder(trade)) else { return LockedReserves::default() };
        let stands = matches!(trade.escrow(), EscrowState::Locked | EscrowState::Refused(_));
        let all = consumer::lock(agreed.terms.kind(), agreed.arbiters.len() as u32, &agreed.asset).reserves;
        let made = trade.state.controller.filter(|controller| !controller.gone && (stands || trade.has_left()));
        LockedReserves {
            balance: if stands { timed::RESERVES } else { 0 },
            controller: made.map_or(0, |_| all.saturating_sub(timed::RESERVES)),
        }
    }

    /// What a binding left was read.
    pub(super) fn leftovers_read(
        &mut self,
        (binding, at): (BindingId, LedgerPoint),
        asked: &[Key],
        entries: &[Entry],
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(request) = self.by_binding.get(&binding).copied() else {
            return self.fees_read(binding, at, asked, entries, now, rng, step);
        };
        self.with_trade(request, step, |market, trade, step| {
            let settled = Self::is_after_the_taking(trade, at);
            market.offered_read(trade, asked, entries, settled);
            if let Some(owed) = trade.state.owed.filter(|owed| asked.contains(&Key::Balance(*owed))) {
                let there = entries.iter().find_map(|e| match e {
                    Entry::Balance(balance) if balance.id == owed => Some(balance),
                    _ => None,
                });
                match there {
                    // What a server that is behind shows may be claimed already.
                    Some(_) if !market.knows_all_of(at) => {}
                    Some(balance) => {
                        let payee = market.setup.keys.account_id().map(|own| (own, balance.amount));
                        let why = payee.and_then(|payee| payees::why_not(payee, &balance.asset, asked, entries));
                        payees::note(trade, why.as_deref());
                        if why.is_none() {
                            market.left.insert(binding, owed);
                            market.want(Purpose::Receive { binding });
                        }
                    }
                    None if settled && market.is_unsigned(Purpose::Receive { binding }) => {
                        trade.state.owed = None;
                        market.left.remove(&binding);
                    }
                    None => {}
                }
            }
            let controller = trade.state.controller.filter(|c| asked.contains(&Key::Account(c.account)));
            let line = trade.escrow_terms().map(|terms| terms.asset().clone()).filter(|asset| !asset.is_native());
            let line = controller.zip(line).map(|(controller, asset)| Key::Trustline(controller.account, asset));
            if let Some(controller) = controller.filter(|_| line.is_none_or(|line| asked.contains(&line))) {
                let state = entries.iter().find_map(|e| match e {
                    Entry::Account(state) if state.id == controller.account => Some(state.clone()),
                    _ => None,
                });
                let line = entries.iter().find_map(|e| match e {
                    Entry::Trustline(line) if line.account == controller.account => Some(line.clone()),
                    _ => None,
                });
                market.controller_read(trade, at, state, line, step);
            }
        });
        self.tend_queue(now, rng, step);
    }

    /// The controller was looked at, from T on: first it is unlocked, then merged, then gone.
    fn controller_read(
        &mut self,
        trade: &mut Trade,
        at: LedgerPoint,
        state: Option<AccountState>,
        line: Option<TrustlineState>,
        step: &mut Step<Effect>,
    ) {
        let (Some(terms), Some(controller)) = (trade.escrow_terms(), &mut trade.state.controller) else { return };
        let Some(state) = state else {
            controller.gone = at.close_time >= terms.deadline();
            self.controllers.remove(&controller.sequence);
            return;
        };
        let (sequence, tries) = (controller.sequence, trade.volatile.controller_looks);
        let lines = line.into_iter().collect();
        if !self.take_back_controller(sequence, (state, lines), at, terms.deadline(), tries, step) {
            controller.gone = true;
            trade.state.note = Some(Note::new(SPOILT));
        }
    }

    /// Takes a controller back from its deadline on: unlocks it, then merges it; `false` where that can't be any more.
    pub(super) fn take_back_controller(
        &mut self,
        sequence: i64,
        (state, lines): (AccountState, Vec<TrustlineState>),
        at: LedgerPoint,
        deadline: Timestamp,
        tries: u32,
        step: &mut Step<Effect>,
    ) -> bool {
        let threshold = state.thresholds.high;
        if state.thresholds.master > 0 && state.thresholds.master >= threshold {
            // The ledger merges no account whose sequence number is ahead of its own.
            let may_merge = i64::from(at.sequence) << 32 > state.sequence;
            self.controllers.insert(sequence, ControllerSeen { state, lines });
            if may_merge {
                self.want(Purpose::MergeController { sequence });
            }
            return true;
        }
        let unlock = Unlock { controller: state.id, start: state.sequence, deadline, threshold };
        let starts = state.sequence & 0xffff_ffff == 0;
        if starts && at.close_time >= deadline {
            self.submit_unlock(&unlock, tries, step);
        }
        starts
    }

    /// Submits the transaction that gives a controller back, paid by this account. It is the same transaction each time and
    /// takes effect once, so nothing has to be stored before.
    fn submit_unlock(&self, unlock: &Unlock, tries: u32, step: &mut Step<Effect>) {
        let Some(account) = &self.setup.keys.account else { return };
        // The network refuses an envelope that it dropped for a while, and takes another one.
        let fee = self.fee(2).get().saturating_add(i64::from(tries));
        let envelope = unlock.envelope(&self.setup.network);
        if let Ok(bumped) = envelope.and_then(|inner| inner.bump_fee(fee, account, &self.setup.network)) {
            step.then(Effect::Submit { hash: bumped.hash(), envelope: bumped.into_bytes() });
        }
    }

    /// What ends a controller that its funder has back: what it holds of an asset, its trustline, the account itself.
    pub(super) fn merge_of(&self, sequence: i64, bounds: Bounds) -> Option<Move> {
        let ControllerSeen { state, lines } = self.controllers.get(&sequence)?;
        let own = self.setup.keys.account_id()?;
        let mut operations = Vec::new();
        for line in lines {
            if !line.balance.is_zero() {
                operations.push(operation::pay(own, &line.asset, line.balance));
            }
            operations.push(operation::change_trust(&line.asset, Stroops::ZERO).ok()?);
        }
        operations.push(operation::merge(own));
        let operations = operations.into_iter().map(|op| operation::by(state.id, op)).collect();
        Some(Move { controller: Some(sequence), ..Move::of(operations, bounds) })
    }

    /// A controller's merging has ended; the next look, which is due now, tells whether it is gone.
    pub(super) fn controller_merged(&mut self, sequence: i64, now: Now) {
        self.controllers.remove(&sequence);
        self.look_at_found_controller(sequence, now);
        let its = |t: &&mut Trade| t.state.controller.is_some_and(|controller| controller.sequence == sequence);
        for trade in self.trades.values_mut().filter(its) {
            trade.volatile.controller_at = now;
        }
    }

    /// A transaction that claims what somebody else's settlement left has ended.
    pub(super) fn received(&mut self, binding: BindingId, outcome: &IntentOutcome, now: Now, step: &mut Step<Effect>) {
        // Where it failed, the next look tells whether there is still something.
        if !matches!(outcome, IntentOutcome::Included { success: true, .. }) {
            return;
        }
        let purpose = Purpose::Receive { binding };
        let claims = |intent: &Intent| taking::claimed(&intent.envelope, &self.setup.network).unwrap_or_default();
        let claimed = self.queue.as_ref().and_then(|queue| queue.intent(purpose)).map(claims).unwrap_or_default();
        self.left.remove(&binding);
        let Some(request) = self.by_binding.get(&binding).copied() else {
            return self.fee_received(binding, &claimed, step);
        };
        self.with_trade(request, step, |market, trade, _| {
            market.offered_claimed(trade, &claimed);
            trade.state.owed = trade.state.owed.filter(|owed| !claimed.contains(owed));
            trade.volatile.controller_at = now;
        });
    }
}
