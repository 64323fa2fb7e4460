//! The checks of a message that wants into the book, in their order.
//!
//! size → known id → peer's rate → I-JSON or frame, kind → expired or superseded → signature → author's rate and quota → template → schema →
//! service record → bond. A document's own rules are part of reading it, because they need nothing else and cost less
//! than a signature.

use std::sync::Arc;

use super::waiting::{Item, Tag, WaitingOffering};
use super::{Book, BookEffect, Delivery, Outcome, Want, series};
use crate::document::{ArbiterService, Offering, series_of};
use crate::kind::Kind;
use crate::limits::{MAX_FRAME_LEAD, MAX_OFFERING_LIFE, MAX_SERIES_PER_AUTHOR};
use crate::message::{MessageId, Packed, SeriesId, Signed};
use crate::refusal::{Reason, Refusal};
use crate::step::Step;
use crate::time::Now;

impl Book {
    /// All checks of one message.
    pub(super) fn check(
        &mut self,
        packed: Packed,
        delivery: &Delivery<'_>,
        step: &mut Step<BookEffect>,
    ) -> Result<Outcome, Refusal> {
        if self.knows(&packed.id()) {
            return self.known_already(&packed);
        }
        self.within_peer_rate(delivery)?;
        match packed.kind() {
            Kind::Template => self.check_template(packed, delivery, step),
            Kind::ServiceRecord => self.check_record(packed, delivery, step),
            Kind::Offering => self.check_offering(packed, delivery, step),
            Kind::Presence => self.check_presence(packed, delivery, step),
            Kind::Status => self.check_status(packed, delivery, step),
            Kind::BindingRequest => self.check_request(packed, delivery, step),
            Kind::Cancel => self.check_cancel(packed, delivery, step),
            other => Err(Refusal::new(Reason::WrongKind, format_args!("a {other} doesn't belong into the book"))),
        }
    }

    /// A second peer that delivers what waits can be asked for what it lacks too: the first may stay silent.
    fn known_already(&self, packed: &Packed) -> Result<Outcome, Refusal> {
        let duplicate = Refusal::new(Reason::Duplicate, format_args!("the {} {} is known", packed.kind(), packed.id()));
        match self.waiting.want(&packed.id()) {
            Some(want) if want.name().is_some() => Ok(Outcome::Waits(duplicate, vec![want])),
            _ => Err(duplicate),
        }
    }

    fn check_offering(
        &mut self,
        packed: Packed,
        delivery: &Delivery<'_>,
        step: &mut Step<BookEffect>,
    ) -> Result<Outcome, Refusal> {
        let unverified = packed.parse::<Offering>()?;
        let own_id = SeriesId::from_bytes(*unverified.id().as_bytes());
        let series = unverified.claims().series.unwrap_or(own_id);
        let wanted_as_first = !self.waiting.tagged(&Tag::Wants(Want::FirstRevision(own_id))).is_empty();
        let alive = self.alive(unverified.claims(), delivery.now);
        if !wanted_as_first {
            alive.clone()?;
            self.not_superseded(series, unverified.claims())?;
        }
        let signed = Arc::new(unverified.verify(&self.network)?);
        self.within_author_rate(signed.body().account, delivery)?;
        if wanted_as_first {
            self.first_revision_arrived(&signed, delivery.now, step);
            alive?;
        }
        self.note_conflict(series, &signed, step);
        self.standing(series, &signed, delivery.now)?;
        let first = self.waiting_first(series, &signed)?;
        let (want, refusal) = match self.lacks(series, &signed, first.as_deref()) {
            // Our own offering must match our own record; another's newer record may still be on its way.
            Err(refusal) if refusal.reason == Reason::NotTheRecord && delivery.from.is_some() => {
                let service = signed.body().service.as_ref().map(|r| r.service);
                (service.map(Want::Record).ok_or_else(|| refusal.clone())?, refusal)
            }
            other => other?,
        };
        let (status, presence) = (None, None);
        let item = WaitingOffering { signed, series, first, status, presence, want: want.clone() };
        self.let_wait(Item::Offering(Box::new(item)), refusal.reason, delivery)?;
        Ok(Outcome::Waits(refusal, vec![want]))
    }

    /// Lifetime and windows, which depend on the present and the network.
    fn alive(&self, offering: &Offering, now: Now) -> Result<(), Refusal> {
        let (until, now) = (offering.valid_until, now.timestamp());
        if until < now {
            return Err(Refusal::new(Reason::Expired, format_args!("valid until {until}")));
        }
        if until > now.plus(MAX_OFFERING_LIFE).plus(MAX_FRAME_LEAD) {
            let detail = format!("valid until {until}, at most 30 days from now are allowed");
            return Err(Refusal::new(Reason::FromTheFuture, detail));
        }
        let (deliver, margins) = (offering.windows.deliver(), &self.margins);
        if deliver < margins.min_delivery || deliver > margins.max_delivery {
            let (least, most) = (margins.min_delivery.as_secs(), margins.max_delivery.as_secs());
            let detail = format!("/windows/deliver_secs: must be {least} to {most} on this network");
            return Err(Refusal::new(Reason::InvalidDocument, detail));
        }
        if offering.windows.collect() <= margins.claim_margin {
            let detail = format!("/windows/collect_secs: must be more than {}", margins.claim_margin.as_secs());
            return Err(Refusal::new(Reason::InvalidDocument, detail));
        }
        offering.arbitration.as_ref().map_or(Ok(()), |arbitration| arbitration.check_margins(margins))
    }

    /// What the series' newest known revision says against this one.
    fn not_superseded(&self, id: SeriesId, offering: &Offering) -> Result<(), Refusal> {
        let Some(series) = self.series.get(&id) else { return Ok(()) };
        if offering.account != series.account() {
            let detail = format!("the series {id} is {}'s, not {}'s", series.account(), offering.account);
            return Err(Refusal::new(Reason::WrongAuthor, detail));
        }
        if series.withdrawn() {
            return Err(Refusal::new(Reason::Withdrawn, format_args!("the series {id} was withdrawn")));
        }
        let head = series.head.body().revision;
        if offering.revision < head {
            let detail = format!("revision {}, {head} is known", offering.revision);
            return Err(Refusal::new(Reason::Superseded, detail));
        }
        Ok(())
    }

    /// Everything in the book that speaks against a verified offering: lifetime, a newer or lower one, author, quota.
    pub(super) fn standing(&self, id: SeriesId, signed: &Signed<Offering>, now: Now) -> Result<(), Refusal> {
        let offering = signed.body();
        self.alive(offering, now)?;
        self.not_superseded(id, offering)?;
        match self.series.get(&id) {
            Some(series) if offering.revision == series.head.body().revision => {
                if series::payload_hash(signed) >= series::payload_hash(&series.head) {
                    let detail = format!("another revision {} with a lower payload hash is known", offering.revision);
                    return Err(Refusal::new(Reason::Superseded, detail));
                }
            }
            Some(_) => {}
            None => {
                let known = self.authors.get(&offering.account).map_or(0, |series| series.len());
                if known >= MAX_SERIES_PER_AUTHOR {
                    let detail = format!("{} has {known} series in the book", offering.account);
                    return Err(Refusal::new(Reason::OverQuota, detail));
                }
            }
        }
        self.shelf_room(offering)
    }

    /// What a verified offering lacks next; in the end always its bond.
    pub(super) fn lacks(
        &self,
        id: SeriesId,
        signed: &Signed<Offering>,
        first: Option<&Signed<Offering>>,
    ) -> Result<(Want, Refusal), Refusal> {
        let offering = signed.body();
        if offering.revision > 1 && !self.series.contains_key(&id) && first.is_none() {
            let refusal = Refusal::new(Reason::UnknownSeries, format_args!("the first revision {id} isn't known"));
            return Ok((Want::FirstRevision(id), refusal));
        }
        let Some(template) = self.template(&offering.template) else {
            let detail = format!("the template {} isn't known", offering.template);
            return Ok((Want::Template(offering.template), Refusal::new(Reason::UnknownTemplate, detail)));
        };
        template.check(offering)?;
        ArbiterService::of(offering)?;
        if let Some(reference) = &offering.service {
            let Some(record) = self.record(&reference.service) else {
                let detail = format!("no record of the service {} is known", reference.service);
                return Ok((Want::Record(reference.service), Refusal::new(Reason::UnknownRecord, detail)));
            };
            if !record.body().matches(reference) {
                let detail = format!(
                    "/service: commit {} isn't the one of revision {} of the service's record, {}",
                    reference.commit,
                    record.body().revision,
                    record.body().commit
                );
                return Err(Refusal::new(Reason::NotTheRecord, detail));
            }
        }
        let refusal = Refusal::new(Reason::NoBond, format_args!("the bond {} wasn't seen yet", offering.bond));
        Ok((Want::Bond(offering.bond), refusal))
    }

    /// Checks an offering of one's own before anything is locked behind it: everything that admission asks for, its
    /// bond apart. What others would wait for must be here already.
    ///
    /// # Errors
    /// What speaks against it, or what it lacks.
    pub fn check_own(&self, signed: &Signed<Offering>, now: Now) -> Result<(), Refusal> {
        let id = series_of(signed);
        self.standing(id, signed, now)?;
        match self.lacks(id, signed, None)? {
            (Want::Bond(_), _) => Ok(()),
            (_, lacking) => Err(lacking),
        }
    }

    /// Two payloads for one revision: whoever signed them, the listing says so.
    fn note_conflict(&mut self, id: SeriesId, signed: &Signed<Offering>, step: &mut Step<BookEffect>) {
        let Some(series) = self.series.get_mut(&id) else { return };
        let same_revision = series.head.body().revision == signed.body().revision;
        let ours = series.account() == signed.body().account;
        let differs = series::payload_hash(signed) != series::payload_hash(&series.head);
        if same_revision && ours && differs && !series.conflicting {
            series.conflicting = true;
            super::heads::save_series(step, &id, series);
            step.then(BookEffect::Updated(id));
        }
    }

    /// The first revision of a later one, where it waits itself.
    fn waiting_first(
        &self,
        series: SeriesId,
        signed: &Signed<Offering>,
    ) -> Result<Option<Arc<Signed<Offering>>>, Refusal> {
        let Some(first) = self.waiting.offering(&MessageId::from_bytes(*series.as_bytes())) else { return Ok(None) };
        let owner = first.signed.body().account;
        if owner != signed.body().account {
            return Err(Refusal::new(Reason::WrongAuthor, format_args!("the series {series} is {owner}'s")));
        }
        Ok(Some(first.signed.clone()))
    }

    /// A first revision that later ones waited for: it says whose the series is, even where it has expired itself.
    fn first_revision_arrived(&mut self, first: &Arc<Signed<Offering>>, now: Now, step: &mut Step<BookEffect>) {
        let series = series_of(first);
        for id in self.waiting.tagged(&Tag::Wants(Want::FirstRevision(series))) {
            let Some(waiting) = self.waiting.offering_mut(&id) else { continue };
            if waiting.signed.body().account == first.body().account {
                waiting.first = Some(first.clone());
                self.look_again(&id, now, step);
            } else {
                let detail = format!("the series {series} is {}'s", first.body().account);
                self.refuse_waiting(&id, Refusal::new(Reason::WrongAuthor, detail), step);
            }
        }
    }
}
