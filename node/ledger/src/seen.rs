//! The heads that an endpoint has shown: what later answers are measured by.

use std::collections::BTreeMap;

use crate::ledger::Head;
use crate::reset::{Verdict, judge};

/// How many heads are kept: an hour of the devnet's, much more of a public network's than any question takes.
const MAX_HEADS: usize = 512;

/// A head that doesn't go with those before it, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// It is of another network.
    Reset(String),
    /// It can't be so.
    Contradiction(String),
}

/// The last heads, none of which contradicts another.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    heads: BTreeMap<u32, Head>,
}

impl Seen {
    /// Takes in a head.
    ///
    /// # Errors
    /// [`Misfit`], where it contradicts one that was seen: another ledger of the same number, or a close time on the
    /// wrong side of an earlier or later ledger's.
    pub fn remember(&mut self, head: Head) -> Result<(), Misfit> {
        let point = head.ledger;
        if let Some(known) = self.heads.get(&point.sequence) {
            return match judge(&known.ledger, &point) {
                Verdict::Reset(what) => Err(Misfit::Reset(what)),
                _ => Ok(()),
            };
        }
        let before = self.heads.range(..point.sequence).next_back().map(|(_, h)| h.ledger);
        let after = self.heads.range(point.sequence..).next().map(|(_, h)| h.ledger);
        let too_early = before.filter(|before| before.close_time > point.close_time);
        let too_late = after.filter(|after| after.close_time < point.close_time);
        if let Some(other) = too_early.or(too_late) {
            return Err(Misfit::Contradiction(format!(
                "ledger {} closed at {}, but ledger {} at {}",
                point.sequence, point.close_time, other.sequence, other.close_time
            )));
        }
        self.heads.insert(point.sequence, head);
        while self.heads.len() > MAX_HEADS {
            self.heads.pop_first();
        }
        Ok(())
    }

    /// The newest head's number; no answer to a question sent from now on may be older. 0 before the first.
    pub fn floor(&self) -> u32 {
        self.heads.last_key_value().map_or(0, |(sequence, _)| *sequence)
    }

    /// The newest head.
    pub fn newest(&self) -> Option<Head> {
        self.heads.last_key_value().map(|(_, head)| *head)
    }

    /// The head of a ledger, where it was seen lately.
    pub fn head(&self, sequence: u32) -> Option<Head> {
        self.heads.get(&sequence).copied()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tradepost_protocol::amount::Stroops;
    use tradepost_protocol::stellar::reserve::LedgerParams;
    use tradepost_protocol::time::Timestamp;

    use super::*;
    use crate::ledger::{ClosedLedger, LedgerHash, LedgerTotals};

    fn head(sequence: u32, close_time: u64, hash: u8) -> Head {
        Head {
            ledger: ClosedLedger {
                sequence,
                close_time: Timestamp::from_secs(close_time),
                hash: LedgerHash([hash; 32]),
            },
            params: LedgerParams::USUAL,
            protocol_version: 27,
            max_operations: 1,
            totals: LedgerTotals { total_coins: Stroops::ZERO, fee_pool: Stroops::ZERO },
        }
    }

    #[test]
    fn a_head_is_measured_by_those_seen_before_and_after_it() {
        let mut seen = Seen::default();
        seen.remember(head(10, 100, 1)).unwrap();
        seen.remember(head(20, 200, 2)).unwrap();
        assert!(seen.remember(head(10, 100, 1)).is_ok());
        assert!(matches!(seen.remember(head(10, 100, 9)), Err(Misfit::Reset(_))));
        assert!(matches!(seen.remember(head(10, 101, 1)), Err(Misfit::Reset(_))));
        assert!(matches!(seen.remember(head(15, 99, 3)), Err(Misfit::Contradiction(_))));
        assert!(seen.remember(head(15, 201, 3)).is_err());
        assert!(seen.remember(head(15, 150, 3)).is_ok());
        assert_eq!(seen.floor(), 20);
        assert_eq!(seen.head(15), Some(head(15, 150, 3)));
    }

    #[test]
    fn old_heads_make_room() {
        let mut seen = Seen::default();
        for n in 1..=2_000 {
            seen.remember(head(n, u64::from(n), 0)).unwrap();
        }
        assert_eq!(seen.heads.len(), MAX_HEADS);
        assert_eq!(seen.floor(), 2_000);
        assert_eq!(seen.head(1), None);
    }
}
