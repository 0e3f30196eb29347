//! Series: the labels of one series, and where its chunks are.
//!
//! ```text
//! ┌─────────────┬───────────────────────────────────────────────────────────────────────┬────────────┐
//! │ len uvarint │ body: `len` bytes                                                     │ crc32c u32 │
//! ├─────────────┴───────────────────────────────────────────────────────────────────────┴────────────┤
//! │ label count uvarint, { name symbol uvarint, value symbol uvarint } *                             │
//! │ chunk count uvarint                                                                              │
//! │   first chunk:  min time varint,          max − min uvarint, chunk ref uvarint                   │
//! │   each other:   min − last max uvarint,   max − min uvarint, chunk ref − last ref varint         │
//! └──────────────────────────────────────────────────────────────────────────────────────────────────┘
//!   from version 2 every entry begins at a multiple of 16; the checksum covers the body
//! ```
//! Checked: the checksum, that counts fit the body, that every symbol exists. Times wrap as in the reference, so
//! chunks that overlap or go backward come out as they are. Label pairs out of order are sorted, and flagged.
//! Defined in Prometheus' `tsdb/docs/format/index.md`, section Series.

use super::symbols::{SymbolRef, Symbols};
use crate::cursor::Cursor;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::labels::Labels;
use crate::limits;
use crate::refs::{ChunkRef, SeriesRef};

/// A chunk as the index knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkMeta {
    /// Time of the first sample. Aggregate chunks of Thanos may hold an earlier one.
    pub min_time_ms: i64,
    /// Time of the last sample: the range is closed.
    pub max_time_ms: i64,
    /// Where the chunk is.
    pub chunk_ref: ChunkRef,
}

/// One series: its labels, and its chunks in file order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    /// What names it in postings and tombstones.
    pub series_ref: SeriesRef,
    /// Its labels, sorted by name.
    pub labels: Labels,
    /// Its chunks; none in some blocks of Thanos.
    pub chunks: Vec<ChunkMeta>,
    /// True when the file had the names out of order, as Prometheus up to 2.8 wrote them now and then, or one
    /// of them twice. In the latter case the pairs are sorted and both are there.
    pub labels_were_unsorted: bool,
}

impl Series {
    /// A series to read into.
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes everything, keeps the memory.
    pub fn clear(&mut self) {
        self.series_ref = SeriesRef::default();
        self.labels.clear();
        self.chunks.clear();
        self.labels_were_unsorted = false;
    }
}

/// Decodes the body of a series entry, which is what `cursor` has left, into `series`.
pub(super) fn decode_body(
    mut cursor: Cursor<'_>,
    symbols: &Symbols,
    series: &mut Series,
) -> Result<(), DecodeError> {
    let labels = count(&mut cursor, "label count", 2)?;
    let mut labels_bytes = 0;
    for _ in 0..labels {
        let name = symbol(&mut cursor, "label name symbol", symbols)?;
        let value = symbol(&mut cursor, "label value symbol", symbols)?;
        labels_bytes += (name.len() + value.len()) as u64;
        if labels_bytes > limits::LABELS_BYTES {
            let kind = DecodeErrorKind::Limit {
                field: "labels of a series",
                found: labels_bytes,
                limit: limits::LABELS_BYTES,
            };
            return Err(DecodeError { offset: cursor.offset(), kind });
        }
        series.labels.push(name, value);
    }
    if !series.labels.is_sorted() {
        series.labels.sort();
        series.labels_were_unsorted = true;
    }

    let chunks = count(&mut cursor, "chunk count", 3)?;
    series.chunks.reserve(chunks);
    let (mut last_max_time_ms, mut last_ref) = (0i64, 0u64);
    for number in 0..chunks {
        let (min_time_ms, max_time_ms, chunk_ref);
        if number == 0 {
            min_time_ms = cursor.varint("chunk min time")?;
            max_time_ms = min_time_ms.wrapping_add_unsigned(cursor.uvarint("chunk time span")?);
            chunk_ref = cursor.uvarint("chunk ref")?;
        } else {
            min_time_ms = last_max_time_ms.wrapping_add_unsigned(cursor.uvarint("chunk time gap")?);
            max_time_ms = min_time_ms.wrapping_add_unsigned(cursor.uvarint("chunk time span")?);
            chunk_ref = last_ref.wrapping_add_signed(cursor.varint("chunk ref delta")?);
        }
        (last_max_time_ms, last_ref) = (max_time_ms, chunk_ref);
        series.chunks.push(ChunkMeta { min_time_ms, max_time_ms, chunk_ref: ChunkRef(chunk_ref) });
    }
    Ok(())
}

/// The value of the first label `name` in the body of a series entry, with which `cursor` begins.
pub(super) fn decode_label<'a>(
    mut cursor: Cursor<'_>,
    symbols: &'a Symbols,
    name: &[u8],
) -> Result<Option<&'a [u8]>, DecodeError> {
    for _ in 0..count(&mut cursor, "label count", 2)? {
        let is_wanted = symbol(&mut cursor, "label name symbol", symbols)? == name;
        if is_wanted {
            return symbol(&mut cursor, "label value symbol", symbols).map(Some);
        }
        cursor.uvarint("label value symbol")?;
    }
    Ok(None)
}

/// A count of things that take at least `least` bytes each.
fn count(cursor: &mut Cursor<'_>, field: &'static str, least: u64) -> Result<usize, DecodeError> {
    let count = cursor.uvarint(field)?;
    let needed = count.saturating_mul(least);
    match usize::try_from(count) {
        Ok(count) if needed <= cursor.rest().len() as u64 => Ok(count),
        _ => Err(cursor.truncated(field, needed)),
    }
}

fn symbol<'a>(
    cursor: &mut Cursor<'_>,
    field: &'static str,
    symbols: &'a Symbols,
) -> Result<&'a [u8], DecodeError> {
    let offset = cursor.offset();
    let symbol = cursor.uvarint(field)?;
    symbols
        .get(SymbolRef(symbol))
        .ok_or_else(|| DecodeError::invalid(offset, field, symbol, "a symbol of this index"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::Layout;
    use super::*;

    fn symbols() -> Symbols {
        let body = b"\0\0\0\x05\x08__name__\x01a\x01b\x03job\x02up";
        Symbols::open(Bytes::from_static(body), 9, Layout::V2, None).unwrap()
    }

    fn decode(body: &[u8]) -> Result<Series, DecodeError> {
        let mut series = Series::new();
        decode_body(Cursor::new(body, 49), &symbols(), &mut series).map(|()| series)
    }

    /// Two chunks of `up{job="a"}` in the smallest block of the vectors.
    const BODY: [u8; 22] = [
        2, 0, 4, 3, 1, 2, 0x80, 0xcc, 0xc9, 0xfd, 0xf9, 0x62, 0xb0, 0xea, 1, 8, 0xb0, 0xea, 1, 0x98, 0x75,
        0x3a,
    ];

    #[test]
    fn entry_decodes_to_labels_and_chunks() {
        let series = decode(&BODY).unwrap();
        assert_eq!(series.labels.to_string(), r#"{__name__="up", job="a"}"#);
        assert!(!series.labels_were_unsorted);
        let chunk = |min_time_ms, max_time_ms, chunk_ref| ChunkMeta {
            min_time_ms,
            max_time_ms,
            chunk_ref: ChunkRef(chunk_ref),
        };
        assert_eq!(
            series.chunks,
            [chunk(1_699_999_200_000, 1_699_999_230_000, 8), chunk(1_699_999_260_000, 1_699_999_275_000, 37)]
        );
    }

    #[test]
    fn truncation_at_every_length_is_an_error() {
        for cut in 0..BODY.len() {
            assert!(decode(&BODY[..cut]).is_err(), "cut to {cut}");
        }
    }

    #[test]
    fn labels_out_of_order_are_sorted_and_flagged() {
        let series = decode(&[2, 3, 1, 0, 4, 0]).unwrap();
        assert!(series.labels_were_unsorted);
        assert_eq!(series.labels.to_string(), r#"{__name__="up", job="a"}"#);
        assert!(decode(&[2, 3, 1, 3, 2, 0]).unwrap().labels_were_unsorted);
    }

    #[test]
    fn unknown_symbol_is_named_with_its_offset() {
        let error = decode(&[1, 0, 127, 0]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "label value symbol is 127, expected a symbol of this index at offset 0x33"
        );
    }

    #[test]
    fn counts_larger_than_the_body_allocate_nothing() {
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert!(decode(&huge).is_err());
        let mut body = vec![0];
        body.extend(huge);
        let error = decode(&body).unwrap_err();
        assert_eq!(error.to_string(), "chunk count needs 18446744073709551615 bytes, 0 left at offset 0x3c");
    }

    #[test]
    fn long_symbol_named_often_meets_a_limit() {
        const LONG: usize = 1 << 20;
        let mut body = vec![0, 0, 0, 1, 0x80, 0x80, 0x40];
        body.resize(body.len() + LONG, b'x');
        let symbols = Symbols::open(body.into(), 9, Layout::V2, None).unwrap();
        let mut entry = vec![0x80, 2]; // 256 pairs of 2 MiB.
        entry.resize(2 + 512 + 1, 0);
        let error = decode_body(Cursor::new(&entry, 49), &symbols, &mut Series::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "labels of a series asks for 270532608, the limit is 268435456 at offset 0x135"
        );
    }

    #[test]
    fn times_and_references_wrap_instead_of_failing() {
        // A gap of −1 ms, as blocks with overlapping chunks have it, and a reference below the one before.
        let body = [0, 2, 20, 10, 50, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 5, 3];
        let series = decode(&body).unwrap();
        assert_eq!(series.chunks[1].min_time_ms, 19);
        assert_eq!(series.chunks[1].max_time_ms, 24);
        assert_eq!(series.chunks[1].chunk_ref, ChunkRef(48));
    }
}
