//! What the ledger tells of its past: pages of ledgers and transactions, and
//! the proofs in them.

use serde_json::{Value, json};
use stellar_xdr::*;
use tradepost_devnet::{INVALID_PARAMS, INVALID_REQUEST};

use crate::asking::*;
use crate::audit::{Audit, close_meta};
use crate::world::*;

/// Three ledgers with three transactions each after some with one, the last of
/// them failed.
fn lively() -> (World, Vec<Key>) {
    let mut world = World::new();
    let keys: Vec<Key> = (0..3).map(|n| world.account(&format!("k{n}"), 100 * XLM)).collect();
    for round in 0..3 {
        for (n, key) in keys.iter().enumerate() {
            let amount = if n == 2 { 1_000 * XLM } else { XLM + round };
            let envelope = world.next(key).op(pay(&keys[0], Asset::Native, amount)).sign(&world, &[key]);
            world.admit(&envelope);
        }
        world.close();
    }
    (world, keys)
}

#[test]
fn every_ledger_proves_itself_from_what_the_rpc_tells_of_it() {
    let mut world = World::new();
    let mut audit = Audit::new(&mut world);
    let (a, b) = (world.account("a", 100 * XLM), world.account("b", 100 * XLM));
    let asset = b.asset("USD");
    world.must(&a, trust(&asset, 1_000));
    world.must(&b, pay(&a, asset.clone(), 500));
    let inner = world.next(&a).fee(0).op(pay(&b, asset, 499)).op(merge(&b)).sign(&world, &[&a]);
    let bumped = bump(&world, &b, 400, &inner, &[&b]);
    assert!(!world.run_envelope(&bumped).succeeded(), "a trustline is a subentry");
    world.close();
    audit.catch_up(&mut world);
    assert_eq!(audit.movements, 3, "two accounts, one mint, and nothing of what failed");
}

#[test]
fn the_newest_ledger_comes_with_its_header_and_its_meta() {
    let (mut world, _) = lively();
    let latest = rpc(&mut world, "getLatestLedger", json!({}));
    let header: LedgerHeader = from_b64(&latest["headerXdr"]);
    assert_eq!(latest["id"], hex::encode(sha256(&header.to_xdr(Limits::none()).unwrap())));
    let LedgerCloseMeta::V2(meta) = from_b64(&latest["metadataXdr"]) else {
        panic!("an old meta");
    };
    assert_eq!(meta.ledger_header.header, header);
    assert_eq!(meta.tx_processing.len(), 3);
    let sequence = world.ledger.sequence();
    assert_eq!(meta, close_meta(&mut world, sequence));
}

#[test]
fn ledgers_come_in_pages_whose_cursor_is_the_last_one() {
    let (mut world, _) = lively();
    let newest = u64::from(world.ledger.sequence());
    assert_eq!(newest, 7);
    let page = rpc(&mut world, "getLedgers", json!({ "startLedger": 2, "pagination": { "limit": 3 } }));
    assert_eq!(numbers(&page["ledgers"], "sequence"), [2, 3, 4]);
    assert_eq!((&page["cursor"], &page["latestLedger"], &page["oldestLedger"]), (&json!("4"), &json!(7), &json!(1)));
    assert_eq!(page["latestLedgerCloseTime"], world.ledger.close_time());
    assert_eq!(page["oldestLedgerCloseTime"], START);
    let next = rpc(&mut world, "getLedgers", json!({ "pagination": { "cursor": "4" } }));
    assert_eq!(numbers(&next["ledgers"], "sequence"), [5, 6, 7]);
    let whole = rpc(&mut world, "getLedgers", json!({ "startLedger": 1, "pagination": { "limit": 0 } }));
    assert_eq!(whole["ledgers"].as_array().unwrap().len(), 7);
}

#[test]
fn a_page_that_cant_be_is_refused_with_the_code_that_stellar_rpc_gives() {
    let (mut world, _) = lively();
    let range = "must be between the oldest ledger: 1 and the latest ledger: 7 for this rpc instance";
    for method in ["getLedgers", "getTransactions"] {
        for (params, code, told) in [
            (json!({}), INVALID_REQUEST, range),
            (json!({ "startLedger": 8 }), INVALID_REQUEST, range),
            (json!({ "startLedger": 0 }), INVALID_REQUEST, range),
            (json!({ "pagination": { "limit": 5 } }), INVALID_REQUEST, range),
            (json!({ "startLedger": 2, "pagination": { "cursor": "2" } }), INVALID_REQUEST, "cannot both be set"),
            (json!({ "startLedger": 2, "pagination": { "limit": 201 } }), INVALID_REQUEST, "must not exceed 200"),
            (json!({ "startLedger": u64::MAX }), INVALID_PARAMS, "startLedger must be a number"),
            (json!({ "startLedger": -1 }), INVALID_PARAMS, "startLedger must be a number"),
            (json!({ "startLedger": "2" }), INVALID_PARAMS, "startLedger must be a number"),
            (json!({ "startLedger": 2, "pagination": [] }), INVALID_PARAMS, "pagination must be an object"),
            (json!({ "pagination": { "cursor": 2 } }), INVALID_PARAMS, "cursor must be a string"),
            (json!({ "pagination": { "cursor": "x" } }), INVALID_PARAMS, "isn't one of"),
            (json!({ "startLedger": 2, "xdrFormat": "json" }), INVALID_PARAMS, "\"base64\" only"),
        ] {
            let (answered, message) = fault(&mut world, method, params.clone());
            assert_eq!(answered, code, "{method} {params}: {message}");
            assert!(message.contains(told), "{method} {params}: {message}");
        }
    }
    let (code, message) = fault(&mut world, "getLedgers", json!({ "pagination": { "cursor": "7" } }));
    assert_eq!(code, INVALID_PARAMS);
    assert!(message.contains("cursor ('7')"), "{message}");
}

fn hashes(page: &Value) -> Vec<String> {
    page["transactions"].as_array().unwrap().iter().map(|tx| tx["txHash"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn transactions_come_in_pages_that_neither_repeat_nor_lose_one() {
    let (mut world, _) = lively();
    let whole = rpc(&mut world, "getTransactions", json!({ "startLedger": 1, "pagination": { "limit": 200 } }));
    let all = hashes(&whole);
    assert_eq!(all.len(), 12);
    assert_eq!(numbers(&whole["transactions"], "ledger"), [2, 3, 4, 5, 5, 5, 6, 6, 6, 7, 7, 7]);
    assert_eq!(numbers(&whole["transactions"], "applicationOrder"), [1, 1, 1, 1, 2, 3, 1, 2, 3, 1, 2, 3]);
    for limit in [1, 2, 5, 12] {
        let mut page =
            rpc(&mut world, "getTransactions", json!({ "startLedger": 1, "pagination": { "limit": limit } }));
        let mut seen = Vec::new();
        while !hashes(&page).is_empty() {
            assert!(hashes(&page).len() <= limit);
            seen.extend(hashes(&page));
            let pagination = json!({ "cursor": page["cursor"], "limit": limit });
            page = rpc(&mut world, "getTransactions", json!({ "pagination": pagination }));
        }
        assert_eq!(seen, all, "{limit} at a time");
        // Who waits at the end sees what comes, and only that.
        let here = page["cursor"].clone();
        let root = world.root.clone();
        world.must(&root, pay(&Key::of("k1"), Asset::Native, 1));
        let page = rpc(&mut world, "getTransactions", json!({ "pagination": { "cursor": here } }));
        assert_eq!(hashes(&page).len(), 1);
        let (fresh, _) = lively();
        world = fresh;
    }
    // The cursor is the number of SEP-35: ledger, transaction, operation 1.
    let two = rpc(&mut world, "getTransactions", json!({ "startLedger": 5, "pagination": { "limit": 2 } }));
    assert_eq!(two["cursor"], ((5_u64 << 32) + (2 << 12) + 1).to_string());
    assert_eq!(two["latestLedgerCloseTimestamp"], world.ledger.close_time());
    assert_eq!(two["oldestLedgerCloseTimestamp"], START);
}

#[test]
fn one_transaction_is_told_the_same_in_both_ways_but_for_the_types_of_its_time() {
    let (mut world, keys) = lively();
    let inner = world.next(&keys[1]).fee(0).op(pay(&keys[2], Asset::Native, 5)).sign(&world, &[&keys[1]]);
    let bumped = bump(&world, &keys[2], 200, &inner, &[&keys[2]]);
    let done = world.run_envelope(&bumped);
    assert!(matches!(done, Outcome::Included(TransactionResultResult::TxFeeBumpInnerSuccess(_))), "{done:?}");
    let newest = world.ledger.sequence();
    let page = rpc(&mut world, "getTransactions", json!({ "startLedger": newest - 1 }));
    let listed = page["transactions"].as_array().unwrap();
    assert_eq!(listed.len(), 4);
    for transaction in listed {
        let mut one = rpc(&mut world, "getTransaction", json!({ "hash": transaction["txHash"] }));
        let mut expected = transaction.clone();
        expected["createdAt"] = json!(expected["createdAt"].as_u64().unwrap().to_string());
        for only_here in ["latestLedger", "latestLedgerCloseTime", "oldestLedger", "oldestLedgerCloseTime"] {
            assert!(one.as_object_mut().unwrap().remove(only_here).is_some());
        }
        assert_eq!(one, expected);
    }
    let (failed, bumped) = (&listed[0..3], &listed[3]);
    assert!(failed.iter().any(|tx| tx["status"] == "FAILED"));
    assert_eq!((&bumped["feeBump"], &bumped["status"]), (&json!(true), &json!("SUCCESS")));
    // By the hash of what it wraps it is the same transaction under the other name.
    let wrapped = hex::encode(inner.hash(world.ledger.network_id()).unwrap());
    let found = rpc(&mut world, "getTransaction", json!({ "hash": wrapped }));
    assert_eq!(found["txHash"], wrapped);
    assert_eq!(found["envelopeXdr"], bumped["envelopeXdr"]);
}

#[test]
fn a_transaction_comes_with_its_meta_and_events() {
    let (mut world, keys) = lively();
    let newest = world.ledger.sequence();
    let page = rpc(&mut world, "getTransactions", json!({ "startLedger": newest }));
    for transaction in page["transactions"].as_array().unwrap() {
        let TransactionMeta::V4(meta) = from_b64(&transaction["resultMetaXdr"]) else {
            panic!("an old meta");
        };
        let texts: Vec<String> = meta.events.iter().map(b64).collect();
        assert_eq!(transaction["events"]["transactionEventsXdr"], json!(texts));
        let texts: Vec<Vec<String>> =
            meta.operations.iter().map(|operation| operation.events.iter().map(b64).collect()).collect();
        let told = &transaction["events"]["contractEventsXdr"];
        if transaction["status"] == "FAILED" {
            assert!(told.is_null() && texts.is_empty());
            assert_eq!(meta.tx_changes_before.0.len(), 2, "the sequence number is used");
        } else {
            assert_eq!(*told, json!(texts));
            assert_eq!(texts.len(), 1);
        }
        assert!(transaction.get("diagnosticEventsXdr").is_none());
    }
    // An operation that moves nothing has a place among the events all the same.
    world.must(&keys[0], bump_to(0));
    let newest = world.ledger.sequence();
    let page = rpc(&mut world, "getTransactions", json!({ "startLedger": newest }));
    assert_eq!(page["transactions"][0]["events"]["contractEventsXdr"], json!([[]]));
}

#[test]
fn what_isnt_found_has_the_members_of_what_is_with_zeros() {
    let mut world = World::new();
    let hash = "ab".repeat(32);
    let missing = rpc(&mut world, "getTransaction", json!({ "hash": hash }));
    let expected = json!({
        "status": "NOT_FOUND",
        "txHash": hash,
        "applicationOrder": 0,
        "feeBump": false,
        "ledger": 0,
        "createdAt": "0",
        "events": {},
        "latestLedger": 1,
        "latestLedgerCloseTime": START.to_string(),
        "oldestLedger": 1,
        "oldestLedgerCloseTime": START.to_string(),
    });
    assert_eq!(missing, expected);
}

#[test]
fn what_is_older_than_the_history_is_refused_by_its_number() {
    let (mut world, _) = lively();
    let faults = tradepost_devnet::Faults { history_ledgers: Some(2), ..tradepost_devnet::Faults::NONE };
    world.ledger.set_faults(faults).unwrap();
    let (code, message) = fault(&mut world, "getTransactions", json!({ "startLedger": 5 }));
    assert_eq!(code, INVALID_REQUEST);
    assert!(message.contains("oldest ledger: 6"), "{message}");
    let cursor = (5_u64 << 32).to_string();
    let (code, message) = fault(&mut world, "getTransactions", json!({ "pagination": { "cursor": cursor } }));
    assert_eq!(code, INVALID_PARAMS);
    assert!(message.contains("ledger: 5"), "{message}");
    let page = rpc(&mut world, "getTransactions", json!({ "startLedger": 6 }));
    assert_eq!(page["transactions"].as_array().unwrap().len(), 6);
    let (code, _) = fault(&mut world, "getEvents", json!({ "startLedger": 5, "filters": [] }));
    assert_eq!(code, INVALID_REQUEST);
}

#[test]
fn a_page_ends_before_it_gets_too_large_and_goes_on_where_it_ended() {
    let mut world = World::new();
    let a = world.account("a", 100_000 * XLM);
    // Large envelopes: a hundred operations with ten claimants each.
    let others: Vec<Key> = (0..10).map(|n| Key::of(&format!("claimant {n}"))).collect();
    let claimants = || others.iter().map(|key| claimant(key, ClaimPredicate::Unconditional)).collect();
    for _ in 0..35 {
        let mut tx = world.next(&a);
        for _ in 0..100 {
            tx = tx.op(create_balance(Asset::Native, 1, claimants()));
        }
        assert!(world.run(tx, &[&a]).succeeded());
    }
    let newest = u64::from(world.ledger.sequence());
    let mut next = json!({ "startLedger": 2, "pagination": { "limit": 200 } });
    let mut pages = 0;
    let mut seen = Vec::new();
    while seen.last() != Some(&newest) {
        let page = rpc(&mut world, "getLedgers", next);
        assert!(page.to_string().len() < 8 * 1024 * 1024);
        seen.extend(numbers(&page["ledgers"], "sequence"));
        next = json!({ "pagination": { "cursor": page["cursor"], "limit": 200 } });
        pages += 1;
    }
    assert!(pages > 1);
    assert_eq!(seen, (2..=newest).collect::<Vec<_>>());
}
