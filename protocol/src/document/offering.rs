//! Offerings: what a provider sells, on which terms.

use core::time::Duration;

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Arbitration, Commit, Nonce, Repository, RuleError, Rules, ServicePath};
use crate::account::{AccountId, PeerId, ServiceKey, ServingKey, SignerKey};
use crate::amount::{Price, Stroops, Unit};
use crate::escrow::EscrowKind;
use crate::kind::Kind;
use crate::limits::{MAX_ESCROW_KINDS, MAX_PEER_IDS, MAX_WINDOW};
use crate::message::{BalanceId, Payload, SeriesId, Signed, TemplateId};
use crate::refusal::Refusal;
use crate::seal::SealingKey;
use crate::time::Timestamp;

/// A way to reach a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP with noise and yamux.
    Tcp,
    /// QUIC.
    Quic,
}

/// How long a binding's parts may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// Seconds from `start_by` to `deliver_by`.
    pub deliver_secs: u64,
    /// Seconds from `deliver_by` to T, in which the provider collects.
    pub collect_secs: u64,
}

impl Windows {
    /// From `start_by` to `deliver_by`.
    pub const fn deliver(&self) -> Duration {
        Duration::from_secs(self.deliver_secs)
    }

    /// From `deliver_by` to T.
    pub const fn collect(&self) -> Duration {
        Duration::from_secs(self.collect_secs)
    }

    /// From `start_by` to T; saturates.
    pub const fn total(&self) -> Duration {
        Duration::from_secs(self.deliver_secs.saturating_add(self.collect_secs))
    }
}

/// Which version of which service is offered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceRef {
    /// The service's own key.
    pub service: ServiceKey,
    /// Where its source is.
    pub repository: Repository,
    /// The version.
    pub commit: Commit,
    /// Its directory in the repository.
    pub path: ServicePath,
}

/// What a provider sells, on which terms. A later revision is a whole document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offering {
    /// The provider's account, which signs this.
    pub account: AccountId,
    /// The series; absent in the first revision, whose id names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesId>,
    /// 1 for the first revision, then higher each time.
    pub revision: u64,
    /// The template that `parameters` follow.
    pub template: TemplateId,
    /// What is sold, in the template's words.
    pub parameters: Map<String, Value>,
    /// One line for people.
    pub title: String,
    /// More for people.
    pub description: String,
    /// The service behind it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceRef>,
    /// The account that is paid; nothing pays another.
    pub recipient: AccountId,
    /// The key that signs for this offering what an unattended node must sign.
    pub serving_key: ServingKey,
    /// What a unit costs.
    pub price: Price,
    /// The fewest units of a binding.
    pub min_units: u64,
    /// The most units of a binding.
    pub max_units: u64,
    /// How many bindings it can hold at once.
    pub max_supply: u32,
    /// Escrow kinds that the provider accepts.
    pub escrow: Vec<EscrowKind>,
    /// How long a binding's parts may take.
    pub windows: Windows,
    /// Who decides disputes, and how long they may take: exactly where `escrow` lists `arbitrated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arbitration: Option<Arbitration>,
    /// Where its nodes are; peer routing finds their addresses.
    pub peer_ids: Vec<PeerId>,
    /// Ways to reach them.
    pub transports: Vec<Transport>,
    /// What requests' secrets are sealed to.
    pub sealing_key: SealingKey,
    /// The claimable balance that is locked behind the series.
    pub bond: BalanceId,
    /// Makes the offering's id its own.
    pub nonce: Nonce,
    /// The last second in which it may be bound.
    pub valid_until: Timestamp,
}

impl Offering {
    /// price × min_units × max_supply: what the bond must cover where the price is in the native coin. `None` above the
    /// ledger's limit.
    pub fn max_exposure(&self) -> Option<Stroops> {
        self.price.total(self.min_units)?.times(u64::from(self.max_supply))
    }

    /// The earliest moment that the bond may be released: when the last binding's T can have passed.
    pub fn bond_release(&self) -> Timestamp {
        let disputed = self.arbitration.as_ref().map(|a| self.windows.deliver() + a.total());
        self.valid_until.plus(self.windows.total().max(disputed.unwrap_or_default()))
    }

    /// Whether `units` is within what one binding may have.
    pub fn allows(&self, units: u64) -> bool {
        (self.min_units..=self.max_units).contains(&units)
    }
}

/// The series that a signed offering belongs to: its own id in the first revision.
pub fn series_of(offering: &Signed<Offering>) -> SeriesId {
    offering.body().series.unwrap_or_else(|| SeriesId::from_bytes(*offering.id().as_bytes()))
}

impl Rules for Offering {
    fn check(&self) -> Result<(), RuleError> {
        match (self.revision, self.series) {
            (0, _) => return Err(RuleError::new("revision", "must be at least 1")),
            (1, Some(_)) => return Err(RuleError::new("series", "must be absent in the first revision")),
            (2.., None) => return Err(RuleError::new("series", "must name the first revision's id")),
            _ => {}
        }
        super::title("title", &self.title)?;
        super::description("description", &self.description)?;
        self.check_amounts()?;
        self.check_windows()?;
        super::distinct("escrow", &self.escrow, MAX_ESCROW_KINDS)?;
        self.check_arbitration()?;
        super::distinct("peer_ids", &self.peer_ids, MAX_PEER_IDS)?;
        super::distinct("transports", &self.transports, 2)
    }
}

impl Offering {
    fn check_amounts(&self) -> Result<(), RuleError> {
        if self.min_units == 0 {
            return Err(RuleError::new("min_units", "must be at least 1"));
        }
        if self.max_units < self.min_units {
            return Err(RuleError::new("max_units", "must not be below min_units"));
        }
        if self.max_supply == 0 {
            return Err(RuleError::new("max_supply", "must be at least 1"));
        }
        if self.price.total(self.max_units).is_none() {
            return Err(RuleError::new("max_units", "price x max_units is more than the ledger can hold"));
        }
        if self.max_exposure().is_none() {
            return Err(RuleError::new(
                "max_supply",
                "price x min_units x max_supply is more than the ledger can hold",
            ));
        }
        Ok(())
    }

    fn check_arbitration(&self) -> Result<(), RuleError> {
        match (&self.arbitration, self.escrow.contains(&EscrowKind::Arbitrated)) {
            (Some(arbitration), true) => arbitration.check(),
            (None, false) => Ok(()),
            (Some(_), false) => {
                Err(RuleError::new("arbitration", "must be absent where escrow doesn't list arbitrated"))
            }
            (None, true) => Err(RuleError::new("arbitration", "is missing; the escrow arbitrated needs arbiters")),
        }
    }

    fn check_windows(&self) -> Result<(), RuleError> {
        let deliver = self.windows.deliver_secs;
        if self.price.unit == Unit::Second && self.max_units > deliver {
            let what = format_args!(
                "must not be above windows.deliver_secs, {deliver}: what is sold by the second must fit in there; lower it, or \
                 make deliver_secs longer"
            );
            return Err(RuleError::new("max_units", what));
        }
        let within = |secs| (1..=MAX_WINDOW.as_secs()).contains(&secs);
        if !within(self.windows.deliver_secs) || !within(self.windows.collect_secs) {
            let most = MAX_WINDOW.as_secs();
            return Err(RuleError::new("windows", format_args!("each must be 1 to {most} seconds")));
        }
        Ok(())
    }
}

impl Payload for Offering {
    const KIND: Kind = Kind::Offering;

    fn decode(payload: &[u8]) -> Result<Self, Refusal> {
        super::decode(Self::KIND, payload)
    }

    fn encode(&self) -> Result<Vec<u8>, Refusal> {
        super::encode(Self::KIND, self)
    }

    fn signer(&self) -> SignerKey {
        self.account.into()
    }
}

#[cfg(test)]
pub(super) mod tests;
