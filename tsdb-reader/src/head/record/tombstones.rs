//! Records of tombstones, type 3.
//!
//! ```text
//! { ref u64, min varint, max varint } …
//! ```

use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::head::HeadSeriesRef;
use crate::tombstones::Interval;

use super::next_entry;

/// One tombstone of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TombstoneEntry {
    /// Whose samples are deleted.
    pub series_ref: HeadSeriesRef,
    /// The deleted span, as stored: it may end before it starts.
    pub interval: Interval,
}

impl TombstoneEntry {
    /// True for the span of all time: from here on the series is not in the head, and its ref means nothing.
    pub fn ends_series(&self) -> bool {
        self.interval.covers(i64::MIN, i64::MAX)
    }
}

/// The tombstones of a record, in order. Over after the first error.
#[derive(Debug, Clone)]
pub struct TombstoneEntries<'a> {
    cursor: Cursor<'a>,
}

impl<'a> TombstoneEntries<'a> {
    pub(super) fn new(cursor: Cursor<'a>) -> Self {
        Self { cursor }
    }
}

impl Iterator for TombstoneEntries<'_> {
    type Item = Result<TombstoneEntry, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        next_entry(&mut self.cursor, |cursor| {
            let series_ref = HeadSeriesRef(cursor.u64("tombstone series ref")?);
            decode_interval(cursor, series_ref)
        })
    }
}

/// What follows the ref of a tombstone.
pub fn decode_interval(
    cursor: &mut Cursor<'_>,
    series_ref: HeadSeriesRef,
) -> Result<TombstoneEntry, DecodeError> {
    let min_time_ms = cursor.varint("tombstone min time")?;
    let max_time_ms = cursor.varint("tombstone max time")?;
    Ok(TombstoneEntry { series_ref, interval: Interval { min_time_ms, max_time_ms } })
}
