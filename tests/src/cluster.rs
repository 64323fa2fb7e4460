//! Real nodes, each a process of its own with its own home, store and sockets, beside a development ledger.
//!
//! Everything binds port 0 and lives in a directory of its own, so that tests run side by side. The processes are killed
//! when the value is dropped, whatever the test came to; their logs stay where it failed, and the test's output names
//! them.

pub mod court;
pub mod crowd;
pub mod endpoint;
pub mod gate;
pub mod market;
pub mod stage;

use std::ffi::OsStr;
use std::ops::{Deref, DerefMut};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tradepost::demo::cluster::Cluster;
use tradepost::private_file;
use tradepost::process_id::{self, Seen};
use tradepost_devnet::faults::Faults;

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
        Self::start_with(program, &[]).await
    }

    /// As [`Nodes::start`], with further arguments for the ledger.
    ///
    /// # Panics
    /// Where it doesn't start.
    pub async fn start_with(program: &str, ledger: &[&str]) -> Self {
        let dir = Logs(tempfile::Builder::new().prefix("tradepost-test-").tempdir().expect("a directory").keep());
        let cluster = Cluster::start_with(program.into(), dir.0.clone(), ledger).await;
        Self { cluster: cluster.unwrap_or_else(|e| panic!("{e}\n{}", e.tail.join("\n"))), _dir: dir }
    }

    /// Sets what is wrong with the ledger from now on.
    ///
    /// # Panics
    /// Where the ledger doesn't take it.
    pub async fn set_faults(&self, faults: Faults) {
        self.tell_the_ledger("faults", &json!(faults)).await;
    }

    /// Moves the ledger's time ahead and closes a ledger that shows it.
    ///
    /// # Panics
    /// Where the ledger doesn't do it.
    pub async fn advance_clock(&self, by: Duration) {
        self.tell_the_ledger("clock", &json!({ "advance_seconds": by.as_secs() })).await;
        self.tell_the_ledger("close", &json!({})).await;
    }

    /// How many transactions wait at the ledger.
    ///
    /// # Panics
    /// Where the ledger doesn't say.
    pub async fn pending(&self) -> u64 {
        let status = reqwest::get(format!("{}/devnet/status", self.rpc_url())).await.expect("the ledger answers");
        let status: Value = serde_json::from_str(&status.text().await.expect("a text")).expect("JSON");
        status["pending"].as_u64().expect("a count")
    }

    /// Backs a running node up, and restores that into a home beside it, which doesn't run yet; gives its name.
    ///
    /// # Panics
    /// Where that fails.
    pub fn restore_beside(&mut self, name: &str) -> String {
        let program = self.program().to_str().expect("the program's path is text").to_owned();
        let home = self.node(name).expect("there is such a node").home().dir().to_owned();
        let restored = format!("{name}-restored");
        let (file, new) = (self.dir().join(format!("{restored}.backup")), self.dir().join(&restored));
        let text = |path: &Path| path.to_str().expect("a temporary directory's path is text").to_owned();
        run_json(&program, &["backup", &text(&file), "--json", "--home", &text(&home)]);
        let made = run_json(&program, &["restore", &text(&file), "--yes", "--json", "--home", &text(&new)]);
        assert!(made["rows"].as_u64().is_some_and(|rows| rows > 0), "{made}");
        // What its owner keeps apart from it.
        let passphrase = std::fs::read(home.join("passphrase")).expect("it has keys");
        private_file::write(&new.join("passphrase"), &passphrase).expect("the home is there");
        self.adopt(&restored);
        restored
    }

    async fn tell_the_ledger(&self, what: &str, body: &Value) {
        let request = reqwest::Client::new().post(format!("{}/devnet/{what}", self.rpc_url()));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.and_then(reqwest::Response::error_for_status);
        answer.unwrap_or_else(|e| panic!("the ledger doesn't take {body} as {what}: {e}"));
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
        // What killed nodes left running; nobody starts them again.
        for process in services_below(&self.0) {
            signal(process.id.pid, "KILL");
        }
        if std::thread::panicking() {
            eprintln!("the logs of all processes are kept in {}", self.0.display());
        } else {
            // A service that its killed node left may still be writing there; it is in a temporary place anyway.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Runs a command of the program as a user would, and gives what it prints as JSON.
///
/// # Panics
/// Where it fails; with what it said.
pub fn run_json(program: &str, arguments: &[&str]) -> Value {
    let done = Command::new(program).args(arguments).stdin(Stdio::null()).output().expect("the program starts");
    let (said, told) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{arguments:?}: {said}{told}");
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {said}"))
}

/// All processes of services whose nodes have their homes below a directory.
pub fn services_below(dir: &Path) -> impl Iterator<Item = Seen> {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let is_below = move |record: Vec<u8>| Path::new(OsStr::from_bytes(&record)).starts_with(&dir);
    process_id::all().filter(move |process| process.variable("TRADEPOST_RECORD").is_some_and(&is_below))
}

/// Sends a process a signal, such as `STOP`; returns whether there was such a process.
///
/// # Panics
/// Where the system has no `kill`.
pub fn signal(pid: u32, name: &str) -> bool {
    let mut kill = Command::new("kill");
    kill.args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null());
    kill.status().expect("the system has a command kill").success()
}
