//! What a market takes of what peers bring: by gossip, by fetch, and as the ledger says of it.

use super::ledger::Ledger;
use super::pair::{CONSUMER, PROVIDER, Pair, draft, net};
use crate::account::{AccountId, PeerId};
use crate::amount::Stroops;
use crate::book::BondWanted;
use crate::kind::Kind;
use crate::market::command::{Command, EscrowWish};
use crate::market::event::{Ask, Effect, Event, Token, Verdict};
use crate::message::Packed;
use crate::refusal::Reason;
use crate::stellar::entry::Entry;
use crate::stellar::ledger_key::Key;

/// How an offering comes to a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Gossip,
    Fetch,
}

fn peer() -> PeerId {
    "12D3KooWstranger".parse().unwrap()
}

/// A provider with so many offerings that stand, and a reader that knows nothing of them.
fn offered(count: usize) -> (Pair, Vec<Packed>) {
    let mut pair = Pair::new(1);
    pair.kill(CONSUMER);
    for _ in 0..count {
        pair.command(PROVIDER, Command::Publish(Box::new(draft())));
        pair.run(10);
    }
    pair.restart(CONSUMER);
    let series: Vec<_> = pair.nodes[PROVIDER].market.offers().map(|(series, _)| *series).collect();
    let book = pair.nodes[PROVIDER].market.book();
    let offerings: Vec<Packed> = series.iter().map(|s| book.offering(s).unwrap().packed().clone()).collect();
    assert_eq!((offerings.len(), pair.nodes[CONSUMER].market.book().len()), (count, 0));
    (pair, offerings)
}

/// The reader is handed an event; what it decides is stored, and what it would do is told.
fn told(pair: &mut Pair, event: Event) -> Vec<Effect> {
    pair.step(CONSUMER, event).into_parts().1
}

fn deliver(pair: &mut Pair, by: By, offering: &Packed) -> Vec<Effect> {
    let (kind, bytes) = (offering.kind(), offering.bytes().to_vec());
    told(
        pair,
        match by {
            By::Gossip => Event::Gossiped { token: Token(7), kind, bytes, from: peer() },
            By::Fetch => {
                Event::Fetched { peer: peer(), asked: vec![(kind, offering.id())], messages: vec![(kind, bytes)] }
            }
        },
    )
}

/// What the reader asks the ledger for at its next look.
fn bonds_asked(pair: &mut Pair) -> (Vec<BondWanted>, Vec<Key>) {
    let read = told(pair, Event::Tick).into_iter().find_map(|effect| match effect {
        Effect::Read { ask: Ask::Bonds(wanted), keys } => Some((wanted, keys)),
        _ => None,
    });
    read.expect("the bond is looked up")
}

fn answer(pair: &mut Pair, wanted: Vec<BondWanted>, asked: Vec<Key>, entries: Vec<Entry>) -> Vec<Effect> {
    let at = pair.ledger.point();
    told(pair, Event::Entries { ask: Ask::Bonds(wanted), at, asked, entries })
}

fn passed_on(effects: &[Effect]) -> bool {
    let passes = |e: &Effect| matches!(e, Effect::Publish { .. } | Effect::Verdict { verdict: Verdict::Accept, .. });
    effects.iter().any(passes)
}

fn refused(pair: &Pair) -> Vec<(Reason, u64)> {
    let market = &pair.nodes[CONSUMER].market;
    Reason::ALL.iter().map(|reason| (*reason, market.refused(*reason))).filter(|(_, count)| *count > 0).collect()
}

fn is_empty(pair: &Pair) -> bool {
    let book = pair.nodes[CONSUMER].market.book();
    book.is_empty() && book.waiting() == 0 && pair.stored_messages(CONSUMER) == 0
}

#[test]
fn a4_content_that_is_not_what_its_id_was_asked_for_is_refused_and_neither_kept_nor_passed_on() {
    let (mut pair, offerings) = offered(2);
    let [asked, other] = &offerings[..] else { panic!("two offerings") };
    let (kind, bytes) = (other.kind(), other.bytes().to_vec());
    let fetched = |asked: &Packed, messages| Event::Fetched { peer: peer(), asked: vec![(kind, asked.id())], messages };
    let effects = told(&mut pair, fetched(asked, vec![(kind, bytes.clone())]));
    let [Effect::Misbehaved { peer: who, refusal }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((who, refusal.reason), (&peer(), Reason::Unasked));
    assert!(is_empty(&pair));
    // Neither is one that comes beside what was asked for.
    let both = vec![(kind, bytes.clone()), (kind, asked.bytes().to_vec())];
    assert!(matches!(&told(&mut pair, fetched(asked, both))[..], [Effect::Misbehaved { .. }]));
    assert!(is_empty(&pair));
    // Nor the right bytes as another kind.
    let as_another = vec![(Kind::Template, asked.bytes().to_vec())];
    assert!(matches!(&told(&mut pair, fetched(asked, as_another))[..], [Effect::Misbehaved { .. }]));
    assert!(is_empty(&pair));
    assert_eq!(refused(&pair), [(Reason::Unasked, 3)]);
    // The content that has the id is taken.
    told(&mut pair, fetched(other, vec![(kind, bytes)]));
    assert_eq!(pair.nodes[CONSUMER].market.book().waiting(), 1);
}

/// An offering whose bond or author's account is changed on the ledger before anybody looks.
fn refused_by_the_ledger(by: By, change: impl FnOnce(&mut Ledger, &BondWanted), reason: Reason) {
    let (mut pair, offerings) = offered(1);
    let effects = deliver(&mut pair, by, &offerings[0]);
    assert!(!passed_on(&effects) && pair.nodes[CONSUMER].market.book().waiting() == 1);
    assert_eq!(refused(&pair), [], "what waits isn't refused yet");
    let (wanted, keys) = bonds_asked(&mut pair);
    change(&mut pair.ledger, &wanted[0]);
    let entries = pair.ledger.read(&keys);
    let effects = answer(&mut pair, wanted, keys, entries);
    assert!(!passed_on(&effects), "{effects:?}");
    let verdict = effects.iter().find_map(|e| match e {
        Effect::Verdict { verdict, refusal, .. } => Some((*verdict, refusal.as_ref().map(|r| r.reason))),
        _ => None,
    });
    assert_eq!(verdict, (by == By::Gossip).then_some((Verdict::Ignore, Some(reason))));
    assert!(is_empty(&pair), "{by:?} {reason:?}");
    assert_eq!(refused(&pair), [(reason, 1)], "counted once, and for what is wrong");
}

fn bond<'a>(ledger: &'a mut Ledger, want: &BondWanted) -> &'a mut crate::stellar::entry::BalanceState {
    ledger.balances.get_mut(&want.bond).unwrap()
}

#[test]
fn a4_a_bond_that_is_not_what_the_offering_needs_refuses_it_however_it_came() {
    let stranger = AccountId::from_bytes([77; 32]);
    let changes: [fn(&mut Ledger, &BondWanted, AccountId); 3] = [
        |ledger, want, stranger| bond(ledger, want).claimants[0].account = stranger,
        |ledger, want, stranger| bond(ledger, want).claimants[1].account = stranger,
        |ledger, want, _| bond(ledger, want).amount = Stroops::new(want.terms.least.get() - 1).unwrap(),
    ];
    for by in [By::Gossip, By::Fetch] {
        for change in changes {
            refused_by_the_ledger(by, |ledger, want| change(ledger, want, stranger), Reason::WrongBond);
        }
    }
}

#[test]
fn a4_an_author_whose_key_does_not_rule_its_account_is_refused_however_it_came() {
    let changes: [fn(&mut Ledger, &BondWanted); 2] = [
        |ledger, want| ledger.accounts.get_mut(&want.terms.account).unwrap().thresholds.master = 0,
        |ledger, want| drop(ledger.accounts.remove(&want.terms.account)),
    ];
    for by in [By::Gossip, By::Fetch] {
        for change in changes {
            refused_by_the_ledger(by, change, Reason::AuthorAccount);
        }
    }
}

#[test]
fn a_bond_or_an_account_that_cannot_be_read_is_looked_at_again_and_nothing_follows_from_it() {
    let (mut pair, offerings) = offered(1);
    deliver(&mut pair, By::Gossip, &offerings[0]);
    let (wanted, keys) = bonds_asked(&mut pair);
    let entries = pair.ledger.read(&keys);
    for unreadable in &keys {
        let asked: Vec<Key> = keys.iter().filter(|key| *key != unreadable).cloned().collect();
        let entries = entries.iter().filter(|entry| entry.key() != *unreadable).cloned().collect();
        let effects = answer(&mut pair, wanted.clone(), asked, entries);
        assert!(!effects.iter().any(|e| matches!(e, Effect::Verdict { .. })), "{effects:?}");
        assert_eq!((refused(&pair), pair.nodes[CONSUMER].market.book().waiting()), (Vec::new(), 1));
    }
    let effects = answer(&mut pair, wanted, keys, entries);
    assert!(passed_on(&effects), "once it is read, it is taken: {effects:?}");
    assert_eq!(pair.nodes[CONSUMER].market.book().len(), 1);
}

#[test]
fn a_request_whose_consumer_cannot_be_read_waits_and_is_taken_once_it_can() {
    const ONLOOKER: usize = 2;
    let (mut pair, offering) = Pair::offering(2, draft());
    pair.lose.extend([(CONSUMER, Kind::Ping), (CONSUMER, Kind::BindingRequest)]);
    let account = pair.nodes[CONSUMER].setup.keys.account_id().unwrap();
    pair.unreadable.push((ONLOOKER, Key::Account(account)));
    let (life, wish) = (core::time::Duration::from_secs(600), EscrowWish::default());
    pair.command(CONSUMER, Command::PublishRequest { offering, units: 1, wish, life, dry_run: false });
    pair.run(3);
    let seen = |pair: &Pair| {
        let market = &pair.nodes[ONLOOKER].market;
        (market.book().requests().count(), market.book().waiting(), market.refused(Reason::ConsumerAccount))
    };
    assert_eq!(seen(&pair), (0, 1, 0));
    pair.unreadable.clear();
    pair.run(60);
    assert_eq!(seen(&pair), (1, 0, 0));
}

#[test]
fn a_consumer_whose_account_a_provider_cannot_read_is_told_to_ask_again_and_not_that_it_has_nothing() {
    let (mut pair, offering) = Pair::offering(1, draft());
    let account = pair.nodes[CONSUMER].setup.keys.account_id().unwrap();
    pair.unreadable.push((PROVIDER, Key::Account(account)));
    let bind = pair.bind(CONSUMER, offering, 1);
    pair.run(2);
    let refused = pair.nodes[CONSUMER].answers.remove(&bind).unwrap().unwrap_err().to_string();
    assert!(refused.contains("can't read the ledger now") && !refused.contains("doesn't"), "{refused}");
    pair.unreadable.clear();
    let again = pair.bind(CONSUMER, offering, 1);
    pair.run(2);
    assert!(matches!(pair.nodes[CONSUMER].answers.get(&again), Some(Ok(_))));
}

#[test]
fn an_account_at_the_end_of_its_sequence_numbers_publishes_nothing_and_nothing_breaks() {
    let mut pair = Pair::new(1);
    let account = pair.nodes[PROVIDER].setup.keys.account_id().unwrap();
    pair.ledger.accounts.get_mut(&account).unwrap().sequence = i64::MAX;
    pair.run(2);
    pair.command(PROVIDER, Command::Publish(Box::new(draft())));
    pair.run(3);
    assert_eq!(pair.nodes[PROVIDER].market.offers().count(), 0);
}

#[test]
fn a_message_that_waits_for_nothing_that_comes_is_counted_when_its_time_is_over() {
    let (mut pair, offerings) = offered(1);
    deliver(&mut pair, By::Fetch, &offerings[0]);
    deliver(&mut pair, By::Gossip, &offerings[0]);
    assert_eq!(refused(&pair), [(Reason::Duplicate, 1)], "a second copy is one too many");
    let (wanted, keys) = bonds_asked(&mut pair);
    answer(&mut pair, wanted, keys, Vec::new());
    assert_eq!(refused(&pair), [(Reason::Duplicate, 1)], "its bond may still come");
    pair.now = pair.now.plus(crate::limits::WAITING_TIME);
    told(&mut pair, Event::Tick);
    assert_eq!(refused(&pair), [(Reason::Duplicate, 1), (Reason::NoBond, 1)]);
    assert!(is_empty(&pair));
}

#[test]
fn what_no_topic_and_no_stream_takes_is_counted_too() {
    let (mut pair, offerings) = offered(1);
    let (kind, bytes) = (Kind::Ping, offerings[0].bytes().to_vec());
    told(&mut pair, Event::Gossiped { token: Token(1), kind, bytes, from: peer() });
    told(&mut pair, Event::Direct { token: Token(2), peer: peer(), bytes: vec![Kind::Offering.number(); 200] });
    let asked = vec![(Kind::Offering, offerings[0].id())];
    let short = vec![(Kind::Offering, vec![1; 3])];
    told(&mut pair, Event::Fetched { peer: peer(), asked, messages: short });
    let counted: u64 = refused(&pair).iter().map(|(_, count)| count).sum();
    assert_eq!(counted, 3, "{:?}", refused(&pair));
    assert_eq!(pair.nodes[CONSUMER].market.refused(Reason::TooShort), 1);
    assert_eq!(Packed::new(Kind::Offering, &net(), vec![1; 3]).unwrap_err().reason, Reason::TooShort);
}
