//! Messages out, messages in, verdicts.

use std::time::Instant;

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::gossipsub::{self, MessageAcceptance, MessageId, PublishError as Refusal};
use tracing::{debug, warn};

use super::Actor;
use crate::gossip::outbox::Unsent;
use crate::gossip::{MessageToken, PublishError, Verdict, message_id};

impl Actor {
    /// Takes a message into the outbox and sends what can be sent.
    pub(super) fn publish(&mut self, kind: usize, bytes: Bytes, now: Instant) -> Result<(), PublishError> {
        if !self.outbox.push(kind, bytes, now) {
            return Err(PublishError::OutboxFull { messages: self.outbox.messages() });
        }
        self.pump(now);
        Ok(())
    }

    /// Sends as much as the window and the peers allow.
    pub(super) fn pump(&mut self, now: Instant) {
        while self.window.has(1, now)
            && let Some(unsent) = self.outbox.pop(now)
        {
            if !self.window_bytes.take(unsent.bytes.len() as u64, now) {
                self.outbox.put_back(unsent);
                break;
            }
            self.window.take(1, now);
            if !self.send(unsent, now) {
                break;
            }
        }
        self.counters.outbox_messages.set(self.outbox.messages());
        self.counters.outbox_bytes.set(self.outbox.bytes());
    }

    /// Gives one message to libp2p, or puts it back. `false` if there is no use in trying another now.
    fn send(&mut self, unsent: Unsent, now: Instant) -> bool {
        let topic = self.hashes[unsent.kind].clone();
        self.salt.set(unsent.attempt);
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        let published = gossip.publish(topic.clone(), unsent.bytes.to_vec());
        self.salt.set(0);
        if unsent.attempt > 0 && !matches!(published, Err(Refusal::NoPeersSubscribedToTopic)) {
            // The salted id must not be offered to anyone: forget the copy under it.
            let salted = message_id(&topic, &unsent.bytes, unsent.attempt);
            let local = *self.swarm.local_peer_id();
            let gossip = &mut self.swarm.behaviour_mut().gossip;
            gossip.report_message_validation_result(&salted, &local, MessageAcceptance::Ignore);
        }
        match published {
            Ok(_) => {
                self.outbox.relieve();
                self.counters.published.increment();
                true
            }
            // It has been gossiped before, by us or by others.
            Err(Refusal::Duplicate) => true,
            Err(Refusal::NoPeersSubscribedToTopic) => {
                self.outbox.park(unsent);
                true
            }
            Err(Refusal::AllQueuesFull(peers)) => {
                debug!(peers, "all queues are full: the message waits");
                self.counters.publish_retries.increment();
                self.outbox.pause(unsent, now);
                false
            }
            Err(error) => {
                warn!(%error, "a message can't be published");
                self.counters.publish_failed.increment();
                true
            }
        }
    }

    /// Hands a received message to the owner, or settles it where that can't be.
    pub(super) fn on_message(&mut self, from: PeerId, id: MessageId, message: gossipsub::Message, now: Instant) {
        let Some(kind) = self.topics.get(&message.topic).map(|index| self.kinds[*index]) else {
            return self.settle(&id, &from, Verdict::Ignore);
        };
        if message.data.is_empty() || message.data.len() > kind.max_bytes {
            self.counters.gossip_oversized.increment();
            return self.settle(&id, &from, Verdict::Reject);
        }
        if self.peers.get_mut(&from).is_none_or(|peer| !peer.may_gossip(message.data.len(), now)) {
            self.counters.gossip_dropped_rate.increment();
            return self.settle(&id, &from, Verdict::Ignore);
        }
        if !self.verdicts.has_room_for(&from) {
            self.counters.gossip_dropped_share.increment();
            return self.settle(&id, &from, Verdict::Ignore);
        }
        let token = if self.events.has_room_for_gossip(message.data.len()) {
            self.verdicts.open(id.clone(), from, now)
        } else {
            None
        };
        let handed = token.is_some_and(|token| self.events.gossip(token, kind.name, message.data.into(), from));
        if handed {
            self.counters.gossip_received.increment();
        } else {
            self.counters.gossip_dropped_slow_owner.increment();
            self.settle(&id, &from, Verdict::Ignore);
        }
    }

    /// Passes the owner's verdict on.
    pub(super) fn on_verdict(&mut self, token: &MessageToken, verdict: Verdict) {
        let Some(pending) = self.verdicts.close(token) else {
            self.counters.verdicts_late.increment();
            return;
        };
        match verdict {
            Verdict::Accept => self.counters.accepted.increment(),
            Verdict::Reject => self.counters.rejected.increment(),
            Verdict::Ignore => self.counters.ignored.increment(),
        }
        self.settle(&pending.id, &pending.from, verdict);
    }

    /// Ignores the messages for which no verdict came in time.
    pub(super) fn expire_verdicts(&mut self, now: Instant) {
        for pending in self.verdicts.expire(now) {
            warn!(message = %pending.id, "no verdict in time: the message is ignored");
            self.counters.verdicts_late.increment();
            self.settle(&pending.id, &pending.from, Verdict::Ignore);
        }
    }

    fn settle(&mut self, id: &MessageId, from: &PeerId, verdict: Verdict) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        if !gossip.report_message_validation_result(id, from, verdict.into()) && verdict == Verdict::Accept {
            warn!(message = %id, "accepted too late to be passed on");
            self.counters.verdicts_late.increment();
        }
    }
}
