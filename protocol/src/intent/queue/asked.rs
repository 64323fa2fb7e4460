//! What a queue asks for, and what RPC servers answer.

use crate::intent::{IntentOutcome, Purpose};
use crate::message::TxHash;
use crate::stellar::LedgerPoint;

/// What an RPC server said to a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitAnswer {
    /// It is in the server's queue. That is not inclusion.
    Pending,
    /// It is known there already.
    Duplicate,
    /// The server can't take it now.
    TryAgainLater,
    /// The ledger's node refused it.
    Refused {
        /// The `TransactionResult`.
        result: Vec<u8>,
    },
}

/// What an RPC server knows of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxStatus {
    /// It isn't in the ledgers that the server remembers.
    NotFound {
        /// The newest ledger that the server knows.
        latest: LedgerPoint,
        /// The oldest ledger that the server remembers.
        oldest: u32,
    },
    /// It is in this ledger and took effect.
    Success {
        /// Which ledger.
        at: LedgerPoint,
        /// The `TransactionResult`.
        result: Vec<u8>,
    },
    /// It is in this ledger and failed; fee and sequence number are used.
    Failed {
        /// Which ledger.
        at: LedgerPoint,
        /// The `TransactionResult`.
        result: Vec<u8>,
    },
}

/// What the queue asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueEffect {
    /// Submit it; answer with [`AccountQueue::submitted`](super::AccountQueue::submitted).
    Submit {
        /// Its hash.
        hash: TxHash,
        /// Its bytes.
        envelope: Vec<u8>,
    },
    /// Hand it to the counterparty; then [`AccountQueue::release`](super::AccountQueue::release) it.
    HandOver {
        /// What it is for.
        purpose: Purpose,
        /// Its hash.
        hash: TxHash,
        /// Its bytes.
        envelope: Vec<u8>,
    },
    /// Ask a server for its status; answer with [`AccountQueue::status`](super::AccountQueue::status).
    Ask {
        /// Its hash.
        hash: TxHash,
    },
    /// Read the account; answer with [`AccountQueue::account_seen`](super::AccountQueue::account_seen).
    ReadAccount,
    /// Say that the ledger's node refused it for now; it stays open until it is provably dead.
    Refused {
        /// What it is for.
        purpose: Purpose,
        /// The `TransactionResult`.
        result: Vec<u8>,
    },
    /// It ended. Comes again after a restart until [`AccountQueue::forget`](super::AccountQueue::forget).
    Finished {
        /// What it was for.
        purpose: Purpose,
        /// The sequence number that it was signed for.
        sequence: i64,
        /// How.
        outcome: IntentOutcome,
    },
}
