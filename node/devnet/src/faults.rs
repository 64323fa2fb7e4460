//! Switches that make the ledger's RPC misbehave as real servers do.
//!
//! All are off at first. `POST /devnet/faults` takes the whole set as one JSON
//! object (a field that isn't there is off, so `{}` switches all of them off;
//! one that isn't known is refused) and answers with the set that holds from
//! then on; `GET /devnet/faults` shows it. In process it is
//! [`crate::Ledger::set_faults`].
//!
//! | Field | Unit | What it does |
//! |---|---|---|
//! | `slow_ms` | milliseconds, at most 25,000 | What is asked is done at once, its answer comes so much later. Over HTTP only: nothing in process waits |
//! | `down` | true or false | JSON-RPC and friendbot answer HTTP 503; in process an internal error |
//! | `submissions` | `taken`, `dropped`, `stuck` or `try_again_later` | What becomes of `sendTransaction`, see [`Submissions`] |
//! | `lag_ledgers` | ledgers, at most 16 | Reads answer as of so many ledgers ago, of one and the same ledger |
//! | `history_ledgers` | ledgers, at least 1; null for all | Transactions are found in so many of the newest ledgers only |
//! | `halted` | true or false | No ledger closes |
//!
//! `/devnet/…` itself, and what a test does with the ledger in process, see
//! the ledger as it is.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest that an answer is held back; below the time that a request may
/// take in all.
pub const MAX_SLOW: Duration = Duration::from_secs(25);
/// The most ledgers that reads may be behind, and so the number of past states
/// that are kept: of each, only what its next ledger changed.
pub const MAX_LAG_LEDGERS: u32 = 16;

/// What is wrong with the network at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// How long each answer is held back, in milliseconds.
    pub slow_ms: u64,
    /// Whether nothing is answered.
    pub down: bool,
    /// What becomes of submitted transactions.
    pub submissions: Submissions,
    /// How many ledgers the reads are behind.
    pub lag_ledgers: u32,
    /// In how many of the newest ledgers a transaction is found; all that are
    /// kept where this is nothing.
    pub history_ledgers: Option<u32>,
    /// Whether no ledger closes.
    pub halted: bool,
}

/// What becomes of what `sendTransaction` hands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Submissions {
    /// It is judged, queued and included.
    #[default]
    Taken,
    /// Whatever is an envelope is answered `PENDING` and thrown away.
    Dropped,
    /// It is judged and queued, and no ledger includes anything that is in the
    /// queue, the friendbot's transactions among them. Switched back, the next
    /// ledger includes what is still valid.
    Stuck,
    /// Whatever is an envelope is answered `TRY_AGAIN_LATER` and thrown away.
    TryAgainLater,
}

/// A set of switches that can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FaultsError {
    /// The delay is too long.
    #[error("slow_ms is {0}: choose from 0 to {most}", most = MAX_SLOW.as_millis())]
    Slow(u64),
    /// The lag is too large.
    #[error("lag_ledgers is {0}: choose from 0 to {MAX_LAG_LEDGERS}, the states that are kept")]
    Lag(u32),
    /// The history has no ledger.
    #[error("history_ledgers is 0: the newest ledger is always there, choose 1 or more, or null for all")]
    History,
    /// The directory that keeps the ledger can't be written.
    #[error("the settings can't be written ({0}): see to the directory and try again")]
    Unsaved(io::ErrorKind),
}

impl Faults {
    /// Nothing is wrong.
    pub const NONE: Self = Self {
        slow_ms: 0,
        down: false,
        submissions: Submissions::Taken,
        lag_ledgers: 0,
        history_ledgers: None,
        halted: false,
    };

    /// How long each answer is held back.
    pub const fn slow(&self) -> Duration {
        Duration::from_millis(self.slow_ms)
    }

    /// Whether each switch is within its bounds.
    pub(crate) fn check(&self) -> Result<(), FaultsError> {
        if self.slow() > MAX_SLOW {
            return Err(FaultsError::Slow(self.slow_ms));
        }
        if self.lag_ledgers > MAX_LAG_LEDGERS {
            return Err(FaultsError::Lag(self.lag_ledgers));
        }
        if self.history_ledgers == Some(0) {
            return Err(FaultsError::History);
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_nothing_wrong_and_an_unknown_switch_is_named_with_those_that_exist() {
        assert_eq!(serde_json::from_str::<Faults>("{}").unwrap(), Faults::NONE);
        assert_eq!(Faults::default(), Faults::NONE);
        let refused = serde_json::from_str::<Faults>(r#"{"lagging": 3}"#).unwrap_err().to_string();
        assert!(refused.contains("`lagging`") && refused.contains("`lag_ledgers`"), "{refused}");
        assert!(serde_json::from_str::<Faults>(r#"{"submissions": "lost"}"#).is_err());
    }

    #[test]
    fn each_switch_has_its_bounds() {
        let fine = Faults { slow_ms: 25_000, lag_ledgers: 16, history_ledgers: Some(1), ..Faults::NONE };
        assert_eq!(fine.check(), Ok(()));
        let check = |change: fn(&mut Faults)| {
            let mut faults = fine;
            change(&mut faults);
            faults.check().unwrap_err()
        };
        assert_eq!(check(|f| f.slow_ms = 25_001), FaultsError::Slow(25_001));
        assert_eq!(check(|f| f.slow_ms = u64::MAX), FaultsError::Slow(u64::MAX));
        assert_eq!(check(|f| f.lag_ledgers = 17), FaultsError::Lag(17));
        assert_eq!(check(|f| f.history_ledgers = Some(0)), FaultsError::History);
    }

    #[test]
    fn each_switch_stands_in_the_documentation() {
        let page = include_str!("../../../docs/devnet.md");
        let switches = serde_json::to_value(Faults::NONE).unwrap();
        for field in switches.as_object().unwrap().keys() {
            assert!(page.contains(&format!("\n| `{field}` |")), "{field}");
        }
        for kind in [Submissions::Taken, Submissions::Dropped, Submissions::Stuck, Submissions::TryAgainLater] {
            let name = serde_json::to_value(kind).unwrap();
            assert!(page.contains(&format!("\n| `{}` |", name.as_str().unwrap())), "{name}");
        }
        assert!(page.contains(&format!("0 to {}", MAX_SLOW.as_millis())));
        assert!(page.contains(&format!("0 to {MAX_LAG_LEDGERS}")));
    }
}
