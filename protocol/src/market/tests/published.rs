//! Published requests: from gossip to the escrow, with either side out of reach for a while.

use core::time::Duration;

use ed25519_dalek::SigningKey;
use rand_core::SeedableRng;

use super::engagement::{ARBITER, market, trust};
use super::pair::{CONSUMER, PROVIDER, Pair, draft, net};
use crate::account::ServingKey;
use crate::amount::{Price, Stroops};
use crate::binding::frames::{Reject, RejectCode, from_stream, to_stream};
use crate::binding::phase::Phase;
use crate::binding::precheck::PrecheckFailure;
use crate::escrow::EscrowKind;
use crate::escrow::outcome::EscrowState;
use crate::kind::Kind;
use crate::market::command::{Answer, Command, CommandError, EscrowWish, OfferingDraft};
use crate::market::event::{Effect, Event, Token};
use crate::message::{MessageId, Signed};
use crate::refusal::Reason;

/// Frames that the consumer can't bring to the provider.
const OUT_OF_REACH: [(usize, Kind); 2] = [(CONSUMER, Kind::Ping), (CONSUMER, Kind::BindingRequest)];

fn publish_command(offering: MessageId, units: u64) -> Command {
    let (life, wish) = (Duration::from_secs(600), EscrowWish::default());
    Command::PublishRequest { offering, units, wish, life, dry_run: false }
}

fn publish(pair: &mut Pair, offering: MessageId, units: u64) -> MessageId {
    let command = pair.command(CONSUMER, publish_command(offering, units));
    match pair.nodes[CONSUMER].answers.remove(&command) {
        Some(Ok(Answer::Requested { request, valid_until })) => {
            assert_eq!(valid_until.since(pair.now.timestamp()), Duration::from_secs(600));
            request
        }
        other => panic!("publishing led to {other:?}"),
    }
}

/// A pair whose consumer has published a request and can't reach the provider.
fn published(draft: OfferingDraft, units: u64) -> (Pair, MessageId) {
    let (mut pair, offering) = Pair::offering(1, draft);
    pair.lose.extend(OUT_OF_REACH);
    let request = publish(&mut pair, offering, units);
    (pair, request)
}

#[test]
fn a_consumer_that_cannot_dial_is_brought_the_agreement_and_pings_before_it_pays() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.lose.extend(OUT_OF_REACH);
    let bind = pair.bind(CONSUMER, offering, 3);
    let refused = pair.nodes[CONSUMER].answers.get(&bind);
    let unreachable = matches!(refused, Some(Err(CommandError::Precheck(PrecheckFailure::ProviderUnreachable { .. }))));
    assert!(unreachable, "{refused:?}");
    let request = publish(&mut pair, offering, 3);
    pair.run(8);
    assert_eq!(pair.phase(CONSUMER, request), Phase::Agreed, "it was brought the agreement");
    assert!(
        pair.ledger.balances.len() == 1 && pair.trade(CONSUMER, request).state.funding.is_none(),
        "no ping, no money"
    );
    pair.lose.clear();
    pair.run(4);
    assert_eq!((pair.phase(PROVIDER, request), pair.phase(CONSUMER, request)), (Phase::Active, Phase::Active));
    let sent: Vec<Kind> = pair.nodes[CONSUMER].sent.iter().copied().filter(|k| *k != Kind::BindingRequest).collect();
    let fund = sent.iter().position(|k| *k == Kind::Fund).unwrap();
    assert_eq!(sent[fund - 1], Kind::Ping, "{sent:?}");
    assert_eq!(sent.iter().filter(|k| **k == Kind::Fund).count(), 1);
    assert_eq!(pair.nodes[PROVIDER].sent.iter().filter(|k| **k == Kind::Agreement).count(), 1);
}

#[test]
fn without_the_ping_the_agreement_lapses_and_no_money_moves() {
    let (mut pair, request) = published(draft(), 3);
    pair.run(30);
    assert_eq!((pair.phase(PROVIDER, request), pair.phase(CONSUMER, request)), (Phase::Void, Phase::Void));
    assert_eq!(pair.ledger.balances.len(), 1, "the bond alone");
    assert!(pair.trade(CONSUMER, request).state.funding.is_none(), "nothing was ever signed");
    assert!(!pair.trade(PROVIDER, request).holds_place());
}

#[test]
fn a_consumer_that_gives_no_answer_costs_no_place_and_no_agreement() {
    let (mut pair, request) = published(draft(), 3);
    pair.kill(CONSUMER);
    pair.run(20);
    assert!(pair.nodes[PROVIDER].market.trade(request.as_bytes()).is_none());
    assert!(pair.nodes[PROVIDER].market.book().request(&request).is_some());
    pair.lose.clear();
    pair.restart(CONSUMER);
    pair.run(20);
    assert!(pair.nodes[PROVIDER].market.trade(request.as_bytes()).is_some(), "it is there again, and sought again");
}

#[test]
fn whoever_reaches_the_other_first_there_is_one_agreement() {
    let (mut pair, offering) = Pair::offering(1, draft());
    let request = publish(&mut pair, offering, 2);
    pair.run(6);
    assert_eq!((pair.phase(PROVIDER, request), pair.phase(CONSUMER, request)), (Phase::Active, Phase::Active));
    assert_eq!(pair.only(PROVIDER).binding(), pair.only(CONSUMER).binding());
    assert_eq!(pair.ledger.balances.len(), 2, "the bond and one escrow");
}

#[test]
fn a_request_that_was_taken_back_is_agreed_to_by_nobody() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.lose.extend(OUT_OF_REACH);
    pair.lose.push((PROVIDER, Kind::Ping));
    let request = publish(&mut pair, offering, 3);
    let signed = pair.only(CONSUMER).request.packed().clone();
    let cancel = pair.command(CONSUMER, Command::CancelRequest(request));
    assert_eq!(pair.nodes[CONSUMER].answers.get(&cancel), Some(&Ok(Answer::Unbound)));
    let again = pair.command(CONSUMER, Command::CancelRequest(request));
    assert!(matches!(pair.nodes[CONSUMER].answers.get(&again), Some(Err(CommandError::NotNow(_)))));
    pair.lose.clear();
    pair.run(10);
    assert!(pair.nodes[PROVIDER].market.trades().next().is_none(), "the provider seeks nobody");
    // Whoever has a copy may bring it straight to the provider.
    let (mut rng, peer) = (rand_chacha::ChaCha20Rng::from_seed([0; 32]), pair.nodes[CONSUMER].setup.peer.clone());
    let event = Event::Direct { token: Token(7), peer, bytes: to_stream(&signed) };
    let step = pair.nodes[PROVIDER].market.handle(event, pair.now, &mut rng);
    let (_, effects) = step.into_parts();
    let answer = effects.iter().find_map(|e| if let Effect::Respond { bytes, .. } = e { Some(bytes) } else { None });
    let reject = from_stream(&net(), answer.unwrap()).unwrap().open::<Reject>(&net()).unwrap();
    assert_eq!(reject.body().code, RejectCode::Cancelled);
    assert_eq!(pair.phase(CONSUMER, request), Phase::Void);
}

#[test]
fn ending_a_request_like_a_binding_takes_it_back_too() {
    let (mut pair, request) = published(draft(), 3);
    let unbind = pair.command(CONSUMER, Command::Unbind(request));
    assert_eq!(pair.nodes[CONSUMER].answers.get(&unbind), Some(&Ok(Answer::Unbound)));
    // The provider has the request since it looked the consumer up; the cancellation came before and waited for it.
    pair.run(1);
    for node in &pair.nodes {
        assert!(node.market.book().request(&request).unwrap().cancel.is_some());
    }
}

#[test]
fn what_was_agreed_to_is_ended_as_a_binding_and_only_by_its_sides() {
    let (mut pair, request) = published(draft(), 3);
    pair.run(3);
    assert_eq!(pair.phase(CONSUMER, request), Phase::Agreed);
    for who in [CONSUMER, PROVIDER] {
        let cancel = pair.command(who, Command::CancelRequest(request));
        assert!(matches!(pair.nodes[who].answers.get(&cancel), Some(Err(CommandError::NotNow(_)))));
    }
    let unknown = pair.command(CONSUMER, Command::CancelRequest(MessageId::from_bytes([9; 32])));
    assert!(matches!(pair.nodes[CONSUMER].answers.get(&unknown), Some(Err(CommandError::NotFound { .. }))));
}

#[test]
fn a_provider_killed_with_its_agreement_brings_the_same_one_afterwards() {
    let (mut pair, request) = published(draft(), 3);
    pair.lose.push((PROVIDER, Kind::Agreement));
    pair.run(3);
    let binding = pair.trade(PROVIDER, request).binding();
    assert!(binding.is_some() && pair.phase(CONSUMER, request) == Phase::Requested);
    pair.kill(PROVIDER);
    pair.run(2);
    pair.restart(PROVIDER);
    pair.lose.clear();
    pair.run(6);
    assert_eq!(pair.trade(CONSUMER, request).binding(), binding);
    assert_eq!((pair.phase(PROVIDER, request), pair.phase(CONSUMER, request)), (Phase::Active, Phase::Active));
}

#[test]
fn a_consumer_killed_with_the_agreement_pings_again_and_pays_once() {
    let (mut pair, request) = published(draft(), 3);
    pair.run(3);
    assert_eq!(pair.phase(CONSUMER, request), Phase::Agreed);
    pair.kill(CONSUMER);
    pair.run(2);
    pair.restart(CONSUMER);
    pair.run(3);
    assert!(pair.trade(CONSUMER, request).state.funding.is_none(), "a restart doesn't stand for a ping");
    pair.lose.clear();
    pair.run(4);
    assert_eq!((pair.phase(PROVIDER, request), pair.phase(CONSUMER, request)), (Phase::Active, Phase::Active));
    assert_eq!(pair.ledger.balances.len(), 2, "the bond and one escrow");
}

#[test]
fn a_request_survives_its_authors_restart_and_is_still_published() {
    let (mut pair, request) = published(draft(), 3);
    pair.lose.push((PROVIDER, Kind::Ping));
    pair.run(1);
    pair.kill(CONSUMER);
    pair.restart(CONSUMER);
    assert!(pair.nodes[CONSUMER].market.book().request(&request).is_some());
    pair.lose.clear();
    pair.run(40);
    let phase = pair.phase(CONSUMER, request);
    assert!(matches!(phase, Phase::Active | Phase::Delivered | Phase::Closed), "{phase}");
}

#[test]
fn what_costs_nothing_is_published_too() {
    let free = OfferingDraft { price: Price { amount: Stroops::ZERO, ..draft().price }, ..draft() };
    let (mut pair, offering) = Pair::offering(1, free);
    pair.lose.push((CONSUMER, Kind::BindingRequest));
    let request = publish(&mut pair, offering, 3);
    pair.run(6);
    assert_eq!((pair.phase(PROVIDER, request), pair.phase(CONSUMER, request)), (Phase::Active, Phase::Active));
    assert_eq!(*pair.trade(CONSUMER, request).escrow(), EscrowState::Free);
}

#[test]
fn a_stranger_who_brings_terms_neither_binds_nor_ends_a_request() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.lose.extend(OUT_OF_REACH);
    pair.lose.push((CONSUMER, Kind::Fund));
    let request = publish(&mut pair, offering, 3);
    pair.run(3);
    let real = pair.trade(PROVIDER, request).agreement.clone().unwrap();
    // Another consumer's request, as if this agreement were about it.
    let (mut other, offering) = Pair::offering(1, draft());
    other.lose.extend(OUT_OF_REACH);
    other.lose.push((PROVIDER, Kind::Ping));
    let request = publish(&mut other, offering, 3);
    let eve = SigningKey::from_bytes(&[77; 32]);
    let mut body = real.body().clone();
    (body.request, body.serving_key) = (request, ServingKey::of(&eve));
    let forged = Signed::sign(body, &net(), &eve).unwrap();
    let peer = "12D3KooWeve".parse().unwrap();
    other.event(CONSUMER, Event::Direct { token: Token(1), peer, bytes: to_stream(forged.packed()) });
    assert_eq!(other.phase(CONSUMER, request), Phase::Requested);
    let reasons: Vec<Reason> = other.nodes[CONSUMER].misbehaved.iter().map(|r| r.reason).collect();
    assert_eq!(reasons, [Reason::BadSignature]);
}

#[test]
fn only_the_offerings_provider_learns_that_a_consumer_is_there() {
    let (mut pair, request) = published(draft(), 3);
    pair.lose.push((PROVIDER, Kind::Ping));
    let whom = pair.trade(CONSUMER, request).request.body().signing_key;
    let eve = SigningKey::from_bytes(&[77; 32]);
    let ping = crate::binding::frames::Ping { key: ServingKey::of(&eve), whom, binding: None, nonce: [5; 32] };
    let ping = Signed::sign(ping, &net(), &eve).unwrap();
    let mut rng = rand_chacha::ChaCha20Rng::from_seed([0; 32]);
    let peer = "12D3KooWeve".parse().unwrap();
    let event = Event::Direct { token: Token(1), peer, bytes: to_stream(ping.packed()) };
    let (_, effects) = pair.nodes[CONSUMER].market.handle(event, pair.now, &mut rng).into_parts();
    assert!(effects.iter().any(|e| matches!(e, Effect::Respond { bytes, .. } if bytes.is_empty())), "{effects:?}");
}

#[test]
fn an_account_publishes_four_requests_and_hears_why_there_is_no_fifth() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.lose.extend(OUT_OF_REACH);
    pair.lose.push((PROVIDER, Kind::Ping));
    for _ in 0..4 {
        publish(&mut pair, offering, 1);
    }
    let fifth = pair.command(CONSUMER, publish_command(offering, 1));
    let answer = pair.nodes[CONSUMER].answers.get(&fifth);
    let over = matches!(answer, Some(Err(CommandError::Refused(r))) if r.reason == Reason::OverQuota);
    assert!(over, "{answer:?}");
    assert_eq!(pair.nodes[CONSUMER].market.trades().count(), 4, "nothing is left of it");
    let first = pair.nodes[CONSUMER].market.trades().next().unwrap().request_id();
    pair.command(CONSUMER, Command::CancelRequest(first));
    publish(&mut pair, offering, 1);
}

#[test]
fn a_life_of_more_than_an_hour_or_none_is_refused_and_a_dry_run_tells_the_cost() {
    let (mut pair, offering) = Pair::offering(1, draft());
    for secs in [0, 3_601] {
        let life = Duration::from_secs(secs);
        let wish = EscrowWish::default();
        let command = Command::PublishRequest { offering, units: 1, wish, life, dry_run: false };
        let command = pair.command(CONSUMER, command);
        let answer = pair.nodes[CONSUMER].answers.get(&command);
        assert!(matches!(answer, Some(Err(CommandError::Refused(_)))), "{secs}: {answer:?}");
    }
    let (life, wish) = (Duration::from_secs(60), EscrowWish::default());
    let dry = Command::PublishRequest { offering, units: 3, wish, life, dry_run: true };
    let dry = pair.command(CONSUMER, dry);
    let answer = pair.nodes[CONSUMER].answers.get(&dry);
    assert!(matches!(answer, Some(Ok(Answer::Quoted { cost, .. })) if cost.amount == Stroops::whole(3)), "{answer:?}");
    assert_eq!(pair.nodes[CONSUMER].market.book().requests().count(), 0);
}

#[test]
fn a_request_is_published_under_the_escrow_that_was_asked_for_or_not_at_all() {
    let (mut pair, offering) = market(1);
    trust(&mut pair, &[ARBITER], 1);
    let quoted = |pair: &mut Pair, kind, offering| {
        let (life, wish) = (Duration::from_secs(60), EscrowWish { kind, ..EscrowWish::default() });
        let command = Command::PublishRequest { offering, units: 3, wish, life, dry_run: true };
        let command = pair.command(CONSUMER, command);
        match pair.nodes[CONSUMER].answers.remove(&command) {
            Some(Ok(Answer::Quoted { escrow, .. })) => Ok(escrow.kind),
            Some(Err(CommandError::Precheck(failure))) => Err(failure),
            other => panic!("asking led to {other:?}"),
        }
    };
    for kind in [EscrowKind::Timed, EscrowKind::Arbitrated] {
        assert_eq!(quoted(&mut pair, Some(kind), offering), Ok(Some(kind)));
    }
    let (mut pair, offering) = Pair::offering(1, draft());
    let none = quoted(&mut pair, Some(EscrowKind::Arbitrated), offering);
    assert!(matches!(none, Err(PrecheckFailure::NoCommonEscrow { .. })), "{none:?}");
}

#[test]
fn a_request_that_nobody_answers_ends_by_itself_everywhere() {
    let (mut pair, request) = published(draft(), 3);
    pair.lose.push((PROVIDER, Kind::Ping));
    pair.run(605);
    assert_eq!(pair.phase(CONSUMER, request), Phase::Void);
    for node in &pair.nodes {
        assert_eq!(node.market.book().requests().count(), 0);
    }
    assert_eq!(pair.ledger.balances.len(), 1, "the bond alone");
}

#[test]
fn a_request_waits_while_all_places_are_taken() {
    let one_place = OfferingDraft { max_supply: 1, ..draft() };
    let (mut pair, offering) = Pair::offering(2, one_place);
    pair.bind(2, offering, 1);
    let taken = pair.nodes[2].market.trades().next().unwrap().request_id();
    // The consumer hasn't heard yet that there is no place.
    let request = publish(&mut pair, offering, 1);
    pair.run(4);
    assert_eq!(pair.phase(CONSUMER, request), Phase::Requested);
    pair.command(2, Command::Unbind(taken));
    pair.run(20);
    let phase = pair.phase(CONSUMER, request);
    assert!(!matches!(phase, Phase::Requested | Phase::Void), "{phase}");
}
