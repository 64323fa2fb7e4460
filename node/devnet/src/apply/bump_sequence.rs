//! BumpSequence.

use stellar_xdr::{BumpSequenceOp, BumpSequenceResult, OperationResult};

use super::{Coded, Scope};
use crate::account;

pub(super) fn check(op: &BumpSequenceOp) -> Result<(), OperationResult> {
    if op.bump_to.0 < 0 {
        return Err(BumpSequenceResult::BadSeq.op());
    }
    Ok(())
}

/// Succeeds also where the account is past the number already, and counts as
/// a use of the sequence number even then.
pub(super) fn apply(op: &BumpSequenceOp, scope: &mut Scope<'_>) -> Result<BumpSequenceResult, OperationResult> {
    let mut source = scope.source_account()?;
    if op.bump_to.0 > source.seq_num.0 {
        source.seq_num = op.bump_to.clone();
    }
    account::touch_sequence(&mut source, scope.context);
    scope.state.put_account(source);
    Ok(BumpSequenceResult::Success)
}
