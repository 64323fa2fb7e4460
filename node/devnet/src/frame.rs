//! A submitted envelope, decoded once, with its hashes.

use std::cell::RefCell;
use std::collections::HashMap;

use stellar_xdr::{
    AccountId, DecoratedSignature, FeeBumpTransactionInnerTx, Limits, MuxedAccount, Preconditions, ReadXdr,
    Transaction, TransactionEnvelope, TransactionExt, TransactionV0, TransactionV0Ext,
};
use thiserror::Error;

use crate::hash;

/// The largest envelope that is looked at, in bytes; stellar-core's bound for
/// classic transactions.
pub const MAX_ENVELOPE_BYTES: usize = 100 * 1024;

/// The deepest nesting of XDR values that is decoded. A predicate nested as
/// far as the ledger allows needs about a third of it.
pub(crate) const MAX_XDR_DEPTH: u32 = 100;

/// The bytes are not one transaction envelope, or are too large or too deep.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid_xdr: not a transaction envelope of at most {MAX_ENVELOPE_BYTES} bytes ({reason})")]
pub struct InvalidXdr {
    reason: String,
}

/// A transaction as it was submitted: one on its own, or one in a fee bump.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The envelope as it came: XDR has one encoding of a value only.
    pub(crate) bytes: Vec<u8>,
    /// The hash of the envelope with its signatures, by which the queue knows
    /// it and the transactions of a ledger are sorted.
    pub(crate) full_hash: [u8; 32],
    pub(crate) inner: Inner,
    pub(crate) bump: Option<Bump>,
}

/// The transaction that has the operations.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) tx: Transaction,
    /// The account whose sequence number it uses, without a muxed id.
    pub(crate) source: AccountId,
    /// Whether it came in the retired V0 envelope.
    pub(crate) version0: bool,
    pub(crate) signed: Signed,
}

/// The outer transaction of a fee bump.
#[derive(Debug)]
pub(crate) struct Bump {
    pub(crate) source: AccountId,
    pub(crate) fee: i64,
    pub(crate) signed: Signed,
    /// The hash that the envelope inside had on its own, with its signatures.
    pub(crate) inner_full_hash: [u8; 32],
}

/// A hash with the signatures that came with it.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) hash: [u8; 32],
    pub(crate) signatures: Vec<DecoratedSignature>,
    /// Results of ed25519 checks by (signature, public key). A transaction is
    /// judged up to three times (admission, set, execution); the curve
    /// arithmetic is done once.
    pub(crate) verified: RefCell<HashMap<(usize, [u8; 32]), bool>>,
}

impl Frame {
    /// Decodes an envelope and computes its hashes on a network.
    pub(crate) fn decode(bytes: &[u8], network_id: &[u8; 32]) -> Result<Self, InvalidXdr> {
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(InvalidXdr { reason: format!("{} bytes", bytes.len()) });
        }
        let limits = Limits { depth: MAX_XDR_DEPTH, len: MAX_ENVELOPE_BYTES };
        let envelope =
            TransactionEnvelope::from_xdr(bytes, limits).map_err(|e| InvalidXdr { reason: e.to_string() })?;
        let (bytes, full_hash) = (bytes.to_vec(), hash::sha256(&[bytes]));
        Ok(match envelope {
            TransactionEnvelope::TxV0(v0) => {
                let mut inner = Inner::new(as_v1(v0.tx), v0.signatures.into(), network_id);
                inner.version0 = true;
                Self { bytes, full_hash, inner, bump: None }
            }
            TransactionEnvelope::Tx(v1) => {
                let inner = Inner::new(v1.tx, v1.signatures.into(), network_id);
                Self { bytes, full_hash, inner, bump: None }
            }
            TransactionEnvelope::TxFeeBump(outer) => {
                let signed = Signed::new(hash::fee_bump(network_id, &outer.tx), outer.signatures.into());
                let FeeBumpTransactionInnerTx::Tx(v1) = outer.tx.inner_tx;
                let inner_full_hash = hash::envelope(&v1);
                let source = outer.tx.fee_source.account_id();
                Self {
                    bytes,
                    full_hash,
                    inner: Inner::new(v1.tx, v1.signatures.into(), network_id),
                    bump: Some(Bump { source, fee: outer.tx.fee, signed, inner_full_hash }),
                }
            }
        })
    }

    /// Returns the hash of the whole: the outer one of a fee bump.
    pub(crate) fn hash(&self) -> [u8; 32] {
        match &self.bump {
            Some(bump) => bump.signed.hash,
            None => self.inner.signed.hash,
        }
    }

    /// Returns the account that pays the fee.
    pub(crate) fn fee_source(&self) -> &AccountId {
        match &self.bump {
            Some(bump) => &bump.source,
            None => &self.inner.source,
        }
    }

    /// Returns the highest fee it offers to pay, in stroops.
    pub(crate) fn bid(&self) -> i64 {
        match &self.bump {
            Some(bump) => bump.fee,
            None => i64::from(self.inner.tx.fee),
        }
    }

    /// Returns how many operations it pays for: a fee bump counts as one more.
    pub(crate) fn paid_operations(&self) -> i64 {
        self.inner.paid_operations() + i64::from(self.bump.is_some())
    }
}

impl Inner {
    fn new(tx: Transaction, signatures: Vec<DecoratedSignature>, network_id: &[u8; 32]) -> Self {
        Self {
            source: tx.source_account.clone().account_id(),
            signed: Signed::new(hash::transaction(network_id, &tx), signatures),
            version0: false,
            tx,
        }
    }

    /// Returns how many operations its own fee pays for: at least one.
    pub(crate) fn paid_operations(&self) -> i64 {
        i64::try_from(self.tx.operations.len()).expect("XDR allows 100 operations").max(1)
    }

    /// Returns the account that operation `index` acts for.
    pub(crate) fn operation_source(&self, index: usize) -> AccountId {
        match &self.tx.operations[index].source_account {
            Some(muxed) => muxed.clone().account_id(),
            None => self.source.clone(),
        }
    }
}

impl Signed {
    fn new(hash: [u8; 32], signatures: Vec<DecoratedSignature>) -> Self {
        Self { hash, signatures, verified: RefCell::default() }
    }
}

/// A V0 transaction in the form that is hashed and signed.
fn as_v1(tx: TransactionV0) -> Transaction {
    let TransactionV0Ext::V0 = tx.ext;
    Transaction {
        source_account: MuxedAccount::Ed25519(tx.source_account_ed25519),
        fee: tx.fee,
        seq_num: tx.seq_num,
        cond: tx.time_bounds.map_or(Preconditions::None, Preconditions::Time),
        memo: tx.memo,
        operations: tx.operations,
        ext: TransactionExt::V0,
    }
}
