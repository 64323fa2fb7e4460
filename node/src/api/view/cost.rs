//! What something costs, before it is done.

use serde::{Deserialize, Serialize};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::market::EscrowChoice;
use tradepost_protocol::market::command::Cost;

use super::{ArbiterView, IssuerView, Moment};

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
    /// How the money of a binding would be held; `null` for anything else, and where there is no money in it.
    pub held: Option<HeldView>,
    /// What the issuer of the asset may do with it, where a binding is paid with an issued one.
    pub issuer: Option<IssuerView>,
}

/// How the money of a binding would be held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldView {
    /// timed or arbitrated.
    pub kind: EscrowKind,
    /// provider or consumer: whose it is from T on. Silence means this side.
    pub beneficiary: String,
    /// Who decides disputes, with what any award pays each of them out of the escrow.
    pub arbiters: Vec<ArbiterView>,
}

impl CostView {
    /// The market's answer for what locks nothing, or a bond.
    pub fn of(cost: Cost) -> Self {
        Self {
            amount: cost.amount,
            asset: cost.asset,
            fee: cost.fee,
            reserve: cost.reserve,
            returns_at: cost.returns_at.map(Moment::from),
            spendable_before: cost.free_before,
            protects: None,
            held: None,
            issuer: None,
        }
    }

    /// The market's answer for a binding.
    pub fn of_binding(cost: Cost, escrow: EscrowChoice, issuer: Option<IssuerView>) -> Self {
        let protects = escrow.kind.map(|kind| kind.protects().to_owned());
        Self { protects, held: HeldView::of(escrow), issuer, ..Self::of(cost) }
    }
}

impl HeldView {
    fn of(escrow: EscrowChoice) -> Option<Self> {
        let beneficiary = Side::by_timeout(escrow.pay_unless_disputed);
        let arbiters = escrow.arbiters.into_iter().map(|(account, fee)| ArbiterView { account, fee, award: None });
        let (beneficiary, arbiters) = (beneficiary.as_str().to_owned(), arbiters.collect());
        Some(Self { kind: escrow.kind?, beneficiary, arbiters })
    }
}
