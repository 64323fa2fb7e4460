//! What parties and arbiters say to each other about the money of an `arbitrated` escrow.
//!
//! A party's frames are signed by its key of the binding, an arbiter's by the key that the agreement names.

use bincode::{Decode, Encode};

use super::{Ack, Note, frames, from_stream};
use crate::account::{AccountId, ServingKey, SignerKey};
use crate::binding::dispute::Split;
use crate::kind::Kind;
use crate::limits::{MAX_SEALED_EVIDENCE, SIGNATURE_BYTES};
use crate::message::{self, BalanceId, BindingId, Packed, Payload};
use crate::network_id::NetworkId;
use crate::refusal::Refusal;
use crate::time::Timestamp;

frames! {
    /// A party gives its word that it signs for this division of the escrow.
    Released {
        /// The binding.
        binding: BindingId,
        /// How the escrow is divided.
        split: Split,
    }
    /// Whoever was asked to take a case, or to sign, doesn't.
    Rejected {
        /// The binding.
        binding: BindingId,
        /// Why.
        note: Note,
    }
    /// A party asks another signer of the escrow's controller to sign a settlement: the one that pays out this division and
    /// that this account submits. All of it follows from that and the agreement.
    Cosign {
        /// The binding.
        binding: BindingId,
        /// How the escrow is divided, before any arbiter's fee.
        split: Split,
        /// Whether the arbiters decided so, and are paid for it.
        awarded: bool,
        /// Where the money is.
        balance: BalanceId,
        /// The account that submits it.
        account: AccountId,
        /// The sequence number that it uses.
        sequence: i64,
    }
    /// The signature that was asked for.
    Cosigned {
        /// The binding.
        binding: BindingId,
        /// The account that submits it.
        account: AccountId,
        /// The sequence number that it uses.
        sequence: i64,
        /// The signature over the settlement's hash.
        signature: [u8; SIGNATURE_BYTES],
    }
    /// A party asks the arbiters; goes to each of them, and by them to the other party.
    Dispute {
        /// The binding.
        binding: BindingId,
        /// When it was opened.
        at: Timestamp,
        /// What the party asks for.
        claim: Split,
        /// Where the money is.
        balance: BalanceId,
        /// The signed agreement.
        agreement: Vec<u8>,
        /// The addressee's own word that it had the case already, where it says that it has it no more.
        receipt: Option<Receipt>,
    }
    /// What a party shows an arbiter.
    Evidence {
        /// The binding.
        binding: BindingId,
        /// The item's number in the party's chain.
        number: u32,
        /// The item, sealed to the arbiter.
        sealed: SealedEvidence,
    }
    /// What an arbiter decides; goes to both parties and to the other arbiters.
    Award {
        /// The binding.
        binding: BindingId,
        /// The higher one of two rules.
        number: u32,
        /// How the escrow is divided, before the arbiters' fees.
        split: Split,
        /// Why.
        note: Note,
    }
    /// What an arbiter has of a case, where a party takes it to have more, or a party that is told of an award: whoever was
    /// restored from a backup lacks what came after it, and is sent that again.
    Held {
        /// The binding.
        binding: BindingId,
        /// Whether it has the case.
        opened: bool,
        /// How many items of the asker's evidence an arbiter has.
        items: u32,
    }
}

/// An acknowledgement that an arbiter gave about a case, as its addressee keeps it: what else it said follows from where it is
/// shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// The number of the acknowledged frame's kind.
    pub step: u8,
    /// The arbiter's signature under the acknowledgement.
    pub signature: [u8; SIGNATURE_BYTES],
}

impl Receipt {
    /// The receipt in an answer, where it is this signer's acknowledgement about this binding.
    pub fn of(network: &NetworkId, answer: &[u8], signer: ServingKey, binding: BindingId) -> Option<Self> {
        let ack = from_stream(network, answer).ok()?.open::<Ack>(network).ok()?;
        let Ack { key, binding: about, step } = *ack.body();
        ((key, about) == (signer, binding)).then(|| Self { step, signature: ack.packed().signature() })
    }

    /// Whether this signer did acknowledge something about this binding.
    pub fn is_by(&self, network: &NetworkId, signer: ServingKey, binding: BindingId) -> bool {
        let ack = Ack { key: signer, binding, step: self.step };
        let Ok(mut bytes) = Payload::encode(&ack) else { return false };
        bytes.extend(self.signature);
        Packed::new(Kind::Ack, network, bytes).and_then(|packed| packed.open::<Ack>(network)).is_ok()
    }
}

/// Sealed evidence of at most [`MAX_SEALED_EVIDENCE`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct SealedEvidence(Vec<u8>);

impl SealedEvidence {
    /// Takes sealed bytes; `None` above the bound.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= MAX_SEALED_EVIDENCE).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<C> Decode<C> for SealedEvidence {
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, bincode::error::DecodeError> {
        Self::new(Vec::decode(d)?).ok_or(bincode::error::DecodeError::Other("more sealed evidence than allowed"))
    }
}
bincode::impl_borrow_decode!(SealedEvidence);
