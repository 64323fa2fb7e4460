//! What only a development network has: closing on demand, its clock, and its
//! faults.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use stellar_strkey::ed25519::PublicKey;

use super::clock::ClockError;
use super::{Close, Shared};
use crate::faults::{Faults, FaultsError};
use crate::hash;
use crate::ledger::CloseError;

/// `GET /devnet/faults`: what is wrong with the network.
pub(super) async fn faults(State(shared): State<Arc<Shared>>) -> Json<Faults> {
    Json(shared.client.faults())
}

/// `POST /devnet/faults`: sets what is wrong with the network from now on, and
/// shows it; what the body doesn't name is off.
pub(super) async fn set_faults(
    State(shared): State<Arc<Shared>>,
    Json(wanted): Json<Faults>,
) -> Result<Json<Faults>, (StatusCode, String)> {
    shared.client.set_faults(wanted).map_err(|error| match error {
        FaultsError::Unsaved(_) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        _ => (StatusCode::BAD_REQUEST, error.to_string()),
    })?;
    tracing::info!(?wanted, "the network's faults are set");
    Ok(Json(wanted))
}

/// `POST /devnet/close`: closes a ledger now.
pub(super) async fn close(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, (StatusCode, String)> {
    let closed = shared.close_now().map_err(|error| match error {
        CloseError::Unsaved(_) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        _ => (StatusCode::CONFLICT, error.to_string()),
    })?;
    let transactions: Vec<String> = closed.transactions.iter().map(|record| hex::encode(record.hash)).collect();
    Ok(Json(json!({
        "sequence": closed.sequence,
        "close_time": closed.close_time,
        "hash": hex::encode(closed.hash),
        "transactions": transactions,
    })))
}

/// The body of `POST /devnet/clock`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdvanceClock {
    advance_seconds: u64,
}

/// `POST /devnet/clock`: moves time ahead. Ledgers see it when the next one
/// closes.
pub(super) async fn advance_clock(
    State(shared): State<Arc<Shared>>,
    Json(body): Json<AdvanceClock>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let offset = shared.advance_clock(body.advance_seconds).map_err(|error| match error {
        ClockError::TooFar(_) => (StatusCode::BAD_REQUEST, error.to_string()),
        ClockError::Unsaved(_) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    })?;
    Ok(Json(json!({
        "now": shared.clock.now(),
        "offset_seconds": offset,
    })))
}

/// `GET /devnet/status`: the network at a glance. Amounts are decimal strings
/// of stroops. As everywhere, nothing is told of a ledger that isn't saved.
pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, (StatusCode, String)> {
    let ledger = shared.client.ledger();
    if let Some(why) = ledger.unsaved() {
        return Err((StatusCode::INTERNAL_SERVER_ERROR, CloseError::Unsaved(why).to_string()));
    }
    let totals = ledger.totals();
    let root = PublicKey(*hash::key_bytes(&ledger.root_account()));
    Ok(Json(json!({
        "passphrase": ledger.passphrase(),
        "root": root.to_string().as_str(),
        "friendbot": shared.friendbot_address,
        "latest_ledger": ledger.sequence(),
        "close_time": ledger.close_time(),
        "now": shared.clock.now(),
        "offset_seconds": shared.clock.offset(),
        "pending": ledger.pending(),
        "close_every_ms": match shared.close {
            Close::OnDemand => Value::Null,
            Close::Every(period) => json!(period.as_millis().to_string()),
        },
        "totals": {
            "accounts": totals.accounts.to_string(),
            "claimable": totals.claimable.to_string(),
            "fee_pool": totals.fee_pool.to_string(),
            "total": totals.total.to_string(),
        },
    })))
}
