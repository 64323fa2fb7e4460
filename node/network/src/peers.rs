//! What we know of each connected peer, and what we hold against it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use libp2p::core::ConnectedPoint;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

use crate::config::{
    BAN_POINTS, FAULT_HALF_LIFE, GOSSIP_RATE, GOSSIP_RATE_BYTES, MAX_AGENT, MEET_PATIENCE, PENDING_ANSWERS_PER_PEER,
    REQUEST_RATE,
};
use crate::rate::Bucket;

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The peer did.
    Inbound,
    /// We did.
    Outbound,
}

/// How we came by a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is a first peer of the configuration.
    Configured,
    /// It was known from before.
    Known,
    /// It came to us.
    Inbound,
    /// Other peers told of it.
    Found,
}

/// One connected peer.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerInfo {
    /// Who.
    pub peer: PeerId,
    /// The other end of the oldest connection.
    pub address: Multiaddr,
    /// Who opened that connection.
    pub direction: Direction,
    /// How we came by it.
    pub origin: Origin,
    /// Where it can be dialled, with `/p2p/…` at the end: where we did, or where it says that it listens.
    pub reached_at: Option<Multiaddr>,
    /// How many connections there are.
    pub connections: usize,
    /// What the peer calls itself: its own claim, cut to 64 printable characters.
    pub agent: Option<String>,
    /// The last ping's round trip.
    pub rtt: Option<Duration>,
    /// Whether it speaks our protocols on our network and listens to our gossip.
    pub met: bool,
    /// Its gossip score; below -80 it isn't heard.
    pub score: f64,
}

/// A fault that can only be the peer's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerFault {
    /// What it sent can't be decoded.
    #[error("sent what can't be decoded")]
    Malformed,
    /// It sent something that nobody asked it for.
    #[error("sent something that wasn't asked for")]
    Unasked,
    /// It sent more than was allowed.
    #[error("sent more than the limit")]
    TooMany,
    /// It sent something of an impossible size.
    #[error("sent an item of an impossible size")]
    WrongSize,
    /// It sent something twice.
    #[error("sent the same thing twice")]
    Repeated,
    /// It says that there is more, but doesn't get ahead.
    #[error("says that there is more without getting ahead")]
    NoProgress,
    /// The content isn't what its id promises; found by the owner.
    #[error("sent content that doesn't match its id")]
    Mismatch,
}

impl PeerFault {
    /// What the fault costs; at [`BAN_POINTS`] the peer is refused for a while.
    pub(crate) fn points(self) -> u32 {
        match self {
            Self::Malformed | Self::TooMany | Self::WrongSize => 25,
            Self::Unasked | Self::Repeated | Self::NoProgress | Self::Mismatch => 34,
        }
    }
}

/// All connected peers.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    peers: HashMap<PeerId, Peer>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Peer {
    connections: Vec<(ConnectionId, Multiaddr, Direction)>,
    origin: Origin,
    connected_at: Instant,
    /// Where it says that it listens.
    pub(crate) listens_at: Option<Multiaddr>,
    pub(crate) agent: Option<String>,
    pub(crate) rtt: Option<Duration>,
    /// Whether it said that it speaks our protocols on our network.
    pub(crate) identified: bool,
    /// Whether it listens to our gossip.
    pub(crate) subscribed: bool,
    /// Requests that wait for the owner's answer.
    pub(crate) unanswered: usize,
    gossip: Bucket,
    gossip_bytes: Bucket,
    requests: Bucket,
    points: u32,
    points_at: Instant,
}

impl Peers {
    /// Notes a connection; `origin` is how we came by the peer where it is the first.
    pub(crate) fn connected(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
        origin: Origin,
        now: Instant,
    ) {
        let direction = if endpoint.is_dialer() { Direction::Outbound } else { Direction::Inbound };
        let entry = self.peers.entry(peer).or_insert_with(|| Peer::new(origin, now));
        entry.connections.push((connection, endpoint.get_remote_address().clone(), direction));
    }

    /// Forgets a connection; gives the peer if it was the last.
    pub(crate) fn disconnected(&mut self, peer: PeerId, connection: ConnectionId) -> Option<Peer> {
        let entry = self.peers.get_mut(&peer)?;
        entry.connections.retain(|(id, ..)| *id != connection);
        if entry.connections.is_empty() { self.peers.remove(&peer) } else { None }
    }

    pub(crate) fn get_mut(&mut self, peer: &PeerId) -> Option<&mut Peer> {
        self.peers.get_mut(peer)
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn met(&self) -> usize {
        self.peers.values().filter(|peer| peer.met()).count()
    }

    /// How many of those that are met are of our own choice: configured, or known from before.
    pub(crate) fn chosen(&self) -> usize {
        let chosen = |peer: &&Peer| peer.met() && matches!(peer.origin, Origin::Configured | Origin::Known);
        self.peers.values().filter(chosen).count()
    }

    /// Those of our own choice that are connected for long and weren't met.
    pub(crate) fn stuck(&self, now: Instant) -> Vec<PeerId> {
        let stuck = |peer: &Peer| {
            let chosen = matches!(peer.origin, Origin::Configured | Origin::Known);
            chosen && !peer.met() && now.saturating_duration_since(peer.connected_at) >= MEET_PATIENCE
        };
        self.peers.iter().filter(|(_, peer)| stuck(peer)).map(|(id, _)| *id).collect()
    }

    /// Lists all peers, the ids in order.
    pub(crate) fn list(&self, score: impl Fn(&PeerId) -> f64) -> Vec<PeerInfo> {
        let mut list: Vec<PeerInfo> = self
            .peers
            .iter()
            .filter_map(|(id, peer)| {
                let (_, address, direction) = peer.connections.first()?;
                Some(PeerInfo {
                    peer: *id,
                    address: address.clone(),
                    direction: *direction,
                    origin: peer.origin,
                    reached_at: peer.reached_at(id),
                    connections: peer.connections.len(),
                    agent: peer.agent.clone(),
                    rtt: peer.rtt,
                    met: peer.met(),
                    score: score(id),
                })
            })
            .collect();
        list.sort_by_key(|info| info.peer);
        list
    }
}

impl Peer {
    fn new(origin: Origin, now: Instant) -> Self {
        Self {
            connections: Vec::new(),
            origin,
            connected_at: now,
            listens_at: None,
            agent: None,
            rtt: None,
            identified: false,
            subscribed: false,
            unanswered: 0,
            gossip: Bucket::new(GOSSIP_RATE, now),
            gossip_bytes: Bucket::new(GOSSIP_RATE_BYTES, now),
            requests: Bucket::new(REQUEST_RATE, now),
            points: 0,
            points_at: now,
        }
    }

    /// Whether it is one of us and hears us.
    pub(crate) fn met(&self) -> bool {
        self.identified && self.subscribed
    }

    fn reached_at(&self, id: &PeerId) -> Option<Multiaddr> {
        let dialled = self.connections.iter().find(|(_, _, direction)| *direction == Direction::Outbound);
        let address = dialled.map(|(_, address, _)| address).or(self.listens_at.as_ref())?;
        address.clone().with_p2p(*id).ok()
    }

    /// Keeps what the peer calls itself, made fit to show.
    pub(crate) fn set_agent(&mut self, agent: &str) {
        let shown = |c: &char| c.is_ascii_graphic() || *c == ' ';
        self.agent = Some(agent.chars().filter(shown).take(MAX_AGENT).collect());
    }

    /// Whether the peer may relay one more message of this size.
    pub(crate) fn may_gossip(&mut self, bytes: usize, now: Instant) -> bool {
        self.gossip.take(1, now) && self.gossip_bytes.take(bytes as u64, now)
    }

    /// Whether the peer may make one more request.
    pub(crate) fn may_request(&mut self, now: Instant) -> bool {
        self.unanswered < PENDING_ANSWERS_PER_PEER && self.requests.take(1, now)
    }

    /// Holds a fault against the peer and gives its points now.
    pub(crate) fn blame(&mut self, fault: PeerFault, now: Instant) -> u32 {
        let halvings = now.saturating_duration_since(self.points_at).as_secs() / FAULT_HALF_LIFE.as_secs();
        if halvings > 0 {
            self.points = self.points.checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX)).unwrap_or(0);
            self.points_at = now;
        }
        self.points = self.points.saturating_add(fault.points()).min(BAN_POINTS * 2);
        self.points
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn faults_add_up_and_fade() {
        let now = Instant::now();
        let mut peer = Peer::new(Origin::Inbound, now);
        assert_eq!(peer.blame(PeerFault::Unasked, now), 34);
        assert_eq!(peer.blame(PeerFault::Unasked, now), 68);
        assert_eq!(peer.blame(PeerFault::Unasked, now + FAULT_HALF_LIFE), 68);
        let later = now + FAULT_HALF_LIFE * 100;
        assert_eq!(peer.blame(PeerFault::Malformed, later), 25);
        let fourth = (0..3).map(|_| peer.blame(PeerFault::Malformed, later)).last().unwrap();
        assert!(fourth >= BAN_POINTS);
    }

    #[test]
    fn an_agent_is_made_fit_to_show() {
        let mut peer = Peer::new(Origin::Inbound, Instant::now());
        peer.set_agent(&format!("a\u{1b}[31m\n\u{202e}b{}", "c".repeat(100)));
        let agent = peer.agent.unwrap();
        assert!(agent.starts_with("a[31mbccc"));
        assert_eq!(agent.len(), MAX_AGENT);
    }

    #[test]
    fn a_peer_that_floods_is_cut_off_and_comes_back() {
        let now = Instant::now();
        let mut peer = Peer::new(Origin::Inbound, now);
        let passed = (0..GOSSIP_RATE.0 * 2).filter(|_| peer.may_gossip(100, now)).count();
        assert_eq!(passed as u64, GOSSIP_RATE.0);
        assert!(peer.may_gossip(100, now + Duration::from_secs(1)));
        let mut large = Peer::new(Origin::Inbound, now);
        let passed = (0..1_000).filter(|_| large.may_gossip(60 * 1024, now)).count();
        assert_eq!(passed as u64, GOSSIP_RATE_BYTES.0 / (60 * 1024));
    }
}
