//! Peers that begin and don't go on: everything ends at its deadline, and nobody else waits for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{AsyncReadExt, AsyncWriteExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{Request, Response};
use libp2p::Stream;
use tradepost_network::{CallBody, CallHandler, Config, Limits, PeerId, config, full_body};

use crate::calling::{call, get};
use crate::flooding::{open, raw_peer};
use crate::node::{Node, config as localhost, start, start_with, until, within};

const SHORT: Duration = Duration::from_secs(1);
const SECONDS: Duration = Duration::from_secs(10);

/// A request of 256 bytes of which all but the last come.
fn unfinished() -> Vec<u8> {
    [&256_u32.to_be_bytes()[..], &[b'x'; 255]].concat()
}

async fn is_answered(server: &Node) {
    let client = start_with(&[]).await;
    let echo = client.handle.direct(server.id(), server.addresses.clone(), Bytes::from_static(b"echo"), SECONDS).await;
    assert_eq!(echo, Ok(Bytes::from_static(b"echo")));
}

/// Waits until the other side closes a stream, however it does that.
async fn closes(stream: &mut Stream) {
    let mut rest = Vec::new();
    // A reset is an error, and an end all the same.
    let _ = within(30, stream.read_to_end(&mut rest)).await;
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_never_finished_end_at_their_deadline_and_make_room() {
    let limits = Limits { request: 3 * SHORT, ..Limits::default() };
    let server = start(Config { limits, ..localhost() }).await;
    let mut raw = raw_peer(&server).await;
    let mut streams = Vec::new();
    for protocol in ["direct", "fetch"] {
        for _ in 0..config::REQUEST_STREAMS {
            let mut stream = open(&mut raw, &server, protocol).await;
            stream.write_all(&unfinished()).await.unwrap();
            stream.flush().await.unwrap();
            streams.push(stream);
        }
    }
    is_answered(&server).await;
    for stream in &mut streams {
        closes(stream).await;
    }
    assert_eq!(server.handle.stats().requests_received, 1, "the other peer's");
    let mut again = open(&mut raw, &server, "direct").await;
    again.write_all(&[0, 0, 0, 1, b'x']).await.unwrap();
    again.flush().await.unwrap();
    let mut status = [9];
    within(10, again.read_exact(&mut status)).await.unwrap();
    assert_eq!(status, [0], "the peer's own places are free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads_end_at_their_deadline() {
    const MESSAGE: usize = 50 * 1024;
    const ASKED: u8 = 10;
    let limits = Limits { request: 3 * SHORT, ..Limits::default() };
    let server = start(Config { limits, ..localhost() }).await;
    let ids: Vec<[u8; 32]> = (0..ASKED).map(|n| [n; 32]).collect();
    ids.iter().for_each(|id| server.keep(tradepost_network::ItemId { kind: 1, id: *id }, vec![7; MESSAGE]));
    let mut request = vec![2, 0, ASKED];
    ids.iter().for_each(|id| request.extend([&[1], &id[..]].concat()));
    let framed = [&(request.len() as u32).to_be_bytes(), &request[..]].concat();
    let mut raw = raw_peer(&server).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = open(&mut raw, &server, "fetch").await;
        stream.write_all(&framed).await.unwrap();
        stream.flush().await.unwrap();
        streams.push(stream);
    }
    let handle = server.handle.clone();
    until(|| async { handle.stats().unsent_answer_bytes > 0 }).await;
    is_answered(&server).await;
    until(|| async { handle.stats().unsent_answer_bytes == 0 }).await;
    drop(streams);
}

/// Answers `/endless` with bytes without end, and counts the answers that are still held and the bytes that left.
#[derive(Default)]
struct Endless {
    held: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
}

const FRAME: &[u8] = &[7; 16 * 1024];

/// One answer that is held.
struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl CallHandler for Endless {
    fn call(&self, _: PeerId, request: Request<CallBody>) -> BoxFuture<'static, Response<CallBody>> {
        let (held, bytes) = (self.held.clone(), self.bytes.clone());
        Box::pin(async move {
            if request.uri().path() != "/endless" {
                return Response::new(full_body("here"));
            }
            held.fetch_add(1, Ordering::AcqRel);
            let guard = Held(held);
            let frames = stream::repeat_with(move || {
                let _kept = &guard;
                bytes.fetch_add(FRAME.len(), Ordering::AcqRel);
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(FRAME)))
            });
            Response::new(StreamBody::new(frames).map_err(|never| match never {}).boxed_unsync())
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_a_call_that_nobody_reads_is_given_up() {
    let held = Arc::new(AtomicUsize::new(0));
    let limits = Limits { call_body_idle: 2 * SHORT, ..Limits::default() };
    let handler = Arc::new(Endless { held: held.clone(), ..Endless::default() });
    let server = start(Config { limits, call_handler: Some(handler), ..localhost() }).await;
    let (idle, other) = (start_with(&[]).await, start_with(&[]).await);
    let mut unread = Vec::new();
    for _ in 0..6 {
        let mut body = call(&idle, &server, get("/endless")).await.unwrap().into_body();
        assert!(body.frame().await.unwrap().is_ok());
        unread.push(body);
    }
    assert_eq!(held.load(Ordering::Acquire), 6);
    let here = call(&other, &server, get("/")).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(here.to_bytes(), "here", "another peer is served meanwhile");
    until(|| async { held.load(Ordering::Acquire) == 0 }).await;
    drop(unread);
    assert!(call(&idle, &server, get("/")).await.is_ok(), "the line lives on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads_hold_up_no_other_call_of_the_same_peer() {
    const UNREAD: usize = 40;
    let bytes = Arc::new(AtomicUsize::new(0));
    let handler = Arc::new(Endless { bytes: bytes.clone(), ..Endless::default() });
    let server = start(Config { call_handler: Some(handler), ..localhost() }).await;
    let client = start_with(&[]).await;
    let mut unread = Vec::new();
    for _ in 0..UNREAD {
        unread.push(call(&client, &server, get("/endless")).await.unwrap());
    }
    // All that each of them may send before somebody reads it.
    until(|| async { bytes.load(Ordering::Acquire) >= UNREAD * config::CALL_STREAM_WINDOW as usize }).await;
    let here = within(10, call(&client, &server, get("/"))).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(here.to_bytes(), "here");
    drop(unread);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_stream_on_which_nothing_is_said_is_closed_and_its_place_is_free() {
    let limits = Limits { call_idle: SHORT, call_peers: 1, ..Limits::default() };
    let handler = Arc::new(Endless::default());
    let server = start(Config { limits, call_handler: Some(handler), ..localhost() }).await;
    let mut raw = raw_peer(&server).await;
    let mut silent = open(&mut raw, &server, "call").await;
    let mut ready = [9];
    within(10, silent.read_exact(&mut ready)).await.unwrap();
    let other = start_with(&[]).await;
    assert!(call(&other, &server, get("/")).await.is_err(), "the only place is taken");
    // HTTP/2's preface never comes; the server's own may.
    within(30, async { while silent.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {} }).await;
    let handle = server.handle.clone();
    until(|| async { handle.stats().calls_serving == 0 }).await;
    assert!(call(&other, &server, get("/")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_above_its_memory_limit_makes_no_new_connection_and_says_why() {
    let full = start(Config { limits: Limits { memory: 1, ..Limits::default() }, ..localhost() }).await;
    let other = start_with(&[]).await;
    // A refusal may show only after the handshake.
    let _ = other.handle.dial(full.id(), full.addresses.clone()).await;
    until(|| async { full.handle.stats().connections_refused > 0 }).await;
    let refused = full.handle.dial(other.id(), other.addresses.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("memory"), "{refused}");
    assert!(full.handle.peers().await.unwrap().is_empty());
    is_answered(&other).await;
}

/// Another address of this machine is another place; Linux alone lets anybody speak from it.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_say_nothing_take_places_of_their_own_address_and_end_at_their_deadline() {
    use libp2p::multiaddr::Protocol;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpSocket;

    let limits = Limits { per_ip: 2, pending: 4, ..Limits::default() };
    let server = start(Config { limits, local: false, ..localhost() }).await;
    let Some(Protocol::Tcp(port)) = server.addresses[0].iter().nth(1) else { panic!("{:?}", server.addresses) };
    let mut silent = Vec::new();
    for _ in 0..8 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
        silent.push(socket.connect(([127, 0, 0, 1], port).into()).await.unwrap());
    }
    let handle = server.handle.clone();
    until(|| async { handle.stats().connections_refused == 6 }).await;
    is_answered(&server).await;
    for mut connection in silent {
        // What the server has to say first is read, until it has had enough.
        within(30, async { while connection.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {} }).await;
    }
}
