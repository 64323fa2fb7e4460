//! What a group of batches changes: the values before, what readers may see while it is written, and the values after.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use tradepost_protocol::step::{Batch, Space};

use crate::database::Database;
use crate::error::StoreError;
use crate::journal::record::Place;
use crate::keyspace::{POSITION_KEY, disk_key, parts};

/// Keys as they stand in the tree, and the values they have; `None` where the key has none.
pub(crate) type Values = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// How many keys each space has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts(BTreeMap<Space, u64>);

impl Counts {
    pub(crate) fn of(&self, space: Space) -> u64 {
        self.0.get(&space).copied().unwrap_or(0)
    }

    /// A key that it had or hadn't, and has or hasn't now.
    pub(crate) fn change(&mut self, space: Space, had: bool, has: bool) {
        let count = self.0.entry(space).or_default();
        *count = (*count + u64::from(has)).saturating_sub(u64::from(had));
    }
}

/// The values of a group's keys at one stage of its writing.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) values: Values,
    pub(crate) counts: Counts,
}

impl Stage {
    /// The durable values of all keys that these batches change.
    pub(crate) fn before<'a>(
        batches: impl IntoIterator<Item = &'a Batch>,
        database: &Database,
        counts: Counts,
    ) -> Result<Self, StoreError> {
        let mut values = Values::new();
        for (space, key, _) in batches.into_iter().flat_map(Batch::writes).map(parts) {
            if let Entry::Vacant(vacant) = values.entry(disk_key(space, key)) {
                let value = database.get(vacant.key())?;
                vacant.insert(value);
            }
        }
        Ok(Self { values, counts })
    }

    /// The same after these batches, in their order.
    pub(crate) fn after<'a>(&self, batches: impl IntoIterator<Item = &'a Batch>) -> Self {
        let mut after = self.clone();
        for (space, key, value) in batches.into_iter().flat_map(Batch::writes).map(parts) {
            let before = after.values.insert(disk_key(space, key), value.map(<[u8]>::to_vec));
            after.counts.change(space, before.flatten().is_some(), value.is_some());
        }
        after
    }

    /// What sled has to write to come to this stage, and where the journal stands then.
    pub(crate) fn writes(&self, position: Option<Place>) -> sled::Batch {
        let mut writes = sled::Batch::default();
        for (key, value) in &self.values {
            match value {
                Some(value) => writes.insert(key.as_slice(), value.as_slice()),
                None => writes.remove(key.as_slice()),
            }
        }
        if let Some(position) = position {
            writes.insert(&POSITION_KEY, &position_bytes(position));
        }
        writes
    }
}

/// A journal's position as it is stored.
pub(crate) fn position_bytes(position: Place) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&position.generation.to_le_bytes());
    bytes[8..].copy_from_slice(&position.offset.to_le_bytes());
    bytes
}

/// A stored position; `None` where the bytes are none.
pub(crate) fn position_of(bytes: &[u8]) -> Option<Place> {
    let (generation, offset) = bytes.split_at_checked(8)?;
    Some(Place {
        generation: u64::from_le_bytes(generation.try_into().ok()?),
        offset: u64::from_le_bytes(offset.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_has_its_golden_bytes() {
        let position = Place { generation: 2, offset: 0x0102 };
        assert_eq!(position_bytes(position), [2, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(position_of(&position_bytes(position)), Some(position));
        assert_eq!(position_of(&[0; 15]), None);
    }
}
