//! Whoever sees the whole world says whether anybody lost what the terms protect.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use tradepost_protocol::account::AccountId;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::agreement::{Agreement, binding_id};
use tradepost_protocol::binding::phase::{Phase, Side};
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::message::{BindingId, MessageId, SeriesId, Signed};
use tradepost_protocol::stellar::LedgerPoint;
use tradepost_protocol::time::Timestamp;

use super::accounts::{Accounts, Deal, Holder, Sum};
use super::transitions::Transitions;
use crate::world::{Included, Moment, Sight, World};

/// How long after T a binding may still be open at a node that has been up all that time: a refund that loses its turn
/// to another transaction of the account waits for that one's end.
pub const MARGIN: Duration = Duration::from_secs(40);

/// The judge of one world.
#[derive(Debug, Default)]
pub struct Judge {
    nodes: Vec<(&'static str, AccountId)>,
    cheats: BTreeSet<AccountId>,
    places: BTreeMap<SeriesId, usize>,
    series: BTreeMap<BindingId, SeriesId>,
    accounts: Accounts,
    agreed: BTreeMap<MessageId, BindingId>,
    healthy: BTreeSet<BindingId>,
    unbound: BTreeSet<MessageId>,
    /// Which moves were taken.
    pub transitions: Transitions,
    /// Every crash: the node, its commit, whether what followed from it was carried out.
    pub crashes: BTreeSet<(usize, u64, bool)>,
}

impl Judge {
    /// Follows a node, whose number is how many were followed before.
    pub fn follow(&mut self, world: &World, name: &'static str, endowment: &[(Asset, i64)]) {
        let account = world.account(name);
        self.open(account, endowment);
        self.nodes.push((name, account));
    }

    /// Follows an account that cheats.
    pub fn follow_cheat(&mut self, account: AccountId, endowment: &[(Asset, i64)]) {
        self.open(account, endowment);
        self.accounts.expect_cheating(account);
        self.cheats.insert(account);
    }

    fn open(&mut self, account: AccountId, endowment: &[(Asset, i64)]) {
        for (asset, stroops) in endowment {
            self.accounts.open(account, asset.clone(), *stroops);
        }
    }

    /// A series has so many places.
    pub fn places(&mut self, series: SeriesId, places: u32) {
        self.places.insert(series, places as usize);
    }

    /// How many bindings between nodes were agreed on.
    pub fn bindings(&self) -> usize {
        self.accounts.deals.values().filter(|deal| !self.cheats.contains(&deal.consumer)).count()
    }

    /// Takes in what happened since the last look.
    ///
    /// # Errors
    /// What was violated, in words.
    pub fn look(&mut self, world: &mut World) -> Result<(), String> {
        for sight in world.take_sights() {
            match sight {
                Sight::Closed { point, included } => self.closed(world, point, &included)?,
                Sight::Moved { before: Some(before), after, node, request } => {
                    let moved = self.transitions.take(&before, &after);
                    moved.map_err(|why| format!("{}, binding {request}: {why}", self.nodes[node].0))?;
                }
                Sight::Moved { .. } => {}
                Sight::Lost { node, request } => {
                    return Err(format!("{} has forgotten binding {request}", self.nodes[node].0));
                }
                Sight::Crashed { node, commit, moment } => {
                    self.crashes.insert((node, commit, moment == Moment::AfterEffects));
                }
                Sight::Agreed(agreement) => self.agreed(&agreement)?,
                Sight::UnbindTyped { node, request } => self.unbind_typed(node, request),
                Sight::ServiceTold { node, binding, running } => self.service_told(node, binding, &running)?,
                Sight::ServiceHealthy { binding } => drop(self.healthy.insert(binding)),
            }
        }
        Ok(())
    }

    fn unbind_typed(&mut self, node: usize, request: MessageId) {
        let deal = self.agreed.get(&request).and_then(|binding| self.accounts.deals.get(binding));
        // Before its agreement is known to anybody, only the consumer can have typed it.
        if deal.is_none_or(|deal| deal.consumer == self.nodes[node].1) {
            self.unbound.insert(request);
        }
    }

    /// One agreement a request, whatever happens.
    fn agreed(&mut self, agreement: &Signed<Agreement>) -> Result<(), String> {
        let (binding, body) = (binding_id(agreement), agreement.body());
        match self.agreed.insert(body.request, binding) {
            None => {
                let deal = Deal {
                    request: body.request,
                    consumer: body.consumer,
                    recipient: body.recipient,
                    price: Sum { asset: body.asset.clone(), stroops: body.amount.get() },
                    refund_at: body.terms.refund_at(),
                };
                self.series.insert(binding, body.series);
                self.accounts.deals.insert(binding, deal);
                Ok(())
            }
            Some(known) if known == binding => Ok(()),
            Some(known) => Err(format!("request {} has two agreements: {known} and {binding}", body.request)),
        }
    }

    /// A service starts on the whole agreed amount, in a place that is free.
    fn service_told(&self, node: usize, binding: BindingId, running: &[BindingId]) -> Result<(), String> {
        let name = self.nodes[node].0;
        let deal = self.accounts.deals.get(&binding).ok_or_else(|| format!("{name} serves {binding} without terms"))?;
        let escrow = self.accounts.escrow_of(&binding);
        if deal.price.stroops > 0 && escrow.is_none_or(|e| e.locked != deal.price) {
            let locked = escrow.map_or_else(|| "nothing".to_owned(), |e| e.locked.to_string());
            return Err(format!("{name} serves binding {binding} over {} for {locked}", deal.price));
        }
        let series = self.series.get(&binding);
        let served = running.iter().filter(|b| self.series.get(b) == series).count();
        match series.and_then(|s| self.places.get(s)) {
            Some(places) if served > *places => Err(format!("{name} serves {served} bindings in {places} places")),
            _ => Ok(()),
        }
    }

    fn closed(&mut self, world: &mut World, point: LedgerPoint, included: &[Included]) -> Result<(), String> {
        let at = |why: String| format!("ledger {}: {why}", point.sequence);
        for transaction in included {
            self.accounts.take(transaction, point.close_time).map_err(at)?;
        }
        for escrow in self.accounts.escrows().filter(|e| e.holder == Holder::Recipient) {
            let deal = &self.accounts.deals[&escrow.binding];
            let earned = self.healthy.contains(&escrow.binding) || self.unbound.contains(&deal.request);
            if !earned || escrow.locked != deal.price {
                return Err(at(format!("binding {} was collected and never served", escrow.binding)));
            }
        }
        if world.newest_ledger() != point {
            return Ok(());
        }
        let expected = self.accounts.expected();
        let wanted: Vec<(AccountId, Asset)> = expected.keys().cloned().collect();
        let held = world.ledger().holdings(&wanted);
        if let Some(((account, asset), stroops)) =
            expected.iter().find(|(key, stroops)| held.get(key) != Some(*stroops))
        {
            let found = held.get(&(*account, asset.clone()));
            let asset = asset.symbol();
            return Err(at(format!("{account} holds {found:?} stroops of {asset}, by its terms {stroops}")));
        }
        self.overdue(world, point.close_time)
    }

    /// Every binding has ended by T + margin at a node that was there for it.
    fn overdue(&self, world: &World, closed: Timestamp) -> Result<(), String> {
        for (name, _) in self.nodes.iter().filter(|(name, _)| world.up_for(name) > MARGIN) {
            for trade in world.market(name).trades().filter(|t| !t.phase().is_final()) {
                if closed > due(trade).plus(MARGIN) && !self.waits_for_the_other(trade) {
                    let (request, phase) = (trade.request_id(), trade.phase());
                    return Err(format!("{name} is left {phase} with {request}, due at {}", due(trade)));
                }
            }
        }
        Ok(())
    }

    /// From T on a provider can do nothing about an escrow whose consumer doesn't take it.
    fn waits_for_the_other(&self, trade: &Trade) -> bool {
        let escrow = trade.binding().and_then(|b| self.accounts.escrow_of(&b));
        let stands = escrow.is_some_and(|e| e.holder == Holder::Ledger);
        trade.state.side == Side::Provider && trade.phase() == Phase::Timeout && stands
    }

    /// Whether nothing is open any more, anywhere.
    pub fn all_over(&self, world: &World) -> bool {
        let over = |t: &Trade| t.phase().is_final() && !t.owes_word() && !t.asks_for_closing();
        self.nodes.iter().all(|(name, _)| world.is_up(name) && world.market(name).trades().all(over))
            && self.accounts.escrows().all(|e| e.holder != Holder::Ledger)
    }

    /// What both sides believe in the end is what the ledger did.
    ///
    /// # Errors
    /// Who believes what, in words.
    pub fn close_books(&self, world: &World) -> Result<(), String> {
        for (name, _) in &self.nodes {
            for trade in world.market(name).trades() {
                let holder = trade.binding().and_then(|b| self.accounts.escrow_of(&b)).map(|e| e.holder);
                // A cheat's balance may carry the id that belongs to another of its bindings.
                let cheated = self.cheats.contains(&trade.request.body().account);
                let right = match trade.escrow() {
                    // Where an endpoint forgot the transaction that gave the money back before its provider saw it, nobody
                    // names it to the consumer (docs/decisions/0007).
                    EscrowState::Paid => match trade.state.side {
                        Side::Provider => holder == Some(Holder::Recipient),
                        Side::Consumer => matches!(holder, Some(Holder::Recipient | Holder::Consumer)),
                    },
                    EscrowState::Refunded => holder == Some(Holder::Consumer),
                    EscrowState::Free => holder.is_none(),
                    // A funding that was handed over and never submitted is none. A provider that was away from then
                    // until the money was taken back can't tell the two apart.
                    EscrowState::Intended | EscrowState::None => match trade.state.side {
                        Side::Provider => holder != Some(Holder::Recipient),
                        Side::Consumer => holder.is_none(),
                    },
                    EscrowState::Unknown => holder.is_some(),
                    EscrowState::Locked | EscrowState::Refused(_) => false,
                    // Nobody here has arbiters, and no issuer claws back.
                    EscrowState::Split { .. } | EscrowState::ClawedBack => false,
                };
                let earned = trade.state.session.end().is_some_and(|end| end.earned());
                let collected = holder == Some(Holder::Recipient) && trade.state.side == Side::Provider;
                if !right && !cheated || collected && !earned {
                    let (request, escrow, session) = (trade.request_id(), trade.escrow(), trade.state.session);
                    return Err(format!("{name} believes {request} is {escrow:?} after {session:?}; it is {holder:?}"));
                }
            }
            if !world.processes(name).is_empty() {
                return Err(format!("{name} still runs a service"));
            }
        }
        match world.unanswered().len() {
            0 => Ok(()),
            open => Err(format!("{open} commands were never answered")),
        }
    }
}

/// When a binding is over at the latest.
fn due(trade: &Trade) -> Timestamp {
    let terms = trade.terms().map(|t| t.terms.refund_at().unwrap_or(t.terms.deliver_by()));
    terms.unwrap_or(trade.request.body().valid_until)
}
