//! A network with more transactions than its ledgers have room for.

use serde_json::json;
use stellar_xdr::TransactionResultResult as Code;
use stellar_xdr::*;
use tradepost_devnet::{Admission, LedgerClosed};

use crate::asking::*;
use crate::audit::Audit;
use crate::world::*;

/// Ledgers of three operations, and so many accounts.
fn narrow(accounts: usize) -> (World, Vec<Key>) {
    let mut world = World::of_size(3);
    let keys = (0..accounts).map(|n| world.account(&format!("k{n}"), 100 * XLM)).collect();
    (world, keys)
}

/// Operations that do nothing, for this fee.
fn idle(world: &World, key: &Key, operations: u32, fee: u32) -> TransactionEnvelope {
    let tx = (0..operations).fold(world.next(key), |tx, _| tx.op(bump_to(0)));
    tx.fee(fee).sign(world, &[key])
}

fn admit_all(world: &mut World, keys: &[Key], fees: &[u32]) {
    for (key, fee) in keys.iter().zip(fees) {
        let envelope = idle(world, key, 1, *fee);
        world.admit(&envelope);
    }
}

/// Who paid what, the most first.
fn charged(closed: &LedgerClosed) -> Vec<i64> {
    let mut fees: Vec<i64> = closed.transactions.iter().map(|record| record.result.fee_charged).collect();
    fees.sort_unstable_by(|a, b| b.cmp(a));
    fees
}

fn insufficient(admission: &Admission) -> Option<i64> {
    match admission {
        Admission::Error(result) if result.result == Code::TxInsufficientFee => Some(result.fee_charged),
        _ => None,
    }
}

#[test]
fn a_ledger_with_room_charges_the_least_whatever_is_offered() {
    let (mut world, keys) = narrow(3);
    admit_all(&mut world, &keys, &[100, 5_000, 1_000_000]);
    assert_eq!(charged(&world.close()), [100, 100, 100]);
}

#[test]
fn a_crowded_ledger_takes_the_best_and_charges_all_what_the_worst_of_them_offers() {
    let (mut world, keys) = narrow(5);
    let mut audit_from = World::of_size(3);
    let mut audit = Audit::new(&mut audit_from);
    admit_all(&mut world, &keys, &[100, 700, 300, 500, 299]);
    let closed = world.close();
    assert_eq!(charged(&closed), [300, 300, 300]);
    for (key, left) in keys.iter().zip([true, false, false, false, true]) {
        assert_eq!(world.sequence(key) & 0xffff_ffff == 0, left);
    }
    // What was left out goes next, and there is room again.
    assert_eq!(charged(&world.close()), [100, 100]);
    let stats = rpc(&mut world, "getFeeStats", json!({}));
    let fee = |name: &str| stats["inclusionFee"][name].as_str().unwrap().parse::<u64>().unwrap();
    assert_eq!((fee("max"), fee("min"), fee("mode"), fee("p80"), fee("p70")), (300, 100, 100, 300, 100));
    // The set says what each operation was charged, and its hash proves it.
    audit.catch_up(&mut world);
}

#[test]
fn offers_are_compared_by_the_operation_and_a_fee_bump_counts_as_one_more() {
    let (mut world, keys) = narrow(3);
    let two = idle(&world, &keys[0], 2, 900);
    world.admit(&two);
    let wrapped = idle(&world, &keys[1], 1, 0);
    let bumped = bump(&world, &keys[1], 880, &wrapped, &[&keys[1]]);
    world.admit(&bumped);
    let one = idle(&world, &keys[2], 1, 441);
    world.admit(&one);
    // 450 and 441 for each of three operations; the fee bump's two for 440 wait.
    assert_eq!(charged(&world.close()), [882, 441]);
    let stats = rpc(&mut world, "getFeeStats", json!({}));
    assert_eq!(stats["inclusionFee"]["max"], "441");
    let closed = world.close();
    assert_eq!(charged(&closed), [200]);
    // By operation, and the bump isn't one: as stellar-rpc counts.
    let stats = rpc(&mut world, "getFeeStats", json!({}));
    assert_eq!(stats["inclusionFee"]["p60"], "200");
}

#[test]
fn a_rate_that_is_no_whole_number_is_rounded_down() {
    let (mut world, keys) = narrow(2);
    let three = idle(&world, &keys[0], 3, 1_000);
    world.admit(&three);
    let other = idle(&world, &keys[1], 1, 100);
    world.admit(&other);
    assert_eq!(charged(&world.close()), [999]);
}

#[test]
fn who_offers_too_little_waits_four_ledgers_and_comes_back_with_another_fee_bump() {
    let (mut world, keys) = narrow(4);
    let payer = world.account("payer", 100 * XLM);
    let wrapped = idle(&world, &keys[3], 1, 0);
    let low = bump(&world, &payer, 200, &wrapped, &[&payer]);
    let hash = low.hash(world.ledger.network_id()).unwrap();
    world.admit(&low);
    for round in 1..=4 {
        admit_all(&mut world, &keys[..3], &[150, 150, 150]);
        let closed = world.close();
        assert_eq!(charged(&closed), [150, 150, 150]);
        assert_eq!(closed.dropped.contains(&hash), round == 4);
    }
    for _ in 0..10 {
        assert_eq!(world.submit(&low), Admission::TryAgainLater);
        world.close();
    }
    // The banned one is that envelope only.
    let (mut world, keys) = narrow(1);
    let payer = world.account("payer", 100 * XLM);
    let wrapped = idle(&world, &keys[0], 1, 0);
    let high = bump(&world, &payer, 5_000, &wrapped, &[&payer]);
    world.admit(&high);
    assert_eq!(charged(&world.close()), [200]);
}

#[test]
fn what_replaces_another_has_waited_as_long_as_that() {
    let (mut world, keys) = narrow(4);
    let payer = world.account("payer", 100 * XLM);
    let wrapped = idle(&world, &keys[3], 1, 0);
    let first = bump(&world, &payer, 200, &wrapped, &[&payer]);
    world.admit(&first);
    let mut latest = first.hash(world.ledger.network_id()).unwrap();
    for round in 1..=4 {
        admit_all(&mut world, &keys[..3], &[30_000, 30_000, 30_000]);
        if round == 3 {
            let second = bump(&world, &payer, 2_000, &wrapped, &[&payer]);
            world.admit(&second);
            latest = second.hash(world.ledger.network_id()).unwrap();
        }
        let closed = world.close();
        assert_eq!(closed.dropped.contains(&latest), round == 4, "round {round}");
    }
    // A third one is another envelope, and fits now.
    let third = bump(&world, &payer, 400, &wrapped, &[&payer]);
    world.admit(&third);
    assert_eq!(charged(&world.close()), [200]);
}

#[test]
fn a_full_queue_lets_the_worst_go_for_a_better_one_and_says_how_much_is_better() {
    // Room for four ledgers of three operations.
    let (mut world, keys) = narrow(15);
    let fees: Vec<u32> = (0..12).map(|n| 200 + 10 * n).collect();
    admit_all(&mut world, &keys, &fees);
    assert_eq!(world.ledger.pending(), 12);
    let as_good = idle(&world, &keys[12], 1, 200);
    assert_eq!(insufficient(&world.submit(&as_good)), Some(201));
    assert_eq!(world.submit(&as_good), Admission::TryAgainLater, "it is refused for a while");
    // Two operations must be better, each, than what they drive out.
    let two = idle(&world, &keys[13], 2, 420);
    assert_eq!(insufficient(&world.submit(&two)), Some(421));
    let two = idle(&world, &keys[13], 2, 421);
    world.admit(&two);
    assert_eq!(world.ledger.pending(), 11);
    let worst = idle(&world, &keys[0], 1, 200);
    assert_eq!(world.submit(&worst), Admission::TryAgainLater, "what was driven out is refused as well");
    // What comes after it must beat what left, until a ledger has closed.
    let late = idle(&world, &keys[14], 1, 210);
    assert_eq!(insufficient(&world.submit(&late)), Some(211));
    let closed = world.close();
    assert_eq!(charged(&closed), [290, 290, 290]);
    assert_eq!(closed.dropped.len(), 2, "the two that were driven out");
    let later = idle(&world, &keys[14], 1, 100);
    world.admit(&later);
}

#[test]
fn a_replacement_needs_no_room_of_its_own() {
    let (mut world, keys) = narrow(12);
    let payer = world.account("payer", 100 * XLM);
    admit_all(&mut world, &keys, &[200; 12]);
    let wrapped = idle(&world, &keys[0], 1, 200);
    let better = bump(&world, &payer, 4_000, &wrapped, &[&payer]);
    // Two operations for one: the thirteenth drives another out.
    world.admit(&better);
    assert_eq!(world.ledger.pending(), 11);
    let closed = world.close();
    assert_eq!(charged(&closed), [400, 200]);
}

#[test]
fn what_is_larger_than_a_ledger_never_gets_in_and_what_is_larger_than_the_queue_never_waits() {
    let (mut world, keys) = narrow(2);
    let large = idle(&world, &keys[0], 4, 400_000);
    world.admit(&large);
    let huge = idle(&world, &keys[1], 13, 1_300_000);
    assert_eq!(world.submit(&huge), Admission::TryAgainLater);
    for round in 1..=4 {
        let closed = world.close();
        assert_eq!(closed.transactions.len(), 0);
        assert_eq!(closed.dropped.len(), usize::from(round == 4));
    }
}

#[test]
fn the_header_says_how_much_a_ledger_takes() {
    let mut world = World::of_size(7);
    let latest = rpc(&mut world, "getLatestLedger", json!({}));
    let header: LedgerHeader = from_b64(&latest["headerXdr"]);
    assert_eq!(header.max_tx_set_size, 7);
}

#[test]
fn the_same_transaction_with_another_signature_is_another_envelope() {
    let mut world = World::new();
    let (a, b) = (world.account("a", 100 * XLM), Key::of("b"));
    world.must(&a, add_signer(b.signer(), 1));
    let tx = world.next(&a).op(bump_to(0));
    let by_a = tx.clone().sign(&world, &[&a]);
    let by_b = tx.sign(&world, &[&b]);
    world.admit(&by_a);
    assert_eq!(world.submit(&by_a), Admission::Duplicate);
    assert_eq!(world.submit(&by_b), Admission::TryAgainLater, "another one of its source waits");
    world.close();
    assert_eq!(world.submit(&by_a), Admission::TryAgainLater);
    // The ledger knows of its sequence number what the queue doesn't of its envelope.
    let Admission::Error(result) = world.submit(&by_b) else {
        panic!("admitted");
    };
    assert_eq!(result.result, Code::TxBadSeq);
}
