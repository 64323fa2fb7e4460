//! A node: starts its parts in their order, and stops them in the other one.
//!
//! ```text
//! network events ─┐                    ┌─> ledger, network, supervisor
//! ledgers         ├─> market's thread ─┤
//! services        │   (commit, then)   └─> news, answers
//! users, calls   ─┘
//! ```

mod first_ledger;
mod gauges;
mod health;
mod known_peers;
mod lookout;
mod reset;
mod stopping;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tradepost_ledger::clock::{LedgerClock, WallClock};
use tradepost_ledger::watch::LedgerWatch;
use tradepost_ledger::{Ledger, LedgerError, RpcLedger};
use tradepost_network::{KindConfig, Multiaddr, NetworkError, PeerId};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::community::role::RoleSettings;
use tradepost_protocol::kind::Kind;
use tradepost_protocol::limits::Margins;
use tradepost_protocol::market::event::Event;
use tradepost_protocol::market::{
    EscrowPolicy, Keys, Market, Policy, RESTORED_KEY, RestoreError, Setup, StoredRow, TwinSight,
};
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::step::Space;
use tradepost_store::{Contents, Export, Store, StoreError};
use zeroize::Zeroizing;

use crate::api::view::ResetView;
use crate::archive;
use crate::call::{CallClient, ProviderCalls};
use crate::config::{Config, Network};
use crate::home::{Home, HomeError, HomeLock, RunInfo};
use crate::keystore::{Keystore, PublicKeys};
use crate::ledger_access::LedgerAccess;
use crate::market::metrics::MarketMetrics;
use crate::market::{self, Mailbox, MarketHandle, Outside, Runner, RunnerParts};
use crate::supervisor::{ServiceEvent, Supervisor};
use crate::telemetry::Metrics;
use crate::timestamps::Timestamps;
pub use health::{Health, LedgerHealth};
use lookout::Lookout;

/// Operations of the largest ordinary transaction: claim a balance, pay it on.
const MAX_ORDINARY_OPERATIONS: i64 = 2;

/// Why a node doesn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its home can't be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The ledger doesn't answer.
    #[error("the ledger can't be read: {0}")]
    Ledger(#[source] LedgerError),
    /// The ledger isn't the one that this home began on.
    #[error(
        "{0}. The public network is never reset, so the server is at fault: configure another one; nothing was changed"
    )]
    Reset(#[source] LedgerError),
    /// The store doesn't open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored can't be read back.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Its role in a help exchange can't be played.
    #[error("the configured role in a help exchange can't be played: {0}")]
    Role(String),
    /// The network doesn't start.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The system refuses something.
    #[error("the system refuses {what}: {why}")]
    System {
        /// What.
        what: &'static str,
        /// What it says.
        why: String,
    },
}

impl From<LedgerError> for StartError {
    fn from(error: LedgerError) -> Self {
        match error {
            reset @ LedgerError::Reset { .. } => Self::Reset(reset),
            error => Self::Ledger(error),
        }
    }
}

impl StartError {
    fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System { what, why: error.to_string() }
    }

    fn task(error: JoinError) -> Self {
        Self::System { what: "a task's end", why: error.to_string() }
    }
}

/// What a node is started from.
#[derive(Debug)]
pub struct NodeSettings {
    /// Its owner's decisions.
    pub config: Config,
    /// Its keys; any subset, also none.
    pub keys: Keystore,
    /// Its home, held for this process; the node holds it until it has stopped.
    pub home: HomeLock,
    /// The ledger, which has proved to be on the network of this passphrase.
    pub ledger: LedgerAccess,
    /// Where its parts register what they count.
    pub metrics: Arc<Metrics>,
    /// Whether its owner knows that no other node with its keys runs; else one that was restored looks for it.
    pub alone: bool,
}

/// What doesn't change while a node runs.
#[derive(Debug, Clone)]
pub struct NodeFacts {
    /// Its owner's decisions.
    pub config: Config,
    /// Its public keys.
    pub keys: PublicKeys,
    /// Its home.
    pub home: Home,
    /// The ledger's passphrase.
    pub passphrase: String,
    /// The id that follows from it.
    pub network_id: NetworkId,
    /// The network's margins.
    pub margins: Margins,
    /// When the node started, seconds since 1970 by the machine's clock.
    pub started_at: u64,
    /// What ended with networks that were reset, the newest last.
    pub resets: Vec<ResetView>,
}

/// The way to all parts of a running node; cheap to clone.
#[derive(Debug, Clone)]
pub struct NodeHandle {
    /// The market.
    pub market: MarketHandle,
    /// The network.
    pub network: tradepost_network::Handle,
    /// The ledger.
    pub ledger: Arc<RpcLedger>,
    /// The present, by the ledger.
    pub clock: Arc<LedgerClock>,
    /// The services that run for bindings.
    pub supervisor: Supervisor,
    /// The consumer's way to the services that it bound.
    pub calls: CallClient,
    /// This node's libp2p identity.
    pub peer_id: PeerId,
    /// What doesn't change.
    pub facts: Arc<NodeFacts>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// A consistent copy of the store.
    pub export: Export,
    watch: Arc<LedgerWatch>,
    served: ProviderCalls,
}

/// A running node. Dropping it ends it at once, as a crash would, except that processes of services live on until the
/// next start; [`Node::shutdown`] is the orderly end.
#[derive(Debug)]
pub struct Node {
    handle: NodeHandle,
    tasks: JoinSet<()>,
    /// Cancelled when the network's task is gone, however that came.
    network_gone: CancellationToken,
    /// Freed when the market's thread has closed the store.
    home: HomeLock,
}

impl Node {
    /// Starts a node. When this returns, its state is restored, it listens, and its market works.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub async fn start(settings: NodeSettings) -> Result<Self, StartError> {
        let NodeSettings { config, keys, home, ledger, metrics, alone } = settings;
        let LedgerAccess { ledger, passphrase } = ledger;
        let network_id = NetworkId::of_passphrase(&passphrase);
        let margins = config.network.margins();
        // First of all, for whatever keeps this node from starting: nobody is served by what a crashed one left running.
        let records = |source| HomeError::Io { path: home.home().services_dir(), source };
        let (supervisor, services) = Supervisor::new(home.home()).await.map_err(records)?;
        let seed = match keys.node_seed() {
            Some(seed) => seed,
            None => home.node_seed()?,
        };
        let peer = tradepost_network::peer_id(&seed)?;
        let setup = setup(&config, &keys, network_id, &margins, peer, ledger.operators())?;
        let store = open_store(home.home(), network_id).await?;
        let head = ledger.head().await?;
        let store = match first_ledger::check(&store, &ledger, head.ledger).await {
            Ok(()) => store,
            Err(StartError::Reset(why)) if config.network != Network::Public => {
                let setup = setup.clone();
                let store = reset::begin_anew(home.home(), config.network, store, setup, why, head.ledger).await?;
                first_ledger::check(&store, &ledger, head.ledger).await?;
                store
            }
            Err(error) => return Err(error),
        };
        let clock = Arc::new(LedgerClock::new(head.ledger, wall_clock(config.network, &margins)));
        let (market, mailbox) = MarketHandle::new();
        let served = ProviderCalls::new(market.clone(), supervisor.clone());
        let answers = keys.serving_key().is_some().then(|| served.clone());
        let mut connecting = network_config(&config, &network_id, &seed, answers);
        connecting.known = known_peers::recalled(home.home());
        connecting.apart = !alone && store.get(Space::Mark, RESTORED_KEY)?.is_some();
        let network = tradepost_network::spawn(connecting.clone())?;
        let lookout = match connecting.apart {
            true => Some(Lookout::new(&connecting, network.0.clone(), market.clone())?),
            false => None,
        };
        let facts = Arc::new(NodeFacts {
            keys: keys.public(),
            home: home.home().clone(),
            passphrase,
            network_id,
            margins,
            started_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            resets: archive::told(home.home()),
            config,
        });
        let ledger = Arc::new(ledger);
        let every = facts.margins.poll_every;
        let watch = LedgerWatch::spawn(Arc::clone(&ledger) as Arc<dyn Ledger>, Arc::clone(&clock), every);
        let handle = NodeHandle {
            calls: CallClient::new(market.clone(), network.0.clone()),
            peer_id: network.0.local_peer_id(),
            market,
            network: network.0.clone(),
            ledger,
            clock,
            supervisor,
            facts,
            metrics,
            export: store.export(),
            watch: Arc::new(watch),
            served,
        };
        Starting { handle, store, mailbox, services, network, setup, lookout, known: connecting.known, alone }
            .start(home)
            .await
    }

    /// Says in the home where this node is reached; to be called once everything is bound.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn announce(&self, run: &RunInfo) -> Result<(), HomeError> {
        self.home.announce(run)
    }

    /// The way to its parts.
    pub fn handle(&self) -> NodeHandle {
        self.handle.clone()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.handle.market.stop();
    }
}

/// A node whose parts are made and don't run yet.
struct Starting {
    handle: NodeHandle,
    store: Store,
    mailbox: Mailbox,
    services: tokio::sync::mpsc::Receiver<ServiceEvent>,
    network: NetworkParts,
    setup: Setup,
    lookout: Option<Lookout>,
    known: Vec<Multiaddr>,
    alone: bool,
}

type NetworkParts =
    (tradepost_network::Handle, tradepost_network::EventReceiver, futures::future::BoxFuture<'static, ()>);

impl Starting {
    async fn start(mut self, home: HomeLock) -> Result<Node, StartError> {
        let (lookout, known, alone) = (self.lookout.take(), std::mem::take(&mut self.known), self.alone);
        let Self { handle, store, mailbox, services, network: (network, events, swarm), setup, .. } = self;
        let now = handle.clock.now();
        let rows = store.clone();
        let role = role(&handle.facts.config, &setup.keys)?;
        let restored = move || restore(&rows, setup, now);
        let (mut market, first) = tokio::task::spawn_blocking(restored).await.map_err(StartError::task)??;
        if let Some(role) = role {
            market.play(role);
        }
        for why in market.damaged() {
            tracing::debug!(%why, "a stored message is damaged");
        }
        if let count @ 1.. = market.damaged().len() {
            tracing::warn!(count, "stored messages were damaged and are deleted; peers have them");
        }
        if market.is_recovering() {
            tracing::warn!(
                "restored from a backup: nothing new begins until all is compared with the ledger, and until it is known \
                 that the node that the backup was made of doesn't run any more"
            );
        }
        let metrics = MarketMetrics::registered(&handle.metrics);
        let outside = Outside::new(
            handle.market.clone(),
            network.clone(),
            (Arc::clone(&handle.ledger) as Arc<dyn Ledger>, handle.facts.network_id),
            handle.supervisor.clone(),
            Timestamps::of(&handle.facts.home, &handle.facts.passphrase),
            handle.facts.config.services.clone(),
            metrics.clone(),
        );
        handle.metrics.register(|registry| registry.register_collector(Box::new(gauges::Gauges::of(&handle))));
        let waits = outside.tick_waits();
        let clock = Arc::clone(&handle.clock);
        let parts = RunnerParts { market, first, store, clock, rng: random()?, outside, mailbox };
        thread::Builder::new()
            .name("market".to_owned())
            .spawn(move || Runner::run(parts))
            .map_err(StartError::system("a thread"))?;
        let mut tasks = JoinSet::new();
        let network_gone = CancellationToken::new();
        let gone = network_gone.clone().drop_guard();
        tasks.spawn(async move {
            let _gone = gone;
            swarm.await;
        });
        let real_time = handle.facts.config.network != Network::Devnet;
        tasks.spawn(market::follow_ledger(
            handle.market.clone(),
            Arc::clone(&handle.clock),
            handle.watch.heads(),
            real_time,
        ));
        let ledger = Arc::clone(&handle.ledger) as Arc<dyn Ledger>;
        tasks.spawn(market::follow_fees(handle.market.clone(), ledger, handle.watch.heads()));
        tasks.spawn(market::follow_services(handle.market.clone(), services));
        tasks.spawn(known_peers::remember(network.clone(), handle.facts.home.clone(), known));
        if alone {
            handle.market.send(Event::Twin(TwinSight::SurelyGone)).await;
        }
        tasks.spawn(async move {
            if let Some(lookout) = lookout {
                lookout.run().await;
            }
        });
        tasks.spawn(market::follow_network(handle.market.clone(), network, metrics, events));
        tasks.spawn(market::tick(handle.market.clone(), waits, handle.facts.margins.poll_every));
        Ok(Node { handle, tasks, network_gone, home })
    }
}

async fn open_store(home: &Home, network: NetworkId) -> Result<Store, StartError> {
    let dir = home.data_dir();
    let opened = tokio::task::spawn_blocking(move || Store::open(dir, &network)).await.map_err(StartError::task)?;
    Ok(opened?)
}

/// Everything stored, as a market.
fn restore(
    store: &Store,
    setup: Setup,
    now: tradepost_protocol::time::Now,
) -> Result<(Market, tradepost_protocol::step::Step<tradepost_protocol::market::event::Effect>), StartError> {
    let mut failed = None;
    let rows = Space::ALL.iter().flat_map(|&space| store.scan(space, &[]).map(move |row| (space, row)));
    let rows = rows.map_while(|(space, row)| match row {
        Ok((key, value)) => Some::<StoredRow>((space, key, value)),
        Err(error) => {
            failed = Some(error);
            None
        }
    });
    let restored = Market::restore(setup, rows, now)?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(restored),
    }
}

fn setup(
    config: &Config,
    keys: &Keystore,
    network: NetworkId,
    margins: &Margins,
    peer: PeerId,
    operators: usize,
) -> Result<Setup, StartError> {
    let no_text = || StartError::System { what: "the node's identity", why: "its peer id has no text form".to_owned() };
    Ok(Setup {
        network,
        margins: margins.clone(),
        peer: market::market_peer(peer).ok_or_else(no_text)?,
        keys: Keys { account: keys.account(), serving: keys.serving(), sealing: keys.sealing_secret() },
        policy: Policy {
            assets: config.assets.clone(),
            transports: config.transports.clone(),
            escrow: EscrowPolicy {
                kinds: config.escrow.clone(),
                max_timed: config.max_timed,
                max_timed_issued: config.max_timed_issued.iter().map(|l| (l.asset.clone(), l.most)).collect(),
                arbiters: config.arbiters.clone(),
                arbiters_per_trade: config.arbiters_per_trade,
            },
            max_spend: config.max_spend_per_trade,
            max_fee_per_operation: per_operation(config.max_fee),
            max_deadline_fee: config.max_deadline_fee,
            one_word_limit: (operators > 1).then_some(config.one_word_limit),
            submitters: config.submitters,
            max_cases: config.max_cases,
        },
    })
}

/// This node's role in a help exchange, where the configuration says one.
fn role(config: &Config, keys: &Keys) -> Result<Option<RoleSettings>, StartError> {
    let Some(community) = &config.community else { return Ok(None) };
    let key = keys.account.as_ref().ok_or_else(|| StartError::Role("it needs an account key".to_owned()))?;
    community.settings(key).map(Some).map_err(StartError::Role)
}

/// An ordinary transaction's fee is bid per operation.
fn per_operation(max_fee: Stroops) -> Stroops {
    Stroops::new(max_fee.get() / MAX_ORDINARY_OPERATIONS).unwrap_or(Stroops::ZERO)
}

fn wall_clock(network: Network, margins: &Margins) -> WallClock {
    match network {
        Network::Devnet => WallClock::Ignored,
        Network::Testnet | Network::Public => {
            WallClock::Compared { behind: margins.clock_behind, ahead: margins.clock_ahead }
        }
    }
}

fn network_config(
    config: &Config,
    network: &NetworkId,
    seed: &Zeroizing<[u8; 32]>,
    answers: Option<ProviderCalls>,
) -> tradepost_network::Config {
    let kind = |kind: &Kind| KindConfig {
        number: kind.number(),
        name: kind.name(),
        max_bytes: kind.max_bytes(),
        gossiped: kind.gossiped(),
    };
    let kinds = Kind::ALL.iter().filter(|k| k.gossiped()).map(kind).collect();
    let mut made = tradepost_network::Config::new(**seed, network.prefix(), kinds);
    made.listen = config.listen.clone();
    made.external = config.external.clone();
    made.bootstrap = config.bootstrap.clone();
    made.local = config.local;
    made.limits.inbound = config.max_peers;
    if config.local {
        // Many nodes of one machine are many peers of one address.
        made.limits.per_ip = config.max_peers;
    }
    made.call_handler = answers.map(|answers| Arc::new(answers) as Arc<dyn tradepost_network::CallHandler>);
    made
}

fn random() -> Result<ChaCha20Rng, StartError> {
    let mut seed = Zeroizing::new([0; 32]);
    random_bytes(seed.as_mut_slice())?;
    Ok(ChaCha20Rng::from_seed(*seed))
}

fn random_bytes(into: &mut [u8]) -> Result<(), StartError> {
    let failed = |e: getrandom::Error| StartError::System { what: "random bytes", why: e.to_string() };
    getrandom::fill(into).map_err(failed)
}
