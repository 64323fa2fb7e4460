//! Whoever was away, or isn't first, looks before it claims; and a service ends with its money.

use core::time::Duration;

use super::disputes::{award, bound, run_to};
use super::engagement::ARBITER;
use super::pair::{CONSUMER, PROVIDER, Pair, draft};
use super::seen::active;
use crate::amount::Stroops;
use crate::binding::phase::Phase;
use crate::binding::session::{End, Session};
use crate::escrow::outcome::{EscrowState, EscrowWatch};
use crate::kind::Kind;
use crate::market::command::{Answer, Command, CommandError};
use crate::market::event::Event;
use crate::message::MessageId;
use crate::stellar::ledger_key::Key;

fn failed(pair: &Pair) -> usize {
    pair.ledger.included.iter().filter(|(_, _, success, _)| !success).count()
}

fn balance(pair: &Pair) -> Key {
    Key::Balance(pair.only(PROVIDER).state.balance.unwrap())
}

fn stands(pair: &Pair) -> bool {
    pair.ledger.balances.contains_key(&pair.only(PROVIDER).state.balance.unwrap())
}

/// What the provider's node says to a call of the consumer's.
fn call(pair: &mut Pair) -> Result<Answer, CommandError> {
    let binding = pair.only(PROVIDER).binding().unwrap();
    let token = pair.only(CONSUMER).state.access.unwrap().token;
    let id = pair.command(PROVIDER, Command::AdmitCall { binding, token });
    pair.nodes[PROVIDER].answers.remove(&id).unwrap()
}

/// A binding whose service runs, about which the consumer asks the arbiter, who gives so much of ten coins to the provider.
fn awarded(coins: u32) -> (Pair, MessageId) {
    let (mut pair, request) = active(false);
    pair.command(CONSUMER, Command::OpenDispute { request, to_provider: None, text: "it is bad".into() });
    pair.run(1);
    assert_eq!(call(&mut pair), Ok(Answer::Admitted), "asking alone ends nothing");
    award(&mut pair, ARBITER, coins);
    (pair, request)
}

fn is_over(pair: &Pair, request: MessageId, escrow: &EscrowState, note: &str) {
    for node in [PROVIDER, CONSUMER] {
        let trade = pair.trade(node, request);
        assert_eq!((trade.phase(), trade.escrow()), (Phase::Closed, escrow), "{node}");
        assert_eq!(trade.state.session, Session::Ended(End::UnboundByProvider), "{node}");
        assert_eq!(trade.state.note.as_ref().map(|note| note.as_str()), Some(note), "{node}");
    }
    assert!(pair.nodes[PROVIDER].running.is_empty());
}

#[test]
fn a_service_ends_with_its_money_and_takes_no_call_from_the_award_on() {
    let (mut pair, request) = awarded(5);
    let refused = call(&mut pair);
    assert!(matches!(&refused, Err(CommandError::NotNow(why)) if why.contains("awarded")), "{refused:?}");
    pair.run(6);
    let half = Stroops::new(45_000_000).unwrap();
    let escrow = EscrowState::Split { recipient: half, consumer: half };
    is_over(&pair, request, &escrow, "the escrow was divided between the sides, and the service ends with it");
    assert_eq!(pair.trade(PROVIDER, request).state.used, 1);
    assert!(call(&mut pair).is_err());
}

#[test]
fn a_service_whose_seller_signs_for_giving_money_back_takes_no_call_and_ends() {
    for (to_provider, whole) in [(None, true), (Some(Stroops::whole(4)), false)] {
        let (mut pair, request) = active(false);
        pair.command(PROVIDER, Command::Release { request, to_provider });
        let refused = call(&mut pair);
        assert!(matches!(&refused, Err(CommandError::NotNow(why)) if why.contains("signed")), "{refused:?}");
        pair.run(6);
        assert_eq!(stands(&pair), !whole, "a part is the buyer's to take or not");
        if whole {
            let note = "the escrow went back to the consumer, and the service ends with it";
            is_over(&pair, request, &EscrowState::Refunded, note);
        }
    }
}

#[test]
fn what_is_paid_in_full_is_served_to_its_end() {
    let (mut pair, request) = awarded(10);
    pair.run(8);
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Paid);
    assert_eq!(pair.trade(PROVIDER, request).state.session, Session::Active);
    assert_eq!(call(&mut pair), Ok(Answer::Admitted));
}

#[test]
fn an_escrow_about_which_arbiters_are_asked_is_looked_at_with_every_ledger_while_its_service_runs() {
    let (mut pair, request) = active(false);
    let seen = |pair: &Pair, node| pair.trade(node, request).state.escrow.as_ref().and_then(EscrowWatch::last_seen);
    pair.run(2);
    let before = seen(&pair, CONSUMER);
    pair.run(2);
    assert_eq!(seen(&pair, CONSUMER), before, "else it is quiet");
    pair.command(CONSUMER, Command::OpenDispute { request, to_provider: None, text: "it is bad".into() });
    for _ in 0..3 {
        pair.run(1);
        for node in [PROVIDER, CONSUMER] {
            assert_eq!(seen(&pair, node), Some(pair.ledger.point()), "{node}");
        }
    }
}

#[test]
fn whoever_is_second_to_settle_looks_before_it_does() {
    for is_answered in [true, false] {
        let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
        run_to(&mut pair, "dispute_by", 2);
        pair.lose.extend([(PROVIDER, Kind::Cosign), (PROVIDER, Kind::Closing)]);
        award(&mut pair, ARBITER, 7);
        pair.run(4);
        pair.unreadable.push((CONSUMER, balance(&pair)));
        if is_answered {
            pair.lose.retain(|(_, kind)| *kind != Kind::Cosign);
        }
        pair.run(3);
        assert_eq!(stands(&pair), !is_answered, "the provider is first, and nobody has answered the consumer yet");
        pair.unreadable.retain(|_| !is_answered);
        pair.run(6);
        assert_eq!(failed(&pair), 0);
        assert!(!stands(&pair), "and where nobody answers at all, it goes on");
        let over = matches!(pair.trade(CONSUMER, request).escrow(), EscrowState::Split { .. });
        assert!(over, "{:?}", pair.trade(CONSUMER, request).escrow());
    }
}

/// Who is down is back once T has passed.
fn back_after_t(pair: &mut Pair, node: usize) {
    run_to(pair, "T", 0);
    pair.run(2);
    pair.restart(node);
    pair.run(10);
}

#[test]
fn an_arbiter_tells_its_award_as_soon_as_who_was_away_is_heard_again() {
    let (mut pair, _) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    pair.run(1);
    pair.kill(PROVIDER);
    pair.kill(CONSUMER);
    award(&mut pair, ARBITER, 10);
    // By then it waits for longer than this takes until it tries again.
    pair.run(8);
    pair.restart(PROVIDER);
    pair.run(5);
    assert_eq!(pair.only(PROVIDER).escrow(), &EscrowState::Paid);
}

#[test]
fn a_node_that_was_down_over_t_claims_nothing_that_was_taken_meanwhile() {
    // Settled by an award.
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    pair.kill(CONSUMER);
    award(&mut pair, ARBITER, 7);
    pair.run(6);
    assert!(!stands(&pair));
    back_after_t(&mut pair, CONSUMER);
    assert_eq!(failed(&pair), 0);
    assert!(matches!(pair.trade(CONSUMER, request).escrow(), EscrowState::Split { .. }));
    // Taken back by the consumer, where the provider's own time has come.
    let (mut pair, request) = bound(1, true, [End::UnitsUsed, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    pair.command(CONSUMER, Command::OpenDispute { request, to_provider: None, text: "it is bad".into() });
    pair.run(1);
    pair.kill(PROVIDER);
    award(&mut pair, ARBITER, 0);
    pair.run(6);
    assert!(!stands(&pair));
    back_after_t(&mut pair, PROVIDER);
    assert_eq!((failed(&pair), pair.trade(PROVIDER, request).escrow()), (0, &EscrowState::Refunded));
    // Collected, under `timed`.
    let (mut pair, request) = Pair::active(draft(), 3);
    pair.kill(CONSUMER);
    run_to(&mut pair, "T", 0);
    assert!(!stands(&pair));
    pair.run(2);
    pair.restart(CONSUMER);
    pair.run(10);
    assert_eq!((failed(&pair), pair.trade(CONSUMER, request).escrow()), (0, &EscrowState::Paid));
}

#[test]
fn a_node_that_heard_of_no_ledger_over_t_claims_nothing_that_was_taken_meanwhile() {
    let (mut pair, request) = Pair::active(draft(), 3);
    pair.lose.push((PROVIDER, Kind::Closing));
    let refund_at = pair.trade(CONSUMER, request).terms().unwrap().terms.refund_at().unwrap();
    while pair.now.timestamp() < refund_at.plus(Duration::from_secs(2)) {
        pair.now = pair.now.plus(Duration::from_secs(1));
        pair.ledger.close(pair.now.timestamp());
        let point = pair.ledger.point();
        pair.event(PROVIDER, Event::Closed(point));
        pair.event(PROVIDER, Event::Tick);
        pair.event(CONSUMER, Event::Tick);
    }
    assert!(!stands(&pair), "the provider has collected");
    pair.run(10);
    assert_eq!((failed(&pair), pair.trade(CONSUMER, request).escrow()), (0, &EscrowState::Paid));
}

#[test]
fn the_side_that_is_first_to_settle_and_was_away_looks_whether_the_other_one_did() {
    for slept in [true, false] {
        let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
        run_to(&mut pair, "dispute_by", 2);
        pair.lose.push((PROVIDER, Kind::Cosign));
        award(&mut pair, ARBITER, 7);
        pair.run(1);
        pair.nodes[PROVIDER].up = false;
        pair.lose.clear();
        pair.run(8);
        assert!(!stands(&pair), "the consumer settled");
        pair.unreadable.push((PROVIDER, balance(&pair)));
        if slept {
            pair.nodes[PROVIDER].up = true;
            pair.event(PROVIDER, Event::Tick);
        } else {
            pair.restart(PROVIDER);
        }
        pair.run(2);
        pair.unreadable.clear();
        pair.run(8);
        assert_eq!(failed(&pair), 0);
        assert!(matches!(pair.trade(PROVIDER, request).escrow(), EscrowState::Split { .. }));
        assert_eq!(pair.trade(PROVIDER, request).state.owed, None, "its share is claimed");
    }
}

#[test]
fn what_was_left_standing_is_claimed_after_a_restart_and_also_where_nobody_can_read_it() {
    for is_answered in [true, false] {
        let (mut pair, _) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
        pair.kill(CONSUMER);
        run_to(&mut pair, "T", 0);
        pair.run(2);
        assert!(stands(&pair));
        if !is_answered {
            pair.unreadable.push((CONSUMER, balance(&pair)));
        }
        pair.restart(CONSUMER);
        pair.run(3);
        assert_eq!(stands(&pair), !is_answered);
        pair.run(6);
        assert_eq!((stands(&pair), failed(&pair)), (false, 0));
    }
}

#[test]
fn a_provider_that_was_down_gives_back_before_t_also_where_nobody_can_read_what_it_claims() {
    let (mut pair, request) = Pair::active(draft(), 3);
    pair.kill(PROVIDER);
    run_to(&mut pair, "T", 7);
    assert!(stands(&pair));
    pair.unreadable.push((PROVIDER, balance(&pair)));
    pair.restart(PROVIDER);
    pair.run(6);
    assert_eq!((stands(&pair), failed(&pair)), (false, 0));
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Refunded);
}
