//! Crashes by plan.

use core::time::Duration;

use super::{Happening, Moment, Sight, World};

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

impl World {
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

    /// For how long a node has been up and on the network.
    pub fn in_touch_for(&self, name: &str) -> Duration {
        let node = &self.nodes[self.index(name)];
        let off = Duration::from_millis(if node.connected { self.millis - node.connected_since } else { 0 });
        self.up_for(name).min(off)
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
}
