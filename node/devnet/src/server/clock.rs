//! The server's time: the wall clock plus an offset that only grows.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;

/// How far the clock may be moved ahead in all, in seconds: about ten years.
pub const MAX_CLOCK_OFFSET: u64 = 315_360_000;

#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Seconds ahead of the wall clock.
    offset: AtomicU64,
}

impl Clock {
    /// A clock so many seconds ahead, as far as the bound.
    pub(super) fn ahead_by(seconds: u64) -> Self {
        Self { offset: AtomicU64::new(seconds.min(MAX_CLOCK_OFFSET)) }
    }

    /// Returns the time, in seconds since 1970.
    pub(super) fn now(&self) -> u64 {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        wall + self.offset()
    }

    /// Returns how many seconds it is ahead of the wall clock.
    pub(super) fn offset(&self) -> u64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// Returns the offset after so many more seconds; nothing where that would
    /// pass the bound.
    pub(super) fn offset_after(&self, seconds: u64) -> Option<u64> {
        self.offset().checked_add(seconds).filter(|sum| *sum <= MAX_CLOCK_OFFSET)
    }

    /// Moves it to an offset.
    pub(super) fn set_offset(&self, seconds: u64) {
        self.offset.store(seconds, Ordering::Relaxed);
    }
}

/// Why time wasn't moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum ClockError {
    #[error("the clock is {0} s ahead and can be at most {MAX_CLOCK_OFFSET} s ahead")]
    TooFar(u64),
    #[error("the clock's offset can't be written ({0}): see to the directory and try again")]
    Unsaved(io::ErrorKind),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_moves_ahead_and_not_past_its_bound() {
        let clock = Clock::ahead_by(100);
        assert_eq!(clock.offset_after(MAX_CLOCK_OFFSET), None);
        assert_eq!(clock.offset_after(u64::MAX), None);
        assert_eq!(clock.offset_after(MAX_CLOCK_OFFSET - 100), Some(MAX_CLOCK_OFFSET));
        assert_eq!(clock.offset(), 100);
        clock.set_offset(MAX_CLOCK_OFFSET);
        assert_eq!((clock.offset(), clock.offset_after(1)), (MAX_CLOCK_OFFSET, None));
        assert_eq!(Clock::ahead_by(u64::MAX).offset(), MAX_CLOCK_OFFSET);
    }
}
