//! What the owner decides, and every bound of this crate with its unit.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;

use crate::call::CallHandler;

/// Largest payload of one gossiped message, bytes. libp2p checks only the payload at publish but the whole RPC on the
/// wire, and drops the link's later messages in silence when that one is too large: see [`TRANSMIT_MARGIN`].
pub const MAX_PAYLOAD: usize = 60 * 1024;
/// Room above [`MAX_PAYLOAD`] for the envelope of a gossip RPC, bytes.
pub const TRANSMIT_MARGIN: usize = 4 * 1024;
/// Most kinds, so topics, that one network may have. Peers refuse the whole subscription of a node with over 100.
pub const MAX_KINDS: usize = 64;
/// Largest direct request or response, bytes.
pub const MAX_DIRECT: usize = 64 * 1024;
/// Most ids in one page of ids and in one fetch.
pub const MAX_IDS: usize = 2_000;
/// Most message bytes in one answer to a fetch.
pub const MAX_FETCH_BYTES: usize = 512 * 1024;
/// Longest cursor of a list of ids, bytes.
pub const MAX_CURSOR: usize = 64;
/// Longest agent string that is kept of a peer, characters.
pub const MAX_AGENT: usize = 64;

/// Commands that wait for the actor, count.
pub const INBOX: usize = 256;
/// Events that wait for the owner, count.
pub const EVENTS: usize = 4_096;
/// Places among [`EVENTS`] that gossip may not take, so that requests and peers still pass.
pub const EVENTS_RESERVED: usize = 512;
/// Gossiped bytes that wait for the owner.
pub const EVENT_BYTES: usize = 32 * 1024 * 1024;
/// Comings and goings of peers that wait for a place among the events, count; the oldest are dropped.
pub const LIFECYCLE_BACKLOG: usize = 1_024;
/// Unsent messages in the outbox, count.
pub const OUTBOX_MESSAGES: usize = 8_192;
/// Unsent messages in the outbox, bytes.
pub const OUTBOX_BYTES: usize = 32 * 1024 * 1024;
/// How long an unsent message is worth sending.
pub const OUTBOX_AGE: Duration = Duration::from_secs(60 * 60);
/// The send window: messages that may leave at once, and how many a second refill it.
pub const SEND_WINDOW: (u64, u64) = (256, 4_000);
/// The send window in bytes: at once, and a second.
pub const SEND_WINDOW_BYTES: (u64, u64) = (2 * 1024 * 1024, 4 * 1024 * 1024);
/// First pause after every peer's queue was full; doubles up to [`SEND_PAUSE_MAX`].
pub const SEND_PAUSE: Duration = Duration::from_millis(20);
/// Longest pause after every peer's queue was full.
pub const SEND_PAUSE_MAX: Duration = Duration::from_secs(2);
/// Messages that wait in libp2p for one peer, count.
pub const PEER_QUEUE: usize = 1_024;
/// How long an own message may wait in a peer's queue.
pub const PUBLISH_QUEUE_TIME: Duration = Duration::from_secs(30);
/// How long a relayed message may wait in a peer's queue.
pub const FORWARD_QUEUE_TIME: Duration = Duration::from_secs(10);
/// Gossipsub's heartbeat.
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// Heartbeats for which a message can still be accepted and passed on.
pub const HISTORY_HEARTBEATS: usize = 12;
/// How long the owner may take for a verdict; after it the message is ignored. Below the history's 12 s.
pub const VERDICT_DEADLINE: Duration = Duration::from_secs(10);
/// Messages that wait for a verdict, count.
pub const PENDING_VERDICTS: usize = 8_192;
/// Messages of one relaying peer that wait for a verdict, count; leaves room for others in every queue on the way.
pub const PENDING_VERDICTS_PER_PEER: usize = 1_536;
/// How long the id of a message is remembered against repeats.
pub const DUPLICATE_TIME: Duration = Duration::from_secs(120);
/// Gossip of one relaying peer: messages at once, and a second. Above [`SEND_WINDOW`], so that no honest peer's own
/// messages are dropped.
pub const GOSSIP_RATE: (u64, u64) = (16_384, 8_000);
/// Gossip of one relaying peer: bytes at once, and a second.
pub const GOSSIP_RATE_BYTES: (u64, u64) = (16 * 1024 * 1024, 8 * 1024 * 1024);
/// Direct and fetch requests of one peer: at once, and a second.
pub const REQUEST_RATE: (u64, u64) = (128, 32);
/// Requests of all peers that wait for the owner's answer, count.
pub const PENDING_ANSWERS: usize = 256;
/// Requests of one peer that wait for the owner's answer, count.
pub const PENDING_ANSWERS_PER_PEER: usize = 16;
/// Answers that one peer has asked for and doesn't read, bytes; from there on its requests are refused.
pub const UNSENT_ANSWERS_PER_PEER: usize = 8 * 1024 * 1024;
/// Answers that all peers have asked for and don't read, bytes.
pub const UNSENT_ANSWERS: usize = 128 * 1024 * 1024;
/// How long the owner may take to answer a request.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(20);
/// Own requests under way, count.
pub const PENDING_REQUESTS: usize = 1_024;
/// Longest wait for the response to a request, whatever the caller asks for.
pub const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// How long a fetch waits for its page.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// Streams of one request protocol that one connection may hold open.
pub const REQUEST_STREAMS: usize = 64;
/// How long a dial may take, with the search for addresses.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Own dials that callers wait for, count.
pub const PENDING_CONNECTS: usize = 512;
/// Searches for a peer's addresses at once, count.
pub const PENDING_LOOKUPS: usize = 32;
/// How long a search through the routing table may take.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(8);
/// Addresses taken for one dial, count.
pub const DIAL_ADDRESSES: usize = 16;
/// Addresses that a peer may have told us about itself, count.
pub const IDENTIFY_ADDRESSES: usize = 16;
/// How long the actor may take to answer a plain question.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection without a use is kept.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time between two pings.
pub const PING_INTERVAL: Duration = Duration::from_secs(15);
/// How long a peer may take for a pong; then its connection is closed.
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// First pause before the bootstrap addresses are dialled again; doubles up to [`BOOTSTRAP_PAUSE_MAX`].
pub const BOOTSTRAP_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause before the bootstrap addresses are dialled again.
pub const BOOTSTRAP_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Time between two walks through the routing table.
pub const WALK_INTERVAL: Duration = Duration::from_secs(60);
/// Time between two walks while the node has fewer than [`ENOUGH_PEERS`] peers.
pub const WALK_INTERVAL_LONELY: Duration = Duration::from_secs(10);
/// Peers from which on a node stops looking for more by itself.
pub const ENOUGH_PEERS: usize = 8;
/// First peers, configured or known from before, that a node wants to be connected with however many others it has: an
/// outbound place each is kept for them.
pub const KEPT_PLACES: usize = 2;
/// How long a first peer that is connected may take to be met; then it is left and dialled anew. To one that still has an older
/// connection with this node's id, a newer one is no news, and it says nothing on it.
pub const MEET_PATIENCE: Duration = Duration::from_secs(15);
/// Fault points at which a peer is refused.
pub const BAN_POINTS: u32 = 100;
/// How long such a peer is refused.
pub const BAN_TIME: Duration = Duration::from_secs(600);
/// Refused peers that are remembered, count.
pub const BANS: usize = 1_024;
/// Time after which a peer's fault points are halved.
pub const FAULT_HALF_LIFE: Duration = Duration::from_secs(60);
/// How long written messages may take to leave when the actor is closed.
pub const CLOSE_LINGER: Duration = Duration::from_millis(250);
/// Largest list of header fields of a call, bytes.
pub const CALL_HEADER_BYTES: u32 = 32 * 1024;
/// How long a stream may take to open, with the peer's word that it accepts it.
pub const CALL_OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Attempts to open a call stream: libp2p loses streams that arrive together.
pub const CALL_OPEN_ATTEMPTS: u32 = 5;
/// First pause between two such attempts; doubles.
pub const CALL_OPEN_PAUSE: Duration = Duration::from_millis(50);
/// Time between two HTTP/2 pings on a call stream.
pub const CALL_PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long the other side may take for such a ping.
pub const CALL_PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How much longer than [`Limits::call_idle`] a call stream may take to end once it was asked to.
pub const CALL_LEAVE: Duration = Duration::from_secs(5);
/// Bytes of one call that hyper keeps until the other side takes them.
pub const CALL_SEND_BUFFER: usize = 64 * 1024;
/// Flow-control window of one call, bytes.
pub const CALL_STREAM_WINDOW: u32 = 256 * 1024;
/// Flow-control window of all that one peer calls us with, bytes. Its own calls share it: a stranger may not make us hold
/// more. What we call a peer with has `Limits::answers_window`.
pub const CALL_CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;

/// Largest window that HTTP/2 knows, bytes.
const CALL_WINDOW_MAX: u32 = (1 << 31) - 1;

/// One kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindConfig {
    /// The number that names the kind in lists of ids.
    pub number: u8,
    /// The text that names the kind in its topic: lower-case letters, digits and hyphens.
    pub name: &'static str,
    /// Largest message, bytes; at most [`MAX_PAYLOAD`].
    pub max_bytes: usize,
    /// Whether it has a topic; what has none is fetched by id only.
    pub gossiped: bool,
}

/// Bounds that an operator or a test may set otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Established connections that others opened.
    pub inbound: u32,
    /// Established connections that we opened.
    pub outbound: u32,
    /// Connections being opened, each way.
    pub pending: u32,
    /// Connections with one peer.
    pub per_peer: u32,
    /// Inbound connections from one IPv4 address or IPv6 /64, those being opened among them.
    pub per_ip: u32,
    /// Memory of the process in bytes above which no connection is made.
    pub memory: usize,
    /// Peers with an open call stream towards us, and as many that we opened.
    pub call_peers: usize,
    /// Calls at once with one peer, each way.
    pub calls_per_peer: usize,
    /// How long a call waits for the response's header.
    pub call_response: Duration,
    /// How long a call's body may stand still.
    pub call_body_idle: Duration,
    /// How long a call stream without a call is kept.
    pub call_idle: Duration,
    /// How long a request and its answer may take on their stream, whichever side is slow.
    pub request: Duration,
    /// Messages that wait in libp2p for one peer, count.
    pub peer_queue: usize,
}

impl Limits {
    /// Flow-control window of all answers of one peer, bytes: room for each of our calls to be left unread without holding
    /// up another one. How many there are is our own decision.
    pub(crate) fn answers_window(&self) -> u32 {
        let calls = u32::try_from(self.calls_per_peer).unwrap_or(u32::MAX);
        CALL_STREAM_WINDOW.saturating_mul(calls).clamp(CALL_CONNECTION_WINDOW, CALL_WINDOW_MAX)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbound: 128,
            outbound: 64,
            pending: 64,
            per_peer: 4,
            per_ip: 16,
            memory: 4 * 1024 * 1024 * 1024,
            call_peers: 128,
            calls_per_peer: 100,
            call_response: Duration::from_secs(60),
            call_body_idle: Duration::from_secs(60),
            call_idle: Duration::from_secs(120),
            request: REQUEST_TIMEOUT_MAX,
            peer_queue: PEER_QUEUE,
        }
    }
}

/// What [`spawn`](crate::spawn) needs to know.
#[derive(Clone)]
pub struct Config {
    /// Secret of the node key, ed25519.
    pub seed: [u8; 32],
    /// Addresses to listen on, TCP and QUIC.
    pub listen: Vec<Multiaddr>,
    /// Addresses under which others reach us, told to peers; a node that has one serves the routing table.
    pub external: Vec<Multiaddr>,
    /// First peers; DNS names are allowed, `/p2p/…` at the end is wanted.
    pub bootstrap: Vec<Multiaddr>,
    /// Peers known from before, each with `/p2p/…` at its end: dialled like first peers, so that what a node gets to know
    /// doesn't depend on one first peer's answer.
    pub known: Vec<Multiaddr>,
    /// Whether it dials nobody before [`Handle::join`](crate::Handle::join): for a node whose identity may be another's, too.
    pub apart: bool,
    /// Whether loopback and private ranges are the network: rules about addresses then don't apply to them.
    pub local: bool,
    /// First 8 hex digits of the network's id; other networks' nodes are strangers.
    pub network_prefix: String,
    /// The kinds of messages.
    pub kinds: Vec<KindConfig>,
    /// Name and version that peers are told.
    pub agent: String,
    /// Who answers calls; without one, none is accepted.
    pub call_handler: Option<Arc<dyn CallHandler>>,
    /// Bounds.
    pub limits: Limits,
}

impl Config {
    /// Creates a configuration that listens nowhere and knows nobody.
    pub fn new(seed: [u8; 32], network_prefix: impl Into<String>, kinds: Vec<KindConfig>) -> Self {
        Self {
            seed,
            listen: Vec::new(),
            external: Vec::new(),
            bootstrap: Vec::new(),
            known: Vec::new(),
            apart: false,
            local: false,
            network_prefix: network_prefix.into(),
            kinds,
            agent: concat!("tradepost/", env!("CARGO_PKG_VERSION")).to_owned(),
            call_handler: None,
            limits: Limits::default(),
        }
    }

    /// Checks what can be checked without a socket.
    ///
    /// # Errors
    /// The first rule that doesn't hold.
    pub fn check(&self) -> Result<(), ConfigError> {
        let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if self.network_prefix.len() != 8 || !self.network_prefix.bytes().all(hex) {
            return Err(ConfigError::NetworkPrefix(self.network_prefix.clone()));
        }
        if self.kinds.len() > MAX_KINDS {
            return Err(ConfigError::TooManyKinds(self.kinds.len()));
        }
        for (index, kind) in self.kinds.iter().enumerate() {
            let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
            if kind.name.is_empty() || !kind.name.bytes().all(plain) {
                return Err(ConfigError::KindName(kind.name));
            }
            if kind.max_bytes == 0 || kind.max_bytes > MAX_PAYLOAD {
                return Err(ConfigError::KindSize { kind: kind.name, max_bytes: kind.max_bytes });
            }
            let same = |other: &KindConfig| other.name == kind.name || other.number == kind.number;
            if self.kinds.iter().skip(index + 1).any(same) {
                return Err(ConfigError::KindTwice(kind.name));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("seed", &"secret")
            .field("listen", &self.listen)
            .field("external", &self.external)
            .field("bootstrap", &self.bootstrap)
            .field("known", &self.known)
            .field("apart", &self.apart)
            .field("local", &self.local)
            .field("network_prefix", &self.network_prefix)
            .field("kinds", &self.kinds)
            .field("agent", &self.agent)
            .field("answers_calls", &self.call_handler.is_some())
            .field("limits", &self.limits)
            .finish()
    }
}

/// Why a configuration can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The prefix isn't 8 lower-case hex digits.
    #[error("network prefix {0:?} isn't 8 lower-case hex digits: take the first 8 of the network's id")]
    NetworkPrefix(String),
    /// Peers would refuse the subscription.
    #[error("{0} kinds are over the limit of {MAX_KINDS}: peers would refuse all topics; use one topic a class")]
    TooManyKinds(usize),
    /// The name can't be part of a topic.
    #[error("kind name {0:?} may only have lower-case letters, digits and hyphens")]
    KindName(&'static str),
    /// The size can't be carried.
    #[error("kind {kind}: max_bytes {max_bytes} must be between 1 and {MAX_PAYLOAD}")]
    KindSize {
        /// The kind's name.
        kind: &'static str,
        /// The size asked for, bytes.
        max_bytes: usize,
    },
    /// Name or number isn't its own.
    #[error("kind {0} shares its name or number with another")]
    KindTwice(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(number: u8, name: &'static str) -> KindConfig {
        KindConfig { number, name, max_bytes: 1_024, gossiped: true }
    }

    #[test]
    fn a_network_prefix_is_eight_hex_digits() {
        for bad in ["", "1234567", "123456789", "1234567G", "ABCDEF01"] {
            assert!(matches!(Config::new([1; 32], bad, vec![]).check(), Err(ConfigError::NetworkPrefix(_))), "{bad}");
        }
        assert_eq!(Config::new([1; 32], "0123abcd", vec![]).check(), Ok(()));
    }

    #[test]
    fn more_kinds_than_peers_would_subscribe_to_are_refused() {
        const NAMES: &str = "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789";
        let kinds = (0..=MAX_KINDS).map(|i| kind(i as u8, &NAMES[i..=i])).collect();
        let refused = Config::new([1; 32], "0123abcd", kinds).check();
        assert_eq!(refused, Err(ConfigError::TooManyKinds(MAX_KINDS + 1)));
    }

    #[test]
    fn kinds_have_their_own_names_numbers_and_a_size_that_passes() {
        let check = |kinds| Config::new([1; 32], "0123abcd", kinds).check();
        assert_eq!(check(vec![kind(1, "a"), kind(1, "b")]), Err(ConfigError::KindTwice("a")));
        assert_eq!(check(vec![kind(1, "a"), kind(2, "a")]), Err(ConfigError::KindTwice("a")));
        assert_eq!(check(vec![kind(1, "a/b")]), Err(ConfigError::KindName("a/b")));
        let large = KindConfig { max_bytes: MAX_PAYLOAD + 1, ..kind(1, "a") };
        assert!(matches!(check(vec![large]), Err(ConfigError::KindSize { .. })));
    }

    #[test]
    fn what_a_node_may_send_others_take() {
        let within = |send: (u64, u64), take: (u64, u64)| send.0 <= take.0 && send.1 < take.1;
        assert!(within(SEND_WINDOW, GOSSIP_RATE) && within(SEND_WINDOW_BYTES, GOSSIP_RATE_BYTES));
    }

    #[test]
    fn one_peers_gossip_leaves_room_for_others() {
        let room = (EVENTS - EVENTS_RESERVED).min(PENDING_VERDICTS);
        assert!(PENDING_VERDICTS_PER_PEER * 2 <= room);
    }

    #[test]
    fn a_verdict_in_time_is_in_time_for_libp2p_too() {
        assert!(VERDICT_DEADLINE + HEARTBEAT < HEARTBEAT * HISTORY_HEARTBEATS as u32);
    }
}
