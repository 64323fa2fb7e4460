//! From bytes to the book: gossip, catching up with peers, bonds looked up.

use rand_core::CryptoRng;

use crate::account::PeerId;
use crate::book::{self, BondVerdict, BondWanted, BookEffect, ConsumerVerdict, ConsumerWanted, Want};
use crate::kind::Kind;
use crate::limits::{MAX_IDS_PER_PAGE, MAX_KEYS_PER_READ};
use crate::market::Market;
use crate::market::event::{Ask, Effect, News, Token, Verdict};
use crate::market::provider::holdings;
use crate::message::{MessageId, Packed};
use crate::refusal::{Reason, Refusal};
use crate::stellar::entry::Entry;
use crate::stellar::ledger_key::Key;
use crate::step::Step;
use crate::time::Now;

/// The most bytes of messages in one answer to a fetch.
const MAX_FETCH_BYTES: usize = 512 * 1024;
/// Messages asked for in one fetch.
const MAX_FETCH_IDS: usize = 128;
/// Peers whose last catch-up is remembered.
pub(super) const MAX_CAUGHT_UP: usize = 1_024;

impl Market {
    /// A gossiped message.
    #[expect(clippy::too_many_arguments, reason = "the event's own fields, with time and randomness")]
    pub(super) fn gossiped(
        &mut self,
        token: Token,
        kind: Kind,
        bytes: Vec<u8>,
        from: PeerId,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        if !kind.gossiped() {
            let refusal = Refusal::new(Reason::WrongKind, format_args!("a {kind} isn't gossiped to the book"));
            self.count_refusal(&refusal);
            return step.then(Effect::Verdict { token, verdict: Verdict::Ignore, refusal: Some(refusal) });
        }
        let admission = self.book.admit_bytes(kind, bytes, Some(&from), now, rng.next_u64());
        let id = admission.id;
        self.absorb_book(admission.step, step);
        let (verdict, refusal) = match admission.verdict {
            book::Verdict::Accept => (Verdict::Accept, None),
            book::Verdict::Reject(refusal) => (Verdict::Reject, Some(refusal)),
            book::Verdict::Ignore(refusal) => (Verdict::Ignore, Some(refusal)),
            book::Verdict::Wait { refusal, wants } => {
                self.fetch_wants(&from, &wants, step);
                // What it lacks may be here in a moment; accepted then, it goes on as gossip goes.
                let held = id.map_or(Err(refusal.clone()), |id| self.held.hold(id, token, refusal, &from, now));
                let Err(refusal) = held else { return };
                (Verdict::Ignore, Some(refusal))
            }
        };
        step.then(Effect::Verdict { token, verdict, refusal });
    }

    /// Counts a refusal that isn't the book's.
    fn count_refusal(&mut self, refusal: &Refusal) {
        let count = self.refused.entry(refusal.reason).or_default();
        *count = count.saturating_add(1);
    }

    /// A peer sent what it shouldn't have.
    pub(super) fn misbehaved(&mut self, peer: PeerId, refusal: Refusal, step: &mut Step<Effect>) {
        self.count_refusal(&refusal);
        step.then(Effect::Misbehaved { peer, refusal });
    }

    /// Verdicts that can't wait any longer: what their messages lack still isn't here.
    fn give_up_held(&mut self, now: Now, step: &mut Step<Effect>) {
        for held in self.held.late(now) {
            let refusal = Some(held.refusal);
            step.then(Effect::Verdict { token: held.token, verdict: Verdict::Ignore, refusal });
        }
    }

    fn fetch_wants(&self, from: &PeerId, wants: &[Want], step: &mut Step<Effect>) {
        let ids: Vec<(Kind, MessageId)> = wants.iter().filter_map(Want::item).collect();
        if !ids.is_empty() {
            step.then(Effect::Fetch { peer: from.clone(), ids });
        }
    }

    pub(super) fn absorb_book(&mut self, inner: Step<BookEffect>, step: &mut Step<Effect>) {
        let (batch, effects) = inner.into_parts();
        step.batch().append(batch);
        for effect in effects {
            match effect {
                BookEffect::Relay(packed) => step.then(match self.held.take(&packed.id()) {
                    Some(held) => Effect::Verdict { token: held.token, verdict: Verdict::Accept, refusal: None },
                    None => Effect::Publish { kind: packed.kind(), bytes: packed.bytes().to_vec() },
                }),
                BookEffect::Listed(series) | BookEffect::Updated(series) | BookEffect::Unlisted(series) => {
                    step.then(Effect::News(News::Offering(series)));
                }
                BookEffect::Refused { id, refusal } => {
                    if let Some(held) = self.held.take(&id) {
                        let refusal = Some(refusal);
                        step.then(Effect::Verdict { token: held.token, verdict: Verdict::Ignore, refusal });
                    }
                }
                BookEffect::Wanted { want, from: Some(from) } => self.fetch_wants(&from, &[want], step),
                BookEffect::Wanted { .. } => {}
            }
        }
    }

    /// A message of one's own, through the same door as everybody's.
    pub(super) fn admit_own(&mut self, packed: Packed, now: Now, rng: &mut dyn CryptoRng, step: &mut Step<Effect>) {
        let admission = self.book.admit(packed, None, now, rng.next_u64());
        self.absorb_book(admission.step, step);
    }

    /// A message of one's own that a user waits for: what refuses it is told.
    pub(super) fn admit_own_strictly(
        &mut self,
        packed: Packed,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) -> Result<(), Refusal> {
        let admission = self.book.admit(packed, None, now, rng.next_u64());
        self.absorb_book(admission.step, step);
        match admission.verdict {
            book::Verdict::Accept | book::Verdict::Wait { .. } => Ok(()),
            book::Verdict::Reject(refusal) | book::Verdict::Ignore(refusal) => Err(refusal),
        }
    }

    /// A peer was met: its book may hold what this one lacks.
    pub(super) fn peer_met(&mut self, peer: PeerId, now: Now, step: &mut Step<Effect>) {
        if self.caught_up_at.len() >= MAX_CAUGHT_UP {
            let oldest = self.caught_up_at.iter().min_by_key(|(_, at)| **at).map(|(p, _)| p.clone());
            oldest.map(|p| self.caught_up_at.remove(&p));
        }
        self.caught_up_at.insert(peer.clone(), now);
        self.first_sync.asks(&peer, now);
        step.then(Effect::ListIds { peer, after: None });
    }

    /// A peer went: it is caught up with when it is met again.
    pub(super) fn peer_lost(&mut self, peer: &PeerId) {
        self.caught_up_at.remove(peer);
        self.first_sync.loses(peer);
    }

    /// Catches up again with the peer that was asked longest ago: gossip may have lost something meanwhile.
    fn catch_up_again(&mut self, now: Now, step: &mut Step<Effect>) {
        let every = self.setup.margins.presence_life;
        let due = self.caught_up_at.iter().filter(|(_, at)| now.since(**at) >= every).min_by_key(|(_, at)| **at);
        if let Some(peer) = due.map(|(peer, _)| peer.clone()) {
            self.peer_met(peer, now, step);
        }
    }

    /// A page of a peer's ids: what is unknown is fetched, then the next page is asked for.
    pub(super) fn ids_listed(&mut self, peer: PeerId, ids: &[(Kind, MessageId)], more: bool, step: &mut Step<Effect>) {
        let unknown: Vec<(Kind, MessageId)> = ids.iter().copied().filter(|(_, id)| !self.book.knows(id)).collect();
        for part in unknown.chunks(MAX_FETCH_IDS) {
            step.then(Effect::Fetch { peer: peer.clone(), ids: part.to_vec() });
        }
        match ids.last().copied().filter(|_| more) {
            Some(last) => step.then(Effect::ListIds { peer, after: Some(last) }),
            None => self.first_sync.has_read(&peer),
        }
    }

    /// Messages came that were asked for.
    pub(super) fn fetched(
        &mut self,
        peer: PeerId,
        asked: &[(Kind, MessageId)],
        messages: Vec<(Kind, Vec<u8>)>,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        for (kind, bytes) in messages.into_iter().take(asked.len()) {
            let packed = match Packed::new(kind, &self.setup.network, bytes) {
                Ok(packed) if self.was_asked(&packed, asked) => packed,
                Ok(packed) => {
                    let refusal = Refusal::new(Reason::Unasked, format_args!("a {kind} {}", packed.id()));
                    return self.misbehaved(peer, refusal, step);
                }
                Err(refusal) => return self.misbehaved(peer, refusal, step),
            };
            let admission = self.book.admit(packed, Some(&peer), now, rng.next_u64());
            self.absorb_book(admission.step, step);
            match admission.verdict {
                book::Verdict::Reject(refusal) => {
                    return step.then(Effect::Misbehaved { peer, refusal });
                }
                book::Verdict::Wait { wants, .. } => self.fetch_wants(&peer, &wants, step),
                book::Verdict::Accept | book::Verdict::Ignore(_) => {}
            }
        }
    }

    /// Whether a message is one of those asked for: by its id, or as a template or record by its name.
    fn was_asked(&self, packed: &Packed, asked: &[(Kind, MessageId)]) -> bool {
        let asked_for = |id: MessageId| asked.contains(&(packed.kind(), id));
        if asked_for(packed.id()) {
            return true;
        }
        match packed.kind() {
            Kind::Template => {
                let id = crate::document::template_id(packed.payload());
                asked_for(MessageId::from_bytes(*id.as_bytes()))
            }
            Kind::ServiceRecord => {
                let record = packed.clone().parse::<crate::document::ServiceRecord>();
                record.is_ok_and(|r| asked_for(MessageId::from_bytes(*r.claims().service.as_bytes())))
            }
            _ => false,
        }
    }

    /// A peer wants a page of ids.
    pub(super) fn serve_ids(&self, token: Token, after: Option<(Kind, MessageId)>, step: &mut Step<Effect>) {
        let ids = self.book.ids(after, MAX_IDS_PER_PAGE);
        let more = ids.len() == MAX_IDS_PER_PAGE;
        step.then(Effect::ServeIds { token, ids, more });
    }

    /// A peer wants messages: those that are here, within an answer's bound.
    pub(super) fn serve_messages(&self, token: Token, ids: &[(Kind, MessageId)], step: &mut Step<Effect>) {
        let mut room = MAX_FETCH_BYTES;
        let mut found = Vec::new();
        for (kind, id) in ids.iter().take(MAX_FETCH_IDS) {
            let packed = self.book.message(id).filter(|packed| packed.kind() == *kind);
            let Some(left) = room.checked_sub(packed.map_or(0, |p| p.bytes().len())) else { break };
            room = left;
            found.push(packed.map(|packed| packed.bytes().to_vec()));
        }
        step.then(Effect::ServeMessages { token, found });
    }

    /// What the book needs from time to time: bonds looked up, the expired taken out.
    pub(super) fn tend_book(&mut self, now: Now, step: &mut Step<Effect>) {
        self.catch_up_again(now, step);
        self.give_up_held(now, step);
        let expired = self.book.expire(now);
        self.absorb_book(expired, step);
        let bonds = self.book.bonds_wanted(MAX_KEYS_PER_READ / 2, now);
        if !bonds.is_empty() {
            let keys = bonds.iter().flat_map(|w| [Key::Balance(w.bond), Key::Account(w.terms.account)]);
            let keys = distinct(keys);
            step.then(Effect::Read { ask: Ask::Bonds(bonds), keys });
        }
        let consumers = self.book.consumers_wanted(MAX_KEYS_PER_READ / 2, now);
        if !consumers.is_empty() {
            let keys = distinct(consumers.iter().flat_map(|w| holdings(w.account, &w.asset)));
            step.then(Effect::Read { ask: Ask::Consumers(consumers), keys });
        }
    }

    /// Consumers of published requests were read. Of what stands there and can't be read nothing follows: it is looked
    /// at again.
    pub(super) fn consumers_read(
        &mut self,
        wanted: &[ConsumerWanted],
        asked: &[Key],
        entries: &[Entry],
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let readable = |want: &&ConsumerWanted| holdings(want.account, &want.asset).all(|key| asked.contains(&key));
        for want in wanted.iter().filter(readable) {
            let rules =
                entries.iter().any(|e| matches!(e, Entry::Account(a) if a.id == want.account && a.master_key_rules()));
            let verdict = if rules && self.covers(want.account, &want.asset, want.amount, entries) {
                ConsumerVerdict::Covered
            } else {
                let detail = format!("{} must hold {} {}", want.account, want.amount.coins(), want.asset.symbol());
                ConsumerVerdict::Refused(Refusal::new(Reason::ConsumerAccount, detail))
            };
            let inner = self.book.consumer_checked(&want.request, verdict, now);
            self.absorb_book(inner, step);
        }
    }

    /// Bonds and their authors' accounts were read. Of what stands there and can't be read nothing follows: it is looked
    /// at again.
    pub(super) fn bonds_read(
        &mut self,
        wanted: &[BondWanted],
        asked: &[Key],
        entries: &[Entry],
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let keys = |want: &BondWanted| [Key::Balance(want.bond), Key::Account(want.terms.account)];
        for want in wanted.iter().filter(|want| keys(want).iter().all(|key| asked.contains(key))) {
            let verdict = bond_verdict(want, entries);
            let inner = self.book.bond_checked(&want.offering, verdict, now);
            self.absorb_book(inner, step);
        }
    }
}

/// Keys to read, each once.
fn distinct(keys: impl Iterator<Item = Key>) -> Vec<Key> {
    let mut all: Vec<Key> = Vec::new();
    for key in keys {
        if !all.contains(&key) {
            all.push(key);
        }
    }
    all
}

/// What the ledger says of a bond and its author.
fn bond_verdict(want: &BondWanted, entries: &[Entry]) -> BondVerdict {
    let balance = entries.iter().find_map(|e| match e {
        Entry::Balance(b) if b.id == want.bond => Some(b),
        _ => None,
    });
    let account = entries.iter().find_map(|e| match e {
        Entry::Account(a) if a.id == want.terms.account => Some(a),
        _ => None,
    });
    let Some(balance) = balance else { return BondVerdict::NotThere };
    if !account.is_some_and(|a| a.master_key_rules()) {
        let detail = "the author's account doesn't exist, or its master key doesn't rule it";
        return BondVerdict::Refused(Refusal::new(Reason::AuthorAccount, detail));
    }
    match want.terms.verify(balance) {
        Ok(()) => BondVerdict::Stands,
        Err(mismatch) => BondVerdict::Refused(Refusal::new(Reason::WrongBond, mismatch)),
    }
}
