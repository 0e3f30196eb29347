//! Merge: the chunks of one series, from all blocks, become one time line.
//!
//! ```text
//! block A  ├─chunk─┤├─chunk─┤                 disjoint chunks are decoded straight into the rows;
//! block B              ├─chunk─┤├─chunk─┤     a series with overlaps is decoded, sorted and freed of duplicates
//! ```
//! One sample per timestamp is kept, whether float or histogram: a value beats a stale marker, then the newest block
//! wins, then a histogram. Every sample that a chunk's header promises ends in a row or in a term of the [`Tally`].
//! Histograms are chosen first and handed out after, so that those of a series need not be in memory together.

mod histograms;

use tsdb_reader::chunks::{Chunk, Encoding};
use tsdb_reader::index::ChunkMeta;
use tsdb_reader::samples::{FloatColumns, FloatDecoder, HistogramColumns, is_stale_nan};
use tsdb_reader::tombstones::Interval;
use tsdb_reader::{DecodeError, DecodeErrorKind, Error};

use crate::blocks::{OpenBlock, SliceBlocks};
use crate::error::error_chain;
use crate::finding::{Finding, Findings, Severity};
use crate::rows::SeriesHistograms;
use crate::series::Member;
use crate::tally::{Loss, Tally};
use crate::time::TimeBounds;
use histograms::{ChosenHistograms, digest};

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
    /// Write native histograms as rows of their own; without it they are merged and counted, no more.
    pub nested: bool,
}

/// Merges series by series; keeps its buffers between them.
#[derive(Debug)]
pub struct Merger<'a> {
    blocks: SliceBlocks<'a>,
    wanted: Wanted,
    decoder: FloatDecoder,
    reads: Vec<Result<Chunk, Error>>,
    scratch: FloatColumns,
    candidates: Vec<Candidate>,
    histograms: ChosenHistograms,
    /// Samples by the headers of the chunks owned, by position of the block.
    read_by_block: Vec<u64>,
    tally: Tally,
    findings: Findings,
}

/// The rows of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    /// Float samples, appended already.
    pub samples: usize,
    /// Histograms, for [`Merger::append_histograms`].
    pub histograms: SeriesHistograms,
}

impl Appended {
    /// Rows of all kinds.
    pub fn rows(&self) -> u64 {
        self.samples as u64 + self.histograms.count
    }
}

/// A sample with what decides between it and others of the same time.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    time_ms: i64,
    /// Bits of a value, or what stands for a histogram: equal for equal ones.
    bits: u64,
    /// Of a value; of a histogram it stays in its chunk.
    start_time_ms: i64,
    rank: u32,
    /// Position of its chunk among the parts.
    part: u32,
    /// Position in its chunk, of a histogram.
    row: u32,
    is_histogram: bool,
    is_classic: bool,
    is_stale: bool,
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
    /// Of the rows, those of classic series that stand for native histograms.
    classic: u64,
}

/// A chunk with what decides about its samples.
struct Part<'a> {
    block: &'a OpenBlock,
    meta: &'a ChunkMeta,
    deleted: &'a [Interval],
    chunk: &'a Chunk,
    /// Position of the member it is of, and its own among the member's chunks.
    place: (usize, usize),
    /// Of a classic series that stands for native histograms.
    is_classic: bool,
}

impl Part<'_> {
    fn holds_histograms(&self) -> bool {
        self.chunk.encoding().holds_histograms()
    }
}

/// A part with what its samples are asked by.
struct Judge<'p> {
    part: &'p Part<'p>,
    owns: bool,
    /// The partitions that the chunk overlaps.
    planned: &'p [TimeBounds],
}

impl<'a> Merger<'a> {
    /// A merger over `blocks`.
    pub fn new(blocks: impl Into<SliceBlocks<'a>>, wanted: Wanted) -> Self {
        let blocks = blocks.into();
        Self {
            blocks,
            wanted,
            decoder: FloatDecoder::default(),
            reads: Vec::new(),
            scratch: FloatColumns::default(),
            candidates: Vec::new(),
            histograms: ChosenHistograms::default(),
            read_by_block: vec![0; blocks.of_run().len()],
            tally: Tally::default(),
            findings: Findings::default(),
        }
    }

    /// What became of the samples of all series so far, and what could not be read.
    pub fn finish(mut self) -> (Tally, Findings) {
        for (block, &read) in
            self.blocks.of_run().iter().zip(&self.read_by_block).filter(|&(_, &read)| read > 0)
        {
            self.tally.read_by_block.insert(block.ulid().to_string(), read);
        }
        (self.tally, self.findings)
    }

    /// Appends the float samples of a series to `columns`, in time order; returns how many, and how many histograms
    /// [`Merger::append_histograms`] has for the asking.
    pub fn append(&mut self, members: &[Member], columns: &mut FloatColumns) -> Appended {
        self.histograms.clear();
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
        let classic = parts.iter().filter(|part| part.is_classic).count();
        let is_mixed = classic > 0 && classic < parts.len();
        let mut terms = if is_mixed || parts.iter().any(Part::holds_histograms) {
            self.append_merged(&parts, columns)
        } else if self.append_inside(&in_time, columns) {
            Terms::default()
        } else {
            truncate(columns, start);
            self.append_disjoint(&in_time, columns).unwrap_or_else(|| {
                truncate(columns, start);
                self.append_merged(&parts, columns)
            })
        };
        let mut appended = Appended { samples: columns.len() - start, histograms: self.histograms.extent() };
        if classic > 0 && !is_mixed {
            terms.classic = appended.rows();
        }
        if !self.wanted.nested {
            self.tally.unrolled += std::mem::take(&mut appended.histograms).count;
            self.histograms.clear();
        }
        self.enter(terms, appended);
        self.reads = reads;
        appended
    }

    /// Appends the histograms of the series that was appended last, in time order, until `columns` hold about
    /// `buckets`. True when there are more of them; what they do not ask for is gone with the next series.
    pub fn append_histograms(&mut self, columns: &mut HistogramColumns, buckets: usize) -> bool {
        self.histograms.append_to(columns, buckets)
    }

    /// Native histograms counted as written in classic series.
    pub fn unrolled(&self) -> u64 {
        self.tally.unrolled
    }

    /// Counts `histograms` as lost that were counted as written in classic series: there are none of them.
    pub fn lose_unrolled(&mut self, histograms: u64) {
        self.tally.unrolled = self.tally.unrolled.saturating_sub(histograms);
        self.tally.lose(Loss::NamelessHistogram, histograms);
    }

    /// The chunks that can be decoded, each counted once by the unit that owns it.
    fn parts<'r>(&mut self, members: &'r [Member], reads: &'r [Result<Chunk, Error>]) -> Vec<Part<'r>>
    where
        'a: 'r,
    {
        let mut parts = Vec::with_capacity(reads.len());
        let mut reads = reads.iter();
        for (member_at, member) in members.iter().enumerate() {
            let Some(block) = self.blocks.get(member.block) else { continue };
            let deleted = block.tombstones.intervals(member.series_ref);
            for ((at, meta), read) in member.chunks.iter().enumerate().zip(reads.by_ref()) {
                match read {
                    Ok(chunk) => {
                        if self.count_header(member.block, block, meta, chunk) {
                            let place = (member_at, at);
                            let is_classic = self.blocks.is_own(member.block);
                            parts.push(Part { block, meta, deleted, chunk, place, is_classic });
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
        if self.blocks.is_own(at) {
            return true; // The histograms it comes from are counted.
        }
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
        self.lose_rest(part, columns.len() - start, error);
        false
    }

    /// Counts as lost what `part` promises beyond the samples decoded before an error.
    fn lose_rest(&mut self, part: &Part<'_>, decoded: usize, error: DecodeError) {
        if self.owns(part.block, part.meta) {
            let promised = part.chunk.num_samples().map_or(0, u64::from);
            self.tally.lose(Loss::UndecodableChunk, promised.saturating_sub(decoded as u64));
            self.broken(part.block, &error.in_file(part.chunk.file()));
        }
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
        for (part, at) in parts.iter().zip(0..) {
            if part.holds_histograms() {
                self.add_histograms(part, at, &mut candidates, &mut terms);
                continue;
            }
            scratch.clear();
            let doubtful = !self.decode(part, &mut scratch);
            self.filter(part, &mut scratch, 0, &mut terms);
            let starts = scratch.start_times_ms.iter().copied().chain(std::iter::repeat(0));
            for ((&time_ms, &value), start_time_ms) in
                scratch.times_ms.iter().zip(&scratch.values).zip(starts)
            {
                candidates.push(Candidate {
                    time_ms,
                    bits: value.to_bits(),
                    start_time_ms,
                    rank: part.block.rank,
                    part: at,
                    row: 0,
                    is_histogram: false,
                    is_classic: part.is_classic,
                    is_stale: is_stale_nan(value),
                    doubtful,
                });
            }
        }
        // Of equal times the one to keep comes first; equal ones keep the order of the index. What is stored goes
        // before what stands for something else.
        candidates.sort_by_key(|at| {
            let by_age = std::cmp::Reverse(at.rank);
            (at.time_ms, at.doubtful, at.is_classic, at.is_stale, by_age, !at.is_histogram)
        });
        let mut kept: Option<Candidate> = None;
        for candidate in &candidates {
            match kept {
                Some(kept) if kept.time_ms == candidate.time_ms && candidate.is_classic => {
                    self.tally.duplicate_classic += 1;
                }
                Some(kept) if kept.time_ms == candidate.time_ms => {
                    self.tally.duplicates += 1;
                    self.tally.conflicts += u64::from(kept.bits != candidate.bits);
                }
                _ => {
                    terms.classic += u64::from(candidate.is_classic);
                    if candidate.is_histogram {
                        let follows = kept.is_some_and(|kept| self.follows(parts, &kept, candidate));
                        self.histograms.choose(candidate, follows);
                    } else {
                        push(columns, candidate);
                    }
                    kept = Some(*candidate);
                }
            }
        }
        (self.candidates, self.scratch) = (candidates, scratch);
        terms
    }

    /// Adds the histograms of `part`, which is number `at`, that belong to this unit and are not deleted.
    fn add_histograms(
        &mut self,
        part: &Part<'_>,
        at: u32,
        candidates: &mut Vec<Candidate>,
        terms: &mut Terms,
    ) {
        let (columns, error) = self.histograms.decode(at, part.chunk);
        let doubtful = error.is_some();
        if let Some(error) = error {
            self.lose_rest(part, columns.len(), error);
        }
        let judge = self.judge(part);
        for row in (0..columns.len()).map_while(|row| columns.row(row)).zip(0..) {
            let (histogram, row) = row;
            let is_stale = histogram.is_stale();
            if self.keeps(&judge, histogram.timestamp_ms, is_stale, terms) {
                candidates.push(Candidate {
                    time_ms: histogram.timestamp_ms,
                    bits: digest(&histogram),
                    start_time_ms: 0,
                    rank: part.block.rank,
                    part: at,
                    row,
                    is_histogram: true,
                    is_classic: false,
                    is_stale,
                    doubtful,
                });
            }
        }
        self.histograms.hold(at, columns);
    }

    /// True when nothing stood between histogram `candidate` and `kept`, the sample kept before it, when the block
    /// was written: then what the block says of resets between the two is true of the rows as well.
    fn follows(&self, parts: &[Part<'_>], kept: &Candidate, candidate: &Candidate) -> bool {
        if kept.part == candidate.part {
            return kept.row.checked_add(1) == Some(candidate.row);
        }
        let place = |at: &Candidate| {
            let part = parts.get(usize::try_from(at.part).ok()?)?;
            Some(part.place)
        };
        let (Some((member, chunk)), Some((next_member, next_chunk))) = (place(kept), place(candidate)) else {
            return false;
        };
        let is_last = kept.is_histogram && !kept.doubtful && self.histograms.is_last(kept.part, kept.row);
        is_last && candidate.row == 0 && member == next_member && chunk + 1 == next_chunk
    }

    fn judge<'p>(&self, part: &'p Part<'p>) -> Judge<'p> {
        let planned = part.block.planned.get(part.block.planned_for(part.meta)).unwrap_or_default();
        Judge { part, owns: self.owns(part.block, part.meta), planned }
    }

    /// True for a sample of this unit that is not deleted; counts any other.
    fn keeps(&self, judge: &Judge<'_>, time_ms: i64, is_stale: bool, terms: &mut Terms) -> bool {
        if !self.wanted.bounds.contains(time_ms) {
            if !judge.owns {
                return false; // Its owner counts it.
            }
            *(if judge.planned.iter().any(|bounds| bounds.contains(time_ms)) {
                &mut terms.handed_over
            } else if !self.wanted.asked.contains(time_ms) {
                &mut terms.outside_time_range
            } else if !self.wanted.writable.contains(time_ms) {
                &mut terms.out_of_range
            } else {
                &mut terms.outside_block
            }) += 1;
            return false;
        }
        terms.taken_over += u64::from(!judge.owns);
        // Intervals are merged and ascend.
        let deleted = judge.part.deleted;
        let next = deleted.partition_point(|gone| gone.max_time_ms < time_ms);
        if deleted.get(next).is_some_and(|gone| gone.min_time_ms <= time_ms) {
            terms.tombstoned += 1;
            return false;
        }
        let dropped = self.wanted.drop_stale && is_stale;
        terms.stale_dropped += u64::from(dropped);
        !dropped
    }

    /// Keeps, from row `start` on, the samples of this unit that are not deleted; counts the others.
    fn filter(&self, part: &Part<'_>, columns: &mut FloatColumns, start: usize, terms: &mut Terms) {
        let judge = self.judge(part);
        let mut to = start;
        for from in start..columns.len() {
            let (Some(&time_ms), Some(&value)) = (columns.times_ms.get(from), columns.values.get(from))
            else {
                break;
            };
            if self.keeps(&judge, time_ms, is_stale_nan(value), terms) {
                move_row(columns, from, to);
                to += 1;
            }
        }
        truncate(columns, to);
    }

    fn enter(&mut self, terms: Terms, appended: Appended) {
        let tally = &mut self.tally;
        tally.taken_over += terms.taken_over;
        tally.handed_over += terms.handed_over;
        tally.tombstoned += terms.tombstoned;
        tally.outside_time_range += terms.outside_time_range;
        tally.stale_dropped += terms.stale_dropped;
        tally.lose(Loss::TimestampOutOfRange, terms.out_of_range);
        tally.lose(Loss::OutsideBlockRange, terms.outside_block);
        tally.written += appended.rows() - terms.classic;
        tally.written_histograms += appended.histograms.count;
        tally.written_classic += terms.classic;
        tally.series += u64::from(appended.rows() > 0);
    }
}

/// The loss that an encoding without a decoder is.
fn unsupported(encoding: Encoding) -> Option<Loss> {
    match encoding {
        Encoding::Xor
        | Encoding::Xor2
        | Encoding::Histogram
        | Encoding::FloatHistogram
        | Encoding::HistogramSt
        | Encoding::FloatHistogramSt => None,
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
    columns.values.push(f64::from_bits(sample.bits));
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
