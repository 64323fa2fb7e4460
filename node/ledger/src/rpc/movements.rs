//! Which transactions moved an asset, from a ledger on: by the events that the ledger's contracts of assets leave.
//!
//! Events only say where to look. What a transaction did is read from the transaction itself, which its hash vouches for;
//! so a server can hide movements, and make up none.

use core::ops::Range;

use serde_json::{Value, json};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::message::TxHash;
use tradepost_protocol::stellar::contract;

use super::RpcLedger;
use crate::endpoint::Endpoint;
use crate::endpoints::Place;
use crate::error::LedgerError;
use crate::ledger::Movements;
use crate::wire;

/// The most ledgers that are looked through at once (the RPC's own bound).
const MAX_LEDGERS: u32 = 10_000;
/// The most events of one answer.
const PAGE: usize = 200;
/// The most answers to one question.
const MAX_PAGES: usize = 32;
/// From so many transactions on, the rest is left for the next question.
const ENOUGH: usize = 64;
/// The bits of an event's id that aren't its ledger's.
const LEDGER_SHIFT: u32 = 32;

impl RpcLedger {
    pub(super) async fn read_movements(&self, assets: &[Asset], from: u32) -> Result<Movements, LedgerError> {
        let bad = |why: String| LedgerError::BadKey { why };
        let ids: Result<Vec<String>, LedgerError> = assets
            .iter()
            .map(|asset| contract::of_asset(asset, &self.network_id()).map_err(|e| bad(e.to_string())))
            .collect();
        let filters = json!([{ "type": "contract", "contractIds": ids? }]);
        self.ask(|place| self.movements_at(place, &filters, from)).await
    }

    async fn movements_at(&self, place: Place, filters: &Value, from: u32) -> Result<Movements, LedgerError> {
        let health: wire::Health = self.at(place, "getHealth", &json!({})).await?;
        // What a server says of the future isn't believed: whoever asks would go on from there, past what is yet to come.
        let newest = self.newest_seen().map(|head| head.ledger.sequence);
        let (oldest, latest) = (health.oldest_ledger.0, health.latest_ledger.0.min(newest.unwrap_or_default()));
        let start = from.max(oldest);
        let gap = from != 0 && from < oldest;
        if start > latest {
            return Ok(Movements { transactions: Vec::new(), through: from.saturating_sub(1).min(latest), gap: false });
        }
        let end = start.saturating_add(MAX_LEDGERS).min(latest.saturating_add(1));
        let mut found: Vec<(u32, TxHash)> = Vec::new();
        let mut cursor: Option<String> = None;
        let mut through = end - 1;
        for page in 0.. {
            let params = match &cursor {
                None => {
                    json!({ "startLedger": start, "endLedger": end, "filters": filters, "pagination": { "limit": PAGE } })
                }
                Some(cursor) => json!({ "filters": filters, "pagination": { "limit": PAGE, "cursor": cursor } }),
            };
            let answer: wire::Events = self.at(place, "getEvents", &params).await?;
            let Some((last, reached)) = read_page(self.endpoints.of(place), answer, start..end, &mut found)? else {
                break;
            };
            if reached >= end {
                break;
            }
            if found.len() >= ENOUGH || page + 1 >= MAX_PAGES {
                // The last ledger may have more; it is looked at again, unless it is the only one.
                let whole = found.iter().any(|(ledger, _)| *ledger < reached);
                through = if whole { reached - 1 } else { reached };
                if whole || page + 1 >= MAX_PAGES {
                    break;
                }
            }
            cursor = Some(last);
        }
        found.retain(|(ledger, _)| *ledger <= through);
        Ok(Movements { transactions: found.into_iter().map(|(_, hash)| hash).collect(), through, gap })
    }
}

/// Adds the transactions of one answer to those that were found, and says which event was the last, in which ledger.
pub(super) fn read_page(
    endpoint: &Endpoint,
    answer: wire::Events,
    ledgers: Range<u32>,
    found: &mut Vec<(u32, TxHash)>,
) -> Result<Option<(String, u32)>, LedgerError> {
    let garbled = |why: String| endpoint.garbled("getEvents", why);
    let events = answer.events.unwrap_or_default();
    if events.len() > PAGE {
        return Err(garbled(format!("{} events where at most {PAGE} were asked for", events.len())));
    }
    let last = events.last().map(|last| (last.id.clone(), last.ledger.0));
    for event in events {
        let hash = TxHash::from_bytes(wire::hash(&event.tx_hash).map_err(garbled)?);
        let in_order = found.last().is_none_or(|(before, _)| *before <= event.ledger.0);
        if event.ledger.0 < ledgers.start || !in_order || ledger_of(&event.id) != Some(event.ledger.0) {
            return Err(garbled("an event that stands elsewhere than was asked for".to_owned()));
        }
        let counts = event.ledger.0 < ledgers.end && event.in_successful_contract_call.unwrap_or(true);
        if counts && !found.contains(&(event.ledger.0, hash)) {
            found.push((event.ledger.0, hash));
        }
    }
    Ok(last)
}

/// The ledger that an event's id says.
fn ledger_of(id: &str) -> Option<u32> {
    let (place, _) = id.split_once('-')?;
    u32::try_from(place.parse::<u64>().ok()? >> LEDGER_SHIFT).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::config::{Auth, Patience};
    use crate::endpoint::address::Address;

    /// As many events of one ledger, each of its own transaction.
    fn events(count: usize) -> wire::Events {
        let event = |n: usize| wire::Event {
            id: format!("{:019}-0000000000", 6_u64 << LEDGER_SHIFT),
            ledger: wire::Num(6),
            tx_hash: format!("{n:064x}"),
            in_successful_contract_call: None,
        };
        wire::Events { events: Some((0..count).map(event).collect()) }
    }

    #[test]
    fn a_page_of_more_events_than_were_asked_for_is_refused_unread() {
        let address = Address::parse("http://127.0.0.1:1", false).unwrap();
        let endpoint = Endpoint::new(address, &Auth::None, &Patience::default()).unwrap();
        let mut found = Vec::new();
        read_page(&endpoint, events(PAGE), 1..9, &mut found).unwrap();
        assert_eq!(found.len(), PAGE);
        let refused = read_page(&endpoint, events(PAGE + 1), 1..9, &mut Vec::new()).unwrap_err().to_string();
        assert!(refused.contains("201 events where at most 200"), "{refused}");
    }

    #[test]
    fn an_events_id_names_its_ledger() {
        assert_eq!(ledger_of("0000000025769803776-0000000000"), Some(6));
        for wrong in ["", "5", "-1", "x-1", "99999999999999999999-0"] {
            assert_eq!(ledger_of(wrong), None, "{wrong}");
        }
    }
}
