//! An arbiter's inbox: what it takes whatever comes, what gives way, and what it has again after it was restored.

use ed25519_dalek::SigningKey;

use super::disputes::{award, bound, run_to};
use super::engagement::{ARBITER, account, market, trust};
use super::pair::{CONSUMER, PROVIDER, Pair, net};
use crate::account::{AccountId, ServingKey};
use crate::amount::Stroops;
use crate::binding::agreement::{self, Agreement};
use crate::binding::dispute::Split;
use crate::binding::frames::{Ack, Cosign, Cosigned, Dispute, Receipt, from_stream, to_stream};
use crate::binding::phase::Side;
use crate::binding::session::End;
use crate::escrow::EscrowKind;
use crate::escrow::outcome::EscrowState;
use crate::kind::Kind;
use crate::limits::MAX_CASES;
use crate::market::Case;
use crate::market::command::{Command, EscrowWish};
use crate::market::event::{Ask, Call, Effect, Event, Token};
use crate::message::{BalanceId, BindingId, MessageId, Payload, Signed};
use crate::stellar::ledger_key::Key;

const GONE: [End; 2] = [End::ConsumerGone, End::ConsumerGone];

fn key(n: u32) -> SigningKey {
    let mut bytes = [200; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    SigningKey::from_bytes(&bytes)
}

fn serving(pair: &Pair, node: usize) -> SigningKey {
    pair.nodes[node].setup.keys.serving.clone().unwrap()
}

/// The binding's agreement, changed, signed by this seller, with the arbiter's engagement for it.
fn agreed(pair: &Pair, seller: &SigningKey, change: impl FnOnce(&mut Agreement)) -> Signed<Agreement> {
    let trade = pair.nodes[PROVIDER].market.trades().next().unwrap();
    let mut body = Agreement { serving_key: ServingKey::of(seller), ..trade.terms().unwrap().clone() };
    change(&mut body);
    let engagement = body.engagement(&body.arbiters[0]).unwrap();
    let signed = Signed::sign(engagement, &net(), &serving(pair, ARBITER)).unwrap();
    body.arbiters[0].engagement = signed.packed().signature();
    Signed::sign(body, &net(), seller).unwrap()
}

/// A dispute as its opener says it.
fn dispute(pair: &Pair, agreement: &Signed<Agreement>, by: &SigningKey, balance: BalanceId) -> Dispute {
    Dispute {
        key: ServingKey::of(by),
        binding: agreement::binding_id(agreement),
        at: pair.now.timestamp(),
        claim: Split::all_to(Side::Provider, agreement.body().amount),
        balance,
        agreement: agreement.packed().bytes().to_vec(),
        receipt: None,
    }
}

fn frame<T: Payload>(body: T, by: &SigningKey) -> Vec<u8> {
    to_stream(Signed::sign(body, &net(), by).unwrap().packed())
}

/// Hands the arbiter a frame of a node's, and does all that follows.
fn tell(pair: &mut Pair, from: usize, bytes: Vec<u8>) {
    let peer = pair.nodes[from].setup.peer.clone();
    pair.event(ARBITER, Event::Direct { token: Token(u64::MAX), peer, bytes });
}

fn cases(pair: &Pair) -> usize {
    pair.nodes[ARBITER].market.cases().count()
}

fn shown(pair: &Pair) -> [u32; 2] {
    let case = pair.nodes[ARBITER].market.cases().next().expect("a case");
    [Side::Provider, Side::Consumer].map(|side| case.shown(side))
}

fn note(pair: &Pair, node: usize, request: MessageId) -> String {
    pair.trade(node, request).state.note.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn an_arbiter_refuses_no_case_that_it_engaged_itself_for_however_many_are_open() {
    let (mut pair, _) = bound(1, false, GONE);
    pair.nodes[ARBITER].market.setup.policy.max_cases = 0;
    run_to(&mut pair, "dispute_by", 2);
    assert_eq!(cases(&pair), 1);
}

#[test]
fn an_arbiter_takes_no_case_without_money_and_no_strangers_and_no_late_one() {
    let (mut pair, _) = bound(1, false, GONE);
    let seller = serving(&pair, PROVIDER);
    let agreement = pair.only(PROVIDER).agreement.clone().unwrap();
    let balance = pair.only(PROVIDER).state.balance.unwrap();
    let stands = pair.ledger.balances[&balance].clone();
    let [less, others] = [81, 82].map(|n| BalanceId::from_bytes([n; 32]));
    let mut altered = stands.clone();
    altered.amount = altered.amount.minus(Stroops::new(1).unwrap()).unwrap();
    pair.ledger.balances.insert(less, crate::stellar::entry::BalanceState { id: less, ..altered });
    let mut altered = stands.clone();
    let binding = *agreement::binding_id(&agreement).as_bytes();
    let own = altered.claimants.iter_mut().find(|c| *c.account.as_bytes() == binding).unwrap();
    own.account = AccountId::from_bytes([83; 32]);
    pair.ledger.balances.insert(others, crate::stellar::entry::BalanceState { id: others, ..altered });
    // Each of these is refused; of what was taken all the same the case is cleared away for the next one.
    let mut taken: Vec<&str> = Vec::new();
    let mut hand = |pair: &mut Pair, why: &'static str, said: Vec<u8>| {
        tell(pair, PROVIDER, said);
        if cases(pair) > 0 {
            taken.push(why);
            pair.nodes[ARBITER].market.cases.clear();
        }
    };
    for (wrong, why) in
        [(BalanceId::from_bytes([84; 32]), "no balance"), (less, "a stroop less"), (others, "another binding's")]
    {
        let said = frame(dispute(&pair, &agreement, &seller, wrong), &seller);
        hand(&mut pair, why, said);
    }
    let said = frame(dispute(&pair, &agreement, &key(1), balance), &key(1));
    hand(&mut pair, "a stranger's", said);
    let mut cheaper = agreement.body().clone();
    cheaper.arbiters[0].fee = Stroops::ZERO;
    let unengaged = Signed::sign(cheaper, &net(), &seller).unwrap();
    let mut own = stands.clone();
    let hash = own.claimants.iter_mut().find(|c| *c.account.as_bytes() == binding).unwrap();
    hash.account = AccountId::from_bytes(*agreement::binding_id(&unengaged).as_bytes());
    own.id = BalanceId::from_bytes([86; 32]);
    pair.ledger.balances.insert(own.id, own.clone());
    let said = frame(dispute(&pair, &unengaged, &seller, own.id), &seller);
    hand(&mut pair, "one that it isn't engaged for", said);
    let deadline = agreement.body().terms.arbitrated().unwrap().dispute_by();
    let said = Dispute { at: deadline, ..dispute(&pair, &agreement, &seller, balance) };
    hand(&mut pair, "one that says itself that it is late", frame(said, &seller));
    // What the parties' own nodes say doesn't arrive.
    pair.lose.extend([(PROVIDER, Kind::Dispute), (CONSUMER, Kind::Dispute)]);
    let grace = pair.nodes[ARBITER].setup.margins.grace;
    run_to(&mut pair, "dispute_by", 0);
    pair.run(grace.as_secs() - 1);
    let said = Dispute { at: deadline.minus(grace), ..dispute(&pair, &agreement, &seller, balance) };
    let in_time = frame(said, &seller);
    let just_in_time = pair.now;
    pair.run(1);
    hand(&mut pair, "one that comes late, whatever it says", in_time.clone());
    assert_eq!(taken, Vec::<&str>::new());
    pair.now = just_in_time;
    tell(&mut pair, PROVIDER, in_time);
    assert_eq!(cases(&pair), 1, "all of that is right");
}

#[test]
fn made_up_balances_keep_no_case_out_and_take_up_no_place() {
    let (mut pair, _) = bound(1, false, GONE);
    let (seller, binding) = (serving(&pair, PROVIDER), pair.only(CONSUMER).binding().unwrap());
    let agreement = pair.only(PROVIDER).agreement.clone().unwrap();
    let balance = pair.only(PROVIDER).state.balance.unwrap();
    let said = frame(dispute(&pair, &agreement, &seller, balance), &seller);
    let peer = pair.nodes[PROVIDER].setup.peer.clone();
    drop(pair.step(ARBITER, Event::Direct { token: Token(1), peer, bytes: said }));
    // The buyer names a balance that isn't there, and a stranger makes up binding after binding.
    let consumer = pair.nodes[CONSUMER].market.own_key(pair.only(CONSUMER)).unwrap();
    let lie = frame(dispute(&pair, &agreement, &consumer, BalanceId::from_bytes([9; 32])), &consumer);
    let from = pair.nodes[CONSUMER].setup.peer.clone();
    drop(pair.step(ARBITER, Event::Direct { token: Token(2), peer: from.clone(), bytes: lie }));
    pair.now = pair.now.plus(core::time::Duration::from_secs(1));
    for n in 0..300 {
        let made_up = agreed(&pair, &key(n), |_| {});
        let bytes = frame(dispute(&pair, &made_up, &key(n), BalanceId::from_bytes([9; 32])), &key(n));
        drop(pair.step(ARBITER, Event::Direct { token: Token(3), peer: from.clone(), bytes }));
    }
    let market = &pair.nodes[ARBITER].market;
    assert!(market.looking.len() < 300, "bounded");
    assert!(market.has_place_for(ServingKey::of(&seller), pair.now).is_ok());
    let asked = vec![Key::Balance(balance)];
    let (at, entries) = (pair.ledger.point(), pair.ledger.read(&asked));
    pair.event(ARBITER, Event::Entries { ask: Ask::Case(binding, Side::Provider), at, asked, entries });
    assert_eq!(cases(&pair), 1);
}

#[test]
fn where_both_sides_ask_at_once_the_second_answer_of_the_ledger_undoes_nothing() {
    let (mut pair, _) = bound(1, false, GONE);
    let agreement = pair.only(PROVIDER).agreement.clone().unwrap();
    let (binding, balance) = (agreement::binding_id(&agreement), pair.only(PROVIDER).state.balance.unwrap());
    let asked = vec![Key::Balance(balance)];
    for node in [PROVIDER, CONSUMER] {
        let by = pair.nodes[node].market.own_key(pair.only(node)).unwrap();
        let (bytes, peer) = (frame(dispute(&pair, &agreement, &by, balance), &by), pair.nodes[node].setup.peer.clone());
        drop(pair.step(ARBITER, Event::Direct { token: Token(1), peer, bytes }));
    }
    for side in [Side::Provider, Side::Consumer] {
        let (at, entries) = (pair.ledger.point(), pair.ledger.read(&asked));
        pair.event(ARBITER, Event::Entries { ask: Ask::Case(binding, side), at, asked: asked.clone(), entries });
        if side == Side::Provider {
            pair.lose.push((PROVIDER, Kind::Cosign));
            award(&mut pair, ARBITER, 10);
        }
    }
    let case = pair.nodes[ARBITER].market.case(&binding).expect("the case");
    assert!(case.award().is_some() && case.opened_by() == Side::Provider);
    assert!(case.claim(Side::Consumer).is_some());
}

/// A case that the arbiter has, to be copied.
fn a_case() -> (Pair, Case) {
    let (mut pair, _) = bound(1, false, GONE);
    run_to(&mut pair, "dispute_by", 2);
    let case = pair.nodes[ARBITER].market.cases().next().expect("a case").clone();
    (pair, case)
}

#[test]
fn one_seller_or_one_buyer_takes_up_a_part_of_an_arbiters_places() {
    let (mut pair, case) = a_case();
    let seller = serving(&pair, PROVIDER);
    let [known, other] = [PROVIDER, ARBITER].map(|node| ServingKey::of(&serving(&pair, node)));
    pair.nodes[ARBITER].market.setup.policy.max_cases = 16;
    let add = |pair: &mut Pair, seller: &SigningKey, n: u8, buyer: u8| {
        let agreement = agreed(pair, seller, |terms| {
            terms.request = MessageId::from_bytes([n; 32]);
            terms.consumer = AccountId::from_bytes([buyer; 32]);
        });
        let id = agreement::binding_id(&agreement);
        pair.nodes[ARBITER].market.cases.insert(id, case.about(agreement));
    };
    let place = |pair: &Pair, key: ServingKey| pair.nodes[ARBITER].market.has_place_for(key, pair.now);
    for n in 0..20 {
        add(&mut pair, &seller, n, 1);
    }
    assert_eq!(
        (place(&pair, known), place(&pair, other)),
        (Ok(()), Ok(())),
        "one buyer's are one of the seller's four"
    );
    for n in 20..40 {
        add(&mut pair, &seller, n, n);
    }
    assert!(place(&pair, known).is_err_and(|why| why.contains("of this provider")));
    let unknown = ServingKey::of(&key(0));
    assert_eq!((place(&pair, other), place(&pair, unknown)), (Ok(()), Ok(())));
    for n in 40..80 {
        add(&mut pair, &key(u32::from(n)), n, n);
    }
    assert!(place(&pair, unknown).is_err(), "sellers without an offering are one");
    assert_eq!(place(&pair, other), Ok(()), "eight of sixteen places are left to others");
    pair.nodes[ARBITER].market.setup.policy.max_cases = 1;
    assert!(place(&pair, other).is_err_and(|why| why.contains("as it wants")));
}

/// A second binding, of so many units.
fn bind(pair: &mut Pair, offering: MessageId, units: u64) -> MessageId {
    let known: Vec<MessageId> = pair.nodes[CONSUMER].market.trades().map(|t| t.request_id()).collect();
    let wish = EscrowWish { kind: Some(EscrowKind::Arbitrated), pay_unless_disputed: false };
    pair.command(CONSUMER, Command::Bind { offering, units, wish, dry_run: false });
    pair.run(3);
    let new = pair.nodes[CONSUMER].market.trades().map(|t| t.request_id()).find(|id| !known.contains(id));
    new.expect("a binding")
}

fn open(pair: &mut Pair, request: MessageId) {
    pair.command(CONSUMER, Command::OpenDispute { request, to_provider: None, text: String::new() });
}

#[test]
fn where_there_is_no_room_what_holds_no_money_gives_way_and_else_the_least_to_more() {
    let (mut pair, offering) = market(1);
    trust(&mut pair, &[ARBITER], 1);
    let small = bind(&mut pair, offering, 5);
    open(&mut pair, small);
    pair.run(2);
    let case = pair.nodes[ARBITER].market.cases().next().expect("a case").clone();
    let most = 4 * MAX_CASES;
    for n in 1..most {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        pair.nodes[ARBITER].market.cases.insert(BindingId::from_bytes(id), case.clone());
    }
    let large = bind(&mut pair, offering, 10);
    open(&mut pair, large);
    let has = |pair: &Pair, request: MessageId| {
        let binding = pair.trade(CONSUMER, request).binding().unwrap();
        pair.nodes[ARBITER].market.case(&binding).is_some()
    };
    assert!(has(&pair, large));
    assert_eq!(cases(&pair), most);
    let late = bind(&mut pair, offering, 5);
    open(&mut pair, late);
    assert!(!has(&pair, late), "as much as what is there isn't more");
    pair.run(1);
    let asked = case.balances().map(Key::Balance).collect();
    let at = pair.ledger.point();
    pair.event(ARBITER, Event::Entries { ask: Ask::Cases, at, asked, entries: Vec::new() });
    pair.run(4);
    assert!(has(&pair, late) && has(&pair, large));
    assert_eq!(cases(&pair), most);
}

#[test]
fn a_case_whose_escrow_was_taken_takes_up_no_place() {
    let (mut pair, request) = bound(1, false, GONE);
    open(&mut pair, request);
    assert_eq!(pair.nodes[ARBITER].market.open_cases(pair.now), 1);
    for node in [PROVIDER, CONSUMER] {
        pair.command(node, Command::Release { request, to_provider: Some(Stroops::whole(5)) });
    }
    pair.run(36);
    assert!(pair.trade(PROVIDER, request).has_left());
    let case = pair.nodes[ARBITER].market.cases().next().expect("a case");
    assert!(!case.is_over(pair.now), "T hasn't passed");
    assert_eq!(pair.nodes[ARBITER].market.open_cases(pair.now), 0);
}

/// Replaces what the arbiter has by an older backup of it.
fn restored(pair: &mut Pair, backup: super::pair::Rows) {
    pair.kill(ARBITER);
    pair.set_rows(ARBITER, backup);
    pair.restart(ARBITER);
    assert_eq!(cases(pair), 0);
}

#[test]
fn an_arbiter_that_was_restored_gets_the_case_and_all_evidence_again_also_after_dispute_by() {
    let (mut pair, _) = bound(1, false, GONE);
    let backup = pair.rows(ARBITER);
    run_to(&mut pair, "dispute_by", 2);
    assert_eq!(shown(&pair), [1, 1]);
    restored(&mut pair, backup);
    run_to(&mut pair, "dispute_by", 0);
    pair.run(pair.nodes[ARBITER].setup.margins.grace.as_secs() - 1);
    assert_eq!(cases(&pair), 0, "they don't ask all the time");
    run_to(&mut pair, "award_by", 2);
    assert_eq!(shown(&pair), [1, 1]);
    award(&mut pair, ARBITER, 10);
    pair.run(4);
    assert!(pair.only(PROVIDER).has_left(), "{}", pair.only(PROVIDER).phase());
}

#[test]
fn whoever_did_not_open_a_dispute_brings_it_to_a_restored_arbiter_all_the_same() {
    let (mut pair, _) = bound(1, false, GONE);
    let backup = pair.rows(ARBITER);
    run_to(&mut pair, "dispute_by", 2);
    restored(&mut pair, backup);
    pair.lose.extend([(PROVIDER, Kind::Evidence), (PROVIDER, Kind::Dispute)]);
    run_to(&mut pair, "award_by", 5);
    let case = pair.nodes[ARBITER].market.cases().next().expect("a case");
    assert_eq!((case.opened_by(), shown(&pair)), (Side::Consumer, [0, 1]));
    pair.lose.clear();
    for node in [PROVIDER, CONSUMER] {
        pair.kill(node);
        pair.restart(node);
    }
    pair.run(3);
    assert_eq!(shown(&pair), [1, 1], "the other side's is taken, too");
}

#[test]
fn an_arbiter_that_lost_what_it_awarded_has_the_case_again_and_can_award_it_again() {
    let (mut pair, request) = bound(1, false, GONE);
    let backup = pair.rows(ARBITER);
    run_to(&mut pair, "dispute_by", 2);
    pair.lose.push((PROVIDER, Kind::Cosign));
    award(&mut pair, ARBITER, 10);
    pair.run(1);
    restored(&mut pair, backup);
    pair.lose.clear();
    run_to(&mut pair, "award_by", 0);
    assert_eq!(cases(&pair), 1);
    award(&mut pair, ARBITER, 10);
    run_to(&mut pair, "T", 1);
    assert!(pair.trade(PROVIDER, request).has_left());
}

#[test]
fn a_late_dispute_is_taken_of_whoever_shows_the_arbiters_own_acknowledgement_alone() {
    let (mut pair, _) = bound(1, false, GONE);
    pair.lose.extend([(PROVIDER, Kind::Dispute), (CONSUMER, Kind::Dispute)]);
    let (seller, arbiter) = (serving(&pair, PROVIDER), serving(&pair, ARBITER));
    let agreement = pair.only(PROVIDER).agreement.clone().unwrap();
    let (balance, binding) = (pair.only(PROVIDER).state.balance.unwrap(), agreement::binding_id(&agreement));
    let at = pair.now.timestamp();
    run_to(&mut pair, "award_by", 1);
    let step = Kind::Evidence.number();
    let receipt = |binding: BindingId, by: &SigningKey| {
        let ack = Ack { key: ServingKey::of(by), binding, step };
        Some(Receipt { step, signature: Signed::sign(ack, &net(), by).unwrap().packed().signature() })
    };
    let forged = Some(Receipt { step, signature: [7; 64] });
    let foreign = receipt(BindingId::from_bytes([7; 32]), &arbiter);
    let stale = |receipt| Dispute { at, receipt, ..dispute(&pair, &agreement, &seller, balance) };
    let refused = [None, forged, foreign, receipt(binding, &seller)].map(stale);
    let taken = stale(receipt(binding, &arbiter));
    for said in refused {
        tell(&mut pair, PROVIDER, frame(said, &seller));
        assert_eq!(cases(&pair), 0);
    }
    tell(&mut pair, PROVIDER, frame(taken, &seller));
    assert_eq!(cases(&pair), 1);
}

#[test]
fn a_case_that_an_arbiter_heard_nothing_of_until_dispute_by_is_the_timeouts() {
    let (mut pair, _) = bound(3, false, GONE);
    run_to(&mut pair, "dispute_by", 5);
    let away = [ARBITER, ARBITER + 1];
    away.into_iter().for_each(|arbiter| pair.kill(arbiter));
    run_to(&mut pair, "dispute_by", 0);
    pair.run(pair.nodes[ARBITER].setup.margins.grace.as_secs());
    away.into_iter().for_each(|arbiter| pair.restart(arbiter));
    run_to(&mut pair, "award_by", 1);
    let has = |arbiter: usize| pair.nodes[arbiter].market.cases().count();
    assert_eq!([ARBITER, ARBITER + 1, ARBITER + 2].map(has), [0, 0, 1]);
    award(&mut pair, ARBITER + 2, 10);
    run_to(&mut pair, "T", 0);
    assert_eq!(pair.only(PROVIDER).escrow(), &EscrowState::Locked, "one of three is no majority");
    assert_eq!(pair.only(CONSUMER).terms().unwrap().timeout_beneficiary(), account(&pair, CONSUMER));
}

#[test]
fn an_arbiters_signature_under_something_else_is_told() {
    let (mut pair, request) = bound(1, false, GONE);
    run_to(&mut pair, "dispute_by", 2);
    pair.lose.push((PROVIDER, Kind::Cosign));
    award(&mut pair, ARBITER, 10);
    let asked = (0..20).find_map(|_| {
        pair.now = pair.now.plus(core::time::Duration::from_secs(1));
        let (_, effects) = pair.step(PROVIDER, Event::Tick).into_parts();
        effects.into_iter().find_map(|effect| match effect {
            Effect::Send { call: call @ Call::Cosign { .. }, bytes, .. } => Some((call, bytes)),
            _ => None,
        })
    });
    let (call, bytes) = asked.expect("a settlement to be signed");
    let arbiter = serving(&pair, ARBITER);
    let cosign = from_stream(&net(), &bytes).unwrap().open::<Cosign>(&net()).unwrap().into_body();
    let Cosign { binding, account: submitter, sequence, .. } = cosign;
    let (key, signature) = (ServingKey::of(&arbiter), [7; 64]);
    let cosigned = Cosigned { key, binding, account: submitter, sequence, signature };
    pair.event(PROVIDER, Event::Answered { call, result: Ok(frame(cosigned, &arbiter)) });
    let (said, who) = (note(&pair, PROVIDER, request), account(&pair, ARBITER).to_string());
    assert!(said.contains(&who) && said.contains("something else"), "{said}");
}
