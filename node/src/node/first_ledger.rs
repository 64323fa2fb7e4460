//! Whether the ledger is still the one that this home began on.
//!
//! A network that was reset has the same name and begins anew. What is stored then speaks of bindings and bonds that no
//! longer exist, so the node doesn't trade on with it.

use tradepost_ledger::{ClosedLedger, Ledger, LedgerHash};
use tradepost_protocol::step::{Batch, Space};
use tradepost_protocol::time::Timestamp;
use tradepost_store::{Contents, Store, StoreError};

use super::StartError;

/// The first ledger that this home saw: its number, close time and hash.
const FIRST: &[u8] = b"first_ledger";
/// The newest one that it is sure to have seen.
const NEWEST: &[u8] = b"newest_ledger";

/// Makes sure that the ledgers seen before are still part of the network, and remembers the one just read.
pub(super) async fn check(store: &Store, ledger: &dyn Ledger, now: ClosedLedger) -> Result<(), StartError> {
    let (first, newest) = (read(store, FIRST)?, read(store, NEWEST)?);
    let kept: Vec<ClosedLedger> = first.into_iter().chain(newest).collect();
    if !kept.is_empty() {
        ledger.confirm(&kept).await?;
    }
    let mut batch = Batch::new();
    if first.is_none() {
        batch.put(Space::Mark, FIRST, value(now));
    }
    batch.put(Space::Mark, NEWEST, value(now));
    Ok(store.commit(batch)?)
}

/// The first ledger that this home saw.
pub(super) fn first(store: &Store) -> Result<Option<ClosedLedger>, StoreError> {
    read(store, FIRST)
}

fn value(ledger: ClosedLedger) -> Vec<u8> {
    [&ledger.sequence.to_be_bytes()[..], &ledger.close_time.secs().to_be_bytes(), &ledger.hash.0].concat()
}

fn read(store: &Store, key: &[u8]) -> Result<Option<ClosedLedger>, StoreError> {
    let value = store.get(Space::Mark, key)?;
    Ok(value.as_deref().and_then(|value| {
        let (sequence, rest) = value.split_first_chunk::<4>()?;
        let (close_time, hash) = rest.split_first_chunk::<8>()?;
        Some(ClosedLedger {
            sequence: u32::from_be_bytes(*sequence),
            close_time: Timestamp::from_secs(u64::from_be_bytes(*close_time)),
            hash: LedgerHash(hash.try_into().ok()?),
        })
    }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tradepost_devnet::{Close, Config, Faults, Server};
    use tradepost_ledger::{LedgerError, RpcConfig, RpcLedger};
    use tradepost_protocol::network_id::NetworkId;

    use super::*;

    const PASSPHRASE: &str = "A network that is reset";

    async fn network(hours_ahead: u64) -> (Server, RpcLedger) {
        let passphrase = Some(PASSPHRASE.to_owned());
        let config = Config { passphrase, close: Close::OnDemand, ..Config::default() };
        let server = Server::spawn(config).await.unwrap();
        assert!(server.advance_clock(hours_ahead * 3_600));
        server.close();
        let ledger = RpcLedger::connect(RpcConfig::new(server.url()), PASSPHRASE).await.unwrap();
        (server, ledger)
    }

    async fn start(store: &Store, ledger: &RpcLedger) -> Result<(), StartError> {
        check(store, ledger, ledger.latest().await.unwrap()).await
    }

    #[tokio::test]
    async fn g56_a_home_on_a_network_that_was_reset_is_told_so_and_keeps_what_it_saw() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &NetworkId::of_passphrase(PASSPHRASE)).unwrap();
        let (old, ledger) = network(1).await;
        start(&store, &ledger).await.unwrap();
        let first = read(&store, FIRST).unwrap();
        assert_eq!(first, ledger.newest_seen().map(|head| head.ledger));
        old.close();
        start(&store, &ledger).await.unwrap();
        let newest = read(&store, NEWEST).unwrap();
        assert_ne!(newest, first);
        for hours_ahead in [0, 2] {
            let (new, ledger) = network(hours_ahead).await;
            new.close();
            new.close();
            let refused = start(&store, &ledger).await.unwrap_err();
            assert!(matches!(&refused, StartError::Reset(LedgerError::Reset { .. })), "{refused}");
        }
        assert_eq!((read(&store, FIRST).unwrap(), read(&store, NEWEST).unwrap()), (first, newest));

        // Nor does a home forget it whose database was lost in between.
        drop(store);
        std::fs::remove_dir_all(dir.path().join("sled")).unwrap();
        let store = Store::open(dir.path(), &NetworkId::of_passphrase(PASSPHRASE)).unwrap();
        let (_another, other_ledger) = network(2).await;
        let refused = start(&store, &other_ledger).await.unwrap_err();
        assert!(matches!(&refused, StartError::Reset(LedgerError::Reset { .. })), "{refused}");

        // The old one is still there, only its server is a little behind.
        old.set_faults(Faults { lag_ledgers: 1, ..Faults::NONE }).unwrap();
        let behind = RpcLedger::connect(RpcConfig::new(old.url()), PASSPHRASE).await.unwrap();
        let refused = start(&store, &behind).await.unwrap_err();
        assert!(
            matches!(&refused, StartError::Ledger(e @ LedgerError::Backwards { .. }) if e.is_passing()),
            "{refused}"
        );
    }
}
