//! A binding exists only where the whole agreed amount is locked, and only with a provider that answers.

use core::time::Duration;

use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::frames::{self, FundRefused, Reject, RejectCode};
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::binding::precheck::PrecheckFailure;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::kind::Kind;
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Command, CommandError, EscrowWish};
use tradepost_protocol::message::MessageId;
use tradepost_protocol::stellar::transaction::Bounds;
use tradepost_tests::world::{Moment, Stranger, World, escrow_of};

#[test]
fn b13_funding_one_stroop_under_the_agreements_amount_is_refused_and_the_service_never_starts() {
    let (mut world, published) = World::with_offering(13);
    let mut cheat = Stranger::new(&mut world, "cheat", Stroops::whole(50));
    let agreement = cheat.request(&mut world, "provider", &published, 2).unwrap();
    let agreed = agreement.body().amount;
    assert_eq!(agreed, Stroops::whole(4));

    let short = escrow_of(&agreement, agreed.minus(Stroops::new(1).unwrap()).unwrap());
    let operations = vec![short.fund_operation().unwrap()];
    let sequence = world.ledger().account(cheat.account()).unwrap().sequence + 1;
    let envelope = cheat.funding(&mut world, &agreement, operations);
    let answer = cheat.hand_over(&mut world, "provider", &agreement, &envelope);
    assert_eq!(answer.kind(), Kind::FundRefused);
    let refused = answer.open::<FundRefused>(&world.ledger().network()).unwrap();
    assert!(refused.body().note.as_str().contains("39999999"), "{}", refused.body().note);

    // It submits it all the same: the money locks, and the service doesn't start on it.
    world.ledger().submit(envelope.bytes());
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.services_started("provider"), 0);
    assert_eq!(world.trade("provider").phase(), Phase::Void, "the agreement lapsed");
    assert_eq!(world.listing("provider", published.series).unwrap().free, 2, "its place is free again");

    // From T on it has it back, and never before; nobody else ever has.
    let balance = short.balance_at(sequence);
    let before = world.ledger().account(cheat.account()).unwrap().balance;
    let claim = |world: &mut World| {
        let bounds = Bounds::until(world.now().timestamp().plus(Duration::from_secs(60)));
        let claim = cheat.transaction(world, bounds, short.refund_operations(balance));
        world.ledger().submit(claim.bytes());
        world.run_for(Duration::from_secs(3));
    };
    if world.close_time() < short.refund_at() {
        claim(&mut world);
        assert!(world.ledger().balance(balance).is_some(), "not before T");
        world.run_to(short.refund_at());
    }
    claim(&mut world);
    assert!(world.ledger().balance(balance).is_none());
    let after = world.ledger().account(cheat.account()).unwrap().balance;
    assert!(after.get() > before.get() + 39_000_000, "{before:?} became {after:?}");
}

#[test]
fn b13_a_provider_that_cannot_be_reached_is_refused_and_no_money_moves() {
    let (mut world, published) = World::with_offering(14);
    world.kill("provider");
    let before = world.funds("consumer");
    let refused = world.bind("consumer", published.offering, 2).unwrap_err();
    let CommandError::Precheck(PrecheckFailure::ProviderUnreachable { peer, .. }) = &refused else {
        panic!("{refused}");
    };
    assert_eq!(peer.as_str(), "provider");
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.market("consumer").trades().count(), 0);
    assert_eq!((world.funds("consumer"), world.fees("consumer")), (before, 0));
}

#[test]
fn b13_everything_fine_is_bound() {
    let (mut world, published) = World::with_offering(15);
    let bound = world.bind("consumer", published.offering, 2).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    assert_eq!(world.phase("provider", bound.request), Phase::Active);
    assert_eq!(*world.trade("provider").escrow(), EscrowState::Locked);
    assert!(world.trade("consumer").state.access.is_some());
    assert_eq!(world.trade("consumer").state.access, world.trade("provider").state.access);
}

#[test]
fn b13_a_provider_that_vanishes_before_it_has_taken_the_funding_costs_nothing() {
    let cases: [fn(&Trade) -> bool; 2] = [|t| t.agreement.is_some(), |t| *t.escrow() == EscrowState::Intended];
    for (number, at) in cases.into_iter().enumerate() {
        for moment in [Moment::BeforeEffects, Moment::AfterEffects] {
            let (mut world, published) = World::with_offering(130 + number as u64);
            world.kill_when("provider", moment, move |market| market.trades().any(at));
            let refused = world.bind("consumer", published.offering, 2).unwrap_err();
            assert!(matches!(refused, CommandError::Timeout { .. }), "{refused}");
            assert!(!world.is_up("provider"));
            world.run_for(Duration::from_secs(60));
            assert_eq!(world.trade("consumer").phase(), Phase::Void, "case {number}");
            assert_eq!((world.gain("consumer"), world.fees("consumer")), (0, 0), "case {number}");
        }
    }
}

#[test]
fn b13_a_binding_that_was_never_funded_has_no_part_in_the_next_ones_escrow() {
    let (mut world, published) = World::with_offering(139);
    let signed = |market: &Market| market.trades().any(|t| *t.escrow() == EscrowState::Intended);
    world.kill_when("consumer", Moment::BeforeEffects, signed);
    world.give(
        "consumer",
        Command::Bind { offering: published.offering, units: 2, wish: EscrowWish::default(), dry_run: false },
    );
    world.run_until("the kill", Duration::from_secs(10), |world| !world.is_up("consumer"));
    world.run_for(Duration::from_secs(40));
    world.start("consumer");
    world.see("consumer", published.series);
    let first = world.trade("consumer").request_id();
    world.wait_phase("consumer", first, Phase::Void);

    let second = world.bind("consumer", published.offering, 2).unwrap();
    world.wait_phase("consumer", second.request, Phase::Active);
    let balance = |world: &World, id: MessageId| world.market("consumer").trade(id.as_bytes()).unwrap().state.balance;
    assert_eq!(balance(&world, first), balance(&world, second.request), "one sequence number, one balance's id");
    assert_eq!(world.phase("consumer", first), Phase::Void);
    world.wait_phase("consumer", second.request, Phase::Closed);
    assert_eq!(world.phase("consumer", first), Phase::Void);
    assert_eq!(world.fees("consumer"), 100, "nothing was tried on the other's escrow");
}

#[test]
fn b13_a_funding_that_never_reaches_the_ledger_frees_its_place_after_fund_by() {
    let (mut world, published) = World::with_offering(140);
    let mut idle = Stranger::new(&mut world, "waster", Stroops::whole(50));
    for round in 0..2 {
        let agreement = idle.request(&mut world, "provider", &published, 2).unwrap();
        let funding = escrow_of(&agreement, agreement.body().amount).fund_operation().unwrap();
        let envelope = idle.funding(&mut world, &agreement, vec![funding]);
        let answer = idle.hand_over(&mut world, "provider", &agreement, &envelope);
        assert_eq!(answer.kind(), Kind::FundAccepted, "round {round}");
        world.run_until("the taken place", Duration::from_secs(5), |world| {
            world.listing("provider", published.series).is_some_and(|l| l.free == 1)
        });
        let again = idle.request(&mut world, "provider", &published, 1).unwrap_err();
        assert!(!again.is_empty(), "one unfunded agreement an account: it is told so");
        world.run_to(agreement.body().terms.fund_by());
        world.run_until("the free place", Duration::from_secs(5), |world| {
            world.listing("provider", published.series).is_some_and(|l| l.free == 2)
        });
        let lapsed = |trade: &Trade| trade.phase() == Phase::Void && *trade.escrow() == EscrowState::None;
        assert!(world.market("provider").trades().all(lapsed), "no money is on its way any more");
    }
    let third = idle.request(&mut world, "provider", &published, 2).unwrap_err();
    let reject = frames::from_stream(&world.ledger().network(), &third).unwrap();
    let reject = reject.open::<Reject>(&world.ledger().network()).unwrap();
    assert_eq!(reject.body().code, RejectCode::TooManyUnfunded, "who lets two lapse waits");
    assert_eq!(world.services_started("provider"), 0);
}
