//! Where the actor listens, known once every listener has said so: a port that the system chooses is told a moment later.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};

use libp2p::Multiaddr;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use tokio::sync::oneshot;

use super::Actor;
use crate::event::Event;
use crate::handle::NetworkError;

/// Listeners that haven't told an address yet, and those who wait for them.
#[derive(Debug, Default)]
pub(super) struct Listening {
    silent: HashSet<ListenerId>,
    waiting: Vec<oneshot::Sender<Vec<Multiaddr>>>,
}

impl Listening {
    /// A listener was made.
    pub(super) fn expect(&mut self, listener: ListenerId) {
        self.silent.insert(listener);
    }

    /// Forgets those who no longer wait.
    pub(super) fn forget_abandoned(&mut self) {
        self.waiting.retain(|reply| !reply.is_closed());
    }
}

/// Refuses a TCP port on which another process listens. libp2p shares its ports, so that two nodes would both start on
/// one, and each would get some of the other's peers.
pub(super) fn check_free(address: &Multiaddr) -> Result<(), NetworkError> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => TcpListener::bind(SocketAddr::new(ip, port))
            .map(drop)
            .map_err(|e| NetworkError::Listen { address: address.clone(), why: e.to_string() }),
        _ => Ok(()),
    }
}

impl Actor {
    /// Answers with the addresses, at once or when the last listener has one.
    pub(super) fn tell_addresses(&mut self, reply: oneshot::Sender<Vec<Multiaddr>>) {
        self.listening.waiting.push(reply);
        self.answer_if_listening();
    }

    /// A listener has an address.
    pub(super) fn on_listening(&mut self, listener: ListenerId, address: Multiaddr) {
        tracing::debug!(%address, "listening");
        self.listening.silent.remove(&listener);
        self.tell(Event::Listening(address));
        self.answer_if_listening();
    }

    /// A listener has ended, so nothing is to be expected of it.
    pub(super) fn on_listener_closed(&mut self, listener: ListenerId) {
        self.listening.silent.remove(&listener);
        self.answer_if_listening();
    }

    fn answer_if_listening(&mut self) {
        if self.listening.silent.is_empty() {
            let addresses: Vec<Multiaddr> = self.swarm.listeners().cloned().collect();
            self.listening.waiting.drain(..).for_each(|reply| drop(reply.send(addresses.clone())));
        }
    }
}
