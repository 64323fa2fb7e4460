//! Settlements: who signs what, what gets lost, what comes in between, and what is left behind.

use super::disputes::{award, bound, funding, run_to};
use super::engagement::{ARBITER, account};
use super::pair::{CONSUMER, PROVIDER, Pair, net};
use crate::account::{AccountId, ServingKey};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::dispute::{Settles, Split};
use crate::binding::frames::{Closing, Cosign, Cosigned, NotNow, Note, Rejected, from_stream, to_stream};
use crate::binding::phase::Phase;
use crate::binding::session::End;
use crate::escrow::outcome::EscrowState;
use crate::kind::Kind;
use crate::market::Market;
use crate::market::command::{Answer, Command, CommandError};
use crate::market::event::{Call, Effect, Event, Token};
use crate::market::leftovers::SPOILT;
use crate::message::{BalanceId, Payload, Signed, TxHash};
use crate::stellar::envelope::SignedTransaction;
use crate::step::Step;

const AMOUNT: Stroops = Stroops::whole(10);

pub(super) fn split(to_provider: u32) -> Split {
    Split::of(AMOUNT, Stroops::whole(to_provider)).unwrap()
}

/// What a node answers to a frame, without carrying anything out.
pub(super) fn answer<T: Payload>(
    pair: &mut Pair,
    to: usize,
    from: usize,
    body: T,
    key: &ed25519_dalek::SigningKey,
) -> Vec<u8> {
    let bytes = to_stream(Signed::sign(body, &net(), key).unwrap().packed());
    let peer = pair.nodes[from].setup.peer.clone();
    let step: Step<Effect> = pair.step(to, Event::Direct { token: Token(u64::MAX), peer, bytes });
    let (_, effects) = step.into_parts();
    let respond = effects.into_iter().find_map(|effect| match effect {
        Effect::Respond { bytes, .. } => Some(bytes),
        _ => None,
    });
    respond.expect("an answer")
}

pub(super) fn opened<T: Payload>(bytes: &[u8]) -> Option<T> {
    from_stream(&net(), bytes).ok()?.open::<T>(&net()).ok().map(Signed::into_body)
}

/// Where the provider's money is.
pub(super) fn balance(pair: &Pair) -> BalanceId {
    pair.only(PROVIDER).state.balance.unwrap()
}

/// The provider asks for a signature under a division.
pub(super) fn cosign(pair: &mut Pair, to: usize, split: Split, awarded: bool) -> Vec<u8> {
    let key = pair.nodes[PROVIDER].setup.keys.serving.clone().unwrap();
    let (binding, account) = (pair.only(PROVIDER).binding().unwrap(), account(pair, PROVIDER));
    let balance = balance(pair);
    let body = Cosign { key: ServingKey::of(&key), binding, split, awarded, balance, account, sequence: 99 };
    answer(pair, to, PROVIDER, body, &key)
}

/// The successful transaction that took the escrow.
pub(super) fn settlement(pair: &Pair) -> SignedTransaction {
    let balance = pair.only(PROVIDER).state.balance.unwrap();
    let envelope = pair.ledger.search(balance, 0, u32::MAX).expect("a settlement");
    SignedTransaction::read_included(&envelope, &net()).unwrap()
}

#[test]
fn a_settlement_carries_exactly_the_signatures_that_it_takes() {
    let (mut pair, request) = bound(3, false, [End::UnitsUsed, End::UnitsUsed]);
    pair.run(4);
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Paid);
    // By the provider's account, its serving key and the consumer's key.
    assert_eq!(settlement(&pair).signature_count(), 3);
    let (mut pair, _) = bound(3, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    for arbiter in ARBITER..ARBITER + 3 {
        award(&mut pair, arbiter, 7);
    }
    pair.run(5);
    assert_eq!(settlement(&pair).signature_count(), 4, "one party and two of three arbiters");
}

#[test]
fn a_party_signs_only_what_it_gave_its_word_for() {
    let (mut pair, _) = bound(1, false, [End::UnitsUsed, End::ConsumerGone]);
    for (asked, awarded) in [(split(10), false), (split(6), false), (split(10), true)] {
        let answer = cosign(&mut pair, CONSUMER, asked, awarded);
        assert!(opened::<Rejected>(&answer).is_some(), "{asked:?} {awarded}");
    }
    let request = pair.only(CONSUMER).request_id();
    pair.lose.push((CONSUMER, Kind::Released));
    pair.command(CONSUMER, Command::Release { request, to_provider: Some(Stroops::whole(6)) });
    assert!(opened::<Cosigned>(&cosign(&mut pair, CONSUMER, split(6), false)).is_some());
    assert!(opened::<Rejected>(&cosign(&mut pair, CONSUMER, split(7), false)).is_some());
    assert!(opened::<NotNow>(&cosign(&mut pair, ARBITER, split(6), true)).is_none(), "no case is there");
}

#[test]
fn a_stranger_gets_no_signature() {
    let (mut pair, _) = bound(1, false, [End::UnitsUsed, End::UnitsUsed]);
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[77; 32]);
    let binding = pair.only(PROVIDER).binding().unwrap();
    let (key, account) = (ServingKey::of(&stranger), AccountId::of(&stranger));
    let (split, balance) = (split(10), balance(&pair));
    let body = Cosign { key, binding, split, awarded: false, balance, account, sequence: 9 };
    assert!(answer(&mut pair, CONSUMER, PROVIDER, body, &stranger).is_empty());
}

#[test]
fn an_old_word_for_less_is_worth_nothing_once_the_arbiters_gave_more() {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    pair.lose.push((PROVIDER, Kind::Cosign));
    pair.command(CONSUMER, Command::Release { request, to_provider: Some(Stroops::whole(8)) });
    run_to(&mut pair, "dispute_by", 2);
    assert!(opened::<Cosigned>(&cosign(&mut pair, CONSUMER, split(8), false)).is_some(), "its word still stands");
    award(&mut pair, ARBITER, 3);
    pair.run(1);
    assert!(opened::<Rejected>(&cosign(&mut pair, CONSUMER, split(8), false)).is_some(), "it was awarded more");
    assert!(opened::<Rejected>(&cosign(&mut pair, CONSUMER, split(4), false)).is_some());
}

#[test]
fn what_a_stranger_or_nobody_new_says_of_a_case_costs_an_arbiter_no_write() {
    let (mut pair, _) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    let binding = pair.only(PROVIDER).binding().unwrap();
    assert!(pair.nodes[ARBITER].market.case(&binding).is_some());
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[77; 32]);
    let (key, account) = (ServingKey::of(&stranger), AccountId::of(&stranger));
    let before = pair.writes(ARBITER);
    let (split, balance) = (split(10), balance(&pair));
    let body = Cosign { key, binding, split, awarded: true, balance, account, sequence: 9 };
    assert!(answer(&mut pair, ARBITER, PROVIDER, body, &stranger).is_empty());
    let body = Closing { key, binding, transaction: TxHash::from_bytes([1; 32]) };
    assert!(answer(&mut pair, ARBITER, PROVIDER, body, &stranger).is_empty());
    // A party's own word twice is a write at most once.
    let party = pair.nodes[PROVIDER].setup.keys.serving.clone().unwrap();
    let body = Closing { key: ServingKey::of(&party), binding, transaction: TxHash::from_bytes([2; 32]) };
    for _ in 0..3 {
        assert!(!answer(&mut pair, ARBITER, PROVIDER, body.clone(), &party).is_empty());
    }
    assert_eq!(pair.writes(ARBITER), before + 1);
}

#[test]
fn what_a_provider_did_not_earn_and_gave_back_from_t_on_it_does_not_take_for_its_own_where_nobody_remembers_it() {
    let (mut pair, request) = bound(1, true, [End::ProviderGone, End::ProviderGone]);
    pair.kill(CONSUMER);
    run_to(&mut pair, "T", 1);
    pair.ledger.oldest = pair.ledger.point().sequence + 4;
    pair.run(6);
    let balance = pair.trade(PROVIDER, request).state.balance.unwrap();
    assert!(!pair.ledger.balances.contains_key(&balance), "it has taken the escrow");
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Refunded);
}

#[test]
fn whoever_has_not_the_coins_for_a_settlement_says_so_and_settles_once_it_has() {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    let id = account(&pair, PROVIDER);
    let coins = pair.ledger.accounts[&id].balance;
    pair.ledger.accounts.get_mut(&id).unwrap().balance = Stroops::whole(1);
    pair.run(1);
    pair.kill(CONSUMER);
    award(&mut pair, ARBITER, 10);
    pair.run(6);
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Locked);
    let note = pair.trade(PROVIDER, request).state.note.clone().unwrap().to_string();
    assert!(note.contains("the coins for its fee"), "{note}");
    pair.ledger.accounts.get_mut(&id).unwrap().balance = coins;
    pair.run(8);
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Paid);
    assert_eq!(pair.trade(PROVIDER, request).state.note, None);
}

#[test]
fn an_answer_to_an_earlier_round_does_not_end_the_next_one() {
    let (mut pair, request) = bound(1, false, [End::UnitsUsed, End::UnitsUsed]);
    pair.hold.push((PROVIDER, Kind::Cosign));
    pair.run(2);
    let binding = pair.only(PROVIDER).binding().unwrap();
    let asked = pair.ledger.accounts[&account(&pair, PROVIDER)].sequence + 1;
    let (to, asset) = (account(&pair, CONSUMER), crate::asset::Asset::Native);
    pair.command(PROVIDER, Command::Pay { to, asset, amount: Stroops::whole(1), memo: None, dry_run: false });
    while pair.nodes[PROVIDER].sent.iter().filter(|kind| **kind == Kind::Cosign).count() < 2 {
        pair.run(1);
    }
    assert!(pair.nodes[PROVIDER].market.settling.contains_key(&binding), "the second round is under way");
    let to = Market::other_key(pair.trade(PROVIDER, request)).unwrap();
    let call = Call::Cosign { binding, to, sequence: asked };
    pair.event(PROVIDER, Event::Answered { call, result: Err("out of time".into()) });
    assert!(pair.nodes[PROVIDER].market.settling.contains_key(&binding));
    pair.let_go();
    pair.run(2);
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Paid);
}

#[test]
fn an_escrow_that_is_not_as_agreed_goes_back_whole_as_soon_as_both_are_there() {
    let mut pair = funding(false);
    pair.ledger.close(pair.now.timestamp());
    let request = pair.only(CONSUMER).request_id();
    let balance = pair.trade(CONSUMER, request).state.balance.unwrap();
    let less = AMOUNT.minus(Stroops::new(1).unwrap()).unwrap();
    pair.ledger.balances.get_mut(&balance).unwrap().amount = less;
    let before = pair.ledger.accounts[&account(&pair, CONSUMER)].balance;
    pair.run(1);
    for node in [PROVIDER, CONSUMER] {
        assert!(matches!(pair.trade(node, request).escrow(), EscrowState::Refused(_)));
    }
    let wrong = Split { to_provider: Stroops::new(1).unwrap(), to_consumer: less };
    assert!(opened::<NotNow>(&cosign(&mut pair, CONSUMER, wrong, false)).is_some(), "nothing of it is the provider's");
    pair.run(8);
    for node in [PROVIDER, CONSUMER] {
        assert_eq!(pair.trade(node, request).escrow(), &EscrowState::Refunded);
        assert!(pair.trade(node, request).terms().unwrap().terms.refund_at().unwrap() > pair.now.timestamp());
    }
    let after = pair.ledger.accounts[&account(&pair, CONSUMER)].balance;
    let fee = Stroops::new(i64::from(settlement(&pair).fee())).unwrap();
    assert_eq!(before.plus(less).and_then(|sum| sum.minus(fee)), Some(after), "every stroop that it held");
}

#[test]
fn a_provider_gives_back_no_more_than_an_escrow_holds_that_is_its_own_by_timeout() {
    let one = Stroops::new(1).unwrap();
    let other = Asset::Issued { code: "WORTHLESS".parse().unwrap(), issuer: AccountId::from_bytes([9; 32]) };
    for (amount, asset) in [(one, Asset::Native), (AMOUNT, other)] {
        let mut pair = funding(true);
        pair.ledger.close(pair.now.timestamp());
        pair.kill(CONSUMER);
        let balance = pair.only(PROVIDER).state.balance.unwrap();
        let locked = pair.ledger.balances.get_mut(&balance).unwrap();
        (locked.amount, locked.asset) = (amount, asset.clone());
        let own = account(&pair, PROVIDER);
        let before = pair.ledger.accounts[&own].balance;
        run_to(&mut pair, "T", 0);
        pair.run(8);
        let lost = before.minus(pair.ledger.accounts[&own].balance).unwrap_or_default();
        assert!(lost < Stroops::new(10_000).unwrap(), "{lost:?} is more than fees for {amount:?} of {asset:?}");
        assert_eq!(pair.ledger.balances.contains_key(&balance), !asset.is_native());
    }
}

/// What an arbiter's owner is told who awards so much.
fn told(pair: &mut Pair, arbiter: usize, coins: u32) -> Result<Answer, CommandError> {
    let binding = pair.only(PROVIDER).binding().unwrap();
    let command = Command::Award { binding, to_provider: Stroops::whole(coins), note: Note::new("another word") };
    let id = pair.command(arbiter, command);
    pair.nodes[arbiter].answers.remove(&id).expect("an answer")
}

fn stands(told: &Result<Answer, CommandError>) -> bool {
    matches!(told, Err(CommandError::NotNow(why)) if why.contains("the award stands"))
}

#[test]
fn an_award_stands_while_its_winner_is_down_and_is_settled_once_it_is_back() {
    for arbiters in [1, 3] {
        let (mut pair, request) = bound(arbiters, false, [End::ConsumerGone, End::ConsumerGone]);
        run_to(&mut pair, "dispute_by", 2);
        pair.run(1);
        pair.kill(PROVIDER);
        for arbiter in ARBITER..ARBITER + arbiters.div_ceil(2) {
            award(&mut pair, arbiter, 10);
        }
        for arbiter in ARBITER..ARBITER + arbiters.div_ceil(2) {
            for other in [0, 3, 10] {
                let told = told(&mut pair, arbiter, other);
                assert!(stands(&told), "{told:?}");
            }
        }
        pair.run(2);
        assert_eq!(pair.trade(CONSUMER, request).escrow(), &EscrowState::Locked, "the loser has nothing to settle");
        pair.restart(PROVIDER);
        pair.run(10);
        for node in [PROVIDER, CONSUMER] {
            assert_eq!(pair.trade(node, request).escrow(), &EscrowState::Paid, "{arbiters}");
        }
        pair.run(40);
        assert_eq!(pair.ledger.balances.len(), 1 + arbiters, "the bonds alone: every arbiter has claimed its fee");
    }
}

#[test]
fn an_arbiter_whose_change_crossed_the_majority_signs_what_it_had_said() {
    let (mut pair, request) = bound(3, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    pair.run(1);
    // The winner can't settle yet.
    pair.lose.push((PROVIDER, Kind::Cosign));
    award(&mut pair, ARBITER, 10);
    pair.run(1);
    pair.kill(ARBITER);
    award(&mut pair, ARBITER + 1, 10);
    pair.run(1);
    let settles = pair.trade(PROVIDER, request).state.dispute.as_ref().unwrap().settles();
    assert_eq!(settles, Some(Settles { split: split(10), awarded: true }));
    // The first one changes its mind before it hears of the second, which made it a majority.
    pair.restart(ARBITER);
    assert_eq!(told(&mut pair, ARBITER, 2), Ok(Answer::Awarded));
    pair.run(8);
    let again = told(&mut pair, ARBITER, 3);
    assert!(stands(&again), "{again:?}");
    pair.lose.clear();
    pair.run(20);
    for node in [PROVIDER, CONSUMER] {
        assert_eq!(pair.trade(node, request).escrow(), &EscrowState::Paid);
    }
    pair.run(40);
    assert_eq!(pair.ledger.balances.len(), 1 + 3, "the bonds alone: every arbiter has claimed its fee");
}

/// What becomes of an escrow where two of three arbiters change their minds to what the other one had said, before either
/// heard of the other; then this one's awards come first.
fn crossed(first: usize) -> EscrowState {
    let (mut pair, request) = bound(3, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    pair.run(1);
    pair.lose = vec![(ARBITER, Kind::Award), (ARBITER + 1, Kind::Award)];
    award(&mut pair, ARBITER, 10);
    award(&mut pair, ARBITER + 1, 0);
    assert_eq!(told(&mut pair, ARBITER, 0), Ok(Answer::Awarded));
    assert_eq!(told(&mut pair, ARBITER + 1, 10), Ok(Answer::Awarded));
    pair.lose.retain(|(arbiter, _)| *arbiter != first);
    pair.run(3);
    pair.lose.clear();
    pair.run(15);
    let t = pair.trade(PROVIDER, request).terms().unwrap().terms.refund_at().unwrap();
    assert!(pair.now.timestamp() < t, "nothing was left to the timeout");
    for arbiter in [ARBITER, ARBITER + 1] {
        let told = told(&mut pair, arbiter, 5);
        assert!(stands(&told), "{told:?}");
    }
    let [provider, consumer] = [PROVIDER, CONSUMER].map(|node| pair.trade(node, request).escrow().clone());
    assert_eq!(provider, consumer);
    let settles = |node| pair.trade(node, request).state.dispute.as_ref().unwrap().settles();
    assert_eq!(settles(PROVIDER), settles(CONSUMER));
    provider
}

#[test]
fn where_two_arbiters_changes_crossed_the_same_award_stands_whichever_is_heard_first() {
    let outcomes = [ARBITER, ARBITER + 1].map(crossed);
    assert_eq!(outcomes[0], outcomes[1]);
    assert!(matches!(outcomes[0], EscrowState::Paid | EscrowState::Refunded), "{outcomes:?}");
}

#[test]
fn before_a_majority_an_award_can_be_changed_and_not_for_ever() {
    let (mut pair, _) = bound(3, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    for coins in 0..9 {
        assert_eq!(told(&mut pair, ARBITER, coins), Ok(Answer::Awarded), "{coins}");
    }
    let more = told(&mut pair, ARBITER, 9);
    assert!(matches!(&more, Err(CommandError::NotNow(why)) if why.contains("at most")), "{more:?}");
    assert_eq!(told(&mut pair, ARBITER, 8), Ok(Answer::Awarded), "with another reason");
}

#[test]
fn signatures_that_get_lost_or_come_late_are_asked_for_again() {
    let (mut pair, request) = bound(1, false, [End::UnitsUsed, End::UnitsUsed]);
    pair.hold.push((PROVIDER, Kind::Cosign));
    pair.run(3);
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Locked);
    // Meanwhile the account does something else: the signature that comes is of a sequence number that is gone.
    let (to, asset) = (account(&pair, CONSUMER), crate::asset::Asset::Native);
    pair.command(PROVIDER, Command::Pay { to, asset, amount: Stroops::whole(1), memo: None, dry_run: false });
    pair.run(3);
    pair.let_go();
    pair.run(5);
    for node in [PROVIDER, CONSUMER] {
        assert_eq!(pair.trade(node, request).escrow(), &EscrowState::Paid);
    }
}

#[test]
fn what_waits_for_a_silent_signer_keeps_nothing_else_waiting() {
    let (mut pair, request) = bound(1, false, [End::UnitsUsed, End::UnitsUsed]);
    pair.hold.push((PROVIDER, Kind::Cosign));
    let (to, asset) = (account(&pair, CONSUMER), crate::asset::Asset::Native);
    pair.run(1);
    let pay = Command::Pay { to, asset, amount: Stroops::whole(1), memo: None, dry_run: false };
    let id = pair.command(PROVIDER, pay);
    pair.run(8);
    assert!(matches!(pair.nodes[PROVIDER].answers.get(&id), Some(Ok(_))));
    assert_eq!(pair.phase(PROVIDER, request), Phase::Closing);
}

#[test]
fn a_signature_that_is_none_is_worth_nothing() {
    let (mut pair, request) = bound(1, false, [End::UnitsUsed, End::UnitsUsed]);
    pair.lose.push((PROVIDER, Kind::Cosign));
    pair.run(2);
    let trade = pair.only(CONSUMER);
    let key = super::super::consumer::trade_keys(
        pair.nodes[CONSUMER].setup.keys.account.as_ref().unwrap(),
        &trade.request.body().nonce,
    )
    .0;
    let (binding, account) = (trade.binding().unwrap(), account(&pair, PROVIDER));
    let sequence = pair.ledger.accounts[&account].sequence + 1;
    for signature in [[0; 64], [9; 64]] {
        let body = Cosigned { key: ServingKey::of(&key), binding, account, sequence, signature };
        let bytes = to_stream(Signed::sign(body, &net(), &key).unwrap().packed());
        let call = Call::Cosign { binding, to: ServingKey::of(&key), sequence };
        pair.event(PROVIDER, Event::Answered { call, result: Ok(bytes) });
        pair.run(1);
    }
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Locked);
}

#[test]
fn a_node_that_dies_at_any_step_of_a_settlement_goes_on_with_it() {
    for victim in [PROVIDER, CONSUMER] {
        for after in 1..5 {
            let (mut pair, request) = bound(1, false, [End::UnitsUsed, End::UnitsUsed]);
            pair.run(after);
            pair.kill(victim);
            pair.run(1);
            pair.restart(victim);
            pair.run(6);
            for node in [PROVIDER, CONSUMER] {
                assert_eq!(pair.trade(node, request).escrow(), &EscrowState::Paid, "{victim} after {after} s");
            }
            let taken = pair.ledger.included.iter().filter(|(.., success, _)| *success).count();
            assert!(taken > 0);
        }
    }
}

#[test]
fn from_t_on_the_controller_is_unlocked_and_merged_whoever_dies_meanwhile() {
    for after in 0..8 {
        let (mut pair, request) = bound(1, false, [End::UnitsUsed, End::UnitsUsed]);
        pair.run(4);
        let controller = pair.trade(CONSUMER, request).state.controller.unwrap().account;
        run_to(&mut pair, "T", 0);
        assert!(pair.ledger.accounts.contains_key(&controller));
        pair.run(after);
        pair.kill(CONSUMER);
        pair.restart(CONSUMER);
        pair.run(12);
        assert!(!pair.ledger.accounts.contains_key(&controller), "after {after} s");
        assert!(!pair.trade(CONSUMER, request).has_leftovers());
        let looks = pair.nodes[CONSUMER].sent.len();
        pair.run(30);
        assert_eq!(pair.nodes[CONSUMER].sent.len(), looks, "nothing goes on about it");
    }
}

#[test]
fn a_controller_whose_unlock_others_spoilt_costs_its_reserve_alone_and_the_node_says_so() {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    let controller = pair.trade(CONSUMER, request).state.controller.unwrap().account;
    // Provider and arbiter together can do that, and nothing else.
    pair.ledger.accounts.get_mut(&controller).unwrap().sequence += 1;
    run_to(&mut pair, "T", 0);
    let before = pair.ledger.accounts[&account(&pair, CONSUMER)].balance;
    pair.run(12);
    let trade = pair.trade(CONSUMER, request);
    assert_eq!(trade.escrow(), &EscrowState::Refunded, "the money is the beneficiary's");
    let fee = Stroops::new(100).unwrap();
    let after = pair.ledger.accounts[&account(&pair, CONSUMER)].balance;
    assert_eq!(before.plus(AMOUNT).unwrap().minus(fee), Some(after));
    let note = trade.state.note.as_ref().expect("a note");
    assert_eq!(note.as_str(), Note::new(SPOILT).as_str());
    assert!(!trade.has_leftovers() && pair.ledger.accounts.contains_key(&controller), "it stays where it is");
    let (included, fees) = (pair.ledger.included.len(), pair.ledger.accounts[&account(&pair, CONSUMER)].balance);
    pair.run(60);
    assert_eq!(pair.ledger.included.len(), included, "nothing more is tried");
    assert_eq!(pair.ledger.accounts[&account(&pair, CONSUMER)].balance, fees);
}

#[test]
fn the_side_that_gains_less_settles_where_the_other_one_does_not() {
    let (mut pair, request) = bound(1, false, [End::ConsumerGone, End::ConsumerGone]);
    run_to(&mut pair, "dispute_by", 2);
    award(&mut pair, ARBITER, 7);
    pair.kill(PROVIDER);
    pair.run(10);
    assert!(matches!(pair.trade(CONSUMER, request).escrow(), EscrowState::Split { .. }));
    assert_eq!(settlement(&pair).source(), account(&pair, CONSUMER));
    pair.restart(PROVIDER);
    pair.run(6);
    assert!(matches!(pair.trade(PROVIDER, request).escrow(), EscrowState::Split { .. }), "found in the ledgers");
    assert_eq!(pair.trade(PROVIDER, request).state.owed, None, "and its share is claimed");
}

#[test]
fn whoever_cannot_find_out_who_has_it_says_so_and_takes_nothing() {
    let (mut pair, request) = bound(1, false, [End::UnitsUsed, End::UnitsUsed]);
    pair.lose.push((PROVIDER, Kind::Closing));
    // The consumer signs, and dies before it sees what became of it.
    pair.run(2);
    pair.kill(CONSUMER);
    pair.run(5);
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Paid);
    pair.ledger.oldest = u32::MAX;
    pair.restart(CONSUMER);
    pair.run(20);
    assert_eq!(pair.trade(CONSUMER, request).escrow(), &EscrowState::Locked, "another endpoint may know");
    pair.run(200);
    assert_eq!(pair.trade(CONSUMER, request).escrow(), &EscrowState::Unknown);
    let failed = pair.ledger.included.iter().filter(|(_, _, success, _)| !success).count();
    assert_eq!(failed, 0, "no fee was paid for a claim in vain");
    // Another server that is asked after a restart knows.
    pair.ledger.oldest = 1;
    pair.kill(CONSUMER);
    pair.restart(CONSUMER);
    pair.run(2);
    assert_eq!(pair.trade(CONSUMER, request).escrow(), &EscrowState::Paid);
}

#[test]
fn what_may_have_been_claimed_already_is_claimed_again_only_where_the_ledger_shows_it() {
    let (mut pair, request) = bound(1, true, [End::ProviderGone, End::ProviderGone]);
    pair.kill(CONSUMER);
    run_to(&mut pair, "T", 1);
    while pair.ledger.pending.is_empty() {
        pair.run(1);
    }
    // It dies while its claim is on the way, and is back when no server remembers that.
    pair.kill(PROVIDER);
    pair.run(5);
    pair.ledger.oldest = pair.ledger.point().sequence;
    pair.restart(PROVIDER);
    pair.run(10);
    let failed = pair.ledger.included.iter().filter(|(_, _, success, _)| !success).count();
    assert_eq!(failed, 0, "no fee was paid for what it had already");
    assert_eq!(pair.trade(PROVIDER, request).escrow(), &EscrowState::Refunded);
}

#[test]
fn an_escrow_without_its_controller_is_not_what_was_agreed() {
    let (pair, request) = bound(1, false, [End::UnitsUsed, End::UnitsUsed]);
    let trade = pair.trade(PROVIDER, request);
    let made = trade.state.controller.unwrap();
    let terms = trade.escrow_terms().unwrap();
    assert_eq!(made.account, pair.trade(CONSUMER, request).state.controller.unwrap().account);
    let balance = &pair.ledger.balances[&trade.state.balance.unwrap()];
    let entries: Vec<_> = pair.ledger.read(&terms.keys(balance.id, Some(made.account)));
    assert!(terms.verify(balance, &entries, false, &net()).is_ok());
    assert!(terms.verify(balance, &entries[..1], false, &net()).is_err());
}
