//! Batches of timestamps.

use serde::{Deserialize, Serialize};
use tradepost_protocol::market::Stamp;
use tradepost_protocol::message::{Sha256Hash, TxHash};
use tradepost_protocol::timestamp::BatchFile;

use super::Moment;

/// One batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchView {
    /// The root over its hashes.
    pub root: Sha256Hash,
    /// Which batch of the account it is, from 1.
    pub counter: u64,
    /// How many hashes it has.
    pub count: usize,
    /// wanted, included (its proof isn't kept yet), kept, or damaged (its file proves nothing).
    pub state: String,
    /// The ledger that has it.
    pub ledger: Option<u32>,
    /// When that closed: the hashes existed then.
    pub at: Option<Moment>,
    /// Its transaction.
    pub transaction: Option<TxHash>,
}

impl BatchView {
    /// A batch on its way.
    pub fn open(stamp: &Stamp) -> Self {
        let included = stamp.included.as_ref();
        Self {
            root: Sha256Hash::from_bytes(stamp.batch.root()),
            counter: stamp.batch.counter,
            count: stamp.batch.hashes.len(),
            state: if included.is_some() { "included" } else { "wanted" }.to_owned(),
            ledger: included.map(|i| i.at.sequence),
            at: included.map(|i| i.at.close_time.into()),
            transaction: included.map(|i| i.transaction),
        }
    }

    /// A batch whose proof is kept.
    pub fn kept(file: &BatchFile) -> Self {
        let proved = file.check().ok();
        Self {
            root: file.root(),
            counter: file.counter,
            count: file.hashes.len(),
            state: if proved.is_some() { "kept" } else { "damaged" }.to_owned(),
            ledger: proved.as_ref().map(|p| p.ledger.sequence),
            at: proved.as_ref().map(|p| p.ledger.close_time.into()),
            transaction: proved.as_ref().map(|p| p.transaction),
        }
    }
}

/// Batches, those on their way last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimestampList {
    /// All of them.
    pub items: Vec<BatchView>,
}

/// A batch's root is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// The root.
    pub root: Sha256Hash,
    /// Its transaction.
    pub transaction: TxHash,
}
