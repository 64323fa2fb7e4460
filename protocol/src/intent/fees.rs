//! What a transaction offers for its inclusion, and how that is raised when it isn't included.
//!
//! An offer is a limit: what is charged is the rate of the cheapest transaction of the ledger. So a high one costs more
//! only where others offer as much.

use crate::amount::Stroops;
use crate::stellar::reserve::LedgerParams;

/// After so many ledgers without inclusion a deadline transaction's offer is raised: the network drops what waited for
/// four.
pub const RAISED_EVERY: u32 = 5;
/// How many envelopes at the cap differ from each other by a stroop.
const OTHERS: i64 = 1_000;
/// How many times as much it then offers for each operation: the network takes no less in place of what waits.
const FACTOR: u64 = 10;

/// What an envelope offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offered {
    /// The most that it may cost in all, in stroops.
    pub fee: Stroops,
    /// For how many operations; a fee bump counts as one more.
    pub operations: u32,
}

/// The offer for each operation: what nine of ten paid of late, at least the ledger's base fee, at most `cap` where that
/// isn't less than the base fee.
pub fn per_operation(paid_of_late: Option<Stroops>, params: &LedgerParams, cap: Stroops) -> Stroops {
    paid_of_late.unwrap_or(cap).min(cap).max(params.base_fee)
}

/// The fee of the next fee bump of a transaction that was signed with `inner` and last offered `last`: ten times as much
/// an operation, at most `cap`. Once the cap is offered, a stroop less each time: the network refuses an envelope that it
/// has dropped for a while, and so gets another one.
///
/// `None` where the least that the ledger takes is above the cap.
pub fn raised(inner: Offered, last: Offered, params: &LedgerParams, cap: Stroops) -> Option<Stroops> {
    let operations = inner.operations + 1;
    let least = scaled(inner, operations, 1)?.max(params.fee(operations));
    if cap < least {
        return None;
    }
    let near_cap = cap.minus(Stroops::new(OTHERS)?).unwrap_or_default();
    let next = match scaled(last, operations, FACTOR).map(|wanted| wanted.max(least)) {
        Some(wanted) if wanted <= cap => wanted,
        _ if last.fee >= least && last.fee > near_cap && last.fee <= cap => last.fee.minus(Stroops::new(1)?)?,
        _ => cap,
    };
    (next >= least).then_some(next)
}

/// So many times the rate of an offer, for so many operations, rounded up.
fn scaled(offered: Offered, operations: u32, factor: u64) -> Option<Stroops> {
    let whole = offered.fee.times(u64::from(operations))?.times(factor)?;
    let divisor = i64::from(offered.operations.max(1));
    Stroops::new(whole.get().checked_add(divisor - 1)? / divisor)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn stroops(n: i64) -> Stroops {
        Stroops::new(n).unwrap()
    }

    fn offered(fee: i64, operations: u32) -> Offered {
        Offered { fee: stroops(fee), operations }
    }

    #[test]
    fn an_ordinary_offer_is_between_the_base_fee_and_the_cap() {
        let of = |paid: Option<i64>, cap| per_operation(paid.map(stroops), &LedgerParams::USUAL, stroops(cap)).get();
        assert_eq!(of(Some(1), 1_000), 100);
        assert_eq!(of(Some(250), 1_000), 250);
        assert_eq!(of(Some(50_000), 1_000), 1_000);
        assert_eq!(of(None, 1_000), 1_000, "where nobody knows, the cap");
        assert_eq!(of(Some(50_000), 7), 100, "the ledger takes no less");
    }

    #[test]
    fn an_offer_is_raised_by_tens_up_to_the_cap() {
        let (params, cap) = (LedgerParams::USUAL, stroops(50_000_000));
        let inner = offered(100, 1);
        let mut last = inner;
        let mut fees = Vec::new();
        for _ in 0..8 {
            let fee = raised(inner, last, &params, cap).unwrap();
            last = Offered { fee, operations: 2 };
            fees.push(fee.get());
        }
        assert_eq!(
            fees,
            [2_000, 20_000, 200_000, 2_000_000, 20_000_000, 50_000_000, 49_999_999, 49_999_998],
            "and at the cap in envelopes that differ"
        );
    }

    #[test]
    fn a_bump_never_offers_less_than_the_ledger_takes_or_more_than_the_cap() {
        let params = LedgerParams::USUAL;
        assert_eq!(raised(offered(100, 1), offered(100, 1), &params, stroops(199)), None);
        assert_eq!(raised(offered(100, 1), offered(100, 1), &params, stroops(200)), Some(stroops(200)));
        assert_eq!(raised(offered(100, 1), offered(200, 2), &params, stroops(200)), None, "no other envelope is left");
        assert_eq!(raised(offered(3_000, 3), offered(3_000, 3), &params, stroops(3_999)), None, "below its own rate");
        assert_eq!(raised(offered(0, 1), offered(0, 1), &params, stroops(1_000)), Some(stroops(200)));
        let huge = offered(i64::MAX, 1);
        assert_eq!(raised(offered(100, 1), huge, &params, Stroops::MAX), Some(stroops(i64::MAX - 1)));
        assert_eq!(raised(offered(101, 2), offered(101, 2), &params, Stroops::MAX), Some(stroops(1_515)), "rounded up");
    }
}
