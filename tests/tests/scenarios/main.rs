//! The scenarios, one module each.
#![expect(clippy::unwrap_used, reason = "tests")]

mod architecture;
mod one_trade_settles;
