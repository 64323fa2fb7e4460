//! Gossiped messages whose verdict is still owed, because what they lack may be here in a moment.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::account::PeerId;
use crate::market::event::Token;
use crate::message::MessageId;
use crate::refusal::Refusal;
use crate::time::Now;

/// Verdicts owed, in all.
pub(crate) const MAX_HELD: usize = 1_024;
/// Verdicts owed for what one peer delivered; as many as of its messages may wait.
pub(crate) const MAX_HELD_PER_PEER: usize = crate::limits::MAX_WAITING_PER_PEER;
/// How long a verdict waits. Gossip forgets a message after ten seconds and could not pass it on then.
const HELD_TIME: Duration = Duration::from_secs(5);

/// One verdict owed.
#[derive(Debug)]
pub(crate) struct Held {
    /// Where it goes.
    pub(crate) token: Token,
    /// What the message lacked when it came.
    pub(crate) refusal: Refusal,
    from: PeerId,
    until: Now,
}

/// All of them, bounded in number in all and a peer.
#[derive(Debug, Default)]
pub(crate) struct HeldVerdicts {
    held: BTreeMap<MessageId, Held>,
    by_peer: BTreeMap<PeerId, usize>,
}

impl HeldVerdicts {
    /// Keeps a verdict for later; gives the refusal back where there is no place, or the message has one already.
    pub(crate) fn hold(
        &mut self,
        id: MessageId,
        token: Token,
        refusal: Refusal,
        from: &PeerId,
        now: Now,
    ) -> Result<(), Refusal> {
        let theirs = self.by_peer.get(from).copied().unwrap_or(0);
        if self.held.len() >= MAX_HELD || theirs >= MAX_HELD_PER_PEER || self.held.contains_key(&id) {
            return Err(refusal);
        }
        self.by_peer.insert(from.clone(), theirs + 1);
        self.held.insert(id, Held { token, refusal, from: from.clone(), until: now.plus(HELD_TIME) });
        Ok(())
    }

    /// Takes a message's verdict out.
    pub(crate) fn take(&mut self, id: &MessageId) -> Option<Held> {
        let held = self.held.remove(id)?;
        if let Some(theirs) = self.by_peer.get_mut(&held.from) {
            *theirs -= 1;
            if *theirs == 0 {
                self.by_peer.remove(&held.from);
            }
        }
        Some(held)
    }

    /// Takes those out that can't wait any longer.
    pub(crate) fn late(&mut self, now: Now) -> Vec<Held> {
        let late: Vec<MessageId> = self.held.iter().filter(|(_, h)| now >= h.until).map(|(id, _)| *id).collect();
        late.iter().filter_map(|id| self.take(id)).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::refusal::Reason;

    fn hold(held: &mut HeldVerdicts, n: u64, peer: &str) -> bool {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        let refusal = Refusal::new(Reason::NoBond, "not yet");
        held.hold(MessageId::from_bytes(id), Token(n), refusal, &peer.parse().unwrap(), Now::default()).is_ok()
    }

    #[test]
    fn a_peer_fills_its_own_part_only_and_all_peers_the_whole() {
        let mut held = HeldVerdicts::default();
        assert_eq!((0..1_000).filter(|n| hold(&mut held, *n, "noisy")).count(), MAX_HELD_PER_PEER);
        assert!(hold(&mut held, 1_000, "honest"));
        assert!(!hold(&mut held, 1_000, "another"), "a message has one verdict");
        let many = (2_000..5_000).filter(|n| hold(&mut held, *n, &format!("peer{}", n / 10).replace('0', "z")));
        assert_eq!(many.count(), MAX_HELD - MAX_HELD_PER_PEER - 1);
        assert_eq!(held.late(Now::default().plus(HELD_TIME)).len(), MAX_HELD);
        assert!(held.by_peer.is_empty() && held.len() == 0);
        assert!(hold(&mut held, 0, "noisy"), "places get free");
    }
}
