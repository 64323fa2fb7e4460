//! Closing: nothing is lost, the same calls make the same ledger, and what is
//! kept is bounded.

use stellar_xdr::*;
use tradepost_devnet::{CloseError, Ledger, TOTAL_COINS};

use crate::world::*;

/// Many accounts act for some ledgers; also what fails is in it.
fn busy(rounds: usize, reverse: bool) -> World {
    let mut world = World::new();
    let keys: Vec<Key> = (0..6).map(|n| world.account(&format!("k{n}"), 50 * XLM)).collect();
    for round in 0..rounds {
        let mut envelopes: Vec<_> = keys
            .iter()
            .enumerate()
            .map(|(n, key)| {
                let to = &keys[(n + round + 1) % keys.len()];
                let claimants = vec![claimant(to, ClaimPredicate::Unconditional)];
                let amount = 7 * XLM + i64::try_from(n).unwrap();
                world
                    .next(key)
                    .op(pay(to, Asset::Native, amount))
                    .op(create_balance(Asset::Native, XLM, claimants))
                    .sign(&world, &[key])
            })
            .collect();
        if reverse {
            envelopes.reverse();
        }
        for envelope in &envelopes {
            let _ = world.submit(envelope);
        }
        let closed = world.close();
        assert!(!closed.transactions.is_empty());
    }
    world
}

#[test]
fn no_stroop_appears_or_vanishes() {
    let world = busy(12, false);
    let totals = world.ledger.totals();
    assert!(totals.conserved());
    assert!(totals.claimable > 0 && totals.fee_pool > 0);
    assert_eq!(totals.total, i128::from(TOTAL_COINS));
    // The accounts' sum is what reading them one by one gives.
    let mut sum = i128::from(world.balance(&world.root));
    for n in 0..6 {
        sum += i128::from(world.balance(&Key::of(&format!("k{n}"))));
    }
    assert_eq!(sum, totals.accounts);
    assert_eq!(i128::from(world.ledger.header().fee_pool), totals.fee_pool);
}

#[test]
fn the_same_submissions_make_the_same_ledger_in_whatever_order_they_come() {
    let (one, same, reversed) = (busy(5, false), busy(5, false), busy(5, true));
    assert_eq!(one.ledger.hash(), same.ledger.hash());
    assert_eq!(one.ledger.header(), same.ledger.header());
    assert_eq!(one.ledger.hash(), reversed.ledger.hash());
    assert_ne!(one.ledger.hash(), busy(4, false).ledger.hash());
}

#[test]
fn another_network_has_another_root_and_another_hash() {
    let one = Ledger::genesis("one", START);
    let other = Ledger::genesis("other", START);
    assert_ne!(one.root_account(), other.root_account());
    assert_ne!(one.hash(), other.hash());
    assert_eq!(one.network_id(), sha256(b"one"));
}

#[test]
fn each_header_names_the_one_before() {
    let mut world = World::new();
    for _ in 0..3 {
        let before = world.ledger.hash();
        let closed = world.close();
        assert_eq!(world.ledger.header().previous_ledger_hash.0, before);
        assert_eq!(closed.hash, world.ledger.hash());
        let bytes = world.ledger.header().to_xdr(Limits::none()).unwrap();
        assert_eq!(closed.hash, sha256(&bytes));
    }
}

#[test]
fn close_times_grow_strictly() {
    let mut world = World::new();
    for wanted in [0, START - 1, START] {
        let refused = world.ledger.close(wanted).unwrap_err();
        assert_eq!(refused, CloseError::NotLater { last: START, wanted });
    }
    assert_eq!(world.ledger.sequence(), 1);
    world.ledger.close(START + 1).unwrap();
}

#[test]
fn the_order_of_execution_is_neither_that_of_submission_nor_that_of_the_hashes() {
    let mut orders = Vec::new();
    let mut by_hash = 0;
    for salt in 0..8 {
        let mut world = World::new();
        let keys: Vec<Key> = (0..5).map(|n| world.account(&format!("{salt} {n}"), 50 * XLM)).collect();
        for key in &keys {
            let envelope = world.next(key).op(bump_to(0)).sign(&world, &[key]);
            world.admit(&envelope);
        }
        let closed = world.close();
        let order: Vec<usize> = closed
            .transactions
            .iter()
            .map(|record| {
                let envelope = TransactionEnvelope::from_xdr(&record.envelope_xdr, Limits::none()).unwrap();
                let TransactionEnvelope::Tx(v1) = envelope else {
                    unreachable!();
                };
                keys.iter().position(|k| k.muxed() == v1.tx.source_account).unwrap()
            })
            .collect();
        orders.push(order);
        by_hash += usize::from(closed.transactions.is_sorted_by_key(|r| r.hash));
    }
    orders.sort();
    orders.dedup();
    assert!(orders.len() > 2, "{orders:?}");
    assert!(by_hash <= 2, "{by_hash} of 8 in the order of their hashes");
}
