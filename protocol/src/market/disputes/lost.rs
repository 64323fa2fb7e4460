//! What an arbiter has no more, because it was restored from a backup: a party asks now and then, and sends it again.
//!
//! Nobody asks by a frame of its own: an item of evidence that the arbiter has already is acknowledged once more, and one that it
//! should have and hasn't is answered by what it has.
//!
//! In the same words a party that was restored says that it doesn't know of the dispute in which it is told an award.

use rand_core::CryptoRng;

use super::DisputeWord;
use crate::account::ServingKey;
use crate::binding::dispute::DisputeState;
use crate::binding::frames::{Held, Receipt};
use crate::binding::trade::Trade;
use crate::market::Market;
use crate::market::event::Effect;
use crate::message::BindingId;
use crate::step::Step;
use crate::time::Now;

/// Heartbeats between two questions to an arbiter that has everything.
const HEARTBEATS_BETWEEN_ASKS: u32 = 8;

impl Market {
    /// When an arbiter that has everything is asked whether it still does.
    pub(super) fn ask_again_at(&self, now: Now) -> Now {
        now.plus(self.setup.margins.heartbeat_every * HEARTBEATS_BETWEEN_ASKS)
    }

    /// Shows the last item again to the arbiters that have everything, while nothing is decided: one that was restored may have
    /// lost it.
    pub(super) fn ask_after_case(
        &mut self,
        trade: &Trade,
        binding: BindingId,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let (Some(record), Some(agreed)) = (&trade.state.dispute, trade.terms()) else { return };
        let open = matches!(record.state(), DisputeState::Opened | DisputeState::Lapsed);
        let asked_here = record.asked_by(trade.state.side).is_some();
        for (arbiter, heard) in agreed.arbiters.iter().zip(&record.heard.arbiters).filter(|_| open) {
            let has_all = (heard.opening || !asked_here) && heard.evidence == record.shown.next;
            let asked = self.outgoing.get(&(binding, arbiter.key)).is_some_and(|out| now < out.ask_at);
            let Some(last) = heard.evidence.checked_sub(1).filter(|_| has_all && !asked) else { continue };
            let word = DisputeWord::Evidence(last);
            if self.may_tell(binding, arbiter.key, now)
                && let Some(bytes) = self.dispute_frame(trade, arbiter.key, word, rng)
            {
                self.tell_one(binding, arbiter.key, arbiter.peer.clone(), word, bytes, step);
            }
        }
    }

    /// That this party doesn't know yet that the arbiters were asked.
    pub(super) fn lacks_opening(&self, trade: &Trade) -> Option<Vec<u8>> {
        let key = self.own_key(trade)?;
        self.frame(Held { key: ServingKey::of(&key), binding: trade.binding()?, opened: false, items: 0 }, &key)
    }

    /// Keeps what an arbiter's answer says of what it has: its first acknowledgement, and what it lacks.
    pub(in crate::market) fn hear_what_it_has(&self, trade: &mut Trade, from: ServingKey, answer: &[u8]) {
        let (Some(binding), own) = (trade.binding(), trade.state.side) else { return };
        let Some(place) = trade.terms().and_then(|a| a.arbiters.iter().position(|a| a.key == from)) else { return };
        let Some(record) = trade.state.dispute.as_mut() else { return };
        let asked_here = record.asked_by(own).is_some();
        let heard = &mut record.heard.arbiters[place];
        if heard.receipt.is_none() {
            heard.receipt = Receipt::of(&self.setup.network, answer, from, binding);
        }
        let held = self.open_answer::<Held>(answer).filter(|held| (held.key, held.binding) == (from, binding));
        if let Some(held) = held.filter(|_| record.opening().is_some()) {
            record.heard.arbiters[place].has_only(held.opened, held.items, asked_here);
        }
    }
}
