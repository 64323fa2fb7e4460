//! Whether the ledger is still the one that this home began on.
//!
//! A network that was reset has the same name and begins anew. What is stored then speaks of bindings and bonds that no
//! longer exist, so the node says so instead of trading on.

use tradepost_ledger::ClosedLedger;
use tradepost_protocol::step::{Batch, Space};
use tradepost_store::{Contents, Store, StoreError};

use super::StartError;

/// The first ledger that this home saw: its sequence number and hash.
const FIRST: &[u8] = b"first_ledger";
/// The newest one that it is sure to have seen.
const NEWEST: &[u8] = b"newest_ledger";

/// The ledger isn't the one that this home was made on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the network was reset: this home has seen ledger {seen}, and the network's newest is {newest}. What it holds \
     belongs to a ledger that no longer exists: keep the keys, and start with another home"
)]
pub struct LedgerReset {
    /// A ledger that this home has seen.
    pub seen: u32,
    /// The newest that there is now.
    pub newest: u32,
}

/// Compares the ledger just read with those seen before, and remembers it.
pub(super) fn check(store: &Store, now: ClosedLedger) -> Result<(), StartError> {
    if let Some((seen, hash)) = read(store, NEWEST)? {
        let other = seen == now.sequence && hash != now.hash.0;
        if now.sequence < seen || other {
            return Err(LedgerReset { seen, newest: now.sequence }.into());
        }
    }
    let mut batch = Batch::new();
    if read(store, FIRST)?.is_none() {
        batch.put(Space::Meta, FIRST, value(now));
    }
    batch.put(Space::Meta, NEWEST, value(now));
    Ok(store.commit(batch)?)
}

fn value(ledger: ClosedLedger) -> Vec<u8> {
    [&ledger.sequence.to_be_bytes()[..], &ledger.hash.0].concat()
}

fn read(store: &Store, key: &[u8]) -> Result<Option<(u32, [u8; 32])>, StoreError> {
    let value = store.get(Space::Meta, key)?;
    Ok(value.as_deref().and_then(|value| {
        let (sequence, hash) = value.split_first_chunk::<4>()?;
        Some((u32::from_be_bytes(*sequence), hash.try_into().ok()?))
    }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tradepost_ledger::LedgerHash;
    use tradepost_protocol::network_id::NetworkId;
    use tradepost_protocol::time::Timestamp;

    use super::*;

    fn ledger(sequence: u32, hash: u8) -> ClosedLedger {
        ClosedLedger { sequence, close_time: Timestamp::from_secs(1), hash: LedgerHash([hash; 32]) }
    }

    #[test]
    fn a_ledger_that_began_anew_is_refused_and_the_first_one_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &NetworkId::of_passphrase("p")).unwrap();
        check(&store, ledger(10, 1)).unwrap();
        check(&store, ledger(10, 1)).unwrap();
        check(&store, ledger(12, 2)).unwrap();
        for reset in [ledger(11, 3), ledger(12, 3)] {
            let refused = check(&store, reset).unwrap_err();
            assert!(matches!(&refused, StartError::Reset(r) if r.seen == 12), "{refused}");
        }
        assert_eq!(read(&store, FIRST).unwrap(), Some((10, [1; 32])));
    }
}
