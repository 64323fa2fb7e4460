//! The ledger as a server: JSON-RPC, friendbot, a clock that can be moved, and
//! faults that can be switched on (see [`crate::faults`]).
//!
//! **Time.** The server's time is the wall clock plus an offset that
//! `POST /devnet/clock` moves forward. On an interval a ledger closes only
//! when that time has reached a new second, since close times are whole
//! seconds and grow strictly: an interval below a second closes about once a
//! second, and ledger time never runs ahead. A close on demand always closes;
//! where the second hasn't advanced since the last one, its close time is one
//! second ahead, and the interval waits until time has caught up.

mod clock;
mod connections;
mod control;
mod friendbot;
mod json_rpc;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::client::Client;
use crate::disk::StateError;
use crate::faults::{Faults, FaultsError};
use crate::genesis;
use crate::ledger::{CloseError, Ledger, LedgerClosed};
pub use clock::MAX_CLOCK_OFFSET;
use clock::{Clock, ClockError};
pub use connections::MAX_CONNECTIONS;

/// The largest request body, in bytes.
pub const MAX_BODY_BYTES: usize = 512 * 1024;
/// The most requests that are answered at a time.
pub const MAX_CONCURRENT_REQUESTS: usize = 256;
/// How long a request may take, from its header to its answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// What the friendbot gives, in stroops, unless told otherwise: 10,000 XLM.
pub const FRIENDBOT_AMOUNT: i64 = 100_000_000_000;
/// The shortest interval at which ledgers may close.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// How long a shutdown waits for requests that are being answered.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens; port 0 takes a free one.
    pub bind: SocketAddr,
    /// The network's passphrase; where there is none, a fresh one that ends in
    /// random bytes, so that nothing signed for one network is valid on
    /// another.
    pub passphrase: Option<String>,
    /// When ledgers close.
    pub close: Close,
    /// What the friendbot gives to each new account, in stroops.
    pub friendbot_amount: i64,
    /// How many operations a ledger takes; past that, the best paid go first
    /// and all pay more. Where there is none, as many as before, or
    /// [`crate::LEDGER_OPERATIONS`].
    pub ledger_operations: Option<u32>,
    /// The directory that keeps the ledger; without one it ends with the
    /// server.
    pub state: Option<PathBuf>,
}

/// When ledgers close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// When `POST /devnet/close` asks, and when the friendbot needs it.
    OnDemand,
    /// At this interval, and on demand.
    Every(Duration),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            passphrase: None,
            close: Close::Every(Duration::from_secs(1)),
            friendbot_amount: FRIENDBOT_AMOUNT,
            ledger_operations: None,
            state: None,
        }
    }
}

/// Why a server didn't start.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The address can't be listened on.
    #[error("can't listen on {address}: {source}; choose another address, or port 0 for a free one")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no random bytes for the passphrase.
    #[error("no random bytes for the passphrase: {0}; give a passphrase")]
    Random(getrandom::Error),
    /// The friendbot's amount is too small to make an account, or more than
    /// it has.
    #[error("the friendbot can't give {0} stroops: choose from 10000000 (1 XLM) to 10000000000000000")]
    FriendbotAmount(i64),
    /// A ledger can't be so small or so large.
    #[error("a ledger can't take {0} operations: choose from 1 to {most}", most = genesis::MAX_LEDGER_OPERATIONS)]
    LedgerOperations(u32),
    /// The interval is too short.
    #[error("ledgers can't close every {0:?}: choose at least 10 ms")]
    Interval(Duration),
    /// The friendbot's account couldn't be made.
    #[error("the friendbot's account couldn't be made: {0}")]
    Friendbot(String),
    /// The directory doesn't hold a ledger to go on with.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A running server. Dropping it stops it at once; [`Server::shutdown`] lets
/// it finish what it is answering.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// What all requests share.
#[derive(Debug)]
struct Shared {
    client: Client,
    clock: Clock,
    close: Close,
    friendbot: mpsc::Sender<friendbot::Request>,
    friendbot_address: String,
    requests: Semaphore,
    /// The number of the last closed ledger.
    closed: watch::Sender<u32>,
}

impl Server {
    /// Starts a network and serves it.
    ///
    /// # Errors
    /// If the configuration is out of bounds or the address is taken.
    pub async fn spawn(config: Config) -> Result<Self, ServerError> {
        validate(&config)?;
        let listener = TcpListener::bind(config.bind).await.map_err(|source| bind_error(&config, source))?;
        let address = listener.local_addr().map_err(|source| bind_error(&config, source))?;
        let mut ledger = open(&config)?;
        let clock = Clock::ahead_by(ledger.clock_offset());
        ledger.set_friendbot_url(Some(format!("http://{address}/friendbot")));
        let bot = friendbot::Friendbot::endow(&mut ledger, clock.now(), config.friendbot_amount)?;

        let (asks, asked) = mpsc::channel(friendbot::MAX_WAITING);
        let shared = Arc::new(Shared {
            closed: watch::Sender::new(ledger.sequence()),
            client: Client::new(ledger),
            clock,
            close: config.close,
            friendbot: asks,
            friendbot_address: bot.address(),
            requests: Semaphore::new(MAX_CONCURRENT_REQUESTS),
        });
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let router = router(Arc::clone(&shared));
        tasks.spawn(connections::serve(listener, router, stopped.clone()));
        tasks.spawn(until(stopped.clone(), bot.run(Arc::clone(&shared), asked)));
        if let Close::Every(period) = config.close {
            tasks.spawn(until(stopped, close_every(Arc::clone(&shared), period)));
        }
        Ok(Self { address, shared, stop, tasks })
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of its JSON-RPC.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the network's passphrase.
    pub fn passphrase(&self) -> String {
        self.shared.client.ledger().passphrase().to_owned()
    }

    /// Returns the account that the friendbot pays from, as a `G…` address.
    pub fn friendbot_address(&self) -> &str {
        &self.shared.friendbot_address
    }

    /// Returns a client of the same ledger without HTTP between.
    pub fn client(&self) -> Client {
        self.shared.client.clone()
    }

    /// Returns the number of the last closed ledger, to be watched as it grows.
    pub fn latest_ledger(&self) -> watch::Receiver<u32> {
        self.shared.closed.subscribe()
    }

    /// Closes a ledger now.
    ///
    /// # Panics
    /// If the network is halted, or its directory can't be written: whoever does
    /// that in process knows.
    pub fn close(&self) -> LedgerClosed {
        self.shared.close_now().expect("neither halted nor without its directory")
    }

    /// Moves time ahead, as `POST /devnet/clock` does; ledgers see it when the
    /// next one closes. False, and unmoved, where that would pass
    /// [`MAX_CLOCK_OFFSET`], or the directory that keeps it can't be written.
    pub fn advance_clock(&self, seconds: u64) -> bool {
        self.shared.advance_clock(seconds).is_ok()
    }

    /// Sets what is wrong with the network from now on, as
    /// `POST /devnet/faults` does.
    ///
    /// # Errors
    /// As [`Ledger::set_faults`].
    pub fn set_faults(&self, faults: Faults) -> Result<(), FaultsError> {
        self.shared.client.set_faults(faults)
    }

    /// Returns what is wrong with the network.
    pub fn faults(&self) -> Faults {
        self.shared.client.faults()
    }

    /// Stops listening, finishes what is being answered for a few seconds,
    /// and returns when everything has ended.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(SHUTDOWN_GRACE, ended).await.is_err() {
            tracing::warn!("stopped with requests unanswered");
            self.tasks.shutdown().await;
        }
    }
}

impl Shared {
    /// Closes a ledger, one second ahead of time if need be.
    fn close_now(&self) -> Result<LedgerClosed, CloseError> {
        let mut ledger = self.client.ledger();
        let time = self.clock.now().max(ledger.close_time() + 1);
        let closed = ledger.close(time)?;
        drop(ledger);
        self.announce(&closed);
        Ok(closed)
    }

    /// Closes a ledger if time has reached a new second.
    fn close_if_due(&self) {
        let closed = {
            let mut ledger = self.client.ledger();
            let now = self.clock.now();
            (now > ledger.close_time()).then(|| ledger.close(now))
        };
        if let Some(Ok(closed)) = closed {
            self.announce(&closed);
        }
    }

    /// Moves time ahead and returns the new offset in seconds, once it is kept.
    fn advance_clock(&self, seconds: u64) -> Result<u64, ClockError> {
        let mut ledger = self.client.ledger();
        let offset = self.clock.offset_after(seconds).ok_or(ClockError::TooFar(self.clock.offset()))?;
        ledger.keep_clock_offset(offset).map_err(ClockError::Unsaved)?;
        self.clock.set_offset(offset);
        Ok(offset)
    }

    fn announce(&self, closed: &LedgerClosed) {
        tracing::debug!(sequence = closed.sequence, transactions = closed.transactions.len(), "ledger closed");
        self.closed.send_replace(closed.sequence);
    }
}

fn validate(config: &Config) -> Result<(), ServerError> {
    let least = 2 * i64::from(genesis::BASE_RESERVE);
    let most = genesis::TOTAL_COINS / 100;
    if !(least..=most).contains(&config.friendbot_amount) {
        return Err(ServerError::FriendbotAmount(config.friendbot_amount));
    }
    let possible = 1..=genesis::MAX_LEDGER_OPERATIONS;
    if let Some(operations) = config.ledger_operations.filter(|operations| !possible.contains(operations)) {
        return Err(ServerError::LedgerOperations(operations));
    }
    match config.close {
        Close::Every(period) if period < MIN_INTERVAL => Err(ServerError::Interval(period)),
        _ => Ok(()),
    }
}

fn bind_error(config: &Config, source: io::Error) -> ServerError {
    ServerError::Bind { address: config.bind, source }
}

/// Goes on with the ledger that is kept, or begins one that closed just now.
fn open(config: &Config) -> Result<Ledger, ServerError> {
    let (passphrase, operations) = (config.passphrase.as_deref(), config.ledger_operations);
    let before = Clock::default().now().saturating_sub(1);
    if let Some(dir) = &config.state {
        return Ok(Ledger::open(dir, passphrase, before, operations)?);
    }
    let passphrase = match passphrase {
        Some(passphrase) => passphrase.to_owned(),
        None => genesis::random_passphrase().map_err(ServerError::Random)?,
    };
    Ok(Ledger::genesis_of_size(&passphrase, before, operations.unwrap_or(genesis::LEDGER_OPERATIONS)))
}

fn router(shared: Arc<Shared>) -> Router {
    let public = Router::new()
        .route("/", post(json_rpc::answer))
        .route("/friendbot", get(friendbot::fund).post(friendbot::fund))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), faulty));
    public
        .route("/devnet/faults", get(control::faults).post(control::set_faults))
        .route("/devnet/close", post(control::close))
        .route("/devnet/clock", post(control::advance_clock))
        .route("/devnet/status", get(control::status))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), bound))
        .with_state(shared)
}

/// Bounds how many requests are answered at a time, and how long each takes.
async fn bound(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let Ok(_permit) = shared.requests.try_acquire() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many requests at once").into_response();
    };
    match timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::GATEWAY_TIMEOUT, "the request took too long").into_response(),
    }
}

/// Answers late, or not at all, where the faults say so.
async fn faulty(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let down = || (StatusCode::SERVICE_UNAVAILABLE, "down, by POST /devnet/faults").into_response();
    let faults = shared.client.faults();
    let response = if faults.down { down() } else { next.run(request).await };
    sleep(faults.slow()).await;
    response
}

async fn close_every(shared: Arc<Shared>, period: Duration) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.close_if_due();
    }
}

/// Runs a task until the server stops.
async fn until(mut stopped: watch::Receiver<bool>, task: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        _ = stopped.wait_for(|stop| *stop) => {}
        () = task => {}
    }
}
