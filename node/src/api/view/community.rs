//! Help exchanges: which there are, what stands in them, and chains of transactions.

use serde::{Deserialize, Serialize};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::community::Terms;
use tradepost_protocol::community::chain::{Link, LinkKind, Payment};
use tradepost_protocol::community::rules::Look;
use tradepost_protocol::market::{Exchange, Market};
use tradepost_protocol::message::{BalanceId, SeriesId, TxHash};
use tradepost_protocol::time::{Now, Timestamp};

use super::Moment;

/// Most makes and balances of one exchange that are told at once.
const MAX_TOLD: usize = 200;

/// Help exchanges: those that this node is in, and those that agents offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeList {
    /// One a row.
    pub items: Vec<ExchangeView>,
}

/// One help exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeView {
    /// What help is paid in, by which the exchange is named; its issuer can take it back.
    pub clawable: Asset,
    /// What it is converted into.
    pub plain: Asset,
    /// Who gives out both.
    pub agent: AccountId,
    /// What each step carries, in stroops.
    pub fee: Stroops,
    /// What each who joins gets of both, in stroops.
    pub start: Stroops,
    /// For how long a payment may be asked back, seconds.
    pub repay_secs: u64,
    /// For how long after that it may be converted, seconds; 0 for ever.
    pub convert_secs: u64,
    /// This node's role, `issuer` or `agent`, where it has one.
    pub role: Option<String>,
    /// Whether an agent offers it now.
    pub offered: bool,
    /// Whether this node's owner accepts the issuer: it is among `assets`.
    pub accepted: bool,
    /// Whether this node's account is a member.
    pub member: bool,
    /// How many members there are, as far as this node follows the exchange.
    pub members: usize,
    /// Whether the agent has got what it gives out, as far as this node follows the exchange.
    pub endowed: bool,
    /// The last ledger up to which this node followed it; 0 where it doesn't.
    pub followed: u32,
    /// Whether something that happened in it isn't known here: ledgers that no server remembers were missed, it began
    /// before the oldest one that is remembered, or there was more than is kept.
    pub gap: bool,
    /// Offers and requests that stand.
    pub makes: Vec<LinkView>,
    /// What this node's account locked and nobody took.
    pub standing: Vec<StandingView>,
}

/// Something of one's own that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingView {
    /// The transaction that locked it.
    pub transaction: TxHash,
    /// What that was.
    pub kind: Option<String>,
    /// The balance.
    pub balance: BalanceId,
    /// How much, in `asset`.
    pub amount: Stroops,
    /// That asset.
    pub asset: Asset,
}

/// A chain of transactions, each naming its predecessor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainView {
    /// The exchange.
    pub exchange: Asset,
    /// The links: the first one, then whatever follows from each before what follows from the next.
    pub links: Vec<LinkView>,
}

/// One transaction of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkView {
    /// Its hash.
    pub transaction: TxHash,
    /// endowment, join, offer, request, take, claim, grant, convert, converted, repay, repaid, reclaim or leave.
    pub kind: String,
    /// Whose.
    pub by: AccountId,
    /// The transaction before it; its memo says so.
    pub previous: Option<TxHash>,
    /// How many links are before it.
    pub depth: usize,
    /// In which ledger.
    pub ledger: u32,
    /// When that closed.
    pub at: Moment,
    /// What it locks, pays or brings, in `asset`.
    pub amount: Stroops,
    /// That asset.
    pub asset: Asset,
    /// What is offered or wanted, in words.
    pub description: Option<String>,
    /// The price that the book tells of an offer or request, in stroops of the exchange's asset.
    pub price: Option<Stroops>,
    /// The offering in the book.
    pub series: Option<SeriesId>,
    /// How it stands, in words.
    pub state: String,
}

/// A step in an exchange is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Helped {
    /// Its transaction.
    pub transaction: TxHash,
    /// What it locked, where it locked something.
    pub balance: Option<BalanceId>,
    /// The offering that tells of it, where it is an offer or request.
    pub series: Option<SeriesId>,
}

impl ExchangeList {
    /// All that this node knows of.
    pub fn of(market: &Market, now: Now) -> Self {
        let offered = market.offered_exchanges(now);
        let followed: Vec<ExchangeView> = market.exchanges().map(|e| ExchangeView::followed(market, e, now)).collect();
        let mut items = followed;
        for (terms, _) in offered {
            match items.iter_mut().find(|item| item.clawable == terms.clawable && item.agent == terms.agent) {
                Some(item) => item.offered = true,
                None => items.push(ExchangeView { offered: true, ..ExchangeView::plain(market, &terms) }),
            }
        }
        Self { items }
    }
}

impl ExchangeView {
    fn plain(market: &Market, terms: &Terms) -> Self {
        let role = market.role().filter(|role| role.terms.clawable == terms.clawable);
        Self {
            clawable: terms.clawable.clone(),
            plain: terms.plain.clone(),
            agent: terms.agent,
            fee: terms.fee,
            start: terms.start,
            repay_secs: terms.repay_secs,
            convert_secs: terms.convert_secs,
            role: role.map(|settings| settings.role.as_str().to_owned()),
            offered: false,
            accepted: market.setup().policy.assets.contains(&terms.clawable),
            member: false,
            members: 0,
            endowed: false,
            followed: 0,
            gap: false,
            makes: Vec::new(),
            standing: Vec::new(),
        }
    }

    fn followed(market: &Market, exchange: &Exchange, now: Now) -> Self {
        let own = market.setup().keys.account_id();
        let chain = &exchange.chain;
        let teller = Teller::new(market, exchange, now);
        let stands = |make: &&tradepost_protocol::community::chain::Make| {
            chain.stands(make.balance) && make.ends().is_none_or(|end| teller.look.now < end)
        };
        let makes = chain.makes().filter(stands).filter_map(|make| chain.link(make.hash));
        let standing = own.into_iter().flat_map(|own| chain.standing_of(own)).filter(|held| held.returns);
        let standing = standing.map(|held| StandingView {
            transaction: held.by,
            kind: chain.link(held.by).map(|link| link.kind.as_str().to_owned()),
            balance: held.balance,
            amount: held.amount,
            asset: teller.asset(held.clawable),
        });
        let plain = Self::plain(market, &exchange.terms);
        Self {
            member: own.is_some_and(|own| chain.is_member(own)),
            members: chain.members().count(),
            endowed: chain.is_endowed(),
            followed: exchange.followed(),
            gap: exchange.has_gap() || (exchange.begins_late() && plain.role.is_none()),
            makes: makes.map(|link| teller.tell(link, 0)).take(MAX_TOLD).collect(),
            standing: standing.take(MAX_TOLD).collect(),
            ..plain
        }
    }
}

impl ChainView {
    /// The chain that a transaction belongs to.
    pub fn of(market: &Market, exchange: &Exchange, hash: TxHash, now: Now) -> Option<Self> {
        let teller = Teller::new(market, exchange, now);
        let root = exchange.chain.root_of(hash)?;
        let mut links = Vec::new();
        let mut waiting = vec![(root, 0)];
        while let Some((link, depth)) = waiting.pop() {
            links.push(teller.tell(link, depth));
            let mut after: Vec<(&Link, usize)> =
                exchange.chain.following(link.hash).map(|next| (next, depth + 1)).collect();
            after.reverse();
            waiting.extend(after);
        }
        Some(Self { exchange: exchange.terms.clawable.clone(), links })
    }
}

/// Tells of links.
struct Teller<'a> {
    market: &'a Market,
    exchange: &'a Exchange,
    look: Look<'a>,
}

impl<'a> Teller<'a> {
    fn new(market: &'a Market, exchange: &'a Exchange, now: Now) -> Self {
        let closed = market.point().map_or(now.timestamp(), |point| point.close_time);
        Self { market, exchange, look: exchange.look(closed) }
    }

    fn asset(&self, clawable: bool) -> Asset {
        let terms = &self.exchange.terms;
        if clawable { terms.clawable.clone() } else { terms.plain.clone() }
    }

    fn tell(&self, link: &Link, depth: usize) -> LinkView {
        let chain = &self.exchange.chain;
        let listed = matches!(link.kind, LinkKind::Make(_))
            .then(|| self.market.listed_make(&self.exchange.terms.clawable, link.hash))
            .flatten();
        LinkView {
            transaction: link.hash,
            kind: link.kind.as_str().to_owned(),
            by: link.by,
            previous: link.previous,
            depth,
            ledger: link.at.sequence,
            at: link.at.close_time.into(),
            amount: link.amount,
            asset: self.asset(link.clawable),
            description: chain.make_of(link.hash).map(|make| make.description.clone()),
            price: listed.as_ref().map(|(listed, _)| listed.price),
            series: listed.map(|(_, series)| series),
            state: self.state(link),
        }
    }

    fn state(&self, link: &Link) -> String {
        let chain = &self.exchange.chain;
        match link.kind {
            LinkKind::Make(_) => self.state_of_make(link.hash),
            LinkKind::Take => {
                let take = chain.take_of(link.hash);
                match take {
                    Some(take) if take.paid_by.is_some() => "claimed".to_owned(),
                    Some(take) if chain.stands(take.balance) => "waits for the maker".to_owned(),
                    _ => "went back to its taker".to_owned(),
                }
            }
            LinkKind::Claim | LinkKind::Grant => {
                let payment = link.previous.filter(|_| link.kind == LinkKind::Claim).unwrap_or(link.hash);
                chain.payment_of(payment).map_or_else(|| "paid".to_owned(), |payment| self.state_of_payment(payment))
            }
            LinkKind::Conversion | LinkKind::Repayment => self.state_of_asked(link),
            LinkKind::Endowment | LinkKind::Join | LinkKind::Leave => "done".to_owned(),
            LinkKind::Converted | LinkKind::Repaid | LinkKind::Reclaim => "done".to_owned(),
        }
    }

    fn state_of_make(&self, hash: TxHash) -> String {
        let chain = &self.exchange.chain;
        let Some(make) = chain.make_of(hash) else { return "unknown".to_owned() };
        match make.ends() {
            _ if !chain.stands(make.balance) => "taken back".to_owned(),
            Some(end) if self.look.now >= end => format!("over since {end}"),
            Some(end) => format!("stands until {end}"),
            None => "stands".to_owned(),
        }
    }

    fn state_of_payment(&self, payment: &Payment) -> String {
        let until: Timestamp = payment.repay_by(&self.exchange.terms);
        match (payment.repaid, payment.converted) {
            (Some(_), _) => "paid, and taken back".to_owned(),
            (_, Some(_)) => "paid, and converted".to_owned(),
            (None, None) if self.look.now <= until => format!("paid; may be asked back until {until}"),
            (None, None) => "paid".to_owned(),
        }
    }

    fn state_of_asked(&self, link: &Link) -> String {
        let chain = &self.exchange.chain;
        let Some(payment) = link.previous.and_then(|named| chain.payment_of(named)) else {
            return "refused: the take was never claimed".to_owned();
        };
        let repays = link.kind == LinkKind::Repayment;
        let (answered, right) = match repays {
            true => (payment.repaid, payment.payer),
            false => (payment.converted, payment.payee),
        };
        let standing = chain.standing_of(link.by).any(|held| held.by == link.hash);
        match answered {
            _ if link.by != right => "refused: another account has a right to it".to_owned(),
            Some(_) => "answered".to_owned(),
            None if repays && self.look.waiting_repayment(payment).is_none() => {
                "refused: it came too late, or before anything was paid".to_owned()
            }
            None if !repays && payment.repaid.is_some() => "refused: the payment was taken back".to_owned(),
            None if repays => "waits for the issuer, which finds the amount or waits for it".to_owned(),
            None if !standing => "taken back".to_owned(),
            None => format!("waits for the agent, until {} is over", payment.repay_by(&self.exchange.terms)),
        }
    }
}
