//! Envelopes of all kinds with something changed, a hundred thousand of them, and a corpus of broken ones: an answer or
//! a refusal, never a panic, and nothing in the ledger changes by what is refused.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stellar_xdr::*;
use tradepost_devnet::{INVALID_PARAMS, Ledger, MAX_ENVELOPE_BYTES, RpcError};

use crate::world::*;

/// How many mutated envelopes are tried.
const ROUNDS: u32 = 100_000;
/// What they follow from.
const SEED: u64 = 0x656e_7665_6c6f_7065;
/// Rounds after which both ledgers close and are compared, and other envelopes are changed.
const COMPARED: u32 = 500;
/// How many envelopes are changed in that time, each anew.
const ENVELOPES: usize = 40;
/// The most that an answer may take, in bytes: a result of a hundred operations, in text.
const MAX_ANSWER: usize = 16 * 1024;
/// Broken envelopes: what is said of each, what it is, and its XDR.
const CORPUS: &str = include_str!("envelopes.txt");

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

    /// A number that often counts or names something in XDR.
    fn word(&mut self) -> [u8; 4] {
        let odd = [0, 1, 2, 3, 5, 7, 14, 20, 24, 64, 101, 0x7fff_ffff, 0x8000_0000, u32::MAX];
        odd[self.below(odd.len())].to_be_bytes()
    }

    /// Changes a few bytes or words, lengths and kinds among them; cuts off, copies, moves, or blows up.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            let word = at / 4 * 4;
            match self.below(10) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(word..(word + 4 * self.below(20)).min(bytes.len()))),
                2 => drop(bytes.splice(word..word, self.word())),
                3 | 4 if word + 4 <= bytes.len() => bytes[word..word + 4].copy_from_slice(&self.word()),
                5 => {
                    let end = (word + 4 * self.below(40)).min(bytes.len());
                    let copy = bytes[word..end].to_vec();
                    drop(bytes.splice(word..word, copy));
                }
                // Nested as far as a hundred kilobytes allow, or past any size.
                6 if self.below(20) == 0 => {
                    let unit = [0, 0, 0, 3, 0, 0, 0, 1].repeat(self.below(2 * MAX_ENVELOPE_BYTES / 8));
                    drop(bytes.splice(word..word, unit));
                }
                _ => bytes[at] ^= 1 << self.below(8),
            }
            if bytes.is_empty() {
                return;
            }
        }
    }
}

/// Accounts that act, and transactions of theirs that would be valid, one of each kind.
struct Actors {
    keys: Vec<Key>,
}

impl Actors {
    fn new(world: &mut World) -> Self {
        Self { keys: (0..8).map(|n| world.account(&format!("k{n}"), 10_000 * XLM)).collect() }
    }

    fn bodies(&self) -> Vec<OperationBody> {
        let (a, b) = (&self.keys[0], &self.keys[1]);
        let usd = b.asset("USD");
        let deep = ClaimPredicate::And(vec![not(before(START + 9)), not(not(before(START * 2)))].try_into().unwrap());
        let balance = balance_id(a, 7, 0);
        let payload =
            SignerKeyEd25519SignedPayload { ed25519: Uint256(b.bytes()), payload: vec![7; 9].try_into().unwrap() };
        let text = |text: &str| ScVal::Symbol(text.try_into().unwrap());
        vec![
            create_account(&Key::of("new"), 5 * XLM),
            pay(b, usd.clone(), 3),
            trust(&usd, 1_000),
            trust_pool(pool_of(&usd), 1_000),
            data("name", Some(b"value")),
            bump_to(0),
            // To nobody, for the accounts are needed to the end.
            merge(&Key::of("nobody")),
            options(|o| o.home_domain = Some(String32("example.org".try_into().unwrap()))),
            add_signer(SignerKey::HashX(Uint256([4; 32])), 1),
            add_signer(SignerKey::PreAuthTx(Uint256([5; 32])), 1),
            add_signer(SignerKey::Ed25519SignedPayload(payload), 1),
            create_balance(Asset::Native, XLM, vec![claimant(a, deep), claimant(b, ClaimPredicate::Unconditional)]),
            claim(&balance),
            claw_back(b, &usd, 1),
            claw_back_balance(&balance),
            set_trust_flags(b, &a.asset("USD"), 0, 1),
            begin(b),
            end(),
            revoke(account_key(b)),
            revoke_signer(b, a.signer()),
            OperationBody::Inflation,
            OperationBody::InvokeHostFunction(InvokeHostFunctionOp {
                host_function: HostFunction::InvokeContract(InvokeContractArgs {
                    contract_address: ScAddress::Contract(ContractId(Hash([6; 32]))),
                    function_name: ScSymbol("f".try_into().unwrap()),
                    args: vec![ScVal::Vec(Some(ScVec(vec![text("a")].try_into().unwrap())))].try_into().unwrap(),
                }),
                auth: VecM::default(),
            }),
        ]
    }

    /// An envelope of a random account, operations and form.
    fn envelope(&self, world: &World, bodies: &[OperationBody], random: &mut Random) -> Vec<u8> {
        let key = &self.keys[random.below(self.keys.len())];
        let used = world.entry(key).map_or(0, |account| account.seq_num.0);
        let mut tx = Tx::new(key, used.saturating_add(1)).memo(random.next());
        for _ in 0..=random.below(2) {
            tx = tx.op(bodies[random.below(bodies.len())].clone());
        }
        if random.below(4) == 0 {
            tx = tx.times(0, START * 2).v2(|v2| v2.extra_signers = vec![key.signer()].try_into().unwrap());
        }
        let mut envelope = tx.sign(world, &[key]);
        if random.below(4) == 0 {
            let payer = &self.keys[random.below(self.keys.len())];
            envelope = bump(world, payer, 1_000, &envelope, &[payer]);
        }
        envelope.to_xdr(Limits::none()).unwrap()
    }
}

fn send(ledger: &mut Ledger, envelope: &[u8]) -> Result<Value, RpcError> {
    ledger.rpc("sendTransaction", &json!({ "transaction": STANDARD.encode(envelope) }))
}

#[test]
fn a_hundred_thousand_mutated_envelopes_are_answered_and_what_is_refused_changes_nothing() {
    let (mut world, mut twin) = (World::new(), World::new());
    let actors = Actors::new(&mut world);
    drop(Actors::new(&mut twin));
    let bodies = actors.bodies();
    let mut random = Random(SEED);
    let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
    let mut whole: Vec<Vec<u8>> = Vec::new();
    for round in 1..=ROUNDS {
        if whole.is_empty() {
            whole = (0..ENVELOPES).map(|_| actors.envelope(&world, &bodies, &mut random)).collect();
        }
        let mut envelope = whole[random.below(ENVELOPES)].clone();
        random.mutate(&mut envelope);
        let waiting = world.ledger.pending();
        let outcome = match send(&mut world.ledger, &envelope) {
            Err(error) => {
                assert_eq!((error.code, error.message.as_str()), (INVALID_PARAMS, "invalid_xdr"), "round {round}");
                assert!(error.data.is_none_or(|data| data.to_string().len() < 500), "round {round}");
                "invalid_xdr".to_owned()
            }
            Ok(answer) => {
                assert!(answer.to_string().len() < MAX_ANSWER, "round {round}");
                answer["status"].as_str().unwrap().to_owned()
            }
        };
        // A twin that is told only of what was taken stays the same, to the hash.
        match outcome.as_str() {
            "PENDING" => assert_eq!(send(&mut twin.ledger, &envelope).unwrap()["status"], "PENDING", "round {round}"),
            _ => assert_eq!(world.ledger.pending(), waiting, "round {round}"),
        }
        *outcomes.entry(outcome).or_default() += 1;
        if round % COMPARED == 0 {
            let (one, other) = (world.close(), twin.close());
            assert_eq!(one, other, "round {round}, seed {SEED:#x}");
            whole.clear();
        }
    }
    // The changes must neither break everything nor nothing.
    let count = |outcome: &str| outcomes.get(outcome).copied().unwrap_or(0);
    assert!(count("invalid_xdr") > ROUNDS / 10 && count("ERROR") > ROUNDS / 10, "{outcomes:?}");
    assert!(count("PENDING") > 0, "{outcomes:?}");
}

#[test]
fn mutated_keys_of_entries_are_answered_or_refused() {
    let mut world = World::new();
    let key = world.account("k", XLM);
    let keys = [
        account_key(&key),
        line_key(&key, &key.asset("USD")),
        data_key(&key, "name"),
        balance_key(&balance_id(&key, 1, 0)),
    ];
    let mut random = Random(SEED);
    for round in 0..ROUNDS / 10 {
        let mut bytes = keys[random.below(keys.len())].to_xdr(Limits::none()).unwrap();
        random.mutate(&mut bytes);
        let answer = world.ledger.rpc("getLedgerEntries", &json!({ "keys": [STANDARD.encode(&bytes)] }));
        match answer {
            Ok(answer) => assert!(answer["entries"].as_array().unwrap().len() <= 1, "round {round}"),
            Err(error) => assert_eq!(error.code, INVALID_PARAMS, "round {round}: {error}"),
        }
    }
}

#[test]
fn each_broken_envelope_of_the_corpus_is_refused_for_what_it_is() {
    let mut world = World::new();
    let before = (world.ledger.hash(), world.ledger.totals());
    let mut replayed = 0;
    for line in CORPUS.lines() {
        let [expected, what, text] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let answer = world.ledger.rpc("sendTransaction", &json!({ "transaction": text }));
        let said = match &answer {
            Err(error) => error.message.clone(),
            Ok(answer) => {
                let result = answer["errorResultXdr"].as_str().unwrap_or_else(|| panic!("{what}: {answer}"));
                let result = TransactionResult::from_xdr_base64(result, Limits::none()).unwrap();
                result.result.name().to_owned()
            }
        };
        assert_eq!(said, expected, "{what}");
        assert_eq!(world.ledger.pending(), 0, "{what}");
        replayed += 1;
    }
    assert!(replayed > 40);
    assert_eq!((world.ledger.hash(), world.ledger.totals()), before);
}

#[test]
fn nothing_and_what_is_larger_than_an_envelope_may_be_is_refused() {
    let mut world = World::new();
    assert_eq!(send(&mut world.ledger, &[]).unwrap_err().message, "invalid_xdr");
    for (bytes, fill) in [(MAX_ENVELOPE_BYTES + 1, 0), (380 * 1024, 0), (380 * 1024, 0xff)] {
        let error = send(&mut world.ledger, &vec![fill; bytes]).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (INVALID_PARAMS, "invalid_xdr"));
        assert!(error.data.unwrap().as_str().unwrap().contains(&format!("{bytes} bytes")));
    }
}
