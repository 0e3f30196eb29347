//! A file on a local disk: a memory map, or an open file that is read at given places.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

#[cfg(feature = "mmap")]
use super::cut;

/// Opens the file at `path` to read it. What is no regular file is refused: opening a pipe may wait for ever.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a pipe, a socket or a device, no file",
        ));
    }
    File::open(path)
}

/// An open file, of which ranges are read. Copies are cheap and share it.
#[derive(Debug, Clone)]
pub struct LocalFile(Access);

#[derive(Debug, Clone)]
enum Access {
    #[cfg(feature = "mmap")]
    Mapped(Bytes),
    Positioned(Arc<File>, u64),
}

impl LocalFile {
    /// The file mapped into memory, read range by range without the feature `mmap`.
    ///
    /// It must be finished: a file that another process cuts short while it is mapped ends this process.
    pub fn mapped(file: File) -> io::Result<Self> {
        #[cfg(feature = "mmap")]
        {
            super::mmap::map(&file).map(|bytes| Self(Access::Mapped(bytes)))
        }
        #[cfg(not(feature = "mmap"))]
        Self::positioned(file)
    }

    /// The file read range by range; it may be cut short meanwhile.
    pub fn positioned(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self(Access::Positioned(Arc::new(file), size)))
    }

    /// Its size in bytes, as it was when opened.
    pub fn size(&self) -> u64 {
        match &self.0 {
            #[cfg(feature = "mmap")]
            Access::Mapped(bytes) => bytes.len() as u64,
            Access::Positioned(_, size) => *size,
        }
    }

    /// The bytes of `range`, cut at the end of the file.
    pub fn read(&self, range: &Range<u64>) -> io::Result<Bytes> {
        match &self.0 {
            #[cfg(feature = "mmap")]
            Access::Mapped(bytes) => Ok(cut(bytes, range)),
            Access::Positioned(file, size) => read_at(file, range.start.min(*size)..range.end.min(*size)),
        }
    }
}

/// Reads a range that lies within the file as it was when opened; shorter if the file was cut since.
fn read_at(file: &File, range: Range<u64>) -> io::Result<Bytes> {
    let len = usize::try_from(range.end.saturating_sub(range.start))
        .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut buffer = vec![0; len];
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match read_some_at(file, rest, range.start + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(Bytes::from(buffer))
}

#[cfg(unix)]
fn read_some_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_some_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}
