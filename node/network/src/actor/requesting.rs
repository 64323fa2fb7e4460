//! Requests to peers and from peers.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::request_response::{Event as Exchange, InboundRequestId, Message, ResponseChannel};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::debug;

use super::Actor;
use crate::config::{
    ANSWER_DEADLINE, BAN_POINTS, PENDING_ANSWERS, PENDING_REQUESTS, UNSENT_ANSWERS, UNSENT_ANSWERS_PER_PEER,
};
use crate::event::Event;
use crate::fetch::{FetchToken, IdsToken, Request};
use crate::frame_codec::Reply;
use crate::handle::Protocol;
use crate::peers::PeerFault;
use crate::request::{Answerer, DirectToken, RequestError, outcome};

/// What became of a peer's request.
pub(super) struct Answered {
    protocol: Protocol,
    id: InboundRequestId,
    peer: PeerId,
    channel: ResponseChannel<Reply>,
    answer: Option<Bytes>,
}

/// Answers that were given to libp2p and that their peers haven't read to the end.
#[derive(Debug, Default)]
pub(super) struct UnsentAnswers {
    answers: HashMap<(Protocol, InboundRequestId), (PeerId, usize)>,
    by_peer: HashMap<PeerId, usize>,
    bytes: usize,
}

impl UnsentAnswers {
    /// Bytes of all of them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn has_room_for(&self, peer: &PeerId) -> bool {
        let theirs = self.by_peer.get(peer).copied().unwrap_or(0);
        theirs < UNSENT_ANSWERS_PER_PEER && self.bytes < UNSENT_ANSWERS
    }

    fn given(&mut self, request: (Protocol, InboundRequestId), peer: PeerId, bytes: usize) {
        self.answers.insert(request, (peer, bytes));
        *self.by_peer.entry(peer).or_default() += bytes;
        self.bytes += bytes;
    }

    /// It was read, or will never be.
    fn over(&mut self, request: (Protocol, InboundRequestId)) {
        let Some((peer, bytes)) = self.answers.remove(&request) else { return };
        self.bytes -= bytes;
        if let Some(theirs) = self.by_peer.get_mut(&peer) {
            *theirs -= bytes;
            if *theirs == 0 {
                self.by_peer.remove(&peer);
            }
        }
    }
}

impl Actor {
    /// Sends a request to a connected peer.
    pub(super) fn request(
        &mut self,
        protocol: Protocol,
        peer: PeerId,
        bytes: Bytes,
        reply: oneshot::Sender<Result<Bytes, RequestError>>,
    ) {
        if self.requests.len() >= PENDING_REQUESTS {
            drop(reply.send(Err(RequestError::Busy)));
            return;
        }
        let behaviour = self.swarm.behaviour_mut();
        let id = match protocol {
            Protocol::Direct => behaviour.direct.send_request(&peer, bytes),
            Protocol::Fetch => behaviour.fetch.send_request(&peer, bytes),
        };
        self.requests.insert((protocol, id), reply);
    }

    pub(super) fn on_request_event(&mut self, protocol: Protocol, event: Exchange<Bytes, Reply>) {
        match event {
            Exchange::Message { peer, message: Message::Request { request_id, request, channel }, .. } => {
                self.on_request((protocol, request_id), peer, request, channel, Instant::now());
            }
            Exchange::Message { message: Message::Response { request_id, response }, .. } => {
                if let Some(reply) = self.requests.remove(&(protocol, request_id)) {
                    drop(reply.send(outcome(response)));
                }
            }
            Exchange::OutboundFailure { peer, request_id, error, .. } => {
                let error = RequestError::from_failure(&error);
                if let RequestError::Fault(fault) = error {
                    self.blame(peer, fault, Instant::now());
                }
                if let Some(reply) = self.requests.remove(&(protocol, request_id)) {
                    drop(reply.send(Err(error)));
                }
            }
            Exchange::InboundFailure { peer, request_id, error, .. } => {
                self.unsent.over((protocol, request_id));
                debug!(%peer, %error, "a peer's request failed")
            }
            Exchange::ResponseSent { request_id, .. } => self.unsent.over((protocol, request_id)),
        }
    }

    fn on_request(
        &mut self,
        (protocol, id): (Protocol, InboundRequestId),
        peer: PeerId,
        bytes: Bytes,
        channel: ResponseChannel<Reply>,
        now: Instant,
    ) {
        self.counters.requests_received.increment();
        let full = self.answers.len() >= PENDING_ANSWERS || !self.unsent.has_room_for(&peer);
        if full || self.peers.get_mut(&peer).is_none_or(|known| !known.may_request(now)) {
            self.counters.requests_refused.increment();
            self.respond(protocol, channel, Reply::Busy);
            return;
        }
        let (sender, answer) = oneshot::channel();
        let event = match request_event(protocol, peer, bytes, Answerer(sender)) {
            Ok(event) => event,
            // The channel is dropped: a peer that can't ask gets no answer.
            Err(fault) => return self.blame(peer, fault, now),
        };
        if !self.events.request(event) {
            self.counters.requests_refused.increment();
            self.respond(protocol, channel, Reply::Busy);
            return;
        }
        if let Some(known) = self.peers.get_mut(&peer) {
            known.unanswered += 1;
        }
        self.answers.push(Box::pin(async move {
            let answer = timeout(ANSWER_DEADLINE, answer).await.ok().and_then(Result::ok);
            Answered { protocol, id, peer, channel, answer }
        }));
    }

    pub(super) fn on_answered(&mut self, answered: Answered) {
        if let Some(known) = self.peers.get_mut(&answered.peer) {
            known.unanswered = known.unanswered.saturating_sub(1);
        }
        let reply = answered.answer.map_or(Reply::Unanswered, Reply::Answer);
        let bytes = if let Reply::Answer(bytes) = &reply { bytes.len() } else { 0 };
        if reply == Reply::Unanswered {
            self.counters.requests_unanswered.increment();
        }
        if self.respond(answered.protocol, answered.channel, reply) {
            self.unsent.given((answered.protocol, answered.id), answered.peer, bytes);
        }
    }

    /// Gives a reply to libp2p; `false` where the peer no longer waits.
    fn respond(&mut self, protocol: Protocol, channel: ResponseChannel<Reply>, reply: Reply) -> bool {
        let behaviour = self.swarm.behaviour_mut();
        let sent = match protocol {
            Protocol::Direct => behaviour.direct.send_response(channel, reply),
            Protocol::Fetch => behaviour.fetch.send_response(channel, reply),
        };
        if sent.is_err() {
            debug!("the peer didn't wait for its answer");
        }
        sent.is_ok()
    }

    /// Holds a fault against a peer; lowers its score, and refuses it when there are too many.
    pub(super) fn blame(&mut self, peer: PeerId, fault: PeerFault, now: Instant) {
        self.counters.peer_faults.increment();
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        let points = known.blame(fault, now);
        debug!(%peer, %fault, points, "a peer's fault");
        let behaviour = self.swarm.behaviour_mut();
        behaviour.gossip.set_application_score(&peer, -f64::from(points));
        if points >= BAN_POINTS {
            self.counters.peers_banned.increment();
            behaviour.per_ip.ban(peer, now);
            // Not connected any more is as good.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }
}

fn request_event(protocol: Protocol, peer: PeerId, bytes: Bytes, answerer: Answerer) -> Result<Event, PeerFault> {
    if protocol == Protocol::Direct {
        return Ok(Event::Direct { token: DirectToken(answerer), peer, bytes });
    }
    Ok(match Request::decode(bytes)? {
        Request::Ids(cursor) => Event::IdsWanted { token: IdsToken(answerer), peer, cursor },
        Request::Fetch(ids) => Event::FetchWanted { token: FetchToken(answerer), peer, ids },
    })
}
