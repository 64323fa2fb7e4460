//! G56 between real nodes: the test network begins anew under their feet, and while they are down.

use std::time::{Duration, Instant};

use tradepost::api::view::{StatusView, WalletView};
use tradepost::demo::actor::Actor;
use tradepost::home::RunState;
use tradepost_tests::cluster::market::{BUYER, Market, SELLER, SOON, Terms};

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");

/// Waits until a node that starts anew by itself says what ended with the network.
async fn begun_anew(market: &Market, name: &str) -> (Actor, StatusView) {
    let deadline = Instant::now() + SOON;
    loop {
        let node = market.nodes.node(name).unwrap();
        // While it starts anew, nobody answers.
        if let Ok(actor) = Actor::of(node)
            && let Ok(status) = actor.get::<StatusView>("/v1/status").await
            && !status.resets.is_empty()
        {
            return (actor, status);
        }
        assert!(Instant::now() < deadline, "{name} says nothing of the reset: {}", node.error("in vain"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn pid(market: &Market, name: &str) -> u32 {
    match market.nodes.node(name).unwrap().home().run_state().unwrap() {
        RunState::Running(run) => run.process.pid,
        other => panic!("{name} doesn't run: {other:?}"),
    }
}

/// What a node has kept of the old network is whole, and its keys are where they were.
fn is_archived(market: &Market, name: &str, status: &StatusView) {
    let home = market.nodes.node(name).unwrap().home();
    let [reset] = &status.resets[..] else { panic!("one reset: {:?}", status.resets) };
    let archive = std::path::Path::new(&reset.archive);
    assert!(archive.starts_with(home.archive_dir()) && archive.join("data/journal").exists(), "{archive:?}");
    assert!(home.key_file().exists() && home.config_file().exists());
    assert!(reset.why.contains("was reset") && reset.unread.is_none(), "{reset:?}");
    assert_eq!((status.offerings.known, status.bindings.len(), status.offerings.own.len()), (0, 0, 0), "a new book");
    assert!(status.troubles.iter().any(|t| t.what.contains("doesn't exist on the ledger")), "{:?}", status.troubles);
}

#[tokio::test]
async fn g56_running_nodes_and_one_that_was_down_archive_the_old_network_and_trade_on_the_new_one() {
    let mut market = Market::open(NODE, Terms::BY_CALL).await;
    let binding = market.bind(2).await;
    market.until(&market.buyer, &binding, SOON, "it is active", |view| view.phase == "active").await;
    let keys = std::fs::read(market.nodes.node(SELLER).unwrap().home().key_file()).unwrap();
    let seller_pid = pid(&market, SELLER);
    market.nodes.node_mut(BUYER).unwrap().kill();
    market.nodes.reset_ledger().await.unwrap();

    let (seller, status) = begun_anew(&market, SELLER).await;
    is_archived(&market, SELLER, &status);
    assert_eq!(pid(&market, SELLER), seller_pid, "it never ended");
    let reset = &status.resets[0];
    assert_eq!(reset.bindings.iter().map(|b| b.name()).collect::<Vec<_>>(), std::slice::from_ref(&binding));
    assert_eq!(reset.offerings.iter().map(|o| o.series).collect::<Vec<_>>(), [market.published.series]);
    assert_eq!(std::fs::read(market.nodes.node(SELLER).unwrap().home().key_file()).unwrap(), keys);

    market.nodes.run(BUYER).await.unwrap();
    let (buyer, status) = begun_anew(&market, BUYER).await;
    is_archived(&market, BUYER, &status);
    assert_eq!(status.resets[0].bindings[0].name(), binding);

    (market.seller, market.buyer) = (seller, buyer);
    market.begin_again(Terms::BY_CALL).await;
    let binding = market.bind(1).await;
    market.until(&market.buyer, &binding, SOON, "it is active", |view| view.phase == "active").await;
    let spent = |wallet: &WalletView| (!wallet.locked.is_empty()).then_some(());
    market.buyer.until("the escrow is in the wallet", SOON, "/v1/wallet", spent).await.unwrap();

    // What was said is said again, and archived once.
    market.nodes.node_mut(BUYER).unwrap().kill();
    market.nodes.run(BUYER).await.unwrap();
    let (_, status) = begun_anew(&market, BUYER).await;
    assert_eq!(status.resets.len(), 1);
    assert_eq!(status.bindings.iter().map(|b| b.name()).collect::<Vec<_>>(), [binding]);
}
