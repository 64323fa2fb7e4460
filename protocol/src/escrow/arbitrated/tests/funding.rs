//! The funding as the provider is handed it: ours is taken, and nothing that differs from it.

use proptest::prelude::*;
use stellar_xdr::{Preconditions, TimeBounds, TimePoint, Transaction, TransactionEnvelope};

use super::*;

#[test]
fn our_own_funding_is_accepted_and_names_balance_and_controller_before_they_exist() {
    for terms in all_terms() {
        let envelope = sign(&unsigned(&terms));
        let seen = check(&terms, envelope.bytes()).unwrap();
        assert_eq!(seen.balance, balance_id::of_operation(consumer(), SEQUENCE, 0));
        assert_eq!((seen.controller, seen.hash), (Some(controller_account()), envelope.hash()));
        assert_eq!((seen.sequence, seen.max_time, seen.fee), (SEQUENCE, FUND_BY, unsigned(&terms).fee));
        assert!(envelope.bytes().len() <= crate::stellar::envelope::MAX_ENVELOPE_BYTES);
    }
}

fn transaction(envelope: &Envelope) -> Transaction {
    let TransactionEnvelope::Tx(v1) = xdr::read("envelope", envelope.bytes()).unwrap() else { panic!() };
    v1.tx
}

fn without_signatures(tx: &Transaction) -> Vec<u8> {
    let signatures = stellar_xdr::VecM::default();
    xdr::write(&TransactionEnvelope::Tx(stellar_xdr::TransactionV1Envelope { tx: tx.clone(), signatures })).unwrap()
}

/// A transaction signed by all who may have to: consumer, and the controller that it names.
fn resigned(tx: Transaction) -> Vec<u8> {
    let hash = tx.hash(*network().as_bytes()).unwrap();
    let signed = |key: &SigningKey| {
        let [.., a, b, c, d] = key.verifying_key().to_bytes();
        stellar_xdr::DecoratedSignature {
            hint: stellar_xdr::SignatureHint([a, b, c, d]),
            signature: stellar_xdr::Signature(
                ed25519_dalek::Signer::sign(key, &hash).to_bytes().to_vec().try_into().unwrap(),
            ),
        }
    };
    let signatures = vec![signed(&consumer_account()), signed(&controller_secret())].try_into().unwrap();
    xdr::write(&TransactionEnvelope::Tx(stellar_xdr::TransactionV1Envelope { tx, signatures })).unwrap()
}

/// Whether a funding differs only in what its funder is free to choose: its sequence number, a higher fee, an earlier end.
fn is_free_to_differ(tx: &Transaction, right: &Transaction) -> bool {
    let until = |tx: &Transaction| match &tx.cond {
        Preconditions::V2(v2) => v2.time_bounds.as_ref().map_or(0, |bounds| bounds.max_time.0),
        _ => 0,
    };
    let free = tx.seq_num.0 > 0 && tx.fee >= right.fee && (1..=FUND_BY.secs()).contains(&until(tx));
    let mut same = Transaction { seq_num: right.seq_num.clone(), fee: right.fee, ..tx.clone() };
    if let (Preconditions::V2(v2), Preconditions::V2(_)) = (&mut same.cond, &right.cond)
        && let Some(bounds) = &mut v2.time_bounds
    {
        *bounds = TimeBounds { max_time: TimePoint(FUND_BY.secs()), ..bounds.clone() };
    }
    free && same == *right
}

#[test]
fn a_funding_with_any_one_bit_changed_is_refused_even_where_all_sign_it() {
    let (mut refused, mut free) = (0, 0);
    for terms in [terms(), terms_of(1, hexa()), terms_of(3, Asset::Native)] {
        let right = transaction(&sign(&unsigned(&terms)));
        let bytes = xdr::write(&right).unwrap();
        for i in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[i] ^= 1 << bit;
                let Ok(tx) = xdr::read::<Transaction>("transaction", &flipped) else {
                    refused += 1;
                    continue;
                };
                // Signatures are looked at last: without them it is refused for them, or for something before.
                let verdict = match check(&terms, &without_signatures(&tx)) {
                    Err(FundingRefused::SignatureCount { .. }) => check(&terms, &resigned(tx.clone())),
                    refused => refused,
                };
                assert_eq!(verdict.is_ok(), is_free_to_differ(&tx, &right), "byte {i} bit {bit}: {verdict:?}");
                if verdict.is_ok() { free += 1 } else { refused += 1 }
            }
        }
    }
    println!(
        "{refused} fundings, each with one bit changed, were refused; {free} differ in what the funder may choose"
    );
    assert!(refused > 20_000 && free < 400, "{refused} {free}");
}

#[test]
fn a_funding_with_an_operation_more_less_or_elsewhere_is_refused() {
    let mut count = 0;
    for terms in [terms(), terms_of(3, hexa())] {
        let right = unsigned(&terms);
        let mut refused = |operations: Vec<Operation>| {
            let changed = Unsigned { fee: 10_000, operations, ..right.clone() };
            assert!(check(&terms, sign(&changed).bytes()).is_err());
            count += 1;
        };
        for i in 0..right.operations.len() {
            let mut less = right.operations.clone();
            let gone = less.remove(i);
            let mut twice = right.operations.clone();
            twice.insert(i, gone.clone());
            refused(twice);
            for j in (0..right.operations.len()).filter(|j| *j != i) {
                let mut moved = less.clone();
                moved.insert(j, gone.clone());
                if moved != right.operations {
                    refused(moved);
                }
            }
            let mut by_another = right.operations.clone();
            by_another[i] = operation::by(recipient(), by_another[i].clone());
            refused(by_another);
            let mut by_nobody = right.operations.clone();
            by_nobody[i].source_account = None;
            if by_nobody != right.operations {
                refused(by_nobody);
            }
            refused(less);
        }
        let mut extra = right.operations.clone();
        let key = SignerKey::Ed25519(Uint256([9; 32]));
        extra.insert(4, operation::by(controller_account(), operation::add_signer(key, 2)));
        refused(extra);
    }
    println!("{count} fundings with operations more, less or elsewhere were refused");
    assert!(count > 100);
}

#[test]
fn a_funding_without_exactly_both_signatures_is_refused() {
    let (terms, right) = (terms(), unsigned(&terms()));
    let by = |keys: &[&SigningKey]| check(&terms, right.sign(keys, &network()).unwrap().bytes());
    let (own, its, stranger) = (consumer_account(), controller_secret(), secret(13));
    let count = |found| Err(FundingRefused::SignatureCount { expected: 2, found });
    assert_eq!(by(&[]), count(0));
    assert_eq!(by(&[&own]), count(1));
    assert_eq!(by(&[&own, &its, &stranger]), count(3));
    assert_eq!(by(&[&own, &own]), Err(FundingRefused::Signature("the controller")));
    assert_eq!(by(&[&stranger, &its]), Err(FundingRefused::Signature("the consumer")));
    assert!(by(&[&its, &own]).is_ok(), "their order is nobody's business");
    let elsewhere = right.sign(&[&own, &its], &NetworkId::of_passphrase("elsewhere")).unwrap();
    assert!(check(&terms, elsewhere.bytes()).is_err());
    for party in [consumer(), recipient(), AccountId::of(&arbiter_key(0)), AccountId::of(&provider_key())] {
        let operations = terms.fund_operations(party, BELOW, &network(), &LedgerParams::USUAL).unwrap();
        let funding = Unsigned { operations, ..right.clone() };
        assert_eq!(check(&terms, sign(&funding).bytes()), Err(FundingRefused::ControllerIsParty(party)));
    }
}

#[test]
fn b13_a_controller_with_too_little_or_a_balance_one_stroop_short_is_refused() {
    let terms = terms();
    let mut short = unsigned(&terms);
    let OperationBody::CreateClaimableBalance(create) = &mut short.operations[0].body else { panic!() };
    create.amount -= 1;
    let (expected, found) = (Stroops::whole(20), Stroops::new(199_999_999).unwrap());
    let under = FundingRefused::Escrow(EscrowMismatch::Amount { expected, found });
    assert_eq!(check(&terms, sign(&short).bytes()), Err(under));
    let genesis = LedgerParams { base_reserve: Stroops::whole(10), ..LedgerParams::USUAL };
    let poor = terms.check_funding(&network(), sign(&unsigned(&terms)).bytes(), FUND_BY, &genesis);
    assert!(matches!(poor, Err(FundingRefused::ControllerOperation { index: 1, .. })), "{poor:?}");
}

proptest! {
    #[test]
    fn no_envelope_makes_the_check_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(check(&terms(), &bytes).is_err());
    }
}
