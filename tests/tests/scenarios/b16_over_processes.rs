//! B16 between real nodes: one of them is killed, or stopped for a moment.

use tradepost::api::view::{BindingView, OfferingList, OwnOfferingList};
use tradepost_tests::cluster::market::{BUYER, Market, SELLER, SOON, Terms, add, told};
use tradepost_tests::cluster::signal;

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");
/// So often a consumer is stopped for a moment, until that is no longer than the grace time on a busy machine.
const ATTEMPTS: usize = 5;

async fn active() -> (Market, String) {
    let market = Market::open(NODE, Terms::BY_CALL).await;
    let binding = bound(&market).await;
    (market, binding)
}

async fn bound(market: &Market) -> String {
    let binding = market.bind(3).await;
    market.until(&market.buyer, &binding, SOON, "the service runs", |view| view.session == "active").await;
    market.until(&market.seller, &binding, SOON, "the service runs", |view| view.session == "active").await;
    assert_eq!(market.service_records().len(), 1);
    binding
}

#[tokio::test]
async fn b16_a_killed_providers_consumer_is_told() {
    let (mut market, binding) = active().await;
    market.nodes.node_mut(SELLER).unwrap().kill();
    let seen = market.until(&market.buyer, &binding, SOON, "the provider is missed", |view| view.ended.is_some()).await;
    assert_eq!(seen.ended.as_deref(), Some("provider gone"));
    assert_eq!((seen.phase.as_str(), seen.escrow.unwrap().state.as_str()), ("failed", "locked"));
}

#[tokio::test]
async fn b16_a_killed_consumers_service_is_stopped_and_its_place_free() {
    let (mut market, binding) = active().await;
    market.nodes.node_mut(BUYER).unwrap().kill();
    let seen =
        market.until(&market.seller, &binding, SOON, "the consumer is missed", |view| view.ended.is_some()).await;
    assert_eq!(seen.ended.as_deref(), Some("consumer gone"));
    let free = |list: &OwnOfferingList| (list.items[0].free == Some(1)).then_some(());
    market.seller.until("the place is free", SOON, "/v1/offerings/own", free).await.unwrap();
    assert!(market.service_records().is_empty());
}

#[tokio::test]
async fn b16_a_consumer_that_is_back_within_the_grace_time_has_the_same_process() {
    let market = Market::open(NODE, Terms::BY_CALL).await;
    let buyer = market.nodes.node(BUYER).unwrap().running().unwrap().process.pid;
    for _ in 0..ATTEMPTS {
        let binding = bound(&market).await;
        let before = market.service_records();
        assert!(signal(buyer, "STOP"));
        // Stopped for as long as the provider takes to see nothing of it, but not to give it up.
        market.until(&market.seller, &binding, SOON, "away", |view| view.session != "active").await;
        assert!(signal(buyer, "CONT"));
        let decided = |view: &BindingView| view.session == "active" || view.ended.is_some();
        let seen = market.until(&market.seller, &binding, SOON, "the consumer is back", decided).await;
        if seen.ended.is_none() {
            add(&market.buyer, &binding).await;
            assert_eq!(market.service_records(), before);
            return;
        }
        // A busy machine was too slow for it: the next one may be in time.
        assert_eq!(seen.ended.as_deref(), Some("consumer gone"));
        market.until(&market.buyer, &binding, SOON, "it is over", |view| view.is_final).await;
        let series = market.published.series;
        let free = |list: &OfferingList| list.items.iter().any(|o| o.series == series && o.free > 0).then_some(());
        told(market.buyer.until("the place is free", SOON, "/v1/offerings", free).await);
    }
    panic!("{ATTEMPTS} times the consumer was given up");
}
