//! B18 and B19 between real nodes: the seller's service doesn't start, or takes connections and never answers.

use tradepost::api::view::BindingView;
use tradepost_ledger::Ledger as _;
use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::binding::session::End;
use tradepost_protocol::document::Windows;
use tradepost_protocol::stellar::reserve::LedgerParams;
use tradepost_tests::cluster::court::Court;
use tradepost_tests::cluster::market::{Market, SOON, Terms};

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");
/// T is so far that nothing of this waits for it.
const TERMS: Terms = Terms {
    price: Stroops::whole(7),
    unit: Unit::Call,
    windows: Windows { deliver_secs: 3_600, collect_secs: 3_600 },
    max_supply: 1,
};
/// Takes connections at its port and never says a word.
const MUTE: &str = "import socket, sys, time\ns = socket.socket()\ns.bind(('127.0.0.1', int(sys.argv[1])))\ns.listen(64)\ntime.sleep(600)";

/// The buyer is told why the service of this command didn't start, and has all its money back long before T.
async fn is_paid_back(start: &[&str], table: &str, why: &str) {
    let market = Market::open_serving(NODE, TERMS, start, table).await;
    let before = market.buyer_on_the_ledger().await;
    let binding = market.bind(2).await;
    let failed = |view: &BindingView| view.ended.is_some();
    let view = market.until(&market.buyer, &binding, SOON, "it hears that the start failed", failed).await;
    assert_eq!(view.ended.as_deref(), Some(End::StartFailed.as_str()));
    assert!(view.note.as_ref().is_some_and(|note| note.contains(why)), "{:?}", view.note);
    let back = |view: &BindingView| view.escrow.as_ref().is_some_and(|escrow| escrow.state == "refunded");
    market.until(&market.buyer, &binding, SOON, "the money is back", back).await;
    let after = market.buyer_on_the_ledger().await;
    let fee = LedgerParams::USUAL.fee(1);
    assert_eq!(after.balance, before.balance.minus(fee).unwrap(), "all but what locking it cost");
    assert_eq!((after.sponsoring, after.sub_entries), (0, 0), "and not a stroop of reserve stays locked");
    assert!(market.service_records().is_empty(), "nothing of the service is left running");
}

#[tokio::test]
async fn b18_a_command_that_fails_is_told_and_paid_back_long_before_t() {
    is_paid_back(&["sh", "-c", "exit 3"], "", "exit code 3").await;
}

#[tokio::test]
async fn b19_a_service_that_connects_and_never_answers_is_not_healthy_and_paid_back() {
    is_paid_back(&["python3", "-c", MUTE, "{port}"], "start_timeout = 2\n", "not healthy within 2 s").await;
}

#[tokio::test]
async fn b18_a_service_that_answers_no_health_check_well_is_paid_back() {
    let start = ["python3", "-m", "http.server", "--bind", "127.0.0.1", "{port}"];
    is_paid_back(&start, "start_timeout = 2\n", "404").await;
}

#[tokio::test]
async fn b18_under_arbitrated_a_command_that_fails_is_paid_back_before_t_and_no_arbiter_is_paid() {
    let court = Court::open(NODE, TERMS, 1, &["sh", "-c", "exit 3"]).await;
    let market = &court.market;
    let arbiter = market.on_the_ledger(court.accounts[0]).await;
    let binding = market.bind(2).await;
    let back = |view: &BindingView| view.is_final && view.escrow.as_ref().is_some_and(|e| e.state == "refunded");
    let view = market.until(&market.buyer, &binding, SOON, "the money is back", back).await;
    assert_eq!(view.ended.as_deref(), Some(End::StartFailed.as_str()));
    let newest = market.nodes.ledger().await.unwrap().latest().await.unwrap();
    assert!(newest.close_time < view.deadlines.unwrap().deliver_by.timestamp(), "long before T");
    assert_eq!(market.on_the_ledger(court.accounts[0]).await.balance, arbiter.balance);
}
