//! The frames of a directed binding, besides its agreement.
//!
//! A frame travels over a direct stream as the number of its kind and the signed message; so does its answer. The
//! consumer's frames are signed by the key that its request names, the provider's by the offering's serving key.

mod arbitration;
mod engagement;

use bincode::{Decode, Encode};

use crate::account::{ServingKey, SignerKey};
use crate::binding::session::End;
use crate::kind::Kind;
use crate::limits::{MAX_ACCESS_BYTES, MAX_REASON_BYTES};
use crate::message::{self, BindingId, MessageId, Packed, Payload, TxHash};
use crate::network_id::NetworkId;
use crate::refusal::{Reason, Refusal, rules};

pub use arbitration::{Award, Cosign, Cosigned, Dispute, Evidence, Held, Receipt, Rejected, Released, SealedEvidence};
pub use engagement::{Case, Engage, Engagement};

/// A short text for people, at most [`MAX_REASON_BYTES`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct Note(String);

impl Note {
    /// Takes a text, cut to its bound; control characters become spaces.
    pub fn new(text: impl AsRef<str>) -> Self {
        let mut kept = String::new();
        for c in text.as_ref().chars() {
            if kept.len() + c.len_utf8() > MAX_REASON_BYTES {
                break;
            }
            kept.push(if c.is_control() { ' ' } else { c });
        }
        Self(kept)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Display for Note {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> Decode<C> for Note {
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, bincode::error::DecodeError> {
        let text = String::decode(d)?;
        if text.len() > MAX_REASON_BYTES || text.chars().any(char::is_control) {
            return Err(bincode::error::DecodeError::Other("a note is at most 256 bytes without control characters"));
        }
        Ok(Self(text))
    }
}
bincode::impl_borrow_decode!(Note);

rules! {
    /// Which of the provider's rules said no; stable, for programs. Its place in the list is its number on the wire.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
    RejectCode {
        NotOffered = "not-offered", Author, "The offering isn't one of this node's, is no longer current, or isn't live.", "look the offering up again and ask for its current revision";
        NoFreeSupply = "no-place-free", Nobody, "No place is free.", "ask again later, or another provider";
        TermsDontFit = "terms-dont-fit", Author, "The units, budget or escrow kinds don't fit the offering.", "ask within the bounds that the offering names";
        NotCovered = "not-covered", Author, "The consumer's account doesn't exist or doesn't hold the amount.", "fund the consumer's account first";
        TooManyUnfunded = "too-many-unfunded", Nobody, "Too many agreements stand unfunded, in all or for this account.", "fund or let lapse what was agreed, then ask again";
        LedgerUnavailable = "providers-ledger-unavailable", Nobody, "The provider can't look at the ledger now.", "ask again later";
        Stopping = "stopping", Nobody, "The provider is stopping.", "ask another provider, or again once it is back";
        Cancelled = "cancelled", Author, "The consumer has taken this request back.", "make a new request";
        NoArbiter = "no-arbiter", Nobody, "An arbiter that both list doesn't take the case, or doesn't answer.", "ask again later, or with other arbiters";
    }
}

/// Types of frames, each signed by the key that its first field names.
macro_rules! frames {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty,)* })*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
        pub struct $name {
            /// The key that signs it.
            pub key: ServingKey,
            $($(#[$fdoc])* pub $field: $type,)*
        }

        impl Payload for $name {
            const KIND: Kind = Kind::$name;

            fn decode(payload: &[u8]) -> Result<Self, Refusal> {
                message::decode_frame(Self::KIND, payload)
            }

            fn encode(&self) -> Result<Vec<u8>, Refusal> {
                message::encode_frame(Self::KIND, self)
            }

            fn signer(&self) -> SignerKey {
                self.key.into()
            }
        }
    )* };
}
use frames;

frames! {
    /// The consumer takes a published request back, for good. Gossiped, and signed by the key that the request names.
    Cancel {
        /// The request.
        request: MessageId,
    }
    /// The provider refuses a request.
    Reject {
        /// The request.
        request: MessageId,
        /// Which rule.
        code: RejectCode,
        /// In words.
        note: Note,
    }
    /// The consumer hands over the signed funding envelope before it submits it.
    Fund {
        /// The binding.
        binding: BindingId,
        /// The signed transaction envelope, XDR; empty where the binding is free, which this confirms.
        envelope: Vec<u8>,
    }
    /// The provider has stored the envelope and watches for its balance.
    FundAccepted {
        /// The binding.
        binding: BindingId,
    }
    /// The provider won't start a service on this envelope.
    FundRefused {
        /// The binding.
        binding: BindingId,
        /// What is wrong with it.
        note: Note,
    }
    /// The service runs.
    Started {
        /// The binding.
        binding: BindingId,
        /// Access details sealed to the consumer's one-time key.
        access: Sealed,
    }
    /// The service didn't start.
    StartFailed {
        /// The binding.
        binding: BindingId,
        /// Why.
        note: Note,
    }
    /// One side ends the session.
    Unbind {
        /// The binding.
        binding: BindingId,
        /// Why.
        note: Note,
    }
    /// The provider's count ends the session.
    Delivered {
        /// The binding.
        binding: BindingId,
        /// How it ended.
        end: End,
        /// Units used of those agreed.
        used: u64,
    }
    /// Which of the provider's transactions closed the escrow. The consumer believes the ledger about it.
    Closing {
        /// The binding.
        binding: BindingId,
        /// The transaction.
        transaction: TxHash,
    }
    /// The frame of this kind has arrived and is stored.
    Ack {
        /// The binding.
        binding: BindingId,
        /// The number of the acknowledged frame's kind.
        step: u8,
    }
    /// Are you there? Answered under the key that signs for that side.
    Ping {
        /// The key whose holder should answer.
        whom: ServingKey,
        /// The binding that it is a heartbeat of, where it is one.
        binding: Option<BindingId>,
        /// Random bytes that the answer repeats.
        nonce: [u8; 32],
    }
    /// I am.
    Pong {
        /// The ping's bytes.
        nonce: [u8; 32],
    }
    /// The frame came at the wrong time: the sender's idea of the binding is stale.
    NotNow {
        /// The binding.
        binding: BindingId,
        /// Where the binding stands here.
        state: Note,
    }
}

/// Sealed bytes of at most [`MAX_ACCESS_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// Takes sealed bytes; `None` above the bound.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= MAX_ACCESS_BYTES).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<C> Decode<C> for Sealed {
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, bincode::error::DecodeError> {
        Self::new(Vec::decode(d)?).ok_or(bincode::error::DecodeError::Other("more sealed bytes than allowed"))
    }
}
bincode::impl_borrow_decode!(Sealed);

/// Writes a packed message for a direct stream: the number of its kind, then its bytes.
pub fn to_stream(packed: &Packed) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + packed.bytes().len());
    bytes.push(packed.kind().number());
    bytes.extend(packed.bytes());
    bytes
}

/// Reads a packed message from a direct stream.
///
/// # Errors
/// [`Reason::WrongKind`] for a number that is no kind or a kind that is gossiped only, and what [`Packed::new`] refuses.
pub fn from_stream(network: &NetworkId, bytes: &[u8]) -> Result<Packed, Refusal> {
    let (&number, rest) = bytes.split_first().ok_or_else(|| Refusal::new(Reason::TooShort, "no bytes at all"))?;
    let kind = Kind::from_number(number)
        .ok_or_else(|| Refusal::new(Reason::WrongKind, format_args!("{number} is no kind of message")))?;
    if rest.len() > kind.max_bytes() {
        return Err(Refusal::new(Reason::TooLarge, format_args!("{} bytes for a {kind}", rest.len())));
    }
    Packed::new(kind, network, rest.to_vec())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::account::AccountId;
    use crate::amount::Stroops;
    use crate::asset::Asset;
    use crate::binding::dispute::Split;
    use crate::message::BalanceId;
    use crate::time::Timestamp;
    use ed25519_dalek::SigningKey;

    const KEY: [u8; 32] = [1; 32];

    fn key() -> ServingKey {
        ServingKey::from_bytes(KEY)
    }

    fn binding() -> BindingId {
        BindingId::from_bytes([2; 32])
    }

    /// The payload after the signing key, which all frames begin with.
    fn rest<T: Payload>(frame: &T) -> String {
        let bytes = frame.encode().unwrap();
        assert_eq!(bytes[..32], KEY);
        assert_eq!(T::decode(&bytes).unwrap().encode().unwrap(), bytes);
        hex::encode(&bytes[32..])
    }

    #[test]
    fn every_frame_has_its_golden_bytes() {
        let (key, binding) = (key(), binding());
        let (twos, threes) = ("02".repeat(32), "03".repeat(32));
        let note = Note::new("no");
        let request = MessageId::from_bytes([3; 32]);
        let transaction = TxHash::from_bytes([3; 32]);
        assert_eq!(rest(&Cancel { key, request }), threes);
        let reject = Reject { key, request, code: RejectCode::NoFreeSupply, note: note.clone() };
        assert_eq!(rest(&reject), format!("{threes}01026e6f"));
        assert_eq!(rest(&Fund { key, binding, envelope: vec![7, 8] }), format!("{twos}020708"));
        assert_eq!(rest(&FundAccepted { key, binding }), twos);
        assert_eq!(rest(&FundRefused { key, binding, note: note.clone() }), format!("{twos}026e6f"));
        let access = Sealed::new(vec![9]).unwrap();
        assert_eq!(rest(&Started { key, binding, access }), format!("{twos}0109"));
        assert_eq!(rest(&StartFailed { key, binding, note: note.clone() }), format!("{twos}026e6f"));
        assert_eq!(rest(&Unbind { key, binding, note: note.clone() }), format!("{twos}026e6f"));
        let delivered = Delivered { key, binding, end: End::UnitsUsed, used: 300 };
        assert_eq!(rest(&delivered), format!("{twos}01fb2c01"));
        assert_eq!(rest(&Closing { key, binding, transaction }), format!("{twos}{threes}"));
        assert_eq!(rest(&Ack { key, binding, step: 37 }), format!("{twos}25"));
        let ping = Ping { key, whom: ServingKey::from_bytes([4; 32]), binding: Some(binding), nonce: [3; 32] };
        assert_eq!(rest(&ping), format!("{}01{twos}{threes}", "04".repeat(32)));
        assert_eq!(rest(&Ping { binding: None, ..ping }), format!("{}00{threes}", "04".repeat(32)));
        assert_eq!(rest(&Pong { key, nonce: [3; 32] }), threes);
        assert_eq!(rest(&NotNow { key, binding, state: note }), format!("{twos}026e6f"));
        let at = Timestamp::from_secs;
        let case = Case {
            request,
            provider: ServingKey::from_bytes([4; 32]),
            consumer: ServingKey::from_bytes([5; 32]),
            asset: Asset::Native,
            amount: Stroops::whole(20),
            fee: Stroops::whole(1),
            dispute_by: at(7),
            award_by: at(8),
            timeout_at: at(9),
        };
        let written = format!("{threes}{}{}00fc00c2eb0bfc80969800070809", "04".repeat(32), "05".repeat(32));
        assert_eq!(rest(&Engagement { key, case: case.clone() }), written);
        let split = Split { to_provider: Stroops::whole(15), to_consumer: Stroops::whole(5) };
        let divided = "fc80d1f008fc80f0fa02";
        assert_eq!(rest(&Released { key, binding, split }), format!("{twos}{divided}"));
        assert_eq!(rest(&Rejected { key, binding, note: Note::new("no") }), format!("{twos}026e6f"));
        let (account, sequence) = (AccountId::from_bytes([3; 32]), 300);
        let balance = BalanceId::from_bytes([7; 32]);
        let cosign = Cosign { key, binding, split, awarded: true, balance, account, sequence };
        assert_eq!(rest(&cosign), format!("{twos}{divided}01{}{threes}fb5802", "07".repeat(32)));
        let cosigned = Cosigned { key, binding, account, sequence, signature: [9; 64] };
        assert_eq!(rest(&cosigned), format!("{twos}{threes}fb5802{}", "09".repeat(64)));
        let balance = BalanceId::from_bytes([3; 32]);
        let agreement = vec![9];
        let dispute = Dispute { key, binding, at: at(7), claim: split, balance, agreement, receipt: None };
        assert_eq!(rest(&dispute), format!("{twos}07{divided}{threes}010900"));
        let again = Dispute { receipt: Some(Receipt { step: 70, signature: [9; 64] }), ..dispute };
        assert_eq!(rest(&again), format!("{twos}07{divided}{threes}01090146{}", "09".repeat(64)));
        assert_eq!(rest(&Held { key, binding, opened: true, items: 2 }), format!("{twos}0102"));
        let sealed = SealedEvidence::new(vec![9]).unwrap();
        assert_eq!(rest(&Evidence { key, binding, number: 2, sealed }), format!("{twos}020109"));
        let award = Award { key, binding, number: 1, split, note: Note::new("no") };
        assert_eq!(rest(&award), format!("{twos}01{divided}026e6f"));
        assert!(SealedEvidence::new(vec![0; crate::limits::MAX_SEALED_EVIDENCE + 1]).is_none());
        let arbiter = ServingKey::from_bytes([6; 32]);
        assert_eq!(rest(&Engage { key, arbiter, fund_by: at(6), case }), format!("{}06{written}", "06".repeat(32)));
    }

    #[test]
    fn a_note_is_bounded_whatever_is_put_into_it() {
        let note = Note::new("é\n".repeat(1_000));
        assert!(note.as_str().len() <= MAX_REASON_BYTES && !note.as_str().contains('\n'));
        let long = crate::frame::encode(&"x".repeat(MAX_REASON_BYTES + 1)).unwrap();
        assert!(crate::frame::decode::<Note>(&long).is_err());
        assert!(crate::frame::decode::<Note>(&crate::frame::encode(&"a\u{7}b").unwrap()).is_err());
        assert!(Sealed::new(vec![0; MAX_ACCESS_BYTES + 1]).is_none());
    }

    #[test]
    fn a_stream_carries_the_kind_and_the_signed_message() {
        let network = NetworkId::of_passphrase("test");
        let signing = SigningKey::from_bytes(&[5; 32]);
        let pong = Pong { key: ServingKey::of(&signing), nonce: [3; 32] };
        let signed = message::Signed::sign(pong.clone(), &network, &signing).unwrap();
        let bytes = to_stream(signed.packed());
        assert_eq!(bytes[0], Kind::Pong.number());
        let opened = from_stream(&network, &bytes).unwrap().open::<Pong>(&network).unwrap();
        assert_eq!(opened.body(), &pong);
        for (bad, reason) in [
            (vec![], Reason::TooShort),
            (vec![0; 100], Reason::WrongKind),
            (vec![Kind::Pong.number(); 10], Reason::TooShort),
            (vec![Kind::Pong.number(); 2_000], Reason::TooLarge),
        ] {
            assert_eq!(from_stream(&network, &bad).unwrap_err().reason, reason);
        }
        let other = NetworkId::of_passphrase("other");
        let foreign = from_stream(&other, &bytes).unwrap().open::<Pong>(&other).unwrap_err();
        assert_eq!(foreign.reason, Reason::BadSignature);
    }
}
