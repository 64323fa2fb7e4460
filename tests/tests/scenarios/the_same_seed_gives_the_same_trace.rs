//! Whatever happens follows from the seed alone.

use core::time::Duration;

use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::market::command::Command;
use tradepost_tests::world::World;

/// A trade with a restart in the middle; the hash of everything that happened, and how much that was.
fn trace_of(seed: u64) -> ([u8; 32], u64) {
    let (mut world, published) = World::with_offering(seed);
    let bound = world.bind("consumer", published.offering, 2).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    world.kill("provider");
    world.run_for(Duration::from_secs(1));
    world.start("provider");
    world.run_for(Duration::from_secs(3));
    world.command("consumer", Command::Unbind(bound.request)).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Closed);
    (world.trace().digest(), world.trace().lines())
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let (once, lines) = trace_of(7);
    assert!(lines > 300, "{lines} things happened");
    assert_eq!(trace_of(7), (once, lines));
    assert_ne!(trace_of(8).0, once);
}
