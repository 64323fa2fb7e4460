//! Nodes driven by hand: steps committed in memory, a scripted ledger, frames that can be lost or held back.

use std::collections::{BTreeMap, VecDeque};

use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::json;

use super::ledger::Ledger;
use crate::amount::{Price, Stroops, Unit};
use crate::asset::Asset;
use crate::binding::phase::Phase;
use crate::binding::trade::Trade;
use crate::document::{BuiltIn, Transport};
use crate::escrow::EscrowKind;
use crate::kind::Kind;
use crate::limits::Margins;
use crate::market::command::{Answer, Command, CommandError, CommandId, EscrowWish, OfferingDraft};
use crate::market::event::{Ask, Call, Effect, Event, ServiceEvent, Token};
use crate::market::{EscrowPolicy, Keys, Market, Policy, RESTORED_KEY, Setup};
use crate::message::{BindingId, MessageId};
use crate::network_id::NetworkId;
use crate::refusal::Refusal;
use crate::seal::SealingSecret;
use crate::stellar::LedgerPoint;
use crate::stellar::entry::Entry;
use crate::stellar::ledger_key::Key;
use crate::step::{Batch, Commit, Space, Step, Write};
use crate::time::{Now, Timestamp};

pub(super) const PROVIDER: usize = 0;
pub(super) const CONSUMER: usize = 1;
const START: u64 = 1_800_000_000;

pub(super) fn net() -> NetworkId {
    NetworkId::of_passphrase("Market ; tests")
}

#[derive(Debug, Default, Clone)]
pub(super) struct Rows {
    entries: BTreeMap<(Space, Vec<u8>), Vec<u8>>,
    writes: usize,
}

impl Rows {
    /// How many there are in a space.
    pub(super) fn count_of(&self, space: Space) -> usize {
        self.entries.keys().filter(|(of, _)| *of == space).count()
    }
}

impl Commit for Rows {
    type Error = String;
    fn commit(&mut self, batch: Batch) -> Result<(), String> {
        for write in batch.writes() {
            self.writes += 1;
            match write.clone() {
                Write::Put { space, key, value } => self.entries.insert((space, key), value),
                Write::Delete { space, key } => self.entries.remove(&(space, key)),
            };
        }
        Ok(())
    }
}

pub(super) struct Node {
    pub(super) setup: Setup,
    pub(super) market: Market,
    pub(super) up: bool,
    /// Its services get healthy on the next tick.
    pub(super) healthy: bool,
    pub(super) running: BTreeMap<BindingId, bool>,
    pub(super) started: usize,
    pub(super) sent: Vec<Kind>,
    pub(super) answers: BTreeMap<CommandId, Result<Answer, CommandError>>,
    pub(super) misbehaved: Vec<Refusal>,
    rows: Rows,
    rng: ChaCha20Rng,
}

/// A node with its account, serving and sealing keys.
fn node(n: usize, now: Now) -> Node {
    let key = |part: u8| SigningKey::from_bytes(&[n as u8 * 8 + part + 1; 32]);
    let setup = Setup {
        network: net(),
        margins: Margins::DEVNET,
        peer: format!("12D3KooWpeer{}", n + 1).parse().unwrap(),
        keys: Keys { account: Some(key(0)), serving: Some(key(1)), sealing: Some(SealingSecret::from_bytes([9; 32])) },
        policy: Policy {
            assets: vec![Asset::Native],
            transports: vec![Transport::Tcp],
            escrow: EscrowPolicy { max_timed: Stroops::whole(1_000), ..EscrowPolicy::default() },
            max_spend: Stroops::whole(1_000),
            max_fee_per_operation: Stroops::new(100).unwrap(),
            max_deadline_fee: Stroops::whole(1),
            one_word_limit: None,
            submitters: 0,
            max_cases: crate::limits::MAX_CASES,
        },
    };
    let (market, _) = Market::restore(setup.clone(), [], now).unwrap();
    Node {
        setup,
        market,
        up: true,
        healthy: true,
        running: BTreeMap::new(),
        started: 0,
        sent: Vec::new(),
        answers: BTreeMap::new(),
        misbehaved: Vec::new(),
        rows: Rows::default(),
        rng: ChaCha20Rng::seed_from_u64(n as u64),
    }
}

pub(super) struct Pair {
    pub(super) nodes: Vec<Node>,
    pub(super) ledger: Ledger,
    pub(super) now: Now,
    /// Frames of this kind from this node are lost.
    pub(super) lose: Vec<(usize, Kind)>,
    /// Answers to frames of this kind from this node are kept back until [`Pair::let_go`].
    pub(super) hold: Vec<(usize, Kind)>,
    /// Reads for a batch of timestamps are answered as of this ledger, and show these entries.
    pub(super) behind: Option<(LedgerPoint, Vec<Entry>)>,
    /// Entries that this node can't read: they are there, and not as a thing that it knows.
    pub(super) unreadable: Vec<(usize, Key)>,
    /// Entries that the first operator's endpoint hides from this node, and the second one's doesn't.
    pub(super) hidden: Vec<(usize, Key)>,
    held: Vec<(usize, Event)>,
    effects: VecDeque<(usize, Effect)>,
    waiting: BTreeMap<u64, (usize, Kind, Call)>,
    counter: u64,
}

/// Ten calls for a coin each at most, three bindings at once, delivered within 20 s.
pub(super) fn draft() -> OfferingDraft {
    OfferingDraft {
        template: BuiltIn::named("http-api").unwrap().id,
        parameters: json!({"endpoints": [{"method": "GET", "path": "/"}]}).as_object().unwrap().clone(),
        title: "Echo".into(),
        description: "Says what it hears".into(),
        service: None,
        recipient: None,
        price: Price { asset: Asset::Native, amount: Stroops::whole(1), unit: Unit::Call },
        min_units: 1,
        max_units: 10,
        max_supply: 3,
        deliver: core::time::Duration::from_secs(20),
        collect: core::time::Duration::from_secs(12),
        escrow: vec![EscrowKind::Timed],
        arbitration: None,
        transports: vec![Transport::Tcp],
        life: core::time::Duration::from_secs(3_600),
        spec: b"spec".to_vec(),
    }
}

impl Pair {
    /// A provider and consumers, each with 100 coins.
    pub(super) fn new(consumers: usize) -> Self {
        let now = Now::from(Timestamp::from_secs(START));
        let nodes: Vec<Node> = (0..=consumers).map(|n| node(n, now)).collect();
        let accounts = nodes.iter().map(|n| n.setup.keys.account_id().unwrap());
        let mut pair = Self {
            ledger: Ledger::new(accounts, Timestamp::from_secs(START)),
            nodes,
            now,
            lose: Vec::new(),
            hold: Vec::new(),
            behind: None,
            unreadable: Vec::new(),
            hidden: Vec::new(),
            held: Vec::new(),
            effects: VecDeque::new(),
            waiting: BTreeMap::new(),
            counter: 0,
        };
        pair.run(2);
        pair
    }

    /// With an offering that everybody sees live.
    pub(super) fn offering(consumers: usize, draft: OfferingDraft) -> (Self, MessageId) {
        let mut pair = Self::new(consumers);
        let command = pair.command(PROVIDER, Command::Publish(Box::new(draft)));
        pair.run(10);
        match pair.nodes[PROVIDER].answers.remove(&command) {
            Some(Ok(Answer::Published { offering, .. })) => (pair, offering),
            other => panic!("publishing led to {other:?}"),
        }
    }

    pub(super) fn command(&mut self, who: usize, command: Command) -> CommandId {
        self.counter += 1;
        let id = CommandId(self.counter);
        self.event(who, Event::Command { id, command });
        id
    }

    pub(super) fn bind(&mut self, who: usize, offering: MessageId, units: u64) -> CommandId {
        self.command(who, Command::Bind { offering, units, wish: EscrowWish::default(), dry_run: false })
    }

    /// A binding whose session is active on both sides.
    pub(super) fn active(draft: OfferingDraft, units: u64) -> (Self, MessageId) {
        let (mut pair, offering) = Self::offering(1, draft);
        pair.bind(CONSUMER, offering, units);
        pair.run(6);
        let request = pair.only(CONSUMER).request_id();
        assert_eq!((pair.phase(PROVIDER, request), pair.phase(CONSUMER, request)), (Phase::Active, Phase::Active));
        (pair, request)
    }

    /// Hands a node an event and does all that follows, at once.
    pub(super) fn event(&mut self, who: usize, event: Event) {
        let node = &mut self.nodes[who];
        if node.up {
            let step = node.market.handle(event, self.now, &mut node.rng);
            self.follow(who, step);
        }
        while let Some((who, effect)) = self.effects.pop_front() {
            self.perform(who, effect);
        }
    }

    /// Hands a node an event and commits what it decides, without doing any of it.
    pub(super) fn step(&mut self, who: usize, event: Event) -> Step<Effect> {
        let node = &mut self.nodes[who];
        let step = node.market.handle(event, self.now, &mut node.rng);
        let (batch, effects) = step.into_parts();
        node.rows.commit(batch).unwrap();
        let mut rest = Step::none();
        effects.into_iter().for_each(|effect| rest.then(effect));
        rest
    }

    fn follow(&mut self, who: usize, step: Step<Effect>) {
        let effects = step.commit_to(&mut self.nodes[who].rows).unwrap();
        self.effects.extend(effects.into_iter().map(|effect| (who, effect)));
    }

    fn perform(&mut self, who: usize, effect: Effect) {
        self.counter += 1;
        let token = Token(self.counter);
        let from = self.nodes[who].setup.peer.clone();
        match effect {
            Effect::Read { ask, keys } => {
                let newest = (self.ledger.point(), self.ledger.read(&keys));
                let behind = self.behind.clone().filter(|_| matches!(ask, Ask::Stamp(_)));
                let (at, mut entries) = behind.unwrap_or(newest);
                let readable = |key: &Key| !self.unreadable.contains(&(who, key.clone()));
                entries.retain(|entry| readable(&entry.key()));
                let shown = entries.len();
                entries.retain(|entry| !self.hidden.contains(&(who, entry.key())));
                if ask.gates_money() && entries.len() < shown {
                    let why = "the endpoints don't come to the same answer".to_owned();
                    return self.event(who, Event::ReadFailed { ask, why });
                }
                let asked = keys.into_iter().filter(readable).collect();
                self.event(who, Event::Entries { ask, at, asked, entries });
            }
            Effect::Submit { hash, envelope } => {
                let answer = self.ledger.submit(&envelope);
                self.event(who, Event::Submitted { hash, answer });
            }
            Effect::AskStatus { hash } => {
                let (status, envelope) = self.ledger.status(hash);
                self.event(who, Event::Status { hash, status, envelope });
            }
            Effect::Search { balance, after, until } => {
                let found = Ok(self.ledger.search(balance, after, until));
                self.event(who, Event::Searched { balance, found });
            }
            Effect::Publish { kind, bytes } => {
                for other in (0..self.nodes.len()).filter(|o| *o != who) {
                    let (bytes, from) = (bytes.clone(), from.clone());
                    self.event(other, Event::Gossiped { token, kind, bytes, from });
                }
            }
            Effect::Send { peer, call, bytes } => {
                let kind = Kind::from_number(bytes[0]).unwrap();
                self.nodes[who].sent.push(kind);
                let to = (0..self.nodes.len()).find(|n| self.nodes[*n].setup.peer == peer && self.nodes[*n].up);
                match to.filter(|_| !self.lose.contains(&(who, kind))) {
                    Some(to) => {
                        self.waiting.insert(token.0, (who, kind, call));
                        self.event(to, Event::Direct { token, peer: from, bytes });
                    }
                    None => self.event(who, Event::Answered { call, result: Err("lost".into()) }),
                }
            }
            Effect::Respond { token, bytes } => {
                let Some((who, kind, call)) = self.waiting.remove(&token.0) else { return };
                let answered = Event::Answered { call, result: Ok(bytes) };
                if self.hold.contains(&(who, kind)) {
                    self.held.push((who, answered));
                } else {
                    self.event(who, answered);
                }
            }
            Effect::StartService { binding, .. } => {
                self.nodes[who].started += 1;
                self.nodes[who].running.insert(binding, false);
            }
            Effect::StopService { binding } => drop(self.nodes[who].running.remove(&binding)),
            Effect::Answer { id, result } => drop(self.nodes[who].answers.insert(id, result)),
            Effect::Misbehaved { refusal, .. } => self.nodes[who].misbehaved.push(refusal),
            _ => {}
        }
    }

    /// Delivers the answers that were kept back.
    pub(super) fn let_go(&mut self) {
        self.hold.clear();
        for (who, event) in core::mem::take(&mut self.held) {
            self.event(who, event);
        }
    }

    /// So many seconds, a ledger each.
    pub(super) fn run(&mut self, secs: u64) {
        for _ in 0..secs {
            self.now = self.now.plus(core::time::Duration::from_secs(1));
            self.ledger.close(self.now.timestamp());
            for who in 0..self.nodes.len() {
                let point = self.ledger.point();
                self.event(who, Event::Closed(point));
                let node = &mut self.nodes[who];
                let due = node.running.iter_mut().filter(|(_, told)| node.healthy && !**told);
                let due: Vec<BindingId> = due.map(|(b, told)| (*b, core::mem::replace(told, true)).0).collect();
                for binding in due {
                    self.event(who, Event::Service { binding, event: ServiceEvent::Runs });
                }
                self.event(who, Event::Tick);
            }
        }
    }

    /// Kills a node; what wasn't committed is gone.
    pub(super) fn kill(&mut self, who: usize) {
        self.nodes[who].up = false;
        self.nodes[who].running.clear();
        self.held.retain(|(w, _)| *w != who);
    }

    pub(super) fn restart(&mut self, who: usize) {
        let node = &mut self.nodes[who];
        let rows = node.rows.entries.clone().into_iter().map(|((space, key), value)| (space, key, value));
        let (market, step) = Market::restore(node.setup.clone(), rows, self.now).unwrap();
        (node.market, node.up) = (market, true);
        self.follow(who, step);
        let point = self.ledger.point();
        self.event(who, Event::Closed(point));
    }

    /// As [`Pair::restart`], of a store that was restored from a backup.
    pub(super) fn restore(&mut self, who: usize) {
        self.nodes[who].rows.entries.insert((Space::Mark, RESTORED_KEY.to_vec()), Vec::new());
        // Messages are in no backup.
        self.nodes[who].rows.entries.retain(|(space, _), _| space.is_backed_up());
        self.restart(who);
    }

    /// As [`Pair::restart`], after the database was lost: what money depends on comes back from the journal.
    pub(super) fn restart_without_database(&mut self, who: usize) {
        self.nodes[who].rows.entries.retain(|(space, _), _| space.holds_money());
        self.restart(who);
    }

    /// What a node has stored.
    pub(super) fn rows(&self, who: usize) -> Rows {
        self.nodes[who].rows.clone()
    }

    /// How often a node has written anything.
    pub(super) fn writes(&self, who: usize) -> usize {
        self.nodes[who].rows.writes
    }

    /// Puts this in the place of what a node has stored.
    pub(super) fn set_rows(&mut self, who: usize, rows: Rows) {
        self.nodes[who].rows = rows;
    }

    /// How many messages of the market it has stored.
    pub(super) fn stored_messages(&self, who: usize) -> usize {
        self.nodes[who].rows.entries.keys().filter(|(space, _)| *space == Space::Message).count()
    }

    pub(super) fn only(&self, who: usize) -> &Trade {
        let mut trades = self.nodes[who].market.trades();
        let only = trades.next().expect("a trade");
        assert!(trades.next().is_none(), "more than one trade");
        only
    }

    pub(super) fn trade(&self, who: usize, request: MessageId) -> &Trade {
        self.nodes[who].market.trade(request.as_bytes()).expect("the trade")
    }

    pub(super) fn phase(&self, who: usize, request: MessageId) -> Phase {
        self.trade(who, request).phase()
    }
}
