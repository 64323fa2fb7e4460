//! The moves that the machines' tables allow, and which of them were taken.

use std::collections::{BTreeMap, BTreeSet};

use tradepost_protocol::binding::dispute::{DisputeEvent, DisputeState};
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

/// Moves of the tables that no world can show, and why. At most a tenth of all.
const UNREACHABLE: &[(&str, &str, &str)] = &[
    ("escrow none", "escrow locked", FUNDED_FIRST),
    ("escrow none", "escrow refused", FUNDED_FIRST),
    ("escrow none", "escrow paid", FUNDED_FIRST),
    ("escrow none", "escrow refunded", FUNDED_FIRST),
    ("escrow none", "escrow split", FUNDED_FIRST),
    ("escrow none", "escrow clawed back", FUNDED_FIRST),
];
const FUNDED_FIRST: &str = "a node looks at no balance whose funding it didn't sign or wasn't handed, and from then on the \
    escrow is intended; once that funding is dead, the binding is over, or a new one is signed first";

/// Moves that only a long sweep is bound to show: in a few hundred worlds their occasion may not come up.
const RARE: &[(&str, &str)] = &[
    ("dispute lapsed", "dispute awarded"),
    ("dispute lapsed", "dispute released"),
    ("dispute released", "dispute awarded"),
    ("escrow intended", "escrow clawed back"),
    ("escrow intended", "escrow refunded"),
    ("escrow intended", "escrow split"),
    ("escrow intended", "escrow unknown"),
    ("escrow locked", "escrow unknown"),
    ("escrow refused", "escrow clawed back"),
    ("escrow refused", "escrow paid"),
    ("escrow refused", "escrow split"),
    ("escrow unknown", "escrow clawed back"),
    ("escrow unknown", "escrow paid"),
    ("escrow unknown", "escrow refunded"),
    ("escrow unknown", "escrow split"),
    ("session Active", "session Ended(Done)"),
    ("session Away", "session Ended(Done)"),
];

/// Moves from a state to a state, by name: "session Idle → Starting".
#[derive(Debug, Clone)]
pub struct Transitions {
    next: BTreeMap<String, BTreeSet<String>>,
    /// How often each was taken.
    taken: BTreeMap<(String, String), u64>,
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
        for state in DisputeState::ALL {
            for to in DisputeEvent::ALL.into_iter().filter_map(|event| state.on(event)) {
                add(dispute(state), dispute(to));
            }
        }
        for (from, all) in ESCROW {
            all.iter().for_each(|to| add(format!("escrow {from}"), format!("escrow {to}")));
        }
        Self { next, taken: BTreeMap::new() }
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
            (dispute(before.dispute), dispute(after.dispute)),
        ];
        for (from, to) in moves {
            // Terms stored: the escrow's machine begins with them, free where there is no money.
            if from == to || (from.as_str(), to.as_str()) == ("escrow none", "escrow free") {
                continue;
            }
            if self.next.get(&from).is_some_and(|all| all.contains(&to)) {
                *self.taken.entry((from, to)).or_default() += 1;
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
        for (pair, times) in &other.taken {
            *self.taken.entry(pair.clone()).or_default() += times;
        }
    }

    /// How many were taken of those that can be.
    pub fn taken(&self) -> usize {
        self.reachable().filter(|pair| self.taken.contains_key(pair)).count()
    }

    /// How many the tables have that can be taken.
    pub fn all(&self) -> usize {
        self.reachable().count()
    }

    /// Those that nobody took and that can be taken.
    pub fn missing(&self) -> Vec<String> {
        let missing = self.reachable().filter(|pair| !self.taken.contains_key(pair));
        missing.map(|(from, to)| format!("{from} → {to}")).collect()
    }

    /// The moves that were taken least often, and how often.
    pub fn rarest(&self, count: usize) -> Vec<String> {
        let mut taken: Vec<_> = self.taken.iter().collect();
        taken.sort_by_key(|(_, times)| **times);
        taken.into_iter().take(count).map(|((from, to), times)| format!("{from} → {to}: {times}")).collect()
    }

    /// Those of them that a few hundred worlds take.
    pub fn overdue(&self) -> Vec<String> {
        let rare = |pair: &String| RARE.iter().any(|(from, to)| *pair == format!("{from} → {to}"));
        self.missing().into_iter().filter(|pair| !rare(pair)).collect()
    }

    /// Those that were taken though the list says that they can't be.
    pub fn impossible(&self) -> Vec<String> {
        let taken = self.taken.keys().filter(|(from, to)| is_unreachable(from, to));
        taken.map(|(from, to)| format!("{from} → {to}")).collect()
    }

    fn reachable(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let all = self.next.iter().flat_map(|(from, to)| to.iter().map(move |to| (from.clone(), to.clone())));
        all.filter(|(from, to)| !is_unreachable(from, to))
    }
}

fn is_unreachable(from: &str, to: &str) -> bool {
    UNREACHABLE.iter().any(|(known_from, known_to, _)| (*known_from, *known_to) == (from, to))
}

fn negotiation(state: Negotiation) -> String {
    format!("negotiation {state:?}")
}

fn session(state: Session) -> String {
    format!("session {state:?}")
}

fn dispute(state: DisputeState) -> String {
    format!("dispute {}", state.as_str())
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
        Standing { negotiation, escrow, session, dispute: DisputeState::None, binding: None, asked: false }
    }

    #[test]
    fn what_cannot_be_taken_is_a_tenth_at_most_is_in_the_tables_and_says_why() {
        let transitions = Transitions::default();
        let all = transitions.all() + UNREACHABLE.len();
        assert!(UNREACHABLE.len() * 10 <= all, "{} of {all}", UNREACHABLE.len());
        for (from, to, why) in UNREACHABLE {
            assert!(transitions.next[*from].contains(*to), "{from} → {to}");
            assert!(!why.is_empty());
        }
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
