//! `tradepost status`: am I all right?

use clap::Args;
use tradepost_protocol::time::Timestamp;

use super::client::Client;
use super::failure::Failure;
use super::{Global, binding, dispute, offering, show};
use crate::api::view::{EndpointView, FirstSyncView, ResetView, StatusView};

/// Most characters of a title.
const TITLE: usize = 40;

/// Says whether the node is all right: ledger, balance and reserves, peers, offerings, open bindings with the next
/// deadline and the next action, and what won't happen by itself.
#[derive(Debug, Args)]
pub struct Status {}

impl Status {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = Client::of(&global.home()?)?;
        let status: StatusView = client.get("/v1/status").await?;
        Ok(global.terminal().print(&status, |status| text(status, client.now()))?)
    }
}

fn text(status: &StatusView, now: Timestamp) -> String {
    let mut lines: Vec<(&str, String)> = Vec::new();
    let mut line = |name: &'static str, value: String| lines.push((name, value));
    line("status", if status.ok { "all is well".to_owned() } else { "something needs you:".to_owned() });
    for trouble in &status.troubles {
        line("", format!("- {}", trouble.what));
        line("", format!("  what to do: {}", trouble.remedy));
    }
    line("network", format!("{} ({:?})", status.network.name, status.network.passphrase));
    let age = show::from_now(status.ledger.close_time.timestamp(), now);
    line("ledger", format!("{} closed {age}, at {}", status.ledger.sequence, status.ledger.rpc_url));
    if status.ledger.endpoints.len() > 1 {
        status.ledger.endpoints.iter().for_each(|server| line("", endpoint(server)));
    }
    status.resets.iter().for_each(|reset| reset_lines(reset, now, &mut line));
    match &status.wallet {
        None => line("account", format!("no key here; this node holds {}", roles(status))),
        Some(wallet) => {
            line("account", status.keys.account.map(|a| a.to_string()).unwrap_or_default());
            let locked = wallet.locked.len();
            let outside =
                if locked == 0 { String::new() } else { format!(", {locked} bonds, escrows and controllers locked") };
            line(
                "balance",
                format!(
                    "{}: {} spendable, {} reserved{outside}",
                    show::native(wallet.balance),
                    show::native(wallet.spendable),
                    show::native(wallet.reserved)
                ),
            );
        }
    }
    line("peers", format!("{} connected, {} of them on this network", status.peers.connected, status.peers.met));
    line("first sync", first_sync(&status.peers.first_sync));
    line("peer id", status.peers.peer_id.clone());
    status.peers.addresses.iter().for_each(|address| line("", address.clone()));
    let offers = &status.offerings;
    line("book", format!("{} offerings live, {} known, {} wait", offers.live, offers.known, offers.waiting));
    let mut text = show::fields(lines);
    if !offers.own.is_empty() {
        text.push_str(&format!("\nmy offerings\n{}", offering::own_table(&offers.own, now)));
    }
    if !status.bindings.is_empty() {
        text.push_str(&format!("\nopen bindings\n{}", binding::table(&status.bindings, now)));
        for view in &status.bindings {
            text.push_str(&format!("  {}: {}\n", show::id(view.name()), view.next_action));
        }
    }
    if !status.disputes.is_empty() {
        text.push_str(&format!("\nopen disputes\n{}", dispute::table(&status.disputes, now)));
    }
    text
}

/// From how many peers the book is.
fn first_sync(sync: &FirstSyncView) -> String {
    let FirstSyncView { wanted, read, under_way, independent } = sync;
    let missing = match (sync.missing(), under_way) {
        (0, _) => String::new(),
        (missing, 0) => format!("; {missing} missing, no more are known"),
        (missing, _) => format!("; {missing} missing, {under_way} being read"),
    };
    format!("the books of {read} of {wanted} peers read, {independent} of them not found through others{missing}")
}

/// One of several servers, in a line.
fn endpoint(server: &EndpointView) -> String {
    let since = server.since_secs.map(|secs| format!(" since {secs} s")).unwrap_or_default();
    let newest = server.newest.map(|newest| format!(", newest ledger {newest}")).unwrap_or_default();
    format!("{} ({}): {}{since}{newest}", server.url, server.operator, server.state)
}

/// What ended with a network that was reset.
fn reset_lines(reset: &ResetView, now: Timestamp, line: &mut impl FnMut(&'static str, String)) {
    let when = show::from_now(reset.noticed_at.timestamp(), now);
    line("reset", format!("the network began anew, noticed {when}; what was before is kept in {}", reset.archive));
    if let Some(why) = &reset.unread {
        line("", format!("- what was open there can't be told: {why}"));
    }
    for ended in &reset.bindings {
        let (id, side, phase) = (show::id(ended.name()), &ended.side, &ended.phase);
        line("", format!("- binding {id} ({side}, {phase}) ended with it: its escrow no longer exists"));
    }
    for ended in &reset.offerings {
        let (series, title) = (show::id(ended.series), show::cut(&ended.title, TITLE));
        line(
            "",
            format!("- series {series}, {title:?}, ended with it and its bond: publish it again to go on offering it"),
        );
    }
}

fn roles(status: &StatusView) -> String {
    if status.keys.roles.is_empty() { "no keys".to_owned() } else { status.keys.roles.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::view::samples;

    #[test]
    fn the_answer_begins_with_what_needs_the_owner_and_fits_100_columns() {
        let shown = text(&samples::status(), Timestamp::from_secs(1_800_000_000));
        let mut lines = shown.lines();
        assert_eq!(lines.next(), Some("status      something needs you:"));
        assert_eq!(lines.next(), Some("            - no peers"));
        for part in [
            "balance     100 XLM",
            "97 XLM spendable",
            "my offerings",
            "open bindings",
            "deliver_by in",
            "its escrow no longer exists",
            "publish it again",
            "first sync  the books of 2 of 3 peers read, 1 of them not found through others; 1 missing",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    }
}
