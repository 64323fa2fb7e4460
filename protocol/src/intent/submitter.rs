//! Submitter accounts: they carry an owner's deadline transactions, so that nothing else is ever in their way.
//!
//! A submitter lends a sequence number and pays the ordinary fee; what is claimed and paid is its owner's, whose account is
//! the source of every operation. Its key follows from the owner's, so the owner's key alone finds it again.

use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::amount::Stroops;
use crate::message::keccak;

/// The most submitters of one owner.
pub const MAX_SUBMITTERS: u8 = 8;
/// Base reserves that an account locks by being there.
pub const RESERVES: u32 = 2;
/// What a submitter holds above its reserve for fees: thousands of ordinary ones. Raised fees are its owner's to pay.
pub const FLOAT: Stroops = match Stroops::new(2_500_000) {
    Some(float) => float,
    None => Stroops::ZERO,
};
/// Below this much above its reserve it is topped up.
pub const LOW: Stroops = match Stroops::new(500_000) {
    Some(low) => low,
    None => Stroops::ZERO,
};

/// The key of an owner's submitter with this number.
pub fn key(owner: &SigningKey, index: u8) -> SigningKey {
    let seed = Zeroizing::new(owner.to_bytes());
    let derived = Zeroizing::new(keccak(&[b"tradepost/1/submitter\0", seed.as_slice(), &[index]]));
    SigningKey::from_bytes(&derived)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owners_submitters_are_its_own_and_stay_the_same() {
        let owner = SigningKey::from_bytes(&[1; 32]);
        let other = SigningKey::from_bytes(&[2; 32]);
        let keys = |owner| (0..MAX_SUBMITTERS).map(|n| key(owner, n).to_bytes()).collect::<Vec<_>>();
        let mut all: Vec<[u8; 32]> = keys(&owner).into_iter().chain(keys(&other)).chain([owner.to_bytes()]).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2 * usize::from(MAX_SUBMITTERS) + 1);
        // Written down: a change would lose the accounts that stand.
        let first = key(&owner, 0).verifying_key();
        assert_eq!(hex::encode(first.as_bytes()), "b409b1405f9c8bae0d731ce60da11de7fd314495d67457baa56350a2695d784f");
    }
}
