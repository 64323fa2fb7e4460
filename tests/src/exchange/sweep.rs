//! Help exchanges by the hundred, each world from its seed, with a crash at every commit.

use core::fmt;
use core::ops::Range;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::{ExchangeWorld, NAMES, STRIDE, is_c23};
use crate::simulation::Source;
use crate::world::{Moment, Trace};

/// One world in so many is lived through twice, written down: both traces have to be the same.
const REPEATED_EVERY: u64 = 50;

/// What came of one world.
#[derive(Debug, Clone, Default)]
pub struct Lived {
    /// How many batches each node stored.
    pub commits: [u64; NAMES.len()],
    /// How often nodes crashed.
    pub crashes: u64,
    /// The exchange's transactions that the ledger has.
    pub steps: u64,
}

/// Where the nodes of the world with this number crash: over [`STRIDE`] × 2 numbers in a row, every commit of every node
/// is the last one before a crash, once before and once after what follows from it.
pub const fn crashes_of(number: u64) -> (u64, Moment) {
    let moment = if number.is_multiple_of(2) { Moment::BeforeEffects } else { Moment::AfterEffects };
    (1 + number / 2 % STRIDE, moment)
}

/// Lives through one world: C23 to the stroop with C24's refusals on the way, and everything closed. Where it isn't, what happened last is told.
///
/// # Panics
/// Where anything isn't as it must be.
pub fn live(seed: u64, crashes: Option<(u64, Moment)>) -> Lived {
    let lived = catch_unwind(|| {
        let mut exchange = ExchangeWorld::new(seed, crashes);
        // Writing everything down takes longer than living through it.
        exchange.world().write_to(Trace::silent());
        live_in(&mut exchange, crashes)
    });
    lived.unwrap_or_else(|panic| {
        live_written(seed, crashes);
        resume_unwind(panic)
    })
}

/// As [`live`], and the hash of all that happened.
fn live_written(seed: u64, crashes: Option<(u64, Moment)>) -> (Lived, [u8; 32]) {
    let mut exchange = ExchangeWorld::new(seed, crashes);
    let lived = live_in(&mut exchange, crashes);
    (lived, exchange.world().trace().digest())
}

fn live_in(exchange: &mut ExchangeWorld, crashes: Option<(u64, Moment)>) -> Lived {
    exchange.set_up();
    let (snapper, grant) = exchange.help_each_other();
    is_c23(exchange, snapper, grant);
    exchange.close();
    let commits = exchange.commits();
    let crashed =
        |(first, _): (u64, Moment)| commits.iter().map(|n| n.saturating_sub(first - 1).div_ceil(STRIDE)).sum();
    Lived { commits, crashes: crashes.map_or(0, crashed), steps: exchange.chain().links().len() as u64 }
}

/// The crash points, among the commits that every world reached, that no world hit.
pub fn missed_points(lives: &[((u64, Moment), Lived)]) -> Vec<(usize, u64, bool)> {
    let mut hit = BTreeSet::new();
    let mut reached = [u64::MAX; NAMES.len()];
    for ((first, moment), lived) in lives {
        for (node, commits) in lived.commits.iter().enumerate() {
            reached[node] = reached[node].min(*commits);
            let points = (*first..=*commits).step_by(STRIDE as usize);
            hit.extend(points.map(|commit| (node, commit, *moment == Moment::AfterEffects)));
        }
    }
    let all = reached.iter().enumerate().flat_map(|(node, commits)| {
        (1..=*commits).flat_map(move |commit| [false, true].map(|after| (node, commit, after)))
    });
    all.filter(|point| !hit.contains(point)).collect()
}

/// What came of many worlds.
#[derive(Debug, Default)]
pub struct Tally {
    /// Where each crashed, and what came of it.
    pub lives: Vec<((u64, Moment), Lived)>,
    /// The hash of the traces of the worlds that were lived through twice.
    pub trace: [u8; 8],
    /// How many those were.
    pub repeated: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |of: fn(&Lived) -> u64| self.lives.iter().map(|(_, lived)| of(lived)).sum::<u64>();
        let (crashes, steps, trace) = (sum(|l| l.crashes), sum(|l| l.steps), hex::encode(self.trace));
        write!(f, "help exchange: seeds {}, crashes {crashes}, transactions {steps}, ", self.lives.len())?;
        write!(f, "violations 0, trace {trace} = {trace} ({} worlds twice)", self.repeated)
    }
}

/// Lives through all worlds with these numbers, on several threads.
///
/// # Errors
/// What was violated in the first world that was found, with its number.
pub fn sweep(source: &Source, numbers: Range<u64>, threads: usize) -> Result<Tally, String> {
    let next = AtomicU64::new(numbers.start);
    let stop = AtomicBool::new(false);
    let results: Mutex<(Tally, Option<String>)> = Mutex::default();
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                return;
            }
            let result = check(source, number);
            let mut results = results.lock().expect("no thread panics with the lock");
            match result {
                Ok((lived, trace)) => {
                    results.0.lives.push((crashes_of(number), lived));
                    if let Some(trace) = trace {
                        results.0.repeated += 1;
                        // In whichever order they came.
                        results.0.trace.iter_mut().zip(trace).for_each(|(sum, byte)| *sum ^= byte);
                    }
                }
                Err(what) => {
                    stop.store(true, Ordering::Relaxed);
                    let (replay, from) =
                        ("cargo run --release -p tradepost-tests --bin simulate-exchange --", &source.0);
                    let again = format!("again: {replay} --from {from} --first {number} --seeds 1");
                    results.1.get_or_insert(format!("{what}\nworld {number} from {from}\n{again}"));
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    let (tally, violation) = results.into_inner().expect("no thread panics with the lock");
    violation.map_or(Ok(tally), Err)
}

/// One world, and now and then its repetition.
fn check(source: &Source, number: u64) -> Result<(Lived, Option<[u8; 32]>), String> {
    let (seed, crashes) = (source.seed(number), Some(crashes_of(number)));
    let words = |panic: Box<dyn core::any::Any + Send>| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    };
    let lived = catch_unwind(|| live(seed, crashes)).map_err(words)?;
    if !number.is_multiple_of(REPEATED_EVERY) {
        return Ok((lived, None));
    }
    let twice = catch_unwind(AssertUnwindSafe(|| [(); 2].map(|()| live_written(seed, crashes).1))).map_err(words)?;
    match twice {
        [first, second] if first == second => Ok((lived, Some(first))),
        _ => Err("the same seed led to two different traces".to_owned()),
    }
}
