//! This node's account: what it has, what is locked and when that returns, what is on its way.

use serde::{Deserialize, Serialize};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::bond;
use tradepost_protocol::escrow::timed;
use tradepost_protocol::intent::queues::Submitter;
use tradepost_protocol::intent::{Intent, IntentState, Purpose};
use tradepost_protocol::market::command::TrustCost;
use tradepost_protocol::market::{LockedReserves, Market, Offer, OfferState};
use tradepost_protocol::message::{BalanceId, TxHash};
use tradepost_protocol::recover::{Found, FoundController, FoundFor, FoundState};
use tradepost_protocol::stellar::reserve::LedgerParams;

use super::Moment;

/// Money in escrow, with the reserve beside it.
const ESCROW: &str = "escrow";
/// The reserve that an `arbitrated` escrow leaves until T.
pub(crate) const CONTROLLER: &str = "controller";

/// This node's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletView {
    /// The account; `null` where its key isn't here.
    pub account: Option<AccountId>,
    /// Whether the ledger has it, as far as it was read.
    pub exists: bool,
    /// All native coins in it, reserves included.
    pub balance: Stroops,
    /// What can be spent: without reserves, liabilities and what open transactions may take.
    pub spendable: Stroops,
    /// What stays in it as reserve, for the account itself, its entries and the balances that it made.
    pub reserved: Stroops,
    /// What open transactions may still take.
    pub committed: Stroops,
    /// What is locked outside it: bonds, and the escrows that it funded.
    pub locked: Vec<LockedView>,
    /// Transactions that the ledger hasn't decided yet.
    pub transactions: Vec<TransactionView>,
    /// Submitter accounts that stand on the ledger: they carry transactions with deadlines.
    pub submitters: Vec<SubmitterView>,
}

/// An account of one's own that carries transactions with deadlines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmitterView {
    /// Its number.
    pub index: u8,
    /// The account.
    pub account: AccountId,
    /// All native coins in it, its reserve included.
    pub balance: Stroops,
    /// Transactions that it carries or will carry.
    pub busy: usize,
}

/// Money that is locked outside the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedView {
    /// bond, escrow or controller: what an `arbitrated` escrow leaves until T, or where it was found from the key alone.
    pub what: String,
    /// The series or the binding that it is for; the account of a controller that was found.
    pub of: String,
    /// The balance; `null` for a controller.
    pub balance: Option<BalanceId>,
    /// How much, in `asset`; nothing for a controller.
    pub amount: Stroops,
    /// That asset.
    pub asset: Asset,
    /// What is locked as reserve beside it, native; it returns when the balance is gone, and what a controller holds of it once
    /// the node runs after `returns_at`.
    pub reserve: Stroops,
    /// From when on it can be taken back, which the node does by itself; where `beneficiary` is the provider, from when on the
    /// amount is the provider's, and only the reserve comes back. Of a controller that was found it may be later, while that is
    /// being looked for.
    pub returns_at: Moment,
    /// Whether it may go to somebody else before.
    pub may_be_collected: bool,
    /// provider or consumer: whose an escrow's amount is from `returns_at` on; `null` for anything else.
    pub beneficiary: Option<String>,
}

/// A transaction on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionView {
    /// Its hash.
    pub hash: TxHash,
    /// bond, reclaim_bond, fund, collect, give_back, refund, pay, reclaim, open_submitter, feed_submitter,
    /// merge_submitter, trust, stamp or help.
    pub purpose: String,
    /// What that is for: a series, a binding, a payment's or trustline's own number, a balance that was found, a
    /// submitter's number, a timestamp's root, or the name of a step in a help exchange.
    pub of: String,
    /// held, signed, submitted, bumped (its fee was raised), included, failed, dead or unknown.
    pub state: String,
    /// The sequence number that it uses.
    pub sequence: i64,
    /// After this it can't take effect any more.
    pub max_time: Moment,
}

impl WalletView {
    /// The wallet of this market.
    pub fn of(market: &Market) -> Self {
        let params = market.params().unwrap_or(LedgerParams::USUAL);
        let account = market.setup().keys.account_id();
        let committed = market.queue().zip(account).map(|(queue, own)| queue.committed(own, &Asset::Native, &params));
        let committed = committed.unwrap_or_default();
        let state = market.account();
        let spendable = state.and_then(|s| params.available(s).minus(committed)).unwrap_or_default();
        let bonds = market.offers().filter_map(|(_, offer)| bond_lock(offer, &params));
        let escrows = market.trades().filter_map(|trade| escrow_lock(trade, market.reserves_locked(trade), &params));
        let wanted = market.found().into_iter().filter(|found| found.state == FoundState::Wanted);
        let found = wanted.map(|found| found_lock(found, &params));
        let controllers = market.found_controllers().filter_map(controller_lock);
        Self {
            account,
            exists: state.is_some(),
            balance: state.map(|s| s.balance).unwrap_or_default(),
            spendable,
            reserved: state.map(|s| params.min_balance(s)).unwrap_or_default(),
            committed,
            locked: bonds.chain(escrows).chain(found).chain(controllers).collect(),
            transactions: market.queue().map(|q| q.open().map(TransactionView::from).collect()).unwrap_or_default(),
            submitters: SubmitterView::standing(market),
        }
    }
}

impl SubmitterView {
    /// Those of this market's owner that stand on the ledger.
    pub fn standing(market: &Market) -> Vec<Self> {
        let view = |submitter: Submitter<'_>| {
            let Submitter { index, account, busy, .. } = submitter;
            Some(Self { index, account, balance: submitter.state?.balance, busy })
        };
        market.submitters().filter_map(view).collect()
    }
}

fn bond_lock(offer: &Offer, params: &LedgerParams) -> Option<LockedView> {
    matches!(offer.state, OfferState::Open | OfferState::Withdrawn).then(|| LockedView {
        what: "bond".to_owned(),
        of: offer.series().to_string(),
        balance: Some(offer.body().bond),
        amount: offer.bond_amount,
        asset: Asset::Native,
        reserve: params.reserves(bond::RESERVES),
        returns_at: offer.body().bond_release().into(),
        may_be_collected: false,
        beneficiary: None,
    })
}

/// The escrow while it stands, then its controller until that is merged.
fn escrow_lock(trade: &Trade, reserves: LockedReserves, params: &LedgerParams) -> Option<LockedView> {
    let terms = trade.terms().filter(|_| reserves.all() > 0)?;
    let stands = reserves.balance > 0;
    let beneficiary = Side::by_timeout(terms.pay_unless_disputed).as_str();
    Some(LockedView {
        what: if stands { ESCROW } else { CONTROLLER }.to_owned(),
        of: trade.binding()?.to_string(),
        balance: trade.state.balance.filter(|_| stands),
        amount: if stands { terms.amount } else { Stroops::ZERO },
        asset: terms.asset.clone(),
        reserve: params.reserves(reserves.all()),
        returns_at: terms.terms.refund_at()?.into(),
        may_be_collected: stands && !trade.state.timed_out,
        beneficiary: stands.then(|| beneficiary.to_owned()),
    })
}

/// A controller that was found and is wanted back; one that can't come back isn't locked but lost.
fn controller_lock(found: &FoundController) -> Option<LockedView> {
    let comes_back = found.state == FoundState::Wanted && found.note.is_none();
    comes_back.then(|| LockedView {
        what: CONTROLLER.to_owned(),
        of: found.account.to_string(),
        balance: None,
        amount: Stroops::ZERO,
        asset: Asset::Native,
        reserve: found.reserve,
        returns_at: found.deadline.unwrap_or(found.tried).into(),
        may_be_collected: false,
        beneficiary: None,
    })
}

fn found_lock(found: &Found, params: &LedgerParams) -> LockedView {
    let (what, of, reserves) = match found.purpose {
        FoundFor::Escrow { binding, .. } => (ESCROW, binding.to_string(), timed::RESERVES),
        FoundFor::Bond { series } => ("bond", series.to_string(), bond::RESERVES),
    };
    LockedView {
        what: what.to_owned(),
        of,
        balance: Some(found.balance),
        amount: found.amount,
        asset: found.asset.clone(),
        reserve: params.reserves(reserves),
        returns_at: found.due.into(),
        may_be_collected: what == ESCROW,
        beneficiary: (what == ESCROW).then(|| Side::Consumer.as_str().to_owned()),
    }
}

impl From<&Intent> for TransactionView {
    fn from(intent: &Intent) -> Self {
        let (purpose, of) = match intent.purpose {
            Purpose::Bond { series } => ("bond", series.to_string()),
            Purpose::ReclaimBond { series } => ("reclaim_bond", series.to_string()),
            Purpose::Fund { binding } => ("fund", binding.to_string()),
            Purpose::Collect { binding } => ("collect", binding.to_string()),
            Purpose::GiveBack { binding } => ("give_back", binding.to_string()),
            Purpose::Refund { binding } => ("refund", binding.to_string()),
            Purpose::Settle { binding } => ("settle", binding.to_string()),
            Purpose::Receive { binding } => ("receive", binding.to_string()),
            Purpose::MergeController { sequence } => ("merge_controller", sequence.to_string()),
            Purpose::Pay { id } => ("pay", hex::encode(id)),
            Purpose::Reclaim { balance } => ("reclaim", balance.to_string()),
            Purpose::OpenSubmitter { index } => ("open_submitter", index.to_string()),
            Purpose::FeedSubmitter { index } => ("feed_submitter", index.to_string()),
            Purpose::MergeSubmitter { index } => ("merge_submitter", index.to_string()),
            Purpose::Trust { id } => ("trust", hex::encode(id)),
            Purpose::Stamp { root } => ("stamp", root.to_string()),
            Purpose::Help { id } => ("help", hex::encode(id)),
        };
        let state = match intent.state {
            IntentState::Signed { held: true } => "held",
            IntentState::Signed { held: false } => "signed",
            IntentState::Submitted => "submitted",
            IntentState::Bumped(_) => "bumped",
            IntentState::Included { success: true, .. } => "included",
            IntentState::Included { success: false, .. } => "failed",
            IntentState::Dead => "dead",
            IntentState::Unknown => "unknown",
        };
        Self {
            hash: intent.hash,
            purpose: purpose.to_owned(),
            of,
            state: state.to_owned(),
            sequence: intent.sequence,
            max_time: intent.max_time.into(),
        }
    }
}

/// Submitter accounts are on their way back into the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merging {
    /// Which.
    pub accounts: Vec<AccountId>,
}

/// What a trustline costs and means, before it is made, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustView {
    /// The asset.
    pub asset: Asset,
    /// How much of it may be held; 0 removes the trustline.
    pub limit: Stroops,
    /// The limit until now; `null` where there is no trustline yet.
    pub before: Option<Stroops>,
    /// How much it holds.
    pub holds: Stroops,
    /// The most that the transaction costs in fees, native.
    pub fee: Stroops,
    /// A trustline's reserve, native: locked by a new one, given back by a removed one.
    pub reserve: Stroops,
    /// What the wallet can spend before it, native.
    pub spendable_before: Stroops,
    /// Whether the issuer must allow the account to hold it first.
    pub must_authorize: bool,
    /// Whether the issuer may freeze what the account holds.
    pub may_revoke: bool,
    /// Whether the issuer may take it back.
    pub may_claw_back: bool,
    /// Whether the configuration's `assets` let this node trade in it.
    pub accepted: bool,
}

impl From<TrustCost> for TrustView {
    fn from(cost: TrustCost) -> Self {
        Self {
            asset: cost.asset,
            limit: cost.limit,
            before: cost.before,
            holds: cost.holds,
            fee: cost.fee,
            reserve: cost.reserve,
            spendable_before: cost.free_before,
            must_authorize: cost.must_authorize,
            may_revoke: cost.may_revoke,
            may_claw_back: cost.may_claw_back,
            accepted: cost.accepted,
        }
    }
}

/// A payment, or another transaction that was asked for, is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paid {
    /// Its transaction.
    pub transaction: TxHash,
}

/// A friendbot was asked for test money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Funded {
    /// For whom.
    pub account: AccountId,
    /// Whether it made the account; otherwise that was there already and nothing was given.
    pub created: bool,
    /// The transaction, where the friendbot tells it.
    pub transaction: Option<TxHash>,
}
