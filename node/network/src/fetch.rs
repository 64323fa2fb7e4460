//! How a newcomer catches up: lists of ids, page by page, then messages by id, in bounded batches that can go on
//! where they ended. Whether a content matches its id is for the owner to check.

pub(crate) mod wire;

use std::collections::HashSet;

use bytes::Bytes;

use crate::config::{MAX_CURSOR, MAX_FETCH_BYTES, MAX_IDS};
use crate::peers::PeerFault;
use crate::request::{AnswerError, Answerer};
pub(crate) use wire::{MAX_REQUEST, MAX_RESPONSE, Request};

/// The id of one message, with the number of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId {
    /// The kind's number, [`KindConfig::number`](crate::KindConfig::number).
    pub kind: u8,
    /// The id.
    pub id: [u8; 32],
}

/// Where a page of ids ended; only who made it knows what it means. At most 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Bytes);

impl Cursor {
    /// Takes at most 64 bytes; `None` if there are more.
    pub fn new(bytes: impl Into<Bytes>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.len() <= MAX_CURSOR).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// One page of a list of ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdPage {
    /// At most 2,000, none twice.
    pub ids: Vec<ItemId>,
    /// Where to go on; `None` on the last page.
    pub next: Option<Cursor>,
}

/// The answer to a fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchPage {
    /// What was found among the first `processed` ids, at most 512 KiB; the bytes are not checked against the id.
    pub items: Vec<(ItemId, Bytes)>,
    /// How many of the ids were looked at; go on with the rest.
    pub processed: usize,
}

/// Names one request for ids until it is answered. Dropping it tells the peer that there is no answer.
#[derive(Debug)]
pub struct IdsToken(pub(crate) Answerer);

impl IdsToken {
    pub(crate) fn serve(self, page: &IdPage) -> Result<(), AnswerError> {
        if page.ids.len() > MAX_IDS {
            return Err(AnswerError::TooLarge { size: page.ids.len() * 33, max: MAX_IDS * 33 });
        }
        self.0.answer(wire::encode_ids(page), MAX_RESPONSE)
    }
}

/// Names one fetch until it is answered. Dropping it tells the peer that there is no answer.
#[derive(Debug)]
pub struct FetchToken(pub(crate) Answerer);

impl FetchToken {
    pub(crate) fn serve(self, answer: FetchAnswer) -> Result<(), AnswerError> {
        self.0.answer(wire::encode_fetched(&answer.page), MAX_RESPONSE)
    }
}

/// The answer to a fetch while it is made: walk the ids in their order, say for each what there is, stop when full.
#[derive(Debug, Default)]
pub struct FetchAnswer {
    page: FetchPage,
    bytes: usize,
}

impl FetchAnswer {
    /// Creates an answer to which nothing was said yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the message of the next id; `false` if there is no more room: then stop and serve what there is.
    #[must_use]
    pub fn found(&mut self, id: ItemId, bytes: Bytes) -> bool {
        if self.page.processed >= MAX_IDS || self.bytes + bytes.len() > MAX_FETCH_BYTES {
            return false;
        }
        self.bytes += bytes.len();
        self.page.items.push((id, bytes));
        self.page.processed += 1;
        true
    }

    /// Says that there is no message of the next id.
    pub fn missing(&mut self) {
        self.page.processed += 1;
    }
}

/// Checks a page of ids against what was asked.
pub(crate) fn check_ids(asked: Option<&Cursor>, page: &IdPage) -> Result<(), PeerFault> {
    if page.ids.iter().collect::<HashSet<_>>().len() < page.ids.len() {
        return Err(PeerFault::Repeated);
    }
    if page.next.is_some() && (page.ids.is_empty() || page.next.as_ref() == asked) {
        return Err(PeerFault::NoProgress);
    }
    Ok(())
}

/// Checks fetched messages against what was asked; `max` is the largest size of a kind.
pub(crate) fn check_fetched(
    asked: &[ItemId],
    page: &FetchPage,
    max: impl Fn(u8) -> Option<usize>,
) -> Result<(), PeerFault> {
    if page.processed > asked.len() || page.items.len() > page.processed {
        return Err(PeerFault::TooMany);
    }
    if page.processed == 0 && !asked.is_empty() {
        return Err(PeerFault::NoProgress);
    }
    let wanted: HashSet<&ItemId> = asked[..page.processed].iter().collect();
    let mut seen = HashSet::new();
    for (id, bytes) in &page.items {
        if !wanted.contains(id) {
            return Err(PeerFault::Unasked);
        }
        if !seen.insert(id) {
            return Err(PeerFault::Repeated);
        }
        if bytes.is_empty() || max(id.kind).is_none_or(|max| bytes.len() > max) {
            return Err(PeerFault::WrongSize);
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn id(n: u8) -> ItemId {
        ItemId { kind: 1, id: [n; 32] }
    }

    fn max(kind: u8) -> Option<usize> {
        (kind == 1).then_some(10)
    }

    fn fetched(items: &[(u8, &'static str)], processed: usize) -> FetchPage {
        let items = items.iter().map(|(n, text)| (id(*n), Bytes::from_static(text.as_bytes()))).collect();
        FetchPage { items, processed }
    }

    #[test]
    fn fetched_items_are_held_against_what_was_asked() {
        let asked = [id(1), id(2), id(3)];
        let check = |page: FetchPage| check_fetched(&asked, &page, max);
        assert_eq!(check(fetched(&[(1, "a"), (3, "c")], 3)), Ok(()));
        assert_eq!(check(fetched(&[], 1)), Ok(()));
        assert_eq!(check(fetched(&[(4, "a")], 3)), Err(PeerFault::Unasked));
        assert_eq!(check(fetched(&[(3, "a")], 2)), Err(PeerFault::Unasked), "not looked at, by its own word");
        assert_eq!(check(fetched(&[(1, "a"), (1, "a")], 3)), Err(PeerFault::Repeated));
        assert_eq!(check(fetched(&[(1, "12345678901")], 3)), Err(PeerFault::WrongSize));
        assert_eq!(check(fetched(&[(1, "")], 3)), Err(PeerFault::WrongSize));
        assert_eq!(check(fetched(&[], 4)), Err(PeerFault::TooMany));
        assert_eq!(check(fetched(&[], 0)), Err(PeerFault::NoProgress));
        let strange = ItemId { kind: 9, id: [1; 32] };
        let page = FetchPage { items: vec![(strange, Bytes::from_static(b"a"))], processed: 1 };
        assert_eq!(check_fetched(&[strange], &page, max), Err(PeerFault::WrongSize));
    }

    #[test]
    fn pages_of_ids_get_ahead_and_repeat_nothing() {
        let cursor = |text: &'static str| Cursor::new(Bytes::from_static(text.as_bytes()));
        let page = |ids: &[u8], next| IdPage { ids: ids.iter().map(|n| id(*n)).collect(), next };
        let check = |asked: Option<Cursor>, page: IdPage| check_ids(asked.as_ref(), &page);
        assert_eq!(check(None, page(&[1, 2], cursor("2"))), Ok(()));
        assert_eq!(check(cursor("2"), page(&[], None)), Ok(()));
        assert_eq!(check(None, page(&[1, 1], None)), Err(PeerFault::Repeated));
        assert_eq!(check(None, page(&[], cursor("2"))), Err(PeerFault::NoProgress));
        assert_eq!(check(cursor("2"), page(&[3], cursor("2"))), Err(PeerFault::NoProgress));
    }

    #[test]
    fn an_answer_is_full_at_its_bound_and_one_message_always_fits() {
        let mut answer = FetchAnswer::new();
        let message = Bytes::from(vec![7; crate::config::MAX_PAYLOAD]);
        let mut taken = 0;
        while answer.found(id(taken), message.clone()) {
            taken += 1;
        }
        assert_eq!(usize::from(taken), MAX_FETCH_BYTES / crate::config::MAX_PAYLOAD);
        assert_eq!(answer.page.processed, usize::from(taken));
        assert!(wire::encode_fetched(&answer.page).len() <= MAX_RESPONSE);
    }

    #[test]
    fn a_cursor_is_short() {
        assert!(Cursor::new(vec![0; MAX_CURSOR]).is_some());
        assert!(Cursor::new(vec![0; MAX_CURSOR + 1]).is_none());
        assert_eq!(Cursor::new(vec![1]).unwrap().as_bytes(), [1]);
    }
}
