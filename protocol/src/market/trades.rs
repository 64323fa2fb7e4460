//! What both sides of a binding share: storing it, hearing of each other, ending it, and sorting frames by kind.

use core::time::Duration;

use ed25519_dalek::SigningKey;
use rand_core::CryptoRng;

use crate::account::{PeerId, ServingKey};
use crate::binding::frames::{self, Ack, Closing, Delivered, NotNow, Note, Ping, Pong, StartFailed, Started, Unbind};
use crate::binding::phase::Side;
use crate::binding::session::{End, Session, SessionEvent};
use crate::binding::trade::{Told, Trade};
use crate::kind::Kind;
use crate::market::event::{Call, Effect, News, Token};
use crate::market::{Market, consumer};
use crate::message::{BindingId, MessageId, Packed, Payload, Signed};
use crate::refusal::{Reason, Refusal};
use crate::step::{Space, Step};
use crate::time::Now;

/// For how long after T a consumer that can't be reached is still told which transaction closed its escrow.
pub(super) const CLOSING_TOLD_FOR: Duration = Duration::from_secs(3_600);

impl Market {
    /// Lets `change` work on a trade, then stores it where anything changed.
    pub(super) fn with_trade<R>(
        &mut self,
        request: MessageId,
        step: &mut Step<Effect>,
        change: impl FnOnce(&mut Self, &mut Trade, &mut Step<Effect>) -> R,
    ) -> Option<R> {
        let mut trade = self.trades.remove(&request)?;
        let before = (trade.state.clone(), trade.agreement.is_some());
        let result = change(self, &mut trade, step);
        if before != (trade.state.clone(), trade.agreement.is_some()) {
            self.store_trade(&trade, step);
        }
        self.insert_trade(trade);
        Some(result)
    }

    /// Puts a trade into the store and tells whoever watches.
    pub(super) fn store_trade(&self, trade: &Trade, step: &mut Step<Effect>) {
        let request = trade.request_id();
        let bytes = trade.to_bytes().expect("a trade's parts are bounded well below a stored value's limit");
        step.batch().put(Space::Binding, *request.as_bytes(), bytes);
        step.then(Effect::News(News::Binding(request)));
    }

    pub(super) fn insert_trade(&mut self, trade: Trade) {
        if let Some(binding) = trade.binding() {
            self.by_binding.insert(binding, trade.request_id());
        }
        self.trades.insert(trade.request_id(), trade);
    }

    /// The key that signs for this node's side.
    pub(super) fn own_key(&self, trade: &Trade) -> Option<SigningKey> {
        match trade.state.side {
            Side::Provider => self.setup.keys.serving.clone(),
            Side::Consumer => {
                let account = self.setup.keys.account.as_ref()?;
                Some(consumer::trade_keys(account, &trade.request.body().nonce).0)
            }
        }
    }

    /// The key that signs for the other side.
    pub(super) fn other_key(trade: &Trade) -> Option<ServingKey> {
        let terms = trade.terms()?;
        Some(match trade.state.side {
            Side::Provider => terms.consumer_key,
            Side::Consumer => terms.serving_key,
        })
    }

    /// A frame of this node's, ready for a stream; `None` without the key that its body names.
    pub(super) fn frame<T: Payload>(&self, body: T, key: &SigningKey) -> Option<Vec<u8>> {
        let signed = Signed::sign(body, &self.setup.network, key).ok()?;
        Some(frames::to_stream(signed.packed()))
    }

    /// Sends a frame that wants an answer, one at a time for a trade.
    pub(super) fn send<T: Payload>(&self, trade: &mut Trade, call: Call, body: T, step: &mut Step<Effect>) {
        let Some(key) = self.own_key(trade) else { return };
        if let Some(bytes) = self.frame(body, &key) {
            trade.volatile.sending = true;
            step.then(Effect::Send { peer: trade.state.peer.clone(), call, bytes });
        }
    }

    /// Whether a frame that wants an answer may go out now.
    pub(super) fn may_send(trade: &Trade, now: Now) -> bool {
        !trade.volatile.sending && now >= trade.volatile.retry_at
    }

    /// Does what is due for one trade.
    pub(super) fn drive(&mut self, request: MessageId, now: Now, rng: &mut dyn CryptoRng, step: &mut Step<Effect>) {
        self.with_trade(request, step, |market, trade, step| {
            trade.state.timed_out |= market.past_refund(trade);
            if market.stands_still() {
                return market.finish_on_the_ledger(trade, now, step);
            }
            match trade.state.side {
                Side::Provider => market.drive_provider(trade, now, rng, step),
                Side::Consumer => market.drive_consumer(trade, now, step),
            }
            market.reach_out(trade, now, rng, step);
            market.keep_in_touch(trade, now, rng, step);
            market.drive_dispute(trade, now, rng, step);
            market.drive_settlement(trade, now, step);
            market.tell_of_settlement(trade, now, rng, step);
            market.drive_leftovers(trade, now, step);
            market.tell(trade, now, step);
        });
    }

    pub(super) fn past_refund(&self, trade: &Trade) -> bool {
        let refund_at = trade.terms().and_then(|a| a.terms.refund_at());
        self.close_time().zip(refund_at).is_some_and(|(closed, t)| closed >= t)
    }

    /// Heartbeats, and what their absence means.
    fn keep_in_touch(&mut self, trade: &mut Trade, now: Now, rng: &mut dyn CryptoRng, step: &mut Step<Effect>) {
        if !matches!(trade.state.session, Session::Starting | Session::Active | Session::Away) {
            return;
        }
        let (grace, heartbeat_every) = (self.setup.margins.grace, self.setup.margins.heartbeat_every);
        let silent = now.since(trade.volatile.heard_at);
        let event = if silent > grace {
            Some(match trade.state.side {
                Side::Provider => SessionEvent::ConsumerSilent,
                Side::Consumer => SessionEvent::ProviderSilent,
            })
        } else if silent > heartbeat_every * 2 {
            Some(SessionEvent::HeartbeatMissing)
        } else {
            None
        };
        if let Some(event) = event {
            self.move_session(trade, event, "no sign of life for the grace time", step);
        }
        if now.since(trade.volatile.beat_at) < heartbeat_every || trade.state.session.end().is_some() {
            return;
        }
        let (Some(key), Some(whom), Some(binding)) = (self.own_key(trade), Self::other_key(trade), trade.binding())
        else {
            return;
        };
        trade.volatile.beat_at = now;
        rng.fill_bytes(&mut trade.volatile.beat_nonce);
        let nonce = trade.volatile.beat_nonce;
        let ping = Ping { key: ServingKey::of(&key), whom, binding: Some(binding), nonce };
        if let Some(bytes) = self.frame(ping, &key) {
            step.then(Effect::Send { peer: trade.state.peer.clone(), call: Call::Heartbeat(binding), bytes });
        }
    }

    /// Moves a session and does what its end asks for on this side.
    pub(super) fn move_session(&mut self, trade: &mut Trade, event: SessionEvent, why: &str, step: &mut Step<Effect>) {
        let ran = trade.state.session.runs();
        if !trade.session(event) {
            return;
        }
        if let (Some(_), Some(binding)) = (trade.state.session.end(), trade.binding()) {
            if !why.is_empty() {
                trade.state.note = Some(Note::new(why));
            }
            trade.volatile.retry_at = Now::default();
            if ran && trade.state.side == Side::Provider {
                step.then(Effect::StopService { binding });
            }
        }
    }

    /// Tells the other side what it must know, until it acknowledges or it no longer matters.
    pub(super) fn tell(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        let Some((binding, terms)) = trade.binding().zip(trade.terms()) else { return };
        let end = terms.terms.refund_at().unwrap_or(terms.terms.deliver_by().plus(self.setup.margins.grace));
        if trade.owes_word() && now.timestamp() >= end {
            // From T on the end no longer matters, who was paid still does.
            trade.state.told = match trade.state.told {
                Told::ClosingPending if now.timestamp() >= end.plus(CLOSING_TOLD_FOR) => Told::Closing,
                _ if trade.state.side == Side::Provider && trade.state.closing.is_some() => Told::ClosingPending,
                _ => Told::End,
            };
        }
        if !trade.owes_word() || !Self::may_send(trade, now) {
            return;
        }
        let Some(key) = self.own_key(trade).as_ref().map(ServingKey::of) else { return };
        let call = Call::Tell(binding);
        trade.volatile.telling = Some(trade.state.told);
        let note = trade.state.note.clone().unwrap_or_else(|| Note::new(""));
        match (trade.state.told, trade.state.session, trade.state.side) {
            (Told::StartPending, _, _) => {
                if let Some(access) = trade.state.sealed.clone() {
                    self.send(trade, call, Started { key, binding, access }, step);
                }
            }
            (Told::ClosingPending, _, _) => {
                if let Some(transaction) = trade.state.closing {
                    self.send(trade, call, Closing { key, binding, transaction }, step);
                }
            }
            (_, Session::Ended(End::StartFailed), _) => {
                self.send(trade, call, StartFailed { key, binding, note }, step)
            }
            (_, Session::Ended(End::UnboundByProvider | End::Drained | End::ProviderGone), _)
            | (_, Session::Ended(End::UnboundByConsumer | End::UnboundUnstarted), Side::Consumer) => {
                self.send(trade, call, Unbind { key, binding, note }, step);
            }
            (_, Session::Ended(end), _) => {
                let used = trade.state.used;
                self.send(trade, call, Delivered { key, binding, end, used }, step);
            }
            _ => {}
        }
    }

    /// A frame came over a direct stream.
    pub(super) fn direct(
        &mut self,
        token: Token,
        peer: PeerId,
        bytes: &[u8],
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        if self.stands_still() {
            // Whoever it is for, it is said again.
            return step.then(Effect::Respond { token, bytes: Vec::new() });
        }
        let network = self.setup.network;
        let answer = frames::from_stream(&network, bytes).and_then(|packed| match packed.kind() {
            Kind::BindingRequest => self.request_received(token, &peer, packed, now, step).map(|()| None),
            Kind::Ping => self.ping_received(packed.open(&network)?.into_body(), &peer, now, step).map(Some),
            Kind::Agreement => self.agreement_received(packed, now, rng, step).map(Some),
            Kind::Join => self.join_received(token, &peer, packed, now, step).map(|()| None),
            Kind::Engage => self.engage_received(packed.open(&network)?.into_body(), now).map(Some),
            Kind::Fund => self.fund_received(packed.open(&network)?.into_body(), now, rng, step).map(Some),
            Kind::Released => self.released_received(packed, now, step).map(Some),
            Kind::Cosign => self.cosign_received(packed, &peer, now, step).map(Some),
            Kind::Dispute => self.dispute_received((token, &peer), packed, now, step),
            Kind::Evidence => self.evidence_received(packed.open(&network)?.into_body(), now, step).map(Some),
            Kind::Award => self.award_received(packed.open(&network)?.into_body(), step).map(Some),
            Kind::Started | Kind::StartFailed | Kind::Delivered | Kind::Unbind | Kind::Closing => {
                self.word_received(packed, now, step).map(Some)
            }
            other => Err(Refusal::new(Reason::WrongKind, format_args!("a {other} is no request of a trade"))),
        });
        match answer {
            Ok(None) => {}
            Ok(Some(bytes)) => step.then(Effect::Respond { token, bytes }),
            Err(refusal) => {
                self.misbehaved(peer, refusal, step);
                step.then(Effect::Respond { token, bytes: Vec::new() });
            }
        }
    }

    /// The trade that a frame is about, where its signer is the other side.
    pub(super) fn trade_of(&self, binding: BindingId, signer: ServingKey) -> Result<MessageId, Refusal> {
        let request = self.by_binding.get(&binding).copied();
        let trade = request.and_then(|r| self.trades.get(&r));
        match trade {
            Some(trade) if Self::other_key(trade) == Some(signer) => Ok(trade.request_id()),
            Some(_) => Err(Refusal::new(Reason::BadSignature, "not signed by the other side of the binding")),
            None => Err(Refusal::new(Reason::UnknownSeries, format_args!("no binding {binding} is known here"))),
        }
    }

    fn ping_received(
        &mut self,
        ping: Ping,
        peer: &PeerId,
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<Vec<u8>, Refusal> {
        let nothing = || Refusal::new(Reason::UnknownSeries, "nobody here signs under the key that the ping asks for");
        let Some(binding) = ping.binding else {
            let serves = !self.draining && !self.holds_back(now);
            let key = self.setup.keys.serving.as_ref().filter(|k| ServingKey::of(k) == ping.whom && serves);
            let pong = match key {
                Some(key) => self.frame(Pong { key: ping.whom, nonce: ping.nonce }, key),
                None => self.approached(&ping, now),
            };
            return pong.ok_or_else(nothing);
        };
        let request = self.trade_of(binding, ping.key)?;
        let answer = self.with_trade(request, step, |market, trade, step| {
            let key = market.own_key(trade).filter(|k| ServingKey::of(k) == ping.whom)?;
            if trade.state.session.end().is_some() {
                return market.not_now(trade);
            }
            trade.state.peer = peer.clone();
            market.heard(trade, now, step);
            market.frame(Pong { key: ping.whom, nonce: ping.nonce }, &key)
        });
        answer.flatten().ok_or_else(nothing)
    }

    /// A sign of life of the other side.
    pub(super) fn heard(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        trade.volatile.heard_at = now;
        trade.volatile.in_touch = true;
        self.move_session(trade, SessionEvent::Heartbeat, "", step);
    }

    /// A heartbeat is answered, or not.
    pub(super) fn heartbeat_answered(
        &mut self,
        binding: BindingId,
        result: Result<Vec<u8>, String>,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let Some(pong) = result.ok().and_then(|bytes| self.open_answer::<Pong>(&bytes)) else { return };
        let Some(request) = self.by_binding.get(&binding).copied() else { return };
        self.with_trade(request, step, |market, trade, step| {
            if Self::other_key(trade) == Some(pong.key) && trade.volatile.beat_nonce == pong.nonce {
                market.heard(trade, now, step);
            }
        });
    }

    /// The other side answered what it was told.
    pub(super) fn tell_answered(
        &mut self,
        binding: BindingId,
        result: Result<Vec<u8>, String>,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let network = self.setup.network;
        let answer = result.unwrap_or_default();
        let packed = frames::from_stream(&network, &answer).ok();
        let Some(request) = self.by_binding.get(&binding).copied() else { return };
        self.with_trade(request, step, |market, trade, _| {
            trade.volatile.sending = false;
            trade.volatile.retry_at = now.plus(market.setup.margins.heartbeat_every);
            let signed = packed.and_then(|packed| match packed.kind() {
                Kind::Ack => packed.open::<Ack>(&network).ok().map(|a| (a.body().key, a.body().binding)),
                Kind::NotNow => packed.open::<NotNow>(&network).ok().map(|n| (n.body().key, n.body().binding)),
                _ => None,
            });
            if signed.is_none() || signed != Self::other_key(trade).map(|key| (key, binding)) {
                return;
            }
            trade.volatile.heard_at = now;
            if let Some(record) = &mut trade.state.dispute {
                record.keep(&answer);
            }
            trade.acknowledged();
            trade.volatile.retry_at = now;
        });
    }

    /// The answer to a frame, where it is the kind that was hoped for.
    pub(super) fn open_answer<T: Payload>(&self, bytes: &[u8]) -> Option<T> {
        let packed = frames::from_stream(&self.setup.network, bytes).ok()?;
        packed.open::<T>(&self.setup.network).ok().map(Signed::into_body)
    }

    /// That a frame came at the wrong time.
    pub(super) fn not_now(&self, trade: &Trade) -> Option<Vec<u8>> {
        let key = self.own_key(trade)?;
        let state = match trade.state.session {
            Session::Ended(end) => end.as_str(),
            _ => trade.phase().as_str(),
        };
        let body = NotNow { key: ServingKey::of(&key), binding: trade.binding()?, state: Note::new(state) };
        self.frame(body, &key)
    }

    pub(super) fn ack(&self, trade: &Trade, kind: Kind) -> Option<Vec<u8>> {
        let key = self.own_key(trade)?;
        let body = Ack { key: ServingKey::of(&key), binding: trade.binding()?, step: kind.number() };
        self.frame(body, &key)
    }

    /// The other side says that the service runs, failed, or is over.
    fn word_received(&mut self, packed: Packed, now: Now, step: &mut Step<Effect>) -> Result<Vec<u8>, Refusal> {
        let network = self.setup.network;
        let (kind, bytes) = (packed.kind(), frames::to_stream(&packed));
        let word = match kind {
            Kind::Started => Word::Started(packed.open(&network)?.into_body()),
            Kind::StartFailed => Word::StartFailed(packed.open(&network)?.into_body()),
            Kind::Delivered => Word::Delivered(packed.open(&network)?.into_body()),
            Kind::Closing => Word::Closing(packed.open(&network)?.into_body()),
            _ => Word::Unbind(packed.open(&network)?.into_body()),
        };
        if let Word::Closing(closing) = &word
            && !self.by_binding.contains_key(&closing.binding)
        {
            return self.case_settled(closing, now, step);
        }
        let request = self.trade_of(word.binding(), word.key())?;
        let answer = self.with_trade(request, step, |market, trade, step| {
            let taken = match trade.state.side {
                Side::Consumer => market.word_to_consumer(trade, word, now, step),
                Side::Provider => market.word_to_provider(trade, word, step),
            };
            trade.volatile.heard_at = now;
            if let Some(record) = trade.state.dispute.as_mut().filter(|_| taken) {
                record.keep(&bytes);
            }
            if taken { market.ack(trade, kind) } else { market.not_now(trade) }
        });
        answer.flatten().ok_or_else(|| Refusal::new(Reason::UnknownSeries, "no key for this binding is here any more"))
    }

    fn word_to_provider(&mut self, trade: &mut Trade, word: Word, step: &mut Step<Effect>) -> bool {
        match (word, trade.state.session) {
            (Word::Unbind(_), Session::Ended(end)) if end.is_by_consumer() => true,
            (Word::Unbind(unbind), Session::Idle | Session::Starting | Session::Active | Session::Away) => {
                self.move_session(trade, SessionEvent::ConsumerUnbinds, unbind.note.as_str(), step);
                true
            }
            _ => false,
        }
    }
}

/// What one side tells the other about the session.
pub(super) enum Word {
    Started(Started),
    StartFailed(StartFailed),
    Delivered(Delivered),
    Closing(Closing),
    Unbind(Unbind),
}

impl Word {
    fn binding(&self) -> BindingId {
        match self {
            Self::Started(w) => w.binding,
            Self::StartFailed(w) => w.binding,
            Self::Delivered(w) => w.binding,
            Self::Closing(w) => w.binding,
            Self::Unbind(w) => w.binding,
        }
    }

    fn key(&self) -> ServingKey {
        match self {
            Self::Started(w) => w.key,
            Self::StartFailed(w) => w.key,
            Self::Delivered(w) => w.key,
            Self::Closing(w) => w.key,
            Self::Unbind(w) => w.key,
        }
    }
}
