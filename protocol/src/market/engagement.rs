//! Arbiters: chosen from both parties' lists, engaged by the provider before it agrees, and an arbiter's own answer.
//!
//! Nothing of an engagement is stored before the agreement that holds it: asked again, an arbiter signs the same bytes.

use core::time::Duration;

use crate::account::{AccountId, PeerId, ServingKey};
use crate::amount::Stroops;
use crate::binding::agreement::{AgreedArbiter, Agreement};
use crate::binding::deadlines::ArbitratedDeadlines;
use crate::binding::frames::{self, Case, Engage, Engagement, Note, Reject, RejectCode};
use crate::binding::phase::Side;
use crate::binding::trade::Trade;
use crate::document::{ArbiterService, BindingRequest, Offering};
use crate::limits::{FRAME_TIMEOUT, MAX_ARBITERS, MAX_WINDOW, SIGNATURE_BYTES};
use crate::market::Market;
use crate::market::event::{Call, Effect, Token};
use crate::market::provider::{Rejection, Reply};
use crate::message::{MessageId, Signed};
use crate::refusal::{Reason, Refusal};
use crate::step::Step;
use crate::time::{Now, Timestamp};

/// How long a provider waits for its arbiters; its consumer waits for its own answer a little longer.
const ENGAGING_TIME: Duration = FRAME_TIMEOUT.saturating_sub(Duration::from_secs(2));

/// An agreement that waits for its arbiters.
#[derive(Debug)]
pub struct Engaging {
    request: Signed<BindingRequest>,
    pub(super) peer: PeerId,
    reply: Reply,
    agreement: Agreement,
    asked: Vec<Asked>,
    until: Now,
}

impl Engaging {
    /// What each arbiter is asked.
    pub(super) fn asks(&self) -> Vec<Engage> {
        let (key, fund_by) = (self.agreement.serving_key, self.agreement.terms.fund_by());
        let ask = |arbiter: &AgreedArbiter| {
            let case = self.agreement.engagement(arbiter)?.case;
            Some(Engage { key, arbiter: arbiter.key, fund_by, case })
        };
        self.agreement.arbiters.iter().filter_map(ask).collect()
    }
}

/// Where one arbiter's engagement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Waits,
    Again,
    Engaged,
}

/// Why no arbiter can be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoArbiter {
    /// None stands in both lists.
    NoneCommon,
    /// One does and can't take part.
    Unusable { account: AccountId, why: String },
}

/// How many arbiters a binding has where so many stand in both lists.
pub(super) const fn odd(common: usize) -> usize {
    let most = if common > MAX_ARBITERS { MAX_ARBITERS } else { common };
    if most.is_multiple_of(2) { most.saturating_sub(1) } else { most }
}

impl Market {
    /// The arbiters of a binding, in the order in which they are wanted: those that the offering accepts too, as they
    /// offer themselves, without their engagements.
    pub(super) fn arbiters_for(
        &self,
        wanted: &[AccountId],
        offering: &Offering,
        deadlines: &ArbitratedDeadlines,
        now: Now,
    ) -> Result<Vec<AgreedArbiter>, NoArbiter> {
        let accepted = offering.arbitration.as_ref().map_or(&[][..], |a| &a.arbiters);
        // Whose account offers or is paid is a party, whichever of its keys would sign.
        let is_party = |a: &AccountId| *a == offering.account || *a == offering.recipient;
        let usable = |a: &&AccountId| accepted.contains(a) && !is_party(a);
        let mut common: Vec<AccountId> = wanted.iter().filter(usable).copied().collect();
        common.truncate(odd(common.len()));
        if common.is_empty() {
            return Err(NoArbiter::NoneCommon);
        }
        let services = self.book.arbiters(&common, &offering.price.asset, now);
        let window = deadlines.award_by().since(deadlines.dispute_by());
        common.into_iter().map(|account| agreed_arbiter(account, &services, offering, window)).collect()
    }

    /// Asks the arbiters of an agreement for their engagements; the consumer is answered when all have given them.
    pub(super) fn engage(
        &mut self,
        request: Signed<BindingRequest>,
        peer: PeerId,
        reply: Reply,
        agreement: Agreement,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let (id, until) = (request.id(), now.plus(ENGAGING_TIME));
        let asked = vec![Asked::Again; agreement.arbiters.len()];
        self.engaging.insert(id, Engaging { request, peer, reply, agreement, asked, until });
        self.ask_arbiters(id, step);
    }

    fn ask_arbiters(&mut self, id: MessageId, step: &mut Step<Effect>) {
        let Some(key) = self.setup.keys.serving.clone() else { return };
        let Some(mut engaging) = self.engaging.remove(&id) else { return };
        for (place, ask) in engaging.asks().into_iter().enumerate() {
            if engaging.asked[place] != Asked::Again {
                continue;
            }
            let call = Call::Engage { request: id, arbiter: ask.arbiter };
            if let Some(bytes) = self.frame(ask, &key) {
                step.then(Effect::Send { peer: engaging.agreement.arbiters[place].peer.clone(), call, bytes });
                engaging.asked[place] = Asked::Waits;
            }
        }
        self.engaging.insert(id, engaging);
    }

    /// Takes a repeated request to the one that waits for its arbiters; whether there is one.
    pub(super) fn is_engaging(&mut self, id: &MessageId, token: Token) -> bool {
        self.engaging.get_mut(id).map(|engaging| engaging.reply = Reply::To(token)).is_some()
    }

    /// An arbiter answers, or doesn't.
    pub(super) fn engage_answered(
        &mut self,
        id: MessageId,
        arbiter: ServingKey,
        result: Result<Vec<u8>, String>,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let Some(engaging) = self.engaging.get(&id) else { return };
        let Some(place) = engaging.agreement.arbiters.iter().position(|a| a.key == arbiter) else { return };
        let answer = self.engagement_in(engaging, place, result);
        let Some(engaging) = self.engaging.get_mut(&id) else { return };
        let account = engaging.agreement.arbiters[place].account;
        match answer {
            Ok(Some(signature)) => {
                engaging.agreement.arbiters[place].engagement = signature;
                engaging.asked[place] = Asked::Engaged;
            }
            Ok(None) => engaging.asked[place] = Asked::Again,
            Err(why) => {
                let why = format!("the arbiter {account} doesn't take part: {why}");
                return self.give_up_engaging(id, &why, step);
            }
        }
        if engaging.asked.iter().all(|asked| *asked == Asked::Engaged) {
            self.engaged(id, now, step);
        }
    }

    /// The signature in an arbiter's answer; `None` where the answer got lost, an error where it says no.
    fn engagement_in(
        &self,
        engaging: &Engaging,
        place: usize,
        result: Result<Vec<u8>, String>,
    ) -> Result<Option<[u8; SIGNATURE_BYTES]>, String> {
        let Some(bytes) = result.ok().filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
        let arbiter = &engaging.agreement.arbiters[place];
        if let Some(reject) = self.open_answer::<Reject>(&bytes)
            && reject.key == arbiter.key
            && reject.request == engaging.request.id()
        {
            return Err(reject.note.to_string());
        }
        let network = &self.setup.network;
        let packed = frames::from_stream(network, &bytes).map_err(|e| e.to_string())?;
        let signed = packed.open::<Engagement>(network).map_err(|e| e.to_string())?;
        if engaging.agreement.engagement(arbiter).as_ref() != Some(signed.body()) {
            return Err("it engages itself for something else than it was asked for".to_owned());
        }
        Ok(Some(signed.packed().signature()))
    }

    /// All arbiters take part: the agreement is signed and stored, then sent.
    fn engaged(&mut self, id: MessageId, now: Now, step: &mut Step<Effect>) {
        let Some(Engaging { request, peer, reply, agreement, .. }) = self.engaging.remove(&id) else { return };
        // A place or a limit may have gone meanwhile.
        if let Err((code, why)) = self.may_agree(id, request.body(), &peer, now) {
            return self.turn_down(reply, id, code, &why, step);
        }
        self.conclude(request, peer, reply, agreement, now, step);
    }

    fn give_up_engaging(&mut self, id: MessageId, why: &str, step: &mut Step<Effect>) {
        if let Some(engaging) = self.engaging.remove(&id) {
            self.turn_down(engaging.reply, id, RejectCode::NoArbiter, why, step);
        }
    }

    /// Asks again who wasn't reached, and gives up what waits for too long.
    pub(super) fn tend_engaging(&mut self, now: Now, step: &mut Step<Effect>) {
        let ids: Vec<(MessageId, bool)> = self.engaging.iter().map(|(id, e)| (*id, now > e.until)).collect();
        for (id, late) in ids {
            if late {
                self.give_up_engaging(id, "an arbiter doesn't answer", step);
            } else {
                self.ask_arbiters(id, step);
            }
        }
    }

    /// A provider asks this node, as an arbiter, to take part in a binding.
    pub(super) fn engage_received(&self, engage: Engage, now: Now) -> Result<Vec<u8>, Refusal> {
        let nobody = || Refusal::new(Reason::UnknownSeries, "no arbiter is here under the key that was asked");
        let key = self.setup.keys.serving.as_ref().filter(|k| ServingKey::of(k) == engage.arbiter);
        let key = key.ok_or_else(nobody)?;
        let request = engage.case.request;
        let answer = match self.may_engage(&engage, now) {
            Ok(()) => self.frame(Engagement { key: engage.arbiter, case: engage.case }, key),
            Err((code, why)) => self.frame(Reject { key: engage.arbiter, request, code, note: Note::new(why) }, key),
        };
        answer.ok_or_else(nobody)
    }

    /// Whether this node, as an arbiter, takes part in a binding.
    pub(super) fn may_engage(&self, engage: &Engage, now: Now) -> Result<(), Rejection> {
        let refuse = |code, text: String| Err((code, text));
        if self.draining {
            return refuse(RejectCode::Stopping, "the arbiter's node is stopping".into());
        }
        if self.holds_back(now) {
            return refuse(RejectCode::Stopping, "the arbiter's node was restored, and doesn't serve yet".into());
        }
        if let Err(why) = self.has_place_for(engage.key, now) {
            return refuse(RejectCode::NoFreeSupply, why.into());
        }
        let Engage { key, arbiter, fund_by, case } = engage;
        let service = self
            .offers
            .values()
            .filter(|o| o.is_open() && o.body().valid_until >= now.timestamp())
            .find_map(|o| ArbiterService::of(o.body()).ok().flatten());
        let Some(service) = service else {
            return refuse(RejectCode::NotOffered, "this node doesn't offer itself as an arbiter".into());
        };
        let parties = [case.provider, case.consumer];
        if case.provider != *key || parties.contains(arbiter) || case.provider == case.consumer {
            return refuse(RejectCode::TermsDontFit, "provider, consumer and arbiter must be three".into());
        }
        self.check_case(&service, *fund_by, case, now)
    }

    fn check_case(&self, service: &ArbiterService, fund_by: Timestamp, case: &Case, now: Now) -> Result<(), Rejection> {
        let refuse = |text: String| Err((RejectCode::TermsDontFit, text));
        match service.fee(&case.asset) {
            Some(fee) if fee <= case.fee => {}
            Some(fee) => return refuse(format!("an award costs {fee} stroops of {}, not {}", case.asset, case.fee)),
            None => return refuse(format!("cases about {} aren't taken", case.asset)),
        }
        if case.fee >= case.amount {
            return refuse("the fee takes up the whole amount".into());
        }
        let margins = &self.setup.margins;
        let soon = now.timestamp().plus(margins.fund_window * 2);
        let late = soon.plus(margins.start_window).plus(MAX_WINDOW * 4);
        let in_order = fund_by < case.dispute_by && case.dispute_by < case.award_by && case.award_by < case.timeout_at;
        if !in_order || fund_by <= now.timestamp() || fund_by > soon || case.timeout_at > late {
            return refuse("its deadlines are over, out of order or too far".into());
        }
        let least = service.award.max(margins.min_award);
        if case.award_by.since(case.dispute_by) < least {
            return refuse(format!("the window for an award must be at least {} s", least.as_secs()));
        }
        if case.timeout_at.since(case.award_by) < margins.min_settle {
            return refuse(format!("the window after it must be at least {} s", margins.min_settle.as_secs()));
        }
        Ok(())
    }

    /// Signs an agreement, stores it, and sends it.
    pub(super) fn conclude(
        &mut self,
        request: Signed<BindingRequest>,
        peer: PeerId,
        reply: Reply,
        agreement: Agreement,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let id = request.id();
        let key = self.setup.keys.serving.as_ref();
        let signed = key.and_then(|key| Signed::sign(agreement, &self.setup.network, key).ok());
        let Some(signed) = signed else {
            return self.turn_down(reply, id, RejectCode::NotOffered, "this isn't offered here any more", step);
        };
        let answer = frames::to_stream(signed.packed());
        let mut trade = Trade::new(Side::Provider, request, peer, now);
        trade.agree(signed);
        trade.state.agreed_at = self.point.map(|point| point.sequence);
        match reply {
            Reply::To(token) => step.then(Effect::Respond { token, bytes: answer }),
            Reply::Bring => self.bring_agreement(&mut trade, now, step),
        }
        self.store_trade(&trade, step);
        self.insert_trade(trade);
    }
}

/// One arbiter as it offers itself, where it can take part.
fn agreed_arbiter(
    account: AccountId,
    services: &[ArbiterService],
    offering: &Offering,
    window: Duration,
) -> Result<AgreedArbiter, NoArbiter> {
    let unusable = |why: String| NoArbiter::Unusable { account, why };
    let mut offered = services.iter().filter(|service| service.account == account);
    let service = offered.next().ok_or_else(|| unusable("it isn't live".into()))?;
    let asset = &offering.price.asset;
    let fee: Stroops = service.fee(asset).ok_or_else(|| unusable(format!("it takes no cases about {asset}")))?;
    if window < service.award {
        let why =
            format!("it wants {} s for an award, the offering leaves {}", service.award.as_secs(), window.as_secs());
        return Err(unusable(why));
    }
    let peer = service.peers.first().cloned().ok_or_else(|| unusable("its node isn't known".into()))?;
    let (key, sealing) = (service.key, service.sealing);
    Ok(AgreedArbiter { account, key, sealing, peer, fee, engagement: [0; SIGNATURE_BYTES] })
}
