//! Sealing to a key: what only its holder may read (HPKE, RFC 9180, base mode).
//!
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. A sealed text is the 32 bytes of the encapsulated key and
//! the ciphertext with its tag. `info` says what the text is for and `aad` what it belongs to; a text opened with
//! another key, for another purpose or for another binding is refused.

use core::fmt;
use core::str::FromStr;

use bincode::{Decode, Encode};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

type Suite = X25519HkdfSha256;

/// Bytes that sealing adds: the encapsulated key and the tag.
pub const OVERHEAD: usize = 32 + 16;

/// An X25519 public key that texts are sealed to; 64 hex digits in documents.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct SealingKey([u8; 32]);

impl SealingKey {
    /// Wraps the 32 bytes of an X25519 public key.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({self})")
    }
}

/// A text that should have been a sealing key and isn't.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a sealing key: expected 64 lower-case hex digits")]
pub struct SealingKeyError(String);

impl FromStr for SealingKey {
    type Err = SealingKeyError;
    fn from_str(text: &str) -> Result<Self, SealingKeyError> {
        let mut bytes = [0; 32];
        let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) if lower => Ok(Self(bytes)),
            _ => Err(SealingKeyError(text.chars().take(80).collect())),
        }
    }
}

impl Serialize for SealingKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SealingKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The secret half of a [`SealingKey`].
#[derive(Clone)]
pub struct SealingSecret(Zeroizing<[u8; 32]>);

impl fmt::Debug for SealingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingSecret(…)")
    }
}

/// A sealed text that doesn't open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not for this key, purpose or binding, or changed on its way.
    #[error("the sealed text doesn't open: it is for another key or binding, or was changed on its way")]
    DoesNotOpen,
    /// The public key is no X25519 point that anything can be sealed to.
    #[error("nothing can be sealed to this key: it is not a usable X25519 key")]
    BadKey,
}

impl SealingSecret {
    /// Takes 32 secret bytes; any value will do (X25519 clamps).
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret bytes, for encrypted storage.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public half.
    pub fn public(&self) -> SealingKey {
        let secret = <Suite as Kem>::PrivateKey::from_bytes(&self.0[..]).expect("an X25519 secret is any 32 bytes");
        SealingKey(<Suite as Kem>::sk_to_pk(&secret).to_bytes().into())
    }

    /// Opens what was sealed to this key.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`].
    pub fn open(&self, info: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        if sealed.len() < OVERHEAD {
            return Err(SealError::DoesNotOpen);
        }
        let (encapped, ciphertext) = sealed.split_at(32);
        let secret = <Suite as Kem>::PrivateKey::from_bytes(&self.0[..]).map_err(|_| SealError::DoesNotOpen)?;
        let encapped = <Suite as Kem>::EncappedKey::from_bytes(encapped).map_err(|_| SealError::DoesNotOpen)?;
        let mode = OpModeR::Base;
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, Suite>(&mode, &secret, &encapped, info, ciphertext, aad)
            .map_err(|_| SealError::DoesNotOpen)
    }
}

/// Seals a text to a key.
///
/// # Errors
/// [`SealError::BadKey`] where nothing can be sealed to the key.
pub fn seal(
    mut rng: &mut dyn CryptoRng,
    to: &SealingKey,
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, SealError> {
    let key = <Suite as Kem>::PublicKey::from_bytes(&to.0).map_err(|_| SealError::BadKey)?;
    let (encapped, ciphertext) = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Suite>(
        &OpModeS::Base,
        &key,
        info,
        plaintext,
        aad,
        &mut rng,
    )
    .map_err(|_| SealError::BadKey)?;
    let mut sealed = encapped.to_bytes().to_vec();
    sealed.extend(ciphertext);
    Ok(sealed)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn only_the_key_the_purpose_and_the_binding_it_was_sealed_for_open_a_text() {
        let secret = SealingSecret::from_bytes([5; 32]);
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let sealed = seal(&mut rng, &secret.public(), b"access", b"binding", b"token").unwrap();
        assert_eq!(sealed.len(), 5 + OVERHEAD);
        assert_eq!(secret.open(b"access", b"binding", &sealed).unwrap(), b"token");

        let other = SealingSecret::from_bytes([6; 32]);
        assert_eq!(other.open(b"access", b"binding", &sealed), Err(SealError::DoesNotOpen));
        assert_eq!(secret.open(b"other", b"binding", &sealed), Err(SealError::DoesNotOpen));
        assert_eq!(secret.open(b"access", b"another", &sealed), Err(SealError::DoesNotOpen));
        for i in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[i] ^= 1;
            assert_eq!(secret.open(b"access", b"binding", &changed), Err(SealError::DoesNotOpen), "byte {i}");
            assert_eq!(secret.open(b"access", b"binding", &sealed[..i]), Err(SealError::DoesNotOpen), "cut at {i}");
        }
    }

    #[test]
    fn the_low_order_key_is_refused() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let zero = SealingKey::from_bytes([0; 32]);
        assert_eq!(seal(&mut rng, &zero, b"", b"", b"x"), Err(SealError::BadKey));
    }

    #[test]
    fn the_public_half_is_the_one_of_rfc_7748() {
        let secret = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
        let mut bytes = [0; 32];
        hex::decode_to_slice(secret, &mut bytes).unwrap();
        let public = SealingSecret::from_bytes(bytes).public().to_string();
        assert_eq!(public, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    }
}
