#![expect(clippy::unwrap_used, reason = "tests")]

use ed25519_dalek::{Signer, SigningKey};
use serde_json::json;

use super::*;
use crate::account::SignerKey;
use crate::amount::{Price, Stroops, Unit};
use crate::asset::Asset;
use crate::document::{BuiltIn, InterfaceHash, Nonce, Transport, Windows};
use crate::escrow::EscrowKind;
use crate::message::Payload;
use crate::seal::SealingKey;
use crate::status::Status;
use crate::step::{Batch, Commit, Space, Write};

mod hostile;
mod listings;
mod offerings;
mod records;
mod requests;

const START: u64 = 1_800_000_000;

fn net() -> NetworkId {
    NetworkId::of_passphrase("Book ; tests")
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn peer(n: u32) -> PeerId {
    format!("12D3KooW{}", format!("{n}").replace('0', "z")).parse().unwrap()
}

fn at(secs: u64) -> Now {
    Timestamp::from_secs(START + secs).into()
}

/// An account, its serving key and its service.
struct Provider {
    account: SigningKey,
    serving: SigningKey,
    service: SigningKey,
}

fn provider(seed: u8) -> Provider {
    Provider { account: key(seed), serving: key(seed + 1), service: key(seed + 2) }
}

impl Provider {
    fn offering(&self, nonce: u8) -> Offering {
        Offering {
            account: AccountId::of(&self.account),
            series: None,
            revision: 1,
            template: BuiltIn::named("help").unwrap().id,
            parameters: json!({"what": "red snapper"}).as_object().unwrap().clone(),
            title: "Snapper".into(),
            description: "Freshly caught".into(),
            service: None,
            recipient: AccountId::of(&self.account),
            serving_key: ServingKey::of(&self.serving),
            price: Price { asset: Asset::Native, amount: Stroops::whole(2), unit: Unit::Item },
            min_units: 1,
            max_units: 10,
            max_supply: 10,
            escrow: vec![EscrowKind::Timed],
            windows: Windows { deliver_secs: 60, collect_secs: 12 },
            arbitration: None,
            peer_ids: vec![peer(1)],
            transports: vec![Transport::Tcp],
            sealing_key: SealingKey::from_bytes([6; 32]),
            bond: BalanceId::from_bytes([nonce; 32]),
            nonce: Nonce::from_bytes([nonce; 16]),
            valid_until: Timestamp::from_secs(START + 3_600),
        }
    }

    fn sign(&self, offering: Offering) -> Signed<Offering> {
        Signed::sign(offering, &net(), &self.account).unwrap()
    }

    fn record(&self, commit: &str, before: Option<&Signed<ServiceRecord>>) -> Signed<ServiceRecord> {
        let body = ServiceRecord {
            service: ServiceKey::of(&self.service),
            repository: "https://example.org/s.git".parse().unwrap(),
            commit: commit.repeat(20).parse().unwrap(),
            path: "".parse().unwrap(),
            interface_hash: InterfaceHash::from_bytes([2; 32]),
            title: "Echo".into(),
            revision: before.map_or(1, |b| b.body().revision + 1),
            previous: before.map(Signed::id),
        };
        Signed::sign(body, &net(), &self.service).unwrap()
    }

    /// An offering of the `process` template on a version of the service.
    fn process(&self, nonce: u8, version: &ServiceRecord) -> Offering {
        Offering {
            template: BuiltIn::named("process").unwrap().id,
            parameters: json!({"access": "http"}).as_object().unwrap().clone(),
            service: Some(version.reference()),
            price: Price { asset: Asset::Native, amount: Stroops::whole(2), unit: Unit::Second },
            ..self.offering(nonce)
        }
    }

    fn status(&self, series: SeriesId, sequence: u64, free: u32, withdrawn: bool) -> Packed {
        let serving_key = ServingKey::of(&self.serving);
        let at = Timestamp::from_secs(START);
        let body = Status { serving_key, series, sequence, free, withdrawn, at };
        Signed::sign(body, &net(), &self.serving).unwrap().packed().clone()
    }

    fn presence(&self, secs: u64) -> Packed {
        let serving_key = ServingKey::of(&self.serving);
        let body = Presence { serving_key, at: Timestamp::from_secs(START + secs), peer: peer(1) };
        Signed::sign(body, &net(), &self.serving).unwrap().packed().clone()
    }
}

/// A store that holds what batches say.
#[derive(Default)]
struct Shelves(BTreeMap<(Space, Vec<u8>), Vec<u8>>);

impl Commit for Shelves {
    type Error = core::convert::Infallible;
    fn commit(&mut self, batch: Batch) -> Result<(), Self::Error> {
        for write in batch.writes() {
            match write.clone() {
                Write::Put { space, key, value } => self.0.insert((space, key), value),
                Write::Delete { space, key } => self.0.remove(&(space, key)),
            };
        }
        Ok(())
    }
}

/// A book with its store.
struct Desk {
    book: Book,
    store: Shelves,
}

impl Desk {
    fn new() -> Self {
        Self { book: Book::new(net(), Margins::DEVNET), store: Shelves::default() }
    }

    /// Stores what follows and gives the rest; that something waited in vain is counted, and asked for there.
    fn settle(&mut self, step: Step<BookEffect>) -> Vec<BookEffect> {
        let effects = step.commit_to(&mut self.store).unwrap();
        effects.into_iter().filter(|effect| !matches!(effect, BookEffect::Refused { .. })).collect()
    }

    /// Delivers a message from a peer at second 0.
    fn receive(&mut self, packed: &Packed) -> (Verdict, Vec<BookEffect>) {
        self.deliver(packed, Some(&peer(1)), 0)
    }

    fn deliver(&mut self, packed: &Packed, from: Option<&PeerId>, secs: u64) -> (Verdict, Vec<BookEffect>) {
        let admission = self.book.admit(packed.clone(), from, at(secs), 0);
        (admission.verdict, self.settle(admission.step))
    }

    fn verdict(&mut self, packed: &Packed) -> Verdict {
        self.receive(packed).0
    }

    fn bond(&mut self, id: &MessageId) -> Vec<BookEffect> {
        let step = self.book.bond_checked(id, BondVerdict::Stands, at(0));
        self.settle(step)
    }

    /// An offering delivered and bonded.
    fn list(&mut self, signed: &Signed<Offering>) -> SeriesId {
        assert!(matches!(self.verdict(signed.packed()), Verdict::Wait { .. }));
        let effects = self.bond(&signed.id());
        let series = crate::document::series_of(signed);
        let listed = [BookEffect::Listed(series), BookEffect::Updated(series)];
        assert!(effects.iter().any(|e| listed.contains(e)), "{effects:?}");
        series
    }

    fn show(&self, series: SeriesId) -> Listing {
        self.book.by_series(&series, at(0)).unwrap()
    }

    fn stored(&self) -> usize {
        self.store.0.keys().filter(|(space, _)| *space == Space::Message).count()
    }

    /// The book as it comes back after a restart.
    fn restart(&mut self, secs: u64) -> Vec<Refusal> {
        let of = |space| self.store.0.iter().filter(move |((s, _), _)| *s == space);
        let rows = |space| -> Vec<(Vec<u8>, Vec<u8>)> { of(space).map(|((_, k), v)| (k.clone(), v.clone())).collect() };
        let (messages, heads) = (rows(Space::Message), rows(Space::Head));
        let restored = Book::restore(net(), Margins::DEVNET, messages, heads, at(secs));
        self.book = restored.book;
        self.settle(restored.step);
        restored.damaged
    }
}

fn reason(verdict: &Verdict) -> Option<Reason> {
    match verdict {
        Verdict::Accept => None,
        Verdict::Reject(refusal) | Verdict::Ignore(refusal) | Verdict::Wait { refusal, .. } => Some(refusal.reason),
    }
}

fn rejected(verdict: &Verdict) -> Option<Reason> {
    if let Verdict::Reject(refusal) = verdict { Some(refusal.reason) } else { None }
}

fn ignored(verdict: &Verdict) -> Option<Reason> {
    if let Verdict::Ignore(refusal) = verdict { Some(refusal.reason) } else { None }
}

fn relayed(effects: &[BookEffect]) -> Vec<MessageId> {
    let id = |e: &BookEffect| if let BookEffect::Relay(packed) = e { Some(packed.id()) } else { None };
    effects.iter().filter_map(id).collect()
}
