//! Hostile bytes of every kind of message: a new kind doesn't compile here without its sample and its reader.
#![expect(clippy::unwrap_used, reason = "tests")]

use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::json;
use tradepost_protocol::account::{AccountId, PeerId, ServiceKey, ServingKey};
use tradepost_protocol::amount::{Price, Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::agreement::{AgreedArbiter, Agreement};
use tradepost_protocol::binding::deadlines::{ArbitratedDeadlines, Terms};
use tradepost_protocol::binding::dispute::Split;
use tradepost_protocol::binding::frames::{
    Ack, Award, Cancel, Case, Closing, Cosign, Cosigned, Delivered, Dispute, Engage, Engagement, Evidence, Fund,
    FundAccepted, FundRefused, Held, NotNow, Note, Ping, Pong, Reject, RejectCode, Rejected, Released, Sealed,
    SealedEvidence, StartFailed, Started, Unbind, from_stream,
};
use tradepost_protocol::binding::session::End;
use tradepost_protocol::community::frames::{Join, Joined};
use tradepost_protocol::document::{
    BindingRequest, BuiltIn, InterfaceHash, Nonce, Offering, ServiceRecord, Template, Transport, Windows,
};
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::kind::{Form, Kind};
use tradepost_protocol::limits::{MAX_JSON_DEPTH, MAX_JSON_MEMBERS, Margins, SIGNATURE_BYTES};
use tradepost_protocol::market::event::{Effect, Event, Token};
use tradepost_protocol::market::{EscrowPolicy, Keys, Market, Policy, Setup};
use tradepost_protocol::message::{self, BalanceId, BindingId, MessageId, Packed, Payload, SeriesId, TxHash};
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::refusal::{Reason, Refusal};
use tradepost_protocol::schema::Schema;
use tradepost_protocol::seal::{SealingKey, SealingSecret};
use tradepost_protocol::status::{Presence, Status};
use tradepost_protocol::step::{Batch, Commit};
use tradepost_protocol::time::{Now, Timestamp};

const START: u64 = 1_800_000_000;

fn network() -> NetworkId {
    NetworkId::of_passphrase("hostile")
}

fn signer() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

fn peer() -> PeerId {
    "12D3KooWpeer".parse().unwrap()
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(START + secs)
}

fn offering(by: [u8; 32]) -> Offering {
    Offering {
        account: AccountId::from_bytes(by),
        series: None,
        revision: 1,
        template: BuiltIn::named("help").unwrap().id,
        parameters: json!({"what": "red snapper"}).as_object().unwrap().clone(),
        title: "Snapper".into(),
        description: "Freshly caught".into(),
        service: None,
        recipient: AccountId::of(&signer()),
        serving_key: ServingKey::of(&signer()),
        price: Price { asset: Asset::Native, amount: Stroops::whole(2), unit: Unit::Item },
        min_units: 1,
        max_units: 300,
        max_supply: 10,
        escrow: vec![EscrowKind::Timed],
        windows: Windows { deliver_secs: 60, collect_secs: 12 },
        arbitration: None,
        peer_ids: vec![peer()],
        transports: vec![Transport::Tcp],
        sealing_key: SealingKey::from_bytes([6; 32]),
        bond: BalanceId::from_bytes([5; 32]),
        nonce: Nonce::from_bytes([4; 16]),
        valid_until: at(3_600),
    }
}

fn agreement(by: [u8; 32]) -> Agreement {
    Agreement {
        request: MessageId::from_bytes([1; 32]),
        offering: MessageId::from_bytes([2; 32]),
        series: SeriesId::from_bytes([3; 32]),
        serving_key: ServingKey::from_bytes(by),
        provider_peer: peer(),
        recipient: AccountId::from_bytes([4; 32]),
        consumer: AccountId::from_bytes([5; 32]),
        consumer_key: ServingKey::from_bytes([7; 32]),
        consumer_sealing: SealingKey::from_bytes([6; 32]),
        consumer_peer: peer(),
        units: 300,
        unit: Unit::Call,
        asset: Asset::Native,
        amount: Stroops::whole(20),
        terms: Terms::Arbitrated(ArbitratedDeadlines::new(at(1), at(2), at(3), at(4), at(5), at(6)).unwrap()),
        pay_unless_disputed: true,
        arbiters: vec![AgreedArbiter {
            account: AccountId::from_bytes([8; 32]),
            key: ServingKey::from_bytes([9; 32]),
            sealing: SealingKey::from_bytes([10; 32]),
            peer: peer(),
            fee: Stroops::whole(1),
            engagement: [11; 64],
        }],
    }
}

fn template(by: [u8; 32]) -> Template {
    let schema = json!({"type": "object", "properties": {"what": {"type": "string"}}});
    Template {
        author: AccountId::from_bytes(by),
        name: "fish".into(),
        title: "Fish".into(),
        version: Some(1),
        requires_service: false,
        units: vec![Unit::Item],
        schema: Schema::compile(schema.as_object().unwrap().clone()).unwrap(),
    }
}

fn record(by: [u8; 32]) -> ServiceRecord {
    ServiceRecord {
        service: ServiceKey::from_bytes(by),
        repository: "https://example.org/s.git".parse().unwrap(),
        commit: "aa".repeat(20).parse().unwrap(),
        path: "".parse().unwrap(),
        interface_hash: InterfaceHash::from_bytes([2; 32]),
        title: "Echo".into(),
        revision: 1,
        previous: None,
    }
}

fn request(by: [u8; 32]) -> BindingRequest {
    BindingRequest {
        account: AccountId::from_bytes(by),
        offering: MessageId::from_bytes([2; 32]),
        series: SeriesId::from_bytes([3; 32]),
        units: 300,
        budget: Some(Stroops::whole(600)),
        escrow: vec![EscrowKind::Timed],
        arbiters: vec![],
        pay_unless_disputed: false,
        sealing_key: SealingKey::from_bytes([6; 32]),
        signing_key: ServingKey::from_bytes([7; 32]),
        peer: peer(),
        nonce: Nonce::from_bytes([4; 16]),
        valid_until: at(600),
    }
}

fn split() -> Split {
    Split { to_provider: Stroops::whole(15), to_consumer: Stroops::whole(5) }
}

fn case() -> Case {
    Case {
        request: MessageId::from_bytes([1; 32]),
        provider: ServingKey::from_bytes([2; 32]),
        consumer: ServingKey::from_bytes([3; 32]),
        asset: Asset::Native,
        amount: Stroops::whole(20),
        fee: Stroops::whole(1),
        dispute_by: at(3),
        award_by: at(4),
        timeout_at: at(5),
    }
}

/// A good payload of a kind that names a key as its signer.
fn sample(kind: Kind, by: [u8; 32]) -> Vec<u8> {
    let (key, binding) = (ServingKey::from_bytes(by), BindingId::from_bytes([2; 32]));
    let (note, nonce, series) = (Note::new("no"), [3; 32], SeriesId::from_bytes([3; 32]));
    match kind {
        Kind::Template => template(by).encode(),
        Kind::ServiceRecord => record(by).encode(),
        Kind::Offering => offering(by).encode(),
        Kind::BindingRequest => request(by).encode(),
        Kind::Presence => Payload::encode(&Presence { serving_key: key, at: at(0), peer: peer() }),
        Kind::Status => {
            Payload::encode(&Status { serving_key: key, series, sequence: 300, free: 300, withdrawn: true, at: at(0) })
        }
        Kind::Cancel => Payload::encode(&Cancel { key, request: MessageId::from_bytes([3; 32]) }),
        Kind::Agreement => Payload::encode(&agreement(by)),
        Kind::Reject => {
            let request = MessageId::from_bytes([3; 32]);
            Payload::encode(&Reject { key, request, code: RejectCode::NoFreeSupply, note })
        }
        Kind::Fund => Payload::encode(&Fund { key, binding, envelope: vec![7; 300] }),
        Kind::FundAccepted => Payload::encode(&FundAccepted { key, binding }),
        Kind::FundRefused => Payload::encode(&FundRefused { key, binding, note }),
        Kind::Started => Payload::encode(&Started { key, binding, access: Sealed::new(vec![9; 300]).unwrap() }),
        Kind::StartFailed => Payload::encode(&StartFailed { key, binding, note }),
        Kind::Unbind => Payload::encode(&Unbind { key, binding, note }),
        Kind::Delivered => Payload::encode(&Delivered { key, binding, end: End::UnitsUsed, used: 300 }),
        Kind::Ack => Payload::encode(&Ack { key, binding, step: Kind::Started.number() }),
        Kind::Closing => Payload::encode(&Closing { key, binding, transaction: TxHash::from_bytes([3; 32]) }),
        Kind::Engage => Payload::encode(&Engage { key, arbiter: key, fund_by: at(1), case: case() }),
        Kind::Engagement => Payload::encode(&Engagement { key, case: case() }),
        Kind::Released => Payload::encode(&Released { key, binding, split: split() }),
        Kind::Cosign => Payload::encode(&Cosign {
            key,
            binding,
            split: split(),
            awarded: true,
            balance: BalanceId::from_bytes([4; 32]),
            account: AccountId::of(&signer()),
            sequence: 7,
        }),
        Kind::Cosigned => {
            let signature = [9; 64];
            Payload::encode(&Cosigned { key, binding, account: AccountId::of(&signer()), sequence: 7, signature })
        }
        Kind::Rejected => Payload::encode(&Rejected { key, binding, note }),
        Kind::Dispute => {
            let (claim, balance) = (split(), BalanceId::from_bytes([5; 32]));
            Payload::encode(&Dispute {
                key,
                binding,
                at: at(1),
                claim,
                balance,
                agreement: vec![7; 300],
                receipt: None,
            })
        }
        Kind::Evidence => {
            let sealed = SealedEvidence::new(vec![9; 300]).unwrap();
            Payload::encode(&Evidence { key, binding, number: 300, sealed })
        }
        Kind::Award => Payload::encode(&Award { key, binding, number: 300, split: split(), note }),
        Kind::Held => Payload::encode(&Held { key, binding, opened: true, items: 300 }),
        Kind::Join => {
            let account = AccountId::from_bytes(by);
            Payload::encode(&Join { account, exchange: Asset::Native, envelope: vec![7; 300] })
        }
        Kind::Joined => {
            let agent = AccountId::from_bytes(by);
            let transaction = TxHash::from_bytes([3; 32]);
            Payload::encode(&Joined { agent, transaction, refused: Some(note) })
        }
        Kind::Ping => Payload::encode(&Ping { key, whom: key, binding: Some(binding), nonce }),
        Kind::Pong => Payload::encode(&Pong { key, nonce }),
        Kind::NotNow => Payload::encode(&NotNow { key, binding, state: note }),
    }
    .unwrap()
}

/// Reads and verifies a message of a kind, as its receiver does.
fn open(packed: Packed) -> Result<(), Refusal> {
    fn as_a<T: Payload>(packed: Packed) -> Result<(), Refusal> {
        packed.open::<T>(&network()).map(drop)
    }
    match packed.kind() {
        Kind::Template => as_a::<Template>(packed),
        Kind::ServiceRecord => as_a::<ServiceRecord>(packed),
        Kind::Offering => as_a::<Offering>(packed),
        Kind::BindingRequest => as_a::<BindingRequest>(packed),
        Kind::Presence => as_a::<Presence>(packed),
        Kind::Status => as_a::<Status>(packed),
        Kind::Cancel => as_a::<Cancel>(packed),
        Kind::Agreement => as_a::<Agreement>(packed),
        Kind::Reject => as_a::<Reject>(packed),
        Kind::Fund => as_a::<Fund>(packed),
        Kind::FundAccepted => as_a::<FundAccepted>(packed),
        Kind::FundRefused => as_a::<FundRefused>(packed),
        Kind::Started => as_a::<Started>(packed),
        Kind::StartFailed => as_a::<StartFailed>(packed),
        Kind::Unbind => as_a::<Unbind>(packed),
        Kind::Delivered => as_a::<Delivered>(packed),
        Kind::Ack => as_a::<Ack>(packed),
        Kind::Closing => as_a::<Closing>(packed),
        Kind::Engage => as_a::<Engage>(packed),
        Kind::Engagement => as_a::<Engagement>(packed),
        Kind::Released => as_a::<Released>(packed),
        Kind::Cosign => as_a::<Cosign>(packed),
        Kind::Cosigned => as_a::<Cosigned>(packed),
        Kind::Rejected => as_a::<Rejected>(packed),
        Kind::Dispute => as_a::<Dispute>(packed),
        Kind::Evidence => as_a::<Evidence>(packed),
        Kind::Award => as_a::<Award>(packed),
        Kind::Held => as_a::<Held>(packed),
        Kind::Join => as_a::<Join>(packed),
        Kind::Joined => as_a::<Joined>(packed),
        Kind::Ping => as_a::<Ping>(packed),
        Kind::Pong => as_a::<Pong>(packed),
        Kind::NotNow => as_a::<NotNow>(packed),
    }
}

/// Why a message with these bytes is refused; `None` where it isn't.
fn refused(kind: Kind, bytes: Vec<u8>) -> Option<Reason> {
    Packed::new(kind, &network(), bytes).and_then(open).err().map(|refusal| refusal.reason)
}

/// A payload signed for a kind and a network.
fn signed(key: &SigningKey, kind: Kind, network: &NetworkId, payload: &[u8]) -> Vec<u8> {
    [payload, &key.sign(message::digest(kind, network, payload).as_bytes()).to_bytes()].concat()
}

fn good(kind: Kind) -> Vec<u8> {
    signed(&signer(), kind, &network(), &sample(kind, signer().verifying_key().to_bytes()))
}

fn frames() -> impl Iterator<Item = Kind> {
    Kind::ALL.iter().copied().filter(|kind| kind.form() == Form::Frame)
}

fn documents() -> impl Iterator<Item = Kind> {
    Kind::ALL.iter().copied().filter(|kind| kind.form() == Form::Document)
}

/// The order of the ed25519 group, little endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The same signature to a verifier that doesn't look: S + L in the place of S.
fn with_another_s(mut message: Vec<u8>) -> Vec<u8> {
    let start = message.len() - 32;
    let mut carry = 0u16;
    for (byte, order) in message[start..].iter_mut().zip(ORDER) {
        carry += u16::from(*byte) + u16::from(order);
        *byte = carry as u8;
        carry >>= 8;
    }
    message
}

#[test]
fn a_message_of_any_kind_counts_for_its_kind_its_network_and_its_signer_only() {
    let other = SigningKey::from_bytes(&[8; 32]);
    for &kind in Kind::ALL {
        let payload = sample(kind, signer().verifying_key().to_bytes());
        assert_eq!(refused(kind, good(kind)), None, "{kind}");
        for short in [0, 1, SIGNATURE_BYTES - 1] {
            assert_eq!(refused(kind, vec![0; short]), Some(Reason::TooShort), "{kind}");
        }
        assert_eq!(refused(kind, vec![0; kind.max_bytes() + 1]), Some(Reason::TooLarge), "{kind}");
        let mut flipped = good(kind);
        *flipped.last_mut().unwrap() ^= 1;
        let another = if kind == Kind::Offering { Kind::Template } else { Kind::Offering };
        for (what, bytes) in [
            ("another kind's", signed(&signer(), another, &network(), &payload)),
            ("another network's", signed(&signer(), kind, &NetworkId::of_passphrase("another"), &payload)),
            ("another key's", signed(&other, kind, &network(), &payload)),
            ("a changed one", flipped),
            ("none", [payload.as_slice(), &[0; SIGNATURE_BYTES]].concat()),
            ("one whose S isn't canonical", with_another_s(good(kind))),
        ] {
            assert_eq!(refused(kind, bytes), Some(Reason::BadSignature), "{kind}: {what}");
        }
        let packed = Packed::new(another, &network(), good(kind)).unwrap();
        assert!(open(packed).is_err(), "a {kind} as a {another}");
        let packed = Packed::new(kind, &network(), good(kind)).unwrap();
        let mistaken = match kind {
            Kind::Pong => packed.open::<Ping>(&network()).map(drop),
            _ => packed.open::<Pong>(&network()).map(drop),
        };
        assert_eq!(mistaken.unwrap_err().reason, Reason::WrongKind, "{kind}");
    }
}

/// Under the neutral element, or the point of order two, anything "verifies" without strictness.
#[test]
fn a_small_order_key_signs_nothing_of_any_kind() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut order_two = [0xff; 32];
    (order_two[0], order_two[31]) = (0xec, 0x7f);
    let mut signature = [0; SIGNATURE_BYTES];
    signature[0] = 1;
    for &kind in Kind::ALL {
        for point in [neutral, order_two] {
            let bytes = [sample(kind, point).as_slice(), &signature].concat();
            assert_eq!(refused(kind, bytes), Some(Reason::BadSignature), "{kind}");
        }
    }
}

#[test]
fn a_frame_of_any_kind_has_one_encoding() {
    for kind in frames() {
        let payload = sample(kind, signer().verifying_key().to_bytes());
        let by_signer = |payload: &[u8]| refused(kind, signed(&signer(), kind, &network(), payload));
        assert_eq!(by_signer(&payload), None);
        assert_eq!(by_signer(&[payload.as_slice(), &[0]].concat()), Some(Reason::Malformed), "{kind}: trailing byte");
        assert_eq!(by_signer(&payload[..payload.len() - 1]), Some(Reason::Malformed), "{kind}: cut short");
        // Every byte that could be an integer, written longer than needed; what isn't one makes the frame too long.
        for (place, &byte) in payload.iter().enumerate() {
            for long in [vec![0xfb, byte, 0], vec![0xfc, byte, 0, 0, 0], vec![0xfd, byte, 0, 0, 0, 0, 0, 0, 0]] {
                let bytes = [&payload[..place], &long, &payload[place + 1..]].concat();
                assert_eq!(by_signer(&bytes), Some(Reason::Malformed), "{kind}: byte {place} as {long:?}");
            }
        }
    }
}

/// A document's payload with a member added, written as it stands.
fn with_member(kind: Kind, member: &str) -> Vec<u8> {
    let payload = String::from_utf8(sample(kind, signer().verifying_key().to_bytes())).unwrap();
    format!("{},{member}}}", payload.strip_suffix('}').unwrap()).into_bytes()
}

#[test]
fn a_document_of_any_kind_is_strict_json_with_its_own_members() {
    for kind in documents() {
        let by_signer = |payload: Vec<u8>| refused(kind, signed(&signer(), kind, &network(), &payload));
        let payload = String::from_utf8(sample(kind, signer().verifying_key().to_bytes())).unwrap();
        let first = payload.split('"').nth(1).unwrap();
        let deep = format!("\"x\":{}1{}", "[".repeat(MAX_JSON_DEPTH), "]".repeat(MAX_JSON_DEPTH));
        let many = format!("\"x\":[{}]", vec!["1"; MAX_JSON_MEMBERS].join(","));
        let twice = format!("\"{first}\":1");
        for member in [
            twice.as_str(),
            "\"x\":1.0",
            "\"x\":1e3",
            "\"x\":9007199254740993",
            "\"x\":-0",
            "\"x\":\"a\tb\"",
            "\"x\":\"a\\u0007b\"",
            "\"x\":\"a\u{202e}b\"",
            "\"x\":\"e\u{301}\"",
            &deep,
            &many,
            "\"unknown\":1",
        ] {
            let bytes = signed(&signer(), kind, &network(), &with_member(kind, member));
            let refusal = Packed::new(kind, &network(), bytes).and_then(open).unwrap_err();
            assert_eq!(refusal.reason, Reason::Malformed, "{kind}: {refusal}");
            let by_json = refusal.detail.contains("at byte");
            assert_eq!(by_json, !member.contains("unknown"), "{kind}: {refusal}");
        }
        for whole in ["", "[]", "{}x", "{", "null", "\u{feff}{}"] {
            assert_eq!(by_signer(whole.as_bytes().to_vec()), Some(Reason::Malformed), "{kind}: {whole:?}");
        }
        assert_eq!(by_signer(b"{\"\xff\":1}".to_vec()), Some(Reason::Malformed), "{kind}: not UTF-8");
    }
}

/// Counts what is stored.
#[derive(Default)]
struct Writes(usize);
impl Commit for Writes {
    type Error = core::convert::Infallible;
    fn commit(&mut self, batch: Batch) -> Result<(), Self::Error> {
        self.0 += batch.writes().len();
        Ok(())
    }
}

/// A provider's market that has just started.
fn market() -> Market {
    let key = |n| SigningKey::from_bytes(&[n; 32]);
    let setup = Setup {
        network: network(),
        margins: Margins::DEVNET,
        peer: peer(),
        keys: Keys {
            account: Some(key(31)),
            serving: Some(key(32)),
            sealing: Some(SealingSecret::from_bytes([33; 32])),
        },
        policy: Policy {
            assets: vec![Asset::Native],
            transports: vec![Transport::Tcp],
            escrow: EscrowPolicy { max_timed: Stroops::whole(1_000), ..EscrowPolicy::default() },
            max_spend: Stroops::whole(10),
            max_fee_per_operation: Stroops::ZERO,
            max_deadline_fee: Stroops::ZERO,
            one_word_limit: None,
            submitters: 0,
            max_cases: tradepost_protocol::limits::MAX_CASES,
        },
    };
    let (market, first) = Market::restore(setup, [], at(0).into()).unwrap();
    let _ = first.commit_to(&mut Writes::default());
    market
}

/// Delivers bytes of a kind by every door; gives how many values were stored.
fn stored(market: &mut Market, kind: Kind, bytes: &[u8]) -> usize {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let mut writes = Writes::default();
    let direct = [&[kind.number()], bytes].concat();
    let packed = Packed::new(kind, &network(), bytes.to_vec());
    let id = packed.map_or(MessageId::from_bytes([0; 32]), |packed| packed.id());
    let (from, token) = (peer(), Token(1));
    for event in [
        Event::Gossiped { token, kind, bytes: bytes.to_vec(), from: from.clone() },
        Event::Direct { token, peer: from.clone(), bytes: direct },
        Event::Fetched { peer: from, asked: vec![(kind, id)], messages: vec![(kind, bytes.to_vec())] },
    ] {
        let gossiped = matches!(event, Event::Gossiped { .. });
        let Ok(effects) = market.handle(event, Now::from(at(0)), &mut rng).commit_to(&mut writes);
        let accepted = |e: &Effect| matches!(e, Effect::Verdict { refusal: None, .. } | Effect::Publish { .. });
        assert!(!gossiped || !effects.iter().any(accepted), "{kind}: passed on");
    }
    writes.0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_of_any_kind_are_refused_and_nothing_is_stored(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut market = market();
        for &kind in Kind::ALL {
            prop_assert!(refused(kind, bytes.clone()).is_some());
            prop_assert_eq!(stored(&mut market, kind, &bytes), 0);
        }
        let _ = from_stream(&network(), &bytes);
        prop_assert_eq!(market.book().waiting(), 0);
    }

    #[test]
    fn a_changed_message_of_any_kind_is_refused_and_nothing_is_stored(
        place in any::<prop::sample::Index>(),
        flip in 1u8..,
        how in 0u8..4,
    ) {
        let mut market = market();
        for &kind in Kind::ALL {
            let mut bytes = good(kind);
            let place = place.index(bytes.len());
            match how {
                0 => bytes[place] ^= flip,
                1 => bytes.truncate(place),
                2 => bytes.insert(place, flip),
                _ => { bytes.remove(place); }
            }
            // A byte put beside its like changes nothing.
            if bytes == good(kind) {
                continue;
            }
            prop_assert!(refused(kind, bytes.clone()).is_some(), "{}: {} at {}", kind, how, place);
            prop_assert_eq!(stored(&mut market, kind, &bytes), 0, "{}", kind);
        }
        prop_assert_eq!(market.book().waiting(), 0);
    }
}
