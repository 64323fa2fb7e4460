//! Runs a provider's services: a process starts when a binding does and ends with it, or a service that already runs is
//! only looked at.
//!
//! A process is started without a shell, in a group of its own, on a loopback port that the system gave, with an
//! environment that holds no secret of the node. It counts as started when its health path answers 2xx in time;
//! accepting connections is not enough. To stop it the whole group is asked (SIGTERM) and, after a deadline, killed.
//! It isn't started again by itself: its exit is an event, and what follows is the trade's to decide.
//!
//! **After a crash of the node** its services may live on. Each has a record in the home from before its process starts
//! until that has ended; [`Supervisor::new`] kills what it finds by them. (The kernel's own way, a signal at the parent's
//! death, is tied to the parent's *thread* and to the first process alone, and asks for unsafe code here.)

mod health;
mod log;
mod process;
mod record;
mod run;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tradepost_protocol::message::BindingId;

use crate::config::{ServiceConfig, ServiceSource};
use crate::home::Home;
use health::HealthCheck;
use log::Log;
pub use log::{LINE_BYTES, LINES, LogLine, Stream};

/// Most bindings whose services run at once, over all services.
pub const MAX_RUNS: usize = 1_024;
/// Ended runs whose log is kept, count.
pub const ENDED_LOGS: usize = 64;
/// Events that wait for the owner, count; then services' next steps wait for it too.
const EVENTS: usize = 256;

/// What became of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceEvent {
    /// It is healthy and reached there.
    Started {
        /// For whom.
        binding: BindingId,
        /// Where, without a path's slash at the end.
        base_url: String,
    },
    /// It didn't come to that; nothing of it runs.
    StartFailed {
        /// For whom.
        binding: BindingId,
        /// Why, in words that the consumer may read.
        why: StartFailure,
    },
    /// It ended by itself after it had started.
    Exited {
        /// For whom.
        binding: BindingId,
        /// Its exit code; `None` where a signal ended it.
        code: Option<i32>,
    },
    /// It ended because it was asked to, or wasn't needed any more before it had started.
    Stopped {
        /// For whom.
        binding: BindingId,
    },
}

/// Why a service didn't start. Its text shows neither paths nor output of the provider's machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartFailure {
    /// The command can't be run.
    #[error("the service's command can't be run: {0}")]
    Command(io::ErrorKind),
    /// No port, or no place to keep the record.
    #[error("the provider's machine has no place for the service: {0}")]
    Machine(io::ErrorKind),
    /// It ended before it was healthy.
    #[error("the service ended before it was healthy ({})", exit_text(*.0))]
    Ended(Option<i32>),
    /// It never became healthy.
    #[error("the service was not healthy within {} s: {last}", .after.as_secs())]
    Unhealthy {
        /// How long it was given.
        after: Duration,
        /// What the last look at it found.
        last: String,
    },
}

fn exit_text(code: Option<i32>) -> String {
    code.map_or_else(|| "ended by a signal".to_owned(), |code| format!("exit code {code}"))
}

/// Why a service isn't begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SupervisorError {
    /// It runs for this binding already.
    #[error("the service of binding {0} runs already")]
    Running(BindingId),
    /// All places are taken.
    #[error("{name} runs {max} times already, as often as `max_runs` allows")]
    Full {
        /// The service.
        name: String,
        /// Its bound.
        max: usize,
    },
    /// The supervisor is closing.
    #[error("the node is shutting down and starts no service")]
    Closing,
}

/// What one binding's service needs.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    /// The service's name in the configuration.
    pub name: String,
    /// What the configuration says of it.
    pub config: ServiceConfig,
    /// Environment variables that this binding adds, such as its units.
    pub env: BTreeMap<String, String>,
}

/// One running service, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Running {
    /// For whom.
    pub binding: BindingId,
    /// The service's name.
    pub name: String,
    /// The process; `None` where the service isn't ours to run, or not up yet.
    pub pid: Option<u32>,
    /// Where it is reached, once it is healthy.
    pub base_url: Option<String>,
}

/// Starts and stops services. Clones are handles of the same supervisor.
#[derive(Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

struct Shared {
    records: PathBuf,
    health: HealthCheck,
    events: mpsc::Sender<ServiceEvent>,
    state: Mutex<State>,
    tasks: TaskTracker,
    closing: CancellationToken,
    /// Cancelled once nothing may take its time any more.
    killing: CancellationToken,
}

#[derive(Default)]
struct State {
    runs: HashMap<BindingId, Run>,
    ended: VecDeque<(BindingId, Arc<Log>)>,
}

struct Run {
    name: String,
    stop: CancellationToken,
    log: Arc<Log>,
    pid: Option<u32>,
    base_url: Option<String>,
}

impl Supervisor {
    /// A supervisor for this home, which must be locked by this process: what an earlier run left behind is killed, and
    /// gone when this returns. Runs its tasks on the current tokio runtime.
    ///
    /// # Errors
    /// The system's, where the records can't be read or the HTTP client can't be made.
    pub async fn new(home: &Home) -> io::Result<(Self, mpsc::Receiver<ServiceEvent>)> {
        let records = home.services_dir();
        let killed = record::kill_left_behind(&records).await?;
        if killed > 0 {
            tracing::warn!(killed, "services of an earlier run still ran and were killed");
        }
        let (events, received) = mpsc::channel(EVENTS);
        let shared = Shared {
            records,
            health: HealthCheck::new()?,
            events,
            state: Mutex::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            killing: CancellationToken::new(),
        };
        Ok((Self { shared: Arc::new(shared) }, received))
    }

    /// Begins to start a binding's service; an event tells how that went.
    ///
    /// # Errors
    /// [`SupervisorError`]; then no event follows.
    pub fn start(&self, binding: BindingId, spec: ServiceSpec) -> Result<(), SupervisorError> {
        let stop = self.shared.closing.child_token();
        let log = Arc::new(Log::default());
        {
            let mut state = self.shared.state();
            if self.shared.closing.is_cancelled() {
                return Err(SupervisorError::Closing);
            }
            if state.runs.contains_key(&binding) {
                return Err(SupervisorError::Running(binding));
            }
            let max = match &spec.config.source {
                ServiceSource::Started { max_runs, .. } => (*max_runs as usize).min(MAX_RUNS),
                ServiceSource::Running { .. } => MAX_RUNS,
            };
            let same = state.runs.values().filter(|run| run.name == spec.name).count();
            if same >= max || state.runs.len() >= MAX_RUNS {
                return Err(SupervisorError::Full { name: spec.name, max });
            }
            let (name, stop, log) = (spec.name.clone(), stop.clone(), Arc::clone(&log));
            state.runs.insert(binding, Run { name, stop, log, pid: None, base_url: None });
        }
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            let last = run::run(&shared, binding, spec, &stop, &log).await;
            shared.ended(binding);
            shared.tell(last).await;
        });
        Ok(())
    }

    /// Begins to stop a binding's service, if it runs; [`ServiceEvent::Stopped`] follows when nothing of it is left.
    pub fn stop(&self, binding: &BindingId) {
        if let Some(run) = self.shared.state().runs.get(binding) {
            run.stop.cancel();
        }
    }

    /// What runs now.
    pub fn running(&self) -> Vec<Running> {
        let state = self.shared.state();
        let view = |(binding, run): (&BindingId, &Run)| Running {
            binding: *binding,
            name: run.name.clone(),
            pid: run.pid,
            base_url: run.base_url.clone(),
        };
        state.runs.iter().map(view).collect()
    }

    /// Where a binding's service is reached, once it is healthy; without a path's slash at the end.
    pub fn base_url(&self, binding: &BindingId) -> Option<String> {
        self.shared.state().runs.get(binding)?.base_url.clone()
    }

    /// The last lines that a binding's service wrote; also for a while after it ended.
    pub fn log(&self, binding: &BindingId) -> Option<Vec<LogLine>> {
        let state = self.shared.state();
        let ended = || state.ended.iter().rev().find(|(id, _)| id == binding).map(|(_, log)| log);
        state.runs.get(binding).map(|run| &run.log).or_else(ended).map(|log| log.lines())
    }

    /// Stops every service and returns when none is left. Each may take its `stop_timeout`. Events must still be
    /// received, or dropped with their receiver.
    pub async fn close(&self) {
        {
            // Under the lock, so that no start slips in between.
            let _state = self.shared.state();
            self.shared.closing.cancel();
            self.shared.tasks.close();
        }
        self.shared.tasks.wait().await;
    }

    /// As [`Supervisor::close`], but no service is given time to end by itself.
    pub async fn kill(&self) {
        self.shared.killing.cancel();
        self.close().await;
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("running", &self.running()).finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where nobody receives events any more, nobody wants them.
    async fn tell(&self, event: ServiceEvent) {
        let _ = self.events.send(event).await;
    }

    fn update(&self, binding: &BindingId, change: impl FnOnce(&mut Run)) {
        if let Some(run) = self.state().runs.get_mut(binding) {
            change(run);
        }
    }

    fn ended(&self, binding: BindingId) {
        let mut state = self.state();
        let Some(run) = state.runs.remove(&binding) else { return };
        if state.ended.len() == ENDED_LOGS {
            state.ended.pop_front();
        }
        state.ended.push_back((binding, run.log));
    }
}

#[cfg(test)]
mod tests;
