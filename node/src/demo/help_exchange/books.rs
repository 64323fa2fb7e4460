//! What the ledger itself says of the run: every transaction that there was, and what it did to both assets.

use std::collections::BTreeMap;

use stellar_xdr::{Memo, OperationBody, TransactionEnvelope};
use tradepost_ledger::{Ledger, RpcLedger, TxStatus};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::message::{BalanceId, TxHash};
use tradepost_protocol::stellar::entry::Entry;
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::{balance_id, xdr};

use super::super::DemoError;
use super::report::AssetRow;

/// Most entries of one read that is true of one ledger (the RPC's bound).
const MAX_KEYS: usize = 200;
/// Looks at the history that a small run takes at the most.
const MAX_LOOKS: usize = 64;

/// All that happened on the ledger, as far as it moved coins or one of the exchange's assets.
#[derive(Debug, Default)]
pub(super) struct History {
    /// What each account paid in fees, in stroops.
    pub(super) fees: BTreeMap<AccountId, i64>,
    /// The memo of each transaction that names another one.
    pub(super) named: BTreeMap<TxHash, TxHash>,
    issued: BTreeMap<Asset, i64>,
    burnt: BTreeMap<Asset, i64>,
    balances: Vec<(BalanceId, Asset, i64)>,
    accounts: Vec<AccountId>,
}

impl History {
    /// Reads all of it.
    pub(super) async fn read(ledger: &RpcLedger, assets: &[Asset]) -> Result<Self, DemoError> {
        let mut all = assets.to_vec();
        all.push(Asset::Native);
        let (mut history, mut from) = (Self::default(), 0);
        for _ in 0..MAX_LOOKS {
            let moved = ledger.movements(&all, from).await?;
            for hash in moved.transactions {
                if let TxStatus::Success(found) | TxStatus::Failed(found) = ledger.status(hash).await? {
                    let failed = matches!(found.result.result, stellar_xdr::TransactionResultResult::TxFailed(_));
                    history.take_in(hash, &found.envelope, found.result.fee_charged, failed, assets);
                }
            }
            from = moved.through.saturating_add(1);
            if from > ledger.latest().await?.sequence {
                return Ok(history);
            }
        }
        Err(DemoError::Script("the ledger's history doesn't end".to_owned()))
    }

    fn take_in(&mut self, hash: TxHash, envelope: &TransactionEnvelope, fee: i64, failed: bool, assets: &[Asset]) {
        let TransactionEnvelope::Tx(v1) = envelope else { return };
        let Some(source) = xdr::read_plain(&v1.tx.source_account) else { return };
        *self.fees.entry(source).or_default() += fee;
        if let Memo::Hash(named) = &v1.tx.memo {
            self.named.insert(hash, TxHash::from_bytes(named.0));
        }
        if failed {
            return;
        }
        for (index, operation) in v1.tx.operations.iter().enumerate() {
            let by = operation.source_account.as_ref().and_then(xdr::read_plain).unwrap_or(source);
            self.note_account(by);
            self.operation(&operation.body, by, assets);
            if let OperationBody::CreateClaimableBalance(op) = &operation.body
                && let Ok(asset) = xdr::read_asset(&op.asset)
            {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                self.balances.push((balance_id::of_operation(source, v1.tx.seq_num.0, index), asset, op.amount));
            }
        }
    }

    fn note_account(&mut self, account: AccountId) {
        if !self.accounts.contains(&account) {
            self.accounts.push(account);
        }
    }

    fn operation(&mut self, body: &OperationBody, by: AccountId, assets: &[Asset]) {
        let issues = |asset: &Asset, account| asset.issuer() == Some(account);
        match body {
            OperationBody::Payment(op) => {
                let (Ok(asset), Some(to)) = (xdr::read_asset(&op.asset), xdr::read_plain(&op.destination)) else {
                    return;
                };
                if !assets.contains(&asset) {
                    return;
                }
                if issues(&asset, by) {
                    *self.issued.entry(asset.clone()).or_default() += op.amount;
                }
                if issues(&asset, to) {
                    *self.burnt.entry(asset).or_default() += op.amount;
                }
            }
            OperationBody::Clawback(op) => {
                if let Ok(asset) = xdr::read_asset(&op.asset) {
                    *self.burnt.entry(asset).or_default() += op.amount;
                }
            }
            OperationBody::ClawbackClaimableBalance(op) => {
                let id = balance_id::from_xdr(&op.balance_id);
                let known = self.balances.iter().find(|(balance, ..)| *balance == id).cloned();
                if let Some((_, asset, amount)) = known {
                    *self.burnt.entry(asset).or_default() += amount;
                }
            }
            _ => {}
        }
    }

    /// Both assets: what was issued and burnt by what happened, and what is held by what the ledger shows.
    pub(super) async fn assets(&self, ledger: &RpcLedger, assets: &[Asset]) -> Result<Vec<AssetRow>, DemoError> {
        let lines = assets
            .iter()
            .flat_map(|asset| self.accounts.iter().map(move |account| Key::Trustline(*account, asset.clone())));
        let balances = self.balances.iter().map(|(balance, ..)| Key::Balance(*balance));
        let keys: Vec<Key> = lines.chain(balances).collect();
        let mut held: BTreeMap<Asset, i64> = BTreeMap::new();
        for page in keys.chunks(MAX_KEYS) {
            for found in ledger.read(page).await?.entries {
                match found.entry {
                    Ok(Entry::Trustline(line)) => *held.entry(line.asset).or_default() += line.balance.get(),
                    Ok(Entry::Balance(balance)) => *held.entry(balance.asset).or_default() += balance.amount.get(),
                    _ => {}
                }
            }
        }
        let sum = |of: &BTreeMap<Asset, i64>, asset: &Asset| {
            Stroops::new(of.get(asset).copied().unwrap_or_default()).unwrap_or_default()
        };
        let row = |asset: &Asset| AssetRow {
            asset: asset.clone(),
            issued: sum(&self.issued, asset),
            held: sum(&held, asset),
            burnt: sum(&self.burnt, asset),
        };
        Ok(assets.iter().map(row).collect())
    }

    /// How many balances of any sort still stand, and which of these accounts are still there.
    pub(super) async fn left(&self, ledger: &RpcLedger, accounts: &[AccountId]) -> Result<(usize, usize), DemoError> {
        let balances: Vec<Key> = self.balances.iter().map(|(balance, ..)| Key::Balance(*balance)).collect();
        let mut standing = 0;
        for page in balances.chunks(MAX_KEYS) {
            standing += ledger.read(page).await?.entries.len();
        }
        let accounts: Vec<Key> = accounts.iter().map(|account| Key::Account(*account)).collect();
        Ok((standing, ledger.read(&accounts).await?.entries.len()))
    }
}
