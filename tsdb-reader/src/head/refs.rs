//! References of a head: numbers a running server gave out. They mean nothing in another database.
//!
//! ```text
//! head series ref   a small number, counted up               head chunk ref   upper 32 bits: number in the file's name
//!                                                                             lower 32 bits: offset in that file
//! ```
//! Defined in Prometheus' `tsdb/chunks/head_chunks.go`.

use std::fmt;

/// Names a series of one head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeadSeriesRef(pub u64);

/// Names a chunk in `chunks_head/`. Later chunks have larger refs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeadChunkRef(pub u64);

impl HeadChunkRef {
    /// The reference to `offset` in the file with this number in its name.
    pub fn new(file: u32, offset: u32) -> Self {
        Self((u64::from(file) << 32) | u64::from(offset))
    }

    /// The number in the name of the file. Unlike that of a block's chunk ref it does not count from 0.
    pub fn file(self) -> u64 {
        self.0 >> 32
    }

    /// Offset in the file of the chunk's entry.
    pub fn offset(self) -> u64 {
        self.0 & 0xffff_ffff
    }
}

impl fmt::Display for HeadSeriesRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for HeadChunkRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
