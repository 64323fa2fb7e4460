//! What an owner says about the money of an `arbitrated` binding: it releases, asks the arbiters, shows them something.

use rand_core::CryptoRng;

use crate::amount::Stroops;
use crate::binding::dispute::{self, DisputeState, Split};
use crate::binding::evidence::Attachment;
use crate::binding::phase::Side;
use crate::binding::trade::Trade;
use crate::escrow::outcome::EscrowState;
use crate::market::Market;
use crate::market::command::{Answer, CommandError, CommandId};
use crate::market::event::Effect;
use crate::message::MessageId;
use crate::step::Step;
use crate::time::Now;

/// Why nobody signs for a division once there is an award.
const TOO_LATE_TO_RELEASE: &str = "the dispute is awarded already: what is settled is the award, and it pays the arbiters, \
    whatever a side would sign for now";

impl Market {
    /// A user signs for a division.
    pub(in crate::market) fn release_command(
        &mut self,
        id: CommandId,
        request: MessageId,
        to_provider: Option<Stroops>,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let done = self.with_disputable(request, step, |market, trade, amount, _| {
            let own = trade.state.side;
            let split = divided(amount, to_provider, dispute::other(own))?;
            let claims = market.claims(trade);
            if let Some(record) = &mut trade.state.dispute {
                if record.state() == DisputeState::Awarded {
                    return Err(CommandError::NotNow(TOO_LATE_TO_RELEASE.into()));
                }
                record.release(own, split, own, claims);
            }
            Ok(Answer::Released)
        });
        self.drive(request, now, rng, step);
        Self::answer(step, id, done);
    }

    /// A user asks the arbiters.
    pub(in crate::market) fn open_command(
        &mut self,
        id: CommandId,
        request: MessageId,
        (to_provider, text): (Option<Stroops>, String),
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let done = self.with_disputable(request, step, |market, trade, amount, step| {
            let claim = divided(amount, to_provider, trade.state.side)?;
            let in_time =
                trade.terms().and_then(|a| a.terms.arbitrated()).is_some_and(|d| now.timestamp() < d.dispute_by());
            if !in_time || !market.open_dispute(trade, claim, now, step) {
                return Err(CommandError::NotNow(why_not_opened(trade)));
            }
            if !text.is_empty() {
                market.show_for_owner(trade, (text, Vec::new()), now, step)?;
            }
            Ok(Answer::Disputed)
        });
        self.drive(request, now, rng, step);
        Self::answer(step, id, done);
    }

    /// A user shows the arbiters something.
    pub(in crate::market) fn show_command(
        &mut self,
        id: CommandId,
        request: MessageId,
        (text, attachments): (String, Vec<Attachment>),
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let done = self.with_disputable(request, step, |market, trade, _, step| {
            if trade.state.dispute.as_ref().is_none_or(|record| record.opening().is_none()) {
                return Err(CommandError::NotNow(
                    "nobody has asked the arbiters yet: `tradepost dispute open` does".into(),
                ));
            }
            market.show_for_owner(trade, (text, attachments), now, step).map(Answer::Shown)
        });
        self.drive(request, now, rng, step);
        Self::answer(step, id, done);
    }

    /// Lets `change` work on a binding whose money the arbiters may still be asked about.
    fn with_disputable(
        &mut self,
        request: MessageId,
        step: &mut Step<Effect>,
        change: impl FnOnce(&mut Self, &mut Trade, Stroops, &mut Step<Effect>) -> Result<Answer, CommandError>,
    ) -> Result<Answer, CommandError> {
        let unknown = || CommandError::NotFound {
            what: "binding",
            id: request.to_string(),
            hint: "`tradepost binding list` shows this node's",
        };
        let done = self.with_trade(request, step, |market, trade, step| {
            let amount = trade.terms().map_or(Stroops::ZERO, |a| a.amount);
            if trade.state.dispute.is_none() {
                return Err(CommandError::NotNow("the binding's escrow has no arbiters".into()));
            }
            let stands = matches!(trade.escrow(), EscrowState::Locked | EscrowState::Refused(_));
            if !stands || trade.state.timed_out {
                return Err(CommandError::NotNow(format!(
                    "the binding is {}: there is nothing to decide",
                    trade.phase()
                )));
            }
            change(market, trade, amount, step)
        });
        done.unwrap_or_else(|| Err(unknown()))
    }
}

/// So much for the provider, or everything for one side.
fn divided(amount: Stroops, to_provider: Option<Stroops>, otherwise: Side) -> Result<Split, CommandError> {
    let Some(share) = to_provider else { return Ok(Split::all_to(otherwise, amount)) };
    let more = || CommandError::NotNow(format!("the escrow holds {}, the provider can't get more", amount.coins()));
    Split::of(amount, share).ok_or_else(more)
}

/// Why the arbiters can't be asked, and what there is to do instead.
fn why_not_opened(trade: &Trade) -> String {
    let state = trade.state.dispute.as_ref().map_or(DisputeState::None, |record| record.state());
    let by_timeout = trade.terms().and_then(|agreed| {
        let t = agreed.terms.refund_at()?;
        Some(format!("from T, {t}, on the money is the {}'s", Side::by_timeout(agreed.pay_unless_disputed).as_str()))
    });
    let by_timeout = by_timeout.unwrap_or_default();
    match state {
        DisputeState::None | DisputeState::Released => format!(
            "dispute_by has passed, and nobody can ask the arbiters any more: {by_timeout}, unless both sides sign for \
             something else before (`tradepost binding release`)"
        ),
        DisputeState::Opened => {
            "the dispute is opened already: `tradepost dispute evidence` shows the arbiters more".to_owned()
        }
        DisputeState::Awarded => {
            "the dispute is awarded already: the side that gains settles it, and nobody can change it".to_owned()
        }
        DisputeState::Lapsed => format!("the dispute has lapsed, for no award came until award_by: {by_timeout}"),
    }
}
