//! ClawbackClaimableBalance.

use stellar_xdr::{
    ClaimableBalanceEntry, ClaimableBalanceEntryExt, ClaimableBalanceFlags, ClawbackClaimableBalanceOp,
    ClawbackClaimableBalanceResult, OperationResult,
};

use super::{Coded, Scope};
use crate::asset;
use crate::events::Party;
use crate::sponsorship;
use crate::state::balance_key;

/// Burns a balance, and gives its reserves back to whoever holds them.
pub(super) fn apply(
    op: &ClawbackClaimableBalanceOp,
    scope: &mut Scope<'_>,
) -> Result<ClawbackClaimableBalanceResult, OperationResult> {
    let Some(balance) = scope.state.balance(&op.balance_id).cloned() else {
        return Err(ClawbackClaimableBalanceResult::DoesNotExist.op());
    };
    if asset::issuer(&balance.asset) != Some(&scope.source) {
        return Err(ClawbackClaimableBalanceResult::NotIssuer.op());
    }
    if !clawback_enabled(&balance) {
        return Err(ClawbackClaimableBalanceResult::NotClawbackEnabled.op());
    }
    sponsorship::remove(scope.state, &balance_key(&op.balance_id));
    scope.tell_clawed_back(&balance.asset, &Party::Balance(op.balance_id.clone()), balance.amount);
    Ok(ClawbackClaimableBalanceResult::Success)
}

fn clawback_enabled(balance: &ClaimableBalanceEntry) -> bool {
    match &balance.ext {
        ClaimableBalanceEntryExt::V0 => false,
        ClaimableBalanceEntryExt::V1(v1) => {
            v1.flags & ClaimableBalanceFlags::ClaimableBalanceClawbackEnabledFlag as u32 != 0
        }
    }
}
