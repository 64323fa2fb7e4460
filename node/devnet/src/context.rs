//! The ledger in which a transaction is judged.

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
