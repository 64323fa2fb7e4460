//! A network that begins anew under its old name and address (G56).

use std::sync::Arc;
use std::time::Duration;

use tradepost_devnet::{Close, Config, Faults, Server};
use tradepost_ledger::clock::{LedgerClock, WallClock};
use tradepost_ledger::watch::{Health, LedgerWatch};
use tradepost_ledger::{ClosedLedger, Ledger, LedgerError, Patience, RpcConfig, RpcLedger};
use tradepost_protocol::message::TxHash;

const PASSPHRASE: &str = "A network that is reset";
const DAY: u64 = 86_400;

async fn network(before: Option<Server>) -> Server {
    let bind = before.as_ref().map_or(([127, 0, 0, 1], 0).into(), Server::address);
    if let Some(before) = before {
        before.shutdown().await;
    }
    let passphrase = Some(PASSPHRASE.to_owned());
    Server::spawn(Config { bind, passphrase, close: Close::OnDemand, ..Config::default() }).await.unwrap()
}

fn close(server: &Server, count: u32) {
    for _ in 0..count {
        server.close();
    }
}

async fn connect(server: &Server) -> RpcLedger {
    let pause = Duration::from_millis(1);
    let patience = Patience { tries: 1, first_pause: pause, longest_pause: pause, ..Patience::default() };
    RpcLedger::connect(RpcConfig { patience, ..RpcConfig::new(server.url()) }, PASSPHRASE).await.unwrap()
}

/// A server with a few ledgers, and two of them as a home keeps them: the first and the newest that it saw.
async fn seen() -> (Server, [ClosedLedger; 2]) {
    let server = network(None).await;
    // Two devnets of one name that do the same at the same seconds are the same, to the hash.
    assert!(server.advance_clock(1_000));
    close(&server, 3);
    let ledger = connect(&server).await;
    let first = ledger.latest().await.unwrap();
    close(&server, 5);
    let newest = ledger.latest().await.unwrap();
    (server, [first, newest])
}

fn assert_says_what_to_do(error: &LedgerError) {
    assert!(matches!(error, LedgerError::Reset { .. }), "{error}");
    assert!(!error.is_passing());
    let text = error.to_string();
    assert!(text.contains("was reset") && text.contains("no longer exists"), "{text}");
}

#[tokio::test]
async fn g56_a_node_that_starts_after_a_reset_is_told_so_however_far_the_new_network_has_come() {
    // Fewer ledgers than were seen, as many, and more.
    for (ahead, ledgers) in [(DAY, 1), (0, 8), (DAY, 8), (0, 50), (DAY, 50)] {
        let (old, kept) = seen().await;
        let new = network(Some(old)).await;
        assert!(new.advance_clock(ahead));
        close(&new, ledgers);
        let error = connect(&new).await.confirm(&kept).await.unwrap_err();
        assert_says_what_to_do(&error);
    }
}

#[tokio::test]
async fn a_network_that_goes_on_is_confirmed_also_where_its_history_has_forgotten_what_was_seen() {
    let (server, kept) = seen().await;
    connect(&server).await.confirm(&kept).await.unwrap();
    close(&server, 20);
    connect(&server).await.confirm(&kept).await.unwrap();
    server.set_faults(Faults { history_ledgers: Some(2), ..Faults::NONE }).unwrap();
    connect(&server).await.confirm(&kept).await.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_lags_behind_what_was_seen_is_no_reset() {
    let (server, kept) = seen().await;
    server.set_faults(Faults { lag_ledgers: 4, ..Faults::NONE }).unwrap();
    let error = connect(&server).await.confirm(&kept).await.unwrap_err();
    assert!(matches!(&error, LedgerError::Backwards { .. }) && error.is_passing(), "{error}");
    close(&server, 4);
    connect(&server).await.confirm(&kept).await.unwrap();
}

#[tokio::test]
async fn g56_a_running_node_says_that_its_network_was_reset_and_stops_asking() {
    for (ahead, ledgers) in [(DAY, 1), (0, 50)] {
        let (old, _) = seen().await;
        let ledger = Arc::new(connect(&old).await);
        let clock = Arc::new(LedgerClock::new(ledger.latest().await.unwrap(), WallClock::Ignored));
        let watch =
            LedgerWatch::spawn(Arc::clone(&ledger) as Arc<dyn Ledger>, Arc::clone(&clock), Duration::from_millis(20));
        let (mut heads, mut health) = (watch.heads(), watch.health());
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, heads.changed()).await.unwrap().unwrap();
        let before = clock.newest();

        // Away, until that was noticed; then there again, as another one.
        old.set_faults(Faults { down: true, ..Faults::NONE }).unwrap();
        tokio::time::timeout(patience, health.wait_for(|h| h.trouble.is_some())).await.unwrap().unwrap();
        let new = network(Some(old)).await;
        new.set_faults(Faults { down: true, ..Faults::NONE }).unwrap();
        assert!(new.advance_clock(ahead));
        close(&new, ledgers);
        new.set_faults(Faults::NONE).unwrap();

        let reset = |h: &Health| h.trouble.as_ref().is_some_and(|t| matches!(t.error, LedgerError::Reset { .. }));
        tokio::time::timeout(patience, health.wait_for(reset)).await.unwrap().unwrap();
        assert_says_what_to_do(&health.borrow().trouble.clone().unwrap().error);
        tokio::time::timeout(patience, async { while heads.changed().await.is_ok() {} }).await.unwrap();
        assert_eq!(clock.newest(), before, "the new network's time isn't ours");
        assert_says_what_to_do(&ledger.head().await.unwrap_err());
        assert_says_what_to_do(&ledger.status(TxHash::from_bytes([0; 32])).await.unwrap_err());
    }
}
