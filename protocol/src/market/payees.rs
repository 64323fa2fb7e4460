//! Whether those whom a transaction pays directly can be paid: looked at before one is made whose money is an issued asset,
//! and before one is made again that failed. What would fail for sure costs no fee, and its binding says what is in the way.

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::frames::Note;
use crate::binding::trade::Trade;
use crate::escrow::outcome::EscrowState;
use crate::market::Market;
use crate::market::event::{Ask, Effect};
use crate::message::BindingId;
use crate::stellar::entry::Entry;
use crate::stellar::ledger_key::Key;
use crate::step::Step;
use crate::time::Now;

/// How the note of a binding begins whose money waits until somebody can take it in.
const NOT_PAYABLE: &str = "the money waits: ";
/// Between two looks the pause doubles up to the heartbeat's interval times two to this.
const MAX_PAUSE_DOUBLINGS: u32 = 4;

/// Whom a transaction pays directly, and how much each must be able to take in.
pub(super) type Payees = Vec<(AccountId, Stroops)>;

/// What to read of the ledger to tell whether an account can take in an asset; its issuer always can.
pub(super) fn key_of(account: AccountId, asset: &Asset) -> Option<Key> {
    match asset {
        Asset::Native => Some(Key::Account(account)),
        Asset::Issued { issuer, .. } if *issuer == account => None,
        Asset::Issued { .. } => Some(Key::Trustline(account, asset.clone())),
    }
}

/// Why an account can't take in so much of an asset, and what to do about it; nothing where it can, or where that can't be
/// told from what was read.
pub(super) fn why_not(
    (account, amount): (AccountId, Stroops),
    asset: &Asset,
    asked: &[Key],
    entries: &[Entry],
) -> Option<String> {
    let key = key_of(account, asset).filter(|key| asked.contains(key))?;
    let code = asset.symbol();
    match entries.iter().find(|entry| entry.key() == key) {
        None if asset.is_native() => Some(format!("{account} is not on the ledger: it must be created again")),
        None => {
            Some(format!("{account} has no trustline for {code}: its owner must open one (`tradepost wallet trust`)"))
        }
        Some(Entry::Trustline(line)) if !line.is_authorized() => {
            Some(format!("{account} may not take in {code}: its owner must have the issuer allow it"))
        }
        Some(Entry::Trustline(line)) if line.room() < amount => {
            let (room, needed) = (line.room().coins(), amount.coins());
            Some(format!(
                "{account} has room for {room} {code}, needed are {needed}: its trustline's limit must be raised"
            ))
        }
        Some(_) => None,
    }
}

/// What an escrow holds of the asset that was agreed, as far as the ledger showed it; `None` where that isn't known, and
/// nobody pays anything for it.
pub(super) fn shown(trade: &Trade) -> Option<Stroops> {
    let agreed = trade.escrow_terms().map(|terms| terms.amount())?;
    match trade.escrow() {
        EscrowState::Locked => Some(agreed),
        EscrowState::Refused(mismatch) => mismatch.holds(agreed),
        _ => None,
    }
}

/// What whoever claims an escrow must be able to take in: where it isn't known what that holds, as much as was agreed.
pub(super) fn held(trade: &Trade) -> Stroops {
    shown(trade).or(trade.escrow_terms().map(|terms| terms.amount())).unwrap_or_default()
}

/// Says what is in the way of a binding's money, or no longer says it.
pub(super) fn note(trade: &mut Trade, why: Option<&str>) {
    let waited = trade.state.note.as_ref().is_some_and(|note| note.as_str().starts_with(NOT_PAYABLE));
    match why {
        Some(why) => trade.state.note = Some(Note::new(format!("{NOT_PAYABLE}{why}; then it goes on by itself"))),
        None if waited => trade.state.note = None,
        None => {}
    }
}

impl Market {
    /// Whether those whom a binding's next transaction pays can take it in, as the ledger showed them; it is asked, now and
    /// then, where that isn't known or wasn't so. Coins go to whoever exists, so that is asked only where they didn't.
    pub(super) fn can_be_paid(&mut self, trade: &Trade, payees: Payees, now: Now, step: &mut Step<Effect>) -> bool {
        let (Some(binding), Some(terms)) = (trade.binding(), trade.escrow_terms()) else { return false };
        let keys: Vec<Key> = payees.iter().filter_map(|(account, _)| key_of(*account, terms.asset())).collect();
        if keys.is_empty() || terms.asset().is_native() && trade.volatile.claims_failed == 0 {
            return true;
        }
        let looked = self.payees.entry(binding).or_default();
        if looked.who != payees {
            *looked = LookedAt { who: payees, ..LookedAt::default() };
        }
        if !looked.payable && now >= looked.next_at {
            let pause = self.setup.margins.heartbeat_every * (1 << looked.looks.min(MAX_PAUSE_DOUBLINGS));
            (looked.looks, looked.next_at) = (looked.looks.saturating_add(1), now.plus(pause));
            step.then(Effect::Read { ask: Ask::Payees(binding), keys });
        }
        looked.payable
    }

    /// A transaction that should take a binding's escrow was included and failed: whom it pays is looked at again.
    pub(super) fn forget_payees(&mut self, binding: BindingId) {
        self.payees.remove(&binding);
    }

    /// Nobody answered what was asked of them: it is asked again soon, and not only when a pause for those is over that can't
    /// be paid.
    pub(super) fn payees_unreadable(&mut self, binding: &BindingId, now: Now) {
        let next_at = now.plus(self.setup.margins.poll_every);
        if let Some(looked) = self.payees.get_mut(binding) {
            (looked.looks, looked.next_at) = (0, next_at);
        }
    }

    /// Those were read whom a binding's next transaction pays.
    pub(super) fn payees_read(
        &mut self,
        binding: BindingId,
        asked: &[Key],
        entries: &[Entry],
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let Some(request) = self.by_binding.get(&binding).copied() else { return };
        self.with_trade(request, step, |market, trade, _| {
            let Some((looked, terms)) = market.payees.get_mut(&binding).zip(trade.escrow_terms()) else { return };
            let keys: Vec<Key> = looked.who.iter().filter_map(|(account, _)| key_of(*account, terms.asset())).collect();
            // An answer to another question, or one that can't be read: it is asked again.
            if keys.iter().any(|key| !asked.contains(key)) {
                return market.payees_unreadable(&binding, now);
            }
            let why = looked.who.iter().find_map(|payee| why_not(*payee, terms.asset(), asked, entries));
            looked.payable = why.is_none();
            note(trade, why.as_deref());
        });
    }
}

/// Whom the ledger was last asked about, and what it said.
#[derive(Debug, Clone, Default)]
pub struct LookedAt {
    who: Payees,
    payable: bool,
    looks: u32,
    next_at: Now,
}
