//! A network with one payer, and as much of a node as submits the payer's transactions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use stellar_xdr::OperationBody;
use tradepost_devnet::{Close, Config, Faults, Server};
use tradepost_ledger::{Ledger, LedgerError, Patience, RpcConfig, RpcLedger};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::intent::queue::{AccountQueue, Plan, Priority, QueueEffect, SubmitAnswer};
use tradepost_protocol::intent::{Intent, IntentOutcome, Purpose};
use tradepost_protocol::message::TxHash;
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::stellar::entry::{AccountState, Entry};
use tradepost_protocol::stellar::envelope::SignedTransaction;
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::transaction::Bounds;
use tradepost_protocol::stellar::{Memo, operation};
use tradepost_protocol::step::{Batch, Commit, Step, Write};
use tradepost_protocol::time::{Now, Timestamp};

/// How often the queue asks. A round of a node takes so long, and so does a ledger.
pub const POLL: Duration = Duration::from_secs(1);
/// How long a transaction may wait for its ledger.
pub const LIFE: Duration = Duration::from_secs(15);
/// Rounds after which a run that isn't done has failed.
const MAX_ROUNDS: usize = 120;

/// A network that closes when told to, and what its ledgers paid.
pub struct World {
    pub server: Server,
    pub network: NetworkId,
    key: SigningKey,
    payee: AccountId,
    /// How often each amount was paid.
    paid: BTreeMap<i64, usize>,
    purposes: i64,
}

impl World {
    pub async fn new() -> Self {
        let server = Server::spawn(Config { close: Close::OnDemand, ..Config::default() }).await.unwrap();
        let ledger = RpcLedger::connect(RpcConfig::new(server.url()), &server.passphrase()).await.unwrap();
        let (key, payee) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        for account in [&key, &payee] {
            ledger.fund_by_friendbot(AccountId::of(account)).await.unwrap();
        }
        let network = NetworkId::of_passphrase(&server.passphrase());
        Self { server, network, key, payee: AccountId::of(&payee), paid: BTreeMap::new(), purposes: 0 }
    }

    /// A payment that wasn't wanted before, of an amount of its own.
    pub fn purpose(&mut self) -> Purpose {
        self.purposes += 1;
        Purpose::Pay { id: i128::from(self.purposes).to_be_bytes() }
    }

    pub fn set(&self, faults: Faults) {
        self.server.set_faults(faults).unwrap();
    }

    /// Closes a ledger and notes what it paid.
    pub fn close(&mut self) -> Timestamp {
        let closed = self.server.close();
        for record in closed.transactions.iter().filter(|record| record.succeeded()) {
            let transaction = SignedTransaction::read(&record.envelope_xdr, &self.network).unwrap();
            for operation in transaction.operations() {
                if let OperationBody::Payment(payment) = &operation.body {
                    *self.paid.entry(payment.amount).or_default() += 1;
                }
            }
        }
        Timestamp::from_secs(closed.close_time)
    }

    /// How often a purpose was paid, by the ledger.
    pub fn times_paid(&self, purpose: Purpose) -> usize {
        self.paid.get(&amount(purpose).get()).copied().unwrap_or(0)
    }

    /// Whether the ledger itself, beyond all faults, holds a transaction.
    pub fn holds(&self, hash: TxHash) -> bool {
        self.server.client().ledger().transaction(hash.as_bytes()).is_some()
    }

    pub fn close_time(&self) -> Timestamp {
        Timestamp::from_secs(self.server.client().ledger().close_time())
    }

    /// Hands an envelope in past the RPC, as a rival who saw it may.
    pub fn submit_by_rival(&self, envelope: &[u8]) {
        self.server.client().ledger().submit(envelope).unwrap();
    }
}

fn amount(purpose: Purpose) -> Stroops {
    let Purpose::Pay { id } = purpose else { panic!("{purpose}") };
    Stroops::new(1_000 + i64::try_from(i128::from_be_bytes(id)).unwrap()).unwrap()
}

/// What survives a kill: the journal, and which purposes are done.
#[derive(Debug, Default)]
pub struct Disk {
    intents: BTreeMap<Vec<u8>, Vec<u8>>,
    pub done: BTreeSet<Purpose>,
}

impl Commit for Disk {
    type Error = Infallible;

    fn commit(&mut self, batch: Batch) -> Result<(), Infallible> {
        for write in batch.writes() {
            match write {
                Write::Put { key, value, .. } => drop(self.intents.insert(key.clone(), value.clone())),
                Write::Delete { key, .. } => drop(self.intents.remove(key)),
            }
        }
        Ok(())
    }
}

impl Disk {
    pub fn intents(&self) -> Vec<Intent> {
        self.intents.values().map(|bytes| Intent::from_bytes(bytes).unwrap()).collect()
    }
}

/// A node that pays what it wants to pay, once each, and may be killed at one of its steps.
pub struct Node<'w> {
    pub world: &'w mut World,
    pub queue: AccountQueue,
    pub disk: Disk,
    pub now: Now,
    /// Every end that was reported, repeats included.
    pub ends: Vec<(Purpose, IntentOutcome)>,
    /// Every submission: when, and what was said; no answer where it failed.
    pub submissions: Vec<(Now, TxHash, Option<SubmitAnswer>)>,
    /// Every transaction that was ever signed.
    pub signed: Vec<Intent>,
    pub patience: Patience,
    pub last_error: Option<LedgerError>,
    wanted: Vec<Purpose>,
    ledger: Option<RpcLedger>,
    todo: VecDeque<QueueEffect>,
    /// Steps so far: each commit, and each thing done outside.
    pub steps: usize,
    kill_at: usize,
}

impl<'w> Node<'w> {
    pub fn new(world: &'w mut World, wanted: Vec<Purpose>) -> Self {
        Self::killed_at(world, wanted, usize::MAX)
    }

    /// A node that is killed after so many steps, and started again.
    pub fn killed_at(world: &'w mut World, wanted: Vec<Purpose>, kill_at: usize) -> Self {
        let queue = AccountQueue::new(AccountId::of(&world.key), world.network, POLL);
        let patience = Patience {
            tries: 1,
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(1),
            ..Patience::default()
        };
        let now = Now::from(world.close_time());
        let mut node = Self {
            world,
            queue,
            disk: Disk::default(),
            now,
            ends: Vec::new(),
            submissions: Vec::new(),
            signed: Vec::new(),
            patience,
            last_error: None,
            wanted,
            ledger: None,
            todo: VecDeque::new(),
            steps: 0,
            kill_at,
        };
        node.restart();
        node
    }

    /// Drops everything that isn't durable, and starts from what is.
    pub fn restart(&mut self) {
        self.queue = AccountQueue::new(AccountId::of(&self.world.key), self.world.network, POLL);
        self.todo.clear();
        self.ledger = None;
        let effects = self.queue.restore(self.disk.intents(), self.now).commit_to(&mut self.disk).unwrap();
        self.todo.extend(effects);
        self.want();
    }

    /// What is wanted follows from other state: it is wanted until it is done.
    fn want(&mut self) {
        for purpose in &self.wanted {
            if !self.disk.done.contains(purpose) {
                self.queue.want(*purpose, Priority::Ordinary);
            }
        }
    }

    /// One step further. False where the node was killed at it and has started again.
    fn survives(&mut self) -> bool {
        self.steps += 1;
        let killed = self.steps == self.kill_at;
        if killed {
            self.restart();
        }
        !killed
    }

    fn take(&mut self, step: Step<QueueEffect>) {
        let effects = step.commit_to(&mut self.disk).unwrap();
        if self.survives() {
            self.todo.extend(effects);
        }
    }

    /// Asks the ledger; an answer, unless it failed or the node was killed before it came.
    async fn ask<T>(&mut self, question: impl AsyncFnOnce(&RpcLedger) -> Result<T, LedgerError>) -> Option<T> {
        let answer = async {
            if self.ledger.is_none() {
                let config = RpcConfig { patience: self.patience.clone(), ..RpcConfig::new(self.world.server.url()) };
                let passphrase = self.world.server.passphrase();
                self.ledger = Some(RpcLedger::connect(config, &passphrase).await?);
            }
            question(self.ledger.as_ref().unwrap()).await
        };
        let answer = answer.await.map_err(|error| self.last_error = Some(error)).ok();
        if self.survives() { answer } else { None }
    }

    async fn perform(&mut self, effect: QueueEffect) {
        match effect {
            QueueEffect::Submit { hash, envelope } => {
                let (at, place) = (self.now, self.submissions.len());
                self.submissions.push((at, hash, None));
                let answer = self.ask(async |ledger| ledger.submit(&envelope).await).await;
                if let Some(answer) = answer.map(SubmitAnswer::from) {
                    self.submissions[place].2 = Some(answer.clone());
                    let step = self.queue.submitted(hash, &answer, self.now);
                    self.take(step);
                }
            }
            QueueEffect::Ask { hash } => {
                if let Some(status) = self.ask(async |ledger| ledger.status(hash).await).await {
                    let step = self.queue.status(hash, status.into());
                    self.take(step);
                }
            }
            QueueEffect::ReadAccount => {
                if let Some((state, at)) = self.read_account().await {
                    let step = self.queue.account_seen(state, at);
                    self.take(step);
                }
            }
            QueueEffect::HandOver { purpose, .. } => {
                let step = self.queue.release(purpose, self.now);
                self.take(step);
            }
            QueueEffect::Refused { .. } => {}
            QueueEffect::Finished { purpose, outcome, .. } => self.finished(purpose, outcome),
        }
    }

    async fn read_account(&mut self) -> Option<(AccountState, tradepost_protocol::stellar::LedgerPoint)> {
        let key = [Key::Account(self.queue.account())];
        let read = self.ask(async |ledger| ledger.read(&key).await).await?;
        match &read.get(&key[0])?.entry {
            Ok(Entry::Account(account)) => Some((account.clone(), read.at())),
            other => panic!("{other:?}"),
        }
    }

    /// A dead one is wanted anew, any other end is the end; either way what follows is durable together with it.
    fn finished(&mut self, purpose: Purpose, outcome: IntentOutcome) {
        self.ends.push((purpose, outcome.clone()));
        match outcome {
            IntentOutcome::Included { success, .. } => {
                assert!(success, "{purpose} failed");
                self.disk.done.insert(purpose);
                let step = self.queue.forget(purpose);
                self.take(step);
            }
            IntentOutcome::Dead => {
                let step = self.queue.forget(purpose);
                self.take(step);
            }
            // It stops here: what it was to change has to be looked at.
            IntentOutcome::Unknown => drop(self.disk.done.insert(purpose)),
        }
        self.want();
    }

    fn sign_if_due(&mut self) {
        let Some((purpose, sequence)) = self.queue.turn() else { return };
        // The oracle: whatever the endpoint says, the ledger itself must rule the earlier ones out for good.
        for earlier in self.signed.iter().filter(|intent| intent.sequence == sequence) {
            let over = self.world.close_time() > earlier.max_time;
            let used = self.sequence() >= sequence;
            assert!(!self.world.holds(earlier.hash) && (over || used), "{earlier:?} isn't provably dead");
        }
        assert!(!self.signed.iter().any(|i| i.purpose == purpose && self.world.holds(i.hash)), "{purpose} is paid");
        let plan = Plan {
            purpose,
            operations: vec![operation::pay(self.world.payee, &Asset::Native, amount(purpose))],
            bounds: Bounds::until(self.now.timestamp().plus(LIFE)),
            memo: Memo::None,
            fee: 100,
            hold: false,
            controller: None,
        };
        let step = self.queue.sign(plan, &self.world.key, self.now).unwrap();
        self.signed.extend(self.queue.intent(purpose).cloned());
        self.take(step);
    }

    /// The account's sequence number on the ledger itself.
    pub fn sequence(&self) -> i64 {
        let key = stellar_xdr::LedgerKey::Account(stellar_xdr::LedgerKeyAccount {
            account_id: stellar_xdr::AccountId(stellar_xdr::PublicKey::PublicKeyTypeEd25519(stellar_xdr::Uint256(
                *self.queue.account().as_bytes(),
            ))),
        });
        match &self.world.server.client().ledger().entry(&key).unwrap().data {
            stellar_xdr::LedgerEntryData::Account(account) => account.seq_num.0,
            other => panic!("{other:?}"),
        }
    }

    /// Signs what is due, and is stopped before anything of it gets out.
    pub async fn read_and_sign(&mut self) {
        while self.signed.is_empty() {
            match self.todo.pop_front() {
                Some(effect) => self.perform(effect).await,
                None => self.todo.push_back(QueueEffect::ReadAccount),
            }
            self.sign_if_due();
        }
    }

    /// All that is due now; then a second passes.
    pub async fn round(&mut self) {
        let step = self.queue.tick(self.now);
        self.todo.extend(step.commit_to(&mut self.disk).unwrap());
        loop {
            while let Some(effect) = self.todo.pop_front() {
                self.perform(effect).await;
            }
            self.sign_if_due();
            if self.todo.is_empty() {
                break;
            }
        }
        self.now = self.now.plus(POLL);
    }

    /// A round, and a ledger.
    pub async fn round_and_ledger(&mut self) {
        self.round().await;
        if !self.world.server.faults().halted {
            self.now = self.now.max(Now::from(self.world.close()));
        }
    }

    /// So many rounds with a ledger each.
    pub async fn rounds(&mut self, count: usize) {
        for _ in 0..count {
            self.round_and_ledger().await;
        }
    }

    /// Rounds with ledgers until all that is wanted is done.
    pub async fn run_to_the_end(&mut self) {
        for _ in 0..MAX_ROUNDS {
            if self.is_done() {
                return;
            }
            self.round_and_ledger().await;
        }
        panic!("not done after {MAX_ROUNDS} rounds: {:?}, {:?}", self.disk, self.last_error);
    }

    pub fn is_done(&self) -> bool {
        self.wanted.iter().all(|purpose| self.disk.done.contains(purpose)) && self.queue.open().next().is_none()
    }

    /// How a purpose ended, each kind once, in the order of the first report.
    pub fn ends_of(&self, purpose: Purpose) -> Vec<&'static str> {
        let mut ends = Vec::new();
        for (of, outcome) in &self.ends {
            let end = match outcome {
                IntentOutcome::Included { .. } => "included",
                IntentOutcome::Dead => "dead",
                IntentOutcome::Unknown => "unknown",
            };
            if *of == purpose && !ends.contains(&end) {
                ends.push(end);
            }
        }
        ends
    }

    /// The transactions that were signed for a purpose.
    pub fn signed_for(&self, purpose: Purpose) -> Vec<&Intent> {
        self.signed.iter().filter(|intent| intent.purpose == purpose).collect()
    }

    /// Every payment of this node is on the ledger exactly once.
    pub fn assert_each_paid_once(&self) {
        for purpose in &self.wanted {
            assert_eq!(self.world.times_paid(*purpose), 1, "{purpose}; killed at {}", self.kill_at);
        }
    }
}
