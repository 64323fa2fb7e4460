//! The golden vectors of `tests/vectors/stellar.json`, each computed by someone else's code and naming its source.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use ed25519_dalek::{Signer, SigningKey};
use serde_json::Value;
use sha2::{Digest, Sha256};
use stellar_strkey::Strkey;
use stellar_strkey::ed25519::PrivateKey;
use stellar_xdr::{OperationBody, SignerKey, TransactionEnvelope, Uint256};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::message::BalanceId;
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::stellar::envelope::{EnvelopeError, SignedTransaction};
use tradepost_protocol::stellar::predicate::Predicate;
use tradepost_protocol::stellar::result::ResultView;
use tradepost_protocol::stellar::transaction::hash_of;
use tradepost_protocol::stellar::{Memo, Operation, balance_id, signed_message, xdr};
use tradepost_protocol::time::Timestamp;

/// The kinds of vectors that this crate doesn't test, and where they belong.
const ELSEWHERE: &[(&str, &str)] = &[
    ("sep5", "the keystore, in the node"),
    ("channel_canonical_tx", "channels, a later issue; their hashes are tested here already"),
    ("sac_contract_id", "asset contracts, a later issue"),
];

fn vectors() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("vectors/stellar.json")).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn of_kind(kind: &str) -> Vec<Value> {
    let all: Vec<Value> = vectors().into_iter().filter(|v| v["kind"] == kind).collect();
    assert!(!all.is_empty(), "no vector of kind {kind}");
    all
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap_or_else(|| panic!("{} has no {field}", vector["name"]))
}

fn network(vector: &Value) -> NetworkId {
    NetworkId::of_passphrase(text(vector, "network_passphrase"))
}

fn envelope(vector: &Value) -> Vec<u8> {
    xdr::from_base64(text(vector, "envelope_xdr")).unwrap()
}

fn seed(vector: &Value) -> SigningKey {
    let seed = PrivateKey::from_string(text(vector, "seed")).unwrap();
    SigningKey::from_bytes(&seed.0)
}

#[test]
fn network_ids_are_the_hash_of_their_passphrase() {
    for v in of_kind("network_id") {
        assert_eq!(network(&v).to_string(), text(&v, "network_id"));
    }
}

#[test]
fn transactions_of_every_form_have_the_hash_that_the_ledger_gave_them() {
    for kind in ["tx_hash", "channel_canonical_tx", "multi_signature"] {
        for v in of_kind(kind) {
            let hash = hash_of(&envelope(&v), &network(&v)).unwrap();
            assert_eq!(hash.to_string(), text(&v, "hash"), "{}", v["name"]);
            if let Some(result) = v["result_xdr"].as_str() {
                let result = ResultView::read(&xdr::from_base64(result).unwrap()).unwrap();
                assert!(result.is_success(), "{}", v["name"]);
            }
        }
    }
}

#[test]
fn version_zero_and_fee_bumps_are_not_read_as_plain_transactions() {
    let mut read = BTreeMap::new();
    for v in of_kind("tx_hash") {
        let seen = match SignedTransaction::read(&envelope(&v), &network(&v)) {
            Ok(transaction) => {
                assert_eq!(transaction.hash().to_string(), text(&v, "hash"));
                "plain"
            }
            Err(EnvelopeError::VersionZero) => "version 0",
            Err(EnvelopeError::FeeBump) => "fee bump",
            Err(other) => panic!("{}: {other}", v["name"]),
        };
        *read.entry(seen).or_insert(0) += 1;
    }
    assert_eq!(read, BTreeMap::from([("plain", 6), ("version 0", 3), ("fee bump", 1)]));
}

#[test]
fn signatures_and_hints_are_the_ones_that_others_made() {
    for v in of_kind("tx_signature") {
        let key = seed(&v);
        let hash = hex::decode(text(&v, "hash")).unwrap();
        assert_eq!(hex::encode(key.sign(&hash).to_bytes()), text(&v, "signature_hex"), "{}", v["name"]);
        assert_eq!(hex::encode(&key.verifying_key().to_bytes()[28..]), text(&v, "hint_hex"), "{}", v["name"]);
        let hashes = match xdr::read::<TransactionEnvelope>("envelope", &envelope(&v)).unwrap() {
            TransactionEnvelope::TxFeeBump(bump) => {
                let stellar_xdr::FeeBumpTransactionInnerTx::Tx(inner) = bump.tx.inner_tx;
                let inner = xdr::write(&TransactionEnvelope::Tx(inner)).unwrap();
                vec![hash_of(&inner, &network(&v)).unwrap(), hash_of(&envelope(&v), &network(&v)).unwrap()]
            }
            _ => vec![hash_of(&envelope(&v), &network(&v)).unwrap()],
        };
        assert!(hashes.iter().any(|h| h.to_string() == text(&v, "hash")), "{}", v["name"]);
    }
}

/// The test cases of SEP-53: message, signature.
const SEP_53: [(&[u8], &str); 3] = [
    (b"Hello, World!", "fO5dbYhXUhBMhe6kId/cuVq/AfEnHRHEvsP8vXh03M1uLpi5e46yO2Q8rEBzu3feXQewcQE5GArp88u6ePK6BA=="),
    (
        "こんにちは、世界！".as_bytes(),
        "CDU265Xs8y3OWbB/56H9jPgUss5G9A0qFuTqH2zs2YDgTm+++dIfmAEceFqB7bhfN3am59lCtDXrCtwH2k1GBA==",
    ),
    (
        &[
            0xdb, 0x36, 0x43, 0x3f, 0x5b, 0x1a, 0xd4, 0x15, 0x41, 0x7c, 0xb3, 0xfb, 0x4d, 0xe7, 0x8c, 0x93, 0x7b, 0x14,
            0x6d, 0xac, 0x40, 0x91, 0x48, 0x41, 0x84, 0x38, 0x8d, 0x76, 0xb9, 0x2c, 0x68, 0x5a,
        ],
        "VA1+7hefNwv2NKScH6n+Sljj15kLAge+M2wE7fzFOf+L0MMbssA1mwfJZRyyrhBORQRle10X1Dxpx+UOI4EbDQ==",
    ),
];

#[test]
fn signed_messages_are_the_ones_that_sep_53_gives() {
    for v in of_kind("sep53_message") {
        let (key, account) = (seed(&v), text(&v, "address").parse::<AccountId>().unwrap());
        let message = hex::decode(text(&v, "message_hex")).unwrap();
        assert_eq!(signature(text(&v, "signature_base64")), signed_message::sign(&message, &key), "{}", v["name"]);
        for (message, published) in SEP_53 {
            let published = signature(published);
            assert_eq!(signed_message::sign(message, &key), published, "{message:?}");
            assert!(signed_message::is_signed_by(message, &published, account), "{message:?}");
        }
    }
}

fn signature(base64: &str) -> [u8; 64] {
    xdr::from_base64(base64).unwrap().try_into().unwrap()
}

#[test]
fn every_signer_of_a_transaction_is_recognised_and_nobody_else() {
    for v in of_kind("multi_signature") {
        let transaction = SignedTransaction::read(&envelope(&v), &network(&v)).unwrap();
        let signers = v["signers"].as_array().unwrap();
        assert_eq!(transaction.signature_count(), signers.len());
        for signer in signers {
            assert!(transaction.is_signed_by(signer.as_str().unwrap().parse().unwrap()));
        }
        assert!(!transaction.is_signed_by(AccountId::from_bytes([1; 32])));
        let elsewhere = SignedTransaction::read(&envelope(&v), &NetworkId::of_passphrase("another")).unwrap();
        assert!(!elsewhere.is_signed_by(signers[0].as_str().unwrap().parse().unwrap()));
    }
}

#[test]
fn a_hash_x_signature_is_its_preimage_with_the_hint_of_its_hash() {
    for v in of_kind("hashx_signature") {
        let preimage = hex::decode(text(&v, "preimage_hex")).unwrap();
        let hint = &Sha256::digest(&preimage)[28..];
        assert_eq!(hex::encode(hint), text(&v, "hint_hex"));
        let TransactionEnvelope::TxV0(v0) = xdr::read("envelope", &envelope(&v)).unwrap() else {
            panic!("a version 0 envelope")
        };
        assert!(v0.signatures.iter().any(|s| s.hint.0 == *hint && s.signature.0.as_slice() == preimage));
    }
}

fn predicate(said: &Value) -> Predicate {
    use stellar_xdr::ClaimPredicate as P;
    let number = |v: &Value| v.as_str().unwrap().parse().unwrap();
    let pair = |v: &Value| {
        let both: Vec<P> = v.as_array().unwrap().iter().map(|p| predicate(p).to_xdr()).collect();
        both.try_into().unwrap()
    };
    let (form, inner) = said.as_object().unwrap().iter().next().unwrap();
    Predicate::from_xdr(&match form.as_str() {
        "and" => P::And(pair(inner)),
        "or" => P::Or(pair(inner)),
        "not" => P::Not(Some(Box::new(predicate(inner).to_xdr()))),
        "abs_before" => Predicate::Before(Timestamp::from_secs(number(inner))).to_xdr(),
        "rel_before" => P::BeforeRelativeTime(number(inner) as i64),
        other => panic!("unknown predicate {other}"),
    })
}

#[test]
fn predicates_have_the_bytes_that_others_write() {
    for v in of_kind("claim_predicate_xdr") {
        let ours = predicate(&v["predicate"]);
        assert_eq!(xdr::to_base64(&xdr::write(&ours.to_xdr()).unwrap()), text(&v, "xdr"), "{}", v["name"]);
        let read = xdr::read("predicate", &xdr::from_base64(text(&v, "xdr")).unwrap()).unwrap();
        assert_eq!(Predicate::from_xdr(&read), ours);
    }
    let t = Timestamp::from_secs(1_601_391_266);
    let not_before = of_kind("claim_predicate_xdr").into_iter().find(|v| v["name"] == "not(abs_before)").unwrap();
    assert_eq!(predicate(&not_before["predicate"]), Predicate::From(t));
}

#[test]
fn balance_ids_follow_from_source_sequence_and_operation() {
    for v in of_kind("claimable_balance_id") {
        let source: AccountId = text(&v, "tx_source").parse().unwrap();
        let sequence = text(&v, "tx_seq").parse().unwrap();
        let index = u32::try_from(v["op_index"].as_u64().unwrap()).unwrap();
        let id = balance_id::of_operation(source, sequence, index);
        assert_eq!(format!("00000000{id}"), text(&v, "balance_id"), "{}", v["name"]);
        let preimage = xdr::from_base64(text(&v, "preimage_xdr")).unwrap();
        assert_eq!(id, BalanceId::from_bytes(Sha256::digest(&preimage).into()));
        assert_eq!(balance_id::to_text(id), text(&v, "balance_strkey"));
        assert_eq!(balance_id::from_text(text(&v, "balance_strkey")).unwrap(), id);
    }
}

#[test]
fn operations_and_memos_are_read_and_written_back_byte_for_byte() {
    for v in of_kind("operation_xdr") {
        let bytes = xdr::from_base64(text(&v, "operation_xdr")).unwrap();
        let operation: Operation = xdr::read("operation", &bytes).unwrap();
        assert_eq!(xdr::write(&operation).unwrap(), bytes, "{}", v["name"]);
        let hash = |field: &str| Uint256(hex::decode(text(&v, field)).unwrap().try_into().unwrap());
        match operation.body {
            OperationBody::BumpSequence(op) => assert_eq!(op.bump_to.0.to_string(), text(&v, "bump_to")),
            OperationBody::SetOptions(op) => {
                let signer = op.signer.unwrap();
                match signer.key {
                    SignerKey::HashX(key) => assert_eq!((key, signer.weight), (hash("hash_x"), 0)),
                    SignerKey::PreAuthTx(key) => assert_eq!((key, signer.weight), (hash("preauth_hash"), 2)),
                    other => panic!("{other:?}"),
                }
            }
            OperationBody::ClawbackClaimableBalance(op) => {
                let id = format!("00000000{}", balance_id::from_xdr(&op.balance_id));
                assert!(text(&v, "name").contains(&id[..16]), "{id}");
            }
            other => panic!("{}: {}", v["name"], other.name()),
        }
    }
    for v in of_kind("memo_xdr") {
        let memo: Memo = xdr::read("memo", &xdr::from_base64(text(&v, "xdr")).unwrap()).unwrap();
        assert_eq!(memo, Memo::Id(u64::MAX));
        assert_eq!(xdr::to_base64(&xdr::write(&memo).unwrap()), text(&v, "xdr"));
    }
}

#[test]
fn keys_and_ids_have_the_texts_of_sep_23() {
    for v in of_kind("strkey") {
        let (strkey, payload) = (text(&v, "strkey"), v["payload_hex"].as_str().unwrap_or_default());
        if text(&v, "type") == "ed25519_seed" {
            assert_eq!(hex::encode(PrivateKey::from_string(strkey).unwrap().0), payload);
            continue;
        }
        let bytes = match (text(&v, "type"), Strkey::from_string(strkey).unwrap()) {
            ("ed25519_public_key", Strkey::PublicKeyEd25519(_)) => {
                let account: AccountId = strkey.parse().unwrap();
                assert_eq!(account.to_string(), strkey);
                hex::encode(account.as_bytes())
            }
            ("claimable_balance", Strkey::ClaimableBalance(_)) => {
                let id = balance_id::from_text(strkey).unwrap();
                assert_eq!(balance_id::to_text(id), strkey);
                format!("00{id}")
            }
            ("hash_x", Strkey::HashX(key)) => hex::encode(key.0),
            ("liquidity_pool", Strkey::LiquidityPool(pool)) => hex::encode(pool.0),
            ("signed_payload", Strkey::SignedPayloadEd25519(signed)) => {
                assert_eq!(hex::encode(signed.ed25519()), text(&v, "ed25519_hex"));
                hex::encode(signed.payload())
            }
            ("muxed_account", Strkey::MuxedAccountEd25519(muxed)) => {
                assert_eq!(hex::encode(muxed.ed25519), text(&v, "ed25519_hex"));
                assert_eq!(muxed.id.to_string(), text(&v, "id"));
                String::new()
            }
            (kind, _) => panic!("{strkey} is no {kind}"),
        };
        assert_eq!(bytes, payload, "{}", v["name"]);
    }
}

#[test]
fn broken_texts_are_refused_as_accounts_as_balances_and_altogether() {
    for v in of_kind("strkey_invalid") {
        for strkey in v["strkeys"].as_array().unwrap() {
            let strkey = strkey.as_str().unwrap();
            assert!(strkey.parse::<AccountId>().is_err(), "{strkey}");
            assert!(balance_id::from_text(strkey).is_err(), "{strkey}");
            assert!(Strkey::from_string(strkey).is_err(), "{strkey}");
        }
    }
}

#[test]
fn every_vector_is_tested_here_or_named_as_belonging_elsewhere() {
    const HERE: &[&str] = &[
        "network_id",
        "tx_hash",
        "tx_signature",
        "multi_signature",
        "hashx_signature",
        "claim_predicate_xdr",
        "claimable_balance_id",
        "operation_xdr",
        "memo_xdr",
        "strkey",
        "strkey_invalid",
        "sep53_message",
    ];
    let (mut here, mut elsewhere) = (0, BTreeMap::<String, usize>::new());
    for v in vectors() {
        let kind = text(&v, "kind");
        if HERE.contains(&kind) {
            here += 1;
        } else {
            assert!(ELSEWHERE.iter().any(|(known, _)| *known == kind), "no test knows {kind}");
            *elsewhere.entry(kind.to_owned()).or_default() += 1;
        }
    }
    println!("{here} vectors tested here; elsewhere: {elsewhere:?}");
    for (kind, why) in ELSEWHERE {
        println!("  {kind}: {why}");
    }
    assert_eq!((here, elsewhere.values().sum::<usize>()), (37, 9));
}
