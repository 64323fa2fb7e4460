//! Taking an `arbitrated` escrow before T: one transaction that pays everyone, and that nobody but its submitter can make
//! fail.
//!
//! It claims for the controller, pays the whole sum to its submitter, and from there the submitter's own side directly,
//! everyone else by balances that they claim when they like: a payment to the other side would fail where that side drops
//! its trustline, and at T it would take all. Each side that gains has a version of its own; all versions divide alike, and
//! since the balance is claimed once, only one can ever take effect.

use core::time::Duration;

use bincode::{Decode, Encode};
use ed25519_dalek::{Signature, Signer, SigningKey};

use crate::account::{AccountId, ServingKey};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::phase::Side;
use crate::escrow::arbitrated::ArbitratedTerms;
use crate::message::{BalanceId, TxHash};
use crate::network_id::NetworkId;
use crate::stellar::entry::{BalanceClaimant, BalanceState};
use crate::stellar::predicate::Predicate;
use crate::stellar::reserve::LedgerParams;
use crate::stellar::transaction::{Bounds, Envelope, Unsigned};
use crate::stellar::xdr::XdrError;
use crate::stellar::{Memo, Operation, balance_id, operation};

/// How an escrow is divided between its parties, and which arbiters said so.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Division {
    /// What the recipient gets.
    pub recipient: Stroops,
    /// What the consumer gets.
    pub consumer: Stroops,
    /// Whose fees are paid: the arbiters that award, in the agreement's order. None where both parties agree.
    pub arbiters: Vec<ServingKey>,
}

/// The account that submits a settlement, and the sequence number that it keeps for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Submitter {
    /// Whose side it is on.
    pub side: Side,
    /// The account.
    pub account: AccountId,
    /// The sequence number.
    pub sequence: i64,
}

/// A settlement that can't be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettlementError {
    /// The parts aren't the whole.
    #[error("the parts add up to {found} stroops with the arbiters' fees, the escrow holds {expected}")]
    Sum {
        /// What the escrow holds.
        expected: Stroops,
        /// What the parts and fees add up to; the most there is where they add up to more.
        found: Stroops,
    },
    /// A key that isn't an arbiter's, or comes twice, or out of order.
    #[error("{0} is not one of the binding's arbiters, or not in its place")]
    NotAnArbiter(ServingKey),
    /// A version for a side that gets nothing has no reason to be.
    #[error("the {}'s side gets nothing, so there is nothing for it to submit", .0.as_str())]
    NothingToGain(Side),
    /// The submitter has another part in it already.
    #[error("{0} can't submit the settlement: it is the escrow's controller or the other side's account")]
    WrongSubmitter(AccountId),
    /// A signature of somebody without a say.
    #[error("{0} has no say over the escrow")]
    NotASigner(ServingKey),
    /// A signature that isn't one of this transaction.
    #[error("the signature of {0} is not one for this settlement")]
    BadSignature(ServingKey),
    /// Too few agree.
    #[error("who agrees weighs {found} together, {needed} is needed: both parties, or one and a majority of arbiters")]
    NotEnough {
        /// The threshold.
        needed: u8,
        /// The weight of those that signed.
        found: u8,
    },
    /// The submitter's key is of another account.
    #[error("the key is {found}'s, the submitter is {expected}")]
    WrongKey {
        /// The submitter.
        expected: AccountId,
        /// Whose key it is.
        found: AccountId,
    },
    /// It can't be built.
    #[error(transparent)]
    Xdr(#[from] XdrError),
}

/// A payee that is paid by a balance of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaidByBalance {
    /// Who may claim it, at any time.
    pub payee: AccountId,
    /// How much it holds.
    pub amount: Stroops,
    /// Its id, known before anything is submitted.
    pub balance: BalanceId,
}

impl PaidByBalance {
    /// Whether a balance on the ledger is as a settlement makes it: of this asset and amount, its payee's alone, at any time. A
    /// number that was named may serve another transaction, whose balance has the same id.
    pub fn is_as_made(&self, found: &BalanceState, asset: &Asset) -> bool {
        let claimant = BalanceClaimant { account: self.payee, predicate: Predicate::Always };
        (found.id, &found.asset, found.amount) == (self.balance, asset, self.amount) && found.claimants == [claimant]
    }
}

/// One version of a settlement, before anyone has signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    terms: ArbitratedTerms,
    transaction: Unsigned,
    balances: Vec<PaidByBalance>,
}

impl Division {
    /// Checks that it divides exactly what an escrow holds, among those who may get it.
    ///
    /// # Errors
    /// [`SettlementError::Sum`], [`SettlementError::NotAnArbiter`].
    pub fn check(&self, terms: &ArbitratedTerms) -> Result<(), SettlementError> {
        let mut places = terms.arbiters().iter();
        let mut sum = self.recipient.plus(self.consumer);
        for key in &self.arbiters {
            let arbiter = places.find(|arbiter| arbiter.key == *key).ok_or(SettlementError::NotAnArbiter(*key))?;
            sum = sum.and_then(|sum| sum.plus(arbiter.fee));
        }
        let (expected, found) = (terms.amount(), sum.unwrap_or(Stroops::MAX));
        if sum == Some(expected) { Ok(()) } else { Err(SettlementError::Sum { expected, found }) }
    }

    /// What a side gets.
    pub const fn of(&self, side: Side) -> Stroops {
        match side {
            Side::Provider => self.recipient,
            Side::Consumer => self.consumer,
        }
    }
}

impl Settlement {
    /// The version that this submitter is to send, not after `margin` before T.
    ///
    /// # Errors
    /// [`SettlementError`] where the division isn't of this escrow, or its submitter's side gains nothing by it.
    pub fn new(
        terms: &ArbitratedTerms,
        (controller, balance): (AccountId, BalanceId),
        division: &Division,
        submitter: Submitter,
        margin: Duration,
        params: &LedgerParams,
    ) -> Result<Self, SettlementError> {
        division.check(terms)?;
        let Submitter { side, account, sequence } = submitter;
        let other_side = match side {
            Side::Provider => Side::Consumer,
            Side::Consumer => Side::Provider,
        };
        if division.of(side).is_zero() {
            return Err(SettlementError::NothingToGain(side));
        }
        let (own, other) = (payee(terms, side), payee(terms, other_side));
        if account == controller || account == other {
            return Err(SettlementError::WrongSubmitter(account));
        }
        let mut operations = vec![
            operation::by(controller, operation::claim(balance)),
            operation::by(controller, operation::pay(account, terms.asset(), terms.amount())),
        ];
        if own != account {
            operations.push(operation::pay(own, terms.asset(), division.of(side)));
        }
        let fees = terms.arbiters().iter().filter(|arbiter| division.arbiters.contains(&arbiter.key));
        let others = [(other, division.of(other_side))].into_iter().chain(fees.map(|a| (a.payee, a.fee)));
        let mut balances = Vec::new();
        for (payee, amount) in others.filter(|(_, amount)| !amount.is_zero()) {
            let balance = balance_id::of_operation(account, sequence, operations.len() as u32);
            balances.push(PaidByBalance { payee, amount, balance });
            operations.push(claimable(terms, payee, amount)?);
        }
        let fee = params.fee(operations.len() as u32).get();
        let transaction = Unsigned {
            source: account,
            sequence,
            fee: u32::try_from(fee).map_err(|_| XdrError::DoesNotFit(format!("a fee of {fee} stroops")))?,
            bounds: Bounds::until(terms.deadline().minus(margin)),
            memo: Memo::None,
            operations,
        };
        Ok(Self { terms: terms.clone(), transaction, balances })
    }

    /// The hash that everyone signs.
    ///
    /// # Errors
    /// Never in practice: it has a few operations.
    pub fn hash(&self, network: &NetworkId) -> Result<TxHash, XdrError> {
        self.transaction.hash(network)
    }

    /// Who is paid by a balance, how much, and under which id.
    pub fn balances(&self) -> &[PaidByBalance] {
        &self.balances
    }

    /// The transaction.
    pub const fn transaction(&self) -> &Unsigned {
        &self.transaction
    }

    /// One signer's word for this version.
    ///
    /// # Errors
    /// Never in practice.
    pub fn sign(&self, key: &SigningKey, network: &NetworkId) -> Result<[u8; 64], XdrError> {
        Ok(key.sign(self.hash(network)?.as_bytes()).to_bytes())
    }

    /// Checks a signer's word for this version, and says what it weighs.
    ///
    /// # Errors
    /// [`SettlementError::NotASigner`], [`SettlementError::BadSignature`].
    pub fn check_signature(
        &self,
        signer: ServingKey,
        signature: &[u8; 64],
        network: &NetworkId,
    ) -> Result<u8, SettlementError> {
        let weight = self.terms.signers().weight(signer);
        if weight == 0 {
            return Err(SettlementError::NotASigner(signer));
        }
        let hash = self.hash(network)?;
        let key = signer.verifying_key().ok_or(SettlementError::BadSignature(signer))?;
        match key.verify_strict(hash.as_bytes(), &Signature::from_bytes(signature)) {
            Ok(()) => Ok(weight),
            Err(_) => Err(SettlementError::BadSignature(signer)),
        }
    }

    /// The transaction to submit: signed by its submitter and by exactly those whose weight is needed, for one signature
    /// too many makes it invalid. Of more signers than needed, both parties are enough; else one party and as many
    /// arbiters as it takes.
    ///
    /// # Errors
    /// [`SettlementError`] where a signature is wrong or they aren't enough.
    pub fn assemble(
        &self,
        submitter: &SigningKey,
        signed: &[(ServingKey, [u8; 64])],
        network: &NetworkId,
    ) -> Result<Envelope, SettlementError> {
        let found = AccountId::of(submitter);
        if found != self.transaction.source {
            return Err(SettlementError::WrongKey { expected: self.transaction.source, found });
        }
        for (signer, signature) in signed {
            self.check_signature(*signer, signature, network)?;
        }
        let enough = self.enough(signed)?;
        let own = (submitter.verifying_key().to_bytes(), self.sign(submitter, network)?);
        // A submitter whose key has a say itself signs once for both.
        let others = enough.into_iter().map(|(key, signature)| (*key.as_bytes(), signature));
        let all: Vec<_> = [own].into_iter().chain(others.filter(|(key, _)| *key != own.0)).collect();
        Ok(self.transaction.assemble(&all, network)?)
    }

    /// Whether these signatures reach the threshold; whether they are right is another question.
    pub fn is_enough(&self, signed: &[(ServingKey, [u8; 64])]) -> bool {
        self.enough(signed).is_ok()
    }

    /// The fewest of these signatures that reach the threshold.
    fn enough(&self, signed: &[(ServingKey, [u8; 64])]) -> Result<Vec<(ServingKey, [u8; 64])>, SettlementError> {
        let signers = self.terms.signers();
        let by = |key: ServingKey| signed.iter().find(|(signer, _)| *signer == key).copied();
        let parties: Vec<_> = [signers.provider(), signers.consumer()].into_iter().filter_map(by).collect();
        let arbiters: Vec<_> = signers.arbiters().iter().copied().filter_map(by).collect();
        let needed = signers.threshold();
        let all = parties.iter().chain(&arbiters);
        let mut weight = 0;
        let enough = all.take_while(|(key, _)| {
            let open = weight < needed;
            weight += if open { signers.weight(*key) } else { 0 };
            open
        });
        let enough: Vec<_> = enough.copied().collect();
        if weight < needed { Err(SettlementError::NotEnough { needed, found: weight }) } else { Ok(enough) }
    }
}

const fn payee(terms: &ArbitratedTerms, side: Side) -> AccountId {
    match side {
        Side::Provider => terms.recipient(),
        Side::Consumer => terms.consumer(),
    }
}

fn claimable(terms: &ArbitratedTerms, account: AccountId, amount: Stroops) -> Result<Operation, XdrError> {
    operation::create_balance(terms.asset(), amount, &[BalanceClaimant { account, predicate: Predicate::Always }])
}

#[cfg(test)]
mod tests;
