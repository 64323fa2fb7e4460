//! What ended with a network that was reset.

use serde::{Deserialize, Serialize};

use super::{BindingView, Moment, OwnOfferingView};

/// A reset of the network, and what this node had there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetView {
    /// The directory where the state of before is, whole.
    pub archive: String,
    /// How it was noticed.
    pub why: String,
    /// When, by the new network's ledger.
    pub noticed_at: Moment,
    /// Bindings that were open: their escrows no longer exist.
    pub bindings: Vec<BindingView>,
    /// Offerings of one's own whose bonds no longer exist.
    pub offerings: Vec<OwnOfferingView>,
    /// Why the two lists are empty, where the state of before couldn't be read.
    pub unread: Option<String>,
}
