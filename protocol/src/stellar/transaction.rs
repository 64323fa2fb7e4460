//! Transactions built, hashed and signed.

use ed25519_dalek::{Signer, SigningKey};
use stellar_xdr::{
    DecoratedSignature, FeeBumpTransaction, FeeBumpTransactionEnvelope, FeeBumpTransactionExt,
    FeeBumpTransactionInnerTx, LedgerBounds, Memo, Operation, Preconditions, PreconditionsV2, SequenceNumber,
    Signature, SignatureHint, TimeBounds, TimePoint, Transaction, TransactionEnvelope, TransactionExt,
    TransactionV1Envelope,
};

use crate::account::AccountId;
use crate::message::TxHash;
use crate::network_id::NetworkId;
use crate::stellar::xdr::{self, XdrError};
use crate::time::Timestamp;

/// When a transaction may be included: from `from` on, and not after `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The earliest close time of its ledger.
    pub from: Timestamp,
    /// The latest close time of its ledger; 0 leaves it open, which only an UNLOCK does: it must never be too late.
    pub until: Timestamp,
    /// Only ledgers with a lower number than this.
    pub before_ledger: Option<u32>,
}

impl Bounds {
    /// Any ledger that closes at `until` or before.
    pub const fn until(until: Timestamp) -> Self {
        Self { from: Timestamp::from_secs(0), until, before_ledger: None }
    }

    /// Any ledger that closes at `from` or later, for ever.
    pub const fn from_on(from: Timestamp) -> Self {
        Self { from, until: Timestamp::from_secs(0), before_ledger: None }
    }

    fn to_xdr(self) -> Preconditions {
        let time = TimeBounds { min_time: TimePoint(self.from.secs()), max_time: TimePoint(self.until.secs()) };
        match self.before_ledger {
            None => Preconditions::Time(time),
            Some(max_ledger) => Preconditions::V2(PreconditionsV2 {
                time_bounds: Some(time),
                ledger_bounds: Some(LedgerBounds { min_ledger: 0, max_ledger }),
                ..PreconditionsV2::default()
            }),
        }
    }
}

/// A transaction before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    /// Who pays the fee, uses a sequence number, and is the source of every operation that names none of its own.
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
            cond: self.bounds.to_xdr(),
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
        let hash = self.hash(network)?;
        let signed: Vec<_> =
            keys.iter().map(|key| (key.verifying_key().to_bytes(), key.sign(hash.as_bytes()).to_bytes())).collect();
        self.assemble(&signed, network)
    }

    /// Puts signatures that were made elsewhere under it, in order: each the signer's public key and what it signed the
    /// hash with. Whether they are right is for the caller to know.
    ///
    /// # Errors
    /// [`XdrError::DoesNotFit`] without operations, with more than 100, or with more than 20 signatures.
    pub fn assemble(&self, signed: &[([u8; 32], [u8; 64])], network: &NetworkId) -> Result<Envelope, XdrError> {
        let tx = self.to_xdr()?;
        let hash = tx.hash(*network.as_bytes()).map_err(|e| XdrError::DoesNotFit(e.to_string()))?;
        let envelope = TransactionEnvelope::Tx(TransactionV1Envelope { tx, signatures: signatures(signed)? });
        Ok(Envelope { bytes: xdr::write(&envelope)?, hash: TxHash::from_bytes(hash) })
    }
}

fn signatures(signed: &[([u8; 32], [u8; 64])]) -> Result<stellar_xdr::VecM<DecoratedSignature, 20>, XdrError> {
    let all: Vec<DecoratedSignature> = signed.iter().map(decorated).collect();
    all.try_into().map_err(|_| XdrError::DoesNotFit("more than 20 signatures".into()))
}

fn decorated(([.., a, b, c, d], signature): &([u8; 32], [u8; 64])) -> DecoratedSignature {
    DecoratedSignature {
        hint: SignatureHint([*a, *b, *c, *d]),
        signature: Signature(signature.to_vec().try_into().expect("an ed25519 signature has 64 bytes")),
    }
}

/// A signed transaction: the bytes to submit, and the hash to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    bytes: Vec<u8>,
    hash: TxHash,
}

impl Envelope {
    /// A signed transaction from its stored bytes.
    ///
    /// # Errors
    /// [`XdrError`] where the bytes are no envelope.
    pub fn read(bytes: &[u8], network: &NetworkId) -> Result<Self, XdrError> {
        Ok(Self { bytes: bytes.to_vec(), hash: hash_of(bytes, network)? })
    }

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

    /// The same transaction with one more signature, `key`'s.
    ///
    /// # Errors
    /// [`XdrError::Invalid`] where this is a fee bump or has no room for one more.
    pub fn countersigned(&self, key: &SigningKey, network: &NetworkId) -> Result<Self, XdrError> {
        let TransactionEnvelope::Tx(mut v1) = xdr::read("transaction", &self.bytes)? else {
            return Err(XdrError::Invalid("transaction to sign"));
        };
        let hash = v1.tx.hash(*network.as_bytes()).map_err(|e| XdrError::DoesNotFit(e.to_string()))?;
        let own = decorated(&(key.verifying_key().to_bytes(), key.sign(&hash).to_bytes()));
        let all: Vec<DecoratedSignature> = v1.signatures.iter().cloned().chain([own]).collect();
        v1.signatures = all.try_into().map_err(|_| XdrError::Invalid("number of signatures"))?;
        Ok(Self { bytes: xdr::write(&TransactionEnvelope::Tx(v1))?, hash: self.hash })
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
        let signatures = signatures(&[(key.verifying_key().to_bytes(), key.sign(&hash).to_bytes())])?;
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::amount::Stroops;
    use crate::asset::Asset;
    use crate::stellar::envelope::SignedTransaction;
    use crate::stellar::operation;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[1; 32])
    }

    fn unsigned() -> Unsigned {
        Unsigned {
            source: AccountId::of(&key()),
            sequence: 5,
            fee: 100,
            bounds: Bounds { from: Timestamp::from_secs(10), ..Bounds::until(Timestamp::from_secs(20)) },
            memo: Memo::None,
            operations: vec![operation::pay(AccountId::from_bytes([2; 32]), &Asset::Native, Stroops::whole(1))],
        }
    }

    #[test]
    fn what_was_signed_is_read_back_as_it_was_built() {
        let network = NetworkId::of_passphrase("a test");
        let envelope = unsigned().sign(&[&key()], &network).unwrap();
        assert_eq!(envelope.hash(), unsigned().hash(&network).unwrap());
        assert_eq!(hash_of(envelope.bytes(), &network).unwrap(), envelope.hash());
        let read = SignedTransaction::read(envelope.bytes(), &network).unwrap();
        assert_eq!((read.source(), read.sequence(), read.fee()), (unsigned().source, 5, 100));
        assert_eq!(read.operations(), unsigned().operations);
        let bounds = (Some(Timestamp::from_secs(10)), Some(Timestamp::from_secs(20)));
        assert_eq!(read.time_bounds(), Some(bounds));
        assert!(read.is_signed_by(unsigned().source));
    }

    #[test]
    fn the_bytes_are_those_of_the_published_layout() {
        let network = NetworkId::of_passphrase("a test");
        let bytes = unsigned().sign(&[&key()], &network).unwrap().into_bytes();
        let me = hex::encode(unsigned().source.as_bytes());
        let payment = format!("000000000000000100000000{}00000000{:016x}", "02".repeat(32), 10_000_000);
        let bounds = format!("00000001{:016x}{:016x}", 10, 20);
        let body = format!("00000000{me}{:08x}{:016x}{bounds}00000000{:08x}{payment}00000000", 100, 5, 1);
        let head = format!("00000002{body}{:08x}{}00000040", 1, &me[56..]);
        assert_eq!(hex::encode(&bytes[..bytes.len() - 64]), head);
    }

    #[test]
    fn a_bound_on_the_ledgers_number_has_the_published_layout() {
        let network = NetworkId::of_passphrase("a test");
        let bounded = Unsigned { bounds: Bounds { before_ledger: Some(77), ..unsigned().bounds }, ..unsigned() };
        let bytes = bounded.sign(&[], &network).unwrap().into_bytes();
        let me = hex::encode(unsigned().source.as_bytes());
        let times = format!("00000001{:016x}{:016x}", 10, 20);
        let v2 = format!("00000002{times}00000001{:08x}{:08x}{:08x}{:016x}{:08x}{:08x}", 0, 77, 0, 0, 0, 0);
        let head = format!("0000000200000000{me}{:08x}{:016x}{v2}", 100, 5);
        assert_eq!(hex::encode(&bytes[..head.len() / 2]), head);
        let read = SignedTransaction::read(&bytes, &network).unwrap();
        assert_eq!((read.time_bounds(), read.signature_count()), (None, 0));
        assert_eq!(read.bounds(), Some(bounded.bounds));
        let open = Unsigned { bounds: Bounds::from_on(Timestamp::from_secs(10)), ..unsigned() };
        let read = SignedTransaction::read(open.sign(&[], &network).unwrap().bytes(), &network).unwrap();
        assert_eq!(read.time_bounds(), Some((Some(Timestamp::from_secs(10)), None)));
    }

    #[test]
    fn signatures_made_elsewhere_give_the_same_envelope() {
        let network = NetworkId::of_passphrase("a test");
        let hash = unsigned().hash(&network).unwrap();
        let signed = (key().verifying_key().to_bytes(), key().sign(hash.as_bytes()).to_bytes());
        assert_eq!(unsigned().assemble(&[signed], &network), unsigned().sign(&[&key()], &network));
        assert!(unsigned().assemble(&[signed; 21], &network).is_err());
    }

    #[test]
    fn a_fee_bump_keeps_the_inner_bytes_and_has_a_hash_of_its_own() {
        let network = NetworkId::of_passphrase("a test");
        let inner = unsigned().sign(&[&key()], &network).unwrap();
        let bumped = inner.bump_fee(400, &SigningKey::from_bytes(&[3; 32]), &network).unwrap();
        assert_ne!(bumped.hash(), inner.hash());
        assert_eq!(hash_of(bumped.bytes(), &network).unwrap(), bumped.hash());
        let contains = bumped.bytes().windows(inner.bytes().len()).any(|part| part == inner.bytes());
        assert!(contains);
        assert!(bumped.bump_fee(900, &key(), &network).is_err());
    }

    #[test]
    fn what_the_ledger_could_not_take_is_not_built() {
        let network = NetworkId::of_passphrase("a test");
        let with = |operations| Unsigned { operations, ..unsigned() }.sign(&[&key()], &network);
        assert!(with(Vec::new()).is_err());
        assert!(with(vec![unsigned().operations[0].clone(); 101]).is_err());
        let keys = vec![key(); 21];
        assert!(unsigned().sign(&keys.iter().collect::<Vec<_>>(), &network).is_err());
    }
}
