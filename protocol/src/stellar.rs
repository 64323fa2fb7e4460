//! The ledger's shapes: XDR built, hashed, signed and read, without I/O.
//!
//! Everything that comes from an RPC server or a peer is read with bounds on length and depth and becomes a type of this
//! module; nothing else in the crate looks at XDR.

pub mod balance_id;
pub mod contract;
pub mod entry;
pub mod envelope;
pub mod ledger_key;
pub mod link;
pub mod memo;
pub mod operation;
pub mod predicate;
pub mod reserve;
pub mod result;
pub mod signed_message;
pub mod transaction;
pub mod xdr;

pub use stellar_xdr::{Memo, Operation};

use bincode::{Decode, Encode};

use crate::time::Timestamp;

/// A ledger that was read: its number and when it closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct LedgerPoint {
    /// Its sequence number.
    pub sequence: u32,
    /// Its consensus close time.
    pub close_time: Timestamp,
}

impl LedgerPoint {
    /// The ledger with this number that closed at this second.
    pub const fn new(sequence: u32, close_time: Timestamp) -> Self {
        Self { sequence, close_time }
    }
}
