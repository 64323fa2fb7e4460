//! Where a party's share will be that the other side settles: in a balance whose id follows from the account and the sequence
//! number that the other side names to its signers. An arbiter that signs an award's version passes that word on to the party
//! that didn't ask, until it has it: so the party finds its share on the ledger whoever remembers the transaction by then.
//!
//! A number that was named may serve something else, whose balance has the id that the share would have had. So only what is
//! exactly as a settlement makes it is a share; and where several are, one of them may be a gift that hides the share, so all are
//! claimed.

use crate::account::{PeerId, ServingKey};
use crate::binding::dispute;
use crate::binding::frames::{self, Cosign};
use crate::binding::offers::{MAX_OFFERED, Offered, Teller, TooMany};
use crate::binding::phase::Side;
use crate::binding::trade::Trade;
use crate::escrow::outcome::{Observation, Taken};
use crate::escrow::settlement::{PaidByBalance, Submitter};
use crate::kind::Kind;
use crate::market::arbiter::{Case, Number, Version};
use crate::market::settling::{division, payee};
use crate::market::{DisputeWord, Market};
use crate::message::{BalanceId, MessageId, Packed};
use crate::stellar::entry::Entry;
use crate::stellar::ledger_key::Key;
use crate::time::Now;

impl Market {
    /// The other side of a binding says by which account and number it settles an award, itself or through an arbiter that
    /// signed; what that would leave for this side is looked for once the escrow is gone. Nothing where it would leave nothing.
    pub(super) fn version_offered(&self, trade: &mut Trade, cosign: &Cosign, from: &PeerId) -> Option<Vec<u8>> {
        let Cosign { split, account, sequence, .. } = *cosign;
        let offered = Offered { split, awarded: true, account, sequence };
        self.share_of(trade, &offered)?;
        let arbiter = trade.terms()?.arbiters.iter().position(|arbiter| arbiter.peer == *from);
        let teller = arbiter.map_or(Teller::OtherSide, Teller::Arbiter);
        match (trade.state.dispute.as_mut()?.offers.hear(teller, offered), teller) {
            (Ok(true), _) => trade.volatile.controller_at = Now::default(),
            // It says so again until there is room: at the latest once those were looked for that it told of before.
            (Err(TooMany), Teller::Arbiter(_)) => return self.not_now(trade),
            (Ok(false) | Err(TooMany), _) => {}
        }
        self.ack(trade, Kind::Cosign)
    }

    /// Keeps a version that this side is about to sign, for what it leaves for this side; `false` where it has signed so many
    /// that it would lose sight of one.
    pub(super) fn keep_signed(&self, trade: &mut Trade, offered: Offered) -> bool {
        let leaves = self.share_of(trade, &offered).is_some();
        let record = trade.state.dispute.as_mut().filter(|_| leaves);
        record.is_none_or(|record| record.offers.hear(Teller::Itself, offered).is_ok())
    }

    /// The balance by which a version of the other side's pays this side.
    fn share_of(&self, trade: &Trade, offered: &Offered) -> Option<PaidByBalance> {
        let terms = trade.escrow_terms()?;
        let (terms, own) = (terms.arbitrated()?, trade.state.side);
        let place = (trade.state.controller?.account, trade.state.balance?);
        let submitter = Submitter { side: dispute::other(own), account: offered.account, sequence: offered.sequence };
        let settlement = self.settlement(terms, place, &offered.settles(), submitter).ok()?;
        let payee = payee(terms, own);
        // It is its recipient's to claim, whose key may be elsewhere.
        let ours = self.setup.keys.account_id() == Some(payee);
        settlement.balances().iter().find(|paid| paid.payee == payee && ours).copied()
    }

    /// The versions that were named, with what each would have left for this side.
    fn offered(&self, trade: &Trade) -> Vec<(Offered, PaidByBalance)> {
        let offered = trade.state.dispute.iter().flat_map(|record| record.offers.iter());
        offered.filter_map(|offered| Some((*offered, self.share_of(trade, offered)?))).collect()
    }

    /// What to look at of the versions that were named.
    pub(super) fn offered_keys(&self, trade: &Trade) -> Vec<Key> {
        let offered = if trade.has_left() { self.offered(trade) } else { Vec::new() };
        offered.into_iter().map(|(_, paid)| Key::Balance(paid.balance)).collect()
    }

    /// Those were looked at. What a ledger doesn't show that shows what the settlement left, there is no need to look for any
    /// more; of what is there one at a time is claimed. The transaction that took the escrow, once it is known, knows better.
    pub(super) fn offered_read(&self, trade: &mut Trade, asked: &[Key], entries: &[Entry], settled: bool) {
        let Some(terms) = trade.escrow_terms() else { return };
        let asset = terms.asset();
        let is_asked = |paid: &PaidByBalance| asked.contains(&Key::Balance(paid.balance));
        let is_there = |paid: &PaidByBalance| {
            entries.iter().any(|entry| matches!(entry, Entry::Balance(found) if paid.is_as_made(found, asset)))
        };
        let offered = self.offered(trade);
        let there = offered.iter().find(|(_, paid)| is_asked(paid) && is_there(paid));
        if let Some((_, paid)) = there
            && trade.state.owed.is_none()
        {
            trade.state.owed = Some(paid.balance);
        }
        if !settled {
            return;
        }
        let left = offered.iter().filter(|(_, paid)| !is_asked(paid) || is_there(paid));
        let left: Vec<Offered> = left.map(|(offered, _)| *offered).collect();
        if let Some(record) = trade.state.dispute.as_mut() {
            record.offers.retain(|offered| left.contains(offered));
        }
        // Which of them settled it can be told where all divide alike.
        let Some((first, _)) = there else { return };
        let settles = Some(first.settles()).filter(|first| left.iter().all(|other| other.settles() == *first));
        let divided = settles.and_then(|settles| division(terms.arbitrated()?, &settles));
        if let Some(division) = divided {
            let (recipient, consumer) = (division.recipient, division.consumer);
            trade.observe(Observation::Taken(Taken::Divided { recipient, consumer }));
        }
    }

    /// These balances were claimed: nothing of them is looked for any more.
    pub(super) fn offered_claimed(&self, trade: &mut Trade, claimed: &[BalanceId]) {
        let offered = self.offered(trade);
        let is_claimed = |version: &Offered| {
            offered.iter().any(|(offered, paid)| offered == version && claimed.contains(&paid.balance))
        };
        if let Some(record) = trade.state.dispute.as_mut() {
            record.offers.retain(|version| !is_claimed(version));
        }
    }
}

impl Case {
    /// Keeps a party's word on a version that this arbiter signs, for the other party. Of too many those make room that the
    /// other party has.
    ///
    /// # Errors
    /// [`TooMany`] where it has none of them.
    pub(super) fn keep_version(&mut self, packed: &Packed, cosign: &Cosign, side: Side) -> Result<(), TooMany> {
        let versions = self.versions_mut(side);
        if versions.iter().any(|version| version.id == packed.id()) {
            return Ok(());
        }
        if versions.len() >= MAX_OFFERED {
            let heard = versions.iter().position(|version| version.heard).ok_or(TooMany)?;
            versions.remove(heard);
        }
        let number = Number { place: cosign.balance, account: cosign.account, sequence: cosign.sequence };
        versions.push(Version { id: packed.id(), number, frame: frames::to_stream(packed), heard: false });
        Ok(())
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
