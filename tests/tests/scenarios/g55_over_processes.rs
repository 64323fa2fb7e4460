//! G55 between real nodes, under `arbitrated`: what an escrow locks besides its money is back after T.

use std::time::{Duration, Instant};

use tradepost::api::view::BindingView;
use tradepost_ledger::Ledger as _;
use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::document::Windows;
use tradepost_tests::cluster::Nodes;
use tradepost_tests::cluster::court::{Court, Deciding};
use tradepost_tests::cluster::market::{BUYER, SOON, Terms};

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");
/// The shortest windows that make sense, for T is waited for.
const TERMS: Terms = Terms {
    price: Stroops::whole(5),
    unit: Unit::Call,
    windows: Windows { deliver_secs: 3, collect_secs: 12 },
    max_supply: 1,
};
/// From the agreement to after T, on a busy machine.
const PAST_T: Duration = Duration::from_secs(240);
/// More than all transactions cost in fees here, and less than a base reserve.
const FEES: i64 = 50_000;

#[tokio::test]
async fn g55_a_buyer_that_is_back_only_after_t_has_its_money_and_every_reserve_to_the_stroop() {
    let mut court = Court::open_in(Nodes::start(NODE).await, TERMS, Deciding::BRIEF, 1, &["sh", "-c", "exit 1"]).await;
    let before = court.market.buyer_on_the_ledger().await;
    let binding = court.market.bind(4).await;
    let locked = |view: &BindingView| view.escrow.as_ref().is_some_and(|e| e.state == "locked");
    let view = court.market.until(&court.market.buyer, &binding, SOON, "the money is locked", locked).await;
    let during = court.market.buyer_on_the_ledger().await;
    assert!(during.sponsoring > 0 && before.balance.get() - during.balance.get() > 200_000_000 + 30_000_000);
    court.market.kill(BUYER);
    let refund_at = view.deadlines.unwrap().refund_at.unwrap().timestamp();
    let end = Instant::now() + PAST_T;
    let ledger = court.market.nodes.ledger().await.unwrap();
    while ledger.latest().await.unwrap().close_time <= refund_at {
        assert!(Instant::now() < end, "T doesn't come");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    court.market.restart(BUYER).await;
    loop {
        let after = court.market.buyer_on_the_ledger().await;
        let lost = before.balance.get() - after.balance.get();
        if (0..FEES).contains(&lost) && (after.sub_entries, after.sponsoring) == (0, 0) {
            break;
        }
        assert!(Instant::now() < end, "{before:?} became {after:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
