//! Worlds by the hundred: traders, cheats, cuts, a ledger that is slow, lossy, behind or stands still, and a crash at
//! every commit, each world from its seed.
//!
//! Seeds follow from a text, by default the commit that is checked out, and a number, so that a run of one commit can
//! be repeated. The number also says at which commits the nodes crash: over twice [`Size::stride`] numbers in a row, every
//! commit of every node is a crash point, once before and once after what follows from it.

mod accounts;
mod cheats;
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

pub use cheats::{Change, Cheat, Cheats, Trick};
pub use day::NODES;
pub use judge::Sort;
pub use transitions::Transitions;

use crate::world::{CrashPlan, Moment, Mutant, Trace, World};
use day::Day;

/// From so many worlds on each of a sweep is smaller.
const MANY: u64 = 1_001;
/// One world in so many is lived through twice more, written down: both traces have to be the same.
const REPEATED_EVERY: u64 = 100;
/// Worlds from which on a sweep has to have done everything that there is to do.
const ENOUGH: u64 = 500;
/// Worlds from which on a sweep has to have taken every move that can be taken, the rarest ones, too.
const ALL_MOVES: u64 = 5_000;
/// Of each world on the average: escrows, escrows of each sort, crashes, faults of the ledger, cheats.
const ESCROWS_EACH: usize = 8;
const OF_A_SORT_EACH: usize = 1;
const CRASHES_EACH: usize = 10;
const FAULTS_EACH: u64 = 4;
const CHEATS_EACH: usize = 4;
/// In one of so many worlds there was time to settle an award for whoever won by it.
const AWARD_DUE_IN: usize = 10;
/// Durations of being down that take turns.
const DOWNS: usize = 12;
/// What seeds follow from where there is no checkout.
const WITHOUT_CHECKOUT: &str = "tradepost";

/// How much happens in each world of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Bindings that it has at least.
    pub bindings: usize,
    /// From one crash of a node to its next, in commits.
    pub stride: u64,
}

impl Size {
    /// Of a sweep over a thousand worlds at the most.
    pub const LARGE: Self = Self { bindings: 20, stride: 25 };
    /// Of a sweep over more, and of one that has little time.
    pub const SMALL: Self = Self { bindings: 12, stride: 100 };

    /// Of a sweep over so many worlds.
    pub const fn of(worlds: u64) -> Self {
        if worlds < MANY { Self::LARGE } else { Self::SMALL }
    }
}

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
    /// Awards that there was time to settle.
    pub awards_due: usize,
    /// What cheats tried.
    pub cheats: Cheats,
    /// Which moves of the tables were taken.
    pub transitions: Transitions,
    /// The traces of the worlds that were repeated, by their numbers: of the first and of the second time.
    pub traces: BTreeMap<u64, [[u8; 32]; 2]>,
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
        self.awards_due += other.awards_due;
        self.cheats.add(&other.cheats);
        self.transitions.add(&other.transitions);
        self.traces.extend(other.traces);
        self.points.extend(other.points);
        self.commits = match (self.commits, other.commits) {
            (Some(a), Some(b)) => Some(core::array::from_fn(|n| a[n].min(b[n]))),
            (a, b) => a.or(b),
        };
    }

    /// What it has too little of for so many worlds; nothing where it has enough of everything.
    pub fn falls_short(&self) -> Vec<String> {
        let mut short = Vec::new();
        let worlds = self.seeds as usize;
        let mut at_least = |what: &str, found: usize, each: usize| {
            if found < worlds * each {
                short.push(format!("{what}: {found} in {worlds} worlds, at least {each} each are wanted"));
            }
        };
        at_least("escrows", self.escrows.values().sum(), ESCROWS_EACH);
        // Where nodes crash all the time, three arbiters are seldom there at once: such worlds have fewer of those.
        let worlds_each = if self.seeds >= ALL_MOVES { 1 } else { 2 };
        for sort in Sort::all() {
            let found = self.escrows.get(&sort).copied().unwrap_or_default();
            at_least(&format!("{sort}, times {worlds_each}"), found * worlds_each, OF_A_SORT_EACH);
        }
        at_least("crashes", self.crashes, CRASHES_EACH);
        at_least("ledger-faults", self.ledger_faults as usize, FAULTS_EACH as usize);
        at_least("cheats", self.cheats.sum(), CHEATS_EACH);
        if self.seeds >= ALL_MOVES {
            // Where nodes crash all the time, nobody is there for long enough.
            at_least("awards that there was time to settle", self.awards_due * AWARD_DUE_IN, 1);
        }
        if self.seeds >= ENOUGH {
            short.extend(self.transitions.impossible().iter().map(|taken| format!("not possible: {taken}")));
            let all = self.seeds >= ALL_MOVES;
            let missing = if all { self.transitions.missing() } else { self.transitions.overdue() };
            short.extend(missing.iter().map(|missing| format!("not taken: {missing}")));
            if self.seeds >= MANY {
                short.extend(self.cheats.missing().iter().map(|missing| format!("not tried: {missing}")));
            }
            short.extend(self.missed_points().iter().map(|point| format!("no crash at {point:?}")));
        }
        short
    }

    /// The digests of all traces of repeated worlds, of the first and of the second time.
    fn digests(&self) -> [String; 2] {
        [0, 1].map(|time| {
            let all = self.traces.values().fold(Sha256::new(), |hasher, traces| hasher.chain_update(traces[time]));
            hex::encode(&all.finalize()[..8])
        })
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
        let Self { seeds, bindings, escrows, crashes, ledger_faults, cheats, transitions, .. } = self;
        let (taken, all, [first, second]) = (transitions.taken(), transitions.all(), self.digests());
        let sorts: Vec<String> = escrows.iter().map(|(sort, count)| format!("{sort} {count}")).collect();
        write!(f, "seeds {seeds} bindings {bindings} escrows {} ", escrows.values().sum::<usize>())?;
        write!(f, "({}) crashes {crashes} ledger-faults {ledger_faults} ", sorts.join(", "))?;
        write!(f, "cheats {} in {} ways transitions {taken}/{all} ", cheats.sum(), cheats.ways())?;
        write!(f, "violations 0 trace {first} = {second}")
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
    /// How much happens in its worlds.
    pub size: Size,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, number, what, tail, size: Size { bindings, stride } } = self;
        let replay = "cargo run --release -p tradepost-tests --bin simulate --";
        writeln!(f, "{tail}seed number {number} from {source}: {what}")?;
        write!(f, "again: {replay} --from {source} --first {number} --seeds 1 --bindings {bindings} --stride {stride}")
    }
}

/// Lives through all worlds with these numbers, of this size, on several threads.
///
/// # Errors
/// The violation with the lowest number that was found; worlds after it may not have been looked at.
pub fn sweep(source: &Source, numbers: Range<u64>, size: Size, threads: usize) -> Result<Tally, Box<Violation>> {
    let next = AtomicU64::new(numbers.start);
    let stop = AtomicBool::new(false);
    let results: Mutex<(Tally, Option<Box<Violation>>)> = Mutex::default();
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                break;
            }
            let result = check(source, number, size);
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
fn check(source: &Source, number: u64, size: Size) -> Result<Tally, Box<Violation>> {
    let violation = |what: String, tail: String| {
        let source = source.0.clone();
        Box::new(Violation { source, number, what, tail, size })
    };
    let written = || live_through(source, number, size, None, Trace::default()).1;
    let (result, _) = live_through(source, number, size, None, Trace::silent());
    let mut tally = result.map_err(|what| {
        let (again, written) = live_through(source, number, size, None, Trace::default());
        let what = if again.is_err() { what } else { format!("{what}; and not again when it was repeated") };
        violation(what, written.tail)
    })?;
    if number.is_multiple_of(REPEATED_EVERY) {
        let [first, second] = [written(), written()];
        if (first.digest, first.lines) != (second.digest, second.lines) {
            return Err(violation("the same seed led to two different traces".to_owned(), second.tail));
        }
        tally.traces.insert(number, [first.digest, second.digest]);
    }
    Ok(tally)
}

/// How many worlds of a mutant it takes until somebody notices, and what is noticed; `None` if nobody does.
pub fn caught(source: &Source, mutant: Mutant, worlds: u64) -> Option<(u64, String)> {
    (0..worlds).find_map(|number| {
        let what = live_through(source, number, Size::LARGE, Some(mutant), Trace::silent()).0.err()?;
        Some((number + 1, what))
    })
}

/// Everything that happens in one world, line by line, and what came of it.
pub fn written_down(source: &Source, number: u64, size: Size) -> (Result<Tally, String>, String) {
    let (result, written) = live_through(source, number, size, None, Trace::whole());
    (result, written.tail)
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
    size: Size,
    mutant: Option<Mutant>,
    trace: Trace,
) -> (Result<Tally, String>, Written) {
    let seed = source.seed(number);
    let mut world = World::new(seed);
    world.write_to(trace);
    if let Some(mutant) = mutant {
        world.break_promise(mutant);
    }
    let mut day = Day::new(world, seed, |node| crash_plan(seed, number, node as u64, size.stride));
    let lived =
        catch_unwind(AssertUnwindSafe(|| day.live(size.bindings))).unwrap_or_else(|panic| Err(words_of(&*panic)));
    let trace = day.world.trace();
    let written = Written { digest: trace.digest(), lines: trace.lines(), tail: trace.tail() };
    let tally = lived.map(|()| Tally {
        seeds: 1,
        bindings: day.judge.bindings(),
        escrows: day.judge.sorts(),
        crashes: day.judge.crashes.len(),
        ledger_faults: day.world.ledger_faults(),
        awards_due: day.judge.awards_due,
        cheats: day.cheats,
        traces: BTreeMap::new(),
        commits: Some(NODES.map(|name| day.world.commits(name))),
        transitions: day.judge.transitions,
        points: day.judge.crashes,
    });
    (tally, written)
}

/// At which commits a node crashes: each number takes the next one, and after all of them the other moment.
fn crash_plan(seed: u64, number: u64, node: u64, stride: u64) -> CrashPlan {
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
    let before = (number / stride + node).is_multiple_of(2);
    let moment = if before { Moment::BeforeEffects } else { Moment::AfterEffects };
    CrashPlan { first: 1 + (number + node * 13) % stride, every: stride, moment, down }
}

fn words_of(panic: &(dyn core::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_else(|| "a panic".to_owned())
}
