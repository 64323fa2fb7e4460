//! `tradepost bind`: look, agree, bind, and wait until it can be used.

use std::io;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, timeout_at};
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::time::Timestamp;

use super::client::{Client, segment};
use super::failure::{Exit, Failure};
use super::wallet::{costs, go_on};
use super::{Consent, Global, binding, show};
use crate::api::request::NewBinding;
use crate::api::view::{BindingView, Bound, CostView, OfferingView};
use crate::terminal::{Answer, Terminal, plain};

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
    /// How the money is held: timed or arbitrated; what the configuration prefers unless told otherwise.
    #[arg(long, value_name = "KIND")]
    escrow: Option<EscrowKind>,
    /// Silence pays the provider: from T on the escrow is the provider's, unless you won a dispute until then. Arbitrated
    /// only; without it silence gives you the money back.
    #[arg(long)]
    pay_unless_disputed: bool,
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
        self.with(&client, terminal, |act| terminal.confirm(act)).await
    }

    /// Binds by this node, asking what has to be answered with yes.
    async fn with(
        self,
        client: &Client,
        terminal: Terminal,
        mut ask: impl FnMut(&str) -> io::Result<Answer>,
    ) -> Result<(), Failure> {
        let offering: OfferingView = client.get(&format!("/v1/offerings/{}", segment(&self.offering))).await?;
        let units = self.units.unwrap_or(offering.min_units);
        if self.pay_unless_disputed && self.escrow == Some(EscrowKind::Timed) {
            let what = "under `timed` there are no disputes, so --pay-unless-disputed means nothing";
            return Err(Failure::new(Exit::Usage, what).hint("leave it out, or ask for --escrow arbitrated"));
        }
        let (id, escrow, pay_unless_disputed) = (offering.id.to_string(), self.escrow, self.pay_unless_disputed);
        let mut wanted = NewBinding { offering: id, units, escrow, pay_unless_disputed, dry_run: true };
        let cost: CostView = client.post("/v1/bindings", &wanted).await?;
        if !go_on(ask(&question(&offering, units, &cost, client.now()))?)? {
            return Ok(terminal.print(&cost, |_| String::new())?);
        }
        if self.pay_unless_disputed && !go_on(ask(&silence_pays(&cost, client.now()))?)? {
            return Ok(terminal.print(&cost, |_| String::new())?);
        }
        wanted.dry_run = false;
        let bound: Bound = client.post("/v1/bindings", &wanted).await?;
        let id = bound.binding.to_string();
        terminal.say(&format!("The provider has agreed: binding {}.", show::id(&id)));
        let view = match self.no_wait {
            true => binding::get(client, &id).await?,
            false => wait(client, &id, |phase| terminal.say(&format!("  {phase}"))).await?,
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

/// What the buyer gives its word for, in plain words.
fn silence_pays(cost: &CostView, now: Timestamp) -> String {
    let money = show::money(cost.amount, &cost.asset);
    let from = cost.returns_at.as_ref().map(|at| show::moment(at, now)).unwrap_or_default();
    format!(
        "You said --pay-unless-disputed. That turns silence around:\n  \
         - If you do nothing, or are offline, or your node is down, the provider gets {money}, from {from} on, whether it \
         delivered or not.\n  \
         - Only a dispute that you open in time and that the arbiters award to you brings money back.\n  \
         - If the arbiters stay silent, the provider gets it.\n\
         Without the flag it is the other way round: silence gives you the money back."
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
            let silence_pays = view.escrow.as_ref().is_some_and(|escrow| escrow.beneficiary != view.side);
            let hint = match view.deadlines.as_ref().and_then(|d| d.refund_at.as_ref()) {
                Some(_) if silence_pays => {
                    "the provider's node should give the money back by itself, and yours asks the arbiters where it doesn't; \
                     `tradepost dispute open` asks them now"
                        .to_owned()
                }
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
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

    use super::*;
    use crate::api::view::samples;

    /// An API that shows the sample offering and its cost, and keeps what it is asked to bind.
    async fn api() -> (Client, Arc<Mutex<Vec<serde_json::Value>>>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::to(&format!("http://{}", listener.local_addr().unwrap()));
        let posted = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&posted);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let (mut line, mut first, mut length) = (String::new(), String::new(), 0);
                while stream.read_line(&mut line).await.unwrap() > 2 {
                    let lower = line.to_lowercase();
                    length = lower.strip_prefix("content-length:").map_or(length, |n| n.trim().parse().unwrap());
                    first = if first.is_empty() { line.clone() } else { first };
                    line.clear();
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.unwrap();
                let answer = match first.starts_with("POST /v1/bindings ") {
                    true => {
                        known.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
                        serde_json::to_string(&samples::arbitrated_cost()).unwrap()
                    }
                    false => serde_json::to_string(&samples::offering()).unwrap(),
                };
                let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", answer.len());
                stream.write_all((head + &answer).as_bytes()).await.unwrap();
            }
        });
        (client, posted)
    }

    #[tokio::test]
    async fn a_no_to_either_question_of_pay_unless_disputed_asks_nothing_of_the_provider() {
        use Answer::{DryRun, No, NobodyThere, Yes};
        for answers in [&[No][..], &[Yes, No], &[Yes, NobodyThere], &[Yes, DryRun], &[Yes, Yes]] {
            let (client, posted) = api().await;
            let bind = Bind {
                offering: "abc".into(),
                units: Some(10),
                escrow: None,
                pay_unless_disputed: true,
                no_wait: true,
                consent: Consent { yes: false, dry_run: false },
            };
            let (mut asked, terminal) = (Vec::new(), Terminal { json: true, ..Terminal::default() });
            let done = bind.with(&client, terminal, |act| {
                asked.push(act.to_owned());
                Ok(answers[asked.len() - 1])
            });
            let done = done.await;
            assert_eq!(asked.len(), answers.len(), "{asked:?}");
            assert!(asked.get(1).is_none_or(|second| second.contains("turns silence around")), "{asked:?}");
            let meant: Vec<bool> = posted.lock().unwrap().iter().map(|body| body["dry_run"] == false).collect();
            match answers {
                [Yes, Yes] => assert_eq!(meant, [false, true], "only two yeses bind"),
                [Yes, DryRun] => assert!(done.is_ok() && meant == [false], "{meant:?}"),
                _ => assert_eq!((done.unwrap_err().exit, meant), (Exit::Refused, vec![false])),
            }
        }
    }

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
    fn an_arbitrated_question_says_who_decides_for_how_much_whom_silence_favours_and_when_the_reserve_returns() {
        let text = question(&samples::offering(), 10, &samples::arbitrated_cost(), Timestamp::from_secs(1_800_000_000));
        for part in
            ["arbitrated", "1 XLM for an award", "silence means the consumer", "4.5 XLM, locked", "once your node"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn paying_unless_disputed_is_asked_for_in_plain_words() {
        let said = silence_pays(&samples::arbitrated_cost(), Timestamp::from_secs(1_800_000_000));
        for part in ["If you do nothing", "the provider gets 20 XLM", "in 90 s", "other way round"] {
            assert!(said.contains(part), "{part} in {said}");
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
