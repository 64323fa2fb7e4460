//! The moves that the machines' tables allow, and which of them were taken.

use std::collections::{BTreeMap, BTreeSet};

use tradepost_protocol::binding::negotiation::{Negotiation, NegotiationEvent};
use tradepost_protocol::binding::session::{Session, SessionEvent};
use tradepost_protocol::escrow::outcome::EscrowState;

use crate::world::Standing;

/// What an escrow may become: the table of [`EscrowWatch::handle`], without what changes nothing.
///
/// [`EscrowWatch::handle`]: tradepost_protocol::escrow::outcome::EscrowWatch::handle
const ESCROW: &[(&str, &[&str])] = &[
    ("none", &["intended", "locked", "refused", "paid", "refunded", "split", "clawed back"]),
    ("intended", &["none", "locked", "refused", "paid", "refunded", "unknown", "split", "clawed back"]),
    ("locked", &["paid", "refunded", "unknown", "split", "clawed back"]),
    ("refused", &["locked", "paid", "refunded", "unknown", "split", "clawed back"]),
    ("paid", &["refunded"]),
    ("unknown", &["paid", "refunded", "split", "clawed back"]),
];

/// Moves from a state to a state, by name: "session Idle → Starting".
#[derive(Debug, Clone)]
pub struct Transitions {
    next: BTreeMap<String, BTreeSet<String>>,
    taken: BTreeSet<(String, String)>,
}

impl Default for Transitions {
    fn default() -> Self {
        let mut next: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut add = |from: String, to: String| {
            next.entry(from).or_default().insert(to);
        };
        for state in Negotiation::ALL {
            for to in NegotiationEvent::ALL.into_iter().filter_map(|event| state.on(event)) {
                add(negotiation(state), negotiation(to));
            }
        }
        for state in Session::all() {
            for to in SessionEvent::ALL.into_iter().filter_map(|event| state.on(event)) {
                add(session(state), session(to));
            }
        }
        for (from, all) in ESCROW {
            all.iter().for_each(|to| add(format!("escrow {from}"), format!("escrow {to}")));
        }
        Self { next, taken: BTreeSet::new() }
    }
}

impl Transitions {
    /// Takes in how a binding moved.
    ///
    /// # Errors
    /// In words, where no way through the tables leads there.
    pub fn take(&mut self, before: &Standing, after: &Standing) -> Result<(), String> {
        let moves = [
            (negotiation(before.negotiation), negotiation(after.negotiation)),
            (session(before.session), session(after.session)),
            (escrow(&before.escrow), escrow(&after.escrow)),
        ];
        for (from, to) in moves {
            // Terms stored: the escrow's machine begins with them, free where there is no money.
            if from == to || (from.as_str(), to.as_str()) == ("escrow none", "escrow free") {
                continue;
            }
            if self.next.get(&from).is_some_and(|all| all.contains(&to)) {
                self.taken.insert((from, to));
            } else if !self.leads(&from, &to) {
                return Err(format!("{from} became {to}, which no table allows"));
            }
        }
        Ok(())
    }

    /// Whether several moves at once explain it: a commit may hold more than one.
    fn leads(&self, from: &str, to: &str) -> bool {
        let mut reached = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(state) = open.pop() {
            let further = self.next.get(state).into_iter().flatten().map(String::as_str);
            open.extend(further.filter(|next| reached.insert(next)));
        }
        reached.contains(to)
    }

    /// Adds what another world took.
    pub fn add(&mut self, other: &Self) {
        self.taken.extend(other.taken.iter().cloned());
    }

    /// How many were taken.
    pub fn taken(&self) -> usize {
        self.taken.len()
    }

    /// How many the tables have.
    pub fn all(&self) -> usize {
        self.next.values().map(BTreeSet::len).sum()
    }

    /// Those that nobody took.
    pub fn missing(&self) -> Vec<String> {
        let all = self.next.iter().flat_map(|(from, to)| to.iter().map(move |to| (from.clone(), to.clone())));
        all.filter(|pair| !self.taken.contains(pair)).map(|(from, to)| format!("{from} → {to}")).collect()
    }
}

fn negotiation(state: Negotiation) -> String {
    format!("negotiation {state:?}")
}

fn session(state: Session) -> String {
    format!("session {state:?}")
}

fn escrow(state: &EscrowState) -> String {
    let word = match state {
        EscrowState::Free => "free",
        EscrowState::None => "none",
        EscrowState::Intended => "intended",
        EscrowState::Locked => "locked",
        EscrowState::Refused(_) => "refused",
        EscrowState::Paid => "paid",
        EscrowState::Refunded => "refunded",
        EscrowState::Unknown => "unknown",
        EscrowState::Split { .. } => "split",
        EscrowState::ClawedBack => "clawed back",
    };
    format!("escrow {word}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(negotiation: Negotiation, session: Session, escrow: EscrowState) -> Standing {
        Standing { negotiation, escrow, session }
    }

    #[test]
    fn a_move_of_the_table_is_counted_several_at_once_are_allowed_and_a_way_back_is_not() {
        let mut transitions = Transitions::default();
        let asked = standing(Negotiation::Requested, Session::Idle, EscrowState::None);
        let agreed = standing(Negotiation::Agreed, Session::Idle, EscrowState::Intended);
        let active = standing(Negotiation::Agreed, Session::Active, EscrowState::Locked);
        assert_eq!(transitions.take(&asked, &agreed), Ok(()));
        assert_eq!(transitions.taken(), 2);
        assert_eq!(transitions.take(&agreed, &active), Ok(()));
        assert_eq!(transitions.taken(), 3, "from idle to active in one go counts for neither move");
        assert!(transitions.take(&active, &agreed).is_err());
        assert_eq!(transitions.missing().len(), transitions.all() - 3);
    }
}
