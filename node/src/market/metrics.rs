//! What the market counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tradepost_protocol::refusal::Reason;

use crate::telemetry::Metrics;

type Labels = [(&'static str, &'static str); 1];

/// The market's counters; clones count together.
#[derive(Debug, Clone)]
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
    /// One a reason, in their order: an alarm must not wait for the first refusal.
    refusals: Vec<(Reason, Counter)>,
}

impl Default for MarketMetrics {
    fn default() -> Self {
        Self {
            events: Counter::default(),
            accepted: Counter::default(),
            overloaded: Family::default(),
            effects_dropped: Counter::default(),
            publishes_dropped: Counter::default(),
            refusals: Reason::ALL.iter().map(|reason| (*reason, Counter::default())).collect(),
        }
    }
}

impl MarketMetrics {
    /// Counters that stand in the node's registry.
    pub fn registered(metrics: &Metrics) -> Self {
        let mut market = Self::default();
        let refusals = Family::<Labels, Counter>::default();
        for (reason, counter) in &mut market.refusals {
            *counter = refusals.get_or_create(&[("reason", reason.code())]).clone();
        }
        metrics.register(|registry| {
            registry.register("market_events", "Events that the market handled", market.events.clone());
            registry.register("messages_accepted", "Gossiped messages taken", market.accepted.clone());
            registry.register("messages_refused", "Messages of peers refused, by reason", refusals);
            let help = "Messages of peers left unanswered for lack of time, by sort";
            registry.register("messages_overloaded", help, market.overloaded.clone());
            let help = "Questions not asked because too many were under way";
            registry.register("effects_dropped", help, market.effects_dropped.clone());
            let help = "Own messages not gossiped because too many waited";
            registry.register("publishes_dropped", help, market.publishes_dropped.clone());
        });
        market
    }

    /// Takes over how often the market has refused for each reason. It alone counts, for it alone knows them all.
    pub fn refused(&self, of: impl Fn(Reason) -> u64) {
        for (reason, counter) in &self.refusals {
            counter.inc_by(of(*reason).saturating_sub(counter.get()));
        }
    }

    /// Counts something of a peer's that was left unanswered.
    pub fn overload(&self, sort: &'static str) {
        self.overloaded.get_or_create(&[("sort", sort)]).inc();
    }
}

#[cfg(test)]
mod tests {
    use tradepost_protocol::refusal::table;

    use super::*;
    use crate::problem_code::ProblemCode;

    const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md"));

    /// The table as the page has it: each part's title, with the cells of its rows.
    fn page() -> Vec<(&'static str, Vec<Vec<&'static str>>)> {
        let parts = PAGE.split("\n## ").skip(1);
        let cells = |row: &'static str| row.trim_matches('|').split('|').map(|c| c.trim().trim_matches('`')).collect();
        parts
            .map(|part| {
                let title = part.lines().next().unwrap_or_default();
                (title, part.lines().filter(|line| line.starts_with('|')).skip(2).map(cells).collect())
            })
            .collect()
    }

    #[test]
    fn the_table_of_refusals_its_page_and_the_metrics_labels_are_the_same() {
        let table = table();
        let row = |rule: &&'static tradepost_protocol::refusal::Rule| {
            vec![rule.code, rule.fault.as_str(), rule.meaning, rule.remedy]
        };
        let expected: Vec<(&str, Vec<Vec<&str>>)> =
            table.iter().map(|part| (part.title, part.rules.iter().map(row).collect())).collect();
        let code = |code: &ProblemCode| vec![code.code(), code.meaning(), code.remedy()];
        let answers = ("API and calls", ProblemCode::ALL.iter().map(code).collect());
        let whole: Vec<_> = expected.iter().cloned().chain([answers]).collect();
        assert_eq!(page(), whole, "docs/errors.md and the tables differ");

        let metrics = Metrics::new();
        let market = MarketMetrics::registered(&metrics);
        let labels = |text: &str| -> Vec<(String, u64)> {
            let counts = text
                .lines()
                .filter_map(|line| line.split_once("messages_refused_total{reason=\"")?.1.split_once("\"} "));
            let mut found: Vec<_> =
                counts.map(|(code, count)| (code.to_owned(), count.parse().expect("a count"))).collect();
            found.sort();
            found
        };
        let with_count = |count: u64| -> Vec<(String, u64)> {
            let mut codes: Vec<_> = expected[0].1.iter().map(|row| (row[0].to_owned(), count)).collect();
            codes.sort();
            codes
        };
        assert_eq!(labels(&metrics.encode()), with_count(0), "labels before the first refusal");
        market.refused(|_| 1);
        market.refused(|_| 1);
        assert_eq!(labels(&metrics.encode()), with_count(1), "labels after one refusal of each");
    }
}
