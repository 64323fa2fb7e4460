//! How a node does, as it is, not as it was.

use std::time::Duration;

use tokio::sync::watch;
use tradepost_ledger::ClosedLedger;
use tradepost_ledger::clock::Skew;

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
    /// Whether it was told first peers, and so must have one to be any good.
    pub needs_peers: bool,
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
    /// Whether that is longer than the network's ledgers take: it stands still, or the endpoint doesn't follow it.
    pub stalled: bool,
    /// How this machine's clock compares with it.
    pub skew: Skew,
    /// What is wrong, where the endpoint doesn't answer.
    pub trouble: Option<String>,
    /// Since when it doesn't.
    pub silent_for: Option<Duration>,
}

impl Health {
    /// Whether the node can do its work.
    pub fn is_ready(&self) -> bool {
        self.market.is_none() && self.ledger.is_fine() && !self.lacks_peers() && !self.stopping
    }

    /// Whether it is alone and shouldn't be.
    pub fn lacks_peers(&self) -> bool {
        self.needs_peers && self.peers == 0
    }
}

impl LedgerHealth {
    /// Whether what it says is the present.
    pub fn is_fine(&self) -> bool {
        self.trouble.is_none() && !self.stalled && matches!(self.skew, Skew::Fine | Skew::NotCompared)
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
        let age = self.clock.age();
        Health {
            ledger: LedgerHealth {
                newest: self.clock.newest(),
                age,
                stalled: age > self.facts.margins.ledger_life,
                skew: self.clock.skew(),
                trouble: trouble.as_ref().map(|trouble| trouble.error.to_string()),
                silent_for: trouble.map(|trouble| trouble.since.elapsed()),
            },
            market: self.market.has_ended(),
            peers: self.network.stats().peers_met,
            needs_peers: !self.facts.config.bootstrap.is_empty(),
            stopping: self.served.is_draining(),
        }
    }
}
