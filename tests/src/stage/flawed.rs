//! Escrows made otherwise than ours, and what is tried on them: the halves of attacks that succeed.

use ed25519_dalek::SigningKey;
use stellar_xdr::{BeginSponsoringFutureReservesOp, OperationBody, SetOptionsOp, SignerKey, Uint256};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::escrow::arbitrated::TimeoutBeneficiary;
use tradepost_protocol::escrow::controller::{Unlock, start};
use tradepost_protocol::escrow::shape::Shape;
use tradepost_protocol::message::BalanceId;
use tradepost_protocol::stellar::transaction::Unsigned;
use tradepost_protocol::stellar::{Operation, balance_id, operation, xdr};
use tradepost_protocol::time::Timestamp;

use super::{Escrow, Stage, Verdict};

/// What every escrow holds.
pub const fn twenty() -> Stroops {
    Stroops::whole(20)
}

/// An escrow whose controller is made otherwise than ours.
#[derive(Debug, Clone)]
pub struct Flawed {
    /// Its controller.
    pub controller: SigningKey,
    /// Who has how much of a say.
    pub weights: Vec<(SigningKey, u8)>,
    /// What low operations need.
    pub low: u8,
    /// What all others need.
    pub threshold: u8,
    /// Who takes it from T on.
    pub beneficiary: AccountId,
    /// What each byte of its hash claimant is.
    pub commits_to: u8,
    /// T.
    pub deadline: Timestamp,
    /// Whether its funder holds the controller's reserves.
    pub sponsored: bool,
    /// Whether the funding makes the controller, or finds it.
    pub creates: bool,
}

/// Such an escrow, standing.
#[derive(Debug, Clone, Copy)]
pub struct Robbed {
    /// Its controller.
    pub id: AccountId,
    /// Its balance.
    pub balance: BalanceId,
    /// What gives its controller back.
    pub unlock: Unlock,
}

/// An operation of its transaction's own source.
pub fn plain(body: OperationBody) -> Operation {
    Operation { source_account: None, body }
}

fn begin_sponsoring(account: AccountId) -> Operation {
    let op = BeginSponsoringFutureReservesOp { sponsored_id: xdr::account(account) };
    plain(OperationBody::BeginSponsoringFutureReserves(op))
}

fn thresholds(low: u8, others: u8, unlock: SignerKey) -> Operation {
    let mut last = operation::hand_over(unlock, others);
    if let OperationBody::SetOptions(options) = &mut last.body {
        *options = SetOptionsOp { low_threshold: Some(u32::from(low)), ..options.clone() };
    }
    last
}

impl Flawed {
    /// One with these weights and threshold, else as ours.
    pub fn new(stage: &Stage, weights: Vec<(SigningKey, u8)>, threshold: u8, deadline: Timestamp) -> Self {
        Self {
            controller: SigningKey::from_bytes(&[0x77; 32]),
            weights,
            low: threshold,
            threshold,
            beneficiary: AccountId::of(&stage.consumer),
            commits_to: 0x66,
            deadline,
            sponsored: false,
            creates: true,
        }
    }

    /// Its controller's account.
    pub fn id(&self) -> AccountId {
        AccountId::of(&self.controller)
    }

    /// The operation that locks the money.
    ///
    /// # Panics
    /// Never.
    pub fn locks(&self, stage: &Stage) -> Operation {
        let shape = Shape {
            funder: AccountId::of(&stage.consumer),
            controller: self.id(),
            beneficiary: self.beneficiary,
            commits_to: [self.commits_to; 32],
            deadline: self.deadline,
            asset: stage.asset(),
            amount: twenty(),
        };
        shape.operation().expect("three claimants")
    }

    /// Funds it.
    ///
    /// # Panics
    /// Where the ledger doesn't take it.
    pub fn fund(&self, stage: &mut Stage) -> Robbed {
        let (consumer, id) = (stage.consumer.clone(), self.id());
        let before_ledger = stage.before_ledger();
        let unlock =
            Unlock { controller: id, start: start(before_ledger), deadline: self.deadline, threshold: self.threshold };
        let hash = *unlock.hash(&stage.network()).expect("one operation").as_bytes();
        let mut operations = vec![self.locks(stage)];
        if self.sponsored {
            operations.extend([begin_sponsoring(id), operation::create_account(id, Stroops::ZERO)]);
        } else if self.creates {
            operations.push(operation::create_account(id, Stroops::whole(10)));
        }
        let mut its = vec![operation::bump_sequence(start(before_ledger))];
        for (key, weight) in &self.weights {
            its.push(operation::add_signer(ed25519(key), *weight));
        }
        its.push(thresholds(self.low, self.threshold, SignerKey::PreAuthTx(Uint256(hash))));
        if self.sponsored {
            its.push(plain(OperationBody::EndSponsoringFutureReserves));
        }
        operations.extend(its.into_iter().map(|op| operation::by(id, op)));
        let transaction = stage.transaction(&consumer, operations);
        let balance = balance_id::of_operation(AccountId::of(&consumer), transaction.sequence, 0);
        assert_eq!(sign_and_submit(stage, &transaction, &[&consumer, &self.controller]), Verdict::Done);
        assert!(stage.balance(balance).is_some());
        Robbed { id, balance, unlock }
    }
}

/// A key as an account's signer.
pub fn ed25519(key: &SigningKey) -> SignerKey {
    SignerKey::Ed25519(Uint256(key.verifying_key().to_bytes()))
}

/// Signs a transaction by these, submits it and closes.
///
/// # Panics
/// Never.
pub fn sign_and_submit(stage: &mut Stage, transaction: &Unsigned, keys: &[&SigningKey]) -> Verdict {
    let envelope = transaction.sign(keys, &stage.network()).expect("a transaction within XDR's bounds");
    stage.submit(&envelope)
}

/// The deadline of an escrow that is funded now.
pub fn soon(stage: &mut Stage) -> Timestamp {
    stage.terms(TimeoutBeneficiary::Consumer).deadline()
}

/// Claims for a controller and pays the sum to somebody.
pub fn take(controller: AccountId, balance: BalanceId, to: &SigningKey, asset: &Asset) -> Vec<Operation> {
    vec![
        operation::by(controller, operation::claim(balance)),
        operation::by(controller, operation::pay(AccountId::of(to), asset, twenty())),
    ]
}

/// The same with one of ours.
pub fn of(escrow: &Escrow, to: &SigningKey) -> Vec<Operation> {
    take(escrow.controller, escrow.balance, to, escrow.terms.asset())
}

/// What the ledger says where too few have signed.
pub fn bad_auth() -> Verdict {
    Verdict::Refused("OP_BAD_AUTH".into())
}
