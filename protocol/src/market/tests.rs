#![expect(clippy::unwrap_used, reason = "tests")]

mod endings;
mod funding;
mod ledger;
mod pair;
mod published;
mod wallet;
