//! The devnet's transactions against strict verification of the same signatures on one core.
//!
//! Ours: each envelope through `sendTransaction` as the server takes it, base64 in JSON, and the ledgers closed. The
//! limit: ed25519 strict verification of the very same hashes, keys and signatures, and nothing else.
#![expect(clippy::unwrap_used, reason = "a bench stops at what it doesn't expect")]

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tradepost_devnet::Ledger;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::stellar::transaction::{Bounds, Unsigned};
use tradepost_protocol::stellar::{Memo, Operation, operation, xdr};
use tradepost_protocol::time::Timestamp;
use tradepost_tests::measure::{Compared, ROUNDS, load, took};

/// Each sends one transaction a ledger: as many as a ledger takes.
const ACCOUNTS: usize = 1_000;
const LEDGERS: usize = 5;
const PASSPHRASE: &str = "Devnet ; measured";
const START: u64 = 1_800_000_000;

/// A transaction as it is sent, and what its one signature covers.
struct Sent {
    params: serde_json::Value,
    hash: [u8; 32],
    key: [u8; 32],
    signature: [u8; 64],
}

struct Bench {
    ledger: Ledger,
    network: NetworkId,
    keys: Vec<SigningKey>,
    /// The sequence number that every account has used last.
    sequence: i64,
}

impl Bench {
    fn new() -> Self {
        let (ledger, network) = (Ledger::genesis(PASSPHRASE, START), NetworkId::of_passphrase(PASSPHRASE));
        let key = |n: usize| SigningKey::from_bytes(&Sha256::digest(n.to_be_bytes()).into());
        let keys: Vec<SigningKey> = (0..ACCOUNTS).map(key).collect();
        let mut bench = Self { ledger, network, keys, sequence: 0 };
        let root = SigningKey::from_bytes(&bench.ledger.root_secret());
        let made: Vec<Operation> =
            bench.keys.iter().map(|key| operation::create_account(AccountId::of(key), Stroops::whole(100))).collect();
        // All of them start at the same sequence number where one ledger makes them.
        for (n, page) in made.chunks(100).enumerate() {
            let sent = bench.sign(&root, i64::try_from(n).unwrap() + 1, page.to_vec());
            bench.send(&sent);
            bench.close();
        }
        bench
    }

    fn sign(&self, key: &SigningKey, sequence: i64, operations: Vec<Operation>) -> Sent {
        let unsigned = Unsigned {
            source: AccountId::of(key),
            sequence,
            fee: 100 * u32::try_from(operations.len()).unwrap(),
            bounds: Bounds::until(Timestamp::from_secs(START * 2)),
            memo: Memo::None,
            operations,
        };
        let hash = *unsigned.hash(&self.network).unwrap().as_bytes();
        let envelope = unsigned.sign(&[key], &self.network).unwrap();
        let params = json!({ "transaction": xdr::to_base64(envelope.bytes()) });
        Sent { params, hash, key: key.verifying_key().to_bytes(), signature: key.sign(&hash).to_bytes() }
    }

    /// A payment of every account to the next, for each ledger.
    fn round(&mut self) -> Vec<Vec<Sent>> {
        let ledgers = (0..LEDGERS).map(|_| {
            self.sequence += 1;
            let pair = self.keys.iter().zip(self.keys.iter().cycle().skip(1)).enumerate();
            pair.map(|(n, (from, to))| {
                let start = (i64::try_from(n).unwrap() / 100 + 2) << 32;
                let pay = operation::pay(AccountId::of(to), &Asset::Native, Stroops::new(1).unwrap());
                self.sign(from, start + self.sequence, vec![pay])
            })
            .collect()
        });
        ledgers.collect()
    }

    fn send(&mut self, sent: &Sent) {
        let answer = self.ledger.rpc("sendTransaction", &sent.params).unwrap();
        assert_eq!(answer["status"], "PENDING", "{answer}");
    }

    fn close(&mut self) -> usize {
        let closed = self.ledger.close(self.ledger.close_time() + 5).unwrap();
        assert!(closed.transactions.iter().all(|record| record.succeeded()));
        closed.transactions.len()
    }
}

fn verify(sent: &Sent) {
    let key = VerifyingKey::from_bytes(&sent.key).unwrap();
    key.verify_strict(&sent.hash, &Signature::from_bytes(&sent.signature)).unwrap();
}

fn main() {
    let mut bench = Bench::new();
    let mut compared = Compared::default();
    for _ in 0..ROUNDS {
        let round = bench.round();
        let (limit, ()) = took(|| round.iter().flatten().for_each(verify));
        let (ours, included) = took(|| {
            let close = |ledger: &Vec<Sent>| {
                ledger.iter().for_each(|sent| bench.send(sent));
                bench.close()
            };
            round.iter().map(close).sum::<usize>()
        });
        assert_eq!(included, ACCOUNTS * LEDGERS);
        compared.add(ours, limit);
    }
    let count = f64::from(u32::try_from(ACCOUNTS * LEDGERS).unwrap());
    let (ours, limit) = compared.medians(|took| took.cpu);
    let [least, median, most] = compared.ratios(|took| took.cpu);
    println!("{} transactions in {LEDGERS} ledgers, {ROUNDS} rounds, {}", ACCOUNTS * LEDGERS, load());
    println!(
        "devnet        {:>8.0} transactions/s, {:.3} s of processor",
        count / ours.as_secs_f64(),
        ours.as_secs_f64()
    );
    println!(
        "verification  {:>8.0} signatures/s,   {:.3} s of processor",
        count / limit.as_secs_f64(),
        limit.as_secs_f64()
    );
    println!("ratio         {median:.2} ({least:.2} to {most:.2})");
}
