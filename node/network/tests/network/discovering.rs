use tradepost_network::{Config, ConnectError, Limits, Origin, spawn};

use crate::node::{config, start, start_with, until, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_find_each_other_through_one_bootstrap_node_alone() {
    let bootstrap = start_with(&[]).await;
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(start_with(&bootstrap.addresses).await);
    }
    for node in &nodes {
        let others: Vec<_> = nodes.iter().map(|n| n.id()).filter(|id| *id != node.id()).collect();
        until(|| async {
            let peers = node.handle.peers().await.unwrap();
            others.iter().all(|id| peers.iter().any(|peer| peer.peer == *id && peer.met))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_known_by_its_id_alone_is_found_through_the_network() {
    let mut middle = start_with(&[]).await;
    let mut far = start_with(&middle.addresses).await;
    far.met(middle.id()).await;
    middle.met(far.id()).await;
    let mut asking = start_with(&middle.addresses).await;
    asking.met(middle.id()).await;
    asking.handle.dial(far.id(), vec![]).await.unwrap();
    asking.met(far.id()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_bootstrap_starts_later_finds_it() {
    let place = start_with(&[]).await;
    let seed = config().seed;
    let listen: Vec<tradepost_network::Multiaddr> = vec![place.addresses[0].iter().take(2).collect()];
    place.handle.close(std::time::Duration::from_secs(5)).await;
    within(10, place.actor).await.unwrap();
    // The port alone is known: whoever listens there is the bootstrap node.
    let address = listen[0].clone();
    let mut early = start_with(&[address]).await;
    let late = start(Config { seed, listen, ..config() }).await;
    early.met(late.id()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_another_network_are_sent_away_and_exchange_nothing() {
    let mut ours = start_with(&[]).await;
    let mut neighbour = start_with(&ours.addresses).await;
    neighbour.met(ours.id()).await;
    let mut foreign =
        start(Config { network_prefix: "ffffffff".into(), bootstrap: ours.addresses.clone(), ..config() }).await;
    foreign.publish("offering", "from abroad").await;
    let handle = ours.handle.clone();
    until(|| async { handle.stats().foreign_peers > 0 }).await;
    let foreign_id = foreign.id();
    until(|| async { handle.peers().await.unwrap().iter().all(|peer| peer.peer != foreign_id) }).await;
    neighbour.publish("offering", "from home").await;
    assert_eq!(ours.hear().await.bytes, "from home");
    assert!(foreign.heard.try_recv().is_err());
    assert_eq!(foreign.handle.stats().published, 0);
    assert_eq!(foreign.handle.stats().peers_met, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_callers_address_is_tried_when_the_first_ones_fails() {
    let target = start_with(&[]).await;
    let node = start_with(&[]).await;
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = format!("/ip4/127.0.0.1/tcp/{}", mute.local_addr().unwrap().port()).parse().unwrap();
    let hang_up_once_both_have_asked = async {
        let connection = mute.accept().await.unwrap();
        // Answered after whatever was asked before it.
        node.handle.peers().await.unwrap();
        drop(connection);
    };
    let (first, second, ()) = tokio::join!(
        node.handle.dial(target.id(), vec![nowhere]),
        node.handle.dial(target.id(), target.addresses.clone()),
        hang_up_once_both_have_asked,
    );
    assert_eq!((first, second), (Ok(()), Ok(())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_at_once_where_a_node_listens_hears_of_every_listener() {
    for _ in 0..8 {
        let listen = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"].map(|a| a.parse().unwrap()).to_vec();
        let (handle, _events, actor) = spawn(Config { listen, ..config() }).unwrap();
        tokio::spawn(actor);
        let addresses = within(10, handle.listen_addrs()).await.unwrap();
        assert_eq!(addresses.len(), 2, "{addresses:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_known_from_before_are_dialled_too_and_of_each_it_is_told_how_it_was_found() {
    let (first, known) = (start_with(&[]).await, start_with(&[]).await);
    let told = start_with(&first.addresses).await;
    let node = start(Config { bootstrap: first.addresses.clone(), known: known.addresses.clone(), ..config() }).await;
    let coming = start_with(&node.addresses).await;
    let all = [first.id(), known.id(), told.id(), coming.id()];
    until(|| async {
        node.handle.peers().await.unwrap().iter().filter(|p| p.met && all.contains(&p.peer)).count() == 4
    })
    .await;
    let peers = node.handle.peers().await.unwrap();
    let of = |id| peers.iter().find(|peer| peer.peer == id).unwrap();
    assert_eq!((of(first.id()).origin, of(known.id()).origin), (Origin::Configured, Origin::Known));
    // Told of each other at the same time, either may be the first to dial.
    assert!(matches!(of(told.id()).origin, Origin::Found | Origin::Inbound));
    assert_eq!(of(coming.id()).origin, Origin::Inbound);
    for (peer, at) in [(&first, &first.addresses[0]), (&coming, &coming.addresses[0])] {
        assert_eq!(of(peer.id()).reached_at.as_ref(), Some(at), "dialled there, or told so");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_kept_for_peers_of_its_own_choice_however_many_others_it_dialled() {
    let (known, other) = (start_with(&[]).await, start_with(&[]).await);
    let limits = Limits { outbound: 0, ..Limits::default() };
    let mut node = start(Config { known: known.addresses.clone(), limits, ..config() }).await;
    node.met(known.id()).await;
    let refused = node.handle.dial(other.id(), other.addresses.clone()).await;
    assert!(refused.is_err(), "nobody else gets one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_keeps_apart_dials_nobody_until_it_joins() {
    let first = start_with(&[]).await;
    let mut node = start(Config { bootstrap: first.addresses.clone(), apart: true, ..config() }).await;
    assert_eq!(node.handle.dial(first.id(), first.addresses.clone()).await, Err(ConnectError::Apart));
    assert!(node.handle.peers().await.unwrap().is_empty());
    node.handle.join().await.unwrap();
    node.met(first.id()).await;
}
