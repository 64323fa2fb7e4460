//! Offers of deadline transactions, raised until they are included.

use rand_core::CryptoRng;

use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::dispute::Settles;
use crate::binding::phase::Side;
use crate::binding::trade::Trade;
use crate::intent::queues::Due;
use crate::intent::{Purpose, fees};
use crate::market::event::Effect;
use crate::market::{Market, settling};
use crate::stellar::reserve::LedgerParams;
use crate::step::Step;
use crate::time::Now;

/// What a settlement gives this side more than T does.
fn gained(trade: &Trade) -> Option<Stroops> {
    let (own, terms, record) = (trade.state.side, trade.terms()?, trade.state.dispute.as_ref()?);
    // The other side may have given another word since it signed.
    let settles = record.settles().or_else(|| Some(Settles { split: record.released(own)?, awarded: false }))?;
    let share = settling::division(trade.escrow_terms()?.arbitrated()?, &settles)?.of(own);
    let favoured = Side::by_timeout(terms.pay_unless_disputed);
    let by_timeout = if favoured == own { terms.amount } else { Stroops::ZERO };
    Some(share.minus(by_timeout).unwrap_or_default())
}

impl Market {
    /// What is lost where the transaction for a purpose isn't included in time, in native coins: the most that its fee may
    /// be.
    pub(super) fn worth(&self, purpose: Purpose) -> Stroops {
        let (Purpose::Collect { binding } | Purpose::Refund { binding } | Purpose::Settle { binding }) = purpose else {
            // What a provider gives back comes back to the consumer at T all the same.
            return self.fee(2);
        };
        let trade = self.by_binding.get(&binding).and_then(|request| self.trades.get(request));
        let gained = match (purpose, trade) {
            (Purpose::Settle { .. }, Some(trade)) => gained(trade),
            (_, trade) => trade.and_then(|trade| trade.terms()).map(|terms| terms.amount),
        };
        match trade.and_then(|trade| trade.terms()) {
            Some(terms) if terms.asset.is_native() => gained.unwrap_or_default(),
            _ if gained.is_some_and(|gained| gained.is_zero()) => Stroops::ZERO,
            _ => self.setup.policy.max_deadline_fee,
        }
    }

    /// Raises the offers of deadline transactions that weren't included for a while: by tens, up to what they are worth and
    /// what can be paid. The new envelope is durable before it is sent.
    pub(super) fn raise_offers(&mut self, now: Now, rng: &mut dyn CryptoRng, step: &mut Step<Effect>) {
        let (Some(point), Some(queue)) = (self.point, &mut self.queue) else { return };
        let params = self.params.unwrap_or(LedgerParams::USUAL);
        for due in queue.due(point) {
            let (by_owner, means) = self.payer(&due, &params);
            let cap = self.worth(due.purpose).min(means);
            let Some(fee) = fees::raised(due.inner, due.last, &params, cap) else { continue };
            let Some(queue) = &mut self.queue else { return };
            if let Ok(bumped) = queue.bump(due.purpose, fee, by_owner, point, now) {
                self.absorb(bumped, now, rng, step);
            }
        }
    }

    /// Who pays a raised fee, the owner or the account that carries the transaction, whichever has more to spend; and how
    /// much that is.
    fn payer(&self, due: &Due, params: &LedgerParams) -> (bool, Stroops) {
        let own = self.setup.keys.account_id();
        let replaced = |account| if Some(due.payer) == account { due.last.fee } else { Stroops::ZERO };
        let left = self.account.as_ref().map(|state| params.available(state)).unwrap_or_default();
        let left = left.plus(replaced(own)).unwrap_or(Stroops::MAX).minus(self.committed(&Asset::Native));
        let owners = left.unwrap_or_default();
        let carrier = self.submitters().find(|submitter| submitter.account == due.account);
        let carriers =
            carrier.and_then(|carrier| carrier.state).map(|state| params.available(state)).unwrap_or_default();
        if owners >= carriers { (true, owners) } else { (false, carriers) }
    }
}
