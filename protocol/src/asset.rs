//! What is paid with: the native coin, or an asset of an issuer.

use core::fmt;
use core::str::FromStr;

use bincode::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::account::AccountId;

/// A Stellar asset: `native`, or `CODE:ISSUER` with a code of 1 to 12 letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub enum Asset {
    /// The network's own coin, XLM.
    Native,
    /// An asset that an account issues.
    Issued {
        /// 1 to 12 ASCII letters and digits.
        code: String,
        /// Who issues it.
        issuer: AccountId,
    },
}

/// A text that names no asset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an asset: expected \"native\" or CODE:ISSUER, with a code of 1 to 12 letters and digits")]
pub struct AssetError(String);

impl Asset {
    /// An issued asset.
    ///
    /// # Errors
    /// [`AssetError`] where the code isn't 1 to 12 ASCII letters and digits.
    pub fn issued(code: &str, issuer: AccountId) -> Result<Self, AssetError> {
        if (1..=12).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric()) {
            Ok(Self::Issued { code: code.to_owned(), issuer })
        } else {
            Err(AssetError(code.chars().take(80).collect()))
        }
    }

    /// Whether this is the network's own coin.
    pub const fn is_native(&self) -> bool {
        matches!(self, Self::Native)
    }

    /// Who issues it; nobody where it is the network's own coin.
    pub const fn issuer(&self) -> Option<AccountId> {
        match self {
            Self::Native => None,
            Self::Issued { issuer, .. } => Some(*issuer),
        }
    }

    /// The short name for people: `XLM` or the code.
    pub fn symbol(&self) -> &str {
        match self {
            Self::Native => "XLM",
            Self::Issued { code, .. } => code,
        }
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => f.write_str("native"),
            Self::Issued { code, issuer } => write!(f, "{code}:{issuer}"),
        }
    }
}

impl FromStr for Asset {
    type Err = AssetError;
    fn from_str(text: &str) -> Result<Self, AssetError> {
        if text == "native" {
            return Ok(Self::Native);
        }
        let bad = || AssetError(text.chars().take(80).collect());
        let (code, issuer) = text.split_once(':').ok_or_else(bad)?;
        Self::issued(code, issuer.parse().map_err(|_| bad())?).map_err(|_| bad())
    }
}

impl Serialize for Asset {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Asset {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[derive(Decode)]
enum RawAsset {
    Native,
    Issued { code: String, issuer: AccountId },
}

impl<C> Decode<C> for Asset {
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, bincode::error::DecodeError> {
        match RawAsset::decode(d)? {
            RawAsset::Native => Ok(Self::Native),
            RawAsset::Issued { code, issuer } => {
                Self::issued(&code, issuer).map_err(|e| bincode::error::DecodeError::OtherString(e.to_string()))
            }
        }
    }
}
bincode::impl_borrow_decode!(Asset);

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_asset_survives_its_text() {
        let issuer = AccountId::from_bytes([3; 32]);
        for asset in [Asset::Native, Asset::issued("HEXA", issuer).unwrap()] {
            assert_eq!(asset.to_string().parse::<Asset>().unwrap(), asset);
        }
        for bad in ["", "XLM", "HEXA", "HEXA:", ":G", "LONGERTHAN12X:GA", "A-B:GA"] {
            assert!(bad.parse::<Asset>().is_err(), "{bad}");
        }
    }
}
