//! Peers that this node is connected with.

use serde::{Deserialize, Serialize};
use tradepost_network::{Direction, PeerInfo};

/// One peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    /// Its id.
    pub peer: String,
    /// The other end of the connection.
    pub address: String,
    /// inbound or outbound: who opened it.
    pub direction: String,
    /// How many connections there are with it.
    pub connections: usize,
    /// What it calls itself; its own claim.
    pub agent: Option<String>,
    /// The last ping's round trip, milliseconds.
    pub rtt_ms: Option<u64>,
    /// Whether it speaks our protocols on our network.
    pub met: bool,
    /// Its gossip score, rounded; below -80 it isn't heard.
    pub score: i64,
}

impl From<&PeerInfo> for PeerView {
    fn from(info: &PeerInfo) -> Self {
        let direction = match info.direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        };
        Self {
            peer: info.peer.to_string(),
            address: info.address.to_string(),
            direction: direction.to_owned(),
            connections: info.connections,
            agent: info.agent.clone(),
            rtt_ms: info.rtt.map(|rtt| u64::try_from(rtt.as_millis()).unwrap_or(u64::MAX)),
            met: info.met,
            score: info.score.round() as i64,
        }
    }
}

/// All connected peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerList {
    /// This node.
    pub peer_id: String,
    /// Addresses under which peers reach it.
    pub addresses: Vec<String>,
    /// The peers.
    pub items: Vec<PeerView>,
    /// What to do where there is none.
    pub remedy: Option<String>,
}
