//! How one endpoint stands: well, resting after faults, or dropped. Monotonic time is handed in.

use core::time::Duration;

use tokio::time::Instant;

use crate::config::Patience;
use crate::error::LedgerError;
use crate::ledger::ClosedLedger;

/// Silent for so long, an endpoint proves anew that it is of our network before it is believed.
const PROVE_AFTER: Duration = Duration::from_secs(60);
/// An endpoint whose newest ledger stands for so long, while another one's has moved on, is stuck.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(15);
/// So many ledgers behind the others, an endpoint counts as behind, whether it moves or not.
pub(crate) const MAX_LAG: u32 = 12;

/// How an endpoint does, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointHealth {
    /// Scheme, host and port.
    pub name: String,
    /// Who runs it.
    pub operator: String,
    /// How it does.
    pub state: EndpointState,
    /// The newest ledger that it showed.
    pub newest: Option<u32>,
    /// When it last answered.
    pub answered: Option<Instant>,
}

/// How an endpoint does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointState {
    /// It answers.
    Fine,
    /// It answers, and its newest ledger is old.
    Behind {
        /// How many ledgers behind the newest that another one showed.
        by: u32,
    },
    /// It doesn't answer, or nothing that can be used. It is asked again now and then.
    Failing {
        /// Its last fault.
        error: LedgerError,
        /// Since when.
        since: Instant,
        /// Questions without an answer since then.
        failures: u32,
    },
    /// It contradicted itself or the others and is asked nothing more until the node starts again.
    Dropped {
        /// What it said.
        why: LedgerError,
        /// Since when.
        since: Instant,
    },
}

#[derive(Debug, Clone, Default)]
enum State {
    #[default]
    Fine,
    Failing {
        error: LedgerError,
        since: Instant,
        failures: u32,
        rest_until: Instant,
    },
    Dropped {
        why: LedgerError,
        since: Instant,
    },
}

/// What is known of an endpoint.
#[derive(Debug, Default)]
pub(super) struct Standing {
    state: State,
    proved: bool,
    newest: Option<(ClosedLedger, Instant)>,
    answered: Option<Instant>,
}

impl Standing {
    /// Notes an answer; whether it is the first one after faults.
    pub fn answer(&mut self, now: Instant) -> bool {
        self.answered = Some(now);
        let recovered = matches!(self.state, State::Failing { .. });
        if recovered {
            self.state = State::Fine;
        }
        recovered
    }

    /// Notes a fault; whether it is the first one after an answer.
    pub fn fail(&mut self, error: &LedgerError, patience: &Patience, now: Instant) -> bool {
        let (since, failures) = match &self.state {
            State::Fine => (now, 0),
            State::Failing { since, failures, .. } => (*since, *failures),
            State::Dropped { .. } => return false,
        };
        let rest_until = now + patience.rest(failures + 1, error.wants_rest());
        self.proved &= now.saturating_duration_since(since) <= PROVE_AFTER;
        let failures = failures.saturating_add(1);
        self.state = State::Failing { error: error.clone(), since, failures, rest_until };
        failures == 1
    }

    /// Believes it no more; whether it was believed until now.
    pub fn drop_out(&mut self, why: &LedgerError, now: Instant) -> bool {
        let news = !self.is_dropped();
        if news {
            self.state = State::Dropped { why: why.clone(), since: now };
        }
        news
    }

    /// It proved to be of our network.
    pub const fn prove(&mut self) {
        self.proved = true;
    }

    /// It showed this as its newest ledger.
    pub fn show(&mut self, ledger: ClosedLedger, now: Instant) {
        if self.newest.is_none_or(|(known, _)| ledger.sequence > known.sequence) {
            self.newest = Some((ledger, now));
        }
    }

    pub const fn owes_proof(&self) -> bool {
        !self.proved
    }

    pub const fn is_dropped(&self) -> bool {
        matches!(self.state, State::Dropped { .. })
    }

    pub fn is_ready(&self, now: Instant) -> bool {
        match &self.state {
            State::Fine => true,
            State::Failing { rest_until, .. } => *rest_until <= now,
            State::Dropped { .. } => false,
        }
    }

    /// Until when it is left alone, where others can be asked.
    pub const fn rest_until(&self) -> Option<Instant> {
        match &self.state {
            State::Failing { rest_until, .. } => Some(*rest_until),
            _ => None,
        }
    }

    /// Until when it asked not to be asked.
    pub fn busy_until(&self) -> Option<Instant> {
        match &self.state {
            State::Failing { error, rest_until, .. } if error.wants_rest().is_some() => Some(*rest_until),
            _ => None,
        }
    }

    pub fn is_stuck(&self, now: Instant) -> bool {
        self.newest.is_none_or(|(_, moved)| now.saturating_duration_since(moved) > STUCK_AFTER)
    }

    pub fn newest(&self) -> Option<u32> {
        self.newest.map(|(ledger, _)| ledger.sequence)
    }

    pub const fn fault(&self) -> Option<&LedgerError> {
        match &self.state {
            State::Fine => None,
            State::Failing { error, .. } => Some(error),
            State::Dropped { why, .. } => Some(why),
        }
    }

    /// How it does, for people, where the newest ledger that any showed is this.
    pub fn health(&self, name: String, operator: String, newest: Option<u32>, now: Instant) -> EndpointHealth {
        let own = self.newest();
        let by = newest.unwrap_or_default().saturating_sub(own.unwrap_or_default());
        let state = match &self.state {
            State::Fine if own.is_some() && (by > MAX_LAG || by > 0 && self.is_stuck(now)) => {
                EndpointState::Behind { by }
            }
            State::Fine => EndpointState::Fine,
            State::Failing { error, since, failures, .. } => {
                EndpointState::Failing { error: error.clone(), since: *since, failures: *failures }
            }
            State::Dropped { why, since } => EndpointState::Dropped { why: why.clone(), since: *since },
        };
        EndpointHealth { name, operator, state, newest: own, answered: self.answered }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tradepost_protocol::time::Timestamp;

    use super::*;
    use crate::ledger::LedgerHash;

    const SECOND: Duration = Duration::from_secs(1);

    fn fault(wait: Option<Duration>) -> LedgerError {
        match wait {
            Some(_) => LedgerError::Busy { endpoint: "it".into(), wait, tries: 1 },
            None => LedgerError::Unreachable { endpoint: "it".into(), why: "down".into(), tries: 1 },
        }
    }

    fn ledger(sequence: u32) -> ClosedLedger {
        ClosedLedger { sequence, close_time: Timestamp::from_secs(u64::from(sequence)), hash: LedgerHash([0; 32]) }
    }

    #[test]
    fn faults_are_followed_by_longer_and_longer_rests_until_an_answer() {
        let (mut standing, patience, start) = (Standing::default(), Patience::default(), Instant::now());
        standing.prove();
        assert!(standing.fail(&fault(None), &patience, start), "the first fault is news");
        assert!(!standing.is_ready(start) && standing.is_ready(start + SECOND));
        for _ in 0..20 {
            assert!(!standing.fail(&fault(None), &patience, start + SECOND));
        }
        assert!(
            !standing.is_ready(start + 20 * SECOND) && standing.is_ready(start + 62 * SECOND),
            "but never for ever"
        );
        assert!(!standing.owes_proof());
        standing.fail(&fault(None), &patience, start + 70 * SECOND);
        assert!(standing.owes_proof(), "what was silent for long may have become another network");
        assert!(standing.answer(start + 71 * SECOND) && standing.is_ready(start));
        assert!(!standing.answer(start + 72 * SECOND));
    }

    #[test]
    fn who_asks_to_be_left_alone_is() {
        let (mut standing, patience, start) = (Standing::default(), Patience::default(), Instant::now());
        standing.fail(&fault(Some(30 * SECOND)), &patience, start);
        assert!(!standing.is_ready(start + 29 * SECOND) && standing.is_ready(start + 30 * SECOND));
        assert_eq!(standing.busy_until(), Some(start + 30 * SECOND));
        standing.fail(&fault(Some(9_999 * SECOND)), &patience, start);
        assert!(standing.is_ready(start + patience.longest_rest), "within bounds");
    }

    #[test]
    fn who_was_dropped_stays_out_whatever_it_says_later() {
        let (mut standing, patience, start) = (Standing::default(), Patience::default(), Instant::now());
        assert!(standing.drop_out(&fault(None), start));
        assert!(!standing.drop_out(&fault(None), start));
        standing.answer(start);
        standing.fail(&fault(None), &patience, start);
        assert!(standing.is_dropped() && !standing.is_ready(start + 999 * SECOND));
    }

    #[test]
    fn who_lags_far_or_stands_still_while_others_move_is_behind() {
        let (mut standing, start) = (Standing::default(), Instant::now());
        let state = |s: &Standing, newest, after: Duration| {
            s.health("it".into(), "them".into(), Some(newest), start + after).state
        };
        assert_eq!(state(&standing, 5, SECOND), EndpointState::Fine, "nothing is known yet");
        standing.show(ledger(5), start);
        assert_eq!(state(&standing, 6, SECOND), EndpointState::Fine);
        assert_eq!(state(&standing, 18, SECOND), EndpointState::Behind { by: 13 });
        assert_eq!(state(&standing, 6, 16 * SECOND), EndpointState::Behind { by: 1 });
        assert_eq!(state(&standing, 5, 999 * SECOND), EndpointState::Fine, "a network that stands still");
        standing.show(ledger(4), start + 20 * SECOND);
        assert!(standing.is_stuck(start + 20 * SECOND), "going back isn't moving on");
        standing.show(ledger(6), start + 20 * SECOND);
        assert!(!standing.is_stuck(start + 21 * SECOND));
        assert_eq!(standing.newest().unwrap(), 6);
    }
}
