//! Issued assets before anything is bound: the node's own list, payees' trustlines, and what an issuer must allow.

use super::engagement::{ARBITER, account, arbiters_draft, arbitration, error, trust};
use super::pair::{CONSUMER, PROVIDER, Pair, draft};
use crate::account::AccountId;
use crate::amount::{Price, Stroops, Unit};
use crate::asset::Asset;
use crate::binding::precheck::PrecheckFailure;
use crate::binding::session::{End, Session};
use crate::escrow::EscrowKind;
use crate::escrow::outcome::EscrowState;
use crate::kind::Kind;
use crate::market::command::{Answer, Command, CommandError, CommandId, EscrowWish, OfferingDraft};
use crate::message::MessageId;
use crate::stellar::entry::{AUTH_REQUIRED, Entry, LINE_AUTHORIZED, TrustlineState};
use crate::stellar::ledger_key::Key;

/// The node whose account issues the asset, and the one whose account is paid.
const ISSUER: usize = 3;
const RECIPIENT: usize = 4;
/// Flag of a trustline: it may keep what it holds, and take nothing in.
const LINE_MAINTAIN: u32 = 2;

fn line(account: AccountId, asset: &Asset, flags: u32) -> Entry {
    let (balance, none) = (Stroops::whole(100), Stroops::ZERO);
    let (asset, limit) = (asset.clone(), Stroops::MAX);
    Entry::Trustline(TrustlineState { account, asset, balance, limit, flags, selling: none, buying: none })
}

/// A provider that sells for an issued asset to be paid at an account of its own choice, an arbiter that takes cases about
/// it, and a consumer that holds and accepts it; the recipient has no trustline yet.
fn market() -> (Pair, MessageId, Asset) {
    let mut pair = Pair::new(4);
    let asset = Asset::issued("USD", account(&pair, ISSUER)).unwrap();
    for node in [PROVIDER, CONSUMER, ARBITER] {
        let held = line(account(&pair, node), &asset, LINE_AUTHORIZED);
        pair.ledger.others.push(held);
        let policy = &mut pair.nodes[node].market.setup.policy;
        policy.assets.push(asset.clone());
        policy.escrow.max_timed_issued.push((asset.clone(), Stroops::whole(1_000)));
    }
    let price = Price { asset: asset.clone(), amount: Stroops::whole(1), unit: Unit::Job };
    pair.command(ARBITER, Command::Publish(Box::new(OfferingDraft { price, ..arbiters_draft() })));
    pair.run(10);
    let price = Price { asset: asset.clone(), amount: Stroops::whole(1), unit: Unit::Call };
    let draft = OfferingDraft {
        price,
        recipient: Some(account(&pair, RECIPIENT)),
        escrow: vec![EscrowKind::Arbitrated, EscrowKind::Timed],
        arbitration: Some(arbitration(vec![account(&pair, ARBITER)])),
        ..draft()
    };
    let publish = pair.command(PROVIDER, Command::Publish(Box::new(draft)));
    pair.run(10);
    trust(&mut pair, &[ARBITER], 1);
    match pair.nodes[PROVIDER].answers.remove(&publish) {
        Some(Ok(Answer::Published { offering, .. })) => (pair, offering, asset),
        other => panic!("publishing led to {other:?}"),
    }
}

fn bind(pair: &mut Pair, offering: MessageId, kind: Option<EscrowKind>, dry_run: bool) -> CommandId {
    let wish = EscrowWish { kind, pay_unless_disputed: false };
    pair.command(CONSUMER, Command::Bind { offering, units: 5, wish, dry_run })
}

/// What a `bind` under each kind is refused with, before a single frame.
fn refusals(pair: &mut Pair, offering: MessageId) -> Vec<PrecheckFailure> {
    let kinds = [EscrowKind::Arbitrated, EscrowKind::Timed];
    let each = kinds.map(|kind| {
        let before = pair.nodes[CONSUMER].sent.len();
        let id = bind(pair, offering, Some(kind), false);
        let CommandError::Precheck(failure) = error(pair, id) else { panic!("{:?}", error(pair, id)) };
        assert_eq!(pair.nodes[CONSUMER].sent.len(), before, "a frame was sent under {kind:?}");
        failure
    });
    assert_eq!(pair.nodes[CONSUMER].market.trades().count() + pair.nodes[PROVIDER].market.trades().count(), 0);
    each.to_vec()
}

#[test]
fn an_asset_that_is_not_on_the_nodes_list_is_not_bound() {
    let (mut pair, offering, asset) = market();
    let recipient = account(&pair, RECIPIENT);
    pair.ledger.others.push(line(recipient, &asset, LINE_AUTHORIZED));
    pair.nodes[CONSUMER].market.setup.policy.assets.retain(|accepted| *accepted != asset);
    let expected = PrecheckFailure::AssetNotAccepted(asset);
    assert_eq!(expected.step(), 8);
    assert_eq!(refusals(&mut pair, offering), [expected.clone(), expected]);
}

#[test]
fn nothing_is_bound_where_the_recipient_cannot_be_paid_in_the_asset() {
    for flags in [None, Some(0), Some(LINE_MAINTAIN)] {
        let (mut pair, offering, asset) = market();
        let account = account(&pair, RECIPIENT);
        pair.ledger.others.extend(flags.map(|flags| line(account, &asset, flags)));
        let expected = PrecheckFailure::TrustlineMissing { account, asset };
        assert_eq!(expected.step(), 9);
        assert_eq!(refusals(&mut pair, offering), [expected.clone(), expected], "a line with the flags {flags:?}");
    }
}

#[test]
fn nothing_is_bound_where_the_recipient_does_not_exist() {
    let (mut pair, offering, asset) = market();
    let recipient = account(&pair, RECIPIENT);
    pair.ledger.others.push(line(recipient, &asset, LINE_AUTHORIZED));
    pair.ledger.accounts.remove(&recipient);
    let expected = PrecheckFailure::NoSuchAccount(recipient);
    assert_eq!(refusals(&mut pair, offering), [expected.clone(), expected]);
}

#[test]
fn where_everybody_can_hold_the_asset_it_is_bound_under_either_kind() {
    for kind in [EscrowKind::Arbitrated, EscrowKind::Timed] {
        let (mut pair, offering, asset) = market();
        let recipient = account(&pair, RECIPIENT);
        pair.ledger.others.push(line(recipient, &asset, LINE_AUTHORIZED));
        bind(&mut pair, offering, Some(kind), false);
        pair.run(1);
        assert_eq!(pair.only(CONSUMER).terms().unwrap().terms.kind(), Some(kind));
    }
}

/// A binding in the asset whose escrow stands and whose session ended so on both sides; whoever is paid has a trustline with
/// these flags.
fn held(kind: EscrowKind, end: End, flags: u32) -> (Pair, MessageId, Asset) {
    let (mut pair, offering, asset) = market();
    let recipient = account(&pair, RECIPIENT);
    pair.ledger.others.push(line(recipient, &asset, LINE_AUTHORIZED));
    bind(&mut pair, offering, Some(kind), false);
    pair.run(3);
    let request = pair.only(CONSUMER).request_id();
    for node in [PROVIDER, CONSUMER] {
        let trade = pair.nodes[node].market.trades.get_mut(&request).unwrap();
        assert_eq!(trade.escrow(), &EscrowState::Locked, "{:?}", trade.state.note);
        trade.state.session = Session::Ended(end);
        trade.state.seen.answered = 5;
    }
    allow(&mut pair, recipient, &asset, flags);
    (pair, request, asset)
}

/// The issuer sets what an account may do.
fn allow(pair: &mut Pair, account: AccountId, asset: &Asset, flags: u32) {
    pair.ledger.others.retain(|entry| entry.key() != Key::Trustline(account, asset.clone()));
    pair.ledger.others.push(line(account, asset, flags));
}

fn failed(pair: &Pair) -> usize {
    pair.ledger.included.iter().filter(|(_, _, success, _)| !success).count()
}

fn note(pair: &Pair, node: usize, request: MessageId) -> String {
    pair.trade(node, request).state.note.as_ref().map_or(String::new(), |note| note.to_string())
}

#[test]
fn a_settlement_waits_without_a_fee_while_its_payee_may_not_hold_the_asset_and_says_so() {
    for (flags, why) in
        [(Some(0), "the issuer allow it"), (Some(LINE_MAINTAIN), "the issuer allow it"), (None, "no trustline")]
    {
        let (mut pair, request, asset) = held(EscrowKind::Arbitrated, End::UnitsUsed, flags.unwrap_or_default());
        let recipient = account(&pair, RECIPIENT);
        if flags.is_none() {
            pair.ledger.others.retain(|entry| entry.key() != Key::Trustline(recipient, asset.clone()));
        }
        let cosigns = |pair: &Pair| pair.nodes[PROVIDER].sent.iter().filter(|kind| **kind == Kind::Cosign).count();
        pair.run(12);
        assert_eq!((failed(&pair), cosigns(&pair)), (0, 0), "nothing is signed that would fail");
        let said = note(&pair, PROVIDER, request);
        for part in [why, "the money waits", &recipient.to_string()] {
            assert!(said.contains(part), "{said}");
        }
        allow(&mut pair, recipient, &asset, LINE_AUTHORIZED);
        while pair.trade(PROVIDER, request).escrow() == &EscrowState::Locked {
            pair.run(1);
        }
        assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Paid);
        assert!(pair.trade(PROVIDER, request).terms().unwrap().terms.refund_at().unwrap() > pair.now.timestamp());
        assert_eq!((failed(&pair), note(&pair, PROVIDER, request).as_str()), (0, ""));
    }
}

#[test]
fn a_payee_that_could_not_be_read_is_looked_at_again_as_soon_as_it_can() {
    let (mut pair, request, asset) = held(EscrowKind::Arbitrated, End::UnitsUsed, LINE_AUTHORIZED);
    let recipient = account(&pair, RECIPIENT);
    pair.unreadable.push((PROVIDER, Key::Trustline(recipient, asset)));
    pair.run(9);
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Locked);
    pair.unreadable.clear();
    pair.run(5);
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Paid, "no pause of those that can't be paid");
}

#[test]
fn a_claim_that_failed_is_made_again_only_once_its_reason_has_gone() {
    let cases = [(EscrowKind::Arbitrated, End::UnitsUsed), (EscrowKind::Timed, End::ConsumerGone)];
    for (kind, end) in cases {
        let (mut pair, request, asset) = held(kind, end, LINE_AUTHORIZED);
        let (node, payee, escrow) = match kind {
            EscrowKind::Arbitrated => (PROVIDER, account(&pair, RECIPIENT), EscrowState::Paid),
            EscrowKind::Timed => (CONSUMER, account(&pair, CONSUMER), EscrowState::Refunded),
        };
        while pair.ledger.pending.is_empty() {
            pair.run(1);
        }
        // It was well when it was looked at.
        allow(&mut pair, payee, &asset, 0);
        pair.run(12);
        assert_eq!(failed(&pair), 1, "{kind:?}");
        let said = note(&pair, node, request);
        assert!(said.contains("the issuer allow it") && said.contains(&payee.to_string()), "{said}");
        allow(&mut pair, payee, &asset, LINE_AUTHORIZED);
        pair.run(18);
        assert_eq!((pair.trade(node, request).escrow(), failed(&pair)), (&escrow, 1));
    }
}

#[test]
fn an_asset_whose_issuer_must_allow_each_holder_is_not_bound_under_arbitrated() {
    for issuer_is_there in [true, false] {
        let (mut pair, offering, asset) = market();
        let (issuer, recipient) = (account(&pair, ISSUER), account(&pair, RECIPIENT));
        pair.ledger.others.push(line(recipient, &asset, LINE_AUTHORIZED));
        match issuer_is_there {
            true => pair.ledger.accounts.get_mut(&issuer).unwrap().flags = AUTH_REQUIRED,
            false => drop(pair.ledger.accounts.remove(&issuer)),
        }
        let before = pair.nodes[CONSUMER].sent.len();
        let id = bind(&mut pair, offering, Some(EscrowKind::Arbitrated), false);
        let refused = error(&pair, id);
        let CommandError::Precheck(failure) = &refused else { panic!("{refused}") };
        assert!(matches!(failure, PrecheckFailure::ControllerCannotHold { .. }), "{refused}");
        assert_eq!((failure.step(), failure.code()), (7, "controller-cannot-hold"));
        let why = if issuer_is_there { "must allow each account" } else { "isn't on the ledger" };
        for part in [&asset.to_string(), why, "`timed`"] {
            assert!(refused.to_string().contains(part), "{part} is missing from {refused}");
        }
        assert_eq!(pair.nodes[CONSUMER].sent.len(), before);
        // Both know `timed`, which needs no new account, and the consumer asked for no kind.
        let quote = bind(&mut pair, offering, None, true);
        let Some(Ok(Answer::Quoted { escrow, .. })) = pair.nodes[CONSUMER].answers.get(&quote) else { panic!() };
        assert_eq!(escrow.kind, Some(EscrowKind::Timed));
    }
}

#[test]
fn a_provider_agrees_to_no_escrow_whose_controller_could_not_hold_the_asset() {
    let (mut pair, offering, asset) = market();
    let (issuer, recipient) = (account(&pair, ISSUER), account(&pair, RECIPIENT));
    pair.ledger.others.push(line(recipient, &asset, LINE_AUTHORIZED));
    pair.hold.push((CONSUMER, Kind::Ping));
    let id = bind(&mut pair, offering, Some(EscrowKind::Arbitrated), false);
    // The issuer asks for it after the consumer has looked.
    pair.ledger.accounts.get_mut(&issuer).unwrap().flags = AUTH_REQUIRED;
    pair.let_go();
    let refused = error(&pair, id);
    assert!(matches!(&refused, CommandError::ByProvider(why) if why.contains("must allow each account")), "{refused}");
    assert_eq!(pair.nodes[PROVIDER].market.trades().count(), 0);
    assert!(pair.nodes[PROVIDER].market.engaging.is_empty(), "no arbiter was asked");
}

#[test]
fn an_issued_asset_is_locked_under_timed_only_up_to_a_limit_of_its_own() {
    let (mut pair, offering, asset) = market();
    let recipient = account(&pair, RECIPIENT);
    pair.ledger.others.push(line(recipient, &asset, LINE_AUTHORIZED));
    for (limit, words) in [
        (None, vec![format!("max_timed_issued = [\"{asset}=5.0000000\"]")]),
        (Some(4), vec!["limit of 4.0000000".to_owned(), "`max_timed_issued`".to_owned()]),
    ] {
        let limits = limit.map(|coins| (asset.clone(), Stroops::whole(coins)));
        pair.nodes[CONSUMER].market.setup.policy.escrow.max_timed_issued = limits.into_iter().collect();
        let refused = bind(&mut pair, offering, Some(EscrowKind::Timed), false);
        let CommandError::Precheck(failure) = error(&pair, refused) else { panic!("{:?}", error(&pair, refused)) };
        assert_eq!(failure.step(), 7);
        assert!(words.iter().all(|word| failure.to_string().contains(word)), "{failure}");
    }
    pair.nodes[CONSUMER].market.setup.policy.escrow.max_timed_issued = vec![(asset, Stroops::whole(5))];
    bind(&mut pair, offering, Some(EscrowKind::Timed), false);
    pair.run(4);
    assert_eq!(pair.only(CONSUMER).terms().unwrap().terms.kind(), Some(EscrowKind::Timed));
}
