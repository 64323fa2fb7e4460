//! Whether the network is still the one that was seen before.
//!
//! A network that was reset keeps its name and begins anew. What tells is its ledgers: one that was seen and has another
//! hash now, or a newest ledger with a lower number that closed later, or with a higher one that closed earlier.

use crate::ledger::ClosedLedger;

/// What the newest ledger says about one that was seen earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing speaks against it, and it isn't proved either.
    Later,
    /// It is the same ledger.
    Same,
    /// The endpoint hasn't come as far as it was seen to be: it lags, or the network was reset with its clock set back.
    Behind,
    /// They can't be of one network, for this reason.
    Reset(String),
}

/// Judges a ledger that was seen earlier by the newest one.
pub(crate) fn judge(kept: &ClosedLedger, newest: &ClosedLedger) -> Verdict {
    let differs = |what: &str| {
        Verdict::Reset(format!(
            "ledger {} had closed at {} with the hash {}, and now {what} is {} of {} with the hash {}",
            kept.sequence, kept.close_time, kept.hash, newest.sequence, newest.close_time, newest.hash
        ))
    };
    if newest.sequence == kept.sequence {
        return if newest == kept { Verdict::Same } else { differs("the one of that number") };
    }
    let later = newest.close_time > kept.close_time;
    match newest.sequence > kept.sequence {
        true if later => Verdict::Later,
        false if !later => Verdict::Behind,
        _ => differs("the newest"),
    }
}

#[cfg(test)]
mod tests {
    use tradepost_protocol::time::Timestamp;

    use super::*;
    use crate::ledger::LedgerHash;

    fn ledger(sequence: u32, close_time: u64, hash: u8) -> ClosedLedger {
        ClosedLedger { sequence, close_time: Timestamp::from_secs(close_time), hash: LedgerHash([hash; 32]) }
    }

    #[test]
    fn number_time_and_hash_tell_a_reset_from_an_endpoint_that_lags() {
        let kept = ledger(100, 1_000, 1);
        assert_eq!(judge(&kept, &kept), Verdict::Same);
        assert_eq!(judge(&kept, &ledger(101, 1_005, 2)), Verdict::Later);
        assert_eq!(judge(&kept, &ledger(99, 995, 2)), Verdict::Behind);
        let resets = [ledger(100, 1_000, 2), ledger(100, 1_001, 1), ledger(3, 1_001, 2), ledger(101, 1_000, 2)];
        for newest in resets {
            assert!(matches!(judge(&kept, &newest), Verdict::Reset(_)), "{newest:?}");
        }
    }
}
