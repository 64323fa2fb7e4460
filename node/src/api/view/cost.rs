//! What something costs, before it is done.

use serde::{Deserialize, Serialize};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::market::command::Cost;

use super::Moment;

/// What something costs, before it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostView {
    /// What is paid or locked, in `asset`.
    pub amount: Stroops,
    /// That asset.
    pub asset: Asset,
    /// The most that fees cost, native.
    pub fee: Stroops,
    /// What is locked as reserve, native.
    pub reserve: Stroops,
    /// When what is locked returns, at the latest.
    pub returns_at: Option<Moment>,
    /// What the wallet can spend before it, native.
    pub spendable_before: Stroops,
    /// What the amount's lock protects against and what not, where there is one.
    pub protects: Option<String>,
}

impl CostView {
    /// The market's answer; `protects` is what the lock's kind says of itself.
    pub fn of(cost: Cost, protects: Option<&str>) -> Self {
        Self {
            amount: cost.amount,
            asset: cost.asset,
            fee: cost.fee,
            reserve: cost.reserve,
            returns_at: cost.returns_at.map(Moment::from),
            spendable_before: cost.free_before,
            protects: protects.map(str::to_owned),
        }
    }
}
