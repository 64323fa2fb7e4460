//! What a node stores of a binding, on either side.

use core::time::Duration;

use bincode::{Decode, Encode};

use crate::account::{AccountId, PeerId};
use crate::binding::agreement::{self, Agreement};
use crate::binding::dispute::{DisputeRecord, DisputeState};
use crate::binding::frames::{Note, Sealed};
use crate::binding::negotiation::{Negotiation, NegotiationEvent};
use crate::binding::phase::{Phase, Side, phase};
use crate::binding::seen::Seen;
use crate::binding::session::{Session, SessionEvent};
use crate::document::BindingRequest;
use crate::escrow::outcome::{ByTime, Change, EscrowState, EscrowWatch, Observation};
use crate::escrow::terms::EscrowTerms;
use crate::message::{BalanceId, BindingId, MessageId, SeriesId, Signed, TxHash};
use crate::time::{Now, Timestamp};

mod stored;

pub use stored::TradeError;

/// The pause after a failed claim grows up to the heartbeat's interval times two to this: each costs a fee, so they end up
/// days apart.
const MAX_PAUSE_DOUBLINGS: u32 = 16;

/// What is stored of a binding; [`Trade`] is this with its signed messages opened.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TradeState {
    /// Which side this node is on.
    pub side: Side,
    /// How far the two agreed.
    pub negotiation: Negotiation,
    /// What the ledger shows, from the agreement on.
    pub escrow: Option<EscrowWatch>,
    /// Where the service is.
    pub session: Session,
    /// Where the other side's node was last.
    pub peer: PeerId,
    /// The escrow's balance, known from the funding envelope on.
    pub balance: Option<BalanceId>,
    /// The funding transaction.
    pub funding: Option<TxHash>,
    /// The transaction that closed the escrow, where this node made it or was told of it.
    pub closing: Option<TxHash>,
    /// Whether the ledger has shown that transaction, and that it took the escrow.
    pub closing_seen: bool,
    /// Units used of those agreed.
    pub used: u64,
    /// What the consumer's node saw of the service itself, where arbiters may be asked about it.
    pub seen: Seen,
    /// When the service became active.
    pub active_since: Option<Timestamp>,
    /// What opens the service to the consumer: made by the provider, known to the consumer once the service runs.
    pub access: Option<Access>,
    /// The access details as they were sealed, so that a repetition has the same bytes.
    pub sealed: Option<Sealed>,
    /// Whether the provider took the funding envelope.
    pub handed: Handed,
    /// The newest word on why it stands where it stands.
    pub note: Option<Note>,
    /// Whether the other side has acknowledged what it must know: the start, then the end.
    pub told: Told,
    /// Whether a ledger at or past T was seen.
    pub timed_out: bool,
    /// What both sides and the arbiters say about the money, where the escrow has arbiters.
    pub dispute: Option<DisputeRecord>,
    /// The account that the funding makes beside the balance, where the kind has one.
    pub controller: Option<Controlled>,
    /// A balance that pays this side, not claimed yet: by the transaction that took the escrow, or, where that isn't known, as a
    /// version that was named would have paid it.
    pub owed: Option<BalanceId>,
    /// Whether the ledger showed that the asset's issuer may claw the escrow back.
    pub clawback: bool,
    /// The ledger after which its escrow may have been funded, where this side knew one as it agreed.
    pub agreed_at: Option<u32>,
    /// How often ledgers were searched for the transaction that took the escrow: no restart begins that again.
    pub searches: u32,
    /// When they are searched again.
    pub search_at: Now,
}

/// The controller of a binding's escrow, as its funding makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Controlled {
    /// The account.
    pub account: AccountId,
    /// The sequence number of the funding, from which its key follows.
    pub sequence: i64,
    /// Whether the ledger no longer has it: its reserve is back with its funder, or it never was there.
    pub gone: bool,
}

/// Access details: what a consumer needs besides the binding to use the service.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Access {
    /// The bearer token of its calls.
    pub token: [u8; 32],
}

impl core::fmt::Debug for Access {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Access(…)")
    }
}

/// What became of the funding envelope at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Handed {
    /// It hasn't said anything yet.
    No,
    /// It watches for it.
    Accepted,
    /// It won't start on it.
    Refused,
}

/// What the other side has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Told {
    /// Nothing that needs it has happened.
    Nothing,
    /// The start (or the failed start) is on its way.
    StartPending,
    /// The start has arrived.
    Start,
    /// The end is on its way.
    EndPending,
    /// The end has arrived, or nobody is there to hear it.
    End,
    /// The end has arrived, and the closing transaction is on its way.
    ClosingPending,
    /// Everything has arrived.
    Closing,
}

/// A binding with its signed messages.
#[derive(Debug, Clone)]
pub struct Trade {
    /// The request that began it.
    pub request: Signed<BindingRequest>,
    /// The agreement, once there is one.
    pub agreement: Option<Signed<Agreement>>,
    /// Everything else that is stored.
    pub state: TradeState,
    /// What is kept in memory only.
    pub volatile: Volatile,
}

/// What a restart forgets of a binding.
#[derive(Debug, Clone, Copy, Default)]
pub struct Volatile {
    /// When the other side was last heard.
    pub heard_at: Now,
    /// Whether it was heard since this node runs, and so heard this one, too.
    pub in_touch: bool,
    /// When the last heartbeat went out.
    pub beat_at: Now,
    /// Its random bytes.
    pub beat_nonce: [u8; 32],
    /// Whether a frame that wants an answer is on its way.
    pub sending: bool,
    /// What of [`TradeState::told`] the last word on its way was for: its answer acknowledges that and nothing later.
    pub telling: Option<Told>,
    /// When the next frame may go out.
    pub retry_at: Now,
    /// Whether the provider has answered a signed ping since this consumer runs: without, nothing is funded.
    pub reached: bool,
    /// Whether the consumer has the agreement to its published request.
    pub agreement_arrived: bool,
    /// Whether the service was told to start since this node runs.
    pub starting: bool,
    /// Calls that are being served.
    pub calls: u32,
    /// How often a transaction that should take the escrow was included and failed.
    pub claims_failed: u32,
    /// When the next one may be made.
    pub claim_at: Now,
    /// Whether the ledger has to show the escrow first: what became of the last one is lost from history.
    pub look_first: bool,
    /// Until when the ledger has to show the escrow first, where this node was away: from then on it goes without.
    pub unseen_until: Now,
    /// When a ledger last showed the escrow.
    pub seen_at: Now,
    /// When the ledger is asked again for the transaction that is said to have closed the escrow.
    pub closing_at: Now,
    /// When the arbiters are shown the session's end, whether the other side has acknowledged it by then or not.
    pub end_shown_at: Option<Now>,
    /// When signatures for a settlement are asked for again.
    pub settle_at: Now,
    /// How often they were asked for in vain.
    pub settle_tries: u32,
    /// Since when there is something to settle.
    pub settles_since: Option<Now>,
    /// When the controller is looked at again.
    pub controller_at: Now,
    /// How often it was looked at.
    pub controller_looks: u32,
}

impl Trade {
    /// The request's id: the trade's key in the store.
    pub fn request_id(&self) -> MessageId {
        self.request.id()
    }

    /// The binding's id, once there is an agreement.
    pub fn binding(&self) -> Option<BindingId> {
        self.agreement.as_ref().map(agreement::binding_id)
    }

    /// The agreed terms.
    pub fn terms(&self) -> Option<&Agreement> {
        self.agreement.as_ref().map(Signed::body)
    }

    /// The offering's series.
    pub fn series(&self) -> SeriesId {
        self.request.body().series
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        let dispute = self.state.dispute.as_ref().map_or(DisputeState::None, DisputeRecord::state);
        phase(self.state.negotiation, self.escrow(), self.state.session, dispute, self.state.timed_out)
    }

    /// A new binding on one side, before anything is agreed.
    pub fn new(side: Side, request: Signed<BindingRequest>, peer: PeerId, now: Now) -> Self {
        let state = TradeState {
            side,
            negotiation: Negotiation::Requested,
            escrow: None,
            session: Session::Idle,
            peer,
            balance: None,
            funding: None,
            closing: None,
            closing_seen: false,
            used: 0,
            seen: Seen::default(),
            active_since: None,
            access: None,
            sealed: None,
            handed: Handed::No,
            note: None,
            told: Told::Nothing,
            timed_out: false,
            dispute: None,
            controller: None,
            owed: None,
            clawback: false,
            agreed_at: None,
            searches: 0,
            search_at: Now::default(),
        };
        Self { request, agreement: None, state, volatile: Volatile { heard_at: now, ..Volatile::default() } }
    }

    /// Whether `deliver_by` has passed.
    pub fn is_past_deliver_by(&self, now: Now) -> bool {
        self.terms().is_some_and(|agreed| now.timestamp() >= agreed.terms.deliver_by())
    }

    /// Counts the time until now, at which the service no longer runs or whoever uses it ends it.
    pub fn seen_until(&mut self, now: Now) {
        self.state.seen = self.seen_at(now);
    }

    /// What was seen of the service until now, or until its session ended.
    pub fn seen_at(&self, now: Now) -> Seen {
        let runs_since = self.state.active_since.filter(|_| self.state.session.end().is_none());
        let seconds = runs_since.map_or(self.state.seen.seconds, |since| now.timestamp().since(since).as_secs());
        Seen { seconds, ..self.state.seen }
    }

    /// A transaction of this node's closed the escrow: the ledger has shown it, and the other side should know which.
    pub fn closed_by(&mut self, transaction: Option<TxHash>) {
        self.state.closing = transaction;
        self.state.closing_seen = true;
        if self.state.side == Side::Provider && self.state.told == Told::End {
            self.state.told = Told::ClosingPending;
        }
    }

    /// A transaction that should take the escrow cost its fee and failed: the next one waits, twice as long each time.
    pub fn claim_failed(&mut self, now: Now, pause: Duration) {
        self.volatile.claims_failed = self.volatile.claims_failed.saturating_add(1);
        self.volatile.claim_at = now.plus(pause * (1 << self.volatile.claims_failed.min(MAX_PAUSE_DOUBLINGS)));
    }

    /// Whether a transaction that takes the escrow may be made.
    pub fn may_claim(&self, now: Now) -> bool {
        now >= self.volatile.claim_at && !self.volatile.look_first && now >= self.volatile.unseen_until
    }

    /// Whoever was away doesn't know whether the escrow that was there still is: a ledger has to show it before it is claimed, or
    /// this time be up, for what nobody can read must not stay unclaimed.
    pub fn look_again(&mut self, until: Now) {
        if matches!(self.escrow(), EscrowState::Locked | EscrowState::Refused(_)) {
            self.volatile.unseen_until = until;
        }
    }

    /// A ledger has shown the escrow; `fully` where it also shows all that this account's transactions did.
    pub fn seen_standing(&mut self, now: Now, fully: bool) {
        self.volatile.seen_at = now;
        if fully {
            self.volatile.look_first = false;
            self.volatile.unseen_until = Now::default();
        }
    }

    /// Why its service isn't given any more though its session may still run, for people.
    pub fn why_served_no_more(&self) -> Option<&'static str> {
        let goes_back = || self.state.dispute.as_ref().and_then(DisputeRecord::why_it_goes_back);
        self.escrow().why_unpaid().or_else(goes_back)
    }

    /// The other side has acknowledged what it was told last. Where something newer has come up meanwhile, it is still
    /// owed.
    pub fn acknowledged(&mut self) {
        if self.volatile.telling.take() != Some(self.state.told) {
            return;
        }
        self.state.told = match self.state.told {
            Told::StartPending => Told::Start,
            Told::EndPending if self.state.side == Side::Provider && self.state.closing.is_some() => {
                Told::ClosingPending
            }
            Told::EndPending => Told::End,
            Told::ClosingPending => Told::Closing,
            told => told,
        };
    }

    /// What the ledger shows of its escrow.
    pub fn escrow(&self) -> &EscrowState {
        self.state.escrow.as_ref().map_or(&EscrowState::None, EscrowWatch::state)
    }

    /// The escrow that was agreed, where there is money.
    pub fn escrow_terms(&self) -> Option<EscrowTerms> {
        self.agreement.as_ref().and_then(agreement::escrow_terms)
    }

    /// Whether the money has left its escrow, whoever has it.
    pub fn is_gone(&self) -> bool {
        self.state.escrow.as_ref().is_some_and(EscrowWatch::is_gone)
    }

    /// Whether the money has left its escrow: a ledger showed so, or the transaction is known that took it.
    pub fn has_left(&self) -> bool {
        self.is_gone() || self.escrow().is_over()
    }

    /// Stores the agreement and begins to follow its escrow.
    pub fn agree(&mut self, agreement: Signed<Agreement>) {
        let terms = &agreement.body().terms;
        self.state.escrow = Some(match terms.refund_at() {
            Some(refund_at) => EscrowWatch::new(terms.fund_by(), refund_at),
            None => EscrowWatch::free(terms.fund_by(), terms.deliver_by()),
        });
        if terms.arbitrated().is_some() {
            self.state.dispute = Some(DisputeRecord::new(agreement.body().amount, agreement.body().arbiters.len()));
        }
        self.agreement = Some(agreement);
        self.negotiate(NegotiationEvent::TermsStored);
    }

    /// Takes in what was learnt about the escrow.
    pub fn observe(&mut self, observation: Observation) -> Option<Change> {
        let by_time = match self.escrow_terms() {
            _ if self.may_be_clawed_back() => ByTime::NOTHING,
            None => ByTime::TIMED,
            Some(terms) => terms.by_time(),
        };
        self.state.escrow.as_mut()?.handle(observation, by_time)
    }

    /// Whether the asset's issuer may have taken the escrow back: its balance says so, or nobody has seen it.
    pub fn may_be_clawed_back(&self) -> bool {
        let issued = self.terms().is_some_and(|agreed| !agreed.asset.is_native());
        let seen = !matches!(self.escrow(), EscrowState::None | EscrowState::Intended);
        self.state.clawback || issued && !seen
    }

    /// Whether the ledger must still be asked for the transaction that is said to have closed the escrow.
    pub fn asks_for_closing(&self) -> bool {
        self.state.side == Side::Consumer && self.state.closing.is_some() && !self.state.closing_seen
    }

    /// Whether this side still has something on the ledger of a binding whose money is where it belongs: the reserve of
    /// the controller that it funded, or a balance that the other side's settlement left for it.
    pub fn has_leftovers(&self) -> bool {
        let reserve = self.state.controller.is_some_and(|controller| !controller.gone);
        let offered = self.state.dispute.as_ref().is_some_and(|record| !record.offers.is_empty());
        (self.state.owed.is_some() || offered) && self.has_left() || self.state.side == Side::Consumer && reserve
    }

    /// Whether arbiters must still hear by which transaction of this side they are paid.
    pub fn owes_arbiters(&self) -> bool {
        self.state.dispute.as_ref().is_some_and(|record| record.heard.settlement.is_some())
    }

    /// Whether the other side must still hear of something.
    pub fn owes_word(&self) -> bool {
        matches!(self.state.told, Told::StartPending | Told::EndPending | Told::ClosingPending)
    }

    /// Whether it occupies a place of the offering's supply: from the agreement on as long as the service may still start, and
    /// while it runs, whoever has the money by then.
    pub fn holds_place(&self) -> bool {
        let may_start =
            self.state.session.end().is_none() && !self.phase().is_final() && self.phase() != Phase::Timeout;
        self.state.negotiation == Negotiation::Agreed && (may_start || self.state.session.runs())
    }

    /// Moves the negotiation; whether anything changed.
    pub fn negotiate(&mut self, event: NegotiationEvent) -> bool {
        let next = self.state.negotiation.on(event);
        self.state.negotiation = next.unwrap_or(self.state.negotiation);
        next.is_some()
    }

    /// Moves the session; whether anything changed. An end that the other side must hear of is marked so.
    pub fn session(&mut self, event: SessionEvent) -> bool {
        let Some(next) = self.state.session.on(event) else { return false };
        self.state.session = next;
        if let Session::Ended(end) = next {
            // What the consumer concludes by itself isn't news to the provider; told so, it would take it for an unbinding.
            let has_news = match self.state.side {
                Side::Provider => !end.is_by_consumer(),
                Side::Consumer => end.is_by_consumer(),
            };
            self.state.told = if has_news { Told::EndPending } else { Told::End };
        }
        true
    }

    /// The next deadline that matters in this phase, with its name.
    pub fn next_deadline(&self) -> Option<(&'static str, Timestamp)> {
        let request = self.request.body();
        let Some(terms) = self.terms().map(|a| &a.terms) else {
            return (self.phase() == Phase::Requested).then_some(("valid_until", request.valid_until));
        };
        match self.phase() {
            Phase::Requested => Some(("valid_until", request.valid_until)),
            Phase::Agreed => Some(("fund_by", terms.fund_by())),
            Phase::Funded => Some(("start_by", terms.start_by())),
            Phase::Active => Some(("deliver_by", terms.deliver_by())),
            Phase::Delivered | Phase::Failed if terms.arbitrated().is_some() => {
                terms.arbitrated().map(|d| ("dispute_by", d.dispute_by()))
            }
            Phase::Disputed => terms.arbitrated().map(|d| ("award_by", d.award_by())),
            Phase::Refused | Phase::Delivered | Phase::Failed | Phase::Closing | Phase::Timeout => {
                terms.refund_at().map(|t| ("T", t))
            }
            Phase::Closed | Phase::Void => None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::account::{AccountId, ServingKey};
    use crate::binding::agreement::tests::agreement;
    use crate::document::Nonce;
    use crate::escrow::EscrowKind;
    use crate::escrow::outcome::Taken;
    use crate::network_id::NetworkId;
    use crate::seal::SealingKey;
    use ed25519_dalek::SigningKey;

    pub(super) fn network() -> NetworkId {
        NetworkId::of_passphrase("test")
    }

    pub(super) fn trade(side: Side) -> Trade {
        let (serving, agreement) = agreement();
        let account = SigningKey::from_bytes(&[8; 32]);
        let body = BindingRequest {
            account: AccountId::of(&account),
            offering: agreement.offering,
            series: agreement.series,
            units: agreement.units,
            budget: None,
            escrow: vec![EscrowKind::Timed],
            arbiters: vec![],
            pay_unless_disputed: false,
            sealing_key: SealingKey::from_bytes([7; 32]),
            signing_key: ServingKey::from_bytes([6; 32]),
            peer: agreement.consumer_peer.clone(),
            nonce: Nonce::from_bytes([9; 16]),
            valid_until: Timestamp::from_secs(50),
        };
        let request = Signed::sign(body, &network(), &account).unwrap();
        let mut trade = Trade::new(side, request, agreement.provider_peer.clone(), Now::default());
        trade.agree(Signed::sign(agreement, &network(), &serving).unwrap());
        trade
    }

    #[test]
    fn a_place_is_held_from_the_agreement_to_the_end_of_the_session() {
        let mut trade = trade(Side::Provider);
        assert!(trade.holds_place());
        trade.session(SessionEvent::MayStart);
        trade.session(SessionEvent::ServiceRuns);
        assert!(trade.holds_place());
        trade.observe(Observation::FundingSigned);
        trade.observe(Observation::Taken(Taken::ByRecipient));
        assert_eq!(trade.phase(), Phase::Closed);
        assert!(trade.holds_place(), "it is paid early, and its service runs");
        trade.session(SessionEvent::UnitsUsed);
        assert!(!trade.holds_place());
        assert_eq!(trade.state.told, Told::EndPending);
    }

    #[test]
    fn the_consumer_does_not_tell_what_it_concluded_by_itself() {
        let mut alone = trade(Side::Consumer);
        alone.session(SessionEvent::StartByPassed);
        assert_eq!(alone.state.told, Told::End);
        let mut unbound = trade(Side::Consumer);
        unbound.session(SessionEvent::ConsumerUnbinds);
        assert_eq!(unbound.state.told, Told::EndPending);
    }

    #[test]
    fn the_closing_transaction_is_told_after_the_end() {
        let mut trade = trade(Side::Provider);
        trade.session(SessionEvent::Drain);
        trade.closed_by(Some(TxHash::from_bytes([1; 32])));
        assert_eq!(trade.state.told, Told::EndPending);
        let told = |trade: &mut Trade| {
            trade.volatile.telling = Some(trade.state.told);
            trade.acknowledged();
        };
        told(&mut trade);
        assert_eq!(trade.state.told, Told::ClosingPending);
        told(&mut trade);
        assert_eq!(trade.state.told, Told::Closing);
        assert!(!trade.owes_word());
    }

    #[test]
    fn an_answer_to_the_start_does_not_acknowledge_an_end_that_came_meanwhile() {
        let mut trade = trade(Side::Provider);
        trade.session(SessionEvent::MayStart);
        trade.session(SessionEvent::ServiceRuns);
        trade.state.told = Told::StartPending;
        trade.volatile.telling = Some(Told::StartPending);
        trade.session(SessionEvent::UnitsUsed);
        trade.acknowledged();
        assert_eq!(trade.state.told, Told::EndPending);
        assert!(trade.owes_word());
    }
}
