//! B17 between real nodes: each of the two is killed (SIGKILL) in each phase of a binding, and is started again.
//!
//! What held the phase (`tests/src/cluster/stage.rs`, under arbiters `stage/trial.rs`) is let go while the killed node is
//! still down. Then nobody types a command: the binding comes to the end that the ledger allows, the accounts show exactly that end, and nothing of the
//! service is left.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tradepost_protocol::binding::phase::{Phase, Side};
use tradepost_tests::cluster::stage::trial::{Held, Trial};
use tradepost_tests::cluster::stage::{End, PAST_T, Stage, name};

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");
/// Who was away for less than this has missed nothing: the grace time, less what a node may have forgotten of its last
/// moments.
const BRIEFLY: Duration = Duration::from_millis(3_500);
/// Markets that stand side by side.
const MARKETS: usize = 3;
/// So often a case ends otherwise, though the killed node was away briefly, until that isn't the machine's fault.
const ATTEMPTS: usize = 4;
/// Most characters of what a failure says, for whoever sees the end of the output alone.
const MAX_WORDS: usize = 700;

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
        match self.phase {
            Phase::Requested | Phase::Agreed => &[End::Paid, End::Refunded, End::Void],
            Phase::Funded | Phase::Active => &[End::Paid, End::Refunded],
            Phase::Delivered | Phase::Closed => &[End::Paid],
            Phase::Refused | Phase::Failed | Phase::Timeout => &[End::Refunded],
            Phase::Disputed | Phase::Closing => &[End::Split],
            Phase::Void => &[End::Void],
        }
    }
}

/// Plays one case after the other.
async fn play(mut stage: Stage, cases: &Mutex<VecDeque<Case>>, playing: &Mutex<Option<Case>>) {
    loop {
        let next = cases.lock().unwrap().pop_front();
        *playing.lock().unwrap() = next;
        let Some(case) = next else { return };
        let in_time = |(end, away): &(End, Duration)| *end == case.ends()[0] || *away >= BRIEFLY;
        let mut ended = Vec::new();
        // On a busy machine a node that is back at once may still be heard too late.
        while !ended.last().is_some_and(in_time) {
            assert!(ended.len() < ATTEMPTS, "never {:?}, though away for moments only: {ended:?}", case.ends()[0]);
            println!("{case} …");
            let began = Instant::now();
            let (end, away) = kill_and_restart(&mut stage, case).await;
            println!("{case}: away for {away:.1?}, then {end:?}, {:.1?} in all", began.elapsed());
            ended.push((end, away));
        }
    }
}

/// As [`play`], where an arbiter decides.
async fn play_with_arbiter(mut trial: Trial, cases: &Mutex<VecDeque<Case>>, playing: &Mutex<Option<Case>>) {
    loop {
        let next = cases.lock().unwrap().pop_front();
        *playing.lock().unwrap() = next;
        let Some(case) = next else { return };
        let held = case.held().expect("it needs an arbiter");
        println!("{case} …");
        let (began, told) = (Instant::now(), case.to_string());
        let (before, request) = trial.bring_to(held).await;
        trial.stage.market.kill(name(case.killed));
        let killed = Instant::now();
        trial.let_go().await;
        trial.stage.market.restart(name(case.killed)).await;
        let away = killed.elapsed();
        let end = trial.end(request).await;
        assert!(case.ends().contains(&end), "{case}: {end:?}");
        trial.pass_t().await;
        trial.check_books(&told, &before, end).await;
        trial.stage.check_that_nothing_is_left(&told).await;
        println!("{case}: away for {away:.1?}, then {end:?}, {:.1?} in all", began.elapsed());
    }
}

async fn kill_and_restart(stage: &mut Stage, case: Case) -> (End, Duration) {
    let (before, request) = stage.bring_to(case.phase).await;
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
    stage.check_books(&told, &before, end, units).await;
    stage.check_that_nothing_is_left(&told).await;
    (end, away)
}

/// A stage's task, and the case that it plays.
struct Playing {
    task: JoinHandle<()>,
    now: &'static Mutex<Option<Case>>,
}

impl Playing {
    fn begin<F: Future<Output = ()> + Send + 'static>(play: impl FnOnce(&'static Mutex<Option<Case>>) -> F) -> Self {
        let now = &*Box::leak(Box::default());
        Self { task: tokio::spawn(play(now)), now }
    }

    /// How it failed, in a line.
    async fn failure(self) -> Option<String> {
        let panic = self.task.await.err()?.into_panic();
        let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let words: String =
            words.and_then(|words| words.lines().next()).unwrap_or("?").chars().take(MAX_WORDS).collect();
        let case = self.now.lock().unwrap().map_or("before any case".to_owned(), |case| case.to_string());
        Some(format!("{case}: {words}"))
    }
}

#[tokio::test]
async fn b17_a_node_that_is_killed_in_any_phase_goes_on_and_the_binding_ends_as_the_ledger_allows() -> Result<(), String>
{
    type Cases = Mutex<VecDeque<Case>>;
    let (disputed, plain): (VecDeque<Case>, VecDeque<Case>) = Case::all().partition(|case| case.held().is_some());
    let [disputed, cases]: [&'static Cases; 2] = [disputed, plain].map(|all| &*Box::leak(Box::new(Mutex::new(all))));
    let stages =
        (0..MARKETS).map(|_| Playing::begin(|now| async move { play(Stage::open(NODE).await, cases, now).await }));
    let trial = Playing::begin(|now| async move { play_with_arbiter(Trial::open(NODE).await, disputed, now).await });
    let stages: Vec<_> = stages.chain([trial]).collect();
    let mut failed = Vec::new();
    for stage in stages {
        failed.extend(stage.failure().await);
    }
    let undone: Vec<String> =
        [cases, disputed].iter().flat_map(|all| all.lock().unwrap().clone()).map(|c| c.to_string()).collect();
    // Told as an error and not by a panic, whose backtrace would come last.
    match failed.is_empty() && undone.is_empty() {
        true => Ok(()),
        false => Err(format!("{}; not begun: {undone:?}", failed.join("; "))),
    }
}
