//! `/healthy`, `/ready` and `/metrics`: for whoever watches the process. They need no token and show no secret.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};

use super::context::Context;

/// The media type of Prometheus' text form (OpenMetrics 1.0).
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What `/healthy` and `/ready` answer; the HTTP status is 200 exactly where `ok` holds, else 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether all is well.
    pub ok: bool,
    /// What isn't.
    pub why: Vec<String>,
}

impl Health {
    fn of(why: Vec<String>) -> (StatusCode, Json<Self>) {
        let status = if why.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(Self { ok: why.is_empty(), why }))
    }
}

/// Whether the process works at all: if not, it should be started again.
pub(super) async fn healthy(State(context): State<Context>) -> (StatusCode, Json<Health>) {
    Health::of(context.ask(|_, _| ()).await.err().map(|problem| problem.detail).into_iter().collect())
}

/// Whether it can trade now: the market answers, the ledger is read, the node isn't stopping.
pub(super) async fn ready(State(context): State<Context>) -> (StatusCode, Json<Health>) {
    let health = context.node().health();
    let mut why: Vec<String> = context.ask(|_, _| ()).await.err().map(|problem| problem.detail).into_iter().collect();
    if health.stopping || context.shutdown().drain().is_cancelled() {
        why.push("the node is stopping".to_owned());
    }
    if let Some(trouble) = health.ledger.trouble {
        why.push(format!("the ledger can't be read: {trouble}"));
    }
    Health::of(why)
}

pub(super) async fn metrics(State(context): State<Context>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], context.node().metrics.encode())
}
