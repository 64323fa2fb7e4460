//! Commit, then act: what a state machine answers to an event.
//!
//! A [`Step`] holds a [`Batch`] of writes and the effects that may run once the batch is durable. The only way to the
//! effects is [`Step::commit_to`], so nothing can be revealed before it is stored: the rule is a type.

use core::fmt;

/// A key space of the store. The number is the key's first byte on disk and never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Space {
    /// Facts about the store itself, and what may be forgotten with the database.
    Meta = 0,
    /// Signed messages: id → kind and bytes.
    Message = 1,
    /// The newest of a chain: series → offering id and status id, service → record id.
    Head = 2,
    /// Own offerings and their bonds: series → record.
    Offer = 3,
    /// Bindings: binding id → state.
    Binding = 4,
    /// Journalled transactions: (account, sequence) → intent.
    Intent = 5,
    /// Requests made and answered: request id → the agreement's bytes.
    Request = 6,
    /// What was found from the account's key alone: balance id → record; `walk` → where the search stands.
    Found = 7,
    /// Batches of timestamps whose proof isn't kept yet: root → batch and transaction.
    Stamp = 8,
    /// Disputes that this node decides as an arbiter: binding id → case.
    Case = 9,
    /// What was shown in disputes: binding id, side, number → item.
    Evidence = 10,
    /// Help exchanges: `c`, tag → terms and how far it was followed; `t`, tag, ledger, place, hash → transaction; `a`,
    /// name → act; `j`, account → transaction that was signed for it.
    Community = 11,
    /// Marks of this home by which it knows what it mustn't do: restored from a backup, yields to a twin, the ledgers that
    /// it began on and saw last.
    Mark = 12,
}

impl Space {
    /// Every space there is.
    pub const ALL: &'static [Space] = &[
        Space::Meta,
        Space::Message,
        Space::Head,
        Space::Offer,
        Space::Binding,
        Space::Intent,
        Space::Request,
        Space::Found,
        Space::Stamp,
        Space::Case,
        Space::Evidence,
        Space::Community,
        Space::Mark,
    ];

    /// Whether a backup has it. Messages come back from peers.
    pub const fn is_backed_up(self) -> bool {
        !matches!(self, Self::Message)
    }

    /// Whether money depends on it: a batch that touches one goes through the journal first.
    pub const fn holds_money(self) -> bool {
        matches!(
            self,
            Self::Offer
                | Self::Binding
                | Self::Intent
                | Self::Request
                | Self::Found
                | Self::Stamp
                | Self::Case
                | Self::Evidence
                | Self::Community
                | Self::Mark
        )
    }
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// The key has this value from now on.
    Put {
        /// Where.
        space: Space,
        /// Its key within the space.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// The key has no value from now on.
    Delete {
        /// Where.
        space: Space,
        /// Its key within the space.
        key: Vec<u8>,
    },
}

impl Write {
    /// The space that it changes.
    pub const fn space(&self) -> Space {
        match self {
            Self::Put { space, .. } | Self::Delete { space, .. } => *space,
        }
    }
}

/// Writes that apply together or not at all, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    writes: Vec<Write>,
}

impl Batch {
    /// A batch that changes nothing.
    pub const fn new() -> Self {
        Self { writes: Vec::new() }
    }

    /// Adds a value.
    pub fn put(&mut self, space: Space, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.writes.push(Write::Put { space, key: key.into(), value: value.into() });
    }

    /// Adds a deletion.
    pub fn delete(&mut self, space: Space, key: impl Into<Vec<u8>>) {
        self.writes.push(Write::Delete { space, key: key.into() });
    }

    /// Adds all of another batch after this one's writes.
    pub fn append(&mut self, mut other: Batch) {
        self.writes.append(&mut other.writes);
    }

    /// The writes, in order.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Whether money depends on any of it.
    pub fn holds_money(&self) -> bool {
        self.writes.iter().any(|w| w.space().holds_money())
    }
}

/// Where batches become durable.
pub trait Commit {
    /// Why a batch could not be made durable.
    type Error: fmt::Display;

    /// Returns once the batch is durable.
    ///
    /// # Errors
    /// Where it isn't, and nothing of it will be.
    fn commit(&mut self, batch: Batch) -> Result<(), Self::Error>;
}

/// What follows from an event: first what must be durable, then what may be done.
#[derive(Debug)]
#[must_use = "a step does nothing until it is committed"]
pub struct Step<E> {
    commit: Batch,
    then: Vec<E>,
}

impl<E> Default for Step<E> {
    fn default() -> Self {
        Self { commit: Batch::new(), then: Vec::new() }
    }
}

impl<E> Step<E> {
    /// Nothing to store, nothing to do.
    pub fn none() -> Self {
        Self::default()
    }

    /// What must be durable first, to add to.
    pub fn batch(&mut self) -> &mut Batch {
        &mut self.commit
    }

    /// Adds an effect that runs once the batch is durable.
    pub fn then(&mut self, effect: E) {
        self.then.push(effect);
    }

    /// Adds all of another step after this one's.
    pub fn append(&mut self, other: Self) {
        self.commit.append(other.commit);
        self.then.extend(other.then);
    }

    /// Translates the effects, for a machine that stands inside another one.
    pub fn map<F>(self, f: impl FnMut(E) -> F) -> Step<F> {
        Step { commit: self.commit, then: self.then.into_iter().map(f).collect() }
    }

    /// Takes a step of a machine that stands inside another one apart; the outer step carries both parts on.
    pub(crate) fn into_parts(self) -> (Batch, Vec<E>) {
        (self.commit, self.then)
    }

    /// Makes the batch durable and gives the effects that may run now.
    ///
    /// # Errors
    /// What the store says; the effects are lost then, because nothing that they would reveal is durable.
    pub fn commit_to<C: Commit>(self, store: &mut C) -> Result<Vec<E>, C::Error> {
        if !self.commit.is_empty() {
            store.commit(self.commit)?;
        }
        Ok(self.then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Full;
    impl Commit for Full {
        type Error = &'static str;
        fn commit(&mut self, _: Batch) -> Result<(), Self::Error> {
            Err("disk full")
        }
    }

    #[test]
    fn effects_of_a_step_that_could_not_be_stored_never_run() {
        let mut step = Step::none();
        step.batch().put(Space::Meta, "k", "v");
        step.then("send");
        assert_eq!(step.commit_to(&mut Full), Err("disk full"));
    }

    #[test]
    fn a_batch_knows_whether_money_depends_on_it() {
        let mut batch = Batch::new();
        batch.put(Space::Message, "id", "bytes");
        assert!(!batch.holds_money());
        batch.delete(Space::Intent, "k");
        assert!(batch.holds_money());
    }
}
