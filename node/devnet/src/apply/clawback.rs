//! Clawback.

use stellar_xdr::{
    AccountId, Asset, ClawbackOp, ClawbackResult, LedgerEntryData, MuxedAccount, OperationResult, TrustLineFlags,
    Uint256,
};

use super::{Coded, Scope};
use crate::asset;
use crate::events::Party;
use crate::hash;

pub(super) fn check(op: &ClawbackOp, source: &AccountId) -> Result<(), OperationResult> {
    // As on the network, a muxed form of the source isn't seen as the source
    // here; it has no trustline to its own asset.
    let malformed = op.from == MuxedAccount::Ed25519(Uint256(*hash::key_bytes(source)))
        || op.amount <= 0
        || op.asset == Asset::Native
        || !asset::well_formed(&op.asset)
        || asset::issuer(&op.asset) != Some(source);
    if malformed {
        return Err(ClawbackResult::Malformed.op());
    }
    Ok(())
}

/// Burns what a trustline holds, whether or not it is authorised.
pub(super) fn apply(op: &ClawbackOp, scope: &mut Scope<'_>) -> Result<ClawbackResult, OperationResult> {
    let from = op.from.clone().account_id();
    let Some(mut line) = scope.state.trustline(&from, &op.asset).cloned() else {
        return Err(ClawbackResult::NoTrust.op());
    };
    if line.flags & TrustLineFlags::TrustlineClawbackEnabledFlag as u32 == 0 {
        return Err(ClawbackResult::NotClawbackEnabled.op());
    }
    if line.balance - asset::line_liabilities(&line).selling < op.amount {
        return Err(ClawbackResult::Underfunded.op());
    }
    line.balance -= op.amount;
    scope.state.put(LedgerEntryData::Trustline(line));
    scope.tell_clawed_back(&op.asset, &Party::Account(op.from.clone()), op.amount);
    Ok(ClawbackResult::Success)
}
