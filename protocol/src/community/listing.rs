//! An exchange and its makes in the book: offerings whose parameters say where the ledger has them.

use serde_json::{Map, Value};

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::community::Terms;
use crate::community::chain::Make;
use crate::community::shape::MakeKind;
use crate::document::{BuiltIn, Offering};
use crate::message::TxHash;

/// The template by which an agent offers an exchange.
pub const EXCHANGE: &str = "help-exchange";
/// The template of a make.
pub const HELP: &str = "help";

/// A make as an offering tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedMake {
    /// Who says so.
    pub by: AccountId,
    /// The exchange, by its asset.
    pub exchange: Asset,
    /// Which way help goes.
    pub kind: MakeKind,
    /// Its transaction.
    pub make: TxHash,
    /// What it costs.
    pub price: Stroops,
}

impl ListedMake {
    /// Whether that is the word of whoever made it, in that exchange: anybody can list anybody's make, at any price.
    pub fn is_makers_word(&self, exchange: &Asset, make: &Make) -> bool {
        self.exchange == *exchange && self.make == make.hash && self.by == make.maker && self.kind == make.kind
    }
}

fn is_of(offering: &Offering, template: &str) -> bool {
    BuiltIn::named(template).is_some_and(|built_in| built_in.id == offering.template)
}

fn text<'a>(parameters: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    parameters.get(name)?.as_str()
}

/// The terms that an agent's offering tells of, where it is one and they can be.
pub fn exchange(offering: &Offering) -> Option<Terms> {
    if !is_of(offering, EXCHANGE) {
        return None;
    }
    let of = |name| text(&offering.parameters, name);
    let seconds = |name: &str| offering.parameters.get(name)?.as_u64();
    let terms = Terms {
        clawable: of("clawable")?.parse().ok()?,
        plain: of("plain")?.parse().ok()?,
        agent: offering.account,
        fee: of("fee")?.parse().ok()?,
        start: of("start")?.parse().ok()?,
        repay_secs: seconds("repay_secs")?,
        convert_secs: seconds("convert_secs")?,
    };
    terms.check().is_ok().then_some(terms)
}

/// The parameters of an agent's offering.
pub fn exchange_parameters(terms: &Terms) -> Map<String, Value> {
    let texts = [
        ("clawable", terms.clawable.to_string()),
        ("plain", terms.plain.to_string()),
        ("fee", terms.fee.to_string()),
        ("start", terms.start.to_string()),
    ];
    let mut parameters: Map<String, Value> =
        texts.into_iter().map(|(name, text)| (name.to_owned(), Value::String(text))).collect();
    parameters.insert("repay_secs".to_owned(), terms.repay_secs.into());
    parameters.insert("convert_secs".to_owned(), terms.convert_secs.into());
    parameters
}

/// The make that an offering tells of, where it is one of an exchange.
pub fn make(offering: &Offering) -> Option<ListedMake> {
    if !is_of(offering, HELP) {
        return None;
    }
    let of = |name| text(&offering.parameters, name);
    let kind = match of("side")? {
        "offer" => MakeKind::Offer,
        "request" => MakeKind::Request,
        _ => return None,
    };
    let exchange: Asset = of("exchange")?.parse().ok()?;
    let price = (offering.price.asset == exchange).then_some(offering.price.amount)?;
    Some(ListedMake { by: offering.account, exchange, kind, make: of("make")?.parse().ok()?, price })
}

/// The parameters of a make's offering.
pub fn make_parameters(exchange: &Asset, kind: MakeKind, make: TxHash, what: &str) -> Map<String, Value> {
    let texts = [
        ("what", what.to_owned()),
        ("exchange", exchange.to_string()),
        ("side", kind.as_str().to_owned()),
        ("make", make.to_string()),
    ];
    texts.into_iter().map(|(name, text)| (name.to_owned(), Value::String(text))).collect()
}

/// Whether an offering is an exchange's, which is joined, or a make's, which is taken: neither is bound.
pub fn is_not_bound(offering: &Offering) -> bool {
    exchange(offering).is_some() || make(offering).is_some()
}
