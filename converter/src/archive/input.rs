//! The bytes of an archive, front to back: a file on a disk, of which data is only pointed at, or a stream, of which
//! data is spooled or lost.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use tsdb_reader::source::LocalFile;

use super::content::Content;
use super::spool::{Kept, Spool, SpoolError};
use super::stream::stopped;

/// Where members are read from.
pub(super) enum Input<'a> {
    /// An archive that is not packed, on a disk, how much of it was read, and what asks to stop.
    File(&'a LocalFile, u64, &'a AtomicBool),
    /// An archive that comes by once, and where its files go.
    Stream(&'a mut dyn Read, &'a mut Spool),
}

impl Input<'_> {
    /// Fills `buffer` as far as there are bytes; how many there were.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(.., stop) if stop.load(Ordering::Relaxed) => Err(stopped()),
            Self::File(file, at, _) => {
                let bytes = file.read(&(*at..at.saturating_add(buffer.len() as u64)))?;
                buffer.iter_mut().zip(bytes.iter()).for_each(|(to, from)| *to = *from);
                *at += bytes.len() as u64;
                Ok(bytes.len())
            }
            Self::Stream(stream, _) => fill(*stream, buffer),
        }
    }

    /// Passes over `len` bytes; how many there were.
    pub(super) fn skip(&mut self, len: u64) -> io::Result<u64> {
        match self {
            Self::File(file, at, _) => Ok(advance(file, at, len)),
            Self::Stream(stream, _) => io::copy(&mut stream.take(len), &mut io::sink()),
        }
    }

    /// Takes the next `len` bytes as the file `name`.
    pub(super) fn keep(&mut self, len: u64, name: &str) -> Result<Kept, SpoolError> {
        match self {
            Self::File(file, at, _) => {
                let start = *at;
                let len = advance(file, at, len);
                Ok(Kept { content: Content::Stored(start..*at), len, error: None })
            }
            Self::Stream(stream, spool) => spool.keep(*stream, len, name),
        }
    }
}

/// Moves on by `len` bytes, or to the end.
fn advance(file: &LocalFile, at: &mut u64, len: u64) -> u64 {
    let len = len.min(file.size().saturating_sub(*at));
    *at += len;
    len
}

/// Fills `buffer` as far as `stream` has bytes.
pub(super) fn fill(stream: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
