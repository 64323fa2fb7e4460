//! A binding as it is stored, and how it is read back.

use bincode::{Decode, Encode};

use super::{Trade, TradeState, Volatile};
use crate::binding::agreement::Agreement;
use crate::document::BindingRequest;
use crate::kind::Kind;
use crate::message::{MessageId, Packed};
use crate::network_id::NetworkId;
use crate::refusal::Refusal;
use crate::time::Now;

/// What is on disk for a trade: each message with the id that it had when it was verified.
#[derive(Encode, Decode)]
struct StoredTrade {
    request: (MessageId, Vec<u8>),
    agreement: Option<(MessageId, Vec<u8>)>,
    state: TradeState,
}

/// A stored trade that can't be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TradeError {
    /// Not the encoding of a trade.
    #[error("a stored trade doesn't decode: {0}")]
    Encoding(String),
    /// Its messages are not what they were when they were stored.
    #[error("a stored trade's message doesn't verify: {0}")]
    Message(#[from] Refusal),
}

impl Trade {
    /// The bytes that are stored.
    ///
    /// # Errors
    /// Where the trade is larger than a stored value may be, which its bounded parts exclude.
    pub fn to_bytes(&self) -> Result<Vec<u8>, crate::frame::FrameError> {
        let stored = |packed: &Packed| (packed.id(), packed.bytes().to_vec());
        crate::frame::encode(&StoredTrade {
            request: stored(self.request.packed()),
            agreement: self.agreement.as_ref().map(|agreement| stored(agreement.packed())),
            state: self.state.clone(),
        })
    }

    /// Reads what this node stored. It verified both messages before it stored them, and their ids cover every byte of
    /// them, signatures included: damage shows without verifying each again at every start. What comes from a backup wasn't
    /// necessarily stored by this node, and needs [`Trade::verify`].
    ///
    /// # Errors
    /// [`TradeError`].
    pub fn from_bytes(network: &NetworkId, bytes: &[u8], now: Now) -> Result<Self, TradeError> {
        let stored: StoredTrade = crate::frame::decode(bytes).map_err(|e| TradeError::Encoding(e.to_string()))?;
        let packed = |kind, bytes| Packed::new(kind, network, bytes);
        let (id, bytes) = stored.request;
        let request = packed(Kind::BindingRequest, bytes)?.open_stored(network, id.as_bytes())?;
        let agreement = match stored.agreement {
            Some((id, bytes)) => Some(packed(Kind::Agreement, bytes)?.open_stored(network, id.as_bytes())?),
            None => None,
        };
        let volatile = Volatile { heard_at: now, ..Volatile::default() };
        Ok(Self { request, agreement, state: stored.state, volatile })
    }

    /// Verifies the signatures of both messages.
    ///
    /// # Errors
    /// [`TradeError::Message`].
    pub fn verify(&self, network: &NetworkId) -> Result<(), TradeError> {
        self.request.packed().clone().open::<BindingRequest>(network)?;
        if let Some(agreement) = &self.agreement {
            agreement.packed().clone().open::<Agreement>(network)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::binding::phase::Side;
    use crate::binding::trade::Access;
    use crate::binding::trade::tests::{network, trade};

    #[test]
    fn a_stored_trade_comes_back_and_a_changed_one_does_not() {
        let mut trade = trade(Side::Consumer);
        trade.state.access = Some(Access { token: [4; 32] });
        let bytes = trade.to_bytes().unwrap();
        let back = Trade::from_bytes(&network(), &bytes, Now::default()).unwrap();
        assert_eq!((back.state, back.agreement), (trade.state, trade.agreement));
        for i in (0..bytes.len()).step_by(7) {
            let mut changed = bytes.clone();
            changed[i] ^= 0x40;
            let read = Trade::from_bytes(&network(), &changed, Now::default());
            assert!(read.is_err() || read.unwrap().to_bytes().unwrap() == changed, "byte {i}");
        }
        assert!(Trade::from_bytes(&NetworkId::of_passphrase("other"), &bytes, Now::default()).is_err());
    }

    #[test]
    fn what_this_node_did_not_store_itself_is_verified_and_a_forged_agreement_is_refused() {
        let trade = trade(Side::Consumer);
        assert_eq!(trade.verify(&network()), Ok(()));
        let mut forged = trade.agreement.as_ref().unwrap().packed().bytes().to_vec();
        *forged.last_mut().unwrap() ^= 1;
        let forged = Packed::new(Kind::Agreement, &network(), forged).unwrap();
        let request = trade.request.packed();
        let stored = StoredTrade {
            request: (request.id(), request.bytes().to_vec()),
            agreement: Some((forged.id(), forged.bytes().to_vec())),
            state: trade.state.clone(),
        };
        let read = Trade::from_bytes(&network(), &crate::frame::encode(&stored).unwrap(), Now::default()).unwrap();
        assert!(matches!(read.verify(&network()), Err(TradeError::Message(_))));
    }

    #[test]
    fn a_stored_trade_has_its_golden_bytes() {
        let hash = crate::message::keccak(&[&trade(Side::Provider).to_bytes().unwrap()]);
        assert_eq!(hex::encode(hash), GOLDEN);
    }

    const GOLDEN: &str = "b0f0a45de83a6b5db571ca5288a55ed70452cceb1b10ad6e1fa223b3c93e265f";
}
