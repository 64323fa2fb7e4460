//! Thousands of answers with something changed: an answer or an error, never a panic.

use serde_json::{Value, json};
use stellar_xdr::{Limits, WriteXdr};
use tradepost_ledger::Ledger;

use crate::answers;
use crate::server::{Reply, Server};

/// How many mutated answers are tried.
const ROUNDS: u64 = 2_000;

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
}

/// Changes a few bytes: flips, removals, copies, and digits and brackets in odd places.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..at, b"99999999999999999999".iter().copied())),
            3 => drop(bytes.drain(at..(at + random.below(40)).min(bytes.len()))),
            4 => bytes[at] = b"{}[]\",:-0AZ/+=\xff"[random.below(15)],
            _ => {
                let end = (at + random.below(60)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copy));
            }
        }
        if bytes.is_empty() {
            return;
        }
    }
}

#[tokio::test]
async fn mutated_answers_never_panic() {
    let seed = 0x7261_6465_706f_7374;
    let envelope = answers::envelope(0);
    let results: Vec<(&str, Value)> = vec![
        ("getNetwork", answers::network()),
        ("getLatestLedger", answers::latest(9)),
        ("getLedgerEntries", json!({ "entries": [answers::entry(1), answers::entry(2)], "latestLedger": 9 })),
        ("sendTransaction", answers::sent("PENDING", &envelope)),
        ("getTransaction", answers::found(&envelope, 8, true)),
        ("getFeeStats", answers::fees()),
    ];
    let mut random = Random(seed);
    let mut honest_calls = 2;
    let server = Server::start(move |q| {
        let result = &results.iter().find(|(method, _)| *method == q.method).unwrap().1;
        if honest_calls > 0 {
            honest_calls -= 1;
            return Reply::Result(result.clone());
        }
        let mut body = json!({ "jsonrpc": "2.0", "id": q.id, "result": result }).to_string().into_bytes();
        mutate(&mut body, &mut random);
        Reply::Http(200, "", body)
    })
    .await;
    let ledger = answers::connect(&server).await;
    let bytes = answers::envelope(0).to_xdr(Limits::none()).unwrap();
    let hash = answers::hash(&answers::envelope(0));
    let keys = [answers::account_key(1), answers::account_key(2)];
    let mut refused = 0;
    for round in 0..ROUNDS {
        let failed = match round % 6 {
            0 => ledger.network().await.is_err(),
            1 => ledger.head().await.is_err(),
            2 => ledger.entries(&keys).await.is_err(),
            3 => ledger.submit(&bytes).await.is_err(),
            4 => ledger.status(hash).await.is_err(),
            _ => ledger.fees().await.is_err(),
        };
        refused += u64::from(failed);
    }
    assert!(refused > ROUNDS / 2, "{refused} of {ROUNDS} refused, seed {seed:#x}");
}
