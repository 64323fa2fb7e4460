//! The ledger's entries, with an undo journal.
//!
//! Whoever changes entries takes a [`Mark`] first and rolls back to it when
//! something fails; what the journal still holds when the ledger closes is
//! what changed in it.

use std::collections::{BTreeMap, VecDeque};

use stellar_xdr::{
    AccountEntry, AccountId, Asset, ClaimableBalanceEntry, ClaimableBalanceId, DataEntry, Hash, LedgerEntry,
    LedgerEntryData, LedgerEntryExt, LedgerEntryExtensionV1, LedgerEntryExtensionV1Ext, LedgerKey, LedgerKeyAccount,
    LedgerKeyClaimableBalance, LedgerKeyData, LedgerKeyTrustLine, PoolId, SponsorshipDescriptor, String64,
    TrustLineAsset, TrustLineEntry,
};

use crate::asset;
use crate::faults::MAX_LAG_LEDGERS;

/// All entries of the ledger.
#[derive(Debug, Default)]
pub(crate) struct State {
    entries: BTreeMap<LedgerKey, LedgerEntry>,
    /// What stood under a key before each change, oldest first.
    journal: Vec<(LedgerKey, Option<LedgerEntry>)>,
    /// The journals of the ledgers before, the newest first: what their changes
    /// replaced.
    past: VecDeque<Vec<(LedgerKey, Option<LedgerEntry>)>>,
    /// The ledger that stamps changed entries.
    sequence: u32,
    native: NativeSums,
}

/// Native coin by where it is, in stroops. Kept current by every change.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NativeSums {
    pub(crate) accounts: i128,
    pub(crate) claimable: i128,
}

/// A point in the journal to roll back to.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub(crate) struct Mark(usize);

impl State {
    /// Starts a ledger: changes are stamped with its number, and the journal
    /// is empty. Those of the last ledgers are kept.
    pub(crate) fn begin(&mut self, sequence: u32) {
        self.sequence = sequence;
        self.past.push_front(std::mem::take(&mut self.journal));
        // Together with the journal of the newest ledger they lead as far back
        // as reads may be behind.
        self.past.truncate(MAX_LAG_LEDGERS as usize - 1);
    }

    /// Returns the point to which [`State::rollback`] can return.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.journal.len())
    }

    /// Undoes every change since the mark.
    pub(crate) fn rollback(&mut self, mark: Mark) {
        while self.journal.len() > mark.0 {
            let (key, before) = self.journal.pop().expect("longer than the mark");
            let undone = match before {
                Some(entry) => {
                    self.native.add(&entry.data);
                    self.entries.insert(key, entry)
                }
                None => self.entries.remove(&key),
            };
            if let Some(undone) = undone {
                self.native.subtract(&undone.data);
            }
        }
    }

    /// Writes an entry; one that exists keeps its sponsor.
    pub(crate) fn put(&mut self, data: LedgerEntryData) {
        let ext = match self.entries.get(&data.to_key()) {
            Some(entry) => entry.ext.clone(),
            None => LedgerEntryExt::V0,
        };
        self.write(data, ext);
    }

    /// Writes an entry whose reserve an account other than its owner holds.
    pub(crate) fn put_sponsored(&mut self, data: LedgerEntryData, sponsor: AccountId) {
        let ext = LedgerEntryExt::V1(LedgerEntryExtensionV1 {
            sponsoring_id: SponsorshipDescriptor(Some(sponsor)),
            ext: LedgerEntryExtensionV1Ext::V0,
        });
        self.write(data, ext);
    }

    /// Records who holds an entry's reserves in its owner's place.
    pub(crate) fn set_sponsor(&mut self, key: &LedgerKey, sponsor: Option<AccountId>) {
        let Some(entry) = self.entries.get(key) else {
            return;
        };
        let ext = LedgerEntryExt::V1(LedgerEntryExtensionV1 {
            sponsoring_id: SponsorshipDescriptor(sponsor),
            ext: LedgerEntryExtensionV1Ext::V0,
        });
        self.write(entry.data.clone(), ext);
    }

    /// Writes an account.
    pub(crate) fn put_account(&mut self, account: AccountEntry) {
        self.put(LedgerEntryData::Account(account));
    }

    /// Writes an entry as it stands, with its stamp and its sponsor.
    pub(crate) fn put_whole(&mut self, entry: LedgerEntry) {
        let key = entry.data.to_key();
        self.native.add(&entry.data);
        let before = self.entries.insert(key.clone(), entry);
        if let Some(before) = &before {
            self.native.subtract(&before.data);
        }
        self.journal.push((key, before));
    }

    /// Removes an entry, if there is one.
    pub(crate) fn remove(&mut self, key: &LedgerKey) {
        if let Some(before) = self.entries.remove(key) {
            self.native.subtract(&before.data);
            self.journal.push((key.clone(), Some(before)));
        }
    }

    fn write(&mut self, data: LedgerEntryData, ext: LedgerEntryExt) {
        self.put_whole(LedgerEntry { last_modified_ledger_seq: self.sequence, data, ext });
    }

    /// Returns every entry, by key.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.entries.values()
    }

    /// Returns the entry under a key.
    pub(crate) fn entry(&self, key: &LedgerKey) -> Option<&LedgerEntry> {
        self.entries.get(key)
    }

    /// Returns the entry that stood under a key so many ledgers ago: what the
    /// first change since then replaced.
    pub(crate) fn entry_before(&self, key: &LedgerKey, ledgers: u32) -> Option<&LedgerEntry> {
        let newest_first = std::iter::once(&self.journal).chain(&self.past).take(ledgers as usize);
        let replaced = newest_first.filter_map(|journal| journal.iter().find(|(changed, _)| changed == key)).last();
        match replaced {
            Some((_, before)) => before.as_ref(),
            None => self.entry(key),
        }
    }

    /// Returns an account.
    pub(crate) fn account(&self, id: &AccountId) -> Option<&AccountEntry> {
        let key = LedgerKey::Account(LedgerKeyAccount { account_id: id.clone() });
        match &self.entries.get(&key)?.data {
            LedgerEntryData::Account(account) => Some(account),
            _ => None,
        }
    }

    /// Returns the trustline of an account to an issued asset.
    pub(crate) fn trustline(&self, owner: &AccountId, asset: &Asset) -> Option<&TrustLineEntry> {
        self.line(&trustline_key(owner, asset))
    }

    /// Returns the trustline under a key.
    pub(crate) fn line(&self, key: &LedgerKey) -> Option<&TrustLineEntry> {
        match &self.entries.get(key)?.data {
            LedgerEntryData::Trustline(line) => Some(line),
            _ => None,
        }
    }

    /// Returns the pools of which an account can hold shares.
    pub(crate) fn pool_shares(&self, owner: &AccountId) -> Vec<PoolId> {
        let bound = |byte| line_key(owner, TrustLineAsset::PoolShare(PoolId(Hash([byte; 32]))));
        let keys = self.entries.range(bound(0)..=bound(0xff)).map(|(key, _)| key);
        keys.filter_map(|key| match key {
            LedgerKey::Trustline(LedgerKeyTrustLine { asset: TrustLineAsset::PoolShare(id), .. }) => Some(id.clone()),
            _ => None,
        })
        .collect()
    }

    /// Returns a data entry.
    pub(crate) fn data(&self, owner: &AccountId, name: &String64) -> Option<&DataEntry> {
        match &self.entries.get(&data_key(owner, name))?.data {
            LedgerEntryData::Data(data) => Some(data),
            _ => None,
        }
    }

    /// Returns a claimable balance.
    pub(crate) fn balance(&self, id: &ClaimableBalanceId) -> Option<&ClaimableBalanceEntry> {
        match &self.entries.get(&balance_key(id))?.data {
            LedgerEntryData::ClaimableBalance(balance) => Some(balance),
            _ => None,
        }
    }

    /// Returns what changed since a mark, by key: the entry as it stood then,
    /// and as it stands now; nothing where there was none, or is none.
    pub(crate) fn changed_since(
        &self,
        mark: Mark,
    ) -> BTreeMap<&LedgerKey, (Option<&LedgerEntry>, Option<&LedgerEntry>)> {
        let mut changed = BTreeMap::new();
        for (key, before) in &self.journal[mark.0..] {
            changed.entry(key).or_insert_with(|| (before.as_ref(), self.entries.get(key)));
        }
        changed
    }

    /// Returns what changed since the ledger began, by key: the entry as it
    /// stands now, or nothing where it was removed.
    pub(crate) fn changed(&self) -> BTreeMap<&LedgerKey, Option<&LedgerEntry>> {
        self.journal.iter().map(|(key, _)| (key, self.entries.get(key))).collect()
    }

    /// Returns the sums of native coin as kept with every change.
    pub(crate) fn native(&self) -> NativeSums {
        self.native
    }
}

impl NativeSums {
    fn add(&mut self, data: &LedgerEntryData) {
        match data {
            LedgerEntryData::Account(account) => self.accounts += i128::from(account.balance),
            LedgerEntryData::ClaimableBalance(balance) if balance.asset == Asset::Native => {
                self.claimable += i128::from(balance.amount);
            }
            _ => {}
        }
    }

    fn subtract(&mut self, data: &LedgerEntryData) {
        match data {
            LedgerEntryData::Account(account) => self.accounts -= i128::from(account.balance),
            LedgerEntryData::ClaimableBalance(balance) if balance.asset == Asset::Native => {
                self.claimable -= i128::from(balance.amount);
            }
            _ => {}
        }
    }
}

/// Returns who holds an entry's reserve in its owner's place.
pub(crate) fn sponsor(entry: &LedgerEntry) -> Option<&AccountId> {
    match &entry.ext {
        LedgerEntryExt::V0 => None,
        LedgerEntryExt::V1(v1) => v1.sponsoring_id.0.as_ref(),
    }
}

/// Returns the key of an account.
pub(crate) fn account_key(id: &AccountId) -> LedgerKey {
    LedgerKey::Account(LedgerKeyAccount { account_id: id.clone() })
}

/// Returns the key of a trustline.
pub(crate) fn trustline_key(owner: &AccountId, asset: &Asset) -> LedgerKey {
    line_key(owner, asset::line_asset(asset))
}

/// Returns the key of a trustline to an asset or to the shares of a pool.
pub(crate) fn line_key(owner: &AccountId, asset: TrustLineAsset) -> LedgerKey {
    LedgerKey::Trustline(LedgerKeyTrustLine { account_id: owner.clone(), asset })
}

/// Returns the key of a data entry.
pub(crate) fn data_key(owner: &AccountId, name: &String64) -> LedgerKey {
    LedgerKey::Data(LedgerKeyData { account_id: owner.clone(), data_name: name.clone() })
}

/// Returns the key of a claimable balance.
pub(crate) fn balance_key(id: &ClaimableBalanceId) -> LedgerKey {
    LedgerKey::ClaimableBalance(LedgerKeyClaimableBalance { balance_id: id.clone() })
}

#[cfg(test)]
mod tests {
    use stellar_xdr::{PublicKey, Uint256};

    use super::*;
    use crate::account;

    fn id(n: u8) -> AccountId {
        AccountId(PublicKey::PublicKeyTypeEd25519(Uint256([n; 32])))
    }

    fn counted(state: &State) -> NativeSums {
        let mut sums = NativeSums::default();
        for entry in state.entries.values() {
            sums.add(&entry.data);
        }
        sums
    }

    #[test]
    fn a_rollback_restores_every_entry_and_every_sum() {
        let mut state = State::default();
        state.begin(1);
        for n in 0..5 {
            state.put_account(account::new(id(n), i64::from(n) * 100, 1));
        }
        let before = state.entries.clone();
        let mark = state.mark();
        change(&mut state);
        assert_ne!(state.entries, before);
        assert_eq!(state.native(), counted(&state));
        state.rollback(mark);
        assert_eq!(state.entries, before);
        assert_eq!(state.native(), counted(&state));
        assert_eq!(state.native().accounts, 1000);
    }

    #[test]
    fn an_entry_keeps_its_sponsor_when_it_changes() {
        let mut state = State::default();
        state.begin(1);
        let data = || LedgerEntryData::Account(account::new(id(1), 5, 1));
        state.put_sponsored(data(), id(2));
        state.put(data());
        let entry = state.entry(&account_key(&id(1)));
        assert_eq!(entry.and_then(sponsor), Some(&id(2)));
    }

    #[test]
    fn an_entry_is_known_as_it_stood_up_to_sixteen_ledgers_ago() {
        let (steady, made, removed) = (account_key(&id(1)), account_key(&id(2)), account_key(&id(3)));
        let mut state = State::default();
        state.begin(1);
        state.put_account(account::new(id(1), 0, 1));
        state.put_account(account::new(id(3), 0, 1));
        for sequence in 2..=40 {
            state.begin(sequence);
            // Twice in one ledger: the first change tells what stood before it.
            state.put_account(account::new(id(1), 1, sequence));
            state.put_account(account::new(id(1), i64::from(sequence), sequence));
            match sequence {
                30 => state.put_account(account::new(id(2), 5, sequence)),
                35 => state.remove(&removed),
                _ => {}
            }
        }
        let balance = |key: &LedgerKey, ledgers| match &state.entry_before(key, ledgers)?.data {
            LedgerEntryData::Account(account) => Some(account.balance),
            _ => None,
        };
        for ledgers in 0..=MAX_LAG_LEDGERS {
            let then = 40 - ledgers;
            assert_eq!(balance(&steady, ledgers), Some(i64::from(then)));
            assert_eq!(balance(&made, ledgers), (then >= 30).then_some(5), "as of {then}");
            assert_eq!(balance(&removed, ledgers), (then < 35).then_some(0), "as of {then}");
        }
        assert_eq!(state.past.len() + 1, MAX_LAG_LEDGERS as usize);
    }

    /// Changes, removes, makes, makes again what was removed.
    fn change(state: &mut State) {
        state.put_account(account::new(id(1), 7, 1));
        state.remove(&account_key(&id(2)));
        state.put_account(account::new(id(2), 8, 1));
        state.remove(&account_key(&id(2)));
        state.put_account(account::new(id(9), 9, 1));
        state.remove(&account_key(&id(9)));
        state.remove(&account_key(&id(3)));
        state.put_account(account::new(id(1), 10, 1));
    }
}
