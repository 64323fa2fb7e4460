//! Where a binding stands, in one word for people: a function of its machines, by the first row that matches.

use core::fmt;

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
    /// T has passed with the escrow still there.
    Timeout,
    /// Nothing is open any more; the escrow, where there was one, is settled.
    Closed,
    /// It ended before there was money in it.
    Void,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 10] = [
        Self::Requested,
        Self::Agreed,
        Self::Funded,
        Self::Refused,
        Self::Active,
        Self::Delivered,
        Self::Failed,
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
            (Self::Refused, Consumer) => "takes the money back from T on",
            (Self::Active, Provider) => "serves",
            (Self::Active, Consumer) => "use it: tradepost call",
            (Self::Delivered, Provider) => "collects the escrow",
            (Self::Delivered, Consumer) => "nothing to do: the provider collects; what it leaves comes back from T on",
            (Self::Failed, Provider) => "gives the money back; it never collects it",
            (Self::Failed, Consumer) => "waits for the provider to give the money back, or takes it back from T on",
            (Self::Timeout, Provider) => "nothing to do: the escrow is the consumer's now",
            (Self::Timeout, Consumer) => "takes the money back",
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

/// Where the three machines together stand. `timed_out` is whether a ledger at or past T was seen.
pub fn phase(negotiation: Negotiation, escrow: &EscrowState, session: Session, timed_out: bool) -> Phase {
    use EscrowState as E;
    match (negotiation, escrow, session) {
        (_, E::Paid | E::Refunded | E::Unknown, _) => Phase::Closed,
        (_, E::Locked | E::Refused(_), _) if timed_out => Phase::Timeout,
        (_, E::Refused(_), _) => Phase::Refused,
        (Negotiation::Requested, ..) => Phase::Requested,
        (Negotiation::Rejected | Negotiation::Lapsed | Negotiation::Cancelled, E::Locked, _) => Phase::Failed,
        (Negotiation::Rejected | Negotiation::Lapsed | Negotiation::Cancelled, ..) => Phase::Void,
        (Negotiation::Agreed, E::Free, Session::Ended(_)) => Phase::Closed,
        (Negotiation::Agreed, E::Free | E::Locked, Session::Idle | Session::Starting) => Phase::Funded,
        (Negotiation::Agreed, E::Free | E::Locked, Session::Active | Session::Away) => Phase::Active,
        (Negotiation::Agreed, E::Locked, Session::Ended(end)) if end.earned() => Phase::Delivered,
        (Negotiation::Agreed, E::Locked, Session::Ended(_)) => Phase::Failed,
        (Negotiation::Agreed, E::None | E::Intended, _) => Phase::Agreed,
    }
}
