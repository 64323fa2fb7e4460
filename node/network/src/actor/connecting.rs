//! Connections: dials, comings, goings, and who is found where.

use std::collections::HashMap;
use std::time::Instant;

use libp2p::core::ConnectedPoint;
use libp2p::kad::{GetClosestPeersError, GetClosestPeersOk, QueryId, QueryResult};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId, identify};
use tokio::sync::oneshot;
use tracing::{debug, info};

use super::{Actor, peer_of};
use crate::config::{DIAL_ADDRESSES, ENOUGH_PEERS, IDENTIFY_ADDRESSES, KEPT_PLACES, PENDING_CONNECTS, PENDING_LOOKUPS};
use crate::event::Event;
use crate::handle::{ConnectError, cause};
use crate::peers::Origin;
use crate::per_ip::is_public;

type Reply = oneshot::Sender<Result<(), ConnectError>>;

/// Dials that somebody waits for; one per peer, however many wait.
#[derive(Debug, Default)]
pub(super) struct Connects {
    dials: HashMap<ConnectionId, Waiting>,
    lookups: HashMap<QueryId, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    peer: PeerId,
    replies: Vec<Reply>,
    /// Addresses that later callers brought; tried next.
    untried: Vec<Multiaddr>,
    /// Whether the network was asked for addresses already.
    looked_up: bool,
}

impl Waiting {
    fn answer(self, outcome: &Result<(), ConnectError>) {
        for reply in self.replies {
            // Who has gone needs no answer.
            let _ = reply.send(outcome.clone());
        }
    }

    /// Forgets callers that have gone; `false` if none is left.
    fn is_wanted(&mut self) -> bool {
        self.replies.retain(|reply| !reply.is_closed());
        !self.replies.is_empty()
    }
}

impl Connects {
    /// Forgets those whose callers have gone.
    pub(super) fn forget_abandoned(&mut self) {
        self.dials.retain(|_, waiting| waiting.is_wanted());
        self.lookups.retain(|_, waiting| waiting.is_wanted());
    }

    /// Answers all who wait for this peer.
    fn succeed(&mut self, peer: PeerId) {
        let dials = self.dials.extract_if(|_, waiting| waiting.peer == peer).map(|(_, waiting)| waiting);
        let lookups = self.lookups.extract_if(|_, waiting| waiting.peer == peer).map(|(_, waiting)| waiting);
        dials.chain(lookups).for_each(|waiting| waiting.answer(&Ok(())));
    }

    /// Lets a caller wait for a dial that is under way; gives the reply back if there is none.
    fn join(&mut self, peer: PeerId, addresses: &[Multiaddr], reply: Reply) -> Option<Reply> {
        let mut all = self.dials.values_mut().chain(self.lookups.values_mut());
        let Some(waiting) = all.find(|waiting| waiting.peer == peer) else { return Some(reply) };
        for address in addresses {
            if waiting.untried.len() < DIAL_ADDRESSES && !waiting.untried.contains(address) {
                waiting.untried.push(address.clone());
            }
        }
        waiting.replies.push(reply);
        None
    }

    fn is_full(&self) -> bool {
        let waiting = self.dials.values().chain(self.lookups.values());
        waiting.map(|waiting| waiting.replies.len()).sum::<usize>() >= PENDING_CONNECTS
    }
}

impl Actor {
    /// Connects with a peer: at the addresses given and those known; if none answers, where the network says.
    pub(super) fn connect(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, reply: Reply) {
        if peer == *self.swarm.local_peer_id() {
            let _ = reply.send(Err(ConnectError::Oneself));
        } else if self.swarm.is_connected(&peer) {
            let _ = reply.send(Ok(()));
        } else if self.config.apart {
            let _ = reply.send(Err(ConnectError::Apart));
        } else if self.connects.is_full() {
            let _ = reply.send(Err(ConnectError::Busy));
        } else if let Some(reply) = self.connects.join(peer, &addresses, reply) {
            self.dial(Waiting { peer, replies: vec![reply], untried: addresses, looked_up: false });
        }
    }

    /// Dials at the untried addresses and those that the network knows.
    fn dial(&mut self, mut waiting: Waiting) {
        let mut addresses = std::mem::take(&mut waiting.untried);
        addresses.truncate(DIAL_ADDRESSES);
        let dial = DialOpts::peer_id(waiting.peer)
            .condition(PeerCondition::Always)
            .addresses(addresses)
            .extend_addresses_through_behaviour()
            .build();
        let connection = dial.connection_id();
        match self.swarm.dial(dial) {
            Ok(()) => {
                self.connects.dials.insert(connection, waiting);
            }
            Err(error) => self.on_dial_in_vain(waiting, &error),
        }
    }

    /// After a failed dial, tries what later callers brought, then asks the network for addresses, once; else gives up.
    fn on_dial_in_vain(&mut self, waiting: Waiting, error: &DialError) {
        if self.swarm.is_connected(&waiting.peer) {
            waiting.answer(&Ok(()));
        } else if !waiting.untried.is_empty() {
            self.dial(waiting);
        } else if waiting.looked_up || self.peers.len() == 0 || self.connects.lookups.len() >= PENDING_LOOKUPS {
            waiting.answer(&Err(connect_error(error)));
        } else {
            let query = self.swarm.behaviour_mut().kad.get_closest_peers(waiting.peer);
            self.connects.lookups.insert(query, Waiting { looked_up: true, ..waiting });
        }
    }

    pub(super) fn on_query(&mut self, id: QueryId, result: QueryResult, last: bool) {
        if !last {
            return;
        }
        let Some(mut waiting) = self.connects.lookups.remove(&id) else {
            return;
        };
        let found = match result {
            QueryResult::GetClosestPeers(
                Ok(GetClosestPeersOk { peers, .. }) | Err(GetClosestPeersError::Timeout { peers, .. }),
            ) => peers,
            _ => Vec::new(),
        };
        let addresses = found.into_iter().find(|info| info.peer_id == waiting.peer).map(|info| info.addrs);
        waiting.untried.extend(addresses.unwrap_or_default());
        self.dial(waiting);
    }

    pub(super) fn on_dial_failed(&mut self, peer: Option<PeerId>, connection: ConnectionId, error: DialError) {
        if let Some(peer) = peer {
            self.swarm.behaviour_mut().limits.remove_peer_id(&peer);
        }
        debug!(%error, "a dial failed");
        if matches!(error, DialError::Denied { .. }) {
            self.counters.connections_refused.increment();
        }
        if let Some(waiting) = self.connects.dials.remove(&connection) {
            self.on_dial_in_vain(waiting, &error);
        }
    }

    pub(super) fn on_connected(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        debug!(%peer, address = %endpoint.get_remote_address(), "connected");
        // Its place was kept for this one connection.
        self.swarm.behaviour_mut().limits.remove_peer_id(&peer);
        let origin = self.origin_of(peer, endpoint);
        self.peers.connected(peer, connection, endpoint, origin, Instant::now());
        self.connects.succeed(peer);
        self.count();
    }

    fn origin_of(&self, peer: PeerId, endpoint: &ConnectedPoint) -> Origin {
        let at = endpoint.get_remote_address();
        let names = |address: &Multiaddr| match peer_of(address) {
            Some(named) => named == peer,
            None => endpoint.is_dialer() && address == at,
        };
        if self.config.bootstrap.iter().any(names) {
            Origin::Configured
        } else if self.config.known.iter().any(names) {
            Origin::Known
        } else if endpoint.is_dialer() {
            Origin::Found
        } else {
            Origin::Inbound
        }
    }

    pub(super) fn on_disconnected(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(gone) = self.peers.disconnected(peer, connection)
            && gone.met()
        {
            debug!(%peer, "lost");
            self.tell(Event::PeerLost { peer });
        }
        self.count();
    }

    /// Takes a peer's own account of itself; sends those of other networks away.
    pub(super) fn on_identified(&mut self, peer: PeerId, info: &identify::Info) {
        if info.protocol_version != self.names.version() {
            info!(%peer, theirs = info.protocol_version, "a peer of another network is sent away");
            self.counters.foreign_peers.increment();
            // Not connected any more is as good.
            let _ = self.swarm.disconnect_peer_id(peer);
            return;
        }
        let local = self.config.local;
        let mut usable =
            info.listen_addrs.iter().filter(|address| local || is_public(address)).take(IDENTIFY_ADDRESSES);
        if info.protocols.contains(&self.names.kad()) {
            for address in usable.clone() {
                self.swarm.behaviour_mut().kad.add_address(&peer, address.clone());
            }
        }
        let speaks_ours = info.protocols.contains(&self.names.fetch());
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        known.set_agent(&info.agent_version);
        known.listens_at = usable.next().cloned();
        let met = known.met();
        known.identified |= speaks_ours;
        // Without topics there is no subscription to wait for.
        known.subscribed |= self.kinds.iter().all(|kind| !kind.gossiped);
        if !met && known.met() {
            self.on_met(peer);
        }
    }

    /// A peer listens to one of our topics.
    pub(super) fn on_subscribed(&mut self, peer: PeerId) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        let met = known.met();
        known.subscribed = true;
        if !met && known.met() {
            self.on_met(peer);
        }
    }

    fn on_met(&mut self, peer: PeerId) {
        debug!(%peer, "met");
        self.count();
        self.tell(Event::PeerMet { peer });
    }

    /// Dials the bootstrap addresses and walks the routing table when due.
    pub(super) fn discover(&mut self, now: Instant) {
        if self.config.apart {
            return;
        }
        for peer in self.peers.stuck(now) {
            debug!(%peer, "connected and not met: it is dialled anew");
            // Not connected any more is as good.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let met = self.peers.met();
        let due = self.discovery.due(met, now);
        // With few peers the first ones we lost are worth a try too: else two islands would never join. And however many
        // others there are, some of our own choice are among them.
        let rejoin = due.walk && (met < ENOUGH_PEERS || self.peers.chosen() < KEPT_PLACES);
        let first: Vec<Multiaddr> = self.config.known.iter().chain(&self.config.bootstrap).cloned().collect();
        for address in first {
            if due.bootstrap || rejoin && peer_of(&address).is_some() {
                self.dial_bootstrap(address);
            }
        }
        if due.walk {
            self.swarm.behaviour_mut().kad.get_closest_peers(PeerId::random());
        }
    }

    fn dial_bootstrap(&mut self, address: Multiaddr) {
        let dial = match peer_of(&address) {
            Some(peer) if peer == *self.swarm.local_peer_id() || self.swarm.is_connected(&peer) => return,
            Some(peer) => {
                if self.peers.chosen() < KEPT_PLACES {
                    self.swarm.behaviour_mut().limits.bypass_peer_id(&peer);
                }
                DialOpts::peer_id(peer)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .addresses(vec![address.clone()])
                    .build()
            }
            None => DialOpts::unknown_peer_id().address(address.clone()).build(),
        };
        match self.swarm.dial(dial) {
            Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {}
            Err(error) => info!(%address, %error, "a bootstrap address can't be dialled"),
        }
    }
}

fn connect_error(error: &DialError) -> ConnectError {
    match error {
        DialError::NoAddresses => ConnectError::NoAddress,
        DialError::Transport(failures) => {
            let each: Vec<String> =
                failures.iter().map(|(address, error)| format!("{address}: {}", cause(error))).collect();
            ConnectError::Failed(each.join("; "))
        }
        other => ConnectError::Failed(cause(other)),
    }
}
