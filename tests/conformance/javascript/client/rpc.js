// What the RPC tells besides: health, ledgers, transactions, events, fees.
'use strict';

const assert = require('node:assert/strict');
const { Asset, hash, nativeToScVal, scValToNative } = require('@stellar/stellar-sdk');
const { XLM, pay } = require('./accounts');
const { accountKey, balanceKey, refused } = require('./network');
const { trust } = require('./trust');

async function the_network_describes_itself(net) {
  const [health, network] = [await net.server.getHealth(), await net.server.getNetwork()];
  const version = await net.server.getVersionInfo();
  assert.deepEqual([health.status, health.latestLedger], ['healthy', net.ledger]);
  assert(health.oldestLedger <= net.ledger);
  assert.equal(Number(network.protocolVersion), version.protocolVersion);
  assert.equal(network.passphrase, net.passphrase);
  const stats = await net.server.getFeeStats();
  assert(Number(stats.inclusionFee.min) >= 0);
  assert.equal(stats.latestLedger, net.ledger);
}

async function at_most_200_entries_are_asked_for(net) {
  const keys = Array.from({ length: 200 }, () => accountKey(net.bank));
  assert((await net.server.getLedgerEntries(...keys)).entries.length > 0);
  await refused(-32602, net.server.getLedgerEntries(...keys, keys[0]));
  assert.equal(await net.entry(balanceKey('00'.repeat(36))), null);
}

async function ledgers_follow_each_other(net) {
  const first = net.ledger;
  for (let n = 0; n < 5; n += 1) await net.close();
  const latest = await net.server.getLatestLedger();
  assert.deepEqual([latest.sequence, Number(latest.closeTime)], [net.ledger, net.time]);
  assert.equal(hash(latest.headerXdr.toXDR()).toString('hex'), latest.id);
  let page = await net.server.getLedgers({ startLedger: first, pagination: { limit: 2 } });
  const told = page.ledgers;
  while (told.at(-1).sequence < page.latestLedger) {
    page = await net.server.getLedgers({ pagination: { cursor: page.cursor, limit: 2 } });
    told.push(...page.ledgers);
  }
  await refused(-32602, net.server.getLedgers({ pagination: { cursor: page.cursor } }));
  assert.deepEqual(told.map((ledger) => ledger.sequence), Array.from({ length: 6 }, (_, n) => first + n));
  let before = null;
  for (const ledger of told) {
    const entry = ledger.headerXdr;
    assert.equal(entry.hash().toString('hex'), ledger.hash);
    assert.equal(hash(entry.header().toXDR()).toString('hex'), ledger.hash);
    if (before !== null) assert.deepEqual(entry.header().previousLedgerHash(), before);
    assert.equal(entry.header().scpValue().closeTime().toString(), String(ledger.ledgerCloseTime));
    assert.deepEqual(ledger.metadataXdr.value().ledgerHeader().hash(), entry.hash());
    before = entry.hash();
  }
  await refused(-32600, net.server.getLedgers({ startLedger: net.ledger + 100 }));
}

async function transactions_are_listed_in_their_order(net) {
  const startLedger = net.ledger + 1;
  const [a, b] = [await net.account(), await net.account()];
  const sent = [];
  for (let n = 0; n < 3; n += 1) {
    for (const key of [a, b]) {
      const transaction = await net.build(key, [pay(a.publicKey(), '1')]);
      transaction.sign(key);
      sent.push((await net.server.sendTransaction(transaction)).hash);
    }
    await net.close();
  }
  const listed = [];
  let page = await net.server.getTransactions({ startLedger, pagination: { limit: 2 } });
  while (page.transactions.length > 0) {
    listed.push(...page.transactions);
    page = await net.server.getTransactions({ pagination: { cursor: page.cursor, limit: 2 } });
  }
  assert.deepEqual(listed.slice(2).map((t) => t.txHash).sort(), sent.sort());
  const order = listed.map((t) => t.ledger * 1_000 + t.applicationOrder);
  assert.deepEqual(order, [...order].sort((x, y) => x - y));
  for (const transaction of listed) {
    const found = await net.server.getTransaction(transaction.txHash);
    assert.deepEqual([found.status, transaction.status], ['SUCCESS', 'SUCCESS']);
    for (const field of ['ledger', 'applicationOrder', 'feeBump']) assert.equal(found[field], transaction[field]);
    for (const field of ['envelopeXdr', 'resultXdr', 'resultMetaXdr']) {
      assert.equal(found[field].toXDR('base64'), transaction[field].toXDR('base64'));
    }
    assert.equal(transaction.resultMetaXdr.switch(), 4);
    assert.equal(transaction.resultMetaXdr.v4().operations().length, 1);
  }
}

async function payments_are_told_as_events(net) {
  const [issuer, holder] = [await net.account(), await net.account()];
  const asset = new Asset('NOK', issuer.publicKey());
  await net.run(holder, [trust(asset)]);
  const startLedger = net.ledger + 1;
  await net.run(issuer, [pay(holder.publicKey(), '3', asset)]);
  await net.run(holder, [pay(issuer.publicKey(), '1', asset)]);
  await net.run(holder, [pay(issuer.publicKey(), '2')]);
  const contract = asset.contractId(net.passphrase);
  const ask = async (filter) => (await net.server.getEvents({
    startLedger, filters: [{ type: 'contract', ...filter }],
  })).events;
  const told = await ask({ contractIds: [contract] });
  assert.deepEqual(told.map((event) => scValToNative(event.topic[0])), ['mint', 'burn']);
  assert.deepEqual(told.map((event) => scValToNative(event.value)), [30_000_000n, 10_000_000n]);
  const symbol = (name) => nativeToScVal(name, { type: 'symbol' }).toXDR('base64');
  const [transfer, ...more] = await ask({ topics: [[symbol('transfer'), '*', '*', '*']] });
  assert.equal(more.length, 0);
  assert.equal(transfer.contractId.contractId(), XLM.contractId(net.passphrase));
  const [, from, to, name] = transfer.topic.map(scValToNative);
  assert.deepEqual([from, to, name], [holder.publicKey(), issuer.publicKey(), 'native']);
  const paid = await ask({ topics: [[symbol('fee'), '**']] });
  assert.equal(paid.reduce((sum, event) => sum + scValToNative(event.value), 0n), 300n);
}

module.exports = {
  cases: [
    the_network_describes_itself, at_most_200_entries_are_asked_for, ledgers_follow_each_other,
    transactions_are_listed_in_their_order, payments_are_told_as_events,
  ],
};
