//! One child process of the demo: its log in a file, its end in our hands.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::config;
use crate::private_file;

/// How often something that gives no event is looked at.
pub const LOOKED_AT_EVERY: Duration = Duration::from_millis(20);
/// How much of a log's end is shown when something fails, bytes.
const TAIL_BYTES: u64 = 4 * 1024;
/// Most lines of it.
const TAIL_LINES: usize = 12;

/// A command of this program for a child, with nothing of the caller's own settings.
pub(super) fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    let ours = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.starts_with(config::PREFIX));
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    // A group of its own, so that Ctrl-C at the terminal reaches the demo alone, which then ends its children in order.
    command.args(arguments).stdin(Stdio::null()).process_group(0);
    command
}

/// A running child. Dropped, it is killed, unless it was released.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    released: bool,
}

impl Process {
    /// Starts it with both outputs going to a log file; `output` is where its standard output goes instead, if anywhere.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn start(mut command: Command, log: &Path, output: Option<&Path>) -> io::Result<Self> {
        let err = open_log(log)?;
        let out = output.map_or_else(|| err.try_clone(), open_log)?;
        let child = command.stdout(out).stderr(err).spawn()?;
        Ok(Self { child, log: log.to_owned(), released: false })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it writes its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        // It is our child and nobody else waits for it, so there is an answer.
        self.child.try_wait().ok().flatten()
    }

    /// Ends it at once, as a crash would: nothing of it can run any more (SIGKILL).
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM).
    pub fn ask_to_end(&mut self) {
        if self.ended().is_none()
            && let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw)
        {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits until it has ended; kills it where it takes longer. Returns how it ended by itself.
    pub async fn end_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            tokio::time::sleep(LOOKED_AT_EVERY).await;
        }
        self.kill();
        None
    }

    /// Lets it live on after this value.
    pub fn release(&mut self) {
        self.released = true;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.released {
            self.kill();
        }
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(private_file::MODE).open(path)
}

/// The last lines of a log.
pub fn tail(path: &Path) -> Vec<String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut end = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut end)?;
        Ok(end)
    };
    let end = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&end);
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)).map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::process_id::ProcessId;

    fn sleeper(log: &Path) -> Process {
        Process::start(command(Path::new("sleep"), &["600"]), log, None).unwrap()
    }

    #[test]
    fn a_child_ends_with_its_value() {
        let dir = tempfile::tempdir().unwrap();
        let child = sleeper(&dir.path().join("log"));
        let id = ProcessId::of(child.pid());
        assert!(id.is_alive());
        drop(child);
        assert!(!id.is_alive());
    }

    #[tokio::test]
    async fn a_child_that_is_asked_ends_and_one_that_does_not_listen_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = sleeper(&dir.path().join("log"));
        child.ask_to_end();
        assert!(child.end_within(Duration::from_secs(10)).await.is_some());
        let mut stubborn = sleeper(&dir.path().join("log"));
        let id = ProcessId::of(stubborn.pid());
        assert!(stubborn.end_within(Duration::ZERO).await.is_none());
        assert!(!id.is_alive());
    }

    #[test]
    fn a_released_child_lives_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = sleeper(&dir.path().join("log"));
        let id = ProcessId::of(child.pid());
        child.release();
        drop(child);
        assert!(id.is_alive());
        kill_process(Pid::from_raw(id.pid.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
    }

    #[tokio::test]
    async fn both_outputs_are_in_the_log_and_its_end_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do echo $i; done; echo last >&2";
        let mut child = Process::start(command(Path::new("sh"), &["-c", script]), &log, None).unwrap();
        child.end_within(Duration::from_secs(10)).await.unwrap();
        let tail = tail(&log);
        assert_eq!((tail.len(), tail.last().unwrap().as_str()), (TAIL_LINES, "last"));
        assert!(super::tail(&dir.path().join("none")).is_empty());
    }
}
