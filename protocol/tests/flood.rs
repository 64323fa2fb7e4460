//! A peer that sends as much as it can: nobody else is worse off, and everything is counted. Counts, not times.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::{Signer, SigningKey};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use tradepost_protocol::account::{AccountId, PeerId, ServingKey};
use tradepost_protocol::amount::{Price, Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::book::BondWanted;
use tradepost_protocol::document::{BuiltIn, Nonce, Offering, Transport, Windows};
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::kind::Kind;
use tradepost_protocol::limits::{MAX_RATED_AUTHORS, MAX_RATED_PEERS, MAX_WAITING_PER_PEER, Margins, PEER_RATE};
use tradepost_protocol::market::event::{Ask, Effect, Event, Token, Verdict};
use tradepost_protocol::market::{EscrowPolicy, Keys, Market, Policy, Setup};
use tradepost_protocol::message::{self, BalanceId, Payload, SeriesId};
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::refusal::Reason;
use tradepost_protocol::seal::SealingKey;
use tradepost_protocol::stellar::LedgerPoint;
use tradepost_protocol::stellar::entry::{AccountState, BalanceClaimant, BalanceState, Entry, Thresholds};
use tradepost_protocol::stellar::predicate::Predicate;
use tradepost_protocol::step::{Batch, Commit, Step};
use tradepost_protocol::time::{Now, Timestamp};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
/// What the honest peer offers.
const OFFERINGS: u32 = 100;
/// Pairs of the flood between two looks at the ledger.
const PAIRS_PER_TICK: u32 = 50;
/// Series under one of the flooder's accounts.
const SERIES_PER_ACCOUNT: u32 = 250;

fn network() -> NetworkId {
    NetworkId::of_passphrase("flood")
}

fn peer(name: &str) -> PeerId {
    name.parse().unwrap()
}

fn key(n: u32) -> SigningKey {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    SigningKey::from_bytes(&seed)
}

fn numbered<const N: usize>(n: u32) -> [u8; N] {
    let mut bytes = [1; N];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    bytes
}

/// Signs whatever it is given.
fn signed(key: &SigningKey, network: &NetworkId, payload: &[u8]) -> Vec<u8> {
    let digest = message::digest(Kind::Offering, network, payload);
    [payload, &key.sign(digest.as_bytes()).to_bytes()].concat()
}

/// An account that writes offerings quickly: one is encoded, the others differ in nonce and bond alone.
struct Author {
    key: SigningKey,
    payload: String,
}

impl Author {
    fn new(n: u32, valid_until: Timestamp) -> Self {
        let key = key(n);
        let account = AccountId::of(&key);
        let offering = Offering {
            account,
            series: None,
            revision: 1,
            template: BuiltIn::named("help").unwrap().id,
            parameters: serde_json::json!({"what": "red snapper"}).as_object().unwrap().clone(),
            title: "Snapper".into(),
            description: "Freshly caught".into(),
            service: None,
            recipient: account,
            serving_key: ServingKey::of(&key),
            price: Price { asset: Asset::Native, amount: Stroops::whole(2), unit: Unit::Item },
            min_units: 1,
            max_units: 10,
            max_supply: 10,
            escrow: vec![EscrowKind::Timed],
            windows: Windows { deliver_secs: 60, collect_secs: 12 },
            arbitration: None,
            peer_ids: vec![peer("12D3KooWpeer")],
            transports: vec![Transport::Tcp],
            sealing_key: SealingKey::from_bytes([6; 32]),
            bond: BalanceId::from_bytes(numbered(u32::MAX)),
            nonce: Nonce::from_bytes(numbered(u32::MAX)),
            valid_until,
        };
        Self { key, payload: String::from_utf8(offering.encode().unwrap()).unwrap() }
    }

    fn payload(&self, n: u32) -> Vec<u8> {
        let sample = hex::encode(numbered::<16>(u32::MAX));
        assert!(self.payload.contains(&sample));
        self.payload.replace(&sample, &hex::encode(numbered::<16>(n))).into_bytes()
    }

    fn offering(&self, n: u32) -> Vec<u8> {
        signed(&self.key, &network(), &self.payload(n))
    }
}

/// What the flooder sends besides valid offerings, in turn: most are found out only by reading them.
fn invalid(author: &Author, expired: &Author, n: u32) -> Vec<u8> {
    match n % 5 {
        0 => numbered::<63>(n).to_vec(),
        1 => signed(&author.key, &network(), format!("{{\"n\":{n},\"n\":1.0}}").as_bytes()),
        2 => signed(&author.key, &NetworkId::of_passphrase("another"), &author.payload(n)),
        3 => [author.payload(n).as_slice(), &[3; 64]].concat(),
        _ => expired.offering(n),
    }
}

struct NoStore;
impl Commit for NoStore {
    type Error = core::convert::Infallible;
    fn commit(&mut self, _: Batch) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// A market under a flood, with a ledger that answers by a rule.
struct Stage {
    market: Market,
    rng: ChaCha20Rng,
    now: Now,
    tokens: u64,
    /// The peer that delivered each message without a verdict yet.
    open: BTreeMap<Token, &'static str>,
    accepted: BTreeMap<&'static str, u64>,
    refused: BTreeMap<Reason, u64>,
    /// Whose bonds stand.
    bonded: fn(&BondWanted) -> bool,
    /// Messages of the flood, of each sort, valid and invalid.
    flood: u32,
}

impl Stage {
    fn new(flood: u32, bonded: fn(&BondWanted) -> bool) -> Self {
        let policy = Policy {
            assets: vec![Asset::Native],
            transports: vec![Transport::Tcp],
            escrow: EscrowPolicy { max_timed: Stroops::whole(1_000), ..EscrowPolicy::default() },
            max_spend: Stroops::ZERO,
            max_fee_per_operation: Stroops::ZERO,
            max_deadline_fee: Stroops::ZERO,
            one_word_limit: None,
            submitters: 0,
            max_cases: tradepost_protocol::limits::MAX_CASES,
        };
        let setup = Setup {
            network: network(),
            margins: Margins::DEVNET,
            peer: peer("12D3KooWhere"),
            keys: Keys::default(),
            policy,
        };
        let now = START.into();
        let (market, first) = Market::restore(setup, [], now).unwrap();
        let _ = first.commit_to(&mut NoStore);
        let rng = ChaCha20Rng::from_seed([1; 32]);
        let (open, accepted, refused) = Default::default();
        Self { market, rng, now, tokens: 0, open, accepted, refused, bonded, flood }
    }

    fn deliver(&mut self, from: &'static str, bytes: Vec<u8>) {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.open.insert(token, from);
        self.handle(Event::Gossiped { token, kind: Kind::Offering, bytes, from: peer(from) });
        assert!(self.market.book().waiting() <= 2 * MAX_WAITING_PER_PEER);
        assert!(self.market.verdicts_owed() <= 2 * MAX_WAITING_PER_PEER);
        let (peers, authors) = self.market.book().rated();
        assert!(peers <= MAX_RATED_PEERS && authors <= MAX_RATED_AUTHORS);
    }

    fn handle(&mut self, event: Event) {
        let step = self.market.handle(event, self.now, &mut self.rng);
        for effect in self.commit(step) {
            match effect {
                Effect::Verdict { token, verdict, refusal } => {
                    let from = self.open.remove(&token).expect("one verdict a message");
                    assert_eq!(verdict == Verdict::Accept, refusal.is_none());
                    match refusal {
                        Some(refusal) => *self.refused.entry(refusal.reason).or_default() += 1,
                        None => *self.accepted.entry(from).or_default() += 1,
                    }
                }
                Effect::Read { ask: Ask::Bonds(wanted), keys } => {
                    let standing = wanted.iter().filter(|w| (self.bonded)(w));
                    let entries = standing.flat_map(|w| [balance(w), account(w)]).collect();
                    let at = LedgerPoint::new(1, START);
                    self.handle(Event::Entries { ask: Ask::Bonds(wanted), at, asked: keys, entries });
                }
                _ => {}
            }
        }
    }

    fn commit(&mut self, step: Step<Effect>) -> Vec<Effect> {
        let Ok(effects) = step.commit_to(&mut NoStore);
        effects
    }

    fn refused(&self, reasons: &[Reason]) -> u64 {
        reasons.iter().map(|reason| self.refused.get(reason).copied().unwrap_or(0)).sum()
    }

    /// The flood, with an honest offering now and then.
    fn run(&mut self) -> BTreeSet<SeriesId> {
        let ends = START.plus(core::time::Duration::from_secs(3_600));
        let honest = Author::new(1, ends);
        let expired = Author::new(2, START.minus(core::time::Duration::from_secs(1)));
        let mut series = BTreeSet::new();
        let mut author = Author::new(1_000, ends);
        for n in 0..self.flood {
            if n > 0 && n % SERIES_PER_ACCOUNT == 0 {
                author = Author::new(1_000 + n / SERIES_PER_ACCOUNT, ends);
            }
            self.deliver("noisy", author.offering(n));
            self.deliver("noisy", invalid(&author, &expired, n));
            if n % (self.flood / (OFFERINGS + 10)) == 0 && series.len() < OFFERINGS as usize {
                let bytes = honest.offering(self.flood + n);
                let packed = message::Packed::new(Kind::Offering, &network(), bytes.clone()).unwrap();
                series.insert(SeriesId::from_bytes(*packed.id().as_bytes()));
                self.deliver("honest", bytes);
            }
            // After the last look, the flood goes on for long enough to spend what it gave back.
            if n % PAIRS_PER_TICK == PAIRS_PER_TICK - 1 && n + 1 < self.flood {
                self.handle(Event::Tick);
            }
        }
        self.bonded = |_| false;
        self.now = self.now.plus(core::time::Duration::from_secs(6));
        self.handle(Event::Tick);
        assert!(self.open.is_empty(), "every message has its verdict");
        series
    }

    /// What must hold after a flood in which so many of the flooder's offerings were listed.
    fn check(&self, honest: &BTreeSet<SeriesId>, flooders: u64) {
        let listed = honest.iter().filter(|series| self.market.book().offering(series).is_some()).count();
        assert_eq!((honest.len(), listed), (OFFERINGS as usize, OFFERINGS as usize), "all of the honest peer's");
        assert_eq!(self.accepted["honest"], u64::from(OFFERINGS), "and passed on by gossip");
        let sent = u64::from(2 * self.flood);
        let allowance = u64::from(PEER_RATE.at_once) + flooders;
        let too_short = u64::from(self.flood / 5);
        assert_eq!(self.refused(&[Reason::TooShort]), too_short);
        assert_eq!(self.refused(&[Reason::OverRate]), sent - too_short - allowance, "{:?}", self.refused);
        let read = [Reason::Malformed, Reason::BadSignature, Reason::Expired, Reason::NoBond];
        let accepted = self.accepted.get("noisy").copied().unwrap_or(0);
        assert_eq!(self.refused(&read) + accepted, allowance, "{:?}", self.refused);
        assert_eq!(self.refused.values().sum::<u64>() + accepted, sent, "nothing is counted twice or not at all");
        assert!(read.iter().all(|reason| self.refused[reason] > 0), "{:?}", self.refused);
        let counted: u64 = Reason::ALL.iter().map(|reason| self.market.refused(*reason)).sum();
        let (listed, waiting) = (accepted + u64::from(OFFERINGS), self.market.book().waiting() as u64);
        assert_eq!(counted + listed + waiting, sent + u64::from(OFFERINGS), "the market's own counts add up, too");
        assert_eq!(self.market.refused(Reason::OverRate), self.refused(&[Reason::OverRate]));
        assert_eq!(accepted, flooders);
    }
}

fn balance(want: &BondWanted) -> Entry {
    let terms = &want.terms;
    let claimant = |account, predicate| BalanceClaimant { account, predicate };
    let claimants = vec![
        claimant(terms.recipient, Predicate::From(terms.release)),
        claimant(AccountId::from_bytes(*terms.series.as_bytes()), Predicate::Never),
    ];
    Entry::Balance(BalanceState {
        id: want.bond,
        asset: Asset::Native,
        amount: terms.least,
        claimants,
        clawback_enabled: false,
        sponsor: Some(terms.account),
    })
}

fn account(want: &BondWanted) -> Entry {
    Entry::Account(AccountState {
        id: want.terms.account,
        balance: Stroops::whole(10),
        sequence: 1,
        sub_entries: 0,
        sponsoring: 0,
        sponsored: 0,
        thresholds: Thresholds { master: 1, low: 0, medium: 0, high: 0 },
        signers: Vec::new(),
        flags: 0,
        selling: Stroops::ZERO,
        buying: Stroops::ZERO,
        sequence_at: None,
    })
}

#[test]
fn ten_thousand_valid_and_ten_thousand_invalid_messages_of_one_peer_cost_an_honest_one_nothing() {
    let mut stage = Stage::new(10_000, |_| true);
    let honest = stage.run();
    let flooders = stage.market.book().len() as u64 - u64::from(OFFERINGS);
    assert!(flooders > 0, "its bonded offerings are as good as anybody's");
    stage.check(&honest, flooders);
}

#[test]
fn a_flood_of_offerings_without_bonds_costs_an_honest_peer_nothing() {
    let mut stage = Stage::new(3_000, |want| want.from.as_ref().is_some_and(|from| from.as_str() == "honest"));
    let honest = stage.run();
    assert_eq!(stage.market.book().len(), OFFERINGS as usize);
    stage.check(&honest, 0);
}
