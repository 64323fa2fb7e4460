// A development ledger through the SDK: what is sent has to come to what is wanted, and is counted.
'use strict';

const assert = require('node:assert/strict');
const { Account, Keypair, Operation, TransactionBuilder, rpc, xdr } = require('@stellar/stellar-sdk');

// How many ledgers a transaction may wait. One is enough where ledgers close on demand.
const PATIENCE = 3;

// The ledger behind an RPC, whose ledgers close when this asks for it.
class Network {
  static async connect(url) {
    const net = new Network();
    net.url = url;
    net.server = new rpc.Server(url, { allowHttp: true });
    net.passphrase = (await net.server.getNetwork()).passphrase;
    net.counts = new Map();
    await net.close();
    net.bank = Keypair.random();
    await net.fund(net.bank);
    return net;
  }

  // The development ledger's own doors.

  // Lets the friendbot make an account of 10,000 XLM.
  async fund(key) {
    const funded = await this.server.fundAddress(key.publicKey());
    await this.close();
    return funded;
  }

  async post(path, body) {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${this.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    assert(answer.ok, `${path}: ${answer.status}`);
    return answer.json();
  }

  // Closes a ledger, and knows its number and time.
  async close() {
    const closed = await this.post('/devnet/close', {});
    this.time = closed.close_time;
    this.ledger = closed.sequence;
  }

  // Closes a ledger so many seconds later.
  async advance(seconds) {
    await this.post('/devnet/clock', { advance_seconds: seconds });
    await this.close();
  }

  // What the ledger holds.

  // An entry's data, or null.
  async entry(key) {
    const { entries } = await this.server.getLedgerEntries(key);
    return entries.length === 0 ? null : entries[0].val;
  }

  accountEntry(key) {
    return this.server.getAccountEntry(key.publicKey());
  }

  async balance(key) {
    return BigInt((await this.accountEntry(key)).balance().toString());
  }

  async sequence(key) {
    return BigInt((await this.server.getAccount(key.publicKey())).sequenceNumber());
  }

  // What is sent.

  // Makes an account with so many XLM.
  async account(balance = '100') {
    const key = Keypair.random();
    await this.run(this.bank, [Operation.createAccount({ destination: key.publicKey(), startingBalance: balance })]);
    return key;
  }

  // A transaction without signatures; the next one of its source, valid for five minutes, unless told otherwise.
  async build(source, operations, { sequence, fee = 100, conditions = {} } = {}) {
    const account = sequence === undefined ? await this.server.getAccount(source.publicKey())
      : new Account(source.publicKey(), (sequence - 1n).toString());
    const builder = new TransactionBuilder(account, {
      fee: String(fee), networkPassphrase: this.passphrase, timebounds: { minTime: 0, maxTime: this.time + 300 },
      ...conditions,
    });
    for (const operation of operations) builder.addOperation(operation);
    return builder.build();
  }

  // Builds, signs and sends a transaction; see `send`.
  async run(source, operations, { signers = [source], want, ...how } = {}) {
    const transaction = await this.build(source, operations, how);
    transaction.sign(...signers);
    return this.send(transaction, want);
  }

  // Sends a signed transaction, and closes ledgers until it is decided. What comes of it has to be what is wanted: one
  // code of the transaction, or one of each operation; without, success. Returns its result.
  async send(transaction, want) {
    const sent = await this.server.sendTransaction(transaction);
    assert.equal(sent.hash, transaction.hash().toString('hex'));
    let result;
    if (sent.status === 'PENDING') {
      result = (await this.decided(sent.hash)).resultXdr;
    } else {
      assert.equal(sent.status, 'ERROR');
      result = sent.errorResult;
    }
    const [got, ...operations] = codes(result.result());
    const kinds = operationsOf(transaction).map((operation) => upper(operation.body().switch().name));
    this.count('transaction', got);
    operations.forEach((outcome, n) => this.count(kinds[n], outcome));
    let wanted = want === undefined ? kinds.map((kind) => `${kind}_SUCCESS`) : want;
    if (typeof wanted === 'string') wanted = [wanted];
    const told = operations.length > 0 && operations.length === wanted.length ? operations : [got, ...operations];
    assert.deepEqual(told, wanted);
    return result;
  }

  count(operation, outcome) {
    const key = JSON.stringify([operation, outcome]);
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
  }

  // What became of a transaction that was taken.
  async decided(hash) {
    for (let n = 0; n < PATIENCE; n += 1) {
      await this.close();
      const found = await this.server.getTransaction(hash);
      if (found.status !== 'NOT_FOUND') return found;
    }
    throw new Error(`${hash} was taken and never included`);
  }
}

function operationsOf(transaction) {
  const inner = transaction.innerTransaction ?? transaction;
  return inner.tx.operations();
}

// The SDK's names as the protocol writes them: paymentNoTrust is PAYMENT_NO_TRUST, txBadSeq is txBAD_SEQ.
function upper(name) {
  const snake = name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
  return snake.replace(/^(TX|OP)_/, (prefix) => prefix.slice(0, 2).toLowerCase());
}

// The code of a transaction's result, then those of its operations.
function codes(result) {
  const code = upper(result.switch().name);
  if (result.switch().name.startsWith('txFeeBumpInner')) {
    const [inner, ...operations] = codes(result.innerResultPair().result().result());
    return [`${code} ${inner}`, ...operations];
  }
  const decided = ['txSuccess', 'txFailed'].includes(result.switch().name) ? result.results() : [];
  return [code, ...decided.map((operation) => {
    if (operation.switch().name !== 'opInner') return upper(operation.switch().name);
    return upper(operation.tr().value().switch().name);
  })];
}

// Whatever fails, fails with this code.
async function refused(code, promise) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.code, code, `${error.message ?? error}`);
    return true;
  });
}

function accountKey(key) {
  return xdr.LedgerKey.account(new xdr.LedgerKeyAccount({ accountId: key.xdrAccountId() }));
}

function trustlineKey(key, asset) {
  const line = new xdr.LedgerKeyTrustLine({ accountId: key.xdrAccountId(), asset: asset.toTrustLineXDRObject() });
  return xdr.LedgerKey.trustline(line);
}

function dataKey(key, name) {
  return xdr.LedgerKey.data(new xdr.LedgerKeyData({ accountId: key.xdrAccountId(), dataName: name }));
}

function balanceKey(id) {
  const balanceId = xdr.ClaimableBalanceId.fromXDR(id, 'hex');
  return xdr.LedgerKey.claimableBalance(new xdr.LedgerKeyClaimableBalance({ balanceId }));
}

module.exports = { Network, refused, accountKey, trustlineKey, dataKey, balanceKey };
