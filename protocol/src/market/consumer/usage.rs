//! The service as the consumer uses it: what its clock says, and what the provider says.

use crate::binding::frames::Note;
use crate::binding::negotiation::Negotiation;
use crate::binding::phase::Side;
use crate::binding::session::{End, Session, SessionEvent};
use crate::binding::trade::{Access, Trade};
use crate::market::Market;
use crate::market::consumer::{ACCESS_INFO, trade_keys};
use crate::market::event::Effect;
use crate::market::trades::Word;
use crate::message::{MessageId, TxHash};
use crate::step::Step;
use crate::time::Now;

impl Market {
    /// The clock's part of a session, as the consumer sees it.
    pub(super) fn drive_use(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        let Some(terms) = trade.terms().map(|a| a.terms) else { return };
        if trade.state.negotiation != Negotiation::Agreed {
            return;
        }
        let late = self.setup.margins.grace;
        if now.timestamp() > terms.start_by().plus(late) {
            self.move_session(trade, SessionEvent::StartByPassed, "the service didn't start in time", step);
        }
        if now.timestamp() >= terms.deliver_by() {
            trade.seen_until(now);
            self.move_session(trade, SessionEvent::DeliverByPassed, "", step);
        }
    }

    /// The provider says something about the session; whether it fits.
    pub(in crate::market) fn word_to_consumer(
        &mut self,
        trade: &mut Trade,
        word: Word,
        now: Now,
        step: &mut Step<Effect>,
    ) -> bool {
        match word {
            Word::Started(started) => self.started(trade, started.access.as_bytes(), now),
            Word::StartFailed(failed) => {
                self.provider_ends(trade, SessionEvent::ServiceFailed, End::StartFailed, failed.note.as_str(), step)
            }
            Word::Unbind(unbind) => {
                let event = SessionEvent::ProviderUnbinds;
                self.provider_ends(trade, event, End::UnboundByProvider, unbind.note.as_str(), step)
            }
            Word::Delivered(delivered) => {
                let event = match delivered.end {
                    End::Done => SessionEvent::ServiceDone,
                    End::UnitsUsed => SessionEvent::UnitsUsed,
                    // Not by the provider's clock, while it may still be asked for something.
                    End::DeliverBy if !trade.is_past_deliver_by(now) => return false,
                    End::DeliverBy => SessionEvent::DeliverByPassed,
                    End::ConsumerGone => SessionEvent::ConsumerSilent,
                    _ => return false,
                };
                trade.state.used = trade.state.used.max(delivered.used.min(trade.request.body().units));
                trade.seen_until(now);
                let gone = event == SessionEvent::ConsumerSilent && trade.state.session.end().is_none();
                let was_there = gone && self.was_there(trade, now);
                let ended = self.provider_ends(trade, event, delivered.end, "", step);
                trade.state.seen.was_there |= ended && was_there;
                ended
            }
            Word::Closing(_) if trade.escrow_terms().is_none() || trade.state.balance.is_none() => false,
            Word::Closing(closing) => {
                let known = trade.state.closing_seen || trade.state.closing == Some(closing.transaction);
                // One at a time, however many it names.
                if !known && now < trade.volatile.closing_at {
                    return false;
                }
                if !trade.state.closing_seen {
                    trade.state.closing = Some(closing.transaction);
                    self.ask_for_closing(trade, now, step);
                }
                true
            }
        }
    }

    /// Asks the ledger for the transaction that is said to have closed the escrow, once in a heartbeat.
    pub(super) fn ask_for_closing(&self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        if let Some(hash) = trade.state.closing.filter(|_| now >= trade.volatile.closing_at) {
            trade.volatile.closing_at = now.plus(self.setup.margins.heartbeat_every);
            step.then(Effect::AskStatus { hash });
        }
    }

    fn provider_ends(
        &mut self,
        trade: &mut Trade,
        event: SessionEvent,
        end: End,
        why: &str,
        step: &mut Step<Effect>,
    ) -> bool {
        self.move_session(trade, event, why, step);
        trade.state.session == Session::Ended(end)
    }

    /// Whether this node was there all the grace time before now, as the provider knows: whoever hears the other one is heard
    /// by its answer. A node that was started since, and not heard, can't tell.
    fn was_there(&self, trade: &Trade, now: Now) -> bool {
        trade.volatile.in_touch && now.since(trade.volatile.heard_at) <= self.setup.margins.grace
    }

    /// Access details arrived: the service can be used.
    fn started(&mut self, trade: &mut Trade, sealed: &[u8], now: Now) -> bool {
        let Some(account) = self.setup.keys.account.as_ref() else { return false };
        let Some(binding) = trade.binding() else { return false };
        let secret = trade_keys(account, &trade.request.body().nonce).1;
        let opened = secret.open(ACCESS_INFO, binding.as_bytes(), sealed).ok();
        let Some(access) = opened.and_then(|bytes| crate::frame::decode::<Access>(&bytes).ok()) else {
            trade.state.note = Some(Note::new("the provider's access details don't open"));
            return false;
        };
        trade.session(SessionEvent::MayStart);
        trade.session(SessionEvent::ServiceRuns);
        if !trade.state.session.runs() {
            return false;
        }
        trade.state.access = Some(access);
        trade.volatile.in_touch |= trade.state.active_since.is_none();
        trade.state.active_since.get_or_insert(now.timestamp());
        true
    }

    /// A transaction that the provider named was read: whether it took the escrow, and for whom.
    pub(in crate::market) fn closing_read(&mut self, hash: TxHash, envelope: &[u8], step: &mut Step<Effect>) {
        if envelope.is_empty() {
            return;
        }
        let concerned: Vec<MessageId> = self
            .trades
            .values()
            .filter(|t| t.state.side == Side::Consumer && t.state.closing == Some(hash) && !t.state.closing_seen)
            .map(Trade::request_id)
            .collect();
        for request in concerned {
            self.with_trade(request, step, |market, trade, _| {
                let (Some(terms), Some(balance)) = (trade.escrow_terms(), trade.state.balance) else { return };
                match terms.taking(balance, envelope, &market.setup.network) {
                    Ok(Some(taking)) => {
                        trade.state.closing_seen = true;
                        Self::settled_by(trade, hash);
                        market.took(trade, &taking);
                    }
                    Ok(None) | Err(_) => trade.state.closing = None,
                }
            });
        }
    }
}
