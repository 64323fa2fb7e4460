//! What to look up on the ledger, bonds of offerings and accounts of consumers, and what follows from what was seen.

use super::requests::ConsumerWanted;
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
        let due = self.due(|want| matches!(want, Want::Bond(_)), max, now);
        due.iter().filter_map(|id| self.bond_of(id)).collect()
    }

    /// Consumers of waiting requests to look up now, in the same turns as bonds.
    pub fn consumers_wanted(&mut self, max: usize, now: Now) -> Vec<ConsumerWanted> {
        let due = self.due(|want| matches!(want, Want::Consumer(_)), max, now);
        due.iter().filter_map(|id| self.consumer_of(id)).collect()
    }

    /// The messages for which the ledger is asked now.
    fn due(&mut self, wants: impl Fn(&Want) -> bool, max: usize, now: Now) -> Vec<MessageId> {
        let max = max.min(MAX_KEYS_PER_READ);
        let parts = self.waiting.parts().map(|part| self.due_of(part, &wants, now));
        let mut parts: Vec<Vec<(Option<Now>, MessageId)>> = parts.filter(|part| !part.is_empty()).collect();
        parts.sort();
        let longest = parts.iter().map(Vec::len).max().unwrap_or(0);
        let in_turn = (0..longest).flat_map(|turn| parts.iter().filter_map(move |part| part.get(turn)));
        let due: Vec<MessageId> = in_turn.map(|(_, id)| *id).take(max).collect();
        for id in &due {
            self.waiting.asked(id, now);
        }
        due
    }

    /// Those of a part for which the ledger may be asked now, longest ago first.
    fn due_of(&self, part: &[MessageId], wants: impl Fn(&Want) -> bool, now: Now) -> Vec<(Option<Now>, MessageId)> {
        let mut due: Vec<_> = part
            .iter()
            .filter(|id| self.waiting.want(id).is_some_and(|want| wants(&want)))
            .filter_map(|id| {
                let (asked_at, asked) = self.waiting.when_asked(id);
                let pause = self.margins.poll_every * (1 << asked.min(MAX_PAUSE_DOUBLINGS));
                asked_at.is_none_or(|at| now.since(at) >= pause).then_some((asked_at, *id))
            })
            .collect();
        due.sort();
        due
    }

    fn bond_of(&self, id: &MessageId) -> Option<BondWanted> {
        let from = self.waiting.from(id).cloned();
        let min_bond = self.margins.min_bond;
        let waiting = self.waiting.offering(id)?;
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
                    self.refuse_waiting(offering, refusal, &mut step);
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
        self.retry(&Want::Offering(*id), now, step);
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
