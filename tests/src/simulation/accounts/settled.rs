//! Settlements in the judge's books: who won what in one transaction, and whether the terms let them.

use std::collections::BTreeMap;

use stellar_xdr::CreateClaimableBalanceOp;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::message::BalanceId;

use super::{Accounts, Course, Holder, Share, Sum, only_claimant, sum_of};

impl Accounts {
    /// A settlement leaves a balance for somebody.
    pub(super) fn leaves(
        &mut self,
        from: AccountId,
        id: BalanceId,
        create: &CreateClaimableBalanceOp,
        course: &mut Course,
    ) -> Result<(), String> {
        let payee = only_claimant(create).ok_or("a settlement leaves a balance that isn't one account's")?;
        let share = sum_of(&create.asset, create.amount)?;
        self.add(from, &share.asset, -share.stroops);
        *course.flows.entry(from).or_default() -= share.stroops;
        *course.flows.entry(payee).or_default() += share.stroops;
        let settled = course.settled.and_then(|id| self.escrows.get(&id)).ok_or("a share of nothing")?;
        self.shares.insert(id, Share { payee, binding: settled.binding, sum: share });
        Ok(())
    }

    /// A settlement pays somebody.
    pub(super) fn moves(&mut self, from: AccountId, to: AccountId, paid: &Sum, course: &mut Course) {
        self.add(from, &paid.asset, -paid.stroops);
        self.add(to, &paid.asset, paid.stroops);
        *course.flows.entry(from).or_default() -= paid.stroops;
        *course.flows.entry(to).or_default() += paid.stroops;
    }

    /// A settlement divides exactly what was locked, among the two sides and their arbiters: all of these get their fees, or
    /// none does.
    pub(super) fn settles(&mut self, id: BalanceId, flows: &BTreeMap<AccountId, i64>) -> Result<(), String> {
        let escrow = &self.escrows[&id];
        let (binding, locked, deal) = (escrow.binding, escrow.locked.stroops, &self.deals[&escrow.binding]);
        let won = |account: AccountId| flows.get(&account).copied().unwrap_or_default();
        let (recipient, consumer) = (won(deal.recipient), won(deal.consumer));
        let fees: Vec<(i64, i64)> = deal.arbiters.iter().map(|(account, fee)| (won(*account), *fee)).collect();
        let paid: i64 = fees.iter().map(|(won, _)| won).sum();
        let wrong = |why: &str| Err(format!("the settlement of binding {binding} over {locked} stroops {why}"));
        if recipient < 0 || consumer < 0 || recipient + consumer + paid != locked {
            return wrong(&format!("pays {recipient}, {consumer} and {paid}"));
        }
        let right = fees.iter().all(|(won, fee)| won == fee) || fees.iter().all(|(won, _)| *won == 0);
        if !right {
            return wrong("pays some arbiters and others not");
        }
        // The controller has paid all of it out, and nobody else has any.
        let others: i64 = flows.values().copied().filter(|flow| *flow > 0).sum();
        if others != locked {
            return wrong("pays somebody else");
        }
        let holder = match (recipient, consumer) {
            (recipient, 0) if recipient > 0 => Holder::Recipient,
            (0, consumer) if consumer > 0 => Holder::Consumer,
            (recipient, consumer) => Holder::Both { recipient, consumer },
        };
        if let Some(escrow) = self.escrows.get_mut(&id) {
            escrow.holder = holder;
            escrow.awarded = paid > 0;
        }
        Ok(())
    }
}
