//! What a network left behind that was reset: its state is moved aside in the home, whole, with a note of what ended.
//!
//! ```text
//! archive/NETWORK-HASH/reset.json   what ended with the old network, for its owner and for `status`
//! archive/NETWORK-HASH/data/        its store, as it was
//! ```
//! The hash is the first ledger's that this home saw there. The note is written first, then the store is moved with one
//! rename: killed in between, the next start finds the store where it was and does both again.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tradepost_ledger::ClosedLedger;

use crate::api::view::ResetView;
use crate::config::Network;
use crate::home::{Home, HomeError};
use crate::private_file;

/// The note's name.
const NOTE: &str = "reset.json";
/// The store's name.
const DATA: &str = "data";
/// Digits of the first ledger's hash in an archive's name.
const HASH_DIGITS: usize = 12;
/// Archives that one and the same first ledger may have.
const MAX_OF_ONE_LEDGER: u32 = 1_000;
/// Archives that are told of; the newest.
const MAX_TOLD: usize = 8;
/// Largest note that is read, bytes.
const MAX_NOTE: u64 = 16 * 1024 * 1024;

/// Moves the home's store aside, with a note of what ended with it. The store must be closed. Returns where it is now.
///
/// # Errors
/// [`HomeError::Io`]; the store is then still where it was, and another try starts anew.
pub fn set_aside(
    home: &Home,
    network: Network,
    first: &ClosedLedger,
    note: impl FnOnce(&Path) -> ResetView,
) -> Result<PathBuf, HomeError> {
    let dir = free_dir(home, network, first)?;
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(io_at(&dir))?;
    let path = dir.join(NOTE);
    let text = serde_json::to_vec_pretty(&note(&dir)).expect("plain fields are JSON");
    private_file::write(&path, &text).map_err(io_at(&path))?;
    let data = home.data_dir();
    fs::rename(&data, dir.join(DATA)).map_err(io_at(&data))?;
    for moved in [dir.as_path(), home.dir()] {
        File::open(moved).and_then(|dir| dir.sync_all()).map_err(io_at(moved))?;
    }
    home.create()?;
    Ok(dir)
}

/// The notes of what ended with networks that were reset, the newest last. No more than the newest files are read, each
/// within a bound. What can't be read is left out, and logged.
pub fn told(home: &Home) -> Vec<ResetView> {
    let mut found: Vec<ResetView> = newest_notes(home).iter().filter_map(|note| read(note)).collect();
    found.sort_by_key(|note| note.noticed_at.secs);
    found
}

/// The notes that were written last, at most so many as are told of.
fn newest_notes(home: &Home) -> Vec<PathBuf> {
    let Ok(archives) = fs::read_dir(home.archive_dir()) else { return Vec::new() };
    let mut newest: Vec<(SystemTime, PathBuf)> = Vec::with_capacity(MAX_TOLD + 1);
    // Without its store it was begun and not done.
    for dir in archives.flatten().map(|entry| entry.path()).filter(|dir| dir.join(DATA).is_dir()) {
        let note = dir.join(NOTE);
        let Ok(written) = fs::metadata(&note).and_then(|meta| meta.modified()) else { continue };
        newest.push((written, note));
        newest.sort_unstable_by(|one, other| other.cmp(one));
        newest.truncate(MAX_TOLD);
    }
    newest.into_iter().map(|(_, note)| note).collect()
}

fn read(path: &Path) -> Option<ResetView> {
    let read = private_file::read(path, MAX_NOTE).map_err(|e| e.to_string());
    let note = read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|e| e.to_string()));
    note.map_err(|why| tracing::warn!(path = %path.display(), why, "an archive's note can't be read")).ok()
}

/// The first archive of this ledger that isn't done yet: one that a kill interrupted, or a new one.
fn free_dir(home: &Home, network: Network, first: &ClosedLedger) -> Result<PathBuf, HomeError> {
    let hash: String = first.hash.to_string().chars().take(HASH_DIGITS).collect();
    let name = |n: u32| if n == 1 { format!("{network}-{hash}") } else { format!("{network}-{hash}-{n}") };
    let mut all = (1..=MAX_OF_ONE_LEDGER).map(|n| home.archive_dir().join(name(n)));
    all.find(|dir| !dir.join(DATA).exists()).ok_or_else(|| {
        io_at(&home.archive_dir())(io::Error::other("it is full of archives of one network: move some away"))
    })
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> HomeError {
    move |source| HomeError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tradepost_ledger::LedgerHash;
    use tradepost_protocol::time::Timestamp;

    use super::*;
    use crate::api::view::samples;

    fn first(hash: u8) -> ClosedLedger {
        ClosedLedger { sequence: 7, close_time: Timestamp::from_secs(100), hash: LedgerHash([hash; 32]) }
    }

    fn home(dir: &tempfile::TempDir) -> Home {
        let home = Home::at(dir.path());
        home.create().unwrap();
        fs::write(home.key_file(), "keys").unwrap();
        fs::write(home.data_dir().join("journal"), "old").unwrap();
        home
    }

    fn note(dir: &Path) -> ResetView {
        ResetView { archive: dir.display().to_string(), ..samples::reset() }
    }

    #[test]
    fn g56_the_store_is_moved_whole_the_keys_stay_and_what_ended_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(&dir);
        let archive = set_aside(&home, Network::Testnet, &first(0xab), note).unwrap();
        assert_eq!(archive, home.archive_dir().join("testnet-abababababab"));
        assert_eq!(fs::read_to_string(archive.join("data/journal")).unwrap(), "old");
        assert_eq!(fs::read_dir(home.data_dir()).unwrap().count(), 0, "a new one begins");
        assert!(home.key_file().exists());
        assert_eq!(told(&home), [note(&archive)]);
        assert!(!private_file::open_to_others(&archive).unwrap());
        fs::write(home.data_dir().join("journal"), "newer").unwrap();
        let again = set_aside(&home, Network::Testnet, &first(0xab), note).unwrap();
        assert_eq!(again, home.archive_dir().join("testnet-abababababab-2"));
        assert_eq!(fs::read_to_string(archive.join("data/journal")).unwrap(), "old", "nothing is overwritten");
        assert_eq!(told(&home).len(), 2);
    }

    #[test]
    fn of_many_resets_only_the_newest_notes_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(&dir);
        let began = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        for n in 1..=MAX_TOLD as u8 + 3 {
            let archive = set_aside(&home, Network::Devnet, &first(n), note).unwrap();
            let file = File::options().write(true).open(archive.join(NOTE)).unwrap();
            file.set_modified(began + std::time::Duration::from_secs(60 * u64::from(n))).unwrap();
        }
        let told: Vec<String> = told(&home).into_iter().map(|note| note.archive).collect();
        assert_eq!(told.len(), MAX_TOLD);
        for n in 1..=MAX_TOLD as u8 + 3 {
            let name = format!("devnet-{}", hex::encode([n; 6]));
            assert_eq!(told.iter().any(|archive| archive.ends_with(&name)), n > 3, "{name}");
        }
    }

    #[test]
    fn g56_a_kill_between_note_and_move_is_made_good_by_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(&dir);
        let killed = std::panic::catch_unwind(|| {
            set_aside(&home, Network::Devnet, &first(1), |_| panic!("killed, as this test wants it"))
        });
        assert!(killed.is_err() && home.data_dir().join("journal").exists());
        let begun = home.archive_dir().join("devnet-010101010101");
        fs::write(begun.join(NOTE), "{").unwrap();
        assert_eq!(told(&home), [], "what isn't moved isn't told");
        let archive = set_aside(&home, Network::Devnet, &first(1), note).unwrap();
        assert_eq!((&archive, told(&home)), (&begun, vec![note(&begun)]));
    }

    #[test]
    fn g56_a_note_that_cannot_be_read_is_no_reason_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(&dir);
        let archive = set_aside(&home, Network::Devnet, &first(1), note).unwrap();
        fs::write(archive.join(NOTE), "{").unwrap();
        assert_eq!(told(&home), []);
    }
}
