//! One trade from offering to payment, exact to the stroop.

use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::market::command::Command;
use tradepost_tests::world::World;

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

    assert_eq!(world.ledger().balance(escrow), None);
    assert!(world.processes("provider").is_empty());
    assert_eq!(world.gain("provider"), 60_000_000 - bond);
    assert_eq!(world.gain("consumer"), -60_000_000);
    assert_eq!((world.fees("provider"), world.fees("consumer")), (200, 100), "bond and collecting; funding");
}
