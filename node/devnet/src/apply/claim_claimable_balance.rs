//! ClaimClaimableBalance.

use stellar_xdr::{ClaimClaimableBalanceOp, ClaimClaimableBalanceResult, Claimant, OperationResult};

use super::{Coded, Scope};
use crate::asset::{self, HoldingError};
use crate::events::Party;
use crate::predicate;
use crate::sponsorship;
use crate::state::balance_key;

/// Pays the balance to the operation's source and gives the reserves back to
/// whoever is recorded as sponsor.
pub(super) fn apply(
    op: &ClaimClaimableBalanceOp,
    scope: &mut Scope<'_>,
) -> Result<ClaimClaimableBalanceResult, OperationResult> {
    let Some(balance) = scope.state.balance(&op.balance_id).cloned() else {
        return Err(ClaimClaimableBalanceResult::DoesNotExist.op());
    };
    let entitled = balance.claimants.iter().any(|claimant| {
        let Claimant::ClaimantTypeV0(v0) = claimant;
        v0.destination == scope.source && predicate::holds(&v0.predicate, scope.context.close_time)
    });
    if !entitled {
        return Err(ClaimClaimableBalanceResult::CannotClaim.op());
    }
    asset::credit(scope.state, &scope.source, &balance.asset, balance.amount).map_err(|e| {
        match e {
            HoldingError::NoTrust => ClaimClaimableBalanceResult::NoTrust,
            HoldingError::NotAuthorized => ClaimClaimableBalanceResult::NotAuthorized,
            HoldingError::Full | HoldingError::Short => ClaimClaimableBalanceResult::LineFull,
        }
        .op()
    })?;
    sponsorship::remove(scope.state, &balance_key(&op.balance_id));
    let (from, to) = (Party::Balance(op.balance_id.clone()), scope.source_party());
    scope.tell_moved(&balance.asset, &from, &to, balance.amount);
    Ok(ClaimClaimableBalanceResult::Success)
}
