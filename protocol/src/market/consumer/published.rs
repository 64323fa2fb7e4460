//! Requests that are gossiped because the provider can't be reached now: publishing, taking back, the agreement that
//! the provider brings, and the ping before any money moves.

use core::time::Duration;

use rand_core::CryptoRng;

use crate::account::ServingKey;
use crate::binding::agreement::{Agreement, binding_id};
use crate::binding::frames::{Ack, Cancel, NotNow, Note, Ping, Pong, RejectCode};
use crate::binding::negotiation::{Negotiation, NegotiationEvent};
use crate::binding::phase::Side;
use crate::binding::precheck::PrecheckFailure;
use crate::binding::trade::Trade;
use crate::book::Listing;
use crate::escrow::outcome::EscrowState;
use crate::kind::Kind;
use crate::market::Market;
use crate::market::command::{Answer, CommandError, CommandId};
use crate::market::consumer::precheck::{PendingBind, provider_peer};
use crate::market::consumer::{ended_early, trade_keys};
use crate::market::event::{Call, Effect};
use crate::message::{BindingId, MessageId, Packed, Signed};
use crate::refusal::{Reason, Refusal};
use crate::step::Step;
use crate::time::Now;

/// Whether a provider that says this may still agree later, so that a published request goes on waiting.
pub(super) const fn may_change(code: RejectCode) -> bool {
    match code {
        RejectCode::NoFreeSupply
        | RejectCode::NotCovered
        | RejectCode::TooManyUnfunded
        | RejectCode::LedgerUnavailable
        | RejectCode::Stopping
        | RejectCode::NoArbiter => true,
        RejectCode::NotOffered | RejectCode::TermsDontFit | RejectCode::Cancelled => false,
    }
}

impl Market {
    /// All pre-checks but the ping have passed: the request goes into the book and out, or only its cost is told.
    #[expect(clippy::too_many_arguments, reason = "a command's own parts, with time and randomness")]
    pub(super) fn publish_request(
        &mut self,
        id: CommandId,
        pending: &PendingBind,
        life: Duration,
        listing: &Listing,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        if let (true, Some(cost)) = (pending.wish.dry_run, pending.cost.clone()) {
            return Self::answer(
                step,
                id,
                Ok::<_, CommandError>(Answer::Quoted { cost, escrow: pending.choice.clone() }),
            );
        }
        let Some(peer) = provider_peer(listing) else {
            let failure = PrecheckFailure::NotLive { why: "its provider's node isn't known".into() };
            return Self::answer(step, id, Err(failure));
        };
        let done = self.request(pending, listing, life, peer, now).and_then(|trade| {
            self.admit_own_strictly(trade.request.packed().clone(), now, rng, step)?;
            Ok(trade)
        });
        let answer = done.map(|trade| {
            let (request, valid_until) = (trade.request_id(), trade.request.body().valid_until);
            self.store_trade(&trade, step);
            self.insert_trade(trade);
            self.with_trade(request, step, |market, trade, step| market.drive_request(trade, now, step));
            Answer::Requested { request, valid_until }
        });
        Self::answer(step, id, answer);
    }

    /// Whether a request of this node's was gossiped.
    pub(super) fn is_published(&self, request: &MessageId) -> bool {
        self.book.request(request).is_some()
    }

    /// A user takes a request back.
    pub(in crate::market) fn cancel_request(
        &mut self,
        id: CommandId,
        request: MessageId,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let unknown = || CommandError::NotFound {
            what: "request",
            id: request.to_string(),
            hint: "`tradepost request list` shows this node's",
        };
        let done = self.with_trade(request, step, |market, trade, step| {
            if trade.state.side != Side::Consumer {
                return Err(CommandError::NotNow(
                    "the request is somebody else's: only its author takes it back".into(),
                ));
            }
            match trade.state.negotiation {
                Negotiation::Requested => {
                    market.take_back(trade, now, rng, step);
                    Ok(Answer::Unbound)
                }
                Negotiation::Agreed => {
                    let why = "the provider has agreed already: `tradepost binding unbind` ends the binding";
                    Err(CommandError::NotNow(why.into()))
                }
                Negotiation::Cancelled => Err(CommandError::NotNow("the request was taken back already".into())),
                Negotiation::Rejected | Negotiation::Lapsed => {
                    Err(CommandError::NotNow("the request is over already; no money moved".into()))
                }
            }
        });
        Self::answer(step, id, done.unwrap_or_else(|| Err(unknown())));
    }

    /// Takes a request back that nobody has agreed to: for good, and where it was published, by a frame for everybody.
    pub(super) fn take_back(&mut self, trade: &mut Trade, now: Now, rng: &mut dyn CryptoRng, step: &mut Step<Effect>) {
        let request = trade.request_id();
        trade.negotiate(NegotiationEvent::Cancel);
        if self.is_published(&request)
            && let Some(key) = self.own_key(trade)
            && let Ok(cancel) = Signed::sign(Cancel { key: ServingKey::of(&key), request }, &self.setup.network, &key)
        {
            self.admit_own(cancel.packed().clone(), now, rng, step);
        }
        self.tell_user(request, Err(ended_early()), step);
    }

    /// The provider of a published request brings its agreement.
    pub(in crate::market) fn agreement_received(
        &mut self,
        packed: Packed,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) -> Result<Vec<u8>, Refusal> {
        let agreement = packed.open::<Agreement>(&self.setup.network)?;
        let (request, serving) = (agreement.body().request, agreement.body().serving_key);
        let unknown = || Refusal::new(Reason::UnknownSeries, format_args!("no request {request} is known here"));
        let trade = self.trades.get(&request).filter(|t| t.state.side == Side::Consumer).ok_or_else(unknown)?;
        let named = match trade.terms() {
            Some(terms) => Some(terms.serving_key),
            None => self.listing_of(&trade.request.body().offering, now).map(|l| l.offering.body().serving_key),
        };
        if named.is_some_and(|key| key != serving) {
            // Whoever else brings terms has no say about the request.
            return Err(Refusal::new(Reason::BadSignature, "not signed by the offering's serving key"));
        }
        let binding = binding_id(&agreement);
        let answer = self.with_trade(request, step, |market, trade, step| {
            let key = market.own_key(trade)?;
            let agreed = match trade.state.negotiation {
                Negotiation::Requested if named.is_some() => market.take_agreement(trade, agreement, now, step),
                _ => trade.binding() == Some(binding),
            };
            let signer = ServingKey::of(&key);
            if agreed {
                return market.frame(Ack { key: signer, binding, step: Kind::Agreement.number() }, &key);
            }
            let state = Note::new(trade.phase().as_str());
            market.frame(NotNow { key: signer, binding, state }, &key)
        });
        self.drive(request, now, rng, step);
        answer.flatten().ok_or_else(unknown)
    }

    /// The pong of a consumer whose published request an offering's provider is about to agree to.
    pub(in crate::market) fn approached(&self, ping: &Ping, now: Now) -> Option<Vec<u8>> {
        let account = self.setup.keys.account.as_ref().filter(|_| !self.draining && !self.holds_back(now))?;
        let trade = self.trades.values().find(|t| {
            let asked = t.state.side == Side::Consumer && t.state.negotiation == Negotiation::Requested;
            asked && t.request.body().signing_key == ping.whom
        })?;
        let listing = self.listing_of(&trade.request.body().offering, now)?;
        if listing.offering.body().serving_key != ping.key {
            return None;
        }
        let key = trade_keys(account, &trade.request.body().nonce).0;
        self.frame(Pong { key: ping.whom, nonce: ping.nonce }, &key)
    }

    /// Asks the provider, which must know the binding, whether it is there, before anything is signed that pays it.
    pub(in crate::market) fn reach_out(
        &self,
        trade: &mut Trade,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let about_to_fund = trade.state.side == Side::Consumer
            && trade.state.negotiation == Negotiation::Agreed
            && *trade.escrow() == EscrowState::None
            && trade.state.funding.is_none()
            && trade.state.session.end().is_none();
        if !about_to_fund || trade.volatile.reached || !Self::may_send(trade, now) {
            return;
        }
        let (Some(key), Some(whom), Some(binding)) = (self.own_key(trade), Self::other_key(trade), trade.binding())
        else {
            return;
        };
        rng.fill_bytes(&mut trade.volatile.beat_nonce);
        let nonce = trade.volatile.beat_nonce;
        let ping = Ping { key: ServingKey::of(&key), whom, binding: Some(binding), nonce };
        self.send(trade, Call::Reach(binding), ping, step);
    }

    /// The provider answered the ping before the funding, or didn't.
    pub(in crate::market) fn reach_answered(
        &mut self,
        binding: BindingId,
        result: Result<Vec<u8>, String>,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(request) = self.by_binding.get(&binding).copied() else { return };
        let pong = result.ok().and_then(|bytes| self.open_answer::<Pong>(&bytes));
        self.with_trade(request, step, |market, trade, _| {
            trade.volatile.sending = false;
            trade.volatile.retry_at = now.plus(market.setup.margins.heartbeat_every);
            let right =
                |pong: Pong| Self::other_key(trade) == Some(pong.key) && trade.volatile.beat_nonce == pong.nonce;
            if pong.is_some_and(right) {
                trade.volatile.reached = true;
                trade.volatile.retry_at = now;
            }
        });
        self.drive(request, now, rng, step);
    }
}
