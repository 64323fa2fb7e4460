//! Presence and status: what a serving key says of the series that it serves.

use super::catch_up::{Place, forget, store};
use super::series::payload_hash;
use super::waiting::Tag;
use super::{Book, BookEffect, Delivery, Outcome, heads};
use crate::account::ServingKey;
use crate::limits::{MAX_FRAME_LEAD, STATUS_RELAYED_EVERY};
use crate::message::{Packed, Signed};
use crate::refusal::{Reason, Refusal};
use crate::status::{Presence, Status};
use crate::step::Step;
use crate::time::{Now, Timestamp};

/// Refuses what is dated further ahead than clocks may differ.
fn not_ahead(at: Timestamp, now: Now) -> Result<(), Refusal> {
    if at > now.timestamp().plus(MAX_FRAME_LEAD) {
        return Err(Refusal::new(Reason::FromTheFuture, format_args!("dated {at}, it is {}", now.timestamp())));
    }
    Ok(())
}

/// Which of two statuses rules: the higher sequence; then a withdrawal; then the lower payload hash.
fn outranks(new: &Signed<Status>, old: &Signed<Status>) -> bool {
    let rank = |s: &Signed<Status>| (s.body().sequence, s.body().withdrawn, core::cmp::Reverse(payload_hash(s)));
    rank(new) > rank(old)
}

impl Book {
    pub(super) fn check_presence(
        &mut self,
        packed: Packed,
        delivery: &Delivery<'_>,
        step: &mut Step<BookEffect>,
    ) -> Result<Outcome, Refusal> {
        let unverified = packed.parse::<Presence>()?;
        let (key, at) = (unverified.claims().serving_key, unverified.claims().at);
        not_ahead(at, delivery.now)?;
        if delivery.now.timestamp().since(at) >= self.margins.presence_life {
            return Err(Refusal::new(Reason::Expired, format_args!("a presence of {at}")));
        }
        let serves = self.serving.contains_key(&key);
        let waiting = self.waiting.tagged(&Tag::Serving(key));
        if !serves && waiting.is_empty() {
            return Err(Refusal::new(Reason::UnknownSeries, format_args!("{key} serves nothing that is known here")));
        }
        if self.presences.get(&key).is_some_and(|known| known.body().at >= at) {
            return Err(Refusal::new(Reason::Superseded, format_args!("a presence of {at}, a newer one is known")));
        }
        let signed = unverified.verify(&self.network)?;
        self.within_author_rate(key, delivery)?;
        for id in waiting {
            if let Some(offering) = self.waiting.offering_mut(&id)
                && offering.presence.as_ref().is_none_or(|known| known.body().at < at)
            {
                offering.presence = Some(signed.clone());
            }
        }
        if !serves {
            return Ok(Outcome::Waits(Refusal::new(Reason::NoBond, "what it serves isn't bonded yet"), Vec::new()));
        }
        let was_there = self.present(&key, delivery.now).is_some();
        self.take_presence(signed, delivery.from.is_none(), step);
        if !was_there {
            let served = self.serving.get(&key).into_iter().flatten();
            served.for_each(|id| step.then(BookEffect::Updated(*id)));
        }
        Ok(Outcome::Taken)
    }

    /// Puts a verified presence of a key that serves something in the place of an older one.
    pub(super) fn take_presence(&mut self, signed: Signed<Presence>, relay: bool, step: &mut Step<BookEffect>) {
        let key = signed.body().serving_key;
        if self.presences.get(&key).is_some_and(|known| known.body().at >= signed.body().at) {
            return;
        }
        self.held.insert(signed.packed(), Place::Presence(key));
        store(step, signed.packed());
        if relay {
            step.then(BookEffect::Relay(signed.packed().clone()));
        }
        if let Some(before) = self.presences.insert(key, signed) {
            self.held.remove(before.packed());
            forget(step, before.packed());
        }
    }

    /// Forgets a key's presence where it serves nothing any more.
    pub(super) fn leave_presence(&mut self, key: &ServingKey, step: &mut Step<BookEffect>) {
        if !self.serving.contains_key(key)
            && let Some(presence) = self.presences.remove(key)
        {
            self.held.remove(presence.packed());
            forget(step, presence.packed());
        }
    }

    /// When a key's node was last heard of, where that is recent enough for its offerings to be live.
    pub(crate) fn present(&self, key: &ServingKey, now: Now) -> Option<Timestamp> {
        let at = self.presences.get(key)?.body().at;
        (now.timestamp().since(at) < self.margins.presence_life).then_some(at)
    }

    pub(super) fn check_status(
        &mut self,
        packed: Packed,
        delivery: &Delivery<'_>,
        step: &mut Step<BookEffect>,
    ) -> Result<Outcome, Refusal> {
        let unverified = packed.parse::<Status>()?;
        let status = unverified.claims();
        not_ahead(status.at, delivery.now)?;
        let Some(series) = self.series.get(&status.series) else {
            let waiting = self.waiting.tagged(&Tag::Series(status.series));
            if waiting.is_empty() {
                return Err(Refusal::new(Reason::UnknownSeries, format_args!("{} isn't known here", status.series)));
            }
            let signed = unverified.verify(&self.network)?;
            self.within_author_rate(signed.body().serving_key, delivery)?;
            return self.attach_status(&signed, &waiting);
        };
        if series.withdrawn() {
            return Err(Refusal::new(Reason::Withdrawn, format_args!("{} was withdrawn", status.series)));
        }
        if series.status.as_ref().is_some_and(|known| status.sequence < known.body().sequence) {
            return Err(Refusal::new(Reason::Superseded, format_args!("sequence {} is past", status.sequence)));
        }
        let serving = series.head.body().serving_key;
        if status.serving_key != serving {
            // Not the relayer's fault: it may know another revision, with another key.
            let detail = format!("the newest revision known names {serving}, not {}", status.serving_key);
            return Err(Refusal::new(Reason::UnknownSeries, detail));
        }
        let signed = unverified.verify(&self.network)?;
        if series.status.as_ref().is_some_and(|known| !outranks(&signed, known)) {
            return Err(Refusal::new(Reason::Superseded, "another status of this sequence rules"));
        }
        self.within_author_rate(serving, delivery)?;
        if self.take_status(signed, delivery.now, delivery.from.is_none(), step) {
            Ok(Outcome::Taken)
        } else {
            let detail = format!("one status a series is passed on in {} s", STATUS_RELAYED_EVERY.as_secs());
            Ok(Outcome::TakenQuietly(Refusal::new(Reason::Superseded, detail)))
        }
    }

    /// Keeps a status with the offerings of its series that wait.
    fn attach_status(
        &mut self,
        signed: &Signed<Status>,
        waiting: &[crate::message::MessageId],
    ) -> Result<Outcome, Refusal> {
        let mut attached = false;
        for id in waiting {
            let Some(offering) = self.waiting.offering_mut(id) else { continue };
            let theirs = offering.signed.body().serving_key == signed.body().serving_key;
            if theirs && offering.status.as_ref().is_none_or(|known| outranks(signed, known)) {
                offering.status = Some(signed.clone());
                attached = true;
            }
        }
        if attached {
            Ok(Outcome::Waits(Refusal::new(Reason::NoBond, "its series isn't bonded yet"), Vec::new()))
        } else {
            Err(Refusal::new(Reason::UnknownSeries, "no offering that waits names its key, or it is past"))
        }
    }

    /// Puts a verified status of a listed series in the place of a lower one; whether it is to be passed on now.
    /// `ours` also publishes it, because no gossip verdict does.
    pub(super) fn take_status(
        &mut self,
        signed: Signed<Status>,
        now: Now,
        ours: bool,
        step: &mut Step<BookEffect>,
    ) -> bool {
        let (id, withdrawn) = (signed.body().series, signed.body().withdrawn);
        let Some(series) = self.series.get_mut(&id) else { return false };
        if series.status.as_ref().is_some_and(|known| !outranks(&signed, known)) {
            return false;
        }
        let rested = series.status_relayed_at.is_none_or(|at| now.since(at) >= STATUS_RELAYED_EVERY);
        let relay = ours || withdrawn || rested;
        self.held.insert(signed.packed(), Place::Status(id));
        store(step, signed.packed());
        if ours {
            step.then(BookEffect::Relay(signed.packed().clone()));
        }
        if relay {
            series.status_relayed_at = Some(now);
            self.unrelayed.remove(&id);
        } else {
            self.unrelayed.insert(id);
        }
        if let Some(before) = series.status.replace(signed) {
            self.held.remove(before.packed());
            forget(step, before.packed());
        }
        heads::save_series(step, &id, series);
        let account = series.account();
        if withdrawn {
            self.leave_author(&id, account);
            step.then(BookEffect::Unlisted(id));
        } else {
            step.then(BookEffect::Updated(id));
        }
        relay
    }
}
