//! The consumer's side: pre-checks, request, agreement, funding, use, refund.

use core::time::Duration;

use ed25519_dalek::SigningKey;
use rand_core::CryptoRng;

use crate::account::{AccountId, PeerId, ServingKey};
use crate::amount::Stroops;
use crate::binding::agreement::{self, Agreement};
use crate::binding::frames::{Fund, FundAccepted, FundRefused, Note, Ping, Pong, Reject, to_stream};
use crate::binding::negotiation::{Negotiation, NegotiationEvent};
use crate::binding::phase::Side;
use crate::binding::precheck::PrecheckFailure;
use crate::binding::session::{End, Session, SessionEvent};
use crate::binding::trade::{Access, Handed, Told, Trade};
use crate::book::Listing;
use crate::document::{BindingRequest, Nonce};
use crate::escrow::outcome::{EscrowState, Observation};
use crate::intent::Purpose;
use crate::market::Market;
use crate::market::command::{Answer, CommandError, CommandId, Cost};
use crate::market::event::{Ask, Call, Effect};
use crate::market::trades::Word;
use crate::message::{MessageId, Signed, TxHash, keccak};
use crate::seal::SealingSecret;
use crate::stellar::entry::{AccountState, Entry};
use crate::stellar::ledger_key::Key;
use crate::step::Step;
use crate::time::{Now, Timestamp};

/// How long a request waits for the provider's answer.
const REQUEST_LIFE: Duration = Duration::from_secs(60);
/// How long the pre-checks may take in all.
const PRECHECK_LIFE: Duration = Duration::from_secs(30);
/// What sealed access details are for.
pub(super) const ACCESS_INFO: &[u8] = b"tradepost/1/access";

/// A `bind` whose pre-checks are under way.
#[derive(Debug)]
pub struct PendingBind {
    offering: MessageId,
    units: u64,
    dry_run: bool,
    nonce: [u8; 32],
    cost: Option<Cost>,
    until: Now,
}

/// The keys of one trade, from the account's key and the request's nonce: they need no storage and can be found again
/// from the mnemonic.
pub(super) fn trade_keys(account: &SigningKey, nonce: &Nonce) -> (SigningKey, SealingSecret) {
    let derive = |purpose: &[u8]| keccak(&[b"tradepost/1/trade/", purpose, &account.to_bytes(), nonce.as_bytes()]);
    (SigningKey::from_bytes(&derive(b"sign")), SealingSecret::from_bytes(derive(b"seal")))
}

/// The node that serves an offering.
fn provider_peer(listing: &Listing) -> Option<PeerId> {
    listing.offering.body().peer_ids.first().cloned()
}

/// Why an offering can't be bound now, as far as the book knows.
fn why_not_live(listing: &Listing, now: Now) -> Option<&'static str> {
    if listing.withdrawn {
        Some("it was withdrawn")
    } else if listing.offering.body().valid_until < now.timestamp() {
        Some("it has expired")
    } else if listing.presence_at.is_none() {
        Some("its provider's node hasn't been heard of lately")
    } else if !listing.live {
        Some("it isn't complete here yet")
    } else {
        None
    }
}

impl Market {
    /// The listing of this revision, where it is the current one.
    fn listing_of(&self, offering: &MessageId, now: Now) -> Option<Listing> {
        self.book.get(&offering.to_string(), now).ok().filter(|listing| listing.id == *offering)
    }

    /// A user wants to bind: first everything that can be looked at is read.
    pub(super) fn bind(
        &mut self,
        id: CommandId,
        offering: MessageId,
        units: u64,
        dry_run: bool,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let Some(listing) = self.listing_of(&offering, now) else {
            return Self::answer(step, id, Err(PrecheckFailure::UnknownOffering(offering.to_string())));
        };
        let Some(account) = self.setup.keys.account_id() else {
            return Self::answer(step, id, Err(PrecheckFailure::NoAccountKey));
        };
        let body = listing.offering.body();
        let mut keys = vec![Key::Account(account), Key::Account(body.recipient), Key::Balance(body.bond)];
        if !body.price.asset.is_native() {
            keys.extend([account, body.recipient].map(|a| Key::Trustline(a, body.price.asset.clone())));
        }
        let until = now.plus(PRECHECK_LIFE);
        self.binds.insert(id, PendingBind { offering, units, dry_run, nonce: [0; 32], cost: None, until });
        step.then(Effect::Read { ask: Ask::Precheck(id), keys });
    }

    /// What the pre-checks look at is here: they run in their order, the ping last.
    pub(super) fn precheck_read(
        &mut self,
        id: CommandId,
        entries: &[Entry],
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(mut pending) = self.binds.remove(&id) else { return };
        let cost = match self.precheck(pending.offering, pending.units, entries, now) {
            Ok(cost) => cost,
            Err(failure) => return Self::answer(step, id, Err(failure)),
        };
        let (Some(listing), Some(account)) =
            (self.listing_of(&pending.offering, now), self.setup.keys.account.as_ref())
        else {
            return Self::answer(step, id, Err(PrecheckFailure::UnknownOffering(pending.offering.to_string())));
        };
        rng.fill_bytes(&mut pending.nonce);
        let key = trade_keys(account, &Self::nonce_of(&pending.nonce)).0;
        let body = listing.offering.body();
        let ping = Ping { key: ServingKey::of(&key), whom: body.serving_key, binding: None, nonce: pending.nonce };
        let Some((peer, bytes)) = provider_peer(&listing).zip(self.frame(ping, &key)) else {
            let failure = PrecheckFailure::NotLive { why: "its provider's node isn't known".into() };
            return Self::answer(step, id, Err(failure));
        };
        pending.cost = Some(cost);
        self.binds.insert(id, pending);
        step.then(Effect::Send { peer, call: Call::Precheck(id), bytes });
    }

    fn nonce_of(random: &[u8; 32]) -> Nonce {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&random[..16]);
        Nonce::from_bytes(bytes)
    }

    /// Pre-checks 1 to 11, in their order.
    fn precheck(&self, offering: MessageId, units: u64, entries: &[Entry], now: Now) -> Result<Cost, PrecheckFailure> {
        let listing = self.listing_of(&offering, now);
        let listing = listing.ok_or_else(|| PrecheckFailure::UnknownOffering(offering.to_string()))?;
        let body = listing.offering.body();
        if let Some(why) = why_not_live(&listing, now) {
            return Err(PrecheckFailure::NotLive { why: why.to_owned() });
        }
        if !entries.iter().any(|e| matches!(e, Entry::Balance(b) if b.id == body.bond)) {
            return Err(PrecheckFailure::NotBonded(listing.series));
        }
        let own = self.setup.keys.account_id();
        if own == Some(body.account) || own == Some(body.recipient) || self.offers.contains_key(&listing.series) {
            return Err(PrecheckFailure::OwnOffering);
        }
        if listing.outdated {
            return Err(PrecheckFailure::RecordOutdated);
        }
        self.precheck_terms(&listing, units)?;
        Self::precheck_payees(&listing, entries)?;
        let cost = self.precheck_wallet(&listing, units, entries, now)?;
        self.precheck_clock()?;
        Ok(cost)
    }

    /// 4 to 8: what the offering's terms and this node's policy have in common.
    fn precheck_terms(&self, listing: &Listing, units: u64) -> Result<(), PrecheckFailure> {
        let body = listing.offering.body();
        let policy = &self.setup.policy;
        if !body.transports.iter().any(|t| policy.transports.contains(t)) {
            return Err(PrecheckFailure::TransportNotAllowed {
                offered: format!("{:?}", body.transports),
                allowed: format!("{:?}", policy.transports),
            });
        }
        if listing.free == 0 {
            return Err(PrecheckFailure::NoFreeSupply(body.max_supply));
        }
        if !body.allows(units) {
            return Err(PrecheckFailure::UnitsOutOfBounds { asked: units, min: body.min_units, max: body.max_units });
        }
        let amount = body.price.total(units).ok_or(PrecheckFailure::PriceOverflow(units))?;
        if amount > policy.max_spend {
            return Err(PrecheckFailure::AboveLimit {
                cost: amount.coins(),
                asset: body.price.asset.symbol().to_owned(),
                limit: policy.max_spend.coins(),
            });
        }
        if !amount.is_zero() && !body.escrow.iter().any(|e| policy.escrows.contains(e)) {
            return Err(PrecheckFailure::NoCommonEscrow {
                offered: format!("{:?}", body.escrow),
                accepted: format!("{:?}", policy.escrows),
            });
        }
        if !policy.assets.contains(&body.price.asset) {
            return Err(PrecheckFailure::AssetNotAccepted(body.price.asset.clone()));
        }
        Ok(())
    }

    /// 9: whoever is to be paid can be.
    fn precheck_payees(listing: &Listing, entries: &[Entry]) -> Result<(), PrecheckFailure> {
        let body = listing.offering.body();
        let account = body.recipient;
        if !entries.iter().any(|e| matches!(e, Entry::Account(a) if a.id == account)) {
            return Err(PrecheckFailure::NoSuchAccount(account));
        }
        let asset = &body.price.asset;
        let holds = |e: &Entry| matches!(e, Entry::Trustline(t) if t.account == account && &t.asset == asset && t.is_authorized());
        if asset.is_native() || entries.iter().any(holds) {
            Ok(())
        } else {
            Err(PrecheckFailure::TrustlineMissing { account, asset: asset.clone() })
        }
    }

    /// 10: what is left in the wallet covers amount, reserves and fees.
    fn precheck_wallet(
        &self,
        listing: &Listing,
        units: u64,
        entries: &[Entry],
        now: Now,
    ) -> Result<Cost, PrecheckFailure> {
        let body = listing.offering.body();
        let amount = body.price.total(units).ok_or(PrecheckFailure::PriceOverflow(units))?;
        let own = self.setup.keys.account_id().ok_or(PrecheckFailure::NoAccountKey)?;
        let account: Option<&AccountState> = entries.iter().find_map(|e| match e {
            Entry::Account(a) if a.id == own => Some(a),
            _ => None,
        });
        let account = account.ok_or(PrecheckFailure::NoOwnAccount(own))?;
        let terms = self.expected_terms(listing, amount, now.timestamp());
        let returns_at = terms.and_then(|t| t.refund_at());
        let claimants = if amount.is_zero() { 0 } else { crate::escrow::timed::RESERVES };
        let line = entries.iter().find_map(|e| match e {
            Entry::Trustline(t) if t.account == own && t.asset == body.price.asset => Some(t),
            _ => None,
        });
        self.cost_of(account, line, &body.price.asset, amount, claimants, returns_at)
    }

    /// 11: the clock and the ledger agree.
    fn precheck_clock(&self) -> Result<(), PrecheckFailure> {
        if self.point.is_none() {
            return Err(PrecheckFailure::LedgerUnavailable("no ledger was seen yet".into()));
        }
        let margins = &self.setup.margins;
        let seconds = |s: i64| s.unsigned_abs();
        match self.clock_skew {
            Some(ahead) if ahead > 0 && seconds(ahead) > margins.clock_behind.as_secs() => {
                Err(PrecheckFailure::ClockOff { seconds: seconds(ahead), direction: "the clock is ahead" })
            }
            Some(ahead) if ahead < 0 && seconds(ahead) > margins.clock_ahead.as_secs() => {
                Err(PrecheckFailure::ClockOff { seconds: seconds(ahead), direction: "the clock is behind" })
            }
            _ => Ok(()),
        }
    }

    fn expected_terms(&self, listing: &Listing, amount: Stroops, now: Timestamp) -> Option<agreement::Terms> {
        let windows = &listing.offering.body().windows;
        agreement::terms(now, &self.setup.margins, windows.deliver(), windows.collect(), amount.is_zero())
    }

    /// 12: the provider's node answers a signed ping; then the request goes out.
    pub(super) fn precheck_pinged(
        &mut self,
        id: CommandId,
        result: Result<Vec<u8>, String>,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let Some(pending) = self.binds.remove(&id) else { return };
        let Some(listing) = self.listing_of(&pending.offering, now) else {
            return Self::answer(step, id, Err(PrecheckFailure::UnknownOffering(pending.offering.to_string())));
        };
        let Some(peer) = provider_peer(&listing) else { return };
        let pong = result.and_then(|bytes| {
            let pong = self.open_answer::<Pong>(&bytes).ok_or("it answers, and not as a provider")?;
            let right = pong.nonce == pending.nonce && pong.key == listing.offering.body().serving_key;
            right.then_some(()).ok_or_else(|| "it doesn't hold the offering's serving key".to_owned())
        });
        if let Err(why) = pong {
            return Self::answer(step, id, Err(PrecheckFailure::ProviderUnreachable { peer, why }));
        }
        if let (true, Some(cost)) = (pending.dry_run, pending.cost.clone()) {
            return Self::answer(step, id, Ok::<_, CommandError>(Answer::Cost(cost)));
        }
        match self.request(&pending, &listing, peer, now) {
            Ok(trade) => {
                self.waiting.insert(trade.request_id(), id);
                self.store_trade(&trade, step);
                let request = trade.request_id();
                self.insert_trade(trade);
                self.with_trade(request, step, |market, trade, step| market.drive_consumer(trade, now, step));
            }
            Err(refusal) => Self::answer(step, id, Err(refusal)),
        }
    }

    fn request(&self, pending: &PendingBind, listing: &Listing, peer: PeerId, now: Now) -> Result<Trade, CommandError> {
        let account = self.setup.keys.account.as_ref().ok_or(PrecheckFailure::NoAccountKey)?;
        let nonce = Self::nonce_of(&pending.nonce);
        let (sign, seal) = trade_keys(account, &nonce);
        let body = BindingRequest {
            account: AccountId::of(account),
            offering: listing.id,
            series: listing.series,
            units: pending.units,
            budget: pending.cost.as_ref().map(|c| c.amount),
            escrow: self.setup.policy.escrows.clone(),
            sealing_key: seal.public(),
            signing_key: ServingKey::of(&sign),
            peer: self.setup.peer.clone(),
            nonce,
            valid_until: now.timestamp().plus(REQUEST_LIFE),
        };
        let request = Signed::sign(body, &self.setup.network, account)?;
        Ok(Trade::new(Side::Consumer, request, peer, now))
    }

    /// Does what is due on the consumer's side.
    pub(super) fn drive_consumer(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        match trade.state.negotiation {
            Negotiation::Requested => self.drive_request(trade, now, step),
            Negotiation::Agreed => self.drive_funding(trade, now, step),
            _ => {}
        }
        self.drive_use(trade, now, step);
        if let Some(hash) = trade.state.closing.filter(|_| !trade.state.closing_seen && Self::may_send(trade, now)) {
            trade.volatile.retry_at = now.plus(self.setup.margins.heartbeat_every);
            let over = trade.terms().and_then(|a| a.terms.refund_at()).map(|t| t.plus(self.setup.margins.grace));
            if over.is_some_and(|over| now.timestamp() > over) {
                // By now the ledger would have shown it: the provider named a transaction that isn't there.
                trade.state.closing = None;
            } else {
                step.then(Effect::AskStatus { hash });
            }
        }
        let there = matches!(trade.escrow(), EscrowState::Locked | EscrowState::Refused(_));
        if let Some(binding) = trade.binding().filter(|_| there && trade.state.timed_out) {
            self.want(Purpose::Refund { binding });
        }
    }

    /// A transaction that the provider named was read: whether it took the escrow, and for whom.
    pub(super) fn closing_read(&mut self, hash: TxHash, envelope: &[u8], step: &mut Step<Effect>) {
        if envelope.is_empty() {
            return;
        }
        let concerned: Vec<MessageId> = self
            .trades
            .values()
            .filter(|t| t.state.side == Side::Consumer && t.state.closing == Some(hash) && !t.state.closing_seen)
            .map(Trade::request_id)
            .collect();
        for request in concerned {
            self.with_trade(request, step, |market, trade, _| {
                let (Some(terms), Some(balance)) = (trade.escrow_terms(), trade.state.balance) else { return };
                match terms.taken_by(balance, envelope, &market.setup.network) {
                    Ok(Some(taken)) => {
                        trade.state.closing_seen = true;
                        trade.observe(Observation::Taken(taken));
                    }
                    Ok(None) | Err(_) => trade.state.closing = None,
                }
            });
        }
    }

    fn drive_request(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        if now.timestamp() > trade.request.body().valid_until {
            trade.negotiate(NegotiationEvent::RequestExpired);
            trade.state.note = Some(Note::new("the provider didn't answer the request in time; no money moved"));
            let error = CommandError::Timeout { what: "the provider's answer", consequence: "no money moved" };
            self.tell_user(trade.request_id(), Err(error), step);
        } else if Self::may_send(trade, now) {
            trade.volatile.sending = true;
            let bytes = to_stream(trade.request.packed());
            let call = Call::Request(trade.request_id());
            step.then(Effect::Send { peer: trade.state.peer.clone(), call, bytes });
        }
    }

    /// Answers the command that began a binding, once.
    fn tell_user(&mut self, request: MessageId, result: Result<Answer, CommandError>, step: &mut Step<Effect>) {
        if let Some(id) = self.waiting.remove(&request) {
            step.then(Effect::Answer { id, result });
        }
    }

    /// The provider answered the request.
    pub(super) fn request_answered(
        &mut self,
        request: MessageId,
        result: Result<Vec<u8>, String>,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        self.with_trade(request, step, |market, trade, step| {
            trade.volatile.sending = false;
            trade.volatile.retry_at = now.plus(market.setup.margins.heartbeat_every);
            if trade.state.negotiation != Negotiation::Requested {
                return;
            }
            let Ok(bytes) = result else { return };
            if let Some(reject) = market.open_answer::<Reject>(&bytes) {
                let serving = market.listing_of(&trade.request.body().offering, now);
                let right = serving.is_none_or(|l| l.offering.body().serving_key == reject.key);
                if reject.request == request && right {
                    market.refuse(trade, reject.note.as_str(), step);
                }
                return;
            }
            match market.check_agreement(trade, &bytes, now) {
                Ok(agreement) => {
                    trade.agree(agreement);
                    trade.volatile.retry_at = Now::default();
                    market.drive_funding(trade, now, step);
                }
                Err(why) => market.refuse(trade, &why, step),
            }
        });
    }

    fn refuse(&mut self, trade: &mut Trade, why: &str, step: &mut Step<Effect>) {
        trade.negotiate(NegotiationEvent::Refused);
        trade.state.note = Some(Note::new(why));
        self.tell_user(trade.request_id(), Err(CommandError::ByProvider(why.to_owned())), step);
    }

    /// Whether what came is the agreement that was asked for.
    fn check_agreement(&self, trade: &Trade, bytes: &[u8], now: Now) -> Result<Signed<Agreement>, String> {
        let packed = crate::binding::frames::from_stream(&self.setup.network, bytes).map_err(|e| e.to_string())?;
        let signed = packed.open::<Agreement>(&self.setup.network).map_err(|e| e.to_string())?;
        let request = trade.request.body();
        let listing = self.listing_of(&request.offering, now).ok_or("the offering is gone")?;
        let body = listing.offering.body();
        let amount = body.price.total(request.units).ok_or("the price overflows")?;
        let expected = Agreement {
            request: trade.request_id(),
            offering: request.offering,
            series: request.series,
            serving_key: body.serving_key,
            provider_peer: signed.body().provider_peer.clone(),
            recipient: body.recipient,
            consumer: request.account,
            consumer_key: request.signing_key,
            consumer_sealing: request.sealing_key,
            consumer_peer: request.peer.clone(),
            units: request.units,
            unit: body.price.unit,
            asset: body.price.asset.clone(),
            amount,
            terms: self.expected_terms(&listing, amount, now.timestamp()).ok_or("its windows are out of order")?,
        };
        agreement::compare(&expected, signed.body()).map_err(|e| e.to_string())?;
        if signed.body().terms.fund_by() <= now.timestamp() {
            return Err("its time to fund is over already".to_owned());
        }
        Ok(signed)
    }

    /// From the agreement to an escrow that the provider knows of.
    fn drive_funding(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        let Some((binding, terms)) = trade.binding().zip(trade.terms()) else { return };
        let fund_by = terms.terms.fund_by();
        let over = self.close_time().is_some_and(|closed| closed > fund_by);
        match trade.escrow() {
            EscrowState::None if over => {
                trade.negotiate(NegotiationEvent::NothingFunded);
                let why = "the escrow wasn't funded in time; no money moved";
                trade.state.note.get_or_insert_with(|| Note::new(why));
                let error = CommandError::Timeout { what: "the funding", consequence: "no money moved" };
                self.tell_user(trade.request_id(), Err(error), step);
            }
            EscrowState::None if trade.state.session.end().is_some() => self.no_longer_want(Purpose::Fund { binding }),
            EscrowState::None if trade.state.funding.is_none() => self.want(Purpose::Fund { binding }),
            EscrowState::Free if trade.state.handed != Handed::Accepted && over => {
                trade.negotiate(NegotiationEvent::NothingFunded);
                let error = CommandError::Timeout { what: "the provider's word", consequence: "the binding lapsed" };
                self.tell_user(trade.request_id(), Err(error), step);
            }
            EscrowState::Intended | EscrowState::Free if trade.state.session.end().is_some() => {}
            EscrowState::Intended | EscrowState::Free if trade.state.handed == Handed::No => {
                self.hand_over(trade, now, step);
            }
            EscrowState::Free | EscrowState::Locked => {
                trade.session(SessionEvent::MayStart);
            }
            _ => {}
        }
    }

    /// Hands the signed funding envelope to the provider, before it is submitted.
    pub(super) fn hand_over(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        let Some(binding) = trade.binding() else { return };
        let envelope = match trade.escrow() {
            EscrowState::Free => Some(Vec::new()),
            _ => self.envelope_of(&Purpose::Fund { binding }),
        };
        let (Some(envelope), true) = (envelope, Self::may_send(trade, now)) else { return };
        let key = trade.request.body().signing_key;
        self.send(trade, Call::Fund(binding), Fund { key, binding, envelope }, step);
    }

    /// The provider took the envelope, or refused it.
    pub(super) fn fund_answered(
        &mut self,
        binding: crate::message::BindingId,
        result: Result<Vec<u8>, String>,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(request) = self.by_binding.get(&binding).copied() else { return };
        let released = self.with_trade(request, step, |market, trade, step| {
            trade.volatile.sending = false;
            trade.volatile.retry_at = now.plus(market.setup.margins.heartbeat_every);
            let bytes = result.ok()?;
            let provider = Self::other_key(trade);
            if let Some(refused) = market.open_answer::<FundRefused>(&bytes) {
                if Some(refused.key) == provider && refused.binding == binding {
                    trade.state.handed = Handed::Refused;
                    trade.state.note = Some(refused.note.clone());
                    let error = CommandError::ByProvider(refused.note.to_string());
                    market.tell_user(request, Err(error), step);
                }
                return None;
            }
            let accepted = market.open_answer::<FundAccepted>(&bytes)?;
            if Some(accepted.key) != provider || accepted.binding != binding {
                return None;
            }
            trade.volatile.heard_at = now;
            trade.state.handed = Handed::Accepted;
            let transaction = trade.state.funding;
            market.tell_user(request, Ok(Answer::Bound { binding, request, transaction }), step);
            Some(())
        });
        if released.flatten().is_some() {
            self.release(Purpose::Fund { binding }, now, step);
            self.drive(request, now, rng, step);
        }
    }

    /// The clock's part of a session, as the consumer sees it.
    fn drive_use(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        let Some(terms) = trade.terms().map(|a| a.terms) else { return };
        if trade.state.negotiation != Negotiation::Agreed {
            return;
        }
        let late = self.setup.margins.grace;
        if now.timestamp() > terms.start_by().plus(late) {
            self.move_session(trade, SessionEvent::StartByPassed, "the service didn't start in time", step);
        }
        if now.timestamp() >= terms.deliver_by() {
            self.move_session(trade, SessionEvent::DeliverByPassed, "", step);
        }
    }

    /// The provider says something about the session; whether it fits.
    pub(super) fn word_to_consumer(
        &mut self,
        trade: &mut Trade,
        word: Word,
        now: Now,
        step: &mut Step<Effect>,
    ) -> bool {
        match word {
            Word::Started(started) => self.started(trade, started.access.as_bytes(), now),
            Word::StartFailed(failed) => {
                self.provider_ends(trade, SessionEvent::ServiceFailed, End::StartFailed, failed.note.as_str(), step)
            }
            Word::Unbind(unbind) => {
                let event = SessionEvent::ProviderUnbinds;
                self.provider_ends(trade, event, End::UnboundByProvider, unbind.note.as_str(), step)
            }
            Word::Delivered(delivered) => {
                let event = match delivered.end {
                    End::Done => SessionEvent::ServiceDone,
                    End::UnitsUsed => SessionEvent::UnitsUsed,
                    End::DeliverBy => SessionEvent::DeliverByPassed,
                    End::ConsumerGone => SessionEvent::ConsumerSilent,
                    _ => return false,
                };
                trade.state.used = trade.state.used.max(delivered.used);
                self.provider_ends(trade, event, delivered.end, "", step)
            }
            Word::Closing(closing) => {
                if !trade.state.closing_seen {
                    trade.state.closing = Some(closing.transaction);
                    step.then(Effect::AskStatus { hash: closing.transaction });
                }
                true
            }
        }
    }

    fn provider_ends(
        &mut self,
        trade: &mut Trade,
        event: SessionEvent,
        end: End,
        why: &str,
        step: &mut Step<Effect>,
    ) -> bool {
        self.move_session(trade, event, why, step);
        trade.state.session == Session::Ended(end)
    }

    /// Access details arrived: the service can be used.
    fn started(&mut self, trade: &mut Trade, sealed: &[u8], now: Now) -> bool {
        let Some(account) = self.setup.keys.account.as_ref() else { return false };
        let Some(binding) = trade.binding() else { return false };
        let secret = trade_keys(account, &trade.request.body().nonce).1;
        let opened = secret.open(ACCESS_INFO, binding.as_bytes(), sealed).ok();
        let Some(access) = opened.and_then(|bytes| crate::frame::decode::<Access>(&bytes).ok()) else {
            trade.state.note = Some(Note::new("the provider's access details don't open"));
            return false;
        };
        trade.session(SessionEvent::MayStart);
        trade.session(SessionEvent::ServiceRuns);
        if !trade.state.session.runs() {
            return false;
        }
        trade.state.access = Some(access);
        trade.state.active_since.get_or_insert(now.timestamp());
        true
    }

    /// A user ends a binding.
    pub(super) fn unbind(&mut self, id: CommandId, request: MessageId, now: Now, step: &mut Step<Effect>) {
        let unknown = || CommandError::NotFound {
            what: "binding",
            id: request.to_string(),
            hint: "`tradepost binding list` shows this node's",
        };
        let done = self.with_trade(request, step, |market, trade, step| {
            if trade.state.negotiation == Negotiation::Requested && trade.state.side == Side::Consumer {
                trade.negotiate(NegotiationEvent::Cancel);
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
            market.move_session(trade, event, "its owner ended it", step);
            debug_assert_eq!(trade.state.told, Told::EndPending);
            market.tell(trade, now, step);
            Ok(Answer::Unbound)
        });
        Self::answer(step, id, done.unwrap_or_else(|| Err(unknown())));
    }

    /// Commands that have waited long enough are answered.
    pub(super) fn expire_binds(&mut self, now: Now, step: &mut Step<Effect>) {
        let late: Vec<CommandId> = self.binds.iter().filter(|(_, b)| now > b.until).map(|(id, _)| *id).collect();
        for id in late {
            self.binds.remove(&id);
            let error = CommandError::Timeout { what: "the pre-checks' answers", consequence: "no money moved" };
            step.then(Effect::Answer { id, result: Err(error) });
        }
    }

    /// Reading what the pre-checks look at failed.
    pub(super) fn precheck_unreadable(&mut self, id: CommandId, why: String, step: &mut Step<Effect>) {
        if self.binds.remove(&id).is_some() {
            Self::answer(step, id, Err(PrecheckFailure::LedgerUnavailable(why)));
        }
    }
}
