//! Why the store couldn't be opened, read or written, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tradepost_protocol::network_id::NetworkId;

/// Why the store couldn't be opened, read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another process has this store open.
    #[error("another tradepost node is running in this home ({} is locked): stop it, or use another home", dir.display())]
    Locked {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The store holds the state of a trade on another ledger.
    #[error(
        "{} holds the state of network {found}, but this node is configured for network {wanted}: \
         use another home for each network", path.display()
    )]
    OtherNetwork {
        /// The file or directory that says so.
        path: PathBuf,
        /// The network that it belongs to.
        found: NetworkId,
        /// The network that was asked for.
        wanted: NetworkId,
    },
    /// A later version of Tradepost wrote this.
    #[error(
        "{} was written in format {found}, this version of tradepost knows formats up to {known}: \
         start the newer version again", path.display()
    )]
    NewerFormat {
        /// The file or directory that says so.
        path: PathBuf,
        /// The format's number found.
        found: u32,
        /// The latest format known here.
        known: u32,
    },
    /// sled holds what a journal said, but there is no journal.
    #[error(
        "{} is missing, but the database beside it was written together with it: put the file back; \
         without it a lost database could not be rebuilt", path.display()
    )]
    JournalMissing {
        /// Where the journal should be.
        path: PathBuf,
    },
    /// The journal is damaged elsewhere than at its tail.
    #[error(
        "{} is damaged at byte {offset} ({why}); nothing was changed. Put back a copy of the whole of {}, if there is one \
         from while the node stood still; else `tradepost restore FILE --home NEW` makes a home from a backup; else \
         `tradepost init --recover --home NEW` and `tradepost wallet recover` bring back what is on the ledger. Check the \
         disk, too", path.display(), path.parent().unwrap_or(path).display()
    )]
    JournalDamaged {
        /// The journal.
        path: PathBuf,
        /// Where the first record that can't be read begins.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The journal is whole, and holds a binding that nobody signed so.
    #[error(
        "{} holds a binding that can't be as it was stored ({why}): somebody or something changed it, and nothing was \
         changed now. Put back a copy of the whole of {}, if there is one from while the node stood still; else \
         `tradepost restore FILE --home NEW` makes a home from a backup", path.display(),
        path.parent().unwrap_or(path).display()
    )]
    JournalForged {
        /// The journal.
        path: PathBuf,
        /// What is wrong with the binding.
        why: String,
    },
    /// The journal ends before what the database already applied of it, or is an older one.
    #[error(
        "{} is older or shorter than what the database beside it already applied (generation {generation}, byte \
         {offset}): one of the two was replaced. Put back the two that belong together; nothing was changed",
        path.display()
    )]
    JournalBehind {
        /// The journal.
        path: PathBuf,
        /// The generation of the journal that the database knows.
        generation: u64,
        /// Up to where the database applied it.
        offset: u64,
    },
    /// sled can't open or read its files.
    #[error(
        "the database in {} is damaged ({cause}): run `tradepost store rebuild`, which moves it aside and rebuilds what \
         money depends on from the journal; offerings come back from peers", dir.display()
    )]
    DatabaseDamaged {
        /// sled's directory.
        dir: PathBuf,
        /// What sled says.
        cause: String,
    },
    /// sled refused an operation while running.
    #[error("the database failed while {doing}: {cause}. Check free space and the disk, then start again")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What sled says.
        cause: String,
    },
    /// The operating system refused an operation.
    #[error("{doing} {} failed: {cause}. Check free space, permissions and the disk, then start again", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the operating system says.
        cause: Arc<io::Error>,
    },
    /// A key, value or batch is larger than the store takes.
    #[error("a {what} of {bytes} bytes is more than the store takes ({most}); nothing was stored")]
    TooLarge {
        /// Key, value or batch.
        what: &'static str,
        /// Its size in bytes.
        bytes: usize,
        /// The most bytes it may have.
        most: usize,
    },
    /// The batch could not be made durable.
    #[error("not stored: {cause}")]
    NotDurable {
        /// What went wrong.
        cause: Arc<StoreError>,
    },
    /// An earlier batch could not be made durable, so nothing is stored until the store is opened again.
    #[error("nothing is stored any more since an earlier failure: {cause}")]
    Stopped {
        /// What went wrong first.
        cause: Arc<StoreError>,
    },
    /// The thread that writes is gone.
    #[error("the store's writer ended unexpectedly: start the node again, and report this with its log")]
    WriterGone,
}

impl StoreError {
    /// The error of an operation on a file, for `map_err`.
    pub(crate) fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |cause| Self::Io { doing, path: path.to_owned(), cause: Arc::new(cause) }
    }

    /// The error of an operation of sled, for `map_err`.
    pub(crate) fn database(doing: &'static str) -> impl FnOnce(sled::Error) -> Self {
        move |cause| Self::Database { doing, cause: cause.to_string() }
    }
}
