//! How many cases an arbiter has: where it stops to engage itself, and what gives way to what.
//!
//! Whoever was engaged is not refused: the parties locked their money because this arbiter said that it would decide. So places
//! are counted where it engages itself, and a case whose escrow stands is taken whatever was counted. An engagement itself takes
//! up no place. It is free to ask for, so if it did, a stranger could keep everybody out without a coin.
//!
//! A case costs what it locks, for as long as it is locked: the balances are looked at again, and one that is gone leaves its case
//! without a place. Of those that are left one seller's and one buyer's take up a part of the places at most, one buyer's at one
//! seller a part of that. A seller is whom an offering in the book names; all that no offering names are one. Who wants all
//! places has to have as many bonds, or trade with as many sellers, and locks money in each. That keeps this arbiter
//! out of new bindings, and out of none that it is engaged for.
//!
//! There is a bound on what is kept all the same. Beyond it what is over gives way first, then what holds no money any more, then
//! the least of what isn't decided, to more. How much a case is about is counted in this arbiter's fees, so that
//! assets compare by what it asks for them itself. So whoever wants a case out has to lock more than that
//! case is about in each of [`MAX_KEPT_CASES`] escrows at once, until `dispute_by`; what that gains is what one case was about.

use std::collections::BTreeMap;

use super::Case;
use crate::account::ServingKey;
use crate::binding::agreement::Agreement;
use crate::limits::{MAX_CASES, MAX_KEYS_PER_READ};
use crate::market::Market;
use crate::market::event::{Ask, Effect};
use crate::message::BindingId;
use crate::stellar::LedgerPoint;
use crate::stellar::entry::Entry;
use crate::stellar::ledger_key::Key;
use crate::step::Step;
use crate::time::Now;

/// The most cases that are kept, those that are over among them.
pub(in crate::market) const MAX_KEPT_CASES: usize = 4 * MAX_CASES;
/// Of all places, and of its own at one seller, one party takes up at most one in so many.
const SHARE: usize = 4;
/// Heartbeats between two looks at the escrows of open cases.
const HEARTBEATS_BETWEEN_LOOKS: u32 = 32;

/// When the escrows of open cases are looked at next, and after which of them.
#[derive(Debug, Default)]
pub struct Inbox {
    look_at: Now,
    after: Option<BindingId>,
}

/// What gives way to a new case, the first one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// It is over, and nothing comes of it any more.
    Over,
    /// Nothing is left that could be decided about.
    Gone,
    /// It is over, and a fee may still be there.
    Owed,
    /// It is open, about so many fees.
    Open(i128),
}

impl Agreement {
    /// How much it is about: the amount, in parts of the fee of the arbiter with this key.
    fn worth_to(&self, arbiter: Option<ServingKey>) -> Worth {
        let fee = self.arbiters.iter().find(|a| Some(a.key) == arbiter).map_or(1, |a| a.fee.get().max(1));
        Worth::Open(i128::from(self.amount.get()) * i128::from(i64::MAX) / i128::from(fee))
    }
}

impl Case {
    /// The same about another binding.
    #[cfg(test)]
    pub(in crate::market) fn about(&self, agreement: crate::message::Signed<Agreement>) -> Self {
        Self { agreement, ..self.clone() }
    }

    /// How many balances it looks for that may be fees.
    #[cfg(test)]
    pub(in crate::market) fn file_fees(&self) -> usize {
        self.file.fees().count()
    }

    /// Whether it takes up a place.
    pub(super) fn is_open(&self, now: Now) -> bool {
        !self.is_over(now) && !self.is_gone
    }

    /// How easily it gives way; not at all where it is decided and may be settled.
    fn worth(&self, own: Option<ServingKey>, now: Now) -> Option<Worth> {
        if self.is_over(now) {
            let owed = self.file.fees().next().is_some() || self.file.settlements.iter().any(Option::is_some);
            return Some(if owed { Worth::Owed } else { Worth::Over });
        }
        let worth = if self.is_gone { Worth::Gone } else { self.terms().worth_to(own) };
        Some(worth).filter(|_| self.file.award.is_none())
    }
}

impl Market {
    /// How many cases this node still has to decide.
    pub(in crate::market) fn open_cases(&self, now: Now) -> usize {
        self.cases.values().filter(|case| case.is_open(now)).count()
    }

    /// Whether this arbiter engages itself for a seller's next binding.
    ///
    /// # Errors
    /// Why not.
    pub(in crate::market) fn has_place_for(&self, seller: ServingKey, now: Now) -> Result<(), &'static str> {
        let places = self.setup.policy.max_cases;
        let share = (places / SHARE).max(1);
        if self.open_cases(now) < share.min(places) {
            return Ok(());
        }
        let known = |key: ServingKey| Some(key).filter(|key| self.book.serves(key));
        let (mut all, mut sellers, mut buyers, mut pairs) = (0, BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for terms in self.cases.values().filter(|case| case.is_open(now)).map(Case::terms) {
            let (seller, buyer) = (known(terms.serving_key), terms.consumer);
            let (of_seller, of_buyer) = (sellers.entry(seller).or_insert(0), buyers.entry(buyer).or_insert(0));
            let of_pair = pairs.entry((seller, buyer)).or_insert(0);
            if *of_seller < share && *of_buyer < share && *of_pair < (share / SHARE).max(1) {
                [&mut all, of_seller, of_buyer, of_pair].into_iter().for_each(|count| *count += 1);
            }
        }
        if all >= places {
            return Err("the arbiter has as many open cases as it wants");
        }
        match sellers.get(&known(seller)) {
            Some(count) if *count >= share => Err("the arbiter has as many open cases of this provider as it wants"),
            _ => Ok(()),
        }
    }

    /// Whether a case about this may be kept.
    pub(super) fn may_keep(&self, terms: &Agreement, now: Now) -> bool {
        self.cases.len() < MAX_KEPT_CASES || self.gives_way_to(terms, now).is_some()
    }

    /// Which case gives way to one about this.
    fn gives_way_to(&self, terms: &Agreement, now: Now) -> Option<BindingId> {
        let own = self.setup.keys.serving_key();
        let worth = |(binding, case): (&BindingId, &Case)| Some((case.worth(own, now)?, case.timeout_at(), *binding));
        let (least, _, binding) = self.cases.iter().filter_map(worth).min()?;
        (least < terms.worth_to(own)).then_some(binding)
    }

    /// Makes room for a case whose money stands on the ledger.
    pub(super) fn make_room(&mut self, terms: &Agreement, now: Now, step: &mut Step<Effect>) {
        if self.cases.len() >= MAX_KEPT_CASES
            && let Some(binding) = self.gives_way_to(terms, now)
        {
            self.forget_case(binding, step);
        }
    }

    /// Looks at the escrows of open cases, now and then, a part of them at a time.
    pub(in crate::market) fn watch_inbox(&mut self, now: Now, step: &mut Step<Effect>) {
        if now < self.inbox.look_at {
            return;
        }
        let after = self.inbox.after;
        let open = self.cases.iter().filter(|(binding, case)| case.is_open(now) && Some(**binding) > after);
        // Each side may have named one.
        let next: Vec<(BindingId, &Case)> =
            open.map(|(binding, case)| (*binding, case)).take(MAX_KEYS_PER_READ / 2).collect();
        let keys: Vec<Key> = next.iter().flat_map(|(_, case)| case.balances()).map(Key::Balance).collect();
        self.inbox.after = next.last().map(|(binding, _)| *binding).filter(|_| next.len() == MAX_KEYS_PER_READ / 2);
        self.inbox.look_at = now.plus(self.setup.margins.heartbeat_every * HEARTBEATS_BETWEEN_LOOKS);
        if !keys.is_empty() {
            step.then(Effect::Read { ask: Ask::Cases, keys });
        }
    }

    /// Escrows of open cases were looked at. What stood there when its case was taken, and doesn't later, never will again.
    pub(in crate::market) fn cases_read(&mut self, at: LedgerPoint, asked: &[Key], entries: &[Entry]) {
        let isnt_there = |key: &Key| asked.contains(key) && entries.iter().all(|entry| entry.key() != *key);
        for case in self.cases.values_mut().filter(|case| at.close_time > case.taken_at()) {
            if case.balances().map(Key::Balance).all(|key| isnt_there(&key)) {
                case.is_gone = true;
            }
        }
    }
}
