//! Overflow and zeros are refused where they make no sense; a price of zero does make sense.

use core::time::Duration;

use tradepost_protocol::amount::{Price, Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::market::command::{Command, OfferingDraft};
use tradepost_tests::world::{World, draft};

fn priced(stroops: i64) -> Price {
    Price { asset: Asset::Native, amount: Stroops::new(stroops).unwrap(), unit: Unit::Call }
}

#[test]
fn a5_overflow_and_counts_of_zero_are_refused_and_lock_nothing() {
    let mut world = World::new(105);
    world.add_node("provider", Stroops::whole(100));
    let drafts = [
        OfferingDraft { price: priced(1 << 62), min_units: 2, max_supply: 1, ..draft() },
        OfferingDraft { price: priced(1 << 62), min_units: 1, max_supply: 2, ..draft() },
        OfferingDraft { min_units: 0, ..draft() },
        OfferingDraft { max_supply: 0, ..draft() },
    ];
    for draft in drafts {
        let refused = world.command("provider", Command::Publish(Box::new(draft.clone())));
        assert!(refused.is_err(), "{draft:?}");
    }
    world.run_for(Duration::from_secs(5));
    assert_eq!((world.gain("provider"), world.fees("provider")), (0, 0));
    assert!(world.market("provider").book().is_empty());
}

#[test]
fn a5_a_price_of_zero_needs_the_least_bond_and_is_served_without_escrow() {
    let mut world = World::new(106);
    world.add_node("provider", Stroops::whole(100));
    world.add_node("consumer", Stroops::whole(100));
    let published = world.publish("provider", OfferingDraft { price: priced(0), ..draft() });
    assert_eq!(world.ledger().balance(published.bond).unwrap().amount, Stroops::whole(1), "the devnet's least");
    world.see("consumer", published.series);

    let bound = world.bind("consumer", published.offering, 4).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    assert_eq!(*world.trade("consumer").escrow(), EscrowState::Free);
    assert_eq!(world.processes("provider").len(), 1);
    world.command("consumer", Command::Unbind(bound.request)).unwrap();
    world.wait_phase("provider", bound.request, Phase::Closed);
    world.wait_phase("consumer", bound.request, Phase::Closed);
    assert!(world.processes("provider").is_empty());
    assert_eq!((world.gain("consumer"), world.fees("consumer")), (0, 0));
    assert_eq!(world.gain("provider"), -10_000_000);
}
