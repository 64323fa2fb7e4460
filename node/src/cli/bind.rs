//! `tradepost bind`: look, agree, bind, and wait until it can be used.

use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, timeout_at};
use tradepost_protocol::time::Timestamp;

use super::client::{Client, segment};
use super::failure::{Exit, Failure};
use super::wallet::{costs, go_on};
use super::{Consent, Global, binding, show};
use crate::api::request::NewBinding;
use crate::api::view::{BindingView, Bound, CostView, OfferingView};
use crate::terminal::plain;

/// How often a binding is looked at while nothing is told of it.
const LOOK: Duration = Duration::from_secs(2);
/// What is waited beyond the deadline of the start.
const GRACE: Duration = Duration::from_secs(30);

/// Binds an offering: shows what it costs and what protects the money, asks, and waits until it can be used.
#[derive(Debug, Args)]
pub struct Bind {
    /// The offering, or the beginning of its id.
    offering: String,
    /// How many units; the fewest that the offering sells unless told otherwise.
    #[arg(long, short = 'n')]
    units: Option<u64>,
    /// Doesn't wait until it can be used.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    consent: Consent,
}

impl Bind {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let terminal = global.terminal_with(self.consent);
        let client = Client::of(&global.home()?)?;
        let offering: OfferingView = client.get(&format!("/v1/offerings/{}", segment(&self.offering))).await?;
        let units = self.units.unwrap_or(offering.min_units);
        let mut wanted = NewBinding { offering: offering.id.to_string(), units, dry_run: true };
        let cost: CostView = client.post("/v1/bindings", &wanted).await?;
        if !go_on(terminal.confirm(&question(&offering, units, &cost, client.now()))?)? {
            return Ok(terminal.print(&cost, |_| String::new())?);
        }
        wanted.dry_run = false;
        let bound: Bound = client.post("/v1/bindings", &wanted).await?;
        let id = bound.binding.to_string();
        terminal.say(&format!("The provider has agreed: binding {}.", show::id(&id)));
        let view = match self.no_wait {
            true => binding::get(&client, &id).await?,
            false => wait(&client, &id, |phase| terminal.say(&format!("  {phase}"))).await?,
        };
        terminal.print(&view, |view| binding::text(view, client.now()))?;
        if self.no_wait { Ok(()) } else { verdict(&view) }
    }
}

/// What is bought, what it costs, and what protects it.
pub(super) fn question(offering: &OfferingView, units: u64, cost: &CostView, now: Timestamp) -> String {
    let what = show::units(units, Some(offering.price.unit));
    format!(
        "Bind {what} of {:?} ({}), {}, from {}\n{}",
        plain(&offering.title),
        show::id(offering.id),
        show::price(&offering.price),
        show::key(offering.account),
        costs(cost, now)
    )
}

/// Follows a binding until it can be used or is past that.
async fn wait(client: &Client, id: &str, mut say: impl FnMut(&str)) -> Result<BindingView, Failure> {
    let mut watch = client.watch().await?;
    let mut view = binding::get(client, id).await?;
    let started_by = view.deadlines.as_ref().map(|d| d.start_by.timestamp().since(client.now()));
    let until = Instant::now() + started_by.unwrap_or_default() + GRACE;
    let mut told = String::new();
    while !decided(&view) {
        if view.phase != told {
            told.clone_from(&view.phase);
            say(&format!("{}: {}", view.phase, view.next_action));
        }
        let next = until.min(Instant::now() + LOOK);
        watch.change(next).await?;
        view = timeout_at(until + GRACE, binding::get(client, id)).await.map_err(|_| {
            Failure::new(Exit::Unreachable, "the node doesn't answer in time")
                .hint("`tradepost binding show` looks again")
        })??;
        if Instant::now() >= until {
            break;
        }
    }
    Ok(view)
}

fn decided(view: &BindingView) -> bool {
    !matches!(view.phase.as_str(), "requested" | "agreed" | "funded")
}

/// Whether the binding can be used, or why not.
fn verdict(view: &BindingView) -> Result<(), Failure> {
    let id = show::id(view.name());
    let why = view.note.as_deref().map(plain).or_else(|| view.ended.clone());
    let failed = |what: String| Failure::new(Exit::Failed, what).code(format!("binding-{}", view.phase));
    let because = why.map(|why| format!(": {why}")).unwrap_or_default();
    match view.phase.as_str() {
        "active" | "delivered" => Ok(()),
        "closed" if view.escrow.as_ref().is_none_or(|escrow| escrow.state == "paid") => Ok(()),
        "void" => {
            Err(failed(format!("binding {id} came to nothing{because}")).hint("no money moved; bind again, or another"))
        }
        "failed" | "refused" | "timeout" | "closed" => {
            let hint = match view.deadlines.as_ref().and_then(|d| d.refund_at.as_ref()) {
                Some(at) => format!("the money comes back by itself, from {} on at the latest", at.text),
                None => "it cost nothing".to_owned(),
            };
            Err(failed(format!("binding {id} can't be used{because}")).hint(hint))
        }
        _ => {
            let what = format!("binding {id} is still {}{because}", view.phase);
            Err(failed(what).hint("it goes on by itself: `tradepost binding show` tells how"))
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::api::view::samples;

    #[test]
    fn the_question_says_amount_fee_reserve_return_and_protection() {
        let text = question(&samples::offering(), 10, &samples::cost(), Timestamp::from_secs(1_800_000_000));
        for part in
            ["10 calls", "5 XLM", "at most 0.1 XLM", "1.5 XLM, locked", "at the latest", "a provider that disappears"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn only_what_can_be_used_is_success() {
        let with = |phase: &str, escrow: &str| {
            let mut view = samples::binding();
            view.phase = phase.to_owned();
            view.note = Some("it never got healthy".to_owned());
            view.escrow.as_mut().unwrap().state = escrow.to_owned();
            verdict(&view)
        };
        assert!(
            with("active", "locked").is_ok() && with("delivered", "locked").is_ok() && with("closed", "paid").is_ok()
        );
        let failed = with("failed", "locked").unwrap_err();
        assert_eq!((failed.exit, failed.code.as_deref()), (Exit::Failed, Some("binding-failed")));
        assert!(failed.what.contains("never got healthy") && failed.hint.unwrap().contains("comes back"));
        assert!(
            with("closed", "refunded").is_err() && with("void", "none").is_err() && with("funded", "locked").is_err()
        );
    }
}
