//! B17 between real nodes: each of the two is killed (SIGKILL) in each phase of a binding, and is started again.
//!
//! What held the phase (`tests/src/cluster/stage.rs`, under arbiters `stage/trial.rs`) is let go while the killed node is
//! still down. Then nobody types a command: the binding comes to the end that the ledger allows, the accounts show exactly that end, and nothing of the
//! service is left.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tradepost_protocol::binding::phase::{Phase, Side};
use tradepost_tests::cluster::stage::trial::{Held, Trial};
use tradepost_tests::cluster::stage::{End, PAST_T, Stage, name};

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");
/// Who was away for less than this has missed nothing: the grace time, less what a node may have forgotten of its last
/// moments.
const BRIEFLY: Duration = Duration::from_millis(3_500);
/// Markets that stand side by side.
const MARKETS: usize = 4;

/// Who is killed, and when.
#[derive(Debug, Clone, Copy)]
struct Case {
    phase: Phase,
    killed: Side,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} killed when {}", self.killed.as_str(), self.phase)
    }
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        let of = |phase| [Side::Provider, Side::Consumer].map(|killed| Self { phase, killed });
        Phase::ALL.into_iter().flat_map(of)
    }

    /// Where a trial holds it; nothing where a market without arbiters comes by the phase.
    fn held(self) -> Option<Held> {
        match self.phase {
            Phase::Disputed => Some(Held::Disputed),
            Phase::Closing => Some(Held::Closing),
            Phase::Requested | Phase::Agreed | Phase::Funded | Phase::Refused | Phase::Active => None,
            Phase::Delivered | Phase::Failed | Phase::Timeout | Phase::Closed | Phase::Void => None,
        }
    }

    /// The end where the killed node was away briefly, then those that a slow machine may bring about instead: somebody
    /// was away for longer than the grace time, or a deadline has passed.
    fn ends(self) -> &'static [End] {
        match (self.phase, self.killed) {
            (Phase::Requested, _) | (Phase::Agreed, Side::Consumer) => &[End::Paid, End::Void],
            (Phase::Agreed, Side::Provider) => &[End::Paid, End::Refunded, End::Void],
            (Phase::Funded, _) | (Phase::Active, Side::Provider) => &[End::Paid, End::Refunded],
            (Phase::Active, Side::Consumer) | (Phase::Delivered | Phase::Closed, _) => &[End::Paid],
            (Phase::Refused | Phase::Failed | Phase::Timeout, _) => &[End::Refunded],
            (Phase::Disputed | Phase::Closing, _) => &[End::Split],
            (Phase::Void, _) => &[End::Void],
        }
    }
}

/// Plays one case after the other.
async fn play(mut stage: Stage, cases: &Mutex<VecDeque<Case>>) {
    loop {
        let next = cases.lock().unwrap().pop_front();
        let Some(case) = next else { return };
        println!("{case} …");
        let began = Instant::now();
        let (end, away) = kill_and_restart(&mut stage, case).await;
        println!("{case}: away for {away:.1?}, then {end:?}, {:.1?} in all", began.elapsed());
    }
}

/// As [`play`], where an arbiter decides.
async fn play_with_arbiter(mut trial: Trial, cases: &Mutex<VecDeque<Case>>) {
    loop {
        let next = cases.lock().unwrap().pop_front();
        let Some(case) = next else { return };
        let held = case.held().expect("it needs an arbiter");
        println!("{case} …");
        let (began, told) = (Instant::now(), case.to_string());
        let before = trial.before().await;
        let request = trial.bring_to(held).await;
        trial.stage.market.kill(name(case.killed));
        let killed = Instant::now();
        trial.let_go().await;
        trial.stage.market.restart(name(case.killed)).await;
        let away = killed.elapsed();
        let end = trial.end(request).await;
        assert_eq!(end, case.ends()[0], "{case}");
        trial.pass_t().await;
        trial.check_books(&told, &before, end).await;
        trial.stage.check_that_nothing_is_left(&told).await;
        println!("{case}: away for {away:.1?}, then {end:?}, {:.1?} in all", began.elapsed());
    }
}

async fn kill_and_restart(stage: &mut Stage, case: Case) -> (End, Duration) {
    let before = stage.accounts().await;
    let request = stage.bring_to(case.phase).await;
    stage.market.kill(name(case.killed));
    let killed = Instant::now();
    stage.let_go().await;
    stage.market.restart(name(case.killed)).await;
    let away = killed.elapsed();
    if case.phase == Phase::Refused {
        stage.market.nodes.advance_clock(PAST_T).await;
    }
    let (end, units) = stage.end(request).await;
    let (ends, told) = (case.ends(), case.to_string());
    assert!(ends.contains(&end), "{case}: {end:?}, not one of {ends:?}");
    assert!(away >= BRIEFLY || end == ends[0], "{case}: {end:?}, though it was away for {away:?} only");
    stage.check_books(&told, &before, end, units).await;
    stage.check_that_nothing_is_left(&told).await;
    (end, away)
}

#[tokio::test]
async fn b17_a_node_that_is_killed_in_any_phase_goes_on_and_the_binding_ends_as_the_ledger_allows() {
    type Cases = Mutex<VecDeque<Case>>;
    let (disputed, plain): (VecDeque<Case>, VecDeque<Case>) = Case::all().partition(|case| case.held().is_some());
    let [disputed, cases]: [&'static Cases; 2] = [disputed, plain].map(|all| &*Box::leak(Box::new(Mutex::new(all))));
    let stages = (0..MARKETS).map(|_| tokio::spawn(async { play(Stage::open(NODE).await, cases).await }));
    let trial = tokio::spawn(async { play_with_arbiter(Trial::open(NODE).await, disputed).await });
    let stages: Vec<_> = stages.chain([trial]).collect();
    let mut failed = 0;
    for stage in stages {
        failed += usize::from(stage.await.is_err());
    }
    let undone: Vec<String> =
        [cases, disputed].iter().flat_map(|all| all.lock().unwrap().clone()).map(|c| c.to_string()).collect();
    assert!(failed == 0 && undone.is_empty(), "{failed} failed, see above; not begun: {undone:?}");
}
