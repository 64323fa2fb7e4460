//! The first sync: the books of several peers are read to their ends, so that no one peer decides what a newcomer sees.
//!
//! Every peer that is met is asked for its list, so a peer that withholds or leaves out what it has costs nobody anything
//! as long as another one has it. What is kept here is how many were read to the end, for whoever wants to know how far the
//! book can be trusted.

use std::collections::{BTreeMap, BTreeSet};

use crate::account::PeerId;
use crate::limits::{FIRST_SYNC_PATIENCE, FIRST_SYNC_PEERS};
use crate::market::Market;
use crate::time::Now;

/// Whose books are being read, and whose were.
#[derive(Debug, Default)]
pub(super) struct FirstSync {
    asked: BTreeMap<PeerId, Now>,
    read: BTreeSet<PeerId>,
}

/// How far the first sync is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstSyncStanding {
    /// Peers whose lists were read to their ends since this node started; [`FIRST_SYNC_PEERS`] at the most.
    pub read: Vec<PeerId>,
    /// How many of the peers that are still missing are being asked, and may still answer.
    pub under_way: usize,
}

impl FirstSyncStanding {
    /// How many peers are missing.
    pub fn missing(&self) -> usize {
        FIRST_SYNC_PEERS.saturating_sub(self.read.len())
    }
}

impl FirstSync {
    fn is_done(&self) -> bool {
        self.read.len() >= FIRST_SYNC_PEERS
    }

    /// A peer is asked for its list.
    pub(super) fn asks(&mut self, peer: &PeerId, now: Now) {
        if !self.is_done() && !self.read.contains(peer) && self.asked.len() < crate::market::intake::MAX_CAUGHT_UP {
            self.asked.entry(peer.clone()).or_insert(now);
        }
    }

    /// A peer's list was read to its end.
    pub(super) fn has_read(&mut self, peer: &PeerId) {
        self.asked.remove(peer);
        if !self.is_done() {
            self.read.insert(peer.clone());
        }
        if self.is_done() {
            self.asked.clear();
        }
    }

    /// A peer went.
    pub(super) fn loses(&mut self, peer: &PeerId) {
        self.asked.remove(peer);
    }
}

impl Market {
    /// How far the first sync is.
    pub fn first_sync(&self, now: Now) -> FirstSyncStanding {
        let FirstSync { asked, read } = &self.first_sync;
        let may_answer = asked.values().filter(|at| now.since(**at) < FIRST_SYNC_PATIENCE).count();
        let mut standing = FirstSyncStanding { read: read.iter().cloned().collect(), under_way: 0 };
        standing.under_way = may_answer.min(standing.missing());
        standing
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn peer(name: &str) -> PeerId {
        name.parse().unwrap()
    }

    #[test]
    fn three_peers_whose_lists_end_are_enough_and_none_counts_twice() {
        let (mut sync, now) = (FirstSync::default(), Now::default());
        for name in ["a", "b", "c", "d"] {
            sync.asks(&peer(name), now);
        }
        assert_eq!(sync.asked.len(), 4);
        for name in ["a", "a", "b"] {
            sync.has_read(&peer(name));
        }
        assert!(!sync.is_done());
        sync.loses(&peer("c"));
        assert_eq!(sync.asked.len(), 1, "the one that is still to answer");
        sync.has_read(&peer("d"));
        assert!(sync.is_done() && sync.asked.is_empty());
        sync.asks(&peer("e"), now);
        assert!(sync.asked.is_empty(), "and no more is wanted");
    }
}
