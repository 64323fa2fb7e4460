//! Keys as they stand in sled's one tree: the space's number, then the key within the space.
//!
//! The first byte 255 is the store's own (format, network, journal position); no space has that number.

use tradepost_protocol::frame;
use tradepost_protocol::step::{Batch, Space, Write};

use crate::error::StoreError;

/// The most bytes of a key within its space.
pub const MAX_KEY_BYTES: usize = 512;
/// The most bytes of a value: any frame, with its version byte.
pub const MAX_VALUE_BYTES: usize = frame::MAX_BYTES + 1;
/// The most bytes of a batch, keys and values and eight for each write.
pub const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// What a write takes in the journal besides its key and value, in bytes.
const WRITE_BYTES: usize = 8;

/// First byte of the store's own keys.
const OWN: u8 = 0xff;
/// Where the store's format number stands.
pub(crate) const FORMAT_KEY: [u8; 2] = [OWN, b'f'];
/// Where the network's id stands.
pub(crate) const NETWORK_KEY: [u8; 2] = [OWN, b'n'];
/// Where the position stands up to which the journal was applied.
pub(crate) const POSITION_KEY: [u8; 2] = [OWN, b'p'];

/// A key of a space as it stands in the tree.
pub(crate) fn disk_key(space: Space, key: &[u8]) -> Vec<u8> {
    let mut disk = Vec::with_capacity(1 + key.len());
    disk.push(space as u8);
    disk.extend_from_slice(key);
    disk
}

/// The space with this number.
pub(crate) fn space_of(number: u8) -> Option<Space> {
    Space::ALL.iter().copied().find(|space| *space as u8 == number)
}

/// The key and, unless it is deleted, the value of a write.
pub(crate) fn parts(write: &Write) -> (Space, &[u8], Option<&[u8]>) {
    match write {
        Write::Put { space, key, value } => (*space, key, Some(value)),
        Write::Delete { space, key } => (*space, key, None),
    }
}

/// Bytes of a batch: its keys and values, and what each write needs besides.
pub(crate) fn batch_bytes(batch: &Batch) -> usize {
    let bytes = |(_, key, value): (Space, &[u8], Option<&[u8]>)| key.len() + value.map_or(0, <[u8]>::len);
    batch.writes().iter().map(parts).map(|write| WRITE_BYTES + bytes(write)).sum()
}

/// Refuses a batch that no back end takes.
pub(crate) fn check_bounds(batch: &Batch) -> Result<(), StoreError> {
    let within = |what, bytes, most| {
        if bytes > most { Err(StoreError::TooLarge { what, bytes, most }) } else { Ok(()) }
    };
    for (_, key, value) in batch.writes().iter().map(parts) {
        within("key", key.len(), MAX_KEY_BYTES)?;
        within("value", value.map_or(0, <[u8]>::len), MAX_VALUE_BYTES)?;
    }
    within("batch", batch_bytes(batch), MAX_BATCH_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_space_has_the_number_of_the_stores_own_keys() {
        assert!(Space::ALL.iter().all(|space| *space as u8 != OWN));
        assert!(Space::ALL.iter().all(|space| space_of(*space as u8) == Some(*space)));
        assert_eq!(space_of(OWN), None);
    }

    #[test]
    fn what_is_too_large_is_refused_with_its_size() {
        let mut batch = Batch::new();
        batch.put(Space::Meta, vec![0; MAX_KEY_BYTES], vec![0; MAX_VALUE_BYTES]);
        assert!(check_bounds(&batch).is_ok());
        batch.put(Space::Meta, "k", vec![0; MAX_VALUE_BYTES + 1]);
        assert!(matches!(check_bounds(&batch), Err(StoreError::TooLarge { what: "value", .. })));
        let mut batch = Batch::new();
        batch.delete(Space::Meta, vec![0; MAX_KEY_BYTES + 1]);
        assert!(matches!(check_bounds(&batch), Err(StoreError::TooLarge { what: "key", .. })));
        let mut batch = Batch::new();
        for i in 0..=(MAX_BATCH_BYTES / MAX_VALUE_BYTES) {
            batch.put(Space::Meta, i.to_be_bytes(), vec![0; MAX_VALUE_BYTES]);
        }
        assert!(matches!(check_bounds(&batch), Err(StoreError::TooLarge { what: "batch", .. })));
        let mut batch = Batch::new();
        for _ in 0..=(MAX_BATCH_BYTES / WRITE_BYTES) {
            batch.delete(Space::Meta, "");
        }
        assert!(matches!(check_bounds(&batch), Err(StoreError::TooLarge { what: "batch", .. })));
    }
}
