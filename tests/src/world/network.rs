//! The virtual network: gossip with each node's verdicts, and one question and answer at a time between two nodes.

use core::time::Duration;

use sha2::{Digest, Sha256};
use tradepost_protocol::account::PeerId;
use tradepost_protocol::kind::Kind;
use tradepost_protocol::limits::FRAME_TIMEOUT;
use tradepost_protocol::market::event::{Call, Effect, Event, Token, Verdict};
use tradepost_protocol::message::MessageId;

use super::{Address, Happening, World};

/// One way between two nodes: least and most, in milliseconds.
const LATENCY: (u64, u64) = (5, 40);

/// A gossiped message between two nodes.
#[derive(Debug, Clone)]
pub(super) struct Gossip {
    from: usize,
    to: usize,
    kind: Kind,
    bytes: Vec<u8>,
}

/// A question that one node asks another.
#[derive(Debug)]
pub(super) struct Exchange {
    asker: Asker,
    pub(super) answerer: usize,
    matter: Matter,
}

impl Exchange {
    /// The frame that was asked with.
    pub(super) fn question(&self) -> Option<&[u8]> {
        match &self.matter {
            Matter::Direct { bytes, .. } => Some(bytes),
            Matter::Ids { .. } | Matter::Messages { .. } => None,
        }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) enum Asker {
    /// A node of the world.
    Node(Address),
    /// A peer that the test plays itself.
    Stranger(PeerId),
    /// One that doesn't wait for the answer.
    Deaf(PeerId),
}

#[derive(Debug, Clone)]
pub(super) enum Matter {
    Direct { call: Option<Call>, bytes: Vec<u8> },
    Ids { after: Option<(Kind, MessageId)> },
    Messages { ids: Vec<(Kind, MessageId)> },
}

/// An answer on its way back.
#[derive(Debug)]
pub(super) enum Reply {
    Direct(Vec<u8>),
    Ids {
        ids: Vec<(Kind, MessageId)>,
        more: bool,
    },
    /// For each of those asked for, in their order.
    Messages(Vec<Option<Vec<u8>>>),
}

impl World {
    /// Whether two nodes can reach each other now.
    pub(super) fn linked(&self, a: usize, b: usize) -> bool {
        let apart = self.nodes[a].part != self.nodes[b].part;
        !apart && [a, b].iter().all(|i| self.nodes[*i].connected && self.nodes[*i].life.is_some())
    }

    /// Divides the network: nodes that are named together reach each other and nobody else, and so do those that aren't
    /// named. Without parts it is whole again. All of them still reach the ledger.
    pub fn divide(&mut self, parts: &[&[&str]]) {
        let pairs: Vec<_> = (0..self.nodes.len()).flat_map(|a| (0..self.nodes.len()).map(move |b| (a, b))).collect();
        let before: Vec<bool> = pairs.iter().map(|(a, b)| self.linked(*a, *b)).collect();
        self.nodes.iter_mut().for_each(|node| node.part = 0);
        for (number, names) in (1..).zip(parts) {
            for name in *names {
                let index = self.index(name);
                self.nodes[index].part = number;
            }
        }
        for ((who, whom), before) in pairs.into_iter().zip(before) {
            let peer = self.nodes[whom].setup.peer.clone();
            let event = match (before, self.linked(who, whom)) {
                (true, false) => Event::PeerLost(peer),
                (false, true) => Event::PeerMet(peer),
                _ => continue,
            };
            let address = (who, self.nodes[who].generation);
            self.schedule_between(LATENCY, Happening::Reach(address, event));
        }
    }

    /// A node that appeared meets all others, and they it.
    pub(super) fn meet_everyone(&mut self, index: usize) {
        for other in 0..self.nodes.len() {
            if other == index || !self.linked(index, other) {
                continue;
            }
            for (who, whom) in [(index, other), (other, index)] {
                let address = (who, self.nodes[who].generation);
                let event = Event::PeerMet(self.nodes[whom].setup.peer.clone());
                self.schedule_between(LATENCY, Happening::Reach(address, event));
            }
        }
    }

    /// Does what an effect wants of the network.
    pub(super) fn send_out(&mut self, address: Address, effect: Effect) {
        match effect {
            Effect::Publish { kind, bytes } => {
                if let Some(life) = &mut self.nodes[address.0].life {
                    life.seen.insert(Sha256::digest(&bytes).into());
                }
                self.gossip(address.0, None, kind, &bytes);
            }
            Effect::Verdict { token, verdict, .. } => {
                if let Some(heard) = self.heard.remove(&token.0)
                    && verdict == Verdict::Accept
                {
                    self.gossip(address.0, Some(heard.from), heard.kind, &heard.bytes);
                }
            }
            Effect::Send { peer, call, bytes } => {
                self.see_agreement(&bytes);
                self.ask(address, &peer, Matter::Direct { call: Some(call), bytes });
            }
            Effect::ListIds { peer, after } => self.ask(address, &peer, Matter::Ids { after }),
            Effect::Fetch { peer, ids } => self.ask(address, &peer, Matter::Messages { ids }),
            Effect::Respond { token, bytes } => self.reply(token, Reply::Direct(bytes)),
            Effect::ServeIds { token, ids, more } => {
                let reply = self.nodes[address.0].giving.ids(ids, more);
                self.reply(token, reply);
            }
            Effect::ServeMessages { token, found } => {
                let reply = self.nodes[address.0].giving.messages(found);
                self.reply(token, reply);
            }
            other => unreachable!("{other:?} is no matter of the network"),
        }
    }

    /// The others notice that a node is gone.
    pub(super) fn lose(&mut self, index: usize) {
        for other in (0..self.nodes.len()).filter(|other| *other != index) {
            let address = (other, self.nodes[other].generation);
            let event = Event::PeerLost(self.nodes[index].setup.peer.clone());
            self.schedule_between(LATENCY, Happening::Reach(address, event));
        }
    }

    fn gossip(&mut self, from: usize, except: Option<usize>, kind: Kind, bytes: &[u8]) {
        for to in 0..self.nodes.len() {
            if to != from && Some(to) != except && self.linked(from, to) {
                let gossip = Gossip { from, to, kind, bytes: bytes.to_vec() };
                self.schedule_between(LATENCY, Happening::Gossip(gossip));
            }
        }
    }

    pub(super) fn gossip_arrives(&mut self, gossip: Gossip) {
        if !self.linked(gossip.from, gossip.to) {
            return;
        }
        let node = &mut self.nodes[gossip.to];
        let address = (gossip.to, node.generation);
        let fresh = node.life.as_mut().is_some_and(|life| life.seen.insert(Sha256::digest(&gossip.bytes).into()));
        if !fresh {
            return;
        }
        self.next_number += 1;
        let token = Token(self.next_number);
        let from = self.nodes[gossip.from].setup.peer.clone();
        let event = Event::Gossiped { token, kind: gossip.kind, bytes: gossip.bytes.clone(), from };
        self.heard.insert(token.0, gossip);
        self.deliver(address, event);
    }

    fn ask(&mut self, asker: Address, peer: &PeerId, matter: Matter) {
        let answerer = self.nodes.iter().position(|n| &n.setup.peer == peer);
        self.begin(Asker::Node(asker), answerer, matter);
    }

    pub(super) fn begin(&mut self, asker: Asker, answerer: Option<usize>, matter: Matter) -> u64 {
        self.next_number += 1;
        let number = self.next_number;
        // Who asks an unknown peer asks nobody: it is answered like a peer that can't be reached.
        let answerer = answerer.unwrap_or(usize::MAX);
        self.exchanges.insert(number, Exchange { asker, answerer, matter });
        self.schedule_between(LATENCY, Happening::Asked(number));
        self.schedule(FRAME_TIMEOUT, Happening::GivenUp(number));
        number
    }

    fn can_reach(&self, exchange: &Exchange) -> bool {
        if exchange.answerer == usize::MAX {
            return false;
        }
        match exchange.asker {
            Asker::Node((index, _)) => self.linked(index, exchange.answerer),
            Asker::Stranger(_) | Asker::Deaf(_) => self.linked(exchange.answerer, exchange.answerer),
        }
    }

    pub(super) fn exchange_arrives(&mut self, number: u64) {
        let Some(exchange) = self.exchanges.get(&number) else { return };
        if !self.can_reach(exchange) {
            return self.exchange_fails(number, "the peer can't be reached");
        }
        let peer = match &exchange.asker {
            Asker::Node((index, _)) => self.nodes[*index].setup.peer.clone(),
            Asker::Stranger(peer) | Asker::Deaf(peer) => peer.clone(),
        };
        let (answerer, token) = (exchange.answerer, Token(number));
        let event = match exchange.matter.clone() {
            Matter::Direct { bytes, .. } => {
                self.overhear(answerer, &bytes);
                Event::Direct { token, peer, bytes }
            }
            Matter::Ids { after } => Event::IdsWanted { token, after },
            Matter::Messages { ids } => Event::MessagesWanted { token, ids },
        };
        self.deliver((answerer, self.nodes[answerer].generation), event);
    }

    fn reply(&mut self, token: Token, reply: Reply) {
        let reply = self.maybe_lied(token.0, reply);
        if let Reply::Direct(bytes) = &reply {
            self.see_agreement(bytes);
        }
        self.schedule_between(LATENCY, Happening::Replied(token.0, reply));
    }

    pub(super) fn reply_arrives(&mut self, number: u64, reply: Reply) {
        let Some(exchange) = self.exchanges.get(&number) else { return };
        if !self.can_reach(exchange) {
            return self.exchange_fails(number, "the connection was lost before the answer");
        }
        let Some(Exchange { asker, answerer, matter }) = self.exchanges.remove(&number) else { return };
        let peer = self.nodes[answerer].setup.peer.clone();
        let event = match (matter, reply) {
            (Matter::Direct { call: Some(call), .. }, Reply::Direct(bytes)) => {
                if let Asker::Node((index, _)) = asker {
                    self.overhear(index, &bytes);
                }
                Event::Answered { call, result: Ok(bytes) }
            }
            (Matter::Direct { call: None, .. }, Reply::Direct(_)) if matches!(asker, Asker::Deaf(_)) => return,
            (Matter::Direct { call: None, .. }, Reply::Direct(bytes)) => {
                self.raw_answers.insert(number, Some(bytes));
                return;
            }
            (Matter::Ids { .. }, Reply::Ids { ids, more }) => Event::Ids { peer, ids, more },
            (Matter::Messages { ids }, Reply::Messages(found)) => {
                let kinds = ids.iter().map(|(kind, _)| *kind);
                let messages = kinds.zip(found).filter_map(|(kind, bytes)| Some((kind, bytes?))).collect();
                Event::Fetched { peer, asked: ids, messages }
            }
            (matter, reply) => panic!("seed {}: {reply:?} is no answer to {matter:?}", self.seed),
        };
        if let Asker::Node(address) = asker {
            self.deliver(address, event);
        }
    }

    pub(super) fn exchange_fails(&mut self, number: u64, why: &str) {
        let Some(Exchange { asker, matter, .. }) = self.exchanges.remove(&number) else { return };
        match (asker, matter) {
            (Asker::Node(address), Matter::Direct { call: Some(call), .. }) => {
                self.deliver(address, Event::Answered { call, result: Err(why.to_owned()) });
            }
            (Asker::Stranger(_), _) => {
                self.raw_answers.insert(number, None);
            }
            _ => {}
        }
    }

    /// Sends a frame to a node as a peer that the test plays itself, and waits for the answer; `None` where the node
    /// can't be reached or doesn't answer.
    pub fn ask_as(&mut self, stranger: &PeerId, node: &str, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let answerer = self.index(node);
        let number =
            self.begin(Asker::Stranger(stranger.clone()), Some(answerer), Matter::Direct { call: None, bytes });
        self.run_until("the answer to a stranger", FRAME_TIMEOUT + Duration::from_secs(1), |world| {
            world.raw_answers.contains_key(&number)
        });
        self.raw_answers.remove(&number).flatten()
    }

    /// Gossips bytes to a node as one that another node passes on.
    pub fn pass_on(&mut self, from: &str, to: &str, kind: Kind, bytes: Vec<u8>) {
        let gossip = Gossip { from: self.index(from), to: self.index(to), kind, bytes };
        self.schedule_between(LATENCY, Happening::Gossip(gossip));
    }
}
