//! What the demo prints at its end: for people, or as one JSON object with the same in it.

use serde::{Deserialize, Serialize};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::dispute::Split;
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::message::{BindingId, SeriesId};

use super::books::{FAILED, Findings, Signed};
use super::cluster::{Cluster, ClusterError};
use crate::api::view::BindingView;
use crate::terminal::Table;

/// Everything about one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The closed books.
    #[serde(flatten)]
    pub findings: Findings,
    /// The trades.
    pub trades: Vec<TradeReport>,
    /// The nodes; while they are kept, all of them run.
    pub nodes: Vec<NodeReport>,
    /// The ledger's process.
    pub devnet: DevnetReport,
    /// Where homes and logs are, while they are kept.
    pub dir: String,
    /// Whether the processes were left running.
    pub kept: bool,
    /// How long it took, seconds.
    pub elapsed_secs: u64,
}

/// One trade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradeReport {
    /// What the demo calls it.
    pub name: String,
    /// The provider's node.
    pub provider: String,
    /// The binding.
    pub binding: BindingId,
    /// The offering's series.
    pub series: SeriesId,
    /// How many calls were bound.
    pub units: u64,
    /// How many of them were made and answered.
    pub calls: u64,
    /// The whole price, in stroops.
    pub amount: Stroops,
    /// How the money was held.
    pub escrow: EscrowKind,
    /// What that protects against and what not.
    pub protects: String,
    /// How the session ended.
    pub ended: String,
    /// paid, refunded or split.
    pub outcome: String,
    /// Who got how much of the price.
    pub shares: Shares,
}

/// Who got how much of a price, in stroops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shares {
    /// The provider.
    pub provider: Stroops,
    /// The consumer.
    pub consumer: Stroops,
    /// The arbiter.
    pub arbiter: Stroops,
}

impl Shares {
    /// Divided without any arbiter.
    pub(super) const fn between(split: Split) -> Self {
        let Split { to_provider: provider, to_consumer: consumer } = split;
        Self { provider, consumer, arbiter: Stroops::ZERO }
    }
}

impl TradeReport {
    /// What became of a binding with this provider; `None` where it never had money in it.
    pub(super) fn of((name, provider): (&str, &str), calls: u64, view: &BindingView, shares: Shares) -> Option<Self> {
        let escrow = view.escrow.as_ref()?;
        Some(Self {
            name: name.to_owned(),
            provider: provider.to_owned(),
            binding: view.binding?,
            series: view.series,
            units: view.units,
            calls,
            amount: view.amount?,
            escrow: escrow.kind,
            protects: escrow.protects.clone(),
            ended: view.ended.clone().unwrap_or_default(),
            outcome: escrow.state.clone(),
            shares,
        })
    }
}

/// One node's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Base URL of its API.
    pub api: String,
    /// Port of its API.
    pub api_port: u16,
    /// Where peers reach it.
    pub p2p: String,
    /// TCP port of that.
    pub p2p_port: u16,
    /// Its home.
    pub home: String,
}

/// The ledger's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevnetReport {
    /// Its process.
    pub pid: u32,
    /// URL of its RPC server.
    pub rpc: String,
    /// Port of that.
    pub rpc_port: u16,
}

impl NodeReport {
    /// All nodes of the cluster that run.
    ///
    /// # Errors
    /// [`ClusterError`] where one told an address that isn't one.
    pub(super) fn all(cluster: &Cluster) -> Result<Vec<Self>, ClusterError> {
        let running = cluster.nodes().iter().filter_map(|node| Some((node, node.running().ok()?)));
        running
            .map(|(node, run)| {
                let no = |what: &str| node.error(format!("it told no {what}"));
                let (p2p, p2p_port) =
                    run.p2p.iter().find_map(|address| tcp(address)).ok_or_else(|| no("TCP address"))?;
                Ok(Self {
                    name: node.name().to_owned(),
                    pid: run.process.pid,
                    api: run.api.clone(),
                    api_port: port(&run.api).ok_or_else(|| no("API address"))?,
                    p2p,
                    p2p_port,
                    home: node.home().dir().display().to_string(),
                })
            })
            .collect()
    }
}

impl DevnetReport {
    /// The cluster's ledger.
    ///
    /// # Errors
    /// [`ClusterError`] where its URL names no port.
    pub(super) fn of(cluster: &Cluster) -> Result<Self, ClusterError> {
        let rpc = cluster.rpc_url().to_owned();
        let no_port = || ClusterError::new("devnet", format!("{rpc} names no port"));
        Ok(Self { pid: cluster.devnet_pid(), rpc_port: port(&rpc).ok_or_else(no_port)?, rpc })
    }
}

fn port(url: &str) -> Option<u16> {
    url::Url::parse(url).ok()?.port()
}

fn tcp(address: &str) -> Option<(String, u16)> {
    let parsed: multiaddr::Multiaddr = address.parse().ok()?;
    let port = parsed.iter().find_map(|part| match part {
        multiaddr::Protocol::Tcp(port) => Some(port),
        _ => None,
    })?;
    Some((address.to_owned(), port))
}

impl Report {
    /// The report for people.
    pub fn text(&self) -> String {
        let sections = [self.trades_text(), self.parties_text(), self.balances_text(), self.transactions_text()];
        let mut text = sections.join("\n");
        text.push_str(&format!("\n{}", self.sums_text()));
        if self.kept {
            text.push_str(&format!("\n{}", self.processes_text()));
        }
        text
    }

    fn trades_text(&self) -> String {
        let header = [
            "TRADE",
            "WITH",
            "BINDING",
            "BOUND",
            "ANSWERED",
            "SESSION",
            "ESCROW",
            "XLM",
            "OUTCOME",
            "TO PROVIDER",
            "TO CONSUMER",
            "TO ARBITER",
        ];
        let mut table = Table::new(&header);
        for trade in &self.trades {
            let TradeReport { name, provider, units, calls, ended, outcome, shares, .. } = trade;
            let (binding, kind) = (short(trade.binding), trade.escrow.to_string());
            let (units, calls) = (units.to_string(), calls.to_string());
            let [amount, to_provider, to_consumer, to_arbiter] =
                [trade.amount, shares.provider, shares.consumer, shares.arbiter].map(Stroops::coins);
            let start = [name, provider, &binding, &units, &calls, ended, &kind, &amount, outcome];
            table.row(start.into_iter().chain([&to_provider, &to_consumer, &to_arbiter]));
        }
        let protects = self.trades.first().map(|trade| format!("{}: {}\n", trade.escrow, trade.protects));
        table.render() + &protects.unwrap_or_default()
    }

    fn parties_text(&self) -> String {
        let header = [
            "PARTY",
            "START",
            "+ RECEIVED",
            "- PAID",
            "- LOCKED",
            "- FEES",
            "= EXPECTED",
            "ON THE LEDGER",
            "DIFFERENCE",
        ];
        let mut table = Table::new(&header);
        for row in &self.findings.parties {
            let amounts =
                [row.start, row.received, row.paid, row.locked, row.fees, row.expected, row.found, row.difference];
            table.row(std::iter::once(row.name.clone()).chain(amounts.map(Signed::coins)));
        }
        table.render()
    }

    fn balances_text(&self) -> String {
        let mut table = Table::new(&["LOCKED", "EXPECTED", "ON THE LEDGER", "DIFFERENCE"]);
        for row in &self.findings.balances {
            table.row([row.what.clone(), row.expected.coins(), row.found.coins(), row.difference.coins()]);
        }
        for row in &self.findings.parties {
            let amounts = [row.reserve_expected, row.reserve_found, row.reserve_difference];
            table.row(std::iter::once(format!("reserve of {}", row.name)).chain(amounts.map(Signed::coins)));
        }
        table.render()
    }

    fn transactions_text(&self) -> String {
        let mut table = Table::new(&["TRANSACTION", "FOR", "BY", "LEDGER", "FEE EXPECTED", "FEE"]);
        for row in &self.findings.transactions {
            let fees = [row.fee_expected.coins(), row.fee_found.coins()];
            let start = [row.hash.to_string(), row.purpose.clone(), row.party.clone(), row.ledger.to_string()];
            table.row(start.into_iter().chain(fees));
        }
        let failed = self.findings.transactions.iter().any(|row| row.purpose.starts_with(FAILED));
        let why = "One that failed has moved nothing and cost its fee: the other side's was included just before it.\n";
        table.render() + if failed { why } else { "" }
    }

    fn sums_text(&self) -> String {
        let sums = &self.findings.ledger;
        format!(
            "ledger {}: accounts {} + claimable balances {} + fee pool {} = {}; all there is: {}\n\
             off by {} stroops, after {} s\n",
            self.findings.ledger_sequence,
            sums.accounts.coins(),
            sums.claimable.coins(),
            sums.fee_pool.coins(),
            Signed(sums.accounts.0 + sums.claimable.0 + sums.fee_pool.0).coins(),
            sums.total.coins(),
            self.findings.off_by_stroops.0,
            self.elapsed_secs,
        )
    }

    fn processes_text(&self) -> String {
        let mut table = Table::new(&["PROCESS", "PID", "API", "PEERS", "HOME"]);
        for node in &self.nodes {
            let NodeReport { name, pid, api, p2p, home, .. } = node;
            table.row([name, &pid.to_string(), api, p2p, home]);
        }
        let DevnetReport { pid, rpc, .. } = &self.devnet;
        let end: Vec<String> =
            self.nodes.iter().map(|node| node.pid).chain([*pid]).map(|pid| pid.to_string()).collect();
        format!(
            "{}devnet   {pid}   RPC {rpc}\nThey run on; end them: kill {}\nTheir files stay in {}\n",
            table.render(),
            end.join(" "),
            self.dir,
        )
    }
}

/// An id's first digits, for a table.
fn short(id: impl ToString) -> String {
    id.to_string().chars().take(12).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn report(kept: bool) -> Report {
        let json = serde_json::json!({
            "off_by_stroops": "3",
            "ledger": {"accounts": "5", "claimable": "4", "fee_pool": "1", "total": "13"},
            "ledger_sequence": 9,
            "parties": [{
                "name": "ann", "account": "GDRXE2BQUC3AZNPVFSCEZ76NJ3WWL25FYFK6RGZGIEKWE4SOOHSUJUJ6",
                "start": "5", "received": "0", "paid": "0", "locked": "0", "fees": "0", "expected": "5", "found": "5",
                "difference": "0", "reserve_expected": "0", "reserve_found": "0", "reserve_difference": "0",
            }],
            "balances": [{"what": "bond", "balance": null, "expected": "7", "found": "4", "difference": "-3"}],
            "transactions": [],
            "trades": [],
            "nodes": [{
                "name": "ann", "pid": 4, "api": "http://127.0.0.1:1", "api_port": 1, "p2p": "/ip4/127.0.0.1/tcp/2",
                "p2p_port": 2, "home": "/h",
            }],
            "devnet": {"pid": 5, "rpc": "http://127.0.0.1:3", "rpc_port": 3},
            "dir": "/d", "kept": kept, "elapsed_secs": 50,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_text_shows_what_is_missing_where() {
        let text = report(false).text();
        let bond: Vec<&str> = text.lines().find(|line| line.starts_with("bond ")).unwrap().split_whitespace().collect();
        assert_eq!(bond, ["bond", "0.0000007", "0.0000004", "-0.0000003"]);
        assert!(text.contains("= 0.0000010; all there is: 0.0000013") && text.contains("off by 3 stroops"), "{text}");
        assert!(!text.contains("kill"), "{text}");
    }

    #[test]
    fn what_is_kept_is_told_with_how_to_end_it() {
        let text = report(true).text();
        assert!(text.contains("kill 4 5") && text.contains("RPC http://127.0.0.1:3"), "{text}");
    }

    #[test]
    fn ports_are_found_in_addresses() {
        assert_eq!(port("http://127.0.0.1:41234"), Some(41_234));
        assert_eq!(tcp("/ip4/127.0.0.1/tcp/7/p2p/12D3KooWGnh4JUyvY3K3df3qAnNBy6hr7sZkiaAGEZY5AtGhU2Cs").unwrap().1, 7);
        assert_eq!(tcp("/ip4/127.0.0.1/udp/7/quic-v1"), None);
    }
}
