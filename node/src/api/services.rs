//! `/v1/services`: records of one's services, each under a key of its own.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tradepost_protocol::account::ServiceKey;
use tradepost_protocol::document::ServiceRecord;
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Answer, Command};
use tradepost_protocol::message::Signed;

use super::context::Context;
use super::problem::Problem;
use super::reject::{Body, Named};
use super::request::NewService;
use super::view::{ServiceList, ServiceView};
use crate::config::MAX_SERVICES;
use crate::problem_code::ProblemCode;

pub(super) async fn list(State(context): State<Context>) -> Result<Json<ServiceList>, Problem> {
    let keys = own_keys(&context);
    let items = context
        .ask(move |market, _| {
            let records = keys.iter().filter_map(|key| market.book().record(key));
            records.map(|record| ServiceView::of(record, true)).collect()
        })
        .await?;
    Ok(Json(ServiceList { items }))
}

pub(super) async fn show(State(context): State<Context>, Named(name): Named) -> Result<Json<ServiceView>, Problem> {
    let key: ServiceKey =
        name.parse().map_err(|e: tradepost_protocol::account::KeyTextError| Problem::bad_request(e.to_string()))?;
    let own = own_keys(&context).contains(&key);
    let found = context.ask(move |market, _| market.book().record(&key).map(|r| ServiceView::of(r, own))).await?;
    found.map(Json).ok_or_else(|| {
        Problem::not_found(format!("no record of the service {key} is known here"))
            .remedy("`tradepost service show` lists this node's")
    })
}

pub(super) async fn register(
    State(context): State<Context>,
    Body(new): Body<NewService>,
) -> Result<(StatusCode, Json<ServiceView>), Problem> {
    let keys = own_keys(&context);
    if keys.is_empty() {
        let problem =
            Problem::new(StatusCode::CONFLICT, ProblemCode::NoServiceKey, "this node holds no key for services");
        return Err(
            problem.remedy("register it where the mnemonic is: `tradepost init --roles …,service` keeps the key")
        );
    }
    let next = context.ask(move |market, _| next(market, &keys, new)).await??;
    let (index, body) = match next {
        Next::Known(view) => return Ok((StatusCode::OK, Json(*view))),
        Next::Record(index, body) => (index, *body),
    };
    let key = context.service_keys().service(index).ok_or_else(|| Problem::unavailable("the service's key is gone"))?;
    let signed = Signed::sign(body, &context.node().facts.network_id, &key)?;
    match context.command(Command::Register(signed.packed().bytes().to_vec())).await? {
        Answer::Registered(_) => Ok((StatusCode::CREATED, Json(ServiceView::of(&signed, true)))),
        other => Err(Context::unexpected(&other)),
    }
}

/// The keys of all services that this node may have, by their index.
fn own_keys(context: &Context) -> Vec<ServiceKey> {
    (0..MAX_SERVICES as u32).map_while(|index| context.service_keys().service_key(index)).collect()
}

enum Next {
    /// The record that is asked for is the current one.
    Known(Box<ServiceView>),
    /// This is to be signed with the key of this index.
    Record(u32, Box<ServiceRecord>),
}

/// The next record: of the service that is named, or whose repository and path these are, else of a new one.
fn next(market: &Market, keys: &[ServiceKey], new: NewService) -> Result<Next, Problem> {
    let record = |key: &ServiceKey| market.book().record(key);
    let same_place = |key: &ServiceKey| {
        record(key).is_some_and(|r| r.body().repository == new.repository && r.body().path == new.path)
    };
    let index = match new.service {
        Some(wanted) => keys.iter().position(|key| *key == wanted).ok_or_else(|| {
            Problem::not_found(format!("the service {wanted} isn't this node's"))
                .remedy("`tradepost service show` lists this node's")
        })?,
        None => {
            let place = keys.iter().position(same_place);
            let free = || keys.iter().position(|key| record(key).is_none());
            let full =
                || Problem::new(StatusCode::CONFLICT, ProblemCode::TooManyServices, "all keys for services are in use");
            place.or_else(free).ok_or_else(full)?
        }
    };
    let service = keys[index];
    let current = record(&service);
    let body = ServiceRecord {
        service,
        repository: new.repository,
        commit: new.commit,
        path: new.path,
        interface_hash: new.interface_hash,
        title: new.title,
        revision: current.map_or(1, |r| r.body().revision + 1),
        previous: current.map(|r| r.id()),
    };
    if let Some(current) = current {
        let known = current.body();
        let unchanged = ServiceRecord { revision: known.revision, previous: known.previous, ..body.clone() };
        if unchanged == *known {
            return Ok(Next::Known(Box::new(ServiceView::of(current, true))));
        }
    }
    Ok(Next::Record(index as u32, Box::new(body)))
}
