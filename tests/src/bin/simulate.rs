//! Lives through simulated worlds and says what came of them; the last line is the sum.
//!
//! ```text
//! cargo run --release -p tradepost-tests --bin simulate -- --seeds 1000
//!     [--from COMMIT_OR_NUMBER]   what the seeds follow from; the commit that is checked out by default
//!     [--first NUMBER]            the first seed's number, 0 by default
//!     [--bindings NUMBER]         how many bindings each world has at least, 20 by default; 12 where there are many worlds
//!     [--stride NUMBER]           at every how manieth commit a node crashes, 25 by default; 100 where there are many worlds
//!     [--mutant NAME]             breaks a promise, until somebody notices in a world
//!     [--trace FILE]              lives through the first world only, and writes all that happens in it into a file
//! ```

use std::env;
use std::fs;
use std::process::ExitCode;
use std::thread;

use tradepost_tests::simulation::{Size, Source, caught, sweep, written_down};
use tradepost_tests::world::Mutant;

/// Worlds without `--seeds`.
const SEEDS: u64 = 1_000;
const FLAGS: &str = "--seeds, --first, --from, --bindings, --stride, --mutant and --trace";
/// How many of the moves that were taken least often are named.
const RAREST: usize = 12;
/// Below so many worlds nobody expects enough of everything.
const FEW: u64 = 100;

fn main() -> ExitCode {
    match run() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String, String> {
    let (mut seeds, mut first, mut source, mut mutant) = (SEEDS, 0, None, None);
    let (mut bindings, mut stride, mut trace) = (None, None, None);
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|e| format!("{name} {value}: {e}"));
        match name.as_str() {
            "--seeds" => seeds = number()?,
            "--first" => first = number()?,
            "--bindings" => bindings = Some(number()? as usize),
            "--stride" => stride = Some(number()?.max(1)),
            "--from" => source = Some(Source(value)),
            "--mutant" => mutant = Some(mutant_named(&value)?),
            "--trace" => trace = Some(value),
            _ => return Err(format!("{name}: there are {FLAGS}")),
        }
    }
    let source = source.unwrap_or_else(Source::of_checkout);
    if let Some(mutant) = mutant {
        let (worlds, what) = caught(&source, mutant, seeds).ok_or(format!("nobody noticed {mutant:?}"))?;
        return Ok(format!("{mutant:?} is noticed in world {worlds}: {what}"));
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let end = first.checked_add(seeds).ok_or("there aren't so many numbers")?;
    let usual = Size::of(seeds);
    let size = Size { bindings: bindings.unwrap_or(usual.bindings), stride: stride.unwrap_or(usual.stride) };
    if let Some(file) = trace {
        let (result, written) = written_down(&source, first, size);
        fs::write(&file, written).map_err(|e| format!("{file}: {e}"))?;
        return result.map(|tally| tally.to_string());
    }
    let Size { bindings, stride } = size;
    println!("seeds {first} to {end} from {}, on {threads} threads: at least {bindings} bindings each,", source.0);
    println!("a crash of each node at every {stride}th commit");
    let tally = sweep(&source, first..end, size, threads)
        .map_err(|violation| format!("{violation}\nviolations 1, the rest wasn't looked at"))?;
    for missing in tally.transitions.missing() {
        println!("not taken: {missing}");
    }
    for rare in tally.transitions.rarest(RAREST) {
        println!("seldom taken: {rare}");
    }
    for missing in tally.cheats.missing() {
        println!("not tried: {missing}");
    }
    let short = tally.falls_short();
    // A few worlds show what they show.
    if short.is_empty() || seeds < FEW {
        let lines: String = short.iter().map(|line| format!("{line}\n")).collect();
        return Ok(format!("{lines}{tally}"));
    }
    Err(format!("{tally}\nbut too little of it:\n{}", short.join("\n")))
}

fn mutant_named(name: &str) -> Result<Mutant, String> {
    let named = |mutant: &Mutant| format!("{mutant:?}") == name;
    Mutant::ALL.into_iter().find(named).ok_or_else(|| format!("there are the mutants {:?}", Mutant::ALL))
}
