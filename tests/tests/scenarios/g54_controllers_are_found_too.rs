//! The disk is gone, the mnemonic is not: escrows under `arbitrated` come back with the account that moved them.

use core::time::Duration;

use tradepost::api::view::WalletView;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::market::command::{Answer, Command};
use tradepost_protocol::recover::FoundState;
use tradepost_tests::world::{Bound, Moment, Script, World};

const COIN: i64 = 10_000_000;

fn look(world: &mut World) {
    world.run_until("the account", Duration::from_secs(10), |world| world.market("consumer").account().is_some());
    assert_eq!(world.command("consumer", Command::Recover { take: false }), Ok(Answer::Recovering));
    world.run_until("the end of the walk", Duration::from_secs(60), |world| {
        world.market("consumer").recovery_progress().is_some_and(|p| p.is_done())
    });
}

fn take(world: &mut World) {
    look(world);
    assert_eq!(world.command("consumer", Command::Recover { take: true }), Ok(Answer::Recovering));
}

/// The reserves of controllers that the wallet shows as locked.
fn shown(world: &World) -> Vec<Stroops> {
    let locked = WalletView::of(world.market("consumer")).locked;
    locked.into_iter().filter(|lock| lock.what == "controller").map(|lock| lock.reserve).collect()
}

fn run_to_gone(world: &mut World) {
    world.run_until("the controller to be gone", Duration::from_secs(240), |world| {
        world.is_up("consumer")
            && world.market("consumer").found_controllers().all(|found| found.state == FoundState::Gone)
    });
    assert_eq!(world.reserves("consumer"), 2, "no reserve stays locked");
    assert_eq!(shown(world), [], "and none is shown");
}

/// A binding of two calls for four coins that is locked and never served.
fn locked(seed: u64) -> (World, Bound) {
    let (mut world, published) = World::with_arbiters(seed, 1);
    world.set_script("provider", Script::Silent);
    let bound = world.bind_arbitrated("consumer", published.offering, 2, false).unwrap();
    world.run_until("the escrow", Duration::from_secs(20), |world| {
        *world.trade("consumer").escrow() == EscrowState::Locked
    });
    world.kill("provider");
    (world, bound)
}

#[test]
fn g54_money_and_controller_come_back_from_the_key_alone() {
    let (mut world, _) = locked(1);
    let state = world.trade("consumer").state.controller.unwrap();
    let refund_at = world.trade("consumer").terms().unwrap().terms.refund_at();
    world.lose_disk("consumer");
    world.start("consumer");
    look(&mut world);
    assert_eq!(shown(&world), [], "it isn't on its way yet");
    take(&mut world);
    let found: Vec<_> = world.market("consumer").found_controllers().cloned().collect();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].account, found[0].deadline), (state.account, refund_at), "the escrow says when");
    assert_eq!(shown(&world), [found[0].reserve]);
    run_to_gone(&mut world);
    world.run_until("the refund", Duration::from_secs(20), |world| {
        world.market("consumer").found().iter().all(|found| matches!(found.state, FoundState::Taken(_)))
    });
    assert_eq!(world.gain("consumer"), 0, "to the stroop");
}

#[test]
fn g54_a_controller_whose_escrow_was_settled_is_found_and_its_deadline_is_looked_for() {
    let (mut world, published) = World::with_arbiters(2, 3);
    let bound = world.bind_arbitrated("consumer", published.offering, 2, false).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    world.called("consumer", bound.binding, true);
    world.command("consumer", Command::Unbind(bound.request)).unwrap();
    world.run_until("the settlement", Duration::from_secs(30), |world| {
        *world.trade("consumer").escrow() == EscrowState::Paid
    });
    let refund_at = world.trade("consumer").terms().unwrap().terms.refund_at();
    world.lose_disk("consumer");
    world.start("consumer");
    take(&mut world);
    let deadline = |world: &World| world.market("consumer").found_controllers().next().and_then(|found| found.deadline);
    assert_eq!(deadline(&world), None, "nothing on the ledger says it");
    world.run_until("the deadline", Duration::from_secs(20), |world| deadline(world) == refund_at);
    run_to_gone(&mut world);
    assert_eq!(world.gain("consumer"), -4 * COIN);
}

#[test]
fn g54_a_node_that_is_killed_while_it_takes_a_controller_back_does_it_all_the_same() {
    for moment in [Moment::BeforeEffects, Moment::AfterEffects] {
        let (mut world, _) = locked(3);
        let t = world.trade("consumer").terms().unwrap().terms.refund_at().unwrap();
        world.lose_disk("consumer");
        world.start("consumer");
        take(&mut world);
        world.run_to(t);
        world.kill_when("consumer", moment, |market| market.queue().is_some_and(|q| q.open().next().is_some()));
        world.run_until("the crash", Duration::from_secs(30), |world| !world.is_up("consumer"));
        world.start("consumer");
        run_to_gone(&mut world);
        assert_eq!(world.gain("consumer"), 0);
    }
}
