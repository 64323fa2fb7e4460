//! The development ledger against the rules of the network.
#![expect(clippy::unwrap_used, reason = "tests")]

mod asking;
mod attacks;
mod audit;
mod claimable_balances;
mod clawback;
mod closing;
mod consumed;
mod escrow_shapes;
mod events;
mod faults;
mod fee_bumps;
mod history;
mod kept;
mod mutated;
mod operations;
mod page;
mod pool_shares;
mod random;
mod result_codes;
mod rpc;
mod server;
mod set_options;
mod signatures;
mod sponsorship;
mod surge;
mod validity;
mod world;
