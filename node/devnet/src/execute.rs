//! Executes an included transaction, and takes from it what the network
//! takes, whether it succeeds or not.

use std::collections::{BTreeMap, BTreeSet};

use stellar_xdr::{
    AccountId, OperationMetaV2, OperationResult, SequenceNumber, SignerKey, TransactionResult,
    TransactionResultResult as Code, Uint256,
};

use crate::account;
use crate::apply::{self, Scope};
use crate::context::Context;
use crate::frame::{Frame, Inner};
use crate::meta::{self, Meta};
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
) -> (TransactionResult, Meta) {
    let inner = &frame.inner;
    let mut meta = Meta::default();
    let code = match &frame.bump {
        None => execute_inner(inner, state, context, highest, Stage::Execution, &mut meta),
        Some(bump) => {
            let start = state.mark();
            remove_one_time_signer(state, &bump.source, bump.signed.hash);
            meta.before.extend(meta::changes(state, start));
            let code = execute_inner(inner, state, context, highest, Stage::BumpedExecution, &mut meta);
            validity::wrap(inner, code)
        }
    };
    (validity::result(fee_charged, code), meta)
}

fn execute_inner(
    inner: &Inner,
    state: &mut State,
    context: &Context,
    highest: &HighestSequences,
    stage: Stage,
    meta: &mut Meta,
) -> Code {
    let start = state.mark();
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
    meta.before.extend(meta::changes(state, start));
    match signed {
        Ok(()) => run_operations(inner, state, context, highest, meta),
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
fn run_operations(
    inner: &Inner,
    state: &mut State,
    context: &Context,
    highest: &HighestSequences,
    meta: &mut Meta,
) -> Code {
    let before_all = state.mark();
    let mut sandwiches = Sandwiches::default();
    let mut results = Vec::with_capacity(inner.tx.operations.len());
    let mut done: Vec<OperationMetaV2> = Vec::with_capacity(inner.tx.operations.len());
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
            events: Vec::new(),
        };
        let outcome = match scope.state.account(&scope.source) {
            None => Err(OperationResult::OpNoAccount),
            Some(_) => {
                apply::check(&operation.body, &scope.source).and_then(|()| apply::run(&operation.body, &mut scope))
            }
        };
        let events = scope.events;
        match outcome {
            Ok(success) => {
                done.push(meta::operation(meta::changes(state, before), events));
                results.push(success);
            }
            Err(failure) => {
                all_succeeded = false;
                state.rollback(before);
                results.push(failure);
            }
        }
    }
    if all_succeeded && sandwiches.all_closed() {
        meta.operations = done;
        return Code::TxSuccess(results.try_into().expect("at most 100 operations"));
    }
    state.rollback(before_all);
    if all_succeeded { Code::TxBadSponsorship } else { validity::failed(results) }
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
