//! Escrow: money locked for one binding in one claimable balance.

pub mod outcome;
pub mod shape;
pub mod timed;

use core::fmt;

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// How a binding's money is held, and thereby whom it protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
pub enum EscrowKind {
    /// Paid in advance, refunded unless the recipient collects before T.
    Timed,
}

impl EscrowKind {
    /// The word that documents use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timed => "timed",
        }
    }

    /// What it protects against, and what not, for people.
    pub const fn protects(self) -> &'static str {
        match self {
            Self::Timed => {
                "against a provider that disappears, not against one that cheats: \
                 paid in advance, refunded unless collected before the deadline"
            }
        }
    }
}

impl fmt::Display for EscrowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
