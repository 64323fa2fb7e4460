//! The book rebuilt at start from what the store holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catch_up::{Place, forget};
use super::heads::{self, Head};
use super::series::{Series, payload_hash};
use super::{Book, BookEffect};
use crate::account::ServiceKey;
use crate::binding::frames::Cancel;
use crate::document::{BindingRequest, Offering, ServiceRecord, Template, series_of, template_id};
use crate::kind::Kind;
use crate::limits::Margins;
use crate::message::{MessageId, Packed, SeriesId, Signed, TemplateId};
use crate::network_id::NetworkId;
use crate::refusal::{Reason, Refusal};
use crate::status::{Presence, Status};
use crate::step::{Space, Step};
use crate::time::Now;

/// A book rebuilt, and what the store no longer needs.
#[derive(Debug)]
#[must_use = "the step tidies the store"]
pub struct Restored {
    /// The book.
    pub book: Book,
    /// Deletes what is over or damaged, and says so.
    pub step: Step<BookEffect>,
    /// Why stored messages couldn't be read, or what of them isn't the book's; peers have them.
    pub damaged: Vec<Refusal>,
}

/// What the heads say that messages don't.
#[derive(Default)]
struct Known {
    series: BTreeMap<SeriesId, heads::SeriesHead>,
    own_records: BTreeMap<ServiceKey, bool>,
    own_templates: BTreeMap<TemplateId, bool>,
}

/// Stored messages, opened and sorted by kind.
#[derive(Default)]
struct Opened {
    templates: Vec<Arc<Signed<Template>>>,
    records: Vec<Arc<Signed<ServiceRecord>>>,
    offerings: BTreeMap<SeriesId, Vec<Arc<Signed<Offering>>>>,
    presences: Vec<Signed<Presence>>,
    statuses: Vec<Signed<Status>>,
    requests: Vec<Arc<Signed<BindingRequest>>>,
    cancels: Vec<Signed<Cancel>>,
}

impl Opened {
    fn add(&mut self, key: &[u8], value: &[u8], network: &NetworkId) -> Result<(), Refusal> {
        let (&number, bytes) =
            value.split_first().ok_or_else(|| Refusal::new(Reason::TooShort, "a stored message is empty"))?;
        let unknown = || Refusal::new(Reason::WrongKind, format_args!("{number} is no kind of message"));
        let kind = Kind::from_number(number).ok_or_else(unknown)?;
        let packed = Packed::new(kind, network, bytes.to_vec())?;
        match kind {
            Kind::Template => self.templates.push(Arc::new(packed.open_stored(network, key)?)),
            Kind::ServiceRecord => self.records.push(Arc::new(packed.open_stored(network, key)?)),
            Kind::Offering => {
                let signed = Arc::new(packed.open_stored(network, key)?);
                self.offerings.entry(series_of(&signed)).or_default().push(signed);
            }
            Kind::Presence => self.presences.push(packed.open_stored(network, key)?),
            Kind::Status => self.statuses.push(packed.open_stored(network, key)?),
            Kind::BindingRequest => self.requests.push(Arc::new(packed.open_stored(network, key)?)),
            Kind::Cancel => self.cancels.push(packed.open_stored(network, key)?),
            other => {
                let detail = format!("a {other} doesn't belong into the book");
                return Err(Refusal::new(Reason::WrongKind, detail));
            }
        }
        Ok(())
    }
}

impl Book {
    /// Rebuilds the book from the store's messages and heads (keys and values), in any order. What was stored was verified
    /// before, and is the same while its id is; it was bonded then, and a bond can't go before its release, so the ledger
    /// isn't asked again; nor is it for the consumers of requests, whose money a provider looks at once more before it
    /// agrees. What is damaged is deleted: peers have it.
    pub fn restore(
        network: NetworkId,
        margins: Margins,
        messages: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
        stored_heads: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
        now: Now,
    ) -> Restored {
        let mut book = Self::new(network, margins);
        let mut damaged = Vec::new();
        let mut opened = Opened::default();
        let mut step = Step::none();
        for (key, value) in messages {
            if let Err(refusal) = opened.add(&key, &value, &network) {
                step.batch().delete(Space::Message, key);
                damaged.push(refusal);
            }
        }
        let known = Known::read(stored_heads);
        book.restore_documents(&opened, &known, &mut step);
        for (id, revisions) in opened.offerings {
            book.restore_series(id, revisions, &known, &mut step);
        }
        book.restore_frames(opened.presences, opened.statuses, &mut step);
        book.restore_requests(opened.requests, opened.cancels, &mut step);
        book.drop_unused(&mut step);
        step.append(book.expire(now));
        Restored { book, step, damaged }
    }

    fn restore_documents(&mut self, opened: &Opened, known: &Known, step: &mut Step<BookEffect>) {
        for signed in &opened.templates {
            let id = template_id(signed.packed().payload());
            self.held.insert(signed.packed(), Place::Template(id));
            let own = known.own_templates.get(&id).copied().unwrap_or(false);
            if let Some(before) = self.templates.put(id, signed.clone(), own) {
                self.drop_stored(before.packed(), step);
            }
        }
        let mut records: Vec<_> = opened.records.iter().collect();
        records.sort_by_key(|r| r.body().revision);
        for signed in records {
            let service = signed.body().service;
            self.held.insert(signed.packed(), Place::Record(service));
            let own = known.own_records.get(&service).copied().unwrap_or(false);
            if let Some(before) = self.records.put(service, signed.clone(), own) {
                self.keep_past_record(before, step);
            }
        }
    }

    fn restore_series(
        &mut self,
        id: SeriesId,
        mut revisions: Vec<Arc<Signed<Offering>>>,
        known: &Known,
        step: &mut Step<BookEffect>,
    ) {
        revisions.sort_by_key(|o| (o.body().revision, core::cmp::Reverse(payload_hash(o))));
        let Some(head) = revisions.pop() else { return };
        let own_id = MessageId::from_bytes(*id.as_bytes());
        let mut first = None;
        for other in revisions {
            if other.id() == own_id { first = Some(other) } else { self.drop_stored(other.packed(), step) }
        }
        if head.body().revision > 1 && first.as_ref().is_none_or(|f| f.body().account != head.body().account) {
            // Without its first revision nobody can tell whose it is; peers deliver both again.
            return self.drop_stored(head.packed(), step);
        }
        let said = known.series.get(&id).filter(|h| h.offering == head.id());
        let series = Series {
            conflicting: said.is_some_and(|h| h.conflicting),
            outdated_since: said.and_then(|h| h.outdated_since),
            head,
            first,
            status: None,
            status_relayed_at: None,
        };
        self.templates.add_user(&series.head.body().template, id);
        if let Some(reference) = &series.head.body().service {
            self.records.add_user(&reference.service, id);
        }
        self.place(id, &series);
        self.series.insert(id, series);
    }

    /// Statuses and presences take their places by the rules that they came in by; what isn't the newest goes.
    fn restore_frames(
        &mut self,
        presences: Vec<Signed<Presence>>,
        statuses: Vec<Signed<Status>>,
        step: &mut Step<BookEffect>,
    ) {
        for presence in presences {
            let (key, packed) = (presence.body().serving_key, presence.packed().clone());
            if self.serving.contains_key(&key) {
                self.take_presence(presence, false, step);
            }
            if !self.held.contains(&packed.id()) {
                forget(step, &packed);
            }
        }
        for status in statuses {
            let packed = status.packed().clone();
            self.restore_status(status, step);
            if !self.held.contains(&packed.id()) {
                forget(step, &packed);
            }
        }
    }

    fn restore_status(&mut self, status: Signed<Status>, step: &mut Step<BookEffect>) {
        let (id, packed) = (status.body().series, status.packed().clone());
        let Some(series) = self.series.get_mut(&id) else { return };
        let higher = |known: &Signed<Status>| {
            (known.body().withdrawn, known.body().sequence) >= (status.body().withdrawn, status.body().sequence)
        };
        if series.status.as_ref().is_some_and(higher) {
            return;
        }
        let (withdrawn, account) = (status.body().withdrawn, series.account());
        if let Some(before) = series.status.replace(status) {
            self.drop_stored(before.packed(), step);
        }
        self.held.insert(&packed, Place::Status(id));
        if withdrawn {
            self.leave_author(&id, account);
        }
    }

    /// Requests were within their bounds when they were stored; a cancellation of none of them goes.
    fn restore_requests(
        &mut self,
        requests: Vec<Arc<Signed<BindingRequest>>>,
        cancels: Vec<Signed<Cancel>>,
        step: &mut Step<BookEffect>,
    ) {
        for signed in requests {
            self.place_request(signed);
        }
        for cancel in cancels {
            let packed = cancel.packed().clone();
            if !self.place_cancel(cancel) {
                forget(step, &packed);
            }
        }
    }

    fn drop_unused(&mut self, step: &mut Step<BookEffect>) {
        for (id, template) in self.templates.take_unused() {
            self.drop_stored(template.packed(), step);
            heads::forget_template(step, &id);
        }
        for (_, record) in self.records.take_unused() {
            self.forget_record(&record, step);
        }
    }

    fn drop_stored(&mut self, packed: &Packed, step: &mut Step<BookEffect>) {
        self.held.remove(packed);
        forget(step, packed);
    }
}

impl Known {
    fn read(stored: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        let mut known = Self::default();
        for (key, value) in stored {
            match Head::read(&key, &value) {
                Some(Head::Series(id, head)) => drop(known.series.insert(id, head)),
                Some(Head::Record(service, head)) => drop(known.own_records.insert(service, head.own)),
                Some(Head::Template(id, head)) => drop(known.own_templates.insert(id, head.own)),
                None => {}
            }
        }
        known
    }
}
