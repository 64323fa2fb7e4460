//! A signed transaction from outside, read and checked.

use ed25519_dalek::Signature;
use stellar_xdr::{
    DecoratedSignature, FeeBumpTransactionInnerTx, LedgerBounds, Memo, Operation, Preconditions, PreconditionsV2,
    TimeBounds, Transaction, TransactionEnvelope, TransactionV1Envelope,
};

use crate::account::AccountId;
use crate::message::TxHash;
use crate::network_id::NetworkId;
use crate::stellar::transaction::Bounds;
use crate::stellar::xdr::{self, XdrError};
use crate::time::Timestamp;

/// The most bytes of an envelope that a peer may hand over.
pub const MAX_ENVELOPE_BYTES: usize = 4 * 1024;

/// Why an envelope from outside can't be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// More bytes than any envelope of ours.
    #[error("an envelope of {0} bytes; at most {MAX_ENVELOPE_BYTES} are looked at")]
    TooLarge(usize),
    /// Not the XDR of an envelope.
    #[error(transparent)]
    Xdr(#[from] XdrError),
    /// The old form, which the ledger no longer takes.
    #[error("a version 0 envelope, which the ledger no longer takes; sign a version 1 transaction")]
    VersionZero,
    /// A fee bump where a plain transaction is expected.
    #[error("a fee bump where a plain transaction is expected")]
    FeeBump,
    /// A multiplexed source.
    #[error("its source is a multiplexed account (M…); use the plain account (G…)")]
    Multiplexed,
}

/// A plain transaction with its signatures, as it came from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTransaction {
    source: AccountId,
    transaction: Transaction,
    signatures: Vec<DecoratedSignature>,
    hash: TxHash,
}

impl SignedTransaction {
    /// Reads an envelope that a peer handed over.
    ///
    /// # Errors
    /// [`EnvelopeError`]; the signatures are not looked at yet.
    pub fn read(envelope: &[u8], network: &NetworkId) -> Result<Self, EnvelopeError> {
        if envelope.len() > MAX_ENVELOPE_BYTES {
            return Err(EnvelopeError::TooLarge(envelope.len()));
        }
        match xdr::read::<TransactionEnvelope>("transaction envelope", envelope)? {
            TransactionEnvelope::TxV0(_) => Err(EnvelopeError::VersionZero),
            TransactionEnvelope::TxFeeBump(_) => Err(EnvelopeError::FeeBump),
            TransactionEnvelope::Tx(v1) => Self::of(v1, network),
        }
    }

    /// Reads an envelope that a ledger included: a plain transaction, or the one inside of a fee bump.
    ///
    /// # Errors
    /// [`EnvelopeError`].
    pub fn read_included(envelope: &[u8], network: &NetworkId) -> Result<Self, EnvelopeError> {
        match xdr::read::<TransactionEnvelope>("transaction envelope", envelope)? {
            TransactionEnvelope::TxV0(_) => Err(EnvelopeError::VersionZero),
            TransactionEnvelope::TxFeeBump(bump) => {
                let FeeBumpTransactionInnerTx::Tx(v1) = bump.tx.inner_tx;
                Self::of(v1, network)
            }
            TransactionEnvelope::Tx(v1) => Self::of(v1, network),
        }
    }

    fn of(v1: TransactionV1Envelope, network: &NetworkId) -> Result<Self, EnvelopeError> {
        let source = xdr::read_plain(&v1.tx.source_account).ok_or(EnvelopeError::Multiplexed)?;
        let hash = v1.tx.hash(*network.as_bytes()).map_err(|e| XdrError::DoesNotFit(e.to_string()))?;
        Ok(Self { source, signatures: v1.signatures.to_vec(), transaction: v1.tx, hash: TxHash::from_bytes(hash) })
    }

    /// Its source account.
    pub const fn source(&self) -> AccountId {
        self.source
    }

    /// The sequence number that it uses.
    pub const fn sequence(&self) -> i64 {
        self.transaction.seq_num.0
    }

    /// The most that it may cost, in stroops.
    pub const fn fee(&self) -> u32 {
        self.transaction.fee
    }

    /// Its hash on the network that it was read for.
    pub const fn hash(&self) -> TxHash {
        self.hash
    }

    /// Its memo.
    pub const fn memo(&self) -> &Memo {
        &self.transaction.memo
    }

    /// Its operations, in order.
    pub fn operations(&self) -> &[Operation] {
        &self.transaction.operations
    }

    /// How many signatures it carries.
    pub fn signature_count(&self) -> usize {
        self.signatures.len()
    }

    /// When it may be included, where nothing but time bounds it: (from, until), each `None` where it is open.
    /// `None` where it has other preconditions.
    pub fn time_bounds(&self) -> Option<(Option<Timestamp>, Option<Timestamp>)> {
        let open = |secs: u64| (secs != 0).then(|| Timestamp::from_secs(secs));
        match &self.transaction.cond {
            Preconditions::None => Some((None, None)),
            Preconditions::Time(bounds) => Some((open(bounds.min_time.0), open(bounds.max_time.0))),
            Preconditions::V2(_) => None,
        }
    }

    /// When it may be included, where nothing but time and perhaps a latest ledger bounds it, written as
    /// [`Unsigned`](crate::stellar::transaction::Unsigned) writes that; `None` otherwise.
    pub fn bounds(&self) -> Option<Bounds> {
        let times = |bounds: &TimeBounds| Bounds {
            from: Timestamp::from_secs(bounds.min_time.0),
            ..Bounds::until(Timestamp::from_secs(bounds.max_time.0))
        };
        match &self.transaction.cond {
            Preconditions::None => Some(Bounds::from_on(Timestamp::from_secs(0))),
            Preconditions::Time(bounds) => Some(times(bounds)),
            Preconditions::V2(v2) => {
                let bare = PreconditionsV2 { time_bounds: None, ledger_bounds: None, ..v2.clone() };
                match (&v2.time_bounds, &v2.ledger_bounds) {
                    (Some(time), Some(LedgerBounds { min_ledger: 0, max_ledger: max @ 1.. }))
                        if bare == PreconditionsV2::default() =>
                    {
                        Some(Bounds { before_ledger: Some(*max), ..times(time) })
                    }
                    _ => None,
                }
            }
        }
    }

    /// Whether one of its signatures is this account's master key's, verified strictly as the ledger does.
    pub fn is_signed_by(&self, account: AccountId) -> bool {
        let Some(key) = account.verifying_key() else { return false };
        self.signatures.iter().any(|decorated| {
            let bytes: Result<[u8; 64], _> = decorated.signature.0.as_slice().try_into();
            decorated.hint.0 == account.as_bytes()[28..]
                && bytes.is_ok_and(|b| key.verify_strict(self.hash.as_bytes(), &Signature::from_bytes(&b)).is_ok())
        })
    }
}
