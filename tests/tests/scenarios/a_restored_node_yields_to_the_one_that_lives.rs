//! A backup is restored while the node that it was made of lives on: one of the two serves, and it is never the restored one.

use core::time::Duration;

use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::market::Twin;
use tradepost_protocol::market::command::{Command, CommandError};
use tradepost_tests::world::{Published, World, draft};

/// From a living node's last word to the moment when a restored one believes that it is alone, with the looks between.
const LISTENED: Duration = Duration::from_secs(40);

/// A provider with an offering, a consumer that sees it, and a node that is always there.
fn market(seed: u64) -> (World, Published) {
    let mut world = World::new(seed);
    world.add_bootstrap("bootstrap");
    world.add_node("provider", Stroops::whole(100));
    world.add_node("consumer", Stroops::whole(100));
    let published = world.publish("provider", draft());
    world.see("consumer", published.series);
    (world, published)
}

fn twin(world: &World, name: &str) -> Twin {
    world.market(name).twin(world.now())
}

fn holds_back(world: &World, name: &str) -> bool {
    world.market(name).holds_back(world.now())
}

#[test]
fn while_the_other_one_answers_it_sells_nothing_and_leaves_its_sessions_alone() {
    let (mut world, published) = market(531);
    let bound = world.bind("consumer", published.offering, 3).unwrap();
    world.wait_phase("provider", bound.request, Phase::Active);
    let backup = world.back_up("provider");
    world.restore_beside("provider", "again", backup);
    world.run_until("it has found the other one", LISTENED, |world| twin(world, "again") == Twin::Answers);
    world.run_for(Duration::from_secs(8));
    assert_eq!(world.phase("again", bound.request), Phase::Active, "what the other one serves isn't ended here");
    assert!(world.processes("again").is_empty(), "and not served a second time");
    let refused = world.command("again", Command::Publish(Box::new(draft())));
    assert!(matches!(&refused, Err(CommandError::NotNow(why)) if why.contains("stop one of the two")), "{refused:?}");
    assert!(world.command("provider", Command::Publish(Box::new(draft()))).is_ok(), "the first one goes on");

    world.command("consumer", Command::Unbind(bound.request)).unwrap();
    world.wait_phase("provider", bound.request, Phase::Closed);
    world.wait_phase("again", bound.request, Phase::Closed);
    for name in ["provider", "again"] {
        let trade = world.market(name).trade(bound.request.as_bytes()).unwrap();
        assert_eq!(*trade.escrow(), EscrowState::Paid, "{name} reads what the ledger shows");
    }
    assert!(holds_back(&world, "again"));
}

#[test]
fn once_the_other_one_is_gone_it_serves_and_its_statuses_are_taken_though_the_backup_is_older() {
    let (mut world, published) = market(532);
    let backup = world.back_up("provider");
    let bound = world.bind("consumer", published.offering, 1).unwrap();
    world.command("consumer", Command::Unbind(bound.request)).unwrap();
    world.wait_phase("provider", bound.request, Phase::Closed);
    world.restore_beside("provider", "again", backup);
    world.run_until("it has found the other one", LISTENED, |world| twin(world, "again") == Twin::Answers);
    world.kill("provider");
    let last = world.listing("consumer", published.series).unwrap();
    world.run_until("it believes that it is alone", LISTENED, |world| !holds_back(world, "again"));
    let heard = |world: &mut World| {
        let now = world.listing("consumer", published.series).unwrap();
        now.live && now.status_sequence > last.status_sequence && now.presence_at > last.presence_at
    };
    world.run_until("the consumer hears of it", LISTENED, heard);
}

#[test]
fn one_that_could_not_be_reached_is_yielded_to_as_soon_as_it_is_heard() {
    let (mut world, published) = market(533);
    let backup = world.back_up("provider");
    world.divide(&[&["provider", "consumer"]]);
    world.restore_beside("provider", "again", backup);
    world.divide(&[&["provider", "consumer"], &["again", "bootstrap"]]);
    world.run_until("it believes that it is alone", LISTENED, |world| !holds_back(world, "again"));
    world.divide(&[]);
    world.run_until("it hears the other one", LISTENED, |world| holds_back(world, "again"));
    assert!(matches!(twin(&world, "again"), Twin::Heard { yields: true, .. }));
    let refused = world.command("again", Command::Publish(Box::new(draft())));
    assert!(matches!(refused, Err(CommandError::NotNow(_))), "{refused:?}");
    assert!(!holds_back(&world, "provider"), "the first one yields to nobody");
    world.kill("again");
    world.start("again");
    world.run_until("it hears the other one after a restart, too", LISTENED, |world| holds_back(world, "again"));

    world.kill("provider");
    world.run_until("it is alone again", LISTENED, |world| !holds_back(world, "again"));
    world.see("consumer", published.series);
}

#[test]
fn what_was_withdrawn_after_the_backup_stays_withdrawn() {
    let (mut world, published) = market(534);
    let backup = world.back_up("provider");
    world.command("provider", Command::Withdraw(published.series)).unwrap();
    world.run_until("all know it", LISTENED, |world| {
        ["consumer", "bootstrap"].iter().all(|name| world.listing(name, published.series).is_some_and(|l| l.withdrawn))
    });
    world.kill("provider");
    world.restore_beside("provider", "again", backup);
    world.run_until("it knows that, too", LISTENED, |world| {
        world.market("again").offers().all(|(_, offer)| !offer.is_open())
    });
    world.run_until("it is done with it", LISTENED, |world| !holds_back(world, "again"));
    assert!(world.listing("consumer", published.series).is_some_and(|l| l.withdrawn));
}
