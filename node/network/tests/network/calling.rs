use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{Request, Response, StatusCode};
use tradepost_network::config::CLOSE_LINGER;
use tradepost_network::{CallBody, CallError, CallHandler, Config, Limits, PeerId, empty_body, full_body};

use crate::node::{Change, Node, config, start, start_with, until, within};

/// Echoes bodies as they come; `/slow` never answers, `/stuck` begins and stands still.
struct Echo;

impl CallHandler for Echo {
    fn call(&self, peer: PeerId, request: Request<CallBody>) -> BoxFuture<'static, Response<CallBody>> {
        Box::pin(async move {
            match request.uri().path() {
                "/slow" => std::future::pending().await,
                "/stuck" => {
                    let first = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"begun")))]);
                    let body = StreamBody::new(first.chain(stream::pending()));
                    Response::new(body.map_err(|never| match never {}).boxed_unsync())
                }
                "/who" => Response::new(full_body(peer.to_base58())),
                path => {
                    let path = path.to_owned();
                    Response::builder().header("x-path", path).body(request.into_body()).unwrap()
                }
            }
        })
    }
}

fn limits() -> Limits {
    Limits { call_response: Duration::from_secs(20), call_body_idle: Duration::from_secs(20), ..Limits::default() }
}

pub fn serving() -> Config {
    Config { call_handler: Some(Arc::new(Echo)), limits: limits(), ..config() }
}

pub fn get(path: &str) -> Request<CallBody> {
    Request::builder().uri(path).body(empty_body()).unwrap()
}

/// A body of so many pieces, each with its number.
fn streamed(pieces: u32) -> CallBody {
    let frames = stream::iter(0..pieces).map(|n| Ok::<_, Infallible>(Frame::data(n.to_be_bytes().repeat(256).into())));
    StreamBody::new(frames).map_err(|never| match never {}).boxed_unsync()
}

pub async fn call(from: &Node, to: &Node, request: Request<CallBody>) -> Result<Response<CallBody>, CallError> {
    from.handle.call(to.id(), to.addresses.clone(), request).await
}

async fn text(response: Response<CallBody>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_calls_with_streamed_bodies_share_one_stream() {
    let server = start(serving()).await;
    let client = start_with(&[]).await;
    let calls = (0..50).map(|n| {
        let (client, server) = (&client, &server);
        async move {
            let request = Request::post(format!("/echo/{n}")).body(streamed(64 + n)).unwrap();
            let response = call(client, server, request).await.unwrap();
            assert_eq!(response.headers()["x-path"], format!("/echo/{n}"));
            let echoed = response.into_body().collect().await.unwrap().to_bytes();
            let sent = streamed(64 + n).collect().await.unwrap().to_bytes();
            assert_eq!(echoed, sent);
        }
    });
    within(60, futures::future::join_all(calls)).await;
    assert_eq!(server.handle.stats().calls_serving, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handler_knows_who_calls() {
    let server = start(serving()).await;
    let client = start_with(&[]).await;
    let response = call(&client, &server, get("/who")).await.unwrap();
    assert_eq!(text(response).await, client.id().to_base58());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_peers_restart_the_next_call_works() {
    let config = serving();
    let server = start(config.clone()).await;
    let mut client = start_with(&[]).await;
    assert!(call(&client, &server, get("/a")).await.is_ok());
    client.met(server.id()).await;
    server.handle.close(Duration::from_secs(5)).await;
    client.change(Change::Lost(server.id())).await;
    assert!(matches!(call(&client, &server, get("/b")).await, Err(CallError::Unreachable(_))));
    let again = start(config).await;
    assert_eq!(again.id(), server.id());
    let response = call(&client, &again, get("/c")).await.unwrap();
    assert_eq!(response.headers()["x-path"], "/c");
}

/// libp2p drops streams that arrive in the same moment; every call must come through all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_many_peers_open_at_once_are_all_served() {
    let server = start(serving()).await;
    let mut clients = Vec::new();
    for _ in 0..12 {
        let client = start_with(&[]).await;
        client.handle.dial(server.id(), server.addresses.clone()).await.unwrap();
        clients.push(client);
    }
    let calls = clients.iter().map(|client| call(client, &server, get("/at-once")));
    for response in within(60, futures::future::join_all(calls)).await {
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(server.handle.stats().calls_serving, 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_gets_no_answer_ends_on_both_sides() {
    let mut config = serving();
    config.limits.call_response = Duration::from_secs(2);
    let server = start(config.clone()).await;
    let client = start(Config { seed: crate::node::config().seed, ..config }).await;
    // Whichever side is first: both have the same patience.
    match call(&client, &server, get("/slow")).await {
        Ok(response) => assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT),
        Err(error) => assert_eq!(error, CallError::Timeout),
    }
    assert!(call(&client, &server, get("/next")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_stands_still_is_given_up() {
    let server = start(serving()).await;
    let mut config = config();
    config.limits.call_body_idle = Duration::from_secs(1);
    let client = start(config).await;
    let mut body = call(&client, &server, get("/stuck")).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "begun");
    let error = within(10, body.frame()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("stood still"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_for_calling_peers_are_limited_and_get_free() {
    let mut config = serving();
    config.limits.call_peers = 2;
    let server = start(config).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(start_with(&[]).await);
    }
    assert!(call(&clients[0], &server, get("/")).await.is_ok());
    assert!(call(&clients[1], &server, get("/")).await.is_ok());
    assert_eq!(call(&clients[2], &server, get("/")).await.err(), Some(CallError::Busy));
    clients[0].handle.disconnect(server.id()).await.unwrap();
    until(|| async { server.handle.stats().calls_serving == 1 }).await;
    assert!(call(&clients[2], &server, get("/")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_once_to_one_peer_are_limited_and_wait_their_turn() {
    let server = start(serving()).await;
    let mut config = config();
    config.limits = Limits { calls_per_peer: 2, call_response: Duration::from_secs(3), ..limits() };
    let client = start(config).await;
    let first = call(&client, &server, get("/stuck")).await.unwrap();
    let _second = call(&client, &server, get("/stuck")).await.unwrap();
    assert_eq!(call(&client, &server, get("/third")).await.err(), Some(CallError::Timeout));
    drop(first);
    assert!(call(&client, &server, get("/third")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_without_a_handler_says_so() {
    let server = start_with(&[]).await;
    let client = start_with(&[]).await;
    assert_eq!(call(&client, &server, get("/")).await.err(), Some(CallError::Unsupported));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_over_the_limit_is_refused_and_the_stream_lives() {
    let server = start(serving()).await;
    let client = start_with(&[]).await;
    let large = Request::builder().uri("/").header("x-large", "x".repeat(64 * 1024)).body(empty_body()).unwrap();
    match call(&client, &server, large).await {
        Ok(response) => assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        Err(error) => assert!(matches!(error, CallError::Broken(_)), "{error:?}"),
    }
    assert!(call(&client, &server, get("/next")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_under_way_ends_before_its_server_closes() {
    let server = start(serving()).await;
    let client = start_with(&[]).await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(1);
    let frames = stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|f| (f, receiver)) });
    let body = StreamBody::new(Box::pin(frames)).map_err(Into::into).boxed_unsync();
    let mut echoed = call(&client, &server, Request::post("/").body(body).unwrap()).await.unwrap().into_body();
    let handle = server.handle.clone();
    // Parts of this are the patience with each step, so none of them decides here.
    let closing = tokio::spawn(async move { handle.close(Duration::from_secs(800)).await });
    until(|| async { server.handle.peers().await.is_err() }).await;
    // Longer than the moment that written messages get.
    let mut pace = tokio::time::interval(CLOSE_LINGER / 4);
    for _ in 0..12 {
        pace.tick().await;
        sender.send(Ok(Frame::data(Bytes::from_static(b"on")))).await.unwrap();
        assert_eq!(within(10, echoed.frame()).await.unwrap().unwrap().into_data().unwrap(), "on");
    }
    drop(sender);
    let rest = within(10, echoed.collect()).await.unwrap();
    assert!(rest.to_bytes().is_empty(), "it ends as it should");
    within(20, closing).await.unwrap();
}
