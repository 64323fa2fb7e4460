//! Asks a ledger over its RPC.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use stellar_xdr::*;

use crate::world::World;

pub fn b64<T: WriteXdr>(value: &T) -> String {
    STANDARD.encode(value.to_xdr(Limits::none()).unwrap())
}

pub fn from_b64<T: ReadXdr>(value: &Value) -> T {
    let bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
    T::from_xdr(bytes, Limits::none()).unwrap()
}

/// What must be answered.
pub fn rpc(world: &mut World, method: &str, params: Value) -> Value {
    world.ledger.rpc(method, &params).unwrap()
}

/// The code and message of what must be refused.
pub fn fault(world: &mut World, method: &str, params: Value) -> (i64, String) {
    let error = world.ledger.rpc(method, &params).unwrap_err();
    (error.code, error.message)
}

/// The numbers under a name in a list of objects.
pub fn numbers(list: &Value, name: &str) -> Vec<u64> {
    list.as_array().unwrap().iter().map(|item| item[name].as_u64().unwrap()).collect()
}
