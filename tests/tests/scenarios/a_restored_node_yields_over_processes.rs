//! A restored node between real ones: it keeps apart while the node that its backup was made of answers, and takes its place
//! once that one is gone.

use std::time::{Duration, Instant};

use tradepost::api::view::StatusView;
use tradepost::demo::actor::Actor;
use tradepost_tests::cluster::market::{Market, SELLER, SOON, Terms, add, told};
use tradepost_tests::cluster::{Nodes, signal};

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");
/// Looks at the other node, then as long as its presence is listened for, on a busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(90);

async fn says(node: &Actor, patience: Duration, what: &str) {
    let named = |status: &StatusView| status.troubles.iter().any(|t| t.what.contains(what)).then_some(());
    told(node.until(what, patience, "/v1/status", named).await);
}

/// What `/ready` answers.
async fn readiness(nodes: &Nodes, name: &str) -> (u16, String) {
    let answer = reqwest::get(format!("{}/ready", nodes.node(name).unwrap().running().unwrap().api)).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Waits until a restored node has taken over.
async fn takes_over(nodes: &Nodes, name: &str) {
    let deadline = Instant::now() + TAKEN_OVER;
    while readiness(nodes, name).await.0 != 200 {
        assert!(Instant::now() < deadline, "it doesn't take over: {:?}", readiness(nodes, name).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Sells one call through a market's seller.
async fn sells(market: &Market) {
    let binding = market.bind(1).await;
    let active = |view: &tradepost::api::view::BindingView| view.session == "active";
    market.until(&market.buyer, &binding, SOON, "the service runs", active).await;
    add(&market.buyer, &binding).await;
    let closed = market.until(&market.buyer, &binding, SOON, "it is settled", |view| view.is_final).await;
    assert_eq!(closed.escrow.unwrap().state, "paid");
}

#[tokio::test]
async fn a_restored_seller_serves_only_once_the_node_that_it_was_made_of_is_gone() {
    let mut market = Market::open(NODE, Terms::BY_CALL).await;
    let restored = market.nodes.restore_beside(SELLER);
    told(market.nodes.run(&restored).await);
    let again = told(market.nodes.node(&restored).and_then(Actor::of));
    says(&again, SOON, "the node that it was made of answers").await;
    let (ready, why) = readiness(&market.nodes, &restored).await;
    assert!(ready == 503 && why.contains("run --alone"), "{ready}: {why}");
    let status: StatusView = told(again.get("/v1/status").await);
    assert_eq!(status.peers.met, 0, "it keeps apart, so that nobody takes it for the other one");
    sells(&market).await;

    market.kill(SELLER);
    takes_over(&market.nodes, &restored).await;
    market.seller = again;
    let series = market.published.series;
    let live = |list: &tradepost::api::view::OfferingList| {
        list.items.iter().any(|o| o.series == series && o.live && o.free > 0).then_some(())
    };
    told(market.buyer.until("the buyer sees it live", SOON, "/v1/offerings", live).await);
    sells(&market).await;
}

#[tokio::test]
async fn a_node_that_hangs_with_its_connections_open_is_as_good_as_gone() {
    let mut market = Market::open(NODE, Terms::BY_CALL).await;
    let restored = market.nodes.restore_beside(SELLER);
    let pid = market.nodes.node(SELLER).unwrap().running().unwrap().process.pid;
    assert!(signal(pid, "STOP"));
    told(market.nodes.run(&restored).await);
    takes_over(&market.nodes, &restored).await;
}

#[tokio::test]
async fn an_owner_who_knows_that_the_other_one_is_gone_need_not_wait() {
    let mut market = Market::open(NODE, Terms::BY_CALL).await;
    let restored = market.nodes.restore_beside(SELLER);
    market.kill(SELLER);
    market.kill(tradepost_tests::cluster::market::BOOTSTRAP);
    told(market.nodes.run(&restored).await);
    let again = told(market.nodes.node(&restored).and_then(Actor::of));
    says(&again, SOON, "nobody can be asked").await;
    market.nodes.node_mut(&restored).unwrap().kill();
    told(market.nodes.run_with(&restored, &["--alone"]).await);
    let again = told(market.nodes.node(&restored).and_then(Actor::of));
    let done = |status: &StatusView| {
        let restoring = status.troubles.iter().any(|t| t.what.contains("restored from a backup"));
        (!restoring).then_some(())
    };
    told(again.until("it takes its owner's word", SOON, "/v1/status", done).await);
}
