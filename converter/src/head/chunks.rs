//! Head chunks: what a server had written of its head besides the log.
//!
//! In-order chunks that end before the newest block does are in that block. Those that reach over its end are cut
//! there. Where a file is damaged or missing a server gives up it and all files behind it, and takes their samples
//! from the logs, which still hold them; so does this.

use std::collections::HashMap;
use std::io;
use std::ops::Range;

use bytes::Bytes;
use foldhash::fast::FixedState;
use tsdb_reader::head::files::{NumberedFile, breaks};
use tsdb_reader::head::{HeadChunk, HeadChunkRef, HeadChunks, HeadFiles, HeadSeriesRef};
use tsdb_reader::samples::{FloatColumns, FloatSample, HistogramColumns};
use tsdb_reader::{Chunk, DecodeError, DecodeErrorKind, Encoding, Error};

use super::account::{Dropped, SampleAccount};
use super::{Builders, Findings, HeadOptions};
use crate::build::spool::Spool;
use crate::build::{BuildError, StoredChunk};
use crate::error::error_chain;

/// A chunk of late samples. It may overlap any other chunk.
#[derive(Debug, Clone)]
pub(super) struct LateChunk {
    chunk_ref: HeadChunkRef,
    pub min_time_ms: i64,
    pub max_time_ms: i64,
    encoding: Encoding,
    /// Where its data is among that of all late chunks.
    data: Range<usize>,
}

/// The chunks of each series.
#[derive(Debug, Default)]
pub(super) struct MappedChunks {
    /// As they are in the builder, by series, each in the order of the files.
    in_order: Vec<(HeadSeriesRef, StoredChunk)>,
    late: HashMap<HeadSeriesRef, Vec<LateChunk>, FixedState>,
    late_data: Bytes,
    /// The last chunk there is, whoever's.
    pub last: HeadChunkRef,
}

impl MappedChunks {
    pub(super) fn in_order(&self, series_ref: HeadSeriesRef) -> impl Iterator<Item = StoredChunk> {
        let from = self.in_order.partition_point(|(before, _)| *before < series_ref);
        let behind = self.in_order.get(from..).unwrap_or_default().iter();
        behind.take_while(move |(of, _)| *of == series_ref).map(|(_, chunk)| *chunk)
    }

    pub(super) fn late(&self, series_ref: HeadSeriesRef) -> &[LateChunk] {
        self.late.get(&series_ref).map(Vec::as_slice).unwrap_or_default()
    }

    /// The late chunk of a series at just this place, if it was read.
    pub(super) fn late_at(&self, series_ref: HeadSeriesRef, chunk_ref: HeadChunkRef) -> Option<&LateChunk> {
        // As they are in the files, which ascend.
        let chunks = self.late(series_ref);
        chunks.binary_search_by_key(&chunk_ref, |chunk| chunk.chunk_ref).ok().and_then(|at| chunks.get(at))
    }

    /// A late chunk with its data.
    pub(super) fn late_chunk(&self, chunk: &LateChunk) -> Chunk {
        Chunk::new(chunk.encoding, self.late_data.slice(chunk.data.clone()), 0, 0)
    }

    /// Samples in chunks, by series.
    pub(super) fn samples(&self) -> impl Iterator<Item = (HeadSeriesRef, u64)> {
        let in_order = self.in_order.iter().map(|(series_ref, chunk)| (*series_ref, chunk.samples));
        let late = self.late.iter().map(|(series_ref, chunks)| {
            let samples =
                chunks.iter().map(|chunk| self.late_chunk(chunk).num_samples().map_or(0, u64::from));
            (*series_ref, samples.sum())
        });
        in_order.chain(late)
    }

    /// Reads all files, as far as a server does.
    pub(super) fn read(
        files: &dyn HeadFiles,
        listed: &[NumberedFile],
        options: &HeadOptions<'_>,
        builders: &mut Builders,
        account: &mut SampleAccount,
        findings: &mut Findings,
    ) -> Result<Self, BuildError> {
        let mut mapped = Self::default();
        let mut late_data = Spool::new(options.temp_dir.to_owned(), options.budget_bytes / 4);
        let mut listed = listed;
        if let Some((before, after)) = breaks(listed).next() {
            let kept = listed.iter().take_while(|file| *file != after).count();
            let message = format!(
                "it does not follow {}; this file and those behind it are not read, the log has their samples",
                before.path
            );
            findings.broken("head-chunks-gap", &after.path, message);
            listed = listed.get(..kept).unwrap_or_default();
        }
        let mut sequence = Sequence { from_ms: options.min_valid_time_ms, last_ms: HashMap::default() };
        for (at, file) in listed.iter().enumerate() {
            let is_newest = at + 1 == listed.len();
            let read = files.read(&file.path);
            let read = read.map_err(|source| Error::ReadHead { path: file.path.clone(), source });
            let checked = read.and_then(|bytes| {
                let chunks = HeadChunks::open(bytes, file.number, is_newest);
                let checked = chunks.and_then(|chunks| sequence.check(chunks.clone()).map(|()| chunks));
                checked.map_err(|error| error.in_head_file(&*file.path))
            });
            match checked {
                Ok(chunks) => {
                    for chunk in chunks.flatten() {
                        mapped.add(&chunk, options, &mut late_data, builders, account, findings)?;
                    }
                }
                Err(Error::DecodeHead { source, .. }) if is_newest && source.is_torn() => {
                    let message = "ends inside a chunk that was never finished; it is not read, the log has its samples";
                    findings.skipped("torn-head-chunk", &file.path, message);
                }
                Err(error) => {
                    let message = format!(
                        "{}; this file and those behind it are not read, the log has their samples",
                        error_chain(&error)
                    );
                    findings.broken("damaged-head-chunks", &file.path, message);
                    break;
                }
            }
        }
        mapped.in_order.sort_by_key(|(series_ref, _)| *series_ref);
        mapped.late_data = late_data.finish().map_err(spool_error)?;
        Ok(mapped)
    }

    fn add(
        &mut self,
        chunk: &HeadChunk,
        options: &HeadOptions<'_>,
        late_data: &mut Spool,
        builders: &mut Builders,
        account: &mut SampleAccount,
        findings: &mut Findings,
    ) -> Result<(), BuildError> {
        self.last = chunk.chunk_ref;
        let (encoding, data) = (chunk.chunk.encoding(), chunk.chunk.data());
        if matches!(encoding, Encoding::Unknown(_) | Encoding::Aggregate) {
            let place = format!("chunks_head/{:06}", chunk.chunk_ref.file());
            let message = format!("has chunks of encoding {}, which are not read", encoding.as_byte());
            findings.broken("head-chunk-encoding", &place, message);
            return Ok(());
        }
        let times_ms = (chunk.min_time_ms, chunk.max_time_ms);
        let samples = u64::from(chunk.chunk.num_samples().unwrap_or_default());
        account.read += samples;
        if chunk.out_of_order {
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            let start = place(late_data.len());
            late_data.write(data).map_err(spool_error)?;
            let of_series = self.late.entry(chunk.series_ref).or_default();
            of_series.push(LateChunk {
                chunk_ref: chunk.chunk_ref,
                min_time_ms: chunk.min_time_ms,
                max_time_ms: chunk.max_time_ms,
                encoding,
                data: start..place(late_data.len()),
            });
            return Ok(());
        }
        let min_ms = options.min_valid_time_ms;
        if chunk.max_time_ms < min_ms {
            account.drop(Dropped::InBlocks, samples);
            return Ok(());
        }
        let stored = if chunk.min_time_ms < min_ms {
            store_from(chunk, min_ms, builders, account)?
        } else {
            builders.in_order.store_chunk(encoding, data, times_ms)?.into_iter().collect()
        };
        self.in_order.extend(stored.into_iter().map(|stored| (chunk.series_ref, stored)));
        Ok(())
    }
}

fn spool_error(source: io::Error) -> BuildError {
    BuildError::Spool { series: 0, source }
}

/// In-order chunks of a series follow each other; where they do not, a server takes the file for damaged.
struct Sequence {
    /// The end of the newest block: chunks that end before it may be of another time.
    from_ms: i64,
    /// End of the last chunk of each series.
    last_ms: HashMap<HeadSeriesRef, i64, FixedState>,
}

impl Sequence {
    /// Decodes a whole file, for nothing of a damaged one is used.
    fn check(&mut self, chunks: HeadChunks) -> Result<(), DecodeError> {
        for chunk in chunks {
            let chunk = chunk?;
            if chunk.out_of_order || chunk.max_time_ms < self.from_ms {
                continue;
            }
            let before = self.last_ms.insert(chunk.series_ref, chunk.max_time_ms);
            if before.is_some_and(|before| before >= chunk.min_time_ms) {
                let expected = "after the chunk before it of the same series";
                let found = chunk.min_time_ms;
                let kind =
                    DecodeErrorKind::InvalidSigned { field: "min time of head chunk", found, expected };
                return Err(DecodeError { offset: chunk.chunk_ref.offset(), kind });
            }
        }
        Ok(())
    }
}

/// Writes the samples of a chunk from `min_ms` on. Those before are in blocks.
fn store_from(
    chunk: &HeadChunk,
    min_ms: i64,
    builders: &mut Builders,
    account: &mut SampleAccount,
) -> Result<Vec<StoredChunk>, BuildError> {
    let promised = chunk.chunk.num_samples().map_or(0, u64::from);
    let (mut floats, mut histograms) = (FloatColumns::default(), HistogramColumns::default());
    decode(&chunk.chunk, &mut floats, &mut histograms);
    let decoded = (floats.len() + histograms.len()) as u64;
    let builder = &mut builders.in_order;
    let mut stored = builder.store_floats(samples_of(&floats).filter(|at| at.timestamp_ms >= min_ms))?;
    stored.extend(builder.store_histograms(&histograms, |time_ms| time_ms >= min_ms)?);
    let kept: u64 = stored.iter().map(|chunk| chunk.samples).sum();
    account.drop(Dropped::InBlocks, decoded - kept);
    account.drop(Dropped::Undecodable, promised.saturating_sub(decoded));
    Ok(stored)
}

/// Decodes a chunk of either kind. What is behind an error in a chunk with the right checksum was never readable.
pub(super) fn decode(chunk: &Chunk, floats: &mut FloatColumns, histograms: &mut HistogramColumns) {
    let _counted_by_the_caller = match chunk.encoding().holds_histograms() {
        true => chunk.append_histograms_to(histograms),
        false => chunk.append_to(floats),
    };
}

/// The samples of some columns, one by one.
pub(super) fn samples_of(columns: &FloatColumns) -> impl Iterator<Item = FloatSample> {
    let starts = columns.start_times_ms.iter().copied().chain(std::iter::repeat(0));
    let samples = columns.times_ms.iter().zip(&columns.values).zip(starts);
    samples.map(|((&timestamp_ms, &value), start_timestamp_ms)| FloatSample {
        timestamp_ms,
        start_timestamp_ms,
        value,
    })
}
