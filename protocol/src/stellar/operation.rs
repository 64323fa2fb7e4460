//! The operations that this program sends.

use stellar_xdr::{
    ClaimClaimableBalanceOp, Claimant, ClaimantV0, CreateAccountOp, CreateClaimableBalanceOp, Operation, OperationBody,
    PaymentOp,
};

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::message::BalanceId;
use crate::stellar::balance_id;
use crate::stellar::entry::BalanceClaimant;
use crate::stellar::xdr::{self, XdrError};

/// An operation whose source is the transaction's.
fn plain(body: OperationBody) -> Operation {
    Operation { source_account: None, body }
}

/// Pays `amount` of an asset to an account that exists.
pub fn pay(to: AccountId, asset: &Asset, amount: Stroops) -> Operation {
    let payment = PaymentOp { destination: xdr::muxed(to), asset: xdr::asset(asset), amount: amount.get() };
    plain(OperationBody::Payment(payment))
}

/// Creates an account with a starting balance of native coins.
pub fn create_account(id: AccountId, starting_balance: Stroops) -> Operation {
    let create = CreateAccountOp { destination: xdr::account(id), starting_balance: starting_balance.get() };
    plain(OperationBody::CreateAccount(create))
}

/// Locks `amount` of an asset for claimants.
///
/// # Errors
/// [`XdrError::DoesNotFit`] with more than ten claimants.
pub fn create_balance(asset: &Asset, amount: Stroops, claimants: &[BalanceClaimant]) -> Result<Operation, XdrError> {
    let claimants: Vec<Claimant> = claimants
        .iter()
        .map(|c| {
            Claimant::ClaimantTypeV0(ClaimantV0 {
                destination: xdr::account(c.account),
                predicate: c.predicate.to_xdr(),
            })
        })
        .collect();
    let claimants = claimants.try_into().map_err(|_| XdrError::DoesNotFit("more than ten claimants".into()))?;
    let create = CreateClaimableBalanceOp { asset: xdr::asset(asset), amount: amount.get(), claimants };
    Ok(plain(OperationBody::CreateClaimableBalance(create)))
}

/// Claims a balance for the transaction's source.
pub fn claim(balance: BalanceId) -> Operation {
    let claim = ClaimClaimableBalanceOp { balance_id: balance_id::to_xdr(balance) };
    plain(OperationBody::ClaimClaimableBalance(claim))
}
