//! The provider's side: requests answered, envelopes checked, services started, packages counted, escrows earned.

mod service;

use core::time::Duration;

use rand_core::CryptoRng;

use crate::account::{AccountId, PeerId, ServingKey};
use crate::amount::{Stroops, Unit};
use crate::asset::Asset;
use crate::binding::agreement::Agreement;
use crate::binding::deadlines::Terms;
use crate::binding::frames::{self, Fund, FundAccepted, FundRefused, Note, Reject, RejectCode};
use crate::binding::negotiation::{Negotiation, NegotiationEvent};
use crate::binding::phase::{Phase, Side};
use crate::binding::session::{Session, SessionEvent};
use crate::binding::trade::{Access, Controlled, Handed, Trade};
use crate::community;
use crate::document::{ArbiterService, BindingRequest, Offering};
use crate::escrow::outcome::{EscrowState, Observation};
use crate::escrow::{EscrowKind, controller};
use crate::intent::Purpose;
use crate::limits::{MAX_FRAME_LEAD, MAX_REQUEST_LIFE, MAX_UNFUNDED_AGREEMENTS, MAX_UNFUNDED_PER_PEER};
use crate::market::engagement::NoArbiter;
use crate::market::event::{Ask, Effect, Token};
use crate::market::{Market, payees};
use crate::message::{MessageId, Packed, SeriesId, Signed};
use crate::refusal::{Reason, Refusal};
use crate::stellar::entry::Entry;
use crate::stellar::ledger_key::Key;
use crate::stellar::reserve::LedgerParams;
use crate::step::{Space, Step};
use crate::time::{Now, Timestamp};

/// Requests that are looked at at once; more wait for their sender's repetition.
const MAX_INCOMING: usize = 256;
/// Accounts whose lapsed agreements are remembered.
const MAX_LAPSES: usize = 4_096;

/// A request whose consumer is being looked up on the ledger.
#[derive(Debug)]
pub struct Incoming {
    request: Signed<BindingRequest>,
    peer: PeerId,
    reply: Reply,
    until: Now,
}

/// How the consumer hears of the agreement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reply {
    /// As the answer to its frame.
    To(Token),
    /// It published the request, and is brought the agreement.
    Bring,
}

/// How often an account let an agreement lapse, and until when it waits for the next one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lapses {
    count: u32,
    waits_until: Timestamp,
}

pub(super) type Rejection = (RejectCode, String);

impl Market {
    /// A consumer asks for a binding.
    pub(super) fn request_received(
        &mut self,
        token: Token,
        peer: &PeerId,
        packed: Packed,
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<(), Refusal> {
        let request = packed.open::<BindingRequest>(&self.setup.network)?;
        request.body().check_life(now.timestamp())?;
        if self.setup.keys.serving.is_none() {
            return Err(Refusal::new(Reason::UnknownSeries, "this node offers nothing"));
        }
        let id = request.id();
        if let Some(trade) = self.trades.get(&id) {
            if let Some(agreement) = &trade.agreement {
                step.then(Effect::Respond { token, bytes: frames::to_stream(agreement.packed()) });
            }
            return Ok(());
        }
        if self.is_engaging(&id, token) {
            return Ok(());
        }
        let looked_up = self.may_agree(id, request.body(), peer, now);
        let looked_up = looked_up.and_then(|()| self.look_up(request, peer.clone(), Reply::To(token), now, step));
        if let Err((code, note)) = looked_up {
            self.reject(token, id, code, &note, step);
        }
        Ok(())
    }

    /// Reads what a request's consumer holds; [`Market::request_read`] goes on.
    pub(super) fn look_up(
        &mut self,
        request: Signed<BindingRequest>,
        peer: PeerId,
        reply: Reply,
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<(), Rejection> {
        if self.incoming.len() >= MAX_INCOMING {
            return Err((RejectCode::TooManyUnfunded, "too many requests at once; ask again".to_owned()));
        }
        let (id, account) = (request.id(), request.body().account);
        let asset = self.offers.get(&request.body().series).map(|offer| offer.body().price.asset.clone());
        let asset = asset.unwrap_or(Asset::Native);
        // A settlement passes through this node's own account.
        let own = self.setup.keys.account_id().filter(|_| !asset.is_native());
        let line = own.map(|own| Key::Trustline(own, asset.clone()));
        let keys = holdings(account, &asset).chain(asset.issuer().map(Key::Account)).chain(line).collect();
        let until = now.plus(Duration::from_secs(20));
        self.incoming.insert(id, Incoming { request, peer, reply, until });
        step.then(Effect::Read { ask: Ask::Request(id), keys });
        Ok(())
    }

    /// Everything about a request that needs no look at the ledger.
    pub(super) fn may_agree(
        &self,
        id: MessageId,
        request: &BindingRequest,
        peer: &PeerId,
        now: Now,
    ) -> Result<(), Rejection> {
        let refuse = |code, text: &str| Err((code, text.to_owned()));
        if self.draining {
            return refuse(RejectCode::Stopping, "the provider's node is stopping");
        }
        if self.holds_back(now) {
            return refuse(RejectCode::Stopping, "the provider's node was restored, and doesn't serve yet");
        }
        if self.book.request(&id).is_some_and(|r| r.cancel.is_some()) {
            return refuse(RejectCode::Cancelled, "the consumer has taken this request back");
        }
        let offer = self.offers.get(&request.series).filter(|o| o.is_open() && o.id() == request.offering);
        let Some(offer) = offer else {
            return refuse(RejectCode::NotOffered, "this isn't offered here, or no longer in this revision");
        };
        let body = offer.body();
        if ArbiterService::is_one(body) {
            return refuse(
                RejectCode::NotOffered,
                "an arbiter isn't bound: parties list it, and it is engaged for a case",
            );
        }
        if community::listing::is_not_bound(body) {
            return refuse(RejectCode::NotOffered, "it is part of a help exchange: take it there");
        }
        if body.valid_until < now.timestamp() {
            return refuse(RejectCode::NotOffered, "the offering has expired");
        }
        if self.free_supply(&request.series) == 0 {
            return refuse(RejectCode::NoFreeSupply, "all places are taken");
        }
        request.amount_of(body).map_err(|why| (RejectCode::TermsDontFit, why.to_owned()))?;
        self.within_unfunded(request.account, peer, now)
    }

    /// One unfunded agreement an account, a few a peer, a bounded number in all; who lets two lapse waits, doubling.
    fn within_unfunded(&self, account: AccountId, peer: &PeerId, now: Now) -> Result<(), Rejection> {
        let refuse = |text: String| Err((RejectCode::TooManyUnfunded, text));
        let unfunded = |t: &&Trade| {
            let open = match t.escrow() {
                EscrowState::None | EscrowState::Intended => true,
                // Without money, the consumer's word is what funds it.
                EscrowState::Free => t.state.handed != Handed::Accepted,
                _ => false,
            };
            t.state.side == Side::Provider && t.state.negotiation == Negotiation::Agreed && open
        };
        let all: Vec<&Trade> = self.trades.values().filter(unfunded).collect();
        if all.iter().any(|t| t.request.body().account == account) {
            return refuse("an agreement with this account waits for its funding".into());
        }
        let looked_up = self.incoming.values().map(|i| &i.peer).chain(self.engaging.values().map(|e| &e.peer));
        let (begun, its) = looked_up.fold((0, 0), |(all, its), p| (all + 1, its + usize::from(p == peer)));
        if all.iter().filter(|t| &t.state.peer == peer).count() + its >= MAX_UNFUNDED_PER_PEER {
            return refuse("agreements with this node wait for their funding".into());
        }
        if all.len() + begun >= MAX_UNFUNDED_AGREEMENTS {
            return refuse("too many agreements wait for their funding".into());
        }
        match self.lapses.get(&account).filter(|l| l.waits_until > now.timestamp()) {
            Some(lapses) => refuse(format!("agreements were left to lapse; ask again at {}", lapses.waits_until)),
            None => Ok(()),
        }
    }

    pub(super) fn reject(
        &self,
        token: Token,
        request: MessageId,
        code: RejectCode,
        why: &str,
        step: &mut Step<Effect>,
    ) {
        let Some(key) = &self.setup.keys.serving else { return };
        let body = Reject { key: ServingKey::of(key), request, code, note: Note::new(why) };
        let bytes = self.frame(body, key).unwrap_or_default();
        step.then(Effect::Respond { token, bytes });
    }

    /// Says no where the consumer asked by a frame; who published its request isn't told.
    pub(super) fn turn_down(
        &self,
        reply: Reply,
        request: MessageId,
        code: RejectCode,
        why: &str,
        step: &mut Step<Effect>,
    ) {
        if let Reply::To(token) = reply {
            self.reject(token, request, code, why, step);
        }
    }

    /// The consumer of a request was looked up: agree, or say why not.
    pub(super) fn request_read(
        &mut self,
        id: MessageId,
        asked: &[Key],
        entries: &[Entry],
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let Some(Incoming { request, .. }) = self.incoming.get(&id) else { return };
        let asset = self.offers.get(&request.body().series).map(|offer| &offer.body().price.asset);
        let readable = |asset| holdings(request.body().account, asset).all(|key| asked.contains(&key));
        if !asset.is_none_or(readable) {
            // It is there, and not as a thing that this program reads: the consumer isn't told that it has nothing.
            return self.request_unreadable(id, now, step);
        }
        let Some(Incoming { request, peer, reply, .. }) = self.incoming.remove(&id) else { return };
        let drafted = self.draft_agreement(&request, &peer, entries, now);
        self.approach_later(id, now);
        match drafted {
            Ok(agreement) if agreement.arbiters.is_empty() => {
                self.conclude(request, peer, reply, agreement, now, step);
            }
            Ok(agreement) => self.engage(request, peer, reply, agreement, now, step),
            Err((code, why)) => self.turn_down(reply, id, code, &why, step),
        }
    }

    /// The ledger can't be looked at.
    pub(super) fn request_unreadable(&mut self, id: MessageId, now: Now, step: &mut Step<Effect>) {
        self.approach_later(id, now);
        if let Some(Incoming { reply: Reply::To(token), .. }) = self.incoming.remove(&id) {
            let why = "the provider can't read the ledger now; ask again later";
            self.reject(token, id, RejectCode::LedgerUnavailable, why, step);
        }
    }

    /// The agreement that answers a request, its arbiters not engaged yet.
    fn draft_agreement(
        &self,
        request: &Signed<BindingRequest>,
        peer: &PeerId,
        entries: &[Entry],
        now: Now,
    ) -> Result<Agreement, Rejection> {
        self.may_agree(request.id(), request.body(), peer, now)?;
        let gone = || (RejectCode::NotOffered, "this isn't offered here any more".to_owned());
        let offer = self.offers.get(&request.body().series).ok_or_else(gone)?;
        let body = offer.body();
        let wanted = request.body();
        let amount = body.price.total(wanted.units).ok_or_else(gone)?;
        if !self.covers(wanted.account, &body.price.asset, amount, entries) {
            let why = "the consumer's account doesn't exist or doesn't hold the amount";
            return Err((RejectCode::NotCovered, why.to_owned()));
        }
        let kind = if amount.is_zero() { None } else { agreed_kind(body, wanted) };
        let terms = Terms::counted(now.timestamp(), &self.setup.margins, body, kind).ok_or_else(gone)?;
        if terms.arbitrated().is_some() {
            let asset = &body.price.asset;
            let cannot = |why| (RejectCode::TermsDontFit, format!("{asset} can't be held under arbitrated: {why}"));
            controller::may_hold(asset, entries).map_err(cannot)?;
            if !self.passes_on(asset, entries) {
                return Err(cannot("the provider's account, through which a settlement goes, has no trustline for it"));
            }
        }
        let arbiters = match terms.arbitrated() {
            None => Vec::new(),
            Some(deadlines) => self.arbiters_for(&wanted.arbiters, body, deadlines, now).map_err(|e| match e {
                NoArbiter::NoneCommon => (RejectCode::TermsDontFit, "no arbiter stands in both lists".to_owned()),
                NoArbiter::Unusable { account, why } => {
                    (RejectCode::NoArbiter, format!("the arbiter {account} can't take part: {why}"))
                }
            })?,
        };
        let agreement = Agreement {
            request: request.id(),
            offering: offer.id(),
            series: wanted.series,
            serving_key: body.serving_key,
            provider_peer: self.setup.peer.clone(),
            recipient: body.recipient,
            consumer: wanted.account,
            consumer_key: wanted.signing_key,
            consumer_sealing: wanted.sealing_key,
            consumer_peer: wanted.peer.clone(),
            units: wanted.units,
            unit: body.price.unit,
            asset: body.price.asset.clone(),
            amount,
            terms,
            pay_unless_disputed: terms.arbitrated().is_some() && wanted.pay_unless_disputed,
            arbiters,
        };
        agreement.check().map_err(|why| (RejectCode::TermsDontFit, why.to_owned()))?;
        Ok(agreement)
    }

    /// Whether this node's account can be paid an asset, to pay it on.
    fn passes_on(&self, asset: &Asset, entries: &[Entry]) -> bool {
        let own = self.setup.keys.account_id();
        let line = |e: &Entry| matches!(e, Entry::Trustline(t) if Some(t.account) == own && &t.asset == asset && t.is_authorized());
        asset.is_native() || entries.iter().any(line)
    }

    /// Whether a consumer's account exists and holds the amount.
    pub(super) fn covers(&self, consumer: AccountId, asset: &Asset, amount: Stroops, entries: &[Entry]) -> bool {
        let params = self.params.unwrap_or(LedgerParams::USUAL);
        let account = entries.iter().find_map(|e| match e {
            Entry::Account(a) if a.id == consumer => Some(a),
            _ => None,
        });
        let Some(account) = account else { return false };
        let line = entries.iter().find_map(|e| match e {
            Entry::Trustline(t) if t.account == consumer && &t.asset == asset => Some(t),
            _ => None,
        });
        if asset.is_native() {
            params.available(account) >= amount
        } else {
            line.is_some_and(|l| l.available() >= amount)
        }
    }

    /// The consumer hands its funding envelope over, or confirms a free binding.
    pub(super) fn fund_received(
        &mut self,
        fund: Fund,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) -> Result<Vec<u8>, Refusal> {
        let request = self.trade_of(fund.binding, fund.key)?;
        let answer = self.with_trade(request, step, |market, trade, step| {
            if trade.state.side != Side::Provider {
                return None;
            }
            trade.volatile.heard_at = now;
            let key = market.own_key(trade)?;
            let serving = ServingKey::of(&key);
            match market.check_fund(trade, &fund) {
                Ok(true) => {
                    market.drive_provider(trade, now, rng, step);
                    market.frame(FundAccepted { key: serving, binding: fund.binding }, &key)
                }
                Ok(false) => market.not_now(trade),
                Err(why) => {
                    trade.state.note = Some(Note::new(&why));
                    let body = FundRefused { key: serving, binding: fund.binding, note: Note::new(why) };
                    market.frame(body, &key)
                }
            }
        });
        answer.flatten().ok_or_else(|| Refusal::new(Reason::UnknownSeries, "this node isn't the binding's provider"))
    }

    /// Whether the envelope is the escrow that was agreed; `false` where it is too late for one. What comes too late is known
    /// all the same: whoever has the envelope can bring it to the ledger, and then its money has to go back.
    fn check_fund(&self, trade: &mut Trade, fund: &Fund) -> Result<bool, String> {
        if trade.state.negotiation != Negotiation::Agreed {
            return Ok(false);
        }
        let in_time = trade.state.session.end().is_none();
        let Some(agreed) = trade.terms() else { return Ok(false) };
        if agreed.terms.kind().is_none() {
            if in_time {
                trade.state.handed = Handed::Accepted;
            }
            return Ok(in_time);
        }
        let fund_by = agreed.terms.fund_by();
        let Some(terms) = trade.escrow_terms() else { return Ok(false) };
        let params = self.params.unwrap_or(LedgerParams::USUAL);
        let seen =
            terms.check_funding(&self.setup.network, &fund.envelope, fund_by, &params).map_err(|e| e.to_string())?;
        if trade.state.balance.is_some_and(|known| known != seen.balance) {
            return Err("another funding was handed over for this binding before".to_owned());
        }
        if trade.state.balance.is_none() {
            let (sequence, gone) = (seen.sequence, false);
            trade.state.controller = seen.controller.map(|account| Controlled { account, sequence, gone });
            trade.state.balance = Some(seen.balance);
            trade.state.funding = Some(seen.hash);
        }
        if in_time {
            trade.state.handed = Handed::Accepted;
        }
        trade.observe(Observation::FundingSigned);
        Ok(in_time)
    }

    /// Does what is due on the provider's side.
    pub(super) fn drive_provider(
        &mut self,
        trade: &mut Trade,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(terms) = trade.terms().map(|a| a.terms) else { return };
        if trade.state.negotiation != Negotiation::Agreed {
            return;
        }
        self.lapse_if_unfunded(trade, terms.fund_by());
        self.bring_agreement(trade, now, step);
        if let EscrowState::Refused(mismatch) = trade.escrow() {
            // It never starts, so it holds no place either: a stranger could keep places with a stroop each.
            let why = mismatch.to_string();
            self.move_session(trade, SessionEvent::ServiceFailed, &why, step);
        }
        if let Some(why) = trade.escrow().why_unpaid() {
            self.move_session(trade, SessionEvent::ProviderUnbinds, why, step);
        }
        if now.timestamp() >= terms.start_by() {
            self.move_session(trade, SessionEvent::StartByPassed, "the service didn't get healthy in time", step);
        }
        let may_start = match trade.escrow() {
            EscrowState::Free => trade.state.handed == Handed::Accepted,
            EscrowState::Locked => true,
            _ => false,
        };
        if trade.state.session == Session::Idle && may_start && trade.state.negotiation == Negotiation::Agreed {
            trade.session(SessionEvent::MayStart);
            if trade.state.access.is_none() {
                let mut token = [0; 32];
                rng.fill_bytes(&mut token);
                trade.state.access = Some(Access { token });
            }
            trade.volatile.heard_at = now;
        }
        self.count_package(trade, now, step);
        if now.timestamp() >= terms.deliver_by() {
            self.move_session(trade, SessionEvent::DeliverByPassed, "", step);
        }
        // Last, so that a node that comes back too late starts nothing.
        self.start_service(trade, step);
        self.settle(trade, now, step);
    }

    fn lapse_if_unfunded(&mut self, trade: &mut Trade, fund_by: Timestamp) {
        let over = self.close_time().is_some_and(|closed| closed > fund_by);
        let unfunded = match trade.escrow() {
            EscrowState::None => true,
            EscrowState::Free => trade.state.handed != Handed::Accepted,
            _ => false,
        };
        if over && unfunded && trade.negotiate(NegotiationEvent::NothingFunded) {
            trade.state.note = Some(Note::new("nothing was funded in time"));
            self.count_lapse(trade.request.body().account);
        }
    }

    /// Who lets agreements lapse waits for the next, doubling from the second on.
    pub(super) fn count_lapse(&mut self, account: AccountId) {
        let Some(closed) = self.close_time() else { return };
        if self.lapses.len() >= MAX_LAPSES {
            self.lapses.retain(|_, l| l.waits_until > closed);
        }
        if self.lapses.len() >= MAX_LAPSES && !self.lapses.contains_key(&account) {
            return;
        }
        let window = self.setup.margins.fund_window;
        let lapses = self.lapses.entry(account).or_default();
        lapses.count = lapses.count.saturating_add(1);
        if lapses.count >= 2 {
            let factor = 1u32 << (lapses.count - 2).min(10);
            lapses.waits_until = closed.plus(window * factor);
        }
    }

    /// A package is used up: of seconds by time, of calls by the last one's end, also where a crash was its end.
    fn count_package(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        let Some(agreed) = trade.terms() else { return };
        let (unit, units) = (agreed.unit, agreed.units);
        if unit == Unit::Call && trade.state.used >= units && trade.volatile.calls == 0 {
            self.move_session(trade, SessionEvent::UnitsUsed, "", step);
        }
        let Some(since) = trade.state.active_since else { return };
        if unit == Unit::Second && matches!(trade.state.session, Session::Active | Session::Away) {
            let used = now.timestamp().since(since).as_secs().min(units);
            if used >= units {
                trade.state.used = used;
                self.move_session(trade, SessionEvent::UnitsUsed, "", step);
            }
        }
    }

    /// Collects what was earned, gives back what wasn't, while there is time for either; where both sides and arbiters say
    /// who is paid, takes what is its own from T on.
    pub(super) fn settle(&mut self, trade: &Trade, now: Now, step: &mut Step<Effect>) {
        let (Some(end), Some(binding), Some(terms)) = (trade.state.session.end(), trade.binding(), trade.terms())
        else {
            return;
        };
        // What it didn't earn it takes only to give it back: nobody else can any more.
        let earned = end.earned() && *trade.escrow() == EscrowState::Locked;
        let held = payees::held(trade);
        let payees = [Some(terms.recipient), Some(terms.consumer).filter(|_| !earned)];
        let payees: Vec<_> = payees.into_iter().flatten().map(|account| (account, held)).collect();
        let purpose = if earned { Purpose::Collect { binding } } else { Purpose::GiveBack { binding } };
        if terms.terms.arbitrated().is_some() {
            let known = earned || payees::shown(trade).is_some();
            if known && self.is_due_by_timeout(trade, now) && self.can_be_paid(trade, payees, now, step) {
                self.want(purpose);
            }
            return;
        }
        let collectable = terms.terms.refund_at().map(|t| t.minus(self.setup.margins.claim_margin));
        let in_time = collectable.is_some_and(|until| now.timestamp() < until);
        let mine = self.setup.keys.account_id() == Some(terms.recipient);
        let stands = *trade.escrow() == EscrowState::Locked && !trade.is_gone();
        if !stands || !in_time || !mine || !trade.may_claim(now) {
            return;
        }
        if self.can_be_paid(trade, payees, now, step) {
            self.want(purpose);
        }
    }

    /// Places that are free in a series of one's own.
    pub(super) fn free_supply(&self, series: &SeriesId) -> u32 {
        let Some(offer) = self.offers.get(series) else { return 0 };
        let held =
            self.trades.values().filter(|t| t.state.side == Side::Provider && t.series() == *series && t.holds_place());
        offer.body().max_supply.saturating_sub(held.count() as u32)
    }

    /// Agreements that came to nothing, and bindings that cost nothing, are forgotten once their request can't be repeated any more, so that strangers
    /// can't fill the store with them.
    pub(super) fn forget_void(&mut self, now: Now, step: &mut Step<Effect>) {
        let keep = MAX_REQUEST_LIFE + MAX_FRAME_LEAD;
        let over = |t: &Trade| {
            let until = match (t.phase(), t.terms()) {
                (Phase::Void, Some(agreed)) => agreed.terms.fund_by(),
                (Phase::Closed, Some(agreed)) if *t.escrow() == EscrowState::Free => agreed.terms.deliver_by(),
                _ => return false,
            };
            t.state.side == Side::Provider && now.timestamp() > until.plus(keep)
        };
        let void: Vec<MessageId> = self.trades.values().filter(|t| over(t)).map(Trade::request_id).collect();
        for request in void {
            if let Some(binding) = self.trades.remove(&request).and_then(|t| t.binding()) {
                self.by_binding.remove(&binding);
            }
            step.batch().delete(Space::Binding, *request.as_bytes());
        }
    }

    /// Requests whose look-up takes too long are forgotten; their senders ask again.
    pub(super) fn expire_incoming(&mut self, now: Now) {
        let late: Vec<MessageId> = self.incoming.iter().filter(|(_, i)| i.until <= now).map(|(id, _)| *id).collect();
        for id in late {
            self.incoming.remove(&id);
            self.approach_later(id, now);
        }
    }

    /// The node is stopping: what it serves ends now, and isn't paid for.
    pub(super) fn stop(&mut self, now: Now, rng: &mut dyn CryptoRng, step: &mut Step<Effect>) {
        self.draining = true;
        if self.stands_still() {
            return;
        }
        let served: Vec<MessageId> = self
            .trades
            .values()
            .filter(|t| t.state.side == Side::Provider && !t.phase().is_final() && t.state.session.end().is_none())
            .map(Trade::request_id)
            .collect();
        for request in served {
            self.with_trade(request, step, |market, trade, step| {
                market.move_session(trade, SessionEvent::Drain, "the provider's node was stopped", step);
            });
            self.drive(request, now, rng, step);
        }
    }
}

/// What of an account to read for what it holds of an asset.
pub(super) fn holdings(account: AccountId, asset: &Asset) -> impl Iterator<Item = Key> {
    let line = (!asset.is_native()).then(|| Key::Trustline(account, asset.clone()));
    [Key::Account(account)].into_iter().chain(line)
}

/// The kind of escrow that an offering and a request agree on: the first of the request's that the offering has.
fn agreed_kind(offering: &Offering, request: &BindingRequest) -> Option<EscrowKind> {
    request.escrow.iter().find(|kind| offering.escrow.contains(kind)).copied()
}
