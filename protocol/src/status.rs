//! What a serving key says of its offerings while its node runs: that it is there, and how much is free.

use bincode::{Decode, Encode};

use crate::account::{PeerId, ServingKey, SignerKey};
use crate::kind::Kind;
use crate::message::{Payload, SeriesId, decode_frame, encode_frame};
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// The node that serves under this key is there; covers all the key's series.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Presence {
    /// The serving key, which signs this.
    pub serving_key: ServingKey,
    /// When; the newest rules.
    pub at: Timestamp,
    /// Where the node is.
    pub peer: PeerId,
}

/// Free supply of one series, or its end.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Status {
    /// The serving key that the series' newest revision names, which signs this.
    pub serving_key: ServingKey,
    /// The series.
    pub series: SeriesId,
    /// The highest rules.
    pub sequence: u64,
    /// How many bindings it can take now.
    pub free: u32,
    /// That the series has ended, for good.
    pub withdrawn: bool,
    /// When it was said.
    pub at: Timestamp,
}

impl Payload for Presence {
    const KIND: Kind = Kind::Presence;

    fn decode(payload: &[u8]) -> Result<Self, Refusal> {
        decode_frame(Self::KIND, payload)
    }

    fn encode(&self) -> Result<Vec<u8>, Refusal> {
        encode_frame(Self::KIND, self)
    }

    fn signer(&self) -> SignerKey {
        self.serving_key.into()
    }
}

impl Payload for Status {
    const KIND: Kind = Kind::Status;

    fn decode(payload: &[u8]) -> Result<Self, Refusal> {
        decode_frame(Self::KIND, payload)
    }

    fn encode(&self) -> Result<Vec<u8>, Refusal> {
        encode_frame(Self::KIND, self)
    }

    fn signer(&self) -> SignerKey {
        self.serving_key.into()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_presence_has_its_golden_bytes() {
        let presence = Presence {
            serving_key: ServingKey::from_bytes([1; 32]),
            at: Timestamp::from_secs(1_800_000_000),
            peer: "12D3KooWabc".parse().unwrap(),
        };
        let golden = format!("{}fc00d2496b0b{}", "01".repeat(32), hex::encode("12D3KooWabc"));
        assert_eq!(hex::encode(Payload::encode(&presence).unwrap()), golden);
        assert_eq!(<Presence as Payload>::decode(&hex::decode(golden).unwrap()).unwrap(), presence);
    }

    #[test]
    fn a_status_has_its_golden_bytes() {
        let status = Status {
            serving_key: ServingKey::from_bytes([1; 32]),
            series: SeriesId::from_bytes([2; 32]),
            sequence: 7,
            free: 300,
            withdrawn: true,
            at: Timestamp::from_secs(1_800_000_000),
        };
        let golden = format!("{}{}07fb2c0101fc00d2496b", "01".repeat(32), "02".repeat(32));
        assert_eq!(hex::encode(Payload::encode(&status).unwrap()), golden);
        assert_eq!(<Status as Payload>::decode(&hex::decode(golden).unwrap()).unwrap(), status);
    }
}
