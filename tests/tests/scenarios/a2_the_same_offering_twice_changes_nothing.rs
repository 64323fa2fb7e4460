//! Nonces tell offerings apart; repetition is nothing new.

use core::time::Duration;

use tradepost_protocol::kind::Kind;
use tradepost_protocol::refusal::Reason;
use tradepost_tests::world::{World, draft};

#[test]
fn a2_the_same_terms_again_are_another_offering_with_a_bond_of_its_own() {
    let (mut world, first) = World::with_offering(103);
    let second = world.publish("provider", draft());
    world.see("consumer", second.series);
    assert_ne!(first.offering, second.offering);
    assert_ne!(first.bond, second.bond);
    let (a, b) = (world.listing("consumer", first.series).unwrap(), world.listing("consumer", second.series).unwrap());
    assert_ne!(a.offering.body().nonce, b.offering.body().nonce);
    assert_eq!(a.offering.body().parameters, b.offering.body().parameters);
    assert_eq!(world.gain("provider"), -80_000_000, "two bonds");
}

#[test]
fn a2_the_same_offering_arriving_twice_is_a_no_op() {
    let (mut world, published) = World::with_offering(104);
    let bytes = world.listing("provider", published.series).unwrap().offering.packed().bytes().to_vec();
    // A newcomer fetches it, and hears it again by gossip that its own network layer hasn't seen yet.
    world.add_bootstrap("third");
    world.see("third", published.series);
    let before = world.market("third").book().len();
    world.pass_on("consumer", "third", Kind::Offering, bytes);
    world.run_for(Duration::from_millis(100));
    assert_eq!(world.market("third").book().refused().get(&Reason::Duplicate), Some(&1));
    assert_eq!(world.market("third").book().len(), before);
}
