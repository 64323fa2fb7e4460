//! The JSON-RPC methods of a Stellar RPC server: the one implementation that
//! the server and the in-process client share.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use stellar_xdr::{LedgerKey, Limits, ReadXdr};
use thiserror::Error;

use crate::faults::Submissions;
use crate::frame::{Frame, InvalidXdr, MAX_XDR_DEPTH};
use crate::genesis::PROTOCOL_VERSION;
use crate::hash;
use crate::history::{PastLedger, RETENTION_LEDGERS, TransactionRecord};
use crate::ledger::{Ledger, Submitted};
use crate::queue::Admission;

/// The most keys that one `getLedgerEntries` takes.
pub const MAX_ENTRY_KEYS: usize = 200;
/// The most ledgers that one `getLedgers` gives.
const MAX_LEDGERS: u64 = 200;
/// How many it gives unless told otherwise.
const USUAL_LEDGERS: u64 = 50;
/// The largest ledger key that is decoded, in bytes.
const MAX_KEY_BYTES: usize = 4 * 1024;

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
}

impl From<InvalidXdr> for RpcError {
    fn from(error: InvalidXdr) -> Self {
        Self { code: INVALID_PARAMS, message: "invalid_xdr".to_owned(), data: Some(Value::String(error.to_string())) }
    }
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
        match method {
            "getHealth" => Ok(self.get_health()),
            "getNetwork" => Ok(self.get_network()),
            "getLatestLedger" => with_format(params).map(|()| self.get_latest_ledger()),
            "getLedgers" => self.get_ledgers(params),
            "getFeeStats" => Ok(self.get_fee_stats()),
            "getLedgerEntries" => self.get_ledger_entries(params),
            "sendTransaction" => self.send_transaction(params),
            "getTransaction" => self.get_transaction(params),
            _ => Err(RpcError::new(METHOD_NOT_FOUND, "method not found")),
        }
    }

    fn get_health(&self) -> Value {
        let shown = self.shown();
        json!({
            "status": "healthy",
            "latestLedger": shown.latest.sequence(),
            "latestLedgerCloseTime": shown.latest.close_time(),
            "oldestLedger": shown.oldest.sequence(),
            "oldestLedgerCloseTime": shown.oldest.close_time(),
            "ledgerRetentionWindow": self.faults().history_ledgers.unwrap_or(RETENTION_LEDGERS),
        })
    }

    fn get_network(&self) -> Value {
        let mut network = json!({
            "passphrase": self.passphrase(),
            "protocolVersion": PROTOCOL_VERSION,
        });
        if let Some(url) = self.friendbot_url() {
            network["friendbotUrl"] = json!(url);
        }
        network
    }

    fn get_latest_ledger(&self) -> Value {
        let latest = self.shown().latest;
        json!({
            "id": hex::encode(latest.hash),
            "sequence": latest.sequence(),
            "protocolVersion": PROTOCOL_VERSION,
            "closeTime": latest.close_time().to_string(),
            "headerXdr": STANDARD.encode(hash::xdr(&latest.header)),
        })
    }

    /// Without `metadataXdr`: what each ledger changed isn't kept.
    fn get_ledgers(&self, params: &Map<String, Value>) -> Result<Value, RpcError> {
        with_format(params)?;
        let shown = self.shown();
        let (oldest, latest) = (shown.oldest.sequence(), shown.latest.sequence());
        let page = params.get("pagination").unwrap_or(&Value::Null);
        let number = |value: &Value, what: &str| match value {
            Value::Null => Ok(None),
            value => value.as_u64().map(Some).ok_or_else(|| RpcError::params(format!("{what} must be a number"))),
        };
        let cursor = match page.get("cursor") {
            None | Some(Value::Null) => None,
            Some(cursor) => {
                let last: Option<u64> = cursor.as_str().and_then(|text| text.parse().ok());
                Some(last.ok_or_else(|| RpcError::params("pagination.cursor isn't one of getLedgers"))?)
            }
        };
        let start = number(params.get("startLedger").unwrap_or(&Value::Null), "startLedger")?;
        let first = match (start, cursor) {
            (Some(first), None) => first,
            (None, Some(last)) => last.saturating_add(1),
            _ => return Err(RpcError::params("give either startLedger or pagination.cursor")),
        };
        let limit = number(page.get("limit").unwrap_or(&Value::Null), "pagination.limit")?.unwrap_or(USUAL_LEDGERS);
        if !(1..=MAX_LEDGERS).contains(&limit) {
            return Err(RpcError::params(format!("pagination.limit must be from 1 to {MAX_LEDGERS}")));
        }
        // One past the newest is where a reader waits for the next.
        let in_range = u32::try_from(first).ok().filter(|n| (oldest..=latest + 1).contains(n));
        let first = in_range.filter(|n| cursor.is_some() || *n <= latest).ok_or_else(|| {
            let message = format!("start ledger must be between the oldest ledger: {oldest} and the latest: {latest}");
            RpcError::new(INVALID_REQUEST, message)
        })?;
        let ledgers: Vec<&PastLedger> = shown.ledgers(first).take(usize::try_from(limit).unwrap_or(1)).collect();
        let last = ledgers.last().map_or(first.saturating_sub(1), |ledger| ledger.sequence());
        Ok(json!({
            "ledgers": ledgers.into_iter().map(ledger_info).collect::<Vec<_>>(),
            "latestLedger": latest,
            "latestLedgerCloseTime": shown.latest.close_time(),
            "oldestLedger": oldest,
            "oldestLedgerCloseTime": shown.oldest.close_time(),
            "cursor": last.to_string(),
        }))
    }

    fn get_fee_stats(&self) -> Value {
        let shown = self.shown();
        let (rates, ledgers) = shown.fee_rates();
        json!({
            "sorobanInclusionFee": distribution(&[], ledgers),
            "inclusionFee": distribution(&rates, ledgers),
            "latestLedger": shown.latest.sequence(),
        })
    }

    fn get_ledger_entries(&self, params: &Map<String, Value>) -> Result<Value, RpcError> {
        with_format(params)?;
        let keys = match params.get("keys") {
            Some(Value::Array(keys)) => keys,
            _ => {
                return Err(RpcError::params("keys must be an array of base64 ledger keys"));
            }
        };
        if keys.len() > MAX_ENTRY_KEYS {
            return Err(RpcError::params(format!(
                "key count ({}) exceeds maximum supported ({MAX_ENTRY_KEYS})",
                keys.len()
            )));
        }
        let shown = self.shown();
        let mut entries = Vec::new();
        for (index, text) in keys.iter().enumerate() {
            let key = ledger_key(text)
                .ok_or_else(|| RpcError::params(format!("cannot unmarshal key value at index {index}")))?;
            let Some(entry) = shown.entry(&key) else {
                continue;
            };
            entries.push(json!({
                "key": STANDARD.encode(hash::xdr(&key)),
                "xdr": STANDARD.encode(hash::xdr(&entry.data)),
                "lastModifiedLedgerSeq": entry.last_modified_ledger_seq,
                "extXdr": STANDARD.encode(hash::xdr(&entry.ext)),
            }));
        }
        Ok(json!({ "entries": entries, "latestLedger": shown.latest.sequence() }))
    }

    fn send_transaction(&mut self, params: &Map<String, Value>) -> Result<Value, RpcError> {
        with_format(params)?;
        let Some(Value::String(text)) = params.get("transaction") else {
            return Err(RpcError::params("transaction must be a base64 envelope"));
        };
        let envelope = STANDARD.decode(text).map_err(|_| RpcError::params("invalid_xdr"))?;
        let thrown_away = |admission| {
            let hash = Frame::decode(&envelope, &self.network_id())?.hash();
            Ok::<_, InvalidXdr>(Submitted { hash, admission })
        };
        let submitted = match self.faults().submissions {
            Submissions::Taken | Submissions::Stuck => self.submit(&envelope)?,
            Submissions::Dropped => thrown_away(Admission::Pending)?,
            Submissions::TryAgainLater => thrown_away(Admission::TryAgainLater)?,
        };
        let latest = self.shown().latest;
        let mut answer = json!({
            "hash": hex::encode(submitted.hash),
            "latestLedger": latest.sequence(),
            "latestLedgerCloseTime": latest.close_time().to_string(),
        });
        answer["status"] = json!(match submitted.admission {
            Admission::Pending => "PENDING",
            Admission::Duplicate => "DUPLICATE",
            Admission::TryAgainLater => "TRY_AGAIN_LATER",
            Admission::Error(result) => {
                answer["errorResultXdr"] = json!(STANDARD.encode(hash::xdr(&result)));
                "ERROR"
            }
        });
        Ok(answer)
    }

    fn get_transaction(&self, params: &Map<String, Value>) -> Result<Value, RpcError> {
        with_format(params)?;
        let Some(Value::String(text)) = params.get("hash") else {
            return Err(RpcError::params("hash must be 64 hex digits"));
        };
        if text.len() != 64 {
            return Err(RpcError::params(format!("unexpected hash length ({})", text.len())));
        }
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|e| RpcError::params(format!("incorrect hash: {e}")))?;
        let shown = self.shown();
        let mut answer = json!({
            "status": "NOT_FOUND",
            "txHash": text,
            "latestLedger": shown.latest.sequence(),
            "latestLedgerCloseTime": shown.latest.close_time().to_string(),
            "oldestLedger": shown.oldest.sequence(),
            "oldestLedgerCloseTime": shown.oldest.close_time().to_string(),
        });
        if let Some(record) = shown.transaction(&hash) {
            describe(record, &mut answer);
        }
        Ok(answer)
    }
}

fn ledger_info(ledger: &PastLedger) -> Value {
    json!({
        "hash": hex::encode(ledger.hash),
        "sequence": ledger.sequence(),
        "ledgerCloseTime": ledger.close_time().to_string(),
        "headerXdr": STANDARD.encode(hash::xdr(&ledger.header)),
    })
}

fn describe(record: &TransactionRecord, answer: &mut Value) {
    let status = if record.succeeded() { "SUCCESS" } else { "FAILED" };
    answer["status"] = json!(status);
    answer["ledger"] = json!(record.ledger);
    answer["createdAt"] = json!(record.close_time.to_string());
    answer["applicationOrder"] = json!(record.order);
    answer["feeBump"] = json!(record.inner_hash.is_some());
    answer["envelopeXdr"] = json!(STANDARD.encode(&record.envelope_xdr));
    answer["resultXdr"] = json!(STANDARD.encode(&record.result_xdr));
}

/// Only the base64 form of XDR is spoken here.
fn with_format(params: &Map<String, Value>) -> Result<(), RpcError> {
    match params.get("xdrFormat") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(format)) if format.is_empty() || format == "base64" => Ok(()),
        Some(format) => Err(RpcError::params(format!("xdrFormat {format}: the development ledger speaks base64 only"))),
    }
}

fn ledger_key(text: &Value) -> Option<LedgerKey> {
    let bytes = STANDARD.decode(text.as_str()?).ok()?;
    if bytes.len() > MAX_KEY_BYTES {
        return None;
    }
    let limits = Limits { depth: MAX_XDR_DEPTH, len: MAX_KEY_BYTES };
    LedgerKey::from_xdr(bytes, limits).ok()
}

/// Describes sorted fee rates as stellar-rpc does; zeros where there are none.
fn distribution(rates: &[u64], ledgers: usize) -> Value {
    let percentile = |p: usize| {
        let rank = (rates.len() * p).div_ceil(100);
        rates.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    };
    let mut stats = json!({
        "max": rates.last().copied().unwrap_or(0).to_string(),
        "min": rates.first().copied().unwrap_or(0).to_string(),
        "mode": mode(rates).to_string(),
        "transactionCount": rates.len().to_string(),
        "ledgerCount": ledgers,
    });
    for p in [10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99] {
        stats[format!("p{p}")] = json!(percentile(p).to_string());
    }
    stats
}

/// Returns the most frequent of sorted values, the lowest of several.
fn mode(sorted: &[u64]) -> u64 {
    sorted
        .chunk_by(|a, b| a == b)
        .map(|run| (run.len(), run[0]))
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map_or(0, |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_has_the_nearest_rank_percentiles_and_the_lowest_mode() {
        let stats = distribution(&[100, 100, 150, 200, 200, 300, 400, 500, 600, 700], 3);
        assert_eq!(stats["mode"], "100");
        assert_eq!(stats["min"], "100");
        assert_eq!(stats["max"], "700");
        assert_eq!(stats["p10"], "100");
        assert_eq!(stats["p50"], "200");
        assert_eq!(stats["p90"], "600");
        assert_eq!(stats["p99"], "700");
        assert_eq!(stats["transactionCount"], "10");
        assert_eq!(stats["ledgerCount"], 3);
        assert_eq!(distribution(&[], 0)["p50"], "0");
    }
}
