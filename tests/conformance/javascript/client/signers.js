// Signers of every kind, thresholds, and preconditions.
'use strict';

const assert = require('node:assert/strict');
const { Keypair, Operation, SignerKey, StrKey, hash, xdr } = require('@stellar/stellar-sdk');
const { XLM, bump, create, data, options, pay, signer } = require('./accounts');

const PREIMAGE = Buffer.from('thirty-two bytes or up to 64 ...');
const HASHX = StrKey.encodeSha256Hash(hash(PREIMAGE));

async function subEntries(net, key) {
  return (await net.accountEntry(key)).numSubEntries();
}

// The strkey of a key that signs a payload.
function payloadKey(key, payload) {
  return SignerKey.encodeSignerKey(xdr.SignerKey.signerKeyTypeEd25519SignedPayload(
    new xdr.SignerKeyEd25519SignedPayload({ ed25519: key.rawPublicKey(), payload }),
  ));
}

const payHimself = (key) => [pay(key.publicKey(), '1', XLM)];

async function two_of_three_sign(net) {
  const [a, b, c] = [await net.account(), Keypair.random(), Keypair.random()];
  const thresholds = options({ lowThreshold: 1, medThreshold: 2, highThreshold: 3 });
  await net.run(a, [signer(b.publicKey()), signer(c.publicKey()), thresholds]);
  const one = payHimself(a);
  await net.run(a, one, { want: 'opBAD_AUTH' });
  await net.run(a, one, { signers: [a, b] });
  await net.run(a, one, { signers: [b, c] });
  await net.run(a, one, { signers: [a, b, c], want: 'txBAD_AUTH_EXTRA' });
  await net.run(a, [bump(0)]);
  await net.run(a, [options({ lowThreshold: 2 })], { signers: [a, b], want: 'opBAD_AUTH' });
  await net.run(a, [options({ lowThreshold: 2 })], { signers: [a, b, c] });
  await net.run(a, [bump(0)], { want: 'txBAD_AUTH' });
  await net.run(a, [options({ masterWeight: 0, highThreshold: 2 })], { signers: [a, b, c] });
  await net.run(a, one, { signers: [a, b], want: 'txBAD_AUTH' });
  const gone = options({
    signer: { ed25519PublicKey: c.publicKey(), weight: 0 }, lowThreshold: 1, medThreshold: 1, highThreshold: 1,
  });
  await net.run(a, [gone], { signers: [b, c] });
  await net.run(a, one, { signers: [b] });
  assert.equal(await subEntries(net, a), 1);
}

async function a_threshold_out_of_range_is_refused(net) {
  const a = await net.account();
  // By XDR types: the builder refuses it itself.
  const threshold = options({ lowThreshold: 0 });
  threshold.body().setOptionsOp().lowThreshold(256);
  await net.run(a, [threshold], { want: 'SET_OPTIONS_THRESHOLD_OUT_OF_RANGE' });
  const heavy = signer(Keypair.random().publicKey());
  heavy.body().setOptionsOp().signer().weight(256);
  await net.run(a, [heavy], { want: 'SET_OPTIONS_BAD_SIGNER' });
}

async function a_transaction_signed_in_advance_needs_no_signature(net) {
  const [a, b] = [await net.account(), await net.account()];
  let sequence = await net.sequence(a) + 2n;
  for (const [amount, want] of [['1', 'PAYMENT_SUCCESS'], ['1000', 'PAYMENT_UNDERFUNDED']]) {
    const transaction = await net.build(a, [pay(b.publicKey(), amount)], { sequence });
    await net.run(a, [options({ signer: { preAuthTx: transaction.hash(), weight: 1 } })]);
    assert.equal(await subEntries(net, a), 1);
    await net.send(transaction, want);
    assert.equal(await subEntries(net, a), 0, 'used once, also where it fails');
    sequence += 2n;
  }
}

async function a_preimage_signs(net) {
  const a = await net.account();
  await net.run(a, [options({ signer: { sha256Hash: hash(PREIMAGE), weight: 1 } })]);
  for (const [preimage, want] of [[PREIMAGE], [Buffer.from('another one'), 'txBAD_AUTH'], [PREIMAGE]]) {
    const transaction = await net.build(a, payHimself(a));
    transaction.signHashX(preimage);
    await net.send(transaction, want);
  }
  assert.equal(await subEntries(net, a), 1);
}

async function a_signed_payload_signs(net) {
  const [a, other] = [await net.account(), Keypair.random()];
  for (const payload of [Buffer.from([1]), Buffer.from([2, 3, 4, 5, 6]), Buffer.alloc(64)]) {
    const ed25519SignedPayload = payloadKey(other, payload);
    await net.run(a, [options({ signer: { ed25519SignedPayload, weight: 1 } })]);
    for (const [signed, want] of [[payload], [Buffer.concat([payload, Buffer.from([7])]), 'txBAD_AUTH']]) {
      const transaction = await net.build(a, payHimself(a));
      transaction.addDecoratedSignature(other.signPayloadDecorated(signed));
      await net.send(transaction, want);
    }
    await net.run(a, [options({ signer: { ed25519SignedPayload, weight: 0 } })]);
  }
}

async function a_transaction_waits_for_its_time_and_ledger(net) {
  const a = await net.account();
  const open = { timebounds: { minTime: 0, maxTime: 0 } };
  const run = async (conditions, want) => net.run(a, payHimself(a), { conditions: { ...open, ...conditions }, want });
  const time = (minTime, maxTime) => ({ timebounds: { minTime, maxTime } });
  const ledger = (minLedger, maxLedger) => ({ ledgerbounds: { minLedger, maxLedger } });
  // By XDR types: the builder always writes time bounds.
  const always = await net.build(a, payHimself(a));
  always.tx.cond(xdr.Preconditions.precondNone());
  always.sign(a);
  await net.send(always);
  await run(open);
  await run(time(net.time + 1_000, 0), 'txTOO_EARLY');
  await run(time(0, net.time - 10), 'txTOO_LATE');
  await run(time(net.time - 10, net.time + 1_000));
  await run(ledger(net.ledger + 100, 0), 'txTOO_EARLY');
  await run(ledger(0, net.ledger), 'txTOO_LATE');
  await run(ledger(net.ledger - 1, net.ledger + 100));
}

async function a_transaction_minds_its_sources_last_one(net) {
  const a = await net.account();
  const run = (conditions, how = {}) => net.run(a, [bump(0)], { conditions, ...how });
  const last = await net.sequence(a);
  const from = (sequence) => ({ minAccountSequence: sequence.toString() });
  // From this sequence number on, whatever lies between.
  await run(from(last), { sequence: last + 1_000n });
  assert.equal(await net.sequence(a), last + 1_000n);
  await run(from(last + 1_001n), { sequence: last + 2_000n, want: 'txBAD_SEQ' });
  const notYet = { want: 'txBAD_MIN_SEQ_AGE_OR_GAP' };
  const [age, gap] = [{ minAccountSequenceAge: 500 }, { minAccountSequenceLedgerGap: 5 }];
  await run(age, notYet);
  await run(gap, notYet);
  await net.advance(1_000);
  for (let n = 0; n < 5; n += 1) await net.close();
  await run({ ...age, ...gap });
  await run(age, notYet);
}

async function extra_signers_have_to_sign(net) {
  const [a, other, payer] = [await net.account(), Keypair.random(), Keypair.random()];
  const paid = Buffer.from('paid');
  const payload = payloadKey(payer, paid);
  const run = async (extraSigners, sign, want) => {
    const transaction = await net.build(a, payHimself(a), { conditions: { extraSigners } });
    transaction.sign(a);
    sign(transaction);
    await net.send(transaction, want);
  };
  const nothing = () => {};
  const preimage = (transaction) => transaction.signHashX(PREIMAGE);
  await run([other.publicKey()], nothing, 'txBAD_AUTH');
  await run([other.publicKey()], (transaction) => transaction.sign(other));
  await run([HASHX], nothing, 'txBAD_AUTH');
  await run([HASHX], preimage);
  await run([HASHX, payload], preimage, 'txBAD_AUTH');
  await run([HASHX, payload], (transaction) => {
    preimage(transaction);
    transaction.addDecoratedSignature(payer.signPayloadDecorated(paid));
  });
  await run([HASHX, HASHX], preimage, 'txMALFORMED');
}

async function an_account_is_made_and_configured_by_one_transaction(net) {
  const [a, made] = [await net.account(), Keypair.random()];
  const source = made.publicKey();
  const operations = [
    create(source, '5'),
    Operation.bumpSequence({ bumpTo: (BigInt(net.ledger + 100) << 32n).toString(), source }),
    options({ signer: { ed25519PublicKey: a.publicKey(), weight: 1 }, source }),
    options({ masterWeight: 0, lowThreshold: 1, medThreshold: 1, highThreshold: 1, source }),
  ];
  await net.run(a, operations, { signers: [a, made] });
  await net.run(made, [data('x', 'x')], { want: 'txBAD_AUTH' });
  await net.run(made, [data('x', 'x')], { signers: [a] });
}

module.exports = {
  cases: [
    two_of_three_sign, a_threshold_out_of_range_is_refused, a_transaction_signed_in_advance_needs_no_signature,
    a_preimage_signs, a_signed_payload_signs, a_transaction_waits_for_its_time_and_ledger,
    a_transaction_minds_its_sources_last_one, extra_signers_have_to_sign,
    an_account_is_made_and_configured_by_one_transaction,
  ],
};
