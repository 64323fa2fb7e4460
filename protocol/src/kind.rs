//! The closed registry of message kinds: number, name, form, size, topic.

use core::fmt;

use bincode::{Decode, Encode};

/// How a kind's payload is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Signed I-JSON, for people and templates.
    Document,
    /// Canonical bincode.
    Frame,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $form:ident, $max:expr, gossiped: $gossip:literal;)*) => {
        /// What a signed message is. The number goes over direct streams and into the store, the name into digests and
        /// topics; neither ever changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
        }

        impl Kind {
            /// Every kind there is.
            pub const ALL: &'static [Kind] = &[$(Kind::$name),*];

            /// The kind's number on streams and in the store.
            pub const fn number(self) -> u8 {
                match self { $(Self::$name => $number),* }
            }

            /// The kind's name in digests and topics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// Whether its payload is a document or a frame.
            pub const fn form(self) -> Form {
                match self { $(Self::$name => Form::$form),* }
            }

            /// The most bytes that a signed message of this kind may have, its signature included.
            pub const fn max_bytes(self) -> usize {
                match self { $(Self::$name => $max),* }
            }

            /// Whether it has a gossip topic.
            pub const fn gossiped(self) -> bool {
                match self { $(Self::$name => $gossip),* }
            }
        }
    };
}

const DOCUMENT: usize = crate::limits::MAX_DOCUMENT_BYTES + crate::limits::SIGNATURE_BYTES;

kinds! {
    /// JSON Schema for one kind of offering.
    Template = 1, "template", Document, DOCUMENT, gossiped: true;
    /// The identity and version of a service.
    ServiceRecord = 2, "service-record", Document, DOCUMENT, gossiped: true;
    /// What a provider sells, on which terms.
    Offering = 3, "offering", Document, DOCUMENT, gossiped: true;
    /// What a consumer wants.
    BindingRequest = 4, "binding-request", Document, DOCUMENT, gossiped: true;
    /// That a serving key's node is there; covers all its series.
    Presence = 16, "presence", Frame, 256, gossiped: true;
    /// Free supply and withdrawal of one series.
    Status = 17, "status", Frame, 256, gossiped: true;
    /// A published request is taken back, for good.
    Cancel = 18, "cancel", Frame, 256, gossiped: true;
    /// The provider's signed terms for one request.
    Agreement = 32, "agreement", Frame, 4_096, gossiped: false;
    /// The provider's refusal of a request.
    Reject = 33, "reject", Frame, 1_024, gossiped: false;
    /// The signed funding envelope, handed over before it is submitted.
    Fund = 34, "fund", Frame, 8_192, gossiped: false;
    /// The provider has seen the funding envelope and will watch for it.
    FundAccepted = 35, "fund-accepted", Frame, 256, gossiped: false;
    /// The provider refuses the funding envelope.
    FundRefused = 36, "fund-refused", Frame, 1_024, gossiped: false;
    /// The service runs; access details sealed to the request's one-time key.
    Started = 37, "started", Frame, 8_192, gossiped: false;
    /// The service didn't start, and why.
    StartFailed = 38, "start-failed", Frame, 1_024, gossiped: false;
    /// Either side ends the session.
    Unbind = 39, "unbind", Frame, 1_024, gossiped: false;
    /// The provider's count says that the session is over.
    Delivered = 40, "delivered", Frame, 1_024, gossiped: false;
    /// The frame of this step has arrived and is stored.
    Ack = 41, "ack", Frame, 256, gossiped: false;
    /// Which transaction closed the escrow, for the other side to look up.
    Closing = 42, "closing", Frame, 512, gossiped: false;
    /// Thirty-two random bytes: are you there, and who are you?
    Ping = 48, "ping", Frame, 512, gossiped: false;
    /// The answer to a ping, under the key that signs for that side.
    Pong = 49, "pong", Frame, 512, gossiped: false;
    /// The frame is understood and comes at the wrong time; the sender's state is stale.
    NotNow = 50, "not-now", Frame, 512, gossiped: false;
    /// A provider asks an arbiter to take part in a binding.
    Engage = 64, "engage", Frame, 1_024, gossiped: false;
    /// The arbiter takes part, for its fee.
    Engagement = 65, "engagement", Frame, 1_024, gossiped: false;
    /// A party signs for a division of the escrow.
    Released = 66, "released", Frame, 256, gossiped: false;
    /// Whoever was asked to take a case, or to sign, doesn't.
    Rejected = 67, "rejected", Frame, 1_024, gossiped: false;
    /// Whoever gains by a settlement asks another signer for its signature.
    Cosign = 68, "cosign", Frame, 256, gossiped: false;
    /// The signature.
    Cosigned = 69, "cosigned", Frame, 256, gossiped: false;
    /// A party asks the arbiters who is paid.
    Dispute = 70, "dispute", Frame, 8_192, gossiped: false;
    /// What a party shows an arbiter, sealed to it.
    Evidence = 71, "evidence", Frame, 20_480, gossiped: false;
    /// What an arbiter decides.
    Award = 72, "award", Frame, 1_024, gossiped: false;
    /// What an arbiter has of a case, where a party takes it to have more, and the other way round.
    Held = 73, "held", Frame, 256, gossiped: false;
    /// An account asks a help exchange's agent to sign the transaction by which it joins.
    Join = 80, "join", Frame, 6_144, gossiped: false;
    /// The agent has signed it and hands it in, or says why not.
    Joined = 81, "joined", Frame, 512, gossiped: false;
}

impl Kind {
    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|k| k.number() == number)
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|k| k.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_and_names_are_distinct_and_lead_back() {
        let numbers: BTreeSet<u8> = Kind::ALL.iter().map(|k| k.number()).collect();
        let names: BTreeSet<&str> = Kind::ALL.iter().map(|k| k.name()).collect();
        assert_eq!((numbers.len(), names.len()), (Kind::ALL.len(), Kind::ALL.len()));
        for &kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind.number()), Some(kind));
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(Kind::from_number(0), None);
    }
}
