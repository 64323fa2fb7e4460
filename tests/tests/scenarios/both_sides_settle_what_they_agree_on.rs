//! Under `arbitrated` both sides sign who is paid, and the funder gets the controller's reserve back from T on.

use core::time::Duration;

use tradepost::api::view::{BindingView, LockedView, WalletView};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::binding::session::{End, Session};
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::market::command::{Answer, Command, EscrowWish};
use tradepost_protocol::stellar::envelope::SignedTransaction;
use tradepost_tests::world::{Bound, Moment, Script, World};

const COIN: i64 = 10_000_000;
/// The provider's bond: two places of one call for two coins.
const BOND: i64 = 4 * COIN;
/// What an account without entries holds.
const ACCOUNT: u32 = 2;
/// The balance's claimants.
const CLAIMANTS: u32 = 3;

/// A binding of two calls for four coins that is active.
fn active(seed: u64, arbiters: usize) -> (World, Bound) {
    let (mut world, published) = World::with_arbiters(seed, arbiters);
    let bound = world.bind_arbitrated("consumer", published.offering, 2, false).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    let kind = world.trade("provider").terms().unwrap().terms.kind();
    assert_eq!(kind, Some(EscrowKind::Arbitrated));
    (world, bound)
}

fn wait_escrow(world: &mut World, name: &str, state: &EscrowState) {
    let what = format!("{state:?} at {name}");
    world.run_until(&what, Duration::from_secs(150), |world| world.trade(name).escrow() == state);
}

/// Runs past T until nothing of the binding is left.
fn run_to_the_end(world: &mut World) {
    world.run_to_deadline("consumer", "T");
    world.run_until("the controller to be gone", Duration::from_secs(60), |world| {
        !world.trade("consumer").has_leftovers()
    });
    assert_eq!(world.reserves("consumer"), ACCOUNT, "not a stroop stays locked");
}

#[test]
fn what_was_given_is_paid_by_both_sides_signatures_and_the_reserve_comes_back() {
    for arbiters in [1, 3] {
        let (mut world, bound) = active(1, arbiters);
        // While the escrow stands, its claimants are the funder's to sponsor; the controller's reserve left the account.
        assert_eq!(world.reserves("consumer"), ACCOUNT + CLAIMANTS);
        let controller = world.trade("consumer").state.controller.unwrap().account;
        let standing = world.ledger().account(controller).unwrap();
        assert_eq!(standing.sub_entries as usize, 2 + arbiters + 1, "both parties, the arbiters, the UNLOCK");
        world.called("consumer", bound.binding, true);
        assert_eq!(world.command("consumer", Command::Unbind(bound.request)), Ok(Answer::Unbound));
        for name in ["provider", "consumer"] {
            wait_escrow(&mut world, name, &EscrowState::Paid);
        }
        assert_eq!(world.gain("provider"), 4 * COIN - BOND);
        assert!(world.ledger().account(controller).is_some(), "its reserve stays until T");
        run_to_the_end(&mut world);
        assert!(world.ledger().account(controller).is_none());
        assert_eq!(world.gain("consumer"), -4 * COIN);
        for name in ["provider", "consumer"] {
            assert_eq!(world.phase(name, bound.request), Phase::Closed);
            assert!(world.misbehaved().is_empty(), "{:?}", world.misbehaved());
        }
    }
}

#[test]
fn b18_under_arbitrated_a_failed_start_is_paid_back_before_t() {
    let (mut world, published) = World::with_arbiters(2, 1);
    world.set_script("provider", Script::Fails { after: Duration::from_millis(300), why: "no memory".into() });
    let bound = world.bind_arbitrated("consumer", published.offering, 2, false).unwrap();
    let begun = world.now();
    for name in ["consumer", "provider"] {
        wait_escrow(&mut world, name, &EscrowState::Refunded);
    }
    assert!(world.now().since(begun) < Duration::from_secs(20));
    assert_eq!(world.trade("consumer").state.session, Session::Ended(End::StartFailed));
    run_to_the_end(&mut world);
    assert_eq!((world.gain("consumer"), world.gain("provider")), (0, -BOND));
    assert_eq!(world.phase("consumer", bound.request), Phase::Closed);
}

#[test]
fn g55_under_arbitrated_who_was_away_from_before_t_gets_money_and_every_reserve_back() {
    let (mut world, published) = World::with_arbiters(3, 3);
    world.set_script("provider", Script::Silent);
    let bound = world.bind_arbitrated("consumer", published.offering, 2, false).unwrap();
    wait_escrow(&mut world, "consumer", &EscrowState::Locked);
    let refund_at = world.trade("consumer").terms().unwrap().terms.refund_at().unwrap();
    world.kill("consumer");
    world.kill("provider");
    world.run_to(refund_at.plus(Duration::from_secs(30)));
    assert_eq!(world.reserves("consumer"), ACCOUNT + CLAIMANTS, "nobody was there to free them");
    world.start("consumer");
    world.wait_phase("consumer", bound.request, Phase::Closed);
    run_to_the_end(&mut world);
    assert_eq!(world.gain("consumer"), 0, "money and reserves are back to the stroop");
}

#[test]
fn whoever_is_to_be_paid_unless_there_is_a_dispute_takes_it_at_t() {
    let (mut world, published) = World::with_arbiters(4, 1);
    let bound = world.bind_arbitrated("consumer", published.offering, 2, true).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    world.kill("consumer");
    wait_escrow(&mut world, "provider", &EscrowState::Paid);
    let refund_at = world.trade("provider").terms().unwrap().terms.refund_at().unwrap();
    assert!(world.close_time() >= refund_at, "not before T: the consumer signed nothing");
    assert_eq!(world.gain("provider"), 4 * COIN - BOND);
    world.start("consumer");
    wait_escrow(&mut world, "consumer", &EscrowState::Paid);
    run_to_the_end(&mut world);
    assert_eq!(world.gain("consumer"), -4 * COIN);
}

#[test]
fn a_party_that_dies_while_it_settles_settles_once_it_is_back() {
    for moment in [Moment::BeforeEffects, Moment::AfterEffects] {
        for victim in ["provider", "consumer"] {
            let (mut world, bound) = active(5, 1);
            world.kill_when(victim, moment, |market| {
                let released = |t: &&tradepost_protocol::binding::trade::Trade| {
                    t.state.dispute.as_ref().is_some_and(|record| record.settles().is_some())
                };
                market.trades().any(|t| released(&t))
            });
            world.called("consumer", bound.binding, true);
            world.give("consumer", Command::Unbind(bound.request));
            world.run_until("the crash", Duration::from_secs(30), |world| !world.is_up(victim));
            world.run_for(Duration::from_secs(1));
            world.start(victim);
            for name in ["provider", "consumer"] {
                wait_escrow(&mut world, name, &EscrowState::Paid);
            }
            run_to_the_end(&mut world);
            assert_eq!((world.gain("consumer"), world.gain("provider")), (-4 * COIN, 4 * COIN - BOND));
        }
    }
}

#[test]
fn a_settlement_goes_by_a_submitter_account_where_there_is_one() {
    let (mut world, published) = World::with_arbiters(7, 1);
    world.allow_submitters("provider", 1);
    world.kill("provider");
    world.start("provider");
    world.see("consumer", published.series);
    let bound = world.bind_arbitrated("consumer", published.offering, 2, false).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    world.run_until("the submitter account", Duration::from_secs(30), |world| {
        world.market("provider").submitters().any(|submitter| submitter.state.is_some())
    });
    world.called("consumer", bound.binding, true);
    world.command("consumer", Command::Unbind(bound.request)).unwrap();
    world.run_until("the settlement", Duration::from_secs(30), |world| {
        *world.trade("consumer").escrow() == EscrowState::Paid
    });
    let hash = world.trade("provider").state.closing.unwrap();
    let (_, envelope) = world.ledger().status(hash);
    let network = world.ledger().network();
    let settlement = SignedTransaction::read_included(&envelope, &network).unwrap();
    let submitter = world.market("provider").submitters().next().unwrap().account;
    assert_eq!((settlement.source(), settlement.signature_count()), (submitter, 3));
    assert_eq!(settlement.operations().len(), 3, "claim, to the submitter, and on to the provider");
    run_to_the_end(&mut world);
    assert_eq!(world.gain("consumer"), -4 * COIN);
}

#[test]
fn less_than_all_is_settled_where_both_sign_for_it() {
    let (mut world, bound) = active(6, 1);
    world.kill("consumer");
    world.run_until("the consumer to be gone", Duration::from_secs(30), |world| {
        world.trade("provider").state.session == Session::Ended(End::ConsumerGone)
    });
    world.start("consumer");
    let offer =
        |to_provider| Command::Release { request: bound.request, to_provider: Some(Stroops::whole(to_provider)) };
    assert_eq!(world.command("consumer", offer(3)), Ok(Answer::Released));
    world.run_for(Duration::from_secs(2));
    assert_eq!(*world.trade("provider").escrow(), EscrowState::Locked, "an offer isn't an agreement");
    assert_eq!(world.command("provider", offer(3)), Ok(Answer::Released));
    let split = EscrowState::Split { recipient: Stroops::whole(3), consumer: Stroops::whole(1) };
    for name in ["provider", "consumer"] {
        wait_escrow(&mut world, name, &split);
    }
    run_to_the_end(&mut world);
    assert_eq!((world.gain("consumer"), world.gain("provider")), (-3 * COIN, 3 * COIN - BOND));
}

/// What the consumer's wallet shows as locked, and what its binding says comes next.
fn shown(world: &World) -> (Vec<LockedView>, String) {
    let market = world.market("consumer");
    (WalletView::of(market).locked, BindingView::of(world.trade("consumer"), market).next_action)
}

#[test]
fn what_bind_said_is_locked_stays_shown_until_the_last_of_it_is_back() {
    for (pay_unless_disputed, beneficiary) in [(false, "consumer"), (true, "provider")] {
        let (mut world, published) = World::with_arbiters(7, 1);
        let wish = EscrowWish { kind: Some(EscrowKind::Arbitrated), pay_unless_disputed };
        let asks = Command::Bind { offering: published.offering, units: 2, wish, dry_run: true };
        let Ok(Answer::Quoted { cost, .. }) = world.command("consumer", asks) else { panic!("no quote") };
        let bound = world.bind_arbitrated("consumer", published.offering, 2, pay_unless_disputed).unwrap();
        world.wait_phase("consumer", bound.request, Phase::Active);
        let [escrow] = shown(&world).0.try_into().unwrap();
        assert_eq!((escrow.what.as_str(), escrow.amount), ("escrow", Stroops::whole(4)));
        assert_eq!(escrow.reserve, cost.reserve, "of the controller, too");
        assert_eq!((escrow.beneficiary.as_deref(), escrow.may_be_collected), (Some(beneficiary), true));

        world.called("consumer", bound.binding, true);
        world.command("consumer", Command::Unbind(bound.request)).unwrap();
        wait_escrow(&mut world, "consumer", &EscrowState::Paid);
        let controller = world.trade("consumer").state.controller.unwrap().account;
        let holds = world.ledger().account(controller).unwrap().balance;
        let (locked, next) = shown(&world);
        let [left] = locked.try_into().unwrap();
        assert_eq!((left.what.as_str(), left.of, left.reserve), ("controller", escrow.of, holds));
        assert_eq!((left.amount, left.beneficiary, left.may_be_collected), (Stroops::ZERO, None, false));
        assert_eq!(left.returns_at, escrow.returns_at);
        assert!(next.contains("the reserve") && next.contains("after T"), "{next}");
        assert_eq!(WalletView::of(world.market("provider")).locked.len(), 1, "its bond alone");

        run_to_the_end(&mut world);
        assert_eq!(shown(&world), (Vec::new(), "nothing: it is settled".to_owned()));
    }
}
