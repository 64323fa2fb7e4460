//! `/v1/requests`: requests that are gossiped where the provider can't be reached.

use core::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tradepost_protocol::book::{ListingError, Page};
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Answer, Command, EscrowWish};
use tradepost_protocol::message::MessageId;

use super::bindings;
use super::context::Context;
use super::problem::Problem;
use super::reject::{Asked, Body, Named};
use super::request::NewRequest;
use super::view::{Done, Moment, RequestList, RequestView, Requested};

/// Where to look for requests.
const HINT: &str = "`tradepost request list` shows those that haven't ended";

/// The query of `GET /v1/requests`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestFilter {
    /// Other people's too.
    #[serde(default)]
    all: bool,
    /// How many to pass over.
    offset: Option<usize>,
    /// How many to show.
    limit: Option<usize>,
}

pub(super) async fn list(
    State(context): State<Context>,
    Asked(query): Asked<RequestFilter>,
) -> Result<Json<RequestList>, Problem> {
    let usual = Page::default();
    let page = Page { offset: query.offset.unwrap_or(usual.offset), limit: query.limit.unwrap_or(usual.limit) };
    if page.limit == 0 || page.limit > Page::MAX {
        return Err(ListingError::PageLimit(page.limit).into());
    }
    let list = context
        .ask(move |market, _| {
            let mut items: Vec<RequestView> = market.book().requests().map(|r| RequestView::of(r, market)).collect();
            items.retain(|view| query.all || view.concerns_me());
            items.sort_by_key(|view| (view.valid_until.secs, view.request));
            let total = items.len();
            let items = items.into_iter().skip(page.offset).take(page.limit).collect();
            RequestList { total, offset: page.offset, limit: page.limit, items }
        })
        .await?;
    Ok(Json(list))
}

pub(super) async fn publish(State(context): State<Context>, Body(new): Body<NewRequest>) -> Result<Response, Problem> {
    let NewRequest { offering, units, life_secs, escrow, dry_run } = new;
    let offering: MessageId = context
        .ask(move |market, now| market.book().get(&offering, now).map(|l| l.id))
        .await?
        .map_err(Problem::from)?;
    let (life, wish) = (Duration::from_secs(life_secs), EscrowWish { kind: escrow, ..EscrowWish::default() });
    match context.command(Command::PublishRequest { offering, units, wish, life, dry_run }).await? {
        Answer::Quoted { cost, escrow } => Ok(Json(bindings::quoted(&context, cost, escrow).await?).into_response()),
        Answer::Requested { request, valid_until } => {
            let requested = Requested { request, valid_until: Moment::from(valid_until) };
            Ok((StatusCode::CREATED, Json(requested)).into_response())
        }
        other => Err(Context::unexpected(&other)),
    }
}

pub(super) async fn cancel(State(context): State<Context>, Named(name): Named) -> Result<Json<Done>, Problem> {
    let request = context.ask(move |market, _| find(market, &name)).await??;
    match context.command(Command::CancelRequest(request)).await? {
        Answer::Unbound => Ok(Json(Done { done: true })),
        other => Err(Context::unexpected(&other)),
    }
}

/// The request whose id, or whose binding's, begins like this: published, or this node's own.
fn find(market: &Market, name: &str) -> Result<MessageId, Problem> {
    let known = market.trades().map(|t| (t.request_id(), t.binding()));
    let others = market.book().requests().map(|r| (r.signed.id(), None));
    let others = others.filter(|(id, _)| market.trade(id.as_bytes()).is_none());
    let named = known.chain(others).map(|(request, binding)| {
        (request, binding.map(|b| b.to_string()).into_iter().chain([request.to_string()]).collect())
    });
    super::id::resolve("request", name, HINT, named)
}
