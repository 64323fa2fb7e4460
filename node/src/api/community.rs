//! `/v1/community`: help exchanges.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::community::shape::MakeKind;
use tradepost_protocol::market::command::{Answer, Command};
use tradepost_protocol::market::{Deed, Market};
use tradepost_protocol::message::TxHash;

use super::context::Context;
use super::problem::Problem;
use super::reject::{Body, Named};
use super::request::{NewDeed, NewHelp};
use super::view::{ChainView, CostView, ExchangeList, Helped};

/// Where to look for transactions of exchanges.
const HINT: &str = "`tradepost community show` shows what stands";

pub(super) async fn list(State(context): State<Context>) -> Result<Json<ExchangeList>, Problem> {
    Ok(Json(context.ask(ExchangeList::of).await?))
}

pub(super) async fn chain(State(context): State<Context>, Named(name): Named) -> Result<Json<ChainView>, Problem> {
    let view = context
        .ask(move |market, now| {
            let (exchange, hash) = transaction(market, None, &name)?;
            let exchange = market.exchange(&exchange);
            let view = exchange.and_then(|exchange| ChainView::of(market, exchange, hash, now));
            view.ok_or_else(|| Problem::not_found(format!("no chain has {hash}")).remedy(HINT))
        })
        .await??;
    Ok(Json(view))
}

pub(super) async fn act(State(context): State<Context>, Body(new): Body<NewHelp>) -> Result<Response, Problem> {
    let NewHelp { exchange, deed, dry_run } = new;
    let (exchange, deed) = context.ask(move |market, _| resolved(market, exchange, deed)).await??;
    match context.command(Command::Community { exchange, deed, dry_run }).await? {
        Answer::Cost(cost) => Ok(Json(CostView::of(cost)).into_response()),
        Answer::Helped { transaction, balance } => {
            Ok(Json(Helped { transaction, balance, series: None }).into_response())
        }
        Answer::Published { series, .. } => {
            let make = context.ask(move |market, _| market.make_of_series(&series)).await?;
            let transaction = make.ok_or_else(|| Problem::not_found("the offering tells of no make".to_owned()))?;
            Ok(Json(Helped { transaction, balance: None, series: Some(series) }).into_response())
        }
        other => Err(Context::unexpected(&other)),
    }
}

/// What a client asks for, with the transactions that it names found.
fn resolved(market: &Market, exchange: Option<Asset>, deed: NewDeed) -> Result<(Option<Asset>, Deed), Problem> {
    let found = |name: &str| transaction(market, exchange.as_ref(), name).map(|(asset, hash)| (Some(asset), hash));
    let make = |kind, text: String, price, valid_secs| {
        (exchange.clone(), Deed::Make { kind, description: text, price, validity: valid_secs })
    };
    Ok(match deed {
        NewDeed::Create { life_secs } => (exchange, Deed::Create { life_secs }),
        NewDeed::Join { agent } => (exchange, Deed::Join { agent }),
        NewDeed::Leave { into } => (exchange, Deed::Leave { into }),
        NewDeed::Offer { text, price, valid_secs } => make(MakeKind::Offer, text, price, valid_secs),
        NewDeed::Request { text, price, valid_secs } => make(MakeKind::Request, text, price, valid_secs),
        NewDeed::Take { of, at_most } => {
            let (exchange, make) = found(&of)?;
            (exchange, Deed::Take { make, at_most })
        }
        NewDeed::Claim { of } => {
            let (exchange, take) = found(&of)?;
            (exchange, Deed::Claim { take })
        }
        NewDeed::Grant { of } => {
            let (exchange, take) = found(&of)?;
            (exchange, Deed::Grant { take })
        }
        NewDeed::Convert { of } => {
            let (exchange, payment) = found(&of)?;
            (exchange, Deed::Convert { payment })
        }
        NewDeed::Repay { of } => {
            let (exchange, payment) = found(&of)?;
            (exchange, Deed::Repay { payment })
        }
        NewDeed::Reclaim { balance } => (exchange, Deed::Reclaim { balance }),
    })
}

/// The transaction that a name means: a link's hash or its beginning, or a make's offering by its series or id.
fn transaction(market: &Market, within: Option<&Asset>, name: &str) -> Result<(Asset, TxHash), Problem> {
    let exchanges = market.exchanges().filter(|exchange| within.is_none_or(|asset| exchange.terms.clawable == *asset));
    let links = exchanges.flat_map(|exchange| {
        let asset = exchange.terms.clawable.clone();
        exchange.chain.links().iter().map(move |link| ((asset.clone(), link.hash), vec![link.hash.to_string()]))
    });
    let told = market.told_makes();
    let told = told.map(|(listed, series)| ((listed.exchange, listed.make), vec![series.to_string()]));
    let found = super::id::resolve("transaction of a help exchange", name, HINT, links.chain(told));
    // A whole hash may be of a ledger that is looked at in a moment.
    let only = || Some(market.exchanges().next()?.terms.clawable.clone()).filter(|_| market.exchanges().count() == 1);
    match (found, name.parse::<TxHash>(), within.cloned().or_else(only)) {
        (Err(problem), Ok(hash), Some(exchange)) if problem.code == "not-found" => Ok((exchange, hash)),
        (found, ..) => found,
    }
}
