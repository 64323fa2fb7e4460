// Builds envelopes with the JavaScript SDK from lines of JSON on standard input, one line of JSON each on standard
// output. The lines are described in tests/src/conformance/description.rs.
//
// Where the SDK's builders can't say what a description says, the SDK's XDR types say it; each such place is marked.
'use strict';

const readline = require('node:readline');
const {
  Account, Asset, Claimant, Keypair, LiquidityPoolAsset, LiquidityPoolId, Memo, MuxedAccount, Operation, SignerKey,
  StrKey, TransactionBuilder, getLiquidityPoolId, xdr,
} = require('@stellar/stellar-sdk');

const bytes = (hex) => Buffer.from(hex, 'hex');

// Stroops in coins, as the SDK takes them: with seven decimals at the most.
function amount(stroops) {
  const digits = stroops.padStart(8, '0');
  return `${digits.slice(0, -7)}.${digits.slice(-7)}`;
}

function asset(text) {
  if (text === 'native') return Asset.native();
  const [code, issuer] = text.split(':');
  return new Asset(code, issuer);
}

const pool = (line) => new LiquidityPoolAsset(asset(line.a), asset(line.b), 30);

function predicate(p) {
  switch (p.type) {
    case 'unconditional': return Claimant.predicateUnconditional();
    case 'and': return Claimant.predicateAnd(...p.of.map(predicate));
    case 'or': return Claimant.predicateOr(...p.of.map(predicate));
    case 'not': return Claimant.predicateNot(predicate(p.of));
    case 'before_absolute_time': return Claimant.predicateBeforeAbsoluteTime(p.time);
    case 'before_relative_time': return Claimant.predicateBeforeRelativeTime(p.seconds);
    default: throw new Error(`a predicate ${p.type}`);
  }
}

// A signer's strkey as the options of the SDK's operations name it.
function signerOf(key) {
  switch (key[0]) {
    case 'G': return { ed25519PublicKey: key };
    case 'T': return { preAuthTx: StrKey.decodePreAuthTx(key) };
    case 'X': return { sha256Hash: StrKey.decodeSha256Hash(key) };
    case 'P': return { ed25519SignedPayload: key };
    default: throw new Error(`a signer ${key}`);
  }
}

// A sponsored signer of a payload: the SDK neither builds nor reads a transaction with it.
const takesPayload = (of) => of !== undefined && of.type === 'signer' && of.key[0] === 'P';

function revoke(of, source) {
  const { account } = of;
  switch (of.type) {
    case 'account': return Operation.revokeAccountSponsorship({ account, source });
    case 'trustline': {
      const held = of.line.type === 'asset' ? asset(of.line.asset)
        : new LiquidityPoolId(getLiquidityPoolId('constant_product', pool(of.line).getLiquidityPoolParameters())
          .toString('hex'));
      return Operation.revokeTrustlineSponsorship({ account, asset: held, source });
    }
    case 'data': return Operation.revokeDataSponsorship({ account, name: of.name, source });
    case 'claimable_balance': return Operation.revokeClaimableBalanceSponsorship({ balanceId: of.balance, source });
    case 'signer': {
      const key = takesPayload(of) ? account : of.key;
      return Operation.revokeSignerSponsorship({ account, signer: signerOf(key), source });
    }
    default: throw new Error(`a sponsorship of ${of.type}`);
  }
}

function setOptions(o, source) {
  const set = (value) => (value === null ? undefined : value);
  return Operation.setOptions({
    inflationDest: set(o.inflation_destination),
    clearFlags: set(o.clear_flags),
    setFlags: set(o.set_flags),
    masterWeight: set(o.master_weight),
    lowThreshold: set(o.low_threshold),
    medThreshold: set(o.medium_threshold),
    highThreshold: set(o.high_threshold),
    homeDomain: set(o.home_domain),
    signer: o.signer === null ? undefined : { ...signerOf(o.signer.key), weight: o.signer.weight },
    source,
  });
}

// Flags that are set are true, cleared ones false.
function setTrustLineFlags(o, source) {
  const names = { authorized: 1, authorizedToMaintainLiabilities: 2, clawbackEnabled: 4 };
  const flags = {};
  for (const [name, bit] of Object.entries(names)) {
    flags[name] = (o.set_flags & bit) !== 0 ? true : (o.clear_flags & bit) !== 0 ? false : undefined;
  }
  return Operation.setTrustLineFlags({ trustor: o.trustor, asset: asset(o.asset), flags, source });
}

function operation(o) {
  const source = o.source === null ? undefined : o.source;
  switch (o.type) {
    case 'create_account':
      return Operation.createAccount({
        destination: o.destination, startingBalance: amount(o.starting_balance), source,
      });
    case 'payment':
      return Operation.payment({ destination: o.destination, asset: asset(o.asset), amount: amount(o.amount), source });
    case 'set_options': return setOptions(o, source);
    case 'change_trust':
      return Operation.changeTrust({
        asset: o.line.type === 'asset' ? asset(o.line.asset) : pool(o.line), limit: amount(o.limit), source,
      });
    case 'account_merge': return Operation.accountMerge({ destination: o.destination, source });
    case 'manage_data':
      return Operation.manageData({ name: o.name, value: o.value === null ? null : bytes(o.value), source });
    case 'bump_sequence': return Operation.bumpSequence({ bumpTo: o.bump_to, source });
    case 'create_claimable_balance':
      return Operation.createClaimableBalance({
        asset: asset(o.asset),
        amount: amount(o.amount),
        claimants: o.claimants.map((c) => new Claimant(c.destination, predicate(c.predicate))),
        source,
      });
    case 'claim_claimable_balance': return Operation.claimClaimableBalance({ balanceId: o.balance, source });
    case 'begin_sponsoring_future_reserves':
      return Operation.beginSponsoringFutureReserves({ sponsoredId: o.sponsored, source });
    case 'end_sponsoring_future_reserves': return Operation.endSponsoringFutureReserves({ source });
    case 'revoke_sponsorship': return revoke(o.of, source);
    case 'clawback': return Operation.clawback({ asset: asset(o.asset), from: o.from, amount: amount(o.amount), source });
    case 'clawback_claimable_balance': return Operation.clawbackClaimableBalance({ balanceId: o.balance, source });
    case 'set_trust_line_flags': return setTrustLineFlags(o, source);
    default: throw new Error(`an operation ${o.type}`);
  }
}

function memo(m) {
  switch (m.type) {
    case 'none': return Memo.none();
    case 'text': return Memo.text(bytes(m.value));
    case 'id': return Memo.id(m.value);
    case 'hash': return Memo.hash(bytes(m.value));
    case 'return': return Memo.return(bytes(m.value));
    default: throw new Error(`a memo ${m.type}`);
  }
}

function timeBounds(time) {
  return { minTime: time.min, maxTime: time.max };
}

// What the builder takes of the preconditions. It always wants time bounds.
function preconditions(p) {
  if (p.type === 'none') return { timebounds: { minTime: 0, maxTime: 0 } };
  if (p.type === 'time') return { timebounds: timeBounds(p) };
  return {
    timebounds: timeBounds(p.time === null ? { min: '0', max: '0' } : p.time),
    ledgerbounds: p.ledgers === null ? undefined : { minLedger: p.ledgers.min, maxLedger: p.ledgers.max },
    minAccountSequence: p.min_sequence === null ? undefined : p.min_sequence,
    minAccountSequenceAge: p.min_sequence_age === '0' ? undefined : BigInt(p.min_sequence_age),
    minAccountSequenceLedgerGap: p.min_sequence_ledger_gap === 0 ? undefined : p.min_sequence_ledger_gap,
    extraSigners: p.extra_signers.length === 0 ? undefined : p.extra_signers,
  };
}

// By XDR types: the builder can't leave the time open, and writes "from 0 on" where no least sequence number is given.
function setOpenConditions(tx, p) {
  if (p.type === 'none') tx.cond(xdr.Preconditions.precondNone());
  if (p.type !== 'general') return;
  if (p.time === null) tx.cond().v2().timeBounds(null);
  if (p.min_sequence === null) tx.cond().v2().minSeqNum(null);
}

// By XDR types: sponsored signers of payloads are put where the builder has the account's own key, or that back.
function setPayloadSigners(tx, operations, back = false) {
  operations.forEach(({ of }, n) => {
    if (!takesPayload(of)) return;
    const key = SignerKey.decodeAddress(back ? of.account : of.key);
    tx.operations()[n].body().revokeSponsorshipOp().signer().signerKey(key);
  });
}

const keys = new Map();

function keyOf(seed) {
  if (!keys.has(seed)) keys.set(seed, Keypair.fromSecret(seed));
  return keys.get(seed);
}

function sign(transaction, signers) {
  for (const signer of signers) {
    switch (signer.type) {
      case 'key': transaction.sign(keyOf(signer.seed)); break;
      case 'preimage': transaction.signHashX(bytes(signer.preimage)); break;
      case 'payload':
        transaction.addDecoratedSignature(keyOf(signer.seed).signPayloadDecorated(bytes(signer.payload)));
        break;
      default: throw new Error(`a signature by ${signer.type}`);
    }
  }
}

const told = (transaction) => transaction.signatures
  .map((s) => Buffer.concat([s.hint(), s.signature()]).toString('hex'));

function build(d) {
  const last = (BigInt(d.sequence) - 1n).toString();
  const source = d.source[0] === 'M' ? MuxedAccount.fromAddress(d.source, last) : new Account(d.source, last);
  const builder = new TransactionBuilder(source, {
    fee: String(d.base_fee), networkPassphrase: d.network, memo: memo(d.memo), ...preconditions(d.preconditions),
  });
  for (const o of d.operations) builder.addOperation(operation(o));
  let transaction = builder.build();
  setOpenConditions(transaction.tx, d.preconditions);
  setPayloadSigners(transaction.tx, d.operations);
  sign(transaction, d.signatures);
  const built = {
    number: d.number, hash: transaction.hash().toString('hex'), signatures: told(transaction), bump: null,
  };
  if (d.bump !== null) {
    setPayloadSigners(transaction.tx, d.operations, true);
    transaction = TransactionBuilder.buildFeeBumpTransaction(d.bump.source, d.bump.base_fee, transaction, d.network);
    setPayloadSigners(transaction.tx.innerTx().value().tx(), d.operations);
    sign(transaction, d.bump.signatures);
    built.bump = { hash: transaction.hash().toString('hex'), signatures: told(transaction) };
  }
  built.xdr = transaction.toXDR();
  return built;
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const description = JSON.parse(line);
    try {
      process.stdout.write(`${JSON.stringify(build(description))}\n`);
    } catch (error) {
      throw new Error(`description ${description.number}: ${error.message}`, { cause: error });
    }
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
