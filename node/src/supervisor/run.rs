//! One binding's service from its start to its end.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tradepost_protocol::message::BindingId;

use super::log::Log;
use super::process::{Process, Start, free_port};
use super::record::Record;
use super::{ServiceEvent, ServiceSpec, Shared, StartFailure};
use crate::config::{ServiceConfig, ServiceSource};

/// Runs a service to its end and returns the last event about it.
pub(super) async fn run(
    shared: &Shared,
    binding: BindingId,
    spec: ServiceSpec,
    stop: &CancellationToken,
    log: &Arc<Log>,
) -> ServiceEvent {
    let run = OneRun { shared, binding, stop, config: &spec.config };
    match &spec.config.source {
        ServiceSource::Running { url } => run.look_at(url.as_str().trim_end_matches('/')).await,
        ServiceSource::Started { command, env, dir, stop_timeout, .. } => {
            let own = Own { command, env: [env, &spec.env], dir, stop_timeout: *stop_timeout };
            match run.process(&own, log).await {
                Ok(event) => event,
                Err(why) => ServiceEvent::StartFailed { binding, why },
            }
        }
    }
}

/// What concerns a process of our own.
struct Own<'a> {
    command: &'a [String],
    env: [&'a BTreeMap<String, String>; 2],
    dir: &'a Path,
    stop_timeout: Duration,
}

struct OneRun<'a> {
    shared: &'a Shared,
    binding: BindingId,
    stop: &'a CancellationToken,
    config: &'a ServiceConfig,
}

/// How the wait for health ended.
enum Health {
    Healthy,
    Stopped,
    Failed(StartFailure),
}

impl OneRun<'_> {
    async fn look_at(&self, base_url: &str) -> ServiceEvent {
        let binding = self.binding;
        match self.healthy(base_url).await {
            Health::Stopped => return ServiceEvent::Stopped { binding },
            Health::Failed(why) => return ServiceEvent::StartFailed { binding, why },
            Health::Healthy => self.started(base_url).await,
        }
        self.stop.cancelled().await;
        ServiceEvent::Stopped { binding }
    }

    async fn process(&self, own: &Own<'_>, log: &Arc<Log>) -> Result<ServiceEvent, StartFailure> {
        let binding = self.binding;
        let machine = |e: io::Error| StartFailure::Machine(e.kind());
        // Before the process is there: a node that is killed in between must find it again.
        let record = Record::ahead(&self.shared.records, &binding).map_err(machine)?;
        let port = free_port().await.map_err(machine)?;
        if self.stop.is_cancelled() {
            return Ok(ServiceEvent::Stopped { binding });
        }
        let base_url = format!("http://127.0.0.1:{port}");
        let id = binding.to_string();
        let (command, env, dir) = (own.command, &own.env, own.dir);
        let start = Start { command, env, dir, binding: &id, record: record.path(), port };
        let mut process = Process::start(&start, log).map_err(|e| StartFailure::Command(e.kind()))?;
        if let Err(e) = process.pid().map_or(Ok(()), |pid| record.running(pid)) {
            self.end(&mut process, own).await;
            return Err(machine(e));
        }
        self.shared.update(&binding, |run| run.pid = process.pid());

        let health = tokio::select! {
            code = process.ended() => return Err(StartFailure::Ended(code)),
            health = self.healthy(&base_url) => health,
        };
        if let Health::Stopped | Health::Failed(_) = health {
            self.end(&mut process, own).await;
        }
        match health {
            Health::Stopped => return Ok(ServiceEvent::Stopped { binding }),
            Health::Failed(why) => return Err(why),
            Health::Healthy => self.started(&base_url).await,
        }
        tokio::select! {
            code = process.ended() => Ok(ServiceEvent::Exited { binding, code }),
            () = self.stop.cancelled() => {
                self.end(&mut process, own).await;
                Ok(ServiceEvent::Stopped { binding })
            }
        }
    }

    async fn end(&self, process: &mut Process, own: &Own<'_>) {
        process.stop(own.stop_timeout, &self.shared.killing).await;
    }

    async fn healthy(&self, base_url: &str) -> Health {
        let mut last = "nothing was seen of it".to_owned();
        let url = format!("{base_url}{}", self.config.health);
        let after = self.config.start_timeout;
        tokio::select! {
            () = self.stop.cancelled() => return Health::Stopped,
            waited = tokio::time::timeout(after, self.shared.health.wait(&url, &mut last)) => if waited.is_ok() {
                return Health::Healthy;
            },
        }
        Health::Failed(StartFailure::Unhealthy { after, last })
    }

    async fn started(&self, base_url: &str) {
        self.shared.update(&self.binding, |run| run.base_url = Some(base_url.to_owned()));
        self.shared.tell(ServiceEvent::Started { binding: self.binding, base_url: base_url.to_owned() }).await;
    }
}
