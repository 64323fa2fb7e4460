//! Which bonds to look up on the ledger, and what follows from what was seen.

use super::{Book, BookEffect, Want};
use crate::account::PeerId;
use crate::bond::BondTerms;
use crate::limits::MAX_KEYS_PER_READ;
use crate::message::{BalanceId, MessageId};
use crate::refusal::Refusal;
use crate::step::Step;
use crate::time::Now;

/// A bond to look up on the ledger, together with its author's account, whose master key must still rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BondWanted {
    /// The revision that waits for it.
    pub offering: MessageId,
    /// The balance.
    pub bond: BalanceId,
    /// What the balance must be.
    pub terms: BondTerms,
    /// Who delivered the offering; nobody where it is our own.
    pub from: Option<PeerId>,
}

/// What a look at the ledger said of a bond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BondVerdict {
    /// It stands, and is what the offering needs.
    Stands,
    /// There is a balance or account, and it isn't what the offering needs.
    Refused(Refusal),
    /// There is no such balance yet.
    NotThere,
}

impl Book {
    /// Bonds to look up now, at most `max` and [`MAX_KEYS_PER_READ`]: in turn from each delivering peer, those first
    /// that were asked for longest ago. Each is asked for again at growing intervals while its offering waits.
    pub fn bonds_wanted(&mut self, max: usize, now: Now) -> Vec<BondWanted> {
        let max = max.min(MAX_KEYS_PER_READ);
        let mut parts: Vec<Vec<(Option<Now>, MessageId)>> =
            self.waiting.parts().map(|part| self.due(part, now)).filter(|part| !part.is_empty()).collect();
        parts.sort();
        let mut wanted = Vec::new();
        let longest = parts.iter().map(Vec::len).max().unwrap_or(0);
        for turn in 0..longest {
            for id in parts.iter().filter_map(|part| part.get(turn)).map(|(_, id)| *id) {
                if wanted.len() == max {
                    return wanted;
                }
                wanted.extend(self.ask(&id, now));
            }
        }
        wanted
    }

    /// Those of a part whose bond may be asked for now, longest ago first.
    fn due(&self, part: &[MessageId], now: Now) -> Vec<(Option<Now>, MessageId)> {
        let mut due: Vec<_> = part
            .iter()
            .filter_map(|id| {
                let offering = self.waiting.offering(id)?;
                let pause = self.margins.poll_every * (1 << offering.asked.min(MAX_PAUSE_DOUBLINGS));
                let rested = offering.asked_at.is_none_or(|at| now.since(at) >= pause);
                (matches!(offering.want, Want::Bond(_)) && rested).then_some((offering.asked_at, *id))
            })
            .collect();
        due.sort();
        due
    }

    fn ask(&mut self, id: &MessageId, now: Now) -> Option<BondWanted> {
        let from = self.waiting.from(id).cloned();
        let min_bond = self.margins.min_bond;
        let waiting = self.waiting.offering_mut(id)?;
        waiting.asked_at = Some(now);
        waiting.asked = waiting.asked.saturating_add(1);
        let offering = waiting.signed.body();
        let exposure = offering.max_exposure().filter(|_| offering.price.asset.is_native());
        let terms = BondTerms {
            account: offering.account,
            recipient: offering.recipient,
            series: waiting.series,
            release: offering.bond_release(),
            least: exposure.unwrap_or(min_bond).max(min_bond),
        };
        Some(BondWanted { offering: *id, bond: offering.bond, terms, from })
    }

    /// What the ledger says of a waiting offering's bond. Where it stands, the offering is in the book and relayed.
    pub fn bond_checked(&mut self, offering: &MessageId, verdict: BondVerdict, now: Now) -> Step<BookEffect> {
        let mut step = Step::none();
        match verdict {
            BondVerdict::NotThere => {}
            BondVerdict::Refused(refusal) => {
                if self.waiting.offering(offering).is_some() {
                    self.count(&refusal);
                    self.waiting.remove(offering);
                }
            }
            BondVerdict::Stands => self.bonded(offering, now, &mut step),
        }
        step
    }

    /// The book may have changed while the ledger was asked, so everything before the bond is looked at once more.
    fn bonded(&mut self, id: &MessageId, now: Now, step: &mut Step<BookEffect>) {
        self.look_again(id, now, step);
        let complete = self.waiting.offering(id).is_some_and(|o| matches!(o.want, Want::Bond(_)));
        if !complete {
            return;
        }
        let Some(entry) = self.waiting.remove(id) else { return };
        let super::waiting::Item::Offering(waiting) = entry.item else { return };
        self.was_useful(entry.from.as_ref());
        self.install(waiting.series, waiting.signed, waiting.first, step);
        if let Some(presence) = waiting.presence {
            self.take_presence(presence, true, step);
        }
        if let Some(status) = waiting.status {
            self.take_status(status, now, true, step);
        }
    }
}

/// The pause between two looks at a bond grows up to the polling interval times two to this.
const MAX_PAUSE_DOUBLINGS: u32 = 4;
