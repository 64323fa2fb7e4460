//! Transactions and ledgers of the past, as far as they are kept.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use stellar_xdr::{
    ContractEvent, LedgerEntryChange, LedgerEntryChanges, LedgerHeader, TransactionEvent, TransactionMeta,
    TransactionResult, TransactionResultResult as Code,
};

use crate::context::Context;
use crate::frame::Frame;
use crate::hash;
use crate::meta::bounded;

/// How many ledgers are kept: seven days of five seconds each, as by default
/// in stellar-rpc.
pub const RETENTION_LEDGERS: u32 = 120_960;
/// How much memory kept transactions may take, in bytes. Past it the oldest
/// ledgers go before their time.
pub const MAX_HISTORY_BYTES: usize = 256 * 1024 * 1024;
/// What a kept transaction takes besides what it has encoded, in bytes.
const RECORD_OVERHEAD: usize = 512;
/// What each of its events takes, in bytes.
const EVENT_BYTES: usize = 640;
/// Ledgers over which fees are counted.
const FEE_WINDOW: usize = 10;

/// A transaction that a ledger included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionRecord {
    /// Its hash; for a fee bump the outer one.
    pub hash: [u8; 32],
    /// For a fee bump, the hash of what it wraps.
    pub inner_hash: Option<[u8; 32]>,
    /// The ledger that included it.
    pub ledger: u32,
    /// That ledger's close time, in seconds since 1970.
    pub close_time: u64,
    /// Its place in the order of execution, from 1.
    pub order: u32,
    /// The envelope as submitted, in XDR.
    pub envelope_xdr: Vec<u8>,
    /// What became of it.
    pub result: TransactionResult,
    /// What it changed and told, a `TransactionMeta` in XDR.
    pub meta_xdr: Vec<u8>,
    pub(crate) events: Events,
    /// The fee per operation that was charged, in stroops.
    pub(crate) fee_rate: u64,
    pub(crate) result_xdr: Vec<u8>,
    /// What taking its fee changed, `LedgerEntryChanges` in XDR.
    pub(crate) fee_changes_xdr: Vec<u8>,
}

/// What a transaction told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Events {
    /// Of the transaction as a whole: its fee.
    pub(crate) transaction: Vec<TransactionEvent>,
    /// Of each operation; of none where it failed.
    pub(crate) operations: Vec<Vec<ContractEvent>>,
}

impl Events {
    fn of(meta: TransactionMeta) -> Self {
        let TransactionMeta::V4(meta) = meta else {
            return Self::default();
        };
        Self {
            transaction: meta.events.into(),
            operations: Vec::from(meta.operations).into_iter().map(|operation| operation.events.into()).collect(),
        }
    }

    fn count(&self) -> usize {
        self.transaction.len() + self.operations.iter().map(Vec::len).sum::<usize>()
    }
}

impl TransactionRecord {
    /// Records a transaction that was executed in the ledger of `context`.
    pub(crate) fn new(
        frame: Frame,
        order: u32,
        context: &Context,
        result: TransactionResult,
        fee_changes: Vec<LedgerEntryChange>,
        meta: TransactionMeta,
    ) -> Self {
        Self {
            hash: frame.hash(),
            inner_hash: frame.bump.as_ref().map(|_| frame.inner.signed.hash),
            ledger: context.sequence,
            close_time: context.close_time,
            order,
            fee_rate: u64::try_from(result.fee_charged / frame.inner.paid_operations()).unwrap_or(0),
            envelope_xdr: frame.bytes,
            result_xdr: hash::xdr(&result),
            result,
            meta_xdr: hash::xdr(&meta),
            events: Events::of(meta),
            fee_changes_xdr: hash::xdr(&LedgerEntryChanges(bounded(fee_changes))),
        }
    }

    /// Whether its operations took effect.
    pub fn succeeded(&self) -> bool {
        matches!(self.result.result, Code::TxSuccess(_) | Code::TxFeeBumpInnerSuccess(_))
    }

    /// Returns the hashes by which it is found: of a fee bump both.
    fn hashes(&self) -> impl Iterator<Item = [u8; 32]> + use<> {
        [Some(self.hash), self.inner_hash].into_iter().flatten()
    }

    /// Returns about how much memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        RECORD_OVERHEAD
            + self.envelope_xdr.len()
            + self.result_xdr.len()
            + self.fee_changes_xdr.len()
            + self.meta_xdr.len()
            + self.events.count() * EVENT_BYTES
    }
}

/// What a kept ledger takes besides its transactions, in bytes.
const LEDGER_OVERHEAD: usize = 640;

/// A ledger that has closed.
#[derive(Debug)]
pub(crate) struct PastLedger {
    pub(crate) header: LedgerHeader,
    /// The header's hash.
    pub(crate) hash: [u8; 32],
    /// What it charged at most for each operation, in stroops.
    pub(crate) base_fee: i64,
    /// What it included, in the order of execution.
    pub(crate) transactions: Vec<Arc<TransactionRecord>>,
    bytes: usize,
}

impl PastLedger {
    pub(crate) fn new(
        header: LedgerHeader,
        hash: [u8; 32],
        base_fee: i64,
        transactions: Vec<Arc<TransactionRecord>>,
    ) -> Self {
        let bytes = LEDGER_OVERHEAD + transactions.iter().map(|record| record.bytes()).sum::<usize>();
        Self { header, hash, base_fee, transactions, bytes }
    }

    /// Returns its number.
    pub(crate) fn sequence(&self) -> u32 {
        self.header.ledger_seq
    }

    /// Returns when it closed, in seconds since 1970.
    pub(crate) fn close_time(&self) -> u64 {
        self.header.scp_value.close_time.0
    }
}

/// Everything that is kept.
#[derive(Debug, Default)]
pub(crate) struct History {
    ledgers: VecDeque<PastLedger>,
    transactions: HashMap<[u8; 32], Arc<TransactionRecord>>,
    bytes: usize,
}

impl History {
    /// Adds the next ledger and forgets what is beyond the bounds.
    pub(crate) fn push(&mut self, ledger: PastLedger) {
        for record in &ledger.transactions {
            for hash in record.hashes() {
                self.transactions.insert(hash, Arc::clone(record));
            }
        }
        self.bytes += ledger.bytes;
        self.ledgers.push_back(ledger);
        while self.ledgers.len() > 1
            && (self.ledgers.len() > RETENTION_LEDGERS as usize || self.bytes > MAX_HISTORY_BYTES)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(ledger) = self.ledgers.pop_front() else {
            return;
        };
        self.bytes -= ledger.bytes;
        let sequence = ledger.sequence();
        for hash in ledger.transactions.iter().flat_map(|record| record.hashes()) {
            // An inner transaction may have been included again since, and
            // failed with its sequence used: the newer record stays.
            if self.transactions.get(&hash).is_some_and(|r| r.ledger == sequence) {
                self.transactions.remove(&hash);
            }
        }
    }

    /// Returns a transaction by its hash, or by that of what it wraps.
    pub(crate) fn transaction(&self, hash: &[u8; 32]) -> Option<&TransactionRecord> {
        self.transactions.get(hash).map(Arc::as_ref)
    }

    /// Returns the oldest ledger that is kept.
    pub(crate) fn oldest(&self) -> &PastLedger {
        self.ledgers.front().expect("a network begins with a ledger, and the newest is always kept")
    }

    /// Returns the newest ledger, where there is one.
    pub(crate) fn last(&self) -> Option<&PastLedger> {
        self.ledgers.back()
    }

    /// Returns the newest ledger.
    pub(crate) fn newest(&self) -> &PastLedger {
        self.last().expect("a network begins with a ledger, and the newest is always kept")
    }

    /// Returns a ledger by its number, if it is kept.
    pub(crate) fn ledger(&self, sequence: u32) -> Option<&PastLedger> {
        self.ledgers.get(sequence.checked_sub(self.oldest().sequence())? as usize)
    }

    /// Returns the fee rates of the ten ledgers up to one, sorted, and how many
    /// ledgers they come from.
    pub(crate) fn fee_rates(&self, latest: u32) -> (Vec<u64>, usize) {
        let window: Vec<_> = self.ledgers.iter().rev().skip_while(|l| l.sequence() > latest).take(FEE_WINDOW).collect();
        let mut rates: Vec<u64> = window.iter().flat_map(|l| l.transactions.iter().map(|r| r.fee_rate)).collect();
        rates.sort_unstable();
        (rates, window.len())
    }
}
