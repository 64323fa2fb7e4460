//! A backup is one moment's state, and the trade goes on without it; another machine takes over from there.

use core::time::Duration;

use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::market::command::{Command, CommandError, EscrowWish};
use tradepost_tests::world::{Script, World};

/// Until a restored node has compared what it knows with the ledger.
const RECOVERY: Duration = Duration::from_secs(60);

fn wait_recovered(world: &mut World, name: &str) {
    world.run_until("the end of recovering", RECOVERY, |world| !world.market(name).is_recovering());
}

#[test]
fn g52_a_consumers_backup_from_before_the_end_gets_the_refund_on_another_machine() {
    let (mut world, published) = World::with_offering(521);
    world.set_script("provider", Script::Silent);
    let bound = world.bind("consumer", published.offering, 5).unwrap();
    let backup = world.back_up("consumer");
    world.run_until("the escrow", Duration::from_secs(10), |world| {
        *world.trade("consumer").escrow() == EscrowState::Locked
    });
    world.kill("provider");
    world.restore("consumer", backup);
    assert!(world.market("consumer").is_recovering());
    let early = world.command(
        "consumer",
        Command::Bind { offering: published.offering, units: 1, wish: EscrowWish::default(), dry_run: false },
    );
    assert!(matches!(early, Err(CommandError::NotNow(_))), "nothing new before it knows: {early:?}");
    wait_recovered(&mut world, "consumer");
    world.wait_phase("consumer", bound.request, Phase::Closed);
    assert_eq!(*world.trade("consumer").escrow(), EscrowState::Refunded);
    assert_eq!(world.gain("consumer"), 0);
    assert_eq!(world.fees("consumer"), 200, "funding and refund, no more");
}

#[test]
fn g52_what_began_after_the_backup_is_found_on_the_ledger_and_comes_back_too() {
    let (mut world, published) = World::with_offering(522);
    world.set_script("provider", Script::Silent);
    let backup = world.back_up("consumer");
    world.bind("consumer", published.offering, 5).unwrap();
    let escrow = world.trade("consumer").state.balance.unwrap();
    let refund_at = world.trade("consumer").terms().unwrap().terms.refund_at().unwrap();
    world.run_until("the escrow", Duration::from_secs(10), |world| world.ledger().balance(escrow).is_some());
    world.kill("provider");
    world.restore("consumer", backup);
    assert_eq!(world.market("consumer").trades().count(), 0);
    wait_recovered(&mut world, "consumer");
    assert_eq!(world.market("consumer").found().len(), 1);
    world.run_to(refund_at);
    world.run_until("the refund", Duration::from_secs(10), |world| world.ledger().balance(escrow).is_none());
    assert_eq!(world.gain("consumer"), 0);
}

#[test]
fn g52_a_backup_from_before_an_end_that_came_learns_it_from_the_ledger() {
    let (mut world, published) = World::with_offering(523);
    let bound = world.bind("consumer", published.offering, 5).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    let (consumer, provider) = (world.back_up("consumer"), world.back_up("provider"));
    world.wait_phase("consumer", bound.request, Phase::Closed);
    let (lost, won) = (world.gain("consumer"), world.gain("provider"));
    world.restore("provider", provider);
    world.restore("consumer", consumer);
    wait_recovered(&mut world, "provider");
    wait_recovered(&mut world, "consumer");
    for name in ["consumer", "provider"] {
        world.wait_phase(name, bound.request, Phase::Closed);
    }
    assert_eq!((world.gain("consumer"), world.gain("provider")), (lost, won), "nothing was paid twice");
    world.see("consumer", published.series);
    let again = world.bind("consumer", published.offering, 1);
    assert!(again.is_ok(), "and trade goes on: {again:?}");
}

#[test]
fn a_provider_that_lost_all_but_its_journal_collects_nothing_that_it_may_not_have_served() {
    let (mut world, published) = World::with_offering(524);
    let bound = world.bind("consumer", published.offering, 5).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    let journal = world.back_up("provider").into_iter().filter(|(space, ..)| space.holds_money()).collect();
    world.restore("provider", journal);
    world.wait_phase("consumer", bound.request, Phase::Closed);
    assert_eq!(world.gain("consumer"), 0, "all of it is back");
}
