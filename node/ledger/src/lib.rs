//! The Stellar RPC client of a Tradepost node.
//!
//! [`Ledger`] is all that a node wants of the ledger; [`RpcLedger`] is it over Stellar RPC (JSON-RPC), by one endpoint or
//! by several, which stand in for each other and vouch for each other. Around them:
//! [`clock`] (the node's present, from the ledger), [`watch`] (each new ledger, and how the endpoint does) and [`fees`]
//! (what others pay).
//!
//! Nothing that an endpoint says may panic, grow without bound or be waited for without a deadline; what contradicts
//! itself or what was said before is refused with the endpoint's name.

mod agreement;
pub mod clock;
pub mod config;
mod endpoint;
mod endpoints;
mod error;
pub mod fees;
pub mod keyed;
mod ledger;
mod reset;
mod rpc;
mod seen;
mod vouch;
pub mod watch;
mod wire;

pub use config::{Auth, EndpointConfig, MAX_ENDPOINTS, Patience, RpcConfig};
pub use endpoints::{EndpointHealth, EndpointState};
pub use error::LedgerError;
pub use ledger::{
    Asked, ClosedLedger, EntriesSeen, EntrySeen, Found, Funded, Head, Ledger, LedgerHash, LedgerRecord, LedgerTotals,
    Movements, NetworkFacts, Submitted, TxStatus, Wanted,
};
pub use rpc::RpcLedger;
