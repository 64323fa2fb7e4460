//! "Am I all right?": everything that its owner should know, in one answer.

use serde::{Deserialize, Serialize};
use tradepost_ledger::{EndpointHealth, EndpointState};
use tradepost_protocol::account::{AccountId, ServingKey};
use tradepost_protocol::seal::SealingKey;

use super::{BindingView, DisputeView, Moment, OwnOfferingView, ResetView, WalletView};

/// How this node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// Whether nothing is wrong: `troubles` is empty.
    pub ok: bool,
    /// What is wrong, or won't happen by itself.
    pub troubles: Vec<Trouble>,
    /// The program's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Which network it trades on.
    pub network: NetworkView,
    /// The ledger, as last seen.
    pub ledger: LedgerView,
    /// The keys that are here.
    pub keys: KeysView,
    /// The account; `null` where its key isn't here.
    pub wallet: Option<WalletView>,
    /// Peers.
    pub peers: Peers,
    /// Offerings.
    pub offerings: Offers,
    /// Bindings that aren't over yet.
    pub bindings: Vec<BindingView>,
    /// Disputes that aren't over: about these bindings, and those that this node decides.
    pub disputes: Vec<DisputeView>,
    /// What ended with networks that were reset, the newest last; told for as long as its archive is kept.
    pub resets: Vec<ResetView>,
}

/// Something that is wrong, or that won't happen by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Trouble {
    /// A trouble with its remedy.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

/// Which network a node trades on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkView {
    /// devnet, testnet or public.
    pub name: String,
    /// The ledger's passphrase.
    pub passphrase: String,
    /// Its hash, which is in every digest.
    pub id: String,
}

/// The ledger, as last seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerView {
    /// Whether it answers, goes on, and agrees with this machine's clock.
    pub ok: bool,
    /// The server that is asked: scheme, host and port.
    pub rpc_url: String,
    /// The newest ledger's number.
    pub sequence: u32,
    /// When that closed.
    pub close_time: Moment,
    /// How long ago, seconds.
    pub age_secs: u64,
    /// Why it doesn't answer.
    pub why: Option<String>,
    /// Every server of the configuration, in its order.
    pub endpoints: Vec<EndpointView>,
}

/// How one of the Stellar RPC servers does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointView {
    /// Scheme, host and port.
    pub url: String,
    /// Who runs it.
    pub operator: String,
    /// fine, behind, failing or dropped.
    pub state: String,
    /// What is wrong with it.
    pub why: Option<String>,
    /// Since when, seconds ago, where it is failing or dropped.
    pub since_secs: Option<u64>,
    /// The newest ledger that it showed.
    pub newest: Option<u32>,
}

impl From<&EndpointHealth> for EndpointView {
    fn from(health: &EndpointHealth) -> Self {
        let (state, why, since) = match &health.state {
            EndpointState::Fine => ("fine", None, None),
            EndpointState::Behind { by } => ("behind", Some(format!("by {by} ledgers")), None),
            EndpointState::Failing { error, since, .. } => ("failing", Some(error.to_string()), Some(*since)),
            EndpointState::Dropped { why, since } => ("dropped", Some(why.to_string()), Some(*since)),
        };
        Self {
            url: health.name.clone(),
            operator: health.operator.clone(),
            state: state.to_owned(),
            why,
            since_secs: since.map(|since| since.elapsed().as_secs()),
            newest: health.newest,
        }
    }
}

/// The keys that are here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysView {
    /// The account.
    pub account: Option<AccountId>,
    /// The serving key.
    pub serving: Option<ServingKey>,
    /// The key to which secrets for this node are sealed.
    pub sealing: Option<SealingKey>,
    /// What this node can sign: account, serving, sealing, service, node, trade.
    pub roles: Vec<String>,
}

/// Peers, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    /// This node.
    pub peer_id: String,
    /// Addresses under which peers reach it.
    pub addresses: Vec<String>,
    /// How many are connected.
    pub connected: usize,
    /// How many of them trade on this network.
    pub met: usize,
    /// How far the first sync with them is.
    pub first_sync: FirstSyncView,
}

/// From how many peers this node has its book: with several, no one of them decides what it sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstSyncView {
    /// From how many it wants it.
    pub wanted: usize,
    /// How many peers' books were read to their ends since it started.
    pub read: usize,
    /// How many are being read.
    pub under_way: usize,
    /// How many of those read it didn't find through other peers, at least two of which it wants.
    pub independent: usize,
}

impl FirstSyncView {
    /// How many peers are missing.
    pub fn missing(&self) -> usize {
        self.wanted.saturating_sub(self.read)
    }
}

/// Offerings, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offers {
    /// How many series the book holds.
    pub known: usize,
    /// How many of them are live.
    pub live: usize,
    /// How many messages wait for a bond, template or record.
    pub waiting: usize,
    /// One's own.
    pub own: Vec<OwnOfferingView>,
}
