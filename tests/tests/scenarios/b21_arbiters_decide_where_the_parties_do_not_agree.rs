//! Disputes to their end on the ledger: awards, splits, arbiters and parties that stay silent.

use core::time::Duration;

use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::market::command::Command;
use tradepost_tests::world::{ARBITERS, Bound, Script, World};

const COIN: i64 = 10_000_000;
const BOND: i64 = 4 * COIN;
const ARBITERS_BOND: i64 = 2 * COIN;

/// A binding of ten calls for twenty coins whose consumer vanished after it was served: only arbiters can tell.
fn disputed(seed: u64, arbiters: usize) -> (World, Bound) {
    let (mut world, published) = World::with_arbiters(seed, arbiters);
    let bound = world.bind_arbitrated("consumer", published.offering, 10, false).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    world.set_connected("consumer", false);
    world.wait_phase("provider", bound.request, Phase::Delivered);
    world.set_connected("consumer", true);
    (world, bound)
}

fn wait_escrow(world: &mut World, name: &str, state: &EscrowState) {
    let what = format!("{state:?} at {name}");
    world.run_until(&what, Duration::from_secs(150), |world| world.trade(name).escrow() == state);
}

/// Runs past T until nobody has anything of it left on the ledger.
fn run_to_the_end(world: &mut World, arbiters: usize) {
    world.run_to_deadline("consumer", "T");
    world.run_until("the leftovers to be gone", Duration::from_secs(60), |world| {
        !world.trade("consumer").has_leftovers() && !world.trade("provider").has_leftovers()
    });
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.reserves("consumer"), 2);
    for name in &ARBITERS[..arbiters] {
        assert_eq!(world.reserves(name), 2 + 2, "an arbiter's bond alone");
    }
}

#[test]
fn b21_an_award_is_settled_and_every_arbiter_has_its_fee() {
    for (arbiters, awards) in [(1, 1), (3, 2)] {
        let (mut world, bound) = disputed(21, arbiters);
        for name in &ARBITERS[..awards] {
            world.award(name, bound.binding, Stroops::whole(20));
        }
        for name in ["provider", "consumer"] {
            wait_escrow(&mut world, name, &EscrowState::Paid);
        }
        run_to_the_end(&mut world, arbiters);
        let fees = arbiters as i64 * COIN;
        assert_eq!(world.gain("provider"), 20 * COIN - fees - BOND);
        assert_eq!(world.gain("consumer"), -20 * COIN);
        // Also the one who wasn't needed.
        for name in &ARBITERS[..arbiters] {
            assert_eq!(world.gain(name), COIN - ARBITERS_BOND, "{name}");
        }
        assert_eq!(world.reserves("provider"), 2 + 2, "the provider's bond alone");
    }
}

#[test]
fn b21_a_split_of_15_and_5_is_paid_to_the_stroop() {
    let (mut world, bound) = disputed(22, 1);
    world.award("ruth", bound.binding, Stroops::whole(15));
    let stroops = |n| Stroops::new(n).unwrap();
    let split = EscrowState::Split { recipient: stroops(142_500_000), consumer: stroops(47_500_000) };
    for name in ["provider", "consumer"] {
        wait_escrow(&mut world, name, &split);
    }
    run_to_the_end(&mut world, 1);
    assert_eq!(world.gain("provider"), 142_500_000 - BOND);
    assert_eq!(world.gain("consumer"), 47_500_000 - 20 * COIN);
    assert_eq!(world.gain("ruth"), COIN - ARBITERS_BOND);
}

#[test]
fn b21_an_award_for_the_consumer_is_the_consumers_to_settle() {
    let (mut world, bound) = disputed(23, 1);
    world.award("ruth", bound.binding, Stroops::ZERO);
    for name in ["provider", "consumer"] {
        wait_escrow(&mut world, name, &EscrowState::Refunded);
    }
    run_to_the_end(&mut world, 1);
    assert_eq!((world.gain("provider"), world.gain("consumer")), (-BOND, -COIN), "the fee is the consumer's");
    assert_eq!(world.gain("ruth"), COIN - ARBITERS_BOND);
}

#[test]
fn b21_a_silent_arbiter_means_the_timeout_beneficiary() {
    let (mut world, bound) = disputed(24, 1);
    world.run_until("the case", Duration::from_secs(60), |world| world.market("ruth").case(&bound.binding).is_some());
    world.run_to_deadline("consumer", "award_by");
    world.run_for(Duration::from_secs(1));
    for name in ["provider", "consumer"] {
        assert_eq!(world.phase(name, bound.request), Phase::Disputed);
    }
    for name in ["consumer", "provider"] {
        wait_escrow(&mut world, name, &EscrowState::Refunded);
    }
    run_to_the_end(&mut world, 1);
    assert_eq!((world.gain("provider"), world.gain("consumer"), world.gain("ruth")), (-BOND, 0, -ARBITERS_BOND));
}

#[test]
fn b21_a_buyer_that_stays_silent_after_delivery_loses_the_dispute() {
    let (mut world, published) = World::with_arbiters(25, 1);
    let bound = world.bind_arbitrated("consumer", published.offering, 10, false).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    world.kill("consumer");
    world.award("ruth", bound.binding, Stroops::whole(20));
    wait_escrow(&mut world, "provider", &EscrowState::Paid);
    let t = world.trade("provider").terms().unwrap().terms.refund_at().unwrap();
    assert!(world.close_time() < t);
    world.start("consumer");
    wait_escrow(&mut world, "consumer", &EscrowState::Paid);
    run_to_the_end(&mut world, 1);
    assert_eq!((world.gain("provider"), world.gain("consumer")), (19 * COIN - BOND, -20 * COIN));
}

#[test]
fn b21_a_provider_that_does_not_deliver_gets_nothing() {
    let (mut world, published) = World::with_arbiters(26, 1);
    let bound = world.bind_arbitrated("consumer", published.offering, 10, false).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    world.set_script("provider", Script::Silent);
    world.kill("provider");
    world.wait_phase("consumer", bound.request, Phase::Failed);
    let dispute = Command::OpenDispute { request: bound.request, to_provider: None, text: "it vanished".into() };
    world.command("consumer", dispute).unwrap();
    world.award("ruth", bound.binding, Stroops::ZERO);
    wait_escrow(&mut world, "consumer", &EscrowState::Refunded);
    world.start("provider");
    wait_escrow(&mut world, "provider", &EscrowState::Refunded);
    run_to_the_end(&mut world, 1);
    assert_eq!((world.gain("provider"), world.gain("consumer")), (-BOND, -COIN));
}

#[test]
fn b21_whoever_dies_after_the_award_settles_once_it_is_back() {
    // The side that gains more settles, whichever it is.
    for (victim, to_provider, recipient) in
        [("provider", 15, 142_500_000), ("ruth", 15, 142_500_000), ("consumer", 5, 47_500_000), ("ruth", 5, 47_500_000)]
    {
        let (mut world, bound) = disputed(27, 1);
        world.run_until("the case", Duration::from_secs(60), |w| w.market("ruth").case(&bound.binding).is_some());
        world.set_connected("ruth", false);
        world.award("ruth", bound.binding, Stroops::whole(to_provider));
        world.kill(victim);
        world.run_for(Duration::from_secs(1));
        world.start(victim);
        world.set_connected("ruth", true);
        let consumer = 190_000_000 - recipient;
        let stroops = |n| Stroops::new(n).unwrap();
        let split = EscrowState::Split { recipient: stroops(recipient), consumer: stroops(consumer) };
        for name in ["provider", "consumer"] {
            wait_escrow(&mut world, name, &split);
        }
        let t = world.trade("provider").terms().unwrap().terms.refund_at().unwrap();
        assert!(world.close_time() < t, "{victim}: in time");
        run_to_the_end(&mut world, 1);
        let gains = (world.gain("provider"), world.gain("consumer"));
        assert_eq!(gains, (recipient - BOND, consumer - 20 * COIN), "{victim} {to_provider}");
    }
}
