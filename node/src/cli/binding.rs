//! `tradepost binding`: the bindings of this node, on either side.

use clap::{Args, Subcommand};

use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::dispute::DisputeState;
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::binding::session::End;
use tradepost_protocol::time::Timestamp;

use super::client::Client;
use super::failure::Failure;
use super::wallet::go_on;
use super::{Consent, Global, show};
use crate::api::request::NewRelease;
use crate::api::view::{BindingList, BindingView, DeadlinesView, Done, EscrowView};
use crate::terminal::{Table, plain};

/// What to do with bindings.
#[derive(Debug, Subcommand)]
pub enum BindingCommand {
    /// Lists the open ones.
    List {
        /// Those that are over too.
        #[arg(long)]
        all: bool,
    },
    /// Shows one.
    Show {
        /// The binding, or the beginning of its id.
        binding: String,
    },
    /// Ends one. What that means for the money is said before.
    Unbind(Unbind),
    /// Signs for a division of an arbitrated escrow: gives way to the other side, or offers a part.
    Release(Release),
}

/// Ends a binding.
#[derive(Debug, Args)]
pub struct Unbind {
    /// The binding, or the beginning of its id.
    binding: String,
    #[command(flatten)]
    consent: Consent,
}

/// Signs for a division.
#[derive(Debug, Args)]
pub struct Release {
    /// The binding, or the beginning of its id.
    binding: String,
    /// The provider's share, in units of the asset, such as 2.5; everything for the other side where it isn't said.
    #[arg(long, value_name = "AMOUNT", value_parser = Stroops::from_coins)]
    to_provider: Option<Stroops>,
    #[command(flatten)]
    consent: Consent,
}

impl BindingCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let terminal = global.terminal();
        let client = Client::of(&global.home()?)?;
        match self {
            Self::List { all } => {
                let list: BindingList = client.get_with("/v1/bindings", &serde_json::json!({ "all": all })).await?;
                if list.items.is_empty() && !terminal.json {
                    terminal
                        .say("no open bindings: `tradepost bind OFFERING` makes one, --all shows those that are over");
                }
                Ok(terminal.print(&list, |list| table(&list.items, client.now()))?)
            }
            Self::Show { binding } => {
                let view = get(&client, &binding).await?;
                Ok(terminal.print(&view, |view| text(view, client.now()))?)
            }
            Self::Unbind(unbind) => unbind.run(global, &client).await,
            Self::Release(release) => release.run(global, &client).await,
        }
    }
}

impl Unbind {
    async fn run(self, global: &Global, client: &Client) -> Result<(), Failure> {
        let terminal = global.terminal_with(self.consent);
        let view = get(client, &self.binding).await?;
        // Where there is nothing to end, the node says why not, and nothing is lost by asking it.
        let over = view.is_final || view.ended.is_some();
        if !over && !go_on(terminal.confirm(&loss(&view))?)? {
            return Ok(terminal.print(&view, |_| String::new())?);
        }
        let path = format!("/v1/bindings/{}/unbind", view.name());
        let done: Done = client.post(&path, &serde_json::json!({})).await?;
        Ok(terminal.print(&done, |_| format!("unbound  {}\n", show::id(view.name())))?)
    }
}

impl Release {
    async fn run(self, global: &Global, client: &Client) -> Result<(), Failure> {
        let terminal = global.terminal_with(self.consent);
        let view = get(client, &self.binding).await?;
        // Where the arbiters have decided, the node says why not, and nothing is lost by asking it.
        if !is_awarded(&view) && !go_on(terminal.confirm(&given(&view, self.to_provider))?)? {
            return Ok(terminal.print(&view, |_| String::new())?);
        }
        let path = format!("/v1/bindings/{}/release", view.name());
        let done: Done = client.post(&path, &NewRelease { to_provider: self.to_provider }).await?;
        Ok(terminal.print(&done, |_| format!("released  {}\n", show::id(view.name())))?)
    }
}

/// Whether the arbiters have decided, so that nobody signs for a division any more.
fn is_awarded(view: &BindingView) -> bool {
    let dispute = view.escrow.as_ref().and_then(|escrow| escrow.dispute.as_deref());
    dispute == Some(DisputeState::Awarded.as_str())
}

/// What its owner signs for by releasing.
fn given(view: &BindingView, to_provider: Option<Stroops>) -> String {
    let (id, other) = (show::id(view.name()), if view.is_consumers() { "provider" } else { "consumer" });
    let all = amount(view);
    let what = match (to_provider, &view.asset) {
        (Some(share), Some(asset)) => format!(
            "{} of {all} to the provider, the rest to the consumer. It is settled once the other side signs for the same, or \
             where that gives it all that it claims",
            show::money(share, asset)
        ),
        _ => format!("the whole {all} to the {other}. That is settled at once, and no arbiter is paid"),
    };
    let gives = to_provider.is_none_or(|share| view.amount.is_some_and(|amount| share < amount));
    let ends = !view.is_consumers() && view.ended.is_none() && gives;
    let ends = if ends { " Its service takes no call from now on, and ends with the escrow." } else { "" };
    format!("Sign for a division of {id}'s escrow:\n  {what}.{ends}")
}

/// Reads one binding.
pub(super) async fn get(client: &Client, name: &str) -> Result<BindingView, Failure> {
    client.get(&format!("/v1/bindings/{}", super::client::segment(name))).await
}

/// What its owner gives up by ending a binding.
fn loss(view: &BindingView) -> String {
    let id = show::id(view.name());
    let title = view.title.as_deref().map(|title| format!(" of {:?}", plain(title))).unwrap_or_default();
    let money = match (view.amount, &view.asset) {
        (Some(amount), Some(asset)) if !amount.is_zero() => Some(show::money(amount, asset)),
        _ => None,
    };
    let what = match (view.is_consumers(), view.phase.as_str(), money) {
        (true, "requested", _) => "The request is taken back. No money has moved.".to_owned(),
        (_, "closed" | "void", _) | (_, _, None) => "The session ends. There is no money in it.".to_owned(),
        (true, _, Some(money)) => bought(view, &money),
        (false, _, Some(money)) => {
            format!("The session ends, and the whole {money} goes back to the consumer, also what was used already.")
        }
    };
    format!("Unbind {id}{title}, {}, {}:\n  {what}", view.side, view.phase)
}

/// What a consumer gives up of a binding with so much money in it, by what its node would sign for.
fn bought(view: &BindingView, money: &str) -> String {
    let package = show::units(view.units, view.unit);
    let price = format!("{money}: it is the price of the package of {package}");
    let beneficiary = view.escrow.as_ref().map_or("consumer", |escrow| escrow.beneficiary.as_str());
    let arbitrated = view.escrow.as_ref().is_some_and(|escrow| escrow.dispute.is_some());
    let silence = if beneficiary == Side::Provider.as_str() {
        "Your node asks the arbiters for the rest by itself before dispute_by, for silence means the provider."
    } else {
        "Silence means the consumer."
    };
    match view.if_unbound {
        Some(split) if split.to_consumer.is_zero() && arbitrated => format!(
            "The session ends, and your node signs for the provider to have the whole {price}, and nothing failed. Is \
             something wrong with it, `tradepost dispute open` first."
        ),
        Some(split) if split.to_consumer.is_zero() => format!(
            "The session ends, and the provider may collect the whole {price}. What you haven't used of it is lost."
        ),
        Some(split) if split.to_provider.is_zero() && !ran(view) => format!(
            "The session ends before the service ran, so the provider hasn't earned the {money}: its node gives all of it back, \
             unless it has started the service meanwhile. From T on the money is the {beneficiary}'s."
        ),
        Some(split) => {
            let part = view
                .asset
                .as_ref()
                .map_or_else(|| show::coins(split.to_provider), |asset| show::money(split.to_provider, asset));
            format!(
                "The session ends. Of {price}, your node agrees to {part} for what it saw, where the provider signs for the \
                 same, and to no more by itself. You bought a package, so the provider may ask the arbiters for the whole of it. \
                 `tradepost binding release` pays the whole, with --to-provider a part. {silence}"
            )
        }
        None => format!(
            "The session ends. Your node doesn't pay {money} by itself for what it didn't see: `tradepost binding release` \
             pays, `tradepost dispute open` asks the arbiters, silence means the {beneficiary}."
        ),
    }
}

/// Whether the service ran, as far as this node knows.
fn ran(view: &BindingView) -> bool {
    !matches!(view.session.as_str(), "idle" | "starting")
}

/// Bindings, one a line.
pub(super) fn table(items: &[BindingView], now: Timestamp) -> String {
    let mut table = Table::new(&["BINDING", "SIDE", "PHASE", "OFFERING", "USED", "AMOUNT", "NEXT DEADLINE"]);
    for view in items {
        let deadline = view.next_deadline.as_ref();
        table.row([
            show::id(view.name()),
            view.side.clone(),
            view.phase.clone(),
            show::cut(view.title.as_deref().unwrap_or("(unknown)"), 18),
            used(view),
            amount(view),
            deadline.map_or("-".to_owned(), |d| format!("{} {}", d.name, show::from_now(d.at.timestamp(), now))),
        ]);
    }
    table.render()
}

/// Units used of those bought. A consumer's node knows it only when the provider's, which counts, has told it at the end.
fn used(view: &BindingView) -> String {
    let untold = !view.is_final || view.ended.as_deref() == Some(End::ProviderGone.as_str());
    let unknown = view.is_consumers() && view.used == 0 && untold;
    let used = if unknown { "?".to_owned() } else { view.used.to_string() };
    format!("{used}/{}", view.units)
}

fn amount(view: &BindingView) -> String {
    match (view.amount, &view.asset) {
        (Some(amount), _) if amount.is_zero() => "free".to_owned(),
        (Some(amount), Some(asset)) => show::money(amount, asset),
        (Some(amount), None) => show::coins(amount),
        (None, _) => "-".to_owned(),
    }
}

/// All of one binding.
pub(super) fn text(view: &BindingView, now: Timestamp) -> String {
    let mut lines: Vec<(&str, String)> = vec![
        ("binding", view.binding.map_or("(not agreed yet)".to_owned(), |id| id.to_string())),
        ("request", view.request.to_string()),
        ("offering", view.title.as_deref().map_or_else(|| view.offering.to_string(), plain)),
        ("side", view.side.clone()),
        ("phase", view.phase.clone()),
        ("session", view.ended.as_ref().map_or_else(|| view.session.clone(), |end| format!("ended: {end}"))),
        (
            "units",
            format!(
                "{} used of {}",
                used(view).split('/').next().unwrap_or_default(),
                show::units(view.units, view.unit)
            ),
        ),
        ("amount", amount(view)),
    ];
    lines.extend(view.seen.map(|seen| ("seen", format!("{} calls answered, {} failed", seen.answered, seen.failed))));
    if let Some(escrow) = &view.escrow {
        lines.push(("escrow", format!("{}: {}", escrow.kind, escrow.state)));
        lines.extend(escrow.mismatch.iter().map(|why| ("", plain(why))));
        lines.extend(escrow.division.zip(view.asset.as_ref()).map(|(split, asset)| {
            let [provider, consumer] = [split.to_provider, split.to_consumer].map(|share| show::money(share, asset));
            ("", format!("{provider} to the provider, {consumer} to the consumer"))
        }));
        lines.push(("protects", escrow.protects.clone()));
        lines.extend(view.issuer.iter().filter_map(|issuer| Some(("issuer", issuer.warning()?))));
        lines.extend(escrow.balance.map(|id| ("balance", id.to_string())));
        lines.extend(escrow.arbiters.iter().map(|arbiter| {
            let fee =
                view.asset.as_ref().map_or_else(|| show::coins(arbiter.fee), |asset| show::money(arbiter.fee, asset));
            ("arbiter", format!("{}, {fee} for an award", arbiter.account))
        }));
        lines.extend(escrow.dispute.iter().map(|state| ("dispute", state.clone())));
    }
    if let Some(deadlines) = &view.deadlines {
        lines.extend(deadline_lines(deadlines, view.escrow.as_ref(), now));
    }
    lines.extend(view.transactions.funding.map(|hash| ("funded", hash.to_string())));
    lines.extend(view.transactions.closing.map(|hash| ("closed", hash.to_string())));
    lines.push(("peer", view.peer.to_string()));
    lines.extend(view.note.iter().map(|note| ("note", plain(note))));
    lines.push(("next", view.next_action.clone()));
    show::fields(lines)
}

/// Each deadline with what it is, and at the end what silence means.
fn deadline_lines(
    deadlines: &DeadlinesView,
    escrow: Option<&EscrowView>,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let beneficiary = escrow.map_or("consumer", |escrow| escrow.beneficiary.as_str());
    let by_itself = match beneficiary {
        "provider" => "the consumer's node does by itself where it saw less than was agreed, else its owner has to",
        _ => "the provider's node does by itself, without a release",
    };
    let fund = if escrow.is_some() { "until then the escrow must stand" } else { "until then it must be confirmed" };
    let asks = format!("until then a side may ask the arbiters; {by_itself}");
    let turns = format!("from then on the escrow is the {beneficiary}'s, and nobody else's");
    let all = [
        ("fund by", Some(&deadlines.fund_by), fund),
        ("start by", Some(&deadlines.start_by), "until then the service must run, or it isn't paid"),
        ("deliver by", Some(&deadlines.deliver_by), "until then the service is owed"),
        ("dispute by", deadlines.dispute_by.as_ref(), asks.as_str()),
        ("award by", deadlines.award_by.as_ref(), "until then the arbiters decide"),
        ("T", deadlines.refund_at.as_ref(), turns.as_str()),
    ];
    let shown = |(name, at, what): (&'static str, Option<&_>, &str)| {
        Some((name, format!("{}: {what}", show::moment(at?, now))))
    };
    let mut lines: Vec<(&str, String)> = all.into_iter().filter_map(shown).collect();
    if let Some(at) = deadlines.refund_at.as_ref().filter(|_| escrow.is_some()) {
        lines.push(("silence", format!("means the {beneficiary}, {}", show::from_now(at.timestamp(), now))));
    }
    lines
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::api::view::samples;
    use tradepost_protocol::binding::dispute::Split;

    #[test]
    fn ending_a_binding_says_who_loses_what() {
        let mut view = samples::binding();
        let consumer = loss(&view);
        assert!(consumer.contains("collect the whole 5 XLM") && consumer.contains("package of 10 calls"), "{consumer}");
        view.side = "provider".into();
        assert!(loss(&view).contains("5 XLM goes back to the consumer"));
        view.side = "consumer".into();
        view.phase = "requested".into();
        assert!(loss(&view).contains("No money has moved"));
    }

    #[test]
    fn ending_a_binding_says_what_ones_node_will_sign_for() {
        let ends = |session: &str, share: Option<u32>, pays: bool| {
            let mut view = samples::arbitrated_binding();
            view.session = session.into();
            view.if_unbound =
                share.and_then(|share| Split::of(Stroops::whole(20), Stroops::whole(share))).map(Into::into);
            if let Some(escrow) = view.escrow.as_mut().filter(|_| !pays) {
                escrow.beneficiary = "consumer".into();
            }
            loss(&view)
        };
        for (said, parts) in [
            (
                ends("active", Some(20), false),
                ["signs for the provider to have the whole 20 HEXA", "`tradepost dispute open` first"],
            ),
            (ends("active", Some(3), false), ["agrees to 3 HEXA for what it saw", "Silence means the consumer"]),
            (ends("active", Some(3), true), ["to no more by itself", "asks the arbiters for the rest by itself"]),
            (ends("starting", Some(0), false), ["before the service ran", "gives all of it back"]),
            (ends("active", None, true), ["doesn't pay 20 HEXA by itself", "silence means the provider"]),
        ] {
            assert!(parts.iter().all(|part| said.contains(part)), "{parts:?} in {said}");
        }
        let timed = BindingView {
            session: "idle".into(),
            if_unbound: Some(Split::all_to(Side::Consumer, Stroops::whole(5)).into()),
            ..samples::binding()
        };
        assert!(loss(&timed).contains("hasn't earned the 5 XLM"), "{}", loss(&timed));
    }

    #[test]
    fn a_list_fits_100_columns_and_tells_the_next_deadline() {
        let mut view = samples::binding();
        view.title = Some("A very long title of a stranger \u{1b}[2J that goes on".into());
        let shown = table(&[view], Timestamp::from_secs(1_800_000_000));
        assert!(shown.contains("deliver_by in") && !shown.contains('\u{1b}'), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    }

    #[test]
    fn one_binding_shows_every_deadline_and_what_comes_next() {
        let shown = text(&samples::binding(), Timestamp::from_secs(1_800_000_000));
        for part in ["fund by", "start by", "deliver by", "T   ", "protects", "next        use it: tradepost call"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(shown.contains("silence     means the consumer, in 102 s") && !shown.contains("award by"), "{shown}");
    }

    #[test]
    fn an_arbitrated_binding_shows_its_arbiters_each_deadline_whom_silence_favours_and_what_the_issuer_may_do() {
        let shown = text(&samples::arbitrated_binding(), Timestamp::from_secs(1_800_000_000));
        for part in [
            "1 HEXA for an award",
            "the consumer's node does by itself where it saw less than was agreed, else its owner has to",
            "until then the arbiters decide",
            "from then on the escrow is the provider's",
            "silence     means the provider, in 90 s",
            "out of the escrow",
            "dispute     opened",
        ] {
            assert!(
                shown
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
                    .contains(&part.split_whitespace().collect::<Vec<_>>().join(" ")),
                "{part} in {shown}"
            );
        }
    }

    #[test]
    fn a_release_says_what_it_gives_away() {
        let view = samples::arbitrated_binding();
        assert!(given(&view, None).contains("the whole 20 HEXA to the provider"));
        assert!(given(&view, Some(Stroops::whole(15))).contains("15 HEXA of 20 HEXA to the provider"));
        let sold = BindingView { side: "provider".into(), ended: None, ..samples::arbitrated_binding() };
        for (share, ends) in [(None, true), (Some(15), true), (Some(20), false)] {
            let text = given(&sold, share.map(Stroops::whole));
            assert_eq!(text.contains("takes no call from now on"), ends, "{text}");
        }
        assert!(!given(&view, None).contains("takes no call"));
    }

    #[test]
    fn who_can_release_no_more_is_not_asked_whether_to() {
        let mut view = samples::arbitrated_binding();
        assert!(!is_awarded(&view));
        view.escrow = view.escrow.map(|escrow| EscrowView { dispute: Some("awarded".into()), ..escrow });
        assert!(is_awarded(&view));
    }
}
