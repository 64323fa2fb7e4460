//! What stands on the ledger and can't be read as a thing that this program knows: nothing follows from it, neither that it is
//! there nor that it isn't.

use super::disputes::{bound, funding, run_to};
use super::engagement::{ARBITER, account};
use super::pair::{CONSUMER, PROVIDER, Pair, draft};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::precheck::PrecheckFailure;
use crate::binding::session::End;
use crate::escrow::outcome::EscrowState;
use crate::market::command::{Command, CommandError, EscrowWish};
use crate::stellar::ledger_key::Key;
use crate::timestamp;

#[test]
fn a_command_whose_entries_cannot_be_read_is_told_so_and_not_that_they_are_not_there() {
    let (mut pair, offering) = Pair::offering(1, draft());
    let [own, other] = [CONSUMER, PROVIDER].map(|node| account(&pair, node));
    let asset = Asset::issued("HEXA", other).unwrap();
    let bond = pair.nodes[PROVIDER].market.offers().next().unwrap().1.body().bond;
    let pay = Command::Pay { to: other, asset: Asset::Native, amount: Stroops::whole(1), memo: None, dry_run: true };
    let line = Command::Trust { asset: asset.clone(), limit: Stroops::whole(5), dry_run: true };
    let stamp = Command::Stamp { hashes: vec![[1; 32]], dry_run: true };
    let bind = Command::Bind { offering, units: 1, wish: EscrowWish::default(), dry_run: true };
    let cases = [
        (pay, vec![Key::Account(own), Key::Account(other)]),
        (line, vec![Key::Account(own), Key::Account(other), Key::Trustline(own, asset)]),
        (stamp, vec![Key::Account(own), timestamp::entry_of(own)]),
        (bind, vec![Key::Account(own), Key::Account(other), Key::Balance(bond)]),
    ];
    for (command, keys) in cases {
        for key in keys {
            pair.unreadable = vec![(CONSUMER, key.clone())];
            let id = pair.command(CONSUMER, command.clone());
            pair.run(1);
            let answer = pair.nodes[CONSUMER].answers.remove(&id);
            let Some(Err(CommandError::Precheck(PrecheckFailure::LedgerUnavailable(why)))) = &answer else {
                panic!("{key:?}: {answer:?}");
            };
            assert!(why.contains("can't be read"), "{why}");
        }
        pair.unreadable.clear();
        let id = pair.command(CONSUMER, command);
        pair.run(1);
        let answer = pair.nodes[CONSUMER].answers.remove(&id);
        assert!(matches!(answer, Some(Ok(_))), "{answer:?}");
    }
}

#[test]
fn an_account_that_cannot_be_read_is_still_there() {
    let mut pair = Pair::new(1);
    let own = account(&pair, CONSUMER);
    pair.unreadable.push((CONSUMER, Key::Account(own)));
    pair.run(3);
    assert!(pair.nodes[CONSUMER].market.account().is_some());
}

#[test]
fn an_arbiter_that_cannot_read_the_money_of_a_case_takes_it_once_it_can() {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    let balance = pair.trade(PROVIDER, request).state.balance.unwrap();
    pair.unreadable.push((ARBITER, Key::Balance(balance)));
    run_to(&mut pair, "dispute_by", 3);
    assert_eq!(pair.nodes[ARBITER].market.cases().count(), 0);
    let note = pair.trade(PROVIDER, request).state.note.as_ref().map(|note| note.to_string()).unwrap_or_default();
    assert!(!note.contains("not on the ledger"), "{note}");
    pair.unreadable.clear();
    pair.run(5);
    assert_eq!(pair.nodes[ARBITER].market.cases().count(), 1);
}

#[test]
fn an_escrow_whose_controller_cannot_be_read_is_not_refused_and_starts_once_it_can() {
    let mut pair = funding(false);
    let request = pair.only(PROVIDER).request_id();
    let controller = pair.trade(PROVIDER, request).state.controller.unwrap().account;
    pair.unreadable.push((PROVIDER, Key::Account(controller)));
    pair.run(3);
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Intended);
    assert_eq!(pair.trade(CONSUMER, request).escrow(), &EscrowState::Locked);
    pair.unreadable.clear();
    pair.run(2);
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Locked);
}

#[test]
fn a_walk_down_the_sequence_numbers_passes_nothing_that_it_cannot_read() {
    let (mut pair, _) = Pair::offering(1, draft());
    let bond = pair.nodes[PROVIDER].market.offers().next().unwrap().1.body().bond;
    pair.unreadable.push((PROVIDER, Key::Balance(bond)));
    pair.command(PROVIDER, Command::Recover { take: false });
    pair.run(20);
    let done = |pair: &Pair| pair.nodes[PROVIDER].market.recovery_progress().is_some_and(|walk| walk.is_done());
    assert!(!done(&pair));
    pair.unreadable.clear();
    pair.run(60);
    assert!(done(&pair));
}
