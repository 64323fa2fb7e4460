//! A consumer's node pays by what it saw, and never because the provider says so.

use super::disputes::{award, run_to};
use super::engagement::{ARBITER, market_of, trust};
use super::pair::{CONSUMER, PROVIDER, Pair, draft, net};
use crate::account::ServingKey;
use crate::amount::{Price, Stroops, Unit};
use crate::binding::dispute::{DisputeState, Settles, Split};
use crate::binding::frames::{Delivered, to_stream};
use crate::binding::phase::{Phase, Side};
use crate::binding::session::{End, Session};
use crate::escrow::EscrowKind;
use crate::escrow::outcome::EscrowState;
use crate::market::command::{Command, EscrowWish, OfferingDraft};
use crate::market::event::{Event, Token};
use crate::message::{MessageId, Signed};

const AMOUNT: Stroops = Stroops::whole(10);

/// A binding of ten calls for ten coins under one arbiter, whose service runs.
pub(super) fn active(pay_unless_disputed: bool) -> (Pair, MessageId) {
    active_of(draft(), pay_unless_disputed)
}

/// As [`active`], of ten units of this.
fn active_of(draft: OfferingDraft, pay_unless_disputed: bool) -> (Pair, MessageId) {
    let (mut pair, offering) = market_of(1, draft);
    trust(&mut pair, &[ARBITER], 1);
    let wish = EscrowWish { kind: Some(EscrowKind::Arbitrated), pay_unless_disputed };
    pair.command(CONSUMER, Command::Bind { offering, units: 10, wish, dry_run: false });
    pair.run(6);
    let request = pair.only(CONSUMER).request_id();
    assert_eq!([PROVIDER, CONSUMER].map(|node| pair.phase(node, request)), [Phase::Active; 2]);
    (pair, request)
}

/// The provider says that it's over, whatever its own node knows.
pub(super) fn says(pair: &mut Pair, end: End) {
    let key = pair.nodes[PROVIDER].setup.keys.serving.clone().unwrap();
    let binding = pair.only(PROVIDER).binding().unwrap();
    let delivered = Delivered { key: ServingKey::of(&key), binding, end, used: 10 };
    let bytes = to_stream(Signed::sign(delivered, &net(), &key).unwrap().packed());
    let peer = pair.nodes[PROVIDER].setup.peer.clone();
    pair.event(CONSUMER, Event::Direct { token: Token(0), peer, bytes });
}

pub(super) fn calls(pair: &mut Pair, answered: usize, failed: usize) {
    let binding = pair.only(CONSUMER).binding().unwrap();
    for failed in [vec![false; answered], vec![true; failed]].concat() {
        pair.command(CONSUMER, Command::CallDone { binding, failed });
    }
}

/// What the consumer's node signed for.
fn signed(pair: &Pair) -> Option<Split> {
    pair.only(CONSUMER).state.dispute.as_ref().unwrap().released(Side::Consumer)
}

#[test]
fn whoever_says_that_all_was_used_and_served_nothing_is_not_paid() {
    for end in [End::UnitsUsed, End::Done, End::DeliverBy] {
        let (mut pair, request) = active(false);
        says(&mut pair, end);
        pair.run(4);
        assert_eq!((signed(&pair), pair.only(CONSUMER).escrow()), (None, &EscrowState::Locked), "{end:?}");
        let open = Command::OpenDispute { request, to_provider: None, text: "no call was served".into() };
        pair.command(CONSUMER, open);
        pair.run(1);
        award(&mut pair, ARBITER, 0);
        pair.run(6);
        assert_eq!(pair.only(CONSUMER).escrow(), &EscrowState::Refunded, "{end:?}");
    }
}

#[test]
fn deliver_by_is_when_the_consumers_own_clock_says_so() {
    let (mut pair, _) = active(false);
    says(&mut pair, End::DeliverBy);
    assert_eq!(pair.only(CONSUMER).state.session, Session::Active);
    calls(&mut pair, 1, 0);
    run_to(&mut pair, "deliver_by", 0);
    pair.run(6);
    assert_eq!(pair.only(CONSUMER).state.session, Session::Ended(End::DeliverBy));
    assert_eq!(pair.only(PROVIDER).escrow(), &EscrowState::Paid, "a package that worked is paid at its end");
}

#[test]
fn a_consumers_node_that_saw_less_than_it_is_told_asks_the_arbiters_where_silence_would_pay() {
    let (mut pair, _) = active(true);
    calls(&mut pair, 3, 0);
    says(&mut pair, End::UnitsUsed);
    run_to(&mut pair, "dispute_by", 2);
    let record = pair.only(CONSUMER).state.dispute.as_ref().unwrap();
    assert_eq!(record.state(), DisputeState::Opened);
    let claim = Split::of(AMOUNT, Stroops::whole(3)).unwrap();
    assert_eq!(record.opening().map(|o| (o.by, o.claim)), Some((Side::Consumer, claim)));
}

#[test]
fn a_provider_that_ends_it_after_all_gives_all_back() {
    let (mut pair, request) = active(false);
    calls(&mut pair, 3, 1);
    says(&mut pair, End::UnitsUsed);
    pair.run(2);
    assert_eq!(signed(&pair), None);
    pair.command(PROVIDER, Command::Unbind(request));
    pair.run(6);
    assert_eq!(pair.only(CONSUMER).escrow(), &EscrowState::Refunded);
}

#[test]
fn a_consumer_that_was_down_over_deliver_by_pays_nothing_by_itself() {
    let (mut pair, request) = active(false);
    calls(&mut pair, 3, 0);
    pair.kill(CONSUMER);
    run_to(&mut pair, "deliver_by", 0);
    pair.run(2);
    pair.restart(CONSUMER);
    pair.run(2);
    assert_eq!(pair.only(CONSUMER).state.session, Session::Ended(End::ConsumerGone));
    assert_eq!((signed(&pair), pair.phase(CONSUMER, request)), (None, Phase::Delivered));
    pair.command(CONSUMER, Command::Release { request, to_provider: None });
    pair.run(6);
    assert_eq!(pair.only(PROVIDER).escrow(), &EscrowState::Paid, "its owner may");
}

#[test]
fn calls_count_where_arbiters_may_be_asked_and_survive_a_restart() {
    let (mut pair, _) = active(false);
    calls(&mut pair, 2, 1);
    pair.kill(CONSUMER);
    pair.restart(CONSUMER);
    let seen = pair.only(CONSUMER).state.seen;
    assert_eq!((seen.answered, seen.failed), (2, 1));
    run_to(&mut pair, "deliver_by", 0);
    pair.run(3);
    let settles: Option<Settles> = pair.only(CONSUMER).state.dispute.as_ref().unwrap().settles();
    assert_eq!(settles, None, "it worked and it didn't: its owner decides");
}

#[test]
fn of_a_package_that_nobody_used_its_owner_decides_and_doing_nothing_pays_whom_silence_favours() {
    for pay_unless_disputed in [false, true] {
        let (mut pair, request) = active(pay_unless_disputed);
        run_to(&mut pair, "deliver_by", 0);
        pair.run(3);
        assert_eq!(pair.only(CONSUMER).state.session, Session::Ended(End::DeliverBy));
        assert_eq!(pair.nodes[CONSUMER].market.claims(pair.only(CONSUMER)), None);
        assert_eq!((signed(&pair), pair.phase(CONSUMER, request)), (None, Phase::Delivered));
        run_to(&mut pair, "T", 2);
        let opened = |node| pair.only(node).state.dispute.as_ref().unwrap().opening().map(|opening| opening.by);
        let asks = (!pay_unless_disputed).then_some(Side::Provider);
        assert_eq!([PROVIDER, CONSUMER].map(opened), [asks; 2]);
        assert_eq!((signed(&pair), pair.only(CONSUMER).escrow()), (None, &EscrowState::Locked));
        pair.run(10);
        let taken = if pay_unless_disputed { EscrowState::Paid } else { EscrowState::Refunded };
        assert_eq!(pair.only(CONSUMER).escrow(), &taken);
    }
}

#[test]
fn a_provider_that_is_away_from_the_sessions_end_to_dispute_by_asks_nobody_and_loses_all() {
    let (mut pair, request) = active(false);
    pair.command(CONSUMER, Command::Unbind(request));
    pair.kill(PROVIDER);
    run_to(&mut pair, "dispute_by", 0);
    pair.run(1);
    pair.restart(PROVIDER);
    pair.run(2);
    assert_eq!(signed(&pair), None, "no call was made: its owner decides, and does nothing");
    run_to(&mut pair, "T", 0);
    pair.run(10);
    for node in [PROVIDER, CONSUMER] {
        assert_eq!(pair.only(node).escrow(), &EscrowState::Refunded);
        assert_eq!(pair.only(node).state.dispute.as_ref().unwrap().opening(), None);
    }
}

#[test]
fn who_leaves_a_package_of_calls_that_worked_pays_all_of_it_and_of_seconds_what_was_seen() {
    let (mut pair, request) = active(false);
    calls(&mut pair, 1, 0);
    let consumer = &pair.nodes[CONSUMER].market;
    assert_eq!(consumer.claims_if_unbound(pair.only(CONSUMER), pair.now), Some(Split::all_to(Side::Provider, AMOUNT)));
    pair.command(CONSUMER, Command::Unbind(request));
    pair.run(6);
    assert_eq!(pair.only(PROVIDER).escrow(), &EscrowState::Paid);

    let price = Price { unit: Unit::Second, ..draft().price };
    for pay_unless_disputed in [false, true] {
        let (mut pair, request) = active_of(OfferingDraft { price: price.clone(), ..draft() }, pay_unless_disputed);
        let since = pair.only(CONSUMER).state.active_since.unwrap();
        pair.run(2);
        let seconds = pair.now.timestamp().since(since).as_secs() as u32;
        let seen = Split::of(AMOUNT, Stroops::whole(seconds));
        assert!((1..8).contains(&seconds), "{seconds}");
        assert_eq!(pair.nodes[CONSUMER].market.claims_if_unbound(pair.only(CONSUMER), pair.now), seen);
        pair.command(CONSUMER, Command::Unbind(request));
        pair.run(4);
        assert_eq!(pair.only(PROVIDER).state.session, Session::Ended(End::UnboundByConsumer));
        assert_eq!(pair.nodes[CONSUMER].market.claims(pair.only(CONSUMER)), seen);
        assert_eq!((signed(&pair), pair.only(CONSUMER).escrow()), (None, &EscrowState::Locked));
        run_to(&mut pair, "dispute_by", 2);
        let opening = pair.only(PROVIDER).state.dispute.as_ref().unwrap().opening().copied();
        let expected = match pay_unless_disputed {
            false => (Side::Provider, Some(Split::all_to(Side::Provider, AMOUNT))),
            true => (Side::Consumer, seen),
        };
        assert_eq!(opening.map(|o| (o.by, Some(o.claim))), Some(expected));
    }
}

#[test]
fn a_part_that_was_seen_is_paid_once_the_provider_signs_for_it_and_not_before() {
    let of_seconds = OfferingDraft { price: Price { unit: Unit::Second, ..draft().price }, ..draft() };
    for (draft, calls_made) in [(draft(), 3), (of_seconds, 0)] {
        let (mut pair, request) = active_of(draft, false);
        if calls_made > 0 {
            calls(&mut pair, calls_made, 0);
            says(&mut pair, End::UnitsUsed);
        } else {
            pair.run(2);
            pair.command(CONSUMER, Command::Unbind(request));
        }
        pair.run(2);
        let seen = pair.nodes[CONSUMER].market.claims(pair.only(CONSUMER)).unwrap();
        assert!(seen.to_provider > Stroops::ZERO && seen.to_consumer > Stroops::ZERO, "{seen:?}");
        let more = Stroops::whole(1).plus(seen.to_provider);
        pair.command(PROVIDER, Command::Release { request, to_provider: more });
        pair.run(4);
        assert_eq!((signed(&pair), pair.only(CONSUMER).escrow()), (None, &EscrowState::Locked), "it saw less");
        pair.command(PROVIDER, Command::Release { request, to_provider: Some(seen.to_provider) });
        pair.run(8);
        assert_eq!(signed(&pair), Some(seen));
        let divided = EscrowState::Split { recipient: seen.to_provider, consumer: seen.to_consumer };
        assert_eq!([PROVIDER, CONSUMER].map(|node| pair.only(node).escrow().clone()), [divided.clone(), divided]);
    }
}
