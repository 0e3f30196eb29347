//! Merge: the chunks of one series, from all blocks, become one time line.
//!
//! ```text
//! block A  ├─chunk─┤├─chunk─┤                 disjoint chunks are decoded straight into the rows;
//! block B              ├─chunk─┤├─chunk─┤     a series with overlaps is decoded, sorted and freed of duplicates
//! ```
//! One sample per timestamp is kept: a value beats a stale marker, then the newest block wins. Every sample that
//! a chunk's header promises ends in a row or in a term of the [`Tally`].

use tsdb_reader::chunks::{Chunk, Encoding};
use tsdb_reader::index::ChunkMeta;
use tsdb_reader::samples::{FloatColumns, FloatDecoder, is_stale_nan};
use tsdb_reader::tombstones::Interval;
use tsdb_reader::{DecodeErrorKind, Error};

use crate::blocks::OpenBlock;
use crate::error::error_chain;
use crate::finding::{Finding, Findings, Severity};
use crate::series::Member;
use crate::tally::{Loss, Tally};
use crate::time::TimeBounds;

/// What of a series is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Bounds of the unit's rows: its partition, cut to the time range asked for.
    pub bounds: TimeBounds,
    /// The time range asked for.
    pub asked: TimeBounds,
    /// Times that a row can have.
    pub writable: TimeBounds,
    /// Leave stale markers out.
    pub drop_stale: bool,
}

/// Merges series by series; keeps its buffers between them.
#[derive(Debug)]
pub struct Merger<'a> {
    blocks: &'a [OpenBlock],
    wanted: Wanted,
    decoder: FloatDecoder,
    reads: Vec<Result<Chunk, Error>>,
    scratch: FloatColumns,
    candidates: Vec<Candidate>,
    /// Samples by the headers of the chunks owned, by position of the block.
    read_by_block: Vec<u64>,
    tally: Tally,
    findings: Findings,
}

/// A sample with what decides between it and others of the same time.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    time_ms: i64,
    value: f64,
    start_time_ms: i64,
    rank: u32,
    /// Of a chunk that ends in an error: padding bits before it may have passed for samples.
    doubtful: bool,
}

/// Terms of one series, entered into the tally when the series is done: the direct way may be given up.
#[derive(Debug, Default, Clone, Copy)]
struct Terms {
    taken_over: u64,
    handed_over: u64,
    tombstoned: u64,
    outside_time_range: u64,
    stale_dropped: u64,
    out_of_range: u64,
    outside_block: u64,
}

/// A chunk with what decides about its samples.
struct Part<'a> {
    block: &'a OpenBlock,
    meta: &'a ChunkMeta,
    deleted: &'a [Interval],
    chunk: &'a Chunk,
}

impl<'a> Merger<'a> {
    /// A merger over `blocks`.
    pub fn new(blocks: &'a [OpenBlock], wanted: Wanted) -> Self {
        Self {
            blocks,
            wanted,
            decoder: FloatDecoder::default(),
            reads: Vec::new(),
            scratch: FloatColumns::default(),
            candidates: Vec::new(),
            read_by_block: vec![0; blocks.len()],
            tally: Tally::default(),
            findings: Findings::default(),
        }
    }

    /// What became of the samples of all series so far, and what could not be read.
    pub fn finish(mut self) -> (Tally, Findings) {
        for (block, &read) in self.blocks.iter().zip(&self.read_by_block).filter(|&(_, &read)| read > 0) {
            self.tally.read_by_block.insert(block.ulid().to_string(), read);
        }
        (self.tally, self.findings)
    }

    /// Appends the samples of a series to `columns`, in time order; returns how many.
    pub fn append(&mut self, members: &[Member], columns: &mut FloatColumns) -> usize {
        let start = columns.len();
        self.reads.clear();
        for member in members {
            if let Some(block) = self.blocks.get(member.block) {
                let refs: Vec<_> = member.chunks.iter().map(|chunk| chunk.chunk_ref).collect();
                block.chunks.read(&refs, &mut self.reads);
            }
        }
        let reads = std::mem::take(&mut self.reads);
        let parts = self.parts(members, &reads);
        // Chunks of one block ascend; with several blocks they may interleave without overlapping.
        let mut in_time: Vec<&Part<'_>> = parts.iter().collect();
        in_time.sort_by_key(|part| part.meta.min_time_ms);
        let terms = if self.append_inside(&in_time, columns) {
            Terms::default()
        } else {
            truncate(columns, start);
            self.append_disjoint(&in_time, columns).unwrap_or_else(|| {
                truncate(columns, start);
                self.append_merged(&parts, columns)
            })
        };
        self.enter(terms, columns.len() - start);
        self.reads = reads;
        columns.len() - start
    }

    /// The chunks that can be decoded, each counted once by the unit that owns it.
    fn parts<'r>(&mut self, members: &'r [Member], reads: &'r [Result<Chunk, Error>]) -> Vec<Part<'r>>
    where
        'a: 'r,
    {
        let mut parts = Vec::with_capacity(reads.len());
        let mut reads = reads.iter();
        for member in members {
            let Some(block) = self.blocks.get(member.block) else { continue };
            let deleted = block.tombstones.intervals(member.series_ref);
            for (meta, read) in member.chunks.iter().zip(reads.by_ref()) {
                match read {
                    Ok(chunk) => {
                        if self.count_header(member.block, block, meta, chunk) {
                            parts.push(Part { block, meta, deleted, chunk });
                        }
                    }
                    Err(error) if self.owns(block, meta) => {
                        self.tally.unreadable_chunks += 1;
                        self.broken(block, error);
                    }
                    Err(_) => {}
                }
            }
        }
        parts
    }

    fn owns(&self, block: &OpenBlock, meta: &ChunkMeta) -> bool {
        let owner = block.planned.get(block.owner(meta));
        owner.is_none_or(|owner| *owner == self.wanted.bounds)
    }

    /// Counts what the header promises; true when the chunk is to be decoded.
    fn count_header(&mut self, at: usize, block: &OpenBlock, meta: &ChunkMeta, chunk: &Chunk) -> bool {
        let owns = self.owns(block, meta);
        let count = match chunk.num_samples() {
            Ok(count) => u64::from(count),
            Err(error) => {
                if owns {
                    self.tally.unreadable_chunks += 1;
                    self.broken(block, &error.in_file(chunk.file()));
                }
                return false;
            }
        };
        if owns {
            self.tally.chunks += 1;
            self.tally.read += count;
            if let Some(read) = self.read_by_block.get_mut(at) {
                *read += count;
            }
        }
        let Some(loss) = unsupported(chunk.encoding()) else { return true };
        if owns {
            self.tally.lose(loss, count);
        }
        false
    }

    fn broken(&mut self, block: &OpenBlock, error: &Error) {
        let finding = Finding::new(Severity::Broken, error_name(error), block.name(), error_chain(error));
        self.findings.push(finding);
    }

    /// Decodes one chunk to the end of `columns`; samples after an error are counted as lost. True without error.
    fn decode(&mut self, part: &Part<'_>, columns: &mut FloatColumns) -> bool {
        let start = columns.len();
        let Err(error) = part.chunk.append_to(columns) else { return true };
        if self.owns(part.block, part.meta) {
            let decoded = (columns.len() - start) as u64;
            let promised = part.chunk.num_samples().map_or(0, u64::from);
            self.tally.lose(Loss::UndecodableChunk, promised.saturating_sub(decoded));
            self.broken(part.block, &error.in_file(part.chunk.file()));
        }
        false
    }

    /// The usual case, at full speed: sound chunks inside the unit, one after the other, nothing of them deleted.
    /// False when it is not that; what is in `columns` then is of no use.
    fn append_inside(&mut self, parts: &[&Part<'_>], columns: &mut FloatColumns) -> bool {
        let bounds = self.wanted.bounds;
        let inside = |part: &&Part<'_>| {
            let meta = part.meta;
            part.deleted.is_empty() && bounds.contains(meta.min_time_ms) && bounds.contains(meta.max_time_ms)
        };
        if self.wanted.drop_stale || !parts.iter().all(inside) {
            return false;
        }
        let start = columns.len();
        if self.decoder.append(parts.iter().map(|part| part.chunk), columns).is_err() {
            return false;
        }
        // The index may have lied about times.
        let times_ms = columns.times_ms.get(start..).unwrap_or_default();
        let ends_inside = times_ms.first().into_iter().chain(times_ms.last()).all(|&at| bounds.contains(at));
        ends_inside && ascend(times_ms)
    }

    /// The direct way: decodes chunk after chunk into `columns`. None when timestamps do not ascend strictly;
    /// what is in `columns` then is of no use.
    fn append_disjoint(&mut self, parts: &[&Part<'_>], columns: &mut FloatColumns) -> Option<Terms> {
        let overlap = |pair: &[&Part<'_>]| matches!(pair, [a, b] if a.meta.max_time_ms >= b.meta.min_time_ms);
        if parts.windows(2).any(overlap) {
            return None;
        }
        let mut terms = Terms::default();
        let (losses, findings) = (self.tally.lost.clone(), self.findings.clone());
        let mut last = None;
        for part in parts {
            let start = columns.len();
            self.decode(part, columns);
            let times_ms = columns.times_ms.get(start..).unwrap_or_default();
            let (Some(&first), Some(&end)) = (times_ms.first(), times_ms.last()) else { continue };
            if last.is_some_and(|last| last >= first) || !ascend(times_ms) {
                // The other way decodes again, and counts again.
                (self.tally.lost, self.findings) = (losses, findings);
                return None;
            }
            last = Some(end);
            let inside = self.wanted.bounds.contains(first) && self.wanted.bounds.contains(end);
            let touched =
                part.deleted.iter().any(|gone| gone.min_time_ms <= end && first <= gone.max_time_ms);
            if !inside || touched || self.wanted.drop_stale {
                self.filter(part, columns, start, &mut terms);
            } else if !self.owns(part.block, part.meta) {
                terms.taken_over += times_ms.len() as u64;
            }
        }
        Some(terms)
    }

    /// The other way: decodes all chunks, sorts their samples and drops duplicates.
    fn append_merged(&mut self, parts: &[Part<'_>], columns: &mut FloatColumns) -> Terms {
        let mut terms = Terms::default();
        let mut candidates = std::mem::take(&mut self.candidates);
        let mut scratch = std::mem::take(&mut self.scratch);
        candidates.clear();
        for part in parts {
            scratch.clear();
            let doubtful = !self.decode(part, &mut scratch);
            self.filter(part, &mut scratch, 0, &mut terms);
            let starts = scratch.start_times_ms.iter().copied().chain(std::iter::repeat(0));
            for ((&time_ms, &value), start_time_ms) in
                scratch.times_ms.iter().zip(&scratch.values).zip(starts)
            {
                let rank = part.block.rank;
                candidates.push(Candidate { time_ms, value, start_time_ms, rank, doubtful });
            }
        }
        // Of equal times the one to keep comes first; equal ones keep the order of the index.
        candidates
            .sort_by_key(|at| (at.time_ms, at.doubtful, is_stale_nan(at.value), std::cmp::Reverse(at.rank)));
        let mut kept: Option<Candidate> = None;
        for candidate in &candidates {
            match kept {
                Some(kept) if kept.time_ms == candidate.time_ms => {
                    self.tally.duplicates += 1;
                    self.tally.conflicts += u64::from(kept.value.to_bits() != candidate.value.to_bits());
                }
                _ => {
                    push(columns, candidate);
                    kept = Some(*candidate);
                }
            }
        }
        (self.candidates, self.scratch) = (candidates, scratch);
        terms
    }

    /// Keeps, from row `start` on, the samples of this unit that are not deleted; counts the others.
    fn filter(&self, part: &Part<'_>, columns: &mut FloatColumns, start: usize, terms: &mut Terms) {
        let owns = self.owns(part.block, part.meta);
        let overlapped = part.block.planned_for(part.meta);
        let planned = part.block.planned.get(overlapped).unwrap_or_default();
        let mut to = start;
        for from in start..columns.len() {
            let (Some(&time_ms), Some(&value)) = (columns.times_ms.get(from), columns.values.get(from))
            else {
                break;
            };
            if !self.wanted.bounds.contains(time_ms) {
                if !owns {
                    continue; // Its owner counts it.
                }
                *(if planned.iter().any(|bounds| bounds.contains(time_ms)) {
                    &mut terms.handed_over
                } else if !self.wanted.asked.contains(time_ms) {
                    &mut terms.outside_time_range
                } else if !self.wanted.writable.contains(time_ms) {
                    &mut terms.out_of_range
                } else {
                    &mut terms.outside_block
                }) += 1;
                continue;
            }
            terms.taken_over += u64::from(!owns);
            // Intervals are merged and ascend.
            let next = part.deleted.partition_point(|gone| gone.max_time_ms < time_ms);
            if part.deleted.get(next).is_some_and(|gone| gone.min_time_ms <= time_ms) {
                terms.tombstoned += 1;
            } else if self.wanted.drop_stale && is_stale_nan(value) {
                terms.stale_dropped += 1;
            } else {
                move_row(columns, from, to);
                to += 1;
            }
        }
        truncate(columns, to);
    }

    fn enter(&mut self, terms: Terms, rows: usize) {
        let tally = &mut self.tally;
        tally.taken_over += terms.taken_over;
        tally.handed_over += terms.handed_over;
        tally.tombstoned += terms.tombstoned;
        tally.outside_time_range += terms.outside_time_range;
        tally.stale_dropped += terms.stale_dropped;
        tally.lose(Loss::TimestampOutOfRange, terms.out_of_range);
        tally.lose(Loss::OutsideBlockRange, terms.outside_block);
        tally.written += rows as u64;
        tally.series += u64::from(rows > 0);
    }
}

/// The loss that an encoding without a decoder is.
fn unsupported(encoding: Encoding) -> Option<Loss> {
    match encoding {
        Encoding::Xor | Encoding::Xor2 => None,
        Encoding::Histogram => Some(Loss::EncodingHistogram),
        Encoding::FloatHistogram => Some(Loss::EncodingFloatHistogram),
        Encoding::HistogramSt => Some(Loss::EncodingHistogramSt),
        Encoding::FloatHistogramSt => Some(Loss::EncodingFloatHistogramSt),
        Encoding::Aggregate => Some(Loss::EncodingAggregate),
        _ => Some(Loss::EncodingUnknown),
    }
}

/// The stable name of what is wrong with a chunk.
fn error_name(error: &Error) -> &'static str {
    match error {
        Error::Decode { source, .. } => match source.kind {
            DecodeErrorKind::Checksum { .. } => "chunk-checksum",
            DecodeErrorKind::Truncated { .. } => "chunk-truncated",
            _ => "chunk-invalid",
        },
        Error::NoSegment { .. } | Error::SegmentGap { .. } => "missing-segment",
        _ => "unreadable-chunk",
    }
}

/// True when each time is greater than the one before. Written without an early exit, so that it runs wide.
fn ascend(times_ms: &[i64]) -> bool {
    let pairs = times_ms.iter().zip(times_ms.get(1..).unwrap_or_default());
    pairs.fold(true, |ascend, (before, after)| ascend & (before < after))
}

fn push(columns: &mut FloatColumns, sample: &Candidate) {
    columns.times_ms.push(sample.time_ms);
    columns.values.push(sample.value);
    if !columns.start_times_ms.is_empty() || sample.start_time_ms != 0 {
        columns.start_times_ms.resize(columns.times_ms.len() - 1, 0);
        columns.start_times_ms.push(sample.start_time_ms);
    }
}

fn move_row(columns: &mut FloatColumns, from: usize, to: usize) {
    columns.times_ms.swap(from, to);
    columns.values.swap(from, to);
    if from < columns.start_times_ms.len() {
        columns.start_times_ms.swap(from, to);
    }
}

fn truncate(columns: &mut FloatColumns, len: usize) {
    columns.times_ms.truncate(len);
    columns.values.truncate(len);
    columns.start_times_ms.truncate(len);
}
