//! One trade from offering to payment, exact to the stroop.

use core::time::Duration;

use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::market::command::Command;
use tradepost_tests::world::World;

/// 100 coins.
const START: i64 = 1_000_000_000;

#[test]
fn one_trade_settles_and_both_balances_are_exact() {
    let (mut world, published) = World::with_offering(1);
    let bond = world.ledger().balance(published.bond).unwrap().amount.get();
    assert_eq!(bond, 40_000_000, "price x min_units x max_supply");

    let bound = world.bind("consumer", published.offering, 3).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    assert_eq!(world.processes("provider").len(), 1);
    let escrow = world.trade("consumer").state.balance.unwrap();
    assert_eq!(world.ledger().balance(escrow).unwrap().amount.get(), 60_000_000);

    world.command("consumer", Command::Unbind(bound.request)).unwrap();
    world.wait_phase("provider", bound.request, Phase::Closed);
    world.wait_phase("consumer", bound.request, Phase::Closed);
    world.run_for(Duration::from_secs(3));

    assert_eq!(world.ledger().balance(escrow), None);
    assert!(world.processes("provider").is_empty());
    let (provider, consumer) = (world.funds("provider"), world.funds("consumer"));
    assert_eq!(provider, START + 60_000_000 - bond - world.fees("provider"));
    assert_eq!(consumer, START - 60_000_000 - world.fees("consumer"));
    assert_eq!((world.fees("provider"), world.fees("consumer")), (200, 100), "bond and collecting; funding");
}
