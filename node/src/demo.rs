//! The demo, between nodes that are processes of their own: one trade that settles and one that is refunded; or four whose
//! money is disputed.
//!
//! Every node is this very program, started as anyone would start it, with a home, a store and sockets of its own; the
//! script moves them through their APIs alone. A development ledger runs beside them. At the end the books are closed by
//! nobody's party: what the signed terms say, against what the ledger says.

pub mod actor;
pub mod books;
pub mod cluster;
pub mod disputes;
pub mod help_exchange;
mod narrator;
pub mod process;
mod purpose;
pub mod report;
mod script;
pub mod service;

use std::path::PathBuf;

use books::BooksError;
use cluster::{Cluster, ClusterError};
use disputes::Disputes;
pub use narrator::Narrator;
use report::{DevnetReport, NodeReport, Report};
use script::{SHOUTER, Script};

/// Why the demo came to no end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A process, or what was asked of it.
    #[error(transparent)]
    Process(#[from] ClusterError),
    /// The books.
    #[error(transparent)]
    Books(#[from] BooksError),
    /// The ledger, when the books were to be closed.
    #[error("the ledger can't be read: {0}")]
    Ledger(#[from] tradepost_ledger::LedgerError),
    /// The demo itself.
    #[error("{0}")]
    Script(String),
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scene {
    /// One trade that settles, and one that is refunded.
    Trade,
    /// Four trades whose money is disputed.
    Disputes,
}

/// How to run it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Leaves everything running.
    pub keep: bool,
    /// Where the homes are made; they stay then. Else a temporary directory.
    pub dir: Option<PathBuf>,
}

/// Runs the demo with this program as every process of it. What it started has ended when this returns, and when it is
/// dropped, unless it is to be kept.
///
/// # Errors
/// [`DemoError`] with the step and the end of the log of whom it concerns.
pub async fn run(program: PathBuf, scene: Scene, options: &Options, narrator: &Narrator) -> Result<Report, DemoError> {
    let temporary = options.dir.is_none();
    let dir = options.dir.clone().map_or_else(cluster::temporary_dir, Ok)?;
    let dir = Directory { path: dir, kept: !temporary };
    let mut cluster = Cluster::start(program, dir.path.clone()).await?;
    let report = play(&mut cluster, scene, options, narrator).await?;
    if options.keep {
        cluster.release();
        dir.keep();
    } else {
        cluster.stop().await;
    }
    Ok(report)
}

async fn play(
    cluster: &mut Cluster,
    scene: Scene,
    options: &Options,
    narrator: &Narrator,
) -> Result<Report, DemoError> {
    let (findings, trades) = match scene {
        Scene::Trade => {
            let (books, trades) = Script::new(cluster, narrator).play().await?;
            (books.close(&cluster.ledger().await?).await?, trades)
        }
        Scene::Disputes => Disputes::new(cluster, narrator).play().await?,
    };
    if options.keep && scene == Scene::Trade {
        cluster.run(SHOUTER.name).await?;
        narrator.say(SHOUTER.name, "runs again, so that the market that is kept is whole");
    }
    Ok(Report {
        findings,
        trades,
        nodes: NodeReport::all(cluster)?,
        devnet: DevnetReport::of(cluster)?,
        dir: cluster.dir().display().to_string(),
        kept: options.keep,
        elapsed_secs: narrator.elapsed_secs(),
    })
}

/// A directory that goes with its value, unless it is kept. It is made before the processes that use it and so is
/// dropped after them.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    kept: bool,
}

impl Directory {
    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !self.kept {
            // There is nobody to tell, and nothing in it that matters.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
