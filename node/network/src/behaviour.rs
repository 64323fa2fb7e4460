//! The libp2p behaviours and transports, assembled.

use std::time::Duration;

use libp2p::gossipsub::IdentTopic;
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{
    PeerId, StreamProtocol, Swarm, SwarmBuilder, connection_limits, identify, kad, memory_connection_limits, noise,
    ping, tcp, yamux,
};

use crate::config::{
    Config, IDLE_TIMEOUT, LOOKUP_TIMEOUT, MAX_DIRECT, PING_INTERVAL, PING_TIMEOUT, REQUEST_STREAMS, WALK_INTERVAL,
};
use crate::fetch;
use crate::frame_codec::FrameCodec;
use crate::gossip::{self, Gossip, Salt};
use crate::handle::NetworkError;
use crate::names::Names;
use crate::per_ip::PerIp;

/// Streams that a peer may have open before their protocol is agreed.
const NEGOTIATING_STREAMS: usize = 64;

/// All behaviours. The limits come first: what they refuse no other behaviour sees.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) memory: memory_connection_limits::Behaviour,
    pub(crate) per_ip: PerIp,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) kad: kad::Behaviour<MemoryStore>,
    pub(crate) gossip: Gossip,
    pub(crate) direct: request_response::Behaviour<FrameCodec>,
    pub(crate) fetch: request_response::Behaviour<FrameCodec>,
    pub(crate) call: libp2p_stream::Behaviour,
}

/// The peer id that follows from the secret of a node key.
///
/// # Errors
/// [`NetworkError::Key`] where it isn't one.
pub fn peer_id(seed: &[u8; 32]) -> Result<PeerId, NetworkError> {
    Ok(keypair(*seed)?.public().to_peer_id())
}

fn keypair(seed: [u8; 32]) -> Result<Keypair, NetworkError> {
    Keypair::ed25519_from_bytes(seed).map_err(|e| NetworkError::Key(e.to_string()))
}

/// Builds the swarm: TCP and QUIC, noise, yamux, DNS. Needs a tokio runtime.
pub(crate) fn swarm(
    config: &Config,
    names: &Names,
    topics: &[IdentTopic],
    salt: &Salt,
) -> Result<Swarm<Behaviour>, NetworkError> {
    let keypair = keypair(config.seed)?;
    let gossip = gossip::behaviour(topics, salt, config.local, config.limits.peer_queue)?;
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .map_err(|e| NetworkError::Transport(e.to_string()))?
        .with_quic()
        .with_dns()
        .map_err(|e| NetworkError::Dns(e.to_string()))?
        .with_behaviour(|keypair| behaviour(config, names, gossip, keypair))
        .map_err(|e| NetworkError::Transport(e.to_string()))?
        .with_swarm_config(|swarm| {
            swarm.with_idle_connection_timeout(IDLE_TIMEOUT).with_max_negotiating_inbound_streams(NEGOTIATING_STREAMS)
        })
        .build();
    Ok(swarm)
}

fn behaviour(config: &Config, names: &Names, gossip: Gossip, keypair: &Keypair) -> Behaviour {
    let limits = &config.limits;
    let connections = connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits.pending))
        .with_max_pending_outgoing(Some(limits.pending))
        .with_max_established_incoming(Some(limits.inbound))
        .with_max_established_outgoing(Some(limits.outbound))
        .with_max_established_per_peer(Some(limits.per_peer));
    let identify = identify::Config::new(names.version().to_owned(), keypair.public())
        .with_agent_version(config.agent.clone())
        .with_push_listen_addr_updates(true);
    Behaviour {
        limits: connection_limits::Behaviour::new(connections),
        memory: memory_connection_limits::Behaviour::with_max_bytes(limits.memory),
        per_ip: PerIp::new(limits.per_ip, config.local),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT)),
        kad: routing(config, names, keypair.public().to_peer_id()),
        gossip,
        direct: requests(names.direct(), MAX_DIRECT, MAX_DIRECT, limits.request),
        fetch: requests(names.fetch(), fetch::MAX_REQUEST, fetch::MAX_RESPONSE, limits.request),
        call: libp2p_stream::Behaviour::new(),
    }
}

/// Kademlia for routing to peers only: nobody's records are stored.
fn routing(config: &Config, names: &Names, local: PeerId) -> kad::Behaviour<MemoryStore> {
    let mut kad_config = kad::Config::new(names.kad());
    kad_config
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_query_timeout(LOOKUP_TIMEOUT)
        .set_periodic_bootstrap_interval(Some(WALK_INTERVAL));
    let mut routing = kad::Behaviour::with_config(local, MemoryStore::new(local), kad_config);
    if config.local {
        // Otherwise it stays a client until an external address is confirmed, which on localhost is never.
        routing.set_mode(Some(kad::Mode::Server));
    }
    routing
}

fn requests(
    protocol: StreamProtocol,
    max_request: usize,
    max_response: usize,
    within: Duration,
) -> request_response::Behaviour<FrameCodec> {
    let config =
        request_response::Config::default().with_request_timeout(within).with_max_concurrent_streams(REQUEST_STREAMS);
    let codec = FrameCodec { max_request, max_response };
    request_response::Behaviour::with_codec(codec, [(protocol, ProtocolSupport::Full)], config)
}
