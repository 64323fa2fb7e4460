//! Closes a ledger: transaction set, order of execution, results, header.

use std::sync::Arc;

use stellar_xdr::{
    Hash, LedgerHeader, LedgerHeaderExt, StellarValue, StellarValueExt, TimePoint, TransactionResultPair,
    TransactionResultSet, VecM,
};

use crate::close_meta;
use crate::context::Context;
use crate::events;
use crate::execute::{self, HighestSequences};
use crate::fee;
use crate::frame::Frame;
use crate::genesis::{BASE_FEE, BASE_RESERVE, FIRST_LEDGER, PROTOCOL_VERSION, TOTAL_COINS};
use crate::hash;
use crate::history::TransactionRecord;
use crate::meta::{self, bounded};
use crate::state::State;

/// How many ledgers apart the four entries of a header's skip list are.
const SKIPS: [u32; 4] = [50, 5_000, 50_000, 500_000];

/// What executing a transaction set left.
#[derive(Debug)]
pub(crate) struct Executed {
    pub(crate) header: LedgerHeader,
    pub(crate) records: Vec<Arc<TransactionRecord>>,
}

/// Returns the header of the first ledger.
pub(crate) fn genesis_header(state: &State, close_time: u64, operations: u32) -> LedgerHeader {
    LedgerHeader {
        ledger_version: PROTOCOL_VERSION,
        previous_ledger_hash: Hash([0; 32]),
        scp_value: value([0; 32], close_time),
        tx_set_result_hash: Hash([0; 32]),
        bucket_list_hash: Hash(entries_hash(&[0; 32], state)),
        ledger_seq: FIRST_LEDGER,
        total_coins: TOTAL_COINS,
        fee_pool: 0,
        inflation_seq: 0,
        id_pool: 0,
        base_fee: BASE_FEE,
        base_reserve: BASE_RESERVE,
        max_tx_set_size: operations,
        skip_list: std::array::from_fn(|_| Hash([0; 32])),
        ext: LedgerHeaderExt::V0,
    }
}

/// Executes transactions as the ledger after `last`: first all fees are
/// taken, at most `base_fee` stroops for each operation, then each runs, in an
/// order that nobody chooses.
pub(crate) fn execute(
    frames: Vec<Frame>,
    base_fee: i64,
    last: &LedgerHeader,
    state: &mut State,
    context: &Context,
) -> Executed {
    state.begin(context.sequence);
    let previous = header_hash(last);
    let (set_hash, frames) = in_order(frames, base_fee, &previous);

    let mut fee_pool = last.fee_pool;
    let mut highest = HighestSequences::new();
    let mut fees = Vec::with_capacity(frames.len());
    for frame in &frames {
        let before = state.mark();
        let taken = fee::charge(state, frame.fee_source(), fee::due(frame, base_fee));
        fee_pool += taken;
        fees.push((taken, meta::changes(state, before)));
        highest.insert(frame.inner.source.clone(), frame.inner.tx.seq_num.0);
    }
    let mut records = Vec::with_capacity(frames.len());
    for (order, (frame, (fee, fee_changes))) in (1..).zip(frames.into_iter().zip(fees)) {
        let (result, meta) = execute::execute(&frame, fee, state, context, &highest);
        let events = events::fee(&context.network_id, frame.fee_source(), fee);
        let meta = meta.finish(events.into_iter().collect());
        records.push(Arc::new(TransactionRecord::new(frame, order, context, result, fee_changes, meta)));
    }
    let mut header = LedgerHeader {
        previous_ledger_hash: Hash(previous),
        scp_value: value(set_hash, context.close_time),
        tx_set_result_hash: Hash(results_hash(&records)),
        bucket_list_hash: Hash(entries_hash(&last.bucket_list_hash.0, state)),
        ledger_seq: context.sequence,
        fee_pool,
        ..last.clone()
    };
    skip(&mut header);
    Executed { header, records }
}

/// Returns the hash of a ledger.
pub(crate) fn header_hash(header: &LedgerHeader) -> [u8; 32] {
    hash::sha256(&[&hash::xdr(header)])
}

/// Returns the hash of the set of transactions, which doesn't depend on the
/// order of submission, and the transactions in the order of execution: by
/// their hashes, each exclusive-or that of the set.
fn in_order(mut frames: Vec<Frame>, base_fee: i64, previous: &[u8; 32]) -> ([u8; 32], Vec<Frame>) {
    frames.sort_by_key(|frame| frame.full_hash);
    let envelopes: Vec<&[u8]> = frames.iter().map(|frame| frame.bytes.as_slice()).collect();
    let set_hash = hash::sha256(&[&close_meta::transaction_set(previous, base_fee, &envelopes)]);
    frames.sort_by_key(|frame| -> [u8; 32] { std::array::from_fn(|i| frame.full_hash[i] ^ set_hash[i]) });
    (set_hash, frames)
}

fn results_hash(records: &[Arc<TransactionRecord>]) -> [u8; 32] {
    let results = records
        .iter()
        .map(|record| TransactionResultPair { transaction_hash: Hash(record.hash), result: record.result.clone() })
        .collect();
    hash::sha256(&[&hash::xdr(&TransactionResultSet { results: bounded(results) })])
}

/// Chains a hash over every entry that the ledger changed. It stands where
/// the network has the hash of its bucket list: two ledgers with the same
/// history have the same, others don't.
pub(crate) fn entries_hash(previous: &[u8; 32], state: &State) -> [u8; 32] {
    let mut bytes = previous.to_vec();
    for (key, entry) in state.changed() {
        bytes.extend(hash::xdr(key));
        match entry {
            Some(entry) => {
                bytes.push(1);
                bytes.extend(hash::xdr(entry));
            }
            None => bytes.push(0),
        }
    }
    hash::sha256(&[&bytes])
}

/// Every fiftieth header remembers its own hash of entries, and moves what it
/// remembered further back where that is due.
fn skip(header: &mut LedgerHeader) {
    let mut due = 0;
    let mut from = i64::from(header.ledger_seq);
    for apart in SKIPS {
        if from <= 0 || from % i64::from(apart) != 0 {
            break;
        }
        due += 1;
        from -= i64::from(apart);
    }
    for place in (1..due).rev() {
        header.skip_list[place] = header.skip_list[place - 1].clone();
    }
    if due > 0 {
        header.skip_list[0] = header.bucket_list_hash.clone();
    }
}

fn value(tx_set_hash: [u8; 32], close_time: u64) -> StellarValue {
    StellarValue {
        tx_set_hash: Hash(tx_set_hash),
        close_time: TimePoint(close_time),
        upgrades: VecM::default(),
        ext: StellarValueExt::Basic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_skip_list_remembers_fifty_and_five_thousand_ledgers_apart() {
        let mut state = State::default();
        state.begin(1);
        let mut header = genesis_header(&state, 0, 100);
        let entries = |n: u32| Hash(hash::sha256(&[&n.to_be_bytes()]));
        for sequence in 2..=10_100 {
            header.ledger_seq = sequence;
            header.bucket_list_hash = entries(sequence);
            skip(&mut header);
            let last = sequence / 50 * 50;
            let expected = if last == 0 { Hash([0; 32]) } else { entries(last) };
            assert_eq!(header.skip_list[0], expected, "{sequence}");
        }
        // What the first place held fifty ledgers after each five thousandth.
        assert_eq!(header.skip_list[1], entries(10_000));
        assert_eq!(header.skip_list[2], Hash([0; 32]));
    }
}
