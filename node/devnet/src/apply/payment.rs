//! Payment.

use stellar_xdr::{Asset, OperationResult, PaymentOp, PaymentResult};

use super::{Coded, Scope};
use crate::asset::{self, HoldingError};
use crate::events::Party;

pub(super) fn check(op: &PaymentOp) -> Result<(), OperationResult> {
    if op.amount <= 0 || !asset::well_formed(&op.asset) {
        return Err(PaymentResult::Malformed.op());
    }
    Ok(())
}

/// Credits the destination before it debits the source, as the network does:
/// where both fail, the destination's code is reported.
pub(super) fn apply(op: &PaymentOp, scope: &mut Scope<'_>) -> Result<PaymentResult, OperationResult> {
    let destination = op.destination.clone().account_id();
    let (from, to) = (scope.source_party(), Party::Account(op.destination.clone()));
    if op.asset == Asset::Native && destination == scope.source {
        scope.tell_moved(&op.asset, &from, &to, op.amount);
        return Ok(PaymentResult::Success);
    }
    // What is sent to its issuer is burnt, whether or not the issuer exists.
    let to_issuer = asset::issuer(&op.asset) == Some(&destination);
    if !to_issuer && scope.state.account(&destination).is_none() {
        return Err(PaymentResult::NoDestination.op());
    }
    asset::credit(scope.state, &destination, &op.asset, op.amount).map_err(|e| {
        match e {
            HoldingError::NoTrust => PaymentResult::NoTrust,
            HoldingError::NotAuthorized => PaymentResult::NotAuthorized,
            HoldingError::Full | HoldingError::Short => PaymentResult::LineFull,
        }
        .op()
    })?;
    asset::debit(scope.state, &scope.source, &op.asset, op.amount, scope.context).map_err(|e| {
        match e {
            HoldingError::NoTrust => PaymentResult::SrcNoTrust,
            HoldingError::NotAuthorized => PaymentResult::SrcNotAuthorized,
            HoldingError::Full | HoldingError::Short => PaymentResult::Underfunded,
        }
        .op()
    })?;
    scope.tell_moved(&op.asset, &from, &to, op.amount);
    Ok(PaymentResult::Success)
}
