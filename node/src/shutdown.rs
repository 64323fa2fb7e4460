//! How a person, or the system, ends the program: the first signal drains, the second forces.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The two steps of ending. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    force: CancellationToken,
}

impl Shutdown {
    /// Begins to listen for SIGINT, SIGTERM and SIGHUP; from then on they no longer end the process by themselves.
    ///
    /// # Errors
    /// The system's, where it lets nobody listen.
    pub fn on_signals() -> io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        let hangup = signal(SignalKind::hangup())?;
        let shutdown = Self::default();
        tokio::spawn(shutdown.clone().listen([interrupt, terminate, hangup]));
        Ok(shutdown)
    }

    /// Takes the next step, as a signal would.
    pub fn step(&self) {
        if self.drain.is_cancelled() { self.force.cancel() } else { self.drain.cancel() }
    }

    /// Cancelled from the first signal on: take no new work, finish what runs.
    pub fn drain(&self) -> &CancellationToken {
        &self.drain
    }

    /// Cancelled from the second signal on: end now.
    pub fn force(&self) -> &CancellationToken {
        &self.force
    }

    async fn listen(self, [mut interrupt, mut terminate, mut hangup]: [Signal; 3]) {
        while !self.force.is_cancelled() {
            let heard = tokio::select! {
                heard = interrupt.recv() => heard,
                heard = terminate.recv() => heard,
                heard = hangup.recv() => heard,
            };
            if heard.is_none() {
                return;
            }
            self.step();
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn the_first_signal_drains_and_the_second_forces() {
        let shutdown = Shutdown::on_signals().unwrap();
        let deadline = Duration::from_secs(10);
        kill_process(getpid(), Signal::HUP).unwrap();
        tokio::time::timeout(deadline, shutdown.drain().cancelled()).await.unwrap();
        assert!(!shutdown.force().is_cancelled());
        kill_process(getpid(), Signal::HUP).unwrap();
        tokio::time::timeout(deadline, shutdown.force().cancelled()).await.unwrap();
    }
}
