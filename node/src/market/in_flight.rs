//! Frames whose answers are waited for: bounded in all, and for each peer, so that peers who don't answer take no places
//! from those who do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tradepost_protocol::account::PeerId;

/// Frames whose answer is waited for, count.
pub(crate) const MAX_FRAMES: usize = 1_024;
/// Frames whose answer is waited for of one peer, count: a heartbeat a second for ten seconds, and the trade's own.
pub(crate) const MAX_FRAMES_PER_PEER: usize = 16;

/// The places.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight {
    peers: Arc<Mutex<HashMap<PeerId, usize>>>,
}

/// One frame's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Flight {
    peers: Arc<Mutex<HashMap<PeerId, usize>>>,
    peer: PeerId,
}

impl InFlight {
    /// A place for a frame to this peer, where there is one.
    pub(crate) fn begin(&self, peer: &PeerId) -> Option<Flight> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (peers.values().sum::<usize>(), peers.get(peer).copied().unwrap_or(0));
        if all >= MAX_FRAMES || own >= MAX_FRAMES_PER_PEER {
            return None;
        }
        peers.insert(peer.clone(), own + 1);
        Some(Flight { peers: Arc::clone(&self.peers), peer: peer.clone() })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = peers.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                peers.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_takes_no_places_from_others() {
        let (silent, other): (PeerId, PeerId) = ("12D3Quiet".parse().unwrap(), "12D3Awake".parse().unwrap());
        let frames = InFlight::default();
        let mut waiting: Vec<Flight> = std::iter::from_fn(|| frames.begin(&silent)).collect();
        assert_eq!(waiting.len(), MAX_FRAMES_PER_PEER);
        assert!(frames.begin(&other).is_some());
        waiting.pop();
        assert!(frames.begin(&silent).is_some());
        drop(waiting);
        assert!(frames.peers.lock().unwrap().is_empty());
    }

    #[test]
    fn there_is_an_end_to_all_of_them() {
        let frames = InFlight::default();
        // Names of their own: so many of one letter.
        let peers = (0..200).map(|n| ["A", "B", "C", "D"][n / 60].repeat(n % 60 + 1).parse::<PeerId>().unwrap());
        let waiting: Vec<Flight> =
            peers.flat_map(|peer| std::iter::from_fn(|| frames.begin(&peer)).collect::<Vec<_>>()).collect();
        assert_eq!(waiting.len(), MAX_FRAMES);
    }
}
