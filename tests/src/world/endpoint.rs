//! An endpoint that lies about what the ledger holds: it hides entries, and shows others than there are.
//!
//! It is one of two, run by different operators, and the other one tells the truth. So it deceives whoever asks it alone: what
//! two operators are asked for, and don't say alike, the ledger's client doesn't pass on; what became of a transaction, the
//! client takes from the one that knows it; and a transaction goes to both.

use rand_core::Rng;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::market::event::{Ask, Event};
use tradepost_protocol::stellar::entry::Entry;

use super::{Address, Question, World};

impl World {
    /// Whether a lie may reach a node by the answer to this question.
    pub(super) fn can_be_lied_to(&self, (index, _): Address, question: &Question) -> bool {
        let asks_two = self.nodes[index].setup.policy.one_word_limit.is_some();
        asks_two && matches!(question, Question::Read { .. } | Question::Search { .. })
    }

    /// What a node hears where the endpoint that answers lies.
    pub(super) fn answer_of_a_liar(&mut self, address: Address, question: Question) -> Option<Event> {
        Some(match self.answer_from_ledger(address, question)? {
            Event::Entries { ask: ask @ Ask::Agreed(_), .. } => {
                Event::ReadFailed { ask, why: "the endpoints don't come to the same answer".to_owned() }
            }
            Event::Entries { ask, at, asked, entries } => {
                Event::Entries { ask, at, asked, entries: self.lied_about(entries) }
            }
            Event::Searched { balance, .. } => Event::Searched { balance, found: Ok(None) },
            other => other,
        })
    }

    fn lied_about(&mut self, mut entries: Vec<Entry>) -> Vec<Entry> {
        let dice = self.rng.next_u64();
        let one = (dice >> 8) as usize % entries.len().max(1);
        match dice % 4 {
            0 => entries.clear(),
            1 if !entries.is_empty() => drop(entries.remove(one)),
            2 => entries.iter_mut().for_each(|entry| used_otherwise(entry, dice)),
            _ => entries.iter_mut().for_each(|entry| worth_otherwise(entry, dice)),
        }
        entries
    }
}

/// An account whose number is ahead of what it is, or behind it.
fn used_otherwise(entry: &mut Entry, dice: u64) {
    if let Entry::Account(account) = entry {
        account.sequence += if dice & 16 == 0 { 1 } else { -1 };
    }
}

/// It holds twice as much, or nothing to speak of.
fn worth_otherwise(entry: &mut Entry, dice: u64) {
    let otherwise = |amount: Stroops| {
        if dice & 16 == 0 { amount.times(2).unwrap_or(amount) } else { Stroops::new(1).unwrap_or_default() }
    };
    match entry {
        Entry::Account(account) => account.balance = otherwise(account.balance),
        Entry::Balance(balance) => balance.amount = otherwise(balance.amount),
        Entry::Trustline(line) => line.balance = otherwise(line.balance),
        Entry::Data(_) => {}
    }
}
