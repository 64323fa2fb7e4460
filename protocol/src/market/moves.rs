//! The transactions of a binding, as things stand when their turn comes.

use crate::account::AccountId;
use crate::escrow::controller;
use crate::escrow::outcome::EscrowState;
use crate::escrow::terms::EscrowTerms;
use crate::intent::Purpose;
use crate::market::{Market, payees};
use crate::message::BindingId;
use crate::stellar::reserve::LedgerParams;
use crate::stellar::transaction::Bounds;
use crate::stellar::{Operation, operation};
use crate::time::{Now, Timestamp};

/// So many times as long as an ordinary one lives a transaction with a deadline in the account's own queue: long enough for
/// its offer to be raised.
const RAISING_LIVES: u32 = 4;

/// What a transaction does, and when.
#[derive(Debug)]
pub(super) struct Move {
    pub(super) operations: Vec<Operation>,
    pub(super) bounds: Bounds,
    /// Whether it is handed over before it is submitted.
    pub(super) hold: bool,
    /// The funding's sequence number from which the key of the controller follows that signs it, too.
    pub(super) controller: Option<i64>,
}

impl Move {
    pub(super) fn of(operations: Vec<Operation>, bounds: Bounds) -> Self {
        Self { operations, bounds, hold: false, controller: None }
    }
}

impl Market {
    /// The transaction for a binding's purpose, by this account with this sequence number; `None` where it is no longer
    /// wanted.
    pub(super) fn move_of(
        &self,
        (account, sequence): (AccountId, i64),
        purpose: Purpose,
        binding: BindingId,
        now: Now,
    ) -> Option<Move> {
        use EscrowState as E;
        let soon = now.timestamp().plus(self.setup.margins.transaction_life);
        if let Purpose::Receive { .. } = purpose {
            return Some(Move::of(vec![operation::claim(*self.left.get(&binding)?)], Bounds::until(soon)));
        }
        let trade = self.trades.get(self.by_binding.get(&binding)?)?;
        let terms = trade.escrow_terms()?;
        if let Purpose::Fund { .. } = purpose {
            let wanted = *trade.escrow() == E::None && trade.state.balance.is_none();
            let fund_by = trade.terms().filter(|_| wanted && trade.state.session.end().is_none())?.terms.fund_by();
            return self.funding_of(&terms, sequence, fund_by);
        }
        let life = self.setup.margins.transaction_life * RAISING_LIVES;
        // What a submitter carries is in nobody's way: it lives until T, and its offer is raised until it is included. By the
        // account itself it makes way for others after its time, and is signed anew.
        let carried = Some(account) != self.setup.keys.account_id();
        let until = terms.deadline().minus(self.setup.margins.claim_margin);
        let until = if carried { until } else { until.min(now.timestamp().plus(life)) };
        let at_timeout =
            |balance| Move::of(terms.timeout_operations(balance), terms.timeout_bounds(now.timestamp(), life));
        match (purpose, &terms, trade.escrow(), trade.state.balance?) {
            (Purpose::Collect { .. }, EscrowTerms::Timed(timed), E::Locked, balance) => {
                Some(Move::of(timed.collect_operations(balance), Bounds::until(until)))
            }
            (Purpose::GiveBack { .. }, EscrowTerms::Timed(timed), E::Locked, balance) => {
                Some(Move::of(timed.give_back_operations(balance), Bounds::until(until)))
            }
            (Purpose::GiveBack { .. }, EscrowTerms::Arbitrated(_), E::Locked | E::Refused(_), balance) => {
                // No more than is in it: the rest would be this account's own.
                let shown = payees::shown(trade)?;
                let Move { mut operations, bounds, .. } = at_timeout(balance);
                operations.push(operation::pay(terms.consumer(), terms.asset(), shown));
                Some(Move::of(operations, bounds))
            }
            (Purpose::Collect { .. }, EscrowTerms::Arbitrated(_), E::Locked | E::Refused(_), balance)
            | (Purpose::Refund { .. }, _, E::Locked | E::Refused(_), balance) => Some(at_timeout(balance)),
            _ => None,
        }
    }

    /// What locks the money, and makes the controller where the kind has one.
    fn funding_of(&self, terms: &EscrowTerms, sequence: i64, fund_by: Timestamp) -> Option<Move> {
        match terms {
            EscrowTerms::Timed(terms) => {
                Some(Move { hold: true, ..Move::of(vec![terms.fund_operation().ok()?], Bounds::until(fund_by)) })
            }
            EscrowTerms::Arbitrated(terms) => {
                let before = self.point?.sequence.saturating_add(self.setup.margins.funding_ledgers);
                let account = self.controller_at(sequence)?;
                let params = self.params.unwrap_or(LedgerParams::USUAL);
                let operations = terms.fund_operations(account, before, &self.setup.network, &params).ok()?;
                let bounds = terms.fund_bounds(fund_by, before);
                Some(Move { operations, bounds, hold: true, controller: Some(sequence) })
            }
        }
    }

    /// The controller that this account's funding with this sequence number makes.
    pub(super) fn controller_at(&self, sequence: i64) -> Option<AccountId> {
        let account = self.setup.keys.account.as_ref()?;
        Some(AccountId::of(&controller::key(account, &self.setup.network, sequence)))
    }
}
