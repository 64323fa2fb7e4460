//! The `timed` escrow: the recipient collects before T, else the consumer takes the money back from T on.

use core::time::Duration;

use stellar_xdr::{Memo, OperationBody};

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::escrow::outcome::Taken;
use crate::escrow::shape::{EscrowMismatch, Shape};
use crate::message::{BalanceId, BindingId, TxHash};
use crate::network_id::NetworkId;
use crate::stellar::entry::{BalanceState, read_claimants};
use crate::stellar::envelope::{EnvelopeError, SignedTransaction};
use crate::stellar::reserve::LedgerParams;
use crate::stellar::transaction::Bounds;
use crate::stellar::xdr::{self, XdrError};
use crate::stellar::{Operation, balance_id, operation};
use crate::time::Timestamp;

/// Base reserves that a `timed` escrow locks until it is claimed: one a claimant.
pub const RESERVES: u32 = 3;

/// What a `timed` escrow is to hold, as agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedTerms {
    shape: Shape,
}

/// Terms that can't be an escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// Nothing to lock.
    #[error("an amount of 0 needs no escrow")]
    NothingToHold,
    /// The ledger refuses the same claimant twice.
    #[error("consumer and recipient are the same account; an escrow needs two")]
    SameParty,
    /// Money can't be locked in favour of a key that is the binding's id.
    #[error("a party's account equals the binding's id")]
    PartyIsHash,
}

/// A funding transaction that was handed over and is as agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FundingSeen {
    /// The balance that it will create.
    pub balance: BalanceId,
    /// Its hash.
    pub hash: TxHash,
    /// The sequence number of the consumer's account that it uses.
    pub sequence: i64,
    /// The latest close time of its ledger.
    pub max_time: Timestamp,
    /// The most that it may cost, in stroops.
    pub fee: u32,
}

/// How a funding transaction differs from what was agreed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FundingRefused {
    /// Not readable as a plain transaction.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Another account's transaction.
    #[error("the funding's source is {found}, expected the consumer {expected}")]
    Source {
        /// The consumer.
        expected: AccountId,
        /// Whose it is.
        found: AccountId,
    },
    /// A sequence number that no account can use.
    #[error("the funding's sequence number {found} can't be used")]
    Sequence {
        /// What it has.
        found: i64,
    },
    /// Not exactly one operation.
    #[error("the funding has {found} operations, expected exactly 1")]
    OperationCount {
        /// How many it has.
        found: usize,
    },
    /// The operation acts for another account.
    #[error("the funding's operation has a source of its own, expected the transaction's")]
    OperationSource,
    /// Another operation.
    #[error("the funding's operation is {found}, expected CreateClaimableBalance")]
    Operation {
        /// What it is.
        found: &'static str,
    },
    /// What it locks differs.
    #[error(transparent)]
    Escrow(#[from] EscrowMismatch),
    /// An amount or asset that the ledger would refuse.
    #[error(transparent)]
    Invalid(#[from] XdrError),
    /// A memo.
    #[error("the funding carries a memo, expected none")]
    Memo,
    /// Preconditions besides a latest time.
    #[error("the funding has preconditions besides its latest time, which may keep it from the ledger")]
    Preconditions,
    /// No latest time.
    #[error("the funding may be included at any time, expected {expected} at the latest")]
    NoMaxTime {
        /// The agreed `fund_by`.
        expected: Timestamp,
    },
    /// A latest time after `fund_by`.
    #[error("the funding may be included until {found}, expected {expected} at the latest")]
    MaxTime {
        /// The agreed `fund_by`.
        expected: Timestamp,
        /// What it has.
        found: Timestamp,
    },
    /// A fee that the ledger refuses.
    #[error("the funding offers a fee of {found} stroops, the ledger asks for {least}")]
    Fee {
        /// The ledger's least.
        least: Stroops,
        /// What it offers.
        found: u32,
    },
    /// Not exactly one signature.
    #[error("the funding has {found} signatures, expected exactly the consumer's")]
    SignatureCount {
        /// How many it has.
        found: usize,
    },
    /// Its signature isn't the consumer's.
    #[error("the funding's signature isn't the consumer's for this network")]
    Signature,
}

/// An escrow on the ledger that is as agreed in every field. Only [`TimedTerms::verify`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedEscrow {
    balance: BalanceId,
    amount: Stroops,
    deadline: Timestamp,
}

impl VerifiedEscrow {
    /// The balance that holds it.
    pub const fn balance(&self) -> BalanceId {
        self.balance
    }

    /// How much it holds.
    pub const fn amount(&self) -> Stroops {
        self.amount
    }

    /// T: the recipient collects before, the consumer takes back from then on.
    pub const fn deadline(&self) -> Timestamp {
        self.deadline
    }
}

impl TimedTerms {
    /// The terms of one binding's escrow; `refund_at` is T.
    ///
    /// # Errors
    /// [`TermsError`] where they can't be an escrow.
    pub fn new(
        binding: BindingId,
        consumer: AccountId,
        recipient: AccountId,
        asset: Asset,
        amount: Stroops,
        refund_at: Timestamp,
    ) -> Result<Self, TermsError> {
        if amount.is_zero() {
            return Err(TermsError::NothingToHold);
        }
        if consumer == recipient {
            return Err(TermsError::SameParty);
        }
        let commits_to = *binding.as_bytes();
        if [consumer, recipient].iter().any(|party| *party.as_bytes() == commits_to) {
            return Err(TermsError::PartyIsHash);
        }
        let shape = Shape {
            funder: consumer,
            controller: recipient,
            beneficiary: consumer,
            commits_to,
            deadline: refund_at,
            asset,
            amount,
        };
        Ok(Self { shape })
    }

    /// The binding whose money it is.
    pub fn binding(&self) -> BindingId {
        BindingId::from_bytes(self.shape.commits_to)
    }

    /// Who pays, and takes the money back from T on.
    pub fn consumer(&self) -> AccountId {
        self.shape.funder
    }

    /// Who collects before T.
    pub fn recipient(&self) -> AccountId {
        self.shape.controller
    }

    /// What is locked.
    pub fn asset(&self) -> &Asset {
        &self.shape.asset
    }

    /// How much is locked.
    pub fn amount(&self) -> Stroops {
        self.shape.amount
    }

    /// T.
    pub fn refund_at(&self) -> Timestamp {
        self.shape.deadline
    }

    /// The balance that the consumer's funding with this sequence number creates.
    pub fn balance_at(&self, sequence: i64) -> BalanceId {
        balance_id::of_operation(self.consumer(), sequence, 0)
    }

    /// The consumer's one operation that locks the money.
    ///
    /// # Errors
    /// Never in practice: three claimants fit.
    pub fn fund_operation(&self) -> Result<Operation, XdrError> {
        self.shape.operation()
    }

    /// Checks the signed funding that the consumer hands over before submitting it.
    ///
    /// # Errors
    /// The first difference from what was agreed.
    pub fn check_funding(
        &self,
        network: &NetworkId,
        envelope: &[u8],
        fund_by: Timestamp,
        params: &LedgerParams,
    ) -> Result<FundingSeen, FundingRefused> {
        let funding = SignedTransaction::read(envelope, network)?;
        if funding.source() != self.consumer() {
            return Err(FundingRefused::Source { expected: self.consumer(), found: funding.source() });
        }
        if funding.sequence() <= 0 {
            return Err(FundingRefused::Sequence { found: funding.sequence() });
        }
        self.check_operations(funding.operations())?;
        let max_time = check_conditions(&funding, fund_by)?;
        let least = params.fee(1);
        if i64::from(funding.fee()) < least.get() {
            return Err(FundingRefused::Fee { least, found: funding.fee() });
        }
        if funding.signature_count() != 1 {
            return Err(FundingRefused::SignatureCount { found: funding.signature_count() });
        }
        if !funding.is_signed_by(self.consumer()) {
            return Err(FundingRefused::Signature);
        }
        Ok(FundingSeen {
            balance: self.balance_at(funding.sequence()),
            hash: funding.hash(),
            sequence: funding.sequence(),
            max_time,
            fee: funding.fee(),
        })
    }

    fn check_operations(&self, operations: &[Operation]) -> Result<(), FundingRefused> {
        let [only] = operations else {
            return Err(FundingRefused::OperationCount { found: operations.len() });
        };
        if only.source_account.is_some() {
            return Err(FundingRefused::OperationSource);
        }
        let OperationBody::CreateClaimableBalance(create) = &only.body else {
            return Err(FundingRefused::Operation { found: only.body.name() });
        };
        let (asset, amount) = (xdr::read_asset(&create.asset)?, xdr::read_amount(create.amount)?);
        Ok(self.shape.check(&asset, amount, &read_claimants(&create.claimants))?)
    }

    /// Compares every field of the balance on the ledger with what was agreed.
    ///
    /// # Errors
    /// The first difference.
    pub fn verify(&self, found: &BalanceState) -> Result<VerifiedEscrow, EscrowMismatch> {
        self.shape.verify(found)?;
        Ok(VerifiedEscrow { balance: found.id, amount: found.amount, deadline: self.refund_at() })
    }

    /// What the recipient sends to collect.
    pub fn collect_operations(&self, balance: BalanceId) -> Vec<Operation> {
        vec![operation::claim(balance)]
    }

    /// When collecting and giving back may be included: until `margin` before T.
    pub fn collect_bounds(&self, margin: Duration) -> Bounds {
        Bounds::until(self.refund_at().minus(margin))
    }

    /// What the recipient sends to give the money back before T.
    pub fn give_back_operations(&self, balance: BalanceId) -> Vec<Operation> {
        vec![operation::claim(balance), operation::pay(self.consumer(), self.asset(), self.amount())]
    }

    /// What the consumer sends to take the money back from T on.
    pub fn refund_operations(&self, balance: BalanceId) -> Vec<Operation> {
        vec![operation::claim(balance)]
    }

    /// When the refund may be included: from T on, `life` long from `now` or from T, whichever is later.
    pub fn refund_bounds(&self, now: Timestamp, life: Duration) -> Bounds {
        Bounds { from: self.refund_at(), until: self.refund_at().max(now).plus(life) }
    }

    /// Who got the money of `balance` by a successful transaction with this envelope; `None` where it doesn't claim it.
    ///
    /// # Errors
    /// [`EnvelopeError`] where the envelope can't be read.
    pub fn taken_by(
        &self,
        balance: BalanceId,
        envelope: &[u8],
        network: &NetworkId,
    ) -> Result<Option<Taken>, EnvelopeError> {
        let transaction = SignedTransaction::read(envelope, network)?;
        let acting = |op: &Operation| match &op.source_account {
            None => Some(transaction.source()),
            Some(account) => xdr::read_plain(account),
        };
        let claimed = transaction.operations().iter().find_map(|op| match &op.body {
            OperationBody::ClaimClaimableBalance(c) if balance_id::from_xdr(&c.balance_id) == balance => acting(op),
            _ => None,
        });
        let back = operation::pay(self.consumer(), self.asset(), self.amount());
        let paid_back = |who| transaction.operations().iter().any(|op| acting(op) == Some(who) && op.body == back.body);
        Ok(claimed.and_then(|who| {
            if who == self.consumer() || (who == self.recipient() && paid_back(who)) {
                Some(Taken::ByBeneficiary)
            } else if who == self.recipient() {
                Some(Taken::ByRecipient)
            } else {
                None
            }
        }))
    }
}

/// No memo, and nothing but a latest time of `fund_by` or before.
fn check_conditions(funding: &SignedTransaction, fund_by: Timestamp) -> Result<Timestamp, FundingRefused> {
    if *funding.memo() != Memo::None {
        return Err(FundingRefused::Memo);
    }
    match funding.time_bounds() {
        None | Some((Some(_), _)) => Err(FundingRefused::Preconditions),
        Some((None, None)) => Err(FundingRefused::NoMaxTime { expected: fund_by }),
        Some((None, Some(found))) if found > fund_by => Err(FundingRefused::MaxTime { expected: fund_by, found }),
        Some((None, Some(found))) => Ok(found),
    }
}

#[cfg(test)]
mod tests;
