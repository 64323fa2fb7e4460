//! RevokeSponsorship: moves a reserve to whoever would hold it were the entry
//! made now.

use stellar_xdr::{
    AccountId, LedgerEntry, LedgerEntryData, LedgerKey, OperationResult, RevokeSponsorshipOp,
    RevokeSponsorshipOpSigner, RevokeSponsorshipResult as R, TrustLineAsset,
};

use super::{Coded, Scope, printable, reserve_failure};
use crate::account;
use crate::asset;
use crate::sponsorship;
use crate::state;

pub(super) fn check(op: &RevokeSponsorshipOp) -> Result<(), OperationResult> {
    let possible = match op {
        RevokeSponsorshipOp::Signer(_) => true,
        RevokeSponsorshipOp::LedgerEntry(key) => possible(key),
    };
    if !possible {
        return Err(R::Malformed.op());
    }
    Ok(())
}

/// Whether an entry with a sponsor could stand under the key.
fn possible(key: &LedgerKey) -> bool {
    match key {
        LedgerKey::Account(_) | LedgerKey::ClaimableBalance(_) => true,
        LedgerKey::Trustline(line) => match asset::of_line(&line.asset) {
            Some(asset) => {
                asset::well_formed(&asset) && asset::issuer(&asset).is_some_and(|issuer| *issuer != line.account_id)
            }
            None => matches!(line.asset, TrustLineAsset::PoolShare(_)),
        },
        LedgerKey::Offer(offer) => offer.offer_id > 0,
        LedgerKey::Data(data) => {
            let name = data.data_name.0.as_slice();
            !name.is_empty() && printable(name)
        }
        LedgerKey::LiquidityPool(_)
        | LedgerKey::ContractData(_)
        | LedgerKey::ContractCode(_)
        | LedgerKey::ConfigSetting(_)
        | LedgerKey::Ttl(_) => false,
    }
}

pub(super) fn apply(op: &RevokeSponsorshipOp, scope: &mut Scope<'_>) -> Result<R, OperationResult> {
    match op {
        RevokeSponsorshipOp::LedgerEntry(key) => entry(key, scope),
        RevokeSponsorshipOp::Signer(signer) => self::signer(signer, scope),
    }
}

fn entry(key: &LedgerKey, scope: &mut Scope<'_>) -> Result<R, OperationResult> {
    let Some(entry) = scope.state.entry(key).cloned() else {
        return Err(R::DoesNotExist.op());
    };
    let from = state::sponsor(&entry).cloned();
    let owner = owner(&entry);
    // Nobody owns a claimable balance: who sponsors it stands for its owner.
    let Some(responsible) = owner.as_ref().or(from.as_ref()) else {
        return Err(R::NotSponsor.op());
    };
    if from.as_ref().unwrap_or(responsible) != &scope.source {
        return Err(R::NotSponsor.op());
    }
    let to = scope.sandwiches.sponsor_of(&scope.source).filter(|to| *to != responsible).cloned();
    if owner.is_none() && to.is_none() {
        return Err(R::OnlyTransferable.op());
    }
    let reserves = sponsorship::reserves_of(&entry.data);
    let moved = sponsorship::Move { owner: owner.as_ref(), from: from.as_ref(), to: to.as_ref(), reserves };
    moved.apply(scope.state, scope.context).map_err(|e| reserve_failure(e, R::LowReserve))?;
    if from != to {
        scope.state.set_sponsor(key, to);
    }
    Ok(R::Success)
}

fn signer(op: &RevokeSponsorshipOpSigner, scope: &mut Scope<'_>) -> Result<R, OperationResult> {
    let account = scope.state.account(&op.account_id).filter(|a| a.signers.iter().any(|s| s.key == op.signer_key));
    let Some(account) = account else {
        return Err(R::DoesNotExist.op());
    };
    let from = account::signer_sponsor(account, &op.signer_key).cloned();
    if from.as_ref().unwrap_or(&op.account_id) != &scope.source {
        return Err(R::NotSponsor.op());
    }
    let to = scope.sandwiches.sponsor_of(&scope.source).filter(|to| **to != op.account_id).cloned();
    let moved = sponsorship::Move { owner: Some(&op.account_id), from: from.as_ref(), to: to.as_ref(), reserves: 1 };
    moved.apply(scope.state, scope.context).map_err(|e| reserve_failure(e, R::LowReserve))?;
    if from != to
        && let Some(mut account) = scope.state.account(&op.account_id).cloned()
    {
        account::set_signer_sponsor(&mut account, &op.signer_key, to);
        scope.state.put_account(account);
    }
    Ok(R::Success)
}

fn owner(entry: &LedgerEntry) -> Option<AccountId> {
    match &entry.data {
        LedgerEntryData::Account(account) => Some(account.account_id.clone()),
        _ => sponsorship::subentry_owner(&entry.data).cloned(),
    }
}
