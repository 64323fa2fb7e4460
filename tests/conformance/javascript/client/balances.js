// Claimable balances with every kind of predicate.
'use strict';

const assert = require('node:assert/strict');
const { Asset, Claimant, Keypair, Operation, StrKey } = require('@stellar/stellar-sdk');
const { XLM, options, pay } = require('./accounts');
const { setFlags, trust } = require('./trust');

const CREATE = 'CREATE_CLAIMABLE_BALANCE';
const CLAIM = 'CLAIM_CLAIMABLE_BALANCE';

const ALWAYS = Claimant.predicateUnconditional();
const before = (time) => Claimant.predicateBeforeAbsoluteTime(String(time));
const within = (seconds) => Claimant.predicateBeforeRelativeTime(String(seconds));
const both = Claimant.predicateAnd.bind(Claimant);
const either = Claimant.predicateOr.bind(Claimant);
const negated = Claimant.predicateNot.bind(Claimant);
const claimant = (key, predicate = ALWAYS) => new Claimant(key.publicKey(), predicate);

// Creates a balance. Returns its id as the SDK foretells it; the ledger's has to be the same.
async function create(net, source, claimants, { asset = XLM, amount = '1', want } = {}) {
  const transaction = await net.build(source, [Operation.createClaimableBalance({ asset, amount, claimants })]);
  transaction.sign(source);
  const result = await net.send(transaction, want);
  const foretold = transaction.getClaimableBalanceId(0);
  if (want === undefined) {
    const told = result.result().results()[0].tr().createClaimableBalanceResult().balanceId();
    assert.equal(told.toXDR('hex'), foretold);
    const strkey = StrKey.encodeClaimableBalance(Buffer.concat([Buffer.alloc(1), told.v0()]));
    for (const id of [foretold, strkey]) {
      assert.deepEqual((await net.server.getClaimableBalance(id)).balanceId(), told);
    }
  }
  return foretold;
}

function claim(net, source, balanceId, want) {
  return net.run(source, [Operation.claimClaimableBalance({ balanceId })], { want });
}

// Each predicate, with whether it holds at once, after 100 seconds, and after 1,000.
async function every_predicate_holds_when_it_says(net) {
  const [source, who] = [await net.account('1000'), await net.account()];
  const [early, late] = [net.time + 500, net.time + 700];
  const soon = within(500);
  const table = [
    [ALWAYS, 'yyy'],
    [negated(ALWAYS), 'nnn'],
    [before(early), 'yyn'],
    [negated(before(early)), 'nny'],
    [soon, 'yyn'],
    [negated(soon), 'nny'],
    [within(2n ** 63n - 1n), 'yyy'],
    [before(0), 'nnn'],
    [both(before(early), before(late)), 'yyn'],
    [both(ALWAYS, negated(ALWAYS)), 'nnn'],
    [both(negated(before(early)), ALWAYS), 'nny'],
    [either(before(early), negated(before(late))), 'yyy'],
    [either(negated(ALWAYS), negated(before(early))), 'nny'],
    [either(negated(ALWAYS), negated(ALWAYS)), 'nnn'],
    [negated(both(before(early), soon)), 'nny'],
    [negated(either(before(0), negated(soon))), 'yyn'],
    [both(either(before(early), ALWAYS), negated(negated(soon))), 'yyn'],
  ];
  const deeper = negated(negated(negated(negated(ALWAYS))));
  await create(net, source, [claimant(who, deeper)], { want: `${CREATE}_MALFORMED` });
  // A balance for each moment, so that what was claimed at one doesn't hinder the next.
  const rows = [];
  for (const [predicate, holds] of table) {
    const ids = [];
    while (ids.length < holds.length) ids.push(await create(net, source, [claimant(who, predicate)]));
    rows.push([ids, holds]);
  }
  const begin = net.time;
  for (const [moment, seconds] of [0, 100, 1_000].entries()) {
    await net.advance(Math.max(0, begin + seconds - net.time));
    assert(moment === 2 || net.time < early - 100, 'too late already; the moments are too close');
    for (const [ids, holds] of rows) {
      await claim(net, who, ids[moment], holds[moment] === 'y' ? undefined : `${CLAIM}_CANNOT_CLAIM`);
    }
  }
}

async function a_relative_time_becomes_an_absolute_one(net) {
  const source = await net.account();
  const balance = await create(net, source, [claimant(source, within(60))]);
  const [one] = (await net.server.getClaimableBalance(balance)).claimants();
  assert.equal(one.v0().predicate().absBefore().toString(), String(net.time + 60));
}

async function claimants_that_do_not_exist_are_taken_and_others_claim_nothing(net) {
  const [source, one, two] = [await net.account(), await net.account(), await net.account()];
  const hashed = claimant(Keypair.random(), negated(ALWAYS));
  const balance = await create(net, source, [claimant(one), claimant(two), hashed]);
  const held = await net.balance(two);
  await claim(net, source, balance, `${CLAIM}_CANNOT_CLAIM`);
  await claim(net, two, balance);
  assert.equal(await net.balance(two), held + 10_000_000n - 100n);
  await claim(net, one, balance, `${CLAIM}_DOES_NOT_EXIST`);
}

async function a_balance_is_not_made(net) {
  const [source, poor, issuer] = [await net.account(), await net.account('2'), await net.account()];
  const asset = new Asset('JPY', issuer.publicKey());
  const me = claimant(source);
  await create(net, source, [me], { amount: '100', want: `${CREATE}_UNDERFUNDED` });
  await create(net, poor, [me], { amount: '0.9', want: `${CREATE}_LOW_RESERVE` });
  await create(net, source, [me, me], { want: `${CREATE}_MALFORMED` });
  // By XDR types: the builder wants a claimant.
  const none = Operation.createClaimableBalance({ asset: XLM, amount: '1', claimants: [me] });
  none.body().createClaimableBalanceOp().claimants([]);
  await net.run(source, [none], { want: `${CREATE}_MALFORMED` });
  await create(net, source, [me], { asset, want: `${CREATE}_NO_TRUST` });
  await net.run(issuer, [options({ setFlags: 1 })]);
  await net.run(source, [trust(asset)]);
  await create(net, source, [me], { asset, want: `${CREATE}_NOT_AUTHORIZED` });
}

async function an_issued_asset_is_claimed_or_not(net) {
  const [issuer, holder] = [await net.account(), await net.account()];
  const asset = new Asset('CHF', issuer.publicKey());
  const balance = await create(net, issuer, [claimant(holder), claimant(issuer)], { asset, amount: '5' });
  await claim(net, holder, balance, `${CLAIM}_NO_TRUST`);
  await net.run(holder, [trust(asset, '4')]);
  await claim(net, holder, balance, `${CLAIM}_LINE_FULL`);
  await net.run(issuer, [options({ setFlags: 2 })]);
  await net.run(issuer, [setFlags(holder, asset, { authorized: false })]);
  await net.run(holder, [trust(asset, '5')]);
  await claim(net, holder, balance, `${CLAIM}_NOT_AUTHORIZED`);
  await net.run(issuer, [setFlags(holder, asset, { authorized: true })]);
  await claim(net, holder, balance);
  await net.run(holder, [pay(issuer.publicKey(), '5', asset)]);
  // The issuer claims what it issues: that ends it.
  await claim(net, issuer, await create(net, issuer, [claimant(issuer)], { asset }));
}

module.exports = {
  claimant, create,
  cases: [
    every_predicate_holds_when_it_says, a_relative_time_becomes_an_absolute_one,
    claimants_that_do_not_exist_are_taken_and_others_claim_nothing, a_balance_is_not_made,
    an_issued_asset_is_claimed_or_not,
  ],
};
