//! A node that was restored from a backup, and another one with its keys.

use super::pair::{CONSUMER, PROVIDER, Pair, draft, net};
use crate::account::ServingKey;
use crate::binding::phase::Phase;
use crate::kind::Kind;
use crate::market::command::{Answer, Command, CommandError, CommandId};
use crate::market::event::{Event, Token};
use crate::market::{Market, Twin, TwinSight};
use crate::message::Signed;
use crate::status::Presence;

fn answer(pair: &mut Pair, command: CommandId) -> Option<Result<Answer, CommandError>> {
    pair.nodes[PROVIDER].answers.remove(&command)
}

fn publish(pair: &mut Pair) -> Option<Result<Answer, CommandError>> {
    let command = pair.command(PROVIDER, Command::Publish(Box::new(draft())));
    pair.run(6);
    answer(pair, command)
}

fn twin(pair: &Pair) -> Twin {
    pair.nodes[PROVIDER].market.twin(pair.now)
}

fn sight(pair: &mut Pair, sight: TwinSight) {
    pair.event(PROVIDER, Event::Twin(sight));
    pair.run(1);
}

/// Another node with the provider's keys says that it is there.
fn other_says_presence(pair: &mut Pair) {
    let key = pair.nodes[PROVIDER].setup.keys.serving.clone().unwrap();
    let peer = pair.nodes[PROVIDER].setup.peer.clone();
    let body = Presence { serving_key: ServingKey::of(&key), at: pair.now.timestamp(), peer };
    let bytes = Signed::sign(body, &net(), &key).unwrap().packed().bytes().to_vec();
    let from = pair.nodes[CONSUMER].setup.peer.clone();
    pair.event(PROVIDER, Event::Gossiped { token: Token(u64::MAX), kind: Kind::Presence, bytes, from });
}

#[test]
fn a_provider_that_was_restored_sells_nothing_before_it_is_alone() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.kill(PROVIDER);
    pair.restore(PROVIDER);
    pair.run(3);
    assert_eq!(twin(&pair), Twin::Sought { anybody: true });
    sight(&mut pair, TwinSight::NobodyToAsk);
    assert_eq!(twin(&pair), Twin::Sought { anybody: false });
    sight(&mut pair, TwinSight::Answers);
    assert_eq!(twin(&pair), Twin::Answers);
    let refused = publish(&mut pair);
    assert!(matches!(refused, Some(Err(CommandError::NotNow(_)))), "{refused:?}");
    let bind = pair.bind(CONSUMER, offering, 1);
    pair.run(3);
    let refused = pair.nodes[CONSUMER].answers.remove(&bind).unwrap().unwrap_err();
    assert_eq!(refused.code(), "provider-unreachable", "it answers no ping, so no money moves");

    sight(&mut pair, TwinSight::Silent);
    assert!(matches!(twin(&pair), Twin::ListenedFor { .. }));
    other_says_presence(&mut pair);
    assert!(matches!(twin(&pair), Twin::Heard { yields: true, .. }));
    pair.run(6);
    assert!(pair.nodes[PROVIDER].market.is_recovering());
    pair.run(8);
    assert_eq!((twin(&pair), pair.nodes[PROVIDER].market.is_recovering()), (Twin::None, false));
    let published = publish(&mut pair);
    assert!(matches!(published, Some(Ok(Answer::Published { .. }))), "{published:?}");
}

#[test]
fn a_database_that_is_lost_makes_no_node_forget_that_it_was_restored_and_whom_it_yields_to() {
    let (mut pair, _) = Pair::offering(1, draft());
    pair.kill(PROVIDER);
    pair.restore(PROVIDER);
    sight(&mut pair, TwinSight::Answers);
    pair.kill(PROVIDER);
    pair.restart_without_database(PROVIDER);
    assert_eq!(twin(&pair), Twin::Sought { anybody: true }, "it still keeps apart");
    let refused = publish(&mut pair);
    assert!(matches!(refused, Some(Err(CommandError::NotNow(_)))), "{refused:?}");

    sight(&mut pair, TwinSight::Silent);
    pair.run(20);
    assert_eq!((twin(&pair), pair.nodes[PROVIDER].market.is_recovering()), (Twin::None, false));
    pair.kill(PROVIDER);
    pair.restart_without_database(PROVIDER);
    other_says_presence(&mut pair);
    assert!(!pair.nodes[PROVIDER].market.is_recovering());
    let heard = twin(&pair);
    assert!(matches!(heard, Twin::None | Twin::Heard { yields: true, .. }), "{heard:?}");
    pair.run(2);
    other_says_presence(&mut pair);
    let heard = twin(&pair);
    assert!(matches!(heard, Twin::Heard { yields: true, .. }), "{heard:?}");
}

#[test]
fn its_owner_knows_better_than_what_is_heard() {
    let (mut pair, _) = Pair::offering(1, draft());
    pair.kill(PROVIDER);
    pair.restore(PROVIDER);
    sight(&mut pair, TwinSight::Answers);
    other_says_presence(&mut pair);
    sight(&mut pair, TwinSight::SurelyGone);
    pair.run(2);
    assert!(!pair.nodes[PROVIDER].market.holds_back(pair.now));
    other_says_presence(&mut pair);
    assert!(matches!(twin(&pair), Twin::Heard { yields: false, .. }), "and it is told all the same");
    assert!(!pair.nodes[PROVIDER].market.holds_back(pair.now));
}

#[test]
fn a_session_of_a_provider_that_was_restored_stands_still_until_it_is_alone_and_then_counts_as_missed() {
    let (mut pair, request) = Pair::active(draft(), 5);
    pair.kill(PROVIDER);
    pair.run(8);
    pair.restore(PROVIDER);
    sight(&mut pair, TwinSight::Answers);
    assert_eq!((pair.phase(PROVIDER, request), pair.nodes[PROVIDER].running.len()), (Phase::Active, 0));
    sight(&mut pair, TwinSight::SurelyGone);
    pair.run(6);
    assert_eq!(pair.phase(PROVIDER, request), Phase::Closed, "it gave back what it didn't serve");
}

#[test]
fn an_ordinary_restart_takes_its_own_presence_for_its_own() {
    let (mut pair, _) = Pair::offering(1, draft());
    pair.kill(PROVIDER);
    pair.restart(PROVIDER);
    pair.run(2);
    assert_eq!(twin(&pair), Twin::None);
    other_says_presence(&mut pair);
    assert!(matches!(twin(&pair), Twin::Heard { yields: false, .. }), "two run, and this one says so");
}

#[test]
fn a_status_of_a_node_that_was_restored_follows_those_that_it_forgot() {
    let (mut pair, offering) = Pair::offering(1, draft());
    let series = *pair.nodes[PROVIDER].market.offers().next().unwrap().0;
    let known = |pair: &Pair| pair.nodes[CONSUMER].market.book().by_series(&series, pair.now).unwrap().status_sequence;
    let old = pair.rows(PROVIDER);
    for _ in 0..3 {
        let bind = pair.bind(CONSUMER, offering, 1);
        pair.run(6);
        assert!(matches!(pair.nodes[CONSUMER].answers.remove(&bind), Some(Ok(Answer::Bound { .. }))));
    }
    let before = known(&pair);
    pair.kill(PROVIDER);
    pair.set_rows(PROVIDER, old);
    pair.restore(PROVIDER);
    sight(&mut pair, TwinSight::SurelyGone);
    pair.run(4);
    assert!(known(&pair) > before);
}

#[test]
fn publishing_before_the_account_was_read_says_so_and_not_that_there_is_none() {
    let pair = Pair::new(0);
    let (mut market, _) = Market::restore(pair.nodes[PROVIDER].setup.clone(), [], pair.now).unwrap();
    let refused = market.quote_publish(&draft(), pair.now).unwrap_err();
    assert_eq!(refused.code(), "ledger-unavailable");
    assert!(refused.to_string().contains("try again in a few seconds"), "{refused}");
    market.account_read = true;
    assert_eq!(market.quote_publish(&draft(), pair.now).unwrap_err().code(), "no-own-account");
}
