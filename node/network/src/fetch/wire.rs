//! The bytes of lists of ids and fetches. Numbers are big-endian; nothing may follow.
//!
//! ```text
//! ids     request   1 ‖ u8 length ‖ cursor        (length 0: from the start)
//! fetch   request   2 ‖ u16 count ‖ (u8 kind ‖ id)*
//! ids     response  1 ‖ u16 count ‖ (u8 kind ‖ id)* ‖ u8 length ‖ cursor      (length 0: the last page)
//! fetch   response  2 ‖ u16 processed ‖ u16 count ‖ (u8 kind ‖ id ‖ u32 length ‖ message)*
//! ```

use std::collections::HashSet;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Cursor, FetchPage, IdPage, ItemId};
use crate::config::{MAX_FETCH_BYTES, MAX_IDS};
use crate::peers::PeerFault;

const ITEM: usize = 33;
const IDS: u8 = 1;
const FETCH: u8 = 2;

/// Longest request, bytes.
pub(crate) const MAX_REQUEST: usize = 3 + MAX_IDS * ITEM;
/// Longest response, bytes.
pub(crate) const MAX_RESPONSE: usize = 5 + MAX_IDS * (ITEM + 4) + MAX_FETCH_BYTES;

/// What a peer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Ids(Option<Cursor>),
    Fetch(Vec<ItemId>),
}

impl Request {
    /// Encodes a request of at most [`MAX_IDS`] ids.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Ids(cursor) => {
                out.put_u8(IDS);
                put_cursor(&mut out, cursor.as_ref());
            }
            Self::Fetch(ids) => {
                out.put_u8(FETCH);
                out.put_u16(ids.len() as u16);
                ids.iter().for_each(|id| put_id(&mut out, id));
            }
        }
        out.freeze()
    }

    /// Decodes a request: at most [`MAX_IDS`] ids, at least one, none twice.
    pub(crate) fn decode(mut bytes: Bytes) -> Result<Self, PeerFault> {
        let request = match get_u8(&mut bytes)? {
            IDS => Self::Ids(get_cursor(&mut bytes)?),
            FETCH => {
                let ids = get_ids(&mut bytes)?;
                if ids.is_empty() {
                    return Err(PeerFault::Malformed);
                }
                if ids.iter().collect::<HashSet<_>>().len() < ids.len() {
                    return Err(PeerFault::Repeated);
                }
                Self::Fetch(ids)
            }
            _ => return Err(PeerFault::Malformed),
        };
        end(&bytes)?;
        Ok(request)
    }
}

pub(crate) fn encode_ids(page: &IdPage) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(IDS);
    out.put_u16(page.ids.len() as u16);
    page.ids.iter().for_each(|id| put_id(&mut out, id));
    put_cursor(&mut out, page.next.as_ref());
    out.freeze()
}

pub(crate) fn decode_ids(mut bytes: Bytes) -> Result<IdPage, PeerFault> {
    if get_u8(&mut bytes)? != IDS {
        return Err(PeerFault::Malformed);
    }
    let page = IdPage { ids: get_ids(&mut bytes)?, next: get_cursor(&mut bytes)? };
    end(&bytes)?;
    Ok(page)
}

pub(crate) fn encode_fetched(page: &FetchPage) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(FETCH);
    out.put_u16(page.processed as u16);
    out.put_u16(page.items.len() as u16);
    for (id, message) in &page.items {
        put_id(&mut out, id);
        out.put_u32(message.len() as u32);
        out.put_slice(message);
    }
    out.freeze()
}

pub(crate) fn decode_fetched(mut bytes: Bytes) -> Result<FetchPage, PeerFault> {
    if get_u8(&mut bytes)? != FETCH {
        return Err(PeerFault::Malformed);
    }
    let processed = get_count(&mut bytes)?;
    let count = get_count(&mut bytes)?;
    let mut items = Vec::new();
    let mut total = 0;
    for _ in 0..count {
        let id = get_id(&mut bytes)?;
        let length = bytes.try_get_u32().map_err(|_| PeerFault::Malformed)? as usize;
        if length > bytes.remaining() {
            return Err(PeerFault::Malformed);
        }
        total += length;
        if total > MAX_FETCH_BYTES {
            return Err(PeerFault::TooMany);
        }
        items.push((id, bytes.split_to(length)));
    }
    end(&bytes)?;
    Ok(FetchPage { items, processed })
}

fn put_id(out: &mut BytesMut, id: &ItemId) {
    out.put_u8(id.kind);
    out.put_slice(&id.id);
}

fn put_cursor(out: &mut BytesMut, cursor: Option<&Cursor>) {
    let bytes = cursor.map_or(&[][..], Cursor::as_bytes);
    out.put_u8(bytes.len() as u8);
    out.put_slice(bytes);
}

fn get_u8(bytes: &mut Bytes) -> Result<u8, PeerFault> {
    bytes.try_get_u8().map_err(|_| PeerFault::Malformed)
}

fn get_count(bytes: &mut Bytes) -> Result<usize, PeerFault> {
    let count = usize::from(bytes.try_get_u16().map_err(|_| PeerFault::Malformed)?);
    if count > MAX_IDS { Err(PeerFault::TooMany) } else { Ok(count) }
}

fn get_id(bytes: &mut Bytes) -> Result<ItemId, PeerFault> {
    let kind = get_u8(bytes)?;
    let mut id = [0; 32];
    bytes.try_copy_to_slice(&mut id).map_err(|_| PeerFault::Malformed)?;
    Ok(ItemId { kind, id })
}

fn get_ids(bytes: &mut Bytes) -> Result<Vec<ItemId>, PeerFault> {
    let count = get_count(bytes)?;
    (0..count).map(|_| get_id(bytes)).collect()
}

fn get_cursor(bytes: &mut Bytes) -> Result<Option<Cursor>, PeerFault> {
    let length = usize::from(get_u8(bytes)?);
    if length == 0 {
        return Ok(None);
    }
    if length > bytes.remaining() {
        return Err(PeerFault::Malformed);
    }
    Cursor::new(bytes.split_to(length)).map(Some).ok_or(PeerFault::TooMany)
}

fn end(bytes: &Bytes) -> Result<(), PeerFault> {
    if bytes.is_empty() { Ok(()) } else { Err(PeerFault::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> Vec<ItemId> {
        (0..count)
            .map(|n| {
                let mut id = [0; 32];
                id[..8].copy_from_slice(&(n as u64).to_be_bytes());
                ItemId { kind: 3, id }
            })
            .collect()
    }

    fn cursor() -> Option<Cursor> {
        Cursor::new(Bytes::from_static(b"here"))
    }

    fn fetched() -> FetchPage {
        let items = ids(3).into_iter().map(|id| (id, Bytes::from_static(b"message"))).collect();
        FetchPage { items, processed: 5 }
    }

    #[test]
    fn everything_comes_back_as_it_went() {
        for request in [Request::Ids(None), Request::Ids(cursor()), Request::Fetch(ids(MAX_IDS))] {
            let wire = request.encode();
            assert!(wire.len() <= MAX_REQUEST);
            assert_eq!(Request::decode(wire), Ok(request));
        }
        for page in [IdPage::default(), IdPage { ids: ids(MAX_IDS), next: cursor() }] {
            let wire = encode_ids(&page);
            assert!(wire.len() <= MAX_RESPONSE);
            assert_eq!(decode_ids(wire), Ok(page));
        }
        assert_eq!(decode_fetched(encode_fetched(&fetched())), Ok(fetched()));
    }

    #[test]
    fn what_is_cut_short_or_goes_on_is_malformed() {
        let request = Request::Fetch(ids(2)).encode();
        let list = encode_ids(&IdPage { ids: ids(2), next: cursor() });
        let messages = encode_fetched(&fetched());
        for length in 0..request.len() {
            assert_eq!(Request::decode(request.slice(..length)), Err(PeerFault::Malformed));
        }
        for length in 0..list.len() {
            assert_eq!(decode_ids(list.slice(..length)), Err(PeerFault::Malformed));
        }
        for length in 0..messages.len() {
            assert_eq!(decode_fetched(messages.slice(..length)), Err(PeerFault::Malformed));
        }
        let longer = |bytes: &Bytes| Bytes::from([&bytes[..], b"x"].concat());
        assert_eq!(Request::decode(longer(&request)), Err(PeerFault::Malformed));
        assert_eq!(decode_ids(longer(&list)), Err(PeerFault::Malformed));
        assert_eq!(decode_fetched(longer(&messages)), Err(PeerFault::Malformed));
    }

    #[test]
    fn bounds_hold_for_what_arrives() {
        assert_eq!(Request::decode(Request::Fetch(ids(MAX_IDS + 1)).encode()), Err(PeerFault::TooMany));
        assert_eq!(Request::decode(Request::Fetch(vec![]).encode()), Err(PeerFault::Malformed));
        assert_eq!(Request::decode(Request::Fetch([ids(1), ids(1)].concat()).encode()), Err(PeerFault::Repeated));
        let list = encode_ids(&IdPage { ids: ids(MAX_IDS + 1), next: None });
        assert_eq!(decode_ids(list), Err(PeerFault::TooMany));
        let items = ids(2).into_iter().map(|id| (id, Bytes::from(vec![0; MAX_FETCH_BYTES / 2 + 1]))).collect();
        let large = encode_fetched(&FetchPage { items, processed: 2 });
        assert_eq!(decode_fetched(large), Err(PeerFault::TooMany));
        let mut long = vec![IDS, 65];
        long.extend([0; 65]);
        assert_eq!(Request::decode(long.into()), Err(PeerFault::TooMany));
    }
}
