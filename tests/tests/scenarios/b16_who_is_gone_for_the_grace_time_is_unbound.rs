//! Heartbeats: who is silent for the grace time is gone, who is back before is not.

use core::time::Duration;

use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::binding::session::{End, Session};
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::limits::Margins;
use tradepost_tests::world::{Bound, Published, World};

fn active(seed: u64) -> (World, Published, Bound) {
    let (mut world, published) = World::with_offering(seed);
    let bound = world.bind("consumer", published.offering, 2).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    world.run_for(Duration::from_secs(2));
    (world, published, bound)
}

#[test]
fn b16_a_consumer_gone_for_the_grace_time_is_unbound_its_process_stopped_its_place_free() {
    let (mut world, published, bound) = active(21);
    assert_eq!(world.listing("provider", published.series).unwrap().free, 1);
    let gone_at = world.now();
    world.kill("consumer");
    world.wait_phase("provider", bound.request, Phase::Delivered);
    let grace = Margins::DEVNET.grace;
    let silent = world.now().since(gone_at);
    assert!(silent + Margins::DEVNET.heartbeat_every >= grace, "not before the grace time: {silent:?}");
    assert!(silent <= grace + Duration::from_secs(3), "{silent:?}");
    assert_eq!(world.trade("provider").state.session, Session::Ended(End::ConsumerGone));
    assert!(world.processes("provider").is_empty());
    world.run_until("the free place", Duration::from_secs(5), |world| {
        world.listing("provider", published.series).is_some_and(|l| l.free == 2)
    });
    world.wait_phase("provider", bound.request, Phase::Closed);
    assert_eq!(world.gain("provider"), 40_000_000 - 40_000_000, "the package is paid, the bond is locked");
}

#[test]
fn b16_a_provider_gone_for_the_grace_time_is_seen_to_be_and_the_money_comes_back() {
    let (mut world, _, bound) = active(22);
    world.kill("provider");
    world.wait_phase("consumer", bound.request, Phase::Failed);
    assert_eq!(world.trade("consumer").state.session, Session::Ended(End::ProviderGone));
    world.wait_phase("consumer", bound.request, Phase::Closed);
    assert_eq!(*world.trade("consumer").escrow(), EscrowState::Refunded);
    assert_eq!(world.gain("consumer"), 0);
}

#[test]
fn b16_back_within_the_grace_time_is_still_bound_to_the_same_process() {
    for who in ["consumer", "provider"] {
        let (mut world, _, bound) = active(23);
        let before = world.processes("provider");
        world.set_connected(who, false);
        world.run_until("the other side to notice", Duration::from_secs(10), |world| {
            ["consumer", "provider"].iter().any(|n| world.trade(n).state.session == Session::Away)
        });
        world.run_for(Duration::from_millis(500));
        world.set_connected(who, true);
        world.run_for(Duration::from_secs(3));
        for name in ["consumer", "provider"] {
            assert_eq!(world.trade(name).state.session, Session::Active, "{who} was away: {name}");
            assert_eq!(world.phase(name, bound.request), Phase::Active);
        }
        assert_eq!(world.processes("provider"), before, "{who} was away");
        assert_eq!(world.services_started("provider"), 1);
    }
}

#[test]
fn b16_a_provider_that_is_back_after_the_grace_time_gives_back_and_never_collects() {
    let (mut world, _, bound) = active(24);
    let refund_at = world.trade("consumer").terms().unwrap().terms.refund_at().unwrap();
    world.kill("provider");
    world.wait_phase("consumer", bound.request, Phase::Failed);
    world.start("provider");
    assert_eq!(world.trade("provider").state.session, Session::Ended(End::ProviderGone));
    for name in ["provider", "consumer"] {
        world.run_until("the outcome", Duration::from_secs(10), |world| {
            *world.trade(name).escrow() == EscrowState::Refunded
        });
    }
    assert!(world.close_time() < refund_at, "at once, not at T");
    assert_eq!(world.services_started("provider"), 1, "it isn't started again");
    assert_eq!((world.gain("provider"), world.gain("consumer")), (-40_000_000, 0));
}

#[test]
fn b16_where_the_line_between_them_is_cut_each_finds_the_other_gone_and_who_served_is_paid() {
    let (mut world, _, bound) = active(25);
    world.set_connected("provider", false);
    world.wait_phase("consumer", bound.request, Phase::Failed);
    assert_eq!(world.trade("consumer").state.session, Session::Ended(End::ProviderGone));
    world.wait_phase("provider", bound.request, Phase::Closed);
    // Neither can know whose line it was: the provider served and was there, and a `timed` escrow pays it.
    assert_eq!(world.trade("provider").state.session, Session::Ended(End::ConsumerGone));
    assert_eq!(*world.trade("provider").escrow(), EscrowState::Paid);
}
