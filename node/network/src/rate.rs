//! Token buckets.

use std::time::Instant;

/// A bucket that refills with time.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    size: u64,
    per_second: u64,
    /// Thousandths of a token, so that short times count.
    millis: u64,
    refilled: Instant,
}

impl Bucket {
    /// Creates a full bucket of `rate.0` tokens that refills by `rate.1` a second.
    pub(crate) fn new(rate: (u64, u64), now: Instant) -> Self {
        Self { size: rate.0, per_second: rate.1, millis: rate.0.saturating_mul(1_000), refilled: now }
    }

    /// Takes `tokens` if they are there.
    pub(crate) fn take(&mut self, tokens: u64, now: Instant) -> bool {
        if !self.has(tokens, now) {
            return false;
        }
        self.millis -= tokens.saturating_mul(1_000);
        true
    }

    /// Whether `tokens` are there.
    pub(crate) fn has(&mut self, tokens: u64, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.refilled).as_millis().try_into().unwrap_or(u64::MAX);
        let full = self.size.saturating_mul(1_000);
        self.millis = self.millis.saturating_add(self.per_second.saturating_mul(passed)).min(full);
        if passed > 0 {
            self.refilled = now;
        }
        self.millis >= tokens.saturating_mul(1_000)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_gives_its_size_at_once_and_its_rate_over_time() {
        let start = Instant::now();
        let mut bucket = Bucket::new((3, 2), start);
        assert!(bucket.take(3, start));
        assert!(!bucket.take(1, start));
        assert!(bucket.take(1, start + Duration::from_millis(500)));
        assert!(!bucket.take(1, start + Duration::from_millis(900)));
        assert!(bucket.take(3, start + Duration::from_secs(60)), "it never holds more than its size");
        assert!(!bucket.take(1, start + Duration::from_secs(60)));
    }

    #[test]
    fn many_short_times_add_up() {
        let start = Instant::now();
        let mut bucket = Bucket::new((1, 1), start);
        assert!(bucket.take(1, start));
        let taken = (1..=3_000).filter(|i| bucket.take(1, start + Duration::from_millis(*i))).count();
        assert_eq!(taken, 3);
    }
}
