//! The ledger in which a transaction is judged.

/// The numbers of a ledger that validity and execution depend on.
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
}
