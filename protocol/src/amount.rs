//! Money: stroops, prices, units; all arithmetic is checked.

use core::fmt;
use core::str::FromStr;

use bincode::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::asset::Asset;

/// An amount in stroops, ten-millionths of a unit of its asset: 0 to 2^63 − 1.
///
/// In documents and JSON it is a decimal string of stroops; for people [`Stroops::coins`] writes seven decimals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stroops(i64);

/// Why a text or number is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a decimal string of digits without sign or leading zero.
    #[error("{0:?} is not an amount in stroops: expected digits only, such as \"10000000\" for 1 XLM")]
    NotStroops(String),
    /// Not a decimal number with at most seven places.
    #[error("{0:?} is not an amount: expected a number with at most seven decimals, such as 2.5")]
    NotCoins(String),
    /// Larger than the ledger can hold.
    #[error("the amount is larger than the ledger's limit of 922337203685.4775807")]
    Overflow,
}

impl Stroops {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount that the ledger holds.
    pub const MAX: Self = Self(i64::MAX);
    /// Stroops in one unit of an asset.
    pub const PER_COIN: i64 = 10_000_000;

    /// An amount from the ledger's signed form; `None` below zero.
    pub const fn new(stroops: i64) -> Option<Self> {
        if stroops < 0 { None } else { Some(Self(stroops)) }
    }

    /// So many whole units; saturates at the ledger's limit.
    pub const fn whole(coins: u32) -> Self {
        Self(coins as i64 * Self::PER_COIN)
    }

    /// The signed form that XDR carries.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Sum, or `None` above the ledger's limit.
    pub const fn plus(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// Difference, or `None` below zero.
    pub const fn minus(self, other: Self) -> Option<Self> {
        if self.0 < other.0 { None } else { Some(Self(self.0 - other.0)) }
    }

    /// Product with a count, or `None` above the ledger's limit.
    pub fn times(self, count: u64) -> Option<Self> {
        let product = u128::from(self.0.unsigned_abs()).checked_mul(u128::from(count))?;
        i64::try_from(product).ok().map(Self)
    }

    /// The amount for people: `2.5000000`.
    pub fn coins(self) -> String {
        format!("{}.{:07}", self.0 / Self::PER_COIN, self.0 % Self::PER_COIN)
    }

    /// Reads what people write: `2`, `2.5`, `0.0000001`.
    ///
    /// # Errors
    /// [`AmountError`] where it isn't a number, has more than seven decimals, or is too large.
    pub fn from_coins(text: &str) -> Result<Self, AmountError> {
        let bad = || AmountError::NotCoins(text.chars().take(40).collect());
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let dangling = text.contains('.') && part.is_empty();
        if whole.is_empty() || whole.len() > 12 || part.len() > 7 || dangling || !digits(whole) || !digits(part) {
            return Err(bad());
        }
        let whole: i64 = whole.parse().map_err(|_| bad())?;
        let part: i64 = format!("{part:0<7}").parse().map_err(|_| bad())?;
        whole.checked_mul(Self::PER_COIN).and_then(|s| s.checked_add(part)).map(Self).ok_or(AmountError::Overflow)
    }
}

impl fmt::Display for Stroops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Stroops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stroops({})", self.0)
    }
}

impl FromStr for Stroops {
    type Err = AmountError;
    fn from_str(text: &str) -> Result<Self, AmountError> {
        let canonical = text == "0" || (!text.starts_with('0') && !text.is_empty());
        if !canonical || text.len() > 19 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AmountError::NotStroops(text.chars().take(40).collect()));
        }
        text.parse().map(Self).map_err(|_| AmountError::Overflow)
    }
}

impl Serialize for Stroops {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stroops {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Encode for Stroops {
    fn encode<E: bincode::enc::Encoder>(&self, e: &mut E) -> Result<(), bincode::error::EncodeError> {
        self.0.unsigned_abs().encode(e)
    }
}

impl<C> Decode<C> for Stroops {
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, bincode::error::DecodeError> {
        i64::try_from(u64::decode(d)?)
            .map(Self)
            .map_err(|_| bincode::error::DecodeError::Other("an amount above 2^63 - 1 stroops"))
    }
}
bincode::impl_borrow_decode!(Stroops);

/// What a price is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// One call of a paid service.
    Call,
    /// One second of a service that runs and is healthy.
    Second,
    /// One mebibyte carried.
    #[serde(rename = "mib")]
    MiB,
    /// One job.
    Job,
    /// One item.
    Item,
}

impl Unit {
    /// The word that documents use, in the singular.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Second => "second",
            Self::MiB => "mib",
            Self::Job => "job",
            Self::Item => "item",
        }
    }
}

/// A price: so much of an asset for one unit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// What is paid.
    pub asset: Asset,
    /// How much of it a unit costs, in stroops; 0 is free.
    pub amount: Stroops,
    /// What it buys.
    pub unit: Unit,
}

impl Price {
    /// The price of `units`, or `None` where it overflows.
    pub fn total(&self, units: u64) -> Option<Stroops> {
        self.amount.times(units)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read_to_the_stroop() {
        for (text, stroops) in
            [("2", 20_000_000), ("2.5", 25_000_000), ("0.0000001", 1), ("922337203685.4775807", i64::MAX)]
        {
            assert_eq!(Stroops::from_coins(text).unwrap().get(), stroops, "{text}");
        }
        for text in ["", ".", "1.", ".5", "-1", "1e3", "0.00000001", "1,5", "922337203685.4775808", "9999999999999"] {
            assert!(Stroops::from_coins(text).is_err(), "{text}");
        }
        assert_eq!(Stroops::new(25_000_000).unwrap().coins(), "2.5000000");
    }

    #[test]
    fn stroops_in_documents_have_one_spelling() {
        assert_eq!("0".parse::<Stroops>().unwrap(), Stroops::ZERO);
        assert_eq!("9223372036854775807".parse::<Stroops>().unwrap(), Stroops::MAX);
        for text in ["", "00", "01", "+1", "-1", "1.0", "9223372036854775808", "99999999999999999999"] {
            assert!(text.parse::<Stroops>().is_err(), "{text}");
        }
    }

    #[test]
    fn products_that_overflow_are_refused() {
        let two_to_62 = Stroops::new(1 << 62).unwrap();
        assert_eq!(two_to_62.times(2), None);
        assert_eq!(two_to_62.times(1), Some(two_to_62));
        assert_eq!(Stroops::ZERO.times(u64::MAX), Some(Stroops::ZERO));
    }
}
