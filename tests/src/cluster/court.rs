//! A market whose trades are `arbitrated`, with nodes that decide.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use serde_json::Value;
use tradepost::api::request::{NewAward, NewDispute, NewOffering, NewTrust};
use tradepost::api::view::{DisputeList, Done, OfferingList, Published};
use tradepost::demo::actor::Actor;
use tradepost::demo::cluster::{ClusterError, Setup};
use tradepost::demo::disputes::deciding_offering;
use tradepost::keystore::{Keystore, Mnemonic, Words};
use tradepost_ledger::{Ledger as _, Submitted};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::{Price, Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::document::Arbitration;
use tradepost_protocol::message::SeriesId;
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::stellar::entry::Entry;
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::transaction::{Bounds, Unsigned};
use tradepost_protocol::stellar::{Memo, operation};
use tradepost_protocol::time::Timestamp;

use super::Nodes;
use super::market::{LIFE_SECS, Market, Opening, SOON, Terms, bootstrap, funded, told};

/// The node whose account issues an asset.
const ISSUER: &str = "issuer";
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

impl Deciding {
    /// About as brief as nodes take it, for T is waited for.
    pub const BRIEF: Self = Self { dispute_secs: 10, award_secs: 15, settle_secs: 12 };
    /// So long that no deadline comes between; where T is waited for, the ledger's clock is moved ([`pass_t`]).
    pub const UNHURRIED: Self = Self { dispute_secs: 600, award_secs: 600, settle_secs: 600 };
}

/// From an agreement to what comes before its delivery, and from T to what comes after it.
const BEFORE_AND_AFTER_SECS: u64 = 20 + 10 + 30;
/// Ledgers from a funding to the one from which on its controller can be merged.
const TO_THE_MERGE: u32 = 45;

/// Moves the ledger on to after T, and as many ledgers further as a controller's return takes.
///
/// # Panics
/// Where the ledger doesn't listen.
pub async fn pass_t(nodes: &Nodes, terms: &Terms, windows: Deciding) {
    let Deciding { dispute_secs, award_secs, settle_secs } = windows;
    let secs = BEFORE_AND_AFTER_SECS + terms.windows.deliver_secs + dispute_secs + award_secs + settle_secs;
    nodes.advance_clock(Duration::from_secs(secs)).await;
    for _ in 0..TO_THE_MERGE {
        nodes.advance_clock(Duration::from_secs(1)).await;
    }
}

/// A seller, a buyer, and arbiters that both of them list.
#[derive(Debug)]
pub struct Court {
    /// The seller and the buyer, and all processes.
    pub market: Market,
    /// The arbiters' nodes.
    pub arbiters: Vec<Actor>,
    /// Their accounts.
    pub accounts: Vec<AccountId>,
    /// The keys of their accounts.
    pub owners: Vec<SigningKey>,
    /// What they sign awards with.
    pub keys: Vec<SigningKey>,
    /// What is paid with.
    pub asset: Asset,
}

/// Who lists the arbiters, and what is paid with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seating {
    Both,
    SellerAlone,
    Issued,
}

impl Court {
    /// Starts everything: so many arbiters, who want a coin an award, and a seller of what this command serves, the demo's
    /// service where there is none.
    ///
    /// # Panics
    /// Where any of that fails.
    pub async fn open(program: &str, terms: Terms, arbiters: usize, start: &[&str]) -> Self {
        Self::open_in(Nodes::start(program).await, terms, Deciding::UNHURRIED, arbiters, start).await
    }

    /// As [`Court::open`] beside this ledger, with other windows for disputes.
    ///
    /// # Panics
    /// Where any of that fails.
    pub async fn open_in(nodes: Nodes, terms: Terms, windows: Deciding, arbiters: usize, start: &[&str]) -> Self {
        told(Self::seat(nodes, terms, windows, (arbiters, Seating::Both), start).await)
    }

    /// As [`Court::open`] with one arbiter that the seller alone lists.
    ///
    /// # Panics
    /// As there.
    pub async fn open_of_the_sellers(program: &str, terms: Terms) -> Self {
        let nodes = Nodes::start(program).await;
        told(Self::seat(nodes, terms, Deciding::UNHURRIED, (1, Seating::SellerAlone), &[]).await)
    }

    /// As [`Court::open`] with prices and fees in an asset that a node of its own issues, of which the buyer has a thousand.
    ///
    /// # Panics
    /// As there.
    pub async fn open_issued(program: &str, terms: Terms, arbiters: usize) -> Self {
        let nodes = Nodes::start(program).await;
        told(Self::seat(nodes, terms, Deciding::UNHURRIED, (arbiters, Seating::Issued), &[]).await)
    }

    async fn seat(
        mut nodes: Nodes,
        terms: Terms,
        windows: Deciding,
        (count, seating): (usize, Seating),
        start: &[&str],
    ) -> Result<Self, ClusterError> {
        let names: Vec<String> = (1..=count).map(|n| format!("arbiter-{n}")).collect();
        let setup = Setup { bootstrap: bootstrap(&mut nodes).await?, keys: true, ..Setup::default() };
        let (mut issuer, mut asset, mut accepts) = (None, Asset::Native, String::new());
        if seating == Seating::Issued {
            let words = Mnemonic::generate(Words::Twelve).expect("random bytes");
            nodes.add(ISSUER, &Setup { mnemonic: Some(words.phrase().as_str().to_owned()), ..setup.clone() }).await?;
            nodes.run(ISSUER).await?;
            let account = funded(&Actor::of(nodes.node(ISSUER)?)?).await?;
            asset = Asset::issued("HOUR", account).expect("a code of four letters");
            accepts = format!("assets = [\"native\", \"{asset}\"]\n");
            issuer = Keystore::from_mnemonic(&words).account();
        }
        let (mut arbiters, mut accounts, mut published) = (Vec::new(), Vec::new(), Vec::new());
        let (mut keys, mut owners) = (Vec::new(), Vec::new());
        for name in &names {
            let words = Mnemonic::generate(Words::Twelve).expect("random bytes");
            let keystore = Keystore::from_mnemonic(&words);
            keys.extend(keystore.serving());
            owners.extend(keystore.account());
            let mnemonic = Some(words.phrase().as_str().to_owned());
            nodes.add(name, &Setup { mnemonic, config: accepts.clone(), ..setup.clone() }).await?;
            nodes.run(name).await?;
            let arbiter = Actor::of(nodes.node(name)?)?;
            accounts.push(funded(&arbiter).await?);
            published.push(arbiter.post::<Published>("/v1/offerings", &decides(&asset)).await?.series);
            arbiters.push(arbiter);
        }
        let listed: Vec<String> = accounts.iter().map(|account| format!("{:?}", account.to_string())).collect();
        let lists = format!("arbiters = [{}]\narbiters_per_trade = {count}\n", listed.join(", "));
        let (both, sellers) = match seating {
            Seating::SellerAlone => (accepts, lists),
            Seating::Both | Seating::Issued => (accepts + &lists, String::new()),
        };
        let priced_in = issuer.is_some().then(|| asset.clone());
        let Deciding { dispute_secs, award_secs, settle_secs } = windows;
        let arbitration = Arbitration { arbiters: accounts.clone(), dispute_secs, award_secs, settle_secs };
        let arbitration = Some(arbitration);
        let opening =
            Opening { start, both: &both, sellers: &sellers, arbitration, asset: priced_in, ..Opening::default() };
        let market = Market::open_with(nodes, terms, opening).await?;
        for side in [&market.seller, &market.buyer] {
            let live = |list: &OfferingList| {
                let seen = |series: &SeriesId| list.items.iter().any(|o| o.series == *series && o.live);
                published.iter().all(seen).then_some(())
            };
            side.until("the arbiters are live", SOON, "/v1/offerings?all=true", live).await?;
        }
        let court = Self { market, arbiters, accounts, owners, keys, asset };
        if let Some(issuer) = issuer {
            court.hand_out(&issuer).await?;
        }
        Ok(court)
    }

    /// Lets everybody hold what is paid with, and gives the buyer a thousand of it.
    async fn hand_out(&self, issuer: &SigningKey) -> Result<(), ClusterError> {
        let Market { seller, buyer, buyer_account, .. } = &self.market;
        for node in self.arbiters.iter().chain([seller, buyer]) {
            let trust = NewTrust { asset: self.asset.clone(), limit: Stroops::MAX, dry_run: false };
            let _: Value = node.post("/v1/wallet/trust", &trust).await?;
        }
        while self.holds(*buyer_account).await.is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let state = self.market.on_the_ledger(AccountId::of(issuer)).await;
        let issue = Unsigned {
            source: state.id,
            sequence: state.sequence + 1,
            fee: 1_000,
            bounds: Bounds::from_on(Timestamp::from_secs(0)),
            memo: Memo::None,
            operations: vec![operation::pay(*buyer_account, &self.asset, Stroops::whole(1_000))],
        };
        let ledger = self.market.nodes.ledger().await.expect("the ledger answers");
        let network = ledger.network().await.expect("the ledger answers").passphrase;
        let envelope = issue.sign(&[issuer], &NetworkId::of_passphrase(&network)).expect("it is signed");
        assert_eq!(ledger.submit(envelope.bytes()).await.expect("the ledger answers"), Submitted::Pending);
        Ok(())
    }

    /// What an account holds of what is paid with, in stroops; nothing where it has no trustline.
    ///
    /// # Panics
    /// Where the ledger can't be read.
    pub async fn holds(&self, account: AccountId) -> Option<i64> {
        let ledger = self.market.nodes.ledger().await.expect("the ledger answers");
        let key = Key::Trustline(account, self.asset.clone());
        let read = ledger.read(std::slice::from_ref(&key)).await.expect("the ledger answers");
        match read.get(&key).map(|read| read.entry.clone()) {
            Some(Ok(Entry::Trustline(line))) => Some(line.balance.get()),
            _ => None,
        }
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
fn decides(asset: &Asset) -> NewOffering {
    let price = Price { asset: asset.clone(), amount: FEE, unit: Unit::Job };
    NewOffering { price, life_secs: LIFE_SECS, ..deciding_offering(FEE) }
}
