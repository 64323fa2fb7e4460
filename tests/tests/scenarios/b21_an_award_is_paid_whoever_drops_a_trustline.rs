//! An `arbitrated` escrow on the ledger: settled by both, or by one and a majority of arbiters, divided to the stroop,
//! whoever drops a trustline; and nobody alone moves anything.

use ed25519_dalek::SigningKey;
use tradepost_protocol::account::{AccountId, ServingKey};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::escrow::arbitrated::TimeoutBeneficiary;
use tradepost_protocol::escrow::settlement::{Division, SettlementError};
use tradepost_protocol::stellar::operation;
use tradepost_tests::stage::{Escrow, Stage, Verdict, payee};

const COIN: i64 = 10_000_000;

/// 14 to the recipient, 5 to the consumer, and a fee of 1.
fn award(escrow: &Escrow) -> Division {
    let arbiters = vec![escrow.terms.arbiters()[0].key];
    Division { recipient: Stroops::whole(14), consumer: Stroops::whole(5), arbiters }
}

fn bad_auth() -> Verdict {
    Verdict::Refused("OP_BAD_AUTH".into())
}

/// Ends an account's trustline, its holdings back to the issuer.
fn drop_line(stage: &mut Stage, account: &SigningKey) {
    let asset = stage.asset();
    let held = Stroops::new(stage.holds(account)).unwrap();
    let mut operations = vec![operation::change_trust(&asset, Stroops::ZERO).unwrap()];
    if !held.is_zero() {
        operations.insert(0, operation::pay(AccountId::of(&stage.issuer), &asset, held));
    }
    assert_eq!(stage.run(account, operations), Verdict::Done);
}

fn trust(stage: &mut Stage, account: &SigningKey) {
    let trust = operation::change_trust(&stage.asset(), Stroops::MAX).unwrap();
    assert_eq!(stage.run(account, vec![trust]), Verdict::Done);
}

#[test]
fn b21_an_award_of_14_5_and_a_fee_of_1_of_20_is_paid_to_the_stroop() {
    for side in [Side::Provider, Side::Consumer] {
        let mut stage = Stage::new(1, false);
        let escrow = stage.funded();
        let (consumer, recipient, submitter) =
            (stage.consumer.clone(), stage.recipient.clone(), stage.submitter.clone());
        let fee_account = payee(0);
        let before = [&consumer, &recipient, &submitter, &fee_account].map(|key| stage.holds(key) + stage.fees(key));
        let settlement = stage.settlement(&escrow, &award(&escrow), side).unwrap();
        let own = if side == Side::Provider { stage.provider_key.clone() } else { stage.consumer_key.clone() };
        let arbiter = stage.arbiters[0].clone();
        assert_eq!(stage.settle(&settlement, side, &[&own, &arbiter]), Ok(Verdict::Done));
        for paid in settlement.balances() {
            let key = [&consumer, &recipient, &fee_account].into_iter().find(|key| AccountId::of(key) == paid.payee);
            let standing =
                stage.balance(paid.balance).expect("the payee's balance, under the id that was known before");
            assert_eq!(standing.amount, paid.amount);
            assert_eq!(stage.run(key.unwrap(), vec![operation::claim(paid.balance)]), Verdict::Done);
        }
        let after = [&consumer, &recipient, &submitter, &fee_account].map(|key| stage.holds(key) + stage.fees(key));
        let gained: Vec<i64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
        assert_eq!(gained, [5 * COIN, 14 * COIN, 0, COIN], "{side:?}'s version");
        assert!(stage.balance(escrow.balance).is_none());
    }
}

#[test]
fn b21_nobody_alone_and_no_arbiters_together_move_anything() {
    for arbiters in [1, 3, 5, 9] {
        let mut stage = Stage::new(arbiters, false);
        let escrow = stage.funded();
        let thief = stage.submitter.clone();
        let take = |stage: &Stage| {
            vec![
                operation::by(escrow.controller, operation::claim(escrow.balance)),
                operation::by(
                    escrow.controller,
                    operation::pay(AccountId::of(&stage.submitter), &Asset::Native, Stroops::whole(20)),
                ),
            ]
        };
        let (provider, consumer) = (stage.provider_key.clone(), stage.consumer_key.clone());
        let all: Vec<SigningKey> = stage.arbiters.clone();
        let all: Vec<&SigningKey> = all.iter().collect();
        let majority = arbiters.div_ceil(2);
        for party in [&provider, &consumer] {
            let operations = take(&stage);
            assert_eq!(stage.run_with(&thief, operations, &[party]), bad_auth());
            let one_short: Vec<&SigningKey> = [party].into_iter().chain(all[1..majority].iter().copied()).collect();
            let operations = take(&stage);
            assert_eq!(stage.run_with(&thief, operations, &one_short), bad_auth());
        }
        let operations = take(&stage);
        assert_eq!(stage.run_with(&thief, operations, &all), bad_auth(), "{arbiters} arbiters together");
        // The funder's own key has no say, and the controller's key none at all until T.
        for key in [stage.consumer.clone(), stage.controller_key(&escrow)] {
            let operations = take(&stage);
            assert_eq!(stage.run_with(&thief, operations, &[&key]), bad_auth());
        }
        assert!(stage.verify(&escrow).is_ok());
        let operations = take(&stage);
        let enough: Vec<&SigningKey> = [&provider].into_iter().chain(all[..majority].iter().copied()).collect();
        assert_eq!(stage.run_with(&thief, operations, &enough), Verdict::Done, "a majority with one party does");
    }
}

#[test]
fn b21_both_parties_release_without_any_arbiter() {
    for issued in [false, true] {
        let mut stage = Stage::new(3, issued);
        let escrow = stage.funded();
        let division = Division { recipient: Stroops::whole(20), consumer: Stroops::ZERO, arbiters: vec![] };
        let (recipient, provider, consumer) =
            (stage.recipient.clone(), stage.provider_key.clone(), stage.consumer_key.clone());
        let before = stage.holds(&recipient);
        let settlement = stage.settlement(&escrow, &division, Side::Provider).unwrap();
        let arbiters = stage.arbiters.clone();
        // More signatures than needed are there; only the needed ones are sent.
        let all: Vec<&SigningKey> = arbiters.iter().chain([&consumer, &provider]).collect();
        assert_eq!(stage.settle(&settlement, Side::Provider, &all), Ok(Verdict::Done));
        assert_eq!(stage.holds(&recipient) - before, 20 * COIN);
    }
}

#[test]
fn b21_from_a_minute_before_t_no_settlement_is_taken_and_from_t_on_nothing_is_claimed_for_the_controller() {
    let mut stage = Stage::new(1, false);
    let escrow = stage.funded();
    let settlement = stage.settlement(&escrow, &award(&escrow), Side::Provider).unwrap();
    let (provider, arbiter) = (stage.provider_key.clone(), stage.arbiters[0].clone());
    let t = escrow.terms.deadline();
    stage.close_at(t.minus(core::time::Duration::from_secs(59)));
    let late = stage.settle(&settlement, Side::Provider, &[&provider, &arbiter]);
    assert_eq!(late, Ok(Verdict::Refused("txTOO_LATE".into())));
    stage.close_at(t);
    let thief = stage.submitter.clone();
    let claim = vec![operation::by(escrow.controller, operation::claim(escrow.balance))];
    let claimed = stage.run_with(&thief, claim, &[&provider, &arbiter]);
    assert_eq!(claimed, Verdict::Failed("CLAIM_CLAIMABLE_BALANCE_CANNOT_CLAIM".into()));
    let consumer = stage.consumer.clone();
    assert_eq!(stage.run(&consumer, escrow.terms.timeout_operations(escrow.balance)), Verdict::Done);
}

#[test]
fn b21_silence_pays_the_timeout_beneficiary_and_nobody_else() {
    for (beneficiary, issued) in [
        (TimeoutBeneficiary::Consumer, false),
        (TimeoutBeneficiary::Recipient, false),
        (TimeoutBeneficiary::Recipient, true),
    ] {
        let mut stage = Stage::new(1, issued);
        let terms = stage.terms(beneficiary);
        let escrow = stage.fund(terms);
        let (winner, loser) = match beneficiary {
            TimeoutBeneficiary::Consumer => (stage.consumer.clone(), stage.recipient.clone()),
            TimeoutBeneficiary::Recipient => (stage.recipient.clone(), stage.consumer.clone()),
        };
        let claim = escrow.terms.timeout_operations(escrow.balance);
        let cannot = Verdict::Failed("CLAIM_CLAIMABLE_BALANCE_CANNOT_CLAIM".into());
        assert_eq!(stage.run(&winner, claim.clone()), cannot, "before T");
        stage.close_at(escrow.terms.deadline());
        assert_eq!(stage.run(&loser, claim.clone()), cannot);
        let worth = |stage: &mut Stage| stage.holds(&winner) + if issued { 0 } else { stage.fees(&winner) };
        let before = worth(&mut stage);
        assert_eq!(stage.run(&winner, claim), Verdict::Done);
        assert_eq!(worth(&mut stage) - before, 20 * COIN);
    }
}

#[test]
fn b21_whoever_drops_a_trustline_changes_nothing_for_the_others() {
    for side in [Side::Provider, Side::Consumer] {
        let mut stage = Stage::new(3, true);
        let escrow = stage.funded();
        let [a, b, _] = [0, 1, 2].map(|i| escrow.terms.arbiters()[i].key);
        let division = Division { recipient: Stroops::whole(13), consumer: Stroops::whole(5), arbiters: vec![a, b] };
        let settlement = stage.settlement(&escrow, &division, side).unwrap();
        let (own, loser) = match side {
            Side::Provider => (stage.provider_key.clone(), stage.consumer.clone()),
            Side::Consumer => (stage.consumer_key.clone(), stage.recipient.clone()),
        };
        // The other side drops its trustline, and the arbiters never had one.
        drop_line(&mut stage, &loser);
        let arbiters = stage.arbiters.clone();
        let settled = stage.settle(&settlement, side, &[&own, &arbiters[0], &arbiters[1]]);
        assert_eq!(settled, Ok(Verdict::Done));
        // Its part waits until it can take it.
        let its = settlement.balances()[0];
        assert_eq!(its.payee, AccountId::of(&loser));
        let claim = vec![operation::claim(its.balance)];
        let no_line = Verdict::Failed("CLAIM_CLAIMABLE_BALANCE_NO_TRUST".into());
        assert_eq!(stage.run(&loser, claim.clone()), no_line);
        trust(&mut stage, &loser);
        assert_eq!(stage.run(&loser, claim), Verdict::Done);
        assert_eq!(stage.holds(&loser), its.amount.get());
    }
}

#[test]
fn b21_a_second_version_of_a_settlement_pays_nothing() {
    let mut stage = Stage::new(1, false);
    let escrow = stage.funded();
    let division = award(&escrow);
    let (provider, consumer, arbiter) =
        (stage.provider_key.clone(), stage.consumer_key.clone(), stage.arbiters[0].clone());
    let theirs = stage.settlement(&escrow, &division, Side::Provider).unwrap();
    let ours = stage.settlement(&escrow, &division, Side::Consumer).unwrap();
    assert_eq!(stage.settle(&theirs, Side::Provider, &[&provider, &arbiter]), Ok(Verdict::Done));
    let second = stage.settle(&ours, Side::Consumer, &[&consumer, &arbiter]);
    assert_eq!(second, Ok(Verdict::Failed("CLAIM_CLAIMABLE_BALANCE_DOES_NOT_EXIST".into())));
    let stranger = ServingKey::from_bytes([0xee; 32]);
    let none = Division { arbiters: vec![stranger], ..division };
    assert!(matches!(stage.settlement(&escrow, &none, Side::Provider), Err(SettlementError::NotAnArbiter(_))));
}
