//! Help exchanges that this node takes part in: followed on the ledger, acted in by command and by role.

mod commands;
mod exchange;
mod joining;
mod owing;

use core::time::Duration;
use std::collections::BTreeMap;

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::book::{Filter, Listing, Page};
use crate::community::act::{Act, ActId, ActState, What};
use crate::community::listing::ListedMake;
use crate::community::role::RoleSettings;
use crate::community::rules::{CommunityCode, CommunityRefusal};
use crate::community::{Terms, listing, tag};
use crate::document::BuiltIn;
use crate::frame;
use crate::intent::Purpose;
use crate::market::command::{CommandError, CommandId};
use crate::market::event::{Effect, FollowedPage};
use crate::market::{Market, RestoreError};
use crate::message::{MessageId, SeriesId, TxHash};
use crate::network_id::NetworkId;
use crate::step::{Space, Step};
use crate::time::Now;

pub use commands::Deed;
pub use exchange::Exchange;

/// The most exchanges that one node follows.
const MAX_EXCHANGES: usize = 16;
/// How long a look at the ledger's history may take until it is asked for again.
const LOOK_LIFE: Duration = Duration::from_secs(60);
/// First bytes of the keys within the space.
const EXCHANGE: u8 = b'c';
const TRANSACTION: u8 = b't';
const ACT: u8 = b'a';
const JOINING: u8 = b'j';

fn act_key(id: &ActId) -> Vec<u8> {
    [&[ACT][..], id].concat()
}

/// All exchanges that a node takes part in.
#[derive(Debug, Default)]
pub(super) struct Communities {
    role: Option<RoleSettings>,
    known: BTreeMap<Asset, Exchange>,
    acts: BTreeMap<ActId, Act>,
    commands: BTreeMap<ActId, CommandId>,
    pending: BTreeMap<CommandId, commands::Pending>,
    joins: BTreeMap<AccountId, joining::Joining>,
    /// Joinings that others asked for, whose accounts are being read.
    asking: BTreeMap<AccountId, joining::Asking>,
    /// Whose turn it is to be handed in again.
    handed_in: u32,
    sent: BTreeMap<ActId, joining::Sent>,
    /// Until when what is owed, or a listing, waits after it failed.
    paused: BTreeMap<ActId, Now>,
    /// The newest ledger that included a step of this node's own.
    newest: u32,
    loaded: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Communities {
    /// Takes a stored row. Transactions wait for the exchange that they are of.
    pub(super) fn take(&mut self, network: &NetworkId, key: Vec<u8>, value: Vec<u8>) -> Result<(), RestoreError> {
        let bad = |why: String| RestoreError { what: "part of a help exchange", why };
        match key.first() {
            Some(&EXCHANGE) => {
                let exchange = Exchange::restored(&value).map_err(bad)?;
                self.known.insert(exchange.terms.clawable.clone(), exchange);
            }
            Some(&TRANSACTION) => self.loaded.push((key, value)),
            Some(&ACT) => {
                let id: ActId = key[1..].try_into().map_err(|_| bad("an act without a name".to_owned()))?;
                self.acts.insert(id, frame::decode(&value).map_err(|e| bad(e.to_string()))?);
            }
            Some(&JOINING) => {
                let joining = joining::Joining::read(network, &value).map_err(bad)?;
                self.joins.insert(joining.account, joining);
            }
            _ => return Err(bad("a row of no known sort".to_owned())),
        }
        Ok(())
    }

    /// Folds what was loaded, in the ledger's order.
    pub(super) fn fold(&mut self, network: &NetworkId) -> Result<(), RestoreError> {
        let bad = |why: String| RestoreError { what: "transaction of a help exchange", why };
        let mut rows = core::mem::take(&mut self.loaded);
        rows.sort();
        for (key, value) in rows {
            let of = |exchange: &&mut Exchange| key[1..].starts_with(&tag(&exchange.terms.clawable));
            if let Some(exchange) = self.known.values_mut().find(of) {
                exchange.keep(key, &value, network).map_err(bad)?;
            }
        }
        Ok(())
    }
}

impl Market {
    /// Gives this node a role in an exchange, as its owner's configuration says.
    pub fn play(&mut self, settings: RoleSettings) {
        let known = &mut self.communities.known;
        let clawable = settings.terms.clawable.clone();
        let exchange = known.entry(clawable).or_insert_with(|| Exchange::new(settings.terms.clone()));
        // The configuration has the last word on what its own exchange is.
        exchange.terms = settings.terms.clone();
        self.communities.role = Some(settings);
    }

    /// This node's role in an exchange, where it has one.
    pub fn role(&self) -> Option<&RoleSettings> {
        self.communities.role.as_ref()
    }

    /// The exchanges that this node follows.
    pub fn exchanges(&self) -> impl Iterator<Item = &Exchange> {
        self.communities.known.values()
    }

    /// The exchanges that agents offer, by the book, with the agents' names for them.
    pub fn offered_exchanges(&self, now: Now) -> Vec<(Terms, String)> {
        let offered = self.exchange_listings(now).into_iter();
        offered.map(|(terms, listing)| (terms, listing.offering.body().title.clone())).collect()
    }

    /// The exchanges that agents offer now, each with its listing.
    fn exchange_listings(&self, now: Now) -> Vec<(Terms, Listing)> {
        let template = BuiltIn::named(listing::EXCHANGE).map(|built_in| built_in.id);
        let page = Page { offset: 0, limit: Page::MAX };
        let listed = self.book.listing(&Filter { template, ..Filter::default() }, page, now);
        let listed = listed.map(|page| page.items).unwrap_or_default();
        listed.into_iter().filter_map(|l| Some((listing::exchange(l.offering.body())?, l))).collect()
    }

    /// Whether an offering is an exchange's or a make's, which are joined and taken, not bound.
    pub(super) fn is_taken(&self, offering: &MessageId) -> bool {
        let found = self.book.get(&offering.to_string(), Now::default());
        found.is_ok_and(|listing| listing::is_not_bound(listing.offering.body()))
    }

    /// What whoever wants to bind one is told.
    pub(super) fn take_instead() -> CommandError {
        let why = "it is part of a help exchange: `community take` takes an offer or request, `community join` joins";
        CommunityRefusal::new(CommunityCode::TakeInstead, why).into()
    }

    /// The makes that the book tells of, this node's own among them, each with its series. Anybody can tell of anybody's.
    fn listed_makes(&self) -> impl Iterator<Item = (ListedMake, SeriesId)> {
        let template = BuiltIn::named(listing::HELP).map(|built_in| built_in.id);
        let others = template.into_iter().flat_map(|id| self.book.of_template(id));
        let others = others.filter(|(series, _)| !self.offers.contains_key(series));
        let own = self.offers.values().filter(|o| o.is_open()).map(|o| (o.series(), o.body()));
        own.chain(others).filter_map(|(series, offering)| Some((listing::make(offering)?, series)))
    }

    /// The makes of followed exchanges that their makers tell of in the book.
    pub fn told_makes(&self) -> impl Iterator<Item = (ListedMake, SeriesId)> {
        self.listed_makes().filter(|(listed, _)| {
            let make = self.exchange(&listed.exchange).and_then(|exchange| exchange.chain.make_of(listed.make));
            make.is_some_and(|make| listed.is_makers_word(&listed.exchange, make))
        })
    }

    /// What a make's maker tells of it in the book.
    pub fn listed_make(&self, exchange: &Asset, make: TxHash) -> Option<(ListedMake, SeriesId)> {
        let make = self.exchange(exchange)?.chain.make_of(make)?;
        self.listed_makes().find(|(listed, _)| listed.is_makers_word(exchange, make))
    }

    /// The make that a series of this node's own tells of.
    pub fn make_of_series(&self, series: &SeriesId) -> Option<TxHash> {
        Some(listing::make(self.offers.get(series)?.body())?.make)
    }

    /// What this node does in exchanges and isn't through with.
    pub fn help_acts(&self) -> impl Iterator<Item = (&ActId, &Act)> {
        self.communities.acts.iter()
    }

    fn exchange_mut(&mut self, clawable: &Asset) -> Option<&mut Exchange> {
        self.communities.known.get_mut(clawable)
    }

    /// An exchange that this node follows, by its asset.
    pub fn exchange(&self, clawable: &Asset) -> Option<&Exchange> {
        self.communities.known.get(clawable)
    }

    /// A page of the ledger's history came.
    pub(super) fn followed(&mut self, clawable: &Asset, result: Result<FollowedPage, String>, step: &mut Step<Effect>) {
        let network = self.setup.network;
        let Some(exchange) = self.exchange_mut(clawable) else { return };
        exchange.asked = None;
        if let Ok(page) = result {
            exchange.take_page(page, &network, step);
        }
    }

    /// Asks for what the ledger has shown since the last look.
    fn follow_on(&mut self, now: Now, step: &mut Step<Effect>) {
        let Some(point) = self.point else { return };
        for (clawable, exchange) in &mut self.communities.known {
            let waits = exchange.asked.is_some_and(|at| now.since(at) < LOOK_LIFE);
            if exchange.next <= point.sequence && !waits {
                exchange.asked = Some(now);
                let assets = vec![clawable.clone(), exchange.terms.plain.clone()];
                step.then(Effect::Follow { exchange: clawable.clone(), assets, from: exchange.next });
            }
        }
    }

    /// Whether an exchange was looked at up to the newest ledger that is known.
    fn is_up_to_date(&self, exchange: &Exchange) -> bool {
        self.point.is_some_and(|point| exchange.next > point.sequence)
    }

    /// Does what time, the ledger or a command makes due.
    pub(super) fn tend_exchanges(&mut self, now: Now, step: &mut Step<Effect>) {
        self.follow_on(now, step);
        self.tend_help_commands(now, step);
        self.tend_owed(now, step);
        self.tend_joining(now, step);
        self.tend_listings(now, step);
        self.forget_unjoined(now, step);
        let seen: Vec<ActId> =
            self.communities.acts.iter().filter(|(_, act)| self.is_through(act)).map(|(id, _)| *id).collect();
        for id in seen {
            self.forget_act(&id, step);
        }
        let wanted = self.communities.acts.iter().filter(|(id, act)| {
            act.state == ActState::Wanted && self.communities.paused.get(*id).is_none_or(|until| now >= *until)
        });
        for id in wanted.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.want(Purpose::Help { id });
        }
    }

    /// Whether the chain shows what an act led to, so that nothing has to be remembered of it.
    fn is_through(&self, act: &Act) -> bool {
        let ActState::Included(hash) = act.state else { return false };
        let listing = matches!(act.what, What::Make { .. });
        !listing && self.exchange(&act.exchange).is_some_and(|exchange| exchange.chain.contains(hash))
    }

    fn store_act(&mut self, id: ActId, act: Act, step: &mut Step<Effect>) {
        let bytes = frame::encode(&act).expect("a description is bounded far below a stored value's limit");
        step.batch().put(Space::Community, act_key(&id), bytes);
        self.communities.acts.insert(id, act);
    }

    fn forget_act(&mut self, id: &ActId, step: &mut Step<Effect>) {
        self.communities.acts.remove(id);
        self.communities.paused.remove(id);
        self.communities.sent.remove(id);
        step.batch().delete(Space::Community, act_key(id));
    }

    /// What acts that aren't signed yet take out of the account in an asset.
    pub(super) fn promised_to_help(&self, asset: &Asset) -> Stroops {
        let unsigned = self
            .communities
            .acts
            .iter()
            .filter(|(id, act)| act.state == ActState::Wanted && self.is_unsigned(Purpose::Help { id: **id }));
        unsigned.fold(Stroops::ZERO, |sum, (_, act)| {
            let taken = self.taken_by(act, asset);
            sum.plus(taken).unwrap_or(Stroops::MAX)
        })
    }

    fn taken_by(&self, act: &Act, asset: &Asset) -> Stroops {
        let Some(exchange) = self.exchange(&act.exchange) else { return Stroops::ZERO };
        let takes = act.what.takes(&exchange.terms, paid_amount(exchange, &act.what));
        if *asset == exchange.terms.clawable {
            takes.clawable
        } else if *asset == exchange.terms.plain {
            takes.plain
        } else if asset.is_native() {
            let params = self.params.unwrap_or(crate::stellar::reserve::LedgerParams::USUAL);
            self.fee(takes.operations).plus(params.reserves(takes.reserves)).unwrap_or(Stroops::MAX)
        } else {
            Stroops::ZERO
        }
    }
}

/// The amount of the payment that an act is about.
fn paid_amount(exchange: &Exchange, what: &What) -> Stroops {
    match what {
        What::Convert { payment } | What::AnswerConversion { payment } => {
            exchange.chain.payment_of(*payment).map(|payment| payment.amount).unwrap_or_default()
        }
        _ => Stroops::ZERO,
    }
}
