//! Why a directory of ledgers can't be used.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A directory that doesn't hold a ledger that can be gone on with. Nothing in
/// it has been changed.
#[derive(Debug, Error)]
pub enum StateError {
    /// The file system refuses.
    #[error("{path}: {source}; the ledger on disk is as it was")]
    Io {
        /// Where.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("{dir} is in use by another devnet; end that one, or choose another directory")]
    Busy {
        /// The directory.
        dir: PathBuf,
    },
    /// It holds something, but no network.
    #[error("{dir} isn't empty and holds no devnet (there is no file `network`); choose an empty or a new directory")]
    NoNetwork {
        /// The directory.
        dir: PathBuf,
    },
    /// A file isn't what was written.
    #[error("{path} is damaged ({reason}); nothing was changed: put back a copy, or choose a new directory")]
    Damaged {
        /// The file, or the directory where files don't fit together.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another version of the program wrote it.
    #[error("{path} has format {found}, and this program reads {known}; nothing was changed: use the program that wrote it", known = super::file::VERSION)]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A file belongs to another network than the directory.
    #[error("{path} belongs to another network than the directory; nothing was changed: put its own file back")]
    ForeignFile {
        /// The file.
        path: PathBuf,
    },
    /// The system gave no random bytes for a passphrase.
    #[error("no random bytes for the passphrase: {0}; give a passphrase")]
    Random(getrandom::Error),
    /// Another network was asked for.
    #[error(
        "{dir} holds the network {kept:?}, not {wanted:?}; nothing was changed: leave the passphrase out, or choose another directory"
    )]
    OtherNetwork {
        /// The directory.
        dir: PathBuf,
        /// The network that it holds.
        kept: String,
        /// The network that was asked for.
        wanted: String,
    },
    /// Ledgers of another size were asked for.
    #[error(
        "the ledgers in {dir} take {kept} operations, not {wanted}; nothing was changed: leave the size out, or choose another directory"
    )]
    OtherLedgerSize {
        /// The directory.
        dir: PathBuf,
        /// The size that they have.
        kept: u32,
        /// The size that was asked for.
        wanted: u32,
    },
}

impl StateError {
    /// Returns what the file system said; `Other` where it was something else.
    pub(crate) fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Io { source, .. } => source.kind(),
            _ => io::ErrorKind::Other,
        }
    }

    pub(super) fn damaged(path: &Path, reason: &str) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.to_owned() }
    }
}
