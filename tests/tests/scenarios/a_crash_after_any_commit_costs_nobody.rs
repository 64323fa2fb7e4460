//! Four traders, three arbiters and a cheat through days of trading, cuts, failing services and a crash at every commit, a
//! fifty times; the `simulate` program does the same thousands of times. And worlds that break a promise, to see that it's
//! seen.

use tradepost_tests::simulation::{Size, Sort, Source, caught, sweep};
use tradepost_tests::world::Mutant;

/// How much happens in each world: a crash as often as anywhere, and fewer bindings.
const SIZE: Size = Size { bindings: Size::SMALL.bindings, ..Size::LARGE };
/// Worlds that every run of the tests lives through: every commit is the last one once before and once after its effects.
const SEEDS: u64 = 2 * SIZE.stride;
/// Threads that do.
const THREADS: usize = 2;
/// Worlds within which a broken promise has to be noticed.
const NOTICED_WITHIN: u64 = 100;

#[test]
fn whatever_commit_is_the_last_nobody_loses_more_than_the_terms_say_and_every_binding_ends() {
    let tally =
        sweep(&Source::of_checkout(), 0..SEEDS, SIZE, THREADS).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{tally}");
    assert_eq!(tally.seeds, SEEDS);
    assert!(tally.bindings >= SEEDS as usize * SIZE.bindings, "{tally}");
    for sort in Sort::all() {
        let count = tally.escrows.get(&sort).copied().unwrap_or_default();
        assert!(count >= SEEDS as usize / 4, "{count} escrows {sort}");
    }
    assert!(tally.cheats.sum() >= SEEDS as usize * 4, "{tally}");
    assert_eq!(tally.transitions.impossible(), [""; 0]);
    assert_eq!(tally.missed_points(), [], "node, commit, whether after its effects");
    assert!(tally.transitions.missing().len() <= 20, "{:#?}", tally.transitions.missing());
}

fn is_caught(mutant: Mutant) {
    let Some((worlds, what)) = caught(&Source::of_checkout(), mutant, NOTICED_WITHIN) else {
        panic!("in {NOTICED_WITHIN} worlds nobody noticed {mutant:?}");
    };
    println!("{mutant:?} is noticed in world {worlds}: {what}");
}

#[test]
fn a_store_that_acknowledges_before_it_syncs_is_caught() {
    is_caught(Mutant::AcknowledgesEarly);
}

#[test]
fn a_runner_that_drops_its_timers_on_restart_is_caught() {
    is_caught(Mutant::DropsTimers);
}

#[test]
fn nodes_that_do_not_compare_the_amount_are_caught() {
    is_caught(Mutant::AmountNotCompared);
}

#[test]
fn nodes_that_do_not_compare_what_signers_weigh_are_caught() {
    is_caught(Mutant::WeightNotCompared);
}

#[test]
fn nodes_that_claim_at_any_time_are_caught() {
    is_caught(Mutant::ClaimsAtAnyTime);
}

#[test]
fn a_node_that_claims_again_after_a_restart_is_caught() {
    is_caught(Mutant::ClaimsAgain);
}

#[test]
fn an_award_that_pays_a_third_account_is_caught() {
    is_caught(Mutant::PaysAThird);
}
