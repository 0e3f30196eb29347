//! The spool: files of a packed archive, as they come by.
//!
//! They are kept in memory as long as all of them fit a budget; after that each goes to one temporary file, which has
//! no name from the start and so is gone when the process ends, however it ends. No size is believed before the
//! bytes are there: it is only checked against the room that is left.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tsdb_reader::source::LocalFile;

use super::content::Content;

/// Bytes that are read at once.
const COPY_BYTES: usize = 256 << 10;

/// Why a file could not be spooled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The disk is too small.
    #[error(
        "unpacking {name} needs {needed} bytes in {}, {available} are free there; give a larger folder with --temp-dir",
        dir.display()
    )]
    NoRoom {
        /// The file in the archive.
        name: String,
        /// Its size in bytes.
        needed: u64,
        /// The folder.
        dir: PathBuf,
        /// Bytes that are free in it.
        available: u64,
    },
    /// The temporary file cannot be written.
    #[error("cannot unpack into a temporary file in {}; give another folder with --temp-dir", dir.display())]
    Write {
        /// The folder.
        dir: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Where files go.
#[derive(Debug)]
pub(super) struct Spool {
    temp_dir: PathBuf,
    /// Bytes that may still be kept in memory.
    memory_left: u64,
    /// Bytes kept in memory.
    pub(super) memory_bytes: u64,
    /// Bytes in the temporary file.
    pub(super) disk_bytes: u64,
    file: Option<File>,
    buffer: Vec<u8>,
}

/// A file as far as it came.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) content: Content,
    pub(super) len: u64,
    /// Why it ended early, unless the input just ended.
    pub(super) error: Option<io::Error>,
}

impl Spool {
    /// A spool that keeps up to `memory` bytes, and the rest in `temp_dir`.
    pub(super) fn new(memory: u64, temp_dir: &Path) -> Self {
        Self {
            temp_dir: temp_dir.to_owned(),
            memory_left: memory,
            memory_bytes: 0,
            disk_bytes: 0,
            file: None,
            buffer: Vec::new(),
        }
    }

    /// Takes the next `len` bytes of `input`, which are the file `name`.
    pub(super) fn keep(&mut self, input: &mut dyn Read, len: u64, name: &str) -> Result<Kept, SpoolError> {
        if len <= self.memory_left {
            return Ok(self.keep_in_memory(input, len));
        }
        self.keep_on_disk(input, len, name)
    }

    fn keep_in_memory(&mut self, input: &mut dyn Read, len: u64) -> Kept {
        let mut bytes = Vec::new();
        let error = input.take(len).read_to_end(&mut bytes).err();
        bytes.shrink_to_fit();
        let kept = bytes.len() as u64;
        self.memory_left -= kept;
        self.memory_bytes += kept;
        Kept { content: Content::Memory(Bytes::from(bytes)), len: kept, error }
    }

    fn keep_on_disk(&mut self, input: &mut dyn Read, len: u64, name: &str) -> Result<Kept, SpoolError> {
        let dir = self.temp_dir.as_path();
        let failed = |source| SpoolError::Write { dir: dir.to_owned(), source };
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(dir).map_err(failed)?),
        };
        if let Some(available) = free_bytes(file).filter(|&available| available < len) {
            let (name, dir) = (name.to_owned(), dir.to_owned());
            return Err(SpoolError::NoRoom { name, needed: len, dir, available });
        }
        let start = self.disk_bytes;
        let mut left = len;
        let mut ended = None;
        self.buffer.resize(COPY_BYTES, 0);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(COPY_BYTES);
            let read = match input.read(self.buffer.get_mut(..most).unwrap_or_default()) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    ended = Some(error);
                    break;
                }
            };
            file.write_all(self.buffer.get(..read).unwrap_or_default()).map_err(failed)?;
            left -= read as u64;
            self.disk_bytes += read as u64;
        }
        let content = Content::Stored(start..self.disk_bytes);
        Ok(Kept { content, len: len - left, error: ended })
    }

    /// The temporary file, if there is one, to be read from now on.
    pub(super) fn into_file(self) -> Result<Option<LocalFile>, SpoolError> {
        let dir = self.temp_dir.as_path();
        let failed = |source| SpoolError::Write { dir: dir.to_owned(), source };
        self.file.map(LocalFile::mapped).transpose().map_err(failed)
    }
}

/// Bytes that are free where `file` lies, for those who are not root; none where the system does not tell.
#[cfg(unix)]
pub(crate) fn free_bytes(file: &File) -> Option<u64> {
    let room = rustix::fs::fstatvfs(file).ok()?;
    room.f_frsize.checked_mul(room.f_bavail)
}

#[cfg(not(unix))]
pub(crate) fn free_bytes(_: &File) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(kept: &Kept, file: Option<&LocalFile>) -> Bytes {
        kept.content.read(file, &(0..u64::MAX)).unwrap()
    }

    #[test]
    fn what_fits_the_budget_stays_in_memory_and_the_rest_goes_to_a_nameless_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(10, dir.path());
        let mut input = &b"0123456789abcdefghij"[..];
        let first = spool.keep(&mut input, 6, "first").unwrap();
        let second = spool.keep(&mut input, 8, "second").unwrap();
        let third = spool.keep(&mut input, 4, "third").unwrap();
        let cut = spool.keep(&mut input, 9, "cut").unwrap();
        assert_eq!((spool.memory_bytes, spool.disk_bytes), (10, 10));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the file has a name");
        let file = spool.into_file().unwrap();
        assert_eq!(bytes_of(&first, file.as_ref()), "012345");
        assert_eq!(bytes_of(&second, file.as_ref()), "6789abcd");
        assert_eq!(bytes_of(&third, file.as_ref()), "efgh");
        assert_eq!((bytes_of(&cut, file.as_ref()), cut.len), (Bytes::from("ij"), 2));
    }

    #[test]
    fn a_claimed_size_takes_no_memory_and_is_checked_against_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(u64::MAX, dir.path());
        let kept = spool.keep(&mut &b"abc"[..], u64::MAX, "index").unwrap();
        assert_eq!(kept.len, 3);
        let mut spool = Spool::new(0, dir.path());
        let message = spool.keep(&mut &b"abc"[..], 1 << 60, "01/index").unwrap_err().to_string();
        let start = format!("unpacking 01/index needs {} bytes in {}, ", 1u64 << 60, dir.path().display());
        assert!(message.starts_with(&start) && message.ends_with(" with --temp-dir"), "{message}");
        let gone = dir.path().join("gone");
        let mut spool = Spool::new(0, &gone);
        assert!(spool.keep(&mut &b"abc"[..], 3, "index").is_err());
    }
}
