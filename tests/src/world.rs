//! The simulated world: several nodes' markets over a virtual clock, a virtual network and the in-process ledger.
//!
//! It runs the very types that the node runs: [`Market`] decides, a
//! [`Step`](tradepost_protocol::step::Step) is committed to a [`MemoryStore`] before any of its effects is done, and the
//! ledger is the development ledger behind its JSON-RPC. Time moves only here; every delay and every node's randomness
//! follows from the seed, so the same seed gives the same trace.

mod arbitration;
mod crash;
mod effects;
mod endpoint;
mod faults;
mod forging;
mod giving;
mod ledger;
mod looks;
mod lying;
mod mutant;
mod network;
mod node;
mod sight;
mod stranger;
mod trace;
mod trading;
mod twin;

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use tradepost_protocol::account::{AccountId, PeerId};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::community::role::RoleSettings;
use tradepost_protocol::kind::Kind;
use tradepost_protocol::market::command::{Answer, Command, CommandError, CommandId};
use tradepost_protocol::market::event::{Ask, Event, ServiceEvent};
use tradepost_protocol::market::{Market, Policy, RESTORED_KEY, StoredRow};
use tradepost_protocol::message::{BalanceId, BindingId, Sha256Hash, TxHash};
use tradepost_protocol::refusal::Refusal;
use tradepost_protocol::stellar::entry::{AUTH_CLAWBACK_ENABLED, AUTH_REVOCABLE};
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::operation;
use tradepost_protocol::step::{Batch, Commit as _, Space};
use tradepost_protocol::time::Timestamp;
use tradepost_protocol::timestamp::BatchFile;
use tradepost_store::MemoryStore;

use network::{Exchange, Gossip};
use node::{Clock, Life, Node, RIGHT_PACE, Trap};

pub use arbitration::{ARBITERS, arbiters_draft, arbitrated_draft};
pub use crash::CrashPlan;
pub use faults::FaultRates;
pub use forging::Facts;
pub use giving::Giving;
pub use ledger::{Included, WorldLedger};
pub use mutant::Mutant;
pub use node::{Moment, Process, Role, Script, keys_of, peer_of, trade_key};
pub use sight::{Sight, Standing};
pub use stranger::{Stranger, escrow_of};
pub use trace::Trace;
pub use trading::{Bound, Published, draft};

/// When the first ledger of every world closed, in seconds since 1970.
const GENESIS_SECS: u64 = 1_800_000_000;
/// From one ledger to the next.
const CLOSE_EVERY: Duration = Duration::from_secs(1);
/// From one tick of a node to the next.
const TICK_EVERY: Duration = Duration::from_millis(250);
/// One way to the ledger or back: least and most, in milliseconds.
const LEDGER_LATENCY: (u64, u64) = (10, 60);
/// What the issuer's account holds at first.
const ISSUER_ENDOWMENT: Stroops = Stroops::whole(100);
/// How long a command may take until it is answered.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

/// A node's process: its number and how often it was started. What is addressed to an earlier life is lost.
type Address = (usize, u64);

enum Happening {
    LedgerCloses,
    Tick(Address),
    Reach(Address, Event),
    LedgerAsked(Address, Question),
    Service { address: Address, binding: BindingId, number: u64, event: ServiceEvent },
    Gossip(Gossip),
    Asked(u64),
    Replied(u64, network::Reply),
    GivenUp(u64),
    StartsAgain(usize),
    FeesFall,
}

/// How the world's second endpoint does, run by another operator than the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecondEndpoint {
    /// It says what the first one says.
    #[default]
    Agrees,
    /// It doesn't answer.
    Down,
    /// It shows no claimable balance.
    HidesBalances,
}

/// A question on its way to the ledger.
enum Question {
    Read { ask: Ask, keys: Vec<Key> },
    Submit { hash: TxHash, envelope: Vec<u8> },
    Status { hash: TxHash },
    Search { balance: BalanceId, after: u32, until: u32 },
    Follow { exchange: Asset, from: u32 },
}

/// Nodes, network, ledger and time.
pub struct World {
    seed: u64,
    millis: u64,
    order: u64,
    agenda: BTreeMap<(u64, u64), Happening>,
    rng: ChaCha20Rng,
    ledger: WorldLedger,
    nodes: Vec<Node>,
    exchanges: BTreeMap<u64, Exchange>,
    heard: BTreeMap<u64, Gossip>,
    raw_answers: BTreeMap<u64, Option<Vec<u8>>>,
    next_number: u64,
    given: Vec<(CommandId, Address)>,
    answers: BTreeMap<CommandId, Result<Answer, CommandError>>,
    misbehaved: Vec<(String, PeerId, Refusal)>,
    kept: BTreeMap<Sha256Hash, BatchFile>,
    trace: Trace,
    mutant: Option<Mutant>,
    lies: BTreeMap<Kind, usize>,
    fault_rates: FaultRates,
    ledger_faults: u64,
    halted_until: u64,
    surging_until: u64,
    forgetful_until: u64,
    sights: Option<Vec<Sight>>,
    second: SecondEndpoint,
    one_word_limit: Option<Stroops>,
    paces: Option<(u64, u64)>,
    escrow_reads: usize,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("seed", &self.seed).field("millis", &self.millis).finish_non_exhaustive()
    }
}

impl World {
    /// A world with a ledger and nobody in it.
    pub fn new(seed: u64) -> Self {
        let mut world = Self {
            seed,
            millis: GENESIS_SECS * 1_000,
            order: 0,
            agenda: BTreeMap::new(),
            rng: node::world_rng(seed),
            ledger: WorldLedger::new(GENESIS_SECS),
            nodes: Vec::new(),
            exchanges: BTreeMap::new(),
            heard: BTreeMap::new(),
            raw_answers: BTreeMap::new(),
            next_number: 1,
            given: Vec::new(),
            answers: BTreeMap::new(),
            misbehaved: Vec::new(),
            kept: BTreeMap::new(),
            trace: Trace::default(),
            mutant: None,
            lies: BTreeMap::new(),
            fault_rates: FaultRates::default(),
            ledger_faults: 0,
            halted_until: 0,
            surging_until: 0,
            forgetful_until: 0,
            sights: None,
            second: SecondEndpoint::default(),
            one_word_limit: None,
            paces: None,
            escrow_reads: 0,
        };
        world.schedule(CLOSE_EVERY, Happening::LedgerCloses);
        world
    }

    /// Adds a trader whose account holds so much, paid by the ledger's root, and starts it.
    pub fn add_node(&mut self, name: &str, balance: Stroops) {
        self.add_trader(name, balance, None, |_| {});
    }

    /// Adds a trader that crashes by a plan, from its first commit on.
    pub fn add_crashing_node(&mut self, name: &str, balance: Stroops, plan: CrashPlan) {
        self.add_trader(name, balance, Some(plan), |_| {});
    }

    fn add_trader(
        &mut self,
        name: &str,
        balance: Stroops,
        crash_plan: Option<CrashPlan>,
        policy: impl FnOnce(&mut Policy),
    ) {
        let mut node = Node::new(self.seed, name, Role::Trader, &self.ledger);
        node.setup.policy.one_word_limit = self.one_word_limit;
        node.pace = self.paces.map_or(RIGHT_PACE, |(least, most)| self.between(least, most));
        policy(&mut node.setup.policy);
        node.store = self.new_store();
        node.crash_plan = crash_plan;
        self.fund(node.account(), balance);
        node.endowment = balance.get();
        self.nodes.push(node);
        self.start(name);
    }

    /// Adds a node without any key, and starts it.
    pub fn add_bootstrap(&mut self, name: &str) {
        self.nodes.push(Node::new(self.seed, name, Role::Bootstrap, &self.ledger));
        self.start(name);
    }

    /// Creates an account with so much, paid by the ledger's root, and waits until it is there.
    pub fn fund(&mut self, account: AccountId, balance: Stroops) {
        let hash = self.ledger.submit_from_root(vec![operation::create_account(account, balance)]);
        self.wait_included("the account's creation", hash);
    }

    /// Gives an account so much of the issued asset, and waits until it is there.
    pub fn endow(&mut self, key: &SigningKey, amount: Stroops) {
        let (issuer, account) = (self.ledger.issuer(), AccountId::of(key));
        if self.ledger.account(issuer).is_none() {
            self.fund(issuer, ISSUER_ENDOWMENT);
        }
        let trust = self.ledger.submit_trust(key);
        self.wait_included("the trustline", trust);
        let issue = self.ledger.submit_issue(account, amount);
        self.wait_included("the issued asset", issue);
    }

    /// From now on the issuer may claw back what it issues.
    pub fn let_issuer_claw_back(&mut self) {
        self.let_issuer(AUTH_REVOCABLE | AUTH_CLAWBACK_ENABLED);
    }

    /// Sets flags of the issuer's account: what it may do from now on, or must.
    pub fn let_issuer(&mut self, flags: u32) {
        let issuer = self.ledger.issuer();
        if self.ledger.account(issuer).is_none() {
            self.fund(issuer, ISSUER_ENDOWMENT);
        }
        let flags = self.ledger.submit_issuer_flags(flags);
        self.wait_included("the issuer's flags", flags);
    }

    /// The issuer claws a balance back.
    pub fn claw_back(&mut self, balance: BalanceId) {
        let hash = self.ledger.submit_clawback(balance);
        self.wait_included("the clawback", hash);
    }

    /// The issuer freezes what an account holds.
    pub fn freeze(&mut self, account: AccountId) {
        let hash = self.ledger.submit_freeze(account);
        self.wait_included("the freeze", hash);
    }

    fn wait_included(&mut self, what: &str, hash: TxHash) {
        self.run_until(what, Duration::from_secs(5), |world| world.ledger.included().contains(&hash));
    }

    /// Starts a node from what its store holds durably.
    pub fn start(&mut self, name: &str) {
        let index = self.index(name);
        let point = self.ledger.point();
        let params = self.ledger.params();
        let millis = self.millis;
        let node = &mut self.nodes[index];
        assert!(node.life.is_none(), "{name} runs already");
        node.generation += 1;
        node.up_since = millis;
        let mut clock = Clock::new(point, millis, node.pace);
        let (mut market, step) = Market::restore(node.setup.clone(), node.rows(), clock.now(millis))
            .unwrap_or_else(|e| panic!("{name} can't start from its store: {e}"));
        if let Some(role) = node.role.clone() {
            market.play(role);
        }
        let (seen, processes) = Default::default();
        node.life = Some(Life { market, clock, seen, processes });
        let address = (index, node.generation);
        self.trace.note(self.millis, name, format_args!("starts"));
        self.look_for_losses(index);
        self.claim_again(index);
        self.carry_out(index, step);
        self.deliver(address, Event::Params(params));
        self.deliver(address, Event::Closed(point));
        let first = self.between(1, TICK_EVERY.as_millis() as u64);
        if self.has_timers(address) {
            self.schedule(Duration::from_millis(first), Happening::Tick(address));
        }
        self.meet_everyone(index);
    }

    /// Gives a node a role in a help exchange, from its next start on.
    pub fn set_role(&mut self, name: &str, role: RoleSettings) {
        let index = self.index(name);
        self.nodes[index].role = Some(role);
    }

    /// Lets a node take and pay with an asset, from its next start on.
    pub fn accept(&mut self, name: &str, asset: Asset) {
        let index = self.index(name);
        self.nodes[index].setup.policy.assets.push(asset);
    }

    /// Lets a node ask two operators where more than this is at stake, from its next start on.
    pub fn set_one_word_limit(&mut self, name: &str, limit: Stroops) {
        let index = self.index(name);
        self.nodes[index].setup.policy.one_word_limit = Some(limit);
    }

    /// Lets whoever comes from now on ask two operators where more than this is at stake.
    pub fn let_all_ask_two(&mut self, limit: Stroops) {
        self.one_word_limit = Some(limit);
    }

    /// Lets the clock of whoever comes from now on be wrong: it tells that many thousandths of the time that passes, at least
    /// and at most.
    pub fn let_clocks_go_wrong(&mut self, paces: (u64, u64)) {
        self.paces = Some(paces);
    }

    /// How often nodes have asked for the escrows of their bindings.
    pub fn escrow_reads(&self) -> usize {
        self.escrow_reads
    }

    /// From now on the second endpoint does so.
    pub fn set_second_endpoint(&mut self, how: SecondEndpoint) {
        self.second = how;
    }

    /// Lets a node have so many submitter accounts, from its next start on.
    pub fn allow_submitters(&mut self, name: &str, count: u8) {
        let index = self.index(name);
        self.nodes[index].setup.policy.submitters = count;
    }

    /// Kills a node: its process, its services, and everything that wasn't durable.
    pub fn kill(&mut self, name: &str) {
        let index = self.index(name);
        self.trace.note(self.millis, name, format_args!("is killed"));
        let node = &mut self.nodes[index];
        node.life = None;
        node.trap = None;
        node.store = node.store.crash();
        self.lose(index);
    }

    /// Kills a node and everything that it ever stored; its keys are kept elsewhere.
    pub fn lose_disk(&mut self, name: &str) {
        self.kill(name);
        let index = self.index(name);
        self.nodes[index].store = MemoryStore::default();
    }

    /// A node's backup as it would be made now.
    pub fn back_up(&self, name: &str) -> Vec<StoredRow> {
        let rows = self.nodes[self.index(name)].rows();
        rows.into_iter().filter(|(space, ..)| space.is_backed_up()).collect()
    }

    /// Ends a node for good and starts another one with the same keys from a backup.
    pub fn restore(&mut self, name: &str, backup: Vec<StoredRow>) {
        self.lose_disk(name);
        let mut batch = Batch::new();
        for (space, key, value) in backup {
            batch.put(space, key, value);
        }
        batch.put(Space::Mark, RESTORED_KEY, []);
        let index = self.index(name);
        self.nodes[index].store.commit(batch).expect("a store in memory takes every batch");
        self.start(name);
    }

    /// Tells a node to stop: it ends what it serves, and goes on until it is killed.
    pub fn stop(&mut self, name: &str) {
        let address = self.address(name);
        self.deliver(address, Event::Stopping);
    }

    /// Kills a node as soon as its market is in a state, at the worst moment.
    pub fn kill_when(&mut self, name: &str, moment: Moment, when: impl Fn(&Market) -> bool + 'static) {
        let index = self.index(name);
        self.nodes[index].trap = Some(Trap { moment, when: Box::new(when) });
    }

    /// Whether a node runs.
    pub fn is_up(&self, name: &str) -> bool {
        self.nodes[self.index(name)].life.is_some()
    }

    /// Takes a node off the network, or puts it back; it still reaches the ledger.
    pub fn set_connected(&mut self, name: &str, connected: bool) {
        let index = self.index(name);
        let was = core::mem::replace(&mut self.nodes[index].connected, connected);
        match (was, connected) {
            (false, true) => {
                self.nodes[index].connected_since = self.millis;
                self.meet_everyone(index);
            }
            (true, false) => self.lose(index),
            _ => {}
        }
    }

    /// What the services that a node starts from now on do.
    pub fn set_script(&mut self, name: &str, script: Script) {
        let index = self.index(name);
        self.nodes[index].script = script;
    }

    /// Lets a binding's service end by itself.
    pub fn service_says(&mut self, name: &str, binding: BindingId, event: ServiceEvent) {
        let index = self.index(name);
        let node = &mut self.nodes[index];
        let life = node.life.as_mut().unwrap_or_else(|| panic!("{name} doesn't run"));
        if matches!(event, ServiceEvent::Failed(_) | ServiceEvent::Stopped(_)) {
            life.processes.remove(&binding);
        }
        let address = (index, node.generation);
        self.deliver(address, Event::Service { binding, event });
    }

    /// Gives a command to a node without waiting for its answer.
    pub fn give(&mut self, name: &str, command: Command) -> CommandId {
        let address = self.address(name);
        self.next_number += 1;
        let id = CommandId(self.next_number);
        match &command {
            Command::CallDone { binding, failed } => {
                let (node, binding, failed) = (address.0, *binding, *failed);
                self.see_that(|| Sight::CallOver { node, binding, failed });
            }
            _ => self.given.push((id, address)),
        }
        self.deliver(address, Event::Command { id, command });
        id
    }

    /// The answer to a command, once there is one.
    pub fn answer(&self, id: CommandId) -> Option<&Result<Answer, CommandError>> {
        self.answers.get(&id)
    }

    /// The commands that no node that lives since it got them has answered.
    pub fn unanswered(&self) -> Vec<CommandId> {
        let open = |(id, address): &&(CommandId, Address)| self.lives(*address) && !self.answers.contains_key(id);
        self.given.iter().filter(open).map(|(id, _)| *id).collect()
    }

    /// Gives a command to a node and runs the world until it is answered.
    pub fn command(&mut self, name: &str, command: Command) -> Result<Answer, CommandError> {
        let what = format!("the answer to {command:?}");
        let id = self.give(name, command);
        self.run_until(&what, COMMAND_LIMIT, |world| world.answers.contains_key(&id));
        self.answers[&id].clone()
    }

    /// Runs the world until a condition holds.
    ///
    /// # Panics
    /// Where it doesn't within `limit` of virtual time.
    pub fn run_until(&mut self, what: &str, limit: Duration, mut condition: impl FnMut(&mut Self) -> bool) {
        let end = self.millis + limit.as_millis() as u64;
        while !condition(self) {
            let next = self.agenda.keys().next().map(|(at, _)| *at);
            if next.is_none_or(|at| at > end) {
                let tail = self.trace.tail();
                panic!("seed {}: {what} didn't come within {limit:?}; what happened last:\n{tail}", self.seed);
            }
            self.step();
        }
    }

    /// Runs the world for so long.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.millis + time.as_millis() as u64;
        while self.agenda.keys().next().is_some_and(|(at, _)| *at <= end) {
            self.step();
        }
        self.millis = end;
    }

    /// Runs the world until a ledger closed at this second or later.
    pub fn run_to(&mut self, second: Timestamp) {
        let left = Duration::from_millis((second.secs() * 1_000 + 2_000).saturating_sub(self.millis));
        self.run_until("a ledger's close", left, |world| world.close_time() >= second);
    }

    fn step(&mut self) {
        let Some(((at, _), happening)) = self.agenda.pop_first() else { return };
        self.millis = at;
        match happening {
            Happening::LedgerCloses => self.close_ledger(),
            Happening::Tick(address) => self.tick(address),
            Happening::Reach(address, event) => self.deliver(address, event),
            Happening::LedgerAsked(address, question) => self.ask_ledger(address, question),
            Happening::Service { address, binding, number, event } => {
                self.service_event(address, binding, number, event);
            }
            Happening::Gossip(gossip) => self.gossip_arrives(gossip),
            Happening::Asked(exchange) => self.exchange_arrives(exchange),
            Happening::Replied(exchange, reply) => self.reply_arrives(exchange, reply),
            Happening::GivenUp(exchange) => self.exchange_fails(exchange, "no answer in time"),
            Happening::StartsAgain(index) => self.start_again(index),
            Happening::FeesFall => self.fees_fall(),
        }
    }

    fn schedule(&mut self, after: Duration, happening: Happening) {
        self.order += 1;
        self.agenda.insert((self.millis + after.as_millis() as u64, self.order), happening);
    }

    fn schedule_between(&mut self, (least, most): (u64, u64), happening: Happening) {
        let after = self.between(least, most);
        self.schedule(Duration::from_millis(after), happening);
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.rng.next_u64() % (most - least + 1)
    }

    fn close_ledger(&mut self) {
        self.schedule(CLOSE_EVERY, Happening::LedgerCloses);
        if self.millis < self.halted_until {
            return;
        }
        let point = self.ledger.close(self.millis / 1_000);
        self.trace.note(self.millis, "ledger", format_args!("{} closed at {}", point.sequence, point.close_time));
        self.sync_late_disks();
        let included = self.ledger.newest().to_vec();
        self.see_that(|| Sight::Closed { point, included });
        for index in 0..self.nodes.len() {
            let address = (index, self.nodes[index].generation);
            if !self.has_timers(address) {
                continue;
            }
            self.schedule_between(LEDGER_LATENCY, Happening::Reach(address, Event::Closed(point)));
        }
    }

    fn tick(&mut self, address: Address) {
        if self.lives(address) {
            self.schedule(TICK_EVERY, Happening::Tick(address));
            self.seek_twin(address);
            self.deliver(address, Event::Tick);
        }
    }

    fn lives(&self, (index, generation): Address) -> bool {
        self.nodes[index].life.is_some() && self.nodes[index].generation == generation
    }

    /// An event reaches a node: it decides, the decision becomes durable, then it is carried out.
    fn deliver(&mut self, address: Address, event: Event) {
        if !self.lives(address) {
            return;
        }
        let node = &mut self.nodes[address.0];
        self.trace.note(self.millis, &node.name, format_args!("<- {event:?}"));
        let Some(life) = &mut node.life else { return };
        if let Event::Closed(point) = &event {
            life.clock.heard(*point, self.millis);
        }
        let now = life.clock.now(self.millis);
        let step = life.market.handle(event, now, &mut node.rng);
        self.carry_out(address.0, step);
    }

    fn index(&self, name: &str) -> usize {
        let found = self.nodes.iter().position(|n| n.name == name);
        found.unwrap_or_else(|| panic!("no node {name} in this world"))
    }

    fn address(&self, name: &str) -> Address {
        let index = self.index(name);
        assert!(self.nodes[index].life.is_some(), "{name} doesn't run");
        (index, self.nodes[index].generation)
    }
}
