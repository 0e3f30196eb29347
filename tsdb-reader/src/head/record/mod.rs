//! Records: what the logs of a head are made of. One file per kind.
//!
//! ```text
//! ┌─────────┬───────┬───────┬───┐   1 series        5 markers (wbl/ only)   9, 10 histograms with custom buckets
//! │ type u8 │ entry │ entry │ … │   2, 11 samples   6 metadata              12, 13 histograms with start timestamps
//! └─────────┴───────┴───────┴───┘   3 tombstones    7, 8 histograms         8, 10, 13 are those with float counts
//!   to the end of the payload       4 exemplars     others come with newer versions
//! ```
//! Offsets in errors count from the type byte of the payload. An error ends a record; the entries before it are sound,
//! but a server that meets one drops the record whole.
//! Checked: every length before it is followed or allocated. What refs mean is not known here.
//! Defined in Prometheus' `tsdb/docs/format/wal.md` and `tsdb/record/record.go`.

mod deltas;
mod exemplars;
mod histograms;
pub(super) mod loki;
mod markers;
mod metadata;
mod samples;
mod series;
mod tombstones;

pub use exemplars::{ExemplarEntries, ExemplarEntry};
pub use histograms::HistogramEntries;
pub(super) use histograms::HistogramFields;
pub use markers::{MarkerEntries, MarkerEntry};
pub use metadata::{MetadataEntries, MetadataEntry, MetricType};
pub use samples::{SampleEntries, SampleEntry};
pub use series::SeriesEntries;
pub(super) use series::decode_labels;
pub(super) use tombstones::decode_interval;
pub use tombstones::{TombstoneEntries, TombstoneEntry};

use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::samples::HistogramKind;

/// A record, its entries not decoded yet.
#[derive(Debug)]
pub enum Record<'a> {
    /// 1: labels and the ref that stands for them from here on.
    Series(SeriesEntries<'a>),
    /// 2 and 11: float samples.
    Samples(SampleEntries<'a>),
    /// 3: deleted intervals.
    Tombstones(TombstoneEntries<'a>),
    /// 4: exemplars.
    Exemplars(ExemplarEntries<'a>),
    /// 5: from here on out-of-order samples are not in the head chunk named.
    Markers(MarkerEntries<'a>),
    /// 6: type, unit and help of series.
    Metadata(MetadataEntries<'a>),
    /// 7 to 10, 12 and 13: native histograms.
    Histograms(HistogramEntries<'a>),
    /// A type this version does not know. A server passes over it.
    Unknown(u8),
    /// No bytes at all. A server passes over it.
    Empty,
}

impl<'a> Record<'a> {
    /// Opens the payload of a record by its type.
    pub fn open(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let Some((&kind, entries)) = payload.split_first() else { return Ok(Self::Empty) };
        let cursor = Cursor::new(entries, 1);
        Ok(match kind {
            1 => Self::Series(SeriesEntries::new(cursor)),
            2 => Self::Samples(SampleEntries::to_base(cursor)?),
            3 => Self::Tombstones(TombstoneEntries::new(cursor)),
            4 => Self::Exemplars(ExemplarEntries::open(cursor)?),
            5 => Self::Markers(MarkerEntries::new(cursor)),
            6 => Self::Metadata(MetadataEntries::new(cursor)),
            7 | 9 => Self::Histograms(HistogramEntries::to_base(cursor, HistogramKind::Integer)?),
            8 | 10 => Self::Histograms(HistogramEntries::to_base(cursor, HistogramKind::Float)?),
            11 => Self::Samples(SampleEntries::to_previous(cursor)),
            12 => Self::Histograms(HistogramEntries::to_previous(cursor, HistogramKind::Integer)),
            13 => Self::Histograms(HistogramEntries::to_previous(cursor, HistogramKind::Float)),
            _ => Self::Unknown(kind),
        })
    }
}

/// The entry at `cursor`; none at the end, and after an error.
pub(super) fn next_entry<'a, T>(
    cursor: &mut Cursor<'a>,
    decode: impl FnOnce(&mut Cursor<'a>) -> Result<T, DecodeError>,
) -> Option<Result<T, DecodeError>> {
    if cursor.is_empty() {
        return None;
    }
    let entry = decode(cursor);
    if entry.is_err() {
        *cursor = Cursor::new(&[], cursor.offset());
    }
    Some(entry)
}
