//! What inclusion costs.

use stellar_xdr::AccountId;

use crate::account;
use crate::context::Context;
use crate::frame::{Bump, Frame, Inner};
use crate::state::State;

/// A fee bump that replaces a pending transaction must offer this many times
/// the rate.
const REPLACEMENT_FACTOR: i128 = 10;

/// Returns the least fee for a number of operations.
pub(crate) fn minimum(operations: i64, context: &Context) -> i64 {
    operations * i64::from(context.base_fee)
}

/// Returns what an included transaction is charged: no more than it bid.
pub(crate) fn due(frame: &Frame, base_fee: i64) -> i64 {
    frame.bid().min(base_fee.saturating_mul(frame.paid_operations()))
}

/// Takes the fee from its source and returns what was taken; never more than
/// there is.
pub(crate) fn charge(state: &mut State, source: &AccountId, due: i64) -> i64 {
    let Some(mut account) = state.account(source).cloned() else {
        return 0;
    };
    let taken = due.min(account.balance);
    account.balance -= taken;
    state.put_account(account);
    taken
}

/// Returns the fee that a bump would have to offer so that its rate isn't
/// below that of its inner transaction, if it offers less.
pub(crate) fn short_of_inner_rate(bump: &Bump, inner: &Inner, context: &Context) -> Option<i64> {
    let inner_minimum = i128::from(minimum(inner.paid_operations(), context));
    let outer_minimum = i128::from(minimum(inner.paid_operations() + 1, context));
    let offered = i128::from(bump.fee) * inner_minimum;
    let needed = i128::from(inner.tx.fee) * outer_minimum;
    (offered < needed).then(|| saturating(ceil_div(needed, inner_minimum)))
}

/// Returns the fee that `new` would have to offer to replace `old` in the
/// queue, if it offers less.
pub(crate) fn short_of_replacement(new: &Frame, old: &Frame) -> Option<i64> {
    let offered = i128::from(new.bid()) * i128::from(old.paid_operations());
    let needed = REPLACEMENT_FACTOR * i128::from(old.bid()) * i128::from(new.paid_operations());
    (offered < needed).then(|| saturating(ceil_div(needed, i128::from(old.paid_operations()))))
}

/// Whether an account can pay all these fees over its reserves.
pub(crate) fn covers(state: &State, source: &AccountId, fees: i128, context: &Context) -> bool {
    state.account(source).is_some_and(|account| account::available(account, context) >= fees)
}

fn ceil_div(value: i128, by: i128) -> i128 {
    (value + by - 1) / by
}

fn saturating(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
