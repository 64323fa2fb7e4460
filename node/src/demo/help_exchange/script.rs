//! What happens in the help exchange's demo, step by step.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tradepost_ledger::{Ledger, RpcLedger};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::community::DEFAULT_FEE;
use tradepost_protocol::message::TxHash;
use tradepost_protocol::stellar::entry::Entry;
use tradepost_protocol::stellar::ledger_key::Key;

use super::super::DemoError;
use super::super::actor::Actor;
use super::super::books::Signed;
use super::super::cluster::{Cluster, ClusterError, Setup};
use super::super::narrator::Narrator;
use super::books::History;
use super::report::{ChainRow, CoinRow, HelpReport, MemberRow};
use crate::api::request::{NewDeed, NewHelp};
use crate::api::view::{
    ChainView, ExchangeList, ExchangeView, Funded, Helped, OfferingList, OwnOfferingList, WalletView,
};
use crate::keystore::KeyFile;

const ISSUER: &str = "issuer";
const AGENT: &str = "agent";
const ANN: &str = "ann";
const BEN: &str = "ben";
const CYN: &str = "cyn";
/// All of them, in the order in which they come.
const ALL: [&str; 5] = [ISSUER, AGENT, ANN, BEN, CYN];
/// The code of what help is paid in.
const CLAWABLE: &str = "ClawableHexa";
/// The code of what it is converted into.
const PLAIN: &str = "HEXA";

/// For how long a payment may be asked back, seconds of the ledger: long for the machine, and then the clock is moved.
const REPAY_SECS: u64 = 600;
/// For how long offers, requests and the exchange's listing stand, seconds of the ledger.
const LIFE_SECS: u64 = 3_600;
/// How long something may take that needs a few ledgers.
const LEDGERS: Duration = Duration::from_secs(60);
/// How long a call of the devnet's own may take.
const CALL: Duration = Duration::from_secs(20);

const SNAPPER: &str = "Freshly caught red snapper 4 lb. HEXA 800";
const HARVEST: &str = "Help with bringing in the harvest. HEXA 1000";
const SNAPPER_PRICE: Stroops = Stroops::whole(800);
const HARVEST_PRICE: Stroops = Stroops::whole(1_000);

/// The demo while it runs.
#[derive(Debug)]
pub(super) struct Script<'a> {
    cluster: &'a mut Cluster,
    narrator: &'a Narrator,
}

/// What the devnet tells of itself, as far as it matters here.
#[derive(Debug, Deserialize)]
struct DevnetStatus {
    friendbot: AccountId,
}

impl<'a> Script<'a> {
    pub(super) fn new(cluster: &'a mut Cluster, narrator: &'a Narrator) -> Self {
        Self { cluster, narrator }
    }

    /// Plays it to its end.
    pub(super) async fn play(mut self) -> Result<HelpReport, DemoError> {
        let what = "people help each other for ClawableHexa, and get a payment back where no help came";
        self.narrator.say("", what);
        self.narrator.say("devnet", &format!("a ledger of its own at {}", self.cluster.rpc_url()));
        let stage = self.set_up().await?;
        stage.live().await
    }

    /// Starts all five: the issuer first, for its assets are named by its account.
    async fn set_up(&mut self) -> Result<Stage<'a>, DemoError> {
        let plain = Setup { keys: true, ..Setup::default() };
        self.cluster.add_all(&ALL.map(|name| (name, plain.clone()))).await?;
        let ledger = self.cluster.ledger().await.map_err(|e| self.devnet_error(e.to_string()))?;
        let friendbot = self.devnet_status().await?.friendbot;
        let agent_account = self.account(AGENT)?;
        self.cluster.configure(
            ISSUER,
            &format!(
                "community.role = \"issuer\"\ncommunity.clawable = {CLAWABLE:?}\ncommunity.plain = {PLAIN:?}\n\
                 community.agent = \"{agent_account}\"\ncommunity.repay_secs = {REPAY_SECS}\n"
            ),
        )?;
        let issuer = self.start(ISSUER).await?;
        self.say(ISSUER, &format!("runs, to issue {CLAWABLE}, which it can take back, and {PLAIN}, which nobody can"));
        fund(&issuer).await?;
        help(&issuer, None, NewDeed::Create { life_secs: 0 }).await?;
        let seen = |list: &ExchangeList| list.items.first().cloned();
        let exchange: ExchangeView = issuer.until("it shows its exchange", LEDGERS, "/v1/community", seen).await?;
        self.say(ISSUER, "set its account's flags, so that what it issues from now on can be taken back");
        let bootstrap = self.cluster.node(ISSUER)?.running()?.p2p.clone();
        let first_peer = format!("bootstrap = {bootstrap:?}\n");
        self.cluster.replace(AGENT, "bootstrap = []\n", &first_peer)?;
        self.cluster.configure(
            AGENT,
            &format!(
                "community.role = \"agent\"\ncommunity.clawable = \"{}\"\ncommunity.plain = \"{}\"\n\
                 community.repay_secs = {REPAY_SECS}\nassets = [\"native\", \"{}\"]\n",
                exchange.clawable, exchange.plain, exchange.clawable
            ),
        )?;
        let agent = self.start(AGENT).await?;
        fund(&agent).await?;
        help(&agent, None, NewDeed::Create { life_secs: LIFE_SECS }).await?;
        self.say(AGENT, "trusts both assets; what it gives out comes from the issuer, which sees that on the ledger");
        let endowed = |list: &ExchangeList| list.items.iter().any(|e| e.endowed).then_some(());
        agent.until("the issuer has given it both assets", LEDGERS, "/v1/community", endowed).await?;
        self.say(ISSUER, "gave the agent 1,000,000 of each");
        for name in [ANN, BEN, CYN] {
            self.cluster.replace(name, "bootstrap = []\n", &first_peer)?;
            self.cluster.configure(name, &format!("assets = [\"native\", \"{}\"]\n", exchange.clawable))?;
        }
        self.cluster.run_all(&[ANN, BEN, CYN]).await?;
        let people = [ANN, BEN, CYN].map(|name| self.actor(name));
        let [ann, ben, cyn] = people;
        let accounts = ALL.map(|name| self.account(name));
        let accounts: Result<Vec<AccountId>, DemoError> = accounts.into_iter().collect();
        Ok(Stage {
            narrator: self.narrator,
            ledger,
            rpc_url: self.cluster.rpc_url().to_owned(),
            friendbot,
            accounts: accounts?,
            clawable: exchange.clawable,
            plain: exchange.plain,
            issuer,
            agent,
            ann: ann?,
            ben: ben?,
            cyn: cyn?,
        })
    }

    async fn start(&mut self, name: &str) -> Result<Actor, DemoError> {
        self.cluster.run(name).await?;
        self.actor(name)
    }

    fn actor(&self, name: &str) -> Result<Actor, DemoError> {
        Ok(Actor::of(self.cluster.node(name)?)?)
    }

    /// A node's account, as its key file says without being opened.
    fn account(&self, name: &str) -> Result<AccountId, DemoError> {
        let node = self.cluster.node(name)?;
        let file = KeyFile::read(&node.home().key_file()).map_err(|e| node.error(e.to_string()))?;
        Ok(file.public().account.ok_or_else(|| node.error("it has no account"))?)
    }

    fn say(&self, who: &str, what: &str) {
        self.narrator.say(who, what);
    }

    async fn devnet_status(&self) -> Result<DevnetStatus, DemoError> {
        let failed = |e: reqwest::Error| self.devnet_error(e.to_string());
        let answer = http()?.get(format!("{}/devnet/status", self.cluster.rpc_url())).send().await.map_err(failed)?;
        Ok(answer.json().await.map_err(failed)?)
    }

    fn devnet_error(&self, what: String) -> ClusterError {
        ClusterError::new("devnet", what).with_log(self.cluster.devnet_log())
    }
}

fn http() -> Result<reqwest::Client, DemoError> {
    let built = reqwest::Client::builder().no_proxy().timeout(CALL).build();
    built.map_err(|e| DemoError::Script(e.to_string()))
}

/// Has a node take a step and waits until it is in the ledger.
async fn help(actor: &Actor, exchange: Option<&Asset>, deed: NewDeed) -> Result<Helped, ClusterError> {
    actor.post("/v1/community", &NewHelp { exchange: exchange.cloned(), deed, dry_run: false }).await
}

async fn fund(actor: &Actor) -> Result<(), DemoError> {
    let _: Funded = actor.post("/v1/wallet/fund", &json!({})).await?;
    let there = |wallet: &WalletView| (!wallet.balance.is_zero()).then_some(());
    Ok(actor.until("the friendbot's coins are seen", LEDGERS, "/v1/wallet", there).await?)
}

/// The actors on it.
struct Stage<'a> {
    narrator: &'a Narrator,
    ledger: RpcLedger,
    rpc_url: String,
    friendbot: AccountId,
    accounts: Vec<AccountId>,
    clawable: Asset,
    plain: Asset,
    issuer: Actor,
    agent: Actor,
    ann: Actor,
    ben: Actor,
    cyn: Actor,
}

impl Stage<'_> {
    fn say(&self, who: &str, what: &str) {
        self.narrator.say(who, what);
    }

    fn actors(&self) -> [&Actor; 5] {
        [&self.issuer, &self.agent, &self.ann, &self.ben, &self.cyn]
    }

    fn people(&self) -> [&Actor; 3] {
        [&self.ann, &self.ben, &self.cyn]
    }

    fn account_of(&self, actor: &Actor) -> AccountId {
        let place = ALL.iter().position(|name| *name == actor.name()).unwrap_or_default();
        self.accounts[place]
    }

    async fn live(self) -> Result<HelpReport, DemoError> {
        self.join().await?;
        let chains = self.help_each_other().await?;
        let members = self.members().await?;
        let history = History::read(&self.ledger, &[self.clawable.clone(), self.plain.clone()]).await?;
        let then = history.assets(&self.ledger, &[self.clawable.clone(), self.plain.clone()]).await?;
        self.take_back().await?;
        let coins = self.close().await?;
        self.report(chains, members, then, coins).await
    }

    async fn join(&self) -> Result<(), DemoError> {
        for person in self.people() {
            fund(person).await?;
            let offered = |list: &ExchangeList| list.items.iter().any(|e| e.offered).then_some(());
            person.until("it hears of the exchange", LEDGERS, "/v1/community", offered).await?;
            help(person, Some(&self.clawable), NewDeed::Join { agent: self.account_of(&self.agent) }).await?;
            let words =
                "joined: trusts both assets and got 5,000 of each, by one transaction that the agent signed, too";
            self.say(person.name(), words);
        }
        Ok(())
    }

    /// Offers, requests, takes and what follows; the chains as Ann's node draws them.
    async fn help_each_other(&self) -> Result<Vec<ChainView>, DemoError> {
        let offer = NewDeed::Offer { text: SNAPPER.to_owned(), price: SNAPPER_PRICE, valid_secs: LIFE_SECS };
        let offer = help(&self.ben, None, offer).await?;
        self.say(BEN, &format!("offers: \"{SNAPPER}\""));
        let request = NewDeed::Request { text: HARVEST.to_owned(), price: HARVEST_PRICE, valid_secs: LIFE_SECS };
        let request = help(&self.ann, None, request).await?;
        self.say(ANN, &format!("asks: \"{HARVEST}\""));
        self.hears(&self.cyn, &offer).await?;
        self.hears(&self.cyn, &request).await?;
        self.say(CYN, "heard of both from its peers, and sees both on the ledger");
        let snapper =
            help(&self.cyn, None, NewDeed::Take { of: offer.transaction.to_string(), at_most: Some(SNAPPER_PRICE) })
                .await?;
        self.say(CYN, "takes the snapper: 800.0000100 ClawableHexa are locked for Ben, the price and the fee");
        let harvest =
            help(&self.cyn, None, NewDeed::Take { of: request.transaction.to_string(), at_most: None }).await?;
        self.say(CYN, "takes the request, to help: 0.0000100 ClawableHexa are locked for Ann, the fee alone");
        self.refused(&self.cyn, &snapper, "not-paid", "the snapper's price back before Ben claimed it").await?;
        self.hears_of(&self.ben, snapper.transaction).await?;
        help(&self.ben, None, NewDeed::Claim { of: snapper.transaction.to_string() }).await?;
        self.say(BEN, "hands over the snapper and claims what Cyn locked: 800.0000100 came in");
        self.hears_of(&self.ann, harvest.transaction).await?;
        let grant = help(&self.ann, None, NewDeed::Grant { of: harvest.transaction.to_string() }).await?;
        self.say(ANN, "claims what Cyn locked, and pays her 1,000.0000100 for the help to come");
        help(&self.ben, None, NewDeed::Convert { of: snapper.transaction.to_string() }).await?;
        self.say(BEN, "wants 800 ClawableHexa converted; the agent waits, for Cyn may still ask for them back");
        self.hears_of(&self.ben, grant.transaction).await?;
        self.refused(&self.ben, &grant, "not-the-payer", "what Ann paid to Cyn").await?;
        help(&self.ann, None, NewDeed::Repay { of: grant.transaction.to_string() }).await?;
        self.say(ANN, "asks for her 1,000 back: nobody came to the harvest");
        self.answered(&self.ann, grant.transaction, "repaid").await?;
        self.say(ISSUER, "saw that on the ledger, took 1,000 ClawableHexa back from Cyn and paid Ann");
        self.refused(&self.ann, &grant, "already-repaid", "the same 1,000 once more").await?;
        self.advance(REPAY_SECS + 10).await?;
        self.say("devnet", "ten minutes pass, after which nobody can ask for the snapper's price back");
        self.answered(&self.ben, snapper.transaction, "converted").await?;
        self.say(AGENT, "converted Ben's 800 ClawableHexa into 800 HEXA, which nobody can take back");
        self.answered(&self.ann, snapper.transaction, "converted").await?;
        let mut chains = Vec::new();
        for first in [offer.transaction, request.transaction] {
            chains.push(self.ann.get(&format!("/v1/community/{first}")).await?);
        }
        Ok(chains)
    }

    /// Waits until a node has an offer or request in its book and on the ledger.
    async fn hears(&self, actor: &Actor, make: &Helped) -> Result<(), DemoError> {
        let series = make.series;
        let live = |list: &OfferingList| list.items.iter().any(|o| Some(o.series) == series && o.live).then_some(());
        actor.until("it hears of what is offered", LEDGERS, "/v1/offerings", live).await?;
        let stands = |list: &ExchangeList| {
            let mut makes = list.items.iter().flat_map(|e| &e.makes);
            makes.any(|link| link.transaction == make.transaction).then_some(())
        };
        Ok(actor.until("it sees that on the ledger", LEDGERS, "/v1/community", stands).await?)
    }

    /// Waits until a node has seen a transaction on the ledger.
    async fn hears_of(&self, actor: &Actor, transaction: TxHash) -> Result<(), DemoError> {
        let until = tokio::time::Instant::now() + LEDGERS;
        let path = format!("/v1/community/{transaction}");
        loop {
            match actor.get::<ChainView>(&path).await {
                Ok(_) => return Ok(()),
                Err(error) if tokio::time::Instant::now() >= until => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// Asks for a payment back that isn't to be had, and is told why.
    async fn refused(&self, actor: &Actor, of: &Helped, code: &str, what: &str) -> Result<(), DemoError> {
        let deed = NewDeed::Repay { of: of.transaction.to_string() };
        let asked = NewHelp { exchange: None, deed, dry_run: false };
        let told = actor.refused("/v1/community", &asked).await?;
        if told != code {
            return Err(actor.error(format!("asking for {what} is refused as {told}, expected {code}")).into());
        }
        self.say(actor.name(), &format!("asks for {what}: refused ({told})"));
        Ok(())
    }

    /// Waits until a chain has an answer of this kind.
    async fn answered(&self, actor: &Actor, of: TxHash, kind: &str) -> Result<(), DemoError> {
        let answered = |chain: &ChainView| {
            chain.links.iter().any(|link| link.kind == kind && link.previous == Some(of)).then_some(())
        };
        let path = format!("/v1/community/{of}");
        Ok(actor.until(&format!("the payment is {kind}"), LEDGERS, &path, answered).await?)
    }

    /// What each of the three holds now, beside what it must be.
    async fn members(&self) -> Result<Vec<MemberRow>, DemoError> {
        let whole = Stroops::whole;
        let plus = |a: Stroops, b: Stroops| a.plus(b).unwrap_or(Stroops::MAX);
        let fee = DEFAULT_FEE;
        // The fee in Cyn's take of Ann's request and in Ann's grant, and those that still stand and come back.
        let clawable = [whole(5_000), plus(whole(5_000), fee), whole(4_200).minus(fee).unwrap_or_default()];
        let minus = |amount: Stroops| amount.minus(fee).unwrap_or_default();
        let plain = [minus(minus(whole(5_000))), minus(whole(5_800)), whole(5_000)];
        let mut rows = Vec::new();
        for (asset, expected) in [(&self.clawable, clawable), (&self.plain, plain)] {
            for (person, expected) in self.people().into_iter().zip(expected) {
                let key = Key::Trustline(self.account_of(person), asset.clone());
                let read = self.ledger.read(core::slice::from_ref(&key)).await?;
                let found = match read.get(&key).map(|found| &found.entry) {
                    Some(Ok(Entry::Trustline(line))) => line.balance,
                    _ => Stroops::ZERO,
                };
                rows.push(MemberRow { name: person.name().to_owned(), asset: asset.clone(), expected, found });
            }
        }
        let told = "Ann has her 5,000 again, Ben 800 more HEXA, Cyn 800 less ClawableHexa; now all is taken back";
        self.say("", told);
        Ok(rows)
    }

    /// Fees that nobody claimed go back, and bonds once they are released.
    async fn take_back(&self) -> Result<(), DemoError> {
        for person in self.people() {
            let list: ExchangeList = person.get("/v1/community").await?;
            for held in list.items.iter().flat_map(|exchange| &exchange.standing) {
                help(person, None, NewDeed::Reclaim { balance: held.balance }).await?;
            }
        }
        self.say("all", "took back the fees that nobody claimed");
        self.advance(LIFE_SECS + 120).await?;
        self.say("devnet", "an hour passes: the bonds behind what was offered are released");
        for actor in self.actors() {
            let free = |own: &OwnOfferingList| own.items.iter().all(|o| o.state == "reclaimed").then_some(());
            actor.until("its bonds are back", LEDGERS, "/v1/offerings/own", free).await?;
        }
        self.say("all", "got their bonds back, by their nodes themselves");
        Ok(())
    }

    /// Everybody leaves, the members first, the issuer last.
    async fn close(&self) -> Result<Vec<CoinRow>, DemoError> {
        let given = tradepost_devnet::Config::default().friendbot_amount;
        let start = Stroops::new(given).unwrap_or_default();
        let mut rows = Vec::new();
        for actor in [&self.ann, &self.ben, &self.cyn, &self.agent, &self.issuer] {
            let before = self.coins_of(self.friendbot).await?;
            self.leaves(actor).await?;
            let after = self.coins_of(self.friendbot).await?;
            rows.push(CoinRow {
                name: actor.name().to_owned(),
                account: self.account_of(actor),
                start,
                fees: Stroops::ZERO,
                returned: after.minus(before).unwrap_or_default(),
                difference: Signed(0),
            });
            let what = match actor.name() {
                ISSUER => "ended both issuing accounts: what came back to them is burnt",
                AGENT => "paid all that it still had back to the issuers; its account is closed and merged",
                _ => "paid what was left of both assets back to the agent; the account is closed and merged",
            };
            self.say(actor.name(), what);
        }
        Ok(rows)
    }

    /// A node leaves; what was seen too early is tried again.
    async fn leaves(&self, actor: &Actor) -> Result<(), DemoError> {
        let until = tokio::time::Instant::now() + LEDGERS;
        loop {
            match help(actor, Some(&self.clawable), NewDeed::Leave { into: Some(self.friendbot) }).await {
                Ok(_) => return Ok(()),
                Err(error) if tokio::time::Instant::now() >= until => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
    }

    async fn coins_of(&self, account: AccountId) -> Result<Stroops, DemoError> {
        let key = Key::Account(account);
        let read = self.ledger.read(core::slice::from_ref(&key)).await?;
        match read.get(&key).map(|found| &found.entry) {
            Some(Ok(Entry::Account(state))) => Ok(state.balance),
            _ => Err(DemoError::Script(format!("the ledger has no account {account}"))),
        }
    }

    /// Moves the ledger's clock, which the next ledger shows.
    async fn advance(&self, seconds: u64) -> Result<(), DemoError> {
        let failed = |e: reqwest::Error| DemoError::Script(format!("the devnet's clock can't be moved: {e}"));
        let body = json!({ "advance_seconds": seconds }).to_string();
        let request = http()?.post(format!("{}/devnet/clock", self.rpc_url)).header("content-type", "application/json");
        let answer = request.body(body).send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
        let _: Value = answer.json().await.map_err(failed)?;
        Ok(())
    }

    async fn report(
        &self,
        chains: Vec<ChainView>,
        members: Vec<MemberRow>,
        assets_then: Vec<super::report::AssetRow>,
        mut coins: Vec<CoinRow>,
    ) -> Result<HelpReport, DemoError> {
        let both = [self.clawable.clone(), self.plain.clone()];
        let history = History::read(&self.ledger, &both).await?;
        for row in &mut coins {
            let fees = history.fees.get(&row.account).copied().unwrap_or_default();
            row.fees = Stroops::new(fees).unwrap_or_default();
            let of = |amount: Stroops| i128::from(amount.get());
            row.difference = Signed(of(row.start) - of(row.fees) - of(row.returned));
        }
        let assets = history.assets(&self.ledger, &both).await?;
        let (balances_left, accounts_left) = history.left(&self.ledger, &self.accounts).await?;
        let name_of = |account: AccountId| {
            let place = self.accounts.iter().position(|known| *known == account);
            place.map_or_else(|| account.to_string(), |place| ALL[place].to_owned())
        };
        let links = chains.iter().flat_map(|chain| &chain.links);
        let chain = links.map(|link| ChainRow {
            by: name_of(link.by),
            kind: link.kind.clone(),
            transaction: link.transaction,
            memo: history.named.get(&link.transaction).copied(),
            previous: link.previous,
        });
        let chain: Vec<ChainRow> = chain.collect();
        let of_members = members.iter().map(|row| i128::from(row.expected.get()) - i128::from(row.found.get()));
        let of_assets = assets_then.iter().chain(&assets).map(super::report::AssetRow::difference);
        let of_coins = coins.iter().map(|row| row.difference.0);
        let off = of_members.chain(of_assets).chain(of_coins).map(i128::unsigned_abs).sum::<u128>();
        Ok(HelpReport {
            off_by_stroops: Signed(i128::try_from(off).unwrap_or(i128::MAX)),
            members,
            assets_then,
            assets,
            coins,
            chain,
            balances_left,
            accounts_left,
            elapsed_secs: self.narrator.elapsed_secs(),
        })
    }
}
