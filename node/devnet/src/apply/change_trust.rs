//! ChangeTrust, for issued assets and for shares of pools.

use stellar_xdr::{
    AccountFlags, AccountId, Asset, ChangeTrustAsset, ChangeTrustOp, ChangeTrustResult as R, LedgerEntryData,
    OperationResult, TrustLineAsset, TrustLineEntry, TrustLineEntryExt, TrustLineFlags,
};

use super::{Coded, Scope, reserve_failure};
use crate::asset;
use crate::pool::{self, JoinError};
use crate::sponsorship;
use crate::state::line_key;

pub(super) fn check(op: &ChangeTrustOp, source: &AccountId) -> Result<(), OperationResult> {
    let possible = match &op.line {
        ChangeTrustAsset::PoolShare(parameters) => pool::well_formed(parameters),
        _ => issued(&op.line).is_some_and(|line| {
            asset::well_formed(&line) && asset::issuer(&line).is_some_and(|issuer| issuer != source)
        }),
    };
    if op.limit < 0 || !possible {
        return Err(R::Malformed.op());
    }
    Ok(())
}

pub(super) fn apply(op: &ChangeTrustOp, scope: &mut Scope<'_>) -> Result<R, OperationResult> {
    let asset = line_asset(&op.line);
    match scope.state.line(&line_key(&scope.source, asset.clone())).cloned() {
        Some(line) => change(op, line, scope),
        None => create(op, asset, scope),
    }
}

fn change(op: &ChangeTrustOp, mut line: TrustLineEntry, scope: &mut Scope<'_>) -> Result<R, OperationResult> {
    let liabilities = asset::line_liabilities(&line);
    if op.limit < line.balance.saturating_add(liabilities.buying) {
        return Err(R::InvalidLimit.op());
    }
    if op.limit == 0 {
        return delete(&line, scope);
    }
    if let Some(asset) = issued(&op.line) {
        issuer_flags(&asset, scope)?;
    }
    line.limit = op.limit;
    scope.state.put(LedgerEntryData::Trustline(line));
    Ok(R::Success)
}

fn delete(line: &TrustLineEntry, scope: &mut Scope<'_>) -> Result<R, OperationResult> {
    if pool::uses(line) != 0 {
        return Err(R::CannotDelete.op());
    }
    match &line.asset {
        TrustLineAsset::PoolShare(id) => pool::leave(scope.state, &scope.source, id),
        asset => sponsorship::remove(scope.state, &line_key(&scope.source, asset.clone())),
    }
    Ok(R::Success)
}

fn create(op: &ChangeTrustOp, asset: TrustLineAsset, scope: &mut Scope<'_>) -> Result<R, OperationResult> {
    if op.limit == 0 {
        return Err(R::InvalidLimit.op());
    }
    let flags = match &op.line {
        ChangeTrustAsset::PoolShare(parameters) => {
            pool::join(scope.state, &scope.source, parameters).map_err(|e| match e {
                JoinError::LineMissing => R::TrustLineMissing.op(),
                JoinError::NotAuthorized => R::NotAuthMaintainLiabilities.op(),
            })?;
            0
        }
        line => match issued(line) {
            Some(asset) => first_flags(issuer_flags(&asset, scope)?),
            None => return Err(R::Malformed.op()),
        },
    };
    let line = TrustLineEntry {
        account_id: scope.source.clone(),
        asset,
        balance: 0,
        limit: op.limit,
        flags,
        ext: TrustLineEntryExt::V0,
    };
    scope.create(LedgerEntryData::Trustline(line)).map_err(|e| reserve_failure(e, R::LowReserve))?;
    Ok(R::Success)
}

/// Returns the flags that a trustline starts with.
fn first_flags(issuer: u32) -> u32 {
    let mut flags = 0;
    if issuer & AccountFlags::RequiredFlag as u32 == 0 {
        flags |= TrustLineFlags::AuthorizedFlag as u32;
    }
    // Only here does a trustline learn that it can be clawed back.
    if issuer & AccountFlags::ClawbackEnabledFlag as u32 != 0 {
        flags |= TrustLineFlags::TrustlineClawbackEnabledFlag as u32;
    }
    flags
}

fn issuer_flags(asset: &Asset, scope: &Scope<'_>) -> Result<u32, OperationResult> {
    asset::issuer(asset)
        .and_then(|issuer| scope.state.account(issuer))
        .map(|issuer| issuer.flags)
        .ok_or_else(|| R::NoIssuer.op())
}

fn line_asset(line: &ChangeTrustAsset) -> TrustLineAsset {
    match line {
        ChangeTrustAsset::Native => TrustLineAsset::Native,
        ChangeTrustAsset::CreditAlphanum4(a) => TrustLineAsset::CreditAlphanum4(a.clone()),
        ChangeTrustAsset::CreditAlphanum12(a) => TrustLineAsset::CreditAlphanum12(a.clone()),
        ChangeTrustAsset::PoolShare(parameters) => TrustLineAsset::PoolShare(pool::id(parameters)),
    }
}

/// Returns the asset of an issuer, if the line is to one.
fn issued(line: &ChangeTrustAsset) -> Option<Asset> {
    asset::of_line(&line_asset(line)).filter(|asset| *asset != Asset::Native)
}
