//! Where two operators' endpoints are configured, one of them alone starts no delivery and no funding above the owner's limit.

use core::time::Duration;

use serde_json::Value;
use tradepost::api::view::{BindingView, StatusView};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::market::WAITS_FOR_WORD;
use tradepost_tests::cluster::Nodes;
use tradepost_tests::cluster::endpoint::Endpoint;
use tradepost_tests::cluster::market::{Market, SOON, Terms};
use tradepost_tests::world::{Published, SecondEndpoint, World};

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");

/// An offering whose provider and consumer ask two operators above five coins.
fn world(seed: u64) -> (World, Published) {
    let (mut world, published) = World::with_offering(seed);
    for name in ["provider", "consumer"] {
        world.set_one_word_limit(name, Stroops::whole(5));
        world.kill(name);
        world.start(name);
    }
    world.see("consumer", published.series);
    (world, published)
}

fn note(world: &World) -> String {
    world.trade("provider").state.note.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn an_escrow_that_one_of_two_endpoints_doesnt_show_starts_nothing_until_both_do() {
    let (mut world, published) = world(71);
    let bound = world.bind("consumer", published.offering, 5).unwrap();
    world.set_second_endpoint(SecondEndpoint::HidesBalances);
    world.run_until("the provider says that it waits", Duration::from_secs(20), |world| {
        note(world).starts_with(WAITS_FOR_WORD)
    });
    world.run_for(Duration::from_secs(3));
    assert_eq!(*world.trade("provider").escrow(), EscrowState::Intended);
    assert_eq!(world.phase("provider", bound.request), Phase::Agreed);
    world.set_second_endpoint(SecondEndpoint::Agrees);
    world.wait_phase("provider", bound.request, Phase::Active);
    assert_eq!(note(&world), "");
}

#[test]
fn with_one_endpoint_down_funding_above_the_limit_waits_and_what_is_below_it_and_refunds_go_on() {
    let (mut world, published) = world(72);
    world.set_second_endpoint(SecondEndpoint::Down);
    let refused = world.bind("consumer", published.offering, 5).unwrap_err();
    assert_eq!(refused.code(), "ledger-unavailable");
    assert_eq!((world.gain("consumer"), world.fees("consumer")), (0, 0), "no money moved");
    let bound = world.bind("consumer", published.offering, 2).unwrap();
    world.wait_phase("provider", bound.request, Phase::Active);

    // What was locked before comes back, whoever answers.
    world.set_second_endpoint(SecondEndpoint::Agrees);
    let bound = world.bind("consumer", published.offering, 5).unwrap();
    world.set_second_endpoint(SecondEndpoint::Down);
    world.kill("provider");
    let closed = |world: &mut World| {
        let trade = world.market("consumer").trade(bound.request.as_bytes());
        trade.is_some_and(|trade| *trade.escrow() == EscrowState::Refunded)
    };
    world.run_until("the refund", Duration::from_secs(120), closed);
}

/// Hides every claimable balance.
fn hides_balances(method: &str, _: &Value, result: &mut Value) {
    if let ("getLedgerEntries", Some(entries)) = (method, result["entries"].as_array_mut()) {
        entries.retain(|entry| !entry["key"].as_str().is_some_and(|key| key.starts_with("AAAABA")));
    }
}

#[tokio::test]
async fn a_lying_endpoint_is_dropped_and_named_and_the_delivery_waits_for_a_second_word() {
    let nodes = Nodes::start(NODE).await;
    let (honest, liar) = (Endpoint::open(nodes.rpc_url()).await, Endpoint::open(nodes.rpc_url()).await);
    let sellers = format!("ledger.endpoints = [\"north={}\", \"south={}\"]\n", honest.url(), liar.url());
    let market = Market::open_in(nodes, Terms::BRIEF, &sellers).await;
    liar.lies(hides_balances);
    let before = market.buyer_on_the_ledger().await;
    let binding = market.bind(2).await;
    let named = |status: &StatusView| {
        let dropped = status.ledger.endpoints.iter().any(|e| e.url == liar.url() && e.state == "dropped");
        let waits = status.troubles.iter().any(|trouble| trouble.what.contains(WAITS_FOR_WORD));
        (dropped && waits).then_some(())
    };
    market.seller.until("the liar is named and the delivery waits", SOON, "/v1/status", named).await.unwrap();
    assert!(market.service_records().is_empty(), "nothing was started");
    // Nobody delivered, so at T the buyer has its money back.
    let patience = Duration::from_secs(120);
    let back = |view: &BindingView| view.is_final;
    let closed = market.until(&market.buyer, &binding, patience, "the money is back", back).await;
    assert_eq!(closed.escrow.unwrap().state, "refunded");
    let after = market.buyer_on_the_ledger().await;
    assert_eq!(after.balance, before.balance.minus(Stroops::new(200).unwrap()).unwrap());
    assert!(market.service_records().is_empty());
}
