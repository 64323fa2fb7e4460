//! A record on disk for each process, so that a node that crashed finds what it left running.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tradepost_protocol::message::BindingId;

use crate::private_file;
use crate::process_id::ProcessId;

/// Largest record, bytes.
const MAX_BYTES: u64 = 4_096;
/// How a record's name ends.
const SUFFIX: &str = "json";

/// A process that a supervisor started. Removed when it has ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(flatten)]
    process: ProcessId,
    /// Which start of the machine: process numbers mean nothing after another.
    boot: Option<String>,
    #[serde(skip)]
    path: PathBuf,
}

impl Record {
    pub(super) fn write(dir: &Path, binding: &BindingId, pid: u32) -> io::Result<Self> {
        let path = dir.join(format!("{binding}.{SUFFIX}"));
        let record = Self { process: ProcessId::of(pid), boot: boot_id(), path };
        private_file::write(&record.path, &serde_json::to_vec(&record).map_err(io::Error::other)?)?;
        Ok(record)
    }

    fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&private_file::read(path, MAX_BYTES).ok()?).ok()
    }

    /// Kills the group that the process led, if it is still that group. It is, where the process lives, and where it is
    /// gone and no other has its number: the kernel gives none away that still names a group.
    fn kill(&self) -> bool {
        let now = ProcessId::of(self.process.pid);
        let another = now.started.is_some() && now.started != self.process.started;
        let known = self.process.started.is_some() && self.boot == boot_id();
        match self.process.as_pid() {
            Some(pid) if known && !another => kill_process_group(pid, Signal::KILL).is_ok(),
            _ => false,
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Kills what earlier supervisors of this home left running; returns how many groups there were.
pub(super) fn kill_left_behind(dir: &Path) -> io::Result<usize> {
    fs::create_dir_all(dir)?;
    let mut killed = 0;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != SUFFIX) {
            continue;
        }
        if Record::read(&path).is_some_and(|record| record.kill()) {
            killed += 1;
        }
        fs::remove_file(&path)?;
    }
    Ok(killed)
}

fn boot_id() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}
