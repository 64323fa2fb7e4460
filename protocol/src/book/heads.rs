//! What the store keeps of the book besides the messages: which is the newest of a chain, and what the messages
//! themselves don't say.

use bincode::{Decode, Encode};

use super::BookEffect;
use super::series::Series;
use crate::account::ServiceKey;
use crate::frame;
use crate::message::{MessageId, SeriesId, TemplateId};
use crate::step::{Space, Step};
use crate::time::Timestamp;

const SERIES: u8 = 0;
const RECORD: u8 = 1;
const TEMPLATE: u8 = 2;

/// The newest of a series.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct SeriesHead {
    pub(super) offering: MessageId,
    pub(super) status: Option<MessageId>,
    pub(super) conflicting: bool,
    pub(super) outdated_since: Option<Timestamp>,
}

/// The current message of a service or template.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct DocumentHead {
    pub(super) message: MessageId,
    pub(super) own: bool,
}

/// A stored head, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Head {
    Series(SeriesId, SeriesHead),
    Record(ServiceKey, DocumentHead),
    Template(TemplateId, DocumentHead),
}

impl Head {
    /// Reads a key and value of [`Space::Head`]; nothing where they aren't ours or are damaged.
    pub(super) fn read(key: &[u8], value: &[u8]) -> Option<Self> {
        let (&tag, name) = key.split_first()?;
        let name: [u8; 32] = name.try_into().ok()?;
        match tag {
            SERIES => Some(Self::Series(SeriesId::from_bytes(name), frame::decode(value).ok()?)),
            RECORD => Some(Self::Record(ServiceKey::from_bytes(name), frame::decode(value).ok()?)),
            TEMPLATE => Some(Self::Template(TemplateId::from_bytes(name), frame::decode(value).ok()?)),
            _ => None,
        }
    }
}

fn key(tag: u8, name: &[u8; 32]) -> [u8; 33] {
    let mut key = [tag; 33];
    key[1..].copy_from_slice(name);
    key
}

fn save<T: Encode>(step: &mut Step<BookEffect>, key: [u8; 33], head: &T) {
    let value = frame::encode(head).expect("a head is far below a frame's bound");
    step.batch().put(Space::Head, key, value);
}

pub(super) fn save_series(step: &mut Step<BookEffect>, id: &SeriesId, series: &Series) {
    let head = SeriesHead {
        offering: series.head.id(),
        status: series.status.as_ref().map(|s| s.id()),
        conflicting: series.conflicting,
        outdated_since: series.outdated_since,
    };
    save(step, key(SERIES, id.as_bytes()), &head);
}

pub(super) fn save_record(step: &mut Step<BookEffect>, service: &ServiceKey, message: MessageId, own: bool) {
    save(step, key(RECORD, service.as_bytes()), &DocumentHead { message, own });
}

pub(super) fn save_template(step: &mut Step<BookEffect>, id: &TemplateId, message: MessageId, own: bool) {
    save(step, key(TEMPLATE, id.as_bytes()), &DocumentHead { message, own });
}

pub(super) fn forget_series(step: &mut Step<BookEffect>, id: &SeriesId) {
    step.batch().delete(Space::Head, key(SERIES, id.as_bytes()));
}

pub(super) fn forget_record(step: &mut Step<BookEffect>, service: &ServiceKey) {
    step.batch().delete(Space::Head, key(RECORD, service.as_bytes()));
}

pub(super) fn forget_template(step: &mut Step<BookEffect>, id: &TemplateId) {
    step.batch().delete(Space::Head, key(TEMPLATE, id.as_bytes()));
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn stored_heads_have_their_golden_bytes() {
        let head = SeriesHead {
            offering: MessageId::from_bytes([1; 32]),
            status: Some(MessageId::from_bytes([2; 32])),
            conflicting: true,
            outdated_since: Some(Timestamp::from_secs(7)),
        };
        let golden = format!("{}01{}010107", "01".repeat(32), "02".repeat(32));
        assert_eq!(hex::encode(frame::encode(&head).unwrap()), golden);
        let read = Head::read(&key(SERIES, &[9; 32]), &hex::decode(golden).unwrap());
        assert_eq!(read, Some(Head::Series(SeriesId::from_bytes([9; 32]), head)));

        let head = DocumentHead { message: MessageId::from_bytes([1; 32]), own: true };
        let golden = format!("{}01", "01".repeat(32));
        assert_eq!(hex::encode(frame::encode(&head).unwrap()), golden);
        let read = Head::read(&key(RECORD, &[9; 32]), &hex::decode(golden).unwrap());
        assert_eq!(read, Some(Head::Record(ServiceKey::from_bytes([9; 32]), head)));
    }

    #[test]
    fn a_head_that_is_damaged_or_not_ours_is_passed_over() {
        assert_eq!(Head::read(&[], &[]), None);
        assert_eq!(Head::read(&[9; 33], &[0; 33]), None);
        assert_eq!(Head::read(&[0; 32], &[0; 33]), None);
        assert_eq!(Head::read(&[1; 33], &[0; 32]), None);
    }
}
