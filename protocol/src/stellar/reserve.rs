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
