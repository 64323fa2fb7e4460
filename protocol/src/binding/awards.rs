//! What a binding's arbiters awarded, and which award stands: the same for everybody who heard the same, in whatever order.
//!
//! An arbiter's word binds it. A division stands once a majority gave it, each at some time; an arbiter that knows of that
//! changes nothing any more. Where changes crossed, a majority may have given more than one division: then the one stands that
//! they gave by their earliest awards. Every award by which an arbiter names a division first is delivered to everybody, so all
//! come to the same one.

use bincode::{Decode, Encode};

use crate::account::ServingKey;
use crate::binding::dispute::{Decision, Split};

/// How many different divisions of an escrow an arbiter may award.
pub const MAX_DIVISIONS: usize = 9;

/// The first award by which an arbiter gave a division.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Said {
    /// Which arbiter.
    pub arbiter: ServingKey,
    /// Its award's number.
    pub number: u32,
    /// The division.
    pub split: Split,
}

/// All that is known of what arbiters awarded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Awards {
    last: Vec<Decision>,
    first: Vec<Said>,
}

impl Awards {
    /// Takes an arbiter's award in; whether it is news.
    pub fn hear(&mut self, decision: Decision) -> bool {
        let Decision { arbiter, number, split, .. } = decision;
        let news = self.keep_first(Said { arbiter, number, split });
        match self.last.iter_mut().find(|known| known.arbiter == arbiter) {
            Some(known) if known.number >= number => return news,
            Some(known) => *known = decision,
            None => self.last.push(decision),
        }
        true
    }

    /// Keeps an arbiter's earliest award of a division, of too many divisions those that it gave first.
    fn keep_first(&mut self, said: Said) -> bool {
        let same = |known: &&mut Said| (known.arbiter, known.split) == (said.arbiter, said.split);
        match self.first.iter_mut().find(same) {
            Some(known) if known.number <= said.number => return false,
            Some(known) => known.number = said.number,
            None => self.first.push(said),
        }
        self.first.sort_unstable();
        let mut kept = 0;
        self.first.retain(|known| {
            kept += usize::from(known.arbiter == said.arbiter);
            known.arbiter != said.arbiter || kept <= MAX_DIVISIONS
        });
        self.first.contains(&said)
    }

    /// What each arbiter said last.
    pub fn last(&self) -> &[Decision] {
        &self.last
    }

    /// Whether an arbiter ever gave this division.
    pub fn has_given(&self, arbiter: ServingKey, split: Split) -> bool {
        self.first.iter().any(|said| (said.arbiter, said.split) == (arbiter, split))
    }

    /// The division that stands, where this majority gave one. Of several, the one whose majority was complete by the lowest
    /// number, then by the lowest ones before it, then by that of the arbiter whose key is the lowest.
    pub fn standing(&self, majority: usize) -> Option<Split> {
        let rank = |split: Split| {
            let by: Vec<&Said> = self.first.iter().filter(|said| said.split == split).collect();
            let mut numbers: Vec<u32> = by.iter().map(|said| said.number).collect();
            numbers.sort_unstable();
            numbers.truncate(majority);
            numbers.reverse();
            let keys: Vec<(ServingKey, u32)> = by.iter().map(|said| (said.arbiter, said.number)).collect();
            (numbers.len() == majority).then_some((numbers, keys, split))
        };
        self.first.iter().filter_map(|said| rank(said.split)).min().map(|(.., split)| split)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::amount::Stroops;
    use crate::binding::frames::Note;

    fn award(arbiter: u8, number: u32, to_provider: u32) -> Decision {
        let arbiter = ServingKey::from_bytes([arbiter; 32]);
        let split = Split::of(Stroops::whole(20), Stroops::whole(to_provider)).unwrap();
        Decision { arbiter, number, split, note: Note::new("") }
    }

    /// Every order of some awards.
    fn orders(awards: &[Decision]) -> Vec<Vec<Decision>> {
        if awards.is_empty() {
            return vec![Vec::new()];
        }
        let beginning_with = |i: usize| {
            let mut rest = awards.to_vec();
            let first = rest.remove(i);
            orders(&rest).into_iter().map(move |rest| [vec![first.clone()], rest].concat())
        };
        (0..awards.len()).flat_map(beginning_with).collect()
    }

    /// What stands by a majority of two once all was heard, which must be the same in every order.
    fn stands(awards: &[Decision]) -> Option<Stroops> {
        let heard = |order: Vec<Decision>| {
            let mut awards = Awards::default();
            for award in order {
                awards.hear(award);
            }
            awards.standing(2).map(|split| split.to_provider)
        };
        let mut all: Vec<_> = orders(awards).into_iter().map(heard).collect();
        all.dedup();
        assert_eq!(all.len(), 1, "{awards:?} came to {all:?}");
        all[0]
    }

    #[test]
    fn whatever_order_awards_are_heard_in_the_same_one_stands() {
        let coins = |n| Some(Stroops::whole(n));
        assert_eq!(stands(&[award(1, 1, 20), award(2, 1, 0)]), None);
        assert_eq!(stands(&[award(1, 1, 20), award(2, 1, 0), award(1, 2, 0)]), coins(0));
        // Both changed their minds at once, each to what the other had said.
        let crossed = [award(1, 1, 20), award(2, 1, 0), award(1, 2, 0), award(2, 2, 20)];
        assert_eq!(stands(&crossed), coins(20), "what the one with the lower key said first");
        // A third one's word decides nothing once two have given the same.
        assert_eq!(stands(&[award(1, 1, 7), award(2, 1, 7), award(3, 1, 3), award(2, 2, 3)]), coins(7));
        assert_eq!(stands(&[award(1, 1, 7), award(2, 2, 7), award(3, 3, 3), award(2, 1, 3)]), coins(7));
        assert_eq!(stands(&[award(1, 3, 7), award(1, 1, 7), award(2, 2, 7), award(2, 5, 7)]), coins(7), "said again");
    }

    #[test]
    fn an_arbiter_that_talks_without_end_is_bounded_and_what_it_said_first_counts() {
        let mut awards = Awards::default();
        for number in (1..=20).rev() {
            assert!(awards.hear(award(1, number, number)));
        }
        assert_eq!(awards.first.len(), MAX_DIVISIONS);
        assert!(!awards.hear(award(1, 12, 12)), "it is forgotten again");
        for number in 1..=20 {
            let split = award(1, 1, number).split;
            let known = awards.has_given(ServingKey::from_bytes([1; 32]), split);
            assert_eq!(known, number as usize <= MAX_DIVISIONS, "{number}");
        }
        assert!(awards.hear(award(2, 1, 4)));
        assert_eq!(awards.standing(2).map(|split| split.to_provider), Some(Stroops::whole(4)));
        assert_eq!(awards.last()[0].number, 20);
    }
}
