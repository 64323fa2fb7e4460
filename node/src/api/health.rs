//! `/healthy`, `/ready` and `/metrics`: for whoever watches the process. They need no token and show no secret.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use tradepost_ledger::clock::Skew;

use super::context::Context;
use super::peers;
use super::problem::Problem;
use super::view::Trouble;
use crate::node::LedgerHealth;

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
    let recovering = context.ask(|market, _| market.is_recovering()).await?;
    let found = hindrances(&context, recovering);
    if found.is_empty() {
        return Ok(Json(Well { ok: true }));
    }
    let all = |part: fn(&Trouble) -> &str| found.iter().map(part).collect::<Vec<_>>().join("; ");
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", all(|t| &t.what)).remedy(all(|t| &t.remedy)))
}

/// What is in the way of any trade now, each with what to do: the node stops or compares a backup with the ledger, the
/// ledger can't be read or stands still, the clock is off, no peer is there although some are configured.
pub(super) fn hindrances(context: &Context, recovering: bool) -> Vec<Trouble> {
    let health = context.node().health();
    let mut found = Vec::new();
    if health.stopping || context.shutdown().drain().is_cancelled() {
        found.push(Trouble::new("the node is stopping", "start it again when it has stopped"));
    }
    found.extend(of_ledger(&health.ledger));
    if health.lacks_peers() {
        found.push(Trouble::new("no peers", peers::remedy(context.config().bootstrap.len())));
    }
    if recovering {
        let what = "restored from a backup, and still comparing it with the ledger: nothing new begins meanwhile";
        let remedy = "wait until the ledger was read; see that the node that it was made of runs no more";
        found.push(Trouble::new(what, remedy));
    }
    found
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
