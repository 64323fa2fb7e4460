//! Whether an account can afford what is about to be asked of it, to the stroop.

use crate::amount::Stroops;
use crate::stellar::entry::{AccountState, TrustlineState};
use crate::stellar::reserve::LedgerParams;

/// What a transaction needs in native coins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Coins that leave the account.
    pub amount: Stroops,
    /// Base reserves that are locked until the entries they stand for are gone.
    pub reserves: u32,
    /// The most that fees may cost.
    pub fees: Stroops,
}

/// An account has too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} is missing: {} is needed and {} is free; add it or wait for open transactions", .missing.coins(), .needed.coins(), .free.coins())]
pub struct Short {
    /// How much has to be added.
    pub missing: Stroops,
    /// How much is needed.
    pub needed: Stroops,
    /// How much is free: without reserves, liabilities and what open transactions will take.
    pub free: Stroops,
}

fn compare(needed: Stroops, free: Stroops) -> Result<(), Short> {
    match needed.minus(free) {
        Some(missing) if !missing.is_zero() => Err(Short { missing, needed, free }),
        _ => Ok(()),
    }
}

/// Checks native coins: amount, new reserves and fees against what is free after `committed`.
///
/// # Errors
/// [`Short`] with the figure that is missing.
pub fn affordable(
    account: &AccountState,
    params: &LedgerParams,
    committed: Stroops,
    needs: &Needs,
) -> Result<(), Short> {
    let needed = needs.amount.plus(params.reserves(needs.reserves)).and_then(|sum| sum.plus(needs.fees));
    let free = params.available(account).minus(committed).unwrap_or_default();
    compare(needed.unwrap_or(Stroops::MAX), free)
}

/// Checks an issued asset: `amount` against what the trustline can pay after `committed`.
///
/// # Errors
/// [`Short`] with the figure that is missing; all of it where there is no authorised trustline.
pub fn affordable_in(line: Option<&TrustlineState>, committed: Stroops, amount: Stroops) -> Result<(), Short> {
    let line = line.filter(|line| line.is_authorized());
    let free = line.and_then(|line| line.available().minus(committed)).unwrap_or_default();
    compare(amount, free)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::account::AccountId;
    use crate::asset::Asset;
    use crate::bond;
    use crate::stellar::entry::{LINE_AUTHORIZED, Thresholds};

    fn account(balance: i64) -> AccountState {
        AccountState {
            id: AccountId::from_bytes([1; 32]),
            balance: Stroops::new(balance).unwrap(),
            sequence: 1,
            sub_entries: 1,
            sponsoring: 2,
            sponsored: 1,
            thresholds: Thresholds { master: 1, low: 0, medium: 0, high: 0 },
            signers: Vec::new(),
            flags: 0,
            selling: Stroops::new(7).unwrap(),
            buying: Stroops::ZERO,
            sequence_at: None,
        }
    }

    #[test]
    fn a6_one_stroop_short_is_refused_with_the_figure_and_exactly_enough_is_accepted() {
        let params = LedgerParams::USUAL;
        let needs = Needs { amount: Stroops::whole(10), reserves: bond::RESERVES, fees: params.fee(1) };
        let committed = Stroops::new(1_234).unwrap();
        // (2 + 1 + 2 - 1) reserves stay, 7 stroops are offered for sale, 1,234 are committed.
        let enough = 4 * 5_000_000 + 7 + 1_234 + 100_000_000 + 2 * 5_000_000 + 100;
        assert_eq!(affordable(&account(enough), &params, committed, &needs), Ok(()));
        let short = affordable(&account(enough - 1), &params, committed, &needs).unwrap_err();
        assert_eq!(short.missing.get(), 1);
        assert_eq!(short.needed.get(), 110_000_100);
        assert!(short.to_string().starts_with("0.0000001 is missing"), "{short}");
        let poor = affordable(&account(0), &params, committed, &needs).unwrap_err();
        assert_eq!(poor.missing, poor.needed);
    }

    #[test]
    fn needs_beyond_the_ledgers_limit_are_short_and_do_not_overflow() {
        let needs = Needs { amount: Stroops::MAX, reserves: u32::MAX, fees: Stroops::MAX };
        assert!(affordable(&account(i64::MAX), &LedgerParams::USUAL, Stroops::ZERO, &needs).is_err());
    }

    #[test]
    fn an_issued_asset_needs_an_authorised_line_with_enough() {
        let mut line = TrustlineState {
            account: AccountId::from_bytes([1; 32]),
            asset: Asset::issued("HEXA", AccountId::from_bytes([2; 32])).unwrap(),
            balance: Stroops::new(100).unwrap(),
            limit: Stroops::MAX,
            flags: LINE_AUTHORIZED,
            selling: Stroops::new(10).unwrap(),
            buying: Stroops::ZERO,
        };
        let (five, amount) = (Stroops::new(5).unwrap(), Stroops::new(85).unwrap());
        assert_eq!(affordable_in(Some(&line), five, amount), Ok(()));
        assert_eq!(affordable_in(Some(&line), five, amount.plus(five).unwrap()).unwrap_err().missing, five);
        line.flags = 0;
        assert_eq!(affordable_in(Some(&line), five, amount).unwrap_err().missing, amount);
        assert_eq!(affordable_in(None, five, amount).unwrap_err().missing, amount);
    }
}
