//! How both back ends are read.

use std::collections::VecDeque;

use tradepost_protocol::step::Space;

use crate::error::StoreError;

/// A key within its space, and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// The most entries of one page.
pub const MAX_PAGE_ENTRIES: usize = 1_000;

/// Entries that a [`Scan`] reads at a time.
const SCAN_PAGE_ENTRIES: usize = 256;

/// What a store holds, durable state only.
pub trait Contents {
    /// The value of a key.
    ///
    /// # Errors
    /// Where the back end can't be read.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The first `limit` (at most [`MAX_PAGE_ENTRIES`]) entries whose key begins with `prefix` and comes after `after`,
    /// in the order of their keys, as they stood at one moment.
    ///
    /// # Errors
    /// Where the back end can't be read.
    fn page(&self, space: Space, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Entry>, StoreError>;

    /// How many keys a space has, from a counter.
    fn count(&self, space: Space) -> u64;

    /// All entries whose key begins with `prefix`, in order, read page by page: what changes meanwhile may or may not
    /// be seen.
    fn scan(&self, space: Space, prefix: &[u8]) -> Scan<'_, Self>
    where
        Self: Sized,
    {
        Scan { contents: self, space, prefix: prefix.to_vec(), ready: VecDeque::new(), after: None, ended: false }
    }
}

impl<C: Contents> Contents for &C {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).get(space, key)
    }

    fn page(&self, space: Space, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Entry>, StoreError> {
        (**self).page(space, prefix, after, limit)
    }

    fn count(&self, space: Space) -> u64 {
        (**self).count(space)
    }
}

/// Entries in the order of their keys. Ends after the first error.
#[derive(Debug)]
pub struct Scan<'a, C> {
    contents: &'a C,
    space: Space,
    prefix: Vec<u8>,
    ready: VecDeque<Entry>,
    after: Option<Vec<u8>>,
    ended: bool,
}

impl<C: Contents> Iterator for Scan<'_, C> {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty() && !self.ended {
            match self.contents.page(self.space, &self.prefix, self.after.as_deref(), SCAN_PAGE_ENTRIES) {
                Ok(page) => {
                    self.ended = page.len() < SCAN_PAGE_ENTRIES;
                    self.after = page.last().map(|(key, _)| key.clone());
                    self.ready = page.into();
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        self.ready.pop_front().map(Ok)
    }
}
