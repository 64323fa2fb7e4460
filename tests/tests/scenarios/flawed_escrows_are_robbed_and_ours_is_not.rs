//! Every attack that the shape of an `arbitrated` escrow answers: it succeeds against the shape with the flaw, and fails
//! against ours. Those on what becomes of a controller are in `what_becomes_of_a_controller_robs_nobody.rs`.

use ed25519_dalek::SigningKey;
use stellar_xdr::{LedgerKey, LedgerKeyAccount, OperationBody, RevokeSponsorshipOp, RevokeSponsorshipOpSigner};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::escrow::arbitrated::TimeoutBeneficiary;
use tradepost_protocol::escrow::controller::{ControllerMismatch, start};
use tradepost_protocol::escrow::settlement::Division;
use tradepost_protocol::escrow::shape::EscrowMismatch;
use tradepost_protocol::stellar::reserve::LedgerParams;
use tradepost_protocol::stellar::transaction::{Bounds, Envelope, Unsigned};
use tradepost_protocol::stellar::{Operation, balance_id, operation, xdr};
use tradepost_protocol::time::Timestamp;
use tradepost_tests::stage::flawed::{Flawed, bad_auth, ed25519, of, plain, sign_and_submit, soon, take, twenty};
use tradepost_tests::stage::{Escrow, Stage, Verdict, payee};

const COIN: i64 = 10_000_000;

#[test]
fn with_a_low_threshold_of_one_the_consumer_alone_undoes_a_payment_by_timeout() {
    let mut stage = Stage::new(1, false);
    let (consumer, key) = (stage.consumer.clone(), stage.consumer_key.clone());
    let recipient = stage.recipient.clone();
    let weights = vec![(stage.provider_key.clone(), 1), (key.clone(), 1), (stage.arbiters[0].clone(), 1)];
    let deadline = soon(&mut stage);
    let flawed = Flawed { low: 1, beneficiary: AccountId::of(&recipient), ..Flawed::new(&stage, weights, 2, deadline) };
    let robbed = flawed.fund(&mut stage);
    let claim = |id, balance| vec![operation::by(id, operation::claim(balance))];
    assert_eq!(stage.run_with(&consumer, claim(robbed.id, robbed.balance), &[&key]), Verdict::Done);
    stage.close_at(deadline);
    let gone = stage.run(&recipient, vec![operation::claim(robbed.balance)]);
    assert_eq!(gone, Verdict::Failed("CLAIM_CLAIMABLE_BALANCE_DOES_NOT_EXIST".into()));
    assert_eq!(stage.unlock(&robbed.unlock, &consumer), Verdict::Done);
    let before = stage.holds(&consumer);
    let merge = vec![operation::by(robbed.id, operation::merge(AccountId::of(&consumer)))];
    assert_eq!(stage.run_with(&consumer, merge, &[&flawed.controller]), Verdict::Done);
    assert!(stage.holds(&consumer) - before > 29 * COIN, "the money and the reserve");

    let mut stage = Stage::new(1, false);
    let terms = stage.terms(TimeoutBeneficiary::Recipient);
    let ours = stage.fund(terms);
    assert_eq!(stage.run_with(&consumer, claim(ours.controller, ours.balance), &[&key]), bad_auth());
    stage.close_at(ours.terms.deadline());
    assert_eq!(stage.run(&recipient, ours.terms.timeout_operations(ours.balance)), Verdict::Done);
}

#[test]
fn with_two_for_a_party_one_for_an_arbiter_and_a_threshold_of_four_four_arbiters_take_all() {
    let mut stage = Stage::new(5, false);
    let arbiters = stage.arbiters.clone();
    let mut weights = vec![(stage.provider_key.clone(), 2), (stage.consumer_key.clone(), 2)];
    weights.extend(arbiters.iter().map(|key| (key.clone(), 1)));
    let deadline = soon(&mut stage);
    let robbed = Flawed::new(&stage, weights, 4, deadline).fund(&mut stage);
    let thief = payee(0);
    let four: Vec<&SigningKey> = arbiters[..4].iter().collect();
    let operations = take(robbed.id, robbed.balance, &thief, &Asset::Native);
    assert_eq!(stage.run_with(&thief, operations, &four), Verdict::Done);

    let ours = stage.funded();
    assert_eq!(stage.run_with(&thief, of(&ours, &thief), &four), bad_auth());
    let all: Vec<&SigningKey> = arbiters.iter().collect();
    assert_eq!(stage.run_with(&thief, of(&ours, &thief), &all), bad_auth());
    assert!(stage.verify(&ours).is_ok());
}

#[test]
fn with_a_payment_to_the_default_party_it_drops_its_trustline_and_takes_all_at_t() {
    for flaw in [true, false] {
        let mut stage = Stage::new(1, true);
        let (escrow, asset) = (stage.funded(), stage.asset());
        let (consumer, submitter) = (stage.consumer.clone(), stage.submitter.clone());
        let (provider, arbiter) = (stage.provider_key.clone(), stage.arbiters[0].clone());
        let award = Division {
            recipient: Stroops::whole(14),
            consumer: Stroops::whole(5),
            arbiters: vec![escrow.terms.arbiters()[0].key],
        };
        let settlement = stage.settlement(&escrow, &award, Side::Provider).unwrap();
        // The default party, seeing that it loses, makes itself unable to be paid.
        let rest = Stroops::new(stage.holds(&consumer)).unwrap();
        let away = vec![
            operation::pay(AccountId::of(&stage.issuer), &asset, rest),
            operation::change_trust(&asset, Stroops::ZERO).unwrap(),
        ];
        assert_eq!(stage.run(&consumer, away), Verdict::Done);
        if flaw {
            let mut operations = settlement.transaction().operations.clone();
            operations[3] = operation::pay(AccountId::of(&consumer), &asset, Stroops::whole(5));
            let failed = stage.run_with(&submitter, operations, &[&provider, &arbiter]);
            assert_eq!(failed, Verdict::Failed("PAYMENT_NO_TRUST".into()));
        } else {
            assert_eq!(stage.settle(&settlement, Side::Provider, &[&provider, &arbiter]), Ok(Verdict::Done));
        }
        stage.close_at(escrow.terms.deadline());
        let mut all = vec![operation::change_trust(&asset, Stroops::MAX).unwrap()];
        all.extend(escrow.terms.timeout_operations(escrow.balance));
        let took = stage.run(&consumer, all);
        let expected =
            if flaw { Verdict::Done } else { Verdict::Failed("CLAIM_CLAIMABLE_BALANCE_DOES_NOT_EXIST".into()) };
        assert_eq!(took, expected);
        assert_eq!(stage.holds(&consumer), if flaw { 20 * COIN } else { 0 });
    }
}

/// The sponsor of an account and its signers pushes their reserves back on it.
fn revoke(stage: &Stage, controller: AccountId) -> Vec<Operation> {
    let account = LedgerKey::Account(LedgerKeyAccount { account_id: xdr::account(controller) });
    let mut all = vec![plain(OperationBody::RevokeSponsorship(RevokeSponsorshipOp::LedgerEntry(account)))];
    for key in [&stage.provider_key, &stage.consumer_key, &stage.arbiters[0]] {
        let signer = RevokeSponsorshipOpSigner { account_id: xdr::account(controller), signer_key: ed25519(key) };
        all.push(plain(OperationBody::RevokeSponsorship(RevokeSponsorshipOp::Signer(signer))));
    }
    all
}

#[test]
fn a_sponsor_of_the_controller_makes_a_settlement_in_two_steps_fail_and_takes_all_at_t() {
    let mut stage = Stage::new(1, false);
    let (consumer, submitter) = (stage.consumer.clone(), stage.submitter.clone());
    let (provider, arbiter) = (stage.provider_key.clone(), stage.arbiters[0].clone());
    let weights = vec![(provider.clone(), 1), (stage.consumer_key.clone(), 1), (arbiter.clone(), 1)];
    let deadline = soon(&mut stage);
    let flawed = Flawed { sponsored: true, ..Flawed::new(&stage, weights, 2, deadline) };
    let robbed = flawed.fund(&mut stage);
    let [claim, pay]: [Operation; 2] = take(robbed.id, robbed.balance, &submitter, &Asset::Native).try_into().unwrap();
    assert_eq!(stage.run_with(&submitter, vec![claim], &[&provider, &arbiter]), Verdict::Done);
    let operations = revoke(&stage, robbed.id);
    assert_eq!(stage.run(&consumer, operations), Verdict::Done);
    let failed = stage.run_with(&submitter, vec![pay], &[&provider, &arbiter]);
    assert_eq!(failed, Verdict::Failed("PAYMENT_UNDERFUNDED".into()));
    stage.close_at(deadline);
    assert_eq!(stage.unlock(&robbed.unlock, &consumer), Verdict::Done);
    let before = stage.holds(&consumer);
    let merge = vec![operation::by(robbed.id, operation::merge(AccountId::of(&consumer)))];
    assert_eq!(stage.run_with(&consumer, merge, &[&flawed.controller]), Verdict::Done);
    assert_eq!(stage.holds(&consumer) - before, 20 * COIN - 100);

    // Ours: nobody's reserves are on it, and a settlement leaves nothing there between two transactions.
    let mut stage = Stage::new(1, false);
    let ours = stage.funded();
    let operations = revoke(&stage, ours.controller);
    let revoked = stage.run(&consumer, operations);
    assert_eq!(revoked, Verdict::Failed("txFAILED".into()));
    let released = Division { recipient: twenty(), consumer: Stroops::ZERO, arbiters: vec![] };
    let settlement = stage.settlement(&ours, &released, Side::Provider).unwrap();
    let key = stage.consumer_key.clone();
    assert_eq!(stage.settle(&settlement, Side::Provider, &[&provider, &key]), Ok(Verdict::Done));
}

#[test]
fn a_sponsored_controller_is_refused_where_it_stands() {
    let mut stage = Stage::new(1, false);
    let weights =
        vec![(stage.provider_key.clone(), 1), (stage.consumer_key.clone(), 1), (stage.arbiters[0].clone(), 1)];
    let terms = stage.terms(TimeoutBeneficiary::Consumer);
    let commits_to = terms.binding().as_bytes()[0];
    let flawed = Flawed { sponsored: true, commits_to, ..Flawed::new(&stage, weights, 2, terms.deadline()) };
    let robbed = flawed.fund(&mut stage);
    let escrow = Escrow { terms, balance: robbed.balance, controller: robbed.id, sequence: 0, unlock: robbed.unlock };
    let refused = stage.verify(&escrow);
    let sponsored = ControllerMismatch::Sponsorship { sponsored: 6, sponsoring: 0 };
    assert_eq!(refused, Err(EscrowMismatch::Controller(sponsored)));
}

#[test]
fn a_controller_prepared_beforehand_has_a_signer_that_the_funding_does_not_show() {
    let mut stage = Stage::new(1, false);
    let (consumer, thief) = (stage.consumer.clone(), SigningKey::from_bytes(&[0x99; 32]));
    let weights =
        vec![(stage.provider_key.clone(), 1), (stage.consumer_key.clone(), 1), (stage.arbiters[0].clone(), 1)];
    let terms = stage.terms(TimeoutBeneficiary::Consumer);
    let commits_to = terms.binding().as_bytes()[0];
    let flawed = Flawed { creates: false, commits_to, ..Flawed::new(&stage, weights, 2, terms.deadline()) };
    // The account is there before the funding, and so is one more signer.
    let prepare = vec![
        operation::create_account(flawed.id(), Stroops::whole(10)),
        operation::by(flawed.id(), operation::add_signer(ed25519(&thief), 2)),
    ];
    assert_eq!(stage.run_with(&consumer, prepare, &[&flawed.controller]), Verdict::Done);
    let robbed = flawed.fund(&mut stage);
    let escrow = Escrow { terms, balance: robbed.balance, controller: robbed.id, sequence: 0, unlock: robbed.unlock };
    let seen = stage.verify(&escrow);
    let count = ControllerMismatch::SignerCount { expected: 4, found: 5 };
    assert_eq!(seen, Err(EscrowMismatch::Controller(count)), "what stands is looked at, not what was promised");
    let operations = take(robbed.id, robbed.balance, &consumer, &Asset::Native);
    assert_eq!(stage.run_with(&consumer, operations, &[&thief]), Verdict::Done, "long before T, by the thief alone");

    // Ours makes its controller in the funding: where one stands already, nothing is locked.
    let mut stage = Stage::new(1, false);
    let terms = stage.terms(TimeoutBeneficiary::Consumer);
    let (network, params) = (stage.network(), LedgerParams::USUAL);
    let prepared = SigningKey::from_bytes(&[0x77; 32]);
    let controller = AccountId::of(&prepared);
    let prepare = vec![
        operation::create_account(controller, Stroops::whole(10)),
        operation::by(controller, operation::add_signer(ed25519(&thief), 2)),
    ];
    assert_eq!(stage.run_with(&consumer, prepare, &[&prepared]), Verdict::Done);
    let before_ledger = stage.before_ledger();
    let operations = terms.fund_operations(controller, before_ledger, &network, &params).unwrap();
    let fund_by = terms.deadline();
    let transaction = stage.transaction(&consumer, operations);
    let transaction = Unsigned { bounds: terms.fund_bounds(fund_by, before_ledger), ..transaction };
    let envelope = transaction.sign(&[&consumer, &prepared], &network).unwrap();
    assert!(terms.check_funding(&network, envelope.bytes(), fund_by, &params).is_ok());
    let funded = stage.submit(&envelope);
    assert_eq!(funded, Verdict::Failed("CREATE_ACCOUNT_ALREADY_EXIST".into()));
    assert!(stage.balance(terms.balance_at(transaction.sequence)).is_none());
    // And a funding that doesn't make it is no funding.
    let mut without = transaction.operations.clone();
    without.remove(1);
    let without: Envelope =
        Unsigned { operations: without, ..transaction }.sign(&[&consumer, &prepared], &network).unwrap();
    assert!(terms.check_funding(&network, without.bytes(), fund_by, &params).is_err());
}

#[test]
fn a_controller_that_is_used_twice_hands_the_second_escrow_over_with_the_first() {
    let mut stage = Stage::new(1, false);
    let consumer = stage.consumer.clone();
    let weights =
        vec![(stage.provider_key.clone(), 1), (stage.consumer_key.clone(), 1), (stage.arbiters[0].clone(), 1)];
    let deadline = soon(&mut stage);
    let first = Flawed::new(&stage, weights, 2, deadline);
    let robbed = first.fund(&mut stage);
    let later = Timestamp::from_secs(deadline.secs() + 86_400);
    let second = Flawed { deadline: later, commits_to: 0x67, controller: first.controller.clone(), ..first };
    let transaction = {
        let locks = second.locks(&stage);
        stage.transaction(&consumer, vec![locks])
    };
    let balance = balance_id::of_operation(AccountId::of(&consumer), transaction.sequence, 0);
    assert_eq!(sign_and_submit(&mut stage, &transaction, &[&consumer]), Verdict::Done);
    stage.close_at(deadline);
    assert_eq!(stage.unlock(&robbed.unlock, &consumer), Verdict::Done);
    let operations = take(robbed.id, balance, &consumer, &Asset::Native);
    let alone = stage.run_with(&consumer, operations, &[&second.controller]);
    assert_eq!(alone, Verdict::Done, "the consumer alone, a day before the second deadline");

    // Ours: each funding has a controller of its own, and the one that is free can't claim the other's balance.
    let mut stage = Stage::new(1, false);
    let first = stage.funded();
    stage.close_at(Timestamp::from_secs(first.terms.deadline().secs() - 60));
    let second = stage.funded();
    assert_ne!(first.controller, second.controller);
    stage.close_at(first.terms.deadline());
    assert_eq!(stage.unlock(&first.unlock, &consumer), Verdict::Done);
    let key = stage.controller_key(&first);
    let operations = take(first.controller, second.balance, &consumer, &Asset::Native);
    let not_its = stage.run_with(&consumer, operations, &[&key]);
    assert_eq!(not_its, Verdict::Failed("CLAIM_CLAIMABLE_BALANCE_CANNOT_CLAIM".into()));
}

#[test]
fn an_unlock_that_makes_the_funder_a_signer_gives_the_consumer_two_voices() {
    let mut stage = Stage::new(1, false);
    let (consumer, key) = (stage.consumer.clone(), stage.consumer_key.clone());
    // An UNLOCK that raises the funder's weight needs it among the signers from the beginning, with a weight of its own.
    let weights =
        vec![(stage.provider_key.clone(), 1), (key.clone(), 1), (stage.arbiters[0].clone(), 1), (consumer.clone(), 1)];
    let deadline = soon(&mut stage);
    let robbed = Flawed::new(&stage, weights, 2, deadline).fund(&mut stage);
    let operations = take(robbed.id, robbed.balance, &consumer, &Asset::Native);
    assert_eq!(stage.run_with(&consumer, operations, &[&key]), Verdict::Done, "no provider and no arbiter");

    let ours = stage.funded();
    assert_eq!(stage.run_with(&consumer, of(&ours, &consumer), &[&key]), bad_auth());
}

#[test]
fn an_unlock_before_t_is_refused_and_from_t_on_nobody_but_the_funder_gains_by_it() {
    let mut stage = Stage::new(1, false);
    let ours = stage.funded();
    let (consumer, stranger) = (stage.consumer.clone(), stage.submitter.clone());
    assert_eq!(stage.unlock(&ours.unlock, &stranger), Verdict::Refused("txTOO_EARLY".into()));
    assert!(stage.verify(&ours).is_ok(), "an attempt that comes too early costs nothing");
    stage.close_at(ours.terms.deadline());
    assert_eq!(stage.unlock(&ours.unlock, &stranger), Verdict::Done, "anyone may pay for it");
    let free = stage.account(ours.controller).unwrap();
    assert_eq!((free.thresholds.master, free.thresholds.high), (2, 2));
    let merge = |to: &SigningKey| vec![operation::by(ours.controller, operation::merge(AccountId::of(to)))];
    assert_eq!(stage.run_with(&stranger, merge(&stranger), &[]), bad_auth());
    let key = stage.controller_key(&ours);
    assert_eq!(stage.run_with(&consumer, merge(&consumer), &[&key]), Verdict::Done);
    assert!(stage.account(ours.controller).is_none());
    assert_eq!(stage.run(&consumer, ours.terms.timeout_operations(ours.balance)), Verdict::Done);
    // Whatever it was lent is back; what it paid is 700 for the funding, 100 for the merge, 100 for the claim.
    assert_eq!(stage.holds(&consumer), 1_000 * COIN - 900);
    assert_eq!(stage.account(AccountId::of(&consumer)).unwrap().sponsoring, 0);
}

#[test]
fn a_bound_that_the_funding_lacks_would_leave_the_unlock_worthless() {
    let mut stage = Stage::new(1, false);
    let terms = stage.terms(TimeoutBeneficiary::Consumer);
    let consumer = stage.consumer.clone();
    let (network, params) = (stage.network(), LedgerParams::USUAL);
    let controller = SigningKey::from_bytes(&[0x77; 32]);
    let before_ledger = stage.before_ledger();
    let operations = terms.fund_operations(AccountId::of(&controller), before_ledger, &network, &params).unwrap();
    while stage.before_ledger() < before_ledger + 10 {
        stage.close();
    }
    // In a ledger above it, the new account's sequence number is higher than the one that the UNLOCK was made for.
    let transaction = stage.transaction(&consumer, operations);
    let unbounded = Unsigned { bounds: Bounds::until(terms.deadline()), ..transaction.clone() };
    let envelope = unbounded.sign(&[&consumer, &controller], &network).unwrap();
    assert!(terms.check_funding(&network, envelope.bytes(), terms.deadline(), &params).is_err());
    assert_eq!(stage.submit(&envelope), Verdict::Done);
    let unlock = terms.controller(AccountId::of(&controller)).unlock(start(before_ledger));
    stage.close_at(terms.deadline());
    assert_eq!(stage.unlock(&unlock, &consumer), Verdict::Refused("txBAD_SEQ".into()));
    let mut stage = Stage::new(1, false);
    let transaction = stage.transaction(&consumer, transaction.operations);
    let bounds = terms.fund_bounds(terms.deadline(), before_ledger);
    while stage.before_ledger() < before_ledger + 10 {
        stage.close();
    }
    let bounded = Unsigned { bounds, ..transaction }.sign(&[&consumer, &controller], &network).unwrap();
    assert_eq!(stage.submit(&bounded), Verdict::Refused("txTOO_LATE".into()));
}
