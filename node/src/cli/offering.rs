//! `tradepost offering`: what is sold, by others and by this node.

mod file;
mod new;
mod status;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::time::Timestamp;

use super::client::{Client, segment};
use super::failure::Failure;
use super::paging::{Paging, say_part};
use super::wallet::{costs, go_on};
use super::{Consent, Global, show};
use crate::api::filter::OfferingFilter;
use crate::api::view::{CostView, OfferingList, OfferingView, OwnOfferingList, OwnOfferingView, Published, Withdrawn};
use crate::terminal::{Table, plain};

/// What to do with offerings.
#[derive(Debug, Subcommand)]
pub enum OfferingCommand {
    /// Writes an annotated file that describes an offering, to be completed and published.
    New(Box<new::New>),
    /// Locks the bond and publishes an offering from its file.
    Publish(Publish),
    /// Lists what can be bound now.
    List(List),
    /// Finds what has all these words in title or description.
    Search(Search),
    /// Shows one offering.
    Show {
        /// The offering, or the beginning of its id.
        offering: String,
    },
    /// Says how one does, with this node's open bindings of it.
    Status(status::Status),
    /// Prints what changes in the book, until Ctrl-C.
    Watch(watch::Watch),
    /// Takes an offering of this node back, for good.
    Withdraw(Withdraw),
}

/// Locks the bond and publishes an offering from its file.
#[derive(Debug, Args)]
pub struct Publish {
    /// The file, as `offering new` writes it.
    file: PathBuf,
    #[command(flatten)]
    consent: Consent,
}

/// Lists what can be bound now; all conditions together.
#[derive(Debug, Args)]
pub struct List {
    /// Words in title or description.
    text: Option<String>,
    /// This node's own offerings, with their bonds.
    #[arg(long, conflicts_with_all = ["text", "template", "asset", "unit", "from", "to", "account", "all", "offset"])]
    own: bool,
    #[command(flatten)]
    conditions: Conditions,
}

/// Finds what has all these words in title or description, and can be bound now.
#[derive(Debug, Args)]
pub struct Search {
    /// The words.
    #[arg(required = true)]
    words: Vec<String>,
    #[command(flatten)]
    conditions: Conditions,
}

/// Which offerings, and which page of them.
#[derive(Debug, Args)]
struct Conditions {
    /// A template: http-api, process, help, or an id.
    #[arg(long)]
    template: Option<String>,
    /// What it is paid in: native, or CODE:ISSUER.
    #[arg(long)]
    asset: Option<Asset>,
    /// What is priced: call, second, mib, job, item.
    #[arg(long, value_parser = file::unit)]
    unit: Option<Unit>,
    /// The least price of a unit, such as 0.5.
    #[arg(long, value_name = "PRICE", value_parser = Stroops::from_coins)]
    from: Option<Stroops>,
    /// The highest price of a unit.
    #[arg(long, value_name = "PRICE", value_parser = Stroops::from_coins)]
    to: Option<Stroops>,
    /// Whose (G…).
    #[arg(long)]
    account: Option<AccountId>,
    /// Everything that is known: also what isn't live, is this node's own, or has no place free.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    paging: Paging,
}

/// Takes an offering of this node back, for good.
#[derive(Debug, Args)]
pub struct Withdraw {
    /// The offering's series, or the beginning of it.
    series: String,
    #[command(flatten)]
    consent: Consent,
}

impl OfferingCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::New(new) => new.run(global),
            Self::Publish(publish) => publish.run(global).await,
            Self::List(list) => list.run(global).await,
            Self::Search(search) => search.conditions.find(Some(search.words.join(" ")), global).await,
            Self::Status(status) => status.run(global).await,
            Self::Watch(watch) => watch.run(global).await,
            Self::Show { offering } => {
                let client = Client::of(&global.home()?)?;
                let view: OfferingView = client.get(&format!("/v1/offerings/{}", segment(&offering))).await?;
                Ok(global.terminal().print(&view, |view| text(view, client.now()))?)
            }
            Self::Withdraw(withdraw) => withdraw.run(global).await,
        }
    }
}

impl Publish {
    async fn run(self, global: &Global) -> Result<(), Failure> {
        let terminal = global.terminal_with(self.consent);
        let new = file::read(&self.file)?;
        let client = Client::of(&global.home()?)?;
        let cost: CostView = client.post("/v1/offerings/quote", &new).await?;
        // The bond is claimed by whom the offering pays.
        let bond = match new.recipient {
            None => "nobody can take it from you:".to_owned(),
            Some(recipient) => format!("it will be {recipient}'s, whom the offering pays:"),
        };
        let act = format!(
            "Publish {:?}: {}, {} to {} units, {} at once. A bond is locked behind it; {bond}\n{}",
            plain(&new.title),
            show::price(&(&new.price).into()),
            new.min_units,
            new.max_units,
            new.max_supply,
            costs(&cost, client.now())
        );
        if !go_on(terminal.confirm(&act)?)? {
            return Ok(terminal.print(&cost, |_| String::new())?);
        }
        let published: Published = client.post("/v1/offerings", &new).await?;
        Ok(terminal.print(&published, |published| {
            show::fields([
                ("offering", published.offering.to_string()),
                ("series", published.series.to_string()),
                ("bond", published.bond.to_string()),
                ("transaction", published.transaction.to_string()),
            ])
        })?)
    }
}

impl List {
    async fn run(self, global: &Global) -> Result<(), Failure> {
        if !self.own {
            return self.conditions.find(self.text, global).await;
        }
        let terminal = global.terminal();
        let client = Client::of(&global.home()?)?;
        let list: OwnOfferingList = client.get("/v1/offerings/own").await?;
        if list.items.is_empty() && !terminal.json {
            terminal.say("none yet: `tradepost offering new` writes a file, `tradepost offering publish` publishes it");
        }
        Ok(terminal.print(&list, |list| own_table(&list.items, client.now()))?)
    }
}

impl Conditions {
    /// Prints the page of what fits, and says how many there are in all.
    async fn find(self, text: Option<String>, global: &Global) -> Result<(), Failure> {
        let terminal = global.terminal();
        let client = Client::of(&global.home()?)?;
        let filter = OfferingFilter {
            text,
            template: self.template,
            asset: self.asset,
            unit: self.unit,
            from: self.from,
            to: self.to,
            account: self.account,
            all: self.all,
            offset: self.paging.offset,
            limit: self.paging.limit,
        };
        let list: OfferingList = client.get_with("/v1/offerings", &filter).await?;
        let nothing = "nothing that fits is known: `tradepost peers` tells whether anybody is connected";
        say_part(terminal, (list.offset, list.items.len(), list.total), nothing);
        Ok(terminal.print(&list, table)?)
    }
}

impl Withdraw {
    async fn run(self, global: &Global) -> Result<(), Failure> {
        let terminal = global.terminal_with(self.consent);
        let client = Client::of(&global.home()?)?;
        let view: OfferingView = client.get(&format!("/v1/offerings/{}", segment(&self.series))).await?;
        let act = format!(
            "Withdraw {:?} ({}) for good. Bindings that run go on; its bond stays locked until it was to end.",
            plain(&view.title),
            show::id(view.series)
        );
        if !go_on(terminal.confirm(&act)?)? {
            return Ok(terminal.print(&view, |_| String::new())?);
        }
        let path = format!("/v1/offerings/{}/withdraw", view.series);
        let done: Withdrawn = client.post(&path, &serde_json::json!({})).await?;
        Ok(terminal.print(&done, |done| {
            let until = show::moment(&done.bond_until, client.now());
            format!("withdrawn  {}\nbond       comes back {until}\n", done.series)
        })?)
    }
}

fn table(list: &OfferingList) -> String {
    let mut table = Table::new(&["OFFERING", "TITLE", "KIND", "PRICE", "UNITS", "FREE", "SELLER"]);
    for view in &list.items {
        let state = match view.live {
            true => view.free.to_string(),
            false if view.withdrawn => "withdrawn".to_owned(),
            false if !view.bonded => "no bond".to_owned(),
            false => "not live".to_owned(),
        };
        table.row([
            show::id(view.id),
            show::cut(&view.title, 17),
            show::cut(view.template.name.as_deref().unwrap_or("(other)"), 8),
            show::cut(&show::price(&view.price), 18),
            show::cut(&format!("{}-{}", view.min_units, view.max_units), 11),
            state,
            if view.own { "this node".to_owned() } else { show::key(view.account) },
        ]);
    }
    table.render()
}

/// One's own offerings, one a line.
pub(super) fn own_table(items: &[OwnOfferingView], now: Timestamp) -> String {
    let mut table = Table::new(&["SERIES", "TITLE", "STATE", "PRICE", "FREE", "BOND", "BOND RETURNS"]);
    for view in items {
        let state = if view.live { "live".to_owned() } else { view.state.clone() };
        let free = view.free.map_or("-".to_owned(), |free| format!("{free}/{}", view.max_supply));
        table.row([
            show::id(view.series),
            show::cut(&view.title, 20),
            state,
            show::cut(&show::price(&view.price), 20),
            free,
            show::native(view.bond.amount),
            show::from_now(view.bond.returns_at.timestamp(), now),
        ]);
    }
    table.render()
}

fn text(view: &OfferingView, now: Timestamp) -> String {
    let unit = Some(view.price.unit);
    let mut lines: Vec<(&str, String)> = vec![
        ("offering", view.id.to_string()),
        ("series", format!("{} (revision {})", view.series, view.revision)),
        ("title", plain(&view.title)),
    ];
    lines.extend(view.description.lines().map(|line| ("", plain(line))));
    lines.extend([
        ("template", view.template.name.as_deref().map_or_else(|| view.template.id.to_string(), plain)),
        ("price", show::price(&view.price)),
        ("units", format!("{} to {} a binding", view.min_units, show::units(view.max_units, unit))),
        ("places", format!("{} of {} free", view.free, view.max_supply)),
        ("state", state(view)),
        ("runs for", show::span(view.windows.deliver())),
    ]);
    for (kind, protects) in view.escrow.iter().zip(&view.protects) {
        lines.push(("escrow", format!("{kind}: {protects}")));
    }
    if let Some(arbitration) = &view.arbitration {
        lines.extend(arbitration.arbiters.iter().map(|account| ("arbiter", account.to_string())));
        let spans = [arbitration.dispute_secs, arbitration.award_secs, arbitration.settle_secs];
        let [dispute, award, settle] = spans.map(|secs| show::span(Duration::from_secs(secs)));
        let windows = format!("{dispute} to ask the arbiters, {award} to decide, {settle} to settle");
        lines.push(("disputes", windows));
    }
    lines.extend([
        ("seller", view.account.to_string()),
        ("paid to", view.recipient.to_string()),
        ("bond", view.bond.to_string()),
        ("ends", show::moment(&view.valid_until, now)),
    ]);
    if let Some(service) = &view.service {
        lines.push(("service", format!("{}", service.service)));
        lines.push(("source", plain(&format!("{} {} {}", service.repository, service.path, service.commit))));
    }
    let parameters = serde_json::to_string_pretty(&view.parameters).unwrap_or_default();
    lines.extend(parameters.lines().enumerate().map(|(n, l)| (if n == 0 { "parameters" } else { "" }, plain(l))));
    show::fields(lines)
}

fn state(view: &OfferingView) -> String {
    let mut state = vec![match (view.live, view.withdrawn, view.bonded) {
        (true, ..) => "live",
        (_, true, _) => "withdrawn, for good",
        (_, _, false) => "its bond wasn't seen yet",
        _ => "not live: over, or its node wasn't heard of lately",
    }];
    if view.own {
        state.push("this node's own");
    }
    if view.conflicting {
        state.push("conflicting: two texts were signed for this revision");
    }
    if view.outdated {
        state.push("outdated: its service has a newer version");
    }
    state.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::view::samples;

    #[test]
    fn lists_fit_100_columns_whatever_strangers_write() {
        let mut view = samples::offering();
        view.title = "\u{1b}[2J A title that is far too long for anybody's table \u{202e}".into();
        view.max_units = u64::MAX;
        view.price.amount = Stroops::MAX;
        view.template.name = Some("a-name-of-a-template-as-long-as-it-may".into());
        view.live = false;
        let list = OfferingList { total: 1, offset: 0, limit: 50, items: vec![view] };
        let own = own_table(&[samples::own_offering()], Timestamp::from_secs(1_800_000_000));
        let listed = table(&list);
        assert!(!listed.contains(['\u{1b}', '\u{202e}']));
        assert!(listed.lines().all(|line| line.chars().count() <= 100), "{listed}");
        assert!(own.lines().all(|line| line.chars().count() <= 100), "{own}");
        assert!(own.contains("0.5 XLM per call") && own.contains("4/4") && own.contains("in 61 min"), "{own}");
    }

    #[test]
    fn one_offering_says_what_its_escrow_protects_against() {
        let shown = text(&samples::offering(), Timestamp::from_secs(1_800_000_000));
        for part in ["timed: against a provider that disappears", "3 of 4 free", "0.5 XLM per call", "\"/weather\""] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }
}
