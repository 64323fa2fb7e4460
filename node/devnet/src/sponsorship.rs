//! Who holds the reserves of an entry or a signer: its owner, or a sponsor in
//! its owner's place.

use std::collections::BTreeMap;

use stellar_xdr::{AccountEntry, AccountId, LedgerEntryData, LedgerKey, Signer, SignerKey, TrustLineAsset};

use crate::account::{self, ReserveError};
use crate::context::Context;
use crate::state::{self, State};

/// Who sponsors what others make, while one transaction runs. Each is opened
/// by the sponsor and closed by the sponsored account.
#[derive(Debug, Default)]
pub(crate) struct Sandwiches {
    /// Sponsors by the account that they sponsor.
    open: BTreeMap<AccountId, AccountId>,
}

impl Sandwiches {
    /// Begins to sponsor what an account makes.
    pub(crate) fn open(&mut self, sponsored: AccountId, sponsor: AccountId) {
        self.open.insert(sponsored, sponsor);
    }

    /// Ends it; false where nobody sponsored the account.
    #[must_use]
    pub(crate) fn close(&mut self, sponsored: &AccountId) -> bool {
        self.open.remove(sponsored).is_some()
    }

    /// Returns who sponsors what the account makes now.
    pub(crate) fn sponsor_of(&self, sponsored: &AccountId) -> Option<&AccountId> {
        self.open.get(sponsored)
    }

    /// Whether the account sponsors what any other makes now.
    pub(crate) fn is_sponsor(&self, account: &AccountId) -> bool {
        self.open.values().any(|sponsor| sponsor == account)
    }

    /// Whether every one was closed.
    pub(crate) fn all_closed(&self) -> bool {
        self.open.is_empty()
    }
}

/// Makes an entry on behalf of `source`, whose reserves its owner or its
/// sponsor takes on.
pub(crate) fn create(
    state: &mut State,
    data: LedgerEntryData,
    source: &AccountId,
    sandwiches: &Sandwiches,
    context: &Context,
) -> Result<(), ReserveError> {
    match data {
        LedgerEntryData::Account(account) => create_account(state, account, sandwiches, context),
        LedgerEntryData::ClaimableBalance(_) => {
            // A balance is nobody's subentry: it has a sponsor in any case.
            let sponsor = sandwiches.sponsor_of(source).unwrap_or(source).clone();
            take_on(state, &sponsor, reserves_of(&data), context)?;
            state.put_sponsored(data, sponsor);
            Ok(())
        }
        _ => create_subentry(state, data, source, sandwiches, context),
    }
}

fn create_account(
    state: &mut State,
    mut account: AccountEntry,
    sandwiches: &Sandwiches,
    context: &Context,
) -> Result<(), ReserveError> {
    let Some(sponsor) = sandwiches.sponsor_of(&account.account_id).cloned() else {
        if account::available(&account, context) < 0 {
            return Err(ReserveError::Low);
        }
        state.put_account(account);
        return Ok(());
    };
    take_on(state, &sponsor, account::ACCOUNT_RESERVES, context)?;
    account::add_sponsored(&mut account, account::ACCOUNT_RESERVES);
    state.put_sponsored(LedgerEntryData::Account(account), sponsor);
    Ok(())
}

fn create_subentry(
    state: &mut State,
    data: LedgerEntryData,
    owner: &AccountId,
    sandwiches: &Sandwiches,
    context: &Context,
) -> Result<(), ReserveError> {
    let mut account = existing(state, owner);
    let reserves = reserves_of(&data);
    match sandwiches.sponsor_of(owner).cloned() {
        None => {
            account::add_subentry(&mut account, reserves, context)?;
            state.put(data);
        }
        Some(sponsor) => {
            account::add_sponsored_subentry(&mut account, reserves)?;
            take_on(state, &sponsor, reserves, context)?;
            state.put_sponsored(data, sponsor);
        }
    }
    state.put_account(account);
    Ok(())
}

/// Removes an entry, and frees its reserves for whoever holds them.
pub(crate) fn remove(state: &mut State, key: &LedgerKey) {
    let Some(entry) = state.entry(key).cloned() else {
        return;
    };
    let sponsor = state::sponsor(&entry);
    let reserves = reserves_of(&entry.data);
    if let Some(sponsor) = sponsor {
        give_back(state, sponsor, reserves);
    }
    if let Some(owner) = subentry_owner(&entry.data) {
        let mut account = existing(state, owner);
        account::drop_subentry(&mut account, reserves);
        if sponsor.is_some() {
            account::drop_sponsored(&mut account, reserves);
        }
        state.put_account(account);
    }
    state.remove(key);
}

/// Adds a signer to an account that the caller writes afterwards.
pub(crate) fn add_signer(
    state: &mut State,
    account: &mut AccountEntry,
    signer: &Signer,
    sandwiches: &Sandwiches,
    context: &Context,
) -> Result<(), ReserveError> {
    match sandwiches.sponsor_of(&account.account_id).cloned() {
        None => {
            account::add_subentry(account, 1, context)?;
            account::set_signer(account, &signer.key, signer.weight);
        }
        Some(sponsor) => {
            account::add_sponsored_subentry(account, 1)?;
            take_on(state, &sponsor, 1, context)?;
            account::set_signer(account, &signer.key, signer.weight);
            account::set_signer_sponsor(account, &signer.key, Some(sponsor));
        }
    }
    Ok(())
}

/// Removes a signer from an account that the caller writes afterwards.
pub(crate) fn remove_signer(state: &mut State, account: &mut AccountEntry, key: &SignerKey) {
    if let Some(sponsor) = account::signer_sponsor(account, key).cloned() {
        give_back(state, &sponsor, 1);
        account::drop_sponsored(account, 1);
    }
    account::drop_subentry(account, 1);
    account::set_signer(account, key, 0);
}

/// Reserves that pass from one holder to another; where nobody sponsors, the
/// owner holds them.
#[derive(Debug)]
pub(crate) struct Move<'a> {
    /// Nobody for a claimable balance.
    pub(crate) owner: Option<&'a AccountId>,
    /// The sponsor until now.
    pub(crate) from: Option<&'a AccountId>,
    /// The sponsor from now on.
    pub(crate) to: Option<&'a AccountId>,
    pub(crate) reserves: u32,
}

impl Move<'_> {
    /// Changes the counters; who is recorded as sponsor is the caller's part.
    pub(crate) fn apply(&self, state: &mut State, context: &Context) -> Result<(), ReserveError> {
        if let Some(to) = self.to {
            take_on(state, to, self.reserves, context)?;
        }
        match (self.owner, self.from, self.to) {
            (Some(owner), Some(_), None) => {
                let mut account = existing(state, owner);
                account::take_back(&mut account, self.reserves, context)?;
                state.put_account(account);
            }
            (Some(owner), None, Some(_)) => {
                let mut account = existing(state, owner);
                account::add_sponsored(&mut account, self.reserves);
                state.put_account(account);
            }
            _ => {}
        }
        if let Some(from) = self.from {
            give_back(state, from, self.reserves);
        }
        Ok(())
    }
}

/// Returns how many reserves an entry needs.
pub(crate) fn reserves_of(data: &LedgerEntryData) -> u32 {
    match data {
        LedgerEntryData::Account(_) => account::ACCOUNT_RESERVES,
        LedgerEntryData::ClaimableBalance(balance) => {
            u32::try_from(balance.claimants.len()).expect("at most ten claimants")
        }
        LedgerEntryData::Trustline(line) if matches!(line.asset, TrustLineAsset::PoolShare(_)) => 2,
        _ => 1,
    }
}

/// Returns whose subentry an entry is, if it is one.
pub(crate) fn subentry_owner(data: &LedgerEntryData) -> Option<&AccountId> {
    match data {
        LedgerEntryData::Trustline(line) => Some(&line.account_id),
        LedgerEntryData::Data(data) => Some(&data.account_id),
        _ => None,
    }
}

fn take_on(state: &mut State, sponsor: &AccountId, reserves: u32, context: &Context) -> Result<(), ReserveError> {
    let mut account = existing(state, sponsor);
    account::sponsor(&mut account, reserves, context)?;
    state.put_account(account);
    Ok(())
}

fn give_back(state: &mut State, sponsor: &AccountId, reserves: u32) {
    let mut account = existing(state, sponsor);
    account::release(&mut account, reserves);
    state.put_account(account);
}

/// Owners of subentries, sponsors, and those who are about to be, exist: an
/// account that is any of these can't be merged.
fn existing(state: &State, id: &AccountId) -> AccountEntry {
    state.account(id).cloned().expect("an account with subentries or sponsored reserves can't be merged")
}
