//! Offerings: those of the book, and one's own.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tradepost_protocol::account::{AccountId, PeerId, ServingKey};
use tradepost_protocol::amount::{Price, Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::book::Listing;
use tradepost_protocol::document::{Arbitration, ServiceRef, Transport, Windows};
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::market::{Market, Offer};
use tradepost_protocol::message::{BalanceId, MessageId, SeriesId, TemplateId, TxHash};
use tradepost_protocol::time::Now;

use super::Moment;

/// What a unit costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceView {
    /// In stroops of `asset`; 0 is free.
    pub amount: Stroops,
    /// What is paid with.
    pub asset: Asset,
    /// What a unit is: call, second, mib, job, item.
    pub unit: Unit,
}

impl From<&Price> for PriceView {
    fn from(price: &Price) -> Self {
        Self { amount: price.amount, asset: price.asset.clone(), unit: price.unit }
    }
}

/// The template that an offering follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateView {
    /// Its content id.
    pub id: TemplateId,
    /// Its short name, where it is known here.
    pub name: Option<String>,
}

/// One series of the book.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfferingView {
    /// The newest revision: what is bound.
    pub id: MessageId,
    /// The series.
    pub series: SeriesId,
    /// Which revision, from 1.
    pub revision: u64,
    /// One line.
    pub title: String,
    /// More.
    pub description: String,
    /// Its template.
    pub template: TemplateView,
    /// What is sold, in the template's words.
    pub parameters: Map<String, Value>,
    /// The version of the service behind it, where there is one.
    pub service: Option<ServiceRef>,
    /// What a unit costs.
    pub price: PriceView,
    /// The fewest units of a binding.
    pub min_units: u64,
    /// The most.
    pub max_units: u64,
    /// How many bindings it holds at once.
    pub max_supply: u32,
    /// How many of them are free now.
    pub free: u32,
    /// Whether it can be bound: bonded, not over, and its node was heard of recently.
    pub live: bool,
    /// Whether its bond was seen on the ledger.
    pub bonded: bool,
    /// Whether it is over, for good.
    pub withdrawn: bool,
    /// Whether two different texts were signed for this revision.
    pub conflicting: bool,
    /// Whether its service has a newer version by now.
    pub outdated: bool,
    /// Whether it is this node's own.
    pub own: bool,
    /// Kinds of escrow that it takes.
    pub escrow: Vec<EscrowKind>,
    /// What they protect against and what not, in their order.
    pub protects: Vec<String>,
    /// How long the parts of a binding take.
    pub windows: Windows,
    /// Whom the seller accepts as arbiters, and how long the parts of a dispute take; `null` where it isn't `arbitrated`.
    pub arbitration: Option<Arbitration>,
    /// Who sells.
    pub account: AccountId,
    /// Who is paid.
    pub recipient: AccountId,
    /// Who signs for the seller.
    pub serving_key: ServingKey,
    /// Where its nodes are.
    pub peer_ids: Vec<PeerId>,
    /// Ways to reach them.
    pub transports: Vec<Transport>,
    /// The balance that is locked behind it.
    pub bond: BalanceId,
    /// The last moment in which it may be bound.
    pub valid_until: Moment,
    /// When its node was last heard of, where that is recent.
    pub presence_at: Option<Moment>,
}

impl OfferingView {
    /// A listing of this market's book.
    pub fn of(listing: &Listing, market: &Market) -> Self {
        let body = listing.offering.body();
        let template = market.book().template(&body.template);
        Self {
            id: listing.id,
            series: listing.series,
            revision: body.revision,
            title: body.title.clone(),
            description: body.description.clone(),
            template: TemplateView { id: body.template, name: template.map(|t| t.name.clone()) },
            parameters: body.parameters.clone(),
            service: body.service.clone(),
            price: PriceView::from(&body.price),
            min_units: body.min_units,
            max_units: body.max_units,
            max_supply: body.max_supply,
            free: listing.free,
            live: listing.live,
            bonded: listing.bonded,
            withdrawn: listing.withdrawn,
            conflicting: listing.conflicting,
            outdated: listing.outdated,
            own: market.offers().any(|(series, _)| *series == listing.series),
            escrow: body.escrow.clone(),
            protects: body.escrow.iter().map(|kind| kind.protects().to_owned()).collect(),
            windows: body.windows,
            arbitration: body.arbitration.clone(),
            account: body.account,
            recipient: body.recipient,
            serving_key: body.serving_key,
            peer_ids: body.peer_ids.clone(),
            transports: body.transports.clone(),
            bond: body.bond,
            valid_until: body.valid_until.into(),
            presence_at: listing.presence_at.map(Moment::from),
        }
    }
}

/// A page of the book.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfferingList {
    /// How many the filter lets through in all.
    pub total: usize,
    /// How many were passed over.
    pub offset: usize,
    /// How many a page holds.
    pub limit: usize,
    /// Those of this page.
    pub items: Vec<OfferingView>,
}

/// What is locked behind an offering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BondView {
    /// The balance.
    pub balance: BalanceId,
    /// Whom it pays back.
    pub recipient: AccountId,
    /// How much it holds, native.
    pub amount: Stroops,
    /// From when on it can be reclaimed, which the node does by itself where it holds the recipient's key.
    pub returns_at: Moment,
    /// The transaction that locked it.
    pub transaction: Option<TxHash>,
}

/// An offering of one's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnOfferingView {
    /// The series.
    pub series: SeriesId,
    /// Its current revision.
    pub id: MessageId,
    /// One line.
    pub title: String,
    /// bonding, open, withdrawn, failed or reclaimed.
    pub state: String,
    /// What a unit costs.
    pub price: PriceView,
    /// Whether others can bind it now.
    pub live: bool,
    /// How many bindings it holds at once.
    pub max_supply: u32,
    /// How many of them are free, where it is in the book.
    pub free: Option<u32>,
    /// Its bond.
    pub bond: BondView,
    /// The last moment in which it may be bound.
    pub valid_until: Moment,
}

impl OwnOfferingView {
    /// An offer of this market.
    pub fn of(offer: &Offer, market: &Market, now: Now) -> Self {
        let body = offer.body();
        let listing = market.book().by_series(&offer.series(), now);
        Self {
            series: offer.series(),
            id: offer.id(),
            title: body.title.clone(),
            state: offer.state.as_str().to_owned(),
            price: PriceView::from(&body.price),
            live: listing.as_ref().is_some_and(|l| l.live),
            max_supply: body.max_supply,
            free: listing.map(|l| l.free),
            bond: BondView {
                balance: body.bond,
                recipient: body.recipient,
                amount: offer.bond_amount,
                returns_at: body.bond_release().into(),
                transaction: offer.bond_transaction,
            },
            valid_until: body.valid_until.into(),
        }
    }
}

/// One's own offerings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnOfferingList {
    /// All of them.
    pub items: Vec<OwnOfferingView>,
}

/// An offering is out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Its series.
    pub series: SeriesId,
    /// Its first revision.
    pub offering: MessageId,
    /// Its bond.
    pub bond: BalanceId,
    /// The bond's transaction.
    pub transaction: TxHash,
}

/// An offering is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// Its series.
    pub series: SeriesId,
    /// From when on its bond can be reclaimed.
    pub bond_until: Moment,
}
