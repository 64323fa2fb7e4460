//! Arbiters in documents: whom an offering accepts, and what an arbiter itself offers.

use core::time::Duration;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BuiltIn, Offering, RuleError};
use crate::account::{AccountId, PeerId, ServingKey};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::limits::{MAX_LISTED_ARBITERS, MAX_WINDOW, Margins};
use crate::refusal::{Reason, Refusal};
use crate::seal::SealingKey;

/// The built-in template that arbiters' offerings follow.
const TEMPLATE: &str = "arbiter";

/// Who decides disputes about an offering's bindings, and how long each part of a dispute may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arbitration {
    /// The arbiters that the provider accepts, by account. A binding's stand in the consumer's list too.
    pub arbiters: Vec<AccountId>,
    /// Seconds from `deliver_by` to `dispute_by`, in which a party opens a dispute.
    pub dispute_secs: u64,
    /// Seconds from `dispute_by` to `award_by`, in which the arbiters decide.
    pub award_secs: u64,
    /// Seconds from `award_by` to T, in which an award is settled on the ledger.
    pub settle_secs: u64,
}

impl Arbitration {
    /// From `deliver_by` to T; saturates.
    pub const fn total(&self) -> Duration {
        let secs = self.dispute_secs.saturating_add(self.award_secs).saturating_add(self.settle_secs);
        Duration::from_secs(secs)
    }

    /// Checks its windows against a network's margins.
    ///
    /// # Errors
    /// [`Reason::InvalidDocument`] with the window that is too short.
    pub fn check_margins(&self, margins: &Margins) -> Result<(), Refusal> {
        for (name, secs, least) in [
            ("dispute_secs", self.dispute_secs, margins.min_dispute),
            ("award_secs", self.award_secs, margins.min_award),
            ("settle_secs", self.settle_secs, margins.min_settle),
        ] {
            if secs < least.as_secs() {
                let detail =
                    format!("/arbitration/{name}: is {secs}, must be at least {} on this network", least.as_secs());
                return Err(Refusal::new(Reason::InvalidDocument, detail));
            }
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), RuleError> {
        super::distinct("arbitration/arbiters", &self.arbiters, MAX_LISTED_ARBITERS)?;
        let within = |secs| (1..=MAX_WINDOW.as_secs()).contains(&secs);
        if ![self.dispute_secs, self.award_secs, self.settle_secs].into_iter().all(within) {
            let most = MAX_WINDOW.as_secs();
            return Err(RuleError::new("arbitration", format_args!("each window must be 1 to {most} seconds")));
        }
        Ok(())
    }
}

/// What an arbiter offers, read from its offering under the template `arbiter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArbiterService {
    /// The account by which parties list it; its fee is paid to this account.
    pub account: AccountId,
    /// Signs its engagements and awards, and is its signer on controllers.
    pub key: ServingKey,
    /// What evidence is sealed to.
    pub sealing: SealingKey,
    /// Where its nodes are.
    pub peers: Vec<PeerId>,
    /// The shortest window for an award that it takes a case with.
    pub award: Duration,
    /// By what it decides, in its own words.
    pub policy: String,
    fees: BTreeMap<Asset, Stroops>,
}

/// How an arbiter writes what it takes in another asset than its price's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fee {
    asset: Asset,
    fee: Stroops,
}

/// The template's parameters, which its schema has checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    award_secs: u64,
    policy: String,
    #[serde(default)]
    fees: Vec<Fee>,
}

impl ArbiterService {
    /// Whether an offering is an arbiter's.
    pub fn is_one(offering: &Offering) -> bool {
        BuiltIn::named(TEMPLATE).is_some_and(|built_in| built_in.id == offering.template)
    }

    /// Reads what an arbiter offers; `None` where the offering isn't an arbiter's.
    ///
    /// # Errors
    /// [`Reason::InvalidDocument`] where its assets or fees are none, an asset is named twice, or the units of a binding
    /// aren't exactly one: an award is one job.
    pub fn of(offering: &Offering) -> Result<Option<Self>, Refusal> {
        if !Self::is_one(offering) {
            return Ok(None);
        }
        let invalid = |detail: String| Refusal::new(Reason::InvalidDocument, detail);
        let parameters: Parameters = serde_json::from_value(offering.parameters.clone().into())
            .map_err(|e| invalid(format!("/parameters: {e}")))?;
        if (offering.min_units, offering.max_units) != (1, 1) {
            return Err(invalid("/max_units: must be 1, as min_units; an arbiter's price is for one award".to_owned()));
        }
        let mut fees = BTreeMap::from([(offering.price.asset.clone(), offering.price.amount)]);
        for Fee { asset, fee } in parameters.fees {
            let detail = format!("/parameters/fees: {asset} is named twice");
            if fees.insert(asset, fee).is_some() {
                return Err(invalid(detail));
            }
        }
        Ok(Some(Self {
            account: offering.account,
            key: offering.serving_key,
            sealing: offering.sealing_key,
            peers: offering.peer_ids.clone(),
            award: Duration::from_secs(parameters.award_secs),
            policy: parameters.policy,
            fees,
        }))
    }

    /// What an award about an escrow in this asset costs; `None` where the arbiter takes no such case.
    pub fn fee(&self, asset: &Asset) -> Option<Stroops> {
        self.fees.get(asset).copied()
    }

    /// The assets that it takes cases in.
    pub fn assets(&self) -> impl Iterator<Item = (&Asset, Stroops)> {
        self.fees.iter().map(|(asset, fee)| (asset, *fee))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
pub(crate) mod tests {
    use super::*;
    use crate::amount::{Price, Unit};
    use crate::document::offering::tests::offering;

    /// What an arbiter offers for two coins an award.
    pub(crate) fn arbiters_offering() -> Offering {
        Offering {
            template: BuiltIn::named(TEMPLATE).unwrap().id,
            parameters: serde_json::json!({"award_secs": 60, "policy": "What was agreed."})
                .as_object()
                .unwrap()
                .clone(),
            service: None,
            price: Price { asset: Asset::Native, amount: Stroops::whole(2), unit: Unit::Job },
            max_units: 1,
            ..offering()
        }
    }

    fn usd() -> Asset {
        Asset::issued("USD", AccountId::from_bytes([9; 32])).unwrap()
    }

    fn with(parameters: serde_json::Value) -> Offering {
        Offering { parameters: parameters.as_object().unwrap().clone(), ..arbiters_offering() }
    }

    #[test]
    fn an_arbiters_fee_is_its_price_and_what_it_names_for_other_assets() {
        let fees = serde_json::json!([{"asset": usd().to_string(), "fee": "5"}]);
        let offered = with(serde_json::json!({"award_secs": 60, "policy": "p", "fees": fees}));
        BuiltIn::named(TEMPLATE).unwrap().template.check(&offered).unwrap();
        let service = ArbiterService::of(&offered).unwrap().unwrap();
        assert_eq!((service.fee(&Asset::Native), service.fee(&usd())), (Some(Stroops::whole(2)), Stroops::new(5)));
        assert_eq!(service.fee(&Asset::issued("EUR", AccountId::from_bytes([9; 32])).unwrap()), None);
        assert_eq!((service.award.as_secs(), service.assets().count()), (60, 2));
    }

    #[test]
    fn an_arbiters_offering_that_cannot_be_read_says_why_and_others_are_none() {
        assert_eq!(ArbiterService::of(&offering()), Ok(None));
        let refused = |offering: &Offering| ArbiterService::of(offering).unwrap_err().detail;
        let fee = |asset: &str, fee: &str| {
            with(serde_json::json!({"award_secs": 60, "policy": "p", "fees": [{"asset": asset, "fee": fee}]}))
        };
        assert!(refused(&fee("XLM", "5")).contains("not an asset"));
        assert!(refused(&fee(&usd().to_string(), "0.5")).contains("not an amount"));
        assert!(refused(&fee("native", "5")).contains("twice"));
        assert!(refused(&Offering { max_units: 2, ..arbiters_offering() }).contains("/max_units"));
    }

    #[test]
    fn windows_are_as_long_as_the_network_asks() {
        let day = Arbitration {
            arbiters: vec![AccountId::from_bytes([1; 32])],
            dispute_secs: 7_200,
            award_secs: 86_400,
            settle_secs: 3_600,
        };
        assert_eq!(day.check_margins(&Margins::PUBLIC), Ok(()));
        assert_eq!(day.total().as_secs(), 97_200);
        for (name, short) in [
            ("dispute_secs", Arbitration { dispute_secs: 7_199, ..day.clone() }),
            ("award_secs", Arbitration { award_secs: 86_399, ..day.clone() }),
            ("settle_secs", Arbitration { settle_secs: 3_599, ..day.clone() }),
        ] {
            assert!(short.check_margins(&Margins::PUBLIC).unwrap_err().detail.contains(name));
            assert_eq!(short.check_margins(&Margins::DEVNET), Ok(()));
        }
    }
}
