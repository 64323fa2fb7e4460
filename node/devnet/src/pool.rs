//! Liquidity pools, as far as trustlines to their shares need them: nobody
//! can deposit, so every pool is empty.

use stellar_xdr::{
    AccountId, Asset, LedgerEntryData, LedgerKey, LedgerKeyLiquidityPool, LiquidityPoolEntry, LiquidityPoolEntryBody,
    LiquidityPoolEntryConstantProduct, LiquidityPoolParameters, PoolId, TrustLineAsset, TrustLineEntry,
    TrustLineEntryExt, TrustLineEntryExtensionV2, TrustLineEntryExtensionV2Ext, TrustLineEntryV1, TrustLineEntryV1Ext,
};

use crate::asset;
use crate::hash;
use crate::sponsorship;
use crate::state::{State, line_key};

/// The fee that every pool has, in hundredths of a percent.
const FEE: i32 = 30;

/// Why an account can't hold shares of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinError {
    /// It has no trustline to one of the assets.
    LineMissing,
    /// A trustline to one of the assets is not even authorised to maintain
    /// liabilities.
    NotAuthorized,
}

/// Whether there can be such a pool: of two assets in their order.
pub(crate) fn well_formed(parameters: &LiquidityPoolParameters) -> bool {
    let LiquidityPoolParameters::LiquidityPoolConstantProduct(pool) = parameters;
    asset::well_formed(&pool.asset_a)
        && asset::well_formed(&pool.asset_b)
        && pool.asset_a < pool.asset_b
        && pool.fee == FEE
}

/// Returns the id of a pool.
pub(crate) fn id(parameters: &LiquidityPoolParameters) -> PoolId {
    PoolId(stellar_xdr::Hash(hash::sha256(&[&hash::xdr(parameters)])))
}

/// Counts a new trustline to a pool's shares, and makes the pool with the
/// first.
pub(crate) fn join(
    state: &mut State,
    owner: &AccountId,
    parameters: &LiquidityPoolParameters,
) -> Result<(), JoinError> {
    let LiquidityPoolParameters::LiquidityPoolConstantProduct(params) = parameters;
    for asset in [&params.asset_a, &params.asset_b] {
        if !needs_line(owner, asset) {
            continue;
        }
        let mut line = state.trustline(owner, asset).cloned().ok_or(JoinError::LineMissing)?;
        if !asset::maintains(line.flags) {
            return Err(JoinError::NotAuthorized);
        }
        count_use(&mut line, 1);
        state.put(LedgerEntryData::Trustline(line));
    }
    let id = id(parameters);
    let pool = pool(state, &id).unwrap_or_else(|| LiquidityPoolEntryConstantProduct {
        params: params.clone(),
        reserve_a: 0,
        reserve_b: 0,
        total_pool_shares: 0,
        pool_shares_trust_line_count: 0,
    });
    set_holders(state, id, pool, 1);
    Ok(())
}

/// Removes a trustline to a pool's shares, and the pool with the last.
pub(crate) fn leave(state: &mut State, owner: &AccountId, id: &PoolId) {
    sponsorship::remove(state, &line_key(owner, TrustLineAsset::PoolShare(id.clone())));
    let Some(pool) = pool(state, id) else {
        return;
    };
    for asset in [&pool.params.asset_a, &pool.params.asset_b] {
        if let Some(mut line) = state.trustline(owner, asset).cloned() {
            count_use(&mut line, -1);
            state.put(LedgerEntryData::Trustline(line));
        }
    }
    set_holders(state, id.clone(), pool, -1);
}

/// Removes all trustlines of an account to shares of pools of an asset.
pub(crate) fn leave_all(state: &mut State, owner: &AccountId, asset: &Asset) {
    for id in state.pool_shares(owner) {
        if pool(state, &id).is_some_and(|pool| [&pool.params.asset_a, &pool.params.asset_b].contains(&asset)) {
            leave(state, owner, &id);
        }
    }
}

/// Returns how many pools of the account need a trustline.
pub(crate) fn uses(line: &TrustLineEntry) -> i32 {
    match &line.ext {
        TrustLineEntryExt::V1(TrustLineEntryV1 { ext: TrustLineEntryV1Ext::V2(v2), .. }) => v2.liquidity_pool_use_count,
        _ => 0,
    }
}

/// Native coin and what one issues need no trustline.
fn needs_line(owner: &AccountId, asset: &Asset) -> bool {
    asset::issuer(asset).is_some_and(|issuer| issuer != owner)
}

fn count_use(line: &mut TrustLineEntry, change: i32) {
    let count = uses(line) + change;
    debug_assert!(count >= 0);
    line.ext = TrustLineEntryExt::V1(TrustLineEntryV1 {
        liabilities: asset::line_liabilities(line),
        ext: TrustLineEntryV1Ext::V2(TrustLineEntryExtensionV2 {
            liquidity_pool_use_count: count,
            ext: TrustLineEntryExtensionV2Ext::V0,
        }),
    });
}

fn set_holders(state: &mut State, id: PoolId, mut pool: LiquidityPoolEntryConstantProduct, change: i64) {
    pool.pool_shares_trust_line_count += change;
    if pool.pool_shares_trust_line_count == 0 {
        state.remove(&pool_key(&id));
        return;
    }
    let body = LiquidityPoolEntryBody::LiquidityPoolConstantProduct(pool);
    state.put(LedgerEntryData::LiquidityPool(LiquidityPoolEntry { liquidity_pool_id: id, body }));
}

fn pool(state: &State, id: &PoolId) -> Option<LiquidityPoolEntryConstantProduct> {
    match &state.entry(&pool_key(id))?.data {
        LedgerEntryData::LiquidityPool(entry) => {
            let LiquidityPoolEntryBody::LiquidityPoolConstantProduct(pool) = &entry.body;
            Some(pool.clone())
        }
        _ => None,
    }
}

fn pool_key(id: &PoolId) -> LedgerKey {
    LedgerKey::LiquidityPool(LedgerKeyLiquidityPool { liquidity_pool_id: id.clone() })
}
