//! SetOptions.

use stellar_xdr::{
    AccountEntry, AccountFlags, AccountId, OperationResult, SetOptionsOp, SetOptionsResult, Signer, SignerKey, Uint256,
};

use super::{Coded, Scope, printable, reserve_failure};
use crate::account;
use crate::hash;
use crate::sponsorship;

/// All flags that an account can have.
const ALL_FLAGS: u32 = AccountFlags::RequiredFlag as u32
    | AccountFlags::RevocableFlag as u32
    | AccountFlags::ImmutableFlag as u32
    | AccountFlags::ClawbackEnabledFlag as u32;
/// The most signers that an account can have, its master key apart.
const MAX_SIGNERS: usize = 20;
/// The highest weight and threshold.
const MAX_WEIGHT: u32 = 255;

pub(super) fn check(op: &SetOptionsOp, source: &AccountId) -> Result<(), OperationResult> {
    let set = op.set_flags.unwrap_or(0);
    let clear = op.clear_flags.unwrap_or(0);
    if (set | clear) & !ALL_FLAGS != 0 {
        return Err(SetOptionsResult::UnknownFlag.op());
    }
    if set & clear != 0 {
        return Err(SetOptionsResult::BadFlags.op());
    }
    let weights = [op.master_weight, op.low_threshold, op.med_threshold, op.high_threshold];
    if weights.into_iter().flatten().any(|weight| weight > MAX_WEIGHT) {
        return Err(SetOptionsResult::ThresholdOutOfRange.op());
    }
    if op.signer.as_ref().is_some_and(|s| !signer_allowed(s, source)) {
        return Err(SetOptionsResult::BadSigner.op());
    }
    if op.home_domain.as_ref().is_some_and(|d| !printable(d.0.as_slice())) {
        return Err(SetOptionsResult::InvalidHomeDomain.op());
    }
    Ok(())
}

/// Applies in the network's order: inflation destination, flags, domain,
/// weights, signer.
pub(super) fn apply(op: &SetOptionsOp, scope: &mut Scope<'_>) -> Result<SetOptionsResult, OperationResult> {
    let mut source = scope.source_account()?;
    if let Some(destination) = &op.inflation_dest {
        if scope.state.account(destination).is_none() {
            return Err(SetOptionsResult::InvalidInflation.op());
        }
        source.inflation_dest = Some(destination.clone());
    }
    set_flags(op, &mut source)?;
    if let Some(domain) = &op.home_domain {
        source.home_domain = domain.clone();
    }
    let weights = [op.master_weight, op.low_threshold, op.med_threshold, op.high_threshold];
    for (place, weight) in source.thresholds.0.iter_mut().zip(weights) {
        if let Some(weight) = weight {
            *place = u8::try_from(weight).expect("checked to be at most 255");
        }
    }
    if let Some(signer) = &op.signer {
        set_signer(signer, &mut source, scope)?;
    }
    scope.state.put_account(source);
    Ok(SetOptionsResult::Success)
}

fn set_flags(op: &SetOptionsOp, source: &mut AccountEntry) -> Result<(), OperationResult> {
    let set = op.set_flags.unwrap_or(0);
    let clear = op.clear_flags.unwrap_or(0);
    let immutable = source.flags & AccountFlags::ImmutableFlag as u32 != 0;
    if immutable && (set | clear) != 0 {
        return Err(SetOptionsResult::CantChange.op());
    }
    source.flags = source.flags & !clear | set;
    let clawback = source.flags & AccountFlags::ClawbackEnabledFlag as u32 != 0;
    let revocable = source.flags & AccountFlags::RevocableFlag as u32 != 0;
    if clawback && !revocable {
        return Err(SetOptionsResult::AuthRevocableRequired.op());
    }
    Ok(())
}

fn set_signer(signer: &Signer, source: &mut AccountEntry, scope: &mut Scope<'_>) -> Result<(), OperationResult> {
    let present = source.signers.iter().any(|s| s.key == signer.key);
    match (present, signer.weight) {
        (true, 0) => sponsorship::remove_signer(scope.state, source, &signer.key),
        (true, weight) => account::set_signer(source, &signer.key, weight),
        (false, 0) => {}
        (false, _) => {
            if source.signers.len() >= MAX_SIGNERS {
                return Err(SetOptionsResult::TooManySigners.op());
            }
            sponsorship::add_signer(scope.state, source, signer, scope.sandwiches, scope.context)
                .map_err(|e| reserve_failure(e, SetOptionsResult::LowReserve))?;
        }
    }
    Ok(())
}

fn signer_allowed(signer: &Signer, source: &AccountId) -> bool {
    let own_master = SignerKey::Ed25519(Uint256(*hash::key_bytes(source)));
    let empty_payload = matches!(&signer.key, SignerKey::Ed25519SignedPayload(p) if p.payload.is_empty());
    signer.key != own_master && signer.weight <= MAX_WEIGHT && !empty_payload
}
