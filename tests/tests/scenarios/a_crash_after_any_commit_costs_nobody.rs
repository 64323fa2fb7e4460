//! Four traders, three arbiters and a cheat through days of trading, cuts, failing services and a crash at every commit, a
//! hundred times; the `simulate` program does the same a thousand times. And worlds that break a promise, to see that it's
//! seen.

use tradepost_tests::simulation::{BINDINGS, STRIDE, Sort, Source, caught, sweep};
use tradepost_tests::world::Mutant;

/// Worlds that every run of the tests lives through.
const SEEDS: u64 = 100;
/// Threads that do.
const THREADS: usize = 2;
/// Worlds within which a broken promise has to be noticed.
const NOTICED_WITHIN: u64 = 100;

#[test]
fn whatever_commit_is_the_last_nobody_loses_more_than_the_terms_say_and_every_binding_ends() {
    let tally = sweep(&Source::of_checkout(), 0..SEEDS, THREADS).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{tally}, violations 0");
    assert_eq!(tally.seeds, SEEDS);
    assert!(tally.bindings >= SEEDS as usize * BINDINGS, "{tally}");
    for (arbiters, native) in [0, 1, 3].into_iter().flat_map(|n| [(n, true), (n, false)]) {
        let sort = Sort { arbiters, native };
        let count = tally.escrows.get(&sort).copied().unwrap_or_default();
        assert!(count >= SEEDS as usize / 4, "{count} escrows {sort}");
    }
    const { assert!(SEEDS >= 2 * STRIDE, "every commit is the last one once before and once after its effects") };
    assert_eq!(tally.missed_points(), [], "node, commit, whether after its effects");
    assert!(tally.transitions.missing().len() <= 24, "{:#?}", tally.transitions.missing());
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
fn a_ledger_client_that_answers_with_the_agreed_amount_whatever_is_there_is_caught() {
    is_caught(Mutant::AnswersAsAgreed);
}
