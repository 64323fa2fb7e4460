//! A ledger in a page: balances created and claimed, accounts made, configured and merged, payments, fees,
//! sequence numbers, time bounds. It looks at no signature: the shapes' own tests and the simulated world do.

use std::collections::BTreeMap;

use stellar_xdr::{
    ClaimClaimableBalanceResult, OperationBody, OperationResult, OperationResultTr, TransactionResult,
    TransactionResultExt, TransactionResultResult,
};

use super::pair::net;
use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::escrow::taking;
use crate::intent::queue::{SubmitAnswer, TxStatus};
use crate::message::{BalanceId, TxHash};
use crate::stellar::entry::{
    AccountSigner, AccountState, BalanceState, DataState, Entry, LINE_AUTHORIZED, Thresholds, TrustlineState,
    read_claimants,
};
use crate::stellar::envelope::SignedTransaction;
use crate::stellar::ledger_key::Key;
use crate::stellar::{LedgerPoint, balance_id, xdr};
use crate::time::Timestamp;

pub(super) struct Ledger {
    pub(super) accounts: BTreeMap<AccountId, AccountState>,
    pub(super) balances: BTreeMap<BalanceId, BalanceState>,
    /// Every transaction that a ledger included, in order.
    pub(super) included: Vec<(TxHash, LedgerPoint, bool, Vec<u8>)>,
    /// What was submitted and not included yet.
    pub(super) pending: Vec<Vec<u8>>,
    /// Other entries.
    pub(super) others: Vec<Entry>,
    /// The oldest ledger whose transactions are remembered.
    pub(super) oldest: u32,
    point: LedgerPoint,
}

fn result(success: bool) -> Vec<u8> {
    let gone = OperationResultTr::ClaimClaimableBalance(ClaimClaimableBalanceResult::DoesNotExist);
    let result = match success {
        true => TransactionResultResult::TxSuccess(Default::default()),
        false => TransactionResultResult::TxFailed(vec![OperationResult::OpInner(gone)].try_into().unwrap()),
    };
    xdr::write(&TransactionResult { fee_charged: 100, result, ext: TransactionResultExt::V0 }).unwrap()
}

impl Ledger {
    pub(super) fn new(accounts: impl Iterator<Item = AccountId>, at: Timestamp) -> Self {
        Self {
            accounts: accounts.map(|id| (id, fresh(id))).collect(),
            balances: BTreeMap::new(),
            included: Vec::new(),
            pending: Vec::new(),
            others: Vec::new(),
            oldest: 1,
            point: LedgerPoint::new(10, at),
        }
    }

    pub(super) fn point(&self) -> LedgerPoint {
        self.point
    }

    pub(super) fn read(&self, keys: &[Key]) -> Vec<Entry> {
        let found = keys.iter().filter_map(|key| match key {
            Key::Account(id) => self.accounts.get(id).cloned().map(Entry::Account),
            Key::Balance(id) => self.balances.get(id).cloned().map(Entry::Balance),
            other => self.others.iter().find(|entry| entry.key() == *other).cloned(),
        });
        found.collect()
    }

    pub(super) fn submit(&mut self, envelope: &[u8]) -> SubmitAnswer {
        if self.pending.iter().any(|p| p == envelope) {
            return SubmitAnswer::Duplicate;
        }
        self.pending.push(envelope.to_vec());
        SubmitAnswer::Pending
    }

    pub(super) fn status(&self, hash: TxHash) -> (TxStatus, Vec<u8>) {
        match self.included.iter().find(|(h, at, ..)| *h == hash && at.sequence >= self.oldest) {
            Some((_, at, true, envelope)) => (TxStatus::Success { at: *at, result: result(true) }, envelope.clone()),
            Some((_, at, false, _)) => (TxStatus::Failed { at: *at, result: result(false) }, Vec::new()),
            None => (TxStatus::NotFound { latest: self.point, oldest: self.oldest }, Vec::new()),
        }
    }

    /// The successful transaction that took a balance in the ledgers after one up to another.
    pub(super) fn search(&self, balance: BalanceId, after: u32, until: u32) -> Option<Vec<u8>> {
        let took = |envelope: &[u8]| taking::touches(balance, envelope, &net()).unwrap();
        let known = |at: &LedgerPoint| at.sequence > after && at.sequence <= until && at.sequence >= self.oldest;
        let found = self.included.iter().find(|(_, at, success, envelope)| *success && known(at) && took(envelope));
        found.map(|(.., envelope)| envelope.clone())
    }

    pub(super) fn close(&mut self, at: Timestamp) {
        self.point = LedgerPoint::new(self.point.sequence + 1, at);
        for envelope in core::mem::take(&mut self.pending) {
            let transaction = SignedTransaction::read_included(&envelope, &net()).unwrap();
            let bounds = transaction.bounds().unwrap();
            let (early, late) = (at < bounds.from, bounds.until.secs() != 0 && at > bounds.until);
            let late = late || bounds.before_ledger.is_some_and(|before| self.point.sequence >= before);
            let Some(account) = self.accounts.get_mut(&transaction.source()) else { continue };
            if late || transaction.sequence() <= account.sequence {
                continue;
            }
            if early || transaction.sequence() > account.sequence + 1 {
                self.pending.push(envelope);
                continue;
            }
            account.sequence += 1;
            account.balance = account.balance.minus(Stroops::new(i64::from(transaction.fee())).unwrap()).unwrap();
            let before = (self.accounts.clone(), self.balances.clone(), self.others.clone());
            let mut operations = transaction.operations().iter().enumerate();
            let success = operations.all(|(i, op)| {
                let own = op.source_account.as_ref().and_then(xdr::read_plain);
                self.apply(&transaction, own.unwrap_or(transaction.source()), i as u32, &op.body)
            });
            if !success {
                (self.accounts, self.balances, self.others) = before;
            }
            self.included.push((transaction.hash(), self.point, success, envelope));
        }
    }

    /// What an account holds of an asset, where it may; an issuer has as much as it likes.
    fn holding(&mut self, account: AccountId, asset: &Asset) -> Option<&mut Stroops> {
        if asset.is_native() {
            return self.accounts.get_mut(&account).map(|state| &mut state.balance);
        }
        self.others.iter_mut().find_map(|entry| match entry {
            Entry::Trustline(line) if (line.account, &line.asset) == (account, asset) && line.is_authorized() => {
                Some(&mut line.balance)
            }
            _ => None,
        })
    }

    fn pay_out(&mut self, account: AccountId, asset: &Asset, amount: Stroops) -> bool {
        if asset.issuer() == Some(account) {
            return true;
        }
        let Some(held) = self.holding(account, asset) else { return false };
        held.minus(amount).map(|rest| *held = rest).is_some()
    }

    fn take_in(&mut self, account: AccountId, asset: &Asset, amount: Stroops) -> bool {
        if asset.issuer() == Some(account) {
            return true;
        }
        let Some(held) = self.holding(account, asset) else { return false };
        held.plus(amount).map(|sum| *held = sum).is_some()
    }

    fn apply(
        &mut self,
        transaction: &SignedTransaction,
        source: AccountId,
        index: u32,
        operation: &OperationBody,
    ) -> bool {
        let account = self.accounts.get_mut(&source).unwrap();
        match operation {
            OperationBody::CreateClaimableBalance(create) => {
                let amount = Stroops::new(create.amount).unwrap();
                let asset = xdr::read_asset(&create.asset).unwrap();
                if !self.pay_out(source, &asset, amount) {
                    return false;
                }
                let account = self.accounts.get_mut(&source).unwrap();
                account.sponsoring += create.claimants.len() as u32;
                let id = balance_id::of_operation(transaction.source(), transaction.sequence(), index);
                let claimants = read_claimants(&create.claimants);
                let sponsor = Some(source);
                self.balances
                    .insert(id, BalanceState { id, asset, amount, claimants, clawback_enabled: false, sponsor });
                true
            }
            OperationBody::ClaimClaimableBalance(claim) => {
                let id = balance_id::from_xdr(&claim.balance_id);
                let at = self.point.close_time;
                let may =
                    |b: &BalanceState| b.claimants.iter().any(|c| c.account == source && c.predicate.holds_at(at));
                if !self.balances.get(&id).is_some_and(may) {
                    return false;
                }
                let balance = self.balances.remove(&id).unwrap();
                if !self.take_in(source, &balance.asset, balance.amount) {
                    return false;
                }
                let sponsor = self.accounts.get_mut(&balance.sponsor.unwrap()).unwrap();
                sponsor.sponsoring -= balance.claimants.len() as u32;
                true
            }
            OperationBody::Payment(pay) => {
                let amount = Stroops::new(pay.amount).unwrap();
                let (to, asset) = (xdr::read_plain(&pay.destination).unwrap(), xdr::read_asset(&pay.asset).unwrap());
                self.pay_out(source, &asset, amount) && self.take_in(to, &asset, amount)
            }
            OperationBody::ChangeTrust(change) => {
                let stellar_xdr::ChangeTrustAsset::CreditAlphanum4(asset) = &change.line else {
                    panic!("a short code")
                };
                let code = core::str::from_utf8(asset.asset_code.0.as_slice()).unwrap().trim_end_matches('\0');
                let asset = Asset::issued(code, xdr::read_account(&asset.issuer)).unwrap();
                let key = Key::Trustline(source, asset.clone());
                let before = self.others.len();
                self.others.retain(|entry| entry.key() != key);
                account.sub_entries -= (before - self.others.len()) as u32;
                if change.limit > 0 {
                    let (balance, selling, buying) = (Stroops::ZERO, Stroops::ZERO, Stroops::ZERO);
                    let limit = Stroops::new(change.limit).unwrap();
                    let flags = LINE_AUTHORIZED;
                    let line = TrustlineState { account: source, asset, balance, limit, flags, selling, buying };
                    self.others.push(Entry::Trustline(line));
                    account.sub_entries += 1;
                }
                true
            }
            OperationBody::ManageData(data) => {
                let name = data.data_name.to_string();
                let value = data.data_value.as_ref().map(|value| value.0.to_vec());
                let key = Key::Data(source, name.clone());
                let before = self.others.len();
                self.others.retain(|entry| entry.key() != key);
                account.sub_entries -= (before - self.others.len()) as u32;
                if let Some(value) = value {
                    self.others.push(Entry::Data(DataState { account: source, name, value }));
                    account.sub_entries += 1;
                }
                true
            }
            OperationBody::CreateAccount(create) => {
                let (id, balance) = (xdr::read_account(&create.destination), Stroops::new(create.starting_balance));
                account.balance = account.balance.minus(balance.unwrap()).unwrap();
                let sequence = i64::from(self.point.sequence) << 32;
                self.accounts.insert(id, AccountState { balance: balance.unwrap(), sequence, ..fresh(id) }).is_none()
            }
            OperationBody::BumpSequence(bump) => {
                account.sequence = account.sequence.max(bump.bump_to.0);
                true
            }
            OperationBody::SetOptions(set) => {
                let byte = |weight: Option<u32>, known: u8| weight.map_or(known, |w| w as u8);
                let t = account.thresholds;
                account.thresholds = Thresholds {
                    master: byte(set.master_weight, t.master),
                    low: byte(set.low_threshold, t.low),
                    medium: byte(set.med_threshold, t.medium),
                    high: byte(set.high_threshold, t.high),
                };
                if let Some(signer) = &set.signer {
                    account.signers.push(AccountSigner { key: signer.key.clone(), weight: signer.weight });
                    account.sub_entries += 1;
                }
                true
            }
            OperationBody::AccountMerge(to) => {
                let merged = self.accounts.remove(&source).unwrap();
                let to = self.accounts.get_mut(&xdr::read_plain(to).unwrap()).unwrap();
                to.balance = to.balance.plus(merged.balance).unwrap();
                merged.thresholds.master >= merged.thresholds.high
            }
            other => panic!("{} isn't scripted", other.name()),
        }
    }
}

fn fresh(id: AccountId) -> AccountState {
    AccountState {
        id,
        balance: Stroops::whole(100),
        sequence: 1 << 32,
        sub_entries: 0,
        sponsoring: 0,
        sponsored: 0,
        thresholds: Thresholds { master: 1, low: 0, medium: 0, high: 0 },
        signers: Vec::new(),
        flags: 0,
        selling: Stroops::ZERO,
        buying: Stroops::ZERO,
        sequence_at: None,
    }
}
