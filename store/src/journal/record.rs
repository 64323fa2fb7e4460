//! The journal's bytes: header and records. All numbers are little endian.
//!
//! ```text
//! header   "TPJOURN\n"  format u32  generation u64  network id [32]  crc32 of the foregoing u32
//! record   "TPR1"  length of the payload u32  crc32 of the head u32  crc32 of the payload u32  payload
//! payload  batches u32, each: writes u32, each: 1 put | 0 delete, space u8, key length u16, key,
//!          and for a put: value length u32, value
//! ```
//! Both checksums of a record begin with the journal's generation and the record's own offset, so that bytes of another
//! file, or from elsewhere in this one, are never taken for a record.

use tradepost_protocol::frame;
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::step::Batch;

use crate::keyspace::{parts, space_of};

/// The journal's format that this version writes and the latest that it knows.
pub(crate) const JOURNAL_FORMAT: u32 = 1;
/// Bytes of the header.
pub(crate) const HEADER_BYTES: usize = 56;
/// Bytes of a record before its payload.
pub(crate) const RECORD_HEAD_BYTES: usize = 16;
/// What every record begins with.
pub(crate) const RECORD_MAGIC: [u8; 4] = *b"TPR1";

const FILE_MAGIC: [u8; 8] = *b"TPJOURN\n";

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) format: u32,
    pub(crate) generation: u64,
    pub(crate) network: NetworkId,
}

impl Header {
    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&FILE_MAGIC);
        bytes[8..12].copy_from_slice(&self.format.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.generation.to_le_bytes());
        bytes[20..52].copy_from_slice(self.network.as_bytes());
        let crc = crc32fast::hash(&bytes[..52]);
        bytes[52..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// What a header's bytes say; `None` where they are none.
    pub(crate) fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let mut rest = Reader(bytes);
        let (magic, format) = (rest.array::<8>()?, rest.u32()?);
        let generation = u64::from_le_bytes(rest.array()?);
        let network = frame::decode(rest.take(32)?).ok()?;
        let whole = magic == FILE_MAGIC && crc32fast::hash(&bytes[..52]) == rest.u32()?;
        whole.then_some(Self { format, generation, network })
    }
}

/// Where a record stands: what its checksums begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) generation: u64,
    pub(crate) offset: u64,
}

impl Place {
    fn crc(self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.generation.to_le_bytes());
        hasher.update(&self.offset.to_le_bytes());
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// The head of a record that was found whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub(crate) length: u32,
    payload_crc: u32,
}

impl RecordHead {
    /// What a record's first bytes say; `None` where no record stands at this place.
    pub(crate) fn from_bytes(place: Place, bytes: &[u8; RECORD_HEAD_BYTES]) -> Option<Self> {
        let mut rest = Reader(bytes);
        let (magic, length, head_crc, payload_crc) = (rest.array::<4>()?, rest.u32()?, rest.u32()?, rest.u32()?);
        (magic == RECORD_MAGIC && head_crc == place.crc(&bytes[..8])).then_some(Self { length, payload_crc })
    }

    /// Whether these bytes are the payload that the head announces.
    pub(crate) fn fits(&self, place: Place, payload: &[u8]) -> bool {
        place.crc(payload) == self.payload_crc
    }
}

/// A whole record: batches that become durable together.
pub(crate) fn encode_record<'a>(place: Place, batches: impl ExactSizeIterator<Item = &'a Batch>) -> Vec<u8> {
    let mut bytes = vec![0; RECORD_HEAD_BYTES];
    put_u32(&mut bytes, batches.len());
    for batch in batches {
        put_u32(&mut bytes, batch.writes().len());
        for (space, key, value) in batch.writes().iter().map(parts) {
            bytes.extend([u8::from(value.is_some()), space as u8]);
            let key_length = u16::try_from(key.len()).expect("keys are bounded before they come here");
            bytes.extend(key_length.to_le_bytes());
            bytes.extend_from_slice(key);
            if let Some(value) = value {
                put_u32(&mut bytes, value.len());
                bytes.extend_from_slice(value);
            }
        }
    }
    let length = u32::try_from(bytes.len() - RECORD_HEAD_BYTES).expect("groups are bounded before they come here");
    bytes[..4].copy_from_slice(&RECORD_MAGIC);
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    let head_crc = place.crc(&bytes[..8]);
    let payload_crc = place.crc(&bytes[RECORD_HEAD_BYTES..]);
    bytes[8..12].copy_from_slice(&head_crc.to_le_bytes());
    bytes[12..16].copy_from_slice(&payload_crc.to_le_bytes());
    bytes
}

/// The batches of a record's payload; `None` where the bytes say something that this version doesn't know.
pub(crate) fn decode_payload(payload: &[u8]) -> Option<Vec<Batch>> {
    let mut rest = Reader(payload);
    let mut batches = Vec::new();
    for _ in 0..rest.u32()? {
        let mut batch = Batch::new();
        for _ in 0..rest.u32()? {
            let [what, space] = rest.array()?;
            let space = space_of(space)?;
            let key_length = u16::from_le_bytes(rest.array()?);
            let key = rest.take(usize::from(key_length))?;
            match what {
                0 => batch.delete(space, key),
                1 => {
                    let length = usize::try_from(rest.u32()?).ok()?;
                    batch.put(space, key, rest.take(length)?);
                }
                _ => return None,
            }
        }
        batches.push(batch);
    }
    rest.0.is_empty().then_some(batches)
}

fn put_u32(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend(u32::try_from(number).expect("groups are bounded before they come here").to_le_bytes());
}

/// Bytes not read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tradepost_protocol::step::Space;

    use super::*;

    const PLACE: Place = Place { generation: 7, offset: 56 };

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn batches() -> Vec<Batch> {
        let (mut first, mut second) = (Batch::new(), Batch::new());
        first.put(Space::Intent, "k", "value");
        first.delete(Space::Binding, "gone");
        second.put(Space::Request, "", "");
        vec![first, second]
    }

    #[test]
    fn the_header_has_its_golden_bytes() {
        let network = NetworkId::of_passphrase("Test SDF Network ; September 2015");
        let header = Header { format: 1, generation: 7, network };
        let bytes = header.to_bytes();
        assert_eq!(
            hex(&bytes),
            "54504a4f55524e0a010000000700000000000000\
             cee0302d59844d32bdca915c8203dd44b33fbb7edc19051ea37abedf28ecd47264369938"
        );
        assert_eq!(Header::from_bytes(&bytes), Some(header));
    }

    #[test]
    fn a_record_has_its_golden_bytes() {
        let record = encode_record(PLACE, batches().iter());
        assert_eq!(
            hex(&record),
            "545052312a000000e044e3f0813580c9\
             02000000\
             02000000\
             010501006b0500000076616c7565\
             00040400676f6e65\
             01000000\
             0106000000000000"
        );
        let head = RecordHead::from_bytes(PLACE, record[..16].try_into().unwrap()).unwrap();
        assert_eq!(usize::try_from(head.length).unwrap(), record.len() - 16);
        assert!(head.fits(PLACE, &record[16..]));
        assert_eq!(decode_payload(&record[16..]).unwrap(), batches());
    }

    #[test]
    fn any_flipped_bit_and_any_other_place_is_noticed() {
        let record = encode_record(PLACE, batches().iter());
        let whole = |record: &[u8], place| {
            RecordHead::from_bytes(place, record[..16].try_into().unwrap())
                .is_some_and(|head| head.fits(place, &record[16..]))
        };
        assert!(whole(&record, PLACE));
        assert!(!whole(&record, Place { offset: 57, ..PLACE }));
        assert!(!whole(&record, Place { generation: 8, ..PLACE }));
        for bit in 0..record.len() * 8 {
            let mut damaged = record.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!whole(&damaged, PLACE), "bit {bit}");
        }
        let network = NetworkId::of_passphrase("n");
        let header = Header { format: 1, generation: 7, network }.to_bytes();
        for bit in 0..header.len() * 8 {
            let mut damaged = header;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::from_bytes(&damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn a_payload_that_says_more_than_this_version_knows_is_refused_without_a_panic() {
        let record = encode_record(PLACE, batches().iter());
        let payload = &record[16..];
        for cut in 0..payload.len() {
            assert_eq!(decode_payload(&payload[..cut]), None, "cut at {cut}");
        }
        assert_eq!(decode_payload(&[payload, &[0]].concat()), None, "trailing byte");
        let mut unknown = payload.to_vec();
        unknown[9] = 200;
        assert_eq!(decode_payload(&unknown), None, "unknown space");
        assert_eq!(decode_payload(&u32::MAX.to_le_bytes()), None, "hostile count");
    }
}
