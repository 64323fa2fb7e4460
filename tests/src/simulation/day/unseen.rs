//! What happens behind somebody's back: a trader is off while its money is divided or taken back, and whoever could tell it
//! afterwards doesn't.

use core::time::Duration;

use rand_core::Rng;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::dispute::DisputeState;
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::market::command::Command;
use tradepost_protocol::message::{BalanceId, MessageId};

use super::{Day, Later, NODES, PROVIDERS, TRADERS, arbitration};

/// In so many worlds of a hundred a split comes up of which somebody hears late, and one that nobody remembers.
const SPLITS_OF_100: [u64; 2] = [5, 3];
/// The same of what the issuer takes back, among the worlds in which it may.
const CLAWBACKS_OF_100: [u64; 2] = [16, 10];
/// Until an arbiter has taken a case and all of them decided, a dispute needs as much time at least.
const TIME_FOR_ARBITERS: Duration = Duration::from_secs(2);
/// How often, second by second, something waits for what it needs.
const MAX_WAITS: u32 = 6;
const A_SECOND: Duration = Duration::from_secs(1);

/// Something that seldom happens by itself and waits for its occasion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unseen {
    /// A provider is off from the moment at which it was handed a funding until arbiters have divided that.
    Split,
    /// The same until the issuer has taken it back.
    ClawedBack,
    /// A consumer is off while its money is divided; then it hears nobody, and no server remembers.
    SplitForgotten,
    /// A trader is off while the issuer takes its escrow back, and then no server remembers.
    ClawedBackForgotten,
}

impl Unseen {
    /// What comes up in a world, and from how many bindings on.
    pub(super) fn drawn(dice: &mut impl Rng, clawable: bool, bindings: u64) -> Option<(usize, Self)> {
        let (which, from) = (dice.next_u64() % 100, dice.next_u64() % bindings);
        let clawbacks = if clawable { CLAWBACKS_OF_100 } else { [0; 2] };
        let shares = [
            (SPLITS_OF_100[0], Self::Split),
            (SPLITS_OF_100[1], Self::SplitForgotten),
            (clawbacks[0], Self::ClawedBack),
            (clawbacks[1], Self::ClawedBackForgotten),
        ];
        let mut until = 0;
        let mut found = shares.into_iter().filter(|(share, _)| {
            until += share;
            which < until
        });
        found.next().map(|(_, unseen)| (from as usize, unseen))
    }
}

impl Day {
    /// Takes the occasion for what waits for one.
    pub(super) fn take_occasion(&mut self) {
        let Some((from, unseen)) = self.unseen else { return };
        if self.judge.bindings() <= from {
            return;
        }
        let taken = match unseen {
            Unseen::Split => self.split_before_it_is_seen(),
            Unseen::ClawedBack => self.claw_back_before_it_is_seen(),
            Unseen::SplitForgotten => self.split_and_forget(),
            Unseen::ClawedBackForgotten => self.claw_back_and_forget(),
        };
        if taken.is_some() {
            self.unseen = None;
        }
    }

    fn split_before_it_is_seen(&mut self) -> Option<()> {
        let intended = |t: &Trade| *t.escrow() == EscrowState::Intended && is_to_be_divided(t);
        let (provider, trade) = self.sold(intended)?;
        let (consumer, _) = self.bought(&trade)?;
        self.is_off_for(provider, 22_000, 28_000);
        self.put_off(A_SECOND * 4, Later::Dispute { node: consumer, request: trade.request_id(), waits: 0 });
        Some(())
    }

    fn claw_back_before_it_is_seen(&mut self) -> Option<()> {
        let intended = |t: &Trade| *t.escrow() == EscrowState::Intended && is_issued(t);
        let (provider, trade) = self.sold(intended)?;
        let balance = trade.state.balance?;
        self.is_off_for(provider, 9_000, 12_000);
        self.put_off(A_SECOND * 3, Later::ClawBack { balance, waits: 0 });
        Some(())
    }

    fn split_and_forget(&mut self) -> Option<()> {
        let now = self.world.now().timestamp();
        let in_time = |t: &Trade| {
            let deadlines = t.terms().and_then(|agreed| agreed.terms.arbitrated());
            deadlines.is_some_and(|d| now.plus(TIME_FOR_ARBITERS) < d.dispute_by())
        };
        let locked = |t: &Trade| *t.escrow() == EscrowState::Locked && is_to_be_divided(t) && in_time(t);
        let (provider, trade) = self.sold(locked)?;
        let (consumer, bought) = self.bought(&trade)?;
        if *bought.escrow() != EscrowState::Locked {
            return None;
        }
        let forgotten = self.between(190_000, 220_000);
        self.world.forget_history(forgotten);
        self.is_off_for(consumer, 17_000, 24_000);
        self.cut_off_for(consumer, forgotten);
        self.disputes(provider, trade.request_id(), MAX_WAITS);
        Some(())
    }

    fn claw_back_and_forget(&mut self) -> Option<()> {
        let locked = |t: &Trade| *t.escrow() == EscrowState::Locked && is_issued(t);
        let (provider, trade) = self.sold(locked)?;
        let (consumer, _) = self.bought(&trade)?;
        let balance = trade.state.balance?;
        let forgotten = self.between(180_000, 200_000);
        self.world.forget_history(forgotten);
        let off = [provider, consumer][self.pick(2)];
        self.is_off_for(off, 10_000, 14_000);
        self.put_off(A_SECOND, Later::ClawBack { balance, waits: 0 });
        Some(())
    }

    /// An owner asks the arbiters for a half, once it can.
    pub(super) fn disputes(&mut self, node: usize, request: MessageId, waits: u32) {
        let is_locked = |t: &Trade| *t.escrow() == EscrowState::Locked;
        let up = self.world.is_up(NODES[node]);
        let trade = up.then(|| self.world.market(NODES[node]).trade(request.as_bytes())).flatten();
        match trade.filter(|t| is_locked(t)).and_then(Trade::terms).map(|terms| terms.amount) {
            Some(amount) => {
                let to_provider = Stroops::new(amount.get() / 2);
                self.judge.release_typed(request);
                let text = "I want half".to_owned();
                self.world.give(NODES[node], Command::OpenDispute { request, to_provider, text });
            }
            None if waits < MAX_WAITS => {
                self.put_off(A_SECOND, Later::Dispute { node, request, waits: waits + 1 });
            }
            None => {}
        }
    }

    /// The issuer takes a balance back, once it is there.
    pub(super) fn is_clawed_back(&mut self, balance: BalanceId, waits: u32) {
        let at = self.world.newest_ledger().sequence;
        let done = at > self.clawed_at && self.world.ledger().try_clawback(balance);
        if done {
            self.clawed_at = at;
        } else if waits < MAX_WAITS {
            self.put_off(A_SECOND, Later::ClawBack { balance, waits: waits + 1 });
        }
    }

    fn is_off_for(&mut self, node: usize, least: u64, most: u64) {
        let down = self.between(least, most);
        self.world.kill_for(NODES[node], down);
    }

    /// A provider that runs, and what it sold to a node that runs, too.
    fn sold(&mut self, which: impl Fn(&Trade) -> bool) -> Option<(usize, Trade)> {
        let up = (0..PROVIDERS).filter(|node| self.world.is_up(NODES[*node]));
        let sold = up.flat_map(|node| self.world.market(NODES[node]).trades().map(move |trade| (node, trade)));
        let sold = sold.filter(|(_, t)| t.state.side == Side::Provider && which(t) && self.bought(t).is_some());
        let all: Vec<(usize, MessageId)> = sold.map(|(node, trade)| (node, trade.request_id())).collect();
        let (node, request) = *all.get(self.pick(all.len().max(1)))?;
        self.world.market(NODES[node]).trade(request.as_bytes()).map(|trade| (node, trade.clone()))
    }

    fn bought(&self, sold: &Trade) -> Option<(usize, Trade)> {
        let up = (0..TRADERS).filter(|node| self.world.is_up(NODES[*node]));
        let its = |node: usize| {
            let trade = self.world.market(NODES[node]).trade(sold.request_id().as_bytes())?;
            (trade.state.side == Side::Consumer).then(|| (node, trade.clone()))
        };
        up.filter_map(its).next()
    }
}

/// Whether both sides get a part where its arbiters decide, and nobody has said anything yet.
fn is_to_be_divided(trade: &Trade) -> bool {
    let quiet = trade.state.dispute.as_ref().is_some_and(|record| record.state() == DisputeState::None);
    quiet && trade.binding().is_some_and(arbitration::is_to_be_divided)
}

fn is_issued(trade: &Trade) -> bool {
    trade.terms().is_some_and(|agreed| !agreed.asset.is_native())
}
