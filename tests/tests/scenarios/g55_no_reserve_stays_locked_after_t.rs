//! What an escrow locks besides its money is back once it is over: the reserves of its claimants.

use core::time::Duration;

use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_tests::world::{Script, World};

/// Claimants of an escrow, each a base reserve: the recipient, the consumer, and the hash that it commits to.
const CLAIMANTS: u32 = 3;

/// Base reserves that a node's account holds for what it has locked.
fn sponsoring(world: &mut World, name: &str) -> u32 {
    let account = world.account(name);
    world.ledger().account(account).expect("the node's account").sponsoring
}

#[test]
fn g55_after_t_once_the_funder_is_online_not_a_stroop_of_reserve_stays_locked() {
    let (mut world, published) = World::with_offering(55);
    let bond = sponsoring(&mut world, "provider");
    world.set_script("provider", Script::Silent);
    let bound = world.bind("consumer", published.offering, 2).expect("a binding");
    let refund_at = world.trade("consumer").terms().and_then(|t| t.terms.refund_at()).expect("T");
    world.run_until("the money in escrow", Duration::from_secs(20), |world| {
        *world.trade("consumer").escrow() == EscrowState::Locked
    });
    assert_eq!(sponsoring(&mut world, "consumer"), CLAIMANTS, "the claimants' reserves are the funder's");

    world.kill("consumer");
    world.kill("provider");
    world.run_to(refund_at.plus(Duration::from_secs(30)));
    assert_eq!(sponsoring(&mut world, "consumer"), CLAIMANTS, "nobody was there to free them");

    world.start("consumer");
    world.wait_phase("consumer", bound.request, Phase::Closed);
    assert_eq!(sponsoring(&mut world, "consumer"), 0);
    assert_eq!(world.gain("consumer"), 0, "money and reserves are back to the stroop");
    assert_eq!(sponsoring(&mut world, "provider"), bond, "the bond's, whose release is later");
}

#[test]
fn g55_what_the_provider_collects_frees_the_funders_reserve_at_once() {
    let (mut world, published) = World::with_offering(56);
    let bound = world.bind("consumer", published.offering, 2).expect("a binding");
    world.wait_phase("consumer", bound.request, Phase::Closed);
    assert_eq!(*world.trade("consumer").escrow(), EscrowState::Paid);
    assert_eq!(sponsoring(&mut world, "consumer"), 0);
}
