#![expect(clippy::unwrap_used, reason = "tests")]

use ed25519_dalek::SigningKey;
use stellar_xdr::{
    AccountEntry, AccountEntryExt, AccountEntryExtensionV1, AccountEntryExtensionV1Ext, AccountEntryExtensionV2,
    AccountEntryExtensionV2Ext, CreateAccountOp, LedgerEntryData, Liabilities, SequenceNumber, Signer, SignerKey,
    SponsorshipDescriptor, String32, Thresholds as XdrThresholds, Uint256,
};

mod clawback;
mod funding;

use super::*;
use crate::escrow::controller::{self, key, start};
use crate::escrow::timed::tests::{AMOUNTS, other_assets, wrong_claimants};
use crate::limits::MAX_ARBITERS;
use crate::message::keccak;
use crate::stellar::Memo;
use crate::stellar::entry::{
    AUTH_REVOCABLE, AccountSigner, Entry, LINE_AUTHORIZED, LINE_CLAWBACK_ENABLED, Thresholds, read_claimants,
};
use crate::stellar::transaction::{Envelope, Unsigned};

const FUND_BY: Timestamp = Timestamp::from_secs(500);
pub(in crate::escrow) const T: Timestamp = Timestamp::from_secs(100_000);
pub(in crate::escrow) const SEQUENCE: i64 = 42;
const BELOW: u32 = 1_100;

pub(in crate::escrow) fn network() -> NetworkId {
    NetworkId::of_passphrase("a test")
}

fn secret(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

pub(in crate::escrow) fn consumer_account() -> SigningKey {
    secret(11)
}

pub(in crate::escrow) fn consumer() -> AccountId {
    AccountId::of(&consumer_account())
}

pub(in crate::escrow) fn recipient() -> AccountId {
    AccountId::of(&secret(12))
}

pub(in crate::escrow) fn provider_key() -> SigningKey {
    secret(21)
}

pub(in crate::escrow) fn consumer_key() -> SigningKey {
    secret(22)
}

pub(in crate::escrow) fn arbiter_key(n: usize) -> SigningKey {
    secret(31 + n as u8)
}

pub(in crate::escrow) fn arbiter_payee(n: usize) -> AccountId {
    AccountId::of(&secret(51 + n as u8))
}

pub(in crate::escrow) fn hexa() -> Asset {
    Asset::issued("HEXA", AccountId::of(&secret(71))).unwrap()
}

fn parties(n: usize) -> Parties {
    let arbiter = |i| Arbiter { key: ServingKey::of(&arbiter_key(i)), payee: arbiter_payee(i), fee: Stroops::whole(1) };
    Parties {
        consumer: consumer(),
        consumer_key: ServingKey::of(&consumer_key()),
        recipient: recipient(),
        provider_key: ServingKey::of(&provider_key()),
        arbiters: (0..n).map(arbiter).collect(),
        beneficiary: TimeoutBeneficiary::Consumer,
    }
}

pub(in crate::escrow) fn terms_of(n: usize, asset: Asset) -> ArbitratedTerms {
    ArbitratedTerms::new(BindingId::from_bytes([7; 32]), parties(n), asset, Stroops::whole(20), T).unwrap()
}

pub(in crate::escrow) fn terms() -> ArbitratedTerms {
    terms_of(1, Asset::Native)
}

pub(in crate::escrow) fn controller_secret() -> SigningKey {
    key(&consumer_account(), &network(), SEQUENCE)
}

pub(in crate::escrow) fn controller_account() -> AccountId {
    AccountId::of(&controller_secret())
}

/// Every number of arbiters, with the native coin and an issued asset.
fn all_terms() -> Vec<ArbitratedTerms> {
    let counts = (1..=MAX_ARBITERS).step_by(2);
    counts.flat_map(|n| [Asset::Native, hexa()].map(|asset| terms_of(n, asset))).collect()
}

fn unsigned(terms: &ArbitratedTerms) -> Unsigned {
    let operations = terms.fund_operations(controller_account(), BELOW, &network(), &LedgerParams::USUAL).unwrap();
    Unsigned {
        source: consumer(),
        sequence: SEQUENCE,
        fee: 100 * operations.len() as u32,
        bounds: terms.fund_bounds(FUND_BY, BELOW),
        memo: Memo::None,
        operations,
    }
}

fn sign(unsigned: &Unsigned) -> Envelope {
    unsigned.sign(&[&consumer_account(), &controller_secret()], &network()).unwrap()
}

fn check(terms: &ArbitratedTerms, envelope: &[u8]) -> Result<FundingSeen, FundingRefused> {
    terms.check_funding(&network(), envelope, FUND_BY, &LedgerParams::USUAL)
}

/// What the ledger holds after our own funding: balance, controller, trustline.
fn standing(terms: &ArbitratedTerms) -> (BalanceState, AccountState, Option<TrustlineState>) {
    let OperationBody::CreateClaimableBalance(create) = &unsigned(terms).operations[0].body else { panic!() };
    let balance = BalanceState {
        id: terms.balance_at(SEQUENCE),
        asset: xdr::read_asset(&create.asset).unwrap(),
        amount: Stroops::new(create.amount).unwrap(),
        claimants: read_claimants(&create.claimants),
        clawback_enabled: false,
        sponsor: Some(consumer()),
    };
    let bytes = xdr::write(&LedgerEntryData::Account(account_entry(terms, AccountEntryExt::V0))).unwrap();
    let Entry::Account(account) = Entry::read(&bytes, None).unwrap() else { panic!() };
    let line = (!terms.asset().is_native()).then(|| TrustlineState {
        account: controller_account(),
        asset: terms.asset().clone(),
        balance: Stroops::ZERO,
        limit: Stroops::MAX,
        flags: LINE_AUTHORIZED,
        selling: Stroops::ZERO,
        buying: Stroops::ZERO,
    });
    (balance, account, line)
}

/// The controller as the ledger holds it, written down by hand.
fn account_entry(terms: &ArbitratedTerms, ext: AccountEntryExt) -> AccountEntry {
    let a = terms.arbiters().len().div_ceil(2) as u32;
    let threshold = 2 * a;
    let ed25519 = |key: ServingKey, weight| Signer { key: SignerKey::Ed25519(Uint256(*key.as_bytes())), weight };
    let mut signers = vec![ed25519(terms.signers().provider(), a), ed25519(terms.signers().consumer(), a)];
    signers.extend(terms.arbiters().iter().map(|arbiter| ed25519(arbiter.key, 1)));
    let unlock = controller::Unlock {
        controller: controller_account(),
        start: i64::from(BELOW) << 32,
        deadline: T,
        threshold: threshold as u8,
    };
    let key = SignerKey::PreAuthTx(Uint256(*unlock.hash(&network()).unwrap().as_bytes()));
    signers.push(Signer { key, weight: threshold });
    signers.sort_by(|a, b| a.key.cmp(&b.key));
    let lines = u32::from(!terms.asset().is_native());
    AccountEntry {
        account_id: xdr::account(controller_account()),
        balance: 5_000_000 * (2 + signers.len() as i64 + i64::from(lines)),
        seq_num: SequenceNumber(i64::from(BELOW) << 32),
        num_sub_entries: signers.len() as u32 + lines,
        inflation_dest: None,
        flags: 0,
        home_domain: String32::default(),
        thresholds: XdrThresholds([0, threshold as u8, threshold as u8, threshold as u8]),
        signers: signers.try_into().unwrap(),
        ext,
    }
}

fn verify(
    terms: &ArbitratedTerms,
    (balance, account, line): &(BalanceState, AccountState, Option<TrustlineState>),
) -> Result<VerifiedEscrow, EscrowMismatch> {
    let standing = Standing { balance, controller: Some(account), line: line.as_ref() };
    terms.verify(&standing, &network())
}

#[test]
fn terms_that_cannot_be_an_escrow_are_refused() {
    let binding = BindingId::from_bytes([7; 32]);
    let new = |parties, amount| ArbitratedTerms::new(binding, parties, Asset::Native, amount, T).unwrap_err();
    let twenty = Stroops::whole(20);
    assert_eq!(new(parties(1), Stroops::ZERO), TermsError::NothingToHold);
    assert_eq!(new(Parties { recipient: consumer(), ..parties(1) }, twenty), TermsError::SameParty);
    let hash = AccountId::from_bytes([7; 32]);
    assert_eq!(new(Parties { recipient: hash, ..parties(1) }, twenty), TermsError::PartyIsHash);
    for n in [0, 2, 4, 8, 10, 11] {
        assert_eq!(new(parties(n), twenty), TermsError::ArbiterCount(n));
    }
    let [provider, buyer] = [provider_key(), consumer_key()].map(|key| ServingKey::of(&key));
    assert_eq!(new(Parties { consumer_key: provider, ..parties(1) }, twenty), TermsError::SameSigner(provider));
    for (i, key) in [(0, provider), (2, buyer)] {
        let mut own = parties(3);
        own.arbiters[i].key = key;
        assert_eq!(new(own, twenty), TermsError::SameSigner(key));
    }
    let mut twice = parties(3);
    twice.arbiters[2].key = twice.arbiters[0].key;
    assert_eq!(new(twice.clone(), twenty), TermsError::SameSigner(twice.arbiters[0].key));
    assert_eq!(new(parties(3), Stroops::whole(3)), TermsError::FeesTakeAll);
}

#[test]
fn no_arbiters_alone_and_no_party_alone_reach_the_threshold() {
    for terms in all_terms() {
        let (n, signers) = (terms.arbiters().len() as u8, terms.signers());
        let (a, threshold) = (signers.majority(), signers.threshold());
        assert!(a < threshold && n < threshold && n == threshold - 1, "{n}");
        assert!(a + n > threshold || n == 1, "one party and a majority is enough");
        assert_eq!((a + a, a + a), (threshold, threshold), "both, or one and {a} of {n}");
        assert_eq!(signers.weights().map(|(_, w)| u32::from(w)).sum::<u32>(), 2 * u32::from(a) + u32::from(n));
        assert_eq!(signers.weight(ServingKey::from_bytes([0xee; 32])), 0);
    }
}

#[test]
fn the_controllers_key_follows_from_the_funders_key_and_the_fundings_sequence_number() {
    let (account, here) = (consumer_account(), network());
    let secret =
        keccak(&[b"tradepost/1/controller\0", here.as_bytes(), &account.to_bytes(), &[0, 0, 0, 0, 0, 0, 0, 42]]);
    assert_eq!(key(&account, &here, 42).to_bytes(), secret);
    assert_eq!(hex::encode(secret), "f008d47cb874a9107751de90c932515c0b6fec1dc7a24f526ab0ba8dc50f0245");
    let others = [
        key(&account, &here, 43),
        key(&SigningKey::from_bytes(&[12; 32]), &here, 42),
        key(&account, &NetworkId::of_passphrase("another"), 42),
    ];
    assert!(others.iter().all(|other| other.to_bytes() != secret));
}

#[test]
fn a_funding_has_the_operations_fee_and_reserves_that_it_should() {
    for terms in all_terms() {
        let n = terms.arbiters().len();
        let issued = usize::from(!terms.asset().is_native());
        let funding = unsigned(&terms);
        let names: Vec<&str> = funding.operations.iter().map(|op| op.body.name()).collect();
        let mut expected = vec!["CreateClaimableBalance", "CreateAccount", "BumpSequence"];
        expected.extend(vec!["SetOptions"; 2 + n]);
        expected.extend(vec!["ChangeTrust"; issued]);
        expected.push("SetOptions");
        assert_eq!(names, expected);
        assert_eq!(funding.operations.len() as u32, terms.signers().operations(terms.asset()));
        let OperationBody::CreateAccount(CreateAccountOp { starting_balance, .. }) = funding.operations[1].body else {
            panic!()
        };
        assert_eq!(starting_balance, (5 + n + issued) as i64 * 5_000_000);
        let mut by = funding.operations.iter().map(|op| op.source_account.is_some());
        assert_eq!((by.next(), by.next()), (Some(false), Some(false)));
        assert!(by.all(|controller| controller), "the rest is the controller's own");
    }
    assert_eq!(unsigned(&terms()).fee, 700, "one arbiter, native: seven operations");
}

/// The bytes of our shapes never change unnoticed.
#[test]
fn fundings_and_unlocks_have_their_golden_bytes() {
    let hashes: Vec<String> =
        all_terms().iter().map(|terms| hex::encode(keccak(&[sign(&unsigned(terms)).bytes()]))).collect();
    assert_eq!(hashes, GOLDEN);
    let unlock = terms().controller(controller_account()).unlock(start(BELOW)).envelope(&network()).unwrap();
    let account = hex::encode(controller_account().as_bytes());
    let sequence = format!("{:016x}", (i64::from(BELOW) << 32) + 1);
    let bounds = format!("00000001{:016x}{:016x}", T.secs(), 0);
    let operation = format!("00000000000000050000000000000000000000000000000100000002{}", "00000000".repeat(5));
    let transaction = format!("00000000{account}00000000{sequence}{bounds}0000000000000001{operation}00000000");
    assert_eq!(hex::encode(unlock.bytes()), format!("00000002{transaction}00000000"));
}

const GOLDEN: [&str; 10] = [
    "95981099c9d8f5f9a98bca719c39a3786304ac27fe2f5a7c3f46e8651b811d87",
    "51efe3dc9babfe83c1c6a10e169483f62414e6f6c571b1431530d1d3a4b93ddb",
    "eb354427fe139078fc331f51e2388e3ac226d95f76083b45b8c07f36369189f5",
    "5db257aaef955a79091e26c2980192df079ab9365263520bad14a0ab0f6a1294",
    "7ae99b2cdc86936bb9fdf2cf9633e0e2ce983d518ea379471c708a7e3fd59ffb",
    "7f738ddb8d5718613d7d37947d4956cd6cf744667c39784080592e413910efbb",
    "02294414ec5c6b96ddf099cb6303a282fc3e502ad1967ae631e30facd0db3206",
    "88f6196eceeac4b31856fac73c291401cae0f5320057acc18b9f17b9ff24242e",
    "5aa4e27fcf5a32525a7ba04012fd0cdb7064390ea3154c94e816033599134247",
    "49a06c2567be5025749ee90a573e3287ebbb05c82b3f9e9621706beb1a1ce4f6",
];

#[test]
fn our_own_escrow_verifies_whatever_its_arbiters_and_asset() {
    for terms in all_terms() {
        let escrow = verify(&terms, &standing(&terms)).unwrap();
        assert_eq!((escrow.balance(), escrow.deadline()), (terms.balance_at(SEQUENCE), T));
    }
    let parties = Parties { beneficiary: TimeoutBeneficiary::Recipient, ..parties(1) };
    let paid = ArbitratedTerms::new(BindingId::from_bytes([7; 32]), parties, Asset::Native, Stroops::whole(20), T);
    let paid = paid.unwrap();
    assert!(verify(&paid, &standing(&paid)).is_ok());
    let refunded = verify(&terms(), &standing(&paid)).unwrap_err();
    assert!(matches!(refunded, EscrowMismatch::ClaimantMissing { .. }), "{refunded:?}");
}

#[test]
fn a_controller_with_any_one_bit_of_its_entry_changed_is_refused() {
    let (mut refused, mut free) = (0, 0);
    for terms in [terms(), terms_of(3, hexa())] {
        let right = account_entry(&terms, AccountEntryExt::V0);
        let bytes = xdr::write(&LedgerEntryData::Account(right.clone())).unwrap();
        let (balance, _, line) = standing(&terms);
        for i in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[i] ^= 1 << bit;
                let Ok(Entry::Account(account)) = Entry::read(&flipped, None) else {
                    refused += 1;
                    continue;
                };
                let verdict = verify(&terms, &(balance.clone(), account, line.clone()));
                let Ok(LedgerEntryData::Account(found)) = xdr::read("entry", &flipped) else { panic!() };
                // More coins than it needs do no harm.
                let richer = AccountEntry { balance: found.balance, ..right.clone() } == found;
                assert_eq!(verdict.is_ok(), richer, "byte {i} bit {bit}: {verdict:?}");
                if richer { free += 1 } else { refused += 1 }
            }
        }
    }
    println!("{refused} controllers, each with one bit changed, were refused");
    assert!(refused > 4_000 && free < 130, "{refused} {free}");
}

/// Controllers that differ in one thing, which the entry alone may not show in one bit.
fn wrong_controllers(right: &AccountState) -> Vec<AccountState> {
    let with = |change: &dyn Fn(&mut AccountState)| {
        let mut changed = right.clone();
        change(&mut changed);
        changed
    };
    let mut all = vec![
        with(&|a| a.id = recipient()),
        with(&|a| a.sequence += 1),
        with(&|a| a.sequence += 1 << 32),
        with(&|a| a.sequence -= 1 << 32),
        with(&|a| a.sequence = 0),
        with(&|a| a.sub_entries += 1),
        with(&|a| a.sub_entries -= 1),
        with(&|a| a.sponsored = 1),
        with(&|a| a.sponsored = 2),
        with(&|a| a.sponsoring = 1),
        with(&|a| a.selling = Stroops::whole(1)),
        with(&|a| a.buying = Stroops::whole(1)),
        with(&|a| a.flags = AUTH_REVOCABLE),
        with(&|a| a.flags = 4),
    ];
    let t = right.thresholds;
    for weight in (0..=20).chain([255]).filter(|w| *w != t.low) {
        all.push(with(&|a| a.thresholds = Thresholds { low: weight, ..t }));
        all.push(with(&|a| a.thresholds = Thresholds { medium: weight, ..t }));
        all.push(with(&|a| a.thresholds = Thresholds { high: weight, ..t }));
        all.push(with(&|a| a.thresholds = Thresholds { low: weight, medium: weight, high: weight, ..t }));
        if weight != 0 {
            all.push(with(&|a| a.thresholds = Thresholds { master: weight, ..t }));
        }
    }
    let stranger = AccountSigner { key: SignerKey::Ed25519(Uint256([0xee; 32])), weight: 1 };
    for i in 0..right.signers.len() {
        for weight in (0..=20).chain([255, 256]).filter(|w| *w != right.signers[i].weight) {
            all.push(with(&|a| a.signers[i].weight = weight));
        }
        for key in [
            stranger.key.clone(),
            SignerKey::HashX(Uint256([0xee; 32])),
            SignerKey::PreAuthTx(Uint256([0xee; 32])),
            SignerKey::Ed25519(Uint256(*right.id.as_bytes())),
        ] {
            all.push(with(&|a| a.signers[i].key = key.clone()));
        }
        all.push(with(&|a| {
            a.signers.remove(i);
        }));
        all.push(with(&|a| a.signers.insert(i, stranger.clone())));
        // Twice the same in another's place.
        let other = (i + 1) % right.signers.len();
        all.push(with(&|a| a.signers[i] = a.signers[other].clone()));
    }
    all
}

fn wrong_lines(right: &TrustlineState) -> Vec<Option<TrustlineState>> {
    let lines = [
        TrustlineState { account: recipient(), ..right.clone() },
        TrustlineState { asset: Asset::issued("HEXB", recipient()).unwrap(), ..right.clone() },
        TrustlineState { flags: 0, ..right.clone() },
        TrustlineState { flags: 2, ..right.clone() },
        TrustlineState { flags: LINE_AUTHORIZED | LINE_CLAWBACK_ENABLED, ..right.clone() },
        TrustlineState { limit: Stroops::whole(20), ..right.clone() },
        TrustlineState { limit: Stroops::new(i64::MAX - 1).unwrap(), ..right.clone() },
        TrustlineState { selling: Stroops::new(1).unwrap(), ..right.clone() },
        TrustlineState { buying: Stroops::new(1).unwrap(), ..right.clone() },
    ];
    lines.into_iter().map(Some).chain([None]).collect()
}

#[test]
fn an_escrow_with_any_one_field_changed_is_refused() {
    let mut count = 0;
    for terms in all_terms() {
        let right = standing(&terms);
        let mut refused = |changed: (BalanceState, AccountState, Option<TrustlineState>)| {
            assert!(verify(&terms, &changed).is_err(), "{changed:?}");
            count += 1;
        };
        let (balance, account, line) = &right;
        let in_balance = |balance: BalanceState| (balance, account.clone(), line.clone());
        for (claimants, _) in wrong_claimants(&balance.claimants) {
            refused(in_balance(BalanceState { claimants, ..balance.clone() }));
        }
        for asset in other_assets(terms.asset()) {
            refused(in_balance(BalanceState { asset, ..balance.clone() }));
        }
        for amount in AMOUNTS {
            refused(in_balance(BalanceState { amount: Stroops::new(amount).unwrap(), ..balance.clone() }));
        }
        refused(in_balance(BalanceState { clawback_enabled: true, ..balance.clone() }));
        for sponsor in [None, Some(recipient()), Some(controller_account())] {
            refused(in_balance(BalanceState { sponsor, ..balance.clone() }));
        }
        for account in wrong_controllers(account) {
            refused((balance.clone(), account, line.clone()));
        }
        for line in line.iter().flat_map(wrong_lines) {
            refused((balance.clone(), account.clone(), line));
        }
        let gone = Standing { balance, controller: None, line: line.as_ref() };
        let missing = ControllerMismatch::Missing(controller_account());
        assert_eq!(terms.verify(&gone, &network()), Err(missing.into()));
    }
    println!("{count} escrows, each with one field of balance, controller or trustline changed, were refused");
    assert!(count > 4_000, "{count}");
}

#[test]
fn reserves_that_others_hold_for_a_controller_are_seen_in_its_entry() {
    let terms = terms();
    let v2 = |num_sponsored, num_sponsoring, selling| {
        AccountEntryExt::V1(AccountEntryExtensionV1 {
            liabilities: Liabilities { buying: 0, selling },
            ext: AccountEntryExtensionV1Ext::V2(AccountEntryExtensionV2 {
                num_sponsored,
                num_sponsoring,
                signer_sponsoring_i_ds: vec![SponsorshipDescriptor(None); 4].try_into().unwrap(),
                ext: AccountEntryExtensionV2Ext::V0,
            }),
        })
    };
    for (ext, right) in [(v2(0, 0, 0), true), (v2(1, 0, 0), false), (v2(0, 1, 0), false), (v2(0, 0, 1), false)] {
        let bytes = xdr::write(&LedgerEntryData::Account(account_entry(&terms, ext))).unwrap();
        let Entry::Account(account) = Entry::read(&bytes, None).unwrap() else { panic!() };
        let (balance, _, line) = standing(&terms);
        assert_eq!(verify(&terms, &(balance, account, line)).is_ok(), right);
    }
}

#[test]
fn the_beneficiarys_claim_begins_with_the_deadline() {
    let life = Duration::from_secs(60);
    let before = terms().timeout_bounds(FUND_BY, life);
    assert_eq!(before, Bounds { from: T, ..Bounds::until(T.plus(life)) });
    let after = terms().timeout_bounds(T.plus(life), life);
    assert_eq!(after, Bounds { from: T, ..Bounds::until(T.plus(life).plus(life)) });
}
