//! Published requests.

use serde::{Deserialize, Serialize};
use tradepost_protocol::account::{AccountId, PeerId};
use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::book::Published;
use tradepost_protocol::market::Market;
use tradepost_protocol::message::{BindingId, MessageId, SeriesId};

use super::Moment;

/// One published request that hasn't ended, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestView {
    /// Its id.
    pub request: MessageId,
    /// own, received (for an offering of this node's) or other.
    pub role: String,
    /// live or cancelled; once this node knows an answer, the phase of what came of it.
    pub state: String,
    /// What came of it, once it is agreed and one of this node's.
    pub binding: Option<BindingId>,
    /// Who wants it.
    pub account: AccountId,
    /// The offering's series.
    pub series: SeriesId,
    /// The offering's revision.
    pub offering: MessageId,
    /// The offering's title, where the book still has it.
    pub title: Option<String>,
    /// How many units.
    pub units: u64,
    /// What a unit is, where the book still has the offering.
    pub unit: Option<Unit>,
    /// The most that the consumer pays for them, in stroops of `asset`.
    pub budget: Option<Stroops>,
    /// What is paid with, where the book still has the offering.
    pub asset: Option<Asset>,
    /// Where the consumer's node is.
    pub peer: PeerId,
    /// The last second in which it may be agreed to.
    pub valid_until: Moment,
    /// The newest word on why it stands where it stands.
    pub note: Option<String>,
}

impl RequestView {
    /// A published request in this market.
    pub fn of(published: &Published, market: &Market) -> Self {
        let (request, body) = (published.signed.id(), published.signed.body());
        let offering = market.book().offering(&body.series).map(|offering| offering.body());
        let trade = market.trade(request.as_bytes());
        let role = if market.setup().keys.account_id() == Some(body.account) {
            "own"
        } else if market.offers().any(|(series, _)| *series == body.series) {
            "received"
        } else {
            "other"
        };
        let state = match trade.map(|trade| trade.phase().as_str()) {
            _ if published.cancel.is_some() => "cancelled",
            Some(phase) if phase != "requested" => phase,
            _ => "live",
        };
        Self {
            request,
            role: role.to_owned(),
            state: state.to_owned(),
            binding: trade.and_then(|trade| trade.binding()),
            account: body.account,
            series: body.series,
            offering: body.offering,
            title: offering.map(|offering| offering.title.clone()),
            units: body.units,
            unit: offering.map(|offering| offering.price.unit),
            budget: body.budget,
            asset: offering.map(|offering| offering.price.asset.clone()),
            peer: body.peer.clone(),
            valid_until: body.valid_until.into(),
            note: trade.and_then(|trade| trade.state.note.as_ref()).map(|note| note.as_str().to_owned()),
        }
    }

    /// Whether it concerns this node.
    pub fn concerns_me(&self) -> bool {
        self.role != "other"
    }
}

/// Published requests, a page of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestList {
    /// How many there are in all.
    pub total: usize,
    /// How many were passed over.
    pub offset: usize,
    /// How many a page has at most.
    pub limit: usize,
    /// Those of this page, by their end.
    pub items: Vec<RequestView>,
}

/// A request that is out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// The request; what comes of it has this name, too.
    pub request: MessageId,
    /// The last second in which it may be agreed to.
    pub valid_until: Moment,
}
