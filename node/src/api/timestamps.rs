//! `/v1/timestamps`: batches of hashes under one root in the ledger.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tradepost_protocol::market::command::{Answer, Command};

use super::context::Context;
use super::problem::Problem;
use super::reject::Body;
use super::request::NewTimestamps;
use super::view::{BatchView, CostView, Stamped, TimestampList};
use crate::problem_code::ProblemCode;
use crate::timestamps::Timestamps;

pub(super) async fn list(State(context): State<Context>) -> Result<Json<TimestampList>, Problem> {
    let open: Vec<BatchView> = context.ask(|market, _| market.stamps().map(BatchView::open).collect()).await?;
    let facts = &context.node().facts;
    let timestamps = Timestamps::of(&facts.home, &facts.passphrase);
    let unreadable = |why: String| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ProblemCode::Unreadable,
            format!("the kept timestamps can't be read: {why}"),
        )
    };
    let kept = tokio::task::spawn_blocking(move || timestamps.all()).await.map_err(|e| unreadable(e.to_string()))?;
    let kept = kept.map_err(|e| unreadable(e.to_string()))?;
    let items = kept.iter().map(BatchView::kept).chain(open).collect();
    Ok(Json(TimestampList { items }))
}

pub(super) async fn stamp(State(context): State<Context>, Body(new): Body<NewTimestamps>) -> Result<Response, Problem> {
    let hashes = new.hashes.iter().map(|hash| *hash.as_bytes()).collect();
    match context.command(Command::Stamp { hashes, dry_run: new.dry_run }).await? {
        Answer::Cost(cost) => Ok(Json(CostView::of(cost)).into_response()),
        Answer::Stamped { root, transaction } => {
            Ok((StatusCode::CREATED, Json(Stamped { root, transaction })).into_response())
        }
        other => Err(Context::unexpected(&other)),
    }
}
