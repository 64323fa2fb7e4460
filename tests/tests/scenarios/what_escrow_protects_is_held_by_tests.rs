//! `docs/guide/what-escrow-protects.md`: each statement of its tables has a test, and what escrow costs is measured.

use core::time::Duration;
use std::collections::BTreeSet;

use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::market::command::Command;
use tradepost_protocol::message::BindingId;
use tradepost_tests::page;
use tradepost_tests::world::{ARBITERS, Bound, World};

const PAGE: &str = "docs/guide/what-escrow-protects.md";
/// The heading of the figures, which are held by a comparison and not by a number in each cell.
const COSTS: &str = "## What it costs";
/// A base reserve, in stroops.
const RESERVE: i64 = 5_000_000;
/// What is locked in each trade: ten calls.
const AMOUNT: i64 = 200_000_000;
/// What an operation costs, in stroops.
const FEE: i64 = 100;

/// The numbers in brackets of a text.
fn numbers(text: &str) -> BTreeSet<u32> {
    text.split('[').skip(1).filter_map(|rest| rest.split_once(']')?.0.parse().ok()).collect()
}

/// The numbered tests of the page's last section, as (number, file, test).
fn listed(page: &str) -> Vec<(u32, &str, &str)> {
    let section = page::section(page, "## The tests").unwrap();
    let lines = section.lines().filter_map(|line| line.strip_prefix("- ["));
    lines
        .map(|line| {
            let (number, rest) = line.split_once(']').unwrap();
            let (file, test) = rest.trim().trim_matches('`').split_once("::").unwrap();
            (number.parse().unwrap(), file, test)
        })
        .collect()
}

#[test]
fn every_test_that_the_page_of_escrows_names_is_in_the_tree() {
    let page = page::read(PAGE).unwrap();
    let missing: Vec<_> = listed(&page).into_iter().filter(|(_, file, test)| !page::has_test(file, test)).collect();
    assert!(missing.is_empty(), "no such test: {missing:#?}");
}

#[test]
fn every_cell_of_its_tables_names_its_test_and_no_test_is_listed_for_nothing() {
    let page = page::read(PAGE).unwrap();
    let known: BTreeSet<u32> = listed(&page).into_iter().map(|(number, ..)| number).collect();
    let (statements, rest) = page.split_once(COSTS).unwrap();
    let rows = statements.lines().filter(|line| line.starts_with("| ") && !line.contains("| The consumer |"));
    let mut named = numbers(page::section(&page, COSTS).unwrap());
    for row in rows {
        for cell in row.trim_matches('|').split('|').skip(1) {
            let numbers = numbers(cell);
            assert!(!numbers.is_empty() && numbers.is_subset(&known), "nothing holds {cell:?} of {row}");
            named.extend(numbers);
        }
    }
    assert_eq!(named, known);
    assert!(rest.contains("\n## The tests\n"));
}

/// What a trade of ten calls cost in operations, by who paid for them, and in reserve while it was open.
#[derive(Debug, Default)]
struct Cost {
    consumer: i64,
    provider: i64,
    arbiter: i64,
    reserve: i64,
}

impl Cost {
    /// The row of the page's table.
    fn row(&self, what: &str, arbiters: i64) -> String {
        let Self { consumer, provider, arbiter, reserve } = self;
        let fees = (consumer + provider + arbiter * arbiters) * FEE;
        let (whole, tenth) = (reserve / 10_000_000, reserve / 1_000_000 % 10);
        format!("| {what} | {consumer} | {provider} | {arbiter} | {fees} | {whole}.{tenth} |")
    }
}

/// What everybody paid in fees so far: consumer, provider, and the first arbiter that there is.
fn fees(world: &mut World, arbiters: usize) -> [i64; 3] {
    let arbiter = if arbiters > 0 { world.fees(ARBITERS[0]) } else { 0 };
    [world.fees("consumer"), world.fees("provider"), arbiter]
}

/// Binds ten calls, measures what is locked, lets it end like this, and counts once nothing of it is left on the ledger.
fn cost(seed: u64, arbiters: usize, end: impl FnOnce(&mut World, &Bound)) -> Cost {
    let (mut world, published) = match arbiters {
        0 => World::with_offering(seed),
        some => World::with_arbiters(seed, some),
    };
    let (before, paid) = (spendable(&mut world), fees(&mut world, arbiters));
    let bound = match arbiters {
        0 => world.bind("consumer", published.offering, 10).unwrap(),
        _ => world.bind_arbitrated("consumer", published.offering, 10, false).unwrap(),
    };
    world.wait_phase("consumer", bound.request, Phase::Active);
    let funding = fees(&mut world, arbiters)[0] - paid[0];
    let reserve = before - spendable(&mut world) - AMOUNT - funding;
    end(&mut world, &bound);
    world.run_to_deadline("consumer", "T");
    world.run_until("nothing of it on the ledger", Duration::from_secs(90), |world| {
        let over = |name| world.trade(name).phase().is_final() && !world.trade(name).has_leftovers();
        over("consumer") && over("provider")
    });
    world.run_for(Duration::from_secs(20));
    let after = fees(&mut world, arbiters);
    let operations = |at: usize| (after[at] - paid[at]) / FEE;
    Cost { consumer: operations(0), provider: operations(1), arbiter: operations(2), reserve }
}

/// What the consumer's account holds above its reserves.
fn spendable(world: &mut World) -> i64 {
    let account = world.account("consumer");
    let state = world.ledger().account(account).unwrap();
    state.balance.get() - i64::from(2 + state.sub_entries + state.sponsoring) * RESERVE
}

/// The buyer has what it wanted.
fn unbind(world: &mut World, bound: &Bound) {
    world.called("consumer", bound.binding, true);
    world.command("consumer", Command::Unbind(bound.request)).unwrap();
}

/// The buyer vanishes after it was served, and these arbiters award so much to the provider.
fn dispute(world: &mut World, bound: &Bound, arbiters: &[&str], to_provider: u32) {
    world.set_connected("consumer", false);
    world.wait_phase("provider", bound.request, Phase::Delivered);
    world.set_connected("consumer", true);
    let binding: BindingId = bound.binding;
    for arbiter in arbiters {
        world.award(arbiter, binding, Stroops::whole(to_provider));
    }
}

#[test]
fn what_each_escrow_costs_is_as_measured() {
    let given_back = |world: &mut World, _: &Bound| {
        let request = world.trade("provider").request_id();
        world.command("provider", Command::Unbind(request)).unwrap();
    };
    let vanishes = |world: &mut World, bound: &Bound| {
        world.kill("provider");
        world.wait_phase("consumer", bound.request, Phase::Closed);
        world.start("provider");
    };
    let measured = [
        cost(30, 0, unbind).row("`timed`: collected", 0),
        cost(30, 0, given_back).row("`timed`: given back", 0),
        cost(30, 0, vanishes).row("`timed`: taken back from T on", 0),
        cost(30, 1, unbind).row("`arbitrated`, one arbiter: both sign", 1),
        cost(30, 1, |w, b| dispute(w, b, &ARBITERS[..1], 20))
            .row("`arbitrated`, one arbiter: awarded to the provider", 1),
        cost(30, 1, |w, b| dispute(w, b, &ARBITERS[..1], 15)).row("`arbitrated`, one arbiter: divided", 1),
        cost(30, 1, |w, b| dispute(w, b, &[], 0)).row("`arbitrated`, one arbiter: silence", 1),
        cost(30, 3, |w, b| dispute(w, b, &ARBITERS[..2], 20))
            .row("`arbitrated`, three arbiters: awarded to the provider", 3),
    ];
    measured.iter().for_each(|row| println!("{row}"));
    let page = page::read(PAGE).unwrap();
    let section = page::section(&page, COSTS).unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows, measured, "the page's figures are other ones");
}
