//! Errors: each layer adds only what it alone knows.
//!
//! The bytes' layer names the field and the file offset ([`DecodeError`]); the block's layer names the file
//! ([`Error`]). Joined by a caller that walks `source()`, they read
//! `cannot decode 01JX…/index: symbols needs 4 bytes, 3 left at offset 0x40`.

use std::io;

use crate::source::BlockFile;

/// What is wrong with some bytes, and where in their file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at offset {offset:#x}")]
pub struct DecodeError {
    /// Offset in the file of the field that could not be decoded.
    pub offset: u64,
    /// What was found there.
    pub kind: DecodeErrorKind,
}

/// The ways in which bytes can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The file or section ends inside a field.
    #[error("{field} needs {needed} bytes, {left} left")]
    Truncated {
        /// The field being read.
        field: &'static str,
        /// Bytes the field asks for.
        needed: u64,
        /// Bytes that are there.
        left: u64,
    },
    /// A CRC-32C does not match its bytes.
    #[error("checksum of {field} is {stored:#010x} in the file, {computed:#010x} over its bytes")]
    Checksum {
        /// The section the checksum covers.
        field: &'static str,
        /// As the file says.
        stored: u32,
        /// As the bytes say.
        computed: u32,
    },
    /// A field holds a value that is not allowed there.
    #[error("{field} is {found}, expected {expected}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// The value found, as a number.
        found: u64,
        /// What the format allows.
        expected: &'static str,
    },
    /// A field that may be negative holds a value that is not allowed there.
    #[error("{field} is {found}, expected {expected}")]
    InvalidSigned {
        /// The field.
        field: &'static str,
        /// The value found.
        found: i64,
        /// What the format allows.
        expected: &'static str,
    },
    /// A double is not one of those allowed there.
    #[error("{field} is {}, expected {expected}", f64::from_bits(*bits))]
    InvalidFloat {
        /// The field.
        field: &'static str,
        /// The value found, as bits.
        bits: u64,
        /// What the format allows.
        expected: &'static str,
    },
    /// The number that every file of a kind begins with is another one.
    #[error("{field} is {found:#010x}, expected {expected:#010x}")]
    Magic {
        /// The field.
        field: &'static str,
        /// The number found.
        found: u32,
        /// The number of this kind of file.
        expected: u32,
    },
    /// A varint does not fit 64 bits.
    #[error("{field} is a varint of more than 64 bits")]
    VarintOverflow {
        /// The field.
        field: &'static str,
    },
    /// A chunk uses an encoding that this version does not decode (yet).
    #[error("chunk encoding {encoding} ({name}) is not supported")]
    UnsupportedEncoding {
        /// The encoding byte.
        encoding: u8,
        /// Its name in the field, or `unknown`.
        name: &'static str,
    },
    /// The file ends inside something: a write that never finished.
    #[error("{field} is cut off by the end of the file")]
    Torn {
        /// What is not all there.
        field: &'static str,
    },
    /// Bytes are not what the flag beside them says.
    #[error("{field} is flagged as {codec}, and is not")]
    Compression {
        /// The bytes.
        field: &'static str,
        /// The compression that was expected.
        codec: &'static str,
    },
    /// The bytes are sound, but another program's, or another age's.
    #[error("this is {found} ({advice})")]
    Foreign {
        /// What they are.
        found: &'static str,
        /// What can be done with them.
        advice: &'static str,
    },
    /// A size in the file is above what [`crate::limits`] lets the reader allocate.
    #[error("{field} asks for {found}, the limit is {limit}")]
    Limit {
        /// The field.
        field: &'static str,
        /// What it asks for.
        found: u64,
        /// The limit.
        limit: u64,
    },
}

/// What can go wrong with a block, or with a head.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes of a file are wrong.
    #[error("cannot decode {file}")]
    Decode {
        /// The file, relative to the block.
        file: BlockFile,
        /// Where and what.
        source: DecodeError,
    },
    /// A file cannot be read.
    #[error("cannot read {file}")]
    Read {
        /// The file, relative to the block.
        file: BlockFile,
        /// What the operating system or the store said.
        source: io::Error,
    },
    /// The bytes of a file of the head are wrong.
    #[error("cannot decode {path}")]
    DecodeHead {
        /// The file, relative to the data directory.
        path: String,
        /// Where and what.
        source: DecodeError,
    },
    /// The payload of a record is wrong, though its checksum holds.
    #[error("cannot decode {path}, inside the record at offset {offset:#x}")]
    DecodeRecord {
        /// The file, relative to the data directory.
        path: String,
        /// Offset in the file of the record.
        offset: u64,
        /// What, and where in the payload after decompression.
        source: DecodeError,
    },
    /// A file or folder of the head cannot be read.
    #[error("cannot read {path}")]
    ReadHead {
        /// The file or folder, relative to the data directory.
        path: String,
        /// What the operating system or the store said.
        source: io::Error,
    },
    /// `meta.json` is no JSON of the expected shape.
    #[error("cannot parse meta.json")]
    Meta {
        /// What the parser said, with line and column.
        source: serde_json::Error,
    },
    /// `meta.json` has a version this reader does not know.
    #[error("meta.json has version {version}, expected 1")]
    MetaVersion {
        /// The version found.
        version: i64,
    },
    /// The Thanos part of `meta.json` has a version this reader does not know.
    #[error("the thanos part of meta.json has version {version}, expected 1")]
    ThanosMetaVersion {
        /// The version found.
        version: i64,
    },
    /// A chunk reference counts over a segment that is missing, so that the file it means is not certain.
    #[error("chunk reference {chunk_ref:#x} names segment {position}, but chunks/{missing:06} is missing")]
    SegmentGap {
        /// The reference as the index holds it.
        chunk_ref: u64,
        /// Position in the ascending list of segments, from 0.
        position: u64,
        /// The first number that is missing.
        missing: u32,
    },
    /// A chunk reference names a segment that the block does not have.
    #[error("chunk reference {chunk_ref:#x} names segment {position}, the block has {segments}")]
    NoSegment {
        /// The reference as the index holds it.
        chunk_ref: u64,
        /// Position in the ascending list of segments, from 0.
        position: u64,
        /// How many segments there are.
        segments: u64,
    },
}

impl DecodeError {
    /// A [`DecodeErrorKind::Invalid`] at `offset`.
    pub fn invalid(offset: u64, field: &'static str, found: u64, expected: &'static str) -> Self {
        Self { offset, kind: DecodeErrorKind::Invalid { field, found, expected } }
    }

    /// True when the file ends inside a record: normal at the end of the newest file, damage anywhere else.
    pub fn is_torn(&self) -> bool {
        matches!(self.kind, DecodeErrorKind::Torn { .. })
    }

    /// True for bytes that are sound, but not of this format.
    pub fn is_foreign(&self) -> bool {
        matches!(self.kind, DecodeErrorKind::Foreign { .. })
    }

    /// Names the file of a head these bytes came from.
    pub fn in_head_file(self, path: impl Into<String>) -> Error {
        Error::DecodeHead { path: path.into(), source: self }
    }

    /// Names the record these bytes are the payload of.
    pub fn in_record(self, path: impl Into<String>, offset: u64) -> Error {
        Error::DecodeRecord { path: path.into(), offset, source: self }
    }

    /// Names the file these bytes came from.
    pub fn in_file(self, file: BlockFile) -> Error {
        Error::Decode { file, source: self }
    }
}
