//! When to dial the bootstrap addresses again and when to walk the routing table, with jitter.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::config::{BOOTSTRAP_PAUSE, BOOTSTRAP_PAUSE_MAX, ENOUGH_PEERS, WALK_INTERVAL, WALK_INTERVAL_LONELY};

/// What is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// Dial the bootstrap addresses.
    pub(crate) bootstrap: bool,
    /// Ask for peers near a random point.
    pub(crate) walk: bool,
}

/// The clock of discovery.
#[derive(Debug)]
pub(crate) struct Discovery {
    pause: Duration,
    bootstrap_at: Instant,
    walk_at: Instant,
}

impl Discovery {
    /// Creates one for which everything is due at once.
    pub(crate) fn new(now: Instant) -> Self {
        Self { pause: BOOTSTRAP_PAUSE, bootstrap_at: now, walk_at: now }
    }

    /// Says what is due with so many peers met.
    pub(crate) fn due(&mut self, peers: usize, now: Instant) -> Due {
        let mut due = Due::default();
        if peers > 0 {
            self.pause = BOOTSTRAP_PAUSE;
            self.bootstrap_at = self.bootstrap_at.max(now + BOOTSTRAP_PAUSE / 2);
        } else if now >= self.bootstrap_at {
            due.bootstrap = true;
            self.bootstrap_at = now + jitter(self.pause);
            self.pause = (self.pause * 2).min(BOOTSTRAP_PAUSE_MAX);
        }
        if peers > 0 && now >= self.walk_at {
            due.walk = true;
            self.walk_at = now + jitter(if peers < ENOUGH_PEERS { WALK_INTERVAL_LONELY } else { WALK_INTERVAL });
        }
        due
    }
}

/// Between one half of `length` and all of it.
pub(crate) fn jitter(length: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 1_000;
    length / 2 + length * (random as u32) / 2_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lonely_node_dials_again_with_growing_pauses() {
        let mut now = Instant::now();
        let mut discovery = Discovery::new(now);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            assert!(discovery.due(0, now).bootstrap);
            assert!(!discovery.due(0, now).bootstrap, "once");
            pauses.push(discovery.bootstrap_at - now);
            now = discovery.bootstrap_at;
        }
        assert!(pauses[0] <= BOOTSTRAP_PAUSE && pauses[0] >= BOOTSTRAP_PAUSE / 2);
        assert!(pauses[9] <= BOOTSTRAP_PAUSE_MAX && pauses[9] >= BOOTSTRAP_PAUSE_MAX / 2);
    }

    #[test]
    fn a_node_with_peers_walks_and_leaves_the_bootstrap_alone() {
        let now = Instant::now();
        let mut discovery = Discovery::new(now);
        assert_eq!(discovery.due(1, now), Due { bootstrap: false, walk: true });
        assert_eq!(discovery.due(1, now), Due::default());
        let later = now + WALK_INTERVAL_LONELY;
        assert_eq!(discovery.due(ENOUGH_PEERS, later), Due { bootstrap: false, walk: true });
        assert_eq!(discovery.due(1, later + WALK_INTERVAL_LONELY), Due::default());
        assert!(discovery.due(0, later + WALK_INTERVAL).bootstrap, "and comes back when all are gone");
    }
}
