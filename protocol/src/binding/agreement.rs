//! The agreement: the provider's signed terms for one request, with deadlines that can't be out of order.

use core::time::Duration;

use bincode::{Decode, Encode};

use crate::account::{AccountId, PeerId, ServingKey, SignerKey};
use crate::amount::{Stroops, Unit};
use crate::asset::Asset;
use crate::kind::Kind;
use crate::limits::Margins;
use crate::message::{self, BindingId, MessageId, Payload, SeriesId, Signed};
use crate::refusal::Refusal;
use crate::seal::SealingKey;
use crate::time::Timestamp;

/// How far the two sides' ideas of `fund_by` may differ.
const FUND_BY_SLACK: Duration = Duration::from_secs(30);

/// Deadlines that are not in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deadlines must follow each other: fund_by < start_by < deliver_by < T")]
pub struct DeadlinesOutOfOrder;

/// The deadlines of a `timed` escrow: `fund_by < start_by < deliver_by < refund_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode)]
pub struct TimedDeadlines {
    fund_by: Timestamp,
    start_by: Timestamp,
    deliver_by: Timestamp,
    refund_at: Timestamp,
}

impl TimedDeadlines {
    /// Deadlines in their order.
    ///
    /// # Errors
    /// [`DeadlinesOutOfOrder`].
    pub fn new(
        fund_by: Timestamp,
        start_by: Timestamp,
        deliver_by: Timestamp,
        refund_at: Timestamp,
    ) -> Result<Self, DeadlinesOutOfOrder> {
        if fund_by < start_by && start_by < deliver_by && deliver_by < refund_at {
            Ok(Self { fund_by, start_by, deliver_by, refund_at })
        } else {
            Err(DeadlinesOutOfOrder)
        }
    }

    /// T: from here on only the consumer can take the escrow.
    pub const fn refund_at(&self) -> Timestamp {
        self.refund_at
    }
}

/// The deadlines of a binding without money: `fund_by < start_by < deliver_by`, where `fund_by` is when it lapses
/// unless the consumer has confirmed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode)]
pub struct FreeDeadlines {
    fund_by: Timestamp,
    start_by: Timestamp,
    deliver_by: Timestamp,
}

impl FreeDeadlines {
    /// Deadlines in their order.
    ///
    /// # Errors
    /// [`DeadlinesOutOfOrder`].
    pub fn new(fund_by: Timestamp, start_by: Timestamp, deliver_by: Timestamp) -> Result<Self, DeadlinesOutOfOrder> {
        if fund_by < start_by && start_by < deliver_by {
            Ok(Self { fund_by, start_by, deliver_by })
        } else {
            Err(DeadlinesOutOfOrder)
        }
    }
}

macro_rules! checked_decode {
    ($name:ident, $raw:ident { $($field:ident),* }) => {
        #[derive(Decode)]
        struct $raw { $($field: Timestamp),* }

        impl<C> Decode<C> for $name {
            fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, bincode::error::DecodeError> {
                let raw = $raw::decode(d)?;
                $name::new($(raw.$field),*).map_err(|e| bincode::error::DecodeError::OtherString(e.to_string()))
            }
        }
        bincode::impl_borrow_decode!($name);
    };
}
checked_decode!(TimedDeadlines, RawTimed { fund_by, start_by, deliver_by, refund_at });
checked_decode!(FreeDeadlines, RawFree { fund_by, start_by, deliver_by });

/// How a binding is paid, with the deadlines of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Terms {
    /// Price 0: no escrow.
    Free(FreeDeadlines),
    /// A `timed` escrow: paid in advance, refunded unless collected before T.
    Timed(TimedDeadlines),
}

impl Terms {
    /// Until when the escrow must stand (or a free binding be confirmed).
    pub const fn fund_by(&self) -> Timestamp {
        match self {
            Self::Free(d) => d.fund_by,
            Self::Timed(d) => d.fund_by,
        }
    }

    /// Until when the service must run.
    pub const fn start_by(&self) -> Timestamp {
        match self {
            Self::Free(d) => d.start_by,
            Self::Timed(d) => d.start_by,
        }
    }

    /// Until when the service is owed.
    pub const fn deliver_by(&self) -> Timestamp {
        match self {
            Self::Free(d) => d.deliver_by,
            Self::Timed(d) => d.deliver_by,
        }
    }

    /// T, where there is an escrow.
    pub const fn refund_at(&self) -> Option<Timestamp> {
        match self {
            Self::Free(_) => None,
            Self::Timed(d) => Some(d.refund_at),
        }
    }
}

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
}

impl Payload for Agreement {
    const KIND: Kind = Kind::Agreement;

    fn decode(payload: &[u8]) -> Result<Self, Refusal> {
        let agreement: Self = message::decode_frame(Self::KIND, payload)?;
        let free = matches!(agreement.terms, Terms::Free(_));
        if free != agreement.amount.is_zero() {
            let detail = "an agreement is free exactly where its amount is 0";
            return Err(Refusal::new(crate::refusal::Reason::Malformed, detail));
        }
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

/// Deadlines counted from `now` with a network's margins and the offering's windows, or `None` where they overflow or
/// a window is nothing.
pub fn terms(now: Timestamp, margins: &Margins, deliver: Duration, collect: Duration, free: bool) -> Option<Terms> {
    let fund_by = now.plus(margins.fund_window);
    let start_by = fund_by.plus(margins.start_window);
    let deliver_by = start_by.plus(deliver);
    if free {
        FreeDeadlines::new(fund_by, start_by, deliver_by).ok().map(Terms::Free)
    } else {
        TimedDeadlines::new(fund_by, start_by, deliver_by, deliver_by.plus(collect)).ok().map(Terms::Timed)
    }
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
    same!(consumer_peer, units, unit, asset, amount);
    let (its, ours) = (found.terms.refund_at(), expected.terms.refund_at());
    if its.is_some() != ours.is_some() {
        return Err(AgreementMismatch { field: "escrow", expected: format!("{ours:?}"), found: format!("{its:?}") });
    }
    let windows = |terms: &Terms| {
        let deliver = terms.deliver_by().since(terms.start_by());
        let collect = terms.refund_at().map_or(Duration::ZERO, |t| t.since(terms.deliver_by()));
        [("start_by", terms.start_by().since(terms.fund_by())), ("deliver_by", deliver), ("T", collect)]
    };
    let (fund_by, its) = (expected.terms.fund_by(), found.terms.fund_by());
    if fund_by.since(its).max(its.since(fund_by)) > FUND_BY_SLACK {
        return Err(AgreementMismatch { field: "fund_by", expected: fund_by.to_string(), found: its.to_string() });
    }
    for ((field, expected), (_, found)) in windows(&expected.terms).into_iter().zip(windows(&found.terms)) {
        if expected != found {
            let after = |d: Duration| format!("{} s after the deadline before it", d.as_secs());
            return Err(AgreementMismatch { field, expected: after(expected), found: after(found) });
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
pub(crate) mod tests {
    use super::*;
    use crate::frame;
    use crate::network_id::NetworkId;
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
        };
        (key, agreement)
    }

    #[test]
    fn deadlines_out_of_order_are_neither_built_nor_decoded() {
        for order in [[1, 1, 2, 3], [2, 1, 3, 4], [1, 3, 2, 4], [1, 2, 4, 3], [1, 2, 3, 3]] {
            let [a, b, c, d] = order.map(at);
            assert_eq!(TimedDeadlines::new(a, b, c, d), Err(DeadlinesOutOfOrder));
            let bytes = frame::encode(&(a, b, c, d)).unwrap();
            assert!(frame::decode::<TimedDeadlines>(&bytes).is_err(), "{order:?}");
        }
        let good = frame::encode(&(at(1), at(2), at(3), at(4))).unwrap();
        assert!(frame::decode::<TimedDeadlines>(&good).is_ok());
    }

    #[test]
    fn an_agreement_has_one_encoding_and_its_digest_is_the_binding() {
        let network = NetworkId::of_passphrase("test");
        let (key, agreement) = agreement();
        let signed = Signed::sign(agreement.clone(), &network, &key).unwrap();
        let again = signed.packed().clone().open::<Agreement>(&network).unwrap();
        assert_eq!(again, signed);
        let digest = message::digest(Kind::Agreement, &network, signed.packed().payload());
        assert_eq!(binding_id(&signed).as_bytes(), digest.as_bytes());
        let golden = message::keccak(&[signed.packed().payload()]);
        assert_eq!(hex::encode(golden), GOLDEN);
    }

    const GOLDEN: &str = "4dea080a6d6a77fdd77b757ae7a1a4386d102be0a6dfb2e6086f161ffa69617a";

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
        ];
        for (field, change) in changes {
            let mut found = expected.clone();
            change(&mut found);
            assert_eq!(compare(&expected, &found).unwrap_err().field, field);
        }
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
        assert!(<Agreement as Payload>::decode(&frame::encode(&agreement).unwrap()).is_err());
        agreement.terms = Terms::Free(FreeDeadlines::new(at(1), at(2), at(3)).unwrap());
        assert!(<Agreement as Payload>::decode(&frame::encode(&agreement).unwrap()).is_ok());
        agreement.amount = Stroops::whole(1);
        assert!(<Agreement as Payload>::decode(&frame::encode(&agreement).unwrap()).is_err());
    }
}
