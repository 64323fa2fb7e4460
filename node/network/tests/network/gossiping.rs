use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tradepost_network::{Limits, PublishError, config};

use crate::node::{Change, Node, OFFERING, STATUS, config, start, start_with, until, within};

/// Nodes in a line: each is connected with the next only.
async fn line(length: usize) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..length {
        let mut node = start_with(&[]).await;
        if let Some(last) = nodes.last_mut() {
            node.meet(last).await;
        }
        nodes.push(node);
    }
    nodes
}

fn numbered(n: u32, size: usize) -> Bytes {
    let mut bytes = vec![b'.'; size];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    bytes.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_of_five_gossips_is_delivered_once_to_each() {
    let mut first = start_with(&[]).await;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(start_with(&first.addresses).await);
    }
    for other in &mut others {
        other.met(first.id()).await;
        first.met(other.id()).await;
    }
    others[0].publish("offering", "from the second").await;
    first.publish("status", "from the first").await;
    let heard = first.hear().await;
    assert_eq!((heard.kind, &heard.bytes[..]), ("offering", &b"from the second"[..]));
    for (index, other) in others.iter_mut().enumerate() {
        let mut heard = HashSet::new();
        let wanted = if index == 0 { 1 } else { 2 };
        for _ in 0..wanted {
            let message = other.hear().await;
            assert!(heard.insert((message.kind, message.bytes)), "twice");
        }
        assert!(heard.contains(&("status", Bytes::from_static(b"from the first"))));
    }
    // Whatever comes after the last message came after all copies of the ones before.
    for node in others.iter().chain([&first]) {
        node.publish("status", format!("end of {}", node.id())).await;
    }
    for node in others.iter_mut().chain([&mut first]) {
        let mut ends = HashSet::new();
        for _ in 0..4 {
            let message = node.hear().await;
            assert!(message.bytes.starts_with(b"end of"), "{message:?}");
            assert!(ends.insert(message.bytes), "twice");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_accepted_is_passed_on() {
    let mut nodes = line(3).await;
    for text in ["reject this", "ignore this", "accept this"] {
        nodes[0].publish("offering", text).await;
        assert_eq!(nodes[1].hear().await.bytes, text);
    }
    assert_eq!(nodes[2].hear().await.bytes, "accept this");
    assert!(nodes[2].heard.try_recv().is_err());
    let stats = nodes[1].handle.stats();
    assert_eq!((stats.accepted, stats.rejected, stats.ignored), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relayer_of_invalid_messages_is_silenced_and_an_honest_quiet_one_is_not() {
    let mut nodes = line(2).await;
    let liar = nodes[0].id();
    for n in 0..3 {
        nodes[0].publish("offering", format!("reject {n}")).await;
        nodes[1].hear().await;
    }
    let (liar_node, victim) = nodes.split_at_mut(1);
    let handle = victim[0].handle.clone();
    until(|| async { handle.peers().await.unwrap().iter().any(|p| p.peer == liar && p.score < -80.0) }).await;
    let theirs = liar_node[0].handle.peers().await.unwrap();
    assert!(theirs[0].score >= 0.0, "who was lied to is not worse off: {}", theirs[0].score);
    liar_node[0].publish("status", "hear me").await;
    let mut quiet = start_with(&[]).await;
    quiet.meet(&mut victim[0]).await;
    quiet.publish("status", "honest").await;
    assert_eq!(victim[0].hear().await.bytes, "honest");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_payload_passes_and_the_link_survives() {
    let mut nodes = line(2).await;
    nodes[0].publish("offering", numbered(1, config::MAX_PAYLOAD)).await;
    assert_eq!(nodes[1].hear().await.bytes.len(), config::MAX_PAYLOAD);
    let refused = nodes[0].handle.publish("offering", numbered(2, config::MAX_PAYLOAD + 1)).await;
    let size = config::MAX_PAYLOAD + 1;
    assert_eq!(refused, Err(PublishError::TooLarge { kind: OFFERING.name, size, max: config::MAX_PAYLOAD }));
    assert_eq!(nodes[0].handle.publish("status", Bytes::new()).await, Err(PublishError::Empty));
    assert!(matches!(nodes[0].handle.publish("status", numbered(1, 1_025)).await, Err(PublishError::TooLarge { .. })));
    assert_eq!(
        nodes[0].handle.publish("record", numbered(1, 9)).await,
        Err(PublishError::UnknownKind("record".into()))
    );
    nodes[0].publish("status", "still here").await;
    assert_eq!(nodes[1].hear().await.bytes, "still here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_its_kinds_size_is_held_against_the_relayer() {
    let mut wide = config();
    wide.kinds[1] = tradepost_network::KindConfig { max_bytes: 2_048, ..STATUS };
    let mut sender = start(wide).await;
    let mut receiver = start_with(&[]).await;
    sender.meet(&mut receiver).await;
    sender.publish("status", numbered(1, 2_000)).await;
    sender.publish("status", "short").await;
    assert_eq!(receiver.hear().await.bytes, "short");
    assert_eq!(receiver.handle.stats().gossip_oversized, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_before_anybody_came_arrives_when_they_come() {
    let early = start_with(&[]).await;
    for n in 0..50 {
        early.publish("offering", numbered(n, 100)).await;
    }
    assert_eq!(early.handle.stats().outbox_messages, 50);
    let mut late = start_with(&early.addresses).await;
    let mut heard = HashSet::new();
    for _ in 0..50 {
        assert!(heard.insert(late.hear().await.bytes), "twice");
    }
    assert_eq!(early.handle.stats().outbox_messages, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_two_thousand_arrives_whole() {
    let mut nodes = line(3).await;
    for n in 0..2_000 {
        nodes[0].publish("offering", numbered(n, 1_000)).await;
    }
    let (_, rest) = nodes.split_at_mut(1);
    for node in rest {
        let mut heard = HashSet::new();
        within(60, async {
            while heard.len() < 2_000 {
                assert!(heard.insert(node.hear().await.bytes), "twice");
            }
        })
        .await;
    }
}

/// libp2p remembers a message before it sends it: a plain retry after `AllQueuesFull` would be refused as a duplicate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_through_a_tiny_queue_arrives_whole_and_once() {
    let mut tiny = config();
    tiny.limits = Limits { peer_queue: 8, ..Limits::default() };
    let mut sender = start(tiny).await;
    let mut receiver = start_with(&[]).await;
    sender.meet(&mut receiver).await;
    for n in 0..500 {
        sender.publish("offering", numbered(n, 4_000)).await;
    }
    let mut heard = HashSet::new();
    within(60, async {
        while heard.len() < 500 {
            assert!(heard.insert(receiver.hear().await.bytes), "twice");
        }
    })
    .await;
    assert!(sender.handle.stats().publish_retries > 0, "the queue was never full: the test shows nothing");
}

/// By default libp2p forgets a message after 5 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_after_seven_seconds_still_counts() {
    let mut nodes = line(3).await;
    let start = Instant::now();
    nodes[0].publish("offering", "slowly decided").await;
    nodes[1].hear().await;
    assert_eq!(nodes[2].hear().await.bytes, "slowly decided");
    assert!(start.elapsed() > Duration::from_secs(6));
    assert_eq!(nodes[1].handle.stats().verdicts_late, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_without_a_verdict_is_ignored_and_counted() {
    let mut nodes = line(3).await;
    nodes[0].publish("offering", "never. decided").await;
    nodes[1].hear().await;
    let handle = nodes[1].handle.clone();
    until(|| async { handle.stats().verdicts_late == 1 }).await;
    nodes[0].publish("offering", "the next").await;
    assert_eq!(nodes[2].hear().await.bytes, "the next");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_goes_on_after_a_connection_was_lost_and_made_again() {
    let mut nodes = line(2).await;
    let (a, b) = nodes.split_at_mut(1);
    assert!(a[0].handle.disconnect(b[0].id()).await.unwrap());
    a[0].change(Change::Lost(b[0].id())).await;
    a[0].publish("offering", "while apart").await;
    a[0].meet(&mut b[0]).await;
    assert_eq!(b[0].hear().await.bytes, "while apart");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quic_carries_gossip_too() {
    let mut quic = config();
    quic.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()];
    let mut a = start(quic.clone()).await;
    let mut b = start(tradepost_network::Config { seed: config().seed, ..quic }).await;
    a.meet(&mut b).await;
    let peers = a.handle.peers().await.unwrap();
    assert!(peers[0].address.to_string().contains("quic"), "{}", peers[0].address);
    a.publish("offering", numbered(1, config::MAX_PAYLOAD)).await;
    assert_eq!(b.hear().await.bytes.len(), config::MAX_PAYLOAD);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_owner_loses_gossip_but_holds_nothing_else_up() {
    let mut senders = Vec::new();
    // Its owner reads no event.
    let (slow, events, actor) = tradepost_network::spawn(config()).unwrap();
    tokio::spawn(actor);
    // One alone may not fill the queue.
    for _ in 0..config::EVENTS.div_ceil(config::PENDING_VERDICTS_PER_PEER) {
        let mut sender = start_with(&[]).await;
        slow.dial(sender.id(), sender.addresses.clone()).await.unwrap();
        sender.met(slow.local_peer_id()).await;
        senders.push(sender);
    }
    for n in 0..config::PENDING_VERDICTS_PER_PEER as u32 {
        for sender in &senders {
            sender.publish("status", format!("{n} by {}", sender.id())).await;
        }
    }
    until(|| async { slow.stats().gossip_dropped_slow_owner > 0 }).await;
    let sender = senders.swap_remove(0);
    assert!(slow.stats().gossip_received <= (config::EVENTS - config::EVENTS_RESERVED) as u64);
    assert_eq!(slow.peers().await.unwrap().len(), senders.len() + 1);
    let answer = slow.direct(sender.id(), vec![], Bytes::from_static(b"echo"), Duration::from_secs(10)).await;
    assert_eq!(answer, Ok(Bytes::from_static(b"echo")));
    drop(events);
}
