//! When a claimant may claim.

use core::fmt;

use stellar_xdr::ClaimPredicate;

use crate::time::Timestamp;

/// A claim predicate. The first four are the ones that this program writes; every other one is kept as it is, so that
/// two predicates are equal exactly where their XDR is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Predicate {
    /// At any time.
    Always,
    /// At no time: not(unconditional).
    Never,
    /// In ledgers that close before this moment.
    Before(Timestamp),
    /// In ledgers that close at this moment or later: not(before).
    From(Timestamp),
    /// Anything else that the ledger may hold.
    Other(ClaimPredicate),
}

impl Predicate {
    /// In XDR. A moment beyond the ledger's range becomes its last one.
    pub fn to_xdr(&self) -> ClaimPredicate {
        let before = |t: Timestamp| ClaimPredicate::BeforeAbsoluteTime(i64::try_from(t.secs()).unwrap_or(i64::MAX));
        match self {
            Self::Always => ClaimPredicate::Unconditional,
            Self::Never => ClaimPredicate::Not(Some(Box::new(ClaimPredicate::Unconditional))),
            Self::Before(t) => before(*t),
            Self::From(t) => ClaimPredicate::Not(Some(Box::new(before(*t)))),
            Self::Other(xdr) => xdr.clone(),
        }
    }

    /// From XDR.
    pub fn from_xdr(predicate: &ClaimPredicate) -> Self {
        let moment = |secs: i64| u64::try_from(secs).ok().map(Timestamp::from_secs);
        let known = match predicate {
            ClaimPredicate::Unconditional => Some(Self::Always),
            ClaimPredicate::BeforeAbsoluteTime(t) => moment(*t).map(Self::Before),
            ClaimPredicate::Not(Some(inner)) => match inner.as_ref() {
                ClaimPredicate::Unconditional => Some(Self::Never),
                ClaimPredicate::BeforeAbsoluteTime(t) => moment(*t).map(Self::From),
                _ => None,
            },
            _ => None,
        };
        known.unwrap_or_else(|| Self::Other(predicate.clone()))
    }

    /// Whether it holds in a ledger that closes at `close_time`. A relative time never holds: the ledger replaces it
    /// by an absolute one when the balance is created.
    pub fn holds_at(&self, close_time: Timestamp) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Before(t) => close_time < *t,
            Self::From(t) => close_time >= *t,
            Self::Other(xdr) => holds(xdr, i64::try_from(close_time.secs()).unwrap_or(i64::MAX)),
        }
    }
}

/// The ledger's own rule; the reader's depth limit bounds the recursion.
fn holds(predicate: &ClaimPredicate, close_time: i64) -> bool {
    match predicate {
        ClaimPredicate::Unconditional => true,
        ClaimPredicate::And(both) => both.iter().all(|p| holds(p, close_time)),
        ClaimPredicate::Or(either) => either.iter().any(|p| holds(p, close_time)),
        ClaimPredicate::Not(Some(inner)) => !holds(inner, close_time),
        ClaimPredicate::BeforeAbsoluteTime(t) => close_time < *t,
        ClaimPredicate::Not(None) | ClaimPredicate::BeforeRelativeTime(_) => false,
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("at any time"),
            Self::Never => f.write_str("never"),
            Self::Before(t) => write!(f, "before {t}"),
            Self::From(t) => write!(f, "from {t} on"),
            Self::Other(_) => f.write_str("under another condition"),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_two_sides_of_a_deadline_never_overlap_and_leave_no_gap() {
        let t = Timestamp::from_secs(100);
        for secs in [0, 99, 100, 101, u64::MAX] {
            let now = Timestamp::from_secs(secs);
            assert_ne!(Predicate::Before(t).holds_at(now), Predicate::From(t).holds_at(now), "{secs}");
            assert!(!Predicate::Never.holds_at(now));
            assert!(Predicate::Always.holds_at(now));
        }
        assert!(Predicate::Before(t).holds_at(Timestamp::from_secs(99)));
        assert!(Predicate::From(t).holds_at(t));
    }

    #[test]
    fn every_predicate_survives_its_xdr_and_evaluates_alike_in_both_forms() {
        let t = Timestamp::from_secs(100);
        let both = ClaimPredicate::And(
            vec![Predicate::From(t).to_xdr(), Predicate::Before(Timestamp::from_secs(200)).to_xdr()]
                .try_into()
                .unwrap(),
        );
        let either = ClaimPredicate::Or(
            vec![Predicate::Before(t).to_xdr(), Predicate::From(Timestamp::from_secs(200)).to_xdr()]
                .try_into()
                .unwrap(),
        );
        let not_both = ClaimPredicate::Not(Some(Box::new(both.clone())));
        let odd = ClaimPredicate::BeforeAbsoluteTime(-1);
        let all = [
            Predicate::Always,
            Predicate::Never,
            Predicate::Before(t),
            Predicate::From(t),
            Predicate::Other(both),
            Predicate::Other(either),
            Predicate::Other(not_both),
            Predicate::Other(odd),
        ];
        for predicate in &all {
            assert_eq!(&Predicate::from_xdr(&predicate.to_xdr()), predicate);
            for secs in [0, 99, 100, 150, 199, 200] {
                let now = Timestamp::from_secs(secs);
                assert_eq!(predicate.holds_at(now), holds(&predicate.to_xdr(), secs as i64), "{predicate:?} {secs}");
            }
        }
        assert!(all[4].holds_at(Timestamp::from_secs(150)) && !all[4].holds_at(Timestamp::from_secs(200)));
        assert!(!all[5].holds_at(Timestamp::from_secs(150)) && all[6].holds_at(Timestamp::from_secs(200)));
        let relative = Predicate::from_xdr(&ClaimPredicate::BeforeRelativeTime(i64::MAX));
        assert!(!relative.holds_at(Timestamp::from_secs(0)));
    }
}
