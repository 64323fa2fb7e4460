//! Which assets are well formed, and what accounts hold of them.

use stellar_xdr::{
    AccountId, Asset, LedgerEntryData, Liabilities, TrustLineAsset, TrustLineEntry, TrustLineEntryExt, TrustLineFlags,
};

use crate::account;
use crate::context::Context;
use crate::state::State;

/// Why an amount can't be added to or taken from what an account holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoldingError {
    /// The account has no trustline to the asset.
    NoTrust,
    /// The issuer hasn't authorised the trustline.
    NotAuthorized,
    /// The balance would exceed what it may be.
    Full,
    /// Less than the amount is available.
    Short,
}

/// Whether an asset's code is one to twelve letters and digits, stored in the
/// shorter form where that holds it.
pub(crate) fn well_formed(asset: &Asset) -> bool {
    match asset {
        Asset::Native => true,
        Asset::CreditAlphanum4(a) => code_length(&a.asset_code.0).is_some_and(|n| n >= 1),
        Asset::CreditAlphanum12(a) => code_length(&a.asset_code.0).is_some_and(|n| n >= 5),
    }
}

/// Counts the letters and digits of a code; nothing for other characters, or
/// for anything after the first zero byte.
fn code_length(code: &[u8]) -> Option<usize> {
    let length = code.iter().position(|b| *b == 0).unwrap_or(code.len());
    let (letters, padding) = code.split_at(length);
    let clean = letters.iter().all(u8::is_ascii_alphanumeric) && padding.iter().all(|b| *b == 0);
    clean.then_some(length)
}

/// Returns who issues an asset.
pub(crate) fn issuer(asset: &Asset) -> Option<&AccountId> {
    match asset {
        Asset::Native => None,
        Asset::CreditAlphanum4(a) => Some(&a.issuer),
        Asset::CreditAlphanum12(a) => Some(&a.issuer),
    }
}

/// Whether a trustline with these flags is fully authorised.
pub(crate) fn authorized(flags: u32) -> bool {
    flags & TrustLineFlags::AuthorizedFlag as u32 != 0
}

/// Whether a trustline with these flags is authorised at least to maintain
/// liabilities.
pub(crate) fn maintains(flags: u32) -> bool {
    let either = TrustLineFlags::AuthorizedFlag as u32 | TrustLineFlags::AuthorizedToMaintainLiabilitiesFlag as u32;
    flags & either != 0
}

/// Returns an asset as trustlines name it.
pub(crate) fn line_asset(asset: &Asset) -> TrustLineAsset {
    match asset.clone() {
        Asset::Native => TrustLineAsset::Native,
        Asset::CreditAlphanum4(a) => TrustLineAsset::CreditAlphanum4(a),
        Asset::CreditAlphanum12(a) => TrustLineAsset::CreditAlphanum12(a),
    }
}

/// Returns the asset of a trustline; nothing for a share of a pool.
pub(crate) fn of_line(line: &TrustLineAsset) -> Option<Asset> {
    match line {
        TrustLineAsset::Native => Some(Asset::Native),
        TrustLineAsset::CreditAlphanum4(a) => Some(Asset::CreditAlphanum4(a.clone())),
        TrustLineAsset::CreditAlphanum12(a) => Some(Asset::CreditAlphanum12(a.clone())),
        TrustLineAsset::PoolShare(_) => None,
    }
}

/// Adds an amount to what an account holds. Issuers hold their own assets
/// without bound.
pub(crate) fn credit(state: &mut State, owner: &AccountId, asset: &Asset, amount: i64) -> Result<(), HoldingError> {
    if *asset == Asset::Native {
        let mut account = state.account(owner).cloned().ok_or(HoldingError::NoTrust)?;
        if !account::credit(&mut account, amount) {
            return Err(HoldingError::Full);
        }
        state.put_account(account);
        return Ok(());
    }
    if issuer(asset) == Some(owner) {
        return Ok(());
    }
    let mut line = authorized_line(state, owner, asset)?;
    match line.balance.checked_add(amount) {
        Some(sum) if sum <= line.limit - line_liabilities(&line).buying => line.balance = sum,
        _ => return Err(HoldingError::Full),
    }
    state.put(LedgerEntryData::Trustline(line));
    Ok(())
}

/// Takes an amount from what an account holds. Issuers create what they pay.
pub(crate) fn debit(
    state: &mut State,
    owner: &AccountId,
    asset: &Asset,
    amount: i64,
    context: &Context,
) -> Result<(), HoldingError> {
    if *asset == Asset::Native {
        let mut account = state.account(owner).cloned().ok_or(HoldingError::NoTrust)?;
        if !account::debit(&mut account, amount, context) {
            return Err(HoldingError::Short);
        }
        state.put_account(account);
        return Ok(());
    }
    if issuer(asset) == Some(owner) {
        return Ok(());
    }
    let mut line = authorized_line(state, owner, asset)?;
    if line.balance - line_liabilities(&line).selling < amount {
        return Err(HoldingError::Short);
    }
    line.balance -= amount;
    state.put(LedgerEntryData::Trustline(line));
    Ok(())
}

/// Returns what others' open offers reserve of a trustline.
pub(crate) fn line_liabilities(line: &TrustLineEntry) -> Liabilities {
    match &line.ext {
        TrustLineEntryExt::V0 => Liabilities { buying: 0, selling: 0 },
        TrustLineEntryExt::V1(v1) => v1.liabilities.clone(),
    }
}

fn authorized_line(state: &State, owner: &AccountId, asset: &Asset) -> Result<TrustLineEntry, HoldingError> {
    let line = state.trustline(owner, asset).ok_or(HoldingError::NoTrust)?;
    if !authorized(line.flags) {
        return Err(HoldingError::NotAuthorized);
    }
    Ok(line.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_letters_and_digits_padded_with_zeros() {
        assert_eq!(code_length(b"USD\0"), Some(3));
        assert_eq!(code_length(b"USDC"), Some(4));
        assert_eq!(code_length(b"\0\0\0\0"), Some(0));
        assert_eq!(code_length(b"U\0D\0"), None);
        assert_eq!(code_length(b"US-\0"), None);
        assert_eq!(code_length(b"HEXAHEXAHEXA"), Some(12));
    }
}
