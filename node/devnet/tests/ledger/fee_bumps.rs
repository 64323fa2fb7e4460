//! Fee bumps: who pays, what is wrapped, what replaces what.

use stellar_xdr::TransactionResultResult as Code;
use stellar_xdr::*;
use tradepost_devnet::Admission;

use crate::world::*;

/// What the inner transaction of a fee bump came to.
fn inner(code: &Code) -> InnerTransactionResultPair {
    match code {
        Code::TxFeeBumpInnerSuccess(pair) | Code::TxFeeBumpInnerFailed(pair) => pair.clone(),
        other => panic!("{other:?}"),
    }
}

fn refused(outcome: Outcome) -> Code {
    match outcome {
        Outcome::Refused(code) => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_pays_for_a_transaction_that_offers_nothing() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let payer = world.account("payer", 100 * XLM);
    let root = world.root.clone();
    let wrapped = world.next(&a).op(pay(&root, Asset::Native, XLM)).fee(0).sign(&world, &[&a]);
    assert_eq!(world.run_envelope(&wrapped), Outcome::Refused(Code::TxInsufficientFee));
    let envelope = bump(&world, &payer, 5_000, &wrapped, &[&payer]);
    world.admit(&envelope);
    let closed = world.close();
    let record = &closed.transactions[0];
    let inner_hash = wrapped.hash(world.ledger.network_id()).unwrap();
    assert_eq!(record.inner_hash, Some(inner_hash));
    // Two operations at 100, not the whole bid.
    assert_eq!(record.result.fee_charged, 200);
    let pair = inner(&record.result.result);
    assert_eq!(pair.transaction_hash.0, inner_hash);
    assert_eq!(pair.result.fee_charged, 0);
    assert!(matches!(pair.result.result, InnerTransactionResultResult::TxSuccess(_)));
    assert_eq!(world.balance(&a), 99 * XLM);
    assert_eq!(world.balance(&payer), 100 * XLM - 200);
    assert_eq!(world.sequence(&a) & 0xffff_ffff, 1);
    assert_eq!(world.sequence(&payer) & 0xffff_ffff, 0);
    // It is found by both hashes.
    let by_outer = world.ledger.transaction(&record.hash).unwrap();
    assert_eq!(by_outer, world.ledger.transaction(&inner_hash).unwrap());
    assert!(by_outer.succeeded());
}

#[test]
fn the_outer_faults_come_before_the_inner_ones() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let payer = world.account("payer", 100 * XLM);
    let stranger = Key::of("stranger");
    // Also the inner one is bad: its sequence is.
    let far = Tx::new(&a, 5).op(bump_to(0)).fee(100).sign(&world, &[&a]);
    let try_with = |world: &mut World, source: &Key, fee, keys: &[&Key]| {
        let envelope = bump(world, source, fee, &far, keys);
        refused(world.run_envelope(&envelope))
    };
    assert_eq!(try_with(&mut world, &payer, -1, &[&payer]), Code::TxMalformed);
    assert_eq!(try_with(&mut world, &payer, 199, &[&payer]), Code::TxInsufficientFee);
    assert_eq!(try_with(&mut world, &stranger, 200, &[&stranger]), Code::TxNoAccount);
    assert_eq!(try_with(&mut world, &payer, 200, &[&stranger]), Code::TxBadAuth);
    assert_eq!(try_with(&mut world, &payer, 100 * XLM, &[&payer]), Code::TxInsufficientBalance);
    assert_eq!(try_with(&mut world, &payer, 200, &[&payer, &a]), Code::TxBadAuthExtra);
    let code = try_with(&mut world, &payer, 200, &[&payer]);
    assert_eq!(inner(&code).result.result, InnerTransactionResultResult::TxBadSeq);
}

#[test]
fn the_outer_rate_is_not_below_the_inner_one() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let wrapped = world.next(&a).op(bump_to(0)).fee(150).sign(&world, &[&a]);
    let low = bump(&world, &a, 299, &wrapped, &[&a]);
    let Admission::Error(result) = world.submit(&low) else {
        panic!("admitted");
    };
    assert_eq!((result.fee_charged, result.result), (300, Code::TxInsufficientFee));
    let enough = bump(&world, &a, 300, &wrapped, &[&a]);
    world.admit(&enough);
}

#[test]
fn a_wrapped_failure_costs_the_payer_and_the_sequence() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let payer = world.account("payer", 100 * XLM);
    let wrapped = world.next(&a).op(data("missing", None)).fee(0).sign(&world, &[&a]);
    let envelope = bump(&world, &payer, 200, &wrapped, &[&payer]);
    let Outcome::Included(code) = world.run_envelope(&envelope) else {
        panic!("not included");
    };
    assert!(matches!(code, Code::TxFeeBumpInnerFailed(_)));
    assert!(matches!(inner(&code).result.result, InnerTransactionResultResult::TxFailed(_)));
    assert_eq!(world.balance(&a), 100 * XLM);
    assert_eq!(world.balance(&payer), 100 * XLM - 200);
    assert_eq!(world.sequence(&a) & 0xffff_ffff, 1);
    let inner_hash = wrapped.hash(world.ledger.network_id()).unwrap();
    assert!(!world.ledger.transaction(&inner_hash).unwrap().succeeded());
}

#[test]
fn a_negative_fee_is_malformed_also_where_something_waits() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let payer = world.account("payer", 100 * XLM);
    let root = world.root.clone();
    let wrapped = world.next(&a).op(pay(&root, Asset::Native, XLM)).sign(&world, &[&a]);
    let negative = bump(&world, &payer, -1, &wrapped, &[&payer]);
    assert_eq!(world.run_envelope(&negative), Outcome::Refused(Code::TxMalformed));
    let first = bump(&world, &payer, 5_000, &wrapped, &[&payer]);
    world.admit(&first);
    assert_eq!(world.run_envelope(&negative), Outcome::Refused(Code::TxMalformed));
}

#[test]
fn a_fee_bump_of_ten_times_the_rate_replaces_what_waits() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let payer = world.account("payer", 100 * XLM);
    let wrapped = world.next(&a).op(bump_to(0)).sign(&world, &[&a]);
    world.admit(&wrapped);
    // Two operations at ten times 100.
    let low = bump(&world, &payer, 1_999, &wrapped, &[&payer]);
    let Admission::Error(result) = world.submit(&low) else {
        panic!("admitted");
    };
    assert_eq!((result.fee_charged, result.result), (2_000, Code::TxInsufficientFee));
    let enough = bump(&world, &payer, 2_000, &wrapped, &[&payer]);
    world.admit(&enough);
    assert_eq!(world.submit(&enough), Admission::Duplicate);
    // What it wraps waits with it.
    assert_eq!(world.submit(&wrapped), Admission::Duplicate);
    assert_eq!(world.ledger.pending(), 1);
    let closed = world.close();
    assert_eq!(closed.transactions.len(), 1);
    assert_eq!(closed.transactions[0].result.fee_charged, 200);
    assert_eq!(world.balance(&a), 100 * XLM);
}

#[test]
fn one_payer_bumps_many_and_promises_no_more_than_it_has() {
    let mut world = World::new();
    let payer = world.account("payer", 100 * XLM);
    let keys: Vec<Key> = (0..3).map(|n| world.account(&format!("k{n}"), 10 * XLM)).collect();
    world.drain_to(&payer, 2 * RESERVE + 500);
    for (n, key) in keys.iter().enumerate() {
        let wrapped = world.next(key).op(bump_to(0)).fee(0).sign(&world, &[key]);
        let envelope = bump(&world, &payer, 200, &wrapped, &[&payer]);
        match world.submit(&envelope) {
            Admission::Pending => assert!(n < 2),
            Admission::Error(result) => {
                assert_eq!(n, 2);
                assert_eq!(result.result, Code::TxInsufficientBalance);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(world.close().transactions.len(), 2);
    assert_eq!(world.balance(&payer), 2 * RESERVE + 100);
}

#[test]
fn a_pre_authorised_fee_bump_is_used_up() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let payer = world.account("payer", 100 * XLM);
    let wrapped = world.next(&a).op(bump_to(0)).fee(0).sign(&world, &[&a]);
    let envelope = bump(&world, &payer, 200, &wrapped, &[]);
    let hash = envelope.hash(world.ledger.network_id()).unwrap();
    world.must(&payer, add_signer(SignerKey::PreAuthTx(Uint256(hash)), 1));
    let outcome = world.run_envelope(&envelope);
    assert!(matches!(outcome, Outcome::Included(Code::TxFeeBumpInnerSuccess(_))));
    let payer = world.entry(&payer).unwrap();
    assert_eq!((payer.signers.len(), payer.num_sub_entries), (0, 0));
}
