//! Which offerings to list.

use serde::{Deserialize, Serialize};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::book::{Filter, Page};
use tradepost_protocol::document::BuiltIn;
use tradepost_protocol::message::TemplateId;
use tradepost_protocol::refusal::Reason;

use super::problem::Problem;

/// The query of `GET /v1/offerings`; all conditions together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferingFilter {
    /// Words in title or description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A built-in template's name, or a template's content id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// What it is paid in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset: Option<Asset>,
    /// What is priced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// The least price of a unit, in stroops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Stroops>,
    /// The highest price of a unit, in stroops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Stroops>,
    /// Whose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Everything that is known: also what isn't live, is one's own, or has no free supply.
    #[serde(default)]
    pub all: bool,
    /// How many to pass over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// How many to show, 1 to 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl OfferingFilter {
    /// The book's filter; `own` is this node's account, whose offerings are left out unless all are asked for.
    ///
    /// # Errors
    /// A [`Problem`] where the template isn't one.
    pub fn filter(&self, own: Option<AccountId>) -> Result<Filter, Problem> {
        Ok(Filter {
            text: self.text.clone(),
            template: self.template.as_deref().map(template_id).transpose()?,
            min_price: self.from,
            max_price: self.to,
            asset: self.asset.clone(),
            unit: self.unit,
            author: self.account,
            only_live: !self.all,
            exclude: own.filter(|_| !self.all),
            with_free_supply: !self.all,
        })
    }

    /// The page.
    pub fn page(&self) -> Page {
        let usual = Page::default();
        Page { offset: self.offset.unwrap_or(usual.offset), limit: self.limit.unwrap_or(usual.limit) }
    }
}

/// A template by its built-in name or its content id.
///
/// # Errors
/// A [`Problem`] that names the built-in ones.
pub fn template_id(name: &str) -> Result<TemplateId, Problem> {
    if let Some(known) = BuiltIn::named(name) {
        return Ok(known.id);
    }
    name.parse().map_err(|_| {
        let known: Vec<&str> =
            tradepost_protocol::document::built_in().iter().map(|b| b.template.name.as_str()).collect();
        let shown: String = name.chars().take(80).collect();
        let detail = format!("{shown:?} is no template: give one of {}, or a template's whole id", known.join(", "));
        Problem::new(axum::http::StatusCode::BAD_REQUEST, Reason::UnknownTemplate, detail)
    })
}
