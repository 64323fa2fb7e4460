//! Transactions that were admitted and wait for a ledger: at most one for
//! each source account, and no more than four ledgers of operations.
//!
//! The best paid go first, by what they offer for each operation. Where not
//! all fit into a ledger, all of it pays what the worst of those that fit
//! offers (surge pricing); where not all fit into the queue, the worst leave.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use stellar_xdr::{AccountId, TransactionResult, TransactionResultResult as Code};

use crate::context::Context;
use crate::fee;
use crate::frame::Frame;
use crate::state::State;
use crate::validity;

/// For how many ledgers of operations there is room.
pub const MAX_PENDING_LEDGERS: u32 = 4;
/// Ledgers after which a transaction that wasn't included is dropped.
const MAX_AGE: u32 = 4;
/// Ledgers for which an envelope that left the queue, included or dropped, is
/// refused.
const BAN: u32 = 10;

/// What becomes of a submitted transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It waits for the next ledger.
    Pending,
    /// It waits already.
    Duplicate,
    /// Another transaction of its source waits, or it can't fit into the
    /// queue, or this very envelope was included or dropped in one of the last
    /// ten ledgers. So it doesn't say that the transaction failed: look it up
    /// by its hash.
    TryAgainLater,
    /// It isn't valid, or offers too little, and this is why.
    Error(TransactionResult),
}

/// The waiting transactions, by source account.
#[derive(Debug)]
pub(crate) struct Queue {
    /// How many operations one ledger takes.
    ledger_operations: u32,
    pending: BTreeMap<AccountId, Pending>,
    /// The fees that each account has promised, in stroops.
    promised: BTreeMap<AccountId, i128>,
    operations: u32,
    /// The best offer that left the full queue since the last ledger: none
    /// that is no better comes in its place, even where it would fit.
    evicted: Option<Offer>,
    /// What left for it, by hash.
    evicted_hashes: Vec<[u8; 32]>,
    /// Envelopes that left, by the hash of all their bytes, with the ledger in
    /// which that is forgotten.
    banned: BTreeMap<[u8; 32], u32>,
}

#[derive(Debug)]
struct Pending {
    frame: Frame,
    since: u32,
}

/// A fee for so many operations, compared by the fee of each.
#[derive(Debug, Clone, Copy)]
struct Offer {
    fee: i64,
    operations: i64,
}

impl Offer {
    fn of(frame: &Frame) -> Self {
        Self { fee: frame.bid(), operations: frame.paid_operations() }
    }

    fn rate_cmp(&self, other: &Self) -> Ordering {
        let rate = |offer: &Self, per: i64| i128::from(offer.fee) * i128::from(per);
        rate(self, other.operations).cmp(&rate(other, self.operations))
    }

    /// Returns the least fee for so many operations that is better.
    fn beaten_by(&self, operations: i64) -> i64 {
        let as_good = i128::from(self.fee) * i128::from(operations) / i128::from(self.operations);
        i64::try_from(as_good + 1).unwrap_or(i64::MAX)
    }

    /// Returns what it offers for one operation, in whole stroops.
    fn per_operation(&self) -> i64 {
        self.fee / self.operations
    }
}

impl Queue {
    /// Makes an empty queue before ledgers of so many operations.
    pub(crate) fn new(ledger_operations: u32) -> Self {
        Self {
            ledger_operations,
            pending: BTreeMap::new(),
            promised: BTreeMap::new(),
            operations: 0,
            evicted: None,
            evicted_hashes: Vec::new(),
            banned: BTreeMap::new(),
        }
    }

    /// Admits a transaction, judged against the last closed ledger.
    pub(crate) fn admit(&mut self, frame: Frame, state: &State, context: &Context) -> Admission {
        if self.banned.contains_key(&frame.full_hash) {
            return Admission::TryAgainLater;
        }
        // A fee that can't be one is said before anything is compared with it.
        if frame.bump.as_ref().is_some_and(|bump| bump.fee < 0) {
            let minimum = fee::minimum(frame.paid_operations(), context);
            return Admission::Error(validity::result(minimum, Code::TxMalformed));
        }
        let waiting = self.pending.get(&frame.inner.source);
        if let Some(waiting) = waiting
            && let Err(admission) = replaces(&frame, &waiting.frame, context)
        {
            return admission;
        }
        let leaving = match self.room_for(&frame, waiting.map(|w| &w.frame)) {
            Ok(leaving) => leaving,
            Err(refused) => {
                self.banned.insert(frame.full_hash, context.sequence + BAN - 1);
                return refused;
            }
        };
        if let Err(result) = validity::admissible(&frame, state, context) {
            return Admission::Error(result);
        }
        if !self.can_pay(&frame, state, context) {
            let minimum = fee::minimum(frame.paid_operations(), context);
            return Admission::Error(validity::result(minimum, Code::TxInsufficientBalance));
        }
        for source in leaving {
            self.evict(&source, context);
        }
        // What takes another's place has waited as long as that.
        let since = self.remove(&frame.inner.source.clone()).map_or(context.sequence, |waited| waited.since);
        self.insert(Pending { frame, since });
        Admission::Pending
    }

    /// Takes out what the ledger in `context` includes: what is still valid,
    /// the best paid first, up to the ledger's limit. What is no longer valid,
    /// or has waited too long, is dropped. All that leaves is refused for a
    /// while.
    pub(crate) fn take(&mut self, state: &State, context: &Context) -> Taken {
        let dropped = std::mem::take(&mut self.evicted_hashes);
        let mut taken = Taken { included: Vec::new(), dropped, base_fee: i64::from(context.base_fee) };
        self.evicted = None;
        let mut promised: BTreeMap<AccountId, i128> = BTreeMap::new();
        let mut room = self.ledger_operations;
        let (mut least, mut left_out) = (None, false);
        for source in self.best_first() {
            let waiting = &self.pending[&source];
            let (hash, full_hash) = (waiting.frame.hash(), waiting.frame.full_hash);
            let payer = waiting.frame.fee_source();
            let fees = promised.get(payer).copied().unwrap_or(0) + i128::from(waiting.frame.bid());
            let valid = validity::admissible(&waiting.frame, state, context).is_ok()
                && fee::covers(state, payer, fees, context);
            let size = operations(&waiting.frame);
            let age = context.sequence.saturating_sub(waiting.since) + 1;
            let fits = size <= room;
            left_out |= valid && !fits;
            if valid && fits {
                room -= size;
                promised.insert(payer.clone(), fees);
                // From the best on: the last is the least.
                least = Some(Offer::of(&waiting.frame));
                taken.included.extend(self.remove(&source).map(|included| included.frame));
            } else if !valid || age >= MAX_AGE {
                self.remove(&source);
                taken.dropped.push(hash);
            } else {
                continue;
            }
            self.banned.insert(full_hash, context.sequence + BAN);
        }
        if let (Some(least), true) = (least, left_out) {
            taken.base_fee = least.per_operation();
        }
        self.banned.retain(|_, until| *until > context.sequence);
        taken
    }

    /// Returns how many transactions wait.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Returns the sources whose transactions would have to leave to make room
    /// for one; none where there is room.
    fn room_for(&self, frame: &Frame, replaced: Option<&Frame>) -> Result<Vec<AccountId>, Admission> {
        let offer = Offer::of(frame);
        let too_little = |better: &Offer| {
            let needed = better.beaten_by(offer.operations);
            Admission::Error(validity::result(needed, Code::TxInsufficientFee))
        };
        if let Some(evicted) = self.evicted.filter(|evicted| offer.rate_cmp(evicted).is_le()) {
            return Err(too_little(&evicted));
        }
        let limit = MAX_PENDING_LEDGERS * self.ledger_operations;
        let size = operations(frame);
        if size > limit {
            return Err(Admission::TryAgainLater);
        }
        let stay = self.operations - replaced.map_or(0, operations);
        let mut missing = (stay + size).saturating_sub(limit);
        let mut leaving = Vec::new();
        if missing == 0 {
            return Ok(leaving);
        }
        // Most of what comes to a full queue goes no further than this.
        let others = self.pending.values().filter(|waits| waits.frame.inner.source != frame.inner.source);
        let worst = others.map(|waits| Offer::of(&waits.frame)).min_by(Offer::rate_cmp);
        if let Some(worst) = worst.filter(|worst| offer.rate_cmp(worst).is_le()) {
            return Err(too_little(&worst));
        }
        for source in self.best_first().into_iter().rev() {
            if source == frame.inner.source {
                continue;
            }
            let worst = &self.pending[&source].frame;
            if offer.rate_cmp(&Offer::of(worst)).is_le() {
                return Err(too_little(&Offer::of(worst)));
            }
            missing = missing.saturating_sub(operations(worst));
            leaving.push(source);
            if missing == 0 {
                break;
            }
        }
        Ok(leaving)
    }

    /// Whether the fee source can pay for all that it has promised, this
    /// included.
    fn can_pay(&self, frame: &Frame, state: &State, context: &Context) -> bool {
        let payer = frame.fee_source();
        let mut fees = self.promised.get(payer).copied().unwrap_or(0) + i128::from(frame.bid());
        if let Some(replaced) = self.pending.get(&frame.inner.source)
            && replaced.frame.fee_source() == payer
        {
            fees -= i128::from(replaced.frame.bid());
        }
        fee::covers(state, payer, fees, context)
    }

    /// Returns the sources by what their transactions offer; those that offer
    /// the same in an order that nobody chooses.
    fn best_first(&self) -> Vec<AccountId> {
        let mut order: Vec<(&AccountId, Offer, [u8; 32])> =
            self.pending.iter().map(|(source, p)| (source, Offer::of(&p.frame), p.frame.full_hash)).collect();
        order.sort_by(|a, b| b.1.rate_cmp(&a.1).then(a.2.cmp(&b.2)));
        order.into_iter().map(|(source, ..)| source.clone()).collect()
    }

    fn evict(&mut self, source: &AccountId, context: &Context) {
        let Some(Pending { frame, .. }) = self.remove(source) else {
            return;
        };
        self.evicted = Some(Offer::of(&frame));
        self.evicted_hashes.push(frame.hash());
        self.banned.insert(frame.full_hash, context.sequence + BAN - 1);
    }

    fn insert(&mut self, pending: Pending) {
        let frame = &pending.frame;
        *self.promised.entry(frame.fee_source().clone()).or_default() += i128::from(frame.bid());
        self.operations += operations(frame);
        self.pending.insert(frame.inner.source.clone(), pending);
    }

    fn remove(&mut self, source: &AccountId) -> Option<Pending> {
        let removed = self.pending.remove(source)?;
        let frame = &removed.frame;
        self.operations -= operations(frame);
        if let Some(fees) = self.promised.get_mut(frame.fee_source()) {
            *fees -= i128::from(frame.bid());
            if *fees == 0 {
                self.promised.remove(frame.fee_source());
            }
        }
        Some(removed)
    }
}

/// Whether a transaction takes the place of the one that waits, and if not,
/// what is said of it.
fn replaces(new: &Frame, waiting: &Frame, context: &Context) -> Result<(), Admission> {
    let wrapped = waiting.bump.as_ref().map(|bump| bump.inner_full_hash);
    if waiting.full_hash == new.full_hash || wrapped == Some(new.full_hash) {
        return Err(Admission::Duplicate);
    }
    let (wanted, waits) = (new.inner.tx.seq_num.0, waiting.inner.tx.seq_num.0);
    if wanted < waits {
        let minimum = fee::minimum(new.paid_operations(), context);
        let refused = validity::result(minimum, Code::TxBadSeq);
        return Err(Admission::Error(refused));
    }
    if new.bump.is_none() || wanted > waits {
        return Err(Admission::TryAgainLater);
    }
    match fee::short_of_replacement(new, waiting) {
        Some(needed) => {
            let refused = validity::result(needed, Code::TxInsufficientFee);
            Err(Admission::Error(refused))
        }
        None => Ok(()),
    }
}

/// What a closing ledger does with the queue.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) included: Vec<Frame>,
    pub(crate) dropped: Vec<[u8; 32]>,
    /// What each operation is charged at most, in stroops.
    pub(crate) base_fee: i64,
}

fn operations(frame: &Frame) -> u32 {
    u32::try_from(frame.paid_operations()).expect("at most 101")
}
