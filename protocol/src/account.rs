//! Public keys by their role: who signs what.
//!
//! All are ed25519 keys and are written as Stellar account ids (`G…`, SEP-23), so that one form serves people
//! everywhere. The types differ so that a serving key can never stand where an account is meant.

use core::fmt;
use core::str::FromStr;

use bincode::{Decode, Encode};
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use stellar_strkey::ed25519::PublicKey as StrkeyPublic;

/// A text that should have been a public key and isn't.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a public key: expected 56 characters that begin with G (a Stellar account id)")]
pub struct KeyTextError(pub String);

macro_rules! key_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps the 32 bytes of an ed25519 public key; whether they are a point shows when something is verified.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The public key that belongs to a signing key.
            pub fn of(key: &SigningKey) -> Self {
                Self(key.verifying_key().to_bytes())
            }

            /// The 32 bytes of the public key.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The key ready for verification, or `None` where the bytes are not a point of the curve.
            pub fn verifying_key(&self) -> Option<VerifyingKey> {
                VerifyingKey::from_bytes(&self.0).ok()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(StrkeyPublic(self.0).to_string().as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = KeyTextError;
            fn from_str(text: &str) -> Result<Self, KeyTextError> {
                match StrkeyPublic::from_string(text) {
                    Ok(key) => Ok(Self(key.0)),
                    Err(_) => Err(KeyTextError(text.chars().take(64).collect())),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

key_type! {
    /// A Stellar account: signs offerings, requests and money.
    AccountId
}
key_type! {
    /// The key that an offering names for what an unattended node must sign: presence, statuses, agreements.
    ServingKey
}
key_type! {
    /// A service's own key, `SERVICE_PK`: signs its service records.
    ServiceKey
}
key_type! {
    /// Whatever ed25519 key signed a message, before its role is known.
    SignerKey
}

macro_rules! as_signer {
    ($($name:ident),*) => { $(impl From<$name> for SignerKey {
        fn from(key: $name) -> Self { Self(key.0) }
    })* };
}
as_signer!(AccountId, ServingKey, ServiceKey);

/// A libp2p peer id in its text form, opaque to the protocol: 1 to 64 base58 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Encode)]
pub struct PeerId(String);

impl PeerId {
    /// The longest text of a peer id, in characters.
    pub const MAX_CHARS: usize = 64;

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that should have been a peer id and isn't.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a peer id: expected 1 to 64 base58 characters, such as 12D3KooW…")]
pub struct PeerIdError(String);

impl FromStr for PeerId {
    type Err = PeerIdError;
    fn from_str(text: &str) -> Result<Self, PeerIdError> {
        let base58 = |c: char| c.is_ascii_alphanumeric() && !matches!(c, '0' | 'O' | 'I' | 'l');
        if (1..=Self::MAX_CHARS).contains(&text.len()) && text.chars().all(base58) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PeerIdError(text.chars().take(Self::MAX_CHARS).collect()))
        }
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<C> Decode<C> for PeerId {
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, bincode::error::DecodeError> {
        String::decode(d)?.parse().map_err(|e: PeerIdError| bincode::error::DecodeError::OtherString(e.to_string()))
    }
}
bincode::impl_borrow_decode!(PeerId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_and_a_wrong_checksum_is_refused() {
        let key = AccountId::from_bytes([7; 32]);
        let text = key.to_string();
        assert_eq!(text.parse::<AccountId>(), Ok(key));
        let last = if text.ends_with('A') { 'B' } else { 'A' };
        let wrong = format!("{}{last}", &text[..55]);
        assert!(wrong.parse::<AccountId>().is_err());
        assert!("".parse::<AccountId>().is_err());
    }

    #[test]
    fn a_peer_id_is_bounded_and_base58() {
        assert!("12D3KooWabc".parse::<PeerId>().is_ok());
        for bad in ["", "has space", "0OIl", &"a".repeat(65)] {
            assert!(bad.parse::<PeerId>().is_err(), "{bad}");
        }
    }
}
