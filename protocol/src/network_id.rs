//! Which ledger a node trades on: the SHA-256 of the network's passphrase.

use core::fmt;

use bincode::{Decode, Encode};
use sha2::{Digest, Sha256};

/// The identity of a Stellar network, SHA-256 of its passphrase.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub struct NetworkId([u8; 32]);

impl NetworkId {
    /// The network with this passphrase.
    pub fn of_passphrase(passphrase: &str) -> Self {
        Self(Sha256::digest(passphrase.as_bytes()).into())
    }

    /// The 32 bytes that go into every digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight hex digits: the part of topics and protocol names that keeps networks apart.
    pub fn prefix(&self) -> String {
        hex::encode(&self.0[..4])
    }
}

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkId({})", self.prefix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_networks_have_their_known_ids() {
        let id = NetworkId::of_passphrase("Test SDF Network ; September 2015");
        assert_eq!(id.to_string(), "cee0302d59844d32bdca915c8203dd44b33fbb7edc19051ea37abedf28ecd472");
        assert_eq!(id.prefix(), "cee0302d");
    }
}
