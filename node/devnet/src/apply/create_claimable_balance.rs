//! CreateClaimableBalance.

use std::collections::BTreeSet;

use stellar_xdr::{
    AccountFlags, Asset, ClaimableBalanceEntry, ClaimableBalanceEntryExt, ClaimableBalanceEntryExtensionV1,
    ClaimableBalanceEntryExtensionV1Ext, ClaimableBalanceFlags, ClaimableBalanceId, Claimant, ClaimantV0,
    CreateClaimableBalanceOp, CreateClaimableBalanceResult, Hash, LedgerEntryData, OperationResult, TrustLineFlags,
};

use super::{Coded, Scope, reserve_failure};
use crate::asset::{self, HoldingError};
use crate::events::Party;
use crate::hash;
use crate::predicate;

pub(super) fn check(op: &CreateClaimableBalanceOp) -> Result<(), OperationResult> {
    let destinations: BTreeSet<_> = op.claimants.iter().map(|c| &fields(c).destination).collect();
    let malformed = op.amount <= 0
        || op.claimants.is_empty()
        || destinations.len() != op.claimants.len()
        || !asset::well_formed(&op.asset)
        || !op.claimants.iter().all(|c| predicate::allowed(&fields(c).predicate));
    if malformed {
        return Err(CreateClaimableBalanceResult::Malformed.op());
    }
    Ok(())
}

/// Takes the amount first and the reserves of the claimants then, so that a
/// native balance needs both at once. Whoever sponsors its creator, or its
/// creator, is recorded as sponsor.
pub(super) fn apply(
    op: &CreateClaimableBalanceOp,
    scope: &mut Scope<'_>,
) -> Result<CreateClaimableBalanceResult, OperationResult> {
    let clawback = clawback_enabled(&op.asset, scope);
    asset::debit(scope.state, &scope.source, &op.asset, op.amount, scope.context).map_err(|e| {
        match e {
            HoldingError::NoTrust => CreateClaimableBalanceResult::NoTrust,
            HoldingError::NotAuthorized => CreateClaimableBalanceResult::NotAuthorized,
            HoldingError::Full | HoldingError::Short => CreateClaimableBalanceResult::Underfunded,
        }
        .op()
    })?;
    let id = ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash(hash::balance_id(
        &scope.inner.source,
        scope.inner.tx.seq_num.0,
        scope.op_index,
    )));
    let balance = ClaimableBalanceEntry {
        balance_id: id.clone(),
        claimants: stored_claimants(op, scope.context.close_time),
        asset: op.asset.clone(),
        amount: op.amount,
        ext: if clawback {
            ClaimableBalanceEntryExt::V1(ClaimableBalanceEntryExtensionV1 {
                ext: ClaimableBalanceEntryExtensionV1Ext::V0,
                flags: ClaimableBalanceFlags::ClaimableBalanceClawbackEnabledFlag as u32,
            })
        } else {
            ClaimableBalanceEntryExt::V0
        },
    };
    scope
        .create(LedgerEntryData::ClaimableBalance(balance))
        .map_err(|e| reserve_failure(e, CreateClaimableBalanceResult::LowReserve))?;
    let from = scope.source_party();
    scope.tell_moved(&op.asset, &from, &Party::Balance(id.clone()), op.amount);
    Ok(CreateClaimableBalanceResult::Success(id))
}

fn stored_claimants(op: &CreateClaimableBalanceOp, close_time: u64) -> stellar_xdr::VecM<Claimant, 10> {
    op.claimants
        .iter()
        .map(|claimant| {
            let v0 = fields(claimant);
            Claimant::ClaimantTypeV0(ClaimantV0 {
                destination: v0.destination.clone(),
                predicate: predicate::absolute(&v0.predicate, close_time),
            })
        })
        .collect::<Vec<_>>()
        .try_into()
        .expect("as many as in the operation")
}

/// The balance inherits the flag of the trustline that funds it, or of the
/// issuer where that funds it itself.
fn clawback_enabled(asset: &Asset, scope: &Scope<'_>) -> bool {
    if asset::issuer(asset) == Some(&scope.source) {
        return scope
            .state
            .account(&scope.source)
            .is_some_and(|issuer| issuer.flags & AccountFlags::ClawbackEnabledFlag as u32 != 0);
    }
    scope
        .state
        .trustline(&scope.source, asset)
        .is_some_and(|line| line.flags & TrustLineFlags::TrustlineClawbackEnabledFlag as u32 != 0)
}

fn fields(claimant: &Claimant) -> &ClaimantV0 {
    let Claimant::ClaimantTypeV0(v0) = claimant;
    v0
}
