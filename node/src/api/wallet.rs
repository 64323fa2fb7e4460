//! `/v1/wallet`: money.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tradepost_ledger::{Funded as Friendbot, Ledger as _};
use tradepost_protocol::binding::precheck::PrecheckCode;
use tradepost_protocol::market::command::{Answer, Command};

use super::context::Context;
use super::problem::Problem;
use super::reject::Body;
use super::request::{NewPayment, NewRecovery, NewTrust};
use super::view::{CostView, Funded, Merging, Paid, RecoveryView, TrustView, WalletView};
use crate::config::Network;
use crate::problem_code::ProblemCode;

pub(super) async fn show(State(context): State<Context>) -> Result<Json<WalletView>, Problem> {
    Ok(Json(context.ask(|market, _| WalletView::of(market)).await?))
}

pub(super) async fn pay(State(context): State<Context>, Body(new): Body<NewPayment>) -> Result<Response, Problem> {
    let NewPayment { to, amount, asset, memo, dry_run } = new;
    match context.command(Command::Pay { to, asset, amount, memo, dry_run }).await? {
        Answer::Cost(cost) => Ok(Json(CostView::of(cost)).into_response()),
        Answer::Paid(transaction) => Ok(Json(Paid { transaction }).into_response()),
        other => Err(Context::unexpected(&other)),
    }
}

pub(super) async fn trust(State(context): State<Context>, Body(new): Body<NewTrust>) -> Result<Response, Problem> {
    let NewTrust { asset, limit, dry_run } = new;
    match context.command(Command::Trust { asset, limit, dry_run }).await? {
        Answer::Trust(cost) => Ok(Json(TrustView::from(cost)).into_response()),
        Answer::Trusted(transaction) => Ok(Json(Paid { transaction }).into_response()),
        other => Err(Context::unexpected(&other)),
    }
}

pub(super) async fn recovery(State(context): State<Context>) -> Result<Json<RecoveryView>, Problem> {
    Ok(Json(context.ask(|market, _| RecoveryView::of(market)).await?))
}

pub(super) async fn recover(
    State(context): State<Context>,
    Body(new): Body<NewRecovery>,
) -> Result<Json<RecoveryView>, Problem> {
    match context.command(Command::Recover { take: new.take }).await? {
        Answer::Recovering => recovery(State(context)).await,
        other => Err(Context::unexpected(&other)),
    }
}

pub(super) async fn merge(State(context): State<Context>) -> Result<Json<Merging>, Problem> {
    match context.command(Command::MergeSubmitters).await? {
        Answer::Merging(accounts) => Ok(Json(Merging { accounts })),
        other => Err(Context::unexpected(&other)),
    }
}

pub(super) async fn fund(State(context): State<Context>) -> Result<Json<Funded>, Problem> {
    if context.config().network == Network::Public {
        let detail = "nobody gives money away on the public network";
        return Err(Problem::new(StatusCode::CONFLICT, ProblemCode::NoFriendbot, detail)
            .remedy("pay it in from another wallet"));
    }
    let no_key =
        || Problem::new(StatusCode::CONFLICT, PrecheckCode::NoAccountKey, "this node has no account to be funded");
    let account = context.keys().account.ok_or_else(no_key)?;
    let (created, transaction) = match context.node().ledger.fund_by_friendbot(account).await? {
        Friendbot::Created(transaction) => (true, transaction),
        Friendbot::Already => (false, None),
    };
    Ok(Json(Funded { account, created, transaction }))
}
