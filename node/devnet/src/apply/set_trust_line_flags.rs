//! SetTrustLineFlags.

use stellar_xdr::{
    AccountFlags, AccountId, Asset, LedgerEntryData, OperationResult, SetTrustLineFlagsOp, SetTrustLineFlagsResult,
    TrustLineFlags,
};

use super::{Coded, Scope};
use crate::asset;
use crate::pool;

/// The two flags that authorise, of which a trustline has at most one.
const AUTHORIZATION: u32 =
    TrustLineFlags::AuthorizedFlag as u32 | TrustLineFlags::AuthorizedToMaintainLiabilitiesFlag as u32;
/// All flags that a trustline can have.
const ALL_FLAGS: u32 = AUTHORIZATION | TrustLineFlags::TrustlineClawbackEnabledFlag as u32;

pub(super) fn check(op: &SetTrustLineFlagsOp, source: &AccountId) -> Result<(), OperationResult> {
    // Clawback can be cleared, and is never set: a line has it from its start.
    let malformed = op.asset == Asset::Native
        || !asset::well_formed(&op.asset)
        || asset::issuer(&op.asset) != Some(source)
        || op.trustor == *source
        || op.set_flags & op.clear_flags != 0
        || op.set_flags & !AUTHORIZATION != 0
        || op.set_flags == AUTHORIZATION
        || op.clear_flags & !ALL_FLAGS != 0;
    if malformed {
        return Err(SetTrustLineFlagsResult::Malformed.op());
    }
    Ok(())
}

/// Checks in the network's order: may revoke, trustline, its new state.
pub(super) fn apply(
    op: &SetTrustLineFlagsOp,
    scope: &mut Scope<'_>,
) -> Result<SetTrustLineFlagsResult, OperationResult> {
    let issuer = scope.source_account()?;
    let revocable = issuer.flags & AccountFlags::RevocableFlag as u32 != 0;
    let upgrades = op.set_flags & TrustLineFlags::AuthorizedFlag as u32 != 0;
    if !revocable && op.clear_flags & AUTHORIZATION != 0 && !upgrades {
        return Err(SetTrustLineFlagsResult::CantRevoke.op());
    }
    let Some(mut line) = scope.state.trustline(&op.trustor, &op.asset).cloned() else {
        return Err(SetTrustLineFlagsResult::NoTrustLine.op());
    };
    let (maintained, authorized) = (asset::maintains(line.flags), asset::authorized(line.flags));
    line.flags = line.flags & !op.clear_flags | op.set_flags;
    if line.flags & AUTHORIZATION == AUTHORIZATION {
        return Err(SetTrustLineFlagsResult::InvalidState.op());
    }
    let revoked = maintained && !asset::maintains(line.flags);
    if asset::authorized(line.flags) != authorized {
        scope.tell_authorized(&op.asset, &op.trustor, !authorized);
    }
    scope.state.put(LedgerEntryData::Trustline(line));
    if revoked {
        pool::leave_all(scope.state, &op.trustor, &op.asset);
    }
    Ok(SetTrustLineFlagsResult::Success)
}
