//! `tradepost wallet recover`: escrows and bonds, found from the account's key alone and taken back when they are due.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::time::Instant;
use tradepost_protocol::time::Timestamp;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::wallet::go_on;
use super::{Consent, Global, show};
use crate::api::view::{ControllerView, RecoveryView, StatusView, SubmitterView};
use crate::terminal::Table;

/// The API's resource.
const PATH: &str = "/v1/wallet/recover";
/// How often the search's progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Finds escrows and bonds from the account's key alone, and takes back what is due; the rest when it is.
#[derive(Debug, Args)]
pub struct Recover {
    #[command(flatten)]
    consent: Consent,
    /// How long the search may stand still before this command gives up on it; the node goes on.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
}

impl Recover {
    pub(super) async fn run(self, global: &Global, client: &Client) -> Result<(), Failure> {
        let terminal = global.terminal_with(self.consent);
        let mut watch = client.watch().await?;
        let mut view: RecoveryView = client.post(PATH, &json!({ "take": false })).await?;
        let (mut told, mut walked, mut moved) = (None, view.walked, Instant::now());
        while !view.done {
            if std::mem::replace(&mut walked, view.walked) != view.walked {
                moved = Instant::now();
            }
            if moved.elapsed() >= Duration::from_secs(self.patience) {
                return Err(stands_still(client, &view).await);
            }
            let percent = view.walked * 100 / view.of.max(1);
            if told.replace(percent) != Some(percent) {
                terminal.say(&format!("{} of {} sequence numbers looked at ({percent} %)", view.walked, view.of));
            }
            watch.change(Instant::now() + LOOK_EVERY).await?;
            view = client.get(PATH).await?;
        }
        let now = client.now();
        if view.standing().next().is_none() && view.standing_controllers().next().is_none() {
            return Ok(terminal.print(&view, |view| text(view, now))?);
        }
        if !go_on(terminal.confirm(&act(&view, now))?)? {
            return Ok(terminal.print(&view, |_| String::new())?);
        }
        let view: RecoveryView = client.post(PATH, &json!({ "take": true })).await?;
        Ok(terminal.print(&view, |view| text(view, now))?)
    }
}

/// That the search doesn't go on, with what the node knows of the ledger.
async fn stands_still(client: &Client, view: &RecoveryView) -> Failure {
    let status: StatusView = match client.get("/v1/status").await {
        Ok(status) => status,
        Err(failure) => return failure,
    };
    let what = format!("the search stands still: {} of {} sequence numbers were looked at", view.walked, view.of);
    let mut failure = Failure::new(Exit::Unreachable, what);
    failure.caused_by.extend(status.ledger.why.map(|why| format!("the ledger at {}: {why}", status.ledger.rpc_url)));
    failure.hint(
        "nothing is lost: it goes on while the node runs. Ask again; `tradepost status` tells how the ledger does",
    )
}

fn act(view: &RecoveryView, now: Timestamp) -> String {
    let due = view.standing().filter(|found| found.due.timestamp() <= now).count();
    let later = view.standing().count() - due;
    let later = match later {
        0 => String::new(),
        _ => format!(", and {later} later by itself, while it runs"),
    };
    let controllers = match view.standing_controllers().count() {
        0 => String::new(),
        count => format!(" {count} accounts of escrows come back from their deadlines on, for two fees each."),
    };
    format!("{}The node takes back {due} now{later}; each costs a transaction's fee.{controllers}", table(view, now))
}

fn text(view: &RecoveryView, now: Timestamp) -> String {
    let submitters: String = view.submitters.iter().map(submitter).collect();
    let submitters = view.controllers.iter().map(|found| controller(found, now)).collect::<String>() + &submitters;
    if view.found.is_empty() && view.controllers.is_empty() {
        let of = view.of;
        return format!("nothing is locked that this node doesn't see to anyway ({of} sequence numbers)\n{submitters}");
    }
    let foreign = view.found.iter().any(|found| !found.mine);
    let hint = if foreign { "\nWhat returns to another account needs that account's key.\n" } else { "" };
    let waits = view.found.iter().any(|found| found.state == "wanted" && found.due.timestamp() > now);
    let running = if waits { "\nKeep the node running until then: `tradepost run`.\n" } else { "" };
    format!("{}{hint}{running}{submitters}", table(view, now))
}

fn submitter(found: &SubmitterView) -> String {
    let (account, balance) = (found.account, show::native(found.balance));
    format!("submitter {account} holds {balance}: `tradepost wallet merge` brings it back\n")
}

fn controller(found: &ControllerView, now: Timestamp) -> String {
    let (account, reserve) = (found.account, show::native(found.reserve));
    let due = match (found.state.as_str(), &found.due, &found.trouble) {
        ("gone", ..) => "is back".to_owned(),
        (_, _, Some(trouble)) => trouble.clone(),
        (_, Some(due), _) if due.timestamp() <= now => "comes back now".to_owned(),
        (_, Some(due), _) => format!("comes back {}", show::from_now(due.timestamp(), now)),
        (_, None, _) => "comes back once its deadline is found".to_owned(),
    };
    format!("the account {account} that held an escrow, with {reserve}: {due}\n")
}

fn table(view: &RecoveryView, now: Timestamp) -> String {
    let mut table = Table::new(&["FOUND", "FOR", "AMOUNT", "DUE", "RETURNS TO", "STATE"]);
    for found in &view.found {
        let unless = if found.may_be_collected_by.is_some() { ", unless collected" } else { "" };
        let open = found.state == "standing" || found.state == "wanted";
        let due = match found.due.timestamp() <= now {
            true => "now".to_owned(),
            false if open => format!("{}{unless}", show::from_now(found.due.timestamp(), now)),
            false => show::from_now(found.due.timestamp(), now),
        };
        table.row([
            found.what.clone(),
            show::id(&found.of),
            show::money(found.amount, &found.asset),
            due,
            if found.mine { "you".to_owned() } else { show::key(found.returns_to) },
            found.trouble.clone().filter(|_| open).unwrap_or_else(|| found.state.clone()),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use tradepost_protocol::amount::Stroops;

    use super::*;
    use crate::api::view::samples;

    #[test]
    fn what_was_found_says_how_much_and_when_before_anything_is_asked() {
        let view = samples::recovery();
        let act = act(&view, Timestamp::from_secs(1_800_000_090));
        assert!(act.contains("5 XLM") && act.contains("in 12 s, unless collected"), "{act}");
        assert!(act.contains("takes back 0 now, and 1 later by itself"), "{act}");
        let due = super::act(&view, Timestamp::from_secs(1_800_000_102));
        assert!(due.contains("takes back 1 now; each costs"), "{due}");
    }

    #[test]
    fn what_needs_another_key_says_so_and_nothing_found_says_what_was_looked_at() {
        let mut view = samples::recovery();
        let shown = text(&view, Timestamp::from_secs(1_800_000_090));
        assert!(shown.contains("needs that account's key") && !shown.contains("tradepost run"), "{shown}");
        view.found[0].state = "wanted".to_owned();
        assert!(text(&view, Timestamp::from_secs(1_800_000_090)).contains("tradepost run"));
        let (account, reserve) = (view.found[0].returns_to, Stroops::whole(3));
        view.found.clear();
        let standing = ControllerView { account, reserve, due: None, state: "standing".into(), trouble: None };
        view.controllers.push(standing);
        let shown = text(&view, Timestamp::from_secs(1_800_000_090));
        assert!(shown.contains("3 XLM: comes back once its deadline is found"), "{shown}");
        let act = super::act(&view, Timestamp::from_secs(1_800_000_090));
        assert!(act.contains("1 accounts of escrows come back"), "{act}");
        view.controllers.clear();
        assert!(text(&view, Timestamp::from_secs(1_800_000_090)).contains("(77 sequence numbers)"));
    }
}
