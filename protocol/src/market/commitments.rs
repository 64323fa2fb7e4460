//! What is left in the wallet: what this node has promised is not promised twice.

use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::negotiation::Negotiation;
use crate::binding::phase::Side;
use crate::binding::trade::Trade;
use crate::intent::Purpose;
use crate::market::Market;
use crate::market::command::Cost;
use crate::market::consumer::lock;
use crate::stellar::reserve::LedgerParams;

/// What one promise may take out of the account: so much of this asset, and so much native for fees and reserves.
type Promise = (Asset, Stroops, Stroops);

impl Market {
    /// What may still leave this node's account in `asset`: by transactions on their way, and by those that were wanted,
    /// asked for or agreed to and aren't signed yet.
    pub(super) fn committed(&self, asset: &Asset) -> Stroops {
        let params = self.params.unwrap_or(LedgerParams::USUAL);
        let own = self.queue.as_ref().map(|q| (q, q.own().account()));
        let open = own.map_or(Stroops::ZERO, |(queue, account)| queue.committed(account, asset, &params));
        let costs = self.binds.values().filter_map(|b| b.cost.as_ref()).chain(self.drafts.iter().map(|d| &d.cost));
        let payments =
            self.payments.values().filter(|p| p.wanted).filter(|p| self.is_unsigned(Purpose::Pay { id: p.id }));
        let promises = costs
            .map(promised)
            .chain(payments.map(|p| (p.asset.clone(), p.amount, self.fee(1))))
            .chain(self.trades.values().filter_map(|t| self.promised_to(t, &params)));
        let others = self.promised_to_trust(&params).plus(self.promised_to_stamps(&params));
        let others = if asset.is_native() { others.unwrap_or(Stroops::MAX) } else { Stroops::ZERO };
        let open = open.plus(others).and_then(|open| open.plus(self.promised_to_help(asset))).unwrap_or(Stroops::MAX);
        promises.fold(open, |sum, (its, amount, native)| {
            let amount = if its == *asset { amount } else { Stroops::ZERO };
            let native = if asset.is_native() { native } else { Stroops::ZERO };
            sum.plus(amount).and_then(|sum| sum.plus(native)).unwrap_or(Stroops::MAX)
        })
    }

    pub(super) fn is_unsigned(&self, purpose: Purpose) -> bool {
        self.queue.as_ref().is_some_and(|q| q.intent(purpose).is_none())
    }

    /// What a binding takes whose funding isn't signed yet.
    fn promised_to(&self, trade: &Trade, params: &LedgerParams) -> Option<Promise> {
        let open = matches!(trade.state.negotiation, Negotiation::Requested | Negotiation::Agreed);
        let unsigned = trade.state.funding.is_none() && trade.state.session.end().is_none();
        if trade.state.side != Side::Consumer || !open || !unsigned {
            return None;
        }
        let (asset, amount) = match trade.terms() {
            Some(agreed) => (agreed.asset.clone(), agreed.amount),
            None => (self.book.offering(&trade.series())?.body().price.asset.clone(), trade.request.body().budget?),
        };
        let wanted = trade.request.body();
        let lock = lock(wanted.escrow.first().copied(), wanted.arbiters.len() as u32, &asset);
        let native = self.fee(lock.operations).plus(params.reserves(lock.reserves)).unwrap_or(Stroops::MAX);
        (!amount.is_zero()).then_some((asset, amount, native))
    }
}

fn promised(cost: &Cost) -> Promise {
    (cost.asset.clone(), cost.amount, cost.fee.plus(cost.reserve).unwrap_or(Stroops::MAX))
}
