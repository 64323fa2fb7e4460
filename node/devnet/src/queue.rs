//! Transactions that were admitted and wait for a ledger: at most one for
//! each source account.

use std::collections::BTreeMap;

use stellar_xdr::{AccountId, TransactionResult, TransactionResultResult as Code};

use crate::context::Context;
use crate::fee;
use crate::frame::Frame;
use crate::genesis::MAX_OPERATIONS_PER_LEDGER;
use crate::state::State;
use crate::validity;

/// The most operations that wait at a time: four ledgers of them.
pub const MAX_PENDING_OPERATIONS: u32 = 4 * MAX_OPERATIONS_PER_LEDGER;
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
    /// Another transaction of its source waits, or the queue is full, or this
    /// very envelope was included or dropped in one of the last ten ledgers.
    /// So it doesn't say that the transaction failed: look it up by its hash.
    TryAgainLater,
    /// It isn't valid, and this is why.
    Error(TransactionResult),
}

/// The waiting transactions, by source account.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pending: BTreeMap<AccountId, Pending>,
    /// The fees that each account has promised, in stroops.
    promised: BTreeMap<AccountId, i128>,
    operations: u32,
    /// What left the queue, with the ledger in which that is forgotten.
    banned: BTreeMap<[u8; 32], u32>,
}

#[derive(Debug)]
struct Pending {
    frame: Frame,
    since: u32,
}

impl Queue {
    /// Admits a transaction, judged against the last closed ledger.
    pub(crate) fn admit(&mut self, frame: Frame, state: &State, context: &Context) -> Admission {
        let hash = frame.hash();
        if self.banned.contains_key(&hash) {
            return Admission::TryAgainLater;
        }
        let replaced = match self.pending.get(&frame.inner.source) {
            None => None,
            Some(waiting) => match replaces(&frame, &waiting.frame, context) {
                Ok(()) => Some((waiting.frame.fee_source().clone(), waiting.frame.bid())),
                Err(admission) => return admission,
            },
        };
        if replaced.is_none() && self.operations + operations(&frame) > MAX_PENDING_OPERATIONS {
            return Admission::TryAgainLater;
        }
        if let Err(result) = validity::admissible(&frame, state, context) {
            return Admission::Error(result);
        }
        // The fee source must be able to pay for all that it has promised.
        let payer = frame.fee_source();
        let mut fees = self.promised.get(payer).copied().unwrap_or(0) + i128::from(frame.bid());
        if let Some((old_payer, old_bid)) = &replaced
            && old_payer == payer
        {
            fees -= i128::from(*old_bid);
        }
        if !fee::covers(state, payer, fees, context) {
            let minimum = fee::minimum(frame.paid_operations(), context);
            return Admission::Error(validity::result(minimum, Code::TxInsufficientBalance));
        }
        self.remove(&frame.inner.source.clone());
        self.insert(frame, context.sequence);
        Admission::Pending
    }

    /// Takes out what the ledger in `context` includes: what is still valid,
    /// the best paid first, up to the ledger's limit. What is no longer valid,
    /// or has waited too long, is dropped. All that leaves is refused for a
    /// while.
    pub(crate) fn take(&mut self, state: &State, context: &Context) -> Taken {
        let mut taken = Taken::default();
        let mut promised: BTreeMap<AccountId, i128> = BTreeMap::new();
        let mut order: Vec<(AccountId, i64, i64, [u8; 32])> = self
            .pending
            .iter()
            .map(|(source, p)| {
                let frame = &p.frame;
                (source.clone(), frame.bid(), frame.paid_operations(), frame.hash())
            })
            .collect();
        order.sort_by(|a, b| {
            let rate = |x: &(AccountId, i64, i64, [u8; 32]), per: i64| i128::from(x.1) * i128::from(per);
            rate(b, a.2).cmp(&rate(a, b.2)).then(a.3.cmp(&b.3))
        });
        let mut room = MAX_OPERATIONS_PER_LEDGER;
        for (source, bid, _, hash) in order {
            let waiting = &self.pending[&source];
            let payer = waiting.frame.fee_source();
            let fees = promised.get(payer).copied().unwrap_or(0) + i128::from(bid);
            let valid = validity::admissible(&waiting.frame, state, context).is_ok()
                && fee::covers(state, payer, fees, context);
            let size = operations(&waiting.frame);
            let age = context.sequence.saturating_sub(waiting.since) + 1;
            if valid && size <= room {
                room -= size;
                promised.insert(payer.clone(), fees);
                taken.included.extend(self.remove(&source));
            } else if !valid || age >= MAX_AGE {
                self.remove(&source);
                taken.dropped.push(hash);
            } else {
                continue;
            }
            self.banned.insert(hash, context.sequence + BAN);
        }
        self.banned.retain(|_, until| *until > context.sequence);
        taken
    }

    /// Returns how many transactions wait.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    fn insert(&mut self, frame: Frame, ledger: u32) {
        *self.promised.entry(frame.fee_source().clone()).or_default() += i128::from(frame.bid());
        self.operations += operations(&frame);
        let source = frame.inner.source.clone();
        let since = ledger;
        self.pending.insert(source, Pending { frame, since });
    }

    fn remove(&mut self, source: &AccountId) -> Option<Frame> {
        let Pending { frame, .. } = self.pending.remove(source)?;
        self.operations -= operations(&frame);
        if let Some(fees) = self.promised.get_mut(frame.fee_source()) {
            *fees -= i128::from(frame.bid());
            if *fees == 0 {
                self.promised.remove(frame.fee_source());
            }
        }
        Some(frame)
    }
}

/// Whether a transaction takes the place of the one that waits, and if not,
/// what is said of it.
fn replaces(new: &Frame, waiting: &Frame, context: &Context) -> Result<(), Admission> {
    let wraps_it = waiting.bump.is_some() && new.bump.is_none() && waiting.inner.signed.hash == new.hash();
    if waiting.hash() == new.hash() || wraps_it {
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
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) included: Vec<Frame>,
    pub(crate) dropped: Vec<[u8; 32]>,
}

fn operations(frame: &Frame) -> u32 {
    u32::try_from(frame.paid_operations()).expect("at most 101")
}
