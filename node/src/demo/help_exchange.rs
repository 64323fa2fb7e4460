//! The help exchange, played: an issuer, an agent, Ann, Ben and Cyn, each a process of its own.
//!
//! They offer and ask for help, take each other's offers, pay in an asset that can be taken back, have one payment
//! converted and another one taken back, and close everything down again: no account of theirs is left on the ledger, and
//! of both assets all that was issued is burnt.

mod books;
mod report;
mod script;

use std::path::PathBuf;

use super::cluster::{self, Cluster};
use super::{DemoError, Directory, Narrator, Options};
pub use report::HelpReport;

/// Runs it with this program as every process. What it started has ended when this returns, and when it is dropped.
///
/// # Errors
/// [`DemoError`] with the step and the end of the log of whom it concerns.
pub async fn run(program: PathBuf, options: &Options, narrator: &Narrator) -> Result<HelpReport, DemoError> {
    let temporary = options.dir.is_none();
    let dir = options.dir.clone().map_or_else(cluster::temporary_dir, Ok)?;
    let dir = Directory { path: dir, kept: !temporary };
    let mut cluster = Cluster::start(program, dir.path.clone()).await?;
    let report = script::Script::new(&mut cluster, narrator).play().await?;
    cluster.stop().await;
    Ok(report)
}
