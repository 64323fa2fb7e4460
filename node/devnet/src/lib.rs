//! An embedded Stellar ledger for development.
//!
//! Two faces: [`Ledger`] is a plain value that closes when it is told to, for
//! tests and simulated worlds; [`Server`] puts it behind the JSON-RPC of a
//! Stellar RPC server, with a friendbot and a clock that can be moved.
//!
//! It judges transactions by the rules of protocol 27 for the classic
//! operations that it knows: validity in the network's order, signatures that
//! stop early, sequences, reserves, fees, fee bumps, predicates, and what a
//! failed transaction consumes. It builds, hashes and verifies everything by
//! itself, so that it is an independent check of the client's code. Every
//! operation that it doesn't know answers `opNOT_SUPPORTED`.

#![expect(clippy::result_large_err, reason = "a refusal is an ordinary answer here, of the protocol's own type")]

mod account;
mod apply;
mod asset;
mod client;
mod close;
mod close_meta;
mod context;
mod disk;
mod events;
mod execute;
pub mod faults;
mod fee;
mod frame;
mod genesis;
mod hash;
mod history;
mod ledger;
mod meta;
mod pool;
mod predicate;
mod queue;
mod rpc;
mod server;
mod signatures;
mod sponsorship;
mod state;
mod validity;
#[cfg(test)]
mod vectors;

pub use apply::OPERATIONS;
pub use client::Client;
pub use disk::StateError;
pub use faults::{Faults, FaultsError, MAX_LAG_LEDGERS, MAX_SLOW, Submissions};
pub use frame::{InvalidXdr, MAX_ENVELOPE_BYTES};
pub use genesis::{BASE_FEE, BASE_RESERVE, LEDGER_OPERATIONS, MAX_LEDGER_OPERATIONS, PROTOCOL_VERSION, TOTAL_COINS};
pub use history::{MAX_HISTORY_BYTES, RETENTION_LEDGERS, TransactionRecord};
pub use ledger::{CloseError, Ledger, LedgerClosed, Submitted, Totals};
pub use queue::{Admission, MAX_PENDING_LEDGERS};
pub use rpc::{
    INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, MAX_ENTRY_KEYS, MAX_EVENTS, MAX_PAGE, MAX_PAGE_BYTES,
    MAX_SCANNED_LEDGERS, METHOD_NOT_FOUND, PARSE_ERROR, RpcError, methods,
};
pub use server::{
    Close, Config, FRIENDBOT_AMOUNT, MAX_BODY_BYTES, MAX_CLOCK_OFFSET, MAX_CONCURRENT_REQUESTS, MAX_CONNECTIONS,
    REQUEST_TIMEOUT, Server, ServerError,
};
