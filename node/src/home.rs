//! A node's home: the directory that holds everything it keeps, and that one process at a time runs from.
//!
//! ```text
//! config.toml   what its owner decided                 (see config)
//! keys.json     the keys, encrypted                    (see keystore; absent where the node has none)
//! node-key      the libp2p identity of a node without keys
//! data/         the store
//! archive/      stores of networks that were reset    (see archive; absent where none was)
//! timestamps/   one file for each batch of timestamps, with all that proves it
//! services/     one record for each process that the supervisor started
//! api-token     the bearer token of the local API, for its owner alone
//! run.json      where the running node is reached; absent while none runs
//! lock          held by the running node
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::private_file;
use crate::process_id::ProcessId;

/// Environment variable that names the home.
pub const VARIABLE: &str = "TRADEPOST_HOME";
/// Random bytes of the API's token.
const TOKEN_BYTES: usize = 32;
/// Largest of the small files here, bytes.
const MAX_SMALL_FILE: u64 = 64 * 1024;

/// Why a home can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Neither flag nor variable nor the user's home says where.
    #[error("no home directory is known: give --home DIR, or set {VARIABLE}")]
    Unknown,
    /// The file system failed.
    #[error("can't use {path}: {source}")]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process runs from it.
    #[error("{home} is in use by {by}: stop that node first, or choose another --home")]
    InUse {
        /// The directory.
        home: PathBuf,
        /// Who holds it.
        by: String,
    },
    /// A file there is damaged.
    #[error("{path} is damaged: {why}; remove it, the next `tradepost run` writes it anew")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// A node's home directory, existing or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    dir: PathBuf,
}

impl Home {
    /// The home at this directory.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The flag's directory, else `TRADEPOST_HOME`, else `tradepost` in the user's data directory (XDG).
    ///
    /// # Errors
    /// [`HomeError::Unknown`] where none of them says anything.
    pub fn resolve(flag: Option<PathBuf>) -> Result<Self, HomeError> {
        Self::resolve_from(flag, |name| std::env::var_os(name).map(PathBuf::from))
    }

    fn resolve_from(flag: Option<PathBuf>, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, HomeError> {
        let set = |name: &str| variable(name).filter(|path| !path.as_os_str().is_empty());
        // The XDG specification: relative paths there are to be ignored.
        let data = || set("XDG_DATA_HOME").filter(|path| path.is_absolute()).map(|path| path.join("tradepost"));
        let user = || set("HOME").map(|path| path.join(".local/share/tradepost"));
        let dir = flag.or_else(|| set(VARIABLE)).or_else(data).or_else(user).ok_or(HomeError::Unknown)?;
        let dir = std::path::absolute(&dir).map_err(|source| HomeError::Io { path: dir, source })?;
        Ok(Self { dir })
    }

    /// Makes the directories that don't exist yet, for their owner alone.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn create(&self) -> Result<(), HomeError> {
        for dir in [self.dir.clone(), self.data_dir(), self.services_dir()] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .map_err(|source| HomeError::Io { path: dir, source })?;
        }
        Ok(())
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `config.toml`.
    pub fn config_file(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    /// `keys.json`.
    pub fn key_file(&self) -> PathBuf {
        self.dir.join("keys.json")
    }

    /// The identity of a node that has no keys.
    pub fn node_key_file(&self) -> PathBuf {
        self.dir.join("node-key")
    }

    /// `data/`.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// `peers.json`, which the first peer that is met makes.
    pub fn peers_file(&self) -> PathBuf {
        self.dir.join("peers.json")
    }

    /// `archive/`.
    pub fn archive_dir(&self) -> PathBuf {
        self.dir.join("archive")
    }

    /// `services/`.
    pub fn services_dir(&self) -> PathBuf {
        self.dir.join("services")
    }

    /// `timestamps/`, which the first batch makes.
    pub fn timestamps_dir(&self) -> PathBuf {
        self.dir.join("timestamps")
    }

    /// `api-token`.
    pub fn api_token_file(&self) -> PathBuf {
        self.dir.join("api-token")
    }

    /// `run.json`.
    pub fn run_file(&self) -> PathBuf {
        self.dir.join("run.json")
    }

    /// Takes the home for this process, until the lock is dropped. The system frees it whatever ends the process, so
    /// there is nothing to clear by hand.
    ///
    /// # Errors
    /// [`HomeError::InUse`] where another process has it, else [`HomeError::Io`].
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        self.create()?;
        let path = self.dir.join("lock");
        let io = |source| HomeError::Io { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true).mode(private_file::MODE);
        let file = options.open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {
                let lock = HomeLock { home: self.clone(), file };
                lock.withdraw();
                Ok(lock)
            }
            Err(TryLockError::WouldBlock) => {
                let by = match self.run_state() {
                    Ok(RunState::Running(run)) => format!("process {}", run.process.pid),
                    _ => "another process".to_owned(),
                };
                Err(HomeError::InUse { home: self.dir.clone(), by })
            }
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    /// Whether a node runs from here, and where it is reached.
    ///
    /// # Errors
    /// [`HomeError::Malformed`] or [`HomeError::Io`].
    pub fn run_state(&self) -> Result<RunState, HomeError> {
        let Some(bytes) = self.read_small(&self.run_file())? else { return Ok(RunState::Absent) };
        let malformed = |e: serde_json::Error| HomeError::Malformed { path: self.run_file(), why: e.to_string() };
        let run: RunInfo = serde_json::from_slice(&bytes).map_err(malformed)?;
        Ok(if run.process.is_alive() { RunState::Running(Box::new(run)) } else { RunState::Stale(Box::new(run)) })
    }

    /// The API's token, if a node has ever run here.
    ///
    /// # Errors
    /// [`HomeError::Io`] or [`HomeError::Malformed`].
    pub fn api_token(&self) -> Result<Option<Zeroizing<String>>, HomeError> {
        let path = self.api_token_file();
        let Some(bytes) = self.read_small(&path)? else { return Ok(None) };
        let malformed = || HomeError::Malformed { path: path.clone(), why: "it is not UTF-8 text".to_owned() };
        let text = std::str::from_utf8(&bytes).map_err(|_| malformed())?.trim();
        Ok(Some(Zeroizing::new(text.to_owned())))
    }

    fn read_small(&self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, HomeError> {
        match private_file::read(path, MAX_SMALL_FILE) {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HomeError::Io { path: path.to_owned(), source }),
        }
    }
}

/// The right to run from a home. Dropping it removes `run.json` and frees the home.
#[derive(Debug)]
pub struct HomeLock {
    home: Home,
    file: File,
}

impl HomeLock {
    /// The home that is held.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Says in `run.json` where this node is reached; to be called once everything is bound.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn announce(&self, run: &RunInfo) -> Result<(), HomeError> {
        let text = serde_json::to_vec_pretty(run).expect("plain fields are JSON");
        self.write(&self.home.run_file(), &text)
    }

    /// Makes a new token for the API; the old one is worth nothing from then on.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn new_api_token(&self) -> Result<Zeroizing<String>, HomeError> {
        let path = self.home.api_token_file();
        let mut random = Zeroizing::new([0; TOKEN_BYTES]);
        self.fill(&path, random.as_mut_slice())?;
        let token = Zeroizing::new(hex::encode(random.as_slice()));
        self.write(&path, token.as_bytes())?;
        Ok(token)
    }

    /// The libp2p identity of a node that has no keys: made once, then kept.
    ///
    /// # Errors
    /// [`HomeError::Io`], or [`HomeError::Malformed`] where the file isn't 64 hex digits.
    pub fn node_seed(&self) -> Result<Zeroizing<[u8; 32]>, HomeError> {
        let path = self.home.node_key_file();
        let mut seed = Zeroizing::new([0; 32]);
        match self.home.read_small(&path)? {
            Some(text) => {
                let why = || "it is not 64 hex digits".to_owned();
                hex::decode_to_slice(text.trim_ascii(), seed.as_mut_slice())
                    .map_err(|_| HomeError::Malformed { path, why: why() })?;
            }
            None => {
                self.fill(&path, seed.as_mut_slice())?;
                self.write(&path, Zeroizing::new(hex::encode(seed.as_slice())).as_bytes())?;
            }
        }
        Ok(seed)
    }

    fn fill(&self, path: &Path, bytes: &mut [u8]) -> Result<(), HomeError> {
        getrandom::fill(bytes)
            .map_err(|e| HomeError::Io { path: path.to_owned(), source: io::Error::other(e.to_string()) })
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<(), HomeError> {
        private_file::write(path, content).map_err(|source| HomeError::Io { path: path.to_owned(), source })
    }

    /// Removes `run.json`, also one that a crash left. That it may not be there is fine; that it may stay is too, for
    /// its process is then seen to be gone.
    fn withdraw(&self) {
        let _ = fs::remove_file(self.home.run_file());
    }
}

impl Drop for HomeLock {
    fn drop(&mut self) {
        self.withdraw();
        // Closing alone would leave the lock to a child that is just being started and still shares the open file.
        let _ = self.file.unlock();
    }
}

/// What `run.json` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// No node has announced itself.
    Absent,
    /// A node left it behind and is gone.
    Stale(Box<RunInfo>),
    /// This node runs.
    Running(Box<RunInfo>),
}

/// Where a running node is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Its process.
    #[serde(flatten)]
    pub process: ProcessId,
    /// Base URL of its API, such as `http://127.0.0.1:41234`.
    pub api: String,
    /// Its libp2p identity.
    pub peer_id: String,
    /// Addresses under which peers reach it, each with its `/p2p/…`.
    pub p2p: Vec<String>,
    /// The ledger that it trades on.
    pub ledger: LedgerInfo,
    /// The program's version.
    pub version: String,
    /// When it started, seconds since 1970 by the machine's clock.
    pub started_at: u64,
}

/// The ledger that a running node trades on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerInfo {
    /// `devnet`, `testnet` or `public`.
    pub network: String,
    /// The network's passphrase.
    pub passphrase: String,
    /// The RPC endpoint that is asked first: scheme, host and port.
    pub rpc_url: String,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn run_info(process: ProcessId) -> RunInfo {
        RunInfo {
            process,
            api: "http://127.0.0.1:1".into(),
            peer_id: "12D3KooW".into(),
            p2p: vec!["/ip4/127.0.0.1/tcp/1/p2p/12D3KooW".into()],
            ledger: LedgerInfo {
                network: "devnet".into(),
                passphrase: "p".into(),
                rpc_url: "http://127.0.0.1:2".into(),
            },
            version: "0".into(),
            started_at: 1,
        }
    }

    #[test]
    fn the_flag_rules_over_the_variable_and_that_over_the_data_directory() {
        let all = |name: &str| match name {
            VARIABLE => Some("/variable".into()),
            "XDG_DATA_HOME" => Some("/xdg".into()),
            _ => Some("/home/u".into()),
        };
        let dir = |flag, variable: &dyn Fn(&str) -> Option<PathBuf>| {
            Home::resolve_from(flag, variable).unwrap().dir().to_owned()
        };
        assert_eq!(dir(Some("/flag".into()), &all), Path::new("/flag"));
        assert_eq!(dir(None, &all), Path::new("/variable"));
        assert_eq!(dir(None, &|n| all(n).filter(|_| n != VARIABLE)), Path::new("/xdg/tradepost"));
        assert_eq!(
            dir(None, &|n| (n == "HOME").then(|| "/home/u".into())),
            Path::new("/home/u/.local/share/tradepost")
        );
        assert!(matches!(Home::resolve_from(None, |_| None), Err(HomeError::Unknown)));
    }

    #[test]
    fn one_process_at_a_time_runs_from_a_home() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let lock = home.lock().unwrap();
        lock.announce(&run_info(ProcessId::current())).unwrap();
        let refused = home.lock().unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(matches!(home.run_state().unwrap(), RunState::Running(_)));
        drop(lock);
        assert_eq!(home.run_state().unwrap(), RunState::Absent);
        home.lock().unwrap();
    }

    #[test]
    fn a_run_file_whose_process_is_gone_is_stale_and_the_next_run_removes_it() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let gone = ProcessId::of(child.id());
        child.wait().unwrap();
        home.create().unwrap();
        fs::write(home.run_file(), serde_json::to_vec(&run_info(gone)).unwrap()).unwrap();
        assert!(matches!(home.run_state().unwrap(), RunState::Stale(_)));
        let _lock = home.lock().unwrap();
        assert_eq!(home.run_state().unwrap(), RunState::Absent);
    }

    #[test]
    fn a_damaged_run_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        home.create().unwrap();
        fs::write(home.run_file(), "{").unwrap();
        assert!(home.run_state().unwrap_err().to_string().contains("run.json"));
    }

    #[test]
    fn the_token_is_new_each_time_and_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        assert!(home.api_token().unwrap().is_none());
        let lock = home.lock().unwrap();
        let first = lock.new_api_token().unwrap();
        let second = lock.new_api_token().unwrap();
        assert_ne!(first, second);
        assert_eq!(home.api_token().unwrap(), Some(second));
        assert!(!private_file::open_to_others(&home.api_token_file()).unwrap());
    }

    #[test]
    fn a_node_without_keys_keeps_its_identity() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let first = home.lock().unwrap().node_seed().unwrap();
        assert_eq!(home.lock().unwrap().node_seed().unwrap(), first);
        assert_ne!(*first, [0; 32]);
    }
}
