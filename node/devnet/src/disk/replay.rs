//! Ledgers read back from what each tells of itself.

use std::collections::HashMap;
use std::sync::Arc;

use stellar_xdr::{
    GeneralizedTransactionSet, LedgerCloseMeta, LedgerEntryChange, LedgerHeader, Limits, OperationMetaV2, ReadXdr,
    TransactionEnvelope, TransactionMeta, TransactionPhase, TransactionResultMetaV1, TxSetComponent,
};

use crate::close;
use crate::context::Context;
use crate::frame::{Frame, MAX_XDR_DEPTH};
use crate::hash;
use crate::history::{History, PastLedger, TransactionRecord};
use crate::state::State;

/// The deepest nesting of what is read back: an envelope within a ledger.
pub(super) const MAX_DEPTH: u32 = 2 * MAX_XDR_DEPTH;

/// Ledgers as they follow each other, and the entries that follow from them.
#[derive(Debug)]
pub(super) struct Replay {
    state: State,
    history: History,
    /// The ledger whose entries `state` had at first.
    from: u32,
    /// That ledger's hash, where a file said it.
    from_hash: Option<[u8; 32]>,
    next: u32,
}

impl Replay {
    /// Begins with the entries of the first ledger.
    pub(super) fn from_genesis(state: State) -> Self {
        Self { state, history: History::default(), from: 1, from_hash: None, next: 1 }
    }

    /// Begins with the entries of a ledger.
    pub(super) fn from_checkpoint(state: State, sequence: u32, hash: [u8; 32]) -> Self {
        Self { state, history: History::default(), from: sequence, from_hash: Some(hash), next: 1 }
    }

    /// Sets the number of the oldest ledger that is read.
    pub(super) fn begin(&mut self, first: u32) -> Result<(), String> {
        if first == 0 || first > self.from {
            return Err(format!("ledgers begin with {first}, after the entries of {}", self.from));
        }
        self.next = first;
        Ok(())
    }

    /// The number of the ledger that has to come next.
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// Reads the next ledger: history where it is older than the entries, a
    /// change of them where it is newer.
    pub(super) fn apply(&mut self, meta: &[u8], network_id: &[u8; 32]) -> Result<(), String> {
        let limits = Limits { depth: MAX_DEPTH, len: meta.len() };
        let meta = LedgerCloseMeta::from_xdr(meta, limits).map_err(|e| format!("ledger {}: {e}", self.next))?;
        let LedgerCloseMeta::V2(meta) = meta else {
            return Err(format!("ledger {} has a form that isn't written here", self.next));
        };
        let header = meta.ledger_header.header;
        let header_hash = close::header_hash(&header);
        self.follows(&header, &header_hash)?;
        let parts: Vec<TransactionResultMetaV1> = meta.tx_processing.into();
        if header.ledger_seq > self.from {
            self.change(&header, &parts)?;
        }
        let (base_fee, envelopes) = envelopes(&meta.tx_set, &header, network_id)?;
        let records = records(parts, envelopes, &header, network_id)?;
        self.history.push(PastLedger::new(header, header_hash, base_fee, records));
        self.next += 1;
        Ok(())
    }

    /// Entries and ledgers after the last one.
    pub(super) fn done(self) -> (State, History) {
        (self.state, self.history)
    }

    fn follows(&self, header: &LedgerHeader, header_hash: &[u8; 32]) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("ledger {} {what}", self.next));
        if header.ledger_seq != self.next {
            return wrong("has another's number");
        }
        if self.history.last().is_some_and(|last| last.hash != header.previous_ledger_hash.0) {
            return wrong("doesn't follow from the one before");
        }
        if self.next == self.from && self.from_hash.is_some_and(|hash| hash != *header_hash) {
            return wrong("isn't the one whose entries are there");
        }
        Ok(())
    }

    /// Changes the entries as a ledger says that it did, and compares what came
    /// of it with its header.
    fn change(&mut self, header: &LedgerHeader, parts: &[TransactionResultMetaV1]) -> Result<(), String> {
        self.state.begin(header.ledger_seq);
        // First all fees were taken, then each transaction ran.
        let fees = parts.iter().flat_map(|part| part.fee_processing.0.iter());
        let ran = parts.iter().flat_map(|part| changes_of(&part.tx_apply_processing));
        for change in fees.chain(ran) {
            match change {
                LedgerEntryChange::Created(entry) | LedgerEntryChange::Updated(entry) => {
                    self.state.put_whole(entry.clone());
                }
                LedgerEntryChange::Removed(key) => self.state.remove(key),
                LedgerEntryChange::State(_) | LedgerEntryChange::Restored(_) => {}
            }
        }
        let before = self.history.last().map(|last| last.header.bucket_list_hash.0);
        if before.map(|before| close::entries_hash(&before, &self.state)) != Some(header.bucket_list_hash.0) {
            return Err(format!("ledger {} has other entries than its header says", self.next));
        }
        Ok(())
    }
}

fn changes_of(meta: &TransactionMeta) -> Vec<&LedgerEntryChange> {
    let TransactionMeta::V4(meta) = meta else {
        return Vec::new();
    };
    let operations = meta.operations.iter().flat_map(|operation: &OperationMetaV2| operation.changes.0.iter());
    meta.tx_changes_before.0.iter().chain(operations).collect()
}

/// The base fee of a ledger, and its envelopes by the hash of what they hold.
fn envelopes(
    set: &GeneralizedTransactionSet,
    header: &LedgerHeader,
    network_id: &[u8; 32],
) -> Result<(i64, HashMap<[u8; 32], Frame>), String> {
    let GeneralizedTransactionSet::V1(set) = set;
    let mut base_fee = i64::from(header.base_fee);
    let mut found = HashMap::new();
    for phase in set.phases.iter() {
        let TransactionPhase::V0(components) = phase else { continue };
        for TxSetComponent::TxsetCompTxsMaybeDiscountedFee(component) in components.iter() {
            base_fee = component.base_fee.unwrap_or(base_fee);
            for envelope in component.txs.iter() {
                let frame = frame(envelope, network_id)?;
                found.insert(frame.hash(), frame);
            }
        }
    }
    Ok((base_fee, found))
}

fn frame(envelope: &TransactionEnvelope, network_id: &[u8; 32]) -> Result<Frame, String> {
    Frame::decode(&hash::xdr(envelope), network_id).map_err(|e| e.to_string())
}

/// What was included, in the order of execution.
fn records(
    parts: Vec<TransactionResultMetaV1>,
    mut envelopes: HashMap<[u8; 32], Frame>,
    header: &LedgerHeader,
    network_id: &[u8; 32],
) -> Result<Vec<Arc<TransactionRecord>>, String> {
    let context = Context::of(header, *network_id);
    let mut records = Vec::with_capacity(parts.len());
    for (order, part) in (1..).zip(parts) {
        let sent = envelopes.remove(&part.result.transaction_hash.0);
        let sent = sent.ok_or_else(|| format!("ledger {} has a result without its envelope", header.ledger_seq))?;
        let (fees, meta) = (part.fee_processing.0.into(), part.tx_apply_processing);
        records.push(Arc::new(TransactionRecord::new(sent, order, &context, part.result.result, fees, meta)));
    }
    Ok(records)
}
