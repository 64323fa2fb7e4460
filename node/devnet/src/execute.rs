//! Executes an included transaction, and takes from it what the network
//! takes, whether it succeeds or not.

use std::collections::{BTreeMap, BTreeSet};

use stellar_xdr::{
    AccountId, OperationResult, SequenceNumber, SignerKey, TransactionResult, TransactionResultResult as Code, Uint256,
};

use crate::account;
use crate::apply::{self, Scope};
use crate::context::Context;
use crate::frame::{Frame, Inner};
use crate::signatures::SignatureCheck;
use crate::sponsorship::{self, Sandwiches};
use crate::state::State;
use crate::validity::{self, Reached, Stage};

/// The highest sequence number that each account uses in a ledger.
pub(crate) type HighestSequences = BTreeMap<AccountId, i64>;

/// Executes a transaction whose fee was taken.
pub(crate) fn execute(
    frame: &Frame,
    fee_charged: i64,
    state: &mut State,
    context: &Context,
    highest: &HighestSequences,
) -> TransactionResult {
    let inner = &frame.inner;
    let code = match &frame.bump {
        None => execute_inner(inner, state, context, highest, Stage::Execution),
        Some(bump) => {
            remove_one_time_signer(state, &bump.source, bump.signed.hash);
            let code = execute_inner(inner, state, context, highest, Stage::BumpedExecution);
            validity::wrap(inner, code)
        }
    };
    validity::result(fee_charged, code)
}

fn execute_inner(
    inner: &Inner,
    state: &mut State,
    context: &Context,
    highest: &HighestSequences,
    stage: Stage,
) -> Code {
    let mut check = SignatureCheck::new(&inner.signed);
    let verdict = validity::common(inner, &mut check, state, context, stage);
    let reached = match &verdict {
        Ok(()) => Reached::Sequence,
        Err(refusal) => refusal.reached,
    };
    if reached == Reached::Sequence {
        use_sequence(inner, state, context);
    }
    let signed = verdict.map_err(|refusal| refusal.code).and_then(|()| operations_signed(inner, &mut check, state));
    // Whatever came of it, its one-time signers are used up.
    for source in sources(inner) {
        remove_one_time_signer(state, &source, inner.signed.hash);
    }
    match signed {
        Ok(()) => run_operations(inner, state, context, highest),
        Err(code) => code,
    }
}

fn operations_signed(inner: &Inner, check: &mut SignatureCheck<'_>, state: &State) -> Result<(), Code> {
    let mut results = validity::default_results(inner);
    let mut all_signed = true;
    for (index, result) in results.iter_mut().enumerate() {
        if let Err(failure) = validity::operation_signed(inner, index, check, state) {
            *result = failure;
            all_signed = false;
        }
    }
    if !all_signed {
        return Err(validity::failed(results));
    }
    if !check.all_used() {
        return Err(Code::TxBadAuthExtra);
    }
    Ok(())
}

/// Runs every operation, also past one that failed, for its result; nothing
/// of it stays unless all succeed.
fn run_operations(inner: &Inner, state: &mut State, context: &Context, highest: &HighestSequences) -> Code {
    let before_all = state.mark();
    let mut sandwiches = Sandwiches::default();
    let mut results = Vec::with_capacity(inner.tx.operations.len());
    let mut all_succeeded = true;
    for (index, operation) in inner.tx.operations.iter().enumerate() {
        let before = state.mark();
        let mut scope = Scope {
            state,
            context,
            source: inner.operation_source(index),
            inner,
            op_index: u32::try_from(index).expect("at most 100 operations"),
            highest,
            sandwiches: &mut sandwiches,
        };
        let outcome = match scope.state.account(&scope.source) {
            None => Err(OperationResult::OpNoAccount),
            Some(_) => {
                apply::check(&operation.body, &scope.source).and_then(|()| apply::run(&operation.body, &mut scope))
            }
        };
        results.push(outcome.unwrap_or_else(|failure| {
            all_succeeded = false;
            state.rollback(before);
            failure
        }));
    }
    if all_succeeded && !sandwiches.all_closed() {
        state.rollback(before_all);
        Code::TxBadSponsorship
    } else if all_succeeded {
        Code::TxSuccess(results.try_into().expect("at most 100 operations"))
    } else {
        state.rollback(before_all);
        validity::failed(results)
    }
}

fn use_sequence(inner: &Inner, state: &mut State, context: &Context) {
    let Some(mut source) = state.account(&inner.source).cloned() else {
        return;
    };
    debug_assert!(source.seq_num.0 < inner.tx.seq_num.0);
    source.seq_num = SequenceNumber(inner.tx.seq_num.0);
    account::touch_sequence(&mut source, context);
    state.put_account(source);
}

fn sources(inner: &Inner) -> BTreeSet<AccountId> {
    let mut sources: BTreeSet<AccountId> =
        (0..inner.tx.operations.len()).map(|index| inner.operation_source(index)).collect();
    sources.insert(inner.source.clone());
    sources
}

/// Removes the pre-authorisation of a transaction, and frees its reserve.
fn remove_one_time_signer(state: &mut State, source: &AccountId, hash: [u8; 32]) {
    let key = SignerKey::PreAuthTx(Uint256(hash));
    let Some(account) = state.account(source) else {
        return;
    };
    if !account.signers.iter().any(|signer| signer.key == key) {
        return;
    }
    let mut account = account.clone();
    sponsorship::remove_signer(state, &mut account, &key);
    state.put_account(account);
}
