//! A timestamp that can be checked alone: path, transaction, result, and the ledger's header with all its results.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stellar_xdr::{
    Hash, LedgerHeader, LedgerHeaderHistoryEntry, Memo, OperationBody, TransactionResultPair, TransactionResultResult,
    TransactionResultSet,
};

use super::tree::{self, Node};
use super::{Batch, ENTRY, entry_value};
use crate::account::AccountId;
use crate::message::{Sha256Hash, TxHash};
use crate::network_id::NetworkId;
use crate::stellar::LedgerPoint;
use crate::stellar::envelope::{EnvelopeError, SignedTransaction};
use crate::stellar::xdr::{self, XdrError};

/// The most bytes of a ledger's results.
pub const MAX_RESULTS_BYTES: usize = 1024 * 1024;
/// The most nodes of a path.
const MAX_PATH: usize = 64;

/// All that proves that a hash was in a ledger, as it is kept in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The form of this file: 1.
    pub version: u32,
    /// The network's passphrase.
    pub network: String,
    /// What is stamped.
    pub hash: Sha256Hash,
    /// Which leaf of the tree it is.
    pub index: u64,
    /// How many leaves the tree has.
    pub size: u64,
    /// The nodes beside the way to the root, the lowest first.
    pub path: Vec<Sha256Hash>,
    /// Which batch of the account it was.
    pub counter: u64,
    /// The signed transaction, XDR in base64.
    pub envelope: String,
    /// The header of the ledger that included it, behind its hash (`LedgerHeaderHistoryEntry`), XDR in base64.
    pub header: String,
    /// The results of all of that ledger's transactions (`TransactionResultSet`), XDR in base64.
    pub results: String,
}

/// A whole batch with all that proves it, as a node keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchFile {
    /// The form of this file: 1.
    pub version: u32,
    /// The network's passphrase.
    pub network: String,
    /// The root before it; zeros in the first.
    pub previous: Sha256Hash,
    /// Which batch of the account it was, from 1.
    pub counter: u64,
    /// What is stamped, in order.
    pub hashes: Vec<Sha256Hash>,
    /// The signed transaction, XDR in base64.
    pub envelope: String,
    /// The ledger's header behind its hash, XDR in base64.
    pub header: String,
    /// The results of the ledger's transactions, XDR in base64.
    pub results: String,
}

impl BatchFile {
    /// The file of a batch: its envelope, the ledger's header and results, all XDR.
    pub fn new(batch: &Batch, network: &str, envelope: &[u8], header: &[u8], results: &[u8]) -> Self {
        Self {
            version: 1,
            network: network.to_owned(),
            previous: Sha256Hash::from_bytes(batch.previous),
            counter: batch.counter,
            hashes: batch.hashes.iter().copied().map(Sha256Hash::from_bytes).collect(),
            envelope: xdr::to_base64(envelope),
            header: xdr::to_base64(header),
            results: xdr::to_base64(results),
        }
    }

    fn batch(&self) -> Batch {
        let hashes = self.hashes.iter().map(|hash| *hash.as_bytes()).collect();
        Batch { previous: *self.previous.as_bytes(), counter: self.counter, hashes }
    }

    /// The tree's root.
    pub fn root(&self) -> Sha256Hash {
        Sha256Hash::from_bytes(self.batch().root())
    }

    /// The proof of one hash of the batch.
    pub fn proof_of(&self, hash: &Sha256Hash) -> Option<Proof> {
        let batch = self.batch();
        let (index, path) = batch.path(hash.as_bytes())?;
        Some(Proof {
            version: self.version,
            network: self.network.clone(),
            hash: *hash,
            index,
            size: batch.size(),
            path: path.into_iter().map(Sha256Hash::from_bytes).collect(),
            counter: self.counter,
            envelope: self.envelope.clone(),
            header: self.header.clone(),
            results: self.results.clone(),
        })
    }

    /// Checks the whole batch, as [`Proof::check`] does one hash.
    ///
    /// # Errors
    /// The first [`ProofError`].
    pub fn check(&self) -> Result<Proved, ProofError> {
        let nothing = ProofError::Path { index: 0, size: 0 };
        self.hashes.first().and_then(|hash| self.proof_of(hash)).ok_or(nothing)?.check()
    }
}

/// What a proof proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// Whose transaction it is, by its master key's signature.
    pub account: AccountId,
    /// The transaction.
    pub transaction: TxHash,
    /// The tree's root.
    pub root: Node,
    /// The ledger that included it, with its close time: the hash existed then.
    pub ledger: LedgerPoint,
    /// That ledger's hash, for comparison with anybody's copy of the ledger's history.
    pub ledger_hash: [u8; 32],
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Of a later version.
    #[error("a proof of version {0}: this program reads version 1; use a newer one")]
    Version(u32),
    /// The path is no way from the hash to a root.
    #[error("its path doesn't lead from leaf {index} of {size} to a root")]
    Path {
        /// Which leaf.
        index: u64,
        /// Of how many.
        size: u64,
    },
    /// The previous root's leaf.
    #[error("leaf 0 holds the previous root and is no timestamp")]
    PreviousRoot,
    /// The envelope isn't one.
    #[error("its transaction can't be read: {0}")]
    Envelope(#[from] EnvelopeError),
    /// One of the other parts isn't what it should be.
    #[error("one of its parts can't be read: {0}")]
    Xdr(#[from] XdrError),
    /// The transaction says another root.
    #[error("the path leads to the root {found}, and the transaction {where_} another one")]
    AnotherRoot {
        /// The path's root.
        found: String,
        /// Where the transaction says it.
        where_: &'static str,
    },
    /// Not signed by its account.
    #[error("the transaction isn't signed by the master key of its account {0}")]
    NotSigned(AccountId),
    /// The header's hash isn't its own.
    #[error("the ledger's header doesn't have the hash that stands before it")]
    HeaderHash,
    /// The results aren't the ledger's.
    #[error("the results aren't those that the ledger's header names")]
    ForeignResults,
    /// The transaction isn't in the ledger, or failed there.
    #[error("the transaction {0} isn't among those that took effect in this ledger")]
    NotIncluded(TxHash),
}

impl Proof {
    /// Checks everything that can be checked without asking anybody. That the ledger's hash is the network's is for
    /// whoever keeps the ledger's history to say.
    ///
    /// # Errors
    /// The first [`ProofError`].
    pub fn check(&self) -> Result<Proved, ProofError> {
        if self.version != 1 {
            return Err(ProofError::Version(self.version));
        }
        if self.index == 0 {
            return Err(ProofError::PreviousRoot);
        }
        let bad_path = || ProofError::Path { index: self.index, size: self.size };
        if self.path.len() > MAX_PATH {
            return Err(bad_path());
        }
        let path: Vec<Node> = self.path.iter().map(|node| *node.as_bytes()).collect();
        let root =
            tree::root_over(&tree::leaf(self.hash.as_bytes()), self.index, self.size, &path).ok_or_else(bad_path)?;
        let network = NetworkId::of_passphrase(&self.network);
        let transaction = SignedTransaction::read(&xdr::from_base64(&self.envelope)?, &network)?;
        check_transaction(&transaction, &root, self.counter)?;
        let header = xdr::from_base64(&self.header)?;
        let results = xdr::from_base64_within(&self.results, MAX_RESULTS_BYTES)?;
        let (ledger, ledger_hash) = check_inclusion(transaction.hash(), &header, &results)?;
        Ok(Proved { account: transaction.source(), transaction: transaction.hash(), root, ledger, ledger_hash })
    }
}

/// Whether the transaction says this root, in memo and data entry, under its account's signature.
fn check_transaction(transaction: &SignedTransaction, root: &Node, counter: u64) -> Result<(), ProofError> {
    let another = |where_| ProofError::AnotherRoot { found: hex::encode(root), where_ };
    if *transaction.memo() != Memo::Hash(Hash(*root)) {
        return Err(another("names in its memo"));
    }
    let value = entry_value(root, counter);
    let sets = transaction.operations().iter().any(|operation| match &operation.body {
        OperationBody::ManageData(op) => {
            let name = op.data_name.0.as_slice() == ENTRY.as_bytes();
            name && op.data_value.as_ref().is_some_and(|held| held.0.as_slice() == value)
        }
        _ => false,
    });
    if !sets {
        return Err(another("puts into its data entry"));
    }
    match transaction.is_signed_by(transaction.source()) {
        true => Ok(()),
        false => Err(ProofError::NotSigned(transaction.source())),
    }
}

/// Whether a transaction took effect in a ledger, as its header and results say; which ledger, and its hash.
///
/// # Errors
/// What they don't prove.
pub fn check_inclusion(
    transaction: TxHash,
    header: &[u8],
    results: &[u8],
) -> Result<(LedgerPoint, [u8; 32]), ProofError> {
    let entry: LedgerHeaderHistoryEntry = xdr::read("ledger header", header)?;
    let hash: [u8; 32] = Sha256::digest(xdr::write(&entry.header)?).into();
    if entry.hash.0 != hash {
        return Err(ProofError::HeaderHash);
    }
    let header: &LedgerHeader = &entry.header;
    let set: TransactionResultSet = xdr::read_within("ledger's results", results, MAX_RESULTS_BYTES)?;
    let of_results: [u8; 32] = Sha256::digest(results).into();
    if header.tx_set_result_hash.0 != of_results {
        return Err(ProofError::ForeignResults);
    }
    let took_effect = |pair: &TransactionResultPair| {
        let success = matches!(pair.result.result, TransactionResultResult::TxSuccess(_));
        pair.transaction_hash.0 == *transaction.as_bytes() && success
    };
    if !set.results.iter().any(took_effect) {
        return Err(ProofError::NotIncluded(transaction));
    }
    let closed = crate::time::Timestamp::from_secs(header.scp_value.close_time.0);
    Ok((LedgerPoint::new(header.ledger_seq, closed), hash))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::stellar::transaction::{Bounds, Unsigned};
    use crate::time::Timestamp;
    use crate::timestamp::Batch;
    use ed25519_dalek::SigningKey;
    use stellar_xdr::{TransactionResult, TransactionResultExt};

    const NETWORK: &str = "Proofs ; tests";

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[1; 32])
    }

    fn result(hash: TxHash, success: bool) -> TransactionResultPair {
        let result = match success {
            true => TransactionResultResult::TxSuccess(Default::default()),
            false => TransactionResultResult::TxBadSeq,
        };
        let result = TransactionResult { fee_charged: 100, result, ext: TransactionResultExt::V0 };
        TransactionResultPair { transaction_hash: Hash(*hash.as_bytes()), result }
    }

    /// A ledger with these results, as its header's and its own XDR.
    fn ledger(results: Vec<TransactionResultPair>) -> (String, String) {
        let results = xdr::write(&TransactionResultSet { results: results.try_into().unwrap() }).unwrap();
        let mut header = LedgerHeader { ledger_seq: 77, ..LedgerHeader::default() };
        header.scp_value.close_time.0 = 1_800_000_000;
        header.tx_set_result_hash = Hash(Sha256::digest(&results).into());
        let hash = Hash(Sha256::digest(xdr::write(&header).unwrap()).into());
        let entry = LedgerHeaderHistoryEntry { hash, header, ..LedgerHeaderHistoryEntry::default() };
        (xdr::to_base64(&xdr::write(&entry).unwrap()), xdr::to_base64(&results))
    }

    fn transaction(batch: &Batch) -> crate::stellar::transaction::Envelope {
        let unsigned = Unsigned {
            source: AccountId::of(&key()),
            sequence: 5,
            fee: 100,
            bounds: Bounds::until(Timestamp::from_secs(1_800_000_100)),
            memo: batch.memo(),
            operations: batch.operations(),
        };
        unsigned.sign(&[&key()], &NetworkId::of_passphrase(NETWORK)).unwrap()
    }

    fn batch() -> Batch {
        Batch::following(None, vec![[1; 32], [2; 32], [3; 32]]).unwrap()
    }

    fn proof() -> Proof {
        let (batch, hash) = (batch(), [2; 32]);
        let envelope = transaction(&batch);
        let (index, path) = batch.path(&hash).unwrap();
        let other = result(TxHash::from_bytes([9; 32]), false);
        let (header, results) = ledger(vec![other, result(envelope.hash(), true)]);
        Proof {
            version: 1,
            network: NETWORK.to_owned(),
            hash: Sha256Hash::from_bytes(hash),
            index,
            size: batch.size(),
            path: path.into_iter().map(Sha256Hash::from_bytes).collect(),
            counter: batch.counter,
            envelope: xdr::to_base64(envelope.bytes()),
            header,
            results,
        }
    }

    #[test]
    fn a_proof_says_what_was_when_in_which_ledger_and_survives_its_file() {
        let proof: Proof = serde_json::from_str(&serde_json::to_string(&proof()).unwrap()).unwrap();
        let proved = proof.check().unwrap();
        assert_eq!((proved.account, proved.root), (AccountId::of(&key()), batch().root()));
        assert_eq!(proved.ledger, LedgerPoint::new(77, Timestamp::from_secs(1_800_000_000)));
        assert_eq!(proved.transaction, transaction(&batch()).hash());
    }

    #[test]
    fn whatever_is_changed_proves_nothing() {
        type Change = (&'static str, fn(&mut Proof));
        let changes: Vec<Change> = vec![
            ("version", |p| p.version = 2),
            ("network", |p| p.network.push('!')),
            ("hash", |p| p.hash = Sha256Hash::from_bytes([3; 32])),
            ("index", |p| p.index = 1),
            ("leaf 0", |p| p.index = 0),
            ("an index outside", |p| p.index = 4),
            ("size", |p| p.size += 4),
            ("path", |p| p.path[0] = Sha256Hash::from_bytes([7; 32])),
            ("a longer path", |p| p.path.push(Sha256Hash::from_bytes([7; 32]))),
            ("an endless path", |p| p.path = vec![Sha256Hash::from_bytes([7; 32]); 1_000]),
            ("counter", |p| p.counter += 1),
            ("another batch's envelope", |p| {
                let other = Batch::following(None, vec![[8; 32]]).unwrap();
                p.envelope = xdr::to_base64(transaction(&other).bytes());
            }),
            ("an envelope that nobody signed", |p| {
                let mut bytes = xdr::from_base64(&p.envelope).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                p.envelope = xdr::to_base64(&bytes);
            }),
            ("no envelope", |p| p.envelope = "AAAA".into()),
            ("a header that isn't its hash's", |p| {
                let mut bytes = xdr::from_base64(&p.header).unwrap();
                bytes[0] ^= 1;
                p.header = xdr::to_base64(&bytes);
            }),
            ("another ledger's results", |p| p.results = ledger(vec![result(TxHash::from_bytes([4; 32]), true)]).1),
            ("a ledger without it", |p| (p.header, p.results) = ledger(vec![])),
            ("a ledger in which it failed", |p| {
                (p.header, p.results) = ledger(vec![result(transaction(&batch()).hash(), false)]);
            }),
            ("endless results", |p| p.results = "A".repeat(8 * 1024 * 1024)),
            ("not base64", |p| p.header = "?".into()),
        ];
        for (what, change) in changes {
            let mut proof = proof();
            change(&mut proof);
            assert!(proof.check().is_err(), "{what}");
        }
    }
}
