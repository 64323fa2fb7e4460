//! Arbiters decide what a side brought before them, and nothing else; whoever lost that it was brought is told again.

use ed25519_dalek::SigningKey;

use super::disputes::{award, bound, run_to};
use super::engagement::ARBITER;
use super::pair::{CONSUMER, PROVIDER, Pair, net};
use crate::account::ServingKey;
use crate::amount::Stroops;
use crate::binding::dispute::{DisputeRecord, DisputeState, Settles, Split};
use crate::binding::frames::{Award, Dispute, Note, to_stream};
use crate::binding::phase::{Phase, Side};
use crate::binding::session::End;
use crate::escrow::outcome::EscrowState;
use crate::kind::Kind;
use crate::market::command::Command;
use crate::market::event::{Event, Token};
use crate::message::{Payload, Signed};

const AMOUNT: Stroops = Stroops::whole(10);
const GONE: [End; 2] = [End::ConsumerGone, End::ConsumerGone];

fn serving(pair: &Pair, node: usize) -> SigningKey {
    pair.nodes[node].setup.keys.serving.clone().unwrap()
}

/// A node's frame, whoever signs it, comes to another node.
fn says<T: Payload>(pair: &mut Pair, (from, to): (usize, usize), body: T, by: &SigningKey) {
    let bytes = to_stream(Signed::sign(body, &net(), by).unwrap().packed());
    let peer = pair.nodes[from].setup.peer.clone();
    pair.event(to, Event::Direct { token: Token(u64::MAX), peer, bytes });
}

/// So many arbiters award everything to a side, whatever their nodes have.
fn award_unasked(pair: &mut Pair, arbiters: usize, side: Side) {
    let binding = pair.only(PROVIDER).binding().unwrap();
    for arbiter in ARBITER..ARBITER + arbiters {
        for party in [PROVIDER, CONSUMER] {
            let by = serving(pair, arbiter);
            let (key, split) = (ServingKey::of(&by), Split::all_to(side, AMOUNT));
            let award = Award { key, binding, number: 1, split, note: Note::new("so we say") };
            says(pair, (arbiter, party), award, &by);
        }
    }
}

fn stands(pair: &Pair, node: usize) -> (DisputeState, Option<Settles>) {
    let record = pair.only(node).state.dispute.as_ref().unwrap();
    (record.state(), record.settles())
}

#[test]
fn an_award_that_neither_side_asked_for_moves_nothing_and_takes_no_fee() {
    for arbiters in [1, 3] {
        for side in [Side::Provider, Side::Consumer] {
            let (mut pair, request) = bound(arbiters, true, GONE);
            award_unasked(&mut pair, arbiters, side);
            pair.run(4);
            for node in [PROVIDER, CONSUMER] {
                assert_eq!(stands(&pair, node), (DisputeState::None, None), "{arbiters} for {side:?}");
                assert_eq!(pair.phase(node, request), Phase::Delivered);
                assert!(!pair.nodes[node].sent.contains(&Kind::Cosign));
            }
            // What both agree on is settled, and no arbiter is paid.
            let mut agreed = pair;
            agreed.command(CONSUMER, Command::Release { request, to_provider: None });
            agreed.run(4);
            assert_eq!(agreed.only(PROVIDER).escrow(), &EscrowState::Paid);
            assert_eq!(stands(&agreed, CONSUMER).1.map(|settles| settles.awarded), Some(false));
        }
    }
}

#[test]
fn an_award_that_came_before_a_side_asked_counts_once_it_has() {
    let (mut pair, request) = bound(3, false, GONE);
    award_unasked(&mut pair, 2, Side::Consumer);
    pair.lose.extend([(PROVIDER, Kind::Cosign), (CONSUMER, Kind::Cosign)]);
    pair.command(CONSUMER, Command::OpenDispute { request, to_provider: None, text: String::new() });
    pair.run(3);
    let award = Settles { split: Split::all_to(Side::Consumer, AMOUNT), awarded: true };
    for node in [PROVIDER, CONSUMER] {
        assert_eq!(stands(&pair, node), (DisputeState::Awarded, Some(award)));
    }
}

#[test]
fn an_arbiter_cannot_say_for_a_side_that_it_was_asked() {
    let (mut pair, _) = bound(1, true, GONE);
    let trade = pair.only(PROVIDER).clone();
    let (agreement, binding) = (trade.agreement.clone().unwrap(), trade.binding().unwrap());
    let (terms, arbiter) = (agreement.body().clone(), serving(&pair, ARBITER));
    for key in [ServingKey::of(&arbiter), terms.serving_key, terms.consumer_key] {
        let dispute = Dispute {
            key,
            binding,
            at: pair.now.timestamp(),
            claim: Split::all_to(Side::Provider, AMOUNT),
            balance: trade.state.balance.unwrap(),
            agreement: agreement.packed().bytes().to_vec(),
            receipt: None,
        };
        // The signature is the arbiter's, whoever is named.
        let bytes = forged(dispute, &arbiter);
        for party in [PROVIDER, CONSUMER] {
            let (peer, bytes) = (pair.nodes[ARBITER].setup.peer.clone(), bytes.clone());
            pair.event(party, Event::Direct { token: Token(u64::MAX), peer, bytes });
        }
    }
    award_unasked(&mut pair, 1, Side::Provider);
    pair.run(3);
    for node in [PROVIDER, CONSUMER] {
        assert_eq!(stands(&pair, node), (DisputeState::None, None));
    }
}

/// A frame as it goes over a stream, with a signature of somebody's.
fn forged(dispute: Dispute, by: &SigningKey) -> Vec<u8> {
    let own = Dispute { key: ServingKey::of(by), ..dispute.clone() };
    let mut bytes = to_stream(Signed::sign(own, &net(), by).unwrap().packed());
    bytes[1..33].copy_from_slice(dispute.key.as_bytes());
    bytes
}

#[test]
fn a_side_that_was_restored_without_the_dispute_is_told_of_it_and_then_of_the_award() {
    for (node, named) in
        [(PROVIDER, "dispute_by"), (CONSUMER, "dispute_by"), (PROVIDER, "award_by"), (CONSUMER, "award_by")]
    {
        let (mut pair, request) = bound(1, false, GONE);
        run_to(&mut pair, "dispute_by", 2);
        pair.run(2);
        assert_eq!(stands(&pair, node).0, DisputeState::Opened);
        run_to(&mut pair, named, 0);
        pair.run(1);
        let trade = pair.nodes[node].market.trades.get_mut(&request).unwrap();
        trade.state.dispute = Some(DisputeRecord::new(AMOUNT, 1));
        pair.lose.extend([(PROVIDER, Kind::Cosign), (CONSUMER, Kind::Cosign)]);
        pair.run(1);
        assert_eq!(stands(&pair, node), (DisputeState::None, None));
        award(&mut pair, ARBITER, 7);
        pair.run(3);
        let split = Split::of(AMOUNT, Stroops::whole(7)).unwrap();
        let awarded = (DisputeState::Awarded, Some(Settles { split, awarded: true }));
        assert_eq!([PROVIDER, CONSUMER].map(|node| stands(&pair, node)), [awarded; 2], "{node} after {named}");
    }
}

#[test]
fn a_side_that_was_away_until_award_by_hears_of_the_dispute_and_of_the_award() {
    let (mut pair, _) = bound(1, false, GONE);
    pair.kill(CONSUMER);
    run_to(&mut pair, "dispute_by", 1);
    award(&mut pair, ARBITER, 0);
    run_to(&mut pair, "award_by", 0);
    pair.run(1);
    pair.lose.extend([(PROVIDER, Kind::Cosign), (CONSUMER, Kind::Cosign)]);
    pair.restart(CONSUMER);
    // The arbiter's pause is over.
    pair.nodes[ARBITER].market.outgoing.clear();
    pair.run(3);
    let award = Settles { split: Split::all_to(Side::Consumer, AMOUNT), awarded: true };
    assert_eq!(stands(&pair, CONSUMER), (DisputeState::Awarded, Some(award)));
}
