//! Bond, reserves and fees have to be there before anything is signed.

use core::time::Duration;

use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::precheck::PrecheckFailure;
use tradepost_protocol::market::command::{Answer, Command, CommandError};
use tradepost_tests::world::{World, draft};

/// Bond of 4 coins, two claimants' and the account's own reserves of half a coin each, and the most that the fee may be.
const NEEDED: i64 = 40_000_000 + 2 * 5_000_000 + 2 * 5_000_000 + 1_000;

fn provider_with(stroops: i64) -> World {
    let mut world = World::new(106);
    world.add_node("provider", Stroops::new(stroops).unwrap());
    world.run_for(Duration::from_secs(2));
    world
}

#[test]
fn a6_one_stroop_short_of_bond_reserves_and_fees_is_refused_with_the_figure_missing() {
    let mut world = provider_with(NEEDED - 1);
    let refused = world.command("provider", Command::Publish(Box::new(draft()))).unwrap_err();
    let CommandError::Precheck(PrecheckFailure::WalletShort { missing, needed, free }) = &refused else {
        panic!("{refused}");
    };
    assert_eq!((missing.get(), needed.get() - free.get()), (1, 1));
    assert!(refused.to_string().contains("0.0000001"), "{refused}");
    world.run_for(Duration::from_secs(5));
    assert_eq!((world.gain("provider"), world.fees("provider")), (0, 0));
    assert_eq!(world.market("provider").offers().count(), 0);
}

#[test]
fn a6_exactly_enough_is_accepted() {
    let mut world = provider_with(NEEDED);
    let quoted = world.command("provider", Command::QuotePublish(Box::new(draft()))).unwrap();
    let Answer::Cost(cost) = quoted else { panic!("{quoted:?}") };
    assert_eq!(cost.amount.get() + cost.reserve.get() + cost.fee.get(), NEEDED - 10_000_000);
    assert_eq!(cost.free_before.get(), NEEDED - 10_000_000);
    let published = world.publish("provider", draft());
    assert_eq!(world.ledger().balance(published.bond).unwrap().amount.get(), 40_000_000);
    assert_eq!(world.gain("provider"), -40_000_000);
}
