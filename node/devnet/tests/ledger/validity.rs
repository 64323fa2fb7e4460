//! The order of the validity checks, and what an included transaction that
//! fails consumes.

use stellar_xdr::TransactionResultResult as Code;
use stellar_xdr::*;
use tradepost_devnet::{Admission, LEDGER_OPERATIONS};

use crate::world::*;

/// Makes a transaction faulty in one way.
type Fault = fn(Tx) -> Tx;

/// Every fault, in the order in which the network looks for it. A transaction
/// with several reports the first.
#[test]
fn the_first_fault_in_the_networks_order_is_reported() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    world.drain_to(&a, 2 * RESERVE + 50);
    let stranger = Key::of("stranger");

    let faults: [(Fault, Code); 7] = [
        (
            |tx| {
                tx.v2(|v2| {
                    let key = SignerKey::HashX(Uint256([7; 32]));
                    v2.extra_signers = vec![key.clone(), key].try_into().unwrap();
                })
            },
            Code::TxMalformed,
        ),
        (|tx| tx.times(u64::MAX, 0), Code::TxTooEarly),
        (
            |tx| {
                tx.v2(|v2| {
                    v2.ledger_bounds = Some(LedgerBounds { min_ledger: 0, max_ledger: 1 });
                })
            },
            Code::TxTooLate,
        ),
        (|tx| tx.fee(99), Code::TxInsufficientFee),
        (
            |mut tx| {
                tx.tx.seq_num.0 += 1;
                tx
            },
            Code::TxBadSeq,
        ),
        (|tx| tx.v2(|v2| v2.min_seq_ledger_gap = 1_000), Code::TxBadMinSeqAgeOrGap),
        // The signature of a stranger is used by no check.
        (|tx| tx, Code::TxBadAuth),
    ];
    for first in 0..faults.len() {
        let mut tx = world.next(&a).op(pay(&a, Asset::Native, 1));
        // Later faults first, so that times set by an earlier one stay.
        for (fault, _) in faults[first..].iter().rev() {
            tx = fault(tx);
        }
        let outcome = world.run(tx, &[&stranger]);
        assert_eq!(outcome, Outcome::Refused(faults[first].1.clone()));
    }
    // Signed well, only the fee is more than what is available.
    let tx = world.next(&a).op(pay(&a, Asset::Native, 1));
    assert_eq!(world.run(tx.clone(), &[&a]), Outcome::Refused(Code::TxInsufficientBalance));
    let root = world.root.clone();
    world.must(&root, pay(&a, Asset::Native, 50));
    let tx = tx.op_by(&root, pay(&a, Asset::Native, 1));
    world.must(&root, pay(&a, Asset::Native, 100));
    // Operation signatures come before unused ones.
    assert_eq!(world.run(tx.clone(), &[&a, &stranger]).operations()[1], OperationResult::OpBadAuth);
    assert_eq!(world.run(tx.clone(), &[&a, &root, &stranger]), Outcome::Refused(Code::TxBadAuthExtra));
    assert!(world.run(tx, &[&a, &root]).succeeded());
}

#[test]
fn structure_is_checked_before_anything_else() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let empty = world.next(&a);
    assert_eq!(world.run(empty.times(u64::MAX, 0), &[]), Outcome::Refused(Code::TxMissingOperation));
    let absent = Key::of("absent");
    let tx = Tx::new(&absent, 1).op(pay(&a, Asset::Native, 1));
    assert_eq!(world.run(tx, &[&absent]), Outcome::Refused(Code::TxNoAccount));
    let tx = world.next(&a).op(pay(&a, Asset::Native, 1)).v2(|v2| {
        let empty = SignerKeyEd25519SignedPayload { ed25519: Uint256([1; 32]), payload: BytesM::default() };
        v2.extra_signers = vec![SignerKey::Ed25519SignedPayload(empty)].try_into().unwrap();
    });
    assert_eq!(world.run(tx, &[&a]), Outcome::Refused(Code::TxMalformed));
}

#[test]
fn the_retired_envelope_is_not_supported() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let tx = world.next(&a).op(pay(&a, Asset::Native, 1)).build();
    let v0 = TransactionV0 {
        source_account_ed25519: Uint256(a.bytes()),
        fee: tx.fee,
        seq_num: tx.seq_num.clone(),
        time_bounds: None,
        memo: Memo::None,
        operations: tx.operations.clone(),
        ext: TransactionV0Ext::V0,
    };
    let hash = tx.hash(world.ledger.network_id()).unwrap();
    let envelope = TransactionEnvelope::TxV0(TransactionV0Envelope {
        tx: v0,
        signatures: vec![a.sign(&hash)].try_into().unwrap(),
    });
    assert_eq!(world.run_envelope(&envelope), Outcome::Refused(Code::TxNotSupported));
}

#[test]
fn time_bounds_hold_to_the_second_and_admission_looks_at_the_last_ledger() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let now = world.ledger.close_time();
    let tx = |world: &World, min, max| world.next(&a).op(bump_to(0)).times(min, max);
    let refused = |world: &mut World, min, max| {
        let envelope = tx(world, min, max).sign(world, &[&a]);
        match world.submit(&envelope) {
            Admission::Error(result) => result.result,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&mut world, now + 1, 0), Code::TxTooEarly);
    assert_eq!(refused(&mut world, 0, now - 1), Code::TxTooLate);
    // maxTime is still ahead of the last ledger, but behind the next one: it
    // is left out, and costs nothing.
    let before = world.balance(&a);
    let late = tx(&world, 0, now + 4);
    assert_eq!(world.run(late.clone(), &[&a]), Outcome::Dropped);
    let again = late.sign(&world, &[&a]);
    assert_eq!(world.submit(&again), Admission::TryAgainLater);
    assert_eq!(world.balance(&a), before);
    let now = world.ledger.close_time();
    assert!(world.run(tx(&world, now, now + 5), &[&a]).succeeded());
}

#[test]
fn ledger_bounds_include_the_least_and_exclude_the_most() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let next = world.ledger.sequence() + 1;
    let bounded = |world: &World, min_ledger, max_ledger| {
        world.next(&a).op(bump_to(0)).v2(|v2| {
            v2.ledger_bounds = Some(LedgerBounds { min_ledger, max_ledger });
        })
    };
    let tx = bounded(&world, next + 1, 0);
    assert_eq!(world.run(tx, &[&a]), Outcome::Refused(Code::TxTooEarly));
    let tx = bounded(&world, 0, next);
    assert_eq!(world.run(tx, &[&a]), Outcome::Refused(Code::TxTooLate));
    let tx = bounded(&world, next, next + 1);
    assert!(world.run(tx, &[&a]).succeeded());
}

#[test]
fn min_sequence_number_allows_gaps_and_strictness_does_not() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let used = world.sequence(&a);
    let far = used + 1_000_000;
    let gap = |least: i64| Tx::new(&a, far).op(bump_to(0)).v2(|v2| v2.min_seq_num = Some(SequenceNumber(least)));
    let strict = Tx::new(&a, far).op(bump_to(0));
    assert_eq!(world.run(strict, &[&a]), Outcome::Refused(Code::TxBadSeq));
    assert_eq!(world.run(gap(used + 1), &[&a]), Outcome::Refused(Code::TxBadSeq));
    assert!(world.run(gap(0), &[&a]).succeeded());
    assert_eq!(world.sequence(&a), far);
    assert_eq!(world.run(gap(1), &[&a]), Outcome::Refused(Code::TxBadSeq));
    // The number at which an account made in that ledger starts is never valid.
    let start = i64::from(world.ledger.sequence() + 1) << 32;
    let tx = Tx::new(&a, start).op(bump_to(0)).v2(|v2| v2.min_seq_num = Some(SequenceNumber(0)));
    assert_eq!(world.run(tx, &[&a]), Outcome::Refused(Code::TxBadSeq));
}

#[test]
fn age_and_gap_count_from_the_last_use_of_the_sequence() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let aged = |world: &World, age, gap| {
        world.next(&a).op(bump_to(0)).v2(|v2| {
            v2.min_seq_age = Duration(age);
            v2.min_seq_ledger_gap = gap;
        })
    };
    // Never used counts as used long ago.
    assert!(world.run(aged(&world, 1_000, 1), &[&a]).succeeded());
    let bad = Outcome::Refused(Code::TxBadMinSeqAgeOrGap);
    assert_eq!(world.run(aged(&world, 0, 2), &[&a]), bad);
    assert_eq!(world.run(aged(&world, 1, 0), &[&a]), bad);
    world.close();
    assert_eq!(world.run(aged(&world, 6, 0), &[&a]), bad);
    assert!(world.run(aged(&world, 5, 2), &[&a]).succeeded());
}

#[test]
fn an_operation_that_fails_undoes_all_others_but_costs_fee_and_sequence() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let b = world.account("b", 100 * XLM);
    let tx = world.next(&a).op(pay(&b, Asset::Native, XLM)).op(data("missing", None)).op(data("there", Some(b"x")));
    let sequence = tx.tx.seq_num.0;
    let outcome = world.run(tx, &[&a]);
    let results = outcome.operations();
    // Also the operation after the failing one has its own result.
    let ok_pay = OperationResultTr::Payment(PaymentResult::Success);
    let missing = OperationResultTr::ManageData(ManageDataResult::NameNotFound);
    let ok_data = OperationResultTr::ManageData(ManageDataResult::Success);
    let expected = [ok_pay, missing, ok_data].map(OperationResult::OpInner);
    assert_eq!(results, expected);
    assert_eq!(world.balance(&a), 100 * XLM - 300);
    assert_eq!(world.balance(&b), 100 * XLM);
    assert_eq!(world.sequence(&a), sequence);
    assert_eq!(world.entry(&a).unwrap().num_sub_entries, 0);
}

/// Two transactions in one ledger, of which the first to run spoils the
/// other; runs fresh worlds until the order is the one asked for.
fn spoil(
    spoiler: impl Fn(&World, &Key, u64) -> TransactionEnvelope,
    victim: impl Fn(&World, &Key) -> TransactionEnvelope,
    prepare: impl Fn(&mut World, &Key),
) -> (World, Key, TransactionResult) {
    for salt in 0..64 {
        let mut world = World::new();
        let a = world.account("a", 100 * XLM);
        prepare(&mut world, &a);
        let first = spoiler(&world, &a, salt);
        let second = victim(&world, &a);
        world.admit(&first);
        world.admit(&second);
        let closed = world.close();
        let hash = second.hash(world.ledger.network_id()).unwrap();
        let record = closed.transactions.iter().find(|r| r.hash == hash).unwrap();
        if record.order == 2 {
            return (world, a, record.result.clone());
        }
    }
    panic!("the order never came");
}

#[test]
fn a_sequence_taken_in_the_same_ledger_costs_the_fee_only() {
    let (world, a, result) = spoil(
        |world, a, salt| {
            let root = world.root.clone();
            let far = world.sequence(a) + 10 + i64::try_from(salt).unwrap();
            world.next(&root).op_by(a, bump_to(far)).sign(world, &[&root, a])
        },
        |world, a| world.next(a).op(data("d", Some(b"x"))).sign(world, &[a]),
        |_, _| {},
    );
    assert_eq!(result.result, Code::TxBadSeq);
    assert_eq!(result.fee_charged, 100);
    assert_eq!(world.balance(&a), 100 * XLM - 100);
}

#[test]
fn authority_lost_in_the_same_ledger_costs_fee_and_sequence() {
    let (world, a, result) = spoil(
        |world, a, salt| {
            let root = world.root.clone();
            let other = Key::of("other").signer();
            let weight = u32::try_from(salt).unwrap() + 2;
            world.next(&root).op_by(a, add_signer(other, weight)).op_by(a, thresholds(1, 2)).sign(world, &[&root, a])
        },
        |world, a| world.next(a).op(data("d", Some(b"x"))).sign(world, &[a]),
        |_, _| {},
    );
    assert_eq!(result.result, Code::TxBadAuth);
    assert_eq!(result.fee_charged, 100);
    assert_eq!(world.balance(&a), 100 * XLM - 100);
    // The account started at a multiple of 2^32.
    assert_eq!(world.sequence(&a) & 0xffff_ffff, 1);
}

#[test]
fn a_one_time_signer_is_used_up_by_failure_and_frees_its_reserve() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let root = world.root.clone();
    // What the pre-authorised transaction does can't succeed.
    let doomed = Tx::new(&a, world.sequence(&a) + 2).op(data("missing", None));
    let key = SignerKey::PreAuthTx(Uint256(doomed.hash(&world)));
    world.must(&a, add_signer(key, 1));
    assert_eq!(world.entry(&a).unwrap().num_sub_entries, 1);
    let outcome = world.run(doomed.clone(), &[]);
    assert!(!outcome.succeeded());
    let after = world.entry(&a).unwrap();
    assert_eq!((after.num_sub_entries, after.signers.len()), (0, 0));
    world.must(&root, pay(&a, Asset::Native, 1));
}

#[test]
fn a_one_time_signer_goes_from_every_source_even_when_the_sequence_is_bad() {
    let root_key = |world: &World| world.root.clone();
    let victim = |world: &World, a: &Key| {
        let root = root_key(world);
        let b = Key::of("b");
        Tx::new(a, (world.sequence(a) & !0xffff_ffff) + 3)
            .op(pay(&root, Asset::Native, 1))
            .op_by(&b, pay(&root, Asset::Native, 1))
    };
    let (world, a, result) = spoil(
        |world, a, salt| {
            let root = root_key(world);
            let far = world.sequence(a) + 10 + i64::try_from(salt).unwrap();
            world.next(&root).op_by(a, bump_to(far)).sign(world, &[&root, a])
        },
        |world, a| victim(world, a).sign(world, &[]),
        |world, a| {
            let b = world.account("b", 100 * XLM);
            let key = SignerKey::PreAuthTx(Uint256(victim(world, a).hash(world)));
            world.must(&b, add_signer(key.clone(), 1));
            world.must(a, bump_to(0));
            world.must(a, add_signer(key, 1));
        },
    );
    assert_eq!(result.result, Code::TxBadSeq);
    for key in [a, Key::of("b")] {
        assert!(world.entry(&key).unwrap().signers.is_empty());
    }
}

#[test]
fn one_transaction_of_a_source_waits_at_a_time() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let first = world.next(&a).op(bump_to(0));
    let second = Tx::new(&a, first.tx.seq_num.0 + 1).op(bump_to(0)).sign(&world, &[&a]);
    let other = first.clone().fee(5_000).sign(&world, &[&a]);
    let first = first.sign(&world, &[&a]);
    world.admit(&first);
    assert_eq!(world.submit(&first), Admission::Duplicate);
    assert_eq!(world.submit(&second), Admission::TryAgainLater);
    assert_eq!(world.submit(&other), Admission::TryAgainLater);
    let old = Tx::new(&a, 1).op(bump_to(0)).sign(&world, &[&a]);
    let Admission::Error(result) = world.submit(&old) else {
        panic!("admitted");
    };
    assert_eq!(result.result, Code::TxBadSeq);
    assert_eq!(world.close().transactions.len(), 1);
    world.admit(&second);
    assert_eq!(world.close().transactions.len(), 1);
}

#[test]
fn others_may_touch_an_account_in_the_ledger_of_its_own_transaction() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let b = world.account("b", 100 * XLM);
    let of_a = world.next(&a).op(pay(&b, Asset::Native, XLM)).sign(&world, &[&a]);
    let of_b = world.next(&b).op_by(&a, pay(&b, Asset::Native, XLM)).sign(&world, &[&a, &b]);
    world.admit(&of_a);
    world.admit(&of_b);
    let closed = world.close();
    assert!(closed.transactions.iter().all(|r| r.succeeded()));
    assert_eq!(world.balance(&a), 98 * XLM - 100);
    assert_eq!(world.balance(&b), 102 * XLM - 100);
}

#[test]
fn a_full_ledger_takes_the_best_paid_and_the_others_wait() {
    let mut world = World::new();
    let root = world.root.clone();
    let keys: Vec<Key> = (0..12).map(|n| Key::of(&format!("k{n}"))).collect();
    let mut tx = world.next(&root);
    for key in &keys {
        tx = tx.op(create_account(key, 100 * XLM));
    }
    assert!(world.run(tx, &[&root]).succeeded());
    for (n, key) in keys.iter().enumerate() {
        let mut tx = world.next(key);
        for _ in 0..100 {
            tx = tx.op(bump_to(0));
        }
        let fee = 10_000 + u32::try_from(n).unwrap() * 100;
        let envelope = tx.fee(fee).sign(&world, &[key]);
        world.admit(&envelope);
    }
    let closed = world.close();
    let most = usize::try_from(LEDGER_OPERATIONS).unwrap() / 100;
    assert_eq!(closed.transactions.len(), most);
    assert_eq!(world.ledger.pending(), keys.len() - most);
    // The two that bid least were left.
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(world.sequence(key) & 0xffff_ffff != 0, n >= 2);
    }
    assert_eq!(world.close().transactions.len(), 2);
}

#[test]
fn what_waits_four_ledgers_is_dropped_and_refused_for_ten() {
    let mut world = World::new();
    let root = world.root.clone();
    let keys: Vec<Key> = (0..11).map(|n| Key::of(&format!("k{n}"))).collect();
    let mut tx = world.next(&root);
    for key in &keys {
        tx = tx.op(create_account(key, 100 * XLM));
    }
    assert!(world.run(tx, &[&root]).succeeded());
    let of = |world: &World, key: &Key, fee| {
        let mut tx = world.next(key);
        for _ in 0..100 {
            tx = tx.op(bump_to(0));
        }
        tx.fee(fee).sign(world, &[key])
    };
    let cheap = of(&world, &keys[0], 10_000);
    world.admit(&cheap);
    let hash = cheap.hash(world.ledger.network_id()).unwrap();
    for round in 1..=4 {
        for key in &keys[1..] {
            let dear = of(&world, key, 20_000);
            world.admit(&dear);
        }
        let closed = world.close();
        assert_eq!(closed.transactions.len(), 10);
        let dropped: &[[u8; 32]] = if round == 4 { &[hash] } else { &[] };
        assert_eq!(closed.dropped, dropped);
    }
    assert_eq!(world.ledger.pending(), 0);
    for _ in 0..10 {
        assert_eq!(world.submit(&cheap), Admission::TryAgainLater);
        world.close();
    }
    world.admit(&cheap);
}
