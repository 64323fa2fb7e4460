//! Transactions and ledgers of the past, as far as they are kept.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use stellar_xdr::{LedgerHeader, TransactionResult, TransactionResultResult as Code};

/// How many ledgers are kept: seven days of five seconds each, as by default
/// in stellar-rpc.
pub const RETENTION_LEDGERS: u32 = 120_960;
/// How much memory kept transactions may take, in bytes. Past it the oldest
/// ledgers go before their time.
pub const MAX_HISTORY_BYTES: usize = 256 * 1024 * 1024;
/// What a kept transaction takes besides its envelope and result, in bytes.
const RECORD_OVERHEAD: usize = 512;
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
    /// The fee per operation that was charged, in stroops.
    pub(crate) fee_rate: u64,
    pub(crate) result_xdr: Vec<u8>,
}

impl TransactionRecord {
    /// Whether its operations took effect.
    pub fn succeeded(&self) -> bool {
        matches!(self.result.result, Code::TxSuccess(_) | Code::TxFeeBumpInnerSuccess(_))
    }

    fn bytes(&self) -> usize {
        RECORD_OVERHEAD + self.envelope_xdr.len() + self.result_xdr.len()
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
    transactions: Vec<[u8; 32]>,
    /// What its transactions paid, in stroops per operation.
    rates: Vec<u64>,
    bytes: usize,
}

impl PastLedger {
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
    pub(crate) fn push(&mut self, header: LedgerHeader, hash: [u8; 32], records: &[Arc<TransactionRecord>]) {
        let rates = records.iter().map(|r| r.fee_rate).collect();
        let mut ledger = PastLedger { header, hash, transactions: Vec::new(), rates, bytes: LEDGER_OVERHEAD };
        for record in records {
            ledger.bytes += record.bytes();
            for hash in [Some(record.hash), record.inner_hash].into_iter().flatten() {
                ledger.transactions.push(hash);
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
        for hash in ledger.transactions {
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

    /// Returns a ledger by its number, if it is kept.
    pub(crate) fn ledger(&self, sequence: u32) -> Option<&PastLedger> {
        self.ledgers.get(sequence.checked_sub(self.oldest().sequence())? as usize)
    }

    /// Returns the fee rates of the ten ledgers up to one, sorted, and how many
    /// ledgers they come from.
    pub(crate) fn fee_rates(&self, latest: u32) -> (Vec<u64>, usize) {
        let window: Vec<_> = self.ledgers.iter().rev().skip_while(|l| l.sequence() > latest).take(FEE_WINDOW).collect();
        let mut rates: Vec<u64> = window.iter().flat_map(|ledger| ledger.rates.iter().copied()).collect();
        rates.sort_unstable();
        (rates, window.len())
    }
}
