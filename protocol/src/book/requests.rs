//! Published requests: what consumers gossip where they can't reach a provider, until it ends or is taken back.
//!
//! A request gets in once its offering is known, it fits that, and its consumer's account was seen to hold the amount.
//! A cancellation, signed by the key that the request names, is final: both are kept until the request ends, so that no
//! late copy of it comes to life again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::catch_up::{Place, forget, store};
use super::waiting::{Item, WaitingRequest};
use super::{Book, BookEffect, Delivery, Outcome, Want};
use crate::account::{AccountId, PeerId};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::frames::Cancel;
use crate::document::BindingRequest;
use crate::limits::{MAX_KEPT_REQUESTS, MAX_LIVE_REQUESTS, MAX_REQUESTS};
use crate::message::{MessageId, Packed, SeriesId, Signed};
use crate::refusal::{Reason, Refusal};
use crate::step::Step;
use crate::time::{Now, Timestamp};

/// A published request.
#[derive(Debug, Clone)]
pub struct Published {
    /// What the consumer wants.
    pub signed: Arc<Signed<BindingRequest>>,
    /// What took it back.
    pub cancel: Option<Signed<Cancel>>,
}

impl Published {
    /// Whether a provider may still agree to it.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.cancel.is_none() && self.signed.body().valid_until >= now
    }
}

/// A consumer to look up on the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerWanted {
    /// The request that waits for it.
    pub request: MessageId,
    /// Whose account.
    pub account: AccountId,
    /// What it must hold.
    pub asset: Asset,
    /// How much of it.
    pub amount: Stroops,
    /// Who delivered the request; nobody where it is our own.
    pub from: Option<PeerId>,
}

/// What a look at the ledger said of a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumerVerdict {
    /// Its account exists and holds the amount.
    Covered,
    /// It doesn't.
    Refused(Refusal),
}

/// Every published request that hasn't ended.
#[derive(Debug, Default)]
pub(super) struct Requests {
    all: BTreeMap<MessageId, Published>,
    by_account: BTreeMap<AccountId, BTreeSet<MessageId>>,
    by_series: BTreeMap<SeriesId, BTreeSet<MessageId>>,
    ends: BTreeSet<(Timestamp, MessageId)>,
}

impl Requests {
    fn insert(&mut self, signed: Arc<Signed<BindingRequest>>) {
        let (id, body) = (signed.id(), signed.body());
        self.by_account.entry(body.account).or_default().insert(id);
        self.by_series.entry(body.series).or_default().insert(id);
        self.ends.insert((body.valid_until, id));
        self.all.insert(id, Published { signed, cancel: None });
    }

    fn remove(&mut self, id: &MessageId) -> Option<Published> {
        let published = self.all.remove(id)?;
        let body = published.signed.body();
        leave(&mut self.by_account, &body.account, id);
        leave(&mut self.by_series, &body.series, id);
        self.ends.remove(&(body.valid_until, *id));
        Some(published)
    }

    fn of<'a, K: Ord>(
        &'a self,
        index: &'a BTreeMap<K, BTreeSet<MessageId>>,
        key: &K,
    ) -> impl Iterator<Item = &'a Published> {
        index.get(key).into_iter().flatten().filter_map(|id| self.all.get(id))
    }
}

fn leave<K: Ord>(index: &mut BTreeMap<K, BTreeSet<MessageId>>, key: &K, id: &MessageId) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

impl Book {
    /// Every published request that hasn't ended, those that were taken back included.
    pub fn requests(&self) -> impl Iterator<Item = &Published> {
        self.requests.all.values()
    }

    /// A published request by its id.
    pub fn request(&self, id: &MessageId) -> Option<&Published> {
        self.requests.all.get(id)
    }

    /// The published requests for a series.
    pub fn requests_for(&self, series: &SeriesId) -> impl Iterator<Item = &Published> {
        self.requests.of(&self.requests.by_series, series)
    }

    pub(super) fn check_request(
        &mut self,
        packed: Packed,
        delivery: &Delivery<'_>,
        step: &mut Step<BookEffect>,
    ) -> Result<Outcome, Refusal> {
        let unverified = packed.parse::<BindingRequest>()?;
        self.request_stands(unverified.claims(), delivery.from.is_none(), delivery.now)?;
        let (want, refusal) = self.request_lacks(unverified.claims())?;
        let signed = Arc::new(unverified.verify(&self.network)?);
        self.within_author_rate(signed.body().account, delivery)?;
        if delivery.from.is_none() {
            // One's own was looked at before it was signed; what it is for must be here.
            return match want {
                Want::Consumer(_) => {
                    self.take_request(signed, step);
                    Ok(Outcome::Taken)
                }
                _ => Err(refusal),
            };
        }
        let item = Item::Request(WaitingRequest { signed, want: want.clone() });
        self.let_wait(item, refusal.reason, delivery)?;
        Ok(Outcome::Waits(refusal, vec![want]))
    }

    /// What time and the author's other requests say against one.
    pub(super) fn request_stands(&self, request: &BindingRequest, own: bool, now: Now) -> Result<(), Refusal> {
        request.check_life(now.timestamp())?;
        let account = request.account;
        let over = |detail: String| Err(Refusal::new(Reason::OverQuota, detail));
        let theirs: Vec<&Published> = self.requests.of(&self.requests.by_account, &account).collect();
        let live = theirs.iter().filter(|r| r.is_live(now.timestamp())).count();
        if live >= MAX_LIVE_REQUESTS {
            return over(format!("{account} has {live} requests that are live"));
        }
        if theirs.len() >= MAX_KEPT_REQUESTS {
            return over(format!("{account} has published and taken back {} requests lately", theirs.len()));
        }
        // However many strangers publish, one's own has its place.
        if !own && self.requests.all.len() >= MAX_REQUESTS {
            return over(format!("{MAX_REQUESTS} requests are known"));
        }
        Ok(())
    }

    /// What a request lacks next; in the end always the look at its consumer's account.
    pub(super) fn request_lacks(&self, request: &BindingRequest) -> Result<(Want, Refusal), Refusal> {
        let series = self.series.get(&request.series);
        let Some(series) = series.filter(|s| s.head.id() == request.offering) else {
            let refusal = Refusal::new(Reason::UnknownSeries, format_args!("no offering {}", request.offering));
            return Ok((Want::Offering(request.offering), refusal));
        };
        if series.withdrawn() {
            return Err(Refusal::new(Reason::Withdrawn, format_args!("the series {} was withdrawn", request.series)));
        }
        request.amount_of(series.head.body()).map_err(|why| Refusal::new(Reason::InvalidDocument, why))?;
        let detail = format!("{} wasn't looked up yet", request.account);
        Ok((Want::Consumer(request.account), Refusal::new(Reason::ConsumerUnseen, detail)))
    }

    pub(super) fn consumer_of(&self, id: &MessageId) -> Option<ConsumerWanted> {
        let body = self.waiting.request(id)?.signed.body();
        let offering = self.series.get(&body.series)?.head.body();
        Some(ConsumerWanted {
            request: *id,
            account: body.account,
            asset: offering.price.asset.clone(),
            amount: body.amount_of(offering).ok()?,
            from: self.waiting.from(id).cloned(),
        })
    }

    /// What the ledger says of a waiting request's consumer. Where it holds the amount, the request is in the book and
    /// relayed.
    pub fn consumer_checked(&mut self, id: &MessageId, verdict: ConsumerVerdict, now: Now) -> Step<BookEffect> {
        let mut step = Step::none();
        if self.waiting.request(id).is_none() {
            return step;
        }
        if let ConsumerVerdict::Refused(refusal) = verdict {
            self.refuse_waiting(id, refusal, &mut step);
            return step;
        }
        // The book may have changed while the ledger was asked.
        self.look_again(id, now, &mut step);
        if matches!(self.waiting.want(id), Some(Want::Consumer(_)))
            && let Some(entry) = self.waiting.remove(id)
            && let Item::Request(waiting) = entry.item
        {
            self.was_useful(entry.from.as_ref());
            self.take_request(waiting.signed, &mut step);
        }
        step
    }

    /// Puts a request into the book, with the cancellation that came before it.
    fn take_request(&mut self, signed: Arc<Signed<BindingRequest>>, step: &mut Step<BookEffect>) {
        let id = signed.id();
        store(step, signed.packed());
        step.then(BookEffect::Relay(signed.packed().clone()));
        self.place_request(signed);
        for (cancel, from) in self.waiting.take_cancels(&id) {
            let packed = cancel.packed().clone();
            if self.place_cancel(cancel) {
                self.was_useful(from.as_ref());
                store(step, &packed);
                step.then(BookEffect::Relay(packed));
            } else {
                let refusal = Refusal::new(Reason::WrongAuthor, format_args!("not signed by the key of request {id}"));
                self.count(refusal.reason);
                step.then(BookEffect::Refused { id: packed.id(), refusal });
            }
        }
    }

    pub(super) fn place_request(&mut self, signed: Arc<Signed<BindingRequest>>) {
        self.held.insert(signed.packed(), Place::Request(signed.id()));
        self.requests.insert(signed);
    }

    /// Whether a cancellation is its request's, and now stands beside it.
    pub(super) fn place_cancel(&mut self, cancel: Signed<Cancel>) -> bool {
        let (id, packed) = (cancel.body().request, cancel.packed().clone());
        let Some(published) = self.requests.all.get_mut(&id) else { return false };
        if published.cancel.is_some() || published.signed.body().signing_key != cancel.body().key {
            return false;
        }
        published.cancel = Some(cancel);
        self.held.insert(&packed, Place::Cancel(id));
        true
    }

    pub(super) fn check_cancel(
        &mut self,
        packed: Packed,
        delivery: &Delivery<'_>,
        step: &mut Step<BookEffect>,
    ) -> Result<Outcome, Refusal> {
        let unverified = packed.parse::<Cancel>()?;
        let (id, key) = (unverified.claims().request, unverified.claims().key);
        let Some(published) = self.request(&id) else {
            let unknown = Refusal::new(Reason::UnknownRequest, format_args!("no request {id}"));
            if delivery.from.is_none() {
                return Err(unknown);
            }
            let signed = unverified.verify(&self.network)?;
            self.within_author_rate(key, delivery)?;
            let item = Item::Cancel(signed);
            self.let_wait(item, unknown.reason, delivery)?;
            // One that waits is looked at already.
            let here = self.waiting.contains(&id);
            return Ok(Outcome::Waits(unknown, if here { Vec::new() } else { vec![Want::Request(id)] }));
        };
        if published.signed.body().signing_key != key {
            return Err(Refusal::new(Reason::WrongAuthor, format_args!("{key} isn't the key of request {id}")));
        }
        if published.cancel.is_some() {
            return Err(Refusal::new(Reason::Superseded, format_args!("request {id} was taken back already")));
        }
        let signed = unverified.verify(&self.network)?;
        self.within_author_rate(key, delivery)?;
        let packed = signed.packed().clone();
        self.place_cancel(signed);
        store(step, &packed);
        if delivery.from.is_none() {
            step.then(BookEffect::Relay(packed));
        }
        Ok(Outcome::Taken)
    }

    /// Lets go of the requests that have ended.
    pub(super) fn expire_requests(&mut self, now: Now, step: &mut Step<BookEffect>) {
        let over: Vec<MessageId> =
            self.requests.ends.iter().take_while(|(end, _)| *end < now.timestamp()).map(|(_, id)| *id).collect();
        for id in over {
            let Some(published) = self.requests.remove(&id) else { continue };
            let cancel = published.cancel.as_ref().map(|cancel| cancel.packed());
            for packed in [Some(published.signed.packed()), cancel].into_iter().flatten() {
                self.held.remove(packed);
                forget(step, packed);
            }
        }
    }
}
