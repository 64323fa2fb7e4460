//! `tradepost community`: help exchanges, community currencies whose issuer can take a payment back.

use clap::{Args, Subcommand};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;

use super::client::{Client, segment};
use super::failure::{Exit, Failure};
use super::wallet::{costs, go_on};
use super::{Consent, Global, show};
use crate::api::request::{NewDeed, NewHelp};
use crate::api::view::{ChainView, CostView, ExchangeList, ExchangeView, Helped, LinkView};
use crate::terminal::{Table, plain};

/// For how long an agent offers its exchange unless told otherwise, seconds: 30 days.
const OFFERED_FOR: u64 = 30 * 86_400;
/// For how long an offer or request stands unless told otherwise, seconds: a week.
const STANDS_FOR: u64 = 7 * 86_400;

/// What to do in help exchanges.
#[derive(Debug, Subcommand)]
pub enum CommunityCommand {
    /// Lists the exchanges that this node is in or that agents offer.
    List,
    /// Shows what stands, or draws the chain that a transaction belongs to.
    Show(Show),
    /// Sets the exchange of the configured role up: assets and flags at the issuer, trustlines and listing at the agent.
    Create(Create),
    /// Joins an exchange: trustlines, and what its agent gives to begin with.
    Join(Join),
    /// Leaves an exchange: what is left of its assets goes back, the trustlines go, and the account too where that is said.
    Leave(Leave),
    /// Offers help.
    Offer(Make),
    /// Asks for help.
    Request(Make),
    /// Takes an offer or a request.
    Take(Take),
    /// Claims a take of an offer of one's own, which pays it.
    Claim(Of),
    /// Claims a take of a request of one's own, and pays whoever took it.
    Grant(Of),
    /// Has what was paid converted into the asset that nobody can take back.
    Convert(Of),
    /// Asks for what one paid, before it is converted.
    Repay(Of),
    /// Takes back what is one's own and stands: fees, and takes that weren't claimed.
    Reclaim(Reclaim),
}

/// Which exchange.
#[derive(Debug, Args)]
struct Which {
    /// The exchange, CODE:ISSUER; needed only where the node is in several.
    #[arg(long, value_name = "ASSET")]
    exchange: Option<Asset>,
    #[command(flatten)]
    consent: Consent,
}

/// Shows what stands, or draws a chain.
#[derive(Debug, Args)]
pub struct Show {
    /// A transaction of the exchange's, or the beginning of its hash.
    transaction: Option<String>,
}

/// Sets an exchange up.
#[derive(Debug, Args)]
pub struct Create {
    /// For how long the agent offers it, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = OFFERED_FOR)]
    life: u64,
    #[command(flatten)]
    consent: Consent,
}

/// Joins an exchange.
#[derive(Debug, Args)]
pub struct Join {
    /// Its asset, CODE:ISSUER: naming the issuer says who may take it back.
    exchange: Asset,
    /// Who runs it, as somebody you trust has told you: anybody can offer anybody's exchange. Without it, those who do
    /// are listed and nothing happens.
    #[arg(long, value_name = "ACCOUNT")]
    agent: Option<AccountId>,
    #[command(flatten)]
    consent: Consent,
}

/// Leaves an exchange.
#[derive(Debug, Args)]
pub struct Leave {
    /// Ends this node's account too, and pays its coins to that one.
    #[arg(long, value_name = "ACCOUNT")]
    into: Option<AccountId>,
    #[command(flatten)]
    which: Which,
}

/// Offers help, or asks for it.
#[derive(Debug, Args)]
pub struct Make {
    /// What, in a line; it stands on the ledger and in the book.
    text: String,
    /// What it costs or is worth, in units of the exchange's asset.
    #[arg(long, value_parser = Stroops::from_coins)]
    price: Stroops,
    /// For how long it stands, seconds; 0 for no end.
    #[arg(long, value_name = "SECONDS", default_value_t = STANDS_FOR)]
    valid: u64,
    #[command(flatten)]
    which: Which,
}

/// Takes an offer or a request.
#[derive(Debug, Args)]
pub struct Take {
    /// Its transaction, or its offering in the book, or the beginning of either.
    of: String,
    /// The most that it may cost; what it costs when you agree where it isn't said.
    #[arg(long, value_name = "PRICE", value_parser = Stroops::from_coins)]
    at_most: Option<Stroops>,
    #[command(flatten)]
    which: Which,
}

/// What a step is about.
#[derive(Debug, Args)]
pub struct Of {
    /// The take, or the grant by which something was paid, or the beginning of its hash.
    of: String,
    #[command(flatten)]
    which: Which,
}

/// Takes back what is one's own.
#[derive(Debug, Args)]
pub struct Reclaim {
    /// The transaction that locked it, or the beginning of its hash; everything where it isn't said.
    of: Option<String>,
    #[command(flatten)]
    which: Which,
}

impl CommunityCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = Client::of(&global.home()?)?;
        match self {
            Self::List => list(global, &client).await,
            Self::Show(show) => show.run(global, &client).await,
            Self::Create(Create { life, consent }) => {
                let which = Which { exchange: None, consent };
                act(global, &client, which, NewDeed::Create { life_secs: life }, "Set the exchange up").await
            }
            Self::Join(join) => join.run(global, &client).await,
            Self::Leave(Leave { into, which }) => {
                let end = into.map(|into| format!(", end the account, and pay its coins to {into}"));
                let words =
                    format!("Leave the exchange: what is left of both assets goes back{}", end.unwrap_or_default());
                act(global, &client, which, NewDeed::Leave { into }, &words).await
            }
            Self::Offer(Make { text, price, valid, which }) => {
                let words = format!("Offer \"{}\" for {}", plain(&text), show::coins(price));
                act(global, &client, which, NewDeed::Offer { text, price, valid_secs: valid }, &words).await
            }
            Self::Request(Make { text, price, valid, which }) => {
                let words = format!("Ask for \"{}\", worth {}", plain(&text), show::coins(price));
                act(global, &client, which, NewDeed::Request { text, price, valid_secs: valid }, &words).await
            }
            Self::Take(take) => take.run(global, &client).await,
            Self::Claim(Of { of, which }) => {
                let words = format!("Claim what was locked by {of}");
                act(global, &client, which, NewDeed::Claim { of }, &words).await
            }
            Self::Grant(Of { of, which }) => {
                let words = format!("Claim {of} and pay whoever took your request");
                act(global, &client, which, NewDeed::Grant { of }, &words).await
            }
            Self::Convert(Of { of, which }) => {
                let words = format!("Have what was paid by {of} converted");
                act(global, &client, which, NewDeed::Convert { of }, &words).await
            }
            Self::Repay(Of { of, which }) => {
                let words = format!("Ask for what you paid by {of}");
                act(global, &client, which, NewDeed::Repay { of }, &words).await
            }
            Self::Reclaim(reclaim) => reclaim.run(global, &client).await,
        }
    }
}

impl Join {
    async fn run(self, global: &Global, client: &Client) -> Result<(), Failure> {
        let Self { exchange, agent, consent } = self;
        let exchanges: ExchangeList = client.get("/v1/community").await?;
        let offered =
            exchanges.items.iter().filter(|row| row.clawable == exchange && (row.offered || row.followed > 0));
        let Some(agent) = agent else {
            let offered: Vec<String> = offered.map(|row| format!("  --agent {}: {}", row.agent, terms(row))).collect();
            let what = format!("it isn't said who runs {exchange}");
            let hint = match offered.is_empty() {
                true => "name its agent with `--agent`; nobody offers it now".to_owned(),
                false => {
                    format!("name the agent that somebody you trust has told you of; they are\n{}", offered.join("\n"))
                }
            };
            return Err(Failure::new(Exit::Refused, what).code("wrong-agent").hint(hint));
        };
        let on = offered.filter(|row| row.agent == agent).map(terms).next();
        let words = format!(
            "Join {exchange}, whose issuer can take back what you hold of it\n  agent {agent}{}",
            on.map(|terms| format!("\n  terms {terms}")).unwrap_or_default()
        );
        act(global, client, Which { exchange: Some(exchange), consent }, NewDeed::Join { agent }, &words).await
    }
}

/// What one agrees to by joining, in a line.
fn terms(row: &ExchangeView) -> String {
    let then = window(row.convert_secs);
    let (start, plain, repay, fee) = (show::coins(row.start), &row.plain, row.repay_secs, show::coins(row.fee));
    format!(
        "{start} of each to start with; a payment may be asked back within {repay} s, and converted {then}, into {plain}; fee {fee}"
    )
}

/// When a payment is converted, after nobody can ask for it back any more.
fn window(secs: u64) -> String {
    match secs {
        0 => "after that, at any time".to_owned(),
        secs => format!("after that, where it is asked for within {secs} s"),
    }
}

impl Take {
    /// What is shown is the most that is locked, whatever its maker says in the meantime.
    async fn run(self, global: &Global, client: &Client) -> Result<(), Failure> {
        let Self { of, at_most, which } = self;
        let chain: Option<ChainView> = client.get(&format!("/v1/community/{}", segment(&of))).await.ok();
        let make = chain.as_ref().and_then(|chain| chain.links.first());
        let words = make.map_or_else(
            || format!("Take {of}"),
            |make| {
                let what = plain(make.description.as_deref().unwrap_or_default());
                let price = make.price.map(|price| format!(" for {}", show::coins(price))).unwrap_or_default();
                format!("Take the {} \"{what}\"{price}, by {}", make.kind, make.by)
            },
        );
        let shown = make.and_then(|make| make.price);
        let bound = at_most.or(shown);
        act(global, client, which, NewDeed::Take { of, at_most: bound }, &words).await
    }
}

/// Says what a step costs, asks, and does it.
async fn act(global: &Global, client: &Client, which: Which, deed: NewDeed, words: &str) -> Result<(), Failure> {
    let terminal = global.terminal_with(which.consent);
    let mut new = NewHelp { exchange: which.exchange, deed, dry_run: true };
    let cost: CostView = client.post("/v1/community", &new).await?;
    if !go_on(terminal.confirm(&format!("{words}\n{}", costs(&cost, client.now())))?)? {
        return Ok(terminal.print(&cost, |_| String::new())?);
    }
    new.dry_run = false;
    if let NewDeed::Take { at_most: most @ None, .. } = &mut new.deed {
        *most = Some(cost.amount);
    }
    let done: Helped = client.post("/v1/community", &new).await?;
    Ok(terminal.print(&done, helped)?)
}

fn helped(done: &Helped) -> String {
    let mut lines = vec![("transaction", done.transaction.to_string())];
    lines.extend(done.series.map(|series| ("offering", series.to_string())));
    show::fields(lines)
}

async fn list(global: &Global, client: &Client) -> Result<(), Failure> {
    let exchanges: ExchangeList = client.get("/v1/community").await?;
    Ok(global.terminal().print(&exchanges, |list| {
        let mut table = Table::new(&["EXCHANGE", "AGENT", "START", "MEMBER", "ROLE", "OFFERED"]);
        let yes = |it_is| if it_is { "yes" } else { "no" };
        for row in &list.items {
            table.row([
                row.clawable.to_string(),
                show::key(row.agent),
                show::coins(row.start),
                yes(row.member).to_owned(),
                row.role.clone().unwrap_or_default(),
                yes(row.offered).to_owned(),
            ]);
        }
        table.render()
    })?)
}

impl Show {
    async fn run(self, global: &Global, client: &Client) -> Result<(), Failure> {
        let terminal = global.terminal();
        match self.transaction {
            Some(name) => {
                let chain: ChainView = client.get(&format!("/v1/community/{}", segment(&name))).await?;
                Ok(terminal.print(&chain, |chain| chain.links.iter().map(drawn).collect())?)
            }
            None => {
                let exchanges: ExchangeList = client.get("/v1/community").await?;
                Ok(terminal.print(&exchanges, |list| {
                    let followed = list.items.iter().filter(|row| row.followed > 0);
                    let shown: Vec<String> = followed.map(exchange).collect();
                    match shown.is_empty() {
                        true => {
                            "this node is in no help exchange; `tradepost community list` shows what agents offer\n"
                                .to_owned()
                        }
                        false => shown.join("\n"),
                    }
                })?)
            }
        }
    }
}

/// One exchange, with what stands in it.
fn exchange(row: &ExchangeView) -> String {
    let mut lines = vec![
        ("exchange", row.clawable.to_string()),
        ("converts to", row.plain.to_string()),
        ("agent", row.agent.to_string()),
        ("start", format!("{} of each", show::coins(row.start))),
        ("fee", show::coins(row.fee)),
        ("asked back", format!("within {} s after a payment", row.repay_secs)),
        ("converted", window(row.convert_secs)),
        ("members", format!("{}{}", row.members, if row.member { ", this account among them" } else { "" })),
        ("followed", format!("up to ledger {}", row.followed)),
    ];
    lines.extend(row.role.clone().map(|role| ("role", role)));
    if row.gap {
        lines.push((
            "gap",
            "some of what happened isn't known here: older than servers remember, or more than is kept".to_owned(),
        ));
    }
    let mut text = show::fields(lines);
    let mut makes = Table::new(&["TRANSACTION", "KIND", "BY", "PRICE", "STATE", "WHAT"]);
    for make in &row.makes {
        let price = make.price.map(show::coins).unwrap_or_default();
        let what: String = plain(make.description.as_deref().unwrap_or_default()).chars().take(40).collect();
        makes.row([show::id(make.transaction), make.kind.clone(), show::key(make.by), price, make.state.clone(), what]);
    }
    let mut standing = Table::new(&["YOURS STANDS BY", "KIND", "AMOUNT"]);
    for held in &row.standing {
        let kind = held.kind.clone().unwrap_or_else(|| "no step of the exchange's".to_owned());
        standing.row([show::id(held.transaction), kind, show::money(held.amount, &held.asset)]);
    }
    for table in [makes.render(), standing.render()] {
        if !table.is_empty() {
            text.push('\n');
            text.push_str(&table);
        }
    }
    text
}

/// A link as a branch of its tree.
fn drawn(link: &LinkView) -> String {
    let branch = match link.depth {
        0 => String::new(),
        depth => format!("{}└ ", "  ".repeat(depth - 1)),
    };
    let what = link.description.as_deref().map(|text| format!(" \"{}\"", plain(text))).unwrap_or_default();
    let (id, by, amount) = (show::id(link.transaction), show::key(link.by), show::money(link.amount, &link.asset));
    format!("{branch}{} {id} by {by}: {amount}{what}; {}\n", link.kind, link.state)
}

impl Reclaim {
    async fn run(self, global: &Global, client: &Client) -> Result<(), Failure> {
        let exchanges: ExchangeList = client.get("/v1/community").await?;
        let wanted = |row: &&ExchangeView| self.which.exchange.as_ref().is_none_or(|asset| row.clawable == *asset);
        let standing = exchanges
            .items
            .iter()
            .filter(wanted)
            .flat_map(|row| row.standing.iter().map(move |held| (row.clawable.clone(), held)));
        let named = |hash: String| self.of.as_ref().is_none_or(|of| hash.starts_with(of.as_str()));
        let standing: Vec<_> = standing.filter(|(_, held)| named(held.transaction.to_string())).collect();
        if standing.is_empty() {
            let what = "nothing of yours stands there";
            return Err(Failure::new(Exit::Failed, what).hint("look at `tradepost community show`"));
        }
        for (asset, held) in standing {
            let which = Which { exchange: Some(asset), consent: self.which.consent };
            let words = format!("Take back {}", show::money(held.amount, &held.asset));
            act(global, client, which, NewDeed::Reclaim { balance: held.balance }, &words).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use tradepost_protocol::message::TxHash;
    use tradepost_protocol::time::Timestamp;

    fn link(kind: &str, depth: usize) -> LinkView {
        LinkView {
            transaction: TxHash::from_bytes([0xab; 32]),
            kind: kind.to_owned(),
            by: AccountId::from_bytes([1; 32]),
            previous: None,
            depth,
            ledger: 7,
            at: Timestamp::from_secs(9).into(),
            amount: Stroops::new(8_000_000_100).unwrap(),
            asset: Asset::issued("ClawableHexa", AccountId::from_bytes([2; 32])).unwrap(),
            description: (depth == 0).then(|| "Freshly caught".to_owned()),
            price: None,
            series: None,
            state: "claimed".to_owned(),
        }
    }

    #[test]
    fn a_chain_is_drawn_as_a_tree() {
        let text: String = [link("offer", 0), link("take", 1), link("claim", 2)].iter().map(drawn).collect();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("offer abababababab by GAAQCA") && lines[0].contains("\"Freshly caught\""),
            "{text}"
        );
        assert!(lines[1].starts_with("└ take ") && lines[2].starts_with("  └ claim "), "{text}");
        assert!(lines[1].contains("800.00001 ClawableHexa; claimed"), "{text}");
    }
}
