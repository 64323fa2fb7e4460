//! Ledgers and what they hold: `getLatestLedger`, `getLedgers`,
//! `getLedgerEntries`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stellar_xdr::{LedgerKey, Limits, ReadXdr};

use super::params::Params;
use super::{MAX_PAGE_BYTES, RpcError, base64};
use crate::close_meta;
use crate::frame::MAX_XDR_DEPTH;
use crate::genesis::PROTOCOL_VERSION;
use crate::hash;
use crate::ledger::Ledger;

/// The most keys that one `getLedgerEntries` takes.
pub const MAX_ENTRY_KEYS: usize = 200;
/// The largest ledger key that is decoded, in bytes.
const MAX_KEY_BYTES: usize = 4 * 1024;

impl Ledger {
    pub(super) fn get_latest_ledger(&self, params: Params<'_>) -> Result<Value, RpcError> {
        params.check_format()?;
        let latest = self.shown().latest;
        Ok(json!({
            "id": hex::encode(latest.hash),
            "sequence": latest.sequence(),
            "protocolVersion": PROTOCOL_VERSION,
            "closeTime": latest.close_time().to_string(),
            "headerXdr": base64(&hash::xdr(&latest.header)),
            "metadataXdr": base64(&close_meta::close_meta(latest)),
        }))
    }

    pub(super) fn get_ledgers(&self, params: Params<'_>) -> Result<Value, RpcError> {
        let shown = self.shown();
        let (oldest, latest) = (shown.oldest.sequence(), shown.latest.sequence());
        let page = params.page(oldest..=latest)?;
        let first = match page.cursor {
            None => page.start,
            Some(cursor) => after(cursor, oldest, latest)?,
        };
        let mut ledgers = Vec::new();
        let (mut last, mut bytes) = (first.saturating_sub(1), 0);
        for ledger in shown.ledgers(first).take(page.limit) {
            let meta = close_meta::close_meta(ledger);
            bytes += meta.len();
            last = ledger.sequence();
            // Here, unlike in getLatestLedger, the header stands behind its hash.
            ledgers.push(json!({
                "hash": hex::encode(ledger.hash),
                "sequence": last,
                "ledgerCloseTime": ledger.close_time().to_string(),
                "headerXdr": base64(&close_meta::header_entry(&ledger.hash, &ledger.header)),
                "metadataXdr": base64(&meta),
            }));
            if bytes >= MAX_PAGE_BYTES {
                break;
            }
        }
        Ok(json!({
            "ledgers": ledgers,
            "latestLedger": latest,
            "latestLedgerCloseTime": shown.latest.close_time(),
            "oldestLedger": oldest,
            "oldestLedgerCloseTime": shown.oldest.close_time(),
            "cursor": last.to_string(),
        }))
    }

    pub(super) fn get_ledger_entries(&self, params: Params<'_>) -> Result<Value, RpcError> {
        params.check_format()?;
        let keys = params.list("keys")?;
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
            if matches!(key, LedgerKey::Ttl(_)) {
                return Err(RpcError::params("ledger ttl entries cannot be queried directly"));
            }
            let Some(entry) = shown.entry(&key) else {
                continue;
            };
            entries.push(json!({
                "key": base64(&hash::xdr(&key)),
                "xdr": base64(&hash::xdr(&entry.data)),
                "lastModifiedLedgerSeq": entry.last_modified_ledger_seq,
                "extXdr": base64(&hash::xdr(&entry.ext)),
            }));
        }
        Ok(json!({ "entries": entries, "latestLedger": shown.latest.sequence() }))
    }
}

/// The ledger after the one at which a page ended.
fn after(cursor: &str, oldest: u32, latest: u32) -> Result<u32, RpcError> {
    let last: Option<u32> = cursor.parse().ok();
    let last = last.ok_or_else(|| RpcError::params(format!("cursor ({cursor:?}) isn't one of getLedgers")))?;
    let next = last.checked_add(1).filter(|next| (oldest..=latest).contains(next));
    next.ok_or_else(|| {
        RpcError::params(format!(
            "cursor ('{cursor}') must be between the oldest ledger: {oldest} and the latest ledger: {latest} for this \
             rpc instance"
        ))
    })
}

fn ledger_key(text: &Value) -> Option<LedgerKey> {
    let bytes = STANDARD.decode(text.as_str()?).ok()?;
    if bytes.len() > MAX_KEY_BYTES {
        return None;
    }
    let limits = Limits { depth: MAX_XDR_DEPTH, len: MAX_KEY_BYTES };
    LedgerKey::from_xdr(bytes, limits).ok()
}
