//! Claim predicates: which are allowed, how they are stored, when they hold.

use stellar_xdr::{ClaimPredicate, VecM};

/// How deep predicates may nest; the outermost counts as one.
const MAX_DEPTH: u32 = 4;

/// Whether a predicate may stand in a new claimable balance.
pub(crate) fn allowed(predicate: &ClaimPredicate) -> bool {
    allowed_at(predicate, 1)
}

fn allowed_at(predicate: &ClaimPredicate, depth: u32) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    match predicate {
        ClaimPredicate::Unconditional => true,
        ClaimPredicate::And(children) | ClaimPredicate::Or(children) => {
            children.len() == 2 && children.iter().all(|child| allowed_at(child, depth + 1))
        }
        ClaimPredicate::Not(child) => child.as_ref().is_some_and(|child| allowed_at(child, depth + 1)),
        ClaimPredicate::BeforeAbsoluteTime(time) | ClaimPredicate::BeforeRelativeTime(time) => *time >= 0,
    }
}

/// Rewrites relative times to absolute ones, so that the ledger never holds a
/// relative one.
pub(crate) fn absolute(predicate: &ClaimPredicate, close_time: u64) -> ClaimPredicate {
    let each = |children: &VecM<ClaimPredicate, 2>| {
        children
            .iter()
            .map(|child| absolute(child, close_time))
            .collect::<Vec<_>>()
            .try_into()
            .expect("as many as before")
    };
    match predicate {
        ClaimPredicate::And(children) => ClaimPredicate::And(each(children)),
        ClaimPredicate::Or(children) => ClaimPredicate::Or(each(children)),
        ClaimPredicate::Not(child) => {
            ClaimPredicate::Not(child.as_ref().map(|child| Box::new(absolute(child, close_time))))
        }
        ClaimPredicate::BeforeRelativeTime(seconds) => {
            ClaimPredicate::BeforeAbsoluteTime(i64::try_from(close_time).unwrap_or(i64::MAX).saturating_add(*seconds))
        }
        ClaimPredicate::Unconditional | ClaimPredicate::BeforeAbsoluteTime(_) => predicate.clone(),
    }
}

/// Whether a stored predicate holds in a ledger that closes at this time.
pub(crate) fn holds(predicate: &ClaimPredicate, close_time: u64) -> bool {
    match predicate {
        ClaimPredicate::Unconditional => true,
        ClaimPredicate::And(children) => children.iter().all(|child| holds(child, close_time)),
        ClaimPredicate::Or(children) => children.iter().any(|child| holds(child, close_time)),
        ClaimPredicate::Not(child) => child.as_ref().is_some_and(|child| !holds(child, close_time)),
        ClaimPredicate::BeforeAbsoluteTime(time) => i128::from(close_time) < i128::from(*time),
        ClaimPredicate::BeforeRelativeTime(_) => false,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn not(child: ClaimPredicate) -> ClaimPredicate {
        ClaimPredicate::Not(Some(Box::new(child)))
    }

    fn and(a: ClaimPredicate, b: ClaimPredicate) -> ClaimPredicate {
        ClaimPredicate::And(vec![a, b].try_into().unwrap())
    }

    fn or(a: ClaimPredicate, b: ClaimPredicate) -> ClaimPredicate {
        ClaimPredicate::Or(vec![a, b].try_into().unwrap())
    }

    const NOW: ClaimPredicate = ClaimPredicate::Unconditional;
    const T: ClaimPredicate = ClaimPredicate::BeforeAbsoluteTime(1000);

    #[test]
    fn before_and_from_a_time_never_overlap_and_leave_no_gap() {
        for close_time in [0, 999, 1000, 1001] {
            let before = holds(&T, close_time);
            assert_eq!(before, close_time < 1000);
            assert_eq!(holds(&not(T), close_time), !before);
        }
    }

    #[test]
    fn what_can_never_hold_is_allowed_and_never_holds() {
        assert!(allowed(&not(NOW)));
        assert!(!holds(&not(NOW), 0));
        assert!(!holds(&not(NOW), u64::MAX));
    }

    #[test]
    fn and_needs_both_and_or_needs_one() {
        assert!(holds(&and(T, NOW), 5));
        assert!(!holds(&and(T, NOW), 1000));
        assert!(holds(&or(T, NOW), 1000));
        assert!(!holds(&or(T, not(NOW)), 1000));
    }

    #[test]
    fn four_levels_are_allowed_and_five_are_not() {
        let four = not(not(not(NOW)));
        assert!(allowed(&four));
        assert!(!allowed(&not(four.clone())));
        assert!(!allowed(&and(NOW, not(four.clone()))));
        assert!(allowed(&and(NOW, not(not(NOW)))));
    }

    #[test]
    fn missing_children_and_negative_times_are_not_allowed() {
        assert!(!allowed(&ClaimPredicate::Not(None)));
        assert!(!allowed(&ClaimPredicate::And(vec![NOW].try_into().unwrap())));
        assert!(!allowed(&ClaimPredicate::Or(VecM::default())));
        assert!(!allowed(&ClaimPredicate::BeforeAbsoluteTime(-1)));
        assert!(!allowed(&ClaimPredicate::BeforeRelativeTime(-1)));
        assert!(allowed(&ClaimPredicate::BeforeRelativeTime(0)));
    }

    #[test]
    fn relative_times_become_absolute_at_any_depth_and_saturate() {
        let rel = ClaimPredicate::BeforeRelativeTime(60);
        assert_eq!(absolute(&and(T, not(rel)), 1000), and(T, not(ClaimPredicate::BeforeAbsoluteTime(1060))));
        assert_eq!(
            absolute(&ClaimPredicate::BeforeRelativeTime(i64::MAX), 1),
            ClaimPredicate::BeforeAbsoluteTime(i64::MAX)
        );
    }
}
