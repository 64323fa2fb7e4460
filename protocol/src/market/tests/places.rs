//! A side that names another balance than the binding's to the arbiters, or asks them only in words.

use super::disputes::{award, bound, run_to};
use super::engagement::{ARBITER, account};
use super::pair::{CONSUMER, PROVIDER, Pair, net};
use crate::account::{AccountId, ServingKey};
use crate::amount::Stroops;
use crate::binding::dispute::Split;
use crate::binding::frames::{Dispute, to_stream};
use crate::binding::phase::Side;
use crate::binding::session::{End, Session};
use crate::escrow::outcome::EscrowState;
use crate::market::command::{Answer, Command, CommandError};
use crate::market::event::{Event, Token};
use crate::message::{BalanceId, Signed};

/// The side that an award would cost the money, and the one that it would give it to, as nodes.
const SIDES: [(usize, usize, bool); 2] = [(CONSUMER, PROVIDER, false), (PROVIDER, CONSUMER, true)];

/// A balance like the binding's escrow that only its maker can take.
fn decoy(pair: &mut Pair) -> BalanceId {
    let id = BalanceId::from_bytes([200; 32]);
    let real = pair.only(CONSUMER).state.balance.unwrap();
    let mut state = pair.ledger.balances[&real].clone();
    let controller = pair.only(CONSUMER).state.controller.unwrap().account;
    state.id = id;
    for claimant in state.claimants.iter_mut().filter(|claimant| claimant.account == controller) {
        claimant.account = AccountId::from_bytes([201; 32]);
    }
    pair.ledger.balances.insert(id, state);
    id
}

/// A party's frame that asks the arbiters about a balance, handed to one node.
fn ask_about(pair: &mut Pair, from: usize, to: usize, balance: BalanceId) {
    let trade = pair.only(from).clone();
    let key = pair.nodes[from].market.own_key(&trade).unwrap();
    let side = trade.state.side;
    let dispute = Dispute {
        key: ServingKey::of(&key),
        binding: trade.binding().unwrap(),
        at: pair.now.timestamp(),
        claim: Split::all_to(side, Stroops::whole(10)),
        balance,
        agreement: trade.agreement.as_ref().unwrap().packed().bytes().to_vec(),
        receipt: None,
    };
    let bytes = to_stream(Signed::sign(dispute, &net(), &key).unwrap().packed());
    let peer = pair.nodes[from].setup.peer.clone();
    pair.event(to, Event::Direct { token: Token(u64::MAX), peer, bytes });
}

#[test]
fn an_award_divides_the_winners_escrow_whatever_balance_the_loser_named_first() {
    for (loser, winner, pay_unless_disputed) in SIDES {
        for arbiters in [1, 3] {
            let (mut pair, _) = bound(arbiters, pay_unless_disputed, [End::ConsumerGone, End::ProviderGone]);
            let decoy = decoy(&mut pair);
            for arbiter in ARBITER..ARBITER + arbiters {
                ask_about(&mut pair, loser, arbiter, decoy);
            }
            assert_eq!(pair.nodes[ARBITER].market.cases().next().unwrap().balances().collect::<Vec<_>>(), [decoy]);
            pair.kill(loser);
            pair.run(3);
            let note = pair.only(winner).state.note.clone().unwrap();
            assert!(note.as_str().contains("another balance"), "{note}");
            let coins = if winner == PROVIDER { 10 } else { 0 };
            (ARBITER..ARBITER + arbiters).for_each(|arbiter| award(&mut pair, arbiter, coins));
            pair.run(15);
            let won = if winner == PROVIDER { EscrowState::Paid } else { EscrowState::Refunded };
            assert_eq!(pair.only(winner).escrow(), &won);
            assert!(pair.ledger.balances.contains_key(&decoy), "it is its maker's");
            let case = pair.nodes[ARBITER].market.cases().next().unwrap();
            assert_eq!(case.balances().count(), 2, "each side named its own");
        }
    }
}

#[test]
fn a_party_asks_the_arbiters_itself_where_the_other_one_told_only_it_that_it_does() {
    for (loser, winner, pay_unless_disputed) in SIDES {
        let (mut pair, _) = bound(1, pay_unless_disputed, [End::ConsumerGone, End::ProviderGone]);
        let balance = pair.only(loser).state.balance.unwrap();
        ask_about(&mut pair, loser, winner, balance);
        pair.kill(loser);
        pair.run(2);
        let case = pair.nodes[ARBITER].market.cases().next().expect("the arbiter was told");
        let side = pair.only(winner).state.side;
        assert_eq!(case.claim(side), Some(Split::all_to(side, Stroops::whole(10))));
        assert_eq!(case.shown(side), 1);
        let coins = if winner == PROVIDER { 10 } else { 0 };
        award(&mut pair, ARBITER, coins);
        pair.run(6);
        assert!(pair.only(winner).escrow().is_over(), "{:?}", pair.only(winner).escrow());
    }
}

#[test]
fn a_balance_that_is_not_the_bindings_is_signed_for_by_nobody() {
    let (mut pair, _) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    let decoy = decoy(&mut pair);
    pair.ledger.balances.get_mut(&decoy).unwrap().amount = Stroops::whole(11);
    run_to(&mut pair, "dispute_by", 2);
    let binding = pair.only(PROVIDER).binding().unwrap();
    let request = pair.only(PROVIDER).request_id();
    let real = pair.only(PROVIDER).state.balance;
    // The provider itself names it, and dies before it settles what is its own.
    pair.nodes[PROVIDER].market.trades.get_mut(&request).unwrap().state.balance = Some(decoy);
    award(&mut pair, ARBITER, 10);
    pair.run(6);
    assert_eq!(pair.nodes[ARBITER].market.case(&binding).unwrap().balances().collect::<Vec<_>>(), real.as_slice());
    assert!(pair.ledger.balances.contains_key(&decoy));
}

#[test]
fn an_arbiter_that_knows_the_losers_decoy_alone_finds_its_fee_in_the_winners_settlement() {
    for (loser, winner, pay_unless_disputed) in SIDES {
        let (mut pair, _) = bound(3, pay_unless_disputed, [End::ConsumerGone, End::ProviderGone]);
        let decoy = decoy(&mut pair);
        for arbiter in ARBITER..ARBITER + 3 {
            ask_about(&mut pair, loser, arbiter, decoy);
        }
        pair.kill(loser);
        pair.kill(ARBITER + 2);
        pair.run(3);
        let account = account(&pair, ARBITER + 2);
        let its = |pair: &Pair| {
            pair.ledger.balances.values().filter(|state| state.claimants.iter().any(|c| c.account == account)).count()
        };
        let bond = its(&pair);
        let coins = if winner == PROVIDER { 10 } else { 0 };
        (ARBITER..ARBITER + 2).for_each(|arbiter| award(&mut pair, arbiter, coins));
        pair.run(15);
        assert!(pair.only(winner).escrow().is_over(), "{:?}", pair.only(winner).escrow());
        assert_eq!(its(&pair), bond + 1, "its fee waits for it");
        pair.restart(ARBITER + 2);
        pair.run(40);
        assert_eq!(its(&pair), bond, "it has it");
    }
}

#[test]
fn an_owner_that_asks_the_arbiters_after_the_other_side_did_pays_nothing_by_itself() {
    for asks_second in [false, true] {
        let (mut pair, request) = bound(1, false, [End::UnitsUsed, End::UnitsUsed]);
        let session = |pair: &mut Pair, session| {
            pair.nodes[CONSUMER].market.trades.get_mut(&request).unwrap().state.session = session;
        };
        session(&mut pair, Session::Active);
        let balance = pair.only(PROVIDER).state.balance.unwrap();
        ask_about(&mut pair, PROVIDER, CONSUMER, balance);
        pair.run(1);
        if asks_second {
            let (to_provider, text) = (Some(Stroops::whole(2)), "eight were rubbish".to_owned());
            let id = pair.command(CONSUMER, Command::OpenDispute { request, to_provider, text });
            assert_eq!(pair.nodes[CONSUMER].answers.get(&id), Some(&Ok(Answer::Disputed)));
        }
        session(&mut pair, Session::Ended(End::UnitsUsed));
        pair.run(6);
        let expected = if asks_second { EscrowState::Locked } else { EscrowState::Paid };
        assert_eq!(pair.only(CONSUMER).escrow(), &expected, "it saw ten calls answered");
        if asks_second {
            let case = pair.nodes[ARBITER].market.cases().next().unwrap();
            let claim = Split::of(Stroops::whole(10), Stroops::whole(2));
            assert_eq!(case.claim(Side::Consumer), claim, "and the arbiter knows what it asks for");
            let again = Command::OpenDispute { request, to_provider: None, text: String::new() };
            let again = pair.command(CONSUMER, again);
            assert!(matches!(pair.nodes[CONSUMER].answers.get(&again), Some(Err(CommandError::NotNow(_)))));
        }
    }
}
