//! Build: series with samples become a block in memory, which is read like any other.
//!
//! ```text
//! labels ───────────────► series   │ labels │ open chunk │ places of finished chunks │
//! samples in time order ──────────────────────────┘ 120 samples, or another kind
//!                                                 ▼
//!                         segments │ chunk │ chunk │ …      memory, above a budget a file without a name
//! finish ───────────────► index, tombstones, meta.json     MemorySource, for Block::open
//! ```
//! Samples of different series may come interleaved in any way: of each series only the open chunk is held, about
//! 300 bytes of floats, besides 8 bytes per label, texts that no other series has, and 24 bytes per finished chunk.
//!
//! Checked: that histograms have the buckets that their spans say. Times may repeat or go back from chunk to chunk:
//! chunks are listed by their first time, and whoever reads the block merges what overlaps.

mod bits;
mod floats;
mod histograms;
mod index;
mod put;
pub(crate) mod spool;
mod symbols;
#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tsdb_reader::checksum::crc32c;
use tsdb_reader::index::ChunkMeta;
use tsdb_reader::samples::{FloatSample, HistogramColumns, HistogramRow};
use tsdb_reader::source::{BlockFile, MemorySource};
use tsdb_reader::{Chunk, ChunkRef, Encoding, Interval, Labels, SeriesRef, Ulid};

use floats::FloatChunk;
use histograms::{HistogramChunk, Next, is_consistent};
use index::IndexSeries;
use put::{put_uvarint, put_varint};
use spool::Spool;
use symbols::{Pairs, Symbols};

/// Samples at which a chunk is cut, as the reference aims at.
const SAMPLES_PER_CHUNK: u16 = 120;
/// Bytes at which a segment is cut, as in the reference.
const SEGMENT_BYTES: u64 = 512 << 20;
/// Magic, version and padding at the front of a segment.
const SEGMENT_HEADER: [u8; 8] = [0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0];
/// Magic and version at the front of a `tombstones` file.
const TOMBSTONES_HEADER: [u8; 5] = [0x01, 0x30, 0xba, 0x30, 1];

/// Why a block cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The temporary folder is full or not there, or the block would be too large.
    #[error("cannot keep the samples of {series} series; choose another temporary folder with --temp-dir")]
    Spool {
        /// Series so far.
        series: usize,
        /// What the system said.
        source: io::Error,
    },
    /// A histogram is not what its spans say.
    #[error("a histogram of {labels} at {timestamp_ms} has {buckets} buckets, its spans say another number")]
    Buckets {
        /// The series.
        labels: String,
        /// Milliseconds since the epoch.
        timestamp_ms: i64,
        /// Buckets found.
        buckets: usize,
    },
}

/// A series of a builder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(usize);

/// A chunk that is written, and may be given to a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredChunk {
    /// Where it is, and its times.
    pub meta: ChunkMeta,
    /// How its data is encoded.
    pub encoding: Encoding,
    /// Samples by its header.
    pub samples: u64,
}

/// A block that is being built.
pub struct BlockBuilder {
    temp_dir: PathBuf,
    budget_bytes: usize,
    symbols: Symbols,
    series: Vec<BuiltSeries>,
    /// What `series` takes, about.
    table_bytes: usize,
    segments: Spool,
    /// Where in `segments` each segment begins.
    segment_starts: Vec<u64>,
    /// The entry being written.
    entry: Vec<u8>,
}

struct BuiltSeries {
    labels: Pairs,
    chunks: Vec<ChunkMeta>,
    open: Open,
    deleted: Vec<Interval>,
    floats: u64,
    histograms: u64,
}

/// A chunk that still grows. Those of floats are much smaller.
enum OpenChunk {
    Floats(Box<FloatChunk>),
    Histograms(Box<HistogramChunk>),
}

/// The open chunk of a series, if there is one.
#[derive(Default)]
struct Open(Option<OpenChunk>);

impl Open {
    fn take(&mut self) -> Option<OpenChunk> {
        self.0.take()
    }

    /// Appends a float; returns the chunk that ends before it.
    fn push_float(&mut self, sample: FloatSample) -> Option<OpenChunk> {
        if let Some(OpenChunk::Floats(chunk)) = &mut self.0
            && chunk.len() < SAMPLES_PER_CHUNK
            && chunk.takes(sample)
        {
            chunk.push(sample);
            return None;
        }
        self.0.replace(OpenChunk::Floats(Box::new(FloatChunk::new(sample))))
    }

    /// Appends a histogram; returns the chunk that ends before it.
    fn push_histogram(&mut self, row: HistogramRow<'_>) -> Option<OpenChunk> {
        let mut hint = row.hint;
        if let Some(OpenChunk::Histograms(chunk)) = &mut self.0 {
            match chunk.next(row) {
                Next::Push if chunk.len() < SAMPLES_PER_CHUNK => {
                    chunk.push(row);
                    return None;
                }
                Next::Push => hint = chunk.hint_behind(),
                Next::Cut(known) => hint = known,
            }
        }
        self.0.replace(OpenChunk::Histograms(Box::new(HistogramChunk::new(row, hint))))
    }
}

/// A block in memory.
#[derive(Debug, Clone)]
pub struct BuiltBlock {
    /// Its files.
    pub source: Arc<MemorySource>,
    /// Its name.
    pub ulid: Ulid,
    /// Samples in its chunks.
    pub samples: u64,
    /// Series.
    pub series: u64,
    /// Bytes of its files that are held in memory; the others are in files without names.
    pub memory_bytes: u64,
}

impl BlockBuilder {
    /// A builder that holds up to `budget_bytes` of chunks, and as much of an index, in memory; what is more goes
    /// to `temp_dir`.
    pub fn new(temp_dir: impl Into<PathBuf>, budget_bytes: usize) -> Self {
        let temp_dir = temp_dir.into();
        let segments = Spool::new(temp_dir.clone(), budget_bytes);
        Self {
            temp_dir,
            budget_bytes,
            symbols: Symbols::default(),
            series: Vec::new(),
            table_bytes: 0,
            segments,
            segment_starts: Vec::new(),
            entry: Vec::new(),
        }
    }

    /// Adds a series with its labels, sorted by name. Series with equal labels become one in the end.
    pub fn add_series(&mut self, labels: impl Borrow<Labels>) -> SeriesId {
        let text: usize = labels.borrow().iter().map(|(name, value)| name.len() + value.len()).sum();
        self.table_bytes += size_of::<BuiltSeries>() + text + labels.borrow().len() * size_of::<u64>();
        self.series.push(BuiltSeries {
            labels: self.symbols.number(labels.borrow()),
            chunks: Vec::new(),
            open: Open::default(),
            deleted: Vec::new(),
            floats: 0,
            histograms: 0,
        });
        SeriesId(self.series.len() - 1)
    }

    /// Appends a float to a series.
    pub fn push_float(&mut self, series: SeriesId, sample: FloatSample) -> Result<(), BuildError> {
        let Some(at) = self.series.get_mut(series.0) else { return Ok(()) };
        at.floats += 1;
        let finished = at.open.push_float(sample);
        self.end(series, finished)
    }

    /// Appends a histogram to a series.
    pub fn push_histogram(&mut self, series: SeriesId, row: HistogramRow<'_>) -> Result<(), BuildError> {
        let Some(at) = self.series.get_mut(series.0) else { return Ok(()) };
        if !is_consistent(row) {
            return Err(BuildError::Buckets {
                labels: self.symbols.labels(&at.labels).to_string(),
                timestamp_ms: row.timestamp_ms,
                buckets: row.buckets.len(),
            });
        }
        at.histograms += 1;
        let finished = at.open.push_histogram(row);
        self.end(series, finished)
    }

    /// Writes floats as chunks that belong to no series yet.
    pub fn store_floats(
        &mut self,
        samples: impl IntoIterator<Item = FloatSample>,
    ) -> Result<Vec<StoredChunk>, BuildError> {
        let (mut stored, mut open) = (Vec::new(), Open::default());
        for sample in samples {
            stored.extend(self.write_open(open.push_float(sample))?);
        }
        stored.extend(self.write_open(open.take())?);
        Ok(stored)
    }

    /// Writes the histograms that `keep` wants, by their times, as chunks that belong to no series yet.
    pub fn store_histograms(
        &mut self,
        columns: &HistogramColumns,
        keep: impl Fn(i64) -> bool,
    ) -> Result<Vec<StoredChunk>, BuildError> {
        let (mut stored, mut open) = (Vec::new(), Open::default());
        for row in (0..columns.len()).filter_map(|at| columns.row(at)) {
            if keep(row.timestamp_ms) {
                stored.extend(self.write_open(open.push_histogram(row))?);
            }
        }
        stored.extend(self.write_open(open.take())?);
        Ok(stored)
    }

    /// Takes over a chunk as it is; `data` is what lies between the encoding and the checksum. It belongs to no
    /// series yet; none when the data is too short for a header.
    pub fn store_chunk(
        &mut self,
        encoding: Encoding,
        data: &Bytes,
        times_ms: (i64, i64),
    ) -> Result<Option<StoredChunk>, BuildError> {
        let Ok(samples) = Chunk::new(encoding, data.clone(), 0, 0).num_samples() else { return Ok(None) };
        let meta = self.write_chunk(encoding, data, times_ms)?;
        Ok(Some(StoredChunk { meta, encoding, samples: samples.into() }))
    }

    /// Gives a stored chunk to a series. Samples that are pushed later begin a new chunk.
    pub fn attach(&mut self, series: SeriesId, chunk: StoredChunk) -> Result<(), BuildError> {
        self.cut(series)?;
        if let Some(at) = self.series.get_mut(series.0) {
            at.chunks.push(chunk.meta);
            let samples = if chunk.encoding.holds_histograms() { &mut at.histograms } else { &mut at.floats };
            *samples += chunk.samples;
        }
        Ok(())
    }

    /// Bytes held of series, about: labels, and places of chunks that were pushed.
    pub fn table_bytes(&self) -> usize {
        self.table_bytes
    }

    /// The labels of a series.
    pub fn labels(&self, series: SeriesId) -> Option<Labels> {
        self.series.get(series.0).map(|at| self.symbols.labels(&at.labels))
    }

    /// True when a series has these labels.
    pub fn has_labels(&self, series: SeriesId, labels: &Labels) -> bool {
        self.series.get(series.0).is_some_and(|at| self.symbols.are(&at.labels, labels))
    }

    /// Deletes the samples of an interval from a series, those to come too.
    pub fn delete(&mut self, series: SeriesId, interval: Interval) {
        if let Some(at) = self.series.get_mut(series.0) {
            at.deleted.push(interval);
        }
    }

    /// What is deleted from a series so far.
    pub fn deleted(&self, series: SeriesId) -> &[Interval] {
        self.series.get(series.0).map(|at| at.deleted.as_slice()).unwrap_or_default()
    }

    /// Takes all samples of a series back; what is deleted from it stays so.
    pub fn forget(&mut self, series: SeriesId) {
        if let Some(at) = self.series.get_mut(series.0) {
            at.chunks.clear();
            at.open = Open::default();
            (at.floats, at.histograms) = (0, 0);
        }
    }

    /// Ends the open chunk of a series: the next sample begins a new one.
    pub fn cut(&mut self, series: SeriesId) -> Result<(), BuildError> {
        let finished = self.series.get_mut(series.0).and_then(|at| at.open.take());
        self.end(series, finished)
    }

    /// Writes a finished chunk of a series, if there is one.
    fn end(&mut self, series: SeriesId, finished: Option<OpenChunk>) -> Result<(), BuildError> {
        let stored = self.write_open(finished)?;
        if let (Some(stored), Some(at)) = (stored, self.series.get_mut(series.0)) {
            at.chunks.push(stored.meta);
            self.table_bytes += size_of::<ChunkMeta>();
        }
        Ok(())
    }

    fn write_open(&mut self, open: Option<OpenChunk>) -> Result<Option<StoredChunk>, BuildError> {
        let Some(mut open) = open else { return Ok(None) };
        let (samples, times_ms, (encoding, data)) = match &mut open {
            OpenChunk::Floats(chunk) => (chunk.len(), chunk.times_ms(), chunk.finish()),
            OpenChunk::Histograms(chunk) => (chunk.len(), chunk.times_ms(), chunk.finish()),
        };
        let meta = self.write_chunk(encoding, data, times_ms)?;
        Ok(Some(StoredChunk { meta, encoding, samples: samples.into() }))
    }

    fn write_chunk(
        &mut self,
        encoding: Encoding,
        data: &[u8],
        (min_time_ms, max_time_ms): (i64, i64),
    ) -> Result<ChunkMeta, BuildError> {
        self.entry.clear();
        put_uvarint(&mut self.entry, data.len() as u64);
        let covered = self.entry.len();
        self.entry.push(encoding.as_byte());
        self.entry.extend_from_slice(data);
        let checksum = crc32c(self.entry.get(covered..).unwrap_or_default());
        self.entry.extend_from_slice(&checksum.to_be_bytes());
        let chunk_ref = self.write_entry().map_err(|source| self.spool_error(source))?;
        Ok(ChunkMeta { min_time_ms, max_time_ms, chunk_ref })
    }

    fn write_entry(&mut self) -> io::Result<ChunkRef> {
        let start = match self.segment_starts.last() {
            Some(&start) if self.segments.len() - start + self.entry.len() as u64 <= SEGMENT_BYTES => start,
            _ => {
                let start = self.segments.len();
                self.segment_starts.push(start);
                self.segments.write(&SEGMENT_HEADER)?;
                start
            }
        };
        let too_many = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let position = u32::try_from(self.segment_starts.len() - 1).map_err(too_many)?;
        let offset = u32::try_from(self.segments.len() - start).map_err(too_many)?;
        self.segments.write(&self.entry)?;
        Ok(ChunkRef::new(position, offset))
    }

    fn spool_error(&self, source: io::Error) -> BuildError {
        BuildError::Spool { series: self.series.len(), source }
    }

    /// The block with all that was added; none without any sample. `ulid` is asked for its name, and is given a
    /// hash of all its bytes.
    pub fn finish(mut self, ulid: impl FnOnce(u64) -> Ulid) -> Result<Option<BuiltBlock>, BuildError> {
        for at in 0..self.series.len() {
            self.cut(SeriesId(at))?;
        }
        let count = self.series.len();
        let Self { temp_dir, budget_bytes, symbols, mut series, segments, segment_starts, .. } = self;
        series.retain(|at| !at.chunks.is_empty());
        if series.is_empty() {
            return Ok(None);
        }
        let spool_error = |source| BuildError::Spool { series: count, source };
        if symbols.overflown() {
            return Err(spool_error(index::too_large("symbols")));
        }
        let sorted = symbols.sort(series.iter_mut().map(|at| &mut at.labels));
        let joined = join(series);
        let mut index = Spool::new(temp_dir, budget_bytes);
        let entries: Vec<_> =
            joined.iter().map(|at| IndexSeries { labels: &at.labels, chunks: &at.chunks }).collect();
        let refs = index::write(&mut index, &sorted, &entries).map_err(spool_error)?;
        let tombstones = tombstones(&joined, &refs);
        let hash = segments.hash() ^ index.hash().rotate_left(32) ^ u64::from(crc32c(&tombstones));
        let memory_bytes = [&segments, &index].iter().map(|spool| spool.memory_bytes()).sum();
        let ulid = ulid(hash);
        let meta = meta(&joined, ulid);
        let segments = segments.finish().map_err(spool_error)?;
        let mut source = MemorySource::new()
            .with(BlockFile::Meta, meta)
            .with(BlockFile::Index, index.finish().map_err(spool_error)?)
            .with(BlockFile::Tombstones, tombstones);
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(segments.len());
        let ends = segment_starts.iter().skip(1).copied().chain([segments.len() as u64]);
        for ((number, &start), end) in (1u32..).zip(&segment_starts).zip(ends) {
            source = source.with(BlockFile::Segment(number), segments.slice(place(start)..place(end)));
        }
        let samples = joined.iter().map(|at| at.floats + at.histograms).sum();
        let series = joined.len() as u64;
        Ok(Some(BuiltBlock { source: Arc::new(source), ulid, samples, series, memory_bytes }))
    }
}

/// Series in label order, those with equal labels as one, chunks by time.
fn join(mut series: Vec<BuiltSeries>) -> Vec<BuiltSeries> {
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    series.dedup_by(|from, into| {
        let same = from.labels == into.labels;
        if same {
            into.chunks.append(&mut from.chunks);
            into.deleted.append(&mut from.deleted);
            into.floats += from.floats;
            into.histograms += from.histograms;
        }
        same
    });
    for at in &mut series {
        at.chunks.sort_by_key(|chunk| (chunk.min_time_ms, chunk.max_time_ms));
    }
    series
}

fn tombstones(series: &[BuiltSeries], refs: &[SeriesRef]) -> Vec<u8> {
    let mut entries = Vec::new();
    for (at, SeriesRef(series_ref)) in series.iter().zip(refs) {
        for interval in &at.deleted {
            put_uvarint(&mut entries, *series_ref);
            put_varint(&mut entries, interval.min_time_ms);
            put_varint(&mut entries, interval.max_time_ms);
        }
    }
    let checksum = crc32c(&entries);
    let mut file = TOMBSTONES_HEADER.to_vec();
    file.append(&mut entries);
    file.extend_from_slice(&checksum.to_be_bytes());
    file
}

/// A `meta.json` without sources: the block supersedes nothing.
fn meta(series: &[BuiltSeries], ulid: Ulid) -> Vec<u8> {
    let chunks = || series.iter().flat_map(|at| &at.chunks);
    let min_time_ms = chunks().map(|chunk| chunk.min_time_ms).min().unwrap_or_default();
    let max_time_ms = chunks().map(|chunk| chunk.max_time_ms).max().unwrap_or_default();
    let floats: u64 = series.iter().map(|at| at.floats).sum();
    let histograms: u64 = series.iter().map(|at| at.histograms).sum();
    let meta = json!({
        "ulid": ulid,
        "minTime": min_time_ms,
        "maxTime": max_time_ms.saturating_add(1),
        "stats": {
            "numSamples": floats + histograms,
            "numFloatSamples": floats,
            "numHistogramSamples": histograms,
            "numSeries": series.len(),
            "numChunks": chunks().count(),
            "numTombstones": series.iter().map(|at| at.deleted.len()).sum::<usize>(),
        },
        "compaction": { "level": 1 },
        "version": 1,
    });
    meta.to_string().into_bytes()
}
