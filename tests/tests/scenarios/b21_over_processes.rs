//! B21 between real nodes: who is paid where the two sides don't agree, to the stroop.

use std::time::Duration;

use tradepost::api::view::BindingView;
use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::document::Windows;
use tradepost_protocol::stellar::entry::AccountState;
use tradepost_tests::cluster::court::{Court, FEE};
use tradepost_tests::cluster::market::{Market, SOON, Terms, add};

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");
/// Twenty coins for four calls.
const TERMS: Terms = Terms {
    price: Stroops::whole(5),
    unit: Unit::Call,
    windows: Windows { deliver_secs: 30, collect_secs: 12 },
    max_supply: 1,
};
/// From an award to T and the ledger after it, on a busy machine.
const PAST_T: Duration = Duration::from_secs(180);
/// More than all transactions of one node cost in fees here, and less than anything that is paid.
const FEES: i64 = 50_000;

async fn active(market: &Market, binding: &str) {
    let runs = |view: &BindingView| view.phase == "active";
    market.until(&market.buyer, binding, SOON, "the service runs", runs).await;
}

async fn ends(court: &Court, binding: &str, state: &str) {
    for side in [&court.market.seller, &court.market.buyer] {
        let is = |view: &BindingView| view.is_final && view.escrow.as_ref().is_some_and(|e| e.state == state);
        court.market.until(side, binding, PAST_T, state, is).await;
    }
}

/// Waits until an account has exactly these coins more or less, but for fees.
async fn gained(court: &Court, before: &AccountState, stroops: i64) -> AccountState {
    let end = std::time::Instant::now() + PAST_T;
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
    // Three coins for the arbiters, three quarters of them the seller's.
    gained(&court, &seller, 150_000_000 - 22_500_000).await;
    gained(&court, &buyer, 50_000_000 - 7_500_000 - 200_000_000).await;
    // Who awarded knows of its fee; the third one's waits on the ledger for it.
    for at in [0, 2] {
        gained(&court, &arbiters[at], FEE.get()).await;
    }
}
