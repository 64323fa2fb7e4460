//! What is gone: an entry that one operator's endpoint doesn't show any more ends what depends on it for good, so that a single
//! lie, or a single lapse, would. Where two operators are configured, it takes both of them.
//!
//! Presence needs no second word here: what stands can still go, and what starts by it is asked for as such
//! ([`Ask::Agreed`]).

use crate::amount::Stroops;
use crate::binding::trade::Trade;
use crate::escrow::outcome::EscrowWatch;
use crate::market::Market;
use crate::market::escrows::{commits_to, escrow_keys};
use crate::market::event::{Ask, Effect};
use crate::message::{BalanceId, BindingId};
use crate::stellar::LedgerPoint;
use crate::stellar::entry::{AccountState, Entry};
use crate::stellar::ledger_key::Key;
use crate::step::Step;

impl Market {
    /// What counts of an answer that one operator gave: the keys that it was asked for, without those from whose answer an end
    /// would follow. Two operators are asked for these.
    pub(super) fn counted(
        &self,
        ask: &Ask,
        at: LedgerPoint,
        asked: &[Key],
        entries: &[Entry],
        step: &mut Step<Effect>,
    ) -> Vec<Key> {
        if self.setup.policy.one_word_limit.is_none() {
            return asked.to_vec();
        }
        let ends: Vec<Key> = asked.iter().filter(|key| self.is_end(ask, at, key, entries)).cloned().collect();
        if !ends.is_empty() {
            let keys = self.with_what_belongs_to(ask, &ends, asked);
            step.then(Effect::Read { ask: Ask::Agreed(Box::new(ask.clone())), keys });
        }
        asked.iter().filter(|key| !ends.contains(key)).cloned().collect()
    }

    /// Whether something would be over for good by what an answer says of a key.
    fn is_end(&self, ask: &Ask, at: LedgerPoint, key: &Key, entries: &[Entry]) -> bool {
        let there = entries.iter().find(|entry| entry.key() == *key);
        match (ask, key) {
            (Ask::Escrows, Key::Balance(balance)) => {
                let mut trades = self.trades.values().filter(|trade| trade.state.balance == Some(*balance));
                let stands = |trade: &Trade| match (there, trade.binding()) {
                    (Some(Entry::Balance(state)), Some(binding)) => commits_to(state, binding),
                    _ => false,
                };
                trades.any(|trade| was_seen(trade) && self.needs_two_words(amount_of(trade)) && !stands(trade))
            }
            (Ask::Cases, Key::Balance(balance)) => {
                there.is_none() && self.needs_two_words(self.amount_of_case(*balance))
            }
            (Ask::Leftovers(binding), Key::Balance(_) | Key::Account(_)) => {
                let spoilt = matches!(there, Some(Entry::Account(account)) if is_spoilt(account));
                (there.is_none() || spoilt) && self.needs_two_words(self.amount_in(binding))
            }
            (Ask::Account, Key::Account(account)) => {
                let state = there.and_then(|entry| if let Entry::Account(state) = entry { Some(state) } else { None });
                self.queue.as_ref().is_some_and(|queue| queue.would_decide(*account, state, at))
            }
            _ => false,
        }
    }

    /// The keys that have to be read together with these.
    fn with_what_belongs_to(&self, ask: &Ask, ends: &[Key], asked: &[Key]) -> Vec<Key> {
        let mut keys = ends.to_vec();
        match ask {
            Ask::Escrows => {
                let its = |trade: &&Trade| trade.state.balance.is_some_and(|id| ends.contains(&Key::Balance(id)));
                let others = self.trades.values().filter(its).flat_map(escrow_keys);
                keys.extend(others.filter(|key| !ends.contains(key)));
            }
            // Whether a fee may still come, its submitter's number and the escrow tell.
            Ask::Leftovers(binding) if self.cases.contains_key(binding) => {
                keys.extend(asked.iter().filter(|key| !ends.contains(key)).cloned());
            }
            Ask::Leftovers(_) => keys.extend(asked.iter().filter(|key| matches!(key, Key::Trustline(..))).cloned()),
            _ => {}
        }
        keys
    }

    /// What a case that this node is to decide is about.
    fn amount_of_case(&self, balance: BalanceId) -> Stroops {
        let case = self.cases.values().find(|case| case.balances().any(|its| its == balance));
        case.map(|case| case.terms().amount).unwrap_or_default()
    }

    fn amount_in(&self, binding: &BindingId) -> Stroops {
        let trade = self.by_binding.get(binding).and_then(|request| self.trades.get(request));
        let case = || self.cases.get(binding).map(|case| case.terms().amount);
        trade.map(amount_of).or_else(case).unwrap_or_default()
    }
}

fn amount_of(trade: &Trade) -> Stroops {
    trade.terms().map(|terms| terms.amount).unwrap_or_default()
}

/// Whether a ledger has shown its escrow: one that never was can't end.
fn was_seen(trade: &Trade) -> bool {
    trade.state.escrow.as_ref().and_then(EscrowWatch::last_seen).is_some()
}

/// Whether a controller can't be given back any more: its master key has no weight, and its number isn't the first.
fn is_spoilt(controller: &AccountState) -> bool {
    let unlocked = controller.thresholds.master > 0 && controller.thresholds.master >= controller.thresholds.high;
    !unlocked && controller.sequence & 0xffff_ffff != 0
}
