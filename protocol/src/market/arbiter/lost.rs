//! A case that an arbiter had and has no more, because it was restored from a backup that is older: it says so, and takes the case
//! again, also late, of whoever shows that it had it.
//!
//! When a dispute was opened its sender says, so a late one proves nothing by its own date. What proves it is this arbiter's
//! own acknowledgement of a frame about the binding, which it gives only where it has the case.

use crate::account::ServingKey;
use crate::binding::agreement::Agreement;
use crate::binding::frames::{Dispute, Held};
use crate::market::Market;
use crate::message::BindingId;
use crate::refusal::{Reason, Refusal};
use crate::time::Now;

impl Market {
    /// Whether a dispute that isn't here comes in time, or came in time before.
    pub(super) fn is_in_time(&self, dispute: &Dispute, terms: &Agreement, now: Now) -> bool {
        let Some(deadlines) = terms.terms.arbitrated() else { return false };
        let until = deadlines.dispute_by();
        if dispute.at < until && now.timestamp() < until.plus(self.setup.margins.grace) {
            return true;
        }
        let (network, own) = (&self.setup.network, self.setup.keys.serving_key());
        let had = |own| dispute.receipt.is_some_and(|receipt| receipt.is_by(network, own, dispute.binding));
        now.timestamp() < deadlines.timeout_at() && own.is_some_and(had)
    }

    /// What this arbiter has of a case.
    pub(super) fn case_held(&self, binding: BindingId, opened: bool, items: u32) -> Option<Vec<u8>> {
        let key = self.setup.keys.serving.as_ref()?;
        self.frame(Held { key: ServingKey::of(key), binding, opened, items }, key)
    }

    /// Whether a party answers that it doesn't know that this arbiter was asked.
    pub(super) fn is_without_opening(&self, answer: &[u8], party: ServingKey, binding: BindingId) -> bool {
        let held = self.open_answer::<Held>(answer);
        held.is_some_and(|held| (held.key, held.binding, held.opened) == (party, binding, false))
    }

    /// That this arbiter has no such case.
    pub(super) fn case_unknown(&self, binding: BindingId) -> Result<Vec<u8>, Refusal> {
        let unknown = || Refusal::new(Reason::UnknownSeries, "no case about this binding is here");
        self.case_held(binding, false, 0).ok_or_else(unknown)
    }
}
