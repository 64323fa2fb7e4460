//! Disputes: who concedes, who asks the arbiters, what they hear, and that silence means the timeout.

use core::time::Duration;

use super::engagement::{ARBITER, account, market, trust};
use super::pair::{CONSUMER, PROVIDER, Pair};
use crate::amount::Stroops;
use crate::binding::dispute::{DisputeState, Settles, Split};
use crate::binding::evidence::Attachment;
use crate::binding::frames::Note;
use crate::binding::phase::{Phase, Side};
use crate::binding::session::{End, Session};
use crate::escrow::EscrowKind;
use crate::escrow::outcome::EscrowState;
use crate::kind::Kind;
use crate::market::command::{Answer, Command, CommandError, EscrowWish};
use crate::message::{BalanceId, BindingId, MessageId};

const AMOUNT: Stroops = Stroops::whole(10);

/// A binding of ten coins with so many arbiters whose escrow stands, and whose session ended so on both sides.
pub(super) fn bound(arbiters: usize, pay_unless_disputed: bool, ends: [End; 2]) -> (Pair, MessageId) {
    let (mut pair, offering) = market(arbiters);
    let trusted: Vec<usize> = (ARBITER..ARBITER + arbiters).collect();
    trust(&mut pair, &trusted, arbiters);
    let wish = EscrowWish { kind: Some(EscrowKind::Arbitrated), pay_unless_disputed };
    pair.command(CONSUMER, Command::Bind { offering, units: 10, wish, dry_run: false });
    pair.run(3);
    let request = pair.only(CONSUMER).request_id();
    for (node, end) in [PROVIDER, CONSUMER].into_iter().zip(ends) {
        let trade = pair.nodes[node].market.trades.get_mut(&request).unwrap();
        assert_eq!(trade.escrow(), &EscrowState::Locked);
        trade.state.session = Session::Ended(end);
        trade.state.seen.answered = 10;
    }
    (pair, request)
}

fn binding(pair: &Pair) -> BindingId {
    pair.only(PROVIDER).binding().unwrap()
}

fn dispute(pair: &Pair, node: usize) -> DisputeState {
    pair.only(node).state.dispute.as_ref().unwrap().state()
}

fn settles(pair: &Pair, node: usize) -> Option<Settles> {
    pair.only(node).state.dispute.as_ref().unwrap().settles()
}

/// A market with one arbiter, and a binding whose funding is on its way to the ledger.
pub(super) fn funding(pay_unless_disputed: bool) -> Pair {
    let (mut pair, offering) = market(1);
    trust(&mut pair, &[ARBITER], 1);
    let wish = EscrowWish { kind: Some(EscrowKind::Arbitrated), pay_unless_disputed };
    pair.command(CONSUMER, Command::Bind { offering, units: 10, wish, dry_run: false });
    while pair.ledger.pending.is_empty() {
        pair.run(1);
    }
    pair
}

/// Runs to a deadline of the binding's by its name, less so many seconds.
pub(super) fn run_to(pair: &mut Pair, name: &str, before: u64) {
    let named = pair.only(PROVIDER).terms().unwrap().terms.named();
    let at = named.into_iter().find(|(n, _)| *n == name).unwrap().1.minus(Duration::from_secs(before));
    pair.run(at.since(pair.now.timestamp()).as_secs());
}

fn all_to(side: Side) -> Split {
    Split::all_to(side, AMOUNT)
}

pub(super) fn award(pair: &mut Pair, arbiter: usize, coins: u32) {
    let binding = binding(pair);
    let command = Command::Award { binding, to_provider: Stroops::whole(coins), note: Note::new("as agreed") };
    let id = pair.command(arbiter, command);
    assert_eq!(pair.nodes[arbiter].answers.get(&id), Some(&Ok(Answer::Awarded)));
}

#[test]
fn who_claims_nothing_releases_by_itself_and_the_other_side_knows() {
    for (end, gains) in [(End::UnitsUsed, Side::Provider), (End::StartFailed, Side::Consumer)] {
        let (mut pair, request) = bound(1, false, [end, end]);
        pair.run(4);
        let escrow = if gains == Side::Provider { EscrowState::Paid } else { EscrowState::Refunded };
        for node in [PROVIDER, CONSUMER] {
            assert_eq!(settles(&pair, node), Some(Settles { split: all_to(gains), awarded: false }), "{end:?}");
            assert_eq!((pair.phase(node, request), pair.only(node).escrow()), (Phase::Closed, &escrow));
        }
        assert_eq!(pair.nodes[ARBITER].market.cases().count(), 0);
    }
}

#[test]
fn a_provider_without_release_asks_the_arbiters_in_time_and_both_show_what_they_know() {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 5);
    assert_eq!(dispute(&pair, PROVIDER), DisputeState::None, "not earlier than it must");
    pair.run(3);
    for node in [PROVIDER, CONSUMER] {
        assert_eq!(dispute(&pair, node), DisputeState::Opened);
        assert_eq!(pair.phase(node, request), Phase::Disputed);
    }
    let case = pair.nodes[ARBITER].market.cases().next().unwrap();
    assert_eq!((case.opened_by(), case.claim(Side::Provider)), (Side::Provider, Some(all_to(Side::Provider))));
    assert_eq!([Side::Provider, Side::Consumer].map(|side| case.shown(side)), [1, 1]);
    let shown: Vec<_> = pair.nodes[ARBITER].market.evidence(case.binding(), Side::Provider).collect();
    assert!(shown[0].text.contains("consumer gone"), "{}", shown[0].text);
}

#[test]
fn b21_an_award_stands_and_the_losers_protest_changes_nothing() {
    for (loser, coins) in [(CONSUMER, 7), (CONSUMER, 10), (PROVIDER, 0), (PROVIDER, 3)] {
        an_award_stands_whoever_protests(loser, coins);
    }
}

fn an_award_stands_whoever_protests(loser: usize, coins: u32) {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    pair.run(1);
    // Nobody settles meanwhile.
    pair.lose.extend([(PROVIDER, Kind::Cosign), (CONSUMER, Kind::Cosign)]);
    award(&mut pair, ARBITER, coins);
    pair.run(1);
    let split = Split::of(AMOUNT, Stroops::whole(coins)).unwrap();
    for node in [PROVIDER, CONSUMER] {
        assert_eq!(settles(&pair, node), Some(Settles { split, awarded: true }));
        assert_eq!(pair.phase(node, request), Phase::Closing);
    }
    let said = |pair: &Pair| pair.only(PROVIDER).state.dispute.as_ref().unwrap().decisions().to_vec();
    let before = said(&pair);
    let again = pair.command(loser, Command::OpenDispute { request, to_provider: None, text: "no".into() });
    assert!(matches!(pair.nodes[loser].answers.get(&again), Some(Err(CommandError::NotNow(_)))));
    let text = "I protest".to_owned();
    pair.command(loser, Command::ShowEvidence { request, text, attachments: vec![] });
    pair.run(3);
    let side = if loser == CONSUMER { Side::Consumer } else { Side::Provider };
    assert_eq!(pair.nodes[ARBITER].market.cases().next().unwrap().shown(side), 1, "not taken any more");
    assert_eq!(said(&pair), before);
    assert_eq!(settles(&pair, loser), Some(Settles { split, awarded: true }));
}

#[test]
fn b21_silence_means_the_timeout_beneficiary() {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "award_by", 1);
    assert_eq!(dispute(&pair, PROVIDER), DisputeState::Opened);
    pair.run(2);
    for node in [PROVIDER, CONSUMER] {
        assert_eq!(dispute(&pair, node), DisputeState::Lapsed);
        assert_eq!((pair.phase(node, request), settles(&pair, node)), (Phase::Disputed, None));
    }
    run_to(&mut pair, "T", 0);
    assert_eq!(pair.phase(PROVIDER, request), Phase::Timeout);
    assert_eq!(pair.only(CONSUMER).terms().unwrap().timeout_beneficiary(), account(&pair, CONSUMER));
}

#[test]
fn where_the_timeout_favours_the_provider_the_consumers_node_asks_and_the_providers_does_not() {
    let (mut pair, _) = bound(1, true, [End::UnitsUsed, End::ProviderGone]);
    run_to(&mut pair, "dispute_by", 2);
    let case = pair.nodes[ARBITER].market.cases().next().expect("a case");
    assert_eq!((case.opened_by(), case.claim(Side::Consumer)), (Side::Consumer, Some(all_to(Side::Consumer))));
    let (mut pair, request) = bound(1, true, [End::UnitsUsed, End::ConsumerGone]);
    run_to(&mut pair, "award_by", 0);
    assert_eq!(pair.nodes[ARBITER].market.cases().count(), 0, "whoever can't tell leaves it to its owner");
    assert_eq!(pair.phase(PROVIDER, request), Phase::Delivered);
}

#[test]
fn a_majority_of_three_decides_and_the_arbiters_hear_of_each_other() {
    let (mut pair, _) = bound(3, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    award(&mut pair, ARBITER, 7);
    award(&mut pair, ARBITER + 1, 3);
    pair.run(1);
    assert_eq!((settles(&pair, PROVIDER), dispute(&pair, CONSUMER)), (None, DisputeState::Opened));
    let case = pair.nodes[ARBITER + 2].market.cases().next().unwrap();
    assert_eq!(case.fellows().len(), 2);
    award(&mut pair, ARBITER + 1, 7);
    pair.run(1);
    for node in [PROVIDER, CONSUMER] {
        assert_eq!(settles(&pair, node).map(|s| s.split.to_provider), Some(Stroops::whole(7)));
    }
}

#[test]
fn whoever_dies_goes_on_where_it_was_and_what_gets_lost_is_said_again() {
    let (mut pair, _) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    pair.lose.extend([(PROVIDER, Kind::Dispute), (ARBITER, Kind::Dispute), (CONSUMER, Kind::Evidence)]);
    run_to(&mut pair, "dispute_by", 3);
    assert_eq!(pair.nodes[ARBITER].market.cases().count(), 0);
    pair.kill(PROVIDER);
    pair.restart(PROVIDER);
    pair.lose.clear();
    pair.run(2);
    assert_eq!(dispute(&pair, CONSUMER), DisputeState::Opened);
    pair.kill(ARBITER);
    pair.restart(ARBITER);
    pair.run(4);
    let case = pair.nodes[ARBITER].market.cases().next().unwrap();
    assert_eq!([Side::Provider, Side::Consumer].map(|side| case.shown(side)), [1, 1]);
    pair.lose.push((ARBITER, Kind::Award));
    award(&mut pair, ARBITER, 10);
    pair.kill(ARBITER);
    pair.restart(ARBITER);
    assert_eq!(settles(&pair, PROVIDER), None);
    pair.lose.clear();
    pair.run(3);
    assert_eq!(settles(&pair, PROVIDER), Some(Settles { split: all_to(Side::Provider), awarded: true }));
    assert_eq!(settles(&pair, CONSUMER), settles(&pair, PROVIDER));
}

#[test]
fn whoever_has_its_case_refused_is_told_why() {
    let (mut pair, _) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    pair.nodes[PROVIDER]
        .market
        .trades
        .values_mut()
        .for_each(|t| t.state.balance = Some(BalanceId::from_bytes([78; 32])));
    let request = pair.only(PROVIDER).request_id();
    pair.command(PROVIDER, Command::OpenDispute { request, to_provider: None, text: String::new() });
    assert_eq!(pair.nodes[ARBITER].market.cases().count(), 0);
    let note = pair.only(PROVIDER).state.note.as_ref().unwrap().to_string();
    assert!(note.contains("not on the ledger"), "{note}");
}

#[test]
fn evidence_is_bounded_and_reaches_the_arbiter_in_its_order() {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    let show = |pair: &mut Pair, text: String, size: usize| {
        let attachments = vec![Attachment { name: "log".into(), bytes: vec![1; size] }];
        let id = pair.command(PROVIDER, Command::ShowEvidence { request, text, attachments });
        pair.nodes[PROVIDER].answers.get(&id).unwrap().clone()
    };
    assert!(matches!(show(&mut pair, "too early".into(), 1), Err(CommandError::NotNow(_))));
    pair.command(PROVIDER, Command::OpenDispute { request, to_provider: None, text: "they were there".into() });
    assert!(matches!(show(&mut pair, "too large".into(), 17_000), Err(CommandError::NotNow(_))));
    for number in 2..16 {
        assert_eq!(show(&mut pair, format!("item {number}"), 10), Ok(Answer::Shown(number)));
    }
    assert!(matches!(show(&mut pair, "one too many".into(), 1), Err(CommandError::NotNow(_))));
    pair.run(20);
    let binding = binding(&pair);
    let texts: Vec<String> = pair.nodes[ARBITER].market.evidence(binding, Side::Provider).map(|e| e.text).collect();
    assert_eq!(texts.len(), 16);
    assert_eq!((texts[1].as_str(), texts[15].as_str()), ("they were there", "item 15"));
}

#[test]
fn who_asked_the_arbiters_concedes_nothing_when_the_session_ends_against_it() {
    let (mut pair, request) = bound(1, false, [End::DeliverBy, End::DeliverBy]);
    pair.command(CONSUMER, Command::OpenDispute { request, to_provider: None, text: "nothing came".into() });
    pair.run(3);
    for node in [PROVIDER, CONSUMER] {
        assert_eq!((dispute(&pair, node), settles(&pair, node)), (DisputeState::Opened, None));
    }
    pair.command(PROVIDER, Command::Release { request, to_provider: Some(Stroops::whole(3)) });
    pair.run(1);
    assert_eq!(settles(&pair, CONSUMER), None, "less than it asked for isn't enough");
    award(&mut pair, ARBITER, 0);
    pair.run(1);
    assert_eq!(settles(&pair, PROVIDER), Some(Settles { split: all_to(Side::Consumer), awarded: true }));
}

#[test]
fn an_offer_of_less_is_settled_only_once_the_other_side_takes_it() {
    let (mut pair, request) = bound(1, false, [End::UnitsUsed, End::ConsumerGone]);
    let half = Some(Stroops::whole(5));
    pair.command(CONSUMER, Command::Release { request, to_provider: half });
    pair.run(1);
    assert_eq!((settles(&pair, PROVIDER), dispute(&pair, PROVIDER)), (None, DisputeState::None));
    pair.command(PROVIDER, Command::Release { request, to_provider: half });
    pair.run(1);
    for node in [PROVIDER, CONSUMER] {
        let split = Split::of(AMOUNT, Stroops::whole(5)).unwrap();
        assert_eq!(settles(&pair, node), Some(Settles { split, awarded: false }));
    }
}

#[test]
fn who_can_no_longer_ask_the_arbiters_is_told_what_there_is_to_do() {
    let asks = |pair: &mut Pair, request| {
        let open = Command::OpenDispute { request, to_provider: None, text: String::new() };
        let id = pair.command(CONSUMER, open);
        match pair.nodes[CONSUMER].answers.remove(&id) {
            Some(Err(CommandError::NotNow(why))) => why,
            other => panic!("{other:?}"),
        }
    };
    let (mut pair, request) = bound(1, false, [End::DeliverBy, End::DeliverBy]);
    pair.command(CONSUMER, Command::OpenDispute { request, to_provider: None, text: String::new() });
    pair.run(2);
    assert!(asks(&mut pair, request).contains("`tradepost dispute evidence`"));
    award(&mut pair, ARBITER, 4);
    pair.run(1);
    assert!(asks(&mut pair, request).contains("the side that gains settles it"));
    for (pay_unless_disputed, favoured) in [(false, "the consumer's"), (true, "the provider's")] {
        let (mut pair, request) = bound(1, pay_unless_disputed, [End::ConsumerGone, End::ConsumerGone]);
        pair.kill(PROVIDER);
        run_to(&mut pair, "dispute_by", 0);
        let t = pair.only(CONSUMER).terms().unwrap().terms.refund_at().unwrap();
        let said = asks(&mut pair, request);
        assert!(said.contains(&format!("from T, {t}, on the money is {favoured}")), "{said}");
    }
}

#[test]
fn nobody_signs_for_a_division_once_there_is_an_award() {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    // Nobody settles meanwhile.
    pair.lose.extend([(PROVIDER, Kind::Cosign), (CONSUMER, Kind::Cosign)]);
    award(&mut pair, ARBITER, 4);
    pair.run(1);
    for (node, to_provider) in [(CONSUMER, None), (CONSUMER, Some(Stroops::whole(5))), (PROVIDER, None)] {
        let before = pair.only(node).state.dispute.clone();
        let id = pair.command(node, Command::Release { request, to_provider });
        let answer = pair.nodes[node].answers.remove(&id);
        let says = |why: &str| why.contains("awarded already") && why.contains("pays the arbiters");
        assert!(matches!(&answer, Some(Err(CommandError::NotNow(why))) if says(why)), "{answer:?}");
        assert_eq!(pair.only(node).state.dispute, before, "and nothing of it is kept or told");
    }
}
