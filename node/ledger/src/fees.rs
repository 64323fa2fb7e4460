//! What to bid for inclusion.

use tradepost_protocol::amount::Stroops;
use tradepost_protocol::stellar::reserve::LedgerParams;

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

impl FeeStats {
    /// The bid per operation for an ordinary transaction: what nine of ten paid, at least the base fee, at most
    /// `cap`. A bid is a limit; what is charged is the rate of the cheapest transaction of the ledger.
    ///
    /// `None` where the base fee alone is above the cap, so that nobody bids in vain.
    pub fn bid(&self, params: &LedgerParams, cap: Stroops) -> Option<Stroops> {
        if params.base_fee > cap {
            return None;
        }
        Some(self.p90.max(params.base_fee).min(cap))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn stroops(n: i64) -> Stroops {
        Stroops::new(n).unwrap()
    }

    #[test]
    fn a_bid_is_between_the_base_fee_and_the_cap() {
        let params = LedgerParams { base_fee: stroops(100), base_reserve: stroops(5_000_000) };
        let stats = |p90| FeeStats {
            min: stroops(1),
            mode: stroops(1),
            p50: stroops(1),
            p90: stroops(p90),
            p95: stroops(p90),
            p99: stroops(p90),
            max: stroops(p90),
            transactions: 1,
            ledgers: 1,
            latest: 9,
        };
        assert_eq!(stats(0).bid(&params, stroops(1_000)), Some(stroops(100)));
        assert_eq!(stats(250).bid(&params, stroops(1_000)), Some(stroops(250)));
        assert_eq!(stats(50_000).bid(&params, stroops(1_000)), Some(stroops(1_000)));
        assert_eq!(stats(50_000).bid(&params, stroops(99)), None);
    }
}
