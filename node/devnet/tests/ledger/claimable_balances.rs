//! Claimable balances: who may claim when, and who holds the reserves.

use stellar_xdr::*;

use crate::world::*;

const NOW: ClaimPredicate = ClaimPredicate::Unconditional;

fn created(code: CreateClaimableBalanceResult) -> OperationResult {
    OperationResult::OpInner(OperationResultTr::CreateClaimableBalance(code))
}

fn claimed(code: ClaimClaimableBalanceResult) -> OperationResult {
    OperationResult::OpInner(OperationResultTr::ClaimClaimableBalance(code))
}

/// Makes a balance and returns its id.
fn hold(world: &mut World, by: &Key, asset: Asset, amount: i64, to: Vec<Claimant>) -> ClaimableBalanceId {
    let tx = world.next(by).op(create_balance(asset, amount, to));
    let id = balance_id(by, tx.tx.seq_num.0, 0);
    let outcome = world.run(tx, &[by]);
    let success = CreateClaimableBalanceResult::Success(id.clone());
    assert_eq!(outcome.operations(), [created(success)]);
    id
}

fn sponsoring(world: &World, key: &Key) -> u32 {
    match world.entry(key).unwrap().ext {
        AccountEntryExt::V1(AccountEntryExtensionV1 { ext: AccountEntryExtensionV1Ext::V2(v2), .. }) => {
            v2.num_sponsoring
        }
        _ => 0,
    }
}

#[test]
fn malformed_balances_are_refused() {
    use CreateClaimableBalanceResult as R;
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let b = Key::of("b");
    let five_deep = not(not(not(not(NOW))));
    let one_child = ClaimPredicate::And(vec![NOW].try_into().unwrap());
    let cases = [
        create_balance(Asset::Native, 0, vec![claimant(&b, NOW)]),
        create_balance(Asset::Native, -1, vec![claimant(&b, NOW)]),
        create_balance(Asset::Native, 1, vec![]),
        create_balance(Asset::Native, 1, vec![claimant(&b, NOW), claimant(&b, not(NOW))]),
        create_balance(Asset::Native, 1, vec![claimant(&b, five_deep)]),
        create_balance(Asset::Native, 1, vec![claimant(&b, one_child)]),
        create_balance(Asset::Native, 1, vec![claimant(&b, ClaimPredicate::Not(None))]),
        create_balance(Asset::Native, 1, vec![claimant(&b, ClaimPredicate::BeforeAbsoluteTime(-1))]),
        create_balance(a.asset("?"), 1, vec![claimant(&b, NOW)]),
    ];
    for body in cases {
        assert_eq!(world.one(&a, body), created(R::Malformed));
    }
    assert_eq!(sponsoring(&world, &a), 0);
}

#[test]
fn a_native_balance_needs_amount_and_reserves_at_once_to_the_stroop() {
    use CreateClaimableBalanceResult as R;
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let three: Vec<_> = ["x", "y", "z"].iter().map(|n| claimant(&Key::of(n), NOW)).collect();
    let root = world.root.clone();
    let amount = 7 * XLM;
    world.drain_to(&a, 2 * RESERVE + amount + 100 - 1);
    let body = create_balance(Asset::Native, amount, three);
    assert_eq!(world.one(&a, body.clone()), created(R::Underfunded));
    world.must(&root, pay(&a, Asset::Native, 3 * RESERVE + 100));
    assert_eq!(world.one(&a, body.clone()), created(R::LowReserve));
    world.must(&root, pay(&a, Asset::Native, 101));
    let id = balance_id(&a, world.sequence(&a) + 1, 0);
    world.must(&a, body);
    assert_eq!(world.balance(&a), 5 * RESERVE);
    assert_eq!(sponsoring(&world, &a), 3);
    assert_eq!(world.entry(&a).unwrap().num_sub_entries, 0);
    let (entry, ext) = world.claimable(&id).unwrap();
    assert_eq!((entry.amount, entry.asset, entry.claimants.len()), (amount, Asset::Native, 3));
    let LedgerEntryExt::V1(ext) = ext else {
        panic!("no sponsor");
    };
    assert_eq!(ext.sponsoring_id.0, Some(a.id()));
    // What it holds for others it can't spend.
    let overdraft = world.run(world.next(&a).op(bump_to(0)), &[&a]);
    assert_eq!(overdraft, Outcome::Refused(TransactionResultResult::TxInsufficientBalance));
}

#[test]
fn a_claim_pays_the_claimant_and_gives_the_sponsor_its_reserves() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let b = world.account("b", 100 * XLM);
    let id = hold(&mut world, &a, Asset::Native, 5 * XLM, vec![claimant(&b, NOW), claimant(&a, not(NOW))]);
    assert_eq!(sponsoring(&world, &a), 2);
    world.must(&b, claim(&id));
    assert_eq!(world.balance(&b), 105 * XLM - 100);
    assert_eq!(world.balance(&a), 95 * XLM - 100);
    assert_eq!(sponsoring(&world, &a), 0);
    assert!(world.claimable(&id).is_none());
    assert_eq!(world.one(&b, claim(&id)), claimed(ClaimClaimableBalanceResult::DoesNotExist));
}

#[test]
fn the_creator_that_claims_its_own_gets_amount_and_reserve() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let id = hold(&mut world, &a, Asset::Native, 5 * XLM, vec![claimant(&a, NOW)]);
    world.must(&a, claim(&id));
    assert_eq!(world.balance(&a), 100 * XLM - 200);
    assert_eq!(sponsoring(&world, &a), 0);
}

#[test]
fn a_claim_before_and_from_t_is_decided_by_the_close_time_alone() {
    let cannot = claimed(ClaimClaimableBalanceResult::CannotClaim);
    for late in [false, true] {
        let mut world = World::new();
        let payer = world.account("payer", 100 * XLM);
        let recipient = world.account("recipient", 100 * XLM);
        let hash = Key::of("no key is known for it");
        let t = world.ledger.close_time() + 100;
        let claimants =
            vec![claimant(&recipient, before(t)), claimant(&payer, not(before(t))), claimant(&hash, not(NOW))];
        let id = hold(&mut world, &payer, Asset::Native, 20 * XLM, claimants);
        let (winner, loser) = match late {
            false => (&recipient, &payer),
            true => (&payer, &recipient),
        };
        // Both try in one ledger: the order doesn't matter, the time does.
        for key in [loser, winner] {
            let envelope = world.next(key).op(claim(&id)).sign(&world, &[key]);
            world.admit(&envelope);
        }
        let closed = world.close_at(if late { t } else { t - 1 });
        for record in &closed.transactions {
            let outcome = Outcome::Included(record.result.result.clone());
            let lost = outcome.operations()[0] == cannot
                || outcome.operations()[0] == claimed(ClaimClaimableBalanceResult::DoesNotExist);
            assert_ne!(record.succeeded(), lost);
        }
        let fees = if late { 200 } else { 100 };
        assert_eq!(world.balance(winner), if late { 100 } else { 120 } * XLM - fees);
        assert_eq!(world.balance(loser), if late { 100 } else { 80 } * XLM - (300 - fees));
        assert_eq!(sponsoring(&world, &payer), 0);
    }
}

#[test]
fn others_and_absent_claimants_cannot_claim() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let later = Key::of("later");
    let id = hold(&mut world, &a, Asset::Native, XLM, vec![claimant(&later, NOW)]);
    assert_eq!(world.one(&a, claim(&id)), claimed(ClaimClaimableBalanceResult::CannotClaim));
    world.create(&later, 10 * XLM);
    world.must(&later, claim(&id));
}

#[test]
fn another_may_source_the_transaction_of_a_claim() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let b = world.account("b", 100 * XLM);
    let id = hold(&mut world, &a, Asset::Native, XLM, vec![claimant(&b, NOW)]);
    let tx = world.next(&a).op_by(&b, claim(&id));
    assert!(world.run(tx, &[&a, &b]).succeeded());
    assert_eq!(world.balance(&b), 101 * XLM);
}

#[test]
fn relative_times_are_stored_as_absolute_ones() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let b = world.account("b", 100 * XLM);
    let minute = not(ClaimPredicate::BeforeRelativeTime(60));
    let id = hold(&mut world, &a, Asset::Native, XLM, vec![claimant(&b, minute)]);
    let now = world.ledger.close_time();
    let (entry, _) = world.claimable(&id).unwrap();
    assert_eq!(entry.claimants[0], claimant(&b, not(before(now + 60))));
    let envelope = world.next(&b).op(claim(&id)).sign(&world, &[&b]);
    world.admit(&envelope);
    assert!(!world.close_at(now + 59).transactions[0].succeeded());
    let envelope = world.next(&b).op(claim(&id)).sign(&world, &[&b]);
    world.admit(&envelope);
    assert!(world.close_at(now + 60).transactions[0].succeeded());
}

#[test]
fn an_id_follows_from_the_transactions_source_not_the_operations() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let b = world.account("b", 100 * XLM);
    let tx = world.next(&a).op(bump_to(0)).op_by(&b, create_balance(Asset::Native, XLM, vec![claimant(&a, NOW)]));
    let id = balance_id(&a, tx.tx.seq_num.0, 1);
    assert!(world.run(tx, &[&a, &b]).succeeded());
    assert!(world.claimable(&id).is_some());
    assert_eq!((sponsoring(&world, &a), sponsoring(&world, &b)), (0, 1));
}

#[test]
fn issued_assets_need_trustlines_at_both_ends() {
    use ClaimClaimableBalanceResult as C;
    use CreateClaimableBalanceResult as R;
    let mut world = World::new();
    let issuer = world.account("issuer", 100 * XLM);
    let a = world.account("a", 100 * XLM);
    let b = world.account("b", 100 * XLM);
    let usd = issuer.asset("USD");
    let body = |amount| create_balance(usd.clone(), amount, vec![claimant(&b, NOW)]);
    assert_eq!(world.one(&a, body(5)), created(R::NoTrust));
    world.must(&a, trust(&usd, 100));
    assert_eq!(world.one(&a, body(5)), created(R::Underfunded));
    world.must(&issuer, pay(&a, usd.clone(), 10));
    let id = hold(&mut world, &a, usd.clone(), 6, vec![claimant(&b, NOW)]);
    assert_eq!(world.trustline(&a, &usd).unwrap().balance, 4);
    assert_eq!(world.one(&b, claim(&id)), claimed(C::NoTrust));
    world.must(&b, trust(&usd, 5));
    assert_eq!(world.one(&b, claim(&id)), claimed(C::LineFull));
    world.must(&b, trust(&usd, 6));
    world.must(&b, claim(&id));
    assert_eq!(world.trustline(&b, &usd).unwrap().balance, 6);
    // The issuer makes what it locks.
    let id = hold(&mut world, &issuer, usd.clone(), 1_000, vec![claimant(&issuer, NOW)]);
    world.must(&issuer, claim(&id));
}

#[test]
fn without_authorization_nothing_is_locked_or_claimed() {
    use ClaimClaimableBalanceResult as C;
    use CreateClaimableBalanceResult as R;
    let mut world = World::new();
    let issuer = world.account("issuer", 100 * XLM);
    let a = world.account("a", 100 * XLM);
    let usd = issuer.asset("USD");
    let id = hold(&mut world, &issuer, usd.clone(), 5, vec![claimant(&a, NOW)]);
    world.must(&issuer, options(|o| o.set_flags = Some(AccountFlags::RequiredFlag as u32)));
    world.must(&a, trust(&usd, 100));
    assert_eq!(world.one(&a, claim(&id)), claimed(C::NotAuthorized));
    let body = create_balance(usd, 5, vec![claimant(&a, NOW)]);
    assert_eq!(world.one(&a, body), created(R::NotAuthorized));
}

#[test]
fn a_balance_takes_the_clawback_flag_of_what_funds_it() {
    let mut world = World::new();
    let issuer = world.account("issuer", 100 * XLM);
    let early = world.account("early", 100 * XLM);
    let late = world.account("late", 100 * XLM);
    let usd = issuer.asset("USD");
    world.must(&early, trust(&usd, 100));
    let flags = AccountFlags::RevocableFlag as u32 | AccountFlags::ClawbackEnabledFlag as u32;
    world.must(&issuer, options(|o| o.set_flags = Some(flags)));
    world.must(&late, trust(&usd, 100));
    for (from, flagged) in [(&early, false), (&late, true), (&issuer, true)] {
        if from.bytes() != issuer.bytes() {
            world.must(&issuer, pay(from, usd.clone(), 5));
        }
        let id = hold(&mut world, from, usd.clone(), 5, vec![claimant(&early, NOW)]);
        let (entry, _) = world.claimable(&id).unwrap();
        let flag = match entry.ext {
            ClaimableBalanceEntryExt::V0 => false,
            ClaimableBalanceEntryExt::V1(v1) => v1.flags == 1,
        };
        assert_eq!(flag, flagged);
    }
}
