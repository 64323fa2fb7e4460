//! Crashes by plan, and worlds that break a promise that the product relies on.

use core::time::Duration;

use stellar_xdr::{SignerKey, Uint256};
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::escrow::terms::EscrowTerms;
use tradepost_protocol::market::event::Ask;
use tradepost_protocol::stellar::entry::Entry;
use tradepost_store::MemoryStore;
use tradepost_store::memory::Syncing;

use super::{Address, Happening, Moment, Sight, World};

/// Which of a node's commits, counted over all its lives, are its last for a while. It starts again by itself.
#[derive(Debug, Clone)]
pub struct CrashPlan {
    /// The first commit that it doesn't survive, counted from 1.
    pub first: u64,
    /// How many commits after a crash the next one is.
    pub every: u64,
    /// Whether what follows from the commit is still carried out.
    pub moment: Moment,
    /// For how long it is gone, one crash after the other, over and over.
    pub down: Vec<Duration>,
}

/// A promise that the world breaks. The product can't hold its own then, and whoever judges the world has to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The store acknowledges a batch before it is on disk; only a ledger's close brings it there.
    AcknowledgesEarly,
    /// The runner sets no timer after a restart: neither ticks nor the look at the newest ledger.
    DropsTimers,
    /// The ledger's client says that every escrow holds what was agreed, and that its controller is moved by whom it should.
    AnswersAsAgreed,
}

impl Mutant {
    /// Every mutant.
    pub const ALL: [Self; 3] = [Self::AcknowledgesEarly, Self::DropsTimers, Self::AnswersAsAgreed];
}

impl World {
    /// Breaks a promise from now on, for the nodes that are added after this.
    pub fn break_promise(&mut self, mutant: Mutant) {
        self.mutant = Some(mutant);
    }

    /// How many batches a node has stored, over all its lives.
    pub fn commits(&self, name: &str) -> u64 {
        self.nodes[self.index(name)].commits
    }

    /// For how long a node has been running without a break.
    pub fn up_for(&self, name: &str) -> Duration {
        let node = &self.nodes[self.index(name)];
        let up = node.life.is_some();
        Duration::from_millis(if up { self.millis - node.up_since } else { 0 })
    }

    /// Crashes a node whose plan says so at its newest commit.
    pub(super) fn crashes(&mut self, index: usize, moment: Moment) -> bool {
        let node = &self.nodes[index];
        let (commit, life) = (node.commits, node.life.is_some());
        let Some(plan) = node.crash_plan.as_ref().filter(|p| p.moment == moment && commit >= p.first && life) else {
            return false;
        };
        let (round, rest) = ((commit - plan.first) / plan.every, (commit - plan.first) % plan.every);
        if rest != 0 {
            return false;
        }
        let down = plan.down[round as usize % plan.down.len()];
        let name = node.name.clone();
        self.see_that(|| Sight::Crashed { node: index, commit, moment });
        self.kill(&name);
        self.schedule(down, Happening::StartsAgain(index));
        true
    }

    pub(super) fn start_again(&mut self, index: usize) {
        if self.nodes[index].life.is_none() {
            let name = self.nodes[index].name.clone();
            self.start(&name);
        }
    }

    /// Kills a node, which is back by itself after a while.
    pub fn kill_for(&mut self, name: &str, down: Duration) {
        let index = self.index(name);
        self.kill(name);
        self.schedule(down, Happening::StartsAgain(index));
    }

    pub(super) fn new_store(&self) -> MemoryStore {
        match self.mutant {
            Some(Mutant::AcknowledgesEarly) => MemoryStore::new(Syncing::ByHand),
            _ => MemoryStore::default(),
        }
    }

    pub(super) fn sync_late_disks(&self) {
        if self.mutant == Some(Mutant::AcknowledgesEarly) {
            self.nodes.iter().for_each(|node| node.store.sync());
        }
    }

    /// Whether a node's runner wakes it up.
    pub(super) fn has_timers(&self, (_, generation): Address) -> bool {
        self.mutant != Some(Mutant::DropsTimers) || generation == 1
    }

    pub(super) fn maybe_lie(&self, (index, _): Address, ask: &Ask, entries: &mut [Entry]) {
        if self.mutant != Some(Mutant::AnswersAsAgreed) || *ask != Ask::Escrows {
            return;
        }
        let Some(life) = &self.nodes[index].life else { return };
        for entry in entries {
            let mut trades = life.market.trades();
            match entry {
                Entry::Balance(balance) => {
                    if let Some(terms) = trades.find(|t| t.state.balance == Some(balance.id)).and_then(|t| t.terms()) {
                        balance.amount = terms.amount;
                    }
                }
                Entry::Account(account) => {
                    let its = |t: &&Trade| t.state.controller.is_some_and(|c| c.account == account.id);
                    let Some(EscrowTerms::Arbitrated(terms)) = trades.find(its).and_then(|t| t.escrow_terms()) else {
                        continue;
                    };
                    for (key, weight) in terms.signers().weights() {
                        let key = SignerKey::Ed25519(Uint256(*key.as_bytes()));
                        for signer in account.signers.iter_mut().filter(|signer| signer.key == key) {
                            signer.weight = u32::from(weight);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}
