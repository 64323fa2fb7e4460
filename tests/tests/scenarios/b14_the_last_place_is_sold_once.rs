//! Supply: what is left is the same everywhere, and the last place goes to one.

use core::time::Duration;

use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::binding::precheck::PrecheckFailure;
use tradepost_protocol::market::command::{Command, CommandError, EscrowWish};
use tradepost_tests::world::{World, draft};

fn market_of(seed: u64, supply: u32, consumers: &[&str]) -> (World, tradepost_tests::world::Published) {
    let mut world = World::new(seed);
    for name in ["provider"].iter().chain(consumers) {
        world.add_node(name, Stroops::whole(100));
    }
    let published =
        world.publish("provider", tradepost_protocol::market::command::OfferingDraft { max_supply: supply, ..draft() });
    for name in consumers {
        world.see(name, published.series);
    }
    (world, published)
}

#[test]
fn b14_with_a_supply_of_ten_and_one_binding_nine_are_left_everywhere_and_ten_once_it_is_settled() {
    let (mut world, published) = market_of(31, 10, &["consumer", "watcher"]);
    let free = |world: &World, left: u32| {
        ["provider", "consumer", "watcher"]
            .iter()
            .all(|n| world.listing(n, published.series).is_some_and(|l| l.free == left))
    };
    assert!(free(&world, 10));
    let bound = world.bind("consumer", published.offering, 1).unwrap();
    world.run_until("nine left everywhere", Duration::from_secs(30), |world| free(world, 9));
    world.wait_phase("consumer", bound.request, Phase::Active);
    world.command("consumer", Command::Unbind(bound.request)).unwrap();
    world.wait_phase("provider", bound.request, Phase::Closed);
    world.run_until("ten left everywhere", Duration::from_secs(30), |world| free(world, 10));
}

#[test]
fn b14_without_a_free_place_a_binding_is_refused_before_any_money_moves() {
    let (mut world, published) = market_of(32, 1, &["consumer", "second"]);
    let bound = world.bind("consumer", published.offering, 1).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    world.run_until("no place left", Duration::from_secs(30), |world| {
        world.listing("second", published.series).is_some_and(|l| l.free == 0)
    });
    let refused = world.bind("second", published.offering, 1).unwrap_err();
    assert_eq!(refused, CommandError::Precheck(PrecheckFailure::NoFreeSupply(1)));
    assert_eq!((world.gain("second"), world.fees("second")), (0, 0));
}

#[test]
fn b14_of_two_consumers_that_race_for_the_last_place_exactly_one_is_served() {
    for seed in 33..43 {
        let (mut world, published) = market_of(seed, 1, &["consumer", "second"]);
        let bind =
            || Command::Bind { offering: published.offering, units: 3, wish: EscrowWish::default(), dry_run: false };
        let ids = [("consumer", world.give("consumer", bind())), ("second", world.give("second", bind()))];
        world.run_until("both answers", Duration::from_secs(120), |world| {
            ids.iter().all(|(_, id)| world.answer(*id).is_some())
        });
        world.run_for(Duration::from_secs(6));
        let served: Vec<&str> =
            ids.iter().filter(|(_, id)| world.answer(*id).unwrap().is_ok()).map(|(n, _)| *n).collect();
        assert_eq!(served.len(), 1, "seed {seed}");
        assert_eq!(world.services_started("provider"), 1, "seed {seed}");
        let other = if served == ["consumer"] { "second" } else { "consumer" };
        assert_eq!((world.gain(other), world.fees(other)), (0, 0), "seed {seed}: its money never left");
        assert_eq!(world.gain(served[0]), -60_000_000, "seed {seed}");
    }
}
