//! `tradepost demo`: a market on this machine, with one trade that settles and one that is refunded; or with disputes.

use clap::{Args, ValueEnum};

use super::Global;
use super::failure::{Exit, Failure};
use crate::demo::cluster::ClusterError;
use crate::demo::{self, DemoError, Narrator, Options, Scene, service};
use crate::shutdown::Shutdown;
use crate::terminal::Terminal;

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shown {
    /// One trade that settles, and one that is refunded.
    Trade,
    /// Four trades whose money is disputed.
    Disputes,
    /// A community currency: Ann, Ben and Cyn help each other for an asset that can be taken back.
    HelpExchange,
}

/// Shows a market at work: a ledger and nodes, each a process of its own on this machine. In `trade` one trade settles, and
/// in the other the provider is killed and the consumer gets its money back. In `disputes` a provider doesn't deliver, a
/// buyer falls silent after delivery, an arbiter divides 15 to 5, and another one stays silent. In `help-exchange` an issuer, an
/// agent, Ann, Ben and Cyn help each other for an asset that can be taken back, and close everything down again. Takes one
/// to three minutes; `--home` keeps what is written there.
#[derive(Debug, Args)]
pub struct Demo {
    /// What to show.
    #[arg(value_enum, default_value_t = Shown::Trade)]
    scene: Shown,
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
        let scene = match self.scene {
            Shown::Trade => Scene::Trade,
            Shown::Disputes => Scene::Disputes,
            Shown::HelpExchange => return help_exchange(&shutdown, &options, &narrator, terminal).await,
        };
        let report = tokio::select! {
            biased;
            () = shutdown.drain().cancelled() => {
                return Err(interrupted());
            }
            report = demo::run(std::env::current_exe()?, scene, &options, &narrator) => report.map_err(failure)?,
        };
        terminal.print(&report, demo::report::Report::text)?;
        match report.findings.off_by_stroops.0 {
            0 => Ok(()),
            off => Err(Failure::new(Exit::Failed, format!("the books are off by {off} stroops"))),
        }
    }
}

async fn help_exchange(
    shutdown: &Shutdown,
    options: &Options,
    narrator: &Narrator,
    terminal: Terminal,
) -> Result<(), Failure> {
    let report = tokio::select! {
        biased;
        () = shutdown.drain().cancelled() => return Err(interrupted()),
        report = demo::help_exchange::run(std::env::current_exe()?, options, narrator) => report.map_err(failure)?,
    };
    terminal.print(&report, demo::help_exchange::HelpReport::text)?;
    let left = report.balances_left + report.accounts_left;
    match (report.off_by_stroops.0, left) {
        (0, 0) => Ok(()),
        (off, left) => {
            let what = format!("the books are off by {off} stroops, and {left} entries are left on the ledger");
            Err(Failure::new(Exit::Failed, what))
        }
    }
}

fn interrupted() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted; everything that it started has ended")
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
