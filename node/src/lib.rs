//! Tradepost: a marketplace node without a middleman.

pub mod api;
pub mod archive;
pub mod backup;
pub mod call;
pub mod cli;
pub mod config;
pub mod demo;
pub mod home;
pub mod keystore;
pub mod ledger_access;
pub mod market;
pub mod node;
pub mod private_file;
pub mod problem_code;
pub mod process_id;
pub mod shutdown;
pub mod supervisor;
pub mod telemetry;
pub mod terminal;
pub mod timestamps;

use std::process::ExitCode;

/// Runs the program as its command line says.
pub fn main() -> ExitCode {
    cli::run()
}
