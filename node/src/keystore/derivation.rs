//! SLIP-10 over ed25519: hardened branches of one seed.

use std::fmt;

use ed25519_dalek::SigningKey;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bit that marks a step as hardened; ed25519 knows no other.
const HARDENED: u32 = 1 << 31;
/// Bytes of a key and of a chain code.
const HALF: usize = 32;

/// A key with the chain code by which keys below it are derived. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct Branch {
    key: [u8; HALF],
    chain: [u8; HALF],
}

impl Branch {
    /// Bytes of a branch in a key file.
    pub(super) const BYTES: usize = 2 * HALF;

    /// The root of all branches (SLIP-10, "Master key generation").
    pub(super) fn master(seed: &[u8; 64]) -> Self {
        Self::from_bytes(&hmac(b"ed25519 seed", &[seed.as_slice()]))
    }

    pub(super) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let mut branch = Self { key: [0; HALF], chain: [0; HALF] };
        branch.key.copy_from_slice(&bytes[..HALF]);
        branch.chain.copy_from_slice(&bytes[HALF..]);
        branch
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<[u8; Self::BYTES]> {
        let mut bytes = Zeroizing::new([0; Self::BYTES]);
        bytes[..HALF].copy_from_slice(&self.key);
        bytes[HALF..].copy_from_slice(&self.chain);
        bytes
    }

    /// The hardened child with this number (SLIP-10, "Private parent key → private child key").
    pub(super) fn child(&self, index: u32) -> Self {
        Self::from_bytes(&hmac(&self.chain, &[&[0], &self.key, &(index | HARDENED).to_be_bytes()]))
    }

    pub(super) fn descend(&self, path: &[u32]) -> Self {
        path.iter().fold(self.clone(), |branch, index| branch.child(*index))
    }

    pub(super) fn secret(&self) -> Zeroizing<[u8; HALF]> {
        Zeroizing::new(self.key)
    }

    pub(super) fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.key)
    }
}

impl fmt::Debug for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Branch(secret)")
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 64]> {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::Mnemonic;
    use super::*;
    use stellar_strkey::ed25519::{PrivateKey, PublicKey};

    /// Mnemonic, BIP-39 seed, key at m/44'/148', and (index, public, secret) of accounts: the test cases of SEP-5.
    type Vector = (&'static str, &'static str, &'static str, &'static [(u32, &'static str, &'static str)]);

    const ILLNESS: Vector = (
        "illness spike retreat truth genius clock brain pass fit cave bargain toe",
        "e4a5a632e70943ae7f07659df1332160937fad82587216a4c64315a0fb39497ee4a01f76ddab4cba68147977f3a147b6ad584c41808e8238a07f6cc4b582f186",
        "e0eec84fe165cd427cb7bc9b6cfdef0555aa1cb6f9043ff1fe986c3c8ddd22e3",
        &[
            (
                0,
                "GDRXE2BQUC3AZNPVFSCEZ76NJ3WWL25FYFK6RGZGIEKWE4SOOHSUJUJ6",
                "SBGWSG6BTNCKCOB3DIFBGCVMUPQFYPA2G4O34RMTB343OYPXU5DJDVMN",
            ),
            (
                1,
                "GBAW5XGWORWVFE2XTJYDTLDHXTY2Q2MO73HYCGB3XMFMQ562Q2W2GJQX",
                "SCEPFFWGAG5P2VX5DHIYK3XEMZYLTYWIPWYEKXFHSK25RVMIUNJ7CTIS",
            ),
            (
                9,
                "GBTVYYDIYWGUQUTKX6ZMLGSZGMTESJYJKJWAATGZGITA25ZB6T5REF44",
                "SCJGVMJ66WAUHQHNLMWDFGY2E72QKSI3XGSBYV6BANDFUFE7VY4XNXXR",
            ),
        ],
    );
    const BENCH: Vector = (
        "bench hurt jump file august wise shallow faculty impulse spring exact slush thunder author capable act festival slice deposit sauce coconut afford frown better",
        "937ae91f6ab6f12461d9936dfc1375ea5312d097f3f1eb6fed6a82fbe38c85824da8704389831482db0433e5f6c6c9700ff1946aa75ad8cc2654d6e40f567866",
        "df474e0dc2711089b89af6b089aceeb77e73120e9f895bd330a36fa952835ea8",
        &[
            (
                0,
                "GC3MMSXBWHL6CPOAVERSJITX7BH76YU252WGLUOM5CJX3E7UCYZBTPJQ",
                "SAEWIVK3VLNEJ3WEJRZXQGDAS5NVG2BYSYDFRSH4GKVTS5RXNVED5AX7",
            ),
            (
                1,
                "GB3MTYFXPBZBUINVG72XR7AQ6P2I32CYSXWNRKJ2PV5H5C7EAM5YYISO",
                "SBKSABCPDWXDFSZISAVJ5XKVIEWV4M5O3KBRRLSPY3COQI7ZP423FYB4",
            ),
        ],
    );

    #[test]
    fn the_test_cases_of_sep_5_hold() {
        for (phrase, seed, key, accounts) in [ILLNESS, BENCH] {
            let mnemonic: Mnemonic = phrase.parse().unwrap();
            assert_eq!(hex::encode(mnemonic.seed().as_slice()), seed);
            let stellar = Branch::master(&mnemonic.seed()).descend(&[44, 148]);
            assert_eq!(hex::encode(stellar.key), key);
            for (index, public, secret) in accounts {
                let signing = stellar.child(*index).signing_key();
                assert_eq!(PublicKey(signing.verifying_key().to_bytes()).to_string().as_str(), *public);
                assert_eq!(signing.to_bytes(), PrivateKey::from_string(secret).unwrap().0);
            }
        }
    }

    #[test]
    fn a_branch_survives_its_bytes() {
        let branch = Branch::master(&[5; 64]).child(3);
        let again = Branch::from_bytes(&branch.to_bytes());
        assert_eq!(again.child(1).signing_key(), branch.child(1).signing_key());
    }
}
