//! `tradepost offering new`: an annotated file, with the questions answered by flags or at the terminal.

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tradepost_protocol::account::{AccountId, ServiceKey};
use tradepost_protocol::amount::Unit;
use tradepost_protocol::community::listing::EXCHANGE;
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::market::EscrowPolicy;
use url::Url;

use super::file;
use crate::cli::Global;
use crate::cli::failure::{Exit, Failure};
use crate::cli::show;
use crate::config::Network;
use crate::private_file;
use crate::terminal::Terminal;

/// Longest answer to a question, bytes.
const MAX_ANSWER: u64 = 4_096;
/// The template of those who decide disputes.
const ARBITER: &str = "arbiter";
/// The templates of what people write a file about.
const OFFERED: [&str; 4] = ["http-api", "process", "help", ARBITER];
/// The most units of a binding where nothing is said.
const MAX_UNITS: u64 = 1_000;

/// Writes an annotated file that describes an offering. What isn't given by a flag is asked at the terminal.
#[derive(Debug, Args)]
pub struct New {
    /// Where to write it.
    #[arg(value_name = "FILE", default_value = "offering.toml")]
    file: PathBuf,
    /// A built-in template: http-api, process, help or arbiter.
    #[arg(long, default_value = "http-api")]
    template: String,
    /// One line for people.
    #[arg(long)]
    title: Option<String>,
    /// More for people.
    #[arg(long, default_value = "")]
    description: String,
    /// What a unit costs, such as "0.5 XLM per call".
    #[arg(long)]
    price: Option<String>,
    /// The fewest units of a binding.
    #[arg(long, default_value_t = 1)]
    min_units: u64,
    /// The most units of a binding; 1000 where it isn't said, of seconds as many as fit in --deliver-secs.
    #[arg(long)]
    max_units: Option<u64>,
    /// How many bindings at once.
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    max_supply: u32,
    /// How long a binding's service runs, seconds.
    #[arg(long, value_name = "SECONDS")]
    deliver_secs: Option<u64>,
    /// How long afterwards the provider may collect, seconds; then the money is the consumer's again.
    #[arg(long, value_name = "SECONDS")]
    collect_secs: Option<u64>,
    /// How long the offering stands, days, 1 to 30.
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    valid_days: u64,
    /// Where the service that it sells already runs, such as http://127.0.0.1:9000.
    #[arg(long, value_name = "URL", conflicts_with_all = ["start", "service"])]
    url: Option<Url>,
    /// The command that starts a service for each binding, its parts after each other; {port} is filled in.
    #[arg(long, value_name = "PART", num_args = 1.., allow_hyphen_values = true, conflicts_with = "service")]
    start: Vec<String>,
    /// The name of a service in the node's configuration.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Path that answers 2xx when the service is healthy.
    #[arg(long, value_name = "PATH", default_value = "/")]
    health: String,
    /// The service whose current record it offers, by its key; the template process requires it.
    #[arg(long, value_name = "KEY")]
    record: Option<ServiceKey>,
    /// Writes over an existing file.
    #[arg(long)]
    force: bool,
}

/// What `offering new --json` prints.
#[derive(Debug, Serialize)]
struct NewView {
    file: String,
}

impl New {
    pub(super) fn run(mut self, global: &Global) -> Result<(), Failure> {
        let terminal = global.terminal();
        self.check_template()?;
        if self.template == "process" && self.record.is_none() {
            let failure = Failure::new(Exit::Usage, "the template process sells a version of a service");
            return Err(failure.hint("`tradepost service register` makes its record; give its key with --record"));
        }
        self.ask(terminal)?;
        let config = global.config(&global.home()?)?;
        let text = self.text(config.network, &config.arbiters)?;
        let written = match self.force {
            true => private_file::write(&self.file, text.as_bytes()),
            false => private_file::write_new(&self.file, text.as_bytes()),
        };
        let shown = self.file.display().to_string();
        written.map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => {
                Failure::new(Exit::Refused, format!("{shown} exists already")).hint("choose another name, or --force")
            }
            _ => Failure::new(Exit::Failed, format!("can't write {shown}")).because(&e),
        })?;
        if self.template != ARBITER {
            terminal.say(&proposed(&config.arbiters));
        }
        terminal.say(&format!("Complete the file, then: tradepost offering publish {shown}"));
        Ok(terminal.print(&NewView { file: shown }, |view| format!("{}\n", view.file))?)
    }

    fn check_template(&self) -> Result<(), Failure> {
        if OFFERED.contains(&self.template.as_str()) {
            return Ok(());
        }
        if self.template == EXCHANGE {
            let failure = Failure::new(Exit::Usage, "a help exchange is offered by its agent's node, without a file");
            return Err(failure.hint(
                "`tradepost community create` does, where the configuration has `community.role = \"agent\"`; files are about \
                 http-api, process, help or arbiter",
            ));
        }
        let what = format!("{:?} is no built-in template", self.template);
        Err(Failure::new(Exit::Usage, what).hint("http-api, process, help or arbiter"))
    }

    /// Asks for what no flag gave.
    fn ask(&mut self, terminal: Terminal) -> Result<(), Failure> {
        let mut missing = Vec::new();
        if self.title.is_none() {
            self.title = question(terminal, "Title, one line for people:")?;
            missing.extend(self.title.is_none().then_some("--title"));
        }
        if self.price.is_none() {
            self.price = question(terminal, "Price, such as 0.5 XLM per call:")?;
            missing.extend(self.price.is_none().then_some("--price"));
        }
        let served = self.url.is_some() || !self.start.is_empty() || self.service.is_some() || self.by_people();
        if !served {
            let url = question(terminal, "Where the service runs, such as http://127.0.0.1:9000:")?;
            self.url = url.map(|url| url.parse()).transpose().map_err(|e| Failure::of(Exit::Usage, &e))?;
            missing.extend(self.url.is_none().then_some("--url, --start or --service"));
        }
        if missing.is_empty() {
            return Ok(());
        }
        let what = format!("nobody is there to ask for {}", missing.join(" and "));
        Err(Failure::new(Exit::Usage, what).hint("give these flags; `tradepost offering new --help` explains them"))
    }

    /// Whether people do what is sold, and no service.
    fn by_people(&self) -> bool {
        matches!(self.template.as_str(), "help" | ARBITER)
    }

    /// The fewest and the most units of a binding, and how many at once: an award is one job, and nobody binds it. What is
    /// sold by the second must fit in the time that it is sold for.
    fn bounds(&self, unit: Unit, deliver: u64) -> Result<(u64, u64, u32), Failure> {
        if self.template == ARBITER {
            return Ok((1, 1, 1));
        }
        let fitting = if unit == Unit::Second { deliver } else { u64::MAX };
        let max_units = self.max_units.unwrap_or(MAX_UNITS.min(fitting));
        if max_units > fitting {
            let failure = Failure::new(Exit::Usage, format!("{max_units} seconds don't fit in a time of {deliver} s"));
            return Err(failure.hint(format!(
                "sell at most {deliver} with --max-units, or make the time longer with --deliver-secs"
            )));
        }
        Ok((self.min_units, max_units, self.max_supply))
    }

    fn text(&self, network: Network, arbiters: &[AccountId]) -> Result<String, Failure> {
        let price = self.price.clone().unwrap_or_default();
        let unit = file::price(&price).map_err(|why| Failure::new(Exit::Usage, why))?.unit;
        let (deliver, collect) = match network {
            Network::Devnet => (60, 15),
            Network::Testnet | Network::Public => (86_400, 3_600),
        };
        let deliver = self.deliver_secs.unwrap_or(deliver);
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let record = match &self.record {
            Some(key) => format!("record = \"{key}\""),
            None => "# record = \"G…\"".to_owned(),
        };
        let (min_units, max_units, max_supply) = self.bounds(unit, deliver)?;
        let (title, description) = (quoted(self.title.as_deref().unwrap_or_default()), quoted(&self.description));
        Ok(format!(
            r#"# An offering, to be published with `tradepost offering publish`. Everything here but [service] becomes public.

# Which kind: http-api, process (a process of its own for each binding), help (between people) or arbiter (decides
# disputes of others).
template = "{template}"

# One line, and more, for people.
title = {title}
description = {description}

# What a unit costs: "0.5 XLM per call", "2 CODE:ISSUER per job", "free per call". Units: call, second, MiB, job, item.
price = {price}

# The fewest and the most units of one binding. A binding is a package: its whole price is locked beforehand and paid
# as a whole, however many of its units are used.
min_units = {min_units}
max_units = {max_units}

# How many bindings it holds at once. price x min_units x max_supply is locked as bond, at least the network's least,
# and comes back to you when the last binding can have ended.
max_supply = {max_supply}

# How long a binding's service runs (seconds that are sold must fit in there), and how long afterwards you may collect
# under `timed`; then the money is the consumer's again.
deliver_secs = {deliver}
collect_secs = {collect}

{escrow}

# How long the offering stands, 1 to 30 days.
valid_days = {valid_days}

# Who is paid; your node's account where it isn't said.
# recipient = "G…"

# Ways to reach your node: "tcp", "quic"; those of the configuration where it isn't said.
# transports = ["tcp", "quic"]

# The service whose current record it offers, by its key: `tradepost service register` makes it. Required by process.
{record}

{service}
{arbitration}{parameters}"#,
            template = self.template,
            price = quoted(&price),
            escrow = self.escrow_text(arbiters),
            arbitration = self.arbitration_text(network, arbiters),
            collect = self.collect_secs.unwrap_or(collect),
            valid_days = self.valid_days,
            service = self.service_text(),
            parameters = parameters(&self.template, network),
        ))
    }

    /// What its money may be held in. Nobody binds what an arbiter offers: parties list it, and its fee comes out of their escrow.
    fn escrow_text(&self, arbiters: &[AccountId]) -> String {
        if self.template == ARBITER {
            return "# Nobody binds it: parties list your account, and an award's fee comes out of their escrow.\nescrow = [\"timed\"]"
                .to_owned();
        }
        escrow(arbiters.is_empty())
    }

    /// Who decides, where this node lists anybody.
    fn arbitration_text(&self, network: Network, arbiters: &[AccountId]) -> String {
        if arbiters.is_empty() || self.template == ARBITER {
            return String::new();
        }
        let accounts = toml::Value::Array(arbiters.iter().map(|a| toml::Value::String(a.to_string())).collect());
        let (dispute, award, settle) = match network {
            Network::Devnet => (20, 30, 15),
            Network::Testnet | Network::Public => (86_400, 259_200, 7_200),
        };
        format!(
            r#"# Whom you accept as arbiters: those of your configuration. A binding's are the ones that its consumer lists too; any award
# pays each of them its fee out of the escrow. Then, in seconds: how long after deliver_secs a side may ask them (your node
# does by itself where the consumer doesn't release), how long they may take, and how long settling their award may.
[arbitration]
arbiters = {accounts}
dispute_secs = {dispute}
award_secs = {award}
settle_secs = {settle}

"#
        )
    }

    fn service_text(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        if let Some(name) = &self.service {
            return format!(
                "# What serves those who bind it: [service.{name}] of the configuration.\nservice = {}\n",
                quoted(name)
            );
        }
        if self.by_people() {
            return "# People do it: no service stands behind it.\n".to_owned();
        }
        let how = match &self.url {
            Some(url) => format!("url = {}", quoted(url.as_str())),
            None => {
                let start =
                    toml::Value::Array(self.start.iter().map(|part| toml::Value::String(part.clone())).collect());
                format!("start = {start}")
            }
        };
        format!(
            r#"# What serves those who bind it; it stays on this machine. Either `url`, of a service that already runs, or `start`, a
# command for each binding, as a list without a shell: {{port}} and {{binding}} are filled in, and it must listen on
# 127.0.0.1 at that port. Or, above, service = "NAME" for [service.NAME] of the configuration.
[service]
{how}
# Path that answers 2xx when it is healthy, and how long the command may take to get there, seconds.
health = {}
# start_timeout = 30
"#,
            quoted(&self.health)
        )
    }
}

/// What an offering's money may be held in, with what that means.
fn escrow(timed_alone: bool) -> String {
    let protects = |kind: EscrowKind| format!("# {kind}: protects {}.", kind.protects().replace(": ", ":\n#   "));
    let (timed, arbitrated) = (protects(EscrowKind::Timed), protects(EscrowKind::Arbitrated));
    if timed_alone {
        let why = "# This node lists no arbiters (`arbiters` in its configuration); with some, offerings can take `arbitrated`.";
        return format!("# How the money of a binding is held.\n{timed}\n{why}\nescrow = [\"timed\"]");
    }
    let first = "# How the money of a binding is held; the consumer's node takes what it prefers.";
    format!("{first}\n{arbitrated}\n{timed}\nescrow = [\"arbitrated\", \"timed\"]")
}

/// What the file proposes, and what that costs whom.
fn proposed(arbiters: &[AccountId]) -> String {
    if arbiters.is_empty() {
        return format!(
            "This node lists no arbiters, so the file offers the escrow timed alone. It protects {}. What that costs: whoever \
             doesn't know you risks the whole price of a package, and nodes lock at most {} XLM under it unless their owners \
             say otherwise. With `arbiters` in the configuration the file proposes arbitrated.",
            EscrowKind::Timed.protects(),
            show::coins(EscrowPolicy::DEFAULT_MAX_TIMED),
        );
    }
    format!(
        "The file proposes the escrow arbitrated, with the {} that this node lists, and timed for consumers who list none of \
         them. arbitrated protects {}. What it costs: an arbiter's fee for an award, and a reserve that the consumer lends: about \
         4.5 XLM with one arbiter, half an XLM more with each further one and in an issued asset. 1.5 XLM of it return with the \
         money, the rest after T.",
        if arbiters.len() == 1 { "arbiter" } else { "arbiters" },
        EscrowKind::Arbitrated.protects(),
    )
}

fn parameters(template: &str, network: Network) -> String {
    let text = match template {
        ARBITER => {
            let least = network.margins().min_award.as_secs();
            return format!(
                "# How you decide, in your own words, and the least time that you want for it, seconds; it is at least {least} on this\n\
                 # network. The price above is for one award about an escrow in its asset; `fees` says what you take in others, in\n\
                 # stroops (10000000 are 1).\n[parameters]\npolicy = \"What was agreed, and what both sides can show.\"\n\
                 award_secs = {least}\n# fees = [{{ asset = \"CODE:G…\", fee = \"20000000\" }}]\n"
            );
        }
        "process" => {
            "# What is sold, in the template's words.\n[parameters]\naccess = \"http\"\n# start_secs = 30\n# memory_mib = 64\n\
             # usage = \"how to use it\"\n"
        }
        "help" => {
            "# What is sold, in the template's words.\n[parameters]\nwhat = \"What you do for others\"\n# where = \"\"\n\
             # when = \"\"\n"
        }
        _ => {
            "# What is sold, in the template's words: methods GET, HEAD, POST, PUT, PATCH, DELETE.\n[parameters]\n\
             endpoints = [\n  { method = \"GET\", path = \"/\", description = \"\" },\n]\n# documentation = \"https://…\"\n\
             # max_body_bytes = 1048576\n"
        }
    };
    text.to_owned()
}

/// What a person answers; nothing where nobody is there.
fn question(terminal: Terminal, text: &str) -> io::Result<Option<String>> {
    let stdin = io::stdin();
    if !stdin.is_terminal() || terminal.json {
        return Ok(None);
    }
    terminal.say(text);
    let mut answer = String::new();
    stdin.lock().take(MAX_ANSWER).read_line(&mut answer)?;
    Ok(Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use clap::{CommandFactory, FromArgMatches, Parser};
    use tradepost_protocol::account::ServingKey;
    use tradepost_protocol::asset::Asset;
    use tradepost_protocol::document::BuiltIn;
    use tradepost_protocol::escrow::arbitrated;
    use tradepost_protocol::escrow::controller::Signers;
    use tradepost_protocol::stellar::reserve::LedgerParams;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        new: New,
    }

    fn new(args: &[&str]) -> New {
        let line = Line::command().get_matches_from(std::iter::once(&"x").chain(args));
        Line::from_arg_matches(&line).unwrap().new
    }

    #[test]
    fn what_is_written_can_be_published() {
        let dir = tempfile::tempdir().unwrap();
        let record = ServiceKey::from_bytes([1; 32]).to_string();
        let cases: [&[&str]; 5] = [
            &["--title", "Weather \"here\"", "--price", "0.5 XLM per call", "--url", "http://127.0.0.1:9000"],
            &["--title", "W", "--price", "free per call", "--start", "python3", "-m", "http.server", "{port}"],
            &[
                "--template",
                "process",
                "--title",
                "P",
                "--price",
                "1 XLM per second",
                "--service",
                "p",
                "--record",
                &record,
            ],
            &["--template", "help", "--title", "H", "--price", "1 XLM per item"],
            &["--template", "arbiter", "--title", "A", "--price", "2 XLM per job"],
        ];
        let arbiters = [AccountId::from_bytes([7; 32])];
        for (args, listed) in cases.iter().flat_map(|args| [(args, &arbiters[..0]), (args, &arbiters[..])]) {
            let path = dir.path().join("offering.toml");
            std::fs::write(&path, new(args).text(Network::Devnet, listed).unwrap()).unwrap();
            let read = file::read(&path).unwrap();
            assert_eq!(read.service.is_some(), !["help", "arbiter"].contains(&read.template.as_str()));
            let arbitrated = !listed.is_empty() && read.template != "arbiter";
            assert_eq!(read.escrow.contains(&EscrowKind::Arbitrated), arbitrated);
            assert_eq!(read.arbitration.map(|a| a.arbiters).unwrap_or_default(), if arbitrated { listed } else { &[] });
            let template = &BuiltIn::named(&read.template).unwrap().template;
            let at = tradepost_protocol::schema::Path::root();
            template.schema.validate(&read.parameters, &at).unwrap();
        }
    }

    #[test]
    fn only_the_templates_that_are_offered_are_taken() {
        for built_in in tradepost_protocol::document::built_in() {
            let name = built_in.template.name.as_str();
            let taken = new(&["--template", name]).check_template();
            assert_eq!(taken.is_ok(), OFFERED.contains(&name), "{name}");
        }
        let refused = |name| new(&["--template", name]).check_template().unwrap_err();
        for name in [EXCHANGE, "magic"] {
            let hint = refused(name).hint.unwrap();
            assert!(OFFERED.iter().all(|offered| hint.contains(offered)), "{hint}");
        }
        assert!(refused(EXCHANGE).hint.unwrap().contains("community.role"));
    }

    #[test]
    fn what_an_arbiter_offers_says_nothing_of_arbiters_and_proposes_what_its_network_takes() {
        let listed = [AccountId::from_bytes([7; 32])];
        for network in Network::ALL {
            let margins = network.margins();
            for listed in [&listed[..0], &listed[..]] {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("offering.toml");
                let arbiter = new(&["--template", "arbiter", "--title", "A", "--price", "2 XLM per job"]);
                let text = arbiter.text(network, listed).unwrap();
                assert!(!text.contains("lists no arbiters") && text.contains("Nobody binds it"), "{text}");
                std::fs::write(&path, text).unwrap();
                let read = file::read(&path).unwrap();
                assert_eq!(read.parameters["award_secs"], margins.min_award.as_secs(), "{network}");
            }
            let seller = new(&["--title", "W", "--price", "1 XLM per call", "--url", "http://127.0.0.1:9000"]);
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("offering.toml");
            std::fs::write(&path, seller.text(network, &listed).unwrap()).unwrap();
            file::read(&path).unwrap().arbitration.unwrap().check_margins(&margins).unwrap();
        }
    }

    #[test]
    fn seconds_that_are_sold_fit_in_the_time_they_are_sold_for() {
        let usual = ["--title", "W", "--price", "1 XLM per second", "--url", "http://127.0.0.1:9000"];
        let text = |more: &[&str]| new(&[&usual[..], more].concat()).text(Network::Devnet, &[]);
        assert!(text(&[]).unwrap().contains("max_units = 60\n"));
        assert!(text(&["--max-units", "60"]).is_ok());
        assert!(text(&["--max-units", "61", "--deliver-secs", "61"]).is_ok());
        let refused = text(&["--max-units", "61"]).unwrap_err();
        assert_eq!(refused.what, "61 seconds don't fit in a time of 60 s");
        assert!(refused.hint.unwrap().contains("--deliver-secs"));
    }

    #[test]
    fn arbitrated_is_proposed_where_an_arbiter_is_listed_and_else_timed_with_what_that_costs() {
        let new = new(&["--title", "W", "--price", "1 XLM per call", "--url", "http://127.0.0.1:9000"]);
        let listed = [AccountId::from_bytes([7; 32])];
        let (without, with) = (new.text(Network::Testnet, &[]).unwrap(), new.text(Network::Testnet, &listed).unwrap());
        assert!(
            without.contains("not against one that cheats") && without.contains("escrow = [\"timed\"]"),
            "{without}"
        );
        assert!(
            with.contains("escrow = [\"arbitrated\", \"timed\"]") && with.contains(&listed[0].to_string()),
            "{with}"
        );
        let (alone, both) = (proposed(&[]), proposed(&listed));
        assert!(
            alone.contains("timed alone") && alone.contains("at most 10 XLM") && alone.contains("`arbiters`"),
            "{alone}"
        );
        assert!(both.contains("proposes the escrow arbitrated") && both.contains("4.5 XLM with one arbiter"), "{both}");
    }

    #[test]
    fn the_reserve_that_is_told_is_what_an_arbitrated_funding_locks() {
        let key = |n: u8| ServingKey::from_bytes([n; 32]);
        let issued = Asset::issued("HOUR", AccountId::from_bytes([7; 32])).unwrap();
        let in_coins = |reserves: u32| LedgerParams::USUAL.reserves(reserves).coins();
        for (arbiters, native, in_issued) in [(1, "3.0000000", "3.5000000"), (3, "4.0000000", "4.5000000")] {
            let signers = Signers::new(key(1), key(2), (0..arbiters).map(|n| key(3 + n)).collect()).unwrap();
            let after_t = [Asset::Native, issued.clone()].map(|asset| in_coins(signers.reserves(&asset)));
            assert_eq!(after_t, [native, in_issued], "{arbiters} arbiters");
        }
        assert_eq!(in_coins(arbitrated::RESERVES), "1.5000000", "with the money");
    }
}
