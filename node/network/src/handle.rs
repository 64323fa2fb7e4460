//! What the owner calls.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::{Request, Response};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::call::{CallBody, CallError, Calls};
use crate::config::{
    ASK_TIMEOUT, CONNECT_TIMEOUT, ConfigError, FETCH_TIMEOUT, KindConfig, MAX_DIRECT, MAX_IDS, REQUEST_TIMEOUT_MAX,
};
use crate::fetch::{self, Cursor, FetchAnswer, FetchPage, FetchToken, IdPage, IdsToken, ItemId, wire};
use crate::gossip::{MessageToken, PublishError, Verdict};
use crate::peers::{PeerFault, PeerInfo};
use crate::request::{AnswerError, DirectToken, RequestError};
use crate::stats::{Counters, Stats};

/// Why the network can't start or can't answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The configuration breaks a rule.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The node key can't be used.
    #[error("the node key can't be used: {0}")]
    Key(String),
    /// The machine's DNS settings can't be read.
    #[error("can't read the machine's DNS settings: {0}")]
    Dns(String),
    /// A transport can't be built.
    #[error("can't build the transports: {0}")]
    Transport(String),
    /// Gossip can't be set up.
    #[error("can't set gossip up: {0}")]
    Gossip(String),
    /// An address can't be listened on.
    #[error("can't listen on {address}: {why}; choose another address or port")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// What the system says.
        why: String,
    },
    /// The actor didn't answer in time.
    #[error("the network didn't answer in time: the machine is overloaded")]
    Timeout,
    /// The actor has ended.
    #[error("the network is closed")]
    Closed,
}

/// What lies at the bottom of an error. libp2p's own say nothing themselves where they wrap another.
pub(crate) fn cause(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    chain
        .map(ToString::to_string)
        .filter(|said| !said.is_empty())
        .last()
        .unwrap_or_else(|| "no reason given".to_owned())
}

/// Why there is no connection with a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The peer is this node.
    #[error("that is this node itself")]
    Oneself,
    /// Neither the caller nor the network knows an address.
    #[error("no address of the peer is known: it may be offline")]
    NoAddress,
    /// All addresses failed.
    #[error("no address answers: {0}")]
    Failed(String),
    /// This node keeps apart ([`Config::apart`](crate::Config::apart)).
    #[error("this node keeps apart until it knows that no other one has its identity")]
    Apart,
    /// Too many dials are under way.
    #[error("too many dials are under way: try later")]
    Busy,
    /// It took too long.
    #[error("connecting took too long")]
    Timeout,
    /// The actor has ended.
    #[error("the network is closed")]
    Closed,
}

/// Which request protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    Direct,
    Fetch,
}

/// What the handle asks the actor.
#[derive(Debug)]
pub(crate) enum Command {
    Publish { kind: usize, bytes: Bytes, reply: oneshot::Sender<Result<(), PublishError>> },
    Connect { peer: PeerId, addresses: Vec<Multiaddr>, reply: oneshot::Sender<Result<(), ConnectError>> },
    Join { reply: oneshot::Sender<()> },
    Disconnect { peer: PeerId, reply: oneshot::Sender<bool> },
    Request { protocol: Protocol, peer: PeerId, bytes: Bytes, reply: oneshot::Sender<Result<Bytes, RequestError>> },
    Blame { peer: PeerId, fault: PeerFault },
    Peers { reply: oneshot::Sender<Vec<PeerInfo>> },
    ListenAddresses { reply: oneshot::Sender<Vec<Multiaddr>> },
    Close { within: Duration, reply: oneshot::Sender<()> },
}

/// The way to the actor; cheap to clone. Every call has a deadline. When the last handle is dropped the actor ends.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) local: PeerId,
    pub(crate) kinds: Arc<[KindConfig]>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) verdicts: mpsc::Sender<(MessageToken, Verdict)>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) calls: Calls,
}

impl Handle {
    /// This node's id.
    pub fn local_peer_id(&self) -> PeerId {
        self.local
    }

    /// Hands a message over to be gossiped. Once this returns, the message leaves as soon as somebody is subscribed
    /// and has room for it, within the hour. What was gossiped already isn't sent again.
    ///
    /// # Errors
    /// The message is empty or too large, too many wait already, or the actor doesn't answer.
    pub async fn publish(&self, kind: &str, bytes: Bytes) -> Result<(), PublishError> {
        let found = self.kinds.iter().enumerate().find(|(_, config)| config.name == kind && config.gossiped);
        let Some((index, config)) = found else {
            return Err(PublishError::UnknownKind(kind.to_owned()));
        };
        if bytes.is_empty() {
            return Err(PublishError::Empty);
        }
        if bytes.len() > config.max_bytes {
            return Err(PublishError::TooLarge { kind: config.name, size: bytes.len(), max: config.max_bytes });
        }
        match self.ask(|reply| Command::Publish { kind: index, bytes, reply }).await {
            Ok(published) => published,
            Err(NetworkError::Timeout) => Err(PublishError::Timeout),
            Err(_) => Err(PublishError::Closed),
        }
    }

    /// Gives the verdict on a gossiped message. Too late a verdict is counted and changes nothing.
    pub fn verdict(&self, token: MessageToken, verdict: Verdict) {
        if self.verdicts.try_send((token, verdict)).is_err() {
            self.counters.verdicts_late.increment();
        }
    }

    /// Asks a peer directly; dials it if need be, at `addresses` or where the network finds it.
    ///
    /// # Errors
    /// See [`RequestError`]; a peer's fault is counted against it.
    pub async fn direct(
        &self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        bytes: Bytes,
        within: Duration,
    ) -> Result<Bytes, RequestError> {
        if bytes.len() > MAX_DIRECT {
            return Err(RequestError::TooLarge { size: bytes.len(), max: MAX_DIRECT });
        }
        self.request(Protocol::Direct, peer, addresses, bytes, within).await
    }

    /// Answers a direct request with at most 64 KiB.
    ///
    /// # Errors
    /// The answer is too large or too late.
    pub fn respond(&self, token: DirectToken, bytes: Bytes) -> Result<(), AnswerError> {
        token.answer(bytes)
    }

    /// Asks a peer for the page of its ids that begins at `cursor`. Ids of kinds that this node doesn't know are left
    /// out: a newer peer is at no fault.
    ///
    /// # Errors
    /// See [`RequestError`]; a page that breaks the rules is the peer's fault and counted against it.
    pub async fn list_ids(&self, peer: PeerId, cursor: Option<Cursor>) -> Result<IdPage, RequestError> {
        let request = fetch::Request::Ids(cursor.clone()).encode();
        let bytes = self.request(Protocol::Fetch, peer, Vec::new(), request, FETCH_TIMEOUT).await?;
        let page = wire::decode_ids(bytes)
            .and_then(|page| fetch::check_ids(cursor.as_ref(), &page).map(|()| page))
            .map(|mut page| {
                page.ids.retain(|id| self.max_bytes(id.kind).is_some());
                page
            });
        self.blamed(peer, page)
    }

    /// Answers a request for ids.
    ///
    /// # Errors
    /// The page has over 2,000 ids or is too late.
    pub fn serve_ids(&self, token: IdsToken, page: &IdPage) -> Result<(), AnswerError> {
        token.serve(page)
    }

    /// Asks a peer for messages by id, at most 2,000. Go on with the ids from [`FetchPage::processed`].
    ///
    /// # Errors
    /// See [`RequestError`]; an answer that breaks the rules is the peer's fault and counted against it.
    pub async fn fetch(&self, peer: PeerId, ids: &[ItemId]) -> Result<FetchPage, RequestError> {
        if ids.is_empty() {
            return Ok(FetchPage::default());
        }
        if ids.len() > MAX_IDS {
            return Err(RequestError::TooManyIds { ids: ids.len(), max: MAX_IDS });
        }
        let request = fetch::Request::Fetch(ids.to_vec()).encode();
        let bytes = self.request(Protocol::Fetch, peer, Vec::new(), request, FETCH_TIMEOUT).await?;
        let page = wire::decode_fetched(bytes)
            .and_then(|page| fetch::check_fetched(ids, &page, |kind| self.max_bytes(kind)).map(|()| page));
        self.blamed(peer, page)
    }

    /// Answers a fetch.
    ///
    /// # Errors
    /// The answer is too late.
    pub fn serve_fetch(&self, token: FetchToken, answer: FetchAnswer) -> Result<(), AnswerError> {
        token.serve(answer)
    }

    /// Holds a fault against a peer; too many, and it is refused for 10 minutes.
    pub fn blame(&self, peer: PeerId, fault: PeerFault) {
        // A full inbox means that more pressing things wait; the next fault counts again.
        let _ = self.commands.try_send(Command::Blame { peer, fault });
    }

    /// Sends a request through the peer's call stream and gives the response once its header is there; dials the
    /// peer and opens the stream if need be. Both bodies stream.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(
        &self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        request: Request<CallBody>,
    ) -> Result<Response<CallBody>, CallError> {
        self.calls.call(self, peer, addresses, request).await
    }

    /// Connects with a peer, at `addresses` or where the network finds it. Connected already is success.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn dial(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<(), ConnectError> {
        match self.ask_within(CONNECT_TIMEOUT, |reply| Command::Connect { peer, addresses, reply }).await {
            Ok(connected) => connected,
            Err(NetworkError::Timeout) => Err(ConnectError::Timeout),
            Err(_) => Err(ConnectError::Closed),
        }
    }

    /// Takes part in the network from now on, where it was told to keep apart.
    ///
    /// # Errors
    /// The actor doesn't answer.
    pub async fn join(&self) -> Result<(), NetworkError> {
        self.ask(|reply| Command::Join { reply }).await
    }

    /// Closes all connections with a peer; `false` if there was none.
    ///
    /// # Errors
    /// The actor doesn't answer.
    pub async fn disconnect(&self, peer: PeerId) -> Result<bool, NetworkError> {
        self.ask(|reply| Command::Disconnect { peer, reply }).await
    }

    /// Lists the connected peers.
    ///
    /// # Errors
    /// The actor doesn't answer.
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, NetworkError> {
        self.ask(|reply| Command::Peers { reply }).await
    }

    /// Lists the addresses that we listen on, once every listener has one: the system may choose ports a moment later.
    ///
    /// # Errors
    /// The actor doesn't answer.
    pub async fn listen_addrs(&self) -> Result<Vec<Multiaddr>, NetworkError> {
        self.ask(|reply| Command::ListenAddresses { reply }).await
    }

    /// Counters and gauges at this moment.
    pub fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// Ends the actor: sends what can still be sent, closes all connections. Returns when that is done, at the latest
    /// after `within`.
    pub async fn close(&self, within: Duration) {
        let closed = async {
            let (reply, done) = oneshot::channel();
            if self.commands.send(Command::Close { within, reply }).await.is_ok() {
                let _ = done.await;
            }
        };
        let _ = timeout(within, closed).await;
    }

    async fn request(
        &self,
        protocol: Protocol,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        bytes: Bytes,
        within: Duration,
    ) -> Result<Bytes, RequestError> {
        let exchange = async {
            self.dial(peer, addresses).await?;
            let (reply, response) = oneshot::channel();
            let command = Command::Request { protocol, peer, bytes, reply };
            self.commands.send(command).await.map_err(|_| RequestError::Closed)?;
            response.await.map_err(|_| RequestError::Closed)?
        };
        timeout(within.min(REQUEST_TIMEOUT_MAX), exchange).await.map_err(|_| RequestError::Timeout)?
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, NetworkError> {
        self.ask_within(ASK_TIMEOUT, command).await
    }

    async fn ask_within<T>(
        &self,
        within: Duration,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, NetworkError> {
        let exchange = async {
            let (reply, answer) = oneshot::channel();
            self.commands.send(command(reply)).await.map_err(|_| NetworkError::Closed)?;
            answer.await.map_err(|_| NetworkError::Closed)
        };
        timeout(within, exchange).await.map_err(|_| NetworkError::Timeout)?
    }

    fn max_bytes(&self, kind: u8) -> Option<usize> {
        self.kinds.iter().find(|config| config.number == kind).map(|config| config.max_bytes)
    }

    fn blamed<T>(&self, peer: PeerId, checked: Result<T, PeerFault>) -> Result<T, RequestError> {
        checked.map_err(|fault| {
            self.blame(peer, fault);
            RequestError::Fault(fault)
        })
    }
}
