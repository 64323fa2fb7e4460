//! Who signed, and whether that is enough.
//!
//! The check stops as soon as the needed weight is reached, in the order
//! pre-authorised, hash-x, ed25519, signed payload; a signature that no check
//! came to use makes the transaction `txBAD_AUTH_EXTRA`.

use ed25519_dalek::{Signature, VerifyingKey};
use stellar_xdr::{
    AccountEntry, AccountId, DecoratedSignature, OperationBody, Signer, SignerKey, SignerKeyEd25519SignedPayload,
    Uint256,
};

use crate::frame::Signed;
use crate::hash;

/// The most that one signer can weigh.
const MAX_WEIGHT: u32 = 255;

/// The weight of authority that an operation needs from its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Low,
    Medium,
    High,
}

impl Level {
    /// Returns the level of an operation.
    pub(crate) fn of(body: &OperationBody) -> Self {
        match body {
            OperationBody::AllowTrust(_)
            | OperationBody::SetTrustLineFlags(_)
            | OperationBody::BumpSequence(_)
            | OperationBody::ClaimClaimableBalance(_)
            | OperationBody::Inflation
            | OperationBody::ExtendFootprintTtl(_)
            | OperationBody::RestoreFootprint(_) => Self::Low,
            OperationBody::AccountMerge(_) => Self::High,
            OperationBody::SetOptions(op)
                if op.master_weight.is_some()
                    || op.low_threshold.is_some()
                    || op.med_threshold.is_some()
                    || op.high_threshold.is_some()
                    || op.signer.is_some() =>
            {
                Self::High
            }
            _ => Self::Medium,
        }
    }

    /// Returns the threshold that an account sets for this level.
    pub(crate) fn threshold(self, account: &AccountEntry) -> u32 {
        let [_, low, medium, high] = account.thresholds.0;
        u32::from(match self {
            Self::Low => low,
            Self::Medium => medium,
            Self::High => high,
        })
    }
}

/// One transaction's signatures, and which of them were used so far.
#[derive(Debug)]
pub(crate) struct SignatureCheck<'a> {
    signed: &'a Signed,
    used: Vec<bool>,
}

impl<'a> SignatureCheck<'a> {
    pub(crate) fn new(signed: &'a Signed) -> Self {
        Self { signed, used: vec![false; signed.signatures.len()] }
    }

    /// Whether an account's signers reach the threshold of a level.
    pub(crate) fn account(&mut self, account: &AccountEntry, level: Level) -> bool {
        self.reach(&signers_of(account), level.threshold(account))
    }

    /// Whether the master key of an account that doesn't exist yet signed.
    pub(crate) fn absent_account(&mut self, id: &AccountId) -> bool {
        self.reach(&[master(id, 1)], 0)
    }

    /// Whether every one of the extra signers signed.
    pub(crate) fn all_of(&mut self, keys: &[SignerKey]) -> bool {
        let signers: Vec<Signer> = keys.iter().map(|key| Signer { key: key.clone(), weight: 1 }).collect();
        let needed = u32::try_from(signers.len()).expect("XDR allows two");
        needed == 0 || self.reach(&signers, needed)
    }

    /// Whether every signature was used by some check.
    pub(crate) fn all_used(&self) -> bool {
        self.used.iter().all(|used| *used)
    }

    /// Adds up signers that signed until `needed` is reached. With `needed`
    /// 0 there must still be one.
    fn reach(&mut self, signers: &[Signer], needed: u32) -> bool {
        let mut total = 0;
        for signer in signers {
            if let SignerKey::PreAuthTx(hash) = &signer.key
                && hash.0 == self.signed.hash
            {
                total += signer.weight.min(MAX_WEIGHT);
                if total >= needed {
                    return true;
                }
            }
        }
        type Kind = fn(&SignerKey) -> bool;
        let kinds: [Kind; 3] = [
            |key| matches!(key, SignerKey::HashX(_)),
            |key| matches!(key, SignerKey::Ed25519(_)),
            |key| matches!(key, SignerKey::Ed25519SignedPayload(_)),
        ];
        kinds.into_iter().any(|kind| {
            let of_kind = signers.iter().filter(|s| kind(&s.key)).collect();
            self.reach_with(of_kind, needed, &mut total)
        })
    }

    /// Goes through the signatures in the order they came; each may speak for
    /// one signer, and each signer counts once.
    fn reach_with(&mut self, mut signers: Vec<&Signer>, needed: u32, total: &mut u32) -> bool {
        for index in 0..self.signed.signatures.len() {
            let Some(at) = signers.iter().position(|s| self.speaks_for(index, &s.key)) else {
                continue;
            };
            let signer = signers.remove(at);
            self.used[index] = true;
            *total += signer.weight.min(MAX_WEIGHT);
            if *total >= needed {
                return true;
            }
        }
        false
    }

    fn speaks_for(&self, index: usize, key: &SignerKey) -> bool {
        let signature = &self.signed.signatures[index];
        match key {
            SignerKey::PreAuthTx(_) => false,
            SignerKey::HashX(hash) => {
                signature.hint.0 == last4(&hash.0) && hash::sha256(&[signature.signature.as_slice()]) == hash.0
            }
            SignerKey::Ed25519(public) => signature.hint.0 == last4(&public.0) && self.verified(index, &public.0),
            SignerKey::Ed25519SignedPayload(payload) => {
                signature.hint.0 == payload_hint(payload) && verify(&payload.ed25519.0, &payload.payload, signature)
            }
        }
    }

    fn verified(&self, index: usize, public: &[u8; 32]) -> bool {
        *self
            .signed
            .verified
            .borrow_mut()
            .entry((index, *public))
            .or_insert_with(|| verify(public, &self.signed.hash, &self.signed.signatures[index]))
    }
}

/// Returns who can sign for an account: its master key, where that has a
/// weight, and its signers.
fn signers_of(account: &AccountEntry) -> Vec<Signer> {
    let mut signers = Vec::with_capacity(account.signers.len() + 1);
    let weight = u32::from(account.thresholds.0[0]);
    if weight > 0 {
        signers.push(master(&account.account_id, weight));
    }
    signers.extend(account.signers.iter().cloned());
    signers
}

fn master(id: &AccountId, weight: u32) -> Signer {
    Signer { key: SignerKey::Ed25519(Uint256(*hash::key_bytes(id))), weight }
}

fn verify(public: &[u8; 32], message: &[u8], signature: &DecoratedSignature) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(public) else {
        return false;
    };
    let Ok(signature) = Signature::from_slice(signature.signature.as_slice()) else {
        return false;
    };
    key.verify_strict(message, &signature).is_ok()
}

fn last4(bytes: &[u8]) -> [u8; 4] {
    let mut hint = [0; 4];
    let tail = &bytes[bytes.len().saturating_sub(4)..];
    hint[..tail.len()].copy_from_slice(tail);
    hint
}

/// CAP-40: the key's hint XOR the payload's, zero-padded at its end.
fn payload_hint(signer: &SignerKeyEd25519SignedPayload) -> [u8; 4] {
    let key = last4(&signer.ed25519.0);
    let payload = last4(signer.payload.as_slice());
    std::array::from_fn(|i| key[i] ^ payload[i])
}
