//! The waiting pool: offerings and requests that lack something, documents that no bonded offering uses yet, and
//! cancellations of requests that aren't here.
//!
//! Divided per delivering peer, so that nobody can fill another's part; what doesn't fit takes a random one's place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Book, BookEffect, Delivery, Outcome, Want};
use crate::account::{PeerId, ServiceKey, ServingKey};
use crate::binding::frames::Cancel;
use crate::document::{BindingRequest, Offering, ServiceRecord, Template, template_id};
use crate::limits::{MAX_WAITING, MAX_WAITING_PER_PEER, WAITING_TIME};
use crate::message::{MessageId, SeriesId, Signed, TemplateId};
use crate::refusal::{Reason, Refusal};
use crate::status::{Presence, Status};
use crate::step::Step;
use crate::time::Now;

/// An offering that lacks something.
#[derive(Debug)]
pub(super) struct WaitingOffering {
    pub(super) signed: Arc<Signed<Offering>>,
    pub(super) series: SeriesId,
    /// The first revision, where this is a later one of a series that isn't in the book.
    pub(super) first: Option<Arc<Signed<Offering>>>,
    /// What its serving key said meanwhile; taken with the offering.
    pub(super) status: Option<Signed<Status>>,
    /// See `status`.
    pub(super) presence: Option<Signed<Presence>>,
    /// What it lacks.
    pub(super) want: Want,
}

/// A request that lacks its offering, or whose consumer wasn't looked up yet.
#[derive(Debug)]
pub(super) struct WaitingRequest {
    pub(super) signed: Arc<Signed<BindingRequest>>,
    /// What it lacks.
    pub(super) want: Want,
}

/// What can wait.
#[derive(Debug)]
pub(super) enum Item {
    Offering(Box<WaitingOffering>),
    Template(Arc<Signed<Template>>),
    Record(Arc<Signed<ServiceRecord>>),
    /// A record that follows on one that isn't known; it is nobody's current record yet.
    LaterRecord(Arc<Signed<ServiceRecord>>, MessageId),
    Request(WaitingRequest),
    /// Taken with its request.
    Cancel(Signed<Cancel>),
}

impl Item {
    fn id(&self) -> MessageId {
        match self {
            Self::Offering(offering) => offering.signed.id(),
            Self::Template(signed) => signed.id(),
            Self::Record(signed) | Self::LaterRecord(signed, _) => signed.id(),
            Self::Request(request) => request.signed.id(),
            Self::Cancel(signed) => signed.id(),
        }
    }

    /// What it lacks, where it is something that can be looked for.
    fn want(&self) -> Option<Want> {
        match self {
            Self::Offering(offering) => Some(offering.want.clone()),
            Self::Request(request) => Some(request.want.clone()),
            Self::LaterRecord(_, before) => Some(Want::PastRecord(*before)),
            Self::Cancel(signed) => Some(Want::Request(signed.body().request)),
            Self::Template(_) | Self::Record(_) => None,
        }
    }

    /// By what it is looked up.
    fn tags(&self) -> Vec<Tag> {
        match self {
            Self::Offering(o) => {
                let key = o.signed.body().serving_key;
                vec![Tag::Wants(o.want.clone()), Tag::Series(o.series), Tag::Serving(key)]
            }
            Self::Template(signed) => vec![Tag::Template(template_id(signed.packed().payload()))],
            Self::Record(signed) => vec![Tag::Record(signed.body().service)],
            Self::LaterRecord(..) | Self::Request(_) | Self::Cancel(_) => {
                self.want().map(Tag::Wants).into_iter().collect()
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tag {
    Wants(Want),
    Series(SeriesId),
    Serving(ServingKey),
    Template(TemplateId),
    Record(ServiceKey),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) item: Item,
    pub(super) from: Option<PeerId>,
    /// Why it isn't in the book.
    lacks: Reason,
    /// When the ledger was asked for what it lacks last.
    pub(super) asked_at: Option<Now>,
    /// How often it was.
    pub(super) asked: u32,
    since: Now,
}

/// The pool; every index is kept by [`Waiting::insert`] and [`Waiting::remove`] alone.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    entries: BTreeMap<MessageId, Entry>,
    parts: BTreeMap<Option<PeerId>, Vec<MessageId>>,
    tags: BTreeMap<Tag, BTreeSet<MessageId>>,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.entries.contains_key(id)
    }

    /// The parts of the pool by delivering peer; our own first.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[MessageId]> {
        self.parts.values().map(Vec::as_slice)
    }

    pub(super) fn from(&self, id: &MessageId) -> Option<&PeerId> {
        self.entries.get(id)?.from.as_ref()
    }

    pub(super) fn offering(&self, id: &MessageId) -> Option<&WaitingOffering> {
        match &self.entries.get(id)?.item {
            Item::Offering(offering) => Some(offering),
            _ => None,
        }
    }

    /// The offering, to note something in it that no index depends on.
    pub(super) fn offering_mut(&mut self, id: &MessageId) -> Option<&mut WaitingOffering> {
        match &mut self.entries.get_mut(id)?.item {
            Item::Offering(offering) => Some(offering),
            _ => None,
        }
    }

    pub(super) fn request(&self, id: &MessageId) -> Option<&WaitingRequest> {
        match &self.entries.get(id)?.item {
            Item::Request(request) => Some(request),
            _ => None,
        }
    }

    /// What a message lacks.
    pub(super) fn want(&self, id: &MessageId) -> Option<Want> {
        self.entries.get(id)?.item.want()
    }

    /// Takes the cancellations of a request out.
    pub(super) fn take_cancels(&mut self, request: &MessageId) -> Vec<(Signed<Cancel>, Option<PeerId>)> {
        let ids = self.tagged(&Tag::Wants(Want::Request(*request)));
        let entries = ids.iter().filter_map(|id| self.remove(id));
        let cancel =
            |entry: Entry| if let Item::Cancel(signed) = entry.item { Some((signed, entry.from)) } else { None };
        entries.filter_map(cancel).collect()
    }

    /// Notes that the ledger is asked for what a message lacks.
    pub(super) fn asked(&mut self, id: &MessageId, now: Now) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.asked_at = Some(now);
            entry.asked = entry.asked.saturating_add(1);
        }
    }

    /// When and how often the ledger was asked for what a message lacks.
    pub(super) fn when_asked(&self, id: &MessageId) -> (Option<Now>, u32) {
        self.entries.get(id).map(|entry| (entry.asked_at, entry.asked)).unwrap_or_default()
    }

    /// Our own offerings that wait.
    pub(super) fn own_offerings(&self) -> impl Iterator<Item = &WaitingOffering> {
        self.parts.get(&None).into_iter().flatten().filter_map(|id| self.offering(id))
    }

    pub(super) fn tagged(&self, tag: &Tag) -> Vec<MessageId> {
        self.tags.get(tag).map(|ids| ids.iter().copied().collect()).unwrap_or_default()
    }

    pub(super) fn template(&self, id: &TemplateId) -> Option<&Arc<Signed<Template>>> {
        let message = self.tags.get(&Tag::Template(*id))?.first()?;
        match &self.entries.get(message)?.item {
            Item::Template(signed) => Some(signed),
            _ => None,
        }
    }

    pub(super) fn record(&self, service: &ServiceKey) -> Option<&Arc<Signed<ServiceRecord>>> {
        let message = self.tags.get(&Tag::Record(*service))?.first()?;
        match &self.entries.get(message)?.item {
            Item::Record(signed) => Some(signed),
            _ => None,
        }
    }

    /// Takes the records out that follow on this one.
    pub(super) fn take_later_records(&mut self, before: &MessageId) -> Vec<Arc<Signed<ServiceRecord>>> {
        let ids = self.tagged(&Tag::Wants(Want::PastRecord(*before)));
        let entries = ids.iter().filter_map(|id| self.remove(id));
        let later = |entry: Entry| if let Item::LaterRecord(signed, _) = entry.item { Some(signed) } else { None };
        entries.filter_map(later).collect()
    }

    /// Takes a template out, with who delivered it.
    pub(super) fn take_template(&mut self, id: &TemplateId) -> Option<(Arc<Signed<Template>>, Option<PeerId>)> {
        let signed = self.template(id)?.clone();
        let from = self.remove(&signed.id())?.from;
        Some((signed, from))
    }

    /// Takes a service's record out, with who delivered it.
    pub(super) fn take_record(&mut self, service: &ServiceKey) -> Option<(Arc<Signed<ServiceRecord>>, Option<PeerId>)> {
        let signed = self.record(service)?.clone();
        let from = self.remove(&signed.id())?.from;
        Some((signed, from))
    }

    /// Puts an item into its peer's part. Where that is full, a random one of that part gives way; where the pool is, a
    /// random one of the largest part. Our own never give way. Says whether one did.
    fn insert(
        &mut self,
        item: Item,
        lacks: Reason,
        from: Option<PeerId>,
        since: Now,
        random: u64,
    ) -> Result<bool, Refusal> {
        let part = self.parts.get(&from).map(Vec::as_slice).unwrap_or_default();
        let full = part.len() >= MAX_WAITING_PER_PEER;
        if full && from.is_none() {
            let detail = format!("{MAX_WAITING_PER_PEER} of our own messages wait already");
            return Err(Refusal::new(Reason::WaitingFull, detail));
        }
        let victims = if full {
            Some(part)
        } else if self.entries.len() >= MAX_WAITING {
            let foreign = self.parts.iter().filter(|(peer, _)| peer.is_some());
            foreign.map(|(_, part)| part.as_slice()).max_by_key(|part| part.len())
        } else {
            None
        };
        let victim = victims.filter(|v| !v.is_empty()).map(|victims| victims[(random % victims.len() as u64) as usize]);
        victim.and_then(|victim| self.remove(&victim));
        let id = item.id();
        for tag in item.tags() {
            self.tags.entry(tag).or_default().insert(id);
        }
        self.parts.entry(from.clone()).or_default().push(id);
        self.entries.insert(id, Entry { item, from, lacks, asked_at: None, asked: 0, since });
        Ok(victim.is_some())
    }

    pub(super) fn remove(&mut self, id: &MessageId) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        for tag in entry.item.tags() {
            self.untag(&tag, id);
        }
        if let Some(part) = self.parts.get_mut(&entry.from) {
            part.retain(|other| other != id);
            if part.is_empty() {
                self.parts.remove(&entry.from);
            }
        }
        Some(entry)
    }

    /// Notes that an offering or request lacks something else now.
    fn now_wants(&mut self, id: &MessageId, want: Want, lacks: Reason) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let wanted = match &mut entry.item {
            Item::Offering(offering) => &mut offering.want,
            Item::Request(request) => &mut request.want,
            _ => return,
        };
        entry.lacks = lacks;
        let before = core::mem::replace(wanted, want.clone());
        self.untag(&Tag::Wants(before), id);
        self.tags.entry(Tag::Wants(want)).or_default().insert(*id);
    }

    fn untag(&mut self, tag: &Tag, id: &MessageId) {
        if let Some(ids) = self.tags.get_mut(tag) {
            ids.remove(id);
            if ids.is_empty() {
                self.tags.remove(tag);
            }
        }
    }

    /// Drops what has waited too long; says what each of them lacked.
    pub(super) fn expire(&mut self, now: Now) -> Vec<Reason> {
        let over = |entry: &Entry| now.since(entry.since) >= WAITING_TIME;
        let ids: Vec<MessageId> = self.entries.iter().filter(|(_, e)| over(e)).map(|(id, _)| *id).collect();
        ids.iter().filter_map(|id| self.remove(id)).map(|entry| entry.lacks).collect()
    }
}

impl Book {
    /// Lets an item wait for what it lacks.
    pub(super) fn let_wait(&mut self, item: Item, lacks: Reason, delivery: &Delivery<'_>) -> Result<(), Refusal> {
        if self.waiting.insert(item, lacks, delivery.from.cloned(), delivery.now, delivery.random)? {
            self.count(Reason::WaitingFull);
        }
        Ok(())
    }

    /// Lets a message that waited go, refused for good.
    pub(super) fn refuse_waiting(&mut self, id: &MessageId, refusal: Refusal, step: &mut Step<BookEffect>) {
        if self.waiting.remove(id).is_some() {
            self.count(refusal.reason);
            step.then(BookEffect::Refused { id: *id, refusal });
        }
    }

    /// Keeps a template or record until a bonded offering uses it, and looks at the offerings that lacked it.
    pub(super) fn park(
        &mut self,
        item: Item,
        want: Want,
        delivery: &Delivery<'_>,
        step: &mut Step<BookEffect>,
    ) -> Result<Outcome, Refusal> {
        if let Want::Record(service) = &want
            && self.waiting.take_record(service).is_some()
        {
            self.count(Reason::Superseded);
        }
        self.let_wait(item, Reason::NoBond, delivery)?;
        self.retry(&want, delivery.now, step);
        Ok(Outcome::Waits(Refusal::new(Reason::NoBond, "no bonded offering uses it yet"), Vec::new()))
    }

    /// Looks again at the offerings and requests that lacked this.
    pub(super) fn retry(&mut self, want: &Want, now: Now, step: &mut Step<BookEffect>) {
        for id in self.waiting.tagged(&Tag::Wants(want.clone())) {
            self.look_again(&id, now, step);
        }
    }

    /// Checks what a waiting offering or request lacks now; drops it where it is refused for good.
    pub(super) fn look_again(&mut self, id: &MessageId, now: Now, step: &mut Step<BookEffect>) {
        let Some(before) = self.waiting.want(id) else { return };
        let lacking = if let Some(offering) = self.waiting.offering(id) {
            let signed = offering.signed.clone();
            self.standing(offering.series, &signed, now)
                .and_then(|()| self.lacks(offering.series, &signed, offering.first.as_deref()))
        } else if let Some(request) = self.waiting.request(id) {
            let body = request.signed.body();
            self.request_stands(body, false, now).and_then(|()| self.request_lacks(body))
        } else {
            return;
        };
        match lacking {
            Ok((want, lacking)) if want != before => {
                self.waiting.now_wants(id, want.clone(), lacking.reason);
                step.then(BookEffect::Wanted { want, from: self.waiting.from(id).cloned() });
            }
            Ok(_) => {}
            Err(refusal) => self.refuse_waiting(id, refusal, step),
        }
    }
}

#[cfg(test)]
impl Waiting {
    /// Whether no index remembers anything.
    pub(super) fn forgot_everything(&self) -> bool {
        self.entries.is_empty() && self.parts.is_empty() && self.tags.is_empty()
    }
}
