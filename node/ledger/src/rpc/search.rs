//! Looking a span of ledgers over for one transaction, page by page.

use core::ops::RangeInclusive;
use core::time::Duration;

use serde_json::json;
use tradepost_protocol::message::TxHash;

use super::RpcLedger;
use crate::endpoints::Place;
use crate::error::LedgerError;
use crate::ledger::{TxStatus, Wanted};
use crate::wire;

const METHOD: &str = "getTransactions";
/// Transactions in one page, count: each comes with all that it changed, and answers are bounded.
const PAGE: u32 = 50;
/// Pages that are read for one search: a busy network's ledgers of five minutes.
const MAX_PAGES: u32 = 1_024;
/// How long one search may take. Each page is a question of its own, so an endpoint that answers them isn't failing.
const SEARCH_TIME: Duration = Duration::from_secs(600);

/// Where a search stands: at an endpoint's cursor, else at a ledger.
struct At {
    ledger: u32,
    cursor: Option<(Place, String)>,
}

/// One answer of an endpoint.
enum Page {
    /// It has forgotten ledgers that were to be looked at.
    Forgotten,
    /// Transactions in their order; nothing after the last one, where there are none.
    Of(Place, wire::Transactions),
}

impl RpcLedger {
    /// The envelope of the first successful transaction in these ledgers that is wanted; `None` where there is none, or the
    /// server that is asked has forgotten some of them.
    pub(super) async fn search_pages(
        &self,
        ledgers: &RangeInclusive<u32>,
        wanted: Wanted<'_>,
    ) -> Result<Option<Vec<u8>>, LedgerError> {
        match tokio::time::timeout(SEARCH_TIME, self.each_page(ledgers, wanted)).await {
            Ok(found) => found,
            Err(_) => Err(LedgerError::Late { endpoint: self.endpoints.names(), deadline: SEARCH_TIME }),
        }
    }

    async fn each_page(
        &self,
        ledgers: &RangeInclusive<u32>,
        wanted: Wanted<'_>,
    ) -> Result<Option<Vec<u8>>, LedgerError> {
        let mut at = At { ledger: *ledgers.start(), cursor: None };
        for _ in 0..MAX_PAGES {
            let asked = &at;
            let Page::Of(place, page) = self.ask(|place| self.page_at(place, *ledgers.end(), asked)).await? else {
                return Ok(None);
            };
            // A short page isn't the last one: a server bounds what it answers by more than a count.
            let Some(last) = page.transactions.last().map(|transaction| transaction.ledger.0) else { return Ok(None) };
            for transaction in page.transactions {
                if transaction.ledger.0 > *ledgers.end() {
                    return Ok(None);
                }
                let text = transaction.envelope_xdr.filter(|_| transaction.status == "SUCCESS");
                let envelope = text.map(|text| wire::bytes(&text)).transpose();
                let envelope = envelope.map_err(|why| self.endpoints.of(place).garbled(METHOD, why))?;
                if let Some(envelope) = envelope.filter(|envelope| wanted(envelope)) {
                    return Ok(Some(envelope));
                }
            }
            let Some(cursor) = page.cursor.filter(|cursor| !cursor.is_empty()) else { return Ok(None) };
            // Where another endpoint takes over, it begins with the ledger that this one came to.
            at = At { ledger: last.max(at.ledger), cursor: Some((place, cursor)) };
        }
        Ok(None)
    }

    async fn page_at(&self, place: Place, end: u32, at: &At) -> Result<Page, LedgerError> {
        if let Some((_, cursor)) = at.cursor.as_ref().filter(|(known, _)| *known == place) {
            let params = json!({ "pagination": { "limit": PAGE, "cursor": cursor } });
            return Ok(Page::Of(place, self.at(place, METHOD, &params).await?));
        }
        // No transaction has this hash; what is known of it is how far the server's history reaches.
        let nobodys = TxHash::from_bytes([0; 32]);
        let TxStatus::NotFound { latest, oldest } = self.status_at(place, nobodys).await? else {
            return Ok(Page::Forgotten);
        };
        if latest.sequence < end {
            return Err(self.backwards(place, end, latest.sequence));
        }
        if oldest.sequence > at.ledger {
            return Ok(Page::Forgotten);
        }
        let params = json!({ "startLedger": at.ledger, "pagination": { "limit": PAGE } });
        Ok(Page::Of(place, self.at(place, METHOD, &params).await?))
    }
}
