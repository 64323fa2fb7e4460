use bytes::Bytes;
use libp2p::PeerId;
use tradepost_network::{Cursor, Event, Handle, IdPage, ItemId, PeerFault, RequestError, config, spawn};

use crate::node::{Node, PAGE, config, start, start_with, until};

fn id(n: u32) -> ItemId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&n.to_be_bytes());
    ItemId { kind: if n.is_multiple_of(2) { 1 } else { 3 }, id }
}

/// Fetches all that a peer has, page by page and batch by batch.
async fn catch_up(handle: &Handle, peer: PeerId) -> Vec<(ItemId, Bytes)> {
    let mut ids = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let page = handle.list_ids(peer, cursor).await.unwrap();
        assert!(page.ids.len() <= PAGE);
        ids.extend(page.ids);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let mut items = Vec::new();
    let mut rest = &ids[..];
    while !rest.is_empty() {
        let page = handle.fetch(peer, rest).await.unwrap();
        items.extend(page.items);
        rest = &rest[page.processed..];
    }
    items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sixth_node_that_starts_later_fetches_what_five_have_gossiped() {
    let mut first = start_with(&[]).await;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(start_with(&first.addresses).await);
    }
    for other in &mut others {
        other.met(first.id()).await;
        first.met(other.id()).await;
    }
    for n in 0..20 {
        first.publish("offering", format!("message {n}")).await;
    }
    for other in &mut others {
        for n in 0..20 {
            let heard = other.hear().await;
            other.keep(id(n), heard.bytes);
        }
    }
    let mut sixth = start_with(&others[0].addresses).await;
    sixth.met(others[0].id()).await;
    let fetched = catch_up(&sixth.handle, others[0].id()).await;
    let mut messages: Vec<String> =
        fetched.iter().map(|(_, bytes)| String::from_utf8(bytes.to_vec()).unwrap()).collect();
    messages.sort();
    let mut wanted: Vec<String> = (0..20).map(|n| format!("message {n}")).collect();
    wanted.sort();
    assert_eq!(messages, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_book_comes_in_bounded_batches() {
    let mut server = start_with(&[]).await;
    for n in 0..200 {
        server.keep(id(n), vec![n as u8; 16_000]);
    }
    let mut client = start_with(&[]).await;
    client.meet(&mut server).await;
    let all: Vec<ItemId> = (0..200).map(id).collect();
    let page = client.handle.fetch(server.id(), &all).await.unwrap();
    assert_eq!(page.processed, config::MAX_FETCH_BYTES / 16_000);
    assert_eq!(catch_up(&client.handle, server.id()).await.len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_peer_lacks_is_missing_and_no_fault() {
    let mut server = start_with(&[]).await;
    server.keep(id(2), "two");
    let mut client = start_with(&[]).await;
    client.meet(&mut server).await;
    let page = client.handle.fetch(server.id(), &[id(1), id(2), id(3)]).await.unwrap();
    assert_eq!((page.items, page.processed), (vec![(id(2), Bytes::from_static(b"two"))], 3));
    assert_eq!(client.handle.stats().peer_faults, 0);
    let many: Vec<ItemId> = (0..=config::MAX_IDS as u32).map(id).collect();
    let refused = client.handle.fetch(server.id(), &many).await;
    assert_eq!(refused, Err(RequestError::TooManyIds { ids: many.len(), max: config::MAX_IDS }));
}

/// A peer whose owner breaks the rules of lists and fetches.
async fn liar(victim: &mut Node) -> Handle {
    let (handle, mut events, actor) = spawn(config()).unwrap();
    tokio::spawn(actor);
    let answering = handle.clone();
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            match event {
                Event::IdsWanted { token, cursor, .. } => {
                    answering.serve_ids(token, &IdPage { ids: vec![id(0)], next: cursor }).unwrap();
                }
                Event::FetchWanted { token, .. } => {
                    let mut answer = tradepost_network::FetchAnswer::new();
                    assert!(answer.found(id(77), Bytes::from_static(b"nobody asked")));
                    answering.serve_fetch(token, answer).unwrap();
                }
                _ => {}
            }
        }
    });
    handle.dial(victim.id(), victim.addresses.clone()).await.unwrap();
    victim.met(handle.local_peer_id()).await;
    handle
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_break_the_rules_are_the_peers_fault_and_end_in_a_ban() {
    let mut victim = start(config()).await;
    let liar = liar(&mut victim).await;
    let peer = liar.local_peer_id();
    let unasked = victim.handle.fetch(peer, &[id(1)]).await;
    assert_eq!(unasked, Err(RequestError::Fault(PeerFault::Unasked)));
    let circle = victim.handle.list_ids(peer, Cursor::new(vec![1])).await;
    assert_eq!(circle, Err(RequestError::Fault(PeerFault::NoProgress)));
    // The owner found the third one.
    victim.handle.blame(peer, PeerFault::Mismatch);
    victim.change(crate::node::Change::Lost(peer)).await;
    let stats = victim.handle.stats();
    assert_eq!((stats.peer_faults, stats.peers_banned), (3, 1));
    until(|| async { liar.peers().await.unwrap().is_empty() }).await;
    let _ = liar.dial(victim.id(), victim.addresses.clone()).await;
    assert!(victim.handle.fetch(peer, &[id(1)]).await.is_err());
    assert_eq!(victim.handle.stats().peers_met, 0);
}
