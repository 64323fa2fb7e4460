//! `/v1/bindings`: bindings, from either side.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Answer, Command, EscrowWish};
use tradepost_protocol::message::MessageId;

use super::context::Context;
use super::offerings::protects;
use super::problem::Problem;
use super::reject::{Asked, Body, Named};
use super::request::NewBinding;
use super::view::{BindingList, BindingView, Bound, CostView, Done};

/// Where to look for bindings.
const HINT: &str = "`tradepost binding list --all` shows this node's";
/// Most bindings in one answer.
const MAX_LISTED: usize = 1_000;

/// The query of `GET /v1/bindings`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BindingFilter {
    /// Those that are over too.
    #[serde(default)]
    all: bool,
}

pub(super) async fn list(
    State(context): State<Context>,
    Asked(query): Asked<BindingFilter>,
) -> Result<Json<BindingList>, Problem> {
    let list = context
        .ask(move |market, _| {
            let mut trades: Vec<&Trade> = market.trades().filter(|t| query.all || !t.phase().is_final()).collect();
            trades.sort_by_key(|t| (t.phase().is_final(), std::cmp::Reverse(t.request.body().valid_until)));
            let items = trades.iter().take(MAX_LISTED).map(|t| BindingView::of(t, market)).collect();
            BindingList { total: trades.len(), items }
        })
        .await?;
    Ok(Json(list))
}

pub(super) async fn show(State(context): State<Context>, Named(name): Named) -> Result<Json<BindingView>, Problem> {
    let view = context.ask(move |market, _| find(market, &name).map(|trade| BindingView::of(trade, market))).await??;
    Ok(Json(view))
}

/// The binding whose id, or whose request's id, begins like this.
pub(super) fn find<'a>(market: &'a Market, name: &str) -> Result<&'a Trade, Problem> {
    let names = |trade: &Trade| {
        let binding = trade.binding().map(|id| id.to_string());
        binding.into_iter().chain([trade.request_id().to_string()]).collect()
    };
    super::id::resolve("binding", name, HINT, market.trades().map(|trade| (trade, names(trade))))
}

pub(super) async fn bind(State(context): State<Context>, Body(new): Body<NewBinding>) -> Result<Response, Problem> {
    let NewBinding { offering, units, dry_run } = new;
    let offering: MessageId = context
        .ask(move |market, now| market.book().get(&offering, now).map(|l| l.id))
        .await?
        .map_err(Problem::from)?;
    match context.command(Command::Bind { offering, units, wish: EscrowWish::default(), dry_run }).await? {
        Answer::Cost(cost) => {
            let protects = protects(cost.amount);
            Ok(Json(CostView::of(cost, protects)).into_response())
        }
        Answer::Bound { binding, request, transaction } => {
            Ok((StatusCode::CREATED, Json(Bound { binding, request, transaction })).into_response())
        }
        other => Err(Context::unexpected(&other)),
    }
}

pub(super) async fn unbind(State(context): State<Context>, Named(name): Named) -> Result<Json<Done>, Problem> {
    let request = context.ask(move |market, _| find(market, &name).map(Trade::request_id)).await??;
    match context.command(Command::Unbind(request)).await? {
        Answer::Unbound => Ok(Json(Done { done: true })),
        other => Err(Context::unexpected(&other)),
    }
}
