//! Scenarios C23 and C24 in the simulated world, and C23 again and again with a crash at every commit.

use std::time::Duration;

use tradepost_protocol::amount::Stroops;
use tradepost_protocol::community::shape::MakeKind;
use tradepost_protocol::market::Deed;
use tradepost_protocol::message::TxHash;
use tradepost_tests::exchange::{ExchangeWorld, STRIDE, live, missed_points, sweep};
use tradepost_tests::simulation::Source;

/// Worlds that every run of the tests lives through: every commit is the last one once before and once after its effects.
const SEEDS: u64 = 2 * STRIDE;
/// How long a node may be behind the newest ledger.
const SEEN: Duration = Duration::from_secs(3);
/// Threads that do.
const THREADS: usize = 2;

#[test]
fn c23_is_right_to_the_stroop_and_leaves_nothing_behind() {
    live(23, None);
}

#[test]
fn c23_is_right_whatever_commit_is_the_last_before_a_crash() {
    let tally = sweep(&Source::of_checkout(), 0..SEEDS, THREADS).unwrap_or_else(|what| panic!("{what}"));
    println!("{tally}");
    assert_eq!(tally.lives.len() as u64, SEEDS);
    let crashes: u64 = tally.lives.iter().map(|(_, lived)| lived.crashes).sum();
    assert!(crashes > SEEDS, "{crashes}");
    assert_eq!(missed_points(&tally.lives), [], "node, commit, whether after its effects");
}

fn code(exchange: &mut ExchangeWorld, name: &str, deed: Deed) -> &'static str {
    exchange.try_to(name, deed).unwrap_err().code()
}

#[test]
fn c24_a_repay_for_a_take_that_was_never_claimed_by_someone_else_or_twice_is_refused() {
    let mut exchange = ExchangeWorld::new(24, None);
    exchange.set_up();
    let offer = exchange.make("ben", MakeKind::Offer, "bread", Stroops::whole(5));
    let unclaimed = exchange.take("cyn", offer);
    assert_eq!(code(&mut exchange, "cyn", Deed::Repay { payment: unclaimed }), "not-paid");
    assert_eq!(code(&mut exchange, "ben", Deed::Grant { take: unclaimed }), "wrong-kind-of-make");
    assert_eq!(code(&mut exchange, "ann", Deed::Claim { take: unclaimed }), "not-the-maker");
    assert_eq!(code(&mut exchange, "ann", Deed::Repay { payment: TxHash::from_bytes([7; 32]) }), "no-such-take");
    exchange.try_to("ben", Deed::Claim { take: unclaimed }).unwrap();
    assert_eq!(code(&mut exchange, "ben", Deed::Claim { take: unclaimed }), "already-claimed");
    assert_eq!(code(&mut exchange, "ann", Deed::Repay { payment: unclaimed }), "not-the-payer");
    exchange.try_to("cyn", Deed::Repay { payment: unclaimed }).unwrap();
    exchange.wait("the issuer's answer", |chain| chain.payment_of(unclaimed).is_some_and(|p| p.repaid.is_some()));
    assert_eq!(code(&mut exchange, "cyn", Deed::Repay { payment: unclaimed }), "already-repaid");
    assert_eq!(code(&mut exchange, "ben", Deed::Convert { payment: unclaimed }), "already-repaid");
    let [cyn, ben] = ["cyn", "ben"].map(|name| exchange.world().account(name));
    let fee = exchange.terms().fee.get();
    assert_eq!(exchange.holds(cyn).unwrap().0.get(), Stroops::whole(5_000).get() - fee, "the fee is Ben's");
    assert_eq!(exchange.holds(ben).unwrap().0.get(), Stroops::whole(5_000).get() + fee);
}

#[test]
fn a_take_that_went_back_is_not_claimed_and_a_make_past_its_validity_is_not_taken() {
    let mut exchange = ExchangeWorld::new(25, None);
    exchange.set_up();
    let offer = exchange.make("ben", MakeKind::Offer, "bread", Stroops::whole(5));
    let take = exchange.take("cyn", offer);
    let balance = exchange.chain().take_of(take).unwrap().balance;
    exchange.try_to("cyn", Deed::Reclaim { balance }).unwrap();
    exchange.world().run_for(SEEN);
    assert_eq!(code(&mut exchange, "ben", Deed::Claim { take }), "take-over");
    assert_eq!(code(&mut exchange, "ben", Deed::Take { make: offer, at_most: None }), "own-make");
    let ends = exchange.chain().make_of(offer).unwrap().ends().unwrap();
    exchange.world().run_to(ends);
    exchange.world().run_for(SEEN);
    assert_eq!(code(&mut exchange, "ann", Deed::Take { make: offer, at_most: None }), "make-over");
}

#[test]
fn an_issuer_that_is_not_accepted_by_name_can_take_nothing_back() {
    let mut exchange = ExchangeWorld::new(26, None);
    exchange.set_up();
    exchange.world().add_node("stranger", Stroops::whole(30));
    exchange.world().run_for(Duration::from_secs(10));
    let agent = exchange.terms().agent;
    assert_eq!(code(&mut exchange, "stranger", Deed::Join { agent }), "issuer-not-accepted");
}
