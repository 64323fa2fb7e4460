//! How arbiters are engaged: asked by the provider before it agrees, for this very request and these very terms.

use bincode::{Decode, Encode};

use super::frames;
use crate::account::{ServingKey, SignerKey};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::kind::Kind;
use crate::message::{self, MessageId, Payload};
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// The binding that an arbiter takes part in, as far as it concerns an arbiter.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Case {
    /// The request that the binding answers; a request is agreed to once.
    pub request: MessageId,
    /// Signs for the provider.
    pub provider: ServingKey,
    /// Signs for the consumer in this trade.
    pub consumer: ServingKey,
    /// The escrow's asset.
    pub asset: Asset,
    /// What the escrow holds.
    pub amount: Stroops,
    /// What any award pays the arbiter, out of the escrow.
    pub fee: Stroops,
    /// Until when a dispute can be opened.
    pub dispute_by: Timestamp,
    /// Until when the arbiter decides.
    pub award_by: Timestamp,
    /// T.
    pub timeout_at: Timestamp,
}

frames! {
    /// A provider asks an arbiter for its engagement.
    Engage {
        /// The arbiter's serving key.
        arbiter: ServingKey,
        /// Until when the escrow must stand; an engagement without one comes to nothing.
        fund_by: Timestamp,
        /// What for.
        case: Case,
    }
    /// An arbiter engages itself: it decides a dispute about this binding until `award_by`, for its fee.
    Engagement {
        /// What for.
        case: Case,
    }
}
