//! The money of an `arbitrated` binding, on a party's side: released, taken to the arbiters, awarded.

mod commands;
mod lost;
mod showing;

use rand_core::CryptoRng;

use crate::account::{PeerId, ServingKey};
use crate::binding::dispute::{self, Decision, DisputeState, Opening, Split};
use crate::binding::evidence::{self, Chain};
use crate::binding::frames::{self, Ack, Award, Closing, Dispute, Evidence, Rejected, Released, SealedEvidence};
use crate::binding::negotiation::Negotiation;
use crate::binding::phase::Side;
use crate::binding::seen::{Package, Seen};
use crate::binding::session::{Session, SessionEvent};
use crate::binding::trade::Trade;
use crate::escrow::outcome::EscrowState;
use crate::kind::Kind;
use crate::market::Market;
use crate::market::event::{Call, Effect};
use crate::market::trades::CLOSING_TOLD_FOR;
use crate::message::{BindingId, MessageId, Packed, TxHash};
use crate::refusal::{Reason, Refusal};
use crate::step::Step;
use crate::time::Now;

/// The pause before a word is repeated that wasn't answered grows to the heartbeat's interval times two to this.
const MAX_PAUSE_DOUBLINGS: u32 = 5;

/// What a party's owner reads where the other side asks the arbiters about another balance.
const OTHER_BALANCE: &str = "the other side named another balance to the arbiters than this binding's; they sign for the one \
    that this node names";

/// One word on its way to one addressee; the next one waits for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outgoing {
    sending: bool,
    tries: u32,
    retry_at: Now,
    /// When an addressee that has everything is asked whether it still does.
    ask_at: Now,
}

/// What an addressee of a dispute must hear next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisputeWord {
    /// What this side signs for.
    Released(Split),
    /// That this side asks the arbiters.
    Opening,
    /// An item of evidence.
    Evidence(u32),
    /// An arbiter's award of this number.
    Award(u32),
    /// Which transaction of this side pays the arbiters.
    Settlement(TxHash),
    /// A party's word, by its id, on how it settles an award.
    Version(MessageId),
}

impl DisputeWord {
    /// The kind of its frame, which an acknowledgement names.
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Released(_) => Kind::Released,
            Self::Opening => Kind::Dispute,
            Self::Evidence(_) => Kind::Evidence,
            Self::Award(_) => Kind::Award,
            Self::Settlement(_) => Kind::Closing,
            Self::Version(_) => Kind::Cosign,
        }
    }
}

impl Market {
    /// What this node's side holds to be right about a binding's money: what it asked the arbiters for, once it has;
    /// before, what follows from how the session ended.
    pub fn claims(&self, trade: &Trade) -> Option<Split> {
        self.holds_right(trade, trade.state.session, trade.state.seen)
    }

    /// What this node's side would hold to be right about a binding's money if its owner ended it now; `None` where its
    /// owner decides, and where there is nothing to end.
    pub fn claims_if_unbound(&self, trade: &Trade, now: Now) -> Option<Split> {
        let event = match trade.state.side {
            Side::Consumer => SessionEvent::ConsumerUnbinds,
            Side::Provider => SessionEvent::ProviderUnbinds,
        };
        let ended = trade.state.session.on(event)?;
        self.holds_right(trade, ended, trade.seen_at(now))
    }

    /// What follows from how a session ended, and from what was seen of it. Under `timed` the provider's node alone decides,
    /// by the session.
    fn holds_right(&self, trade: &Trade, session: Session, seen: Seen) -> Option<Split> {
        let agreed = trade.terms()?;
        let asked = trade.state.dispute.as_ref().and_then(|record| record.claimed_by(trade.state.side));
        if asked.is_some() {
            return asked;
        }
        match (trade.escrow(), trade.state.side) {
            (EscrowState::Refused(_), _) => Some(Split::all_to(Side::Consumer, agreed.amount)),
            (_, Side::Consumer) if trade.state.dispute.is_some() => {
                let package = Package { unit: agreed.unit, units: agreed.units, amount: agreed.amount };
                // That a service began is heard within two heartbeats.
                seen.claim(session.end()?, package, self.setup.margins.heartbeat_every.as_secs() * 2)
            }
            _ => dispute::earned(session, agreed.amount),
        }
    }

    /// Does what is due about a binding's money: concedes what isn't claimed, asks the arbiters where the timeout would
    /// favour the other side, and tells whoever must hear of it.
    pub(super) fn drive_dispute(
        &mut self,
        trade: &mut Trade,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(deadlines) = trade.terms().and_then(|a| a.terms.arbitrated()).copied() else { return };
        let stands = matches!(trade.escrow(), EscrowState::Locked | EscrowState::Refused(_));
        if !stands || trade.state.timed_out || trade.state.negotiation != Negotiation::Agreed {
            return;
        }
        let (own, claims) = (trade.state.side, self.claims(trade));
        if let (Some(record), Some(claim)) = (&mut trade.state.dispute, claims)
            && claim.share(own).is_zero()
            && record.released(own).is_none()
        {
            record.release(own, claim, own, claims);
        }
        let lead = deadlines.dispute_by().minus(self.setup.margins.dispute_lead);
        let time = now.timestamp();
        let due = time >= lead && time < deadlines.dispute_by();
        if let Some(claim) = Self::must_ask_for(trade, claims).filter(|_| due) {
            self.open_dispute(trade, claim, now, step);
        }
        if let Some(record) = trade.state.dispute.as_mut().filter(|_| time >= deadlines.award_by()) {
            record.award_by_passed();
        }
        if time < deadlines.award_by() {
            self.show_the_end(trade, now, step);
        }
        self.tell_of_dispute(trade, now, rng, step);
    }

    /// What this side has to ask the arbiters for, where it would lose that at T: what its node holds to be right, or, where the
    /// node can't tell, what its owner signed for and nobody has settled.
    fn must_ask_for(trade: &Trade, claims: Option<Split>) -> Option<Split> {
        let (own, record) = (trade.state.side, trade.state.dispute.as_ref()?);
        let favoured = Side::by_timeout(trade.terms().is_some_and(|a| a.pay_unless_disputed));
        let quiet = matches!(record.state(), DisputeState::None | DisputeState::Released);
        let claim = claims.or(record.released(own))?;
        (favoured != own && quiet && !claim.share(own).is_zero()).then_some(claim)
    }

    /// Asks the arbiters, and shows them what this node knows.
    pub(super) fn open_dispute(&mut self, trade: &mut Trade, claim: Split, now: Now, step: &mut Step<Effect>) -> bool {
        let (by, at) = (trade.state.side, now.timestamp());
        let opened = trade.state.dispute.as_mut().is_some_and(|record| record.open(Opening { by, at, claim }));
        if opened {
            self.show_what_is_known(trade, now, step);
        }
        opened
    }

    /// What each addressee must hear next.
    fn dispute_words(trade: &Trade) -> Vec<(ServingKey, PeerId, DisputeWord)> {
        let (Some(record), Some(agreement), Some(other)) =
            (&trade.state.dispute, trade.terms(), Self::other_key(trade))
        else {
            return Vec::new();
        };
        let own = trade.state.side;
        let opened_here = record.opening().is_some_and(|opening| opening.by == own);
        let asked_here = record.asked_by(own).is_some();
        let mut words = Vec::new();
        match record.released(own) {
            Some(split) if record.heard.released != Some(split) => {
                words.push((other, trade.state.peer.clone(), DisputeWord::Released(split)));
            }
            _ if opened_here && !record.heard.opening => {
                words.push((other, trade.state.peer.clone(), DisputeWord::Opening));
            }
            _ => {}
        }
        if record.opening().is_none() {
            return words;
        }
        // Once it is decided only those hear more that had it and have it no more: they are needed to settle it.
        let awarded = record.state() == DisputeState::Awarded;
        let heard = agreement.arbiters.iter().zip(&record.heard.arbiters);
        for (arbiter, heard) in heard.filter(|(_, heard)| heard.lost || !awarded) {
            let word = if (asked_here || heard.lost) && !heard.opening {
                DisputeWord::Opening
            } else if heard.evidence < record.shown.next {
                DisputeWord::Evidence(heard.evidence)
            } else {
                continue;
            };
            words.push((arbiter.key, arbiter.peer.clone(), word));
        }
        words
    }

    fn tell_of_dispute(&mut self, trade: &mut Trade, now: Now, rng: &mut dyn CryptoRng, step: &mut Step<Effect>) {
        let Some(binding) = trade.binding() else { return };
        for (to, peer, word) in Self::dispute_words(trade) {
            if !self.may_tell(binding, to, now) {
                continue;
            }
            if let Some(bytes) = self.dispute_frame(trade, to, word, rng) {
                self.tell_one(binding, to, peer, word, bytes, step);
            }
        }
        self.ask_after_case(trade, binding, now, rng, step);
    }

    pub(super) fn may_tell(&self, binding: BindingId, to: ServingKey, now: Now) -> bool {
        self.outgoing.get(&(binding, to)).is_none_or(|out| !out.sending && now >= out.retry_at)
    }

    /// A party of a case is there: what its arbiter couldn't tell it waits no longer. Its arbiter alone does so, or the two of
    /// them would answer each other for ever.
    pub(super) fn is_there(&mut self, binding: BindingId, party: ServingKey) {
        if let Some(out) = self.outgoing.get_mut(&(binding, party)) {
            (out.tries, out.retry_at) = (0, Now::default());
        }
    }

    pub(super) fn tell_one(
        &mut self,
        binding: BindingId,
        to: ServingKey,
        peer: PeerId,
        word: DisputeWord,
        bytes: Vec<u8>,
        step: &mut Step<Effect>,
    ) {
        self.outgoing.entry((binding, to)).or_default().sending = true;
        step.then(Effect::Send { peer, call: Call::Dispute { binding, to, word }, bytes });
    }

    /// Tells the arbiters by which transaction of this side they are paid, until all know or it no longer matters: one that
    /// wasn't there while it was signed can't know.
    pub(super) fn tell_of_settlement(
        &mut self,
        trade: &mut Trade,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let (Some(binding), Some(record)) = (trade.binding(), &trade.state.dispute) else { return };
        let (Some(hash), Some(agreed)) = (record.heard.settlement, trade.terms()) else { return };
        let over = agreed.terms.refund_at().is_some_and(|t| now.timestamp() >= t.plus(CLOSING_TOLD_FOR));
        let waits = agreed.arbiters.iter().zip(&record.heard.arbiters).filter(|(_, heard)| !heard.settlement);
        let waits: Vec<_> = waits.map(|(arbiter, _)| (arbiter.key, arbiter.peer.clone())).collect();
        for (to, peer) in waits.into_iter().filter(|_| !over) {
            let word = DisputeWord::Settlement(hash);
            if self.may_tell(binding, to, now)
                && let Some(bytes) = self.dispute_frame(trade, to, word, rng)
            {
                self.tell_one(binding, to, peer, word, bytes, step);
            }
        }
        if let Some(record) = trade.state.dispute.as_mut().filter(|_| over) {
            record.heard.settlement = None;
        }
    }

    fn dispute_frame(
        &self,
        trade: &Trade,
        to: ServingKey,
        word: DisputeWord,
        rng: &mut dyn CryptoRng,
    ) -> Option<Vec<u8>> {
        let (own, binding, agreement) = (self.own_key(trade)?, trade.binding()?, trade.agreement.as_ref()?);
        let (key, side) = (ServingKey::of(&own), trade.state.side);
        match word {
            DisputeWord::Released(split) => self.frame(Released { key, binding, split }, &own),
            DisputeWord::Opening => {
                let record = trade.state.dispute.as_ref()?;
                // Of an arbiter that lost the case either side asks for it again, also one that hadn't asked before.
                let (opening, all) = (*record.opening()?, Split::all_to(side, agreement.body().amount));
                let own_claim = || self.claims(trade).unwrap_or(all);
                let Opening { at, claim, .. } =
                    record.asked_by(side).copied().unwrap_or_else(|| Opening { claim: own_claim(), ..opening });
                let place = agreement.body().arbiters.iter().position(|a| a.key == to);
                let receipt = place.and_then(|place| record.heard.arbiters[place].receipt);
                let (balance, agreement) = (trade.state.balance?, agreement.packed().bytes().to_vec());
                self.frame(Dispute { key, binding, at, claim, balance, agreement, receipt }, &own)
            }
            DisputeWord::Evidence(number) => {
                let arbiter = agreement.body().arbiters.iter().find(|a| a.key == to)?;
                let bytes = self.evidence.get(&Chain::key(binding, side, number))?;
                let sealed = evidence::seal(rng, &arbiter.sealing, binding, side, bytes).ok()?;
                self.frame(Evidence { key, binding, number, sealed: SealedEvidence::new(sealed)? }, &own)
            }
            DisputeWord::Settlement(transaction) => self.frame(Closing { key, binding, transaction }, &own),
            DisputeWord::Award(_) | DisputeWord::Version(_) => None,
        }
    }

    /// An addressee answers, or doesn't. Whether it has the word now.
    pub(super) fn word_acknowledged(
        &mut self,
        (binding, to, word): (BindingId, ServingKey, DisputeWord),
        result: Result<Vec<u8>, String>,
        now: Now,
    ) -> (bool, Option<String>) {
        let bytes = result.ok().filter(|bytes| !bytes.is_empty());
        let ack = bytes.as_ref().and_then(|bytes| self.open_answer::<Ack>(bytes));
        let heard = ack.is_some_and(|a| (a.key, a.binding, a.step) == (to, binding, word.kind().number()));
        let refused = bytes.as_ref().and_then(|bytes| self.open_answer::<Rejected>(bytes));
        let refused = refused.filter(|r| (r.key, r.binding) == (to, binding)).map(|r| r.note.to_string());
        let ask_at = self.ask_again_at(now);
        let out = self.outgoing.entry((binding, to)).or_default();
        out.sending = false;
        out.tries = if heard { 0 } else { out.tries.saturating_add(1) };
        let pause = self.setup.margins.heartbeat_every * (1 << out.tries.min(MAX_PAUSE_DOUBLINGS));
        out.retry_at = if heard { now } else { now.plus(pause) };
        if heard {
            out.ask_at = ask_at;
        }
        (heard, refused)
    }

    /// An addressee of a party's word answers.
    pub(super) fn dispute_answered(
        &mut self,
        call: (BindingId, ServingKey, DisputeWord),
        result: Result<Vec<u8>, String>,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let (binding, to, word) = call;
        let answer = result.clone().unwrap_or_default();
        let (heard, refused) = self.word_acknowledged(call, result, now);
        if self.cases.contains_key(&binding) {
            return self.case_word_answered((binding, to, word), heard, &answer, step);
        }
        let Some(request) = self.by_binding.get(&binding).copied() else { return };
        self.with_trade(request, step, |market, trade, _| {
            market.hear_what_it_has(trade, to, &answer);
            let place = trade.terms().and_then(|a| a.arbiters.iter().position(|a| a.key == to));
            if let (Some(why), Some(_)) = (refused, place) {
                trade.state.note = Some(frames::Note::new(format!("an arbiter doesn't take the case: {why}")));
            }
            let Some(record) = trade.state.dispute.as_mut().filter(|_| heard) else { return };
            match (word, place) {
                (DisputeWord::Released(split), None) => record.heard.released = Some(split),
                (DisputeWord::Opening, None) => record.heard.opening = true,
                (DisputeWord::Opening, Some(place)) => record.heard.arbiters[place].opening = true,
                (DisputeWord::Settlement(_), Some(place)) => {
                    record.heard.arbiters[place].settlement = true;
                    if record.heard.arbiters.iter().all(|arbiter| arbiter.settlement) {
                        record.heard.settlement = None;
                    }
                }
                (DisputeWord::Evidence(number), Some(place)) => {
                    let known = &mut record.heard.arbiters[place].evidence;
                    *known = (*known).max(number + 1);
                }
                _ => {}
            }
        });
    }

    /// The other party signs for a division.
    pub(super) fn released_received(
        &mut self,
        packed: Packed,
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<Vec<u8>, Refusal> {
        let (network, bytes) = (self.setup.network, frames::to_stream(&packed));
        let released = packed.open::<Released>(&network)?.into_body();
        let request = self.trade_of(released.binding, released.key)?;
        let answer = self.with_trade(request, step, |market, trade, _| {
            trade.volatile.heard_at = now;
            let (own, claims) = (trade.state.side, market.claims(trade));
            let amount = trade.terms()?.amount;
            let fits = !trade.state.timed_out && released.split.divides(amount);
            let record = trade.state.dispute.as_mut().filter(|_| fits)?;
            record.keep(&bytes);
            record.release(dispute::other(own), released.split, own, claims);
            market.ack(trade, Kind::Released)
        });
        answer.flatten().ok_or_else(no_dispute)
    }

    /// A party asks the arbiters; its own word, whoever brings it. This side's comes back to it where its arbiter has it and
    /// this node, restored from a backup, has it no more. In time is what was said before `dispute_by`; it may be heard until
    /// T, for whoever was away has to know that the arbiters were asked before their award is one.
    pub(super) fn dispute_received_by_party(
        &mut self,
        dispute: Dispute,
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<Vec<u8>, Refusal> {
        let own = self.by_binding.get(&dispute.binding).and_then(|request| self.trades.get(request));
        let own = own.filter(|trade| self.own_key(trade).as_ref().map(ServingKey::of) == Some(dispute.key));
        let is_own = own.is_some();
        let request = match own {
            Some(trade) => trade.request_id(),
            None => self.trade_of(dispute.binding, dispute.key)?,
        };
        let answer = self.with_trade(request, step, |market, trade, step| {
            let (deadlines, amount) = (trade.terms()?.terms.arbitrated().copied()?, trade.terms()?.amount);
            let by = if is_own { trade.state.side } else { dispute::other(trade.state.side) };
            let timed_out = trade.state.timed_out || now.timestamp() >= deadlines.timeout_at();
            let record = trade.state.dispute.as_mut()?;
            let opening = Opening { by, at: dispute.at, claim: dispute.claim };
            let in_time = !timed_out && dispute.at < deadlines.dispute_by();
            let known = record.opening().is_some();
            let taken = known || (in_time && record.open(opening));
            if !taken {
                return market.not_now(trade);
            }
            if !is_own && now.timestamp() < deadlines.dispute_by() {
                let (by, at) = (trade.state.side, now.timestamp());
                let claim = market.claims(trade).unwrap_or(Split::all_to(by, amount));
                if let Some(record) = &mut trade.state.dispute {
                    record.answer(Opening { by, at, claim });
                }
            }
            if trade.state.balance != Some(dispute.balance) {
                trade.state.note = Some(frames::Note::new(OTHER_BALANCE));
            }
            if now.timestamp() < deadlines.award_by() {
                market.show_what_is_known(trade, now, step);
            }
            market.ack(trade, Kind::Dispute)
        });
        answer.flatten().ok_or_else(no_dispute)
    }

    /// An arbiter of one of this node's bindings decided. Whoever hears that before it knows that the arbiters were asked says
    /// so: its arbiter then tells it who asked first, and the award again.
    pub(super) fn award_received(&mut self, award: Award, step: &mut Step<Effect>) -> Result<Vec<u8>, Refusal> {
        let request = self.by_binding.get(&award.binding).copied();
        let Some(request) = request else { return self.fellow_award(award, step) };
        let answer = self.with_trade(request, step, |market, trade, _| {
            trade.terms()?.arbiters.iter().find(|arbiter| arbiter.key == award.key)?;
            let record = trade.state.dispute.as_mut()?;
            let decision = Decision { arbiter: award.key, number: award.number, split: award.split, note: award.note };
            if !record.is_divided_by(decision.split) {
                return market.not_now(trade);
            }
            record.decide(decision);
            let asked = record.opening().is_some();
            if asked { market.ack(trade, Kind::Award) } else { market.lacks_opening(trade) }
        });
        answer.flatten().ok_or_else(|| Refusal::new(Reason::BadSignature, "not one of the binding's arbiters"))
    }

    /// Forgets the pauses of what is over.
    pub(super) fn tend_outgoing(&mut self) {
        let (trades, by_binding, cases) = (&self.trades, &self.by_binding, &self.cases);
        self.outgoing.retain(|(binding, _), _| {
            let trade = by_binding.get(binding).and_then(|request| trades.get(request));
            let open = |trade: &Trade| !trade.phase().is_final() || trade.owes_arbiters();
            cases.contains_key(binding) || trade.is_some_and(open)
        });
        self.payees.retain(|binding, _| {
            let trade = by_binding.get(binding).and_then(|request| trades.get(request));
            trade.is_some_and(|trade| !trade.phase().is_final())
        });
    }
}

fn no_dispute() -> Refusal {
    Refusal::new(Reason::UnknownSeries, "there is no dispute to be had about this binding here")
}
