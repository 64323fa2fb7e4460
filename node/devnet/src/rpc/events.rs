//! Events of assets: `getEvents`, with its filters.

use std::ops::ControlFlow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stellar_strkey::Contract;
use stellar_xdr::{ContractEvent, ContractEventBody, ContractId, Hash, Limits, ReadXdr, ScVal};

use super::cursor::{EventPlace, Place};
use super::params::Params;
use super::{MAX_PAGE_BYTES, RpcError, base64};
use crate::frame::MAX_XDR_DEPTH;
use crate::hash;
use crate::history::{PastLedger, TransactionRecord};
use crate::ledger::Ledger;

/// The most events on one page.
pub const MAX_EVENTS: u64 = 10_000;
/// How many there are unless told otherwise.
const USUAL_EVENTS: u64 = 100;
/// The most ledgers that one call looks through.
pub const MAX_SCANNED_LEDGERS: u32 = 10_000;
/// The most filters, contracts of a filter, and topics of a filter.
const MAX_FILTERS: usize = 5;
/// The most segments of a topic, a trailing `**` not counted.
const MAX_SEGMENTS: usize = 4;
/// The largest value of a segment that is decoded, in bytes.
const MAX_SEGMENT_BYTES: usize = 4 * 1024;

impl Ledger {
    pub(super) fn get_events(&self, params: Params<'_>) -> Result<Value, RpcError> {
        let asked = Asked::parse(params)?;
        let shown = self.shown();
        let (oldest, latest) = (shown.oldest.sequence(), shown.latest.sequence());
        let start = asked.start.place.ledger;
        if !(oldest..=latest).contains(&start) {
            let message = format!("startLedger must be within the ledger range: {oldest} - {latest}");
            return Err(RpcError::request(message));
        }
        let mut end = start.saturating_add(MAX_SCANNED_LEDGERS).min(latest + 1);
        if asked.end != 0 {
            end = end.min(asked.end);
        }
        let mut events = Vec::new();
        let mut bytes = 0;
        let mut cursor = EventPlace::last_of(end.saturating_sub(1));
        for ledger in shown.ledgers(start).take_while(|ledger| ledger.sequence() < end) {
            let found = each_event(ledger, |place, event, record| {
                if place < asked.start || !asked.wants(event) {
                    return ControlFlow::Continue(());
                }
                let told = describe(place, event, record);
                bytes += told.1;
                events.push(told.0);
                if events.len() == asked.limit || bytes >= MAX_PAGE_BYTES {
                    cursor = place;
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
            if found.is_break() {
                break;
            }
        }
        Ok(json!({
            "events": events,
            "cursor": cursor.to_string(),
            "latestLedger": latest,
            "oldestLedger": oldest,
            "latestLedgerCloseTime": shown.latest.close_time().to_string(),
            "oldestLedgerCloseTime": shown.oldest.close_time().to_string(),
        }))
    }
}

/// Goes through a ledger's events in the order of their places: the fees of
/// all transactions, then what each operation of each transaction did.
fn each_event(
    ledger: &PastLedger,
    mut see: impl FnMut(EventPlace, &ContractEvent, &TransactionRecord) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let first = EventPlace::first_of(ledger.sequence());
    let of_all =
        ledger.transactions.iter().flat_map(|record| record.events.transaction.iter().map(move |e| (e, record)));
    for (event, (told, record)) in (0..).zip(of_all) {
        see(EventPlace { event, ..first }, &told.event, record)?;
    }
    for record in &ledger.transactions {
        for (operation, events) in (0..).zip(&record.events.operations) {
            for (event, told) in (0..).zip(events) {
                let place = Place { transaction: record.order, operation, ..first.place };
                see(EventPlace { place, event }, told, record)?;
            }
        }
    }
    ControlFlow::Continue(())
}

/// Tells of an event, and about how many bytes that takes.
fn describe(at: EventPlace, event: &ContractEvent, record: &TransactionRecord) -> (Value, usize) {
    let ContractEventBody::V0(body) = &event.body;
    let topics: Vec<String> = body.topics.iter().map(|topic| base64(&hash::xdr(topic))).collect();
    let value = base64(&hash::xdr(&body.data));
    let bytes = topics.iter().map(String::len).sum::<usize>() + value.len();
    let contract = event.contract_id.as_ref().map(|ContractId(Hash(id))| Contract(*id).to_string());
    let told = json!({
        "type": "contract",
        "ledger": at.place.ledger,
        "ledgerClosedAt": date_time(record.close_time),
        "contractId": contract.as_deref().unwrap_or_default(),
        "id": at.to_string(),
        "operationIndex": at.place.operation,
        "transactionIndex": at.place.transaction,
        "inSuccessfulContractCall": record.succeeded(),
        "txHash": hex::encode(record.hash),
        "topic": topics,
        "value": value,
    });
    (told, bytes)
}

/// What events are asked for.
#[derive(Debug)]
struct Asked {
    /// The first place.
    start: EventPlace,
    /// The first ledger no more; 0 for none.
    end: u32,
    limit: usize,
    /// Any of which wants an event; no filter wants all.
    filters: Vec<Filter>,
}

impl Asked {
    fn parse(params: Params<'_>) -> Result<Self, RpcError> {
        params.check_format()?;
        let start: u32 = params.number("startLedger")?.unwrap_or(0);
        let end: u32 = params.number("endLedger")?.unwrap_or(0);
        let (cursor, limit) = match params.object("pagination")? {
            None => (None, 0),
            Some(page) => (page.text("cursor")?, page.number("limit")?.unwrap_or(0)),
        };
        let start = match cursor {
            Some(_) if start != 0 || end != 0 => {
                return Err(RpcError::params("ledger ranges and cursor cannot both be set"));
            }
            Some(cursor) => {
                let last = EventPlace::parse(cursor);
                let last = last.ok_or_else(|| RpcError::params(format!("invalid event id {cursor}")))?;
                last.next()
            }
            None if start == 0 => return Err(RpcError::params("startLedger must be positive")),
            None => EventPlace::first_of(start),
        };
        if limit > MAX_EVENTS {
            return Err(RpcError::params(format!("limit must not exceed {MAX_EVENTS}")));
        }
        let limit = if limit == 0 { USUAL_EVENTS } else { limit };
        let filters = params.list("filters")?;
        if filters.len() > MAX_FILTERS {
            return Err(RpcError::params(format!("maximum {MAX_FILTERS} filters per request")));
        }
        let parse = |(number, filter): (usize, &Value)| {
            Filter::parse(filter).map_err(|why| RpcError::params(format!("filter {number} invalid: {why}")))
        };
        Ok(Self {
            start,
            end,
            limit: usize::try_from(limit).expect("a small number"),
            filters: (1..).zip(filters).map(parse).collect::<Result<_, _>>()?,
        })
    }

    fn wants(&self, event: &ContractEvent) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| filter.wants(event))
    }
}

/// Wants events of any of its contracts with any of its topics; where it names
/// none, of all.
#[derive(Debug)]
struct Filter {
    /// Whether it wants events of contracts; all there are here.
    of_contracts: bool,
    contracts: Vec<[u8; 32]>,
    topics: Vec<Topic>,
}

impl Filter {
    fn parse(filter: &Value) -> Result<Self, String> {
        let filter = filter.as_object().ok_or("not an object")?;
        let filter = Params::new(filter);
        let texts = |error: RpcError| error.message;
        let types: Vec<&str> = filter
            .text("type")
            .map_err(texts)?
            .filter(|t| !t.is_empty())
            .map_or(Vec::new(), |t| t.split(',').collect());
        if types.iter().any(|kind| !["system", "contract"].contains(kind)) {
            return Err("filter type invalid: if set, type must be either 'system' or 'contract'".to_owned());
        }
        let (ids, topics) = (filter.list("contractIds").map_err(texts)?, filter.list("topics").map_err(texts)?);
        if ids.len() > MAX_FILTERS {
            return Err(format!("maximum {MAX_FILTERS} contract IDs per filter"));
        }
        if topics.len() > MAX_FILTERS {
            return Err(format!("maximum {MAX_FILTERS} topics per filter"));
        }
        let contract = |(number, id): (usize, &Value)| {
            let id = id.as_str().and_then(|id| Contract::from_string(id).ok());
            id.map(|Contract(id)| id).ok_or_else(|| format!("contract ID {number} invalid"))
        };
        let topic = |(number, topic): (usize, &Value)| {
            Topic::parse(topic).map_err(|why| format!("topic {number} invalid: {why}"))
        };
        Ok(Self {
            of_contracts: types.is_empty() || types.contains(&"contract"),
            contracts: (1..).zip(ids).map(contract).collect::<Result<_, _>>()?,
            topics: (1..).zip(topics).map(topic).collect::<Result<_, _>>()?,
        })
    }

    fn wants(&self, event: &ContractEvent) -> bool {
        let ContractEventBody::V0(body) = &event.body;
        let from = event.contract_id.as_ref().map(|ContractId(Hash(id))| id);
        self.of_contracts
            && (self.contracts.is_empty() || from.is_some_and(|id| self.contracts.contains(id)))
            && (self.topics.is_empty() || self.topics.iter().any(|topic| topic.wants(&body.topics)))
    }
}

/// Wants topics whose segments are equal to its own, one by one.
#[derive(Debug)]
struct Topic {
    /// Nothing stands for any value (`*`).
    segments: Vec<Option<ScVal>>,
    /// Whether more may follow (`**` at the end).
    open: bool,
}

impl Topic {
    fn parse(topic: &Value) -> Result<Self, String> {
        let mut texts: &[Value] = topic.as_array().ok_or("not a list of segments")?;
        if texts.is_empty() {
            return Err("topic must have at least 1 segment".to_owned());
        }
        let open = texts.last().is_some_and(|last| last == "**");
        if open {
            texts = &texts[..texts.len() - 1];
        }
        if let Some(at) = texts.iter().position(|segment| segment == "**") {
            return Err(format!("segment {} invalid: wildcard '**' is only allowed as the last segment", at + 1));
        }
        if texts.len() > MAX_SEGMENTS {
            return Err(format!("topic cannot have more than {MAX_SEGMENTS} segments"));
        }
        let segment = |(number, text): (usize, &Value)| {
            if text == "*" {
                return Ok(None);
            }
            let value = text.as_str().and_then(segment_value);
            value.map(Some).ok_or_else(|| format!("segment {number} invalid: neither a value in base64 XDR nor '*'"))
        };
        Ok(Self { segments: (1..).zip(texts).map(segment).collect::<Result<_, _>>()?, open })
    }

    fn wants(&self, topics: &[ScVal]) -> bool {
        let long_enough =
            if self.open { topics.len() >= self.segments.len() } else { topics.len() == self.segments.len() };
        long_enough
            && self.segments.iter().zip(topics).all(|(wanted, topic)| wanted.as_ref().is_none_or(|w| w == topic))
    }
}

fn segment_value(text: &str) -> Option<ScVal> {
    let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() <= MAX_SEGMENT_BYTES)?;
    ScVal::from_xdr(bytes, Limits { depth: MAX_XDR_DEPTH, len: MAX_SEGMENT_BYTES }).ok()
}

/// Writes seconds since 1970 as RFC 3339 does, in UTC.
fn date_time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days are counted from the first of March of the year 0, in eras of 400
    // years, so that a leap day is the last of its year.
    let since = days + 719_468;
    let (era, day_of_era) = (since / 146_097, since % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year_of_era + next_year;
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_dates() {
        assert_eq!(date_time(0), "1970-01-01T00:00:00Z");
        assert_eq!(date_time(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(date_time(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(date_time(1_700_000_005), "2023-11-14T22:13:25Z");
        assert_eq!(date_time(1_798_761_599), "2026-12-31T23:59:59Z");
        assert_eq!(date_time(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
