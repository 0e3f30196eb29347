//! Head chunks: the files in `chunks_head/`, with the chunks of the head that are full.
//!
//! ```text
//! file   ┌────────────────┬──────────────┬─────────┬───────┬───────┬───┬─────────────────────┐
//!        │ 0x0130BC91 u32 │ version 1 u8 │ 3 bytes │ entry │ entry │ … │ zeros, set aside    │   big-endian
//!        └────────────────┴──────────────┴─────────┴───────┴───────┴───┴─────────────────────┘
//! entry  ┌────────────────┬─────────┬─────────┬─────────────┬─────────────┬──────────────────┬────────────┐
//!        │ series ref u64 │ min i64 │ max i64 │ encoding u8 │ len uvarint │ data `len` bytes │ crc32c u32 │
//!        └────────────────┴─────────┴─────────┴─────────────┴─────────────┴──────────────────┴────────────┘
//!          the checksum covers all before it; bit 7 of the encoding: its samples came out of order
//! ```
//! Checked: magic and version, of each entry that it lies within the file, and its checksum; that nothing follows
//! the zeros. Any input may fail, none may panic; chunks share the memory of their file.
//! Defined in Prometheus' `tsdb/docs/format/head_chunks.md` and `tsdb/chunks/head_chunks.go`.

use bytes::Bytes;

use crate::checksum;
use crate::chunks::{Chunk, Encoding, LENGTH_BYTES};
use crate::cursor::Cursor;
use crate::error::{DecodeError, DecodeErrorKind};

use super::{HeadChunkRef, HeadSeriesRef};

const MAGIC: u32 = 0x0130_bc91;
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 8;
/// The bytes of an entry besides its data, when its length takes all of its 5 bytes.
const ENTRY_BYTES: usize = 34;
const REF_AND_TIMES_BYTES: usize = 24;
const OUT_OF_ORDER_FLAG: u8 = 1 << 7;

/// One chunk of a head, its checksum verified.
#[derive(Debug, Clone)]
pub struct HeadChunk {
    /// Where it is; markers refer to it by this.
    pub chunk_ref: HeadChunkRef,
    /// Whose samples it holds.
    pub series_ref: HeadSeriesRef,
    /// Time of its first sample, in milliseconds since the epoch.
    pub min_time_ms: i64,
    /// Time of its last sample, in milliseconds since the epoch.
    pub max_time_ms: i64,
    /// True when its samples came out of order: it may overlap any other chunk.
    pub out_of_order: bool,
    /// Its samples. The number of its segment is that of the file in `chunks_head/`.
    pub chunk: Chunk,
}

/// The chunks of one file, front to back.
///
/// After a wrong checksum the scan goes on behind that entry, whose length may be what is wrong; a server gives up
/// there. After any other error it is over.
#[derive(Debug, Clone)]
pub struct HeadChunks {
    bytes: Bytes,
    number: u32,
    /// File offset of the next entry; that of the end when the scan is over.
    at: usize,
}

impl HeadChunks {
    /// Opens the file with this number for a name. The newest one of a folder may be empty or begin with zeros: its
    /// header was never written, and a server takes it for empty.
    pub fn open(bytes: Bytes, number: u64, is_newest: bool) -> Result<Self, DecodeError> {
        let number = u32::try_from(number).map_err(|_| {
            DecodeError::invalid(0, "number of the file", number, "below 2^32, for refs to reach it")
        })?;
        let is_blank = bytes.len() < size_of::<u32>() || bytes.starts_with(&[0; size_of::<u32>()]);
        if is_newest && is_blank {
            return Ok(Self { bytes: Bytes::new(), number, at: 0 });
        }
        let mut cursor = Cursor::new(&bytes, 0);
        cursor.magic("head chunks magic", MAGIC)?;
        let version = cursor.u8("head chunks version")?;
        if version != VERSION {
            return Err(DecodeError::invalid(4, "head chunks version", version.into(), "1"));
        }
        cursor.array::<3>("head chunks header padding")?;
        Ok(Self { bytes, number, at: HEADER_BYTES })
    }

    fn advance(&mut self) -> Result<Option<HeadChunk>, DecodeError> {
        let start = std::mem::replace(&mut self.at, self.bytes.len());
        let rest = self.bytes.get(start..).unwrap_or_default();
        // Series are counted from 1. Behind the last entry there may be too few bytes for another one.
        let is_end = match rest.get(..ENTRY_BYTES) {
            Some(_) => rest.starts_with(&[0; REF_AND_TIMES_BYTES]),
            None => is_zero(rest),
        };
        if is_end {
            return if is_zero(rest) {
                Ok(None)
            } else {
                let expected = "a series, or zeros to the end of the file";
                Err(DecodeError::invalid(start as u64, "series ref of head chunk", 0, expected))
            };
        }
        let torn =
            || DecodeError { offset: start as u64, kind: DecodeErrorKind::Torn { field: "head chunk" } };
        if rest.len() < ENTRY_BYTES {
            return Err(torn());
        }
        let offset = u32::try_from(start).map_err(|_| {
            let expected = "below 4 GiB, for refs to reach it";
            DecodeError::invalid(start as u64, "head chunk offset", start as u64, expected)
        })?;
        let mut cursor = Cursor::new(rest, offset.into());
        let series_ref = HeadSeriesRef(cursor.u64("series ref of head chunk")?);
        let min_time_ms = cursor.u64("min time of head chunk")?.cast_signed();
        let max_time_ms = cursor.u64("max time of head chunk")?.cast_signed();
        let encoding = cursor.u8("encoding of head chunk")?;
        let length_offset = cursor.offset();
        let len = cursor.uvarint("length of head chunk")?;
        let length_bytes = cursor.offset() - length_offset;
        if length_bytes > LENGTH_BYTES as u64 {
            let field = "size of head chunk length in bytes";
            return Err(DecodeError::invalid(length_offset, field, length_bytes, "at most 5"));
        }
        let data_offset = cursor.offset();
        let data = cursor.bytes("head chunk", len).map_err(|_| torn())?;
        let covered = rest.get(..rest.len() - cursor.rest().len()).unwrap_or_default();
        if cursor.rest().len() < checksum::BYTES {
            return Err(torn());
        }
        let checked = checksum::verify(&mut cursor, "head chunk", covered);
        self.at = self.bytes.len() - cursor.rest().len();
        checked?;
        let out_of_order = encoding & OUT_OF_ORDER_FLAG != 0;
        let encoding = Encoding::from_byte(encoding & !OUT_OF_ORDER_FLAG);
        Ok(Some(HeadChunk {
            chunk_ref: HeadChunkRef::new(self.number, offset),
            series_ref,
            min_time_ms,
            max_time_ms,
            out_of_order,
            chunk: Chunk::new(encoding, self.bytes.slice_ref(data), self.number, data_offset),
        }))
    }
}

impl Iterator for HeadChunks {
    type Item = Result<HeadChunk, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    // Up to 128 MiB of them: block by block, so that each is one loop without a branch.
    bytes.chunks(4096).all(|block| block.iter().fold(0, |any, byte| any | byte) == 0)
}
