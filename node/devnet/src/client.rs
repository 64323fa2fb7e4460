//! A client in the same process, for tests and simulated worlds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::faults::{Faults, FaultsError};
use crate::ledger::Ledger;
use crate::rpc::RpcError;

/// A ledger that several owners share. Calls answer at once and never wait
/// for anything but each other.
#[derive(Debug, Clone)]
pub struct Client {
    ledger: Arc<Mutex<Ledger>>,
}

impl Client {
    /// Shares a ledger.
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger: Arc::new(Mutex::new(ledger)) }
    }

    /// Calls a JSON-RPC method.
    ///
    /// # Errors
    /// As [`Ledger::rpc`].
    pub fn rpc(&self, method: &str, params: &Value) -> Result<Value, RpcError> {
        self.ledger().rpc(method, params)
    }

    /// Sets what is wrong with the network from now on.
    ///
    /// # Errors
    /// As [`Ledger::set_faults`].
    pub fn set_faults(&self, faults: Faults) -> Result<(), FaultsError> {
        self.ledger().set_faults(faults)
    }

    /// Returns what is wrong with the network.
    pub fn faults(&self) -> Faults {
        self.ledger().faults()
    }

    /// Returns the ledger itself; everybody else waits while it is held, so
    /// it isn't held across an await.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
