//! A bond is locked to the second, and comes back by itself.

use core::time::Duration;

use tradepost_protocol::intent::queue::TxStatus;
use tradepost_protocol::market::OfferState;
use tradepost_protocol::market::command::{Answer, Command, CommandError, OfferingDraft};
use tradepost_protocol::stellar::operation;
use tradepost_tests::world::{World, draft};

const SHORT_LIFE: Duration = Duration::from_secs(40);

#[test]
fn a11_the_node_takes_its_bond_back_by_itself_from_the_release_on_and_not_a_second_earlier() {
    let (mut world, published) = World::with_offering(111);
    let short = world.publish("provider", OfferingDraft { life: SHORT_LIFE, ..draft() });
    world.see("provider", short.series);
    let release = world.listing("provider", short.series).unwrap().offering.body().bond_release();
    world.run_until("the second before the release", Duration::from_secs(200), |world| {
        world.close_time().secs() == release.secs() - 2
    });
    assert!(world.ledger().balance(short.bond).is_some());

    // Its owner can't have it earlier either: the ledger refuses a claim in the second before the release.
    let key = world.keys("provider").account.clone().unwrap();
    let sequence = {
        let account = world.account("provider");
        world.ledger().account(account).unwrap().sequence
    };
    let early = world.ledger().submit_signed(&key, sequence + 1, vec![operation::claim(short.bond)]);
    world.run_until("the early claim's ledger", Duration::from_secs(2), |world| {
        world.close_time().secs() == release.secs() - 1
    });
    assert!(matches!(world.ledger().status(early).0, TxStatus::Failed { .. }));
    assert!(world.ledger().balance(short.bond).is_some());

    world.run_until("the bond's return", Duration::from_secs(10), |world| world.ledger().balance(short.bond).is_none());
    let returned = world.close_time();
    assert!(returned >= release && returned <= release.plus(Duration::from_secs(4)), "{returned} for {release}");
    world.run_until("the node to know", Duration::from_secs(5), |world| {
        world.market("provider").offers().any(|(s, o)| *s == short.series && o.state == OfferState::Reclaimed)
    });
    assert_eq!(world.gain("provider"), -40_000_000, "the other bond stays");
    assert!(world.ledger().balance(published.bond).is_some());
}

#[test]
fn a11_withdrawing_says_until_when_the_money_stays_and_then_it_comes_back() {
    let mut world = World::with_offering(112).0;
    let short = world.publish("provider", OfferingDraft { life: SHORT_LIFE, ..draft() });
    world.see("consumer", short.series);
    let release = world.listing("provider", short.series).unwrap().offering.body().bond_release();
    let answer = world.command("provider", Command::Withdraw(short.series));
    assert_eq!(answer, Ok(Answer::Withdrawn { series: short.series, bond_until: release }));
    world.run_until("the withdrawal everywhere", Duration::from_secs(10), |world| {
        world.listing("consumer", short.series).is_none_or(|l| l.withdrawn && !l.live)
    });
    let refused = world.bind("consumer", short.offering, 1);
    assert!(matches!(refused, Err(CommandError::Precheck(_))), "{refused:?}");
    assert!(world.ledger().balance(short.bond).is_some(), "the money stays");
    world.run_to(release);
    world.run_until("the bond's return", Duration::from_secs(10), |world| world.ledger().balance(short.bond).is_none());
    assert_eq!(world.gain("provider"), -40_000_000);
}
