//! Small files that only their owner may read, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Permission bits of a private file: the owner reads and writes.
pub const MODE: u32 = 0o600;
/// Random bytes in the name of a file that is being written, count.
const TEMPORARY_NAME_BYTES: usize = 8;

/// Writes a file with mode [`MODE`] so that a reader, also after a crash, finds the old content or the new one whole.
///
/// # Errors
/// Whatever the file system answers; a reader then finds one of the two all the same.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let (temporary, directory) = prepare(path, content)?;
    let placed = fs::rename(&temporary, path);
    if placed.is_err() {
        // The first error is the one to tell; a leftover temporary file harms nobody.
        let _ = fs::remove_file(&temporary);
    }
    placed?;
    directory.sync_all()
}

/// Writes a file as [`write()`] does, but only where there is none yet.
///
/// # Errors
/// `AlreadyExists`, or whatever else the file system answers; the file then isn't there.
pub fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    write_new_with(path, content, File::sync_all)
}

fn write_new_with(path: &Path, content: &[u8], sync: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let (temporary, directory) = prepare(path, content)?;
    // A hard link, unlike a rename, never replaces what another process made in between.
    let placed = fs::hard_link(&temporary, path);
    // A leftover temporary file harms nobody.
    let _ = fs::remove_file(&temporary);
    placed?;
    let synced = sync(&directory);
    if synced.is_err() {
        // What may be gone after the next crash isn't left as if it were sure to stay.
        let _ = fs::remove_file(path);
    }
    synced
}

/// A temporary file beside this path with this content, synced, and the directory, which is to be synced at the end.
fn prepare(path: &Path, content: &[u8]) -> io::Result<(PathBuf, File)> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
    let mut random = [0; TEMPORARY_NAME_BYTES];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let temporary = parent.join(format!(".{}.{}", name.to_string_lossy(), hex::encode(random)));
    let directory = File::open(parent)?;
    let written = write_synced(&temporary, content);
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    Ok((temporary, directory))
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Reads a file of at most `max` bytes.
///
/// # Errors
/// Whatever the file system answers, or `InvalidData` where the file is larger.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(max + 1).read_to_end(&mut content)?;
    if content.len() as u64 > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("larger than {max} bytes")));
    }
    Ok(content)
}

/// Whether others than the owner may read or write the file.
///
/// # Errors
/// Whatever the file system answers.
pub fn open_to_others(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_replaces_the_old_and_is_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(read(&path, 3).unwrap(), b"new");
        assert!(!open_to_others(&path).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_new_file_never_replaces_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("once");
        write_new(&path, b"first").unwrap();
        assert_eq!(write_new(&path, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path, 10).unwrap(), b"first");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_new_file_that_may_not_last_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("once");
        let refused = write_new_with(&path, b"first", |_| Err(io::Error::other("the disk failed")));
        assert_eq!(refused.unwrap_err().to_string(), "the disk failed");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        write_new(&path, b"second").unwrap();
        let other = write_new_with(&path, b"third", |_| Err(io::Error::other("the disk failed")));
        assert_eq!(other.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path, 10).unwrap(), b"second", "what stood before stays");
    }

    #[test]
    fn a_file_over_its_bound_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        write(&path, &[7; 11]).unwrap();
        assert_eq!(read(&path, 10).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_file_that_the_group_may_read_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("open");
        write(&path, b"x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(open_to_others(&path).unwrap());
    }
}
