//! Every way in which a binding ends, and what each side hears of it.

use super::pair::{CONSUMER, PROVIDER, Pair, draft};
use crate::binding::phase::Phase;
use crate::binding::session::End;
use crate::escrow::outcome::EscrowState;
use crate::kind::Kind;
use crate::market::event::{Event, ServiceEvent};

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
