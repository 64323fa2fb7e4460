// Fee bumps: somebody else pays.
'use strict';

const assert = require('node:assert/strict');
const { Keypair, TransactionBuilder, xdr } = require('@stellar/stellar-sdk');
const { NOBODY, pay } = require('./accounts');

const DONE = 'txFEE_BUMP_INNER_SUCCESS txSUCCESS';

function bump(net, payer, inner, { baseFee = 200, signers = [payer] } = {}) {
  const transaction = TransactionBuilder.buildFeeBumpTransaction(payer, String(baseFee), inner, net.passphrase);
  transaction.sign(...signers);
  return transaction;
}

async function innerOf(net, source, operations, how) {
  const transaction = await net.build(source, operations, how);
  transaction.sign(source);
  return transaction;
}

async function somebody_else_pays_also_for_a_transaction_without_fee(net) {
  const [a, b, payer] = [await net.account(), await net.account(), await net.account()];
  for (const fee of [0, 100]) {
    const held = [await net.balance(a), await net.balance(payer)];
    const inner = await innerOf(net, a, [pay(b.publicKey(), '1')], { fee });
    const outer = bump(net, payer, inner);
    const result = await net.send(outer, [DONE, 'PAYMENT_SUCCESS']);
    assert.deepEqual([await net.balance(a), await net.balance(payer)], [held[0] - 10_000_000n, held[1] - 200n]);
    const pair = result.result().innerResultPair();
    assert.equal(result.feeCharged().toString(), '200');
    assert.equal(pair.result().feeCharged().toString(), '0');
    assert.deepEqual(pair.transactionHash(), inner.hash());
    for (const hash of [outer.hash(), inner.hash()]) {
      const found = await net.server.getTransaction(hash.toString('hex'));
      assert.deepEqual([found.status, found.feeBump], ['SUCCESS', true]);
      assert.equal(found.envelopeXdr.toXDR('base64'), outer.toXDR());
    }
  }
}

async function what_is_inside_fails_and_the_payer_pays(net) {
  const [a, payer] = [await net.account(), await net.account()];
  const held = [await net.balance(a), await net.balance(payer)];
  const inner = await innerOf(net, a, [pay(NOBODY, '1')]);
  await net.send(bump(net, payer, inner), ['txFEE_BUMP_INNER_FAILED txFAILED', 'PAYMENT_NO_DESTINATION']);
  assert.deepEqual([await net.balance(a), await net.balance(payer)], [held[0], held[1] - 200n]);
  const unsigned = await net.build(a, [pay(a.publicKey(), '1')]);
  await net.send(bump(net, payer, unsigned), ['txFEE_BUMP_INNER_FAILED txBAD_AUTH']);
  const wrong = await innerOf(net, a, [pay(a.publicKey(), '1')], { sequence: 1n });
  await net.send(bump(net, payer, wrong), ['txFEE_BUMP_INNER_FAILED txBAD_SEQ']);
}

async function the_bump_itself_is_refused(net) {
  const [a, payer] = [await net.account(), await net.account()];
  const inner = await innerOf(net, a, [pay(a.publicKey(), '1')]);
  await net.send(bump(net, payer, inner, { signers: [] }), 'txBAD_AUTH');
  await net.send(bump(net, payer, inner, { signers: [payer, a] }), 'txBAD_AUTH_EXTRA');
  await net.send(bump(net, Keypair.random(), inner), 'txNO_ACCOUNT');
  await net.send(bump(net, payer, inner, { baseFee: 1e9 }), 'txINSUFFICIENT_BALANCE');
  // By XDR types: less than the SDK's builder offers.
  const cheap = bump(net, payer, inner, { signers: [] });
  cheap.tx.fee(xdr.Int64.fromString('199'));
  cheap.sign(payer);
  const result = await net.send(cheap, 'txINSUFFICIENT_FEE');
  assert.equal(result.feeCharged().toString(), '200', 'what it would have cost');
}

async function a_waiting_transaction_is_replaced_for_ten_times_the_fee(net) {
  const a = await net.account();
  const inner = await innerOf(net, a, [pay(a.publicKey(), '1')]);
  assert.equal((await net.server.sendTransaction(inner)).status, 'PENDING');
  const low = await net.server.sendTransaction(bump(net, a, inner, { baseFee: 999 }));
  assert.deepEqual([low.status, low.errorResult.result().switch().name], ['ERROR', 'txInsufficientFee']);
  await net.send(bump(net, a, inner, { baseFee: 1_000 }), [DONE, 'PAYMENT_SUCCESS']);
}

module.exports = {
  cases: [
    somebody_else_pays_also_for_a_transaction_without_fee, what_is_inside_fails_and_the_payer_pays,
    the_bump_itself_is_refused, a_waiting_transaction_is_replaced_for_ten_times_the_fee,
  ],
};
