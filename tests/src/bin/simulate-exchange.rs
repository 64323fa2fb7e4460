//! Lives through simulated help exchanges and says what came of them; the last line is the sum.
//!
//! ```text
//! cargo run --release -p tradepost-tests --bin simulate-exchange -- --seeds 500
//!     [--from COMMIT_OR_NUMBER]   what the seeds follow from; the commit that is checked out by default
//!     [--first NUMBER]            the first seed's number, 0 by default
//! ```

use std::env;
use std::process::ExitCode;
use std::thread;

use tradepost_tests::exchange::{missed_points, sweep};
use tradepost_tests::simulation::Source;

/// Worlds without `--seeds`.
const SEEDS: u64 = 500;

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
    let (mut seeds, mut first, mut source) = (SEEDS, 0, None);
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|e| format!("{name} {value}: {e}"));
        match name.as_str() {
            "--seeds" => seeds = number()?,
            "--first" => first = number()?,
            "--from" => source = Some(Source(value)),
            _ => return Err(format!("{name}: there are --seeds, --first and --from")),
        }
    }
    let source = source.unwrap_or_else(Source::of_checkout);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let end = first.checked_add(seeds).ok_or("there aren't so many numbers")?;
    println!("help exchanges {first} to {end} from {}, on {threads} threads", source.0);
    let tally = sweep(&source, first..end, threads)
        .map_err(|violation| format!("{violation}\nviolations 1, the rest wasn't looked at"))?;
    println!("crash points that every world reached and none hit: {}", missed_points(&tally.lives).len());
    Ok(tally.to_string())
}
