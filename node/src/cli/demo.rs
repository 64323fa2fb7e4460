//! `tradepost demo`: a market on this machine, with one trade that settles and one that is refunded; or with disputes.

use clap::Args;

use super::Global;
use super::failure::{Exit, Failure};
use crate::demo::cluster::ClusterError;
use crate::demo::{self, DemoError, Narrator, Options, Scene, service};
use crate::shutdown::Shutdown;

/// Shows a market at work: a ledger and nodes, each a process of its own on this machine. In `trade` one trade settles, and
/// in the other the provider is killed and the consumer gets its money back. In `disputes` a provider doesn't deliver, a
/// buyer falls silent after delivery, an arbiter divides 15 to 5, and another one stays silent. Takes one to three minutes;
/// `--home` keeps what is written there.
#[derive(Debug, Args)]
pub struct Demo {
    /// What to show.
    #[arg(value_enum, default_value_t = Scene::Trade)]
    scene: Scene,
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
            report = demo::run(std::env::current_exe()?, self.scene, &options, &narrator) => report.map_err(failure)?,
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
    /// Is healthy and does nothing that it is asked for.
    #[arg(long)]
    idle: bool,
}

impl DemoService {
    pub(super) async fn run(self) -> Result<(), Failure> {
        Ok(service::serve(self.port, self.idle).await?)
    }
}
