//! One process of this machine, told apart from a later one with the same number.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// Most of an environment that is read, bytes: more than the system lets a program start with.
const MAX_ENVIRONMENT: u64 = 8 * 1024 * 1024;

/// A process by its number and the moment it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The system's number for it.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did; unknown where the system has no `/proc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
}

impl ProcessId {
    /// This very process.
    pub fn current() -> Self {
        Self::of(std::process::id())
    }

    /// The process that has this number now.
    pub fn of(pid: u32) -> Self {
        Self { pid, started: Stat::of(pid).map(|stat| stat.started) }
    }

    /// Whether the process still exists. Where start times are unknown, another one with its number counts as it.
    pub fn is_alive(self) -> bool {
        let Some(pid) = self.as_pid() else { return false };
        // A refusal of permission means that the process is there, as another user's.
        let exists = !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH));
        exists && (self.started.is_none() || Self::of(self.pid) == self)
    }

    /// The number in the form that system calls take; `None` for 0 and what is no process number.
    pub(crate) fn as_pid(self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.pid).ok()?)
    }
}

/// A process as `/proc` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Which.
    pub id: ProcessId,
    /// The number of its group.
    pub group: u32,
}

impl Seen {
    /// The value of a variable in the environment that the process was started with; `None` also where that can't be
    /// read, as of another user's process, or where the process has written over it.
    pub fn variable(&self, name: &str) -> Option<Vec<u8>> {
        let mut environment = Vec::new();
        let file = File::open(format!("/proc/{}/environ", self.id.pid)).ok()?;
        file.take(MAX_ENVIRONMENT).read_to_end(&mut environment).ok()?;
        let value = |entry: &[u8]| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec);
        environment.split(|&byte| byte == 0).find_map(value)
    }
}

/// All processes that live now, as far as `/proc` shows them; none where the system has none.
pub fn all() -> impl Iterator<Item = Seen> {
    let number = |name: &OsStr| std::str::from_utf8(name.as_bytes()).ok()?.parse().ok();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(move |entry| number(&entry.file_name())).filter_map(|pid| {
        let stat = Stat::of(pid)?;
        Some(Seen { id: ProcessId { pid, started: Some(stat.started) }, group: stat.group })
    })
}

/// What is of interest in `/proc/PID/stat` (proc(5)).
struct Stat {
    group: u32,
    started: u64,
}

impl Stat {
    /// Fields 5 and 22; the name in field 2 may hold spaces and brackets. A zombie has ended.
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        if matches!(fields.first(), None | Some(&("Z" | "X"))) {
            return None;
        }
        Some(Self { group: fields.get(2)?.parse().ok()?, started: fields.get(19)?.parse().ok()? })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_an_earlier_one_with_its_number_is_not() {
        let this = ProcessId::current();
        assert!(this.is_alive());
        if let Some(started) = this.started {
            assert!(!ProcessId { started: Some(started - 1), ..this }.is_alive());
        }
    }

    #[test]
    fn an_ended_process_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let id = ProcessId::of(child.id());
        child.wait().unwrap();
        assert!(!id.is_alive());
        assert!(!ProcessId { pid: 0, started: None }.is_alive());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_is_found_with_its_group_and_what_its_environment_said() {
        let mut sleep = std::process::Command::new("sleep");
        sleep.arg("600").env("MARK_OF_A_TEST", "one=two");
        let mut child = std::os::unix::process::CommandExt::process_group(&mut sleep, 0).spawn().unwrap();
        let seen = all().find(|seen| seen.id.pid == child.id()).unwrap();
        assert_eq!((seen.id, seen.group), (ProcessId::of(child.id()), child.id()));
        assert_eq!(seen.variable("MARK_OF_A_TEST").as_deref(), Some(b"one=two".as_slice()));
        assert_eq!(seen.variable("MARK_OF_A"), None);
        child.kill().unwrap();
        // Nobody has waited for it yet: it is a zombie, which has ended.
        while seen.id.is_alive() {
            std::thread::yield_now();
        }
        assert!(all().all(|other| other.id.pid != child.id()));
        child.wait().unwrap();
    }
}
