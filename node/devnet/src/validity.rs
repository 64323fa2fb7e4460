//! Whether a transaction is valid, checked in the order in which the network
//! checks, so that the first reason is the one that is reported.

use std::collections::BTreeSet;

use stellar_xdr::{
    AccountEntry, InnerTransactionResult, InnerTransactionResultExt, InnerTransactionResultPair,
    InnerTransactionResultResult, OperationResult, Preconditions, PreconditionsV2, SignerKey, TimeBounds,
    TransactionExt, TransactionResult, TransactionResultExt, TransactionResultResult as Code,
};

use crate::account;
use crate::apply;
use crate::context::Context;
use crate::fee;
use crate::frame::{Bump, Frame, Inner};
use crate::signatures::{Level, SignatureCheck};
use crate::state::State;

/// How far the checks came before one failed. It decides what an included
/// transaction consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reached {
    /// The sequence number was not accepted: only the fee is lost.
    Nothing,
    /// The sequence number is used up.
    Sequence,
}

/// Why a transaction isn't valid.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) reached: Reached,
}

/// When the checks are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before inclusion; the source pays the fee itself.
    Admission,
    /// Before inclusion; a fee bump pays.
    BumpedAdmission,
    /// After the fees of the whole ledger were taken.
    Execution,
    /// As before, and a fee bump paid.
    BumpedExecution,
}

impl Stage {
    fn pays_itself(self) -> bool {
        matches!(self, Self::Admission | Self::Execution)
    }

    fn fee_was_taken(self) -> bool {
        matches!(self, Self::Execution | Self::BumpedExecution)
    }
}

/// Judges a submitted transaction as a whole against the last closed ledger.
pub(crate) fn admissible(frame: &Frame, state: &State, context: &Context) -> Result<(), TransactionResult> {
    let minimum = fee::minimum(frame.paid_operations(), context);
    let Some(bump) = &frame.bump else {
        return inner_admissible(&frame.inner, state, context, Stage::Admission).map_err(|code| result(minimum, code));
    };
    bump_admissible(bump, &frame.inner, state, context).map_err(|(fee, code)| result(fee.unwrap_or(minimum), code))?;
    inner_admissible(&frame.inner, state, context, Stage::BumpedAdmission)
        .map_err(|code| result(minimum, wrap(&frame.inner, code)))
}

fn inner_admissible(inner: &Inner, state: &State, context: &Context, stage: Stage) -> Result<(), Code> {
    let mut check = SignatureCheck::new(&inner.signed);
    common(inner, &mut check, state, context, stage).map_err(|refusal| refusal.code)?;
    for (index, operation) in inner.tx.operations.iter().enumerate() {
        let source = inner.operation_source(index);
        let judged = if apply::supported(&operation.body) {
            operation_signed(inner, index, &mut check, state).and_then(|()| apply::check(&operation.body, &source))
        } else {
            Err(OperationResult::OpNotSupported)
        };
        if let Err(failure) = judged {
            let mut results = default_results(inner);
            results[index] = failure;
            return Err(failed(results));
        }
    }
    if !check.all_used() {
        return Err(Code::TxBadAuthExtra);
    }
    Ok(())
}

/// The outer checks of a fee bump: fee, source, signatures, balance.
fn bump_admissible(bump: &Bump, inner: &Inner, state: &State, context: &Context) -> Result<(), (Option<i64>, Code)> {
    if bump.fee < 0 {
        return Err((None, Code::TxMalformed));
    }
    if bump.fee < fee::minimum(inner.paid_operations() + 1, context) {
        return Err((None, Code::TxInsufficientFee));
    }
    if let Some(needed) = fee::short_of_inner_rate(bump, inner, context) {
        return Err((Some(needed), Code::TxInsufficientFee));
    }
    let source = state.account(&bump.source).ok_or((None, Code::TxNoAccount))?;
    let mut check = SignatureCheck::new(&bump.signed);
    if !check.account(source, Level::Low) {
        return Err((None, Code::TxBadAuth));
    }
    if account::available(source, context) < i128::from(bump.fee) {
        return Err((None, Code::TxInsufficientBalance));
    }
    if !check.all_used() {
        return Err((None, Code::TxBadAuthExtra));
    }
    Ok(())
}

/// The checks that a transaction passes before its operations are looked at,
/// at admission and again when it is executed.
pub(crate) fn common(
    inner: &Inner,
    check: &mut SignatureCheck<'_>,
    state: &State,
    context: &Context,
    stage: Stage,
) -> Result<(), Refusal> {
    let early = |code| Refusal { code, reached: Reached::Nothing };
    let late = |code| Refusal { code, reached: Reached::Sequence };
    structure(inner).map_err(early)?;
    bounds(&inner.tx.cond, context).map_err(early)?;
    let own_minimum = fee::minimum(inner.paid_operations(), context);
    if stage.pays_itself() && i64::from(inner.tx.fee) < own_minimum {
        return Err(early(Code::TxInsufficientFee));
    }
    let source = state.account(&inner.source).ok_or_else(|| early(Code::TxNoAccount))?;
    if !sequence_fits(inner, source, context) {
        return Err(early(Code::TxBadSeq));
    }
    if !old_enough(&inner.tx.cond, source, context) {
        return Err(late(Code::TxBadMinSeqAgeOrGap));
    }
    if !check.account(source, Level::Low) || !check.all_of(extra_signers(&inner.tx.cond)) {
        return Err(late(Code::TxBadAuth));
    }
    let fee = if stage.fee_was_taken() { 0 } else { i128::from(inner.tx.fee) };
    if stage.pays_itself() && account::available(source, context) < fee {
        return Err(late(Code::TxInsufficientBalance));
    }
    Ok(())
}

/// Whether an operation's source signed for it, before anything is applied.
pub(crate) fn operation_signed(
    inner: &Inner,
    index: usize,
    check: &mut SignatureCheck<'_>,
    state: &State,
) -> Result<(), OperationResult> {
    let operation = &inner.tx.operations[index];
    let source = inner.operation_source(index);
    match state.account(&source) {
        Some(account) if check.account(account, Level::of(&operation.body)) => Ok(()),
        Some(_) => Err(OperationResult::OpBadAuth),
        None if operation.source_account.is_none() => Err(OperationResult::OpNoAccount),
        None if check.absent_account(&source) => Ok(()),
        None => Err(OperationResult::OpBadAuth),
    }
}

fn structure(inner: &Inner) -> Result<(), Code> {
    if inner.version0 {
        return Err(Code::TxNotSupported);
    }
    let extra = extra_signers(&inner.tx.cond);
    let distinct: BTreeSet<&SignerKey> = extra.iter().collect();
    let empty_payload =
        extra.iter().any(|key| matches!(key, SignerKey::Ed25519SignedPayload(p) if p.payload.is_empty()));
    if distinct.len() != extra.len() || empty_payload {
        return Err(Code::TxMalformed);
    }
    if inner.tx.operations.is_empty() {
        return Err(Code::TxMissingOperation);
    }
    if inner.tx.ext != TransactionExt::V0 {
        return Err(Code::TxMalformed);
    }
    Ok(())
}

fn bounds(cond: &Preconditions, context: &Context) -> Result<(), Code> {
    let time = match cond {
        Preconditions::None => None,
        Preconditions::Time(time) => Some(time),
        Preconditions::V2(v2) => v2.time_bounds.as_ref(),
    };
    let ledgers = v2(cond).and_then(|v2| v2.ledger_bounds.as_ref());
    let early = time.is_some_and(|t| t.min_time.0 > context.close_time)
        || ledgers.is_some_and(|l| l.min_ledger > context.sequence);
    if early {
        return Err(Code::TxTooEarly);
    }
    let over = |t: &TimeBounds| t.max_time.0 != 0 && t.max_time.0 < context.close_time;
    let late = time.is_some_and(over) || ledgers.is_some_and(|l| l.max_ledger != 0 && l.max_ledger <= context.sequence);
    if late {
        return Err(Code::TxTooLate);
    }
    Ok(())
}

fn sequence_fits(inner: &Inner, source: &AccountEntry, context: &Context) -> bool {
    let (used, wanted) = (source.seq_num.0, inner.tx.seq_num.0);
    // An account made in this ledger starts at this number.
    if wanted == account::starting_sequence(context.sequence) {
        return false;
    }
    match v2(&inner.tx.cond).and_then(|v2| v2.min_seq_num.as_ref()) {
        Some(least) => least.0 <= used && used < wanted,
        None => used.checked_add(1) == Some(wanted),
    }
}

fn old_enough(cond: &Preconditions, source: &AccountEntry, context: &Context) -> bool {
    let Some(v2) = v2(cond) else {
        return true;
    };
    let (last_ledger, last_time) = account::last_sequence_use(source);
    let since = |now: u64, age: u64, last: u64| now.checked_sub(age).is_some_and(|t| t >= last);
    since(context.close_time, v2.min_seq_age.0, last_time)
        && since(u64::from(context.sequence), u64::from(v2.min_seq_ledger_gap), u64::from(last_ledger))
}

fn extra_signers(cond: &Preconditions) -> &[SignerKey] {
    v2(cond).map_or(&[], |v2| v2.extra_signers.as_slice())
}

fn v2(cond: &Preconditions) -> Option<&PreconditionsV2> {
    match cond {
        Preconditions::V2(v2) => Some(v2),
        _ => None,
    }
}

/// Returns the results with which a transaction starts: success everywhere.
pub(crate) fn default_results(inner: &Inner) -> Vec<OperationResult> {
    inner.tx.operations.iter().map(|operation| apply::success_of(&operation.body)).collect()
}

/// Builds `txFAILED` with the results of the operations.
pub(crate) fn failed(results: Vec<OperationResult>) -> Code {
    Code::TxFailed(results.try_into().expect("at most 100 operations"))
}

/// Builds a transaction's result.
pub(crate) fn result(fee_charged: i64, code: Code) -> TransactionResult {
    TransactionResult { fee_charged, result: code, ext: TransactionResultExt::V0 }
}

/// Wraps the code of an inner transaction in that of its fee bump.
pub(crate) fn wrap(inner: &Inner, code: Code) -> Code {
    use InnerTransactionResultResult as In;
    let succeeded = matches!(code, Code::TxSuccess(_));
    let result = match code {
        Code::TxSuccess(results) => In::TxSuccess(results),
        Code::TxFailed(results) => In::TxFailed(results),
        Code::TxTooEarly => In::TxTooEarly,
        Code::TxTooLate => In::TxTooLate,
        Code::TxMissingOperation => In::TxMissingOperation,
        Code::TxBadSeq => In::TxBadSeq,
        Code::TxBadAuth => In::TxBadAuth,
        Code::TxInsufficientBalance => In::TxInsufficientBalance,
        Code::TxNoAccount => In::TxNoAccount,
        Code::TxInsufficientFee => In::TxInsufficientFee,
        Code::TxBadAuthExtra => In::TxBadAuthExtra,
        Code::TxNotSupported => In::TxNotSupported,
        Code::TxBadSponsorship => In::TxBadSponsorship,
        Code::TxBadMinSeqAgeOrGap => In::TxBadMinSeqAgeOrGap,
        Code::TxMalformed => In::TxMalformed,
        Code::TxSorobanInvalid => In::TxSorobanInvalid,
        Code::TxFrozenKeyAccessed => In::TxFrozenKeyAccessed,
        // A fee bump can't hold another.
        Code::TxInternalError | Code::TxFeeBumpInnerSuccess(_) | Code::TxFeeBumpInnerFailed(_) => In::TxInternalError,
    };
    let pair = InnerTransactionResultPair {
        transaction_hash: stellar_xdr::Hash(inner.signed.hash),
        result: InnerTransactionResult {
            // The outer source paid; since protocol 25 the inner says so.
            fee_charged: 0,
            result,
            ext: InnerTransactionResultExt::V0,
        },
    };
    if succeeded { Code::TxFeeBumpInnerSuccess(pair) } else { Code::TxFeeBumpInnerFailed(pair) }
}
