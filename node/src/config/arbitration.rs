//! How a node's owner lets its money be held, and who may decide about it.

use toml::Value;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::limits::{MAX_ARBITERS, MAX_CASES, MAX_LISTED_ARBITERS};

use super::values::{self, Read, wrong};

/// Kinds of escrow, each once, one at least.
pub(super) fn kinds(value: &Value) -> Read<Vec<EscrowKind>> {
    let right = "a list of \"arbitrated\" and \"timed\", the preferred one first, with at least one of them";
    let kind = |text: &str| text.parse().or_else(|_| wrong("there is no such kind of escrow", right));
    let read: Vec<EscrowKind> = values::items(value, kind)?;
    match twice(&read) {
        Some(kind) => wrong(format!("{kind} stands in it twice"), right),
        None if read.is_empty() => wrong("it is empty", right),
        None => Ok(read),
    }
}

/// Arbiters' accounts, each once.
pub(super) fn accounts(value: &Value) -> Read<Vec<AccountId>> {
    let read = values::items(value, values::account)?;
    match twice(&read) {
        Some(account) => wrong(format!("{account} stands in it twice"), "each account once"),
        None if read.len() > MAX_LISTED_ARBITERS => {
            wrong(format!("it has {} accounts", read.len()), format!("at most {MAX_LISTED_ARBITERS}"))
        }
        None => Ok(read),
    }
}

/// How many arbiters a trade gets: an odd number, for an even one can stand still.
pub(super) fn odd(value: &Value) -> Read<usize> {
    let right = format!("1 or another odd number up to {MAX_ARBITERS}");
    let most = u32::try_from(MAX_ARBITERS).unwrap_or(u32::MAX);
    match values::count(value, 1, most, "arbiters") {
        Ok(count) if count.is_multiple_of(2) => wrong("of an even number, half can stand against half", right),
        Ok(count) => Ok(usize::try_from(count).unwrap_or(MAX_ARBITERS)),
        Err(values::Wrong { why, .. }) => wrong(why, right),
    }
}

/// How many disputes an arbiter has open at once.
pub(super) fn cases(value: &Value) -> Read<usize> {
    let most = u32::try_from(MAX_CASES).unwrap_or(u32::MAX);
    values::count(value, 1, most, "disputes").map(|count| usize::try_from(count).unwrap_or(MAX_CASES))
}

fn twice<T: PartialEq + Copy>(items: &[T]) -> Option<T> {
    items.iter().enumerate().find(|(at, item)| items[..*at].contains(item)).map(|(_, item)| *item)
}
