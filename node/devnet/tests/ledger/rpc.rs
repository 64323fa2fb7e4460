//! The JSON-RPC methods: shapes, limits, errors.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stellar_xdr::*;
use tradepost_devnet::{INVALID_PARAMS, METHOD_NOT_FOUND};

use crate::asking::*;
use crate::world::*;

#[test]
fn health_network_and_latest_ledger_have_their_shapes() {
    let mut world = World::new();
    world.close();
    let health = world.ledger.rpc("getHealth", &json!({})).unwrap();
    assert_eq!(
        health,
        json!({
            "status": "healthy",
            "latestLedger": 2,
            "latestLedgerCloseTime": START + 5,
            "oldestLedger": 1,
            "oldestLedgerCloseTime": START,
            "ledgerRetentionWindow": 120_960,
        })
    );
    let network = world.ledger.rpc("getNetwork", &Value::Null).unwrap();
    assert_eq!(network, json!({ "passphrase": "Test network ; of a test", "protocolVersion": 27 }));
    let version = world.ledger.rpc("getVersionInfo", &Value::Null).unwrap();
    assert!(version["version"].as_str().unwrap().starts_with("tradepost-devnet "));
    assert_eq!(version["protocolVersion"], 27);
    for text in ["commitHash", "buildTimestamp", "captiveCoreVersion"] {
        assert!(version[text].is_string(), "{text}");
    }
    let latest = world.ledger.rpc("getLatestLedger", &json!({})).unwrap();
    assert_eq!(latest["sequence"], 2);
    assert_eq!(latest["protocolVersion"], 27);
    assert_eq!(latest["closeTime"], (START + 5).to_string());
    let header: LedgerHeader = from_b64(&latest["headerXdr"]);
    let hash = sha256(&header.to_xdr(Limits::none()).unwrap());
    assert_eq!(latest["id"], hex::encode(hash));
    assert_eq!(header.total_coins, 1_000_000_000_000_000_000);
    assert_eq!((header.base_fee, header.base_reserve), (100, 5_000_000));
}

#[test]
fn params_must_be_an_object_and_methods_must_exist() {
    let mut world = World::new();
    let (code, _) = fault(&mut world, "getHealth", json!([]));
    assert_eq!(code, INVALID_PARAMS);
    let (code, _) = fault(&mut world, "simulateTransaction", json!({}));
    assert_eq!(code, METHOD_NOT_FOUND);
    let (code, message) = fault(&mut world, "getLatestLedger", json!({ "xdrFormat": "json" }));
    assert_eq!(code, INVALID_PARAMS);
    assert!(message.contains("\"base64\" only"), "{message}");
}

#[test]
fn entries_come_with_their_sponsor_and_absent_ones_are_missing() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let tx = world.next(&a);
    let id = balance_id(&a, tx.tx.seq_num.0, 0);
    let held = create_balance(Asset::Native, XLM, vec![claimant(&a, ClaimPredicate::Unconditional)]);
    assert!(world.run(tx.op(held), &[&a]).succeeded());
    let keys = [
        account_key(&Key::of("absent")),
        LedgerKey::ClaimableBalance(LedgerKeyClaimableBalance { balance_id: id }),
        account_key(&a),
    ];
    let params = json!({ "keys": keys.iter().map(b64).collect::<Vec<_>>() });
    let answer = world.ledger.rpc("getLedgerEntries", &params).unwrap();
    assert_eq!(answer["latestLedger"], world.ledger.sequence());
    let entries = answer["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["key"], b64(&keys[1]));
    assert_eq!(entries[0]["lastModifiedLedgerSeq"], world.ledger.sequence());
    let LedgerEntryData::ClaimableBalance(balance) = from_b64(&entries[0]["xdr"]) else {
        panic!("not a balance");
    };
    assert_eq!(balance.amount, XLM);
    let LedgerEntryExt::V1(ext) = from_b64(&entries[0]["extXdr"]) else {
        panic!("no sponsor");
    };
    assert_eq!(ext.sponsoring_id.0, Some(a.id()));
    let LedgerEntryData::Account(account) = from_b64(&entries[1]["xdr"]) else {
        panic!("not an account");
    };
    assert_eq!(account, world.entry(&a).unwrap());
}

#[test]
fn entries_are_asked_for_by_at_most_two_hundred_valid_keys() {
    let mut world = World::new();
    let key = b64(&account_key(&Key::of("a")));
    let many = |n: usize| json!({ "keys": vec![key.clone(); n] });
    assert!(world.ledger.rpc("getLedgerEntries", &many(200)).is_ok());
    assert!(world.ledger.rpc("getLedgerEntries", &many(0)).is_ok());
    let (code, message) = fault(&mut world, "getLedgerEntries", many(201));
    assert_eq!(code, INVALID_PARAMS);
    assert!(message.contains("201") && message.contains("200"), "{message}");
    for bad in [json!({ "keys": "x" }), json!({ "keys": ["AAAA"] }), json!({ "keys": [7] })] {
        assert_eq!(fault(&mut world, "getLedgerEntries", bad).0, INVALID_PARAMS);
    }
}

#[test]
fn a_transaction_is_pending_then_found_by_its_hash() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let root = world.root.clone();
    let envelope = world.next(&a).op(pay(&root, Asset::Native, 5)).sign(&world, &[&a]);
    let hash = hex::encode(envelope.hash(world.ledger.network_id()).unwrap());
    let send = json!({ "transaction": b64(&envelope) });
    let find = json!({ "hash": hash });

    let sent = world.ledger.rpc("sendTransaction", &send).unwrap();
    assert_eq!(
        sent,
        json!({
            "status": "PENDING",
            "hash": hash,
            "latestLedger": world.ledger.sequence(),
            "latestLedgerCloseTime": world.ledger.close_time().to_string(),
        })
    );
    let again = world.ledger.rpc("sendTransaction", &send).unwrap();
    assert_eq!(again["status"], "DUPLICATE");
    let unknown = world.ledger.rpc("getTransaction", &find).unwrap();
    assert_eq!(unknown["status"], "NOT_FOUND");
    assert_eq!(unknown["latestLedgerCloseTime"], world.ledger.close_time().to_string());

    world.close();
    let found = world.ledger.rpc("getTransaction", &find).unwrap();
    assert_eq!(found["status"], "SUCCESS");
    assert_eq!(found["txHash"], hash);
    assert_eq!(found["ledger"], world.ledger.sequence());
    assert_eq!(found["createdAt"], world.ledger.close_time().to_string());
    assert_eq!(found["applicationOrder"], 1);
    assert_eq!(found["feeBump"], false);
    assert_eq!(found["envelopeXdr"], b64(&envelope));
    let result: TransactionResult = from_b64(&found["resultXdr"]);
    assert_eq!(result.fee_charged, 100);
    assert_eq!(found["oldestLedger"], 1);
    assert_eq!(found["oldestLedgerCloseTime"], START.to_string());

    // The same envelope again says nothing about its fate for ten ledgers.
    for _ in 0..10 {
        let late = world.ledger.rpc("sendTransaction", &send).unwrap();
        assert_eq!(late["status"], "TRY_AGAIN_LATER");
        world.close();
    }
    let late = world.ledger.rpc("sendTransaction", &send).unwrap();
    assert_eq!(late["status"], "ERROR");
    let result: TransactionResult = from_b64(&late["errorResultXdr"]);
    assert_eq!(result.result, TransactionResultResult::TxBadSeq);
    assert_eq!(result.fee_charged, 100);
}

#[test]
fn what_is_not_an_envelope_is_invalid_xdr() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let root = world.root.clone();
    let good = world.next(&a).op(pay(&root, Asset::Native, 5)).sign(&world, &[&a]);
    let mut trailing = good.to_xdr(Limits::none()).unwrap();
    trailing.push(0);
    let mut cut = good.to_xdr(Limits::none()).unwrap();
    cut.pop();
    // NOT(NOT(NOT(...))) without end, where a predicate is expected.
    let mut deep = nested_prefix(&world, &a);
    deep.extend([0, 0, 0, 3, 0, 0, 0, 1].repeat(8_000));
    let large = vec![0; 200_000];
    for bytes in [trailing, cut, deep, large, vec![], b"\xff\xff\xff\xff".to_vec()] {
        let params = json!({ "transaction": STANDARD.encode(bytes) });
        let (code, message) = fault(&mut world, "sendTransaction", params);
        assert_eq!((code, message.as_str()), (INVALID_PARAMS, "invalid_xdr"));
    }
    for params in [json!({ "transaction": "not base64!" }), json!({}), json!({ "transaction": 1 })] {
        assert_eq!(fault(&mut world, "sendTransaction", params).0, INVALID_PARAMS);
    }
}

/// The bytes of an envelope up to its claimant's predicate.
fn nested_prefix(world: &World, a: &Key) -> Vec<u8> {
    let marked = not(before(0x5eed_5eed));
    let body = create_balance(Asset::Native, 1, vec![claimant(a, marked.clone())]);
    let bytes = world.next(a).op(body).sign(world, &[a]).to_xdr(Limits::none()).unwrap();
    let needle = marked.to_xdr(Limits::none()).unwrap();
    let at = bytes.windows(needle.len()).position(|w| w == needle).unwrap();
    bytes[..at].to_vec()
}

#[test]
fn a_hash_is_sixty_four_hex_digits() {
    let mut world = World::new();
    for bad in [json!({}), json!({ "hash": "00" }), json!({ "hash": "g".repeat(64) })] {
        assert_eq!(fault(&mut world, "getTransaction", bad).0, INVALID_PARAMS);
    }
}

#[test]
fn fee_statistics_count_what_was_charged_in_the_last_ten_ledgers() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let root = world.root.clone();
    world.must(&a, pay(&root, Asset::Native, 1));
    let stats = world.ledger.rpc("getFeeStats", &json!({})).unwrap();
    assert_eq!(stats["latestLedger"], world.ledger.sequence());
    assert_eq!(stats["inclusionFee"]["max"], "100");
    assert_eq!(stats["inclusionFee"]["p50"], "100");
    assert_eq!(stats["inclusionFee"]["transactionCount"], "2");
    assert_eq!(stats["inclusionFee"]["ledgerCount"], 3);
    assert_eq!(stats["sorobanInclusionFee"]["max"], "0");
    for _ in 0..10 {
        world.close();
    }
    let stats = world.ledger.rpc("getFeeStats", &json!({})).unwrap();
    assert_eq!(stats["inclusionFee"]["transactionCount"], "0");
    assert_eq!(stats["inclusionFee"]["ledgerCount"], 0, "as stellar-rpc has it where nobody paid");
}
