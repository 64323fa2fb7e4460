//! What the network is and how it is: `getHealth`, `getNetwork`,
//! `getVersionInfo`, `getFeeStats`.

use serde_json::{Value, json};

use crate::genesis::PROTOCOL_VERSION;
use crate::history::RETENTION_LEDGERS;
use crate::ledger::Ledger;

impl Ledger {
    pub(super) fn get_health(&self) -> Value {
        let shown = self.shown();
        json!({
            "status": "healthy",
            "latestLedger": shown.latest.sequence(),
            "latestLedgerCloseTime": shown.latest.close_time(),
            "oldestLedger": shown.oldest.sequence(),
            "oldestLedgerCloseTime": shown.oldest.close_time(),
            "ledgerRetentionWindow": self.faults().history_ledgers.unwrap_or(RETENTION_LEDGERS),
        })
    }

    pub(super) fn get_network(&self) -> Value {
        let mut network = json!({
            "passphrase": self.passphrase(),
            "protocolVersion": PROTOCOL_VERSION,
        });
        if let Some(url) = self.friendbot_url() {
            network["friendbotUrl"] = json!(url);
        }
        network
    }

    /// There is no build of stellar-rpc or stellar-core here to tell of.
    pub(super) fn get_version_info(&self) -> Value {
        let version = concat!("tradepost-devnet ", env!("CARGO_PKG_VERSION"));
        json!({
            "version": version,
            "commitHash": "",
            "buildTimestamp": "",
            "captiveCoreVersion": version,
            "protocolVersion": PROTOCOL_VERSION,
        })
    }

    pub(super) fn get_fee_stats(&self) -> Value {
        let shown = self.shown();
        let (rates, ledgers) = shown.fee_rates();
        json!({
            "sorobanInclusionFee": distribution(&[], 0),
            "inclusionFee": distribution(&rates, ledgers),
            "latestLedger": shown.latest.sequence(),
        })
    }
}

/// Describes sorted fee rates; zeros, also of ledgers, where there are none.
fn distribution(rates: &[u64], ledgers: usize) -> Value {
    let percentile = |p: usize| {
        let rank = (rates.len() * p).div_ceil(100);
        rates.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    };
    let mut stats = json!({
        "max": rates.last().copied().unwrap_or(0).to_string(),
        "min": rates.first().copied().unwrap_or(0).to_string(),
        "mode": mode(rates).to_string(),
        "transactionCount": rates.len().to_string(),
        "ledgerCount": if rates.is_empty() { 0 } else { ledgers },
    });
    for p in [10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99] {
        stats[format!("p{p}")] = json!(percentile(p).to_string());
    }
    stats
}

/// Returns the most frequent of sorted values, the lowest of several.
fn mode(sorted: &[u64]) -> u64 {
    sorted
        .chunk_by(|a, b| a == b)
        .map(|run| (run.len(), run[0]))
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map_or(0, |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_has_the_nearest_rank_percentiles_and_the_lowest_mode() {
        let stats = distribution(&[100, 100, 150, 200, 200, 300, 400, 500, 600, 700], 3);
        assert_eq!(stats["mode"], "100");
        assert_eq!(stats["min"], "100");
        assert_eq!(stats["max"], "700");
        assert_eq!(stats["p10"], "100");
        assert_eq!(stats["p50"], "200");
        assert_eq!(stats["p90"], "600");
        assert_eq!(stats["p99"], "700");
        assert_eq!(stats["transactionCount"], "10");
        assert_eq!(stats["ledgerCount"], 3);
        let empty = distribution(&[], 7);
        assert_eq!((&empty["p50"], &empty["ledgerCount"]), (&json!("0"), &json!(0)));
    }
}
