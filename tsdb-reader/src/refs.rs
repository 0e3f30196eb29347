//! References: numbers by which one part of a block names a place in another one.
//!
//! ```text
//! series ref   index version 1: file offset          chunk ref   upper 32 bits: position of the segment, from 0
//!              from version 2:  file offset ÷ 16                 lower 32 bits: offset in that segment
//! ```
//! A reference is a number from a file. Nothing is checked here: whoever follows one checks where it leads.
//! Defined in Prometheus' `tsdb/docs/format/index.md`, section Series, and `chunks.md`.

use std::fmt;

/// Names a series entry of one index; postings lists and tombstones hold these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesRef(pub u64);

/// Names a chunk of one block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkRef(pub u64);

impl ChunkRef {
    /// The reference to `offset` in the segment at `segment_position`.
    pub fn new(segment_position: u32, offset: u32) -> Self {
        Self((u64::from(segment_position) << 32) | u64::from(offset))
    }

    /// Position in the ascending list of segments, from 0: file `000001` is 0.
    pub fn segment_position(self) -> u64 {
        self.0 >> 32
    }

    /// Offset in the segment of the chunk's length field.
    pub fn offset(self) -> u64 {
        self.0 & 0xffff_ffff
    }
}

impl fmt::Display for SeriesRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for ChunkRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_ref_splits_into_segment_position_and_offset() {
        let chunk_ref = ChunkRef(8_589_934_979);
        assert_eq!((chunk_ref.segment_position(), chunk_ref.offset()), (2, 387));
        assert_eq!(ChunkRef::new(2, 387), chunk_ref);
        assert_eq!(ChunkRef::new(u32::MAX, u32::MAX), ChunkRef(u64::MAX));
    }
}
