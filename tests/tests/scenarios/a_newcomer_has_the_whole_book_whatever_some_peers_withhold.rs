//! A newcomer asks several peers for their books: one that sends nothing and one that leaves something out cost it nothing.

use core::time::Duration;

use tradepost_protocol::amount::Stroops;
use tradepost_protocol::message::SeriesId;
use tradepost_tests::world::{Giving, World, draft};

/// Lists, messages, and a look at the bonds.
const SYNCED: Duration = Duration::from_secs(25);
const OFFERINGS: usize = 8;

/// A provider's offerings at three nodes that are always there, the provider gone.
fn market(seed: u64) -> (World, Vec<SeriesId>) {
    let mut world = World::new(seed);
    for name in ["miser", "fibber", "honest"] {
        world.add_bootstrap(name);
    }
    world.add_node("provider", Stroops::whole(100));
    world.run_until("the account", SYNCED, |world| world.market("provider").account().is_some());
    let published: Vec<SeriesId> = (0..OFFERINGS).map(|_| world.publish("provider", draft()).series).collect();
    for name in ["miser", "fibber", "honest"] {
        world.run_until("all offerings", SYNCED, |world| known(world, name, &published) == OFFERINGS);
    }
    world.kill("provider");
    world.set_giving("miser", Giving::ListsOnly);
    world.set_giving("fibber", Giving::LeavesOut);
    (world, published)
}

fn known(world: &World, name: &str, all: &[SeriesId]) -> usize {
    all.iter().filter(|series| world.listing(name, **series).is_some_and(|listing| listing.bonded)).count()
}

#[test]
fn of_three_peers_one_withholds_and_one_lies_by_omission_and_the_newcomer_has_the_whole_book() {
    let (mut world, published) = market(541);
    world.add_bootstrap("newcomer");
    world.run_until("the whole book", SYNCED, |world| known(world, "newcomer", &published) == OFFERINGS);
    let sync = world.market("newcomer").first_sync(world.now());
    assert_eq!((sync.read.len(), sync.missing(), sync.under_way), (3, 0, 0));
}

#[test]
fn with_fewer_than_three_peers_it_says_how_many_are_missing() {
    let (mut world, published) = market(542);
    world.kill("honest");
    world.add_bootstrap("newcomer");
    world.run_for(SYNCED);
    assert!(known(&world, "newcomer", &published) < OFFERINGS, "what both keep back can't be had");
    let sync = world.market("newcomer").first_sync(world.now());
    assert_eq!((sync.read.len(), sync.missing(), sync.under_way), (2, 1, 0));
    world.start("honest");
    world.run_until("the whole book", SYNCED, |world| known(world, "newcomer", &published) == OFFERINGS);
    assert_eq!(world.market("newcomer").first_sync(world.now()).missing(), 0);
}
