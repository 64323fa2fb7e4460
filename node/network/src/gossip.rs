//! Gossipsub as we run it: anonymous, validated by the owner, ids over content, scores that hurt liars only.

pub(crate) mod outbox;
pub(crate) mod verdicts;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libp2p::gossipsub::{
    self, ConfigBuilder, IdentTopic, IdentityTransform, MaxCountSubscriptionFilter, Message, MessageAuthenticity,
    MessageId, PeerScoreParams, PeerScoreThresholds, TopicHash, TopicScoreParams, ValidationMode,
    WhitelistSubscriptionFilter, score_parameter_decay,
};
use sha2::{Digest, Sha256};

use crate::config::{
    DUPLICATE_TIME, FORWARD_QUEUE_TIME, HEARTBEAT, HISTORY_HEARTBEATS, MAX_PAYLOAD, PUBLISH_QUEUE_TIME, TRANSMIT_MARGIN,
};
use crate::handle::NetworkError;

/// Penalty weight of invalid messages; it counts with the square of their number.
const INVALID_WEIGHT: f64 = -20.0;
/// How long an invalid message is held against its relayer.
const INVALID_DECAY: Duration = Duration::from_secs(600);
/// Most topics of one peer, and most in one of its requests.
const PEER_TOPICS: usize = 100;

/// The gossipsub behaviour in our shape.
pub(crate) type Gossip =
    gossipsub::Behaviour<IdentityTransform, MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>>;

/// The owner's word on a gossiped message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Valid: pass it on.
    Accept,
    /// Invalid, and the relayer should have known: don't pass it on, score the relayer.
    Reject,
    /// Of no use to us, nobody's fault: don't pass it on.
    Ignore,
}

impl From<Verdict> for gossipsub::MessageAcceptance {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accept => Self::Accept,
            Verdict::Reject => Self::Reject,
            Verdict::Ignore => Self::Ignore,
        }
    }
}

/// Names one received message until its verdict.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct MessageToken(u64);

impl MessageToken {
    pub(crate) fn new(serial: u64) -> Self {
        Self(serial)
    }

    pub(crate) fn serial(&self) -> u64 {
        self.0
    }
}

/// Why a message can't be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No such kind, or it has no topic.
    #[error("kind {0:?} isn't gossiped on this network")]
    UnknownKind(String),
    /// It would not pass, or take the link down with it.
    #[error("a message of {size} bytes is over the limit of {max} for {kind}: make it smaller")]
    TooLarge {
        /// The kind's name.
        kind: &'static str,
        /// Its size, bytes.
        size: usize,
        /// The kind's limit, bytes.
        max: usize,
    },
    /// There is nothing in it.
    #[error("a message of 0 bytes can't be published")]
    Empty,
    /// Too much waits to be sent already.
    #[error("{messages} messages wait to be sent: no peer takes them fast enough; publish again later")]
    OutboxFull {
        /// How many wait.
        messages: usize,
    },
    /// The actor didn't answer in time.
    #[error("the network didn't answer in time: the machine is overloaded; publish again later")]
    Timeout,
    /// The actor has ended.
    #[error("the network is closed")]
    Closed,
}

/// Lets the same bytes leave twice.
///
/// libp2p remembers a message's id *before* it sends, so after `AllQueuesFull` it refuses the message as a duplicate
/// although nobody got it. While a retry is published, its local id is salted; the salted id is forgotten right
/// after, and peers compute the plain one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Salt(Arc<AtomicU64>);

impl Salt {
    pub(crate) fn set(&self, attempt: u64) {
        self.0.store(attempt, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The id of a message: SHA-256 of topic and data, so that the same bytes are the same message whoever sends them.
pub(crate) fn message_id(topic: &TopicHash, data: &[u8], attempt: u64) -> MessageId {
    let mut hash = Sha256::new();
    hash.update((topic.as_str().len() as u64).to_be_bytes());
    hash.update(topic.as_str().as_bytes());
    hash.update(data);
    if attempt > 0 {
        hash.update(attempt.to_be_bytes());
    }
    MessageId::new(&hash.finalize())
}

/// Builds the behaviour, subscribed to all topics.
pub(crate) fn behaviour(
    topics: &[IdentTopic],
    salt: &Salt,
    local: bool,
    peer_queue: usize,
) -> Result<Gossip, NetworkError> {
    let refused = |why: &dyn std::fmt::Display| NetworkError::Gossip(why.to_string());
    let salt = salt.clone();
    let config = ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(move |message: &Message| message_id(&message.topic, &message.data, salt.get()))
        .max_transmit_size(MAX_PAYLOAD + TRANSMIT_MARGIN)
        .history_length(HISTORY_HEARTBEATS)
        .heartbeat_interval(HEARTBEAT)
        .heartbeat_initial_delay(HEARTBEAT)
        .duplicate_cache_time(DUPLICATE_TIME)
        .connection_handler_queue_len(peer_queue)
        .publish_queue_duration(PUBLISH_QUEUE_TIME)
        .forward_queue_duration(FORWARD_QUEUE_TIME)
        .build()
        .map_err(|e| refused(&e))?;
    let hashes: HashSet<TopicHash> = topics.iter().map(IdentTopic::hash).collect();
    let filter = MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter(hashes.clone()),
        max_subscribed_topics: PEER_TOPICS,
        max_subscriptions_per_request: PEER_TOPICS,
    };
    let mut gossip = Gossip::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)
        .map_err(|e| refused(&e))?;
    // A wrong sign here would switch all scoring off without a word.
    gossip.with_peer_score(score(&hashes, local), PeerScoreThresholds::default()).map_err(|e| refused(&e))?;
    for topic in topics {
        gossip.subscribe(topic).map_err(|e| refused(&e))?;
    }
    Ok(gossip)
}

/// Scores by which three invalid messages silence a peer, and neither a quiet topic, a slow link nor localhost does.
fn score(topics: &HashSet<TopicHash>, local: bool) -> PeerScoreParams {
    let topic = TopicScoreParams {
        topic_weight: 1.0,
        // Time in the mesh and first deliveries earn little: good behaviour can't be saved up for lies.
        time_in_mesh_weight: 0.1,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 10.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_decay: 0.5,
        first_message_deliveries_cap: 50.0,
        // Silence on a quiet topic is no fault.
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: INVALID_WEIGHT,
        invalid_message_deliveries_decay: score_parameter_decay(INVALID_DECAY),
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: topics.iter().map(|hash| (hash.clone(), topic.clone())).collect::<HashMap<_, _>>(),
        topic_score_cap: 10.0,
        app_specific_weight: 1.0,
        ip_colocation_factor_weight: if local { 0.0 } else { -5.0 },
        // Broken promises happen under load; a habit of them counts.
        behaviour_penalty_threshold: 6.0,
        // Our own burst fills a peer's queue; that isn't the peer's fault.
        slow_peer_weight: 0.0,
        ..PeerScoreParams::default()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_topics_contents_and_attempts_apart() {
        let a = IdentTopic::new("a").hash();
        let b = IdentTopic::new("b").hash();
        let ab = IdentTopic::new("ab").hash();
        assert_eq!(message_id(&a, b"x", 0), message_id(&a, b"x", 0));
        assert_ne!(message_id(&a, b"x", 0), message_id(&a, b"y", 0));
        assert_ne!(message_id(&a, b"x", 0), message_id(&b, b"x", 0));
        assert_ne!(message_id(&a, b"bx", 0), message_id(&ab, b"x", 0));
        assert_ne!(message_id(&a, b"x", 0), message_id(&a, b"x", 1));
    }

    #[test]
    fn scores_are_valid_and_only_faults_count_below_zero() {
        let topics: HashSet<_> = (0..8).map(|i| IdentTopic::new(format!("t{i}")).hash()).collect();
        for local in [true, false] {
            let params = score(&topics, local);
            params.validate().unwrap();
            for topic in params.topics.values() {
                topic.validate().unwrap();
                assert_eq!(topic.mesh_message_deliveries_weight, 0.0);
                assert_eq!(topic.mesh_failure_penalty_weight, 0.0);
            }
            assert_eq!(params.slow_peer_weight, 0.0);
            let best = params.topic_score_cap + 0.0;
            let three_lies = INVALID_WEIGHT * 9.0;
            assert!(best + three_lies < PeerScoreThresholds::default().graylist_threshold);
        }
        assert_eq!(score(&topics, true).ip_colocation_factor_weight, 0.0, "15 nodes on localhost are no attack");
    }
}
