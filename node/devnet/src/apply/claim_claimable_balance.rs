//! ClaimClaimableBalance.

use stellar_xdr::{ClaimClaimableBalanceOp, ClaimClaimableBalanceResult, Claimant, OperationResult};

use super::{Coded, Scope};
use crate::account;
use crate::asset::{self, HoldingError};
use crate::predicate;
use crate::state::balance_key;

/// Pays the balance to the operation's source and gives the reserves back to
/// whoever is recorded as sponsor.
pub(super) fn apply(
    op: &ClaimClaimableBalanceOp,
    scope: &mut Scope<'_>,
) -> Result<ClaimClaimableBalanceResult, OperationResult> {
    let Some((balance, sponsor)) = scope.state.balance(&op.balance_id) else {
        return Err(ClaimClaimableBalanceResult::DoesNotExist.op());
    };
    let (balance, sponsor) = (balance.clone(), sponsor.cloned());
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
    if let Some(mut sponsor) = sponsor.and_then(|id| scope.state.account(&id).cloned()) {
        let reserves = u32::try_from(balance.claimants.len()).expect("at most ten claimants");
        account::release(&mut sponsor, reserves);
        scope.state.put_account(sponsor);
    }
    scope.state.remove(&balance_key(&op.balance_id));
    Ok(ClaimClaimableBalanceResult::Success)
}
