//! Every byte of the segments: which chunk it belongs to, and which series names that.
//!
//! ```text
//!           series 3   series 3   series 5              series 8
//! segment ┌───────┬──────────┬──────────┬─────────────┬──────────┬────────┐
//!         │ head  │ chunk    │ chunk    │ gap         │ chunk    │ tail   │
//!         └───────┴──────────┴──────────┴─────────────┴──────────┴────────┘
//! ```
//! Writers lay chunks down in the order of the series, so a walk over the series goes through the segments front to
//! back: all that is kept is how far it came. What it leaps over is a gap, whose chunks are read for themselves. A
//! reference that goes back names such a chunk, or one that another series names as well. Of chunks in gaps 8 bytes
//! are kept, of references that go back 16, at most [`KEPT`] of each.
//!
//! Segments behind a missing one are read by themselves: no reference leads there.

use std::ops::Range;

use tsdb_reader::chunks::SegmentScan;
use tsdb_reader::source::BlockFile;
use tsdb_reader::{Chunk, ChunkRef, Chunks, DecodeErrorKind, Error, SeriesRef};

use super::chunks::Samples;
use super::{Checker, names};
use crate::error::error_chain;

/// 48 MiB in all.
const KEPT: usize = 2 << 20;

/// Magic, version, padding: what is wrong there is wrong for all chunks of the segment.
pub(super) const SEGMENT_HEADER_BYTES: u64 = 8;
const CHECKSUM_BYTES: u64 = 4;

/// How far the references of the series came through the segments.
#[derive(Debug, Default)]
pub(super) struct Walked {
    frontier: Option<Frontier>,
    /// Sound chunks that the walk leapt over, ascending.
    leapt: Vec<ChunkRef>,
    /// References to sound chunks behind the frontier.
    back: Vec<(ChunkRef, SeriesRef)>,
    /// More than is kept.
    is_over: bool,
}

/// The furthest chunk named so far.
#[derive(Debug, Clone, Copy)]
struct Frontier {
    chunk_ref: ChunkRef,
    /// Where in its segment it ends, when that is known.
    end: Option<u64>,
}

/// A chunk that a series names: what it gives away of its extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    pub chunk_ref: ChunkRef,
    /// Where in its segment it ends, when that is known.
    pub end: Option<u64>,
    pub is_sound: bool,
}

impl Named {
    pub fn new(chunk_ref: ChunkRef, read: &Result<Chunk, Error>) -> Self {
        let end = match read {
            Ok(chunk) => Some(end_of(chunk)),
            Err(Error::Decode { source, .. }) => match source.kind {
                DecodeErrorKind::Checksum { .. } => Some(source.offset.saturating_add(CHECKSUM_BYTES)),
                _ => None,
            },
            Err(_) => None,
        };
        Self { chunk_ref, end, is_sound: read.is_ok() }
    }
}

fn end_of(chunk: &Chunk) -> u64 {
    chunk.offset().saturating_add(chunk.data().len() as u64).saturating_add(CHECKSUM_BYTES)
}

impl Walked {
    /// Goes on to the chunks of a series; `named` are in any order.
    pub fn visit(
        &mut self,
        checker: &mut Checker<'_>,
        chunks: &Chunks,
        series_ref: SeriesRef,
        named: &mut Vec<Named>,
    ) {
        if !named.is_sorted() {
            named.sort_unstable();
        }
        named.dedup_by_key(|named| named.chunk_ref);
        for &Named { chunk_ref, end, is_sound } in named.iter() {
            if self.frontier.is_none_or(|frontier| frontier.chunk_ref < chunk_ref) {
                self.leap(checker, chunks, Some(chunk_ref));
                if is_sound && self.covers(chunk_ref) {
                    self.go_back(chunk_ref, series_ref);
                }
                self.frontier = Some(Frontier { chunk_ref, end });
            } else if is_sound {
                self.go_back(chunk_ref, series_ref);
            }
        }
    }

    /// True when `chunk_ref` leads into the chunk at the frontier.
    fn covers(&self, chunk_ref: ChunkRef) -> bool {
        self.frontier.is_some_and(|Frontier { chunk_ref: last, end }| {
            last.segment_position() == chunk_ref.segment_position()
                && end.is_some_and(|end| chunk_ref.offset() < end)
        })
    }

    fn go_back(&mut self, chunk_ref: ChunkRef, series_ref: SeriesRef) {
        if self.back.len() < KEPT {
            self.back.push((chunk_ref, series_ref));
        } else {
            self.is_over = true;
        }
    }

    /// Reads what lies between the frontier and `to`, or the end of all segments.
    fn leap(&mut self, checker: &mut Checker<'_>, chunks: &Chunks, to: Option<ChunkRef>) {
        let segments = chunks.segments().contiguous() as u64;
        let (first, mut from) = match self.frontier {
            None => (0, Some(0)),
            Some(Frontier { chunk_ref, end }) => (chunk_ref.segment_position(), end),
        };
        let last = to.map_or(segments, |to| to.segment_position().saturating_add(1)).min(segments);
        for position in first..last {
            let until = to.filter(|to| to.segment_position() == position).map_or(u64::MAX, ChunkRef::offset);
            if let (Some(from), Ok(position)) = (from, u32::try_from(position))
                && from < until
            {
                // Most chunks begin where the one before ends, so few leaps come here.
                self.read_gap(checker, chunks, position, from, until);
            }
            from = Some(0);
        }
    }

    fn read_gap(&mut self, checker: &mut Checker<'_>, chunks: &Chunks, position: u32, from: u64, until: u64) {
        if from == 0 && until <= SEGMENT_HEADER_BYTES {
            return; // The head is read along with the first chunk.
        }
        let Ok(number) = chunks.segments().number(ChunkRef::new(position, 0)) else { return };
        let scan = chunks.scan_range(position, from..until);
        read_unnamed(checker, scan, number, from..until, "that no series names before", &mut |chunk_ref| {
            if self.leapt.len() < KEPT {
                self.leapt.push(chunk_ref);
            } else {
                self.is_over = true;
            }
        });
    }

    /// Reads what no series came to, and tells of chunks named twice or never. The latter only with `all_series`.
    pub fn end(mut self, checker: &mut Checker<'_>, chunks: &Chunks, all_series: bool) {
        self.leap(checker, chunks, None);
        if self.is_over {
            let message = format!("more than {KEPT} chunks are out of the order of the series");
            return checker.note("chunks-unaccounted", BlockFile::Index, message);
        }
        self.back.sort_unstable();
        let mut back = self.back.iter().peekable();
        let mut unreferenced = Vec::new();
        let file_of = |chunk_ref| match chunks.segments().number(chunk_ref) {
            Ok(number) => BlockFile::Segment(number),
            Err(_) => BlockFile::Index,
        };
        let shared = |checker: &mut Checker<'_>, (chunk_ref, series_ref): (ChunkRef, SeriesRef)| {
            let message = format!(
                "chunk {chunk_ref} at offset {:#x}, of series {series_ref}, is another series' chunk as well",
                chunk_ref.offset()
            );
            checker.broken("chunk-shared", file_of(chunk_ref), message);
        };
        for &leapt in &self.leapt {
            while let Some(&&named) = back.peek().filter(|(named, _)| *named < leapt) {
                back.next();
                shared(checker, named);
            }
            if back.next_if(|(named, _)| *named == leapt).is_none() {
                unreferenced.push(leapt);
            }
        }
        for &named in back {
            shared(checker, named);
        }
        for chunk_ref in unreferenced.iter().filter(|_| all_series) {
            let message = format!("no series names the chunk at offset {:#x}", chunk_ref.offset());
            checker.note("chunk-unreferenced", file_of(*chunk_ref), message);
        }
    }
}

/// Reads the segments behind a missing one: no reference leads there, and no conversion reads them.
pub(super) fn read_behind_gap(checker: &mut Checker<'_>, chunks: &Chunks) {
    let segments = chunks.segments();
    for &number in segments.numbers().iter().skip(segments.contiguous()) {
        let scan = chunks.scan_number(number);
        read_unnamed(checker, scan, number, 0..u64::MAX, "behind a missing segment", &mut |_| {});
    }
}

/// Reads chunks without their series: those of `scan`, which goes through `range` of segment `number`. `which` they
/// are is said where one is broken; `each` gets those whose checksum is right.
fn read_unnamed(
    checker: &mut Checker<'_>,
    scan: SegmentScan<'_>,
    number: u32,
    range: Range<u64>,
    which: &str,
    each: &mut dyn FnMut(ChunkRef),
) {
    let file = BlockFile::Segment(number);
    let mut samples = Samples::default();
    let mut end = range.start.max(SEGMENT_HEADER_BYTES);
    for item in scan {
        match item {
            Ok((chunk_ref, chunk)) => {
                end = end_of(&chunk);
                each(chunk_ref);
                let at = |_: &Checker<'_>| format!("a chunk {which}, at offset {:#x}", chunk.offset());
                match samples.times_of(&chunk).map(|times_ms| times_ms.is_some()) {
                    Ok(true) => samples.check(checker, &chunk, &at),
                    Ok(false) => {
                        let encoding = chunk.encoding();
                        let message =
                            format!("checksum right, samples not decoded ({encoding}): {}", at(checker));
                        checker.note("chunk-not-decoded", file, message);
                    }
                    Err(error) => {
                        let name = format!("chunk-{}", names::way(&error.kind));
                        checker.broken(&name, file, format!("{error}: of a chunk {which}"));
                    }
                }
            }
            Err(Error::Decode { file, source }) if source.offset >= SEGMENT_HEADER_BYTES => {
                if let DecodeErrorKind::Checksum { .. } = source.kind {
                    end = source.offset.saturating_add(CHECKSUM_BYTES);
                    checker.broken("chunk-checksum", file, format!("{source}: of a chunk {which}"));
                } else {
                    let message = format!("from offset {end:#x} on no chunk can be made out: {source}");
                    return checker.note("bytes-between-chunks", file, message);
                }
            }
            // Whoever follows a reference into the segment tells what is wrong with all of it.
            Err(error) if range == (0..u64::MAX) => {
                let name = match &error {
                    Error::Decode { source, .. } => format!("segment-{}", names::way(&source.kind)),
                    Error::Read { .. } => "segment-unreadable".to_owned(),
                    _ => return,
                };
                let message = format!("{}; no series names a chunk of it", error_chain(&error));
                return checker.broken(&name, file, message);
            }
            Err(_) => return,
        }
    }
    let size = checker.source.size(file).unwrap_or(0);
    // Zeros at the end of the file are what a writer leaves that allocates ahead.
    if end < range.end && range.end <= size {
        let message = format!("{} zero bytes from offset {end:#x} to {:#x}", range.end - end, range.end);
        checker.note("bytes-between-chunks", file, message);
    }
}
