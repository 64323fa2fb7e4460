//! The keys of a node, by role, derived from one mnemonic and encrypted at rest.
//!
//! A machine holds only the keys that its work needs: any subset of the roles, also none. [`Keystore::only`] makes such
//! a subset, and [`KeyFile`] keeps it under a passphrase. All branches are hardened, so no key of one role, leaked,
//! leads to a key of another.

mod derivation;
mod file;
mod mnemonic;
mod passphrase;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use tradepost_protocol::account::{AccountId, ServiceKey, ServingKey};
use tradepost_protocol::seal::{SealingKey, SealingSecret};
use zeroize::Zeroizing;

use crate::config::Network;
use derivation::Branch;
pub use file::{Cost, KeyFile, KeyFileError};
pub use mnemonic::{Mnemonic, MnemonicError, Words};
pub use passphrase::{Passphrase, PassphraseError, PassphraseSource, VARIABLE as PASSPHRASE_VARIABLE};

/// First step of the paths of Tradepost's own branches: the letters `tp` as a number. It isn't a registered purpose of
/// BIP-43, so no wallet derives accounts there.
const PURPOSE: u32 = 0x7470;
/// Stellar's coin type of SLIP-44.
const STELLAR: u32 = 148;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// `m/44'/148'/0'` of SEP-5, the same as in any Stellar wallet: holds the money; signs offerings, requests and
    /// transactions. A serving machine doesn't need it.
    Account,
    /// `m/29808'/148'/0'`: signs for an offering what an unattended node must sign, such as agreements and presence.
    Serving,
    /// `m/29808'/148'/1'`: opens what others seal to this node (X25519).
    Sealing,
    /// `m/29808'/148'/2'`, then `/i'` per service: signs the records of one's services.
    Service,
    /// `m/29808'/148'/3'`: the libp2p identity.
    Node,
}

impl Role {
    /// Every role, in the order of their paths.
    pub const ALL: [Self; 5] = [Self::Account, Self::Serving, Self::Sealing, Self::Service, Self::Node];

    fn path(self) -> [u32; 3] {
        match self {
            Self::Account => [44, STELLAR, 0],
            Self::Serving => [PURPOSE, STELLAR, 0],
            Self::Sealing => [PURPOSE, STELLAR, 1],
            Self::Service => [PURPOSE, STELLAR, 2],
            Self::Node => [PURPOSE, STELLAR, 3],
        }
    }

    /// The number that stands for the role in a key file; never reused.
    const fn tag(self) -> u8 {
        match self {
            Self::Account => 1,
            Self::Serving => 2,
            Self::Sealing => 3,
            Self::Service => 4,
            Self::Node => 5,
        }
    }

    fn of_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.tag() == tag)
    }

    /// The role's name in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Serving => "serving",
            Self::Sealing => "sealing",
            Self::Service => "service",
            Self::Node => "node",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The public side of a keystore, which a key file shows without its passphrase.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicKeys {
    /// The account that holds the money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The key that offerings name as theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<ServingKey>,
    /// The key to which others seal what is for this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealing: Option<SealingKey>,
    /// All roles that the keystore can play.
    pub roles: Vec<Role>,
}

/// Why the keys stay locked.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// The file isn't right, or the passphrase isn't its.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// There is no passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
}

/// The unlocked keys of a node. Neither `Debug` nor any serialisation shows a secret; dropping it wipes them.
#[derive(Clone, Default)]
pub struct Keystore {
    branches: BTreeMap<Role, Branch>,
}

impl Keystore {
    /// A node without keys, such as one that only bootstraps others.
    pub fn empty() -> Self {
        Self::default()
    }

    /// All roles' keys from a mnemonic.
    pub fn from_mnemonic(mnemonic: &Mnemonic) -> Self {
        let master = Branch::master(&mnemonic.seed());
        let branches = Role::ALL.into_iter().map(|role| (role, master.descend(&role.path()))).collect();
        Self { branches }
    }

    /// The keys at this path: without a passphrase where none stands over them, which only a devnet allows, and no keys
    /// where there is no file.
    ///
    /// # Errors
    /// [`UnlockError`] where the file or the passphrase isn't right.
    pub fn unlock(path: &Path, source: &PassphraseSource, network: Network) -> Result<Self, UnlockError> {
        let file = match KeyFile::read(path) {
            Err(KeyFileError::Missing(_)) => return Ok(Self::empty()),
            read => read?,
        };
        if file.is_protected() {
            return Ok(file.open(&source.get("Passphrase of the keys: ")?)?);
        }
        // Keys that were made for play must not come to hold real money unseen.
        match network {
            Network::Devnet => Ok(file.open(&Passphrase::empty())?),
            Network::Testnet | Network::Public => Err(PassphraseError::Empty(network).into()),
        }
    }

    /// A keystore with only these of its roles, for a machine that needs no more.
    pub fn only(&self, roles: &[Role]) -> Self {
        let kept = self.branches.iter().filter(|(role, _)| roles.contains(role));
        Self { branches: kept.map(|(role, branch)| (*role, branch.clone())).collect() }
    }

    /// Whether the keystore can play the role.
    pub fn has(&self, role: Role) -> bool {
        self.branches.contains_key(&role)
    }

    /// The account's key: money, offerings, requests.
    pub fn account(&self) -> Option<SigningKey> {
        self.signer(Role::Account)
    }

    /// The account's public key.
    pub fn account_id(&self) -> Option<AccountId> {
        self.account().map(|key| AccountId::of(&key))
    }

    /// The serving key.
    pub fn serving(&self) -> Option<SigningKey> {
        self.signer(Role::Serving)
    }

    /// The serving key's public side.
    pub fn serving_key(&self) -> Option<ServingKey> {
        self.serving().map(|key| ServingKey::of(&key))
    }

    /// The X25519 secret that opens what is sealed to this node.
    pub fn sealing_secret(&self) -> Option<SealingSecret> {
        self.branches.get(&Role::Sealing).map(|branch| SealingSecret::from_bytes(*branch.secret()))
    }

    /// The key to which others seal what is for this node.
    pub fn sealing_key(&self) -> Option<SealingKey> {
        self.sealing_secret().map(|secret| secret.public())
    }

    /// The key of one's service number `index` (below 2^31).
    pub fn service(&self, index: u32) -> Option<SigningKey> {
        self.branches.get(&Role::Service).map(|branch| branch.child(index).signing_key())
    }

    /// The public key of one's service number `index` (below 2^31).
    pub fn service_key(&self, index: u32) -> Option<ServiceKey> {
        self.service(index).map(|key| ServiceKey::of(&key))
    }

    /// The secret of the libp2p identity.
    pub fn node_seed(&self) -> Option<Zeroizing<[u8; 32]>> {
        self.branches.get(&Role::Node).map(Branch::secret)
    }

    /// What may be shown of the keystore.
    pub fn public(&self) -> PublicKeys {
        PublicKeys {
            account: self.account_id(),
            serving: self.serving_key(),
            sealing: self.sealing_key(),
            roles: self.branches.keys().copied().collect(),
        }
    }

    fn signer(&self, role: Role) -> Option<SigningKey> {
        self.branches.get(&role).map(Branch::signing_key)
    }
}

impl fmt::Debug for Keystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystore").field("public", &self.public()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const PHRASE: &str = "illness spike retreat truth genius clock brain pass fit cave bargain toe";

    fn keystore() -> Keystore {
        Keystore::from_mnemonic(&PHRASE.parse().unwrap())
    }

    #[test]
    fn the_account_is_the_first_of_sep_5() {
        let account = keystore().account_id().unwrap().to_string();
        assert_eq!(account, "GDRXE2BQUC3AZNPVFSCEZ76NJ3WWL25FYFK6RGZGIEKWE4SOOHSUJUJ6");
    }

    #[test]
    fn no_two_roles_or_services_share_a_secret() {
        let keys = keystore();
        let mut secrets = vec![
            keys.account().unwrap().to_bytes(),
            keys.serving().unwrap().to_bytes(),
            *keys.sealing_secret().unwrap().as_bytes(),
            keys.service(0).unwrap().to_bytes(),
            keys.service(1).unwrap().to_bytes(),
            *keys.node_seed().unwrap(),
        ];
        let count = secrets.len();
        secrets.sort_unstable();
        secrets.dedup();
        assert_eq!(secrets.len(), count);
    }

    #[test]
    fn the_same_mnemonic_gives_the_same_keys_again() {
        let (one, two) = (keystore(), keystore());
        assert_eq!(one.public(), two.public());
        assert_eq!(one.service_key(3), two.service_key(3));
    }

    #[test]
    fn a_serving_machine_holds_no_wallet_key() {
        let serving = keystore().only(&[Role::Serving, Role::Sealing, Role::Node]);
        assert!(serving.serving().is_some() && serving.sealing_secret().is_some() && serving.node_seed().is_some());
        assert!(serving.account().is_none() && serving.service(0).is_none());
        assert_eq!(serving.public().roles, [Role::Serving, Role::Sealing, Role::Node]);
        assert!(Keystore::empty().public().roles.is_empty());
    }

    #[test]
    fn unlocking_asks_for_a_passphrase_only_where_one_stands_over_the_keys() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let nobody = PassphraseSource::new(Some(path("no such file")), None);
        let right = PassphraseSource::new(None, Some(Zeroizing::new("right".to_owned())));
        let wrong = PassphraseSource::new(None, Some(Zeroizing::new("wrong".to_owned())));
        let passphrase = Passphrase::new(Zeroizing::new("right".to_owned())).unwrap();
        KeyFile::seal(&keystore(), &Passphrase::empty(), Cost::default()).unwrap().write_new(&path("open")).unwrap();
        KeyFile::seal(&keystore(), &passphrase, Cost::default()).unwrap().write_new(&path("locked")).unwrap();
        assert!(Keystore::unlock(&path("none"), &nobody, Network::Devnet).unwrap().public().roles.is_empty());
        assert!(Keystore::unlock(&path("open"), &nobody, Network::Devnet).unwrap().has(Role::Account));
        assert!(Keystore::unlock(&path("locked"), &right, Network::Devnet).unwrap().has(Role::Account));
        assert!(matches!(Keystore::unlock(&path("locked"), &nobody, Network::Devnet), Err(UnlockError::Passphrase(_))));
        let elsewhere = Keystore::unlock(&path("open"), &right, Network::Public);
        assert!(matches!(elsewhere, Err(UnlockError::Passphrase(PassphraseError::Empty(Network::Public)))));
        let refused = Keystore::unlock(&path("locked"), &wrong, Network::Devnet);
        assert!(matches!(refused, Err(UnlockError::File(KeyFileError::WrongPassphrase))));
    }

    #[test]
    fn debug_and_json_show_no_secret() {
        let keys = keystore();
        let shown = format!("{keys:?}{keys:#?}{}", serde_json::to_string(&keys.public()).unwrap()).to_lowercase();
        let secrets =
            [keys.account().unwrap().to_bytes(), keys.serving().unwrap().to_bytes(), *keys.node_seed().unwrap()];
        for secret in secrets {
            assert!(!shown.contains(&hex::encode(secret)));
            assert!(!shown.contains(&format!("{}, {}, {}", secret[0], secret[1], secret[2])));
            assert!(
                !shown
                    .contains(&stellar_strkey::ed25519::PrivateKey(secret).as_unredacted().to_string().to_lowercase())
            );
        }
    }
}
