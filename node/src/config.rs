//! config
mod network;
pub use network::Network;
