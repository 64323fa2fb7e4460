//! Sequence numbers that a side names to its signers and uses for something else: what bears the id of a share or a fee then
//! hides neither, and costs nobody anything.

use super::disputes::{award, bound, run_to};
use super::engagement::{ARBITER, account};
use super::pair::{CONSUMER, PROVIDER, Pair};
use super::settling::{answer, balance, opened, split};
use super::shares::six_agreed_on;
use crate::account::{AccountId, ServingKey};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::frames::{Ack, Cosign, Cosigned, NotNow, Rejected};
use crate::binding::session::End;
use crate::escrow::outcome::EscrowState;
use crate::kind::Kind;
use crate::market::command::Command;
use crate::message::BalanceId;
use crate::stellar::balance_id;
use crate::stellar::entry::{BalanceClaimant, BalanceState};
use crate::stellar::predicate::Predicate;

/// What a cheat puts where a share or a fee would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decoy {
    OtherAsset,
    Less,
    NeverClaimable,
    OthersMayClaimToo,
    /// Exactly what a settlement would make.
    Gift,
}

const DECOYS: [Decoy; 5] =
    [Decoy::OtherAsset, Decoy::Less, Decoy::NeverClaimable, Decoy::OthersMayClaimToo, Decoy::Gift];

/// Numbers far from those that the provider uses, under which it puts decoys.
const NAMED: [i64; 2] = [1 << 40, 2 << 40];

/// Puts a decoy where this operation of the provider's transaction with this number would put what is its payee's.
fn put(
    pair: &mut Pair,
    decoy: Decoy,
    (sequence, operation): (i64, u32),
    payee: AccountId,
    amount: Stroops,
) -> BalanceId {
    let maker = account(pair, PROVIDER);
    let id = balance_id::of_operation(maker, sequence, operation);
    let may = |account, predicate| BalanceClaimant { account, predicate };
    let mut claimants = vec![may(payee, Predicate::Always)];
    match decoy {
        Decoy::NeverClaimable => {
            claimants = vec![may(payee, Predicate::Never), may(maker, Predicate::Always)];
        }
        Decoy::OthersMayClaimToo => claimants.push(may(maker, Predicate::Always)),
        Decoy::OtherAsset | Decoy::Less | Decoy::Gift => {}
    }
    let asset = if decoy == Decoy::OtherAsset { Asset::issued("JUNK", maker).unwrap() } else { Asset::Native };
    let amount = if decoy == Decoy::Less { Stroops::new(1).unwrap() } else { amount };
    pair.ledger.accounts.get_mut(&maker).unwrap().sponsoring += claimants.len() as u32;
    let sponsor = Some(maker);
    pair.ledger.balances.insert(id, BalanceState { id, asset, amount, claimants, clawback_enabled: false, sponsor });
    id
}

/// The provider names a version of an award of 7 coins, or of a division of 6 that both agree on.
fn version(pair: &Pair, awarded: bool, sequence: i64) -> (Cosign, ed25519_dalek::SigningKey) {
    let key = pair.nodes[PROVIDER].setup.keys.serving.clone().unwrap();
    let (binding, account, balance) = (pair.only(PROVIDER).binding().unwrap(), account(pair, PROVIDER), balance(pair));
    let split = split(if awarded { 7 } else { 6 });
    (Cosign { key: ServingKey::of(&key), binding, split, awarded, balance, account, sequence }, key)
}

fn name(pair: &mut Pair, to: usize, sequence: i64) -> Vec<u8> {
    let (version, key) = version(pair, true, sequence);
    answer(pair, to, PROVIDER, version, &key)
}

/// A provider's settlement of an award of 7 coins, with decoys under a number named before and one named after its own.
fn settled_beside(decoy: Decoy, goes: bool) -> (Pair, Vec<BalanceId>) {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    pair.lose.extend([(PROVIDER, Kind::Closing), (PROVIDER, Kind::Cosign)]);
    run_to(&mut pair, "dispute_by", 2);
    pair.run(1);
    if goes {
        pair.kill(CONSUMER);
    }
    award(&mut pair, ARBITER, 7);
    assert!(opened::<Cosigned>(&name(&mut pair, ARBITER, NAMED[0])).is_some());
    pair.lose.pop();
    while pair.ledger.pending.is_empty() {
        pair.run(1);
    }
    assert!(opened::<Cosigned>(&name(&mut pair, ARBITER, NAMED[1])).is_some());
    let payee = account(&pair, CONSUMER);
    let share = Stroops::new(27_000_000).unwrap();
    let decoys = NAMED.into_iter().map(|sequence| put(&mut pair, decoy, (sequence, 2), payee, share)).collect();
    pair.run(3);
    assert!(matches!(pair.trade(PROVIDER, request).escrow(), EscrowState::Split { .. }));
    (pair, decoys)
}

fn failed(pair: &Pair) -> usize {
    pair.ledger.included.iter().filter(|(_, _, success, _)| !success).count()
}

/// The balances that are an account's alone.
fn left_for(pair: &Pair, whose: AccountId) -> usize {
    let alone = |state: &&BalanceState| state.claimants.iter().all(|claimant| claimant.account == whose);
    pair.ledger.balances.values().filter(alone).count()
}

#[test]
fn a_decoy_under_a_number_that_was_named_hides_no_share() {
    for (decoy, remembered) in DECOYS.into_iter().flat_map(|decoy| [(decoy, true), (decoy, false)]) {
        let (mut pair, decoys) = settled_beside(decoy, !remembered);
        let request = pair.only(PROVIDER).request_id();
        if !remembered {
            // It comes back long after T, when no server has the ledgers of then, and its other side is gone.
            run_to(&mut pair, "T", 0);
            pair.run(20);
            pair.kill(PROVIDER);
            pair.ledger.oldest = u32::MAX;
            pair.restart(CONSUMER);
        }
        pair.run(60);
        let whose = account(&pair, CONSUMER);
        let its = |state: &&BalanceState| state.claimants.iter().any(|claimant| claimant.account == whose);
        let left: Vec<BalanceId> = pair.ledger.balances.values().filter(its).map(|state| state.id).collect();
        assert!(left.iter().all(|id| decoys.contains(id)), "{decoy:?}: its share is claimed");
        match (decoy, remembered) {
            // What transaction settled it is known: the rest is nothing that it waits for.
            (Decoy::Gift, true) => {}
            (Decoy::Gift, false) => assert!(left.is_empty(), "each may be the share"),
            _ => assert_eq!(left.len(), decoys.len(), "{decoy:?}"),
        }
        assert_eq!(failed(&pair), 0, "{decoy:?}: no fee is paid for what it can't claim");
        let [seen, settled] = [CONSUMER, PROVIDER].map(|node| pair.trade(node, request).escrow().clone());
        assert_eq!(seen, settled, "{decoy:?}");
        assert_eq!(pair.trade(CONSUMER, request).state.owed, None);
        run_to(&mut pair, "T", 0);
        pair.run(40);
        assert!(!pair.trade(CONSUMER, request).has_leftovers(), "{decoy:?}: it looks for nothing for ever");
    }
}

#[test]
fn a_share_of_which_two_versions_were_signed_is_found_whichever_was_sent() {
    let (mut pair, request) = six_agreed_on();
    let (other, key) = version(&pair, false, NAMED[0]);
    assert!(opened::<Cosigned>(&answer(&mut pair, CONSUMER, PROVIDER, other, &key)).is_some());
    pair.kill(CONSUMER);
    pair.run(6);
    assert!(matches!(pair.trade(PROVIDER, request).escrow(), EscrowState::Split { .. }));
    pair.ledger.oldest = u32::MAX;
    pair.restart(CONSUMER);
    pair.run(20);
    assert_eq!(pair.ledger.balances.len(), 2, "the bonds alone are left");
}

#[test]
fn a_party_signs_no_more_versions_than_it_can_look_for() {
    let (mut pair, request) = bound(1, false, [End::UnitsUsed, End::ConsumerGone]);
    pair.lose.push((CONSUMER, Kind::Released));
    pair.command(CONSUMER, Command::Release { request, to_provider: Some(Stroops::whole(6)) });
    let ask = |pair: &mut Pair, sequence| {
        let (version, key) = version(pair, false, sequence);
        answer(pair, CONSUMER, PROVIDER, version, &key)
    };
    for sequence in 1..=32 {
        assert!(opened::<Cosigned>(&ask(&mut pair, sequence)).is_some(), "{sequence}");
    }
    assert!(opened::<Rejected>(&ask(&mut pair, 33)).is_some());
    assert!(opened::<Cosigned>(&ask(&mut pair, 1)).is_some(), "the same again");
}

#[test]
fn a_decoy_under_a_number_that_was_named_hides_no_fee() {
    for decoy in DECOYS {
        let (mut pair, _) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
        pair.lose.push((PROVIDER, Kind::Cosign));
        run_to(&mut pair, "dispute_by", 2);
        let whose = account(&pair, ARBITER);
        let fee = pair.only(PROVIDER).terms().unwrap().arbiters[0].fee;
        // Nothing is awarded yet: it hears where its fee would be.
        let mut decoys = Vec::new();
        for sequence in NAMED {
            assert!(opened::<NotNow>(&name(&mut pair, ARBITER, sequence)).is_some());
            decoys.push(put(&mut pair, decoy, (sequence, 3), whose, fee));
        }
        let before = left_for(&pair, whose);
        pair.lose.clear();
        award(&mut pair, ARBITER, 7);
        pair.run(20);
        assert!(matches!(pair.only(PROVIDER).escrow(), EscrowState::Split { .. }));
        let claimed = if decoy == Decoy::Gift { decoys.len() } else { 0 };
        assert_eq!(left_for(&pair, whose), before - claimed, "{decoy:?}: its fee is claimed, and what is as good");
        assert_eq!(failed(&pair), 0, "{decoy:?}: no fee is paid for what it can't claim");
        run_to(&mut pair, "T", 0);
        pair.run(20);
        let binding = pair.only(PROVIDER).binding().unwrap();
        let case = pair.nodes[ARBITER].market.case(&binding).unwrap();
        assert_eq!(case.file_fees(), 0, "{decoy:?}: it looks for nothing for ever");
    }
}

#[test]
fn an_arbiter_signs_no_more_versions_of_a_side_than_it_can_look_for() {
    for limit in [None, Some(Stroops::ZERO)] {
        signs_no_more_than_it_can_look_for(limit);
    }
}

/// `limit` is above which amount it asks two operators.
fn signs_no_more_than_it_can_look_for(limit: Option<Stroops>) {
    let (mut pair, _) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    pair.lose.push((PROVIDER, Kind::Cosign));
    run_to(&mut pair, "dispute_by", 2);
    pair.nodes[ARBITER].setup.policy.one_word_limit = limit;
    pair.kill(ARBITER);
    pair.restart(ARBITER);
    assert!(opened::<NotNow>(&name(&mut pair, ARBITER, 1 << 50)).is_some(), "nothing is awarded yet");
    award(&mut pair, ARBITER, 7);
    for n in 0..32 {
        assert!(opened::<Cosigned>(&name(&mut pair, ARBITER, (1 << 50) + n)).is_some(), "{n}");
    }
    let writes = pair.writes(ARBITER);
    assert!(opened::<NotNow>(&name(&mut pair, ARBITER, (1 << 50) + 32)).is_some());
    assert_eq!(pair.writes(ARBITER), writes, "what isn't signed costs no write");
    assert!(opened::<Cosigned>(&name(&mut pair, ARBITER, 1 << 50)).is_some(), "the same again");
    // The other side has its own.
    let consumer = pair.trade(CONSUMER, pair.only(PROVIDER).request_id()).clone();
    let key = pair.nodes[CONSUMER].market.own_key(&consumer).unwrap();
    let (theirs, _) = version(&pair, true, 1 << 50);
    let theirs = Cosign { key: ServingKey::of(&key), account: account(&pair, CONSUMER), ..theirs };
    assert!(opened::<Cosigned>(&answer(&mut pair, ARBITER, CONSUMER, theirs, &key)).is_some());
    // A number that was used for something else, while the escrow stands, makes room for another one.
    pair.ledger.accounts.get_mut(&account(&pair, PROVIDER)).unwrap().sequence = 1 << 50;
    pair.run(6);
    assert!(opened::<Cosigned>(&name(&mut pair, ARBITER, (1 << 50) + 32)).is_some());
    assert!(opened::<NotNow>(&name(&mut pair, ARBITER, (1 << 50) + 33)).is_some(), "for one");
}

#[test]
fn what_a_side_says_itself_of_its_settlements_pushes_out_nothing_that_an_arbiter_passes_on() {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    pair.lose.push((PROVIDER, Kind::Cosign));
    run_to(&mut pair, "dispute_by", 2);
    let offered = |pair: &Pair| pair.trade(CONSUMER, request).state.dispute.as_ref().unwrap().offers.iter().count();
    let pass_on = |pair: &mut Pair, sequence| {
        let (version, key) = version(pair, true, sequence);
        answer(pair, CONSUMER, ARBITER, version, &key)
    };
    for sequence in 0..40 {
        assert!(opened::<Ack>(&name(&mut pair, CONSUMER, sequence)).is_some());
    }
    for sequence in 100..132 {
        assert!(opened::<Ack>(&pass_on(&mut pair, sequence)).is_some());
    }
    assert_eq!(offered(&pair), 32 + 32);
    assert!(opened::<NotNow>(&pass_on(&mut pair, 132)).is_some(), "it says so again, until there is room");
    assert_eq!(offered(&pair), 32 + 32);
}

#[test]
fn whoever_finds_the_transaction_that_settled_an_award_tells_the_arbiters() {
    let (mut pair, request) = bound(3, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    pair.run(1);
    pair.kill(ARBITER + 2);
    pair.lose.push((PROVIDER, Kind::Closing));
    award(&mut pair, ARBITER, 7);
    award(&mut pair, ARBITER + 1, 7);
    while !matches!(pair.trade(PROVIDER, request).escrow(), EscrowState::Split { .. }) {
        pair.run(1);
    }
    pair.kill(PROVIDER);
    pair.run(6);
    pair.restart(ARBITER + 2);
    let whose = account(&pair, ARBITER + 2);
    let before = left_for(&pair, whose);
    pair.run(40);
    assert_eq!(left_for(&pair, whose), before - 1, "it has claimed its fee");
    assert!(!pair.trade(CONSUMER, request).owes_arbiters());
}
