//! A published request between real nodes: the provider's process is dead when it is made, and answers it afterwards.

use std::time::Duration;

use tradepost::api::request::{NewBinding, NewRequest};
use tradepost::api::view::{BindingView, Bound, Done, RequestList, Requested};
use tradepost_protocol::amount::Stroops;
use tradepost_tests::cluster::market::{BUYER, Market, SELLER, SOON, Terms, add};

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");
/// A restart, a catch-up with another node, pings both ways and a few ledgers, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn the_provider_is_dead_when_it_is_asked_and_both_restart_and_the_trade_is_made() {
    let mut market = Market::open(NODE, Terms::BY_CALL).await;
    let before = market.buyer_on_the_ledger().await;
    market.nodes.node_mut(SELLER).unwrap().kill();
    let offering = market.published.series.to_string();
    let bind = NewBinding { offering: offering.clone(), units: 1, ..NewBinding::default() };
    let refused = market.buyer.post::<Bound>("/v1/bindings", &bind).await.unwrap_err().to_string();
    assert!(refused.contains("request publish"), "{refused}");

    let wanted = NewRequest { offering, units: 2, life_secs: 1_800, escrow: None, dry_run: false };
    let given_up: Requested = market.buyer.post("/v1/requests", &wanted).await.unwrap();
    let path = format!("/v1/requests/{}/cancel", given_up.request);
    let done: Done = market.buyer.post(&path, &serde_json::json!({})).await.unwrap();
    assert!(done.done);
    let requested: Requested = market.buyer.post("/v1/requests", &wanted).await.unwrap();
    let list: RequestList = market.buyer.get("/v1/requests").await.unwrap();
    let states: Vec<&str> = list.items.iter().map(|view| view.state.as_str()).collect();
    assert_eq!((list.total, states.iter().filter(|s| **s == "live").count()), (2, 1), "{states:?}");

    market.nodes.node_mut(BUYER).unwrap().kill();
    market.nodes.run_all(&[SELLER, BUYER]).await.unwrap();
    market.buyer = tradepost::demo::actor::Actor::of(market.nodes.node(BUYER).unwrap()).unwrap();
    market.seller = tradepost::demo::actor::Actor::of(market.nodes.node(SELLER).unwrap()).unwrap();
    let name = requested.request.to_string();
    let active = |view: &BindingView| view.phase == "active";
    let view = market.until(&market.buyer, &name, PATIENCE, "the service runs", active).await;
    assert_eq!(view.amount, Some(Stroops::whole(6)));
    let binding = view.binding.unwrap().to_string();
    add(&market.buyer, &binding).await;
    add(&market.buyer, &binding).await;
    let closed = market.until(&market.buyer, &binding, SOON, "it is settled", |view| view.is_final).await;
    assert_eq!(closed.escrow.unwrap().state, "paid");
    let after = market.buyer_on_the_ledger().await;
    let spent = Stroops::whole(6).plus(Stroops::new(100).unwrap()).unwrap();
    assert_eq!(after.balance, before.balance.minus(spent).unwrap());
    let given_up = market.until(&market.buyer, &given_up.request.to_string(), SOON, "it is void", |v| v.is_final).await;
    assert_eq!((given_up.phase.as_str(), given_up.binding), ("void", None));
}
