//! The journal: what money depends on, appended and synced before anything else knows of it.
//!
//! One record is one group of batches and is synced before the next one is written, so only the last record can be
//! torn. A record that can't be read with another one after it is damage, and nothing is touched then.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::step::Batch;

use crate::error::StoreError;

pub(crate) mod record;

use record::{
    HEADER_BYTES, Header, JOURNAL_FORMAT, Place, RECORD_HEAD_BYTES, RECORD_MAGIC, RecordHead, decode_payload,
    encode_record,
};

/// Where the first record stands.
pub(crate) const FIRST_RECORD: u64 = HEADER_BYTES as u64;

/// Bytes read at a time when looking for a record behind a damaged one.
const SEARCH_BYTES: usize = 1024 * 1024;

/// An open journal, positioned at its end.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    pub(crate) file: File,
    header: Header,
    end: u64,
}

impl Journal {
    /// A new journal under a name of its own, not durable before [`Journal::install`].
    pub(crate) fn create(path: &Path, network: NetworkId, generation: u64) -> Result<Self, StoreError> {
        let header = Header { format: JOURNAL_FORMAT, generation, network };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .map_err(StoreError::io("creating", path))?;
        file.write_all(&header.to_bytes()).map_err(StoreError::io("writing", path))?;
        Ok(Self { path: path.to_owned(), file, header, end: FIRST_RECORD })
    }

    /// Makes it durable and gives it its final name; whatever had that name is replaced.
    pub(crate) fn install(&mut self, path: &Path) -> Result<(), StoreError> {
        self.file.sync_all().map_err(StoreError::io("syncing", &self.path))?;
        fs::rename(&self.path, path).map_err(StoreError::io("renaming", &self.path))?;
        self.path = path.to_owned();
        sync_parent(path)
    }

    /// The network that the journal in a file belongs to.
    pub(crate) fn network_of(path: &Path) -> Result<NetworkId, StoreError> {
        let why = "this is no journal, or its header is damaged";
        let damaged = || StoreError::JournalDamaged { path: path.to_owned(), offset: 0, why };
        let mut bytes = [0; HEADER_BYTES];
        let mut file = File::open(path).map_err(StoreError::io("opening", path))?;
        file.read_exact(&mut bytes).map_err(|_| damaged())?;
        Ok(Header::from_bytes(&bytes).ok_or_else(damaged)?.network)
    }

    /// Opens a journal and reads its header; `None` where there is no file.
    pub(crate) fn open(path: &Path, network: NetworkId) -> Result<Option<Self>, StoreError> {
        let mut file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(StoreError::io("opening", path))?,
        };
        let mut bytes = [0; HEADER_BYTES];
        let header = match file.read_exact(&mut bytes) {
            Ok(()) => Header::from_bytes(&bytes),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(StoreError::io("reading", path)(error)),
        };
        let why = "this is no journal, or its header is damaged";
        let header = header.ok_or(StoreError::JournalDamaged { path: path.to_owned(), offset: 0, why })?;
        if header.format > JOURNAL_FORMAT {
            return Err(StoreError::NewerFormat { path: path.to_owned(), found: header.format, known: JOURNAL_FORMAT });
        }
        if header.network != network {
            return Err(StoreError::OtherNetwork { path: path.to_owned(), found: header.network, wanted: network });
        }
        Ok(Some(Self { path: path.to_owned(), file, header, end: FIRST_RECORD }))
    }

    /// Gives every whole record to `each`, with the place where it ends, and changes nothing.
    ///
    /// # Errors
    /// [`StoreError::JournalDamaged`] for damage elsewhere than in the last record; what `each` says.
    pub(crate) fn read(
        &mut self,
        mut each: impl FnMut(Place, Vec<Batch>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let length = self.length()?;
        self.end = FIRST_RECORD;
        while let Some(payload) = self.read_record(length)? {
            let batches = decode_payload(&payload)
                .ok_or_else(|| self.damaged("its checksum is right, but it says what this version doesn't know"))?;
            self.end += (RECORD_HEAD_BYTES + payload.len()) as u64;
            each(self.place(), batches)?;
        }
        if self.end < length && self.another_record_follows(length)? {
            return Err(self.damaged("a record can't be read, and others follow it"));
        }
        Ok(())
    }

    /// Cuts off what stands behind the last whole record that was read, and makes what was read durable: a record that
    /// a crash left behind may not have been synced yet.
    pub(crate) fn settle(&mut self) -> Result<(), StoreError> {
        let torn = self.length()? - self.end;
        if torn > 0 {
            tracing::warn!(
                journal = %self.path.display(), kept = self.end, cut = torn,
                "the journal's last record was torn by a crash before it was acknowledged; cut off"
            );
        }
        self.cut_to_end().map_err(StoreError::io("settling", &self.path))
    }

    /// Appends one record without syncing it.
    pub(crate) fn append<'a>(&mut self, batches: impl ExactSizeIterator<Item = &'a Batch>) -> Result<(), StoreError> {
        let record = encode_record(self.place(), batches);
        self.file.write_all(&record).map_err(StoreError::io("appending to", &self.path))?;
        self.end += record.len() as u64;
        Ok(())
    }

    /// Appends one record and returns once it is durable. What fails is cut off again, as far as the disk lets us.
    pub(crate) fn append_durably<'a>(
        &mut self,
        batches: impl ExactSizeIterator<Item = &'a Batch>,
    ) -> Result<(), StoreError> {
        let before = self.end;
        let done = self.append(batches).and_then(|()| self.sync());
        if done.is_err() {
            self.end = before;
            if let Err(error) = self.cut_to_end() {
                tracing::error!(journal = %self.path.display(), %error, "a record that failed could not be cut off");
            }
        }
        done
    }

    /// Makes all that was appended durable.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(StoreError::io("syncing", &self.path))
    }

    /// Where the next record will stand.
    pub(crate) fn place(&self) -> Place {
        Place { generation: self.header.generation, offset: self.end }
    }

    /// The network that it belongs to.
    pub(crate) fn network(&self) -> NetworkId {
        self.header.network
    }

    /// Its file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The payload of the record at `end`; `None` where no whole record stands there.
    fn read_record(&self, length: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(room) = (length - self.end).checked_sub(RECORD_HEAD_BYTES as u64) else { return Ok(None) };
        let mut head = [0; RECORD_HEAD_BYTES];
        self.read_at(&mut head, self.end)?;
        let Some(head) = RecordHead::from_bytes(self.place(), &head) else { return Ok(None) };
        if u64::from(head.length) > room {
            return Ok(None);
        }
        let mut payload = vec![0; head.length as usize];
        self.read_at(&mut payload, self.end + RECORD_HEAD_BYTES as u64)?;
        Ok(head.fits(self.place(), &payload).then_some(payload))
    }

    /// Whether the head of a record stands anywhere behind `end`.
    fn another_record_follows(&self, length: u64) -> Result<bool, StoreError> {
        let mut from = self.end + 1;
        let mut chunk = vec![0; SEARCH_BYTES];
        while from + RECORD_HEAD_BYTES as u64 <= length {
            let bytes = usize::try_from(length - from).map_or(SEARCH_BYTES, |left| left.min(SEARCH_BYTES));
            self.read_at(&mut chunk[..bytes], from)?;
            for (at, window) in chunk[..bytes].windows(RECORD_HEAD_BYTES).enumerate() {
                let place = Place { offset: from + at as u64, ..self.place() };
                let head: &[u8; RECORD_HEAD_BYTES] = window.try_into().expect("windows have this length");
                if head.starts_with(&RECORD_MAGIC) && RecordHead::from_bytes(place, head).is_some() {
                    return Ok(true);
                }
            }
            from += (bytes - RECORD_HEAD_BYTES + 1) as u64;
        }
        Ok(false)
    }

    fn length(&self) -> Result<u64, StoreError> {
        Ok(self.file.metadata().map_err(StoreError::io("reading", &self.path))?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), StoreError> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.read_exact(bytes))
            .map_err(StoreError::io("reading", &self.path))
    }

    fn cut_to_end(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.sync_all()
    }

    fn damaged(&self, why: &'static str) -> StoreError {
        StoreError::JournalDamaged { path: self.path.clone(), offset: self.end, why }
    }
}

/// Makes the name of a file durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Only Unix lets a directory be opened and synced; elsewhere names are durable with their files.
    if cfg!(unix) {
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(StoreError::io("syncing", parent))
    } else {
        Ok(())
    }
}
