//! Every result of the operations but SetOptions and the claimable balances.

use stellar_xdr::*;

use crate::world::*;

fn of(result: OperationResultTr) -> OperationResult {
    OperationResult::OpInner(result)
}

#[test]
fn create_account_reports_the_first_of_exists_reserve_and_funds() {
    use CreateAccountResult as R;
    let mut world = World::new();
    let poor = world.account("poor", 3 * XLM);
    let there = world.account("there", 5 * XLM);
    let new = Key::of("new");
    let cases = [
        (&new, -1, R::Malformed),
        (&poor, XLM, R::Malformed),
        (&there, 0, R::AlreadyExist),
        (&new, 0, R::LowReserve),
        (&new, 2 * RESERVE - 1, R::LowReserve),
        (&new, 100 * XLM, R::Underfunded),
    ];
    for (destination, balance, expected) in cases {
        let result = world.one(&poor, create_account(destination, balance));
        assert_eq!(result, of(OperationResultTr::CreateAccount(expected)));
        assert!(world.entry(&new).is_none());
    }
    world.must(&poor, create_account(&new, 2 * RESERVE));
    let made = world.entry(&new).unwrap();
    assert_eq!(made.balance, 2 * RESERVE);
    assert_eq!(made.seq_num.0, i64::from(world.ledger.sequence()) << 32);
    assert_eq!(made.thresholds, Thresholds([1, 0, 0, 0]));
}

#[test]
fn a_payment_reports_the_destination_before_the_source() {
    use PaymentResult as R;
    let mut world = World::new();
    let issuer = world.account("issuer", 100 * XLM);
    let payer = world.account("payer", 100 * XLM);
    let payee = world.account("payee", 100 * XLM);
    let absent = Key::of("absent");
    let usd = issuer.asset("USD");
    let bad = issuer.asset("U D");
    let native = Asset::Native;

    let expect = |world: &mut World, to: &Key, asset: &Asset, amount, code: R| {
        let result = world.one(&payer, pay(to, asset.clone(), amount));
        assert_eq!(result, of(OperationResultTr::Payment(code)));
    };
    expect(&mut world, &payee, &native, 0, R::Malformed);
    expect(&mut world, &payee, &native, -5, R::Malformed);
    expect(&mut world, &payee, &bad, 1, R::Malformed);
    expect(&mut world, &absent, &native, 1, R::NoDestination);
    expect(&mut world, &absent, &usd, 1, R::NoDestination);
    expect(&mut world, &payee, &native, 1_000 * XLM, R::Underfunded);
    // Neither has a trustline: the payee's is missed first.
    expect(&mut world, &payee, &usd, 1, R::NoTrust);
    world.must(&payee, trust(&usd, 10));
    expect(&mut world, &payee, &usd, 1, R::SrcNoTrust);
    // Over the payee's limit, though the payer has nothing either.
    expect(&mut world, &payee, &usd, 11, R::LineFull);
    world.must(&payer, trust(&usd, 10));
    expect(&mut world, &payee, &usd, 5, R::Underfunded);
    world.must(&issuer, pay(&payer, usd.clone(), 7));
    expect(&mut world, &payee, &usd, 5, R::Success);
    assert_eq!(world.trustline(&payer, &usd).unwrap().balance, 2);
    assert_eq!(world.trustline(&payee, &usd).unwrap().balance, 5);
    world.must(&payer, pay(&issuer, usd.clone(), 2));
    assert_eq!(world.trustline(&payer, &usd).unwrap().balance, 0);
}

#[test]
fn a_trustline_that_is_not_authorized_neither_pays_nor_is_paid() {
    let mut world = World::new();
    let issuer = world.account("issuer", 100 * XLM);
    let holder = world.account("holder", 100 * XLM);
    let usd = issuer.asset("USD");
    world.must(&issuer, options(|o| o.set_flags = Some(AccountFlags::RequiredFlag as u32)));
    world.must(&holder, trust(&usd, 10));
    assert_eq!(world.trustline(&holder, &usd).unwrap().flags, 0);
    assert_eq!(
        world.one(&issuer, pay(&holder, usd.clone(), 1)),
        of(OperationResultTr::Payment(PaymentResult::NotAuthorized))
    );
    assert_eq!(
        world.one(&holder, pay(&issuer, usd, 1)),
        of(OperationResultTr::Payment(PaymentResult::SrcNotAuthorized))
    );
}

#[test]
fn an_asset_can_be_sent_to_an_issuer_that_is_gone_but_not_trusted_anew() {
    let mut world = World::new();
    let issuer = world.account("issuer", 100 * XLM);
    let holder = world.account("holder", 100 * XLM);
    let usd = issuer.asset("USD");
    world.must(&holder, trust(&usd, 10));
    world.must(&issuer, pay(&holder, usd.clone(), 10));
    world.must(&issuer, merge(&holder));
    world.must(&holder, pay(&issuer, usd.clone(), 4));
    assert_eq!(world.trustline(&holder, &usd).unwrap().balance, 6);
    let no_issuer = of(OperationResultTr::ChangeTrust(ChangeTrustResult::NoIssuer));
    assert_eq!(world.one(&holder, trust(&usd, 20)), no_issuer);
    world.must(&holder, pay(&issuer, usd.clone(), 6));
    world.must(&holder, trust(&usd, 0));
}

#[test]
fn native_coin_to_oneself_always_succeeds() {
    let mut world = World::new();
    let a = world.account("a", 2 * XLM);
    world.must(&a, pay(&a, Asset::Native, 1_000_000 * XLM));
    assert_eq!(world.balance(&a), 2 * XLM - 100);
}

#[test]
fn a_native_payment_leaves_the_reserve_to_the_stroop() {
    let mut world = World::new();
    let a = world.account("a", 10 * XLM);
    let root = world.root.clone();
    let most = 10 * XLM - 2 * RESERVE - 200;
    assert_eq!(
        world.one(&a, pay(&root, Asset::Native, most + 101)),
        of(OperationResultTr::Payment(PaymentResult::Underfunded))
    );
    world.must(&a, pay(&root, Asset::Native, most));
    assert_eq!(world.balance(&a), 2 * RESERVE);
}

#[test]
fn change_trust_reports_each_fault() {
    use ChangeTrustResult as R;
    let mut world = World::new();
    let issuer = world.account("issuer", 100 * XLM);
    let holder = world.account("holder", 100 * XLM);
    let usd = issuer.asset("USD");
    let orphan = Key::of("nobody").asset("USD");
    let of = |code| of(OperationResultTr::ChangeTrust(code));

    assert_eq!(world.one(&holder, trust(&Asset::Native, 1)), of(R::Malformed));
    assert_eq!(world.one(&holder, trust(&usd, -1)), of(R::Malformed));
    assert_eq!(world.one(&holder, trust(&issuer.asset("$"), 1)), of(R::Malformed));
    assert_eq!(world.one(&issuer, trust(&usd, 1)), of(R::Malformed));
    assert_eq!(world.one(&holder, trust(&usd, 0)), of(R::InvalidLimit));
    assert_eq!(world.one(&holder, trust(&orphan, 1)), of(R::NoIssuer));
    world.drain_to(&holder, 3 * RESERVE + 100 - 1);
    assert_eq!(world.one(&holder, trust(&usd, 5)), of(R::LowReserve));
    let root = world.root.clone();
    world.must(&root, pay(&holder, Asset::Native, 1 + 100));
    world.must(&holder, trust(&usd, 5));
    assert_eq!(world.balance(&holder), 3 * RESERVE);
    assert_eq!(world.entry(&holder).unwrap().num_sub_entries, 1);
    world.must(&issuer, pay(&holder, usd.clone(), 5));
    world.must(&root, pay(&holder, Asset::Native, XLM));
    assert_eq!(world.one(&holder, trust(&usd, 4)), of(R::InvalidLimit));
    assert_eq!(world.one(&holder, trust(&usd, 0)), of(R::InvalidLimit));
    world.must(&holder, trust(&usd, 6));
    world.must(&holder, pay(&issuer, usd.clone(), 5));
    world.must(&holder, trust(&usd, 0));
    assert!(world.trustline(&holder, &usd).is_none());
    assert_eq!(world.entry(&holder).unwrap().num_sub_entries, 0);
}

#[test]
fn a_trustline_takes_the_clawback_flag_of_its_issuer_only_when_it_is_made() {
    let mut world = World::new();
    let issuer = world.account("issuer", 100 * XLM);
    let early = world.account("early", 100 * XLM);
    let late = world.account("late", 100 * XLM);
    let usd = issuer.asset("USD");
    world.must(&early, trust(&usd, 5));
    let flags = AccountFlags::RevocableFlag as u32 | AccountFlags::ClawbackEnabledFlag as u32;
    world.must(&issuer, options(|o| o.set_flags = Some(flags)));
    world.must(&late, trust(&usd, 5));
    world.must(&early, trust(&usd, 6));
    assert_eq!(world.trustline(&early, &usd).unwrap().flags, 1);
    assert_eq!(world.trustline(&late, &usd).unwrap().flags, 1 | 4);
}

#[test]
fn manage_data_reports_each_fault_and_overwrites_without_reserve() {
    use ManageDataResult as R;
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let of = |code| of(OperationResultTr::ManageData(code));
    assert_eq!(world.one(&a, data("", Some(b"x"))), of(R::InvalidName));
    assert_eq!(world.one(&a, data("a\u{7f}", Some(b"x"))), of(R::InvalidName));
    assert_eq!(world.one(&a, data("é", Some(b"x"))), of(R::InvalidName));
    assert_eq!(world.one(&a, data("root", None)), of(R::NameNotFound));
    world.drain_to(&a, 3 * RESERVE + 99);
    assert_eq!(world.one(&a, data("root", Some(b"x"))), of(R::LowReserve));
    let root = world.root.clone();
    world.must(&root, pay(&a, Asset::Native, 101 + 200));
    world.must(&a, data("root", Some(b"x")));
    world.must(&a, data("root", Some(b"y")));
    assert_eq!(world.entry(&a).unwrap().num_sub_entries, 1);
    assert_eq!(world.balance(&a), 3 * RESERVE + 100);
    world.must(&a, data("root", None));
    assert_eq!(world.entry(&a).unwrap().num_sub_entries, 0);
}

#[test]
fn bump_sequence_moves_ahead_only_and_counts_as_a_use() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    assert_eq!(world.one(&a, bump_to(-1)), of(OperationResultTr::BumpSequence(BumpSequenceResult::BadSeq)));
    let far = world.sequence(&a) + 1_000;
    world.must(&a, bump_to(far));
    assert_eq!(world.sequence(&a), far);
    world.must(&a, bump_to(5));
    assert_eq!(world.sequence(&a), far + 1);
    assert_eq!(seq_use(&world, &a), (world.ledger.sequence(), world.ledger.close_time()));

    // Another's transaction bumps it to where it is: still a use.
    let root = world.root.clone();
    world.close();
    let tx = world.next(&root).op_by(&a, bump_to(0));
    assert!(world.run(tx, &[&root, &a]).succeeded());
    assert_eq!(world.sequence(&a), far + 1);
    assert_eq!(seq_use(&world, &a), (world.ledger.sequence(), world.ledger.close_time()));
}

fn seq_use(world: &World, key: &Key) -> (u32, u64) {
    let AccountEntryExt::V1(AccountEntryExtensionV1 {
        ext: AccountEntryExtensionV1Ext::V2(AccountEntryExtensionV2 { ext: AccountEntryExtensionV2Ext::V3(v3), .. }),
        ..
    }) = world.entry(key).unwrap().ext
    else {
        panic!("no record of the sequence's use");
    };
    (v3.seq_ledger, v3.seq_time.0)
}

#[test]
fn account_merge_reports_each_fault() {
    use AccountMergeResult as R;
    let mut world = World::new();
    let heir = world.account("heir", 100 * XLM);
    let of = |code| of(OperationResultTr::AccountMerge(code));
    let mut fresh = 0;
    let mut expect = |world: &mut World, prepare: Option<OperationBody>, code: R| {
        fresh += 1;
        let a = world.account(&format!("a{fresh}"), 100 * XLM);
        if let Some(body) = prepare {
            world.must(&a, body);
        }
        assert_eq!(world.one(&a, merge(&heir)), of(code));
        assert!(world.entry(&a).is_some());
    };
    let immutable = options(|o| o.set_flags = Some(AccountFlags::ImmutableFlag as u32));
    expect(&mut world, Some(immutable), R::ImmutableSet);
    expect(&mut world, Some(data("d", Some(b"x"))), R::HasSubEntries);
    expect(&mut world, Some(bump_to(i64::MAX - 1)), R::SeqnumTooFar);
    let held = create_balance(Asset::Native, 1, vec![claimant(&heir, ClaimPredicate::Unconditional)]);
    expect(&mut world, Some(held), R::IsSponsor);

    assert_eq!(world.one(&heir, merge(&heir)), of(R::Malformed));
    assert_eq!(world.one(&heir, merge(&Key::of("absent"))), of(R::NoAccount));
}

#[test]
fn a_merge_pays_everything_and_drops_the_signers() {
    let mut world = World::new();
    let heir = world.account("heir", 100 * XLM);
    let a = world.account("a", 100 * XLM);
    world.must(&a, add_signer(Key::of("s").signer(), 1));
    let left = 100 * XLM - 200;
    assert_eq!(world.one(&a, merge(&heir)), of(OperationResultTr::AccountMerge(AccountMergeResult::Success(left))));
    assert!(world.entry(&a).is_none());
    assert_eq!(world.balance(&heir), 100 * XLM + left);
    // Made again it starts at the ledger's own number.
    world.create(&a, 5 * XLM);
    assert!(world.entry(&a).unwrap().signers.is_empty());
    assert_eq!(world.sequence(&a), i64::from(world.ledger.sequence()) << 32);
}

#[test]
fn an_account_made_in_this_ledger_cannot_be_merged_in_it() {
    let mut world = World::new();
    let root = world.root.clone();
    let a = Key::of("a");
    let tx = world.next(&root).op(create_account(&a, 5 * XLM)).op_by(&a, merge(&root));
    let results = world.run(tx, &[&root, &a]).operations();
    assert_eq!(results[1], of(OperationResultTr::AccountMerge(AccountMergeResult::SeqnumTooFar)));
    assert!(world.entry(&a).is_none());
}

#[test]
fn operations_that_are_not_known_are_not_supported() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let usd = a.asset("USD");
    let bodies = [
        OperationBody::Inflation,
        OperationBody::ManageSellOffer(ManageSellOfferOp {
            selling: Asset::Native,
            buying: usd.clone(),
            amount: 1,
            price: Price { n: 1, d: 1 },
            offer_id: 0,
        }),
        OperationBody::PathPaymentStrictSend(PathPaymentStrictSendOp {
            send_asset: Asset::Native,
            send_amount: 1,
            destination: a.muxed(),
            dest_asset: usd,
            dest_min: 1,
            path: VecM::default(),
        }),
    ];
    for body in bodies {
        let tx = world.next(&a).op(body);
        let outcome = world.run(tx, &[&a]);
        assert!(matches!(outcome, Outcome::Refused(_)));
        assert_eq!(outcome.operations(), [OperationResult::OpNotSupported]);
    }
}

#[test]
fn an_account_holds_a_thousand_subentries_and_no_more() {
    let mut world = World::new();
    let a = world.account("a", 1_000 * XLM);
    for hundred in 0..10 {
        let mut tx = world.next(&a);
        for n in 0..100 {
            tx = tx.op(data(&format!("{hundred} {n}"), Some(b"x")));
        }
        assert!(world.run(tx, &[&a]).succeeded());
    }
    assert_eq!(world.entry(&a).unwrap().num_sub_entries, 1_000);
    assert_eq!(world.one(&a, data("one more", Some(b"x"))), OperationResult::OpTooManySubentries);
}
