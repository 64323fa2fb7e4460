//! What the ledger shows of bindings, and what follows: escrows seen, verified, taken.

use core::time::Duration;
use std::collections::BTreeSet;

use rand_core::CryptoRng;

use crate::amount::Stroops;
use crate::binding::dispute::DisputeRecord;
use crate::binding::frames::Note;
use crate::binding::negotiation::{Negotiation, NegotiationEvent};
use crate::binding::phase::Side;
use crate::binding::trade::Trade;
use crate::escrow::outcome::{Change, EscrowState, EscrowWatch, Observation, Taken};
use crate::escrow::taking::{self, Taking};
use crate::intent::queue::TxStatus;
use crate::intent::{IntentOutcome, Purpose};
use crate::limits::MAX_KEYS_PER_READ;
use crate::market::Market;
use crate::market::event::{Ask, Effect};
use crate::message::{BalanceId, BindingId, MessageId, TxHash};
use crate::stellar::entry::{BalanceState, Entry};
use crate::stellar::envelope::SignedTransaction;
use crate::stellar::ledger_key::Key;
use crate::stellar::{LedgerPoint, result};
use crate::step::Step;
use crate::time::Now;

/// An escrow of which no change is expected is looked at once in so many ledgers.
pub const LOOKED_AT_EVERY: u32 = 60;
/// So many times the margin for claims before its deadline, an escrow is looked at with each ledger.
pub const NEAR: u32 = 10;
/// So many polls until ledgers are searched again, doubled each time: another endpoint may remember more of them.
const SEARCHED_EVERY: u32 = 8;
/// So often they are searched.
const MAX_SEARCHES: u32 = 5;
/// So long after T a start of the node looks once more for who took an escrow: another server may remember more.
const LOOKED_AGAIN_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How the note of a binding begins whose delivery waits for the word of a second operator.
pub const WAITS_FOR_WORD: &str = "waits for a second operator's word on the ledger";

impl Market {
    /// A question that gates money, marked as such where this amount is above what one operator's word is enough for.
    pub(super) fn gated(&self, ask: Ask, amount: Stroops) -> Ask {
        if self.needs_two_words(amount) { Ask::Agreed(Box::new(ask)) } else { ask }
    }

    pub(super) fn needs_two_words(&self, amount: Stroops) -> bool {
        self.setup.policy.one_word_limit.is_some_and(|limit| amount > limit)
    }

    /// Whether the next sight of a binding's escrow starts its delivery, for more than one operator's word is enough for.
    fn gates_delivery(&self, trade: &Trade) -> bool {
        let unseen = matches!(trade.escrow(), EscrowState::None | EscrowState::Intended);
        let amount = trade.terms().map(|terms| terms.amount).unwrap_or_default();
        trade.state.side == Side::Provider && unseen && self.needs_two_words(amount)
    }

    /// The word of a second operator can't be had: deliveries that need it wait, and say so.
    pub(super) fn delivery_waits(&mut self, why: &str, step: &mut Step<Effect>) {
        let waiting: Vec<MessageId> = self
            .trades
            .values()
            .filter(|t| !t.phase().is_final() && self.gates_delivery(t))
            .map(Trade::request_id)
            .collect();
        let note = Note::new(format!("{WAITS_FOR_WORD}: {why}"));
        for request in waiting {
            self.with_trade(request, step, |_, trade, _| {
                if trade.state.note.as_ref() != Some(&note) {
                    trade.state.note = Some(note.clone());
                }
            });
        }
    }

    /// Asks for the balances of bindings whose escrow may still change: at each ledger where a change is expected, else once
    /// in [`LOOKED_AT_EVERY`], each binding at another one.
    pub(super) fn watch_escrows(&self, before: Option<LedgerPoint>, point: LedgerPoint, step: &mut Step<Effect>) {
        if before.is_none() {
            self.search_again(point, step);
        }
        let open =
            |t: &&Trade| matches!(t.escrow(), EscrowState::Intended | EscrowState::Locked | EscrowState::Refused(_));
        let has_turn = |trade: &Trade| {
            let [place, ..] = *trade.request_id().as_bytes();
            let turns = |sequence: u32| (sequence + u32::from(place)) / LOOKED_AT_EVERY;
            before.is_none_or(|before| turns(before.sequence) != turns(point.sequence))
        };
        let watched = self.trades.values().filter(|t| !t.phase().is_final()).filter(open);
        let watched = watched.filter(|t| self.expects_change(t, point) || has_turn(t));
        let watched = in_turn(watched.collect(), point.sequence);
        let gating: Vec<&Trade> = watched.iter().copied().filter(|t| self.gates_delivery(t)).collect();
        for (trades, ask) in [(watched, Ask::Escrows), (gating, Ask::Agreed(Box::new(Ask::Escrows)))] {
            for keys in pages(trades.into_iter().map(escrow_keys)) {
                step.then(Effect::Read { ask: ask.clone(), keys });
            }
        }
    }

    /// Looks once more into the ledgers in which escrows were taken by nobody knows whom.
    fn search_again(&self, point: LedgerPoint, step: &mut Step<Effect>) {
        for trade in self.trades.values().filter(|t| *t.escrow() == EscrowState::Unknown) {
            let lately = trade.terms().and_then(|agreed| agreed.terms.refund_at());
            if lately.is_some_and(|t| point.close_time < t.plus(LOOKED_AGAIN_FOR)) {
                Self::search_between(trade, step);
            }
        }
    }

    /// Looks into the ledgers after the last that showed an escrow, up to the first that didn't.
    fn search_between(trade: &Trade, step: &mut Step<Effect>) {
        let between = trade.state.escrow.as_ref().and_then(EscrowWatch::taken_between);
        if let (Some(balance), Some((after, until))) = (trade.state.balance, between) {
            step.then(Effect::Search { balance, after: after.sequence, until: until.sequence });
        }
    }

    /// Whether an escrow may change any moment: it isn't there yet, its service doesn't run, somebody takes it, arbiters were asked
    /// about it or it is said who gets it, or its deadline is near.
    fn expects_change(&self, trade: &Trade, point: LedgerPoint) -> bool {
        let argued = |record: &DisputeRecord| record.opening().is_some() || record.settles().is_some();
        let quiet = *trade.escrow() == EscrowState::Locked
            && trade.state.session.runs()
            && !self.closing_is_open(trade)
            && !trade.state.dispute.as_ref().is_some_and(argued);
        let deadline = trade.escrow_terms().map(|terms| terms.deadline()).unwrap_or_default();
        !quiet || point.close_time.plus(self.setup.margins.claim_margin * NEAR) >= deadline
    }

    /// Balances were read.
    pub(super) fn escrows_read(
        &mut self,
        (at, agreed): (LedgerPoint, bool),
        asked: &[Key],
        entries: &[Entry],
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let keys = asked;
        let asked: BTreeSet<BalanceId> =
            asked.iter().filter_map(|k| if let Key::Balance(id) = k { Some(*id) } else { None }).collect();
        // A funding that died left its sequence number, and so its balance's id, to the next one: what ended without
        // money isn't concerned any more.
        let concerned: Vec<(MessageId, BalanceId)> = self
            .trades
            .values()
            .filter(|t| !t.phase().is_final())
            .filter_map(|t| t.state.balance.filter(|b| asked.contains(b)).map(|b| (t.request_id(), b)))
            .collect();
        for (request, balance) in concerned {
            let there = entries.iter().find_map(|e| match e {
                Entry::Balance(state) if state.id == balance => Some(state),
                _ => None,
            });
            self.with_trade(request, step, |market, trade, step| {
                // An id follows from a sequence number: where this funding died, it is the next binding's.
                let found = there.filter(|state| trade.binding().is_some_and(|b| commits_to(state, b)));
                // Its sight waits for the second word. That it isn't there gates nothing, and frees its place.
                if found.is_some() && !agreed && market.gates_delivery(trade) {
                    return;
                }
                // What belongs to it and wasn't asked for, or can't be read, isn't missing.
                if found.is_some() && escrow_keys(trade).iter().any(|key| !keys.contains(key)) {
                    return;
                }
                let observation = match (found, trade.escrow_terms()) {
                    (Some(state), Some(terms)) => {
                        let accepted = market.setup.policy.assets.contains(terms.asset());
                        trade.state.clawback |= state.clawback_enabled;
                        trade.seen_standing(now, market.knows_all_of(at));
                        Observation::Present(at, terms.verify(state, entries, accepted, &market.setup.network))
                    }
                    // It is there, and whether it is as agreed can't be told without its terms.
                    (Some(_), None) => return,
                    // One's own transaction tells exactly what became of it, and that is on its way.
                    _ if market.closing_is_open(trade) => return,
                    _ if market.gave_back(trade, at) => Observation::Taken(Taken::ByConsumer),
                    // Whoever was off all the while can't tell an escrow that never was from one that is over.
                    _ => match Self::unseen_funding(trade, at) {
                        Some(hash) => return step.then(Effect::AskStatus { hash }),
                        // What was read before the ledger that shows this account's number as used says nothing of what
                        // that number brought.
                        None if Self::funds_itself(trade) && !market.knows_all_of(at) => return,
                        None => Observation::Absent(at),
                    },
                };
                let change = trade.observe(observation);
                market.escrow_changed(trade, change, now, step);
                // Two operators have said it, whatever it was.
                if agreed && trade.state.note.as_ref().is_some_and(|note| note.as_str().starts_with(WAITS_FOR_WORD)) {
                    trade.state.note = None;
                }
            });
            self.drive(request, now, rng, step);
        }
    }

    /// This node was away: what it stored of escrows says nothing of what became of them since.
    pub(super) fn look_again(&mut self, now: Now) {
        let (until, margin) = (now.plus(self.setup.margins.grace), self.setup.margins.claim_margin);
        for trade in self.trades.values_mut() {
            // What is claimed before T must not come too late for it.
            let deadline = trade.escrow_terms().map(|terms| terms.deadline()).filter(|t| now.timestamp() < *t);
            let last = deadline.map_or(until, |deadline| Now::from(deadline.minus(margin * 2)));
            trade.look_again(until.min(last));
        }
    }

    /// Whether this side's funding may come any moment.
    fn funds_itself(trade: &Trade) -> bool {
        trade.state.side == Side::Consumer && *trade.escrow() == EscrowState::Intended
    }

    /// Whether a ledger shows all that is known of this account's transactions.
    pub(super) fn knows_all_of(&self, at: LedgerPoint) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.is_shown_by(at))
    }

    /// The funding that a provider was handed, where a ledger past `fund_by` shows no balance and none ever did.
    fn unseen_funding(trade: &Trade, at: LedgerPoint) -> Option<TxHash> {
        let over = trade.terms().is_some_and(|agreed| at.close_time > agreed.terms.fund_by());
        let unseen = *trade.escrow() == EscrowState::Intended
            && trade.state.escrow.as_ref().is_some_and(|watch| watch.last_seen().is_none());
        trade.state.funding.filter(|_| over && unseen && trade.state.side == Side::Provider)
    }

    /// What became of a funding that a provider was handed and never saw the balance of.
    pub(super) fn funding_read(&mut self, hash: TxHash, status: &TxStatus, now: Now, step: &mut Step<Effect>) {
        let concerned = |t: &&Trade| t.state.funding == Some(hash) && t.state.side == Side::Provider;
        let concerned: Vec<MessageId> = self.trades.values().filter(concerned).map(Trade::request_id).collect();
        for request in concerned {
            self.with_trade(request, step, |market, trade, step| {
                let change = match status {
                    // From here on, absence is what it is after presence.
                    TxStatus::Success { at, .. } => trade.observe(Observation::FundingIncluded(*at)),
                    TxStatus::Failed { .. } => trade.observe(Observation::FundingDead),
                    TxStatus::NotFound { latest, oldest } if Self::unseen_funding(trade, *latest).is_some() => {
                        // Where history doesn't reach back to the agreement, it may have been there and be over.
                        let lost = trade.state.agreed_at.filter(|at| *oldest > at.saturating_add(1));
                        trade.observe(match lost {
                            Some(at) => Observation::FundingUnknown(at.min(latest.sequence.saturating_sub(1))),
                            None => Observation::Absent(*latest),
                        })
                    }
                    TxStatus::NotFound { .. } => None,
                };
                market.escrow_changed(trade, change, now, step);
                if *trade.escrow() == EscrowState::Unknown && !Self::is_unsure(trade) {
                    Self::search_between(trade, step);
                }
            });
        }
    }

    /// Whether this provider doesn't know that the funding which it was handed is the one that was included.
    fn is_unsure(trade: &Trade) -> bool {
        trade.state.side == Side::Provider && trade.state.escrow.as_ref().is_some_and(EscrowWatch::is_unsure)
    }

    fn escrow_changed(&mut self, trade: &mut Trade, change: Option<Change>, now: Now, step: &mut Step<Effect>) {
        match change {
            // Before its own transaction is decided, absence may as well mean that it was funded and taken.
            Some(Change::NeverFunded) if self.funding_is_open(trade) => {}
            Some(Change::NeverFunded) => {
                // A funding that was handed over can't come any more: its maxTime is `fund_by`.
                trade.observe(Observation::FundingDead);
                if trade.negotiate(NegotiationEvent::NothingFunded) {
                    trade.state.note.get_or_insert_with(|| Note::new("nothing was funded in time; no money moved"));
                    self.count_lapse(trade.request.body().account);
                }
            }
            Some(Change::Search { last_seen, first_absent }) => {
                // Time doesn't tell who took it. What is known of one's own transactions decides, else the ledgers in between;
                // what they don't explain is shown as unknown, never guessed.
                let own = self.taken_by_own(trade);
                let due = now >= trade.state.search_at && !self.closing_is_open(trade);
                if let Some(taking) = own {
                    self.took(trade, &taking);
                } else if let Some(balance) = trade.state.balance.filter(|_| due) {
                    let doublings = trade.state.searches.min(MAX_SEARCHES);
                    trade.state.search_at = now.plus(self.setup.margins.poll_every * SEARCHED_EVERY * (1 << doublings));
                    trade.state.searches = trade.state.searches.saturating_add(1);
                    step.then(Effect::Search { balance, after: last_seen.sequence, until: first_absent.sequence });
                }
            }
            Some(Change::To(_)) | None => {}
        }
    }

    /// The transaction that took an escrow is known, and with it what it left for this side: no other version did.
    pub(super) fn took(&self, trade: &mut Trade, taking: &Taking) {
        trade.observe(Observation::Taken(taking.taken));
        let own = self.setup.keys.account_id();
        let ours = taking.paid.iter().find(|(account, _)| Some(*account) == own);
        trade.state.owed = ours.map(|(_, balance)| *balance);
        if let Some(record) = trade.state.dispute.as_mut() {
            record.offers.retain(|_| false);
        }
    }

    /// Ledgers were searched for the transaction that took an escrow.
    pub(super) fn searched(
        &mut self,
        balance: BalanceId,
        found: Result<Option<Vec<u8>>, String>,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let found = found.unwrap_or_default();
        // Where the transaction is there and none of those has the money who may, searching on finds nothing else.
        let network = self.setup.network;
        let conclusive = found.as_ref().is_some_and(|e| taking::touches(balance, e, &network).unwrap_or(false));
        // A funding that died left its balance's id to the next one: only whose escrow was there and is gone is concerned.
        let open = |t: &Trade| !t.escrow().is_over() || *t.escrow() == EscrowState::Unknown;
        let concerned = |t: &&Trade| t.state.balance == Some(balance) && t.is_gone() && open(t);
        let concerned: Vec<MessageId> = self.trades.values().filter(concerned).map(Trade::request_id).collect();
        for request in concerned {
            self.with_trade(request, step, |market, trade, step| {
                let network = market.setup.network;
                // A funding that died left its balance's id to the next one, and what became of that says nothing of this one.
                if let Some(hash) = trade.state.funding.filter(|_| found.is_some() && Self::is_unsure(trade)) {
                    if *trade.escrow() != EscrowState::Unknown && trade.state.searches > MAX_SEARCHES {
                        trade.observe(Observation::NotFound);
                    }
                    return step.then(Effect::AskStatus { hash });
                }
                let taking = found.as_ref().zip(trade.escrow_terms()).and_then(|(envelope, terms)| {
                    let taking = terms.taking(balance, envelope, &network).ok().flatten()?;
                    if let Ok(transaction) = SignedTransaction::read_included(envelope, &network) {
                        // A provider names to the other side what it made itself.
                        if trade.state.side == Side::Consumer {
                            trade.state.closing = Some(transaction.hash());
                        }
                        Self::settled_by(trade, transaction.hash());
                    }
                    Some(taking)
                });
                match taking {
                    Some(taking) => {
                        trade.state.closing_seen = true;
                        market.took(trade, &taking);
                    }
                    None if conclusive || trade.state.searches > MAX_SEARCHES => {
                        drop(trade.observe(Observation::NotFound))
                    }
                    None => {}
                }
            });
            self.drive(request, now, rng, step);
        }
    }

    /// The transaction that settled an award is known: its arbiters hear of it, whoever made it. One that signed another version
    /// may know of none but those that never were.
    pub(super) fn settled_by(trade: &mut Trade, transaction: TxHash) {
        let awarded = |record: &&mut DisputeRecord| record.settles().is_some_and(|settles| settles.awarded);
        if let Some(record) = trade.state.dispute.as_mut().filter(awarded) {
            record.heard.settlement = Some(transaction);
        }
    }

    /// The purposes of one's own that take an escrow.
    const fn closing_purposes(binding: BindingId) -> [Purpose; 4] {
        [
            Purpose::Collect { binding },
            Purpose::GiveBack { binding },
            Purpose::Refund { binding },
            Purpose::Settle { binding },
        ]
    }

    /// Whether this provider itself must have given back what is gone, for nobody else could take it and what wasn't earned it
    /// never collects: under `timed` before T, under arbiters where it was still there at T and is its own from then on. So
    /// it needs no history of its transactions, which an endpoint may not have. What an issuer may claw back tells nothing.
    fn gave_back(&self, trade: &Trade, at: LedgerPoint) -> bool {
        let Some(terms) = trade.terms() else { return false };
        let Some(t) = terms.terms.refund_at() else { return false };
        let Some(seen) = trade.state.escrow.as_ref().and_then(EscrowWatch::last_seen) else { return false };
        let own = self.setup.keys.account_id();
        let alone = if terms.terms.arbitrated().is_some() {
            own.is_some() && trade.escrow_terms().map(|e| e.beneficiary()) == own && seen.close_time >= t
        } else {
            own == Some(terms.recipient) && at.close_time < t
        };
        let as_agreed = match trade.escrow() {
            EscrowState::Locked => true,
            EscrowState::Refused(mismatch) => mismatch.keeps_deadline(),
            _ => false,
        };
        trade.state.side == Side::Provider
            && trade.state.session.end().is_some_and(|end| !end.earned())
            && alone
            && as_agreed
            && !trade.may_be_clawed_back()
            && seen.sequence < at.sequence
    }

    fn taken_by_own(&self, trade: &Trade) -> Option<Taking> {
        let purposes = Self::closing_purposes(trade.binding()?);
        purposes.into_iter().find_map(|purpose| self.taking_of_own(trade, purpose))
    }

    /// What one's own transaction for a purpose did with an escrow, where it took effect.
    fn taking_of_own(&self, trade: &Trade, purpose: Purpose) -> Option<Taking> {
        let intent = self.queue.as_ref()?.intent(purpose)?;
        let done = matches!(intent.outcome()?, IntentOutcome::Included { success: true, .. });
        let (terms, balance) = (trade.escrow_terms()?, trade.state.balance?);
        terms.taking(balance, &intent.envelope, &self.setup.network).ok().flatten().filter(|_| done)
    }

    /// Whether the transaction of one's own that funds the escrow waits for the ledger's decision.
    fn funding_is_open(&self, trade: &Trade) -> bool {
        let (Some(queue), Some(binding)) = (self.queue.as_ref(), trade.binding()) else { return false };
        queue.open().any(|intent| intent.purpose == Purpose::Fund { binding })
    }

    /// Whether a transaction of one's own that takes the escrow waits for the ledger's decision.
    fn closing_is_open(&self, trade: &Trade) -> bool {
        let (Some(queue), Some(binding)) = (self.queue.as_ref(), trade.binding()) else { return false };
        let purposes = Self::closing_purposes(binding);
        queue.open().any(|intent| purposes.contains(&intent.purpose))
    }

    /// A transaction of one's own for a binding ended.
    pub(super) fn binding_transaction_ended(
        &mut self,
        binding: BindingId,
        purpose: Purpose,
        outcome: &IntentOutcome,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(request) = self.by_binding.get(&binding).copied() else { return };
        let intent = self.queue.as_ref().and_then(|q| q.intent(purpose));
        let (hash, since) = (intent.map(|i| i.hash), intent.map(|i| i.since));
        self.with_trade(request, step, |market, trade, step| {
            let funds = matches!(purpose, Purpose::Fund { .. });
            let observation = match outcome {
                IntentOutcome::Included { success: true, .. } if !funds => {
                    if let Some(taking) = market.taking_of_own(trade, purpose) {
                        trade.closed_by(hash);
                        market.took(trade, &taking);
                        if let (Purpose::Settle { .. }, Some(hash)) = (purpose, hash) {
                            Self::settled_by(trade, hash);
                        }
                    }
                    None
                }
                IntentOutcome::Included { success: true, at, .. } => Some(Observation::FundingIncluded(*at)),
                IntentOutcome::Included { success: false, result, .. } => {
                    trade.state.note = Some(Note::new(result::explain(result)));
                    if !funds {
                        market.forget_payees(binding);
                        trade.claim_failed(now, market.setup.margins.heartbeat_every);
                    }
                    funds.then_some(Observation::FundingDead)
                }
                IntentOutcome::Dead if funds => Some(Observation::FundingDead),
                IntentOutcome::Unknown if funds => since.map(Observation::FundingUnknown),
                IntentOutcome::Unknown => {
                    trade.volatile.look_first = true;
                    None
                }
                IntentOutcome::Dead => None,
            };
            let dead = observation == Some(Observation::FundingDead);
            let change = observation.and_then(|o| trade.observe(o));
            market.escrow_changed(trade, change, now, step);
            if dead && *trade.escrow() == EscrowState::None {
                // Its sequence number, and so the key of its controller, is the next funding's.
                trade.state.controller = None;
            }
            if *trade.escrow() == EscrowState::None && trade.state.negotiation == Negotiation::Agreed {
                trade.negotiate(NegotiationEvent::NothingFunded);
            }
        });
        self.drive(request, now, rng, step);
    }
}

/// Begins a page further on with every ledger: where more is due than a node reads at once, nobody is always the last.
fn in_turn<T>(mut due: Vec<T>, ledger: u32) -> Vec<T> {
    let on = usize::try_from(ledger).unwrap_or_default().wrapping_mul(MAX_KEYS_PER_READ);
    let first = on.checked_rem(due.len()).unwrap_or_default();
    due.rotate_left(first);
    due
}

/// As many keys on a page as one read takes. What belongs to one escrow is read at one ledger.
fn pages(escrows: impl Iterator<Item = Vec<Key>>) -> Vec<Vec<Key>> {
    let (mut pages, mut page) = (Vec::new(), Vec::new());
    for keys in escrows {
        if page.len() + keys.len() > MAX_KEYS_PER_READ {
            pages.push(core::mem::take(&mut page));
        }
        page.extend(keys);
    }
    if !page.is_empty() {
        pages.push(page);
    }
    pages
}

/// What to read of the ledger about a binding's escrow.
pub(super) fn escrow_keys(trade: &Trade) -> Vec<Key> {
    let controller = trade.state.controller.map(|controller| controller.account);
    let keys = trade.state.balance.zip(trade.escrow_terms()).map(|(balance, terms)| terms.keys(balance, controller));
    keys.unwrap_or_default()
}

/// Whether a balance's hash claimant is this binding: whose escrow it is, whatever else is right or wrong about it.
pub(super) fn commits_to(state: &BalanceState, binding: BindingId) -> bool {
    state.claimants.iter().any(|c| c.account.as_bytes() == binding.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_due_is_on_the_first_page_within_a_few_ledgers() {
        assert!(in_turn(Vec::<u32>::new(), 7).is_empty());
        let due: Vec<usize> = (0..MAX_KEYS_PER_READ * 5 + 7).collect();
        let mut first: BTreeSet<usize> = BTreeSet::new();
        for ledger in 1_000..1_006 {
            let turned = in_turn(due.clone(), ledger);
            assert_eq!(turned.iter().collect::<BTreeSet<_>>().len(), due.len());
            first.extend(&turned[..MAX_KEYS_PER_READ]);
        }
        assert_eq!(first.len(), due.len());
    }

    #[test]
    fn an_escrows_keys_are_on_one_page() {
        let keys = |n: usize| (0..3).map(|_| Key::Balance(BalanceId::from_bytes([n as u8; 32]))).collect::<Vec<_>>();
        let pages = pages((0..150).map(keys));
        let sizes: Vec<usize> = pages.iter().map(Vec::len).collect();
        assert_eq!(sizes, [198, 198, 54]);
        assert!(pages.iter().all(|page| page.chunks(3).all(|of_one| of_one.iter().all(|key| *key == of_one[0]))));
    }
}
