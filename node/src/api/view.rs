//! What the API shows: plain, documented values, the same for programs, pages and the command line.
//!
//! Amounts are decimal strings of stroops, beside the asset that they are in. Times are [`Moment`]s. Ids are 64 hex
//! digits, keys and accounts Stellar's `G…`. Fields may be added in later versions and are never renamed.

mod binding;
mod community;
mod config;
mod cost;
mod dispute;
mod issuer;
mod offering;
mod peer;
mod recovery;
mod request;
mod reset;
mod service;
mod status;
mod timestamp;
mod wallet;

use serde::{Deserialize, Serialize};
use tradepost_protocol::time::Timestamp;

pub use binding::{BindingList, BindingView, Bound, DeadlineView, DeadlinesView, EscrowView, TransactionsView};
pub use community::{ChainView, ExchangeList, ExchangeView, Helped, LinkView, StandingView};
pub use config::ConfigView;
pub use cost::{CostView, HeldView};
pub use dispute::{
    ARBITER, ArbiterView, AwardView, BySide, DisputeDetails, DisputeList, DisputeView, EvidenceView, FileView, Shown,
    SplitView,
};
pub use issuer::IssuerView;
pub use offering::{
    BondView, OfferingList, OfferingView, OwnOfferingList, OwnOfferingView, PriceView, Published, TemplateView,
    Withdrawn,
};
pub use peer::{PeerList, PeerView};
pub use recovery::{ControllerView, FoundView, RecoveryView};
pub use request::{RequestList, RequestView, Requested};
pub use reset::ResetView;
pub use service::{ServiceList, ServiceView};
pub use status::{EndpointView, FirstSyncView, KeysView, LedgerView, NetworkView, Offers, Peers, StatusView, Trouble};
pub use timestamp::{BatchView, Stamped, TimestampList};
pub(crate) use wallet::CONTROLLER;
pub use wallet::{Funded, LockedView, Merging, Paid, SubmitterView, TransactionView, TrustView, WalletView};

/// A moment of ledger time, for programs and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Seconds since 1970.
    pub secs: u64,
    /// The same as RFC 3339 text, UTC.
    pub text: String,
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self { secs: at.secs(), text: at.to_string() }
    }
}

impl Moment {
    /// The protocol's form.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_secs(self.secs)
    }
}

/// What a command that has nothing else to tell answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Always true.
    pub done: bool,
}

/// A backup was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupView {
    /// Where.
    pub file: String,
    /// Rows of the store in it.
    pub rows: u64,
    /// The moment that it shows.
    pub made_at: Moment,
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
