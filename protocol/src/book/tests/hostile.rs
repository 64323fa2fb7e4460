//! Messages that are wrong in every way that we could think of.

use proptest::prelude::*;

use super::*;
use crate::limits::{AUTHOR_RATE, PEER_RATE, SIGNATURE_BYTES};

fn bytes(desk: &mut Desk, kind: Kind, bytes: Vec<u8>) -> Verdict {
    let admission = desk.book.admit_bytes(kind, bytes, Some(&peer(1)), at(0), 0);
    desk.settle(admission.step);
    admission.verdict
}

/// A payload signed by a key, whatever it says.
fn signed_by(key: &SigningKey, kind: Kind, network: &NetworkId, payload: &[u8]) -> Vec<u8> {
    let signature = key.sign(crate::message::digest(kind, network, payload).as_bytes());
    [payload, &signature.to_bytes()].concat()
}

#[test]
fn a1_a_signed_message_is_taken_apart_again_and_its_signature_verifies() {
    let ann = provider(10);
    let signed = ann.sign(ann.offering(1));
    let packed = Packed::new(Kind::Offering, &net(), signed.packed().bytes().to_vec()).unwrap();
    assert_eq!((packed.id(), packed.payload()), (signed.id(), signed.body().encode().unwrap().as_slice()));
    assert_eq!(packed.signature().len(), SIGNATURE_BYTES);
    let opened = packed.open::<Offering>(&net()).unwrap();
    assert_eq!((opened.digest(), opened.body()), (signed.digest(), signed.body()));
}

#[test]
fn a1_what_is_shorter_than_a_signature_or_longer_than_its_kind_is_refused() {
    let mut desk = Desk::new();
    for &kind in Kind::ALL {
        for short in [0, 1, 63] {
            assert_eq!(rejected(&bytes(&mut desk, kind, vec![0; short])), Some(Reason::TooShort));
        }
        assert_eq!(rejected(&bytes(&mut desk, kind, vec![0; kind.max_bytes() + 1])), Some(Reason::TooLarge));
        let empty = bytes(&mut desk, kind, vec![0; 64]);
        assert!(matches!(rejected(&empty), Some(Reason::Malformed | Reason::WrongKind)), "{kind}: {empty:?}");
    }
}

#[test]
fn a_message_counts_for_its_kind_its_network_and_its_author_only() {
    let (mut desk, ann, eve) = (Desk::new(), provider(10), provider(20));
    let payload = ann.offering(1).encode().unwrap();
    let good = signed_by(&ann.account, Kind::Offering, &net(), &payload);
    let other_net = NetworkId::of_passphrase("another");
    for (what, message) in [
        ("another key", signed_by(&eve.account, Kind::Offering, &net(), &payload)),
        ("another network", signed_by(&ann.account, Kind::Offering, &other_net, &payload)),
        ("another kind", signed_by(&ann.account, Kind::Template, &net(), &payload)),
        ("no signature", [payload.as_slice(), &[0; 64]].concat()),
    ] {
        assert_eq!(rejected(&bytes(&mut desk, Kind::Offering, message)), Some(Reason::BadSignature), "{what}");
    }
    assert_eq!(rejected(&bytes(&mut desk, Kind::Template, good.clone())), Some(Reason::Malformed));
    assert_eq!(rejected(&bytes(&mut desk, Kind::BindingRequest, good.clone())), Some(Reason::Malformed));
    assert_eq!(reason(&bytes(&mut desk, Kind::Offering, good)), Some(Reason::NoBond));
}

#[test]
fn small_order_keys_and_signatures_that_are_not_canonical_are_refused() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    // The neutral element and the point of order two: anything "verifies" under them without strictness.
    for first in [1u8, 0xec] {
        let mut point = [if first == 1 { 0 } else { 0xff }; 32];
        point[0] = first;
        point[31] = if first == 1 { 0 } else { 0x7f };
        let account = AccountId::from_bytes(point);
        let payload = Offering { account, recipient: account, ..ann.offering(1) }.encode().unwrap();
        let mut signature = [0; 64];
        signature[0] = 1;
        let message = [payload.as_slice(), &signature].concat();
        assert_eq!(rejected(&bytes(&mut desk, Kind::Offering, message)), Some(Reason::BadSignature));
    }
    // S + L is the same signature to a verifier that doesn't look.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut message = ann.sign(ann.offering(1)).packed().bytes().to_vec();
    let start = message.len() - 32;
    let mut carry = 0u16;
    for (byte, order) in message[start..].iter_mut().zip(ORDER) {
        carry += u16::from(*byte) + u16::from(order);
        *byte = carry as u8;
        carry >>= 8;
    }
    assert_eq!(rejected(&bytes(&mut desk, Kind::Offering, message)), Some(Reason::BadSignature));
}

#[test]
fn a_status_by_another_key_changes_nothing() {
    let (mut desk, ann, eve) = (Desk::new(), provider(10), provider(20));
    let series = desk.list(&ann.sign(ann.offering(1)));
    let stored = desk.store.0.clone();
    let verdict = desk.verdict(&eve.status(series, 9, 0, true));
    assert_eq!(ignored(&verdict), Some(Reason::UnknownSeries), "the relayer may know a newer revision");
    let mut forged = ann.status(series, 9, 0, true).bytes().to_vec();
    forged[70] ^= 1;
    assert!(matches!(bytes(&mut desk, Kind::Status, forged), Verdict::Reject(_)));
    assert_eq!(desk.store.0, stored);
    assert!(!desk.show(series).withdrawn);
}

#[test]
fn one_author_says_no_more_than_its_rate_and_others_are_heard() {
    let (mut desk, ann, ben) = (Desk::new(), provider(10), provider(20));
    let series = desk.list(&ann.sign(ann.offering(1)));
    let others = desk.list(&ben.sign(ben.offering(2)));
    let statuses = u64::from(AUTHOR_RATE.at_once) + 50;
    for sequence in 1..=statuses {
        desk.verdict(&ann.status(series, sequence, 1, false));
    }
    assert_eq!(desk.book.refused()[&Reason::AuthorOverRate], 50);
    assert!(matches!(desk.verdict(&ben.status(others, 1, 1, false)), Verdict::Accept));
    let forged = signed_by(&provider(30).account, Kind::Offering, &net(), &ben.offering(3).encode().unwrap());
    assert_eq!(rejected(&bytes(&mut desk, Kind::Offering, forged)), Some(Reason::BadSignature));
    assert_eq!(desk.book.rated(), (1, 4), "a bucket a key that has signed; none for a forgery");
    let later = desk.deliver(&ann.status(series, statuses + 1, 1, false), Some(&peer(1)), 1).0;
    assert_eq!(ignored(&later), Some(Reason::Superseded), "taken, and kept back for ten seconds");
    let own = desk.deliver(&ann.status(series, statuses + 2, 1, false), None, 1).0;
    assert!(matches!(own, Verdict::Accept), "one's own needs no token");
}

#[test]
fn what_gets_into_the_book_costs_its_peer_nothing() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let record = ann.record("aa", None);
    desk.verdict(record.packed());
    let series = desk.list(&ann.sign(ann.process(1, record.body())));
    for n in 0..PEER_RATE.at_once {
        let verdict = bytes(&mut desk, Kind::Status, [n.to_be_bytes().as_slice(), &[0; 64]].concat());
        assert_eq!(rejected(&verdict), Some(Reason::Malformed), "{n}");
    }
    let over = ann.status(series, 1, 1, false);
    assert_eq!(ignored(&desk.verdict(&over)), Some(Reason::OverRate));
    assert!(matches!(desk.deliver(&over, Some(&peer(2)), 0).0, Verdict::Accept), "another peer may");
    assert_eq!(ignored(&desk.verdict(&over)), Some(Reason::Duplicate), "what is known costs nothing");
}

#[test]
fn refusals_are_counted_by_their_reason() {
    let mut desk = Desk::new();
    bytes(&mut desk, Kind::Offering, vec![0; 3]);
    bytes(&mut desk, Kind::Offering, vec![0; 3]);
    bytes(&mut desk, Kind::Offering, vec![0; 100]);
    assert_eq!(desk.book.refused()[&Reason::TooShort], 2);
    assert_eq!(desk.book.refused()[&Reason::Malformed], 1);
}

#[test]
fn damaged_stored_messages_are_named_and_deleted_and_the_rest_of_the_book_stands() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let series = desk.list(&ann.sign(ann.offering(1)));
    desk.list(&ann.sign(ann.offering(2)));
    let key = (Space::Message, series.as_bytes().to_vec());
    desk.store.0.get_mut(&key).unwrap()[100] ^= 1;
    let row = |desk: &mut Desk, n: u8, value: Vec<u8>| desk.store.0.insert((Space::Message, vec![n; 32]), value);
    row(&mut desk, 1, Vec::new());
    row(&mut desk, 2, vec![250; 100]);
    row(&mut desk, 3, [&[Kind::Ping.number()][..], &[7; 100]].concat());
    let damaged: Vec<Reason> = desk.restart(0).iter().map(|refusal| refusal.reason).collect();
    let mut expected = vec![Reason::TooShort, Reason::WrongKind, Reason::WrongKind, Reason::Malformed];
    expected.sort();
    let mut found = damaged;
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(desk.book.len(), 1);
    assert_eq!(desk.restart(0), [], "they are gone");
    assert_eq!(desk.book.len(), 1);
}

/// One good message of every kind that the book takes.
fn samples() -> Vec<Packed> {
    let ann = provider(10);
    let record = ann.record("aa", None);
    let offering = ann.sign(ann.process(1, record.body()));
    let series = crate::document::series_of(&offering);
    vec![record.packed().clone(), offering.packed().clone(), ann.status(series, 1, 1, false), ann.presence(0)]
}

proptest! {
    #[test]
    fn random_bytes_of_every_kind_never_panic_and_are_never_kept(
        payload in prop::collection::vec(any::<u8>(), 0..400),
        random in any::<u64>(),
    ) {
        let mut desk = Desk::new();
        for &kind in Kind::ALL {
            let admission = desk.book.admit_bytes(kind, payload.clone(), Some(&peer(1)), at(0), random);
            // By chance the bytes are a frame of a key and series that nobody has; then it is the relayer's no fault.
            prop_assert!(matches!(admission.verdict, Verdict::Reject(_) | Verdict::Ignore(_)));
            desk.settle(admission.step);
        }
        prop_assert!(desk.store.0.is_empty() && desk.book.waiting() == 0);
    }

    #[test]
    fn a_changed_message_of_any_kind_is_never_kept(
        which in 0usize..4,
        place in any::<prop::sample::Index>(),
        flip in 1u8..,
        cut in any::<bool>(),
    ) {
        let mut desk = Desk::new();
        let samples = samples();
        for sample in &samples[..which] {
            desk.verdict(sample);
            desk.bond(&sample.id());
        }
        let (stored, waiting) = (desk.store.0.clone(), desk.book.waiting());
        let mut message = samples[which].bytes().to_vec();
        let place = place.index(message.len());
        if cut { message.truncate(place) } else { message[place] ^= flip }
        let verdict = bytes(&mut desk, samples[which].kind(), message);
        prop_assert!(matches!(verdict, Verdict::Reject(_) | Verdict::Ignore(_)), "{:?}", verdict);
        prop_assert_eq!(&desk.store.0, &stored);
        prop_assert_eq!(desk.book.waiting(), waiting);
    }
}
