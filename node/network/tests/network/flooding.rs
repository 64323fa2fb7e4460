//! Peers that send too much, read too slowly or write too slowly: others are served as before, and nothing grows above
//! its constant.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use http_body_util::BodyExt;
use libp2p::{Stream, StreamProtocol, SwarmBuilder, noise, tcp, yamux};
use libp2p_stream::Control;
use tokio::sync::oneshot;
use tradepost_network::{Config, ItemId, Limits, PeerId, RequestError, config, spawn};

use crate::node::{NETWORK, Node, config as localhost, start, start_with, until, within};

const SECONDS: Duration = Duration::from_secs(10);

/// What the honest node gossips, one message after the other.
async fn honest_gossip(honest: &Node, from: u32, to: u32) {
    for n in from..to {
        honest.publish("offering", format!("honest {n}")).await;
    }
}

/// Listens until all the honest messages have come.
async fn hear_all(victim: &mut Node, honest: PeerId, count: u32) {
    let mut heard = HashSet::new();
    while heard.len() < count as usize {
        let message = victim.hear().await;
        if message.from == honest {
            assert!(heard.insert(message.bytes), "twice");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_peer_floods_leaves_room_for_all_that_an_honest_one_says() {
    const OVER: u32 = 400;
    const HONEST: u32 = 100;
    let mut victim = start_with(&[]).await;
    let (mut flooder, mut honest) = (start_with(&[]).await, start_with(&[]).await);
    flooder.meet(&mut victim).await;
    honest.meet(&mut victim).await;
    // The victim's owner gives no verdict on these.
    for n in 0..config::PENDING_VERDICTS_PER_PEER as u32 + OVER {
        flooder.publish("offering", format!("never. {n}")).await;
        if n % 16 == 0 && n / 16 < HONEST {
            honest_gossip(&honest, n / 16, n / 16 + 1).await;
        }
    }
    hear_all(&mut victim, honest.id(), HONEST).await;
    let handle = victim.handle.clone();
    until(|| async { handle.stats().gossip_dropped_share == u64::from(OVER) }).await;
    let stats = victim.handle.stats();
    assert_eq!(stats.gossip_received, config::PENDING_VERDICTS_PER_PEER as u64 + u64::from(HONEST));
    assert_eq!((stats.accepted, stats.rejected), (u64::from(HONEST), 0));
    assert!(stats.pending_verdicts <= config::PENDING_VERDICTS as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_valid_and_a_thousand_invalid_messages_hide_nothing_of_an_honest_peer() {
    let mut victim = start_with(&[]).await;
    let (mut flooder, mut honest) = (start_with(&[]).await, start_with(&[]).await);
    flooder.meet(&mut victim).await;
    honest.meet(&mut victim).await;
    for n in 0..1_000u32 {
        flooder.publish("status", format!("a valid one, {n}")).await;
        flooder.publish("offering", format!("reject {n}")).await;
        if n % 10 == 0 {
            honest_gossip(&honest, n / 10, n / 10 + 1).await;
        }
    }
    hear_all(&mut victim, honest.id(), 100).await;
    let handle = victim.handle.clone();
    // Every message has its verdict, and the flooder is known for what it is.
    until(|| async {
        let stats = handle.stats();
        stats.accepted + stats.rejected == stats.gossip_received && stats.rejected >= 3
    })
    .await;
    let stats = victim.handle.stats();
    let outbox = config::OUTBOX_MESSAGES as u64;
    assert!(stats.outbox_messages <= outbox && stats.gossip_received <= 2_100, "{stats:?}");
    let peers = victim.handle.peers().await.unwrap();
    assert!(peers.iter().any(|peer| peer.peer == flooder.id() && peer.score < -80.0), "{peers:?}");
    assert!(peers.iter().all(|peer| peer.peer == flooder.id() || peer.score >= 0.0), "{peers:?}");
}

/// A node whose actor is no longer run from a moment on: it holds its connections and reads nothing.
async fn slow_reader(of: &mut Node) -> (tokio::task::JoinHandle<()>, oneshot::Sender<()>) {
    let (handle, _events, actor) = spawn(localhost()).unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        let mut actor = actor;
        tokio::select! {
            () = &mut actor => {}
            _ = stopped => std::future::pending().await,
        }
    });
    handle.dial(of.id(), of.addresses.clone()).await.unwrap();
    of.met(handle.local_peer_id()).await;
    (task, stop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_reads_nothing_misses_messages_and_holds_nobody_up() {
    const MESSAGES: u32 = 200;
    const QUEUE: usize = 32;
    let mut config = localhost();
    config.limits = Limits { peer_queue: QUEUE, ..Limits::default() };
    let mut sender = start(config).await;
    let mut reader = start_with(&[]).await;
    reader.meet(&mut sender).await;
    let (stuck, stop) = slow_reader(&mut sender).await;
    stop.send(()).unwrap();
    // One after the other: the queue of the peer that reads never fills, so that whatever it misses is the other's doing.
    for n in 0..MESSAGES {
        let mut bytes = vec![b'.'; 50 * 1024];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        sender.publish("offering", bytes).await;
        assert_eq!(reader.hear().await.bytes[..4], n.to_be_bytes());
    }
    let handle = sender.handle.clone();
    until(|| async { handle.stats().slow_peer_drops > 0 }).await;
    assert_eq!(sender.handle.stats().outbox_messages, 0);
    let answer = reader.handle.direct(sender.id(), vec![], Bytes::from_static(b"echo"), SECONDS).await;
    assert_eq!(answer, Ok(Bytes::from_static(b"echo")));
    stuck.abort();
}

/// A peer that speaks with streams of its own, whatever is written to them.
pub async fn raw_peer(target: &Node) -> Control {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .unwrap()
        .with_swarm_config(|c| c.with_idle_connection_timeout(Duration::from_secs(60)))
        .build();
    let control = swarm.behaviour().new_control();
    swarm.dial(target.addresses[0].clone()).unwrap();
    tokio::spawn(async move { while swarm.next().await.is_some() {} });
    let handle = target.handle.clone();
    until(|| async { handle.stats().peers > 0 }).await;
    control
}

pub async fn open(control: &mut Control, target: &Node, protocol: &str) -> Stream {
    let protocol = StreamProtocol::try_from_owned(format!("/tradepost/1/{NETWORK}/{protocol}")).unwrap();
    within(10, control.open_stream(target.id(), protocol)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_writes_half_its_requests_has_so_many_streams_and_holds_nobody_up() {
    let server = start_with(&[]).await;
    let mut raw = raw_peer(&server).await;
    let mut streams = Vec::new();
    for _ in 0..config::REQUEST_STREAMS {
        let mut stream = open(&mut raw, &server, "direct").await;
        // The length of a request, and no request.
        stream.write_all(&[0, 0, 1, 0, b'x']).await.unwrap();
        stream.flush().await.unwrap();
        streams.push(stream);
    }
    let mut over = open(&mut raw, &server, "direct").await;
    let _ = over.write_all(&[0, 0, 0, 1, b'x']).await;
    let mut answer = Vec::new();
    let _ = within(10, over.read_to_end(&mut answer)).await;
    assert!(answer.is_empty(), "a stream over the limit is closed without an answer: {answer:?}");
    assert_eq!(server.handle.stats().requests_received, 0);
    let client = start_with(&[]).await;
    let echo = client.handle.direct(server.id(), server.addresses.clone(), Bytes::from_static(b"echo"), SECONDS).await;
    assert_eq!(echo, Ok(Bytes::from_static(b"echo")));
    // One that is finished after all is answered.
    let mut first = streams.remove(0);
    first.write_all(&[b'x'; 255]).await.unwrap();
    first.flush().await.unwrap();
    let mut status = [9];
    within(10, first.read_exact(&mut status)).await.unwrap();
    assert_eq!(status, [0], "an answer");
}

fn id(n: u32) -> ItemId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&n.to_be_bytes());
    ItemId { kind: 1, id }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_a_peer_asks_for_and_does_not_read_are_bounded() {
    const MESSAGE: usize = 50 * 1024;
    const ASKED: u32 = 10;
    let server = start_with(&[]).await;
    (0..ASKED).for_each(|n| server.keep(id(n), vec![7; MESSAGE]));
    let mut request = vec![2, 0, ASKED as u8];
    (0..ASKED).for_each(|n| request.extend([&[1], &id(n).id[..]].concat()));
    let framed = [&(request.len() as u32).to_be_bytes(), &request[..]].concat();
    let mut raw = raw_peer(&server).await;
    let (mut streams, mut answered, mut busy) = (Vec::new(), 0, 0);
    for _ in 0..32 {
        let mut stream = open(&mut raw, &server, "fetch").await;
        stream.write_all(&framed).await.unwrap();
        stream.flush().await.unwrap();
        let mut status = [9];
        within(10, stream.read_exact(&mut status)).await.unwrap();
        match status {
            [0] => answered += 1,
            [1] => busy += 1,
            other => panic!("{other:?}"),
        }
        streams.push(stream);
    }
    let fit = config::UNSENT_ANSWERS_PER_PEER.div_ceil(MESSAGE * ASKED as usize);
    assert_eq!((answered, busy), (fit, 32 - fit));
    let client = start_with(&[]).await;
    client.handle.dial(server.id(), server.addresses.clone()).await.unwrap();
    let page = client.handle.fetch(server.id(), &[id(0)]).await.unwrap();
    assert_eq!(page.items.len(), 1, "another peer is answered");
    let handle = server.handle.clone();
    let most = (config::UNSENT_ANSWERS_PER_PEER + 2 * config::MAX_FETCH_BYTES) as u64;
    until(|| async { (1..=most).contains(&handle.stats().unsent_answer_bytes) }).await;
    drop(streams);
    until(|| async { handle.stats().unsent_answer_bytes == 0 }).await;
    let mut stream = open(&mut raw, &server, "fetch").await;
    stream.write_all(&framed).await.unwrap();
    stream.flush().await.unwrap();
    let mut status = [9];
    within(10, stream.read_exact(&mut status)).await.unwrap();
    assert_eq!(status, [0], "what isn't wanted any more makes room");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_asks_for_lists_without_end_is_told_so_and_others_get_theirs() {
    let mut server = start_with(&[]).await;
    let (mut greedy, mut modest) = (start_with(&[]).await, start_with(&[]).await);
    greedy.meet(&mut server).await;
    modest.meet(&mut server).await;
    let asks = (0..config::PENDING_REQUESTS).map(|_| greedy.handle.list_ids(server.id(), None));
    let outcomes = within(30, futures::future::join_all(asks)).await;
    assert!(outcomes.contains(&Err(RequestError::Busy)) && outcomes.iter().any(Result::is_ok), "{outcomes:?}");
    let stats = server.handle.stats();
    assert!(stats.requests_refused > 0, "the server itself has refused some: {stats:?}");
    assert!(modest.handle.list_ids(server.id(), None).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_one_peer_makes_at_once_are_limited_by_whom_it_calls() {
    let mut serving = crate::calling::serving();
    serving.limits.calls_per_peer = 2;
    let server = start(serving).await;
    let mut patient = localhost();
    patient.limits = Limits { call_response: Duration::from_secs(3), ..Limits::default() };
    let client = start(Config { ..patient }).await;
    let call = |path: &'static str| crate::calling::call(&client, &server, crate::calling::get(path));
    let first = call("/stuck").await.unwrap();
    let _second = call("/stuck").await.unwrap();
    assert!(call("/third").await.is_err(), "it waits its turn, which doesn't come");
    let other = start_with(&[]).await;
    let response = crate::calling::call(&other, &server, crate::calling::get("/other")).await.unwrap();
    assert!(response.into_body().collect().await.is_ok(), "another peer has its own places");
    drop(first);
    assert!(call("/third").await.is_ok());
}
