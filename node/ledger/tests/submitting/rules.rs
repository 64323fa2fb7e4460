//! The rules of submitting, one after the other, each against the fault that it is for.

use std::time::Duration;

use tradepost_devnet::{Faults, Submissions};
use tradepost_ledger::LedgerError;
use tradepost_protocol::intent::IntentState;
use tradepost_protocol::intent::queue::SubmitAnswer;
use tradepost_protocol::time::Now;

use crate::node::{LIFE, Node, POLL, World};

const DROPPED: Faults = Faults { submissions: Submissions::Dropped, ..Faults::NONE };
const STUCK: Faults = Faults { submissions: Submissions::Stuck, ..Faults::NONE };
const BUSY: Faults = Faults { submissions: Submissions::TryAgainLater, ..Faults::NONE };
const DOWN: Faults = Faults { down: true, ..Faults::NONE };
const HALTED: Faults = Faults { halted: true, ..Faults::NONE };

#[tokio::test]
async fn an_intent_is_journalled_before_any_endpoint_hears_of_it() {
    let mut world = World::new().await;
    let purpose = world.purpose();
    let mut node = Node::new(&mut world, vec![purpose]);
    node.round().await;
    let [signed] = node.signed_for(purpose)[..] else { panic!("{:?}", node.signed) };
    let stored = node.disk.intents();
    assert_eq!((stored[0].hash, &stored[0].envelope), (signed.hash, &signed.envelope));
    assert_eq!(stored[0].state, IntentState::Submitted);
    for kill_at in 1..=node.steps {
        let purpose = world.purpose();
        let mut node = Node::killed_at(&mut world, vec![purpose], kill_at);
        node.round().await;
        let shown = node.submissions.iter().map(|(_, hash, _)| *hash);
        for hash in shown {
            assert!(node.disk.intents().iter().any(|i| i.hash == hash), "killed at {kill_at}: shown, not stored");
        }
        node.run_to_the_end().await;
        node.assert_each_paid_once();
    }
}

#[tokio::test]
async fn pending_is_not_inclusion_however_long_it_lasts() {
    let mut world = World::new().await;
    world.set(STUCK);
    let wanted = vec![world.purpose(), world.purpose()];
    let mut node = Node::new(&mut world, wanted.clone());
    node.rounds(12).await;
    assert!(
        node.submissions
            .iter()
            .all(|(_, _, said)| { matches!(said, Some(SubmitAnswer::Pending | SubmitAnswer::Duplicate)) })
    );
    assert_eq!((node.ends.len(), node.signed.len(), node.queue.turn()), (0, 1, None));
    assert_eq!(node.world.times_paid(wanted[0]), 0);
    node.world.set(Faults::NONE);
    node.run_to_the_end().await;
    assert_eq!(node.signed.len(), 2, "each was signed once");
    node.assert_each_paid_once();
}

#[tokio::test]
async fn what_is_dropped_is_sent_again_until_its_time_is_over_then_dead_then_signed_once_more() {
    let mut world = World::new().await;
    world.set(DROPPED);
    let purpose = world.purpose();
    let mut node = Node::new(&mut world, vec![purpose]);
    while node.ends.is_empty() {
        node.round_and_ledger().await;
    }
    let first = node.signed[0].clone();
    assert_eq!(node.ends_of(purpose), ["dead"]);
    let sent = node.submissions.iter().filter(|(_, hash, _)| *hash == first.hash);
    let times: Vec<Now> = sent.map(|(at, ..)| *at).collect();
    assert!(times.len() >= 2, "it was sent again: {times:?}");
    assert!(times.iter().all(|at| at.timestamp() <= first.max_time), "{times:?}");
    node.world.set(Faults::NONE);
    node.run_to_the_end().await;
    let [_, second] = node.signed_for(purpose)[..] else { panic!("{:?}", node.signed) };
    assert_eq!(second.sequence, first.sequence, "the dead one's number is free");
    assert_ne!(second.hash, first.hash);
    node.assert_each_paid_once();
}

#[tokio::test]
async fn a_dropped_transaction_that_somebody_else_submits_at_the_last_moment_is_no_second_payment() {
    let mut world = World::new().await;
    world.set(DROPPED);
    let purpose = world.purpose();
    let mut node = Node::new(&mut world, vec![purpose]);
    node.round().await;
    let first = node.signed[0].clone();
    // Up to the ledger that closes at its very last second.
    while node.world.close_time().plus(POLL) < first.max_time {
        node.round_and_ledger().await;
    }
    assert!(node.ends.is_empty());
    node.world.submit_by_rival(&first.envelope);
    node.rounds(10).await;
    assert_eq!(node.ends_of(purpose), ["included"]);
    assert_eq!(node.signed.len(), 1);
    node.assert_each_paid_once();
}

#[tokio::test]
async fn a_number_that_is_still_unused_past_its_time_proves_death_where_history_is_too_short() {
    let mut world = World::new().await;
    world.set(Faults { history_ledgers: Some(1), ..DROPPED });
    let purpose = world.purpose();
    let mut node = Node::new(&mut world, vec![purpose]);
    while node.ends.is_empty() {
        node.round_and_ledger().await;
    }
    assert_eq!(node.ends_of(purpose), ["dead"]);
    assert!(node.world.close_time() > node.signed[0].max_time);
    node.world.set(Faults::NONE);
    node.run_to_the_end().await;
    node.assert_each_paid_once();
}

#[tokio::test]
async fn a_used_number_beyond_the_history_is_reported_as_unknown_and_never_paid_again() {
    let mut world = World::new().await;
    let wanted = vec![world.purpose(), world.purpose()];
    let mut node = Node::new(&mut world, wanted.clone());
    node.round().await;
    // Included while nobody can be asked, and forgotten before anybody can.
    node.world.set(DOWN);
    node.rounds(5).await;
    assert!(node.ends.is_empty());
    node.world.set(Faults { history_ledgers: Some(2), ..Faults::NONE });
    while node.ends.is_empty() {
        node.round_and_ledger().await;
    }
    assert_eq!(node.ends_of(wanted[0]), ["unknown"]);
    for _ in 0..2 {
        node.restart();
        node.rounds(2 * LIFE.as_secs() as usize).await;
        assert_eq!(node.ends_of(wanted[0]), ["unknown"], "time changes nothing about it, nor does a restart");
    }
    assert_eq!(node.signed_for(wanted[0]).len(), 1);
    assert_eq!(node.ends_of(wanted[1]), ["included"], "what comes after it goes on with the next number");
    node.assert_each_paid_once();
}

#[tokio::test]
async fn a_busy_server_is_asked_again_with_pauses_and_not_beyond_the_latest_time() {
    let mut world = World::new().await;
    world.set(BUSY);
    let purpose = world.purpose();
    let mut node = Node::new(&mut world, vec![purpose]);
    while node.ends.is_empty() {
        node.round_and_ledger().await;
    }
    let first = node.signed[0].clone();
    let sent = node.submissions.iter().filter(|(_, hash, _)| *hash == first.hash);
    let times: Vec<Now> = sent.map(|(at, ..)| *at).collect();
    let pause = POLL * 2;
    assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) >= pause), "{times:?}");
    assert!((2..=LIFE.as_secs() as usize / 2).contains(&times.len()), "{times:?}");
    assert!(times.iter().all(|at| at.timestamp() <= first.max_time), "{times:?}");
    assert_eq!(node.ends_of(purpose), ["dead"]);
    node.world.set(Faults::NONE);
    node.run_to_the_end().await;
    node.assert_each_paid_once();
}

#[tokio::test]
async fn an_endpoint_that_lags_leads_to_no_second_payment_also_where_a_restart_forgets_what_was_seen() {
    let mut world = World::new().await;
    let wanted = vec![world.purpose(), world.purpose(), world.purpose()];
    let mut node = Node::new(&mut world, wanted.clone());
    node.rounds(2).await;
    assert_eq!(node.ends_of(wanted[0]), ["included"]);
    let used = node.sequence();
    node.world.set(Faults { lag_ledgers: 8, ..Faults::NONE });
    node.round_and_ledger().await;
    assert!(matches!(node.last_error, Some(LedgerError::Backwards { .. })), "{:?}", node.last_error);
    // The new process has seen nothing: the endpoint shows it the account before the first payment.
    node.restart();
    node.run_to_the_end().await;
    let stale = node.signed.iter().filter(|intent| intent.sequence <= used).count();
    assert!(stale >= 1, "the first one at least");
    node.assert_each_paid_once();
}

#[tokio::test]
async fn a_lagging_endpoint_does_not_make_dead_what_a_newer_ledger_may_hold() {
    let mut world = World::new().await;
    for _ in 0..16 {
        world.close();
    }
    world.set(Faults { lag_ledgers: 16, ..STUCK });
    let purpose = world.purpose();
    let mut node = Node::new(&mut world, vec![purpose]);
    node.round().await;
    let first = node.signed[0].clone();
    // Included in the last ledger that may, which the endpoint doesn't show for long.
    while node.world.close_time().plus(POLL) < first.max_time {
        node.round_and_ledger().await;
    }
    node.world.set(Faults { lag_ledgers: 16, ..Faults::NONE });
    node.rounds(10).await;
    assert!(node.world.holds(first.hash) && node.world.close_time() > first.max_time);
    assert!(node.ends.is_empty(), "the endpoint's ledger isn't past its time: {:?}", node.ends);
    node.run_to_the_end().await;
    assert_eq!((node.ends_of(purpose), node.signed.len()), (vec!["included"], 1));
    node.assert_each_paid_once();
}

#[tokio::test]
async fn an_endpoint_that_was_down_is_gone_on_with_when_it_is_back() {
    let mut world = World::new().await;
    world.set(DOWN);
    let wanted = vec![world.purpose(), world.purpose()];
    let mut node = Node::new(&mut world, wanted);
    node.rounds(3).await;
    assert!(matches!(node.last_error, Some(LedgerError::Status { status: 503, .. })), "{:?}", node.last_error);
    assert!(node.signed.is_empty(), "an account that can't be read is not signed for");
    node.world.set(Faults::NONE);
    node.round().await;
    node.world.set(DOWN);
    node.rounds(3).await;
    assert_eq!((node.signed.len(), node.ends.len()), (1, 0));
    node.world.set(Faults::NONE);
    node.run_to_the_end().await;
    node.assert_each_paid_once();
}

#[tokio::test]
async fn a_submission_whose_answer_comes_too_late_was_a_submission() {
    let mut world = World::new().await;
    let purpose = world.purpose();
    let mut node = Node::new(&mut world, vec![purpose]);
    node.patience.one_try = Duration::from_millis(300);
    node.world.set(DOWN);
    node.rounds(1).await;
    node.world.set(Faults::NONE);
    // Signed, and its submission done; only the answer doesn't come in time.
    node.read_and_sign().await;
    node.world.set(Faults { slow_ms: 2_000, ..Faults::NONE });
    node.round().await;
    assert!(node.submissions.iter().all(|(_, _, said)| said.is_none()), "{:?}", node.submissions);
    assert!(matches!(node.last_error, Some(LedgerError::Unreachable { .. })), "{:?}", node.last_error);
    node.world.set(Faults::NONE);
    node.run_to_the_end().await;
    assert_eq!((node.signed.len(), node.ends_of(purpose)), (1, vec!["included"]));
    node.assert_each_paid_once();
}

#[tokio::test]
async fn while_the_network_is_halted_nothing_dies_and_nothing_is_signed_again() {
    for resumes_in_time in [true, false] {
        let mut world = World::new().await;
        let purpose = world.purpose();
        let mut node = Node::new(&mut world, vec![purpose]);
        node.round().await;
        node.world.set(HALTED);
        let first = node.signed[0].clone();
        node.rounds(3 * LIFE.as_secs() as usize).await;
        assert!(node.now.timestamp() > first.max_time.plus(LIFE), "the node's own time has long passed it");
        assert_eq!((node.ends.len(), node.signed.len()), (0, 1));
        node.restart();
        node.rounds(3).await;
        assert_eq!((node.ends.len(), node.signed.len()), (0, 1), "nor after a restart");
        if !resumes_in_time {
            assert!(node.world.server.advance_clock(10 * LIFE.as_secs()));
        }
        node.world.set(Faults::NONE);
        node.run_to_the_end().await;
        let expected: &[&str] = if resumes_in_time { &["included"] } else { &["dead", "included"] };
        assert_eq!(node.ends_of(purpose), expected, "resumed in time: {resumes_in_time}");
        node.assert_each_paid_once();
    }
}
