//! What the market counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tradepost_protocol::refusal::Reason;

use crate::telemetry::Metrics;

type Labels = [(&'static str, &'static str); 1];

/// The market's counters; clones count together.
#[derive(Debug, Clone, Default)]
pub struct MarketMetrics {
    /// Events that the market handled.
    pub events: Counter,
    /// Gossiped messages that were taken.
    pub accepted: Counter,
    /// Gossip ignored, and requests answered empty, because the market had too much to do.
    pub overloaded: Family<Labels, Counter>,
    /// Questions to the ledger or to peers that were not asked because too many were under way.
    pub effects_dropped: Counter,
    /// Messages of one's own that were not gossiped because too many waited.
    pub publishes_dropped: Counter,
    refusals: Family<Labels, Counter>,
}

impl MarketMetrics {
    /// Counters that stand in the node's registry.
    pub fn registered(metrics: &Metrics) -> Self {
        let market = Self::default();
        metrics.register(|registry| {
            registry.register("market_events", "Events that the market handled", market.events.clone());
            registry.register("messages_accepted", "Gossiped messages taken", market.accepted.clone());
            registry.register("messages_refused", "Messages of peers refused, by reason", market.refusals.clone());
            let help = "Messages of peers left unanswered for lack of time, by sort";
            registry.register("messages_overloaded", help, market.overloaded.clone());
            let help = "Questions not asked because too many were under way";
            registry.register("effects_dropped", help, market.effects_dropped.clone());
            let help = "Own messages not gossiped because too many waited";
            registry.register("publishes_dropped", help, market.publishes_dropped.clone());
        });
        market
    }

    /// Counts a refusal.
    pub fn refused(&self, reason: Reason) {
        self.refusals.get_or_create(&[("reason", reason.code())]).inc();
    }

    /// Counts something of a peer's that was left unanswered.
    pub fn overload(&self, sort: &'static str) {
        self.overloaded.get_or_create(&[("sort", sort)]).inc();
    }
}
