//! The ends of a session, and who gets the money by each.

use core::time::Duration;

use tradepost_protocol::amount::{Price, Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::binding::session::{End, Session};
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Answer, Command, CommandError, EscrowWish, OfferingDraft};
use tradepost_protocol::market::event::ServiceEvent;
use tradepost_tests::world::{Bound, Moment, Script, World, draft};

const BOND: i64 = 40_000_000;

fn active(seed: u64, units: u64) -> (World, Bound) {
    let (mut world, published) = World::with_offering(seed);
    let bound = world.bind("consumer", published.offering, units).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    (world, bound)
}

fn ends(world: &mut World, bound: &Bound, end: End, outcome: EscrowState) {
    // The consumer hears that the provider ended it; why, it is told in words.
    let heard = if end == End::Drained { End::UnboundByProvider } else { end };
    for name in ["provider", "consumer"] {
        // Absence before T looks like a payment to the consumer until it has seen the provider's transaction.
        world.run_until("the outcome", Duration::from_secs(60), |world| *world.trade(name).escrow() == outcome);
        world.wait_phase(name, bound.request, Phase::Closed);
        let trade = world.trade(name);
        assert_eq!(trade.state.session, Session::Ended(if name == "consumer" { heard } else { end }), "{name}");
        assert_eq!(*trade.escrow(), outcome, "{name}");
    }
    assert!(world.processes("provider").is_empty());
}

#[test]
fn unbound_by_the_consumer_the_provider_collects() {
    let (mut world, bound) = active(51, 2);
    assert_eq!(world.command("consumer", Command::Unbind(bound.request)), Ok(Answer::Unbound));
    ends(&mut world, &bound, End::UnboundByConsumer, EscrowState::Paid);
    assert_eq!((world.gain("provider"), world.gain("consumer")), (40_000_000 - BOND, -40_000_000));
    let again = world.command("consumer", Command::Unbind(bound.request));
    assert!(matches!(again, Err(CommandError::NotNow(_))), "{again:?}");
}

#[test]
fn unbound_by_the_consumer_before_the_service_ran_the_money_goes_back_at_once() {
    for arbitrated in [false, true] {
        let (mut world, published) = if arbitrated { World::with_arbiters(62, 1) } else { World::with_offering(62) };
        world.set_script("provider", Script::Silent);
        let bound = match arbitrated {
            true => world.bind_arbitrated("consumer", published.offering, 2, false),
            false => world.bind("consumer", published.offering, 2),
        };
        let bound = bound.unwrap();
        world.run_until("the start", Duration::from_secs(20), |world| {
            world.trade("provider").state.session == Session::Starting
        });
        let refund_at = world.trade("consumer").terms().unwrap().terms.refund_at().unwrap();
        world.command("consumer", Command::Unbind(bound.request)).unwrap();
        ends(&mut world, &bound, End::UnboundUnstarted, EscrowState::Refunded);
        assert!(world.close_time() < refund_at);
        assert_eq!((world.gain("provider"), world.phase("provider", bound.request)), (-BOND, Phase::Closed));
    }
}

#[test]
fn unbound_by_the_provider_the_money_goes_back_at_once() {
    let (mut world, bound) = active(52, 2);
    let refund_at = world.trade("consumer").terms().unwrap().terms.refund_at().unwrap();
    world.command("provider", Command::Unbind(bound.request)).unwrap();
    ends(&mut world, &bound, End::UnboundByProvider, EscrowState::Refunded);
    assert!(world.close_time() < refund_at);
    assert_eq!((world.gain("provider"), world.gain("consumer")), (-BOND, 0));
    assert_eq!(world.fees("consumer"), 100, "giving back is at the provider's expense");
}

#[test]
fn a_service_that_stops_by_itself_is_paid_back() {
    let (mut world, bound) = active(53, 2);
    world.service_says("provider", bound.binding, ServiceEvent::Stopped("it crashed".into()));
    ends(&mut world, &bound, End::UnboundByProvider, EscrowState::Refunded);
    assert!(world.trade("consumer").state.note.as_ref().unwrap().as_str().contains("it crashed"));
    assert_eq!((world.gain("provider"), world.gain("consumer")), (-BOND, 0));
}

#[test]
fn all_calls_used_the_provider_collects() {
    let (mut world, bound) = active(54, 2);
    let token = world.trade("consumer").state.access.unwrap().token;
    let call =
        |world: &mut World, token| world.command("provider", Command::AdmitCall { binding: bound.binding, token });
    assert!(matches!(call(&mut world, [0; 32]), Err(CommandError::NotFound { .. })), "another token");

    call(&mut world, token).unwrap();
    world.give("provider", Command::CallDone { binding: bound.binding, failed: true });
    assert_eq!(world.trade("provider").state.used, 0, "what the service failed doesn't count");
    for _ in 0..2 {
        call(&mut world, token).unwrap();
    }
    assert!(matches!(call(&mut world, token), Err(CommandError::NotNow(_))), "a third call of two");
    for _ in 0..2 {
        world.give("provider", Command::CallDone { binding: bound.binding, failed: false });
    }
    ends(&mut world, &bound, End::UnitsUsed, EscrowState::Paid);
    assert_eq!(world.trade("consumer").state.used, 2);
    assert_eq!((world.gain("provider"), world.gain("consumer")), (40_000_000 - BOND, -40_000_000));
}

#[test]
fn delivered_until_deliver_by_the_provider_collects() {
    let (mut world, bound) = active(55, 2);
    let terms = world.trade("consumer").terms().unwrap().terms;
    world.wait_phase("provider", bound.request, Phase::Delivered);
    assert!(world.now().timestamp() >= terms.deliver_by());
    // Not one call was served or asked for: that is the price of `timed`.
    assert_eq!(["provider", "consumer"].map(|name| world.trade(name).state.used), [0, 0]);
    ends(&mut world, &bound, End::DeliverBy, EscrowState::Paid);
    assert!(world.close_time() < terms.refund_at().unwrap());
    assert_eq!((world.gain("provider"), world.gain("consumer")), (40_000_000 - BOND, -40_000_000));
}

#[test]
fn a_provider_that_is_stopped_gives_back_what_it_serves() {
    let (mut world, bound) = active(56, 2);
    world.stop("provider");
    ends(&mut world, &bound, End::Drained, EscrowState::Refunded);
    assert_eq!((world.gain("provider"), world.gain("consumer")), (-BOND, 0));
}

#[test]
fn a_provider_that_dies_before_its_claim_left_and_is_back_only_after_t_is_paid_nothing() {
    let (mut world, bound) = active(61, 2);
    let ended = |market: &Market| market.trades().any(|trade| trade.state.session.end().is_some());
    world.kill_when("provider", Moment::BeforeEffects, ended);
    world.command("consumer", Command::Unbind(bound.request)).unwrap();
    world.run_until("the provider's end", Duration::from_secs(20), |world| !world.is_up("provider"));
    assert_eq!(*world.trade("consumer").escrow(), EscrowState::Locked, "it had earned it");
    world.run_to_deadline("consumer", "T");
    world.run_until("the refund", Duration::from_secs(30), |world| {
        *world.trade("consumer").escrow() == EscrowState::Refunded
    });
    world.start("provider");
    ends(&mut world, &bound, End::UnboundByConsumer, EscrowState::Refunded);
    assert_eq!((world.gain("provider"), world.gain("consumer")), (-BOND, 0));
}

#[test]
fn a_request_that_is_taken_back_before_its_agreement_moves_no_money() {
    let (mut world, published) = World::with_offering(57);
    let id = world.give(
        "consumer",
        Command::Bind { offering: published.offering, units: 1, wish: EscrowWish::default(), dry_run: false },
    );
    world.run_until("the request", Duration::from_secs(10), |world| world.market("consumer").trades().count() == 1);
    let request = world.trade("consumer").request_id();
    assert_eq!(world.command("consumer", Command::Unbind(request)), Ok(Answer::Unbound));
    world.run_for(Duration::from_secs(90));
    assert_eq!(world.phase("consumer", request), Phase::Void);
    assert!(world.answer(id).is_some_and(Result::is_err), "whoever waits for the binding is told");
    assert_eq!(world.services_started("provider"), 0);
    assert_eq!((world.gain("consumer"), world.fees("consumer")), (0, 0));
    assert_eq!(world.listing("provider", published.series).unwrap().free, 2);
}

#[test]
fn a_package_of_seconds_is_used_up_by_time() {
    let mut world = World::new(58);
    world.add_node("provider", Stroops::whole(100));
    world.add_node("consumer", Stroops::whole(100));
    let price = Price { asset: Asset::Native, amount: Stroops::new(1_000_000).unwrap(), unit: Unit::Second };
    let published = world.publish("provider", OfferingDraft { price, max_units: 20, ..draft() });
    world.see("consumer", published.series);
    let bound = world.bind("consumer", published.offering, 7).unwrap();
    world.wait_phase("provider", bound.request, Phase::Active);
    let begun = world.now();
    world.wait_phase("provider", bound.request, Phase::Delivered);
    let ran = world.now().since(begun);
    assert!((6_000..=8_500).contains(&ran.as_millis()), "{ran:?}");
    ends(&mut world, &bound, End::UnitsUsed, EscrowState::Paid);
    assert_eq!(world.trade("consumer").state.used, 7);
    assert_eq!(world.gain("consumer"), -7_000_000);
}
