//! Published requests: what lets them in, what ends them, and what nobody can do to another's.

use super::*;
use crate::binding::frames::Cancel;
use crate::document::BindingRequest;
use crate::limits::{MAX_KEPT_REQUESTS, MAX_LIVE_REQUESTS, MAX_REQUEST_LIFE};

struct Consumer {
    account: SigningKey,
    trade: SigningKey,
}

fn consumer(seed: u8) -> Consumer {
    Consumer { account: key(seed), trade: key(seed + 1) }
}

impl Consumer {
    fn wants(&self, offering: &Signed<Offering>, nonce: u8) -> BindingRequest {
        BindingRequest {
            account: AccountId::of(&self.account),
            offering: offering.id(),
            series: crate::document::series_of(offering),
            units: 2,
            budget: Stroops::new(40_000_000),
            escrow: vec![EscrowKind::Timed],
            arbiters: vec![],
            pay_unless_disputed: false,
            sealing_key: SealingKey::from_bytes([4; 32]),
            signing_key: ServingKey::of(&self.trade),
            peer: peer(2),
            nonce: Nonce::from_bytes([nonce; 16]),
            valid_until: Timestamp::from_secs(START + 600),
        }
    }

    fn sign(&self, body: BindingRequest) -> Packed {
        Signed::sign(body, &net(), &self.account).unwrap().packed().clone()
    }

    fn request(&self, offering: &Signed<Offering>, nonce: u8) -> Packed {
        self.sign(self.wants(offering, nonce))
    }

    fn cancel(&self, request: &Packed) -> Packed {
        let body = Cancel { key: ServingKey::of(&self.trade), request: request.id() };
        Signed::sign(body, &net(), &self.trade).unwrap().packed().clone()
    }
}

impl Desk {
    fn covered(&mut self, request: &Packed) -> Vec<BookEffect> {
        let step = self.book.consumer_checked(&request.id(), ConsumerVerdict::Covered, at(0));
        self.settle(step)
    }

    /// A request delivered, and its consumer seen.
    fn hear(&mut self, request: &Packed) {
        assert_eq!(reason(&self.verdict(request)), Some(Reason::ConsumerUnseen));
        assert_eq!(relayed(&self.covered(request)), [request.id()]);
    }

    fn live(&self) -> usize {
        self.book.requests().filter(|r| r.is_live(at(0).timestamp())).count()
    }
}

/// A book with an offering, the offering, and a consumer.
fn market() -> (Desk, Signed<Offering>, Consumer) {
    let (mut desk, ann) = (Desk::new(), provider(10));
    let offering = ann.sign(ann.offering(1));
    desk.list(&offering);
    (desk, offering, consumer(30))
}

#[test]
fn a_request_is_kept_and_relayed_once_its_consumer_was_seen_to_hold_the_amount() {
    let (mut desk, offering, ben) = market();
    let request = ben.request(&offering, 1);
    let (verdict, effects) = desk.receive(&request);
    assert_eq!(reason(&verdict), Some(Reason::ConsumerUnseen));
    assert_eq!((relayed(&effects), desk.live(), desk.stored()), (vec![], 0, 1));
    let wanted = desk.book.consumers_wanted(200, at(0));
    let expected = ConsumerWanted {
        request: request.id(),
        account: AccountId::of(&ben.account),
        asset: Asset::Native,
        amount: Stroops::whole(4),
        from: Some(peer(1)),
    };
    assert_eq!(wanted, [expected]);
    assert!(desk.book.consumers_wanted(200, at(0)).is_empty(), "not twice at once");
    assert!(desk.book.bonds_wanted(200, at(100)).is_empty(), "no bond is wanted for it");
    assert_eq!(relayed(&desk.covered(&request)), [request.id()]);
    assert_eq!((desk.live(), desk.stored()), (1, 2));
    assert_eq!(reason(&desk.verdict(&request)), Some(Reason::Duplicate));
    assert!(desk.book.ids(None, 100).contains(&(Kind::BindingRequest, request.id())));
    assert_eq!(desk.book.message(&request.id()), Some(&request));
}

#[test]
fn a_consumer_without_the_amount_gets_nothing_in() {
    let (mut desk, offering, ben) = market();
    let request = ben.request(&offering, 1);
    desk.verdict(&request);
    let refusal = Refusal::new(Reason::ConsumerAccount, "poor");
    let step = desk.book.consumer_checked(&request.id(), ConsumerVerdict::Refused(refusal), at(0));
    assert!(desk.settle(step).is_empty());
    assert_eq!((desk.live(), desk.book.waiting(), desk.book.refused()[&Reason::ConsumerAccount]), (0, 0, 1));
    // What the ledger says of a request that isn't here any more changes nothing.
    assert!(desk.covered(&request).is_empty());
}

#[test]
fn a_request_waits_for_its_offering() {
    let (mut desk, ann, ben) = (Desk::new(), provider(10), consumer(30));
    let offering = ann.sign(ann.offering(1));
    let request = ben.request(&offering, 1);
    let (verdict, _) = desk.receive(&request);
    let Verdict::Wait { refusal, wants } = verdict else { panic!("{verdict:?}") };
    assert_eq!((refusal.reason, wants), (Reason::UnknownSeries, vec![Want::Offering(offering.id())]));
    assert!(desk.book.consumers_wanted(200, at(0)).is_empty());
    desk.verdict(offering.packed());
    let effects = desk.bond(&offering.id());
    let want = Want::Consumer(AccountId::of(&ben.account));
    assert!(effects.contains(&BookEffect::Wanted { want, from: Some(peer(1)) }), "{effects:?}");
    assert_eq!(desk.book.consumers_wanted(200, at(0)).len(), 1);
    assert_eq!(relayed(&desk.covered(&request)), [request.id()]);
}

#[test]
fn what_does_not_fit_the_offering_is_rejected() {
    let (mut desk, offering, ben) = market();
    let good = ben.wants(&offering, 1);
    let bad = [
        BindingRequest { units: 11, ..good.clone() },
        BindingRequest { budget: Stroops::new(39_999_999), ..good.clone() },
        BindingRequest { account: offering.body().account, ..good.clone() },
    ];
    for body in bad {
        let signer = if body.account == offering.body().account { key(10) } else { key(30) };
        let packed = Signed::sign(body, &net(), &signer).unwrap().packed().clone();
        assert_eq!(rejected(&desk.verdict(&packed)), Some(Reason::InvalidDocument));
    }
    let late = ben.sign(BindingRequest { valid_until: Timestamp::from_secs(START - 1), ..good.clone() });
    assert_eq!(ignored(&desk.verdict(&late)), Some(Reason::Expired));
    let long = Timestamp::from_secs(START).plus(MAX_REQUEST_LIFE * 2);
    let early = ben.sign(BindingRequest { valid_until: long, ..good.clone() });
    assert_eq!(ignored(&desk.verdict(&early)), Some(Reason::FromTheFuture));
    let forged = [good.encode().unwrap(), vec![1; 64]].concat();
    let forged = desk.book.admit_bytes(Kind::BindingRequest, forged, Some(&peer(1)), at(0), 0);
    assert_eq!(rejected(&forged.verdict), Some(Reason::BadSignature));
    assert_eq!((desk.book.waiting(), desk.live()), (0, 0));
}

#[test]
fn a_request_for_a_withdrawn_series_is_ignored() {
    let (mut desk, ann, ben) = (Desk::new(), provider(10), consumer(30));
    let offering = ann.sign(ann.offering(1));
    let series = desk.list(&offering);
    let request = ben.request(&offering, 1);
    desk.verdict(&request);
    assert_eq!(desk.verdict(&ann.status(series, 1, 0, true)), Verdict::Accept);
    assert!(desk.covered(&request).is_empty(), "withdrawn while the ledger was asked");
    assert_eq!(ignored(&desk.verdict(&ben.request(&offering, 2))), Some(Reason::Withdrawn));
    assert_eq!((desk.live(), desk.book.waiting()), (0, 0));
}

#[test]
fn an_account_has_four_live_requests_and_sixteen_kept_ones() {
    let (mut desk, offering, ben) = market();
    let cat = consumer(40);
    for nonce in 0..MAX_LIVE_REQUESTS as u8 {
        desk.hear(&ben.request(&offering, nonce));
    }
    let fifth = ben.request(&offering, 100);
    assert_eq!(ignored(&desk.verdict(&fifth)), Some(Reason::OverQuota));
    desk.hear(&cat.request(&offering, 1));
    for nonce in MAX_LIVE_REQUESTS..MAX_KEPT_REQUESTS {
        let oldest =
            desk.book.requests().find(|r| r.signed.body().account == AccountId::of(&ben.account) && r.cancel.is_none());
        let oldest = oldest.unwrap().signed.packed().clone();
        assert_eq!(desk.verdict(&ben.cancel(&oldest)), Verdict::Accept);
        desk.hear(&ben.request(&offering, nonce as u8));
    }
    let (live, kept) = (desk.live(), desk.book.requests().count());
    assert_eq!((live, kept), (MAX_LIVE_REQUESTS + 1, MAX_KEPT_REQUESTS + 1));
    let last = desk.book.requests().find(|r| r.cancel.is_none()).unwrap().signed.packed().clone();
    desk.verdict(&ben.cancel(&last));
    assert_eq!(ignored(&desk.verdict(&fifth)), Some(Reason::OverQuota), "cancelling makes no room without end");
}

#[test]
fn two_requests_that_wait_at_once_do_not_pass_the_quota_together() {
    let (mut desk, offering, ben) = market();
    let all: Vec<Packed> = (0..=MAX_LIVE_REQUESTS as u8).map(|nonce| ben.request(&offering, nonce)).collect();
    for request in &all {
        assert_eq!(reason(&desk.verdict(request)), Some(Reason::ConsumerUnseen));
    }
    for request in &all {
        desk.covered(request);
    }
    assert_eq!((desk.live(), desk.book.waiting()), (MAX_LIVE_REQUESTS, 0));
}

#[test]
fn only_the_key_that_the_request_names_takes_it_back_and_for_good() {
    let (mut desk, offering, ben) = market();
    let request = ben.request(&offering, 1);
    desk.hear(&request);
    let eve = Consumer { account: key(50), trade: key(51) };
    assert_eq!(rejected(&desk.verdict(&eve.cancel(&request))), Some(Reason::WrongAuthor));
    assert_eq!(desk.live(), 1);
    let cancel = ben.cancel(&request);
    assert_eq!(desk.verdict(&cancel), Verdict::Accept);
    assert_eq!((desk.live(), desk.stored()), (0, 3));
    assert_eq!(reason(&desk.verdict(&cancel)), Some(Reason::Duplicate));
    assert_eq!(reason(&desk.verdict(&request)), Some(Reason::Duplicate), "a late copy doesn't bring it back");
    assert!(desk.book.ids(None, 100).contains(&(Kind::Cancel, cancel.id())), "whoever catches up hears of both");
    assert!(desk.restart(1).is_empty());
    assert_eq!((desk.live(), desk.book.requests().count(), desk.stored()), (0, 1, 3));
    assert_eq!(desk.book.message(&cancel.id()), Some(&cancel));
}

#[test]
fn a_cancellation_before_its_request_waits_and_holds_then() {
    let (mut desk, offering, ben) = market();
    let request = ben.request(&offering, 1);
    let (cancel, forged) = (ben.cancel(&request), Consumer { account: key(50), trade: key(51) }.cancel(&request));
    for packed in [&forged, &cancel] {
        let verdict = desk.verdict(packed);
        let Verdict::Wait { wants, .. } = verdict else { panic!("{verdict:?}") };
        assert_eq!(wants, [Want::Request(request.id())]);
    }
    // A second peer that brings it can be asked for the request too.
    let (verdict, _) = desk.deliver(&cancel, Some(&peer(2)), 0);
    assert!(matches!(verdict, Verdict::Wait { ref wants, .. } if wants.len() == 1), "{verdict:?}");
    desk.verdict(&request);
    assert_eq!(relayed(&desk.covered(&request)), [request.id(), cancel.id()]);
    assert_eq!((desk.live(), desk.book.requests().count(), desk.book.waiting()), (0, 1, 0));
}

#[test]
fn what_has_ended_is_forgotten_with_its_cancellation() {
    let (mut desk, offering, ben) = market();
    let (first, second) = (ben.request(&offering, 1), ben.request(&offering, 2));
    desk.hear(&first);
    desk.hear(&second);
    desk.verdict(&ben.cancel(&second));
    assert_eq!(desk.stored(), 4);
    let step = desk.book.expire(at(600));
    desk.settle(step);
    assert_eq!((desk.book.requests().count(), desk.stored()), (2, 4), "still valid in its last second");
    let step = desk.book.expire(at(601));
    desk.settle(step);
    assert_eq!((desk.book.requests().count(), desk.stored()), (0, 1), "the offering alone");
    assert!(desk.book.message(&first.id()).is_none());
    desk.restart(601);
    assert_eq!(desk.book.requests().count(), 0);
}

#[test]
fn ones_own_request_needs_no_look_and_goes_out_at_once() {
    let (mut desk, offering, ben) = market();
    let request = ben.request(&offering, 1);
    let (verdict, effects) = desk.deliver(&request, None, 0);
    assert_eq!((verdict, relayed(&effects), desk.live()), (Verdict::Accept, vec![request.id()], 1));
    let (verdict, effects) = desk.deliver(&ben.cancel(&request), None, 0);
    assert_eq!((verdict, relayed(&effects).len(), desk.live()), (Verdict::Accept, 1, 0));
    let unknown = ben.request(&provider(20).sign(provider(20).offering(2)), 3);
    let (verdict, _) = desk.deliver(&unknown, None, 0);
    assert_eq!(ignored(&verdict), Some(Reason::UnknownSeries));
    let (verdict, _) = desk.deliver(&ben.cancel(&unknown), None, 0);
    assert_eq!(ignored(&verdict), Some(Reason::UnknownRequest));
    assert_eq!(desk.book.waiting(), 0);
}
