//! AccountMerge.

use stellar_xdr::{AccountFlags, AccountId, AccountMergeResult, Asset, MuxedAccount, OperationResult};

use super::{Coded, Scope};
use crate::account;
use crate::asset;
use crate::events::Party;
use crate::sponsorship;
use crate::state::account_key;

pub(super) fn check(destination: &MuxedAccount, source: &AccountId) -> Result<(), OperationResult> {
    if destination.clone().account_id() == *source {
        return Err(AccountMergeResult::Malformed.op());
    }
    Ok(())
}

pub(super) fn apply(named: &MuxedAccount, scope: &mut Scope<'_>) -> Result<AccountMergeResult, OperationResult> {
    let destination = named.clone().account_id();
    if scope.state.account(&destination).is_none() {
        return Err(AccountMergeResult::NoAccount.op());
    }
    let mut source = scope.source_account()?;
    if source.flags & AccountFlags::ImmutableFlag as u32 != 0 {
        return Err(AccountMergeResult::ImmutableSet.op());
    }
    if usize::try_from(source.num_sub_entries) != Ok(source.signers.len()) {
        return Err(AccountMergeResult::HasSubEntries.op());
    }
    // Made again in this ledger, the account would start below a number that
    // it has used, and old transactions would be valid once more.
    let queued = scope.highest.get(&scope.source).copied();
    let highest = queued.unwrap_or(0).max(source.seq_num.0);
    if highest >= account::starting_sequence(scope.context.sequence) {
        return Err(AccountMergeResult::SeqnumTooFar.op());
    }
    if scope.sandwiches.is_sponsor(&scope.source) || account::num_sponsoring(&source) > 0 {
        return Err(AccountMergeResult::IsSponsor.op());
    }
    for signer in source.signers.to_vec() {
        sponsorship::remove_signer(scope.state, &mut source, &signer.key);
    }
    let balance = source.balance;
    asset::credit(scope.state, &destination, &Asset::Native, balance).map_err(|_| AccountMergeResult::DestFull.op())?;
    sponsorship::remove(scope.state, &account_key(&scope.source));
    let from = scope.source_party();
    scope.tell_moved(&Asset::Native, &from, &Party::Account(named.clone()), balance);
    Ok(AccountMergeResult::Success(balance))
}
