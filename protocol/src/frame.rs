//! Canonical bincode: the one encoding of every frame and every stored type.
//!
//! bincode 2 in its standard configuration (little endian, variable integers) with a limit. Decoding accepts nothing
//! that doesn't encode to the very same bytes again, so trailing bytes and non-minimal integers are refused.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::{Decode, Encode};

/// The most bytes that a frame or stored value may have.
pub const MAX_BYTES: usize = 65_536;

const CONFIG: Configuration<LittleEndian, Varint, Limit<MAX_BYTES>> =
    bincode::config::standard().with_limit::<MAX_BYTES>();

/// Why bytes are no canonical encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// More bytes than [`MAX_BYTES`].
    #[error("{0} bytes are more than a frame may have ({MAX_BYTES})")]
    TooLarge(usize),
    /// Not decodable as the type expected.
    #[error("not decodable: {0}")]
    Malformed(String),
    /// Decodable, but not the one encoding of what it says.
    #[error("not in canonical encoding (trailing bytes, or integers that are longer than needed)")]
    NotCanonical,
}

/// The canonical encoding of a value.
///
/// # Errors
/// [`FrameError::TooLarge`] where the value would need more than [`MAX_BYTES`].
pub fn encode<T: Encode>(value: &T) -> Result<Vec<u8>, FrameError> {
    let bytes = bincode::encode_to_vec(value, CONFIG).map_err(|e| FrameError::Malformed(e.to_string()))?;
    if bytes.len() > MAX_BYTES { Err(FrameError::TooLarge(bytes.len())) } else { Ok(bytes) }
}

/// Reads a value from its canonical encoding.
///
/// # Errors
/// Any [`FrameError`]; nothing else is accepted, however it was encoded.
pub fn decode<T: Encode + Decode<()>>(bytes: &[u8]) -> Result<T, FrameError> {
    if bytes.len() > MAX_BYTES {
        return Err(FrameError::TooLarge(bytes.len()));
    }
    let (value, used) =
        bincode::decode_from_slice::<T, _>(bytes, CONFIG).map_err(|e| FrameError::Malformed(e.to_string()))?;
    if used != bytes.len() || encode(&value)? != bytes {
        return Err(FrameError::NotCanonical);
    }
    Ok(value)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_encoding_is_accepted() {
        assert_eq!(encode(&5u64).unwrap(), [5]);
        assert_eq!(decode::<u64>(&[5]), Ok(5));
        assert_eq!(decode::<u64>(&[0xfb, 5, 0]), Err(FrameError::NotCanonical), "non-minimal integer");
        assert_eq!(decode::<u64>(&[5, 0]), Err(FrameError::NotCanonical), "trailing byte");
        assert!(matches!(decode::<u64>(&[]), Err(FrameError::Malformed(_))));
    }

    #[test]
    fn a_hostile_length_is_an_error_and_no_allocation() {
        let mut hostile = vec![0xfd];
        hostile.extend(u64::MAX.to_le_bytes());
        assert!(matches!(decode::<Vec<u8>>(&hostile), Err(FrameError::Malformed(_))));
        assert_eq!(decode::<Vec<u8>>(&vec![0; MAX_BYTES + 1]), Err(FrameError::TooLarge(MAX_BYTES + 1)));
    }
}
