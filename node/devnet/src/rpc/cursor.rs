//! Where something stands in the history, as one number that grows: ledger,
//! transaction and operation (SEP-35), for events with their place behind it.

/// The bits of a number that are the operation's.
const OPERATION_BITS: u32 = 12;
/// The bits of a number that are the transaction's and the operation's.
const LEDGER_SHIFT: u32 = 32;
/// The highest transaction of a ledger that a number can tell.
const MAX_TRANSACTION: u32 = (1 << (LEDGER_SHIFT - OPERATION_BITS)) - 1;
/// The highest operation of a transaction that a number can tell.
const MAX_OPERATION: u32 = (1 << OPERATION_BITS) - 1;

/// A place in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) ledger: u32,
    /// From 1; 0 is before all of them.
    pub(super) transaction: u32,
    pub(super) operation: u32,
}

impl Place {
    /// Returns it as a number.
    pub(super) fn id(&self) -> u64 {
        u64::from(self.ledger) << LEDGER_SHIFT
            | u64::from(self.transaction) << OPERATION_BITS
            | u64::from(self.operation)
    }

    /// Reads a number of up to 63 bits in decimal digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let id = u64::try_from(text.parse::<i64>().ok()?).ok()?;
        let part = |shift: u32, most: u32| u32::try_from(id >> shift & u64::from(most)).expect("within the mask");
        Some(Self {
            ledger: part(LEDGER_SHIFT, u32::MAX),
            transaction: part(OPERATION_BITS, MAX_TRANSACTION),
            operation: part(0, MAX_OPERATION),
        })
    }
}

/// The place of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EventPlace {
    pub(super) place: Place,
    /// From 0 in its operation, or among those of a ledger that belong to
    /// none.
    pub(super) event: u32,
}

impl EventPlace {
    /// The first that a ledger can have.
    pub(super) fn first_of(ledger: u32) -> Self {
        Self { place: Place { ledger, transaction: 0, operation: 0 }, event: 0 }
    }

    /// The last that a ledger can have.
    pub(super) fn last_of(ledger: u32) -> Self {
        Self { place: Place { ledger, transaction: MAX_TRANSACTION, operation: MAX_OPERATION }, event: u32::MAX }
    }

    /// The next that its operation can have, or itself where that is the last.
    pub(super) fn next(self) -> Self {
        Self { event: self.event.saturating_add(1), ..self }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (place, event) = text.split_once('-')?;
        Some(Self { place: Place::parse(place)?, event: event.parse().ok()? })
    }
}

impl std::fmt::Display for EventPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:019}-{:010}", self.place.id(), self.event)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_number_and_a_number_a_place() {
        let place = Place { ledger: 1_816_035, transaction: 7, operation: 1 };
        assert_eq!(place.id(), 1_816_035 * 4_294_967_296 + 7 * 4_096 + 1);
        assert_eq!(Place::parse(&place.id().to_string()), Some(place));
        assert_eq!(Place::parse("0").unwrap().id(), 0);
        for wrong in ["", "-1", "1x", "9223372036854775808", "1.0"] {
            assert_eq!(Place::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn places_of_events_are_ordered_as_their_texts() {
        let place = |ledger, transaction, operation, event| EventPlace {
            place: Place { ledger, transaction, operation },
            event,
        };
        let ordered = [
            EventPlace::first_of(5),
            place(5, 0, 0, 1),
            place(5, 1, 0, 0),
            place(5, 1, 0, 10),
            place(5, 1, 2, 0),
            place(5, 12, 0, 0),
            EventPlace::last_of(5),
            EventPlace::first_of(6),
        ];
        assert!(ordered.is_sorted());
        let texts: Vec<String> = ordered.iter().map(EventPlace::to_string).collect();
        assert!(texts.is_sorted());
        assert_eq!(texts[6], "0000000025769803775-4294967295");
        for (text, place) in texts.iter().zip(ordered) {
            assert_eq!(EventPlace::parse(text), Some(place));
        }
        for wrong in ["", "5", "5-", "-5", "5-x", "5-4294967296", "x-5"] {
            assert_eq!(EventPlace::parse(wrong), None, "{wrong}");
        }
    }
}
