//! What people and nodes see of the book: listings, filtered, in pages.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Book;
use super::series::Series;
use crate::account::{AccountId, ServingKey};
use crate::amount::{Stroops, Unit};
use crate::asset::Asset;
use crate::document::{ArbiterService, Offering};
use crate::limits::OUTDATED_TIME;
use crate::message::{MessageId, SeriesId, Signed, TemplateId};
use crate::time::{Now, Timestamp};

/// One series as the book shows it.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The newest revision's id.
    pub id: MessageId,
    /// The series.
    pub series: SeriesId,
    /// The newest revision.
    pub offering: Arc<Signed<Offering>>,
    /// How many bindings it can take, as its serving key says; all where it says nothing.
    pub free: u32,
    /// Bonded, not expired, not withdrawn, and its node was heard of recently.
    pub live: bool,
    /// Whether its bond was seen; only our own are shown without.
    pub bonded: bool,
    /// Over, for good.
    pub withdrawn: bool,
    /// Two payloads were signed for this revision; the one shown has the lower hash.
    pub conflicting: bool,
    /// The service's record names another version by now.
    pub outdated: bool,
    /// When its node was last heard of, where that is recent.
    pub presence_at: Option<Timestamp>,
    /// The sequence of its newest status; 0 where there is none.
    pub status_sequence: u64,
}

/// Which listings to show; all conditions together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Words that title and description contain, in any case and order.
    pub text: Option<String>,
    /// The template.
    pub template: Option<TemplateId>,
    /// The least price of a unit.
    pub min_price: Option<Stroops>,
    /// The highest price of a unit.
    pub max_price: Option<Stroops>,
    /// What it is paid in.
    pub asset: Option<Asset>,
    /// What is priced.
    pub unit: Option<Unit>,
    /// Whose it is.
    pub author: Option<AccountId>,
    /// Leave out what isn't live.
    pub only_live: bool,
    /// Leave out this account's.
    pub exclude: Option<AccountId>,
    /// Leave out what can take no binding now.
    pub with_free_supply: bool,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            text: None,
            template: None,
            min_price: None,
            max_price: None,
            asset: None,
            unit: None,
            author: None,
            only_live: true,
            exclude: None,
            with_free_supply: false,
        }
    }
}

/// A part of a long list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many to pass over.
    pub offset: usize,
    /// How many to show, 1 to [`Page::MAX`].
    pub limit: usize,
}

impl Page {
    /// The longest page.
    pub const MAX: usize = 200;
}

impl Default for Page {
    fn default() -> Self {
        Self { offset: 0, limit: 50 }
    }
}

/// A page, and how many there are in all.
#[derive(Debug, Clone)]
pub struct ListingPage {
    /// How many listings the filter lets through.
    pub total: usize,
    /// Those of this page, by series.
    pub items: Vec<Listing>,
}

/// Why a listing can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// The price range is empty.
    #[error("the prices from {from} to {to} hold nothing: give the lower one first")]
    PriceRange {
        /// The least price asked for.
        from: Stroops,
        /// The highest price asked for.
        to: Stroops,
    },
    /// A page of no or too many items.
    #[error("a page of {0} listings: ask for 1 to {max}", max = Page::MAX)]
    PageLimit(usize),
}

/// Why a name leads to no one listing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// Not an id or the beginning of one.
    #[error("{0:?} is no id: give at least {MIN_PREFIX} of its first lower-case hex digits")]
    NotAnId(String),
    /// Nothing has such an id.
    #[error("nothing in the book has an id that begins with {0}")]
    NotFound(String),
    /// More than one has.
    #[error("{count} offerings have ids that begin with {prefix}: give more digits")]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// How many there are.
        count: usize,
    },
}

/// The fewest hex digits that name something.
const MIN_PREFIX: usize = 6;

impl Book {
    /// The listings that a filter lets through, by series, one page of them.
    ///
    /// # Errors
    /// [`ListingError`] for an empty price range or an impossible page.
    pub fn listing(&self, filter: &Filter, page: Page, now: Now) -> Result<ListingPage, ListingError> {
        if let (Some(from), Some(to)) = (filter.min_price, filter.max_price)
            && from > to
        {
            return Err(ListingError::PriceRange { from, to });
        }
        if page.limit == 0 || page.limit > Page::MAX {
            return Err(ListingError::PageLimit(page.limit));
        }
        let words: Vec<String> =
            filter.text.as_deref().unwrap_or("").split_whitespace().map(str::to_lowercase).collect();
        let (mut total, mut items) = (0, Vec::new());
        for (id, series) in &self.series {
            if !filter.allows(series.head.body()) || !has_words(series.head.body(), &words) || hidden(series, now) {
                continue;
            }
            let listing = self.view(*id, series, now);
            if (filter.only_live && !listing.live) || (filter.with_free_supply && listing.free == 0) {
                continue;
            }
            if total >= page.offset && items.len() < page.limit {
                items.push(listing);
            }
            total += 1;
        }
        Ok(ListingPage { total, items })
    }

    /// One listing by the id of its offering or series, or by the only id that begins so; also what isn't live, and our
    /// own that still wait for their bond.
    ///
    /// # Errors
    /// [`FindError`]: no id, unknown, or more than one.
    pub fn get(&self, name: &str, now: Now) -> Result<Listing, FindError> {
        let (low, high) = bounds(name).ok_or_else(|| FindError::NotAnId(name.chars().take(80).collect()))?;
        let found = self.named(low, high);
        let mut listings = found.iter().filter_map(|id| self.listed(id, now));
        match (listings.next(), found.len()) {
            (Some(listing), 1) => Ok(listing),
            (None, _) => Err(FindError::NotFound(name.to_owned())),
            (Some(_), count) => Err(FindError::Ambiguous { prefix: name.to_owned(), count }),
        }
    }

    /// One listing by its series; also what isn't live.
    pub fn by_series(&self, id: &SeriesId, now: Now) -> Option<Listing> {
        self.series.get(id).map(|series| self.view(*id, series, now))
    }

    /// The newest revisions of a template's offerings by their series, live or not.
    pub fn of_template(&self, template: TemplateId) -> impl Iterator<Item = (SeriesId, &Offering)> {
        let all = self.series.iter().map(|(id, series)| (*id, series.head.body()));
        all.filter(move |(_, offering)| offering.template == template)
    }

    /// Whether an offering here names this key as its seller's: such a key costs a bond, others cost nothing.
    pub fn serves(&self, key: &ServingKey) -> bool {
        self.serving.contains_key(key)
    }

    /// The live arbiters among these accounts, cheapest first where one offers itself twice for this asset.
    pub fn arbiters(&self, accounts: &[AccountId], asset: &Asset, now: Now) -> Vec<ArbiterService> {
        let mut found: Vec<ArbiterService> = self
            .series
            .iter()
            .filter(|(_, series)| accounts.contains(&series.head.body().account))
            .filter(|(id, series)| self.view(**id, series, now).live)
            .filter_map(|(_, series)| ArbiterService::of(series.head.body()).ok().flatten())
            .collect();
        found.sort_by_key(|service| service.fee(asset).unwrap_or(Stroops::MAX));
        found
    }

    /// The series that have an id, their own or their newest revision's, between these two.
    pub(super) fn named(&self, low: [u8; 32], high: [u8; 32]) -> BTreeSet<SeriesId> {
        let mut found: BTreeSet<SeriesId> =
            self.series.range(SeriesId::from_bytes(low)..=SeriesId::from_bytes(high)).map(|(id, _)| *id).collect();
        found.extend(self.held.series_between(MessageId::from_bytes(low), MessageId::from_bytes(high)));
        let between = |id: &[u8; 32]| (low..=high).contains(id);
        let own = self.waiting.own_offerings();
        found.extend(
            own.filter(|o| between(o.signed.id().as_bytes()) || between(o.series.as_bytes())).map(|o| o.series),
        );
        found
    }

    fn listed(&self, id: &SeriesId, now: Now) -> Option<Listing> {
        if let Some(listing) = self.by_series(id, now) {
            return Some(listing);
        }
        let waiting = self.waiting.own_offerings().find(|o| o.series == *id)?;
        Some(Listing {
            id: waiting.signed.id(),
            series: *id,
            free: waiting.signed.body().max_supply,
            live: false,
            bonded: false,
            withdrawn: false,
            conflicting: false,
            outdated: false,
            presence_at: None,
            status_sequence: 0,
            offering: waiting.signed.clone(),
        })
    }

    fn view(&self, id: SeriesId, series: &Series, now: Now) -> Listing {
        let head = series.head.body();
        let status = series.status.as_ref().map(Signed::body);
        let presence_at = self.present(&head.serving_key, now);
        let withdrawn = series.withdrawn();
        Listing {
            id: series.head.id(),
            series: id,
            offering: series.head.clone(),
            free: if withdrawn { 0 } else { status.map_or(head.max_supply, |s| s.free.min(head.max_supply)) },
            live: !withdrawn && presence_at.is_some() && head.valid_until >= now.timestamp(),
            bonded: true,
            withdrawn,
            conflicting: series.conflicting,
            outdated: series.outdated_since.is_some(),
            presence_at,
            status_sequence: status.map_or(0, |s| s.sequence),
        }
    }
}

impl Filter {
    fn allows(&self, offering: &Offering) -> bool {
        let amount = offering.price.amount;
        self.template.is_none_or(|t| t == offering.template)
            && self.min_price.is_none_or(|least| amount >= least)
            && self.max_price.is_none_or(|most| amount <= most)
            && self.asset.as_ref().is_none_or(|asset| *asset == offering.price.asset)
            && self.unit.is_none_or(|unit| unit == offering.price.unit)
            && self.author.is_none_or(|author| author == offering.account)
            && self.exclude.is_none_or(|own| own != offering.account)
    }
}

fn has_words(offering: &Offering, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let text = format!("{}\n{}", offering.title, offering.description).to_lowercase();
    words.iter().all(|word| text.contains(word))
}

/// Outdated for longer than it is shown.
fn hidden(series: &Series, now: Now) -> bool {
    series.outdated_since.is_some_and(|since| now.timestamp().since(since) >= OUTDATED_TIME)
}

/// The lowest and the highest id that begin with these hex digits.
pub(super) fn bounds(prefix: &str) -> Option<([u8; 32], [u8; 32])> {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if !(MIN_PREFIX..=64).contains(&prefix.len()) || !prefix.bytes().all(hex) {
        return None;
    }
    let (mut low, mut high) = ([0; 32], [0; 32]);
    hex::decode_to_slice(format!("{prefix:0<64}"), &mut low).ok()?;
    hex::decode_to_slice(format!("{prefix:f<64}"), &mut high).ok()?;
    Some((low, high))
}
