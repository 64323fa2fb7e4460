//! A hundred thousand answers of a real ledger with something changed: understood or refused, never a panic, and never taken
//! for another ledger's.

use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use stellar_xdr::{LedgerKey, TransactionEnvelope};
use tradepost_devnet::Ledger;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::message::TxHash;
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::transaction::{Bounds, Unsigned};
use tradepost_protocol::stellar::{Memo, operation, xdr};
use tradepost_protocol::time::Timestamp;

use super::{movements, read};
use crate::config::{Auth, Patience};
use crate::endpoint::address::Address;
use crate::endpoint::{Endpoint, Reply};
use crate::error::LedgerError;
use crate::keyed;
use crate::wire;

/// How many mutated answers are tried.
const ROUNDS: u64 = 100_000;
/// What they follow from.
const SEED: u64 = 0x6c65_6467_6572;
const PASSPHRASE: &str = "A ledger whose answers are mutated";
const GENESIS: u64 = 1_800_000_000;
/// The number of every question.
const ID: u64 = 7;

/// A small generator (SplitMix64) whose seed a failure names.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap()
    }

    /// Flips, removes, copies and misplaces a few bytes, or cuts the rest off.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(7) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes.truncate(at),
                2 => drop(bytes.splice(at..at, b"99999999999999999999".iter().copied())),
                3 => drop(bytes.drain(at..(at + self.below(40)).min(bytes.len()))),
                4 => bytes[at] = b"{}[]\",:-0AZ/+=\xff"[self.below(15)],
                5 => bytes[at] = b'0' + u8::try_from(self.below(10)).unwrap(),
                _ => {
                    let end = (at + self.below(60)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    drop(bytes.splice(at..at, copy));
                }
            }
            if bytes.is_empty() {
                return;
            }
        }
    }
}

/// What is asked, and what an honest ledger answers.
struct Honest {
    endpoint: Endpoint,
    network: NetworkId,
    hash: TxHash,
    keys: Vec<LedgerKey>,
    answers: Vec<(&'static str, Vec<u8>)>,
}

impl Honest {
    fn new() -> Self {
        let (mut ledger, network) = (Ledger::genesis(PASSPHRASE, GENESIS), NetworkId::of_passphrase(PASSPHRASE));
        let root = SigningKey::from_bytes(&ledger.root_secret());
        let made = AccountId::from_bytes([5; 32]);
        let unsigned = Unsigned {
            source: AccountId::of(&root),
            sequence: 1,
            fee: 100,
            bounds: Bounds::until(Timestamp::from_secs(GENESIS + 60)),
            memo: Memo::None,
            operations: vec![operation::create_account(made, Stroops::whole(10))],
        };
        let envelope = unsigned.sign(&[&root], &network).unwrap();
        let keys = keyed::ledger_keys(&[Key::Account(unsigned.source), Key::Account(made)]).unwrap();
        let texts: Vec<String> = keys.iter().map(|key| wire::to_xdr64(key).unwrap()).collect();
        let sent = json!({ "transaction": xdr::to_base64(envelope.bytes()) });
        let mut answers = vec![("sendTransaction", ledger.rpc("sendTransaction", &sent).unwrap())];
        ledger.close(GENESIS + 5).unwrap();
        for (method, params) in [
            ("getNetwork", json!({})),
            ("getLatestLedger", json!({})),
            ("getFeeStats", json!({})),
            ("getLedgerEntries", json!({ "keys": texts })),
            ("getTransaction", json!({ "hash": envelope.hash().to_string() })),
            ("getLedgers", json!({ "startLedger": 2, "pagination": { "limit": 1 } })),
            ("getEvents", json!({ "startLedger": 2, "filters": [], "pagination": { "limit": 200 } })),
        ] {
            answers.push((method, ledger.rpc(method, &params).unwrap()));
        }
        let body = |result: Value| json!({ "jsonrpc": "2.0", "id": ID, "result": result }).to_string().into_bytes();
        let address = Address::parse("http://127.0.0.1:1", false).unwrap();
        Self {
            endpoint: Endpoint::new(address, &Auth::None, &Patience::default()).unwrap(),
            network,
            hash: envelope.hash(),
            keys,
            answers: answers.into_iter().map(|(method, result)| (method, body(result))).collect(),
        }
    }

    /// What is understood of an answer: nothing of it may be about anything else than was asked.
    fn understand(&self, method: &'static str, body: Vec<u8>) -> Result<(), LedgerError> {
        let (endpoint, reply) = (&self.endpoint, Reply { status: reqwest::StatusCode::OK, body });
        match method {
            "sendTransaction" => {
                let hash = *self.hash.as_bytes();
                read::sent(endpoint, method, hash, endpoint.parse(method, ID, &reply)?).map(drop)
            }
            "getNetwork" => endpoint.parse::<wire::Network>(method, ID, &reply).map(drop),
            "getLatestLedger" => {
                let answer: wire::LatestLedger = endpoint.parse(method, ID, &reply)?;
                let head = read::head(endpoint, method, &answer)?;
                assert_eq!(head.ledger.sequence, answer.sequence.0);
                Ok(())
            }
            "getFeeStats" => read::fees(endpoint, method, &endpoint.parse(method, ID, &reply)?).map(drop),
            "getLedgerEntries" => {
                let keys: Vec<&LedgerKey> = self.keys.iter().collect();
                let entries = read::entries(endpoint, method, &keys, endpoint.parse(method, ID, &reply)?)?;
                assert!(entries.iter().all(|entry| self.keys.contains(&entry.key) && entry.data.to_key() == entry.key));
                entries.iter().for_each(|entry| drop(entry.read()));
                Ok(())
            }
            "getTransaction" => {
                let answer = endpoint.parse(method, ID, &reply)?;
                let status = read::status(endpoint, method, &self.network, self.hash, None, answer)?;
                if let crate::TxStatus::Success(found) | crate::TxStatus::Failed(found) = status {
                    let envelope: &TransactionEnvelope = &found.envelope;
                    assert_eq!(envelope.hash(*self.network.as_bytes()).unwrap(), *self.hash.as_bytes());
                }
                Ok(())
            }
            "getEvents" => {
                let (answer, mut found) = (endpoint.parse(method, ID, &reply)?, Vec::new());
                movements::read_page(endpoint, answer, 2..3, &mut found)?;
                assert!(found.iter().all(|(ledger, _)| *ledger == 2), "no other ledgers were asked for");
                Ok(())
            }
            _ => {
                let answer: wire::Ledgers = endpoint.parse(method, ID, &reply)?;
                let first = answer.ledgers.into_iter().next();
                let latest = first.map(wire::LedgerInfo::into_latest).transpose();
                let latest = latest.map_err(|why| endpoint.garbled(method, why))?;
                latest.map_or(Ok(()), |latest| read::head(endpoint, method, &latest).map(drop))
            }
        }
    }
}

#[test]
fn a_hundred_thousand_mutated_answers_are_understood_or_refused() {
    let honest = Honest::new();
    for (method, body) in &honest.answers {
        honest.understand(method, body.clone()).unwrap_or_else(|e| panic!("{method}, unchanged: {e}"));
    }
    let mut random = Random(SEED);
    let mut refused = 0;
    for round in 0..ROUNDS {
        let (method, body) = &honest.answers[random.below(honest.answers.len())];
        let mut body = body.clone();
        random.mutate(&mut body);
        match honest.understand(method, body) {
            Ok(()) => {}
            Err(error) => {
                assert!(error.to_string().contains("127.0.0.1"), "round {round}: it names who said it: {error}");
                refused += 1;
            }
        }
    }
    // What no answer of ours depends on, such as a ledger's changes, may be changed at will.
    assert!(refused > ROUNDS / 10, "{refused} of {ROUNDS} refused, seed {SEED:#x}");
}
