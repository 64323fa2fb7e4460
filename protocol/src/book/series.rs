//! One series in the book: its newest revision, whose it is, and what its serving key says of it.

use std::sync::Arc;

use super::catch_up::{Place, forget, store};
use super::{Book, BookEffect, heads};
use crate::account::{AccountId, ServiceKey};
use crate::document::Offering;
use crate::message::{Payload, SeriesId, Signed, keccak};
use crate::status::Status;
use crate::step::Step;
use crate::time::{Now, Timestamp};

/// A series that was bonded when it got here.
#[derive(Debug)]
pub(super) struct Series {
    /// The newest revision.
    pub(super) head: Arc<Signed<Offering>>,
    /// The first revision, where it isn't the newest.
    pub(super) first: Option<Arc<Signed<Offering>>>,
    pub(super) status: Option<Signed<Status>>,
    /// Two payloads were signed for one revision.
    pub(super) conflicting: bool,
    /// Since when the service's record names another version.
    pub(super) outdated_since: Option<Timestamp>,
    /// When a status was passed on last.
    pub(super) status_relayed_at: Option<Now>,
}

impl Series {
    pub(super) fn account(&self) -> AccountId {
        self.head.body().account
    }

    pub(super) fn withdrawn(&self) -> bool {
        self.status.as_ref().is_some_and(|s| s.body().withdrawn)
    }
}

/// What decides between two payloads of one revision: the lower one rules.
pub(super) fn payload_hash<T: Payload>(signed: &Signed<T>) -> [u8; 32] {
    keccak(&[signed.packed().payload()])
}

fn service_of(offering: &Offering) -> Option<&ServiceKey> {
    offering.service.as_ref().map(|reference| &reference.service)
}

impl Book {
    /// Makes a bonded offering the newest of its series, and stores it with what it needs.
    pub(super) fn install(
        &mut self,
        id: SeriesId,
        head: Arc<Signed<Offering>>,
        first: Option<Arc<Signed<Offering>>>,
        step: &mut Step<BookEffect>,
    ) {
        let before = self.series.remove(&id);
        let known = before.is_some();
        if let Some(before) = &before {
            self.unindex(&id, before);
        }
        self.use_documents(id, head.body(), step);
        store(step, head.packed());
        step.then(BookEffect::Relay(head.packed().clone()));
        let old_key = before.as_ref().map(|b| b.head.body().serving_key);
        let mut series = match before {
            Some(before) => self.succeed(id, before, head, step),
            None => Series {
                head,
                first: None,
                status: None,
                conflicting: false,
                outdated_since: None,
                status_relayed_at: None,
            },
        };
        if let Some(first) = first.filter(|f| series.first.is_none() && f.id() != series.head.id()) {
            store(step, first.packed());
            series.first = Some(first);
        }
        self.place(id, &series);
        if let Some(key) = old_key {
            self.leave_presence(&key, step);
        }
        heads::save_series(step, &id, &series);
        self.series.insert(id, series);
        step.then(if known { BookEffect::Updated(id) } else { BookEffect::Listed(id) });
    }

    /// The series with a newer revision in front.
    fn succeed(
        &mut self,
        id: SeriesId,
        before: Series,
        head: Arc<Signed<Offering>>,
        step: &mut Step<BookEffect>,
    ) -> Series {
        let conflicting = before.head.body().revision == head.body().revision;
        self.held.remove(before.head.packed());
        let first = if before.head.body().revision == 1 {
            Some(before.head.clone())
        } else {
            forget(step, before.head.packed());
            before.first
        };
        let (old, new) = (before.head.body(), head.body());
        let (old_service, new_service) = (service_of(old), service_of(new));
        let template = Some(&old.template).filter(|t| **t != new.template);
        self.release_documents(&id, template, old_service.filter(|s| Some(*s) != new_service), step);
        Series { head, first, conflicting, outdated_since: None, ..before }
    }

    /// Adds a series to every index.
    pub(super) fn place(&mut self, id: SeriesId, series: &Series) {
        let head = series.head.body();
        self.held.insert(series.head.packed(), Place::Head(id));
        if let Some(first) = &series.first {
            self.held.insert(first.packed(), Place::First(id));
        }
        self.ends.insert((head.valid_until, id));
        self.serving.entry(head.serving_key).or_default().insert(id);
        if !series.withdrawn() {
            self.authors.entry(head.account).or_default().insert(id);
        }
    }

    /// Takes a series out of the indexes that depend on its newest revision.
    fn unindex(&mut self, id: &SeriesId, series: &Series) {
        let head = series.head.body();
        self.ends.remove(&(head.valid_until, *id));
        if let Some(served) = self.serving.get_mut(&head.serving_key) {
            served.remove(id);
            if served.is_empty() {
                self.serving.remove(&head.serving_key);
            }
        }
        self.leave_author(id, head.account);
    }

    /// Frees the series' place in its author's quota.
    pub(super) fn leave_author(&mut self, id: &SeriesId, account: AccountId) {
        if let Some(own) = self.authors.get_mut(&account) {
            own.remove(id);
            if own.is_empty() {
                self.authors.remove(&account);
            }
        }
    }

    /// Takes a series that is over out of the book and the store.
    pub(super) fn remove_series(&mut self, id: &SeriesId, step: &mut Step<BookEffect>) {
        let Some(series) = self.series.remove(id) else { return };
        self.unindex(id, &series);
        self.unrelayed.remove(id);
        let offerings = [Some(series.head.packed()), series.first.as_ref().map(|f| f.packed())];
        for packed in offerings.into_iter().flatten().chain(series.status.as_ref().map(|s| s.packed())) {
            self.held.remove(packed);
            forget(step, packed);
        }
        let head = series.head.body();
        self.release_documents(id, Some(&head.template), service_of(head), step);
        self.leave_presence(&head.serving_key, step);
        heads::forget_series(step, id);
        step.then(BookEffect::Unlisted(*id));
    }
}
