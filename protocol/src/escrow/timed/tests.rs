#![expect(clippy::unwrap_used, reason = "tests")]

use ed25519_dalek::SigningKey;
use stellar_xdr::{
    AccountId as XdrAccount, ClaimPredicate, Claimant, ClaimantV0, CreateClaimableBalanceOp, LedgerBounds,
    MuxedAccount, MuxedAccountMed25519, Preconditions, PreconditionsV2, SequenceNumber, TimeBounds, TimePoint,
    TransactionEnvelope, TransactionV1Envelope, Uint256, WriteXdr,
};

use super::*;
use crate::escrow::shape::Role;
use crate::stellar::Memo;
use crate::stellar::entry::{BalanceClaimant, read_claimants};
use crate::stellar::envelope::EnvelopeError;
use crate::stellar::predicate::Predicate;
use crate::stellar::transaction::{Envelope, Unsigned};

const FUND_BY: Timestamp = Timestamp::from_secs(500);
const T: Timestamp = Timestamp::from_secs(1_000);

fn network() -> NetworkId {
    NetworkId::of_passphrase("a test")
}

fn consumer_key() -> SigningKey {
    SigningKey::from_bytes(&[11; 32])
}

fn consumer() -> AccountId {
    AccountId::of(&consumer_key())
}

fn recipient() -> AccountId {
    AccountId::of(&SigningKey::from_bytes(&[12; 32]))
}

fn other() -> AccountId {
    AccountId::of(&SigningKey::from_bytes(&[13; 32]))
}

fn terms_in(asset: Asset) -> TimedTerms {
    let binding = BindingId::from_bytes([7; 32]);
    TimedTerms::new(binding, consumer(), recipient(), asset, Stroops::whole(20), T).unwrap()
}

fn terms() -> TimedTerms {
    terms_in(Asset::Native)
}

fn unsigned() -> Unsigned {
    Unsigned {
        source: consumer(),
        sequence: 42,
        fee: 100,
        bounds: Bounds::until(FUND_BY),
        memo: Memo::None,
        operations: vec![terms().fund_operation().unwrap()],
    }
}

fn signed() -> Envelope {
    unsigned().sign(&[&consumer_key()], &network()).unwrap()
}

fn check(envelope: &[u8]) -> Result<FundingSeen, FundingRefused> {
    terms().check_funding(&network(), envelope, FUND_BY, &LedgerParams::USUAL)
}

/// What the ledger holds after our own funding.
fn standing(terms: &TimedTerms) -> BalanceState {
    let OperationBody::CreateClaimableBalance(create) = terms.fund_operation().unwrap().body else { panic!() };
    BalanceState {
        id: terms.balance_at(42),
        asset: xdr::read_asset(&create.asset).unwrap(),
        amount: Stroops::new(create.amount).unwrap(),
        claimants: read_claimants(&create.claimants),
        clawback_enabled: false,
        sponsor: Some(consumer()),
    }
}

#[test]
fn terms_that_cannot_be_an_escrow_are_refused() {
    let binding = BindingId::from_bytes([7; 32]);
    let new = |consumer, recipient, amount| TimedTerms::new(binding, consumer, recipient, Asset::Native, amount, T);
    let hash = AccountId::from_bytes([7; 32]);
    assert_eq!(new(consumer(), recipient(), Stroops::ZERO), Err(TermsError::NothingToHold));
    assert_eq!(new(consumer(), consumer(), Stroops::MAX), Err(TermsError::SameParty));
    assert_eq!(new(hash, recipient(), Stroops::MAX), Err(TermsError::PartyIsHash));
    assert_eq!(new(consumer(), hash, Stroops::MAX), Err(TermsError::PartyIsHash));
}

#[test]
fn our_own_funding_is_accepted_and_names_the_balance_before_it_exists() {
    let seen = check(signed().bytes()).unwrap();
    assert_eq!(seen.balance, balance_id::of_operation(consumer(), 42, 0));
    assert_eq!((seen.hash, seen.sequence, seen.max_time, seen.fee), (signed().hash(), 42, FUND_BY, 100));
}

#[test]
fn our_own_escrow_verifies_in_any_order_of_its_claimants() {
    let mut balance = standing(&terms());
    for _ in 0..3 {
        balance.claimants.rotate_left(1);
        let escrow = terms().verify(&balance).unwrap();
        assert_eq!((escrow.balance(), escrow.amount(), escrow.deadline()), (balance.id, Stroops::whole(20), T));
    }
    assert_eq!(balance.claimants.len() as u32, RESERVES);
}

#[test]
fn b13_funding_one_stroop_under_the_amount_is_refused() {
    let (expected, found) = (Stroops::whole(20), Stroops::new(199_999_999).unwrap());
    let under = EscrowMismatch::Amount { expected, found };
    let mut balance = standing(&terms());
    balance.amount = found;
    assert_eq!(terms().verify(&balance), Err(under.clone()));
    let mut short = unsigned();
    let OperationBody::CreateClaimableBalance(create) = &mut short.operations[0].body else { panic!() };
    create.amount -= 1;
    let envelope = short.sign(&[&consumer_key()], &network()).unwrap();
    assert_eq!(check(envelope.bytes()), Err(FundingRefused::Escrow(under)));
    assert_eq!(
        check(envelope.bytes()).unwrap_err().to_string(),
        "the escrow holds 199999999 stroops, expected exactly 200000000"
    );
}

/// Other predicates than `right`, among them ones that differ in form only.
fn wrong_predicates(right: &Predicate) -> Vec<Predicate> {
    let (earlier, later) = (Timestamp::from_secs(T.secs() - 1), Timestamp::from_secs(T.secs() + 1));
    let doubled = ClaimPredicate::Not(Some(Box::new(ClaimPredicate::Not(Some(Box::new(right.to_xdr()))))));
    let both = ClaimPredicate::And(vec![right.to_xdr(), right.to_xdr()].try_into().unwrap());
    let all = [
        Predicate::Always,
        Predicate::Never,
        Predicate::Before(earlier),
        Predicate::Before(T),
        Predicate::Before(later),
        Predicate::From(earlier),
        Predicate::From(T),
        Predicate::From(later),
        Predicate::Other(ClaimPredicate::BeforeRelativeTime(60)),
        Predicate::Other(ClaimPredicate::Not(None)),
        Predicate::Other(doubled),
        Predicate::Other(both),
    ];
    all.into_iter().filter(|p| p != right).collect()
}

/// Every list of claimants that differs from `right` in one thing, with the error that it must give.
pub(in crate::escrow) fn wrong_claimants(right: &[BalanceClaimant]) -> Vec<(Vec<BalanceClaimant>, EscrowMismatch)> {
    let mut all = Vec::new();
    for (i, role) in [Role::Controller, Role::Beneficiary, Role::Hash].into_iter().enumerate() {
        for predicate in wrong_predicates(&right[i].predicate) {
            let mut changed = right.to_vec();
            let (expected, found) = (right[i].predicate.to_string(), predicate.to_string());
            changed[i].predicate = predicate;
            all.push((changed, EscrowMismatch::Predicate { role, expected, found }));
        }
        let missing = EscrowMismatch::ClaimantMissing { role, expected: right[i].account };
        let mut bit = *right[i].account.as_bytes();
        bit[31] ^= 1;
        for account in [other(), AccountId::from_bytes(bit), AccountId::from_bytes([0; 32])] {
            let mut changed = right.to_vec();
            changed[i].account = account;
            all.push((changed, missing.clone()));
        }
        let mut fewer = right.to_vec();
        fewer.remove(i);
        all.push((fewer, EscrowMismatch::ClaimantCount { found: 2 }));
        let mut more = right.to_vec();
        more.insert(i, BalanceClaimant { account: other(), predicate: Predicate::Never });
        all.push((more, EscrowMismatch::ClaimantCount { found: 4 }));
    }
    all.push((Vec::new(), EscrowMismatch::ClaimantCount { found: 0 }));
    all
}

pub(in crate::escrow) fn other_assets(right: &Asset) -> Vec<Asset> {
    let all = [
        Asset::Native,
        Asset::issued("HEXA", other()).unwrap(),
        Asset::issued("HEXB", other()).unwrap(),
        Asset::issued("HEXAB", other()).unwrap(),
        Asset::issued("HEXA", recipient()).unwrap(),
    ];
    all.into_iter().filter(|a| a != right).collect()
}

pub(in crate::escrow) const AMOUNTS: [i64; 5] = [0, 1, 199_999_999, 200_000_001, i64::MAX];

#[test]
fn an_escrow_with_any_one_field_changed_is_refused_for_that_field() {
    let mut count = 0;
    for terms in [terms(), terms_in(Asset::issued("HEXA", other()).unwrap())] {
        let right = standing(&terms);
        assert!(terms.verify(&right).is_ok());
        let mut refused = |changed: BalanceState, expected: EscrowMismatch| {
            assert_eq!(terms.verify(&changed), Err(expected), "{changed:?}");
            count += 1;
        };
        for (claimants, expected) in wrong_claimants(&right.claimants) {
            refused(BalanceState { claimants, ..right.clone() }, expected);
        }
        for found in other_assets(&right.asset) {
            let expected = EscrowMismatch::Asset { expected: right.asset.clone(), found: found.clone() };
            refused(BalanceState { asset: found, ..right.clone() }, expected);
        }
        for found in AMOUNTS.map(|a| Stroops::new(a).unwrap()) {
            let expected = EscrowMismatch::Amount { expected: right.amount, found };
            refused(BalanceState { amount: found, ..right.clone() }, expected);
        }
        refused(BalanceState { clawback_enabled: true, ..right.clone() }, EscrowMismatch::Clawback);
        for sponsor in [None, Some(other()), Some(recipient())] {
            let expected = EscrowMismatch::Sponsor { expected: consumer(), found: sponsor };
            refused(BalanceState { sponsor, ..right.clone() }, expected);
        }
    }
    println!("{count} escrows, each with one field changed, were refused");
    assert_eq!(count, 2 * (3 * (11 + 3 + 2) + 1 + 4 + 5 + 1 + 3));
}

/// Our funding with its XDR changed, signed anew by the consumer.
fn resigned(change: impl FnOnce(&mut TransactionV1Envelope)) -> Vec<u8> {
    let mut envelope = reread(&unsigned().sign(&[], &network()).unwrap());
    change(&mut envelope);
    let hash = envelope.tx.hash(*network().as_bytes()).unwrap();
    let template = reread(&signed()).signatures[0].clone();
    let signature = ed25519_dalek::Signer::sign(&consumer_key(), &hash).to_bytes().to_vec();
    let signature = stellar_xdr::Signature(signature.try_into().unwrap());
    let signatures = vec![stellar_xdr::DecoratedSignature { signature, ..template }].try_into().unwrap();
    xdr::write(&TransactionEnvelope::Tx(TransactionV1Envelope { tx: envelope.tx, signatures })).unwrap()
}

fn reread(envelope: &Envelope) -> TransactionV1Envelope {
    let TransactionEnvelope::Tx(v1) = xdr::read("envelope", envelope.bytes()).unwrap() else { panic!() };
    v1
}

fn with_operation(change: impl FnOnce(&mut CreateClaimableBalanceOp)) -> Vec<u8> {
    resigned(|envelope| {
        let mut operations = envelope.tx.operations.to_vec();
        let OperationBody::CreateClaimableBalance(create) = &mut operations[0].body else { panic!() };
        change(create);
        envelope.tx.operations = operations.try_into().unwrap();
    })
}

#[test]
fn a_funding_that_locks_anything_else_is_refused_for_that_field() {
    assert!(check(&resigned(|_| {})).is_ok());
    let mut count = 0;
    let right = standing(&terms());
    for (claimants, expected) in wrong_claimants(&right.claimants) {
        let claimants: Vec<Claimant> = claimants
            .iter()
            .map(|c| {
                let (destination, predicate) = (xdr::account(c.account), c.predicate.to_xdr());
                Claimant::ClaimantTypeV0(ClaimantV0 { destination, predicate })
            })
            .collect();
        let envelope = with_operation(|create| create.claimants = claimants.try_into().unwrap());
        assert_eq!(check(&envelope), Err(FundingRefused::Escrow(expected)));
        count += 1;
    }
    for found in other_assets(&Asset::Native) {
        let envelope = with_operation(|create| create.asset = xdr::asset(&found));
        let expected = EscrowMismatch::Asset { expected: Asset::Native, found };
        assert_eq!(check(&envelope), Err(FundingRefused::Escrow(expected)));
        count += 1;
    }
    for amount in AMOUNTS {
        let found = Stroops::new(amount).unwrap();
        let expected = EscrowMismatch::Amount { expected: Stroops::whole(20), found };
        assert_eq!(check(&with_operation(|create| create.amount = amount)), Err(FundingRefused::Escrow(expected)));
        count += 1;
    }
    let negative = check(&with_operation(|create| create.amount = -200_000_000));
    assert_eq!(negative, Err(FundingRefused::Invalid(XdrError::Invalid("negative amount"))));
    println!("{} fundings, each with one field changed, were refused", count + 1);
}

fn v2(change: impl FnOnce(&mut PreconditionsV2)) -> Preconditions {
    let bounds = TimeBounds { min_time: TimePoint(0), max_time: TimePoint(FUND_BY.secs()) };
    let mut v2 = PreconditionsV2 { time_bounds: Some(bounds), ..PreconditionsV2::default() };
    change(&mut v2);
    Preconditions::V2(v2)
}

#[test]
fn a_funding_that_may_not_reach_the_ledger_in_time_is_refused() {
    let bounds = |min, max| Preconditions::Time(TimeBounds { min_time: TimePoint(min), max_time: TimePoint(max) });
    let late = Timestamp::from_secs(501);
    let cases = [
        (Preconditions::None, FundingRefused::NoMaxTime { expected: FUND_BY }),
        (bounds(0, 0), FundingRefused::NoMaxTime { expected: FUND_BY }),
        (bounds(0, 501), FundingRefused::MaxTime { expected: FUND_BY, found: late }),
        (bounds(1, 500), FundingRefused::Preconditions),
        (v2(|_| {}), FundingRefused::Preconditions),
        (v2(|v| v.min_seq_num = Some(SequenceNumber(1))), FundingRefused::Preconditions),
        (v2(|v| v.min_seq_ledger_gap = 9), FundingRefused::Preconditions),
        (v2(|v| v.ledger_bounds = Some(LedgerBounds { min_ledger: 0, max_ledger: 9 })), FundingRefused::Preconditions),
    ];
    for (cond, expected) in cases {
        assert_eq!(check(&resigned(|e| e.tx.cond = cond.clone())), Err(expected), "{cond:?}");
    }
    assert!(check(&resigned(|e| e.tx.cond = bounds(0, 499))).is_ok(), "earlier is fine");
    let fee = FundingRefused::Fee { least: Stroops::new(100).unwrap(), found: 99 };
    assert_eq!(check(&resigned(|e| e.tx.fee = 99)), Err(fee));
    let sequence = check(&resigned(|e| e.tx.seq_num = SequenceNumber(0)));
    assert_eq!(sequence, Err(FundingRefused::Sequence { found: 0 }));
}

#[test]
fn a_funding_of_another_form_or_source_is_refused() {
    let foreign = check(&resigned(|e| e.tx.source_account = xdr::muxed(other())));
    assert_eq!(foreign, Err(FundingRefused::Source { expected: consumer(), found: other() }));
    let ed25519 = Uint256(*consumer().as_bytes());
    let muxed = MuxedAccount::MuxedEd25519(MuxedAccountMed25519 { id: 1, ed25519 });
    let multiplexed = check(&resigned(|e| e.tx.source_account = muxed));
    assert_eq!(multiplexed, Err(FundingRefused::Envelope(EnvelopeError::Multiplexed)));
    let operations =
        |operations: Vec<Operation>| check(&resigned(|e| e.tx.operations = operations.try_into().unwrap()));
    let (fund, pay) = (terms().fund_operation().unwrap(), operation::pay(other(), &Asset::Native, Stroops::whole(1)));
    assert_eq!(
        operations(vec![fund.clone(), pay.clone()]),
        Err(FundingRefused::OperationCount { expected: 1, found: 2 })
    );
    assert_eq!(
        operations(vec![pay.clone(), fund.clone()]),
        Err(FundingRefused::OperationCount { expected: 1, found: 2 })
    );
    assert_eq!(operations(Vec::new()), Err(FundingRefused::OperationCount { expected: 1, found: 0 }));
    assert_eq!(operations(vec![pay]), Err(FundingRefused::Operation { found: "Payment" }));
    for source in [consumer(), other()] {
        let sourced = Operation { source_account: Some(xdr::muxed(source)), ..fund.clone() };
        assert_eq!(operations(vec![sourced]), Err(FundingRefused::OperationSource));
    }
    let memo = Memo::Text("hello".as_bytes().try_into().unwrap());
    assert_eq!(check(&resigned(|e| e.tx.memo = memo)), Err(FundingRefused::Memo));
    let bumped = signed().bump_fee(200, &consumer_key(), &network()).unwrap();
    assert_eq!(check(bumped.bytes()), Err(FundingRefused::Envelope(EnvelopeError::FeeBump)));
}

#[test]
fn a_funding_without_exactly_the_consumers_signature_is_refused() {
    let stranger = SigningKey::from_bytes(&[13; 32]);
    let by = |keys: &[&SigningKey]| check(unsigned().sign(keys, &network()).unwrap().bytes());
    assert_eq!(by(&[]), Err(FundingRefused::SignatureCount { expected: 1, found: 0 }));
    assert_eq!(by(&[&consumer_key(), &stranger]), Err(FundingRefused::SignatureCount { expected: 1, found: 2 }));
    assert_eq!(by(&[&stranger]), Err(FundingRefused::Signature("the consumer")));
    let elsewhere = unsigned().sign(&[&consumer_key()], &NetworkId::of_passphrase("elsewhere")).unwrap();
    assert_eq!(check(elsewhere.bytes()), Err(FundingRefused::Signature("the consumer")));
    let bytes = signed().into_bytes();
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(check(&changed), Err(FundingRefused::Signature("the consumer")));
}

#[test]
fn no_hostile_bytes_are_accepted_or_make_it_panic() {
    let bytes = signed().into_bytes();
    for end in 0..bytes.len() {
        assert!(check(&bytes[..end]).is_err(), "cut at {end}");
    }
    for i in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[i] ^= 1 << bit;
            assert!(check(&flipped).is_err(), "byte {i} bit {bit}");
        }
    }
    let large = vec![0; crate::stellar::envelope::MAX_ENVELOPE_BYTES + 1];
    assert!(matches!(check(&large), Err(FundingRefused::Envelope(EnvelopeError::TooLarge(_)))));
}

fn transaction(key: &SigningKey, operations: Vec<Operation>) -> Vec<u8> {
    let source = AccountId::of(key);
    let unsigned = Unsigned { source, operations, ..unsigned() };
    unsigned.sign(&[key], &network()).unwrap().into_bytes()
}

#[test]
fn a_found_transaction_tells_who_got_the_money() {
    let (terms, balance) = (terms(), terms().balance_at(42));
    let recipient_key = SigningKey::from_bytes(&[12; 32]);
    let taken = |key: &SigningKey, operations| {
        let envelope = transaction(key, operations);
        terms.taken_by(balance, &SignedTransaction::read_included(&envelope, &network()).unwrap())
    };
    assert_eq!(taken(&recipient_key, terms.collect_operations(balance)), Some(Taken::ByRecipient));
    assert_eq!(taken(&recipient_key, terms.give_back_operations(balance)), Some(Taken::ByConsumer));
    assert_eq!(taken(&consumer_key(), terms.refund_operations(balance)), Some(Taken::ByConsumer));
    assert_eq!(taken(&recipient_key, terms.collect_operations(BalanceId::from_bytes([1; 32]))), None);
    let mut less_back = terms.give_back_operations(balance);
    less_back[1] = operation::pay(consumer(), &Asset::Native, Stroops::new(199_999_999).unwrap());
    assert_eq!(taken(&recipient_key, less_back), Some(Taken::ByRecipient));
    let mut for_another = terms.collect_operations(balance);
    for_another[0].source_account = Some(xdr::muxed(recipient()));
    assert_eq!(taken(&consumer_key(), for_another), Some(Taken::ByRecipient));
}

#[test]
fn refunds_begin_with_the_deadline_and_live_on_from_there() {
    let life = Duration::from_secs(60);
    let before = terms().refund_bounds(Timestamp::from_secs(900), life);
    assert_eq!(before, Bounds { from: T, ..Bounds::until(Timestamp::from_secs(1_060)) });
    let after = terms().refund_bounds(Timestamp::from_secs(2_000), life);
    assert_eq!(after, Bounds { from: T, ..Bounds::until(Timestamp::from_secs(2_060)) });
}

#[test]
fn an_account_in_xdr_is_its_32_bytes_behind_its_type() {
    let account: XdrAccount = xdr::account(consumer());
    let bytes = account.to_xdr(stellar_xdr::Limits::none()).unwrap();
    assert_eq!(bytes[..4], [0; 4]);
    assert_eq!(bytes[4..], *consumer().as_bytes());
}
