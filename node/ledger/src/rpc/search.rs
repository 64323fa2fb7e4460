//! Looking a span of ledgers over for one transaction.

use core::ops::RangeInclusive;

use serde_json::{Value, json};
use tradepost_protocol::message::TxHash;

use super::RpcLedger;
use crate::endpoints::Place;
use crate::error::LedgerError;
use crate::ledger::{TxStatus, Wanted};
use crate::wire;

/// Transactions in one page, count: each comes with all that it changed, and answers are bounded.
const PAGE: u32 = 50;
/// Pages that are read for one search: a busy network's ledgers of five minutes.
const MAX_PAGES: u32 = 1_024;

impl RpcLedger {
    /// The envelope of the first successful transaction in these ledgers that is wanted; `None` where there is none, or the
    /// server has forgotten some of them.
    pub(super) async fn search_at(
        &self,
        place: Place,
        ledgers: &RangeInclusive<u32>,
        wanted: Wanted<'_>,
    ) -> Result<Option<Vec<u8>>, LedgerError> {
        // No transaction has this hash; what is known of it is how far the server's history reaches.
        let nobodys = TxHash::from_bytes([0; 32]);
        let TxStatus::NotFound { latest, oldest } = self.status_at(place, nobodys).await? else { return Ok(None) };
        if latest.sequence < *ledgers.end() {
            return Err(self.backwards(place, *ledgers.end(), latest.sequence));
        }
        if oldest.sequence > *ledgers.start() {
            return Ok(None);
        }
        let (endpoint, method) = (self.endpoints.of(place), "getTransactions");
        let mut params = json!({ "startLedger": ledgers.start(), "pagination": { "limit": PAGE } });
        for _ in 0..MAX_PAGES {
            let page: wire::Transactions = self.at(place, method, &params).await?;
            let (past, cursor) = (page.transactions.len() < PAGE as usize, page.cursor);
            for transaction in page.transactions {
                if transaction.ledger.0 > *ledgers.end() {
                    return Ok(None);
                }
                let text = transaction.envelope_xdr.filter(|_| transaction.status == "SUCCESS");
                let envelope = text.map(|text| wire::bytes(&text)).transpose();
                let envelope = envelope.map_err(|why| endpoint.garbled(method, why))?;
                if let Some(envelope) = envelope.filter(|envelope| wanted(envelope)) {
                    return Ok(Some(envelope));
                }
            }
            let Some(cursor) = cursor.filter(|cursor| !past && !cursor.is_empty()) else { return Ok(None) };
            params = json!({ "pagination": { "cursor": Value::from(cursor), "limit": PAGE } });
        }
        Ok(None)
    }
}
