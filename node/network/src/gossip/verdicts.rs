//! Received messages that wait for the owner's verdict.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use libp2p::PeerId;
use libp2p::gossipsub::MessageId;

use super::MessageToken;
use crate::config::{PENDING_VERDICTS, PENDING_VERDICTS_PER_PEER, VERDICT_DEADLINE};

/// One message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) id: MessageId,
    pub(crate) from: PeerId,
}

/// The bounded table; all deadlines are equally long, so the oldest comes first.
#[derive(Debug, Default)]
pub(crate) struct PendingVerdicts {
    pending: HashMap<u64, Pending>,
    by_peer: HashMap<PeerId, usize>,
    deadlines: VecDeque<(Instant, u64)>,
    next: u64,
}

impl PendingVerdicts {
    /// Whether one more of a peer's messages may wait.
    pub(crate) fn has_room_for(&self, peer: &PeerId) -> bool {
        self.by_peer.get(peer).is_none_or(|waiting| *waiting < PENDING_VERDICTS_PER_PEER)
    }

    /// Gives a token for a message; `None` if too many wait, in all or of this peer's.
    pub(crate) fn open(&mut self, id: MessageId, from: PeerId, now: Instant) -> Option<MessageToken> {
        // Decided ones stay in `deadlines` until their time: bounded with the rate at which messages come.
        if self.pending.len() >= PENDING_VERDICTS || !self.has_room_for(&from) {
            return None;
        }
        let serial = self.next;
        self.next += 1;
        *self.by_peer.entry(from).or_default() += 1;
        self.pending.insert(serial, Pending { id, from });
        self.deadlines.push_back((now + VERDICT_DEADLINE, serial));
        Some(MessageToken::new(serial))
    }

    /// Takes a message out; `None` if its time is over.
    pub(crate) fn close(&mut self, token: &MessageToken) -> Option<Pending> {
        self.close_serial(token.serial())
    }

    /// Takes out all whose time is over.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Pending> {
        let mut expired = Vec::new();
        while let Some((deadline, serial)) = self.deadlines.front().copied()
            && deadline <= now
        {
            self.deadlines.pop_front();
            expired.extend(self.close_serial(serial));
        }
        expired
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    fn close_serial(&mut self, serial: u64) -> Option<Pending> {
        let pending = self.pending.remove(&serial);
        if let Some(from) = pending.as_ref().map(|pending| pending.from)
            && let Some(waiting) = self.by_peer.get_mut(&from)
        {
            *waiting -= 1;
            if *waiting == 0 {
                self.by_peer.remove(&from);
            }
        }
        while let Some((_, front)) = self.deadlines.front()
            && !self.pending.contains_key(front)
        {
            self.deadlines.pop_front();
        }
        pending
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn id(n: u64) -> MessageId {
        MessageId::new(&n.to_be_bytes())
    }

    #[test]
    fn a_verdict_counts_once_and_only_in_time() {
        let now = Instant::now();
        let mut verdicts = PendingVerdicts::default();
        let peer = PeerId::random();
        let first = verdicts.open(id(1), peer, now).unwrap();
        let second = verdicts.open(id(2), peer, now).unwrap();
        assert_eq!(verdicts.close(&first), Some(Pending { id: id(1), from: peer }));
        assert_eq!(verdicts.close(&first), None);
        assert!(verdicts.expire(now).is_empty());
        assert_eq!(verdicts.expire(now + VERDICT_DEADLINE), [Pending { id: id(2), from: peer }]);
        assert_eq!(verdicts.close(&second), None);
        assert_eq!(verdicts.deadlines.len(), 0);
    }

    #[test]
    fn the_table_is_bounded() {
        let now = Instant::now();
        let mut verdicts = PendingVerdicts::default();
        for n in 0..PENDING_VERDICTS as u64 {
            assert!(verdicts.open(id(n), PeerId::random(), now).is_some());
        }
        assert_eq!(verdicts.open(id(0), PeerId::random(), now), None);
        verdicts.expire(now + VERDICT_DEADLINE);
        assert!(verdicts.by_peer.is_empty() && verdicts.len() == 0);
        assert!(verdicts.open(id(0), PeerId::random(), now).is_some());
    }

    #[test]
    fn a_peer_fills_its_own_part_only() {
        let now = Instant::now();
        let mut verdicts = PendingVerdicts::default();
        let (noisy, quiet) = (PeerId::random(), PeerId::random());
        let tokens: Vec<_> = (0..PENDING_VERDICTS as u64).filter_map(|n| verdicts.open(id(n), noisy, now)).collect();
        assert_eq!(tokens.len(), PENDING_VERDICTS_PER_PEER);
        assert!(verdicts.open(id(0), quiet, now).is_some());
        verdicts.close(&tokens[0]).unwrap();
        assert!(verdicts.open(id(0), noisy, now).is_some(), "a verdict makes room");
    }
}
