//! Arithmetic on account entries: reserves, what is available, the
//! extensions, and the record of when a sequence number was last used.

use stellar_xdr::{
    AccountEntry, AccountEntryExt, AccountEntryExtensionV1, AccountEntryExtensionV1Ext, AccountEntryExtensionV2,
    AccountEntryExtensionV2Ext, AccountEntryExtensionV3, AccountId, ExtensionPoint, Liabilities, SequenceNumber,
    Signer, SignerKey, SponsorshipDescriptor, String32, Thresholds, TimePoint, VecM,
};
use thiserror::Error;

use crate::context::Context;

/// Reserves that an account holds for itself.
pub(crate) const ACCOUNT_RESERVES: u32 = 2;
/// The most subentries that an account can have.
const MAX_SUBENTRIES: u32 = 1000;

/// Why an account can't take on a reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum ReserveError {
    #[error("the account's available balance doesn't cover the reserve")]
    Low,
    #[error("the account has {MAX_SUBENTRIES} subentries")]
    TooManySubentries,
    #[error("the account sponsors as many reserves as can be counted")]
    TooManySponsoring,
}

/// Makes a new account as CreateAccount and genesis do.
pub(crate) fn new(id: AccountId, balance: i64, ledger: u32) -> AccountEntry {
    AccountEntry {
        account_id: id,
        balance,
        seq_num: SequenceNumber(starting_sequence(ledger)),
        num_sub_entries: 0,
        inflation_dest: None,
        flags: 0,
        home_domain: String32::default(),
        thresholds: Thresholds([1, 0, 0, 0]),
        signers: VecM::default(),
        ext: AccountEntryExt::V0,
    }
}

/// Returns the sequence number that an account created in this ledger has.
pub(crate) fn starting_sequence(ledger: u32) -> i64 {
    i64::from(ledger) << 32
}

/// Adds to the balance; false, and unchanged, where it would overflow.
#[must_use]
pub(crate) fn credit(account: &mut AccountEntry, amount: i64) -> bool {
    let buying = liabilities(account).buying;
    match account.balance.checked_add(amount) {
        Some(sum) if sum <= i64::MAX - buying => {
            account.balance = sum;
            true
        }
        _ => false,
    }
}

/// Takes from what is available; false, and unchanged, where that is less.
#[must_use]
pub(crate) fn debit(account: &mut AccountEntry, amount: i64, context: &Context) -> bool {
    if available(account, context) < i128::from(amount) {
        return false;
    }
    account.balance -= amount;
    true
}

/// Takes on a subentry of so many reserves, each of which counts as one.
pub(crate) fn add_subentry(account: &mut AccountEntry, reserves: u32, context: &Context) -> Result<(), ReserveError> {
    let sum = with_subentry(account, reserves)?;
    if available(account, context) < i128::from(reserves) * i128::from(context.base_reserve) {
        return Err(ReserveError::Low);
    }
    account.num_sub_entries = sum;
    Ok(())
}

/// Gives the reserves of a subentry back.
pub(crate) fn drop_subentry(account: &mut AccountEntry, reserves: u32) {
    debug_assert!(account.num_sub_entries >= reserves);
    account.num_sub_entries = account.num_sub_entries.saturating_sub(reserves);
}

fn with_subentry(account: &AccountEntry, reserves: u32) -> Result<u32, ReserveError> {
    let sum = account.num_sub_entries + reserves;
    if sum > MAX_SUBENTRIES { Err(ReserveError::TooManySubentries) } else { Ok(sum) }
}

/// Takes on reserves for an entry that isn't the account's own.
pub(crate) fn sponsor(account: &mut AccountEntry, reserves: u32, context: &Context) -> Result<(), ReserveError> {
    if available(account, context) < i128::from(reserves) * i128::from(context.base_reserve) {
        return Err(ReserveError::Low);
    }
    let Some(sum) = num_sponsoring(account).checked_add(reserves) else {
        return Err(ReserveError::TooManySponsoring);
    };
    v2_mut(account).num_sponsoring = sum;
    Ok(())
}

/// Gives sponsored reserves back.
pub(crate) fn release(account: &mut AccountEntry, reserves: u32) {
    let v2 = v2_mut(account);
    debug_assert!(v2.num_sponsoring >= reserves);
    v2.num_sponsoring = v2.num_sponsoring.saturating_sub(reserves);
}

/// Counts a subentry whose reserves a sponsor holds.
pub(crate) fn add_sponsored_subentry(account: &mut AccountEntry, reserves: u32) -> Result<(), ReserveError> {
    account.num_sub_entries = with_subentry(account, reserves)?;
    add_sponsored(account, reserves);
    Ok(())
}

/// Counts reserves that a sponsor holds in the account's place.
pub(crate) fn add_sponsored(account: &mut AccountEntry, reserves: u32) {
    v2_mut(account).num_sponsored += reserves;
}

/// Forgets reserves that a sponsor held, where what they were for is gone.
pub(crate) fn drop_sponsored(account: &mut AccountEntry, reserves: u32) {
    let v2 = v2_mut(account);
    debug_assert!(v2.num_sponsored >= reserves);
    v2.num_sponsored = v2.num_sponsored.saturating_sub(reserves);
}

/// Takes reserves on that a sponsor held.
pub(crate) fn take_back(account: &mut AccountEntry, reserves: u32, context: &Context) -> Result<(), ReserveError> {
    if available(account, context) < i128::from(reserves) * i128::from(context.base_reserve) {
        return Err(ReserveError::Low);
    }
    drop_sponsored(account, reserves);
    Ok(())
}

/// Returns who holds the reserve of a signer in the account's place.
pub(crate) fn signer_sponsor<'a>(account: &'a AccountEntry, key: &SignerKey) -> Option<&'a AccountId> {
    let at = account.signers.binary_search_by(|s| s.key.cmp(key)).ok()?;
    v2(account)?.signer_sponsoring_i_ds.get(at)?.0.as_ref()
}

/// Records who holds the reserve of a signer.
pub(crate) fn set_signer_sponsor(account: &mut AccountEntry, key: &SignerKey, sponsor: Option<AccountId>) {
    let Ok(at) = account.signers.binary_search_by(|s| s.key.cmp(key)) else {
        return;
    };
    let v2 = v2_mut(account);
    let mut sponsors = v2.signer_sponsoring_i_ds.to_vec();
    sponsors[at] = SponsorshipDescriptor(sponsor);
    v2.signer_sponsoring_i_ds = sponsors.try_into().expect("as many as before");
}

/// Sets the weight of a signer, without regard to reserves: adds it in its
/// place in the order, changes it, or removes it at weight 0.
pub(crate) fn set_signer(account: &mut AccountEntry, key: &SignerKey, weight: u32) {
    let mut signers = account.signers.to_vec();
    let mut sponsors = v2(account).map(|v2| v2.signer_sponsoring_i_ds.to_vec());
    match signers.binary_search_by(|s| s.key.cmp(key)) {
        Ok(at) if weight == 0 => {
            signers.remove(at);
            if let Some(sponsors) = &mut sponsors {
                sponsors.remove(at);
            }
        }
        Ok(at) => signers[at].weight = weight,
        Err(_) if weight == 0 => {}
        Err(at) => {
            let key = key.clone();
            signers.insert(at, Signer { key, weight });
            if let Some(sponsors) = &mut sponsors {
                sponsors.insert(at, SponsorshipDescriptor(None));
            }
        }
    }
    account.signers = signers.try_into().expect("the caller counted the signers");
    if let Some(sponsors) = sponsors {
        v2_mut(account).signer_sponsoring_i_ds = sponsors.try_into().expect("as many as signers");
    }
}

/// Notes that the account's sequence number was used or bumped now.
pub(crate) fn touch_sequence(account: &mut AccountEntry, context: &Context) {
    let v2 = v2_mut(account);
    v2.ext = AccountEntryExtensionV2Ext::V3(AccountEntryExtensionV3 {
        ext: ExtensionPoint::V0,
        seq_ledger: context.sequence,
        seq_time: TimePoint(context.close_time),
    });
}

/// Returns the ledger and the time of the last use of the sequence number;
/// zeros for an account that never used it.
pub(crate) fn last_sequence_use(account: &AccountEntry) -> (u32, u64) {
    match v2(account).map(|v2| &v2.ext) {
        Some(AccountEntryExtensionV2Ext::V3(v3)) => (v3.seq_ledger, v3.seq_time.0),
        _ => (0, 0),
    }
}

/// Returns what the account can spend: its balance over reserves and selling
/// liabilities. Fees can push it below zero.
pub(crate) fn available(account: &AccountEntry, context: &Context) -> i128 {
    i128::from(account.balance) - min_balance(account, context) - i128::from(liabilities(account).selling)
}

/// Returns the reserves that the account must hold, in stroops.
pub(crate) fn min_balance(account: &AccountEntry, context: &Context) -> i128 {
    let reserves =
        i128::from(ACCOUNT_RESERVES) + i128::from(account.num_sub_entries) + i128::from(num_sponsoring(account))
            - i128::from(v2(account).map_or(0, |v2| v2.num_sponsored));
    reserves * i128::from(context.base_reserve)
}

/// Returns how many reserves the account holds for others' entries.
pub(crate) fn num_sponsoring(account: &AccountEntry) -> u32 {
    v2(account).map_or(0, |v2| v2.num_sponsoring)
}

fn liabilities(account: &AccountEntry) -> Liabilities {
    match &account.ext {
        AccountEntryExt::V0 => Liabilities { buying: 0, selling: 0 },
        AccountEntryExt::V1(v1) => v1.liabilities.clone(),
    }
}

fn v2(account: &AccountEntry) -> Option<&AccountEntryExtensionV2> {
    match &account.ext {
        AccountEntryExt::V1(AccountEntryExtensionV1 { ext: AccountEntryExtensionV1Ext::V2(v2), .. }) => Some(v2),
        _ => None,
    }
}

/// Returns the second extension, made first where there was none.
fn v2_mut(account: &mut AccountEntry) -> &mut AccountEntryExtensionV2 {
    if v2(account).is_none() {
        let sponsors = vec![SponsorshipDescriptor(None); account.signers.len()];
        let fresh = AccountEntryExtensionV2 {
            num_sponsored: 0,
            num_sponsoring: 0,
            signer_sponsoring_i_ds: sponsors.try_into().expect("as many as signers"),
            ext: AccountEntryExtensionV2Ext::V0,
        };
        account.ext = AccountEntryExt::V1(AccountEntryExtensionV1 {
            liabilities: liabilities(account),
            ext: AccountEntryExtensionV1Ext::V2(fresh),
        });
    }
    match &mut account.ext {
        AccountEntryExt::V1(AccountEntryExtensionV1 { ext: AccountEntryExtensionV1Ext::V2(v2), .. }) => v2,
        _ => unreachable!("made above"),
    }
}
