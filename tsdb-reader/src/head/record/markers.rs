//! Records of markers, type 5, in the log of out-of-order samples.
//!
//! ```text
//! { ref u64, head chunk ref u64 } …
//! ```

use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::head::{HeadChunkRef, HeadSeriesRef};

use super::next_entry;

/// One marker: the out-of-order samples of the series up to here are in the head chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkerEntry {
    /// Whose samples.
    pub series_ref: HeadSeriesRef,
    /// The chunk they were written to; 0 when a new one was begun and none written.
    pub chunk_ref: HeadChunkRef,
}

/// The markers of a record, in order. Over after the first error.
#[derive(Debug, Clone)]
pub struct MarkerEntries<'a> {
    cursor: Cursor<'a>,
}

impl<'a> MarkerEntries<'a> {
    pub(super) fn new(cursor: Cursor<'a>) -> Self {
        Self { cursor }
    }
}

impl Iterator for MarkerEntries<'_> {
    type Item = Result<MarkerEntry, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        next_entry(&mut self.cursor, |cursor| {
            let series_ref = HeadSeriesRef(cursor.u64("marker series ref")?);
            let chunk_ref = HeadChunkRef(cursor.u64("marker chunk ref")?);
            Ok(MarkerEntry { series_ref, chunk_ref })
        })
    }
}
