//! The rest of the attacks on an `arbitrated` escrow, after the check and in the settlement: what is altered, merged, bumped,
//! burnt or frozen. Each succeeds against the shape with the flaw, and fails against ours.

use ed25519_dalek::SigningKey;
use stellar_xdr::{AccountId as XdrAccountId, OperationBody, SetTrustLineFlagsOp, SignerKey, Uint256};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::escrow::arbitrated::{ArbitratedTerms, TimeoutBeneficiary};
use tradepost_protocol::escrow::controller::{self, ControllerMismatch, start};
use tradepost_protocol::escrow::settlement::Division;
use tradepost_protocol::escrow::shape::{EscrowMismatch, Shape};
use tradepost_protocol::message::BalanceId;
use tradepost_protocol::stellar::entry::{AUTH_REQUIRED, AUTH_REVOCABLE, Entry, LINE_AUTHORIZED};
use tradepost_protocol::stellar::reserve::LedgerParams;
use tradepost_protocol::stellar::transaction::{Bounds, Envelope, Unsigned};
use tradepost_protocol::stellar::{Memo, Operation, balance_id, operation, xdr};
use tradepost_protocol::time::Timestamp;
use tradepost_tests::stage::flawed::{Flawed, bad_auth, ed25519, plain, sign_and_submit, soon, take, twenty};
use tradepost_tests::stage::{Escrow, Stage, Verdict};

const COIN: i64 = 10_000_000;

fn failed(word: &str) -> Verdict {
    Verdict::Failed(word.into())
}

fn provider_gets_all() -> Division {
    Division { recipient: twenty(), consumer: Stroops::ZERO, arbiters: vec![] }
}

/// Closes ledgers until one is above this number, so that an account that starts there can be merged.
fn close_past(stage: &mut Stage, ledger: u32) {
    while stage.before_ledger() <= ledger + 4 {
        stage.close();
    }
}

/// A funding's parts in two transactions: the controller, looked at and found right in every field, and the balance, which
/// comes later.
struct InTwo {
    key: SigningKey,
    terms: ArbitratedTerms,
    locks: Operation,
}

impl InTwo {
    fn checked(stage: &mut Stage) -> Self {
        let (consumer, terms) = (stage.consumer.clone(), stage.terms(TimeoutBeneficiary::Consumer));
        let (key, before_ledger) = (SigningKey::from_bytes(&[0x77; 32]), stage.before_ledger());
        let network = stage.network();
        let controller = AccountId::of(&key);
        let mut operations = terms.fund_operations(controller, before_ledger, &network, &LedgerParams::USUAL).unwrap();
        let locks = operations.remove(0);
        assert_eq!(stage.run_with(&consumer, operations, &[&key]), Verdict::Done);
        let (account, line) = (stage.account(controller).unwrap(), stage.line(controller));
        assert_eq!(terms.controller(controller).verify(&account, line.as_ref(), &network), Ok(()));
        close_past(stage, before_ledger);
        Self { key, terms, locks }
    }

    fn id(&self) -> AccountId {
        AccountId::of(&self.key)
    }

    /// The consumer and a majority of the arbiters add a signer that alone is enough.
    fn is_altered(&self, stage: &mut Stage, thief: &SigningKey) {
        let (consumer, own, arbiter) = (stage.consumer.clone(), stage.consumer_key.clone(), stage.arbiters[0].clone());
        let alter = vec![
            operation::pay(self.id(), &Asset::Native, Stroops::whole(1)),
            operation::by(self.id(), operation::add_signer(ed25519(thief), 2)),
        ];
        assert_eq!(stage.run_with(&consumer, alter, &[&own, &arbiter]), Verdict::Done);
    }

    /// They merge it, and the consumer makes it anew, under the master key that nobody could use before.
    fn is_made_anew(&self, stage: &mut Stage) {
        let (consumer, own, arbiter) = (stage.consumer.clone(), stage.consumer_key.clone(), stage.arbiters[0].clone());
        let anew = vec![
            operation::by(self.id(), operation::merge(AccountId::of(&consumer))),
            operation::create_account(self.id(), Stroops::whole(10)),
        ];
        assert_eq!(stage.run_with(&consumer, anew, &[&own, &arbiter]), Verdict::Done);
    }

    /// Locks the money, as it was agreed.
    fn locks(&self, stage: &mut Stage) -> BalanceId {
        let consumer = stage.consumer.clone();
        let transaction = stage.transaction(&consumer, vec![self.locks.clone()]);
        let balance = self.terms.balance_at(transaction.sequence);
        assert_eq!(sign_and_submit(stage, &transaction, &[&consumer]), Verdict::Done);
        balance
    }

    /// What becomes of our funding, which makes the controller with the money in one transaction.
    fn ours(&self, stage: &mut Stage) -> Verdict {
        let (consumer, network) = (stage.consumer.clone(), stage.network());
        let (before_ledger, fund_by) = (stage.before_ledger(), self.terms.deadline());
        let operations = self.terms.fund_operations(self.id(), before_ledger, &network, &LedgerParams::USUAL).unwrap();
        let transaction = stage.transaction(&consumer, operations);
        let transaction = Unsigned { bounds: self.terms.fund_bounds(fund_by, before_ledger), ..transaction };
        let envelope = transaction.sign(&[&consumer, &self.key], &network).unwrap();
        let seen = self.terms.check_funding(&network, envelope.bytes(), fund_by, &LedgerParams::USUAL).unwrap();
        let verdict = stage.submit(&envelope);
        assert!(stage.balance(seen.balance).is_none(), "nothing is locked");
        verdict
    }
}

#[test]
fn a_controller_that_is_altered_between_the_check_and_the_money_gives_it_to_one_alone() {
    let thief = SigningKey::from_bytes(&[0x99; 32]);
    let mut stage = Stage::new(1, false);
    let flawed = InTwo::checked(&mut stage);
    flawed.is_altered(&mut stage, &thief);
    let balance = flawed.locks(&mut stage);
    let consumer = stage.consumer.clone();
    let operations = take(flawed.id(), balance, &consumer, &Asset::Native);
    assert_eq!(stage.run_with(&consumer, operations, &[&thief]), Verdict::Done, "long before T");

    let mut stage = Stage::new(1, false);
    let prepared = InTwo::checked(&mut stage);
    prepared.is_altered(&mut stage, &thief);
    // Its own key has no say in it any more, so the funding isn't even included.
    assert_eq!(prepared.ours(&mut stage), bad_auth());
}

#[test]
fn a_controller_that_is_merged_and_made_anew_after_the_check_gives_the_money_to_its_maker_alone() {
    let mut stage = Stage::new(1, false);
    let flawed = InTwo::checked(&mut stage);
    flawed.is_made_anew(&mut stage);
    let balance = flawed.locks(&mut stage);
    let consumer = stage.consumer.clone();
    let operations = take(flawed.id(), balance, &consumer, &Asset::Native);
    assert_eq!(stage.run_with(&consumer, operations, &[&flawed.key]), Verdict::Done, "by the old master key");

    let mut stage = Stage::new(1, false);
    let prepared = InTwo::checked(&mut stage);
    prepared.is_made_anew(&mut stage);
    assert_eq!(prepared.ours(&mut stage), failed("CREATE_ACCOUNT_ALREADY_EXIST"));
}

#[test]
fn a_controller_that_both_merge_after_one_binding_hands_the_next_one_over_where_it_is_used_twice() {
    let mut stage = Stage::new(1, false);
    let (consumer, provider, own) = (stage.consumer.clone(), stage.provider_key.clone(), stage.consumer_key.clone());
    let weights = vec![(provider.clone(), 1), (own.clone(), 1), (stage.arbiters[0].clone(), 1)];
    let deadline = soon(&mut stage);
    let first = Flawed::new(&stage, weights, 2, deadline);
    let robbed = first.fund(&mut stage);
    let later = Timestamp::from_secs(deadline.secs() + 86_400);
    let second = Flawed { deadline: later, commits_to: 0x67, ..first.clone() };
    let locks = second.locks(&stage);
    let transaction = stage.transaction(&consumer, vec![locks]);
    let balance = balance_id::of_operation(AccountId::of(&consumer), transaction.sequence, 0);
    assert_eq!(sign_and_submit(&mut stage, &transaction, &[&consumer]), Verdict::Done);
    // Both end the first binding, and agree on giving its controller's reserve back at once.
    let before_ledger = stage.before_ledger();
    close_past(&mut stage, before_ledger);
    let recipient = stage.recipient.clone();
    let mut end = take(robbed.id, robbed.balance, &recipient, &Asset::Native);
    end.push(operation::by(robbed.id, operation::merge(AccountId::of(&consumer))));
    assert_eq!(stage.run_with(&consumer, end, &[&provider, &own]), Verdict::Done);
    let anew = vec![operation::create_account(robbed.id, Stroops::whole(10))];
    assert_eq!(stage.run(&consumer, anew), Verdict::Done);
    let operations = take(robbed.id, balance, &consumer, &Asset::Native);
    let alone = stage.run_with(&consumer, operations, &[&first.controller]);
    assert_eq!(alone, Verdict::Done, "the consumer alone, long before either deadline");

    // Ours: the second escrow has a controller of its own, whatever becomes of the first.
    let mut stage = Stage::new(1, false);
    let (first, second) = (stage.funded(), stage.funded());
    let settlement = stage.settlement(&first, &provider_gets_all(), Side::Provider).unwrap();
    assert_eq!(stage.settle(&settlement, Side::Provider, &[&provider, &own]), Ok(Verdict::Done));
    let before_ledger = stage.before_ledger();
    close_past(&mut stage, before_ledger);
    let anew = vec![
        operation::by(first.controller, operation::merge(AccountId::of(&consumer))),
        operation::create_account(first.controller, Stroops::whole(10)),
    ];
    assert_eq!(stage.run_with(&consumer, anew, &[&provider, &own]), Verdict::Done);
    let operations = take(first.controller, second.balance, &consumer, &Asset::Native);
    let key = stage.controller_key(&first);
    let not_its = stage.run_with(&consumer, operations, &[&key]);
    assert_eq!(not_its, failed("CLAIM_CLAIMABLE_BALANCE_CANNOT_CLAIM"));
    assert!(stage.verify(&second).is_ok());
}

#[test]
fn who_holds_a_threshold_together_spoils_the_unlock_and_gains_nothing_of_the_money() {
    let mut stage = Stage::new(1, false);
    let ours = stage.funded();
    let (consumer, submitter) = (stage.consumer.clone(), stage.submitter.clone());
    let (provider, arbiter) = (stage.provider_key.clone(), stage.arbiters[0].clone());
    let bump = |to: i64| vec![operation::by(ours.controller, operation::bump_sequence(to))];
    let sequence = stage.account(ours.controller).unwrap().sequence;
    for one in [&provider, &arbiter] {
        assert_eq!(stage.run_with(&submitter, bump(sequence + 1), &[one]), bad_auth(), "nobody alone");
    }
    assert_eq!(stage.run_with(&submitter, bump(sequence + 1), &[&provider, &arbiter]), Verdict::Done);
    let spoilt = stage.verify(&ours);
    assert_eq!(spoilt, Err(EscrowMismatch::Controller(ControllerMismatch::Sequence(sequence + 1))));
    stage.close_at(ours.terms.deadline());
    assert_eq!(stage.unlock(&ours.unlock, &consumer), Verdict::Refused("txBAD_SEQ".into()));
    let claim = vec![operation::by(ours.controller, operation::claim(ours.balance))];
    let late = stage.run_with(&submitter, claim, &[&provider, &arbiter]);
    assert_eq!(late, failed("CLAIM_CLAIMABLE_BALANCE_CANNOT_CLAIM"));
    assert_eq!(stage.run(&consumer, ours.terms.timeout_operations(ours.balance)), Verdict::Done);
    let reserve = stage.account(ours.controller).unwrap().balance.get();
    assert_eq!(reserve, 3 * COIN, "what the controller holds");
    // 700 for the funding and 100 for the claim.
    assert_eq!(stage.holds(&consumer), 1_000 * COIN - reserve - 800, "is all that is lost");
}

#[test]
fn signatures_that_nobody_needs_make_a_settlement_void_and_ours_carries_none() {
    let mut stage = Stage::new(3, false);
    let ours = stage.funded();
    let arbiters = ours.terms.arbiters().iter().map(|arbiter| arbiter.key).collect();
    let award = Division { recipient: Stroops::whole(12), consumer: Stroops::whole(5), arbiters };
    let settlement = stage.settlement(&ours, &award, Side::Provider).unwrap();
    let (submitter, provider) = (stage.submitter.clone(), stage.provider_key.clone());
    let signers = stage.arbiters.clone();
    let all: Vec<&SigningKey> = [&submitter, &provider].into_iter().chain(&signers).collect();
    let untrimmed = sign_and_submit(&mut stage, settlement.transaction(), &all);
    assert_eq!(untrimmed, Verdict::Refused("txBAD_AUTH_EXTRA".into()));
    assert!(stage.verify(&ours).is_ok(), "and the escrow is untouched");
    let all: Vec<&SigningKey> = signers.iter().chain([&provider]).collect();
    assert_eq!(stage.settle(&settlement, Side::Provider, &all), Ok(Verdict::Done));
}

#[test]
fn an_unlock_that_can_fail_burns_its_signer_and_locks_the_reserve_for_good() {
    let mut stage = Stage::new(1, true);
    let (consumer, network) = (stage.consumer.clone(), stage.network());
    let terms = stage.terms(TimeoutBeneficiary::Consumer);
    let (key, before_ledger) = (SigningKey::from_bytes(&[0x77; 32]), stage.before_ledger());
    let controller = AccountId::of(&key);
    // One that merges at once, which a trustline forbids; that of ours changes a weight.
    let flawed = Unsigned {
        source: controller,
        sequence: start(before_ledger) + 1,
        fee: 0,
        bounds: Bounds::from_on(terms.deadline()),
        memo: Memo::None,
        operations: vec![operation::merge(AccountId::of(&consumer))],
    };
    let hash = SignerKey::PreAuthTx(Uint256(*flawed.hash(&network).unwrap().as_bytes()));
    let mut operations = terms.fund_operations(controller, before_ledger, &network, &LedgerParams::USUAL).unwrap();
    *operations.last_mut().unwrap() = operation::by(controller, operation::hand_over(hash, 2));
    let fund_by = terms.deadline();
    let funding = stage.transaction(&consumer, operations);
    let funding = Unsigned { bounds: terms.fund_bounds(fund_by, before_ledger), ..funding };
    let envelope = funding.sign(&[&consumer, &key], &network).unwrap();
    assert!(terms.check_funding(&network, envelope.bytes(), fund_by, &LedgerParams::USUAL).is_err());
    assert_eq!(stage.submit(&envelope), Verdict::Done);
    stage.close_at(terms.deadline());
    let unlock = |stage: &mut Stage, transaction: &Unsigned| {
        let envelope: Envelope = transaction.sign(&[], &network).unwrap();
        stage.submit(&envelope.bump_fee(200, &consumer, &network).unwrap())
    };
    assert_eq!(stage.account(controller).unwrap().signers.len(), 4);
    assert!(matches!(unlock(&mut stage, &flawed), Verdict::Failed(_)));
    let burnt = stage.account(controller).unwrap();
    assert_eq!(burnt.signers.len(), 3, "what authorised it is gone");
    let again = Unsigned { sequence: burnt.sequence + 1, ..flawed };
    assert!(matches!(unlock(&mut stage, &again), Verdict::Refused(_)), "and nothing else frees the reserve");

    let mut stage = Stage::new(1, true);
    let ours = stage.funded();
    stage.close_at(ours.terms.deadline());
    assert_eq!(stage.unlock(&ours.unlock, &consumer), Verdict::Done);
    let free = vec![
        operation::by(ours.controller, operation::change_trust(&stage.asset(), Stroops::ZERO).unwrap()),
        operation::by(ours.controller, operation::merge(AccountId::of(&consumer))),
    ];
    let key = stage.controller_key(&ours);
    assert_eq!(stage.run_with(&consumer, free, &[&key]), Verdict::Done);
}

#[test]
fn a_submitter_without_the_reserves_of_what_it_leaves_settles_nothing_and_loses_a_fee() {
    let mut stage = Stage::new(1, true);
    let ours = stage.funded();
    let arbiters = vec![ours.terms.arbiters()[0].key];
    let award = Division { recipient: Stroops::whole(14), consumer: Stroops::whole(5), arbiters };
    let (submitter, provider) = (stage.submitter.clone(), stage.provider_key.clone());
    let arbiter = stage.arbiters[0].clone();
    // Its trustline's reserve, its own, and a coin: two balances take one.
    let all = stage.account(AccountId::of(&submitter)).unwrap().balance;
    let away = all.minus(Stroops::new(COIN + COIN / 2 + COIN / 2).unwrap()).unwrap();
    let root = AccountId::of(&stage.issuer);
    assert_eq!(stage.run(&submitter, vec![operation::pay(root, &Asset::Native, away)]), Verdict::Done);
    let settlement = stage.settlement(&ours, &award, Side::Provider).unwrap();
    let short = stage.settle(&settlement, Side::Provider, &[&provider, &arbiter]);
    assert_eq!(short, Ok(failed("CREATE_CLAIMABLE_BALANCE_LOW_RESERVE")));
    assert!(stage.verify(&ours).is_ok(), "the escrow is untouched");
    let issuer = stage.issuer.clone();
    let lend = operation::pay(AccountId::of(&submitter), &Asset::Native, Stroops::whole(1));
    assert_eq!(stage.run(&issuer, vec![lend]), Verdict::Done);
    let settlement = stage.settlement(&ours, &award, Side::Provider).unwrap();
    assert_eq!(stage.settle(&settlement, Side::Provider, &[&provider, &arbiter]), Ok(Verdict::Done));
}

/// The issuer's word on a trustline of its asset.
fn set_line(stage: &Stage, trustor: AccountId, authorized: bool) -> Operation {
    let trustor: XdrAccountId = xdr::account(trustor);
    let (set, clear) = if authorized { (LINE_AUTHORIZED, 0) } else { (0, LINE_AUTHORIZED) };
    let asset = xdr::asset(&stage.asset());
    let op = SetTrustLineFlagsOp { trustor, asset, clear_flags: clear, set_flags: set };
    plain(OperationBody::SetTrustLineFlags(op))
}

/// An escrow in an asset whose issuer may freeze what accounts hold.
fn freezable() -> (Stage, Escrow) {
    let mut stage = Stage::new(1, true);
    let issuer = stage.issuer.clone();
    assert_eq!(stage.run(&issuer, vec![operation::set_flags(AUTH_REVOCABLE)]), Verdict::Done);
    let escrow = stage.funded();
    (stage, escrow)
}

fn freeze(stage: &mut Stage, account: AccountId, frozen: bool) {
    let (issuer, flags) = (stage.issuer.clone(), set_line(stage, account, !frozen));
    assert_eq!(stage.run(&issuer, vec![flags]), Verdict::Done);
}

#[test]
fn a_controller_that_the_issuer_freezes_pays_nobody_and_the_beneficiary_has_it_from_t_on() {
    let (mut stage, ours) = freezable();
    freeze(&mut stage, ours.controller, true);
    let frozen = ControllerMismatch::NotAuthorized;
    assert_eq!(stage.verify(&ours), Err(EscrowMismatch::Controller(frozen)), "and a provider never starts on it");
    let (provider, own) = (stage.provider_key.clone(), stage.consumer_key.clone());
    let settlement = stage.settlement(&ours, &provider_gets_all(), Side::Provider).unwrap();
    let stopped = stage.settle(&settlement, Side::Provider, &[&provider, &own]);
    assert_eq!(stopped, Ok(failed("CLAIM_CLAIMABLE_BALANCE_NOT_AUTHORIZED")));
    stage.close_at(ours.terms.deadline());
    let consumer = stage.consumer.clone();
    let before = stage.holds(&consumer);
    assert_eq!(stage.run(&consumer, ours.terms.timeout_operations(ours.balance)), Verdict::Done);
    assert_eq!(stage.holds(&consumer) - before, 20 * COIN);
}

#[test]
fn a_payee_that_the_issuer_freezes_is_paid_nothing_and_what_is_its_by_timeout_waits_for_it() {
    let (mut stage, ours) = freezable();
    let (consumer, recipient) = (stage.consumer.clone(), stage.recipient.clone());
    freeze(&mut stage, AccountId::of(&recipient), true);
    assert!(stage.verify(&ours).is_ok(), "the escrow itself is as agreed");
    let (provider, own) = (stage.provider_key.clone(), stage.consumer_key.clone());
    let settlement = stage.settlement(&ours, &provider_gets_all(), Side::Provider).unwrap();
    let stopped = stage.settle(&settlement, Side::Provider, &[&provider, &own]);
    assert_eq!(stopped, Ok(failed("PAYMENT_NOT_AUTHORIZED")));
    // Not even the beneficiary, where it is frozen too; nobody else has it meanwhile.
    freeze(&mut stage, AccountId::of(&consumer), true);
    stage.close_at(ours.terms.deadline());
    let claim = ours.terms.timeout_operations(ours.balance);
    assert_eq!(stage.run(&consumer, claim.clone()), failed("CLAIM_CLAIMABLE_BALANCE_NOT_AUTHORIZED"));
    freeze(&mut stage, AccountId::of(&consumer), false);
    assert_eq!(stage.run(&consumer, claim), Verdict::Done);
}

#[test]
fn where_an_issuer_must_allow_each_holder_a_controller_locks_the_money_for_nothing() {
    let mut stage = Stage::new(1, true);
    let (issuer, asset, network) = (stage.issuer.clone(), stage.asset(), stage.network());
    assert_eq!(stage.run(&issuer, vec![operation::set_flags(AUTH_REQUIRED)]), Verdict::Done);
    let (consumer, terms) = (stage.consumer.clone(), stage.terms(TimeoutBeneficiary::Consumer));
    let (key, before_ledger) = (SigningKey::from_bytes(&[0x77; 32]), stage.before_ledger());
    let controller = AccountId::of(&key);
    let operations = terms.fund_operations(controller, before_ledger, &network, &LedgerParams::USUAL).unwrap();
    let transaction = stage.transaction(&consumer, operations);
    let transaction = Unsigned { bounds: terms.fund_bounds(terms.deadline(), before_ledger), ..transaction };
    assert_eq!(sign_and_submit(&mut stage, &transaction, &[&consumer, &key]), Verdict::Done);
    let balance = terms.balance_at(transaction.sequence);
    let unlock = terms.controller(controller).unlock(start(before_ledger));
    let escrow = Escrow { sequence: transaction.sequence, balance, controller, unlock, terms };
    let refused = stage.verify(&escrow);
    assert_eq!(refused, Err(EscrowMismatch::Controller(ControllerMismatch::NotAuthorized)));
    // Nobody starts on it, and nobody can give it back before T either.
    let (provider, own) = (stage.provider_key.clone(), stage.consumer_key.clone());
    let back = Division { recipient: Stroops::ZERO, consumer: twenty(), arbiters: vec![] };
    let settlement = stage.settlement(&escrow, &back, Side::Consumer).unwrap();
    let stopped = stage.settle(&settlement, Side::Consumer, &[&provider, &own]);
    assert_eq!(stopped, Ok(failed("CLAIM_CLAIMABLE_BALANCE_NOT_AUTHORIZED")));

    // Ours: both sides look at the issuer before anything is agreed.
    let issuer = stage.account(AccountId::of(&issuer)).map(Entry::Account);
    assert!(controller::may_hold(&asset, issuer.as_slice()).is_err());
    assert_eq!(controller::may_hold(&Asset::Native, &[]), Ok(()));
}

#[test]
fn a_timed_escrow_whose_two_sides_are_one_account_is_no_balance_at_all() {
    let mut stage = Stage::new(1, false);
    let (consumer, recipient) = (stage.consumer.clone(), stage.recipient.clone());
    let deadline = soon(&mut stage);
    let shape = |beneficiary: &SigningKey| Shape {
        funder: AccountId::of(&consumer),
        controller: AccountId::of(&recipient),
        beneficiary: AccountId::of(beneficiary),
        commits_to: [0x66; 32],
        deadline,
        asset: Asset::Native,
        amount: twenty(),
    };
    // So `timed` can't pay the provider by timeout.
    let twice = stage.run(&consumer, vec![shape(&recipient).operation().unwrap()]);
    assert_eq!(twice, Verdict::Refused("CREATE_CLAIMABLE_BALANCE_MALFORMED".into()));
    assert_eq!(stage.run(&consumer, vec![shape(&consumer).operation().unwrap()]), Verdict::Done);
}
