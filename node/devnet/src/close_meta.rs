//! A closed ledger as the one value that tells all of it (`LedgerCloseMeta`),
//! put together from the encoded parts that are kept: XDR is laid out one part
//! after the other.

use stellar_xdr::LedgerHeader;

use crate::hash;
use crate::history::PastLedger;

/// Returns a `GeneralizedTransactionSet` of classic transactions, which are in
/// the order of the hashes of their envelopes.
pub(crate) fn transaction_set(previous: &[u8; 32], base_fee: i64, envelopes: &[&[u8]]) -> Vec<u8> {
    let mut set = Vec::with_capacity(80 + envelopes.iter().map(|e| e.len()).sum::<usize>());
    word(&mut set, 1);
    set.extend(previous);
    word(&mut set, 2);
    // The phase of classic transactions has one component of one base fee.
    word(&mut set, 0);
    word(&mut set, u32::from(!envelopes.is_empty()));
    if !envelopes.is_empty() {
        word(&mut set, 0);
        word(&mut set, 1);
        set.extend(base_fee.to_be_bytes());
        word(&mut set, count(envelopes));
        set.extend(envelopes.iter().flat_map(|envelope| envelope.iter()));
    }
    // The phase of contracts' transactions: no base fee, no stage.
    word(&mut set, 1);
    word(&mut set, 0);
    word(&mut set, 0);
    set
}

/// Returns a `LedgerHeaderHistoryEntry`: a header behind its hash.
pub(crate) fn header_entry(hash: &[u8; 32], header: &LedgerHeader) -> Vec<u8> {
    let mut entry = hash.to_vec();
    entry.extend(hash::xdr(header));
    word(&mut entry, 0);
    entry
}

/// Returns a ledger's `LedgerCloseMeta`.
pub(crate) fn close_meta(ledger: &PastLedger) -> Vec<u8> {
    let mut meta = Vec::new();
    word(&mut meta, 2);
    word(&mut meta, 0);
    meta.extend(header_entry(&ledger.hash, &ledger.header));

    let mut envelopes: Vec<(_, &[u8])> = ledger
        .transactions
        .iter()
        .map(|record| (hash::sha256(&[&record.envelope_xdr]), record.envelope_xdr.as_slice()))
        .collect();
    envelopes.sort_unstable();
    let envelopes: Vec<&[u8]> = envelopes.into_iter().map(|(_, envelope)| envelope).collect();
    meta.extend(transaction_set(&ledger.header.previous_ledger_hash.0, ledger.base_fee, &envelopes));

    word(&mut meta, count(&ledger.transactions));
    for record in &ledger.transactions {
        word(&mut meta, 0);
        meta.extend(record.hash);
        meta.extend(&record.result_xdr);
        meta.extend(&record.fee_changes_xdr);
        meta.extend(&record.meta_xdr);
        // Nothing of the fee is given back afterwards.
        word(&mut meta, 0);
    }
    // Upgrades, messages of the consensus, the size of contracts' state in two
    // words, what of it was evicted.
    for _ in 0..5 {
        word(&mut meta, 0);
    }
    meta
}

fn word(bytes: &mut Vec<u8>, word: u32) {
    bytes.extend(word.to_be_bytes());
}

fn count<T>(values: &[T]) -> u32 {
    u32::try_from(values.len()).expect("bounded by the ledger's limit")
}
