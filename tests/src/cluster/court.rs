//! A market whose trades are `arbitrated`, with nodes that decide.

use serde_json::{Map, json};
use tradepost::api::request::{NewAward, NewDispute, NewOffering};
use tradepost::api::view::{DisputeList, Done, OfferingList, Published};
use tradepost::demo::actor::Actor;
use tradepost::demo::cluster::{ClusterError, Setup};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::{Price, Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::document::{Arbitration, Windows};
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::message::SeriesId;

use super::Nodes;
use super::market::{Market, Opening, SOON, Terms, bootstrap, funded, told};

/// What each arbiter wants for an award.
pub const FEE: Stroops = Stroops::whole(1);

/// How long the parts of a dispute take.
#[derive(Debug, Clone, Copy)]
pub struct Deciding {
    /// In which a side may ask the arbiters.
    pub dispute_secs: u64,
    /// In which they decide.
    pub award_secs: u64,
    /// In which it is settled.
    pub settle_secs: u64,
}

/// About as brief as nodes take it, for T is waited for.
const BRIEF: Deciding = Deciding { dispute_secs: 10, award_secs: 15, settle_secs: 12 };

/// A seller, a buyer, and arbiters that both of them list.
#[derive(Debug)]
pub struct Court {
    /// The seller and the buyer, and all processes.
    pub market: Market,
    /// The arbiters' nodes.
    pub arbiters: Vec<Actor>,
    /// Their accounts.
    pub accounts: Vec<AccountId>,
}

impl Court {
    /// Starts everything: so many arbiters, who want a coin an award, and a seller of what this command serves, the demo's
    /// service where there is none.
    ///
    /// # Panics
    /// Where any of that fails.
    pub async fn open(program: &str, terms: Terms, arbiters: usize, start: &[&str]) -> Self {
        Self::open_in(Nodes::start(program).await, terms, BRIEF, arbiters, start).await
    }

    /// As [`Court::open`] beside this ledger, with other windows for disputes.
    ///
    /// # Panics
    /// Where any of that fails.
    pub async fn open_in(nodes: Nodes, terms: Terms, windows: Deciding, arbiters: usize, start: &[&str]) -> Self {
        told(Self::seat(nodes, terms, windows, arbiters, start).await)
    }

    async fn seat(
        mut nodes: Nodes,
        terms: Terms,
        windows: Deciding,
        count: usize,
        start: &[&str],
    ) -> Result<Self, ClusterError> {
        let names: Vec<String> = (1..=count).map(|n| format!("arbiter-{n}")).collect();
        let setup = Setup { bootstrap: bootstrap(&mut nodes).await?, keys: true, ..Setup::default() };
        let (mut arbiters, mut accounts, mut published) = (Vec::new(), Vec::new(), Vec::new());
        for name in &names {
            nodes.add(name, &setup).await?;
            nodes.run(name).await?;
            let arbiter = Actor::of(nodes.node(name)?)?;
            accounts.push(funded(&arbiter).await?);
            published.push(arbiter.post::<Published>("/v1/offerings", &decides()).await?.series);
            arbiters.push(arbiter);
        }
        let listed: Vec<String> = accounts.iter().map(|account| format!("{:?}", account.to_string())).collect();
        let both = format!("arbiters = [{}]\narbiters_per_trade = {count}\n", listed.join(", "));
        let Deciding { dispute_secs, award_secs, settle_secs } = windows;
        let arbitration = Arbitration { arbiters: accounts.clone(), dispute_secs, award_secs, settle_secs };
        let opening = Opening { start, both: &both, arbitration: Some(arbitration), ..Opening::default() };
        let market = Market::open_with(nodes, terms, opening).await?;
        for side in [&market.seller, &market.buyer] {
            let live = |list: &OfferingList| {
                let seen = |series: &SeriesId| list.items.iter().any(|o| o.series == *series && o.live);
                published.iter().all(seen).then_some(())
            };
            side.until("the arbiters are live", SOON, "/v1/offerings?all=true", live).await?;
        }
        Ok(Self { market, arbiters, accounts })
    }

    /// A side asks the arbiters, for all of the money.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn dispute(&self, by: &Actor, binding: &str, text: &str) {
        let new = NewDispute { to_provider: None, text: text.to_owned() };
        let _: Done = told(by.post(&format!("/v1/disputes/{binding}/open"), &new).await);
    }

    /// An arbiter awards so much to the provider, once it has the case.
    ///
    /// # Panics
    /// Where it never has it, or is refused.
    pub async fn award(&self, arbiter: usize, binding: &str, to_provider: Stroops) {
        let arbiter = &self.arbiters[arbiter];
        let there = |list: &DisputeList| list.items.iter().any(|d| d.binding.to_string() == binding).then_some(());
        told(arbiter.until("it has the case", SOON, "/v1/disputes", there).await);
        let new = NewAward { to_provider, note: "By what was shown.".to_owned() };
        let _: Done = told(arbiter.post(&format!("/v1/disputes/{binding}/award"), &new).await);
    }
}

/// What an arbiter publishes.
fn decides() -> NewOffering {
    let parameters = [("award_secs".to_owned(), json!(10)), ("policy".to_owned(), json!("What was agreed."))];
    NewOffering {
        template: "arbiter".to_owned(),
        title: "arbiter".to_owned(),
        description: String::new(),
        parameters: Map::from_iter(parameters),
        record: None,
        recipient: None,
        price: Price { asset: Asset::Native, amount: FEE, unit: Unit::Job },
        min_units: 1,
        max_units: 1,
        max_supply: 1,
        windows: Windows { deliver_secs: 60, collect_secs: 12 },
        escrow: vec![EscrowKind::Timed],
        arbitration: None,
        transports: None,
        life_secs: 3_600,
        service: None,
    }
}
