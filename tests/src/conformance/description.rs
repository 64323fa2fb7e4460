//! What describes an envelope, and what a builder makes of it: one line of JSON each.
//!
//! Accounts, keys and seeds are strkeys (SEP-23), assets `native` or `CODE:ISSUER`, amounts stroops. Numbers of 64 bits
//! are decimal strings, because JSON's numbers are not; bytes are hex.

use core::fmt::{self, Display};
use core::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of 64 bits, as a decimal string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal<T>(pub T);

impl<T: Display> Serialize for Decimal<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Decimal<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// Bytes, as hex.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        hex::decode(String::deserialize(d)?).map(Self).map_err(D::Error::custom)
    }
}

/// An envelope by its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Which one of its run.
    pub number: u64,
    /// The network's passphrase.
    pub network: String,
    /// The transaction's source, `G…` or `M…`.
    pub source: String,
    /// The sequence number that it uses.
    pub sequence: Decimal<i64>,
    /// The fee for each operation, in stroops.
    pub base_fee: u32,
    /// When it may be included.
    pub preconditions: Preconditions,
    /// What it says.
    pub memo: Memo,
    /// What it does.
    pub operations: Vec<Operation>,
    /// Who signs it, in order.
    pub signatures: Vec<Signer>,
    /// Who pays for it instead of its source.
    pub bump: Option<Bump>,
}

/// A fee bump around the transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bump {
    /// Who pays, `G…` or `M…`.
    pub source: String,
    /// The fee for each operation and for the bump itself, in stroops.
    pub base_fee: Decimal<i64>,
    /// Who signs it, in order.
    pub signatures: Vec<Signer>,
}

/// When a transaction may be included (CAP-21).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Preconditions {
    /// Always.
    None,
    /// Between two close times.
    Time(TimeBounds),
    /// Under any of the conditions that there are.
    General {
        /// Between two close times.
        time: Option<TimeBounds>,
        /// Between two ledgers.
        ledgers: Option<LedgerBounds>,
        /// From which sequence number of the source on.
        min_sequence: Option<Decimal<i64>>,
        /// How many seconds after the source's last transaction.
        min_sequence_age: Decimal<u64>,
        /// How many ledgers after the source's last transaction.
        min_sequence_ledger_gap: u32,
        /// Signers of any kind that have to sign it as well; at most two.
        extra_signers: Vec<String>,
    },
}

/// Two close times, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeBounds {
    /// The earliest.
    pub min: Decimal<u64>,
    /// The latest; 0 for none.
    pub max: Decimal<u64>,
}

/// Two ledgers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerBounds {
    /// The first.
    pub min: u32,
    /// The one after the last; 0 for none.
    pub max: u32,
}

/// What a transaction says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Memo {
    /// Nothing.
    None,
    /// At most 28 bytes.
    Text {
        /// The bytes.
        value: Bytes,
    },
    /// A number.
    Id {
        /// The number.
        value: Decimal<u64>,
    },
    /// 32 bytes.
    Hash {
        /// The bytes.
        value: Bytes,
    },
    /// The 32 bytes of what is paid back.
    Return {
        /// The bytes.
        value: Bytes,
    },
}

/// What makes a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Signer {
    /// A key that signs the transaction's hash.
    Key {
        /// Its seed, `S…`.
        seed: String,
    },
    /// The preimage of a hash-x signer.
    Preimage {
        /// At most 64 bytes.
        preimage: Bytes,
    },
    /// A key that signs a payload (CAP-40).
    Payload {
        /// Its seed, `S…`.
        seed: String,
        /// 1 to 64 bytes.
        payload: Bytes,
    },
}

/// An operation with its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// `G…` or `M…`; the transaction's source where there is none.
    pub source: Option<String>,
    /// What it does.
    #[serde(flatten)]
    pub body: Body,
}

/// What an operation does. The names are the protocol's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are those of the protocol's operations")]
pub enum Body {
    CreateAccount { destination: String, starting_balance: Decimal<i64> },
    Payment { destination: String, asset: String, amount: Decimal<i64> },
    SetOptions(Options),
    ChangeTrust { line: Line, limit: Decimal<i64> },
    AccountMerge { destination: String },
    ManageData { name: String, value: Option<Bytes> },
    BumpSequence { bump_to: Decimal<i64> },
    CreateClaimableBalance { asset: String, amount: Decimal<i64>, claimants: Vec<Claimant> },
    ClaimClaimableBalance { balance: Bytes },
    BeginSponsoringFutureReserves { sponsored: String },
    EndSponsoringFutureReserves,
    RevokeSponsorship { of: Sponsored },
    Clawback { from: String, asset: String, amount: Decimal<i64> },
    ClawbackClaimableBalance { balance: Bytes },
    SetTrustLineFlags { trustor: String, asset: String, clear_flags: u32, set_flags: u32 },
}

/// Options of an account; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the protocol's operation")]
pub struct Options {
    pub inflation_destination: Option<String>,
    pub clear_flags: Option<u32>,
    pub set_flags: Option<u32>,
    pub master_weight: Option<u32>,
    pub low_threshold: Option<u32>,
    pub medium_threshold: Option<u32>,
    pub high_threshold: Option<u32>,
    pub home_domain: Option<String>,
    pub signer: Option<Weighted>,
}

/// A signer of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weighted {
    /// `G…`, `T…`, `X…` or `P…`.
    pub key: String,
    /// 0 to 255; 0 removes it.
    pub weight: u32,
}

/// What a trustline holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// An issued asset.
    Asset {
        /// `CODE:ISSUER`.
        asset: String,
    },
    /// Shares of the pool of two assets, which are in the protocol's order.
    Pool {
        /// The one that comes first.
        a: String,
        /// The other one.
        b: String,
    },
}

/// An entry whose reserve somebody else holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are those of the protocol's ledger keys")]
pub enum Sponsored {
    Account { account: String },
    Trustline { account: String, line: Line },
    Data { account: String, name: String },
    ClaimableBalance { balance: Bytes },
    Signer { account: String, key: String },
}

/// Who may claim a balance, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimant {
    /// `G…`.
    pub destination: String,
    /// When.
    pub predicate: Predicate,
}

/// When a balance may be claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Predicate {
    /// At any time.
    Unconditional,
    /// When both hold.
    And {
        /// The two.
        of: Box<[Self; 2]>,
    },
    /// When one holds.
    Or {
        /// The two.
        of: Box<[Self; 2]>,
    },
    /// When it doesn't hold.
    Not {
        /// It.
        of: Box<Self>,
    },
    /// In ledgers that close before a moment.
    BeforeAbsoluteTime {
        /// In seconds since 1970.
        time: Decimal<i64>,
    },
    /// In ledgers that close within so many seconds.
    BeforeRelativeTime {
        /// How many.
        seconds: Decimal<i64>,
    },
}

/// What a builder made of a description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// Which description.
    pub number: u64,
    /// The envelope's XDR, in base64.
    pub xdr: String,
    /// The hash that the transaction's signatures cover, in hex.
    pub hash: String,
    /// The transaction's signatures in order: hint and signature, in hex.
    pub signatures: Vec<String>,
    /// The fee bump's own.
    pub bump: Option<BuiltBump>,
}

/// What a builder made of a fee bump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltBump {
    /// The hash that its signatures cover, in hex.
    pub hash: String,
    /// Its signatures in order: hint and signature, in hex.
    pub signatures: Vec<String>,
}
