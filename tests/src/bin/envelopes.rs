//! Random envelopes described by their parameters, built by us, and compared with what others built.
//!
//! ```text
//! cargo run -p tradepost-tests --bin envelopes -- generate [--seed N] [--count N]     descriptions to standard output
//! cargo run -p tradepost-tests --bin envelopes -- build                               from standard input to output
//! cargo run -p tradepost-tests --bin envelopes -- compare DESCRIPTIONS NAME=FILE...   the first is what is right
//! ```
//!
//! `tests/conformance/run` does all three, with the builders of other people's libraries between.

use std::env;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::process::ExitCode;

use serde::de::DeserializeOwned;
use tradepost_tests::conformance::build::Builder;
use tradepost_tests::conformance::compare::{Made, compare};
use tradepost_tests::conformance::description::{Built, Description};
use tradepost_tests::conformance::generate::Generator;
use tradepost_tests::simulation::Source;

/// Descriptions without `--count`.
const COUNT: usize = 10_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((command, rest)) if command == "generate" => generate(rest),
        Some((command, [])) if command == "build" => build(),
        Some((command, rest)) if command == "compare" => compared(rest),
        _ => Err("there are: generate [--seed N] [--count N], build, compare DESCRIPTIONS NAME=FILE...".into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn generate(arguments: &[String]) -> Result<bool, Box<dyn Error>> {
    let (mut seed, mut count) = (Source::of_checkout().seed(0), COUNT);
    for option in arguments.chunks(2) {
        match option {
            [name, value] if name == "--seed" => seed = value.parse()?,
            [name, value] if name == "--count" => count = value.parse()?,
            _ => return Err("generate takes --seed N and --count N".into()),
        }
    }
    eprintln!("seed {seed}, {count} descriptions");
    let mut out = BufWriter::new(io::stdout().lock());
    for description in Generator::new(seed).take(count) {
        serde_json::to_writer(&mut out, &description)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(true)
}

fn build() -> Result<bool, Box<dyn Error>> {
    let mut builder = Builder::default();
    let mut out = BufWriter::new(io::stdout().lock());
    for description in lines::<Description>(io::stdin().lock()) {
        serde_json::to_writer(&mut out, &builder.build(&description?)?)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    eprintln!("{}", builder.tally());
    Ok(true)
}

fn compared(arguments: &[String]) -> Result<bool, Box<dyn Error>> {
    let [descriptions, made @ ..] = arguments else { return Err("compare needs DESCRIPTIONS NAME=FILE...".into()) };
    if made.len() < 2 {
        return Err("compare needs two builders or more".into());
    }
    let made = made.iter().map(|argument| {
        let (by, file) = argument.split_once('=').ok_or("a builder is NAME=FILE")?;
        Ok::<_, Box<dyn Error>>(Made { by: by.to_owned(), built: of_file::<Built>(file)? })
    });
    let report = compare(&of_file::<Description>(descriptions)?, &made.collect::<Result<Vec<_>, _>>()?);
    println!("{report}");
    Ok(report.is_equal())
}

fn of_file<T: DeserializeOwned>(path: &str) -> Result<Vec<T>, Box<dyn Error>> {
    let file = File::open(path).map_err(|e| format!("{path}: {e}"))?;
    lines(BufReader::new(file)).collect()
}

fn lines<T: DeserializeOwned>(from: impl BufRead) -> impl Iterator<Item = Result<T, Box<dyn Error>>> {
    from.lines()
        .zip(1..)
        .map(|(line, number)| serde_json::from_str(&line?).map_err(|e| format!("line {number}: {e}").into()))
}
