//! The server's time: the wall clock plus an offset that only grows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// How far the clock may be moved ahead in all, in seconds: about ten years.
pub const MAX_CLOCK_OFFSET: u64 = 315_360_000;

#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Seconds ahead of the wall clock.
    offset: AtomicU64,
}

impl Clock {
    /// Returns the time, in seconds since 1970.
    pub(super) fn now(&self) -> u64 {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        wall + self.offset()
    }

    /// Returns how many seconds it is ahead of the wall clock.
    pub(super) fn offset(&self) -> u64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// Moves it ahead and returns the new offset; nothing, and unmoved, where
    /// that would pass the bound.
    pub(super) fn advance(&self, seconds: u64) -> Option<u64> {
        let moved = |offset: u64| offset.checked_add(seconds).filter(|sum| *sum <= MAX_CLOCK_OFFSET);
        self.offset.fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved).ok().map(|before| before + seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_moves_ahead_and_not_past_its_bound() {
        let clock = Clock::default();
        assert_eq!(clock.advance(100), Some(100));
        assert_eq!(clock.advance(MAX_CLOCK_OFFSET), None);
        assert_eq!(clock.advance(u64::MAX), None);
        assert_eq!(clock.advance(MAX_CLOCK_OFFSET - 100), Some(MAX_CLOCK_OFFSET));
        assert_eq!(clock.offset(), MAX_CLOCK_OFFSET);
    }
}
