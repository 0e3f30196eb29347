//! Compression of text: slices apart, files whole.
//!
//! ```text
//! gzip   header │ deflate of slice 0, sync flush │ deflate of slice 1, sync flush │ … │ last block │ crc32, length
//! zstd   frame of slice 0 │ frame of slice 1 │ …
//! ```
//! A gzip file is one member, which every reader takes. A sync flush ends on a byte, so the next slice can be
//! deflated elsewhere and follow; no match reaches back over the border. The checksums are combined.

use std::io::{self, Write};

use flate2::{Compress, FlushCompress};

use crate::sink::part::{Part, PartFile, PartWriter};
use crate::sink::tables::TableFile;
use crate::sink::{Compression, SinkError};

/// Gzip header: deflate, no name, no time, system unknown.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// An empty deflate block with fixed codes that is marked as the last one.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// Text that is gathered before it is compressed, and stored bytes per buffer. Small enough to stay in a cache.
const BUFFER_SIZE: usize = 1 << 20;

/// The text of one slice and table, compressed.
#[derive(Debug)]
pub(super) struct Segment {
    buffers: Vec<Vec<u8>>,
    /// Checksum of the text, for gzip alone.
    crc32: crc32fast::Hasher,
    /// Length of the text.
    text_len: u64,
}

impl Segment {
    pub(super) fn memory_size(&self) -> usize {
        self.buffers.iter().map(Vec::capacity).sum()
    }
}

/// Takes the text of a slice and compresses it as it comes.
pub(super) struct SegmentWriter {
    /// Text that is not compressed yet.
    pub(super) text: Vec<u8>,
    codec: Codec,
    segment: Segment,
}

enum Codec {
    None,
    Gzip(Compress),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl SegmentWriter {
    pub(super) fn new(compression: Compression, level: i32) -> Result<Self, SinkError> {
        let codec = match compression {
            Compression::Gzip => {
                Codec::Gzip(Compress::new(flate2::Compression::new(level.unsigned_abs()), false))
            }
            Compression::Zstd => {
                Codec::Zstd(zstd::stream::write::Encoder::new(Vec::new(), level).map_err(compress_error)?)
            }
            Compression::Snappy | Compression::None => Codec::None,
        };
        let segment = Segment { buffers: Vec::new(), crc32: crc32fast::Hasher::new(), text_len: 0 };
        Ok(Self { text: Vec::new(), codec, segment })
    }

    /// Makes room for `len` more bytes of text; call it before every few rows.
    pub(super) fn reserve(&mut self, len: usize) -> Result<(), SinkError> {
        if !self.text.is_empty() && self.text.len() + len > BUFFER_SIZE {
            self.drain()?;
        }
        if self.text.capacity() < self.text.len() + len {
            self.text.reserve_exact(len.max(BUFFER_SIZE));
        }
        Ok(())
    }

    /// Compresses the text gathered so far.
    fn drain(&mut self) -> Result<(), SinkError> {
        self.segment.text_len += self.text.len() as u64;
        match &mut self.codec {
            Codec::None => self.segment.buffers.push(std::mem::take(&mut self.text)),
            Codec::Gzip(deflate) => {
                self.segment.crc32.update(&self.text);
                deflate_into(deflate, &self.text, FlushCompress::None, &mut self.segment.buffers)?;
            }
            Codec::Zstd(encoder) => encoder.write_all(&self.text).map_err(compress_error)?,
        }
        self.text.clear();
        Ok(())
    }

    /// Ends the segment.
    pub(super) fn finish(mut self) -> Result<Segment, SinkError> {
        self.drain()?;
        if self.segment.text_len == 0 {
            return Ok(self.segment);
        }
        match self.codec {
            Codec::None => {}
            Codec::Gzip(mut deflate) => {
                deflate_into(&mut deflate, &[], FlushCompress::Sync, &mut self.segment.buffers)?;
            }
            Codec::Zstd(encoder) => self.segment.buffers.push(encoder.finish().map_err(compress_error)?),
        }
        Ok(self.segment)
    }
}

/// Deflates all of `text` onto the end of `buffers`.
fn deflate_into(
    deflate: &mut Compress,
    text: &[u8],
    flush: FlushCompress,
    buffers: &mut Vec<Vec<u8>>,
) -> Result<(), SinkError> {
    let mut rest = text;
    loop {
        let mut buffer = match buffers.pop_if(|buffer| buffer.len() < buffer.capacity()) {
            Some(buffer) => buffer,
            None => Vec::with_capacity(BUFFER_SIZE),
        };
        let before = deflate.total_in();
        let deflated = deflate.compress_vec(rest, &mut buffer, flush);
        let read = usize::try_from(deflate.total_in() - before).unwrap_or(usize::MAX);
        rest = rest.get(read..).unwrap_or_default();
        // A buffer with room left means that nothing waits inside, a flush included.
        let done = rest.is_empty() && buffer.len() < buffer.capacity();
        buffers.push(buffer);
        deflated.map_err(|error| compress_error(error.into()))?;
        if done {
            return Ok(());
        }
    }
}

fn compress_error(source: io::Error) -> SinkError {
    SinkError::Compress { source }
}

/// A text file that is being written.
#[derive(Debug)]
pub(super) struct TextFile {
    writer: PartWriter,
    compression: Compression,
    crc32: crc32fast::Hasher,
    text_len: u64,
}

impl TextFile {
    /// Begins a file.
    pub(super) fn new(mut writer: PartWriter, compression: Compression) -> Result<Self, SinkError> {
        if compression == Compression::Gzip {
            writer.write(&GZIP_HEADER)?;
        }
        Ok(Self { writer, compression, crc32: crc32fast::Hasher::new(), text_len: 0 })
    }

    /// Appends the text of a slice.
    pub(super) fn append(&mut self, segment: &Segment) -> Result<(), SinkError> {
        self.crc32.combine(&segment.crc32);
        self.text_len += segment.text_len;
        segment.buffers.iter().try_for_each(|buffer| self.writer.write(buffer))
    }
}

impl TableFile for TextFile {
    fn size_bytes(&self) -> u64 {
        self.writer.size_bytes()
    }

    fn finish(mut self, part: Part) -> Result<PartFile, SinkError> {
        if self.compression == Compression::Gzip {
            // Gzip keeps the length modulo 2^32.
            #[expect(clippy::cast_possible_truncation, reason = "as the format says")]
            let text_len = self.text_len as u32;
            self.writer.write(&LAST_BLOCK)?;
            self.writer.write(&self.crc32.finalize().to_le_bytes())?;
            self.writer.write(&text_len.to_le_bytes())?;
        }
        self.writer.finish(part)
    }
}
