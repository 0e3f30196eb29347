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

/// What can go wrong with a block.
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

    /// Names the file these bytes came from.
    pub fn in_file(self, file: BlockFile) -> Error {
        Error::Decode { file, source: self }
    }
}
