//! An arbiter's node: its inbox of cases, what the parties show, and its awards.
//!
//! A case is taken only where the money that it is about is on the ledger, and then it is taken: how many an arbiter wants it says
//! where it engages itself.

mod fees;
mod inbox;
mod looking;
mod lost;
mod places;
mod shown;

pub use inbox::Inbox;
pub use looking::Looking;

use bincode::{Decode, Encode};

use fees::Fee;
use places::Place;

use crate::account::{AccountId, PeerId, ServingKey};
use crate::amount::Stroops;
use crate::binding::agreement::{self, AgreedArbiter, Agreement};
use crate::binding::awards::{Awards, MAX_DIVISIONS};
use crate::binding::dispute::{self, Decision, Split};
use crate::binding::evidence::{Chain, Evidence as Item};
use crate::binding::frames::{self, Ack, Award, Dispute, NotNow, Note, Rejected};
use crate::binding::phase::Side;
use crate::frame;
use crate::kind::Kind;
use crate::limits::MAX_EVIDENCE_ITEMS;
use crate::market::command::{Answer, CommandError, CommandId};
use crate::market::disputes::DisputeWord;
use crate::market::event::{Effect, Token};
use crate::market::{Market, RestoreError};
use crate::message::{BalanceId, BindingId, MessageId, Packed, Signed, TxHash};
use crate::network_id::NetworkId;
use crate::refusal::{Reason, Refusal};
use crate::stellar::entry::Entry;
use crate::step::{Space, Step};
use crate::time::{Now, Timestamp};
use core::time::Duration;

/// How long a case is kept after its T.
const CASE_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// A case that its owner decides.
#[derive(Debug, Clone)]
pub struct Case {
    agreement: Signed<Agreement>,
    file: CaseFile,
    looks: fees::Looks,
    /// Which party said last that it doesn't know who asked this arbiter, for it was restored from a backup.
    lacks_opening: [bool; 2],
    /// Whether the ledger showed its escrow no more: somebody took it.
    is_gone: bool,
}

/// What is stored of a case.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct CaseFile {
    /// The opener's frame, as it came.
    dispute: Vec<u8>,
    opened_by: Side,
    taken_at: Timestamp,
    /// What each side asked for last, and when by its own word.
    claims: [Option<(Timestamp, Split)>; 2],
    /// The balance that each side named and the ledger showed to be the binding's.
    places: [Option<Place>; 2],
    chains: [Chain; 2],
    award: Option<Given>,
    /// The first award of each division that it gave: each is part of what may make a majority, so everybody hears of it.
    first: Vec<Given>,
    /// Whether the party that didn't open knows of the case.
    opening_heard: bool,
    /// Up to which of its awards each party, then each fellow arbiter knows.
    award_heard: Vec<(ServingKey, u32)>,
    fellows: Awards,
    /// The balances by which the versions of a settlement pay this arbiter, by the side that submits them.
    fees: [Vec<Fee>; 2],
    /// The transactions that the parties say pay it, which aren't looked up yet.
    settlements: [Option<TxHash>; 2],
    /// The versions of a settlement that it signed, by the side that submits them.
    versions: [Vec<Version>; 2],
}

/// A party's word on the account and number by which it settles, as it came.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Version {
    pub(super) id: MessageId,
    pub(super) number: Number,
    pub(super) frame: Vec<u8>,
    /// Whether the other party has it.
    pub(super) heard: bool,
}

/// What a version is submitted by, and the escrow that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) struct Number {
    pub(super) place: BalanceId,
    pub(super) account: AccountId,
    pub(super) sequence: i64,
}

/// An award as its arbiter gave it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Given {
    /// The highest rules.
    pub number: u32,
    /// How the escrow is divided.
    pub split: Split,
    /// Why.
    pub note: Note,
    /// When.
    pub at: Timestamp,
}

impl Case {
    /// The binding.
    pub fn binding(&self) -> BindingId {
        agreement::binding_id(&self.agreement)
    }

    /// What was agreed.
    pub fn terms(&self) -> &Agreement {
        self.agreement.body()
    }

    /// Who opened it.
    pub const fn opened_by(&self) -> Side {
        self.file.opened_by
    }

    /// When this node took it.
    pub const fn taken_at(&self) -> Timestamp {
        self.file.taken_at
    }

    /// Where the money is, by what the sides say that need a signature. More than one, where they don't say the same: what an
    /// award divides is then what each side has settled of its own.
    pub fn balances(&self) -> impl Iterator<Item = BalanceId> + '_ {
        self.file.places().map(|place| place.balance)
    }

    /// What a party asks for, where it said so.
    pub fn claim(&self, side: Side) -> Option<Split> {
        self.file.claims[index(side)].map(|(_, claim)| claim)
    }

    /// How many items a party has shown.
    pub const fn shown(&self, side: Side) -> u32 {
        self.file.chains[index(side)].next
    }

    /// This node's award, once it has given one.
    pub const fn award(&self) -> Option<&Given> {
        self.file.award.as_ref()
    }

    /// What the other arbiters of the binding said.
    pub fn fellows(&self) -> &[Decision] {
        self.file.fellows.last()
    }

    /// The division that a majority has given, as far as this arbiter, whose key is `own`, knows.
    pub fn standing(&self, own: Option<ServingKey>) -> Option<Split> {
        let mut awards = self.file.fellows.clone();
        let word = |(arbiter, given): (ServingKey, &Given)| {
            let Given { number, split, note, .. } = given.clone();
            Decision { arbiter, number, split, note }
        };
        let own = own.into_iter().flat_map(|own| self.given().map(move |given| (own, given)));
        for decision in own.map(word) {
            awards.hear(decision);
        }
        awards.standing(dispute::majority(self.terms().arbiters.len()))
    }

    pub(super) fn versions(&self) -> impl Iterator<Item = (Side, &Version)> {
        let of = |side: Side| self.file.versions[index(side)].iter().map(move |version| (side, version));
        of(Side::Provider).chain(of(Side::Consumer))
    }

    pub(super) const fn versions_mut(&mut self, side: Side) -> &mut Vec<Version> {
        &mut self.file.versions[index(side)]
    }

    fn side_of(&self, key: ServingKey) -> Option<Side> {
        side_of(self.terms(), key)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        frame::encode(&self.file).expect("a case's parts are bounded well below a stored value's limit")
    }

    /// Reads what was stored, verifying the messages again.
    pub(super) fn from_bytes(network: &NetworkId, bytes: &[u8]) -> Result<Self, RestoreError> {
        let broken = |why: String| RestoreError { what: "case", why };
        let file: CaseFile = frame::decode(bytes).map_err(|e| broken(e.to_string()))?;
        let dispute = frames::from_stream(network, &file.dispute).and_then(|packed| packed.open::<Dispute>(network));
        let dispute = dispute.map_err(|e| broken(e.to_string()))?.into_body();
        let agreement = read_agreement(network, &dispute).map_err(|e| broken(e.to_string()))?;
        Ok(Self { agreement, file, looks: fees::Looks::default(), lacks_opening: [false; 2], is_gone: false })
    }
}

impl CaseFile {
    /// A side asks for something, or for something else than before.
    fn hear_claim(&mut self, by: Side, dispute: &Dispute) {
        let claim = &mut self.claims[index(by)];
        if claim.is_none_or(|(known, _)| dispute.at >= known) {
            *claim = Some((dispute.at, dispute.claim));
        }
    }
}

const fn index(side: Side) -> usize {
    match side {
        Side::Provider => 0,
        Side::Consumer => 1,
    }
}

fn side_of(agreement: &Agreement, key: ServingKey) -> Option<Side> {
    let is = |party| party == key;
    match (is(agreement.serving_key), is(agreement.consumer_key)) {
        (true, _) => Some(Side::Provider),
        (_, true) => Some(Side::Consumer),
        _ => None,
    }
}

/// The agreement inside of a dispute: the binding's own, with every arbiter's engagement.
fn read_agreement(network: &NetworkId, dispute: &Dispute) -> Result<Signed<Agreement>, Refusal> {
    let agreement = Packed::new(Kind::Agreement, network, dispute.agreement.clone())?.open::<Agreement>(network)?;
    if agreement::binding_id(&agreement) != dispute.binding {
        return Err(Refusal::new(Reason::Malformed, "the dispute is about another binding than its agreement"));
    }
    agreement.body().check_engagements(network)?;
    Ok(agreement)
}

impl Market {
    /// The cases of which this node is an arbiter.
    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.cases.values()
    }

    /// The case about a binding.
    pub fn case(&self, binding: &BindingId) -> Option<&Case> {
        self.cases.get(binding)
    }

    /// What parties showed about a binding: a party's own node has its own items, an arbiter's both sides'.
    pub fn evidence(&self, binding: BindingId, side: Side) -> impl Iterator<Item = Item> + '_ {
        (0..MAX_EVIDENCE_ITEMS)
            .map_while(move |number| self.evidence.get(&Chain::key(binding, side, number)))
            .filter_map(|bytes| Item::from_bytes(bytes).ok())
    }

    /// A dispute comes in: from a party to its arbiter, or through an arbiter to the other party.
    pub(super) fn dispute_received(
        &mut self,
        (token, peer): (Token, &PeerId),
        packed: Packed,
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let network = self.setup.network;
        let frame = frames::to_stream(&packed);
        let dispute = packed.open::<Dispute>(&network)?.into_body();
        if self.by_binding.contains_key(&dispute.binding) {
            return self.dispute_received_by_party(dispute, now, step).map(Some);
        }
        let agreement = read_agreement(&network, &dispute)?;
        let stranger = || Refusal::new(Reason::BadSignature, "not signed by a party of the binding");
        let by = side_of(agreement.body(), dispute.key).ok_or_else(stranger)?;
        self.own_seat(agreement.body())?;
        if !dispute.claim.divides(agreement.body().amount) {
            return Err(Refusal::new(Reason::Malformed, "the claim doesn't divide the escrow"));
        }
        let binding = dispute.binding;
        if let Some(mut case) = self.cases.remove(&binding) {
            let before = case.file.clone();
            case.file.hear_claim(by, &dispute);
            self.is_there(binding, dispute.key);
            if case.file.place(dispute.balance).is_none() {
                self.look_at_place(binding, by, dispute.balance, step);
            }
            self.keep_if_changed(case, &before, step);
            return Ok(self.case_ack(binding, Kind::Dispute));
        }
        if !self.is_in_time(&dispute, agreement.body(), now) {
            return Ok(self.case_rejected(binding, "a dispute is opened before dispute_by, and that has passed"));
        }
        if !self.may_keep(agreement.body(), now) {
            return Ok(self.case_not_now(binding, "there is no room for another case that isn't about more"));
        }
        let from = (token, peer.clone());
        self.look_for_money(Looking::new(from, (dispute, frame), agreement, by, now), step);
        Ok(None)
    }

    /// The arbiter of a binding that this node is.
    fn own_seat<'a>(&self, agreement: &'a Agreement) -> Result<&'a AgreedArbiter, Refusal> {
        let own = self.setup.keys.serving_key();
        let seat = agreement.arbiters.iter().find(|arbiter| Some(arbiter.key) == own);
        seat.ok_or_else(|| Refusal::new(Reason::UnknownSeries, "this node is no arbiter of the binding"))
    }

    /// The money of a dispute was looked for.
    pub(super) fn case_read(&mut self, place: (BindingId, Side), entries: &[Entry], now: Now, step: &mut Step<Effect>) {
        let Some(Looking { token, dispute, frame, agreement, by, .. }) = self.looking.remove(&place) else { return };
        let binding = place.0;
        let terms = agreement.body();
        let place = Place::of(terms, binding, dispute.balance, entries);
        // The other side's came while this one's money was looked for.
        if let Some(mut case) = self.cases.remove(&binding) {
            let before = case.file.clone();
            case.file.hear_claim(by, &dispute);
            case.file.places[index(by)] = place.or(before.places[index(by)]);
            case.is_gone &= place.is_none();
            self.keep_if_changed(case, &before, step);
            let bytes = self.case_ack(binding, Kind::Dispute).unwrap_or_default();
            return step.then(Effect::Respond { token, bytes });
        }
        let answer = if place.is_some() {
            let mut places = [None; 2];
            places[index(by)] = place;
            let mut claims = [None; 2];
            claims[index(by)] = Some((dispute.at, dispute.claim));
            let file = CaseFile {
                dispute: frame,
                opened_by: by,
                taken_at: now.timestamp(),
                claims,
                places,
                chains: [Chain::default(); 2],
                award: None,
                first: Vec::new(),
                opening_heard: false,
                award_heard: Vec::new(),
                fellows: Awards::default(),
                fees: [Vec::new(), Vec::new()],
                settlements: [None; 2],
                versions: [Vec::new(), Vec::new()],
            };
            self.make_room(agreement.body(), now, step);
            self.keep_case(
                Case { agreement, file, looks: fees::Looks::default(), lacks_opening: [false; 2], is_gone: false },
                step,
            );
            self.case_ack(binding, Kind::Dispute)
        } else {
            self.case_rejected(binding, "the escrow that it is about is not on the ledger")
        };
        step.then(Effect::Respond { token, bytes: answer.unwrap_or_default() });
    }

    /// The ledger can't be looked at: the party asks again.
    pub(super) fn case_unreadable(&mut self, place: (BindingId, Side), step: &mut Step<Effect>) {
        if let Some(looking) = self.looking.remove(&place) {
            let bytes = self.case_not_now(place.0, "the arbiter can't read the ledger now").unwrap_or_default();
            step.then(Effect::Respond { token: looking.token, bytes });
        }
    }

    fn keep_case(&mut self, case: Case, step: &mut Step<Effect>) {
        let binding = case.binding();
        step.batch().put(Space::Case, *binding.as_bytes(), case.to_bytes());
        self.cases.insert(binding, case);
    }

    /// Puts a case back, and stores it where what is stored of it changed: a stranger's frame must cost no write.
    fn keep_if_changed(&mut self, case: Case, before: &CaseFile, step: &mut Step<Effect>) {
        if case.file == *before {
            self.cases.insert(case.binding(), case);
        } else {
            self.keep_case(case, step);
        }
    }

    fn case_ack(&self, binding: BindingId, kind: Kind) -> Option<Vec<u8>> {
        let key = self.setup.keys.serving.as_ref()?;
        self.frame(Ack { key: ServingKey::of(key), binding, step: kind.number() }, key)
    }

    fn case_rejected(&self, binding: BindingId, why: &str) -> Option<Vec<u8>> {
        let key = self.setup.keys.serving.as_ref()?;
        self.frame(Rejected { key: ServingKey::of(key), binding, note: Note::new(why) }, key)
    }

    fn case_not_now(&self, binding: BindingId, state: &str) -> Option<Vec<u8>> {
        let key = self.setup.keys.serving.as_ref()?;
        self.frame(NotNow { key: ServingKey::of(key), binding, state: Note::new(state) }, key)
    }

    /// This node's owner decides a case.
    pub(super) fn give_award(
        &mut self,
        id: CommandId,
        binding: BindingId,
        (to_provider, note): (Stroops, Note),
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let unknown = || CommandError::NotFound {
            what: "case",
            id: binding.to_string(),
            hint: "`tradepost dispute list` shows those that this node decides",
        };
        let Some(mut case) = self.cases.remove(&binding) else { return Self::answer(step, id, Err(unknown())) };
        let done = case.decide(to_provider, note, self.setup.keys.serving_key(), now);
        self.keep_case(case, step);
        self.tend_cases(now, step);
        Self::answer(step, id, done.map(|()| Answer::Awarded));
    }

    /// Another arbiter of a case decided.
    pub(super) fn fellow_award(&mut self, award: Award, step: &mut Step<Effect>) -> Result<Vec<u8>, Refusal> {
        let unknown = || Refusal::new(Reason::UnknownSeries, "nobody here waits for this award");
        let case = self.cases.get(&award.binding).ok_or_else(unknown)?;
        let own = self.setup.keys.serving_key();
        let fellow = case.terms().arbiters.iter().any(|arbiter| arbiter.key == award.key && Some(award.key) != own);
        if !fellow || !award.split.divides(case.terms().amount) {
            return Err(Refusal::new(Reason::BadSignature, "not another arbiter of the binding, or no division of it"));
        }
        let decision = Decision { arbiter: award.key, number: award.number, split: award.split, note: award.note };
        let Some(mut case) = self.cases.remove(&award.binding) else { return Err(unknown()) };
        let before = case.file.clone();
        case.file.fellows.hear(decision);
        self.keep_if_changed(case, &before, step);
        self.case_ack(award.binding, Kind::Award).ok_or_else(unknown)
    }

    /// Tells parties and fellow arbiters what they must hear, and forgets what is long over.
    pub(super) fn tend_cases(&mut self, now: Now, step: &mut Step<Effect>) {
        self.tend_looking(now);
        let over: Vec<BindingId> =
            self.cases.values().filter(|case| case.is_forgotten(now)).map(Case::binding).collect();
        for binding in over {
            self.forget_case(binding, step);
        }
        let own = self.setup.keys.serving_key();
        let words: Vec<_> = self
            .cases
            .values()
            .flat_map(|case| {
                // Where its share is, a party may learn from T on, too.
                let words = if case.is_over(now) { Vec::new() } else { case.words(own) };
                let versions = case.version_words().into_iter();
                let idle = versions.filter(|(key, ..)| words.iter().all(|(to, ..)| to != key)).collect::<Vec<_>>();
                words.into_iter().chain(idle).map(move |word| (case.binding(), word))
            })
            .collect();
        for (binding, (to, peer, word)) in words {
            let Some(bytes) = self.case_frame(binding, word).filter(|_| self.may_tell(binding, to, now)) else {
                continue;
            };
            self.tell_one(binding, to, peer, word, bytes, step);
        }
    }

    fn case_frame(&self, binding: BindingId, word: DisputeWord) -> Option<Vec<u8>> {
        let (case, key) = (self.cases.get(&binding)?, self.setup.keys.serving.as_ref()?);
        match word {
            DisputeWord::Opening => Some(case.file.dispute.clone()),
            DisputeWord::Award(number) => {
                let Given { number, split, note, .. } = case.given().find(|given| given.number == number)?.clone();
                self.frame(Award { key: ServingKey::of(key), binding, number, split, note }, key)
            }
            DisputeWord::Version(id) => case.version(id),
            DisputeWord::Released(_) | DisputeWord::Evidence(_) | DisputeWord::Settlement(_) => None,
        }
    }

    fn forget_case(&mut self, binding: BindingId, step: &mut Step<Effect>) {
        self.cases.remove(&binding);
        step.batch().delete(Space::Case, *binding.as_bytes());
        for (side, number) in
            [Side::Provider, Side::Consumer].into_iter().flat_map(|s| (0..MAX_EVIDENCE_ITEMS).map(move |n| (s, n)))
        {
            let key = Chain::key(binding, side, number);
            if self.evidence.remove(&key).is_some() {
                step.batch().delete(Space::Evidence, key);
            }
        }
    }

    /// Somebody has what a case's arbiter said, or not yet.
    pub(super) fn case_word_answered(
        &mut self,
        (binding, to, word): (BindingId, ServingKey, DisputeWord),
        heard: bool,
        answer: &[u8],
        step: &mut Step<Effect>,
    ) {
        let Some(mut case) = self.cases.remove(&binding) else { return };
        let party = case.side_of(to);
        match word {
            DisputeWord::Opening if heard => {
                let Some(party) = party else { return drop(self.cases.insert(binding, case)) };
                case.lacks_opening[index(party)] = false;
                if party == case.file.opened_by || core::mem::replace(&mut case.file.opening_heard, true) {
                    return drop(self.cases.insert(binding, case));
                }
            }
            DisputeWord::Award(_) if !heard => {
                if let Some(party) = party.filter(|_| self.is_without_opening(answer, to, binding)) {
                    case.lacks_opening[index(party)] = true;
                }
                return drop(self.cases.insert(binding, case));
            }
            DisputeWord::Version(id) if heard => case.version_heard(id),
            DisputeWord::Award(number) if heard => {
                let known = &mut case.file.award_heard;
                known.retain(|(key, _)| *key != to);
                known.push((to, number));
            }
            _ => return drop(self.cases.insert(binding, case)),
        }
        self.keep_case(case, step);
    }
}

impl Case {
    fn timeout_at(&self) -> Timestamp {
        self.terms().terms.refund_at().unwrap_or_default()
    }

    /// Whether nothing can be decided any more.
    pub fn is_over(&self, now: Now) -> bool {
        now.timestamp() >= self.timeout_at()
    }

    fn is_forgotten(&self, now: Now) -> bool {
        now.timestamp() >= self.timeout_at().plus(CASE_KEPT)
    }

    /// Its awards that others must hear of, by their numbers: the first of each division, and the newest.
    fn given(&self) -> impl Iterator<Item = &Given> {
        let newest = self.file.award.iter().filter(|newest| !self.file.first.contains(newest));
        self.file.first.iter().chain(newest)
    }

    /// Whether this arbiter awards this division, or did before. Its word binds it: with enough others' it may have made an
    /// award, which stands whatever is said later.
    fn has_awarded(&self, split: Split) -> bool {
        self.file.first.iter().any(|given| given.split == split)
    }

    fn decide(
        &mut self,
        to_provider: Stroops,
        note: Note,
        own: Option<ServingKey>,
        now: Now,
    ) -> Result<(), CommandError> {
        let amount = self.terms().amount;
        let more = || CommandError::NotNow(format!("the escrow holds {}, the provider can't get more", amount.coins()));
        let split = Split::of(amount, to_provider).ok_or_else(more)?;
        if self.is_over(now) {
            return Err(CommandError::NotNow("T has passed: the escrow is the timeout beneficiary's".into()));
        }
        let is_new = !self.has_awarded(split);
        // Whoever said nothing yet may still say the same.
        if self.standing(own).is_some_and(|standing| standing != split || !is_new) {
            return Err(CommandError::NotNow("a majority of the arbiters has decided: the award stands".into()));
        }
        if is_new && self.file.first.len() >= MAX_DIVISIONS {
            let why = format!("{MAX_DIVISIONS} different awards are given at most: give one of those again");
            return Err(CommandError::NotNow(why));
        }
        let number = self.file.award.as_ref().map_or(1, |given| given.number.saturating_add(1));
        let given = Given { number, split, note, at: now.timestamp() };
        self.file.first.extend(is_new.then(|| given.clone()));
        self.file.award = Some(given);
        Ok(())
    }

    /// Who must hear what next.
    fn words(&self, own: Option<ServingKey>) -> Vec<(ServingKey, PeerId, DisputeWord)> {
        let terms = self.terms();
        let parties = [(terms.serving_key, &terms.provider_peer), (terms.consumer_key, &terms.consumer_peer)];
        let mut words = Vec::new();
        let other = 1 - index(self.file.opened_by);
        for (party, (key, peer)) in parties.into_iter().enumerate() {
            if self.lacks_opening[party] || (party == other && !self.file.opening_heard) {
                words.push((key, peer.clone(), DisputeWord::Opening));
            }
        }
        // In the order in which they were given, each once the one before it is known.
        let next = |key: ServingKey| {
            let known = self.file.award_heard.iter().find(|(of, _)| *of == key).map_or(0, |(_, number)| *number);
            self.given().map(|given| given.number).filter(|number| *number > known).min()
        };
        let fellows = terms.arbiters.iter().filter(|arbiter| Some(arbiter.key) != own);
        for (key, peer) in parties.into_iter().chain(fellows.map(|arbiter| (arbiter.key, &arbiter.peer))) {
            let waits = words.iter().any(|(to, ..)| *to == key);
            if let Some(number) = next(key).filter(|_| !waits) {
                words.push((key, peer.clone(), DisputeWord::Award(number)));
            }
        }
        words
    }
}
