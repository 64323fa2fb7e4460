//! From an answer's JSON to what it means: each function refuses what contradicts the question or itself.

use std::collections::HashMap;

use serde_json::Value;
use sha2::{Digest, Sha256};
use stellar_xdr::{
    FeeBumpTransactionInnerTx, LedgerEntryExt, LedgerHeader, LedgerKey, PublicKey, TransactionEnvelope,
    TransactionResult, TransactionResultResult,
};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::message::TxHash;
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::stellar::LedgerPoint;
use tradepost_protocol::stellar::reserve::LedgerParams;
use tradepost_protocol::time::Timestamp;

use crate::endpoint::{Endpoint, Reply};
use crate::error::{LedgerError, brief};
use crate::fees::FeeStats;
use crate::ledger::{ClosedLedger, EntrySeen, Found, Funded, Head, LedgerHash, LedgerTotals, Submitted, TxStatus};
use crate::wire;

/// A head; its hash must be the header's, and the header must say what is said beside it.
pub(super) fn head(
    endpoint: &Endpoint,
    method: &'static str,
    answer: &wire::LatestLedger,
) -> Result<Head, LedgerError> {
    let garbled = |why: String| endpoint.garbled(method, why);
    let bytes = wire::bytes(&answer.header_xdr).map_err(garbled)?;
    let header: LedgerHeader = wire::xdr(&bytes).map_err(|e| garbled(format!("headerXdr is {e}")))?;
    let hash = wire::hash(&answer.id).map_err(garbled)?;
    let hashed: [u8; 32] = Sha256::digest(&bytes).into();
    if hashed != hash {
        return Err(endpoint.contradiction(format_args!(
            "the header of ledger {} hashes to {}, its id is said to be {}",
            answer.sequence.0,
            hex::encode(hashed),
            hex::encode(hash)
        )));
    }
    let close_time = header.scp_value.close_time.0;
    if header.ledger_seq != answer.sequence.0 {
        return Err(endpoint.contradiction(format_args!(
            "ledger {} comes with the header of ledger {}",
            answer.sequence.0, header.ledger_seq
        )));
    }
    if let Some(said) = answer.close_time.filter(|said| said.0 != close_time) {
        return Err(endpoint.contradiction(format_args!(
            "ledger {} closed at {} by its header, at {} by what is said beside it",
            header.ledger_seq, close_time, said.0
        )));
    }
    let amount = |n: i64| Stroops::new(n).ok_or_else(|| garbled("a negative sum in the ledger's header".into()));
    Ok(Head {
        ledger: ClosedLedger {
            sequence: header.ledger_seq,
            close_time: Timestamp::from_secs(close_time),
            hash: LedgerHash(hash),
        },
        previous: LedgerHash(header.previous_ledger_hash.0),
        params: LedgerParams {
            base_fee: amount(header.base_fee.into())?,
            base_reserve: amount(header.base_reserve.into())?,
        },
        protocol_version: header.ledger_version,
        max_operations: header.max_tx_set_size,
        totals: LedgerTotals { total_coins: amount(header.total_coins)?, fee_pool: amount(header.fee_pool)? },
    })
}

/// Entries in the order of the keys asked for; nothing that wasn't asked for, nothing twice, nothing from the future.
pub(super) fn entries(
    endpoint: &Endpoint,
    method: &'static str,
    keys: &[&LedgerKey],
    answer: wire::LedgerEntries,
) -> Result<Vec<EntrySeen>, LedgerError> {
    let garbled = |why: String| endpoint.garbled(method, why);
    let latest = answer.latest_ledger.0;
    let found = answer.entries.unwrap_or_default();
    if found.len() > keys.len() {
        return Err(endpoint.contradiction(format_args!("it answers {} entries to {} keys", found.len(), keys.len())));
    }
    let places: HashMap<&LedgerKey, usize> = keys.iter().enumerate().map(|(i, key)| (*key, i)).collect();
    let mut by_place: Vec<Option<EntrySeen>> = vec![None; keys.len()];
    for entry in found {
        let key: LedgerKey = wire::xdr64(&entry.key).map_err(|e| garbled(format!("a key is {e}")))?;
        let Some(&place) = places.get(&key) else {
            let what = format!("it answers an entry that wasn't asked for, {}", key.name());
            return Err(endpoint.contradiction(what));
        };
        let data: stellar_xdr::LedgerEntryData =
            wire::xdr64(&entry.xdr).map_err(|e| garbled(format!("an entry is {e}")))?;
        if data.to_key() != key {
            let what = format!("under the key of one {} it answers another entry, {}", key.name(), data.name());
            return Err(endpoint.contradiction(what));
        }
        let last_modified = entry.last_modified_ledger_seq.0;
        if last_modified > latest {
            let what = format!("an entry as of ledger {latest} was changed by ledger {last_modified}");
            return Err(endpoint.contradiction(what));
        }
        let ext: LedgerEntryExt =
            wire::xdr64(&entry.ext_xdr).map_err(|e| garbled(format!("an entry's extension is {e}")))?;
        let seen = EntrySeen { key, data, sponsor: sponsor(&ext), ext, last_modified };
        if by_place[place].replace(seen).is_some() {
            return Err(endpoint.contradiction("it answers one key twice"));
        }
    }
    Ok(by_place.into_iter().flatten().collect())
}

fn sponsor(ext: &LedgerEntryExt) -> Option<AccountId> {
    match ext {
        LedgerEntryExt::V0 => None,
        LedgerEntryExt::V1(v1) => v1.sponsoring_id.0.as_ref().map(|id| {
            let PublicKey::PublicKeyTypeEd25519(key) = &id.0;
            AccountId::from_bytes(key.0)
        }),
    }
}

/// What became of handing in; the answer must be about the transaction with this hash.
pub(super) fn sent(
    endpoint: &Endpoint,
    method: &'static str,
    hash: [u8; 32],
    answer: wire::Sent,
) -> Result<Submitted, LedgerError> {
    let garbled = |why: String| endpoint.garbled(method, why);
    let said = wire::hash(&answer.hash).map_err(garbled)?;
    if said != hash {
        return Err(endpoint.contradiction(format_args!(
            "handed in was the transaction {}, it answers about {}",
            hex::encode(hash),
            hex::encode(said)
        )));
    }
    match answer.status.as_str() {
        "PENDING" => Ok(Submitted::Pending),
        "DUPLICATE" => Ok(Submitted::Duplicate),
        "TRY_AGAIN_LATER" => Ok(Submitted::TryAgainLater),
        "ERROR" => {
            let text = answer.error_result_xdr.ok_or_else(|| garbled("an error without its result".into()))?;
            let result: TransactionResult = wire::xdr64(&text).map_err(|e| garbled(format!("the result is {e}")))?;
            if succeeded(&result) {
                return Err(endpoint.contradiction("it refuses a transaction with a result that says success"));
            }
            Ok(Submitted::Refused { result: Box::new(result) })
        }
        other => Err(garbled(format!("the status {:?} is unknown", brief(other)))),
    }
}

/// What became of a transaction; what is found must hash to what was asked for, and its result must agree.
pub(super) fn status(
    endpoint: &Endpoint,
    method: &'static str,
    network: &NetworkId,
    hash: TxHash,
    known: Option<Head>,
    answer: wire::Transaction,
) -> Result<TxStatus, LedgerError> {
    let garbled = |why: &str| endpoint.garbled(method, why);
    let time = |sequence: wire::Num<u32>, close_time: wire::Num<u64>| {
        LedgerPoint::new(sequence.0, Timestamp::from_secs(close_time.0))
    };
    let latest = time(answer.latest_ledger, answer.latest_ledger_close_time);
    let oldest = time(answer.oldest_ledger, answer.oldest_ledger_close_time);
    if oldest.sequence > latest.sequence || oldest.close_time > latest.close_time {
        return Err(endpoint.contradiction("the oldest ledger of its history is newer than the latest"));
    }
    if known.is_some_and(|head| head.ledger.close_time != latest.close_time) {
        let what = format!("ledger {} has two close times, one is {}", latest.sequence, latest.close_time);
        return Err(endpoint.contradiction(what));
    }
    let success = match answer.status.as_str() {
        "NOT_FOUND" => return Ok(TxStatus::NotFound { latest, oldest }),
        "SUCCESS" => true,
        "FAILED" => false,
        other => return Err(garbled(&format!("the status {:?} is unknown", brief(other)))),
    };
    let missing = || garbled("a transaction that was found lacks its ledger, close time, envelope or result");
    let ledger = answer.ledger.ok_or_else(missing)?.0;
    let close_time = Timestamp::from_secs(answer.created_at.ok_or_else(missing)?.0);
    let xdr_error = |why: String| garbled(&why);
    let envelope: TransactionEnvelope = wire::xdr64(&answer.envelope_xdr.ok_or_else(missing)?).map_err(xdr_error)?;
    let result: TransactionResult = wire::xdr64(&answer.result_xdr.ok_or_else(missing)?).map_err(xdr_error)?;
    if !hashes(&envelope, network).contains(&Some(*hash.as_bytes())) {
        return Err(endpoint.contradiction(format_args!("asked was the transaction {hash}, it answers another one")));
    }
    if ledger > latest.sequence || close_time > latest.close_time {
        return Err(endpoint.contradiction("a transaction is in a ledger that hasn't closed"));
    }
    if succeeded(&result) != success {
        let what = format!("a transaction with the status {} has the result {}", answer.status, result.result.name());
        return Err(endpoint.contradiction(what));
    }
    let found = Box::new(Found { at: LedgerPoint::new(ledger, close_time), result, envelope });
    Ok(if success { TxStatus::Success(found) } else { TxStatus::Failed(found) })
}

/// The hashes that a transaction is found by: its own, and of a fee bump the inner one's.
fn hashes(envelope: &TransactionEnvelope, network: &NetworkId) -> [Option<[u8; 32]>; 2] {
    let network = *network.as_bytes();
    let inner = match envelope {
        TransactionEnvelope::TxFeeBump(bump) => {
            let FeeBumpTransactionInnerTx::Tx(inner) = &bump.tx.inner_tx;
            inner.hash(network).ok()
        }
        TransactionEnvelope::TxV0(_) | TransactionEnvelope::Tx(_) => None,
    };
    [envelope.hash(network).ok(), inner]
}

fn succeeded(result: &TransactionResult) -> bool {
    matches!(result.result, TransactionResultResult::TxSuccess(_) | TransactionResultResult::TxFeeBumpInnerSuccess(_))
}

/// What was paid for inclusion.
pub(super) fn fees(endpoint: &Endpoint, method: &'static str, answer: &wire::Fees) -> Result<FeeStats, LedgerError> {
    let fee = &answer.inclusion_fee;
    let amount = |n: wire::Num<i64>| Stroops::new(n.0).ok_or_else(|| endpoint.garbled(method, "a negative fee"));
    let stats = FeeStats {
        min: amount(fee.min)?,
        mode: amount(fee.mode)?,
        p50: amount(fee.p50)?,
        p90: amount(fee.p90)?,
        p95: amount(fee.p95)?,
        p99: amount(fee.p99)?,
        max: amount(fee.max)?,
        transactions: fee.transaction_count.0,
        ledgers: fee.ledger_count.0,
        latest: answer.latest_ledger.0,
    };
    let ascending = [stats.min, stats.p50, stats.p90, stats.p95, stats.p99, stats.max].is_sorted();
    if !ascending {
        return Err(endpoint.contradiction("its fee statistics don't ascend from the lowest to the highest"));
    }
    Ok(stats)
}

/// What a friendbot did, by its HTTP answer: friendbots differ in their JSON, but all say "already" of an account that is
/// there.
pub(super) fn funded(friendbot: &Endpoint, reply: &Reply) -> Result<Funded, LedgerError> {
    let text = String::from_utf8_lossy(&reply.body);
    if reply.status.is_success() {
        let hash = serde_json::from_slice::<Value>(&reply.body).ok().and_then(|body| {
            let hash = body.get("hash").or_else(|| body.get("id"))?.as_str()?;
            hash.parse().ok()
        });
        return Ok(Funded::Created(hash));
    }
    if reply.status.as_u16() == 400 && text.to_lowercase().contains("already") {
        return Ok(Funded::Already);
    }
    Err(LedgerError::Friendbot {
        friendbot: friendbot.name().into(),
        why: format!("HTTP {}: {}", reply.status.as_u16(), brief(&text)),
    })
}
