//! What whoever sees the whole world sees of it.

use std::collections::BTreeMap;

use tradepost_protocol::account::{AccountId, PeerId};
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::market::{Keys, Market};
use tradepost_protocol::message::BindingId;
use tradepost_protocol::refusal::Refusal;
use tradepost_protocol::stellar::LedgerPoint;
use tradepost_protocol::time::{Now, Timestamp};
use tradepost_protocol::timestamp::BatchFile;

use super::{Process, Trace, World, WorldLedger};

impl World {
    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The world's time.
    pub fn now(&self) -> Now {
        Now::from_millis(self.millis)
    }

    /// When the newest ledger closed.
    pub fn close_time(&mut self) -> Timestamp {
        self.newest_ledger().close_time
    }

    /// The newest ledger.
    pub fn newest_ledger(&mut self) -> LedgerPoint {
        self.ledger.point()
    }

    /// The ledger.
    pub fn ledger(&mut self) -> &mut WorldLedger {
        &mut self.ledger
    }

    /// A node's market.
    pub fn market(&self, name: &str) -> &Market {
        let node = &self.nodes[self.index(name)];
        &node.life.as_ref().unwrap_or_else(|| panic!("{name} doesn't run")).market
    }

    /// The services that run at a node now, by binding.
    pub fn processes(&self, name: &str) -> BTreeMap<BindingId, Process> {
        let node = &self.nodes[self.index(name)];
        node.life.as_ref().map(|life| life.processes.clone()).unwrap_or_default()
    }

    /// How many services a node was told to start since the beginning.
    pub fn services_started(&self, name: &str) -> usize {
        self.nodes[self.index(name)].started.len()
    }

    /// The only binding that a node knows.
    pub fn trade(&self, name: &str) -> &Trade {
        let mut trades = self.market(name).trades();
        let only = trades.next().unwrap_or_else(|| panic!("{name} knows no binding"));
        assert!(trades.next().is_none(), "{name} knows several bindings");
        only
    }

    /// A node's account.
    pub fn account(&self, name: &str) -> AccountId {
        self.nodes[self.index(name)].account()
    }

    /// What a node's account holds on the ledger, in stroops.
    pub fn funds(&mut self, name: &str) -> i64 {
        let account = self.account(name);
        self.ledger.account(account).map_or(0, |a| a.balance.get())
    }

    /// What a node's account has paid in fees, in stroops.
    pub fn fees(&self, name: &str) -> i64 {
        self.ledger.fees(self.account(name))
    }

    /// What a node's account won or lost in all since it was funded, fees apart, in stroops.
    pub fn gain(&mut self, name: &str) -> i64 {
        let endowment = self.nodes[self.index(name)].endowment;
        self.funds(name) + self.fees(name) - endowment
    }

    /// A node's keys, for tests that play it.
    pub fn keys(&self, name: &str) -> &Keys {
        &self.nodes[self.index(name)].setup.keys
    }

    /// Who broke which rule outside gossip, as (who saw it, who did it, what).
    pub fn misbehaved(&self) -> &[(String, PeerId, Refusal)] {
        &self.misbehaved
    }

    /// The batches of timestamps whose proofs were kept.
    pub fn kept(&self) -> impl Iterator<Item = &BatchFile> {
        self.kept.values()
    }

    /// Everything that happened so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }
}
