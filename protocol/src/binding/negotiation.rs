//! How far two sides have agreed: moved by frames and the clock.

use bincode::{Decode, Encode};

/// The states of a negotiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Negotiation {
    /// The consumer has asked.
    Requested,
    /// The provider's signed terms stand.
    Agreed,
    /// The provider, or a check of the consumer's node, said no.
    Rejected,
    /// Time passed: the request's, or `fund_by` with nothing on the ledger.
    Lapsed,
    /// The consumer took the request back before an agreement.
    Cancelled,
}

/// What moves a negotiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NegotiationEvent {
    /// Signed terms that fit are stored.
    TermsStored,
    /// The provider refused, or its terms didn't fit.
    Refused,
    /// The request's `valid_until` passed without an answer.
    RequestExpired,
    /// The consumer no longer wants it.
    Cancel,
    /// A ledger past `fund_by` shows that no escrow will come.
    NothingFunded,
}

impl Negotiation {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Requested, Self::Agreed, Self::Rejected, Self::Lapsed, Self::Cancelled];

    /// The table: the next state, or `None` where the event changes nothing here.
    pub const fn on(self, event: NegotiationEvent) -> Option<Self> {
        use NegotiationEvent::*;
        match (self, event) {
            (Self::Requested, TermsStored) => Some(Self::Agreed),
            (Self::Requested, Refused) => Some(Self::Rejected),
            (Self::Requested, RequestExpired) => Some(Self::Lapsed),
            (Self::Requested, Cancel) => Some(Self::Cancelled),
            (Self::Agreed, NothingFunded) => Some(Self::Lapsed),
            (Self::Requested, NothingFunded) | (Self::Agreed, TermsStored | Refused | RequestExpired | Cancel) => None,
            (Self::Rejected | Self::Lapsed | Self::Cancelled, _) => None,
        }
    }
}

impl NegotiationEvent {
    /// Every event.
    pub const ALL: [Self; 5] =
        [Self::TermsStored, Self::Refused, Self::RequestExpired, Self::Cancel, Self::NothingFunded];
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each state with what each event makes of it; events that change nothing are left out.
    const TABLE: &str = "\
Requested: TermsStored → Agreed, Refused → Rejected, RequestExpired → Lapsed, Cancel → Cancelled
Agreed: NothingFunded → Lapsed
Rejected:
Lapsed:
Cancelled:
";

    #[test]
    fn every_state_and_event_is_as_the_table_says() {
        let mut table = String::new();
        for state in Negotiation::ALL {
            let moves: Vec<String> = NegotiationEvent::ALL
                .into_iter()
                .filter_map(|event| Some(format!(" {event:?} → {:?}", state.on(event)?)))
                .collect();
            table += &format!("{state:?}:{}\n", moves.join(","));
        }
        assert_eq!(table, TABLE);
    }
}
