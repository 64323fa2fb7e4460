//! Transactions built, hashed and signed.

use ed25519_dalek::{Signer, SigningKey};
use stellar_xdr::{
    DecoratedSignature, FeeBumpTransaction, FeeBumpTransactionEnvelope, FeeBumpTransactionExt,
    FeeBumpTransactionInnerTx, Memo, Operation, Preconditions, SequenceNumber, Signature, SignatureHint, TimeBounds,
    TimePoint, Transaction, TransactionEnvelope, TransactionExt, TransactionV1Envelope,
};

use crate::account::AccountId;
use crate::message::TxHash;
use crate::network_id::NetworkId;
use crate::stellar::xdr::{self, XdrError};
use crate::time::Timestamp;

/// When a transaction may be included: from `from` on, and not after `until`, which is never left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The earliest close time of its ledger.
    pub from: Timestamp,
    /// The latest close time of its ledger.
    pub until: Timestamp,
}

impl Bounds {
    /// Any ledger that closes at `until` or before.
    pub const fn until(until: Timestamp) -> Self {
        Self { from: Timestamp::from_secs(0), until }
    }
}

/// A transaction before it is signed. Every operation's source is the transaction's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    /// Who pays the fee, uses a sequence number, and is the operations' source.
    pub source: AccountId,
    /// The sequence number that it uses: the account's last one + 1.
    pub sequence: i64,
    /// The most that it may cost, in stroops.
    pub fee: u32,
    /// When it may be included.
    pub bounds: Bounds,
    /// What it says.
    pub memo: Memo,
    /// What it does, in order; 1 to 100.
    pub operations: Vec<Operation>,
}

impl Unsigned {
    fn to_xdr(&self) -> Result<Transaction, XdrError> {
        if self.operations.is_empty() {
            return Err(XdrError::DoesNotFit("a transaction without operations".into()));
        }
        let operations = self.operations.clone().try_into();
        Ok(Transaction {
            source_account: xdr::muxed(self.source),
            fee: self.fee,
            seq_num: SequenceNumber(self.sequence),
            cond: Preconditions::Time(TimeBounds {
                min_time: TimePoint(self.bounds.from.secs()),
                max_time: TimePoint(self.bounds.until.secs()),
            }),
            memo: self.memo.clone(),
            operations: operations.map_err(|_| XdrError::DoesNotFit("more than 100 operations".into()))?,
            ext: TransactionExt::V0,
        })
    }

    /// The hash that its signatures cover.
    ///
    /// # Errors
    /// [`XdrError::DoesNotFit`] without operations or with more than 100.
    pub fn hash(&self, network: &NetworkId) -> Result<TxHash, XdrError> {
        let hash = self.to_xdr()?.hash(*network.as_bytes());
        hash.map(TxHash::from_bytes).map_err(|e| XdrError::DoesNotFit(e.to_string()))
    }

    /// Signs it with each key, in order.
    ///
    /// # Errors
    /// [`XdrError::DoesNotFit`] without operations, with more than 100, or with more than 20 keys.
    pub fn sign(&self, keys: &[&SigningKey], network: &NetworkId) -> Result<Envelope, XdrError> {
        let tx = self.to_xdr()?;
        let hash = tx.hash(*network.as_bytes()).map_err(|e| XdrError::DoesNotFit(e.to_string()))?;
        let signatures = signatures(keys, &hash)?;
        let envelope = TransactionEnvelope::Tx(TransactionV1Envelope { tx, signatures });
        Ok(Envelope { bytes: xdr::write(&envelope)?, hash: TxHash::from_bytes(hash) })
    }
}

fn signatures(keys: &[&SigningKey], hash: &[u8; 32]) -> Result<stellar_xdr::VecM<DecoratedSignature, 20>, XdrError> {
    let all: Vec<DecoratedSignature> = keys.iter().map(|key| decorated(key, hash)).collect();
    all.try_into().map_err(|_| XdrError::DoesNotFit("more than 20 signatures".into()))
}

fn decorated(key: &SigningKey, hash: &[u8; 32]) -> DecoratedSignature {
    let [.., a, b, c, d] = key.verifying_key().to_bytes();
    let signature = key.sign(hash).to_bytes().to_vec();
    DecoratedSignature {
        hint: SignatureHint([a, b, c, d]),
        signature: Signature(signature.try_into().expect("an ed25519 signature has 64 bytes")),
    }
}

/// A signed transaction: the bytes to submit, and the hash to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    bytes: Vec<u8>,
    hash: TxHash,
}

impl Envelope {
    /// The `TransactionEnvelope` XDR.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its hash.
    pub const fn hash(&self) -> TxHash {
        self.hash
    }

    /// Takes the bytes out.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Wraps a signed transaction so that `key`'s account pays up to `fee` stroops for it, the bump's own operation
    /// included. The inner transaction's hash still finds it.
    ///
    /// # Errors
    /// [`XdrError::Invalid`] where this is a fee bump itself.
    pub fn bump_fee(&self, fee: i64, key: &SigningKey, network: &NetworkId) -> Result<Self, XdrError> {
        let TransactionEnvelope::Tx(inner) = xdr::read("transaction", &self.bytes)? else {
            return Err(XdrError::Invalid("transaction to bump"));
        };
        let tx = FeeBumpTransaction {
            fee_source: xdr::muxed(AccountId::of(key)),
            fee,
            inner_tx: FeeBumpTransactionInnerTx::Tx(inner),
            ext: FeeBumpTransactionExt::V0,
        };
        let hash = tx.hash(*network.as_bytes()).map_err(|e| XdrError::DoesNotFit(e.to_string()))?;
        let signatures = signatures(&[key], &hash)?;
        let envelope = TransactionEnvelope::TxFeeBump(FeeBumpTransactionEnvelope { tx, signatures });
        Ok(Self { bytes: xdr::write(&envelope)?, hash: TxHash::from_bytes(hash) })
    }
}

/// The hash of any envelope, whatever its form: version 0 and 1 transactions, and fee bumps.
///
/// # Errors
/// [`XdrError`] where the bytes are no envelope.
pub fn hash_of(envelope: &[u8], network: &NetworkId) -> Result<TxHash, XdrError> {
    let envelope: TransactionEnvelope = xdr::read("transaction envelope", envelope)?;
    let hash = envelope.hash(*network.as_bytes());
    hash.map(TxHash::from_bytes).map_err(|e| XdrError::DoesNotFit(e.to_string()))
}
