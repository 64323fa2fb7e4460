//! B22: between the agreement and the claim, fees have risen a thousandfold.

use core::time::Duration;

use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::intent::{Intent, IntentState, Purpose};
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Answer, Command};
use tradepost_tests::world::{Bound, Moment, World};

/// What a ledger includes at the least from then on, a thousand times what is offered at first.
const RISEN: i64 = 1_000_000;
/// As much as can be reached between an award and T here.
const RISEN_A_HUNDREDFOLD: i64 = 100_000;

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

/// An active binding of 20 coins under `arbitrated`.
fn arbitrated(seed: u64) -> (World, Bound) {
    let (mut world, published) = World::with_arbiters(seed, 1);
    let bound = world.bind_arbitrated("consumer", published.offering, 10, false).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    (world, bound)
}

/// The same, its consumer having vanished for a while so that the arbiter has to tell; it awards so much, and fees have
/// risen when it does.
fn awarded(seed: u64, to_provider: Stroops) -> (World, Bound) {
    let (mut world, bound) = arbitrated(seed);
    world.set_connected("consumer", false);
    world.wait_phase("provider", bound.request, Phase::Delivered);
    world.set_connected("consumer", true);
    world.run_until("the case", Duration::from_secs(60), |world| world.market("ruth").case(&bound.binding).is_some());
    world.ledger().fees_rise_to(RISEN_A_HUNDREDFOLD);
    world.award("ruth", bound.binding, to_provider);
    (world, bound)
}

/// Waits until the settlement is in a ledger, in time, as both sides know it.
fn settles_in_time(world: &mut World, state: &EscrowState) {
    let refund_at = world.trade("provider").terms().unwrap().terms.refund_at().unwrap();
    for name in ["provider", "consumer"] {
        world.run_until("the settlement in a ledger", Duration::from_secs(60), |world| {
            world.trade(name).escrow() == state
        });
    }
    assert!(world.close_time() < refund_at, "before T");
    assert_eq!(world.ledger().bumps(), 1, "of all its envelopes one is included");
}

#[test]
fn b22_what_both_sides_agree_on_is_bumped_and_settled_before_t() {
    let (mut world, bound) = arbitrated(25);
    world.called("consumer", bound.binding, true);
    world.ledger().fees_rise_to(RISEN);
    assert_eq!(world.command("consumer", Command::Unbind(bound.request)).unwrap(), Answer::Unbound);
    settles_in_time(&mut world, &EscrowState::Paid);
    assert_eq!(world.gain("provider"), 200_000_000 - 40_000_000);
}

#[test]
fn b22_a_split_is_bumped_by_the_side_that_gains_by_it_and_settled_before_t() {
    let (mut world, _) = awarded(26, Stroops::whole(15));
    let stroops = |n| Stroops::new(n).unwrap();
    settles_in_time(&mut world, &EscrowState::Split { recipient: stroops(142_500_000), consumer: stroops(47_500_000) });
    world.ledger().fees_rise_to(0);
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.gain("provider"), 142_500_000 - 40_000_000);
}

#[test]
fn b22_nobody_offers_more_for_a_settlement_than_it_gains_by_it() {
    // A hundredth of a coin for the provider, and less for the consumer than T gives it; a ledger wants several hundredths.
    let (mut world, _) = awarded(27, Stroops::new(100_000).unwrap());
    world.run_to_deadline("consumer", "T");
    assert_eq!(*world.trade("consumer").escrow(), EscrowState::Locked, "nobody paid for it");
    assert_eq!(world.ledger().bumps(), 0);
    for name in ["provider", "consumer"] {
        let settles = |intent: &Intent| matches!(intent.purpose, Purpose::Settle { .. });
        let queue = world.market(name).queue().unwrap();
        for intent in queue.open().filter(|intent| settles(intent)) {
            if let IntentState::Bumped(bump) = &intent.state {
                assert!(bump.fee.get() <= 95_000, "{name} offers {}", bump.fee.get());
            }
        }
    }
    // What is the consumer's by timeout is worth the fee.
    for name in ["consumer", "provider"] {
        world.run_until("the refund", Duration::from_secs(60), |world| {
            *world.trade(name).escrow() == EscrowState::Refunded
        });
    }
    assert_eq!(world.ledger().bumps(), 1);
    assert!(world.fees("provider") < 10_000, "{}", world.fees("provider"));
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
