//! `/v1/offerings`: the book, and one's own part of it.

use core::time::Duration;
use std::path::Path;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tradepost_protocol::account::ServiceKey;
use tradepost_protocol::document::{BuiltIn, ServiceRef};
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Answer, Command, OfferingDraft};
use tradepost_protocol::message::{SeriesId, TemplateId};
use tradepost_protocol::time::Now;

use super::context::Context;
use super::filter::{OfferingFilter, template_id};
use super::problem::Problem;
use super::reject::{Asked, Body, Named};
use super::request::{NewOffering, ServedBy};
use super::view::{
    CostView, Moment, OfferingList, OfferingView, OwnOfferingList, OwnOfferingView, Published, Withdrawn,
};
use crate::config::ServiceConfig;
use crate::problem_code::ProblemCode;

/// The templates of what people do for others, which no service stands behind.
const BY_PEOPLE: [&str; 2] = ["help", "arbiter"];
/// What errors call the file that an offering's service was described in; its paths are absolute.
const OFFERING_FILE: &str = "/offering.toml";
/// Where to look for one's own offerings.
const OWN_HINT: &str = "`tradepost offering list --own` shows this node's";

pub(super) async fn list(
    State(context): State<Context>,
    Asked(query): Asked<OfferingFilter>,
) -> Result<Json<OfferingList>, Problem> {
    let filter = query.filter(context.keys().account)?;
    let page = query.page();
    let list = context
        .ask(move |market, now| {
            let found = market.book().listing(&filter, page, now)?;
            let items = found.items.iter().map(|listing| OfferingView::of(listing, market)).collect();
            Ok::<_, Problem>(OfferingList { total: found.total, offset: page.offset, limit: page.limit, items })
        })
        .await??;
    Ok(Json(list))
}

pub(super) async fn own(State(context): State<Context>) -> Result<Json<OwnOfferingList>, Problem> {
    let items = context
        .ask(|market, now| market.offers().map(|(_, offer)| OwnOfferingView::of(offer, market, now)).collect())
        .await?;
    Ok(Json(OwnOfferingList { items }))
}

pub(super) async fn show(State(context): State<Context>, Named(name): Named) -> Result<Json<OfferingView>, Problem> {
    let view = context
        .ask(move |market, now| {
            let listing = market.book().get(&name, now)?;
            Ok::<_, Problem>(OfferingView::of(&listing, market))
        })
        .await??;
    Ok(Json(view))
}

pub(super) async fn publish(
    State(context): State<Context>,
    Body(new): Body<NewOffering>,
) -> Result<(StatusCode, Json<Published>), Problem> {
    let draft = draft(&context, new).await?;
    match context.command(Command::Publish(Box::new(draft))).await? {
        Answer::Published { series, offering, bond, transaction } => {
            Ok((StatusCode::CREATED, Json(Published { series, offering, bond, transaction })))
        }
        other => Err(Context::unexpected(&other)),
    }
}

pub(super) async fn quote(
    State(context): State<Context>,
    Body(new): Body<NewOffering>,
) -> Result<Json<CostView>, Problem> {
    let draft = draft(&context, new).await?;
    match context.command(Command::QuotePublish(Box::new(draft))).await? {
        Answer::Cost(cost) => Ok(Json(CostView::of(cost))),
        other => Err(Context::unexpected(&other)),
    }
}

pub(super) async fn withdraw(State(context): State<Context>, Named(name): Named) -> Result<Json<Withdrawn>, Problem> {
    let series = context.ask(move |market, now| series(market, &name, now)).await??;
    match context.command(Command::Withdraw(series)).await? {
        Answer::Withdrawn { series, bond_until } => {
            Ok(Json(Withdrawn { series, bond_until: Moment::from(bond_until) }))
        }
        other => Err(Context::unexpected(&other)),
    }
}

/// The series that a name means: one of this node's, else one of the book's, whose owner the market then names.
fn series(market: &Market, name: &str, now: Now) -> Result<SeriesId, Problem> {
    let own = market.offers().map(|(series, offer)| (*series, vec![series.to_string(), offer.id().to_string()]));
    match super::id::resolve("offering", name, OWN_HINT, own) {
        Err(problem) if problem.code == "not-found" => {
            market.book().get(name, now).map(|l| l.series).map_err(|_| problem)
        }
        found => found,
    }
}

async fn draft(context: &Context, new: NewOffering) -> Result<OfferingDraft, Problem> {
    let template = template_id(&new.template)?;
    let service = match new.record {
        Some(key) => Some(context.ask(move |market, _| reference(market, &key)).await??),
        None => None,
    };
    Ok(OfferingDraft {
        template,
        parameters: new.parameters,
        title: new.title,
        description: new.description,
        service,
        recipient: new.recipient,
        price: new.price,
        min_units: new.min_units,
        max_units: new.max_units,
        max_supply: new.max_supply,
        deliver: new.windows.deliver(),
        collect: new.windows.collect(),
        escrow: new.escrow,
        arbitration: new.arbitration,
        transports: new.transports.unwrap_or_else(|| context.config().transports.clone()),
        life: Duration::from_secs(new.life_secs),
        spec: spec(context, template, new.service)?,
    })
}

fn reference(market: &Market, key: &ServiceKey) -> Result<ServiceRef, Problem> {
    let record = market.book().record(key);
    record.map(|record| record.body().reference()).ok_or_else(|| {
        Problem::not_found(format!("no record of the service {key} is known here"))
            .remedy("`tradepost service register` makes one, `tradepost service show` lists this node's")
    })
}

/// What the node keeps of how those who bind it are served: nothing where people do.
fn spec(context: &Context, template: TemplateId, service: Option<ServedBy>) -> Result<Vec<u8>, Problem> {
    let invalid = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::InvalidService, detail);
    let checked = |config: &ServiceConfig| {
        let (api, listen) = context.own_addresses();
        if config.is_nodes_own(api, listen) {
            let problem = invalid("the service's url is this node's own address".to_owned());
            return Err(problem.remedy("give the address of the service itself"));
        }
        if let Some(program) = config.missing_program() {
            let problem = invalid(format!("the service can't be started: there is no program {program:?} to run"));
            return Err(problem.remedy("let `start` begin with a program's path, or with a name that PATH finds"));
        }
        Ok(config.to_spec())
    };
    match service {
        Some(ServedBy::Configured(name)) => match context.config().services.get(&name) {
            Some(config) => checked(config),
            None => {
                let known: Vec<&str> = context.config().services.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let problem = invalid(format!("the configuration has no service {name:?}; it has {known}"));
                Err(problem.remedy("add [service.NAME] to config.toml and start the node again"))
            }
        },
        Some(ServedBy::Described(table)) => {
            let table = toml::Table::try_from(&table).map_err(|e| invalid(format!("service: {e}")))?;
            checked(&ServiceConfig::from_table("offering", &table, Path::new(OFFERING_FILE))?)
        }
        None if BY_PEOPLE.iter().filter_map(|name| BuiltIn::named(name)).any(|known| known.id == template) => {
            Ok(Vec::new())
        }
        None => {
            let problem = invalid("the offering doesn't say what serves those who bind it".to_owned());
            Err(problem.remedy("give `service`: a table with `start` or `url`, or a configured service's name"))
        }
    }
}
