//! Durable state of a Tradepost node.
//!
//! A [`Batch`](tradepost_protocol::step::Batch) of writes is applied whole or not at all, by one of two back ends:
//! [`Store`] keeps it on disk, [`MemoryStore`] keeps it for simulation and loses what wasn't
//! synced. Both are read through [`Contents`].
//!
//! # What a commit means
//! - A batch that money depends on is appended to the **journal** and synced, and with that acknowledged; then it is
//!   applied to sled, together with the journal's position. A start replays the journal from that position, so sled
//!   may lose or be lost: the journal alone restores the money spaces.
//! - Any other batch is applied to sled and synced there before it is acknowledged.
//! - One writer applies all batches in one order, many of them with one sync.
//! - **Readers see durable state only.** What is being written is hidden until it is durable, and a page of entries is
//!   one moment's state.
//! - A commit that fails is an error for every batch of its group that isn't durable yet; readers see nothing of
//!   those, and later commits fail at once with the first cause until the store is opened again. Whether a batch that
//!   failed *while being synced* is there after reopening, only the disk knows: it is there whole or not at all.

mod contents;
mod database;
mod error;
mod group;
mod journal;
mod keyspace;
pub mod memory;
mod rebuild;
mod recovery;
mod store;
mod view;
mod writer;

pub use contents::{Contents, Entry, MAX_PAGE_ENTRIES, Scan};
pub use error::StoreError;
pub use keyspace::{MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES};
pub use memory::MemoryStore;
pub use rebuild::Rebuilt;
pub use store::{Export, Store};
pub use writer::Activity;
