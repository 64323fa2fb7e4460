// Runs every case against a fresh development ledger, and prints how often each operation came to which outcome.
//
// node client/main.js RPC_URL
'use strict';

const { Network } = require('./network');

const MODULES = ['accounts', 'trust', 'balances', 'signers', 'sponsorship', 'fee_bumps', 'rpc'];

async function main(url) {
  const began = Date.now();
  const net = await Network.connect(url);
  const cases = MODULES.flatMap((name) => require(`./${name}`).cases);
  let failed = 0;
  for (const one of cases) {
    try {
      await one(net);
    } catch (error) {
      failed += 1;
      console.error(`javascript ${one.name}: FAILED`);
      console.error(error);
    }
  }
  let sent = 0;
  const counts = [...net.counts].map(([key, count]) => [...JSON.parse(key), count]);
  counts.sort(([a, x], [b, y]) => (a === b ? (x < y ? -1 : 1) : (a < b ? -1 : 1)));
  for (const [operation, outcome, count] of counts) {
    if (operation === 'transaction') sent += count;
    console.log(`${operation.padEnd(32)} ${outcome.padEnd(52)} ${String(count).padStart(4)}`);
  }
  const took = Math.round((Date.now() - began) / 1_000);
  console.log(`javascript: ${cases.length - failed} of ${cases.length} cases passed, ${sent} transactions, ${took} s`);
  process.exitCode = failed === 0 ? 0 : 1;
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
