//! From the request to the escrow: who hears what, and what is locked.

use super::pair::{CONSUMER, PROVIDER, Pair, draft};
use crate::binding::phase::Phase;
use crate::escrow::outcome::EscrowState;
use crate::kind::Kind;
use crate::market::command::{Answer, Command, CommandError};

#[test]
fn a_bind_is_answered_where_the_provider_never_takes_the_funding() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.lose.push((CONSUMER, Kind::Fund));
    let bind = pair.bind(CONSUMER, offering, 3);
    pair.run(30);
    let answer = pair.nodes[CONSUMER].answers.get(&bind);
    assert!(matches!(answer, Some(Err(CommandError::Timeout { .. }))), "{answer:?}");
    assert_eq!(pair.phase(CONSUMER, pair.only(CONSUMER).request_id()), Phase::Void);
    assert_eq!(pair.ledger.balances.len(), 1, "the bond alone");
    let provider = pair.only(PROVIDER);
    assert!(!provider.holds_place());
}

#[test]
fn a_bind_whose_request_is_taken_back_is_answered() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.lose.push((CONSUMER, Kind::BindingRequest));
    let bind = pair.bind(CONSUMER, offering, 3);
    let request = pair.only(CONSUMER).request_id();
    let unbind = pair.command(CONSUMER, Command::Unbind(request));
    assert_eq!(pair.nodes[CONSUMER].answers.get(&unbind), Some(&Ok(Answer::Unbound)));
    let answer = pair.nodes[CONSUMER].answers.get(&bind);
    assert!(matches!(answer, Some(Err(CommandError::NotNow(_)))), "{answer:?}");
}

#[test]
fn a_funding_that_is_taken_after_the_user_has_unbound_is_not_submitted() {
    let (mut pair, offering) = Pair::offering(1, draft());
    pair.hold.push((CONSUMER, Kind::Fund));
    let bind = pair.bind(CONSUMER, offering, 3);
    let request = pair.only(CONSUMER).request_id();
    assert_eq!(pair.trade(CONSUMER, request).escrow(), &EscrowState::Intended);
    pair.command(CONSUMER, Command::Unbind(request));
    pair.let_go();
    assert!(pair.ledger.pending.is_empty(), "nothing is sent to the ledger");
    pair.run(30);
    assert_eq!(pair.ledger.balances.len(), 1, "the bond alone");
    assert_eq!(pair.phase(CONSUMER, request), Phase::Void);
    assert!(pair.nodes[CONSUMER].answers.contains_key(&bind));
}
