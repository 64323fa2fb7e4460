//! `tradepost offering watch`: what changes in the book, as it does.

use clap::Args;
use serde::Serialize;
use tradepost_protocol::message::SeriesId;
use tradepost_protocol::time::Timestamp;

use crate::api::Change;
use crate::api::view::OfferingView;
use crate::cli::client::{Client, segment};
use crate::cli::failure::{Exit, Failure};
use crate::cli::{Global, show};
use crate::shutdown::Shutdown;
use crate::terminal::{Terminal, plain};

/// Prints what changes in the book, a line a change, until Ctrl-C.
#[derive(Debug, Args)]
pub struct Watch {
    /// Only this offering: its id, or the beginning of it.
    offering: Option<String>,
}

/// A line of `offering watch --json`.
#[derive(Debug, Serialize)]
struct Line {
    #[serde(flatten)]
    change: Change,
    /// What the offering is now; absent where the book has it no more, and for what concerns none.
    #[serde(skip_serializing_if = "Option::is_none")]
    offering: Option<OfferingView>,
}

impl Watch {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let shutdown = Shutdown::on_signals()?;
        tokio::select! {
            biased;
            () = shutdown.drain().cancelled() => Ok(()),
            ended = self.follow(global) => ended,
        }
    }

    async fn follow(&self, global: &Global) -> Result<(), Failure> {
        let terminal = global.terminal();
        let client = Client::of(&global.home()?)?;
        let only = match &self.offering {
            Some(name) => {
                let view: OfferingView = client.get(&format!("/v1/offerings/{}", segment(name))).await?;
                Some(view.series)
            }
            None => None,
        };
        let mut watch = client.watch().await?;
        loop {
            let change = watch.next().await?;
            let offering = match &change {
                Change::Offering { series } if only.is_none_or(|only| only == *series) => now(&client, *series).await?,
                Change::Watching | Change::Lagged { .. } => None,
                Change::Offering { .. } | Change::Binding { .. } | Change::Wallet => continue,
            };
            tell(terminal, &Line { change, offering }, client.now())?;
        }
    }
}

/// What the book says of a series now; nothing where it has it no more.
async fn now(client: &Client, series: SeriesId) -> Result<Option<OfferingView>, Failure> {
    match client.get(&format!("/v1/offerings/{series}")).await {
        Err(failure) if failure.exit == Exit::NotFound => Ok(None),
        found => found.map(Some),
    }
}

fn tell(terminal: Terminal, line: &Line, now: Timestamp) -> Result<(), Failure> {
    match &line.change {
        Change::Offering { series } => {
            return Ok(terminal.print(line, |line| text(*series, line.offering.as_ref(), now))?);
        }
        _ if terminal.json => return Ok(terminal.print(line, |_| String::new())?),
        Change::Lagged { missed } => {
            terminal.say(&format!("{missed} changes came too fast: `tradepost offering list` shows what there is"));
        }
        _ => terminal.say("Watching the book. Ctrl-C ends it."),
    }
    Ok(())
}

fn text(series: SeriesId, offering: Option<&OfferingView>, now: Timestamp) -> String {
    let Some(view) = offering else {
        return format!("{now}  {}  gone from the book\n", show::id(series));
    };
    let state = match (view.live, view.withdrawn, view.bonded) {
        (true, ..) => format!("live, {} of {} free", view.free, view.max_supply),
        (_, true, _) => "withdrawn".to_owned(),
        (_, _, false) => "no bond seen yet".to_owned(),
        _ => "not live".to_owned(),
    };
    format!("{now}  {}  {state}  {:?}  {}\n", show::id(series), plain(&view.title), show::price(&view.price))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::api::view::samples;

    #[test]
    fn a_change_is_one_line_whatever_a_stranger_writes() {
        let mut view = samples::offering();
        let now = Timestamp::from_secs(1_800_000_000);
        assert!(text(view.series, Some(&view), now).contains("live, 3 of 4 free"));
        view.title = "\u{1b}[2J two\nlines".into();
        view.live = false;
        for line in [text(view.series, Some(&view), now), text(view.series, None, now)] {
            assert!(!line.contains('\u{1b}') && line.lines().count() == 1, "{line}");
        }
    }

    #[test]
    fn a_line_of_json_has_the_change_and_what_the_offering_is_now() {
        let series = samples::offering().series;
        let line = Line { change: Change::Offering { series }, offering: Some(samples::offering()) };
        let json = serde_json::to_value(line).unwrap();
        assert_eq!((json["kind"].as_str(), json["offering"]["free"].as_u64()), (Some("offering"), Some(3)));
        assert_eq!(json["series"], series.to_string());
        let gone = serde_json::to_value(Line { change: Change::Offering { series }, offering: None }).unwrap();
        assert!(gone.get("offering").is_none());
    }
}
