//! A development ledger, a bootstrap node, and parties with homes of their own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{any, get, post};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tradepost::config::Config;
use tradepost::home::Home;
use tradepost::keystore::{Keystore, Mnemonic, Words};
use tradepost::ledger_access;
use tradepost::node::{Node, NodeHandle, NodeSettings};
use tradepost::telemetry::Metrics;
use tradepost_devnet::{Close, Faults, Server};
use tradepost_ledger::Ledger;
use tradepost_protocol::amount::{Price, Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::book::Listing;
use tradepost_protocol::document::{BuiltIn, Transport};
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Answer, Command, OfferingDraft};
use tradepost_protocol::message::{BindingId, SeriesId};
use tradepost_protocol::stellar::entry::Entry;
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::time::{Now, Timestamp};

/// What the friendbot gives, in stroops.
pub const AMOUNT_GIVEN: i64 = 1_000_000_000;
/// What a transaction with one operation costs, in stroops.
pub const FEE: i64 = 100;
/// What a call costs, in stroops.
pub const PRICE: i64 = 5_000_001;
/// What the bond holds: the price of a unit for each of two places, in stroops.
pub const BOND: i64 = 2 * PRICE;
/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// How often it is looked at least; news make it sooner.
const LOOK: Duration = Duration::from_millis(100);

/// A ledger and a bootstrap node.
pub struct World {
    server: Server,
    bootstrap: Node,
    addresses: Vec<String>,
    _home: TempDir,
}

/// A node with an account.
pub struct Party {
    pub handle: NodeHandle,
    node: Node,
    keys: Keystore,
    home: TempDir,
}

/// What was published.
pub struct Published {
    pub series: SeriesId,
}

impl World {
    pub async fn start() -> Self {
        let config = tradepost_devnet::Config {
            close: Close::Every(Duration::from_millis(200)),
            friendbot_amount: AMOUNT_GIVEN,
            ..tradepost_devnet::Config::default()
        };
        let server = Server::spawn(config).await.unwrap();
        let home = tempfile::tempdir().unwrap();
        let bootstrap = start(&server, home.path(), Keystore::empty(), &[]).await;
        let handle = bootstrap.handle();
        let addresses = within("the bootstrap node listens", async {
            loop {
                let addresses = handle.network.listen_addrs().await.unwrap();
                if !addresses.is_empty() {
                    return addresses;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        let addresses = addresses.iter().map(|a| format!("{a}/p2p/{}", handle.peer_id)).collect();
        Self { server, bootstrap, addresses, _home: home }
    }

    /// Starts a node that knows the bootstrap node alone; with an account where it has keys.
    pub async fn party(&self, with_keys: bool) -> Party {
        let home = tempfile::tempdir().unwrap();
        let keys = if with_keys {
            Keystore::from_mnemonic(&Mnemonic::generate(Words::Twelve).unwrap())
        } else {
            Keystore::empty()
        };
        let node = start(&self.server, home.path(), keys.only(&tradepost::keystore::Role::ALL), &self.addresses).await;
        let handle = node.handle();
        if let Some(account) = keys.account_id() {
            handle.ledger.fund_by_friendbot(account).await.unwrap();
        }
        let party = Party { handle, node, keys, home };
        if with_keys {
            party.when("its account is read", |market, _| market.account().map(|_| ())).await;
        }
        party
    }

    /// Stops a node and starts it again.
    pub async fn restart(&self, party: Party) -> Party {
        let Party { node, keys, home, .. } = party;
        node.shutdown(Duration::from_secs(5), &CancellationToken::new()).await;
        let node = start(&self.server, home.path(), keys.only(&tradepost::keystore::Role::ALL), &self.addresses).await;
        Party { handle: node.handle(), node, keys, home }
    }

    /// Moves the ledger's time, until the node sees a ledger closed then or later.
    pub async fn move_clock_to(&self, time: Timestamp, seen_by: &Party) {
        let ahead = time.since(seen_by.handle.clock.newest().close_time).as_secs() + 1;
        let url = format!("{}/devnet/clock", self.server.url());
        let body = serde_json::json!({ "advance_seconds": ahead });
        let moved = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
        assert!(moved.status().is_success());
        seen_by
            .when("time has moved", move |market, _| market.point().filter(|p| p.close_time >= time).map(|_| ()))
            .await;
    }

    /// Whether the ledger's server answers from now on; ledgers close all the same.
    pub fn ledger_answers(&self, answers: bool) {
        self.server.set_faults(Faults { down: !answers, ..Faults::default() }).unwrap();
    }

    /// Accounts, claimable balances and fees are all the money there is.
    pub fn ledger_adds_up(&self) {
        assert!(self.server.client().ledger().totals().conserved());
        assert!(self.bootstrap.handle().market.has_ended().is_none());
    }
}

impl Party {
    /// Publishes an offering of calls of this service.
    pub async fn publish(&self, service: &Service) -> Published {
        let table = format!("url = {:?}\nhealth = \"/health\"", service.url).parse().unwrap();
        let config = tradepost::config::ServiceConfig::from_table("echo", &table, Path::new("/")).unwrap();
        let parameters = serde_json::json!({ "endpoints": [{ "method": "GET", "path": "/" }] });
        let draft = OfferingDraft {
            template: BuiltIn::named("http-api").unwrap().id,
            parameters: parameters.as_object().unwrap().clone(),
            title: "Echo".into(),
            description: String::new(),
            service: None,
            recipient: None,
            price: Price { asset: Asset::Native, amount: Stroops::new(PRICE).unwrap(), unit: Unit::Call },
            min_units: 1,
            max_units: 10,
            max_supply: 2,
            deliver: Duration::from_secs(120),
            collect: Duration::from_secs(12),
            escrow: vec![EscrowKind::Timed],
            arbitration: None,
            transports: vec![Transport::Tcp],
            life: Duration::from_secs(3_600),
            spec: config.to_spec(),
        };
        let command = self.handle.market.command(Command::Publish(Box::new(draft)));
        match within("the bond stands", command).await.unwrap().unwrap() {
            Answer::Published { series, .. } => Published { series },
            other => panic!("published, not {other:?}"),
        }
    }

    /// Waits until the series is live here.
    pub async fn discover(&self, series: SeriesId) -> Listing {
        self.when("the offering is discovered", move |market, now| {
            market.book().by_series(&series, now).filter(|listing| listing.live)
        })
        .await
    }

    /// Waits until the series has so many free places.
    pub async fn until_free(&self, series: SeriesId, free: u32) -> Listing {
        self.when("places are free", move |market, now| {
            market.book().by_series(&series, now).filter(|listing| listing.free == free)
        })
        .await
    }

    /// Waits until a binding is as it should be.
    pub async fn until(&self, what: &str, binding: BindingId, is: fn(&Trade) -> bool) -> Trade {
        self.when(what, move |market, _| market.trade(binding.as_bytes()).filter(|t| is(t)).cloned()).await
    }

    /// Waits until a question has an answer.
    pub async fn when<R: Send + 'static>(
        &self,
        what: &str,
        question: impl Fn(&Market, Now) -> Option<R> + Clone + Send + 'static,
    ) -> R {
        let mut news = self.handle.market.news();
        let until = Instant::now() + DEADLINE;
        loop {
            let question = question.clone();
            if let Some(answer) = self.handle.market.ask(move |market, now| question(market, now)).await.unwrap() {
                return answer;
            }
            if Instant::now() >= until {
                let state = self.handle.market.ask(describe).await.unwrap();
                panic!("in vain: {what}\n{state}");
            }
            // Either way it is looked again.
            let _ = timeout(LOOK, news.recv()).await;
        }
    }

    /// A call; until the provider's node is found again after a restart, it isn't reached and not counted.
    pub async fn call_until_reached(&self, binding: BindingId) -> hyper::Response<tradepost_network::CallBody> {
        within("the provider is reached", async {
            loop {
                let request = hyper::Request::get("/").body(tradepost_network::empty_body()).unwrap();
                if let Ok(response) = self.handle.calls.call(binding, request).await {
                    return response;
                }
            }
        })
        .await
    }

    /// What its account holds, in stroops.
    pub async fn balance(&self) -> i64 {
        let account = self.keys.account_id().unwrap();
        let read = self.handle.ledger.read(&[Key::Account(account)]).await.unwrap();
        match &read.entries[0].entry {
            Ok(Entry::Account(state)) => state.balance.get(),
            other => panic!("an account, not {other:?}"),
        }
    }

    /// Ends the node properly.
    pub async fn stop(self) {
        within("the node stops", self.node.shutdown(Duration::from_secs(5), &CancellationToken::new())).await;
    }

    /// Ends the node as a crash would.
    pub async fn vanish(self) {
        let market = self.handle.market.clone();
        drop(self.node);
        drop(self.handle);
        within("the market ends", market.ended()).await;
    }
}

/// What a failed test shows of a market.
fn describe(market: &Market, now: Now) -> String {
    let trades: Vec<_> = market.trades().map(|t| (t.phase(), &t.state, t.volatile)).collect();
    let offers: Vec<_> = market.offers().map(|(series, offer)| (series, offer.state)).collect();
    format!("{now:?} {:?}\n{trades:#?}\n{offers:?}\n{:#?}", market.point(), market.queue())
}

async fn start(server: &Server, home: &Path, keys: Keystore, bootstrap: &[String]) -> Node {
    let text = format!(
        "network = \"devnet\"\nrpc_url = {:?}\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nbootstrap = {bootstrap:?}\n",
        server.url()
    );
    let config = Config::of_layers(Some((Path::new("/config.toml"), &text)), [], &[]).unwrap();
    let ledger = ledger_access::connect(&config).await.unwrap();
    let home = Home::at(home).lock().unwrap();
    let settings = NodeSettings { config, keys, home, ledger, metrics: Arc::new(Metrics::new()), alone: false };
    within("the node starts", Node::start(settings)).await.unwrap()
}

pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

/// A service that echoes, streams, fails and waits, as it is asked.
pub struct Service {
    pub url: String,
    /// One permit for each call of `/hold` that has arrived.
    pub arrived: Arc<Semaphore>,
    /// One permit for each call of `/hold` that may end.
    pub released: Arc<Semaphore>,
}

pub async fn service() -> Service {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (arrived, released) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let echo = |RawQuery(query): RawQuery, headers: HeaderMap, body: String| async move {
        let header = |name: &str| headers.get(name).map_or("-", |v| v.to_str().unwrap()).to_owned();
        format!("{body} {} {} {}", header("authorization"), header("tradepost-binding"), query.unwrap_or_default())
    };
    let (here, go) = (Arc::clone(&arrived), Arc::clone(&released));
    let hold = move || async move {
        here.add_permits(1);
        go.acquire().await.unwrap().forget();
        "held"
    };
    let app = Router::new()
        .route("/health", get(|| async { StatusCode::OK }))
        .route("/", any(|| async { "here" }))
        .route("/echo", post(echo))
        .route("/stream", post(|body: Body| async { body }))
        .route("/hold", get(hold))
        .route("/fail", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Service { url, arrived, released }
}
