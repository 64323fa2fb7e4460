//! What is to be signed, or was elsewhere, and why it isn't taken.

use crate::account::AccountId;
use crate::frame::FrameError;
use crate::intent::Purpose;
use crate::stellar::envelope::MAX_ENVELOPE_BYTES;
use crate::stellar::transaction::{Bounds, Envelope};
use crate::stellar::xdr::XdrError;
use crate::stellar::{Memo, Operation};
use crate::time::Timestamp;

/// A transaction to be signed for a purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What it is for.
    pub purpose: Purpose,
    /// What it does.
    pub operations: Vec<Operation>,
    /// When it may be included.
    pub bounds: Bounds,
    /// What it says.
    pub memo: Memo,
    /// The most that it may cost, in stroops.
    pub fee: u32,
    /// Whether it is handed over instead of submitted, until [`AccountQueue::release`](super::AccountQueue::release).
    pub hold: bool,
    /// The sequence number of the funding from which the key of an escrow's controller follows that signs it, too.
    pub controller: Option<i64>,
}

/// A transaction that was signed outside of the queue, by others too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What it is for.
    pub purpose: Purpose,
    /// The sequence number that it uses.
    pub sequence: i64,
    /// The envelope.
    pub envelope: Envelope,
    /// The latest close time of its ledger.
    pub max_time: Timestamp,
}

/// Why a transaction was not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Something else comes first, or the account isn't known yet.
    #[error("it is not the turn of the {0}: wait until the account's open transaction has ended")]
    NotItsTurn(Purpose),
    /// A key of another account.
    #[error("the key is {found}'s, the queue is {expected}'s")]
    WrongKey {
        /// The queue's account.
        expected: AccountId,
        /// The key's.
        found: AccountId,
    },
    /// Its time is over already.
    #[error("its time is over before it is signed")]
    TooLate,
    /// Larger than a transaction of ours may be.
    #[error("a transaction of {0} bytes, at most {MAX_ENVELOPE_BYTES}")]
    TooLarge(usize),
    /// It can't be built.
    #[error(transparent)]
    Xdr(#[from] XdrError),
    /// It can't be stored.
    #[error(transparent)]
    Frame(#[from] FrameError),
}
