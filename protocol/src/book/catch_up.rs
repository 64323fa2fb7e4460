//! What the book holds, by id: for duplicates, for fetches, and for peers that catch up.

use std::collections::{BTreeMap, BTreeSet};

use super::{Book, BookEffect};
use crate::account::{ServiceKey, ServingKey};
use crate::kind::Kind;
use crate::limits::MAX_IDS_PER_PAGE;
use crate::message::{MessageId, Packed, SeriesId, TemplateId};
use crate::step::{Space, Step};

/// What a held message is in the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Template(TemplateId),
    Record(ServiceKey),
    /// One of a service's earlier records.
    PastRecord(ServiceKey),
    /// A series' newest revision.
    Head(SeriesId),
    /// A series' first revision, where it isn't the newest: proof of whose series it is.
    First(SeriesId),
    Status(SeriesId),
    Presence(ServingKey),
    /// A published request.
    Request(MessageId),
    /// What takes a published request back.
    Cancel(MessageId),
}

/// Every message that the book holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    places: BTreeMap<MessageId, Place>,
    /// Those that peers catch up with, kind by kind, so that what others depend on comes first.
    live: BTreeSet<(u8, MessageId)>,
}

impl Held {
    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.places.contains_key(id)
    }

    /// The series whose offerings have ids from one to another.
    pub(super) fn series_between(&self, low: MessageId, high: MessageId) -> impl Iterator<Item = SeriesId> {
        self.places.range(low..=high).filter_map(|(_, place)| match place {
            Place::Head(series) | Place::First(series) => Some(*series),
            _ => None,
        })
    }

    pub(super) fn insert(&mut self, packed: &Packed, place: Place) {
        let key = (packed.kind().number(), packed.id());
        self.places.insert(packed.id(), place);
        if matches!(place, Place::First(_) | Place::PastRecord(_)) {
            self.live.remove(&key)
        } else {
            self.live.insert(key)
        };
    }

    pub(super) fn remove(&mut self, packed: &Packed) {
        self.places.remove(&packed.id());
        self.live.remove(&(packed.kind().number(), packed.id()));
    }
}

impl Book {
    /// Ids of what a peer should have too, in a stable order: templates, records, offerings, requests, presences, statuses,
    /// cancellations, each by id. `after` is the last pair of the page before; a page has at most [`MAX_IDS_PER_PAGE`].
    pub fn ids(&self, after: Option<(Kind, MessageId)>, limit: usize) -> Vec<(Kind, MessageId)> {
        use core::ops::Bound::{Excluded, Unbounded};
        let start = after.map_or(Unbounded, |(kind, id)| Excluded((kind.number(), id)));
        let page = self.held.live.range((start, Unbounded)).take(limit.min(MAX_IDS_PER_PAGE));
        page.filter_map(|&(number, id)| Kind::from_number(number).map(|kind| (kind, id))).collect()
    }

    /// Whether a message is in the book or waits to get into it; a peer need not be asked for it.
    pub fn knows(&self, id: &MessageId) -> bool {
        self.held.contains(id) || self.waiting.contains(id)
    }

    /// A message by its id; a template also by its content id, a service's current record also by the service's key.
    pub fn message(&self, id: &MessageId) -> Option<&Packed> {
        match self.held.places.get(id) {
            Some(Place::PastRecord(service)) => self.past_record(service, id),
            Some(place) => self.at(*place),
            None => {
                let template = self.at(Place::Template(TemplateId::from_bytes(*id.as_bytes())));
                template.or_else(|| self.at(Place::Record(ServiceKey::from_bytes(*id.as_bytes()))))
            }
        }
    }

    fn past_record(&self, service: &ServiceKey, id: &MessageId) -> Option<&Packed> {
        self.past_records.get(service)?.iter().map(|r| r.packed()).find(|r| r.id() == *id)
    }

    fn at(&self, place: Place) -> Option<&Packed> {
        match place {
            Place::Template(id) => self.templates.get(&id).map(|t| t.packed()),
            Place::Record(service) | Place::PastRecord(service) => self.records.get(&service).map(|r| r.packed()),
            Place::Head(series) => self.series.get(&series).map(|s| s.head.packed()),
            Place::First(series) => self.series.get(&series)?.first.as_ref().map(|f| f.packed()),
            Place::Status(series) => self.series.get(&series)?.status.as_ref().map(|s| s.packed()),
            Place::Presence(key) => self.presences.get(&key).map(|p| p.packed()),
            Place::Request(id) => self.request(&id).map(|r| r.signed.packed()),
            Place::Cancel(id) => self.request(&id)?.cancel.as_ref().map(|c| c.packed()),
        }
    }
}

/// Stores a message under its id: the kind's number, then its bytes.
pub(super) fn store(step: &mut Step<BookEffect>, packed: &Packed) {
    let mut value = Vec::with_capacity(1 + packed.bytes().len());
    value.push(packed.kind().number());
    value.extend_from_slice(packed.bytes());
    step.batch().put(Space::Message, *packed.id().as_bytes(), value);
}

/// Deletes a stored message.
pub(super) fn forget(step: &mut Step<BookEffect>, packed: &Packed) {
    step.batch().delete(Space::Message, *packed.id().as_bytes());
}
