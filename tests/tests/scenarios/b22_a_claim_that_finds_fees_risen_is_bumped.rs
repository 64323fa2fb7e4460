//! B22: between the agreement and the claim, fees have risen a thousandfold.

use core::time::Duration;

use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::intent::{Intent, IntentState, Purpose};
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Answer, Command};
use tradepost_tests::world::{Bound, Moment, World};

/// What a ledger includes at the least from then on, a thousand times what is offered at first.
const RISEN: i64 = 1_000_000;

/// An active binding of 20 coins whose provider may have so many submitters, and fees that have just risen.
fn fees_have_risen(seed: u64, submitters: u8) -> (World, Bound) {
    let (mut world, published) = World::with_offering(seed);
    world.allow_submitters("provider", submitters);
    world.kill("provider");
    world.start("provider");
    world.see("consumer", published.series);
    let bound = world.bind("consumer", published.offering, 10).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    world.run_until("the provider's submitters", Duration::from_secs(20), |world| {
        standing(world.market("provider")) == usize::from(submitters)
    });
    world.ledger().fees_rise_to(RISEN);
    assert_eq!(world.command("consumer", Command::Unbind(bound.request)).unwrap(), Answer::Unbound);
    (world, bound)
}

fn standing(market: &Market) -> usize {
    market.submitters().filter(|submitter| submitter.state.is_some()).count()
}

fn claim(market: &Market) -> Option<&Intent> {
    market.queue()?.open().find(|intent| matches!(intent.purpose, Purpose::Collect { .. }))
}

/// Waits until the claim is in a ledger, and checks that it was in time and once.
fn lands_in_time(world: &mut World, bound: Bound) {
    let refund_at = world.trade("provider").terms().unwrap().terms.refund_at().unwrap();
    world.run_until("the claim in a ledger", Duration::from_secs(60), |world| {
        *world.trade("provider").escrow() == EscrowState::Paid
    });
    assert!(world.close_time() < refund_at, "before T");
    assert_eq!(world.ledger().bumps(), 1, "of all its envelopes one is included");
    world.wait_phase("consumer", bound.request, Phase::Closed);
    assert_eq!(*world.trade("consumer").escrow(), EscrowState::Paid, "the consumer knows it for what it is");
}

#[test]
fn b22_the_providers_claim_is_bumped_and_lands_before_the_deadline() {
    let (mut world, bound) = fees_have_risen(22, 0);
    lands_in_time(&mut world, bound);
    assert_eq!(world.gain("provider"), 200_000_000 - 40_000_000);
}

#[test]
fn b22_by_a_submitter_that_carries_nothing_else_whose_coins_come_back() {
    let (mut world, bound) = fees_have_risen(23, 1);
    let account = world.account("provider");
    world.run_until("the claim on its way", Duration::from_secs(10), |world| claim(world.market("provider")).is_some());
    assert_ne!(claim(world.market("provider")).unwrap().account, account, "the account's own queue is free meanwhile");
    lands_in_time(&mut world, bound);
    world.ledger().fees_rise_to(0);
    let merging = world.command("provider", Command::MergeSubmitters).unwrap();
    let Answer::Merging(accounts) = merging else { panic!("{merging:?}") };
    assert_eq!(accounts.len(), 1);
    world.run_until("the submitter is merged", Duration::from_secs(10), |world| {
        standing(world.market("provider")) == 0 && world.ledger().account(accounts[0]).is_none()
    });
    // Twenty coins earned, four in the bond, and of the submitter's coins nothing but its merge's fee is gone: it was opened
    // once.
    assert_eq!(world.gain("provider"), 200_000_000 - 40_000_000 - 100);
    assert!(world.command("provider", Command::MergeSubmitters).is_err(), "there is none any more");
}

#[test]
fn b22_killed_at_each_bump_the_highest_one_is_known_and_the_claim_lands_all_the_same() {
    let (mut world, bound) = fees_have_risen(24, 1);
    let mut offered = 0;
    for _ in 0..3 {
        let before = offered;
        let raised = move |market: &Market| match claim(market).map(|intent| &intent.state) {
            Some(IntentState::Bumped(bump)) => bump.fee.get() > before,
            _ => false,
        };
        world.kill_when("provider", Moment::BeforeEffects, raised);
        world.run_until("the provider's end", Duration::from_secs(20), |world| !world.is_up("provider"));
        world.start("provider");
        let Some(IntentState::Bumped(bump)) = claim(world.market("provider")).map(|intent| &intent.state) else {
            panic!("the raised offer is lost")
        };
        assert!(bump.fee.get() > before);
        offered = bump.fee.get();
    }
    assert_eq!(offered, 2_000_000, "by tens, from 1,000 an operation");
    lands_in_time(&mut world, bound);
}
