//! An embedded Stellar ledger for development.
