//! How one joins: the account signs, the agent signs beside it and hands it in.

use bincode::{Decode, Encode};

use crate::account::{AccountId, SignerKey};
use crate::asset::Asset;
use crate::binding::frames::Note;
use crate::kind::Kind;
use crate::message::{self, Payload, TxHash};
use crate::refusal::Refusal;

/// An account asks an exchange's agent to sign the transaction by which it joins.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Join {
    /// The account, which signs this.
    pub account: AccountId,
    /// The exchange, by its asset.
    pub exchange: Asset,
    /// The transaction's envelope, XDR, with the account's signature.
    pub envelope: Vec<u8>,
}

/// The agent's answer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Joined {
    /// The agent's account, which signs this.
    pub agent: AccountId,
    /// The transaction.
    pub transaction: TxHash,
    /// Why it doesn't; where it says nothing, it has signed and hands it in.
    pub refused: Option<Note>,
}

impl Payload for Join {
    const KIND: Kind = Kind::Join;

    fn decode(payload: &[u8]) -> Result<Self, Refusal> {
        message::decode_frame(Self::KIND, payload)
    }

    fn encode(&self) -> Result<Vec<u8>, Refusal> {
        message::encode_frame(Self::KIND, self)
    }

    fn signer(&self) -> SignerKey {
        self.account.into()
    }
}

impl Payload for Joined {
    const KIND: Kind = Kind::Joined;

    fn decode(payload: &[u8]) -> Result<Self, Refusal> {
        message::decode_frame(Self::KIND, payload)
    }

    fn encode(&self) -> Result<Vec<u8>, Refusal> {
        message::encode_frame(Self::KIND, self)
    }

    fn signer(&self) -> SignerKey {
        self.agent.into()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn both_frames_have_their_golden_bytes() {
        let (ones, twos) = ("01".repeat(32), "02".repeat(32));
        let account = AccountId::from_bytes([1; 32]);
        let join = Join { account, exchange: Asset::Native, envelope: vec![7, 8] };
        assert_eq!(hex::encode(Payload::encode(&join).unwrap()), format!("{ones}00020708"));
        assert_eq!(<Join as Payload>::decode(&Payload::encode(&join).unwrap()).unwrap(), join);
        let transaction = TxHash::from_bytes([2; 32]);
        for (refused, end) in [(None, "00"), (Some(Note::new("no")), "01026e6f")] {
            let joined = Joined { agent: account, transaction, refused };
            assert_eq!(hex::encode(Payload::encode(&joined).unwrap()), format!("{ones}{twos}{end}"));
            assert_eq!(<Joined as Payload>::decode(&Payload::encode(&joined).unwrap()).unwrap(), joined);
        }
    }
}
