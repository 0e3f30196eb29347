//! Spools: bytes that are written once, front to back, and read at the end.
//!
//! They stay in memory up to a budget. Above it they go to a file without a name in the temporary folder, which
//! vanishes with the process, and are read through a memory map.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use bytes::Bytes;
use tsdb_reader::source::LocalFile;
use xxhash_rust::xxh64::Xxh64;

/// Bytes held before they are written to the file.
const BUFFER_BYTES: usize = 1 << 20;

/// Bytes on their way to memory or to a file.
pub(crate) struct Spool {
    temp_dir: PathBuf,
    budget_bytes: usize,
    /// What is not in the file.
    held: Vec<u8>,
    file: Option<File>,
    len: u64,
    hash: Xxh64,
}

impl Spool {
    /// Nothing yet; above `budget_bytes` it goes to `temp_dir`.
    pub(crate) fn new(temp_dir: PathBuf, budget_bytes: usize) -> Self {
        Self { temp_dir, budget_bytes, held: Vec::new(), file: None, len: 0, hash: Xxh64::new(0) }
    }

    /// Bytes written.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes that stay in memory.
    pub(crate) fn memory_bytes(&self) -> u64 {
        if self.file.is_some() { 0 } else { self.len }
    }

    /// A hash of all bytes written.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.digest()
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        self.held.extend_from_slice(bytes);
        let most = if self.file.is_some() { BUFFER_BYTES } else { self.budget_bytes };
        if self.held.len() > most { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile_in(&self.temp_dir)?),
        };
        file.write_all(&self.held)?;
        self.held.clear();
        self.held.shrink_to(BUFFER_BYTES);
        Ok(())
    }

    /// All bytes, in one piece.
    pub(crate) fn finish(mut self) -> io::Result<Bytes> {
        if self.file.is_some() {
            self.spill()?;
        }
        match self.file {
            None => Ok(Bytes::from(self.held)),
            Some(file) => LocalFile::mapped(file)?.read(&(0..self.len)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spooled_is_the_same_in_memory_and_in_a_file() {
        let pieces: Vec<Vec<u8>> =
            (0..40u8).map(|byte| vec![byte; 1 + 70_000 * usize::from(byte % 3)]).collect();
        let spooled = |budget| {
            let mut spool = Spool::new(std::env::temp_dir(), budget);
            pieces.iter().for_each(|piece| spool.write(piece).unwrap());
            assert_eq!((spool.file.is_some(), spool.len()), (budget == 0, pieces.concat().len() as u64));
            (spool.hash(), spool.finish().unwrap())
        };
        assert_eq!(spooled(0), spooled(usize::MAX));
        assert_eq!(spooled(0).1, pieces.concat());
    }
}
