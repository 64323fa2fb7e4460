//! Waiting for a transaction's end, and for the next ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use stellar_xdr::{Limits, TransactionEnvelope, TransactionResultResult, WriteXdr};
use tokio::time::Instant;
use tradepost_ledger::clock::{LedgerClock, WallClock};
use tradepost_ledger::poll::{Awaited, Final, Unknown, await_final, submit_and_await};
use tradepost_ledger::watch::LedgerWatch;
use tradepost_ledger::{Head, Ledger, LedgerError};
use tradepost_protocol::time::Timestamp;

use crate::answers::{self, close_time, connect, honest};
use crate::server::{Reply, Server};

const EVERY: Duration = Duration::from_millis(1);

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// A server that answers `sendTransaction` and `getTransaction` one after the other, the last answer for ever.
async fn scripted(sent: Vec<Value>, statuses: Vec<Value>) -> Server {
    let mut sent = sent.into_iter();
    let mut statuses = statuses.into_iter().peekable();
    let mut last = Value::Null;
    Server::start(move |q| match q.method.as_str() {
        "sendTransaction" => Reply::Result(sent.next().unwrap()),
        "getTransaction" => {
            last = statuses.next().unwrap_or(last.take());
            Reply::Result(last.clone())
        }
        _ => honest(q, 9),
    })
    .await
}

fn awaited(envelope: &TransactionEnvelope, max_time: u64) -> Awaited {
    Awaited { hash: answers::hash(envelope), max_time: Timestamp::from_secs(max_time), since: 9 }
}

async fn end_of(sent: Vec<Value>, statuses: Vec<Value>, max_time: u64) -> (Final, Server) {
    let envelope = answers::envelope(max_time);
    let server = scripted(sent, statuses).await;
    let ledger = connect(&server).await;
    let bytes = envelope.to_xdr(Limits::none()).unwrap();
    (submit_and_await(&ledger, &bytes, &awaited(&envelope, max_time), EVERY, soon()).await, server)
}

#[tokio::test]
async fn pending_is_not_inclusion() {
    let envelope = answers::envelope(0);
    let (end, server) = end_of(
        vec![answers::sent("PENDING", &envelope)],
        vec![answers::not_found(1, 9), answers::not_found(1, 10), answers::found(&envelope, 11, true)],
        0,
    )
    .await;
    assert!(matches!(end, Final::Included { applied: true, found } if found.at.sequence == 11));
    assert_eq!(server.count("getTransaction"), 3);
}

#[tokio::test]
async fn a_failed_transaction_is_included_and_not_applied() {
    let envelope = answers::envelope(0);
    let (end, _) =
        end_of(vec![answers::sent("PENDING", &envelope)], vec![answers::found(&envelope, 10, false)], 0).await;
    assert!(matches!(end, Final::Included { applied: false, .. }));
}

#[tokio::test]
async fn dead_is_only_what_no_ledger_up_to_one_past_its_max_time_holds() {
    let max_time = close_time(11);
    let envelope = answers::envelope(max_time);
    let statuses = vec![answers::not_found(1, 10), answers::not_found(1, 11), answers::not_found(10, 12)];
    let (end, server) = end_of(vec![answers::sent("PENDING", &envelope)], statuses, max_time).await;
    assert!(matches!(end, Final::Dead { at } if at.sequence == 12), "{end:?}");
    assert_eq!(server.count("getTransaction"), 3, "at a close time equal to maxTime it may still be included");
}

#[tokio::test]
async fn a_history_that_begins_too_late_proves_no_death() {
    let max_time = close_time(11);
    let envelope = answers::envelope(max_time);
    let statuses = vec![answers::not_found(11, 12)];
    let (end, _) = end_of(vec![answers::sent("PENDING", &envelope)], statuses, max_time).await;
    assert_eq!(end, Final::Unknown(Unknown::HistoryGone { oldest: 11, since: 10 }));
}

#[tokio::test]
async fn without_a_max_time_it_never_dies() {
    let envelope = answers::envelope(0);
    let server = scripted(vec![], vec![answers::not_found(1, 4_000_000)]).await;
    let ledger = connect(&server).await;
    let deadline = Instant::now() + Duration::from_millis(200);
    let end = await_final(&ledger, &awaited(&envelope, 0), EVERY, deadline).await;
    assert_eq!(end, Final::Unknown(Unknown::NotYet { last_error: None }));
}

#[tokio::test]
async fn what_is_to_be_tried_later_is_handed_in_again() {
    let envelope = answers::envelope(0);
    let later = answers::sent("TRY_AGAIN_LATER", &envelope);
    let sent = vec![later.clone(), later, answers::sent("PENDING", &envelope)];
    let statuses = vec![answers::not_found(1, 9), answers::not_found(1, 10), answers::found(&envelope, 11, true)];
    let (end, server) = end_of(sent, statuses, 0).await;
    assert!(matches!(end, Final::Included { applied: true, .. }));
    assert_eq!(server.count("sendTransaction"), 3);
}

#[tokio::test]
async fn a_refusal_for_its_signatures_is_final_at_once() {
    let envelope = answers::envelope(0);
    let refused = answers::refused(&envelope, TransactionResultResult::TxBadAuth);
    let (end, server) = end_of(vec![refused], vec![], 0).await;
    assert!(matches!(end, Final::Refused { result } if result.result == TransactionResultResult::TxBadAuth));
    assert_eq!(server.count("getTransaction"), 0);
}

#[tokio::test]
async fn a_used_sequence_number_may_mean_that_it_is_in_a_ledger_already() {
    let envelope = answers::envelope(0);
    let bad_seq = answers::refused(&envelope, TransactionResultResult::TxBadSeq);
    let late = vec![answers::not_found(1, 9), answers::found(&envelope, 9, true)];
    let (end, _) = end_of(vec![bad_seq.clone()], late, 0).await;
    assert!(matches!(end, Final::Included { applied: true, .. }), "{end:?}");

    let never = vec![answers::not_found(1, 9), answers::not_found(1, 10), answers::not_found(1, 11)];
    let (end, server) = end_of(vec![bad_seq], never, 0).await;
    assert!(matches!(end, Final::Refused { .. }), "{end:?}");
    assert_eq!(server.count("getTransaction"), 3);
}

#[tokio::test]
async fn an_endpoint_that_contradicts_itself_decides_nothing() {
    let envelope = answers::envelope(0);
    let other = answers::found(&answers::envelope(1), 10, true);
    let (end, _) = end_of(vec![answers::sent("PENDING", &envelope)], vec![other], 0).await;
    assert!(matches!(end, Final::Unknown(Unknown::Endpoint(LedgerError::Contradiction { .. }))), "{end:?}");
}

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
