//! Every result of SetOptions.

use SetOptionsResult as R;
use stellar_xdr::*;

use crate::world::*;

fn of(code: R) -> OperationResult {
    OperationResult::OpInner(OperationResultTr::SetOptions(code))
}

#[test]
fn what_is_wrong_in_itself_is_refused() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let payload = SignerKey::Ed25519SignedPayload(SignerKeyEd25519SignedPayload {
        ed25519: Uint256([1; 32]),
        payload: BytesM::default(),
    });
    let cases = [
        (options(|o| o.set_flags = Some(16)), R::UnknownFlag),
        (options(|o| o.clear_flags = Some(16)), R::UnknownFlag),
        (
            options(|o| {
                o.set_flags = Some(3);
                o.clear_flags = Some(1);
            }),
            R::BadFlags,
        ),
        (options(|o| o.master_weight = Some(256)), R::ThresholdOutOfRange),
        (options(|o| o.low_threshold = Some(256)), R::ThresholdOutOfRange),
        (options(|o| o.med_threshold = Some(256)), R::ThresholdOutOfRange),
        (options(|o| o.high_threshold = Some(256)), R::ThresholdOutOfRange),
        (add_signer(a.signer(), 1), R::BadSigner),
        (add_signer(Key::of("s").signer(), 256), R::BadSigner),
        (add_signer(payload, 1), R::BadSigner),
        (options(|o| o.home_domain = Some(String32("a\nb".try_into().unwrap()))), R::InvalidHomeDomain),
        (options(|o| o.inflation_dest = Some(Key::of("absent").id())), R::InvalidInflation),
        (options(|o| o.set_flags = Some(AccountFlags::ClawbackEnabledFlag as u32)), R::AuthRevocableRequired),
    ];
    for (body, code) in cases {
        assert_eq!(world.one(&a, body), of(code));
    }
    let untouched = world.entry(&a).unwrap();
    assert_eq!((untouched.flags, untouched.thresholds.0), (0, [1, 0, 0, 0]));
}

#[test]
fn everything_can_be_set_at_once() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let s = Key::of("s");
    let domain = String32("example.org".try_into().unwrap());
    let flags = AccountFlags::RevocableFlag as u32 | AccountFlags::ClawbackEnabledFlag as u32;
    let body = options(|o| {
        o.inflation_dest = Some(a.id());
        o.set_flags = Some(flags);
        o.master_weight = Some(10);
        o.low_threshold = Some(1);
        o.med_threshold = Some(2);
        o.high_threshold = Some(3);
        o.home_domain = Some(domain.clone());
        o.signer = Some(Signer { key: s.signer(), weight: 7 });
    });
    world.must(&a, body);
    let entry = world.entry(&a).unwrap();
    assert_eq!(entry.inflation_dest, Some(a.id()));
    assert_eq!(entry.flags, flags);
    assert_eq!(entry.thresholds.0, [10, 1, 2, 3]);
    assert_eq!(entry.home_domain, domain);
    assert_eq!(entry.signers[0].weight, 7);
    // Revocable can't go while clawback stays.
    let body = options(|o| o.clear_flags = Some(AccountFlags::RevocableFlag as u32));
    assert_eq!(world.one(&a, body), of(R::AuthRevocableRequired));
    world.must(&a, options(|o| o.clear_flags = Some(flags)));
    assert_eq!(world.entry(&a).unwrap().flags, 0);
}

#[test]
fn immutable_flags_stay() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let immutable = AccountFlags::ImmutableFlag as u32;
    world.must(&a, options(|o| o.set_flags = Some(immutable)));
    for body in [
        options(|o| o.clear_flags = Some(immutable)),
        options(|o| o.set_flags = Some(AccountFlags::RequiredFlag as u32)),
    ] {
        assert_eq!(world.one(&a, body), of(R::CantChange));
    }
    world.must(&a, options(|o| o.low_threshold = Some(1)));
}

#[test]
fn a_signer_needs_a_reserve_to_the_stroop_and_a_change_of_weight_none() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let s = Key::of("s");
    world.drain_to(&a, 3 * RESERVE + 99);
    assert_eq!(world.one(&a, add_signer(s.signer(), 1)), of(R::LowReserve));
    let root = world.root.clone();
    world.must(&root, pay(&a, Asset::Native, 101));
    world.must(&a, add_signer(s.signer(), 1));
    assert_eq!(world.balance(&a), 3 * RESERVE);
    world.must(&root, pay(&a, Asset::Native, 300));
    world.must(&a, add_signer(s.signer(), 2));
    // Removing what isn't there succeeds.
    world.must(&a, add_signer(Key::of("t").signer(), 0));
    world.must(&a, add_signer(s.signer(), 0));
    let entry = world.entry(&a).unwrap();
    assert_eq!((entry.num_sub_entries, entry.signers.len()), (0, 0));
}

#[test]
fn the_twenty_first_signer_is_one_too_many_and_all_kinds_stay_in_order() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let kinds: [fn(u8) -> SignerKey; 4] = [
        |n| SignerKey::HashX(Uint256([n; 32])),
        |n| Key::of(&format!("s{n}")).signer(),
        |n| SignerKey::PreAuthTx(Uint256([n; 32])),
        |n| {
            SignerKey::Ed25519SignedPayload(SignerKeyEd25519SignedPayload {
                ed25519: Uint256([n; 32]),
                payload: vec![n].try_into().unwrap(),
            })
        },
    ];
    for n in 0..20 {
        world.must(&a, add_signer(kinds[usize::from(n) % 4](n), 1));
    }
    let entry = world.entry(&a).unwrap();
    assert_eq!((entry.num_sub_entries, entry.signers.len()), (20, 20));
    assert!(entry.signers.is_sorted_by(|a, b| a.key < b.key));
    assert_eq!(world.one(&a, add_signer(kinds[0](99), 1)), of(R::TooManySigners));
    world.must(&a, add_signer(kinds[0](0), 5));
}
