//! Every hash that the ledger computes, over bytes laid out here.
//!
//! The client computes the same hashes with code of its own: two independent
//! readings of the protocol check each other, so nothing here may be shared.

use sha2::{Digest, Sha256};
use stellar_xdr::{
    AccountId, Asset, FeeBumpTransaction, Limits, PublicKey, Transaction, TransactionV1Envelope, WriteXdr,
};

/// `ENVELOPE_TYPE_TX`: the tag in front of a transaction's signature payload.
const ENVELOPE_TYPE_TX: u32 = 2;
/// `ENVELOPE_TYPE_TX_FEE_BUMP`: the tag in front of a fee bump's payload.
const ENVELOPE_TYPE_TX_FEE_BUMP: u32 = 5;
/// `ENVELOPE_TYPE_OP_ID`: the tag in front of a claimable balance's preimage.
const ENVELOPE_TYPE_OP_ID: u32 = 6;
/// `ENVELOPE_TYPE_CONTRACT_ID`: the tag in front of a contract's preimage.
const ENVELOPE_TYPE_CONTRACT_ID: u32 = 8;
/// `CONTRACT_ID_PREIMAGE_FROM_ASSET`: the contract of an asset.
const CONTRACT_ID_PREIMAGE_FROM_ASSET: u32 = 1;
/// `PUBLIC_KEY_TYPE_ED25519`: the only kind of account there is.
const PUBLIC_KEY_TYPE_ED25519: u32 = 0;

/// Hashes the parts one after the other with SHA-256.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Returns the id of the network with this passphrase.
pub(crate) fn network_id(passphrase: &str) -> [u8; 32] {
    sha256(&[passphrase.as_bytes()])
}

/// Returns the hash that signatures of a transaction cover.
pub(crate) fn transaction(network_id: &[u8; 32], tx: &Transaction) -> [u8; 32] {
    sha256(&[network_id, &ENVELOPE_TYPE_TX.to_be_bytes(), &xdr(tx)])
}

/// Returns the hash of a whole envelope, signatures and all.
pub(crate) fn envelope(v1: &TransactionV1Envelope) -> [u8; 32] {
    sha256(&[&ENVELOPE_TYPE_TX.to_be_bytes(), &xdr(v1)])
}

/// Returns the hash that signatures of a fee bump cover.
pub(crate) fn fee_bump(network_id: &[u8; 32], tx: &FeeBumpTransaction) -> [u8; 32] {
    sha256(&[network_id, &ENVELOPE_TYPE_TX_FEE_BUMP.to_be_bytes(), &xdr(tx)])
}

/// Returns the hash inside the id of the claimable balance that operation
/// `op_index` of the transaction (source, sequence) creates; the network has
/// no part in it.
pub(crate) fn balance_id(tx_source: &AccountId, sequence: i64, op_index: u32) -> [u8; 32] {
    sha256(&[
        &ENVELOPE_TYPE_OP_ID.to_be_bytes(),
        &PUBLIC_KEY_TYPE_ED25519.to_be_bytes(),
        key_bytes(tx_source),
        &sequence.to_be_bytes(),
        &op_index.to_be_bytes(),
    ])
}

/// Returns the id of the contract that an asset has on a network, deployed or
/// not: what events of the asset come from.
pub(crate) fn contract_id(network_id: &[u8; 32], asset: &Asset) -> [u8; 32] {
    sha256(&[
        &ENVELOPE_TYPE_CONTRACT_ID.to_be_bytes(),
        network_id,
        &CONTRACT_ID_PREIMAGE_FROM_ASSET.to_be_bytes(),
        &xdr(asset),
    ])
}

/// Returns an account's ed25519 public key.
pub(crate) fn key_bytes(account: &AccountId) -> &[u8; 32] {
    let PublicKey::PublicKeyTypeEd25519(key) = &account.0;
    &key.0
}

/// Encodes a value that the ledger itself holds.
pub(crate) fn xdr<T: WriteXdr>(value: &T) -> Vec<u8> {
    value.to_xdr(Limits::none()).expect("values in memory are within their XDR bounds")
}
