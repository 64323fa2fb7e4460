//! What the cheats do in a day, picked at random from all that they can: a stranger without a node, and two crooks, a trader
//! and an arbiter, whose nodes run and whose keys somebody else has, too.

mod decoys;
mod fundings;
mod tricks;

use std::collections::BTreeSet;

pub(super) use decoys::Decoy;

use stellar_xdr::{SignerKey, Uint256};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::dispute::DisputeState;
use tradepost_protocol::binding::frames::{self, Award, Dispute};
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::binding::session::Session;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::kind::Kind;
use tradepost_protocol::message::BindingId;
use tradepost_protocol::stellar::operation;
use tradepost_protocol::stellar::transaction::Bounds;
use tradepost_protocol::stellar::{Memo, Operation, transaction::Unsigned};

use super::{CROOK, CROOKED_ARBITER, Day, Later, NODES, TRADERS, Takes};
use crate::simulation::cheats::{Change, Cheat, Trick};
use crate::world::Facts;

/// How long a transaction of the cheat's may wait, in seconds.
const TRANSACTION_SECS: u64 = 15;
/// From one look for what it can take back to the next, in milliseconds: least and most.
const LOOKS_EVERY: (u64, u64) = (2_000, 4_500);
/// So often it tries; what it spoilt for itself, too, stays where it is.
const MAX_TRIES: u32 = 60;
/// What a stroop's fee is worth to a cheat that hands in others' transactions.
const RAISED_FEE: i64 = 20_000;

impl Day {
    /// Somebody cheats.
    pub(super) fn cheat(&mut self) {
        match self.pick(10) {
            _ if !self.who_miss(CROOK).is_empty() => self.cheat_with_a_frame(),
            0..5 => self.cheat_with_a_frame(),
            5..8 => self.cheat_with_a_trick(),
            _ => self.cheat_with_a_funding(),
        }
    }

    /// A crook says something to somebody, whatever it is.
    fn cheat_with_a_frame(&mut self) {
        let crook = [CROOK, CROOK, CROOKED_ARBITER][self.pick(3)];
        if !self.world.is_up(NODES[crook]) {
            return;
        }
        let missed_by = self.who_miss(crook);
        let Some(facts) = self.facts_for(crook, &missed_by) else { return };
        let often = if missed_by.is_empty() { 3 } else { 2 };
        let ends = facts.serves && self.pick(often) == 0;
        let decides = crook == CROOKED_ARBITER && self.pick(3) == 0;
        let kind = match (ends, decides) {
            (true, _) => Kind::Delivered,
            (_, true) => Kind::Award,
            _ => Kind::ALL[self.pick(Kind::ALL.len())],
        };
        let Some(frame) = facts.forge(kind, &mut self.dice) else { return };
        self.note_word(crook, &facts, &frame);
        let honest: Vec<usize> = (0..NODES.len()).filter(|node| *node != crook).collect();
        let known = honest.iter().copied().find(|node| self.is_side_of(*node, &facts));
        let to = known.filter(|_| self.pick(4) > 0).unwrap_or(honest[self.pick(honest.len())]);
        self.cheats.count(Cheat::Frame(kind), 1);
        if kind.gossiped() && self.pick(2) == 0 {
            self.world.pass_on(NODES[crook], NODES[to], kind, frame[1..].to_vec());
        } else {
            self.world.say(&facts.peer, NODES[to], frame);
        }
    }

    /// Mostly about a trade or a case of its own.
    fn facts_for(&mut self, crook: usize, missed_by: &BTreeSet<BindingId>) -> Option<Facts> {
        let name = NODES[crook];
        if let Some(trade) = self.trade_of(crook, |t| t.binding().is_some_and(|b| missed_by.contains(&b))) {
            return self.world.facts_of(name, name, &trade);
        }
        if let Some(trade) = self.trade_of(crook, |_| true).filter(|_| self.pick(4) > 0) {
            return self.world.facts_of(name, name, &trade);
        }
        if let Some((node, trade)) = self.undisputed_with(crook).filter(|_| self.pick(2) == 0) {
            return self.world.facts_of(name, NODES[node], &trade);
        }
        let cases: Vec<_> = self.world.market(name).cases().map(|case| case.binding()).collect();
        if !cases.is_empty() && self.pick(4) > 0 {
            let case = cases[self.pick(cases.len())];
            for node in (0..TRADERS).filter(|node| *node != crook) {
                if let Some(trade) = self.trade_of(node, |t| t.binding() == Some(case)) {
                    return self.world.facts_of(name, NODES[node], &trade);
                }
            }
        }
        self.world.some_facts(name)
    }

    /// A trade of somebody's that a crook alone would decide, and that nobody has asked it about.
    fn undisputed_with(&mut self, crook: usize) -> Option<(usize, Trade)> {
        let account = self.world.account(NODES[crook]);
        let its = |t: &Trade| {
            let alone =
                t.terms().is_some_and(|agreed| matches!(&agreed.arbiters[..], [only] if only.account == account));
            alone && !t.phase().is_final() && t.state.dispute.as_ref().is_some_and(|d| d.state() == DisputeState::None)
        };
        let first = self.pick(TRADERS);
        (0..TRADERS).map(|n| (first + n) % TRADERS).find_map(|node| Some((node, self.trade_of(node, its)?)))
    }

    /// The bindings whose consumers don't hear a provider just now.
    pub(super) fn who_miss(&self, provider: usize) -> BTreeSet<BindingId> {
        let up = NODES[..TRADERS].iter().enumerate().filter(|(node, name)| *node != provider && self.world.is_up(name));
        let trades = up.flat_map(|(_, name)| self.world.market(name).trades());
        let miss = trades.filter(|t| t.state.side == Side::Consumer && t.state.session == Session::Away);
        miss.filter_map(|trade| trade.binding()).collect()
    }

    fn is_side_of(&self, node: usize, facts: &Facts) -> bool {
        let name = NODES[node];
        self.world.is_up(name) && self.world.market(name).trade(facts.binding.as_bytes()).is_some()
    }

    /// What a crook says of its own is its word.
    fn note_word(&mut self, crook: usize, facts: &Facts, frame: &[u8]) {
        self.judge.release_typed_by_crook(facts.request_id, self.world.account(NODES[crook]));
        let Ok(packed) = frames::from_stream(&facts.network, frame) else { return };
        match packed.kind() {
            Kind::Award => {
                if let Ok(award) = packed.open::<Award>(&facts.network) {
                    let award = award.body();
                    self.judge.award_typed(award.binding, NODES[crook], award.split.to_provider);
                }
            }
            Kind::Dispute => {
                if let Ok(dispute) = packed.open::<Dispute>(&facts.network) {
                    self.judge.dispute_said(dispute.body());
                }
            }
            _ => {}
        }
    }

    /// Hands a transaction of the stranger's in, signed by others, too, where it has their keys.
    fn hand_in(&mut self, operations: Vec<Operation>, others: &[&ed25519_dalek::SigningKey]) -> bool {
        let at = self.world.newest_ledger();
        let Some(account) = self.world.ledger().account(self.cheat.account()) else { return false };
        if self.handed_in_at == at.sequence {
            return false;
        }
        self.handed_in_at = at.sequence;
        let until = at.close_time.plus(core::time::Duration::from_secs(TRANSACTION_SECS));
        let unsigned = Unsigned {
            source: account.id,
            sequence: account.sequence + 1,
            fee: 100 * operations.len() as u32,
            bounds: Bounds::until(until),
            memo: Memo::None,
            operations,
        };
        let network = self.world.ledger().network();
        let mut keys = vec![&self.cheat.key];
        keys.extend(others);
        let Ok(envelope) = unsigned.sign(&keys, &network) else { return false };
        self.world.ledger().submit(envelope.bytes());
        true
    }

    /// What a cheat locked, it tries to have back until it has.
    pub(super) fn takes_back(&mut self, mut takes: Takes) {
        if self.world.ledger().balance(takes.balance).is_none() {
            // It was there and is gone, or it can't come any more.
            if takes.tries == 0 && self.world.close_time() <= takes.fund_by {
                let pause = self.between(LOOKS_EVERY.0, LOOKS_EVERY.1);
                self.put_off(pause, Later::TakeBack(Box::new(takes)));
            }
            return;
        }
        takes.tries += 1;
        if takes.tries > MAX_TRIES {
            return;
        }
        let claim = operation::claim(takes.balance);
        let controller = (takes.tries % 2 == 1).then_some(takes.controller).flatten();
        let handed_in = match (controller, &takes.beneficiary) {
            (Some(controller), _) => {
                let signing = self.cheat.signing.clone();
                let operations = self.by_its_controller(&takes, controller, claim);
                self.hand_in(operations, &[&signing])
            }
            (None, Some(beneficiary)) => {
                let (other, key) = (tradepost_protocol::account::AccountId::of(beneficiary), beneficiary.clone());
                self.hand_in(vec![operation::by(other, claim)], &[&key])
            }
            (None, None) => self.hand_in(vec![claim], &[]),
        };
        // Where another of its transactions took its turn, it didn't try.
        takes.tries -= u32::from(!handed_in);
        let pause = self.between(LOOKS_EVERY.0, LOOKS_EVERY.1);
        self.put_off(pause, Later::TakeBack(Box::new(takes)));
    }

    /// What the stranger does with a controller that it moves alone: takes the money, pays it, a part of it, or somebody who
    /// has no part, or makes the controller what it should have been.
    fn by_its_controller(&mut self, takes: &Takes, controller: AccountId, claim: Operation) -> Vec<Operation> {
        let (own, asset) = (self.cheat.account(), takes.asset.clone());
        let pays = |to, amount| operation::by(controller, operation::pay(to, &asset, amount));
        let half = Stroops::new(takes.amount.get() / 2).unwrap_or_default();
        let rest = takes.amount.minus(half).unwrap_or_default();
        let mut operations = vec![operation::by(controller, claim)];
        match self.pick(6) {
            0 => operations.push(pays(takes.recipient, takes.amount)),
            1 if !half.is_zero() => operations.extend([pays(takes.recipient, half), pays(own, rest)]),
            2 => operations.push(pays(self.world.account(NODES[CROOK]), takes.amount)),
            3 | 4 => {
                let key = self.cheat.signing.verifying_key().to_bytes();
                let signer = operation::add_signer(SignerKey::Ed25519(Uint256(key)), takes.weight);
                operations = vec![operation::by(controller, signer)];
            }
            _ => operations.push(pays(own, takes.amount)),
        }
        operations
    }

    /// The stranger binds as it should, and locks otherwise than it should.
    fn cheat_with_a_funding(&mut self) {
        // What can be put right afterwards, or not, comes up more often.
        let any = Change::ALL[self.pick(Change::ALL.len())];
        let change = if self.pick(6) == 0 { Change::OwnWeight } else { any };
        let shown = self.pick(2) == 0;
        if self.fund_otherwise(change, shown).is_some() {
            self.cheats.count(if shown { Cheat::Shown(change) } else { Cheat::Funding(change) }, 1);
        }
    }

    fn cheat_with_a_trick(&mut self) {
        let trick = Trick::ALL[self.pick(Trick::ALL.len())];
        if self.play(trick).is_some_and(|handed_in| handed_in) {
            self.cheats.count(Cheat::Trick(trick), 1);
        }
    }

    /// What side a crook is on in a trade of another node.
    fn crook_is(&self, side: Side, trade: &Trade) -> bool {
        let account = self.world.account(NODES[CROOK]);
        trade.terms().is_some_and(|agreed| match side {
            Side::Provider => agreed.recipient == account,
            Side::Consumer => agreed.consumer == account,
        })
    }
}
