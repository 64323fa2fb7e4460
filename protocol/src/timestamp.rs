//! Timestamps: many hashes under the root of one Merkle tree, which one transaction puts into a ledger for 100 stroops.
//!
//! The root stands in the transaction's memo and, with a counter, in the account's data entry [`ENTRY`]; leaf 0 is the
//! root before it, so that an account's batches form a chain. A [`Proof`] holds all that is needed to check one hash
//! without anybody's help, for as long as somebody keeps the ledger's headers.

pub mod proof;
pub mod tree;

use bincode::{Decode, Encode};
use stellar_xdr::Hash;

use crate::account::AccountId;
use crate::limits::MAX_HASHES;
use crate::stellar::ledger_key::Key;
use crate::stellar::{Memo, Operation, operation};
use tree::Node;

pub use proof::{BatchFile, Proof, ProofError, Proved};

/// The account's data entry that holds the newest root and its counter.
pub const ENTRY: &str = "tradepost.root";
/// Bytes of the entry's value: root, then the counter, big endian.
const ENTRY_BYTES: usize = 40;

/// The entry to read of an account.
pub fn entry_of(account: AccountId) -> Key {
    Key::Data(account, ENTRY.to_owned())
}

/// Why hashes are no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// None, or too many.
    #[error("a batch has 1 to {MAX_HASHES} hashes, not {0}")]
    Count(usize),
    /// The same hash more than once.
    #[error("hash number {0} is in the batch already: each needs to stand there once")]
    Twice(usize),
    /// The account's counter can't go on.
    #[error("the account's entry {ENTRY} holds no root of this program's with its counter: remove that entry first")]
    ForeignEntry,
}

/// Hashes that get one root.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Batch {
    /// The root before it; 32 zeros in an account's first batch.
    pub previous: [u8; 32],
    /// Which batch of the account this is, from 1.
    pub counter: u64,
    /// What is stamped, in order.
    pub hashes: Vec<[u8; 32]>,
}

impl Batch {
    /// The batch that follows on what the account's entry says; the first one where there is no entry.
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn following(entry: Option<&[u8]>, hashes: Vec<[u8; 32]>) -> Result<Self, BatchError> {
        let (previous, counter) = match entry {
            None => ([0; 32], 0),
            Some(value) => read_entry(value).ok_or(BatchError::ForeignEntry)?,
        };
        let counter = counter.checked_add(1).ok_or(BatchError::ForeignEntry)?;
        if hashes.is_empty() || hashes.len() > MAX_HASHES {
            return Err(BatchError::Count(hashes.len()));
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(twice) = hashes.iter().position(|hash| !seen.insert(*hash)) {
            return Err(BatchError::Twice(twice + 1));
        }
        Ok(Self { previous, counter, hashes })
    }

    /// The hashes of the tree's leaves: the previous root, then what is stamped.
    fn leaves(&self) -> Vec<Node> {
        [&self.previous].into_iter().chain(&self.hashes).map(|data| tree::leaf(data)).collect()
    }

    /// The root.
    pub fn root(&self) -> Node {
        tree::root(&self.leaves())
    }

    /// Where a hash stands in the tree, and the nodes from there to the root; nothing where it isn't in the batch.
    pub fn path(&self, hash: &[u8; 32]) -> Option<(u64, Vec<Node>)> {
        let index = self.hashes.iter().position(|other| other == hash)? + 1;
        Some((index as u64, tree::path(index, &self.leaves())))
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.hashes.len() as u64 + 1
    }

    /// What the transaction does.
    pub fn operations(&self) -> Vec<Operation> {
        vec![operation::set_data(ENTRY, &entry_value(&self.root(), self.counter))]
    }

    /// What the transaction says.
    pub fn memo(&self) -> Memo {
        Memo::Hash(Hash(self.root()))
    }
}

/// The entry's value.
pub fn entry_value(root: &Node, counter: u64) -> [u8; ENTRY_BYTES] {
    let mut value = [0; ENTRY_BYTES];
    value[..32].copy_from_slice(root);
    value[32..].copy_from_slice(&counter.to_be_bytes());
    value
}

/// Root and counter of an entry's value.
pub fn read_entry(value: &[u8]) -> Option<(Node, u64)> {
    let (root, counter) = value.split_first_chunk::<32>()?;
    Some((*root, u64::from_be_bytes(counter.try_into().ok()?)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn batches_follow_on_each_other() {
        let first = Batch::following(None, vec![[1; 32], [2; 32]]).unwrap();
        assert_eq!((first.previous, first.counter, first.size()), ([0; 32], 1, 3));
        let entry = entry_value(&first.root(), first.counter);
        let second = Batch::following(Some(&entry), vec![[1; 32]]).unwrap();
        assert_eq!((second.previous, second.counter), (first.root(), 2));
        assert_ne!(
            second.root(),
            Batch::following(None, vec![[1; 32]]).unwrap().root(),
            "the chain is part of the root"
        );
        let (index, path) = first.path(&[2; 32]).unwrap();
        assert_eq!(tree::root_over(&tree::leaf(&[2; 32]), index, first.size(), &path), Some(first.root()));
        assert_eq!(first.path(&[3; 32]), None);
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        assert_eq!(Batch::following(None, vec![]), Err(BatchError::Count(0)));
        let many: Vec<[u8; 32]> = (0..=MAX_HASHES).map(|n| tree::leaf(&n.to_be_bytes())).collect();
        assert_eq!(Batch::following(None, many.clone()), Err(BatchError::Count(MAX_HASHES + 1)));
        assert!(Batch::following(None, many[1..].to_vec()).is_ok());
        assert_eq!(Batch::following(None, vec![[1; 32], [1; 32]]), Err(BatchError::Twice(2)));
        for entry in [&[1; 32][..], &[1; 41], b"somebody else's"] {
            assert_eq!(Batch::following(Some(entry), vec![[1; 32]]), Err(BatchError::ForeignEntry));
        }
        let last = entry_value(&[1; 32], u64::MAX);
        assert_eq!(Batch::following(Some(&last), vec![[1; 32]]), Err(BatchError::ForeignEntry));
    }
}
