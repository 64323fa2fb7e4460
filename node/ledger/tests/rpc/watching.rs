//! Waiting for the next ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tradepost_ledger::clock::{LedgerClock, WallClock};
use tradepost_ledger::watch::LedgerWatch;
use tradepost_ledger::{Head, Ledger, LedgerError};

use crate::answers::{close_time, connect, honest};
use crate::server::{Reply, Server};

#[tokio::test]
async fn the_watch_tells_each_new_ledger_and_how_the_endpoint_does() {
    let sequence = Arc::new(AtomicU32::new(9));
    let down = Arc::new(AtomicBool::new(false));
    let (shown, broken) = (sequence.clone(), down.clone());
    let server = Server::start(move |q| {
        if broken.load(Ordering::SeqCst) {
            return Reply::Http(404, "", Vec::new());
        }
        honest(q, shown.load(Ordering::SeqCst))
    })
    .await;
    let ledger = Arc::new(connect(&server).await);
    let clock = Arc::new(LedgerClock::new(ledger.latest().await.unwrap(), WallClock::Ignored));
    let watch = LedgerWatch::spawn(ledger, clock.clone(), Duration::from_millis(20));
    let mut heads = watch.heads();
    let shows = |sequence| move |head: &Option<Head>| head.is_some_and(|head| head.ledger.sequence == sequence);
    let mut health = watch.health();
    let patience = Duration::from_secs(10);

    sequence.store(10, Ordering::SeqCst);
    tokio::time::timeout(patience, heads.wait_for(shows(10))).await.unwrap().unwrap();
    assert_eq!(clock.newest().sequence, 10);
    assert_eq!(clock.now().timestamp().secs(), close_time(10));

    down.store(true, Ordering::SeqCst);
    let failing = |h: &tradepost_ledger::watch::Health| h.trouble.as_ref().is_some_and(|t| t.failures >= 2);
    tokio::time::timeout(patience, health.wait_for(failing)).await.unwrap().unwrap();
    let trouble = health.borrow().trouble.clone().unwrap();
    assert!(matches!(trouble.error, LedgerError::Status { status: 404, .. }));

    down.store(false, Ordering::SeqCst);
    sequence.store(11, Ordering::SeqCst);
    tokio::time::timeout(patience, heads.wait_for(shows(11))).await.unwrap().unwrap();
    tokio::time::timeout(patience, health.wait_for(|h| h.trouble.is_none())).await.unwrap().unwrap();

    drop(watch);
    tokio::time::timeout(patience, async { while heads.changed().await.is_ok() {} }).await.unwrap();
}
