//! Evidence: what a party shows the arbiters, sealed to each of them, in a chain that nobody can change afterwards.
//!
//! Each item holds the hash of the one before it, so arbiters that compare them see whether both were shown the same. An
//! item is sealed to each arbiter apart; what is chained is its plain bytes.

use bincode::{Decode, Encode};
use rand_core::CryptoRng;

use crate::binding::phase::Side;
use crate::frame;
use crate::limits::{MAX_ATTACHMENT_NAME, MAX_ATTACHMENTS, MAX_EVIDENCE_BYTES};
use crate::message::{BindingId, keccak};
use crate::seal::{self, SealError, SealingKey, SealingSecret};
use crate::time::Timestamp;

/// What sealed evidence is for.
const INFO: &[u8] = b"tradepost/1/evidence";

/// One thing that a party shows.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Evidence {
    /// 0 for the party's first item, then one more each time.
    pub number: u32,
    /// The hash of the item before it; zeros in the first.
    pub previous: [u8; 32],
    /// When it was made, by the party's own word.
    pub at: Timestamp,
    /// What it says.
    pub text: String,
    /// Files, and frames that the other side signed.
    pub attachments: Vec<Attachment>,
}

/// A file beside a text.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Attachment {
    /// Its name, for people.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Evidence that isn't any.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Over one of its bounds.
    #[error(
        "an item of evidence is at most {MAX_EVIDENCE_BYTES} bytes in all, with {MAX_ATTACHMENTS} files, each under a name of 1 to {MAX_ATTACHMENT_NAME} characters"
    )]
    TooLarge,
    /// Not for this arbiter or binding, or changed.
    #[error(transparent)]
    Sealed(#[from] SealError),
    /// Not the encoding of one.
    #[error("it is no item of evidence: {0}")]
    Malformed(String),
    /// Out of its chain.
    #[error("it doesn't follow on the item before it: one of them was changed or left out")]
    Broken,
}

impl Evidence {
    /// Its plain bytes: what is chained, sealed and stored.
    ///
    /// # Errors
    /// [`EvidenceError::TooLarge`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, EvidenceError> {
        let bytes = frame::encode(self).map_err(|_| EvidenceError::TooLarge)?;
        if bytes.len() > MAX_EVIDENCE_BYTES || !self.is_bounded() {
            return Err(EvidenceError::TooLarge);
        }
        Ok(bytes)
    }

    /// Reads plain bytes.
    ///
    /// # Errors
    /// [`EvidenceError::TooLarge`], [`EvidenceError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EvidenceError> {
        if bytes.len() > MAX_EVIDENCE_BYTES {
            return Err(EvidenceError::TooLarge);
        }
        let item: Self = frame::decode(bytes).map_err(|e| EvidenceError::Malformed(e.to_string()))?;
        if item.is_bounded() { Ok(item) } else { Err(EvidenceError::TooLarge) }
    }

    fn is_bounded(&self) -> bool {
        let named = |a: &Attachment| (1..=MAX_ATTACHMENT_NAME).contains(&a.name.chars().count());
        self.attachments.len() <= MAX_ATTACHMENTS && self.attachments.iter().all(named)
    }
}

/// The hash of an item's plain bytes, which the next one holds.
pub fn hash(bytes: &[u8]) -> [u8; 32] {
    keccak(&[INFO, &[0], bytes])
}

/// Which party's evidence about which binding: what a sealed item can't be taken out of.
fn belongs_to(binding: BindingId, side: Side) -> [u8; 33] {
    let mut bytes = [0; 33];
    bytes[..32].copy_from_slice(binding.as_bytes());
    bytes[32] = match side {
        Side::Provider => 0,
        Side::Consumer => 1,
    };
    bytes
}

/// Seals an item's plain bytes to one arbiter.
///
/// # Errors
/// [`SealError::BadKey`].
pub fn seal(
    rng: &mut dyn CryptoRng,
    arbiter: &SealingKey,
    binding: BindingId,
    side: Side,
    bytes: &[u8],
) -> Result<Vec<u8>, SealError> {
    seal::seal(rng, arbiter, INFO, &belongs_to(binding, side), bytes)
}

/// Opens what a party sealed to an arbiter, and checks that it is the next of its chain.
///
/// # Errors
/// [`EvidenceError`].
pub fn open(
    secret: &SealingSecret,
    binding: BindingId,
    side: Side,
    sealed: &[u8],
    chain: &Chain,
) -> Result<Vec<u8>, EvidenceError> {
    let bytes = secret.open(INFO, &belongs_to(binding, side), sealed)?;
    let item = Evidence::from_bytes(&bytes)?;
    if (item.number, item.previous) != (chain.next, chain.last) {
        return Err(EvidenceError::Broken);
    }
    Ok(bytes)
}

/// Where one party's chain of evidence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Chain {
    /// The number of the next item.
    pub next: u32,
    /// The hash of the newest one; zeros before the first.
    pub last: [u8; 32],
}

impl Chain {
    /// The chain with one more item.
    pub fn with(self, bytes: &[u8]) -> Self {
        Self { next: self.next.saturating_add(1), last: hash(bytes) }
    }

    /// The key under which its item of this number is stored.
    pub fn key(binding: BindingId, side: Side, number: u32) -> Vec<u8> {
        let mut key = belongs_to(binding, side).to_vec();
        key.extend(number.to_be_bytes());
        key
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    const BINDING: BindingId = BindingId::from_bytes([7; 32]);

    fn item(chain: &Chain, text: &str) -> Evidence {
        let attachments = vec![Attachment { name: "log.txt".into(), bytes: vec![1, 2, 3] }];
        let (number, previous) = (chain.next, chain.last);
        Evidence { number, previous, at: Timestamp::from_secs(5), text: text.into(), attachments }
    }

    fn sealed(secret: &SealingSecret, side: Side, bytes: &[u8]) -> Vec<u8> {
        seal(&mut ChaCha20Rng::seed_from_u64(1), &secret.public(), BINDING, side, bytes).unwrap()
    }

    #[test]
    fn evidence_opens_for_its_arbiter_alone_and_for_its_binding_and_party_alone() {
        let [mine, other] = [1, 2].map(|n| SealingSecret::from_bytes([n; 32]));
        let chain = Chain::default();
        let bytes = item(&chain, "never delivered").to_bytes().unwrap();
        let sealed = sealed(&mine, Side::Consumer, &bytes);
        assert_eq!(open(&mine, BINDING, Side::Consumer, &sealed, &chain).unwrap(), bytes);
        let closed = EvidenceError::Sealed(SealError::DoesNotOpen);
        assert_eq!(open(&other, BINDING, Side::Consumer, &sealed, &chain).unwrap_err(), closed);
        assert_eq!(open(&mine, BINDING, Side::Provider, &sealed, &chain).unwrap_err(), closed);
        let elsewhere = BindingId::from_bytes([8; 32]);
        assert_eq!(open(&mine, elsewhere, Side::Consumer, &sealed, &chain).unwrap_err(), closed);
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(open(&mine, BINDING, Side::Consumer, &changed, &chain).unwrap_err(), closed);
    }

    #[test]
    fn an_item_that_was_left_out_changed_or_repeated_breaks_the_chain() {
        let secret = SealingSecret::from_bytes([1; 32]);
        let first = item(&Chain::default(), "one").to_bytes().unwrap();
        let after_first = Chain::default().with(&first);
        let second = item(&after_first, "two").to_bytes().unwrap();
        let open = |bytes: &[u8], chain: &Chain| {
            open(&secret, BINDING, Side::Provider, &sealed(&secret, Side::Provider, bytes), chain)
        };
        assert_eq!(open(&second, &after_first).unwrap(), second);
        assert_eq!(open(&second, &Chain::default()), Err(EvidenceError::Broken), "the first was left out");
        assert_eq!(open(&first, &after_first), Err(EvidenceError::Broken), "twice");
        let other = item(&Chain::default(), "another one").to_bytes().unwrap();
        assert_eq!(open(&second, &Chain::default().with(&other)), Err(EvidenceError::Broken), "it was changed");
        assert_eq!(open(b"noise", &Chain::default()).map_err(|e| e.to_string().contains("no item")), Err(true));
    }

    #[test]
    fn evidence_is_bounded_when_it_is_made_and_when_it_is_read() {
        let chain = Chain::default();
        let with = |text: usize, attachments: usize, name: usize| {
            let one = Attachment { name: "n".repeat(name), bytes: vec![] };
            Evidence { text: "x".repeat(text), attachments: vec![one; attachments], ..item(&chain, "") }
        };
        assert!(with(MAX_EVIDENCE_BYTES - 200, MAX_ATTACHMENTS, 1).to_bytes().is_ok());
        for (text, attachments, name) in
            [(MAX_EVIDENCE_BYTES, 0, 1), (0, MAX_ATTACHMENTS + 1, 1), (0, 1, 0), (0, 1, MAX_ATTACHMENT_NAME + 1)]
        {
            let bad = with(text, attachments, name);
            assert_eq!(bad.to_bytes(), Err(EvidenceError::TooLarge));
            assert_eq!(Evidence::from_bytes(&frame::encode(&bad).unwrap()), Err(EvidenceError::TooLarge));
        }
    }

    #[test]
    fn an_item_has_its_golden_bytes_and_the_next_one_holds_their_hash() {
        let bytes = item(&Chain::default(), "hi").to_bytes().unwrap();
        assert_eq!(hex::encode(&bytes), format!("00{}050268690107{}03010203", "00".repeat(32), hex::encode("log.txt")));
        let expected = keccak(&[b"tradepost/1/evidence", &[0], &bytes]);
        assert_eq!(Chain::default().with(&bytes), Chain { next: 1, last: expected });
        let key = Chain::key(BINDING, Side::Consumer, 258);
        assert_eq!(hex::encode(key), format!("{}0100000102", "07".repeat(32)));
    }
}
