//! Types, rules, state machines and on-ledger shapes of Tradepost, without I/O.
//!
//! Nothing here reads a clock, a socket or a disk, or draws randomness that wasn't passed in. The node and the
//! simulated world run this same code.

pub mod account;
pub mod amount;
pub mod asset;
pub mod binding;
pub mod bond;
pub mod book;
pub mod community;
pub mod document;
pub mod escrow;
pub mod frame;
pub mod intent;
pub mod json;
pub mod kind;
pub mod limits;
pub mod market;
pub mod message;
pub mod network_id;
pub mod rate;
pub mod recover;
pub mod refusal;
pub mod schema;
pub mod seal;
pub mod status;
pub mod stellar;
pub mod step;
pub mod time;
pub mod timestamp;
