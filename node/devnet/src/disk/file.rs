//! Files that are there whole or not at all.
//!
//! `tradepost devnet` (16 bytes), format (4), network id (32), kind (1), payload,
//! SHA-256 of all before (32).

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::StateError;
use crate::hash;

/// The format that is written and read.
pub(super) const VERSION: u32 = 1;
const MAGIC: &[u8; 16] = b"tradepost devnet";
/// What a file has before its payload, in bytes.
const HEAD: usize = 16 + 4 + 32 + 1;
const CHECKSUM: usize = 32;
/// What a file's name ends with until it is whole.
const UNFINISHED: &str = ".new";

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Network = 1,
    Ledgers = 2,
    Entries = 3,
    Settings = 4,
}

/// The files of one network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    pub(super) network_id: [u8; 32],
}

impl Format {
    pub(super) fn of(network_id: [u8; 32]) -> Self {
        Self { network_id }
    }

    /// Replaces a file, durably: beside its place, synced, renamed, and the
    /// directory synced.
    pub(super) fn write(&self, path: &Path, kind: Kind, payload: &[u8]) -> Result<(), StateError> {
        let head = [MAGIC, VERSION.to_be_bytes().as_slice(), &self.network_id, &[kind as u8]].concat();
        let checksum = hash::sha256(&[&head, payload]);
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(UNFINISHED);
        let unfinished = Path::new(&unfinished);
        let written = (|| {
            let mut file = File::create(unfinished)?;
            for part in [head.as_slice(), payload, &checksum] {
                file.write_all(part)?;
            }
            file.sync_all()?;
            fs::rename(unfinished, path)?;
            sync_directory_of(path)
        })();
        written.map_err(io_at(path))
    }

    /// Reads a file's payload.
    pub(super) fn read(&self, path: &Path, kind: Kind) -> Result<Vec<u8>, StateError> {
        let (network_id, payload) = read(path, kind)?;
        if network_id != self.network_id {
            return Err(StateError::ForeignFile { path: path.to_owned() });
        }
        Ok(payload)
    }
}

/// Reads which network a directory is of.
pub(super) fn read_network(path: &Path) -> Result<(Format, String), StateError> {
    let (network_id, payload) = read(path, Kind::Network)?;
    match String::from_utf8(payload) {
        Ok(passphrase) if hash::network_id(&passphrase) == network_id => Ok((Format::of(network_id), passphrase)),
        _ => Err(StateError::damaged(path, "its passphrase isn't its network's")),
    }
}

fn read(path: &Path, kind: Kind) -> Result<([u8; 32], Vec<u8>), StateError> {
    let mut bytes = fs::read(path).map_err(io_at(path))?;
    let damaged = |reason| StateError::damaged(path, reason);
    let (magic, rest) = bytes.split_first_chunk::<16>().ok_or_else(|| damaged("it is too short"))?;
    if magic != MAGIC {
        return Err(damaged("it isn't a devnet's"));
    }
    // Before the checksum, which another format may have elsewhere.
    let version = rest.first_chunk::<4>().map(|version| u32::from_be_bytes(*version));
    match version.ok_or_else(|| damaged("it is too short"))? {
        VERSION => {}
        found => return Err(StateError::Version { path: path.to_owned(), found }),
    }
    let (content, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or_else(|| damaged("it is too short"))?;
    if content.len() < HEAD || hash::sha256(&[content]) != *checksum {
        return Err(damaged("its checksum isn't that of its bytes"));
    }
    if content[HEAD - 1] != kind as u8 {
        return Err(damaged("it has the place of another file"));
    }
    let network_id = std::array::from_fn(|at| content[20 + at]);
    bytes.truncate(bytes.len() - CHECKSUM);
    bytes.drain(..HEAD);
    Ok((network_id, bytes))
}

/// Removes a file that is no longer needed.
pub(super) fn remove(path: &Path) -> Result<(), StateError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_at(path)(e)),
        _ => Ok(()),
    }
}

/// Removes what a kill left unfinished of files whose names begin so; nothing
/// that somebody else put there.
pub(super) fn remove_unfinished(dir: &Path, names: &[&str]) -> Result<(), StateError> {
    for entry in fs::read_dir(dir).map_err(io_at(dir))? {
        let entry = entry.map_err(io_at(dir))?;
        let name = entry.file_name();
        let unfinished = name.to_str().and_then(|name| name.strip_suffix(UNFINISHED));
        if unfinished.is_some_and(|name| names.iter().any(|ours| name.starts_with(ours))) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

pub(super) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> StateError + use<> {
    let path = path.to_owned();
    move |source| StateError::Io { path, source }
}
