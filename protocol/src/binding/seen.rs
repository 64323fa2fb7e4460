//! What a consumer's node saw of a service with its own eyes, and what it concedes for that.
//!
//! A provider's word on how a session ended is evidence, and never a reason to pay: whoever never served anything could
//! say as well that all was used.

use bincode::{Decode, Encode};

use crate::amount::{Stroops, Unit};
use crate::binding::dispute::Split;
use crate::binding::phase::Side;
use crate::binding::session::End;

/// What a consumer's node saw of a binding's service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Seen {
    /// Calls of this node that the service answered: a header of a response came, and no 5xx.
    pub answered: u64,
    /// Calls that it didn't answer so.
    pub failed: u64,
    /// Seconds for which the service ran, by this node's clock.
    pub seconds: u64,
    /// Whether the provider said that this node was gone and this node knows better: the two had just heard each other.
    pub was_there: bool,
}

/// What was sold: so many units, for one amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package {
    /// The unit.
    pub unit: Unit,
    /// How many.
    pub units: u64,
    /// For how much.
    pub amount: Stroops,
}

impl Seen {
    /// Counts a call of this node.
    pub const fn call(&mut self, answered: bool) {
        match answered {
            true => self.answered = self.answered.saturating_add(1),
            false => self.failed = self.failed.saturating_add(1),
        }
    }

    /// How the escrow should be divided by what this consumer saw; `None` where it saw too little to tell, and its owner
    /// decides.
    ///
    /// `slack` is what the start of the service takes to be heard, in seconds: so much less than the package may be seen of
    /// it, but never more than half of it. Seconds this node counts whoever uses them, and concedes no more of them than it
    /// saw. Of what nobody's node can count (data, jobs, items) nothing is conceded.
    pub fn claim(&self, end: End, package: Package, slack: u64) -> Option<Split> {
        let Package { unit, units, amount } = package;
        let nothing = Split::all_to(Side::Consumer, amount);
        let everything = Split::all_to(Side::Provider, amount);
        match end {
            // That it was away is the provider's word, and what was served meanwhile nobody here saw.
            End::ConsumerGone if !self.was_there => return None,
            end if !end.earned() => return Some(nothing),
            _ if self.answered == 0 && self.failed > 0 => return Some(nothing),
            _ => {}
        }
        let (counted, covered) = match unit {
            Unit::Call => (self.answered, self.answered >= units),
            Unit::Second => {
                let unheard = slack.min(units / 2);
                let covered = self.failed == 0 && self.seconds > 0 && self.seconds.saturating_add(unheard) >= units;
                (self.seconds, covered)
            }
            Unit::MiB | Unit::Job | Unit::Item => return None,
        };
        if covered {
            return Some(everything);
        }
        let price_of_counted = || {
            let share = i128::from(amount.get()) * i128::from(counted.min(units)) / i128::from(units.max(1));
            Split::of(amount, Stroops::new(i64::try_from(share).ok()?)?)
        };
        match end {
            // The provider says that there is nothing left to come: then what came is all that it may keep.
            End::UnitsUsed | End::Done | End::ConsumerGone => price_of_counted(),
            // Whether a package could have been used, one of which nothing came doesn't show.
            _ if self.failed > 0 || counted == 0 => None,
            _ if unit == Unit::Second => price_of_counted(),
            // A package of calls is there to be used until its end, however few are made.
            _ => Some(everything),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const AMOUNT: Stroops = Stroops::whole(10);

    /// What the provider gets of ten coins for ten units, in coins; `None` where the owner decides.
    fn concedes(unit: Unit, end: End, (answered, failed, seconds): (u64, u64, u64)) -> Option<i64> {
        let seen = Seen { answered, failed, seconds, was_there: false };
        let split = seen.claim(end, Package { unit, units: 10, amount: AMOUNT }, 2)?;
        assert!(split.divides(AMOUNT));
        Some(split.to_provider.get() / Stroops::PER_COIN)
    }

    #[test]
    fn a_providers_word_that_all_was_used_is_worth_what_was_seen() {
        for end in [End::UnitsUsed, End::Done] {
            assert_eq!(concedes(Unit::Call, end, (0, 0, 0)), Some(0), "{end:?}");
            assert_eq!(concedes(Unit::Call, end, (3, 0, 60)), Some(3), "{end:?}");
            assert_eq!(concedes(Unit::Call, end, (3, 4, 60)), Some(3), "{end:?}");
            assert_eq!(concedes(Unit::Call, end, (10, 0, 60)), Some(10), "{end:?}");
            assert_eq!(concedes(Unit::Second, end, (0, 0, 4)), Some(4), "{end:?}");
            assert_eq!(concedes(Unit::Second, end, (0, 0, 8)), Some(10), "{end:?}: its start takes time to be heard");
        }
    }

    #[test]
    fn a_package_that_worked_is_paid_at_its_end_and_one_that_never_did_is_not() {
        for end in [End::DeliverBy, End::UnboundByConsumer] {
            assert_eq!(concedes(Unit::Call, end, (1, 0, 60)), Some(10), "{end:?}");
            assert_eq!(concedes(Unit::Call, end, (0, 1, 60)), Some(0), "{end:?}");
            assert_eq!(concedes(Unit::Call, end, (0, 0, 60)), None, "{end:?}: nobody tried it");
            assert_eq!(concedes(Unit::Call, end, (1, 1, 60)), None, "{end:?}: it worked and it didn't");
        }
    }

    #[test]
    fn of_seconds_no_more_is_conceded_than_was_seen_however_the_session_ends() {
        for end in [End::DeliverBy, End::UnboundByConsumer] {
            assert_eq!(concedes(Unit::Second, end, (0, 0, 0)), None, "{end:?}: nothing was seen of it");
            assert_eq!(concedes(Unit::Second, end, (0, 0, 3)), Some(3), "{end:?}");
            assert_eq!(concedes(Unit::Second, end, (5, 0, 3)), Some(3), "{end:?}: its unit is the second");
            assert_eq!(concedes(Unit::Second, end, (0, 0, 8)), Some(10), "{end:?}: its start takes time to be heard");
            assert_eq!(concedes(Unit::Second, end, (1, 1, 60)), None, "{end:?}: it worked and it didn't");
            assert_eq!(concedes(Unit::Second, end, (0, 1, 60)), Some(0), "{end:?}");
        }
    }

    #[test]
    fn what_a_start_takes_to_be_heard_is_never_most_of_a_small_package() {
        let of_two = |end, seconds| {
            let seen = Seen { seconds, ..Seen::default() };
            seen.claim(end, Package { unit: Unit::Second, units: 2, amount: AMOUNT }, 30).map(|split| split.to_provider)
        };
        for end in [End::UnitsUsed, End::DeliverBy, End::UnboundByConsumer] {
            assert_ne!(of_two(end, 0), Some(AMOUNT), "{end:?}: nothing was seen of it");
            assert_eq!(of_two(end, 1), Some(AMOUNT), "{end:?}");
        }
    }

    #[test]
    fn what_its_consumer_ends_before_it_ran_is_not_paid() {
        for unit in [Unit::Call, Unit::Second, Unit::MiB, Unit::Job, Unit::Item] {
            assert_eq!(concedes(unit, End::UnboundUnstarted, (0, 0, 0)), Some(0), "{unit:?}");
        }
    }

    #[test]
    fn who_was_away_or_counts_nothing_leaves_it_to_its_owner() {
        for unit in [Unit::Call, Unit::Second, Unit::MiB, Unit::Job, Unit::Item] {
            assert_eq!(concedes(unit, End::ConsumerGone, (10, 0, 60)), None, "{unit:?}");
            assert_eq!(concedes(unit, End::ProviderGone, (10, 0, 60)), Some(0), "{unit:?}");
        }
        for unit in [Unit::MiB, Unit::Job, Unit::Item] {
            assert_eq!(concedes(unit, End::Done, (1, 0, 60)), None, "{unit:?}");
            assert_eq!(concedes(unit, End::UnitsUsed, (0, 1, 60)), Some(0), "{unit:?}");
        }
    }

    #[test]
    fn a_word_that_it_was_gone_ends_it_for_whoever_was_there_as_if_all_was_used() {
        for unit in [Unit::Call, Unit::Second, Unit::MiB, Unit::Job, Unit::Item] {
            for (answered, failed, seconds) in [(0, 0, 0), (3, 0, 4), (3, 4, 4), (0, 2, 0), (10, 0, 10)] {
                let seen = Seen { answered, failed, seconds, was_there: true };
                let claim = |end| seen.claim(end, Package { unit, units: 10, amount: AMOUNT }, 2);
                assert_eq!(claim(End::ConsumerGone), claim(End::UnitsUsed), "{unit:?} {seen:?}");
            }
        }
    }

    #[test]
    fn a_share_is_rounded_against_the_provider_and_never_overflows() {
        let seen = Seen { answered: u64::MAX / 2, ..Seen::default() };
        let amount = Stroops::new(i64::MAX).unwrap();
        let split = seen.claim(End::UnitsUsed, Package { unit: Unit::Call, units: u64::MAX, amount }, 0).unwrap();
        assert_eq!(split.to_provider.get(), i64::MAX / 2);
        let third = Seen { answered: 1, ..Seen::default() };
        let split = third.claim(End::UnitsUsed, Package { unit: Unit::Call, units: 3, amount: AMOUNT }, 0).unwrap();
        assert_eq!(split.to_provider.get(), 33_333_333);
    }
}
