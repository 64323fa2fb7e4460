//! The golden vectors of `tests/vectors/stellar.json` that concern hashing
//! and signatures. Each names its source there.
#![expect(clippy::unwrap_used, reason = "tests")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use stellar_strkey::ed25519::{PrivateKey, PublicKey as Address};
use stellar_xdr::{AccountId, PublicKey, SignerKey, Uint256};

use crate::frame::{Frame, Signed};
use crate::genesis;
use crate::hash;
use crate::signatures::SignatureCheck;

fn of_kind(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../tests/vectors/stellar.json")).unwrap();
    let found: Vec<Value> = all["vectors"].as_array().unwrap().iter().filter(|v| v["kind"] == kind).cloned().collect();
    assert!(!found.is_empty(), "no vector of kind {kind}");
    found
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap()
}

fn frame(vector: &Value) -> Frame {
    let passphrase = vector["network_passphrase"].as_str().unwrap_or_default();
    let envelope = STANDARD.decode(text(vector, "envelope_xdr")).unwrap();
    Frame::decode(&envelope, &hash::network_id(passphrase)).unwrap()
}

fn account(address: &str) -> AccountId {
    let key = Address::from_string(address).unwrap();
    AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(key.0)))
}

/// The signatures of the envelope that are over this hash.
fn signed<'a>(frame: &'a Frame, vector: &Value) -> &'a Signed {
    let expected = text(vector, "hash");
    let inner = &frame.inner.signed;
    match &frame.bump {
        Some(bump) if hex::encode(bump.signed.hash) == expected => &bump.signed,
        _ => {
            assert_eq!(hex::encode(inner.hash), expected, "{}", vector["name"]);
            inner
        }
    }
}

#[test]
fn network_ids_are_as_published() {
    for vector in of_kind("network_id") {
        let id = hash::network_id(text(&vector, "network_passphrase"));
        assert_eq!(hex::encode(id), text(&vector, "network_id"));
    }
}

#[test]
fn transaction_hashes_are_as_published() {
    for kind in ["tx_hash", "channel_canonical_tx"] {
        for vector in of_kind(kind) {
            let hash = frame(&vector).hash();
            assert_eq!(hex::encode(hash), text(&vector, "hash"), "{}", vector["name"]);
        }
    }
}

#[test]
fn published_signatures_verify_and_changed_ones_do_not() {
    for vector in of_kind("tx_signature") {
        let seed = PrivateKey::from_string(text(&vector, "seed")).unwrap();
        let mut frame = frame(&vector);
        let signer = genesis::account_of(&seed.0);
        let expected = text(&vector, "signature_hex");
        let over = signed(&frame, &vector);
        let at = over.signatures.iter().position(|s| hex::encode(s.signature.as_slice()) == expected).unwrap();
        assert_eq!(hex::encode(over.signatures[at].hint.0), text(&vector, "hint_hex"));
        assert!(SignatureCheck::new(over).absent_account(&signer));

        let over = match &mut frame.bump {
            Some(bump) if hex::encode(bump.signed.hash) == text(&vector, "hash") => &mut bump.signed,
            _ => &mut frame.inner.signed,
        };
        over.verified.take();
        over.hash[0] ^= 1;
        assert!(!SignatureCheck::new(over).absent_account(&signer));
    }
}

#[test]
fn a_published_preimage_signs_for_its_hash() {
    for vector in of_kind("hashx_signature") {
        let preimage = hex::decode(text(&vector, "preimage_hex")).unwrap();
        let digest = hash::sha256(&[&preimage]);
        assert_eq!(hex::encode(&digest[28..]), text(&vector, "hint_hex"));
        let frame = frame(&vector);
        let mut check = SignatureCheck::new(&frame.inner.signed);
        assert!(check.all_of(&[SignerKey::HashX(Uint256(digest))]));
        assert!(!check.all_used(), "the other signature is by a key");
    }
}

#[test]
fn two_published_signers_use_all_signatures() {
    for vector in of_kind("multi_signature") {
        let frame = frame(&vector);
        let mut check = SignatureCheck::new(signed(&frame, &vector));
        for signer in vector["signers"].as_array().unwrap() {
            assert!(!check.all_used());
            assert!(check.absent_account(&account(signer.as_str().unwrap())));
        }
        assert!(check.all_used());
    }
}

#[test]
fn claimable_balance_ids_are_as_published() {
    for vector in of_kind("claimable_balance_id") {
        let id = hash::balance_id(
            &account(text(&vector, "tx_source")),
            text(&vector, "tx_seq").parse().unwrap(),
            vector["op_index"].as_u64().unwrap().try_into().unwrap(),
        );
        let expected = text(&vector, "balance_id");
        assert_eq!(format!("00000000{}", hex::encode(id)), expected);
    }
}
