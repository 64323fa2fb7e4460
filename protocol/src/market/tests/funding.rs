//! From the request to the escrow: who hears what, and what is locked.

use core::time::Duration;

use super::pair::{CONSUMER, PROVIDER, Pair, draft};
use crate::account::AccountId;
use crate::amount::{Price, Stroops};
use crate::asset::Asset;
use crate::binding::phase::Phase;
use crate::binding::precheck::PrecheckFailure;
use crate::binding::session::End;
use crate::escrow::outcome::EscrowState;
use crate::kind::Kind;
use crate::market::command::{Answer, Command, CommandError, EscrowWish, OfferingDraft};
use crate::market::event::{Ask, Event};
use crate::stellar::LedgerPoint;
use crate::stellar::entry::{BalanceClaimant, BalanceState};
use crate::stellar::ledger_key::Key;
use crate::stellar::predicate::Predicate;

#[test]
fn a_bind_is_answered_where_the_provider_never_takes_the_funding() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.lose.push((CONSUMER, Kind::Fund));
    let bind = pair.bind(CONSUMER, offering, 3);
    pair.run(30);
    let answer = pair.nodes[CONSUMER].answers.get(&bind);
    assert!(matches!(answer, Some(Err(CommandError::Timeout { .. }))), "{answer:?}");
    assert_eq!(pair.phase(CONSUMER, pair.only(CONSUMER).request_id()), Phase::Void);
    assert_eq!(pair.ledger.balances.len(), 1, "the bond alone");
    let provider = pair.only(PROVIDER);
    assert!(!provider.holds_place());
}

#[test]
fn a_funding_that_history_lost_is_unknown_and_not_called_unfunded() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.bind(CONSUMER, offering, 3);
    assert_eq!(pair.ledger.pending.len(), 1, "it is on its way");
    pair.kill(CONSUMER);
    pair.run(20);
    assert_eq!(pair.only(PROVIDER).escrow(), &EscrowState::Paid);
    pair.ledger.oldest = pair.ledger.point().sequence + 1;
    pair.restart(CONSUMER);
    pair.run(200);
    assert_eq!(pair.only(CONSUMER).escrow(), &EscrowState::Unknown);
    pair.ledger.oldest = 1;
    pair.kill(CONSUMER);
    pair.restart(CONSUMER);
    pair.run(2);
    assert_eq!(pair.only(CONSUMER).escrow(), &EscrowState::Paid, "another server remembers");
}

/// A provider that is killed with the funding in its hands, while its consumer takes the money back at T; and the ledger as it was
/// agreed on.
fn off_while_it_was_funded() -> (Pair, u32) {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.bind(CONSUMER, offering, 3);
    assert_eq!(pair.ledger.pending.len(), 1, "it is on its way");
    let began = pair.ledger.point().sequence;
    pair.kill(PROVIDER);
    while pair.only(CONSUMER).escrow() != &EscrowState::Refunded {
        pair.run(5);
    }
    (pair, began)
}

/// It is back when no server remembers what became of it.
fn back_after_all_is_forgotten(reaches_back: bool) -> Pair {
    let (mut pair, began) = off_while_it_was_funded();
    pair.ledger.included.clear();
    pair.ledger.oldest = if reaches_back { began } else { began + 2 };
    pair.restart(PROVIDER);
    pair
}

#[test]
fn a_provider_that_was_off_while_it_was_funded_calls_nothing_unfunded_where_history_does_not_reach_back() {
    let mut pair = back_after_all_is_forgotten(false);
    pair.run(20);
    assert_eq!(pair.only(PROVIDER).escrow(), &EscrowState::Intended, "another server may know");
    pair.run(200);
    assert_eq!(pair.only(PROVIDER).escrow(), &EscrowState::Unknown);
    assert_eq!(pair.only(PROVIDER).phase(), Phase::Closed);
}

#[test]
fn a_provider_calls_unfunded_what_is_in_none_of_the_ledgers_since_it_agreed() {
    let mut pair = back_after_all_is_forgotten(true);
    pair.run(2);
    assert_eq!(pair.only(PROVIDER).escrow(), &EscrowState::None);
    assert_eq!(pair.only(PROVIDER).phase(), Phase::Void);
}

#[test]
fn who_took_a_balance_says_nothing_of_a_funding_that_may_have_died_and_left_its_number_to_the_next() {
    let (mut pair, began) = off_while_it_was_funded();
    // The refund is remembered, and the funding isn't.
    pair.ledger.oldest = began + 2;
    pair.restart(PROVIDER);
    pair.run(20);
    assert_eq!(pair.only(PROVIDER).escrow(), &EscrowState::Intended);
    pair.run(200);
    assert_eq!(pair.only(PROVIDER).escrow(), &EscrowState::Unknown);
    pair.ledger.oldest = 1;
    pair.kill(PROVIDER);
    pair.restart(PROVIDER);
    pair.run(3);
    assert_eq!(pair.only(PROVIDER).escrow(), &EscrowState::Refunded, "another server remembers the funding");
}

#[test]
fn a_search_goes_on_after_a_restart_where_it_was() {
    let mut pair = back_after_all_is_forgotten(false);
    for _ in 0..40 {
        pair.run(6);
        pair.kill(PROVIDER);
        pair.restart(PROVIDER);
    }
    pair.run(1);
    assert_eq!(pair.only(PROVIDER).escrow(), &EscrowState::Unknown);
}

#[test]
fn what_was_read_before_a_lost_funding_says_nothing_of_it() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.bind(CONSUMER, offering, 3);
    let request = pair.only(CONSUMER).request_id();
    let balance = pair.trade(CONSUMER, request).state.balance.unwrap();
    let before = pair.ledger.point();
    pair.kill(CONSUMER);
    pair.run(2);
    pair.ledger.oldest = pair.ledger.point().sequence + 1;
    pair.unreadable.push((CONSUMER, Key::Balance(balance)));
    pair.restart(CONSUMER);
    pair.run(2);
    let watch = pair.trade(CONSUMER, request).state.escrow.clone().unwrap();
    assert!(watch.last_seen().is_some(), "its funding is lost from history");
    let at = LedgerPoint { sequence: before.sequence + 1, ..before };
    let asked = vec![Key::Balance(balance)];
    drop(pair.step(CONSUMER, Event::Entries { ask: Ask::Escrows, at, asked, entries: vec![] }));
    assert!(!pair.trade(CONSUMER, request).is_gone());
    pair.unreadable.clear();
    pair.run(1);
    assert_eq!(pair.trade(CONSUMER, request).escrow(), &EscrowState::Locked, "it stands");
}

#[test]
fn a_bind_whose_request_is_taken_back_is_answered() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.lose.push((CONSUMER, Kind::BindingRequest));
    let bind = pair.bind(CONSUMER, offering, 3);
    let request = pair.only(CONSUMER).request_id();
    let unbind = pair.command(CONSUMER, Command::Unbind(request));
    assert_eq!(pair.nodes[CONSUMER].answers.get(&unbind), Some(&Ok(Answer::Unbound)));
    let answer = pair.nodes[CONSUMER].answers.get(&bind);
    assert!(matches!(answer, Some(Err(CommandError::NotNow(_)))), "{answer:?}");
}

#[test]
fn a_funding_that_is_taken_after_the_user_has_unbound_is_not_submitted() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.hold.push((CONSUMER, Kind::Fund));
    let bind = pair.bind(CONSUMER, offering, 3);
    let request = pair.only(CONSUMER).request_id();
    assert_eq!(pair.trade(CONSUMER, request).escrow(), &EscrowState::Intended);
    pair.command(CONSUMER, Command::Unbind(request));
    pair.let_go();
    assert!(pair.ledger.pending.is_empty(), "nothing is sent to the ledger");
    pair.run(30);
    assert_eq!(pair.ledger.balances.len(), 1, "the bond alone");
    assert_eq!(pair.phase(CONSUMER, request), Phase::Void);
    assert!(pair.nodes[CONSUMER].answers.contains_key(&bind));
}

#[test]
fn an_escrow_other_than_agreed_starts_nothing_and_holds_no_place() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.bind(CONSUMER, offering, 3);
    let request = pair.only(CONSUMER).request_id();
    let id = pair.trade(PROVIDER, request).state.balance.unwrap();
    pair.ledger.pending.clear();
    let (amount, asset) = (Stroops::new(1).unwrap(), Asset::Native);
    let account = AccountId::from_bytes(*pair.trade(PROVIDER, request).binding().unwrap().as_bytes());
    let claimants = vec![BalanceClaimant { account, predicate: Predicate::Never }];
    let other = BalanceState { id, asset, amount, claimants, clawback_enabled: false, sponsor: None };
    pair.ledger.balances.insert(id, other);
    pair.run(3);
    assert_eq!(pair.phase(PROVIDER, request), Phase::Refused);
    assert!(!pair.trade(PROVIDER, request).holds_place());
    assert_eq!(pair.nodes[PROVIDER].started, 0);
    assert_eq!(pair.trade(CONSUMER, request).state.session.end(), Some(End::StartFailed));
}

#[test]
fn a_consumer_that_was_down_while_its_escrow_was_funded_and_collected_says_so() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.bind(CONSUMER, offering, 3);
    let request = pair.only(CONSUMER).request_id();
    pair.kill(CONSUMER);
    pair.run(25);
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Paid);
    pair.restart(CONSUMER);
    assert_ne!(pair.phase(CONSUMER, request), Phase::Void, "nothing is concluded from absence alone");
    pair.run(3);
    assert_eq!(pair.trade(CONSUMER, request).escrow(), &EscrowState::Paid);
    assert_eq!(pair.phase(CONSUMER, request), Phase::Closed);
}

#[test]
fn a_service_is_not_started_after_start_by() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.bind(CONSUMER, offering, 3);
    let request = pair.only(CONSUMER).request_id();
    pair.kill(PROVIDER);
    pair.run(31);
    pair.restart(PROVIDER);
    pair.run(3);
    assert_eq!(pair.nodes[PROVIDER].started, 0);
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Refunded);
}

#[test]
fn an_account_holds_one_place_of_a_free_offering_before_it_confirms_it() {
    let free = Price { amount: Stroops::ZERO, ..draft().price };
    let (mut pair, offering) = Pair::offering(1, OfferingDraft { price: free, ..draft() });
    pair.lose.push((CONSUMER, Kind::Fund));
    let bind = pair.bind(CONSUMER, offering, 1);
    let again = pair.bind(CONSUMER, offering, 1);
    assert!(!pair.nodes[CONSUMER].answers.contains_key(&bind));
    let answer = pair.nodes[CONSUMER].answers.get(&again);
    assert!(matches!(answer, Some(Err(CommandError::ByProvider(_)))), "{answer:?}");
}

#[test]
fn what_is_promised_to_a_binding_can_not_be_spent_otherwise() {
    let price = Price { amount: Stroops::whole(6), ..draft().price };
    let (mut pair, offering) = Pair::offering(1, OfferingDraft { price, ..draft() });
    pair.hold.push((CONSUMER, Kind::BindingRequest));
    pair.bind(CONSUMER, offering, 10);
    let to = pair.nodes[PROVIDER].setup.keys.account_id().unwrap();
    let pay = Command::Pay { to, asset: Asset::Native, amount: Stroops::whole(60), memo: None, dry_run: false };
    let pay = pair.command(CONSUMER, pay);
    let answer = pair.nodes[CONSUMER].answers.get(&pay);
    assert!(matches!(answer, Some(Err(CommandError::Precheck(PrecheckFailure::WalletShort { .. })))), "{answer:?}");
}

#[test]
fn two_payments_at_once_do_not_promise_the_same_coins() {
    let (mut pair, _) = Pair::offering(1, draft());
    let to = pair.nodes[PROVIDER].setup.keys.account_id().unwrap();
    let pay = Command::Pay { to, asset: Asset::Native, amount: Stroops::whole(60), memo: None, dry_run: false };
    let both = [pair.command(CONSUMER, pay.clone()), pair.command(CONSUMER, pay)];
    pair.run(5);
    let answers = both.map(|id| pair.nodes[CONSUMER].answers[&id].clone());
    assert!(
        matches!(answers, [Ok(_), Err(CommandError::Precheck(PrecheckFailure::WalletShort { .. }))]),
        "{answers:?}"
    );
}

#[test]
fn a_binding_that_came_to_nothing_and_one_that_cost_nothing_are_forgotten_in_the_end() {
    let free = Price { amount: Stroops::ZERO, ..draft().price };
    let (mut pair, request) = Pair::active(OfferingDraft { price: free, ..draft() }, 3);
    pair.run(60);
    assert_eq!(pair.phase(PROVIDER, request), Phase::Closed);
    pair.now = pair.now.plus(Duration::from_secs(3_700));
    pair.run(1);
    assert_eq!(pair.nodes[PROVIDER].market.trades().count(), 0);
    assert_eq!(pair.phase(CONSUMER, request), Phase::Closed, "a user's own history stays");
}

#[test]
fn a_start_specification_that_could_not_be_stored_is_refused() {
    let mut pair = Pair::new(1);
    let draft = OfferingDraft { spec: vec![0; 70_000], ..draft() };
    let publish = pair.command(PROVIDER, Command::Publish(Box::new(draft)));
    pair.run(2);
    let answer = pair.nodes[PROVIDER].answers.get(&publish);
    assert!(matches!(answer, Some(Err(CommandError::NotNow(_)))), "{answer:?}");
}

#[test]
fn nothing_is_bound_while_the_ledger_stands_still() {
    let (mut pair, offering) = Pair::offering(1, draft());
    let stalled = pair.nodes[CONSUMER].setup.margins.ledger_life + core::time::Duration::from_secs(1);
    for (pause, bound) in [(core::time::Duration::ZERO, true), (stalled, false)] {
        pair.now = pair.now.plus(pause);
        let command =
            pair.command(CONSUMER, Command::Bind { offering, units: 1, wish: EscrowWish::default(), dry_run: true });
        match pair.nodes[CONSUMER].answers.remove(&command) {
            Some(Ok(Answer::Quoted { .. })) if bound => {}
            Some(Err(error)) if !bound => assert_eq!(error.code(), "ledger-unavailable", "{error}"),
            other => panic!("{pause:?}: {other:?}"),
        }
    }
}
