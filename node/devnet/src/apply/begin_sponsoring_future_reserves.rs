//! BeginSponsoringFutureReserves.

use stellar_xdr::{
    AccountId, BeginSponsoringFutureReservesOp, BeginSponsoringFutureReservesResult as R, OperationResult,
};

use super::{Coded, Scope};

pub(super) fn check(op: &BeginSponsoringFutureReservesOp, source: &AccountId) -> Result<(), OperationResult> {
    if op.sponsored_id == *source {
        return Err(R::Malformed.op());
    }
    Ok(())
}

/// The sponsored account needn't exist yet.
pub(super) fn apply(op: &BeginSponsoringFutureReservesOp, scope: &mut Scope<'_>) -> Result<R, OperationResult> {
    let sandwiches = &mut *scope.sandwiches;
    if sandwiches.sponsor_of(&op.sponsored_id).is_some() {
        return Err(R::AlreadySponsored.op());
    }
    if sandwiches.sponsor_of(&scope.source).is_some() || sandwiches.is_sponsor(&op.sponsored_id) {
        return Err(R::Recursive.op());
    }
    sandwiches.open(op.sponsored_id.clone(), scope.source.clone());
    Ok(R::Success)
}
