//! Crooks: nodes whose keys somebody else has, too. Now and then they answer otherwise than their market does, they keep what
//! they hear, and whoever has their keys speaks for them.

use std::collections::{BTreeMap, VecDeque};

use rand_core::Rng;
use tradepost_protocol::account::{PeerId, ServingKey};
use tradepost_protocol::binding::agreement;
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::kind::Kind;
use tradepost_protocol::message::BalanceId;

use super::network::{Asker, Matter, Reply};
use super::{Facts, World, trade_key};

/// Frames that a crook keeps, the newest ones.
const OVERHEARD: usize = 32;

/// What makes a node a crook's.
#[derive(Debug)]
pub(super) struct Crook {
    /// One answer in so many isn't the market's.
    lies_in: u64,
    overheard: VecDeque<Vec<u8>>,
}

impl World {
    /// From now on one answer of a node in so many is somebody else's, who has its keys.
    pub fn let_lie(&mut self, name: &str, one_in: u64) {
        let index = self.index(name);
        self.nodes[index].crook = Some(Crook { lies_in: one_in, overheard: VecDeque::new() });
    }

    /// The answers that weren't a market's, by their kind.
    pub fn lies(&self) -> &BTreeMap<Kind, usize> {
        &self.lies
    }

    /// Says something to a node under a peer's name, and doesn't wait for the answer.
    pub fn say(&mut self, peer: &PeerId, node: &str, bytes: Vec<u8>) {
        let answerer = self.index(node);
        self.begin(Asker::Deaf(peer.clone()), Some(answerer), Matter::Direct { call: None, bytes });
    }

    pub(super) fn overhear(&mut self, index: usize, bytes: &[u8]) {
        if let Some(crook) = &mut self.nodes[index].crook
            && !bytes.is_empty()
        {
            if crook.overheard.len() == OVERHEARD {
                crook.overheard.pop_front();
            }
            crook.overheard.push_back(bytes.to_vec());
        }
    }

    /// An answer as a crook gives it.
    pub(super) fn maybe_lied(&mut self, number: u64, reply: Reply) -> Reply {
        let Reply::Direct(truth) = &reply else { return reply };
        let Some(exchange) = self.exchanges.get(&number) else { return reply };
        let index = exchange.answerer;
        let Some(crook) = self.nodes.get(index).and_then(|node| node.crook.as_ref()) else { return reply };
        let (lies_in, question) = (crook.lies_in, exchange.question());
        if !self.rng.next_u64().is_multiple_of(lies_in) {
            return reply;
        }
        // Frames name their binding right after the key that signs them.
        let named = question.and_then(|bytes| bytes.get(33..65)).map(<[u8]>::to_vec);
        let its = |trade: &&Trade| trade.binding().is_some_and(|b| named.as_deref() == Some(&b.as_bytes()[..]));
        let kind = truth.first().copied().and_then(Kind::from_number).unwrap_or(Kind::Ack);
        let any = Kind::ALL[(self.rng.next_u64() % Kind::ALL.len() as u64) as usize];
        let kind = if self.rng.next_u64().is_multiple_of(4) { any } else { kind };
        let name = self.nodes[index].name.clone();
        let facts = match self.nodes[index].life.as_ref().and_then(|life| life.market.trades().find(its)) {
            Some(trade) => self.facts_of(&name, &name, &trade.clone()),
            None => self.some_facts(&name),
        };
        let Some(lie) = facts.and_then(|facts| facts.forge(kind, &mut self.rng)) else { return reply };
        *self.lies.entry(kind).or_default() += 1;
        Reply::Direct(lie)
    }

    /// What a crook knows of any trade of anybody who runs.
    pub fn some_facts(&mut self, crook: &str) -> Option<Facts> {
        let up = self.nodes.iter().filter_map(|node| Some((&node.name, node.life.as_ref()?)));
        let all: Vec<(&String, &Trade)> =
            up.flat_map(|(name, life)| life.market.trades().map(move |trade| (name, trade))).collect();
        let count = all.len() as u64;
        if count == 0 {
            return None;
        }
        let (name, trade) = all[(self.rng.next_u64() % count) as usize];
        let (name, trade) = (name.clone(), trade.clone());
        self.facts_of(crook, &name, &trade)
    }

    /// What a crook knows of a trade that this node has, its own one or another.
    pub fn facts_of(&mut self, crook: &str, name: &str, trade: &Trade) -> Option<Facts> {
        let network = self.ledger.network();
        let node = &self.nodes[self.index(crook)];
        let keys = &node.setup.keys;
        let (account, serving) = (keys.account.clone()?, keys.serving.clone()?);
        let its = crook == name;
        let own = match trade.state.side {
            Side::Consumer if its => trade_key(&account, trade),
            _ => serving.clone(),
        };
        let agreed = trade.terms();
        let other = match trade.state.side {
            Side::Provider => agreed.map(|a| a.consumer_key),
            Side::Consumer => agreed.map(|a| a.serving_key),
        };
        let book = node.life.as_ref().map(|life| life.market.book());
        let offering = book.and_then(|book| book.offering(&trade.series())).map(|signed| signed.body().clone());
        let overheard = node.crook.as_ref().map(|c| c.overheard.iter().cloned().collect()).unwrap_or_default();
        let arbitrates = agreed.is_some_and(|a| a.arbiters.iter().any(|a| a.key == ServingKey::of(&serving)));
        let known = its || arbitrates;
        Some(Facts {
            network,
            now: self.now().timestamp(),
            peer: node.setup.peer.clone(),
            own,
            other: other.unwrap_or(trade.request.body().signing_key),
            binding: trade.agreement.as_ref().map(agreement::binding_id)?,
            request_id: trade.request_id(),
            request: trade.request.body().clone(),
            agreement: trade.agreement.clone().filter(|_| known),
            balance: trade.state.balance.unwrap_or(BalanceId::from_bytes([7; 32])),
            offering,
            serves: its && trade.state.side == Side::Provider && trade.state.session.runs(),
            overheard,
            account,
            serving,
        })
    }
}
