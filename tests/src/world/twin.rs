//! Two nodes with the same keys: one that was restored from a backup, and the one that it was made of.

use tradepost_protocol::market::event::Event;
use tradepost_protocol::market::{RESTORED_KEY, StoredRow, TwinSight};
use tradepost_protocol::step::{Batch, Commit as _, Space};

use super::node::{Node, Role, keys_of};
use super::{Address, World};

impl World {
    /// Starts another node with a node's keys from its backup, and lets that one live. It is another peer, as if the first
    /// one could be reached by nobody under their common name.
    ///
    /// # Panics
    /// Where there is no such node.
    pub fn restore_beside(&mut self, name: &str, beside: &str, backup: Vec<StoredRow>) {
        let part = self.nodes[self.index(name)].part;
        let mut node = Node::new(self.seed, beside, Role::Trader, &self.ledger);
        node.setup.keys = keys_of(self.seed, name);
        node.part = part;
        node.store = self.new_store();
        let mut batch = Batch::new();
        for (space, key, value) in backup {
            batch.put(space, key, value);
        }
        batch.put(Space::Mark, RESTORED_KEY, []);
        node.store.commit(batch).expect("a store in memory takes every batch");
        self.nodes.push(node);
        self.start(beside);
    }

    /// What a runner does for a node that was restored: it looks whether another one with its keys answers.
    pub(super) fn seek_twin(&mut self, address: Address) {
        let (index, _) = address;
        let restored = self.nodes[index].life.as_ref().is_some_and(|life| life.market.is_recovering());
        if !restored {
            return;
        }
        let account = |at: usize| self.nodes[at].setup.keys.account_id();
        let is_twin = |other: &usize| *other != index && account(*other) == account(index);
        let answers = (0..self.nodes.len()).filter(is_twin).any(|other| self.linked(index, other));
        let sight = if answers { TwinSight::Answers } else { TwinSight::Silent };
        self.deliver(address, Event::Twin(sight));
    }
}
