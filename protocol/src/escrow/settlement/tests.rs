#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use stellar_xdr::{ClawbackClaimableBalanceOp, OperationBody, TransactionEnvelope};

use super::*;
use crate::asset::Asset;
use crate::escrow::arbitrated::tests::{
    SEQUENCE, T, arbiter_key, arbiter_payee, consumer, consumer_account, consumer_key, controller_account, hexa,
    network, provider_key, recipient, terms, terms_of,
};
use crate::escrow::outcome::Taken;
use crate::escrow::terms::EscrowTerms;
use crate::message::keccak;
use crate::stellar::envelope::SignedTransaction;
use crate::stellar::xdr;

const MARGIN: Duration = Duration::from_secs(60);

fn submitter_key() -> SigningKey {
    SigningKey::from_bytes(&[61; 32])
}

fn submitter(side: Side) -> Submitter {
    Submitter { side, account: AccountId::of(&submitter_key()), sequence: 77 }
}

/// So many coins to the recipient, the rest without the fees of the first `awarding` arbiters to the consumer.
fn division(terms: &ArbitratedTerms, to_recipient: Stroops, awarding: usize) -> Division {
    let arbiters = &terms.arbiters()[..awarding];
    let fees = arbiters.iter().fold(Stroops::ZERO, |sum, a| sum.plus(a.fee).unwrap());
    Division {
        recipient: to_recipient,
        consumer: terms.amount().minus(to_recipient).unwrap().minus(fees).unwrap(),
        arbiters: arbiters.iter().map(|a| a.key).collect(),
    }
}

fn settle(terms: &ArbitratedTerms, division: &Division, by: Submitter) -> Result<Settlement, SettlementError> {
    let escrow = (controller_account(), terms.balance_at(SEQUENCE));
    Settlement::new(terms, escrow, division, by, MARGIN, &LedgerParams::USUAL)
}

fn signed(settlement: &Settlement, keys: &[SigningKey]) -> Vec<(ServingKey, [u8; 64])> {
    keys.iter().map(|key| (ServingKey::of(key), settlement.sign(key, &network()).unwrap())).collect()
}

fn assemble(settlement: &Settlement, keys: &[SigningKey]) -> Result<Envelope, SettlementError> {
    settlement.assemble(&submitter_key(), &signed(settlement, keys), &network())
}

/// An award of 14 to the recipient, 5 to the consumer, and the arbiter's fee of 1.
fn award() -> Division {
    division(&terms(), Stroops::whole(14), 1)
}

#[test]
fn b21_an_award_pays_its_submitters_side_directly_and_everyone_else_by_balances_known_beforehand() {
    for side in [Side::Provider, Side::Consumer] {
        let terms = terms();
        let settlement = settle(&terms, &award(), submitter(side)).unwrap();
        let (own, own_coins, other, other_coins) = match side {
            Side::Provider => (recipient(), 14, consumer(), 5),
            Side::Consumer => (consumer(), 5, recipient(), 14),
        };
        let (controller, own_account) = (controller_account(), submitter(side).account);
        let coins = Stroops::whole;
        let expected = vec![
            operation::by(controller, operation::claim(terms.balance_at(SEQUENCE))),
            operation::by(controller, operation::pay(own_account, &Asset::Native, coins(20))),
            operation::pay(own, &Asset::Native, coins(own_coins)),
            claimable(&terms, other, coins(other_coins)).unwrap(),
            claimable(&terms, arbiter_payee(0), coins(1)).unwrap(),
        ];
        assert_eq!(settlement.transaction().operations, expected);
        assert_eq!(settlement.transaction().bounds, Bounds::until(T.minus(MARGIN)));
        assert_eq!((settlement.transaction().fee, settlement.transaction().sequence), (500, 77));
        let id = |index| balance_id::of_operation(own_account, 77, index);
        let by_balance = [
            PaidByBalance { payee: other, amount: coins(other_coins), balance: id(3) },
            PaidByBalance { payee: arbiter_payee(0), amount: coins(1), balance: id(4) },
        ];
        assert_eq!(settlement.balances(), by_balance);
    }
}

#[test]
fn who_submits_for_itself_keeps_its_part_and_who_gets_nothing_is_not_paid_a_balance_of_nothing() {
    let terms = terms();
    let own = Submitter { account: consumer(), ..submitter(Side::Consumer) };
    let all_back = Division { recipient: Stroops::ZERO, consumer: Stroops::whole(20), arbiters: vec![] };
    let settlement = settle(&terms, &all_back, own).unwrap();
    assert_eq!(settlement.transaction().operations.len(), 2);
    assert!(settlement.balances().is_empty());
    let released = Division { recipient: Stroops::whole(20), consumer: Stroops::ZERO, arbiters: vec![] };
    let settlement = settle(&terms, &released, submitter(Side::Provider)).unwrap();
    assert_eq!(settlement.transaction().operations.len(), 3);
}

#[test]
fn divisions_that_are_not_the_whole_or_pay_strangers_are_refused() {
    let terms = terms_of(3, Asset::Native);
    let right = division(&terms, Stroops::whole(10), 2);
    assert_eq!(right.check(&terms), Ok(()));
    let stroop = Stroops::new(1).unwrap();
    let sum = |d: &Division| matches!(d.check(&terms), Err(SettlementError::Sum { .. }));
    assert!(sum(&Division { recipient: right.recipient.plus(stroop).unwrap(), ..right.clone() }));
    assert!(sum(&Division { consumer: right.consumer.minus(stroop).unwrap(), ..right.clone() }));
    assert!(sum(&Division { recipient: Stroops::MAX, ..right.clone() }));
    let [first, second, third] = [0, 1, 2].map(|i| terms.arbiters()[i].key);
    assert!(sum(&Division { arbiters: vec![first], ..right.clone() }));
    assert!(sum(&Division { arbiters: vec![first, second, third], ..right.clone() }));
    assert_eq!(Division { arbiters: vec![first, third], ..right.clone() }.check(&terms), Ok(()));
    let stranger = ServingKey::from_bytes([0xee; 32]);
    for (arbiters, wrong) in [
        (vec![second, first], first),
        (vec![first, first], first),
        (vec![stranger, first], stranger),
        (vec![ServingKey::of(&provider_key()), first], ServingKey::of(&provider_key())),
    ] {
        let odd = Division { arbiters, ..right.clone() };
        assert_eq!(odd.check(&terms), Err(SettlementError::NotAnArbiter(wrong)));
        assert!(settle(&terms, &odd, submitter(Side::Provider)).is_err());
    }
}

#[test]
fn a_side_that_gets_nothing_has_no_version_and_no_one_submits_in_anothers_place() {
    let terms = terms();
    let released = division(&terms, Stroops::whole(20), 0);
    let nothing = settle(&terms, &released, submitter(Side::Consumer));
    assert_eq!(nothing, Err(SettlementError::NothingToGain(Side::Consumer)));
    for (side, account) in [
        (Side::Provider, controller_account()),
        (Side::Consumer, controller_account()),
        (Side::Provider, consumer()),
        (Side::Consumer, recipient()),
    ] {
        let wrong = settle(&terms, &award(), Submitter { side, account, sequence: 1 });
        assert_eq!(wrong, Err(SettlementError::WrongSubmitter(account)));
    }
    let settlement = settle(&terms, &award(), submitter(Side::Provider)).unwrap();
    let wrong = settlement.assemble(&consumer_account(), &[], &network());
    assert!(matches!(wrong, Err(SettlementError::WrongKey { .. })));
}

#[test]
fn exactly_the_signatures_that_are_needed_are_sent() {
    for n in [1, 3, 5, 7, 9] {
        let terms = terms_of(n, hexa());
        let majority = n.div_ceil(2);
        let division = division(&terms, Stroops::whole(5), n);
        let settlement = settle(&terms, &division, submitter(Side::Provider)).unwrap();
        let arbiters: Vec<SigningKey> = (0..n).map(arbiter_key).collect();
        let (provider, consumer) = (provider_key(), consumer_key());
        let count = |keys: &[SigningKey]| {
            let envelope = assemble(&settlement, keys).unwrap();
            let read = SignedTransaction::read(envelope.bytes(), &network()).unwrap();
            assert!(read.is_signed_by(AccountId::of(&submitter_key())));
            read.signature_count()
        };
        assert_eq!(count(&[provider.clone(), consumer.clone()]), 3);
        assert_eq!(count(&[vec![provider.clone(), consumer.clone()], arbiters.clone()].concat()), 3);
        for party in [&provider, &consumer] {
            assert_eq!(count(&[arbiters.clone(), vec![party.clone()]].concat()), 2 + majority);
            assert_eq!(count(&[arbiters[..majority].to_vec(), vec![party.clone()]].concat()), 2 + majority);
            let short = [arbiters[1..majority].to_vec(), vec![party.clone()]].concat();
            let found = n.div_ceil(2) as u8 + majority as u8 - 1;
            let needed = terms.signers().threshold();
            assert_eq!(assemble(&settlement, &short), Err(SettlementError::NotEnough { needed, found }));
            assert!(matches!(
                assemble(&settlement, std::slice::from_ref(party)),
                Err(SettlementError::NotEnough { .. })
            ));
        }
        let all = SettlementError::NotEnough { needed: terms.signers().threshold(), found: n as u8 };
        assert_eq!(assemble(&settlement, &arbiters), Err(all), "all arbiters together are one short");
    }
}

#[test]
fn signatures_of_strangers_of_other_versions_and_of_other_networks_are_refused() {
    let terms = terms();
    let settlement = settle(&terms, &award(), submitter(Side::Provider)).unwrap();
    let good = signed(&settlement, &[provider_key(), arbiter_key(0)]);
    let envelope = settlement.assemble(&submitter_key(), &good, &network());
    assert!(envelope.is_ok());
    let stranger = SigningKey::from_bytes(&[0xee; 32]);
    let with = |signature| settlement.assemble(&submitter_key(), &[good[0], signature], &network());
    let strange = signed(&settlement, std::slice::from_ref(&stranger))[0];
    assert_eq!(with(strange), Err(SettlementError::NotASigner(ServingKey::of(&stranger))));
    let arbiter = ServingKey::of(&arbiter_key(0));
    let bad = Err(SettlementError::BadSignature(arbiter));
    let other_version = settle(&terms, &award(), submitter(Side::Consumer)).unwrap();
    assert_eq!(with(signed(&other_version, &[arbiter_key(0)])[0]), bad);
    let next = Submitter { sequence: 78, ..submitter(Side::Provider) };
    let next = settle(&terms, &award(), next).unwrap();
    assert_eq!(with(signed(&next, &[arbiter_key(0)])[0]), bad);
    let elsewhere = settlement.sign(&arbiter_key(0), &NetworkId::of_passphrase("elsewhere")).unwrap();
    assert_eq!(with((arbiter, elsewhere)), bad);
    assert_eq!(with((arbiter, good[0].1)), bad);
    assert_eq!(with(good[0]), Err(SettlementError::NotEnough { needed: 2, found: 1 }), "twice the same counts once");
}

#[test]
fn a_submitter_whose_key_has_a_say_signs_once() {
    let terms = terms();
    let own = Submitter { account: AccountId::of(&provider_key()), ..submitter(Side::Provider) };
    let settlement = settle(&terms, &award(), own).unwrap();
    let keys = signed(&settlement, &[provider_key(), arbiter_key(0)]);
    let envelope = settlement.assemble(&provider_key(), &keys, &network()).unwrap();
    assert_eq!(SignedTransaction::read(envelope.bytes(), &network()).unwrap().signature_count(), 2);
}

/// The bytes of settlements never change unnoticed: both sides' versions, native and issued, one arbiter and three.
#[test]
fn settlements_have_their_golden_bytes() {
    let mut hashes = Vec::new();
    for terms in [terms(), terms_of(3, hexa())] {
        let awarding = terms.arbiters().len().div_ceil(2);
        for side in [Side::Provider, Side::Consumer] {
            let division = division(&terms, Stroops::whole(14), awarding);
            let settlement = settle(&terms, &division, submitter(side)).unwrap();
            let arbiters = (0..awarding).map(arbiter_key);
            let keys: Vec<SigningKey> = [provider_key()].into_iter().chain(arbiters).collect();
            hashes.push(hex::encode(keccak(&[assemble(&settlement, &keys).unwrap().bytes()])));
        }
    }
    assert_eq!(hashes, GOLDEN);
}

const GOLDEN: [&str; 4] = [
    "75778d6960f7b149bd0392b0251aab797a7f74e0ab80924fe24ca11e582eec9a",
    "c02bc750a6d783606c7d2223f67d60bd9676a1d69ba3bb745d2971d732fc94ee",
    "0f256e02c56fd29a2f59c7cd61464b0785407d216da5db66d817dcfb548c86ee",
    "befa8aabca13ddc8c04ebd81f36588da6469f4124858287c1fcba4999601e031",
];

/// What each account and balance gets by the operations, in their order, starting with what the controller claims.
fn flows(settlement: &Settlement, terms: &ArbitratedTerms) -> (i64, Vec<(AccountId, i64)>) {
    let (mut held, mut paid) = (0, Vec::new());
    for operation in &settlement.transaction().operations {
        match &operation.body {
            OperationBody::ClaimClaimableBalance(_) => {}
            OperationBody::Payment(op) => {
                let to = xdr::read_plain(&op.destination).unwrap();
                assert_eq!(op.asset, xdr::asset(terms.asset()));
                match operation.source_account.as_ref().map(|by| xdr::read_plain(by).unwrap()) {
                    Some(by) => {
                        assert_eq!((by, to), (controller_account(), settlement.transaction().source));
                        held += op.amount;
                    }
                    None => {
                        held -= op.amount;
                        paid.push((to, op.amount));
                    }
                }
            }
            OperationBody::CreateClaimableBalance(op) => {
                assert_eq!(operation.source_account, None);
                assert_eq!(op.asset, xdr::asset(terms.asset()));
                let claimants = crate::stellar::entry::read_claimants(&op.claimants);
                assert_eq!(claimants.len(), 1);
                assert_eq!(claimants[0].predicate, Predicate::Always);
                held -= op.amount;
                paid.push((claimants[0].account, op.amount));
            }
            other => panic!("{}", other.name()),
        }
    }
    (held, paid)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_division_pays_each_exactly_its_part_and_leaves_nothing_over(
        n in 0usize..5,
        issued in any::<bool>(),
        consumers_version in any::<bool>(),
        of_rest in 0u64..=1_000_000,
        awarding in 0usize..=9,
    ) {
        let terms = terms_of(2 * n + 1, if issued { hexa() } else { Asset::Native });
        let awarding = awarding.min(terms.arbiters().len());
        let rest = terms.amount().get() - awarding as i64 * 10_000_000;
        let to_recipient = Stroops::new((i128::from(rest) * i128::from(of_rest) / 1_000_000) as i64).unwrap();
        let division = division(&terms, to_recipient, awarding);
        let side = if consumers_version { Side::Consumer } else { Side::Provider };
        match settle(&terms, &division, submitter(side)) {
            Err(error) => {
                prop_assert!(division.of(side).is_zero());
                prop_assert_eq!(error, SettlementError::NothingToGain(side));
            }
            Ok(settlement) => {
                let (left, paid) = flows(&settlement, &terms);
                prop_assert_eq!(left, 0);
                let got = |who| paid.iter().filter(|(to, _)| *to == who).map(|(_, amount)| amount).sum::<i64>();
                prop_assert_eq!(got(recipient()), division.recipient.get());
                prop_assert_eq!(got(consumer()), division.consumer.get());
                for (i, arbiter) in terms.arbiters().iter().enumerate() {
                    prop_assert_eq!(got(arbiter.payee), if i < awarding { arbiter.fee.get() } else { 0 });
                }
                prop_assert_eq!(paid.iter().map(|(_, amount)| amount).sum::<i64>(), terms.amount().get());
                let direct = settlement.transaction().operations.iter().filter(|op| {
                    op.source_account.is_none() && matches!(op.body, OperationBody::Payment(_))
                });
                prop_assert_eq!(direct.count(), 1, "only the submitter's own side is paid directly");
            }
        }
    }

    #[test]
    fn a_changed_settlement_is_signed_by_nobody(at in 0usize..400, bit in 0u32..8) {
        let terms = terms();
        let settlement = settle(&terms, &award(), submitter(Side::Provider)).unwrap();
        let mut bytes = assemble(&settlement, &[provider_key(), arbiter_key(0)]).unwrap().into_bytes();
        let unsigned = bytes.len() - 4 - 3 * 72;
        bytes[4 + at % (unsigned - 4)] ^= 1 << bit;
        if let Ok(TransactionEnvelope::Tx(_)) = xdr::read("envelope", &bytes)
            && let Ok(read) = SignedTransaction::read(&bytes, &network())
        {
            for key in [submitter_key(), provider_key(), arbiter_key(0)] {
                prop_assert!(!read.is_signed_by(AccountId::of(&key)));
            }
        }
    }
}

/// What a ledger's reader makes of these operations by the submitter.
fn taken(terms: &ArbitratedTerms, operations: Vec<Operation>) -> Option<(Taken, Vec<(AccountId, BalanceId)>)> {
    let unsigned = Unsigned {
        source: AccountId::of(&submitter_key()),
        sequence: 77,
        fee: 500,
        bounds: Bounds::until(T),
        memo: Memo::None,
        operations,
    };
    let envelope = unsigned.sign(&[&submitter_key()], &network()).unwrap().into_bytes();
    let terms = EscrowTerms::Arbitrated(terms.clone());
    let taking = terms.taking(terms.balance_at(SEQUENCE), &envelope, &network()).unwrap()?;
    Some((taking.taken, taking.paid))
}

#[test]
fn who_has_the_money_is_read_from_what_recipient_and_consumer_gained() {
    for asset in [Asset::Native, hexa()] {
        let terms = terms_of(3, asset);
        let balance = terms.balance_at(SEQUENCE);
        let coins = Stroops::whole;
        for (side, to_recipient, awarding) in [
            (Side::Provider, 20, 0),
            (Side::Consumer, 0, 0),
            (Side::Provider, 15, 0),
            (Side::Consumer, 15, 0),
            (Side::Provider, 10, 3),
            (Side::Consumer, 10, 3),
            (Side::Provider, 17, 3),
        ] {
            let division = division(&terms, coins(to_recipient), awarding);
            let settlement = settle(&terms, &division, submitter(side)).unwrap();
            let (found, paid) = taken(&terms, settlement.transaction().operations.clone()).unwrap();
            let expected = match (division.recipient, division.consumer) {
                (_, Stroops::ZERO) => Taken::ByRecipient,
                (Stroops::ZERO, _) => Taken::ByConsumer,
                (recipient, consumer) => Taken::Divided { recipient, consumer },
            };
            assert_eq!(found, expected, "{side:?} {division:?}");
            let known: Vec<_> = settlement.balances().iter().map(|paid| (paid.payee, paid.balance)).collect();
            assert_eq!(paid, known);
        }
        let claim = operation::by(consumer(), operation::claim(balance));
        assert_eq!(taken(&terms, vec![claim]), Some((Taken::ByConsumer, vec![])));
        let claim = operation::by(recipient(), operation::claim(balance));
        let back = operation::by(recipient(), operation::pay(consumer(), terms.asset(), terms.amount()));
        assert_eq!(taken(&terms, vec![claim.clone()]), Some((Taken::ByRecipient, vec![])));
        assert_eq!(taken(&terms, vec![claim, back]), Some((Taken::ByConsumer, vec![])), "taken to be given back");
    }
}

#[test]
fn what_pays_nobody_who_may_be_paid_or_is_about_another_balance_tells_nothing() {
    let terms = terms();
    let (balance, controller) = (terms.balance_at(SEQUENCE), controller_account());
    let claim = operation::by(controller, operation::claim(balance));
    assert_eq!(taken(&terms, vec![claim.clone()]), None, "the controller keeps it");
    let third = operation::by(controller, operation::pay(arbiter_payee(0), &Asset::Native, Stroops::whole(20)));
    assert_eq!(taken(&terms, vec![claim.clone(), third]), None);
    let other_asset = operation::by(controller, operation::pay(recipient(), &hexa(), Stroops::whole(20)));
    assert_eq!(taken(&terms, vec![claim.clone(), other_asset]), None);
    let before = operation::by(controller, operation::pay(recipient(), &Asset::Native, Stroops::whole(20)));
    assert_eq!(taken(&terms, vec![before.clone(), claim]), None, "paid before, of something else");
    let another = operation::by(controller, operation::claim(BalanceId::from_bytes([1; 32])));
    assert_eq!(taken(&terms, vec![another, before]), None);
}

#[test]
fn an_issuer_that_claws_back_has_it() {
    let terms = terms_of(1, hexa());
    let clawback = ClawbackClaimableBalanceOp { balance_id: balance_id::to_xdr(terms.balance_at(SEQUENCE)) };
    let clawback = Operation { source_account: None, body: OperationBody::ClawbackClaimableBalance(clawback) };
    assert_eq!(taken(&terms, vec![clawback]), Some((Taken::ByIssuer, vec![])));
}
