//! Where a party's share of an award will be that the other side settles: in a balance whose id follows from the account and
//! the sequence number that the other side names to its signers. An arbiter that signs passes that word on to the party that
//! didn't ask, until it has it: so the party finds its share on the ledger whoever remembers the transaction by then.

use crate::account::{PeerId, ServingKey};
use crate::binding::dispute::{self, Offered, Settles};
use crate::binding::frames::{self, Cosign};
use crate::binding::phase::Side;
use crate::binding::trade::Trade;
use crate::escrow::outcome::{Observation, Taken};
use crate::escrow::settlement::{PaidByBalance, Submitter};
use crate::kind::Kind;
use crate::market::arbiter::{Case, Version};
use crate::market::settling::{division, payee};
use crate::market::{DisputeWord, Market};
use crate::message::{MessageId, Packed};
use crate::stellar::entry::Entry;
use crate::stellar::ledger_key::Key;
use crate::time::Now;

/// Versions of a settlement by one side that an arbiter passes on, the newest.
const MAX_VERSIONS: usize = 32;

impl Market {
    /// The other side of a binding says by which account and number it settles an award; what that would leave for this side
    /// is looked for once the escrow is gone. Nothing where it would leave nothing.
    pub(super) fn version_offered(&self, trade: &mut Trade, cosign: &Cosign) -> Option<Vec<u8>> {
        let Cosign { split, account, sequence, .. } = *cosign;
        let offered = Offered { split, account, sequence };
        self.share_of(trade, &offered)?;
        if trade.state.dispute.as_mut()?.offer(offered) {
            trade.volatile.controller_at = Now::default();
        }
        self.ack(trade, Kind::Cosign)
    }

    /// The balance by which the other side's settlement of an award pays this side.
    fn share_of(&self, trade: &Trade, offered: &Offered) -> Option<PaidByBalance> {
        let terms = trade.escrow_terms()?;
        let (terms, own) = (terms.arbitrated()?, trade.state.side);
        let place = (trade.state.controller?.account, trade.state.balance?);
        let submitter = Submitter { side: dispute::other(own), account: offered.account, sequence: offered.sequence };
        let settles = Settles { split: offered.split, awarded: true };
        let settlement = self.settlement(terms, place, &settles, submitter).ok()?;
        let payee = payee(terms, own);
        // It is its recipient's to claim, whose key may be elsewhere.
        let ours = self.setup.keys.account_id() == Some(payee);
        settlement.balances().iter().find(|paid| paid.payee == payee && ours).copied()
    }

    /// What to look at of the versions that the other side named.
    pub(super) fn offered_keys(&self, trade: &Trade) -> Vec<Key> {
        let offered = trade.state.dispute.iter().filter(|_| trade.has_left()).flat_map(|record| record.offered());
        offered.filter_map(|offered| self.share_of(trade, offered)).map(|paid| Key::Balance(paid.balance)).collect()
    }

    /// Those were looked at: the one that is there took the escrow, and this side's share is what it left. Where all were, at a
    /// ledger that shows what was settled, and none is, there is nothing more to find.
    pub(super) fn offered_read(&self, trade: &mut Trade, asked: &[Key], entries: &[Entry], settled: bool) {
        let offered: Vec<Offered> = trade.state.dispute.iter().flat_map(|record| record.offered().to_vec()).collect();
        let mut all_asked = settled;
        for version in offered {
            let Some(paid) = self.share_of(trade, &version) else { continue };
            all_asked &= asked.contains(&Key::Balance(paid.balance));
            let there = |entry: &Entry| {
                matches!(entry, Entry::Balance(b) if (b.id, b.amount) == (paid.balance, paid.amount)
                    && b.claimants.iter().any(|claimant| claimant.account == paid.payee))
            };
            if !entries.iter().any(there) {
                continue;
            }
            trade.state.owed = Some(paid.balance);
            let settles = Settles { split: version.split, awarded: true };
            let terms = trade.escrow_terms();
            let divided = terms.as_ref().and_then(|terms| division(terms.arbitrated()?, &settles));
            if let Some(division) = divided {
                let (recipient, consumer) = (division.recipient, division.consumer);
                trade.observe(Observation::Taken(Taken::Divided { recipient, consumer }));
            }
        }
        if let Some(record) = trade.state.dispute.as_mut().filter(|_| all_asked) {
            record.forget_offered();
        }
    }
}

impl Case {
    /// Keeps a party's word on a version that this arbiter signed, for the other party.
    pub(super) fn keep_version(&mut self, packed: &Packed, side: Side) {
        let versions = self.versions_mut(side);
        if versions.iter().any(|version| version.id == packed.id()) {
            return;
        }
        if versions.len() >= MAX_VERSIONS {
            versions.remove(0);
        }
        versions.push(Version { id: packed.id(), frame: frames::to_stream(packed), heard: false });
    }

    /// A version's word, where it is still kept.
    pub(super) fn version(&self, id: MessageId) -> Option<Vec<u8>> {
        self.versions().map(|(_, version)| version).find(|version| version.id == id).map(|v| v.frame.clone())
    }

    /// The other party has it.
    pub(super) fn version_heard(&mut self, id: MessageId) {
        for side in [Side::Provider, Side::Consumer] {
            self.versions_mut(side).iter_mut().filter(|version| version.id == id).for_each(|v| v.heard = true);
        }
    }

    /// What each party must hear of the other one's versions next.
    pub(super) fn version_words(&self) -> Vec<(ServingKey, PeerId, DisputeWord)> {
        let terms = self.terms();
        let next = |to: Side| {
            let mut waiting = self.versions().filter(|(by, version)| *by != to && !version.heard);
            let word = DisputeWord::Version(waiting.next()?.1.id);
            Some(match to {
                Side::Provider => (terms.serving_key, terms.provider_peer.clone(), word),
                Side::Consumer => (terms.consumer_key, terms.consumer_peer.clone(), word),
            })
        };
        [Side::Provider, Side::Consumer].into_iter().filter_map(next).collect()
    }
}
