//! Transactions and ledgers of the past, as far as they are kept.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use stellar_xdr::{TransactionResult, TransactionResultResult as Code};

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

/// A ledger of the past.
#[derive(Debug)]
struct PastLedger {
    sequence: u32,
    close_time: u64,
    hashes: Vec<[u8; 32]>,
    bytes: usize,
}

/// Everything that is kept.
#[derive(Debug, Default)]
pub(crate) struct History {
    ledgers: VecDeque<PastLedger>,
    transactions: HashMap<[u8; 32], Arc<TransactionRecord>>,
    bytes: usize,
    /// Fee rates of the newest ledgers, in stroops per operation.
    fees: VecDeque<Vec<u64>>,
}

impl History {
    /// Adds the next ledger and forgets what is beyond the bounds.
    pub(crate) fn push(&mut self, sequence: u32, close_time: u64, records: &[Arc<TransactionRecord>]) {
        let mut ledger = PastLedger { sequence, close_time, hashes: Vec::new(), bytes: 0 };
        for record in records {
            ledger.bytes += record.bytes();
            for hash in [Some(record.hash), record.inner_hash].into_iter().flatten() {
                ledger.hashes.push(hash);
                self.transactions.insert(hash, Arc::clone(record));
            }
        }
        self.bytes += ledger.bytes;
        self.ledgers.push_back(ledger);
        self.fees.push_back(records.iter().map(|r| r.fee_rate).collect());
        if self.fees.len() > FEE_WINDOW {
            self.fees.pop_front();
        }
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
        for hash in ledger.hashes {
            // An inner transaction may have been included again since, and
            // failed with its sequence used: the newer record stays.
            if self.transactions.get(&hash).is_some_and(|r| r.ledger == ledger.sequence) {
                self.transactions.remove(&hash);
            }
        }
    }

    /// Returns a transaction by its hash, or by that of what it wraps.
    pub(crate) fn transaction(&self, hash: &[u8; 32]) -> Option<&TransactionRecord> {
        self.transactions.get(hash).map(Arc::as_ref)
    }

    /// Returns number and close time of the oldest ledger that is kept.
    pub(crate) fn oldest(&self) -> (u32, u64) {
        self.ledgers.front().map_or((0, 0), |ledger| (ledger.sequence, ledger.close_time))
    }

    /// Returns the fee rates of the newest ledgers, sorted, and how many
    /// ledgers they come from.
    pub(crate) fn fee_rates(&self) -> (Vec<u64>, usize) {
        let mut rates: Vec<u64> = self.fees.iter().flatten().copied().collect();
        rates.sort_unstable();
        (rates, self.fees.len())
    }
}
