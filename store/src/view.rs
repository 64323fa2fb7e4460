//! What readers see: durable state only, while the writer works beneath.
//!
//! Before sled changes, the writer covers the keys that will change with the values that readers may see: the durable
//! ones, and those of batches that the journal already holds. Once the new values are durable the cover is taken away.
//! Readers hold the cover's lock while they read, so what one page shows is one moment's state.

use core::fmt;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use tradepost_protocol::step::Space;

use crate::contents::{Entry, MAX_PAGE_ENTRIES};
use crate::error::StoreError;
use crate::group::{Counts, Stage};
use crate::keyspace::disk_key;

/// The readers' side of the database.
pub(crate) struct View {
    tree: sled::Tree,
    cover: RwLock<Stage>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // sled's own would print every value that it holds.
        f.debug_struct("View").finish_non_exhaustive()
    }
}

impl View {
    pub(crate) fn new(tree: sled::Tree, counts: Counts) -> Self {
        Self { tree, cover: RwLock::new(Stage { values: BTreeMap::new(), counts }) }
    }

    /// Shows these values instead of what sled has for their keys.
    pub(crate) fn cover(&self, stage: Stage) {
        *self.cover.write().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// Shows what sled has.
    pub(crate) fn uncover(&self, counts: Counts) {
        self.cover(Stage { values: BTreeMap::new(), counts });
    }

    pub(crate) fn counts(&self) -> Counts {
        self.cover.read().unwrap_or_else(PoisonError::into_inner).counts.clone()
    }

    pub(crate) fn count(&self, space: Space) -> u64 {
        self.cover.read().unwrap_or_else(PoisonError::into_inner).counts.of(space)
    }

    pub(crate) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let key = disk_key(space, key);
        let cover = self.cover.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(covered) = cover.values.get(&key) {
            return Ok(covered.clone());
        }
        let value = self.tree.get(&key).map_err(StoreError::database("reading"))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// See [`crate::Contents::page`].
    pub(crate) fn page(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.page_under(&self.cover.read().unwrap_or_else(PoisonError::into_inner), space, prefix, after, limit)
    }

    /// All rows of these spaces as they stood at one moment. What is written meanwhile waits.
    pub(crate) fn rows(&self, spaces: impl Iterator<Item = Space>) -> Result<Vec<(Space, Entry)>, StoreError> {
        let cover = self.cover.read().unwrap_or_else(PoisonError::into_inner);
        let mut rows = Vec::new();
        for space in spaces {
            let mut after: Option<Vec<u8>> = None;
            loop {
                let page = self.page_under(&cover, space, b"", after.as_deref(), MAX_PAGE_ENTRIES)?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                rows.extend(page.into_iter().map(|entry| (space, entry)));
            }
        }
        Ok(rows)
    }

    fn page_under(
        &self,
        cover: &Stage,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let prefix = disk_key(space, prefix);
        let from = match after.map(|after| disk_key(space, after)) {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix.clone()),
        };
        let limit = limit.min(MAX_PAGE_ENTRIES);
        let bounds = (from, Bound::Unbounded);
        let mut covered = cover.values.range::<Vec<u8>, _>(bounds.clone()).peekable();
        let mut stored = self.tree.range(bounds);
        let mut below = stored.next().transpose().map_err(StoreError::database("reading"))?;
        let mut page = Vec::new();
        while page.len() < limit {
            let above = covered.peek().map(|(key, _)| key.as_slice());
            let stored_key = below.as_ref().map(|(key, _)| key.as_ref());
            let cover_is_next = match (above, stored_key) {
                (None, None) => break,
                (Some(above), Some(stored)) => above <= stored,
                (above, _) => above.is_some(),
            };
            let same = above == stored_key;
            let (key, value) = if cover_is_next {
                let (key, value) = covered.next().expect("it was peeked");
                (key.clone(), value.clone())
            } else {
                let (key, value) = below.take().expect("one of the two has a key");
                (key.to_vec(), Some(value.to_vec()))
            };
            if !cover_is_next || same {
                below = stored.next().transpose().map_err(StoreError::database("reading"))?;
            }
            if !key.starts_with(&prefix) {
                break;
            }
            page.extend(value.map(|value| (key[1..].to_vec(), value)));
        }
        Ok(page)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::group::Values;

    /// Keys of spaces 1 to 3, so that pages meet the end of their space.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(0u8..3, 0..4).prop_flat_map(|key| (1u8..4).prop_map(move |s| [&[s], &key[..]].concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn pages_show_the_cover_over_what_sled_has(
            stored in prop::collection::btree_map(key(), prop::collection::vec(any::<u8>(), 0..3), 0..40),
            cover in prop::collection::btree_map(key(), prop::option::of(prop::collection::vec(any::<u8>(), 0..3)), 0..20),
            prefix in prop::collection::vec(0u8..3, 0..3),
            limit in 1usize..6,
        ) {
            let db = sled::Config::new().temporary(true).open().unwrap();
            for (key, value) in &stored {
                db.insert(key, value.as_slice()).unwrap();
            }
            let view = View::new((*db).clone(), Counts::default());
            view.cover(Stage { values: cover.clone(), counts: Counts::default() });
            let mut shown: Values = stored.into_iter().map(|(key, value)| (key, Some(value))).collect();
            shown.extend(cover);
            let expected: Vec<Entry> = shown
                .into_iter()
                .filter(|(key, _)| key.starts_with(&[&[2], &prefix[..]].concat()))
                .filter_map(|(key, value)| Some((key[1..].to_vec(), value?)))
                .collect();
            let mut found: Vec<Entry> = Vec::new();
            loop {
                let after = found.last().map(|(key, _)| key.clone());
                let page = view.page(Space::Head, &prefix, after.as_deref(), limit).unwrap();
                prop_assert!(page.len() <= limit);
                if page.is_empty() {
                    break;
                }
                found.extend(page);
            }
            for (key, value) in &expected {
                prop_assert_eq!(&view.get(Space::Head, key).unwrap(), &Some(value.clone()));
            }
            prop_assert_eq!(found, expected);
        }
    }
}
