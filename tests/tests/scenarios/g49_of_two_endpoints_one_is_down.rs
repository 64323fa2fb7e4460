//! G49: two endpoints of one ledger, each behind a server of the test's own that can be taken down.

use std::process::Command;

use serde_json::json;
use tradepost::api::view::{EndpointView, Funded, StatusView, WalletView};
use tradepost::demo::actor::Actor;
use tradepost::demo::cluster::Setup;
use tradepost_tests::cluster::Nodes;
use tradepost_tests::cluster::endpoint::Endpoint;
use tradepost_tests::cluster::market::SOON;

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");

async fn until(node: &Actor, what: &str, is: impl Fn(&StatusView) -> bool) -> StatusView {
    node.until(what, SOON, "/v1/status", |status: &StatusView| is(status).then(|| status.clone())).await.unwrap()
}

fn state<'a>(status: &'a StatusView, endpoint: &Endpoint) -> &'a EndpointView {
    status.ledger.endpoints.iter().find(|view| view.url == endpoint.url()).unwrap()
}

#[tokio::test]
async fn g49_one_of_two_endpoints_is_down_it_is_noticed_the_other_serves_and_the_command_says_which() {
    let mut nodes = Nodes::start(NODE).await;
    let (first, second) = (Endpoint::open(nodes.rpc_url()).await, Endpoint::open(nodes.rpc_url()).await);
    let config = format!("ledger.endpoints = [\"north={}\", \"south={}\"]\n", first.url(), second.url());
    nodes.add("node", &Setup { bootstrap: Vec::new(), keys: true, config, ..Setup::default() }).await.unwrap();
    let node = nodes.run("node").await.unwrap();
    let node = Actor::of(node).unwrap();
    let well = until(&node, "both are well", |s| s.ledger.endpoints.iter().all(|e| e.state == "fine")).await;
    assert_eq!(well.ledger.rpc_url, first.url());
    assert!(well.troubles.iter().all(|trouble| !trouble.what.contains("RPC server")), "{:?}", well.troubles);

    first.goes_down();
    let noticed = until(&node, "it is noticed", |s| state(s, &first).state == "failing").await;
    assert_eq!((state(&noticed, &second).state.as_str(), state(&noticed, &first).operator.as_str()), ("fine", "north"));
    let served = until(&node, "the other one serves", |s| s.ledger.sequence > noticed.ledger.sequence).await;
    assert!(served.ledger.ok);
    assert_eq!(served.ledger.rpc_url, second.url());
    let named = |s: &StatusView| s.troubles.iter().any(|t| t.what.contains(first.url()) && t.what.contains("north"));
    assert!(!until(&node, "it is named as a trouble", named).await.ok);
    let _: Funded = node.post("/v1/wallet/fund", &json!({})).await.unwrap();
    let there = |wallet: &WalletView| (!wallet.spendable.is_zero()).then_some(());
    node.until("money moves meanwhile", SOON, "/v1/wallet", there).await.unwrap();
    let home = nodes.node("node").unwrap().home().dir().to_owned();
    let said = Command::new(NODE).arg("status").arg("--home").arg(home).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let line = said.lines().find(|line| line.trim_start().starts_with(first.url())).unwrap();
    assert!(line.contains("(north): failing"), "{said}");
    assert!(said.contains(&format!("{} (south): fine", second.url())), "{said}");

    first.is_honest();
    until(&node, "it answers again", |s| state(s, &first).state == "fine").await;
    let well = until(&node, "the first one is asked again", |s| s.ledger.rpc_url == first.url()).await;
    assert!(!named(&well), "{:?}", well.troubles);
}

#[tokio::test]
async fn g49_with_both_down_the_ledger_cant_be_read_and_both_are_named() {
    let mut nodes = Nodes::start(NODE).await;
    let (first, second) = (Endpoint::open(nodes.rpc_url()).await, Endpoint::open(nodes.rpc_url()).await);
    let config = format!("ledger.endpoints = [\"north={}\", \"south={}\"]\n", first.url(), second.url());
    nodes.add("node", &Setup { bootstrap: Vec::new(), keys: false, config, ..Setup::default() }).await.unwrap();
    let node = Actor::of(nodes.run("node").await.unwrap()).unwrap();
    first.goes_down();
    second.goes_down();
    let down = until(&node, "there is no news of the ledger", |s| !s.ledger.ok).await;
    let why = down.ledger.why.unwrap();
    assert!(why.contains(first.url()) && why.contains(second.url()), "{why}");
    second.is_honest();
    until(&node, "one of them is enough", |s| s.ledger.ok).await;
}
