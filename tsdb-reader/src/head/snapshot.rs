//! Chunk snapshots: the chunks that were open when a server went down, for a quicker start.
//!
//! ```text
//! 1 series      ref u64, labels uvarint, { name str, value str } …, 0 u64, open uvarint, and when that is not 0:
//!               min i64, max i64, encoding u8, len uvarint, data,
//!               of floats: 48 bytes without meaning, last time i64, last value f64
//!               of histograms: the last one, as in records of the log
//! 2 tombstones  len uvarint, version 1 u8, { ref uvarint, min varint, max varint } …
//! 3 exemplars   as in records of the log
//! ```
//! They stand in segments. All that a snapshot holds is in the log and the head chunks too.
//! Checked: every length, the version of tombstones. Offsets in errors count from the type byte of the payload.
//! Defined in Prometheus' `tsdb/docs/format/memory_snapshot.md` and `tsdb/head_wal.go`.

use bytes::Bytes;

use crate::chunks::{Chunk, Encoding};
use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::labels::Labels;
use crate::samples::HistogramKind;

use super::HeadSeriesRef;
use super::record::{
    ExemplarEntries, HistogramFields, TombstoneEntry, decode_interval, decode_labels, next_entry,
};

const TOMBSTONES_VERSION: u8 = 1;

/// A record of a snapshot, not decoded yet.
#[derive(Debug)]
pub enum SnapshotRecord<'a> {
    /// 1: one series, with its open chunk.
    Series(SnapshotSeries<'a>),
    /// 2: all that was deleted from the head.
    Tombstones(SnapshotTombstones<'a>),
    /// 3: exemplars.
    Exemplars(ExemplarEntries<'a>),
    /// A type this version does not know. A server drops the snapshot then.
    Unknown(u8),
    /// No bytes at all.
    Empty,
}

impl<'a> SnapshotRecord<'a> {
    /// Opens the payload of a record by its type.
    pub fn open(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let Some((&kind, rest)) = payload.split_first() else { return Ok(Self::Empty) };
        let cursor = Cursor::new(rest, 1);
        Ok(match kind {
            1 => Self::Series(SnapshotSeries { cursor }),
            2 => Self::Tombstones(SnapshotTombstones::open(cursor)?),
            3 => Self::Exemplars(ExemplarEntries::open(cursor)?),
            _ => Self::Unknown(kind),
        })
    }
}

/// A series of a snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotSeries<'a> {
    cursor: Cursor<'a>,
}

/// A chunk that was still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenChunk<'a> {
    /// Time of its first sample, in milliseconds since the epoch.
    pub min_time_ms: i64,
    /// Time of its last sample, in milliseconds since the epoch.
    pub max_time_ms: i64,
    /// How its data is encoded.
    pub encoding: Encoding,
    /// Its data.
    pub data: &'a [u8],
    /// Offset in the payload of its data.
    pub offset: u64,
}

impl OpenChunk<'_> {
    /// The chunk by itself, its data copied. Offsets in its errors count from the start of the payload.
    pub fn to_chunk(&self) -> Chunk {
        Chunk::new(self.encoding, Bytes::copy_from_slice(self.data), 0, self.offset)
    }
}

impl<'a> SnapshotSeries<'a> {
    /// Which series it is, and its open chunk if it had one. The labels are put in the place of those in `labels`.
    pub fn decode(
        mut self,
        labels: &mut Labels,
    ) -> Result<(HeadSeriesRef, Option<OpenChunk<'a>>), DecodeError> {
        let cursor = &mut self.cursor;
        let series_ref = HeadSeriesRef(cursor.u64("series ref")?);
        decode_labels(cursor, labels)?;
        cursor.u64("chunk range")?;
        if cursor.uvarint("open chunk flag")? == 0 {
            return Ok((series_ref, None));
        }
        let min_time_ms = cursor.u64("min time of open chunk")?.cast_signed();
        let max_time_ms = cursor.u64("max time of open chunk")?.cast_signed();
        let encoding = Encoding::from_byte(cursor.u8("encoding of open chunk")?);
        let len = cursor.uvarint("length of open chunk")?;
        let offset = cursor.offset();
        let data = cursor.bytes("open chunk", len)?;
        skip_last_sample(cursor, encoding)?;
        Ok((series_ref, Some(OpenChunk { min_time_ms, max_time_ms, encoding, data, offset })))
    }
}

/// What a server needs to append to the chunk.
fn skip_last_sample(cursor: &mut Cursor<'_>, encoding: Encoding) -> Result<(), DecodeError> {
    match encoding {
        Encoding::Xor | Encoding::Xor2 => cursor.array::<64>("last samples").map(|_| ()),
        Encoding::Histogram | Encoding::HistogramSt => {
            HistogramFields::new(HistogramKind::Integer).decode(cursor).map(|_| ())
        }
        Encoding::FloatHistogram | Encoding::FloatHistogramSt => {
            HistogramFields::new(HistogramKind::Float).decode(cursor).map(|_| ())
        }
        Encoding::Aggregate | Encoding::Unknown(_) => Ok(()),
    }
}

/// The tombstones of a snapshot, in order. Over after the first error.
#[derive(Debug, Clone)]
pub struct SnapshotTombstones<'a> {
    cursor: Cursor<'a>,
}

impl<'a> SnapshotTombstones<'a> {
    fn open(mut cursor: Cursor<'a>) -> Result<Self, DecodeError> {
        let len = cursor.uvarint("length of tombstones")?;
        let offset = cursor.offset();
        let mut cursor = Cursor::new(cursor.bytes("tombstones", len)?, offset);
        let version = cursor.u8("tombstones version")?;
        if version != TOMBSTONES_VERSION {
            return Err(DecodeError::invalid(offset, "tombstones version", version.into(), "1"));
        }
        Ok(Self { cursor })
    }
}

impl Iterator for SnapshotTombstones<'_> {
    type Item = Result<TombstoneEntry, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        next_entry(&mut self.cursor, |cursor| {
            let series_ref = HeadSeriesRef(cursor.uvarint("tombstone series ref")?);
            decode_interval(cursor, series_ref)
        })
    }
}
