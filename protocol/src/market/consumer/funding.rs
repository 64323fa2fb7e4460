//! From the agreement to an escrow that the provider knows of.

use rand_core::CryptoRng;

use crate::binding::frames::{Fund, FundAccepted, FundRefused, Note};
use crate::binding::negotiation::NegotiationEvent;
use crate::binding::session::SessionEvent;
use crate::binding::trade::{Handed, Trade};
use crate::escrow::outcome::EscrowState;
use crate::intent::Purpose;
use crate::market::Market;
use crate::market::command::{Answer, CommandError};
use crate::market::event::{Call, Effect};
use crate::message::BindingId;
use crate::step::Step;
use crate::time::Now;

impl Market {
    /// From the agreement to an escrow that the provider knows of.
    pub(super) fn drive_funding(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        let Some((binding, terms)) = trade.binding().zip(trade.terms()) else { return };
        let fund_by = terms.terms.fund_by();
        let over = self.close_time().is_some_and(|closed| closed > fund_by);
        match trade.escrow() {
            EscrowState::None if over => {
                trade.negotiate(NegotiationEvent::NothingFunded);
                let why = "the escrow wasn't funded in time; no money moved";
                trade.state.note.get_or_insert_with(|| Note::new(why));
                let error = CommandError::Timeout { what: "the funding", consequence: "no money moved" };
                self.tell_user(trade.request_id(), Err(error), step);
            }
            EscrowState::None if trade.state.session.end().is_some() => self.no_longer_want(Purpose::Fund { binding }),
            // An agreement to a published request comes long after its pre-checks: no money moves on a ledger that stands
            // still.
            EscrowState::None if trade.state.funding.is_none() && trade.volatile.reached && self.may_fund(now) => {
                self.want(Purpose::Fund { binding });
            }
            EscrowState::Free if trade.state.handed != Handed::Accepted && over => {
                trade.negotiate(NegotiationEvent::NothingFunded);
                let error = CommandError::Timeout { what: "the provider's word", consequence: "the binding lapsed" };
                self.tell_user(trade.request_id(), Err(error), step);
            }
            EscrowState::Intended | EscrowState::Free if trade.state.session.end().is_some() => {}
            EscrowState::Intended | EscrowState::Free if trade.state.handed == Handed::No => {
                self.hand_over(trade, now, step);
            }
            EscrowState::Free | EscrowState::Locked => {
                trade.session(SessionEvent::MayStart);
            }
            _ => {}
        }
    }

    fn may_fund(&self, now: Now) -> bool {
        self.precheck_clock(now).is_ok() && !self.holds_back(now)
    }

    /// Hands the signed funding envelope to the provider, before it is submitted.
    pub(in crate::market) fn hand_over(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        let Some(binding) = trade.binding() else { return };
        let envelope = match trade.escrow() {
            EscrowState::Free => Some(Vec::new()),
            _ => self.envelope_of(&Purpose::Fund { binding }),
        };
        let (Some(envelope), true) = (envelope, Self::may_send(trade, now)) else { return };
        let key = trade.request.body().signing_key;
        self.send(trade, Call::Fund(binding), Fund { key, binding, envelope }, step);
    }

    /// The provider took the envelope, or refused it.
    pub(in crate::market) fn fund_answered(
        &mut self,
        binding: BindingId,
        result: Result<Vec<u8>, String>,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(request) = self.by_binding.get(&binding).copied() else { return };
        let released = self.with_trade(request, step, |market, trade, step| {
            trade.volatile.sending = false;
            trade.volatile.retry_at = now.plus(market.setup.margins.heartbeat_every);
            let bytes = result.ok()?;
            let provider = Self::other_key(trade);
            if let Some(refused) = market.open_answer::<FundRefused>(&bytes) {
                if Some(refused.key) == provider && refused.binding == binding {
                    trade.state.handed = Handed::Refused;
                    trade.state.note = Some(refused.note.clone());
                    let error = CommandError::ByProvider(refused.note.to_string());
                    market.tell_user(request, Err(error), step);
                }
                return None;
            }
            let accepted = market.open_answer::<FundAccepted>(&bytes)?;
            if Some(accepted.key) != provider || accepted.binding != binding {
                return None;
            }
            trade.volatile.heard_at = now;
            trade.state.handed = Handed::Accepted;
            if trade.state.session.end().is_some() {
                // It ended meanwhile: what isn't on its way to the ledger stays here and dies at fund_by.
                return None;
            }
            let transaction = trade.state.funding;
            market.tell_user(request, Ok(Answer::Bound { binding, request, transaction }), step);
            Some(())
        });
        if released.flatten().is_some() {
            self.release(Purpose::Fund { binding }, now, step);
            self.drive(request, now, rng, step);
        }
    }
}
