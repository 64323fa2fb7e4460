//! A node: an actor and an owner that answers by simple rules.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use libp2p::multiaddr::Protocol;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tradepost_network::{
    Config, Cursor, Event, EventReceiver, FetchAnswer, Handle, IdPage, ItemId, KindConfig, Multiaddr, PeerId, Verdict,
    config, spawn,
};

pub const OFFERING: KindConfig =
    KindConfig { number: 1, name: "offering", max_bytes: config::MAX_PAYLOAD, gossiped: true };
pub const STATUS: KindConfig = KindConfig { number: 2, name: "status", max_bytes: 1_024, gossiped: true };
pub const RECORD: KindConfig = KindConfig { number: 3, name: "record", max_bytes: 16_384, gossiped: false };
pub const NETWORK: &str = "0123abcd";

/// Ids in one page of the owner's lists.
pub const PAGE: usize = 10;

pub type Store = Arc<Mutex<BTreeMap<ItemId, Bytes>>>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub kind: &'static str,
    pub bytes: Bytes,
    pub from: PeerId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Met(PeerId),
    Lost(PeerId),
}

pub struct Node {
    pub handle: Handle,
    pub heard: UnboundedReceiver<Heard>,
    changes: UnboundedReceiver<Change>,
    /// Comings and goings that nobody waited for yet.
    unclaimed: Vec<Change>,
    pub store: Store,
    /// Where it listens, with its id.
    pub addresses: Vec<Multiaddr>,
    pub actor: JoinHandle<()>,
}

/// A configuration for localhost with a key of its own.
pub fn config() -> Config {
    static SEED: AtomicU64 = AtomicU64::new(1);
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&SEED.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let mut config = Config::new(seed, NETWORK, vec![OFFERING, STATUS, RECORD]);
    config.local = true;
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    config
}

/// Starts a node and waits until it listens.
pub async fn start(config: Config) -> Node {
    let wanted = config.listen.len();
    let (handle, mut events, actor) = spawn(config).unwrap();
    let actor = tokio::spawn(actor);
    let mut addresses = Vec::new();
    while addresses.len() < wanted {
        let Some(Event::Listening(address)) = within(10, events.recv()).await else {
            continue;
        };
        addresses.push(address.with(Protocol::P2p(handle.local_peer_id())));
    }
    let (heard_sender, heard) = unbounded_channel();
    let (change_sender, changes) = unbounded_channel();
    let store = Store::default();
    let owner = Owner { handle: handle.clone(), heard: heard_sender, changes: change_sender, store: store.clone() };
    tokio::spawn(owner.run(events));
    Node { handle, heard, changes, unclaimed: Vec::new(), store, addresses, actor }
}

/// Starts a node on localhost that knows the bootstrap addresses.
pub async fn start_with(bootstrap: &[Multiaddr]) -> Node {
    start(Config { bootstrap: bootstrap.to_vec(), ..config() }).await
}

impl Node {
    pub fn id(&self) -> PeerId {
        self.handle.local_peer_id()
    }

    /// Connects with another and waits until both have met.
    pub async fn meet(&mut self, other: &mut Self) {
        self.handle.dial(other.id(), other.addresses.clone()).await.unwrap();
        self.met(other.id()).await;
        other.met(self.id()).await;
    }

    pub async fn met(&mut self, peer: PeerId) {
        self.change(Change::Met(peer)).await;
    }

    pub async fn change(&mut self, wanted: Change) {
        if let Some(index) = self.unclaimed.iter().position(|change| *change == wanted) {
            self.unclaimed.remove(index);
            return;
        }
        within(20, async {
            loop {
                match self.changes.recv().await.unwrap() {
                    change if change == wanted => return,
                    other => self.unclaimed.push(other),
                }
            }
        })
        .await;
    }

    pub async fn hear(&mut self) -> Heard {
        within(30, self.heard.recv()).await.unwrap()
    }

    pub async fn publish(&self, kind: &str, bytes: impl Into<Bytes>) {
        self.handle.publish(kind, bytes.into()).await.unwrap();
    }

    pub fn keep(&self, id: ItemId, bytes: impl Into<Bytes>) {
        self.store.lock().unwrap().insert(id, bytes.into());
    }
}

/// Fails the test if `future` takes longer.
pub async fn within<T>(seconds: u64, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("in time")
}

/// Waits until a state that nobody announces is there.
pub async fn until<F: Future<Output = bool>>(state: impl Fn() -> F) {
    within(30, async {
        let mut look = tokio::time::interval(Duration::from_millis(20));
        while !state().await {
            look.tick().await;
        }
    })
    .await;
}

/// What an owner does, by the first bytes of a message or request.
struct Owner {
    handle: Handle,
    heard: UnboundedSender<Heard>,
    changes: UnboundedSender<Change>,
    store: Store,
}

impl Owner {
    async fn run(self, mut events: EventReceiver) {
        let mut never_answered = Vec::new();
        while let Some(event) = events.recv().await {
            match event {
                Event::Gossip { token, kind, bytes, from } => {
                    let handle = self.handle.clone();
                    match &bytes[..bytes.len().min(6)] {
                        b"reject" => handle.verdict(token, Verdict::Reject),
                        b"ignore" => handle.verdict(token, Verdict::Ignore),
                        b"slowly" => drop(tokio::spawn(async move {
                            tokio::time::sleep(Duration::from_secs(7)).await;
                            handle.verdict(token, Verdict::Accept);
                        })),
                        b"never." => {}
                        _ => handle.verdict(token, Verdict::Accept),
                    }
                    let _ = self.heard.send(Heard { kind, bytes, from });
                }
                Event::Direct { token, bytes, .. } => match &bytes[..bytes.len().min(6)] {
                    b"silent" => never_answered.push(token),
                    b"refuse" => drop(token),
                    b"large." => {
                        self.handle.respond(token, vec![0; config::MAX_DIRECT + 1].into()).unwrap_err();
                    }
                    _ => self.handle.respond(token, bytes).unwrap(),
                },
                Event::IdsWanted { token, cursor, .. } => {
                    // Too late an answer is the asker's loss.
                    let _ = self.handle.serve_ids(token, &self.page(cursor));
                }
                Event::FetchWanted { token, ids, .. } => {
                    let _ = self.handle.serve_fetch(token, self.messages(&ids));
                }
                Event::PeerMet { peer } => drop(self.changes.send(Change::Met(peer))),
                Event::PeerLost { peer } => drop(self.changes.send(Change::Lost(peer))),
                _ => {}
            }
        }
    }

    fn page(&self, cursor: Option<Cursor>) -> IdPage {
        let store = self.store.lock().unwrap();
        let from = cursor.map_or(0, |c| usize::from(c.as_bytes()[0]) * 256 + usize::from(c.as_bytes()[1]));
        let ids: Vec<ItemId> = store.keys().skip(from).take(PAGE).copied().collect();
        let end = from + ids.len();
        let next = (end < store.len()).then(|| Cursor::new(vec![(end / 256) as u8, (end % 256) as u8]).unwrap());
        IdPage { ids, next }
    }

    fn messages(&self, ids: &[ItemId]) -> FetchAnswer {
        let store = self.store.lock().unwrap();
        let mut answer = FetchAnswer::new();
        for id in ids {
            match store.get(id) {
                Some(bytes) if answer.found(*id, bytes.clone()) => {}
                Some(_) => break,
                None => answer.missing(),
            }
        }
        answer
    }
}
