//! `/healthy`, `/ready` and `/metrics`: for whoever watches the process. They need no token and show no secret.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use tradepost_ledger::clock::Skew;
use tradepost_protocol::market::{Market, Twin};
use tradepost_protocol::time::Now;

use super::context::Context;
use super::peers;
use super::problem::Problem;
use super::view::Trouble;
use crate::node::LedgerHealth;
use crate::problem_code::ProblemCode;

/// The media type of Prometheus' text form (OpenMetrics 1.0).
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What `/healthy` and `/ready` answer where all is well; where it isn't, they answer 503 with a problem that says what
/// and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Well {
    /// True.
    pub ok: bool,
}

/// Whether the process works at all: if not, it should be started again.
pub(super) async fn healthy(State(context): State<Context>) -> Result<Json<Well>, Problem> {
    context.ask(|_, _| ()).await?;
    Ok(Json(Well { ok: true }))
}

/// Whether it can trade now: nothing that [`hindrances`] knows is in the way.
pub(super) async fn ready(State(context): State<Context>) -> Result<Json<Well>, Problem> {
    let beginning = context.ask(Beginning::of).await?;
    let found = hindrances(&context, beginning);
    if found.is_empty() {
        return Ok(Json(Well { ok: true }));
    }
    let all = |part: fn(&Trouble) -> &str| found.iter().map(part).collect::<Vec<_>>().join("; ");
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, ProblemCode::NotReady, all(|t| &t.what))
        .remedy(all(|t| &t.remedy)))
}

/// What a node waits for before it can trade: an end of being restored, the books of its first peers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beginning {
    recovering: bool,
    twin: Twin,
    syncing_with: usize,
}

impl Beginning {
    pub(super) fn of(market: &Market, now: Now) -> Self {
        let syncing_with = market.first_sync(now).under_way;
        Self { recovering: market.is_recovering(), twin: market.twin(now), syncing_with }
    }

    /// Whether it keeps apart from its peers.
    const fn is_apart(self) -> bool {
        matches!(self.twin, Twin::Sought { .. } | Twin::Answers)
    }
}

/// What is in the way of any trade now, each with what to do: the node stops, compares a backup with the ledger or yields to
/// another one with its keys, the ledger can't be read or stands still, the clock is off, no peer is there although some are
/// configured.
pub(super) fn hindrances(context: &Context, beginning: Beginning) -> Vec<Trouble> {
    let health = context.node().health();
    let mut found = Vec::new();
    if health.stopping || context.shutdown().drain().is_cancelled() {
        found.push(Trouble::new("the node is stopping", "start it again when it has stopped"));
    }
    found.extend(of_ledger(&health.ledger));
    if health.lacks_peers() && !beginning.is_apart() {
        found.push(Trouble::new("no peers", peers::remedy(context.config().bootstrap.len())));
    }
    found.extend(of_twin(beginning));
    if beginning.syncing_with > 0 {
        let what = format!("the books of {} of the first peers are still being read", beginning.syncing_with);
        found.push(Trouble::new(what, "wait a moment"));
    }
    found
}

/// What to do about another node that may run.
const STOP_ONE: &str = "stop the other one, and this one goes on by itself; where what answers is no node of yours, or surely \
                        gone, start this one with `tradepost run --alone`";

/// What a restored node waits for, or whom it yields to.
fn of_twin(beginning: Beginning) -> Option<Trouble> {
    let (what, remedy) = match beginning.twin {
        Twin::Answers => (
            "restored from a backup, and the node that it was made of answers: this one begins nothing new, and leaves \
             what runs to that one"
                .to_owned(),
            STOP_ONE,
        ),
        Twin::Heard { at, yields: true } => (
            format!("another node serves under this one's keys, heard at {at}: this one begins nothing new"),
            STOP_ONE,
        ),
        Twin::Sought { anybody: true } => (
            "restored from a backup, and looking whether the node that it was made of still runs: nothing new begins \
             meanwhile"
                .to_owned(),
            "wait a moment",
        ),
        Twin::Sought { anybody: false } => (
            "restored from a backup, and nobody can be asked whether the node that it was made of still runs: nothing new \
             begins meanwhile"
                .to_owned(),
            "check that this machine is online and that the first peers in `bootstrap` answer; where that node is surely \
             gone, start this one with `tradepost run --alone`",
        ),
        Twin::ListenedFor { until } => (
            format!(
                "restored from a backup; the node that it was made of doesn't answer, and is listened for until {until}"
            ),
            "wait; where that node is surely gone, start this one with `tradepost run --alone`",
        ),
        Twin::None | Twin::Heard { .. } if beginning.recovering => (
            "restored from a backup, and still comparing it with the ledger: nothing new begins meanwhile".to_owned(),
            "wait until the ledger was read",
        ),
        Twin::None | Twin::Heard { .. } => return None,
    };
    Some(Trouble::new(what, remedy))
}

/// What is wrong where two nodes serve under the same keys, and this one is the first.
pub(super) fn of_double(beginning: Beginning) -> Option<Trouble> {
    let Twin::Heard { at, yields: false } = beginning.twin else { return None };
    let what = format!("another node serves under this one's keys, heard at {at}: they sell the same places twice");
    Some(Trouble::new(what, "stop one of the two"))
}

/// What is wrong with the way to the ledger, or with the ledger. Names no address: they may hold a key.
fn of_ledger(ledger: &LedgerHealth) -> Vec<Trouble> {
    let mut found = Vec::new();
    if let Some(why) = &ledger.trouble {
        let remedy = "check that the configured RPC server answers, or configure another one";
        found.push(Trouble::new(format!("the ledger can't be read: {why}"), remedy));
    }
    if ledger.stalled {
        let (secs, newest) = (ledger.age.as_secs(), ledger.newest.sequence);
        let what = format!(
            "no new ledger for {secs} s: after {newest} either the network stands still, or the configured RPC \
             server doesn't follow it"
        );
        let remedy = "nothing new is bound meanwhile, and deadlines go on; if others show newer ledgers, \
                      configure another server";
        found.push(Trouble::new(what, remedy));
    }
    let off = match ledger.skew {
        Skew::NotCompared | Skew::Fine => None,
        Skew::Behind(by) => Some(("behind", by.as_secs())),
        Skew::Ahead(by) => Some(("ahead of", by.as_secs())),
    };
    if let Some((which, secs)) = off {
        let what = format!("this machine's clock is {secs} s {which} the ledger's time");
        found.push(Trouble::new(what, "set the clock; if it is right, configure an RPC server that doesn't lag"));
    }
    found
}

pub(super) async fn metrics(State(context): State<Context>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], context.node().metrics.encode())
}
