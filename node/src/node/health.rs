//! How a node does, as it is, not as it was.

use std::time::Duration;

use tokio::sync::watch;
use tradepost_ledger::ClosedLedger;

use super::NodeHandle;
use crate::market::Ended;

/// How a node does at one moment.
#[derive(Debug, Clone)]
pub struct Health {
    /// The way to the ledger.
    pub ledger: LedgerHealth,
    /// Why the market no longer works, where it doesn't; a store that can't be written to is among the reasons.
    pub market: Option<Ended>,
    /// Connected peers that speak our protocols on our network.
    pub peers: u64,
    /// Whether the node is stopping.
    pub stopping: bool,
}

/// How the way to the ledger does.
#[derive(Debug, Clone)]
pub struct LedgerHealth {
    /// The newest ledger.
    pub newest: ClosedLedger,
    /// How long ago that was first seen.
    pub age: Duration,
    /// What is wrong, where the endpoint doesn't answer.
    pub trouble: Option<String>,
    /// Since when it doesn't.
    pub silent_for: Option<Duration>,
}

impl Health {
    /// Whether the node can do its work.
    pub fn is_ready(&self) -> bool {
        self.market.is_none() && self.ledger.trouble.is_none() && !self.stopping
    }
}

impl NodeHandle {
    /// How the way to the ledger does, with a notice after each question.
    pub fn ledger_health(&self) -> watch::Receiver<tradepost_ledger::watch::Health> {
        self.watch.health()
    }

    /// Waits until the node begins to stop.
    pub async fn stopping(&self) {
        self.served.draining().cancelled().await;
    }

    /// How the node does now.
    pub fn health(&self) -> Health {
        let trouble = self.watch.health().borrow().trouble.clone();
        Health {
            ledger: LedgerHealth {
                newest: self.clock.newest(),
                age: self.clock.age(),
                trouble: trouble.as_ref().map(|trouble| trouble.error.to_string()),
                silent_for: trouble.map(|trouble| trouble.since.elapsed()),
            },
            market: self.market.has_ended(),
            peers: self.network.stats().peers_met,
            stopping: self.served.is_draining(),
        }
    }
}
