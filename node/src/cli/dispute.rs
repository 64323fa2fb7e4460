//! `tradepost dispute`: who is paid, where the two sides of an arbitrated binding don't agree.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::limits::{MAX_ATTACHMENT_NAME, MAX_ATTACHMENTS, MAX_EVIDENCE_BYTES};
use tradepost_protocol::time::Timestamp;

use super::client::{Client, segment};
use super::failure::{Exit, Failure};
use super::wallet::go_on;
use super::{Consent, Global, show};
use crate::api::base64::Base64;
use crate::api::request::{NewAward, NewDispute, NewEvidence, NewFile};
use crate::api::view::{
    ArbiterView, DisputeDetails, DisputeList, DisputeView, Done, EvidenceView, FileView, Shown, SplitView,
};
use crate::private_file;
use crate::terminal::{Table, plain};

/// What to do about disputes.
#[derive(Debug, Subcommand)]
pub enum DisputeCommand {
    /// Lists open disputes: those about this node's bindings, and those that it decides as an arbiter.
    List {
        /// Those that nobody has opened, and those that are over, too.
        #[arg(long)]
        all: bool,
    },
    /// Shows one, with what was shown to the arbiters.
    Show(Show),
    /// Asks the arbiters who is paid.
    Open(Open),
    /// Shows the arbiters something: a text, files, or both.
    Evidence(ShowEvidence),
    /// Decides one as its arbiter.
    Award(Award),
}

/// Shows one.
#[derive(Debug, Args)]
pub struct Show {
    /// The binding, or the beginning of its id.
    binding: String,
    /// Writes the files that were shown into this directory, which is made; each is named by binding, side, item and place.
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
}

/// Asks the arbiters.
#[derive(Debug, Args)]
pub struct Open {
    /// The binding, or the beginning of its id.
    binding: String,
    /// What the provider should get, in units of the asset, such as 2.5; everything for this side where it isn't said.
    #[arg(long, value_name = "AMOUNT", value_parser = Stroops::from_coins)]
    to_provider: Option<Stroops>,
    /// What the arbiters should know.
    #[arg(long, value_name = "TEXT", default_value = "")]
    text: String,
    #[command(flatten)]
    consent: Consent,
}

/// Shows the arbiters something.
#[derive(Debug, Args)]
pub struct ShowEvidence {
    /// The binding, or the beginning of its id.
    binding: String,
    /// What it says.
    #[arg(long, value_name = "TEXT", default_value = "", required_unless_present = "file")]
    text: String,
    /// A file with it; may be repeated. All together hold 16 KiB at the most.
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
}

/// Decides one.
#[derive(Debug, Args)]
pub struct Award {
    /// The binding, or the beginning of its id.
    binding: String,
    /// The provider's share before the arbiters' fees, in units of the asset, such as 2.5; the rest is the consumer's.
    #[arg(long, value_name = "AMOUNT", value_parser = Stroops::from_coins)]
    to_provider: Stroops,
    /// Why, for both sides.
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    #[command(flatten)]
    consent: Consent,
}

impl DisputeCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let terminal = global.terminal();
        let client = Client::of(&global.home()?)?;
        match self {
            Self::List { all } => {
                let list: DisputeList = client.get_with("/v1/disputes", &serde_json::json!({ "all": all })).await?;
                if list.items.is_empty() && !terminal.json {
                    terminal.say("no open disputes; --all shows those that nobody opened, and those that are over");
                }
                Ok(terminal.print(&list, |list| table(&list.items, client.now()))?)
            }
            Self::Show(show) => show.run(global, &client).await,
            Self::Open(open) => open.run(global, &client).await,
            Self::Evidence(evidence) => evidence.run(global, &client).await,
            Self::Award(award) => award.run(global, &client).await,
        }
    }
}

async fn get(client: &Client, name: &str) -> Result<DisputeDetails, Failure> {
    client.get(&format!("/v1/disputes/{}", segment(name))).await
}

fn path(view: &DisputeView, verb: &str) -> String {
    format!("/v1/disputes/{}/{verb}", view.binding)
}

impl Show {
    async fn run(self, global: &Global, client: &Client) -> Result<(), Failure> {
        let details = get(client, &self.binding).await?;
        if let Some(dir) = &self.files {
            for (written, named) in write_files(dir, &details)? {
                global.terminal().say(&format!("written: {}, shown as {:?}", written.display(), plain(&named)));
            }
        }
        Ok(global.terminal().print(&details, |details| text(details, client.now()))?)
    }
}

impl Open {
    async fn run(self, global: &Global, client: &Client) -> Result<(), Failure> {
        let terminal = global.terminal_with(self.consent);
        let view = get(client, &self.binding).await?.dispute;
        if !go_on(terminal.confirm(&opening(&view, self.to_provider, client.now()))?)? {
            return Ok(terminal.print(&view, |_| String::new())?);
        }
        let new = NewDispute { to_provider: self.to_provider, text: self.text };
        let done: Done = client.post(&path(&view, "open"), &new).await?;
        Ok(terminal.print(&done, |_| {
            let by = show::moment(&view.award_by, client.now());
            format!("asked  {}\naward  due {by}\n", show::id(view.binding))
        })?)
    }
}

impl ShowEvidence {
    async fn run(self, global: &Global, client: &Client) -> Result<(), Failure> {
        let files = self.file.iter().map(|file| read_file(file)).collect::<Result<Vec<_>, _>>()?;
        if files.len() > MAX_ATTACHMENTS {
            let what =
                format!("{} files are more than the {MAX_ATTACHMENTS} that one item of evidence holds", files.len());
            return Err(Failure::new(Exit::Usage, what).hint("show them in several items"));
        }
        let view = get(client, &self.binding).await?.dispute;
        let new = NewEvidence { text: self.text, files };
        let shown: Shown = client.post(&path(&view, "evidence"), &new).await?;
        Ok(global.terminal().print(&shown, |shown| format!("shown  item {} to {}\n", shown.number, who(&view)))?)
    }
}

impl Award {
    async fn run(self, global: &Global, client: &Client) -> Result<(), Failure> {
        let terminal = global.terminal_with(self.consent);
        let view = get(client, &self.binding).await?.dispute;
        let Some(to_consumer) = view.amount.minus(self.to_provider) else {
            let what =
                format!("the escrow holds {}: the provider can't get more", show::money(view.amount, &view.asset));
            return Err(
                Failure::new(Exit::Usage, what).hint("--to-provider is at most that; the rest is the consumer's")
            );
        };
        let split = SplitView { to_provider: self.to_provider, to_consumer };
        if !go_on(terminal.confirm(&awarding(&view, split, client.now()))?)? {
            return Ok(terminal.print(&view, |_| String::new())?);
        }
        let new = NewAward { to_provider: self.to_provider, note: self.why };
        let done: Done = client.post(&path(&view, "award"), &new).await?;
        Ok(terminal.print(&done, |_| format!("awarded  {}: {}\n", show::id(view.binding), divided(split, &view)))?)
    }
}

/// Reads a file that is to be shown, under its own name.
fn read_file(path: &Path) -> Result<NewFile, Failure> {
    let shown = path.display();
    let bytes = private_file::read(path, MAX_EVIDENCE_BYTES as u64).map_err(|e| {
        let what = format!("can't show {shown}");
        Failure::new(Exit::Usage, what).because(&e).hint("an item of evidence holds 16 KiB; show the part that matters")
    })?;
    let name: String =
        path.file_name().unwrap_or_default().to_string_lossy().chars().take(MAX_ATTACHMENT_NAME).collect();
    Ok(NewFile { name, bytes: Base64(bytes) })
}

/// Writes what was shown: each file under its binding, side, item and place, for its own name is a stranger's word. Returns
/// where each is, and under which name it was shown.
fn write_files(dir: &Path, details: &DisputeDetails) -> Result<Vec<(PathBuf, String)>, Failure> {
    let failed = |path: &Path, e: std::io::Error| {
        Failure::new(Exit::Failed, format!("can't write {}", path.display())).because(&e)
    };
    std::fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    let mut written = Vec::new();
    let binding = show::id(details.dispute.binding);
    for item in &details.evidence {
        for (place, FileView { name, bytes }) in item.files.iter().enumerate() {
            let path = dir.join(format!("{binding}-{}-{}-{place}", item.by, item.number));
            private_file::write(&path, &bytes.0).map_err(|e| failed(&path, e))?;
            written.push((path, name.clone()));
        }
    }
    Ok(written)
}

fn who(view: &DisputeView) -> String {
    match view.arbiters.as_slice() {
        [one] => format!("the arbiter {}", show::key(one.account)),
        several => format!("{} arbiters", several.len()),
    }
}

fn divided(split: SplitView, view: &DisputeView) -> String {
    let [provider, consumer] = [split.to_provider, split.to_consumer].map(|share| show::money(share, &view.asset));
    format!("{provider} to the provider, {consumer} to the consumer")
}

/// What a division leaves of both shares, once the arbiters are paid.
fn left(split: SplitView, view: &DisputeView) -> String {
    let fees = show::money(view.fees, &view.asset);
    match split.after(view.fees) {
        Some(after) => format!("after the arbiters' {fees}: {}", divided(after, view)),
        None => format!("the arbiters' {fees} take up all of it"),
    }
}

/// What asking the arbiters means.
fn opening(view: &DisputeView, to_provider: Option<Stroops>, now: Timestamp) -> String {
    let split = |to_provider: Stroops| Some(SplitView { to_provider, to_consumer: view.amount.minus(to_provider)? });
    let asked = match to_provider {
        Some(share) => split(share).map_or("more than there is".to_owned(), |split| divided(split, view)),
        None => format!("all {} for the {}", show::money(view.amount, &view.asset), view.role),
    };
    format!(
        "Ask {} who is paid: {asked}.\n\
         \u{20} Until {} they decide; {} of {} must say the same. Any award pays them {} together, out of the escrow.\n\
         \u{20} Both sides' messages and what this node saw go to them, sealed. Silence means the {beneficiary}: without an \
         award the escrow is the {beneficiary}'s from {} on.",
        who(view),
        show::moment(&view.award_by, now),
        view.majority,
        view.arbiters.len(),
        show::money(view.fees, &view.asset),
        show::moment(&view.refund_at, now),
        beneficiary = view.beneficiary,
    )
}

/// What an award does.
fn awarding(view: &DisputeView, split: SplitView, now: Timestamp) -> String {
    format!(
        "Award {}: {}.\n  {}.\n  It counts once {} of {} arbiters say the same, and stands then, whoever protests; until then \
         it can be changed. award_by is {}.",
        show::id(view.binding),
        divided(split, view),
        left(split, view),
        view.majority,
        view.arbiters.len(),
        show::moment(&view.award_by, now),
    )
}

/// Disputes, one a line.
pub(super) fn table(items: &[DisputeView], now: Timestamp) -> String {
    let mut table = Table::new(&["BINDING", "ROLE", "STATE", "OPENED BY", "ABOUT", "HOLDS", "NEXT DEADLINE"]);
    for view in items {
        let (name, at) = match view.opened_by {
            None => ("dispute_by", &view.dispute_by),
            Some(_) if at_passed(view, now) => ("T", &view.refund_at),
            Some(_) => ("award_by", &view.award_by),
        };
        table.row([
            show::id(view.binding),
            view.role.clone(),
            view.state.clone(),
            view.opened_by.clone().unwrap_or_else(|| "-".to_owned()),
            show::cut(view.title.as_deref().unwrap_or("(unknown)"), 18),
            show::money(view.amount, &view.asset),
            format!("{name} {}", show::from_now(at.timestamp(), now)),
        ]);
    }
    table.render()
}

fn at_passed(view: &DisputeView, now: Timestamp) -> bool {
    now >= view.award_by.timestamp()
}

/// All of one dispute.
fn text(details: &DisputeDetails, now: Timestamp) -> String {
    let view = &details.dispute;
    let mut lines: Vec<(&str, String)> = vec![
        ("binding", view.binding.to_string()),
        ("offering", view.title.as_deref().map_or_else(|| "(unknown)".to_owned(), plain)),
        ("this node", view.role.clone()),
        ("state", view.state.clone()),
        ("holds", show::money(view.amount, &view.asset)),
    ];
    lines.extend(view.opened_by.iter().map(|side| ("opened by", format!("the {side}"))));
    for (side, asks, released) in [
        ("provider", view.asks.provider, view.released.provider),
        ("consumer", view.asks.consumer, view.released.consumer),
    ] {
        lines.extend(asks.map(|split| ("asks", format!("the {side}: {}", divided(split, view)))));
        lines.extend(released.map(|split| ("signs for", format!("the {side}: {}", divided(split, view)))));
    }
    lines.extend(view.arbiters.iter().flat_map(|arbiter| arbiter_lines(arbiter, view)));
    if let Some(award) = view.award {
        lines.push(("award", divided(award, view)));
        lines.push(("", left(award, view)));
    }
    let beneficiary = &view.beneficiary;
    lines.extend([
        ("dispute by", format!("{}: until then a side may ask the arbiters", show::moment(&view.dispute_by, now))),
        (
            "award by",
            format!(
                "{}: until then they decide, {} of {} alike",
                show::moment(&view.award_by, now),
                view.majority,
                view.arbiters.len()
            ),
        ),
        ("T", format!("{}: from then on the escrow is the {beneficiary}'s", show::moment(&view.refund_at, now))),
        (
            "silence",
            format!("means the {beneficiary}: where nothing is decided and settled before T, it gets all of it"),
        ),
        ("next", view.next_action.clone()),
    ]);
    let mut text = show::fields(lines);
    details.evidence.iter().for_each(|item| text.push_str(&evidence_text(item, now)));
    text
}

fn arbiter_lines<'a>(arbiter: &ArbiterView, view: &DisputeView) -> Vec<(&'a str, String)> {
    let fee = show::money(arbiter.fee, &view.asset);
    let mut lines = vec![("arbiter", format!("{}, {fee} for an award", arbiter.account))];
    if let Some(award) = &arbiter.award {
        let why = if award.note.is_empty() { String::new() } else { format!(" ({})", plain(&award.note)) };
        lines.push(("", format!("awards {}{why}", divided(award.split, view))));
    }
    lines
}

/// One item of evidence. All of it is a side's own word.
fn evidence_text(item: &EvidenceView, now: Timestamp) -> String {
    let at = show::from_now(item.at.timestamp(), now);
    let head = format!("\nshown by the {}, item {}, {at}\n", item.by, item.number);
    let said = item.text.lines().map(|line| ("", plain(line)));
    let files =
        item.files.iter().map(|file| ("", format!("file {:?}, {} bytes", plain(&file.name), file.bytes.0.len())));
    head + &show::fields(said.chain(files))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::api::view::samples;

    fn now() -> Timestamp {
        Timestamp::from_secs(1_800_000_000)
    }

    #[test]
    fn asking_the_arbiters_says_who_decides_until_when_for_how_much_and_what_silence_means() {
        let view = samples::dispute().dispute;
        let said = opening(&view, None, now());
        for part in
            ["all 20 XLM for the consumer", "1 of 1", "pays them 1 XLM", "Silence means the consumer", "in 82 s"]
        {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert!(
            opening(&view, Some(Stroops::whole(15)), now()).contains("15 XLM to the provider, 5 XLM to the consumer")
        );
    }

    #[test]
    fn an_award_says_what_is_left_after_the_fees_and_that_it_stands() {
        let view = samples::dispute().dispute;
        let split = SplitView { to_provider: Stroops::whole(15), to_consumer: Stroops::whole(5) };
        let said = awarding(&view, split, now());
        for part in
            ["15 XLM to the provider", "14.25 XLM to the provider, 4.75 XLM to the consumer", "whoever protests"]
        {
            assert!(said.contains(part), "{part} in {said}");
        }
    }

    #[test]
    fn one_dispute_shows_both_sides_the_deadlines_and_no_strangers_control_characters() {
        let mut details = samples::dispute();
        details.evidence[0].text = "It was \u{1b}[2J never there.".into();
        let shown = text(&details, now());
        for part in [
            "award by",
            "T  ",
            "silence",
            "means the consumer",
            "shown by the consumer, item 0",
            "file \"log.txt\", 3 bytes",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains('\u{1b}'), "{shown}");
        assert!(table(&[details.dispute], now()).lines().all(|line| line.chars().count() <= 100));
    }

    #[test]
    fn files_that_were_shown_are_written_under_names_that_no_stranger_chose() {
        let dir = tempfile::tempdir().unwrap();
        let mut details = samples::dispute();
        for name in ["../../etc/passwd", "run-me.desktop", ".bashrc"] {
            details.evidence[0].files[0].name = name.into();
            let written = write_files(dir.path(), &details).unwrap();
            let expected = dir.path().join(format!("{}-consumer-0-0", show::id(details.dispute.binding)));
            assert_eq!(written, [(expected, name.to_owned())]);
            assert_eq!(std::fs::read(&written[0].0).unwrap(), [1, 2, 3]);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
