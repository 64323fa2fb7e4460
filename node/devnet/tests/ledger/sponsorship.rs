//! Reserves that one account holds for another's entries.

use stellar_xdr::TransactionResultResult as Code;
use stellar_xdr::*;

use crate::world::*;

const NOW: ClaimPredicate = ClaimPredicate::Unconditional;

fn begun(code: BeginSponsoringFutureReservesResult) -> OperationResult {
    OperationResult::OpInner(OperationResultTr::BeginSponsoringFutureReserves(code))
}

fn ended(code: EndSponsoringFutureReservesResult) -> OperationResult {
    OperationResult::OpInner(OperationResultTr::EndSponsoringFutureReserves(code))
}

fn revoked(code: RevokeSponsorshipResult) -> OperationResult {
    OperationResult::OpInner(OperationResultTr::RevokeSponsorship(code))
}

/// A transaction of `sponsor` in which it holds the reserves of what
/// `sponsored` makes.
fn sandwich(world: &World, sponsor: &Key, sponsored: &Key, bodies: Vec<OperationBody>) -> Tx {
    let mut tx = world.next(sponsor).op(begin(sponsored));
    for body in bodies {
        tx = tx.op_by(sponsored, body);
    }
    tx.op_by(sponsored, end())
}

fn pair() -> (World, Key, Key) {
    let mut world = World::new();
    let sponsor = world.account("sponsor", 100 * XLM);
    let user = world.account("user", 100 * XLM);
    (world, sponsor, user)
}

#[test]
fn a_new_account_without_coin_lives_on_its_sponsor() {
    let mut world = World::new();
    let sponsor = world.account("sponsor", 100 * XLM);
    let user = Key::of("user");
    let tx = world.next(&sponsor).op(begin(&user)).op(create_account(&user, 0)).op_by(&user, end());
    assert!(world.run(tx, &[&sponsor, &user]).succeeded());
    assert_eq!(world.balance(&user), 0);
    assert_eq!(world.counters(&user), (0, 2, 0));
    assert_eq!(world.counters(&sponsor), (0, 0, 2));
    assert_eq!(world.sponsor(&account_key(&user)), Some(sponsor.id()));
    // Merged away, it gives both reserves back.
    let tx = world.next(&sponsor).op_by(&user, merge(&sponsor));
    world.close();
    assert!(world.run(tx, &[&sponsor, &user]).succeeded());
    assert_eq!(world.counters(&sponsor), (0, 0, 0));
}

#[test]
fn lines_data_and_signers_cost_the_sponsor_and_give_back_to_it() {
    let (mut world, sponsor, user) = pair();
    let usd = world.root.asset("USD");
    let key = SignerKey::HashX(Uint256([9; 32]));
    world.drain_to(&user, 2 * RESERVE + 1_000);
    let bodies = vec![trust(&usd, 5), data("n", Some(b"v")), add_signer(key.clone(), 1)];
    let tx = sandwich(&world, &sponsor, &user, bodies);
    assert!(world.run(tx, &[&sponsor, &user]).succeeded());
    assert_eq!(world.counters(&user), (3, 3, 0));
    assert_eq!(world.counters(&sponsor), (0, 0, 3));
    assert_eq!(world.sponsor(&line_key(&user, &usd)), Some(sponsor.id()));
    assert_eq!(world.sponsor(&data_key(&user, "n")), Some(sponsor.id()));
    // Changes keep the sponsor; removal frees its reserve.
    world.must(&user, data("n", Some(b"w")));
    world.must(&user, trust(&usd, 6));
    assert_eq!(world.counters(&sponsor), (0, 0, 3));
    world.must(&user, data("n", None));
    assert_eq!(world.counters(&sponsor), (0, 0, 2));
    world.must(&user, trust(&usd, 0));
    assert_eq!(world.counters(&sponsor), (0, 0, 1));
    world.must(&user, add_signer(key, 0));
    assert_eq!(world.counters(&sponsor), (0, 0, 0));
    assert_eq!(world.counters(&user), (0, 0, 0));
}

#[test]
fn a_balances_reserves_are_its_claimants_and_return_to_the_sponsor() {
    let (mut world, sponsor, user) = pair();
    let claimants = vec![claimant(&user, NOW), claimant(&Key::of("other"), NOW)];
    let tx = sandwich(&world, &sponsor, &user, vec![create_balance(Asset::Native, XLM, claimants)]);
    // The balance's id follows from the source of the transaction.
    let id = balance_id(&sponsor, tx.tx.seq_num.0, 1);
    assert!(world.run(tx, &[&sponsor, &user]).succeeded());
    assert_eq!(world.counters(&sponsor), (0, 0, 2));
    assert_eq!(world.counters(&user), (0, 0, 0));
    assert_eq!(world.sponsor(&balance_key(&id)), Some(sponsor.id()));
    world.must(&user, claim(&id));
    assert_eq!(world.counters(&sponsor), (0, 0, 0));
}

#[test]
fn a_merge_frees_the_reserves_of_sponsored_signers_and_a_used_signer_those_of_its_own() {
    let (mut world, sponsor, user) = pair();
    let key = SignerKey::HashX(Uint256([9; 32]));
    let tx = sandwich(&world, &sponsor, &user, vec![add_signer(key, 1)]);
    assert!(world.run(tx, &[&sponsor, &user]).succeeded());
    // A pre-authorised transaction, its signer sponsored too.
    let sequence = world.sequence(&user);
    let once = Tx::new(&user, sequence + 1).op(bump_to(0));
    let hash = once.hash(&world);
    let tx = sandwich(&world, &sponsor, &user, vec![add_signer(SignerKey::PreAuthTx(Uint256(hash)), 1)]);
    assert!(world.run(tx, &[&sponsor, &user]).succeeded());
    assert_eq!(world.counters(&sponsor), (0, 0, 2));
    assert!(world.run(once, &[]).succeeded());
    assert_eq!(world.counters(&sponsor), (0, 0, 1));
    assert_eq!(world.counters(&user), (1, 1, 0));
    world.must(&user, merge(&sponsor));
    assert_eq!(world.counters(&sponsor), (0, 0, 0));
}

#[test]
fn a_sandwich_that_stays_open_undoes_the_transaction_and_costs_fee_and_sequence() {
    let (mut world, sponsor, user) = pair();
    let (balance, sequence) = (world.balance(&sponsor), world.sequence(&sponsor));
    let tx = world.next(&sponsor).op(begin(&user)).op_by(&user, data("n", Some(b"v")));
    assert_eq!(world.run(tx, &[&sponsor, &user]), Outcome::Included(Code::TxBadSponsorship));
    assert!(!world.has_data(&user, "n"));
    assert_eq!(world.balance(&sponsor), balance - 200);
    assert_eq!(world.sequence(&sponsor), sequence + 1);
    // Where an operation failed, that is what is reported.
    let tx = world.next(&sponsor).op(begin(&user)).op_by(&user, data("n", None));
    let results = world.run(tx, &[&sponsor, &user]).operations();
    assert_eq!(results[0], begun(BeginSponsoringFutureReservesResult::Success));
    // No sandwich reaches into the next transaction.
    assert_eq!(world.one(&user, end()), ended(EndSponsoringFutureReservesResult::NotSponsored));
}

#[test]
fn nobody_is_sponsored_twice_in_a_ring_or_by_itself() {
    use BeginSponsoringFutureReservesResult as R;
    let (mut world, a, b) = pair();
    let c = world.account("c", 100 * XLM);
    assert_eq!(world.one(&a, begin(&a)), begun(R::Malformed));
    let tx = world.next(&a).op(begin(&b)).op_by(&c, begin(&b)).op_by(&b, end());
    assert_eq!(world.run(tx, &[&a, &b, &c]).operations()[1], begun(R::AlreadySponsored));
    // The sponsored can't sponsor, nor the sponsor be sponsored.
    let tx = world.next(&a).op(begin(&b)).op_by(&b, begin(&c)).op_by(&c, end()).op_by(&b, end());
    assert_eq!(world.run(tx, &[&a, &b, &c]).operations()[1], begun(R::Recursive));
    let tx = world.next(&a).op(begin(&b)).op_by(&c, begin(&a)).op(end()).op_by(&b, end());
    assert_eq!(world.run(tx, &[&a, &b, &c]).operations()[1], begun(R::Recursive));
    // One can sponsor several, and one after another.
    let tx = world.next(&a).op(begin(&b)).op(begin(&c)).op_by(&b, end()).op_by(&c, end());
    assert!(world.run(tx, &[&a, &b, &c]).succeeded());
    let tx = world.next(&a).op(begin(&b)).op_by(&b, end()).op_by(&b, begin(&a)).op(end());
    assert!(world.run(tx, &[&a, &b]).succeeded());
}

#[test]
fn a_sponsor_needs_the_reserve_to_the_stroop() {
    let (mut world, sponsor, user) = pair();
    let root = world.root.clone();
    world.drain_to(&sponsor, 3 * RESERVE - 1);
    let attempt = |world: &World| {
        let tx = world.next(&user).op_by(&sponsor, begin(&user)).op(data("n", Some(b"v"))).op(end());
        tx.sign(world, &[&user, &sponsor])
    };
    let low = OperationResult::OpInner(OperationResultTr::ManageData(ManageDataResult::LowReserve));
    let envelope = attempt(&world);
    assert_eq!(world.run_envelope(&envelope).operations()[1], low);
    world.must(&root, pay(&sponsor, Asset::Native, 1));
    let envelope = attempt(&world);
    assert!(world.run_envelope(&envelope).succeeded());
    assert_eq!(world.counters(&sponsor), (0, 0, 1));
}

#[test]
fn a_sponsor_cannot_be_merged_not_even_while_its_sandwich_is_open() {
    let (mut world, sponsor, user) = pair();
    let is_sponsor = OperationResult::OpInner(OperationResultTr::AccountMerge(AccountMergeResult::IsSponsor));
    let tx = world.next(&user).op_by(&sponsor, begin(&user)).op_by(&sponsor, merge(&user)).op(end());
    assert_eq!(world.run(tx, &[&sponsor, &user]).operations()[1], is_sponsor);
    let tx = sandwich(&world, &sponsor, &user, vec![data("n", Some(b"v"))]);
    assert!(world.run(tx, &[&sponsor, &user]).succeeded());
    assert_eq!(world.one(&sponsor, merge(&user)), is_sponsor);
}

#[test]
fn a_sponsor_alone_pushes_each_kind_of_reserve_back_if_the_owner_can_bear_it() {
    let (mut world, sponsor, _) = pair();
    let user = Key::of("new");
    let usd = world.root.asset("USD");
    let key = SignerKey::HashX(Uint256([9; 32]));
    let tx = world
        .next(&sponsor)
        .op(begin(&user))
        .op(create_account(&user, 0))
        .op_by(&user, trust(&usd, 5))
        .op_by(&user, data("n", Some(b"v")))
        .op_by(&user, add_signer(key.clone(), 1))
        .op_by(&user, end());
    assert!(world.run(tx, &[&sponsor, &user]).succeeded());
    assert_eq!((world.counters(&user), world.counters(&sponsor)), ((3, 5, 0), (0, 0, 5)));
    let parts = [
        (revoke(account_key(&user)), 2),
        (revoke(line_key(&user, &usd)), 1),
        (revoke(data_key(&user, "n")), 1),
        (revoke_signer(&user, key), 1),
    ];
    let mut left = 5;
    for (body, reserves) in parts {
        assert_eq!(world.one(&sponsor, body.clone()), revoked(RevokeSponsorshipResult::LowReserve));
        let short = i64::from(reserves) * RESERVE;
        world.must(&sponsor, pay(&user, Asset::Native, short - 1));
        assert_eq!(world.one(&sponsor, body.clone()), revoked(RevokeSponsorshipResult::LowReserve));
        world.must(&sponsor, pay(&user, Asset::Native, 1));
        world.must(&sponsor, body.clone());
        left -= reserves;
        assert_eq!((world.counters(&user), world.counters(&sponsor)), ((3, left, 0), (0, 0, left)));
        // Then it is no longer the sponsor's to revoke.
        assert_eq!(world.one(&sponsor, body), revoked(RevokeSponsorshipResult::NotSponsor));
    }
    assert_eq!(world.sponsor(&account_key(&user)), None);
}

#[test]
fn an_owner_in_a_sandwich_hands_its_reserves_over_and_a_sponsor_passes_them_on() {
    let (mut world, first, user) = pair();
    let second = world.account("second", 100 * XLM);
    let key = SignerKey::HashX(Uint256([9; 32]));
    world.must(&user, data("n", Some(b"v")));
    world.must(&user, add_signer(key.clone(), 1));
    let bodies = || vec![revoke(data_key(&user, "n")), revoke_signer(&user, key.clone()), revoke(account_key(&user))];
    // Outside of a sandwich the owner's own revocation changes nothing.
    world.must(&user, revoke(data_key(&user, "n")));
    assert_eq!(world.counters(&user), (2, 0, 0));
    let tx = sandwich(&world, &first, &user, bodies());
    assert!(world.run(tx, &[&first, &user]).succeeded());
    assert_eq!((world.counters(&user), world.counters(&first)), ((2, 4, 0), (0, 0, 4)));
    let tx = sandwich(&world, &second, &first, bodies());
    assert!(world.run(tx, &[&second, &first]).succeeded());
    assert_eq!((world.counters(&first), world.counters(&second)), ((0, 0, 0), (0, 0, 4)));
    assert_eq!(world.sponsor(&data_key(&user, "n")), Some(second.id()));
    assert_eq!(world.sponsor(&account_key(&user)), Some(second.id()));
    // Sponsored by the owner itself, the sponsor gives back.
    let tx = sandwich(&world, &user, &second, bodies());
    assert!(world.run(tx, &[&second, &user]).succeeded());
    assert_eq!((world.counters(&user), world.counters(&second)), ((2, 0, 0), (0, 0, 0)));
}

#[test]
fn a_balances_sponsorship_can_only_be_passed_on() {
    let (mut world, sponsor, user) = pair();
    let tx = world.next(&user);
    let id = balance_id(&user, tx.tx.seq_num.0, 0);
    assert!(world.run(tx.op(create_balance(Asset::Native, XLM, vec![claimant(&user, NOW)])), &[&user]).succeeded());
    let body = revoke(balance_key(&id));
    assert_eq!(world.one(&user, body.clone()), revoked(RevokeSponsorshipResult::OnlyTransferable));
    assert_eq!(world.one(&sponsor, body.clone()), revoked(RevokeSponsorshipResult::NotSponsor));
    let tx = sandwich(&world, &sponsor, &user, vec![body]);
    assert!(world.run(tx, &[&sponsor, &user]).succeeded());
    assert_eq!((world.counters(&user), world.counters(&sponsor)), ((0, 0, 0), (0, 0, 1)));
    assert_eq!(world.sponsor(&balance_key(&id)), Some(sponsor.id()));
}

#[test]
fn what_cannot_have_a_sponsor_is_malformed_and_what_is_absent_does_not_exist() {
    use RevokeSponsorshipResult as R;
    let (mut world, sponsor, user) = pair();
    let usd = sponsor.asset("USD");
    let malformed = [
        line_key(&user, &Asset::Native),
        line_key(&user, &sponsor.asset("$")),
        line_key(&sponsor, &usd),
        data_key(&user, ""),
        data_key(&user, "\u{7f}"),
        LedgerKey::Offer(LedgerKeyOffer { seller_id: user.id(), offer_id: 0 }),
        LedgerKey::LiquidityPool(LedgerKeyLiquidityPool { liquidity_pool_id: PoolId(Hash([0; 32])) }),
    ];
    for key in malformed {
        assert_eq!(world.one(&user, revoke(key.clone())), revoked(R::Malformed), "{key:?}");
    }
    let absent = [
        account_key(&Key::of("absent")),
        line_key(&user, &usd),
        data_key(&user, "n"),
        balance_key(&balance_id(&user, 1, 0)),
        LedgerKey::Offer(LedgerKeyOffer { seller_id: user.id(), offer_id: 1 }),
    ];
    for key in absent {
        assert_eq!(world.one(&user, revoke(key.clone())), revoked(R::DoesNotExist), "{key:?}");
    }
    let key = SignerKey::HashX(Uint256([9; 32]));
    for account in [&user, &Key::of("absent")] {
        assert_eq!(world.one(&user, revoke_signer(account, key.clone())), revoked(R::DoesNotExist));
    }
}
