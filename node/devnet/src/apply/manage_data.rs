//! ManageData.

use stellar_xdr::{DataEntry, DataEntryExt, LedgerEntryData, ManageDataOp, ManageDataResult, OperationResult};

use super::{Coded, Scope, printable, reserve_failure};
use crate::sponsorship;
use crate::state::data_key;

pub(super) fn check(op: &ManageDataOp) -> Result<(), OperationResult> {
    let name = op.data_name.0.as_slice();
    if name.is_empty() || !printable(name) {
        return Err(ManageDataResult::InvalidName.op());
    }
    Ok(())
}

pub(super) fn apply(op: &ManageDataOp, scope: &mut Scope<'_>) -> Result<ManageDataResult, OperationResult> {
    let present = scope.state.data(&scope.source, &op.data_name).is_some();
    let Some(value) = &op.data_value else {
        if !present {
            return Err(ManageDataResult::NameNotFound.op());
        }
        sponsorship::remove(scope.state, &data_key(&scope.source, &op.data_name));
        return Ok(ManageDataResult::Success);
    };
    let entry = LedgerEntryData::Data(DataEntry {
        account_id: scope.source.clone(),
        data_name: op.data_name.clone(),
        data_value: value.clone(),
        ext: DataEntryExt::V0,
    });
    if present {
        scope.state.put(entry);
    } else {
        scope.create(entry).map_err(|e| reserve_failure(e, ManageDataResult::LowReserve))?;
    }
    Ok(ManageDataResult::Success)
}
