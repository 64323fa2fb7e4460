//! What the actor tells its owner, through a channel bounded in count and in bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;

use crate::config::{EVENT_BYTES, EVENTS, EVENTS_RESERVED, LIFECYCLE_BACKLOG};
use crate::fetch::{Cursor, FetchToken, IdsToken, ItemId};
use crate::gossip::MessageToken;
use crate::request::DirectToken;

/// Something that the owner should know or must answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message arrived for the first time; [`Handle::verdict`](crate::Handle::verdict) decides whether it is passed
    /// on. Without a verdict within 10 s it is ignored.
    Gossip {
        /// What the verdict is given for.
        token: MessageToken,
        /// The kind's name.
        kind: &'static str,
        /// The message.
        bytes: Bytes,
        /// Who relayed it; nothing is known of who wrote it.
        from: PeerId,
    },
    /// A peer asks directly; answered by [`Handle::respond`](crate::Handle::respond) within 20 s.
    Direct {
        /// What is answered.
        token: DirectToken,
        /// Who asks.
        peer: PeerId,
        /// The request.
        bytes: Bytes,
    },
    /// A peer asks which messages we have; answered by [`Handle::serve_ids`](crate::Handle::serve_ids).
    IdsWanted {
        /// What is answered.
        token: IdsToken,
        /// Who asks.
        peer: PeerId,
        /// Where the last page ended.
        cursor: Option<Cursor>,
    },
    /// A peer asks for messages; answered by [`Handle::serve_fetch`](crate::Handle::serve_fetch).
    FetchWanted {
        /// What is answered.
        token: FetchToken,
        /// Who asks.
        peer: PeerId,
        /// What it asks for, in its order; at most 2,000, none twice.
        ids: Vec<ItemId>,
    },
    /// A peer is connected, speaks our protocols on our network and listens to our gossip: what is published from
    /// now on reaches it.
    PeerMet {
        /// Who.
        peer: PeerId,
    },
    /// The last connection with a peer that was met is closed.
    PeerLost {
        /// Who.
        peer: PeerId,
    },
    /// We listen on an address.
    Listening(Multiaddr),
}

/// The owner's end. Dropping it stops nothing; what would have been told is ignored.
#[derive(Debug)]
pub struct EventReceiver {
    events: mpsc::Receiver<Event>,
    bytes: Arc<AtomicUsize>,
}

impl EventReceiver {
    /// Waits for the next event; `None` once the actor has ended.
    pub async fn recv(&mut self) -> Option<Event> {
        let event = self.events.recv().await;
        if let Some(Event::Gossip { bytes, .. }) = &event {
            self.bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
        }
        event
    }
}

/// The actor's end.
#[derive(Debug)]
pub(crate) struct EventSender {
    events: mpsc::Sender<Event>,
    bytes: Arc<AtomicUsize>,
    /// Comings and goings that found no place yet; these aren't lost when the owner is slow for a while.
    lifecycle: VecDeque<Event>,
}

pub(crate) fn channel() -> (EventSender, EventReceiver) {
    let (sender, receiver) = mpsc::channel(EVENTS);
    let bytes = Arc::new(AtomicUsize::new(0));
    let sender = EventSender { events: sender, bytes: bytes.clone(), lifecycle: VecDeque::new() };
    (sender, EventReceiver { events: receiver, bytes })
}

impl EventSender {
    /// Whether a gossiped message of this size may be handed over now.
    pub(crate) fn has_room_for_gossip(&self, bytes: usize) -> bool {
        self.events.capacity() > EVENTS_RESERVED && self.bytes.load(Ordering::Relaxed) + bytes <= EVENT_BYTES
    }

    /// Hands over a gossiped message; call after [`Self::has_room_for_gossip`].
    pub(crate) fn gossip(&self, token: MessageToken, kind: &'static str, bytes: Bytes, from: PeerId) -> bool {
        let size = bytes.len();
        self.bytes.fetch_add(size, Ordering::Relaxed);
        let sent = self.events.try_send(Event::Gossip { token, kind, bytes, from }).is_ok();
        if !sent {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
        }
        sent
    }

    /// Hands over a request; `false` if there is no place.
    pub(crate) fn request(&self, event: Event) -> bool {
        self.events.try_send(event).is_ok()
    }

    /// Tells of a coming or going, now or as soon as there is a place. `false` if an older one was dropped for it.
    pub(crate) fn lifecycle(&mut self, event: Event) -> bool {
        let mut kept = true;
        if self.lifecycle.len() >= LIFECYCLE_BACKLOG {
            self.lifecycle.pop_front();
            kept = false;
        }
        self.lifecycle.push_back(event);
        self.flush();
        kept
    }

    /// Hands over as many comings and goings as there are places.
    pub(crate) fn flush(&mut self) {
        while let Some(event) = self.lifecycle.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event)) => {
                    self.lifecycle.push_front(event);
                    return;
                }
                Err(mpsc::error::TrySendError::Closed(_)) => self.lifecycle.clear(),
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn lost() -> Event {
        Event::PeerLost { peer: PeerId::random() }
    }

    #[tokio::test]
    async fn gossip_leaves_room_for_requests_and_counts_its_bytes() {
        let (sender, mut receiver) = channel();
        let mut handed = 0;
        while sender.has_room_for_gossip(1_000) {
            assert!(sender.gossip(MessageToken::new(handed), "k", vec![0; 1_000].into(), PeerId::random()));
            handed += 1;
        }
        assert_eq!(handed as usize, EVENTS - EVENTS_RESERVED);
        assert!(sender.request(lost()), "requests still pass");
        receiver.recv().await.unwrap();
        receiver.recv().await.unwrap();
        assert!(sender.has_room_for_gossip(1_000));
        assert!(!sender.has_room_for_gossip(EVENT_BYTES));
    }

    #[tokio::test]
    async fn comings_and_goings_wait_for_a_place_and_the_oldest_give_way() {
        let (mut sender, mut receiver) = channel();
        for _ in 0..EVENTS {
            assert!(sender.request(lost()));
        }
        for _ in 0..LIFECYCLE_BACKLOG {
            assert!(sender.lifecycle(lost()));
        }
        let last = PeerId::random();
        assert!(!sender.lifecycle(Event::PeerMet { peer: last }), "one was dropped");
        let mut met = false;
        for _ in 0..EVENTS + LIFECYCLE_BACKLOG {
            sender.flush();
            met |= matches!(receiver.recv().await.unwrap(), Event::PeerMet { peer } if peer == last);
        }
        assert!(met);
    }
}
