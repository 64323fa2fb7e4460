// Accounts: made, paid, configured, merged; and what a transaction as a whole can fail with.
'use strict';

const assert = require('node:assert/strict');
const { Account, Asset, Keypair, MuxedAccount, Operation } = require('@stellar/stellar-sdk');
const { accountKey, dataKey, refused } = require('./network');

const XLM = Asset.native();
const NOBODY = Keypair.random().publicKey();
const COIN = 10_000_000n;

const create = (destination, startingBalance) => Operation.createAccount({ destination, startingBalance });
const pay = (destination, amount, asset = XLM, source = undefined) => Operation.payment({
  destination, amount, asset, source,
});
const data = (name, value) => Operation.manageData({ name, value });
const merge = (destination) => Operation.accountMerge({ destination });
const bump = (bumpTo) => Operation.bumpSequence({ bumpTo: bumpTo.toString() });
const signer = (ed25519PublicKey, weight = 1) => Operation.setOptions({ signer: { ed25519PublicKey, weight } });
const options = Operation.setOptions.bind(Operation);

async function an_account_is_made_by_the_friendbot_and_by_another_account(net) {
  const key = Keypair.random();
  const funded = await net.fund(key);
  assert.equal(funded.status, 'SUCCESS');
  assert.equal(await net.balance(key), 10_000n * COIN);
  const again = await net.server.requestAirdrop(key.publicKey());
  assert.equal(BigInt(again.sequenceNumber()), await net.sequence(key));
  const airdropped = await net.server.requestAirdrop(Keypair.random().publicKey());
  assert.equal(BigInt(airdropped.sequenceNumber()) & 0xffffffffn, 0n);
  await net.close();
  const made = Keypair.random();
  await net.run(key, [create(made.publicKey(), '1')]);
  assert.equal(await net.balance(made), COIN);
  assert.equal(await net.sequence(made), BigInt(net.ledger) << 32n, "an account begins at its ledger's number");
  await net.run(key, [create(made.publicKey(), '1')], { want: 'CREATE_ACCOUNT_ALREADY_EXIST' });
  await net.run(key, [create(NOBODY, '0.9999999')], { want: 'CREATE_ACCOUNT_LOW_RESERVE' });
  await net.run(key, [create(NOBODY, '10000')], { want: 'CREATE_ACCOUNT_UNDERFUNDED' });
  await net.run(key, [create(key.publicKey(), '1')], { want: 'CREATE_ACCOUNT_MALFORMED' });
}

async function a_payment_moves_coins_and_costs_its_fee(net) {
  const [a, b] = [await net.account(), await net.account()];
  await net.run(a, [pay(b.publicKey(), '10.5')]);
  assert.equal(await net.balance(a), (895n * COIN) / 10n - 100n);
  assert.equal(await net.balance(b), (1105n * COIN) / 10n);
  const muxed = new MuxedAccount(new Account(b.publicKey(), '0'), '7').accountId();
  await net.run(a, [pay(muxed, '1')]);
  await net.run(a, [pay(a.publicKey(), '1')]);
  await net.run(a, [pay(NOBODY, '1')], { want: 'PAYMENT_NO_DESTINATION' });
  await net.run(a, [pay(b.publicKey(), '88')], { want: 'PAYMENT_UNDERFUNDED' });
  assert.equal(await net.balance(a), (885n * COIN) / 10n - 500n, 'a failed transaction costs its fee as well');
  assert.equal(await net.balance(b), (1115n * COIN) / 10n);
  const allOrNothing = [pay(b.publicKey(), '1'), pay(NOBODY, '1')];
  await net.run(a, allOrNothing, { want: ['PAYMENT_SUCCESS', 'PAYMENT_NO_DESTINATION'] });
  assert.equal(await net.balance(b), (1115n * COIN) / 10n);
}

async function data_is_set_overwritten_read_and_deleted(net) {
  const [a, poor] = [await net.account(), await net.account('1.1')];
  for (const value of [Buffer.from('one'), Buffer.alloc(64, 0xff)]) {
    await net.run(a, [data('conformance', value)]);
    assert.deepEqual((await net.entry(dataKey(a, 'conformance'))).data().dataValue(), value);
  }
  await net.run(a, [data('conformance', null)]);
  assert.equal(await net.entry(dataKey(a, 'conformance')), null);
  await net.run(a, [data('conformance', null)], { want: 'MANAGE_DATA_NAME_NOT_FOUND' });
  await net.run(poor, [data('conformance', 'x')], { want: 'MANAGE_DATA_LOW_RESERVE' });
  await net.run(a, [data('line\nfeed', 'x')], { want: 'MANAGE_DATA_INVALID_NAME' });
}

async function a_sequence_number_is_bumped_and_never_back(net) {
  const a = await net.account();
  const far = await net.sequence(a) + 1_000n;
  await net.run(a, [bump(far)]);
  assert.equal(await net.sequence(a), far);
  await net.run(a, [bump(1)]);
  assert.equal(await net.sequence(a), far + 1n);
  await net.run(a, [bump(5)], { sequence: far + 1n, want: 'txBAD_SEQ' });
  await net.run(a, [bump(5)], { sequence: far + 3n, want: 'txBAD_SEQ' });
}

async function options_are_set_or_refused_by_name(net) {
  const [a, poor] = [await net.account(), await net.account('1.1')];
  await net.run(a, [options({
    homeDomain: 'example.org', setFlags: 3, masterWeight: 5, lowThreshold: 1, medThreshold: 2, highThreshold: 5,
  })]);
  let entry = await net.accountEntry(a);
  assert.equal(entry.homeDomain().toString(), 'example.org');
  assert.equal(entry.flags(), 3);
  assert.deepEqual([...entry.thresholds()], [5, 1, 2, 5]);
  await net.run(a, [options({ homeDomain: '', clearFlags: 1 })]);
  entry = await net.accountEntry(a);
  assert.equal(entry.homeDomain().toString(), '');
  assert.equal(entry.flags(), 2);
  await net.run(a, [options({ setFlags: 1, clearFlags: 1 })], { want: 'SET_OPTIONS_BAD_FLAGS' });
  await net.run(a, [options({ setFlags: 16 })], { want: 'SET_OPTIONS_UNKNOWN_FLAG' });
  await net.run(a, [signer(a.publicKey())], { want: 'SET_OPTIONS_BAD_SIGNER' });
  await net.run(poor, [options({ setFlags: 8 })], { want: 'SET_OPTIONS_AUTH_REVOCABLE_REQUIRED' });
  await net.run(poor, [signer(NOBODY)], { want: 'SET_OPTIONS_LOW_RESERVE' });
  await net.run(a, [options({ setFlags: 4 })]);
  await net.run(a, [options({ setFlags: 1 })], { want: 'SET_OPTIONS_CANT_CHANGE' });
  await net.run(a, Array.from({ length: 20 }, () => signer(Keypair.random().publicKey())));
  assert.equal((await net.accountEntry(a)).numSubEntries(), 20);
  await net.run(a, [signer(NOBODY)], { want: 'SET_OPTIONS_TOO_MANY_SIGNERS' });
}

async function an_account_is_merged_into_another_one(net) {
  const [a, b] = [await net.account(), await net.account('50')];
  await net.run(a, [merge(a.publicKey())], { want: 'ACCOUNT_MERGE_MALFORMED' });
  await net.run(a, [merge(NOBODY)], { want: 'ACCOUNT_MERGE_NO_ACCOUNT' });
  await net.run(a, [data('x', 'x')]);
  await net.run(a, [merge(b.publicKey())], { want: 'ACCOUNT_MERGE_HAS_SUB_ENTRIES' });
  await net.run(a, [data('x', null)]);
  const left = await net.balance(a) - 100n;
  const result = await net.run(a, [merge(b.publicKey())]);
  const told = result.result().results()[0].tr().accountMergeResult().sourceAccountBalance();
  assert.equal(BigInt(told.toString()), left);
  assert.equal(await net.balance(b), 50n * COIN + left);
  assert.equal(await net.entry(accountKey(a)), null);
  await net.run(a, [pay(b.publicKey(), '1')], { sequence: 1n, want: 'txNO_ACCOUNT' });
  const [immutable, far] = [await net.account(), await net.account()];
  await net.run(immutable, [options({ setFlags: 4 })]);
  await net.run(immutable, [merge(b.publicKey())], { want: 'ACCOUNT_MERGE_IMMUTABLE_SET' });
  await net.run(far, [bump(BigInt(net.ledger + 1_000) << 32n)]);
  await net.run(far, [merge(b.publicKey())], { want: 'ACCOUNT_MERGE_SEQNUM_TOO_FAR' });
}

async function a_transaction_fails_as_a_whole(net) {
  const [a, b] = [await net.account(), await net.account('1.00001')];
  const one = [pay(a.publicKey(), '1')];
  await net.run(a, one, { fee: 99, want: 'txINSUFFICIENT_FEE' });
  await net.run(a, [], { want: 'txMISSING_OPERATION' });
  await net.run(b, one, { fee: 101, want: 'txINSUFFICIENT_BALANCE' });
  await net.run(a, one, { signers: [], want: 'txBAD_AUTH' });
  await net.run(a, one, { signers: [b], want: 'txBAD_AUTH' });
  await net.run(a, one, { signers: [a, b], want: 'txBAD_AUTH_EXTRA' });
  await net.run(a, [pay(a.publicKey(), '1', XLM, b.publicKey())], { want: 'opBAD_AUTH' });
  await net.run(a, [pay(a.publicKey(), '1', XLM, NOBODY)], { want: 'opBAD_AUTH' });
  const offer = Operation.manageSellOffer({
    selling: XLM, buying: new Asset('USD', a.publicKey()), amount: '1', price: '1',
  });
  await net.run(a, [offer], { want: 'opNOT_SUPPORTED' });
  const line = Operation.changeTrust({ asset: new Asset('USD', NOBODY) });
  await net.run(a, [line], { want: 'CHANGE_TRUST_NO_ISSUER' });
}

async function the_queue_says_what_it_holds_already(net) {
  const [a, b] = [await net.account(), await net.account()];
  const first = await net.build(a, [pay(b.publicKey(), '1')]);
  const second = await net.build(a, [pay(b.publicKey(), '2')]);
  first.sign(a);
  second.sign(a);
  const hash = first.hash().toString('hex');
  assert.equal((await net.server.getTransaction(hash)).status, 'NOT_FOUND');
  assert.equal((await net.server.sendTransaction(first)).status, 'PENDING');
  assert.equal((await net.server.sendTransaction(first)).status, 'DUPLICATE');
  assert.equal((await net.server.sendTransaction(second)).status, 'TRY_AGAIN_LATER');
  await net.decided(hash);
  const found = await net.server.pollTransaction(hash);
  assert.equal(found.status, 'SUCCESS');
  assert.deepEqual([found.ledger, found.feeBump, found.applicationOrder], [net.ledger, false, 1]);
  assert.equal(Number(found.createdAt), net.time);
  assert.equal(found.envelopeXdr.toXDR('base64'), first.toXDR());
  assert.equal(found.resultXdr.feeCharged().toString(), '100');
}

async function nonsense_is_refused_with_an_error(net) {
  for (const wrong of ['', 'AAAA', 'not base64']) {
    await refused(-32602, net.server.sendTransaction({ toXDR: () => wrong }));
  }
}

module.exports = {
  XLM, NOBODY, COIN, create, pay, data, merge, bump, signer, options,
  cases: [
    an_account_is_made_by_the_friendbot_and_by_another_account, a_payment_moves_coins_and_costs_its_fee,
    data_is_set_overwritten_read_and_deleted, a_sequence_number_is_bumped_and_never_back,
    options_are_set_or_refused_by_name, an_account_is_merged_into_another_one, a_transaction_fails_as_a_whole,
    the_queue_says_what_it_holds_already, nonsense_is_refused_with_an_error,
  ],
};
