//! Which balance an award of a case divides: the one that the side names that settles, once the ledger shows that it is the
//! binding's. Whoever opens names one, and whoever asks for a signature does; a balance that commits to a binding costs its
//! maker nothing, so what one side names must never decide what is signed for the other.

use bincode::{Decode, Encode};

use super::{CaseFile, index};
use crate::account::AccountId;
use crate::binding::agreement::Agreement;
use crate::binding::phase::Side;
use crate::escrow::arbitrated::ArbitratedTerms;
use crate::market::event::{Ask, Effect};
use crate::market::{Market, escrows};
use crate::message::{BalanceId, BindingId};
use crate::stellar::entry::Entry;
use crate::stellar::ledger_key::Key;
use crate::step::Step;

/// A balance that the ledger showed to hold what was agreed, for this binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) struct Place {
    pub(super) balance: BalanceId,
    /// The account that may claim it before T.
    pub(super) controller: AccountId,
}

impl Place {
    /// Where a balance holds what was agreed and commits to the binding.
    pub(super) fn of(agreed: &Agreement, binding: BindingId, balance: BalanceId, entries: &[Entry]) -> Option<Self> {
        entries.iter().find_map(|entry| match entry {
            Entry::Balance(state) => {
                let right = state.id == balance && state.asset == agreed.asset && state.amount == agreed.amount;
                let right = right && escrows::commits_to(state, binding);
                let controller = ArbitratedTerms::controller_of(state).filter(|_| right)?;
                Some(Self { balance, controller })
            }
            _ => None,
        })
    }
}

impl CaseFile {
    /// The balances that sides named and the ledger showed, each once.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + '_ {
        let [first, second] = self.places;
        first.into_iter().chain(second.filter(|place| first != Some(*place)))
    }

    /// What is known of a balance, whoever named it.
    pub(super) fn place(&self, balance: BalanceId) -> Option<Place> {
        self.places().find(|place| place.balance == balance)
    }
}

impl Market {
    /// Looks at a balance that a side of a case names, for when it asks again; at one at a time, however many it names.
    pub(super) fn look_at_place(
        &mut self,
        binding: BindingId,
        side: Side,
        balance: BalanceId,
        step: &mut Step<Effect>,
    ) {
        let ask = Ask::Place(binding, side);
        if !self.is_asked(&ask) {
            self.ask_once(ask, vec![Key::Balance(balance)], step);
        }
    }

    /// A balance was looked at that a side named: where it is the binding's, it takes the place of what that side named before.
    pub(in crate::market) fn place_read(
        &mut self,
        (binding, side): (BindingId, Side),
        asked: &[Key],
        entries: &[Entry],
        step: &mut Step<Effect>,
    ) {
        let [Key::Balance(balance)] = asked else { return };
        let Some(mut case) = self.cases.remove(&binding) else { return };
        let before = case.file.clone();
        if let Some(place) = Place::of(case.terms(), binding, *balance, entries) {
            case.file.places[index(side)] = Some(place);
            case.is_gone = false;
        }
        self.keep_if_changed(case, &before, step);
    }
}
