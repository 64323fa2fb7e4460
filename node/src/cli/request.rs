//! `tradepost request`: asks by gossip where a provider can't be reached now.

use clap::{Args, Subcommand};
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::time::Timestamp;

use super::bind::question;
use super::client::{Client, segment};
use super::failure::Failure;
use super::paging::{Paging, say_part};
use super::wallet::go_on;
use super::{Consent, Global, show};
use crate::api::request::NewRequest;
use crate::api::view::{CostView, Done, OfferingView, RequestList, RequestView, Requested};
use crate::terminal::Table;

/// What to do with published requests.
#[derive(Debug, Subcommand)]
pub enum RequestCommand {
    /// Asks for an offering by gossip, for when its provider can't be reached now; everybody can read the request.
    Publish(Publish),
    /// Lists requests that haven't ended: this node's own, and those for its offerings.
    List(List),
    /// Takes a request back that nobody has agreed to yet, for good.
    Cancel {
        /// The request, or the beginning of its id.
        request: String,
    },
}

/// Asks for an offering by gossip; once its provider has agreed and answered a ping, the money goes into escrow.
#[derive(Debug, Args)]
pub struct Publish {
    /// The offering, or the beginning of its id.
    offering: String,
    /// How many units; the fewest that the offering sells unless told otherwise.
    #[arg(long, short = 'n')]
    units: Option<u64>,
    /// How the money is held: timed or arbitrated; what the configuration prefers unless told otherwise.
    #[arg(long, value_name = "KIND")]
    escrow: Option<EscrowKind>,
    /// For how many minutes the provider may agree to it, 1 to 60.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=60))]
    minutes: u64,
    #[command(flatten)]
    consent: Consent,
}

/// Lists requests that haven't ended.
#[derive(Debug, Args)]
pub struct List {
    /// Other people's, for other people's offerings, too.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    paging: Paging,
}

impl RequestCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let terminal = global.terminal();
        let client = Client::of(&global.home()?)?;
        match self {
            Self::Publish(publish) => publish.run(global, &client).await,
            Self::List(list) => {
                let Paging { offset, limit } = list.paging;
                let query = serde_json::json!({ "all": list.all, "offset": offset, "limit": limit });
                let found: RequestList = client.get_with("/v1/requests", &query).await?;
                let nothing = "no published requests: `tradepost request publish OFFERING` makes one";
                say_part(terminal, (found.offset, found.items.len(), found.total), nothing);
                Ok(terminal.print(&found, |found| table(found, client.now()))?)
            }
            Self::Cancel { request } => {
                let path = format!("/v1/requests/{}/cancel", segment(&request));
                let done: Done = client.post(&path, &serde_json::json!({})).await?;
                Ok(terminal.print(&done, |_| format!("cancelled  {}\n", show::id(&request)))?)
            }
        }
    }
}

impl Publish {
    async fn run(self, global: &Global, client: &Client) -> Result<(), Failure> {
        let terminal = global.terminal_with(self.consent);
        let offering: OfferingView = client.get(&format!("/v1/offerings/{}", segment(&self.offering))).await?;
        let units = self.units.unwrap_or(offering.min_units);
        let (id, life_secs, escrow) = (offering.id.to_string(), self.minutes * 60, self.escrow);
        let mut wanted = NewRequest { offering: id, units, life_secs, escrow, dry_run: true };
        let cost: CostView = client.post("/v1/requests", &wanted).await?;
        let act = format!(
            "Publish a request that stands for {} min. Everybody sees it. The money moves once the provider has agreed:\n{}",
            self.minutes,
            question(&offering, units, &cost, client.now())
        );
        if !go_on(terminal.confirm(&act)?)? {
            return Ok(terminal.print(&cost, |_| String::new())?);
        }
        wanted.dry_run = false;
        let requested: Requested = client.post("/v1/requests", &wanted).await?;
        terminal.print(&requested, |requested| text(requested, client.now()))?;
        terminal.say("It goes on by itself while this node runs: `tradepost binding show` tells how.");
        Ok(())
    }
}

fn text(requested: &Requested, now: Timestamp) -> String {
    show::fields([
        ("request", requested.request.to_string()),
        ("valid until", show::moment(&requested.valid_until, now)),
    ])
}

fn table(found: &RequestList, now: Timestamp) -> String {
    let mut table = Table::new(&["REQUEST", "ROLE", "STATE", "OFFERING", "UNITS", "AT MOST", "ENDS"]);
    for view in &found.items {
        table.row([
            show::id(view.request),
            view.role.clone(),
            view.state.clone(),
            show::cut(view.title.as_deref().unwrap_or("(unknown)"), 22),
            show::units(view.units, view.unit),
            at_most(view),
            show::from_now(view.valid_until.timestamp(), now),
        ]);
    }
    table.render()
}

fn at_most(view: &RequestView) -> String {
    match (view.budget, &view.asset) {
        (Some(amount), _) if amount.is_zero() => "free".to_owned(),
        (Some(amount), Some(asset)) => show::money(amount, asset),
        (Some(amount), None) => show::coins(amount),
        (None, _) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::view::samples;

    #[test]
    fn a_list_fits_100_columns() {
        let mut view = samples::request();
        view.title = Some("A very long title of a stranger \u{1b}[2J that goes on".into());
        let found = RequestList { total: 7, offset: 2, limit: 1, items: vec![view] };
        let shown = table(&found, Timestamp::from_secs(1_800_000_000));
        assert!(!shown.contains('\u{1b}'), "{shown}");
        assert!(shown.contains("own") && shown.contains("live") && shown.contains("in 10 min"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    }
}
