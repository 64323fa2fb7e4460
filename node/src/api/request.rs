//! What clients send.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tradepost_protocol::account::{AccountId, ServiceKey};
use tradepost_protocol::amount::{Price, Stroops};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::document::{Arbitration, Commit, InterfaceHash, Repository, ServicePath, Transport, Windows};
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::message::{BalanceId, Sha256Hash};
use tradepost_protocol::stellar::memo::PaymentMemo;

use super::base64::Base64;

/// An offering to be published, as its owner describes it; the node adds keys, bond and lifetime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOffering {
    /// A built-in template's name, or a template's content id.
    pub template: String,
    /// One line.
    pub title: String,
    /// More.
    #[serde(default)]
    pub description: String,
    /// What the template's schema asks for.
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// The service whose current record it offers, by its key, where the template requires one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<ServiceKey>,
    /// Who is paid; this node's account where it isn't said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<AccountId>,
    /// What a unit costs.
    pub price: Price,
    /// The fewest units of a binding.
    pub min_units: u64,
    /// The most.
    pub max_units: u64,
    /// How many bindings at once.
    pub max_supply: u32,
    /// How long the parts of a binding take.
    pub windows: Windows,
    /// Kinds of escrow that it takes.
    #[serde(default = "timed")]
    pub escrow: Vec<EscrowKind>,
    /// Who decides disputes, and how long their parts may take, where it takes `arbitrated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arbitration: Option<Arbitration>,
    /// Which transports reach this node; those of the configuration where it isn't said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transports: Option<Vec<Transport>>,
    /// How long the offering stands, seconds.
    pub life_secs: u64,
    /// What serves those who bind it; nothing where people do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServedBy>,
}

/// What serves those who bind an offering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ServedBy {
    /// A service of the node's configuration, by its name.
    Configured(String),
    /// A table with the keys of the configuration's `[service.NAME]`.
    Described(Map<String, Value>),
}

/// Bind an offering.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewBinding {
    /// The offering or its series, whole or the beginning of exactly one.
    pub offering: String,
    /// How many units.
    pub units: u64,
    /// How the money is to be held; what the configuration prefers where it isn't said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escrow: Option<EscrowKind>,
    /// The buyer's word that from T on the escrow is the provider's, unless a dispute was won until then: silence pays.
    #[serde(default)]
    pub pay_unless_disputed: bool,
    /// Run the checks and say what it costs, nothing more.
    #[serde(default)]
    pub dry_run: bool,
}

/// Sign for a division of an escrow that has arbiters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRelease {
    /// The provider's share, in stroops of the escrow's asset; everything for the other side where it isn't said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_provider: Option<Stroops>,
}

/// Ask the arbiters who is paid.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDispute {
    /// What the provider should get, in stroops of the escrow's asset; everything for this side where it isn't said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_provider: Option<Stroops>,
    /// What the arbiters should know.
    #[serde(default)]
    pub text: String,
}

/// Show the arbiters something; 16 KiB in all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEvidence {
    /// What it says.
    #[serde(default)]
    pub text: String,
    /// Files with it, at most 8.
    #[serde(default)]
    pub files: Vec<NewFile>,
}

/// A file that is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewFile {
    /// Its name, 1 to 64 characters.
    pub name: String,
    /// What is in it.
    pub bytes: Base64,
}

/// Decide a case as its arbiter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAward {
    /// The provider's share before the arbiters' fees, in stroops of the escrow's asset; the rest is the consumer's.
    pub to_provider: Stroops,
    /// Why, for both sides, at most 256 bytes.
    #[serde(default)]
    pub note: String,
}

/// Ask for an offering by gossip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRequest {
    /// The offering or its series, whole or the beginning of exactly one.
    pub offering: String,
    /// How many units.
    pub units: u64,
    /// For how long it may be agreed to, seconds, at most an hour.
    pub life_secs: u64,
    /// How the money is to be held; what the configuration prefers where it isn't said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escrow: Option<EscrowKind>,
    /// Run the checks and say what it costs, nothing more.
    #[serde(default)]
    pub dry_run: bool,
}

/// A service's record, new or its next revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewService {
    /// The service, where its repository or path changes; else it is found by these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceKey>,
    /// Its name for people.
    pub title: String,
    /// Where its source is.
    pub repository: Repository,
    /// The version that is current.
    pub commit: Commit,
    /// Its directory in the repository; empty for the repository itself.
    pub path: ServicePath,
    /// The hash of its interface description.
    pub interface_hash: InterfaceHash,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPayment {
    /// Whom.
    pub to: AccountId,
    /// How much, in stroops of `asset`.
    pub amount: Stroops,
    /// In what.
    #[serde(default = "native")]
    pub asset: Asset,
    /// What it says besides: `{"text": …}` of at most 28 bytes, `{"id": …}` or `{"hash": …}` of 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<PaymentMemo>,
    /// Say what it costs, nothing more.
    #[serde(default)]
    pub dry_run: bool,
}

/// Let the account hold an issued asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTrust {
    /// Which: CODE:ISSUER.
    pub asset: Asset,
    /// How much of it, in its stroops; 0 removes the trustline.
    pub limit: Stroops,
    /// Say what it costs and means, nothing more.
    #[serde(default)]
    pub dry_run: bool,
}

/// Put the root over hashes into the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTimestamps {
    /// What is stamped, SHA-256, 1 to 1,024.
    pub hashes: Vec<Sha256Hash>,
    /// Say what it costs, nothing more.
    #[serde(default)]
    pub dry_run: bool,
}

/// Look for what the account has locked, from its key alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRecovery {
    /// Take back what was found, each when it is due; else only look.
    #[serde(default)]
    pub take: bool,
}

/// Do something in a help exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewHelp {
    /// Which, by its asset; the only one that the node is in where it isn't said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Asset>,
    /// What.
    pub deed: NewDeed,
    /// Say what it costs, nothing more.
    #[serde(default)]
    pub dry_run: bool,
}

/// What is done in a help exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewDeed {
    /// Set the exchange up, as the configured role.
    Create {
        /// For how long the agent offers it, seconds.
        life_secs: u64,
    },
    /// Join it.
    Join {
        /// Who runs it: anybody can offer anybody's exchange, so its agent is named as its issuer is.
        agent: AccountId,
    },
    /// Leave it.
    Leave {
        /// Where the account's coins go, where it ends too.
        into: Option<AccountId>,
    },
    /// Offer help.
    Offer {
        /// In words.
        text: String,
        /// What it costs, in stroops of the exchange's asset.
        price: Stroops,
        /// For how long, seconds; 0 for no end.
        valid_secs: u64,
    },
    /// Want help.
    Request {
        /// In words.
        text: String,
        /// What it is worth, in stroops of the exchange's asset.
        price: Stroops,
        /// For how long, seconds; 0 for no end.
        valid_secs: u64,
    },
    /// Take an offer or request.
    Take {
        /// Its transaction or offering, or the beginning of that.
        of: String,
        /// The most that it may cost, the fee not counted, in stroops of the exchange's asset; a make that costs more is
        /// refused as `dearer-than-said`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_most: Option<Stroops>,
    },
    /// Claim a take of one's offer.
    Claim {
        /// The take.
        of: String,
    },
    /// Grant a take of one's request.
    Grant {
        /// The take.
        of: String,
    },
    /// Have what was paid converted.
    Convert {
        /// The take or grant by which it was paid.
        of: String,
    },
    /// Ask for what one paid.
    Repay {
        /// The take or grant by which it was paid.
        of: String,
    },
    /// Take back what is one's own.
    Reclaim {
        /// The balance.
        balance: BalanceId,
    },
}

/// Write a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewBackup {
    /// A new file, from the root on; the node writes it.
    pub file: PathBuf,
}

/// The kinds of escrow of an offering that doesn't say.
pub(crate) fn timed() -> Vec<EscrowKind> {
    vec![EscrowKind::Timed]
}

fn native() -> Asset {
    Asset::Native
}
