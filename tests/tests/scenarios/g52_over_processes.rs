//! G52 between real nodes: each side in turn is backed up with an open trade, lost, and restored into another home.

use tradepost::demo::actor::Actor;
use tradepost_protocol::binding::phase::{Phase, Side};
use tradepost_tests::cluster::market::{BUYER, SELLER, told};
use tradepost_tests::cluster::stage::{End, Stage, name};

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");

/// Backs a node up, kills it, removes its home, and runs what was restored of it.
async fn move_elsewhere(stage: &mut Stage, side: Side) {
    let nodes = &mut stage.market.nodes;
    let restored = nodes.restore_beside(name(side));
    let lost = nodes.node_mut(name(side)).unwrap();
    lost.kill();
    std::fs::remove_dir_all(lost.home().dir()).unwrap();
    told(nodes.run(&restored).await);
    let actor = told(nodes.node(&restored).and_then(Actor::of));
    match side {
        Side::Provider => stage.market.seller = actor,
        Side::Consumer => stage.market.buyer = actor,
    }
}

#[tokio::test]
async fn g52_a_buyer_restored_elsewhere_in_the_middle_of_a_session_pays_what_it_got() {
    let mut stage = Stage::open(NODE).await;
    let (before, request) = stage.bring_to(Phase::Active).await;
    move_elsewhere(&mut stage, Side::Consumer).await;
    let (end, units) = stage.end(request).await;
    assert_eq!(end, End::Paid);
    stage.check_books(BUYER, &before, end, units).await;
    stage.check_that_nothing_is_left(BUYER).await;
}

#[tokio::test]
async fn g52_a_seller_restored_elsewhere_collects_what_it_had_earned() {
    let mut stage = Stage::open(NODE).await;
    let (before, request) = stage.bring_to(Phase::Delivered).await;
    move_elsewhere(&mut stage, Side::Provider).await;
    stage.let_go().await;
    let (end, units) = stage.end(request).await;
    assert_eq!(end, End::Paid);
    stage.check_books(SELLER, &before, end, units).await;
}
