//! Real nodes as processes of their own beside a development ledger, all on this machine and all on ports that the
//! system chooses: for the demo, and for tests.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tradepost_ledger::{LedgerError, RpcConfig, RpcLedger};
use tradepost_protocol::account::AccountId;

use super::process::{self, LOOKED_AT_EVERY, Process};
use crate::home::{Home, RunInfo, RunState};
use crate::private_file;

/// How long a process may take until it can be reached.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long a command that only writes files may take; deriving a key from a passphrase is meant to be slow.
const COMMAND_PATIENCE: Duration = Duration::from_secs(60);
/// How long the ledger may take to tell of itself.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);
/// How long a process may take to end after being asked.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// Most of a file that a child wrote for us, bytes.
const MAX_OUTPUT: u64 = 64 * 1024;
/// The ledger's name, and its directory's.
const DEVNET: &str = "devnet";
/// Where the ledger says how it is reached.
const DEVNET_SAYS: &str = "devnet.json";
/// Random bytes of a passphrase and of a directory's name.
const RANDOM_BYTES: usize = 16;

/// What couldn't be done with a child, and the end of its log.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {what}")]
pub struct ClusterError {
    /// Which child.
    pub name: String,
    /// What happened.
    pub what: String,
    /// Its log, where it has one.
    pub log: Option<PathBuf>,
    /// The log's last lines.
    pub tail: Vec<String>,
}

impl ClusterError {
    /// An error of the child with this name.
    pub fn new(name: &str, what: impl Into<String>) -> Self {
        Self { name: name.to_owned(), what: what.into(), log: None, tail: Vec::new() }
    }

    /// With the end of a log.
    #[must_use]
    pub fn with_log(mut self, log: &Path) -> Self {
        self.tail = process::tail(log);
        self.log = Some(log.to_owned());
        self
    }
}

/// Processes of one program in one directory. Dropped, all of them are killed, unless they were released.
#[derive(Debug)]
pub struct Cluster {
    program: PathBuf,
    dir: PathBuf,
    devnet: Devnet,
    nodes: Vec<Node>,
}

/// The development ledger.
#[derive(Debug)]
struct Devnet {
    process: Process,
    rpc_url: String,
    passphrase: String,
}

impl Devnet {
    async fn start(program: &Path, dir: &Path, arguments: &[&str]) -> Result<Self, ClusterError> {
        let (log, said, home) = (dir.join("devnet.log"), dir.join(DEVNET_SAYS), dir.join(DEVNET));
        let failed = |e: io::Error| ClusterError::new(DEVNET, format!("can't use {}: {e}", dir.display()));
        // What an earlier one said isn't this one's.
        match fs::remove_file(&said) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        let mut all = vec!["devnet", "--json", "--home", path_text(DEVNET, &home)?];
        all.extend(arguments);
        let mut process = Process::start(process::command(program, &all), &log, Some(&said)).map_err(failed)?;
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            if let Some(says) = complete_line(&said).and_then(|line| serde_json::from_slice::<DevnetSays>(&line).ok()) {
                return Ok(Self { process, rpc_url: says.rpc_url, passphrase: says.passphrase });
            }
            alive(DEVNET, &mut process, deadline)?;
            tokio::time::sleep(LOOKED_AT_EVERY).await;
        }
    }
}

/// What `devnet --json` prints, as far as it matters here.
#[derive(Debug, Deserialize)]
struct DevnetSays {
    rpc_url: String,
    passphrase: String,
}

/// The accounts that a development ledger begins with.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct LedgerAccounts {
    /// It has all coins at first.
    pub root: AccountId,
    /// It gives some away.
    pub friendbot: AccountId,
}

/// One node: its home, and its process while it runs.
#[derive(Debug)]
pub struct Node {
    name: String,
    home: Home,
    log: PathBuf,
    process: Option<Process>,
    run: Option<RunInfo>,
}

/// How a new node is set up.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// First peers.
    pub bootstrap: Vec<String>,
    /// Whether it gets keys of its own, under a passphrase of its own.
    pub keys: bool,
    /// The words that these keys are of; fresh ones where there are none here.
    pub mnemonic: Option<String>,
    /// Another way to the ledger's RPC server than its own address.
    pub rpc_url: Option<String>,
    /// Further lines of its configuration, in TOML. Where they name `ledger.endpoints`, those are asked instead of the
    /// cluster's ledger itself.
    pub config: String,
}

impl Cluster {
    /// Makes the directory, if need be, and starts a development ledger whose ledgers close each second.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn start(program: PathBuf, dir: PathBuf) -> Result<Self, ClusterError> {
        Self::start_with(program, dir, &[]).await
    }

    /// As [`Cluster::start`], with further arguments for the ledger.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn start_with(program: PathBuf, dir: PathBuf, arguments: &[&str]) -> Result<Self, ClusterError> {
        let failed = |e: io::Error| ClusterError::new(DEVNET, format!("can't use {}: {e}", dir.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(failed)?;
        if dir.join(DEVNET_SAYS).exists() {
            let what = format!("{} holds an earlier run: choose an empty directory", dir.display());
            return Err(ClusterError::new(DEVNET, what));
        }
        let devnet = Devnet::start(&program, &dir, &[&["--port", "0"], arguments].concat()).await?;
        Ok(Self { program, dir, devnet, nodes: Vec::new() })
    }

    /// Ends the ledger, and begins another one under its name and at its address: a test network's reset.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn reset_ledger(&mut self) -> Result<(), ClusterError> {
        self.devnet.process.kill();
        let (_, port) = self.devnet.rpc_url.trim_end_matches('/').rsplit_once(':').unwrap_or_default();
        let arguments = ["--port", port, "--network-passphrase", &self.devnet.passphrase];
        self.devnet = Devnet::start(&self.program, &self.dir, &arguments).await?;
        Ok(())
    }

    /// Makes a node's home: its configuration and, where asked for, its keys. It doesn't run yet.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn add(&mut self, name: &str, setup: &Setup) -> Result<(), ClusterError> {
        let node = self.prepare(name, setup).await?;
        self.nodes.push(node);
        Ok(())
    }

    /// As [`Cluster::add`], for several at once: deriving their keys takes its time.
    ///
    /// # Errors
    /// The first [`ClusterError`].
    pub async fn add_all(&mut self, nodes: &[(&str, Setup)]) -> Result<(), ClusterError> {
        let prepared = nodes.iter().map(|(name, setup)| self.prepare(name, setup));
        let prepared = futures::future::try_join_all(prepared).await?;
        self.nodes.extend(prepared);
        Ok(())
    }

    async fn prepare(&self, name: &str, setup: &Setup) -> Result<Node, ClusterError> {
        let home = Home::at(self.dir.join(name));
        let failed = |e: &dyn std::error::Error| ClusterError::new(name, e.to_string());
        home.create().map_err(|e| failed(&e))?;
        let write = |file: &str, text: &str| {
            private_file::write(&home.dir().join(file), text.as_bytes()).map_err(|e| failed(&e))
        };
        write("config.toml", &self.config(setup))?;
        let log = self.dir.join(format!("{name}.log"));
        if setup.keys {
            write("passphrase", &random_text(name)?)?;
            let mut arguments = vec!["init", "--no-fund", "--json", "--home", path_text(name, home.dir())?];
            let words = home.dir().join("words");
            if let Some(mnemonic) = &setup.mnemonic {
                write("words", mnemonic)?;
                arguments.push("--recover");
            }
            let input = setup.mnemonic.is_some().then_some(words.as_path());
            let made = self.command(name, &arguments, input, &log).await;
            // They are nowhere but where their owner keeps them.
            if input.is_some() {
                fs::remove_file(&words).map_err(|e| failed(&e))?;
            }
            made?;
        }
        Ok(Node { name: name.to_owned(), home, log, process: None, run: None })
    }

    fn config(&self, setup: &Setup) -> String {
        let quoted: Vec<String> = setup.bootstrap.iter().map(|address| format!("{address:?}")).collect();
        let passphrase = if setup.keys { "passphrase_file = \"passphrase\"\n" } else { "" };
        let elsewhere = setup.config.contains("ledger.endpoints");
        let rpc_url = setup.rpc_url.as_ref().unwrap_or(&self.devnet.rpc_url);
        let rpc_url = if elsewhere { String::new() } else { format!("rpc_url = {rpc_url:?}\n") };
        format!(
            "network = \"devnet\"\n{rpc_url}listen = [\"/ip4/127.0.0.1/tcp/0\"]\n\
             api_listen = \"127.0.0.1:0\"\nbootstrap = [{}]\n{passphrase}{}",
            quoted.join(", "),
            setup.config,
        )
    }

    /// Adds lines to the configuration of a node that doesn't run.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub fn configure(&self, name: &str, lines: &str) -> Result<(), ClusterError> {
        self.rewrite(name, |text| text + lines)
    }

    /// Replaces a part of the configuration of a node that doesn't run.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub fn replace(&self, name: &str, part: &str, by: &str) -> Result<(), ClusterError> {
        self.rewrite(name, |text| text.replace(part, by))
    }

    fn rewrite(&self, name: &str, change: impl FnOnce(String) -> String) -> Result<(), ClusterError> {
        let node = self.node(name)?;
        let file = node.home.config_file();
        let failed = |e: io::Error| node.error(format!("can't use {}: {e}", file.display()));
        let text = fs::read_to_string(&file).map_err(failed)?;
        private_file::write(&file, change(text).as_bytes()).map_err(failed)
    }

    /// Runs a command to its end; what it prints is thrown away, for new words are nobody's business here.
    async fn command(
        &self,
        name: &str,
        arguments: &[&str],
        input: Option<&Path>,
        log: &Path,
    ) -> Result<(), ClusterError> {
        let failed = |what: String| ClusterError::new(name, format!("`{}`: {what}", arguments[0])).with_log(log);
        let nowhere = Path::new("/dev/null");
        let mut command = process::command(&self.program, arguments);
        command.stdin(File::open(input.unwrap_or(nowhere)).map_err(|e| failed(e.to_string()))?);
        let mut process = Process::start(command, log, Some(nowhere)).map_err(|e| failed(e.to_string()))?;
        match process.end_within(COMMAND_PATIENCE).await {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(failed(format!("it failed ({status})"))),
            None => Err(failed(format!("it took longer than {} s", COMMAND_PATIENCE.as_secs()))),
        }
    }

    /// Runs a node, also one that ran before, and waits until it can be reached.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn run(&mut self, name: &str) -> Result<&Node, ClusterError> {
        self.run_all(&[name]).await?;
        self.node(name)
    }

    /// As [`Cluster::run`], for several at once.
    ///
    /// # Errors
    /// The first [`ClusterError`].
    pub async fn run_all(&mut self, names: &[&str]) -> Result<(), ClusterError> {
        let program = self.program.clone();
        for name in names {
            self.node_mut(name)?.start(&program, &[], &[])?;
        }
        for name in names {
            self.node_mut(name)?.reachable().await?;
        }
        Ok(())
    }

    /// As [`Cluster::run`], with further arguments.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn run_with(&mut self, name: &str, further: &[&str]) -> Result<&Node, ClusterError> {
        let program = self.program.clone();
        let node = self.node_mut(name)?;
        node.start(&program, &[], further)?;
        node.reachable().await?;
        self.node(name)
    }

    /// As [`Cluster::run`], by a program that is given all of it as its last arguments and becomes it.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn run_by(&mut self, name: &str, before: &[&str]) -> Result<&Node, ClusterError> {
        let program = self.program.clone();
        let node = self.node_mut(name)?;
        node.start(&program, before, &[])?;
        node.reachable().await?;
        self.node(name)
    }

    /// Takes in a node whose home stands in the cluster's directory already.
    pub fn adopt(&mut self, name: &str) {
        let (home, log) = (Home::at(self.dir.join(name)), self.dir.join(format!("{name}.log")));
        self.nodes.push(Node { name: name.to_owned(), home, log, process: None, run: None });
    }

    /// A node by its name.
    ///
    /// # Errors
    /// [`ClusterError`] where there is none.
    pub fn node(&self, name: &str) -> Result<&Node, ClusterError> {
        self.nodes.iter().find(|node| node.name == name).ok_or_else(|| unknown(name))
    }

    /// A node by its name, to end it.
    ///
    /// # Errors
    /// [`ClusterError`] where there is none.
    pub fn node_mut(&mut self, name: &str) -> Result<&mut Node, ClusterError> {
        self.nodes.iter_mut().find(|node| node.name == name).ok_or_else(|| unknown(name))
    }

    /// All nodes, in the order in which they were added.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The program that every process of it runs.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Where everything of it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The ledger's RPC server.
    pub fn rpc_url(&self) -> &str {
        &self.devnet.rpc_url
    }

    /// The ledger's process.
    pub fn devnet_pid(&self) -> u32 {
        self.devnet.process.pid()
    }

    /// The ledger's log.
    pub fn devnet_log(&self) -> &Path {
        self.devnet.process.log()
    }

    /// The ledger, to look at it as nobody's party.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn ledger(&self) -> Result<RpcLedger, LedgerError> {
        let config = RpcConfig::new(&self.devnet.rpc_url);
        RpcLedger::connect(config, &self.devnet.passphrase).await
    }

    /// The ledger's own accounts.
    ///
    /// # Errors
    /// [`ClusterError`] where it doesn't tell them.
    pub async fn ledger_accounts(&self) -> Result<LedgerAccounts, ClusterError> {
        let failed = |e: reqwest::Error| ClusterError::new(DEVNET, e.to_string()).with_log(self.devnet_log());
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_PATIENCE).build().map_err(failed)?;
        let answer = http.get(format!("{}/devnet/status", self.rpc_url())).send().await.map_err(failed)?;
        answer.json().await.map_err(failed)
    }

    /// Ends everything in order: asks first, kills what doesn't listen.
    pub async fn stop(&mut self) {
        let running = |node: &mut Node| node.process.take();
        let mut processes: Vec<Process> = self.nodes.iter_mut().filter_map(running).collect();
        processes.iter_mut().for_each(Process::ask_to_end);
        futures::future::join_all(processes.iter_mut().map(|process| process.end_within(END_PATIENCE))).await;
        self.devnet.process.ask_to_end();
        self.devnet.process.end_within(END_PATIENCE).await;
    }

    /// Lets everything live on after this value.
    pub fn release(&mut self) {
        self.nodes.iter_mut().filter_map(|node| node.process.as_mut()).for_each(Process::release);
        self.devnet.process.release();
    }
}

impl Node {
    fn start(&mut self, program: &Path, before: &[&str], further: &[&str]) -> Result<(), ClusterError> {
        let name = &self.name;
        if self.process.as_mut().is_some_and(|process| process.ended().is_none()) {
            return Err(ClusterError::new(name, "it runs already"));
        }
        let run = [path_text(name, program)?, "run", "--home", path_text(name, self.home.dir())?];
        let all = [before, &run, further].concat();
        let command = process::command(Path::new(all[0]), &all[1..]);
        let started = Process::start(command, &self.log, None);
        self.process = Some(started.map_err(|e| ClusterError::new(name, format!("can't be started: {e}")))?);
        Ok(())
    }

    async fn reachable(&mut self) -> Result<(), ClusterError> {
        let name = self.name.clone();
        let process = self.process.as_mut().ok_or_else(|| ClusterError::new(&name, "it doesn't run"))?;
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            match self.home.run_state() {
                Ok(RunState::Running(run)) if run.process.pid == process.pid() => {
                    self.run = Some(*run);
                    return Ok(());
                }
                // Another process's word, or a file that is being replaced: look again.
                _ => alive(&name, process, deadline)?,
            }
            tokio::time::sleep(LOOKED_AT_EVERY).await;
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its home.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Where it is reached, while it runs.
    ///
    /// # Errors
    /// [`ClusterError`] where it doesn't.
    pub fn running(&self) -> Result<&RunInfo, ClusterError> {
        self.run.as_ref().ok_or_else(|| ClusterError::new(&self.name, "it doesn't run").with_log(&self.log))
    }

    /// Ends it as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
        self.run = None;
    }

    /// Asks it to end and waits for that. Returns whether it ended by itself and in order.
    pub async fn stop(&mut self) -> bool {
        let Some(mut process) = self.process.take() else { return false };
        self.run = None;
        process.ask_to_end();
        process.end_within(END_PATIENCE).await.is_some_and(|status| status.success())
    }

    /// Waits until it has ended by itself; `None` where it runs on after so long.
    pub async fn ended_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.process.as_mut()?.ended() {
                (self.process, self.run) = (None, None);
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            tokio::time::sleep(LOOKED_AT_EVERY).await;
        }
    }

    /// An error about it, with the end of its log.
    pub fn error(&self, what: impl Into<String>) -> ClusterError {
        ClusterError::new(&self.name, what).with_log(&self.log)
    }
}

fn unknown(name: &str) -> ClusterError {
    ClusterError::new(name, "there is no such node here")
}

/// That a process which isn't reachable yet can still become so.
fn alive(name: &str, process: &mut Process, deadline: Instant) -> Result<(), ClusterError> {
    let what = match process.ended() {
        Some(status) => format!("it ended before it could be reached ({status})"),
        None if Instant::now() >= deadline => {
            format!("it can't be reached within {} s", START_PATIENCE.as_secs())
        }
        None => return Ok(()),
    };
    Err(ClusterError::new(name, what).with_log(process.log()))
}

fn complete_line(path: &Path) -> Option<Vec<u8>> {
    private_file::read(path, MAX_OUTPUT).ok().filter(|text| text.ends_with(b"\n"))
}

fn path_text<'a>(name: &str, path: &'a Path) -> Result<&'a str, ClusterError> {
    path.to_str().ok_or_else(|| ClusterError::new(name, format!("the path {} isn't UTF-8", path.display())))
}

fn random_text(name: &str) -> Result<String, ClusterError> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|e| ClusterError::new(name, format!("no random bytes: {e}")))?;
    Ok(hex::encode(random))
}

/// A new directory's path for a cluster, among the system's temporary ones.
///
/// # Errors
/// [`ClusterError`] where the system gives no random bytes.
pub fn temporary_dir() -> Result<PathBuf, ClusterError> {
    Ok(std::env::temp_dir().join(format!("tradepost-{}", random_text("demo")?)))
}
