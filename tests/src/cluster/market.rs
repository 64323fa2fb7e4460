//! One seller and one buyer who met through a bootstrap node, and what they trade.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tradepost::api::request::{NewBinding, NewOffering, ServedBy};
use tradepost::api::view::{BindingView, Bound, Funded, OfferingList, Published, WalletView};
use tradepost::demo::actor::Actor;
use tradepost::demo::cluster::{ClusterError, Setup};
use tradepost::keystore::{Mnemonic, Words};
use tradepost_ledger::Ledger as _;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::{Price, Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::document::{Arbitration, Windows};
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::stellar::entry::{AccountState, Entry};
use tradepost_protocol::stellar::ledger_key::Key;

use super::Nodes;
use super::gate::Gate;

/// How long something may take that needs messages and a few ledgers, on a busy machine.
pub const SOON: Duration = Duration::from_secs(180);
/// For how long offerings stand: longer than any test moves its ledger's clock on.
pub(super) const LIFE_SECS: u64 = 86_400;
/// The node that sells.
pub const SELLER: &str = "seller";
/// The node that buys.
pub const BUYER: &str = "buyer";
/// The node by which they meet.
pub const BOOTSTRAP: &str = "bootstrap";
/// While a file of this name is in the directory of all nodes, services that start don't get any further.
const HELD: &str = "services-are-held";
/// Starts the service once that file, its first argument, is gone. The shell stays, so that the service doesn't notice by
/// itself that its node is.
const START_WHEN_LET: &str = "while [ -e \"$0\" ]; do sleep 0.1; done; \"$@\"; exit";

/// What is sold.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Price of a unit.
    pub price: Stroops,
    /// What a unit is.
    pub unit: Unit,
    /// How long the parts of a binding take.
    pub windows: Windows,
    /// How many bindings at once.
    pub max_supply: u32,
}

impl Terms {
    /// Sold by the call, in windows so long that none of them ends while a test looks.
    pub const BY_CALL: Self = Self {
        price: Stroops::whole(3),
        unit: Unit::Call,
        windows: Windows { deliver_secs: 600, collect_secs: 60 },
        max_supply: 1,
    };
    /// In the shortest windows that make sense, for T is waited for.
    pub const BRIEF: Self =
        Self { price: Stroops::whole(7), windows: Windows { deliver_secs: 1, collect_secs: 4 }, ..Self::BY_CALL };
}

/// How a market is opened, besides its terms.
#[derive(Debug, Clone, Default)]
pub(super) struct Opening<'a> {
    /// The command that starts a service; the demo's where it is empty.
    pub start: &'a [&'a str],
    /// Further lines of its table.
    pub table: &'a str,
    /// Further lines for the seller's configuration.
    pub sellers: &'a str,
    /// Further lines for both sides' configuration.
    pub both: &'a str,
    /// Who decides, where the seller's offering is `arbitrated` and nothing else.
    pub arbitration: Option<Arbitration>,
    /// What its price is in, where that isn't the native coin.
    pub asset: Option<Asset>,
}

/// The command of the demo's service.
fn demo_service(program: &Path) -> [String; 4] {
    let program = program.to_str().expect("the program's path is text");
    [program, "demo-service", "--port", "{port}"].map(str::to_owned)
}

/// The command of a service whose starts can be held up.
pub(super) fn start_to_hold(nodes: &Nodes) -> Vec<String> {
    let held = nodes.dir().join(HELD);
    let held = held.to_str().expect("a temporary directory's path is text");
    let wait = ["sh", "-c", START_WHEN_LET, held].map(str::to_owned);
    wait.into_iter().chain(demo_service(nodes.program())).collect()
}

pub(super) fn texts(parts: &[String]) -> Vec<&str> {
    parts.iter().map(String::as_str).collect()
}

/// A seller's and a buyer's node, with an offering that the buyer has found.
#[derive(Debug)]
pub struct Market {
    /// All processes.
    pub nodes: Nodes,
    /// The seller's node.
    pub seller: Actor,
    /// The buyer's node.
    pub buyer: Actor,
    /// The seller's account.
    pub seller_account: AccountId,
    /// The buyer's account.
    pub buyer_account: AccountId,
    /// The words that the buyer's keys are of.
    pub buyer_words: String,
    /// What was published.
    pub published: Published,
    /// The seller's way to the ledger.
    pub gate: Gate,
}

impl Market {
    /// Starts everything and publishes an offering of the demo's service on these terms.
    ///
    /// # Panics
    /// Where any of that fails.
    pub async fn open(program: &str, terms: Terms) -> Self {
        Self::open_in(Nodes::start(program).await, terms, "").await
    }

    /// As [`Market::open`] beside this ledger, with further lines for the seller's configuration.
    ///
    /// # Panics
    /// Where any of that fails.
    pub async fn open_in(nodes: Nodes, terms: Terms, sellers: &str) -> Self {
        told(Self::open_with(nodes, terms, Opening { sellers, ..Opening::default() }).await)
    }

    /// As [`Market::open`] with another service: this command, and further lines of its table.
    ///
    /// # Panics
    /// Where any of that fails.
    pub async fn open_serving(program: &str, terms: Terms, start: &[&str], table: &str) -> Self {
        let opening = Opening { start, table, ..Opening::default() };
        told(Self::open_with(Nodes::start(program).await, terms, opening).await)
    }

    /// As [`Market::open`] beside this ledger, with a service whose starts can be held up ([`Market::hold_services`]), and
    /// that doesn't notice by itself that its node is gone.
    ///
    /// # Panics
    /// Where any of that fails.
    pub async fn open_to_hold(nodes: Nodes, terms: Terms) -> Self {
        let start = start_to_hold(&nodes);
        told(Self::open_with(nodes, terms, Opening { start: &texts(&start), ..Opening::default() }).await)
    }

    pub(super) async fn open_with(mut nodes: Nodes, terms: Terms, opening: Opening<'_>) -> Result<Self, ClusterError> {
        let gate = Gate::to(nodes.rpc_url()["http://".len()..].parse().expect("an address and a port")).await;
        let bootstrap = bootstrap(&mut nodes).await?;
        let Opening { start, table, sellers, both, arbitration, asset } = opening;
        let service = demo_service(nodes.program());
        let start = if start.is_empty() { texts(&service) } else { start.to_vec() };
        let config =
            format!("{both}{sellers}[service.adder]\nstart = {}\nhealth = \"/healthz\"\n{table}", json!(start));
        let setup = Setup { bootstrap, keys: true, ..Setup::default() };
        let seller = Setup { rpc_url: Some(gate.url()), config, ..setup.clone() };
        let words = Mnemonic::generate(Words::Twelve).expect("random bytes").phrase().as_str().to_owned();
        // Tests lock what they like under `timed`.
        let buyer = Setup { mnemonic: Some(words.clone()), config: format!("{both}max_timed = \"1000\"\n"), ..setup };
        nodes.add_all(&[(SELLER, seller), (BUYER, buyer)]).await?;
        nodes.run_all(&[SELLER, BUYER]).await?;
        let (seller, buyer) = (Actor::of(nodes.node(SELLER)?)?, Actor::of(nodes.node(BUYER)?)?);
        let (accounts, published) = Self::publish(&seller, &buyer, &offering(&terms, arbitration, asset)).await?;
        let [seller_account, buyer_account] = accounts;
        Ok(Self { nodes, seller, buyer, seller_account, buyer_account, buyer_words: words, published, gate })
    }

    /// Both get money, and the seller publishes; the accounts of both and what the buyer has found.
    async fn publish(
        seller: &Actor,
        buyer: &Actor,
        new: &NewOffering,
    ) -> Result<([AccountId; 2], Published), ClusterError> {
        let (seller_account, buyer_account) = tokio::try_join!(funded(seller), funded(buyer))?;
        let published: Published = seller.post("/v1/offerings", new).await?;
        let series = published.series;
        let listed = |list: &OfferingList| list.items.iter().find(|o| o.series == series && o.live).map(|o| o.id);
        buyer.until("the offering is live", SOON, "/v1/offerings", listed).await?;
        Ok(([seller_account, buyer_account], published))
    }

    /// Begins anew on these terms: on a ledger where neither has anything yet.
    ///
    /// # Panics
    /// Where any of that fails.
    pub async fn begin_again(&mut self, terms: Terms) {
        let (accounts, published) = told(Self::publish(&self.seller, &self.buyer, &offering(&terms, None, None)).await);
        [self.seller_account, self.buyer_account] = accounts;
        self.published = published;
    }

    /// Has the buyer bind so many units; returns the binding.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn bind(&self, units: u64) -> String {
        let new = NewBinding { offering: self.published.series.to_string(), units, ..NewBinding::default() };
        let bound: Bound = told(self.buyer.post("/v1/bindings", &new).await);
        bound.binding.to_string()
    }

    /// Waits until a side's view of a binding is as wanted.
    ///
    /// # Panics
    /// Where it isn't in time.
    pub async fn until(
        &self,
        side: &Actor,
        binding: &str,
        patience: Duration,
        what: &str,
        is: impl Fn(&BindingView) -> bool,
    ) -> BindingView {
        let path = format!("/v1/bindings/{binding}");
        told(side.until(what, patience, &path, |view: &BindingView| is(view).then(|| view.clone())).await)
    }

    /// Whether services that start hang before they are healthy.
    ///
    /// # Panics
    /// Where that can't be arranged.
    pub fn hold_services(&self, hold: bool) {
        let file = self.nodes.dir().join(HELD);
        let done = if hold { std::fs::write(&file, "") } else { std::fs::remove_file(&file) };
        match done {
            Err(e) if hold || e.kind() != std::io::ErrorKind::NotFound => panic!("{}: {e}", file.display()),
            _ => {}
        }
    }

    /// Kills a node (SIGKILL).
    ///
    /// # Panics
    /// Where there is no such node.
    pub fn kill(&mut self, name: &str) {
        self.nodes.node_mut(name).expect("there is one").kill();
    }

    /// Starts a node again that was killed, and waits until it is reached.
    ///
    /// # Panics
    /// Where it isn't.
    pub async fn restart(&mut self, name: &str) {
        told(self.nodes.run(name).await);
        let again = told(self.nodes.node(name).and_then(Actor::of));
        *(if name == SELLER { &mut self.seller } else { &mut self.buyer }) = again;
    }

    /// The buyer's account as the ledger has it.
    ///
    /// # Panics
    /// Where the ledger can't be read, or has no such account.
    pub async fn buyer_on_the_ledger(&self) -> AccountState {
        self.on_the_ledger(self.buyer_account).await
    }

    /// An account as the ledger has it.
    ///
    /// # Panics
    /// Where the ledger can't be read, or has no such account.
    pub async fn on_the_ledger(&self, account: AccountId) -> AccountState {
        let ledger = self.nodes.ledger().await.expect("the ledger answers");
        let key = Key::Account(account);
        let read = ledger.read(std::slice::from_ref(&key)).await.expect("the ledger answers");
        match read.get(&key).map(|read| read.entry.clone()) {
            Some(Ok(Entry::Account(state))) => state,
            other => panic!("the ledger has no account {account}: {other:?}"),
        }
    }

    /// The numbers of the seller's service processes, from the records that its supervisor keeps.
    ///
    /// # Panics
    /// Where the seller has no home.
    pub fn service_records(&self) -> Vec<String> {
        let seller = self.nodes.node(SELLER).expect("there is a seller");
        let dir = std::fs::read_dir(seller.home().services_dir()).expect("its home is there");
        let mut records: Vec<String> =
            dir.flatten().filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
        records.sort();
        records
    }
}

/// The value, or the error with the end of the log that it concerns.
///
/// # Panics
/// With that error.
pub fn told<T>(result: Result<T, ClusterError>) -> T {
    result.unwrap_or_else(|e| panic!("{e}\n{}", e.tail.join("\n")))
}

/// The node by which all others meet, which is started where it isn't there.
pub(super) async fn bootstrap(nodes: &mut Nodes) -> Result<Vec<String>, ClusterError> {
    if nodes.node(BOOTSTRAP).is_err() {
        nodes.add(BOOTSTRAP, &Setup::default()).await?;
        nodes.run(BOOTSTRAP).await?;
    }
    Ok(nodes.node(BOOTSTRAP)?.running()?.p2p.clone())
}

pub(super) async fn funded(node: &Actor) -> Result<AccountId, ClusterError> {
    let funded: Funded = node.post("/v1/wallet/fund", &json!({})).await?;
    let there = |wallet: &WalletView| (!wallet.spendable.is_zero()).then_some(());
    node.until("the friendbot's money is seen", SOON, "/v1/wallet", there).await?;
    Ok(funded.account)
}

fn offering(terms: &Terms, arbitration: Option<Arbitration>, asset: Option<Asset>) -> NewOffering {
    let escrow = if arbitration.is_some() { EscrowKind::Arbitrated } else { EscrowKind::Timed };
    let endpoints = json!([{"method": "POST", "path": "/add"}]);
    NewOffering {
        template: "http-api".to_owned(),
        title: "adder".to_owned(),
        description: String::new(),
        parameters: Map::from_iter([("endpoints".to_owned(), endpoints)]),
        record: None,
        recipient: None,
        price: Price { asset: asset.unwrap_or(Asset::Native), amount: terms.price, unit: terms.unit },
        min_units: 1,
        max_units: 60,
        max_supply: terms.max_supply,
        windows: terms.windows,
        escrow: vec![escrow],
        arbitration,
        transports: None,
        life_secs: LIFE_SECS,
        service: Some(ServedBy::Configured("adder".to_owned())),
    }
}

/// Calls the service of a binding once.
///
/// # Panics
/// Where it doesn't answer that 10 and 32 are 42.
pub async fn add(buyer: &Actor, binding: &str) {
    let answer: Value = told(buyer.call(binding, "/add", &json!({"a": 10, "b": 32})).await);
    assert_eq!(answer, json!({"sum": 42}));
}
