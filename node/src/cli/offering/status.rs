//! `tradepost offering status`: how one offering does, with its open bindings on this node.

use clap::Args;
use serde::Serialize;
use tradepost_protocol::message::SeriesId;
use tradepost_protocol::time::Timestamp;

use crate::api::id;
use crate::api::view::{BindingList, BindingView, OfferingView, OwnOfferingList, OwnOfferingView};
use crate::cli::client::{self, Client, segment};
use crate::cli::failure::{Exit, Failure};
use crate::cli::{Global, binding, show};
use crate::terminal::plain;

/// Says how one offering does: whether it can be bound, its places, its bond, and this node's open bindings of it.
#[derive(Debug, Args)]
pub struct Status {
    /// The offering's series, or the beginning of it.
    series: String,
}

/// What `offering status --json` prints.
#[derive(Debug, Serialize)]
struct StatusView {
    series: SeriesId,
    /// Where this node sells it.
    own: Option<OwnOfferingView>,
    /// Where the book has it.
    book: Option<OfferingView>,
    /// Those of this node that are open, on either side.
    bindings: Vec<BindingView>,
}

impl Status {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = Client::of(&global.home()?)?;
        let own = own(&client, &self.series).await?;
        let name = own.as_ref().map_or_else(|| segment(&self.series), |own| own.series.to_string());
        let book: Option<OfferingView> = match client.get(&format!("/v1/offerings/{name}")).await {
            Err(failure) if failure.exit == Exit::NotFound && own.is_some() => None,
            found => Some(found?),
        };
        let series = own.as_ref().map(|own| own.series).or(book.as_ref().map(|book| book.series));
        let series = series.ok_or_else(|| Failure::new(Exit::NotFound, "no such offering is known here"))?;
        let list: BindingList = client.get("/v1/bindings").await?;
        let bindings = list.items.into_iter().filter(|binding| binding.series == series).collect();
        let view = StatusView { series, own, book, bindings };
        Ok(global.terminal().print(&view, |view| text(view, client.now()))?)
    }
}

/// This node's own offering of that name, where it is one's own.
async fn own(client: &Client, name: &str) -> Result<Option<OwnOfferingView>, Failure> {
    let list: OwnOfferingList = client.get("/v1/offerings/own").await?;
    let named = list.items.into_iter().map(|own| {
        let ids = vec![own.series.to_string(), own.id.to_string()];
        (own, ids)
    });
    match id::resolve("offering", name, "`tradepost offering list --own` shows this node's", named) {
        Ok(own) => Ok(Some(own)),
        Err(problem) if problem.code == "not-found" => Ok(None),
        Err(problem) => Err(client::failure(problem)),
    }
}

fn text(view: &StatusView, now: Timestamp) -> String {
    let mut lines = vec![("series", view.series.to_string())];
    if let Some(book) = &view.book {
        lines.push(("title", plain(&book.title)));
        lines.push(("state", super::state(book)));
        lines.push(("places", format!("{} of {} free", book.free, book.max_supply)));
        lines.extend(book.presence_at.iter().map(|at| ("heard of", show::moment(at, now))));
        lines.push(("ends", show::moment(&book.valid_until, now)));
    }
    if let Some(own) = &view.own {
        if view.book.is_none() {
            lines.push(("title", plain(&own.title)));
            lines.push(("state", format!("{}; the book doesn't have it", own.state)));
        }
        lines.push(("bond", format!("{}, {}", show::native(own.bond.amount), own.state)));
        lines.push(("returns", show::moment(&own.bond.returns_at, now)));
    }
    let mut text = show::fields(lines);
    match view.bindings.is_empty() {
        true => text.push_str(&show::fields([("bindings", "none open on this node")])),
        false => text.push_str(&format!("\n{}", binding::table(&view.bindings, now))),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::view::samples;

    #[test]
    fn it_tells_places_bond_and_open_bindings() {
        let (own, book) = (samples::own_offering(), samples::offering());
        let mut view =
            StatusView { series: own.series, own: Some(own), book: Some(book), bindings: vec![samples::binding()] };
        let now = Timestamp::from_secs(1_800_000_000);
        let shown = text(&view, now);
        for part in ["3 of 4 free", "live", "bond", "BINDING"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        view.book = None;
        view.bindings.clear();
        let shown = text(&view, now);
        assert!(shown.contains("the book doesn't have it") && shown.contains("none open"), "{shown}");
    }
}
