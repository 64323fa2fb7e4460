//! What issuers can do to holders of their assets.

use stellar_xdr::*;

use crate::world::*;

const REVOCABLE: u32 = AccountFlags::RevocableFlag as u32;
const REQUIRED: u32 = AccountFlags::RequiredFlag as u32;
const CLAWBACK: u32 = AccountFlags::ClawbackEnabledFlag as u32;
const NOW: ClaimPredicate = ClaimPredicate::Unconditional;

fn flagged(code: SetTrustLineFlagsResult) -> OperationResult {
    OperationResult::OpInner(OperationResultTr::SetTrustLineFlags(code))
}

fn clawed(code: ClawbackResult) -> OperationResult {
    OperationResult::OpInner(OperationResultTr::Clawback(code))
}

fn clawed_balance(code: ClawbackClaimableBalanceResult) -> OperationResult {
    OperationResult::OpInner(OperationResultTr::ClawbackClaimableBalance(code))
}

/// An issuer with these flags, and a holder with a trustline to its USD.
fn issued(flags: u32) -> (World, Key, Key, Asset) {
    let mut world = World::new();
    let issuer = world.account("issuer", 100 * XLM);
    let holder = world.account("holder", 100 * XLM);
    let usd = issuer.asset("USD");
    world.must(&issuer, options(|o| o.set_flags = Some(flags)));
    world.must(&holder, trust(&usd, 100));
    (world, issuer, holder, usd)
}

fn flags(world: &World, key: &Key, asset: &Asset) -> u32 {
    world.trustline(key, asset).unwrap().flags
}

fn hold(world: &mut World, by: &Key, asset: &Asset, amount: i64, to: &Key) -> ClaimableBalanceId {
    let tx = world.next(by);
    let id = balance_id(by, tx.tx.seq_num.0, 0);
    let body = create_balance(asset.clone(), amount, vec![claimant(to, NOW)]);
    assert!(world.run(tx.op(body), &[by]).succeeded());
    id
}

#[test]
fn trustline_flags_that_are_wrong_in_themselves_are_malformed() {
    use SetTrustLineFlagsResult as R;
    let (mut world, issuer, holder, usd) = issued(REVOCABLE | CLAWBACK);
    let cases = [
        set_trust_flags(&holder, &Asset::Native, 0, 1),
        set_trust_flags(&holder, &issuer.asset("U D"), 0, 1),
        set_trust_flags(&holder, &holder.asset("USD"), 0, 1),
        set_trust_flags(&issuer, &usd, 0, 1),
        set_trust_flags(&holder, &usd, 1, 1),
        set_trust_flags(&holder, &usd, 0, 3),
        // The clawback flag is cleared, never set.
        set_trust_flags(&holder, &usd, 0, 4),
        set_trust_flags(&holder, &usd, 0, 8),
        set_trust_flags(&holder, &usd, 8, 0),
    ];
    for body in cases {
        assert_eq!(world.one(&issuer, body.clone()), flagged(R::Malformed), "{body:?}");
    }
    assert_eq!(flags(&world, &holder, &usd), 1 | 4);
}

#[test]
fn an_issuer_that_cannot_revoke_only_authorises_further() {
    use SetTrustLineFlagsResult as R;
    let (mut world, issuer, holder, usd) = issued(REQUIRED);
    let stranger = Key::of("stranger");
    let mut expect = |clear, set, code: R, after| {
        assert_eq!(world.one(&issuer, set_trust_flags(&holder, &usd, clear, set)), flagged(code));
        assert_eq!(flags(&world, &holder, &usd), after, "clear {clear} set {set}");
    };
    expect(0, 2, R::Success, 2);
    expect(2, 0, R::CantRevoke, 2);
    // Both flags at once would stand.
    expect(0, 1, R::InvalidState, 2);
    expect(2, 1, R::Success, 1);
    expect(1, 0, R::CantRevoke, 1);
    expect(1, 2, R::CantRevoke, 1);
    expect(3, 0, R::CantRevoke, 1);
    expect(4, 0, R::Success, 1);
    // Whether it may revoke comes before whether there is a line.
    assert_eq!(world.one(&issuer, set_trust_flags(&stranger, &usd, 1, 0)), flagged(R::CantRevoke));
    assert_eq!(world.one(&issuer, set_trust_flags(&stranger, &usd, 0, 1)), flagged(R::NoTrustLine));
}

#[test]
fn a_revoked_line_neither_pays_nor_is_paid_and_a_maintained_one_as_little() {
    let (mut world, issuer, holder, usd) = issued(REVOCABLE);
    world.must(&issuer, pay(&holder, usd.clone(), 10));
    for (clear, set) in [(1, 2), (2, 0)] {
        world.must(&issuer, set_trust_flags(&holder, &usd, clear, set));
        let paid = world.one(&holder, pay(&issuer, usd.clone(), 1));
        assert_eq!(paid, OperationResult::OpInner(OperationResultTr::Payment(PaymentResult::SrcNotAuthorized)));
        let lent = world.one(&holder, create_balance(usd.clone(), 1, vec![claimant(&issuer, NOW)]));
        let refused = CreateClaimableBalanceResult::NotAuthorized;
        assert_eq!(lent, OperationResult::OpInner(OperationResultTr::CreateClaimableBalance(refused)));
    }
    world.must(&issuer, set_trust_flags(&holder, &usd, 0, 1));
    world.must(&holder, pay(&issuer, usd, 10));
}

#[test]
fn setting_trustline_flags_needs_the_low_threshold_alone() {
    let (mut world, issuer, holder, usd) = issued(REVOCABLE);
    let clerk = Key::of("clerk");
    world.must(&issuer, add_signer(clerk.signer(), 1));
    world.must(
        &issuer,
        options(|o| {
            (o.master_weight, o.low_threshold, o.med_threshold, o.high_threshold) = (Some(2), Some(1), Some(2), Some(2))
        }),
    );
    let tx = world.next(&issuer).op(set_trust_flags(&holder, &usd, 1, 0));
    assert!(world.run(tx, &[&clerk]).succeeded());
    let tx = world.next(&issuer).op(claw_back(&holder, &usd, 1));
    assert_eq!(world.run(tx, &[&clerk]).operations(), [OperationResult::OpBadAuth]);
}

#[test]
fn clawback_reports_each_fault_and_ignores_authorization() {
    use ClawbackResult as R;
    let (mut world, issuer, holder, usd) = issued(REVOCABLE | CLAWBACK);
    world.must(&issuer, pay(&holder, usd.clone(), 10));
    let malformed = [
        claw_back(&issuer, &usd, 1),
        claw_back(&holder, &usd, 0),
        claw_back(&holder, &usd, -1),
        claw_back(&holder, &Asset::Native, 1),
        claw_back(&holder, &issuer.asset("$"), 1),
        claw_back(&holder, &holder.asset("USD"), 1),
    ];
    for body in malformed {
        assert_eq!(world.one(&issuer, body.clone()), clawed(R::Malformed), "{body:?}");
    }
    assert_eq!(world.one(&holder, claw_back(&holder, &usd, 1)), clawed(R::Malformed));
    assert_eq!(world.one(&issuer, claw_back(&Key::of("stranger"), &usd, 1)), clawed(R::NoTrust));
    assert_eq!(world.one(&issuer, claw_back(&holder, &usd, 11)), clawed(R::Underfunded));
    world.must(&issuer, set_trust_flags(&holder, &usd, 1, 0));
    world.must(&issuer, claw_back(&holder, &usd, 4));
    assert_eq!(world.trustline(&holder, &usd).unwrap().balance, 6);
    world.must(&issuer, set_trust_flags(&holder, &usd, 4, 0));
    assert_eq!(world.one(&issuer, claw_back(&holder, &usd, 1)), clawed(R::NotClawbackEnabled));
}

#[test]
fn a_line_made_before_the_issuer_could_claw_back_never_can_be() {
    let (mut world, issuer, holder, usd) = issued(0);
    world.must(&issuer, pay(&holder, usd.clone(), 10));
    world.must(&issuer, options(|o| o.set_flags = Some(REVOCABLE | CLAWBACK)));
    assert_eq!(world.one(&issuer, claw_back(&holder, &usd, 1)), clawed(ClawbackResult::NotClawbackEnabled));
    let id = hold(&mut world, &holder, &usd, 1, &holder);
    let refused = clawed_balance(ClawbackClaimableBalanceResult::NotClawbackEnabled);
    assert_eq!(world.one(&issuer, claw_back_balance(&id)), refused);
}

#[test]
fn what_was_flagged_stays_flagged_when_line_and_issuer_are_cleared() {
    use ClawbackClaimableBalanceResult as R;
    let (mut world, issuer, holder, usd) = issued(REVOCABLE | CLAWBACK);
    world.must(&issuer, pay(&holder, usd.clone(), 10));
    let flagged = hold(&mut world, &holder, &usd, 3, &holder);
    let minted = hold(&mut world, &issuer, &usd, 3, &holder);
    world.must(&issuer, set_trust_flags(&holder, &usd, 4, 0));
    world.must(&issuer, options(|o| o.clear_flags = Some(CLAWBACK)));
    let clean = hold(&mut world, &holder, &usd, 3, &holder);
    let minted_clean = hold(&mut world, &issuer, &usd, 3, &holder);

    assert_eq!(world.one(&holder, claw_back_balance(&flagged)), clawed_balance(R::NotIssuer));
    assert_eq!(world.counters(&holder).2, 2);
    world.must(&issuer, claw_back_balance(&flagged));
    assert_eq!(world.counters(&holder).2, 1);
    assert!(world.claimable(&flagged).is_none());
    assert_eq!(world.one(&issuer, claw_back_balance(&flagged)), clawed_balance(R::DoesNotExist));
    world.must(&issuer, claw_back_balance(&minted));
    for id in [clean, minted_clean] {
        assert_eq!(world.one(&issuer, claw_back_balance(&id)), clawed_balance(R::NotClawbackEnabled));
        world.must(&holder, claim(&id));
    }
    let native = hold(&mut world, &holder, &Asset::Native, XLM, &holder);
    assert_eq!(world.one(&issuer, claw_back_balance(&native)), clawed_balance(R::NotIssuer));
    assert_eq!(world.trustline(&holder, &usd).unwrap().balance, 10);
}
