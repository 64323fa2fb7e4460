//! Four trades of 20 XLM whose money is disputed, step by step, and what that leads to on the books.
//!
//! | Case | What happens | Who gets it |
//! |---|---|---|
//! | idle | a live provider takes the money and does nothing | the buyer, less the arbiter's fee |
//! | ghost | the provider delivers, and the buyer falls silent | the provider, less the arbiter's fee |
//! | split | three of four calls were answered | both, 15 to 5, less the arbiter's fee |
//! | asleep | the buyer asks an arbiter that stays silent | the buyer, all of it: T favours it |

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::{Price, Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::dispute::Split;
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::bond;
use tradepost_protocol::document::{Arbitration, Windows};
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::limits::Margins;
use tradepost_protocol::message::MessageId;

use super::DemoError;
use super::actor::Actor;
use super::books::{Books, Findings};
use super::cluster::{Cluster, Setup};
use super::narrator::Narrator;
use super::report::{Shares, TradeReport};
use super::script::{self, BOOTSTRAP, FRIENDBOT, LEDGERS, MESSAGES};
use crate::api::request::{NewAward, NewBinding, NewDispute, NewEvidence, NewOffering, ServedBy};
use crate::api::view::{
    BindingView, Bound, DisputeDetails, DisputeList, DisputeView, Done, OfferingList, Published, Shown, StatusView,
};

/// Decides three of the four.
const ARBITER: &str = "arbiter";
/// Is asked, and stays silent.
const SLEEPER: &str = "sleeper";
/// Delivers what it sells.
const ADDER: &str = "adder";
/// Takes money and does nothing.
const IDLER: &str = "idler";
/// Buys three of the four.
const CONSUMER: &str = "consumer";
/// Buys one, and falls silent.
const GHOST: &str = "ghost";

/// The trades' names, as the table above has them.
const IDLE: &str = "idle";
const SILENT: &str = "ghost";
const SPLIT: &str = "split";
const ASLEEP: &str = "asleep";

/// A call of whatever is sold.
const CALL: &str = "/add";
/// Price of a call.
const PRICE: Stroops = Stroops::whole(5);
/// Calls of a package.
const UNITS: u64 = 4;
/// What a package costs, and each escrow holds.
const AMOUNT: Stroops = Stroops::whole(20);
/// What an arbiter gets for an award.
const FEE: Stroops = Stroops::whole(1);
/// What the buyer whose escrow is divided leaves the provider.
const CONCEDED: Stroops = Stroops::whole(10);
/// The provider's share of the escrow that is divided.
const DIVIDED: Stroops = Stroops::whole(15);
/// How many bindings an offering holds at once.
const MAX_SUPPLY: u32 = 2;
/// How long the parts of a trade take; short, for T is waited for.
const WINDOWS: Windows = Windows { deliver_secs: 25, collect_secs: 12 };
const DISPUTE_SECS: u64 = 15;
const AWARD_SECS: u64 = 20;
const SETTLE_SECS: u64 = 15;
/// How long the offerings stand, seconds.
const LIFE_SECS: u64 = 3_600;
/// From the agreement to the end of everything, on a busy machine.
const TO_THE_END: Duration = Duration::from_secs(240);
/// How often the books are tried.
const TRIED_EVERY: Duration = Duration::from_secs(1);

/// The scene while it runs.
#[derive(Debug)]
pub(super) struct Disputes<'a> {
    cluster: &'a mut Cluster,
    narrator: &'a Narrator,
}

/// The arbiters' accounts.
#[derive(Debug, Clone, Copy)]
struct Arbiters {
    awake: AccountId,
    asleep: AccountId,
}

/// The four bindings.
#[derive(Debug)]
struct Four<T> {
    idle: T,
    ghost: T,
    split: T,
    asleep: T,
}

impl<'a> Disputes<'a> {
    pub(super) fn new(cluster: &'a mut Cluster, narrator: &'a Narrator) -> Self {
        Self { cluster, narrator }
    }

    /// Plays it to its end and returns the closed books, and what became of the four trades.
    pub(super) async fn play(mut self) -> Result<(Findings, Vec<TradeReport>), DemoError> {
        let arbiters = self.start_nodes().await?;
        let ledger = self.cluster.ledger().await?;
        let mut stage = self.stage()?;
        stage.books = script::open_books(self.cluster, &ledger).await?;
        stage.fund().await?;
        let offered = stage.publish(arbiters).await?;
        let bound = stage.bind_all(&offered).await?;
        stage.call(&stage.ghost, (SILENT, &bound.ghost), 2).await?;
        stage.call(&stage.consumer, (SPLIT, &bound.split), 3).await?;
        self.cluster.node_mut(GHOST)?.kill();
        stage.say(GHOST, "has got what it wanted, and isn't heard of again (SIGKILL)");
        let (idle, ghost, split, asleep) = tokio::try_join!(
            stage.nothing_for_nothing(&bound.idle),
            stage.silence_does_not_pay(&bound.ghost),
            stage.divided(&bound.split),
            stage.silent_arbiter(&bound.asleep)
        )?;
        self.cluster.run(GHOST).await?;
        stage.say(GHOST, "runs again after all, for the reserve that its escrow had locked is its own again from T on");
        let [idle_got, ghost_got, split_got] = [Stroops::ZERO, AMOUNT, DIVIDED].map(awarded);
        let trades = [
            (IDLE, IDLER, 0, idle, idle_got?),
            (SILENT, ADDER, 2, ghost, ghost_got?),
            (SPLIT, ADDER, 3, split, split_got?),
            (ASLEEP, IDLER, 0, asleep, Shares::between(Split::all_to(Side::Consumer, AMOUNT))),
        ];
        let mut reports = Vec::new();
        for (name, provider, calls, view, shares) in &trades {
            reports.push(stage.report((name, provider), *calls, view, *shares)?);
            stage.note_outcome(if *name == SILENT { GHOST } else { CONSUMER }, provider, name, view, shares);
        }
        let findings = stage.settled_books(&ledger).await?;
        if findings.off_by_stroops.0 == 0 {
            stage.say("all", "every share, fee and reserve is where it belongs");
        }
        Ok((findings, reports))
    }

    /// The bootstrap node and the arbiters first, for the others' configurations name them.
    async fn start_nodes(&mut self) -> Result<Arbiters, DemoError> {
        self.narrator.say("devnet", &format!("a ledger of its own at {}", self.cluster.rpc_url()));
        self.cluster.add(BOOTSTRAP, &Setup::default()).await?;
        let bootstrap = self.cluster.run(BOOTSTRAP).await?.running()?.p2p.clone();
        let plain = Setup { bootstrap, keys: true, ..Setup::default() };
        self.cluster.add_all(&[(ARBITER, plain.clone()), (SLEEPER, plain.clone())]).await?;
        self.cluster.run_all(&[ARBITER, SLEEPER]).await?;
        let arbiters = Arbiters { awake: self.account(ARBITER).await?, asleep: self.account(SLEEPER).await? };
        let program = self.cluster.program().to_str();
        let program = program.ok_or_else(|| DemoError::Script("the program's path isn't UTF-8".into()))?;
        let listed = format!("arbiters = [\"{}\", \"{}\"]\n", arbiters.awake, arbiters.asleep);
        let service = |name: &str, idle: &[&str]| {
            let start = toml::Value::from([&[program, "demo-service", "--port", "{port}"], idle].concat());
            format!("{listed}[service.{name}]\nstart = {start}\nhealth = \"/healthz\"\n")
        };
        let with = |config: String| Setup { config, ..plain.clone() };
        let nodes = [
            (ADDER, with(service(ADDER, &[]))),
            (IDLER, with(service(IDLER, &["--idle"]))),
            (CONSUMER, with(listed.clone())),
            (GHOST, with(listed.clone())),
        ];
        self.cluster.add_all(&nodes).await?;
        self.cluster.run_all(&[ADDER, IDLER, CONSUMER, GHOST]).await?;
        self.narrator.say("all", "two arbiters, two providers and two buyers run; all of them list both arbiters");
        Ok(arbiters)
    }

    async fn account(&self, name: &str) -> Result<AccountId, DemoError> {
        let actor = Actor::of(self.cluster.node(name)?)?;
        let status: StatusView = actor.get("/v1/status").await?;
        Ok(status.keys.account.ok_or_else(|| actor.error("it has no account"))?)
    }

    fn stage(&self) -> Result<Stage<'a>, DemoError> {
        let actor = |name: &str| Actor::of(self.cluster.node(name)?);
        Ok(Stage {
            narrator: self.narrator,
            books: Books::default(),
            arbiter: actor(ARBITER)?,
            sleeper: actor(SLEEPER)?,
            adder: actor(ADDER)?,
            idler: actor(IDLER)?,
            consumer: actor(CONSUMER)?,
            ghost: actor(GHOST)?,
        })
    }
}

/// The actors on it, and the books.
struct Stage<'a> {
    narrator: &'a Narrator,
    books: Books,
    arbiter: Actor,
    sleeper: Actor,
    adder: Actor,
    idler: Actor,
    consumer: Actor,
    ghost: Actor,
}

impl Stage<'_> {
    fn say(&self, who: &str, what: &str) {
        self.narrator.say(who, what);
    }

    /// Money from the friendbot for all.
    async fn fund(&mut self) -> Result<(), DemoError> {
        let all = [&self.arbiter, &self.sleeper, &self.adder, &self.idler, &self.consumer, &self.ghost];
        let given = script::fund(&all, &mut self.books).await?;
        self.say(FRIENDBOT, &format!("gave {} XLM to each of the six", given.coins()));
        Ok(())
    }

    /// What arbiters and providers offer; where two trades are with one provider, each has an offering of its own.
    async fn publish(&mut self, arbiters: Arbiters) -> Result<Four<MessageId>, DemoError> {
        let (sold, deciding) = (PRICE.times(u64::from(MAX_SUPPLY)).unwrap_or_default(), FEE);
        let decides = deciding_offering(FEE);
        let (awake, asleep) = tokio::try_join!(publish(&self.arbiter, &decides), publish(&self.sleeper, &decides))?;
        self.note_bond(ARBITER, ARBITER, &awake, deciding);
        self.note_bond(SLEEPER, SLEEPER, &asleep, deciding);
        self.say(ARBITER, &format!("offers to decide disputes for {} XLM an award", FEE.coins()));
        self.say(SLEEPER, "offers the same, at the same price");
        let idle = publish(&self.idler, &sold_offering(IDLER, arbiters.awake)).await?;
        let slept = publish(&self.idler, &sold_offering(IDLER, arbiters.asleep)).await?;
        let added = publish(&self.adder, &sold_offering(ADDER, arbiters.awake)).await?;
        self.note_bond(IDLER, "idler, first", &idle, sold);
        self.note_bond(IDLER, "idler, second", &slept, sold);
        self.note_bond(ADDER, ADDER, &added, sold);
        let price = PRICE.coins();
        self.say(
            IDLER,
            &format!("sells calls at {price} XLM under `arbitrated`, by two offerings: one lists the arbiter, one the sleeper"),
        );
        self.say(ADDER, &format!("sells calls at {price} XLM under `arbitrated`; its offering lists the arbiter"));
        let wanted = [&awake, &asleep, &idle, &slept, &added].map(|published| published.series);
        for buyer in [&self.consumer, &self.ghost] {
            let live = |list: &OfferingList| {
                let seen = |series| list.items.iter().any(|o| o.series == series && o.live && o.bonded);
                wanted.into_iter().all(seen).then_some(())
            };
            buyer.until("all offerings are live and bonded", LEDGERS, "/v1/offerings", live).await?;
        }
        let (idle, added, slept) = (idle.offering, added.offering, slept.offering);
        Ok(Four { idle, ghost: added, split: added, asleep: slept })
    }

    fn note_bond(&mut self, name: &str, what: &str, published: &Published, amount: Stroops) {
        self.books.transaction(published.transaction, format!("bond of {what}"));
        let amount = amount.max(Margins::DEVNET.min_bond);
        self.books.locked(name, format!("bond of {what}"), published.bond, amount, bond::RESERVES);
    }

    /// All four, one after the other: a provider agrees to the next one of a buyer once the last is funded.
    async fn bind_all(&self, offered: &Four<MessageId>) -> Result<Four<String>, DemoError> {
        let bound = Four {
            idle: self.bind(&self.consumer, offered.idle).await?,
            ghost: self.bind(&self.ghost, offered.ghost).await?,
            split: self.bind(&self.consumer, offered.split).await?,
            asleep: self.bind(&self.consumer, offered.asleep).await?,
        };
        self.say("all", &format!("four packages of {UNITS} calls are bound, {} XLM locked for each:", AMOUNT.coins()));
        self.say("", "\"idle\", of the consumer with the idler; if they don't agree, the arbiter decides");
        self.say("", "\"ghost\", of the ghost with the adder; if they don't agree, the arbiter decides");
        self.say("", "\"split\", of the consumer with the adder; if they don't agree, the arbiter decides");
        self.say("", "\"asleep\", of the consumer with the idler; if they don't agree, the sleeper decides");
        Ok(bound)
    }

    async fn bind(&self, buyer: &Actor, offering: MessageId) -> Result<String, DemoError> {
        let escrow = Some(EscrowKind::Arbitrated);
        let new = NewBinding { offering: offering.to_string(), units: UNITS, escrow, ..NewBinding::default() };
        let bound: Bound = buyer.post("/v1/bindings", &new).await?;
        let runs = |view: &BindingView| (view.phase == "active").then_some(());
        buyer.until("its service runs", LEDGERS, &format!("/v1/bindings/{}", bound.binding), runs).await?;
        Ok(bound.binding.to_string())
    }

    /// So many calls that are answered.
    async fn call(&self, buyer: &Actor, (trade, binding): (&str, &str), calls: u64) -> Result<(), DemoError> {
        let (asked, expected) = (json!({"a": 10, "b": 32}), json!({"sum": 42}));
        for _ in 0..calls {
            let answer: Value = buyer.call(binding, CALL, &asked).await?;
            if answer != expected {
                return Err(buyer.error(format!("{CALL} answered {answer}, expected {expected}")).into());
            }
        }
        self.say(buyer.name(), &format!("\"{trade}\": POST {CALL} {asked} -> {expected}, {calls} of {UNITS} times"));
        Ok(())
    }

    /// A provider that is there and does nothing gets nothing.
    async fn nothing_for_nothing(&self, binding: &str) -> Result<BindingView, DemoError> {
        self.gets_no_answer((IDLE, binding)).await?;
        self.open((IDLE, binding), ARBITER, None, "Not one call was answered.").await?;
        self.award((IDLE, binding), Stroops::ZERO, "Nothing was delivered.").await?;
        let view = self.ends(&self.consumer, binding, "refunded").await?;
        self.say(IDLER, &format!("\"idle\": {}", view.note.as_deref().unwrap_or_default()));
        let (back, fee) = (awarded(Stroops::ZERO)?.consumer.coins(), FEE.coins());
        self.say(
            CONSUMER,
            &format!("\"idle\": has {back} XLM back, the arbiter has its {fee} XLM, and the idler gets nothing"),
        );
        Ok(view)
    }

    /// A call to the idler, whose service is there and doesn't answer.
    async fn gets_no_answer(&self, (trade, binding): (&str, &str)) -> Result<(), DemoError> {
        if self.consumer.call::<Value>(binding, CALL, &json!({"a": 1, "b": 1})).await.is_ok() {
            return Err(self.idler.error("it answered, though it is idle").into());
        }
        let what = "gets no answer from the idler, whose node is there and waits for its money";
        self.say(CONSUMER, &format!("\"{trade}\": {what}"));
        Ok(())
    }

    /// A buyer that falls silent after delivery loses: the provider's node asks the arbiters by itself.
    async fn silence_does_not_pay(&self, binding: &str) -> Result<BindingView, DemoError> {
        let case = self.case(&self.arbiter, binding).await?;
        if case.dispute.opened_by.as_deref() != Some("provider") || case.evidence.is_empty() {
            return Err(self
                .arbiter
                .error(format!("the provider's node should have asked with evidence: {case:?}"))
                .into());
        }
        self.say(
            ADDER,
            "\"ghost\": misses its buyer; near dispute_by its node asks the arbiter by itself, with what it saw",
        );
        self.award((SILENT, binding), AMOUNT, "The provider's node shows what it saw; the buyer says nothing.").await?;
        let view = self.ends(&self.adder, binding, "paid").await?;
        let (paid, fee) = (awarded(AMOUNT)?.provider.coins(), FEE.coins());
        self.say(ADDER, &format!("\"ghost\": is paid {paid} XLM, and the arbiter has its {fee} XLM"));
        Ok(view)
    }

    /// Three of four calls were answered: 15 to 5.
    async fn divided(&self, binding: &str) -> Result<BindingView, DemoError> {
        self.open((SPLIT, binding), ARBITER, Some(CONCEDED), "The fourth call is missing.").await?;
        let shown = NewEvidence { text: "Three of four calls were answered.".to_owned(), files: Vec::new() };
        let path = format!("/v1/disputes/{binding}");
        let known = |view: &DisputeDetails| view.dispute.opened_by.is_some().then_some(());
        self.adder.until("it hears of the dispute", MESSAGES, &path, known).await?;
        let _: Shown = self.adder.post(&format!("{path}/evidence"), &shown).await?;
        self.say(ADDER, &format!("\"split\": shows the arbiter: {}", shown.text));
        self.award((SPLIT, binding), DIVIDED, "Three of four.").await?;
        let ended = self.ends(&self.adder, binding, "split").await?;
        self.say(ADDER, &format!("\"split\": {}", ended.note.unwrap_or_default()));
        let view = self.ends(&self.consumer, binding, "split").await?;
        let Shares { provider, consumer, arbiter } = awarded(DIVIDED)?;
        let (provider, consumer, fee) = (provider.coins(), consumer.coins(), arbiter.coins());
        self.say(
            "all",
            &format!("\"split\": {provider} XLM for the adder, {consumer} for the consumer, and {fee} for the arbiter"),
        );
        Ok(view)
    }

    /// An arbiter that stays silent: from T on the money is the consumer's.
    async fn silent_arbiter(&self, binding: &str) -> Result<BindingView, DemoError> {
        self.gets_no_answer((ASLEEP, binding)).await?;
        self.open((ASLEEP, binding), SLEEPER, None, "Not one call was answered here, either.").await?;
        self.case(&self.sleeper, binding).await?;
        self.say(SLEEPER, "\"asleep\": has the case in its inbox, and says nothing");
        let view = self.ends(&self.consumer, binding, "refunded").await?;
        let all = AMOUNT.coins();
        self.say(
            CONSUMER,
            &format!("\"asleep\": has taken all {all} XLM back at T: silence means the consumer, and no fee is paid"),
        );
        Ok(view)
    }

    async fn open(
        &self,
        (trade, binding): (&str, &str),
        whom: &str,
        to_provider: Option<Stroops>,
        text: &str,
    ) -> Result<(), DemoError> {
        let new = NewDispute { to_provider, text: text.to_owned() };
        let _: Done = self.consumer.post(&format!("/v1/disputes/{binding}/open"), &new).await?;
        let wanted = AMOUNT.minus(to_provider.unwrap_or_default()).unwrap_or_default().coins();
        self.say(CONSUMER, &format!("\"{trade}\": asks the {whom} for {wanted} of {} XLM: {text}", AMOUNT.coins()));
        Ok(())
    }

    /// A case as its arbiter sees it, once it is there with what the opening side showed.
    async fn case(&self, arbiter: &Actor, binding: &str) -> Result<DisputeDetails, DemoError> {
        let is =
            |view: &DisputeView| view.binding.to_string() == binding && view.shown.provider + view.shown.consumer > 0;
        let there = |list: &DisputeList| list.items.iter().any(is).then_some(());
        arbiter.until("it has the case and its evidence", TO_THE_END, "/v1/disputes", there).await?;
        Ok(arbiter.get(&format!("/v1/disputes/{binding}")).await?)
    }

    async fn award(&self, (trade, binding): (&str, &str), to_provider: Stroops, why: &str) -> Result<(), DemoError> {
        self.case(&self.arbiter, binding).await?;
        let new = NewAward { to_provider, note: why.to_owned() };
        let _: Done = self.arbiter.post(&format!("/v1/disputes/{binding}/award"), &new).await?;
        let to_consumer = AMOUNT.minus(to_provider).unwrap_or_default();
        let division = match (to_provider.is_zero(), to_consumer.is_zero()) {
            (true, _) => format!("all {} XLM to the consumer", AMOUNT.coins()),
            (_, true) => format!("all {} XLM to the provider", AMOUNT.coins()),
            _ => format!("{} XLM to the provider and {} to the consumer", to_provider.coins(), to_consumer.coins()),
        };
        self.say(ARBITER, &format!("\"{trade}\": awards {division}, less its fee: {why}"));
        Ok(())
    }

    /// Waits until a side sees the binding settled, and how.
    async fn ends(&self, side: &Actor, binding: &str, expected: &str) -> Result<BindingView, DemoError> {
        // Who ended the session may have to be told first.
        let over = |view: &BindingView| (view.is_final && view.ended.is_some()).then(|| view.clone());
        let view = side.until("it is settled", TO_THE_END, &format!("/v1/bindings/{binding}"), over).await?;
        match view.escrow.as_ref().map(|escrow| escrow.state.as_str()) {
            Some(state) if state == expected => Ok(view),
            state => Err(side.error(format!("the escrow is {state:?}, expected {expected}: {view:?}")).into()),
        }
    }

    /// What an outcome does to everyone's money.
    fn note_outcome(&mut self, buyer: &str, provider: &str, trade: &str, view: &BindingView, shares: &Shares) {
        self.books.paid(buyer, provider, shares.provider);
        self.books.paid(buyer, ARBITER, shares.arbiter);
        if let Some(balance) = view.escrow.as_ref().and_then(|escrow| escrow.balance) {
            self.books.escrow(trade, balance);
        }
    }

    /// The books, once everything is where it belongs: shares and fees claimed, controllers back and merged.
    async fn settled_books(&mut self, ledger: &impl tradepost_ledger::Ledger) -> Result<Findings, DemoError> {
        let deadline = Instant::now() + TO_THE_END;
        loop {
            self.books.gather(ledger).await?;
            let findings = self.books.close(ledger).await?;
            if findings.off_by_stroops.0 == 0 || Instant::now() >= deadline {
                return Ok(findings);
            }
            tokio::time::sleep(TRIED_EVERY).await;
        }
    }

    fn report(
        &self,
        names: (&str, &str),
        calls: u64,
        view: &BindingView,
        shares: Shares,
    ) -> Result<TradeReport, DemoError> {
        TradeReport::of(names, calls, view, shares).ok_or_else(|| self.consumer.error(format!("{view:?}")).into())
    }
}

/// Who gets what by an award, the arbiter's fee taken off.
fn awarded(to_provider: Stroops) -> Result<Shares, DemoError> {
    let left = Split::of(AMOUNT, to_provider).and_then(|split| split.after(FEE));
    let left = left.ok_or_else(|| DemoError::Script("the fee takes up all".to_owned()))?;
    Ok(Shares { arbiter: FEE, ..Shares::between(left) })
}

async fn publish(by: &Actor, new: &NewOffering) -> Result<Published, DemoError> {
    Ok(by.post("/v1/offerings", new).await?)
}

/// What a provider sells, with this arbiter.
fn sold_offering(name: &str, arbiter: AccountId) -> NewOffering {
    let endpoints = json!([{"method": "POST", "path": CALL}]);
    NewOffering {
        title: name.to_owned(),
        parameters: Map::from_iter([("endpoints".to_owned(), endpoints)]),
        price: Price { asset: Asset::Native, amount: PRICE, unit: Unit::Call },
        max_units: 10,
        max_supply: MAX_SUPPLY,
        escrow: vec![EscrowKind::Arbitrated],
        arbitration: Some(Arbitration {
            arbiters: vec![arbiter],
            dispute_secs: DISPUTE_SECS,
            award_secs: AWARD_SECS,
            settle_secs: SETTLE_SECS,
        }),
        service: Some(ServedBy::Configured(name.to_owned())),
        template: "http-api".to_owned(),
        ..deciding_offering(FEE)
    }
}

/// What an arbiter offers, for so much an award.
pub fn deciding_offering(fee: Stroops) -> NewOffering {
    let parameters = json!({"award_secs": 10, "policy": "What was agreed, and what both sides can show."});
    NewOffering {
        template: "arbiter".to_owned(),
        title: "arbiter".to_owned(),
        description: String::new(),
        parameters: parameters.as_object().cloned().unwrap_or_default(),
        record: None,
        recipient: None,
        price: Price { asset: Asset::Native, amount: fee, unit: Unit::Job },
        min_units: 1,
        max_units: 1,
        max_supply: 1,
        windows: WINDOWS,
        escrow: vec![EscrowKind::Timed],
        arbitration: None,
        transports: None,
        life_secs: LIFE_SECS,
        service: None,
    }
}
