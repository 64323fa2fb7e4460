//! Transactions: `sendTransaction`, `getTransaction`, `getTransactions`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::cursor::Place;
use super::params::Params;
use super::{MAX_PAGE_BYTES, RpcError, base64};
use crate::faults::Submissions;
use crate::frame::{Frame, InvalidXdr};
use crate::hash;
use crate::history::TransactionRecord;
use crate::ledger::{Ledger, Submitted};
use crate::queue::Admission;

impl Ledger {
    pub(super) fn send_transaction(&mut self, params: Params<'_>) -> Result<Value, RpcError> {
        params.check_format()?;
        let text = params.text("transaction")?.unwrap_or_default();
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
                answer["errorResultXdr"] = json!(base64(&hash::xdr(&result)));
                "ERROR"
            }
        });
        Ok(answer)
    }

    /// Numbers of a transaction that isn't found are zero, as stellar-rpc has
    /// it.
    pub(super) fn get_transaction(&self, params: Params<'_>) -> Result<Value, RpcError> {
        params.check_format()?;
        let text = params.text("hash")?.unwrap_or_default();
        if text.len() != 64 {
            return Err(RpcError::params(format!("unexpected hash length ({})", text.len())));
        }
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|e| RpcError::params(format!("incorrect hash: {e}")))?;
        let shown = self.shown();
        let found = shown.transaction(&hash);
        let mut answer = match found {
            Some(record) => describe(record),
            None => members(json!({
                "status": "NOT_FOUND",
                "applicationOrder": 0,
                "feeBump": false,
                "ledger": 0,
                "events": {},
            })),
        };
        answer.extend(members(json!({
            "txHash": text,
            "createdAt": found.map_or(0, |record| record.close_time).to_string(),
            "latestLedger": shown.latest.sequence(),
            "latestLedgerCloseTime": shown.latest.close_time().to_string(),
            "oldestLedger": shown.oldest.sequence(),
            "oldestLedgerCloseTime": shown.oldest.close_time().to_string(),
        })));
        Ok(Value::Object(answer))
    }

    /// Times are numbers here, and have other names.
    pub(super) fn get_transactions(&self, params: Params<'_>) -> Result<Value, RpcError> {
        let shown = self.shown();
        let (oldest, latest) = (shown.oldest.sequence(), shown.latest.sequence());
        let page = params.page(oldest..=latest)?;
        // The place of the last one that isn't on the page.
        let mut last = match page.cursor {
            None => Place { ledger: page.start, transaction: 0, operation: 1 },
            Some(cursor) => Place::parse(cursor)
                .ok_or_else(|| RpcError::params(format!("cursor ({cursor:?}) isn't one of getTransactions")))?,
        };
        if last.ledger < oldest {
            let message = format!("database does not contain metadata for ledger: {}", last.ledger);
            return Err(RpcError::params(message));
        }
        let mut transactions = Vec::new();
        let mut bytes = 0;
        'page: for ledger in shown.ledgers(last.ledger) {
            if ledger.sequence() > last.ledger {
                last = Place { ledger: ledger.sequence(), transaction: 0, operation: 1 };
            }
            let seen = last.transaction;
            for record in ledger.transactions.iter().filter(|record| record.order > seen) {
                let mut told = describe(record);
                told.insert("txHash".to_owned(), json!(hex::encode(record.hash)));
                told.insert("createdAt".to_owned(), json!(record.close_time));
                transactions.push(Value::Object(told));
                bytes += record.bytes();
                last.transaction = record.order;
                if transactions.len() == page.limit || bytes >= MAX_PAGE_BYTES {
                    break 'page;
                }
            }
        }
        Ok(json!({
            "transactions": transactions,
            "latestLedger": latest,
            "latestLedgerCloseTimestamp": shown.latest.close_time(),
            "oldestLedger": oldest,
            "oldestLedgerCloseTimestamp": shown.oldest.close_time(),
            "cursor": last.id().to_string(),
        }))
    }
}

/// What both methods tell of an included transaction.
fn describe(record: &TransactionRecord) -> Map<String, Value> {
    let status = if record.succeeded() { "SUCCESS" } else { "FAILED" };
    let mut events = Map::new();
    let told = &record.events;
    if !told.transaction.is_empty() {
        let texts: Vec<String> = told.transaction.iter().map(|event| base64(&hash::xdr(event))).collect();
        events.insert("transactionEventsXdr".to_owned(), json!(texts));
    }
    if !told.operations.is_empty() {
        let texts: Vec<Vec<String>> =
            told.operations.iter().map(|of| of.iter().map(|event| base64(&hash::xdr(event))).collect()).collect();
        events.insert("contractEventsXdr".to_owned(), json!(texts));
    }
    members(json!({
        "status": status,
        "applicationOrder": record.order,
        "feeBump": record.inner_hash.is_some(),
        "ledger": record.ledger,
        "envelopeXdr": base64(&record.envelope_xdr),
        "resultXdr": base64(&record.result_xdr),
        "resultMetaXdr": base64(&record.meta_xdr),
        "events": events,
    }))
}

fn members(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
