//! The histograms of one series: chosen by their times, then handed out in portions.
//!
//! ```text
//! chunks   0: │ h0 │ h1 │ h2 │     1: │ h0 │ h1 │          decoded to choose; held while there is room
//! chosen   (0, h0) (0, h1) (1, h0) (1, h1)                 in time order
//! rows     ─── portion ───┘└─── portion ───                decoded again where not held
//! ```
//! A histogram may have hundreds of buckets, so only a certain number of them is held from the choice on, and a chunk
//! never longer than until the last of its histograms is handed out.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use tsdb_reader::DecodeError;
use tsdb_reader::chunks::Chunk;
use tsdb_reader::samples::{
    CounterResetHint, HistogramColumns, HistogramDecoder, HistogramKind, HistogramRow, Span,
};

use super::choice::Candidate;
use crate::rows::{SeriesExtent, histograms_weight};
use crate::time::TimeBounds;

/// Buckets that are held between choice and rows, about: 8 bytes each.
const HELD_BUCKETS: usize = 1 << 19;

/// Decoded columns that wait to be used again.
const SPARE_COLUMNS: usize = 4;

/// Histograms of a series, chosen and not handed out yet.
#[derive(Debug)]
pub(super) struct ChosenHistograms {
    /// What may be held.
    most_held: usize,
    decoder: HistogramDecoder,
    /// By number of the part; those without histograms are none.
    sources: Vec<Option<Source>>,
    chosen: Vec<Chosen>,
    /// How many of the chosen are handed out.
    done: usize,
    /// Of the chosen ones that are rows of the unit.
    extent: SeriesExtent,
    held: usize,
    spare: Vec<HistogramColumns>,
}

/// A chunk of histograms.
#[derive(Debug)]
struct Source {
    chunk: Chunk,
    /// Histograms decoded from it.
    rows: u32,
    /// Histograms chosen and not handed out.
    left: u32,
    columns: Option<HistogramColumns>,
}

/// One histogram.
#[derive(Debug, Clone, Copy)]
struct Chosen {
    time_ms: i64,
    is_stale: bool,
    part: u32,
    row: u32,
    /// The sample handed out before it is the one before it in the block.
    follows: bool,
}

impl Default for ChosenHistograms {
    fn default() -> Self {
        Self::holding(HELD_BUCKETS)
    }
}

impl ChosenHistograms {
    fn holding(most_held: usize) -> Self {
        Self {
            most_held,
            decoder: HistogramDecoder::default(),
            sources: Vec::new(),
            chosen: Vec::new(),
            done: 0,
            extent: SeriesExtent::NONE,
            held: 0,
            spare: Vec::new(),
        }
    }

    /// Forgets all of a series.
    pub(super) fn clear(&mut self) {
        for source in std::mem::take(&mut self.sources).into_iter().flatten() {
            self.recycle(source.columns);
        }
        self.chosen.clear();
        (self.done, self.extent, self.held) = (0, SeriesExtent::NONE, 0);
    }

    /// Decodes the chunk that is part number `part`; also tells what is wrong with it. To be given to `hold`.
    pub(super) fn decode(&mut self, part: u32, chunk: &Chunk) -> (HistogramColumns, Option<DecodeError>) {
        let mut columns = self.spare.pop().unwrap_or_default();
        let error = self.decoder.append(chunk, &mut columns).err();
        let at = index(part);
        if self.sources.len() <= at {
            self.sources.resize_with(at + 1, || None);
        }
        if let Some(place) = self.sources.get_mut(at) {
            let rows = u32::try_from(columns.len()).unwrap_or(u32::MAX);
            *place = Some(Source { chunk: chunk.clone(), rows, left: 0, columns: None });
        }
        (columns, error)
    }

    /// Keeps what was decoded of part number `part`, if there is room.
    pub(super) fn hold(&mut self, part: u32, columns: HistogramColumns) {
        let weight = histograms_weight(&columns);
        match self.sources.get_mut(index(part)) {
            Some(Some(source)) if self.held.saturating_add(weight) <= self.most_held => {
                self.held += weight;
                source.columns = Some(columns);
            }
            _ => self.recycle(Some(columns)),
        }
    }

    /// Chooses a histogram, in time order; `is_row` unless it lies before the unit.
    pub(super) fn choose(&mut self, candidate: &Candidate, follows: bool, is_row: bool) {
        let Candidate { part, row, time_ms, is_stale, .. } = *candidate;
        self.chosen.push(Chosen { time_ms, is_stale, part, row, follows });
        if is_row {
            self.extent = self.extent.with(SeriesExtent::of(&[time_ms]));
        }
        if let Some(Some(source)) = self.sources.get_mut(index(part)) {
            source.left += 1;
        }
    }

    /// True when `row` is the last histogram of its chunk.
    pub(super) fn is_last(&self, part: u32, row: u32) -> bool {
        let source = self.sources.get(index(part)).and_then(Option::as_ref);
        source.is_some_and(|source| row.checked_add(1) == Some(source.rows))
    }

    /// Number and times of all that is chosen, but for what lies before the unit.
    pub(super) fn extent(&self) -> SeriesExtent {
        self.extent
    }

    /// Times inside `bounds` of those chosen that are no stale markers.
    pub(super) fn times_in(&self, bounds: TimeBounds) -> impl Iterator<Item = i64> {
        let from = self.chosen.partition_point(|chosen| chosen.time_ms < bounds.min_ms);
        let inside = self.chosen.iter().skip(from).take_while(move |chosen| chosen.time_ms <= bounds.max_ms);
        inside.filter(|chosen| !chosen.is_stale).map(|chosen| chosen.time_ms)
    }

    /// Appends to `columns`, one at least, until they weigh as much as `buckets`; true when there is more.
    pub(super) fn append_to(&mut self, columns: &mut HistogramColumns, buckets: usize) -> bool {
        while let Some(&chosen) = self.chosen.get(self.done) {
            self.append_one(chosen, columns);
            self.done += 1;
            if histograms_weight(columns) >= buckets {
                break;
            }
        }
        self.done < self.chosen.len()
    }

    fn append_one(&mut self, chosen: Chosen, columns: &mut HistogramColumns) {
        let Some(Some(source)) = self.sources.get_mut(index(chosen.part)) else { return };
        let decoded = source.columns.get_or_insert_with(|| {
            let mut columns = self.spare.pop().unwrap_or_default();
            // What is wrong with it is told already; up to there it has the same histograms again.
            let _told = self.decoder.append(&source.chunk, &mut columns);
            columns
        });
        if let Some(row) = decoded.row(index(chosen.row)) {
            columns.push(HistogramRow { hint: hint(&row, chosen, &source.chunk), ..row });
        }
        source.left = source.left.saturating_sub(1);
        if source.left == 0 {
            let columns = source.columns.take();
            self.recycle(columns);
        }
    }

    fn recycle(&mut self, columns: Option<HistogramColumns>) {
        if let Some(mut columns) = columns.filter(|_| self.spare.len() < SPARE_COLUMNS)
            && columns.buckets.capacity() <= HELD_BUCKETS
        {
            columns.clear();
            self.spare.push(columns);
        }
    }
}

/// What is known of resets since the row before: what the block says holds only when nothing came between.
fn hint(row: &HistogramRow<'_>, chosen: Chosen, chunk: &Chunk) -> CounterResetHint {
    match row.hint {
        CounterResetHint::Gauge => CounterResetHint::Gauge,
        _ if !chosen.follows || row.is_stale() => CounterResetHint::Unknown,
        _ if chosen.row == 0 => chunk.counter_reset_header().unwrap_or_default(),
        hint => hint,
    }
}

/// What stands for a histogram where two of the same time are compared: all of it but its hint, and however its spans
/// are cut.
pub(super) fn digest(row: &HistogramRow<'_>) -> u64 {
    let mut hash = FixedState::default().build_hasher();
    hash.write_u8(u8::from(row.kind == HistogramKind::Float));
    hash.write_u64(row.sum.to_bits());
    if row.is_stale() {
        return hash.finish();
    }
    let layout = row.layout;
    hash.write_i32(layout.schema);
    for bits in [row.count, row.zero_count, layout.zero_threshold.to_bits()] {
        hash.write_u64(bits);
    }
    for bound in &layout.custom_bounds {
        hash.write_u64(bound.to_bits());
    }
    for (spans, counts) in
        [(&layout.positive_spans, row.positive_counts()), (&layout.negative_spans, row.negative_counts())]
    {
        hash.write_usize(counts.len());
        for (bucket, &count) in indexes(spans).zip(counts) {
            hash.write_i64(bucket);
            hash.write_u64(count);
        }
    }
    hash.finish()
}

/// Indexes of the buckets of one side.
fn indexes(spans: &[Span]) -> impl Iterator<Item = i64> + '_ {
    let mut next = 0i64;
    spans.iter().flat_map(move |span| {
        let first = next.saturating_add(span.offset.into());
        next = first.saturating_add(span.length.into());
        first..next
    })
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use tsdb_reader::source::LocalSource;
    use tsdb_reader::{Block, Chunks, Series};

    use super::*;

    /// Chunks of one series of a fixture.
    fn chunks() -> Vec<Chunk> {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/blocks/histogram_resets");
        let folder = std::fs::read_dir(fixture).unwrap().next().unwrap().unwrap().path();
        let block = Block::open(Arc::new(LocalSource::open(&folder).unwrap())).unwrap();
        let chunks = Chunks::open(Arc::clone(block.source())).unwrap();
        let mut series = Series::new();
        for series_ref in block.index().all_postings().unwrap() {
            block.index().series(series_ref, &mut series).unwrap();
            let refs: Vec<_> = series.chunks.iter().map(|chunk| chunk.chunk_ref).collect();
            let mut read = Vec::new();
            chunks.read(&refs, &mut read);
            let read: Vec<Chunk> = read.into_iter().map(Result::unwrap).collect();
            if read.len() > 2 && read.iter().all(|chunk| chunk.encoding().holds_histograms()) {
                return read;
            }
        }
        panic!("the fixture has no series of several chunks");
    }

    /// All histograms, those of the chunks in turn.
    fn chosen(most_held: usize) -> ChosenHistograms {
        let mut chosen = ChosenHistograms::holding(most_held);
        let mut rows = Vec::new();
        for (chunk, part) in chunks().iter().zip(0..) {
            let (columns, error) = chosen.decode(part, chunk);
            assert!(error.is_none());
            rows.extend((0..).take(columns.len()).map(|row| (row, part)));
            chosen.hold(part, columns);
        }
        rows.sort_unstable();
        for (&(row, part), time_ms) in rows.iter().zip(0..) {
            let candidate = Candidate {
                time_ms,
                bits: 0,
                start_time_ms: 0,
                rank: 0,
                replica: 0,
                part,
                row,
                is_histogram: true,
                is_classic: false,
                is_stale: false,
                doubtful: false,
            };
            chosen.choose(&candidate, false, true);
        }
        chosen
    }

    #[test]
    fn what_is_held_and_how_much_is_asked_for_at_once_make_no_difference() {
        let mut whole = HistogramColumns::default();
        assert!(!chosen(usize::MAX).append_to(&mut whole, usize::MAX));
        assert_eq!(whole.len() as u64, chosen(0).extent().samples);
        for most_held in [0, 200, usize::MAX] {
            for buckets in [1, 50, usize::MAX] {
                let mut chosen = chosen(most_held);
                let (mut columns, mut rows) = (HistogramColumns::default(), Vec::new());
                loop {
                    columns.clear();
                    let more = chosen.append_to(&mut columns, buckets);
                    rows.extend((0..columns.len()).map(|row| format!("{:?}", columns.row(row))));
                    if !more {
                        break;
                    }
                }
                let all: Vec<_> = (0..whole.len()).map(|row| format!("{:?}", whole.row(row))).collect();
                assert_eq!(rows, all);
                assert!(chosen.sources.iter().flatten().all(|source| source.columns.is_none()));
            }
        }
    }
}
