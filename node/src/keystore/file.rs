//! `keys.json`: the keystore under a passphrase, Argon2id and XChaCha20-Poly1305.
//!
//! The public part is readable without the passphrase and is authenticated with it, so that nobody can swap it unseen.

use std::io;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::derivation::Branch;
use super::{Keystore, Passphrase, PublicKeys, Role};
use crate::private_file;

/// The version of the format that this program writes; it reads no other.
const VERSION: u32 = 1;
/// Largest key file, bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// Most memory that a key file may ask Argon2 to take, KiB. A file is input like any other.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
/// Most passes that a key file may ask for.
const MAX_PASSES: u32 = 64;
/// Most lanes that a key file may ask for.
const MAX_LANES: u32 = 16;
/// Bytes of Argon2's salt.
const SALT_BYTES: usize = 16;
/// Bytes of XChaCha20's nonce.
const NONCE_BYTES: usize = 24;
/// Bytes of one key in the sealed part: the role's tag, then its branch.
const ENTRY_BYTES: usize = 1 + Branch::BYTES;

/// Why a key file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is none.
    #[error("there are no keys at {0}: make them with `tradepost init`")]
    Missing(PathBuf),
    /// There is one already.
    #[error("there are keys at {0} already: choose another --home, or move that file to a safe place first")]
    Exists(PathBuf),
    /// The file system failed.
    #[error("can't read or write the keys at {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read the file.
    #[error("the keys at {0} can be read by others: run `chmod 600` on that file")]
    OpenToOthers(PathBuf),
    /// Not a key file, or damaged.
    #[error("{path} is no key file of version {VERSION}: {why}; restore it from a backup or from the mnemonic")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The passphrase doesn't open it.
    #[error("the passphrase is wrong, or the key file was changed: try again, or recover with the mnemonic")]
    WrongPassphrase,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    NoRandomness(String),
}

/// What a guess at the passphrase costs. It stands in the file, so that it can be raised for new files only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Cost {
    /// OWASP's first choice for Argon2id: 19 MiB, two passes; some 30 ms on one core.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 }
    }
}

impl Cost {
    fn derive(self, passphrase: &Passphrase, salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, String> {
        if self.memory_kib > MAX_MEMORY_KIB || self.passes > MAX_PASSES || self.lanes > MAX_LANES {
            return Err(format!(
                "it asks for more than {MAX_MEMORY_KIB} KiB, {MAX_PASSES} passes or {MAX_LANES} lanes"
            ));
        }
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|e| e.to_string())?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice())
            .map_err(|e| e.to_string())?;
        Ok(key)
    }
}

/// The part that is readable and authenticated.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    protected: bool,
    argon2id: Cost,
    salt: String,
    xchacha20_nonce: String,
    public: PublicKeys,
}

/// A keystore at rest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    header: Header,
    sealed: String,
}

impl KeyFile {
    /// Encrypts a keystore. What passphrase suits which network, [`Passphrase::suits`] says.
    ///
    /// # Errors
    /// [`KeyFileError::NoRandomness`].
    pub fn seal(keys: &Keystore, passphrase: &Passphrase, cost: Cost) -> Result<Self, KeyFileError> {
        let mut salt = [0; SALT_BYTES];
        let mut nonce = [0; NONCE_BYTES];
        for bytes in [&mut salt[..], &mut nonce[..]] {
            getrandom::fill(bytes).map_err(|e| KeyFileError::NoRandomness(e.to_string()))?;
        }
        let header = Header {
            version: VERSION,
            protected: !passphrase.is_empty(),
            argon2id: cost,
            salt: hex::encode(salt),
            xchacha20_nonce: hex::encode(nonce),
            public: keys.public(),
        };
        let malformed = |why| KeyFileError::Malformed { path: PathBuf::from("the new key file"), why };
        let key = cost.derive(passphrase, &salt).map_err(malformed)?;
        let plain = plain_of(keys);
        let payload = Payload { msg: &plain, aad: &associated(&header) };
        let sealed = XChaCha20Poly1305::new((&*key).into())
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a few hundred bytes can be encrypted");
        Ok(Self { header, sealed: BASE64.encode(sealed) })
    }

    /// Reads a key file, which must be its owner's alone.
    ///
    /// # Errors
    /// Any [`KeyFileError`] but [`KeyFileError::WrongPassphrase`].
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let io = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => KeyFileError::Missing(path.to_owned()),
            _ => KeyFileError::Io { path: path.to_owned(), source },
        };
        if private_file::open_to_others(path).map_err(io)? {
            return Err(KeyFileError::OpenToOthers(path.to_owned()));
        }
        let bytes = private_file::read(path, MAX_FILE_BYTES).map_err(io)?;
        let malformed = |why: String| KeyFileError::Malformed { path: path.to_owned(), why };
        let file: Self = serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
        match file.header.version {
            VERSION => Ok(file),
            other => Err(malformed(format!("its version is {other}"))),
        }
    }

    /// Writes the file where there is none yet, durably, for its owner alone.
    ///
    /// # Errors
    /// [`KeyFileError::Exists`] or [`KeyFileError::Io`].
    pub fn write_new(&self, path: &Path) -> Result<(), KeyFileError> {
        let text = serde_json::to_vec_pretty(self).expect("plain fields are JSON");
        private_file::write_new(path, &text).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
            _ => KeyFileError::Io { path: path.to_owned(), source },
        })
    }

    /// Decrypts the keystore.
    ///
    /// # Errors
    /// [`KeyFileError::WrongPassphrase`], or [`KeyFileError::Malformed`] where the fields make no sense.
    pub fn open(&self, passphrase: &Passphrase) -> Result<Keystore, KeyFileError> {
        let malformed = |why: &str| KeyFileError::Malformed { path: PathBuf::from("keys.json"), why: why.to_owned() };
        let mut salt = [0; SALT_BYTES];
        let mut nonce = [0; NONCE_BYTES];
        hex::decode_to_slice(&self.header.salt, &mut salt).map_err(|_| malformed("the salt is not 16 bytes of hex"))?;
        hex::decode_to_slice(&self.header.xchacha20_nonce, &mut nonce)
            .map_err(|_| malformed("the nonce is not 24 bytes of hex"))?;
        let sealed = BASE64.decode(&self.sealed).map_err(|_| malformed("the sealed part is not base64"))?;
        let key = self.header.argon2id.derive(passphrase, &salt).map_err(|why| malformed(&why))?;
        let payload = Payload { msg: &sealed, aad: &associated(&self.header) };
        let plain = XChaCha20Poly1305::new((&*key).into())
            .decrypt(&XNonce::from(nonce), payload)
            .map_err(|_| KeyFileError::WrongPassphrase)?;
        keystore_of(&Zeroizing::new(plain)).ok_or_else(|| malformed("the sealed part holds something else than keys"))
    }

    /// Whether a passphrase stands over the keys; without one [`Passphrase::empty`] opens them.
    pub fn is_protected(&self) -> bool {
        self.header.protected
    }

    /// The public keys.
    pub fn public(&self) -> &PublicKeys {
        &self.header.public
    }
}

/// The bytes that the cipher authenticates besides the secrets. A struct's JSON has one form: fields in their order.
fn associated(header: &Header) -> Vec<u8> {
    serde_json::to_vec(header).expect("plain fields are JSON")
}

fn plain_of(keys: &Keystore) -> Zeroizing<Vec<u8>> {
    // Sized at once, so that growing leaves no copy behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(keys.branches.len() * ENTRY_BYTES));
    for (role, branch) in &keys.branches {
        plain.push(role.tag());
        plain.extend_from_slice(branch.to_bytes().as_slice());
    }
    plain
}

fn keystore_of(plain: &[u8]) -> Option<Keystore> {
    let (entries, rest) = plain.as_chunks::<ENTRY_BYTES>();
    let mut keys = Keystore::empty();
    for [tag, branch @ ..] in entries {
        let twice = keys.branches.insert(Role::of_tag(*tag)?, Branch::from_bytes(branch));
        if twice.is_some() {
            return None;
        }
    }
    rest.is_empty().then_some(keys)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::{Mnemonic, Words};
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

    fn keys() -> Keystore {
        Keystore::from_mnemonic(&Mnemonic::generate(Words::Twelve).unwrap())
    }

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    #[test]
    fn keys_survive_the_file_with_the_passphrase_and_only_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let keys = keys();
        KeyFile::seal(&keys, &passphrase("right"), CHEAP).unwrap().write_new(&path).unwrap();
        let file = KeyFile::read(&path).unwrap();
        assert_eq!(file.public(), &keys.public());
        assert!(file.is_protected());
        let opened = file.open(&passphrase("right")).unwrap();
        assert_eq!(opened.account(), keys.account());
        assert_eq!(opened.service_key(7), keys.service_key(7));
        assert!(matches!(file.open(&passphrase("wrong")), Err(KeyFileError::WrongPassphrase)));
        assert!(matches!(file.open(&Passphrase::empty()), Err(KeyFileError::WrongPassphrase)));
    }

    #[test]
    fn the_file_shows_no_secret_and_is_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let keys = keys();
        KeyFile::seal(&keys, &passphrase("a passphrase"), CHEAP).unwrap().write_new(&path).unwrap();
        assert!(!private_file::open_to_others(&path).unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        for secret in
            [keys.account().unwrap().to_bytes(), *keys.sealing_secret().unwrap().as_bytes(), *keys.node_seed().unwrap()]
        {
            assert!(!text.contains(&hex::encode(secret)) && !text.contains(&BASE64.encode(secret)));
        }
        assert!(!text.contains("a passphrase"));
    }

    #[test]
    fn a_changed_public_part_does_not_open() {
        let mut file = KeyFile::seal(&keys(), &passphrase("x"), CHEAP).unwrap();
        file.header.public = PublicKeys::default();
        assert!(matches!(file.open(&passphrase("x")), Err(KeyFileError::WrongPassphrase)));
    }

    #[test]
    fn existing_keys_are_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let first = KeyFile::seal(&keys(), &Passphrase::empty(), CHEAP).unwrap();
        first.write_new(&path).unwrap();
        let second = KeyFile::seal(&keys(), &Passphrase::empty(), CHEAP).unwrap();
        assert!(matches!(second.write_new(&path), Err(KeyFileError::Exists(_))));
        assert_eq!(KeyFile::read(&path).unwrap().public(), first.public());
    }

    #[test]
    fn a_file_that_others_may_read_or_that_asks_for_too_much_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let mut file = KeyFile::seal(&keys(), &Passphrase::empty(), CHEAP).unwrap();
        file.header.argon2id.memory_kib = u32::MAX;
        assert!(matches!(file.open(&Passphrase::empty()), Err(KeyFileError::Malformed { .. })));
        file.write_new(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(KeyFile::read(&path), Err(KeyFileError::OpenToOthers(_))));
    }

    #[test]
    fn missing_and_damaged_files_say_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        assert!(KeyFile::read(&path).unwrap_err().to_string().contains("tradepost init"));
        private_file::write(&path, b"{\"header\":").unwrap();
        assert!(KeyFile::read(&path).unwrap_err().to_string().contains("mnemonic"));
    }

    #[test]
    fn a_node_without_keys_has_a_file_too() {
        let file = KeyFile::seal(&Keystore::empty(), &Passphrase::empty(), CHEAP).unwrap();
        assert!(!file.is_protected());
        assert!(file.open(&Passphrase::empty()).unwrap().public().roles.is_empty());
    }
}
