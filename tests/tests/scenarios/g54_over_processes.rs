//! G54 between real nodes: the buyer's home is gone, its words are not.

use std::time::Instant;

use serde_json::Value;
use tradepost::api::view::RecoveryView;
use tradepost::demo::actor::Actor;
use tradepost::demo::cluster::Setup;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::phase::Phase;
use tradepost_tests::cluster::market::{BOOTSTRAP, BUYER, SELLER, SOON, told};
use tradepost_tests::cluster::run_json;
use tradepost_tests::cluster::stage::{Before, PAST_T, Stage, TERMS};

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");
/// The node on the other machine.
const AGAIN: &str = "buyer-again";

#[tokio::test]
async fn g54_on_another_machine_the_words_and_one_command_bring_the_escrow_back() {
    let mut stage = Stage::open(NODE).await;
    let (Before { accounts: [_, before], .. }, _) = stage.bring_to(Phase::Funded).await;
    stage.market.kill(SELLER);
    stage.market.kill(BUYER);
    let market = &mut stage.market;
    std::fs::remove_dir_all(market.nodes.node(BUYER).unwrap().home().dir()).unwrap();

    let bootstrap = market.nodes.node(BOOTSTRAP).unwrap().running().unwrap().p2p.clone();
    let setup = Setup { bootstrap, keys: true, mnemonic: Some(market.buyer_words.clone()), ..Setup::default() };
    told(market.nodes.add(AGAIN, &setup).await);
    told(market.nodes.run(AGAIN).await);
    let home = market.nodes.node(AGAIN).unwrap().home().dir().to_str().unwrap().to_owned();
    let recovered: Value = run_json(NODE, &["wallet", "recover", "--yes", "--json", "--home", &home]);
    let view: RecoveryView = serde_json::from_value(recovered).unwrap();
    let [found] = view.found.as_slice() else { panic!("the one escrow: {view:#?}") };
    assert_eq!((found.what.as_str(), found.state.as_str(), found.mine), ("escrow", "wanted", true));
    assert_eq!((found.amount, found.may_be_collected_by), (TERMS.price, Some(market.seller_account)));

    market.nodes.advance_clock(PAST_T).await;
    let again = told(market.nodes.node(AGAIN).and_then(Actor::of));
    let taken = |view: &RecoveryView| (view.found[0].state == "taken").then_some(());
    told(again.until("the money is back", SOON, "/v1/wallet/recover", taken).await);
    let after = market.buyer_on_the_ledger().await;
    let fees = Stroops::new(200).unwrap();
    assert_eq!(after.balance, before.balance.minus(fees).unwrap(), "all but the fees of funding and refund");
    assert_eq!((after.sponsoring, after.sub_entries), (before.sponsoring, before.sub_entries));

    // Asked again it finds nothing to do, and costs nothing.
    let began = Instant::now();
    let again: RecoveryView =
        serde_json::from_value(run_json(NODE, &["wallet", "recover", "--yes", "--json", "--home", &home])).unwrap();
    assert!(again.found.iter().all(|found| found.state != "standing" && found.state != "wanted"), "{again:#?}");
    assert!(began.elapsed() < SOON);
    assert_eq!(market.buyer_on_the_ledger().await, after);
}
