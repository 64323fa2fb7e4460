//! What must hold before any money moves, in its order, each with its own error.

use crate::account::{AccountId, PeerId};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::intent::precheck::Short;
use crate::message::SeriesId;
use crate::refusal::rules;

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
    /// 1: nobody binds an arbiter.
    #[error(
        "the offering is an arbiter's, which nobody binds: the parties of a trade name it, and it is engaged for their binding"
    )]
    IsArbiter,
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
        "the trade costs {cost} {asset}, above this node's limit of {limit}: raise `max_spend_per_trade` in the configuration and start the node again"
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
    #[error(
        "no kind of escrow is common to the offering ({offered}) and this node ({accepted}): see `escrow` in the configuration, or ask for another kind"
    )]
    NoCommonEscrow {
        /// What the offering names.
        offered: String,
        /// What this node accepts.
        accepted: String,
    },
    /// 7: no arbiter in common.
    #[error(
        "no arbiter is common to the offering ({offered}) and this node ({trusted}), and a dispute is decided by those that both trust: add one of the offering's to `arbiters` in the configuration if you trust it, and start the node again"
    )]
    NoCommonArbiter {
        /// Whom the offering accepts.
        offered: String,
        /// Whom this node trusts.
        trusted: String,
    },
    /// 7: an arbiter that can't take part now.
    #[error("the arbiter {account} can't take part ({why}): try again later, or list another one in `arbiters`")]
    ArbiterUnavailable {
        /// Which.
        account: AccountId,
        /// Why.
        why: String,
    },
    /// 7: nothing would be left to award.
    #[error(
        "the arbiters' fees, {fees} together, take up the whole amount of {amount}: buy more units, or list cheaper arbiters"
    )]
    FeesTakeAll {
        /// The fees, in coins.
        fees: String,
        /// What the trade costs, in coins.
        amount: String,
    },
    /// 7: more than this node trusts a provider with.
    #[error(
        "the trade would lock {cost} {asset} under `timed`, above this node's limit of {limit}, because `timed` doesn't protect against a provider that cheats: ask for fewer units, or raise `{key}` in the configuration and start the node again"
    )]
    AboveTimedLimit {
        /// What it costs, in coins.
        cost: String,
        /// Its asset's symbol.
        asset: String,
        /// The limit, in coins.
        limit: String,
        /// The key of the configuration that has it.
        key: &'static str,
    },
    /// 7: an issued asset whose worth nobody here knows.
    #[error(
        "the trade would lock {cost} {} under `timed`, which doesn't protect against a provider that cheats, and this node has no limit for that asset: name one, such as max_timed_issued = [\"{asset}={cost}\"] in the configuration, and start the node again",
        asset.symbol()
    )]
    NoTimedLimit {
        /// The asset.
        asset: Asset,
        /// What it costs, in coins.
        cost: String,
    },
    /// 7: the controller of an `arbitrated` escrow couldn't hold the asset.
    #[error(
        "{asset} can't be held under `arbitrated` ({why}): ask for `timed` if you trust the provider that far, or trade in another asset"
    )]
    ControllerCannotHold {
        /// The asset.
        asset: Asset,
        /// Why no new account can.
        why: &'static str,
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
    #[error("the account {0} doesn't exist on this ledger, so it can't be paid: its owner must have it created first")]
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
    #[error(
        "the provider's node {peer} doesn't answer ({why}); no money moved: try again later, or ask by gossip with `tradepost request publish`"
    )]
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

impl From<Short> for PrecheckFailure {
    fn from(Short { missing, needed, free }: Short) -> Self {
        Self::WalletShort { missing, needed, free }
    }
}

impl PrecheckFailure {
    /// Its place in the order, 1 to 12.
    pub const fn step(&self) -> u8 {
        match self {
            Self::UnknownOffering(_) | Self::NotLive { .. } | Self::NotBonded(_) | Self::IsArbiter => 1,
            Self::OwnOffering => 2,
            Self::RecordOutdated => 3,
            Self::TransportNotAllowed { .. } => 4,
            Self::NoFreeSupply(_) => 5,
            Self::UnitsOutOfBounds { .. } | Self::PriceOverflow(_) | Self::AboveLimit { .. } => 6,
            Self::NoCommonEscrow { .. }
            | Self::NoCommonArbiter { .. }
            | Self::ArbiterUnavailable { .. }
            | Self::FeesTakeAll { .. }
            | Self::AboveTimedLimit { .. }
            | Self::NoTimedLimit { .. }
            | Self::ControllerCannotHold { .. } => 7,
            Self::AssetNotAccepted(_) => 8,
            Self::TrustlineMissing { .. } | Self::NoSuchAccount(_) => 9,
            Self::WalletShort { .. } | Self::NoAccountKey | Self::NoOwnAccount(_) => 10,
            Self::ClockOff { .. } | Self::LedgerUnavailable(_) => 11,
            Self::ProviderUnreachable { .. } => 12,
        }
    }

    /// Which of the table's rows it is.
    pub const fn rule(&self) -> PrecheckCode {
        match self {
            Self::UnknownOffering(_) => PrecheckCode::UnknownOffering,
            Self::NotLive { .. } => PrecheckCode::NotLive,
            Self::NotBonded(_) => PrecheckCode::NotBonded,
            Self::IsArbiter => PrecheckCode::IsArbiter,
            Self::OwnOffering => PrecheckCode::OwnOffering,
            Self::RecordOutdated => PrecheckCode::RecordOutdated,
            Self::TransportNotAllowed { .. } => PrecheckCode::TransportNotAllowed,
            Self::NoFreeSupply(_) => PrecheckCode::NoFreeSupply,
            Self::UnitsOutOfBounds { .. } => PrecheckCode::UnitsOutOfBounds,
            Self::PriceOverflow(_) => PrecheckCode::PriceOverflow,
            Self::AboveLimit { .. } => PrecheckCode::AboveLimit,
            Self::NoCommonEscrow { .. } => PrecheckCode::NoCommonEscrow,
            Self::NoCommonArbiter { .. } => PrecheckCode::NoCommonArbiter,
            Self::ArbiterUnavailable { .. } => PrecheckCode::ArbiterUnavailable,
            Self::FeesTakeAll { .. } => PrecheckCode::FeesTakeAll,
            Self::AboveTimedLimit { .. } => PrecheckCode::AboveTimedLimit,
            Self::NoTimedLimit { .. } => PrecheckCode::NoTimedLimit,
            Self::ControllerCannotHold { .. } => PrecheckCode::ControllerCannotHold,
            Self::AssetNotAccepted(_) => PrecheckCode::AssetNotAccepted,
            Self::TrustlineMissing { .. } => PrecheckCode::TrustlineMissing,
            Self::NoSuchAccount(_) => PrecheckCode::NoSuchAccount,
            Self::NoOwnAccount(_) => PrecheckCode::NoOwnAccount,
            Self::WalletShort { .. } => PrecheckCode::WalletShort,
            Self::NoAccountKey => PrecheckCode::NoAccountKey,
            Self::ClockOff { .. } => PrecheckCode::ClockOff,
            Self::LedgerUnavailable(_) => PrecheckCode::LedgerUnavailable,
            Self::ProviderUnreachable { .. } => PrecheckCode::ProviderUnreachable,
        }
    }

    /// A stable code for programs.
    pub const fn code(&self) -> &'static str {
        self.rule().code()
    }
}

rules! {
    /// Which pre-check said no, in their order; the author is whoever wrote what can't be bound, be it the offering or
    /// the command.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    PrecheckCode {
        UnknownOffering = "unknown-offering", Nobody, "No such offering is in this node's book.", "look it up in the list of offerings; it may still arrive";
        NotLive = "not-live", Nobody, "The offering has expired, was withdrawn, or its provider wasn't heard of lately.", "choose another offering, or wait until the provider is back";
        NotBonded = "not-bonded", Author, "The offering's bond isn't on the ledger any more.", "choose another offering: this one's author has nothing at stake";
        IsArbiter = "is-arbiter", Author, "The offering is an arbiter's, which nobody binds.", "name its account as an arbiter of a trade with somebody else";
        OwnOffering = "own-offering", Author, "The offering is this node's own.", "bind somebody else's";
        RecordOutdated = "record-outdated", Author, "The offering is for an old version of its service.", "ask the provider for a new revision";
        TransportNotAllowed = "transport-not-allowed", Nobody, "None of the offering's transports is allowed here.", "allow one of them in the configuration";
        NoFreeSupply = "no-free-supply", Nobody, "All places of the offering are taken.", "try again later";
        UnitsOutOfBounds = "units-out-of-bounds", Author, "The units are outside the offering's bounds.", "ask for units within them";
        PriceOverflow = "price-overflow", Author, "The price of so many units can't be counted.", "ask for fewer units";
        AboveLimit = "above-limit", Author, "The trade costs more than this node spends in one.", "raise the node's limit, or ask for fewer units";
        NoCommonEscrow = "no-common-escrow", Nobody, "No kind of escrow is common to the offering and this node.", "accept one of the offering's kinds in the configuration";
        NoCommonArbiter = "no-common-arbiter", Nobody, "No arbiter is common to the offering and this node.", "trust one of the offering's arbiters, or choose another offering";
        ArbiterUnavailable = "arbiter-unavailable", Nobody, "The arbiter in both lists can't take part now.", "try again later, or list another one";
        FeesTakeAll = "fees-take-all", Author, "The arbiters' fees take up the whole amount.", "ask for more units, or list cheaper arbiters";
        AboveTimedLimit = "above-timed-limit", Author, "The trade locks more under `timed` than this node does.", "ask for fewer units, or raise the limit";
        NoTimedLimit = "no-timed-limit", Author, "The trade locks an issued asset under `timed`, for which this node has no limit.", "name a limit for the asset in the configuration";
        ControllerCannotHold = "controller-cannot-hold", Author, "The asset's issuer lets no new account hold it, and an `arbitrated` escrow makes one.", "ask for `timed`, or trade in another asset";
        AssetNotAccepted = "asset-not-accepted", Nobody, "The price is in an asset that this node doesn't take.", "add the asset to the configuration if you trust its issuer";
        TrustlineMissing = "trustline-missing", Author, "A payee has no trustline for the asset.", "the payee must trust the asset first";
        NoSuchAccount = "no-such-account", Author, "A payee's account doesn't exist on this ledger.", "the payee's account must be funded first";
        NoOwnAccount = "no-own-account", Author, "This node's account doesn't exist on this ledger yet.", "send coins to it";
        WalletShort = "wallet-short", Author, "The wallet doesn't hold amount, reserves and fees together.", "send coins to this node's account, or ask for fewer units";
        NoAccountKey = "no-account-key", Author, "This node has no account key to pay with.", "create or import one";
        ClockOff = "clock-off", Nobody, "This machine's clock and the ledger differ by too much.", "set the clock, or wait for the ledger to go on";
        LedgerUnavailable = "ledger-unavailable", Nobody, "The ledger can't be read now.", "try again later, or configure another endpoint";
        ProviderUnreachable = "provider-unreachable", Nobody, "The provider's node gives no signed answer.", "try again later, or publish a request; no money moved";
    }
}
