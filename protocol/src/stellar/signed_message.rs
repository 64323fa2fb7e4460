//! Messages signed by a Stellar account's key (SEP-53), so that no signature can be taken for a transaction's.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::account::AccountId;

/// What comes before the message in what is hashed.
const PREFIX: &[u8] = b"Stellar Signed Message:\n";

/// SHA-256 of the prefix and the message: what is signed.
fn hash(message: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(PREFIX).chain_update(message).finalize().into()
}

/// The signature of a message, 64 bytes.
pub fn sign(message: &[u8], key: &SigningKey) -> [u8; 64] {
    key.sign(&hash(message)).to_bytes()
}

/// Whether this is the account's master key's signature of the message. That the key rules the account is not part of it.
pub fn is_signed_by(message: &[u8], signature: &[u8; 64], account: AccountId) -> bool {
    let key = VerifyingKey::from_bytes(account.as_bytes());
    key.is_ok_and(|key| key.verify_strict(&hash(message), &Signature::from_bytes(signature)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_for_its_message_and_its_account_alone() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let (account, other) = (AccountId::of(&key), AccountId::of(&SigningKey::from_bytes(&[2; 32])));
        let signature = sign(b"hello", &key);
        assert!(is_signed_by(b"hello", &signature, account));
        assert!(!is_signed_by(b"hello!", &signature, account) && !is_signed_by(b"hello", &signature, other));
        let mut changed = signature;
        changed[0] ^= 1;
        assert!(!is_signed_by(b"hello", &changed, account));
        let plain = key.sign(b"hello").to_bytes();
        assert!(!is_signed_by(b"hello", &plain, account), "the prefix keeps other signatures apart");
        assert!(
            !is_signed_by(b"hello", &signature, AccountId::from_bytes([0; 32])),
            "a key of small order signs nothing"
        );
    }
}
