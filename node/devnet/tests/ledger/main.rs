//! The development ledger against the rules of the network.
#![expect(clippy::unwrap_used, reason = "tests")]

mod claimable_balances;
mod closing;
mod escrow_shapes;
mod faults;
mod fee_bumps;
mod operations;
mod random;
mod rpc;
mod server;
mod set_options;
mod signatures;
mod validity;
mod world;
