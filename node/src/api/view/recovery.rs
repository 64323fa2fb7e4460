//! What was found from the account's key alone.

use serde::{Deserialize, Serialize};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::market::Market;
use tradepost_protocol::message::{BalanceId, TxHash};
use tradepost_protocol::recover::{Found, FoundController, FoundFor, FoundState};

use super::{Moment, SubmitterView};

/// How far the search is, and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryView {
    /// The account; `null` where its key isn't here.
    pub account: Option<AccountId>,
    /// Sequence numbers that were looked at.
    pub walked: u64,
    /// All that the account used.
    pub of: u64,
    /// Whether a search was made to its end.
    pub done: bool,
    /// Escrows and bonds, by when they are due. Those that the node knows and sees to anyway are among what the wallet
    /// has locked.
    pub found: Vec<FoundView>,
    /// Controllers of escrows that the account funded. Those that the node knows and sees to anyway aren't among them.
    pub controllers: Vec<ControllerView>,
    /// Submitter accounts that stand on the ledger; their keys follow from the account's.
    pub submitters: Vec<SubmitterView>,
}

/// An escrow or a bond that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundView {
    /// bond or escrow.
    pub what: String,
    /// The series or the binding that it is for.
    pub of: String,
    /// The balance.
    pub balance: BalanceId,
    /// How much, in `asset`.
    pub amount: Stroops,
    /// That asset.
    pub asset: Asset,
    /// From when on it can be taken back.
    pub due: Moment,
    /// Who gets it then.
    pub returns_to: AccountId,
    /// Whether that is this node's account.
    pub mine: bool,
    /// Who may take it before.
    pub may_be_collected_by: Option<AccountId>,
    /// standing, wanted, taken or gone.
    pub state: String,
    /// The transaction that took it back.
    pub transaction: Option<TxHash>,
    /// Why taking it back failed last; the node tries again.
    pub trouble: Option<String>,
}

/// The controller of an escrow that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerView {
    /// The account.
    pub account: AccountId,
    /// Its native coins, which come back with it.
    pub reserve: Stroops,
    /// From when on it can be taken back; `null` while that is being looked for.
    pub due: Option<Moment>,
    /// standing, wanted or gone.
    pub state: String,
    /// Why it can't be taken back.
    pub trouble: Option<String>,
}

impl ControllerView {
    fn of(found: &FoundController) -> Self {
        let state = match found.state {
            FoundState::Standing => "standing",
            FoundState::Wanted => "wanted",
            FoundState::Taken(_) | FoundState::Gone => "gone",
        };
        Self {
            account: found.account,
            reserve: found.reserve,
            due: found.deadline.map(Moment::from),
            state: state.to_owned(),
            trouble: found.note.as_ref().map(ToString::to_string),
        }
    }
}

impl RecoveryView {
    /// What this market found.
    pub fn of(market: &Market) -> Self {
        let account = market.setup().keys.account_id();
        let progress = market.recovery_progress();
        Self {
            account,
            walked: progress.map_or(0, |p| p.walked),
            of: progress.map_or(0, |p| p.of),
            done: progress.is_some_and(|p| p.is_done()),
            submitters: SubmitterView::standing(market),
            found: market.found().into_iter().map(|found| FoundView::of(found, account)).collect(),
            controllers: market.found_controllers().map(ControllerView::of).collect(),
        }
    }

    /// What can be taken back, now or when it is due, and isn't on its way yet.
    pub fn standing(&self) -> impl Iterator<Item = &FoundView> {
        self.found.iter().filter(|found| found.mine && found.state == "standing")
    }

    /// Controllers that can be taken back, now or when they are due, and aren't on their way yet.
    pub fn standing_controllers(&self) -> impl Iterator<Item = &ControllerView> {
        self.controllers.iter().filter(|found| found.state == "standing")
    }
}

impl FoundView {
    fn of(found: &Found, own: Option<AccountId>) -> Self {
        let (what, of, collector) = match found.purpose {
            FoundFor::Escrow { binding, recipient } => ("escrow", binding.to_string(), Some(recipient)),
            FoundFor::Bond { series } => ("bond", series.to_string(), None),
        };
        let (state, transaction) = match found.state {
            FoundState::Standing => ("standing", None),
            FoundState::Wanted => ("wanted", None),
            FoundState::Taken(hash) => ("taken", Some(hash)),
            FoundState::Gone => ("gone", None),
        };
        Self {
            what: what.to_owned(),
            of,
            balance: found.balance,
            amount: found.amount,
            asset: found.asset.clone(),
            due: found.due.into(),
            returns_to: found.returns_to,
            mine: Some(found.returns_to) == own,
            may_be_collected_by: collector,
            state: state.to_owned(),
            transaction,
            trouble: found.note.as_ref().map(ToString::to_string),
        }
    }
}
