//! What became of an escrow, read from the ledger only.
//!
//! In this order: from one's own intent's result or a transaction found; from absence after presence, where time alone
//! tells ([`ByTime`]: last seen at a close time of T or later, the beneficiary has it; first absent before T, under `timed`
//! the recipient). Else the transaction has to be found; where it can't be, the outcome is unknown, shown as such and never
//! guessed.

use bincode::{Decode, Encode};

use crate::amount::Stroops;
use crate::escrow::shape::{EscrowMismatch, VerifiedEscrow};
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
    /// The consumer took it, or was given it back.
    Refunded,
    /// It is gone, and the ledger no longer tells to whom.
    Unknown,
    /// Both sides got a part; what is missing in the whole are the arbiters' fees.
    Split {
        /// The recipient's part.
        recipient: Stroops,
        /// The consumer's part.
        consumer: Stroops,
    },
    /// The asset's issuer took it back.
    ClawedBack,
}

impl EscrowState {
    /// Whether the money has left the escrow.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Paid | Self::Refunded | Self::Unknown | Self::Split { .. } | Self::ClawedBack)
    }

    /// Why nothing more is owed for it, for people: it is over, and the recipient doesn't have all of it.
    pub const fn why_unpaid(&self) -> Option<&'static str> {
        match self {
            Self::Refunded => Some("the escrow went back to the consumer, and the service ends with it"),
            Self::Split { .. } => Some("the escrow was divided between the sides, and the service ends with it"),
            Self::ClawedBack => Some("the asset's issuer clawed the escrow back"),
            Self::Unknown => Some("the escrow is gone, nobody can tell to whom, and the service ends with it"),
            Self::Free | Self::None | Self::Intended | Self::Locked | Self::Refused(_) | Self::Paid => None,
        }
    }
}

/// Who got an escrow's money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Taken {
    /// The recipient.
    ByRecipient,
    /// The consumer, by itself or given back.
    ByConsumer,
    /// Both sides, each a part.
    Divided {
        /// The recipient's part.
        recipient: Stroops,
        /// The consumer's part.
        consumer: Stroops,
    },
    /// The asset's issuer.
    ByIssuer,
}

/// What the time of an escrow's absence tells, by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByTime {
    /// Who has it where it was gone before T; `None` where only its transaction tells.
    pub before: Option<Taken>,
    /// Who has it where it was still there at T; `None` where only its transaction tells.
    pub after: Option<Taken>,
}

impl ByTime {
    /// A `timed` escrow is the recipient's before T and the consumer's from T on.
    pub const TIMED: Self = Self { before: Some(Taken::ByRecipient), after: Some(Taken::ByConsumer) };
    /// What an issuer may claw back at any time tells nothing.
    pub const NOTHING: Self = Self { before: None, after: None };
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
    /// Its sequence number is used, and history can't tell by what: it may be in a ledger after the one with this number.
    FundingUnknown(u32),
    /// The balance is on the ledger; what comparing every field said.
    Present(LedgerPoint, Result<VerifiedEscrow, EscrowMismatch>),
    /// The balance is not on the ledger.
    Absent(LedgerPoint),
    /// A successful transaction is known that took it: one's own, or one found.
    Taken(Taken),
    /// The ledgers between last sight and first absence were searched, or can't be any more.
    NotFound,
}

/// The close time in place of one that nobody saw.
const NEVER_SEEN: Timestamp = Timestamp::from_secs(0);

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
    /// | state | signed | included, present | dead | lost from history | absent | taken | not found |
    /// |---|---|---|---|---|---|---|---|
    /// | free | - | - | - | - | - | - | - |
    /// | none, intended | intended | seen: locked or refused | none | intended; absence then asks for a search | after fund_by: never funded; if seen: by time | by whom | if asked: unknown |
    /// | locked, refused | - | last seen; refused may become locked | - | - | by time, or search | by whom | if asked: unknown |
    /// | paid | - | - | - | - | - | refunded, where it was given back | - |
    /// | refunded, split, clawed back | - | - | - | - | - | - | - |
    /// | unknown | - | included: last seen | - | - | - | by whom | - |
    pub fn handle(&mut self, observation: Observation, by_time: ByTime) -> Option<Change> {
        use EscrowState as S;
        match (&self.state, observation) {
            (S::Free | S::Refunded | S::Split { .. } | S::ClawedBack, _) => None,
            (S::Paid, Observation::Taken(Taken::ByConsumer)) => self.become_state(S::Refunded),
            (S::Paid, _) => None,
            (_, Observation::Taken(by)) => self.become_state(by.state()),
            // Nothing but who took it is news then, and since when it was there.
            (S::Unknown, Observation::FundingIncluded(at)) => {
                self.saw(at);
                None
            }
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
            (S::None | S::Intended, Observation::FundingUnknown(since)) if self.last_seen.is_none() => {
                self.saw(LedgerPoint::new(since, NEVER_SEEN));
                self.become_state(S::Intended)
            }
            (_, Observation::FundingUnknown(_)) => None,
            (_, Observation::Present(at, verdict)) => self.present(at, verdict),
            (_, Observation::Absent(at)) => self.absent(at, by_time),
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
            // What a balance holds and who may claim it never changes. Its sponsor can, by the funder's own doing, and
            // that must not keep the recipient from what it has earned.
            Err(_) if self.state == EscrowState::Locked => None,
            Err(mismatch) => self.become_state(EscrowState::Refused(mismatch)),
        }
    }

    fn absent(&mut self, at: LedgerPoint, by_time: ByTime) -> Option<Change> {
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
            _ => last_seen.close_time != NEVER_SEEN,
        };
        let before = by_time.before.filter(|_| first_absent.close_time < self.deadline);
        let after = by_time.after.filter(|_| last_seen.close_time >= self.deadline);
        match before.or(after).filter(|_| told_by_time) {
            Some(taken) => self.become_state(taken.state()),
            None => Some(Change::Search { last_seen, first_absent }),
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

    /// The last ledger that showed the balance and the first one that didn't, between which it was taken.
    pub fn taken_between(&self) -> Option<(LedgerPoint, LedgerPoint)> {
        self.last_seen.zip(self.first_absent)
    }

    /// Whether a ledger showed that the balance is gone, whoever has it.
    pub const fn is_gone(&self) -> bool {
        self.first_absent.is_some()
    }

    /// Whether nobody knows that its funding was included: history doesn't tell, and no ledger showed the balance.
    pub fn is_unsure(&self) -> bool {
        self.last_seen.is_some_and(|at| at.close_time == NEVER_SEEN)
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
            Self::ByConsumer => EscrowState::Refunded,
            Self::Divided { recipient, consumer } => EscrowState::Split { recipient, consumer },
            Self::ByIssuer => EscrowState::ClawedBack,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::account::AccountId;
    use crate::asset::Asset;
    use crate::escrow::timed::TimedTerms;
    use crate::frame;
    use crate::message::{BalanceId, BindingId};
    use crate::stellar::entry::BalanceState;

    const T: u64 = 1_000;
    const FUND_BY: u64 = 500;

    fn at(secs: u64) -> LedgerPoint {
        LedgerPoint::new(secs as u32 / 10, Timestamp::from_secs(secs))
    }

    fn verified() -> VerifiedEscrow {
        let [consumer, recipient] = [1, 2].map(|b| AccountId::from_bytes([b; 32]));
        let (binding, deadline) = (BindingId::from_bytes([3; 32]), Timestamp::from_secs(T));
        let terms = TimedTerms::new(binding, consumer, recipient, Asset::Native, Stroops::whole(1), deadline).unwrap();
        let claimants = crate::escrow::shape::Shape {
            funder: consumer,
            controller: recipient,
            beneficiary: consumer,
            commits_to: [3; 32],
            deadline,
            asset: Asset::Native,
            amount: Stroops::whole(1),
        }
        .claimants()
        .to_vec();
        let balance = BalanceState {
            id: BalanceId::from_bytes([4; 32]),
            asset: Asset::Native,
            amount: Stroops::whole(1),
            claimants,
            clawback_enabled: false,
            sponsor: Some(consumer),
        };
        terms.verify(&balance).unwrap()
    }

    fn less() -> EscrowMismatch {
        EscrowMismatch::Amount { expected: Stroops::whole(2), found: Stroops::whole(1) }
    }

    fn divided() -> Taken {
        Taken::Divided { recipient: Stroops::whole(2), consumer: Stroops::whole(1) }
    }

    fn present(secs: u64) -> Observation {
        Observation::Present(at(secs), Ok(verified()))
    }

    fn watch() -> EscrowWatch {
        EscrowWatch::new(Timestamp::from_secs(FUND_BY), Timestamp::from_secs(T))
    }

    /// A watch that has made these observations.
    fn after(observations: impl IntoIterator<Item = Observation>) -> EscrowWatch {
        let mut watch = watch();
        for observation in observations {
            watch.handle(observation, ByTime::TIMED);
        }
        watch
    }

    /// Every state, with a watch in it that last saw the balance at second 600 where it saw it.
    fn states() -> Vec<(&'static str, EscrowWatch)> {
        use Observation as O;
        let refused = |why| O::Present(at(600), Err(why));
        vec![
            ("free", EscrowWatch::free(Timestamp::from_secs(FUND_BY), Timestamp::from_secs(T))),
            ("none", watch()),
            ("intended", after([O::FundingSigned])),
            ("included", after([O::FundingSigned, O::FundingIncluded(at(600))])),
            ("locked", after([O::FundingSigned, present(600)])),
            ("refused", after([refused(less())])),
            ("clawable", after([refused(EscrowMismatch::Clawback)])),
            ("lost", after([O::FundingSigned, O::FundingUnknown(60)])),
            ("searched", after([present(600), O::Absent(at(1_100))])),
            ("paid", after([present(600), O::Absent(at(700))])),
            ("refunded", after([present(1_000), O::Absent(at(1_010))])),
            ("unknown", after([present(600), O::Absent(at(1_100)), O::NotFound])),
            ("split", after([present(600), O::Taken(divided())])),
            ("clawed back", after([present(600), O::Taken(Taken::ByIssuer)])),
        ]
    }

    fn observations() -> Vec<(&'static str, Observation)> {
        use Observation as O;
        vec![
            ("signed", O::FundingSigned),
            ("included", O::FundingIncluded(at(610))),
            ("dead", O::FundingDead),
            ("history", O::FundingUnknown(60)),
            ("present", present(620)),
            ("otherwise", O::Present(at(620), Err(less()))),
            ("absent early", O::Absent(at(400))),
            ("absent before T", O::Absent(at(990))),
            ("absent after T", O::Absent(at(1_200))),
            ("to recipient", O::Taken(Taken::ByRecipient)),
            ("to consumer", O::Taken(Taken::ByConsumer)),
            ("to both", O::Taken(divided())),
            ("to issuer", O::Taken(Taken::ByIssuer)),
            ("not found", O::NotFound),
        ]
    }

    /// What a change is called in the table below.
    fn word(change: Option<&Change>) -> &'static str {
        match change {
            None => "-",
            Some(Change::NeverFunded) => "never",
            Some(Change::Search { .. }) => "search",
            Some(Change::To(EscrowState::Free)) => "free",
            Some(Change::To(EscrowState::None)) => "none",
            Some(Change::To(EscrowState::Intended)) => "intended",
            Some(Change::To(EscrowState::Locked)) => "locked",
            Some(Change::To(EscrowState::Refused(_))) => "refused",
            Some(Change::To(EscrowState::Paid)) => "paid",
            Some(Change::To(EscrowState::Refunded)) => "refunded",
            Some(Change::To(EscrowState::Unknown)) => "unknown",
            Some(Change::To(EscrowState::Split { .. })) => "split",
            Some(Change::To(EscrowState::ClawedBack)) => "clawed",
        }
    }

    #[test]
    fn every_state_answers_every_observation_as_the_table_says() {
        // Columns in the order of `observations`.
        let table = [
            ("free", "- - - - - - - - - - - - - -"),
            ("none", "intended intended - intended locked refused - never never paid refunded split clawed -"),
            ("intended", "- - none - locked refused - never never paid refunded split clawed -"),
            ("included", "- - - - locked refused - paid search paid refunded split clawed -"),
            ("locked", "- - - - - - - paid search paid refunded split clawed -"),
            ("refused", "- - - - locked - - paid search paid refunded split clawed -"),
            ("clawable", "- - - - locked refused - search search paid refunded split clawed -"),
            ("lost", "- - - - locked refused - search search paid refunded split clawed -"),
            ("searched", "- - - - - - - paid search paid refunded split clawed unknown"),
            ("paid", "- - - - - - - - - - refunded - - -"),
            ("refunded", "- - - - - - - - - - - - - -"),
            ("unknown", "- - - - - - - - - paid refunded split clawed -"),
            ("split", "- - - - - - - - - - - - - -"),
            ("clawed back", "- - - - - - - - - - - - - -"),
        ];
        let states = states();
        assert_eq!(states.len(), table.len());
        let mut pairs = 0;
        for ((name, watch), (row, expected)) in states.iter().zip(table) {
            assert_eq!(*name, row);
            let expected: Vec<&str> = expected.split_whitespace().collect();
            assert_eq!(expected.len(), observations().len(), "{name}");
            for ((observation, event), expected) in observations().into_iter().zip(expected) {
                let mut watch = watch.clone();
                let change = watch.handle(event, ByTime::TIMED);
                assert_eq!(word(change.as_ref()), expected, "{name} × {observation}");
                if let Some(Change::To(state)) = change {
                    assert_eq!(watch.state(), &state, "{name} × {observation}");
                }
                pairs += 1;
            }
        }
        println!("{pairs} pairs of state and observation");
    }

    #[test]
    fn the_last_second_before_the_deadline_and_the_deadline_itself_are_told_apart() {
        let outcome = |seen: u64, gone: u64| after([present(seen), Observation::Absent(at(gone))]).state().clone();
        let near = |seq: u32, secs: u64| LedgerPoint::new(seq, Timestamp::from_secs(secs));
        assert_eq!(outcome(980, 990), EscrowState::Paid);
        assert_eq!(outcome(1_000, 1_010), EscrowState::Refunded);
        for (seen, gone, state) in [
            (near(98, 998), near(99, 999), EscrowState::Paid),
            (near(99, 1_000), near(100, 1_001), EscrowState::Refunded),
            (near(98, 999), near(99, 1_000), EscrowState::Locked),
        ] {
            let watch = after([Observation::Present(seen, Ok(verified())), Observation::Absent(gone)]);
            assert_eq!(watch.state(), &state, "{seen:?} {gone:?}");
        }
    }

    #[test]
    fn an_earlier_absence_found_later_decides_what_the_first_one_could_not() {
        let mut watch = after([present(600), Observation::Absent(at(1_100))]);
        assert_eq!(watch.state(), &EscrowState::Locked);
        assert!(watch.is_open());
        assert_eq!(watch.handle(Observation::Absent(at(900)), ByTime::TIMED), Some(Change::To(EscrowState::Paid)));
    }

    #[test]
    fn who_took_an_arbitrated_escrow_before_the_deadline_only_its_transaction_tells() {
        let rule = |after| ByTime { before: None, after: Some(after) };
        for (taken, state) in [(Taken::ByConsumer, EscrowState::Refunded), (Taken::ByRecipient, EscrowState::Paid)] {
            let mut early = after([present(600)]);
            let change = early.handle(Observation::Absent(at(700)), rule(taken));
            assert_eq!(change, Some(Change::Search { last_seen: at(600), first_absent: at(700) }));
            let mut late = after([present(1_000)]);
            assert_eq!(late.handle(Observation::Absent(at(1_010)), rule(taken)), Some(Change::To(state)));
        }
        for (seen, gone) in [(600, 700), (1_000, 1_010)] {
            let change = after([present(seen)]).handle(Observation::Absent(at(gone)), ByTime::NOTHING);
            assert!(matches!(change, Some(Change::Search { .. })), "an issuer may have clawed it back");
        }
    }

    #[test]
    fn a_server_that_is_behind_changes_nothing() {
        let mut watch = after([present(600)]);
        assert_eq!(watch.handle(Observation::Absent(at(600)), ByTime::TIMED), None);
        assert_eq!(watch.handle(Observation::Absent(at(590)), ByTime::TIMED), None);
        watch.handle(present(550), ByTime::TIMED);
        assert_eq!(watch.last_seen(), Some(at(600)));
        watch.handle(Observation::Absent(at(1_100)), ByTime::TIMED);
        assert_eq!(watch.handle(present(1_110), ByTime::TIMED), None, "an id never comes back");
        assert_eq!(watch.last_seen(), Some(at(600)));
    }

    #[test]
    fn where_history_lost_the_funding_neither_its_absence_nor_time_says_who_has_it() {
        for gone in [700, 1_100] {
            let mut watch = after([Observation::FundingSigned, Observation::FundingUnknown(55)]);
            let change = watch.handle(Observation::Absent(at(gone)), ByTime::TIMED);
            let search = matches!(change, Some(Change::Search { last_seen, .. }) if last_seen.sequence == 55);
            assert!(search, "{change:?}");
            assert_eq!(watch.handle(Observation::NotFound, ByTime::TIMED), Some(Change::To(EscrowState::Unknown)));
        }
        let seen = after([Observation::FundingSigned, Observation::FundingUnknown(55), present(600)]);
        assert_eq!(seen.state(), &EscrowState::Locked, "it was there all the same");
    }

    #[test]
    fn every_state_survives_its_bytes() {
        for (name, watch) in states() {
            let bytes = frame::encode(&watch).unwrap();
            assert_eq!(frame::decode::<EscrowWatch>(&bytes).unwrap(), watch, "{name}");
        }
        let golden = [
            (EscrowState::Free, "00"),
            (EscrowState::None, "01"),
            (EscrowState::Intended, "02"),
            (EscrowState::Locked, "03"),
            (EscrowState::Refused(less()), "0404fc002d3101fc80969800"),
            (EscrowState::Refused(EscrowMismatch::Clawback), "0405"),
            (EscrowState::Paid, "05"),
            (EscrowState::Refunded, "06"),
            (EscrowState::Unknown, "07"),
            (
                EscrowState::Split { recipient: Stroops::whole(2), consumer: Stroops::whole(1) },
                "08fc002d3101fc80969800",
            ),
            (EscrowState::ClawedBack, "09"),
        ];
        for (state, bytes) in golden {
            assert_eq!(hex::encode(frame::encode(&state).unwrap()), bytes, "{state:?}");
        }
        let locked = after([Observation::FundingSigned, present(600)]);
        assert_eq!(hex::encode(frame::encode(&locked).unwrap()), "fbf401fbe80303013cfb580200");
    }
}
