//! `tradepost demo`: a market on this machine, with one trade that settles and one that is refunded.

use clap::Args;

use super::Global;
use super::failure::{Exit, Failure};
use crate::demo::cluster::ClusterError;
use crate::demo::{self, DemoError, Narrator, Options, service};
use crate::shutdown::Shutdown;

/// Shows a market at work: a ledger, a bootstrap node, two providers and a consumer, each a process of its own on this
/// machine. One trade settles; in the other the provider is killed and the consumer gets its money back. Takes about a
/// minute; `--home` keeps what is written there.
#[derive(Debug, Args)]
pub struct Demo {
    /// Leaves everything running, and says where.
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let shutdown = Shutdown::on_signals()?;
        let terminal = global.terminal();
        let options = Options { keep: self.keep, dir: global.home.clone() };
        let narrator = Narrator::new(terminal);
        let report = tokio::select! {
            biased;
            () = shutdown.drain().cancelled() => {
                return Err(Failure::new(Exit::Interrupted, "interrupted; everything that it started has ended"));
            }
            report = demo::run(std::env::current_exe()?, &options, &narrator) => report.map_err(failure)?,
        };
        terminal.print(&report, demo::report::Report::text)?;
        match report.findings.off_by_stroops.0 {
            0 => Ok(()),
            off => Err(Failure::new(Exit::Failed, format!("the books are off by {off} stroops"))),
        }
    }
}

/// The failure, with the end of the log that tells more about it.
fn failure(error: DemoError) -> Failure {
    let failure = Failure::of(Exit::Failed, &error);
    match error {
        DemoError::Process(ClusterError { log: Some(log), tail, .. }) => {
            let tail: String = tail.iter().map(|line| format!("\n    {line}")).collect();
            let hint = "with --home DIR all logs are kept in DIR";
            failure.hint(format!("{hint}; {} ended with:{tail}", log.display()))
        }
        _ => failure,
    }
}

/// Serves what the demo's providers sell; for the demo alone.
#[derive(Debug, Args)]
pub struct DemoService {
    /// Port on the loopback address.
    #[arg(long, value_name = "PORT")]
    port: u16,
}

impl DemoService {
    pub(super) async fn run(self) -> Result<(), Failure> {
        Ok(service::serve(self.port).await?)
    }
}
