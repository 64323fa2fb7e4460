use std::time::{Duration, Instant};

use bytes::Bytes;
use tradepost_network::{ConnectError, RequestError, config};

use crate::node::{start_with, within};

const SECONDS: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_request_dials_and_gets_its_response() {
    let server = start_with(&[]).await;
    let client = start_with(&[]).await;
    let largest = Bytes::from(vec![7; config::MAX_DIRECT]);
    let response = client.handle.direct(server.id(), server.addresses.clone(), largest.clone(), SECONDS).await;
    assert_eq!(response, Ok(largest));
    let back = server.handle.direct(client.id(), vec![], Bytes::from_static(b"back"), SECONDS).await;
    assert_eq!(back, Ok(Bytes::from_static(b"back")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_a_response_ends_at_its_deadline() {
    let server = start_with(&[]).await;
    let client = start_with(&[]).await;
    let started = Instant::now();
    let ask = |text: &'static str, within| {
        client.handle.direct(server.id(), server.addresses.clone(), Bytes::from_static(text.as_bytes()), within)
    };
    assert_eq!(ask("silent", Duration::from_secs(2)).await, Err(RequestError::Timeout));
    assert!(started.elapsed() >= Duration::from_secs(2));
    assert_eq!(ask("refuse", SECONDS).await, Err(RequestError::Unanswered));
    assert_eq!(ask("large.", SECONDS).await, Err(RequestError::Unanswered));
    assert_eq!(ask("echo", SECONDS).await, Ok(Bytes::from_static(b"echo")), "others go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_large_a_request_and_a_dead_peer_are_errors_at_once() {
    let gone = start_with(&[]).await;
    let client = start_with(&[]).await;
    let large = Bytes::from(vec![0; config::MAX_DIRECT + 1]);
    let refused = client.handle.direct(gone.id(), gone.addresses.clone(), large, SECONDS).await;
    assert_eq!(refused, Err(RequestError::TooLarge { size: config::MAX_DIRECT + 1, max: config::MAX_DIRECT }));
    gone.handle.close(Duration::from_secs(5)).await;
    within(5, gone.actor).await.unwrap();
    let dead = gone.handle.local_peer_id();
    let unreachable = client.handle.direct(dead, gone.addresses.clone(), Bytes::from_static(b"hello"), SECONDS).await;
    assert!(matches!(unreachable, Err(RequestError::Unreachable(ConnectError::Failed(_)))), "{unreachable:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_asks_too_much_is_told_so() {
    let mut server = start_with(&[]).await;
    let mut client = start_with(&[]).await;
    client.meet(&mut server).await;
    let asks = (0..40)
        .map(|_| client.handle.direct(server.id(), vec![], Bytes::from_static(b"silent"), Duration::from_secs(3)));
    let outcomes = futures::future::join_all(asks).await;
    let busy = outcomes.iter().filter(|outcome| **outcome == Err(RequestError::Busy)).count();
    let waiting = outcomes.iter().filter(|outcome| **outcome == Err(RequestError::Timeout)).count();
    assert_eq!(busy + waiting, 40, "{outcomes:?}");
    assert!(waiting <= config::PENDING_ANSWERS_PER_PEER, "{waiting} were taken in");
    assert!(busy > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_to_a_peer_that_is_not_connected_dial_it_once() {
    let server = start_with(&[]).await;
    let client = start_with(&[]).await;
    let asks = (0..30)
        .map(|_| client.handle.direct(server.id(), server.addresses.clone(), Bytes::from_static(b"echo"), SECONDS));
    let outcomes = futures::future::join_all(asks).await;
    let answered = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let busy = outcomes.iter().filter(|outcome| **outcome == Err(RequestError::Busy)).count();
    assert_eq!(answered + busy, 30, "{outcomes:?}");
    assert_eq!(client.handle.peers().await.unwrap()[0].connections, 1);
}
