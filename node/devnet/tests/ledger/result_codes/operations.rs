//! One case for each result code of each operation that the ledger implements.

use stellar_xdr::*;

use super::Case::{self, Argued, Reached};
use crate::world::*;

const NOW: ClaimPredicate = ClaimPredicate::Unconditional;
const REQUIRED: u32 = AccountFlags::RequiredFlag as u32;
const REVOCABLE: u32 = AccountFlags::RevocableFlag as u32;
const CLAWBACK: u32 = REVOCABLE | AccountFlags::ClawbackEnabledFlag as u32;

/// One operation of an account, signed by it.
fn one(world: &World, source: &Key, body: OperationBody) -> TransactionEnvelope {
    world.next(source).op(body).sign(world, &[source])
}

fn pair(world: &mut World) -> (Key, Key) {
    (world.account("a", 100 * XLM), world.account("b", 100 * XLM))
}

/// An account with reserves for itself alone, and fees.
fn poor(world: &mut World) -> Key {
    let key = world.account("poor", 2 * XLM);
    world.drain_to(&key, 2 * RESERVE + 1_000);
    key
}

/// An issuer with these flags, a holder with a line of 100 to its USD, empty.
fn issued(world: &mut World, flags: u32) -> (Key, Key, Asset) {
    let (issuer, holder) = pair(world);
    let usd = issuer.asset("USD");
    world.must(&issuer, options(|o| o.set_flags = Some(flags)));
    world.must(&holder, trust(&usd, 100));
    (issuer, holder, usd)
}

fn hold(world: &mut World, by: &Key, asset: Asset, to: &Key) -> ClaimableBalanceId {
    let tx = world.next(by);
    let id = balance_id(by, tx.tx.seq_num.0, 0);
    assert!(world.run(tx.op(create_balance(asset, 5, vec![claimant(to, NOW)])), &[by]).succeeded());
    id
}

pub fn create_account(code: CreateAccountResultCode) -> Case {
    use CreateAccountResultCode as C;
    fn case(world: &mut World, balance: i64) -> TransactionEnvelope {
        let (a, _) = pair(world);
        one(world, &a, crate::world::create_account(&Key::of("new"), balance))
    }
    match code {
        C::Success => Reached(|w| case(w, XLM)),
        C::Malformed => Reached(|w| case(w, -1)),
        C::Underfunded => Reached(|w| case(w, 1_000 * XLM)),
        C::LowReserve => Reached(|w| case(w, 2 * RESERVE - 1)),
        C::AlreadyExist => Reached(|w| {
            let (a, b) = pair(w);
            one(w, &a, crate::world::create_account(&b, XLM))
        }),
    }
}

pub fn payment(code: PaymentResultCode) -> Case {
    use PaymentResultCode as C;
    match code {
        C::Success => Reached(|w| {
            let (a, b) = pair(w);
            one(w, &a, pay(&b, Asset::Native, 1))
        }),
        C::Malformed => Reached(|w| {
            let (a, b) = pair(w);
            one(w, &a, pay(&b, Asset::Native, 0))
        }),
        C::Underfunded => Reached(|w| {
            let (a, b) = pair(w);
            one(w, &a, pay(&b, Asset::Native, 1_000 * XLM))
        }),
        C::SrcNoTrust => Reached(|w| {
            let (issuer, _, usd) = issued(w, 0);
            let c = w.account("c", 10 * XLM);
            one(w, &c, pay(&issuer, usd, 1))
        }),
        C::SrcNotAuthorized => Reached(|w| {
            let (issuer, holder, usd) = issued(w, REQUIRED);
            one(w, &holder, pay(&issuer, usd, 1))
        }),
        C::NoDestination => Reached(|w| {
            let (a, _) = pair(w);
            one(w, &a, pay(&Key::of("absent"), Asset::Native, 1))
        }),
        C::NoTrust => Reached(|w| {
            let (a, b) = pair(w);
            one(w, &a, pay(&b, a.asset("USD"), 1))
        }),
        C::NotAuthorized => Reached(|w| {
            let (issuer, holder, usd) = issued(w, REQUIRED);
            one(w, &issuer, pay(&holder, usd, 1))
        }),
        C::LineFull => Reached(|w| {
            let (issuer, holder, usd) = issued(w, 0);
            one(w, &issuer, pay(&holder, usd, 101))
        }),
        C::NoIssuer => Argued("since protocol 13 a payment doesn't look whether the issuer exists"),
    }
}

pub fn set_options(code: SetOptionsResultCode) -> Case {
    use SetOptionsResultCode as C;
    fn case(world: &mut World, set: impl FnOnce(&mut SetOptionsOp)) -> TransactionEnvelope {
        let (a, _) = pair(world);
        one(world, &a, options(set))
    }
    match code {
        C::Success => Reached(|w| case(w, |_| {})),
        C::LowReserve => Reached(|w| {
            let key = poor(w);
            one(w, &key, add_signer(Key::of("s").signer(), 1))
        }),
        C::TooManySigners => Reached(|w| {
            let (a, _) = pair(w);
            for n in 0..20 {
                w.must(&a, add_signer(SignerKey::HashX(Uint256([n; 32])), 1));
            }
            one(w, &a, add_signer(SignerKey::HashX(Uint256([20; 32])), 1))
        }),
        C::BadFlags => Reached(|w| case(w, |o| (o.set_flags, o.clear_flags) = (Some(1), Some(1)))),
        C::InvalidInflation => Reached(|w| case(w, |o| o.inflation_dest = Some(Key::of("absent").id()))),
        C::CantChange => Reached(|w| {
            let (a, _) = pair(w);
            w.must(&a, options(|o| o.set_flags = Some(AccountFlags::ImmutableFlag as u32)));
            one(w, &a, options(|o| o.set_flags = Some(REQUIRED)))
        }),
        C::UnknownFlag => Reached(|w| case(w, |o| o.set_flags = Some(16))),
        C::ThresholdOutOfRange => Reached(|w| case(w, |o| o.low_threshold = Some(256))),
        C::BadSigner => Reached(|w| {
            let (a, _) = pair(w);
            one(w, &a, add_signer(a.signer(), 1))
        }),
        C::InvalidHomeDomain => Reached(|w| case(w, |o| o.home_domain = Some(String32("\u{7f}".try_into().unwrap())))),
        C::AuthRevocableRequired => Reached(|w| case(w, |o| o.set_flags = Some(CLAWBACK & !REVOCABLE))),
    }
}

pub fn change_trust(code: ChangeTrustResultCode) -> Case {
    use ChangeTrustResultCode as C;
    match code {
        C::Success => Reached(|w| {
            let (a, b) = pair(w);
            one(w, &a, trust(&b.asset("USD"), 1))
        }),
        C::Malformed => Reached(|w| {
            let (a, _) = pair(w);
            one(w, &a, trust(&a.asset("USD"), 1))
        }),
        C::NoIssuer => Reached(|w| {
            let (a, _) = pair(w);
            one(w, &a, trust(&Key::of("absent").asset("USD"), 1))
        }),
        C::InvalidLimit => Reached(|w| {
            let (a, b) = pair(w);
            one(w, &a, trust(&b.asset("USD"), 0))
        }),
        C::LowReserve => Reached(|w| {
            let key = poor(w);
            one(w, &key, trust(&w.root.asset("USD"), 1))
        }),
        C::SelfNotAllowed => Argued("since protocol 16 trusting oneself is malformed"),
        C::TrustLineMissing => Reached(|w| {
            let (a, b) = pair(w);
            one(w, &a, trust_pool(pool_of(&b.asset("USD")), 1))
        }),
        C::CannotDelete => Reached(|w| {
            let (_, holder, usd) = issued(w, 0);
            w.must(&holder, trust_pool(pool_of(&usd), 1));
            one(w, &holder, trust(&usd, 0))
        }),
        C::NotAuthMaintainLiabilities => Reached(|w| {
            let (_, holder, usd) = issued(w, REQUIRED);
            one(w, &holder, trust_pool(pool_of(&usd), 1))
        }),
    }
}

pub fn account_merge(code: AccountMergeResultCode) -> Case {
    use AccountMergeResultCode as C;
    match code {
        C::Success => Reached(|w| {
            let (a, b) = pair(w);
            one(w, &a, merge(&b))
        }),
        C::Malformed => Reached(|w| {
            let (a, _) = pair(w);
            one(w, &a, merge(&a))
        }),
        C::NoAccount => Reached(|w| {
            let (a, _) = pair(w);
            one(w, &a, merge(&Key::of("absent")))
        }),
        C::ImmutableSet => Reached(|w| {
            let (a, b) = pair(w);
            w.must(&a, options(|o| o.set_flags = Some(AccountFlags::ImmutableFlag as u32)));
            one(w, &a, merge(&b))
        }),
        C::HasSubEntries => Reached(|w| {
            let (a, b) = pair(w);
            w.must(&a, data("n", Some(b"v")));
            one(w, &a, merge(&b))
        }),
        C::SeqnumTooFar => Reached(|w| {
            let (a, b) = pair(w);
            w.must(&a, bump_to(i64::from(w.ledger.sequence() + 100) << 32));
            one(w, &a, merge(&b))
        }),
        C::DestFull => Argued("all coin that there is, 10^18 stroops, is less than an account can hold"),
        C::IsSponsor => Reached(|w| {
            let (a, b) = pair(w);
            hold(w, &a, Asset::Native, &b);
            one(w, &a, merge(&b))
        }),
    }
}

pub fn manage_data(code: ManageDataResultCode) -> Case {
    use ManageDataResultCode as C;
    match code {
        C::Success => Reached(|w| {
            let (a, _) = pair(w);
            one(w, &a, data("n", Some(b"v")))
        }),
        C::NotSupportedYet => Argued("only before protocol 2"),
        C::NameNotFound => Reached(|w| {
            let (a, _) = pair(w);
            one(w, &a, data("n", None))
        }),
        C::LowReserve => Reached(|w| {
            let key = poor(w);
            one(w, &key, data("n", Some(b"v")))
        }),
        C::InvalidName => Reached(|w| {
            let (a, _) = pair(w);
            one(w, &a, data("", Some(b"v")))
        }),
    }
}

pub fn bump_sequence(code: BumpSequenceResultCode) -> Case {
    fn case(world: &mut World, to: i64) -> TransactionEnvelope {
        let (a, _) = pair(world);
        one(world, &a, bump_to(to))
    }
    match code {
        BumpSequenceResultCode::Success => Reached(|w| case(w, 0)),
        BumpSequenceResultCode::BadSeq => Reached(|w| case(w, -1)),
    }
}

pub fn create_claimable_balance(code: CreateClaimableBalanceResultCode) -> Case {
    use CreateClaimableBalanceResultCode as C;
    fn native(world: &mut World, source: &Key, amount: i64) -> TransactionEnvelope {
        one(world, source, create_balance(Asset::Native, amount, vec![claimant(source, NOW)]))
    }
    match code {
        C::Success => Reached(|w| {
            let (a, _) = pair(w);
            native(w, &a, 1)
        }),
        C::Malformed => Reached(|w| {
            let (a, _) = pair(w);
            native(w, &a, 0)
        }),
        C::LowReserve => Reached(|w| {
            let key = poor(w);
            native(w, &key, 1)
        }),
        C::NoTrust => Reached(|w| {
            let (a, b) = pair(w);
            one(w, &a, create_balance(b.asset("USD"), 1, vec![claimant(&a, NOW)]))
        }),
        C::NotAuthorized => Reached(|w| {
            let (_, holder, usd) = issued(w, REQUIRED);
            one(w, &holder, create_balance(usd, 1, vec![claimant(&holder, NOW)]))
        }),
        C::Underfunded => Reached(|w| {
            let (a, _) = pair(w);
            native(w, &a, 1_000 * XLM)
        }),
    }
}

pub fn claim_claimable_balance(code: ClaimClaimableBalanceResultCode) -> Case {
    use ClaimClaimableBalanceResultCode as C;
    match code {
        C::Success => Reached(|w| {
            let (a, b) = pair(w);
            let id = hold(w, &a, Asset::Native, &b);
            one(w, &b, claim(&id))
        }),
        C::DoesNotExist => Reached(|w| {
            let (a, _) = pair(w);
            one(w, &a, claim(&balance_id(&a, 1, 0)))
        }),
        C::CannotClaim => Reached(|w| {
            let (a, b) = pair(w);
            let id = hold(w, &a, Asset::Native, &b);
            one(w, &a, claim(&id))
        }),
        C::LineFull => Reached(|w| {
            let (issuer, holder, usd) = issued(w, 0);
            let id = hold(w, &issuer, usd.clone(), &holder);
            w.must(&issuer, pay(&holder, usd, 100));
            one(w, &holder, claim(&id))
        }),
        C::NoTrust => Reached(|w| {
            let (a, b) = pair(w);
            let id = hold(w, &a, a.asset("USD"), &b);
            one(w, &b, claim(&id))
        }),
        C::NotAuthorized => Reached(|w| {
            let (issuer, holder, usd) = issued(w, REQUIRED);
            let id = hold(w, &issuer, usd, &holder);
            one(w, &holder, claim(&id))
        }),
        C::TrustlineFrozen => Argued("keys are frozen by a vote of validators alone (CAP-77), and here are none"),
    }
}

pub fn begin_sponsoring(code: BeginSponsoringFutureReservesResultCode) -> Case {
    use BeginSponsoringFutureReservesResultCode as C;
    match code {
        C::Success => Reached(|w| {
            let (a, b) = pair(w);
            w.next(&a).op(begin(&b)).op_by(&b, end()).sign(w, &[&a, &b])
        }),
        C::Malformed => Reached(|w| {
            let (a, _) = pair(w);
            one(w, &a, begin(&a))
        }),
        C::AlreadySponsored => Reached(|w| {
            let (a, b) = pair(w);
            w.next(&a).op(begin(&b)).op(begin(&b)).op_by(&b, end()).sign(w, &[&a, &b])
        }),
        C::Recursive => Reached(|w| {
            let (a, b) = pair(w);
            w.next(&a).op(begin(&b)).op_by(&b, begin(&a)).op_by(&b, end()).sign(w, &[&a, &b])
        }),
    }
}

pub fn end_sponsoring(code: EndSponsoringFutureReservesResultCode) -> Case {
    match code {
        EndSponsoringFutureReservesResultCode::Success => Reached(|w| {
            let (a, b) = pair(w);
            w.next(&a).op(begin(&b)).op_by(&b, end()).sign(w, &[&a, &b])
        }),
        EndSponsoringFutureReservesResultCode::NotSponsored => Reached(|w| {
            let (a, _) = pair(w);
            one(w, &a, end())
        }),
    }
}

pub fn revoke_sponsorship(code: RevokeSponsorshipResultCode) -> Case {
    use RevokeSponsorshipResultCode as C;
    match code {
        C::Success => Reached(|w| {
            let (a, _) = pair(w);
            one(w, &a, revoke(account_key(&a)))
        }),
        C::DoesNotExist => Reached(|w| {
            let (a, _) = pair(w);
            one(w, &a, revoke(data_key(&a, "n")))
        }),
        C::NotSponsor => Reached(|w| {
            let (a, b) = pair(w);
            one(w, &a, revoke(account_key(&b)))
        }),
        C::LowReserve => Reached(|w| {
            let (a, new) = (w.account("a", 10 * XLM), Key::of("new"));
            let tx = w.next(&a).op(begin(&new)).op(crate::world::create_account(&new, 0)).op_by(&new, end());
            assert!(w.run(tx, &[&a, &new]).succeeded());
            one(w, &a, revoke(account_key(&new)))
        }),
        C::OnlyTransferable => Reached(|w| {
            let (a, b) = pair(w);
            let id = hold(w, &a, Asset::Native, &b);
            one(w, &a, revoke(balance_key(&id)))
        }),
        C::Malformed => Reached(|w| {
            let (a, _) = pair(w);
            one(w, &a, revoke(data_key(&a, "")))
        }),
    }
}

pub fn clawback(code: ClawbackResultCode) -> Case {
    use ClawbackResultCode as C;
    match code {
        C::Success => Reached(|w| {
            let (issuer, holder, usd) = issued(w, CLAWBACK);
            w.must(&issuer, pay(&holder, usd.clone(), 5));
            one(w, &issuer, claw_back(&holder, &usd, 5))
        }),
        C::Malformed => Reached(|w| {
            let (issuer, holder, usd) = issued(w, CLAWBACK);
            one(w, &issuer, claw_back(&holder, &usd, 0))
        }),
        C::NotClawbackEnabled => Reached(|w| {
            let (issuer, holder, usd) = issued(w, 0);
            one(w, &issuer, claw_back(&holder, &usd, 1))
        }),
        C::NoTrust => Reached(|w| {
            let (a, b) = pair(w);
            one(w, &a, claw_back(&b, &a.asset("USD"), 1))
        }),
        C::Underfunded => Reached(|w| {
            let (issuer, holder, usd) = issued(w, CLAWBACK);
            one(w, &issuer, claw_back(&holder, &usd, 1))
        }),
    }
}

pub fn clawback_claimable_balance(code: ClawbackClaimableBalanceResultCode) -> Case {
    use ClawbackClaimableBalanceResultCode as C;
    match code {
        C::Success => Reached(|w| {
            let (issuer, holder, usd) = issued(w, CLAWBACK);
            let id = hold(w, &issuer, usd, &holder);
            one(w, &issuer, claw_back_balance(&id))
        }),
        C::DoesNotExist => Reached(|w| {
            let (a, _) = pair(w);
            one(w, &a, claw_back_balance(&balance_id(&a, 1, 0)))
        }),
        C::NotIssuer => Reached(|w| {
            let (a, b) = pair(w);
            let id = hold(w, &a, Asset::Native, &b);
            one(w, &a, claw_back_balance(&id))
        }),
        C::NotClawbackEnabled => Reached(|w| {
            let (issuer, holder, usd) = issued(w, 0);
            let id = hold(w, &issuer, usd, &holder);
            one(w, &issuer, claw_back_balance(&id))
        }),
    }
}

pub fn set_trust_line_flags(code: SetTrustLineFlagsResultCode) -> Case {
    use SetTrustLineFlagsResultCode as C;
    fn case(world: &mut World, flags: u32, clear: u32, set: u32) -> TransactionEnvelope {
        let (issuer, holder, usd) = issued(world, flags);
        one(world, &issuer, set_trust_flags(&holder, &usd, clear, set))
    }
    match code {
        C::Success => Reached(|w| case(w, REVOCABLE, 1, 0)),
        C::Malformed => Reached(|w| case(w, REVOCABLE, 0, 4)),
        C::NoTrustLine => Reached(|w| {
            let (a, b) = pair(w);
            one(w, &a, set_trust_flags(&b, &a.asset("USD"), 0, 1))
        }),
        C::CantRevoke => Reached(|w| case(w, 0, 1, 0)),
        C::InvalidState => Reached(|w| case(w, REVOCABLE, 0, 2)),
        C::LowReserve => Argued("only where a revocation redeems deposits in liquidity pools, and there are none"),
    }
}
