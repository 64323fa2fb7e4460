//! Whoever sees the whole world says whether anybody lost what the terms protect.

mod kept;
mod used;

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use tradepost_protocol::account::{AccountId, ServingKey};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::agreement::{Agreement, binding_id};
use tradepost_protocol::binding::dispute::{DisputeState, Split};
use tradepost_protocol::binding::frames::Dispute;
use tradepost_protocol::binding::phase::{Phase, Side};
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::message::{BalanceId, BindingId, MessageId, SeriesId, Signed};
use tradepost_protocol::stellar::LedgerPoint;
use tradepost_protocol::time::Timestamp;

use super::accounts::{Accounts, Deal, Escrow, Holder, Share, Sum};
use super::transitions::Transitions;
use crate::world::{Included, Moment, Sight, World};
use kept::Awarded;
use used::Used;

/// How long after T a binding may still be open at a node that has been up all that time: a refund that loses its turn
/// to another transaction of the account waits for that one's end.
pub const MARGIN: Duration = Duration::from_secs(40);

/// How much longer a node that is up all the while may look for who took an escrow, while endpoints have forgotten it.
const SEARCHING: Duration = Duration::from_secs(120);

/// The judge of one world.
#[derive(Debug, Default)]
pub struct Judge {
    nodes: Vec<(&'static str, AccountId)>,
    /// Who has no node and does what it likes.
    strangers: BTreeSet<AccountId>,
    /// Nodes whose keys somebody else has, too, who does what it likes with them.
    crooks: BTreeSet<AccountId>,
    /// Serving keys with which somebody signs what it likes.
    crooked_keys: BTreeSet<ServingKey>,
    places: BTreeMap<SeriesId, usize>,
    series: BTreeMap<BindingId, SeriesId>,
    accounts: Accounts,
    /// Whether anything moved since holdings were compared.
    moved: bool,
    agreed: BTreeMap<MessageId, BindingId>,
    healthy: BTreeSet<BindingId>,
    /// What consumers used, by their requests.
    used: BTreeMap<MessageId, Used>,
    /// Bindings whose owners gave their word themselves.
    given: BTreeSet<MessageId>,
    /// Bindings whose arbiters one of the two sides asked.
    asked: BTreeSet<BindingId>,
    /// What arbiters were told to award, and to whom of them.
    awards: Vec<(BindingId, &'static str, Stroops)>,
    /// What honest arbiters have awarded of bindings whose T is still to come.
    awarded: BTreeMap<BindingId, Vec<Awarded>>,
    /// How many awards there was time to settle for whoever won by them.
    pub awards_due: usize,
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
        self.accounts.expect_honesty(account);
        self.nodes.push((name, account));
    }

    /// Follows a node that is a crook's: what it believes and what becomes of its money is its own concern.
    pub fn follow_crook(&mut self, world: &World, name: &'static str, endowment: &[(Asset, i64)]) {
        let account = world.account(name);
        self.open(account, endowment);
        self.nodes.push((name, account));
        self.crooks.insert(account);
    }

    /// Expects that somebody signs what it likes with a node's serving key.
    pub fn expect_forgery(&mut self, world: &World, name: &str) {
        self.crooked_keys.extend(world.keys(name).serving_key());
    }

    /// Follows an account that belongs to no node.
    pub fn follow_stranger(&mut self, account: AccountId, endowment: &[(Asset, i64)]) {
        self.open(account, endowment);
        self.accounts.expect_anything(account);
        self.strangers.insert(account);
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

    /// An owner gives its word for something else than its node would.
    pub fn release_typed(&mut self, request: MessageId) {
        self.given.insert(request);
    }

    /// Somebody with a crook's keys says something of a binding: where the crook is its consumer, that is its word.
    pub fn release_typed_by_crook(&mut self, request: MessageId, crook: AccountId) {
        let deal = self.agreed.get(&request).and_then(|binding| self.accounts.deals.get(binding));
        if deal.is_some_and(|deal| deal.consumer == crook) {
            self.given.insert(request);
        }
    }

    /// The escrows between nodes that stand.
    pub fn standing(&self) -> Vec<Target> {
        let all = self.accounts.standing().filter(|(_, escrow)| !self.strangers.contains(&escrow.funder));
        let target = |(balance, escrow): (BalanceId, &Escrow)| {
            let deal = &self.accounts.deals[&escrow.binding];
            Some(Target {
                balance,
                binding: escrow.binding,
                controller: escrow.controller,
                sum: escrow.locked.clone(),
                consumer: deal.consumer,
                recipient: deal.recipient,
                refund_at: deal.refund_at?,
                arbiters: deal.arbiters.iter().map(|(account, _)| *account).collect(),
            })
        };
        all.filter_map(target).collect()
    }

    /// The balances of escrows for issued assets that stand, whoever funded them.
    pub fn standing_for_issued(&self) -> Vec<BalanceId> {
        let issued = self.accounts.standing().filter(|(_, escrow)| !escrow.locked.asset.is_native());
        issued.map(|(balance, _)| balance).collect()
    }

    /// Balances that were claimed.
    pub fn gone(&self) -> Vec<BalanceId> {
        self.accounts.gone().collect()
    }

    /// What settlements left for nodes.
    pub fn shares(&self) -> Vec<BalanceId> {
        self.accounts.share_balances().collect()
    }

    /// Bonds that stand.
    pub fn bonds(&self) -> Vec<BalanceId> {
        self.accounts.bonds().collect()
    }

    /// An arbiter is told to award so much to the provider.
    pub fn award_typed(&mut self, binding: BindingId, arbiter: &'static str, to_provider: Stroops) {
        self.awards.push((binding, arbiter, to_provider));
    }

    /// Somebody with a cheat's keys says to somebody that it asks the arbiters: that is a side's word where the key is its.
    pub fn dispute_said(&mut self, dispute: &Dispute) {
        if self.accounts.deals.get(&dispute.binding).is_some_and(|deal| deal.parties.contains(&dispute.key)) {
            self.asked.insert(dispute.binding);
        }
    }

    /// How many escrows of each sort between nodes there were: by kind, arbiters and asset.
    pub fn sorts(&self) -> BTreeMap<Sort, usize> {
        let mut sorts = BTreeMap::new();
        for escrow in self.accounts.escrows().filter(|e| !self.strangers.contains(&e.funder)) {
            let arbiters = self.accounts.deals[&escrow.binding].arbiters.len();
            *sorts.entry(Sort { arbiters, native: escrow.locked.asset.is_native() }).or_default() += 1;
        }
        sorts
    }

    /// How many bindings between nodes were agreed on.
    pub fn bindings(&self) -> usize {
        self.accounts.deals.values().filter(|deal| !self.strangers.contains(&deal.consumer)).count()
    }

    /// Takes in what happened since the last look.
    ///
    /// # Errors
    /// What was violated, in words.
    pub fn look(&mut self, world: &mut World) -> Result<(), String> {
        for sight in world.take_sights() {
            match sight {
                Sight::Closed { point, included } => self.closed(world, point, &included)?,
                Sight::Moved { before: Some(before), after, node, request, at } => {
                    self.session_moved(node, request, &after, at);
                    self.asked.extend(after.binding.filter(|_| after.asked));
                    let unasked = after.binding.filter(|binding| !self.asked.contains(binding));
                    if let Some(binding) = unasked.filter(|_| after.dispute == DisputeState::Awarded) {
                        return Err(format!(
                            "{} takes binding {binding} for awarded, and nobody asked",
                            self.nodes[node].0
                        ));
                    }
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
                Sight::CallOver { node, binding, failed } => self.call_over(node, binding, failed),
                Sight::ServiceTold { node, binding, running } => self.service_told(node, binding, &running)?,
                Sight::ServiceHealthy { binding } => drop(self.healthy.insert(binding)),
            }
        }
        Ok(())
    }

    /// One agreement a request, whatever happens; a crook may sign as many as it likes.
    fn agreed(&mut self, agreement: &Signed<Agreement>) -> Result<(), String> {
        let (binding, body) = (binding_id(agreement), agreement.body());
        let forged = self.crooked_keys.contains(&body.serving_key);
        // What a crook signs in another's name is no answer to the request.
        if !forged || self.crooks.contains(&body.recipient) {
            let known = *self.agreed.entry(body.request).or_insert(binding);
            if known != binding && !forged {
                return Err(format!("request {} has two agreements: {known} and {binding}", body.request));
            }
        }
        self.accounts.deals.entry(binding).or_insert_with(|| Deal {
            request: body.request,
            consumer: body.consumer,
            recipient: body.recipient,
            price: Sum { asset: body.asset.clone(), stroops: body.amount.get() },
            unit: body.unit,
            units: body.units,
            refund_at: body.terms.refund_at(),
            beneficiary: body.timeout_beneficiary(),
            arbiters: body.arbiters.iter().map(|a| (a.account, a.fee.get())).collect(),
            parties: [body.serving_key, body.consumer_key],
            signers: signers(body),
        });
        self.series.insert(binding, body.series);
        Ok(())
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
        if deal.price.stroops > 0 && escrow.is_some_and(|e| !e.sound) {
            return Err(format!("{name} serves binding {binding}, whose controller isn't moved as was agreed"));
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
        self.moved |= !included.is_empty();
        for transaction in included {
            self.accounts.take(transaction, point.close_time).map_err(at)?;
        }
        let gained = |e: &&Escrow| matches!(e.holder, Holder::Recipient | Holder::Both { .. });
        for escrow in self.accounts.escrows().filter(gained) {
            let deal = &self.accounts.deals[&escrow.binding];
            let earned = self.healthy.contains(&escrow.binding);
            // An arbiter may be wrong, and whoever listed it has said so; an owner may give what it needn't.
            let earned = earned || escrow.awarded || self.given.contains(&deal.request);
            // What a crook may take without having earned it, the consumer's node said by its own word.
            let earned = earned || self.crooks.contains(&deal.recipient);
            if !earned || escrow.locked != deal.price {
                return Err(at(format!("binding {} was collected and never served", escrow.binding)));
            }
        }
        // Whoever listed an arbiter made it the judge of what is brought before it, and of nothing else.
        let unasked = self.accounts.escrows().find(|e| e.awarded && !self.asked.contains(&e.binding));
        if let Some(escrow) = unasked {
            return Err(at(format!("binding {} was settled by an award for which neither side asked", escrow.binding)));
        }
        if world.newest_ledger() != point {
            return Ok(());
        }
        self.awards_are_kept(world, point.close_time).map_err(at)?;
        if core::mem::take(&mut self.moved) {
            self.compare_holdings(world).map_err(at)?;
        }
        self.overdue(world, point.close_time)
    }

    /// Every account holds what it has to by these books.
    fn compare_holdings(&self, world: &mut World) -> Result<(), String> {
        let expected = self.accounts.expected();
        let wanted: Vec<(AccountId, Asset)> = expected.keys().cloned().collect();
        let held = world.ledger().holdings(&wanted);
        if let Some(((account, asset), stroops)) =
            expected.iter().find(|(key, stroops)| held.get(key) != Some(*stroops))
        {
            let found = held.get(&(*account, asset.clone()));
            let asset = asset.symbol();
            return Err(format!("{account} holds {found:?} stroops of {asset}, by its terms {stroops}"));
        }
        Ok(())
    }

    fn honest(&self) -> impl Iterator<Item = &'static str> {
        self.nodes.iter().filter(|(_, account)| !self.crooks.contains(account)).map(|(name, _)| *name)
    }

    /// Every binding has ended by T + margin at a node that was there for it, and every reserve is free some time later.
    fn overdue(&self, world: &World, closed: Timestamp) -> Result<(), String> {
        for name in self.honest().filter(|name| world.up_for(name) > MARGIN * 2) {
            for trade in world.market(name).trades().filter(|t| t.has_leftovers()) {
                // Where a share may be, others say.
                let told = !is_owed(trade) || world.in_touch_for(name) > MARGIN * 2;
                if told && closed > due(trade).plus(MARGIN * 2) {
                    return Err(format!("{name} still has something locked for {}", trade.request_id()));
                }
            }
        }
        for name in self.honest().filter(|name| world.up_for(name) > MARGIN) {
            for trade in world.market(name).trades().filter(|t| !t.phase().is_final()) {
                let patience = if trade.is_gone() { MARGIN + SEARCHING } else { MARGIN };
                let overdue = closed > due(trade).plus(patience) && world.up_for(name) > patience;
                if overdue && !self.waits_for_the_other(trade, closed) {
                    let (request, phase) = (trade.request_id(), trade.phase());
                    return Err(format!("{name} is left {phase} with {request}, due at {}", due(trade)));
                }
            }
        }
        Ok(())
    }

    /// From T on whoever isn't the escrow's by then can do nothing about one that the other side doesn't take, and sees it
    /// only afterwards; that one is judged by itself, and at the day's end nothing stands.
    fn waits_for_the_other(&self, trade: &Trade, closed: Timestamp) -> bool {
        let Some(binding) = trade.binding().filter(|_| trade.phase() == Phase::Timeout) else { return false };
        let lately = |e: &Escrow| e.late_at.is_some_and(|taken| closed < taken.plus(MARGIN));
        let waits = |e: &Escrow| e.holder == Holder::Ledger || lately(e);
        let waits = self.escrow_of(trade).is_some_and(waits);
        let Some(deal) = self.accounts.deals.get(&binding).filter(|_| waits) else { return false };
        let own = match trade.state.side {
            Side::Provider => deal.recipient,
            Side::Consumer => deal.consumer,
        };
        own != deal.beneficiary
    }

    /// What is still open, in words; nothing where all is over.
    pub fn what_is_open(&self, world: &World) -> Option<String> {
        let mut open: Vec<String> = Vec::new();
        for (name, account) in &self.nodes {
            if !world.is_up(name) {
                open.push(format!("{name} is down"));
                continue;
            }
            if self.crooks.contains(account) {
                continue;
            }
            // A stranger answers nothing: whoever owes it a word says it in vain.
            let answers = |t: &Trade| !self.strangers.contains(&t.request.body().account);
            let owes = |t: &Trade| answers(t) && (t.owes_word() || t.asks_for_closing()) || t.has_leftovers();
            let trades = world.market(name).trades().filter(|t| !t.phase().is_final() || owes(t));
            open.extend(trades.map(|t| {
                let (side, request, escrow) = (t.state.side.as_str(), t.request_id(), t.escrow());
                format!("{name} has {side} {request} in {}, escrow {escrow:?}", t.phase())
            }));
            // An arbiter that never took a case doesn't learn where its fee is.
            let has_case = |binding: &BindingId| world.market(name).case(binding).is_some();
            let knows = |binding: &BindingId| !self.is_arbiter(account, binding) || has_case(binding);
            let its = |s: &&Share| s.payee == *account && knows(&s.binding);
            let shares = self.accounts.shares().filter(its);
            open.extend(shares.map(|share| format!("{name} doesn't claim {} of {}", share.sum, share.binding)));
        }
        let others = |e: &&Escrow| !self.strangers.contains(&e.funder);
        let standing = self.accounts.escrows().filter(others).filter(|e| e.holder == Holder::Ledger);
        open.extend(standing.map(|escrow| format!("the escrow of {} stands", escrow.binding)));
        match self.accounts.controllers() {
            0 => {}
            count => open.push(format!("{count} controllers stand")),
        }
        match world.unanswered().len() {
            0 => {}
            count => open.push(format!("{count} commands wait for their answers")),
        }
        (!open.is_empty()).then(|| open.join("; "))
    }

    /// Nodes that are up and don't know who took an escrow that there was.
    pub fn who_does_not_know(&self, world: &World) -> Vec<&'static str> {
        let taken = |t: &Trade| t.binding().is_some_and(|binding| self.accounts.escrow_of(&binding).is_some());
        let unsure = |name: &&str| world.market(name).trades().any(|t| *t.escrow() == EscrowState::Unknown && taken(t));
        self.honest().filter(|name| world.is_up(name)).filter(unsure).collect()
    }

    /// The escrow that a node follows; a stranger may have locked another one for the same binding.
    fn escrow_of(&self, trade: &Trade) -> Option<&Escrow> {
        let binding = trade.binding()?;
        let followed = trade.state.balance.and_then(|balance| self.accounts.escrow(&balance));
        followed.filter(|escrow| escrow.binding == binding).or_else(|| self.accounts.escrow_of(&binding))
    }

    fn is_arbiter(&self, account: &AccountId, binding: &BindingId) -> bool {
        self.accounts.deals.get(binding).is_some_and(|deal| deal.arbiters.iter().any(|(a, _)| a == account))
    }

    /// What was taken before T under `arbitrated` was divided as a majority of the arbiters was told to award it, or as this
    /// node's side gave its word for.
    fn was_agreed_or_awarded(&self, world: &World, name: &str, trade: &Trade, escrow: &Escrow) -> Result<(), String> {
        let deal = &self.accounts.deals[&escrow.binding];
        let (recipient, consumer) = match escrow.holder {
            Holder::Ledger | Holder::Issuer => return Ok(()),
            _ if escrow.late_at.is_some() => return Ok(()),
            Holder::Recipient | Holder::Consumer | Holder::Both { .. } => shares(escrow, deal),
        };
        let right = if escrow.awarded {
            let fees: i64 = deal.arbiters.iter().map(|(_, fee)| fee).sum();
            let is_this = |to_provider: Stroops| {
                let split = Stroops::new(deal.price.stroops).and_then(|amount| Split::of(amount, to_provider));
                let after = split.zip(Stroops::new(fees)).and_then(|(split, fees)| split.after(fees));
                after.is_some_and(|s| (s.to_provider.get(), s.to_consumer.get()) == (recipient, consumer))
            };
            let for_it: BTreeSet<&str> = self
                .awards
                .iter()
                .filter(|(binding, _, to_provider)| *binding == escrow.binding && is_this(*to_provider))
                .map(|(_, arbiter, _)| *arbiter)
                .collect();
            for_it.len() >= deal.arbiters.len().div_ceil(2)
        } else {
            // Any word that it ever gave: the other side may hold its signature for that, and say something else since.
            let parts = Stroops::new(recipient).zip(Stroops::new(consumer));
            let split = parts.map(|(to_provider, to_consumer)| Split { to_provider, to_consumer });
            split.is_some_and(|split| world.gave_its_word(name, trade.request_id(), split))
        };
        let request = trade.request_id();
        let wrong = || format!("{name} neither agreed to {recipient} and {consumer} for {request} nor was it awarded");
        right.then_some(()).ok_or_else(wrong)
    }

    /// What both sides believe in the end is what the ledger did.
    ///
    /// # Errors
    /// Who believes what, in words.
    pub fn close_books(&self, world: &World) -> Result<(), String> {
        for name in self.honest() {
            self.concedes_what_was_used(world, name)?;
            for trade in world.market(name).trades() {
                let escrow = self.escrow_of(trade);
                let holder = escrow.map(|e| e.holder);
                let arbitrated = trade.terms().is_some_and(|agreed| agreed.terms.arbitrated().is_some());
                let cheated = self.strangers.contains(&trade.request.body().account);
                if let Some(escrow) = escrow.filter(|_| arbitrated && !cheated) {
                    self.was_agreed_or_awarded(world, name, trade, escrow)?;
                }
                // A cheat's balance may carry the id that belongs to another of its bindings.
                let right = match trade.escrow() {
                    // What was a recipient's to take by its time reads as paid. Where nobody names the transaction that gave
                    // it back, or endpoints have forgotten it, it stays so (docs/decisions/0007).
                    EscrowState::Paid => match trade.state.side {
                        Side::Provider => holder == Some(Holder::Recipient),
                        Side::Consumer if arbitrated && escrow.is_none_or(|e| e.late_at.is_none()) => {
                            holder == Some(Holder::Recipient)
                        }
                        Side::Consumer => matches!(holder, Some(Holder::Recipient | Holder::Consumer)),
                    },
                    EscrowState::Split { recipient, consumer } => {
                        let (recipient, consumer) = (recipient.get(), consumer.get());
                        holder == Some(Holder::Both { recipient, consumer })
                    }
                    EscrowState::Refunded => holder == Some(Holder::Consumer),
                    EscrowState::Free => holder.is_none(),
                    // A funding that was handed over and never submitted is none. A provider that was away from then
                    // until the money was taken back can't tell the two apart.
                    EscrowState::Intended | EscrowState::None => match trade.state.side {
                        Side::Provider => holder != Some(Holder::Recipient),
                        Side::Consumer => holder.is_none(),
                    },
                    // Endpoints remember by now who took what was there.
                    EscrowState::Unknown => holder.is_none(),
                    EscrowState::Locked | EscrowState::Refused(_) => false,
                    EscrowState::ClawedBack => holder == Some(Holder::Issuer),
                };
                let earned = trade.state.session.end().is_some_and(|end| end.earned());
                let collected = holder == Some(Holder::Recipient) && trade.state.side == Side::Provider;
                let collected = collected && !arbitrated;
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

/// Who moves the controller of an agreement's escrow; nobody under `timed`.
fn signers(agreed: &Agreement) -> BTreeMap<[u8; 32], u32> {
    let each = agreed.arbiters.len().div_ceil(2) as u32;
    let parties = [agreed.serving_key, agreed.consumer_key].map(|key| (*key.as_bytes(), each));
    let arbiters = agreed.arbiters.iter().map(|arbiter| (*arbiter.key.as_bytes(), 1));
    parties.into_iter().filter(|_| each > 0).chain(arbiters).collect()
}

/// What recipient and consumer got of a settled escrow.
fn shares(escrow: &Escrow, deal: &Deal) -> (i64, i64) {
    let fees: i64 = deal.arbiters.iter().map(|(_, fee)| fee).sum();
    let whole = escrow.locked.stroops - if escrow.awarded { fees } else { 0 };
    match escrow.holder {
        Holder::Both { recipient, consumer } => (recipient, consumer),
        Holder::Recipient => (whole, 0),
        Holder::Consumer | Holder::Ledger | Holder::Issuer => (0, whole),
    }
}

/// An escrow between nodes that stands, for whoever wants to have it.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its balance.
    pub balance: BalanceId,
    /// Its binding.
    pub binding: BindingId,
    /// Who may claim it before T.
    pub controller: AccountId,
    /// What it holds.
    pub sum: Sum,
    /// Who pays.
    pub consumer: AccountId,
    /// Who is paid.
    pub recipient: AccountId,
    /// T.
    pub refund_at: Timestamp,
    /// Who decides.
    pub arbiters: Vec<AccountId>,
}

/// A sort of escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sort {
    /// How many arbiters it has; none under `timed`.
    pub arbiters: usize,
    /// Whether it holds native coins.
    pub native: bool,
}

impl Sort {
    /// The sorts of which every sweep has some.
    pub fn all() -> impl Iterator<Item = Self> {
        [0, 1, 3].into_iter().flat_map(|arbiters| [true, false].map(|native| Self { arbiters, native }))
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asset = if self.native { "native" } else { "issued" };
        match self.arbiters {
            0 => write!(f, "timed {asset}"),
            arbiters => write!(f, "arbitrated by {arbiters} {asset}"),
        }
    }
}

/// Whether a settlement left a share for this side, or may have.
fn is_owed(trade: &Trade) -> bool {
    let offered = trade.state.dispute.as_ref().is_some_and(|record| !record.offers.is_empty());
    trade.state.owed.is_some() || offered
}

/// When a binding is over at the latest.
fn due(trade: &Trade) -> Timestamp {
    let terms = trade.terms().map(|t| t.terms.refund_at().unwrap_or(t.terms.deliver_by()));
    terms.unwrap_or(trade.request.body().valid_until)
}
