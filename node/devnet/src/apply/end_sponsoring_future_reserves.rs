//! EndSponsoringFutureReserves.

use stellar_xdr::{EndSponsoringFutureReservesResult, OperationResult};

use super::{Coded, Scope};

/// The source is the sponsored account: it thereby agrees.
pub(super) fn apply(scope: &mut Scope<'_>) -> Result<EndSponsoringFutureReservesResult, OperationResult> {
    if !scope.sandwiches.close(&scope.source) {
        return Err(EndSponsoringFutureReservesResult::NotSponsored.op());
    }
    Ok(EndSponsoringFutureReservesResult::Success)
}
