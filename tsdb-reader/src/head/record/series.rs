//! Records of series, type 1.
//!
//! ```text
//! { ref u64, labels uvarint, { name str, value str } … } …            str: its length as uvarint, then its bytes
//! ```
//! Names are in the order of their bytes, as the server keeps them; nothing here relies on it.

use crate::cursor::Cursor;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::head::HeadSeriesRef;
use crate::labels::Labels;
use crate::limits::LABELS_BYTES;

use super::next_entry;

/// The series of a record, in order. Over after the first error.
#[derive(Debug, Clone)]
pub struct SeriesEntries<'a> {
    cursor: Cursor<'a>,
}

impl<'a> SeriesEntries<'a> {
    pub(super) fn new(cursor: Cursor<'a>) -> Self {
        Self { cursor }
    }

    /// The next series, its labels put in the place of those in `labels`; none at the end.
    pub fn read_next(&mut self, labels: &mut Labels) -> Result<Option<HeadSeriesRef>, DecodeError> {
        next_entry(&mut self.cursor, |cursor| {
            let series_ref = HeadSeriesRef(cursor.u64("series ref")?);
            decode_labels(cursor, labels)?;
            Ok(series_ref)
        })
        .transpose()
    }
}

/// A label set: how many pairs, then the pairs.
pub fn decode_labels(cursor: &mut Cursor<'_>, labels: &mut Labels) -> Result<(), DecodeError> {
    labels.clear();
    let start = cursor.offset();
    let count = cursor.uvarint("number of labels")?;
    for _ in 0..count {
        let name = cursor.str("label name")?;
        let value = cursor.str("label value")?;
        let found = cursor.offset() - start;
        if found > LABELS_BYTES {
            let kind = DecodeErrorKind::Limit { field: "labels", found, limit: LABELS_BYTES };
            return Err(DecodeError { offset: start, kind });
        }
        labels.push(name, value);
    }
    Ok(())
}
