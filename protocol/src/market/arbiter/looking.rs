//! Disputes whose money is being looked for: they come from anybody, and cost nothing until the ledger has answered.
//!
//! They take up no place of a case, and each side of a binding has one of its own, so that the one can't keep the other one's
//! out. Of too many the peer that sent most loses its oldest: made-up balances from one peer push out none but its own, and
//! whoever wants to push out another's needs as many peers as there are places. Who is pushed out is told, and asks again.

use std::collections::BTreeMap;

use crate::account::PeerId;
use crate::binding::agreement::Agreement;
use crate::binding::frames::Dispute;
use crate::binding::phase::Side;
use crate::limits::FRAME_TIMEOUT;
use crate::market::Market;
use crate::market::event::{Ask, Effect, Token};
use crate::message::{BindingId, Signed};
use crate::stellar::ledger_key::Key;
use crate::step::Step;
use crate::time::Now;

/// The most disputes whose money is looked for at once.
pub(super) const MAX_LOOKING: usize = 256;

/// A dispute whose money is being looked for.
#[derive(Debug)]
pub struct Looking {
    pub(super) token: Token,
    pub(super) dispute: Dispute,
    pub(super) frame: Vec<u8>,
    pub(super) agreement: Signed<Agreement>,
    pub(super) by: Side,
    peer: PeerId,
    since: Now,
}

impl Looking {
    pub(super) fn new(
        (token, peer): (Token, PeerId),
        (dispute, frame): (Dispute, Vec<u8>),
        agreement: Signed<Agreement>,
        by: Side,
        since: Now,
    ) -> Self {
        Self { token, dispute, frame, agreement, by, peer, since }
    }
}

impl Market {
    /// Has the ledger asked for the money of a dispute.
    pub(super) fn look_for_money(&mut self, looking: Looking, step: &mut Step<Effect>) {
        let place = (looking.dispute.binding, looking.by);
        if let Some(known) = self.looking.get_mut(&place) {
            let again = known.dispute.balance == looking.dispute.balance;
            let late = if again { core::mem::replace(&mut known.token, looking.token) } else { looking.token };
            return self.look_later(place.0, late, step);
        }
        if self.looking.len() >= MAX_LOOKING {
            self.give_up_oldest(step);
        }
        let keys = vec![Key::Balance(looking.dispute.balance)];
        // Whose case is turned down has lost the arbiters.
        let ask = self.gated(Ask::Case(place.0, place.1), looking.agreement.body().amount);
        self.looking.insert(place, looking);
        self.ask_once(ask, keys, step);
    }

    /// Gives up the oldest of the peer that has most.
    fn give_up_oldest(&mut self, step: &mut Step<Effect>) {
        let mut sent: BTreeMap<&PeerId, usize> = BTreeMap::new();
        self.looking.values().for_each(|looking| *sent.entry(&looking.peer).or_default() += 1);
        let most = sent.into_iter().max_by_key(|(_, count)| *count).map(|(peer, _)| peer.clone());
        let its = self.looking.iter().filter(|(_, looking)| Some(&looking.peer) == most.as_ref());
        let oldest = its.min_by_key(|(_, looking)| looking.since).map(|(place, _)| *place);
        if let Some((place, looking)) = oldest.and_then(|place| Some((place, self.looking.remove(&place)?))) {
            self.is_unanswered(&Ask::Case(place.0, place.1));
            self.look_later(place.0, looking.token, step);
        }
    }

    fn look_later(&self, binding: BindingId, token: Token, step: &mut Step<Effect>) {
        let answer = self.case_not_now(binding, "the arbiter looks for the money of too many disputes");
        step.then(Effect::Respond { token, bytes: answer.unwrap_or_default() });
    }

    /// Gives up what the ledger doesn't answer.
    pub(super) fn tend_looking(&mut self, now: Now) {
        self.looking.retain(|_, looking| looking.since.plus(FRAME_TIMEOUT) > now);
    }
}
