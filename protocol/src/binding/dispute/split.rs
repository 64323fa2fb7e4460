//! How an escrow's money is divided between its two sides.

use bincode::{Decode, Encode};

use crate::amount::Stroops;
use crate::binding::phase::Side;

/// How an escrow is divided, before any arbiter's fee: together exactly what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Split {
    /// The provider's share.
    pub to_provider: Stroops,
    /// The consumer's share.
    pub to_consumer: Stroops,
}

impl Split {
    /// The provider's share of an amount, the rest for the consumer; `None` where it is more than there is.
    pub const fn of(amount: Stroops, to_provider: Stroops) -> Option<Self> {
        match amount.minus(to_provider) {
            Some(to_consumer) => Some(Self { to_provider, to_consumer }),
            None => None,
        }
    }

    /// Everything for one side.
    pub const fn all_to(side: Side, amount: Stroops) -> Self {
        match side {
            Side::Provider => Self { to_provider: amount, to_consumer: Stroops::ZERO },
            Side::Consumer => Self { to_provider: Stroops::ZERO, to_consumer: amount },
        }
    }

    /// One side's share.
    pub const fn share(&self, side: Side) -> Stroops {
        match side {
            Side::Provider => self.to_provider,
            Side::Consumer => self.to_consumer,
        }
    }

    /// Whether it divides exactly this amount.
    pub fn divides(&self, amount: Stroops) -> bool {
        self.to_provider.plus(self.to_consumer) == Some(amount)
    }

    /// What is left of both shares once fees are taken from them in proportion; what doesn't divide is the consumer's
    /// part of the fees. `None` where the fees are more than there is.
    pub fn after(&self, fees: Stroops) -> Option<Self> {
        let amount = self.to_provider.plus(self.to_consumer)?;
        amount.minus(fees)?;
        let [provider, fee, all] = [self.to_provider, fees, amount].map(|s| i128::from(s.get()));
        let of_provider = if all == 0 { 0 } else { provider * fee / all };
        let of_provider = Stroops::new(i64::try_from(of_provider).ok()?)?;
        let rest = fees.minus(of_provider)?;
        Some(match self.to_consumer.minus(rest) {
            Some(to_consumer) => Self { to_provider: self.to_provider.minus(of_provider)?, to_consumer },
            // The last stroop of the fees, where the consumer's share has none.
            None => {
                let short = rest.minus(self.to_consumer)?;
                let to_provider = self.to_provider.minus(of_provider)?.minus(short)?;
                Self { to_provider, to_consumer: Stroops::ZERO }
            }
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn fees_are_taken_from_both_shares_in_proportion_and_no_stroop_is_lost() {
        let stroops = |n| Stroops::new(n).unwrap();
        let fifteen_of_twenty = Split::of(Stroops::whole(20), Stroops::whole(15)).unwrap();
        let after = fifteen_of_twenty.after(Stroops::whole(1)).unwrap();
        assert_eq!((after.to_provider, after.to_consumer), (stroops(142_500_000), stroops(47_500_000)));
        for amount in 1..40 {
            for to_provider in 0..=amount {
                let split = Split::of(stroops(amount), stroops(to_provider)).unwrap();
                for fees in 0..amount {
                    let after = split.after(stroops(fees)).unwrap();
                    let sum = after.to_provider.plus(after.to_consumer).and_then(|s| s.plus(stroops(fees)));
                    assert_eq!(sum, Some(stroops(amount)), "{split:?} − {fees}");
                    assert!(after.to_provider <= split.to_provider && after.to_consumer <= split.to_consumer);
                    let exact = i128::from(to_provider) * i128::from(fees) / i128::from(amount);
                    let taken = i128::from(split.to_provider.get() - after.to_provider.get());
                    assert!((0..=1).contains(&(taken - exact)), "{split:?} − {fees}");
                }
                assert_eq!(split.after(stroops(amount + 1)), None);
            }
        }
        let most = Split::all_to(Side::Provider, Stroops::MAX).after(Stroops::whole(9)).unwrap();
        assert_eq!(most.to_provider, Stroops::MAX.minus(Stroops::whole(9)).unwrap());
    }
}
