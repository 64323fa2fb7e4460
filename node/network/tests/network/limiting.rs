use std::time::Duration;

use tradepost_network::{Config, ConnectError, Limits, NetworkError, spawn};

use crate::node::{Node, config, start, start_with, until, within};

/// Dials `target` from so many new nodes and says how many are connected when all have been served.
async fn crowd(target: &Node, count: usize) -> (Vec<Node>, usize) {
    let mut nodes = Vec::new();
    for _ in 0..count {
        let node = start_with(&[]).await;
        // A refusal may show only after the handshake.
        let _ = node.handle.dial(target.id(), target.addresses.clone()).await;
        nodes.push(node);
    }
    until(|| async { target.handle.stats().peers + target.handle.stats().connections_refused >= count as u64 }).await;
    let connected = target.handle.peers().await.unwrap().len();
    (nodes, connected)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_limited_in_all() {
    let limits = Limits { inbound: 3, ..Limits::default() };
    let target = start(Config { limits, ..config() }).await;
    let (_nodes, connected) = crowd(&target, 6).await;
    assert_eq!(connected, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_from_one_address_are_limited() {
    let limits = Limits { per_ip: 2, ..Limits::default() };
    let strict = start(Config { limits: limits.clone(), local: false, ..config() }).await;
    let (mut nodes, connected) = crowd(&strict, 4).await;
    assert_eq!(connected, 2);
    // A place that gets free can be taken.
    let gone = nodes.remove(0);
    gone.handle.close(Duration::from_secs(5)).await;
    until(|| async { strict.handle.stats().peers == 1 }).await;
    let next = start_with(&[]).await;
    next.handle.dial(strict.id(), strict.addresses.clone()).await.unwrap();
    until(|| async { strict.handle.stats().peers == 2 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_local_network_one_address_has_many_nodes() {
    let limits = Limits { per_ip: 2, ..Limits::default() };
    let local = start(Config { limits, ..config() }).await;
    let (_nodes, connected) = crowd(&local, 4).await;
    assert_eq!(connected, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
    let refused = spawn(Config { listen: vec![address.parse().unwrap()], ..config() });
    assert!(
        matches!(&refused.err(), Some(NetworkError::Listen { address: named, .. }) if named.to_string() == address)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_of_another_node_is_refused_and_the_error_says_why() {
    let other = start_with(&[]).await;
    for address in &other.addresses {
        let refused = spawn(Config { listen: vec![address.clone()], ..config() }).err();
        let Some(NetworkError::Listen { address: named, why }) = refused else { panic!("{address}: {refused:?}") };
        assert_eq!(&named, address);
        assert!(why.contains("in use"), "{address}: {why:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_where_nobody_is_says_so() {
    let node = start_with(&[]).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("/ip4/127.0.0.1/tcp/{free}").parse().unwrap();
    let failed = node.handle.dial(tradepost_network::PeerId::random(), vec![address]).await;
    assert!(matches!(&failed, Err(ConnectError::Failed(why)) if why.contains("refused")), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialling_oneself_or_nobody_is_an_error_at_once() {
    let node = start_with(&[]).await;
    assert_eq!(node.handle.dial(node.id(), vec![]).await, Err(ConnectError::Oneself));
    assert_eq!(node.handle.dial(tradepost_network::PeerId::random(), vec![]).await, Err(ConnectError::NoAddress));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_the_actor_in_time_and_every_call_after_it() {
    let mut node = start_with(&[]).await;
    let mut other = start_with(&[]).await;
    node.meet(&mut other).await;
    node.publish("offering", "last words").await;
    within(6, node.handle.close(Duration::from_secs(5))).await;
    within(1, node.actor).await.unwrap();
    assert_eq!(other.hear().await.bytes, "last words");
    assert_eq!(node.handle.peers().await, Err(NetworkError::Closed));
    other.change(crate::node::Change::Lost(node.handle.local_peer_id())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_whose_handles_are_gone_ends() {
    let (handle, _events, actor) = spawn(config()).unwrap();
    let actor = tokio::spawn(actor);
    drop(handle);
    within(5, actor).await.unwrap();
}
