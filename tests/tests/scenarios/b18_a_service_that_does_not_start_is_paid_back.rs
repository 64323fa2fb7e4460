//! The provider's service fails to start, or never gets healthy.

use core::time::Duration;

use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::binding::session::{End, Session};
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_tests::world::{Script, World};

fn runs_to_its_refund(script: Script, reason: &str) -> (World, Duration) {
    let (mut world, published) = World::with_offering(18);
    world.set_script("provider", script);
    let bound = world.bind("consumer", published.offering, 2).unwrap();
    let begun = world.now();
    world.wait_phase("consumer", bound.request, Phase::Failed);
    let state = &world.trade("consumer").state;
    assert_eq!(state.session, Session::Ended(End::StartFailed));
    assert!(state.note.as_ref().unwrap().as_str().contains(reason), "{:?}", state.note);

    world.wait_phase("consumer", bound.request, Phase::Closed);
    world.wait_phase("provider", bound.request, Phase::Closed);
    assert_eq!(*world.trade("provider").escrow(), EscrowState::Refunded);
    world.run_until("the consumer to see who was paid", Duration::from_secs(5), |world| {
        *world.trade("consumer").escrow() == EscrowState::Refunded
    });
    assert_eq!(world.gain("consumer"), 0);
    assert_eq!(world.gain("provider"), -40_000_000, "its bond alone");
    assert!(world.processes("provider").is_empty());
    let took = world.now().since(begun);
    (world, took)
}

#[test]
fn b18_a_failed_start_is_told_with_its_reason_and_paid_back_long_before_t() {
    let why = "echo: command not found";
    let script = Script::Fails { after: Duration::from_millis(300), why: why.to_owned() };
    let (world, took) = runs_to_its_refund(script, why);
    assert!(took < Duration::from_secs(15), "given back at once, not at T: {took:?}");
    assert_eq!(world.fees("provider"), 300, "bond, then claim and payment in one transaction");
}

#[test]
fn b18_a_service_that_never_gets_healthy_is_paid_back_after_start_by() {
    let (_, took) = runs_to_its_refund(Script::Silent, "healthy");
    assert!(took < Duration::from_secs(45), "{took:?}");
}
