//! Every chunk that a series names: its checksum, and its samples against the index and the block.

use std::collections::BTreeMap;
use std::sync::Arc;

use tsdb_reader::index::{ChunkMeta, Series};
use tsdb_reader::samples::{
    Aggregate, AggregateColumns, AggregateDecoder, CounterChain, CounterColumns, FloatColumns,
    HistogramColumns, HistogramDecoder, HistogramRule,
};
use tsdb_reader::source::{BlockFile, Source};
use tsdb_reader::{Chunk, Chunks, DecodeError, Encoding, Error};

use super::segments::{Named, SEGMENT_HEADER_BYTES, Walked, read_behind_gap};
use super::series::{Found, name};
use super::{Checker, names};
use crate::error::error_chain;

/// Chunks of one series that are read at once.
const CHUNKS_AT_ONCE: usize = 1024;

/// Reads chunks; keeps its buffers between them.
pub(super) struct ChunkReader {
    chunks: Chunks,
    read: Vec<Result<Chunk, Error>>,
    samples: Samples,
    walked: Walked,
    named: Vec<Named>,
    /// Chunks whose samples are not looked at, by encoding.
    undecoded: BTreeMap<u8, u64>,
    /// What is wrong with whole segments, by their place in references, and how many chunks that takes. Behind the
    /// last segment that references can name, all places are one.
    segments: BTreeMap<u64, (Error, u64)>,
}

impl ChunkReader {
    pub fn open(source: &Arc<dyn Source>) -> Result<Self, Error> {
        let chunks = Chunks::open(Arc::clone(source))?;
        Ok(Self {
            chunks,
            read: Vec::new(),
            samples: Samples::default(),
            walked: Walked::default(),
            named: Vec::new(),
            undecoded: BTreeMap::new(),
            segments: BTreeMap::new(),
        })
    }

    /// Checks all chunks of a series.
    pub fn check(&mut self, checker: &mut Checker<'_>, series: &Series, found: &mut Found) {
        self.named.clear();
        for metas in series.chunks.chunks(CHUNKS_AT_ONCE) {
            let refs: Vec<_> = metas.iter().map(|chunk| chunk.chunk_ref).collect();
            self.read.clear();
            self.chunks.read(&refs, &mut self.read);
            for (meta, read) in metas.iter().zip(std::mem::take(&mut self.read)) {
                self.named.push(Named::new(meta.chunk_ref, &read));
                match read {
                    Ok(chunk) => self.check_chunk(checker, series, meta, &chunk, found),
                    Err(error) => {
                        found.is_partial = true;
                        self.unreadable(checker, series, meta, error);
                    }
                }
            }
        }
        self.walked.visit(checker, &self.chunks, series.series_ref, &mut self.named);
    }

    /// What is wrong with a whole segment is told once, at the end.
    fn unreadable(&mut self, checker: &mut Checker<'_>, series: &Series, meta: &ChunkMeta, error: Error) {
        match &error {
            Error::Decode { file, source } if source.offset >= SEGMENT_HEADER_BYTES => {
                let message = format!("{source}: {}, of {}", name(meta), checker.place(series));
                checker.broken(&format!("chunk-{}", names::way(&source.kind)), *file, message);
            }
            _ => {
                let behind = self.chunks.segments().contiguous() as u64;
                let of_segment = self.segments.entry(meta.chunk_ref.segment_position().min(behind));
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
        match chunk.encoding() {
            Encoding::Xor | Encoding::Xor2 => found.floats += promised,
            Encoding::Aggregate | Encoding::Unknown(_) => {}
            _ => found.histograms += promised,
        }
        let at = |checker: &Checker<'_>| {
            format!("{} at offset {:#x}, of {}", name(meta), chunk.offset(), checker.place(series))
        };
        if promised == 0 {
            let message = format!("no sample in {}", at(checker));
            return checker.note("chunk-empty", file, message);
        }
        let times_ms = match self.samples.times_of(chunk) {
            Ok(Some(times_ms)) => times_ms,
            Ok(None) => {
                *self.undecoded.entry(chunk.encoding().as_byte()).or_default() += 1;
                return;
            }
            Err(error) => return self.unreadable(checker, series, meta, error.in_file(file)),
        };
        if let (Some(&first), Some(&last)) = (times_ms.first(), times_ms.last())
            && (first, last) != (meta.min_time_ms, meta.max_time_ms)
        {
            let message = format!("its samples are of times {first} to {last}: {}", at(checker));
            checker.broken("chunk-times-wrong", file, message);
        }
        self.samples.check(checker, chunk, &at);
    }

    /// Reads the chunks that no series named, and tells what holds for many of them. Which ones are not named is told
    /// only when all series were read.
    pub fn end(self, checker: &mut Checker<'_>, all_series: bool) {
        self.walked.end(checker, &self.chunks, all_series);
        read_behind_gap(checker, &self.chunks);
        for (error, chunks) in self.segments.into_values() {
            let (name, file) = match &error {
                Error::Decode { file, source } => (format!("segment-{}", names::way(&source.kind)), *file),
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

/// The samples of one chunk at a time; keeps its buffers between them.
#[derive(Default)]
pub(super) struct Samples {
    floats: FloatColumns,
    histograms: HistogramColumns,
    decoder: HistogramDecoder,
    windows: AggregateColumns,
    counters: CounterColumns,
    aggregates: AggregateDecoder,
}

impl Samples {
    /// Decodes a chunk; the times of its samples, or none of an encoding that is not looked into.
    pub fn times_of(&mut self, chunk: &Chunk) -> Result<Option<&[i64]>, DecodeError> {
        self.floats.clear();
        self.histograms.clear();
        self.windows.clear();
        match chunk.encoding() {
            Encoding::Xor | Encoding::Xor2 => chunk.append_to(&mut self.floats)?,
            encoding if encoding.holds_histograms() => self.decoder.append(chunk, &mut self.histograms)?,
            Encoding::Aggregate => self.decode_aggregates(chunk)?,
            _ => {
                chunk.num_samples()?; // Which refuses what is unknown.
                return Ok(None);
            }
        }
        Ok(Some(self.times_ms(chunk)))
    }

    /// Decodes all five aggregates; counters for their bytes alone.
    fn decode_aggregates(&mut self, chunk: &Chunk) -> Result<(), DecodeError> {
        let chunk = chunk.aggregates()?;
        self.aggregates.append(&chunk, &mut self.windows)?;
        if !chunk.holds_histograms() {
            self.counters.clear();
            let counted = &mut CounterChain::default();
            return self.aggregates.append_counter(&chunk, counted, &mut self.counters).map(|_| ());
        }
        for aggregate in [Aggregate::Sum, Aggregate::Counter] {
            let counts = &mut Vec::new();
            self.aggregates.append_histograms(&chunk, aggregate, &mut self.histograms, counts)?;
        }
        Ok(())
    }

    fn times_ms(&self, chunk: &Chunk) -> &[i64] {
        match chunk.encoding() {
            Encoding::Aggregate => &self.windows.ends_ms,
            encoding if encoding.holds_histograms() => &self.histograms.times_ms,
            _ => &self.floats.times_ms,
        }
    }

    /// Checks the samples of `chunk`, which was decoded last, by themselves and against the block; `at` says where
    /// it is.
    pub fn check(&self, checker: &mut Checker<'_>, chunk: &Chunk, at: &dyn Fn(&Checker<'_>) -> String) {
        let (file, times_ms) = (chunk.file(), self.times_ms(chunk));
        for (rule, (broken, first_ms)) in broken_rules(&self.histograms) {
            let message = format!(
                "{rule}: {}, the first at time {first_ms}, in {}",
                if broken == 1 { "1 histogram".to_owned() } else { format!("{broken} histograms") },
                at(checker)
            );
            checker.note(rule.name(), file, message);
        }
        let backward = times_ms.windows(2).filter(|pair| matches!(pair, [a, b] if a >= b)).count();
        if backward > 0 {
            let message = format!("{backward} samples are not after the one before, in {}", at(checker));
            checker.broken("samples-out-of-order", file, message);
        }
        // Of a range that is reversed all would be outside, which is told of the block.
        let Some(meta) = checker.meta.filter(|meta| meta.min_time_ms <= meta.max_time_ms) else { return };
        let outside = times_ms.iter().filter(|&&time_ms| !meta.contains(time_ms)).count();
        if outside > 0 {
            let message = format!("{outside} samples are outside the block's time range, in {}", at(checker));
            checker.broken("samples-outside-block", file, message);
        }
    }
}

/// Rules that histograms break: how many, and the time of the first one.
fn broken_rules(histograms: &HistogramColumns) -> BTreeMap<HistogramRule, (u64, i64)> {
    let mut broken = BTreeMap::new();
    for row in (0..histograms.len()).filter_map(|row| histograms.row(row)) {
        for rule in row.broken_rules() {
            broken.entry(rule).or_insert((0, row.timestamp_ms)).0 += 1;
        }
    }
    broken
}

impl Checker<'_> {
    /// Checks the chunks of a block whose series cannot be read.
    pub(super) fn chunks_alone(&mut self) {
        if let Ok(chunks) = ChunkReader::open(self.source) {
            chunks.end(self, false);
        }
    }
}

fn counted(chunks: u64) -> String {
    if chunks == 1 { "1 chunk".to_owned() } else { format!("{chunks} chunks") }
}
