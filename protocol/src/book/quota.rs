//! How much one peer may deliver and one author may say.
//!
//! A peer's token is taken before its message is read, and given back once the message is in the book: an honest peer
//! that passes a whole market on is not held up, and one that delivers rubbish, or offerings without bonds, is. An
//! author's token is taken once the signature is known to be its own, so that nobody can spend another's.

use super::{Book, Delivery};
use crate::account::{PeerId, SignerKey};
use crate::limits::{AUTHOR_RATE, MAX_RATED_AUTHORS, MAX_RATED_PEERS, PEER_RATE};
use crate::rate::Rates;
use crate::refusal::{Reason, Refusal};

/// The buckets of peers and authors.
#[derive(Debug)]
pub(super) struct Quotas {
    peers: Rates<PeerId>,
    authors: Rates<SignerKey>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { peers: Rates::new(PEER_RATE, MAX_RATED_PEERS), authors: Rates::new(AUTHOR_RATE, MAX_RATED_AUTHORS) }
    }
}

impl Book {
    /// Takes a token of the delivering peer's; our own messages need none.
    pub(super) fn within_peer_rate(&mut self, delivery: &Delivery<'_>) -> Result<(), Refusal> {
        let Some(peer) = delivery.from else { return Ok(()) };
        if self.quotas.peers.take(peer, delivery.now) {
            return Ok(());
        }
        Err(Refusal::new(Reason::OverRate, format_args!("{peer} has delivered too much that led nowhere")))
    }

    /// Gives the token of a message that is in the book now back to the peer that delivered it.
    pub(super) fn was_useful(&mut self, from: Option<&PeerId>) {
        if let Some(peer) = from {
            self.quotas.peers.give_back(peer);
        }
    }

    /// Takes a token of the key that has verifiably signed a message; our own messages need none.
    pub(super) fn within_author_rate(
        &mut self,
        signer: impl Into<SignerKey>,
        delivery: &Delivery<'_>,
    ) -> Result<(), Refusal> {
        let signer = signer.into();
        if delivery.from.is_none() || self.quotas.authors.take(&signer, delivery.now) {
            return Ok(());
        }
        Err(Refusal::new(Reason::AuthorOverRate, format_args!("{signer} says too much at once")))
    }

    /// How many peers and authors have a bucket of their own.
    pub fn rated(&self) -> (usize, usize) {
        (self.quotas.peers.len(), self.quotas.authors.len())
    }
}
