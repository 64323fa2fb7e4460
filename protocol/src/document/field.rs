//! Types of fields that documents share; each can only hold what the field may say.

use core::fmt;
use core::str::FromStr;

use bincode::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::MAX_REPOSITORY_CHARS;

/// A text that isn't what its field holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct FieldError {
    text: String,
    expected: &'static str,
}

macro_rules! hex_field {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Wraps the bytes.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = FieldError;
            fn from_str(text: &str) -> Result<Self, FieldError> {
                let mut bytes = [0; $bytes];
                let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
                match hex::decode_to_slice(text, &mut bytes) {
                    Ok(()) if lower => Ok(Self(bytes)),
                    _ => Err(FieldError { text: text.chars().take(80).collect(), expected: $expected }),
                }
            }
        }

        text_serde!($name);
    };
}

macro_rules! text_serde {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! text_field {
    ($(#[$doc:meta])* $name:ident, $valid:expr, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = FieldError;
            fn from_str(text: &str) -> Result<Self, FieldError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(FieldError { text: text.chars().take(80).collect(), expected: $expected })
                }
            }
        }

        text_serde!($name);
    };
}

hex_field! {
    /// The hash of a service's interface description.
    InterfaceHash, 32, "an interface hash: expected 64 lower-case hex digits"
}
hex_field! {
    /// Sixteen bytes that make a document's id its own.
    Nonce, 16, "a nonce: expected 32 lower-case hex digits"
}
text_field! {
    /// Where a service's source is: an https URL without user, query or fragment.
    Repository, is_repository, "a repository: expected an https URL without user, query or fragment"
}
text_field! {
    /// A commit of a repository: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits.
    Commit, is_commit, "a commit: expected 40 or 64 lower-case hex digits"
}
text_field! {
    /// A service's directory in its repository, relative and without `..`; empty for the repository itself.
    ServicePath, is_path, "a path in a repository: expected a relative one without .., such as services/translate"
}

fn is_repository(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else { return false };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    let label = |l: &str| {
        let inner = l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        !l.is_empty() && inner && !l.starts_with('-') && !l.ends_with('-')
    };
    let plain =
        |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
    text.len() <= MAX_REPOSITORY_CHARS
        && host.split('.').all(label)
        && port.parse::<u16>().is_ok_and(|p| p > 0)
        && path.bytes().all(|b| plain(b) && !matches!(b, b'?' | b'#' | b'@'))
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_path(text: &str) -> bool {
    let part = |p: &str| {
        let plain = p.chars().all(|c| !c.is_control() && c != '\\');
        !matches!(p, "" | "." | "..") && plain
    };
    text.is_empty() || (text.chars().count() <= MAX_REPOSITORY_CHARS && text.split('/').all(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_a_plain_https_url() {
        for good in ["https://example.org/a/b.git", "https://example.org", "https://git.example.org:8443/x/~y"] {
            assert!(good.parse::<Repository>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "http://example.org/a",
            "https://",
            "https:///a",
            "https://user@example.org/a",
            "ssh://example.org",
            "https://example.org/a?b",
            "https://example.org/a#b",
            "https://example.org/a b",
            "https://ex ample.org",
            "https://example.org:0/a",
            "https://example.org:99999/a",
            "https://[::1]/a",
            "https://-a.org",
            "https://a..b/c",
            "https://example.org/\u{e9}",
        ] {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
        assert!(format!("https://example.org/{}", "a".repeat(256)).parse::<Repository>().is_err());
    }

    #[test]
    fn a_path_stays_in_its_repository() {
        for good in ["", "a", "services/translate", "a.b/..c"] {
            assert!(good.parse::<ServicePath>().is_ok(), "{good}");
        }
        for bad in ["/", "/a", "a/", "..", "a/../b", "./a", "a//b", "a\\b", "a\nb"] {
            assert!(bad.parse::<ServicePath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn hex_has_its_length_and_is_lower_case() {
        assert!("ab".repeat(20).parse::<Commit>().is_ok());
        assert!("ab".repeat(32).parse::<Commit>().is_ok());
        for bad in ["", "ab", &"ab".repeat(21), &"AB".repeat(20), &"gg".repeat(20)] {
            assert!(bad.parse::<Commit>().is_err(), "{bad}");
        }
        assert!("0a".repeat(16).parse::<Nonce>().is_ok());
        assert!("0A".repeat(16).parse::<Nonce>().is_err());
        assert!("0a".repeat(16).parse::<InterfaceHash>().is_err());
    }
}
