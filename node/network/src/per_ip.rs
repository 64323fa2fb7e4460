//! A limit of inbound connections per address, and the peers that are refused for their faults.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::task::{Context, Poll};
use std::time::Instant;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, ListenFailure};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    dummy,
};
use libp2p::{Multiaddr, PeerId};

use crate::config::{BAN_TIME, BANS};

/// Why a connection was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{0} connections from this address are enough")]
    Address(u32),
    #[error("the peer is refused for its faults")]
    Banned,
}

/// The behaviour; it has no protocol of its own.
#[derive(Debug)]
pub(crate) struct PerIp {
    limit: u32,
    /// Loopback and private ranges aren't counted.
    local: bool,
    counts: HashMap<IpAddr, u32>,
    /// Inbound connections that are being opened: one that says nothing takes a place too.
    opening: HashMap<ConnectionId, IpAddr>,
    banned: HashMap<PeerId, Instant>,
}

impl PerIp {
    pub(crate) fn new(limit: u32, local: bool) -> Self {
        Self { limit, local, counts: HashMap::new(), opening: HashMap::new(), banned: HashMap::new() }
    }

    /// Refuses a peer for a while.
    pub(crate) fn ban(&mut self, peer: PeerId, now: Instant) {
        self.banned.retain(|_, until| now < *until);
        if self.banned.len() >= BANS
            && let Some(first) = self.banned.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer)
        {
            self.banned.remove(&first);
        }
        self.banned.insert(peer, now + BAN_TIME);
    }

    fn check_peer(&self, peer: &PeerId) -> Result<(), ConnectionDenied> {
        match self.banned.get(peer) {
            Some(until) if Instant::now() < *until => Err(ConnectionDenied::new(Refused::Banned)),
            _ => Ok(()),
        }
    }

    fn check_address(&self, address: &Multiaddr) -> Result<(), ConnectionDenied> {
        let Some(place) = self.place(address) else {
            return Ok(());
        };
        if self.counts.get(&place).copied().unwrap_or(0) >= self.limit {
            return Err(ConnectionDenied::new(Refused::Address(self.limit)));
        }
        Ok(())
    }

    /// What is counted as one place; `None` for what isn't counted.
    fn place(&self, address: &Multiaddr) -> Option<IpAddr> {
        let place = match ip(address)? {
            IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
                Some(v4) => IpAddr::V4(v4),
                // One customer commonly has a whole /64.
                None => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
            },
            v4 => v4,
        };
        if self.local && !is_public(address) { None } else { Some(place) }
    }
}

/// The IP address of a multiaddress.
fn ip(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    })
}

/// Whether an address can be reached from anywhere: neither loopback, private, link-local nor unspecified.
pub(crate) fn is_public(address: &Multiaddr) -> bool {
    let v4 = |ip: std::net::Ipv4Addr| {
        let shared = ip.octets()[0] == 100 && (64..128).contains(&ip.octets()[1]);
        !(ip.is_loopback()
            || ip.is_private()
            || ip.is_link_local()
            || ip.is_unspecified()
            || ip.is_broadcast()
            || ip.is_multicast()
            || ip.is_documentation()
            || shared)
    };
    match ip(address) {
        Some(IpAddr::V4(ip)) => v4(ip),
        Some(IpAddr::V6(ip)) => match ip.to_ipv4_mapped() {
            Some(mapped) => v4(mapped),
            None => {
                !(ip.is_loopback()
                    || ip.is_unspecified()
                    || ip.is_multicast()
                    || ip.is_unique_local()
                    || ip.is_unicast_link_local())
            }
        },
        None => true,
    }
}

impl NetworkBehaviour for PerIp {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let Some(place) = self.place(remote) else { return Ok(()) };
        let opening = self.opening.values().filter(|other| **other == place).count();
        let opening = u32::try_from(opening).unwrap_or(u32::MAX);
        if self.counts.get(&place).copied().unwrap_or(0).saturating_add(opening) >= self.limit {
            return Err(ConnectionDenied::new(Refused::Address(self.limit)));
        }
        self.opening.insert(connection, place);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check_peer(&peer)?;
        self.check_address(remote)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check_peer(&peer)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.opening.remove(&connection_id);
            }
            FromSwarm::ConnectionEstablished(ConnectionEstablished { connection_id, endpoint, .. })
                if endpoint.is_listener() =>
            {
                self.opening.remove(&connection_id);
                if let Some(place) = self.place(endpoint.get_remote_address()) {
                    *self.counts.entry(place).or_default() += 1;
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { endpoint, .. }) if endpoint.is_listener() => {
                if let Some(place) = self.place(endpoint.get_remote_address())
                    && let Some(count) = self.counts.get_mut(&place)
                {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        self.counts.remove(&place);
                    }
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_told_from_private_ones() {
        for private in [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/10.1.2.3/tcp/1",
            "/ip4/192.168.0.1/udp/1/quic-v1",
            "/ip4/100.64.0.1/tcp/1",
            "/ip4/169.254.0.1/tcp/1",
            "/ip4/0.0.0.0/tcp/1",
            "/ip6/::1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip6/fd00::1/tcp/1",
            "/ip6/::ffff:10.0.0.1/tcp/1",
        ] {
            assert!(!is_public(&private.parse().unwrap()), "{private}");
        }
        for public in ["/ip4/8.8.8.8/tcp/1", "/ip6/2a00::1/tcp/1", "/dns4/example.org/tcp/1"] {
            assert!(is_public(&public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn one_ipv6_customer_is_one_place_and_local_ranges_are_none() {
        let everywhere = PerIp::new(1, false);
        let place = |text: &str| everywhere.place(&text.parse().unwrap());
        assert_eq!(place("/ip6/2a00:1:2:3::1/tcp/1"), place("/ip6/2a00:1:2:3:ffff::2/tcp/9"));
        assert_ne!(place("/ip6/2a00:1:2:3::1/tcp/1"), place("/ip6/2a00:1:2:4::1/tcp/1"));
        assert_eq!(place("/ip6/::ffff:8.8.8.8/tcp/1"), place("/ip4/8.8.8.8/tcp/1"));
        assert!(place("/ip4/127.0.0.1/tcp/1").is_some());
        let local = PerIp::new(1, true);
        assert_eq!(local.place(&"/ip4/127.0.0.1/tcp/1".parse().unwrap()), None);
        assert!(local.place(&"/ip4/8.8.8.8/tcp/1".parse().unwrap()).is_some());
    }

    #[test]
    fn bans_end_and_are_bounded() {
        let now = Instant::now();
        let mut per_ip = PerIp::new(1, true);
        let peer = PeerId::random();
        per_ip.ban(peer, now);
        assert!(per_ip.check_peer(&peer).is_err());
        for _ in 0..BANS {
            per_ip.ban(PeerId::random(), now + BAN_TIME / 2);
        }
        assert_eq!(per_ip.banned.len(), BANS);
        assert!(per_ip.check_peer(&peer).is_ok(), "the oldest gave way");
        per_ip.ban(peer, now + BAN_TIME * 2);
        assert_eq!(per_ip.banned.len(), 1, "the others' time is over");
    }
}
