//! The JSON-RPC methods of a Stellar RPC server: the one implementation that
//! the server and the in-process client share.
//!
//! Names, types and error codes are those of stellar-rpc, also where they are
//! odd: some numbers are strings, and some methods tell of a wrong page as a
//! wrong request, others as wrong parameters.

mod cursor;
mod events;
mod ledgers;
mod network;
mod params;
mod transactions;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::frame::InvalidXdr;
use crate::ledger::Ledger;
use params::Params;

pub use events::{MAX_EVENTS, MAX_SCANNED_LEDGERS};
pub use ledgers::MAX_ENTRY_KEYS;
pub use params::MAX_PAGE;

/// How much XDR one page of ledgers, transactions or events holds, in bytes:
/// it ends with the first of them that makes it as large.
pub const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// JSON-RPC's code for a method that doesn't exist.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// JSON-RPC's code for parameters that aren't right.
pub const INVALID_PARAMS: i64 = -32602;
/// JSON-RPC's code for a request that isn't one.
pub const INVALID_REQUEST: i64 = -32600;
/// JSON-RPC's code for what isn't JSON.
pub const PARSE_ERROR: i64 = -32700;
/// JSON-RPC's code for a failure of the server.
pub const INTERNAL_ERROR: i64 = -32603;

/// An error as JSON-RPC reports it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// One of JSON-RPC's codes.
    pub code: i64,
    /// What was wrong.
    pub message: String,
    /// More about it.
    pub data: Option<Value>,
}

impl RpcError {
    /// Makes an error without data.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    fn params(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    fn request(message: impl Into<String>) -> Self {
        Self::new(INVALID_REQUEST, message)
    }
}

impl From<InvalidXdr> for RpcError {
    fn from(error: InvalidXdr) -> Self {
        Self { code: INVALID_PARAMS, message: "invalid_xdr".to_owned(), data: Some(Value::String(error.to_string())) }
    }
}

type Method = fn(&mut Ledger, Params<'_>) -> Result<Value, RpcError>;

/// Every method there is.
const METHODS: [(&str, Method); 11] = [
    ("getHealth", |ledger, _| Ok(ledger.get_health())),
    ("getNetwork", |ledger, _| Ok(ledger.get_network())),
    ("getVersionInfo", |ledger, _| Ok(ledger.get_version_info())),
    ("getFeeStats", |ledger, _| Ok(ledger.get_fee_stats())),
    ("getLatestLedger", |ledger, params| ledger.get_latest_ledger(params)),
    ("getLedgers", |ledger, params| ledger.get_ledgers(params)),
    ("getLedgerEntries", |ledger, params| ledger.get_ledger_entries(params)),
    ("sendTransaction", |ledger, params| ledger.send_transaction(params)),
    ("getTransaction", |ledger, params| ledger.get_transaction(params)),
    ("getTransactions", |ledger, params| ledger.get_transactions(params)),
    ("getEvents", |ledger, params| ledger.get_events(params)),
];

/// Returns the names of the JSON-RPC methods that are answered.
pub fn methods() -> impl Iterator<Item = &'static str> {
    METHODS.iter().map(|(name, _)| *name)
}

impl Ledger {
    /// Answers a JSON-RPC method. `params` is an object, or null where the
    /// method needs none.
    ///
    /// # Errors
    /// With JSON-RPC's code and a message, as the server would send it.
    pub fn rpc(&mut self, method: &str, params: &Value) -> Result<Value, RpcError> {
        let empty = Map::new();
        let params = match params {
            Value::Null => &empty,
            Value::Object(params) => params,
            _ => {
                return Err(RpcError::params("invalid parameters: params must be an object"));
            }
        };
        if self.faults().down {
            return Err(RpcError::new(INTERNAL_ERROR, "the network's RPC is down, by its faults"));
        }
        if let Some(why) = self.unsaved() {
            return Err(RpcError::new(INTERNAL_ERROR, format!("the newest ledger can't be written ({why})")));
        }
        let known = METHODS.iter().find(|(name, _)| *name == method);
        let (_, answer) = known.ok_or_else(|| RpcError::new(METHOD_NOT_FOUND, "method not found"))?;
        answer(self, Params::new(params))
    }
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
