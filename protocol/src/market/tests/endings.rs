//! Every way in which a binding ends, and what each side hears of it.

use core::time::Duration;

use super::engagement::{ARBITER, market, trust};
use super::pair::{CONSUMER, PROVIDER, Pair, draft, net};
use crate::account::ServingKey;
use crate::amount::{Price, Stroops};
use crate::binding::frames::{Closing, Delivered, to_stream};
use crate::binding::phase::Phase;
use crate::binding::session::End;
use crate::escrow::EscrowKind;
use crate::escrow::outcome::EscrowState;
use crate::intent::Purpose;
use crate::kind::Kind;
use crate::market::command::{Answer, Command, CommandError, EscrowWish, OfferingDraft};
use crate::market::event::{Event, ServiceEvent, Token};
use crate::message::{Signed, TxHash};
use crate::stellar::entry::BalanceClaimant;

#[test]
fn a_provider_that_gives_the_money_back_says_by_which_transaction() {
    let (mut pair, request) = Pair::active(draft(), 3);
    let binding = pair.trade(PROVIDER, request).binding().unwrap();
    let event = ServiceEvent::Stopped("it fell over".into());
    pair.event(PROVIDER, Event::Service { binding, event });
    pair.run(6);
    assert!(pair.nodes[PROVIDER].sent.contains(&Kind::Closing), "{:?}", pair.nodes[PROVIDER].sent);
    for who in [PROVIDER, CONSUMER] {
        assert_eq!(pair.phase(who, request), Phase::Closed);
        assert_eq!(pair.trade(who, request).escrow(), &EscrowState::Refunded);
    }
}

#[test]
fn an_answer_to_the_start_does_not_acknowledge_an_end_that_came_meanwhile() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.hold.push((PROVIDER, Kind::Started));
    pair.bind(CONSUMER, offering, 3);
    pair.run(5);
    let request = pair.only(CONSUMER).request_id();
    let binding = pair.trade(PROVIDER, request).binding().unwrap();
    let event = ServiceEvent::Stopped("it fell over".into());
    pair.event(PROVIDER, Event::Service { binding, event });
    pair.let_go();
    pair.run(2);
    let end = |who| pair.trade(who, request).state.session.end();
    assert_eq!((end(PROVIDER), end(CONSUMER)), (Some(End::UnboundByProvider), Some(End::UnboundByProvider)));
}

#[test]
fn a_provider_that_slept_has_not_served_and_gives_the_money_back() {
    let (mut pair, request) = Pair::active(draft(), 3);
    pair.nodes[PROVIDER].up = false;
    pair.run(10);
    pair.nodes[PROVIDER].up = true;
    pair.run(5);
    assert_eq!(pair.trade(PROVIDER, request).state.session.end(), Some(End::ProviderGone));
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Refunded);
    assert!(pair.nodes[PROVIDER].running.is_empty());
}

#[test]
fn a_funding_that_reaches_a_provider_after_its_end_and_the_ledger_all_the_same_goes_back() {
    for (arbiters, kind) in [(0, EscrowKind::Timed), (1, EscrowKind::Arbitrated)] {
        let (mut pair, offering) = if arbiters == 0 { Pair::offering(1, draft()) } else { market(arbiters) };
        trust(&mut pair, &(ARBITER..ARBITER + arbiters).collect::<Vec<_>>(), arbiters);
        pair.lose.extend([(CONSUMER, Kind::Fund), (PROVIDER, Kind::Unbind)]);
        let wish = EscrowWish { kind: Some(kind), ..EscrowWish::default() };
        pair.command(CONSUMER, Command::Bind { offering, units: 3, wish, dry_run: false });
        pair.run(2);
        let request = pair.only(CONSUMER).request_id();
        pair.command(PROVIDER, Command::Unbind(request));
        pair.lose.retain(|(_, lost)| *lost != Kind::Fund);
        pair.run(2);
        assert_eq!(pair.trade(PROVIDER, request).state.session.end(), Some(End::UnboundByProvider));
        let binding = pair.trade(CONSUMER, request).binding().unwrap();
        let envelope = pair.nodes[CONSUMER].market.envelope_of(&Purpose::Fund { binding }).expect("it is signed");
        pair.ledger.submit(&envelope);
        pair.lose.clear();
        pair.run(8);
        for who in [PROVIDER, CONSUMER] {
            assert_eq!(pair.trade(who, request).escrow(), &EscrowState::Refunded, "{kind:?} {who}");
        }
        assert!(pair.nodes[PROVIDER].running.is_empty());
    }
}

#[test]
fn what_is_gone_and_may_have_been_clawed_back_is_not_claimed_again() {
    let (mut pair, request) = Pair::active(draft(), 3);
    let (balance, binding) = {
        let trade = pair.nodes[PROVIDER].market.trades.get_mut(&request).unwrap();
        trade.state.clawback = true;
        (trade.state.balance.unwrap(), trade.binding().unwrap())
    };
    pair.ledger.balances.remove(&balance);
    pair.event(PROVIDER, Event::Service { binding, event: ServiceEvent::Stopped("it fell over".into()) });
    pair.run(10);
    assert!(pair.trade(PROVIDER, request).is_gone());
    let failed = pair.ledger.included.iter().filter(|(_, _, success, _)| !success).count();
    assert_eq!(failed, 1, "since the first failure it has seen that it is gone");
}

#[test]
fn a_consumer_that_slept_does_not_blame_a_provider_that_is_there() {
    let (mut pair, request) = Pair::active(draft(), 3);
    pair.nodes[CONSUMER].up = false;
    pair.run(6);
    pair.nodes[CONSUMER].up = true;
    pair.lose.push((PROVIDER, Kind::Ping));
    pair.run(1);
    assert_ne!(pair.trade(CONSUMER, request).state.session.end(), Some(End::ProviderGone));
}

#[test]
fn the_last_calls_end_is_noticed_also_where_a_crash_was_its_end() {
    let (mut pair, request) = Pair::active(draft(), 1);
    let binding = pair.trade(PROVIDER, request).binding().unwrap();
    let token = pair.trade(CONSUMER, request).state.access.unwrap().token;
    let call = pair.command(PROVIDER, Command::AdmitCall { binding, token });
    assert_eq!(pair.nodes[PROVIDER].answers.get(&call), Some(&Ok(Answer::Admitted)));
    pair.run(2);
    assert_eq!(pair.phase(PROVIDER, request), Phase::Active, "the call is still running");
    pair.kill(PROVIDER);
    pair.restart(PROVIDER);
    pair.run(1);
    assert_eq!(pair.trade(PROVIDER, request).state.session.end(), Some(End::UnitsUsed));
}

#[test]
fn a_claim_that_fails_on_the_ledger_is_not_repeated_with_every_ledger() {
    let (mut pair, request) = Pair::active(draft(), 3);
    pair.kill(PROVIDER);
    let balance = pair.trade(CONSUMER, request).state.balance.unwrap();
    let binding = pair.trade(CONSUMER, request).binding().unwrap();
    let hash_alone = |c: &BalanceClaimant| c.account.as_bytes() == binding.as_bytes();
    pair.ledger.balances.get_mut(&balance).unwrap().claimants.retain(hash_alone);
    pair.run(200);
    let failed = pair.ledger.included.iter().filter(|(_, _, success, _)| !success).count();
    assert!((1..10).contains(&failed), "{failed} fees were paid for nothing");
}

#[test]
fn a_bond_that_was_reclaimed_elsewhere_is_not_asked_for_again_and_again() {
    let (mut pair, _) = Pair::offering(1, OfferingDraft { life: Duration::from_secs(20), ..draft() });
    pair.ledger.balances.clear();
    pair.run(150);
    let failed = pair.ledger.included.iter().filter(|(_, _, success, _)| !success).count();
    assert_eq!(failed, 1);
}

#[test]
fn a_bond_of_which_nobody_can_tell_whether_it_stands_is_reclaimed_in_its_time() {
    let mut pair = Pair::new(1);
    pair.ledger.oldest = u32::MAX;
    let draft = OfferingDraft { life: Duration::from_secs(20), ..draft() };
    let publish = pair.command(PROVIDER, Command::Publish(Box::new(draft)));
    pair.run(3);
    let answer = pair.nodes[PROVIDER].answers.get(&publish);
    assert!(matches!(answer, Some(Err(CommandError::Ledger(_)))), "{answer:?}");
    assert_eq!(pair.ledger.balances.len(), 1, "it does stand");
    pair.run(100);
    assert!(pair.ledger.balances.is_empty());
}

#[test]
fn a_closing_that_cannot_be_is_not_looked_for() {
    let free = Price { amount: Stroops::ZERO, ..draft().price };
    let (mut pair, request) = Pair::active(OfferingDraft { price: free, ..draft() }, 3);
    let key = pair.nodes[PROVIDER].setup.keys.serving.clone().unwrap();
    let binding = pair.trade(PROVIDER, request).binding().unwrap();
    let closing = Closing { key: ServingKey::of(&key), binding, transaction: TxHash::from_bytes([7; 32]) };
    let bytes = to_stream(Signed::sign(closing, &net(), &key).unwrap().packed());
    let peer = pair.nodes[PROVIDER].setup.peer.clone();
    pair.event(CONSUMER, Event::Direct { token: Token(0), peer, bytes });
    assert!(!pair.trade(CONSUMER, request).asks_for_closing());
}

#[test]
fn what_a_provider_says_was_used_is_at_most_what_was_bought() {
    let (mut pair, request) = Pair::active(draft(), 3);
    let key = pair.nodes[PROVIDER].setup.keys.serving.clone().unwrap();
    let binding = pair.trade(PROVIDER, request).binding().unwrap();
    let delivered = Delivered { key: ServingKey::of(&key), binding, end: End::UnitsUsed, used: u64::MAX };
    let bytes = to_stream(Signed::sign(delivered, &net(), &key).unwrap().packed());
    let peer = pair.nodes[PROVIDER].setup.peer.clone();
    pair.event(CONSUMER, Event::Direct { token: Token(0), peer, bytes });
    assert_eq!(pair.trade(CONSUMER, request).state.used, 3);
}
