//! Arbiters: chosen from both lists, engaged before anything is agreed.

use core::time::Duration;

use serde_json::json;

use super::pair::{CONSUMER, PROVIDER, Pair, draft};
use crate::account::AccountId;
use crate::amount::{Price, Stroops, Unit};
use crate::asset::Asset;
use crate::binding::deadlines::Terms;
use crate::binding::frames::Engage;
use crate::binding::phase::Phase;
use crate::binding::precheck::PrecheckFailure;
use crate::document::{Arbitration, BuiltIn};
use crate::escrow::EscrowKind;
use crate::kind::Kind;
use crate::market::command::{Answer, Command, CommandError, CommandId, EscrowWish, OfferingDraft};
use crate::market::engagement::NoArbiter;
use crate::message::MessageId;

/// The first arbiter's node; the others follow it.
pub(super) const ARBITER: usize = 2;

/// What an arbiter publishes: a coin an award, for which it wants ten seconds.
pub(super) fn arbiters_draft() -> OfferingDraft {
    OfferingDraft {
        template: BuiltIn::named("arbiter").unwrap().id,
        parameters: json!({"award_secs": 10, "policy": "What was agreed."}).as_object().unwrap().clone(),
        title: "Arbiter".into(),
        price: Price { asset: Asset::Native, amount: Stroops::whole(1), unit: Unit::Job },
        max_units: 1,
        max_supply: 8,
        ..draft()
    }
}

pub(super) fn arbitration(arbiters: Vec<AccountId>) -> Arbitration {
    Arbitration { arbiters, dispute_secs: 10, award_secs: 12, settle_secs: 10 }
}

/// A provider, a consumer and so many arbiters; the provider accepts all of them.
pub(super) fn market(arbiters: usize) -> (Pair, MessageId) {
    market_of(arbiters, draft())
}

/// As [`market`], with this on offer.
pub(super) fn market_of(arbiters: usize, draft: OfferingDraft) -> (Pair, MessageId) {
    let mut pair = Pair::new(1 + arbiters);
    for arbiter in ARBITER..ARBITER + arbiters {
        pair.command(arbiter, Command::Publish(Box::new(arbiters_draft())));
    }
    pair.run(10);
    let accepted = (ARBITER..ARBITER + arbiters).map(|n| account(&pair, n)).collect();
    let offering = publish(&mut pair, accepted, draft);
    (pair, offering)
}

fn publish(pair: &mut Pair, arbiters: Vec<AccountId>, draft: OfferingDraft) -> MessageId {
    let escrow = vec![EscrowKind::Arbitrated, EscrowKind::Timed];
    let draft = OfferingDraft { escrow, arbitration: Some(arbitration(arbiters)), ..draft };
    let command = pair.command(PROVIDER, Command::Publish(Box::new(draft)));
    pair.run(10);
    match pair.nodes[PROVIDER].answers.remove(&command) {
        Some(Ok(Answer::Published { offering, .. })) => offering,
        other => panic!("publishing led to {other:?}"),
    }
}

pub(super) fn account(pair: &Pair, node: usize) -> AccountId {
    pair.nodes[node].setup.keys.account_id().unwrap()
}

/// Lets the consumer trust these nodes as arbiters, and want so many.
pub(super) fn trust(pair: &mut Pair, arbiters: &[usize], wanted: usize) {
    let trusted = arbiters.iter().map(|n| account(pair, *n)).collect();
    let policy = &mut pair.nodes[CONSUMER].market.setup.policy.escrow;
    (policy.arbiters, policy.arbiters_per_trade) = (trusted, wanted);
}

fn arbitrated(pair: &mut Pair, offering: MessageId) -> CommandId {
    let wish = EscrowWish { kind: Some(EscrowKind::Arbitrated), pay_unless_disputed: false };
    pair.command(CONSUMER, Command::Bind { offering, units: 10, wish, dry_run: false })
}

pub(super) fn error(pair: &Pair, command: CommandId) -> CommandError {
    match pair.nodes[CONSUMER].answers.get(&command) {
        Some(Err(error)) => error.clone(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn arbiters_of_both_lists_engage_themselves_before_anything_is_agreed() {
    for (trusted, wanted, expected) in [
        (vec![ARBITER], 1, vec![ARBITER]),
        (vec![ARBITER + 2, ARBITER], 1, vec![ARBITER + 2]),
        (vec![ARBITER + 2, ARBITER], 3, vec![ARBITER + 2]),
        (vec![ARBITER + 1, ARBITER + 2, ARBITER], 3, vec![ARBITER + 1, ARBITER + 2, ARBITER]),
    ] {
        let (mut pair, offering) = market(3);
        trust(&mut pair, &trusted, wanted);
        arbitrated(&mut pair, offering);
        pair.run(2);
        let [provider, consumer] = [PROVIDER, CONSUMER].map(|n| pair.only(n).agreement.clone().unwrap());
        assert_eq!(provider, consumer);
        let agreement = consumer.body();
        let arbiters: Vec<AccountId> = agreement.arbiters.iter().map(|a| a.account).collect();
        assert_eq!(arbiters, expected.iter().map(|n| account(&pair, *n)).collect::<Vec<_>>());
        assert_eq!(agreement.check_engagements(&super::pair::net()), Ok(()));
        assert_eq!(agreement.fees(), Some(Stroops::whole(expected.len() as u32)));
        assert_eq!(agreement.timeout_beneficiary(), account(&pair, CONSUMER));
        for arbiter in ARBITER..ARBITER + 3 {
            assert_eq!(pair.nodes[arbiter].market.trades().count(), 0, "an arbiter keeps nothing yet");
        }
    }
}

#[test]
fn b21_a_providers_own_arbiter_that_the_consumer_does_not_list_gives_no_agreement() {
    let (mut pair, _) = market(2);
    let own = vec![account(&pair, ARBITER)];
    let offering = publish(&mut pair, own, draft());
    for trusted in [vec![], vec![ARBITER + 1]] {
        trust(&mut pair, &trusted, 1);
        let bind = arbitrated(&mut pair, offering);
        pair.run(2);
        let refused = error(&pair, bind);
        assert!(matches!(&refused, CommandError::Precheck(PrecheckFailure::NoCommonArbiter { .. })), "{refused}");
        assert!(refused.to_string().contains(&account(&pair, ARBITER).to_string()), "{refused}");
    }
    assert!(!pair.nodes[CONSUMER].sent.contains(&Kind::BindingRequest), "nothing was even asked");
    assert_eq!(pair.nodes[PROVIDER].market.trades().count(), 0);
}

#[test]
fn a_second_node_of_the_sellers_own_account_is_no_arbiter_of_its_trades() {
    // The seller has a second serving key under its account, and is paid at a third account.
    let mut pair = Pair::new(3);
    pair.nodes[ARBITER].setup.keys.account = pair.nodes[PROVIDER].setup.keys.account.clone();
    pair.restart(ARBITER);
    pair.command(ARBITER, Command::Publish(Box::new(arbiters_draft())));
    pair.run(10);
    let (seller, cold) = (account(&pair, PROVIDER), account(&pair, 3));
    let draft = OfferingDraft {
        recipient: Some(cold),
        escrow: vec![EscrowKind::Arbitrated, EscrowKind::Timed],
        arbitration: Some(arbitration(vec![seller])),
        ..draft()
    };
    let publish = pair.command(PROVIDER, Command::Publish(Box::new(draft)));
    pair.run(10);
    let Some(Ok(Answer::Published { series, offering, .. })) = pair.nodes[PROVIDER].answers.remove(&publish) else {
        panic!("not published")
    };
    trust(&mut pair, &[PROVIDER], 1);
    let offered = pair.nodes[CONSUMER].market.book().offering(&series).unwrap().clone();
    let services = pair.nodes[CONSUMER].market.book.arbiters(&[seller], &Asset::Native, pair.now);
    assert_eq!(services.len(), 1, "it offers itself, with another serving key");
    assert_ne!(services[0].key, offered.body().serving_key);
    let bind = arbitrated(&mut pair, offering);
    pair.run(2);
    let refused = error(&pair, bind);
    assert!(matches!(&refused, CommandError::Precheck(PrecheckFailure::NoCommonArbiter { .. })), "{refused}");
    assert!(!pair.nodes[CONSUMER].sent.contains(&Kind::BindingRequest), "nothing was even asked");
    // Nor does a seller name it to a consumer that doesn't look.
    let market = &pair.nodes[PROVIDER].market;
    let margins = &market.setup.margins;
    let terms = Terms::counted(pair.now.timestamp(), margins, offered.body(), Some(EscrowKind::Arbitrated)).unwrap();
    let named = market.arbiters_for(&[seller], offered.body(), terms.arbitrated().unwrap(), pair.now);
    assert_eq!(named, Err(NoArbiter::NoneCommon));
}

#[test]
fn an_arbiter_that_is_down_or_says_no_gives_no_agreement_and_the_consumer_hears_which() {
    let (mut pair, offering) = market(3);
    trust(&mut pair, &[ARBITER, ARBITER + 1, ARBITER + 2], 3);
    pair.kill(ARBITER + 1);
    let bind = arbitrated(&mut pair, offering);
    pair.run(12);
    let refused = error(&pair, bind);
    assert!(matches!(&refused, CommandError::ByProvider(why) if why.contains("doesn't answer")), "{refused}");
    assert_eq!(pair.phase(CONSUMER, pair.only(CONSUMER).request_id()), Phase::Void);
    assert_eq!(pair.nodes[PROVIDER].market.trades().count(), 0);
    assert!(pair.nodes[PROVIDER].market.engaging.is_empty());

    let (mut pair, offering) = market(1);
    trust(&mut pair, &[ARBITER], 1);
    pair.nodes[ARBITER].market.draining = true;
    let bind = arbitrated(&mut pair, offering);
    pair.run(2);
    let refused = error(&pair, bind);
    let who = account(&pair, ARBITER).to_string();
    assert!(matches!(&refused, CommandError::ByProvider(why) if why.contains(&who)), "{refused}");
    assert!(refused.to_string().contains("stopping"), "{refused}");
}

#[test]
fn an_arbiter_with_as_many_open_cases_as_it_wants_takes_part_in_no_new_binding() {
    let (mut pair, offering) = market(1);
    trust(&mut pair, &[ARBITER], 1);
    pair.nodes[ARBITER].market.setup.policy.max_cases = 0;
    let bind = arbitrated(&mut pair, offering);
    pair.run(2);
    let refused = error(&pair, bind);
    assert!(matches!(&refused, CommandError::ByProvider(why) if why.contains("as many open cases")), "{refused}");
}

#[test]
fn an_engagement_that_gets_lost_is_asked_for_again_and_one_that_comes_twice_changes_nothing() {
    let (mut pair, offering) = market(1);
    trust(&mut pair, &[ARBITER], 1);
    pair.lose.push((PROVIDER, Kind::Engage));
    arbitrated(&mut pair, offering);
    pair.run(3);
    assert_eq!(pair.nodes[PROVIDER].market.trades().count(), 0);
    pair.lose.clear();
    pair.hold.push((PROVIDER, Kind::Engage));
    pair.run(1);
    pair.let_go();
    let agreed = pair.only(PROVIDER).agreement.clone().unwrap();
    assert_eq!(pair.only(CONSUMER).agreement, Some(agreed));
}

#[test]
fn a_provider_that_dies_while_it_waits_for_an_arbiter_has_agreed_to_nothing() {
    let (mut pair, offering) = market(1);
    trust(&mut pair, &[ARBITER], 1);
    pair.hold.push((PROVIDER, Kind::Engage));
    arbitrated(&mut pair, offering);
    pair.run(1);
    pair.kill(PROVIDER);
    pair.restart(PROVIDER);
    pair.let_go();
    pair.run(1);
    assert_eq!(pair.nodes[PROVIDER].market.trades().count(), 0);
    assert!(pair.only(CONSUMER).agreement.is_none());
}

#[test]
fn an_arbiter_takes_only_cases_that_fit_what_it_offers() {
    let (mut pair, offering) = market(1);
    trust(&mut pair, &[ARBITER], 1);
    pair.hold.push((PROVIDER, Kind::Engage));
    arbitrated(&mut pair, offering);
    let arbiter = &pair.nodes[ARBITER];
    let engaging = pair.nodes[PROVIDER].market.engaging.values().next().unwrap();
    let good = engaging.asks().remove(0);
    let refused = |change: &dyn Fn(&mut Engage)| {
        let mut engage = good.clone();
        change(&mut engage);
        arbiter.market.may_engage(&engage, pair.now).err().map(|(code, why)| format!("{}: {why}", code.code()))
    };
    assert_eq!(refused(&|_| {}), None);
    let at = |secs: u64| pair.now.timestamp().plus(Duration::from_secs(secs));
    type Change<'a> = &'a dyn Fn(&mut Engage);
    let cases: [(&str, Change<'_>); 11] = [
        ("costs", &|e| e.case.fee = Stroops::new(9_999_999).unwrap()),
        ("aren't taken", &|e| e.case.asset = Asset::issued("X", AccountId::from_bytes([9; 32])).unwrap()),
        ("whole amount", &|e| e.case.amount = e.case.fee),
        ("must be three", &|e| e.case.provider = e.case.consumer),
        ("must be three", &|e| e.case.consumer = e.arbiter),
        ("must be three", &|e| e.key = e.case.consumer),
        ("out of order", &|e| e.fund_by = at(0)),
        ("too far", &|e| e.fund_by = at(60)),
        ("out of order", &|e| e.case.award_by = e.case.dispute_by),
        ("window for an award", &|e| e.case.dispute_by = e.case.dispute_by.plus(Duration::from_secs(3))),
        ("window after it", &|e| e.case.timeout_at = e.case.award_by.plus(Duration::from_secs(7))),
    ];
    for (why, change) in cases {
        let found = refused(change).unwrap_or_else(|| panic!("{why}: taken"));
        assert!(found.starts_with("terms-dont-fit") && found.contains(why), "{found}");
    }
}

#[test]
fn nobody_binds_an_arbiter() {
    let (mut pair, _) = market(1);
    let offers: Vec<MessageId> = pair.nodes[ARBITER].market.offers().map(|(_, o)| o.id()).collect();
    let bind = pair.bind(CONSUMER, offers[0], 1);
    pair.run(2);
    assert_eq!(error(&pair, bind), CommandError::Precheck(PrecheckFailure::IsArbiter));
}

#[test]
fn timed_is_refused_above_its_own_limit_and_the_refusal_says_what_to_do() {
    let (mut pair, offering) = market(1);
    pair.nodes[CONSUMER].market.setup.policy.escrow.max_timed = Stroops::whole(9);
    let over = pair.bind(CONSUMER, offering, 10);
    pair.run(2);
    let refused = error(&pair, over);
    assert!(matches!(&refused, CommandError::Precheck(PrecheckFailure::AboveTimedLimit { .. })), "{refused}");
    let text = refused.to_string();
    for part in ["10.0000000 XLM", "9.0000000", "fewer units", "`max_timed`"] {
        assert!(text.contains(part), "{part} is missing from {text}");
    }
    let within = pair.bind(CONSUMER, offering, 9);
    pair.run(4);
    assert!(matches!(pair.nodes[CONSUMER].answers.get(&within), Some(Ok(Answer::Bound { .. }))));
    assert_eq!(pair.only(CONSUMER).terms().unwrap().terms.kind(), Some(EscrowKind::Timed));
}

#[test]
fn fees_that_leave_nothing_are_refused_before_anything_is_asked() {
    let (mut pair, offering) = market(1);
    trust(&mut pair, &[ARBITER], 1);
    let wish = EscrowWish { kind: Some(EscrowKind::Arbitrated), pay_unless_disputed: true };
    let bind = pair.command(CONSUMER, Command::Bind { offering, units: 1, wish, dry_run: false });
    pair.run(2);
    let refused = error(&pair, bind);
    assert!(matches!(&refused, CommandError::Precheck(PrecheckFailure::FeesTakeAll { .. })), "{refused}");
}
