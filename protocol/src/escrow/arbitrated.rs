//! The `arbitrated` escrow: before T both parties, or one and a majority of arbiters, say who is paid; from T on the
//! timeout beneficiary takes it.

use core::time::Duration;

use bincode::{Decode, Encode};
use stellar_xdr::OperationBody;

use crate::account::{AccountId, ServingKey};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::escrow::TermsError;
use crate::escrow::controller::{Controller, ControllerMismatch, Signers};
use crate::escrow::funding::{self, FundingRefused, FundingSeen};
use crate::escrow::shape::{EscrowMismatch, Shape, VerifiedEscrow};
use crate::message::{BalanceId, BindingId};
use crate::network_id::NetworkId;
use crate::stellar::entry::{AccountState, BalanceState, TrustlineState};
use crate::stellar::envelope::SignedTransaction;
use crate::stellar::predicate::Predicate;
use crate::stellar::reserve::LedgerParams;
use crate::stellar::transaction::Bounds;
use crate::stellar::xdr::{self, XdrError};
use crate::stellar::{Operation, balance_id, operation};
use crate::time::Timestamp;

/// Base reserves that the balance locks until it is claimed: one a claimant. The controller's come on top.
pub const RESERVES: u32 = 3;

/// Who takes an escrow from T on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum TimeoutBeneficiary {
    /// The consumer gets its money back.
    Consumer,
    /// The recipient is paid, because the consumer's own request said `pay_unless_disputed`.
    Recipient,
}

/// One of a binding's arbiters, as it engaged itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Arbiter {
    /// Signs awards.
    pub key: ServingKey,
    /// The account that its fee goes to.
    pub payee: AccountId,
    /// What it gets of the escrow for an award that it signs.
    pub fee: Stroops,
}

/// What an `arbitrated` escrow is to hold, as agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArbitratedTerms {
    binding: BindingId,
    consumer: AccountId,
    recipient: AccountId,
    beneficiary: TimeoutBeneficiary,
    signers: Signers,
    arbiters: Vec<Arbiter>,
    asset: Asset,
    amount: Stroops,
    deadline: Timestamp,
}

/// Who agrees on an `arbitrated` escrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parties {
    /// Who pays.
    pub consumer: AccountId,
    /// Signs for the consumer in this trade.
    pub consumer_key: ServingKey,
    /// Who is paid.
    pub recipient: AccountId,
    /// Signs for the provider.
    pub provider_key: ServingKey,
    /// Who decides where the two don't agree; an odd number.
    pub arbiters: Vec<Arbiter>,
    /// Who takes it from T on.
    pub beneficiary: TimeoutBeneficiary,
}

/// What the ledger shows of an `arbitrated` escrow.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The balance.
    pub balance: &'a BalanceState,
    /// The account that may claim it before T.
    pub controller: Option<&'a AccountState>,
    /// That account's trustline, where the asset needs one.
    pub line: Option<&'a TrustlineState>,
}

impl ArbitratedTerms {
    /// The terms of one binding's escrow; `deadline` is T.
    ///
    /// # Errors
    /// [`TermsError`] where they can't be an escrow.
    pub fn new(
        binding: BindingId,
        parties: Parties,
        asset: Asset,
        amount: Stroops,
        deadline: Timestamp,
    ) -> Result<Self, TermsError> {
        let Parties { consumer, consumer_key, recipient, provider_key, arbiters, beneficiary } = parties;
        TermsError::check(binding, consumer, recipient, amount)?;
        let signers = Signers::new(provider_key, consumer_key, arbiters.iter().map(|a| a.key).collect())?;
        let fees = arbiters.iter().try_fold(Stroops::ZERO, |sum, arbiter| sum.plus(arbiter.fee));
        if fees.is_none_or(|fees| fees >= amount) {
            return Err(TermsError::FeesTakeAll);
        }
        Ok(Self { binding, consumer, recipient, beneficiary, signers, arbiters, asset, amount, deadline })
    }

    /// The binding whose money it is.
    pub const fn binding(&self) -> BindingId {
        self.binding
    }

    /// Who pays.
    pub const fn consumer(&self) -> AccountId {
        self.consumer
    }

    /// Who is paid.
    pub const fn recipient(&self) -> AccountId {
        self.recipient
    }

    /// Who takes it from T on.
    pub const fn beneficiary(&self) -> AccountId {
        match self.beneficiary {
            TimeoutBeneficiary::Consumer => self.consumer,
            TimeoutBeneficiary::Recipient => self.recipient,
        }
    }

    /// Which of the two that is.
    pub const fn timeout_beneficiary(&self) -> TimeoutBeneficiary {
        self.beneficiary
    }

    /// Who moves the controller.
    pub const fn signers(&self) -> &Signers {
        &self.signers
    }

    /// Who decides where the parties don't agree.
    pub fn arbiters(&self) -> &[Arbiter] {
        &self.arbiters
    }

    /// What is locked.
    pub const fn asset(&self) -> &Asset {
        &self.asset
    }

    /// How much is locked.
    pub const fn amount(&self) -> Stroops {
        self.amount
    }

    /// The terms of an escrow that was agreed like this and holds another amount.
    #[must_use]
    pub fn holding(&self, amount: Stroops) -> Self {
        Self { amount, ..self.clone() }
    }

    /// T.
    pub const fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// The balance that the consumer's funding with this sequence number creates.
    pub fn balance_at(&self, sequence: i64) -> BalanceId {
        balance_id::of_operation(self.consumer, sequence, 0)
    }

    fn shape(&self, controller: AccountId) -> Shape {
        Shape {
            funder: self.consumer,
            controller,
            beneficiary: self.beneficiary(),
            commits_to: *self.binding.as_bytes(),
            deadline: self.deadline,
            asset: self.asset.clone(),
            amount: self.amount,
        }
    }

    /// The controller of this escrow that is this account.
    pub const fn controller(&self, account: AccountId) -> Controller<'_> {
        Controller { account, signers: &self.signers, asset: &self.asset, deadline: self.deadline }
    }

    /// What the consumer sends to fund it, in this order: the balance, and the controller that may claim it. The
    /// transaction has to be in a ledger below `before_ledger` ([`ArbitratedTerms::fund_bounds`]), and both the consumer
    /// and the controller's key sign it.
    ///
    /// # Errors
    /// Never in practice: three claimants fit.
    pub fn fund_operations(
        &self,
        controller: AccountId,
        before_ledger: u32,
        network: &NetworkId,
        params: &LedgerParams,
    ) -> Result<Vec<Operation>, XdrError> {
        let mut operations = vec![self.shape(controller).operation()?];
        operations.extend(self.controller(controller).operations(before_ledger, network, params)?);
        Ok(operations)
    }

    /// When the funding may be included.
    pub const fn fund_bounds(&self, fund_by: Timestamp, before_ledger: u32) -> Bounds {
        Bounds { before_ledger: Some(before_ledger), ..Bounds::until(fund_by) }
    }

    /// Checks the signed funding that the consumer hands over before submitting it: every operation, bound and
    /// signature.
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
        funding::check_source(&funding, self.consumer)?;
        let (expected, found) = (self.signers.operations(&self.asset) as usize, funding.operations().len());
        if found != expected {
            return Err(FundingRefused::OperationCount { expected, found });
        }
        let bounds = funding::check_bounds(&funding, fund_by)?;
        let before_ledger = bounds.before_ledger.ok_or(FundingRefused::NoLastLedger)?;
        let controller = self.check_operations(funding.operations(), before_ledger, network, params)?;
        funding::check_fee(&funding, params)?;
        funding::check_signatures(&funding, &[("the consumer", self.consumer), ("the controller", controller)])?;
        Ok(FundingSeen {
            balance: self.balance_at(funding.sequence()),
            controller: Some(controller),
            hash: funding.hash(),
            sequence: funding.sequence(),
            max_time: bounds.until,
            fee: funding.fee(),
        })
    }

    /// The controller that these operations make, where all of them are as agreed.
    fn check_operations(
        &self,
        operations: &[Operation],
        before_ledger: u32,
        network: &NetworkId,
        params: &LedgerParams,
    ) -> Result<AccountId, FundingRefused> {
        let Some([first, second]) = operations.first_chunk() else { return Err(FundingRefused::NoController) };
        let OperationBody::CreateAccount(create) = &second.body else { return Err(FundingRefused::NoController) };
        let controller = xdr::read_account(&create.destination);
        if self.has_part(controller) {
            return Err(FundingRefused::ControllerIsParty(controller));
        }
        funding::check_escrow(first, &self.shape(controller))?;
        let agreed = self.controller(controller).operations(before_ledger, network, params)?;
        for (index, (found, agreed)) in operations.iter().zip([first].into_iter().chain(&agreed)).enumerate() {
            if found != agreed {
                let (expected, found) = (format!("{:?}", agreed.body), found.body.name());
                return Err(FundingRefused::ControllerOperation { index, expected, found });
            }
        }
        Ok(controller)
    }

    fn has_part(&self, account: AccountId) -> bool {
        let signs = self.signers.weights().any(|(key, _)| key.as_bytes() == account.as_bytes());
        signs || [self.consumer, self.recipient].contains(&account) || account.as_bytes() == self.binding.as_bytes()
    }

    /// The account that may claim a balance before T, by the balance's own word.
    pub fn controller_of(balance: &BalanceState) -> Option<AccountId> {
        let before = |p: &Predicate| matches!(p, Predicate::Before(_));
        balance.claimants.iter().find(|c| before(&c.predicate)).map(|c| c.account)
    }

    /// Compares every field of balance, controller and trustline on the ledger with what was agreed.
    ///
    /// # Errors
    /// The first difference.
    pub fn verify(&self, found: &Standing<'_>, network: &NetworkId) -> Result<VerifiedEscrow, EscrowMismatch> {
        let named = Self::controller_of(found.balance);
        let controller = named.or(found.controller.map(|c| c.id)).unwrap_or(self.consumer);
        let verified = self.shape(controller).verify(found.balance)?;
        let account = found.controller.ok_or(ControllerMismatch::Missing(controller))?;
        self.controller(controller).verify(account, found.line, network)?;
        Ok(verified)
    }

    /// What the timeout beneficiary sends to take it from T on.
    pub fn timeout_operations(&self, balance: BalanceId) -> Vec<Operation> {
        vec![operation::claim(balance)]
    }

    /// When the beneficiary's claim may be included: from T on, `life` long from `now` or from T, whichever is later.
    pub fn timeout_bounds(&self, now: Timestamp, life: Duration) -> Bounds {
        Bounds { from: self.deadline, ..Bounds::until(self.deadline.max(now).plus(life)) }
    }
}

#[cfg(test)]
pub(in crate::escrow) mod tests;
