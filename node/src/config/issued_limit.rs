//! How much of an issued asset may be locked where nothing protects against a provider that cheats.

use std::fmt;

use serde::{Serialize, Serializer};
use toml::Value;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;

use super::values::{self, Read, wrong};

/// What is right for one of them.
const RIGHT: &str = "CODE:ISSUER=AMOUNT with an amount above 0, each asset once; the limit of XLM is max_timed";

/// The most of an issued asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedLimit {
    /// Which.
    pub asset: Asset,
    /// How much of it.
    pub most: Stroops,
}

impl fmt::Display for IssuedLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.asset, self.most.coins())
    }
}

impl Serialize for IssuedLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Limits of issued assets, each asset once.
pub(super) fn list(value: &Value) -> Read<Vec<IssuedLimit>> {
    let limits = values::items(value, of_text)?;
    let named_before = |(n, limit): &(usize, &IssuedLimit)| limits[..*n].iter().any(|other| other.asset == limit.asset);
    match limits.iter().enumerate().find(named_before) {
        Some((_, limit)) => wrong(format!("it names {} twice", limit.asset), RIGHT),
        None => Ok(limits),
    }
}

fn of_text(text: &str) -> Read<IssuedLimit> {
    let Some((asset, most)) = text.split_once('=') else { return wrong("there is no = in it", RIGHT) };
    let asset = values::asset(asset.trim())?;
    if asset.is_native() {
        return wrong("XLM is no issued asset", RIGHT);
    }
    match Stroops::from_coins(most.trim()) {
        Ok(most) if !most.is_zero() => Ok(IssuedLimit { asset, most }),
        Ok(_) => wrong("its amount is 0", RIGHT),
        Err(e) => wrong(e.to_string(), RIGHT),
    }
}
