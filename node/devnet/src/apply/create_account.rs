//! CreateAccount.

use stellar_xdr::{AccountId, Asset, CreateAccountOp, CreateAccountResult, LedgerEntryData, OperationResult};

use super::{Coded, Scope, reserve_failure};
use crate::account;
use crate::events::Party;

pub(super) fn check(op: &CreateAccountOp, source: &AccountId) -> Result<(), OperationResult> {
    if op.starting_balance < 0 || op.destination == *source {
        return Err(CreateAccountResult::Malformed.op());
    }
    Ok(())
}

/// Checks in the network's order: exists, reserve, funds.
pub(super) fn apply(op: &CreateAccountOp, scope: &mut Scope<'_>) -> Result<CreateAccountResult, OperationResult> {
    if scope.state.account(&op.destination).is_some() {
        return Err(CreateAccountResult::AlreadyExist.op());
    }
    let created = account::new(op.destination.clone(), op.starting_balance, scope.context.sequence);
    scope.create(LedgerEntryData::Account(created)).map_err(|e| reserve_failure(e, CreateAccountResult::LowReserve))?;
    let mut source = scope.source_account()?;
    if !account::debit(&mut source, op.starting_balance, scope.context) {
        return Err(CreateAccountResult::Underfunded.op());
    }
    scope.state.put_account(source);
    let (from, to) = (scope.source_party(), Party::of(&op.destination));
    scope.tell_moved(&Asset::Native, &from, &to, op.starting_balance);
    Ok(CreateAccountResult::Success)
}
