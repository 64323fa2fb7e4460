//! The consumer's side: pre-checks, request, agreement, funding, use, refund.

mod choice;
mod funding;
mod precheck;
mod published;
mod request;
mod usage;

use ed25519_dalek::SigningKey;
use rand_core::CryptoRng;

use crate::binding::frames::Note;
use crate::binding::negotiation::Negotiation;
use crate::binding::phase::Side;
use crate::binding::session::SessionEvent;
use crate::binding::trade::{Told, Trade};
use crate::book::Listing;
use crate::document::Nonce;
use crate::escrow::outcome::EscrowState;
use crate::intent::Purpose;
use crate::market::command::{Answer, CommandError, CommandId};
use crate::market::event::Effect;
use crate::market::{Market, payees};
use crate::message::{MessageId, keccak};
use crate::seal::SealingSecret;
use crate::step::Step;
use crate::time::Now;

pub use choice::EscrowChoice;
pub(in crate::market) use choice::lock;
pub use precheck::{PendingBind, Wish};

/// What sealed access details are for.
pub(super) const ACCESS_INFO: &[u8] = b"tradepost/1/access";

/// The keys of one trade, from the account's key and the request's nonce: they need no storage and can be found again
/// from the mnemonic.
pub(super) fn trade_keys(account: &SigningKey, nonce: &Nonce) -> (SigningKey, SealingSecret) {
    let derive = |purpose: &[u8]| keccak(&[b"tradepost/1/trade/", purpose, &account.to_bytes(), nonce.as_bytes()]);
    (SigningKey::from_bytes(&derive(b"sign")), SealingSecret::from_bytes(derive(b"seal")))
}

/// What a `bind` hears whose request or binding was ended meanwhile.
fn ended_early() -> CommandError {
    CommandError::NotNow("its owner ended it before it was bound; no money moved".into())
}

impl Market {
    /// The listing of this revision, where it is the current one.
    fn listing_of(&self, offering: &MessageId, now: Now) -> Option<Listing> {
        self.book.get(&offering.to_string(), now).ok().filter(|listing| listing.id == *offering)
    }

    /// Does what is due on the consumer's side.
    pub(super) fn drive_consumer(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        match trade.state.negotiation {
            Negotiation::Requested => self.drive_request(trade, now, step),
            Negotiation::Agreed => self.drive_funding(trade, now, step),
            _ => {}
        }
        if trade.state.negotiation == Negotiation::Lapsed {
            trade.state.note.get_or_insert_with(|| Note::new("the escrow wasn't funded in time; no money moved"));
            let error = CommandError::Timeout { what: "the funding", consequence: "no money moved" };
            self.tell_user(trade.request_id(), Err(error), step);
        }
        self.drive_use(trade, now, step);
        if trade.asks_for_closing() && now >= trade.volatile.closing_at {
            let told_at = trade.volatile.heard_at.timestamp();
            let refund_at = trade.terms().and_then(|a| a.terms.refund_at());
            let over = refund_at.map(|t| t.max(told_at).plus(self.setup.margins.grace));
            if over.is_some_and(|over| now.timestamp() > over) {
                // By now the ledger would have shown it: the provider named a transaction that isn't there.
                trade.state.closing = None;
            } else {
                self.ask_for_closing(trade, now, step);
            }
        }
        self.want_refund(trade, now, step);
    }

    /// From T on the money comes back by itself.
    pub(super) fn want_refund(&mut self, trade: &Trade, now: Now, step: &mut Step<Effect>) {
        if self.is_due_by_timeout(trade, now)
            && let (Some(binding), Some(terms)) = (trade.binding(), trade.escrow_terms())
            && self.can_be_paid(trade, vec![(terms.beneficiary(), payees::held(trade))], now, step)
        {
            self.want(Purpose::Refund { binding });
        }
    }

    /// Whether an escrow still stands at T and is this account's from then on.
    pub(super) fn is_due_by_timeout(&self, trade: &Trade, now: Now) -> bool {
        let there = matches!(trade.escrow(), EscrowState::Locked | EscrowState::Refused(_));
        let beneficiary = trade.escrow_terms().map(|terms| terms.beneficiary());
        let ours = beneficiary.is_some() && beneficiary == self.setup.keys.account_id();
        there && ours && !trade.is_gone() && trade.state.timed_out && trade.may_claim(now)
    }

    /// Answers the command that began a binding, once.
    pub(super) fn tell_user(
        &mut self,
        request: MessageId,
        result: Result<Answer, CommandError>,
        step: &mut Step<Effect>,
    ) {
        if let Some(id) = self.waiting.remove(&request) {
            step.then(Effect::Answer { id, result });
        }
    }

    /// A user ends a binding.
    pub(super) fn unbind(
        &mut self,
        id: CommandId,
        request: MessageId,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let unknown = || CommandError::NotFound {
            what: "binding",
            id: request.to_string(),
            hint: "`tradepost binding list` shows this node's",
        };
        let done = self.with_trade(request, step, |market, trade, step| {
            if trade.state.negotiation == Negotiation::Requested && trade.state.side == Side::Consumer {
                market.take_back(trade, now, rng, step);
                return Ok(Answer::Unbound);
            }
            if let Some(end) = trade.state.session.end() {
                return Err(CommandError::NotNow(format!("the binding has ended already: {}", end.as_str())));
            }
            if trade.phase().is_final() {
                return Err(CommandError::NotNow(format!("the binding is {} already", trade.phase())));
            }
            let event = match trade.state.side {
                Side::Consumer => SessionEvent::ConsumerUnbinds,
                Side::Provider => SessionEvent::ProviderUnbinds,
            };
            trade.seen_until(now);
            market.move_session(trade, event, "its owner ended it", step);
            debug_assert_eq!(trade.state.told, Told::EndPending);
            market.tell(trade, now, step);
            market.tell_user(request, Err(ended_early()), step);
            Ok(Answer::Unbound)
        });
        Self::answer(step, id, done.unwrap_or_else(|| Err(unknown())));
    }
}
