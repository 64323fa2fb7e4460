//! What became of an escrow, read from the ledger only.
//!
//! In this order: from one's own intent's result or a transaction found; from absence after presence (first absent at a
//! close time before T: the recipient; last seen at a close time of T or later: the beneficiary); in between the
//! transaction has to be found, else the outcome is unknown, shown as such and never guessed.

use bincode::{Decode, Encode};

use crate::escrow::shape::EscrowMismatch;
use crate::escrow::timed::VerifiedEscrow;
use crate::stellar::LedgerPoint;
use crate::time::Timestamp;

/// The escrow machine's state.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum EscrowState {
    /// The binding costs nothing and has no escrow.
    Free,
    /// No funding is known.
    None,
    /// A funding transaction is signed and may be on its way.
    Intended,
    /// The balance is on the ledger, as agreed.
    Locked,
    /// The balance is on the ledger, otherwise than agreed.
    Refused(EscrowMismatch),
    /// The recipient took it.
    Paid,
    /// The timeout beneficiary took it, or the recipient gave it back.
    Refunded,
    /// It is gone, and the ledger no longer tells to whom.
    Unknown,
}

impl EscrowState {
    /// Whether the money has left the escrow.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Paid | Self::Refunded | Self::Unknown)
    }
}

/// Who got an escrow's money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Taken {
    /// The recipient.
    ByRecipient,
    /// The timeout beneficiary, or by way of the recipient the consumer.
    ByBeneficiary,
}

/// What was learnt about an escrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// A funding transaction is signed: one's own, or one handed over and as agreed.
    FundingSigned,
    /// One's own funding was included in this ledger.
    FundingIncluded(LedgerPoint),
    /// One's own funding is provably dead, or failed.
    FundingDead,
    /// The balance is on the ledger; what comparing every field said.
    Present(LedgerPoint, Result<VerifiedEscrow, EscrowMismatch>),
    /// The balance is not on the ledger.
    Absent(LedgerPoint),
    /// A successful transaction is known that took it: one's own, or one found.
    Taken(Taken),
    /// The ledgers between last sight and first absence were searched, or can't be any more.
    NotFound,
}

/// What follows from an observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The state is another one now.
    To(EscrowState),
    /// A ledger after `fund_by` shows no balance, and there never was one.
    NeverFunded,
    /// It is gone, and time doesn't tell to whom: look into one's own intents, then into the ledgers after `last_seen`
    /// up to `first_absent`, and answer with [`Observation::Taken`] or [`Observation::NotFound`].
    Search {
        /// The last ledger that showed it.
        last_seen: LedgerPoint,
        /// The first ledger that didn't.
        first_absent: LedgerPoint,
    },
}

/// The machine that follows one escrow.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct EscrowWatch {
    fund_by: Timestamp,
    deadline: Timestamp,
    state: EscrowState,
    last_seen: Option<LedgerPoint>,
    first_absent: Option<LedgerPoint>,
}

impl EscrowWatch {
    /// Follows an escrow that is to be funded by `fund_by` and has the deadline T.
    pub const fn new(fund_by: Timestamp, deadline: Timestamp) -> Self {
        Self { fund_by, deadline, state: EscrowState::None, last_seen: None, first_absent: None }
    }

    /// For a binding that costs nothing.
    pub const fn free(fund_by: Timestamp, deadline: Timestamp) -> Self {
        Self { fund_by, deadline, state: EscrowState::Free, last_seen: None, first_absent: None }
    }

    /// Takes an observation in and says what it changes. The table:
    ///
    /// | state | signed | included, present | dead | absent | taken | not found |
    /// |---|---|---|---|---|---|---|
    /// | free | - | - | - | - | - | - |
    /// | none, intended | intended | seen: locked or refused | none | after fund_by: never funded; if seen: by time | by whom | if asked: unknown |
    /// | locked, refused | - | last seen | - | by time, or search | by whom | if asked: unknown |
    /// | paid | - | - | - | - | refunded, where it was given back | - |
    /// | refunded | - | - | - | - | - | - |
    /// | unknown | - | - | - | - | by whom | - |
    pub fn handle(&mut self, observation: Observation) -> Option<Change> {
        use EscrowState as S;
        match (&self.state, observation) {
            (S::Free | S::Refunded, _) => None,
            (S::Paid, Observation::Taken(Taken::ByBeneficiary)) => self.become_state(S::Refunded),
            (S::Paid, _) => None,
            (_, Observation::Taken(by)) => self.become_state(by.state()),
            (S::Unknown, _) => None,
            (S::None, Observation::FundingSigned) => self.become_state(S::Intended),
            (S::Intended, Observation::FundingDead) if self.last_seen.is_none() => self.become_state(S::None),
            (_, Observation::FundingSigned | Observation::FundingDead) => None,
            (S::None, Observation::FundingIncluded(at)) => {
                self.saw(at);
                self.become_state(S::Intended)
            }
            (_, Observation::FundingIncluded(at)) => {
                self.saw(at);
                None
            }
            (_, Observation::Present(at, verdict)) => self.present(at, verdict),
            (_, Observation::Absent(at)) => self.absent(at),
            (_, Observation::NotFound) if self.first_absent.is_some() => self.become_state(S::Unknown),
            (_, Observation::NotFound) => None,
        }
    }

    fn become_state(&mut self, state: EscrowState) -> Option<Change> {
        if self.state == state {
            return None;
        }
        self.state = state.clone();
        Some(Change::To(state))
    }

    fn saw(&mut self, at: LedgerPoint) {
        self.last_seen = self.last_seen.max(Some(at));
    }

    fn present(&mut self, at: LedgerPoint, verdict: Result<VerifiedEscrow, EscrowMismatch>) -> Option<Change> {
        if self.first_absent.is_some_and(|gone| at.sequence >= gone.sequence) {
            // An id never comes back: an endpoint that says so is behind or lies.
            return None;
        }
        self.saw(at);
        match verdict {
            Ok(_) => self.become_state(EscrowState::Locked),
            Err(mismatch) => self.become_state(EscrowState::Refused(mismatch)),
        }
    }

    fn absent(&mut self, at: LedgerPoint) -> Option<Change> {
        let Some(last_seen) = self.last_seen else {
            return (at.close_time > self.fund_by).then_some(Change::NeverFunded);
        };
        if at.sequence <= last_seen.sequence {
            return None;
        }
        let first_absent = match self.first_absent {
            Some(known) => known.min(at),
            None => at,
        };
        self.first_absent = Some(first_absent);
        let told_by_time = match &self.state {
            EscrowState::Refused(mismatch) => mismatch.keeps_deadline(),
            _ => true,
        };
        if told_by_time && first_absent.close_time < self.deadline {
            self.become_state(EscrowState::Paid)
        } else if told_by_time && last_seen.close_time >= self.deadline {
            self.become_state(EscrowState::Refunded)
        } else {
            Some(Change::Search { last_seen, first_absent })
        }
    }

    /// Where it stands.
    pub const fn state(&self) -> &EscrowState {
        &self.state
    }

    /// T.
    pub const fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// The last ledger that showed the balance.
    pub const fn last_seen(&self) -> Option<LedgerPoint> {
        self.last_seen
    }

    /// Whether the ledger still has to be asked: the balance may come, or may go.
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, EscrowState::Free) && !self.state.is_over()
    }
}

impl Taken {
    const fn state(self) -> EscrowState {
        match self {
            Self::ByRecipient => EscrowState::Paid,
            Self::ByBeneficiary => EscrowState::Refunded,
        }
    }
}
