//! Counters of the actor, read without asking it.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What has happened and what stands, at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Stats {
            /// Each value with its name and what it counts.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($doc),+).trim(), self.$name),)+].into_iter()
            }
        }

        /// The living counters behind [`Stats`].
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)+
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.get(),)+ }
            }
        }
    };
}

counters! {
    /// Peers that are connected now.
    peers,
    /// Connected peers that speak our protocols on our network.
    peers_met,
    /// Connections that a limit refused.
    connections_refused,
    /// Peers of other networks that were sent away.
    foreign_peers,
    /// Peers that were refused for their faults.
    peers_banned,
    /// Faults of peers in requests and answers.
    peer_faults,
    /// Messages that left the outbox for at least one peer.
    published,
    /// Times that every peer's queue was full, so that a message waited.
    publish_retries,
    /// Messages that got too old in the outbox.
    outbox_expired,
    /// Messages that libp2p refused for good.
    publish_failed,
    /// Messages in the outbox now.
    outbox_messages,
    /// Bytes in the outbox now.
    outbox_bytes,
    /// Messages handed to the owner.
    gossip_received,
    /// Messages ignored because the owner was slow.
    gossip_dropped_slow_owner,
    /// Messages ignored because their relayer sent too many.
    gossip_dropped_rate,
    /// Messages ignored because too many of their relayer's wait for a verdict.
    gossip_dropped_share,
    /// Messages rejected for their size.
    gossip_oversized,
    /// Accepted messages, by the owner's verdict.
    accepted,
    /// Rejected messages, by the owner's verdict.
    rejected,
    /// Ignored messages, by the owner's verdict.
    ignored,
    /// Verdicts that came too late or never.
    verdicts_late,
    /// Messages that wait for a verdict now.
    pending_verdicts,
    /// Messages that a slow peer didn't get.
    slow_peer_drops,
    /// Requests that peers made.
    requests_received,
    /// Requests that were refused because a limit was reached.
    requests_refused,
    /// Requests that the owner didn't answer in time.
    requests_unanswered,
    /// Bytes of answers that peers have asked for and not read yet.
    unsent_answer_bytes,
    /// Comings and goings that the owner was too slow to hear of.
    events_dropped,
    /// Call streams that peers hold open now.
    calls_serving,
    /// Call streams refused because a limit was reached.
    calls_refused,
    /// Attempts to open a call stream that were lost and made again.
    call_open_retries,
}

/// One counter or gauge.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn increment(&self) {
        self.add(1);
    }

    pub(crate) fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: usize) {
        self.0.store(value as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
