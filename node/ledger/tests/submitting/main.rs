//! How transactions are submitted through an endpoint that misbehaves: the protocol's queue, the RPC client and the
//! development ledger with its faults, put together. What counts is what the ledger holds in the end.
#![expect(clippy::unwrap_used, reason = "tests")]

mod kills;
mod node;
mod reset;
mod rules;
