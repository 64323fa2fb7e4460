//! The consumer's request and the agreement that answers it.

use core::time::Duration;

use crate::account::{AccountId, PeerId, ServingKey};
use crate::binding::agreement::{self, Agreement};
use crate::binding::deadlines::Terms;
use crate::binding::frames::{Note, Reject, to_stream};
use crate::binding::negotiation::{Negotiation, NegotiationEvent};
use crate::binding::phase::Side;
use crate::binding::precheck::PrecheckFailure;
use crate::binding::trade::Trade;
use crate::book::Listing;
use crate::document::BindingRequest;
use crate::escrow::EscrowKind;
use crate::market::Market;
use crate::market::command::CommandError;
use crate::market::consumer::precheck::PendingBind;
use crate::market::consumer::published::may_change;
use crate::market::consumer::trade_keys;
use crate::market::event::{Call, Effect};
use crate::message::{MessageId, Signed};
use crate::step::Step;
use crate::time::Now;

impl Market {
    pub(super) fn request(
        &self,
        pending: &PendingBind,
        listing: &Listing,
        life: Duration,
        peer: PeerId,
        now: Now,
    ) -> Result<Trade, CommandError> {
        let account = self.setup.keys.account.as_ref().ok_or(PrecheckFailure::NoAccountKey)?;
        let nonce = Self::nonce_of(&pending.nonce);
        let (sign, seal) = trade_keys(account, &nonce);
        let body = BindingRequest {
            account: AccountId::of(account),
            offering: listing.id,
            series: listing.series,
            units: pending.wish.units,
            budget: pending.cost.as_ref().map(|c| c.amount),
            // Without money nothing is held, and the document names a kind all the same.
            escrow: vec![pending.choice.kind.unwrap_or(EscrowKind::Timed)],
            arbiters: pending.choice.arbiters.iter().map(|(account, _)| *account).collect(),
            pay_unless_disputed: pending.choice.pay_unless_disputed,
            sealing_key: seal.public(),
            signing_key: ServingKey::of(&sign),
            peer: self.setup.peer.clone(),
            nonce,
            valid_until: now.timestamp().plus(life),
        };
        let request = Signed::sign(body, &self.setup.network, account)?;
        Ok(Trade::new(Side::Consumer, request, peer, now))
    }

    pub(super) fn drive_request(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        if now.timestamp() > trade.request.body().valid_until {
            trade.negotiate(NegotiationEvent::RequestExpired);
            trade.state.note = Some(Note::new("the provider didn't answer the request in time; no money moved"));
            let error = CommandError::Timeout { what: "the provider's answer", consequence: "no money moved" };
            self.tell_user(trade.request_id(), Err(error), step);
        } else if Self::may_send(trade, now) {
            trade.volatile.sending = true;
            let bytes = to_stream(trade.request.packed());
            let call = Call::Request(trade.request_id());
            step.then(Effect::Send { peer: trade.state.peer.clone(), call, bytes });
        }
    }

    /// The provider answered the request.
    pub(in crate::market) fn request_answered(
        &mut self,
        request: MessageId,
        result: Result<Vec<u8>, String>,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        self.with_trade(request, step, |market, trade, step| {
            trade.volatile.sending = false;
            trade.volatile.retry_at = now.plus(market.setup.margins.heartbeat_every);
            if trade.state.negotiation != Negotiation::Requested {
                return;
            }
            let Ok(bytes) = result else { return };
            if let Some(reject) = market.open_answer::<Reject>(&bytes) {
                let serving = market.listing_of(&trade.request.body().offering, now);
                let right = serving.is_none_or(|l| l.offering.body().serving_key == reject.key);
                let waits = market.is_published(&request) && may_change(reject.code);
                if reject.request == request && right && !waits {
                    market.refuse(trade, reject.note.as_str(), step);
                }
                return;
            }
            let packed = crate::binding::frames::from_stream(&market.setup.network, &bytes);
            let agreement = packed.and_then(|packed| packed.open::<Agreement>(&market.setup.network));
            match agreement {
                Ok(agreement) => drop(market.take_agreement(trade, agreement, now, step)),
                Err(_) if market.is_published(&request) => {}
                Err(refusal) => market.refuse(trade, &refusal.to_string(), step),
            }
        });
    }

    /// Agrees to the provider's signed terms, or says no where they aren't what was asked for; whether it agreed.
    pub(super) fn take_agreement(
        &mut self,
        trade: &mut Trade,
        agreement: Signed<Agreement>,
        now: Now,
        step: &mut Step<Effect>,
    ) -> bool {
        if let Err(why) = self.check_agreement(trade, agreement.body(), now) {
            self.refuse(trade, &why, step);
            return false;
        }
        trade.state.peer = agreement.body().provider_peer.clone();
        trade.agree(agreement);
        trade.volatile.retry_at = Now::default();
        self.drive_funding(trade, now, step);
        true
    }

    fn refuse(&mut self, trade: &mut Trade, why: &str, step: &mut Step<Effect>) {
        trade.negotiate(NegotiationEvent::Refused);
        trade.state.note = Some(Note::new(why));
        self.tell_user(trade.request_id(), Err(CommandError::ByProvider(why.to_owned())), step);
    }

    /// Whether what came is the agreement that was asked for.
    fn check_agreement(&self, trade: &Trade, found: &Agreement, now: Now) -> Result<(), String> {
        let request = trade.request.body();
        let listing = self.listing_of(&request.offering, now).ok_or("the offering is gone")?;
        let body = listing.offering.body();
        let amount = body.price.total(request.units).ok_or("the price overflows")?;
        let kind = request.escrow.first().filter(|_| !amount.is_zero()).copied();
        let terms = Terms::counted(now.timestamp(), &self.setup.margins, body, kind);
        let terms = terms.ok_or("its windows are out of order")?;
        let arbiters = match terms.arbitrated() {
            None => Vec::new(),
            Some(deadlines) => self
                .arbiters_for(&request.arbiters, body, deadlines, now)
                .map_err(|_| "an arbiter isn't live here any more")?,
        };
        let expected = Agreement {
            request: trade.request_id(),
            offering: request.offering,
            series: request.series,
            serving_key: body.serving_key,
            provider_peer: found.provider_peer.clone(),
            recipient: body.recipient,
            consumer: request.account,
            consumer_key: request.signing_key,
            consumer_sealing: request.sealing_key,
            consumer_peer: request.peer.clone(),
            units: request.units,
            unit: body.price.unit,
            asset: body.price.asset.clone(),
            amount,
            terms,
            pay_unless_disputed: request.pay_unless_disputed,
            arbiters,
        };
        agreement::compare(&expected, found).map_err(|e| e.to_string())?;
        found.check_engagements(&self.setup.network).map_err(|e| e.to_string())?;
        if found.terms.fund_by() <= now.timestamp() {
            return Err("its time to fund is over already".to_owned());
        }
        Ok(())
    }
}
