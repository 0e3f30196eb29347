//! Compression of pages.

use std::fmt;

use parquet::basic;

use crate::sink::{Compression, OutputOptions, SinkError};

/// Compresses page after page with one context.
pub(super) enum PageCompressor {
    None,
    Snappy(Box<snap::raw::Encoder>),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl PageCompressor {
    pub(super) fn new(options: &OutputOptions) -> Result<Self, SinkError> {
        Ok(match options.compression {
            Compression::Zstd => Self::Zstd(
                zstd::bulk::Compressor::new(options.level())
                    .map_err(|source| SinkError::Compress { source })?,
            ),
            Compression::Snappy => Self::Snappy(Box::new(snap::raw::Encoder::new())),
            Compression::Gzip | Compression::None => Self::None,
        })
    }

    /// Compresses a page body.
    pub(super) fn compress(&mut self, body: &[u8]) -> Result<Vec<u8>, SinkError> {
        match self {
            Self::None => Ok(body.to_owned()),
            Self::Snappy(encoder) => encoder.compress_vec(body).map_err(std::io::Error::from),
            Self::Zstd(compressor) => compressor.compress(body),
        }
        .map_err(|source| SinkError::Compress { source })
    }
}

impl fmt::Debug for PageCompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageCompressor")
    }
}

/// The compression as the library names it.
pub(super) fn library_codec(options: &OutputOptions) -> Result<basic::Compression, SinkError> {
    Ok(match options.compression {
        Compression::Zstd => basic::Compression::ZSTD(basic::ZstdLevel::try_new(options.level())?),
        Compression::Snappy => basic::Compression::SNAPPY,
        Compression::Gzip | Compression::None => basic::Compression::UNCOMPRESSED,
    })
}
