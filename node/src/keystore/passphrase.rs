//! The passphrase over the key file, and where it may come from: a file, the environment, or the terminal. Never an
//! argument, which every process on the machine can read.

use std::fmt;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::Network;
use crate::private_file;

/// Environment variable that may hold the passphrase.
pub const VARIABLE: &str = "TRADEPOST_PASSPHRASE";
/// Longest passphrase, bytes.
pub const MAX_BYTES: usize = 1024;
/// Shortest new passphrase where the ledger isn't a devnet, characters.
pub const MIN_CHARS: usize = 8;

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The file can't be read.
    #[error("can't read the passphrase file {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than its owner may read the file.
    #[error(
        "others can read the passphrase file {0}: run `chmod 600` on it, and choose another passphrase if they might have"
    )]
    OpenToOthers(PathBuf),
    /// The file, or the environment variable, isn't UTF-8 text.
    #[error("the passphrase from {0} is not UTF-8 text")]
    NotText(String),
    /// Longer than any passphrase may be.
    #[error("the passphrase is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Empty where keys may be worth something.
    #[error(
        "an empty passphrase is only allowed on a devnet, this is {0}: choose one of at least {MIN_CHARS} characters"
    )]
    Empty(Network),
    /// Too short where keys may be worth something.
    #[error("the passphrase has under {MIN_CHARS} characters, too few for {0}: choose a longer one")]
    TooShort(Network),
    /// The two entries at the prompt differ.
    #[error("the two passphrases differ: try again")]
    Differ,
    /// Neither file nor variable nor terminal.
    #[error(
        "a passphrase is needed and there is no terminal to ask at: give --passphrase-file FILE, or set {VARIABLE}"
    )]
    NoTerminal,
    /// The terminal failed.
    #[error("can't read the passphrase from the terminal: {0}")]
    Terminal(io::Error),
}

/// A passphrase. `Debug` doesn't show it; dropping it wipes it.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// A passphrase from text.
    ///
    /// # Errors
    /// [`PassphraseError::TooLong`].
    pub fn new(text: Zeroizing<String>) -> Result<Self, PassphraseError> {
        if text.len() > MAX_BYTES { Err(PassphraseError::TooLong) } else { Ok(Self(text)) }
    }

    /// No passphrase: whoever has the file has the keys. For devnets.
    pub fn empty() -> Self {
        Self(Zeroizing::new(String::new()))
    }

    /// Whether this is the empty one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether new keys for this network may stand under this passphrase.
    ///
    /// # Errors
    /// [`PassphraseError::Empty`] or [`PassphraseError::TooShort`] where the network isn't a devnet.
    pub fn suits(&self, network: Network) -> Result<(), PassphraseError> {
        match network {
            Network::Devnet => Ok(()),
            _ if self.is_empty() => Err(PassphraseError::Empty(network)),
            _ if self.0.chars().count() < MIN_CHARS => Err(PassphraseError::TooShort(network)),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(secret)")
    }
}

/// Where to look for a passphrase: the file, else the environment, else the terminal.
#[derive(Default)]
pub struct PassphraseSource {
    file: Option<PathBuf>,
    variable: Option<Zeroizing<String>>,
}

impl PassphraseSource {
    /// Takes the variable from the process's environment.
    ///
    /// # Errors
    /// [`PassphraseError::NotText`] where the variable isn't UTF-8.
    pub fn from_environment(file: Option<PathBuf>) -> Result<Self, PassphraseError> {
        match std::env::var(VARIABLE) {
            Ok(text) => Ok(Self::new(file, Some(Zeroizing::new(text)))),
            Err(std::env::VarError::NotPresent) => Ok(Self::new(file, None)),
            Err(std::env::VarError::NotUnicode(_)) => Err(PassphraseError::NotText(VARIABLE.to_owned())),
        }
    }

    /// A source with these.
    pub fn new(file: Option<PathBuf>, variable: Option<Zeroizing<String>>) -> Self {
        Self { file, variable }
    }

    /// The passphrase of an existing key file; asks once at the terminal if it must.
    ///
    /// # Errors
    /// Any [`PassphraseError`] but those about new passphrases.
    pub fn get(&self, prompt: &str) -> Result<Passphrase, PassphraseError> {
        match self.given()? {
            Some(passphrase) => Ok(passphrase),
            None => ask(prompt),
        }
    }

    /// A passphrase for new keys of this network; asks twice at the terminal if it must.
    ///
    /// # Errors
    /// Any [`PassphraseError`].
    pub fn get_new(&self, network: Network) -> Result<Passphrase, PassphraseError> {
        let passphrase = match self.given()? {
            Some(passphrase) => passphrase,
            None => {
                let first = ask("New passphrase for the keys: ")?;
                first.suits(network)?;
                if first.0 != ask("The same again: ")?.0 {
                    return Err(PassphraseError::Differ);
                }
                first
            }
        };
        passphrase.suits(network)?;
        Ok(passphrase)
    }

    fn given(&self) -> Result<Option<Passphrase>, PassphraseError> {
        match (&self.file, &self.variable) {
            (Some(path), _) => from_file(path).map(Some),
            (None, Some(text)) => Passphrase::new(text.clone()).map(Some),
            (None, None) => Ok(None),
        }
    }
}

impl fmt::Debug for PassphraseSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassphraseSource").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Reads a file that holds the passphrase; one line end at its end doesn't count.
fn from_file(path: &Path) -> Result<Passphrase, PassphraseError> {
    let unreadable = |source| PassphraseError::File { path: path.to_owned(), source };
    let bytes = Zeroizing::new(private_file::read(path, MAX_BYTES as u64 + 2).map_err(unreadable)?);
    let text = std::str::from_utf8(&bytes).map_err(|_| PassphraseError::NotText(path.display().to_string()))?;
    let line = text.strip_suffix('\n').map_or(text, |t| t.strip_suffix('\r').unwrap_or(t));
    // No passphrase is no secret, and a pipe or a terminal is nobody else's.
    if !line.is_empty() && path.is_file() && private_file::open_to_others(path).map_err(unreadable)? {
        return Err(PassphraseError::OpenToOthers(path.to_owned()));
    }
    Passphrase::new(Zeroizing::new(line.to_owned()))
}

fn ask(prompt: &str) -> Result<Passphrase, PassphraseError> {
    if !io::stdin().is_terminal() {
        return Err(PassphraseError::NoTerminal);
    }
    let text = rpassword::prompt_password(prompt).map_err(PassphraseError::Terminal)?;
    Passphrase::new(Zeroizing::new(text))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn text(passphrase: &Passphrase) -> &str {
        std::str::from_utf8(passphrase.as_bytes()).unwrap()
    }

    #[test]
    fn the_file_rules_over_the_variable_and_loses_one_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pass");
        let variable = Some(Zeroizing::new("from the variable".to_owned()));
        for (content, expected) in
            [("in the file\n", "in the file"), ("two\n\n", "two\n"), ("dos\r\n", "dos"), ("", "")]
        {
            private_file::write(&path, content.as_bytes()).unwrap();
            let source = PassphraseSource::new(Some(path.clone()), variable.clone());
            assert_eq!(text(&source.get("").unwrap()), expected);
        }
        let source = PassphraseSource::new(None, variable);
        assert_eq!(text(&source.get("").unwrap()), "from the variable");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_unless_it_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pass");
        let of = |content: &str| {
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
            PassphraseSource::new(Some(path.clone()), None).get("")
        };
        assert!(of("\n").unwrap().is_empty());
        assert!(matches!(of("secret"), Err(PassphraseError::OpenToOthers(named)) if named == path));
    }

    #[test]
    fn a_missing_file_is_an_error_and_not_the_next_source() {
        let source = PassphraseSource::new(Some("/nowhere/pass".into()), Some(Zeroizing::new("x".to_owned())));
        assert!(source.get("").unwrap_err().to_string().contains("/nowhere/pass"));
    }

    #[test]
    fn an_empty_or_short_passphrase_is_for_devnets_only() {
        let short = Passphrase::new(Zeroizing::new("short".to_owned())).unwrap();
        for network in [Network::Testnet, Network::Public] {
            assert!(matches!(Passphrase::empty().suits(network), Err(PassphraseError::Empty(_))));
            assert!(matches!(short.suits(network), Err(PassphraseError::TooShort(_))));
        }
        assert!(Passphrase::empty().suits(Network::Devnet).is_ok());
        assert!(Passphrase::new(Zeroizing::new("x".repeat(MAX_BYTES + 1))).is_err());
    }

    #[test]
    fn debug_shows_no_passphrase() {
        let secret = Zeroizing::new("correct horse".to_owned());
        let source = PassphraseSource::new(None, Some(secret.clone()));
        assert!(!format!("{:?}{source:?}", Passphrase::new(secret).unwrap()).contains("horse"));
    }
}
