//! What a settlement leaves for others: shares and fees, where they are found, and when nobody looks for them any more.

use super::disputes::{award, bound, run_to};
use super::engagement::{ARBITER, account};
use super::pair::{CONSUMER, PROVIDER, Pair};
use crate::account::ServingKey;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::frames::{Ack, Cosign, Cosigned, NotNow, Rejected};
use crate::binding::session::End;
use crate::escrow::outcome::{EscrowState, EscrowWatch};
use crate::intent::Purpose;
use crate::kind::Kind;
use crate::market::command::Command;
use crate::market::event::{Ask, Effect, Event};
use crate::message::MessageId;
use crate::stellar::LedgerPoint;
use crate::stellar::entry::{BalanceClaimant, BalanceState, Entry};
use crate::stellar::ledger_key::Key;
use crate::stellar::predicate::Predicate;

use super::settling::{answer, balance, cosign, opened, split};

#[test]
fn an_arbiter_signs_what_it_awarded_and_nothing_else() {
    let (mut pair, _) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    pair.lose.push((PROVIDER, Kind::Cosign));
    run_to(&mut pair, "dispute_by", 2);
    assert!(opened::<NotNow>(&cosign(&mut pair, ARBITER, split(7), true)).is_some(), "nothing is awarded yet");
    award(&mut pair, ARBITER, 7);
    assert!(opened::<NotNow>(&cosign(&mut pair, ARBITER, split(8), true)).is_some());
    assert!(opened::<NotNow>(&cosign(&mut pair, ARBITER, split(7), false)).is_some(), "it never signs for nothing");
    assert!(opened::<Cosigned>(&cosign(&mut pair, ARBITER, split(7), true)).is_some());
}

#[test]
fn a_share_is_claimed_where_the_transaction_is_known_before_the_ledger_shows_the_escrow_gone() {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    pair.kill(CONSUMER);
    award(&mut pair, ARBITER, 7);
    pair.run(6);
    assert!(matches!(pair.trade(PROVIDER, request).escrow(), EscrowState::Split { .. }));
    let taking = pair.trade(PROVIDER, request).state.closing;
    pair.restart(CONSUMER);
    let trade = pair.nodes[CONSUMER].market.trades.get_mut(&request).unwrap();
    trade.state.closing = taking;
    let hash = taking.unwrap();
    let (status, envelope) = pair.ledger.status(hash);
    pair.event(CONSUMER, Event::Status { hash, status, envelope });
    pair.run(8);
    assert_eq!(pair.ledger.balances.len(), 2, "the bonds alone are left");
    assert_eq!(pair.trade(CONSUMER, request).state.owed, None);
}

/// Both sides have signed for six coins of ten, and the provider has asked for the signature; by what it settles it tells nobody.
pub(super) fn six_agreed_on() -> (Pair, MessageId) {
    let (mut pair, request) = bound(1, false, [End::UnitsUsed, End::ConsumerGone]);
    pair.lose.push((PROVIDER, Kind::Closing));
    let six = Some(Stroops::whole(6));
    pair.command(CONSUMER, Command::Release { request, to_provider: six });
    pair.command(PROVIDER, Command::Release { request, to_provider: six });
    while !pair.nodes[PROVIDER].sent.contains(&Kind::Cosign) {
        pair.run(1);
    }
    (pair, request)
}

#[test]
fn a_share_that_was_agreed_on_is_found_where_nobody_remembers_the_transaction() {
    let (mut pair, request) = six_agreed_on();
    pair.kill(CONSUMER);
    pair.run(6);
    assert!(matches!(pair.trade(PROVIDER, request).escrow(), EscrowState::Split { .. }));
    assert_eq!(pair.ledger.balances.len(), 2 + 1, "the bonds, and the consumer's share");
    pair.ledger.oldest = u32::MAX;
    pair.restart(CONSUMER);
    pair.run(12);
    assert_eq!(pair.ledger.balances.len(), 2, "it is claimed");
    pair.run(250);
    let [seen, settled] = [CONSUMER, PROVIDER].map(|node| pair.trade(node, request).escrow().clone());
    assert_eq!(seen, settled, "and it knows what became of the rest");
    assert!(!pair.trade(CONSUMER, request).has_leftovers());
}

#[test]
fn a_share_that_was_awarded_is_found_where_nobody_remembers_the_transaction() {
    for arbiters in [1, 3] {
        let (mut pair, request) = bound(arbiters, false, [End::ConsumerGone, End::ConsumerGone]);
        pair.lose.push((PROVIDER, Kind::Closing));
        run_to(&mut pair, "dispute_by", 2);
        pair.run(1);
        pair.kill(CONSUMER);
        for arbiter in ARBITER..ARBITER + arbiters.div_ceil(2) {
            award(&mut pair, arbiter, 7);
        }
        pair.run(6);
        assert!(matches!(pair.trade(PROVIDER, request).escrow(), EscrowState::Split { .. }));
        // It comes back long after T, when no server has the ledgers of then, and its other side is gone.
        run_to(&mut pair, "T", 0);
        pair.run(120);
        pair.kill(PROVIDER);
        pair.ledger.oldest = u32::MAX;
        let standing = pair.ledger.balances.len();
        pair.restart(CONSUMER);
        pair.run(60);
        assert_eq!(pair.ledger.balances.len(), standing - 1, "its share is claimed");
        let [seen, settled] = [CONSUMER, PROVIDER].map(|node| pair.trade(node, request).escrow().clone());
        assert_eq!(seen, settled, "and it knows what became of the rest");
        assert!(!pair.trade(CONSUMER, request).has_leftovers());
        let sent = pair.nodes[ARBITER].sent.len();
        pair.run(60);
        assert_eq!(pair.nodes[ARBITER].sent.len(), sent, "nobody tells it again");
    }
}

#[test]
fn what_the_other_side_says_of_its_settlements_is_bounded_and_believed_only_by_the_ledger() {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    pair.lose.push((PROVIDER, Kind::Cosign));
    run_to(&mut pair, "dispute_by", 2);
    let key = pair.nodes[PROVIDER].setup.keys.serving.clone().unwrap();
    let (binding, account) = (pair.only(PROVIDER).binding().unwrap(), account(&pair, PROVIDER));
    let balance = balance(&pair);
    let offer = |pair: &mut Pair, split, sequence| {
        let body = Cosign { key: ServingKey::of(&key), binding, split, awarded: true, balance, account, sequence };
        answer(pair, CONSUMER, PROVIDER, body, &key)
    };
    for sequence in 0..100 {
        assert!(opened::<Ack>(&offer(&mut pair, split(7), sequence)).is_some());
    }
    assert!(opened::<Rejected>(&offer(&mut pair, split(10), 1)).is_some(), "nothing of that is this side's");
    let offered = |pair: &Pair| pair.trade(CONSUMER, request).state.dispute.as_ref().unwrap().offers.iter().count();
    assert_eq!(offered(&pair), 32);
    run_to(&mut pair, "T", 0);
    pair.run(20);
    assert_eq!(pair.trade(CONSUMER, request).escrow(), &EscrowState::Refunded, "none of it was so");
    assert_eq!((offered(&pair), pair.trade(CONSUMER, request).state.owed), (0, None));
}

#[test]
fn an_arbiter_that_was_gone_while_the_others_decided_hears_afterwards_where_its_fee_is() {
    let (mut pair, request) = bound(3, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    pair.run(1);
    pair.kill(ARBITER + 2);
    award(&mut pair, ARBITER, 7);
    award(&mut pair, ARBITER + 1, 7);
    pair.run(6);
    assert!(matches!(pair.trade(PROVIDER, request).escrow(), EscrowState::Split { .. }));
    assert_eq!(pair.ledger.balances.len(), 4 + 1, "the bonds, and the third arbiter's fee");
    assert!(pair.trade(PROVIDER, request).owes_arbiters());
    pair.restart(ARBITER + 2);
    pair.run(40);
    assert_eq!(pair.ledger.balances.len(), 4, "it has claimed it");
    assert!(!pair.trade(PROVIDER, request).owes_arbiters());
}

#[test]
fn an_arbiter_is_told_of_its_fee_though_whoever_settled_did_not_see_that_at_first() {
    let (mut pair, request) = bound(3, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    pair.run(1);
    pair.kill(ARBITER + 2);
    pair.kill(CONSUMER);
    pair.ledger.oldest = pair.ledger.point().sequence + 9;
    award(&mut pair, ARBITER, 7);
    award(&mut pair, ARBITER + 1, 7);
    pair.run(6);
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Locked, "no server tells what became of it");
    assert!(!pair.trade(PROVIDER, request).owes_arbiters());
    pair.ledger.oldest = 1;
    pair.run(20);
    assert!(matches!(pair.trade(PROVIDER, request).escrow(), EscrowState::Split { .. }));
    assert!(pair.trade(PROVIDER, request).owes_arbiters());
    pair.restart(ARBITER + 2);
    pair.run(40);
    assert_eq!(pair.ledger.balances.len(), 4 + 1, "it has claimed it: the bonds are left, and the consumer's share");
    assert!(!pair.trade(PROVIDER, request).owes_arbiters());
}

#[test]
fn a_share_that_the_other_sides_settlement_left_is_claimed() {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    award(&mut pair, ARBITER, 7);
    pair.run(10);
    let split = |node: usize| pair.trade(node, request).escrow().clone();
    let stroops = |n| Stroops::new(n).unwrap();
    let expected = EscrowState::Split { recipient: stroops(63_000_000), consumer: stroops(27_000_000) };
    assert_eq!([split(PROVIDER), split(CONSUMER)], [expected.clone(), expected]);
    let bonds = 1 + 1;
    assert_eq!(pair.ledger.balances.len(), bonds, "the provider's and the arbiter's bond alone are left");
}

#[test]
fn a_share_is_given_up_only_at_a_ledger_that_shows_what_the_taking_left() {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    pair.kill(CONSUMER);
    award(&mut pair, ARBITER, 7);
    pair.run(6);
    pair.unreadable.extend(pair.ledger.balances.keys().map(|id| (CONSUMER, Key::Balance(*id))));
    pair.restart(CONSUMER);
    pair.run(2);
    let trade = pair.trade(CONSUMER, request);
    let (binding, share) = (trade.binding().unwrap(), trade.state.owed.expect("its share is found"));
    let (_, gone) = trade.state.escrow.as_ref().and_then(EscrowWatch::taken_between).unwrap();
    let behind = LedgerPoint { sequence: gone.sequence - 1, ..gone };
    for (at, owed) in [(behind, Some(share)), (gone, None)] {
        let asked = vec![Key::Balance(share)];
        drop(pair.step(CONSUMER, Event::Entries { ask: Ask::Leftovers(binding), at, asked, entries: vec![] }));
        assert_eq!(pair.trade(CONSUMER, request).state.owed, owed);
    }
}

#[test]
fn an_arbiter_claims_its_own_fee_and_pays_nothing_for_what_only_bears_a_number_that_was_named() {
    let (mut pair, _) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    pair.lose.push((PROVIDER, Kind::Cosign));
    run_to(&mut pair, "dispute_by", 2);
    assert!(opened::<NotNow>(&cosign(&mut pair, ARBITER, split(7), true)).is_some(), "it knows of a version");
    let looks = pair.step(ARBITER, Event::Tick).into_parts().1;
    let fee = looks.iter().find_map(|effect| match effect {
        Effect::Read { ask: Ask::Leftovers(_), keys } => keys.first().cloned(),
        _ => None,
    });
    let Some(Key::Balance(id)) = fee else { panic!("it looks for no fee: {looks:?}") };
    // The number that it named brought a balance of the consumer's.
    let other = account(&pair, CONSUMER);
    let claimants = vec![BalanceClaimant { account: other, predicate: Predicate::Always }];
    let (asset, amount, sponsor) = (Asset::Native, Stroops::whole(1), Some(other));
    pair.ledger.balances.insert(id, BalanceState { id, asset, amount, claimants, clawback_enabled: false, sponsor });
    pair.lose.clear();
    let before = pair.ledger.accounts[&account(&pair, ARBITER)].balance;
    award(&mut pair, ARBITER, 7);
    pair.run(12);
    let failed = pair.ledger.included.iter().filter(|(_, _, success, _)| !success).count();
    assert_eq!(failed, 0, "no fee is paid for what it can't claim");
    assert!(pair.ledger.accounts[&account(&pair, ARBITER)].balance > before, "its own fee is claimed");
}

#[test]
fn an_arbiter_passes_no_version_on_to_a_party_that_gets_nothing_by_it() {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    pair.kill(CONSUMER);
    award(&mut pair, ARBITER, 10);
    pair.run(6);
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Paid);
    pair.restart(CONSUMER);
    pair.run(20);
    assert!(!pair.nodes[ARBITER].sent.contains(&Kind::Cosign), "{:?}", pair.nodes[ARBITER].sent);
}

#[test]
fn a_share_that_a_server_shows_which_is_behind_is_not_claimed_again() {
    let (mut pair, request) = bound(1, false, [End::UnitsUsed, End::UnitsUsed]);
    pair.run(6);
    assert_eq!(pair.trade(CONSUMER, request).escrow(), &EscrowState::Paid);
    let binding = pair.trade(CONSUMER, request).binding().unwrap();
    let share = pair.ledger.balances.values().next().unwrap().clone();
    pair.nodes[CONSUMER].market.trades.get_mut(&request).unwrap().state.owed = Some(share.id);
    let newest = pair.ledger.point();
    let behind = LedgerPoint { sequence: newest.sequence - 1, ..newest };
    for (at, claims) in [(behind, false), (newest, true)] {
        let (asked, entries) = (vec![Key::Balance(share.id)], vec![Entry::Balance(share.clone())]);
        drop(pair.step(CONSUMER, Event::Entries { ask: Ask::Leftovers(binding), at, asked, entries }));
        assert_eq!(!pair.nodes[CONSUMER].market.is_unsigned(Purpose::Receive { binding }), claims);
    }
}
