//! A `bind` from the command to the request: everything that must hold before any money moves, in its order.

use core::time::Duration;

use rand_core::CryptoRng;

use crate::account::{PeerId, ServingKey};
use crate::amount::Stroops;
use crate::binding::deadlines::Terms;
use crate::binding::frames::{Ping, Pong};
use crate::binding::precheck::PrecheckFailure;
use crate::book::Listing;
use crate::document::{ArbiterService, Nonce};
use crate::limits::MAX_REQUEST_LIFE;
use crate::market::Market;
use crate::market::command::{Answer, CommandError, CommandId, Cost, EscrowWish};
use crate::market::consumer::{EscrowChoice, trade_keys};
use crate::market::event::{Ask, Call, Effect};
use crate::message::MessageId;
use crate::refusal::{Reason, Refusal};
use crate::stellar::entry::{AccountState, Entry};
use crate::stellar::ledger_key::Key;
use crate::step::Step;
use crate::time::Now;

/// How long the pre-checks may take in all.
const PRECHECK_LIFE: Duration = Duration::from_secs(30);
/// How long a request that isn't published waits for the provider's answer.
const REQUEST_LIFE: Duration = Duration::from_secs(60);

/// What a user wants to bind, and how it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// The offering.
    pub offering: MessageId,
    /// How many units.
    pub units: u64,
    /// How its money is to be held.
    pub escrow: EscrowWish,
    /// Only look.
    pub dry_run: bool,
    /// For how long the request is gossiped; straight to the provider, which must answer a ping now, where `None`.
    pub publish: Option<Duration>,
}

/// A `bind` whose pre-checks are under way.
#[derive(Debug)]
pub struct PendingBind {
    pub(super) wish: Wish,
    pub(super) nonce: [u8; 32],
    pub(in crate::market) cost: Option<Cost>,
    pub(super) choice: EscrowChoice,
    until: Now,
}

/// The node that serves an offering.
pub(super) fn provider_peer(listing: &Listing) -> Option<PeerId> {
    listing.offering.body().peer_ids.first().cloned()
}

/// Why an offering can't be bound now, as far as the book knows. A published request waits for a provider that isn't
/// there.
fn why_not_live(listing: &Listing, published: bool, now: Now) -> Option<&'static str> {
    if listing.withdrawn {
        Some("it was withdrawn")
    } else if listing.offering.body().valid_until < now.timestamp() {
        Some("it has expired")
    } else if listing.presence_at.is_none() && !published {
        Some("its provider's node hasn't been heard of lately; `tradepost request publish` asks by gossip")
    } else if !(listing.live || published && listing.bonded) {
        Some("it isn't complete here yet")
    } else {
        None
    }
}

impl Market {
    /// A user wants to bind: first everything that can be looked at is read.
    pub(in crate::market) fn bind(&mut self, id: CommandId, wish: Wish, now: Now, step: &mut Step<Effect>) {
        if let Some(life) = wish.publish.filter(|life| life.is_zero() || *life > MAX_REQUEST_LIFE) {
            let (most, asked) = (MAX_REQUEST_LIFE.as_secs(), life.as_secs());
            let why = format!("a request stands for 1 to {most} s, not {asked}");
            return Self::answer(step, id, Err(Refusal::new(Reason::InvalidDocument, why)));
        }
        let Some(listing) = self.listing_of(&wish.offering, now) else {
            return Self::answer(step, id, Err(PrecheckFailure::UnknownOffering(wish.offering.to_string())));
        };
        let Some(account) = self.setup.keys.account_id() else {
            return Self::answer(step, id, Err(PrecheckFailure::NoAccountKey));
        };
        let body = listing.offering.body();
        let mut keys = vec![Key::Account(account), Key::Account(body.recipient), Key::Balance(body.bond)];
        if !body.price.asset.is_native() {
            keys.extend([account, body.recipient].map(|a| Key::Trustline(a, body.price.asset.clone())));
            keys.extend(body.price.asset.issuer().map(Key::Account));
        }
        let amount = body.price.total(wish.units).unwrap_or(Stroops::MAX);
        if wish.publish.is_some() && self.needs_two_words(amount) {
            let why = "a published request isn't funded above `ledger.one_word_limit`, for nobody is there to compare two \
                       servers when its agreement comes: bind directly, or raise the limit";
            return Self::answer(step, id, Err(CommandError::NotNow(why.into())));
        }
        let ask = self.gated(Ask::Precheck(id), amount);
        let until = now.plus(PRECHECK_LIFE);
        let (nonce, cost, choice) = ([0; 32], None, EscrowChoice::default());
        self.binds.insert(id, PendingBind { wish, nonce, cost, choice, until });
        self.ask_once(ask, keys, step);
    }

    /// What the pre-checks look at is here: they run in their order, the ping last.
    pub(in crate::market) fn precheck_read(
        &mut self,
        id: CommandId,
        entries: &[Entry],
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(mut pending) = self.binds.remove(&id) else { return };
        let wish = pending.wish;
        let (cost, choice) = match self.precheck(&wish, entries, now) {
            Ok(passed) => passed,
            Err(failure) => return Self::answer(step, id, Err(failure)),
        };
        let (Some(listing), Some(account)) = (self.listing_of(&wish.offering, now), self.setup.keys.account.as_ref())
        else {
            return Self::answer(step, id, Err(PrecheckFailure::UnknownOffering(wish.offering.to_string())));
        };
        rng.fill_bytes(&mut pending.nonce);
        (pending.cost, pending.choice) = (Some(cost), choice);
        if let Some(life) = wish.publish {
            return self.publish_request(id, &pending, life, &listing, now, rng, step);
        }
        let key = trade_keys(account, &Self::nonce_of(&pending.nonce)).0;
        let body = listing.offering.body();
        let ping = Ping { key: ServingKey::of(&key), whom: body.serving_key, binding: None, nonce: pending.nonce };
        let Some((peer, bytes)) = provider_peer(&listing).zip(self.frame(ping, &key)) else {
            let failure = PrecheckFailure::NotLive { why: "its provider's node isn't known".into() };
            return Self::answer(step, id, Err(failure));
        };
        self.binds.insert(id, pending);
        step.then(Effect::Send { peer, call: Call::Precheck(id), bytes });
    }

    pub(super) fn nonce_of(random: &[u8; 32]) -> Nonce {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&random[..16]);
        Nonce::from_bytes(bytes)
    }

    /// Pre-checks 1 to 11, in their order.
    fn precheck(&self, wish: &Wish, entries: &[Entry], now: Now) -> Result<(Cost, EscrowChoice), PrecheckFailure> {
        let (listing, units) = (self.listing_of(&wish.offering, now), wish.units);
        let listing = listing.ok_or_else(|| PrecheckFailure::UnknownOffering(wish.offering.to_string()))?;
        let body = listing.offering.body();
        if let Some(why) = why_not_live(&listing, wish.publish.is_some(), now) {
            return Err(PrecheckFailure::NotLive { why: why.to_owned() });
        }
        if !entries.iter().any(|e| matches!(e, Entry::Balance(b) if b.id == body.bond)) {
            return Err(PrecheckFailure::NotBonded(listing.series));
        }
        if ArbiterService::is_one(body) {
            return Err(PrecheckFailure::IsArbiter);
        }
        let own = self.setup.keys.account_id();
        if own == Some(body.account) || own == Some(body.recipient) || self.offers.contains_key(&listing.series) {
            return Err(PrecheckFailure::OwnOffering);
        }
        if listing.outdated {
            return Err(PrecheckFailure::RecordOutdated);
        }
        let amount = self.precheck_terms(&listing, units)?;
        let choice = self.choose_escrow(body, amount, wish.escrow, entries, now)?;
        if !self.setup.policy.assets.contains(&body.price.asset) {
            return Err(PrecheckFailure::AssetNotAccepted(body.price.asset.clone()));
        }
        Self::precheck_payees(&listing, entries)?;
        let cost = self.precheck_wallet(&listing, amount, &choice, entries, now)?;
        self.precheck_clock(now)?;
        Ok((cost, choice))
    }

    /// 4 to 6: what the offering's terms and this node's policy have in common, and what it costs.
    fn precheck_terms(&self, listing: &Listing, units: u64) -> Result<Stroops, PrecheckFailure> {
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
        Ok(amount)
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
        amount: Stroops,
        choice: &EscrowChoice,
        entries: &[Entry],
        now: Now,
    ) -> Result<Cost, PrecheckFailure> {
        let body = listing.offering.body();
        let own = self.setup.keys.account_id().ok_or(PrecheckFailure::NoAccountKey)?;
        let account: Option<&AccountState> = entries.iter().find_map(|e| match e {
            Entry::Account(a) if a.id == own => Some(a),
            _ => None,
        });
        let account = account.ok_or(PrecheckFailure::NoOwnAccount(own))?;
        let terms = Terms::counted(now.timestamp(), &self.setup.margins, body, choice.kind);
        let returns_at = terms.and_then(|t| t.refund_at());
        let line = entries.iter().find_map(|e| match e {
            Entry::Trustline(t) if t.account == own && t.asset == body.price.asset => Some(t),
            _ => None,
        });
        self.cost_of(account, line, &body.price.asset, amount, choice.lock(&body.price.asset), returns_at)
    }

    /// 11: the ledger goes on, and the clock agrees with it.
    pub(super) fn precheck_clock(&self, now: Now) -> Result<(), PrecheckFailure> {
        let Some(newest) = self.point else {
            return Err(PrecheckFailure::LedgerUnavailable("no ledger was seen yet".into()));
        };
        let margins = &self.setup.margins;
        let age = now.since(newest.close_time.into());
        if age > margins.ledger_life {
            let why = format!("no new one for {} s, the newest is {}", age.as_secs(), newest.sequence);
            return Err(PrecheckFailure::LedgerUnavailable(why));
        }
        let seconds = |s: i64| s.unsigned_abs();
        match self.clock_skew {
            Some(ahead) if ahead > 0 && seconds(ahead) > margins.clock_ahead.as_secs() => {
                Err(PrecheckFailure::ClockOff { seconds: seconds(ahead), direction: "the clock is ahead" })
            }
            Some(ahead) if ahead < 0 && seconds(ahead) > margins.clock_behind.as_secs() => {
                Err(PrecheckFailure::ClockOff { seconds: seconds(ahead), direction: "the clock is behind" })
            }
            _ => Ok(()),
        }
    }

    /// 12: the provider's node answers a signed ping; then the request goes out.
    pub(in crate::market) fn precheck_pinged(
        &mut self,
        id: CommandId,
        result: Result<Vec<u8>, String>,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let Some(pending) = self.binds.remove(&id) else { return };
        let wish = pending.wish;
        let Some(listing) = self.listing_of(&wish.offering, now) else {
            return Self::answer(step, id, Err(PrecheckFailure::UnknownOffering(wish.offering.to_string())));
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
        if let (true, Some(cost)) = (wish.dry_run, pending.cost.clone()) {
            let escrow = pending.choice.clone();
            return Self::answer(step, id, Ok::<_, CommandError>(Answer::Quoted { cost, escrow }));
        }
        match self.request(&pending, &listing, REQUEST_LIFE, peer, now) {
            Ok(mut trade) => {
                trade.volatile.reached = true;
                self.waiting.insert(trade.request_id(), id);
                self.store_trade(&trade, step);
                let request = trade.request_id();
                self.insert_trade(trade);
                self.with_trade(request, step, |market, trade, step| market.drive_consumer(trade, now, step));
            }
            Err(refusal) => Self::answer(step, id, Err(refusal)),
        }
    }

    /// Commands that have waited long enough are answered.
    pub(in crate::market) fn expire_binds(&mut self, now: Now, step: &mut Step<Effect>) {
        let late: Vec<CommandId> = self.binds.iter().filter(|(_, b)| now > b.until).map(|(id, _)| *id).collect();
        for id in late {
            self.binds.remove(&id);
            let error = CommandError::Timeout { what: "the pre-checks' answers", consequence: "no money moved" };
            step.then(Effect::Answer { id, result: Err(error) });
        }
    }

    /// Reading what the pre-checks look at failed.
    pub(in crate::market) fn precheck_unreadable(&mut self, id: CommandId, why: String, step: &mut Step<Effect>) {
        if self.binds.remove(&id).is_some() {
            Self::answer(step, id, Err(PrecheckFailure::LedgerUnavailable(why)));
        }
    }
}
