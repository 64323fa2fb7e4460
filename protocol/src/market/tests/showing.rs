//! What the arbiters are shown of a session that goes on after they were asked.

use super::disputes::award;
use super::engagement::ARBITER;
use super::pair::{CONSUMER, PROVIDER, Pair};
use super::seen::active;
use crate::binding::evidence::Evidence;
use crate::binding::phase::Side;
use crate::binding::session::{End, Session};
use crate::kind::Kind;
use crate::market::command::{Answer, Command, CommandError};
use crate::message::MessageId;

/// A binding whose service runs and whose consumer asked the arbiter as soon as it did.
fn opened_at_the_start() -> (Pair, MessageId) {
    let (mut pair, request) = active(false);
    pair.command(CONSUMER, Command::OpenDispute { request, to_provider: None, text: String::new() });
    pair.run(2);
    assert_eq!(shown(&pair), [1, 1]);
    (pair, request)
}

fn shown(pair: &Pair) -> [u32; 2] {
    let case = pair.nodes[ARBITER].market.cases().next().expect("a case");
    [Side::Provider, Side::Consumer].map(|side| case.shown(side))
}

fn items(pair: &Pair, side: Side) -> Vec<Evidence> {
    let binding = pair.only(PROVIDER).binding().unwrap();
    pair.nodes[ARBITER].market.evidence(binding, side).collect()
}

/// The consumer uses all that it bought.
fn use_all(pair: &mut Pair, request: MessageId) {
    pair.nodes[PROVIDER].market.trades.get_mut(&request).unwrap().state.used = 10;
    let binding = pair.only(CONSUMER).binding().unwrap();
    for _ in 0..10 {
        pair.command(CONSUMER, Command::CallDone { binding, failed: false });
    }
    pair.run(1);
    assert_eq!(pair.only(PROVIDER).state.session, Session::Ended(End::UnitsUsed));
}

#[test]
fn who_is_asked_while_the_service_runs_is_shown_its_end_and_what_the_other_side_signed_since() {
    let (mut pair, request) = opened_at_the_start();
    use_all(&mut pair, request);
    pair.run(3);
    assert_eq!(shown(&pair), [2, 2]);
    let [first, last] = &items(&pair, Side::Provider)[..] else { panic!("two items") };
    assert!(first.text.contains("the session has not ended") && first.text.contains("0 of 10 units used"));
    assert!(last.text.contains("units used; ") && last.text.contains("10 of 10 units used"), "{}", last.text);
    let kept = pair.only(PROVIDER).state.dispute.as_ref().unwrap().kept();
    assert_eq!(last.attachments.iter().map(|a| a.bytes.clone()).collect::<Vec<_>>(), kept);
    assert!(kept.len() > first.attachments.len(), "the consumer acknowledged the end");
    let said = &items(&pair, Side::Consumer)[1];
    assert!(said.text.contains("it saw 10 calls answered"), "{}", said.text);
    assert!(said.attachments.iter().any(|a| a.name.starts_with("delivered")));
}

#[test]
fn the_end_is_shown_once_whoever_dies_and_whatever_answer_is_lost() {
    let (mut pair, request) = opened_at_the_start();
    pair.lose.extend([(PROVIDER, Kind::Evidence), (CONSUMER, Kind::Evidence)]);
    use_all(&mut pair, request);
    pair.run(2);
    for node in [PROVIDER, CONSUMER] {
        pair.kill(node);
        pair.restart(node);
        assert_eq!(pair.only(node).state.dispute.as_ref().unwrap().shown.next, 2);
    }
    pair.lose.clear();
    pair.run(4);
    pair.kill(ARBITER);
    pair.restart(ARBITER);
    pair.run(4);
    assert_eq!(shown(&pair), [2, 2]);
}

#[test]
fn an_end_that_the_other_side_never_acknowledges_is_shown_all_the_same_and_none_after_an_award() {
    let (mut pair, request) = opened_at_the_start();
    let (mut awarded, other) = opened_at_the_start();
    pair.kill(CONSUMER);
    use_all(&mut pair, request);
    assert_eq!(shown(&pair)[0], 1);
    pair.run(pair.nodes[PROVIDER].setup.margins.grace.as_secs() + 2);
    assert_eq!(shown(&pair)[0], 2);
    awarded.lose.extend([(PROVIDER, Kind::Cosign), (CONSUMER, Kind::Cosign)]);
    award(&mut awarded, ARBITER, 10);
    awarded.run(1);
    use_all(&mut awarded, other);
    awarded.run(4);
    assert_eq!(shown(&awarded), [1, 1]);
}

#[test]
fn an_owner_that_shows_a_lot_leaves_room_for_the_sessions_end() {
    let (mut pair, request) = opened_at_the_start();
    let show = |pair: &mut Pair| {
        let id = pair.command(PROVIDER, Command::ShowEvidence { request, text: "so".into(), attachments: vec![] });
        pair.nodes[PROVIDER].answers.get(&id).unwrap().clone()
    };
    for number in 1..15 {
        assert_eq!(show(&mut pair), Ok(Answer::Shown(number)));
    }
    assert!(matches!(show(&mut pair), Err(CommandError::NotNow(why)) if why.contains("how the session ended")));
    use_all(&mut pair, request);
    pair.run(4);
    assert_eq!(shown(&pair)[0], 16);
    assert!(items(&pair, Side::Provider)[15].text.contains("10 of 10 units used"));
}
