//! Real nodes, each a process of its own with its own home, store and sockets, beside a development ledger.
//!
//! Everything binds port 0 and lives in a directory of its own, so that tests run side by side. The processes are killed
//! when the value is dropped, whatever the test came to; their logs stay where it failed, and the test's output names
//! them.

pub mod endpoint;
pub mod market;

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::Command;

use tradepost::demo::cluster::Cluster;

/// A cluster that cleans up after a test that passed.
#[derive(Debug)]
pub struct Nodes {
    // Its processes end before the directory goes.
    cluster: Cluster,
    _dir: Logs,
}

impl Nodes {
    /// Starts the ledger; `program` is `env!("CARGO_BIN_EXE_node-under-test")`, which only tests know.
    ///
    /// # Panics
    /// Where it doesn't start.
    pub async fn start(program: &str) -> Self {
        let dir = Logs(tempfile::Builder::new().prefix("tradepost-test-").tempdir().expect("a directory").keep());
        let cluster = Cluster::start(program.into(), dir.0.clone()).await;
        Self { cluster: cluster.unwrap_or_else(|e| panic!("{e}\n{}", e.tail.join("\n"))), _dir: dir }
    }
}

impl Deref for Nodes {
    type Target = Cluster;
    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl DerefMut for Nodes {
    fn deref_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }
}

/// A directory that goes with its value, unless the test fails.
#[derive(Debug)]
struct Logs(PathBuf);

impl Drop for Logs {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the logs of all processes are kept in {}", self.0.display());
        } else {
            // A service that its killed node left may still be writing there; it is in a temporary place anyway.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Sends a process a signal, such as `STOP`; returns whether there was such a process.
///
/// # Panics
/// Where the system has no `kill`.
pub fn signal(pid: u32, name: &str) -> bool {
    let mut kill = Command::new("kill");
    kill.args([&format!("-{name}"), &pid.to_string()]).stderr(std::process::Stdio::null());
    kill.status().expect("the system has a command kill").success()
}
