//! Token buckets in ledger time: how much of something one key may do, for a bounded number of keys.

use std::collections::BTreeMap;

use crate::limits::Rate;
use crate::time::Now;

/// Thousandths of a token in a token: what a second refills is exact to the millisecond.
const MILLIS: u64 = 1_000;

/// A bucket that refills with time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Thousandths of a token.
    millis: u64,
    refilled: Now,
}

impl Bucket {
    fn full(rate: Rate, now: Now) -> Self {
        Self { millis: u64::from(rate.at_once) * MILLIS, refilled: now }
    }

    /// Brings the bucket to the present; whether it is full.
    fn refill(&mut self, rate: Rate, now: Now) -> bool {
        let full = u64::from(rate.at_once) * MILLIS;
        let passed = u64::try_from(now.since(self.refilled).as_millis()).unwrap_or(u64::MAX);
        self.millis = self.millis.saturating_add(passed.saturating_mul(u64::from(rate.per_second))).min(full);
        self.refilled = self.refilled.max(now);
        self.millis == full
    }

    fn take(&mut self, rate: Rate, now: Now) -> bool {
        self.refill(rate, now);
        let Some(left) = self.millis.checked_sub(MILLIS) else { return false };
        self.millis = left;
        true
    }
}

/// A bucket for each of a bounded number of keys. Keys whose bucket is full need no place; where there is none, the
/// keys without one share a bucket, so that making up keys gains nothing.
#[derive(Debug)]
pub struct Rates<K> {
    rate: Rate,
    most: usize,
    buckets: BTreeMap<K, Bucket>,
    shared: Bucket,
    swept: Now,
}

impl<K: Ord + Clone> Rates<K> {
    /// Full buckets for at most so many keys.
    pub fn new(rate: Rate, most: usize) -> Self {
        let start = Now::default();
        Self { rate, most, buckets: BTreeMap::new(), shared: Bucket::full(rate, start), swept: start }
    }

    /// Takes a token of a key's; `false` where there is none.
    pub fn take(&mut self, key: &K, now: Now) -> bool {
        if let Some(bucket) = self.buckets.get_mut(key) {
            return bucket.take(self.rate, now);
        }
        if self.buckets.len() >= self.most {
            self.sweep(now);
        }
        if self.buckets.len() >= self.most {
            return self.shared.take(self.rate, now);
        }
        let mut bucket = Bucket::full(self.rate, now);
        let taken = bucket.take(self.rate, now);
        self.buckets.insert(key.clone(), bucket);
        taken
    }

    /// Gives a token of a key's back.
    pub fn give_back(&mut self, key: &K) {
        if let Some(bucket) = self.buckets.get_mut(key) {
            bucket.millis = (bucket.millis + MILLIS).min(u64::from(self.rate.at_once) * MILLIS);
        }
    }

    /// How many keys have a bucket of their own.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether no key has spent anything lately.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Forgets the buckets that are full; not more often than one token takes, because it looks at all.
    fn sweep(&mut self, now: Now) {
        if now.since(self.swept).as_millis() * u128::from(self.rate.per_second) < u128::from(MILLIS) {
            return;
        }
        self.swept = now;
        let rate = self.rate;
        self.buckets.retain(|_, bucket| !bucket.refill(rate, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { at_once: 3, per_second: 2 };

    fn at(millis: u64) -> Now {
        Now::from_millis(1_000_000 + millis)
    }

    fn taken(rates: &mut Rates<u32>, key: u32, times: usize, now: Now) -> usize {
        (0..times).filter(|_| rates.take(&key, now)).count()
    }

    #[test]
    fn a_key_has_its_burst_at_once_and_its_rate_over_time() {
        let mut rates = Rates::new(RATE, 10);
        assert_eq!(taken(&mut rates, 1, 10, at(0)), 3);
        assert!(!rates.take(&1, at(499)));
        assert!(rates.take(&1, at(500)));
        assert_eq!(taken(&mut rates, 1, 10, at(60_000)), 3, "never more than its burst");
        assert_eq!(taken(&mut rates, 2, 10, at(60_000)), 3, "another key has its own");
        let spread = (1..=3_000).filter(|i| rates.take(&1, at(60_000 + i))).count();
        assert_eq!(spread, 6, "short times add up");
    }

    #[test]
    fn time_that_runs_backwards_refills_nothing() {
        let mut rates = Rates::new(RATE, 10);
        assert_eq!(taken(&mut rates, 1, 10, at(1_000)), 3);
        assert!(!rates.take(&1, at(0)));
        assert!(!rates.take(&1, at(1_499)));
        assert!(rates.take(&1, at(1_500)));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_up_to_the_burst() {
        let mut rates = Rates::new(RATE, 10);
        assert_eq!(taken(&mut rates, 1, 10, at(0)), 3);
        rates.give_back(&1);
        assert_eq!(taken(&mut rates, 1, 10, at(0)), 1);
        (0..10).for_each(|_| rates.give_back(&1));
        assert_eq!(taken(&mut rates, 1, 10, at(0)), 3);
        rates.give_back(&2);
        assert_eq!(rates.len(), 1, "nothing is kept for a key that took nothing");
    }

    #[test]
    fn keys_beyond_the_bound_share_one_bucket_until_there_is_room() {
        let mut rates = Rates::new(RATE, 100);
        for key in 0..100 {
            assert_eq!(taken(&mut rates, key, 3, at(0)), 3);
        }
        let made_up: usize = (100..10_000).map(|key| taken(&mut rates, key, 1, at(0))).sum();
        assert_eq!((made_up, rates.len()), (3, 100), "all made-up keys together have one burst");
        assert!(!rates.take(&0, at(0)), "nobody's empty bucket was forgotten for them");
        assert_eq!(taken(&mut rates, 10_000, 3, at(1_500)), 3, "full buckets make room");
        assert_eq!(rates.len(), 1);
    }
}
