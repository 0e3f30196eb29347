//! Records of float samples, types 2 and 11.
//!
//! ```text
//! type 2    base ref u64, base time i64, { place, value f64 } …
//! type 11   { place, value f64 } …                                   place: see `deltas`
//! ```

use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::head::HeadSeriesRef;

use super::deltas::Deltas;
use super::next_entry;

/// One float sample of a record.
#[derive(Debug, Clone, Copy)]
pub struct SampleEntry {
    /// Whose sample it is.
    pub series_ref: HeadSeriesRef,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// When the counter began, in milliseconds since the epoch; 0 = unknown.
    pub start_timestamp_ms: i64,
    /// The value, its NaN bits as stored.
    pub value: f64,
}

/// The samples of a record, in order. Over after the first error.
#[derive(Debug, Clone)]
pub struct SampleEntries<'a> {
    cursor: Cursor<'a>,
    deltas: Deltas,
}

impl<'a> SampleEntries<'a> {
    pub(super) fn to_base(mut cursor: Cursor<'a>) -> Result<Self, DecodeError> {
        let deltas = Deltas::to_base(&mut cursor)?;
        Ok(Self { cursor, deltas })
    }

    pub(super) fn to_previous(cursor: Cursor<'a>) -> Self {
        Self { cursor, deltas: Deltas::to_previous() }
    }
}

impl Iterator for SampleEntries<'_> {
    type Item = Result<SampleEntry, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        next_entry(&mut self.cursor, |cursor| {
            let place = self.deltas.next(cursor)?;
            Ok(SampleEntry {
                series_ref: place.series_ref,
                timestamp_ms: place.timestamp_ms,
                start_timestamp_ms: place.start_timestamp_ms,
                value: f64::from_bits(cursor.u64("sample value")?),
            })
        })
    }
}
