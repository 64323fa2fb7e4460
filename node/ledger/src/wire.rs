//! What Stellar RPC says, as JSON: numbers may be strings, unknown members are passed over, XDR is decoded within
//! limits.

use core::fmt;
use core::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde_json::Value;
use stellar_xdr::{
    LedgerCloseMeta, LedgerHeaderHistoryEntry, Limits, ReadXdr, TransactionResultPair, TransactionResultSet, WriteXdr,
};

use crate::ledger::LedgerRecord;

/// The deepest nesting of XDR that is read; what this node deals with nests less than 30 deep.
const MAX_XDR_DEPTH: u32 = 100;
/// The deepest nesting of a ledger's changes: contracts' values nest, and are passed over.
const MAX_META_DEPTH: u32 = 500;
/// The most digits of a number that comes as a string.
const MAX_DIGITS: usize = 20;

/// A JSON-RPC answer.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Answer<T> {
    pub jsonrpc: String,
    #[serde(default)]
    pub id: Value,
    #[serde(default = "none")]
    pub result: Option<T>,
    pub error: Option<RpcError>,
}

fn none<T>() -> Option<T> {
    None
}

/// A JSON-RPC error.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct RpcError {
    pub code: i64,
    #[serde(default)]
    pub message: String,
}

/// A non-negative integer that may come as a number or as a string of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Num<T>(pub T);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for Num<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Digits<T>(PhantomData<T>);

        impl<T: TryFrom<u64>> Visitor<'_> for Digits<T> {
            type Value = Num<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a non-negative integer or a string of digits")
            }

            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Num<T>, E> {
                T::try_from(n).map(Num).map_err(|_| E::custom(format_args!("the number {n} is too large here")))
            }

            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Num<T>, E> {
                match u64::try_from(n) {
                    Ok(n) => self.visit_u64(n),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(n), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Num<T>, E> {
                if text.len() > MAX_DIGITS || !text.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(E::invalid_value(de::Unexpected::Str(text), &self));
                }
                match text.parse() {
                    Ok(n) => self.visit_u64(n),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }

        d.deserialize_any(Digits(PhantomData))
    }
}

/// `getNetwork`.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Network {
    pub friendbot_url: Option<String>,
    pub passphrase: String,
    pub protocol_version: Num<u32>,
}

/// `getLatestLedger`.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LatestLedger {
    pub id: String,
    pub sequence: Num<u32>,
    pub close_time: Option<Num<u64>>,
    pub header_xdr: String,
}

/// `getLedgers`.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Ledgers {
    pub ledgers: Vec<LedgerInfo>,
}

/// `getLedgers`, with all that happened in the ledgers.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct WholeLedgers {
    pub ledgers: Vec<WholeLedger>,
}

/// One ledger of `getLedgers`, with all that happened in it.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WholeLedger {
    pub sequence: Num<u32>,
    pub header_xdr: String,
    pub metadata_xdr: String,
}

impl WholeLedger {
    /// Its header and the results of its transactions, as XDR.
    pub(crate) fn into_record(self) -> Result<LedgerRecord, String> {
        let header = bytes(&self.header_xdr)?;
        let meta = bytes(&self.metadata_xdr)?;
        let limits = Limits { depth: MAX_META_DEPTH, len: meta.len() };
        let meta = LedgerCloseMeta::from_xdr(&meta, limits).map_err(|e| format!("metadataXdr is {e}"))?;
        let results: Vec<TransactionResultPair> = match meta {
            LedgerCloseMeta::V0(meta) => meta.tx_processing.iter().map(|tx| tx.result.clone()).collect(),
            LedgerCloseMeta::V1(meta) => meta.tx_processing.iter().map(|tx| tx.result.clone()).collect(),
            LedgerCloseMeta::V2(meta) => meta.tx_processing.iter().map(|tx| tx.result.clone()).collect(),
        };
        let results = results.try_into().map_err(|_| "more results than XDR holds".to_owned())?;
        let results = TransactionResultSet { results }.to_xdr(Limits::none()).map_err(|e| e.to_string())?;
        Ok(LedgerRecord { header, results })
    }
}

/// One ledger of `getLedgers`. Its header comes behind its hash, a `LedgerHeaderHistoryEntry`, unlike that of
/// `getLatestLedger`.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LedgerInfo {
    pub hash: String,
    pub sequence: Num<u32>,
    pub ledger_close_time: Option<Num<u64>>,
    pub header_xdr: String,
}

impl LedgerInfo {
    /// Says the same as `getLatestLedger` would have said when the ledger was the newest.
    pub(crate) fn into_latest(self) -> Result<LatestLedger, String> {
        let entry: LedgerHeaderHistoryEntry = xdr64(&self.header_xdr).map_err(|e| format!("headerXdr is {e}"))?;
        Ok(LatestLedger {
            id: self.hash,
            sequence: self.sequence,
            close_time: self.ledger_close_time,
            header_xdr: to_xdr64(&entry.header)?,
        })
    }
}

/// `getLedgerEntries`.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LedgerEntries {
    /// Absent or null where nothing was found.
    pub entries: Option<Vec<LedgerEntry>>,
    pub latest_ledger: Num<u32>,
}

/// One entry of `getLedgerEntries`.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LedgerEntry {
    pub key: String,
    pub xdr: String,
    pub ext_xdr: String,
    pub last_modified_ledger_seq: Num<u32>,
}

/// `sendTransaction`.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sent {
    pub status: String,
    pub hash: String,
    pub error_result_xdr: Option<String>,
}

/// `getTransactions`.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Transactions {
    pub transactions: Vec<Listed>,
    pub cursor: Option<String>,
}

/// One transaction of `getTransactions`.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listed {
    pub status: String,
    pub ledger: Num<u32>,
    pub envelope_xdr: Option<String>,
}

/// `getTransaction`.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Transaction {
    pub status: String,
    pub latest_ledger: Num<u32>,
    pub latest_ledger_close_time: Num<u64>,
    pub oldest_ledger: Num<u32>,
    pub oldest_ledger_close_time: Num<u64>,
    pub ledger: Option<Num<u32>>,
    pub created_at: Option<Num<u64>>,
    pub envelope_xdr: Option<String>,
    pub result_xdr: Option<String>,
}

/// `getHealth`.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Health {
    pub latest_ledger: Num<u32>,
    pub oldest_ledger: Num<u32>,
}

/// `getEvents`.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Events {
    /// Absent or null where nothing was found.
    pub events: Option<Vec<Event>>,
}

/// One event of `getEvents`.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub id: String,
    pub ledger: Num<u32>,
    pub tx_hash: String,
    /// Always there before protocol 23, and no longer said by some servers.
    pub in_successful_contract_call: Option<bool>,
}

/// `getFeeStats`.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fees {
    pub inclusion_fee: FeeSpread,
    pub latest_ledger: Num<u32>,
}

/// The distribution in `getFeeStats`.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FeeSpread {
    pub max: Num<i64>,
    pub min: Num<i64>,
    pub mode: Num<i64>,
    pub p50: Num<i64>,
    pub p90: Num<i64>,
    pub p95: Num<i64>,
    pub p99: Num<i64>,
    pub transaction_count: Num<u64>,
    pub ledger_count: Num<u32>,
}

/// Bytes from base64.
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|e| format!("not base64: {e}"))
}

/// Base64 from bytes.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A value from its XDR, all of it.
pub(crate) fn xdr<T: ReadXdr>(bytes: &[u8]) -> Result<T, String> {
    T::from_xdr(bytes, Limits { depth: MAX_XDR_DEPTH, len: bytes.len() })
        .map_err(|e| format!("not the XDR expected: {e}"))
}

/// A value from its XDR in base64.
pub(crate) fn xdr64<T: ReadXdr>(text: &str) -> Result<T, String> {
    xdr(&bytes(text)?)
}

/// The XDR of a value in base64. Values that this node made or has decoded are within the limits.
pub(crate) fn to_xdr64<T: WriteXdr>(value: &T) -> Result<String, String> {
    let limits = Limits { depth: MAX_XDR_DEPTH, len: crate::endpoint::MAX_ANSWER_BYTES };
    value.to_xdr(limits).map(|bytes| base64(&bytes)).map_err(|e| e.to_string())
}

/// 32 bytes from 64 hex digits.
pub(crate) fn hash(text: &str) -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|e| format!("not a hash: {e}"))?;
    Ok(bytes)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_be_strings_but_nothing_else() {
        for text in ["123", "\"123\"", "\"00123\""] {
            assert_eq!(serde_json::from_str::<Num<u32>>(text).unwrap(), Num(123), "{text}");
        }
        for text in [
            "1.5",
            "-1",
            "\"-1\"",
            "\"1.5\"",
            "\"\"",
            "\" 1\"",
            "null",
            "[]",
            "true",
            "4294967296",
            "\"4294967296\"",
            "1e3",
            "18446744073709551616",
            "\"99999999999999999999\"",
        ] {
            assert!(serde_json::from_str::<Num<u32>>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_ledger_without_its_changes_has_no_record() {
        let record = |header_xdr: &str, metadata_xdr: &str| {
            let (header_xdr, metadata_xdr) = (header_xdr.to_owned(), metadata_xdr.to_owned());
            WholeLedger { sequence: Num(7), header_xdr, metadata_xdr }.into_record()
        };
        let deep = STANDARD.encode([[0, 0, 0, 3], [0, 0, 0, 1]].concat().repeat(100_000));
        for meta in ["", "?", "AAAA", "AAAAAg==", &deep] {
            assert!(record("AAAA", meta).is_err(), "{}", &meta[..meta.len().min(20)]);
        }
        let empty = LedgerCloseMeta::V2(stellar_xdr::LedgerCloseMetaV2::default());
        let meta = STANDARD.encode(empty.to_xdr(Limits::none()).unwrap());
        assert!(record("?", &meta).is_err());
        assert_eq!(record("AAAA", &meta).unwrap().results, [0; 4]);
    }

    #[test]
    fn xdr_with_bytes_left_over_or_nested_too_deep_is_refused() {
        use stellar_xdr::{ClaimPredicate, LedgerEntryExt};
        assert_eq!(xdr64::<LedgerEntryExt>("AAAAAA=="), Ok(LedgerEntryExt::V0));
        assert!(xdr64::<LedgerEntryExt>("AAAAAAAAAAA=").is_err());
        assert!(xdr64::<LedgerEntryExt>("AAAAAA").is_err());
        let not_not_not: Vec<u8> = [[0, 0, 0, 3], [0, 0, 0, 1]].concat().repeat(100_000);
        assert!(xdr::<ClaimPredicate>(&not_not_not).is_err());
    }
}
