//! What submitters are worth when many deadlines come at once: eight claims, and the ledgers that they take.

use core::time::Duration;

use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::market::command::{Answer, Command};
use tradepost_tests::world::{World, draft};

const CLAIMS: usize = 8;

/// How many ledgers it takes until all claims are in one, from the moment at which they are due.
fn ledgers(submitters: u8) -> u64 {
    let mut world = World::new(93);
    world.add_node("provider", Stroops::whole(1_000));
    world.add_node("consumer", Stroops::whole(1_000));
    world.allow_submitters("provider", submitters);
    world.kill("provider");
    world.start("provider");
    world.run_until("its account", Duration::from_secs(5), |world| world.market("provider").account().is_some());
    let mut offer = draft();
    offer.max_supply = CLAIMS as u32;
    offer.deliver = Duration::from_secs(600);
    let published = world.publish("provider", offer);
    world.see("consumer", published.series);
    let mut bound = Vec::new();
    for _ in 0..CLAIMS {
        let one = world.bind("consumer", published.offering, 1).unwrap();
        world.wait_phase("provider", one.request, Phase::Active);
        bound.push(one);
    }
    world.run_until("the submitters", Duration::from_secs(60), |world| {
        let standing = world.market("provider").submitters().filter(|submitter| submitter.state.is_some()).count();
        standing == usize::from(submitters)
    });
    let from = world.close_time();
    for one in &bound {
        assert_eq!(world.command("consumer", Command::Unbind(one.request)).unwrap(), Answer::Unbound);
    }
    world.run_until("all claims in a ledger", Duration::from_secs(120), |world| {
        world.market("provider").trades().all(|trade| *trade.escrow() == EscrowState::Paid)
    });
    world.close_time().since(from).as_secs()
}

#[test]
fn eight_claims_at_once_take_a_few_ledgers_with_submitters_and_one_after_the_other_without() {
    let (alone, four, eight) = (ledgers(0), ledgers(4), ledgers(8));
    println!("{CLAIMS} claims: {alone} ledgers by the account alone, {four} with 4 submitters, {eight} with 8");
    assert!(alone >= CLAIMS as u64, "one a ledger at the most: {alone}");
    assert!(eight < alone && four < alone, "{eight} and {four} of {alone}");
}
