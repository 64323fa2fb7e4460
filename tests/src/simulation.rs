//! Worlds by the hundred: traders, cheats, cuts, a ledger that is slow, lossy, behind or stands still, and a crash at
//! every commit, each world from its seed.
//!
//! Seeds follow from a text, by default the commit that is checked out, and a number, so that a run of one commit can
//! be repeated. The number also says at which commits the nodes crash: over [`STRIDE`] × 2 numbers in a row, every
//! commit of every node is a crash point, once before and once after what follows from it.

mod accounts;
mod day;
mod judge;
mod transitions;

use core::fmt;
use core::ops::Range;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

pub use day::{BINDINGS, NODES};
pub use judge::Sort;
pub use transitions::Transitions;

use crate::world::{CrashPlan, Moment, Mutant, World};
use day::Day;

/// From one crash of a node to its next, in commits.
pub const STRIDE: u64 = 25;
/// One world in so many is lived through twice more, written down: both traces have to be the same.
const REPEATED_EVERY: u64 = 50;
/// Durations of being down that take turns.
const DOWNS: usize = 12;
/// What seeds follow from where there is no checkout.
const WITHOUT_CHECKOUT: &str = "tradepost";

/// What a sweep's seeds follow from.
#[derive(Debug, Clone)]
pub struct Source(pub String);

impl Source {
    /// The commit that is checked out, or a constant where there is no checkout.
    pub fn of_checkout() -> Self {
        let git = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        let head = git.ok().filter(|out| out.status.success()).and_then(|out| String::from_utf8(out.stdout).ok());
        Self(head.map_or_else(|| WITHOUT_CHECKOUT.to_owned(), |head| head.trim().to_owned()))
    }

    /// The seed with this number.
    pub fn seed(&self, number: u64) -> u64 {
        let hash = Sha256::new().chain_update(&self.0).chain_update(number.to_be_bytes()).finalize();
        u64::from_be_bytes(hash[..8].try_into().expect("eight bytes"))
    }
}

/// What came of worlds in which nothing was violated.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How many worlds.
    pub seeds: u64,
    /// Bindings between nodes that were agreed on.
    pub bindings: usize,
    /// Escrows between nodes that ledgers showed, by their sort.
    pub escrows: BTreeMap<Sort, usize>,
    /// Crashes by plan.
    pub crashes: usize,
    /// Questions to the ledger that met a fault, and times that it stood still.
    pub ledger_faults: u64,
    /// Which moves of the tables were taken.
    pub transitions: Transitions,
    /// Every crash point that was hit: node, commit, whether after its effects.
    pub points: BTreeSet<(usize, u64, bool)>,
    /// For each node, the commits that every world reached.
    pub commits: Option<[u64; NODES.len()]>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.bindings += other.bindings;
        for (sort, count) in other.escrows {
            *self.escrows.entry(sort).or_default() += count;
        }
        self.crashes += other.crashes;
        self.ledger_faults += other.ledger_faults;
        self.transitions.add(&other.transitions);
        self.points.extend(other.points);
        self.commits = match (self.commits, other.commits) {
            (Some(a), Some(b)) => Some(core::array::from_fn(|n| a[n].min(b[n]))),
            (a, b) => a.or(b),
        };
    }

    /// The crash points, among the commits that every world reached, that no world hit.
    pub fn missed_points(&self) -> Vec<(usize, u64, bool)> {
        let all = self.commits.iter().flatten().enumerate().flat_map(|(node, commits)| {
            (1..=*commits).flat_map(move |commit| [false, true].map(|after| (node, commit, after)))
        });
        all.filter(|point| !self.points.contains(point)).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, bindings, escrows, crashes, ledger_faults, transitions, .. } = self;
        let (taken, all) = (transitions.taken(), transitions.all());
        let sorts: Vec<String> = escrows.iter().map(|(sort, count)| format!("{sort} {count}")).collect();
        write!(f, "seeds {seeds}, bindings {bindings}, escrows {} ", escrows.values().sum::<usize>())?;
        write!(f, "({}), crashes {crashes}, ", sorts.join(", "))?;
        write!(f, "ledger faults {ledger_faults}, transitions {taken}/{all}")
    }
}

/// A world in which something was violated.
#[derive(Debug, Clone)]
pub struct Violation {
    /// What its seed follows from.
    pub source: String,
    /// With which number.
    pub number: u64,
    /// What was violated.
    pub what: String,
    /// What happened last.
    pub tail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, number, what, tail } = self;
        let replay = "cargo run --release -p tradepost-tests --bin simulate --";
        writeln!(f, "{tail}seed number {number} from {source}: {what}")?;
        write!(f, "again: {replay} --from {source} --first {number} --seeds 1")
    }
}

/// Lives through all worlds with these numbers, on several threads.
///
/// # Errors
/// The violation with the lowest number that was found; worlds after it may not have been looked at.
pub fn sweep(source: &Source, numbers: Range<u64>, threads: usize) -> Result<Tally, Box<Violation>> {
    let next = AtomicU64::new(numbers.start);
    let stop = AtomicBool::new(false);
    let results: Mutex<(Tally, Option<Box<Violation>>)> = Mutex::default();
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                break;
            }
            let result = check(source, number);
            let mut results = results.lock().expect("no thread panics with the lock");
            match result {
                Ok(tally) => results.0.add(tally),
                Err(violation) => {
                    stop.store(true, Ordering::Relaxed);
                    if results.1.as_ref().is_none_or(|known| known.number > number) {
                        results.1 = Some(violation);
                    }
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
fn check(source: &Source, number: u64) -> Result<Tally, Box<Violation>> {
    let violation = |what: String, tail: String| Violation { source: source.0.clone(), number, what, tail };
    let (result, _) = live_through(source, number, None, false);
    let tally = result.map_err(|what| {
        let (again, written) = live_through(source, number, None, true);
        let what = if again.is_err() { what } else { format!("{what}; and not again when it was repeated") };
        Box::new(violation(what, written.tail))
    })?;
    if number.is_multiple_of(REPEATED_EVERY) {
        let [first, second] = [(); 2].map(|()| live_through(source, number, None, true).1);
        if (first.digest, first.lines) != (second.digest, second.lines) {
            return Err(Box::new(violation("the same seed led to two different traces".to_owned(), second.tail)));
        }
    }
    Ok(tally)
}

/// How many worlds of a mutant it takes until somebody notices, and what is noticed; `None` if nobody does.
pub fn caught(source: &Source, mutant: Mutant, worlds: u64) -> Option<(u64, String)> {
    (0..worlds).find_map(|number| {
        let what = live_through(source, number, Some(mutant), false).0.err()?;
        Some((number + 1, what))
    })
}

/// What is left of a world's trace.
#[derive(Debug, Default)]
struct Written {
    digest: [u8; 32],
    lines: u64,
    tail: String,
}

fn live_through(
    source: &Source,
    number: u64,
    mutant: Option<Mutant>,
    written: bool,
) -> (Result<Tally, String>, Written) {
    let seed = source.seed(number);
    let mut world = World::new(seed);
    if !written {
        world.be_silent();
    }
    if let Some(mutant) = mutant {
        world.break_promise(mutant);
    }
    let mut day = Day::new(world, seed, |node| crash_plan(seed, number, node as u64));
    let lived = catch_unwind(AssertUnwindSafe(|| day.live())).unwrap_or_else(|panic| Err(words_of(&*panic)));
    let trace = day.world.trace();
    let written = Written { digest: trace.digest(), lines: trace.lines(), tail: trace.tail() };
    let tally = lived.map(|()| Tally {
        seeds: 1,
        bindings: day.judge.bindings(),
        escrows: day.judge.sorts(),
        crashes: day.judge.crashes.len(),
        ledger_faults: day.world.ledger_faults(),
        commits: Some(NODES.map(|name| day.world.commits(name))),
        transitions: day.judge.transitions,
        points: day.judge.crashes,
    });
    (tally, written)
}

/// At which commits a node crashes: each number takes the next one, and after all of them the other moment.
fn crash_plan(seed: u64, number: u64, node: u64) -> CrashPlan {
    let mut dice = ChaCha20Rng::seed_from_u64(seed.rotate_left(8) ^ node);
    let down = (0..DOWNS).map(|turn| {
        // Mostly back at once, now and then only after the grace time, once only after T.
        let (least, most) = match turn {
            0..9 => (100, 2_500),
            9..11 => (5_500, 12_000),
            _ => (30_000, 60_000),
        };
        Duration::from_millis(least + dice.next_u64() % (most - least))
    });
    let mut down: Vec<Duration> = down.collect();
    let turn = dice.next_u64() as usize % DOWNS;
    down.rotate_left(turn);
    let before = (number / STRIDE + node).is_multiple_of(2);
    let moment = if before { Moment::BeforeEffects } else { Moment::AfterEffects };
    CrashPlan { first: 1 + (number + node * 13) % STRIDE, every: STRIDE, moment, down }
}

fn words_of(panic: &(dyn core::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_else(|| "a panic".to_owned())
}
