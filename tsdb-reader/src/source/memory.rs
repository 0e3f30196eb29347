//! A block in memory: for tests, fuzzing, and bytes that came from elsewhere.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use bytes::Bytes;

use super::{BlockFile, Source, cut};

/// The files of a block in memory.
#[derive(Debug, Clone, Default)]
pub struct MemorySource {
    /// The files that are there.
    pub files: BTreeMap<BlockFile, Bytes>,
}

impl MemorySource {
    /// A source without any file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, or replaces it.
    #[must_use]
    pub fn with(mut self, file: BlockFile, bytes: impl Into<Bytes>) -> Self {
        self.files.insert(file, bytes.into());
        self
    }

    fn file(&self, file: BlockFile) -> io::Result<&Bytes> {
        self.files.get(&file).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl Source for MemorySource {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn size(&self, file: BlockFile) -> io::Result<u64> {
        Ok(self.file(file)?.len() as u64)
    }

    fn segments(&self) -> io::Result<Vec<u32>> {
        Ok(self.files.keys().filter_map(|file| file.segment_number()).collect())
    }

    fn read(&self, file: BlockFile, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let bytes = self.file(file)?;
        Ok(ranges.iter().map(|range| cut(bytes, range)).collect())
    }
}
