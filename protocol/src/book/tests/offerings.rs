//! Offerings, statuses and presences: how they get in, what they change, how they end.

use super::*;
use crate::limits::{MAX_SERIES_PER_AUTHOR, MAX_WAITING_PER_PEER, STATUS_RELAYED_EVERY, WAITING_TIME};

#[test]
fn a7_a_complete_offering_is_listed_and_relayed_once_its_bond_stands_and_not_before() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let signed = ann.sign(ann.offering(1));
    let (verdict, effects) = desk.receive(signed.packed());
    let Verdict::Wait { refusal, wants } = verdict else { panic!("{verdict:?}") };
    assert_eq!((refusal.reason, wants), (Reason::NoBond, vec![Want::Bond(signed.body().bond)]));
    assert!(effects.is_empty());
    assert_eq!((desk.book.len(), desk.book.ids(None, 10).len(), desk.stored()), (0, 0, 0));

    let effects = desk.bond(&signed.id());
    let series = crate::document::series_of(&signed);
    assert_eq!(relayed(&effects), [signed.id()]);
    assert!(effects.contains(&BookEffect::Listed(series)));
    assert_eq!(desk.book.ids(None, 10), [(Kind::Offering, signed.id())]);
    assert_eq!(desk.book.message(&signed.id()), Some(signed.packed()));
    assert_eq!(desk.stored(), 1);
    assert_eq!(ignored(&desk.verdict(signed.packed())), Some(Reason::Duplicate));
}

#[test]
fn a7_what_waits_too_long_is_gone_and_costs_nobody_a_penalty() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let unknown = Offering { template: TemplateId::from_bytes([9; 32]), ..ann.offering(1) };
    let signed = ann.sign(unknown);
    let verdict = desk.verdict(signed.packed());
    let Verdict::Wait { refusal, wants } = verdict else { panic!("{verdict:?}") };
    assert_eq!(refusal.reason, Reason::UnknownTemplate);
    assert_eq!(wants, [Want::Template(TemplateId::from_bytes([9; 32]))]);
    assert!(desk.book.bonds_wanted(200, at(0)).is_empty(), "the bond isn't looked up before the rest is right");
    let step = desk.book.expire(at(WAITING_TIME.as_secs() - 1));
    desk.settle(step);
    assert_eq!(desk.book.waiting(), 1);
    let step = desk.book.expire(at(WAITING_TIME.as_secs()));
    assert!(desk.settle(step).is_empty());
    assert_eq!((desk.book.waiting(), desk.stored()), (0, 0));
    assert!(desk.book.waiting.forgot_everything());
}

#[test]
fn a2_another_nonce_is_another_offering_and_the_same_one_twice_changes_nothing() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let one = ann.sign(ann.offering(1));
    let two = ann.sign(Offering { nonce: Nonce::from_bytes([2; 16]), ..ann.offering(1) });
    assert_ne!(one.id(), two.id());
    desk.list(&one);
    let before = desk.store.0.clone();
    let (verdict, effects) = desk.receive(one.packed());
    assert_eq!((ignored(&verdict), effects), (Some(Reason::Duplicate), vec![]));
    assert_eq!(desk.store.0, before);
    desk.list(&two);
    assert_eq!(desk.book.len(), 2);
}

#[test]
fn a3_an_offering_that_its_template_refuses_is_rejected_with_the_fields_path() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let parameters = |value: serde_json::Value| value.as_object().unwrap().clone();
    let price = Price { unit: Unit::MiB, ..ann.offering(1).price };
    let process = BuiltIn::named("process").unwrap().id;
    let second = Price { unit: Unit::Second, ..ann.offering(1).price };
    for (offering, path) in [
        (Offering { price, ..ann.offering(1) }, "/price/unit"),
        (Offering { parameters: parameters(json!({})), ..ann.offering(1) }, "/parameters/what"),
        (Offering { parameters: parameters(json!({"what": "x", "more": 1})), ..ann.offering(1) }, "/parameters/more"),
        (Offering { template: process, price: second, ..ann.offering(1) }, "/service"),
    ] {
        let verdict = desk.verdict(ann.sign(offering).packed());
        let Verdict::Reject(refusal) = &verdict else { panic!("{verdict:?}") };
        assert_eq!(refusal.reason, Reason::InvalidDocument);
        assert!(refusal.detail.contains(path), "{refusal}");
    }
    assert_eq!(desk.book.waiting(), 0);
    assert_eq!(desk.book.refused()[&Reason::InvalidDocument], 4);
}

#[test]
fn a4_a_bond_that_is_wrong_refuses_its_offering() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let signed = ann.sign(ann.offering(1));
    desk.verdict(signed.packed());
    let wanted = desk.book.bonds_wanted(200, at(0));
    assert_eq!(wanted.len(), 1);
    assert_eq!(wanted[0].terms.least, Stroops::whole(20), "2 x 1 x 10");
    assert_eq!(wanted[0].terms.release, Timestamp::from_secs(START + 3_600 + 72));
    assert_eq!(wanted[0].terms.series.as_bytes(), signed.id().as_bytes());
    assert_eq!(wanted[0].from, Some(peer(1)));
    let refusal = Refusal::new(Reason::WrongBond, "it pays another");
    let step = desk.book.bond_checked(&signed.id(), BondVerdict::Refused(refusal), at(0));
    assert!(desk.settle(step).is_empty());
    assert_eq!((desk.book.len(), desk.book.waiting(), desk.book.refused()[&Reason::WrongBond]), (0, 0, 1));
}

#[test]
fn a5_a_free_offering_needs_the_networks_least_bond() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let price = Price { amount: Stroops::ZERO, ..ann.offering(1).price };
    desk.verdict(ann.sign(Offering { price, ..ann.offering(1) }).packed());
    assert_eq!(desk.book.bonds_wanted(200, at(0))[0].terms.least, Margins::DEVNET.min_bond);
}

#[test]
fn bonds_are_asked_for_in_turn_from_each_peer_and_again_after_a_pause() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    for nonce in 0..5 {
        desk.deliver(ann.sign(ann.offering(nonce)).packed(), Some(&peer(1)), 0);
    }
    desk.deliver(ann.sign(ann.offering(9)).packed(), Some(&peer(2)), 0);
    let first: BTreeSet<_> = desk.book.bonds_wanted(2, at(0)).into_iter().map(|w| w.from).collect();
    assert_eq!(first.len(), 2, "one of each peer");
    assert_eq!(desk.book.bonds_wanted(200, at(0)).len(), 4);
    assert!(desk.book.bonds_wanted(200, at(0)).is_empty(), "all were just asked for");
    assert_eq!(desk.book.bonds_wanted(200, at(1)).len(), 6);
}

#[test]
fn a_peers_part_of_the_pool_is_bounded_and_touches_no_other() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    desk.deliver(ann.sign(ann.offering(200)).packed(), Some(&peer(2)), 0);
    for nonce in 0..100 {
        let verdict = desk.deliver(ann.sign(ann.offering(nonce)).packed(), Some(&peer(1)), 0).0;
        assert_eq!(reason(&verdict), Some(Reason::NoBond));
    }
    assert_eq!(desk.book.waiting(), MAX_WAITING_PER_PEER + 1);
    assert!(desk.book.knows(&ann.sign(ann.offering(200)).id()));
    assert!(desk.book.knows(&ann.sign(ann.offering(99)).id()), "the newest is there");
}

#[test]
fn an_authors_quota_counts_live_series_only() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let numbered = |n: usize| {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&n.to_le_bytes());
        ann.sign(Offering { nonce: Nonce::from_bytes(nonce), ..ann.offering(1) })
    };
    let first = desk.list(&numbered(0));
    for n in 1..MAX_SERIES_PER_AUTHOR {
        desk.list(&numbered(n));
    }
    let next = numbered(MAX_SERIES_PER_AUTHOR);
    assert_eq!(ignored(&desk.verdict(next.packed())), Some(Reason::OverQuota));
    assert_eq!(desk.verdict(&ann.status(first, 1, 0, true)), Verdict::Accept);
    desk.list(&next);
}

#[test]
fn a8_the_highest_status_rules_and_a_withdrawal_is_final() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let series = desk.list(&ann.sign(ann.offering(1)));
    assert_eq!((desk.show(series).free, desk.show(series).status_sequence), (10, 0));
    assert_eq!(desk.verdict(&ann.status(series, 5, 4, false)), Verdict::Accept);
    assert_eq!(ignored(&desk.verdict(&ann.status(series, 4, 9, false))), Some(Reason::Superseded));
    assert_eq!((desk.show(series).free, desk.show(series).status_sequence), (4, 5));
    assert_eq!(desk.stored(), 2);
    let (verdict, effects) = desk.receive(&ann.status(series, 6, 0, true));
    assert_eq!((verdict, effects), (Verdict::Accept, vec![BookEffect::Unlisted(series)]));
    for late in [ann.status(series, 7, 9, false), ann.status(series, 8, 9, true)] {
        assert_eq!(ignored(&desk.verdict(&late)), Some(Reason::Withdrawn));
    }
    let next = Offering { series: Some(series), revision: 2, ..ann.offering(1) };
    assert_eq!(ignored(&desk.verdict(ann.sign(next).packed())), Some(Reason::Withdrawn));
    assert!(desk.show(series).withdrawn && !desk.show(series).live);
    desk.restart(0);
    assert!(desk.show(series).withdrawn);
}

#[test]
fn of_two_statuses_with_one_sequence_every_node_keeps_the_same() {
    let ann = provider(10);
    let signed = ann.sign(ann.offering(1));
    let kept = |order: [u32; 2]| {
        let mut desk = Desk::new();
        let series = desk.list(&signed);
        for free in order {
            desk.verdict(&ann.status(series, 3, free, false));
        }
        desk.show(series).free
    };
    assert_eq!(kept([4, 7]), kept([7, 4]));
}

#[test]
fn statuses_of_one_series_are_passed_on_at_intervals_and_the_last_one_is() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let series = desk.list(&ann.sign(ann.offering(1)));
    assert_eq!(desk.verdict(&ann.status(series, 1, 9, false)), Verdict::Accept);
    assert_eq!(ignored(&desk.verdict(&ann.status(series, 2, 8, false))), Some(Reason::Superseded));
    assert_eq!(desk.show(series).free, 8, "taken, though not passed on");
    let step = desk.book.expire(at(1));
    assert!(relayed(&desk.settle(step)).is_empty());
    let step = desk.book.expire(at(STATUS_RELAYED_EVERY.as_secs()));
    assert_eq!(relayed(&desk.settle(step)), [ann.status(series, 2, 8, false).id()]);
    let step = desk.book.expire(at(2 * STATUS_RELAYED_EVERY.as_secs()));
    assert!(relayed(&desk.settle(step)).is_empty(), "once");
    let own = desk.deliver(&ann.status(series, 3, 7, false), None, 21);
    assert_eq!((own.0, relayed(&own.1).len()), (Verdict::Accept, 1));
}

#[test]
fn a8_a_presence_makes_live_until_it_is_old() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    assert_eq!(ignored(&desk.verdict(&ann.presence(0))), Some(Reason::UnknownSeries));
    let series = desk.list(&ann.sign(ann.offering(1)));
    assert!(!desk.show(series).live);
    let (verdict, effects) = desk.receive(&ann.presence(0));
    assert_eq!((verdict, effects), (Verdict::Accept, vec![BookEffect::Updated(series)]));
    assert!(desk.show(series).live);
    assert_eq!(desk.verdict(&ann.presence(5)), Verdict::Accept);
    assert_eq!(ignored(&desk.verdict(&ann.presence(4))), Some(Reason::Superseded));
    assert_eq!(ignored(&desk.verdict(&ann.presence(61))), Some(Reason::FromTheFuture));
    assert_eq!(ignored(&desk.deliver(&ann.presence(6), Some(&peer(1)), 36).0), Some(Reason::Expired));
    let live_at = |desk: &Desk, secs| desk.book.by_series(&series, at(secs)).unwrap().live;
    assert!(live_at(&desk, 34) && !live_at(&desk, 35));
    let step = desk.book.expire(at(35));
    assert_eq!(desk.settle(step), [BookEffect::Updated(series)]);
    assert_eq!(desk.stored(), 1, "only the offering is left");
}

#[test]
fn what_a_serving_key_says_while_the_bond_is_awaited_is_taken_with_the_offering() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let signed = ann.sign(ann.offering(1));
    let series = crate::document::series_of(&signed);
    desk.verdict(signed.packed());
    assert_eq!(reason(&desk.verdict(&ann.status(series, 2, 3, false))), Some(Reason::NoBond));
    assert_eq!(reason(&desk.verdict(&ann.presence(0))), Some(Reason::NoBond));
    assert_eq!(desk.stored(), 0);
    let effects = desk.bond(&signed.id());
    assert_eq!(relayed(&effects).len(), 3);
    assert_eq!((desk.show(series).free, desk.show(series).live), (3, true));
}

#[test]
fn a9_withdrawing_an_unknown_a_foreign_and_a_withdrawn_offering_are_three_errors() {
    let (mut desk, ann, ben) = (Desk::new(), provider(10), provider(20));
    let series = desk.list(&ann.sign(ann.offering(1)));
    let keys = |p: &Provider| [SignerKey::of(&p.account), SignerKey::of(&p.serving)];
    let unknown = SeriesId::from_bytes([9; 32]);
    assert_eq!(desk.book.check_withdraw(&keys(&ann), &unknown), Err(WithdrawError::Unknown(unknown)));
    let owner = AccountId::of(&ann.account);
    assert_eq!(desk.book.check_withdraw(&keys(&ben), &series), Err(WithdrawError::Foreign { series, owner }));
    assert_eq!(desk.book.check_withdraw(&keys(&ann)[1..], &series), Ok(1));
    desk.verdict(&ann.status(series, 4, 1, false));
    assert_eq!(desk.book.check_withdraw(&keys(&ann)[..1], &series), Ok(5));
    desk.verdict(&ann.status(series, 5, 0, true));
    assert_eq!(desk.book.check_withdraw(&keys(&ann), &series), Err(WithdrawError::AlreadyWithdrawn(series)));
}

#[test]
fn a_later_revision_replaces_an_earlier_one_and_never_the_other_way_round() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let one = ann.sign(ann.offering(1));
    let series = desk.list(&one);
    let revised = |revision| Offering { series: Some(series), revision, title: "Cod".into(), ..ann.offering(1) };
    let (two, three) = (ann.sign(revised(2)), ann.sign(revised(3)));
    desk.verdict(three.packed());
    assert_eq!(desk.show(series).id, one.id(), "until the bond was looked at again");
    desk.bond(&three.id());
    assert_eq!((desk.show(series).id, desk.book.len()), (three.id(), 1));
    assert_eq!(ignored(&desk.verdict(two.packed())), Some(Reason::Superseded));
    assert_eq!(desk.book.ids(None, 9), [(Kind::Offering, three.id())]);
    assert_eq!(desk.book.message(&one.id()), Some(one.packed()), "the first revision stays as proof of the author");
    desk.restart(0);
    assert_eq!((desk.show(series).id, desk.book.message(&one.id())), (three.id(), Some(one.packed())));
    let four = ann.sign(revised(4));
    desk.list(&four);
    assert_eq!(desk.stored(), 2, "the first and the newest");
    assert!(!desk.book.knows(&three.id()));

    desk.store.0.remove(&(Space::Message, one.id().as_bytes().to_vec()));
    desk.restart(0);
    assert!(desk.book.is_empty(), "without the first revision nobody can tell whose it is");
}

#[test]
fn nobody_takes_over_a_series_with_a_later_revision() {
    let (mut desk, ann, eve) = (Desk::new(), provider(10), provider(20));
    let one = ann.sign(Offering { valid_until: Timestamp::from_secs(START + 5), ..ann.offering(1) });
    let series = crate::document::series_of(&one);
    let stolen = eve.sign(Offering { series: Some(series), revision: 7, ..eve.offering(7) });
    let renewed = ann.sign(Offering { series: Some(series), revision: 2, ..ann.offering(1) });

    for later in [&stolen, &renewed] {
        let verdict = desk.deliver(later.packed(), Some(&peer(1)), 10).0;
        let Verdict::Wait { refusal, wants } = verdict else { panic!("{verdict:?}") };
        assert_eq!((refusal.reason, wants), (Reason::UnknownSeries, vec![Want::FirstRevision(series)]));
    }
    assert!(desk.bond(&stolen.id()).is_empty(), "a bond alone doesn't list it");
    let (verdict, effects) = desk.deliver(one.packed(), Some(&peer(1)), 10);
    assert_eq!(ignored(&verdict), Some(Reason::Expired), "it is over, and still says whose the series is");
    assert_eq!(effects, [BookEffect::Wanted { want: Want::Bond(renewed.body().bond), from: Some(peer(1)) }]);
    assert!(!desk.book.knows(&stolen.id()));
    desk.bond(&renewed.id());
    assert_eq!(desk.show(series).id, renewed.id());
    assert_eq!(rejected(&desk.verdict(stolen.packed())), Some(Reason::WrongAuthor));
    desk.restart(10);
    assert_eq!(desk.show(series).id, renewed.id());
    assert!(desk.book.message(&one.id()).is_some());
}

#[test]
fn of_two_payloads_for_one_revision_the_lower_hash_rules_everywhere_and_the_listing_says_so() {
    let ann = provider(10);
    let one = ann.sign(ann.offering(1));
    let series = crate::document::series_of(&one);
    let revised =
        |title: &str| ann.sign(Offering { series: Some(series), revision: 2, title: title.into(), ..ann.offering(1) });
    let (a, b) = (revised("Cod"), revised("Eel"));
    let end = |order: [&Signed<Offering>; 2]| {
        let mut desk = Desk::new();
        desk.list(&one);
        desk.list(order[0]);
        desk.verdict(order[1].packed());
        assert!(desk.show(series).conflicting);
        desk.bond(&order[1].id());
        desk.restart(0);
        (desk.show(series).id, desk.show(series).conflicting)
    };
    let hash = |signed: &&Signed<Offering>| crate::message::keccak(&[signed.packed().payload()]);
    let lower = [&a, &b].into_iter().min_by_key(hash).unwrap().id();
    assert_eq!(end([&a, &b]), (lower, true));
    assert_eq!(end([&b, &a]), (lower, true));
}

#[test]
fn an_offering_ends_with_its_last_second_and_leaves_nothing() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let series = desk.list(&ann.sign(ann.offering(1)));
    desk.verdict(&ann.status(series, 1, 5, false));
    desk.verdict(&ann.presence(0));
    let step = desk.book.expire(at(3_600));
    desk.settle(step);
    assert_eq!(desk.book.len(), 1);
    let step = desk.book.expire(at(3_601));
    assert!(desk.settle(step).contains(&BookEffect::Unlisted(series)));
    assert!(desk.store.0.is_empty(), "{:?}", desk.store.0.keys());
    assert!(desk.book.ids(None, 10).is_empty());
    let late = desk.deliver(ann.sign(ann.offering(1)).packed(), Some(&peer(1)), 3_601).0;
    assert_eq!(ignored(&late), Some(Reason::Expired));
}

#[test]
fn lifetimes_and_windows_are_bounded_by_the_network() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let month = Timestamp::from_secs(START + 31 * 86_400);
    let verdict = desk.verdict(ann.sign(Offering { valid_until: month, ..ann.offering(1) }).packed());
    assert_eq!(ignored(&verdict), Some(Reason::FromTheFuture));
    for windows in [
        Windows { deliver_secs: 86_401, collect_secs: 12 },
        Windows { deliver_secs: 60, collect_secs: Margins::DEVNET.claim_margin.as_secs() },
    ] {
        let verdict = desk.verdict(ann.sign(Offering { windows, ..ann.offering(1) }).packed());
        assert_eq!(rejected(&verdict), Some(Reason::InvalidDocument));
    }
}

#[test]
fn our_own_offering_takes_the_same_way_and_is_shown_while_it_waits() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let signed = ann.sign(ann.offering(1));
    let verdict = desk.deliver(signed.packed(), None, 0).0;
    assert_eq!(reason(&verdict), Some(Reason::NoBond));
    let shown = desk.book.get(&signed.id().to_string(), at(0)).unwrap();
    assert!(!shown.bonded && !shown.live);
    assert_eq!(desk.book.bonds_wanted(200, at(0))[0].from, None);
    assert_eq!(relayed(&desk.bond(&signed.id())), [signed.id()]);
    assert!(desk.book.get(&signed.id().to_string(), at(0)).unwrap().bonded);
}

#[test]
fn a_bond_that_is_seen_too_late_lists_nothing() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let series = desk.list(&ann.sign(ann.offering(1)));
    let revised = |revision| ann.sign(Offering { series: Some(series), revision, ..ann.offering(1) });
    let (two, three, four) = (revised(2), revised(3), revised(4));
    let brief = ann.sign(Offering { valid_until: Timestamp::from_secs(START + 5), ..ann.offering(2) });
    for signed in [&two, &three, &four, &brief] {
        desk.verdict(signed.packed());
    }
    desk.bond(&three.id());
    assert!(desk.bond(&two.id()).is_empty(), "superseded meanwhile");
    desk.verdict(&ann.status(series, 1, 0, true));
    assert!(desk.bond(&four.id()).is_empty(), "withdrawn meanwhile");
    let step = desk.book.bond_checked(&brief.id(), BondVerdict::Stands, at(6));
    assert!(desk.settle(step).is_empty(), "expired meanwhile");
    assert_eq!((desk.show(series).id, desk.book.len(), desk.book.waiting()), (three.id(), 1, 0));
    assert!(desk.bond(&MessageId::from_bytes([0; 32])).is_empty(), "nothing waits under such an id");
}
