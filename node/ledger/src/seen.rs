//! The heads that endpoints have shown: what later answers are measured by.

use std::collections::BTreeMap;

use crate::endpoints::Place;
use crate::ledger::{Head, LedgerHash};
use crate::reset::{Verdict, judge};

/// How many heads are kept: an hour of the devnet's, much more of a public network's than any question takes.
const MAX_HEADS: usize = 512;

/// A head that doesn't go with those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Why.
    pub why: Why,
    /// Who showed what it doesn't go with.
    pub against: Vec<Place>,
}

/// Why a head doesn't go with those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is of another network.
    Reset(String),
    /// It can't be so.
    Contradiction(String),
}

/// The last heads, none of which contradicts another, with who showed them.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    heads: BTreeMap<u32, Shown>,
    floor: u32,
}

#[derive(Debug)]
struct Shown {
    head: Head,
    by: Vec<Place>,
}

impl Seen {
    /// Takes in a head that one of the endpoints showed.
    ///
    /// # Errors
    /// [`Misfit`], where it contradicts one that was seen: another ledger of the same number, one that isn't the next
    /// one's or the last one's neighbour by its hash, or a close time on the wrong side of an earlier or later ledger's.
    pub fn remember(&mut self, by: Place, head: Head) -> Result<(), Misfit> {
        let point = head.ledger;
        if let Some(known) = self.heads.get_mut(&point.sequence) {
            if let Verdict::Reset(what) = judge(&known.head.ledger, &point) {
                return Err(Misfit { why: Why::Reset(what), against: known.by.clone() });
            }
            if !known.by.contains(&by) {
                known.by.push(by);
            }
            return Ok(());
        }
        let before = self.heads.range(..point.sequence).next_back().map(|(_, shown)| shown);
        let after = self.heads.range(point.sequence..).next().map(|(_, shown)| shown);
        for (older, newer, other) in
            [before.map(|s| (s.head, head, s)), after.map(|s| (head, s.head, s))].into_iter().flatten()
        {
            if let Some(what) = misfit(&older, &newer) {
                return Err(Misfit { why: Why::Contradiction(what), against: other.by.clone() });
            }
        }
        self.heads.insert(point.sequence, Shown { head, by: vec![by] });
        while self.heads.len() > MAX_HEADS {
            self.heads.pop_first();
        }
        Ok(())
    }

    /// Forgets what this endpoint alone has shown.
    pub fn forget(&mut self, place: Place) {
        self.heads.retain(|_, shown| {
            shown.by.retain(|by| *by != place);
            !shown.by.is_empty()
        });
    }

    /// No answer to a question sent from now on may be older than this.
    pub fn raise(&mut self, floor: u32) {
        self.floor = self.floor.max(floor);
    }

    /// The oldest ledger that an answer may be of. 0 before the first.
    pub fn floor(&self) -> u32 {
        self.floor
    }

    /// The newest head that isn't newer than the floor.
    pub fn newest(&self) -> Option<Head> {
        self.heads.range(..=self.floor).next_back().map(|(_, shown)| shown.head)
    }

    /// The head of a ledger, where it was seen lately.
    pub fn head(&self, sequence: u32) -> Option<Head> {
        self.heads.get(&sequence).map(|shown| shown.head)
    }
}

/// Why two ledgers can't be of one chain.
fn misfit(older: &Head, newer: &Head) -> Option<String> {
    let (old, new) = (older.ledger, newer.ledger);
    if old.close_time > new.close_time {
        return Some(format!(
            "ledger {} closed at {}, but ledger {} at {}",
            old.sequence, old.close_time, new.sequence, new.close_time
        ));
    }
    let adjacent = old.sequence + 1 == new.sequence;
    (adjacent && newer.previous != old.hash).then(|| {
        let LedgerHash(previous) = newer.previous;
        format!(
            "the header of ledger {} follows a ledger with the hash {}, ledger {} has the hash {}",
            new.sequence,
            hex::encode(previous),
            old.sequence,
            old.hash
        )
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tradepost_protocol::amount::Stroops;
    use tradepost_protocol::stellar::reserve::LedgerParams;
    use tradepost_protocol::time::Timestamp;

    use super::*;
    use crate::ledger::{ClosedLedger, LedgerHash, LedgerTotals};

    const A: Place = Place(0);
    const B: Place = Place(1);

    /// A head whose predecessor is the ledger with the hash before its own.
    fn head(sequence: u32, close_time: u64, hash: u8) -> Head {
        Head {
            ledger: ClosedLedger {
                sequence,
                close_time: Timestamp::from_secs(close_time),
                hash: LedgerHash([hash; 32]),
            },
            previous: LedgerHash([hash.wrapping_sub(1); 32]),
            params: LedgerParams::USUAL,
            protocol_version: 27,
            max_operations: 1,
            totals: LedgerTotals { total_coins: Stroops::ZERO, fee_pool: Stroops::ZERO },
        }
    }

    #[test]
    fn a_head_is_measured_by_those_seen_before_and_after_it() {
        let mut seen = Seen::default();
        seen.remember(A, head(10, 100, 1)).unwrap();
        seen.remember(B, head(20, 200, 2)).unwrap();
        assert!(seen.remember(B, head(10, 100, 1)).is_ok());
        let misfit = seen.remember(A, head(10, 100, 9)).unwrap_err();
        assert!(matches!(misfit.why, Why::Reset(_)));
        assert_eq!(misfit.against, [A, B]);
        assert!(matches!(seen.remember(A, head(10, 101, 1)).unwrap_err().why, Why::Reset(_)));
        assert!(matches!(seen.remember(A, head(15, 99, 3)).unwrap_err().why, Why::Contradiction(_)));
        assert_eq!(seen.remember(A, head(15, 201, 3)).unwrap_err().against, [B]);
        assert!(seen.remember(A, head(15, 150, 3)).is_ok());
        assert_eq!(seen.head(15), Some(head(15, 150, 3)));
    }

    #[test]
    fn a_header_names_the_ledger_before_it() {
        let mut seen = Seen::default();
        seen.remember(A, head(10, 100, 5)).unwrap();
        assert!(seen.remember(B, head(11, 105, 7)).is_err());
        assert!(seen.remember(B, head(9, 95, 3)).is_err());
        seen.remember(B, head(11, 105, 6)).unwrap();
        seen.remember(B, head(9, 95, 4)).unwrap();
    }

    #[test]
    fn what_one_alone_showed_can_be_forgotten() {
        let mut seen = Seen::default();
        seen.remember(A, head(10, 100, 1)).unwrap();
        seen.remember(B, head(10, 100, 1)).unwrap();
        seen.remember(B, head(11, 105, 2)).unwrap();
        seen.forget(B);
        assert_eq!((seen.head(10), seen.head(11)), (Some(head(10, 100, 1)), None));
    }

    #[test]
    fn the_floor_never_sinks_and_old_heads_make_room() {
        let mut seen = Seen::default();
        for n in 1..=2_000u32 {
            seen.remember(A, Head { previous: LedgerHash([0; 32]), ..head(n, u64::from(n), 0) }).unwrap();
        }
        assert_eq!(seen.heads.len(), MAX_HEADS);
        assert_eq!((seen.floor(), seen.newest()), (0, None));
        seen.raise(1_990);
        seen.raise(7);
        assert_eq!(seen.floor(), 1_990);
        assert_eq!(seen.newest().unwrap().ledger.sequence, 1_990);
        assert_eq!(seen.head(1), None);
    }
}
