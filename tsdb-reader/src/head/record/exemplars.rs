//! Records of exemplars, type 4.
//!
//! ```text
//! base ref u64, base time i64, { place, value f64, labels uvarint, { name str, value str } … } …
//! ```
//! For places see `deltas`; the labels are those of the exemplar, not of the series.

use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::head::HeadSeriesRef;
use crate::labels::Labels;

use super::deltas::Deltas;
use super::next_entry;
use super::series::decode_labels;

/// One exemplar of a record, without its labels.
#[derive(Debug, Clone, Copy)]
pub struct ExemplarEntry {
    /// Whose exemplar it is.
    pub series_ref: HeadSeriesRef,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// The value, its NaN bits as stored.
    pub value: f64,
}

/// The exemplars of a record, in order. Over after the first error.
#[derive(Debug, Clone)]
pub struct ExemplarEntries<'a> {
    cursor: Cursor<'a>,
    deltas: Deltas,
}

impl<'a> ExemplarEntries<'a> {
    pub(in crate::head) fn open(mut cursor: Cursor<'a>) -> Result<Self, DecodeError> {
        let deltas = Deltas::to_base(&mut cursor)?;
        Ok(Self { cursor, deltas })
    }

    /// The next exemplar, its labels put in the place of those in `labels`; none at the end.
    pub fn read_next(&mut self, labels: &mut Labels) -> Result<Option<ExemplarEntry>, DecodeError> {
        next_entry(&mut self.cursor, |cursor| {
            let place = self.deltas.next(cursor)?;
            let value = f64::from_bits(cursor.u64("exemplar value")?);
            decode_labels(cursor, labels)?;
            Ok(ExemplarEntry { series_ref: place.series_ref, timestamp_ms: place.timestamp_ms, value })
        })
        .transpose()
    }
}
