//! The ledger in which a transaction is judged.

use stellar_xdr::LedgerHeader;

/// What validity and execution depend on besides the entries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    /// The ledger's number.
    pub(crate) sequence: u32,
    /// Its close time, in seconds since 1970.
    pub(crate) close_time: u64,
    /// Stroops per operation.
    pub(crate) base_fee: u32,
    /// Stroops per reserve.
    pub(crate) base_reserve: u32,
    /// The network, of which the ids of contracts depend.
    pub(crate) network_id: [u8; 32],
}

impl Context {
    /// The ledger of a header.
    pub(crate) fn of(header: &LedgerHeader, network_id: [u8; 32]) -> Self {
        Self {
            sequence: header.ledger_seq,
            close_time: header.scp_value.close_time.0,
            base_fee: header.base_fee,
            base_reserve: header.base_reserve,
            network_id,
        }
    }
}
