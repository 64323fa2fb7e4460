//! An escrow in an asset that its issuer may claw back, which this node's owner accepts by name: the flag is no difference,
//! everything else is.

use super::*;
use crate::escrow::terms::EscrowTerms;

const LINE_MAINTAIN: u32 = 2;

/// What stands where the issuer may claw it back.
fn clawable(terms: &ArbitratedTerms) -> (BalanceState, AccountState, TrustlineState) {
    let (balance, account, line) = standing(terms);
    let line = TrustlineState { flags: LINE_AUTHORIZED | LINE_CLAWBACK_ENABLED, ..line.unwrap() };
    (BalanceState { clawback_enabled: true, ..balance }, account, line)
}

fn verify_accepting(
    terms: &ArbitratedTerms,
    balance: &BalanceState,
    others: impl IntoIterator<Item = Entry>,
    accepts_clawback: bool,
) -> Result<VerifiedEscrow, EscrowMismatch> {
    let others: Vec<Entry> = others.into_iter().collect();
    EscrowTerms::Arbitrated(terms.clone()).verify(balance, &others, accepts_clawback, &network())
}

#[test]
fn what_the_issuer_may_claw_back_is_taken_where_that_is_accepted_and_else_refused() {
    for n in [1, 3, 9] {
        let terms = terms_of(n, hexa());
        let (balance, account, line) = clawable(&terms);
        let plain = standing(&terms);
        // The issuer may have become able to between the consumer's trustline and the controller's.
        for balance in [&balance, &plain.0] {
            for line in [&line, plain.2.as_ref().unwrap()] {
                let entries = || [Entry::Account(account.clone()), Entry::Trustline(line.clone())];
                let seen = verify_accepting(&terms, balance, entries(), true).unwrap();
                assert_eq!((seen.balance(), seen.amount()), (terms.balance_at(SEQUENCE), Stroops::whole(20)));
                let clawable = balance.clawback_enabled || line.flags & LINE_CLAWBACK_ENABLED != 0;
                assert_eq!(verify_accepting(&terms, balance, entries(), false).is_err(), clawable);
            }
        }
    }
}

#[test]
fn accepting_a_clawback_accepts_nothing_else() {
    let mut count = 0;
    for n in [1, 3] {
        let terms = terms_of(n, hexa());
        let (balance, account, line) = clawable(&terms);
        let mut refused = |balance: &BalanceState, account: Option<&AccountState>, line: Option<&TrustlineState>| {
            let entries = account.cloned().map(Entry::Account).into_iter().chain(line.cloned().map(Entry::Trustline));
            let verdict = verify_accepting(&terms, balance, entries, true);
            assert!(verdict.is_err(), "{balance:?} {account:?} {line:?}");
            count += 1;
        };
        let mut balances: Vec<BalanceState> = Vec::new();
        for (claimants, _) in wrong_claimants(&balance.claimants) {
            balances.push(BalanceState { claimants, ..balance.clone() });
        }
        balances.extend(other_assets(terms.asset()).into_iter().map(|asset| BalanceState { asset, ..balance.clone() }));
        let amounts = AMOUNTS.into_iter().map(|amount| Stroops::new(amount).unwrap());
        balances.extend(amounts.map(|amount| BalanceState { amount, ..balance.clone() }));
        let sponsors = [None, Some(recipient()), Some(controller_account())];
        balances.extend(sponsors.map(|sponsor| BalanceState { sponsor, ..balance.clone() }));
        for balance in &balances {
            refused(balance, Some(&account), Some(&line));
        }
        for account in &wrong_controllers(&account) {
            refused(&balance, Some(account), Some(&line));
        }
        refused(&balance, None, Some(&line));
        // A line whose issuer doesn't let it hold anything is none, whatever else its issuer may.
        let unauthorised = [LINE_CLAWBACK_ENABLED, LINE_CLAWBACK_ENABLED | LINE_MAINTAIN];
        let unauthorised = unauthorised.map(|flags| Some(TrustlineState { flags, ..line.clone() }));
        let only_the_flag = |line: &Option<TrustlineState>| {
            line.as_ref().is_some_and(|line| line.flags == LINE_AUTHORIZED | LINE_CLAWBACK_ENABLED)
        };
        let right = TrustlineState { flags: LINE_AUTHORIZED, ..line.clone() };
        let lines = wrong_lines(&line).into_iter().chain(wrong_lines(&right).into_iter().filter(|l| !only_the_flag(l)));
        for wrong in lines.chain(unauthorised).filter(|wrong| wrong.as_ref() != Some(&line)) {
            refused(&balance, Some(&account), wrong.as_ref());
        }
    }
    println!("{count} clawable escrows, each with one more field changed, were refused");
    assert!(count > 500, "{count}");
}
