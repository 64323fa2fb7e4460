//! Published requests for one's own offerings: the consumer is sought, and brought the agreement once it answers.
//!
//! Nothing is agreed to before the consumer's node has answered a signed ping: an agreement holds a place, and there is
//! one to a request. A consumer that reaches this node first is answered as if it hadn't published anything.

use rand_core::CryptoRng;

use crate::account::ServingKey;
use crate::binding::frames::{Ack, NotNow, Ping, Pong, to_stream};
use crate::binding::negotiation::Negotiation;
use crate::binding::phase::Side;
use crate::binding::trade::{Handed, Trade};
use crate::document::BindingRequest;
use crate::escrow::outcome::EscrowState;
use crate::kind::Kind;
use crate::limits::MAX_UNFUNDED_AGREEMENTS;
use crate::market::Market;
use crate::market::event::{Call, Effect};
use crate::market::provider::Reply;
use crate::message::{BindingId, MessageId, Signed};
use crate::step::Step;
use crate::time::Now;

/// The pause after a consumer that gave no answer grows up to the heartbeat's interval times two to this.
const MAX_PAUSE_DOUBLINGS: u32 = 5;

/// How far a consumer was sought; forgotten by a restart, which seeks anew.
#[derive(Debug, Default)]
pub struct Approach {
    nonce: [u8; 32],
    /// A ping is on its way, or the ledger is being asked.
    busy: bool,
    tries: u32,
    next_at: Now,
}

impl Market {
    /// Seeks the consumers of published requests that could be agreed to.
    pub(super) fn tend_requests(&mut self, now: Now, rng: &mut dyn CryptoRng, step: &mut Step<Effect>) {
        self.approaches.retain(|id, _| self.book.request(id).is_some_and(|r| r.is_live(now.timestamp())));
        let Some(key) = self.setup.keys.serving.clone().filter(|_| !self.draining && !self.holds_back(now)) else {
            return;
        };
        let mut answerable = self.answerable(now);
        // Who never answered takes no place from who wasn't asked yet.
        answerable.sort_by_key(|request| self.approaches.get(&request.id()).map_or(0, |approach| approach.tries));
        for request in answerable {
            let busy = self.approaches.values().filter(|a| a.busy).count();
            if busy >= MAX_UNFUNDED_AGREEMENTS {
                return;
            }
            let (id, body) = (request.id(), request.body());
            let may = self.may_agree(id, body, &body.peer, now).is_ok();
            let approach = self.approaches.entry(id).or_default();
            if !may || approach.busy || now < approach.next_at {
                continue;
            }
            rng.fill_bytes(&mut approach.nonce);
            let ping = Ping { key: ServingKey::of(&key), whom: body.signing_key, binding: None, nonce: approach.nonce };
            if let (Some(bytes), Some(approach)) = (self.frame(ping, &key), self.approaches.get_mut(&id)) {
                approach.busy = true;
                step.then(Effect::Send { peer: body.peer.clone(), call: Call::Approach(id), bytes });
            }
        }
    }

    /// The live requests for one's own offerings that have no agreement yet.
    fn answerable(&self, now: Now) -> Vec<Signed<BindingRequest>> {
        let published = self.offers.keys().flat_map(|series| self.book.requests_for(series));
        let open = published.filter(|r| r.is_live(now.timestamp()) && !self.trades.contains_key(&r.signed.id()));
        open.map(|r| Signed::clone(&r.signed)).collect()
    }

    /// The consumer answered the ping, or didn't: with an answer its account is looked up next.
    pub(super) fn approach_answered(
        &mut self,
        request: MessageId,
        result: Result<Vec<u8>, String>,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let Some(approach) = self.approaches.get(&request) else { return };
        let nonce = approach.nonce;
        let pong = result.ok().and_then(|bytes| self.open_answer::<Pong>(&bytes));
        let signed = self.book.request(&request).filter(|r| r.is_live(now.timestamp())).map(|r| r.signed.clone());
        let (Some(signed), Some(pong)) = (signed, pong) else { return self.approach_later(request, now) };
        let free = !self.trades.contains_key(&request) && !self.incoming.contains_key(&request);
        if !free || pong.nonce != nonce || pong.key != signed.body().signing_key {
            return self.approach_later(request, now);
        }
        let peer = signed.body().peer.clone();
        if self.look_up(Signed::clone(&signed), peer, Reply::Bring, now, step).is_err() {
            self.approach_later(request, now);
        }
    }

    /// The consumer of a request is sought again after a pause, twice as long each time.
    pub(super) fn approach_later(&mut self, request: MessageId, now: Now) {
        let every = self.setup.margins.heartbeat_every;
        if let Some(approach) = self.approaches.get_mut(&request) {
            approach.busy = false;
            approach.next_at = now.plus(every * (1 << approach.tries.min(MAX_PAUSE_DOUBLINGS)));
            approach.tries = approach.tries.saturating_add(1);
        }
    }

    /// Brings the agreement to a published request to its consumer, until it has arrived or lapses.
    pub(super) fn bring_agreement(&self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        let waits = matches!(trade.escrow(), EscrowState::None | EscrowState::Free) && trade.state.handed == Handed::No;
        let published = self.book.request(&trade.request_id()).is_some_and(|r| r.cancel.is_none());
        if trade.state.negotiation != Negotiation::Agreed || !waits || trade.volatile.agreement_arrived || !published {
            return;
        }
        let (Some(binding), Some(agreement)) = (trade.binding(), trade.agreement.as_ref()) else { return };
        if Self::may_send(trade, now) {
            let bytes = to_stream(agreement.packed());
            trade.volatile.sending = true;
            step.then(Effect::Send { peer: trade.state.peer.clone(), call: Call::Agreement(binding), bytes });
        }
    }

    /// The consumer has the agreement, no longer wants it, or gave no answer.
    pub(super) fn agreement_answered(
        &mut self,
        binding: BindingId,
        result: Result<Vec<u8>, String>,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let Some(request) = self.by_binding.get(&binding).copied() else { return };
        let bytes = result.unwrap_or_default();
        let ack = self.open_answer::<Ack>(&bytes).filter(|a| a.step == Kind::Agreement.number());
        let said = ack.map(|a| (a.key, a.binding));
        let said = said.or_else(|| self.open_answer::<NotNow>(&bytes).map(|n| (n.key, n.binding)));
        self.with_trade(request, step, |market, trade, _| {
            trade.volatile.sending = false;
            trade.volatile.retry_at = now.plus(market.setup.margins.heartbeat_every);
            if trade.state.side == Side::Provider
                && said.is_some()
                && said == Self::other_key(trade).map(|k| (k, binding))
            {
                trade.volatile.heard_at = now;
                trade.volatile.agreement_arrived = true;
            }
        });
    }
}
