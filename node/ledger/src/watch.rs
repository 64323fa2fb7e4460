//! Each new ledger as it closes, and how the endpoint does.

use core::time::Duration;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::clock::LedgerClock;
use crate::error::LedgerError;
use crate::ledger::{ClosedLedger, Head, Ledger};

/// How the way to the ledger does.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// When the endpoint last answered.
    pub answered: Option<Instant>,
    /// What is wrong, and since when, where the last question had no answer.
    pub trouble: Option<Trouble>,
}

/// What is wrong with the way to the ledger.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// The newest error.
    pub error: LedgerError,
    /// Since when there has been no answer.
    pub since: Instant,
    /// Questions without an answer since then.
    pub failures: u32,
}

/// A task that asks for the newest ledger at an interval. It ends when this is dropped.
#[derive(Debug)]
pub struct LedgerWatch {
    heads: watch::Receiver<Option<Head>>,
    health: watch::Receiver<Health>,
    task: JoinHandle<()>,
}

impl LedgerWatch {
    /// Starts the task: it asks every so often, sets the clock, and tells who listens. Must be called in a runtime.
    ///
    /// After trouble it makes sure that the network is the one before. Where that was reset, the task ends with this as
    /// its last trouble: there is nothing left to wait for.
    pub fn spawn(ledger: Arc<dyn Ledger>, clock: Arc<LedgerClock>, every: Duration) -> Self {
        let (tell_head, heads) = watch::channel(None);
        let (tell_health, health) = watch::channel(Health::default());
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(every.max(SHORTEST_INTERVAL));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let troubled = tell_health.borrow().trouble.is_some();
                match news(&*ledger, troubled.then(|| clock.newest())).await {
                    Ok(head) => {
                        clock.observe(head.ledger);
                        tell_health.send_modify(Health::answer);
                        tell_head.send_if_modified(|newest: &mut Option<Head>| {
                            let newer = newest.is_none_or(|newest| head.ledger.sequence > newest.ledger.sequence);
                            if newer {
                                *newest = Some(head);
                            }
                            newer
                        });
                    }
                    Err(error @ LedgerError::Reset { .. }) => {
                        tracing::error!(%error, "the ledger is gone");
                        tell_health.send_modify(|health| health.fail(error));
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no news of the ledger");
                        tell_health.send_modify(|health| health.fail(error));
                    }
                }
            }
        });
        Self { heads, health, task }
    }

    /// The newest ledger with what its header says, once one was read, and a notice of each newer one. Who is slow misses
    /// the ones in between, never the newest.
    pub fn heads(&self) -> watch::Receiver<Option<Head>> {
        self.heads.clone()
    }

    /// How the endpoint does, with a notice after each question.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }
}

/// The newest ledger, of the network that held this earlier one.
async fn news(ledger: &dyn Ledger, before: Option<ClosedLedger>) -> Result<Head, LedgerError> {
    if let Some(before) = before {
        ledger.confirm(&[before]).await?;
    }
    ledger.head().await
}

/// The shortest interval between two questions, whatever is configured.
pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(20);

impl Health {
    fn answer(&mut self) {
        self.answered = Some(Instant::now());
        self.trouble = None;
    }

    fn fail(&mut self, error: LedgerError) {
        let (since, failures) = self.trouble.as_ref().map_or((Instant::now(), 0), |t| (t.since, t.failures));
        self.trouble = Some(Trouble { error, since, failures: failures.saturating_add(1) });
    }
}

impl Drop for LedgerWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
