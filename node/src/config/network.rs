//! The three sorts of ledger, and what differs by default between them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tradepost_protocol::limits::Margins;

/// On which sort of ledger a node trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// A development ledger, such as `tradepost devnet`: its money is made up.
    #[default]
    Devnet,
    /// Stellar's test network: its money is given away.
    Testnet,
    /// Stellar's public network: its money is real.
    Public,
}

impl Network {
    /// Every sort.
    pub const ALL: [Self; 3] = [Self::Devnet, Self::Testnet, Self::Public];

    /// The passphrase, where it is always the same; a devnet says its own.
    pub const fn passphrase(self) -> Option<&'static str> {
        match self {
            Self::Devnet => None,
            Self::Testnet => Some("Test SDF Network ; September 2015"),
            Self::Public => Some("Public Global Stellar Network ; September 2015"),
        }
    }

    /// Its times and least amounts.
    pub const fn margins(self) -> Margins {
        match self {
            Self::Devnet => Margins::DEVNET,
            Self::Testnet => Margins::TESTNET,
            Self::Public => Margins::PUBLIC,
        }
    }

    /// The name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Devnet => "devnet",
            Self::Testnet => "testnet",
            Self::Public => "public",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Network {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|network| network.name() == text)
            .ok_or_else(|| "one of \"devnet\", \"testnet\", \"public\"".to_owned())
    }
}
