//! One process of this machine, told apart from a later one with the same number.

use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

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
        Self { pid, started: start_time(pid) }
    }

    /// Whether the process still exists. Where start times are unknown, another one with its number counts as it.
    pub fn is_alive(self) -> bool {
        let Some(pid) = self.as_pid() else { return false };
        // A refusal of permission means that the process is there, as another user's.
        let exists = !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH));
        exists && (self.started.is_none() || start_time(self.pid) == self.started)
    }

    /// The number in the form that system calls take; `None` for 0 and what is no process number.
    pub(crate) fn as_pid(self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.pid).ok()?)
    }
}

/// Field 22 of `/proc/PID/stat` (proc(5)); the name in field 2 may hold spaces and brackets. A zombie has ended.
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
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
}
