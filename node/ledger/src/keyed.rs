//! The ledger's answers in the protocol's terms: its keys, its entries, and what its transaction queue takes.

use std::collections::HashMap;

use stellar_xdr::{LedgerKey, TransactionResult};
use tradepost_protocol::intent::queue;
use tradepost_protocol::stellar::LedgerPoint;
use tradepost_protocol::stellar::entry::Entry;
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::xdr::{self, XdrError};

use crate::error::LedgerError;
use crate::ledger::{EntriesSeen, EntrySeen, Head, Submitted, TxStatus};

/// What a read by the protocol's keys saw: of each key, its entry or its absence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysRead {
    /// The first ledger that was read; the only one with up to 200 keys.
    pub oldest: Head,
    /// The last ledger that was read.
    pub newest: Head,
    /// What is there, in the order of the keys asked for.
    pub entries: Vec<KeyRead>,
}

/// An entry that is on the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRead {
    /// Its key.
    pub key: Key,
    /// What it holds. Anyone can put an entry on the ledger that this program has no use for, such as a balance of an
    /// asset with an odd code: that is an error of this one entry, not of those read with it.
    pub entry: Result<Entry, XdrError>,
    /// The ledger that last changed it.
    pub last_modified: u32,
}

impl KeysRead {
    pub(crate) fn of(keys: &[Key], wanted: &[LedgerKey], seen: &EntriesSeen) -> Self {
        let names: HashMap<&LedgerKey, &Key> = wanted.iter().zip(keys).collect();
        let entries = seen.entries.iter().filter_map(|entry| {
            let key = (*names.get(&entry.key)?).clone();
            Some(KeyRead { key, entry: entry.read(), last_modified: entry.last_modified })
        });
        Self { oldest: seen.oldest, newest: seen.newest, entries: entries.collect() }
    }

    /// The ledger that all of this was true of, with up to 200 keys; the oldest one with more.
    pub const fn at(&self) -> LedgerPoint {
        self.oldest.ledger.point()
    }

    /// The same ledger with up to 200 keys; the newest one with more.
    pub const fn until(&self) -> LedgerPoint {
        self.newest.ledger.point()
    }

    /// What was read of a key; `None` where the ledger has no such entry.
    pub fn get(&self, key: &Key) -> Option<&KeyRead> {
        self.entries.iter().find(|read| read.key == *key)
    }
}

impl EntrySeen {
    /// The entry as the protocol reads it.
    ///
    /// # Errors
    /// [`XdrError`] where it isn't of a kind that this program reads.
    pub fn read(&self) -> Result<Entry, XdrError> {
        Entry::read(&xdr::write(&self.data)?, Some(&xdr::write(&self.ext)?))
    }
}

impl From<Submitted> for queue::SubmitAnswer {
    fn from(submitted: Submitted) -> Self {
        match submitted {
            Submitted::Pending => Self::Pending,
            Submitted::Duplicate => Self::Duplicate,
            Submitted::TryAgainLater => Self::TryAgainLater,
            Submitted::Refused { result } => Self::Refused { result: bytes(&result) },
        }
    }
}

impl From<TxStatus> for queue::TxStatus {
    fn from(status: TxStatus) -> Self {
        match status {
            TxStatus::NotFound { latest, oldest } => Self::NotFound { latest, oldest: oldest.sequence },
            TxStatus::Success(found) => Self::Success { at: found.at, result: bytes(&found.result) },
            TxStatus::Failed(found) => Self::Failed { at: found.at, result: bytes(&found.result) },
        }
    }
}

/// A result's XDR. One that was decoded fits; one too large for the protocol's bounds is as good as none to it.
fn bytes(result: &TransactionResult) -> Vec<u8> {
    xdr::write(result).unwrap_or_default()
}

/// The ledger's keys for the protocol's.
pub(crate) fn ledger_keys(keys: &[Key]) -> Result<Vec<LedgerKey>, LedgerError> {
    let one = |key: &Key| xdr::read::<LedgerKey>("ledger key", &key.to_bytes()?);
    keys.iter().map(|key| one(key).map_err(|e| LedgerError::BadKey { why: e.to_string() })).collect()
}
