//! One's own offerings: bond first, then gossip, then presence and free supply, and the bond back at the end.

use bincode::{Decode, Encode};
use rand_core::CryptoRng;

use crate::account::{AccountId, SignerKey};
use crate::amount::Stroops;
use crate::binding::precheck::PrecheckFailure;
use crate::bond::{self, BondTerms};
use crate::document::{Nonce, Offering, ServiceRecord, Windows, series_of};
use crate::frame;
use crate::intent::queues::Queues;
use crate::intent::{IntentOutcome, Purpose};
use crate::kind::Kind;
use crate::market::Market;
use crate::market::command::{Answer, CommandError, CommandId, Cost, OfferingDraft};
use crate::market::event::{Effect, News};
use crate::market::wallet::Lock;
use crate::message::{MessageId, Packed, SeriesId, Signed, TxHash};
use crate::network_id::NetworkId;
use crate::refusal::Refusal;
use crate::status::{Presence, Status};
use crate::stellar::{balance_id, result};
use crate::step::{Space, Step};
use crate::time::{Now, Timestamp};

/// Offerings that wait for their bond's turn.
const MAX_DRAFTS: usize = 64;
/// The most bytes of how an offering's service is started.
const MAX_SPEC_BYTES: usize = 16 * 1024;

/// A draft whose bond has not had its turn yet. Nothing of it was revealed.
#[derive(Debug)]
pub struct Draft {
    command: Option<CommandId>,
    draft: OfferingDraft,
    pub(super) cost: Cost,
}

impl Draft {
    /// Whether one of its parameters is this text.
    pub(super) fn says(&self, text: &str) -> bool {
        self.draft.parameters.values().any(|value| value.as_str() == Some(text))
    }
}

/// Where an offering of one's own stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum OfferState {
    /// Its bond is on its way to the ledger.
    Bonding,
    /// It is out.
    Open,
    /// It was withdrawn, for good; its bond is still locked.
    Withdrawn,
    /// Its bond never came to be; it was never published.
    Failed,
    /// Its bond is back.
    Reclaimed,
}

impl OfferState {
    /// The word for people and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bonding => "bonding",
            Self::Open => "open",
            Self::Withdrawn => "withdrawn",
            Self::Failed => "failed",
            Self::Reclaimed => "reclaimed",
        }
    }
}

/// An offering of one's own.
#[derive(Debug, Clone)]
pub struct Offer {
    signed: Signed<Offering>,
    /// Where it stands.
    pub state: OfferState,
    /// How its service is started; opaque here.
    pub spec: Vec<u8>,
    /// What the bond holds.
    pub bond_amount: Stroops,
    /// The bond's transaction.
    pub bond_transaction: Option<TxHash>,
    status_sequence: u64,
    told_free: Option<u32>,
    pub(super) command: Option<CommandId>,
}

#[derive(Encode, Decode)]
struct StoredOffer {
    signed: Vec<u8>,
    state: OfferState,
    spec: Vec<u8>,
    bond_amount: Stroops,
    bond_transaction: Option<TxHash>,
    status_sequence: u64,
}

impl Offer {
    /// The offering.
    pub fn body(&self) -> &Offering {
        self.signed.body()
    }

    /// Its current revision's id.
    pub fn id(&self) -> MessageId {
        self.signed.id()
    }

    /// Its series.
    pub fn series(&self) -> SeriesId {
        series_of(&self.signed)
    }

    /// Whether it can be bound.
    pub fn is_open(&self) -> bool {
        self.state == OfferState::Open
    }

    /// What its bond must look like.
    pub fn bond_terms(&self) -> BondTerms {
        let body = self.body();
        BondTerms {
            account: body.account,
            recipient: body.recipient,
            series: self.series(),
            release: body.bond_release(),
            least: self.bond_amount,
        }
    }

    pub(super) fn is_reclaimable(&self, closed: Option<Timestamp>) -> bool {
        matches!(self.state, OfferState::Open | OfferState::Withdrawn)
            && closed.is_some_and(|t| t >= self.body().bond_release())
    }

    fn store(&self, step: &mut Step<Effect>) {
        let stored = StoredOffer {
            signed: self.signed.packed().bytes().to_vec(),
            state: self.state,
            spec: self.spec.clone(),
            bond_amount: self.bond_amount,
            bond_transaction: self.bond_transaction,
            status_sequence: self.status_sequence,
        };
        let bytes = frame::encode(&stored).expect("an offering and its bounded start specification fit");
        step.batch().put(Space::Offer, *self.series().as_bytes(), bytes);
        step.then(Effect::News(News::Offering(self.series())));
    }

    pub(super) fn read(network: &NetworkId, bytes: &[u8]) -> Result<Self, String> {
        let stored: StoredOffer = frame::decode(bytes).map_err(|e| e.to_string())?;
        let packed = Packed::new(Kind::Offering, network, stored.signed).map_err(|e| e.to_string())?;
        Ok(Self {
            signed: packed.open(network).map_err(|e| e.to_string())?,
            state: stored.state,
            spec: stored.spec,
            bond_amount: stored.bond_amount,
            bond_transaction: stored.bond_transaction,
            status_sequence: stored.status_sequence,
            told_free: None,
            command: None,
        })
    }
}

impl Market {
    /// A user wants to publish: the draft waits for its bond's turn.
    pub(super) fn publish(&mut self, id: CommandId, draft: OfferingDraft, now: Now, step: &mut Step<Effect>) {
        self.publish_for(Some(id), draft, now, step);
    }

    /// As [`Market::publish`], also where nobody waits for the answer.
    pub(super) fn publish_for(
        &mut self,
        command: Option<CommandId>,
        draft: OfferingDraft,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let full = self.drafts.len() >= MAX_DRAFTS;
        let full =
            full.then(|| CommandError::NotNow("too many offerings wait for their bonds; try again shortly".into()));
        match full.map_or_else(|| self.quote_publish(&draft, now), Err) {
            Ok(cost) => self.drafts.push_back(Draft { command, draft, cost }),
            Err(error) => Self::answer_if(step, command, Err(error)),
        }
    }

    fn answer_if(step: &mut Step<Effect>, id: Option<CommandId>, result: Result<Answer, CommandError>) {
        if let Some(id) = id {
            step.then(Effect::Answer { id, result });
        }
    }

    /// What publishing a draft would cost, where it could be done now.
    pub(super) fn quote_publish(&self, draft: &OfferingDraft, now: Now) -> Result<Cost, CommandError> {
        if draft.spec.len() > MAX_SPEC_BYTES {
            let why = format!("how the service starts takes {} bytes, at most {MAX_SPEC_BYTES}", draft.spec.len());
            return Err(CommandError::NotNow(why));
        }
        let offering = self.build(draft, 1, [0; 16], now)?;
        let key = self.setup.keys.account.as_ref().ok_or(PrecheckFailure::NoAccountKey)?;
        let signed = Signed::sign(offering, &self.setup.network, key)?;
        self.book.check_own(&signed, now)?;
        let offering = signed.into_body();
        let bond = self.bond_amount(&offering)?;
        let account = self.account.as_ref();
        let own = self.setup.keys.account_id().ok_or(PrecheckFailure::NoAccountKey)?;
        let account = account.ok_or_else(|| self.no_account(own))?;
        let native = crate::asset::Asset::Native;
        let returns_at = Some(offering.bond_release());
        let lock = Lock { operations: 1, reserves: bond::RESERVES };
        Ok(self.cost_of(account, None, &native, bond, lock, returns_at)?)
    }

    /// Why there is no account to pay from: the ledger has none, or wasn't asked yet.
    fn no_account(&self, own: AccountId) -> PrecheckFailure {
        if self.account_read {
            return PrecheckFailure::NoOwnAccount(own);
        }
        let why = "this node started a moment ago and hasn't read its account yet; try again in a few seconds";
        PrecheckFailure::LedgerUnavailable(why.into())
    }

    fn bond_amount(&self, offering: &Offering) -> Result<Stroops, CommandError> {
        let least = self.setup.margins.min_bond;
        if !offering.price.asset.is_native() {
            return Ok(least);
        }
        let exposure = offering.max_exposure();
        Ok(exposure.ok_or(PrecheckFailure::PriceOverflow(offering.min_units))?.max(least))
    }

    /// The offering that a draft becomes with its bond at this sequence number.
    fn build(&self, draft: &OfferingDraft, sequence: i64, nonce: [u8; 16], now: Now) -> Result<Offering, CommandError> {
        let keys = &self.setup.keys;
        let account = keys.account_id().ok_or(PrecheckFailure::NoAccountKey)?;
        let missing = || CommandError::NotNow("this node has no serving key, so it can't serve an offering".into());
        Ok(Offering {
            account,
            series: None,
            revision: 1,
            template: draft.template,
            parameters: draft.parameters.clone(),
            title: draft.title.clone(),
            description: draft.description.clone(),
            service: draft.service.clone(),
            recipient: draft.recipient.unwrap_or(account),
            serving_key: keys.serving_key().ok_or_else(missing)?,
            price: draft.price.clone(),
            min_units: draft.min_units,
            max_units: draft.max_units,
            max_supply: draft.max_supply,
            escrow: draft.escrow.clone(),
            windows: Windows { deliver_secs: draft.deliver.as_secs(), collect_secs: draft.collect.as_secs() },
            arbitration: draft.arbitration.clone(),
            peer_ids: vec![self.setup.peer.clone()],
            transports: draft.transports.clone(),
            sealing_key: keys.sealing_key().ok_or_else(missing)?,
            bond: balance_id::of_operation(account, sequence, 0),
            nonce: Nonce::from_bytes(nonce),
            valid_until: now.timestamp().plus(draft.life),
        })
    }

    /// Gives the next draft its bond, where the account has nothing else to do: the bond's id follows from the
    /// sequence number, so offering and transaction are made in one go.
    pub(super) fn bond_next_draft(&mut self, now: Now, rng: &mut dyn CryptoRng, step: &mut Step<Effect>) {
        let Some(queue) = self.queue.as_ref().map(Queues::own) else { return };
        let idle = queue.open().next().is_none() && queue.turn().is_none();
        let Some(sequence) = queue.seen().and_then(|(state, _)| state.sequence.checked_add(1)).filter(|_| idle) else {
            return;
        };
        let Some(Draft { command, draft, .. }) = self.drafts.pop_front() else { return };
        let mut nonce = [0; 16];
        rng.fill_bytes(&mut nonce);
        let made = self.quote_publish(&draft, now).and_then(|_| {
            let offering = self.build(&draft, sequence, nonce, now)?;
            let amount = self.bond_amount(&offering)?;
            let key = self.setup.keys.account.as_ref().ok_or(PrecheckFailure::NoAccountKey)?;
            Ok((Signed::sign(offering, &self.setup.network, key)?, amount))
        });
        let (signed, bond_amount) = match made {
            Ok(made) => made,
            Err(error) => return Self::answer_if(step, command, Err(error)),
        };
        let offer = Offer {
            signed,
            state: OfferState::Bonding,
            spec: draft.spec,
            bond_amount,
            bond_transaction: None,
            status_sequence: 0,
            told_free: None,
            command,
        };
        let series = offer.series();
        offer.store(step);
        self.offers.insert(series, offer);
        self.want(Purpose::Bond { series });
        self.tend_queue(now, rng, step);
        let hash = self.queue.as_ref().and_then(|q| q.intent(Purpose::Bond { series })).map(|i| i.hash);
        if let Some(offer) = self.offers.get_mut(&series) {
            offer.bond_transaction = hash;
            offer.store(step);
        }
    }

    /// A bond's transaction ended.
    pub(super) fn bond_ended(
        &mut self,
        series: SeriesId,
        outcome: &IntentOutcome,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(offer) = self.offers.get_mut(&series) else { return };
        let stands = matches!(outcome, IntentOutcome::Included { success: true, .. });
        offer.state = match outcome {
            IntentOutcome::Included { success: true, .. } => OfferState::Open,
            // It may stand all the same: it isn't published, and reclaimed when its time has come.
            IntentOutcome::Unknown => OfferState::Withdrawn,
            IntentOutcome::Included { .. } | IntentOutcome::Dead => OfferState::Failed,
        };
        offer.store(step);
        let answer = match outcome {
            IntentOutcome::Included { success: true, .. } => Ok(Answer::Published {
                series,
                offering: offer.id(),
                bond: offer.body().bond,
                transaction: offer.bond_transaction.unwrap_or(TxHash::from_bytes([0; 32])),
            }),
            IntentOutcome::Included { result, .. } => Err(CommandError::Ledger(result::explain(result))),
            IntentOutcome::Unknown => Err(CommandError::Ledger(
                "nobody can tell any more whether the bond was locked; nothing was published, and a bond that stands \
                 is reclaimed in its time"
                    .into(),
            )),
            IntentOutcome::Dead => Err(CommandError::Ledger(
                "the bond's transaction never took effect, so nothing was published: try again".into(),
            )),
        };
        if let Some(id) = offer.command.take() {
            step.then(Effect::Answer { id, result: answer });
        }
        if stands {
            let packed = offer.signed.packed().clone();
            self.admit_own(packed, now, rng, step);
        }
    }

    /// A bond came back, or didn't yet.
    pub(super) fn reclaim_ended(&mut self, series: SeriesId, outcome: &IntentOutcome, step: &mut Step<Effect>) {
        let Some(offer) = self.offers.get_mut(&series) else { return };
        // From the release on it can only fail where the bond is gone: reclaimed with the same key elsewhere.
        if matches!(outcome, IntentOutcome::Included { .. }) {
            offer.state = OfferState::Reclaimed;
            offer.store(step);
        }
    }

    /// A user takes a series back.
    pub(super) fn withdraw(
        &mut self,
        id: CommandId,
        series: SeriesId,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        if let Err(refusal) = self.may_withdraw(series) {
            return Self::answer(step, id, Err(refusal));
        }
        let Some(offer) = self.offers.get_mut(&series) else { return };
        offer.state = OfferState::Withdrawn;
        let bond_until = offer.body().bond_release();
        offer.store(step);
        self.tell_status(series, now, rng, step);
        Self::answer(step, id, Ok::<_, CommandError>(Answer::Withdrawn { series, bond_until }));
    }

    fn may_withdraw(&self, series: SeriesId) -> Result<(), CommandError> {
        if self.offers.get(&series).is_some_and(|o| o.state == OfferState::Bonding) {
            let why = "its bond is still on its way; withdraw it when it is out";
            return Err(CommandError::NotNow(why.into()));
        }
        let keys = &self.setup.keys;
        let signers: Vec<SignerKey> =
            keys.account_id().map(Into::into).into_iter().chain(keys.serving_key().map(Into::into)).collect();
        self.book.check_withdraw(&signers, &series)?;
        Ok(())
    }

    /// Offerings whose bond has no transaction any more: another program used the sequence number first.
    fn fail_bondless(&mut self, step: &mut Step<Effect>) {
        let Some(queue) = &mut self.queue else { return };
        let lost = |o: &&mut Offer| {
            o.state == OfferState::Bonding && queue.intent(Purpose::Bond { series: o.series() }).is_none()
        };
        for offer in self.offers.values_mut().filter(lost) {
            offer.state = OfferState::Failed;
            offer.store(step);
            if let Some(id) = offer.command.take() {
                let why = "another program used this account's sequence number; nothing was locked: try again";
                step.then(Effect::Answer { id, result: Err(CommandError::NotNow(why.into())) });
            }
        }
    }

    /// Keeps one's own offerings heard of: presence, free supply, bonds that are due.
    pub(super) fn tend_offers(&mut self, now: Now, rng: &mut dyn CryptoRng, step: &mut Step<Effect>) {
        self.fail_bondless(step);
        let due: Vec<SeriesId> =
            self.offers.values().filter(|o| o.is_reclaimable(self.close_time())).map(Offer::series).collect();
        for series in due {
            let mine = self.offers.get(&series).map(|o| o.body().recipient) == self.setup.keys.account_id();
            if mine {
                self.want(Purpose::ReclaimBond { series });
            }
        }
        self.take_in_withdrawals(now, step);
        // The pool where messages wait for their bond forgets; one's own offering goes in again.
        let unknown = |o: &&Offer| o.is_open() && o.body().valid_until >= now.timestamp() && !self.book.knows(&o.id());
        let lost: Vec<_> = self.offers.values().filter(unknown).map(|o| o.signed.packed().clone()).collect();
        for packed in lost {
            self.admit_own(packed, now, rng, step);
        }
        let listed: Vec<SeriesId> = self
            .offers
            .values()
            .filter(|o| o.is_open() && self.book.offering(&o.series()).is_some())
            .map(Offer::series)
            .collect();
        if listed.is_empty() || self.draining || self.holds_back(now) {
            return;
        }
        if now.since(self.presence_at) >= self.setup.margins.presence_every || self.presence_at == Now::default() {
            self.tell_presence(now, rng, step);
        }
        for series in listed {
            let free = self.free_supply(&series);
            if self.offers.get(&series).is_some_and(|o| o.told_free != Some(free)) {
                self.tell_status(series, now, rng, step);
            }
        }
    }

    /// Offerings that were withdrawn under this node's keys elsewhere, or after the backup that it was restored from.
    fn take_in_withdrawals(&mut self, now: Now, step: &mut Step<Effect>) {
        let gone = |o: &&mut Offer| o.is_open() && self.book.by_series(&o.series(), now).is_some_and(|l| l.withdrawn);
        for offer in self.offers.values_mut().filter(gone) {
            offer.state = OfferState::Withdrawn;
            offer.store(step);
        }
    }

    fn tell_presence(&mut self, now: Now, rng: &mut dyn CryptoRng, step: &mut Step<Effect>) {
        let Some(key) = self.setup.keys.serving.clone() else { return };
        let serving_key = crate::account::ServingKey::of(&key);
        let body = Presence { serving_key, at: now.timestamp(), peer: self.setup.peer.clone() };
        if let Ok(signed) = Signed::sign(body, &self.setup.network, &key) {
            self.presence_at = now;
            self.said_presence(signed.body().at);
            self.admit_own(signed.packed().clone(), now, rng, step);
        }
    }

    fn tell_status(&mut self, series: SeriesId, now: Now, rng: &mut dyn CryptoRng, step: &mut Step<Effect>) {
        let free = self.free_supply(&series);
        let Some(key) = self.setup.keys.serving.clone() else { return };
        let known = self.book.by_series(&series, now).map_or(0, |listing| listing.status_sequence);
        let Some(offer) = self.offers.get_mut(&series) else { return };
        // By the time, so that peers take the word of a node that was restored from before its last one.
        let sequence = offer.status_sequence.max(known).saturating_add(1).max(now.timestamp().secs());
        let withdrawn = offer.state == OfferState::Withdrawn;
        let body = Status {
            serving_key: offer.body().serving_key,
            series,
            sequence,
            free: if withdrawn { 0 } else { free },
            withdrawn,
            at: now.timestamp(),
        };
        if let Ok(signed) = Signed::sign(body, &self.setup.network, &key) {
            offer.status_sequence = sequence;
            offer.told_free = Some(free);
            offer.store(step);
            self.admit_own(signed.packed().clone(), now, rng, step);
        }
    }

    /// A user publishes a signed service record of one's own.
    pub(super) fn register(
        &mut self,
        id: CommandId,
        bytes: Vec<u8>,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let network = self.setup.network;
        let opened =
            Packed::new(Kind::ServiceRecord, &network, bytes).and_then(|packed| packed.open::<ServiceRecord>(&network));
        match opened {
            Err(refusal) => Self::answer(step, id, Err(refusal)),
            Ok(record) => {
                let result = self.admit_own_strictly(record.packed().clone(), now, rng, step);
                let answer = result.map(|()| Answer::Registered(record.id()));
                Self::answer(step, id, answer.map_err(|r: Refusal| CommandError::Refused(r)));
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod golden {
    use super::*;

    #[test]
    fn a_stored_offering_of_ones_own_has_its_golden_bytes() {
        let stored = StoredOffer {
            signed: vec![1, 2],
            state: OfferState::Withdrawn,
            spec: vec![3],
            bond_amount: Stroops::whole(1),
            bond_transaction: Some(TxHash::from_bytes([4; 32])),
            status_sequence: 300,
        };
        let bytes = frame::encode(&stored).unwrap();
        assert_eq!(hex::encode(&bytes), format!("020102020103fc8096980001{}fb2c01", "04".repeat(32)));
        assert_eq!(frame::encode(&frame::decode::<StoredOffer>(&bytes).unwrap()).unwrap(), bytes);
    }
}
