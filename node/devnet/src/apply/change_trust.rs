//! ChangeTrust, for issued assets.

use stellar_xdr::{
    AccountFlags, AccountId, Asset, ChangeTrustAsset, ChangeTrustOp, ChangeTrustResult, LedgerEntryData,
    OperationResult, TrustLineAsset, TrustLineEntry, TrustLineEntryExt, TrustLineFlags,
};

use super::{Coded, Scope, reserve_failure};
use crate::asset;
use crate::sponsorship;
use crate::state::trustline_key;

pub(super) fn check(op: &ChangeTrustOp, source: &AccountId) -> Result<(), OperationResult> {
    let line = issued(&op.line)?;
    let malformed =
        op.limit < 0 || !asset::well_formed(&line) || asset::issuer(&line).is_none_or(|issuer| issuer == source);
    if malformed {
        return Err(ChangeTrustResult::Malformed.op());
    }
    Ok(())
}

pub(super) fn apply(op: &ChangeTrustOp, scope: &mut Scope<'_>) -> Result<ChangeTrustResult, OperationResult> {
    let asset = issued(&op.line)?;
    match scope.state.trustline(&scope.source, &asset).cloned() {
        Some(line) => change(op, line, &asset, scope),
        None => create(op, &asset, scope),
    }
}

fn change(
    op: &ChangeTrustOp,
    mut line: TrustLineEntry,
    asset: &Asset,
    scope: &mut Scope<'_>,
) -> Result<ChangeTrustResult, OperationResult> {
    let liabilities = asset::line_liabilities(&line);
    if op.limit < line.balance.saturating_add(liabilities.buying) {
        return Err(ChangeTrustResult::InvalidLimit.op());
    }
    if op.limit == 0 {
        sponsorship::remove(scope.state, &trustline_key(&scope.source, asset));
        return Ok(ChangeTrustResult::Success);
    }
    issuer_flags(asset, scope)?;
    line.limit = op.limit;
    scope.state.put(LedgerEntryData::Trustline(line));
    Ok(ChangeTrustResult::Success)
}

fn create(op: &ChangeTrustOp, asset: &Asset, scope: &mut Scope<'_>) -> Result<ChangeTrustResult, OperationResult> {
    if op.limit == 0 {
        return Err(ChangeTrustResult::InvalidLimit.op());
    }
    let issuer_flags = issuer_flags(asset, scope)?;
    let mut flags = 0;
    if issuer_flags & AccountFlags::RequiredFlag as u32 == 0 {
        flags |= TrustLineFlags::AuthorizedFlag as u32;
    }
    // Only here does a trustline learn that it can be clawed back.
    if issuer_flags & AccountFlags::ClawbackEnabledFlag as u32 != 0 {
        flags |= TrustLineFlags::TrustlineClawbackEnabledFlag as u32;
    }
    let line = TrustLineEntry {
        account_id: scope.source.clone(),
        asset: match asset.clone() {
            Asset::Native => TrustLineAsset::Native,
            Asset::CreditAlphanum4(a) => TrustLineAsset::CreditAlphanum4(a),
            Asset::CreditAlphanum12(a) => TrustLineAsset::CreditAlphanum12(a),
        },
        balance: 0,
        limit: op.limit,
        flags,
        ext: TrustLineEntryExt::V0,
    };
    scope.create(LedgerEntryData::Trustline(line)).map_err(|e| reserve_failure(e, ChangeTrustResult::LowReserve))?;
    Ok(ChangeTrustResult::Success)
}

fn issuer_flags(asset: &Asset, scope: &Scope<'_>) -> Result<u32, OperationResult> {
    asset::issuer(asset)
        .and_then(|issuer| scope.state.account(issuer))
        .map(|issuer| issuer.flags)
        .ok_or_else(|| ChangeTrustResult::NoIssuer.op())
}

fn issued(line: &ChangeTrustAsset) -> Result<Asset, OperationResult> {
    match line {
        ChangeTrustAsset::Native => Ok(Asset::Native),
        ChangeTrustAsset::CreditAlphanum4(a) => Ok(Asset::CreditAlphanum4(a.clone())),
        ChangeTrustAsset::CreditAlphanum12(a) => Ok(Asset::CreditAlphanum12(a.clone())),
        ChangeTrustAsset::PoolShare(_) => Err(OperationResult::OpNotSupported),
    }
}
