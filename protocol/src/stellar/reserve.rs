//! Reserves and fees: what an account can really spend.

use stellar_xdr::{Operation, OperationBody};

use crate::amount::Stroops;
use crate::asset::Asset;
use crate::stellar::entry::AccountState;
use crate::stellar::xdr;

/// What the ledger charges, as its newest header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerParams {
    /// Native coins locked for one entry.
    pub base_reserve: Stroops,
    /// Least fee for one operation.
    pub base_fee: Stroops,
}

const fn stroops(amount: i64) -> Stroops {
    Stroops::new(amount).expect("a constant above zero")
}

impl LedgerParams {
    /// The public networks' values, used until the ledger's own were read.
    pub const USUAL: Self = Self { base_reserve: stroops(5_000_000), base_fee: stroops(100) };

    /// Native coins locked for so many entries; saturates.
    pub fn reserves(&self, entries: u32) -> Stroops {
        self.base_reserve.times(u64::from(entries)).unwrap_or(Stroops::MAX)
    }

    /// The least fee of a transaction with so many operations; saturates.
    pub fn fee(&self, operations: u32) -> Stroops {
        self.base_fee.times(u64::from(operations.max(1))).unwrap_or(Stroops::MAX)
    }

    /// What must stay in an account: (2 + sub-entries + sponsoring − sponsored) base reserves.
    pub fn min_balance(&self, account: &AccountState) -> Stroops {
        let entries = (2 + u64::from(account.sub_entries) + u64::from(account.sponsoring))
            .saturating_sub(u64::from(account.sponsored));
        self.base_reserve.times(entries).unwrap_or(Stroops::MAX)
    }

    /// Native coins that an account can spend: its balance without reserves and selling liabilities.
    pub fn available(&self, account: &AccountState) -> Stroops {
        let spendable = account.balance.minus(self.min_balance(account));
        spendable.and_then(|left| left.minus(account.selling)).unwrap_or_default()
    }

    /// What operations take out of their source account in `asset`: payments, claimable balances with their reserves,
    /// accounts created. Fees are not among them.
    pub fn outflow(&self, operations: &[Operation], asset: &Asset) -> Stroops {
        let wanted = xdr::asset(asset);
        let native = asset.is_native();
        let mut sum = Stroops::ZERO;
        for operation in operations {
            let taken = match &operation.body {
                OperationBody::Payment(op) if op.asset == wanted => Stroops::new(op.amount),
                OperationBody::CreateAccount(op) if native => Stroops::new(op.starting_balance),
                OperationBody::CreateClaimableBalance(op) => {
                    let reserve = if native { self.reserves(op.claimants.len() as u32) } else { Stroops::ZERO };
                    let amount = if op.asset == wanted { Stroops::new(op.amount) } else { None };
                    amount.unwrap_or_default().plus(reserve)
                }
                _ => None,
            };
            sum = sum.plus(taken.unwrap_or_default()).unwrap_or(Stroops::MAX);
        }
        sum
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::account::AccountId;
    use crate::message::BalanceId;
    use crate::stellar::entry::{BalanceClaimant, Thresholds};
    use crate::stellar::operation;
    use crate::stellar::predicate::Predicate;

    fn account(sub_entries: u32, sponsoring: u32, sponsored: u32) -> AccountState {
        AccountState {
            id: AccountId::from_bytes([1; 32]),
            balance: Stroops::whole(100),
            sequence: 1,
            sub_entries,
            sponsoring,
            sponsored,
            thresholds: Thresholds { master: 1, low: 0, medium: 0, high: 0 },
            signers: Vec::new(),
            flags: 0,
            selling: Stroops::whole(1),
            buying: Stroops::ZERO,
        }
    }

    #[test]
    fn what_stays_in_an_account_counts_its_entries_and_sponsorships() {
        let params = LedgerParams::USUAL;
        for (entries, sponsoring, sponsored, coins) in
            [(0, 0, 0, "1.0000000"), (3, 0, 0, "2.5000000"), (0, 5, 0, "3.5000000"), (1, 0, 3, "0.0000000")]
        {
            let account = account(entries, sponsoring, sponsored);
            assert_eq!(params.min_balance(&account).coins(), coins);
            let free = account.balance.minus(params.min_balance(&account)).unwrap().minus(Stroops::whole(1));
            assert_eq!(params.available(&account), free.unwrap());
        }
        let genesis = LedgerParams { base_reserve: Stroops::whole(10), ..params };
        assert_eq!(genesis.available(&account(8, 0, 0)), Stroops::ZERO, "nothing is free below the reserve");
        assert_eq!(params.min_balance(&account(u32::MAX, u32::MAX, 0)).get(), (2 + 2 * (u32::MAX as i64)) * 5_000_000);
    }

    #[test]
    fn an_outflow_counts_amounts_starting_balances_and_reserves_of_its_asset_alone() {
        let params = LedgerParams::USUAL;
        let to = AccountId::from_bytes([2; 32]);
        let hexa = Asset::issued("HEXA", to).unwrap();
        let claimants = [
            BalanceClaimant { account: to, predicate: Predicate::Always },
            BalanceClaimant { account: AccountId::from_bytes([3; 32]), predicate: Predicate::Never },
        ];
        let operations = [
            operation::pay(to, &Asset::Native, Stroops::whole(1)),
            operation::pay(to, &hexa, Stroops::whole(20)),
            operation::create_account(to, Stroops::whole(300)),
            operation::create_balance(&Asset::Native, Stroops::whole(4_000), &claimants).unwrap(),
            operation::create_balance(&hexa, Stroops::whole(50_000), &claimants).unwrap(),
            operation::claim(BalanceId::from_bytes([4; 32])),
        ];
        assert_eq!(params.outflow(&operations, &Asset::Native), Stroops::whole(4_301 + 2));
        assert_eq!(params.outflow(&operations, &hexa), Stroops::whole(50_020));
        let too_much = [operation::pay(to, &hexa, Stroops::MAX), operation::pay(to, &hexa, Stroops::MAX)];
        assert_eq!(params.outflow(&too_much, &hexa), Stroops::MAX);
        assert_eq!((params.fee(0), params.fee(3)), (Stroops::new(100).unwrap(), Stroops::new(300).unwrap()));
    }
}
