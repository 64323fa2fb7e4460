//! What is read at the moment when somebody asks for metrics.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use tradepost_ledger::clock::LedgerClock;

use super::NodeHandle;
use crate::market::MarketHandle;

/// Reads the network's counters, the ledger's clock and the market's inbox.
#[derive(Debug)]
pub(super) struct Gauges {
    network: tradepost_network::Handle,
    clock: Arc<LedgerClock>,
    market: MarketHandle,
}

impl Gauges {
    pub(super) fn of(node: &NodeHandle) -> Self {
        Self { network: node.network.clone(), clock: Arc::clone(&node.clock), market: node.market.clone() }
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let newest = self.clock.newest();
        let ledger = [
            ("ledger_sequence", "The newest ledger seen", u64::from(newest.sequence)),
            ("ledger_close_time", "When it closed, seconds since 1970", newest.close_time.secs()),
            ("ledger_age_seconds", "How long ago it was first seen", self.clock.age().as_secs()),
            ("market_waiting", "Events that wait for the market", self.market.waiting() as u64),
            ("market_running", "1 while the market works", u64::from(self.market.has_ended().is_none())),
        ];
        for (name, help, value) in ledger {
            gauge(&mut encoder, name, help, value)?;
        }
        for (name, help, value) in self.network.stats().named() {
            gauge(&mut encoder, &format!("network_{name}"), help, value)?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Result<(), fmt::Error> {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    let family = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
    gauge.encode(family)
}
