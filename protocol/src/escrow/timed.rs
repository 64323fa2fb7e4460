//! The `timed` escrow: the recipient collects before T, else the consumer takes the money back from T on.

use core::time::Duration;

use stellar_xdr::OperationBody;

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::escrow::TermsError;
use crate::escrow::funding::{self, FundingRefused, FundingSeen};
use crate::escrow::outcome::Taken;
use crate::escrow::shape::{EscrowMismatch, Shape, VerifiedEscrow};
use crate::message::{BalanceId, BindingId};
use crate::network_id::NetworkId;
use crate::stellar::entry::BalanceState;
use crate::stellar::envelope::SignedTransaction;
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
        TermsError::check(binding, consumer, recipient, amount)?;
        let shape = Shape {
            funder: consumer,
            controller: recipient,
            beneficiary: consumer,
            commits_to: *binding.as_bytes(),
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
        funding::check_source(&funding, self.consumer())?;
        let [only] = funding.operations() else {
            return Err(FundingRefused::OperationCount { expected: 1, found: funding.operations().len() });
        };
        funding::check_escrow(only, &self.shape)?;
        let bounds = funding::check_bounds(&funding, fund_by)?;
        if bounds.before_ledger.is_some() {
            return Err(FundingRefused::Preconditions);
        }
        funding::check_fee(&funding, params)?;
        funding::check_signatures(&funding, &[("the consumer", self.consumer())])?;
        Ok(FundingSeen {
            balance: self.balance_at(funding.sequence()),
            controller: None,
            hash: funding.hash(),
            sequence: funding.sequence(),
            max_time: bounds.until,
            fee: funding.fee(),
        })
    }

    /// Compares every field of the balance on the ledger with what was agreed.
    ///
    /// # Errors
    /// The first difference.
    pub fn verify(&self, found: &BalanceState) -> Result<VerifiedEscrow, EscrowMismatch> {
        self.shape.verify(found)
    }

    /// What the recipient sends to collect.
    pub fn collect_operations(&self, balance: BalanceId) -> Vec<Operation> {
        vec![operation::claim(balance)]
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
        Bounds { from: self.refund_at(), ..Bounds::until(self.refund_at().max(now).plus(life)) }
    }

    /// Who got the money of `balance` by a successful transaction; `None` where it doesn't claim it.
    pub fn taken_by(&self, balance: BalanceId, transaction: &SignedTransaction) -> Option<Taken> {
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
        let who = claimed?;
        if who == self.consumer() || (who == self.recipient() && paid_back(who)) {
            Some(Taken::ByConsumer)
        } else if who == self.recipient() {
            Some(Taken::ByRecipient)
        } else {
            None
        }
    }
}

#[cfg(test)]
pub(in crate::escrow) mod tests;
