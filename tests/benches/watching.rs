//! What watching open escrows costs a ledger: calls, keys and processor time.
//!
//! Ours: a provider's market with so many bindings whose services run, over the RPC client, a devnet behind HTTP and the
//! store: the newest ledger asked for, what it makes due decided and read, what was read taken in and stored. Once with all
//! deadlines far away, once with a tenth of them near. The heartbeats of the sessions are left out: they go to peers, not to
//! the ledger. The limits, in the same run: the same client reads the entries that are due and does nothing else with them,
//! 200 keys a call; and it reads all of them at every ledger.
#![expect(clippy::unwrap_used, reason = "a bench stops at what it doesn't expect")]

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};
use tradepost_devnet::{Close, Config, Server};
use tradepost_ledger::{Ledger, RpcConfig, RpcLedger, Submitted};
use tradepost_protocol::account::{AccountId, PeerId, ServingKey};
use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::agreement::Agreement;
use tradepost_protocol::binding::deadlines::{Terms, TimedDeadlines};
use tradepost_protocol::binding::phase::{Phase, Side};
use tradepost_protocol::binding::session::SessionEvent;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::document::{BindingRequest, Nonce};
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::escrow::outcome::Observation;
use tradepost_protocol::escrow::terms::EscrowTerms;
use tradepost_protocol::limits::{MAX_CASES, MAX_KEYS_PER_READ, Margins};
use tradepost_protocol::market::event::{Ask, Call, Effect, Event};
use tradepost_protocol::market::{EscrowPolicy, Keys, LOOKED_AT_EVERY, Market, NEAR, Policy, Setup};
use tradepost_protocol::message::{MessageId, SeriesId, Signed};
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::seal::SealingKey;
use tradepost_protocol::stellar::Memo;
use tradepost_protocol::stellar::entry::Entry;
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::transaction::{Bounds, Unsigned};
use tradepost_protocol::step::{Batch, Commit, Space, Write};
use tradepost_protocol::time::{Now, Timestamp};
use tradepost_store::{Contents as _, Store, StoreError};
use tradepost_tests::measure::{Compared, ROUNDS, Took, load, took};

/// Escrows that are open at once.
const OPEN: [usize; 3] = [10, 1_000, 10_000];
/// Of the escrows whose deadlines come sooner, one in so many.
const SOONER: usize = 10;
/// Consumers who funded them, each with as many.
const CONSUMERS: usize = 100;
const PASSPHRASE: &str = "Devnet ; watched";
/// The services run until so long before T.
const COLLECTED_IN: Duration = Duration::from_secs(30);
/// When the deadlines that come sooner come, and the others.
const SOON: Duration = Duration::from_secs(4 * 3_600);
const LATE: Duration = Duration::from_secs(30 * 86_400);
/// So long after deadlines have come near, the watching of them is measured.
const A_LITTLE: Duration = Duration::from_secs(5);
/// Ledgers between which all of them are read for comparison.
const ALL_READ_EVERY: u32 = 6;

fn key(n: usize) -> SigningKey {
    SigningKey::from_bytes(&Sha256::digest(n.to_be_bytes()).into())
}

/// The provider's account and serving key.
fn provider() -> [SigningKey; 2] {
    [key(1_000_000), key(1_000_001)]
}

/// The margins of the public network, without heartbeats.
fn margins() -> Margins {
    let never = Duration::from_secs(86_400 * 365);
    Margins { heartbeat_every: never, grace: never, ..Margins::PUBLIC }
}

/// A binding as a provider's store has it once its funding was handed over and its service runs, with its escrow's terms.
fn trade(network: &NetworkId, n: usize, start: Timestamp) -> (Trade, EscrowTerms) {
    let (consumer, [account, serving]) = (key(n % CONSUMERS), provider());
    let peer = |name: &str| name.parse::<PeerId>().unwrap();
    let (offering, series) = (MessageId::from_bytes([1; 32]), SeriesId::from_bytes([2; 32]));
    let sealing = SealingKey::from_bytes([3; 32]);
    let request = BindingRequest {
        account: AccountId::of(&consumer),
        offering,
        series,
        units: 10,
        budget: None,
        escrow: vec![EscrowKind::Timed],
        arbiters: Vec::new(),
        pay_unless_disputed: false,
        sealing_key: sealing,
        signing_key: ServingKey::of(&consumer),
        peer: peer("12D3KooWconsumer"),
        nonce: Nonce::from_bytes(u128::try_from(n).unwrap().to_be_bytes()),
        valid_until: start.plus(Duration::from_secs(3_600)),
    };
    let request = Signed::sign(request, network, &consumer).unwrap();
    let refund_at = start.plus(if n.is_multiple_of(SOONER) { SOON } else { LATE });
    let [fund_by, start_by] = [1, 2].map(|hours| start.plus(Duration::from_secs(3_600) * hours));
    let deadlines = TimedDeadlines::new(fund_by, start_by, refund_at.minus(COLLECTED_IN), refund_at).unwrap();
    let agreement = Agreement {
        request: request.id(),
        offering,
        series,
        serving_key: ServingKey::of(&serving),
        provider_peer: peer("12D3KooWprovider"),
        recipient: AccountId::of(&account),
        consumer: AccountId::of(&consumer),
        consumer_key: ServingKey::of(&consumer),
        consumer_sealing: sealing,
        consumer_peer: peer("12D3KooWconsumer"),
        units: 10,
        unit: Unit::Call,
        asset: Asset::Native,
        amount: Stroops::whole(1),
        terms: Terms::Timed(deadlines),
        pay_unless_disputed: false,
        arbiters: Vec::new(),
    };
    let mut trade = Trade::new(Side::Provider, request, peer("12D3KooWconsumer"), Now::from(start));
    trade.agree(Signed::sign(agreement, network, &serving).unwrap());
    trade.observe(Observation::FundingSigned);
    trade.session(SessionEvent::MayStart);
    trade.session(SessionEvent::ServiceRuns);
    let terms = trade.escrow_terms().unwrap();
    (trade, terms)
}

/// The devnet, on threads of its own, behind a way that counts.
struct Devnet {
    server: Arc<Server>,
    counts: Counts,
    url: String,
    network: NetworkId,
    /// Where it works, until this is dropped.
    _runtime: Runtime,
}

/// Calls by method.
type Counts = Arc<Mutex<BTreeMap<String, usize>>>;

impl Devnet {
    fn new() -> Self {
        let runtime = runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let config = Config { passphrase: Some(PASSPHRASE.into()), close: Close::OnDemand, ..Config::default() };
        let server = Arc::new(runtime.block_on(Server::spawn(config)).unwrap());
        let (counts, address) = (Counts::default(), server.address());
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::clone(&counts);
        runtime.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (seen, far) = (Arc::clone(&seen), TcpStream::connect(address).await.unwrap());
                tokio::spawn(pass_on(near, far, seen));
            }
        });
        Self { server, counts, url, network: NetworkId::of_passphrase(PASSPHRASE), _runtime: runtime }
    }

    /// What was asked since the last time.
    fn counted(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut *self.counts.lock().unwrap())
    }
}

/// Carries bytes both ways, and counts the methods in the questions.
async fn pass_on(near: TcpStream, far: TcpStream, counts: Counts) {
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.into_split(), far.into_split());
    tokio::spawn(async move { tokio::io::copy(&mut from_far, &mut to_near).await });
    let (mut text, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
    let name = b"\"method\":\"";
    while let Ok(read) = from_near.read(&mut chunk).await {
        text.extend_from_slice(&chunk[..read]);
        while let Some(at) = text.windows(name.len()).position(|w| w == name) {
            let rest = &text[at + name.len()..];
            let Some(end) = rest.iter().position(|b| *b == b'"') else { break };
            let method = String::from_utf8(rest[..end].to_vec()).unwrap();
            *counts.lock().unwrap().entry(method).or_default() += 1;
            text.drain(..at + name.len() + end);
        }
        if !text.windows(name.len()).any(|w| w == name) {
            text.drain(..text.len().saturating_sub(name.len()));
        }
        if read == 0 || to_far.write_all(&chunk[..read]).await.is_err() {
            return;
        }
    }
}

/// The client that is measured, on this thread.
struct Client {
    ledger: RpcLedger,
    runtime: Runtime,
}

impl Client {
    fn of(devnet: &Devnet) -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ledger = runtime.block_on(RpcLedger::connect(RpcConfig::new(&devnet.url), PASSPHRASE)).unwrap();
        Self { ledger, runtime }
    }

    fn now(&self) -> Now {
        Now::from(self.runtime.block_on(self.ledger.head()).unwrap().ledger.close_time)
    }

    fn read(&self, keys: &[Key]) -> (Vec<Entry>, tradepost_protocol::stellar::LedgerPoint) {
        let read = self.runtime.block_on(self.ledger.read(keys)).unwrap();
        let at = read.at();
        (read.entries.into_iter().map(|found| found.entry.unwrap()).collect(), at)
    }

    /// The least that can be done: reads these, as many a call as it takes.
    fn least(&self, keys: &[Key]) -> usize {
        self.now();
        keys.chunks(MAX_KEYS_PER_READ).map(|page| self.read(page).0.len()).sum()
    }

    /// Funds the escrows for real, a transaction of each consumer a ledger, and gives the bindings.
    fn fund(&self, devnet: &Devnet, start: Timestamp) -> Vec<Trade> {
        for key in (0..CONSUMERS).map(key).chain([provider()[0].clone()]) {
            self.runtime.block_on(self.ledger.fund_by_friendbot(AccountId::of(&key))).unwrap();
        }
        let accounts: Vec<Key> = (0..CONSUMERS).map(|n| Key::Account(AccountId::of(&key(n)))).collect();
        let mut sequences: BTreeMap<AccountId, i64> = BTreeMap::new();
        for entry in self.read(&accounts).0 {
            let Entry::Account(account) = entry else { panic!("{entry:?}") };
            sequences.insert(account.id, account.sequence);
        }
        let most = OPEN.into_iter().max().unwrap();
        let mut trades = Vec::with_capacity(most);
        for n in 0..most {
            let (mut trade, terms) = trade(&devnet.network, n, start);
            let EscrowTerms::Timed(timed) = &terms else { panic!("{terms:?}") };
            let sequence = sequences.get_mut(&terms.consumer()).unwrap();
            *sequence += 1;
            let unsigned = Unsigned {
                source: terms.consumer(),
                sequence: *sequence,
                fee: 100,
                bounds: Bounds::until(start.plus(LATE)),
                memo: Memo::None,
                operations: vec![timed.fund_operation().unwrap()],
            };
            let envelope = unsigned.sign(&[&key(n % CONSUMERS)], &devnet.network).unwrap();
            let handed_in = self.runtime.block_on(self.ledger.submit(envelope.bytes())).unwrap();
            assert!(matches!(handed_in, Submitted::Pending), "{handed_in:?}");
            trade.state.balance = Some(terms.balance_at(*sequence));
            trades.push(trade);
            if (n + 1).is_multiple_of(CONSUMERS) {
                devnet.server.close();
            }
        }
        devnet.server.close();
        trades
    }
}

/// The store, and how much was written to it.
struct Counting {
    store: Store,
    bytes: usize,
}

impl Commit for Counting {
    type Error = StoreError;
    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        let size = |write: &Write| match write {
            Write::Put { key, value, .. } => key.len() + value.len(),
            Write::Delete { key, .. } => key.len(),
        };
        self.bytes += batch.writes().iter().map(size).sum::<usize>();
        self.store.commit(batch)
    }
}

/// A provider's node, as far as it watches.
struct Watcher {
    market: Market,
    store: Counting,
    rng: ChaCha20Rng,
    /// Pages and keys that were read for escrows.
    pages: usize,
    keys: usize,
    _home: TempDir,
}

impl Watcher {
    /// A node that starts with these bindings in its store.
    fn restored(network: NetworkId, trades: &[Trade], now: Now) -> Self {
        let [account, serving] = provider();
        let setup = Setup {
            network,
            margins: margins(),
            peer: "12D3KooWprovider".parse().unwrap(),
            keys: Keys { account: Some(account), serving: Some(serving), sealing: None },
            policy: Policy {
                assets: vec![Asset::Native],
                transports: Vec::new(),
                escrow: EscrowPolicy::default(),
                max_spend: Stroops::ZERO,
                max_fee_per_operation: Stroops::new(100).unwrap(),
                max_deadline_fee: Stroops::whole(1),
                one_word_limit: None,
                submitters: 0,
                max_cases: MAX_CASES,
            },
        };
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path(), &network).unwrap();
        for page in trades.chunks(100) {
            let mut batch = Batch::new();
            batch.put(Space::Meta, b"alive_at".to_vec(), now.millis().to_be_bytes());
            for trade in page {
                batch.put(Space::Binding, *trade.request_id().as_bytes(), trade.to_bytes().unwrap());
            }
            store.commit(batch).unwrap();
        }
        let rows = Space::ALL.iter().flat_map(|&space| store.scan(space, &[]).map(move |row| (space, row.unwrap())));
        let rows = rows.map(|(space, (key, value))| (space, key, value));
        let (market, _) = Market::restore(setup, rows, now).unwrap();
        assert_eq!(market.trades().count(), trades.len());
        let (store, rng) = (Counting { store, bytes: 0 }, ChaCha20Rng::seed_from_u64(1));
        Self { market, store, rng, pages: 0, keys: 0, _home: home }
    }

    /// All that a node does about a new ledger.
    fn ledger(&mut self, client: &Client) {
        let head = client.runtime.block_on(client.ledger.head()).unwrap();
        self.handle(Event::Closed(head.ledger.point()), client);
    }

    fn handle(&mut self, event: Event, client: &Client) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let now = Now::from(client.ledger.newest_seen().unwrap().ledger.close_time);
            let step = self.market.handle(event, now, &mut self.rng);
            for effect in step.commit_to(&mut self.store).unwrap() {
                match effect {
                    Effect::Read { ask, keys } => {
                        if ask == Ask::Escrows {
                            (self.pages, self.keys) = (self.pages + 1, self.keys + keys.len());
                        }
                        let (entries, at) = client.read(&keys);
                        events.push(Event::Entries { ask, at, asked: keys, entries });
                    }
                    // Each service's first heartbeat, and no other.
                    Effect::News(_) | Effect::Send { call: Call::Heartbeat(_), .. } => {}
                    other => panic!("nothing but reading was due: {other:?}"),
                }
            }
        }
    }

    fn active(&self) -> usize {
        self.market.trades().filter(|trade| trade.phase() == Phase::Active).count()
    }
}

/// Watches these for one turn of all of them, beside the limits.
fn measure(client: &Client, devnet: &Devnet, trades: &[Trade], near: bool) {
    let balance = |trade: &Trade| Key::Balance(trade.state.balance.unwrap());
    let all: Vec<Key> = trades.iter().map(balance).collect();
    let (sooner, later): (Vec<_>, Vec<_>) =
        trades.iter().enumerate().partition(|(n, _)| near && n.is_multiple_of(SOONER));
    let mut watcher = Watcher::restored(devnet.network, trades, client.now());
    devnet.server.close();
    watcher.ledger(client);
    assert_eq!(watcher.active(), trades.len(), "every escrow is seen, and every service runs");
    (watcher.pages, watcher.keys, watcher.store.bytes) = (0, 0, 0);
    let (mut compared, mut tick, mut whole) = (Compared::default(), Duration::ZERO, Duration::ZERO);
    let (mut calls, mut due_calls, mut due_keys) = (BTreeMap::<String, usize>::new(), 0, 0);
    let turn = usize::try_from(LOOKED_AT_EVERY).unwrap();
    for round in 0..ROUNDS {
        let (mut ours, mut limit) = (Took::default(), Took::default());
        for n in (0..turn).skip(round * turn / ROUNDS).take(turn / ROUNDS) {
            devnet.server.close();
            let due: Vec<Key> =
                sooner.iter().chain(later.iter().skip(n).step_by(turn)).map(|(_, trade)| balance(trade)).collect();
            devnet.counted();
            let (least, read) = took(|| client.least(&due));
            assert_eq!(read, due.len());
            (due_calls, due_keys) = (due_calls + due.len().div_ceil(MAX_KEYS_PER_READ), due_keys + due.len());
            devnet.counted();
            let (took_ours, ()) = took(|| watcher.ledger(client));
            devnet.counted().into_iter().for_each(|(method, n)| *calls.entry(method).or_insert(0) += n);
            tick += took(|| watcher.handle(Event::Tick, client)).0.cpu;
            if n.is_multiple_of(usize::try_from(ALL_READ_EVERY).unwrap()) {
                whole += took(|| client.least(&all)).0.cpu * ALL_READ_EVERY;
            }
            ours = Took { wall: ours.wall + took_ours.wall, cpu: ours.cpu + took_ours.cpu };
            limit = Took { wall: limit.wall + least.wall, cpu: limit.cpu + least.cpu };
        }
        compared.add(ours, limit);
    }
    assert_eq!(watcher.active(), trades.len(), "every service still runs");
    let each = |n: usize| n as f64 / turn as f64;
    let ms = |time: Duration, ledgers: usize| time.as_secs_f64() * 1_000.0 / ledgers as f64;
    let (ours, limit) = compared.medians(|took| took.cpu);
    let [least, median, most] = compared.ratios(|took| took.cpu);
    let of = |method: &str| each(calls.get(method).copied().unwrap_or_default());
    println!(
        "{:>6} {:>5}   {:>4.2} {:>5.2}   {:>6.2} {:>5.2} {:>4}   {:>7.1} {:>7.1} {:>6}   {:>7.2} {:>7.2} {:>8.2}   {median:.2} ({least:.2} to {most:.2})   {:>6.2} {:>8.1}",
        trades.len(),
        sooner.len(),
        of("getLatestLedger"),
        of("getLedgerEntries"),
        each(watcher.pages),
        each(due_calls),
        all.len().div_ceil(MAX_KEYS_PER_READ),
        each(watcher.keys),
        each(due_keys),
        all.len(),
        ms(ours, turn / ROUNDS),
        ms(limit, turn / ROUNDS),
        ms(whole, turn),
        ms(tick, turn),
        each(watcher.store.bytes) / 1024.0,
    );
    let known = ["getLatestLedger", "getLedgerEntries"];
    assert!(calls.keys().all(|method| known.contains(&method.as_str())), "{calls:?}");
}

fn main() {
    let devnet = Devnet::new();
    let client = Client::of(&devnet);
    let start = client.now().timestamp();
    let trades = client.fund(&devnet, start);
    println!("{LOOKED_AT_EVERY} ledgers each, in {ROUNDS} rounds, {}", load());
    println!(
        "               RPC calls     reads of escrows      keys of escrows            processor, ms            ratio           a tick  stored"
    );
    println!(
        "  open  near   head entries  ours   due  all      ours     due    all      ours     due      all    due over ours         ms      KiB"
    );
    for near in [false, true] {
        let soon = start.plus(SOON).minus(margins().claim_margin * NEAR).plus(A_LITTLE);
        // The ledger's time runs ahead of the clock that is moved: each ledger that was closed took a second of it.
        while near && client.now().timestamp() < soon {
            assert!(devnet.server.advance_clock(soon.since(client.now().timestamp()).as_secs()));
            devnet.server.close();
        }
        OPEN.into_iter().for_each(|count| measure(&client, &devnet, &trades[..count], near));
    }
}
