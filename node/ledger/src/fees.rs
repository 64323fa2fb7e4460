//! What others pay for inclusion.

use tradepost_protocol::amount::Stroops;

/// What transactions paid per operation in the last ledgers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeStats {
    /// The lowest.
    pub min: Stroops,
    /// The most frequent.
    pub mode: Stroops,
    /// Half paid no more.
    pub p50: Stroops,
    /// Nine of ten paid no more.
    pub p90: Stroops,
    /// 95 of a hundred paid no more.
    pub p95: Stroops,
    /// 99 of a hundred paid no more.
    pub p99: Stroops,
    /// The highest.
    pub max: Stroops,
    /// How many transactions that was.
    pub transactions: u64,
    /// In how many ledgers.
    pub ledgers: u32,
    /// The last of them.
    pub latest: u32,
}
