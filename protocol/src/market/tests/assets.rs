//! Issued assets before anything is bound: the node's own list, payees' trustlines, and what an issuer must allow.

use super::engagement::{ARBITER, account, arbiters_draft, arbitration, error, trust};
use super::pair::{CONSUMER, PROVIDER, Pair, draft};
use crate::account::AccountId;
use crate::amount::{Price, Stroops, Unit};
use crate::asset::Asset;
use crate::binding::precheck::PrecheckFailure;
use crate::escrow::EscrowKind;
use crate::kind::Kind;
use crate::market::command::{Answer, Command, CommandError, CommandId, EscrowWish, OfferingDraft};
use crate::message::MessageId;
use crate::stellar::entry::{AUTH_REQUIRED, Entry, LINE_AUTHORIZED, TrustlineState};

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
        pair.nodes[node].market.setup.policy.assets.push(asset.clone());
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
