//! Signed messages: `payload ‖ signature`, packed, identified, opened.
//!
//! Bytes from outside become a [`Packed`] (bounded, with its id), then an [`Unverified`] body (parsed), then a
//! [`Signed`] one. Nothing but [`Unverified::verify`] and [`Signed::sign`] makes a `Signed`. The bytes received are the
//! bytes stored and passed on.

use core::fmt;
use core::str::FromStr;

use bincode::{Decode, Encode};
use ed25519_dalek::{Signature, Signer, SigningKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha3::{Digest, Keccak256};

use crate::account::SignerKey;
use crate::frame;
use crate::kind::{Form, Kind};
use crate::limits::SIGNATURE_BYTES;
use crate::network_id::NetworkId;
use crate::refusal::{Reason, Refusal};

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps 32 bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
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
                write!(f, concat!(stringify!($name), "({})"), &hex::encode(&self.0[..6]))
            }
        }

        impl FromStr for $name {
            type Err = HashTextError;
            fn from_str(text: &str) -> Result<Self, HashTextError> {
                let mut bytes = [0; 32];
                let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
                match hex::decode_to_slice(text, &mut bytes) {
                    Ok(()) if lower => Ok(Self(bytes)),
                    _ => Err(HashTextError(text.chars().take(80).collect())),
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
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// A text that should have been 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an id: expected 64 lower-case hex digits")]
pub struct HashTextError(String);

hash_type! {
    /// A message's id: keccak-256 over kind, network, payload and signature.
    MessageId
}
hash_type! {
    /// What a signature covers: keccak-256 over kind, network and payload.
    SigningDigest
}
hash_type! {
    /// A binding: the signing digest of its agreement's payload.
    BindingId
}
hash_type! {
    /// An offering series: the id of its first revision.
    SeriesId
}
hash_type! {
    /// A template: keccak-256 of its payload.
    TemplateId
}
hash_type! {
    /// The hash of a Stellar transaction.
    TxHash
}
hash_type! {
    /// The hash part of a claimable balance's id.
    BalanceId
}

hash_type! {
    /// A SHA-256 hash: what is timestamped, or a node beside its way to the root.
    Sha256Hash
}

/// keccak-256 over the concatenation of parts.
pub fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// What a signature over this payload covers.
pub fn digest(kind: Kind, network: &NetworkId, payload: &[u8]) -> SigningDigest {
    SigningDigest(keccak(&[b"tradepost/1/", kind.name().as_bytes(), &[0], network.as_bytes(), payload]))
}

/// A message's bytes, bounded for their kind, with their id. Nothing else is known of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Packed {
    kind: Kind,
    id: MessageId,
    bytes: Vec<u8>,
}

impl Packed {
    /// Takes bytes that claim to be of a kind.
    ///
    /// # Errors
    /// [`Reason::TooShort`] under 64 bytes and [`Reason::TooLarge`] above the kind's bound.
    pub fn new(kind: Kind, network: &NetworkId, bytes: Vec<u8>) -> Result<Self, Refusal> {
        if bytes.len() < SIGNATURE_BYTES {
            return Err(Refusal::new(
                Reason::TooShort,
                format_args!("{} bytes, a signature alone has 64", bytes.len()),
            ));
        }
        if bytes.len() > kind.max_bytes() {
            let detail = format!("{} bytes, a {kind} has at most {}", bytes.len(), kind.max_bytes());
            return Err(Refusal::new(Reason::TooLarge, detail));
        }
        let id = keccak(&[b"tradepost/1/id", kind.name().as_bytes(), &[0], network.as_bytes(), &bytes]);
        Ok(Self { kind, id: MessageId(id), bytes })
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its id.
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// Payload and signature, as received.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[..self.bytes.len() - SIGNATURE_BYTES]
    }

    /// The last 64 bytes.
    pub fn signature(&self) -> [u8; SIGNATURE_BYTES] {
        let mut signature = [0; SIGNATURE_BYTES];
        signature.copy_from_slice(&self.bytes[self.bytes.len() - SIGNATURE_BYTES..]);
        signature
    }

    /// Parses the payload; the signature isn't looked at yet.
    ///
    /// # Errors
    /// [`Reason::WrongKind`] where `T` is of another kind, [`Reason::Malformed`] where it doesn't parse.
    pub fn parse<T: Payload>(self) -> Result<Unverified<T>, Refusal> {
        if self.kind != T::KIND {
            let detail = format!("a {} where a {} is expected", self.kind, T::KIND);
            return Err(Refusal::new(Reason::WrongKind, detail));
        }
        let body = T::decode(self.payload())?;
        Ok(Unverified { packed: self, body })
    }

    /// Parses and verifies in one go, for what doesn't pass through the book.
    ///
    /// # Errors
    /// As [`Packed::parse`] and [`Unverified::verify`].
    pub fn open<T: Payload>(self, network: &NetworkId) -> Result<Signed<T>, Refusal> {
        self.parse::<T>()?.verify(network)
    }

    /// Opens what this node verified before it stored it under its id. The id covers kind, network, payload and signature,
    /// so what still has it needs no second look at the signature: a start costs decoding, not verifying.
    ///
    /// # Errors
    /// As [`Packed::parse`], and [`Reason::Malformed`] where the id is another one: then the store is damaged.
    pub fn open_stored<T: Payload>(self, network: &NetworkId, stored_under: &[u8]) -> Result<Signed<T>, Refusal> {
        if stored_under != self.id.as_bytes() {
            let detail = format_args!("the {} that was stored is another now: its id is {}", self.kind, self.id);
            return Err(Refusal::new(Reason::Malformed, detail));
        }
        let Unverified { packed, body } = self.parse::<T>()?;
        Ok(Signed { digest: digest(T::KIND, network, packed.payload()), packed, body })
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({} {:?}, {} bytes)", self.kind, self.id, self.bytes.len())
    }
}

/// The body of a kind of message: how it is written and whose key must have signed it.
pub trait Payload: Sized {
    /// Its kind.
    const KIND: Kind;

    /// Reads it from a payload, checking everything that can be checked without knowing anything else.
    ///
    /// # Errors
    /// [`Reason::Malformed`] or [`Reason::InvalidDocument`].
    fn decode(payload: &[u8]) -> Result<Self, Refusal>;

    /// Writes it.
    ///
    /// # Errors
    /// Where it is larger than its kind may be, or isn't what [`Payload::decode`] would accept.
    fn encode(&self) -> Result<Vec<u8>, Refusal>;

    /// Whose signature it needs, as the payload itself says.
    fn signer(&self) -> SignerKey;
}

/// Reads a frame's payload: what [`Payload::decode`] of every frame is.
///
/// # Errors
/// [`Reason::Malformed`] with what the frame decoder says.
pub fn decode_frame<T: Encode + Decode<()>>(kind: Kind, payload: &[u8]) -> Result<T, Refusal> {
    debug_assert!(matches!(kind.form(), Form::Frame));
    frame::decode(payload).map_err(|e| Refusal::new(Reason::Malformed, format_args!("{kind}: {e}")))
}

/// Writes a frame's payload: what [`Payload::encode`] of every frame is.
///
/// # Errors
/// [`Reason::TooLarge`].
pub fn encode_frame<T: Encode>(kind: Kind, body: &T) -> Result<Vec<u8>, Refusal> {
    let bytes = frame::encode(body).map_err(|e| Refusal::new(Reason::TooLarge, e))?;
    if bytes.len() + SIGNATURE_BYTES > kind.max_bytes() {
        let detail = format!("a {kind} of {} bytes, at most {}", bytes.len() + SIGNATURE_BYTES, kind.max_bytes());
        return Err(Refusal::new(Reason::TooLarge, detail));
    }
    Ok(bytes)
}

/// A parsed message whose signature hasn't been verified.
#[derive(Debug, Clone)]
pub struct Unverified<T> {
    packed: Packed,
    body: T,
}

impl<T: Payload> Unverified<T> {
    /// What it claims. Only checks that need no trust may look at it.
    pub fn claims(&self) -> &T {
        &self.body
    }

    /// The message's id.
    pub fn id(&self) -> MessageId {
        self.packed.id
    }

    /// Verifies the signature, strictly and singly (RFC 8032 with `verify_strict`: no small-order keys, canonical S).
    ///
    /// # Errors
    /// [`Reason::BadSignature`].
    pub fn verify(self, network: &NetworkId) -> Result<Signed<T>, Refusal> {
        let signer = self.body.signer();
        let bad = |what: &str| Refusal::new(Reason::BadSignature, format_args!("{what} of {signer}"));
        let key = signer.verifying_key().ok_or_else(|| bad("not a valid key: the one"))?;
        let digest = digest(T::KIND, network, self.packed.payload());
        let signature = Signature::from_bytes(&self.packed.signature());
        key.verify_strict(digest.as_bytes(), &signature).map_err(|_| bad("the signature isn't one"))?;
        Ok(Signed { digest, packed: self.packed, body: self.body })
    }
}

/// A message that its signer signed for its kind and this network.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed<T> {
    digest: SigningDigest,
    packed: Packed,
    body: T,
}

impl<T: Payload> Signed<T> {
    /// Signs a body.
    ///
    /// # Errors
    /// What [`Payload::encode`] refuses, and [`Reason::BadSignature`] where `key` isn't the key that the body names.
    pub fn sign(body: T, network: &NetworkId, key: &SigningKey) -> Result<Self, Refusal> {
        if SignerKey::of(key) != body.signer() {
            let detail = format!("the body names {}, the key is {}", body.signer(), SignerKey::of(key));
            return Err(Refusal::new(Reason::BadSignature, detail));
        }
        let mut bytes = body.encode()?;
        let digest = digest(T::KIND, network, &bytes);
        bytes.extend(key.sign(digest.as_bytes()).to_bytes());
        let packed = Packed::new(T::KIND, network, bytes)?;
        Ok(Self { digest, packed, body })
    }

    /// The message's id.
    pub fn id(&self) -> MessageId {
        self.packed.id
    }

    /// What the signature covers.
    pub fn digest(&self) -> SigningDigest {
        self.digest
    }

    /// The body.
    pub fn body(&self) -> &T {
        &self.body
    }

    /// The bytes, as received.
    pub fn packed(&self) -> &Packed {
        &self.packed
    }

    /// Takes the body out.
    pub fn into_body(self) -> T {
        self.body
    }
}

impl<T: fmt::Debug> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("id", &self.packed.id).field("body", &self.body).finish()
    }
}
