//! Signers, weights, thresholds, and signatures that nobody needed.

use stellar_xdr::TransactionResultResult as Code;
use stellar_xdr::*;

use crate::world::*;

const EXTRA: Outcome = Outcome::Refused(Code::TxBadAuthExtra);
const BAD: Outcome = Outcome::Refused(Code::TxBadAuth);

#[test]
fn a_signature_past_the_needed_weight_is_extra() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let (s, t) = (Key::of("s"), Key::of("t"));
    world.must(&a, add_signer(s.signer(), 1));
    world.must(&a, add_signer(t.signer(), 1));
    world.must(&a, thresholds(1, 2));
    let tx = |world: &World| world.next(&a).op(bump_to(0));
    assert_eq!(world.run(tx(&world), &[&a]), BAD);
    assert_eq!(world.run(tx(&world), &[&a, &s, &t]), EXTRA);
    assert_eq!(world.run(tx(&world), &[&a, &a]), BAD);
    assert_eq!(world.run(tx(&world), &[&a, &s, &s]), EXTRA);
    for pair in [[&a, &s], [&s, &t], [&t, &a]] {
        assert!(world.run(tx(&world), &pair).succeeded());
    }
}

#[test]
fn a_signer_that_suffices_alone_makes_the_masters_signature_extra() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let s = Key::of("s");
    world.must(&a, add_signer(s.signer(), 5));
    let tx = |world: &World| world.next(&a).op(pay(&a, Asset::Native, 1));
    assert_eq!(world.run(tx(&world), &[&s, &a]), EXTRA);
    assert_eq!(world.run(tx(&world), &[&a, &s]), EXTRA);
    assert!(world.run(tx(&world), &[&s]).succeeded());
    assert!(world.run(tx(&world), &[&a]).succeeded());
}

#[test]
fn each_level_has_its_threshold() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let s = Key::of("s");
    world.must(&a, add_signer(s.signer(), 1));
    let set = options(|o| {
        o.master_weight = Some(3);
        o.low_threshold = Some(1);
        o.med_threshold = Some(2);
        o.high_threshold = Some(3);
    });
    world.must(&a, set);
    let heir = world.account("heir", 10 * XLM);
    let low = bump_to(0);
    let medium = [pay(&a, Asset::Native, 1), options(|o| o.home_domain = Some(String32::default()))];
    let high = [add_signer(s.signer(), 1), thresholds(3, 3), merge(&heir)];

    let tx = world.next(&a).op(low);
    assert!(world.run(tx, &[&s]).succeeded());
    for body in medium.into_iter().chain(high) {
        let tx = world.next(&a).op(body);
        let outcome = world.run(tx, &[&s]);
        assert_eq!(outcome.operations(), [OperationResult::OpBadAuth]);
    }
    world.must(&a, add_signer(s.signer(), 2));
    let tx = world.next(&a).op(pay(&a, Asset::Native, 1));
    assert!(world.run(tx, &[&s]).succeeded());
    let tx = world.next(&a).op(thresholds(3, 3));
    assert_eq!(world.run(tx, &[&s]).operations(), [OperationResult::OpBadAuth]);
}

#[test]
fn a_threshold_of_zero_still_needs_a_signature() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let tx = world.next(&a).op(bump_to(0));
    assert_eq!(world.run(tx.clone(), &[]), BAD);
    assert_eq!(world.run(tx.clone(), &[&Key::of("stranger")]), BAD);
    assert!(world.run(tx, &[&a]).succeeded());
}

#[test]
fn a_master_of_weight_zero_cannot_sign() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let s = Key::of("s");
    world.must(&a, add_signer(s.signer(), 1));
    world.must(&a, options(|o| o.master_weight = Some(0)));
    let tx = world.next(&a).op(bump_to(0));
    assert_eq!(world.run(tx.clone(), &[&a]), BAD);
    assert!(world.run(tx, &[&s]).succeeded());
}

#[test]
fn a_preimage_signs_as_often_as_needed_and_stays() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let secret = b"a secret of the two of us";
    world.must(&a, add_signer(SignerKey::HashX(Uint256(sha256(secret))), 1));
    world.must(&a, thresholds(1, 2));
    let tx = |world: &World| world.next(&a).op(pay(&a, Asset::Native, 1));
    assert_eq!(world.run(tx(&world), &[&a]), BAD);
    let wrong = tx(&world).with(preimage(b"something else"));
    assert_eq!(world.run(wrong, &[&a]), BAD);
    for _ in 0..2 {
        let right = tx(&world).with(preimage(secret));
        assert!(world.run(right, &[&a]).succeeded());
    }
    assert_eq!(world.entry(&a).unwrap().signers.len(), 1);
}

#[test]
fn a_pre_authorised_transaction_needs_no_signature_and_works_once() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let root = world.root.clone();
    let planned = Tx::new(&a, world.sequence(&a) + 2).op(pay(&root, Asset::Native, XLM));
    let key = SignerKey::PreAuthTx(Uint256(planned.hash(&world)));
    world.must(&a, add_signer(key, 1));
    // The master's signature isn't needed any more.
    assert_eq!(world.run(planned.clone(), &[&a]), EXTRA);
    assert!(world.run(planned.clone(), &[]).succeeded());
    assert!(world.entry(&a).unwrap().signers.is_empty());
    assert_eq!(world.balance(&a), 99 * XLM - 200);
}

#[test]
fn a_signed_payload_signs_for_whoever_shows_it() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let s = Key::of("s");
    for payload in [&b"a long enough payload"[..], b"abc"] {
        let key = SignerKey::Ed25519SignedPayload(SignerKeyEd25519SignedPayload {
            ed25519: Uint256(s.bytes()),
            payload: payload.to_vec().try_into().unwrap(),
        });
        world.must(&a, add_signer(key.clone(), 1));
        let mut shown = s.sign(payload);
        let mut tail = [0; 4];
        let last = &payload[payload.len().saturating_sub(4)..];
        tail[..last.len()].copy_from_slice(last);
        for (hint, byte) in shown.hint.0.iter_mut().zip(tail) {
            *hint ^= byte;
        }
        let tx = world.next(&a).op(bump_to(0)).with(shown.clone());
        assert!(world.run(tx, &[]).succeeded());
        shown.signature = s.sign(b"another payload").signature;
        let tx = world.next(&a).op(bump_to(0)).with(shown);
        assert_eq!(world.run(tx, &[]), BAD);
    }
    assert_eq!(world.entry(&a).unwrap().signers.len(), 2);
}

#[test]
fn extra_signers_must_all_sign() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let s = Key::of("s");
    let secret = b"preimage";
    let tx = |world: &World| {
        world.next(&a).op(bump_to(0)).v2(|v2| {
            let hash_x = SignerKey::HashX(Uint256(sha256(secret)));
            v2.extra_signers = vec![s.signer(), hash_x].try_into().unwrap();
        })
    };
    assert_eq!(world.run(tx(&world), &[&a, &s]), BAD);
    assert_eq!(world.run(tx(&world).with(preimage(secret)), &[&a]), BAD);
    assert!(world.run(tx(&world).with(preimage(secret)), &[&a, &s]).succeeded());
}

#[test]
fn an_account_that_does_not_exist_yet_acts_under_its_master_key() {
    let mut world = World::new();
    let root = world.root.clone();
    let new = Key::of("new");
    let tx =
        |world: &World| world.next(&root).op(create_account(&new, 10 * XLM)).op_by(&new, data("name", Some(b"value")));
    let refused = world.run(tx(&world), &[&root]);
    assert_eq!(refused.operations()[1], OperationResult::OpBadAuth);
    assert!(world.run(tx(&world), &[&root, &new]).succeeded());
    assert_eq!(world.entry(&new).unwrap().num_sub_entries, 1);
    // Without the creation there is nothing that it could act for.
    let absent = Key::of("absent");
    let tx = world.next(&root).op_by(&absent, bump_to(0));
    assert_eq!(world.run(tx, &[&root, &absent]).operations(), [OperationResult::OpNoAccount]);
}

#[test]
fn a_signature_for_another_network_or_with_a_wrong_hint_is_none() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let tx = world.next(&a).op(bump_to(0));
    let elsewhere = tx.build().hash(sha256(b"another network")).unwrap();
    assert_eq!(world.run(tx.clone().with(a.sign(&elsewhere)), &[]), BAD);
    let mut misled = a.sign(&tx.hash(&world));
    misled.hint.0[0] ^= 1;
    assert_eq!(world.run(tx.clone().with(misled), &[]), BAD);
    let mut cut = a.sign(&tx.hash(&world));
    cut.signature = Signature(vec![0; 63].try_into().unwrap());
    assert_eq!(world.run(tx.clone().with(cut), &[]), BAD);
    assert!(world.run(tx, &[&a]).succeeded());
}

#[test]
fn twenty_signatures_can_be_needed() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let keys: Vec<Key> = (0..20).map(|n| Key::of(&format!("s{n}"))).collect();
    let mut tx = world.next(&a);
    for key in &keys {
        tx = tx.op(add_signer(key.signer(), 1));
    }
    let tx = tx.op(thresholds(0, 20));
    assert!(world.run(tx, &[&a]).succeeded());
    let all: Vec<&Key> = keys.iter().collect();
    let tx = world.next(&a).op(bump_to(0));
    assert_eq!(world.run(tx.clone(), &all[1..]), BAD);
    assert!(world.run(tx, &all).succeeded());
}
