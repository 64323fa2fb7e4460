//! The provider is gone from the funding on and never comes back.

use core::time::Duration;

use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_tests::world::{Moment, Script, World};

#[test]
fn b20_from_t_on_the_consumers_node_takes_the_money_back_by_itself_the_provider_offline_the_whole_time() {
    let (mut world, published) = World::with_offering(20);
    world.set_script("provider", Script::Silent);
    world.kill_when("provider", Moment::BeforeEffects, |market| {
        market.trades().any(|t| *t.escrow() == EscrowState::Locked)
    });
    let request = world.bind("consumer", published.offering, 5).unwrap().request;
    let refund_at = world.trade("consumer").terms().unwrap().terms.refund_at().unwrap();
    world.run_until("the provider's end", Duration::from_secs(10), |world| !world.is_up("provider"));

    world.wait_phase("consumer", request, Phase::Failed);
    let escrow = world.trade("consumer").state.balance.unwrap();
    world.run_until("the second before T", Duration::from_secs(120), |world| {
        world.close_time().secs() == refund_at.secs() - 1
    });
    assert_eq!(world.ledger().balance(escrow).unwrap().amount.get(), 100_000_000, "locked until T");
    assert_eq!(world.gain("consumer"), -100_000_000);

    world.wait_phase("consumer", request, Phase::Closed);
    assert_eq!(*world.trade("consumer").escrow(), EscrowState::Refunded);
    assert!(world.close_time() >= refund_at);
    assert!(world.close_time() <= refund_at.plus(Duration::from_secs(5)), "it didn't wait longer than it had to");
    assert_eq!(world.ledger().balance(escrow), None);
    assert_eq!(world.gain("consumer"), 0);
    assert_eq!(world.fees("consumer"), 200, "funding and refund");
    assert!(!world.is_up("provider"));
    assert_eq!(world.gain("provider"), -40_000_000, "its bond, and nothing else");
}
