//! Every chunk that a series names: its checksum, and its samples against the index and the block.

use std::collections::BTreeMap;

use tsdb_reader::index::{ChunkMeta, Series};
use tsdb_reader::samples::FloatColumns;
use tsdb_reader::source::BlockFile;
use tsdb_reader::{Block, Chunk, Chunks, Encoding, Error};

use super::series::{Found, name};
use super::{Checker, kind};
use crate::error::error_chain;

/// Magic, version, padding: what is wrong there is wrong for all chunks of the segment.
const SEGMENT_HEADER_BYTES: u64 = 8;

/// Reads chunks; keeps its buffers between them.
pub(super) struct ChunkReader {
    chunks: Chunks,
    read: Vec<Result<Chunk, Error>>,
    columns: FloatColumns,
    /// Chunks whose samples are not looked at, by encoding.
    undecoded: BTreeMap<u8, u64>,
    /// What is wrong with whole segments, by their place in references, and how many chunks that takes.
    segments: BTreeMap<u64, (Error, u64)>,
}

impl ChunkReader {
    pub fn open(block: &Block) -> Result<Self, Error> {
        let chunks = Chunks::open(block.source().clone())?;
        let (read, columns) = (Vec::new(), FloatColumns::default());
        Ok(Self { chunks, read, columns, undecoded: BTreeMap::new(), segments: BTreeMap::new() })
    }

    /// Checks all chunks of a series.
    pub fn check(&mut self, checker: &mut Checker<'_>, series: &Series, found: &mut Found) {
        let refs: Vec<_> = series.chunks.iter().map(|chunk| chunk.chunk_ref).collect();
        self.read.clear();
        self.chunks.read(&refs, &mut self.read);
        for (meta, read) in series.chunks.iter().zip(std::mem::take(&mut self.read)) {
            match read {
                Ok(chunk) => self.check_chunk(checker, series, meta, &chunk, found),
                Err(error) => {
                    found.is_partial = true;
                    self.unreadable(checker, series, meta, error);
                }
            }
        }
    }

    /// What is wrong with a whole segment is told once, at the end.
    fn unreadable(&mut self, checker: &mut Checker<'_>, series: &Series, meta: &ChunkMeta, error: Error) {
        match &error {
            Error::Decode { file, source } if source.offset >= SEGMENT_HEADER_BYTES => {
                let message = format!("{source}: {}, of {}", name(meta), checker.place(series));
                checker.broken(&format!("chunk-{}", kind(&source.kind)), *file, message);
            }
            _ => {
                let of_segment = self.segments.entry(meta.chunk_ref.segment_position());
                of_segment.or_insert((error, 0)).1 += 1;
            }
        }
    }

    fn check_chunk(
        &mut self,
        checker: &mut Checker<'_>,
        series: &Series,
        meta: &ChunkMeta,
        chunk: &Chunk,
        found: &mut Found,
    ) {
        let file = chunk.file();
        found.chunks += 1;
        let promised = match chunk.num_samples() {
            Ok(promised) => u64::from(promised),
            Err(error) => {
                found.is_partial = true;
                return self.unreadable(checker, series, meta, error.in_file(file));
            }
        };
        found.samples += promised;
        let at = |checker: &Checker<'_>| {
            format!("{} at offset {:#x}, of {}", name(meta), chunk.offset(), checker.place(series))
        };
        if promised == 0 {
            let message = format!("no sample in {}", at(checker));
            return checker.note("chunk-empty", file, message);
        }
        if !matches!(chunk.encoding(), Encoding::Xor | Encoding::Xor2) {
            *self.undecoded.entry(chunk.encoding().as_byte()).or_default() += 1;
            return;
        }
        self.columns.clear();
        if let Err(error) = chunk.append_to(&mut self.columns) {
            return self.unreadable(checker, series, meta, error.in_file(file));
        }
        let times_ms = &self.columns.times_ms;
        let backward = times_ms.windows(2).filter(|pair| matches!(pair, [a, b] if a >= b)).count();
        if backward > 0 {
            let message = format!("{backward} samples are not after the one before, in {}", at(checker));
            checker.broken("samples-out-of-order", file, message);
        }
        let (Some(&first), Some(&last)) = (times_ms.first(), times_ms.last()) else { return };
        if (first, last) != (meta.min_time_ms, meta.max_time_ms) {
            let message = format!("its samples are of times {first} to {last}: {}", at(checker));
            checker.broken("chunk-times-wrong", file, message);
        }
        let outside = times_ms.iter().filter(|&&time_ms| !checker.block.meta().contains(time_ms)).count();
        if outside > 0 {
            let message = format!("{outside} samples are outside the block's time range, in {}", at(checker));
            checker.broken("samples-outside-block", file, message);
        }
    }

    /// Tells what holds for many chunks.
    pub fn end(self, checker: &mut Checker<'_>) {
        for (error, chunks) in self.segments.into_values() {
            let (name, file) = match &error {
                Error::Decode { file, source } => (format!("segment-{}", kind(&source.kind)), *file),
                Error::Read { file, .. } => ("segment-unreadable".to_owned(), *file),
                _ => ("missing-segment".to_owned(), BlockFile::Index),
            };
            checker.broken(
                &name,
                file,
                format!("{}; so {} cannot be read", error_chain(&error), counted(chunks)),
            );
        }
        for (encoding, chunks) in self.undecoded {
            let name = Encoding::from_byte(encoding).name();
            let message = format!(
                "{} of encoding {encoding} ({name}): checksum right, samples not decoded",
                counted(chunks)
            );
            checker.note("chunk-not-decoded", BlockFile::Index, message);
        }
    }
}

fn counted(chunks: u64) -> String {
    if chunks == 1 { "1 chunk".to_owned() } else { format!("{chunks} chunks") }
}
