//! What must hold before any money moves, in its order, each with its own error.

use crate::account::{AccountId, PeerId};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::message::SeriesId;

/// Why a binding wasn't begun. Nothing was sent and no money moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrecheckFailure {
    /// 1: not in the book.
    #[error("no offering {0} is known here: `tradepost offering list` shows those that are")]
    UnknownOffering(String),
    /// 1: known, and not live.
    #[error("the offering isn't live: {why}")]
    NotLive {
        /// Expired, withdrawn, or its provider wasn't heard of lately.
        why: String,
    },
    /// 1: its bond isn't on the ledger any more.
    #[error("the bond of series {0} isn't on the ledger: whoever offers this has nothing at stake")]
    NotBonded(SeriesId),
    /// 2: it is one's own.
    #[error("the offering is this node's own: a binding needs somebody else")]
    OwnOffering,
    /// 3: its service has a newer record.
    #[error("the offering is for an old version of its service: ask the provider for a new revision")]
    RecordOutdated,
    /// 4: none of its transports is allowed here.
    #[error(
        "none of the offering's transports ({offered}) is allowed here ({allowed}): see `transports` in the configuration"
    )]
    TransportNotAllowed {
        /// What the offering names.
        offered: String,
        /// What the configuration allows.
        allowed: String,
    },
    /// 5: all its places are taken.
    #[error("no place is free: all {0} are taken; try again later")]
    NoFreeSupply(u32),
    /// 6: outside its bounds.
    #[error("{asked} units are outside the offering's bounds of {min} to {max}")]
    UnitsOutOfBounds {
        /// What was asked for.
        asked: u64,
        /// The fewest.
        min: u64,
        /// The most.
        max: u64,
    },
    /// 6: more than can be counted.
    #[error("the price of {0} units overflows")]
    PriceOverflow(u64),
    /// 6: above what this node spends in one trade.
    #[error(
        "the trade costs {cost} {asset}, above this node's limit of {limit}: raise `max_spend_per_trade` or pass --max"
    )]
    AboveLimit {
        /// What it costs, in coins.
        cost: String,
        /// Its asset's symbol.
        asset: String,
        /// The limit, in coins.
        limit: String,
    },
    /// 7: no escrow kind in common.
    #[error("no kind of escrow is common to the offering ({offered}) and this node ({accepted})")]
    NoCommonEscrow {
        /// What the offering names.
        offered: String,
        /// What this node accepts.
        accepted: String,
    },
    /// 8: an asset that this node doesn't take.
    #[error("{0} isn't on this node's list of assets: add it to `assets` in the configuration if you trust its issuer")]
    AssetNotAccepted(Asset),
    /// 9: a payee couldn't be paid.
    #[error("{account} can't hold {asset}: it has no trustline for it, so the escrow could never be collected")]
    TrustlineMissing {
        /// The payee.
        account: AccountId,
        /// The asset.
        asset: Asset,
    },
    /// 9: a payee that doesn't exist.
    #[error("the account {0} doesn't exist on this ledger, so it could not be paid: the provider must fund it first")]
    NoSuchAccount(AccountId),
    /// 10: nothing to pay from.
    #[error(
        "this node's account {0} doesn't exist on this ledger yet: send coins to it, on a test network with `tradepost wallet fund`"
    )]
    NoOwnAccount(AccountId),
    /// 10: too little.
    #[error("the wallet is {} short: amount, reserves and fees together need {}, what is free is {}", coins(.missing), coins(.needed), coins(.free))]
    WalletShort {
        /// How much is missing, in stroops.
        missing: Stroops,
        /// What is needed in all.
        needed: Stroops,
        /// What is free.
        free: Stroops,
    },
    /// 10: no key to pay with.
    #[error("this node has no account key, so it can't pay: run `tradepost init`")]
    NoAccountKey,
    /// 11: the clock is off.
    #[error(
        "this machine's clock and the ledger differ by {seconds} s ({direction}): set the clock, or wait for the ledger to go on"
    )]
    ClockOff {
        /// By how much.
        seconds: u64,
        /// Which way.
        direction: &'static str,
    },
    /// 11: no ledger to look at.
    #[error("the ledger can't be read now: {0}")]
    LedgerUnavailable(String),
    /// 12: no signed answer.
    #[error("the provider's node {peer} doesn't answer ({why}); no money moved")]
    ProviderUnreachable {
        /// The peer.
        peer: PeerId,
        /// Why.
        why: String,
    },
}

fn coins(amount: &Stroops) -> String {
    format!("{} XLM", amount.coins())
}

impl PrecheckFailure {
    /// Its place in the order, 1 to 12.
    pub const fn step(&self) -> u8 {
        match self {
            Self::UnknownOffering(_) | Self::NotLive { .. } | Self::NotBonded(_) => 1,
            Self::OwnOffering => 2,
            Self::RecordOutdated => 3,
            Self::TransportNotAllowed { .. } => 4,
            Self::NoFreeSupply(_) => 5,
            Self::UnitsOutOfBounds { .. } | Self::PriceOverflow(_) | Self::AboveLimit { .. } => 6,
            Self::NoCommonEscrow { .. } => 7,
            Self::AssetNotAccepted(_) => 8,
            Self::TrustlineMissing { .. } | Self::NoSuchAccount(_) => 9,
            Self::WalletShort { .. } | Self::NoAccountKey | Self::NoOwnAccount(_) => 10,
            Self::ClockOff { .. } | Self::LedgerUnavailable(_) => 11,
            Self::ProviderUnreachable { .. } => 12,
        }
    }

    /// A stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownOffering(_) => "unknown-offering",
            Self::NotLive { .. } => "not-live",
            Self::NotBonded(_) => "not-bonded",
            Self::OwnOffering => "own-offering",
            Self::RecordOutdated => "record-outdated",
            Self::TransportNotAllowed { .. } => "transport-not-allowed",
            Self::NoFreeSupply(_) => "no-free-supply",
            Self::UnitsOutOfBounds { .. } => "units-out-of-bounds",
            Self::PriceOverflow(_) => "price-overflow",
            Self::AboveLimit { .. } => "above-limit",
            Self::NoCommonEscrow { .. } => "no-common-escrow",
            Self::AssetNotAccepted(_) => "asset-not-accepted",
            Self::TrustlineMissing { .. } => "trustline-missing",
            Self::NoSuchAccount(_) => "no-such-account",
            Self::WalletShort { .. } => "wallet-short",
            Self::NoAccountKey => "no-account-key",
            Self::NoOwnAccount(_) => "no-own-account",
            Self::ClockOff { .. } => "clock-off",
            Self::LedgerUnavailable(_) => "ledger-unavailable",
            Self::ProviderUnreachable { .. } => "provider-unreachable",
        }
    }
}
