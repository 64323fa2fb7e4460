//! The disk is gone, the mnemonic is not: escrows and bonds are found from the account's key alone.

use core::time::Duration;

use tradepost_protocol::market::command::{Answer, Command, CommandError, OfferingDraft};
use tradepost_protocol::message::BalanceId;
use tradepost_protocol::recover::{FoundFor, FoundState};
use tradepost_tests::world::{Bound, Moment, Published, Script, World, draft};

/// A binding of 5 calls at 2 coins whose provider dies before it serves, so that only T gives the money back.
fn with_a_locked_escrow(seed: u64) -> (World, Published, Bound, BalanceId) {
    let (mut world, published) = World::with_offering(seed);
    world.set_script("provider", Script::Silent);
    let bound = world.bind("consumer", published.offering, 5).unwrap();
    let escrow = world.trade("consumer").state.balance.unwrap();
    world.run_until("the escrow", Duration::from_secs(10), |world| world.ledger().balance(escrow).is_some());
    world.kill("provider");
    (world, published, bound, escrow)
}

/// Looks for what is locked, to the end.
fn look(world: &mut World, name: &str) {
    world.run_until("the account", Duration::from_secs(10), |world| world.market(name).account().is_some());
    assert_eq!(world.command(name, Command::Recover { take: false }), Ok(Answer::Recovering));
    world.run_until("the end of the walk", Duration::from_secs(60), |world| {
        world.market(name).recovery_progress().is_some_and(|p| p.is_done())
    });
}

fn state(world: &World, name: &str, balance: BalanceId) -> FoundState {
    world.market(name).found().iter().find(|f| f.balance == balance).unwrap().state.clone()
}

#[test]
fn g54_a_consumer_whose_disk_is_gone_before_t_gets_its_refund_from_the_key_alone() {
    let (mut world, _, bound, escrow) = with_a_locked_escrow(541);
    let refund_at = world.trade("consumer").terms().unwrap().terms.refund_at().unwrap();
    world.lose_disk("consumer");
    world.start("consumer");
    assert_eq!(world.market("consumer").trades().count(), 0, "nothing is known");

    look(&mut world, "consumer");
    let own = world.account("consumer");
    let found = world.market("consumer").found();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].balance, found[0].due, found[0].returns_to), (escrow, refund_at, own));
    let recipient = world.account("provider");
    assert_eq!(found[0].purpose, FoundFor::Escrow { binding: bound.binding, recipient });
    assert_eq!((found[0].amount.get(), &found[0].state), (100_000_000, &FoundState::Standing));
    assert!(world.close_time() < refund_at);

    assert_eq!(world.command("consumer", Command::Recover { take: true }), Ok(Answer::Recovering));
    assert_eq!(state(&world, "consumer", escrow), FoundState::Wanted);
    // Nobody has to ask again, not even after a restart.
    world.kill("consumer");
    world.start("consumer");
    assert_eq!(state(&world, "consumer", escrow), FoundState::Wanted);
    world.run_until("the second before T", Duration::from_secs(120), |world| {
        world.close_time().secs() == refund_at.secs() - 1
    });
    assert!(world.ledger().balance(escrow).is_some(), "locked until T");
    world.run_until("the refund", Duration::from_secs(10), |world| {
        matches!(state(world, "consumer", escrow), FoundState::Taken(_))
    });
    assert_eq!(world.ledger().balance(escrow), None);
    assert_eq!(world.gain("consumer"), 0, "to the stroop");
    assert_eq!(world.fees("consumer"), 200, "funding and refund");
}

#[test]
fn g54_what_is_due_already_comes_back_at_once_and_nothing_without_a_yes() {
    let (mut world, _, _, escrow) = with_a_locked_escrow(542);
    let refund_at = world.trade("consumer").terms().unwrap().terms.refund_at().unwrap();
    world.lose_disk("consumer");
    world.run_to(refund_at);
    world.start("consumer");
    look(&mut world, "consumer");
    world.run_for(Duration::from_secs(10));
    assert!(world.ledger().balance(escrow).is_some(), "it was only looked at");
    world.command("consumer", Command::Recover { take: true }).unwrap();
    world.run_until("the refund", Duration::from_secs(10), |world| world.ledger().balance(escrow).is_none());
    assert_eq!(world.gain("consumer"), 0);
}

#[test]
fn g54_bonds_are_found_too_and_come_back_from_their_release_on() {
    let mut world = World::with_offering(543).0;
    let short = OfferingDraft { life: Duration::from_secs(40), ..draft() };
    let short = world.publish("provider", short);
    world.see("provider", short.series);
    let release = world.listing("provider", short.series).unwrap().offering.body().bond_release();
    world.lose_disk("provider");
    world.start("provider");
    look(&mut world, "provider");
    let found = world.market("provider").found();
    assert_eq!(found.len(), 2, "the one of the short offering first");
    assert_eq!((found[0].purpose, found[0].due), (FoundFor::Bond { series: short.series }, release));
    world.command("provider", Command::Recover { take: true }).unwrap();
    world.run_to(release);
    world.run_until("the bond's return", Duration::from_secs(10), |world| world.ledger().balance(short.bond).is_none());
    assert_eq!(world.gain("provider"), -40_000_000, "the other bond stays until its own release");
    assert!(world.close_time() >= release);
}

#[test]
fn g54_an_escrow_that_the_provider_collects_meanwhile_is_gone_and_costs_nothing() {
    let (mut world, published) = World::with_offering(544);
    let bound = world.bind("consumer", published.offering, 5).unwrap();
    let escrow = world.trade("consumer").state.balance.unwrap();
    let refund_at = world.trade("consumer").terms().unwrap().terms.refund_at().unwrap();
    world.run_until("the escrow", Duration::from_secs(10), |world| world.ledger().balance(escrow).is_some());
    world.lose_disk("consumer");
    world.start("consumer");
    look(&mut world, "consumer");
    world.command("consumer", Command::Recover { take: true }).unwrap();
    let claim = {
        let (key, account) = (world.keys("provider").account.clone().unwrap(), world.account("provider"));
        let sequence = world.ledger().account(account).unwrap().sequence;
        world.kill("provider");
        let claim = tradepost_protocol::stellar::operation::claim(escrow);
        world.ledger().submit_signed(&key, sequence + 1, vec![claim])
    };
    world.run_until("the provider's claim", Duration::from_secs(5), |world| world.ledger().included().contains(&claim));
    world.run_to(refund_at);
    world.run_until("the node to know", Duration::from_secs(10), |world| {
        state(world, "consumer", escrow) == FoundState::Gone
    });
    assert_eq!(world.gain("consumer"), -100_000_000, "{} was paid for", bound.binding);
    assert_eq!(world.fees("consumer"), 100, "the funding's alone");
}

#[test]
fn g54_what_the_node_sees_to_anyway_is_not_found_and_taking_needs_a_look_first() {
    let (mut world, ..) = with_a_locked_escrow(545);
    let early = world.command("consumer", Command::Recover { take: true });
    assert!(matches!(early, Err(CommandError::NotNow(_))), "{early:?}");
    look(&mut world, "consumer");
    assert_eq!(world.market("consumer").found().len(), 0, "its own store knows the binding");
}

#[test]
fn g54_a_node_that_is_killed_at_any_moment_of_it_recovers_all_the_same() {
    for (seed, moment) in [(546, Moment::BeforeEffects), (547, Moment::AfterEffects)] {
        let (mut world, _, _, escrow) = with_a_locked_escrow(seed);
        let refund_at = world.trade("consumer").terms().unwrap().terms.refund_at().unwrap();
        world.lose_disk("consumer");
        world.start("consumer");
        look(&mut world, "consumer");
        world.kill_when("consumer", moment, |market| market.found().iter().any(|f| f.state == FoundState::Wanted));
        world.give("consumer", Command::Recover { take: true });
        world.run_until("the crash", Duration::from_secs(5), |world| !world.is_up("consumer"));
        world.start("consumer");
        world.kill_when("consumer", moment, |market| market.queue().is_some_and(|q| q.open().next().is_some()));
        world.run_to(refund_at);
        world.run_until("the second crash", Duration::from_secs(10), |world| !world.is_up("consumer"));
        world.start("consumer");
        world.run_until("the refund", Duration::from_secs(20), |world| {
            matches!(state(world, "consumer", escrow), FoundState::Taken(_))
        });
        assert_eq!(world.gain("consumer"), 0);
        assert_eq!(world.fees("consumer"), 200, "one refund");
    }
}
