//! Segments: the files of the write-ahead log, of its checkpoints, of the log of out-of-order samples, and of chunk
//! snapshots. They hold records, cut into fragments, in pages.
//!
//! ```text
//! segment   │ page 32 KiB │ page 32 KiB │ …           a fragment stays in its page
//! fragment  ┌─────────┬─────────┬────────────┬──────────────────┐
//!           │ type u8 │ len u16 │ crc32c u32 │ data `len` bytes │   big-endian, the checksum covers the data
//!           └─────────┴─────────┴────────────┴──────────────────┘
//! type      bits 0 to 2: 0 zeros to the end of the page · 1 a whole record · 2 its first fragment · 3 one between
//!           · 4 the last;  bit 3: the record is a snappy block;  bit 4: it is zstd;  bits 5 to 7 mean nothing
//! ```
//! A file that ends before its page does reads as if zeros followed. A record that it ends in is torn: a
//! write that a crash or a copy cut short, normal at the end of the newest segment.
//! Checked: every checksum, the order of fragments, and that padding is zeros. After an error nothing more is read:
//! what follows would be noise.
//! Defined in Prometheus' `tsdb/docs/format/wal.md` and `tsdb/wlog/reader.go`.

use std::borrow::Cow;

use crate::checksum;
use crate::cursor::Cursor;
use crate::error::{DecodeError, DecodeErrorKind, Error};

use super::compression::{Compression, Decompressor};
use super::record::loki;

const PAGE_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;
const MAX_FRAGMENT_BYTES: usize = PAGE_BYTES - HEADER_BYTES;

const TYPE_MASK: u8 = 0b111;
const SNAPPY_FLAG: u8 = 1 << 3;
const ZSTD_FLAG: u8 = 1 << 4;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// What a file of the log began with before Prometheus 2.4. As a fragment it would be too long.
const OLD_MAGIC: [u8; 4] = [0x43, 0xaf, 0x00, 0xef];

/// One record: where it is, and its payload, decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// File offset of its first fragment.
    pub offset: u64,
    /// Its bytes. The first one is its type; a record may also be empty.
    pub payload: &'a [u8],
}

impl RawRecord<'_> {
    /// Names the file and the record that `error` was met in; says so when the record is none of Prometheus.
    pub fn error(&self, path: impl Into<String>, error: DecodeError) -> Error {
        let error = if loki::is_record(self.payload) { loki::refused() } else { error };
        error.in_record(path, self.offset)
    }
}

/// Reads the records of one segment, front to back.
#[derive(Debug)]
pub struct SegmentReader<'a> {
    bytes: &'a [u8],
    at: usize,
    over: bool,
    /// Fragments of the record at hand, when it has several.
    joined: Vec<u8>,
    decompressor: Decompressor,
}

/// Where the bytes of a record are, as they stand in the file.
struct Assembled<'a> {
    offset: u64,
    compression: Compression,
    /// The only fragment; otherwise they are joined.
    whole: Option<&'a [u8]>,
}

struct Fragment<'a> {
    offset: u64,
    header: u8,
    data: Cow<'a, [u8]>,
}

impl<'a> SegmentReader<'a> {
    /// A reader over a whole file.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, over: false, joined: Vec::new(), decompressor: Decompressor::default() }
    }

    /// File offset behind the last record.
    pub fn offset(&self) -> u64 {
        self.at as u64
    }

    /// The next record; none at the end. After an error there is none.
    pub fn next_record(&mut self) -> Result<Option<RawRecord<'_>>, DecodeError> {
        if self.over {
            return Ok(None);
        }
        self.over = true;
        let Some(assembled) = self.assemble()? else { return Ok(None) };
        let data = assembled.whole.unwrap_or(&self.joined);
        let payload = self.decompressor.decompress(assembled.compression, data, assembled.offset)?;
        self.over = false;
        Ok(Some(RawRecord { offset: assembled.offset, payload }))
    }

    /// The fragments of the next record, joined.
    fn assemble(&mut self) -> Result<Option<Assembled<'a>>, DecodeError> {
        self.joined.clear();
        let mut first = None;
        loop {
            let Some(fragment) = self.fragment()? else {
                return first.map_or(Ok(None), |offset| Err(torn(offset)));
            };
            let kind = fragment.header & TYPE_MASK;
            let allowed = match first {
                None => kind == FULL || kind == FIRST,
                Some(_) => kind == MIDDLE || kind == LAST,
            };
            if !allowed {
                let expected =
                    if first.is_none() { "1 (full) or 2 (first)" } else { "3 (middle) or 4 (last)" };
                return Err(DecodeError::invalid(fragment.offset, "fragment type", kind.into(), expected));
            }
            let offset = *first.get_or_insert(fragment.offset);
            // All fragments of a record have the same flags; those of the last one count.
            let compression = match fragment.header {
                header if header & SNAPPY_FLAG != 0 => Compression::Snappy,
                header if header & ZSTD_FLAG != 0 => Compression::Zstd,
                _ => Compression::None,
            };
            if let (FULL, Cow::Borrowed(data)) = (kind, &fragment.data) {
                return Ok(Some(Assembled { offset, compression, whole: Some(*data) }));
            }
            self.joined.extend_from_slice(&fragment.data);
            if kind == FULL || kind == LAST {
                return Ok(Some(Assembled { offset, compression, whole: None }));
            }
        }
    }

    /// The next fragment, its checksum verified; none at the end.
    fn fragment(&mut self) -> Result<Option<Fragment<'a>>, DecodeError> {
        if self.at == 0 && self.bytes.starts_with(&OLD_MAGIC) {
            let kind = DecodeErrorKind::Foreign {
                found: "a write-ahead log of Prometheus 2.3 or older",
                advice: "start a Prometheus between 2.4 and 2.51 on the data directory once, which rewrites it",
            };
            return Err(DecodeError { offset: 0, kind });
        }
        if !self.skip_padding()? {
            return Ok(None);
        }
        let start = self.at;
        let offset = start as u64;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let Some((&header, _)) = rest.split_first_chunk::<HEADER_BYTES>() else { return Err(torn(offset)) };
        let [kind, len @ .., _, _, _, _] = header;
        let len = usize::from(u16::from_be_bytes(len));
        let end = HEADER_BYTES + len;
        // The page that a file leaves unfinished is taken for filled with zeros, as a server does on start.
        let unfinished = self.bytes.len().next_multiple_of(PAGE_BYTES) - self.bytes.len();
        if len > MAX_FRAGMENT_BYTES || end > rest.len() + unfinished {
            let expected = "no more than its page has left";
            return Err(DecodeError::invalid(offset + 1, "fragment length", len as u64, expected));
        }
        let data = match rest.get(HEADER_BYTES..end) {
            Some(data) => Cow::Borrowed(data),
            None => {
                let mut data = rest.get(HEADER_BYTES..).unwrap_or_default().to_vec();
                data.resize(len, 0);
                Cow::Owned(data)
            }
        };
        let mut stored = Cursor::new(&header, offset);
        stored.array::<3>("fragment header")?;
        if let Err(error) = checksum::verify(&mut stored, "fragment", &data) {
            return Err(if matches!(data, Cow::Owned(_)) { torn(offset) } else { error });
        }
        self.at = self.bytes.len().min(start + end);
        Ok(Some(Fragment { offset, header: kind, data }))
    }

    /// Goes to the next fragment; false when there is none.
    fn skip_padding(&mut self) -> Result<bool, DecodeError> {
        while let Some(&header) = self.bytes.get(self.at) {
            if header & TYPE_MASK != 0 {
                return Ok(true);
            }
            let padding = self.at + 1;
            let page_end = padding.next_multiple_of(PAGE_BYTES).min(self.bytes.len());
            let zeros = self.bytes.get(padding..page_end).unwrap_or_default();
            if let Some((place, &found)) = zeros.iter().enumerate().find(|&(_, &byte)| byte != 0) {
                let offset = (padding + place) as u64;
                let expected = "0 to the end of the page";
                return Err(DecodeError::invalid(offset, "page padding", found.into(), expected));
            }
            self.at = page_end;
        }
        Ok(false)
    }
}

fn torn(offset: u64) -> DecodeError {
    DecodeError { offset, kind: DecodeErrorKind::Torn { field: "record" } }
}
