//! The Stellar RPC client of a Tradepost node.
