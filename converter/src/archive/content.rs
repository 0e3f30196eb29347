//! Where the bytes of a file in an archive are.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use tsdb_reader::source::LocalFile;

/// The bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// In memory.
    Memory(Bytes),
    /// Somewhere in the archive's file: the archive itself, or what was unpacked of it.
    Stored(Range<u64>),
    /// Not to be had, and why.
    Unusable(&'static str),
}

impl Content {
    /// Number of bytes.
    pub(super) fn size(&self) -> io::Result<u64> {
        match self {
            Self::Memory(bytes) => Ok(bytes.len() as u64),
            Self::Stored(place) => Ok(place.end - place.start),
            Self::Unusable(why) => Err(io::Error::new(io::ErrorKind::InvalidData, *why)),
        }
    }

    /// The bytes of `range`, cut at the end of the content; `file` is what they may be stored in.
    pub(super) fn read(&self, file: Option<&LocalFile>, range: &Range<u64>) -> io::Result<Bytes> {
        let size = self.size()?;
        let (start, end) = (range.start.min(size), range.end.min(size));
        match (self, file) {
            (Self::Memory(bytes), _) => {
                let place = |at| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes.slice(place(start)..place(end).max(place(start))))
            }
            (Self::Stored(place), Some(file)) => {
                file.read(&(place.start + start..place.start + end.max(start)))
            }
            _ => Ok(Bytes::new()),
        }
    }
}
