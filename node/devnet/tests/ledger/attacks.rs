//! Attacks that the ledger alone decides, each with the outcome that the
//! designs for channels and escrow count on.

use stellar_xdr::TransactionResultResult as Code;
use stellar_xdr::*;
use tradepost_devnet::Admission;

use crate::world::*;

fn payment(code: PaymentResult) -> OperationResult {
    OperationResult::OpInner(OperationResultTr::Payment(code))
}

/// A channel's account: of its funder and its receiver, who only act together.
fn channel(world: &mut World, funder: &Key, receiver: &Key, low: u32) -> Key {
    let key = world.account("channel", 10 * XLM);
    world.must(&key, add_signer(funder.signer(), 1));
    world.must(&key, add_signer(receiver.signer(), 1));
    world.must(
        &key,
        options(|o| {
            (o.master_weight, o.low_threshold, o.med_threshold, o.high_threshold) =
                (Some(0), Some(low), Some(2), Some(2));
        }),
    );
    key
}

fn parties() -> (World, Key, Key) {
    let mut world = World::new();
    let funder = world.account("funder", 100 * XLM);
    let receiver = world.account("receiver", 100 * XLM);
    (world, funder, receiver)
}

/// F3: an unlock that can fail burns its pre-authorisation when it does, and
/// the money stays locked up.
#[test]
fn an_unlock_that_fails_burns_its_signer_and_locks_the_money_up() {
    let (mut world, funder, receiver) = parties();
    let channel = world.account("channel", 10 * XLM);
    let payout = world.next(&channel).op(pay(&Key::of("not yet there"), Asset::Native, XLM));
    // Adding both signers and the thresholds uses four sequence numbers.
    let mut payout = payout.fee(0);
    payout.tx.seq_num.0 += 4;
    let unlock = SignerKey::PreAuthTx(Uint256(payout.hash(&world)));
    world.must(&channel, add_signer(funder.signer(), 1));
    world.must(&channel, add_signer(receiver.signer(), 1));
    world.must(&channel, add_signer(unlock.clone(), 2));
    world.must(&channel, thresholds(0, 2));

    let envelope = payout.sign(&world, &[]);
    let wrapped = bump(&world, &receiver, 400, &envelope, &[&receiver]);
    let outcome = world.run_envelope(&wrapped);
    assert!(matches!(outcome, Outcome::Included(Code::TxFeeBumpInnerFailed(_))), "{outcome:?}");
    let entry = world.entry(&channel).unwrap();
    assert!(entry.signers.iter().all(|signer| signer.key != unlock));
    // The funder alone can do nothing with it any more.
    let alone = world.next(&channel).op(pay(&funder, Asset::Native, XLM));
    assert_eq!(world.run(alone, &[&funder]), Outcome::Refused(Code::TxBadAuth));
}

/// F5: a sponsor alone pushes its reserves onto the channel, which then has
/// too little for the voucher; the voucher's sequence number is gone with it.
#[test]
fn a_sponsor_that_revokes_makes_a_voucher_fail_and_burns_its_sequence() {
    let (mut world, funder, receiver) = parties();
    let channel = Key::of("channel");
    let tx = world
        .next(&funder)
        .op(begin(&channel))
        .op(create_account(&channel, 3 * XLM))
        .op_by(&channel, add_signer(funder.signer(), 1))
        .op_by(&channel, add_signer(receiver.signer(), 1))
        .op_by(&channel, thresholds(0, 2))
        .op_by(&channel, end());
    assert!(world.run(tx, &[&funder, &channel]).succeeded());
    assert_eq!(world.counters(&channel), (2, 4, 0));

    let voucher = world.next(&channel).op(pay(&receiver, Asset::Native, 3 * XLM)).fee(0);
    let envelope = voucher.sign(&world, &[&funder, &receiver]);
    for body in [
        revoke(account_key(&channel)),
        revoke_signer(&channel, funder.signer()),
        revoke_signer(&channel, receiver.signer()),
    ] {
        world.must(&funder, body);
    }
    assert_eq!(world.counters(&channel), (2, 0, 0));
    let before = (world.balance(&channel), world.sequence(&channel));
    let wrapped = bump(&world, &receiver, 400, &envelope, &[&receiver]);
    let Outcome::Included(Code::TxFeeBumpInnerFailed(pair)) = world.run_envelope(&wrapped) else {
        panic!("the voucher was paid");
    };
    let InnerTransactionResultResult::TxFailed(results) = pair.result.result else {
        panic!("not for its operation: {pair:?}");
    };
    assert_eq!(results.to_vec(), [payment(PaymentResult::Underfunded)]);
    assert_eq!((world.balance(&channel), world.sequence(&channel)), (before.0, before.1 + 1));
    // The voucher is worth nothing now.
    let again = bump(&world, &receiver, 4_000, &envelope, &[&receiver]);
    assert!(matches!(world.run_envelope(&again), Outcome::Refused(Code::TxFeeBumpInnerFailed(_))));
    // What a receiver counts with, ignoring sponsorship, it would have got.
    let safe = 3 * XLM - 4 * RESERVE;
    let voucher = world.next(&channel).op(pay(&receiver, Asset::Native, safe)).fee(0);
    let envelope = voucher.sign(&world, &[&funder, &receiver]);
    let wrapped = bump(&world, &receiver, 400, &envelope, &[&receiver]);
    assert!(matches!(world.run_envelope(&wrapped), Outcome::Included(Code::TxFeeBumpInnerSuccess(_))));
}

/// F10: BumpSequence is a low operation, so a low threshold of one lets one
/// party jump past every voucher; with two it can't.
#[test]
fn a_low_threshold_of_one_lets_one_party_kill_every_voucher() {
    for (low, killed) in [(1, true), (2, false)] {
        let (mut world, funder, receiver) = parties();
        let channel = channel(&mut world, &funder, &receiver, low);
        let voucher = world.next(&channel).op(pay(&receiver, Asset::Native, XLM));
        let envelope = voucher.sign(&world, &[&funder, &receiver]);
        let far = world.sequence(&channel) + 1_000;
        let jump = world.next(&funder).op_by(&channel, bump_to(far));
        assert_eq!(world.run(jump, &[&funder]).succeeded(), killed);
        let outcome = world.run_envelope(&envelope);
        assert_eq!(outcome.clone() == Outcome::Refused(Code::TxBadSeq), killed, "{outcome:?}");
        assert_eq!(outcome.succeeded(), !killed, "{outcome:?}");
    }
}

/// One signature more than is needed makes a voucher worthless, so sets are
/// trimmed before they are sent.
#[test]
fn one_signature_too_many_is_refused_and_costs_nothing() {
    let (mut world, funder, receiver) = parties();
    let channel = channel(&mut world, &funder, &receiver, 2);
    let before = (world.balance(&channel), world.sequence(&channel));
    let voucher = world.next(&channel).op(pay(&receiver, Asset::Native, XLM));
    let outcome = world.run(voucher.clone(), &[&funder, &receiver, &channel]);
    assert_eq!(outcome, Outcome::Refused(Code::TxBadAuthExtra));
    assert_eq!((world.balance(&channel), world.sequence(&channel)), before);
    assert!(world.run(voucher, &[&funder, &receiver]).succeeded());
}

#[test]
fn a_refund_is_too_early_until_t_and_a_settlement_too_late_after_it() {
    let (mut world, funder, receiver) = parties();
    let channel = channel(&mut world, &funder, &receiver, 2);
    let deadline = world.ledger.close_time() + 100;
    let before = (world.balance(&channel), world.sequence(&channel));
    let refund = world.next(&channel).op(pay(&funder, Asset::Native, XLM)).times(deadline, 0);
    let settlement = world.next(&channel).op(pay(&receiver, Asset::Native, XLM)).times(0, deadline);
    let keys = [&funder, &receiver];
    assert_eq!(world.run(refund.clone(), &keys), Outcome::Refused(Code::TxTooEarly));
    world.close_at(deadline - 1);
    assert_eq!(world.run(refund.clone(), &keys), Outcome::Refused(Code::TxTooEarly));
    // That attempt closed no ledger: one that closes past T drops it unpaid.
    let envelope = settlement.sign(&world, &keys);
    assert_eq!(world.submit(&envelope), Admission::Pending);
    assert!(world.close_at(deadline + 1).transactions.is_empty());
    assert_eq!((world.balance(&channel), world.sequence(&channel)), before);
    let late = world.next(&channel).op(pay(&receiver, Asset::Native, XLM)).times(0, deadline);
    world.close();
    assert_eq!(world.run(late.memo(1), &keys), Outcome::Refused(Code::TxTooLate));
    assert!(world.run(refund, &keys).succeeded());
}

/// A voucher with a leg that the funder can break burns the sequence number,
/// and with it every other voucher of that number.
#[test]
fn a_failed_transaction_uses_up_its_sequence_and_every_voucher_of_it() {
    let (mut world, funder, receiver) = parties();
    let channel = channel(&mut world, &funder, &receiver, 2);
    let usd = receiver.asset("USD");
    let keys = [&funder, &receiver];
    let poisoned = world
        .next(&channel)
        .op(pay(&receiver, Asset::Native, XLM))
        .op_by(&receiver, pay(&funder, usd, 1))
        .sign(&world, &keys);
    let good = world.next(&channel).op(pay(&receiver, Asset::Native, XLM)).sign(&world, &keys);
    let before = (world.balance(&channel), world.sequence(&channel));
    let results = world.run_envelope(&poisoned).operations();
    assert_eq!(results, [payment(PaymentResult::Success), payment(PaymentResult::NoTrust)]);
    assert_eq!((world.balance(&channel), world.sequence(&channel)), (before.0 - 200, before.1 + 1));
    assert_eq!(world.run_envelope(&good), Outcome::Refused(Code::TxBadSeq));
}
