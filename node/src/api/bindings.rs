//! `/v1/bindings`: bindings, from either side.

use core::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tradepost_ledger::{Ledger as _, LedgerError};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::market::command::{Answer, Command, Cost, EscrowWish};
use tradepost_protocol::market::{EscrowChoice, Market};
use tradepost_protocol::message::MessageId;
use tradepost_protocol::stellar::entry::Entry;
use tradepost_protocol::stellar::ledger_key::Key;

use super::context::Context;
use super::problem::Problem;
use super::reject::{Asked, Body, Named};
use super::request::{NewBinding, NewRelease};
use super::view::{BindingList, BindingView, Bound, CostView, Done, IssuerView, SplitView};

/// Where to look for bindings.
const HINT: &str = "`tradepost binding list --all` shows this node's";
/// How long a binding that is looked at waits for what the ledger says of its asset's issuer.
const ISSUER_PATIENCE: Duration = Duration::from_secs(3);
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
    let find = move |market: &Market, now| {
        let trade = find(market, &name)?;
        let if_unbound = market.claims_if_unbound(trade, now).map(SplitView::from);
        Ok::<_, Problem>(BindingView { if_unbound, ..BindingView::of(trade, market) })
    };
    let mut view = context.ask(find).await??;
    if let Some(asset) = view.asset.as_ref().filter(|_| !view.is_final) {
        // The terms can be shown without it, when the ledger can't be read.
        let found = tokio::time::timeout(ISSUER_PATIENCE, issuer(&context, asset)).await;
        view.issuer = found.ok().and_then(Result::ok).flatten();
    }
    Ok(Json(view))
}

/// What the issuer of an asset may do with it, by the ledger; nothing for the native coin.
async fn issuer(context: &Context, asset: &Asset) -> Result<Option<IssuerView>, LedgerError> {
    let Asset::Issued { issuer, .. } = asset else { return Ok(None) };
    let key = Key::Account(*issuer);
    let read = context.node().ledger.read(std::slice::from_ref(&key)).await?;
    let account = match read.get(&key).and_then(|found| found.entry.as_ref().ok()) {
        Some(Entry::Account(account)) => Some(account),
        _ => None,
    };
    Ok(Some(IssuerView::of(asset, account)))
}

/// What a binding would cost, with how its money would be held.
pub(super) async fn quoted(context: &Context, cost: Cost, escrow: EscrowChoice) -> Result<CostView, Problem> {
    let issuer = issuer(context, &cost.asset).await?;
    Ok(CostView::of_binding(cost, escrow, issuer))
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
    let NewBinding { offering, units, escrow, pay_unless_disputed, dry_run } = new;
    let wish = EscrowWish { kind: escrow, pay_unless_disputed };
    let offering: MessageId = context
        .ask(move |market, now| market.book().get(&offering, now).map(|l| l.id))
        .await?
        .map_err(Problem::from)?;
    match context.command(Command::Bind { offering, units, wish, dry_run }).await? {
        Answer::Quoted { cost, escrow } => Ok(Json(quoted(&context, cost, escrow).await?).into_response()),
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

pub(super) async fn release(
    State(context): State<Context>,
    Named(name): Named,
    Body(new): Body<NewRelease>,
) -> Result<Json<Done>, Problem> {
    let request = context.ask(move |market, _| find(market, &name).map(Trade::request_id)).await??;
    match context.command(Command::Release { request, to_provider: new.to_provider }).await? {
        Answer::Released => Ok(Json(Done { done: true })),
        other => Err(Context::unexpected(&other)),
    }
}
