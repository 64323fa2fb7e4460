//! Templates and service records that are in use: held while a bonded offering needs them, or because they are ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::catch_up::{Place, forget, store};
use super::waiting::Item;
use super::{Book, BookEffect, Delivery, Outcome, Want, heads};
use crate::account::ServiceKey;
use crate::document::{Offering, ServiceRecord, Template, built_in, template_id};
use crate::limits::{MAX_PAST_RECORDS, MAX_RECORDS, MAX_TEMPLATES};
use crate::message::{Packed, Payload, SeriesId, Signed, TemplateId};
use crate::refusal::{Reason, Refusal};
use crate::step::Step;

/// Documents of one kind by what offerings call them.
#[derive(Debug)]
pub(super) struct Shelf<K, T> {
    items: BTreeMap<K, Shelved<T>>,
}

#[derive(Debug)]
struct Shelved<T> {
    signed: Arc<Signed<T>>,
    own: bool,
    users: BTreeSet<SeriesId>,
}

impl<K: Ord + Copy, T: Payload> Shelf<K, T> {
    pub(super) fn new() -> Self {
        Self { items: BTreeMap::new() }
    }

    pub(super) fn get(&self, key: &K) -> Option<&Arc<Signed<T>>> {
        self.items.get(key).map(|item| &item.signed)
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn is_own(&self, key: &K) -> bool {
        self.items.get(key).is_some_and(|item| item.own)
    }

    /// Puts a document there, or a newer one in its place; gives the one before.
    pub(super) fn put(&mut self, key: K, signed: Arc<Signed<T>>, own: bool) -> Option<Arc<Signed<T>>> {
        match self.items.get_mut(&key) {
            Some(item) => {
                item.own |= own;
                Some(core::mem::replace(&mut item.signed, signed))
            }
            None => {
                self.items.insert(key, Shelved { signed, own, users: BTreeSet::new() });
                None
            }
        }
    }

    pub(super) fn add_user(&mut self, key: &K, series: SeriesId) {
        if let Some(item) = self.items.get_mut(key) {
            item.users.insert(series);
        }
    }

    /// Takes a user away, and the document with its last one unless it is ours.
    pub(super) fn remove_user(&mut self, key: &K, series: &SeriesId) -> Option<Arc<Signed<T>>> {
        let item = self.items.get_mut(key)?;
        item.users.remove(series);
        if item.own || !item.users.is_empty() {
            return None;
        }
        self.items.remove(key).map(|item| item.signed)
    }

    pub(super) fn users(&self, key: &K) -> Vec<SeriesId> {
        self.items.get(key).map(|item| item.users.iter().copied().collect()).unwrap_or_default()
    }

    /// The documents that nobody uses and that aren't ours, taken away.
    pub(super) fn take_unused(&mut self) -> Vec<(K, Arc<Signed<T>>)> {
        let unused = |item: &Shelved<T>| !item.own && item.users.is_empty();
        let keys: Vec<K> = self.items.iter().filter(|(_, item)| unused(item)).map(|(key, _)| *key).collect();
        keys.into_iter().filter_map(|key| Some((key, self.items.remove(&key)?.signed))).collect()
    }
}

/// Whether a record may stand where the known one does: the next revision, naming it.
fn follows(known: &Signed<ServiceRecord>, next: &ServiceRecord) -> Result<(), Refusal> {
    let (old, new) = (known.body().revision, next.revision);
    if new <= old {
        return Err(Refusal::new(Reason::Superseded, format_args!("revision {new}, {old} is known")));
    }
    if old.checked_add(1) != Some(new) || next.previous != Some(known.id()) {
        let detail = format!("revision {new} doesn't follow from revision {old}, {}", known.id());
        return Err(Refusal::new(Reason::RevisionGap, detail));
    }
    Ok(())
}

impl Book {
    pub(super) fn check_template(
        &mut self,
        packed: Packed,
        delivery: &Delivery<'_>,
        step: &mut Step<BookEffect>,
    ) -> Result<Outcome, Refusal> {
        let id = template_id(packed.payload());
        let built_in = built_in().iter().any(|b| b.id == id);
        let parked = delivery.from.is_some() && self.waiting.template(&id).is_some();
        if built_in
            || self.templates.is_own(&id)
            || (delivery.from.is_some() && self.templates.get(&id).is_some())
            || parked
        {
            return Err(Refusal::new(Reason::Duplicate, format_args!("the template {id} is known")));
        }
        let signed = Arc::new(packed.open::<Template>(&self.network)?);
        self.within_author_rate(signed.body().author, delivery)?;
        if delivery.from.is_some() {
            let want = Want::Template(id);
            return self.park(Item::Template(signed), want, delivery, step);
        }
        if self.templates.len() >= MAX_TEMPLATES {
            return Err(Refusal::new(Reason::OverQuota, format_args!("{MAX_TEMPLATES} templates are known")));
        }
        self.shelve_template(id, signed, true, step);
        self.retry(&Want::Template(id), delivery.now, step);
        Ok(Outcome::Taken)
    }

    pub(super) fn check_record(
        &mut self,
        packed: Packed,
        delivery: &Delivery<'_>,
        step: &mut Step<BookEffect>,
    ) -> Result<Outcome, Refusal> {
        let unverified = packed.parse::<ServiceRecord>()?;
        let service = unverified.claims().service;
        let own = delivery.from.is_none();
        let fits = self.record(&service).map_or(Ok(()), |known| follows(known, unverified.claims()));
        let gap = match (fits, unverified.claims().previous) {
            (Ok(()), _) => None,
            // Records that were missed are fetched one by one, backwards, until one follows on the known one.
            (Err(gap), Some(before)) if gap.reason == Reason::RevisionGap && !own => Some((gap, before)),
            (Err(refusal), _) => return Err(refusal),
        };
        let signed = Arc::new(unverified.verify(&self.network)?);
        self.within_author_rate(service, delivery)?;
        if let Some((refusal, before)) = gap {
            let item = Item::LaterRecord(signed, before);
            self.let_wait(item, refusal.reason, delivery)?;
            return Ok(Outcome::Waits(refusal, vec![Want::PastRecord(before)]));
        }
        let outcome = self.take_record(signed.clone(), own, delivery, step)?;
        self.take_later_records(signed, delivery, step);
        Ok(outcome)
    }

    /// Takes the records, one after another, that waited for this one.
    fn take_later_records(
        &mut self,
        taken: Arc<Signed<ServiceRecord>>,
        delivery: &Delivery<'_>,
        step: &mut Step<BookEffect>,
    ) {
        let mut newest = taken;
        loop {
            let later = self.waiting.take_later_records(&newest.id());
            let (mut follow, gaps): (Vec<_>, Vec<_>) =
                later.into_iter().partition(|next| follows(&newest, next.body()).is_ok());
            gaps.iter().for_each(|_| self.count(Reason::RevisionGap));
            if follow.is_empty() {
                return;
            }
            let next = follow.swap_remove(0);
            follow.iter().for_each(|_| self.count(Reason::Superseded));
            match self.take_record(next.clone(), true, delivery, step) {
                Ok(_) => newest = next,
                Err(refusal) => return self.count(refusal.reason),
            }
        }
    }

    /// Takes a verified record that follows on the known one: on the shelf where its service is in use or ours, else
    /// into the waiting pool. `relay` says whether its gossip verdict alone doesn't pass it on.
    fn take_record(
        &mut self,
        signed: Arc<Signed<ServiceRecord>>,
        relay: bool,
        delivery: &Delivery<'_>,
        step: &mut Step<BookEffect>,
    ) -> Result<Outcome, Refusal> {
        let (service, own) = (signed.body().service, delivery.from.is_none());
        let shelved = self.records.get(&service).is_some();
        if !own && !shelved {
            return self.park(Item::Record(signed), Want::Record(service), delivery, step);
        }
        if !shelved && self.records.len() >= MAX_RECORDS {
            return Err(Refusal::new(Reason::OverQuota, format_args!("{MAX_RECORDS} services are known")));
        }
        self.shelve_record(signed, own, relay, step);
        self.mark_outdated(&service, delivery.now, step);
        self.retry(&Want::Record(service), delivery.now, step);
        Ok(Outcome::Taken)
    }

    fn shelve_template(
        &mut self,
        id: TemplateId,
        signed: Arc<Signed<Template>>,
        own: bool,
        step: &mut Step<BookEffect>,
    ) {
        self.held.insert(signed.packed(), Place::Template(id));
        store(step, signed.packed());
        step.then(BookEffect::Relay(signed.packed().clone()));
        let message = signed.id();
        if let Some(before) = self.templates.put(id, signed, own) {
            self.held.remove(before.packed());
            forget(step, before.packed());
        }
        heads::save_template(step, &id, message, self.templates.is_own(&id));
    }

    /// `relay` says whether the gossip verdict alone doesn't pass it on.
    fn shelve_record(
        &mut self,
        signed: Arc<Signed<ServiceRecord>>,
        own: bool,
        relay: bool,
        step: &mut Step<BookEffect>,
    ) {
        let (service, message) = (signed.body().service, signed.id());
        self.held.insert(signed.packed(), Place::Record(service));
        store(step, signed.packed());
        if relay {
            step.then(BookEffect::Relay(signed.packed().clone()));
        }
        if let Some(before) = self.records.put(service, signed, own) {
            self.keep_past_record(before, step);
        }
        heads::save_record(step, &service, message, self.records.is_own(&service));
    }

    /// Keeps a replaced record for peers that missed some; the oldest gives way.
    pub(super) fn keep_past_record(&mut self, record: Arc<Signed<ServiceRecord>>, step: &mut Step<BookEffect>) {
        let service = record.body().service;
        self.held.insert(record.packed(), Place::PastRecord(service));
        let past = self.past_records.entry(service).or_default();
        past.push_back(record);
        if past.len() > MAX_PAST_RECORDS
            && let Some(oldest) = past.pop_front()
        {
            self.held.remove(oldest.packed());
            forget(step, oldest.packed());
        }
    }

    /// Forgets a service's record that was taken off the shelf, and those before it.
    pub(super) fn forget_record(&mut self, record: &Signed<ServiceRecord>, step: &mut Step<BookEffect>) {
        let service = record.body().service;
        let past = self.past_records.remove(&service).unwrap_or_default();
        for packed in past.iter().map(|r| r.packed()).chain([record.packed()]) {
            self.held.remove(packed);
            forget(step, packed);
        }
        heads::forget_record(step, &service);
    }

    /// Offerings on another version than their service's new record are outdated from now on.
    fn mark_outdated(&mut self, service: &ServiceKey, now: crate::time::Now, step: &mut Step<BookEffect>) {
        let Some(record) = self.records.get(service).cloned() else { return };
        for id in self.records.users(service) {
            let Some(series) = self.series.get_mut(&id) else { continue };
            let matches = series.head.body().service.as_ref().is_some_and(|r| record.body().matches(r));
            let outdated = if matches { None } else { Some(series.outdated_since.unwrap_or(now.timestamp())) };
            if outdated != series.outdated_since {
                series.outdated_since = outdated;
                heads::save_series(step, &id, series);
                step.then(BookEffect::Updated(id));
            }
        }
    }

    /// Whether an offering's template and record could be held in addition to what is.
    pub(super) fn shelf_room(&self, offering: &Offering) -> Result<(), Refusal> {
        let built_in = built_in().iter().any(|b| b.id == offering.template);
        if !built_in && self.templates.get(&offering.template).is_none() && self.templates.len() >= MAX_TEMPLATES {
            return Err(Refusal::new(Reason::OverQuota, format_args!("{MAX_TEMPLATES} templates are known")));
        }
        match &offering.service {
            Some(r) if self.records.get(&r.service).is_none() && self.records.len() >= MAX_RECORDS => {
                Err(Refusal::new(Reason::OverQuota, format_args!("{MAX_RECORDS} services are known")))
            }
            _ => Ok(()),
        }
    }

    /// Holds what a series' newest revision needs, out of the waiting pool where it is there.
    pub(super) fn use_documents(&mut self, id: SeriesId, offering: &Offering, step: &mut Step<BookEffect>) {
        if self.templates.get(&offering.template).is_none()
            && let Some((signed, from)) = self.waiting.take_template(&offering.template)
        {
            self.was_useful(from.as_ref());
            self.shelve_template(offering.template, signed, false, step);
        }
        self.templates.add_user(&offering.template, id);
        if let Some(reference) = &offering.service {
            if self.records.get(&reference.service).is_none()
                && let Some((signed, from)) = self.waiting.take_record(&reference.service)
            {
                self.was_useful(from.as_ref());
                self.shelve_record(signed, false, true, step);
            }
            self.records.add_user(&reference.service, id);
        }
    }

    /// Lets go of what a series' revision needed, where nothing else does.
    pub(super) fn release_documents(
        &mut self,
        id: &SeriesId,
        template: Option<&TemplateId>,
        service: Option<&ServiceKey>,
        step: &mut Step<BookEffect>,
    ) {
        if let Some(key) = template
            && let Some(unused) = self.templates.remove_user(key, id)
        {
            self.held.remove(unused.packed());
            forget(step, unused.packed());
            heads::forget_template(step, key);
        }
        if let Some(key) = service
            && let Some(unused) = self.records.remove_user(key, id)
        {
            self.forget_record(&unused, step);
        }
    }
}
