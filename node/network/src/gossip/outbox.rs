//! Own messages that haven't left yet.
//!
//! libp2p forgets what it can't send at once: it has no subscriber yet, or all queues are full. Here they wait.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::{OUTBOX_AGE, OUTBOX_BYTES, OUTBOX_MESSAGES, SEND_PAUSE, SEND_PAUSE_MAX};

/// One message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsent {
    /// Index of its kind.
    pub(crate) kind: usize,
    pub(crate) bytes: Bytes,
    /// How often every queue was full for it.
    pub(crate) attempt: u64,
    queued: Instant,
}

/// The bounded queue, fair among kinds.
#[derive(Debug)]
pub(crate) struct Outbox {
    queues: Vec<Queue>,
    messages: usize,
    bytes: usize,
    /// The kind whose turn is next.
    turn: usize,
    /// Set while every peer's queue is full.
    paused: Option<Pause>,
}

#[derive(Debug, Default)]
struct Queue {
    unsent: VecDeque<Unsent>,
    /// Nobody has subscribed to the kind's topic.
    parked: bool,
}

#[derive(Debug)]
struct Pause {
    until: Instant,
    length: Duration,
}

impl Outbox {
    pub(crate) fn new(kinds: usize) -> Self {
        Self { queues: (0..kinds).map(|_| Queue::default()).collect(), messages: 0, bytes: 0, turn: 0, paused: None }
    }

    /// Takes a message in; `false` if there is no place.
    pub(crate) fn push(&mut self, kind: usize, bytes: Bytes, now: Instant) -> bool {
        if self.messages >= OUTBOX_MESSAGES || self.bytes + bytes.len() > OUTBOX_BYTES {
            return false;
        }
        self.count(&bytes);
        self.queues[kind].unsent.push_back(Unsent { kind, bytes, attempt: 0, queued: now });
        true
    }

    /// Takes the next message out that has a chance to leave.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Unsent> {
        if self.paused.as_ref().is_some_and(|pause| now < pause.until) {
            return None;
        }
        for step in 0..self.queues.len() {
            let kind = (self.turn + step) % self.queues.len();
            let queue = &mut self.queues[kind];
            if queue.parked {
                continue;
            }
            if let Some(unsent) = queue.unsent.pop_front() {
                self.turn = kind + 1;
                self.messages -= 1;
                self.bytes -= unsent.bytes.len();
                return Some(unsent);
            }
        }
        None
    }

    /// Puts a message back for which there is no subscriber; its kind waits for [`Self::wake`].
    pub(crate) fn park(&mut self, unsent: Unsent) {
        self.queues[unsent.kind].parked = true;
        self.put_back(unsent);
    }

    /// Puts a message back for which every queue was full; all wait a while, longer each time.
    pub(crate) fn pause(&mut self, mut unsent: Unsent, now: Instant) {
        unsent.attempt += 1;
        self.put_back(unsent);
        let length = self.paused.as_ref().map_or(SEND_PAUSE, |pause| (pause.length * 2).min(SEND_PAUSE_MAX));
        self.paused = Some(Pause { until: now + length, length });
    }

    /// A message has left: queues have room again.
    pub(crate) fn relieve(&mut self) {
        self.paused = None;
    }

    /// Puts a message back whose turn wasn't now after all.
    pub(crate) fn put_back(&mut self, unsent: Unsent) {
        self.count(&unsent.bytes);
        self.queues[unsent.kind].unsent.push_front(unsent);
    }

    /// Somebody subscribed to the kind's topic.
    pub(crate) fn wake(&mut self, kind: usize) {
        self.queues[kind].parked = false;
    }

    /// Tries all kinds again.
    pub(crate) fn wake_all(&mut self) {
        self.queues.iter_mut().for_each(|queue| queue.parked = false);
    }

    /// Drops what got too old and says how many that were.
    pub(crate) fn expire(&mut self, now: Instant) -> u64 {
        let mut expired = 0;
        for queue in &mut self.queues {
            while let Some(front) = queue.unsent.front()
                && now.saturating_duration_since(front.queued) > OUTBOX_AGE
            {
                self.messages -= 1;
                self.bytes -= front.bytes.len();
                expired += 1;
                queue.unsent.pop_front();
            }
        }
        expired
    }

    /// Whether some message has a chance to leave, now or after the pause.
    pub(crate) fn has_work(&self) -> bool {
        self.queues.iter().any(|queue| !queue.parked && !queue.unsent.is_empty())
    }

    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn count(&mut self, bytes: &Bytes) {
        self.messages += 1;
        self.bytes += bytes.len();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn push(outbox: &mut Outbox, kind: usize, text: &'static str, now: Instant) -> bool {
        outbox.push(kind, Bytes::from_static(text.as_bytes()), now)
    }

    #[test]
    fn a_kind_without_subscribers_waits_and_holds_nobody_up() {
        let now = Instant::now();
        let mut outbox = Outbox::new(2);
        assert!(push(&mut outbox, 0, "a", now) && push(&mut outbox, 1, "b", now));
        let a = outbox.pop(now).unwrap();
        assert_eq!(a.bytes, "a");
        outbox.park(a);
        assert_eq!(outbox.pop(now).unwrap().bytes, "b");
        assert_eq!(outbox.pop(now), None);
        assert!(!outbox.has_work());
        outbox.wake(0);
        assert!(outbox.has_work());
        assert_eq!(outbox.pop(now).unwrap().bytes, "a");
        assert_eq!((outbox.messages(), outbox.bytes()), (0, 0));
    }

    #[test]
    fn when_all_queues_are_full_the_same_message_comes_again_after_a_growing_pause() {
        let mut now = Instant::now();
        let mut outbox = Outbox::new(1);
        assert!(push(&mut outbox, 0, "a", now) && push(&mut outbox, 0, "b", now));
        let mut pause = SEND_PAUSE;
        for attempt in 0..4 {
            let unsent = outbox.pop(now).unwrap();
            assert_eq!((&unsent.bytes[..], unsent.attempt), (&b"a"[..], attempt));
            outbox.pause(unsent, now);
            assert_eq!(outbox.pop(now + pause - Duration::from_millis(1)), None);
            now += pause;
            pause *= 2;
        }
        outbox.pop(now).unwrap();
        outbox.relieve();
        assert_eq!(outbox.pop(now).unwrap().bytes, "b");
    }

    #[test]
    fn it_is_bounded_in_count_bytes_and_age() {
        let now = Instant::now();
        let mut outbox = Outbox::new(1);
        for _ in 0..OUTBOX_MESSAGES {
            assert!(push(&mut outbox, 0, "a", now));
        }
        assert!(!push(&mut outbox, 0, "a", now));
        assert_eq!(outbox.expire(now + OUTBOX_AGE), 0);
        assert_eq!(outbox.expire(now + OUTBOX_AGE * 2), OUTBOX_MESSAGES as u64);
        assert_eq!((outbox.messages(), outbox.bytes()), (0, 0));
        assert!(outbox.push(0, vec![0; OUTBOX_BYTES].into(), now));
        assert!(!push(&mut outbox, 0, "a", now));
    }

    #[test]
    fn kinds_take_turns() {
        let now = Instant::now();
        let mut outbox = Outbox::new(2);
        for text in ["a", "b", "c"] {
            assert!(push(&mut outbox, 0, text, now));
        }
        assert!(push(&mut outbox, 1, "x", now));
        let order: Vec<Bytes> = std::iter::from_fn(|| outbox.pop(now)).map(|unsent| unsent.bytes).collect();
        assert_eq!(order, ["a", "x", "b", "c"]);
    }
}
