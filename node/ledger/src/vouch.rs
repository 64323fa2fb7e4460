//! Which of the newest ledgers that several endpoints show is the newest one that two operators vouch for.

use tradepost_protocol::time::Timestamp;

use crate::endpoints::MAX_LAG;
use crate::ledger::ClosedLedger;

/// What an endpoint shows as its newest ledger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Showing<'a> {
    /// Who runs it.
    pub operator: &'a str,
    /// The ledger.
    pub newest: ClosedLedger,
    /// Whether it has been this one for a while.
    pub stuck: bool,
}

/// The place in the list of the newest ledger that two operators have reached; of the newest one of all where only one
/// operator's endpoints count. `None` where nobody shows anything.
///
/// Who is behind what was handed out before (`floor`), far behind the others, or stuck while they go on doesn't count,
/// so that it holds nobody up. Who shows a ledger that closes after `latest` doesn't count where others don't.
pub(crate) fn newest(shown: &[Showing<'_>], floor: u32, latest: Option<Timestamp>) -> Option<usize> {
    let of_the_future = |s: &Showing<'_>| latest.is_some_and(|latest| s.newest.close_time > latest);
    let all_are = shown.iter().all(of_the_future);
    let believed = || shown.iter().enumerate().filter(|(_, s)| all_are || !of_the_future(s));
    let top = believed().map(|(_, s)| s.newest.sequence).max()?;
    let counts = |s: &Showing<'_>| {
        let (own, lag) = (s.newest.sequence, top - s.newest.sequence);
        own >= floor && lag <= MAX_LAG && !(s.stuck && lag > 0)
    };
    let mut reached: Vec<(usize, &Showing<'_>)> = believed().filter(|(_, s)| counts(s)).collect();
    if reached.is_empty() {
        reached = believed().collect();
    }
    reached.sort_by_key(|(_, s)| core::cmp::Reverse(s.newest.sequence));
    let (first, best) = *reached.first()?;
    let second = reached.iter().find(|(_, s)| s.operator != best.operator);
    Some(second.map_or(first, |(place, _)| *place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::LedgerHash;

    fn showing(operator: &str, sequence: u32, stuck: bool) -> Showing<'_> {
        let close_time = Timestamp::from_secs(5 * u64::from(sequence));
        Showing { operator, newest: ClosedLedger { sequence, close_time, hash: LedgerHash([0; 32]) }, stuck }
    }

    fn of(shown: &[(&str, u32, bool)], floor: u32, latest: Option<u32>) -> Option<u32> {
        let shown: Vec<Showing<'_>> = shown.iter().map(|(o, n, stuck)| showing(o, *n, *stuck)).collect();
        let latest = latest.map(|sequence| showing("", sequence, false).newest.close_time);
        newest(&shown, floor, latest).map(|place| shown[place].newest.sequence)
    }

    #[test]
    fn two_operators_vouch_for_what_both_have_reached() {
        assert_eq!(of(&[("a", 101, false), ("b", 100, false)], 100, None), Some(100));
        assert_eq!(of(&[("a", 101, false), ("a", 102, false)], 100, None), Some(102), "one operator is one word");
        assert_eq!(of(&[("a", 103, false), ("b", 101, false), ("c", 102, false)], 100, None), Some(102));
        assert_eq!(of(&[("a", 101, false)], 100, None), Some(101));
        assert_eq!(of(&[], 100, None), None);
    }

    #[test]
    fn who_is_behind_or_stuck_holds_nobody_up() {
        assert_eq!(of(&[("a", 101, false), ("b", 99, false)], 100, None), Some(101), "behind what was handed out");
        assert_eq!(of(&[("a", 113, false), ("b", 100, false)], 100, None), Some(113), "far behind");
        assert_eq!(of(&[("a", 101, false), ("b", 100, true)], 100, None), Some(101), "stuck");
        assert_eq!(of(&[("a", 101, true), ("b", 101, true)], 100, None), Some(101), "the network stands still");
        assert_eq!(of(&[("a", 98, false), ("b", 99, false)], 100, None), Some(98), "nobody has come so far yet");
    }

    #[test]
    fn who_shows_the_future_isnt_believed_where_others_dont() {
        assert_eq!(of(&[("a", 4_000_000, false), ("b", 100, false)], 100, Some(112)), Some(100));
        assert_eq!(of(&[("a", 4_000_000, false), ("b", 100, false)], 100, None), Some(4_000_000), "without a clock");
        assert_eq!(of(&[("a", 101, false), ("b", 100, false)], 100, Some(50)), Some(100), "a clock that is behind");
    }
}
