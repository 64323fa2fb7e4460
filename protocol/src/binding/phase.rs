//! Where a binding stands, in one word for people: a function of its machines, by the first row that matches.

use core::fmt;

use crate::binding::dispute::DisputeState;
use crate::binding::negotiation::Negotiation;
use crate::binding::session::Session;
use crate::escrow::outcome::EscrowState;

/// Which side of a binding a node is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bincode::Encode, bincode::Decode)]
pub enum Side {
    /// It sells.
    Provider,
    /// It buys.
    Consumer,
}

impl Side {
    /// Whom silence favours: who takes an escrow from T on, by the consumer's word.
    pub const fn by_timeout(pay_unless_disputed: bool) -> Self {
        if pay_unless_disputed { Self::Provider } else { Self::Consumer }
    }

    /// The word for people and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Consumer => "consumer",
        }
    }
}

/// Where a binding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Asked, not answered.
    Requested,
    /// Terms stand, money doesn't.
    Agreed,
    /// The escrow stands and is right; the service is starting.
    Funded,
    /// An escrow stands that isn't the one agreed.
    Refused,
    /// The service runs.
    Active,
    /// The service was given; the escrow is the provider's to collect.
    Delivered,
    /// The service wasn't given; the escrow is the consumer's.
    Failed,
    /// The arbiters were asked who is paid.
    Disputed,
    /// It is decided who is paid; the gaining party settles it on the ledger.
    Closing,
    /// T has passed with the escrow still there.
    Timeout,
    /// Nothing is open any more; the escrow, where there was one, is settled.
    Closed,
    /// It ended before there was money in it.
    Void,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 12] = [
        Self::Requested,
        Self::Agreed,
        Self::Funded,
        Self::Refused,
        Self::Active,
        Self::Delivered,
        Self::Failed,
        Self::Disputed,
        Self::Closing,
        Self::Timeout,
        Self::Closed,
        Self::Void,
    ];

    /// Whether nothing will happen any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Closed | Self::Void)
    }

    /// The word for people and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Agreed => "agreed",
            Self::Funded => "funded",
            Self::Refused => "refused",
            Self::Active => "active",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Disputed => "disputed",
            Self::Closing => "closing",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Void => "void",
        }
    }

    /// What this side's node does next by itself, and what its owner should know.
    pub const fn next_action(self, side: Side) -> &'static str {
        use Side::{Consumer, Provider};
        match (self, side) {
            (Self::Requested, Provider) => "answers the request or lets it lapse",
            (Self::Requested, Consumer) => "waits for the provider's answer",
            (Self::Agreed, Provider) => "holds the place until the ledger shows the escrow or fund_by has passed",
            (Self::Agreed, Consumer) => "hands the funding over and submits it",
            (Self::Funded, Provider) => "starts the service",
            (Self::Funded, Consumer) => "waits for the service to start",
            (Self::Refused, Provider) => "never starts the service: the escrow isn't the one agreed",
            (Self::Refused, Consumer) => {
                "takes the money back from T on, unless both sides sign it back before or it was agreed to be the provider's then"
            }
            (Self::Active, Provider) => "serves",
            (Self::Active, Consumer) => "use it: tradepost call",
            (Self::Delivered, Provider) => {
                "collects the escrow, or settles it once the consumer signs; else it asks the arbiters"
            }
            (Self::Delivered, Consumer) => {
                "nothing to do: the provider is paid; what it leaves comes back from T on, unless agreed otherwise"
            }
            (Self::Failed, Provider) => "gives the money back; it never collects it",
            (Self::Failed, Consumer) => "waits for the provider to give the money back, or takes it back from T on",
            (Self::Disputed, _) => "shows the arbiters its evidence and waits for their award; without one, T decides",
            (Self::Closing, _) => "settles what was decided on the ledger, if it gains by it",
            (Self::Timeout, Provider) => {
                "takes the escrow where it was agreed to be its own from T on; else it is the consumer's"
            }
            (Self::Timeout, Consumer) => "takes the money back, unless it was agreed to be the provider's from T on",
            (Self::Closed, _) => "nothing: it is settled",
            (Self::Void, _) => "nothing: it ended before any money moved",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where the machines together stand. `timed_out` is whether a ledger at or past T was seen.
pub fn phase(
    negotiation: Negotiation,
    escrow: &EscrowState,
    session: Session,
    dispute: DisputeState,
    timed_out: bool,
) -> Phase {
    use DisputeState as D;
    use EscrowState as E;
    match (negotiation, escrow, session) {
        (_, E::Paid | E::Refunded | E::Unknown | E::Split { .. } | E::ClawedBack, _) => Phase::Closed,
        (_, E::Locked | E::Refused(_), _) if timed_out => Phase::Timeout,
        (_, E::Refused(_), _) => Phase::Refused,
        (Negotiation::Requested, ..) => Phase::Requested,
        (Negotiation::Rejected | Negotiation::Lapsed | Negotiation::Cancelled, E::Locked, _) => Phase::Failed,
        (Negotiation::Rejected | Negotiation::Lapsed | Negotiation::Cancelled, ..) => Phase::Void,
        (Negotiation::Agreed, E::Free, Session::Ended(_)) => Phase::Closed,
        (Negotiation::Agreed, E::Locked, _) if matches!(dispute, D::Opened | D::Lapsed) => Phase::Disputed,
        (Negotiation::Agreed, E::Locked, _) if matches!(dispute, D::Awarded | D::Released) => Phase::Closing,
        (Negotiation::Agreed, E::Free | E::Locked, Session::Idle | Session::Starting) => Phase::Funded,
        (Negotiation::Agreed, E::Free | E::Locked, Session::Active | Session::Away) => Phase::Active,
        (Negotiation::Agreed, E::Locked, Session::Ended(end)) if end.earned() => Phase::Delivered,
        (Negotiation::Agreed, E::Locked, Session::Ended(_)) => Phase::Failed,
        (Negotiation::Agreed, E::None | E::Intended, _) => Phase::Agreed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Stroops;
    use crate::binding::session::End;
    use crate::escrow::shape::EscrowMismatch;

    /// Sessions that the table tells apart, with their column's name.
    const SESSIONS: [(&str, Session); 6] = [
        ("idle", Session::Idle),
        ("starting", Session::Starting),
        ("active", Session::Active),
        ("away", Session::Away),
        ("earned", Session::Ended(End::UnitsUsed)),
        ("not earned", Session::Ended(End::StartFailed)),
    ];

    /// The phase by negotiation, escrow and session (idle, starting, active, away, earned, not earned); T hasn't passed.
    const BEFORE_T: &str = "\
Requested Free: requested requested requested requested requested requested
Requested None: requested requested requested requested requested requested
Requested Intended: requested requested requested requested requested requested
Requested Locked: requested requested requested requested requested requested
Requested Refused: refused refused refused refused refused refused
Agreed Free: funded funded active active closed closed
Agreed None: agreed agreed agreed agreed agreed agreed
Agreed Intended: agreed agreed agreed agreed agreed agreed
Agreed Locked: funded funded active active delivered failed
Agreed Refused: refused refused refused refused refused refused
Rejected Free: void void void void void void
Rejected None: void void void void void void
Rejected Intended: void void void void void void
Rejected Locked: failed failed failed failed failed failed
Rejected Refused: refused refused refused refused refused refused
Lapsed Free: void void void void void void
Lapsed None: void void void void void void
Lapsed Intended: void void void void void void
Lapsed Locked: failed failed failed failed failed failed
Lapsed Refused: refused refused refused refused refused refused
Cancelled Free: void void void void void void
Cancelled None: void void void void void void
Cancelled Intended: void void void void void void
Cancelled Locked: failed failed failed failed failed failed
Cancelled Refused: refused refused refused refused refused refused
";

    fn escrows() -> [(&'static str, EscrowState); 5] {
        let mismatch = EscrowMismatch::ClaimantCount { found: 2 };
        [
            ("Free", EscrowState::Free),
            ("None", EscrowState::None),
            ("Intended", EscrowState::Intended),
            ("Locked", EscrowState::Locked),
            ("Refused", EscrowState::Refused(mismatch)),
        ]
    }

    fn row(negotiation: Negotiation, escrow: &EscrowState, timed_out: bool) -> Vec<Phase> {
        SESSIONS
            .iter()
            .map(|(_, session)| phase(negotiation, escrow, *session, DisputeState::None, timed_out))
            .collect()
    }

    #[test]
    fn every_state_of_the_machines_is_in_the_phase_that_the_table_says() {
        let mut table = String::new();
        for negotiation in Negotiation::ALL {
            for (name, escrow) in escrows() {
                let phases: Vec<&str> = row(negotiation, &escrow, false).iter().map(|p| p.as_str()).collect();
                table += &format!("{negotiation:?} {name}: {}\n", phases.join(" "));
            }
        }
        assert_eq!(table, BEFORE_T);
    }

    fn over() -> [EscrowState; 5] {
        let (recipient, consumer) = (Stroops::whole(2), Stroops::whole(1));
        let split = EscrowState::Split { recipient, consumer };
        [EscrowState::Paid, EscrowState::Refunded, EscrowState::Unknown, split, EscrowState::ClawedBack]
    }

    #[test]
    fn a_settled_escrow_closes_whatever_else_is_open_and_one_that_stands_at_t_has_timed_out() {
        for negotiation in Negotiation::ALL {
            for timed_out in [false, true] {
                for escrow in over() {
                    assert_eq!(row(negotiation, &escrow, timed_out), [Phase::Closed; 6]);
                }
            }
            for (name, escrow) in escrows() {
                let standing = matches!(escrow, EscrowState::Locked | EscrowState::Refused(_));
                let expected = if standing { vec![Phase::Timeout; 6] } else { row(negotiation, &escrow, false) };
                assert_eq!(row(negotiation, &escrow, true), expected, "{negotiation:?} {name}");
            }
        }
    }

    #[test]
    fn a_dispute_shows_where_an_agreed_escrow_stands_and_nowhere_else_and_never_past_t() {
        for negotiation in Negotiation::ALL {
            for (name, escrow) in escrows() {
                for session in Session::all() {
                    for (dispute, shown) in [
                        (DisputeState::None, None),
                        (DisputeState::Released, Some(Phase::Closing)),
                        (DisputeState::Opened, Some(Phase::Disputed)),
                        (DisputeState::Awarded, Some(Phase::Closing)),
                        (DisputeState::Lapsed, Some(Phase::Disputed)),
                    ] {
                        let found = |timed_out| phase(negotiation, &escrow, session, dispute, timed_out);
                        let quiet = |timed_out| phase(negotiation, &escrow, session, DisputeState::None, timed_out);
                        let stands = negotiation == Negotiation::Agreed && name == "Locked";
                        let expected = shown.filter(|_| stands).unwrap_or(quiet(false));
                        assert_eq!(found(false), expected, "{negotiation:?} {name} {session:?} {dispute:?}");
                        assert_eq!(found(true), quiet(true), "{negotiation:?} {name} {session:?} {dispute:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_six_columns_stand_for_every_session() {
        for session in Session::all() {
            let column = match session.end() {
                Some(end) if end.earned() => SESSIONS[4].1,
                Some(_) => SESSIONS[5].1,
                None => session,
            };
            for negotiation in Negotiation::ALL {
                for (name, escrow) in escrows() {
                    for dispute in DisputeState::ALL {
                        let found = phase(negotiation, &escrow, session, dispute, false);
                        let same = phase(negotiation, &escrow, column, dispute, false);
                        assert_eq!(found, same, "{negotiation:?} {name} {session:?} {dispute:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_phase_says_what_happens_next_on_either_side() {
        for phase in Phase::ALL {
            for side in [Side::Provider, Side::Consumer] {
                assert!(!phase.next_action(side).is_empty());
            }
            assert_eq!(phase.is_final(), matches!(phase, Phase::Closed | Phase::Void));
        }
    }
}
