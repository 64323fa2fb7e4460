//! The swarm's loop.

mod closing;
mod connecting;
mod gossiping;
mod listening;
mod requesting;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use libp2p::gossipsub::TopicHash;
use libp2p::request_response::OutboundRequestId;
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, gossipsub, identify, kad, ping};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tracing::{Instrument, debug, info_span};

use crate::behaviour::{self, Behaviour, BehaviourEvent};
use crate::call::{CallServer, Calls};
use crate::config::{Config, INBOX, KindConfig, PENDING_VERDICTS};
use crate::discovery::Discovery;
use crate::event::{self, Event, EventReceiver, EventSender};
use crate::gossip::outbox::Outbox;
use crate::gossip::verdicts::PendingVerdicts;
use crate::gossip::{MessageToken, Salt, Verdict};
use crate::handle::{Command, Handle, NetworkError, Protocol, cause};
use crate::names::Names;
use crate::peers::Peers;
use crate::rate::Bucket;
use crate::request::RequestError;
use crate::stats::Counters;
use connecting::Connects;
use listening::Listening;
use requesting::{Answered, UnsentAnswers};

/// Time between two looks at what is due.
const TICK: Duration = Duration::from_millis(500);
/// Time between two tries to send while messages wait.
const PUMP_TICK: Duration = Duration::from_millis(5);

/// The actor.
pub(crate) struct Actor {
    swarm: Swarm<Behaviour>,
    config: Config,
    names: Names,
    kinds: Arc<[KindConfig]>,
    topics: HashMap<TopicHash, usize>,
    hashes: Vec<TopicHash>,
    salt: Salt,
    commands: mpsc::Receiver<Command>,
    verdict_inbox: mpsc::Receiver<(MessageToken, Verdict)>,
    events: EventSender,
    counters: Arc<Counters>,
    calls: Calls,
    call_server: Option<CallServer>,
    peers: Peers,
    outbox: Outbox,
    window: Bucket,
    window_bytes: Bucket,
    verdicts: PendingVerdicts,
    requests: HashMap<(Protocol, OutboundRequestId), oneshot::Sender<Result<Bytes, RequestError>>>,
    answers: FuturesUnordered<BoxFuture<'static, Answered>>,
    unsent: UnsentAnswers,
    connects: Connects,
    listening: Listening,
    discovery: Discovery,
}

/// Starts to listen and gives the handle, the events, and the future that is the network; run it on tokio. It ends
/// when [`Handle::close`] is called or the last handle is dropped. Must be called within a tokio runtime.
///
/// # Errors
/// The configuration breaks a rule, or an address can't be listened on.
pub fn spawn(config: Config) -> Result<(Handle, EventReceiver, BoxFuture<'static, ()>), NetworkError> {
    config.check()?;
    let names = Names::new(&config.network_prefix);
    let kinds: Arc<[KindConfig]> = config.kinds.clone().into();
    // A kind without a topic keeps its place, so that one index serves all tables.
    let topics: Vec<_> = kinds.iter().map(|kind| names.topic(kind.name)).collect();
    let gossiped: Vec<_> =
        kinds.iter().zip(&topics).filter(|(kind, _)| kind.gossiped).map(|(_, topic)| topic.clone()).collect();
    let salt = Salt::default();
    let mut swarm = behaviour::swarm(&config, &names, &gossiped, &salt)?;
    let mut listening = Listening::default();
    config.listen.iter().try_for_each(listening::check_free)?;
    for address in &config.listen {
        let listener = swarm
            .listen_on(address.clone())
            .map_err(|e| NetworkError::Listen { address: address.clone(), why: cause(&e) })?;
        listening.expect(listener);
    }
    for address in &config.external {
        swarm.add_external_address(address.clone());
    }
    let counters = Arc::new(Counters::default());
    let mut control = swarm.behaviour().call.new_control();
    let call_server = match &config.call_handler {
        Some(handler) => Some(
            CallServer::new(&mut control, names.call(), handler.clone(), &config.limits, counters.clone())
                .map_err(NetworkError::Transport)?,
        ),
        None => None,
    };
    let calls = Calls::new(control, names.call(), &config.limits, counters.clone());
    let (commands, command_inbox) = mpsc::channel(INBOX);
    let (verdicts, verdict_inbox) = mpsc::channel(PENDING_VERDICTS);
    let (events, receiver) = event::channel();
    let local = *swarm.local_peer_id();
    let handle =
        Handle { local, kinds: kinds.clone(), commands, verdicts, counters: counters.clone(), calls: calls.clone() };
    let hashes: Vec<_> = topics.iter().map(|topic| topic.hash()).collect();
    let now = Instant::now();
    let actor = Actor {
        swarm,
        names,
        topics: hashes.iter().cloned().zip(0..).collect(),
        outbox: Outbox::new(kinds.len()),
        kinds,
        hashes,
        salt,
        commands: command_inbox,
        verdict_inbox,
        events,
        counters,
        calls,
        call_server,
        peers: Peers::default(),
        window: Bucket::new(crate::config::SEND_WINDOW, now),
        window_bytes: Bucket::new(crate::config::SEND_WINDOW_BYTES, now),
        verdicts: PendingVerdicts::default(),
        requests: HashMap::new(),
        answers: FuturesUnordered::new(),
        unsent: UnsentAnswers::default(),
        connects: Connects::default(),
        listening,
        discovery: Discovery::new(now),
        config,
    };
    let span = info_span!("network", peer = %local);
    Ok((handle, receiver, Box::pin(actor.run().instrument(span))))
}

impl Actor {
    async fn run(mut self) {
        let server = self.call_server.take().map(|server| tokio::spawn(server.run(self.calls.closing())));
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pump = tokio::time::interval(PUMP_TICK);
        pump.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let close = loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Close { within, reply }) => break Some((within, reply)),
                    Some(command) => self.on_command(command),
                    None => break None,
                },
                Some((token, verdict)) = self.verdict_inbox.recv() => self.on_verdict(&token, verdict),
                Some(answered) = self.answers.next(), if !self.answers.is_empty() => self.on_answered(answered),
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                _ = tick.tick() => self.on_tick(Instant::now()),
                _ = pump.tick(), if self.outbox.has_work() => self.pump(Instant::now()),
            }
        };
        self.shut_down(close, server).await;
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish { kind, bytes, reply } => drop(reply.send(self.publish(kind, bytes, Instant::now()))),
            Command::Connect { peer, addresses, reply } => self.connect(peer, addresses, reply),
            Command::Join { reply } => {
                self.config.apart = false;
                self.discover(Instant::now());
                let _ = reply.send(());
            }
            Command::Disconnect { peer, reply } => {
                let _ = reply.send(self.swarm.disconnect_peer_id(peer).is_ok());
            }
            Command::Request { protocol, peer, bytes, reply } => self.request(protocol, peer, bytes, reply),
            Command::Blame { peer, fault } => self.blame(peer, fault, Instant::now()),
            Command::Peers { reply } => {
                let gossip = &self.swarm.behaviour().gossip;
                drop(reply.send(self.peers.list(|peer| gossip.peer_score(peer).unwrap_or(0.0))));
            }
            Command::ListenAddresses { reply } => self.tell_addresses(reply),
            Command::Close { .. } => unreachable!("the loop takes it"),
        }
    }

    fn on_tick(&mut self, now: Instant) {
        self.expire_verdicts(now);
        self.counters.outbox_expired.add(self.outbox.expire(now));
        self.outbox.wake_all();
        self.events.flush();
        self.connects.forget_abandoned();
        self.listening.forget_abandoned();
        self.requests.retain(|_, reply| !reply.is_closed());
        self.discover(now);
        self.count();
    }

    /// Brings the gauges up to date.
    fn count(&self) {
        let counters = &self.counters;
        counters.peers.set(self.peers.len());
        counters.peers_met.set(self.peers.met());
        counters.outbox_messages.set(self.outbox.messages());
        counters.outbox_bytes.set(self.outbox.bytes());
        counters.unsent_answer_bytes.set(self.unsent.bytes());
        counters.pending_verdicts.set(self.verdicts.len());
    }

    /// Nobody is connected any more, and nothing waits.
    fn count_nothing(counters: &Counters) {
        let gauges = [
            &counters.peers,
            &counters.peers_met,
            &counters.outbox_messages,
            &counters.outbox_bytes,
            &counters.unsent_answer_bytes,
            &counters.pending_verdicts,
        ];
        gauges.into_iter().for_each(|gauge| gauge.set(0));
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::NewListenAddr { listener_id, address } => self.on_listening(listener_id, address),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                self.on_disconnected(peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id, connection_id, error, .. } => {
                self.on_dial_failed(peer_id, connection_id, error);
            }
            SwarmEvent::IncomingConnectionError { error, .. } => {
                if matches!(error, libp2p::swarm::ListenError::Denied { .. }) {
                    self.counters.connections_refused.increment();
                }
                debug!(%error, "an incoming connection failed");
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listener has trouble")
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                if let Err(error) = reason {
                    tracing::warn!(?addresses, %error, "a listener has ended: peers can't reach us there any more");
                }
                self.on_listener_closed(listener_id);
            }
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Direct(event) => self.on_request_event(Protocol::Direct, event),
            BehaviourEvent::Fetch(event) => self.on_request_event(Protocol::Fetch, event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.on_identified(peer_id, &info);
            }
            BehaviourEvent::Ping(ping::Event { peer, connection, result }) => self.on_ping(peer, connection, result),
            BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed { id, result, step, .. }) => {
                self.on_query(id, result, step.last);
            }
            _ => {}
        }
    }

    fn on_ping(&mut self, peer: PeerId, connection: ConnectionId, result: Result<Duration, ping::Failure>) {
        match result {
            Ok(rtt) => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.rtt = Some(rtt);
                }
            }
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                debug!(%peer, %error, "no pong: the connection is closed");
                self.swarm.close_connection(connection);
            }
        }
    }

    /// Tells the owner of a coming or going.
    fn tell(&mut self, event: Event) {
        if !self.events.lifecycle(event) {
            self.counters.events_dropped.increment();
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.on_message(propagation_source, message_id, message, Instant::now());
            }
            gossipsub::Event::Subscribed { topic, peer_id } => {
                self.on_subscribed(peer_id);
                if let Some(kind) = self.topics.get(&topic) {
                    self.outbox.wake(*kind);
                    self.pump(Instant::now());
                }
            }
            gossipsub::Event::SlowPeer { peer_id, failed_messages } => {
                let lost = failed_messages.non_priority;
                self.counters.slow_peer_drops.add(lost as u64);
                debug!(peer = %peer_id, lost, "a slow peer missed messages");
            }
            _ => {}
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        Self::count_nothing(&self.counters);
    }
}

/// The peer that an address names at its end.
fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(libp2p::multiaddr::Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}
