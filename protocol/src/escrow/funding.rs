//! The funding transaction that a consumer hands over before it is submitted, looked at part by part.

use stellar_xdr::{Memo, OperationBody};

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::escrow::shape::{EscrowMismatch, Shape};
use crate::message::{BalanceId, TxHash};
use crate::stellar::Operation;
use crate::stellar::entry::read_claimants;
use crate::stellar::envelope::{EnvelopeError, SignedTransaction};
use crate::stellar::reserve::LedgerParams;
use crate::stellar::transaction::Bounds;
use crate::stellar::xdr::{self, XdrError};
use crate::time::Timestamp;

/// A funding transaction that was handed over and is as agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FundingSeen {
    /// The balance that it will create.
    pub balance: BalanceId,
    /// The controller that it will create, where the kind has one.
    pub controller: Option<AccountId>,
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
    /// Another number of operations.
    #[error("the funding has {found} operations, expected exactly {expected}")]
    OperationCount {
        /// How many it should have.
        expected: usize,
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
    /// No operation that creates the controller.
    #[error("the funding's second operation doesn't create the controller")]
    NoController,
    /// The controller is somebody who has a part already.
    #[error("the controller {0} is a party or signer of the escrow; it has to be an account of its own")]
    ControllerIsParty(AccountId),
    /// What makes the controller differs.
    #[error("operation {index} of the funding, {found}, doesn't make the controller as agreed: expected {expected}")]
    ControllerOperation {
        /// Which, counted from 0.
        index: usize,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: &'static str,
    },
    /// A memo.
    #[error("the funding carries a memo, expected none")]
    Memo,
    /// Preconditions besides those that the kind has.
    #[error("the funding has other preconditions than agreed, which may keep it from the ledger")]
    Preconditions,
    /// No bound on its ledger's number, without which the controller's sequence number isn't certain.
    #[error("the funding has no latest ledger, so that the controller's sequence number isn't certain")]
    NoLastLedger,
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
    /// Another number of signatures: one too few and it isn't valid, one too many and it isn't either.
    #[error("the funding has {found} signatures, expected exactly {expected}")]
    SignatureCount {
        /// How many it should have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// One of its signatures is missing or wrong.
    #[error("the funding isn't signed by {0} for this network")]
    Signature(&'static str),
}

/// The consumer's own transaction, with a sequence number that it can use.
pub(super) fn check_source(funding: &SignedTransaction, consumer: AccountId) -> Result<(), FundingRefused> {
    if funding.source() != consumer {
        return Err(FundingRefused::Source { expected: consumer, found: funding.source() });
    }
    if funding.sequence() <= 0 {
        return Err(FundingRefused::Sequence { found: funding.sequence() });
    }
    Ok(())
}

/// The operation that locks the money.
pub(super) fn check_escrow(operation: &Operation, shape: &Shape) -> Result<(), FundingRefused> {
    if operation.source_account.is_some() {
        return Err(FundingRefused::OperationSource);
    }
    let OperationBody::CreateClaimableBalance(create) = &operation.body else {
        return Err(FundingRefused::Operation { found: operation.body.name() });
    };
    let (asset, amount) = (xdr::read_asset(&create.asset)?, xdr::read_amount(create.amount)?);
    Ok(shape.check(&asset, amount, &read_claimants(&create.claimants))?)
}

/// No memo, and nothing but a latest time of `fund_by` or before, and perhaps a latest ledger.
pub(super) fn check_bounds(funding: &SignedTransaction, fund_by: Timestamp) -> Result<Bounds, FundingRefused> {
    if *funding.memo() != Memo::None {
        return Err(FundingRefused::Memo);
    }
    match funding.bounds() {
        None => Err(FundingRefused::Preconditions),
        Some(bounds) if bounds.from.secs() != 0 => Err(FundingRefused::Preconditions),
        Some(bounds) if bounds.until.secs() == 0 => Err(FundingRefused::NoMaxTime { expected: fund_by }),
        Some(Bounds { until: found, .. }) if found > fund_by => {
            Err(FundingRefused::MaxTime { expected: fund_by, found })
        }
        Some(bounds) => Ok(bounds),
    }
}

/// At least the ledger's least fee.
pub(super) fn check_fee(funding: &SignedTransaction, params: &LedgerParams) -> Result<(), FundingRefused> {
    let least = params.fee(funding.operations().len() as u32);
    if i64::from(funding.fee()) < least.get() {
        return Err(FundingRefused::Fee { least, found: funding.fee() });
    }
    Ok(())
}

/// Exactly the signatures of these, by the names that a refusal calls them.
pub(super) fn check_signatures(
    funding: &SignedTransaction,
    signers: &[(&'static str, AccountId)],
) -> Result<(), FundingRefused> {
    let (expected, found) = (signers.len(), funding.signature_count());
    if found != expected {
        return Err(FundingRefused::SignatureCount { expected, found });
    }
    match signers.iter().find(|(_, account)| !funding.is_signed_by(*account)) {
        Some((name, _)) => Err(FundingRefused::Signature(name)),
        None => Ok(()),
    }
}
