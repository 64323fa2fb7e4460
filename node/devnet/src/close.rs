//! Closes a ledger: transaction set, order of execution, results, header.

use std::sync::Arc;

use stellar_xdr::{
    GeneralizedTransactionSet, Hash, LedgerHeader, LedgerHeaderExt, StellarValue, StellarValueExt, TimePoint,
    TransactionPhase, TransactionResultPair, TransactionResultSet, TransactionSetV1, TxSetComponent,
    TxSetComponentTxsMaybeDiscountedFee, VecM,
};

use crate::context::Context;
use crate::execute::{self, HighestSequences};
use crate::fee;
use crate::frame::Frame;
use crate::genesis::{BASE_FEE, BASE_RESERVE, FIRST_LEDGER, MAX_OPERATIONS_PER_LEDGER, PROTOCOL_VERSION, TOTAL_COINS};
use crate::hash;
use crate::history::TransactionRecord;
use crate::state::State;

/// What executing a transaction set left.
#[derive(Debug)]
pub(crate) struct Executed {
    pub(crate) header: LedgerHeader,
    pub(crate) records: Vec<Arc<TransactionRecord>>,
}

/// Returns the header of the first ledger.
pub(crate) fn genesis_header(state: &State, close_time: u64) -> LedgerHeader {
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
        max_tx_set_size: MAX_OPERATIONS_PER_LEDGER,
        skip_list: std::array::from_fn(|_| Hash([0; 32])),
        ext: LedgerHeaderExt::V0,
    }
}

/// Executes transactions as the ledger after `last`: first all fees are
/// taken, then each runs, in an order that nobody chooses.
pub(crate) fn execute(mut frames: Vec<Frame>, last: &LedgerHeader, state: &mut State, context: &Context) -> Executed {
    state.begin(context.sequence);
    let previous = header_hash(last);
    let set_hash = set_hash(&mut frames, &previous);
    frames.sort_by_cached_key(|frame| hash::sha256(&[&set_hash, &frame.hash()]));

    let mut fee_pool = last.fee_pool;
    let mut highest = HighestSequences::new();
    let mut fees = Vec::with_capacity(frames.len());
    for frame in &frames {
        let taken = fee::charge(state, frame.fee_source(), fee::due(frame, context));
        fee_pool += taken;
        fees.push(taken);
        highest.insert(frame.inner.source.clone(), frame.inner.tx.seq_num.0);
    }
    let mut records = Vec::with_capacity(frames.len());
    for (order, (frame, fee)) in frames.iter().zip(fees).enumerate() {
        let result = execute::execute(frame, fee, state, context, &highest);
        records.push(Arc::new(TransactionRecord {
            hash: frame.hash(),
            inner_hash: frame.bump.as_ref().map(|_| frame.inner.signed.hash),
            ledger: context.sequence,
            close_time: context.close_time,
            order: u32::try_from(order + 1).expect("bounded by the ledger's limit"),
            envelope_xdr: hash::xdr(&frame.envelope),
            fee_rate: u64::try_from(fee / frame.paid_operations()).unwrap_or(0),
            result_xdr: hash::xdr(&result),
            result,
        }));
    }
    let header = LedgerHeader {
        previous_ledger_hash: Hash(previous),
        scp_value: value(set_hash, context.close_time),
        tx_set_result_hash: Hash(results_hash(&records)),
        bucket_list_hash: Hash(entries_hash(&last.bucket_list_hash.0, state)),
        ledger_seq: context.sequence,
        fee_pool,
        ..last.clone()
    };
    Executed { header, records }
}

/// Returns the hash of a ledger.
pub(crate) fn header_hash(header: &LedgerHeader) -> [u8; 32] {
    hash::sha256(&[&hash::xdr(header)])
}

/// The hash of the set doesn't depend on the order of submission.
fn set_hash(frames: &mut [Frame], previous: &[u8; 32]) -> [u8; 32] {
    frames.sort_by_key(Frame::hash);
    let txs: Vec<_> = frames.iter().map(|frame| frame.envelope.clone()).collect();
    let component = TxSetComponent::TxsetCompTxsMaybeDiscountedFee(TxSetComponentTxsMaybeDiscountedFee {
        base_fee: Some(i64::from(BASE_FEE)),
        txs: bounded(txs),
    });
    let set = GeneralizedTransactionSet::V1(TransactionSetV1 {
        previous_ledger_hash: Hash(*previous),
        phases: bounded(vec![TransactionPhase::V0(bounded(vec![component]))]),
    });
    hash::sha256(&[&hash::xdr(&set)])
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
fn entries_hash(previous: &[u8; 32], state: &State) -> [u8; 32] {
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

fn value(tx_set_hash: [u8; 32], close_time: u64) -> StellarValue {
    StellarValue {
        tx_set_hash: Hash(tx_set_hash),
        close_time: TimePoint(close_time),
        upgrades: VecM::default(),
        ext: StellarValueExt::Basic,
    }
}

fn bounded<T>(values: Vec<T>) -> VecM<T> {
    values.try_into().expect("far fewer than 2^32")
}
