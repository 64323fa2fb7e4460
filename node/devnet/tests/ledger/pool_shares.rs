//! Trustlines to the shares of pools. Nobody can deposit, but what such a
//! line needs, counts and holds up is the network's.

use stellar_xdr::*;

use crate::world::*;

fn of(code: ChangeTrustResult) -> OperationResult {
    OperationResult::OpInner(OperationResultTr::ChangeTrust(code))
}

fn pool_id(pool: &LiquidityPoolParameters) -> PoolId {
    PoolId(Hash(sha256(&pool.to_xdr(Limits::none()).unwrap())))
}

fn share_key(owner: &Key, pool: &LiquidityPoolParameters) -> LedgerKey {
    LedgerKey::Trustline(LedgerKeyTrustLine { account_id: owner.id(), asset: TrustLineAsset::PoolShare(pool_id(pool)) })
}

/// How many trustlines to its shares a pool counts, if it exists.
fn holders(world: &World, pool: &LiquidityPoolParameters) -> Option<i64> {
    let key = LedgerKey::LiquidityPool(LedgerKeyLiquidityPool { liquidity_pool_id: pool_id(pool) });
    let LedgerEntryData::LiquidityPool(entry) = &world.ledger.entry(&key)?.data else {
        unreachable!();
    };
    let LiquidityPoolEntryBody::LiquidityPoolConstantProduct(body) = &entry.body;
    assert_eq!(LiquidityPoolParameters::LiquidityPoolConstantProduct(body.params.clone()), *pool);
    Some(body.pool_shares_trust_line_count)
}

/// An issuer that may revoke, and two holders of its USD.
fn issued() -> (World, Key, [Key; 2], Asset) {
    let mut world = World::new();
    let issuer = world.account("issuer", 100 * XLM);
    world.must(&issuer, options(|o| o.set_flags = Some(AccountFlags::RevocableFlag as u32)));
    let usd = issuer.asset("USD");
    let holders = ["a", "b"].map(|name| world.account(name, 100 * XLM));
    for holder in &holders {
        world.must(holder, trust(&usd, 5));
    }
    (world, issuer, holders, usd)
}

#[test]
fn a_pool_lives_as_long_as_someone_trusts_its_shares() {
    let (mut world, issuer, [a, b], usd) = issued();
    let pool = pool_of(&usd);
    world.must(&a, trust_pool(pool.clone(), 1));
    world.must(&b, trust_pool(pool.clone(), 1));
    // An issuer needs no line to its own asset.
    world.must(&issuer, trust_pool(pool.clone(), 1));
    assert_eq!(holders(&world, &pool), Some(3));
    // A share needs two reserves.
    assert_eq!(world.counters(&a), (3, 0, 0));
    assert_eq!(world.one(&a, trust(&usd, 0)), of(ChangeTrustResult::CannotDelete));
    world.must(&a, trust_pool(pool.clone(), 7));
    for (holder, left) in [(&a, Some(2)), (&b, Some(1)), (&issuer, None)] {
        world.must(holder, trust_pool(pool.clone(), 0));
        assert_eq!(holders(&world, &pool), left);
    }
    assert_eq!(world.counters(&a), (1, 0, 0));
    world.must(&a, trust(&usd, 0));
    assert_eq!(world.counters(&a), (0, 0, 0));
}

#[test]
fn a_share_needs_two_reserves_to_the_stroop_of_its_owner_or_sponsor() {
    let (mut world, _, [a, b], usd) = issued();
    let pool = pool_of(&usd);
    world.drain_to(&a, 5 * RESERVE + 100 - 1);
    assert_eq!(world.one(&a, trust_pool(pool.clone(), 1)), of(ChangeTrustResult::LowReserve));
    assert_eq!(holders(&world, &pool), None);
    let tx = world.next(&b).op(begin(&a)).op_by(&a, trust_pool(pool.clone(), 1)).op_by(&a, end());
    assert!(world.run(tx, &[&a, &b]).succeeded());
    assert_eq!((world.counters(&a), world.counters(&b)), ((3, 2, 0), (1, 0, 2)));
    // One stroop is missing.
    let low = OperationResult::OpInner(OperationResultTr::RevokeSponsorship(RevokeSponsorshipResult::LowReserve));
    assert_eq!(world.one(&b, revoke(share_key(&a, &pool))), low);
    world.must(&b, pay(&a, Asset::Native, 1));
    world.must(&b, revoke(share_key(&a, &pool)));
    assert_eq!((world.counters(&a), world.counters(&b)), ((3, 0, 0), (1, 0, 0)));
}

#[test]
fn a_revoked_holder_loses_its_shares_of_every_pool_of_the_asset() {
    let (mut world, issuer, [a, b], usd) = issued();
    let eur = b.asset("EUR");
    world.must(&a, trust(&eur, 5));
    let (asset_a, asset_b) = if eur < usd { (eur.clone(), usd.clone()) } else { (usd.clone(), eur.clone()) };
    let both = LiquidityPoolParameters::LiquidityPoolConstantProduct(LiquidityPoolConstantProductParameters {
        asset_a,
        asset_b,
        fee: 30,
    });
    for pool in [pool_of(&usd), pool_of(&eur), both.clone()] {
        world.must(&a, trust_pool(pool, 1));
    }
    assert_eq!(world.counters(&a), (8, 0, 0));
    // To maintain liabilities is enough for shares.
    world.must(&issuer, set_trust_flags(&a, &usd, 1, 2));
    assert_eq!(world.counters(&a), (8, 0, 0));
    world.must(&issuer, set_trust_flags(&a, &usd, 2, 0));
    assert_eq!(world.counters(&a), (4, 0, 0));
    assert_eq!(holders(&world, &both), None);
    assert_eq!(holders(&world, &pool_of(&eur)), Some(1));
    world.must(&a, trust(&usd, 0));
    assert_eq!(world.one(&a, trust(&eur, 0)), of(ChangeTrustResult::CannotDelete));
}

#[test]
fn a_pool_has_two_different_assets_in_order_and_the_one_fee() {
    let (mut world, _, [a, _], usd) = issued();
    let pool = |asset_a: &Asset, asset_b: &Asset, fee| {
        LiquidityPoolParameters::LiquidityPoolConstantProduct(LiquidityPoolConstantProductParameters {
            asset_a: asset_a.clone(),
            asset_b: asset_b.clone(),
            fee,
        })
    };
    let native = Asset::Native;
    for bad in
        [pool(&usd, &native, 30), pool(&usd, &usd, 30), pool(&native, &usd, 29), pool(&native, &a.asset("$"), 30)]
    {
        assert_eq!(world.one(&a, trust_pool(bad, 1)), of(ChangeTrustResult::Malformed));
    }
    assert_eq!(world.one(&a, trust_pool(pool_of(&usd), -1)), of(ChangeTrustResult::Malformed));
    assert_eq!(world.one(&a, trust_pool(pool_of(&usd), 0)), of(ChangeTrustResult::InvalidLimit));
}
