//! One node of the world: the market, its store, its clock and the processes that it runs.

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use stellar_xdr::TransactionV1Envelope;
use tradepost_protocol::account::{AccountId, PeerId};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::dispute::Split;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::community::role::RoleSettings;
use tradepost_protocol::document::Transport;
use tradepost_protocol::limits::Margins;
use tradepost_protocol::market::{EscrowPolicy, Keys, Market, Policy, Setup, StoredRow};
use tradepost_protocol::message::{BindingId, MessageId, keccak};
use tradepost_protocol::seal::SealingSecret;
use tradepost_protocol::stellar::LedgerPoint;
use tradepost_protocol::step::Space;
use tradepost_protocol::time::Now;
use tradepost_store::{Contents, MemoryStore};

use super::lying::Crook;
use super::{CrashPlan, Giving, Standing, WorldLedger};

/// What a node's services do once they are told to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// They are healthy after this time, and run until they are stopped.
    Runs {
        /// From start to health.
        after: Duration,
    },
    /// They give up after this time.
    Fails {
        /// From start to failure.
        after: Duration,
        /// What they say.
        why: String,
    },
    /// They never say anything.
    Silent,
}

impl Default for Script {
    fn default() -> Self {
        Self::Runs { after: Duration::from_millis(200) }
    }
}

/// A service that runs for a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number, never used twice in a world.
    pub number: u64,
    /// Whether it has said that it is healthy.
    pub healthy: bool,
}

/// Which keys a node has; any subset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Account, serving key and sealing key.
    Trader,
    /// No key at all.
    Bootstrap,
}

/// How many thousandths of the time that passes a right clock tells.
pub(super) const RIGHT_PACE: u64 = 1_000;

/// The ledger's time as a node knows it: the newest close it heard of, and the time since, by a clock that may go wrong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    close_millis: u64,
    heard_millis: u64,
    newest: u64,
    pace: u64,
}

impl Clock {
    /// Tells so many thousandths of the time that passes.
    pub(super) fn new(point: LedgerPoint, world_millis: u64, pace: u64) -> Self {
        let close_millis = point.close_time.secs() * 1_000;
        Self { close_millis, heard_millis: world_millis, newest: close_millis, pace }
    }

    pub(super) fn heard(&mut self, point: LedgerPoint, world_millis: u64) {
        let close_millis = point.close_time.secs() * 1_000;
        if close_millis > self.close_millis {
            (self.close_millis, self.heard_millis) = (close_millis, world_millis);
        }
    }

    /// Whether a newer ledger than this one was heard of.
    pub(super) fn is_ahead_of(&self, point: LedgerPoint) -> bool {
        self.close_millis > point.close_time.secs() * 1_000
    }

    /// Never goes backwards, however late the newest close was heard of.
    pub(super) fn now(&mut self, world_millis: u64) -> Now {
        let passed = world_millis.saturating_sub(self.heard_millis) * self.pace / RIGHT_PACE;
        let told = self.close_millis + passed;
        self.newest = self.newest.max(told);
        Now::from_millis(self.newest)
    }
}

/// What dies with a node's process.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) market: Market,
    pub(super) clock: Clock,
    pub(super) seen: BTreeSet<[u8; 32]>,
    pub(super) processes: BTreeMap<BindingId, Process>,
}

/// When a crash happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The batch is durable, and nothing that follows from it was done.
    BeforeEffects,
    /// All that follows from the batch was handed out.
    AfterEffects,
}

pub(super) struct Trap {
    pub(super) moment: Moment,
    pub(super) when: Box<dyn Fn(&Market) -> bool>,
}

impl fmt::Debug for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trap").field("moment", &self.moment).finish_non_exhaustive()
    }
}

/// A node of the world.
#[derive(Debug)]
pub struct Node {
    pub(super) name: String,
    pub(super) setup: Setup,
    pub(super) store: MemoryStore,
    pub(super) rng: ChaCha20Rng,
    pub(super) generation: u64,
    /// How many thousandths of the time that passes its clock tells.
    pub(super) pace: u64,
    pub(super) life: Option<Life>,
    pub(super) connected: bool,
    /// Since when it has been on the network, in milliseconds of the world; where it is off it, that says nothing.
    pub(super) connected_since: u64,
    /// Which part of a divided network it is in.
    pub(super) part: usize,
    pub(super) script: Script,
    pub(super) giving: Giving,
    /// What makes it a crook's.
    pub(super) crook: Option<Crook>,
    /// Its role in a help exchange.
    pub(super) role: Option<RoleSettings>,
    pub(super) trap: Option<Trap>,
    /// What its account held at first, in stroops.
    pub(super) endowment: i64,
    /// Every service that was told to start, in order.
    pub(super) started: Vec<BindingId>,
    /// How many batches it has stored, over all its lives.
    pub(super) commits: u64,
    /// Which of them are its last for a while.
    pub(super) crash_plan: Option<CrashPlan>,
    /// When its newest life began, in milliseconds of the world.
    pub(super) up_since: u64,
    /// When a question of its to the ledger last met a fault, in milliseconds of the world.
    pub(super) troubled_at: Option<u64>,
    /// Where its bindings stood at its newest commit.
    pub(super) standings: BTreeMap<MessageId, Standing>,
    /// For which divisions of their money its side ever gave its word, by the binding's request.
    pub(super) words: BTreeSet<(MessageId, Split)>,
    /// The last claim that it handed in, where the world's mutant wants to know.
    pub(super) claimed: Option<TransactionV1Envelope>,
}

impl Node {
    pub(super) fn new(seed: u64, name: &str, role: Role, ledger: &WorldLedger) -> Self {
        let setup = Setup {
            network: ledger.network(),
            margins: Margins::DEVNET,
            peer: peer_of(name),
            keys: match role {
                Role::Trader => keys_of(seed, name),
                Role::Bootstrap => Keys::default(),
            },
            policy: Policy {
                assets: vec![Asset::Native, ledger.issued_asset()],
                transports: vec![Transport::Tcp],
                escrow: EscrowPolicy {
                    max_timed: Stroops::whole(1_000),
                    max_timed_issued: vec![(ledger.issued_asset(), Stroops::whole(1_000))],
                    ..EscrowPolicy::default()
                },
                max_spend: Stroops::whole(1_000),
                max_fee_per_operation: Stroops::new(1_000).expect("positive"),
                max_deadline_fee: Stroops::whole(1),
                one_word_limit: None,
                submitters: 0,
                max_cases: tradepost_protocol::limits::MAX_CASES,
            },
        };
        Self {
            name: name.to_owned(),
            setup,
            store: MemoryStore::default(),
            rng: ChaCha20Rng::from_seed(derive(seed, name, "rng")),
            generation: 0,
            life: None,
            pace: RIGHT_PACE,
            connected: true,
            connected_since: 0,
            part: 0,
            script: Script::default(),
            giving: Giving::default(),
            crook: None,
            role: None,
            trap: None,
            endowment: 0,
            started: Vec::new(),
            commits: 0,
            crash_plan: None,
            up_since: 0,
            troubled_at: None,
            standings: BTreeMap::new(),
            words: BTreeSet::new(),
            claimed: None,
        }
    }

    pub(super) fn rows(&self) -> Vec<StoredRow> {
        let mut rows = Vec::new();
        for space in Space::ALL {
            for entry in self.store.scan(*space, b"") {
                let (key, value) = entry.expect("a store in memory can be read");
                rows.push((*space, key, value));
            }
        }
        rows
    }

    pub(super) fn account(&self) -> AccountId {
        self.setup.keys.account_id().expect("the node has an account")
    }
}

/// The peer id of a node's name, which must therefore be base58: no `0`, `O`, `I` or `l`.
pub fn peer_of(name: &str) -> PeerId {
    name.parse().unwrap_or_else(|e| panic!("{e}: choose another name for the node"))
}

/// The keys of a trader, from the world's seed and its name.
pub fn keys_of(seed: u64, name: &str) -> Keys {
    Keys {
        account: Some(SigningKey::from_bytes(&derive(seed, name, "account"))),
        serving: Some(SigningKey::from_bytes(&derive(seed, name, "serving"))),
        sealing: Some(SealingSecret::from_bytes(derive(seed, name, "sealing"))),
    }
}

/// The key that signs for a consumer in one trade, from its account's: a copy of the product's rule, for whoever plays it.
pub fn trade_key(account: &SigningKey, trade: &Trade) -> SigningKey {
    let nonce = trade.request.body().nonce;
    SigningKey::from_bytes(&keccak(&[b"tradepost/1/trade/", b"sign", &account.to_bytes(), nonce.as_bytes()]))
}

fn derive(seed: u64, name: &str, purpose: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_be_bytes());
    for part in [name, purpose] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

/// A seed for the world's own dice.
pub(super) fn world_rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::from_seed(derive(seed, "", "world"))
}
