//! The shapes that trades put on the ledger, from end to end: what their
//! design counts on is what this ledger does.

use stellar_xdr::TransactionResultResult as Code;
use stellar_xdr::*;

use crate::world::*;

const NEVER: fn() -> ClaimPredicate = || not(ClaimPredicate::Unconditional);

/// An escrow with a controller made in the funding transaction: parties sign
/// with weight 1 each of 2, and an UNLOCK from T on gives the funder its
/// reserve back.
struct Escrow {
    world: World,
    funder: Key,
    recipient: Key,
    controller: Key,
    id: ClaimableBalanceId,
    t: u64,
    unlock: Tx,
}

fn fund() -> Escrow {
    let mut world = World::new();
    let funder = world.account("funder", 1_000 * XLM);
    let recipient = world.account("recipient", 100 * XLM);
    let controller = Key::of("controller");
    let t = world.ledger.close_time() + 3_600;
    let last = world.ledger.sequence() + 3;
    let x = i64::from(last) << 32;
    let unlock = Tx::new(&controller, x + 1).op(options(|o| o.master_weight = Some(2))).fee(0).times(t, 0);
    let pre_auth = SignerKey::PreAuthTx(Uint256(unlock.hash(&world)));
    let claimants = vec![
        claimant(&controller, before(t)),
        claimant(&funder, not(before(t))),
        claimant(&Key::of("binding"), NEVER()),
    ];
    let fund = world
        .next(&funder)
        .op(create_balance(Asset::Native, 20 * XLM, claimants))
        .op(create_account(&controller, 5 * RESERVE))
        .op_by(&controller, bump_to(x))
        .op_by(&controller, add_signer(funder.signer(), 1))
        .op_by(&controller, add_signer(recipient.signer(), 1))
        .op_by(
            &controller,
            options(|o| {
                o.signer = Some(Signer { key: pre_auth, weight: 2 });
                o.master_weight = Some(0);
                o.low_threshold = Some(2);
                o.med_threshold = Some(2);
                o.high_threshold = Some(2);
            }),
        )
        .v2(|v2| {
            v2.ledger_bounds = Some(LedgerBounds { min_ledger: 0, max_ledger: last });
        });
    let id = balance_id(&funder, fund.tx.seq_num.0, 0);
    let outcome = world.run(fund, &[&funder, &controller]);
    assert!(outcome.succeeded(), "{outcome:?}");
    assert_eq!(world.sequence(&controller), x);
    Escrow { world, funder, recipient, controller, id, t, unlock }
}

#[test]
fn one_transaction_makes_the_controller_and_funds_the_escrow() {
    let escrow = fund();
    let controller = escrow.world.entry(&escrow.controller).unwrap();
    assert_eq!(controller.thresholds.0, [0, 2, 2, 2]);
    assert_eq!((controller.num_sub_entries, controller.signers.len()), (3, 3));
    assert_eq!(controller.balance, 5 * RESERVE);
    let spent = 20 * XLM + 5 * RESERVE + 600;
    assert_eq!(escrow.world.balance(&escrow.funder), 1_000 * XLM - spent);
}

#[test]
fn both_parties_settle_before_t_and_neither_can_alone() {
    let mut escrow = fund();
    let (recipient, funder) = (escrow.recipient.clone(), escrow.funder.clone());
    let settle = |world: &World, escrow: &Escrow| {
        world
            .next(&escrow.recipient)
            .op_by(&escrow.controller, claim(&escrow.id))
            .op_by(&escrow.controller, pay(&escrow.recipient, Asset::Native, 20 * XLM))
    };
    let tx = settle(&escrow.world, &escrow);
    let alone = escrow.world.run(tx.clone(), &[&recipient]);
    assert_eq!(alone.operations()[0], OperationResult::OpBadAuth);
    assert!(escrow.world.run(tx, &[&recipient, &funder]).succeeded());
    assert_eq!(escrow.world.balance(&recipient), 120 * XLM - 200);
}

#[test]
fn from_t_on_the_funder_takes_money_and_every_reserve_back_alone() {
    let mut escrow = fund();
    let funder = escrow.funder.clone();
    let unlock = escrow.unlock.sign(&escrow.world, &[]);
    let early = bump(&escrow.world, &funder, 200, &unlock, &[&funder]);
    let Outcome::Refused(Code::TxFeeBumpInnerFailed(pair)) = escrow.world.run_envelope(&early) else {
        panic!("admitted before T");
    };
    assert_eq!(pair.result.result, InnerTransactionResultResult::TxTooEarly);
    assert_eq!(
        escrow.world.one(&funder, claim(&escrow.id)),
        OperationResult::OpInner(OperationResultTr::ClaimClaimableBalance(ClaimClaimableBalanceResult::CannotClaim))
    );

    escrow.world.close_at(escrow.t);
    escrow.world.must(&funder, claim(&escrow.id));
    let outcome = escrow.world.run_envelope(&early);
    assert!(matches!(outcome, Outcome::Included(Code::TxFeeBumpInnerSuccess(_))), "{outcome:?}");
    let controller = escrow.world.entry(&escrow.controller).unwrap();
    assert_eq!(controller.thresholds.0, [2, 2, 2, 2]);
    assert_eq!(controller.signers.len(), 2);
    // Until its own creation's bump lies behind, it can't be merged.
    while i64::from(escrow.world.ledger.sequence() + 1) << 32 <= escrow.world.sequence(&escrow.controller) {
        escrow.world.close();
    }
    let tx = escrow.world.next(&funder).op_by(&escrow.controller, merge(&funder));
    assert!(escrow.world.run(tx, &[&funder, &escrow.controller]).succeeded());
    assert!(escrow.world.entry(&escrow.controller).is_none());
    // Fees: fund 600, the failed claim 100, the claim 100, UNLOCK 200, merge 100.
    assert_eq!(escrow.world.balance(&funder), 1_000 * XLM - 1_100);
}

#[test]
fn a_timed_escrow_pays_before_t_or_refunds_from_t_on() {
    let mut world = World::new();
    let consumer = world.account("consumer", 100 * XLM);
    let recipient = world.account("recipient", 100 * XLM);
    let t = world.ledger.close_time() + 60;
    let hash = Key::of("binding");
    let claimants =
        || vec![claimant(&recipient, before(t)), claimant(&consumer, not(before(t))), claimant(&hash, NEVER())];
    let paid = balance_id(&consumer, world.sequence(&consumer) + 1, 0);
    world.must(&consumer, create_balance(Asset::Native, 20 * XLM, claimants()));
    let refunded = balance_id(&consumer, world.sequence(&consumer) + 1, 0);
    world.must(&consumer, create_balance(Asset::Native, 30 * XLM, claimants()));
    world.must(&recipient, claim(&paid));
    world.close_at(t);
    world.must(&consumer, claim(&refunded));
    assert_eq!(world.balance(&consumer), 80 * XLM - 300);
    assert_eq!(world.balance(&recipient), 120 * XLM - 100);
}

#[test]
fn a_channels_voucher_is_claimed_and_its_far_unlock_survives() {
    let mut world = World::new();
    let funder = world.account("funder", 1_000 * XLM);
    let recipient = world.account("recipient", 100 * XLM);
    let channel = Key::of("channel");
    let t = world.ledger.close_time() + 3_600;
    let last = world.ledger.sequence() + 3;
    let x = i64::from(last) << 32;
    let unlock = Tx::new(&channel, x + (1 << 31))
        .op(add_signer(funder.signer(), 2))
        .fee(0)
        .times(t, 0)
        .v2(|v2| v2.min_seq_num = Some(SequenceNumber(0)));
    let pre_auth = SignerKey::PreAuthTx(Uint256(unlock.hash(&world)));
    let open = world
        .next(&funder)
        .op(create_account(&channel, 42 * XLM + 5 * RESERVE))
        .op_by(&channel, bump_to(x))
        .op_by(&channel, add_signer(funder.signer(), 1))
        .op_by(&channel, add_signer(recipient.signer(), 1))
        .op_by(&channel, add_signer(pre_auth, 2))
        .op_by(&channel, thresholds(0, 2));
    assert!(world.run(open, &[&funder, &channel]).succeeded());

    for (n, amount) in [(1, 5 * XLM), (2, 7 * XLM)] {
        let voucher = Tx::new(&channel, x + n).op(pay(&recipient, Asset::Native, amount)).fee(0);
        let voucher = voucher.sign(&world, &[&funder, &recipient]);
        let claim = bump(&world, &recipient, 200, &voucher, &[&recipient]);
        let outcome = world.run_envelope(&claim);
        assert!(matches!(outcome, Outcome::Included(Code::TxFeeBumpInnerSuccess(_))));
    }
    assert_eq!(world.balance(&recipient), 112 * XLM - 400);
    assert_eq!(world.balance(&channel), 30 * XLM + 5 * RESERVE);

    world.close_at(t);
    let unlock = bump(&world, &funder, 200, &unlock.sign(&world, &[]), &[&funder]);
    let outcome = world.run_envelope(&unlock);
    assert!(matches!(outcome, Outcome::Included(Code::TxFeeBumpInnerSuccess(_))), "{outcome:?}");
    let tx = world.next(&funder).op_by(&channel, merge(&funder));
    assert!(world.run(tx, &[&funder]).succeeded());
    assert_eq!(world.balance(&funder), 988 * XLM - 600 - 200 - 100);
}
