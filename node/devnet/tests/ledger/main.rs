//! The development ledger against the rules of the network.
#![expect(clippy::unwrap_used, reason = "tests")]

mod attacks;
mod claimable_balances;
mod clawback;
mod closing;
mod escrow_shapes;
mod faults;
mod fee_bumps;
mod operations;
mod pool_shares;
mod random;
mod result_codes;
mod rpc;
mod server;
mod set_options;
mod signatures;
mod sponsorship;
mod validity;
mod world;
