//! The agreement: the provider's signed terms for one request, with deadlines that can't be out of order.

use core::time::Duration;
use std::collections::BTreeSet;

use bincode::{Decode, Encode};

use crate::account::{AccountId, PeerId, ServingKey, SignerKey};
use crate::amount::{Stroops, Unit};
use crate::asset::Asset;
use crate::binding::deadlines::Terms;
use crate::binding::frames::{Case, Engagement};
use crate::escrow::EscrowKind;
use crate::escrow::arbitrated::{Arbiter, ArbitratedTerms, Parties, TimeoutBeneficiary};
use crate::escrow::terms::EscrowTerms;
use crate::escrow::timed::TimedTerms;
use crate::kind::Kind;
use crate::limits::{MAX_ARBITERS, SIGNATURE_BYTES};
use crate::message::{self, BindingId, MessageId, Packed, Payload, SeriesId, Signed};
use crate::network_id::NetworkId;
use crate::refusal::{Reason, Refusal};
use crate::seal::SealingKey;

/// How far the two sides' ideas of `fund_by` may differ.
const FUND_BY_SLACK: Duration = Duration::from_secs(30);

/// The provider's signed terms for one request.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Agreement {
    /// The request that it answers.
    pub request: MessageId,
    /// The offering's revision that it is for.
    pub offering: MessageId,
    /// The offering's series.
    pub series: SeriesId,
    /// Signs for the provider; the offering names it.
    pub serving_key: ServingKey,
    /// Where the provider's node is.
    pub provider_peer: PeerId,
    /// The only account that the escrow can pay before T.
    pub recipient: AccountId,
    /// Who pays, and gets the money back from T on.
    pub consumer: AccountId,
    /// Signs for the consumer in this trade.
    pub consumer_key: ServingKey,
    /// The consumer's one-time key that access details are sealed to.
    pub consumer_sealing: SealingKey,
    /// Where the consumer's node is.
    pub consumer_peer: PeerId,
    /// How many units are bought, as one package.
    pub units: u64,
    /// What a unit is.
    pub unit: Unit,
    /// What is paid with.
    pub asset: Asset,
    /// The whole amount: the price of all units; 0 exactly where the terms are free.
    pub amount: Stroops,
    /// How it is paid, and the deadlines.
    pub terms: Terms,
    /// Whether the recipient takes the escrow from T on, by the consumer's own word in its request; else the consumer.
    pub pay_unless_disputed: bool,
    /// Who decides disputes; none where the escrow knows none.
    pub arbiters: Vec<AgreedArbiter>,
}

/// An arbiter of one binding, by its own word given before the agreement.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AgreedArbiter {
    /// The account by which both parties list it, and to which its fee is paid.
    pub account: AccountId,
    /// Its signer on the escrow's controller; signs its awards.
    pub key: ServingKey,
    /// What evidence is sealed to.
    pub sealing: SealingKey,
    /// Where its node is.
    pub peer: PeerId,
    /// What any award pays it, in the escrow's asset.
    pub fee: Stroops,
    /// Its signature over its engagement; what that says follows from the agreement.
    pub engagement: [u8; SIGNATURE_BYTES],
}

impl Agreement {
    /// What an arbiter of it engages itself for; `None` where it has none.
    pub fn engagement(&self, arbiter: &AgreedArbiter) -> Option<Engagement> {
        let deadlines = self.terms.arbitrated()?;
        Some(Engagement {
            key: arbiter.key,
            case: Case {
                request: self.request,
                provider: self.serving_key,
                consumer: self.consumer_key,
                asset: self.asset.clone(),
                amount: self.amount,
                fee: arbiter.fee,
                dispute_by: deadlines.dispute_by(),
                award_by: deadlines.award_by(),
                timeout_at: deadlines.timeout_at(),
            },
        })
    }

    /// Holds that each arbiter has signed its engagement for this very binding.
    ///
    /// # Errors
    /// [`Reason::BadSignature`] with the arbiter that hasn't.
    pub fn check_engagements(&self, network: &NetworkId) -> Result<(), Refusal> {
        for arbiter in &self.arbiters {
            let unsigned = |_| {
                let detail = format!("the arbiter {} didn't engage itself for this binding", arbiter.account);
                Refusal::new(Reason::BadSignature, detail)
            };
            let mut bytes = self.engagement(arbiter).map(|e| Payload::encode(&e)).transpose()?.unwrap_or_default();
            bytes.extend(arbiter.engagement);
            Packed::new(Kind::Engagement, network, bytes)
                .and_then(|packed| packed.open::<Engagement>(network))
                .map_err(unsigned)?;
        }
        Ok(())
    }

    /// All arbiters' fees together, which any award pays; `None` above the ledger's limit.
    pub fn fees(&self) -> Option<Stroops> {
        self.arbiters.iter().try_fold(Stroops::ZERO, |sum, arbiter| sum.plus(arbiter.fee))
    }

    /// Who takes the escrow from T on.
    pub fn timeout_beneficiary(&self) -> AccountId {
        if self.pay_unless_disputed { self.recipient } else { self.consumer }
    }

    /// What its fields must be together.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if (self.terms.kind().is_none()) != self.amount.is_zero() {
            return Err("an agreement is free exactly where its amount is 0");
        }
        if self.terms.arbitrated().is_none() {
            return match (self.arbiters.is_empty(), self.pay_unless_disputed) {
                (true, false) => Ok(()),
                _ => Err("arbiters and pay_unless_disputed belong to the escrow arbitrated alone"),
            };
        }
        if self.arbiters.len().is_multiple_of(2) || self.arbiters.len() > MAX_ARBITERS {
            return Err("a binding has an odd number of arbiters, at most 9");
        }
        let accounts: BTreeSet<AccountId> = self.arbiters.iter().map(|a| a.account).collect();
        let keys: BTreeSet<ServingKey> = self.arbiters.iter().map(|a| a.key).collect();
        if (accounts.len(), keys.len()) != (self.arbiters.len(), self.arbiters.len()) {
            return Err("the arbiters are not all different");
        }
        let is_party = [self.consumer, self.recipient].iter().any(|party| accounts.contains(party))
            || [self.consumer_key, self.serving_key].iter().any(|party| keys.contains(party));
        if is_party {
            return Err("a party can't be an arbiter of its own binding");
        }
        match self.fees() {
            Some(fees) if fees < self.amount => Ok(()),
            _ => Err("the arbiters' fees together must be below the amount"),
        }
    }
}

impl Payload for Agreement {
    const KIND: Kind = Kind::Agreement;

    fn decode(payload: &[u8]) -> Result<Self, Refusal> {
        let agreement: Self = message::decode_frame(Self::KIND, payload)?;
        agreement.check().map_err(|why| Refusal::new(Reason::Malformed, why))?;
        Ok(agreement)
    }

    fn encode(&self) -> Result<Vec<u8>, Refusal> {
        message::encode_frame(Self::KIND, self)
    }

    fn signer(&self) -> SignerKey {
        self.serving_key.into()
    }
}

/// The binding that a signed agreement makes: the digest that its signature covers.
pub fn binding_id(agreement: &Signed<Agreement>) -> BindingId {
    BindingId::from_bytes(*agreement.digest().as_bytes())
}

/// The escrow that a signed agreement agrees on, where there is money.
pub fn escrow_terms(agreement: &Signed<Agreement>) -> Option<EscrowTerms> {
    let (binding, agreed) = (binding_id(agreement), agreement.body());
    let (asset, amount, deadline) = (agreed.asset.clone(), agreed.amount, agreed.terms.refund_at()?);
    if agreed.terms.arbitrated().is_none() {
        let terms = TimedTerms::new(binding, agreed.consumer, agreed.recipient, asset, amount, deadline);
        return terms.ok().map(EscrowTerms::Timed);
    }
    let arbiter = |a: &AgreedArbiter| Arbiter { key: a.key, payee: a.account, fee: a.fee };
    let parties = Parties {
        consumer: agreed.consumer,
        consumer_key: agreed.consumer_key,
        recipient: agreed.recipient,
        provider_key: agreed.serving_key,
        arbiters: agreed.arbiters.iter().map(arbiter).collect(),
        beneficiary: match agreed.pay_unless_disputed {
            true => TimeoutBeneficiary::Recipient,
            false => TimeoutBeneficiary::Consumer,
        },
    };
    ArbitratedTerms::new(binding, parties, asset, amount, deadline).ok().map(EscrowTerms::Arbitrated)
}

/// What of an agreement differs from what was asked for and offered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the agreement doesn't say what was asked for: {field} is {found}, expected {expected}")]
pub struct AgreementMismatch {
    /// The field.
    pub field: &'static str,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

/// Compares an agreement with the one that the consumer's node expects, field by field. The two may have asked at
/// slightly different times, so `fund_by` may differ a little; the windows after it are exactly the offering's.
///
/// # Errors
/// The first field that differs.
pub fn compare(expected: &Agreement, found: &Agreement) -> Result<(), AgreementMismatch> {
    macro_rules! same {
        ($($field:ident),*) => { $(
            if expected.$field != found.$field {
                return Err(AgreementMismatch {
                    field: stringify!($field),
                    expected: format!("{:?}", expected.$field),
                    found: format!("{:?}", found.$field),
                });
            }
        )* };
    }
    same!(request, offering, series, serving_key, recipient, consumer, consumer_key, consumer_sealing);
    same!(consumer_peer, units, unit, asset, amount, pay_unless_disputed);
    compare_arbiters(&expected.arbiters, &found.arbiters)?;
    compare_terms(&expected.terms, &found.terms)
}

/// The arbiters as they offer themselves; what they signed is checked by [`Agreement::check_engagements`].
fn compare_arbiters(expected: &[AgreedArbiter], found: &[AgreedArbiter]) -> Result<(), AgreementMismatch> {
    let shown = |arbiters: &[AgreedArbiter]| {
        let one = |a: &AgreedArbiter| format!("{} with key {} for {}", a.account, a.key, a.fee);
        arbiters.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let same = |a: &AgreedArbiter, b: &AgreedArbiter| {
        (a.account, a.key, a.sealing, &a.peer, a.fee) == (b.account, b.key, b.sealing, &b.peer, b.fee)
    };
    if expected.len() == found.len() && expected.iter().zip(found).all(|(a, b)| same(a, b)) {
        return Ok(());
    }
    Err(AgreementMismatch { field: "arbiters", expected: shown(expected), found: shown(found) })
}

fn compare_terms(expected: &Terms, found: &Terms) -> Result<(), AgreementMismatch> {
    if expected.kind() != found.kind() {
        let shown = |terms: &Terms| terms.kind().map_or("none", EscrowKind::as_str).to_owned();
        return Err(AgreementMismatch { field: "escrow", expected: shown(expected), found: shown(found) });
    }
    let (ours, its) = (expected.fund_by(), found.fund_by());
    if ours.since(its).max(its.since(ours)) > FUND_BY_SLACK {
        return Err(AgreementMismatch { field: "fund_by", expected: ours.to_string(), found: its.to_string() });
    }
    let (ours, its) = (expected.named(), found.named());
    for (ours, its) in ours.windows(2).zip(its.windows(2)) {
        let [expected, found] = [ours, its].map(|pair| pair[1].1.since(pair[0].1));
        if expected != found {
            let after = |d: Duration| format!("{} s after the deadline before it", d.as_secs());
            return Err(AgreementMismatch { field: ours[1].0, expected: after(expected), found: after(found) });
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
pub(crate) mod tests {
    use super::*;
    use crate::binding::deadlines::{ArbitratedDeadlines, FreeDeadlines, TimedDeadlines};
    use crate::frame;
    use crate::time::Timestamp;
    use ed25519_dalek::SigningKey;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    pub(crate) fn agreement() -> (SigningKey, Agreement) {
        let key = SigningKey::from_bytes(&[1; 32]);
        let agreement = Agreement {
            request: MessageId::from_bytes([1; 32]),
            offering: MessageId::from_bytes([2; 32]),
            series: SeriesId::from_bytes([3; 32]),
            serving_key: ServingKey::of(&key),
            provider_peer: "12D3KooWprovider".parse().unwrap(),
            recipient: AccountId::from_bytes([4; 32]),
            consumer: AccountId::from_bytes([5; 32]),
            consumer_key: ServingKey::from_bytes([6; 32]),
            consumer_sealing: SealingKey::from_bytes([7; 32]),
            consumer_peer: "12D3KooWconsumer".parse().unwrap(),
            units: 10,
            unit: Unit::Call,
            asset: Asset::Native,
            amount: Stroops::whole(10),
            terms: Terms::Timed(TimedDeadlines::new(at(100), at(200), at(300), at(400)).unwrap()),
            pay_unless_disputed: false,
            arbiters: vec![],
        };
        (key, agreement)
    }

    pub(crate) fn network() -> NetworkId {
        NetworkId::of_passphrase("test")
    }

    pub(crate) fn arbiter_key(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[100 + n; 32])
    }

    /// An agreement with so many arbiters, each of which has engaged itself for a coin at the most.
    pub(crate) fn arbitrated(arbiters: u8) -> (SigningKey, Agreement) {
        let (key, agreement) = agreement();
        let [a, b, c, d, e, f] = [100, 200, 300, 400, 500, 600].map(at);
        let terms = Terms::Arbitrated(ArbitratedDeadlines::new(a, b, c, d, e, f).unwrap());
        let mut agreement = Agreement { terms, ..agreement };
        for n in 0..arbiters {
            let mut arbiter = AgreedArbiter {
                account: AccountId::from_bytes([200 + n; 32]),
                key: ServingKey::of(&arbiter_key(n)),
                sealing: SealingKey::from_bytes([100 + n; 32]),
                peer: "12D3KooWarbiter".parse().unwrap(),
                fee: Stroops::whole(1),
                engagement: [0; 64],
            };
            let engagement = agreement.engagement(&arbiter).unwrap();
            let signed = Signed::sign(engagement, &network(), &arbiter_key(n)).unwrap();
            arbiter.engagement = signed.packed().signature();
            agreement.arbiters.push(arbiter);
        }
        (key, agreement)
    }

    /// Why an agreement doesn't decode; nothing where it does.
    fn refused(agreement: &Agreement) -> Option<String> {
        let decoded = <Agreement as Payload>::decode(&frame::encode(agreement).unwrap());
        decoded.map_err(|refusal| refusal.detail).err()
    }

    #[test]
    fn an_agreement_has_one_encoding_and_its_digest_is_the_binding() {
        let network = network();
        let (key, agreement) = agreement();
        let signed = Signed::sign(agreement.clone(), &network, &key).unwrap();
        let again = signed.packed().clone().open::<Agreement>(&network).unwrap();
        assert_eq!(again, signed);
        let digest = message::digest(Kind::Agreement, &network, signed.packed().payload());
        assert_eq!(binding_id(&signed).as_bytes(), digest.as_bytes());
        let golden = message::keccak(&[signed.packed().payload()]);
        assert_eq!(hex::encode(golden), GOLDEN);
    }

    const GOLDEN: &str = "f84f7b21f2b7f7593cd73bb82abed76ff8af91a07cd71e7dba86cc286eb104b5";

    #[test]
    fn every_field_that_differs_is_named() {
        let (_, expected) = agreement();
        assert_eq!(compare(&expected, &expected), Ok(()));
        type Change = (&'static str, fn(&mut Agreement));
        let changes: Vec<Change> = vec![
            ("request", |a| a.request = MessageId::from_bytes([9; 32])),
            ("offering", |a| a.offering = MessageId::from_bytes([9; 32])),
            ("series", |a| a.series = SeriesId::from_bytes([9; 32])),
            ("serving_key", |a| a.serving_key = ServingKey::from_bytes([9; 32])),
            ("recipient", |a| a.recipient = AccountId::from_bytes([9; 32])),
            ("consumer", |a| a.consumer = AccountId::from_bytes([9; 32])),
            ("consumer_key", |a| a.consumer_key = ServingKey::from_bytes([9; 32])),
            ("consumer_sealing", |a| a.consumer_sealing = SealingKey::from_bytes([9; 32])),
            ("consumer_peer", |a| a.consumer_peer = "other".parse().unwrap()),
            ("units", |a| a.units = 9),
            ("unit", |a| a.unit = Unit::Job),
            ("asset", |a| a.asset = Asset::issued("X", AccountId::from_bytes([9; 32])).unwrap()),
            ("amount", |a| a.amount = Stroops::whole(11)),
            ("T", |a| a.terms = Terms::Timed(TimedDeadlines::new(at(100), at(200), at(300), at(500)).unwrap())),
            ("start_by", |a| a.terms = Terms::Timed(TimedDeadlines::new(at(101), at(200), at(299), at(399)).unwrap())),
            ("deliver_by", |a| {
                a.terms = Terms::Timed(TimedDeadlines::new(at(100), at(200), at(201), at(400)).unwrap())
            }),
            ("T", |a| a.terms = Terms::Timed(TimedDeadlines::new(at(100), at(200), at(300), at(401)).unwrap())),
            ("fund_by", |a| a.terms = Terms::Timed(TimedDeadlines::new(at(1), at(200), at(300), at(400)).unwrap())),
            ("escrow", |a| a.terms = Terms::Free(FreeDeadlines::new(at(100), at(200), at(300)).unwrap())),
            ("escrow", |a| a.terms = arbitrated(1).1.terms),
            ("pay_unless_disputed", |a| a.pay_unless_disputed = true),
            ("arbiters", |a| a.arbiters = arbitrated(1).1.arbiters),
        ];
        for (field, change) in changes {
            let mut found = expected.clone();
            change(&mut found);
            assert_eq!(compare(&expected, &found).unwrap_err().field, field);
        }
    }

    #[test]
    fn every_word_about_a_dispute_that_differs_is_named() {
        let (_, expected) = arbitrated(3);
        assert_eq!(compare(&expected, &expected), Ok(()));
        let terms = |[a, b, c, d, e, f]: [u64; 6]| {
            let deadlines = ArbitratedDeadlines::new(at(a), at(b), at(c), at(d), at(e), at(f)).unwrap();
            Agreement { terms: Terms::Arbitrated(deadlines), ..expected.clone() }
        };
        for (field, found) in [
            ("dispute_by", terms([100, 200, 300, 401, 501, 601])),
            ("award_by", terms([100, 200, 300, 400, 499, 599])),
            ("T", terms([100, 200, 300, 400, 500, 599])),
        ] {
            assert_eq!(compare(&expected, &found).unwrap_err().field, field);
        }
        type Change = fn(&mut Agreement);
        let changes: [Change; 8] = [
            |a| a.arbiters.swap(0, 1),
            |a| a.arbiters.truncate(1),
            |a| a.arbiters[0].account = AccountId::from_bytes([9; 32]),
            |a| a.arbiters[1].key = ServingKey::from_bytes([9; 32]),
            |a| a.arbiters[1].sealing = SealingKey::from_bytes([9; 32]),
            |a| a.arbiters[2].peer = "other".parse().unwrap(),
            |a| a.arbiters[2].fee = Stroops::whole(2),
            |a| a.arbiters.clear(),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let mut found = expected.clone();
            change(&mut found);
            assert_eq!(compare(&expected, &found).unwrap_err().field, "arbiters", "change {n}");
        }
    }

    #[test]
    fn arbiters_are_odd_distinct_no_party_and_cost_less_than_the_amount() {
        for n in [1, 3, 5, 7, 9] {
            assert_eq!(refused(&arbitrated(n).1), None);
        }
        for n in [0, 2, 4, 11] {
            assert!(refused(&arbitrated(n).1).unwrap().contains("odd number"), "{n}");
        }
        let with = |change: fn(&mut Agreement)| {
            let mut agreement = arbitrated(3).1;
            change(&mut agreement);
            refused(&agreement).unwrap()
        };
        assert!(with(|a| a.arbiters[1].account = a.arbiters[0].account).contains("not all different"));
        assert!(with(|a| a.arbiters[1].key = a.arbiters[2].key).contains("not all different"));
        assert!(with(|a| a.arbiters[0].account = a.consumer).contains("a party"));
        assert!(with(|a| a.arbiters[0].account = a.recipient).contains("a party"));
        assert!(with(|a| a.arbiters[0].key = a.serving_key).contains("a party"));
        assert!(with(|a| a.arbiters[0].key = a.consumer_key).contains("a party"));
        assert!(with(|a| a.amount = Stroops::whole(3)).contains("fees"));
        assert!(with(|a| a.arbiters[0].fee = Stroops::MAX).contains("fees"));
        let timed = agreement().1;
        assert!(refused(&Agreement { pay_unless_disputed: true, ..timed.clone() }).unwrap().contains("arbitrated"));
        assert!(refused(&Agreement { arbiters: arbitrated(1).1.arbiters, ..timed }).unwrap().contains("arbitrated"));
    }

    #[test]
    fn an_engagement_is_for_one_binding_and_by_one_arbiter() {
        let (key, agreement) = arbitrated(9);
        assert!(Signed::sign(agreement, &network(), &key).is_ok(), "the largest agreement fits its kind's bound");
        let (_, agreement) = arbitrated(3);
        assert_eq!(agreement.check_engagements(&network()), Ok(()));
        assert!(agreement.check_engagements(&NetworkId::of_passphrase("other")).is_err());
        type Change = fn(&mut Agreement);
        let changes: [Change; 9] = [
            |a| a.request = MessageId::from_bytes([9; 32]),
            |a| a.serving_key = ServingKey::from_bytes([9; 32]),
            |a| a.consumer_key = ServingKey::from_bytes([9; 32]),
            |a| a.asset = Asset::issued("X", AccountId::from_bytes([9; 32])).unwrap(),
            |a| a.amount = Stroops::whole(11),
            |a| a.terms = agreement_with(|d| d[4] = at(499)),
            |a| a.terms = agreement_with(|d| d[5] = at(601)),
            |a| a.arbiters[0].fee = Stroops::whole(2),
            |a| a.arbiters[1].engagement = a.arbiters[0].engagement,
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let mut changed = agreement.clone();
            change(&mut changed);
            let refusal = changed.check_engagements(&network()).unwrap_err();
            assert_eq!(refusal.reason, Reason::BadSignature, "change {n}");
        }
    }

    fn agreement_with(change: fn(&mut [Timestamp; 6])) -> Terms {
        let mut all = [100, 200, 300, 400, 500, 600].map(at);
        change(&mut all);
        let [a, b, c, d, e, f] = all;
        Terms::Arbitrated(ArbitratedDeadlines::new(a, b, c, d, e, f).unwrap())
    }

    #[test]
    fn the_timeout_favours_the_consumer_unless_its_request_says_otherwise() {
        let (_, agreement) = arbitrated(1);
        assert_eq!(agreement.timeout_beneficiary(), agreement.consumer);
        let paid = Agreement { pay_unless_disputed: true, ..agreement };
        assert_eq!(paid.timeout_beneficiary(), paid.recipient);
    }

    #[test]
    fn deadlines_that_only_begin_a_little_later_are_as_expected() {
        let (_, expected) = agreement();
        let later = |secs: u64| {
            let [a, b, c, d] = [100, 200, 300, 400].map(|t| at(t + secs));
            Agreement { terms: Terms::Timed(TimedDeadlines::new(a, b, c, d).unwrap()), ..expected.clone() }
        };
        assert_eq!(compare(&expected, &later(30)), Ok(()));
        assert_eq!(compare(&expected, &later(31)).unwrap_err().field, "fund_by");
    }

    #[test]
    fn an_agreement_with_money_is_never_free_and_the_other_way_round() {
        let (_, mut agreement) = agreement();
        agreement.amount = Stroops::ZERO;
        assert!(refused(&agreement).is_some());
        agreement.terms = Terms::Free(FreeDeadlines::new(at(1), at(2), at(3)).unwrap());
        assert_eq!(refused(&agreement), None);
        agreement.amount = Stroops::whole(1);
        assert!(refused(&agreement).is_some());
    }
}
