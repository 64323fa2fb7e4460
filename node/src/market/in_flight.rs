//! Frames and questions whose answers are waited for: bounded in all, and for each peer, so that peers who don't answer, or
//! answer slowly, take no places from those who do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tradepost_protocol::account::PeerId;

/// The places.
#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    most: usize,
    most_per_peer: usize,
    peers: Arc<Mutex<HashMap<PeerId, usize>>>,
}

/// One question's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Flight {
    peers: Arc<Mutex<HashMap<PeerId, usize>>>,
    peer: PeerId,
}

impl InFlight {
    /// So many places in all, and for each peer.
    pub(crate) fn new((most, most_per_peer): (usize, usize)) -> Self {
        Self { most, most_per_peer, peers: Arc::default() }
    }

    /// A place for a question to this peer, where there is one.
    pub(crate) fn begin(&self, peer: &PeerId) -> Option<Flight> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (peers.values().sum::<usize>(), peers.get(peer).copied().unwrap_or(0));
        if all >= self.most || own >= self.most_per_peer {
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
        let frames = InFlight::new((1_024, 16));
        let mut waiting: Vec<Flight> = std::iter::from_fn(|| frames.begin(&silent)).collect();
        assert_eq!(waiting.len(), 16);
        assert!(frames.begin(&other).is_some());
        waiting.pop();
        assert!(frames.begin(&silent).is_some());
        drop(waiting);
        assert!(frames.peers.lock().unwrap().is_empty());
    }

    #[test]
    fn there_is_an_end_to_all_of_them() {
        let frames = InFlight::new((1_024, 16));
        // Names of their own: so many of one letter.
        let peers = (0..200).map(|n| ["A", "B", "C", "D"][n / 60].repeat(n % 60 + 1).parse::<PeerId>().unwrap());
        let waiting: Vec<Flight> =
            peers.flat_map(|peer| std::iter::from_fn(|| frames.begin(&peer)).collect::<Vec<_>>()).collect();
        assert_eq!(waiting.len(), 1_024);
    }
}
