//! Binding requests: what a consumer wants from one offering.

use serde::{Deserialize, Serialize};

use super::{Nonce, Offering, RuleError, Rules};
use crate::account::{AccountId, PeerId, ServingKey, SignerKey};
use crate::amount::Stroops;
use crate::escrow::EscrowKind;
use crate::kind::Kind;
use crate::limits::{MAX_ESCROW_KINDS, MAX_FRAME_LEAD, MAX_LISTED_ARBITERS, MAX_REQUEST_LIFE};
use crate::message::{MessageId, Payload, SeriesId};
use crate::refusal::{Reason, Refusal};
use crate::seal::SealingKey;
use crate::time::Timestamp;

/// What a consumer wants, directed at one offering: handed straight to its provider, or published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BindingRequest {
    /// The consumer's account, which signs this and pays.
    pub account: AccountId,
    /// The revision of the offering that is wanted.
    pub offering: MessageId,
    /// Its series.
    pub series: SeriesId,
    /// How many units.
    pub units: u64,
    /// The most that the consumer pays for them, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Stroops>,
    /// Escrow kinds that the consumer accepts, the preferred one first.
    pub escrow: Vec<EscrowKind>,
    /// Arbiters that the consumer trusts with this trade, the preferred ones first: exactly where `escrow` lists
    /// `arbitrated`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arbiters: Vec<AccountId>,
    /// The consumer's own word that the provider is paid at T unless the consumer has won a dispute.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub pay_unless_disputed: bool,
    /// What access details are sealed to; used for this request alone.
    pub sealing_key: SealingKey,
    /// The key that signs for the consumer in this trade.
    pub signing_key: ServingKey,
    /// Where the consumer's node is.
    pub peer: PeerId,
    /// Makes the request's id its own.
    pub nonce: Nonce,
    /// The last second in which it may be agreed to; at most an hour ahead.
    pub valid_until: Timestamp,
}

impl BindingRequest {
    /// Checks its lifetime against the present.
    ///
    /// # Errors
    /// [`Reason::Expired`], or [`Reason::FromTheFuture`] where it lives longer than [`MAX_REQUEST_LIFE`].
    pub fn check_life(&self, now: Timestamp) -> Result<(), Refusal> {
        if self.valid_until < now {
            return Err(Refusal::new(Reason::Expired, format_args!("valid until {}", self.valid_until)));
        }
        if self.valid_until > now.plus(MAX_REQUEST_LIFE).plus(MAX_FRAME_LEAD) {
            let detail = format!("valid until {}, at most an hour from now is allowed", self.valid_until);
            return Err(Refusal::new(Reason::FromTheFuture, detail));
        }
        Ok(())
    }

    /// What so many units of the offering cost, where the request fits it.
    ///
    /// # Errors
    /// What doesn't fit, with the member's path.
    pub fn amount_of(&self, offering: &Offering) -> Result<Stroops, &'static str> {
        let amount = offering.price.total(self.units).filter(|_| offering.allows(self.units));
        let amount = amount.ok_or("/units: they are outside the offering's bounds")?;
        if self.budget.is_some_and(|budget| budget < amount) {
            return Err("/budget: it is below the price");
        }
        if !amount.is_zero() && !offering.escrow.iter().any(|kind| self.escrow.contains(kind)) {
            return Err("/escrow: no kind is common with the offering");
        }
        if self.account == offering.recipient {
            return Err("/account: consumer and recipient are the same account");
        }
        Ok(amount)
    }
}

impl Rules for BindingRequest {
    fn check(&self) -> Result<(), RuleError> {
        if self.units == 0 {
            return Err(RuleError::new("units", "must be at least 1"));
        }
        super::distinct("escrow", &self.escrow, MAX_ESCROW_KINDS)?;
        let arbitrated = self.escrow.contains(&EscrowKind::Arbitrated);
        if arbitrated {
            super::distinct("arbiters", &self.arbiters, MAX_LISTED_ARBITERS)?;
        } else if !self.arbiters.is_empty() {
            return Err(RuleError::new("arbiters", "must be absent where escrow doesn't list arbitrated"));
        }
        if self.pay_unless_disputed && !arbitrated {
            return Err(RuleError::new("pay_unless_disputed", "is possible under the escrow arbitrated alone"));
        }
        Ok(())
    }
}

impl Payload for BindingRequest {
    const KIND: Kind = Kind::BindingRequest;

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
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn request() -> BindingRequest {
        BindingRequest {
            account: AccountId::from_bytes([1; 32]),
            offering: MessageId::from_bytes([2; 32]),
            series: SeriesId::from_bytes([3; 32]),
            units: 5,
            budget: Stroops::new(70),
            escrow: vec![EscrowKind::Timed],
            arbiters: vec![],
            pay_unless_disputed: false,
            sealing_key: SealingKey::from_bytes([4; 32]),
            signing_key: ServingKey::from_bytes([5; 32]),
            peer: "12D3KooWabc".parse().unwrap(),
            nonce: Nonce::from_bytes([6; 16]),
            valid_until: Timestamp::from_secs(1_800_000_000),
        }
    }

    #[test]
    fn a_request_has_its_golden_bytes() {
        let golden = concat!(
            r#"{"account":"GAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQDZ7H","#,
            r#""offering":"0202020202020202020202020202020202020202020202020202020202020202","#,
            r#""series":"0303030303030303030303030303030303030303030303030303030303030303","#,
            r#""units":5,"budget":"70","escrow":["timed"],"#,
            r#""sealing_key":"0404040404040404040404040404040404040404040404040404040404040404","#,
            r#""signing_key":"GACQKBIFAUCQKBIFAUCQKBIFAUCQKBIFAUCQKBIFAUCQKBIFAUCQKG7N","peer":"12D3KooWabc","#,
            r#""nonce":"06060606060606060606060606060606","valid_until":1800000000}"#
        );
        assert_eq!(String::from_utf8(request().encode().unwrap()).unwrap(), golden);
        assert_eq!(BindingRequest::decode(golden.as_bytes()).unwrap(), request());
    }

    #[test]
    fn a_request_wants_something_under_an_escrow_and_knows_no_other_fields() {
        assert!(BindingRequest { units: 0, ..request() }.encode().is_err());
        assert!(BindingRequest { escrow: vec![], ..request() }.encode().is_err());
        assert!(BindingRequest { escrow: vec![EscrowKind::Timed; 2], ..request() }.encode().is_err());
        let more =
            String::from_utf8(request().encode().unwrap()).unwrap().replace("\"units\"", "\"extra\":1,\"units\"");
        let refusal = BindingRequest::decode(more.as_bytes()).unwrap_err();
        assert!(refusal.detail.contains("extra"), "{refusal}");
    }

    #[test]
    fn arbiters_and_who_is_paid_unless_disputed_belong_to_the_escrow_that_knows_them() {
        let arbitrated = BindingRequest {
            escrow: vec![EscrowKind::Arbitrated, EscrowKind::Timed],
            arbiters: vec![AccountId::from_bytes([7; 32])],
            pay_unless_disputed: true,
            ..request()
        };
        let text = String::from_utf8(arbitrated.encode().unwrap()).unwrap();
        let golden = concat!(
            r#""escrow":["arbitrated","timed"],"#,
            r#""arbiters":["GADQOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOZPI"],"pay_unless_disputed":true,"#
        );
        assert!(text.contains(golden), "{text}");
        assert_eq!(BindingRequest::decode(text.as_bytes()).unwrap(), arbitrated);
        let refused = |request: BindingRequest| request.encode().unwrap_err().detail;
        let arbiters = arbitrated.arbiters.clone();
        assert!(refused(BindingRequest { arbiters: vec![], ..arbitrated.clone() }).contains("/arbiters"));
        assert!(refused(BindingRequest { arbiters: [&arbiters[..]; 2].concat(), ..arbitrated }).contains("/arbiters"));
        assert!(refused(BindingRequest { arbiters, ..request() }).contains("/arbiters"));
        let paid = BindingRequest { pay_unless_disputed: true, ..request() };
        assert!(refused(paid).contains("/pay_unless_disputed"));
    }

    #[test]
    fn a_request_lives_an_hour_at_most() {
        let at = |secs| request().check_life(Timestamp::from_secs(secs)).map_err(|r| r.reason);
        assert_eq!(at(1_800_000_000), Ok(()));
        assert_eq!(at(1_800_000_001), Err(Reason::Expired));
        assert_eq!(at(1_800_000_000 - 3_600), Ok(()));
        assert_eq!(at(1_800_000_000 - 3_661), Err(Reason::FromTheFuture));
    }
}
