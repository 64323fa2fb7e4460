//! A record on disk for each process, so that a node that crashed finds what it left running.
//!
//! It is there before its process is, and its path stands in the environment of all that the service starts. Once the
//! process runs, its number is added, for some programs write over the environment that they were started with. Nothing of a record is synced, so that writing one keeps nobody waiting: a crash of the
//! machine ends the processes, too.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tradepost_protocol::message::BindingId;

use crate::private_file;
use crate::process_id::{self, ProcessId};

/// The variable in a service's environment that names its record.
pub(super) const VARIABLE: &str = "TRADEPOST_RECORD";
/// Largest record, bytes.
const MAX_BYTES: u64 = 4_096;
/// How a record's name ends.
const SUFFIX: &str = "json";
/// How long what was killed may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// The record of a process that a supervisor starts. Dropped, it is removed, as is due when the process has ended.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
}

/// What is in it.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    /// The process, once it runs.
    #[serde(flatten)]
    process: Option<ProcessId>,
    /// Which start of the machine: process numbers mean nothing after another.
    boot: Option<String>,
}

impl Record {
    /// A record of a process that is about to be started.
    pub(super) fn ahead(dir: &Path, binding: &BindingId) -> io::Result<Self> {
        let record = Self { path: fs::canonicalize(dir)?.join(format!("{binding}.{SUFFIX}")) };
        record.write(None)?;
        Ok(record)
    }

    /// Adds the number of the process, which runs now.
    pub(super) fn running(&self, pid: u32) -> io::Result<()> {
        self.write(Some(ProcessId::of(pid)))
    }

    /// Where it is, by every name of its directory the same.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn write(&self, process: Option<ProcessId>) -> io::Result<()> {
        let content = serde_json::to_vec(&Content { process, boot: boot_id() }).map_err(io::Error::other)?;
        let mut options = OpenOptions::new();
        let options = options.create(true).write(true).truncate(true).mode(private_file::MODE);
        options.open(&self.path)?.write_all(&content)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Kills what earlier supervisors of this home left running, and removes its records; returns how many services there
/// were.
pub(super) async fn kill_left_behind(dir: &Path) -> io::Result<usize> {
    fs::create_dir_all(dir)?;
    let left = left_behind(dir)?;
    let until = Instant::now() + KILL_PATIENCE;
    let mut killed = BTreeSet::new();
    while !left.is_empty() {
        let living = kill(&left);
        killed.extend(living.iter().copied());
        if living.is_empty() || Instant::now() >= until {
            for record in living {
                tracing::error!(record = %record.display(), "what an earlier run started was killed, and doesn't end");
            }
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    // Also those of what doesn't end: only the system can do more about it.
    left.iter().try_for_each(|record| fs::remove_file(&record.path))?;
    Ok(killed.len())
}

/// A record that an earlier supervisor didn't remove.
struct Left {
    path: PathBuf,
    /// The first process of its group, where the record got to say so and the machine hasn't started anew since.
    leader: Option<ProcessId>,
}

impl Left {
    fn read(path: PathBuf) -> Self {
        // One that was cut off in the middle says nothing but its name.
        let content = private_file::read(&path, MAX_BYTES).ok();
        let content = content.and_then(|bytes| serde_json::from_slice::<Content>(&bytes).ok());
        let same_boot = content.filter(|content| content.boot == boot_id());
        Self { path, leader: same_boot.and_then(|content| content.process) }
    }

    /// Whether a group is the service's. It is, where its leader lives, and where that is gone and no other has its
    /// number: the kernel gives none away that still names a group.
    fn has_group(&self, group: u32) -> bool {
        self.leader.filter(|leader| leader.pid == group && leader.started.is_some()).is_some_and(|leader| {
            let now = ProcessId::of(leader.pid);
            now.started.is_none() || now == leader
        })
    }
}

fn left_behind(dir: &Path) -> io::Result<Vec<Left>> {
    let paths = fs::read_dir(fs::canonicalize(dir)?)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let is_record = |path: &PathBuf| path.extension().is_some_and(|extension| extension == SUFFIX);
    Ok(paths.into_iter().filter(is_record).map(Left::read).collect())
}

/// Kills all that is left, and returns the records of what was still there.
fn kill(left: &[Left]) -> BTreeSet<&Path> {
    let mut living = BTreeSet::new();
    for process in process_id::all().filter(|process| process.id != ProcessId::current()) {
        let named = process.variable(VARIABLE);
        for record in left {
            if record.has_group(process.group) {
                // All of it at once, so that none can start another meanwhile.
                let _ = record.leader.and_then(ProcessId::as_pid).map(|group| kill_process_group(group, Signal::KILL));
            } else if named.as_deref() == Some(record.path.as_os_str().as_bytes()) {
                let _ = process.id.as_pid().map(|pid| kill_process(pid, Signal::KILL));
            } else {
                continue;
            }
            living.insert(record.path.as_path());
        }
    }
    living
}

fn boot_id() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}
