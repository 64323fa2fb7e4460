//! B20 between real nodes: the provider agrees and is killed; nobody types a command.

use std::time::Duration;

use tradepost_protocol::amount::Stroops;
use tradepost_protocol::stellar::reserve::LedgerParams;
use tradepost_tests::cluster::market::{BUYER, Market, SELLER, SOON, Terms};

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");
/// From the agreement to T and the ledger after it, on a busy machine.
const PAST_T: Duration = Duration::from_secs(120);

/// The two transactions of one operation each that the consumer pays for: it locks the money, it takes it back.
fn fees() -> Stroops {
    LedgerParams::USUAL.fee(1).times(2).unwrap()
}

#[tokio::test]
async fn b20_no_help_came_and_the_money_is_back_to_the_stroop() {
    let mut market = Market::open(NODE, Terms::BRIEF).await;
    let before = market.buyer_on_the_ledger().await;
    let binding = market.bind(2).await;
    market.nodes.node_mut(SELLER).unwrap().kill();
    let locked = |view: &tradepost::api::view::BindingView| view.escrow.as_ref().is_some_and(|e| e.state == "locked");
    market.until(&market.buyer, &binding, SOON, "the money is locked", locked).await;
    let during = market.buyer_on_the_ledger().await;
    assert_eq!(
        during.balance,
        before.balance.minus(Stroops::whole(14)).unwrap().minus(Stroops::new(100).unwrap()).unwrap()
    );
    let closed = market.until(&market.buyer, &binding, PAST_T, "the money is back", |view| view.is_final).await;
    assert_eq!(closed.escrow.unwrap().state, "refunded");
    let after = market.buyer_on_the_ledger().await;
    assert_eq!(after.balance, before.balance.minus(fees()).unwrap());
    assert_eq!((after.sponsoring, after.sub_entries), (0, 0));
}

#[tokio::test]
async fn b20_a_consumer_that_was_killed_takes_its_money_back_when_it_runs_again() {
    let mut market = Market::open(NODE, Terms::BRIEF).await;
    let before = market.buyer_on_the_ledger().await;
    let binding = market.bind(1).await;
    market.nodes.node_mut(SELLER).unwrap().kill();
    market.nodes.node_mut(BUYER).unwrap().kill();
    market.nodes.run(BUYER).await.unwrap();
    market.buyer = tradepost::demo::actor::Actor::of(market.nodes.node(BUYER).unwrap()).unwrap();
    let closed = market.until(&market.buyer, &binding, PAST_T, "the money is back", |view| view.is_final).await;
    // Killed this early, the funding may never have reached the ledger; then it didn't cost anything either.
    let after = market.buyer_on_the_ledger().await;
    match closed.escrow.map(|escrow| escrow.state).as_deref() {
        Some("refunded") => assert_eq!(after.balance, before.balance.minus(fees()).unwrap()),
        Some("none") => assert_eq!(after.balance, before.balance),
        other => panic!("{other:?}"),
    }
    assert_eq!(after.sponsoring, 0);
}
