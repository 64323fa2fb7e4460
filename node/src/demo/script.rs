//! What happens in the demo, step by step, and what it leads to on the books.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tradepost_ledger::RpcLedger;
use tradepost_protocol::amount::{Price, Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::dispute::Split;
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::bond;
use tradepost_protocol::document::Windows;
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::limits::Margins;
use tradepost_protocol::message::{SeriesId, keccak};

use super::DemoError;
use super::actor::Actor;
use super::books::Books;
use super::cluster::{Cluster, ClusterError, Setup};
use super::narrator::Narrator;
use super::report::{Shares, TradeReport};
use crate::api::request::{NewBinding, NewOffering, NewService, ServedBy};
use crate::api::view::{
    BindingView, Bound, Funded, OfferingList, OfferingView, OwnOfferingList, PeerList, Published, ServiceView,
    WalletView,
};

/// The node without keys by which the others meet.
pub(super) const BOOTSTRAP: &str = "bootstrap";
/// The node that buys.
pub(super) const CONSUMER: &str = "consumer";
/// The accounts that are the ledger's own.
const ROOT: &str = "root";
pub(super) const FRIENDBOT: &str = "friendbot";

/// How long something may take that needs a few ledgers.
pub(super) const LEDGERS: Duration = Duration::from_secs(30);
/// How long something may take that only needs messages.
pub(super) const MESSAGES: Duration = Duration::from_secs(20);
/// How long after T the refund may take to be seen.
const REFUND: Duration = Duration::from_secs(30);
/// How long an offering of the demo stands, seconds.
const LIFE_SECS: u64 = 3_600;

/// What one provider of the demo sells.
pub(super) struct Shop {
    /// The provider's node, and its service.
    pub(super) name: &'static str,
    title: &'static str,
    description: &'static str,
    path: &'static str,
    /// Price of a call, stroops.
    price: i64,
    /// How many calls the consumer buys.
    units: u64,
    windows: Windows,
    request: fn() -> Value,
    answer: fn() -> Value,
}

/// The provider that serves and is paid.
pub(super) const ADDER: Shop = Shop {
    name: "adder",
    title: "adder",
    description: "Adds two whole numbers.",
    path: "/add",
    price: 5_000_000,
    units: 3,
    windows: Windows { deliver_secs: 60, collect_secs: 20 },
    request: || json!({"a": 10, "b": 32}),
    answer: || json!({"sum": 42}),
};

/// The provider that is killed. Its windows are short, so that nobody waits long for the refund.
pub(super) const SHOUTER: Shop = Shop {
    name: "shouter",
    title: "shouter",
    description: "Says it in capitals.",
    path: "/upper",
    price: 20_000_000,
    units: 5,
    windows: Windows { deliver_secs: 3, collect_secs: 6 },
    request: || json!({"text": "help"}),
    answer: || json!({"text": "HELP"}),
};

impl Shop {
    const MAX_SUPPLY: u32 = 2;

    fn price(&self) -> Stroops {
        Stroops::new(self.price).expect("a price above zero")
    }

    fn amount(&self) -> Stroops {
        self.price().times(self.units).expect("a few calls")
    }

    /// What must be locked behind it: the network's least bond, or what its bindings may cost where that is more.
    fn bond(&self) -> Stroops {
        let exposure = self.price().times(u64::from(Self::MAX_SUPPLY)).expect("a few calls");
        exposure.max(Margins::DEVNET.min_bond)
    }

    fn setup(&self, bootstrap: &[String], program: &str) -> Setup {
        let start = toml::Value::from(vec![program, "demo-service", "--port", "{port}"]);
        let config = format!("[service.{}]\nstart = {start}\nhealth = \"/healthz\"\n", self.name);
        Setup { bootstrap: bootstrap.to_vec(), keys: true, config, ..Setup::default() }
    }

    fn record(&self) -> Result<NewService, DemoError> {
        // A made-up place: nothing fetches it.
        let commit = hex::encode(&keccak(&[self.name.as_bytes()])[..20]);
        let field = |e: tradepost_protocol::document::FieldError| DemoError::Script(e.to_string());
        Ok(NewService {
            service: None,
            title: self.title.to_owned(),
            repository: format!("https://example.org/{}", self.name).parse().map_err(field)?,
            commit: commit.parse().map_err(field)?,
            path: String::new().parse().map_err(field)?,
            interface_hash: hex::encode(keccak(&[self.path.as_bytes()])).parse().map_err(field)?,
        })
    }

    fn offering(&self, record: &ServiceView) -> NewOffering {
        let mut parameters = Map::new();
        parameters.insert("endpoints".to_owned(), json!([{"method": "POST", "path": self.path}]));
        NewOffering {
            template: "http-api".to_owned(),
            title: self.title.to_owned(),
            description: self.description.to_owned(),
            parameters,
            record: Some(record.service),
            recipient: None,
            price: Price { asset: Asset::Native, amount: self.price(), unit: Unit::Call },
            min_units: 1,
            max_units: 10,
            max_supply: Self::MAX_SUPPLY,
            windows: self.windows,
            escrow: vec![EscrowKind::Timed],
            arbitration: None,
            transports: None,
            life_secs: LIFE_SECS,
            service: Some(ServedBy::Configured(self.name.to_owned())),
        }
    }
}

/// The demo while it runs.
#[derive(Debug)]
pub(super) struct Script<'a> {
    cluster: &'a mut Cluster,
    narrator: &'a Narrator,
}

impl<'a> Script<'a> {
    pub(super) fn new(cluster: &'a mut Cluster, narrator: &'a Narrator) -> Self {
        Self { cluster, narrator }
    }

    /// Plays it to its end and returns the books, still open, and what became of the two trades.
    pub(super) async fn play(mut self) -> Result<(Books, Vec<TradeReport>), DemoError> {
        self.start_nodes().await?;
        let mut stage = self.stage()?;
        let ledger = self.cluster.ledger().await.map_err(|e| self.devnet_error(e.to_string()))?;
        stage.books = open_books(self.cluster, &ledger).await?;
        stage.fund().await?;
        let (adder, shouter) =
            tokio::try_join!(stage.publish(&stage.adder, &ADDER), stage.publish(&stage.shouter, &SHOUTER))?;
        stage.note_bond(&ADDER, &adder);
        stage.note_bond(&SHOUTER, &shouter);
        stage.met_through_bootstrap_alone().await?;
        let adder = stage.discover(&ADDER, adder.series).await?;
        let shouter = stage.discover(&SHOUTER, shouter.series).await?;
        let doomed = stage.bind(&SHOUTER, &shouter).await?;
        let good = stage.bind(&ADDER, &adder).await?;
        stage.active(&SHOUTER, &doomed).await?;
        stage.call(&SHOUTER, &doomed).await?;
        self.cluster.node_mut(SHOUTER.name)?.kill();
        stage.say(SHOUTER.name, "is killed (SIGKILL) while its service is bound");
        let (paid, refunded) = tokio::try_join!(stage.settles(&ADDER, &good), stage.is_refunded(&SHOUTER, &doomed))?;
        stage.note_trade(&ADDER, &paid);
        stage.note_trade(&SHOUTER, &refunded);
        let trades = vec![stage.report(&ADDER, ADDER.units, &paid)?, stage.report(&SHOUTER, 1, &refunded)?];
        Ok((stage.books, trades))
    }

    /// The bootstrap node first: the others are told its address and no other.
    async fn start_nodes(&mut self) -> Result<(), DemoError> {
        let narrator = self.narrator;
        narrator.say("devnet", &format!("a ledger of its own at {}", self.cluster.rpc_url()));
        self.cluster.add(BOOTSTRAP, &Setup::default()).await?;
        let bootstrap = self.cluster.run(BOOTSTRAP).await?.running()?.p2p.clone();
        narrator.say(BOOTSTRAP, &format!("listens at {}, without any key", bootstrap.join(", ")));
        let program = self
            .cluster
            .program()
            .to_str()
            .ok_or_else(|| DemoError::Script("the program's path isn't UTF-8".into()))?;
        let nodes = [
            (ADDER.name, ADDER.setup(&bootstrap, program)),
            (SHOUTER.name, SHOUTER.setup(&bootstrap, program)),
            (CONSUMER, Setup { bootstrap: bootstrap.clone(), keys: true, ..Setup::default() }),
        ];
        self.cluster.add_all(&nodes).await?;
        self.cluster.run_all(&[ADDER.name, SHOUTER.name, CONSUMER]).await?;
        narrator
            .say("all", "two providers and a consumer run, each with fresh keys; all they know is the bootstrap node");
        Ok(())
    }

    fn stage(&self) -> Result<Stage<'a>, DemoError> {
        let actor = |name: &str| Actor::of(self.cluster.node(name)?);
        let peers = [ADDER.name, SHOUTER.name, BOOTSTRAP].iter().map(|name| {
            let run = self.cluster.node(name)?.running()?;
            Ok((run.peer_id.clone(), (*name).to_owned()))
        });
        Ok(Stage {
            narrator: self.narrator,
            books: Books::default(),
            peers: peers.collect::<Result<_, DemoError>>()?,
            adder: actor(ADDER.name)?,
            shouter: actor(SHOUTER.name)?,
            consumer: actor(CONSUMER)?,
        })
    }

    fn devnet_error(&self, what: String) -> ClusterError {
        ClusterError::new("devnet", what).with_log(self.cluster.devnet_log())
    }
}

/// The actors on it, and the books.
struct Stage<'a> {
    narrator: &'a Narrator,
    books: Books,
    /// Names of the nodes by their peer ids.
    peers: BTreeMap<String, String>,
    adder: Actor,
    shouter: Actor,
    consumer: Actor,
}

impl Stage<'_> {
    fn say(&self, who: &str, what: &str) {
        self.narrator.say(who, what);
    }

    fn provider(&self, shop: &Shop) -> &Actor {
        if shop.name == ADDER.name { &self.adder } else { &self.shouter }
    }

    /// Money from the friendbot for all who need some.
    async fn fund(&mut self) -> Result<(), DemoError> {
        let given = fund(&[&self.adder, &self.shouter, &self.consumer], &mut self.books).await?;
        self.say(FRIENDBOT, &format!("gave {} XLM to each of the three", given.coins()));
        Ok(())
    }

    async fn publish(&self, provider: &Actor, shop: &Shop) -> Result<Published, DemoError> {
        let record: ServiceView = provider.post("/v1/services", &shop.record()?).await?;
        self.say(shop.name, &format!("registered its service {}", record.service));
        let published: Published = provider.post("/v1/offerings", &shop.offering(&record)).await?;
        let bond = shop.bond().coins();
        self.say(shop.name, &format!("locked a bond of {bond} XLM, then published offering {}", published.series));
        let own = |list: &OwnOfferingList| list.items.iter().find(|o| o.series == published.series).cloned();
        provider.until("its own offering is listed", MESSAGES, "/v1/offerings/own", own).await?;
        Ok(published)
    }

    fn note_bond(&mut self, shop: &Shop, published: &Published) {
        self.books.transaction(published.transaction, format!("bond of {}", shop.name));
        let what = format!("bond of {}", shop.name);
        self.books.locked(shop.name, what, published.bond, shop.bond(), bond::RESERVES);
    }

    /// That the consumer has met others though it was told of the bootstrap node only.
    async fn met_through_bootstrap_alone(&self) -> Result<(), DemoError> {
        let met = |list: &PeerList| list.items.iter().any(|peer| peer.met).then(|| list.items.clone());
        let peers = self.consumer.until("it has met a peer", MESSAGES, "/v1/peers", met).await?;
        let names = peers.iter().filter_map(|peer| self.peers.get(&peer.peer).map(String::as_str));
        self.say(
            CONSUMER,
            &format!("was told of the bootstrap node alone; connected with: {}", names.collect::<Vec<_>>().join(", ")),
        );
        Ok(())
    }

    /// Finds a series among what strangers offer, and looks at what was checked about it.
    async fn discover(&self, shop: &Shop, series: SeriesId) -> Result<OfferingView, DemoError> {
        let live = |list: &OfferingList| list.items.iter().find(|o| o.series == series && o.live && o.bonded).cloned();
        let found = self.consumer.until("the offering is live and bonded", LEDGERS, "/v1/offerings", live).await?;
        let OfferingView { title, account, price, .. } = &found;
        let price = price.amount.coins();
        self.say(CONSUMER, &format!("found \"{title}\" by {account} at {price} XLM a call"));
        let service = found.service.as_ref().ok_or_else(|| self.consumer.error("the offering names no service"))?;
        let record: ServiceView = self.consumer.get(&format!("/v1/services/{}", service.service)).await?;
        if record.commit != service.commit {
            return Err(self.consumer.error("the offering isn't for its service's current version").into());
        }
        let commit = record.commit.to_string();
        let commit = commit.get(..12).unwrap_or(&commit);
        self.say(CONSUMER, &format!("verified: signature, template, service record at {commit}, bond on the ledger"));
        if found.price.amount != shop.price() {
            return Err(self.consumer.error("the offering has another price than was published").into());
        }
        Ok(found)
    }

    async fn bind(&self, shop: &Shop, offering: &OfferingView) -> Result<String, DemoError> {
        let (offering, units) = (offering.id.to_string(), shop.units);
        let new = NewBinding { offering, units, ..NewBinding::default() };
        let bound: Bound = self.consumer.post("/v1/bindings", &new).await?;
        let binding = bound.binding.to_string();
        let amount = shop.amount().coins();
        self.say(CONSUMER, &format!("bound {} calls of \"{}\" for {amount} XLM: {binding}", shop.units, shop.title));
        let view: BindingView = self.consumer.get(&format!("/v1/bindings/{binding}")).await?;
        if let Some(escrow) = &view.escrow {
            self.say("", &format!("escrow \"{}\" protects {}", escrow.kind, escrow.protects));
        }
        Ok(binding)
    }

    /// Waits until the service runs.
    async fn active(&self, shop: &Shop, binding: &str) -> Result<(), DemoError> {
        self.until(binding, "its service runs", LEDGERS, |view| view.phase == "active").await?;
        self.say(CONSUMER, &format!("the money for \"{}\" is locked, its service runs", shop.title));
        Ok(())
    }

    /// Uses one unit.
    async fn call(&self, shop: &Shop, binding: &str) -> Result<(), DemoError> {
        let (request, expected) = ((shop.request)(), (shop.answer)());
        let answer: Value = self.consumer.call(binding, shop.path, &request).await?;
        if answer != expected {
            return Err(self.consumer.error(format!("{} answered {answer}, expected {expected}", shop.path)).into());
        }
        self.say(CONSUMER, &format!("POST {} {request} -> {answer}", shop.path));
        Ok(())
    }

    /// Uses all units, after which the provider collects.
    async fn settles(&self, shop: &Shop, binding: &str) -> Result<BindingView, DemoError> {
        self.active(shop, binding).await?;
        for _ in 0..shop.units {
            self.call(shop, binding).await?;
        }
        self.say(CONSUMER, &format!("all {} calls are used", shop.units));
        let path = format!("/v1/bindings/{binding}");
        let collected =
            |view: &BindingView| (view.is_final && view.transactions.closing.is_some()).then(|| view.clone());
        let collected = self.provider(shop).until("it has collected", LEDGERS, &path, collected).await?;
        let seen = self.until(binding, "it sees the provider paid", LEDGERS, |view| view.is_final).await?;
        self.outcome(&seen, "paid")?;
        self.outcome(&collected, "paid")?;
        self.say(shop.name, &format!("collected {} XLM", shop.amount().coins()));
        Ok(collected)
    }

    /// Does nothing: the consumer's node alone takes the money back.
    async fn is_refunded(&self, shop: &Shop, binding: &str) -> Result<BindingView, DemoError> {
        let gone = self.until(binding, "it misses the provider", LEDGERS, |view| view.ended.is_some()).await?;
        let deadlines = gone.deadlines.as_ref().and_then(|d| d.refund_at.clone());
        let refund_at = deadlines.ok_or_else(|| self.consumer.error("the binding has no T"))?;
        let ended = gone.ended.as_deref().unwrap_or_default();
        self.say(
            CONSUMER,
            &format!("\"{}\": {ended}; the money comes back from T = {} on", shop.title, refund_at.text),
        );
        let windows = Margins::DEVNET.fund_window + Margins::DEVNET.start_window + shop.windows.total();
        let refunded = self.until(binding, "the money is back", windows + REFUND, |view| view.is_final).await?;
        self.outcome(&refunded, "refunded")?;
        self.say(CONSUMER, &format!("took {} XLM back by itself", shop.amount().coins()));
        Ok(refunded)
    }

    async fn until(
        &self,
        binding: &str,
        what: &str,
        patience: Duration,
        is: impl Fn(&BindingView) -> bool,
    ) -> Result<BindingView, DemoError> {
        let path = format!("/v1/bindings/{binding}");
        Ok(self.consumer.until(what, patience, &path, |view: &BindingView| is(view).then(|| view.clone())).await?)
    }

    fn outcome(&self, view: &BindingView, expected: &str) -> Result<(), DemoError> {
        match view.escrow.as_ref().map(|escrow| escrow.state.as_str()) {
            Some(state) if state == expected => Ok(()),
            state => Err(self.consumer.error(format!("the escrow is {state:?}, expected {expected}: {view:?}")).into()),
        }
    }

    fn note_trade(&mut self, shop: &Shop, view: &BindingView) {
        let name = shop.name;
        let transactions = [(view.transactions.funding, "escrow for"), (view.transactions.closing, "close of")];
        for (hash, what) in transactions {
            if let Some(hash) = hash {
                self.books.transaction(hash, format!("{what} {name}"));
            }
        }
        if let Some(balance) = view.escrow.as_ref().and_then(|escrow| escrow.balance) {
            self.books.closed(format!("escrow of {name}"), balance);
        }
        if view.escrow.as_ref().is_some_and(|escrow| escrow.state == "paid") {
            self.books.paid(CONSUMER, name, shop.amount());
        }
    }

    fn report(&self, shop: &Shop, calls: u64, view: &BindingView) -> Result<TradeReport, DemoError> {
        let what = || self.consumer.error(format!("the binding with {} has no id, escrow or amount", shop.name));
        let paid = view.escrow.as_ref().is_some_and(|escrow| escrow.state == "paid");
        let shares = Split::all_to(if paid { Side::Provider } else { Side::Consumer }, shop.amount());
        let report = TradeReport::of((shop.title, shop.name), calls, view, Shares::between(shares));
        report.ok_or_else(|| what().into())
    }
}

/// Books of the ledger's own accounts, to which those of the nodes are added.
pub(super) async fn open_books(cluster: &Cluster, ledger: &RpcLedger) -> Result<Books, DemoError> {
    let accounts = cluster.ledger_accounts().await?;
    Ok(Books::open(ledger, &[(ROOT, accounts.root), (FRIENDBOT, accounts.friendbot)]).await?)
}

/// Money from the friendbot for each of these, in the books; returns how much each got.
pub(super) async fn fund(actors: &[&Actor], books: &mut Books) -> Result<Stroops, DemoError> {
    let nothing = json!({});
    let asked = actors.iter().map(|actor| actor.post::<Funded>("/v1/wallet/fund", &nothing));
    let funded = futures::future::try_join_all(asked).await?;
    let given = tradepost_devnet::Config::default().friendbot_amount;
    let given = Stroops::new(given).ok_or_else(|| DemoError::Script("the friendbot gives nothing".to_owned()))?;
    for (actor, funded) in actors.iter().zip(funded) {
        let there = |wallet: &WalletView| (wallet.balance == given).then_some(());
        actor.until("the friendbot's money is seen", LEDGERS, "/v1/wallet", there).await?;
        books.newcomer(actor.name(), funded.account, FRIENDBOT, given);
        let hash = funded.transaction.ok_or_else(|| actor.error("the friendbot named no transaction"))?;
        books.transaction(hash, "friendbot");
    }
    Ok(given)
}
