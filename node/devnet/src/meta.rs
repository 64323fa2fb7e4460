//! What a transaction did, as the network tells it: the changes of entries and
//! the events, in the order in which they came about.

use stellar_xdr::{
    ContractEvent, ExtensionPoint, LedgerEntryChange, LedgerEntryChanges, OperationMetaV2, TransactionEvent,
    TransactionMeta, TransactionMetaV4, VecM,
};

use crate::state::{Mark, State};

/// The parts of a transaction's meta, as they are gathered.
#[derive(Debug, Default)]
pub(crate) struct Meta {
    /// What changed before the operations: one-time signers that are used up,
    /// the sequence number.
    pub(crate) before: Vec<LedgerEntryChange>,
    /// What each operation did; nothing of a transaction that failed.
    pub(crate) operations: Vec<OperationMetaV2>,
}

impl Meta {
    /// Closes it, with the events of the transaction as a whole.
    pub(crate) fn finish(self, events: Vec<TransactionEvent>) -> TransactionMeta {
        TransactionMeta::V4(TransactionMetaV4 {
            ext: ExtensionPoint::V0,
            tx_changes_before: LedgerEntryChanges(bounded(self.before)),
            operations: bounded(self.operations),
            tx_changes_after: LedgerEntryChanges::default(),
            soroban_meta: None,
            events: bounded(events),
            diagnostic_events: VecM::default(),
        })
    }
}

/// What one operation did.
pub(crate) fn operation(changes: Vec<LedgerEntryChange>, events: Vec<ContractEvent>) -> OperationMetaV2 {
    OperationMetaV2 { ext: ExtensionPoint::V0, changes: LedgerEntryChanges(bounded(changes)), events: bounded(events) }
}

/// Returns the changes since a mark: what there was comes before what became
/// of it.
pub(crate) fn changes(state: &State, since: Mark) -> Vec<LedgerEntryChange> {
    let mut changes = Vec::new();
    for (key, (before, now)) in state.changed_since(since) {
        match (before, now) {
            (None, None) => {}
            (None, Some(made)) => changes.push(LedgerEntryChange::Created(made.clone())),
            (Some(before), now) => {
                changes.push(LedgerEntryChange::State(before.clone()));
                changes.push(match now {
                    Some(now) => LedgerEntryChange::Updated(now.clone()),
                    None => LedgerEntryChange::Removed(key.clone()),
                });
            }
        }
    }
    changes
}

/// Makes a list of XDR.
pub(crate) fn bounded<T>(values: Vec<T>) -> VecM<T> {
    values.try_into().expect("far fewer than 2^32")
}
