//! One operator of two that doesn't show an entry, for once or for long, ends nothing.

use super::disputes::{award, bound, run_to};
use super::engagement::ARBITER;
use super::pair::{CONSUMER, PROVIDER, Pair, draft};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::phase::Phase;
use crate::binding::session::{End, Session};
use crate::escrow::outcome::EscrowState;
use crate::market::command::Command;
use crate::market::event::{Ask, Event};
use crate::stellar::entry::Entry;
use crate::stellar::ledger_key::Key;

/// From now on it asks two operators, whatever is at stake.
fn asks_two(pair: &mut Pair, who: usize) {
    pair.nodes[who].setup.policy.one_word_limit = Some(Stroops::ZERO);
    pair.kill(who);
    pair.restart(who);
}

fn balance(pair: &Pair) -> Key {
    Key::Balance(pair.only(PROVIDER).state.balance.unwrap())
}

#[test]
fn an_escrow_that_one_operator_hides_is_neither_paid_nor_gone_and_is_collected() {
    let (mut pair, offering) = Pair::offering(1, draft());
    for who in [PROVIDER, CONSUMER] {
        asks_two(&mut pair, who);
    }
    pair.bind(CONSUMER, offering, 3);
    pair.run(6);
    let request = pair.only(CONSUMER).request_id();
    pair.hidden = [PROVIDER, CONSUMER].map(|who| (who, balance(&pair))).to_vec();
    // What doesn't change is looked at once in so many ledgers.
    for who in [PROVIDER, CONSUMER] {
        let (at, asked) = (pair.ledger.point(), vec![balance(&pair)]);
        pair.event(who, Event::Entries { ask: Ask::Escrows, at, asked, entries: Vec::new() });
    }
    pair.run(3);
    for who in [PROVIDER, CONSUMER] {
        assert_eq!((pair.only(who).escrow(), pair.phase(who, request)), (&EscrowState::Locked, Phase::Active), "{who}");
    }
    pair.hidden.clear();
    pair.command(CONSUMER, Command::Unbind(request));
    pair.run(10);
    assert_eq!(pair.only(PROVIDER).state.session, Session::Ended(End::UnboundByConsumer));
    assert!(pair.only(PROVIDER).escrow().is_over() && pair.ledger.read(&[balance(&pair)]).is_empty());
}

#[test]
fn an_escrow_that_both_operators_dont_show_is_over() {
    let (mut pair, offering) = Pair::offering(1, draft());
    asks_two(&mut pair, CONSUMER);
    pair.bind(CONSUMER, offering, 3);
    pair.run(6);
    let request = pair.only(CONSUMER).request_id();
    pair.command(CONSUMER, Command::Unbind(request));
    pair.run(20);
    assert!(pair.only(CONSUMER).escrow().is_over(), "{:?}", pair.only(CONSUMER).escrow());
}

#[test]
fn a_number_that_one_operator_calls_used_is_used_for_no_second_payment() {
    let mut pair = Pair::new(1);
    asks_two(&mut pair, CONSUMER);
    pair.run(2);
    let [to, own] = [PROVIDER, CONSUMER].map(|who| pair.nodes[who].setup.keys.account_id().unwrap());
    let pay = Command::Pay { to, asset: Asset::Native, amount: Stroops::whole(1), memo: None, dry_run: false };
    let id = pair.command(CONSUMER, pay);
    pair.run(1);
    assert_eq!(pair.ledger.pending.len(), 1, "it is on its way");
    let mut state = pair.ledger.accounts[&own].clone();
    state.sequence += 1;
    let (at, asked, entries) = (pair.ledger.point(), vec![Key::Account(own)], vec![Entry::Account(state)]);
    pair.event(CONSUMER, Event::Entries { ask: Ask::Account, at, asked, entries });
    assert!(pair.nodes[CONSUMER].answers.get(&id).is_none_or(Result::is_ok), "{:?}", pair.nodes[CONSUMER].answers);
    let open = |pair: &Pair| pair.nodes[CONSUMER].market.queue.as_ref().unwrap().open().count();
    assert_eq!((open(&pair), pair.ledger.pending.len()), (1, 1), "neither dead nor signed once more");
    pair.run(3);
    assert_eq!((open(&pair), pair.ledger.included.len()), (0, 1));
}

#[test]
fn an_arbiter_decides_about_an_escrow_that_one_operator_hides() {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ProviderGone]);
    asks_two(&mut pair, ARBITER);
    run_to(&mut pair, "dispute_by", 8);
    pair.hidden.push((ARBITER, balance(&pair)));
    pair.run(3);
    assert_eq!(pair.nodes[ARBITER].market.cases().count(), 0, "it can't be looked at now, and is asked about again");
    pair.hidden.clear();
    pair.run(4);
    let (at, asked) = (pair.ledger.point(), vec![balance(&pair)]);
    pair.event(ARBITER, Event::Entries { ask: Ask::Cases, at, asked, entries: Vec::new() });
    assert_eq!(pair.nodes[ARBITER].market.open_cases(pair.now), 1);
    award(&mut pair, ARBITER, 7);
    pair.run(6);
    assert!(matches!(pair.trade(CONSUMER, request).escrow(), EscrowState::Split { .. }));
}

#[test]
fn a_controller_that_one_operator_hides_is_taken_back_all_the_same() {
    let (mut pair, request) = bound(1, false, [End::UnitsUsed, End::UnitsUsed]);
    asks_two(&mut pair, CONSUMER);
    pair.run(6);
    let controller = Key::Account(pair.trade(CONSUMER, request).state.controller.unwrap().account);
    pair.hidden.push((CONSUMER, controller.clone()));
    run_to(&mut pair, "T", 0);
    pair.run(8);
    assert!(!pair.trade(CONSUMER, request).state.controller.unwrap().gone);
    pair.hidden.clear();
    pair.run(40);
    assert!(pair.trade(CONSUMER, request).state.controller.unwrap().gone);
    assert!(pair.ledger.read(&[controller]).is_empty(), "not a stroop stays locked");
}
