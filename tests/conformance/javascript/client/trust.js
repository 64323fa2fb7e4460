// Trustlines, payments in issued assets, authorisation, and clawback.
'use strict';

const assert = require('node:assert/strict');
const { Asset, Claimant, Keypair, LiquidityPoolAsset, Operation } = require('@stellar/stellar-sdk');
const { COIN, options, pay } = require('./accounts');
const { balanceKey, trustlineKey } = require('./network');

const [REQUIRED, REVOCABLE, CLAWBACK] = [1, 2, 8];
const [AUTHORISED, LINE_CLAWBACK] = [1, 4];

const trust = (asset, limit) => Operation.changeTrust({ asset, limit });
const setFlags = (trustor, asset, flags) => Operation.setTrustLineFlags({ trustor: trustor.publicKey(), asset, flags });
const clawback = (asset, from, amount) => Operation.clawback({ asset, from: from.publicKey(), amount });

async function issuerWith(net, flags) {
  const issuer = await net.account();
  if (flags) await net.run(issuer, [options({ setFlags: flags })]);
  return issuer;
}

async function holderOf(net, asset, limit) {
  const holder = await net.account();
  await net.run(holder, [trust(asset, limit)]);
  return holder;
}

const line = (net, holder, asset) => net.server.getTrustline(holder.publicKey(), asset);

async function held(net, holder, asset) {
  return BigInt((await line(net, holder, asset)).balance().toString());
}

async function a_trustline_is_made_changed_and_removed(net) {
  const issuer = await net.account();
  let asset;
  for (const code of ['USD', 'TwelveLetter']) {
    asset = new Asset(code, issuer.publicKey());
    const holder = await holderOf(net, asset, '100');
    assert.equal(BigInt((await line(net, holder, asset)).limit().toString()), 100n * COIN);
    await net.run(issuer, [pay(holder.publicKey(), '60', asset)]);
    await net.run(holder, [trust(asset, '59')], { want: 'CHANGE_TRUST_INVALID_LIMIT' });
    await net.run(holder, [trust(asset, '0')], { want: 'CHANGE_TRUST_INVALID_LIMIT' });
    await net.run(holder, [trust(asset, '60')]);
    assert.equal(BigInt((await line(net, holder, asset)).limit().toString()), 60n * COIN);
    const told = await net.server.getAssetBalance(holder.publicKey(), asset, net.passphrase);
    assert.deepEqual([told.balanceEntry.amount, told.balanceEntry.authorized], ['600000000', true]);
    await net.run(holder, [pay(issuer.publicKey(), '60', asset)]);
    await net.run(holder, [trust(asset, '0')]);
    assert.equal(await net.entry(trustlineKey(holder, asset)), null);
  }
  const poor = await net.account('1.1');
  await net.run(poor, [trust(asset)], { want: 'CHANGE_TRUST_LOW_RESERVE' });
  await net.run(issuer, [trust(asset)], { want: 'CHANGE_TRUST_MALFORMED' });
  const nobodys = new Asset('USD', Keypair.random().publicKey());
  await net.run(poor, [trust(nobodys)], { want: 'CHANGE_TRUST_NO_ISSUER' });
}

async function shares_of_a_pool_are_trusted(net) {
  const issuer = await net.account();
  const [a, b] = [new Asset('AAA', issuer.publicKey()), new Asset('BBB', issuer.publicKey())];
  const shares = new LiquidityPoolAsset(a, b, 30);
  const holder = await holderOf(net, a);
  await net.run(holder, [trust(shares)], { want: 'CHANGE_TRUST_TRUST_LINE_MISSING' });
  await net.run(holder, [trust(b)]);
  await net.run(holder, [trust(shares)]);
  await net.run(holder, [trust(a, '0')], { want: 'CHANGE_TRUST_CANNOT_DELETE' });
  await net.run(holder, [trust(shares, '0')]);
  await net.run(holder, [trust(a, '0')]);
}

async function an_issued_asset_is_paid_or_not(net) {
  const issuer = await net.account();
  const asset = new Asset('EUR', issuer.publicKey());
  const [a, b, stranger] = [await holderOf(net, asset), await holderOf(net, asset, '5'), await net.account()];
  await net.run(issuer, [pay(a.publicKey(), '10', asset)]);
  await net.run(a, [pay(b.publicKey(), '5', asset)]);
  await net.run(a, [pay(b.publicKey(), '0.0000001', asset)], { want: 'PAYMENT_LINE_FULL' });
  await net.run(a, [pay(issuer.publicKey(), '6', asset)], { want: 'PAYMENT_UNDERFUNDED' });
  await net.run(a, [pay(stranger.publicKey(), '1', asset)], { want: 'PAYMENT_NO_TRUST' });
  await net.run(stranger, [pay(a.publicKey(), '1', asset)], { want: 'PAYMENT_SRC_NO_TRUST' });
  assert.deepEqual([await held(net, a, asset), await held(net, b, asset)], [5n * COIN, 5n * COIN]);
}

async function an_issuer_authorises_and_revokes(net) {
  const issuer = await issuerWith(net, REQUIRED | REVOCABLE);
  const asset = new Asset('GBP', issuer.publicKey());
  const [a, b] = [await holderOf(net, asset), await holderOf(net, asset)];
  assert.equal((await line(net, a, asset)).flags(), 0);
  const flags = (holder, set, want) => net.run(issuer, [setFlags(holder, asset, set)], { want });
  await net.run(issuer, [pay(a.publicKey(), '1', asset)], { want: 'PAYMENT_NOT_AUTHORIZED' });
  await flags(a, { authorized: true });
  await net.run(issuer, [pay(a.publicKey(), '10', asset)]);
  await net.run(a, [pay(b.publicKey(), '1', asset)], { want: 'PAYMENT_NOT_AUTHORIZED' });
  await flags(b, { authorized: true });
  await net.run(a, [pay(b.publicKey(), '1', asset)]);
  await flags(a, { authorized: false, authorizedToMaintainLiabilities: true });
  await net.run(a, [pay(b.publicKey(), '1', asset)], { want: 'PAYMENT_SRC_NOT_AUTHORIZED' });
  await flags(a, { authorizedToMaintainLiabilities: false });
  assert.equal((await line(net, a, asset)).flags(), 0);
  await flags(a, { authorizedToMaintainLiabilities: true });
  await flags(a, { authorized: true }, 'SET_TRUST_LINE_FLAGS_INVALID_STATE');
  await flags(a, { clawbackEnabled: true }, 'SET_TRUST_LINE_FLAGS_MALFORMED');
  await flags(await net.account(), { authorized: true }, 'SET_TRUST_LINE_FLAGS_NO_TRUST_LINE');
  await net.run(issuer, [options({ clearFlags: REVOCABLE })]);
  await flags(b, { authorized: false }, 'SET_TRUST_LINE_FLAGS_CANT_REVOKE');
}

async function an_issuer_claws_back_from_trustlines_made_for_it(net) {
  const issuer = await issuerWith(net, REVOCABLE);
  const asset = new Asset('CLAW', issuer.publicKey());
  const before = await holderOf(net, asset);
  await net.run(issuer, [options({ setFlags: CLAWBACK })]);
  const after = await holderOf(net, asset);
  assert.equal((await line(net, before, asset)).flags(), AUTHORISED);
  assert.equal((await line(net, after, asset)).flags(), AUTHORISED | LINE_CLAWBACK);
  for (const holder of [before, after]) await net.run(issuer, [pay(holder.publicKey(), '10', asset)]);
  await net.run(issuer, [clawback(asset, after, '4')]);
  assert.equal(await held(net, after, asset), 6n * COIN);
  await net.run(issuer, [clawback(asset, after, '7')], { want: 'CLAWBACK_UNDERFUNDED' });
  await net.run(issuer, [clawback(asset, before, '1')], { want: 'CLAWBACK_NOT_CLAWBACK_ENABLED' });
  await net.run(issuer, [clawback(asset, await net.account(), '1')], { want: 'CLAWBACK_NO_TRUST' });
  await net.run(after, [clawback(asset, before, '1')], { want: 'CLAWBACK_MALFORMED' });
  // The flag of a line can be taken away, and what was locked before keeps its own.
  const locked = await lock(net, after, asset);
  await net.run(issuer, [setFlags(after, asset, { clawbackEnabled: false })]);
  await net.run(issuer, [clawback(asset, after, '1')], { want: 'CLAWBACK_NOT_CLAWBACK_ENABLED' });
  const later = await lock(net, after, asset);
  const back = (balanceId) => [Operation.clawbackClaimableBalance({ balanceId })];
  await net.run(after, back(locked), { want: 'CLAWBACK_CLAIMABLE_BALANCE_NOT_ISSUER' });
  await net.run(issuer, back(locked));
  assert.equal(await net.entry(balanceKey(locked)), null);
  await net.run(issuer, back(locked), { want: 'CLAWBACK_CLAIMABLE_BALANCE_DOES_NOT_EXIST' });
  await net.run(issuer, back(later), { want: 'CLAWBACK_CLAIMABLE_BALANCE_NOT_CLAWBACK_ENABLED' });
  await net.run(after, [Operation.claimClaimableBalance({ balanceId: later })]);
}

// Locks 1 of an asset for its holder, and returns the balance's id.
async function lock(net, holder, asset) {
  const claimants = [new Claimant(holder.publicKey())];
  const transaction = await net.build(holder, [Operation.createClaimableBalance({ asset, amount: '1', claimants })]);
  transaction.sign(holder);
  await net.send(transaction);
  return transaction.getClaimableBalanceId(0);
}

module.exports = {
  trust, setFlags,
  cases: [
    a_trustline_is_made_changed_and_removed, shares_of_a_pool_are_trusted, an_issued_asset_is_paid_or_not,
    an_issuer_authorises_and_revokes, an_issuer_claws_back_from_trustlines_made_for_it,
  ],
};
