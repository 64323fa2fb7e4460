//! The operations that this program sends.

use stellar_xdr::{
    BumpSequenceOp, ChangeTrustAsset, ChangeTrustOp, ClaimClaimableBalanceOp, Claimant, ClaimantV0, CreateAccountOp,
    CreateClaimableBalanceOp, DataValue, ManageDataOp, Operation, OperationBody, PaymentOp, SequenceNumber,
    SetOptionsOp, Signer, SignerKey, String64, TrustLineAsset,
};
use stellar_xdr::{ClawbackClaimableBalanceOp, ClawbackOp};

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::message::BalanceId;
use crate::stellar::balance_id;
use crate::stellar::entry::BalanceClaimant;
use crate::stellar::xdr::{self, XdrError};

/// An operation whose source is the transaction's.
fn plain(body: OperationBody) -> Operation {
    Operation { source_account: None, body }
}

/// An operation of another account than the transaction's source, which that account signs too.
pub fn by(source: AccountId, operation: Operation) -> Operation {
    Operation { source_account: Some(xdr::muxed(source)), ..operation }
}

/// Pays `amount` of an asset to an account that exists.
pub fn pay(to: AccountId, asset: &Asset, amount: Stroops) -> Operation {
    let payment = PaymentOp { destination: xdr::muxed(to), asset: xdr::asset(asset), amount: amount.get() };
    plain(OperationBody::Payment(payment))
}

/// Creates an account with a starting balance of native coins.
pub fn create_account(id: AccountId, starting_balance: Stroops) -> Operation {
    let create = CreateAccountOp { destination: xdr::account(id), starting_balance: starting_balance.get() };
    plain(OperationBody::CreateAccount(create))
}

/// Sets a data entry of the transaction's source.
///
/// # Panics
/// Where the name has more than 64 bytes or the value more than 64: both are ours.
pub fn set_data(name: &str, value: &[u8]) -> Operation {
    let name = name.try_into().map(String64).expect("a name of at most 64 bytes");
    let value = value.to_vec().try_into().map(DataValue).expect("a value of at most 64 bytes");
    plain(OperationBody::ManageData(ManageDataOp { data_name: name, data_value: Some(value) }))
}

/// Deletes a data entry of the transaction's source.
///
/// # Panics
/// Where the name has more than 64 bytes: it is ours.
pub fn delete_data(name: &str) -> Operation {
    let name = name.try_into().map(String64).expect("a name of at most 64 bytes");
    plain(OperationBody::ManageData(ManageDataOp { data_name: name, data_value: None }))
}

/// Takes `amount` of an asset of the source's own back from who holds it.
pub fn clawback(from: AccountId, asset: &Asset, amount: Stroops) -> Operation {
    let clawback = ClawbackOp { asset: xdr::asset(asset), from: xdr::muxed(from), amount: amount.get() };
    plain(OperationBody::Clawback(clawback))
}

/// Takes a claimable balance of an asset of the source's own back.
pub fn clawback_balance(balance: BalanceId) -> Operation {
    let clawback = ClawbackClaimableBalanceOp { balance_id: balance_id::to_xdr(balance) };
    plain(OperationBody::ClawbackClaimableBalance(clawback))
}

/// Sets these `AUTH_*` flags of the source besides those that it has.
pub fn set_flags(flags: u32) -> Operation {
    plain(OperationBody::SetOptions(SetOptionsOp { set_flags: Some(flags), ..SetOptionsOp::default() }))
}

/// Locks `amount` of an asset for claimants.
///
/// # Errors
/// [`XdrError::DoesNotFit`] with more than ten claimants.
pub fn create_balance(asset: &Asset, amount: Stroops, claimants: &[BalanceClaimant]) -> Result<Operation, XdrError> {
    let claimants: Vec<Claimant> = claimants
        .iter()
        .map(|c| {
            Claimant::ClaimantTypeV0(ClaimantV0 {
                destination: xdr::account(c.account),
                predicate: c.predicate.to_xdr(),
            })
        })
        .collect();
    let claimants = claimants.try_into().map_err(|_| XdrError::DoesNotFit("more than ten claimants".into()))?;
    let create = CreateClaimableBalanceOp { asset: xdr::asset(asset), amount: amount.get(), claimants };
    Ok(plain(OperationBody::CreateClaimableBalance(create)))
}

/// Claims a balance for the transaction's source.
pub fn claim(balance: BalanceId) -> Operation {
    let claim = ClaimClaimableBalanceOp { balance_id: balance_id::to_xdr(balance) };
    plain(OperationBody::ClaimClaimableBalance(claim))
}

/// Sets the source's sequence number, where it isn't higher already.
pub fn bump_sequence(to: i64) -> Operation {
    plain(OperationBody::BumpSequence(BumpSequenceOp { bump_to: SequenceNumber(to) }))
}

/// Lets the source hold an issued asset up to `limit`; 0 ends that.
///
/// # Errors
/// [`XdrError::Invalid`] for the native coin, which every account holds.
pub fn change_trust(asset: &Asset, limit: Stroops) -> Result<Operation, XdrError> {
    let line = match xdr::trustline_asset(asset) {
        TrustLineAsset::CreditAlphanum4(a) => ChangeTrustAsset::CreditAlphanum4(a),
        TrustLineAsset::CreditAlphanum12(a) => ChangeTrustAsset::CreditAlphanum12(a),
        TrustLineAsset::Native | TrustLineAsset::PoolShare(_) => return Err(XdrError::Invalid("trustline's asset")),
    };
    Ok(plain(OperationBody::ChangeTrust(ChangeTrustOp { line, limit: limit.get() })))
}

/// Gives another key a say over the source, with this weight.
pub fn add_signer(key: SignerKey, weight: u8) -> Operation {
    let signer = Some(Signer { key, weight: u32::from(weight) });
    plain(OperationBody::SetOptions(SetOptionsOp { signer, ..SetOptionsOp::default() }))
}

/// Hands the source over to its signers: one more of them, the master key without weight, one threshold for all.
pub fn hand_over(key: SignerKey, threshold: u8) -> Operation {
    let weight = Some(u32::from(threshold));
    plain(OperationBody::SetOptions(SetOptionsOp {
        master_weight: Some(0),
        low_threshold: weight,
        med_threshold: weight,
        high_threshold: weight,
        signer: Some(Signer { key, weight: u32::from(threshold) }),
        ..SetOptionsOp::default()
    }))
}

/// Gives the source's master key this weight.
pub fn set_master_weight(weight: u8) -> Operation {
    plain(OperationBody::SetOptions(SetOptionsOp { master_weight: Some(u32::from(weight)), ..SetOptionsOp::default() }))
}

/// Ends the source; its native coins go to `to`.
pub fn merge(to: AccountId) -> Operation {
    plain(OperationBody::AccountMerge(xdr::muxed(to)))
}
