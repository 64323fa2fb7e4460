//! B22 between real nodes: while the seller's claim waits, others fill the ledger and pay more; nobody types a command.

use std::time::{Duration, Instant};

use serde_json::json;
use stellar_xdr::TransactionEnvelope;
use tradepost::api::view::{BindingView, Done};
use tradepost_devnet::faults::{Faults, Submissions};
use tradepost_ledger::{Ledger as _, TxStatus};
use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::document::Windows;
use tradepost_tests::cluster::Nodes;
use tradepost_tests::cluster::crowd::Crowd;
use tradepost_tests::cluster::market::{Market, SOON, Terms, told};

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");
/// Long enough for a claim to be raised several times before T.
const TERMS: Terms = Terms {
    price: Stroops::whole(20),
    unit: Unit::Call,
    windows: Windows { deliver_secs: 600, collect_secs: 600 },
    max_supply: 1,
};
/// Operations of a ledger; two of the crowd's transactions fill it.
const LEDGER_SIZE: &str = "20";
/// How many others there are: more than a ledger has room for.
const OTHERS: u8 = 4;
/// What they offer for an operation: 25 times the least, so that the claim's offer, raised by tens, has to be raised twice.
const RISEN: u32 = 2_500;
/// From the claim's first offer until it is included.
const RAISING: Duration = Duration::from_secs(120);

#[tokio::test]
async fn b22_the_sellers_claim_that_finds_fees_risen_is_raised_and_lands_before_t() {
    let nodes = Nodes::start_with(NODE, &["--ledger-size", LEDGER_SIZE]).await;
    let market = Market::open_in(nodes, TERMS, "").await;
    let crowd = Crowd::of(&market.nodes, OTHERS).await;
    let binding = market.bind(1).await;
    let active = |view: &BindingView| view.phase == "active";
    market.until(&market.buyer, &binding, SOON, "the service runs", active).await;
    let before = market.on_the_ledger(market.seller_account).await;

    market.nodes.set_faults(Faults { submissions: Submissions::Stuck, ..Faults::NONE }).await;
    let path = format!("/v1/bindings/{binding}/unbind");
    let _: Done = told(market.buyer.post(&path, &json!({})).await);
    let until = Instant::now() + SOON;
    while market.nodes.pending().await == 0 {
        assert!(Instant::now() < until, "no claim is handed in");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    crowd.press(RISEN).await;
    market.nodes.set_faults(Faults::NONE).await;

    let closed = crowded(&market, &crowd, &binding).await;
    assert_eq!(closed.escrow.as_ref().unwrap().state, "paid");
    let ledger = market.nodes.ledger().await.unwrap();
    let hash = closed.transactions.closing.expect("the claim");
    let TxStatus::Success(found) = ledger.status(hash).await.unwrap() else { panic!("the claim isn't in the ledger") };
    assert!(matches!(found.envelope, TransactionEnvelope::TxFeeBump(_)), "it was raised, not made anew");
    assert!(found.at.close_time < closed.deadlines.unwrap().refund_at.unwrap().timestamp(), "before T");
    let fee = found.result.fee_charged;
    assert!(fee >= 2 * i64::from(RISEN), "as much as the others, for two operations: {fee}");
    let after = market.on_the_ledger(market.seller_account).await;
    assert_eq!(after.balance.get(), before.balance.get() + TERMS.price.get() - fee, "paid once, for one fee");
}

/// Keeps the ledger full until the seller has been paid.
async fn crowded(market: &Market, crowd: &Crowd, binding: &str) -> BindingView {
    let until = Instant::now() + RAISING;
    loop {
        crowd.press(RISEN).await;
        let view: BindingView = told(market.seller.get(&format!("/v1/bindings/{binding}")).await);
        if view.is_final {
            return view;
        }
        assert!(Instant::now() < until, "the claim isn't included: {view:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
