//! Service records and templates: held while something bonded uses them.

use super::*;
use crate::document::template_id;
use crate::limits::{MAX_PAST_RECORDS, OUTDATED_TIME};

fn custom_template(author: &SigningKey) -> Signed<Template> {
    let text = json!({
        "author": AccountId::of(author).to_string(), "name": "fish", "title": "Fish", "requires_service": false,
        "units": ["item"], "schema": {"required": ["weight"], "properties": {"weight": {"type": "integer"}}}
    });
    Signed::sign(Template::decode(text.to_string().as_bytes()).unwrap(), &net(), author).unwrap()
}

#[test]
fn a12_a_record_is_replaced_by_the_next_one_that_names_it_and_by_nothing_else() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let one = ann.record("aa", None);
    let two = ann.record("bb", Some(&one));
    let three = ann.record("cc", Some(&two));
    let foreign = ann.record("dd", Some(&ann.record("ee", None)));
    assert_eq!(desk.deliver(one.packed(), None, 0).0, Verdict::Accept);
    let current = |desk: &Desk| desk.book.record(&ServiceKey::of(&ann.service)).unwrap().id();
    for (record, missing) in [(&three, two.id()), (&foreign, foreign.body().previous.unwrap())] {
        let Verdict::Wait { refusal, wants } = desk.verdict(record.packed()) else { panic!() };
        assert_eq!((refusal.reason, wants), (Reason::RevisionGap, vec![Want::PastRecord(missing)]));
        assert_eq!(current(&desk), one.id());
    }
    let (verdict, effects) = desk.receive(two.packed());
    assert_eq!((verdict, relayed(&effects)), (Verdict::Accept, vec![three.id()]), "what waited for it comes along");
    assert_eq!(current(&desk), three.id());
    assert_eq!(ignored(&desk.verdict(two.packed())), Some(Reason::Duplicate));
    assert_eq!(ignored(&desk.verdict(ann.record("ee", None).packed())), Some(Reason::Superseded));
    let current = desk.book.record(&ServiceKey::of(&ann.service)).unwrap();
    assert_eq!((current.id(), current.body().revision), (three.id(), 3));
    desk.restart(0);
    assert_eq!(desk.book.ids(None, 9), [(Kind::ServiceRecord, three.id())]);
    for past in [&one, &two] {
        assert_eq!(desk.book.message(&past.id()), Some(past.packed()), "for peers that missed some");
    }
}

#[test]
fn a12_records_that_were_missed_are_fetched_backwards_until_they_join() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let mut chain = vec![ann.record("aa", None)];
    for _ in 1..5 {
        chain.push(ann.record("bb", chain.last()));
    }
    desk.verdict(chain[0].packed());
    desk.list(&ann.sign(ann.process(1, chain[0].body())));
    let mut next = chain[4].clone();
    loop {
        let verdict = desk.verdict(next.packed());
        let Verdict::Wait { wants, .. } = verdict else { break assert_eq!(verdict, Verdict::Accept) };
        let [Want::PastRecord(missing)] = wants[..] else { panic!("{wants:?}") };
        next = chain.iter().find(|r| r.id() == missing).unwrap().clone();
    }
    assert_eq!(desk.book.record(&ServiceKey::of(&ann.service)).unwrap().id(), chain[4].id());
    assert_eq!(desk.book.waiting(), 0);
}

#[test]
fn only_the_last_past_records_are_kept_and_none_without_a_use() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let one = ann.record("aa", None);
    desk.verdict(one.packed());
    desk.list(&ann.sign(ann.process(1, one.body())));
    let mut last = one;
    for _ in 0..MAX_PAST_RECORDS + 3 {
        last = ann.record("bb", Some(&last));
        assert_eq!(desk.verdict(last.packed()), Verdict::Accept);
    }
    assert_eq!(desk.stored(), 1 + 1 + MAX_PAST_RECORDS);
    desk.restart(0);
    assert_eq!(desk.stored(), 1 + 1 + MAX_PAST_RECORDS);
    let step = desk.book.expire(at(3_601));
    desk.settle(step);
    assert!(desk.store.0.is_empty());
}

#[test]
fn a12_an_offering_on_another_version_than_the_record_is_not_accepted() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let (one, other) = (ann.record("aa", None), ann.record("bb", None));
    desk.verdict(one.packed());
    let wrong = ann.sign(ann.process(1, other.body()));
    let verdict = desk.verdict(wrong.packed());
    let Verdict::Wait { refusal, wants } = verdict else { panic!("{verdict:?}") };
    assert_eq!((refusal.reason, wants), (Reason::NotTheRecord, vec![Want::Record(ServiceKey::of(&ann.service))]));
    assert!(desk.bond(&wrong.id()).is_empty());
    assert!(desk.book.is_empty());
    let mut own = Desk::new();
    own.deliver(one.packed(), None, 0);
    assert_eq!(ignored(&own.deliver(wrong.packed(), None, 0).0), Some(Reason::NotTheRecord));
}

#[test]
fn a12_offerings_on_the_old_version_are_shown_as_outdated_for_seven_days_and_then_hidden() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let one = ann.record("aa", None);
    desk.verdict(one.packed());
    let long = Timestamp::from_secs(START + 20 * 86_400);
    let signed = ann.sign(Offering { valid_until: long, ..ann.process(1, one.body()) });
    let series = desk.list(&signed);
    assert!(!desk.show(series).outdated);
    let two = ann.record("bb", Some(&one));
    let (verdict, effects) = desk.deliver(two.packed(), Some(&peer(1)), 100);
    assert_eq!((verdict, effects), (Verdict::Accept, vec![BookEffect::Updated(series)]));
    assert!(desk.show(series).outdated);
    desk.restart(200);
    let all = Filter { only_live: false, ..Filter::default() };
    let shown = |desk: &Desk, secs| desk.book.listing(&all, Page::default(), at(secs)).unwrap().total;
    assert_eq!(shown(&desk, 100 + OUTDATED_TIME.as_secs() - 1), 1);
    assert_eq!(shown(&desk, 100 + OUTDATED_TIME.as_secs()), 0);
    assert!(desk.book.by_series(&series, at(0)).is_some(), "its bindings still find it");

    let three = Offering { series: Some(series), revision: 2, ..ann.process(1, two.body()) };
    desk.list(&ann.sign(three));
    assert!(!desk.show(series).outdated);
}

#[test]
fn an_offering_waits_for_its_record_and_brings_it_along() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let record = ann.record("aa", None);
    let signed = ann.sign(ann.process(1, record.body()));
    let verdict = desk.verdict(signed.packed());
    let service = ServiceKey::of(&ann.service);
    assert!(matches!(verdict, Verdict::Wait { wants, .. } if wants == [Want::Record(service)]));
    let (verdict, effects) = desk.receive(record.packed());
    assert_eq!(reason(&verdict), Some(Reason::NoBond), "no bonded offering uses it yet");
    assert_eq!(effects, [BookEffect::Wanted { want: Want::Bond(signed.body().bond), from: Some(peer(1)) }]);
    assert_eq!(desk.stored(), 0);
    assert_eq!(desk.book.message(&record.id()), None, "what waits isn't served");
    let effects = desk.bond(&signed.id());
    assert_eq!(relayed(&effects), [record.id(), signed.id()], "the record goes first");
    let name = Want::Record(service).name().unwrap();
    assert_eq!(desk.book.message(&name), Some(record.packed()), "found by the service's key");
    desk.restart(0);
    assert_eq!(desk.book.ids(None, 9), [(Kind::ServiceRecord, record.id()), (Kind::Offering, signed.id())]);
}

#[test]
fn a_template_is_held_while_a_bonded_offering_uses_it() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let template = custom_template(&ann.account);
    let id = template_id(template.packed().payload());
    let parameters = json!({"weight": 4}).as_object().unwrap().clone();
    let signed = ann.sign(Offering { template: id, parameters, ..ann.offering(1) });
    assert_eq!(reason(&desk.verdict(signed.packed())), Some(Reason::UnknownTemplate));
    assert_eq!(reason(&desk.verdict(template.packed())), Some(Reason::NoBond));
    let wrong = ann.sign(Offering { template: id, ..ann.offering(2) });
    assert_eq!(rejected(&desk.verdict(wrong.packed())), Some(Reason::InvalidDocument));
    assert_eq!(relayed(&desk.bond(&signed.id())), [template.id(), signed.id()]);
    assert!(desk.book.waiting.forgot_everything());
    let name = Want::Template(id).name().unwrap();
    assert_eq!(desk.book.message(&name), Some(template.packed()), "found by its content id");
    desk.restart(0);
    assert!(desk.book.template(&id).is_some());
    let series = crate::document::series_of(&signed);
    desk.list(&ann.sign(Offering { series: Some(series), revision: 2, ..signed.body().clone() }));
    assert!(desk.book.template(&id).is_some(), "a new revision uses it too");
    let step = desk.book.expire(at(3_601));
    desk.settle(step);
    assert!(desk.store.0.is_empty() && desk.book.template(&id).is_none());
    assert!(desk.book.waiting.forgot_everything());
}

#[test]
fn an_offering_that_turns_out_to_break_its_template_is_dropped() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let template = custom_template(&ann.account);
    let signed = ann.sign(Offering { template: template_id(template.packed().payload()), ..ann.offering(1) });
    desk.verdict(signed.packed());
    desk.verdict(template.packed());
    assert!(!desk.book.knows(&signed.id()));
    assert_eq!(desk.book.refused()[&Reason::InvalidDocument], 1);
}

#[test]
fn our_own_records_and_templates_are_kept_and_published_without_a_use() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let (record, template) = (ann.record("aa", None), custom_template(&ann.account));
    for packed in [record.packed(), template.packed()] {
        let (verdict, effects) = desk.deliver(packed, None, 0);
        assert_eq!((verdict, relayed(&effects)), (Verdict::Accept, vec![packed.id()]));
    }
    desk.restart(0);
    assert_eq!(desk.book.ids(None, 9).len(), 2);
    let revised = ann.record("bb", Some(&record));
    let series = desk.list(&ann.sign(ann.process(1, record.body())));
    assert_eq!(desk.deliver(revised.packed(), None, 0).0, Verdict::Accept);
    let step = desk.book.expire(at(3_601));
    assert!(desk.settle(step).contains(&BookEffect::Unlisted(series)));
    assert_eq!(desk.book.record(&ServiceKey::of(&ann.service)).unwrap().id(), revised.id(), "still ours");
}

#[test]
fn a_second_peer_that_delivers_a_waiting_offering_can_be_asked_too() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let signed = ann.sign(ann.process(1, ann.record("aa", None).body()));
    desk.deliver(signed.packed(), Some(&peer(1)), 0);
    let verdict = desk.deliver(signed.packed(), Some(&peer(2)), 0).0;
    let Verdict::Wait { refusal, wants } = verdict else { panic!("{verdict:?}") };
    assert_eq!((refusal.reason, wants), (Reason::Duplicate, vec![Want::Record(ServiceKey::of(&ann.service))]));
}

#[test]
fn a_revision_lets_go_of_the_documents_that_only_its_predecessor_used() {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let record = ann.record("aa", None);
    desk.verdict(record.packed());
    let series = desk.list(&ann.sign(ann.process(1, record.body())));
    assert!(desk.book.record(&record.body().service).is_some());
    desk.list(&ann.sign(Offering { series: Some(series), revision: 2, ..ann.process(1, record.body()) }));
    assert!(desk.book.record(&record.body().service).is_some(), "still used");
    desk.list(&ann.sign(Offering { series: Some(series), revision: 3, ..ann.offering(1) }));
    assert!(desk.book.record(&record.body().service).is_none());
}
