//! Killed at every step of every misfortune: what is wanted is paid exactly once.

use tradepost_devnet::{Faults, Submissions};

use crate::node::{Node, World};

/// What is wrong from one round on, up to another one.
struct Misfortune {
    faults: Faults,
    from: usize,
    to: usize,
    /// Seconds by which the clock is moved ahead when it is over.
    then_ahead: u64,
    /// How else than paid it may be reported.
    may_be: &'static [&'static str],
}

const DROPPED: Faults = Faults { submissions: Submissions::Dropped, ..Faults::NONE };
const STUCK: Faults = Faults { submissions: Submissions::Stuck, ..Faults::NONE };
const BUSY: Faults = Faults { submissions: Submissions::TryAgainLater, ..Faults::NONE };

const fn lasting(faults: Faults, from: usize, to: usize) -> Misfortune {
    Misfortune { faults, from, to, then_ahead: 0, may_be: &["dead"] }
}

/// Runs it with two payments and a kill at this step; tells how many steps there were.
async fn run(world: &mut World, misfortune: &Misfortune, kill_at: usize) -> usize {
    let wanted = vec![world.purpose(), world.purpose()];
    let mut node = Node::killed_at(world, wanted.clone(), kill_at);
    if misfortune.faults.slow_ms > 0 {
        node.patience.one_try = misfortune.faults.slow() / 2;
    }
    for round in 0..misfortune.to {
        node.world.set(if round >= misfortune.from { misfortune.faults } else { Faults::NONE });
        node.round_and_ledger().await;
    }
    node.world.set(Faults::NONE);
    if misfortune.then_ahead > 0 {
        assert!(node.world.server.advance_clock(misfortune.then_ahead));
    }
    node.run_to_the_end().await;
    for purpose in wanted {
        let strange =
            node.ends_of(purpose).into_iter().find(|end| *end != "included" && !misfortune.may_be.contains(end));
        assert_eq!(strange, None, "killed at {kill_at}");
    }
    node.assert_each_paid_once();
    node.steps
}

async fn is_survived(misfortune: Misfortune) {
    let mut world = World::new().await;
    let steps = run(&mut world, &misfortune, usize::MAX).await;
    assert!(steps > 10, "{steps} steps");
    for kill_at in 1..=steps {
        run(&mut world, &misfortune, kill_at).await;
    }
}

#[tokio::test]
async fn killed_at_any_step_of_a_calm_day_each_is_paid_once() {
    is_survived(Misfortune { may_be: &[], ..lasting(Faults::NONE, 0, 0) }).await;
}

#[tokio::test]
async fn killed_at_any_step_while_submissions_are_dropped_each_is_paid_once() {
    is_survived(lasting(DROPPED, 0, 20)).await;
}

#[tokio::test]
async fn killed_at_any_step_while_submissions_are_stuck_each_is_paid_once() {
    is_survived(lasting(STUCK, 0, 6)).await;
    is_survived(lasting(STUCK, 0, 20)).await;
}

#[tokio::test]
async fn killed_at_any_step_while_the_server_is_busy_each_is_paid_once() {
    is_survived(lasting(BUSY, 0, 8)).await;
}

#[tokio::test]
async fn killed_at_any_step_while_the_endpoint_is_down_each_is_paid_once() {
    is_survived(lasting(Faults { down: true, ..Faults::NONE }, 1, 6)).await;
}

#[tokio::test]
async fn killed_at_any_step_while_the_endpoint_lags_each_is_paid_once() {
    is_survived(lasting(Faults { lag_ledgers: 3, ..Faults::NONE }, 0, 12)).await;
    is_survived(lasting(Faults { lag_ledgers: 6, ..Faults::NONE }, 2, 12)).await;
}

#[tokio::test]
async fn killed_at_any_step_with_a_short_history_each_is_paid_once_and_what_cannot_be_told_is_said_so() {
    let short = Faults { history_ledgers: Some(1), ..Faults::NONE };
    is_survived(Misfortune { may_be: &["dead", "unknown"], ..lasting(short, 0, 40) }).await;
    is_survived(lasting(Faults { submissions: Submissions::Dropped, ..short }, 0, 20)).await;
}

#[tokio::test]
async fn killed_at_any_step_while_the_network_is_halted_each_is_paid_once() {
    let halted = Faults { halted: true, ..Faults::NONE };
    is_survived(lasting(halted, 1, 20)).await;
    is_survived(Misfortune { then_ahead: 60, ..lasting(halted, 1, 20) }).await;
}

#[tokio::test]
async fn killed_at_any_step_while_answers_come_too_late_each_is_paid_once() {
    is_survived(lasting(Faults { slow_ms: 200, ..Faults::NONE }, 0, 2)).await;
}
