//! The node's present: the last ledger's close time plus the monotonic time since it was read.
//!
//! It never goes backwards. Where the ledger stalls it goes on, so that what must happen by a deadline happens; how
//! long the ledger has stalled is known. The wall clock is only compared with it, and only on networks with real time.

use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tradepost_protocol::time::Now;

use crate::ledger::ClosedLedger;

/// How this machine's wall clock is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WallClock {
    /// The network's time isn't the world's, as on a development ledger with a movable clock: no comparison.
    Ignored,
    /// The network has real time.
    Compared {
        /// How far the wall clock may be behind the ledger's time.
        behind: Duration,
        /// How far it may be ahead.
        ahead: Duration,
    },
}

/// What the comparison of the wall clock with the ledger's time says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skew {
    /// Not compared on this network.
    NotCompared,
    /// Within the bounds.
    Fine,
    /// The wall clock is behind by so much: set it, or ask an endpoint whose ledger is right.
    Behind(Duration),
    /// The wall clock is ahead by so much, or the endpoint's ledger is behind.
    Ahead(Duration),
}

/// Ledger time, for all who need the present. Shared by reference.
#[derive(Debug)]
pub struct LedgerClock {
    wall: WallClock,
    reckoning: Mutex<Reckoning>,
}

impl LedgerClock {
    /// A clock that starts with a ledger just read.
    pub fn new(first: ClosedLedger, wall: WallClock) -> Self {
        Self { wall, reckoning: Mutex::new(Reckoning::new(first, Instant::now())) }
    }

    /// Takes in a ledger just read; older ones than the newest change nothing.
    pub fn observe(&self, point: ClosedLedger) {
        self.reckoning().observe(point, Instant::now());
    }

    /// The present.
    pub fn now(&self) -> Now {
        self.reckoning().now(Instant::now())
    }

    /// The newest ledger.
    pub fn newest(&self) -> ClosedLedger {
        self.reckoning().newest
    }

    /// How long ago the newest ledger was first seen: how long the ledger, or the way to it, has stalled.
    pub fn age(&self) -> Duration {
        self.reckoning().age(Instant::now())
    }

    /// How this machine's wall clock compares.
    pub fn skew(&self) -> Skew {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        skew(self.wall, self.now(), Now::from_millis(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)))
    }

    fn reckoning(&self) -> MutexGuard<'_, Reckoning> {
        // Nothing panics while it is held, and every state of it is whole.
        self.reckoning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The verdict on a wall clock.
fn skew(bounds: WallClock, now: Now, wall: Now) -> Skew {
    match bounds {
        WallClock::Ignored => Skew::NotCompared,
        WallClock::Compared { behind, .. } if now.since(wall) > behind => Skew::Behind(now.since(wall)),
        WallClock::Compared { ahead, .. } if wall.since(now) > ahead => Skew::Ahead(wall.since(now)),
        WallClock::Compared { .. } => Skew::Fine,
    }
}

/// The clock without a clock: monotonic time is handed in.
#[derive(Debug)]
struct Reckoning {
    newest: ClosedLedger,
    read_at: Instant,
    /// The latest present that was handed out.
    told: Now,
}

impl Reckoning {
    fn new(first: ClosedLedger, at: Instant) -> Self {
        Self { newest: first, read_at: at, told: first.close_time.into() }
    }

    fn observe(&mut self, point: ClosedLedger, at: Instant) {
        if point.sequence > self.newest.sequence {
            self.newest = point;
            self.read_at = at;
        }
    }

    fn now(&mut self, at: Instant) -> Now {
        self.told = self.told.max(Now::from(self.newest.close_time).plus(self.age(at)));
        self.told
    }

    fn age(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.read_at)
    }
}

#[cfg(test)]
mod tests {
    use tradepost_protocol::time::Timestamp;

    use super::*;
    use crate::ledger::LedgerHash;

    fn point(sequence: u32, close_time: u64) -> ClosedLedger {
        ClosedLedger { sequence, close_time: Timestamp::from_secs(close_time), hash: LedgerHash([0; 32]) }
    }

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_present_is_the_close_time_and_what_has_passed_since_it_was_read() {
        let start = Instant::now();
        let mut clock = Reckoning::new(point(5, 100), start);
        assert_eq!(clock.now(start), Now::from_millis(100_000));
        assert_eq!(clock.now(start + ms(1_500)), Now::from_millis(101_500));
        clock.observe(point(6, 105), start + ms(4_000));
        assert_eq!(clock.now(start + ms(4_100)), Now::from_millis(105_100));
        clock.observe(point(7, 9_000), start + ms(5_000));
        assert_eq!(clock.now(start + ms(5_000)), Now::from_millis(9_000_000), "a moved clock is followed");
    }

    #[test]
    fn the_present_never_goes_backwards() {
        let start = Instant::now();
        let mut clock = Reckoning::new(point(5, 100), start);
        assert_eq!(clock.now(start + ms(9_000)), Now::from_millis(109_000));
        clock.observe(point(6, 105), start + ms(9_000));
        assert_eq!(clock.now(start + ms(9_000)), Now::from_millis(109_000));
        assert_eq!(clock.now(start + ms(12_000)), Now::from_millis(109_000), "it stands until it is caught up with");
        assert_eq!(clock.now(start + ms(13_500)), Now::from_millis(109_500));
        assert_eq!(clock.now(start), Now::from_millis(109_500));
    }

    #[test]
    fn a_stalled_ledger_is_known_by_its_age() {
        let start = Instant::now();
        let mut clock = Reckoning::new(point(5, 100), start);
        clock.observe(point(5, 100), start + ms(8_000));
        clock.observe(point(4, 95), start + ms(9_000));
        assert_eq!(clock.age(start + ms(10_000)), ms(10_000));
        clock.observe(point(6, 105), start + ms(11_000));
        assert_eq!(clock.age(start + ms(11_000)), ms(0));
    }

    #[test]
    fn the_wall_clock_is_judged_on_networks_with_real_time_only() {
        let bounds = WallClock::Compared { behind: ms(60_000), ahead: ms(30_000) };
        let now = Now::from_millis(1_000_000);
        for (wall, verdict) in [
            (1_000_000, Skew::Fine),
            (940_000, Skew::Fine),
            (939_999, Skew::Behind(ms(60_001))),
            (1_030_000, Skew::Fine),
            (1_030_001, Skew::Ahead(ms(30_001))),
        ] {
            assert_eq!(skew(bounds, now, Now::from_millis(wall)), verdict, "{wall}");
            assert_eq!(skew(WallClock::Ignored, now, Now::from_millis(wall)), Skew::NotCompared);
        }
    }
}
