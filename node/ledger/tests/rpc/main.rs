//! The RPC client against servers that misbehave in every way we could think of.
#![expect(clippy::unwrap_used, reason = "tests")]

mod answers;
mod devnet;
mod hostile;
mod looking;
mod server;
mod several;
mod watching;
