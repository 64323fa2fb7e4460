//! The deadlines of a binding, one type a kind of escrow, none of which can be out of order.

use core::time::Duration;

use bincode::{Decode, Encode};

use crate::document::Offering;
use crate::escrow::EscrowKind;
use crate::limits::Margins;
use crate::time::Timestamp;

/// Deadlines that are not in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deadlines must follow each other: {0}")]
pub struct DeadlinesOutOfOrder(&'static str);

macro_rules! deadlines {
    ($(#[$doc:meta])* $name:ident, $raw:ident, $order:literal: $($field:ident),*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Encode)]
        pub struct $name {
            $($field: Timestamp,)*
        }

        impl $name {
            /// Deadlines in their order.
            ///
            /// # Errors
            /// [`DeadlinesOutOfOrder`].
            pub fn new($($field: Timestamp),*) -> Result<Self, DeadlinesOutOfOrder> {
                let in_order = [$($field),*].windows(2).all(|pair| pair[0] < pair[1]);
                if in_order { Ok(Self { $($field),* }) } else { Err(DeadlinesOutOfOrder($order)) }
            }
        }

        #[derive(Decode)]
        struct $raw {
            $($field: Timestamp,)*
        }

        impl<C> Decode<C> for $name {
            fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, bincode::error::DecodeError> {
                let raw = $raw::decode(d)?;
                $name::new($(raw.$field),*).map_err(|e| bincode::error::DecodeError::OtherString(e.to_string()))
            }
        }
        bincode::impl_borrow_decode!($name);
    };
}

deadlines! {
    /// The deadlines of a binding without money: `fund_by < start_by < deliver_by`, where `fund_by` is when it lapses
    /// unless the consumer has confirmed it.
    FreeDeadlines, RawFree, "fund_by < start_by < deliver_by": fund_by, start_by, deliver_by
}
deadlines! {
    /// The deadlines of a `timed` escrow: `fund_by < start_by < deliver_by < T`.
    TimedDeadlines, RawTimed, "fund_by < start_by < deliver_by < T": fund_by, start_by, deliver_by, refund_at
}
deadlines! {
    /// The deadlines of an `arbitrated` escrow: `fund_by < start_by < deliver_by < dispute_by < award_by < T`.
    ArbitratedDeadlines, RawArbitrated, "fund_by < start_by < deliver_by < dispute_by < award_by < T":
        fund_by, start_by, deliver_by, dispute_by, award_by, timeout_at
}

impl TimedDeadlines {
    /// T: from here on only the consumer can take the escrow.
    pub const fn refund_at(&self) -> Timestamp {
        self.refund_at
    }
}

impl ArbitratedDeadlines {
    /// Until when a dispute can be opened.
    pub const fn dispute_by(&self) -> Timestamp {
        self.dispute_by
    }

    /// Until when the arbiters decide.
    pub const fn award_by(&self) -> Timestamp {
        self.award_by
    }

    /// T: from here on only the timeout beneficiary can take the escrow.
    pub const fn timeout_at(&self) -> Timestamp {
        self.timeout_at
    }
}

/// How a binding is paid, with the deadlines of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Terms {
    /// Price 0: no escrow.
    Free(FreeDeadlines),
    /// A `timed` escrow: paid in advance, refunded unless collected before T.
    Timed(TimedDeadlines),
    /// An `arbitrated` escrow: paid by both parties' word, or by one's and a majority of arbiters'.
    Arbitrated(ArbitratedDeadlines),
}

impl Terms {
    /// Deadlines counted from `now` with a network's margins and an offering's windows; without a kind for a binding
    /// that costs nothing. `None` where they overflow, a window is nothing, or the offering has no arbiters for it.
    pub fn counted(now: Timestamp, margins: &Margins, offering: &Offering, kind: Option<EscrowKind>) -> Option<Self> {
        let windows = &offering.windows;
        let fund_by = now.plus(margins.fund_window);
        let start_by = fund_by.plus(margins.start_window);
        let deliver_by = start_by.plus(windows.deliver());
        match kind {
            None => FreeDeadlines::new(fund_by, start_by, deliver_by).ok().map(Self::Free),
            Some(EscrowKind::Timed) => {
                let refund_at = deliver_by.plus(windows.collect());
                TimedDeadlines::new(fund_by, start_by, deliver_by, refund_at).ok().map(Self::Timed)
            }
            Some(EscrowKind::Arbitrated) => {
                let arbitration = offering.arbitration.as_ref()?;
                let dispute_by = deliver_by.plus(Duration::from_secs(arbitration.dispute_secs));
                let award_by = dispute_by.plus(Duration::from_secs(arbitration.award_secs));
                let timeout_at = award_by.plus(Duration::from_secs(arbitration.settle_secs));
                ArbitratedDeadlines::new(fund_by, start_by, deliver_by, dispute_by, award_by, timeout_at)
                    .ok()
                    .map(Self::Arbitrated)
            }
        }
    }

    /// The escrow's kind, where there is an escrow.
    pub const fn kind(&self) -> Option<EscrowKind> {
        match self {
            Self::Free(_) => None,
            Self::Timed(_) => Some(EscrowKind::Timed),
            Self::Arbitrated(_) => Some(EscrowKind::Arbitrated),
        }
    }

    /// Until when the escrow must stand (or a free binding be confirmed).
    pub const fn fund_by(&self) -> Timestamp {
        match self {
            Self::Free(d) => d.fund_by,
            Self::Timed(d) => d.fund_by,
            Self::Arbitrated(d) => d.fund_by,
        }
    }

    /// Until when the service must run.
    pub const fn start_by(&self) -> Timestamp {
        match self {
            Self::Free(d) => d.start_by,
            Self::Timed(d) => d.start_by,
            Self::Arbitrated(d) => d.start_by,
        }
    }

    /// Until when the service is owed.
    pub const fn deliver_by(&self) -> Timestamp {
        match self {
            Self::Free(d) => d.deliver_by,
            Self::Timed(d) => d.deliver_by,
            Self::Arbitrated(d) => d.deliver_by,
        }
    }

    /// T, where there is an escrow: from here on only the timeout beneficiary can take it.
    pub const fn refund_at(&self) -> Option<Timestamp> {
        match self {
            Self::Free(_) => None,
            Self::Timed(d) => Some(d.refund_at),
            Self::Arbitrated(d) => Some(d.timeout_at),
        }
    }

    /// The deadlines of a dispute, where there can be one.
    pub const fn arbitrated(&self) -> Option<&ArbitratedDeadlines> {
        match self {
            Self::Arbitrated(d) => Some(d),
            _ => None,
        }
    }

    /// Every deadline with its name, in order.
    pub fn named(&self) -> Vec<(&'static str, Timestamp)> {
        let mut all =
            vec![("fund_by", self.fund_by()), ("start_by", self.start_by()), ("deliver_by", self.deliver_by())];
        all.extend(
            self.arbitrated().into_iter().flat_map(|d| [("dispute_by", d.dispute_by), ("award_by", d.award_by)]),
        );
        all.extend(self.refund_at().map(|t| ("T", t)));
        all
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::frame;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn deadlines_out_of_order_are_neither_built_nor_decoded() {
        for order in [[1, 1, 2, 3], [2, 1, 3, 4], [1, 3, 2, 4], [1, 2, 4, 3], [1, 2, 3, 3]] {
            let [a, b, c, d] = order.map(at);
            assert!(TimedDeadlines::new(a, b, c, d).is_err());
            let bytes = frame::encode(&(a, b, c, d)).unwrap();
            assert!(frame::decode::<TimedDeadlines>(&bytes).is_err(), "{order:?}");
        }
        let good = frame::encode(&(at(1), at(2), at(3), at(4))).unwrap();
        assert!(frame::decode::<TimedDeadlines>(&good).is_ok());
    }

    #[test]
    fn a_disputes_deadlines_are_in_order_at_every_place() {
        let build = |s: [u64; 6]| {
            let [a, b, c, d, e, f] = s.map(at);
            let bytes = frame::encode(&(a, b, c, d, e, f)).unwrap();
            let built = ArbitratedDeadlines::new(a, b, c, d, e, f);
            assert_eq!(built.is_ok(), frame::decode::<ArbitratedDeadlines>(&bytes).is_ok());
            built
        };
        assert!(build([1, 2, 3, 4, 5, 6]).is_ok());
        for place in 0..5 {
            let mut order = [1, 2, 3, 4, 5, 6];
            order.swap(place, place + 1);
            let error = build(order).unwrap_err().to_string();
            assert!(error.contains("deliver_by < dispute_by < award_by < T"), "{error}");
            order = [1, 2, 3, 4, 5, 6];
            order[place + 1] = order[place];
            assert!(build(order).is_err(), "{order:?}");
        }
    }

    #[test]
    fn every_kind_counts_its_deadlines_from_the_offerings_windows() {
        let mut offering = crate::document::offering_with_arbiters();
        let margins = Margins::DEVNET;
        let count = |offering: &Offering, kind| Terms::counted(at(1_000), &margins, offering, kind).unwrap();
        let names = |terms: Terms| -> Vec<&str> { terms.named().into_iter().map(|(name, _)| name).collect() };
        assert_eq!(names(count(&offering, None)), ["fund_by", "start_by", "deliver_by"]);
        assert_eq!(names(count(&offering, Some(EscrowKind::Timed))), ["fund_by", "start_by", "deliver_by", "T"]);
        let arbitrated = count(&offering, Some(EscrowKind::Arbitrated));
        let secs: Vec<u64> = arbitrated.named().into_iter().map(|(_, at)| at.secs()).collect();
        assert_eq!(secs, [1_020, 1_030, 1_090, 1_120, 1_140, 1_150]);
        for kind in [None, Some(EscrowKind::Timed), Some(EscrowKind::Arbitrated)] {
            assert_eq!(count(&offering, kind).kind(), kind);
        }
        offering.arbitration = None;
        assert_eq!(Terms::counted(at(1), &margins, &offering, Some(EscrowKind::Arbitrated)), None);
    }
}
