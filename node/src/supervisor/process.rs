//! One process with its group: started without a shell, ended with everything that it started.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::log::{Log, Stream};
use super::record;

/// What a service gets of the node's own environment; nothing else there is its business.
const INHERITED: [&str; 5] = ["PATH", "HOME", "LANG", "TZ", "TMPDIR"];
/// How long the rest of the output may take to arrive after the process ended.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

/// What to start.
pub(super) struct Start<'a> {
    pub(super) command: &'a [String],
    pub(super) env: &'a [&'a BTreeMap<String, String>],
    pub(super) dir: &'a Path,
    pub(super) binding: &'a str,
    pub(super) record: &'a Path,
    pub(super) port: u16,
}

/// A running process, the leader of its group. Dropped, it is killed with its group.
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    outputs: [JoinHandle<()>; 2],
}

impl Process {
    pub(super) fn start(start: &Start<'_>, log: &Arc<Log>) -> io::Result<Self> {
        let port = start.port.to_string();
        let filled = |text: &String| text.replace("{port}", &port).replace("{binding}", start.binding);
        let (program, arguments) = start.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(filled(program));
        command.args(arguments.iter().map(filled)).env_clear();
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        for env in start.env {
            command.envs(*env);
        }
        command.env("PORT", &port).env("TRADEPOST_BINDING", start.binding).env(record::VARIABLE, start.record);
        if !start.dir.as_os_str().is_empty() {
            command.current_dir(start.dir);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (out_log, err_log) = (Arc::clone(log), Arc::clone(log));
        let outputs = [
            tokio::spawn(async move {
                if let Some(out) = out {
                    out_log.read(Stream::Stdout, out).await;
                }
            }),
            tokio::spawn(async move {
                if let Some(err) = err {
                    err_log.read(Stream::Stderr, err).await;
                }
            }),
        ];
        Ok(Self { child, group, outputs })
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the end of the first process, then kills what it left in its group.
    pub(super) async fn ended(&mut self) -> Option<i32> {
        let status = self.child.wait().await;
        self.finish().await;
        status.ok().as_ref().and_then(ExitStatus::code)
    }

    /// Asks the group to end, and kills it when the deadline has passed, or at once when `now` is cancelled.
    pub(super) async fn stop(&mut self, deadline: Duration, now: &CancellationToken) {
        self.signal(Signal::TERM);
        let patience = async {
            tokio::select! {
                () = tokio::time::sleep(deadline) => {}
                () = now.cancelled() => {}
            }
        };
        let ended = tokio::select! {
            _ = self.child.wait() => true,
            () = patience => false,
        };
        if !ended {
            self.signal(Signal::KILL);
            // After SIGKILL the end is the kernel's work; where it can't be waited for, it is no longer our child.
            let _ = self.child.wait().await;
        }
        self.finish().await;
    }

    /// A group's number isn't given to another process while the group has members (`kill(2)` then says that there is
    /// none), so this reaches only what the service started.
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, signal);
        }
    }

    async fn finish(&mut self) {
        self.signal(Signal::KILL);
        self.group = None;
        // Finished ones are passed over, for a task's end can be awaited only once and this may be called again.
        for output in self.outputs.iter_mut().filter(|output| !output.is_finished()) {
            // A process that left the group may hold the pipe open for ever.
            if tokio::time::timeout(OUTPUT_GRACE, &mut *output).await.is_err() {
                output.abort();
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// A loopback port that is free now. Another program may take it before the service does; then the service says so and
/// its start fails.
pub(super) async fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?.port())
}
