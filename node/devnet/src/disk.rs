//! A ledger that outlives its process: a directory in which every closed
//! ledger lies before anybody hears of it.
//!
//! ```text
//! DIR/network              the passphrase; written first, never again
//! DIR/ledgers-0000000001   closed ledgers from this number on, each as its LedgerCloseMeta
//! DIR/entries-0000000128   all entries as of this ledger
//! DIR/settings             faults and clock
//! DIR/lock                 held while a process uses the directory
//! ```
//! A file is written beside its place, synced and renamed into it, so that a
//! process killed at any instant leaves it as it was before or as it is after.
//! Each ends with the SHA-256 of all before.
//!
//! Starting again takes the older of the last two sets of entries (or the first
//! ledger's) and applies to it what each later ledger tells of its changes,
//! which has to give the hash of entries in that ledger's header. So the states
//! that reads may be behind are there as well.
//!
//! What waits in the queue isn't kept, as no server of the network keeps it.

mod checkpoint;
mod error;
mod file;
mod replay;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use error::StateError;
use file::{Format, Kind};
use replay::Replay;

use crate::close_meta;
use crate::faults::Faults;
use crate::genesis;
use crate::hash;
use crate::history::{History, PastLedger};
use crate::state::State;

/// Ledgers between two sets of entries, and the most that one file of ledgers
/// has.
const SPAN: u32 = 128;
/// Past this size a file of ledgers is followed by the next, in bytes.
const FULL: usize = 1024 * 1024;
/// Sets of entries that are kept: the older one is a whole span behind, so
/// further than any read.
const CHECKPOINTS: usize = 2;

const NETWORK: &str = "network";
const SETTINGS: &str = "settings";
const LEDGERS: &str = "ledgers-";
const ENTRIES: &str = "entries-";

/// What is set, and in no ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) faults: Faults,
    /// Seconds that the clock is ahead of the machine's.
    pub(crate) clock_offset: u64,
}

/// A directory that this process alone writes.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: PathBuf,
    format: Format,
    /// The newest file of ledgers, as it is to be.
    newest: Ledgers,
    /// The last ledger that is durable.
    saved: u32,
    /// The sets of entries that are there, oldest first.
    checkpoints: Vec<u32>,
    settings: Settings,
    _lock: File,
}

/// A file of consecutive ledgers.
#[derive(Debug)]
struct Ledgers {
    first: u32,
    count: u32,
    payload: Vec<u8>,
}

impl Ledgers {
    fn from(first: u32) -> Self {
        Self { first, count: 0, payload: Vec::new() }
    }

    fn next(&self) -> u32 {
        self.first + self.count
    }

    fn is_full(&self) -> bool {
        self.count >= SPAN || self.payload.len() >= FULL
    }

    fn push(&mut self, ledger: &PastLedger) {
        let meta = close_meta::close_meta(ledger);
        self.payload.extend(u64::try_from(meta.len()).expect("bounded by memory").to_be_bytes());
        self.payload.extend(meta);
        self.count += 1;
    }
}

/// What was found in a directory.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) disk: Disk,
    pub(crate) passphrase: String,
    /// Entries and ledgers; nothing where only the network was named before its
    /// process died.
    pub(crate) ledger: Option<(State, History)>,
}

impl Disk {
    /// Opens a directory; one that isn't there, or is empty, is made the
    /// network's of this passphrase. Nothing that lies there is changed before
    /// all of it was understood.
    pub(crate) fn open(dir: &Path, fresh: &str) -> Result<Found, StateError> {
        fs::create_dir_all(dir).map_err(file::io_at(dir))?;
        let network = dir.join(NETWORK);
        // In this order: who begins here at the same time names its network before all else.
        if !is_unused(dir)? && !network.exists() {
            return Err(StateError::NoNetwork { dir: dir.to_owned() });
        }
        let lock = lock(dir)?;
        // Only now: until then another process may have named its network here, and gone.
        if !network.exists() {
            Format::of(hash::network_id(fresh)).write(&network, Kind::Network, fresh.as_bytes())?;
        }
        let (format, passphrase) = file::read_network(&network)?;
        let settings_path = dir.join(SETTINGS);
        let settings = match settings_path.exists() {
            true => serde_json::from_slice(&format.read(&settings_path, Kind::Settings)?)
                .map_err(|e| StateError::damaged(&settings_path, &e.to_string()))?,
            false => Settings::default(),
        };
        let mut disk = Self {
            dir: dir.to_owned(),
            format,
            newest: Ledgers::from(1),
            saved: 0,
            checkpoints: numbered(dir, ENTRIES)?,
            settings,
            _lock: lock,
        };
        let ledger = disk.load()?;
        file::remove_unfinished(dir, &[NETWORK, SETTINGS, LEDGERS, ENTRIES])?;
        Ok(Found { disk, passphrase, ledger })
    }

    /// Makes every ledger durable that isn't yet. What failed is done again by
    /// the next call.
    pub(crate) fn save(&mut self, history: &History, state: &State) -> Result<(), StateError> {
        let last = history.newest().sequence();
        while self.saved < last {
            if self.newest.is_full() && self.newest.next() == self.saved + 1 {
                self.newest = Ledgers::from(self.saved + 1);
            }
            while self.newest.next() <= last && !self.newest.is_full() {
                let next = history.ledger(self.newest.next()).expect("no more close than are saved");
                self.newest.push(next);
            }
            let path = self.path(LEDGERS, self.newest.first);
            self.format.write(&path, Kind::Ledgers, &self.newest.payload)?;
            self.saved = self.newest.next() - 1;
        }
        let due = self.checkpoints.last().copied().unwrap_or(0) + SPAN;
        if last >= due {
            let payload = checkpoint::encode(history.newest(), state);
            self.format.write(&self.path(ENTRIES, last), Kind::Entries, &payload)?;
            self.checkpoints.push(last);
            self.forget(history.oldest().sequence())?;
        }
        Ok(())
    }

    /// Makes settings durable.
    pub(crate) fn set(&mut self, settings: Settings) -> Result<(), StateError> {
        let text = serde_json::to_vec(&settings).expect("plain fields are JSON");
        self.format.write(&self.dir.join(SETTINGS), Kind::Settings, &text)?;
        self.settings = settings;
        Ok(())
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings
    }

    /// Reads entries and ledgers, as they have to be: without a gap, each
    /// following from the one before.
    fn load(&mut self) -> Result<Option<(State, History)>, StateError> {
        let files = numbered(&self.dir, LEDGERS)?;
        let Some(&first) = files.first() else {
            return match self.checkpoints.first() {
                None => Ok(None),
                Some(_) => Err(StateError::damaged(&self.dir, "entries are there, but not the ledgers that follow")),
            };
        };
        let mut replay = match self.checkpoints.as_slice() {
            [oldest, _, ..] => {
                let path = self.path(ENTRIES, *oldest);
                let payload = self.format.read(&path, Kind::Entries)?;
                checkpoint::decode(&payload, *oldest).map_err(|why| StateError::damaged(&path, why))?
            }
            _ => Replay::from_genesis(genesis_state(&self.format.network_id)),
        };
        replay.begin(first).map_err(|why| StateError::damaged(&self.dir, &why))?;
        for &number in &files {
            let path = self.path(LEDGERS, number);
            let damaged = |why: String| StateError::damaged(&path, &why);
            let payload = self.format.read(&path, Kind::Ledgers)?;
            let mut ledgers = Ledgers::from(number);
            if number != replay.next() {
                return Err(damaged(format!("ledger {} should be next", replay.next())));
            }
            for meta in split(&payload).map_err(|why| damaged(why.to_owned()))? {
                replay.apply(meta, &self.format.network_id).map_err(damaged)?;
                ledgers.count += 1;
            }
            ledgers.payload = payload;
            self.newest = ledgers;
        }
        self.saved = self.newest.next() - 1;
        let newest_entries = self.checkpoints.last().copied().unwrap_or(0);
        if self.saved < newest_entries || self.newest.count == 0 {
            let why = format!("ledgers end with {}, before the entries of {newest_entries}", self.saved);
            return Err(StateError::damaged(&self.dir, &why));
        }
        Ok(Some(replay.done()))
    }

    /// Removes what neither history nor a start needs any more.
    fn forget(&mut self, oldest_kept: u32) -> Result<(), StateError> {
        while self.checkpoints.len() > CHECKPOINTS {
            file::remove(&self.path(ENTRIES, self.checkpoints[0]))?;
            self.checkpoints.remove(0);
        }
        // Before there are two, a start goes from the first ledger on.
        let from = if self.checkpoints.len() < CHECKPOINTS { 1 } else { self.checkpoints[0] };
        let needed = from.min(oldest_kept);
        let files = numbered(&self.dir, LEDGERS)?;
        for pair in files.windows(2).take_while(|pair| pair[1] <= needed) {
            file::remove(&self.path(LEDGERS, pair[0]))?;
        }
        Ok(())
    }

    fn path(&self, kind: &str, number: u32) -> PathBuf {
        self.dir.join(format!("{kind}{number:010}"))
    }
}

/// The first ledger's entries.
fn genesis_state(network_id: &[u8; 32]) -> State {
    let mut state = State::default();
    genesis::fill(&mut state, network_id);
    state
}

/// Whether a directory holds nothing but what an unfinished beginning leaves.
fn is_unused(dir: &Path) -> Result<bool, StateError> {
    for entry in fs::read_dir(dir).map_err(file::io_at(dir))? {
        let name = entry.map_err(file::io_at(dir))?.file_name();
        if name != "lock" && name != "network.new" {
            return Ok(false);
        }
    }
    Ok(true)
}

fn lock(dir: &Path) -> Result<File, StateError> {
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(file::io_at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StateError::Busy { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(file::io_at(&path)(source)),
    }
}

/// The numbers of the files of one kind, in order.
fn numbered(dir: &Path, kind: &str) -> Result<Vec<u32>, StateError> {
    let names = fs::read_dir(dir).map_err(file::io_at(dir))?;
    let names: Vec<_> = names.collect::<Result<_, io::Error>>().map_err(file::io_at(dir))?;
    let number = |entry: &fs::DirEntry| entry.file_name().to_str()?.strip_prefix(kind)?.parse().ok();
    let mut numbers: Vec<u32> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The ledgers of a file's payload.
fn split(mut payload: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    let mut metas = Vec::new();
    while let Some((length, rest)) = payload.split_first_chunk::<8>() {
        let length = usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (meta, rest) = rest.split_at_checked(length).ok_or("a ledger is cut off")?;
        metas.push(meta);
        payload = rest;
    }
    if payload.is_empty() { Ok(metas) } else { Err("a ledger is cut off") }
}
