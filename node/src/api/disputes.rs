//! `/v1/disputes`: disputes about this node's bindings, and those that it decides as an arbiter.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tradepost_protocol::binding::evidence::Attachment;
use tradepost_protocol::binding::frames::Note;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::limits::MAX_REASON_BYTES;
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Answer, Command};
use tradepost_protocol::message::{BindingId, MessageId};
use tradepost_protocol::time::Now;

use super::bindings;
use super::context::Context;
use super::problem::Problem;
use super::reject::{Asked, Body, Named};
use super::request::{NewAward, NewDispute, NewEvidence, NewFile};
use super::view::{DisputeDetails, DisputeList, DisputeView, Done, Shown};
use crate::problem_code::ProblemCode;

/// Where to look for disputes.
const HINT: &str = "`tradepost dispute list --all` shows this node's, and those that it decides";
/// Most disputes in one answer.
const MAX_LISTED: usize = 1_000;

/// The query of `GET /v1/disputes`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DisputeFilter {
    /// Those that nobody has opened yet, and those that are over, too.
    #[serde(default)]
    all: bool,
}

pub(super) async fn list(
    State(context): State<Context>,
    Asked(query): Asked<DisputeFilter>,
) -> Result<Json<DisputeList>, Problem> {
    let list = context
        .ask(move |market, now| {
            let mut items = all(market, now);
            items.retain(|view| query.all || view.is_under_way());
            items.sort_by_key(|view| (!view.is_open, view.award_by.secs, view.binding));
            let total = items.len();
            items.truncate(MAX_LISTED);
            DisputeList { total, items }
        })
        .await?;
    Ok(Json(list))
}

/// Every dispute that is or may be had, of one's bindings and as an arbiter.
pub(super) fn all(market: &Market, now: Now) -> Vec<DisputeView> {
    let own = market.trades().filter_map(|trade| DisputeView::of_trade(trade, market));
    own.chain(market.cases().filter_map(|case| DisputeView::of_case(case, market, now))).collect()
}

pub(super) async fn show(State(context): State<Context>, Named(name): Named) -> Result<Json<DisputeDetails>, Problem> {
    let details = context
        .ask(move |market, now| {
            let dispute = find(market, &name, now)?;
            let evidence = DisputeView::evidence(dispute.binding, market);
            Ok::<_, Problem>(DisputeDetails { dispute, evidence })
        })
        .await??;
    Ok(Json(details))
}

/// The dispute whose binding, or whose request, has an id that begins like this.
fn find(market: &Market, name: &str, now: Now) -> Result<DisputeView, Problem> {
    let known = all(market, now).into_iter().map(|view| {
        let ids = vec![view.binding.to_string(), view.request.to_string()];
        (view, ids)
    });
    super::id::resolve("dispute", name, HINT, known)
}

/// The binding of this node's that a party's command is about.
async fn own(context: &Context, name: String) -> Result<MessageId, Problem> {
    context.ask(move |market, _| bindings::find(market, &name).map(Trade::request_id)).await?
}

pub(super) async fn open(
    State(context): State<Context>,
    Named(name): Named,
    Body(new): Body<NewDispute>,
) -> Result<Json<Done>, Problem> {
    let NewDispute { to_provider, text } = new;
    let request = own(&context, name).await?;
    match context.command(Command::OpenDispute { request, to_provider, text }).await? {
        Answer::Disputed => Ok(Json(Done { done: true })),
        other => Err(Context::unexpected(&other)),
    }
}

pub(super) async fn show_evidence(
    State(context): State<Context>,
    Named(name): Named,
    Body(new): Body<NewEvidence>,
) -> Result<(StatusCode, Json<Shown>), Problem> {
    let request = own(&context, name).await?;
    let attachment = |NewFile { name, bytes }| Attachment { name, bytes: bytes.0 };
    let (text, attachments) = (new.text, new.files.into_iter().map(attachment).collect());
    match context.command(Command::ShowEvidence { request, text, attachments }).await? {
        Answer::Shown(number) => Ok((StatusCode::CREATED, Json(Shown { number }))),
        other => Err(Context::unexpected(&other)),
    }
}

pub(super) async fn award(
    State(context): State<Context>,
    Named(name): Named,
    Body(new): Body<NewAward>,
) -> Result<Json<Done>, Problem> {
    let NewAward { to_provider, note } = new;
    if note.len() > MAX_REASON_BYTES {
        let detail = format!("the reason has {} bytes, at most {MAX_REASON_BYTES} are sent", note.len());
        return Err(
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::InvalidBody, detail).remedy("shorten it")
        );
    }
    let binding: BindingId = context.ask(move |market, now| find(market, &name, now).and_then(decided_here)).await??;
    match context.command(Command::Award { binding, to_provider, note: Note::new(note) }).await? {
        Answer::Awarded => Ok(Json(Done { done: true })),
        other => Err(Context::unexpected(&other)),
    }
}

/// The binding of a case that this node decides.
fn decided_here(view: DisputeView) -> Result<BindingId, Problem> {
    if view.is_arbiters() {
        return Ok(view.binding);
    }
    let detail = format!("this node is the {} of this binding, and its arbiters decide", view.role);
    let problem = Problem::new(StatusCode::CONFLICT, ProblemCode::NotTheArbiter, detail);
    Err(problem
        .remedy("`tradepost binding release` gives way, `tradepost dispute evidence` shows the arbiters something"))
}
