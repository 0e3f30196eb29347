//! Compression of records: none, a snappy block without framing, or zstd frames.
//!
//! Checked before anything is allocated: that a record does not claim to be more than its bytes can give, nor more than
//! [`RECORD_BYTES`].

use std::fmt;
use std::io::{self, Read};

use zstd::bulk::Decompressor as ZstdDecompressor;

use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits::RECORD_BYTES;

/// A copy in a snappy block takes 3 bytes at least to give 64.
const SNAPPY_RATIO: usize = 22;
/// A block in a zstd frame takes 3 bytes at least, and gives 128 KiB at most.
const ZSTD_BLOCK_BYTES: usize = 3;
const ZSTD_BLOCK_GIVES: usize = 128 << 10;

/// How a record is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Snappy,
    Zstd,
}

/// Decompresses one record after the other into the same memory.
#[derive(Default)]
pub struct Decompressor {
    snappy: snap::raw::Decoder,
    zstd: Option<ZstdDecompressor<'static>>,
    buffer: Vec<u8>,
}

impl Decompressor {
    /// What `data` decompresses to, or `data` itself. The record stands at `offset`.
    pub fn decompress<'d>(
        &'d mut self,
        compression: Compression,
        data: &'d [u8],
        offset: u64,
    ) -> Result<&'d [u8], DecodeError> {
        let (codec, done) = match compression {
            _ if data.is_empty() => return Ok(data),
            Compression::None => return Ok(data),
            Compression::Snappy => ("snappy", self.snappy(data)),
            Compression::Zstd => ("zstd", self.zstd(data)),
        };
        let kind = match done {
            Ok(()) => return Ok(&self.buffer),
            Err(Refused::Broken) => DecodeErrorKind::Compression { field: "record", codec },
            Err(Refused::TooLarge(found)) => {
                DecodeErrorKind::Limit { field: "decompressed record", found, limit: RECORD_BYTES }
            }
        };
        Err(DecodeError { offset, kind })
    }

    fn snappy(&mut self, data: &[u8]) -> Result<(), Refused> {
        let len = snap::raw::decompress_len(data)?;
        if len / SNAPPY_RATIO > data.len() {
            return Err(Refused::Broken);
        }
        check_limit(len)?;
        // What is left of the record before is written over.
        self.buffer.resize(len, 0);
        self.snappy.decompress(data, &mut self.buffer)?;
        Ok(())
    }

    fn zstd(&mut self, data: &[u8]) -> Result<(), Refused> {
        self.buffer.clear();
        let Some(len) = ZstdDecompressor::upper_bound(data) else {
            return self.zstd_of_unknown_size(data);
        };
        if len / ZSTD_BLOCK_GIVES > data.len() / ZSTD_BLOCK_BYTES {
            return Err(Refused::Broken);
        }
        check_limit(len)?;
        self.buffer.try_reserve(len).map_err(io::Error::other)?;
        let decompressor = match &mut self.zstd {
            Some(decompressor) => decompressor,
            none => none.insert(ZstdDecompressor::new()?),
        };
        decompressor.decompress_to_buffer(data, &mut self.buffer)?;
        Ok(())
    }

    /// Prometheus states the size; that of others is found out.
    fn zstd_of_unknown_size(&mut self, data: &[u8]) -> Result<(), Refused> {
        let decoder = zstd::Decoder::with_buffer(data)?;
        let read = decoder.take(RECORD_BYTES + 1).read_to_end(&mut self.buffer)?;
        check_limit(read)
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

enum Refused {
    Broken,
    TooLarge(u64),
}

impl From<snap::Error> for Refused {
    fn from(_: snap::Error) -> Self {
        Self::Broken
    }
}

impl From<io::Error> for Refused {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

fn check_limit(len: usize) -> Result<(), Refused> {
    if len as u64 > RECORD_BYTES { Err(Refused::TooLarge(len as u64)) } else { Ok(()) }
}
