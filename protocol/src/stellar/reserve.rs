//! Reserves and fees: what an account can really spend.

use stellar_xdr::{Asset as XdrAsset, Operation, OperationBody};

use crate::account::AccountId;
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

    /// What operations take out of `source` in `asset` at their deepest: payments, claimable balances with their
    /// reserves, accounts created, the reserve of a trustline or data entry as if it were new; less what other accounts'
    /// payments brought before, and what an entry's deletion gives back. Fees are not among them.
    pub fn outflow(&self, source: AccountId, operations: &[Operation], asset: &Asset) -> Stroops {
        let wanted = xdr::asset(asset);
        let (mut level, mut lowest) = (0i128, 0i128);
        for operation in operations {
            let own = operation.source_account.as_ref().is_none_or(|by| xdr::read_plain(by) == Some(source));
            match &operation.body {
                OperationBody::Payment(op)
                    if !own && op.asset == wanted && xdr::read_plain(&op.destination) == Some(source) =>
                {
                    level += i128::from(op.amount);
                }
                // What is deleted here was set here: our own transactions delete no other entries.
                OperationBody::ManageData(op) if own && op.data_value.is_none() && asset.is_native() => {
                    level += i128::from(self.reserves(1).get());
                }
                body if own => level -= self.taken_by(body, &wanted),
                _ => {}
            }
            lowest = lowest.min(level);
        }
        i64::try_from(-lowest).ok().and_then(Stroops::new).unwrap_or(Stroops::MAX)
    }

    fn taken_by(&self, body: &OperationBody, asset: &XdrAsset) -> i128 {
        let native = *asset == XdrAsset::Native;
        match body {
            OperationBody::Payment(op) if op.asset == *asset => i128::from(op.amount),
            OperationBody::ChangeTrust(op) if native && op.limit > 0 => i128::from(self.reserves(1).get()),
            OperationBody::ManageData(op) if native && op.data_value.is_some() => i128::from(self.reserves(1).get()),
            OperationBody::CreateAccount(op) if native => i128::from(op.starting_balance),
            OperationBody::CreateClaimableBalance(op) => {
                let reserve = if native { self.reserves(op.claimants.len() as u32) } else { Stroops::ZERO };
                let amount = if op.asset == *asset { op.amount } else { 0 };
                i128::from(amount) + i128::from(reserve.get())
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
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
            sequence_at: None,
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
            operation::change_trust(&hexa, Stroops::MAX).unwrap(),
            operation::change_trust(&hexa, Stroops::whole(9)).unwrap(),
            operation::change_trust(&hexa, Stroops::ZERO).unwrap(),
        ];
        let me = AccountId::from_bytes([1; 32]);
        assert_eq!(params.outflow(me, &operations, &Asset::Native), Stroops::whole(4_301 + 2 + 1));
        assert_eq!(params.outflow(me, &operations, &hexa), Stroops::whole(50_020));
        let too_much = [operation::pay(to, &hexa, Stroops::MAX), operation::pay(to, &hexa, Stroops::MAX)];
        assert_eq!(params.outflow(me, &too_much, &hexa), Stroops::MAX);
        assert_eq!((params.fee(0), params.fee(3)), (Stroops::new(100).unwrap(), Stroops::new(300).unwrap()));
    }

    #[test]
    fn what_another_account_pays_in_first_is_not_taken_out_of_this_one() {
        let params = LedgerParams::USUAL;
        let [me, other, third] = [1, 2, 3].map(|n| AccountId::from_bytes([n; 32]));
        let pay = |to, coins| operation::pay(to, &Asset::Native, Stroops::whole(coins));
        let settlement = [
            operation::by(other, operation::claim(BalanceId::from_bytes([4; 32]))),
            operation::by(other, pay(me, 20)),
            pay(third, 14),
            pay(third, 6),
        ];
        assert_eq!(params.outflow(me, &settlement, &Asset::Native), Stroops::ZERO);
        let more = [settlement.to_vec(), vec![pay(third, 3), operation::by(other, pay(me, 3))]].concat();
        assert_eq!(params.outflow(me, &more, &Asset::Native), Stroops::whole(3));
        assert_eq!(params.outflow(me, &[operation::by(other, pay(third, 9))], &Asset::Native), Stroops::ZERO);
        assert_eq!(params.outflow(me, &[operation::by(me, pay(third, 9))], &Asset::Native), Stroops::whole(9));
    }
}
