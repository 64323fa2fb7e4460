//! B21 between real nodes: who is paid where the two sides don't agree, to the stroop.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use serde_json::Value;
use tradepost::api::request::{NewAward, NewBinding, NewDispute, NewEvidence, NewPayment, NewTrust};
use tradepost::api::view::{BindingList, BindingView, DisputeDetails, DisputeList};
use tradepost::keystore::Keystore;
use tradepost_ledger::{Ledger as _, Submitted};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::document::Windows;
use tradepost_protocol::escrow::{EscrowKind, controller};
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::stellar::entry::AccountState;
use tradepost_protocol::stellar::transaction::{Bounds, Unsigned};
use tradepost_protocol::stellar::{Memo, balance_id, operation};
use tradepost_protocol::time::Timestamp;
use tradepost_tests::cluster::court::{Court, Deciding, FEE, pass_t};
use tradepost_tests::cluster::market::{Market, SOON, Terms, add, told};

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");
/// Twenty coins for four calls.
const TERMS: Terms = Terms {
    price: Stroops::whole(5),
    unit: Unit::Call,
    windows: Windows { deliver_secs: 600, collect_secs: 12 },
    max_supply: 1,
};
/// More than all transactions of one node cost in fees here, and less than anything that is paid.
const FEES: i64 = 50_000;

async fn active(market: &Market, binding: &str) {
    let runs = |view: &BindingView| view.phase == "active";
    market.until(&market.buyer, binding, SOON, "the service runs", runs).await;
}

async fn ends(court: &Court, binding: &str, state: &str) {
    for side in [&court.market.seller, &court.market.buyer] {
        let is = |view: &BindingView| view.is_final && view.escrow.as_ref().is_some_and(|e| e.state == state);
        court.market.until(side, binding, SOON, state, is).await;
    }
}

/// Waits until an account has exactly these coins more or less, but for fees.
async fn gained(court: &Court, before: &AccountState, stroops: i64) -> AccountState {
    let end = std::time::Instant::now() + SOON;
    loop {
        let after = court.market.on_the_ledger(before.id).await;
        let rest = before.balance.get() + stroops - after.balance.get();
        if (0..FEES).contains(&rest) {
            return after;
        }
        assert!(std::time::Instant::now() < end, "{before:?} became {after:?}, not {stroops} stroops more");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn b21_a_live_provider_that_delivers_nothing_gets_nothing() {
    let idle = [NODE, "demo-service", "--idle", "--port", "{port}"];
    let court = Court::open(NODE, TERMS, 1, &idle).await;
    let market = &court.market;
    let (seller, buyer) = (market.on_the_ledger(market.seller_account).await, market.buyer_on_the_ledger().await);
    let arbiter = market.on_the_ledger(court.accounts[0]).await;
    let binding = market.bind(4).await;
    active(market, &binding).await;
    court.dispute(&market.buyer, &binding, "Not one call was answered.").await;
    court.award(0, &binding, Stroops::ZERO).await;
    ends(&court, &binding, "refunded").await;
    pass_t(&market.nodes, &TERMS, Deciding::UNHURRIED).await;
    gained(&court, &seller, 0).await;
    gained(&court, &arbiter, FEE.get()).await;
    let buyer = gained(&court, &buyer, -FEE.get()).await;
    assert_eq!((buyer.sub_entries, buyer.sponsoring), (0, 0), "and not a stroop of reserve stays locked");
}

#[tokio::test]
async fn b21_of_three_arbiters_two_divide_15_to_5_and_all_are_paid() {
    let court = Court::open(NODE, TERMS, 3, &[]).await;
    let market = &court.market;
    let (seller, buyer) = (market.on_the_ledger(market.seller_account).await, market.buyer_on_the_ledger().await);
    let mut arbiters = Vec::new();
    for account in &court.accounts {
        arbiters.push(market.on_the_ledger(*account).await);
    }
    let binding = market.bind(4).await;
    active(market, &binding).await;
    for _ in 0..3 {
        add(&market.buyer, &binding).await;
    }
    court.dispute(&market.buyer, &binding, "The fourth call is missing.").await;
    court.award(0, &binding, Stroops::whole(15)).await;
    court.award(2, &binding, Stroops::whole(15)).await;
    ends(&court, &binding, "split").await;
    pass_t(&market.nodes, &TERMS, Deciding::UNHURRIED).await;
    // Three coins for the arbiters, three quarters of them the seller's.
    gained(&court, &seller, 150_000_000 - 22_500_000).await;
    gained(&court, &buyer, 50_000_000 - 7_500_000 - 200_000_000).await;
    // Also the one who wasn't needed: it is told where its fee is.
    for at in [0, 1, 2] {
        gained(&court, &arbiters[at], FEE.get()).await;
    }
}

#[tokio::test]
async fn b21_after_the_award_neither_the_loser_nor_the_arbiter_changes_anything() {
    let court = Court::open(NODE, TERMS, 1, &[]).await;
    let market = &court.market;
    let (seller, buyer) = (market.on_the_ledger(market.seller_account).await, market.buyer_on_the_ledger().await);
    let binding = market.bind(4).await;
    active(market, &binding).await;
    court.dispute(&market.buyer, &binding, "Nothing came.").await;
    let path = format!("/v1/disputes/{binding}");
    let there = |list: &DisputeList| list.items.iter().any(|d| d.shown.consumer >= 2).then_some(());
    told(court.arbiters[0].until("both items of the buyer's are there", SOON, "/v1/disputes", there).await);
    court.award(0, &binding, Stroops::whole(20)).await;
    let again = NewDispute { to_provider: None, text: "I protest.".to_owned() };
    told(market.buyer.refused(&format!("{path}/open"), &again).await);
    // Taken in here while the escrow stands, and by no arbiter.
    let protest = NewEvidence { text: "I protest again.".to_owned(), files: Vec::new() };
    let _ = market.buyer.post::<Value>(&format!("{path}/evidence"), &protest).await;
    let another = NewAward { to_provider: Stroops::ZERO, note: "On second thoughts.".to_owned() };
    told(court.arbiters[0].refused(&format!("{path}/award"), &another).await);
    ends(&court, &binding, "paid").await;
    pass_t(&market.nodes, &TERMS, Deciding::UNHURRIED).await;
    gained(&court, &seller, 200_000_000 - FEE.get()).await;
    gained(&court, &buyer, -200_000_000).await;
    let seen: DisputeDetails = told(court.arbiters[0].get(&path).await);
    assert_eq!(seen.dispute.shown.consumer, 2, "{seen:#?}");
    assert_eq!(seen.dispute.award.map(|split| split.to_provider), Some(Stroops::whole(20)));
}

#[tokio::test]
async fn b21_an_arbiters_silence_means_the_timeout_beneficiary_and_pays_no_fee() {
    let court = Court::open(NODE, TERMS, 1, &[]).await;
    let market = &court.market;
    let (seller, buyer) = (market.on_the_ledger(market.seller_account).await, market.buyer_on_the_ledger().await);
    let arbiter = market.on_the_ledger(court.accounts[0]).await;
    let binding = market.bind(4).await;
    active(market, &binding).await;
    court.dispute(&market.buyer, &binding, "Nothing came.").await;
    let asked = |list: &DisputeList| list.items.iter().any(|d| d.shown.consumer >= 2).then_some(());
    told(court.arbiters[0].until("the arbiter is asked", SOON, "/v1/disputes", asked).await);
    pass_t(&market.nodes, &TERMS, Deciding::UNHURRIED).await;
    ends(&court, &binding, "refunded").await;
    gained(&court, &seller, 0).await;
    let after = gained(&court, &arbiter, 0).await;
    assert_eq!(after.balance, arbiter.balance, "it claims nothing, and pays for nothing");
    let buyer = gained(&court, &buyer, 0).await;
    assert_eq!((buyer.sub_entries, buyer.sponsoring), (0, 0), "and not a stroop of reserve stays locked");
}

#[tokio::test]
async fn b21_with_an_arbiter_that_only_the_seller_lists_nothing_is_agreed_and_nothing_locked() {
    let court = Court::open_of_the_sellers(NODE, TERMS).await;
    let market = &court.market;
    let before = market.buyer_on_the_ledger().await;
    let offering = market.published.series.to_string();
    for escrow in [Some(EscrowKind::Arbitrated), None] {
        let new = NewBinding { offering: offering.clone(), units: 4, escrow, ..NewBinding::default() };
        let code = told(market.buyer.refused("/v1/bindings", &new).await);
        assert_eq!(code, "no-common-arbiter");
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(market.buyer_on_the_ledger().await, before, "nothing is locked, and no fee was paid");
    let sold: BindingList = told(market.seller.get("/v1/bindings?all=true").await);
    assert!(sold.items.is_empty(), "{sold:#?}");
}

#[tokio::test]
async fn b21_all_arbiters_signatures_together_are_refused_by_the_ledger() {
    let court = Court::open(NODE, TERMS, 3, &[]).await;
    let market = &court.market;
    let binding = market.bind(4).await;
    active(market, &binding).await;
    // Balance and controller follow from the buyer's funding.
    let ledger = market.nodes.ledger().await.unwrap();
    let network = NetworkId::of_passphrase(&ledger.network().await.unwrap().passphrase);
    let buyer = market.buyer_on_the_ledger().await;
    let owner = Keystore::from_mnemonic(&market.buyer_words.parse().unwrap()).account().unwrap();
    let balance = balance_id::of_operation(buyer.id, buyer.sequence, 0);
    let controller = AccountId::of(&controller::key(&owner, &network, buyer.sequence));
    let made = market.on_the_ledger(controller).await;
    assert_eq!((made.thresholds.master, made.signers.len()), (0, 2 + 3 + 1));
    // Their own keys sign, and one of them pays for it.
    let thief = &court.owners[0];
    let account = market.on_the_ledger(AccountId::of(thief)).await;
    let steal = Unsigned {
        source: account.id,
        sequence: account.sequence + 1,
        fee: 1_000,
        bounds: Bounds::from_on(Timestamp::from_secs(0)),
        memo: Memo::None,
        operations: vec![
            operation::by(controller, operation::claim(balance)),
            operation::by(controller, operation::pay(account.id, &Asset::Native, Stroops::whole(20))),
        ],
    };
    let keys: Vec<&SigningKey> = std::iter::once(thief).chain(&court.keys).collect();
    let envelope = steal.sign(&keys, &network).unwrap();
    match ledger.submit(envelope.bytes()).await.unwrap() {
        Submitted::Refused { result } => assert!(format!("{result:?}").contains("OpBadAuth"), "{result:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(market.on_the_ledger(controller).await, made);
}

#[tokio::test]
async fn b21_an_issued_asset_is_divided_to_the_stroop_though_the_loser_drops_its_trustline() {
    let court = Court::open_issued(NODE, TERMS, 1).await;
    let market = &court.market;
    let (seller, buyer) = (market.seller_account, market.buyer_account);
    wait_holding(&court, buyer, Some(10_000_000_000)).await;
    let binding = market.bind(4).await;
    active(market, &binding).await;
    court.dispute(&market.buyer, &binding, "One call is missing.").await;
    // It gives away what it has left, and its trustline.
    let (asset, rest) = (court.asset.clone(), 10_000_000_000 - 200_000_000);
    let amount = Stroops::new(rest).unwrap();
    let pay = NewPayment { to: seller, amount, asset: asset.clone(), memo: None, dry_run: false };
    let _: Value = told(market.buyer.post("/v1/wallet/pay", &pay).await);
    wait_holding(&court, buyer, Some(0)).await;
    let trust = |limit| NewTrust { asset: asset.clone(), limit, dry_run: false };
    let _: Value = told(market.buyer.post("/v1/wallet/trust", &trust(Stroops::ZERO)).await);
    wait_holding(&court, buyer, None).await;
    court.award(0, &binding, Stroops::whole(15)).await;
    ends(&court, &binding, "split").await;
    wait_holding(&court, seller, Some(rest + 142_500_000)).await;
    wait_holding(&court, court.accounts[0], Some(FEE.get())).await;
    // Its part waits for it, and for its trustline.
    let _: Value = told(market.buyer.post("/v1/wallet/trust", &trust(Stroops::MAX)).await);
    wait_holding(&court, buyer, Some(47_500_000)).await;
}

/// Waits until an account holds exactly this of the asset, or has no trustline.
async fn wait_holding(court: &Court, account: AccountId, stroops: Option<i64>) {
    let end = std::time::Instant::now() + SOON;
    loop {
        let held = court.holds(account).await;
        if held == stroops {
            return;
        }
        assert!(std::time::Instant::now() < end, "{account} holds {held:?}, not {stroops:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
