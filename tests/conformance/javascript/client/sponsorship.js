// Reserves that somebody else holds.
'use strict';

const assert = require('node:assert/strict');
const { Asset, Keypair, Operation } = require('@stellar/stellar-sdk');
const { XLM, create: createAccount, merge, options } = require('./accounts');
const { claimant, create } = require('./balances');

const REVOKE = 'REVOKE_SPONSORSHIP';

// How many reserves others hold for an account, and how many it holds for others.
async function counters(net, key) {
  const extension = (await net.accountEntry(key)).ext();
  if (extension.switch() === 0 || extension.v1().ext().switch() === 0) return [0, 0];
  const v2 = extension.v1().ext().v2();
  return [v2.numSponsored(), v2.numSponsoring()];
}

const begin = (sponsor, sponsored) => Operation.beginSponsoringFutureReserves({
  sponsoredId: sponsored.publicKey(), source: sponsor.publicKey(),
});
const end = (sponsored) => Operation.endSponsoringFutureReserves({ source: sponsored.publicKey() });

// The operations, with the reserves of what they make held by the sponsor.
const sandwich = (sponsor, sponsored, ...operations) => [begin(sponsor, sponsored), ...operations, end(sponsored)];

async function every_kind_of_entry_is_sponsored_and_given_back(net) {
  const [sponsor, owner, issuer] = [await net.account(), Keypair.random(), await net.account()];
  const asset = new Asset('SEK', issuer.publicKey());
  const sha256Hash = '00'.repeat(32);
  const signers = [sponsor, owner];
  const account = owner.publicKey();
  await net.run(sponsor, sandwich(sponsor, owner, createAccount(account, '0')), { signers });
  assert.deepEqual([await counters(net, owner), await counters(net, sponsor)], [[2, 0], [0, 2]]);
  const steps = [
    [Operation.changeTrust({ asset, source: account }), Operation.revokeTrustlineSponsorship({ account, asset })],
    [Operation.manageData({ name: 'x', value: 'x', source: account }),
      Operation.revokeDataSponsorship({ account, name: 'x' })],
    [options({ signer: { sha256Hash, weight: 1 }, source: account }),
      Operation.revokeSignerSponsorship({ account, signer: { sha256Hash } })],
  ];
  for (const [number, [make, revoke]] of steps.entries()) {
    await net.run(sponsor, sandwich(sponsor, owner, make), { signers });
    assert.deepEqual([await counters(net, owner), await counters(net, sponsor)], [[3 + number, 0], [0, 3 + number]]);
    await net.run(sponsor, [revoke], { want: `${REVOKE}_LOW_RESERVE` });
  }
  // With coins of its own it holds its reserves itself.
  const revokeAccount = Operation.revokeAccountSponsorship({ account });
  await net.run(sponsor, [revokeAccount], { want: `${REVOKE}_LOW_RESERVE` });
  await net.run(sponsor, [merge(issuer.publicKey())], { want: 'ACCOUNT_MERGE_IS_SPONSOR' });
  await net.run(await net.account('20'), [merge(account)]);
  for (const [, revoke] of steps) await net.run(sponsor, [revoke]);
  await net.run(sponsor, [revokeAccount]);
  assert.deepEqual([await counters(net, owner), await counters(net, sponsor)], [[0, 0], [0, 0]]);
  await net.run(sponsor, [steps[1][1]], { want: `${REVOKE}_NOT_SPONSOR` });
  const other = Operation.revokeDataSponsorship({ account, name: 'y' });
  await net.run(sponsor, [other], { want: `${REVOKE}_DOES_NOT_EXIST` });
}

async function a_balance_changes_its_sponsor_and_is_never_without(net) {
  const [maker, sponsor, next] = [await net.account(), await net.account(), await net.account()];
  const balanceId = await create(net, maker, [claimant(maker), claimant(sponsor)]);
  assert.deepEqual(await counters(net, maker), [0, 2]);
  const revoke = (source) => Operation.revokeClaimableBalanceSponsorship({ balanceId, source });
  await net.run(maker, [revoke()], { want: `${REVOKE}_ONLY_TRANSFERABLE` });
  await net.run(sponsor, [revoke()], { want: `${REVOKE}_NOT_SPONSOR` });
  await net.run(maker, sandwich(next, maker, revoke(maker.publicKey())), { signers: [maker, next] });
  assert.deepEqual([await counters(net, maker), await counters(net, next)], [[0, 0], [0, 2]]);
  const made = Operation.createClaimableBalance({
    asset: XLM, amount: '1', claimants: [claimant(maker)], source: maker.publicKey(),
  });
  await net.run(sponsor, sandwich(sponsor, maker, made), { signers: [sponsor, maker] });
  assert.deepEqual(await counters(net, sponsor), [0, 1]);
}

async function a_sandwich_that_is_wrong_is_refused(net) {
  const [a, b, c] = [await net.account(), await net.account(), await net.account()];
  const [name, ended] = ['BEGIN_SPONSORING_FUTURE_RESERVES', 'END_SPONSORING_FUTURE_RESERVES'];
  await net.run(a, [begin(a, b)], { want: 'txBAD_SPONSORSHIP' });
  await net.run(a, [end(a)], { want: `${ended}_NOT_SPONSORED` });
  await net.run(a, [begin(a, a)], { want: `${name}_MALFORMED` });
  await net.run(a, [begin(a, c), begin(b, c), end(c)], {
    signers: [a, b, c], want: [`${name}_SUCCESS`, `${name}_ALREADY_SPONSORED`, `${ended}_SUCCESS`],
  });
  await net.run(a, [begin(a, b), begin(b, c), end(c), end(b)], {
    signers: [a, b, c],
    want: [`${name}_SUCCESS`, `${name}_RECURSIVE`, `${ended}_NOT_SPONSORED`, `${ended}_SUCCESS`],
  });
}

module.exports = {
  cases: [
    every_kind_of_entry_is_sponsored_and_given_back, a_balance_changes_its_sponsor_and_is_never_without,
    a_sandwich_that_is_wrong_is_refused,
  ],
};
