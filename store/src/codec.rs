//! Stored values: one version byte, then the canonical encoding of the type of that version.

use bincode::{Decode, Encode};
use tradepost_protocol::frame::{self, FrameError};

/// Why a stored value can't be read or made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// No bytes at all.
    #[error("a stored value is empty: the database is damaged")]
    Empty,
    /// Another version than the one asked for.
    #[error("a stored value has version {found}, expected was {expected}: was it written by a newer tradepost?")]
    Version {
        /// The version that it has.
        found: u8,
        /// The version that was asked for.
        expected: u8,
    },
    /// Not the canonical encoding of the type.
    #[error("a stored value can't be encoded or decoded: {0}")]
    Frame(#[from] FrameError),
}

/// A value as it is stored.
///
/// # Errors
/// [`CodecError::Frame`] where its encoding is larger than a frame may be.
pub fn encode_stored<T: Encode>(version: u8, value: &T) -> Result<Vec<u8>, CodecError> {
    let mut stored = vec![version];
    stored.extend(frame::encode(value)?);
    Ok(stored)
}

/// The version of a stored value, by which the reader chooses the type.
///
/// # Errors
/// [`CodecError::Empty`].
pub fn stored_version(stored: &[u8]) -> Result<u8, CodecError> {
    stored.first().copied().ok_or(CodecError::Empty)
}

/// Reads a stored value of one version.
///
/// # Errors
/// Any [`CodecError`]; another version's bytes are never taken for this one's.
pub fn decode_stored<T: Encode + Decode<()>>(version: u8, stored: &[u8]) -> Result<T, CodecError> {
    let found = stored_version(stored)?;
    if found != version {
        return Err(CodecError::Version { found, expected: version });
    }
    Ok(frame::decode(&stored[1..])?)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_stored_value_is_its_version_and_its_canonical_encoding() {
        let stored = encode_stored(3, &(5u64, "ab".to_owned())).unwrap();
        assert_eq!(stored, [3, 5, 2, b'a', b'b']);
        assert_eq!(stored_version(&stored), Ok(3));
        assert_eq!(decode_stored(3, &stored), Ok((5u64, "ab".to_owned())));
    }

    #[test]
    fn another_version_or_damaged_bytes_are_refused() {
        let stored = encode_stored(3, &5u64).unwrap();
        assert_eq!(decode_stored::<u64>(2, &stored), Err(CodecError::Version { found: 3, expected: 2 }));
        assert_eq!(decode_stored::<u64>(3, &[]), Err(CodecError::Empty));
        assert_eq!(decode_stored::<u64>(3, &[3, 5, 0]), Err(CodecError::Frame(FrameError::NotCanonical)));
        assert!(matches!(decode_stored::<u64>(3, &[3]), Err(CodecError::Frame(FrameError::Malformed(_)))));
    }
}
