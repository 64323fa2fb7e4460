//! Measuring beside a limit: a plain program does the least of the same work, alternately with ours, and the ratio is
//! what counts. Times of this machine alone say little, and a busy one slows both.

use core::fmt;
use core::time::Duration;
use std::fs;
use std::time::Instant;

/// How often each of the two works, alternately.
pub const ROUNDS: usize = 5;

/// What some work took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Took {
    /// On the clock.
    pub wall: Duration,
    /// On a processor, of this thread.
    pub cpu: Duration,
}

/// Works, and says what it took.
pub fn took<T>(work: impl FnOnce() -> T) -> (Took, T) {
    let (began, cpu) = (Instant::now(), thread_time());
    let done = work();
    (Took { wall: began.elapsed(), cpu: thread_time().saturating_sub(cpu) }, done)
}

/// What this thread has run so far: the kernel's own count, in nanoseconds; nothing where there is none.
fn thread_time() -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(told.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}

/// Ours and the limit's times for the same work, in rounds.
#[derive(Debug, Default)]
pub struct Compared {
    rounds: Vec<(Took, Took)>,
}

impl Compared {
    /// Adds a round.
    pub fn add(&mut self, ours: Took, limit: Took) {
        self.rounds.push((ours, limit));
    }

    /// The limit's time over ours in the same round, least, median and most: 1 where we need no more than the limit.
    pub fn ratios(&self, of: fn(&Took) -> Duration) -> [f64; 3] {
        let ratio = |(ours, limit): &(Took, Took)| of(limit).as_secs_f64() / of(ours).as_secs_f64();
        let mut ratios: Vec<f64> = self.rounds.iter().map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        match ratios.as_slice() {
            [] => [0.0; 3],
            [least, .., most] => [*least, ratios[ratios.len() / 2], *most],
            [only] => [*only; 3],
        }
    }

    /// Both programs' median times, ours first.
    pub fn medians(&self, of: fn(&Took) -> Duration) -> (Duration, Duration) {
        let median = |mut times: Vec<Duration>| {
            times.sort();
            times.get(times.len() / 2).copied().unwrap_or_default()
        };
        let ours = self.rounds.iter().map(|(ours, _)| of(ours)).collect();
        (median(ours), median(self.rounds.iter().map(|(_, limit)| of(limit)).collect()))
    }
}

/// How busy the machine is besides: the load of the last minute, as the kernel counts it, and its processors.
pub fn load() -> impl fmt::Display {
    let told = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = told.split(' ').next().unwrap_or("unknown").to_owned();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    format!("load {load} on {processors} processors")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_the_limits_time_over_ours_in_the_same_round() {
        let mut compared = Compared::default();
        assert_eq!(compared.ratios(|took| took.cpu), [0.0; 3]);
        let of = |millis| Took { cpu: Duration::from_millis(millis), ..Took::default() };
        for (ours, limit) in [(10, 5), (10, 8), (20, 20), (10, 1), (10, 7)] {
            compared.add(of(ours), of(limit));
        }
        assert_eq!(compared.ratios(|took| took.cpu), [0.1, 0.7, 1.0]);
        assert_eq!(compared.medians(|took| took.cpu), (Duration::from_millis(10), Duration::from_millis(7)));
    }

    #[test]
    fn work_takes_time_of_this_thread() {
        let (took, sum) = took(|| (0..3_000_000_u64).fold(0, |sum: u64, n| sum.wrapping_mul(31).wrapping_add(n)));
        assert!(took.wall > Duration::ZERO && took.cpu <= took.wall * 2, "{took:?} {sum}");
    }
}
